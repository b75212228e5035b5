"""Names, rates and limits, without a network."""

import pytest

from edge.front.perimeter import Hosts, host_name, place

HOSTS = Hosts(["Gate-7.local", "pages.venue.example"])


@pytest.mark.parametrize(
    ("host", "local", "allowed"),
    [
        ("localhost:8443", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("[::1]:8443", "::1", True),
        ("gate-7.local", "10.0.0.5", True),
        ("GATE-7.LOCAL.:8443", "10.0.0.5", True),
        ("pages.venue.example", "10.0.0.5", True),
        ("10.0.0.5:8443", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("[2001:db8::1]", "2001:db8:0::1", True),
        ("10.0.0.6:8443", "10.0.0.5", False),
        ("evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("evil.example#.localhost", "127.0.0.1", False),
        ("localhost:80@evil.example", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("[::1", "127.0.0.1", False),
        ("gate-7.local:x", "10.0.0.5", False),
    ],
)
def test_only_the_names_of_this_box_are_answered(host: str, local: str, allowed: bool) -> None:
    assert HOSTS.allowed(host, local) is allowed


def test_a_host_is_read_without_its_port() -> None:
    assert host_name("A.example.:443") == "a.example"
    assert host_name("[2001:DB8::1]:443") == "2001:db8::1"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_the_addresses_of_one_sender_count_as_one(address: str, counted: str) -> None:
    assert place(address) == counted
