"""Readers behind the PC/SC service (`pcscd`), by its own library `libpcsclite.so.1`.

`Service`, `Session` and `Link` are all that the driver needs of it, so that the simulated service (`drivers.sims.pcsc_service`)
has the same shape. Every call of a session may wait: it belongs to a thread of its own, and only `cancel` may come from another.

The library is called directly and not through pyscard: that has no wheel for Linux on any architecture, so each box would need
swig, a compiler and headers; the library comes with the service, and the few functions used here are the same since 2009.
"""

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured

APDU_BYTES_MAX: Final = 264
"""A short APDU's answer is 256 bytes and two of status; some readers send a little more."""
ATR_BYTES_MAX: Final = 33
READERS_BYTES_MAX: Final = 8192
"""Names of 16 readers (the service's own limit) with room to spare."""


class CardLost(Exception):
    """The card was taken away, or does not answer any more: no error of the reader."""


class Cancelled(Exception):
    """`cancel` ended a wait."""


@dataclass(frozen=True, slots=True)
class CardStatus:
    """How a reader's field stands. `known`: to be handed back, so that the next wait ends with the next change.

    `taps`: the service's count of what came and went, so that a card that was swapped meanwhile is not missed.
    """

    known: int
    present: bool
    taps: int


class Link(Protocol):
    """A card that is powered; `atr` is what it, or the reader for it, said of itself then."""

    atr: bytes

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command to the card, or to the reader where it begins with FF; return answer and status word.

        Raises CardLost or DriverError.
        """
        ...

    def close(self) -> None:
        """Let the card be. Never raises."""
        ...


class Session(Protocol):
    """One client of the service."""

    def readers(self) -> tuple[str, ...]:
        """The readers by name; none is no error."""
        ...

    def wait(self, reader: str, known: int, timeout_ms: int) -> CardStatus:
        """Wait until a reader's field is another than `known` (0 at first), or for the time. Raises Cancelled."""
        ...

    def connect(self, reader: str) -> Link:
        """Power the card; CardLost where there is none that answers."""
        ...

    def cancel(self) -> None:
        """End the wait that is under way in another thread. Never raises."""
        ...

    def close(self) -> None:
        """End the session. Never raises."""
        ...


class Service(Protocol):
    """The PC/SC service of a machine."""

    def open(self) -> Session:
        """Begin a session; raises DriverError."""
        ...


# --- the machine's own, by winscard.h of pcsc-lite -----------------------------------------------------------------

_OK: Final = 0x00000000
_CANCELLED: Final = 0x80100002
_TIMEOUT: Final = 0x8010000A
_NO_READERS: Final = 0x8010002E
_SCOPE_SYSTEM: Final = 2
_SHARE_SHARED: Final = 2
_PROTOCOL_T0_OR_T1: Final = 3
_LEAVE_CARD: Final = 0
_STATE_CHANGED: Final = 0x0002
_STATE_UNKNOWN: Final = 0x0004
_STATE_UNAVAILABLE: Final = 0x0008
_STATE_PRESENT: Final = 0x0020
_STATE_MUTE: Final = 0x0200

_NO_SERVICE: Final = frozenset({0x8010001D, 0x8010001E, 0x80100013})
"""NO_SERVICE, SERVICE_STOPPED, and COMM_ERROR where its socket breaks."""
_NO_READER: Final = frozenset({0x80100009, 0x80100017, _NO_READERS})
"""UNKNOWN_READER, READER_UNAVAILABLE, NO_READERS_AVAILABLE."""
_HUNG_UP: Final = frozenset({0x8010006A, 0x80100027})
"""W_SECURITY_VIOLATION, NO_ACCESS: polkit said no, or the service ended just then; the library cannot tell."""
_NO_CARD: Final = frozenset(
    {
        0x8010000C,  # E_NO_SMARTCARD
        0x80100010,  # E_NOT_READY
        0x80100016,  # E_NOT_TRANSACTED: the card left in the middle of a command
        0x8010000F,  # E_PROTO_MISMATCH
        0x8010002F,  # E_COMM_DATA_LOST
        0x80100066,  # W_UNRESPONSIVE_CARD
        0x80100067,  # W_UNPOWERED_CARD
        0x80100068,  # W_RESET_CARD
        0x80100069,  # W_REMOVED_CARD
    }
)


class _ReaderState(ctypes.Structure):
    _fields_ = (
        ("reader", ctypes.c_char_p),
        ("user_data", ctypes.c_void_p),
        ("current", ctypes.c_ulong),
        ("event", ctypes.c_ulong),
        ("atr_bytes", ctypes.c_ulong),
        ("atr", ctypes.c_ubyte * ATR_BYTES_MAX),
    )


class _IoRequest(ctypes.Structure):
    _fields_ = (("protocol", ctypes.c_ulong), ("bytes", ctypes.c_ulong))


def failure(code: int, reader: str = "") -> Exception:
    """What a return code means for whoever drives the reader."""
    if code in _NO_CARD:
        return CardLost(f"0x{code:08X}")
    if code in _NO_SERVICE:
        return DeviceGone("the PC/SC service does not run", "Start it: systemctl start pcscd.socket")
    if code in _NO_READER:
        return reader_gone(reader, ())
    if code in _HUNG_UP:
        return DeviceGone(
            "the PC/SC service hangs up",
            "If it stays so, it lets the gate's user at no reader: run systemd/install.sh edge again, for its polkit rule.",
        )
    return DeviceMisbehaved(f"the PC/SC service says 0x{code:08X}", "Restart it: systemctl restart pcscd")


