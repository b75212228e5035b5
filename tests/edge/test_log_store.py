"""The log file: what it holds, what it never undoes, who may open it, and what becomes of a damaged one."""

import errno
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from admission.chain import Finding, LogSet, Predecessor, link, seed
from admission.entitlements import CredentialStanding, Standing
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId
from admission.observed import highest_tap, tag_key
from admission.presence import PresenceRow, Role
from edge.memory import refold
from edge.store.disk import LocalDisk
from edge.store.faults import FaultKind, StoreFault
from edge.store.log import RESERVE_BYTES, RESERVE_NEEDS_BYTES, LogStore
from edge.store.log_reader import PAGE_ROWS, LogReader, log_path
from edge.store.log_schema import (
    CENTRE,
    FORMAT,
    RUN_KEY,
    TAPS_KEPT,
    Batch,
    Cursor,
    ListVersion,
    SnapshotMark,
    StandingChange,
    StoredRecord,
)
from edge.store.salvage import ASIDES_MAX
from tests.edge.crash_points import OWN, PEER, QUIET, Gate, QuietDisk

FAR = Epoch(2**64 - 1)
EVENT = EventId(1)


def day(gate: GateId, epoch: Epoch, scans: int, *, head_every: int = 10) -> list[Batch]:
    writer = Gate(gate)
    writer.begin(epoch)
    batches = []
    for token in range(1, scans + 1):
        writer.scan(token % 50 + 1)
        batches.append(writer.batch(token, head=token % head_every == 0))
    return batches


def records_of(batches: list[Batch]) -> dict[tuple[int, int, int], bytes]:
    return {(one.gate, one.epoch, one.seq): one.blob for batch in batches for one in batch.records}


def held(store: LogReader) -> dict[tuple[int, int, int], bytes]:
    return {
        (row.gate, row.epoch, one.seq): one.blob
        for row in store.epochs()
        for one in store.records(row.gate, row.epoch, 0, 10_000)
    }


@pytest.fixture
def store(tmp_path: Path) -> LogStore:
    return LogStore.open(tmp_path, QUIET)


def test_a_run_goes_on_from_the_last_one_made_here_whatever_was_fetched_back_since(store: LogStore) -> None:
    made, fetched = day(OWN, Epoch(5), 3), day(OWN, Epoch(9), 3)
    store.append(made)
    assert (last := store.newest_state(OWN)) is not None
    assert last.epoch == 5
    store.append([Batch(9, (), meta=((RUN_KEY, (5).to_bytes(8, "big")),)), *fetched])
    assert (last := store.newest_state(OWN)) is not None
    assert (last.epoch, last.seq) == (5, made[-1].records[-1].seq)
    assert store.newest_state(PEER) is None


def test_a_log_gives_back_what_it_was_given(store: LogStore, tmp_path: Path) -> None:
    batches = day(OWN, FAR, 25) + day(PEER, Epoch(1), 5)
    store.append(batches)
    reader = LogReader.open(tmp_path)
    assert held(reader) == records_of(batches)
    own = [one for batch in batches[:25] for one in batch.records]
    assert reader.records(OWN, FAR, 3, 4) == tuple(own[3:7])
    assert reader.record(RecordId(OWN, FAR, 2)) == own[1].blob
    assert reader.record(RecordId(OWN, FAR, 9999)) is None
    assert reader.newest(OWN, 3) == tuple(reversed(own[-3:]))
    assert [(row.gate, row.epoch, row.ordinal, row.last_seq, row.folded_seq) for row in reader.epochs()] == [
        (OWN, FAR, 1, own[-1].seq, own[-1].seq),
        (PEER, Epoch(1), 2, 11, 11),
    ]
    rows = [row for batch in batches for row in batch.presence]
    assert sorted(reader.all_presence(), key=_key) == sorted(rows, key=_key)
    assert sorted(reader.presence_rows(EVENT, TicketId(2)), key=_key) == sorted(
        (row for row in rows if row.ticket == 2), key=_key
    )
    reader.close()
    store.close()


