"""Gates that share no LAN: each a real daemon with its real front and devices, all of one real centre."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from admission.entitlements import LanePlan, Mode
from admission.ids import GateId, LaneId
from edge.compose import factories
from edge.enrol import enrol
from edge.link import Health, Part
from edge.parts import Factories
from sync import demo
from sync.events.rows import GROUP
from sync.gates import roster
from sync.tickets import changes
from tests.edge import rig
from tests.sync.venue import NOW_S, Venue

SECOND_GATE, SECOND_NAME = GateId(7), "Second gate"
PLANS = (
    LanePlan(LaneId(1), demo.ARENA, Mode.MULTIPLE, ((demo.EVENT, demo.TODAY),)),
    LanePlan(LaneId(2), demo.ARENA, Mode.NORMAL, ((demo.EVENT, demo.TODAY),)),
)
WAIT_S = 40.0
"""Only reached where something is broken, or the machine is very busy."""


def add_second_gate(venue: Venue) -> None:
    """Make a gate that serves the main gate's zones."""
    with changes.change(venue.centre.database, [demo.EVENT, demo.OTHER_EVENT], NOW_S + 1) as connection:
        roster.add_gate(
            connection,
            roster.Gate(SECOND_GATE, SECOND_NAME, (demo.ARENA, demo.FLOOR, demo.VIP)),
            PLANS,
            GROUP,
        )


def codes(venue: Venue) -> dict[str, str]:
    """The demo tickets' codes, by key."""
    found = msgspec.json.decode((venue.data / demo.FILE).read_bytes(), type=list[demo.DemoTicket])
    return {one.key: one.data for one in found}


def _quick(text: str) -> str:
    """Push at the pace of a real gate; each read is a new presentation."""
    return text.replace("push_s = 0.2", "push_s = 0.1").replace("[[lanes]]\n", "[[lanes]]\nabsent_ms = 0\n")


def _with_front(parts: Factories) -> Factories:
    return replace(parts, front_argv=factories().front_argv)


@asynccontextmanager
async def two_gates(
    venue: Venue, folder: Path, adjust: Callable[[str], str] = _quick
) -> AsyncIterator[tuple[rig.Gate, rig.Gate]]:
    """The main gate and a second one, both ready, both having heard of each other."""
    add_second_gate(venue)
    async with AsyncExitStack() as stack:
        gates = []
        for name in (demo.MAIN_GATE_NAME, SECOND_NAME):
            at = folder / name.replace(" ", "-").lower()
            data = at / "data"
            data.mkdir(parents=True)
            code = await asyncio.to_thread(venue.code, name)
            await asyncio.to_thread(enrol, data, venue.url, code, "box")
            gates.append(await stack.enter_async_context(rig.running(at, adjust=adjust, change=_with_front)))
        first, second = gates
        await first.until(lambda: hears(first, SECOND_GATE), "the second gate is heard", WAIT_S)
        await second.until(lambda: hears(second, demo.MAIN_GATE), "the main gate is heard", WAIT_S)
        yield first, second


def hears(gate: rig.Gate, other: GateId) -> bool:
    """Whether a gate can let somebody in, and knows of another."""
    daemon = gate.daemon
    return (
        all(shell.ready for shell in daemon.lanes.values())
        and gate.health(Part.UPLINK, "centre") is Health.OK
        and daemon.judge.has_others
        and daemon.others.is_heard(other)
    )
