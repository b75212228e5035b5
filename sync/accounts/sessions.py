"""Sessions of people in browsers: kept at the centre, so that ending one ends it everywhere at once."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from sync.accounts import users
from sync.accounts.principal import Actor, Principal, Role
from sync.accounts.tables import membership, signed_in, user
from sync.web.api import Refused

TOKEN_BYTES = 32
IDLE_S = 4 * 3600
"""From doors to the last act nobody may touch the page."""
ABSOLUTE_S = 16 * 3600
"""An evening with setting up and taking down, and not the next day's."""
PER_USER_MAX = 20
"""A phone, a desk, a till; more are forgotten ones, and the oldest ends."""
TOKEN_CHARS_MAX = 64


def begin(connection: Connection, number: int, now_s: int, organization: int = 0, *, old: str = "") -> str:
    """Begin a session and return its token for the cookie; `old`, the one before it, ends.

    `organization` 0: the first one the user belongs to. Refused where they belong to none.
    """
    end(connection, old)
    mine = users.organizations(connection, number)
    if not mine or (organization and organization not in mine):
        raise Refused(403, "no_member", "You belong to no organization. Ask its owner to add you.")
    prune(connection, now_s)
    t = signed_in
    held = connection.execute(
        select(t.c.digest).where(t.c.user_id == number).order_by(t.c.begun_s.desc()).offset(PER_USER_MAX - 1)
    ).scalars()
    for digest in held.all():
        connection.execute(delete(t).where(t.c.digest == digest))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    connection.execute(
        insert(t).values(
            digest=digest_of(token),
            user_id=number,
            organization_id=organization or mine[0],
            begun_s=now_s,
            used_s=now_s,
        )
    )
    return token


def principal(connection: Connection, token: str, now_s: int) -> Principal | None:
    """Return who is signed in by a token; None where nobody is (any more)."""
    if not token or len(token) > TOKEN_CHARS_MAX:
        return None
    t = signed_in
    row = connection.execute(
        select(
            t.c.user_id, t.c.organization_id, t.c.begun_s, t.c.used_s,
            membership.c.role, user.c.name, user.c.disabled,
        )
        .join(user, user.c.id == t.c.user_id)
        .join(
            membership,
            (membership.c.user_id == t.c.user_id) & (membership.c.organization_id == t.c.organization_id),
        )
        .where(t.c.digest == digest_of(token))
    ).one_or_none()  # fmt: skip
    if row is None or row.disabled or _is_over(row.begun_s, row.used_s, now_s):
        return None
    return Principal(
        organization=row.organization_id,
        role=Role(row.role),
        actor=Actor("user", row.user_id, row.name),
        by_cookie=True,
    )


def used(connection: Connection, token: str, now_s: int) -> None:
    """Note that a session is used, which keeps it from being idle."""
    connection.execute(update(signed_in).where(signed_in.c.digest == digest_of(token)).values(used_s=now_s))


def end(connection: Connection, token: str) -> None:
    """End a session."""
    if token:
        connection.execute(delete(signed_in).where(signed_in.c.digest == digest_of(token)))


def end_others(connection: Connection, number: int, token: str) -> int:
    """End every session of a user but this one; return how many there were."""
    t = signed_in
    others = delete(t).where(t.c.user_id == number, t.c.digest != digest_of(token))
    return connection.execute(others).rowcount


class Session(NamedTuple):
    """One of a user's sessions. `is_this`: the one that asks."""

    begun_s: int
    used_s: int
    is_this: bool


def of_user(connection: Connection, number: int, token: str, now_s: int) -> list[Session]:
    """Return a user's sessions that are not over, the newest first."""
    t = signed_in
    found = connection.execute(
        select(t.c.digest, t.c.begun_s, t.c.used_s).where(t.c.user_id == number).order_by(t.c.begun_s.desc())
    )
    return [
        Session(row.begun_s, row.used_s, bytes(row.digest) == digest_of(token))
        for row in found
        if not _is_over(row.begun_s, row.used_s, now_s)
    ]


def prune(connection: Connection, now_s: int) -> None:
    """Remove sessions that are over."""
    t = signed_in
    connection.execute(delete(t).where((t.c.used_s < now_s - IDLE_S) | (t.c.begun_s < now_s - ABSOLUTE_S)))


def digest_of(token: str) -> bytes:
    """Return what is stored of a random token: 256 bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _is_over(begun_s: int, used_s: int, now_s: int) -> bool:
    return now_s - used_s > IDLE_S or now_s - begun_s > ABSOLUTE_S