def test_all_presence_is_read_page_by_page(store: LogStore) -> None:
    """Each page is a statement of its own: what is written meanwhile further on is seen, and nobody is held up."""
    tickets = [TicketId(number) for number in (*range(1, PAGE_ROWS), 2**63, 2**64 - 1)]
    rows = [
        PresenceRow(EVENT, ticket, RecordId(OWN, FAR, seq), Role.ENTRY, seq)
        for seq, ticket in enumerate((*tickets, *tickets), 1)
    ]
    store.append([Batch(1, presence=tuple(rows))])
    assert len(list(store.all_presence())) == len(rows)
    assert sorted(store.presence_tickets()) == [(EVENT, ticket) for ticket in tickets]
    found = store.all_presence()
    first = next(found)
    late = PresenceRow(EVENT, TicketId(PAGE_ROWS - 2), RecordId(OWN, FAR, 9999), Role.ENTRY, 1)
    store.append([Batch(2, presence=(late,))])
    assert sorted([first, *found], key=_key) == sorted([*rows, late], key=_key)


def _key(row: PresenceRow) -> tuple[int, ...]:
    return (row.event, row.ticket, *row.id)


def test_of_a_tag_that_counts_a_gate_s_last_taps_are_kept_and_no_others(store: LogStore) -> None:
    key = tag_key(bytes(range(8)) + bytes(8))

    def tap(gate: GateId, counter: int) -> PresenceRow:
        return PresenceRow(*key, RecordId(gate, FAR, counter + 1), Role.TAP, counter, flags=counter)

    bind = PresenceRow(*key, RecordId(PEER, FAR, 9_999), Role.BIND, 9, names=(RecordId(OWN, FAR, 1),))
    store.append([Batch(1, presence=(tap(PEER, 3), bind))])
    store.append([Batch(n, presence=(tap(OWN, n),)) for n in range(2, 10 * TAPS_KEPT)])
    store.append([Batch(9_000, presence=(tap(OWN, 1),))])  # heard again, by and by
    rows = store.presence_rows(*key)
    assert {bind, tap(PEER, 3)} <= set(rows), "another gate's, and what is none"
    assert highest_tap(rows) == 10 * TAPS_KEPT - 1
    assert len(rows) <= TAPS_KEPT + 4


def test_states_continue_the_chain_where_it_stands(store: LogStore) -> None:
    writer = Gate(OWN)
    writer.begin(Epoch(3))
    writer.scan(1)
    first = writer.batch(1, head=True)
    writer.scan(2)
    second = writer.batch(2, head=False)
    writer.begin(FAR)
    third = writer.batch(3, head=False)
    store.append([first, second, third])
    at = seed(OWN, Epoch(3))
    for one in first.records + second.records:
        at = link(at, one.blob)
    before, after = store.states(OWN)
    assert (before.epoch, before.seq, before.link, before.head_seq) == (3, 6, at, 3)
    assert after.predecessor == Predecessor(Epoch(3), 6, at)
    assert store.heads_backwards(OWN, Epoch(3), 1) == first.heads
    # What is held lets the replication machine judge what comes next.
    logs = LogSet(OWN, store.states(OWN))
    writer.scan(3)
    following = writer.batch(4, head=False).records
    assert [logs.accept(one.epoch, one.seq, one.blob) for one in following] == [Finding.NEW, Finding.NEW]
    store.close()


def test_newest_goes_back_over_epochs(store: LogStore) -> None:
    store.append(day(OWN, FAR, 2) + day(OWN, Epoch(1), 1))
    assert [(one.epoch, one.seq) for one in store.newest(OWN, 5)] == [
        (1, 3),
        (1, 2),
        (1, 1),
        (FAR, 5),
        (FAR, 4),
    ]
    store.close()


def test_the_same_record_again_changes_nothing_and_another_under_its_key_is_kept_beside_it(
    store: LogStore,
) -> None:
    batches = day(OWN, FAR, 3)
    store.append(batches)
    store.append(batches[:2])
    assert (held(store), store.forks()) == (records_of(batches), ())
    other = StoredRecord(OWN, FAR, 2, b"cloned card")
    new = StoredRecord(OWN, FAR, 8, b"next")
    store.append([Batch(9, (other, new))])
    store.append([Batch(10, (other,)), Batch(11, forks=(other,))])
    assert store.forks() == (other,)
    assert held(store) == records_of(batches) | {(OWN, FAR, 8): b"next"}
    store.close()


