"""The list a gate is told: built from the tables by one function, the same bytes for the same version."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from sqlalchemy import Connection, select, text

from admission.digests import ticket_digest, ticket_digests
from admission.entitlements import Attention, CredentialStanding, Standing
from admission.ids import EventId, GateId, HolderId, ProductId, SessionId, TicketId, ZoneId
from sync.events import rows as events
from sync.events import tables
from sync.gates.group_settings import settings_of
from sync.store.schema import unsigned
from sync.wire.list_blocks import Plain, Row
from sync.wire.lists import NO_KEY, EventInfo, ListHead, ListRow, ListWriter, Profile, version_tag

ROWS_AT_A_TIME = 4_096
"""Rows fetched at a time: a million of them at once would take the centre's memory."""

_OF_TICKET = "product, zones, session, not_before, not_after, admits, home_gate, attention"
_TICKETS = text(f"SELECT id, holder, standing, {_OF_TICKET} FROM ticket WHERE event_id = :event ORDER BY id")  # noqa: S608 - fixed names
# Walked beside the tickets: a join would look each credential up where its digest lies, all over the table. The sum keeps
# SQLite from an index that does the same; sorting goes to a file where there is no room in its cache.
_OWN = text("""
SELECT ticket, digest, standing FROM credential WHERE event_id = :event AND kind = 'tk1' ORDER BY ticket + 0, digest
""")
# In the order of the table: what sorts by something else first keeps them all.
_OTHERS = text(f"""
SELECT c.digest, c.ticket, t.holder, t.standing, c.standing, {_OF_TICKET}
FROM credential c JOIN ticket t ON t.event_id = c.event_id AND t.id = c.ticket
WHERE c.event_id = :event AND c.kind <> 'tk1' ORDER BY c.digest, c.ticket
""")  # noqa: S608 - fixed names


def seals(connection: Connection, group: int) -> tuple[EventInfo, ...]:
    """Return every event of a group with the seal its list was cut at."""
    t = tables.event
    found = connection.execute(select(t).where(t.c.group_id == group).order_by(t.c.id))
    return tuple(
        EventInfo(EventId(row.id), row.name, row.generation, row.version, row.sealed_at_s, row.timezone)
        for row in found
    )


def content(connection: Connection, group: int) -> tuple[ListHead, list[ListRow]]:
    """Return all that a list says, from one consistent state of the tables. For small lists."""
    found = _Rows(connection, group)
    own = [ListRow(ticket_digest(row[0], row[1], found.key), *_typed(row)) for row in found.own()]
    given = [ListRow(row[0], *_typed(row[1:])) for row in found.given()]
    return _head(connection, group, found), sorted(own + given)


def write_list(connection: Connection, group: int, file: BinaryIO, key: Ed25519PrivateKey) -> ListHead:
    """Write a group's signed list file from one consistent state of the tables, piece by piece; returns its head."""
    found = _Rows(connection, group)
    writer = ListWriter(file, key)
    writer.rows(found.own())
    writer.rows_with_digests(found.given())
    head = _head(connection, group, found)
    writer.end(head)
    return head


def tag_of(told: tuple[EventInfo, ...], group: int) -> str:
    """Return the ETag of the list cut at these seals."""
    return version_tag(group, ((one.id, one.generation, one.version) for one in told))


def _head(connection: Connection, group: int, found: "_Rows") -> ListHead:
    return replace(
        settings_of(connection, group),
        events=seals(connection, group),
        profiles=found.profiles(),
        digest_key=found.key,
    )


class _Rows:
    """A group's rows: `own` to its end, then `given`; then `profiles`, in an order that only the content decides."""

    def __init__(self, connection: Connection, group: int) -> None:
        self._connection = connection
        self.key = events.digest_key(connection, group) or NO_KEY
        self._events = [one.id for one in seals(connection, group)]
        self._shared: dict[tuple[Any, ...], int] = {}
        self._odd: list[Row] = []
        """Rows of tickets whose digest does not follow from their number: made with another key, or imported."""

    def own(self) -> Iterator[Plain]:
        for event in self._events:
            yield from self._own_of(event)

    def _own_of(self, event: EventId) -> Iterator[Plain]:
        shared, digest_of = self._shared, ticket_digests(self.key)
        tickets = self._found(_TICKETS, event)
        row = next(tickets, None)
        for ticket, digest, credential in self._found(_OWN, event):
            while row is not None and row[0] < ticket:
                row = next(tickets, None)
            if row is None or row[0] != ticket:
                continue  # it stands for no ticket
            number = unsigned(ticket)
            plain = (
                event,
                number,
                shared.setdefault(row[3:], len(shared)),
                unsigned(row[1]),
                row[2],
                credential,
            )
            if digest == digest_of(event, number):
                yield plain
            else:
                self._odd.append((bytes(digest), *plain))

    def given(self) -> Iterator[Row]:
        shared = self._shared
        yield from self._odd
        for event in self._events:
            for digest, ticket, holder, standing, credential, *rest in self._found(_OTHERS, event):
                profile = shared.setdefault(tuple(rest), len(shared))
                yield bytes(digest), event, unsigned(ticket), profile, unsigned(holder), standing, credential

    def profiles(self) -> tuple[Profile, ...]:
        return tuple(_profile(*one) for one in self._shared)

    def _found(self, wanted: Any, event: EventId) -> Iterator[Any]:
        # For this statement only: options of the connection would stay with it. And who stops early leaves no cursor
        # open: PostgreSQL's is the server's.
        streamed = {"yield_per": ROWS_AT_A_TIME}
        with self._connection.execute(wanted, {"event": event}, execution_options=streamed) as result:
            for some in result.partitions(ROWS_AT_A_TIME):
                yield from some


def _typed(row: Plain) -> tuple[EventId, TicketId, int, HolderId, Standing, CredentialStanding]:
    event, ticket, profile, holder, standing, credential = row
    return (
        EventId(event),
        TicketId(ticket),
        profile,
        HolderId(holder),
        Standing(standing),
        CredentialStanding(credential),
    )


def _profile(
    product: int,
    zones: str,
    session: int,
    not_before: int,
    not_after: int,
    admits: int,
    home_gate: int,
    attention: int,
) -> Profile:
    return Profile(
        product=ProductId(product),
        zones=tuple(ZoneId(number) for number in events.numbers(zones)),
        session=SessionId(session),
        not_before=not_before,
        not_after=not_after,
        admits=admits,
        home_gate=GateId(home_gate),
        attention=Attention(attention),
    )
