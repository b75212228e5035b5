"""How soon a ticket that is cancelled at the centre is refused: real gates, thousands of streams, records coming in.

A gate has the cancel when its log holds the version, durably: the lane's socket tells when the log grew, and the log
is read. For a sample the ticket is presented at the gate's scanner then, and must be refused.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec

from admission.ids import TicketId
from admission.reasons import Reason
from admission.records import Outcome
from drivers.sims.serial_scanner import SerialScanner
from edge import enrolment
from edge.applied import applied_of
from edge.enrolment import Enrolment
from edge.front.lane_client import LaneClient
from edge.link import Appended, Health, Part, Seen
from edge.store.log_reader import LogReader
from sync import demo
from tests.bench.centre import Child, House, Serving, child, fill, keys_file, serving
from tests.bench.gate import GateProcess, pss_mb, running
from tests.bench.listeners import Heard
from tests.bench.report import Goal, Row, median, percentile
from tests.bench.scale import Scale

TICKETS = 10_000
"""In the event's list, beside the demo's."""
PUSHERS = 40
PUSH_PER_S = 2_000
"""Records that gates of another group push in all, each gate once a second."""
MEAN_S = 0.3
"""Between a cancel that every gate has and the next one."""
KNOWN_MAX_S = 30.0
READY_MAX_S = 120.0
REFUSED_EVERY = 5
"""So often the ticket is presented too, at each gate in turn."""
LOOK_S = 0.02
GATE_ENDS_AT_A_TIME = 4


@dataclass(slots=True, eq=False)
class RealGate:
    """A daemon, its scanner, and an ear at its lane's socket."""

    own: Enrolment
    data: Path
    scanner: SerialScanner
    lane: LaneClient
    reader: LogReader | None = None
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    scans: "asyncio.Queue[Seen]" = field(default_factory=asyncio.Queue)

    def appended(self, _notice: Appended) -> None:
        self.grown.set()

    def changed(self) -> None:
        self.grown.set()

    def seen(self, scan: Seen) -> None:
        self.scans.put_nowait(scan)

    def corrected(self, scan: Seen) -> None:
        """Nobody is let in here."""

    @property
    def is_ready(self) -> bool:
        """Whether it has a list, a lane that admits, and the centre."""
        status = self.lane.status
        if status is None or not status.list_rows or not all(one.ready for one in status.lanes):
            return False
        return any(one.part is Part.UPLINK and one.health is Health.OK for one in status.tiles)

    def version(self) -> int:
        """The version of the event's list that is durable here."""
        if self.reader is None:
            self.reader = LogReader.open(self.data)
        applied = applied_of(self.reader).get(demo.EVENT)
        listed = self.lane.status.list_version if self.lane.status is not None else 0
        return max(applied.version if applied else 0, 0 if applied else listed)

    async def until_version(self, version: int) -> int:
        """Wait until a version is durable; returns when (CLOCK_MONOTONIC, ns)."""
        async with asyncio.timeout(KNOWN_MAX_S):
            while True:
                self.grown.clear()
                if self.version() >= version:
                    return time.monotonic_ns()
                with contextlib.suppress(TimeoutError):  # the net below the notice
                    await asyncio.wait_for(self.grown.wait(), LOOK_S)

    async def refuses(self, text: str) -> int:
        """Present a cancelled ticket; returns when it was refused."""
        while not self.scans.empty():
            self.scans.get_nowait()
        await self.scanner.scan(text.encode())
        scan = await asyncio.wait_for(self.scans.get(), KNOWN_MAX_S)
        assert (scan.outcome, scan.reason) == (Outcome.DENY, Reason.CANCELLED), scan
        return time.monotonic_ns()


def toml(data: Path, port: Path, name: str) -> str:
    """A gate as small as they come: one lane, one scanner, no turnstile; a person stands beside it."""
    return f"""
[gate]
name = "{name}"
data = "{data}"
[page]
listen = "127.0.0.1"
port = 0
[peers]
on = false
[[lanes]]
id = 1
name = "Lane 1"
absent_ms = 0
[[lanes.readers]]
id = 1
way = "entry"
driver = "serial"
port = "{port}"
"""


@asynccontextmanager
async def real_gates(folder: Path, gates: Sequence[Enrolment], url: str) -> AsyncIterator[list[RealGate]]:
    """Run real daemons until the block ends; they are ready."""
    made: list[RealGate] = []
    ears: list[asyncio.Task[object]] = []
    processes: list[contextlib.AbstractContextManager[GateProcess]] = []
    try:
        for own in gates:
            home = folder / f"gate-{own.gate}"
            data = home / "data"
            data.mkdir(parents=True)
            enrolment.save(data, msgspec.structs.replace(own, centre_url=url))
            scanner = SerialScanner(home / "scanner")
            scanner.port.plug()
            config = home / "gate.toml"
            config.write_text(toml(data, home / "scanner", own.name))
            process = running(config)
            process.__enter__()
            processes.append(process)
            gate = RealGate(own, data, scanner, LaneClient(data / "lane.sock"))
            gate.lane.on_appended = gate.appended
            ears.append(asyncio.create_task(_listen(gate)))
            made.append(gate)
        async with asyncio.timeout(READY_MAX_S):
            for gate in made:
                while not gate.is_ready:
                    gate.grown.clear()
                    await gate.grown.wait()
        yield made
    finally:
        for ear in ears:
            ear.cancel()
        await asyncio.gather(*ears, return_exceptions=True)
        ending = asyncio.Semaphore(GATE_ENDS_AT_A_TIME)

        async def end(process: contextlib.AbstractContextManager[GateProcess]) -> None:
            async with ending:
                await asyncio.to_thread(process.__exit__, None, None, None)

        await asyncio.gather(*(end(one) for one in processes))
        for gate in made:
            if gate.reader is not None:
                gate.reader.close()
            gate.scanner.port.unplug()


