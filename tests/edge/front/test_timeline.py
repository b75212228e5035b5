"""One ticket over all gates, told at the lane."""

from pathlib import Path

import pytest

from admission.ids import Epoch, EventId, GateId, LaneId, RecordId, TicketId
from admission.observed import PresenceRow, Role, State
from admission.reasons import Language
from admission.records import Direction, Flag, Kind, Outcome, Record, ticket_subject
from edge.front.timeline import of_number, of_record
from edge.front.view import timeline_view
from edge.store.log import LogStore
from edge.store.log_schema import Batch, ListVersion, StoredRecord
from tests.edge.front.fake_lane import EPOCH, NOW_S, TICKET, seen
from tests.edge.front.rig import rig
from tests.edge.front.test_page_browser import CONTRAST, DESK, PHONE, SMALL, WIDE, seat
from tests.edge.rig import GATE, code, quick, row, running
from tests.edge.test_others import OTHER, entry, slice_of
from tests.sync.logs import EpochLog

PICTURES = Path(__file__).resolve().parents[3] / "build"
EVENT, NUMBER = EventId(1), TicketId(int(TICKET))
HERE, SOUTH = GateId(7), GateId(2)


def kept(data: Path, *events: EventId) -> None:
    """Lay down a log of gate 7 in which one ticket came in at the other gate, left, and was let in again here."""
    at_us = int((NOW_S - 5400) * 1e6)
    subject = ticket_subject(EVENT, NUMBER, 1)  # type: ignore[arg-type]  # a product's number
    scan = Record(
        Kind.SCAN, 6, at_us, 0, LaneId(1), outcome=Outcome.GRANT, direction=Direction.ENTRY, flags=Flag.TICKET,
        subject=subject,
    )  # fmt: skip
    south, here = Epoch(7), Epoch(EPOCH)

    def told(gate: GateId, epoch: Epoch, seq: int, role: Role, minutes: int, **more: object) -> PresenceRow:
        time_us = at_us + minutes * 60_000_000
        return PresenceRow(EVENT, NUMBER, RecordId(gate, epoch, seq), role, time_us, lane=LaneId(1), **more)  # type: ignore[arg-type]  # fields by name

    entry_at, exit_at, again = RecordId(SOUTH, south, 2), RecordId(SOUTH, south, 4), RecordId(HERE, here, 6)
    rows = (
        told(SOUTH, south, 2, Role.ENTRY, 0, way=Direction.ENTRY, flags=int(Flag.FLAGGED | Flag.UNSURE)),
        told(SOUTH, south, 3, Role.STATE, 0, state=State.COMMITTED, way=Direction.ENTRY, names=(entry_at,)),
        told(SOUTH, south, 4, Role.EXIT, 41, way=Direction.EXIT, names=(entry_at,)),
        told(SOUTH, south, 5, Role.STATE, 41, state=State.COMMITTED, way=Direction.EXIT, names=(exit_at,)),
        told(HERE, here, 6, Role.ENTRY, 58, way=Direction.ENTRY, flags=int(Flag.REENTRY)),
        told(HERE, here, 7, Role.STATE, 58, state=State.GIVEN_BACK, names=(again,)),
    )
    elsewhere = tuple(
        PresenceRow(event, NUMBER, RecordId(HERE, here, 9), Role.ENTRY, at_us, way=Direction.ENTRY)
        for event in events
    )
    store = LogStore.open(data)
    try:
        versions = tuple(ListVersion(event, 1, 1, 0, bytes(16)) for event in (EVENT, *events))
        record = StoredRecord(HERE, here, 6, scan.to_bytes())
        store.append([Batch(1, (record,), presence=rows + elsewhere, list_versions=versions)])
    finally:
        store.close()


