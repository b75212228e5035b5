"""A whole gate beside the centre whose uplink lives on as the front keeps it: it begins anew when keys are others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.enrolment import Enrolment, load, save
from edge.front.lane_client import LaneClient
from edge.front.process import FrontSettings, uplink
from edge.front.shown_names import ShownNames
from edge.front.tls import PageTls
from edge.link import SOCKET, Part, Tile, UplinkSaid
from edge.settings import CentreSettings, PeerSettings
from sync import demo
from tests.edge.rig import Gate, running
from tests.sync.connected import Connected
from tests.sync.venue import Venue

SELDOM = CentreSettings(poll_s=3600, push_s=0.05)
"""Lists are not asked for in the time of a test: whatever is new came by another way."""
OFTEN = CentreSettings(poll_s=0.1, push_s=0.05)
WAIT_S = 30.0
"""Only reached where something is broken."""


class Telling(LaneClient):
    """The front's end of the link, which keeps what the uplink said."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket)
        self.uplink_said: list[UplinkSaid] = []

    def say(self, message: object) -> None:
        if isinstance(message, UplinkSaid):
            self.uplink_said.append(message)
        super().say(message)  # type: ignore[arg-type]  # whatever the front says


@dataclass
class Fronted:
    """A gate, its uplink, and what that said."""

    gate: Gate
    client: Telling
    judged: Connected = field(init=False)

    def __post_init__(self) -> None:
        self.judged = Connected(self.gate, self.client, None, self.enrolment, ShownNames())  # type: ignore[arg-type]  # an uplink of many lives

    @property
    def enrolment(self) -> Enrolment:
        """Who the box is now, by its disk."""
        return load(self.gate.data)

    @property
    def said(self) -> list[str]:
        """The codes of the uplink's tile so far."""
        return [one.code for one in self.client.uplink_said]

    def is_well(self) -> bool:
        return self.gate.code(Part.UPLINK, "centre") == "uplink.ok"

    @property
    def tile(self) -> Tile:
        """How the uplink is shown."""
        return next(one for one in self.gate.daemon.board.tiles if one.part is Part.UPLINK)

    def is_sent(self) -> bool:
        """Whether the centre has all that the lane recorded."""
        return self.tile.args.get("queued") == 0

    async def until(self, holds: Callable[[], object], what: str) -> None:
        await self.gate.until(holds, what, WAIT_S)


@asynccontextmanager
async def front_of(gate: Gate, settings: CentreSettings = SELDOM) -> AsyncIterator[Fronted]:
    """Give a running gate its front's uplink."""
    client = Telling(gate.data / SOCKET)
    told = FrontSettings(
        str(gate.data), str(gate.data / SOCKET), centre=settings, peers=PeerSettings(on=False)
    )
    talking = asyncio.create_task(client.run())
    await gate.until(lambda: client.connected, "the front is connected")
    living = asyncio.create_task(uplink(told, client, PageTls(gate.data), ShownNames()))
    try:
        yield Fronted(gate, client)
    finally:
        for task in (living, talking):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def fronted(
    venue: Venue,
    folder: Path,
    settings: CentreSettings = SELDOM,
    *,
    name: str = demo.MAIN_GATE_NAME,
    url: str = "",
) -> AsyncIterator[Fronted]:
    """Enrol a box as a gate, run it with its front, and wait until it has its list. `url`: where it meets the centre."""
    data = folder / "data"
    made = await venue.enrolled(data, name)
    if url:
        save(data, msgspec.structs.replace(made, centre_url=url))
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(running(folder))
        one = await stack.enter_async_context(front_of(gate, settings))
        await one.until(lambda: gate.daemon.judge.has_list and one.is_well(), "the list is in use")
        yield one