def test_a_grant_by_itself_leaves_what_it_leaves_among_others(tmp_path: Path) -> None:
    """One record with its one row is written by a statement of its own."""
    batches = [
        Batch(seq, (StoredRecord(OWN, FAR, seq, bytes((seq,)) * 56),), (PresenceRow(EVENT, TicketId(2**64 - seq), RecordId(OWN, FAR, seq), Role.ENTRY, seq),))
        for seq in range(1, 5)
    ]  # fmt: skip
    found = []
    for name in ("singly", "together"):
        store = LogStore.open(tmp_path / name, QUIET)
        store.append(batches[:1])
        for group in [[one] for one in batches[1:]] if name == "singly" else [batches[1:]]:
            store.append(group)
        assert store.wal_pages > 0
        found.append((held(store), tuple(store.all_presence()), store.forks(), store.epochs()))
        store.close()
    assert found[0] == found[1]
    assert found[0][0] == records_of(batches)


def test_another_grant_under_a_key_that_is_held_is_kept_beside_it(store: LogStore) -> None:
    row = PresenceRow(EVENT, TicketId(7), RecordId(OWN, FAR, 1), Role.ENTRY, 1)
    first, other = (StoredRecord(OWN, FAR, 1, blob * 56) for blob in (b"a", b"b"))
    for record, forks in ((first, ()), (first, ()), (other, (other,)), (other, (other,))):
        store.append([Batch(1, (record,), (row,))])
        assert (store.record(row.id), store.forks()) == (first.blob, forks)


def test_a_cancel_is_undone_by_no_older_word_and_only_a_snapshot_that_has_it_lets_it_go(
    store: LogStore,
) -> None:
    def change(
        standing: int, generation: int, version: int, ticket: int = 5, digest: bytes = b""
    ) -> StandingChange:
        return StandingChange(EVENT, TicketId(ticket), digest, standing, generation, version)

    cancelled = change(Standing.CANCELLED, 1, 8)
    tag = change(CredentialStanding.BANNED_TAG, 1, 9, 0, b"d" * 16)
    store.append([Batch(1, standings=(cancelled, tag))])
    store.append([Batch(2, standings=(change(Standing.VALID, 1, 7),))])
    assert set(store.standings()) == {cancelled, tag}
    store.append([Batch(3, snapshots=(SnapshotMark(EVENT, 1, 7), SnapshotMark(EventId(2), 9, 99)))])
    assert set(store.standings()) == {cancelled, tag}
    store.append([Batch(4, snapshots=(SnapshotMark(EVENT, 1, 8),))])
    assert store.standings() == (tag,)
    restored = change(Standing.VALID, 2, 1, 0, b"d" * 16)  # a restored centre: the generation rose
    store.append([Batch(5, standings=(restored,))])
    store.append([Batch(6, snapshots=(SnapshotMark(EVENT, 1, 500),))])
    assert store.standings() == (restored,)
    store.close()


def test_the_highest_seal_seen_never_falls(store: LogStore) -> None:
    def seal(generation: int, version: int, at_s: int) -> ListVersion:
        return ListVersion(EVENT, generation, version, at_s, bytes([version]) * 16)

    for seen, expected in (
        (seal(1, 5, 100), seal(1, 5, 100)),
        (seal(1, 4, 200), seal(1, 5, 100)),
        (seal(1, 5, 160), seal(1, 5, 160)),
        (seal(2, 1, 50), seal(2, 1, 50)),
        (seal(1, 99, 999), seal(2, 1, 50)),
    ):
        store.append([Batch(1, list_versions=(seen,))])
        assert store.list_versions() == (expected,)
    store.close()


