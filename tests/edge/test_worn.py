"""A ticket with many uses: folded whole once, then by what is new; the same answer as the whole log gives, also after a crash."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from admission.chain import ROOT
from admission.entitlements import Mode, Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, LaneId, RecordId, SessionId, TicketId, ZoneId
from admission.observed import Reset, Role, State
from admission.presence import PresenceRow, TicketPresence, fold
from admission.question import Tally
from admission.records import Direction
from edge.clock import TrustedTime
from edge.journal import Journal
from edge.memory import Memory
from edge.store.faults import StoreFault
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch
from edge.store.writer import Urgency
from edge.worn import FRESH_ROWS, WORN_MAX, WORN_ROWS, Told, Worn
from tests.admission.one_day import same_day
from tests.edge.rig import GATE, GATE_KEY
from tests.edge.test_clock import HandClock

EVENT, TICKET, HALL, OTHER = EventId(1), TicketId(7), ZoneId(1), GateId(2)
ZONES = ZoneTree((Zone(HALL, "Hall"),))
OWN_EPOCH, OLD = Epoch(9), Epoch(5)


def visits(count: int, gate: GateId = OTHER, first: int = 0, ticket: TicketId = TICKET) -> list[PresenceRow]:
    """In and never seen to leave, as at a house without exits: an entry and its passage each."""
    found = []
    for n in range(first, first + count):
        entry = PresenceRow(
            EVENT, ticket, RecordId(gate, OLD, 2 * n + 1), Role.ENTRY, (1 + n) * 10_000_000, State.RESERVED,
            Direction.ENTRY, HALL, SessionId(1 + n // 10), LaneId(1), Mode.MULTIPLE,
        )  # fmt: skip
        at = RecordId(gate, OLD, 2 * n + 2)
        passage = replace(
            entry, id=at, role=Role.STATE, time_us=entry.time_us + 1, state=State.COMMITTED, names=(entry.id,)
        )
        found += [entry, passage]
    return found


class Disk:
    """The writer, which takes all at once."""

    def __init__(self, store: LogStore) -> None:
        self.store = store

    def submit(self, batch: Batch, urgency: Urgency) -> None:  # noqa: ARG002 - the Protocol's
        self.store.append([batch])


class Box:
    """A gate's log and memory. `pull_card`: nothing is read from the disk any more."""

    def __init__(self, data: Path) -> None:
        self.store, self.reader = LogStore.open(data), LogReader.open(data)
        clock = HandClock()
        self.journal = Journal(
            gate=GATE, epoch=OWN_EPOCH, key=GATE_KEY, clock=clock, time=TrustedTime(clock, rtc=True),
            writer=Disk(self.store), predecessor=ROOT,
        )  # fmt: skip
        self.memory = Memory(self.reader, self.journal)
        self.memory.rezone(ZONES)

    def hear(self, rows: list[PresenceRow], resets: tuple[Reset, ...] = ()) -> None:
        self.journal.carry(Batch(0, presence=tuple(rows), resets=resets), urgent=False)
        self.memory.heard({(one.event, one.ticket) for one in rows}, resets)

    def tally(self) -> Tally:
        return asked(self.memory.told(EVENT, TICKET, ZONES).presence)

    def whole(self) -> Tally:
        return asked(fold(self.memory.rows(EVENT, TICKET), self.memory.resets(), ZONES))

    def pull_card(self) -> None:
        self.reader.close()

    def end(self) -> None:
        """As a crash leaves it: nothing is brought in, nothing is said."""
        self.reader.close()
        self.store.close()


def asked(presence: TicketPresence) -> Tally:
    return presence.tally(
        HALL, SessionId(1), same_day(SessionId(1), SessionId(2)), GATE, OWN_EPOCH, LaneId(1)
    )


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    one = Box(tmp_path)
    yield one
    one.end()


def test_after_it_was_read_once_nothing_of_its_past_is_read_again(box: Box) -> None:
    box.hear(visits(200))
    assert box.tally() == box.whole()
    box.pull_card()
    for n in range(200, 260):
        box.hear(visits(1, first=n))
        told = box.memory.told(EVENT, TICKET, ZONES)
        assert asked(told.presence).uses_total == n + 1
        assert len(told.rows) <= FRESH_ROWS + 2
    with pytest.raises(StoreFault):
        box.memory.rows(EVENT, TICKET)


def test_what_another_gate_tells_late_has_all_of_it_folded_anew(box: Box) -> None:
    box.hear(visits(100))
    before = box.tally()
    late = visits(3, gate=GateId(3), first=40)
    box.hear(late)
    assert box.tally() == box.whole() != before
    assert box.tally().uses_total == 103
    annul = PresenceRow(
        EVENT, TICKET, RecordId(GateId(3), OLD, 999), Role.ANNUL, 10**10, State.ANNULLED,
        names=(visits(1)[0].id,),
    )  # fmt: skip
    box.hear([annul])
    assert box.tally() == box.whole()
    assert box.tally().uses_total == 102


def test_a_reset_holds_for_what_was_put_away_too(box: Box) -> None:
    box.hear(visits(100))
    assert box.tally().inside == 100
    box.hear([], (Reset(RecordId(GateId(3), OLD, 500), HALL, 10**10, (RecordId(OTHER, OLD, 180),)),))
    assert box.tally() == box.whole()
    assert box.tally().inside == 10


def test_another_tree_of_zones_and_a_gate_that_is_shut_out_are_folded_anew(box: Box) -> None:
    box.hear(visits(100))
    assert box.tally().uses_total == 100
    inner = ZoneTree((Zone(HALL, "Hall"), Zone(ZoneId(2), "Box", HALL)))
    assert box.memory.told(EVENT, TICKET, inner).presence.zones is inner
    box.memory.rezone(inner)
    assert box.memory.told(EVENT, TICKET, inner).presence.bounds(HALL).high == 100


def test_after_a_crash_the_answer_is_the_same(tmp_path: Path) -> None:
    first = Box(tmp_path)
    first.hear(visits(100))
    first.tally()
    first.hear(visits(20, first=100))
    told = first.tally()
    first.end()
    again = Box(tmp_path)
    assert again.tally() == told == again.whole()
    again.end()


def test_people_are_counted_by_what_is_kept_folded(box: Box) -> None:
    box.hear(visits(100))
    while box.memory.count_on():
        pass
    box.pull_card()
    box.hear(visits(5, first=100))
    while box.memory.count_on():
        pass
    counted = box.memory.bounds(HALL)
    assert counted is not None
    assert (counted.low, counted.high) == (105, 105)


def test_few_are_kept_and_only_those_with_many_rows(box: Box) -> None:
    worn = Worn(box.memory.resets(), ZONES)
    few = visits(WORN_ROWS // 2)
    worn.keep((EVENT, TICKET), Told(few, fold(few, (), ZONES)))
    assert not len(worn)
    many = visits(WORN_ROWS // 2 + 1)
    for n in range(WORN_MAX + 3):
        worn.keep((EVENT, TicketId(n)), Told(many, fold(many, (), ZONES)))
    assert len(worn) == WORN_MAX
    assert worn.told((EVENT, TicketId(0))) is None
    assert worn.told((EVENT, TicketId(WORN_MAX))) is not None
