"""What each driver takes from a device's last byte to a known credential, and how soon it notices a plug pulled and put in.

The devices are the simulators of the conformance suites, on ptys and sockets, in this process: what is measured is the
driver, its framing and `identify()`. The floor of the first is a bare pty: a byte written, and the loop's callback that read it.
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
from pathlib import Path
from typing import NoReturn

from admission.credentials import Medium, identify
from admission.keys import KeyRing
from drivers.base import DriverError, Opened, ReaderEvent, Scan
from drivers.base import Medium as Read
from drivers.guard_link import GuardEvents, GuardLink
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
READERS = [
    name for name in BUILDERS if name not in ("batch handheld", "batch handheld of tags", "wiegand reader")
]
"""What is stored in a handheld waits for its cradle anyway; a frame of Wiegand ends by 30 ms of silence, on lines of the box's
own chip, which are soldered on."""
BOARDS = [name for name in RIGS if name != "gpio"]
"""Lines of the box's own chip are soldered on."""


def measure(size: Scale) -> list[Row]:
    """All figures, driver by driver."""
    # Of its own and short: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="gh-") as folder:
        return _measured(Path(folder), size)


def _measured(folder: Path, size: Scale) -> list[Row]:
    bare = asyncio.run(_bare(size.reader_codes))
    rows: list[Row] = []
    gone: dict[str, list[float]] = {}
    ready: dict[str, list[float]] = {}
    for name in READERS:
        taken, gone[name], ready[name] = asyncio.run(_reader(folder, name, size.reader_codes, size.plugs))
        rows.append(
            Row(
                name="reader_credential_p99_ms",
                value=percentile(taken, 99),
                unit="ms",
                floor=percentile(bare, 99),
                goal=CODE_MS_GOAL,
                conditions=f"{name}: last byte written by the simulator to what `identify()` says, p50 {median(taken):.3f} ms, "
                f"n = {len(taken)}; floor: a byte over a bare pty to the loop's callback, p50 {median(bare):.3f} ms, n = {len(bare)}",
            )
        )
    for name in BOARDS:
        gone[name], ready[name] = asyncio.run(_board(folder, name, RIGS[name], size.plugs))
    return rows + _plug_rows(gone, ready, size.plugs)


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


async def _bare(count: int) -> list[float]:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    heard = asyncio.Event()
    sent_ns = 0

    def take() -> None:
        os.read(theirs, 4096)
        taken.append((time.monotonic_ns() - sent_ns) / 1e6)
        heard.set()

    loop.add_reader(theirs, take)
    for _ in range(count):
        heard.clear()
        sent_ns = time.monotonic_ns()
        os.write(ours, b"7\r")
        await heard.wait()
        await asyncio.sleep(PAUSE_S)
    loop.remove_reader(theirs)
    os.close(ours)
    os.close(theirs)
    return taken


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


async def _reader(
    folder: Path, name: str, codes: int, plugs: int
) -> tuple[list[float], list[float], list[float]]:
    """Return ms from last byte to credential, and seconds to gone and to ready again."""
    builder, medium = BUILDERS[name]
    rig = builder(folder / f"r{READERS.index(name)}", None, medium, AT_A_VENUE)
    taken: list[float] = []
    heard = asyncio.Event()
    watch = _Watch()
    ring = KeyRing(())

    async def run(opened: Callable[[str], None]) -> NoReturn:
        def emit(event: ReaderEvent) -> None:
            if isinstance(event, Opened):
                opened(event.what)
            elif isinstance(event, Scan):
                identify(event.data, MEDIA[event.medium], ring, DIGEST_KEY)
                taken.append((time.monotonic_ns() - rig.port.sent_ns) / 1e6)
                heard.set()

        await rig.reader.run(emit)

    rig.port.plug()
    task = asyncio.create_task(keep(name, run, watch.on_state))
    try:
        await asyncio.wait_for(watch.is_open.wait(), WAIT_S)
        for number in range(codes if not rig.when_asked else codes // 4):
            heard.clear()
            sending = asyncio.ensure_future(rig.send(_code(rig, number), None, None))
            await asyncio.wait_for(heard.wait(), WAIT_S)
            await asyncio.wait_for(sending, WAIT_S)
            await asyncio.sleep(PAUSE_S)
        gone, ready = await _plugs(watch, rig.port.unplug, rig.port.plug, plugs)
    finally:
        task.cancel()
        await asyncio.wait({task})
        rig.port.unplug()
    return taken, gone, ready


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
