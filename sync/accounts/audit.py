"""Who changed what: a log that only grows. No personal data goes in: subjects are numbers, details are what changed."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from sync.accounts.principal import Actor
from sync.accounts.tables import NAME_CHARS, audit_log
from sync.web.api import Asked

DETAIL_CHARS_MAX = 4000


class Entry(msgspec.Struct, frozen=True):
    """One change, as the API shows it. `subject`: what was changed, as in "ticket 7/1031"."""

    id: int
    at_s: int
    actor: Actor
    what: str
    subject: str
    detail: str


def note(
    connection: Connection,
    actor: Actor,
    organization: int,
    what: str,
    subject: str,
    detail: Mapping[str, object] | str = "",
    now_s: int = 0,
) -> None:
    """Write down a change, in its own transaction. `what`: object and verb, as in "ticket.cancel"; 0: now."""
    words = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    connection.execute(
        insert(audit_log).values(
            at_s=now_s or int(time.time()),
            organization_id=organization,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name[:NAME_CHARS],
            what=what,
            subject=subject[:200],
            detail=words[:DETAIL_CHARS_MAX],
        )
    )


def noted(
    connection: Connection, asked: Asked, what: str, subject: str, detail: Mapping[str, object] | str = ""
) -> None:
    """Write down a change that somebody asked for."""
    who = asked.principal
    note(connection, who.actor, who.organization, what, subject, detail, asked.now_s)


def entries(connection: Connection, organization: int, before: int | None, limit: int) -> list[Entry]:
    """Return the newest changes of an organization, older than entry `before`."""
    t = audit_log
    wanted = select(t).where(t.c.organization_id == organization).order_by(t.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(t.c.id < before)
    return [_entry(row) for row in connection.execute(wanted)]


def about(connection: Connection, organization: int, subjects: Sequence[str], limit: int) -> list[Entry]:
    """Return the newest changes of some things of an organization, newest first."""
    t = audit_log
    wanted = select(t).where(t.c.organization_id == organization, t.c.subject.in_(subjects))
    return [_entry(row) for row in connection.execute(wanted.order_by(t.c.id.desc()).limit(limit))]


def _entry(row: Any) -> Entry:
    actor = Actor(row.actor_kind, row.actor_id, row.actor_name)
    return Entry(row.id, row.at_s, actor, row.what, row.subject, row.detail)
