"""What each driver takes from a device's last byte to a known credential, and how soon it notices a plug pulled and put in.

The devices are the simulators of the conformance suites, on ptys and sockets, in this process: what is measured is the
driver, its framing and `identify()`. The floor of the first is a bare pty: as many bytes written, and the loop's callback that read
the last of them, in turns with the codes, so that what the machine does beside falls on both.
Readers are supervised as the gate does it (`edge.supervise`), boards by their relay guard (`drivers.guard_link`).
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
import tty
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from admission.credentials import Medium, identify
from admission.keys import KeyRing
from drivers.base import DriverError, Opened, ReaderEvent, Scan
from drivers.base import Medium as Read
from drivers.framing.keys import EV_KEY, EV_SYN, SYN_REPORT, InputEvent
from drivers.framing.layouts import DE_CH
from drivers.guard_link import GuardEvents, GuardLink
from drivers.sims.keyboard_scanner import KeyboardSetting, strokes
from drivers.sims.ports import SimPort
from drivers.transport.evdev import pack_event
from edge.link import Health
from edge.supervise import DeviceState, keep
from tests.bench.report import Goal, Row, median, percentile
from tests.bench.scale import Scale
from tests.drivers.output_rig import RIGS
from tests.drivers.output_rig import Rig as BoardRig
from tests.drivers.readers import AT_A_VENUE, BUILDERS, Rig
from tests.edge.rig import DIGEST_KEY

CODE_MS_GOAL, GONE_S_GOAL, READY_S_GOAL = Goal(1), Goal(1), Goal(2)
PAUSE_S = 0.004
"""Between codes: a reader that asks for tags has its own pace."""
WAIT_S = 10.0
MEDIA = {Read.BARCODE: Medium.BARCODE, Read.UID: Medium.UID}
READERS = [name for name in BUILDERS if name not in ("batch handheld", "batch handheld of tags")]
"""What is stored in a handheld waits for its cradle anyway."""
SOLDERED = frozenset({"wiegand reader"})
"""On lines of the box's own chip: nobody pulls those out."""
SILENCE_MS = {"wiegand reader": 30.0}
"""What ends a frame, where only silence does."""
TYPED = [name for name in READERS if name.startswith("wedge")]
KEY_S = 0.001
"""From key event to key event, as a USB keyboard is polled."""
BOARDS = [name for name in RIGS if name != "gpio"]
"""Lines of the box's own chip are soldered on."""


def measure(size: Scale) -> list[Row]:
    """All figures, driver by driver."""
    # Of its own and short: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="gh-") as folder:
        return _measured(Path(folder), size)


