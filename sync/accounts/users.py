"""Users and their memberships. One person may belong to several organizations, with a role in each."""

import re

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from sync.accounts import passwords, totp
from sync.accounts.principal import Role
from sync.accounts.tables import EMAIL_CHARS, membership, signed_in, user
from sync.keys import VenueKeys
from sync.store.schema import next_id, queue
from sync.web.api import Refused

_EMAIL = re.compile(r"[^\s@\"<>(),:;\\]+@[^\s@\"<>(),:;\\]+")
"""Enough to catch a slip; only a mail proves that an address is one."""


class User(msgspec.Struct, frozen=True):
    """A member of an organization."""

    id: int
    email: str
    name: str
    role: Role
    disabled: bool
    has_totp: bool


def plain_email(typed: str) -> str:
    """Return an e-mail as it is stored; Refused where it is none."""
    email = typed.strip().lower()
    if len(email) > EMAIL_CHARS or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise Refused(422, "bad_email", "This is no e-mail address.")
    return email


def add(
    connection: Connection, organization: int, email: str, name: str, role: Role, password: str, now_s: int
) -> int:
    """Make a user and a member of an organization; return the number.

    Refused for an e-mail that is in use, a weak password, or the role of a device, which is for tokens.
    Blocks for some 30 ms: where a transaction must be short, hash before and use `add_hashed`.
    """
    checked(password, email)
    return add_hashed(connection, organization, email, name, role, passwords.hashed(password), now_s)


def add_hashed(
    connection: Connection, organization: int, email: str, name: str, role: Role, stored: str, now_s: int
) -> int:
    """Make a user from a password's hash, as `add` does."""
    email = plain_email(email)
    _for_people(role)
    number = next_id(connection, user.c.id)
    if connection.execute(select(user.c.id).where(user.c.email == email)).first():
        raise Refused(
            409, "email_taken", "Somebody has this e-mail already. Take another, or set a new password."
        )
    connection.execute(
        insert(user).values(id=number, email=email, name=name, password=stored, disabled=False, made_s=now_s)
    )
    connection.execute(
        insert(membership).values(user_id=number, organization_id=organization, role=role.value)
    )
    return number


def checked(password: str, email: str) -> None:
    """Refuse a password that is too easy."""
    fault = passwords.fault(password, email)
    if fault:
        raise Refused(422, "weak_password", fault)


def set_password(connection: Connection, number: int, stored: str) -> None:
    """Store a new password's hash and end all sessions: whoever knew the old one is out."""
    connection.execute(update(user).where(user.c.id == number).values(password=stored))
    connection.execute(delete(signed_in).where(signed_in.c.user_id == number))


def set_role(connection: Connection, organization: int, number: int, role: Role) -> None:
    """Change a member's role. Refused where no owner would be left."""
    _for_people(role)
    _one_after_the_other(connection, organization)
    connection.execute(
        update(membership)
        .where(membership.c.user_id == number, membership.c.organization_id == organization)
        .values(role=role.value)
    )
    _owner_left(connection, organization)


def set_disabled(connection: Connection, organization: int, number: int, *, disabled: bool) -> None:
    """Shut a user out, or let them in again; sessions end at once. Refused where no owner would be left."""
    _one_after_the_other(connection, organization)
    connection.execute(update(user).where(user.c.id == number).values(disabled=disabled))
    if disabled:
        connection.execute(delete(signed_in).where(signed_in.c.user_id == number))
    _owner_left(connection, organization)


def set_totp(connection: Connection, keys: VenueKeys, number: int, secret: str, used: int = 0) -> None:
    """Ask a user for codes of this secret from now on. `used`: the step that proved that their phone has it."""
    stored = totp.sealed(secret, keys, number)
    connection.execute(update(user).where(user.c.id == number).values(totp_secret=stored, totp_used=used))


def drop_totp(connection: Connection, number: int) -> None:
    """Ask a user for no code any more."""
    connection.execute(update(user).where(user.c.id == number).values(totp_secret=None))


def members(connection: Connection, organization: int, after: int = 0, limit: int = 1000) -> list[User]:
    """Return an organization's members by number."""
    return [
        _user(row) for row in connection.execute(_members(organization).where(user.c.id > after).limit(limit))
    ]


def member(connection: Connection, organization: int, number: int) -> User | None:
    """Return one member; None where there is none of that number in this organization."""
    row = connection.execute(_members(organization).where(user.c.id == number)).one_or_none()
    return None if row is None else _user(row)


def by_email(connection: Connection, email: str) -> int | None:
    """Return a user's number."""
    return connection.execute(select(user.c.id).where(user.c.email == plain_email(email))).scalar()


def email_of(connection: Connection, number: int) -> str:
    """Return a user's e-mail."""
    return str(connection.execute(select(user.c.email).where(user.c.id == number)).scalar_one())


def has_totp(connection: Connection, number: int) -> bool:
    """Whether a user is asked for codes of an authenticator app."""
    found = connection.execute(select(user.c.totp_secret).where(user.c.id == number)).scalar_one()
    return found is not None


def organizations(connection: Connection, number: int) -> tuple[int, ...]:
    """Return the organizations somebody belongs to, in order."""
    t = membership
    found = connection.execute(
        select(t.c.organization_id).where(t.c.user_id == number).order_by(t.c.organization_id)
    )
    return tuple(found.scalars())


def is_owned(connection: Connection, organization: int, number: int) -> bool:
    """Whether a user belongs to an organization."""
    return organization in organizations(connection, number)


def _members(organization: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - Select of eight columns says no more
    return (
        select(
            user.c.id, user.c.email, user.c.name, membership.c.role, user.c.disabled,
            user.c.totp_secret.is_not(None).label("has_totp"),
        )
        .join(membership, membership.c.user_id == user.c.id)
        .where(membership.c.organization_id == organization)
        .order_by(user.c.id)
    )  # fmt: skip


def _user(row) -> User:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a row of `_members`
    return User(row.id, row.email, row.name, Role(row.role), bool(row.disabled), bool(row.has_totp))


def _for_people(role: Role) -> None:
    if role is Role.DEVICE:
        raise Refused(422, "bad_role", "A device has a token, no user. Make a token with this role.")


def _one_after_the_other(connection: Connection, organization: int) -> None:
    """Keep others from counting owners as they were: two who shut each other out at once would leave none."""
    queue(connection, f"owners of {organization}")


def _owner_left(connection: Connection, organization: int) -> None:
    owners = [one for one in members(connection, organization) if one.role is Role.OWNER and not one.disabled]
    if not owners:
        raise Refused(
            409, "last_owner", "An organization keeps one owner who can sign in. Make another owner first."
        )
