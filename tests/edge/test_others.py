"""Records of other gates at the lane: in the next decision at once, bounded, kept, and nobody's forgery of our own."""

from pathlib import Path

from admission.ids import Epoch, GateId, RecordId
from admission.observed import PresenceRow, Role
from admission.reasons import Reason
from admission.records import Direction, Outcome
from admission.rules import share_of
from edge.link import FOREIGN_MAX, Foreign, Health, HeardGates, Part
from edge.others import FLUSH_RECORDS, HEARD_S
from tests.edge.rig import ARENA, EVENT, GATE, SESSION, code, row, running
from tests.sync.logs import EpochLog

OTHER = GateId(2)


def entry(ticket: int, seq: int = 2) -> PresenceRow:
    """Somebody went in at the other gate."""
    at = RecordId(OTHER, Epoch(7), seq)
    return PresenceRow(
        EVENT, row(ticket).ticket, at, Role.ENTRY, 1_000_000, way=Direction.ENTRY, zone=ARENA, session=SESSION
    )


def slice_of(log: EpochLog, first: int, last: int, *rows: PresenceRow) -> Foreign:
    return Foreign(1, log.gate, log.epoch, first, tuple(log.blobs[first - 1 : last]), rows=rows)


async def test_the_next_decision_knows_and_the_disk_has_it_after_the_next_commit(tmp_path: Path) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(3)
    async with running(tmp_path, [row(1), row(2)]) as gate:
        await gate.ready()
        done = await gate.do(slice_of(log, 1, 4, entry(1)))
        assert done.ok
        await gate.hardware.second.scan(code(1))
        seen = await gate.seen()
        assert (seen.outcome, seen.reason, seen.gate) == (Outcome.DENY, Reason.ALREADY_USED, OTHER)
        await gate.hardware.second.scan(code(2))
        assert (await gate.seen(2)).outcome == Outcome.GRANT
        await gate.until(lambda: gate.daemon.memory.occupancy_high(ARENA) == 2, "counted")
        reader = gate.reader()
        await gate.until(lambda: len(reader.records(OTHER, Epoch(7), 0, 99)) == 4, "kept")
        assert [one.blob for one in reader.records(OTHER, Epoch(7), 0, 99)] == log.blobs[:4]
        reader.close()
        assert gate.daemon.journal.epoch != 7


async def test_a_peer_that_says_very_much_is_taken_in_slices_with_commits_of_their_own(
    tmp_path: Path,
) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(FLUSH_RECORDS * 4, head_every=10**9)
    async with running(tmp_path, [row(1)]) as gate:
        await gate.ready()
        others, reader = gate.daemon.others, gate.reader()
        for first in range(1, len(log.blobs) + 1, FOREIGN_MAX):
            last = min(first + FOREIGN_MAX - 1, len(log.blobs))
            assert (await others.take(slice_of(log, first, last))).ok
            on_disk = max((one.last_seq for one in reader.epochs() if one.gate == OTHER), default=0)
            assert last - on_disk <= FLUSH_RECORDS + FOREIGN_MAX, "a scan never waits for more than these"
        reader.close()
        assert await gate.daemon.journal.saved(5)
        await gate.hardware.second.scan(code(1))
        assert (await gate.seen()).outcome == Outcome.GRANT


async def test_more_than_a_slice_and_our_own_running_log_are_refused(tmp_path: Path) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(FOREIGN_MAX + 1, head_every=10**9)
    async with running(tmp_path, [row(1)]) as gate:
        await gate.ready()
        assert not (await gate.do(slice_of(log, 1, FOREIGN_MAX + 1))).ok
        own = EpochLog(gate.daemon.journal.epoch, GATE).begin()
        assert not (await gate.do(slice_of(own, 1, 1))).ok
        assert gate.records() == []


async def test_a_gate_is_heard_for_as_long_as_the_centre_knew_all_of_it(tmp_path: Path) -> None:
    async with running(tmp_path, [row(1)]) as gate:
        others = gate.daemon.others
        assert not others.is_heard(OTHER)
        others.heard(HeardGates({OTHER: 0}))
        assert others.is_heard(OTHER)
        others.heard(HeardGates({OTHER: int(HEARD_S * 2000)}))
        assert others.is_heard(OTHER), "what is known later is never taken back by an older word"
        others.heard(HeardGates({GateId(3): int(HEARD_S * 1000) + 1}))
        assert not others.is_heard(GateId(3))
        others.heard(HeardGates({}, {OTHER: "fork"}))
        assert gate.health(Part.LOG, f"gate {OTHER}") is Health.DEGRADED


def test_the_shares_of_gates_that_are_cut_off_never_add_up_to_more_than_there_is_room() -> None:
    for capacity in range(9):
        for known in range(12):
            for gates in range(1, 5):
                share = share_of(capacity, known, gates)
                assert share <= capacity
                assert gates * max(0, share - known) <= max(0, capacity - known)
    assert share_of(100, 40, 2) == 70
    assert share_of(100, 100, 2) == 100
    assert share_of(1, 0, 2) == 0
