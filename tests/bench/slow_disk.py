"""A disk whose syncs take as long as those of a poor card, as an SQLite VFS; it also tells when each sync was.

`python -m tests.bench.slow_disk SPEED TRACE run --config X` runs a gate on it: SQLite's default VFS is then this one, and
the gate knows nothing of it.
"""

import os
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

TAIL_SHARE = 0.01
"""One sync in a hundred takes the tail's time (facts: cards that move a block)."""
_SYNC = struct.Struct("=qq")


@dataclass(frozen=True, slots=True)
class Speed:
    """How long a sync takes, in ms: evenly from `low` to `high`, and now and then `tail`. 0: as long as it takes."""

    low: float
    high: float
    tail: float = 0.0

    def __str__(self) -> str:
        return f"{self.low:g},{self.high:g},{self.tail:g}"

    @classmethod
    def parse(cls, text: str) -> "Speed":
        return cls(*map(float, text.split(",")))

    def draw_s(self, chance: random.Random) -> float:
        if self.tail and chance.random() < TAIL_SHARE:
            return self.tail / 1000
        return chance.uniform(self.low, self.high) / 1000


class SlowDisk(apsw.VFS):
    """The box's disk with slow syncs; `note(began_ns, ended_ns)` hears of each, from the thread that synced."""

    def __init__(
        self, name: str, speed: Speed, note: Callable[[int, int], None], *, is_default: bool = False
    ) -> None:
        super().__init__(name, "unix", makedefault=is_default)
        self._speed = speed
        self._note = note
        self._chance = random.Random(7)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - APSW's name
        return _SlowFile(name, flags, self.wait)

    def wait(self, began_ns: int) -> None:
        """Be as slow as a card."""
        rest_s = self._speed.draw_s(self._chance) - (time.monotonic_ns() - began_ns) / 1e9
        if rest_s > 0:
            time.sleep(rest_s)
        self._note(began_ns, time.monotonic_ns())


class _SlowFile(apsw.VFSFile):
    def __init__(
        self, name: str | apsw.URIFilename | None, flags: list[int], wait: Callable[[int], None]
    ) -> None:
        super().__init__("unix", name, flags)
        self._wait = wait

    def xLock(self, level: int) -> None:  # noqa: N802 - APSW's name
        try:
            super().xLock(level)
        except apsw.IOError as error:
            # A read-only connection cannot lock for the checkpoint that SQLite tries at its end. SQLite shrugs; APSW raises,
            # but for a lock that another has.
            raise apsw.BusyError("not ours to lock") from error

    def xSync(self, flags: int) -> None:  # noqa: N802 - APSW's name
        began_ns = time.monotonic_ns()
        super().xSync(flags)
        self._wait(began_ns)


def trace_to(path: Path) -> Callable[[int, int], None]:
    """Return a `note` that appends to a file, eight bytes for each end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(began_ns: int, ended_ns: int) -> None:
        os.write(descriptor, _SYNC.pack(began_ns, ended_ns))

    return note


def syncs_of(path: Path) -> Iterator[tuple[int, int]]:
    """Yield (began_ns, ended_ns) of every sync that was noted."""
    yield from _SYNC.iter_unpack(path.read_bytes())


def main(arguments: list[str]) -> int:
    """Run `gatehouse-edge` on a slow disk."""
    speed, trace, *rest = arguments
    disk = SlowDisk("slow", Speed.parse(speed), trace_to(Path(trace)), is_default=True)
    from edge import __main__ as gate  # noqa: PLC0415 - after the disk is there

    sys.argv = ["gatehouse-edge", *rest]
    code = gate.main()
    disk.unregister()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
