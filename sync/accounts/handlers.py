"""Accounts over the API: who am I, tokens, users, the log of who changed what."""

from typing import Annotated

import msgspec
from sqlalchemy import Connection

from sync.accounts import audit, owners, passwords, tokens, users
from sync.accounts.audit import Entry
from sync.accounts.principal import Actor, Role
from sync.accounts.tables import EMAIL_CHARS
from sync.accounts.tokens import Token
from sync.accounts.users import User
from sync.web.api import (
    NUMBER_MAX,
    Asked,
    Body,
    Name,
    Page,
    Paged,
    Refused,
    Route,
    Seconds,
    not_found,
    page_of,
    read_cursor,
)

_Email = Annotated[str, msgspec.Meta(min_length=3, max_length=EMAIL_CHARS)]
_Password = Annotated[str, msgspec.Meta(min_length=passwords.CHARS_MIN, max_length=passwords.CHARS_MAX)]


class Me(msgspec.Struct, frozen=True):
    """Who asks. `event` 0: for all events of the organization."""

    organization: int
    role: Role
    actor: Actor
    event: int


class NewToken(Body, frozen=True, kw_only=True):
    """What a token is for. `event` 0: for all events of the organization."""

    name: Name
    role: Role
    expires_s: Seconds
    event: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)] = 0


class TokenMade(msgspec.Struct, frozen=True):
    """A new token. `secret` is shown this once."""

    token: Token
    secret: str


class NewUser(Body, frozen=True, kw_only=True):
    """A new member of the organization."""

    email: _Email
    name: Name
    role: Role
    password: _Password


class UserChange(Body, frozen=True, kw_only=True):
    """What to change; what is not given stays."""

    role: Role | None = None
    disabled: bool | None = None


def routes() -> tuple[Route, ...]:
    """Return the routes of accounts."""
    owner = Role.OWNER
    return (
        Route(
            method="GET", path="/api/v1/me", handler=_me, answer=Me, anywhere=True,
            summary="Say who asks: organization, role, name",
        ),
        Route(
            method="GET", path="/api/v1/tokens", handler=_tokens, answer=Page[Token], query=Paged, role=owner,
            summary="List the organization's tokens",
        ),
        Route(
            method="POST", path="/api/v1/tokens", handler=_add_token, answer=TokenMade, body=NewToken, role=owner,
            writes=True, status=201, summary="Make a token; its secret is shown this once",
        ),
        Route(
            method="GET", path="/api/v1/tokens/{token}", handler=_token, answer=Token, role=owner,
            summary="Show a token",
        ),
        Route(
            method="DELETE", path="/api/v1/tokens/{token}", handler=_revoke, answer=None, role=owner, writes=True,
            status=204, summary="Revoke a token",
        ),
        Route(
            method="GET", path="/api/v1/users", handler=_users, answer=Page[User], query=Paged, role=owner,
            summary="List the organization's users",
        ),
        Route(
            method="POST", path="/api/v1/users", handler=_add_user, answer=User, body=NewUser, role=owner,
            writes=True, status=201, idempotent=True, summary="Add a user",
        ),
        Route(
            method="GET", path="/api/v1/users/{user}", handler=_user, answer=User, role=owner, summary="Show a user"
        ),
        Route(
            method="PATCH", path="/api/v1/users/{user}", handler=_change_user, answer=User, body=UserChange,
            role=owner, writes=True, summary="Change a user's role, shut them out or let them in again",
        ),
        Route(
            method="GET", path="/api/v1/audit", handler=_audit, answer=Page[Entry], query=Paged,
            role=Role.ORGANIZER, summary="List who changed what, the newest first",
        ),
    )  # fmt: skip


def _me(_connection: Connection, asked: Asked) -> Me:
    who = asked.principal
    return Me(who.organization, who.role, who.actor, who.event)


def _tokens(connection: Connection, asked: Asked) -> Page[Token]:
    at = read_cursor(asked.query.cursor, int)
    limit = asked.query.limit
    found = tokens.of_organization(connection, asked.principal.organization, at[0] if at else 0, limit + 1)
    return page_of(found, limit, lambda one: (one.id,))


def _token(connection: Connection, asked: Asked) -> Token:
    found = tokens.one(connection, asked.principal.organization, asked.path["token"])
    if found is None:
        raise not_found("token")
    return found


def _add_token(connection: Connection, asked: Asked) -> TokenMade:
    wanted: NewToken = asked.body
    who = asked.principal
    if not asked.now_s < wanted.expires_s <= asked.now_s + tokens.LIFE_S_MAX:
        raise Refused(
            422, "bad_expiry", f"A token ends in the future, within {tokens.LIFE_S_MAX // 86_400} days."
        )
    if wanted.event and not owners.event(connection, who.organization, wanted.event):
        raise Refused(422, "no_event", "There is no such event.")
    number, secret = tokens.add(
        connection, who.organization, wanted.name, wanted.role, wanted.expires_s, asked.now_s, wanted.event
    )
    detail = {"role": wanted.role.value, "event": wanted.event, "expires_s": wanted.expires_s}
    audit.noted(connection, asked, "token.add", f"token {number}", detail)
    made = tokens.one(connection, who.organization, number)
    assert made is not None, "made in this transaction"
    return TokenMade(made, secret)


def _revoke(connection: Connection, asked: Asked) -> None:
    found = _token(connection, asked)
    if found.revoked_s is None:
        tokens.revoke(connection, asked.principal.organization, found.id, asked.now_s)
        audit.noted(connection, asked, "token.revoke", f"token {found.id}")


def _users(connection: Connection, asked: Asked) -> Page[User]:
    at = read_cursor(asked.query.cursor, int)
    limit = asked.query.limit
    found = users.members(connection, asked.principal.organization, at[0] if at else 0, limit + 1)
    return page_of(found, limit, lambda one: (one.id,))


def _user(connection: Connection, asked: Asked) -> User:
    found = users.member(connection, asked.principal.organization, asked.path["user"])
    if found is None:
        raise not_found("user")
    return found


def _add_user(connection: Connection, asked: Asked) -> User:
    wanted: NewUser = asked.body
    organization = asked.principal.organization
    number = users.add(
        connection, organization, wanted.email, wanted.name, wanted.role, wanted.password, asked.now_s
    )
    audit.noted(connection, asked, "user.add", f"user {number}", {"role": wanted.role.value})
    made = users.member(connection, organization, number)
    assert made is not None, "made in this transaction"
    return made


def _change_user(connection: Connection, asked: Asked) -> User:
    wanted: UserChange = asked.body
    organization = asked.principal.organization
    found = _user(connection, asked)
    if wanted.role is not None:
        users.set_role(connection, organization, found.id, wanted.role)
    if wanted.disabled is not None:
        users.set_disabled(connection, organization, found.id, disabled=wanted.disabled)
    changed = {"role": wanted.role and wanted.role.value, "disabled": wanted.disabled}
    audit.noted(connection, asked, "user.change", f"user {found.id}", changed)
    return _user(connection, asked)


def _audit(connection: Connection, asked: Asked) -> Page[Entry]:
    at = read_cursor(asked.query.cursor, int)
    limit = asked.query.limit
    found = audit.entries(connection, asked.principal.organization, at[0] if at else None, limit + 1)
    return page_of(found, limit, lambda one: (one.id,))