async def _listen(gate: RealGate) -> None:
    with gate.lane.listening(gate):
        await gate.lane.run()


@dataclass(slots=True)
class Cancels:
    """What came of all cancellations. Seconds."""

    applied_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    answered_s: list[float] = field(default_factory=list)
    began_ns: list[int] = field(default_factory=list)


async def cancel_all(
    house: House, url: str, gates: Sequence[RealGate], tickets: Sequence[TicketId], mean_s: float = MEAN_S
) -> Cancels:
    """Cancel one ticket after the other by the API; each time, wait until every gate has it."""
    found = Cancels()
    chance = random.Random(3)
    headers = {"Authorization": f"Bearer {house.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for number, ticket in enumerate(tickets):
            before = max(gate.version() for gate in gates)
            await asyncio.sleep(chance.expovariate(1 / mean_s))
            began_ns = time.monotonic_ns()
            path = f"{url}/api/v1/events/{demo.EVENT}/tickets/{ticket}/cancel"
            sent = {"Idempotency-Key": f"bench-{ticket}", "Content-Type": "application/json"}
            waiting = [asyncio.create_task(gate.until_version(before + 1)) for gate in gates]
            async with session.post(path, data=json.dumps({"reason": "bench"}), headers=sent) as answer:
                assert answer.status == 200, await answer.text()
            found.answered_s.append((time.monotonic_ns() - began_ns) / 1e9)
            found.applied_s += [(at_ns - began_ns) / 1e9 for at_ns in await asyncio.gather(*waiting)]
            found.began_ns.append(began_ns)
            if number % REFUSED_EVERY == 0:
                gate = gates[number // REFUSED_EVERY % len(gates)]
                asked_ns = time.monotonic_ns()
                refused_ns = await gate.refuses(house.text(ticket))
                found.refused_s.append((refused_ns - asked_ns) / 1e9)
    return found


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    return asyncio.run(_measure(size))


async def _measure(size: Scale) -> list[Row]:
    folder = size.folder / "cancel"
    real = size.real_gates
    house = await asyncio.to_thread(
        fill, folder / "centre", max(size.streams, real), max(TICKETS, size.cancels), PUSHERS
    )
    rows: list[Row] = []
    with ExitStack() as stack:
        centre: Serving = stack.enter_context(serving(house))
        async with (
            real_gates(folder, house.gates[:1], centre.url) as first,
            _after(lambda: rows.append(_idle(centre, first[0]))),
            real_gates(folder, house.gates[1:real], centre.url) as rest,
        ):
            gates = [*first, *rest]
            crowd = _crowd(stack, folder, house, centre.url, real)
            opened = await asyncio.to_thread(crowd.line, "open", KNOWN_MAX_S * 4)
            pushing = _pushers(stack, folder, house, centre.url)
            await asyncio.to_thread(pushing.line, "pushing")
            found = await cancel_all(house, centre.url, gates, house.tickets[: size.cancels])
            memory = pss_mb([centre.process.pid])
            pushing.end()
            pushed = await asyncio.to_thread(pushing.line, "pushed")
            crowd.end()
    heard = msgspec.json.decode((folder / "heard").read_bytes(), type=Heard)
    rows.append(_row(found, heard, real, f"{opened} listening beside, {heard.lost} lost", pushed, memory))
    return rows


@asynccontextmanager
async def _after(look: Callable[[], None]) -> AsyncIterator[None]:
    """Look at something between what was entered before and what is after."""
    look()
    yield


def _idle(centre: Serving, first: RealGate) -> Row:
    assert first.is_ready
    return Row(
        name="centre_pss_mb",
        value=pss_mb([centre.process.pid]),
        unit="MB",
        goal=Goal(120),
        conditions=f"idle: the demo event and {TICKETS} tickets, one real gate connected, SQLite",
    )


def _crowd(stack: ExitStack, folder: Path, house: House, url: str, real: int) -> Child:
    keys = keys_file(folder / "listeners", house.gates[real:], url)
    return stack.enter_context(
        child(folder / "listeners.log", "tests.bench.listeners", str(keys), str(folder / "heard"))
    )


def _pushers(stack: ExitStack, folder: Path, house: House, url: str) -> Child:
    keys = keys_file(folder / "pushers", house.others, url)
    rate = str(PUSH_PER_S / len(house.others))
    return stack.enter_context(child(folder / "pushers.log", "tests.bench.pushers", "pace", str(keys), rate))


def _row(found: Cancels, heard: Heard, real: int, beside: str, pushed: str, memory: float) -> Row:
    everybody_s = [
        (last_ns - began_ns) / 1e9 for last_ns, began_ns in zip(heard.last_ns, found.began_ns, strict=False)
    ]
    crowd = (
        f"the last stream beside told after p99 {percentile(everybody_s, 99):.2f} s; " if everybody_s else ""
    )
    return Row(
        name="cancel_to_gate_p99_s",
        value=percentile(found.applied_s, 99),
        unit="s",
        floor=percentile(found.answered_s, 99),
        goal=Goal(1),
        conditions=f"n={len(found.applied_s)}: {len(found.began_ns)} cancellations by the API at {real} real daemons, "
        f"all of one group with {beside}; {pushed} pushed meanwhile by gates of another group; to the version durable "
        f"in the gate's log; p50 {median(found.applied_s):.3f} s, max {max(found.applied_s):.2f} s; {crowd}"
        f"presented at {len(found.refused_s)} scanners: refused each time, within {max(found.refused_s):.3f} s; centre "
        f"{memory:.0f} MB; floor: the API's own answer; plain http on loopback, SQLite, daemons on the same machine",
    )
