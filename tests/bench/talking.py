"""The way from scan to relay while six neighbours talk with the gate, and, as its floor, while the same six talk among themselves.

Both come in turns within one run. Neighbours are boxes of their own in a venue, but here they share two cores with the gate, in
either turn, and only take what it leaves: what is beyond the floor is what their talk costs a gate.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge import enrolment as enrolments
from edge.front.lane_client import LaneClient
from edge.held_roster import ROSTER_FILE
from edge.link import Part
from tests.bench import gate, latency, stock
from tests.bench.centre import child
from tests.bench.load import Lanes, Outcome, texts_of
from tests.bench.report import Goal, Row, median, percentile
from tests.bench.scale import Scale
from tests.bench.talkers import gates_of
from tests.edge import rig
from tests.edge.front.peers.node import enrolment_of, key_of, roster_of
from tests.sync.lan import peers_toml

MEMORY: Final = Path("/dev/shm")
"""Where neighbours write: each has a card of its own in a venue, so their syncs must not be waited for by the gate's."""
SETTLE_S: Final = 2.0
"""What was recorded before they met goes over first."""
READY_MAX_S: Final = 120.0
BESIDE, TALKING = "beside", "talking"


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    found = asyncio.run(_in_turns(size))
    beside, talking = (_ms(found[one]) for one in (BESIDE, TALKING))
    missed = ", ".join(f"{sum(one.missed for one in turns)} {name}" for name, turns in found.items())
    return [
        Row(
            name="scan_to_relay_p99_ms",
            value=percentile(talking, 99),
            unit="ms",
            floor=percentile(beside, 99),
            goal=Goal(5),
            conditions=f"with {size.neighbours} neighbours talking, each recording as much as a gate of four lanes, all in one "
            f"process that runs where the gate leaves a core, their files in memory; {stock.LANES} lanes, Poisson, one scan per {size.mean_s:g} s each, list of "
            f"{size.tickets:,} tickets, log of {size.log_records:,} records, n = {len(talking)}, p50 {median(talking):.2f} ms; "
            f"floor: the same gate without neighbours while they talk among themselves on the same cores, in {size.turns} turns "
            f"of the same run, n = {len(beside)}, p50 {median(beside):.2f} ms; not granted: {missed}",
        )
    ]


def _ms(turns: Sequence[Outcome]) -> list[float]:
    return [sample.ms for one in turns for sample in one.samples]


@dataclass(slots=True)
class _Gate:
    """The gate under measure, through all turns."""

    size: Scale
    data: Path
    lanes: Lanes
    probes: Iterator[bytes]
    texts: Iterator[bytes]

    @asynccontextmanager
    async def up(self, ports: list[int]) -> AsyncIterator[None]:
        """Run it with these neighbours: it admits, they are all here, and what came with a start is over."""
        config = self.size.folder / "talking.toml"
        config.write_text(
            self.lanes.toml(self.data) + (peers_toml(0, ports) if ports else "\n[peers]\non = false\n")
        )
        with gate.running(config):
            await self.lanes.first_release(self.probes)
            await self.lanes.clear()
            if ports:
                await _until_here(self.data, len(ports))
            await asyncio.sleep(SETTLE_S)
            yield

    async def turn(self, number: int, ports: list[int]) -> Outcome:
        """Let people in at it."""
        async with self.up(ports):
            scans = -(-self.size.talking_scans // self.size.turns)
            return await self.lanes.run(self.texts, scans, number, self.size.mean_s)


async def _in_turns(size: Scale) -> dict[str, list[Outcome]]:
    data = latency.box(size, "talking", 0)
    stock.fill_log(data, size.log_records, size.tickets + 1, key_of(rig.GATE))
    enrolments.save(data, enrolment_of(rig.GATE))
    (data / ROSTER_FILE).write_bytes(roster_of([rig.GATE, *gates_of(size.neighbours)]))
    tickets = stock.picks(size.tickets, 3)
    lanes = Lanes(size.folder / "dev")
    probes = texts_of(tickets, min((2 * size.turns + 1) * latency.PROBES, size.tickets // 4))
    texts = texts_of(tickets, min(2 * (size.talking_scans + 4 * size.turns * stock.LANES), size.tickets // 2))
    own = _Gate(size, data, lanes, iter(probes), iter(texts))
    found: dict[str, list[Outcome]] = {BESIDE: [], TALKING: []}
    folder = Path(tempfile.mkdtemp(prefix="talkers-", dir=MEMORY if MEMORY.is_dir() else size.folder))
    others = (str(folder), str(rig.GATE), str(size.log_records), str(size.neighbours))
    lanes.plug()
    try:
        with child(size.folder / "talkers.log", "tests.bench.talkers", *others) as process:
            said = await asyncio.to_thread(process.line, "talking")
            ports = [int(one) for one in said.split()]
            async with own.up(ports):  # all of the gate's day goes to them, once
                await asyncio.to_thread(process.line, "hold", READY_MAX_S)
            for number in range(size.turns):
                found[BESIDE].append(await own.turn(number, []))
                found[TALKING].append(await own.turn(number, ports))
    finally:
        lanes.unplug()
        shutil.rmtree(folder, ignore_errors=True)
    return found


async def _until_here(data: Path, others: int) -> None:
    """Wait until a gate says that so many neighbours are here."""
    lane = LaneClient(data / "lane.sock")
    ear = asyncio.create_task(lane.run())
    try:
        async with asyncio.timeout(READY_MAX_S):
            while not _are_here(lane, others):
                await asyncio.sleep(0.05)
    finally:
        ear.cancel()
        await asyncio.gather(ear, return_exceptions=True)


def _are_here(lane: LaneClient, others: int) -> bool:
    tiles = lane.status.tiles if lane.status else ()
    return any(
        (one.part, one.name) == (Part.UPLINK, "peers") and one.args.get("here") == others for one in tiles
    )


__all__ = ["measure"]
