"""A week held offline and drained while people pass, and while a flood is thrown at the box's page.

All are real processes: gate (lane, guard, front), centre, flood. `python -m tests.bench.drain week DATA SCANS` and
`… flood PORT RATE` run in processes of their own.
"""

import asyncio
import contextlib
import itertools
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from msgspec import structs

from admission import chain
from admission.ids import Epoch, GateId
from admission.lane import Write
from admission.records import Outcome
from edge import enrolment
from edge.clock import SystemClock, TrustedTime
from edge.front.lane_client import LaneClient
from edge.journal import Journal, Stamp
from edge.link import Health, Part, Status
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from tests.bench import gate
from tests.bench.centre import House, Serving, child, fill, serving
from tests.bench.load import Lanes, Sample
from tests.bench.report import Goal, Row, percentile
from tests.bench.scale import Scale
from tests.bench.stock import LANES, Straight, admission
from tests.edge.rig import ARENA

Held = TypeVar("Held")

DAYS: Final = 7
ADMITTED_EVERY: Final = 4
"""Of the scans, every fourth is somebody let in, with their passage; the others are refused."""
FIRST_TICKET: Final = 5_000_000
SHORT_SCANS: Final = 36_000
TICKETS: Final = 20_000
"""In the list, to be let in while it drains."""
SEGMENT: Final = 12
"""Scans between two looks at whether it is drained."""
CUT_OFF: Final = "uplink.cut_off"
LEFT_MAX: Final = 60
"""Records that wait when nothing of the week does: ten seconds of four lanes."""
READY_MAX_S: Final = 180.0
DRAINED_MAX_S: Final = 280.0
FLOOD_PER_S: Final = 10_000
FLOOD_LINES: Final = 30
TICK_S: Final = 0.01
_REQUEST: Final = b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


# --- what is held -----------------------------------------------------------------------------------------------------


class _Week(SystemClock):
    """A clock that a week passes on, evenly, while scans are written down."""

    def __init__(self, days_ago: int, scans: int) -> None:
        self._at_us = int(time.time() * 1e6) - days_ago * 86_400_000_000
        self._step_us = 40_000_000_000 // max(1, scans)
        self._mono_ns = time.monotonic_ns()

    def now_us(self) -> int:
        self._at_us += self._step_us
        return self._at_us

    def mono_ns(self) -> int:
        self._mono_ns += self._step_us * 1000
        return self._mono_ns


def hold(data: Path, scans: int, days: int = DAYS) -> int:
    """Append so many scans to a gate's log, a start of the daemon each day; returns how many records that were."""
    own = enrolment.load(data)
    store = LogStore.open(data)
    numbers = itertools.count(FIRST_TICKET + int(time.time()) % 1_000_000)
    records = 0
    for day in range(days):
        count = scans // days + (day < scans % days)
        last = _last(data, own.gate)
        after = chain.Predecessor(last.epoch, last.seq, last.link) if last else chain.ROOT
        clock = _Week(days - day, count)
        writer = Straight(store)
        journal = Journal(
            gate=own.gate, epoch=Epoch(time.time_ns()), key=own.key, clock=clock,
            time=TrustedTime(clock, rtc=False), writer=writer, predecessor=after,
        )  # fmt: skip
        for number in itertools.islice(numbers, count):
            writes: tuple[Write, ...] = admission(number)
            if number % ADMITTED_EVERY:
                writes = (structs.replace(writes[0], outcome=Outcome.DENY, urgent=False),)
            journal.append(writes, Stamp(zone=ARENA))
        journal.sign_head()
        writer.flush()
        records += journal.last_seq
    store.close()
    return records


def _last(data: Path, number: GateId) -> chain.EpochState | None:
    reader = LogReader.open(data)
    try:
        return reader.newest_state(number)
    finally:
        reader.close()


# --- the flood --------------------------------------------------------------------------------------------------------


