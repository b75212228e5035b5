"""What the uplink costs: the bytes its connections carried, by day, kept over restarts; and what one cap on them means.

Counted is what the kernel says of each connection (`struct tcp_info`, Linux 4.19 and later): bytes sent, sent again and
received, with TLS, and a header for each segment. Not counted are names being looked up and other programs of the box.

The cap stops nothing that matters. Records of this gate, cancels, seals and the time always go. Near it whole lists wait:
one an hour, and never where the gate has none. Over it they come every six hours, and what other gates recorded is asked for
in rounds, as while nobody comes; but not while some product lets nobody in where the others are not heard.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakSet

import msgspec
from aiohttp import AddrInfoType

METER_FILE: Final = "uplink_bytes.json"
DAY_S: Final = 86_400
DAYS_MAX: Final = 31
"""Days that are kept: a month is what contracts count."""
MEGABYTE: Final = 1_000_000
"""As contracts count."""
NEAR: Final = 0.8
"""Of the cap. What is left is for what must go: a busy gate's records of a day take some megabytes."""
SAVE_BYTES: Final = 1_000_000
"""So much more is written down at once; less with the next `SAVE_S`. A box that loses its power forgets no more than this."""
SAVE_S: Final = 900.0
"""A write a quarter of an hour wears no card out."""
LIST_NEAR_S, LIST_OVER_S = 3600.0, 6 * 3600.0
"""Least time between two whole lists near the cap, and over it."""

SEGMENT_BYTES: Final = {socket.AF_INET: 20 + 20 + 12, socket.AF_INET6: 40 + 20 + 12}
"""Of a segment's headers: IP, TCP, and its timestamps."""
_TCP_INFO: Final = struct.Struct("=128xQII56xQ")
"""Of `struct tcp_info` (linux/tcp.h): bytes received, segments out and in, bytes sent with those sent again."""
_TCP_INFO_BYTES: Final = 256

log = logging.getLogger("edge.front.meter")


class Carried(NamedTuple):
    """Bytes up and down."""

    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        """Both ways: contracts count them together."""
        return self.up + self.down

    def plus(self, other: "Carried") -> "Carried":
        """Return both together."""
        return Carried(self.up + other.up, self.down + other.down)

    def since(self, other: "Carried") -> "Carried":
        """Return what came on top of an earlier count."""
        return Carried(self.up - other.up, self.down - other.down)


class Level(IntEnum):
    """How the day's bytes stand to the cap."""

    FREE = 0
    NEAR = 1
    OVER = 2


class _Kept(msgspec.Struct, frozen=True):
    """The file: by day since 1970, in UTC, bytes up and down."""

    days: dict[int, tuple[int, int]] = {}


class Meter:
    """Counts. `signed_s`: the time by the centre's own word, 0 while it is not known; only it ends a day.

    `cap_mb`: of a day; 0: none. `mono_s`: monotonic seconds.
    """

    def __init__(
        self, data: Path, cap_mb: int, signed_s: Callable[[], int], mono_s: Callable[[], float]
    ) -> None:
        self._file = data / METER_FILE
        self.cap_bytes = cap_mb * MEGABYTE
        self._signed_s, self._mono_s = signed_s, mono_s
        self._open: WeakSet[_Socket] = WeakSet()
        self._days = {day: Carried(*one) for day, one in _load(self._file).items()}
        self._day = max(self._days, default=0)
        self._unsaved = 0
        self._saved_s = mono_s()
        self._listed_s: float | None = None
        """When the last whole list was begun."""

    def socket(self, found: AddrInfoType) -> socket.socket:
        """Make a socket whose bytes are counted (aiohttp's `socket_factory`)."""
        made = _Socket(found[0], found[1], found[2])
        made.setblocking(False)
        made.on_close = self._count
        self._open.add(made)
        return made

    def look(self) -> None:
        """Count what the open connections carried since the last look."""
        for one in tuple(self._open):
            self._count(one)

    def _count(self, one: "_Socket") -> None:
        carried = one.carried()
        if carried is not None:
            self.add(carried.since(one.counted))
            one.counted = carried

    def add(self, more: Carried) -> None:
        """Count what was carried just now."""
        signed_s = self._signed_s()
        # Far behind: the centre's clock was ahead, and is right now.
        if signed_s and signed_s // DAY_S <= self._day - DAYS_MAX:
            self._days = {day: one for day, one in self._days.items() if day <= signed_s // DAY_S}
            self._day = max(self._days, default=0)
        if signed_s and signed_s // DAY_S > self._day:
            # What came before the centre said what day it is, is of the day that it says, where no other is known.
            before = self._days.pop(0, Carried())
            self._day = signed_s // DAY_S
            self._days[self._day] = self._days.get(self._day, Carried()).plus(before)
            for old in sorted(self._days)[:-DAYS_MAX]:
                del self._days[old]
        self._days[self._day] = self.today.plus(more)
        self._unsaved += more.total

    @property
    def today(self) -> Carried:
        """Bytes of the day that the centre told last."""
        return self._days.get(self._day, Carried())

    @property
    def month(self) -> Carried:
        """Bytes of all days that are kept."""
        total = Carried()
        for one in self._days.values():
            total = total.plus(one)
        return total

    @property
    def level(self) -> Level:
        """How the day stands to the cap."""
        if not self.cap_bytes or self.today.total < NEAR * self.cap_bytes:
            return Level.FREE
        return Level.OVER if self.today.total >= self.cap_bytes else Level.NEAR

    def grant_list(self) -> bool:
        """Whether a whole list may come now though one is there; if so it does."""
        self.look()
        if self.level is not Level.FREE and self._listed_s is not None:
            pause_s = LIST_NEAR_S if self.level is Level.NEAR else LIST_OVER_S
            if self._mono_s() - self._listed_s < pause_s:
                return False
        self._listed_s = self._mono_s()
        return True

    async def keep(self) -> None:
        """Count, and write it down where that is due."""
        self.look()
        if self._unsaved and (self._unsaved >= SAVE_BYTES or self._mono_s() - self._saved_s >= SAVE_S):
            await asyncio.to_thread(self._write)

    def save(self) -> None:
        """Count, and write it down: this is the end."""
        self.look()
        if self._unsaved:
            self._write()

    def _write(self) -> None:
        """A card that takes nothing is no reason to stop."""
        kept = _Kept({day: (one.up, one.down) for day, one in self._days.items()})
        new = self._file.with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(kept))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError as error:
            log.warning("the count of bytes is not kept", extra={"errno": error.errno or 0})
        self._unsaved, self._saved_s = 0, self._mono_s()


class _Socket(socket.socket):
    """A TCP socket that is counted when it is closed, whoever closes it."""

    counted = Carried()
    on_close: Callable[["_Socket"], None] | None = None

    def carried(self) -> Carried | None:
        """Return what the connection carried so far; None where the kernel does not say."""
        try:
            said = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            received, segments_out, segments_in, sent = _TCP_INFO.unpack_from(said)
        except (OSError, struct.error):  # it is closed, or the kernel is older
            return None
        header = SEGMENT_BYTES.get(self.family, 0)
        return Carried(sent + header * segments_out, received + header * segments_in)

    def close(self) -> None:
        """Count, then close."""
        told, self.on_close = self.on_close, None
        if told is not None:
            told(self)
        super().close()


def _load(file: Path) -> dict[int, tuple[int, int]]:
    """Return what was kept; nothing where there is none, or where it is damaged: the count begins anew."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Kept).days
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("the count of bytes begins anew", extra={"why": type(error).__name__})
        return {}


__all__ = ["Carried", "Level", "Meter"]
