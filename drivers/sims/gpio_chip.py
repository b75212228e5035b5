"""A GPIO chip without hardware, across processes: the kernel's rules as gpiod 2 shows them, and the world's side of it.

A chip is a folder: `chip.json` (label, lines, mode), `levels` (one byte a line: the physical level), `line-N` (locked while in
use, holding its settings), and named pipes for edges. A lock goes when its holder dies, as the kernel's request does.

* A line in use answers EBUSY, a line that is not there EINVAL, an unplugged chip ENODEV.
* **persist on release**: a released output keeps its level, also when its process was killed. Kernels of the Pi do so.
  Otherwise an output falls back to its pull (`pulled_high`, else low), which is also its level at power-on.
* Debounce is instantaneous: `drive` is a contact that stays, so its edge is told at once; `bounce` is shorter than any debounce
  period, so it gives edges only on lines without one.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from drivers.sims.ports import readable
from drivers.transport.gpiochip import CONSUMER, Edge, InputLine, OutputLine, Watched

_EDGE = struct.Struct("<IBxxxIxxxxq")
"""Line, level, sequence number in its request, monotonic nanoseconds; fixed, so that a write to the pipe is atomic."""

EDGES_READ_MAX = 64
"""Edges taken at once; gpiod reads at most 64 where the kernel buffers 16 a line."""


@dataclass(frozen=True, slots=True)
class Level:
    """An output's physical level changed. `at_ns` is monotonic, taken by whoever set it."""

    line: int
    high: bool
    at_ns: int


