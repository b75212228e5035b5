"""Who sends: by the connection's address, or by what a proxy says that was named; strangers may write the same headers."""

import pytest
from aiohttp.test_utils import make_mocked_request

from sync.web.senders import Proxies

BROWSER, OTHER, PROXY, STRANGER = "192.0.2.7", "192.0.2.8", "10.0.0.10", "10.0.0.99"


@pytest.mark.parametrize(
    ("remote", "forwarded", "house"),
    [
        (PROXY, BROWSER, BROWSER),
        (PROXY, f"{OTHER}, {BROWSER}", BROWSER),  # the first is what the browser wrote
        (PROXY, "", ""),
        (PROXY, "2001:db8::1", "2001:db8::/64"),
        ("::ffff:10.0.0.10", BROWSER, BROWSER),
        ("127.0.0.1", BROWSER, BROWSER),
        (STRANGER, BROWSER, STRANGER),
        (BROWSER, OTHER, BROWSER),
    ],
)
def test_a_proxy_that_was_named_says_who_asks_and_over_what(remote: str, forwarded: str, house: str) -> None:
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
    request = make_mocked_request("GET", "/", headers).clone(remote=remote)
    proxies = Proxies(["10.0.0.8/30", "2001:db8:ffff::1"])
    assert proxies.sender(request) == house
    assert proxies.scheme(request) == ("http" if house == remote else "https")


def test_who_is_not_named_is_believed_by_the_connection_alone() -> None:
    headers = {"X-Forwarded-For": BROWSER, "X-Forwarded-Proto": "https"}
    request = make_mocked_request("GET", "/", headers).clone(remote=PROXY)
    assert (Proxies().sender(request), Proxies().scheme(request)) == (PROXY, "http")
    assert Proxies(["0.0.0.0/0"]).house_of(PROXY) == "", "so many connections as it needs"
    assert Proxies().house_of(PROXY) == PROXY


@pytest.mark.parametrize("named", ["gate.example.org", "10.0.0.0/33", ""])
def test_what_is_no_address_is_no_proxy(named: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        Proxies([named])
