"""Certificates for gates' own pages: the venue's authority vouches for a name that only means something on the spot.

P-256, not Ed25519: no browser in use accepts an Ed25519 certificate. An organizer who trusts the authority on a device sees
no warning at any gate; so it must never vouch for a name of the public internet, whichever gate asks (`_may_vouch`).
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from admission.ids import GateId
from sync.keys import VenueKeys

LIFE_DAYS = 90
AUTHORITY_DAYS = 3650
CLOCK_OFF_DAYS = 1
"""A device's clock may be behind."""
REQUEST_BYTES_MAX = 16 * 1024
"""128 names take 6 kB."""
NAMES_MAX = 128


class RequestRefused(ValueError):
    """A request that no gate of ours makes, or for a name that is not a gate's to have."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the authority's, PEM, and until when it is good, unix seconds."""

    chain: bytes
    until_s: int


def authority(keys: VenueKeys, now_s: int) -> x509.Certificate:
    """Return the authority's certificate. Any two with the same key are as good: devices go by key and name."""
    key = _key(keys)
    start = _day(now_s)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(keys))
        .issuer_name(_name(keys))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(_fingerprint(keys)[:8], "big") | 1)
        .not_valid_before(start - dt.timedelta(days=CLOCK_OFF_DAYS))
        .not_valid_after(start + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def issue(keys: VenueKeys, gate: GateId, request: bytes, now_s: int) -> Issued:
    """Certify the key and names of a gate's request (PKCS #10, DER). RequestRefused."""
    public, names = _read(request)
    mine, key = authority(keys, now_s), _key(keys)
    start = dt.datetime.fromtimestamp(now_s, dt.UTC)
    end = start + dt.timedelta(days=LIFE_DAYS)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gatehouse gate {gate}")]))
        .issuer_name(mine.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - dt.timedelta(days=CLOCK_OFF_DAYS))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Issued(made.public_bytes(pem) + mine.public_bytes(pem), int(end.timestamp()))


def _read(request: bytes) -> tuple[ec.EllipticCurvePublicKey, list[x509.GeneralName]]:
    if len(request) > REQUEST_BYTES_MAX:
        raise RequestRefused("the request is larger than any a gate makes")
    try:
        asked = x509.load_der_x509_csr(request)
        genuine = asked.is_signature_valid
        public = asked.public_key()
        names = list(asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise RequestRefused("this is no request for a certificate") from error
    if (
        not genuine
        or not isinstance(public, ec.EllipticCurvePublicKey)
        or not isinstance(public.curve, ec.SECP256R1)
    ):
        raise RequestRefused("the request is not signed by a P-256 key of its own")
    if not 0 < len(names) <= NAMES_MAX:
        raise RequestRefused(f"a page has 1 to {NAMES_MAX} names")
    for name in names:
        if not _may_vouch(name):
            raise RequestRefused(
                f"{name.value} is not a name on the spot: one without a dot, one that ends in .local or "
                ".internal, or a private address"
            )
    return public, names


def _may_vouch(name: x509.GeneralName) -> bool:
    """Whether a name means something only on the spot (RFC 6762; RFC 1918, 4193; .internal is reserved by ICANN)."""
    if isinstance(name, x509.IPAddress):
        address = name.value
        return isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address) and (
            address.is_private or address.is_loopback or address.is_link_local
        )
    if not isinstance(name, x509.DNSName):
        return False
    text = name.value.lower()
    labels = text.split(".")
    formed = all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum() for label in labels
    )
    return formed and (len(labels) == 1 or labels[-1] in {"local", "internal"})


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _key(keys: VenueKeys) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(keys.pages, "big"), ec.SECP256R1())


def _fingerprint(keys: VenueKeys) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        _key(keys)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return digest.finalize()


def _name(keys: VenueKeys) -> x509.Name:
    """Each venue's authority has a name of its own, or a device could hold only one of them."""
    text = f"Gatehouse pages {_fingerprint(keys)[:4].hex()}"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _day(now_s: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(now_s - now_s % 86_400, dt.UTC)
