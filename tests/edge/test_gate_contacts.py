"""Contacts that are lost, found closed, or shared: what the lane makes of its sensors."""

from pathlib import Path

from admission.lane import LaneState
from admission.records import Flag, Kind, Outcome
from edge.link import Health, Part, SetState
from tests.edge.rig import code, quick, row, running


def without_ready(text: str) -> str:
    """A lane whose READY contact is not wired."""
    return quick("\n".join(line for line in text.splitlines() if not line.startswith("ready_contact")))


async def test_while_the_sensor_board_is_away_passage_is_assumed(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=without_ready) as gate:
        await gate.ready()
        gate.hardware.contacts.unplug()
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.BAD, "the board is missed")
        await gate.hardware.entry.scan(code(7))
        assert (await gate.seen()).outcome == Outcome.GRANT
        passage = await gate.recorded(Kind.PASSAGE)
        assert passage.flags & Flag.ASSUMED
        await gate.hardware.entry.scan(code(7))
        assert (await gate.seen(2)).outcome == Outcome.DENY


async def test_a_contact_found_closed_is_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=without_ready) as gate:
        await gate.ready()
        gate.hardware.contacts.unplug()
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.BAD, "the board is missed")
        gate.hardware.contacts.drive(0, active=True)
        gate.hardware.contacts.plug()
        await gate.until(lambda: gate.health(Part.SENSOR, "contacts") is Health.OK, "the board is back")
        gate.hardware.contacts.drive(0, active=False)
        await gate.hardware.entry.scan(code(7))
        assert (await gate.seen()).outcome == Outcome.GRANT
        await gate.walk()
        assert (await gate.recorded(Kind.PASSAGE)).flags & Flag.ASSUMED == 0
        assert Kind.INTRUSION not in gate.kinds()


async def test_a_command_is_answered_when_its_record_is_on_disk(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        done = await gate.do(SetState(1, 1, LaneState.CLOSED.name.lower()))
        assert done.ok
        assert Kind.LANE_STATE in gate.kinds()
