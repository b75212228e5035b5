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
        await self._count(email, tried.address, now_s)
        found = await self._database.read(lambda connection: _find(connection, email))
        stored = passwords.NOBODYS if found is None else found.password
        if not await self._matches(tried.password, stored) or found is None:
            raise _wrong()
        if found.totp_secret is not None and not tried.code.strip():
            # Only this try is taken back: whoever has the password must not get tries at the code for it.
            await self._database.write(lambda connection: lockout.took_back(connection, email, tried.address))
            raise Refused(401, "code_needed", "Type the code of your authenticator app.")
        return await self._database.write(
            lambda connection: self._admit(connection, found, tried, email, now_s)
        )

    async def proved(self, number: int, password: str, address: str, code: str | None = None) -> str:
        """Return the e-mail of a user who proves to be themselves, signed in as they are; a try counts as at signing in.

        `code`: where the authenticator app's is asked for too. Refused: 422 `wrong_password`, `wrong_code` or
        `totp_off`; 429 and 503 as `sign_in`.
        """
        now_s = self._now_s()
        email = await self._database.read(lambda connection: users.email_of(connection, number))
        await self._count(email, address, now_s)
        found = await self._database.read(lambda connection: _find(connection, email))
        if found is None or not await self._matches(password, found.password):
            raise Refused(422, "wrong_password", "This is not your password.")

        def work(connection: Connection) -> None:
            if code is not None:
                if found.totp_secret is None:
                    raise Refused(422, "totp_off", "No codes are asked for. Look at the page again.")
                if not self._takes(connection, found, code, now_s):
                    raise Refused(
                        422, "wrong_code", "This code is wrong. Type the one that the app shows now."
                    )
            lockout.succeeded(connection, email, address)

        await self._database.write(work)
        return email

    async def hashed(self, password: str) -> str:
        """Return what is stored of a new password, made beside the event loop."""
        return await self._checker.hashed(password)

    async def _count(self, email: str, address: str, now_s: int) -> None:
        """Count a try before it is checked; Refused where it must wait."""
        wait_s = await self._database.write(
            lambda connection: lockout.attempt(connection, email, address, now_s)
        )
        if wait_s:
            raise Refused(
                429, "wait", f"Too many wrong tries. Wait {wait_s} seconds.", more={"retry_after_s": wait_s}
            )

    async def _matches(self, password: str, stored: str) -> bool:
        try:
            return await self._checker.matches(password[:PASSWORD_CHARS_MAX], stored)
        except passwords.Busy as busy:
            more = {"retry_after_s": BUSY_RETRY_S}
            raise Refused(
                503, "busy", "Many people sign in just now. Try again in a moment.", more=more
            ) from busy

    def _takes(self, connection: Connection, found: _Found, code: str, now_s: int) -> bool:
        """Whether a code is the user's, not taken before; it is taken by this."""
        assert found.totp_secret is not None, "asked for a code"
        secret = totp.opened(found.totp_secret, self._keys, found.id)
        step = None if secret is None else totp.step_of(secret, code, found.totp_used, now_s)
        if step is None:
            return False
        taken = connection.execute(
            update(user).where(user.c.id == found.id, user.c.totp_used < step).values(totp_used=step)
        )
        return bool(taken.rowcount)  # 0: the same code twice at a time

    def _admit(self, connection: Connection, found: _Found, tried: Tried, email: str, now_s: int) -> str:
        """Begin the session of somebody whose password fits."""
        if found.totp_secret is not None and not self._takes(connection, found, tried.code, now_s):
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
