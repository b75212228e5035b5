"""Codes from a byte stream: serial scanners over CDC-ACM or RS-232, without I/O.

A scanner's terminator is a setting of the scanner: Zebra sends none out of the box, others CR, LF, CR LF, ETX. A host set
to one of them hands the other over to the next code (a stray LF in front of a ticket). So any of them ends a frame,
empty frames are swallowed, and a quiet line ends what nothing else did.
"""

import re

from drivers.base import Garbled, Scan
from drivers.framing.endings import Endings
from drivers.framing.frame import CUT, Complete, Frame, Framed

STX = b"\x02"
ETX = b"\x03"
_MARK = re.compile(rb"[\x02\x03]")
_TERMINATORS = frozenset({b"\r", b"\n", b"\x03", b"\x00"})
_TERMINATOR = re.compile(rb"[\r\n\x03\x00]")
_WHOLE = re.compile(rb"([^\r\n\x00\x02\x03]+)(?:\r\n?|[\n\x00\x03])")
"""A code that came in one piece, with its terminator: what a USB scanner sends."""


class LineFramer:
    """Bytes in, `Scan` and `Garbled` out.

    `gap_ns`: how long the line must be quiet to end a frame. `binary`: the payload may hold any byte, so only the
    quiet gap ends a frame. `aim`: strip AIM identifiers. `complete`: see `drivers.framing.frame.Complete`. `endings`: a code
    that the gap ends is doubted where all the others had an end.
    """

    def __init__(
        self,
        *,
        gap_ns: int,
        binary: bool = False,
        aim: bool = True,
        complete: Complete | None = None,
        endings: Endings | None = None,
    ) -> None:
        self._frame = Frame(aim=aim, complete=complete)
        self._gap_ns = gap_ns
        self._binary = binary
        self._endings = endings
        self._heard_ns = 0
        self._coded = self._ended = False
        """Since the last silence: whether a code came, and whether the last byte was an end."""

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        return self._heard_ns + self._gap_ns if self._frame.pending else None

    @property
    def size(self) -> int:
        """Bytes held of a code that is not whole."""
        return self._frame.size

    def feed(self, data: bytes, now_ns: int) -> list[Framed]:
        """Take bytes read at `now_ns`.

        A late read never splits a frame: only `quiet` does, which is called after looking for more bytes.
        """
        out: list[Framed] = []
        if self._endings is not None:
            self._look_back(self._endings, now_ns)
        self._heard_ns = now_ns
        self._take(data, now_ns, out)
        self._coded = self._coded or any(isinstance(one, Scan) for one in out)
        self._ended = data[-1:] in _TERMINATORS
        return out

    def distrust(self, now_ns: int) -> list[Framed]:
        """Take what comes up to the next end for the rest of something; told at once."""
        out: list[Framed] = []
        self._heard_ns = now_ns
        self._frame.lose(CUT, now_ns, out)
        return out

    def _look_back(self, endings: Endings, now_ns: int) -> None:
        """Learn from what came before the silence that is over now, if it is."""
        if self._frame.pending:
            return
        if self._coded and now_ns - self._heard_ns >= self._gap_ns:
            endings.burst(ended=self._ended)
            self._coded = False
        if endings.is_rest(now_ns):
            self._frame.lose(CUT, now_ns, [])  # it was told

    def _take(self, data: bytes, now_ns: int, out: list[Framed]) -> None:
        whole = None if self._binary or self._frame.pending else _WHOLE.fullmatch(data)
        if whole is not None:
            self._frame.add(whole[1], now_ns, out)
            self._frame.end(now_ns, out)
            return
        if self._binary:
            self._frame.add(data, now_ns, out)
        else:
            parts = _TERMINATOR.split(data)
            for part in parts[:-1]:
                self._frame.add(part.replace(STX, b""), now_ns, out)
                self._frame.end(now_ns, out)
            self._frame.add(parts[-1].replace(STX, b""), now_ns, out)
        self._frame.end_if_complete(out)

    def quiet(self, now_ns: int) -> list[Framed]:
        """End the frame if the line has been quiet for the gap."""
        out: list[Framed] = []
        deadline_ns = self.deadline_ns
        if deadline_ns is not None and now_ns >= deadline_ns:
            if (
                self._endings is not None
                and self._frame.size
                and self._endings.is_cut(self._frame.held, now_ns)
            ):
                self._frame.lose(CUT, now_ns, out)
            self._frame.end(None, out)
            self._coded = False
        return out


class EnvelopeFramer:
    """Codes between STX and ETX, from scanners that are set to send both: what is outside, or lacks either, is none.

    Line ends inside belong to the code. `gap_ns`: a code whose ETX has not come after so long a quiet is given up.
    """

    def __init__(self, *, gap_ns: int, aim: bool = True) -> None:
        self._frame = Frame(aim=aim)
        self._gap_ns = gap_ns
        self._inside = False
        self._heard_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        return self._heard_ns + self._gap_ns if self._inside else None

    def feed(self, data: bytes, now_ns: int) -> list[Framed]:
        """Take bytes read at `now_ns`."""
        out: list[Framed] = []
        self._heard_ns = now_ns
        at = 0
        for mark in _MARK.finditer(data):
            self._hold(data[at : mark.start()], now_ns, out)
            at = mark.end()
            if mark[0] == STX:
                self._give_up(now_ns, out)
                self._inside = True
            elif self._inside:
                self._frame.end(now_ns, out)
                self._inside = False
        self._hold(data[at:], now_ns, out)
        return out

    def quiet(self, now_ns: int) -> list[Framed]:
        """Give up a code whose end does not come."""
        out: list[Framed] = []
        deadline_ns = self.deadline_ns
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._give_up(now_ns, out)
        return out

    def _hold(self, data: bytes, now_ns: int, out: list[Framed]) -> None:
        if self._inside:
            self._frame.add(data, now_ns, out)

    def _give_up(self, now_ns: int, out: list[Framed]) -> None:
        if self._inside and self._frame.size:
            out.append(Garbled(CUT, self._frame.size, now_ns))
        self._frame.lose(CUT, now_ns, [])
        self._frame.end(None, out)
        self._inside = False
