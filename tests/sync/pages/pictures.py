"""Pictures of the organizer's pages for the README: `python -m tests.sync.pages.pictures FOLDER`.

An evening at the demo venue, in light colours, on a desk and on a phone.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from admission.entitlements import Mode, Ticket
from admission.ids import GateId, ProductId, TicketId
from admission.reasons import Reason
from admission.records import Direction, Flag
from sync import demo
from sync.demo import ARENA, EVENT, MAIN_GATE, TERRACE, TERRACE_GATE
from sync.demo_sales import make_sales
from sync.events.rows import GROUP
from sync.gates import roster
from sync.tickets import changes, rows
from tests.sync.pages.evening import GateLog, busy, enrolled
from tests.sync.pages.seat import DESK, EVENT_PATH, PHONE, browser, house, seat
from tests.sync.venue import Venue, query

SOLD_S = 3 * 86_400
"""How long before the evening the demo customers bought."""
NOT_YET = 260
"""People who are expected and have not come."""
EAST = GateId(3)
ADA = 2**32
"""The first customer of the demo's sales."""


def sell_to_whoever_came(venue: Venue) -> None:
    """Have a ticket for everybody who came, and for some who did not."""
    came = [int(str(row[0])) for row in query(venue, "SELECT DISTINCT ticket FROM presence ORDER BY ticket")]
    held = {row[0] for row in query(venue, f"SELECT id FROM ticket WHERE event_id = {EVENT}")}
    numbers = [one for one in (*came, *range(600_001, 600_001 + NOT_YET)) if one not in held]
    made = [
        Ticket(
            TicketId(one),
            EVENT,
            ProductId(1 + one % 5),
            session=demo.TODAY,
            zones=() if one % 2 else (TERRACE,),
        )
        for one in numbers
    ]
    with changes.change(venue.centre.database, [EVENT], venue.now_s) as connection:
        rows.add_tickets(connection, EVENT, made, [])


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        async with house(Path(data) / "centre") as venue, browser() as chromium:
            make_sales(venue.centre.database, venue.centre.keys, venue.now_s - SOLD_S)
            with venue.centre.database.writing() as connection:
                roster.add_gate(connection, roster.Gate(EAST, "East gate", (ARENA,)), (), GROUP)
                enrolled(connection, EAST)
                ada = GateLog(EAST, EVENT)
                ada.deny(Reason.WRONG_ZONE, venue.now_s - 1_700, ticket=3)
                ada.enter(3, 2, ARENA, venue.now_s - 1_640, mode=Mode.ENTRY_EXIT)
                ada.enter(3, 2, ARENA, venue.now_s - 610, way=Direction.EXIT, mode=Mode.ENTRY_EXIT)
                ada.enter(3, 2, ARENA, venue.now_s - 160, mode=Mode.ENTRY_EXIT, flags=Flag.REENTRY)
                ada.push(connection, venue.now_s)
                busy(connection, EVENT, (MAIN_GATE, TERRACE_GATE), (ARENA, TERRACE), venue.now_s)
            sell_to_whoever_came(venue)
            for size, name, whole in ((DESK, "", True), (PHONE, "-phone", False)):
                async with seat(chromium, venue.url, size) as s:
                    await s.sign_in()
                    await s.go(f"{EVENT_PATH}/board")
                    await s.page.wait_for_selector("#chart canvas")
                    await s.page.screenshot(path=folder / f"board{name}.png", full_page=whole)
                    await s.go(f"/customers/{ADA}")
                    await s.page.wait_for_selector(".way")
                    await s.page.screenshot(path=folder / f"customer{name}.png", full_page=whole)
                    assert s.trouble == [], s.trouble


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
