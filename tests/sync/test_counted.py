"""What of a gate's records counts: alike by the roster at gates and by the tables at the centre, on either engine."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from admission.ids import (
    Epoch,
    EventId,
    GateId,
    LaneId,
    ProductId,
    ReaderId,
    RecordId,
    SessionId,
    TicketId,
    ZoneId,
)
from admission.observed import PresenceRow, Reset, Role
from admission.records import Direction, Flag, Kind, Outcome, Record, ticket_subject
from sync import demo
from sync.gates import enrolment, fleet, ingest, quarantine, roster_document
from sync.gates.statuses import Statuses
from sync.keys import load_or_make
from sync.store.database import Database
from sync.tickets import changes
from sync.wire.counted import Counted, Limit, limits_of
from sync.wire.deltas import GateStatus, LaneWays
from sync.wire.messages import Push
from sync.wire.roster import FormerKey, LastHead, Revoked, Roster, RosterGate, RosterLane, Ways
from tests.sync.conftest import Home
from tests.sync.logs import KEY, OTHER_KEY, EpochLog

NOW_S = 1_795_348_800
GATE, GROUP = demo.MAIN_GATE, 1
EVENTS = [demo.EVENT, demo.OTHER_EVENT]


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


# --- by the roster ---------------------------------------------------------------------------------------------------


def row(gate: int, epoch: int, seq: int, role: Role = Role.ENTRY) -> PresenceRow:
    return PresenceRow(EventId(1), TicketId(1), RecordId(GateId(gate), Epoch(epoch), seq), role, 0)


def test_what_counts_of_a_gate_ends_where_its_limit_says() -> None:
    counted = Counted(
        [Limit(GateId(3), {Epoch(7): 5, Epoch(8): 0}, others=False), Limit(GateId(4), exits=False)]
    )
    told = [
        ((3, 7, 5), True), ((3, 7, 6), False), ((3, 8, 1), False), ((3, 9, 1), False), ((4, 7, 99), True), ((5, 7, 9), True)
    ]  # fmt: skip
    for name, counts in told:
        assert counted.record(RecordId(GateId(name[0]), Epoch(name[1]), name[2])) is counts
        assert counted.row(row(*name)) is counts
    assert [counted.row(row(gate, 7, 5, Role.EXIT)) for gate in (3, 4, 5)] == [True, False, True]
    assert counted.rows([row(3, 7, 5), row(3, 7, 6)]) == (row(3, 7, 5),)
    resets = [Reset(RecordId(GateId(3), Epoch(7), seq), ZoneId(1), 0, ()) for seq in (5, 6)]
    assert counted.resets(resets) == (resets[0],)
    assert not Counted()
    assert Counted().rows([row(3, 7, 5)]) == (row(3, 7, 5),)


def gate_of(number: int, ways: Ways = Ways.ENTRY | Ways.EXIT) -> RosterGate:
    return RosterGate(
        GateId(number), "", bytes(32), bytes(32), (RosterLane(LaneId(1), ZoneId(1), int(ways)),)
    )


def test_a_roster_sets_limits() -> None:
    revoked = (
        Revoked(GateId(3), 100, (LastHead(Epoch(7), 4), LastHead(Epoch(8), 0))),
        Revoked(GateId(4), 100, (LastHead(Epoch(9), 6),)),
    )
    said = Roster(1, 1, 0, 9, (gate_of(2), gate_of(4), gate_of(5, Ways.ENTRY)), revoked)
    held = [(GateId(4), Epoch(10)), (GateId(4), Epoch(9)), (GateId(2), Epoch(1))]
    assert limits_of(said, held) == (
        Limit(GateId(3), {Epoch(7): 5, Epoch(8): 0}, others=False),
        Limit(GateId(4), {Epoch(9): 7, Epoch(10): 0}, others=True),
        Limit(GateId(5), {}, exits=False),
    )


def test_a_former_key_signs_what_began_in_its_time_and_after_a_revocation_what_that_names() -> None:
    lost, swapped = bytes([1] * 32), bytes([2] * 32)
    revoked = (Revoked(GateId(3), 100, (LastHead(Epoch(7), 4), LastHead(Epoch(8), 0))),)
    former = (
        FormerKey(GateId(3), lost, 100),
        FormerKey(GateId(3), swapped, 5000),
        FormerKey(GateId(4), lost, 9),
    )
    said = Roster(1, 1, 0, 9, (gate_of(3),), revoked, former)
    early, late, too_late = 50_000_000, 5_300_000_000, 5_300_000_001
    assert said.former_of(GateId(3), Epoch(7), early) == (lost, swapped)
    assert said.former_of(GateId(3), Epoch(7), None) == (lost, swapped)
    assert said.former_of(GateId(3), Epoch(8), early) == (swapped,)
    assert said.former_of(GateId(3), Epoch(9), early) == (swapped,)
    assert said.former_of(GateId(3), Epoch(7), late) == (swapped,)
    assert said.former_of(GateId(3), Epoch(7), too_late) == ()
    assert said.former_of(GateId(5), Epoch(7), early) == ()


# --- at the centre ---------------------------------------------------------------------------------------------------


@pytest.fixture
def centre(home: Home) -> Iterator[Database]:
    """The demo venue, its main gate's box enrolled with `KEY`."""
    database = home.open()
    demo.make_demo(database, load_or_make(home.data, may_make=True), home.data, NOW_S)
    enrolled(database, public(KEY), NOW_S)
    yield database
    database.close()