def reader_gone(wanted: str, there: tuple[str, ...]) -> DriverError:
    """A reader is not there."""
    listed = ", ".join(there) or "none"
    return DeviceGone(
        f"no PC/SC reader {wanted or 'at all'} (there: {listed})",
        "Check its cable; `pcsc_scan -r` lists readers.",
    )


class PcscLite:
    """The machine's real service."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libpcsclite.so.1")
        except OSError as error:
            raise Misconfigured(
                "the PC/SC service is not installed", "Install it: apt install pcscd libccid"
            ) from error
        self._library = library

    def open(self) -> "PcscSession":
        """Begin a session with the service."""
        context = ctypes.c_long()
        code = _call(
            self._library.SCardEstablishContext,
            ctypes.c_ulong(_SCOPE_SYSTEM),
            None,
            None,
            ctypes.byref(context),
        )
        if code != _OK:
            raise failure(code)
        return PcscSession(self._library, context)


class PcscSession:
    """A context of the service (Session)."""

    def __init__(self, library: ctypes.CDLL, context: ctypes.c_long) -> None:
        self._library = library
        self._context = context

    def readers(self) -> tuple[str, ...]:
        """The readers by name."""
        names = ctypes.create_string_buffer(READERS_BYTES_MAX)
        size = ctypes.c_ulong(READERS_BYTES_MAX)
        code = _call(self._library.SCardListReaders, self._context, None, names, ctypes.byref(size))
        if code == _NO_READERS:
            return ()
        if code != _OK:
            raise failure(code)
        return tuple(one.decode("utf-8", "replace") for one in names.raw[: size.value].split(b"\0") if one)

    def wait(self, reader: str, known: int, timeout_ms: int) -> CardStatus:
        """Wait for a change of a reader's field."""
        state = _ReaderState(reader=reader.encode(), current=known)
        code = _call(
            self._library.SCardGetStatusChange,
            self._context,
            ctypes.c_ulong(timeout_ms),
            ctypes.byref(state),
            ctypes.c_ulong(1),
        )
        if code == _CANCELLED:
            raise Cancelled
        if code not in {_OK, _TIMEOUT}:
            raise failure(code, reader)
        if state.event & (_STATE_UNKNOWN | _STATE_UNAVAILABLE):
            raise reader_gone(reader, self.readers())
        now = known if code == _TIMEOUT else state.event & ~_STATE_CHANGED
        present = bool(now & _STATE_PRESENT) and not now & _STATE_MUTE
        return CardStatus(now, present, now >> 16 & 0xFFFF)

    def connect(self, reader: str) -> "PcscLink":
        """Power the card, beside whoever else has it open."""
        card, protocol = ctypes.c_long(), ctypes.c_ulong()
        code = _call(
            self._library.SCardConnect,
            self._context,
            reader.encode(),
            ctypes.c_ulong(_SHARE_SHARED),
            ctypes.c_ulong(_PROTOCOL_T0_OR_T1),
            ctypes.byref(card),
            ctypes.byref(protocol),
        )
        if code != _OK:
            raise failure(code, reader)
        link = PcscLink(self._library, card, protocol.value)
        try:
            link.identify()
        except BaseException:
            link.close()
            raise
        return link

    def cancel(self) -> None:
        """End a wait."""
        _call(self._library.SCardCancel, self._context)

    def close(self) -> None:
        """Release the context."""
        _call(self._library.SCardReleaseContext, self._context)


class PcscLink:
    """A card's handle (Link)."""

    def __init__(self, library: ctypes.CDLL, card: ctypes.c_long, protocol: int) -> None:
        self._library = library
        self._card = card
        self._request = _IoRequest(protocol, ctypes.sizeof(_IoRequest))
        self.atr = b""

    def identify(self) -> None:
        """Take the ATR. A card that nobody had powered has none before it is connected to."""
        name, atr = (ctypes.create_string_buffer(size) for size in (READERS_BYTES_MAX, ATR_BYTES_MAX))
        sizes = [ctypes.c_ulong(one) for one in (READERS_BYTES_MAX, ATR_BYTES_MAX)]
        state, protocol = ctypes.c_ulong(), ctypes.c_ulong()
        code = _call(
            self._library.SCardStatus,
            self._card,
            name,
            ctypes.byref(sizes[0]),
            ctypes.byref(state),
            ctypes.byref(protocol),
            atr,
            ctypes.byref(sizes[1]),
        )
        if code != _OK:
            raise failure(code)
        self.atr = atr.raw[: sizes[1].value]

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command, return what answers."""
        answer = ctypes.create_string_buffer(APDU_BYTES_MAX)
        size = ctypes.c_ulong(APDU_BYTES_MAX)
        code = _call(
            self._library.SCardTransmit,
            self._card,
            ctypes.byref(self._request),
            apdu,
            ctypes.c_ulong(len(apdu)),
            None,
            answer,
            ctypes.byref(size),
        )
        if code != _OK:
            raise failure(code)
        return answer.raw[: size.value]

    def close(self) -> None:
        """Disconnect, the card left as it is."""
        with contextlib.suppress(OSError):
            _call(self._library.SCardDisconnect, self._card, ctypes.c_ulong(_LEAVE_CARD))


def _call(function: "ctypes._NamedFuncPointer", *arguments: object) -> int:
    """Call a function of the library, without the interpreter's lock; codes are LONG there, and unsigned in its header."""
    function.restype = ctypes.c_long
    return int(function(*arguments)) & 0xFFFFFFFF
