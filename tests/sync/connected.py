"""A whole gate beside the centre: the real daemon on simulated hardware, and its uplink."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from admission.credentials import Medium
from admission.entitlements import LanePlan
from admission.question import LaneFacts, Verdict
from admission.records import Direction
from edge.enrolment import Enrolment
from edge.front.lane_client import LaneClient
from edge.front.shown_names import ShownNames
from edge.front.uplink import Uplink
from edge.link import SOCKET, Done, TakeList
from edge.settings import CentreSettings
from edge.store.log_reader import LogReader
from sync.demo import DemoTicket, demo_tickets
from tests.edge.rig import Gate, running
from tests.sync.venue import Venue

SETTINGS = CentreSettings(poll_s=3600, push_s=0.05)
"""Lists are not asked for in the time of a test: what changes came by another way."""


@dataclass
class Connected:
    """A gate with its uplink."""

    gate: Gate
    client: LaneClient
    uplink: Uplink
    enrolment: Enrolment
    names: ShownNames

    def verdict(self, data: str, medium: Medium = Medium.BARCODE, lane: int = 1) -> Verdict:
        """What the gate would answer now."""
        judge = self.gate.daemon.judge
        plan: LanePlan | None = judge.plan(lane)
        assert plan is not None, "the lane has a plan"
        raw = bytes.fromhex(data) if medium is Medium.UID else data.encode()
        return judge.answer(judge.identify(raw, medium), Direction.ENTRY, LaneFacts(plan)).verdict

    def of(self, ticket: DemoTicket) -> Verdict:
        """What the gate would answer to a demo ticket now."""
        return self.verdict(ticket.data, ticket.medium)

    async def until(self, holds: Callable[[], object], what: str) -> None:
        await self.gate.until(holds, what, 20.0)

    async def listed(self) -> None:
        await self.until(lambda: self.gate.daemon.judge.has_list, "the list is in use")


def tickets(venue: Venue) -> dict[str, DemoTicket]:
    return {one.key: one for one in demo_tickets(venue.data)}


@asynccontextmanager
async def linked(
    gate: Gate, enrolment: Enrolment, settings: CentreSettings = SETTINGS
) -> AsyncIterator[Connected]:
    """Give a running gate its uplink."""
    client = LaneClient(gate.data / SOCKET)

    async def take_list(path: Path) -> Done:
        return await client.command(TakeList(0, str(path)))

    reader = LogReader.open(gate.data)
    names = ShownNames()
    uplink = Uplink(enrolment, gate.data, settings, reader, client.say, take_list, client, names=names)
    client.on_names = names.wants
    client.on_appended, client.on_ask_others = uplink.appended, uplink.ask_others
    talking = asyncio.create_task(client.run())
    await gate.until(lambda: client.connected, "the front is connected")
    running_ = asyncio.create_task(uplink.run())
    try:
        yield Connected(gate, client, uplink, enrolment, names)
    finally:
        for task in (running_, talking):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        reader.close()


@asynccontextmanager
async def connected(
    venue: Venue, folder: Path, settings: CentreSettings = SETTINGS
) -> AsyncIterator[Connected]:
    """Enrol a box, run it, and wait until it has its list."""
    enrolment = await venue.enrolled(folder / "data")
    async with running(folder) as gate, linked(gate, enrolment, settings) as made:
        await made.listed()
        yield made
