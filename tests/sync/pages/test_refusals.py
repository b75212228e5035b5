"""What the API refuses, a page says in the reader's language; what nobody foresaw is answered by a page as well."""

import ast
import logging
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from sync.orders.passes import Validity
from sync.orders.states import State
from sync.store.engines import DatabaseFault
from sync.tickets.standing import WHY
from sync.web.pages import Answer, PageAsked, PageRoute, Pages
from sync.web.refusals import SAME
from sync.web.words import TABLES, Language, Words
from tests.sync.pages.seat import EVENT_PATH
from tests.sync.venue import Venue

SYNC = Path(__file__).resolve().parents[3] / "sync"
PROTOCOL = {
    "bad_cursor", "bad_key", "bad_query", "bad_json", "media_type", "too_large", "token_scope", "not_signed_in",
    "key_reused", "in_flight", "bad_filter", "wait", "code_needed", "no_zone", "which_session", "no_session", "slow", "bad_file",
}  # fmt: skip
"""Codes of how a program speaks to the API; no page of ours provokes one."""


def raised() -> Iterator[tuple[str, str]]:
    """Every code that is written at a `Refused(…)`, with its file."""
    for path in sorted(SYNC.rglob("*.py")):
        if path.is_relative_to(SYNC / "wire"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "Refused"
                and len(node.args) == 3
            ):
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    yield str(code.value), path.name


COMPUTED = {
    *WHY,
    *(f"order_{state.value}" for state in State),
    *(f"pass_{validity.value}" for validity in Validity),
}
CODES = {code for code, _ in raised()} | COMPUTED


def test_every_refusal_that_a_page_may_meet_has_words() -> None:
    assert len(CODES) > 80  # the search itself works
    missing = {
        code
        for code in CODES - PROTOCOL
        if SAME.get(code, f"refused_{code}") not in TABLES[Language.EN] and code
    }
    assert missing == set()
    assert CODES >= PROTOCOL
    assert not {f"refused_{code}" for code in PROTOCOL} & TABLES[Language.EN].keys()


def test_no_words_are_for_a_refusal_that_nobody_raises() -> None:
    said = {key for key in TABLES[Language.EN] if key.startswith("refused_")}
    assert said - {f"refused_{code}" for code in CODES} == {"refused_database"}  # a problem, not raised


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", "Dieses Ticket ist nicht eingelöst."),
        ("fr", "Ce billet n&#39;est pas validé."),
        ("it", "Questo biglietto non è convalidato."),
        ("en", "This ticket is not redeemed."),
    ],
)
async def test_a_refusal_is_said_in_the_language_of_the_page(
    ada: aiohttp.ClientSession, language: str, said: str
) -> None:
    async with ada.post("/language", data={"language": language}) as answer:
        assert answer.status == 200
    async with ada.post(f"{EVENT_PATH}/tickets/1", data={"do": "unredeem"}) as answer:
        page = await answer.text()
    assert answer.status == 422
    assert said in page
    if language != "en":
        assert "redeemed" not in page


async def test_a_value_that_does_not_fit_is_said_at_its_field(ada: aiohttp.ClientSession) -> None:
    await ada.post("/language", data={"language": "de"})
    async with ada.post("/gates/1", data={"name": ""}) as answer:
        page = await answer.text()
    assert answer.status == 422
    assert 'id="e-name"' in page
    assert page.count("Das braucht es.") == 2  # on top, and at the field
    async with ada.post("/gates/1", data={"name": "x" * 201}) as answer:
        assert "Höchstens 200 Zeichen." in await answer.text()
    async with ada.post("/gates/1", data={"name": "Terrace gate"}) as answer:
        assert "Ein anderes Tor heisst schon so." in await answer.text()
    async with ada.post("/unsold", data={"code": "no code at all \x01"}) as answer:
        page = await answer.text()
    assert (answer.status, answer.content_type) == (422, "text/html")
    assert "Das ist kein Code eines Tickets." in page


async def test_a_page_that_is_not_there_is_said_by_a_page_and_a_program_is_told_as_programs_are(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    html = {"Accept": "text/html,application/xhtml+xml;q=0.9"}
    async with ada.get("/no/such/page", headers=html) as answer:
        assert (answer.status, answer.content_type) == (404, "text/html")
        assert "There is no such page" in await answer.text()
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    for path, headers in (("/api/v1/nothing", html), ("/no/such/page", {"Accept": "*/*"})):
        async with ada.get(path, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (404, "application/problem+json")
    async with ada.get("/customers/9999999999999999") as answer:
        assert (answer.status, answer.content_type) == (404, "text/html")


@pytest.mark.parametrize(
    ("error", "status", "key", "logged"),
    [
        (DatabaseFault("secrets are away", "Start it."), 503, "refused_database", True),
        (ValueError("a defect with secrets"), 500, "failed", True),
        (IntegrityError("INSERT", {}, ValueError("taken")), 409, "refused_conflict", False),
        (OverflowError("too large"), 422, "refused_out_of_range", False),
    ],
)
async def test_what_nobody_foresaw_is_answered_by_a_page(
    venue: Venue, caplog: pytest.LogCaptureFixture, error: Exception, status: int, key: str, logged: bool
) -> None:
    def fails(_connection: Connection, _asked: PageAsked) -> Answer:
        raise error

    pages = Pages(venue.centre.database, [PageRoute("GET", "/x", fails, None)], lambda *_: None, lambda: 0)
    with caplog.at_level(logging.ERROR, "sync.web"):
        assert await asked_of(pages) == (status, Words(Language.FR)(key))
    assert bool(caplog.records) == logged


async def asked_of(pages: Pages) -> tuple[int, str]:
    """Ask for /x over HTTP, in French; return the status and what the page says."""
    app = web.Application()
    app.add_routes(pages.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/x"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers={"Accept-Language": "fr"}) as answer,
        ):
            page = await answer.text()
            assert answer.content_type == "text/html"
            assert "secrets" not in page
            notice = page.partition('role="alert"')[2].partition("<span>")[2].partition("</span>")[0]
            return answer.status, unescape(notice)
    finally:
        await runner.cleanup()
