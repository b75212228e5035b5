"""Puts typed routes on aiohttp: who asks, whether they may, what came, the handler in its transaction, the answer.

The order of the questions is the same for every route: is somebody signed in (401), may the role (403), is what the
path names theirs (404, the same as for what is not there), is the request well formed (4xx), and only then the handler.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import IO, Any
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from sync.accounts import idempotency
from sync.accounts.principal import SYSTEM, Principal, Role
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.api import (
    NUMBER_MAX,
    PATH_NUMBER,
    Asked,
    Batch,
    Caller,
    Download,
    Refused,
    Route,
    not_found,
)
from sync.web.perimeter import sent_token
from sync.web.problems import problem
from sync.web.uploads import PIECE_BYTES, STREAMED, uploaded

Identify = Callable[[Connection, web.Request, int], Principal | None]
"""Who asks, by token or cookie, if anybody; Refused where a cookie's request comes from elsewhere."""
Owner = Callable[[Connection, int, int], bool]
"""Whether an organization owns the thing of that number."""

IDEMPOTENCY_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_TEXT = r"[^{}/]{1,200}"
NOBODY = Principal(organization=0, role=Role.VIEWER, actor=SYSTEM)
CHALLENGE = 'Bearer realm="gatehouse"'


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes back; also what an idempotency key remembers."""

    status: int
    body: bytes | IO[bytes]
    media_type: str = "application/json"
    name: str = ""


class Api:
    """The routes of all capabilities, served."""

    def __init__(
        self,
        database: Database,
        keys: VenueKeys,
        routes: Sequence[Route],
        identify: Identify,
        owners: Mapping[str, Owner],
        now_s: Callable[[], int],
        batches: Mapping[str, Batch],
    ) -> None:
        self._database, self._keys, self._now_s = database, keys, now_s
        self._batches = batches
        self._routes = tuple(routes)
        self._identify = identify
        self._owners = owners
        self._in_flight: set[tuple[str, str, str]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers; paths are tried in this order, so what is asked most comes first."""
        order = sorted(self._routes, key=lambda one: not one.batch)
        return [web.route(one.method, _pattern(one), self._serving(one)) for one in order]

    def _serving(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                if not route.takes_file:
                    return _response(await self._answer(route, request, await request.read()))
                # Who may not is not listened to.
                now_s = self._now_s()
                await self._database.read(
                    lambda connection: self._admitted(connection, route, request, now_s)
                )
                async with uploaded(request, route.body_bytes_max) as file:
                    return _response(await self._answer(route, request, file))
            except Refused as refused:
                return refusal(refused)

        setattr(serve, STREAMED, route.media_type if route.takes_file else None)
        return serve

    async def _answer(self, route: Route, request: web.Request, raw: bytes | IO[bytes]) -> Sent:
        now_s = self._now_s()

        def admit(connection: Connection) -> tuple[Asked, tuple[str, str, str] | None]:
            principal = self._admitted(connection, route, request, now_s)
            query, body = _read_query(route, request), _read_body(route, request, raw)
            numbers, texts = _path(route, request)
            asked = Asked(principal, numbers, query, body, now_s, self._keys, texts)
            if route.prepare is not None:
                asked = replace(asked, body=route.prepare(connection, asked))
            return asked, _scope(route, request, principal)

        if route.batch:
            return await self._together(route, request, raw, now_s)
        if not route.writes:
            return await self._database.read(
                lambda connection: _done(route, connection, admit(connection)[0])
            )
        asked, scope = await self._database.read(admit)
        if scope is None:
            return await self._written(lambda connection: _done(route, connection, asked))
        if scope in self._in_flight:
            raise idempotency.in_flight()
        self._in_flight.add(scope)
        try:
            digest = await asyncio.to_thread(_digest, request.path_qs, raw)
            return await self._written(lambda connection: _once(route, connection, asked, scope, digest))
        finally:
            self._in_flight.discard(scope)

    async def _together(self, route: Route, request: web.Request, raw: bytes | IO[bytes], now_s: int) -> Sent:
        """Have a request answered with others. Whether it is well formed is asked first here, and told only those who may."""
        try:
            query, body = _read_query(route, request), _read_body(route, request, raw)
            numbers, texts = _path(route, request)
        except Refused:
            await self._database.read(lambda connection: self._admitted(connection, route, request, now_s))
            raise
        caller = Caller(
            sent_token(request),
            lambda connection: self._identify(connection, request, now_s),
            lambda principal: _in_scope(_may(principal, route), route, numbers),
        )
        asked = Asked(NOBODY, numbers, query, body, now_s, self._keys, texts)
        return Sent(route.status, await self._batches[route.batch].put(asked, caller))

    async def _written(self, work: Callable[[Connection], Sent]) -> Sent:
        try:
            return await self._database.write(work)
        except IntegrityError as error:
            raise Refused(
                409,
                "conflict",
                "This contradicts what is there already: a number or name is taken, or still in use.",
            ) from error
        except (DataError, OverflowError) as error:
            raise Refused(422, "out_of_range", "A value is larger than can be kept.") from error

    def _admitted(self, connection: Connection, route: Route, request: web.Request, now_s: int) -> Principal:
        """Return who asks, if they may ask this."""
        if route.role is None:
            return NOBODY
        principal = _may(self._identify(connection, request, now_s), route)
        numbers, _ = _path(route, request)
        _in_scope(principal, route, numbers)
        for name, number in numbers.items():
            owner = self._owners.get(name)
            if owner is not None and not owner(connection, principal.organization, number):
                raise not_found(name)
        return principal


def _may(principal: Principal | None, route: Route) -> Principal:
    """Return who asks, if anybody does and if their role is right for a route."""
    if principal is None:
        raise Refused(401, "not_signed_in", "Send a token that is valid: Authorization: Bearer ght_…")
    if route.role is not None and not route.anywhere and not principal.role.may(route.role):
        raise Refused(
            403, "role", f"This needs the role {route.role.value}; yours is {principal.role.value}."
        )
    return principal


def _in_scope(principal: Principal, route: Route, numbers: Mapping[str, int]) -> Principal:
    """Return who asks, if their token is for the event that the path names."""
    if principal.event and numbers.get("event", 0) != principal.event and not route.anywhere:
        if "event" in numbers:
            raise not_found("event")
        raise Refused(403, "token_scope", "This token is for one event only; use one without an event.")
    return principal


def refusal(refused: Refused) -> web.Response:
    """Return a refusal as a problem."""
    answer = problem(refused.status, refused.code, refused.detail, more=refused.more)
    if refused.status == 401:
        answer.headers[hdrs.WWW_AUTHENTICATE] = CHALLENGE  # RFC 9110, 15.5.2: must be there
    if "retry_after_s" in refused.more:
        answer.headers[hdrs.RETRY_AFTER] = str(refused.more["retry_after_s"])
    return answer


def _done(route: Route, connection: Connection, asked: Asked) -> Sent:
    answer = route.handler(connection, asked)
    if isinstance(answer, Download):
        return Sent(route.status, answer.data, answer.media_type, answer.name)
    if answer is None:
        return Sent(204, b"")
    return Sent(route.status, msgspec.json.encode(answer))


def _once(
    route: Route, connection: Connection, asked: Asked, scope: tuple[str, str, str], digest: bytes
) -> Sent:
    """Do what an idempotency key asks for, unless it is done already: then say the same again."""
    stored = idempotency.stored(connection, scope, digest)
    if stored is not None:
        return Sent(stored.status, stored.body)
    sent = _done(route, connection, asked)
    assert isinstance(sent.body, bytes), "files are answers to questions, which have no key"
    idempotency.keep(connection, scope, digest, sent.status, sent.body, asked.now_s)
    return sent


def _scope(route: Route, request: web.Request, principal: Principal) -> tuple[str, str, str] | None:
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None or not route.idempotent:
        return None
    if not _KEY.fullmatch(key):
        raise Refused(400, "bad_key", f"{IDEMPOTENCY_HEADER} is 1 to 200 visible ASCII characters.")
    actor = principal.actor
    return f"{actor.kind}:{actor.id}:{principal.organization}", route.key, key


def _path(route: Route, request: web.Request) -> tuple[dict[str, int], dict[str, str]]:
    numbers: dict[str, int] = {}
    texts: dict[str, str] = {}
    for name, is_text in route.parameters:
        value = request.match_info[name]
        if is_text:
            if not value.isprintable():
                raise not_found(name)
            texts[name] = value
        else:
            numbers[name] = int(value)
            if numbers[name] > NUMBER_MAX:
                raise not_found(name)
    return numbers, texts


def _read_query(route: Route, request: web.Request) -> Any:
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if route.query is None or name in found or "\0" in value:
            raise Refused(
                400, "bad_query", f"The query parameter {_short(name)!r} is not taken here, or not twice."
            )
        found[name] = value
    if route.query is None:
        return None
    try:
        return msgspec.convert(found, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, "bad_query", f"The query does not fit: {_short(str(error))}") from error


def _digest(path: str, raw: bytes | IO[bytes]) -> bytes:
    """Return what tells one request from another of the same idempotency key."""
    found = hashlib.sha256(path.encode("utf-8", "surrogateescape") + b"\n")
    if isinstance(raw, bytes):
        found.update(raw)
        return found.digest()
    raw.seek(0)
    while piece := raw.read(PIECE_BYTES):
        found.update(piece)
    return found.digest()


def _read_body(route: Route, request: web.Request, raw: bytes | IO[bytes]) -> Any:
    if not isinstance(raw, bytes):
        if request.content_type != route.media_type:
            raise Refused(415, "media_type", f"Send it as Content-Type: {route.media_type}.")
        return raw
    if route.body is None:
        if raw:
            raise Refused(400, "bad_body", "No body is taken here.")
        return None
    if len(raw) > route.body_bytes_max:
        raise Refused(
            413, "too_large", f"At most {route.body_bytes_max} bytes are taken here; send less at a time."
        )
    if request.content_type != route.media_type:
        raise Refused(415, "media_type", f"Send it as Content-Type: {route.media_type}.")
    if route.body is bytes:
        return raw
    try:
        # PostgreSQL takes no NUL in text, and no text of ours needs one.
        if b"\\u0000" in raw:
            raise Refused(422, "bad_body", "Text holds a NUL character.")
        return _decoder(route.body).decode(raw)
    except msgspec.ValidationError as error:
        raise Refused(422, "bad_body", f"The body does not fit: {_short(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "bad_json", "The body is no JSON (RFC 8259).") from error


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return what reads bodies of a route's type: made once, as making it takes longer than reading."""
    return msgspec.json.Decoder(kind)


def _short(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text[:200])


def _response(sent: Sent) -> web.Response:
    if sent.status == 204:
        return web.Response(status=204)
    headers = {}
    if sent.name:
        headers[hdrs.CONTENT_DISPOSITION] = f"attachment; filename*=UTF-8''{quote(sent.name, safe='')}"
    answer = web.Response(status=sent.status, body=sent.body, headers=headers)
    answer.headers[hdrs.CONTENT_TYPE] = sent.media_type
    return answer


def _pattern(route: Route) -> str:
    path = route.plain_path
    for name, is_text in route.parameters:
        path = path.replace(f"{{{name}}}", f"{{{name}:{_TEXT if is_text else PATH_NUMBER}}}")
    return path
