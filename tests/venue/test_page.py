"""The demo page's server by itself: who may press its buttons, what it draws, and what the self-check calls wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from admission.credentials import Medium
from admission.reasons import Reason
from admission.records import Outcome
from edge.link import Seen
from sync.demo import DemoTicket
from tests.venue import script
from tests.venue.page import DemoPage
from tests.venue.people import PLACES, Visitor
from tests.venue.venue import Venue

DAY = DemoTicket(
    key="day", data="TK1X", medium=Medium.BARCODE, label_en="Day", label_de="Tag", outcome=Outcome.GRANT
)
LATE = DemoTicket(
    key="late",
    data="TK1Y",
    medium=Medium.BARCODE,
    label_en="Late",
    label_de="Spät",
    outcome=Outcome.DENY,
    reason=Reason.EXPIRED,
)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Venue, aiohttp.ClientSession]]:
    """Serve the page of a venue that was not started: nothing is enrolled, nothing is plugged in."""
    venue = Venue(folder)
    venue.tickets = (DAY, LATE)
    page = DemoPage(venue)
    try:
        async with aiohttp.ClientSession(await page.start()) as client:
            yield venue, client
    finally:
        await page.stop()
        await venue.stop()


async def status(
    client: aiohttp.ClientSession, path: str, headers: dict[str, str], body: bytes = b"{}"
) -> int:
    """Post and return the answer's status."""
    async with client.post(path, data=body, headers=headers) as answer:
        return answer.status


async def test_only_its_own_page_may_press_buttons(tmp_path: Path) -> None:
    async with serving(tmp_path) as (venue, client):
        json = {"Content-Type": "application/json"}
        off = b'{"on":false}'
        assert await status(client, "/api/walk", {**json, "Origin": "http://evil.example"}, off) == 403
        assert await status(client, "/api/walk", {"Content-Type": "text/plain"}, off) == 403
        assert await status(client, "/api/walk", {**json, "Host": "evil.example"}, off) == 421
        assert await status(client, "/api/walk", json, b"no JSON") == 400
        assert await status(client, "/api/walk", json, b" " * 20_000) == 413
        assert venue.people.walk
        own = str(client._base_url).rstrip("/")
        assert await status(client, "/api/walk", {**json, "Origin": own}, off) == 200
        assert not venue.people.walk


async def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        asked = {
            "uid": {"place": "1-tags", "text": "xyz"},
            "keys": {"place": "1-exit", "text": "Grüezi"},
            "nothing": {"place": "1-entry", "text": ""},
            "long": {"place": "1-entry", "text": "x" * 4097},
        }
        for why, body in asked.items():
            async with client.post("/api/present", json=body) as answer:
                assert await answer.json() == {"ok": False, "why": why}
        async with client.post("/api/plug", json={"device": "/etc/passwd", "on": False}) as answer:
            assert await answer.json() == {"ok": False, "why": "nothing"}


async def test_tickets_are_drawn_as_qr_codes(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        async with client.get("/qr.svg", params={"key": "day"}) as answer:
            assert answer.content_type == "image/svg+xml"
            drawn = await answer.text()
        async with client.get("/qr.svg", params={"text": "TK1X"}) as answer:
            assert await answer.text() == drawn
        async with client.get("/qr.svg", params={"text": "x" * 1201}) as answer:
            assert answer.status == 404
        async with client.get("/api/tickets") as answer:
            listed = await answer.json()
        assert [(one["key"], one["group"], one["said"]["display"]) for one in listed] == [
            ("day", "in", "admit"),
            ("late", "out", "refused"),
        ]


def visitor(outcome: Outcome, reason: Reason, *, turned: bool) -> Visitor:
    """Somebody who was told something."""
    seen = Seen(1, 0.0, 1, 1, 1, "tk1", outcome, reason)
    return Visitor(1, PLACES["1-entry"], "TK1X", seen=seen, turned=turned)


@pytest.mark.parametrize(
    ("ticket", "came", "fault"),
    [
        (DAY, visitor(Outcome.GRANT, Reason.NONE, turned=True), ""),
        (LATE, visitor(Outcome.DENY, Reason.EXPIRED, turned=False), ""),
        (DAY, visitor(Outcome.GRANT, Reason.NONE, turned=False), "the arm did not turn"),
        (LATE, visitor(Outcome.DENY, Reason.EXPIRED, turned=True), "the arm turned"),
        (LATE, visitor(Outcome.DENY, Reason.TOO_EARLY, turned=False), "the gate said DENY TOO_EARLY"),
        (LATE, visitor(Outcome.GRANT, Reason.NONE, turned=True), "the gate said GRANT NONE"),
        (DAY, Visitor(1, PLACES["1-entry"], "TK1X"), "the gate did not answer"),
    ],
)
def test_the_self_check_tells_right_from_wrong(ticket: DemoTicket, came: Visitor, fault: str) -> None:
    assert script.judge(ticket, came) == fault
