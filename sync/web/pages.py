"""Pages for people: routes, templates, and what stands between a browser and a handler.

A handler runs in a database thread, in one transaction: `handler(connection, asked)` returns a `View` or a `Redirect`.
A view with a status of 400 or more undoes what the handler wrote. A page that changes something is posted by its own
site (Origin, Sec-Fetch-Site) and by somebody signed in; the policy lets no inline script or style run.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any, cast
from urllib.parse import quote, urlencode

from aiohttp import web
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from sync.store.database import Database
from sync.store.engines import DatabaseFault
from sync.web.api import NUMBER_MAX, Principal, Refused, Role
from sync.web.forms import (
    FIELD_CHARS_MAX,
    FORM_WITH_FILES,
    TEXT_CHARS_MAX,
    UPLOAD_BYTES_MAX,
    Form,
    form_from,
    form_of,
)
from sync.web.perimeter import same_site, scheme, sender, session_cookie
from sync.web.refusals import said
from sync.web.rendering import Templates
from sync.web.uploads import STREAMED, Part, parts, unreadable
from sync.web.words import LANGUAGES, Language, Words, language_of

__all__ = [
    "HEADERS", "LANGUAGE_COOKIE", "Answer", "Chrome", "File", "Form", "PageAsked", "PageRoute", "Pages", "Redirect", "SignedIn",
    "View", "local_path", "wanted_language",
]  # fmt: skip

YEAR_S = 365 * 86_400

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Language, Cookie, HX-Request",
}
LANGUAGE_COOKIE = "language"

log = logging.getLogger("sync.web")


@dataclass(frozen=True, slots=True)
class View:
    """A template with what it shows. A status of 400 or more undoes the transaction."""

    template: str
    context: Mapping[str, object] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on at `path` of this site. `session`: the token of a session begun; "" ends the one there is."""

    path: str
    session: str | None = None
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class File:
    """Something to save or to show as it is. A file as the body is read while it is sent, then closed."""

    body: bytes | IO[bytes]
    content_type: str
    name: str = ""


Answer = View | Redirect | File


@dataclass(frozen=True, slots=True)
class PageAsked:
    """One request of a page."""

    principal: Principal | None
    path: Mapping[str, str]
    query: Form
    form: Form
    now_s: int
    words: Words
    session: str = ""
    partial: bool = False
    """htmx asks for a part of the page."""
    remote: str = ""
    origin: str = ""
    """The address of this site as the browser has it, as in https://tickets.example."""
    return_to: str = "/"
    prepared: Any = None
    """What the route's `prepare` returned."""

    @property
    def who(self) -> Principal:
        """Whoever is signed in; only for routes that have a role."""
        assert self.principal is not None, "a route with a role is reached signed in"
        return self.principal

    def number(self, name: str) -> int:
        """Return a number of the path; Refused 404 for what is none."""
        raw = self.path[name]
        if not raw.isascii() or not raw.isdigit() or len(raw) > 16 or int(raw) > NUMBER_MAX:
            raise Refused(404, "not_found", self.words("not_found"))
        return int(raw)


