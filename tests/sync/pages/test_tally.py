"""The board's numbers: by differences, in any cut of the same records, equal to counting all at once."""

import random
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from admission.entitlements import Mode
from admission.ids import EventId, GateId, ProductId, RecordId, SessionId, TicketId, ZoneId
from admission.presence import fold, from_columns
from admission.reasons import Language, Reason
from admission.records import Direction, Fire, Flag
from edge.front.slices import meaning_of
from sync.board import logs
from sync.board.boards import Boards, Inside, Seen
from sync.board.sheet import sheet
from sync.demo import ARENA, EVENT, FLOOR, MAIN_GATE, TERRACE, TERRACE_GATE, TWICE, VIP, make_demo
from sync.events import programme
from sync.keys import load_or_make
from sync.store.database import Database
from sync.web.rendering import Templates
from sync.web.words import Words
from tests.admission.one_day import same_day
from tests.sync.pages.evening import GateLog, enrolled
from tests.sync.requests import NOW_S


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    keys_at = tmp_path / "keys"
    keys_at.mkdir()
    make_demo(database, load_or_make(keys_at, may_make=True), tmp_path, NOW_S)
    with database.writing() as connection:
        enrolled(connection, MAIN_GATE)
        enrolled(connection, TERRACE_GATE)
    return database


def figures(database: Database, boards: Boards, event: EventId = EVENT) -> dict[str, Any]:
    for _ in range(20):
        with database.reading() as connection:
            seen = boards.see(connection, 1, event, NOW_S)
        assert seen is not None
        if not seen.behind:
            break
    assert seen is not None
    return shown(seen, event)


def shown(seen: Seen, event: EventId = EVENT) -> dict[str, Any]:
    tally = seen.tally.events[event]
    return {
        "zones": {
            zone: pair for zone in (ARENA, TERRACE) if (pair := seen.tally.inside(zone, event)) != (0, 0)
        },
        "products": {product: tuple(pair) for product, pair in tally.products.items() if any(pair)},
        "inside": {gate: n for gate, n in tally.inside_by_gate.items() if n},
        "admitted": {gate: n for gate, n in tally.admitted_by_gate.items() if n},
        "denials": dict(tally.denials),
        "minutes": {minute: tuple(bar) for minute, bar in tally.minutes.items()},
        "doubles": [(one.ticket, one.double.second.gate) for one in tally.doubles],
    }


def push(database: Database, *logs: GateLog) -> None:
    with database.writing() as connection:
        for log in logs:
            log.push(connection, NOW_S)


def test_an_evening_in_small(filled: Database) -> None:
    boards = Boards(Clock())
    main, terrace = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    main.enter(101, 1, ARENA, NOW_S - 120)
    main.enter(102, 2, ARENA, NOW_S - 118, passes=False)
    main.enter(103, 1, ARENA, NOW_S - 50, flags=Flag.REHEARSAL)
    main.deny(Reason.CANCELLED, NOW_S - 40, ticket=104)
    main.deny(Reason.UNKNOWN, NOW_S - 39, times=5)
    push(filled, main)
    assert figures(filled, boards) == {
        "zones": {ARENA: (1, 2)},
        "products": {1: (1, 1), 2: (0, 1)},
        "inside": {MAIN_GATE: 2},
        "admitted": {MAIN_GATE: 2},
        "denials": {Reason.CANCELLED: 1, Reason.UNKNOWN: 5},
        "minutes": {(NOW_S - 119) // 60: (1, 0)},
        "doubles": [],
    }
    terrace.enter(101, 1, ARENA, NOW_S - 30)
    push(filled, terrace)
    now = figures(filled, boards)
    assert now["doubles"] == [(101, TERRACE_GATE)]
    assert now["inside"] == {MAIN_GATE: 2, TERRACE_GATE: 1}
    main.enter(101, 1, ARENA, NOW_S - 10, way=Direction.EXIT)
    push(filled, main)
    now = figures(filled, boards)
    assert now["zones"] == {ARENA: (1, 2)}
    assert now["admitted"] == {MAIN_GATE: 2, TERRACE_GATE: 1}


Step = tuple[GateId, int, ZoneId, Direction, bool, Fire | int | None]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from([MAIN_GATE, TERRACE_GATE]),
        st.integers(1, 6),
        st.sampled_from([ARENA, TERRACE]),
        st.sampled_from([Direction.ENTRY, Direction.ENTRY, Direction.EXIT, Direction.NONE]),
        st.booleans(),
        st.sampled_from([None, Fire.ALARM, Fire.ALARM, Fire.CLEARED, 0, 3, 4]),
    ),
    max_size=25,
)
"""Entries and exits; no direction: the zone is reset, with what is known of the other gate or without, an alarm rings or
is cleared, or people are counted by hand."""


