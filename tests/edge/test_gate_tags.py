"""A tag that counts its taps, at whole gates: its message opens once, over a restart and at every gate that hears of it."""

import time
from pathlib import Path

from admission.digests import CredentialKind, digest
from admission.ids import GateId, LaneId
from admission.reasons import Reason
from admission.records import Outcome
from drivers.base import Medium, Scan
from edge.front.merged import meaning_of
from edge.link import Foreign
from tests.admission.tags import TAG_UID, sun_tap
from tests.edge.rig import DIGEST_KEY, Gate, row, running

SUN_ROW = row(1)._replace(digest=digest(CredentialKind.SUN, TAG_UID, DIGEST_KEY))
OTHER = GateId(2)


async def tapped(gate: Gate, counter: int, lane: int = 2, reader: int = 4) -> tuple[int, int]:
    """Hold the tag to a reader; return outcome and reason."""
    await gate.ready()
    before, now_ns = len(gate.daemon.recent), time.monotonic_ns()
    data = sun_tap(counter, DIGEST_KEY)
    gate.daemon.lanes[LaneId(lane)].scanned(reader, Scan(data, Medium.TAG, "", now_ns, now_ns))
    seen = await gate.seen(before + 1)
    return seen.outcome, seen.reason


async def test_a_message_opens_once_wherever_it_was_heard(tmp_path: Path) -> None:
    replayed = (Outcome.DENY, Reason.REPLAYED_TAP)
    async with running(tmp_path / "north", [SUN_ROW]) as gate:
        assert await tapped(gate, 7) == (Outcome.GRANT, Reason.NONE)
        epoch = gate.daemon.journal.epoch
    async with running(tmp_path / "north") as gate:
        assert await tapped(gate, 7) == replayed
        reader = gate.reader()
        blobs = tuple(one.blob for one in reader.records(GateId(1), epoch, 0, 99))
        reader.close()
    rows, resets = meaning_of(OTHER, epoch, blobs)
    async with running(tmp_path / "south", [SUN_ROW]) as gate:
        await gate.ready()
        assert (await gate.do(Foreign(1, OTHER, epoch, 1, blobs, rows=tuple(rows), resets=tuple(resets)))).ok
        assert await tapped(gate, 7) == replayed
        assert await tapped(gate, 6, lane=1, reader=1) == replayed
        assert await gate.daemon.journal.saved(5)
        by_ticket = await tapped(gate, 8, lane=1, reader=3)
        assert by_ticket == (Outcome.DENY, Reason.ALREADY_INSIDE), "a new tap is judged by its ticket"
