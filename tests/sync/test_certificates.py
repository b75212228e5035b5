"""What gates are given beside lists: a certificate for their page, the roster, the key file's next format."""

import asyncio
import ipaddress
import os
import ssl
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.ids import GateId
from edge.enrolment import Enrolment, load
from edge.front import self_signed, tls
from edge.front.centre import Centre, CentreRefused
from edge.front.documents import Documents
from edge.held_roster import load_roster
from sync.gates import certificates
from sync.gates.certificates import LIFE_DAYS, RequestRefused, authority, issue
from sync.keys import FILE, Role, load_or_make, new_keys, replace, roll, rolled
from sync.store.database import CentreFault
from tests.sync.requests import NOW_S, GateClient
from tests.sync.venue import Venue

KEYS = new_keys()
KEY = ec.generate_private_key(ec.SECP256R1())
LOOPBACK = ipaddress.ip_address("127.0.0.1")


def request(*names: x509.GeneralName, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        asked = asked.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return asked.sign(key or KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_certificate_is_for_the_gates_own_names_and_holds_for_its_time() -> None:
    made = issue(
        KEYS, GateId(7), self_signed.request(KEY, ("box", "box.local", "box.example.org"), [LOOPBACK]), NOW_S
    )
    leaf, root = x509.load_pem_x509_certificates(made.chain)
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(authority(KEYS, NOW_S + 40 * 86_400))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["box", "box.local"]
    assert names.get_values_for_type(x509.IPAddress) == [LOOPBACK]
    assert made.until_s == NOW_S + LIFE_DAYS * 86_400 == int(leaf.not_valid_after_utc.timestamp())
    assert leaf.public_key() == KEY.public_key()
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority(new_keys(), NOW_S).subject != root.subject


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("bank.example"), x509.DNSName("*.local"), x509.DNSName("*"), x509.DNSName("box.local.com"), x509.DNSName(""),
        x509.DNSName("box..local"), x509.DNSName("a" * 64), x509.IPAddress(ipaddress.ip_address("8.8.8.8")),
        x509.IPAddress(ipaddress.ip_address("2001:4860::8888")), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
        x509.RFC822Name("a@b.local"), x509.UniformResourceIdentifier("https://box.local"),
    ],
)  # fmt: skip
def test_no_gate_gets_a_name_that_means_something_elsewhere(name: x509.GeneralName) -> None:
    with pytest.raises(RequestRefused, match="on the spot"):
        issue(KEYS, GateId(7), request(x509.DNSName("box.local"), name), NOW_S)


def test_what_is_no_request_of_a_gate_gets_no_certificate() -> None:
    good = request(x509.DNSName("box.local"))
    strange = ed25519.Ed25519PrivateKey.generate()
    other = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    other = other.add_extension(x509.SubjectAlternativeName([x509.DNSName("box")]), critical=False)
    for bad in (
        b"", b"x", good[:-1], good[:-1] + bytes([good[-1] ^ 1]), bytes(certificates.REQUEST_BYTES_MAX + 1), request(),
        request(x509.DNSName("box"), key=ec.generate_private_key(ec.SECP384R1())),
        request(*[x509.DNSName(f"box{n}") for n in range(certificates.NAMES_MAX + 1)]),
        other.sign(strange, None).public_bytes(serialization.Encoding.DER),
    ):  # fmt: skip
        with pytest.raises(RequestRefused):
            issue(KEYS, GateId(7), bad, NOW_S)


