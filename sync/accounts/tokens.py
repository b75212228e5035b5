"""API tokens: of one organization, with one role, perhaps for one event only; shown once, stored as a digest."""

import secrets
from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from sync.accounts.principal import Actor, Principal, Role
from sync.accounts.sessions import TOKEN_BYTES, digest_of
from sync.accounts.tables import api_token
from sync.store.keyed import KEYS_MAX, Keyed
from sync.store.schema import next_id
from sync.store.together import Round

PREFIX = "ght_"
"""So that a leaked one is recognized, by people and by scanners of repositories."""
CHARS_MAX = 100
LIFE_S_MAX = 2 * 366 * 86_400
USED_STEP_S = 60
"""Last use is written down once a minute."""
_COLUMNS = ("digest", "id", "organization_id", "name", "role", "event_id", "expires_s", "revoked_s")
_BY_DIGEST = Keyed(f"SELECT {', '.join(_COLUMNS)} FROM api_token WHERE digest IN (:keys)", *_COLUMNS)  # noqa: S608 - fixed names


class Token(msgspec.Struct, frozen=True):
    """A token without its secret. `event` 0: for all events."""

    id: int
    name: str
    role: Role
    event: int
    made_s: int
    expires_s: int
    revoked_s: int | None
    used_s: int | None


def add(
    connection: Connection,
    organization: int,
    name: str,
    role: Role,
    expires_s: int,
    now_s: int,
    event: int = 0,
) -> tuple[int, str]:
    """Make a token; return its number and the secret, which is not seen again."""
    number = next_id(connection, api_token.c.id)
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    connection.execute(
        insert(api_token).values(
            id=number, organization_id=organization, name=name, role=role.value, event_id=event,
            digest=digest_of(secret), made_s=now_s, expires_s=expires_s,
        )
    )  # fmt: skip
    return number, secret


def principal(connection: Connection, secret: str, now_s: int) -> Principal | None:
    """Return whom a token speaks for; None for one that is unknown, expired or revoked."""
    digest = sent_digest(secret)
    if digest is None:
        return None
    row = connection.execute(select(api_token).where(api_token.c.digest == digest)).one_or_none()
    return None if row is None or _is_over(row, now_s) else _principal(row)


def sent_digest(secret: str) -> bytes | None:
    """Return what a token that was sent is looked up by; None for what is no token of ours."""
    return digest_of(secret) if secret.startswith(PREFIX) and len(secret) <= CHARS_MAX else None


def ask(round_: Round, digests: Collection[bytes], now_s: int, found: dict[bytes, Principal]) -> None:
    """Ask whom tokens speak for, by digest; those neither expired nor revoked are put in `found`."""

    def take(rows: list[Any]) -> None:
        found.update({bytes(row.digest): _principal(row) for row in rows if not _is_over(row, now_s)})

    some = list(digests)
    for start in range(0, len(some), KEYS_MAX):
        round_.add(_BY_DIGEST.ask(round_.connection, some[start : start + KEYS_MAX]), take)


def _is_over(row: Any, now_s: int) -> bool:
    return row.revoked_s is not None or int(row.expires_s) <= now_s


def _principal(row: Any) -> Principal:
    return Principal(
        organization=row.organization_id,
        role=Role(row.role),
        actor=Actor("token", row.id, row.name),
        event=row.event_id,
    )


def used(connection: Connection, secret: str, now_s: int) -> None:
    """Note when a token was used last."""
    connection.execute(update(api_token).where(api_token.c.digest == digest_of(secret)).values(used_s=now_s))


def revoke(connection: Connection, organization: int, number: int, now_s: int) -> None:
    """End a token, once; a second time changes nothing."""
    t = api_token
    connection.execute(
        update(t)
        .where(t.c.id == number, t.c.organization_id == organization, t.c.revoked_s.is_(None))
        .values(revoked_s=now_s)
    )


def of_organization(connection: Connection, organization: int, after: int, limit: int) -> list[Token]:
    """Return tokens by number."""
    t = api_token
    found = connection.execute(
        select(t).where(t.c.organization_id == organization, t.c.id > after).order_by(t.c.id).limit(limit)
    )
    return [
        Token(
            row.id,
            row.name,
            Role(row.role),
            row.event_id,
            row.made_s,
            row.expires_s,
            row.revoked_s,
            row.used_s,
        )
        for row in found
    ]


def one(connection: Connection, organization: int, number: int) -> Token | None:
    """Return a token; None where there is none of that number in this organization."""
    found = of_organization(connection, organization, number - 1, 1)
    return found[0] if found and found[0].id == number else None