class SimChip:
    """The world's side: make the chip, drive its inputs, watch its outputs."""

    def __init__(
        self,
        folder: str,
        label: str,
        lines: int,
        *,
        persist_on_release: bool = True,
        pulled_high: Sequence[int] = (),
    ) -> None:
        self._root = Path(folder) / label
        self._root.mkdir(parents=True)
        self.lines = lines
        self._lose = 0
        self._seqnos: dict[str, int] = {}
        self._persist = persist_on_release
        self._pulls = [line in pulled_high for line in range(lines)]
        settings = {"label": label, "lines": lines, "persist": persist_on_release, "pulls": self._pulls}
        (self._root / "levels").write_bytes(bytes(self._pulls))
        os.mkfifo(self._root / "outputs")
        self._outputs = os.open(self._root / "outputs", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        # Last: a chip is there once its description is.
        (self._root / "chip.json").write_text(json.dumps(settings))

    def fileno(self) -> int:
        """Readable when outputs changed."""
        return self._outputs

    def output_changes(self, timeout_s: float = 0.0) -> list[Level]:
        """The changes of outputs since the last call, oldest first; waits for the first one up to `timeout_s`."""
        if not readable(self._outputs, timeout_s):
            return []
        data = os.read(self._outputs, _EDGE.size * EDGES_READ_MAX)
        return [Level(line, bool(high), at) for line, high, _, at in _EDGE.iter_unpack(data)]

    def is_high(self, line: int) -> bool:
        """The physical level now."""
        if not self._persist and _was_output(self._root, line) and not _held_settings(self._root, line):
            # Its holder was killed and could not tell; a kernel that lets go would have.
            _set_level(self._root, line, high=self._pulls[line])
        return _level(self._root, line)

    def line_consumer(self, line: int) -> str | None:
        """Who holds the line, as `gpioinfo` shows it; None when free."""
        held = _held_settings(self._root, line)
        return str(held["consumer"]) if held else None

    def drive(self, line: int, *, high: bool) -> None:
        """A contact changes and stays: the level, and an edge to whoever watches the line."""
        if self.is_high(line) != high:
            self._edge(line, high=high)

    def bounce(self, line: int, times: int) -> None:
        """A contact chatters and comes back to its level: edges only where the line has no debounce period."""
        high = self.is_high(line)
        held = _held_settings(self._root, line)
        if held and not held.get("debounce_ms"):
            for _ in range(times):
                self._edge(line, high=not high)
                self._edge(line, high=high)

    def pulse(self, beats: Sequence[tuple[int, int]]) -> None:
        """Short pulses away from a line's level and back, oldest first: line, and monotonic nanoseconds of the beginning.

        Too short for anybody to see a level: only who watches the beginnings, without a debounce period, learns of them.
        """
        pipes: dict[int, str] = {}
        for line in {line for line, _ in beats}:
            held = _held_settings(self._root, line)
            if held and held.get("edges") and held["watched"] == Watched.ACTIVE.value:
                pipes[line] = str(held["edges"])
        levels = {line: self.is_high(line) for line in pipes}
        told = {pipe: bytearray() for pipe in pipes.values()}
        for line, at_ns in beats:
            pipe = pipes.get(line, "")
            if not pipe:
                continue
            self._seqnos[pipe] = self._seqnos.get(pipe, 0) + 1
            if self._lose:
                self._lose -= 1
            else:
                told[pipe] += _EDGE.pack(line, not levels[line], self._seqnos[pipe], at_ns)
        piece = _EDGE.size * EDGES_READ_MAX
        for pipe, records in told.items():
            for at in range(0, len(records), piece):
                _send(self._root / pipe, bytes(records[at : at + piece]))

    def lose_edges(self, count: int) -> None:
        """The next edges find the buffer full: the level changes, the edge is counted and never told."""
        self._lose = count

    def unplug(self) -> None:
        """The chip goes away (an expander's USB cable). Whoever holds lines of it learns so by ENODEV."""
        self._root.rename(self._root.with_name(f".gone-{self._root.name}"))
        self._root = self._root.with_name(f".gone-{self._root.name}")
        (self._root / "gone").touch()
        for pipe in self._root.glob("edges-*"):
            _send(pipe, _EDGE.pack(0, 0, 0, 0))

    def close(self) -> None:
        """End of the chip; removes its folder."""
        os.close(self._outputs)
        shutil.rmtree(self._root)

    def _edge(self, line: int, *, high: bool) -> None:
        _set_level(self._root, line, high=high)
        held = _held_settings(self._root, line)
        if not held or not held.get("edges"):
            return
        if held["watched"] == Watched.ACTIVE.value and high == held["active_low"]:
            return
        pipe = str(held["edges"])
        self._seqnos[pipe] = self._seqnos.get(pipe, 0) + 1
        if self._lose:
            self._lose -= 1
        else:
            _send(self._root / pipe, _EDGE.pack(line, high, self._seqnos[pipe], time.monotonic_ns()))


class SimChips:
    """The chips below a folder, as a program sees them (Chips)."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def labels(self) -> dict[str, str]:
        """Label to path."""
        return {path.parent.name: str(path.parent) for path in sorted(self._folder.glob("[!.]*/chip.json"))}

    def free(self, path: str) -> tuple[int, ...]:
        """The lines that nobody holds."""
        root = Path(path)
        lines = range(json.loads((root / "chip.json").read_text())["lines"])
        return tuple(line for line in lines if _held_settings(root, line) is None)

    def level(self, path: str, offset: int) -> bool:
        """Whether a free line is high."""
        if offset not in self.free(path):
            raise OSError(errno.EBUSY, "a line is in use")
        return _level(Path(path), offset)

    def request(self, path: str, lines: Sequence[OutputLine] | Sequence[InputLine]) -> "SimLines":
        """Take the lines, all or none; outputs go to inactive."""
        return SimLines(Path(path), lines)


class SimLines:
    """Lines of a simulated chip held by this process (Lines)."""

    def __init__(self, root: Path, lines: Sequence[OutputLine] | Sequence[InputLine]) -> None:
        try:
            self._folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            chip = json.loads((root / "chip.json").read_text())
        except FileNotFoundError as error:
            raise OSError(errno.ENODEV, "no such device") from error
        self._persist = bool(chip["persist"])
        self._pulls = [bool(pull) for pull in chip["pulls"]]
        self._settings = {line.offset: line for line in lines}
        self._locks: list[int] = []
        self._edges = -1
        try:
            self._lock_all(int(chip["lines"]))
        except OSError:
            self._let_go()
            raise
        self._describe()
        self.set_active({line.offset: False for line in lines if isinstance(line, OutputLine)})

    @property
    def _root(self) -> Path:
        """The chip's folder, followed through the descriptor: unplugging renames it."""
        root = Path(f"/proc/self/fd/{self._folder}")
        if (root / "gone").exists():
            raise OSError(errno.ENODEV, "no such device")
        return root

    @property
    def fd(self) -> int:
        """Readable when edges wait."""
        return self._edges

    def set_active(self, levels: Mapping[int, bool]) -> None:
        """Set outputs, polarity applied."""
        for offset, on in levels.items():
            line = self._settings[offset]
            if not isinstance(line, OutputLine):
                raise OSError(errno.EPERM, "not an output")
            _set_output(self._root, offset, high=on != line.active_low)

    def get_active(self) -> dict[int, bool]:
        """The logical levels."""
        return {o: _level(self._root, o) != line.active_low for o, line in self._settings.items()}

    def read_edges(self) -> list[Edge]:
        """The waiting edges; waits when there is none, as gpiod does."""
        readable(self._edges, None)
        data = os.read(self._edges, _EDGE.size * EDGES_READ_MAX)
        if not self._root:
            return []
        return [
            Edge(offset, bool(high) != self._settings[offset].active_low, at_ns, seqno)
            for offset, high, seqno, at_ns in _EDGE.iter_unpack(data)
        ]

    def release(self) -> None:
        """Let go; outputs fall to their pull unless the chip persists."""
        if self._folder < 0:
            return
        with contextlib.suppress(OSError):
            if not self._persist:
                for offset, line in self._settings.items():
                    if isinstance(line, OutputLine):
                        _set_output(self._root, offset, high=self._pulls[offset])
        self._let_go()

    def _lock_all(self, lines: int) -> None:
        for offset in self._settings:
            if not 0 <= offset < lines:
                raise OSError(errno.EINVAL, "no such line")
            fd = os.open(self._root / f"line-{offset}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._locks.append(fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(errno.EBUSY, "a line is in use") from error

    def _describe(self) -> None:
        # Another name for each request: the kernel counts the edges of each from 1.
        pipe = f"edges-{os.getpid()}-{time.monotonic_ns()}"
        os.mkfifo(self._root / pipe)
        self._edges = os.open(self._root / pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._pipe = pipe
        for fd, line in zip(self._locks, self._settings.values(), strict=True):
            about = {
                key: value.value if isinstance(value, Enum) else value for key, value in asdict(line).items()
            }
            about |= {"consumer": CONSUMER, "edges": pipe if isinstance(line, InputLine) else ""}
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(about).encode(), 0)

    def _let_go(self) -> None:
        if self._edges >= 0:
            os.close(self._edges)
            with contextlib.suppress(OSError):
                (Path(f"/proc/self/fd/{self._folder}") / self._pipe).unlink()
        for fd in self._locks:
            os.close(fd)
        os.close(self._folder)
        self._folder = self._edges = -1
        self._locks = []


def _held_settings(root: Path, line: int) -> dict[str, object] | None:
    """The settings of a line that someone holds. Only its lock says so: a killed holder cannot clean up."""
    try:
        fd = os.open(root / f"line-{line}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 4096, 0)
        return dict(json.loads(text)) if text else {"consumer": CONSUMER}
    finally:
        os.close(fd)
    return None


def _was_output(root: Path, line: int) -> bool:
    try:
        text = (root / f"line-{line}").read_bytes()
    except FileNotFoundError:
        return False
    return bool(text) and not json.loads(text).get("edges")


def _level(root: Path, line: int) -> bool:
    with (root / "levels").open("rb") as file:
        file.seek(line)
        return file.read(1) == b"\x01"


def _set_level(root: Path, line: int, *, high: bool) -> None:
    with (root / "levels").open("r+b", buffering=0) as file:
        file.seek(line)
        file.write(bytes([high]))


def _set_output(root: Path, line: int, *, high: bool) -> None:
    if _level(root, line) != high:
        _set_level(root, line, high=high)
        _send(root / "outputs", _EDGE.pack(line, high, 0, time.monotonic_ns()))


def _send(pipe: Path, record: bytes) -> None:
    # ENXIO: nobody listens. EAGAIN: the listener sleeps and loses edges, as in the kernel's full buffer.
    with contextlib.suppress(FileNotFoundError, BlockingIOError, OSError):
        fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, record)
        finally:
            os.close(fd)