async def shaken(context: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """Return the certificate that a browser is shown; ssl.SSLError where it does not trust it."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    try:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=client)
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return shown
    finally:
        server.close()


async def test_a_page_gets_a_certificate_that_a_browser_trusts(
    venue: Venue, box: Enrolment, tmp_path: Path
) -> None:
    data = tmp_path / "box"
    page = tls.PageTls(data)
    assert not page.is_due(NOW_S)  # nothing is served with TLS
    own = await asyncio.to_thread(tls.certificate, data, ("localhost",), [LOOPBACK])
    context = page.serve(own, ("localhost",), (LOOPBACK,))
    client = ssl.create_default_context(
        cadata=authority(venue.centre.keys, NOW_S).public_bytes(serialization.Encoding.PEM).decode()
    )
    client.hostname_checks_common_name = False
    with pytest.raises(ssl.SSLError):
        await shaken(context, client)
    key_before = (data / tls.KEY_FILE).read_bytes()
    async with Centre(box) as centre:
        await Documents(box, data, centre, lambda: NOW_S, page).certify()
    assert not page.is_due(NOW_S)
    assert not page.is_due(NOW_S + 59 * 86_400)
    assert page.is_due(NOW_S + 61 * 86_400)
    assert (data / tls.KEY_FILE).read_bytes() == key_before
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    leaf = x509.load_der_x509_certificate(
        await shaken(context, blind)
    )  # the context of before, the new certificate
    leaf.verify_directly_issued_by(authority(venue.centre.keys, NOW_S))
    again = await asyncio.to_thread(tls.certificate, data, ("localhost",), [LOOPBACK])
    assert again.fingerprint == leaf.fingerprint(hashes.SHA256()).hex()


def test_a_certificate_for_another_key_is_not_installed(tmp_path: Path) -> None:
    page = tls.PageTls(tmp_path)
    own = tls.certificate(tmp_path, ("localhost",), [])
    made = issue(KEYS, GateId(1), request(x509.DNSName("localhost")), NOW_S)
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        page.install(made.chain, made.until_s)
    assert tls.certificate(tmp_path, ("localhost",), []).fingerprint == own.fingerprint


async def test_a_refused_request_says_so(box: Enrolment) -> None:
    async with Centre(box) as centre:
        with pytest.raises(CentreRefused, match="certificate_refused"):
            await centre.certificate(request(x509.DNSName("bank.example")))


async def test_the_roster_names_the_gates_and_is_renewed_each_day(
    venue: Venue, box: Enrolment, gate: GateClient, tmp_path: Path
) -> None:
    data = tmp_path / "box"
    async with Centre(box) as centre:
        documents = Documents(box, data, centre, lambda: venue.now_s)
        first = await documents.take_roster(await centre.roster())
        assert [one.id for one in first.gates] == [box.gate]
        assert first.gates[0].public == box.public
        assert [(lane.id, lane.zone) for lane in first.gates[0].lanes] == [(1, 1), (2, 3)]
        assert load_roster(data, box) == first
        await venue.enrolled(tmp_path / "again")
        assert await documents.take_roster(await gate_of(venue, tmp_path / "again")) != first


async def gate_of(venue: Venue, folder: Path) -> bytes:

    async with Centre(load(folder)) as centre:
        venue.now_s += 60
        return await centre.roster()


@pytest.mark.parametrize("form", [1, 2])
def test_a_key_file_of_an_earlier_format_is_brought_up_to_date(tmp_path: Path, form: int) -> None:
    names = ("identity", "lists", "time", "tickets") + (("successor", "roster", "pages") if form == 2 else ())
    old = {name: os.urandom(32) for name in names}
    more = {"format": 2, "number": 7} if form == 2 else {}
    (tmp_path / FILE).write_bytes(msgspec.json.encode({**old, **more}))
    keys = load_or_make(tmp_path, may_make=False)
    assert {name: getattr(keys.held, name) for name in old} == old
    # What was stored under the identity is read still, whatever becomes of that.
    assert (keys.accounts, keys.number) == (old["identity"], 7 if form == 2 else 1)
    assert rolled(keys, Role.IDENTITY).accounts == keys.accounts
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert load_or_make(tmp_path, may_make=False) == keys
    (tmp_path / FILE).write_bytes(b'{"format":4}')
    with pytest.raises(CentreFault, match="another version"):
        load_or_make(tmp_path, may_make=False)


def test_a_running_centre_takes_up_every_key(tmp_path: Path) -> None:
    keys = load_or_make(tmp_path, may_make=True)
    first = keys.held
    for role in Role:
        before = keys.held
        assert roll(tmp_path, role) == keys
        assert keys.held != before
    assert keys.number == first.number + len(Role) - 1, (
        "gates are told of all; ticket keys come with the list"
    )
    assert keys.ticket_publics == (
        keys.ticket_key.public_key().public_bytes_raw(),
        Ed25519PrivateKey.from_private_bytes(first.tickets).public_key().public_bytes_raw(),
    )
    assert keys.accounts == first.accounts
    now = keys.held
    (tmp_path / FILE).write_bytes(b"no keys")
    assert keys.held == now, "the keys of before stay in use"
    replace(tmp_path, keys)
    assert keys.held == now
    assert load_or_make(tmp_path, may_make=False) == keys
