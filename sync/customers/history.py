"""What happened to a customer: their tickets and tags at every gate, and who changed what of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from admission.ids import EventId, TicketId
from sync.accounts import audit
from sync.board import timeline
from sync.events import tables as programme
from sync.orders.tables import order as orders
from sync.web.words import Words

SHOWN_MAX = 300
"""The newest; who has more is asked about one ticket, which has a page of its own."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a customer's history. `at_us` by the clock of who wrote it down; `path`: where to read on."""

    at_us: int
    timezone: str
    tone: str
    said: str
    about: str
    path: str
    who: str
    notes: tuple[str, ...] = ()


def at_gates(connection: Connection, tickets: Sequence[tuple[int, int]], words: Words) -> list[Happening]:
    """Return what gates recorded of these tickets (event, number); a tag's scans name the ticket it stands for."""
    by_event: dict[int, list[TicketId]] = {}
    for event, ticket in tickets:
        by_event.setdefault(event, []).append(TicketId(ticket))
    e = programme.event.c
    found: list[Happening] = []
    for row in connection.execute(select(e.id, e.group_id, e.timezone).where(e.id.in_(by_event))).all():
        for step in timeline.steps_of(connection, row.group_id, EventId(row.id), by_event[row.id], words):
            place = f"{step.gate} · {step.zone}" if step.zone else step.gate
            found.append(
                Happening(
                    step.at_us, row.timezone, step.tone, step.said, f"{words('ticket')} {step.ticket}",
                    f"/events/{row.id}/tickets/{step.ticket}/way", place, step.notes,
                )
            )  # fmt: skip
    return found


def changes(
    connection: Connection, organization: int, customer: Any, timezone: str, words: Words
) -> list[Happening]:
    """Return who changed what of a customer (as the API shows one), their tickets, tags and orders."""
    o = orders.c
    bought = connection.execute(
        select(o.id, o.number).where(o.customer_id == customer.id, o.organization_id == organization)
    ).all()
    subjects = {f"customer {customer.id}": ("", "")}
    for one in customer.tickets:
        about = f"{words('ticket')} {one.ticket}"
        subjects[f"ticket {one.event}/{one.ticket}"] = (about, f"/events/{one.event}/tickets/{one.ticket}")
    for one in customer.tags:
        subjects[f"tag {one.id}"] = (f"{words('kind_tag')} {one.uid}", "")
    for order in bought:
        subjects[f"order {order.id}"] = (f"{words('order')} {order.number}", f"/orders/{order.id}")
    found = []
    for entry in audit.about(connection, organization, tuple(subjects), SHOWN_MAX):
        about, path = subjects[entry.subject]
        key = "done_" + entry.what.replace(".", "_")
        said = words(key) if words.has(key) else entry.what
        who = words("centre") if entry.actor.kind == "system" else entry.actor.name
        found.append(Happening(entry.at_s * 1_000_000, timezone, "note", said, about, path, who))
    return found


def newest(happenings: list[Happening]) -> list[Happening]:
    """Return the newest of them, newest first."""
    return sorted(happenings, key=lambda one: one.at_us, reverse=True)[:SHOWN_MAX]