def enrolled(database: Database, key: bytes, now_s: int) -> None:
    with changes.change(database, EVENTS, now_s) as connection:
        enrolment.join(connection, GATE, key, bytes(32), now_s)


def visits(
    epoch: int, tickets: range, time_s: int, way: Direction = Direction.ENTRY, key: Ed25519PrivateKey = KEY
) -> EpochLog:
    """A log of people who went through, a second after each other, a head after each."""
    log = EpochLog(Epoch(epoch), GATE, key)
    log.add(Record(Kind.RESTART, 1, time_s * 1_000_000, 0).to_bytes())
    return more(log, tickets, time_s, way)


def more(log: EpochLog, tickets: range, time_s: int, way: Direction = Direction.ENTRY) -> EpochLog:
    for at, ticket in enumerate(tickets):
        scan = len(log.blobs) + 1
        for kind, outcome, ref in ((Kind.SCAN, Outcome.GRANT, 0), (Kind.PASSAGE, Outcome.NONE, scan)):
            log.add(
                Record(
                    kind, len(log.blobs) + 1, (time_s + at) * 1_000_000, 0, LaneId(1), ReaderId(1), demo.ARENA, SessionId(1),
                    outcome, direction=way, flags=Flag.TICKET, ref=ref,
                    subject=ticket_subject(demo.EVENT, TicketId(ticket), ProductId(1)),
                ).to_bytes()
            )  # fmt: skip
        log.sign()
    return log


def take(database: Database, log: EpochLog, first: int = 1, key: Ed25519PrivateKey = KEY) -> list[str]:
    """Push; returns what was wrong. No run here names the one before it: that is another test's."""
    with database.writing() as connection:
        said = ingest.take(connection, GATE, public(key), Push((log.chunk(first),)), NOW_S)
    return [one.what for one in said.troubles if one.what != "rewind"]


def there(database: Database) -> list[tuple[int, int]]:
    """Tickets and roles that presence has, in order."""
    with database.reading() as connection:
        found = connection.execute(text("SELECT DISTINCT ticket, role FROM presence ORDER BY ticket, role"))
        return [(row.ticket, row.role) for row in found]


def revoke(database: Database, now_s: int, since_s: int = 0) -> None:
    with changes.change(database, EVENTS, now_s) as connection:
        fleet.revoke(connection, GATE, "stolen", now_s, since_s)


def roster_of(database: Database, now_s: int) -> Roster:
    with database.writing() as connection:
        return roster_document.renew(connection, GROUP, now_s)


