"""From scan to relay: a real gate under a paced load, beside it the least that a scan can cost, in turns."""

import asyncio
import itertools
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from drivers.sims.lcus_board import LcusBoard, RelayChange
from drivers.sims.serial_scanner import SerialScanner
from edge.lists import FILE as LIST_FILE
from tests.bench import gate, stock, svg
from tests.bench.load import Lanes, Outcome, Sample, Transport, Turns, texts_of
from tests.bench.report import Goal, Row, median, percentile
from tests.bench.scale import Scale
from tests.bench.slow_disk import Speed, syncs_of
from tests.edge import rig

PROBES = 400
"""Codes for the first release: at 50 ms each, 20 s."""
SLOW = Speed(5, 50, 250)
READERS = 16
"""On one box: more than its sockets, by a hub."""


@dataclass(slots=True)
class Floors:
    """What the floor came to; its commits in ms."""

    scans: list[Sample] = field(default_factory=list)
    commits_ms: list[float] = field(default_factory=list)

    @property
    def scans_ms(self) -> list[float]:
        """Last byte to relay."""
        return [one.ms for one in self.scans]


def prepare(scale: Scale) -> Path:
    """Make the list of the whole scale once; return it."""
    made = scale.folder / "list.sqlite3"
    if not made.exists():
        stock.make("list", made, scale.tickets)
    return made


def box(scale: Scale, name: str, records: int) -> Path:
    """Make a data folder with the list and a log of so many records."""
    data = scale.folder / name
    shutil.rmtree(data, ignore_errors=True)
    rig.prepare(data, ())
    shutil.copyfile(prepare(scale), data / LIST_FILE)
    if records:
        stock.fill_log(data, records, scale.tickets + 1)
    return data