async def test_what_another_gate_did_stands_beside_our_own(tmp_path: Path) -> None:
    log = EpochLog(Epoch(7), OTHER).begin().scans(3)
    async with running(tmp_path, [row(1), row(2)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(1))
        await gate.walk()
        scan = await gate.recorded(Kind.SCAN)
        await gate.recorded(Kind.PASSAGE)
        assert (await gate.do(slice_of(log, 1, 4, entry(1)))).ok
        assert await gate.daemon.journal.saved(5)
        epoch = gate.daemon.journal.epoch
        (story,) = of_record(gate.data, GATE, epoch, scan.seq)
        assert [(one.gate, one.code) for one in story.rows] == [
            (OTHER, "timeline.entry"),
            (GATE, "timeline.entry"),
            (GATE, "timeline.passed"),
        ]
        assert of_number(gate.data, story.ticket) == (story,), "its number tells the same as its scan"
        assert of_number(gate.data, row(2).ticket) == ()
        status = gate.daemon.status.full()
        (said,) = timeline_view([story], status, Language.EN)
        assert said.title == f"Ticket {story.ticket}"
        assert said.rows[0].text == "Gate 2: let in", "a gate whose name is not known goes by its number"
        assert said.rows[2].text.endswith(": passed")
        restart = 1
        assert of_record(gate.data, GATE, epoch, restart) == ()
        assert of_record(gate.data, GateId(9), epoch, scan.seq) == ()


async def test_it_is_told_behind_the_pin_and_to_nobody_else(tmp_path: Path) -> None:
    kept(tmp_path, EventId(3))
    async with rig(tmp_path) as r, r.browser() as session:
        paths = (f"/api/timeline/{EPOCH:016x}/6", f"/api/timeline/{TICKET}")
        for path in paths:
            async with session.get(path) as answer:
                assert answer.status == 401
        await r.log_in(session)
        async with session.get(paths[0]) as answer:
            (story,) = await answer.json()
        assert [one["text"] for one in story["rows"]] == [
            "Süd: let in · flagged · unsure: gates cut off",
            "Süd: passed",
            "Süd: exit opened",
            "Süd: left",
            "Nord: let in again",
            "Nord: did not pass",
        ]
        async with session.get(paths[1]) as answer:
            titles = [one["title"] for one in await answer.json()]
        assert titles == [f"Ticket {TICKET} · event 1", f"Ticket {TICKET} · event 3"], (
            "numbers are dense per event, so two events may have the same"
        )
        for none in (f"/api/timeline/{EPOCH:016x}/5", "/api/timeline/1", f"/api/timeline/{2**64}"):
            async with session.get(none) as answer:
                assert answer.status == 409
                assert (await answer.json())["code"] == "timeline.none"
        async with session.get("/api/timeline/xyz/5") as answer:
            assert answer.status == 404


@pytest.mark.browser
@pytest.mark.parametrize(
    ("size", "scheme", "locale"),
    [(PHONE, "light", "de-CH"), (PHONE, "dark", "en-GB"), (DESK, "dark", "de-CH"), (DESK, "light", "en-GB")],
)
async def test_a_steward_presents_a_ticket_or_types_its_number(
    tmp_path: Path, size: dict[str, int], scheme: str, locale: str
) -> None:
    kept(tmp_path)
    async with seat(tmp_path, size, locale=locale, scheme=scheme) as s:
        page = s.page
        assert await page.locator(".story:visible").count() == 0
        assert not await page.locator("#one").is_visible()
        await s.log_in()
        s.rig.lane.hub.push(seen(6, flags=int(Flag.REENTRY)))
        row_of = page.locator("#scans > li").first
        await row_of.locator(".story").click()
        await row_of.locator(".told li >> nth=5").wait_for()
        assert "Süd" in await row_of.locator(".told li").first.inner_text()
        await page.fill("#story-of [name=number]", TICKET)
        await page.press("#story-of [name=number]", "Enter")
        await page.wait_for_selector(f"#story h3:has-text('Ticket {TICKET}')")
        assert await page.locator("#story li").count() == 6
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(SMALL) == []
        assert await page.evaluate(WIDE) == []
        name = f"timeline-{'phone' if size is PHONE else 'desk'}-{scheme}"
        await page.locator("#one").screenshot(path=PICTURES / f"{name}.png")
        await row_of.screenshot(path=PICTURES / f"{name}-row.png")
        await row_of.locator(".story").click()
        await row_of.locator(".told li").first.wait_for(state="detached")
        # Whoever locks the page leaves nothing of anybody's evening on it.
        await page.click("#lock")
        await page.wait_for_selector("#one", state="hidden")
        assert await page.locator("#story li, .told li").count() == 0
        assert TICKET not in await page.inner_text("main")
        assert s.trouble == []
