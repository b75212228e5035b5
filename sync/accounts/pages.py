"""Signing in and out, the organization worked for, the language, and everybody's own account."""

from collections.abc import Mapping

import segno
from markupsafe import Markup
from sqlalchemy import Connection

from sync.accounts import passwords, sessions, users
from sync.accounts.own import OwnAccount, Setup
from sync.accounts.sign_in import SignIn, Tried
from sync.events import houses
from sync.store.database import Database
from sync.web.api import Refused
from sync.web.pages import Answer, PageAsked, PageRoute, Redirect, View, local_path
from sync.web.refusals import said
from sync.web.words import LANGUAGES

FIELDS = {"wrong_password": "password", "wrong_code": "code", "weak_password": "new_password"}
"""Where on the account's page a refusal is said."""
SECRET_GROUP = 4
"""Characters of a secret read out at a time."""


class AccountPages:
    """The routes. What checks a password runs apart from transactions: a wrong try is counted in one that stays."""

    def __init__(self, database: Database, sign_in: SignIn, own: OwnAccount) -> None:
        self._database, self._sign_in, self._own = database, sign_in, own

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/sign-in", form, None),
            PageRoute("POST", "/sign-in", self.sign_in, None),
            PageRoute("POST", "/sign-out", sign_out, None),
            PageRoute("POST", "/organization", switch),
            PageRoute("POST", "/language", speak, None),
            PageRoute("GET", "/account", account),
            PageRoute("POST", "/account/password", self.set_password),
            PageRoute("POST", "/account/totp", self.begin_totp),
            PageRoute("POST", "/account/totp/confirm", self.confirm_totp),
            PageRoute("POST", "/account/totp/off", self.drop_totp),
            PageRoute("POST", "/account/sessions", self.end_others),
        )

    async def sign_in(self, asked: PageAsked) -> Answer:
        """POST: one try. The password is asked for again beside the code: nothing waits half signed in."""
        filled = asked.form
        to = local_path(filled.text("to") or "/")
        tried = Tried(
            email=filled.text("email"),
            password=filled.raw("password"),
            code=filled.text("code"),
            address=asked.remote,
            old=asked.session,
        )
        try:
            token = await self._sign_in.sign_in(tried)
        except Refused as refused:
            needs_code = refused.code == "code_needed"
            shown = {"form": filled, "to": to, "asks_code": needs_code or bool(filled.text("code"))}
            if not needs_code:
                shown["said"] = _said(asked, refused)
            return View("accounts/sign_in.html", shown, 200 if needs_code else refused.status)
        return Redirect(to, session=token)

    async def set_password(self, asked: PageAsked) -> Answer:
        """POST: a new password; whoever else is signed in as this user is out."""
        filled = asked.form
        if filled.raw("new_password") != filled.raw("again"):
            return await self._again(asked, "password", {"again": asked.words("not_the_same")})
        try:
            token = await self._own.set_password(
                asked.who, asked.remote, filled.raw("password"), filled.raw("new_password")
            )
        except Refused as refused:
            return await self._again(asked, "password", _fault(asked, refused))
        return Redirect("/account?done=password", session=token)

    async def begin_totp(self, asked: PageAsked) -> Answer:
        """POST: the QR code for an authenticator app; nothing is on before its first code came back."""
        try:
            setup = await self._own.begin_totp(asked.who, asked.remote, asked.form.raw("password"))
        except Refused as refused:
            return await self._again(asked, "totp", _fault(asked, refused))
        return _totp_view(setup, {})

    def confirm_totp(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: the first code; from now on codes are asked for."""
        sealed = asked.form.text("sealed")
        try:
            self._own.confirm_totp(connection, asked.who, sealed, asked.form.text("code"))
        except Refused as refused:
            errors = _fault(asked, refused)
            if "code" not in errors:
                return View("accounts/account.html", {**_account(connection, asked), "said": errors[""]}, 422)
            return _totp_view(self._own.opened(connection, asked.who, sealed), errors)
        return Redirect("/account?done=totp_on")

    async def drop_totp(self, asked: PageAsked) -> Answer:
        """POST: no codes any more."""
        filled = asked.form
        try:
            await self._own.drop_totp(asked.who, asked.remote, filled.raw("password"), filled.text("code"))
        except Refused as refused:
            return await self._again(asked, "totp", _fault(asked, refused))
        return Redirect("/account?done=totp_off")

    def end_others(self, connection: Connection, asked: PageAsked) -> Answer:
        """POST: every other session of this user ends."""
        self._own.end_others(connection, asked.who, asked.session)
        return Redirect("/account?done=others")

    async def _again(self, asked: PageAsked, part: str, errors: Mapping[str, str]) -> Answer:
        """Return the account's page with what is wrong in one of its forms."""
        shown = await self._database.read(lambda connection: _account(connection, asked))
        first = next(iter(errors.values()))
        return View("accounts/account.html", {**shown, "errors": errors, "part": part, "said": first}, 422)


def _fault(asked: PageAsked, refused: Refused) -> dict[str, str]:
    return {FIELDS.get(refused.code, ""): _said(asked, refused)}


def _said(asked: PageAsked, refused: Refused) -> str:
    if refused.code == "wait":
        return asked.words("sign_in_wait", n=refused.more.get("retry_after_s", 1))
    return said(asked.words, refused.code, refused.detail)


def _totp_view(setup: Setup, errors: Mapping[str, str]) -> View:
    picture = Markup(segno.make(setup.uri, error="m").svg_inline(border=4, omitsize=True))  # noqa: S704 - drawn here
    groups = [setup.secret[at : at + SECRET_GROUP] for at in range(0, len(setup.secret), SECRET_GROUP)]
    shown = {
        "picture": picture,
        "secret": " ".join(groups),
        "sealed": setup.sealed,
        "errors": errors,
        "place": "account",
    }
    return View("accounts/totp.html", shown, 422 if errors else 200)


def account(connection: Connection, asked: PageAsked) -> Answer:
    """GET: one's own account."""
    shown = _account(connection, asked)
    done = asked.query.text("done")
    if done in {"password", "totp_on", "totp_off", "others"}:
        shown["done"] = asked.words(f"account_done_{done}")
    return View("accounts/account.html", shown)


def _account(connection: Connection, asked: PageAsked) -> dict[str, object]:
    number = asked.who.actor.id
    memberships = []
    for organization in users.organizations(connection, number):
        found, mine = (
            houses.organization(connection, organization),
            users.member(connection, organization, number),
        )
        if found is not None and mine is not None:
            memberships.append(
                {
                    "id": organization,
                    "name": found.name,
                    "role": mine.role.value,
                    "here": organization == asked.who.organization,
                }
            )
    return {
        "name": asked.who.actor.name,
        "email": users.email_of(connection, number),
        "has_totp": users.has_totp(connection, number),
        "memberships": memberships,
        "sessions": sessions.of_user(connection, number, asked.session, asked.now_s),
        "chars_min": passwords.CHARS_MIN,
        "part": "",
        "place": "account",
    }


def form(_connection: Connection, asked: PageAsked) -> Answer:
    """GET: the form; whoever is signed in goes on."""
    to = local_path(asked.query.text("to") or "/")
    if asked.principal is not None:
        return Redirect(to)
    ended = bool(asked.query.text("ended"))
    return View("accounts/sign_in.html", {"to": to, "asks_code": False, "ended": ended})


def sign_out(connection: Connection, asked: PageAsked) -> Answer:
    """POST: the session ends, everywhere it is open."""
    sessions.end(connection, asked.session)
    return Redirect("/sign-in", session="")


def switch(connection: Connection, asked: PageAsked) -> Answer:
    """POST: another organization that the same person belongs to; a new session in place of the old."""
    wanted = asked.form.number("organization", 1, 2**53)
    if wanted is None or not users.is_owned(connection, wanted, asked.who.actor.id):
        raise Refused(404, "not_found", asked.words("not_found"))
    token = sessions.begin(connection, asked.who.actor.id, asked.now_s, wanted, old=asked.session)
    return Redirect("/", session=token)


def speak(_connection: Connection, asked: PageAsked) -> Answer:
    """POST: the language of the pages in this browser."""
    for language in LANGUAGES:
        if language.value == asked.form.text("language"):
            return Redirect(asked.form.text("to") or "/", language=language)
    return Redirect("/")


def chrome(connection: Connection, asked: PageAsked) -> Mapping[str, object]:
    """Return what each page shows of who is signed in."""
    who = asked.principal
    if who is None:
        return {}
    own = houses.organization(connection, who.organization)
    others = [
        found
        for number in users.organizations(connection, who.actor.id)
        if number != who.organization and (found := houses.organization(connection, number)) is not None
    ]
    return {
        "person": {
            "name": who.actor.name,
            "organization": own.name if own is not None else "",
            "role": who.role.value,
            "others": others,
        },
        "role": who.role,
    }
