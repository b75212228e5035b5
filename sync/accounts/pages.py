"""Signing in and out, the organization worked for, and the language."""

from collections.abc import Mapping

from aiohttp import web
from sqlalchemy import Connection

from sync.accounts import sessions, users
from sync.accounts.sign_in import SignIn, Tried
from sync.events import houses
from sync.web.api import Refused
from sync.web.pages import (
    Answer,
    Form,
    PageAsked,
    PageRoute,
    Pages,
    Redirect,
    View,
    form_of,
    local_path,
    wanted_language,
)
from sync.web.perimeter import same_site, sender, session_cookie
from sync.web.words import LANGUAGES, Words


class AccountPages:
    """The routes. Signing in is none of the page routes: a wrong try is counted in a transaction that stays."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._pages: Pages | None = None

    def pages(self) -> tuple[PageRoute, ...]:
        """Return the pages."""
        return (
            PageRoute("GET", "/sign-in", form, None),
            PageRoute("POST", "/sign-out", sign_out, None),
            PageRoute("POST", "/organization", switch),
            PageRoute("POST", "/language", speak, None),
        )

    def routes(self, pages: Pages) -> list[web.RouteDef]:
        """Return the route that signs in; it answers through `pages`."""
        self._pages = pages
        return [web.post("/sign-in", self._post)]

    async def _post(self, request: web.Request) -> web.Response:
        """POST: one try. The password is asked for again beside the code: nothing waits half signed in."""
        assert self._pages is not None, "routes() was called"
        words = Words(wanted_language(request))
        if not same_site(request):
            return self._pages.answer(request, words, View("error.html", {"said": words("other_site")}, 403))
        filled = await form_of(request) or Form()
        to = local_path(filled.text("to") or "/")
        tried = Tried(
            email=filled.text("email"),
            password=filled.raw("password"),
            code=filled.text("code"),
            address=sender(request),
            old=request.cookies.get(session_cookie(request), ""),
        )
        try:
            token = await self._sign_in.sign_in(tried)
        except Refused as refused:
            said = {
                "wrong_sign_in": words("sign_in_wrong"),
                "wait": words("sign_in_wait", n=refused.more.get("retry_after_s", 1)),
                "code_needed": "",
            }.get(refused.code, refused.detail)
            asks_code = refused.code == "code_needed" or bool(filled.text("code"))
            shown = {"form": filled, "said": said, "to": to, "asks_code": asks_code}
            status = 200 if refused.code == "code_needed" else refused.status
            return self._pages.answer(request, words, View("accounts/sign_in.html", shown, status))
        return self._pages.answer(request, words, Redirect(to, session=token))


def form(_connection: Connection, asked: PageAsked) -> Answer:
    """GET: the form; whoever is signed in goes on."""
    to = local_path(asked.query.text("to") or "/")
    if asked.principal is not None:
        return Redirect(to)
    return View("accounts/sign_in.html", {"to": to, "asks_code": False})


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
