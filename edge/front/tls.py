"""The page's certificate: self-signed at first start, kept until somebody puts another one in its place.

P-256, not Ed25519: no browser in use accepts an Ed25519 certificate. A person compares the fingerprint once.
"""

import fcntl
import hashlib
import ipaddress
import logging
import os
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

CERT_FILE = "page-cert.pem"
KEY_FILE = "page-key.pem"
UNTIL_FILE = "page-cert.until"
"""Until when a certificate of the venue's authority is good, unix seconds; a self-signed one has no such file."""
RENEW_S = 30 * 86_400
"""Left of a certificate when another is asked for: a box may be in its cupboard for weeks."""
ADDRESSES_MAX = 64
MAKE_MAX_S = 60.0
"""Starting a process takes seconds where card and processor are slow and busy; whoever waits longer tries again."""
_SIOCGIFADDR = 0x8915

log = logging.getLogger("edge.front.tls")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate in use. `fingerprint`: SHA-256 of its DER, hexadecimal, as browsers show it."""

    cert: Path
    key: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """Return the server side of TLS 1.2 and 1.3 with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert, self.key)
        return context


def certificate(data: Path, names: Iterable[str], addresses: Iterable[Address]) -> Certificate:
    """Return the certificate in `data`; made now where there is none, or where it cannot be used.

    Blocks while it is made, some seconds on a small box. OSError or subprocess.SubprocessError where it cannot be.
    """
    found = Certificate(data / CERT_FILE, data / KEY_FILE, "")
    if found.cert.exists() or found.key.exists():
        try:
            found.context()
            return Certificate(found.cert, found.key, _fingerprint(found.cert.read_bytes()))
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            log.warning(
                "the page's certificate cannot be used: set aside, a new one is made",
                extra={"code": "page.certificate"},
            )
            for path in (found.cert, found.key):
                if path.exists():
                    path.rename(path.with_suffix(".unusable"))
    key_pem, cert_pem = _made(names, addresses)
    _write(found.key, key_pem)
    _write(found.cert, cert_pem)
    return Certificate(found.cert, found.key, _fingerprint(cert_pem))


class PageTls:
    """The page's TLS while it is served, so that its certificate can be replaced under way."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._context: ssl.SSLContext | None = None
        self._names: tuple[str, ...] = ()
        self._addresses: tuple[Address, ...] = ()

    def serve(
        self, certificate: Certificate, names: tuple[str, ...], addresses: tuple[Address, ...]
    ) -> ssl.SSLContext:
        """Return the context to serve with; new connections get what is installed later."""
        self._names, self._addresses = names, addresses
        self._context = certificate.context()
        return self._context

    def is_due(self, now_s: int) -> bool:
        """Whether the centre should be asked for a certificate."""
        if self._context is None:
            return False
        try:
            until_s = int((self._data / UNTIL_FILE).read_text())
        except (OSError, ValueError):
            until_s = 0
        return until_s - now_s < RENEW_S

    def request(self) -> bytes:
        """Return a request for a certificate (PKCS #10, DER) for the page's key. Blocks. OSError, SubprocessError."""
        return _asked_of_process(self._names, self._addresses, str(self._data / KEY_FILE))

    def install(self, chain: bytes, until_s: int) -> None:
        """Put a certificate in the place of the one before. OSError, and nothing changes, where it does not fit."""
        cert, key, trial = self._data / CERT_FILE, self._data / KEY_FILE, self._data / (CERT_FILE + ".trial")
        _write(trial, chain)
        Certificate(trial, key, "").context()
        trial.rename(cert)
        _write(self._data / UNTIL_FILE, str(until_s).encode())
        if self._context is not None:
            self._context.load_cert_chain(cert, key)


def own_names(host: str) -> tuple[str, ...]:
    """The names by which a browser on the spot reaches this box."""
    short = host.partition(".")[0]
    return tuple(
        dict.fromkeys(name for name in ("localhost", host, short, f"{short}.local") if name.strip("."))
    )


def own_addresses() -> tuple[Address, ...]:
    """The addresses of this box's interfaces now, loopback first."""
    found: list[Address] = [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an IPv4 address
            found.append(ipaddress.IPv4Address(answer[20:24]))
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines()
    except OSError:
        lines = []
    found += [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    return tuple(dict.fromkeys(one for one in found if not one.is_link_local))[:ADDRESSES_MAX]


def grouped(fingerprint: str) -> str:
    """Write a fingerprint as browsers do: AB:CD:…"""
    text = fingerprint.upper()
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))


def _made(names: Iterable[str], addresses: Iterable[Address]) -> tuple[bytes, bytes]:
    """Return a new key and certificate, PEM, made by a process of its own, which gives its memory back."""
    said = _asked_of_process(names, addresses)
    at = said.index(ssl.PEM_HEADER.encode())
    return said[:at], said[at:]


def _asked_of_process(names: Iterable[str], addresses: Iterable[Address], key: str = "") -> bytes:
    asked = msgspec.json.encode(
        {"names": list(names), "addresses": [str(one) for one in addresses], "key": key}
    )
    return subprocess.run(
        [sys.executable, "-m", "edge.front.self_signed", asked.decode()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        timeout=MAKE_MAX_S,
    ).stdout


def _fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate of a file; ValueError where there is none."""
    first, end, _ = pem.decode("ascii").partition(ssl.PEM_FOOTER)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[first.find(ssl.PEM_HEADER) :] + end)).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file durably; readable by the gate alone."""
    new = path.with_suffix(".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