OUT_AND_RESET: list[Step] = [
    (MAIN_GATE, 2, ARENA, Direction.ENTRY, False, None),
    (MAIN_GATE, 1, ARENA, Direction.NONE, False, Fire.ALARM),
    (MAIN_GATE, 1, ARENA, Direction.ENTRY, False, None),
    (TERRACE_GATE, 1, ARENA, Direction.NONE, False, None),
]
"""Whom an alarm sent out while somebody watched, a reset settled afterwards."""


@given(evening=steps, cuts=st.sets(st.integers(0, 24), max_size=4))
@example(evening=OUT_AND_RESET, cuts={1})
@settings(max_examples=20, deadline=None)
def test_counted_by_differences_equals_counted_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    evening: list[Step],
    cuts: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("evening")
    database = Database.open(folder)
    try:
        make_demo(database, load_or_make(folder, may_make=True), folder, NOW_S)
        logs = {gate: GateLog(gate, EVENT) for gate in (MAIN_GATE, TERRACE_GATE)}
        with database.writing() as connection:
            for gate in logs:
                enrolled(connection, gate)
        watched = Boards(Clock())
        for at, (gate, ticket, zone, way, passes, what) in enumerate(evening):
            others = [log for other, log in logs.items() if other != gate and passes]
            if way is not Direction.NONE:
                logs[gate].enter(ticket, int(ProductId(1)), zone, NOW_S - 600 + at, way=way, passes=passes)
            elif isinstance(what, Fire):
                logs[gate].fire(zone, NOW_S - 600 + at, what, *others)
            else:
                logs[gate].reset(zone, NOW_S - 600 + at, *others, people=what)
            if at in cuts:
                push(database, *logs.values())
                figures(database, watched)
        push(database, *logs.values())
        assert figures(database, watched) == figures(database, Boards(Clock()))
    finally:
        database.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_board_that_is_behind_shows_how_all_gates_stood_together_a_while_ago(
    filled: Database, seed: int
) -> None:
    """Log by log, whoever came in at one gate and left by the other would be inside until it has caught up."""
    chance = random.Random(seed)
    at_once, slow = Boards(Clock()), Boards(Clock(), step_records=7)
    gates = [GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)]
    moments = [figures(filled, at_once)]
    inside: dict[int, GateLog] = {}
    for at in range(40):
        ticket, gate = chance.randrange(1, 9), chance.choice(gates)
        if ticket in inside:
            came = inside.pop(ticket)
            gate = next(one for one in gates if one is not came)
            gate.enter(ticket, 1 + ticket % 2, ARENA, NOW_S - 600 + at, way=Direction.EXIT)
        else:
            inside[ticket] = gate
            gate.enter(
                ticket, 1 + ticket % 2, ARENA, NOW_S - 600 + at, mode=Mode.ENTRY_EXIT, passes=at % 3 > 0
            )
        push(filled, gate)
        moments.append(figures(filled, at_once))
        if at == 9:
            assert figures(filled, slow) == moments[-1]
    looks, place, behind = 0, 10, 1
    while behind:
        with filled.reading() as connection:
            seen = slow.see(connection, 1, EVENT, NOW_S)
        assert seen is not None
        behind, looks = seen.behind, looks + 1
        place = moments.index(shown(seen), place)
    assert looks > 5, "it was behind by more than one look"
    assert moments[place] == moments[-1]


def test_who_comes_straight_into_an_inner_zone_is_admitted_once(filled: Database) -> None:
    boards = Boards(Clock())
    main, floor = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    floor.enter(201, 1, FLOOR, NOW_S - 90)
    main.enter(202, 1, ARENA, NOW_S - 80)
    floor.enter(202, 1, FLOOR, NOW_S - 70)
    floor.enter(203, 1, FLOOR, NOW_S - 60)
    floor.enter(203, 1, VIP, NOW_S - 50)
    push(filled, main, floor)
    now = figures(filled, boards)
    assert now["admitted"] == now["inside"] == {MAIN_GATE: 1, TERRACE_GATE: 2}
    assert now["zones"][ARENA] == (3, 3)
    minutes = now["minutes"]
    assert sum(came for came, _ in minutes.values()) == 1, (
        "a lane leads into the arena: further in nobody arrives"
    )
    with filled.writing() as connection:
        connection.exec_driver_sql(f"UPDATE lane_plan SET zone = {FLOOR} WHERE zone = {ARENA}")
    minutes = figures(filled, boards)["minutes"]
    assert sum(came for came, _ in minutes.values()) == 4, (
        "no lane leads into the arena: whoever is scanned arrives"
    )


