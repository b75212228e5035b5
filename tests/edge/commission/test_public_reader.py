"""What visitors show at a reader of a running gate: codes that program scanners or enrol boxes are unknown tickets, no more."""

from pathlib import Path

import pytest

from admission.reasons import Reason
from admission.records import Outcome
from tests.edge.rig import row, running


@pytest.mark.parametrize("shown", [b"TRMUSB130.", b"https://centre.example#0123456789abcdef ABCD-EFGH"])
async def test_a_programming_code_or_an_enrolment_code_at_a_public_reader_changes_nothing(
    tmp_path: Path, shown: bytes
) -> None:
    async with running(tmp_path, [row(1)]) as gate:
        await gate.ready()
        kept = {file: (gate.data / file).read_bytes() for file in ("enrolment.json", "list.sqlite3")}
        files = sorted(one.name for one in gate.data.iterdir())
        parts = len(gate.daemon.board.tiles)
        await gate.hardware.entry.scan(shown)
        seen = await gate.seen()
        assert (seen.outcome, seen.reason) == (Outcome.DENY, Reason.UNKNOWN)
        assert {file: (gate.data / file).read_bytes() for file in kept} == kept
        assert sorted(one.name for one in gate.data.iterdir()) == files
        assert len(gate.daemon.board.tiles) == parts
        assert not any(gate.hardware.relays.levels)
