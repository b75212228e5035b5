"""Idempotency keys: a request that is sent again is done once, and answered the same.

Scope: who asks, which route, which key. The response is kept in the effect's own transaction, so there is never one
without the other; a refusal undoes both, and may be tried again.
"""

import msgspec
from sqlalchemy import Connection, delete, insert, select, text

from sync.accounts.tables import idempotency_key
from sync.web.api import Refused

KEPT_S = 48 * 3600
"""A till that was switched off over a night and a day still finds its answer."""
PRUNED_MAX = 100
"""Old keys removed with each new one: more than come in, and never a long statement."""

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
    t = idempotency_key
    old = select(t.c.principal, t.c.route, t.c.key).where(t.c.made_s < now_s - KEPT_S).limit(PRUNED_MAX)
    for row in connection.execute(old).all():
        connection.execute(
            delete(t).where(t.c.principal == row.principal, t.c.route == row.route, t.c.key == row.key)
        )
    connection.execute(
        insert(t).values(
            principal=scope[0], route=scope[1], key=scope[2],
            request=request, status=status, body=body, made_s=now_s,
        )
    )  # fmt: skip


def in_flight() -> Refused:
    """Return the refusal for a key whose first request is not answered yet."""
    return Refused(
        409,
        "in_flight",
        "The same Idempotency-Key is being worked on. Try again in a moment.",
        more={"retry_after_s": 1},
    )
