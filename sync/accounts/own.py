"""What somebody changes of their own account: the password, the codes at signing in, their other sessions.

Whoever found a browser signed in must not take the account over: each change but signing out asks for the password, and
a wrong one is counted as at signing in.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from sync.accounts import audit, sessions, totp, users
from sync.accounts.principal import Principal
from sync.accounts.sign_in import SignIn
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.api import Refused

SETUP_S = 900
"""From the QR code to the first code typed: time to find the phone and to install an app."""


class Setup(msgspec.Struct, frozen=True):
    """Codes that are about to be asked for. `sealed` goes through the page and comes back with the first code."""

    secret: str
    uri: str
    sealed: str


class OwnAccount:
    """Changes accounts for those whose they are. All raise Refused."""

    def __init__(
        self, database: Database, keys: VenueKeys, sign_in: SignIn, now_s: Callable[[], int]
    ) -> None:
        self._database, self._keys, self._sign_in, self._now_s = database, keys, sign_in, now_s

    async def set_password(self, who: Principal, address: str, password: str, new: str) -> str:
        """Take a new password; every session ends. Returns the token of a new one, of the same organization."""
        email = await self._sign_in.proved(who.actor.id, password, address)
        users.checked(new, email)
        stored = await self._sign_in.hashed(new)

        def work(connection: Connection) -> str:
            users.set_password(connection, who.actor.id, stored)
            self._note(connection, who, "user.password")
            return sessions.begin(connection, who.actor.id, self._now_s(), who.organization)

        return await self._database.write(work)

    async def begin_totp(self, who: Principal, address: str, password: str) -> Setup:
        """Make the secret of an authenticator app. Nothing is asked for before `confirm_totp`."""
        await self._database.read(lambda connection: self._totp_off(connection, who))
        email = await self._sign_in.proved(who.actor.id, password, address)
        secret = totp.new_secret()
        sealed = totp.sealed(f"{self._now_s()} {secret}", self._keys, who.actor.id)
        return Setup(secret, totp.uri(secret, email), urlsafe_b64encode(sealed).decode())

    def opened(self, connection: Connection, who: Principal, sealed: str) -> Setup:
        """Return what `begin_totp` made for this user a while ago; Refused where it did not, or too long ago."""
        try:
            text = totp.opened(urlsafe_b64decode(sealed.encode()), self._keys, who.actor.id) or ""
        except (NoBase64, ValueError):
            text = ""
        made_s, _, secret = text.partition(" ")
        if not secret or not 0 <= self._now_s() - int(made_s) <= SETUP_S:
            raise Refused(422, "setup_over", "This QR code is too old. Begin anew and scan the new one.")
        return Setup(secret, totp.uri(secret, users.email_of(connection, who.actor.id)), sealed)

    def confirm_totp(self, connection: Connection, who: Principal, sealed: str, code: str) -> None:
        """Ask for codes from now on. `code`: the first one, which proves that the app has the secret."""
        self._totp_off(connection, who)
        secret = self.opened(connection, who, sealed).secret
        step = totp.step_of(secret, code, 0, self._now_s())
        if step is None:
            raise _wrong_code()
        users.set_totp(connection, self._keys, who.actor.id, secret, step)
        self._note(connection, who, "user.totp_on")

    async def drop_totp(self, who: Principal, address: str, password: str, code: str) -> None:
        """Ask for no codes any more: takes the password and one last code."""
        await self._sign_in.proved(who.actor.id, password, address, code)

        def work(connection: Connection) -> None:
            users.drop_totp(connection, who.actor.id)
            self._note(connection, who, "user.totp_off")

        await self._database.write(work)

    def end_others(self, connection: Connection, who: Principal, token: str) -> int:
        """End every other session of the user; returns how many there were."""
        ended = sessions.end_others(connection, who.actor.id, token)
        self._note(connection, who, "user.sign_out_others", {"sessions": ended})
        return ended

    def _note(
        self, connection: Connection, who: Principal, what: str, detail: dict[str, object] | str = ""
    ) -> None:
        """Write it down for each organization of theirs, as signing in is."""
        for organization in users.organizations(connection, who.actor.id):
            subject = f"user {who.actor.id}"
            audit.note(connection, who.actor, organization, what, subject, detail, self._now_s())

    @staticmethod
    def _totp_off(connection: Connection, who: Principal) -> None:
        if users.has_totp(connection, who.actor.id):
            raise Refused(409, "totp_on", "Codes are asked for already. Turn them off to set up another app.")


def _wrong_code() -> Refused:
    return Refused(422, "wrong_code", "This code is wrong. Type the one that the app shows now.")
