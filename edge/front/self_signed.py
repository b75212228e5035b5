"""Makes the page's certificate: P-256, for every name and address by which a browser may reach this box.

A process of its own, `python -m edge.front.self_signed '{"names": […], "addresses": […]}'`, which prints the key and then
the certificate, PEM: what x509 needs is 8 MB, wanted once in the life of a box, and a process gives it back.
"""

import datetime as dt
import ipaddress
import sys
from collections.abc import Iterable

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


def make(
    names: Iterable[str], addresses: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]
) -> tuple[bytes, bytes]:
    """Return key and certificate, PEM. Valid from the build date, not the clock's: a box may wake up in 1970."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse")])
    start = dt.datetime.fromtimestamp(BUILD_TIME_S, dt.UTC) - dt.timedelta(days=1)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names if _is_dns_name(name)]
    alternatives += [x509.IPAddress(address) for address in addresses]
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
        .add_extension(x509.SubjectAlternativeName(alternatives[:NAMES_MAX]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, made.public_bytes(serialization.Encoding.PEM)


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
    for part in make(asked.names, map(ipaddress.ip_address, asked.addresses)):
        sys.stdout.write(part.decode("ascii"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