async def flood(port: int, per_s: int) -> None:
    """Throw requests at a page, whatever becomes of them; says how many once standard input ends."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(0, ended.set)
    print("flooding", flush=True)
    thrown, began_s = 0, time.monotonic()

    async def line() -> None:
        nonlocal thrown
        each = max(1, int(per_s * TICK_S / FLOOD_LINES))
        while not ended.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(TICK_S)
                continue
            drop = asyncio.create_task(_drop(reader))
            with contextlib.suppress(OSError):
                due_s = time.monotonic()
                while not ended.is_set() and not drop.done():
                    writer.write(_REQUEST * each)
                    thrown += each
                    due_s += each * FLOOD_LINES / per_s
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            drop.cancel()
            writer.transport.abort()

    await asyncio.gather(*(line() for _ in range(FLOOD_LINES)))
    print(f"thrown {thrown / (time.monotonic() - began_s):.0f}", flush=True)


async def _drop(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1 << 16):
            pass


# --- the box ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """One box, its lanes, and what it says."""

    lanes: Lanes
    config: Path
    data: Path
    texts: Iterator[bytes]
    mean_s: float
    seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @asynccontextmanager
    async def up(self) -> AsyncIterator[LaneClient]:
        """Run the gate; it admits."""
        with gate.running(self.config):
            lane = LaneClient(self.data / "lane.sock")
            ear = asyncio.create_task(lane.run())
            try:
                async with asyncio.timeout(READY_MAX_S):
                    while lane.status is None or not _is_settled(lane.status):
                        await asyncio.sleep(0.05)
                yield lane
            finally:
                ear.cancel()
                await asyncio.gather(ear, return_exceptions=True)

    async def scans(self, count: int) -> list[Sample]:
        """Let so many in."""
        outcome = await self.lanes.run(self.texts, count, next(self.seeds), self.mean_s)
        return outcome.samples


def centre_tile(lane: LaneClient) -> tuple[str, int | None]:
    """Return what the box says of the centre, and how much waits for it."""
    for tile in lane.status.tiles if lane.status else ():
        if tile.part is Part.UPLINK and tile.name == "centre":
            queued = tile.args.get("queued")
            return tile.code, queued if isinstance(queued, int) else None
    return "", None


class Drained(NamedTuple):
    """How long the box waited until it asked a centre that listens again, as its page said; and until nothing waited then."""

    waited_s: float
    took_s: float


async def drained(run: Run, lane: LaneClient) -> tuple[Drained, list[Sample]]:
    """Let people in until nothing waits any more, while a centre listens again; returns how long that took, and the scans."""
    done = asyncio.create_task(_drain(lane))
    found: list[Sample] = []
    while not done.done():
        found += await run.scans(SEGMENT)
    return await done, found


async def _drain(lane: LaneClient) -> Drained:
    began_s = time.monotonic()
    asked_s: float | None = None
    async with asyncio.timeout(DRAINED_MAX_S):
        while True:
            # Who passes meanwhile is among what waits, as of when the box last said so.
            code, queued = centre_tile(lane)
            if asked_s is None and code != CUT_OFF:
                asked_s = time.monotonic()
            if asked_s is not None and queued is not None and queued <= LEFT_MAX:
                return Drained(asked_s - began_s, time.monotonic() - asked_s)
            await asyncio.sleep(0.02)


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    return asyncio.run(_measure(size))


async def _measure(size: Scale) -> list[Row]:
    folder = size.folder / "drain-week"
    house = await asyncio.to_thread(
        fill, folder / "centre", 1, TICKETS if size.name != "tiny" else 400, 0, "", 0, LANES
    )
    data = folder / "box"
    data.mkdir(parents=True)
    lanes = Lanes(folder / "dev")
    lanes.plug()
    page = _free_port()
    config = folder / "gate.toml"
    config.write_text(
        lanes.toml(data).replace(
            "[page]\nport = 0", f"[page]\nport = {page}\ntls = false\n[peers]\non = false"
        )
    )
    texts = (house.text(one).encode() for one in house.tickets)
    run = Run(lanes, config, data, texts, size.mean_s)
    try:
        port = await _listed(run, house, data)
        records = await asyncio.to_thread(_held, folder, data, size.week_scans, DAYS)
        async with run.up() as lane:
            calm = await run.scans(size.calm_scans)
            async with _apart(serving(house, port)):
                took, busy = await drained(run, lane)
        short = min(SHORT_SCANS, size.week_scans)
        short_records = await asyncio.to_thread(_held, folder, data, short, 1)
        async with run.up() as lane:
            calm_again = await run.scans(size.calm_scans)
            async with _apart(_flooding(folder, page)) as thrown:
                flooded_only = await run.scans(size.calm_scans)
                async with _apart(serving(house, port)):
                    short_took, flooded = await drained(run, lane)
    finally:
        lanes.unplug()
    return [
        *_rows("drain_1m", 120, size.week_scans, records, took, calm, busy, f"{DAYS} days; nothing at the page"),
        *_rows("drain_36k_flooded", 5, short, short_records, short_took, calm_again, flooded,
               f"{thrown[0]} requests/s thrown at the page meanwhile; before the centre was back scans had p99 "
               f"{_p99(flooded_only):.1f} ms of {len(flooded_only)}"),
    ]  # fmt: skip


def _rows(
    name: str,
    goal_s: float,
    scans: int,
    records: int,
    took: Drained,
    calm: list[Sample],
    busy: list[Sample],
    how: str,
) -> list[Row]:
    about = f"{scans:,} scans held offline ({records:,} records, every fourth scan somebody let in), {LANES} lanes let people in; {how}"
    return [
        Row(name=f"{name}_s", value=took.took_s, unit="s", goal=Goal(goal_s),
            conditions=f"from when the centre first answers until nothing waits; the box asked it {took.waited_s:.1f} s after it "
            f"listened again, a random part of a minute; {about}; gate and centre on one machine"),
        Row(name=f"{name}_scan_p99_ratio", value=_p99(busy) / _p99(calm), unit="", floor=1.0, goal=Goal(2),
            conditions=f"scan to relay while it drains, p99 {_p99(busy):.1f} ms of {len(busy)}, over the same gate cut off, p99 "
            f"{_p99(calm):.1f} ms of {len(calm)}; {about}"),
    ]  # fmt: skip


def _p99(samples: list[Sample]) -> float:
    return percentile([one.ms for one in samples], 99)


async def _listed(run: Run, house: House, data: Path) -> int:
    """Have the box fetch its list; returns the centre's port."""
    with serving(house) as centre:
        enrolment.save(data, structs.replace(house.gates[0], centre_url=centre.url))
        async with run.up() as lane, asyncio.timeout(READY_MAX_S):
            while not (lane.status and lane.status.list_rows and _is_well(lane)):
                await asyncio.sleep(0.05)
        return _port(centre)