def test_a_reset_is_shown_without_counting_the_evening_again(filled: Database) -> None:
    boards = Boards(Clock())
    main, terrace = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    for ticket in range(1, 31):
        main.enter(ticket, 1, ARENA, NOW_S - 300 + ticket)
    terrace.enter(99, 1, TERRACE, NOW_S - 100)
    push(filled, main, terrace)
    assert figures(filled, boards)["zones"] == {ARENA: (30, 30), TERRACE: (1, 1)}
    with filled.reading() as connection:
        counted = boards.see(connection, 1, EVENT, NOW_S)
    terrace.reset(ARENA, NOW_S - 50, main)
    main.enter(5, 1, ARENA, NOW_S - 40)
    push(filled, main, terrace)
    now = figures(filled, boards)
    assert now["zones"] == {ARENA: (1, 1), TERRACE: (1, 1)}
    assert now["admitted"] == {MAIN_GATE: 31, TERRACE_GATE: 1}
    with filled.reading() as connection:
        after = boards.see(connection, 1, EVENT, NOW_S)
    assert counted is not None
    assert after is not None
    assert after.tally is counted.tally  # the same count went on


def test_a_use_beyond_the_days_limit_is_told_as_beyond_the_sessions(filled: Database) -> None:
    """Two entries a day, and two gates that did not hear each other let three in."""
    boards = Boards(Clock())
    main, terrace = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    for log, at_s in ((main, NOW_S - 90), (main, NOW_S - 60)):
        log.enter(101, TWICE, FLOOR, at_s, mode=Mode.MULTIPLE)
    push(filled, main)
    assert figures(filled, boards)["doubles"] == []
    terrace.enter(101, TWICE, FLOOR, NOW_S - 30, mode=Mode.MULTIPLE)
    push(filled, terrace)
    assert figures(filled, boards)["doubles"] == [(101, TERRACE_GATE)]


def test_uses_beyond_the_days_limit_in_two_sessions_of_a_day_are_told(filled: Database) -> None:
    """A matinee and an evening: gates that do not hear each other let one in more often than twice that day."""
    boards = Boards(Clock())
    main, terrace = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    main.enter(101, TWICE, FLOOR, NOW_S - 90, mode=Mode.MULTIPLE)
    main.enter(101, TWICE, FLOOR, NOW_S - 60, mode=Mode.MULTIPLE)
    terrace.enter(101, TWICE, FLOOR, NOW_S - 30, mode=Mode.MULTIPLE, session=2)
    push(filled, main, terrace)
    assert figures(filled, boards)["doubles"] == [], "tomorrow's session is of another day"
    with filled.writing() as connection:
        connection.exec_driver_sql("UPDATE session SET day = (SELECT min(day) FROM session)")
    assert figures(filled, boards)["doubles"] == [(101, TERRACE_GATE)]


def test_who_comes_twice_on_each_day_of_a_fair_is_no_double(filled: Database) -> None:
    boards = Boards(Clock())
    with filled.writing() as connection:
        connection.exec_driver_sql(f"UPDATE session SET end_s = {NOW_S + 10 * 86_400}")
    main = GateLog(MAIN_GATE, EVENT)
    for days in range(3):
        for at_s in (NOW_S + days * 86_400, NOW_S + days * 86_400 + 600):
            main.enter(101, TWICE, FLOOR, at_s, mode=Mode.MULTIPLE)
    main.enter(101, TWICE, FLOOR, NOW_S + 2 * 86_400 + 700, mode=Mode.MULTIPLE)
    push(filled, main)
    assert figures(filled, boards)["doubles"] == [(101, MAIN_GATE)], "the third of one day"


def test_a_board_of_no_such_event_is_none(filled: Database) -> None:
    with filled.reading() as connection:
        assert Boards(Clock()).see(connection, 1, EventId(99), NOW_S) is None