def test_a_cursor_may_go_back_and_meta_is_replaced(store: LogStore) -> None:
    store.append([Batch(1, cursors=(Cursor(CENTRE, OWN, FAR, 9),), meta=(("a", b"1"),))])
    store.append([Batch(2, cursors=(Cursor(CENTRE, OWN, FAR, 4),), meta=(("a", b"2"),))])
    assert store.cursors() == (Cursor(CENTRE, OWN, FAR, 4),)
    assert (store.meta("a"), store.meta("b")) == (b"2", None)
    store.close()


def test_presence_can_be_folded_anew(store: LogStore) -> None:
    batches = day(OWN, FAR, 6)
    store.append(batches)
    rows = [row for batch in batches for row in batch.presence]
    store.rebuild_presence(rows[:3], ())
    assert sorted(store.all_presence(), key=_key) == sorted(rows[:3], key=_key)
    store.close()


# --- pruning ----------------------------------------------------------------------------------------------------


def test_only_closed_acknowledged_old_prefixes_go(store: LogStore) -> None:
    batches = day(OWN, FAR, 30)  # heads sign seq 21, 42, 63
    before_us = 1_700_000_000_000_000
    store.append(batches)
    assert store.prune((CENTRE,), before_us + 10**9) == 0  # nobody acknowledged
    store.append([Batch(1, cursors=(Cursor(CENTRE, OWN, FAR, 60), Cursor(PEER, OWN, FAR, 30)))])
    assert store.prune((CENTRE,), before_us + 21) == 0  # too young
    assert store.prune((CENTRE, PEER), before_us + 10**9) == 21  # the peer has only the first
    assert store.prune((CENTRE,), before_us + 10**9) == 21
    assert store.prune((CENTRE,), before_us + 10**9) == 0  # the third is not acknowledged
    (row,) = store.epochs()
    assert (row.pruned_seq, row.pruned_link) == (batches[19].heads[0].seq, batches[19].heads[0].link)
    assert store.records(OWN, FAR, 0, 1)[0].seq == row.pruned_seq + 1
    assert len(list(store.all_presence())) == 60  # uses outlive their records
    whole = records_of(batches)
    at = row.pruned_link
    for key in sorted(key for key in whole if key[2] > row.pruned_seq):
        at = link(at, whole[key])
    (state,) = store.states(OWN)
    assert (state.seq, state.link) == (63 + 1, at)
    store.close()


def test_what_rests_on_pruned_records_survives_a_new_fold(store: LogStore) -> None:
    batches = day(OWN, FAR, 10)
    store.append([*batches, Batch(11, cursors=(Cursor(CENTRE, OWN, FAR, 22),))])
    assert store.prune((CENTRE,), 1 << 60) == 21
    store.rebuild_presence((), ())
    assert len(list(store.all_presence())) == 20
    store.close()


def test_the_predecessor_is_known_after_its_record_went(store: LogStore) -> None:
    writer = Gate(OWN)
    writer.begin(Epoch(1))
    first = writer.batch(1, head=True)
    writer.begin(FAR)
    second = writer.batch(2, head=True)
    store.append([first, second, Batch(3, cursors=(Cursor(CENTRE, OWN, FAR, 9),))])
    named = store.states(OWN)[1].predecessor
    assert named is not None
    assert store.prune((CENTRE,), 1 << 60) == 2
    assert store.states(OWN)[1].predecessor == named
    store.close()


# --- who may open it, and with what -----------------------------------------------------------------------------


def test_a_second_daemon_is_told_who_has_the_data(store: LogStore, tmp_path: Path) -> None:
    with pytest.raises(StoreFault, match=f"held by process {os.getpid()}") as caught:
        LogStore.open(tmp_path, QUIET)
    assert caught.value.kind is FaultKind.HELD
    assert "systemctl stop" in caught.value.hint
    store.close()
    LogStore.open(tmp_path, QUIET).close()


class ReadOnlyDisk(LocalDisk):
    def lock(self, path: Path) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


def test_a_read_only_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreFault) as caught:
        LogStore.open(tmp_path, ReadOnlyDisk())
    assert caught.value.kind is FaultKind.READ_ONLY
    assert "writable" in caught.value.hint


def test_a_file_where_the_folder_should_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(StoreFault):
        LogStore.open(tmp_path / "data", QUIET)


