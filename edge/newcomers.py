"""Tickets of which nothing is recorded: whoever comes for the first time is told so without a look at the log.

Nearly everybody at a gate is a newcomer, and a statement that finds nothing costs a paced scan as much as one that finds
something (50 us of cold pages and code). What is remembered is a set that may hold too much and never too little (a Bloom
filter): of a ticket in it the log is asked, as of any while not all of the log was gone through.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from admission.ids import EventId, TicketId
from admission.observed import NO_EVENT

BITS: Final = 1 << 20
"""128 KiB. Of 36,000 tickets 1 newcomer in 1,000 is looked for in vain, of 200,000 1 in 12; more only cost that look."""
_MASK: Final = BITS - 1

Key = tuple[EventId, TicketId]


class Newcomers:
    """For one log. `noting` must have been gone through once, and everything recorded since its beginning noted."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)
        self._is_whole = False

    def note(self, event: EventId, ticket: TicketId) -> None:
        """Something is recorded of this ticket."""
        at, bits = hash((event, ticket)), self._bits
        for place in (at & _MASK, at >> 20 & _MASK, at >> 40 & _MASK):
            bits[place >> 3] |= 1 << (place & 7)

    def noting(self, tickets: Iterable[Key]) -> Iterator[Key]:
        """Pass on all tickets that the log knows, noting each; at their end what is not noted is new."""
        for event, ticket in tickets:
            self.note(event, ticket)
            yield event, ticket
        self._is_whole = True

    def is_one(self, event: EventId, ticket: TicketId) -> bool:
        """Whether surely nothing is recorded of a ticket. Never of a tag: those are not gone through."""
        if not self._is_whole or event == NO_EVENT:
            return False
        at, bits = hash((event, ticket)), self._bits
        for place in (at & _MASK, at >> 20 & _MASK, at >> 40 & _MASK):
            if not bits[place >> 3] >> (place & 7) & 1:
                return True
        return False