PageHandler = Callable[[Connection, PageAsked], Answer]
ApartHandler = Callable[[PageAsked], Awaitable[Answer]]
"""A coroutine function, with transactions of its own: for what a transaction must not wait for, as a password's hash."""
Chrome = Callable[[Connection, PageAsked], Mapping[str, object]]
"""What every page shows around its own content: the organization's name, its events."""
SignedIn = Callable[[Connection, str, int], Principal | None]
"""Who a session token stands for at a time, if anybody."""


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One page. `role`: the least that may see it; None lets in people who are not signed in."""

    method: str
    path: str
    handler: PageHandler | ApartHandler
    role: Role | None = Role.VIEWER
    prepare: Callable[[Connection, PageAsked], object] | None = None
    """Reads a large file that was sent, before anything is kept from being written; the handler has what it returns."""


class _Undone(Exception):
    """Carries a view out of a transaction that is undone."""

    def __init__(self, view: View) -> None:
        super().__init__(view.template)
        self.view = view


class Pages:
    """Serves page routes on an aiohttp application."""

    def __init__(
        self,
        database: Database,
        routes: Sequence[PageRoute],
        signed_in: SignedIn,
        now_s: Callable[[], int],
        chrome: Chrome = lambda _connection, _asked: {},
        templates: Templates | None = None,
    ) -> None:
        self._database = database
        self._routes = routes
        self._signed_in = signed_in
        self._now_s = now_s
        self._chrome = chrome
        self._templates = templates or Templates()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers, and the files that pages load."""
        made = [web.route(one.method, one.path, self._serving(one)) for one in self._routes]
        return [*made, web.get("/static/{version}/{name}", self._static, allow_head=False)]

    def _serving(self, route: PageRoute) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            words = Words(wanted_language(request))
            if route.method != "GET" and not same_site(request):
                return self._page(request, words, {}, _error(403, words("other_site")))
            try:
                if route.prepare is not None and request.content_type == FORM_WITH_FILES:
                    return await self._received(route, request, words)
                form = Form() if route.method == "GET" else await form_of(request)
                if form is None:
                    return self._page(request, words, {}, _error(400, words("form_unreadable")))
                return await self._answered(route, request, form, words)
            except Refused as refused:
                answer = _error(refused.status, said(words, refused.code, refused.detail))
                return self._page(request, words, {}, answer)
            except Exception as error:  # noqa: BLE001 - the HTTP edge: whoever looks at a page is answered by a page
                return self._page(request, words, {}, _trouble(error, route, words))

        setattr(serve, STREAMED, FORM_WITH_FILES if route.prepare is not None else None)
        return serve

    async def _received(self, route: PageRoute, request: web.Request, words: Words) -> web.Response:
        """Take a form with a large file from somebody who may send it; others are not listened to."""
        asked = await self._database.read(lambda connection: self._asked(connection, request, Form(), words))
        barred = _barred(route, asked)
        if barred is not None:
            return self._page(request, words, {}, barred)
        async with parts(request, UPLOAD_BYTES_MAX) as found:
            pairs = [(one.name, _text(one)) for one in found if one.filename is None]
            files = {one.name: (one.filename, one.file) for one in found if one.filename}
            form = form_from(pairs, files)
            if form is None:
                return self._page(request, words, {}, _error(400, words("form_unreadable")))
            return await self._answered(route, request, form, words)

    @web.middleware
    async def lost(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a browser that asks for a page that is not there with a page; programs get a problem (RFC 9457).

        Where a form only is sent to, it goes on at the page of that form: there somebody comes who chose another language
        on the answer to a form, or signed in again after sending one.
        """
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            by_program = request.method != "GET" or request.path.startswith("/api/")
            if by_program or "text/html" not in request.headers.get("Accept", ""):
                raise
            if isinstance(error, web.HTTPMethodNotAllowed):
                return _redirect(request, Redirect(await _page_above(request)))
            words = Words(wanted_language(request))
            return self._page(request, words, {}, _error(404, words("not_found")))

    async def _answered(
        self, route: PageRoute, request: web.Request, form: Form, words: Words
    ) -> web.Response:
        if inspect.iscoroutinefunction(route.handler):
            return await self._answered_apart(route, request, form, words)

        prepared: object = None
        if route.prepare is not None:
            prepared = await self._database.read(
                lambda connection: self._prepared(connection, route, request, form, words)
            )

        def work(connection: Connection) -> tuple[Answer, Mapping[str, object]]:
            return self._answer(connection, route, request, form, words, prepared)

        try:
            if route.method == "GET":
                answer, around = await self._database.read(work)
            else:
                answer, around = await self._database.write(work)
        except _Undone as undone:
            view = undone.view
            around = await self._database.read(
                lambda connection: self._chrome(connection, self._asked(connection, request, form, words))
            )
            return self._page(request, words, around, view)
        return self._page(request, words, around, answer)

    async def _answered_apart(
        self, route: PageRoute, request: web.Request, form: Form, words: Words
    ) -> web.Response:
        asked = await self._database.read(lambda connection: self._asked(connection, request, form, words))
        answer = _barred(route, asked)
        if answer is None:
            try:
                answer = await cast("ApartHandler", route.handler)(asked)
            except Refused as refused:
                answer = _error(refused.status, said(words, refused.code, refused.detail))
        around: Mapping[str, object] = {}
        if isinstance(answer, View):
            around = await self._database.read(lambda connection: self._chrome(connection, asked))
        return self._page(request, words, around, answer)

    def _asked(self, connection: Connection, request: web.Request, form: Form, words: Words) -> PageAsked:
        now_s = self._now_s()
        token = request.cookies.get(session_cookie(request), "")
        return PageAsked(
            self._signed_in(connection, token, now_s) if token else None,
            dict(request.match_info),
            Form([(name, value[:FIELD_CHARS_MAX]) for name, value in request.query.items()]),
            form,
            now_s,
            words,
            token,
            partial=request.headers.get("HX-Request") == "true",
            remote=sender(request),
            origin=f"{scheme(request)}://{request.host}",
            return_to=request.path_qs if request.method == "GET" else request.path,
        )

    def _prepared(
        self, connection: Connection, route: PageRoute, request: web.Request, form: Form, words: Words
    ) -> object:
        asked = self._asked(connection, request, form, words)
        if route.prepare is None or _barred(route, asked) is not None:
            return None
        return route.prepare(connection, asked)

    def _answer(
        self,
        connection: Connection,
        route: PageRoute,
        request: web.Request,
        form: Form,
        words: Words,
        prepared: object = None,
    ) -> tuple[Answer, Mapping[str, object]]:
        asked = replace(self._asked(connection, request, form, words), prepared=prepared)
        answer = _barred(route, asked)
        try:
            if answer is None:
                answer = cast("PageHandler", route.handler)(connection, asked)
        except Refused as refused:
            answer = _error(refused.status, said(words, refused.code, refused.detail))
        if isinstance(answer, View) and answer.status >= 400 and route.method != "GET":
            raise _Undone(answer)
        around = self._chrome(connection, asked) if isinstance(answer, View) else {}
        return answer, around

    def _page(
        self, request: web.Request, words: Words, around: Mapping[str, object], answer: Answer
    ) -> web.Response:
        if isinstance(answer, Redirect):
            return _redirect(request, answer)
        if isinstance(answer, File):
            headers = dict(HEADERS)
            if answer.name:
                headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(answer.name, safe='')}"
            return web.Response(body=answer.body, content_type=answer.content_type, headers=headers)
        context = {"here": request.path, "back": request.path_qs, "form": Form(), "errors": {}, **around}
        html = self._templates.render(answer.template, words, {**context, **answer.context})
        return web.Response(text=html, status=answer.status, content_type="text/html", headers=HEADERS)

    async def _static(self, request: web.Request) -> web.Response:
        found = self._templates.file(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            body=found.body,
            headers={
                "Content-Type": found.content_type,
                "Cache-Control": f"public, max-age={YEAR_S}, immutable",  # the address holds the content's hash
                "X-Content-Type-Options": "nosniff",
            },
        )


def wanted_language(request: web.Request) -> Language:
    """Return the language chosen on a page before, else what the browser asks for, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    for language in LANGUAGES:
        if language.value == chosen:
            return language
    return language_of(request.headers.get("Accept-Language", ""))


def local_path(raw: str) -> str:
    """Return a path of this site, to go back to; "/" for what would lead elsewhere."""
    plain = raw.startswith("/") and not raw.startswith(("//", "/\\")) and raw.isprintable()
    return raw if plain and "\\" not in raw else "/"


async def _page_above(request: web.Request) -> str:
    """Return the nearest page on the way up from a path: /gates/1 from /gates/1/plans/2/drop."""
    path = request.path
    while "/" in path[1:]:
        path = path.rpartition("/")[0]
        found = await request.app.router.resolve(request.clone(rel_url=path))
        if found.http_exception is None:
            return path
    return "/"


def _barred(route: PageRoute, asked: PageAsked) -> Answer | None:
    """Return what somebody is answered who may not see a page; None for who may."""
    if route.role is None:
        return None
    if asked.principal is None:
        back = {"to": asked.return_to} if asked.return_to != "/" else {}
        ended = {"ended": "1"} if route.method != "GET" else {}
        query = urlencode({**back, **ended})
        return Redirect(f"/sign-in?{query}" if query else "/sign-in")
    return None if asked.principal.role.may(route.role) else _error(403, asked.words("role_too_low"))


def _text(one: Part) -> str:
    try:
        return one.file.read(TEXT_CHARS_MAX).decode()
    except UnicodeDecodeError as error:
        raise unreadable() from error


def _error(status: int, said: str) -> View:
    return View("error.html", {"said": said}, status)


def _trouble(error: Exception, route: PageRoute, words: Words) -> View:
    """Return the page for what no handler foresaw; what is our own fault is logged, without what came in."""
    if isinstance(error, DatabaseFault):
        log.error("the database does not answer: %s", error)
        return _error(503, words("refused_database"))
    if isinstance(error, IntegrityError):
        return _error(409, words("refused_conflict"))
    if isinstance(error, (DataError, OverflowError)):
        return _error(422, words("refused_out_of_range"))
    log.error("a page failed: %s %s", route.method, route.path, exc_info=error)
    return _error(500, words("failed"))


def _redirect(request: web.Request, answer: Redirect) -> web.Response:
    response = web.Response(status=303, headers={**HEADERS, "Location": local_path(answer.path)})
    if (
        request.headers.get("HX-Request") == "true"
    ):  # htmx follows a 303 into the part of a page; this loads the page
        response = web.Response(status=200, headers={**HEADERS, "HX-Redirect": local_path(answer.path)})
    secure = scheme(request) == "https"
    if answer.session is not None:
        name = session_cookie(request)
        if answer.session:
            response.set_cookie(name, answer.session, httponly=True, secure=secure, samesite="Lax", path="/")
        else:
            response.del_cookie(name, httponly=True, secure=secure, samesite="Lax", path="/")
    if answer.language is not None:
        response.set_cookie(
            LANGUAGE_COOKIE, answer.language.value, max_age=YEAR_S, secure=secure, samesite="Lax", path="/"
        )
    return response
