"""People at a gate: the whole lane process on real ptys, from scanner to turnstile."""

from pathlib import Path

from admission.reasons import Reason
from admission.records import Kind, Outcome
from tests.edge.rig import code, row, running


async def test_a_ticket_turns_the_arm_and_is_used(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)]) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        assert await gate.hardware.lanes[1].releases.get() == "entry"
        seen = await gate.seen()
        assert (seen.outcome, seen.reason) == (Outcome.GRANT, 0)
        assert await gate.hardware.lanes[1].turn("entry")
        await gate.recorded(Kind.PASSAGE)
        await gate.hardware.second.scan(code(7))
        again = await gate.seen(2)
        assert (again.outcome, again.reason) == (Outcome.DENY, Reason.ALREADY_USED)
