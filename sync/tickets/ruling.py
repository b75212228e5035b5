"""One act of somebody on what is sold: who, when, in which organization; one transaction, one version of each list.

Rules run within a writing transaction and take their places in queues in one order, so that two never wait for each
other: ids, then order, customer, pass and tag rows, then the events' counter rows (`sync.tickets.changes`), and only
then what belongs to these events. Nothing is written before the last refusal is judged, or the caller undoes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from admission.entitlements import Standing
from admission.ids import EventId, TicketId
from sync.accounts import audit
from sync.accounts.principal import Actor
from sync.events import tables as programme
from sync.keys import VenueKeys
from sync.store.schema import signed
from sync.tickets import changes, tables
from sync.web.api import Asked, Refused, not_found

TicketRef = tuple[EventId, TicketId]
EVENTS_MAX = 64
"""Events one act may change: each is a queue to stand in."""


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, and where it is written."""

    connection: Connection
    organization: int
    actor: Actor
    now_s: int
    keys: VenueKeys

    @classmethod
    def of(cls, connection: Connection, asked: Asked) -> "Act":
        """Return the act that a request asks for."""
        who = asked.principal
        return cls(connection, who.organization, who.actor, asked.now_s, asked.keys)

    def note(self, what: str, subject: str, detail: Mapping[str, object] | str = "") -> None:
        """Write it down in the audit log. `subject` as in "ticket 7/1031"; numbers only, nobody's name."""
        audit.note(self.connection, self.actor, self.organization, what, subject, detail, now_s=self.now_s)

    def owned(self, events: Iterable[EventId]) -> tuple[EventId, ...]:
        """Return the events, each once and in order; Refused where one is not of this organization."""
        wanted = tuple(sorted(set(events)))
        if len(wanted) > EVENTS_MAX:
            raise Refused(
                422, "too_many_events", f"At most {EVENTS_MAX} events may change at once. Do it in parts."
            )
        e, g = programme.event.c, programme.event_group.c
        found = self.connection.execute(
            select(e.id)
            .join(programme.event_group, g.id == e.group_id)
            .where(e.id.in_(wanted), g.organization_id == self.organization)
        )
        if len(found.all()) != len(wanted):
            raise not_found("event")
        return wanted

    @contextmanager
    def changing(self, events: Iterable[EventId]) -> Iterator[None]:
        """Change what the lists of these events say: one version each, stamped at the end."""
        with changes.change(self.connection, self.owned(events), self.now_s):
            yield


def ticket_of(connection: Connection, ref: TicketRef) -> Any:
    """Return a ticket's row; Refused where there is none."""
    t = tables.ticket.c
    found = connection.execute(
        select(tables.ticket).where(t.event_id == ref[0], t.id == signed(ref[1]))
    ).one_or_none()
    if found is None:
        raise not_found("ticket")
    return found


def set_ticket(connection: Connection, ref: TicketRef, **values: object) -> None:
    """Change a ticket's row, within `Act.changing`."""
    t = tables.ticket.c
    connection.execute(
        update(tables.ticket)
        .where(t.event_id == ref[0], t.id == signed(ref[1]))
        .values(version=None, **values)
    )


def set_bits(connection: Connection, ref: TicketRef, sets: Standing, clears: Standing) -> None:
    """Set and clear parts of a ticket's standing, within `Act.changing`."""
    before = Standing(ticket_of(connection, ref).standing)
    after = before & ~clears | sets
    if after != before:
        set_ticket(connection, ref, standing=int(after))


def subject_of(ref: TicketRef) -> str:
    """Return a ticket as the audit log names it."""
    return f"ticket {ref[0]}/{ref[1]}"