def test_a_reader_without_a_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFault) as caught:
        LogReader.open(tmp_path)
    assert caught.value.kind is FaultKind.MISSING


class SmallDisk(QuietDisk):
    room = RESERVE_NEEDS_BYTES - 1

    def free_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
        return self.room


def test_the_reserve_is_made_where_there_is_room_and_given_back_once(tmp_path: Path) -> None:
    disk = SmallDisk()
    store = LogStore.open(tmp_path, disk)
    assert not (tmp_path / "log.reserve").exists()
    assert not store.free_reserve()
    disk.room += 1
    assert store.keep_reserve()
    room = (tmp_path / "log.reserve").stat()
    assert room.st_size == RESERVE_BYTES
    assert room.st_blocks * 512 >= RESERVE_BYTES
    assert store.free_reserve()
    assert not store.free_reserve()
    store.close()


def test_a_journal_is_brought_in_and_a_killed_daemon_loses_nothing(tmp_path: Path) -> None:
    store = LogStore.open(tmp_path, QUIET)
    batches = day(OWN, FAR, 20)
    store.append(batches)
    assert store.wal_pages > 0
    reader = LogReader.open(tmp_path)
    store.checkpoint()
    assert store.wal_pages == 0
    assert held(reader) == records_of(batches)
    reader.close()
    store.close()


def test_a_reader_that_stands_still_holds_no_checkpoint_and_so_no_scan_up(tmp_path: Path) -> None:
    """It held the writer's thread for two seconds: a front on a processor that was flooded, in the middle of a read."""
    store = LogStore.open(tmp_path, QUIET)
    store.append(day(OWN, FAR, 20))
    reader = apsw.Connection(str(log_path(tmp_path)))
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM record").get
    store.append(day(PEER, Epoch(1), 20))
    pages, began_s = store.wal_pages, time.monotonic()
    store.checkpoint(wait=True)
    assert time.monotonic() - began_s < 1.0
    assert store.wal_pages == pages > 0
    reader.execute("COMMIT")
    store.checkpoint(wait=True)
    assert store.wal_pages == 0
    reader.close()
    store.close()


# --- damage -----------------------------------------------------------------------------------------------------


def fill(data: Path) -> list[Batch]:
    """A log with a day in the file and a few records in its journal, as a crash leaves it."""
    store = LogStore.open(data, QUIET)
    batches = day(OWN, FAR, 400, head_every=50)
    cancel = StandingChange(EVENT, TicketId(5), b"", Standing.CANCELLED, 1, 8)
    store.append(
        [*batches, Batch(401, standings=(cancel,), list_versions=(ListVersion(EVENT, 1, 8, 1, bytes(16)),))]
    )
    store.close()
    return batches


def spoil_start(path: Path) -> None:
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])


def spoil_first_page(path: Path) -> None:
    path.write_bytes(b"\xaa" * 4096 + path.read_bytes()[4096:])


def spoil_all(path: Path) -> None:
    path.write_bytes(b"\xaa" * path.stat().st_size)


