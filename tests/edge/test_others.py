"""Records of other gates at the lane: in the next decision at once, bounded, kept, and nobody's forgery of our own."""

import time
from pathlib import Path

import msgspec

from admission.ids import Epoch, GateId, RecordId
from admission.lane import Write
from admission.observed import PresenceRow, Role
from admission.reasons import Language, Reason
from admission.records import Direction, Flag, Kind, Outcome
from admission.rules import share_of
from edge.claims import BURST
from edge.journal import Stamp
from edge.link import (
    DOUBTED,
    FOREIGN_MAX,
    Believe,
    BelieveAgain,
    Foreign,
    Health,
    HeardGates,
    Part,
    UplinkSaid,
)
from edge.others import FLUSH_RECORDS, HEARD_S, Others
from edge.store.list import build
from edge.words import sentence
from sync.wire.counted import Limit
from sync.wire.lists import GateInfo
from tests.edge.rig import ARENA, EVENT, GATE, SESSION, code, list_head, prepare, row, running
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
            assert last - on_disk <= 2 * FLUSH_RECORDS + FOREIGN_MAX, "a scan never waits for more than these"
        reader.close()
        assert await gate.daemon.journal.saved(5)
        await gate.hardware.second.scan(code(1))
        assert (await gate.seen()).outcome == Outcome.GRANT


async def test_a_slice_waits_for_the_commit_before_and_for_nothing_of_ours(tmp_path: Path) -> None:
    """What a neighbour reserved must be known at once, also behind a denial of ours that rides the next commit."""
    log = EpochLog(Epoch(7), OTHER).begin().scans(FLUSH_RECORDS + 9, head_every=10**9)
    async with running(tmp_path, [row(1)]) as gate:
        await gate.ready()
        others, journal = gate.daemon.others, gate.daemon.journal
        for first in range(1, FLUSH_RECORDS + 1, FOREIGN_MAX):
            last = min(first + FOREIGN_MAX, FLUSH_RECORDS + 1) - 1
            assert (await others.take(slice_of(log, first, last))).ok
        assert await journal.saved(5)
        journal.append((Write(0, Kind.SCAN, outcome=Outcome.DENY),), Stamp())
        assert not await journal.saved(0.0), "it rides"
        assert (await others.take(slice_of(log, FLUSH_RECORDS + 1, FLUSH_RECORDS + 9, entry(1)))).ok
        assert not await journal.saved(0.0), "and it rides still"
        assert gate.daemon.memory.rows(EVENT, row(1).ticket)


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
        others.heard(HeardGates({}))
        assert gate.code(Part.LOG, f"gate {OTHER}") == "others.fork", "a copied card does not go by itself"
        others.heard(HeardGates({}, {GateId(3): "unsigned"}))
        assert gate.code(Part.LOG, "gate 3") == "others.unsigned"
        others.heard(HeardGates({}))
        assert all(one.name != "gate 3" for one in gate.daemon.board.tiles), "it started again, and signed"


async def test_a_gate_in_doubt_stays_so_over_a_restart(tmp_path: Path) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(BURST * 2, head_every=10**9)
    claimed = [entry(seq, seq) for seq in range(2, len(log.blobs) + 1)]
    async with running(tmp_path, [row(1), row(2)]) as gate:
        await gate.ready()
        for first in range(1, len(log.blobs) + 1, FOREIGN_MAX):
            last = min(first + FOREIGN_MAX - 1, len(log.blobs))
            rows = (one for one in claimed if first <= one.id.seq <= last)
            assert (await gate.do(slice_of(log, first, last, *rows))).ok
        assert gate.code(Part.LOG, f"claims {OTHER}") == "others.doubted"
        assert await gate.daemon.journal.saved(5)
    async with running(tmp_path) as gate:
        await gate.ready()
        assert (await gate.daemon.others.believe(Believe(1, ()))).ok
        assert gate.code(Part.LOG, f"claims {OTHER}") == "others.doubted"
        await gate.hardware.second.scan(code(2))
        seen = await gate.seen()
        assert (seen.outcome, bool(seen.flags & Flag.UNSURE)) == (Outcome.GRANT, True)


