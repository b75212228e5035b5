"""People at a gate: the whole lane process on real ptys, from scanner to turnstile."""

from pathlib import Path

from admission.reasons import Reason
from admission.records import Kind, Outcome, Record, record_from_bytes
from edge.link import Health, Part
from tests.edge.rig import GATE, Gate, code, row, running


async def ready(gate: Gate) -> None:
    """Wait until both lanes can let somebody in."""
    await gate.until(
        lambda: all(shell.machine.facts()[1] for shell in gate.daemon.lanes.values()), "both lanes ready"
    )
    readers = ("1.1", "1.2", "1.3", "2.4")
    await gate.until(
        lambda: all(gate.daemon.board.health(Part.READER, name) is Health.OK for name in readers),
        "readers open",
    )


def kinds(gate: Gate) -> list[Kind]:
    """The kinds of this run's records that are on disk, without what only frames them."""
    reader = gate.reader()
    found = [record_from_bytes(one.blob) for one in reader.records(GATE, gate.daemon.journal.epoch, 0, 1000)]
    reader.close()
    return [one.kind for one in found if isinstance(one, Record) and one.kind is not Kind.RESTART]


async def test_a_ticket_turns_the_arm_and_is_used(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)]) as gate:
        await ready(gate)
        await gate.hardware.entry.scan(code(7))
        assert await gate.hardware.lanes[1].releases.get() == "entry"
        seen = await gate.seen()
        assert (seen.outcome, seen.reason) == (Outcome.GRANT, 0)
        assert await gate.hardware.lanes[1].turn("entry")
        await gate.until(lambda: Kind.PASSAGE in kinds(gate), "the passage is recorded")
        await gate.hardware.second.scan(code(7))
        again = await gate.seen(2)
        assert (again.outcome, again.reason) == (Outcome.DENY, Reason.ALREADY_USED)