def _is_settled(status: Status) -> bool:
    """Whether the gate admits, and has counted the people of its log: what a start does for half a minute is no part of a drain."""
    return all(one.ready for one in status.lanes) and len(status.inside) == len(status.zones)


def _is_well(lane: LaneClient) -> bool:
    assert lane.status is not None
    return any(one.part is Part.UPLINK and one.health is Health.OK for one in lane.status.tiles)


def _port(centre: Serving) -> int:
    return int(centre.url.rpartition(":")[2])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@asynccontextmanager
async def _apart(process: AbstractContextManager[Held]) -> AsyncIterator[Held]:
    """Start and end a process without the simulated devices standing still meanwhile."""
    stack = ExitStack()
    try:
        yield await asyncio.to_thread(stack.enter_context, process)
    finally:
        await asyncio.to_thread(stack.close)


def _held(folder: Path, data: Path, scans: int, days: int) -> int:
    with child(folder / "week.log", "tests.bench.drain", "week", str(data), str(scans), str(days)) as process:
        return int(process.line("held", READY_MAX_S * 2))


@contextmanager
def _flooding(folder: Path, port: int) -> Iterator[list[str]]:
    """Flood until the block ends; what was thrown a second stands in the list then."""
    thrown: list[str] = []
    with child(folder / "flood.log", "tests.bench.drain", "flood", str(port), str(FLOOD_PER_S)) as process:
        process.line("flooding")
        try:
            yield thrown
        finally:
            process.say("")
            thrown.append(process.line("thrown"))


def main(arguments: list[str]) -> None:
    if arguments[0] == "week":
        print(f"held {hold(Path(arguments[1]), int(arguments[2]), int(arguments[3]))}", flush=True)
    else:
        asyncio.run(flood(int(arguments[1]), int(arguments[2])))


if __name__ == "__main__":
    main(sys.argv[1:])
