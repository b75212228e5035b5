"""Makes the page's certificate: P-256, for every name and address by which a browser may reach this box.

A process of its own, `python -m edge.front.self_signed '{"names": […], "addresses": […]}'`, which prints the key and then
the certificate, PEM; with `"key": FILE` a request for a certificate for that key, DER. What x509 needs is 8 MB, wanted once in the life of a box, and a process gives it back.
"""

import datetime as dt
import ipaddress
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.clock import BUILD_TIME_S

LIFE_DAYS = 3650
"""An appliance's: it is trusted by its fingerprint, and a box in a cupboard must not lock its page by age."""
NAMES_MAX = 128


class Asked(msgspec.Struct, frozen=True):
    """What a certificate shall be good for."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    key: str = ""
    """File of the key to ask for, PEM; empty for a new key and a self-signed certificate."""


def make(
    names: Iterable[str], addresses: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]
) -> tuple[bytes, bytes]:
    """Return key and certificate, PEM. Valid from the build date, not the clock's: a box may wake up in 1970."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse")])
    start = dt.datetime.fromtimestamp(BUILD_TIME_S, dt.UTC) - dt.timedelta(days=1)
    alternatives = _alternatives(names, addresses)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=LIFE_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, made.public_bytes(serialization.Encoding.PEM)


def request(
    key: ec.EllipticCurvePrivateKey,
    names: Iterable[str],
    addresses: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> bytes:
    """Return a request for a certificate, DER, for what the venue's authority vouches for: names on the spot."""
    local = (name for name in names if "." not in name or name.endswith((".local", ".internal")))
    private = (one for one in addresses if one.is_private or one.is_loopback)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject)
    asked = asked.add_extension(x509.SubjectAlternativeName(_alternatives(local, private)), critical=False)
    return asked.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _alternatives(
    names: Iterable[str], addresses: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]
) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = [x509.DNSName(name) for name in names if _is_dns_name(name)]
    found += [x509.IPAddress(address) for address in addresses]
    return found[:NAMES_MAX]


def _is_dns_name(name: str) -> bool:
    """Whether a name may stand in a certificate; a box may be called anything."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.isascii() and 0 < len(name) <= 253 and " " not in name
    return False


def main(arguments: list[str]) -> int:
    """Print a key and a certificate for what the one argument asks."""
    asked = msgspec.json.decode(arguments[0], type=Asked)
    addresses = [ipaddress.ip_address(one) for one in asked.addresses]
    if asked.key:
        key = serialization.load_pem_private_key(Path(asked.key).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            sys.stderr.write("the page's key is not one on an elliptic curve\n")
            return 1
        sys.stdout.buffer.write(request(key, asked.names, addresses))
        return 0
    for part in make(asked.names, addresses):
        sys.stdout.write(part.decode("ascii"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
