"""Binds: a tag stands for one ticket, a ticket has one tag, and the order in which it is heard never matters."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from admission.binds import (
    Bind,
    Trouble,
    is_given_back,
    is_let_go,
    of_tag,
    replaces,
    stands_for,
    tag_of,
    trouble_of,
)
from admission.ids import Epoch, EventId, GateId, ProductId, RecordId, SessionId, TicketId
from admission.observed import PresenceRow, rows_of, tag_rows_of
from admission.presence import fold
from admission.records import (
    Bound,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Record,
    pack_bound,
    pack_record_ids,
    ticket_subject,
)
from tests.admission.test_presence import ZONES

EVENT = EventId(1)
UID = bytes.fromhex("04A1B2C3D4E5F6")
TAGS = [bytes([n]) * 16 for n in range(1, 4)]
CODES = {TicketId(n): bytes([0x40 + n]) * 16 for n in range(1, 4)}
EPOCH = Epoch(2**64 - 5)


def bound(
    seq: int, tag: bytes, ticket: int, *, gate: int = 1, at: int = 0, flags: Flag = Flag.TICKET
) -> tuple[PresenceRow, ...]:
    """What one BIND record says; `at` 0 is at its seq, in seconds."""
    number = TicketId(ticket)
    body = Record(
        Kind.BIND, seq, 0, 0, flags=flags, subject=ticket_subject(EVENT, number, ProductId(7)), session=SessionId(4)
    )  # fmt: skip
    extension = ExtensionRecord(Extension.BOUND, seq + 1, pack_bound(Bound(UID, tag, CODES[number])))
    said = (GateId(gate), EPOCH, body, (extension,), (at or seq) * 1_000_000)
    return (*rows_of(*said), *tag_rows_of(*said))


class Held:
    """Rows as a table holds them: by key, in whatever order they came."""

    def __init__(self, *several: tuple[PresenceRow, ...]) -> None:
        self.rows = [row for rows in several for row in rows]

    def __call__(self, event: EventId, ticket: TicketId) -> list[PresenceRow]:
        return [row for row in self.rows if (row.event, row.ticket) == (event, ticket)]

    def opens(self, code: bytes, ticket: int) -> bool:
        """Whether the code of a ticket still opens."""
        about = self(EVENT, TicketId(ticket))
        return not (replaces(code, about) and tag_of(EVENT, TicketId(ticket), about, self) is not None)


def test_a_bound_tag_stands_for_its_ticket_and_the_code_is_replaced() -> None:
    held = Held(bound(3, TAGS[0], 1))
    assert stands_for(TAGS[0], held) == Bind(
        TAGS[0], CODES[TicketId(1)], EVENT, TicketId(1), ProductId(7), SessionId(4),
        RecordId(GateId(1), EPOCH, 4), 3_000_000,
    )  # fmt: skip
    assert not held.opens(CODES[TicketId(1)], 1)
    assert held.opens(CODES[TicketId(2)], 1), "another code of the ticket is not named"
    assert stands_for(TAGS[1], held) is None
    assert tag_of(EVENT, TicketId(2), held(EVENT, TicketId(2)), held) is None


def test_a_rehearsed_bind_and_one_without_its_tag_bind_nothing() -> None:
    assert bound(3, TAGS[0], 1, flags=Flag.TICKET | Flag.REHEARSAL) == ()
    body = Record(
        Kind.BIND, 3, 0, 0, flags=Flag.TICKET, subject=ticket_subject(EVENT, TicketId(1), ProductId(7))
    )
    assert rows_of(GateId(1), EPOCH, body, (), 1) == ()
    broken = ExtensionRecord(Extension.BOUND, 4, bytes(43))
    assert (
        *rows_of(GateId(1), EPOCH, body, (broken,), 1),
        *tag_rows_of(GateId(1), EPOCH, body, (broken,), 1),
    ) == ()


def test_a_bind_is_nobody_s_presence() -> None:
    rows = [one for one in bound(3, TAGS[0], 1) if one.event == EVENT]
    assert fold(rows, (), ZONES).counted == ()


def test_of_two_stations_that_bind_one_ticket_the_first_has_it() -> None:
    first, second = bound(9, TAGS[0], 1, at=5), bound(3, TAGS[1], 1, gate=2, at=6)
    held = Held(second, first)
    assert stands_for(TAGS[0], held) is not None
    assert stands_for(TAGS[1], held) is None
    (late,) = of_tag(TAGS[1], held)
    assert trouble_of(late, held) is Trouble.TICKET_BOUND
    assert not held.opens(CODES[TicketId(1)], 1)


def test_whose_tag_was_somebody_else_s_keeps_his_code() -> None:
    held = Held(bound(9, TAGS[0], 2, gate=2, at=6), bound(9, TAGS[0], 1, at=5))
    found = stands_for(TAGS[0], held)
    assert found is not None
    assert found.ticket == 1
    assert held.opens(CODES[TicketId(2)], 2)
    assert [trouble_of(one, held) for one in of_tag(TAGS[0], held)] == [None, Trouble.TAG_TAKEN]


def taken_back(seq: int, rows: tuple[PresenceRow, ...], *, gate: int = 1) -> tuple[PresenceRow, ...]:
    """What the ANNUL of one bind says; a steward at any of the stations may be who made it."""
    row = rows[0]
    body = Record(
        Kind.ANNUL, seq, 0, 0, flags=Flag.TICKET, subject=ticket_subject(EVENT, row.ticket, ProductId(7))
    )
    (payload,) = pack_record_ids((row.id,))
    extension = ExtensionRecord(Extension.OBSERVED, seq + 1, payload)
    said = (GateId(gate), EPOCH, body, (extension,), seq * 1_000_000)
    return (*rows_of(*said), *tag_rows_of(*said))


def test_what_was_taken_back_counts_for_nothing_and_the_next_one_holds() -> None:
    wrong, right = bound(3, TAGS[0], 1), bound(7, TAGS[1], 1)
    undone = taken_back(11, wrong)
    held = Held(undone, wrong)
    code, about = CODES[TicketId(1)], held(EVENT, TicketId(1))
    assert stands_for(TAGS[0], held) is None
    assert held.opens(code, 1)
    assert is_let_go(TAGS[0], about)
    assert is_given_back(code, about) == (TAGS[0],)
    both = Held(right, undone, wrong)
    assert tag_of(EVENT, TicketId(1), both(EVENT, TicketId(1)), both) == TAGS[1]
    assert not both.opens(code, 1)
    assert is_given_back(code, both(EVENT, TicketId(1))) == ()
    # Bound to the same ticket once more, it is that one's again.
    again = Held(wrong, undone, bound(15, TAGS[0], 1))
    assert stands_for(TAGS[0], again) is not None
    assert not is_let_go(TAGS[0], again(EVENT, TicketId(1)))
    # Who lost the tag to it has the tag now.
    other = Held(wrong, bound(9, TAGS[0], 2), undone)
    found = stands_for(TAGS[0], other)
    assert found is not None
    assert found.ticket == 2


# --- laws --------------------------------------------------------------------------------------------------------

_BINDS = st.lists(
    st.builds(
        bound, st.integers(1, 400).map(lambda n: 2 * n), st.sampled_from(TAGS), st.integers(1, 3),
        gate=st.integers(1, 2), at=st.integers(1, 5),
    ),
    max_size=8, unique_by=lambda rows: rows[0].id,
)  # fmt: skip


@st.composite
def _with_some_taken_back(draw: st.DrawFn) -> list[tuple[PresenceRow, ...]]:
    binds = draw(_BINDS)
    some = [one for one in binds if draw(st.integers(0, 2)) == 0]
    undone = [taken_back(3000 + 2 * n, one, gate=draw(st.integers(1, 2))) for n, one in enumerate(some)]
    return [*binds, *undone]


def everything(held: Held) -> list[object]:
    tickets = [TicketId(n) for n in CODES]
    return [
        *(stands_for(tag, held) for tag in TAGS),
        *(tag_of(EVENT, one, held(EVENT, one), held) for one in tickets),
        *((code, held.opens(code, one)) for one in tickets for code in CODES.values()),
        *((one.record, trouble_of(one, held)) for tag in TAGS for one in of_tag(tag, held)),
    ]


@given(_with_some_taken_back(), st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_order_and_repetition_never_matter(
    binds: list[tuple[PresenceRow, ...]], shuffle: random.Random
) -> None:
    again = [*binds, *(one for one in binds if shuffle.random() < 0.5)]
    shuffle.shuffle(again)
    mixed = Held(*again)
    shuffle.shuffle(mixed.rows)
    assert everything(mixed) == everything(Held(*binds))


@given(_with_some_taken_back())
@settings(max_examples=80)
def test_nobody_enters_by_two_and_nobody_is_left_without(binds: list[tuple[PresenceRow, ...]]) -> None:
    held = Held(*binds)
    stands = {tag: found for tag in TAGS if (found := stands_for(tag, held)) is not None}
    assert len({(one.event, one.ticket) for one in stands.values()}) == len(stands), "no ticket has two tags"
    for ticket, code in CODES.items():
        tag = tag_of(EVENT, ticket, held(EVENT, ticket), held)
        assert (
            (tag in stands and stands[tag].ticket == ticket)
            if tag
            else ticket not in {one.ticket for one in stands.values()}
        )
        assert held.opens(code, ticket) is (tag is None), (
            "by the tag or by the code, never by both nor by none"
        )
    for tag in TAGS:
        for one in of_tag(tag, held):
            holds = stands_for(tag, held) is not None and stands[tag].ticket == one.ticket
            assert (trouble_of(one, held) is None) is holds
            assert not holds or one.time_us >= stands[tag].time_us


@given(_BINDS, _BINDS)
@settings(max_examples=60)
def test_what_is_heard_later_and_was_made_later_takes_no_tag_away(
    early: list[tuple[PresenceRow, ...]], late: list[tuple[PresenceRow, ...]]
) -> None:
    shifted = [
        bound(2000 + 2 * n, one[1].names[0].epoch.to_bytes(8, "big") * 2, int(one[0].ticket), gate=1, at=9)
        for n, one in enumerate(late)
    ]
    before, after = Held(*early), Held(*early, *shifted)
    for tag in TAGS:
        assert stands_for(tag, before) is None or stands_for(tag, after) == stands_for(tag, before)
