"""The certificate: made once, for this box's names and addresses, kept, replaced only when unusable."""

import hashlib
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.front import tls

NAMES = ("localhost", "box", "box.local", "gate 1", "10.0.0.1")
ADDRESSES = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("2001:db8::7"))


def test_a_certificate_is_made_that_browsers_take(tmp_path: Path) -> None:
    made = tls.certificate(tmp_path, NAMES, ADDRESSES)
    found = x509.load_pem_x509_certificate(made.cert.read_bytes())
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "box", "box.local"]
    assert tuple(names.get_values_for_type(x509.IPAddress)) == ADDRESSES
    der = found.public_bytes(serialization.Encoding.DER)
    assert made.fingerprint == hashlib.sha256(der).hexdigest()
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert made.context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_it_stays(tmp_path: Path) -> None:
    first = tls.certificate(tmp_path, NAMES, ADDRESSES)
    assert tls.certificate(tmp_path, ("other",), ()).fingerprint == first.fingerprint


def test_another_one_put_in_its_place_is_used(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    tls.certificate(tmp_path / "a", NAMES, ADDRESSES)
    other = tls.certificate(tmp_path / "b", NAMES, ADDRESSES)
    for name in (tls.CERT_FILE, tls.KEY_FILE):
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    assert tls.certificate(tmp_path / "a", NAMES, ADDRESSES).fingerprint == other.fingerprint


def test_an_unusable_one_is_set_aside(tmp_path: Path) -> None:
    first = tls.certificate(tmp_path, NAMES, ADDRESSES)
    first.key.write_text("-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n")
    second = tls.certificate(tmp_path, NAMES, ADDRESSES)
    assert second.fingerprint != first.fingerprint
    assert second.context()
    assert "broken" in (tmp_path / "page-key.unusable").read_text()


def test_names_and_addresses_of_this_box() -> None:
    assert tls.own_names("gate-7.venue.example") == (
        "localhost",
        "gate-7.venue.example",
        "gate-7",
        "gate-7.local",
    )
    assert tls.own_addresses()[:2] == (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
    assert tls.grouped("00ffa1") == "00:FF:A1"