def entries(*tickets: int) -> list[tuple[int, int]]:
    return [(ticket, int(role)) for ticket in tickets for role in (Role.ENTRY, Role.STATE)]


def test_what_a_gate_recorded_from_then_on_is_taken_out_and_stays_out(centre: Database) -> None:
    early, late = visits(5, range(50, 53), NOW_S), visits(6, range(60, 62), NOW_S + 500)
    for log in (early, late):
        assert take(centre, log) == []
    assert there(centre) == entries(50, 51, 52, 60, 61)
    revoke(centre, NOW_S + 900, NOW_S + 2)
    assert there(centre) == entries(50, 51)
    with centre.reading() as connection:
        # The third visit with its head, and all of the later run.
        assert quarantine.count(connection, GATE) == 3 + len(late.blobs)
    (said,) = roster_of(centre, NOW_S + 900).revoked
    assert said == Revoked(GATE, NOW_S + 900, (LastHead(Epoch(5), 6), LastHead(Epoch(6), 0)))
    # The same card, enrolled anew: its runs go on where they were, and count no more than before; a new run does.
    enrolled(centre, public(OTHER_KEY), NOW_S + 1000)
    rest = len(early.blobs) + 1
    assert take(centre, more(early, range(54, 55), NOW_S), rest, OTHER_KEY) == []
    assert take(centre, visits(9, range(70, 71), NOW_S + 1001, key=OTHER_KEY), key=OTHER_KEY) == []
    assert there(centre) == entries(50, 51, 70)
    # The stolen key signs no run that the revocation does not name.
    assert take(centre, visits(10, range(80, 81), NOW_S), key=OTHER_KEY) == ["altered"]
    again = roster_of(centre, NOW_S + 1001)
    assert again.revoked == (said,)
    assert again.former == (FormerKey(GATE, public(KEY), NOW_S + 900),)
    assert limits_of(again) == (Limit(GATE, {Epoch(5): 7, Epoch(6): 0}, others=True),)
    # An earlier end shuts more out, a later one lets nothing in.
    revoke(centre, NOW_S + 2000, NOW_S + 1)
    assert there(centre) == entries(50)


async def test_exits_count_only_of_who_is_left_by(centre: Database) -> None:
    statuses = Statuses(centre)

    async def tell(*lanes: tuple[int, int]) -> None:
        statuses.heard(GATE, GateStatus(lanes=tuple(LaneWays(*one) for one in lanes)), NOW_S)
        await statuses.write()

    def ways() -> dict[int, int]:
        main = roster_of(centre, NOW_S).gate(GATE)
        assert main is not None
        return {lane.id: lane.ways for lane in main.lanes}

    exits = [(ticket, int(role)) for ticket in (50, 51) for role in (Role.EXIT, Role.STATE)]
    log = visits(5, range(50, 52), NOW_S, Direction.EXIT)
    assert take(centre, log) == []
    assert there(centre) == exits, "nothing is known of its lanes"
    assert ways() == {1: 3, 2: 3}
    await tell((1, Ways.ENTRY))
    assert ways() == {1: 1, 2: 0}
    assert there(centre) == [(50, Role.STATE), (51, Role.STATE)]
    rest = len(log.blobs) + 1
    assert take(centre, more(log, range(52, 53), NOW_S, Direction.EXIT), rest) == []
    assert there(centre) == [(ticket, Role.STATE) for ticket in (50, 51, 52)]
    assert limits_of(roster_of(centre, NOW_S)) == (Limit(GATE, exits=False),)
    await tell((1, Ways.ENTRY), (7, Ways.EXIT))
    assert there(centre) == [*exits, (52, Role.EXIT), (52, Role.STATE)]
    await tell((1, Ways.ENTRY))
    assert ways() == {1: 1, 2: 0, 7: 2}, "a lane that was left by stays one"
    await tell()
    assert ways() == {1: 1, 2: 0, 7: 2}
    assert there(centre) == [*exits, (52, Role.EXIT), (52, Role.STATE)]
    assert limits_of(roster_of(centre, NOW_S)) == ()
