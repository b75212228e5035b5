"""What the centre plans for gates: kept in its tables, told by the list it signs."""

from pathlib import Path

import pytest
from sqlalchemy import text

from admission.entitlements import LaneOrder, LaneSchedule, Session, Zone
from admission.ids import EventId, GateId, LaneId, SessionId, ZoneId
from admission.lane import LaneState
from sync.events import rows as events
from sync.events.rows import GROUP
from sync.gates import lists, roster
from sync.keys import new_keys
from sync.store.database import Database
from sync.tickets import changes
from sync.wire.lists import pack_list, unpack_head

EVENT, HALL, GATE = EventId(1), ZoneId(1), GateId(1)
NOW_S = 1_800_000_000


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database.open(tmp_path)
    with changes.change(opened, (EVENT,), NOW_S) as connection:
        events.add_group(connection, "Venue", bytes(32))
        events.add_event(connection, EVENT, "Fair", "Europe/Zurich")
        events.add_zones(connection, (Zone(HALL, "Hall", reset_at=240), Zone(ZoneId(2), "Foyer")))
        events.add_sessions(
            connection,
            (
                Session(SessionId(1), EVENT, "One", 20261122, HALL, NOW_S + 5),
                Session(SessionId(2), EVENT, "Two", 20261123),
            ),
        )
        roster.add_gate(connection, roster.Gate(GATE, "North", (HALL,)), (), GROUP)
    return opened


def test_the_list_tells_what_was_planned(database: Database) -> None:
    keys = new_keys()
    entries = ((NOW_S + 9, LaneState.CLOSED), (NOW_S, LaneState.CONTROLLED))
    with changes.change(database, (EVENT,), NOW_S) as connection:
        roster.set_schedule(connection, GATE, LaneId(2), ((1, LaneState.REHEARSAL),))
        roster.set_schedule(connection, GATE, LaneId(2), entries)
        given = roster.order_state(connection, LaneState.CLOSED, NOW_S, GROUP, zone=HALL)
    with database.reading() as connection:
        head, listed = lists.content(connection, GROUP)
    told = unpack_head(pack_list(head, listed, keys.list_key), keys.list_key.public_key())
    assert told.schedules == (LaneSchedule(GATE, LaneId(2), ((NOW_S, 1), (NOW_S + 9, 0))),)
    assert told.orders == (LaneOrder(NOW_S, NOW_S, 0, HALL),) == (given,)
    assert told.zones == (Zone(HALL, "Hall", reset_at=240), Zone(ZoneId(2), "Foyer"))
    assert [(one.zone, one.end) for one in told.sessions] == [(HALL, NOW_S + 5), (0, 0)]
    assert told.events[0].timezone == "Europe/Zurich"
    database.close()


def test_an_order_takes_its_targets_last_ones_place_under_a_new_version(database: Database) -> None:
    with database.writing() as connection:
        first = roster.order_state(connection, LaneState.CLOSED, NOW_S, GROUP, zone=HALL)
        second = roster.order_state(connection, LaneState.EMERGENCY, NOW_S, GROUP, gate=GATE, lane=LaneId(2))
        third = roster.order_state(connection, LaneState.CONTROLLED, NOW_S - 100, GROUP, zone=HALL)
        assert [one.version for one in (first, second, third)] == [NOW_S, NOW_S + 1, NOW_S + 2]
        assert roster.orders(connection, GROUP) == (second, third)
        assert (
            roster.order_state(connection, LaneState.CLOSED, NOW_S + 50, GROUP, gate=GATE).version
            == NOW_S + 50
        )
    database.close()


@pytest.mark.parametrize(
    ("zone", "gate", "lane"),
    [(0, 0, 0), (1, 1, 0), (0, 0, 3), (1, 0, 3)],
    ids=["nothing", "both", "lane", "zone's lane"],
)
def test_an_order_for_nobody_in_particular_is_refused(
    database: Database, zone: int, gate: int, lane: int
) -> None:
    with database.writing() as connection:
        with pytest.raises(ValueError, match="an order names"):
            roster.order_state(
                connection,
                LaneState.CLOSED,
                NOW_S,
                GROUP,
                zone=ZoneId(zone),
                gate=GateId(gate),
                lane=LaneId(lane),
            )
        assert roster.orders(connection, GROUP) == ()
    database.close()


def test_an_emergency_is_no_plan(database: Database) -> None:
    with (
        pytest.raises(ValueError, match="emergency"),
        database.writing() as connection,
    ):
        roster.set_schedule(connection, GATE, LaneId(1), ((NOW_S, LaneState.EMERGENCY),))
    with database.reading() as connection:
        assert roster.schedules(connection, GROUP) == ()
    database.close()


def test_a_centre_of_before_plans_nothing_until_it_is_told(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.writing() as connection:
        events.add_group(connection, "Venue", bytes(32))
        events.add_event(connection, EVENT, "Fair", "UTC")
        # As the first version wrote them, before there was anything to plan.
        connection.execute(
            text("INSERT INTO zone(group_id, id, name, parent, capacity, gate) VALUES(1,1,'Hall',0,0,0)")
        )
        connection.execute(text("INSERT INTO session(event_id, id, name, day) VALUES(1,1,'One',20261122)"))
    with database.reading() as connection:
        assert events.read_zones(connection, events.GROUP) == (Zone(HALL, "Hall"),)
        assert events.read_sessions(connection, events.GROUP) == (
            Session(SessionId(1), EVENT, "One", 20261122),
        )
    database.close()