def spoil_leaves(path: Path) -> None:
    """Overwrite two leaves that hold records of the middle of the day."""
    content = bytearray(path.read_bytes())
    leaves = [
        at
        for at in range(4096, len(content), 4096)
        if content[at] == 10 and b"\x10" in content[at : at + 4096]
    ]
    of_records = [at for at in leaves if content.count(b"\x00\x01\x00\x01", at, at + 4096) > 10]
    for at in of_records[3:5]:
        content[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(content)


def other_format(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA user_version={FORMAT + 1}").fetchall()
    connection.close()


def no_presence(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE presence")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "kind", "least"),
    [
        (spoil_start, FaultKind.CORRUPT, 809),
        (spoil_first_page, FaultKind.CORRUPT, 809),
        (spoil_all, FaultKind.CORRUPT, 0),
        (spoil_leaves, FaultKind.CORRUPT, 600),
        (other_format, FaultKind.OTHER_FORMAT, 809),
        (no_presence, FaultKind.CORRUPT, 809),
    ],
)
def test_a_damaged_log_is_set_aside_whole_and_what_is_readable_taken_over(
    tmp_path: Path, spoil: Callable[[Path], None], kind: FaultKind, least: int
) -> None:
    whole = records_of(fill(tmp_path))
    assert len(whole) == 809
    spoil(log_path(tmp_path))
    damaged = log_path(tmp_path).read_bytes()
    store = LogStore.open(tmp_path, QUIET)
    assert store.salvaged is not None
    assert store.salvaged.cause.kind is kind
    assert (store.salvaged.aside / "log.sqlite3").read_bytes() == damaged
    kept = held(store)
    assert kept.items() <= whole.items()
    assert len(kept) == store.salvaged.records_kept >= least
    if least:
        assert store.salvaged.records_missing == 809 - len(kept)
        assert [one.standing for one in store.standings()] == [Standing.CANCELLED]
        assert store.list_versions()[0].version == 8
        assert store.needs_fold()
        store.rebuild_presence((), ())
        assert not store.needs_fold()
    store.append([Batch(1, (StoredRecord(OWN, Epoch(77), 1, b"goes on"),))])
    store.close()
    again = LogStore.open(tmp_path, QUIET)
    assert again.salvaged is None
    assert again.record(RecordId(OWN, Epoch(77), 1)) == b"goes on"
    again.close()


def test_who_came_in_on_a_record_that_damage_took_has_come_in_all_the_same(tmp_path: Path) -> None:
    """Pages of records are gone, those of presence are whole."""
    batches = fill(tmp_path)
    spoil_leaves(log_path(tmp_path))
    store = LogStore.open(tmp_path, QUIET)
    assert store.salvaged is not None
    assert store.salvaged.records_missing
    refold(store)
    assert not store.needs_fold()
    assert set(store.all_presence()) == {row for batch in batches for row in batch.presence}
    store.close()


def test_any_damage_ends_in_a_log_that_works_and_holds_nothing_untrue(tmp_path: Path) -> None:
    """A page at a time is overwritten with noise: the daemon starts, and every record it shows was written."""
    batches = fill(tmp_path / "whole")
    whole, said = records_of(batches), {row for batch in batches for row in batch.presence}
    content = log_path(tmp_path / "whole").read_bytes()
    chance = random.Random(3)
    salvaged = 0
    for at in range(0, len(content), 4096):
        data = tmp_path / str(at)
        log_path(data).parent.mkdir(parents=True)
        log_path(data).write_bytes(content[:at] + chance.randbytes(4096) + content[at + 4096 :])
        store = LogStore.open(data, QUIET)
        salvaged += store.salvaged is not None
        assert held(store).items() <= whole.items()
        assert store.salvaged is not None or len(held(store)) == len(whole)
        refold(store)
        assert set(store.all_presence()) <= said
        store.append([Batch(1, (StoredRecord(OWN, Epoch(77), 1, b"goes on"),))])
        store.close()
    assert salvaged > 0.9 * len(content) / 4096


def test_an_interrupted_salvage_is_finished_or_begun_again(tmp_path: Path) -> None:
    whole = records_of(fill(tmp_path))
    (tmp_path / "log.salvaged").mkdir()
    (tmp_path / "log.salvaged" / "log.sqlite3").write_bytes(b"half written")
    store = LogStore.open(tmp_path, QUIET)
    assert (held(store), store.salvaged) == (whole, None)
    store.close()
    assert not (tmp_path / "log.salvaged").exists()
    (tmp_path / "log").rename(
        tmp_path / "log.salvaged"
    )  # the damaged one is aside, the new one not yet in place
    store = LogStore.open(tmp_path, QUIET)
    assert held(store) == whole
    store.close()


def test_the_oldest_of_many_damaged_logs_makes_room(tmp_path: Path) -> None:
    fill(tmp_path)
    for _ in range(ASIDES_MAX + 2):
        other_format(log_path(tmp_path))
        store = LogStore.open(tmp_path, QUIET)
        assert len(held(store)) == 809
        store.close()
    numbers = sorted(int(path.name.removeprefix("log.aside-")) for path in tmp_path.glob("log.aside-*"))
    assert numbers == list(range(3, ASIDES_MAX + 3))