def _measured(folder: Path, size: Scale) -> list[Row]:
    rows: list[Row] = []
    gone: dict[str, list[float]] = {}
    ready: dict[str, list[float]] = {}
    for name in READERS:
        found = asyncio.run(_reader(folder, name, size.reader_codes, 0 if name in SOLDERED else size.plugs))
        rows.append(_code_row(name, found, "last byte written by the simulator to what `identify()` says"))
        if found.gone:
            gone[name], ready[name] = found.gone, found.ready
    for name in TYPED:
        found = asyncio.run(_reader(folder, name, size.reader_codes // 4, 0, typed=True))
        rows.append(
            _code_row(name, found, f"typed, an event each {KEY_S * 1000:g} ms: from that which ends it")
        )
    for name in BOARDS:
        gone[name], ready[name] = asyncio.run(_board(folder, name, RIGS[name], size.plugs))
    return rows + _plug_rows(gone, ready, size.plugs)


@dataclass(slots=True)
class _Found:
    """Ms from last byte to credential, and of the floor; seconds to gone and to ready again."""

    taken: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)


def _code_row(name: str, found: _Found, what: str) -> Row:
    silence = f", less the {SILENCE_MS[name]:g} ms of silence that end it" if name in SILENCE_MS else ""
    return Row(
        name="reader_credential_p99_ms",
        value=percentile(found.taken, 99),
        unit="ms",
        floor=percentile(found.bare, 99),
        goal=CODE_MS_GOAL,
        conditions=f"{name}: {what}{silence}, p50 {median(found.taken):.3f} ms, n = {len(found.taken)}; floor, in turns: as many "
        f"bytes over a bare pty to the loop's callback, p50 {median(found.bare):.3f} ms",
    )


def _plug_rows(gone: dict[str, list[float]], ready: dict[str, list[float]], plugs: int) -> list[Row]:
    rows: list[Row] = []
    for figure, found, goal in (("gone", gone, GONE_S_GOAL), ("ready", ready, READY_S_GOAL)):
        what = "unplugged to told as gone" if figure == "gone" else "plugged in again to open"
        worst = {name: max(took) for name, took in found.items()}
        slowest = max(worst, key=lambda name: worst[name])
        each = ", ".join(f"{name} {took:.2f}" for name, took in worst.items())
        rows.append(
            Row(
                name=f"device_{figure}_s",
                value=worst[slowest],
                unit="s",
                goal=goal,
                conditions=f"{what}, the slowest of {plugs} times of the slowest driver ({slowest}); each driver's slowest: {each}",
            )
        )
    return rows


class _Bare:
    """A pty, and the loop's callback that reads it. `taken`: ms from writing to having read all."""

    def __init__(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self._heard = asyncio.Event()
        self._left = self._sent_ns = 0
        self.taken: list[float] = []
        asyncio.get_running_loop().add_reader(self._theirs, self._take)

    async def write(self, size: int) -> None:
        """Write so many bytes, and wait until they were read."""
        self._heard.clear()
        self._left = size
        self._sent_ns = time.monotonic_ns()
        os.write(self._ours, b"7" * size)
        await asyncio.wait_for(self._heard.wait(), WAIT_S)

    def close(self) -> None:
        """Take it away."""
        asyncio.get_running_loop().remove_reader(self._theirs)
        os.close(self._ours)
        os.close(self._theirs)

    def _take(self) -> None:
        self._left -= len(os.read(self._theirs, 4096))
        if not self._left:
            self.taken.append((time.monotonic_ns() - self._sent_ns) / 1e6)
            self._heard.set()


class _Watch:
    """A supervised driver, and when it was last told to have come or gone."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.is_gone = asyncio.Event()

    def on_state(self, state: DeviceState) -> None:
        if state.health is Health.OK:
            self.came()
        elif state.failures:
            self.went()

    def came(self) -> None:
        self.is_gone.clear()
        self.is_open.set()

    def went(self, _error: DriverError | None = None) -> None:
        self.is_open.clear()
        self.is_gone.set()


async def _reader(folder: Path, name: str, codes: int, plugs: int, *, typed: bool = False) -> _Found:
    """Have a reader read codes and be pulled out. `typed`: a code's key events come one by one."""
    builder, medium = BUILDERS[name]
    rig = builder(folder / f"r{READERS.index(name)}", None, medium, AT_A_VENUE)
    found, bare = _Found(), _Bare()
    found.bare = bare.taken
    heard = asyncio.Event()
    watch = _Watch()
    ring = KeyRing(())
    silence_ms = SILENCE_MS.get(name, 0.0)

    async def run(opened: Callable[[str], None]) -> NoReturn:
        def emit(event: ReaderEvent) -> None:
            if isinstance(event, Opened):
                opened(event.what)
            elif isinstance(event, Scan):
                identify(event.data, MEDIA[event.medium], ring, DIGEST_KEY)
                found.taken.append((time.monotonic_ns() - rig.port.sent_ns) / 1e6 - silence_ms)
                heard.set()

        await rig.reader.run(emit)

    rig.port.plug()
    task = asyncio.create_task(keep(name, run, watch.on_state))
    try:
        await asyncio.wait_for(watch.is_open.wait(), WAIT_S)
        for number in range(codes if not rig.when_asked else codes // 4):
            heard.clear()
            send = _type(rig, number) if typed else rig.send(_code(rig, number), None, None)
            sending = asyncio.ensure_future(send)
            await asyncio.wait_for(heard.wait(), WAIT_S)
            await asyncio.wait_for(sending, WAIT_S)
            await asyncio.sleep(PAUSE_S)
            await bare.write(rig.port.sent_bytes if isinstance(rig.port, SimPort) else 2)
            await asyncio.sleep(PAUSE_S)
        found.gone, found.ready = await _plugs(watch, rig.port.unplug, rig.port.plug, plugs)
    finally:
        task.cancel()
        await asyncio.wait({task})
        rig.port.unplug()
        bare.close()
    return found


async def _type(rig: Rig, number: int) -> None:
    """Press and release the keys of a code, up to the press that ends it."""
    assert isinstance(rig.port, SimPort)
    keys = list(strokes(_code(rig, number), KeyboardSetting(layout=DE_CH)))[:-1]
    for code, value in keys:
        at_ns = time.monotonic_ns()
        events = InputEvent(EV_KEY, code, value, at_ns), InputEvent(EV_SYN, SYN_REPORT, 0, at_ns)
        await rig.port.send(b"".join(pack_event(one) for one in events))
        await asyncio.sleep(KEY_S)


def _code(rig: Rig, number: int) -> str:
    return rig.many(number) if rig.when_asked else rig.codes[number % 2].text


async def _board(
    folder: Path, name: str, make: Callable[[Path], AbstractContextManager[BoardRig]], plugs: int
) -> tuple[list[float], list[float]]:
    """Return seconds to gone and to ready again of a relay board under its guard."""
    own = folder / name
    own.mkdir()
    with make(own) as rig:
        watch = _Watch()
        events = GuardEvents(ready=lambda _lines: watch.came(), fault=watch.went)
        link = GuardLink([sys.executable, "-m", "drivers.guard", rig.settings.to_json()], events)
        task = asyncio.create_task(link.run())
        try:
            await asyncio.wait_for(watch.is_open.wait(), WAIT_S)
            return await _plugs(watch, rig.unplug, rig.plug, plugs)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _plugs(
    watch: _Watch, unplug: Callable[[], None], plug: Callable[[], None], plugs: int
) -> tuple[list[float], list[float]]:
    gone: list[float] = []
    ready: list[float] = []
    for _ in range(plugs):
        gone.append(await _until(watch.is_gone, unplug))
        ready.append(await _until(watch.is_open, plug))
    return gone, ready


async def _until(event: asyncio.Event, do: Callable[[], None]) -> float:
    event.clear()
    began = time.monotonic()
    do()
    await asyncio.wait_for(event.wait(), WAIT_S)
    return time.monotonic() - began
