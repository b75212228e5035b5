"""Idempotency keys: a request that is sent again is done once, and answered the same.

Scope: who asks, which route, which key. The response is kept in the effect's own transaction, so there is never one
without the other; a refusal undoes both, and may be tried again.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, text

from sync.accounts.tables import idempotency_key
from sync.store.database import Database
from sync.web.api import Refused

KEPT_S = 48 * 3600
"""A till that was switched off over a night and a day still finds its answer."""
PRUNED_MAX = 100
"""Old keys removed with each new one: more than come in, and never a long statement."""

STEPS_MAX = 10
"""Transactions of one round, `PRUNED_MAX` each; the rest goes a minute later."""

Scope = tuple[str, str, str]


class Stored(msgspec.Struct, frozen=True):
    """What was answered."""

    status: int
    body: bytes


def stored(connection: Connection, scope: Scope, request: bytes) -> Stored | None:
    """Return what this key was answered before, if it was; within the effect's transaction.

    Refused where the same key came with another request (422), or its first one is still under way elsewhere (409).
    """
    if connection.dialect.name == "postgresql":
        locked = connection.execute(
            text("SELECT pg_try_advisory_xact_lock(hashtextextended(:scope, 1))"), {"scope": "\n".join(scope)}
        ).scalar()
        if not locked:
            raise in_flight()
    t = idempotency_key
    row = connection.execute(
        select(t.c.request, t.c.status, t.c.body).where(
            t.c.principal == scope[0], t.c.route == scope[1], t.c.key == scope[2]
        )
    ).one_or_none()
    if row is None:
        return None
    if bytes(row.request) != request:
        raise Refused(
            422, "key_reused", "This Idempotency-Key came with another request before. Make a new key."
        )
    return Stored(row.status, bytes(row.body))


def keep(connection: Connection, scope: Scope, request: bytes, status: int, body: bytes, now_s: int) -> None:
    """Keep what a key was answered, and forget some that are older than `KEPT_S`."""
    _forget_old(connection, now_s)
    connection.execute(
        insert(idempotency_key).values(
            principal=scope[0], route=scope[1], key=scope[2],
            request=request, status=status, body=body, made_s=now_s,
        )
    )  # fmt: skip


def forget_due(database: Database, now_s: int) -> int:
    """Forget every answer that is older than `KEPT_S`, also where no new ones come; returns how many. Blocks."""
    total = 0
    for _ in range(STEPS_MAX):
        done = database.transact(partial(_forget_old, now_s=now_s))
        total += done
        if done < PRUNED_MAX:
            break
    return total


def _forget_old(connection: Connection, now_s: int) -> int:
    t = idempotency_key
    old = select(t.c.principal, t.c.route, t.c.key).where(t.c.made_s < now_s - KEPT_S).limit(PRUNED_MAX)
    return _forget(connection, connection.execute(old).all())


def forget_answers(
    connection: Connection, organization: int, routes: Collection[str], is_about: Callable[[bytes], bool]
) -> int:
    """Forget what an organization was answered on these routes, where `is_about` says so of the body; returns how many.

    Whoever sends such a request again is not answered from memory: it is done anew, or refused as done already.
    """
    t = idempotency_key
    wanted = select(t.c.principal, t.c.route, t.c.key, t.c.body).where(
        t.c.principal.like(f"%:{organization}"), t.c.route.in_(routes)
    )
    return _forget(connection, [row for row in connection.execute(wanted) if is_about(bytes(row.body))])


def _forget(connection: Connection, rows: Sequence[Any]) -> int:
    t = idempotency_key
    for row in rows:
        connection.execute(
            delete(t).where(t.c.principal == row.principal, t.c.route == row.route, t.c.key == row.key)
        )
    return len(rows)


def in_flight() -> Refused:
    """Return the refusal for a key whose first request is not answered yet."""
    return Refused(
        409,
        "in_flight",
        "The same Idempotency-Key is being worked on. Try again in a moment.",
        more={"retry_after_s": 1},
    )
