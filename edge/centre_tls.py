"""TLS to the centre on a box whose clock may be years off (DESIGN.md, Time).

A certificate that is not valid yet, or no longer, by a wrong clock would keep the box from the only one who could tell it
the time. So there are three ways to look at dates, one at a time: by the box's own clock, as everybody does; by a time that
the centre signed for our nonce; and not at all, for what proves itself without TLS (that signed time, the key document).
Name, chain and authority are checked in all three.
"""

import ssl
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; the ssl module has no name for it."""
DATE_ERRORS = frozenset((9, 10))
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


class CentreTls:
    """The client's side of TLS. `context` is the one to connect with; new connections go by what was set last."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._now_s: Callable[[], int] | None = None
        self.context = _context(ca_file, self._look)

    @cached_property
    def undated(self) -> ssl.SSLContext:
        """For answers that prove themselves: takes a certificate of any date.

        Made when first asked for, which a box whose clock is right never does: each context holds all of the system's
        authorities, a megabyte.
        """
        made = _context(self._ca_file)
        made.verify_flags |= NO_CHECK_TIME
        return made

    @property
    def by_centre(self) -> bool:
        """Whether dates are held against what the centre said, not against the box's clock."""
        return self._now_s is not None

    def by_own_clock(self) -> None:
        """Let OpenSSL look at dates by the box's clock."""
        self._now_s = None
        self.context.verify_flags &= ~NO_CHECK_TIME

    def by_time(self, now_s: Callable[[], int]) -> None:
        """Hold the dates of the centre's own certificate against a time that is known. Those above it are not looked at:
        neither the ssl module nor OpenSSL through it can be told what time it is."""
        self._now_s = now_s
        self.context.verify_flags |= NO_CHECK_TIME

    def _look(self, peer: "ssl.SSLObject | ssl.SSLSocket") -> None:
        """ssl.SSLCertVerificationError for a certificate that is not valid at the time that is known."""
        if self._now_s is None:
            return
        now_s, found = self._now_s(), peer.getpeercert()
        from_s, until_s = (_seconds(found, name) for name in ("notBefore", "notAfter"))
        if not from_s <= now_s <= until_s:
            error = ssl.SSLCertVerificationError("the certificate is not valid by the centre's own time")
            error.verify_code = min(DATE_ERRORS) if now_s < from_s else max(DATE_ERRORS)
            raise error


def is_about_dates(error: BaseException | None) -> bool:
    """Whether a connection failed, somewhere down the chain of causes, by nothing but the dates of a certificate."""
    while error is not None:
        if (code := getattr(error, "verify_code", None)) is not None:
            return code in DATE_ERRORS
        error = error.__cause__ or error.__context__
    return False


def _seconds(found: object, name: str) -> int:
    """Return a date of a certificate; 0, which no time fits, where it has none."""
    text = found.get(name) if isinstance(found, dict) else None
    return ssl.cert_time_to_seconds(text) if isinstance(text, str) else 0


Look = Callable[["ssl.SSLObject | ssl.SSLSocket"], None]


def _context(ca_file: Path | None, look: Look = lambda _peer: None) -> ssl.SSLContext:
    """Return what a client begins with; `look` is called after each handshake, and ends it by raising."""

    class Handshake(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            look(self)

    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            look(self)

    context = ssl.create_default_context(cafile=ca_file)
    context.sslobject_class, context.sslsocket_class = Handshake, Socket
    return context