def test_after_an_alarm_nobody_knows_until_staff_counted(filled: Database) -> None:
    boards = Boards(Clock())
    main, terrace = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    for ticket in range(1, 31):
        main.enter(ticket, 1, ARENA, NOW_S - 300 + ticket)
    terrace.enter(99, 1, TERRACE, NOW_S - 240)
    push(filled, main, terrace)
    assert figures(filled, boards)["zones"] == {ARENA: (30, 30), TERRACE: (1, 1)}
    main.fire(ARENA, NOW_S - 200, Fire.ALARM, terrace)
    push(filled, main)
    assert figures(filled, boards)["zones"] == {ARENA: None, TERRACE: (1, 1)}
    inside = counted(filled, boards)
    assert ARENA in inside.unknown, "so nobody is refused as one too many"
    main.fire(ARENA, NOW_S - 150, Fire.CLEARED)
    main.enter(31, 1, ARENA, NOW_S - 140)
    push(filled, main)
    assert figures(filled, boards)["zones"] == {ARENA: None, TERRACE: (1, 1)}
    main.reset(ARENA, NOW_S - 100, people=400)
    main.enter(32, 1, ARENA, NOW_S - 90)
    push(filled, main)
    assert figures(filled, boards)["zones"] == {ARENA: (401, 401), TERRACE: (1, 1)}
    inside = counted(filled, boards)
    assert (inside.high[ARENA], inside.unknown) == (401, frozenset())
    main.enter(31, 1, ARENA, NOW_S - 80, way=Direction.EXIT)
    # He came back in without a scan, and was counted by hand.
    main.enter(1, 1, ARENA, NOW_S - 70, way=Direction.EXIT)
    push(filled, main)
    assert figures(filled, boards)["zones"] == {ARENA: (399, 399), TERRACE: (1, 1)}
    assert figures(filled, boards) == figures(filled, Boards(Clock()))


def counted(database: Database, boards: Boards) -> Inside:
    with database.reading() as connection:
        inside = boards.inside(connection, 1)
    assert inside is not None
    return inside


@pytest.mark.parametrize("language", Language)
def test_the_board_says_so_in_plain_words(filled: Database, language: Language) -> None:
    main = GateLog(MAIN_GATE, EVENT)
    main.enter(1, 1, ARENA, NOW_S - 300)
    main.fire(ARENA, NOW_S - 200, Fire.ALARM)
    push(filled, main)
    words, boards = Words(language), Boards(Clock())
    figures(filled, boards)
    with filled.reading() as connection:
        event = programme.event(connection, 1, EVENT)
        seen = boards.see(connection, 1, EVENT, NOW_S)
        shown = sheet(connection, event, seen, NOW_S, "hours", words)
    assert shown["is_unknown"]
    html = unescape(Templates().render("board/figures.html", words, {"event": event, **shown}))
    assert html.count(words("inside_unknown")) == 2, "in all, and in the zone; the others are known"
    assert words("inside_unknown_why").split(".")[0] in html


def test_who_may_come_in_again_is_the_same_to_a_gate_and_to_the_centre(filled: Database) -> None:
    """As a gate derives it from the records it hears, and as the centre's tables have it: whoever decides, decides alike."""
    main, terrace = GateLog(MAIN_GATE, EVENT), GateLog(TERRACE_GATE, EVENT)
    names = {ticket: main.enter(ticket, 1, ARENA, NOW_S - 300 + ticket) for ticket in (1, 2)}
    terrace.fire(ARENA, NOW_S - 200, Fire.ALARM)
    terrace.fire(ARENA, NOW_S - 150, Fire.CLEARED)
    push(filled, main, terrace)
    told = [meaning_of(one.gate, one.log.epoch, one.log.blobs) for one in (main, terrace)]
    heard = [row for rows, _ in told for row in rows], [one for _, resets in told for one in resets]
    with filled.reading() as connection:
        zones = logs.tree(logs.shape(connection, 1).zones)
        held = logs.presence(connection, EVENT, [TicketId(one) for one in names])
        resets = logs.resets(connection, 1)
    for ticket, seq in names.items():
        here = fold([row for row in heard[0] if row.ticket == ticket], heard[1], zones)
        there = fold([from_columns(row) for row in held[TicketId(ticket)]], resets, zones)
        asked = (ARENA, SessionId(1), same_day(SessionId(1)), MAIN_GATE, main.log.epoch)
        assert here.tally(*asked) == there.tally(*asked)
        assert there.tally(*asked).frozen == (RecordId(MAIN_GATE, main.log.epoch, seq),)
