"""What somebody types as SQL, HTML, a template or a formula stays text: in every field of the API and of every form.

Fields are found by the routes' types and by the pages' own forms, so that a new one is tried as soon as it is there.
"""

import contextlib
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from html.parser import HTMLParser
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import quote

import aiohttp
import msgspec
from sqlalchemy import func, select

from sync.demo_sales import make_sales
from sync.imports.export import EXPORTS
from sync.store.database import Database
from sync.store.schema import METADATA
from sync.web.api import Route
from sync.web.app import api_routes
from tests.sync.conftest import Home
from tests.sync.pages.seat import client, house
from tests.sync.pages.test_every_page import claim, filled, routes_of

HOSTILE = "=1+1'); DROP TABLE ticket;--\"><img src=x onerror=alert(1)>{{7*191}}${7*191}"
ALIVE = ("<img src=x", "1337")
"""What would stand in a page that took it for HTML, or for a template."""
VALID: dict[str, object] = {
    "currency": "CHF", "timezone": "UTC", "uid": "04AABBCCDDEE90", "url": "https://centre.test", "email": "a@b.test",
    "password": "four words nobody says", "scan_id": "s1", "record": "1-0000000000000001-1", "language": "en", "mode": "normal",
    "state": "normal", "expires_s": 1_893_456_000, "contents": [{"event": 1, "product": 1}],
    "lines": [{"event": 1, "product": 1, "session": 1}], "tickets": [{"event": 1, "ticket": 2}],
}  # fmt: skip
"""Values of fields that not any text or number is good for, so that the field beside them is what is tried."""
DESTROYS = ("/sign-out", "/account/password", "/account/totp", "/account/sessions")
"""Forms after which nobody would be signed in."""


def texts(kind: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The ways to every field of a type that may hold free text."""
    if get_origin(kind) is Annotated:
        base, *notes = get_args(kind)
        if base is str:
            if not any(isinstance(note, msgspec.Meta) and note.pattern for note in notes):
                yield at
            return
        yield from texts(base, at)
    elif kind is str:
        yield at
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for one in msgspec.structs.fields(kind):
            yield from texts(one.type, (*at, one.encode_name))
    elif get_origin(kind) is tuple:
        yield from texts(get_args(kind)[0], (*at, 0))
    else:
        for one in get_args(kind):
            yield from texts(one, at)


def sample(kind: Any, name: str = "") -> Any:
    """A value that the type takes: of a struct, with what it must have."""
    with contextlib.suppress(msgspec.ValidationError, KeyError):
        msgspec.convert(VALID[name], kind)
        return VALID[name]
    if get_origin(kind) is Annotated:
        return sample(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {
            one.encode_name: sample(one.type, one.encode_name)
            for one in msgspec.structs.fields(kind)
            if one.required
        }
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if get_origin(kind) is tuple:
        return [sample(get_args(kind)[0])]
    return "Plain" if kind is str else 1


def put(body: Any, way: tuple[str | int, ...], text: str) -> Any:
    """Return the body with a text at the end of the way."""
    if not way:
        return text
    at, *rest = way
    if isinstance(at, int):
        held = body[at] if isinstance(body, list) and body else {}
        return [put(held, tuple(rest), text)]
    held = body if isinstance(body, dict) else {}
    return {**held, at: put(held.get(at), tuple(rest), text)}


def counts(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in METADATA.sorted_tables
        }


def kept(database: Database) -> int:
    """In how many rows of all tables the text stands, to the letter."""
    with database.reading() as connection:
        return sum(
            HOSTILE in repr(tuple(row)) or repr(HOSTILE)[1:-1] in repr(tuple(row))
            for table in METADATA.sorted_tables
            for row in connection.execute(table.select())
        )


@dataclass
class Form:
    action: str
    kept: dict[str, str] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    files: bool = False


class Forms(HTMLParser):
    """The forms of a page that change something, with what stands in their fields."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.found: list[Form] = []
        self._form: Form | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(said.get("action") or self.path)
            if said.get("method", "get") == "post":
                self.found.append(self._form)
        form, name = self._form, said.get("name", "")
        if form is None or not (name or tag == "option"):
            return
        kind = said.get("type", "text")
        if tag == "textarea" or (
            tag == "input" and kind in {"text", "search", "email", "password", "tel", "url"}
        ):
            form.kept[name] = said.get("value", "")
            form.free.add(name)
        elif tag == "input" and kind == "file":
            form.files = True
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in said or self._select not in form.kept:
                form.kept[self._select] = said.get("value", "")
        elif tag in {"input", "button"}:
            form.kept.setdefault(name, said.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""


def harmless(page: str, where: object) -> None:
    assert not [one for one in ALIVE if one in page], where


async def walk(browser: aiohttp.ClientSession, paths: list[str]) -> list[Form]:
    """Open every page; return their forms. In none of them anything hostile is alive."""
    forms: list[Form] = []
    for path in paths:
        async with browser.get(path) as answer:
            assert answer.status < 500, path
            page = await answer.text()
            if answer.content_type == "text/html":
                harmless(page, path)
                parser = Forms(path)
                parser.feed(page)
                forms += parser.found
            elif answer.content_type == "text/csv":
                for row in csv.reader(io.StringIO(page)):
                    assert not [cell for cell in row if cell[:1] in set("=+-@")], (path, row)
    return forms


def writing() -> list[Route]:
    return [one for one in api_routes() if one.body is not None and one.body is not bytes]


def test_fields_are_found_and_bodies_are_valid() -> None:
    fields = [(route.key, way) for route in writing() for way in texts(route.body)]
    assert len(fields) > 45
    assert ("PUT /api/v1/customers/{customer}", ("last_name",)) in fields
    for route in writing():
        msgspec.convert(sample(route.body), route.body)


async def test_hostile_text_in_any_field_stays_text(home: Home) -> None:
    async with house(home.data, database=home.url) as venue, client(venue) as ada:
        database = venue.centre.database
        make_sales(database, venue.centre.keys, venue.now_s)
        customer = await claim(ada, 1, 1, "Hopper")
        before, taken = counts(database), 0
        for route in writing():
            for way in texts(route.body):
                body = put(sample(route.body), way, HOSTILE)
                numbers = {"customer": customer}
                path = route.plain_path.format(**{name: numbers.get(name, 1) for name, _ in route.parameters})
                async with ada.request(route.method, path, json=body) as answer:
                    said = await answer.text()
                    assert answer.status < 500, (route.key, way, said)
                    assert answer.content_type in {"application/json", "application/problem+json"}, route.key
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    taken += answer.status < 300
        assert taken > 20
        pages = [
            filled(route, {"customer": customer}) for route in routes_of(database) if route.method == "GET"
        ]
        pages += [f"/events/1/export/{what}" for what in EXPORTS] + ["/search?q=" + quote(HOSTILE)]
        forms = {(one.action, tuple(sorted(one.kept.items()))): one for one in await walk(ada, pages)}
        sent = 0
        for form in forms.values():
            if not form.free or form.files or form.action.startswith(DESTROYS):
                continue
            for name in sorted(form.free):
                async with ada.post(form.action, data={**form.kept, name: HOSTILE}) as answer:
                    assert answer.status < 500, (form.action, name)
                    harmless(await answer.text(), (form.action, name))
                    sent += 1
        assert sent > 30
        await walk(ada, pages)
        after = counts(database)
        assert not [name for name in before if after[name] < before[name]]
        assert kept(database) > 10, "it was kept as it was typed"
