"""Presence: what records say, and that the order in which it is heard never matters."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from admission.entitlements import Mode, Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, LaneId, ProductId, RecordId, SessionId, TicketId, ZoneId
from admission.limits import Limits
from admission.observed import OF_DEVICE, PEOPLE_MAX, columns_of, counted_data
from admission.presence import (
    COLUMNS,
    RESET_COLUMNS,
    Bounds,
    DoubleKind,
    PresenceRow,
    Reset,
    ResetKind,
    Resets,
    Role,
    State,
    TicketPresence,
    bounds,
    fold,
    from_columns,
    reset_from_columns,
    reset_of,
    reset_payloads,
    rows_of,
    since_count,
)
from admission.question import LastUse, Tally
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Fire,
    Flag,
    Kind,
    Outcome,
    Record,
    pack_record_ids,
    ticket_subject,
)
from tests.admission.logs import bodies, extension_records
from tests.admission.one_day import same_day

EVENT, TICKET = EventId(1), TicketId(2**64 - 2)
HALL, BOX, STAND = ZoneId(1), ZoneId(2), ZoneId(3)
ZONES = ZoneTree((Zone(HALL, "hall"), Zone(BOX, "box", HALL), Zone(STAND, "stand", HALL)))
SESSION, OTHER = SessionId(1), SessionId(2)
HERE, THERE = GateId(1), GateId(2)
EPOCH, OLD = Epoch(2**64 - 5), Epoch(7)


def name(seq: int, gate: GateId = HERE, epoch: Epoch = EPOCH) -> RecordId:
    return RecordId(gate, epoch, seq)


def row(
    seq: int,
    role: Role = Role.ENTRY,
    *names: RecordId,
    gate: GateId = HERE,
    epoch: Epoch = EPOCH,
    at: int = 0,
    state: State = State.RESERVED,
    way: Direction | None = None,
    zone: ZoneId = HALL,
    session: SessionId = SESSION,
    mode: Mode = Mode.NORMAL,
    flags: int = Flag.NONE,
) -> PresenceRow:
    """A row; `at` 0 is at its seq, in seconds."""
    if way is None:
        way = {Role.ENTRY: Direction.ENTRY, Role.EXIT: Direction.EXIT}.get(role, Direction.NONE)
    return PresenceRow(
        EVENT, TICKET, name(seq, gate, epoch), role, (at or seq) * 1_000_000, state, way, zone, session, LaneId(1),
        mode, int(flags), names,
    )  # fmt: skip


def passed(seq: int, about: RecordId, way: Direction = Direction.ENTRY) -> PresenceRow:
    return row(seq, Role.STATE, about, gate=about.gate, epoch=about.epoch, state=State.COMMITTED, way=way)


def back(seq: int, about: RecordId) -> PresenceRow:
    return row(seq, Role.STATE, about, gate=about.gate, epoch=about.epoch, state=State.GIVEN_BACK)


def annulled(seq: int, about: RecordId) -> PresenceRow:
    return row(seq, Role.ANNUL, about, state=State.ANNULLED)


def see(rows: Sequence[PresenceRow], resets: Sequence[Reset] = ()) -> TicketPresence:
    return fold(rows, resets, ZONES)


def reset(seq: int, zone: ZoneId, *heard: RecordId) -> Reset:
    return Reset(name(seq), zone, seq * 1_000_000, heard)


# --- what records say ---------------------------------------------------------------------------------------------


def record(kind: Kind, **fields: object) -> Record:
    named: dict[str, object] = {
        "flags": Flag.TICKET, "subject": ticket_subject(EVENT, TICKET, ProductId(1)), "zone": HALL, "session": SESSION,
        "lane": LaneId(1), **fields,
    }  # fmt: skip
    return Record(kind, 9, 123, 0, **named)  # type: ignore[arg-type]  # the fields of Record, by name


GRANT = {"outcome": Outcome.GRANT, "direction": Direction.ENTRY}
LEAVE = {"outcome": Outcome.GRANT, "direction": Direction.EXIT}
SEEN = (ExtensionRecord(Extension.OBSERVED, 10, pack_record_ids((name(3, THERE, OLD),))[0]),)


@pytest.mark.parametrize(
    ("what", "body", "extensions", "wanted"),
    [
        ("an entry", record(Kind.SCAN, **GRANT), (), (Role.ENTRY, State.RESERVED, ())),
        ("an entry names nothing", record(Kind.SCAN, **GRANT), SEEN, (Role.ENTRY, State.RESERVED, ())),
        ("after a restart it does", record(Kind.SCAN, **GRANT, flags=Flag.TICKET | Flag.AFTER_RESTART), SEEN,
         (Role.ENTRY, State.RESERVED, (name(3, THERE, OLD),))),
        ("an exit", record(Kind.SCAN, **LEAVE), SEEN, (Role.EXIT, State.RESERVED, (name(3, THERE, OLD),))),
        ("an entry without a barrier", record(Kind.SCAN, **GRANT, flags=Flag.TICKET | Flag.NO_PULSE), (),
         (Role.ENTRY, State.RESERVED, ())),
        ("an exit during a fire", record(Kind.SCAN, **LEAVE, flags=Flag.TICKET | Flag.NO_PULSE), (),
         (Role.EXIT, State.COMMITTED, ())),
        ("staff let in", record(Kind.OVERRIDE, direction=Direction.ENTRY), (), (Role.ENTRY, State.RESERVED, ())),
        ("staff let out", record(Kind.OVERRIDE, direction=Direction.EXIT), (), (Role.EXIT, State.RESERVED, ())),
        ("a passage", record(Kind.PASSAGE, direction=Direction.ENTRY, ref=4), (),
         (Role.STATE, State.COMMITTED, (name(4),))),
        ("a late passage", record(Kind.LATE_PASSAGE, direction=Direction.EXIT, ref=4), (),
         (Role.STATE, State.COMMITTED, (name(4),))),
        ("a give back", record(Kind.GIVE_BACK, ref=4), (), (Role.STATE, State.GIVEN_BACK, (name(4),))),
        ("an annul", record(Kind.ANNUL, ref=4), (), (Role.ANNUL, State.ANNULLED, (name(4),))),
        ("an annul elsewhere", record(Kind.ANNUL), SEEN, (Role.ANNUL, State.ANNULLED, (name(3, THERE, OLD),))),
        ("a denial", record(Kind.SCAN, outcome=Outcome.DENY, direction=Direction.ENTRY), (), None),
        ("a check", record(Kind.SCAN, outcome=Outcome.CHECK, direction=Direction.ENTRY), (), None),
        ("a rehearsal", record(Kind.SCAN, **GRANT, flags=Flag.TICKET | Flag.REHEARSAL), (), None),
        ("a rehearsed passage", record(Kind.PASSAGE, ref=4, flags=Flag.TICKET | Flag.REHEARSAL), (), None),
        ("a code nobody knows", record(Kind.SCAN, **LEAVE, flags=Flag.DIGEST), (), None),
        ("an override without a way", record(Kind.OVERRIDE), (), None),
        ("an intrusion", record(Kind.INTRUSION, direction=Direction.ENTRY), (), None),
    ],
)  # fmt: skip
def test_what_a_record_contributes(
    what: str, body: Record, extensions: tuple[ExtensionRecord, ...], wanted: tuple[object, ...] | None
) -> None:
    rows = rows_of(HERE, EPOCH, body, extensions, 456)
    assert [(one.role, one.state, one.names) for one in rows] == ([] if wanted is None else [wanted])
    for one in rows:
        assert (one.event, one.ticket, one.id, one.time_us) == (EVENT, TICKET, name(9), 456)
        assert (one.zone, one.session, one.lane, one.flags) == (HALL, SESSION, 1, body.flags)


_TELLING = st.builds(
    replace, bodies(), kind=st.sampled_from([Kind.SCAN, Kind.OVERRIDE, Kind.PASSAGE, Kind.ANNUL]),
    outcome=st.just(Outcome.GRANT), flags=st.sampled_from([Flag.TICKET, Flag.TICKET | Flag.AFTER_RESTART]),
    direction=st.sampled_from([Direction.ENTRY, Direction.EXIT]), subject=st.binary(min_size=16, max_size=16),
)  # fmt: skip
"""Bodies that say something of presence."""


@given(
    st.one_of(bodies(), _TELLING), st.lists(extension_records(), max_size=6), st.integers(-(2**63), 2**63 - 1)
)
@settings(max_examples=150)
def test_rows_of_never_raises_and_survives_a_table(
    body: Record, extensions: list[ExtensionRecord], time_us: int
) -> None:
    found = rows_of(HERE, EPOCH, body, tuple(extensions), time_us)
    plain = columns_of(HERE, EPOCH, body, tuple(extensions), time_us)
    assert [one.as_columns() for one in found] == ([] if plain is None else [plain])
    assert {type(value) for value in plain or ()} <= {int, bytes}
    for one in found:
        columns = one.as_columns()
        assert len(columns) == len(COLUMNS)
        assert all(isinstance(value, bytes) or -(2**63) <= value < 2**63 for value in columns)
        assert from_columns(columns) == one
        fold((one,), (), ZONES).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH)


def test_a_row_lives_in_a_table_of_sqlite() -> None:
    one = row(3, Role.EXIT, name(1), name(2, THERE, OLD), at=-4, mode=Mode.ENTRY_EXIT)
    with closing(sqlite3.connect(":memory:")) as table:
        table.execute(f"CREATE TABLE presence({','.join(COLUMNS)})")
        table.execute(f"INSERT INTO presence VALUES({','.join('?' * len(COLUMNS))})", one.as_columns())
        assert [from_columns(found) for found in table.execute("SELECT * FROM presence")] == [one]


def test_a_give_back_and_an_annul_need_no_direction_to_be_understood() -> None:
    for kind in (Kind.GIVE_BACK, Kind.ANNUL):
        (one,) = rows_of(HERE, EPOCH, record(kind, direction=Direction.EXIT, ref=4), (), 0)
        assert one.way is Direction.NONE


def test_a_payload_that_is_no_list_of_ids_names_nothing() -> None:
    broken = (ExtensionRecord(Extension.OBSERVED, 10, bytes(15)), *SEEN)
    (one,) = rows_of(HERE, EPOCH, record(Kind.SCAN, **LEAVE), broken, 0)
    assert one.names == (name(3, THERE, OLD),)


def test_a_reset_is_read_from_its_record() -> None:
    heard = tuple(name(seq, THERE, Epoch(seq)) for seq in range(1, 40))
    extensions = tuple(ExtensionRecord(kind, 9, payload) for kind, payload in reset_payloads(heard))
    assert len(extensions) == 2
    one = reset_of(HERE, EPOCH, record(Kind.RESET, flags=Flag.NONE), extensions, 77)
    assert one == Reset(name(9), HALL, 77, heard)
    assert one is not None
    assert len(one.as_columns()) == len(RESET_COLUMNS)
    assert reset_from_columns(one.as_columns()) == one
    assert reset_of(HERE, EPOCH, record(Kind.LANE_STATE), extensions, 77) is None
    assert reset_of(HERE, EPOCH, record(Kind.FIRE, data=Fire.STILL), extensions, 77) is None
    kinds = {Fire.ALARM: ResetKind.ALARM, Fire.CLEARED: ResetKind.CLEARED, Fire.ENDED: ResetKind.ENDED}
    for said, kind in kinds.items():
        found = reset_of(HERE, EPOCH, record(Kind.FIRE, data=said), extensions, 77)
        assert found == Reset(name(9), HALL, 77, heard, kind)
        assert reset_from_columns(found.as_columns()) == found
    for people in (0, 1, PEOPLE_MAX):
        found = reset_of(HERE, EPOCH, record(Kind.RESET, data=counted_data(people)), extensions, 77)
        assert found == Reset(name(9), HALL, 77, heard, ResetKind.COUNTED, people)
        assert reset_from_columns(found.as_columns()) == found
    assert reset_of(HERE, EPOCH, record(Kind.RESET, flags=Flag.REHEARSAL), extensions, 77) is None


# --- states -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "marks", "state", "uses"),
    [
        ("reserved", (), State.RESERVED, 1),
        ("given back", (back(2, name(1)),), State.GIVEN_BACK, 0),
        ("passed", (passed(2, name(1)),), State.COMMITTED, 1),
        ("a late passage wins", (passed(3, name(1)), back(2, name(1))), State.COMMITTED, 1),
        ("given back after it was passed", (passed(2, name(1)), back(3, name(1))), State.COMMITTED, 1),
        ("annulled", (passed(2, name(1)), annulled(3, name(1))), State.ANNULLED, 0),
        ("annulled before its passage came", (annulled(3, name(1)), passed(4, name(1))), State.ANNULLED, 0),
        ("an exit's passage", (passed(2, name(1), Direction.EXIT),), State.RESERVED, 1),
        ("another's passage", (passed(2, name(7)),), State.RESERVED, 1),
    ],
)
def test_the_highest_state_holds(what: str, marks: tuple[PresenceRow, ...], state: State, uses: int) -> None:
    presence = see((row(1), *marks))
    assert presence.state(name(1)) is state
    assert presence.uses(HALL, SESSION) == presence.inside(HALL) == uses


def test_an_annul_of_an_exit_says_nothing() -> None:
    rows = [row(1), passed(2, name(1)), row(3, Role.EXIT, name(1)), passed(4, name(3), Direction.EXIT)]
    assert see([*rows, annulled(5, name(3))]).inside(HALL) == 0


# --- exits --------------------------------------------------------------------------------------------------------

IN = (row(1), passed(2, name(1)))


@pytest.mark.parametrize(
    ("what", "rows", "inside", "pending"),
    [
        ("reserved", (row(3, Role.EXIT, name(1)),), 1, True),
        ("passed", (row(3, Role.EXIT, name(1)), passed(4, name(3), Direction.EXIT)), 0, False),
        ("given back", (row(3, Role.EXIT, name(1)), back(4, name(3))), 1, False),
        ("passed the wrong way", (row(3, Role.EXIT, name(1)), passed(4, name(3), Direction.ENTRY)), 1, True),
        ("no pulse", (row(3, Role.EXIT, name(1), state=State.COMMITTED),), 0, False),
        ("saw none", (row(3, Role.EXIT, state=State.COMMITTED, gate=THERE),), 0, False),
        ("saw none and was earlier", (row(3, Role.EXIT, state=State.COMMITTED, gate=THERE, at=-1),), 1, False),
        ("saw another", (row(3, Role.EXIT, name(9), state=State.COMMITTED, gate=THERE),), 1, False),
        ("saw none, elsewhere", (row(3, Role.EXIT, state=State.COMMITTED, gate=THERE, zone=BOX),), 1, False),
        ("pending at another gate", (row(3, Role.EXIT, name(1), gate=THERE),), 1, False),
        ("pending in an ended epoch", (row(3, Role.EXIT, name(1), epoch=OLD),), 1, False),
    ],
)  # fmt: skip
def test_an_exit_closes_when_somebody_went_through(
    what: str, rows: tuple[PresenceRow, ...], inside: int, pending: bool
) -> None:
    presence = see((*IN, *rows))
    assert presence.inside(HALL) == inside
    assert presence.uses(HALL, SESSION) == 1
    assert presence.tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH).exit_pending is pending


def test_an_exit_of_nobody_changes_nothing() -> None:
    presence = see([row(1, Role.EXIT, state=State.COMMITTED), row(2, Role.EXIT, state=State.COMMITTED)])
    assert (presence.inside(HALL), presence.uses(HALL, SESSION), presence.bounds(HALL)) == (
        0,
        0,
        Bounds(0, 0),
    )


def test_in_one_log_the_seq_tells_what_was_earlier_whatever_the_clock_did() -> None:
    later = row(5, at=1)
    leaving = row(3, Role.EXIT, state=State.COMMITTED, at=9)
    assert see([later, leaving]).inside(HALL) == 1


def test_two_exits_that_saw_none_close_two_entries() -> None:
    rows = [row(1), row(2), *(row(n, Role.EXIT, gate=THERE, state=State.COMMITTED) for n in (5, 6))]
    assert see(rows).live == ()
    assert see(rows[:3]).live == (name(1),)


def test_an_exit_that_saw_none_leaves_what_another_exit_named() -> None:
    rows = [row(1), row(2), row(5, Role.EXIT, gate=THERE, state=State.COMMITTED)]
    named = row(6, Role.EXIT, name(2), state=State.COMMITTED)
    assert see([*rows, named]).live == ()


@pytest.mark.parametrize(("reset_at", "live"), [(4, ()), (6, (name(1, THERE),))])
def test_an_exit_that_saw_none_takes_nobody_whom_an_earlier_reset_took(
    reset_at: int, live: tuple[RecordId, ...]
) -> None:
    rows = [row(1, gate=THERE), row(2), row(5, Role.EXIT, gate=THERE, epoch=OLD, state=State.COMMITTED)]
    assert see(rows, [reset(reset_at, HALL)]).live == live


def test_a_pending_exit_is_pending_for_the_zones_inside_too() -> None:
    presence = see([row(1, zone=BOX), passed(2, name(1)), row(3, Role.EXIT, name(1))])
    for zone, pending in ((HALL, True), (BOX, True)):
        assert presence.tally(zone, SESSION, same_day(SESSION), HERE, EPOCH).exit_pending is pending
        assert presence.bounds(zone) == Bounds(0, 1)
    inner = see([row(1), row(2, zone=BOX), row(3, Role.EXIT, name(2), zone=BOX)])
    assert not inner.tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH).exit_pending


def test_leaving_the_outer_zone_leaves_the_inner_one() -> None:
    rows = [row(1), row(2, zone=BOX), row(3, zone=STAND)]
    assert see(rows).closes(HALL) == (name(3), name(2), name(1))
    assert see(rows).closes(BOX) == (name(2),)
    leaving = row(4, Role.EXIT, gate=THERE, state=State.COMMITTED)
    assert [see([*rows, leaving]).inside(zone) for zone in (HALL, BOX, STAND)] == [0, 0, 0]


def test_entering_an_inner_zone_implies_its_outer_one() -> None:
    presence = see([row(1, zone=BOX)])
    assert (presence.inside(HALL), presence.uses(HALL, SESSION), presence.inside(STAND)) == (1, 0, 0)
    assert presence.closes(HALL) == (name(1),)


def test_an_exit_names_one_person_and_first_those_seen_to_pass_whom_no_other_exit_names() -> None:
    rows = [row(1), passed(2, name(1)), row(3), passed(4, name(3)), row(5)]
    assert see(rows).closes(HALL) == (name(3),)
    assert see([*rows, row(6, Role.EXIT, name(3))]).closes(HALL) == (name(1),)


# --- resets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "one", "hall", "box"),
    [
        ("its own log up to itself", reset(9, HALL), 1, 0),
        ("what it heard of another", reset(9, HALL, name(4, THERE)), 0, 0),
        ("not what it had not heard", reset(9, HALL, name(3, THERE)), 1, 0),
        ("another epoch was not heard", reset(9, HALL, name(4, THERE, OLD)), 1, 0),
        ("the inner zone only", reset(9, BOX, name(4, THERE)), 2, 0),
        ("a sibling", reset(9, STAND, name(4, THERE)), 2, 1),
        ("no zone", reset(9, ZoneId(0), name(4, THERE)), 2, 1),
        ("earlier than the entry", reset(1, HALL), 2, 1),
    ],
)
def test_a_reset_removes_exactly_what_it_heard_of(what: str, one: Reset, hall: int, box: int) -> None:
    rows = [row(2), row(3, zone=BOX), row(4, gate=THERE)]
    for resets in ((one,), Resets((one,), ZONES)):
        presence = fold(rows, resets, ZONES)
        assert (presence.inside(HALL), presence.inside(BOX)) == (hall, box)
        assert presence.uses(HALL, SESSION) == 2


@given(st.lists(st.integers(1, 5).flatmap(
    lambda at: st.builds(Reset, st.builds(RecordId, st.just(THERE), st.just(OLD), st.integers(1, 9)), st.just(HALL),
                         st.just(at), st.lists(st.builds(name, st.integers(1, 9)), max_size=2).map(tuple))),
    max_size=6), st.integers(1, 9))  # fmt: skip
@settings(max_examples=150)
def test_the_earliest_reset_that_had_heard_is_found(resets: list[Reset], seq: int) -> None:
    wanted = min(
        (
            (one.time_us, one.id)
            for one in resets
            if any(name(seq)[:2] == h[:2] and h.seq >= seq for h in one.heard)
        ),
        default=None,
    )
    assert Resets(resets, ZONES).closing(row(seq)) == wanted


# --- what decide() is told ----------------------------------------------------------------------------------------


def test_the_tally_of_a_ticket_never_seen() -> None:
    assert see([]).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH) == Tally()


def test_the_tally_counts_by_session_day_and_zone() -> None:
    rows = [
        row(1, session=SessionId(8)), row(2, session=OTHER), row(3), row(4, flags=Flag.REENTRY), row(5, zone=BOX),
        row(6, epoch=OLD), row(7, epoch=OLD, gate=THERE), row(8, epoch=OLD), passed(9, name(8, epoch=OLD)),
    ]  # fmt: skip
    assert see(rows).tally(HALL, SESSION, same_day(SESSION, OTHER), HERE, EPOCH) == Tally(
        uses_session=4,
        uses_day=5,
        uses_total=6,
        inside=7,
        passed=1,
        last=LastUse(name(8, epoch=OLD), LaneId(1), 8_000_000),
        exit_pending=False,
        unresolved=1,
        unresolved_uses=1,
        unresolved_ids=(name(6, epoch=OLD),),
        entries=(name(8, epoch=OLD), name(5)),
    )


def test_a_limit_over_several_sessions_names_the_use_of_another_one() -> None:
    gone = [often(1), passed(2, name(1)), row(3, Role.EXIT, name(1), state=State.COMMITTED)]
    tally = see(gone).tally(HALL, OTHER, same_day(SESSION, OTHER), HERE, EPOCH)
    assert (tally.uses_session, tally.uses_day) == (0, 1)
    assert tally.last == LastUse(name(1), LaneId(1), 1_000_000)
    inside = [*gone, row(4, zone=BOX), passed(5, name(4))]
    tally = see(inside).tally(HALL, OTHER, same_day(SESSION, OTHER), HERE, EPOCH)
    assert tally.last == LastUse(name(4), LaneId(1), 4_000_000), "who is inside comes first"


def test_what_an_exit_closed_is_not_unresolved() -> None:
    lost = row(3, epoch=OLD)
    left = row(4, Role.EXIT, lost.id, state=State.COMMITTED)
    assert see([lost]).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH).unresolved == 1
    assert see([lost, left]).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH).unresolved == 0


def test_unresolved_is_forgiven_only_at_the_lane_where_it_was_reserved() -> None:
    presence = see([row(3, epoch=OLD)])
    assert presence.tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH, LaneId(1)).unresolved == 1
    elsewhere = presence.tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH, LaneId(2))
    assert (elsewhere.unresolved, elsewhere.uses_session) == (0, 1)


def test_the_unresolved_are_named_oldest_first_and_re_entries_are_no_uses() -> None:
    rows = [
        row(6, epoch=OLD, at=9), row(8, epoch=OLD, at=5, flags=Flag.REENTRY), row(3, epoch=OLD),
    ]  # fmt: skip
    tally = see(rows).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH)
    ids = (name(3, epoch=OLD), name(8, epoch=OLD), name(6, epoch=OLD))
    assert (tally.unresolved, tally.unresolved_uses, tally.unresolved_ids) == (3, 2, ids)
    # a second crash: the entry that stood for a re-entry is no use either
    again = row(1, Role.ENTRY, ids[1], epoch=Epoch(8), flags=Flag.AFTER_RESTART)
    tally = see([*rows, again]).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH)
    assert (tally.unresolved, tally.unresolved_uses, tally.uses_session) == (3, 2, 2)


@pytest.mark.parametrize("kind", [Kind.SCAN, Kind.OVERRIDE])
@pytest.mark.parametrize("clock_us", [8_000_000, -9_000_000])
def test_an_entry_after_a_restart_counts_once_whatever_the_clock_says(kind: Kind, clock_us: int) -> None:
    """A box without RTC comes back earlier than it went: the name alone tells whose entry it is."""
    lost = row(3, epoch=OLD, mode=Mode.ENTRY_EXIT)
    caught = see([lost]).tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH).unresolved_ids
    flags = Flag.TICKET | Flag.AFTER_RESTART | Flag.FLAGGED
    entry = record(kind, **GRANT, flags=flags)
    (payload,) = pack_record_ids(caught)
    named = (ExtensionRecord(Extension.OBSERVED, entry.seq + 1, payload),)
    (again,) = rows_of(HERE, EPOCH, entry, named, clock_us)
    presence = see([lost, again])
    tally = presence.tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH)
    assert (tally.uses_session, tally.inside, tally.unresolved, tally.entries) == (1, 1, 0, (again.id,))
    assert [one.kind for one in presence.doubles(1)] == [DoubleKind.AFTER_RESTART]
    left = row(90, Role.EXIT, *tally.entries, state=State.COMMITTED)
    assert see([lost, again, left]).inside(HALL) == 0


def test_an_entry_after_a_restart_stands_for_the_unresolved_one() -> None:
    lost = row(3, epoch=OLD)
    again = row(4, flags=Flag.AFTER_RESTART)
    named = row(4, Role.ENTRY, lost.id, flags=Flag.AFTER_RESTART, at=-9)
    for fresh in (again, named):
        presence = see([lost, fresh])
        assert (presence.uses(HALL, SESSION), presence.live) == (1, (name(4),))
        assert presence.tally(HALL, SESSION, same_day(SESSION), HERE, EPOCH).unresolved == 0
        assert [(d.kind, d.first, d.second) for d in presence.doubles(1)] == [
            (DoubleKind.AFTER_RESTART, lost.id, name(4))
        ]
    assert see([lost, again, back(5, name(4))]).live == (lost.id,)
    assert see([lost, passed(4, lost.id), again]).uses(HALL, SESSION) == 2
    assert see([row(3, epoch=OLD, gate=THERE), again]).uses(HALL, SESSION) == 2


# --- doubles ------------------------------------------------------------------------------------------------------


def both_ways(seq: int, gate: GateId = HERE, flags: Flag = Flag.NONE) -> PresenceRow:
    """An entry at a lane in entry/exit mode."""
    return row(seq, gate=gate, flags=flags, mode=Mode.ENTRY_EXIT)


def often(seq: int, at: int = 0, session: SessionId = SESSION, zone: ZoneId = HALL) -> PresenceRow:
    """An entry at a lane that skips what was used already."""
    return row(seq, at=at, session=session, zone=zone, mode=Mode.MULTIPLE)


@pytest.mark.parametrize(
    ("what", "rows", "admits", "limit", "wanted"),
    [
        ("one use", (row(1),), 1, 0, ()),
        ("two gates", (row(1), row(2, gate=THERE)), 1, 0, ((DoubleKind.USE, 1, 2),)),
        ("two admitted", (row(1), row(2, gate=THERE)), 2, 0, ()),
        ("three for two", (row(1), row(2), row(3)), 2, 0, ((DoubleKind.USE, 1, 3),)),
        ("two sessions", (row(1), row(2, session=OTHER)), 1, 0, ()),
        ("two zones", (row(1), row(2, zone=BOX)), 1, 0, ()),
        ("one given back", (row(1), row(2), back(3, name(2))), 1, 0, ()),
        ("as often as they like", (row(1), row(2, mode=Mode.MULTIPLE)), 1, 0, ()),
        ("more often than they may", (row(1), row(2, mode=Mode.MULTIPLE)), 1, 1, ((DoubleKind.LIMIT, 1, 2),)),
        ("both inside", (both_ways(1), both_ways(2, gate=THERE)), 1, 0, ((DoubleKind.INSIDE, 1, 2),)),
        ("in, out, in", (both_ways(1), row(2, Role.EXIT, name(1), state=State.COMMITTED),
                         both_ways(3, flags=Flag.REENTRY)), 1, 0, ()),
        ("both inside, one left since", (both_ways(1), both_ways(2, gate=THERE),
                                         row(3, Role.EXIT, name(1), state=State.COMMITTED)), 1, 0,
         ((DoubleKind.INSIDE, 1, 2),)),
    ],
)  # fmt: skip
def test_what_was_one_too_many_is_told_with_both_gates_and_times(
    what: str,
    rows: tuple[PresenceRow, ...],
    admits: int,
    limit: int,
    wanted: tuple[tuple[DoubleKind, int, int], ...],
) -> None:
    doubles = see(rows).doubles(admits, Limits(limit))
    assert tuple((one.kind, one.first.seq, one.second.seq) for one in doubles) == wanted
    by_id = {one.id: one for one in rows}
    for one in doubles:
        assert (one.first_us, one.second_us) == (by_id[one.first].time_us, by_id[one.second].time_us)


@pytest.mark.parametrize(
    ("what", "limits", "rows", "wanted"),
    [
        ("once a day, in two sessions of it", Limits(day=1, days=same_day(SESSION, OTHER).days),
         (often(1), often(2, session=OTHER)), ((1, 2),)),
        ("once a day, on two days", Limits(day=1), (often(1), often(2, at=200_001, session=OTHER)), ()),
        ("once a day, on two days of one session", Limits(day=1), (often(1), often(2, at=200_001)), ()),
        ("once a day, twice on the second", Limits(day=1),
         (often(1), often(2, at=200_001), often(3, at=200_002, session=OTHER)), ((2, 3),)),
        ("twice in all, in three sessions", Limits(total=2),
         (often(1), often(2, at=200_001, session=OTHER), often(3, at=400_000, session=SessionId(9))), ((1, 3),)),
        ("twice in all, one given back", Limits(total=2),
         (often(1), often(2, at=3, session=OTHER), back(3, name(2)), often(4, session=SessionId(9))), ()),
        ("once a session, in two of a day", Limits(1, days=same_day(SESSION, OTHER).days),
         (often(1), often(2, session=OTHER)), ()),
        ("once in all, in two zones", Limits(total=1), (often(1), often(2, zone=BOX)), ()),
        ("once in all, by the mode of a single entry", Limits(total=1), (row(1), row(2, session=OTHER)), ((1, 2),)),
    ],
)  # fmt: skip
def test_a_use_beyond_a_limit_is_told_whichever_sessions_the_limit_is_over(
    what: str, limits: Limits, rows: tuple[PresenceRow, ...], wanted: tuple[tuple[int, int], ...]
) -> None:
    doubles = see(rows).doubles(1, limits)
    assert [one.kind for one in doubles] == [DoubleKind.LIMIT] * len(wanted)
    assert tuple((one.first.seq, one.second.seq) for one in doubles) == wanted


def test_who_left_before_is_told_by_the_first_exit_and_in_one_log_by_seq() -> None:
    gone = both_ways(1)
    again = row(5, flags=Flag.REENTRY, mode=Mode.ENTRY_EXIT, gate=THERE)
    exits = [row(seq, Role.EXIT, gone.id, state=State.COMMITTED) for seq in (9, 2)]
    assert see([gone, again, *exits]).doubles(1) == ()
    assert [one.second for one in see([gone, again, exits[0]]).doubles(1)] == [again.id]
    same_log = row(5, flags=Flag.REENTRY, mode=Mode.ENTRY_EXIT)
    ahead = row(4, Role.EXIT, gone.id, state=State.COMMITTED, at=9)
    assert see([gone, same_log, ahead]).doubles(1) == ()


# --- occupancy ----------------------------------------------------------------------------------------------------


def test_occupancy_says_how_sure_it_is() -> None:
    sure = see(IN)
    reserved = see([row(1, zone=BOX)])
    leaving = see([*IN, row(3, Role.EXIT, name(1))])
    siblings = see([row(1, zone=BOX), row(2, zone=STAND), passed(3, name(1)), passed(4, name(2))])
    assert [one.bounds(HALL) for one in (sure, reserved, leaving, siblings)] == [
        Bounds(1, 1), Bounds(0, 1), Bounds(0, 1), Bounds(1, 2),
    ]  # fmt: skip
    assert bounds((sure, reserved, leaving, siblings), HALL) == Bounds(2, 5)
    assert bounds((sure,), HALL, strangers=3) == Bounds(1, 4)
    assert bounds((sure,), BOX, strangers=-3) == Bounds(0, 0)


# --- laws ---------------------------------------------------------------------------------------------------------

_IDS = st.builds(RecordId, st.sampled_from([HERE, THERE]), st.sampled_from([EPOCH, OLD]), st.integers(1, 9))


@st.composite
def histories(draw: st.DrawFn) -> list[PresenceRow]:
    """Rows of one ticket as two gates of two epochs might write them, sensible or not; one row per record."""
    found: dict[RecordId, PresenceRow] = {}
    for record_id in draw(st.lists(_IDS, max_size=14, unique=True)):
        role = draw(st.sampled_from([Role.ENTRY, Role.ENTRY, Role.EXIT, Role.STATE, Role.STATE, Role.ANNUL]))
        states = {
            Role.ENTRY: [State.RESERVED], Role.EXIT: [State.RESERVED, State.COMMITTED],
            Role.STATE: [State.GIVEN_BACK, State.COMMITTED], Role.ANNUL: [State.ANNULLED],
        }  # fmt: skip
        state = draw(st.sampled_from(states[role]))
        marks_way = draw(st.sampled_from(Direction)) if state is State.COMMITTED else Direction.NONE
        found[record_id] = row(
            record_id.seq, role, *draw(st.lists(_IDS, max_size=2)), gate=record_id.gate, epoch=record_id.epoch,
            at=draw(st.integers(1, 9)), state=state, way=None if role in {Role.ENTRY, Role.EXIT} else marks_way,
            zone=draw(st.sampled_from([HALL, BOX, STAND])), session=draw(st.sampled_from([SESSION, OTHER])),
            mode=draw(st.sampled_from(Mode)),
            flags=draw(st.sampled_from([0, 0, Flag.REENTRY, Flag.AFTER_RESTART, OF_DEVICE])),
        )  # fmt: skip
    return list(found.values())


_RESETS = st.lists(
    st.builds(Reset, _IDS, st.sampled_from([HALL, BOX]), st.integers(1, 9).map(lambda s: s * 1_000_000),
              st.lists(_IDS, max_size=3).map(tuple), st.sampled_from(ResetKind), st.integers(0, 3)),
    max_size=4, unique_by=lambda one: one.id,
)  # fmt: skip


def everything(presence: TicketPresence) -> tuple[object, ...]:
    zones = (HALL, BOX, STAND)
    return (
        [
            (presence.frozen(zone, SESSION), presence.fled(zone), presence.strangers_left(zone))
            for zone in zones
        ],
        presence.counted,
        presence.live,
        [(presence.bounds(zone), presence.closes(zone)) for zone in zones],
        [presence.tally(zone, SESSION, same_day(SESSION, OTHER), HERE, EPOCH) for zone in zones],
        presence.doubles(1),
        presence.doubles(2, Limits(2)),
    )


def since_counts(rows: list[PresenceRow], resets: list[Reset]) -> list[tuple[object, ...]]:
    index = Resets(resets, ZONES)
    found: list[tuple[object, ...]] = []
    for zone in (HALL, BOX, STAND):
        count = index.counted(zone)
        since = None if count is None else since_count(rows, see(rows, resets), count, index, ZONES)
        found.append((count, since, index.is_readmitting(zone), index.has_rung(zone)))
    return found


@given(histories(), _RESETS, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_order_and_repetition_never_matter(
    rows: list[PresenceRow], resets: list[Reset], shuffle: random.Random
) -> None:
    wanted, since = everything(see(rows, resets)), since_counts(rows, resets)
    again = rows + [one for one in rows if shuffle.random() < 0.5]
    shuffle.shuffle(again)
    shuffle.shuffle(resets)
    assert everything(see(again, [*resets, *resets[:1]])) == wanted
    assert since_counts(list(dict.fromkeys(again)), resets) == since
    logs: dict[tuple[int, int], list[PresenceRow]] = {}
    for one in sorted(rows, key=lambda one: one.id):
        logs.setdefault(one.id[:2], []).append(one)
    order = list(logs.values())
    shuffle.shuffle(order)
    assert everything(fold([one for log in order for one in log], Resets(resets, ZONES), ZONES)) == wanted


@given(histories(), _RESETS)
@settings(max_examples=150)
def test_counts_agree_and_are_never_negative(rows: list[PresenceRow], resets: list[Reset]) -> None:
    presence = see(rows, resets)
    assert set(presence.live) <= set(presence.counted)
    for zone in (HALL, BOX, STAND):
        limits = presence.bounds(zone)
        assert 0 <= limits.low <= presence.inside(zone) <= limits.high <= len(presence.live)
        assert set(presence.closes(zone)) <= set(presence.live)
        assert bool(presence.closes(zone)) == (presence.inside(zone) > 0)


@given(histories(), _RESETS, st.data())
@settings(max_examples=150)
def test_nothing_that_is_heard_later_raises_a_state_down_or_brings_a_removed_entry_back(
    rows: list[PresenceRow], resets: list[Reset], data: st.DataObject
) -> None:
    some = [one for one in rows if data.draw(st.booleans())]
    before, after = see(some, resets), see(rows, resets)
    named = {
        target for one in some if one.role is Role.EXIT and before.state(one.id) is State.COMMITTED for target in one.names
    }  # fmt: skip
    assert not named.intersection(after.live)
    for one in some:
        if one.role in {Role.ENTRY, Role.EXIT}:
            assert before.state(one.id) <= after.state(one.id)


def test_a_row_read_before_its_extensions_gives_way_to_the_whole_one_in_either_order() -> None:
    cut, whole = row(3, Role.EXIT, state=State.COMMITTED), row(3, Role.EXIT, name(9), state=State.COMMITTED)
    assert see([*IN, cut, whole]).live == see([*IN, whole, cut]).live == (name(1),)
