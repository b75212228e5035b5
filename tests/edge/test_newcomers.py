"""Newcomers: a ticket of which something is recorded is never one, and nearly all others are."""

from hypothesis import given
from hypothesis import strategies as st

from admission.ids import EventId, TicketId
from admission.observed import NO_EVENT
from edge.newcomers import Newcomers

KEYS = st.tuples(st.integers(1, 2**32 - 1).map(EventId), st.integers(1, 2**64 - 1).map(TicketId))


@given(st.lists(KEYS, max_size=50), st.lists(KEYS, max_size=50))
def test_whoever_was_noted_is_none(
    on_disk: list[tuple[EventId, TicketId]], said: list[tuple[EventId, TicketId]]
) -> None:
    newcomers = Newcomers()
    for key in said:
        newcomers.note(*key)
    assert list(newcomers.noting(on_disk)) == on_disk
    assert not any(newcomers.is_one(*key) for key in (*on_disk, *said))


def test_nobody_is_one_before_all_of_the_log_was_gone_through() -> None:
    newcomers = Newcomers()
    going = newcomers.noting((EventId(1), TicketId(ticket)) for ticket in range(1, 3))
    next(going)
    assert not newcomers.is_one(EventId(1), TicketId(9))
    assert len(list(going)) == 1
    assert newcomers.is_one(EventId(1), TicketId(9))


def test_of_a_festival_s_newcomers_nearly_none_is_looked_for() -> None:
    newcomers = Newcomers()
    for _ in newcomers.noting((EventId(1), TicketId(ticket)) for ticket in range(1, 72_001, 2)):
        pass
    looked_for = sum(not newcomers.is_one(EventId(1), TicketId(ticket)) for ticket in range(2, 20_002, 2))
    assert looked_for < 10_000 / 100


def test_what_is_about_tags_is_always_asked() -> None:
    newcomers = Newcomers()
    assert not list(newcomers.noting(()))
    assert not newcomers.is_one(NO_EVENT, TicketId(5))
