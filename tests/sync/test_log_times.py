"""Logs of boxes that did not know the time, at the centre: cut anywhere, they lie where they belong once it was known."""

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from admission.corrected import placed
from admission.ids import Epoch, GateId, TicketId
from admission.reasons import Language
from admission.records import (
    BODY_BYTES,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Record,
    Trust,
    record_from_bytes,
)
from sync.board.boards import Boards
from sync.board.timeline import steps
from sync.events import rows as events
from sync.events.rows import GROUP
from sync.gates import ingest, roster
from sync.store.database import Database
from sync.web.words import Words
from sync.wire.messages import Push
from tests.sync.logs import PUBLIC, EpochLog, chunk_of
from tests.sync.untimed import EVENT, YEARS_10_S, untimed_day

KEY = PUBLIC.public_bytes_raw()
GATE = GateId(1)


def bodies(log: EpochLog) -> list[Record]:
    return [one for one in map(record_from_bytes, log.blobs) if isinstance(one, Record)]


def push(database: Database, log: EpochLog, cuts: Sequence[int]) -> None:
    ends = [*sorted({one for one in cuts if one < len(log.blobs)}), len(log.blobs)]
    first = 1
    for end in ends:
        if end < first:
            continue
        chunk = chunk_of(log, first, log.blobs[first - 1 : end])
        with database.writing() as connection:
            answer = ingest.take(connection, log.gate, KEY, Push((chunk,)), 1_800_000_000)
        # No epoch here names one before it, which is another matter.
        assert {one.what for one in answer.troubles} <= {"rewind"}
        first = end + 1


def times(database: Database, epoch: int) -> dict[int, int]:
    with database.reading() as connection:
        found = connection.execute(
            text("SELECT seq, time_us FROM presence WHERE epoch = :epoch"), {"epoch": epoch}
        )
        return {row.seq: row.time_us for row in found}


def a_venue(database: Database) -> None:
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
        events.add_event(connection, EVENT, "Event", "UTC")
        roster.add_gate(connection, roster.Gate(GATE, "North", ()), (), GROUP)


def test_the_log_says_what_is_true_by_its_own_clocks() -> None:
    for off_s in (YEARS_10_S, -YEARS_10_S):
        log, truth = untimed_day(GATE, off_s)
        assert {one.seq: at for one, at in placed(bodies(log))} == truth


def test_presence_lies_where_it_belongs_however_the_log_was_cut(database: Database) -> None:
    a_venue(database)
    epochs = iter(range(100, 10_000))

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.integers(1, 14), max_size=6), st.sampled_from([YEARS_10_S, -YEARS_10_S, 3600]))
    def any_cut(cuts: list[int], off_s: int) -> None:
        epoch = next(epochs)
        log, truth = untimed_day(GATE, off_s, epoch)
        push(database, log, cuts)
        found = times(database, epoch)
        assert len(found) == 10
        assert found == {seq: truth[seq] for seq in found}

    any_cut()


def test_an_extension_as_long_as_a_body_is_none(database: Database) -> None:
    """A reset that names three logs is so long: whoever took it for a body could not take in what came after."""
    a_venue(database)
    log = EpochLog(Epoch(5), GATE)

    def body(kind: Kind, trust: Trust) -> Record:
        seq = len(log.blobs) + 1
        return Record(kind, seq, 1_795_900_000_000_000 + seq, seq, trust=trust, flags=Flag.NONE)

    log.add(body(Kind.RESTART, Trust.UNKNOWN).to_bytes())
    log.add(body(Kind.RESET, Trust.UNKNOWN).to_bytes())
    log.add(ExtensionRecord(Extension.RESET, 3, b"\xff" * 48).to_bytes())
    assert len(log.blobs[-1]) == BODY_BYTES
    log.add(body(Kind.CLOCK_STEP, Trust.SYNCED).to_bytes())
    log.sign()
    push(database, log, [3])
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM record")).scalar_one() == len(log.blobs)


def test_before_the_clock_was_set_they_lie_where_the_box_took_them_to_be(database: Database) -> None:
    a_venue(database)
    log, truth = untimed_day(GATE, -YEARS_10_S)
    with database.writing() as connection:
        ingest.take(connection, GATE, KEY, Push((chunk_of(log, 1, log.blobs[:5]),)), 1)
    assert times(database, 77) == {seq: truth[seq] - YEARS_10_S * 1_000_000 for seq in (2, 3, 4, 5)}


def test_board_and_timeline_show_them_where_they_belong(database: Database) -> None:
    a_venue(database)
    log, truth = untimed_day(GATE, YEARS_10_S)
    boards = Boards(lambda: next(ticks))
    ticks = iter(float(10 * n) for n in range(1000))

    def minutes() -> set[int]:
        with database.reading() as connection:
            for _ in range(5):
                seen = boards.see(connection, GROUP, EVENT, 1_800_000_000)
        assert seen is not None
        assert not seen.behind
        return set(seen.tally.events[EVENT].minutes)

    def true_minutes(*seqs: int) -> set[int]:
        return {truth[seq] // 60_000_000 for seq in seqs}

    push(database, log.copy(7), [4])
    assert minutes() == {one + YEARS_10_S // 60 for one in true_minutes(3, 5, 7)}
    with database.writing() as connection:
        chunk = chunk_of(log, 8, log.blobs[7:])
        ingest.take(connection, GATE, KEY, Push((chunk,)), 1_800_000_000)
    assert minutes() == true_minutes(3, 5, 7, 10, 13)
    with database.reading() as connection:
        for ticket in (1, 4, 5):
            told = steps(connection, GROUP, EVENT, TicketId(ticket), Words(Language.EN))
            seqs = [one.seq for one in bodies(log) if (one.ticket or (0, 0))[1] == ticket]
            assert [one.at_us for one in told] == [truth[seq] for seq in seqs]