class FloorLane:
    """The floor's scanner and relay, and its process."""

    def __init__(self, folder: Path, list_file: Path, data: Path, slow: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._scanner = SerialScanner(folder / "floor")
        self._relay = LcusBoard(1, folder / "floor-relay", self._switched)
        self._list = list_file
        self._data = data
        self._slow = slow
        self._released: asyncio.Future[int] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Plug in and start; returns when it reads."""
        self._scanner.port.plug()
        self._relay.attach(asyncio.get_running_loop())
        names = (str(self._scanner.port.link), self._relay.path, str(self._list), str(self._data))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.floor", *names, *self._slow],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def stop(self) -> list[float]:
        """End it; return its commits in ms."""
        assert self._process is not None
        said, _ = self._process.communicate(timeout=10)
        self._scanner.port.unplug()
        self._relay.close()
        return [int(word) / 1e6 for word in said.split()]

    async def present(self, text: bytes) -> Sample:
        """Present one code."""
        released = self._released = asyncio.get_running_loop().create_future()
        sent = self._scanner.encode(text)
        at_ns = time.monotonic_ns()
        await self._scanner.port.send(sent)
        return Sample(Transport.SERIAL_CR, at_ns, at_ns, await asyncio.wait_for(released, 5))

    def _switched(self, change: RelayChange) -> None:
        if self._released is not None and not self._released.done():
            self._released.set_result(change.at_ns)


async def _floor_load(
    lane: FloorLane, turns: Turns, texts: Iterator[bytes], done: asyncio.Event, found: Floors, mean_s: float
) -> None:
    """Let the floor have as many arrivals as all lanes of the gate together."""
    chance = random.Random(11)
    while not done.is_set():
        await asyncio.sleep(chance.expovariate(stock.LANES / mean_s))
        async with turns.floor():
            found.scans.append(await lane.present(next(texts)))


@contextmanager
def _devices(folder: Path, beside: int = 0) -> Iterator[Lanes]:
    lanes = Lanes(folder, beside)
    lanes.plug()
    try:
        yield lanes
    finally:
        lanes.unplug()


async def paced(scale: Scale, data: Path, beside: int = 0) -> tuple[Outcome, Floors, float]:
    """Run the load on the gate and on the floor; also return the steady memory of lane and guard, in MB.

    `beside`: so many readers more at each lane.
    """
    # Into a log as long as the gate's: a commit into an empty one would touch other pages than a scan's does.
    floor_data = box(scale, "floor-data", scale.log_records)
    config = scale.folder / "gate.toml"
    with _devices(scale.folder / "dev", beside) as lanes:
        floor = FloorLane(scale.folder / "floor", data / LIST_FILE, floor_data)
        config.write_text(lanes.toml(data))
        with gate.running(config) as running:
            outcome, found = await _in_turns(scale, lanes, floor, scale.scans, 1)
            steady_mb = gate.pss_mb([running.process.pid, *running.guards()])
    return outcome, found, steady_mb


async def _in_turns(
    scale: Scale, lanes: Lanes, floor: FloorLane, scans: int, seed: int
) -> tuple[Outcome, Floors]:
    """Let people come to the lanes of a running gate, and as many to the floor, until so many were let in."""
    tickets = stock.picks(scale.tickets, seed)
    probes = iter(texts_of(tickets, min(PROBES, scale.tickets // 4)))
    texts = iter(texts_of(tickets, min(scans + 4 * stock.LANES, scale.tickets // 4)))
    floor_texts = itertools.cycle(texts_of(tickets, min(scans, scale.tickets // 4)))
    found, done = Floors(), asyncio.Event()
    await lanes.first_release(probes)
    await lanes.clear()
    floor.start()
    await floor.present(next(floor_texts))
    beside = asyncio.create_task(_floor_load(floor, lanes.turns, floor_texts, done, found, scale.mean_s))
    outcome = await lanes.run(texts, scans, seed, scale.mean_s)
    done.set()
    await beside
    found.commits_ms = floor.stop()[1:]
    return outcome, found


@dataclass(frozen=True, slots=True)
class Slow:
    """A load on gate and floor whose syncs are slow, with what their disks noted."""

    gate: Outcome
    floor: Floors
    gate_syncs: list[tuple[int, int]]
    floor_syncs: list[tuple[int, int]]


async def on_slow_disk(scale: Scale, data: Path) -> Slow:
    """Run the load on a gate whose syncs are slow, and on a floor whose syncs are."""
    traces = scale.folder / "syncs", scale.folder / "floor-syncs"
    for trace in traces:
        trace.unlink(missing_ok=True)
    floor_data = box(scale, "floor-slow", 0)
    config = scale.folder / "slow.toml"
    with _devices(scale.folder / "dev") as lanes:
        floor = FloorLane(scale.folder / "floor", data / LIST_FILE, floor_data, (str(SLOW), str(traces[1])))
        config.write_text(lanes.toml(data))
        with gate.running(config, SLOW, traces[0]):
            outcome, found = await _in_turns(scale, lanes, floor, scale.slow_scans, 2)
    return Slow(outcome, found, *(list(syncs_of(trace)) for trace in traces))


def beyond_ms(sample: Sample, syncs: Sequence[tuple[int, int]]) -> float:
    """What of a scan's latency no sync was under way, in ms."""
    waited = sum(max(0, min(ended, sample.relay_ns) - max(began, sample.last_ns)) for began, ended in syncs)
    return sample.ms - waited / 1e6


def waited_for(sample: Sample, syncs: Sequence[tuple[int, int]]) -> int:
    """How many syncs began and ended between a scan and its relay. One under way when the scan came is another's."""
    return sum(1 for began, ended in syncs if sample.last_ns <= began and ended <= sample.relay_ns)


def measure(scale: Scale, picture: Path) -> list[Row]:
    """All figures of the way from scan to relay, and the memory of lane and guard after it."""
    outcome, floors, steady_mb = asyncio.run(paced(scale, box(scale, "paced", scale.log_records)))
    slow = asyncio.run(on_slow_disk(scale, box(scale, "slow", 0)))
    load = (
        f"{stock.LANES} lanes, Poisson, one scan per {scale.mean_s:g} s each, list of {scale.tickets:,} tickets, "
        f"log of {scale.log_records:,} records, simulators on ptys in another process, n = {len(outcome.samples)}, "
        f"{outcome.missed} not granted"
    )
    gate_ms = [sample.ms for sample in outcome.samples]
    svg.save(gate_ms, floors.scans_ms, f"{stock.LANES} lanes, {scale.tickets:,} tickets", picture)
    p50, p99 = median(gate_ms), percentile(gate_ms, 99)
    floor50, floor99 = median(floors.scans_ms), percentile(floors.scans_ms, 99)
    commit99 = percentile(floors.commits_ms, 99)
    beside = f"floor: own process in turns with the load, never at once, same bytes and hops, n = {len(floors.scans_ms)}"
    return [
        Row(name="scan_to_relay_p99_ms", value=p99, unit="ms", floor=floor99, goal=Goal(5), conditions=load),
        Row(
            name="scan_to_relay_over_commit_ms",
            value=p99 - commit99,
            unit="ms",
            goal=Goal(2),
            conditions=f"p99 less the p99 of the floor's FULL commit, {commit99:.2f} ms; {load}",
        ),
        Row(
            name="scan_to_relay_p50_ratio",
            value=p50 / floor50,
            unit="ratio",
            floor=1.0,
            goal=Goal(1.3),
            conditions=f"p50 {p50:.3f} ms over {floor50:.3f} ms; {beside}; {load}",
        ),
        *_slow_rows(slow),
        *_transport_rows(outcome.samples),
        Row(
            name="lane_pss_mb",
            value=steady_mb,
            unit="MB",
            goal=Goal(60),
            conditions=f"lane and guard after {len(gate_ms)} scans, PSS by smaps_rollup; {load}",
        ),
    ]


def many_readers(scale: Scale) -> list[Row]:
    """The way from scan to relay on a box with sixteen readers, and with the usual four, in turns."""
    turn = replace(scale, scans=max(1, scale.scans // 4))
    found: dict[int, list[tuple[Outcome, Floors]]] = {READERS: [], stock.LANES: []}
    for readers in (READERS, stock.LANES, stock.LANES, READERS):
        data = box(scale, "readers", scale.log_records)
        outcome, floors, _ = asyncio.run(paced(turn, data, readers // stock.LANES - 1))
        found[readers].append((outcome, floors))
    return [_readers_row(readers, runs) for readers, runs in found.items()]


def _readers_row(readers: int, runs: Sequence[tuple[Outcome, Floors]]) -> Row:
    gate_ms = [sample.ms for outcome, _ in runs for sample in outcome.samples]
    floor_ms = [ms for _, floors in runs for ms in floors.scans_ms]
    missed = sum(outcome.missed for outcome, _ in runs)
    p50, floor50 = median(gate_ms), median(floor_ms)
    return Row(
        name=f"scan_to_relay_{readers}_readers_p99_ms",
        value=percentile(gate_ms, 99),
        unit="ms",
        floor=percentile(floor_ms, 99),
        goal=Goal(5),
        conditions=f"{readers} readers at {stock.LANES} lanes, all used, one a wedge, p50 {p50:.3f} ms over {floor50:.3f}; paced as "
        f"scan_to_relay_p99_ms, in {len(runs)} turns with the other number of readers, n = {len(gate_ms)}, {missed} not granted",
    )


def _slow_rows(slow: Slow) -> list[Row]:
    beyond = [beyond_ms(sample, slow.gate_syncs) for sample in slow.gate.samples]
    floor = [beyond_ms(sample, slow.floor_syncs) for sample in slow.floor.scans]
    begun = [waited_for(sample, slow.gate_syncs) for sample in slow.gate.samples]
    disk = (
        f"each sync {SLOW.low:g}-{SLOW.high:g} ms, 1 % {SLOW.tail:g} ms, by SQLite's default VFS; paced as above, "
        f"n = {len(slow.gate.samples)}, {slow.gate.missed} not granted"
    )
    whole = percentile([sample.ms for sample in slow.gate.samples], 99)
    return [
        Row(
            name="scan_to_relay_slow_disk_ms",
            value=percentile(beyond, 99),
            unit="ms",
            floor=percentile(floor, 99),
            goal=Goal(5),
            conditions=f"p99 of what is beyond the syncs waited for (whole p99 {whole:.0f} ms); {disk}",
        ),
        Row(
            name="syncs_before_relay",
            value=percentile(begun, 99),
            unit="syncs",
            goal=Goal(1),
            conditions=f"p99 of those that began and ended between a scan's last byte and its relay (most {max(begun)}, where "
            f"another lane's commit began in that millisecond; mean {sum(begun) / len(begun):.2f}); " + disk,
        ),
    ]


def _transport_rows(samples: Sequence[Sample]) -> list[Row]:
    rows = []
    for transport in Transport:
        own = [(one.relay_ns - one.first_ns) / 1e6 for one in samples if one.transport is transport]
        if own:
            rows.append(
                Row(
                    name="first_byte_to_relay_ms",
                    value=percentile(own, 99),
                    unit="ms",
                    conditions=f"{transport.value}: p99, p50 {median(own):.2f} ms, n = {len(own)}; "
                    + (
                        "typed in 4 KiB pieces 5 ms apart"
                        if transport is Transport.WEDGE
                        else "sent in one piece"
                    ),
                )
            )
    return rows