async def test_staff_who_looked_at_a_gate_in_doubt_believe_it_again(tmp_path: Path) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(BURST + 40, head_every=10**9)
    claimed = [entry(seq, seq) for seq in range(2, len(log.blobs) + 1)]
    async with running(tmp_path, [row(1), row(2), row(3)]) as gate:
        await gate.ready()
        for first in range(1, len(log.blobs) + 1, FOREIGN_MAX):
            last = min(first + FOREIGN_MAX - 1, len(log.blobs))
            rows = (one for one in claimed if first <= one.id.seq <= last)
            assert (await gate.do(slice_of(log, first, last, *rows))).ok
        tile = next(one for one in gate.daemon.board.tiles if one.code == DOUBTED)
        assert tile.args["number"] == OTHER
        nobody = await gate.do(BelieveAgain(0, OTHER, 0))
        assert (nobody.ok, nobody.code, set(gate.daemon.memory.doubts.gates)) == (
            False,
            "command.no_steward",
            {OTHER},
        )
        for _ in range(2):  # whoever is second finds it done
            assert (await gate.do(BelieveAgain(0, OTHER, 17))).ok
        assert (set(gate.daemon.memory.doubts.gates), gate.health(Part.LOG, f"claims {OTHER}")) == (
            set[GateId](),
            Health.OFF,
        )
        said = [one for one in gate.records() if one.kind is Kind.STANDING]
        assert [one.data for one in said] == [OTHER], "who did it stands behind it in the log"
        await gate.hardware.second.scan(code(2))
        seen = await gate.seen()
        assert (seen.outcome, seen.reason, seen.gate) == (Outcome.DENY, Reason.ALREADY_USED, OTHER)
    async with running(tmp_path) as gate:
        await gate.ready()
        assert not gate.daemon.memory.doubts, "nor after a restart"


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


def known_to_the_list(data: Path, *names: str) -> None:
    """A list that names other gates beside our own."""
    prepare(data, [row(1)])
    head = list_head(int(time.time()))
    others = tuple(GateInfo(GateId(n), name, bytes(32), (ARENA,)) for n, name in enumerate(names, 2))
    head = msgspec.structs.replace(head, gates=(*head.gates, *others))
    (data / "list.sqlite3").unlink()
    build(data / "list.sqlite3", head, [row(1)])


async def test_who_is_near_who_is_silent_and_who_was_never_heard_are_told_apart(tmp_path: Path) -> None:
    known_to_the_list(tmp_path / "data", "East", "West", "South", "Spare")
    async with running(tmp_path) as gate:
        await gate.ready()
        now_s = [1000.0]
        others = Others(gate.daemon, lambda: now_s[0])
        assert others.reach(0.0) == ((), (), 0, ()), (
            "a gate that just started knows of nobody, and says nothing"
        )
        others.heard(HeardGates({GateId(2): 0, GateId(3): 0, GateId(4): 0}))
        assert others.reach(1000.0).near == (), "what the centre said before the cut is no neighbour"
        now_s[0] += 200
        others.heard(HeardGates({GateId(2): 1000, GateId(4): 60_000}))
        assert others.reach(1000.0) == (("East",), ("West", "South"), 60, ("Spare",))
        assert (await others.believe(Believe(1, (Limit(GateId(3), {}, others=False),)))).ok
        assert others.reach(1000.0).silent == ("South",), "who is shut out is not waited for"


async def test_the_tile_of_a_gate_that_is_cut_off_says_who_shares_with_it(tmp_path: Path) -> None:
    known_to_the_list(tmp_path / "data", "East", "West")
    async with running(tmp_path) as gate:
        await gate.ready()
        daemon = gate.daemon
        cut = UplinkSaid(Health.DEGRADED, "uplink.cut_off", {"cut_s": 845, "queued": 2000, "scans": 1208})
        daemon.others.heard(HeardGates({GateId(2): 0, GateId(3): 185_000}))
        daemon.status.uplink_said(cut)
        tile = next(one for one in daemon.board.tiles if one.part is Part.UPLINK)
        assert sentence(tile.code, tile.args, Language.EN).cause == (
            "Cut off from the centre for 14 min, 1,208 scans waiting, sharing with East, West not heard for 3 min"
        )
        told = len(daemon.board.tiles), tile.since_s
        daemon.status.uplink_tile()
        again = next(one for one in daemon.board.tiles if one.part is Part.UPLINK)
        assert (len(daemon.board.tiles), again.since_s) == told
        daemon.status.uplink_said(UplinkSaid(Health.OK, "uplink.ok", {"queued": 0}))
        tile = next(one for one in daemon.board.tiles if one.part is Part.UPLINK)
        assert sentence(tile.code, tile.args, Language.EN).cause == (
            "Connected; 0 to send; West not heard for 3 min"
        )
