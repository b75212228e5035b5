"""One frame being collected: bounded, timed, and thrown away whole once a part of it is lost."""

from collections.abc import Callable

from drivers.base import SCAN_BYTES_MAX, Garbled, Medium, Scan
from drivers.framing.aim import split_aim

Framed = Scan | Garbled

Complete = Callable[[bytes], bool]
"""Says that a text needs no terminator. Given by composition, since a driver knows no ticket. Asked once for each
chunk that came in, so it must be cheap for a text that is none of its own."""

TOO_LONG = "too_long"
CUT = "cut"
"""The rest of a code did not come."""
EVENTS_LOST = "events_lost"
BAD_ALT_CODE = "bad_alt_code"


class Frame:
    """Collects the bytes of one code; finished frames are appended to the caller's list.

    A lost frame (`lose`, or more than SCAN_BYTES_MAX) is told once as `Garbled`; what follows is swallowed until
    `end`. Ending an empty frame gives nothing, so CR LF is one terminator.
    """

    __slots__ = ("_aim", "_complete", "_data", "_first_ns", "_last_ns", "_lost")

    def __init__(self, *, aim: bool = True, complete: Complete | None = None) -> None:
        self._aim = aim
        self._complete = complete
        self._data = bytearray()
        self._lost = False
        self._first_ns = 0
        self._last_ns = 0

    @property
    def pending(self) -> bool:
        """Whether a quiet line would end something."""
        return self._lost or bool(self._data)

    @property
    def size(self) -> int:
        """Bytes held of a frame that is not whole."""
        return len(self._data)

    @property
    def held(self) -> bytes:
        """What has come of a frame that is not whole."""
        return bytes(self._data)

    def add(self, data: bytes, at_ns: int, out: list[Framed]) -> None:
        """Take the next bytes."""
        if self._lost or not data:
            return
        if len(self._data) + len(data) > SCAN_BYTES_MAX:
            self._data.clear()
            self._lost = True
            # The size at which we stopped, so that it does not depend on how the bytes were cut up.
            out.append(Garbled(TOO_LONG, SCAN_BYTES_MAX + 1, at_ns))
            return
        if not self._data:
            self._first_ns = at_ns
        self._last_ns = at_ns
        self._data += data

    def lose(self, why: str, at_ns: int, out: list[Framed]) -> None:
        """Throw the frame away; its rest, up to the next `end`, is not to be trusted either."""
        if not self._lost:
            out.append(Garbled(why, len(self._data), at_ns))
        self._data.clear()
        self._lost = True

    def end(self, last_ns: int | None, out: list[Framed]) -> None:
        """Finish the frame. `last_ns`: when its terminator came, or None where a quiet line ended it."""
        if self._data:
            data = bytes(self._data)
            aim, text = split_aim(data) if self._aim else ("", data)
            if text:
                last = self._last_ns if last_ns is None else last_ns
                out.append(Scan(text, Medium.BARCODE, aim, self._first_ns, last))
        self._data.clear()
        self._lost = False

    def end_if_complete(self, out: list[Framed]) -> None:
        """Finish at once a text that says by itself that nothing is missing."""
        if self._complete is None or not self._data:
            return
        data = bytes(self._data)
        if self._complete(split_aim(data)[1] if self._aim else data):
            self.end(None, out)


_ENDS = b"\r\n\x03\x00"
_STX = b"\x02"


def trimmed(framed: Framed) -> Framed | None:
    """Take off what a scanner was told to send around a code that came in packets; None where nothing is left."""
    if isinstance(framed, Garbled):
        return framed
    text = framed.data.rstrip(_ENDS).removeprefix(_STX)
    return Scan(text, framed.medium, framed.aim, framed.first_ns, framed.last_ns) if text else None
