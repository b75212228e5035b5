"""Which tag stands for which ticket, by what check-in stations recorded: pure, and free of the order in which it is heard.

A bind is a record (`Kind.BIND`): this tag stands for this ticket, and the code that was shown for it is replaced. Two
stations that hear nothing of each other may bind one ticket to two tags, or one tag to two tickets. Whoever holds the same
records finds the same: **a bind holds where it is the first of its tag and the first of its ticket**, by corrected time, then
by record. So a tag never stands for two tickets and a ticket never has two tags; whose bind does not hold for its tag's sake
keeps his code, which opens as before; a second tag of one ticket opens nothing.

A steward may take a bind back, where the wrong tag was tapped: an ANNUL that names the bind's record. It counts for nothing
then, whatever is heard before or after: the first of the others holds, the code opens again, and the tag is nobody's.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

import msgspec

from admission.ids import EventId, ProductId, RecordId, SessionId, TicketId
from admission.observed import PresenceRow, Role, digest_name, named_digest, tag_key

RowsOf = Callable[[EventId, TicketId], Iterable[PresenceRow]]
"""What is recorded about one ticket, or under `tag_key` about one tag."""


class Bind(msgspec.Struct, frozen=True, gc=False):
    """A bind as the rows about its tag say it."""

    tag: bytes
    code: bytes
    event: EventId
    ticket: TicketId
    product: ProductId
    session: SessionId
    record: RecordId
    time_us: int


class Trouble(Enum):
    """Why a bind does not hold."""

    TAG_TAKEN = "tag_taken"
    """Its tag stood for another ticket before."""
    TICKET_BOUND = "ticket_bound"
    """Its ticket had another tag before."""


def of_tag(tag: bytes, rows: RowsOf) -> tuple[Bind, ...]:
    """Return every bind of a tag that nobody took back, the first first."""
    name = digest_name(tag)
    found = {row.id: row for row in rows(*tag_key(tag)) if row.role is Role.BIND and row.names[0] == name}
    binds = map(_bind, sorted(found.values(), key=lambda row: (row.time_us, row.id)))
    return tuple(one for one in binds if not _is_taken_back(one, rows))


def stands_for(tag: bytes, rows: RowsOf) -> Bind | None:
    """Return the bind by which a tag stands for a ticket; None where none holds."""
    binds = of_tag(tag, rows)
    if not binds:
        return None
    first = binds[0]
    return first if _first_tag(_of_ticket(rows(first.event, first.ticket))) == tag else None


def tag_of(event: EventId, ticket: TicketId, about: Iterable[PresenceRow], rows: RowsOf) -> bytes | None:
    """Return the tag that stands for a ticket; None where none does. `about`: the ticket's rows."""
    tag = _first_tag(_of_ticket(about))
    if tag is None:
        return None
    first = of_tag(tag, rows)
    return tag if first and (first[0].event, first[0].ticket) == (event, ticket) else None


def replaces(code: bytes, about: Iterable[PresenceRow]) -> bool:
    """Whether a bind among a ticket's rows names a code; it is replaced where a tag stands for the ticket (`tag_of`)."""
    name = digest_name(code)
    return any(name in row.names[1:] for row in _of_ticket(about))


def is_given_back(code: bytes, about: Sequence[PresenceRow]) -> tuple[bytes, ...]:
    """Return the tags whose binds named a code and were taken back; none where another bind of it was not."""
    if replaces(code, about):
        return ()
    name = digest_name(code)
    return tuple(
        named_digest(row.names[0]) for row in about if row.role is Role.BIND and name in row.names[1:]
    )


def is_let_go(tag: bytes, about: Sequence[PresenceRow]) -> bool:
    """Whether a tag was bound to the ticket of these rows, and each such bind was taken back."""
    name = digest_name(tag)
    if not any(row.role is Role.BIND and row.names[0] == name for row in about):
        return False
    return not any(row.names[0] == name for row in _of_ticket(about))


def trouble_of(bind: Bind, rows: RowsOf) -> Trouble | None:
    """Return why a bind does not hold; None where it does."""
    first = next(iter(of_tag(bind.tag, rows)), bind)
    if (first.event, first.ticket) != (bind.event, bind.ticket):
        return Trouble.TAG_TAKEN
    about = _of_ticket(rows(bind.event, bind.ticket))
    return None if _first_tag(about) == bind.tag else Trouble.TICKET_BOUND


def taken_back(about: Iterable[PresenceRow]) -> frozenset[RecordId]:
    """Return what ANNUL records among a ticket's rows name: its binds that count for nothing, and its admissions."""
    return frozenset(name for row in about if row.role is Role.ANNUL for name in row.names)


def _of_ticket(about: Iterable[PresenceRow]) -> list[PresenceRow]:
    about = tuple(about)
    binds = [row for row in about if row.role is Role.BIND]
    if not binds:
        return []
    gone = taken_back(about)
    return [row for row in binds if row.id not in gone]


def _is_taken_back(bind: Bind, rows: RowsOf) -> bool:
    """Whether a bind, as the rows about its tag say it, was taken back: its record stands just before what names the tag."""
    about, name, at = tuple(rows(bind.event, bind.ticket)), digest_name(bind.tag), bind.record
    own = [
        row.id
        for row in about
        if row.role is Role.BIND and row.names[0] == name and row.id[:2] == at[:2] and row.id.seq < at.seq
    ]
    return bool(own) and max(own) in taken_back(about)


def _first_tag(binds: Sequence[PresenceRow]) -> bytes | None:
    """Return the tag of the first bind of a ticket."""
    if not binds:
        return None
    return named_digest(min(binds, key=lambda row: (row.time_us, row.id)).names[0])


def _bind(row: PresenceRow) -> Bind:
    tag, code, ticket = row.names
    return Bind(
        named_digest(tag),
        named_digest(code),
        EventId(ticket.gate),
        TicketId(ticket.epoch),
        ProductId(ticket.seq),
        row.session,
        row.id,
        row.time_us,
    )


__all__ = [
    "Bind",
    "RowsOf",
    "Trouble",
    "is_given_back",
    "is_let_go",
    "of_tag",
    "replaces",
    "stands_for",
    "tag_of",
    "taken_back",
    "trouble_of",
]
