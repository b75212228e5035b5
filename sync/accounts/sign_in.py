"""Signing in: e-mail, password, and a code where the user asked for one. An unknown e-mail takes as long as a wrong password."""

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, select, update

from sync.accounts import audit, lockout, passwords, sessions, totp, users
from sync.accounts.principal import Actor
from sync.accounts.tables import EMAIL_CHARS, user
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.api import Refused

PASSWORD_CHARS_MAX = 1000
BUSY_RETRY_S = 2


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed on the page. `address`: of the browser, "" where unknown; `old`: token of a session before."""

    email: str
    password: str
    code: str = ""
    address: str = ""
    old: str = ""


class _Found(msgspec.Struct, frozen=True):
    id: int
    name: str
    password: str
    totp_secret: bytes | None
    totp_used: int


class SignIn:
    """Signs people in. `close` it when done."""

    def __init__(self, database: Database, keys: VenueKeys, now_s: Callable[[], int]) -> None:
        self._database, self._keys, self._now_s = database, keys, now_s
        self._checker = passwords.Checker()

    def close(self) -> None:
        """End the threads that check passwords."""
        self._checker.close()

    async def sign_in(self, tried: Tried) -> str:
        """Return the token of a new session, for the cookie.

        Refused: 401 `wrong_sign_in`, or `code_needed` where only the code is missing; 429 with `retry_after_s` after
        too many tries; 503 while too many sign in at a time.
        """
        now_s = self._now_s()
        email = tried.email.replace("\0", "").strip().lower()[: EMAIL_CHARS + 1]
        wait_s = await self._database.write(
            lambda connection: lockout.attempt(connection, email, tried.address, now_s)
        )
        if wait_s:
            raise Refused(
                429, "wait", f"Too many wrong tries. Wait {wait_s} seconds.", more={"retry_after_s": wait_s}
            )
        found = await self._database.read(lambda connection: _find(connection, email))
        stored = passwords.NOBODYS if found is None else found.password
        try:
            fits = await self._checker.matches(tried.password[:PASSWORD_CHARS_MAX], stored)
        except passwords.Busy as busy:
            more = {"retry_after_s": BUSY_RETRY_S}
            raise Refused(
                503, "busy", "Many people sign in just now. Try again in a moment.", more=more
            ) from busy
        if found is None or not fits:
            raise _wrong()
        if found.totp_secret is not None and not tried.code.strip():
            # Only this try is taken back: whoever has the password must not get tries at the code for it.
            await self._database.write(lambda connection: lockout.took_back(connection, email, tried.address))
            raise Refused(401, "code_needed", "Type the code of your authenticator app.")
        return await self._database.write(
            lambda connection: self._admit(connection, found, tried, email, now_s)
        )

    def _admit(self, connection: Connection, found: _Found, tried: Tried, email: str, now_s: int) -> str:
        """Begin the session of somebody whose password fits."""
        if found.totp_secret is not None:
            secret = totp.opened(found.totp_secret, self._keys, found.id)
            step = None if secret is None else totp.step_of(secret, tried.code, found.totp_used, now_s)
            if step is None:
                raise _wrong()
            taken = connection.execute(
                update(user).where(user.c.id == found.id, user.c.totp_used < step).values(totp_used=step)
            )
            if not taken.rowcount:  # the same code twice at a time
                raise _wrong()
        lockout.succeeded(connection, email, tried.address)
        token = sessions.begin(connection, found.id, now_s, old=tried.old)
        for organization in users.organizations(connection, found.id):
            actor = Actor("user", found.id, found.name)
            audit.note(connection, actor, organization, "user.sign_in", f"user {found.id}", "", now_s)
        return token


def _find(connection: Connection, email: str) -> _Found | None:
    t = user
    row = connection.execute(
        select(t.c.id, t.c.name, t.c.password, t.c.totp_secret, t.c.totp_used).where(
            t.c.email == email, t.c.disabled.is_(False)
        )
    ).one_or_none()
    return None if row is None else _Found(*row)


def _wrong() -> Refused:
    return Refused(401, "wrong_sign_in", "E-mail, password or code is wrong.")
