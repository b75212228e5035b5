"""The demo without a person: every demo ticket at its reader, and what the gate says held against what it must say."""

import asyncio
from collections.abc import Callable

from admission.credentials import Medium
from admission.reasons import Reason
from admission.records import Kind, Outcome
from edge.link import Part
from sync.demo import DemoTicket
from tests.venue.people import PLACES, Pace, Visitor
from tests.venue.programs import VenueFault
from tests.venue.venue import Venue

BRISK = Pace(walk_s=0.35, clear_s=0.0, leave_s=0.0, check_s=0.0)
"""Nobody walks through while the pulse that released the arm (300 ms) is still on."""
SENT_S = 20.0
"""Within this time everything is at the centre; it takes one."""

Say = Callable[[str], None]


async def check(venue: Venue, say: Say) -> int:
    """Present every ticket once at lane 1's entry; returns how many got a wrong answer. VenueFault where records lack."""
    wrong = 0
    for ticket in venue.tickets:
        fault = judge(ticket, await present(venue, ticket))
        wrong += bool(fault)
        expected = (
            "let in" if ticket.outcome is Outcome.GRANT else f"{ticket.outcome.name} {ticket.reason.name}"
        )
        say(
            f"{'WRONG' if fault else 'ok':5}  {ticket.key:14} {expected.lower():26} {fault or ticket.label_en}"
        )
    granted = sum(1 for ticket in venue.tickets if ticket.outcome is Outcome.GRANT)
    if not wrong:
        await records_are_there(venue, len(venue.tickets), granted)
    say(f"{len(venue.tickets)} tickets, {granted} turned the arm, {wrong} got a wrong answer")
    return wrong


async def present(venue: Venue, ticket: DemoTicket) -> Visitor:
    """Have somebody come with a ticket, and wait until they are through or gone."""
    place = PLACES["1-tags" if ticket.medium is Medium.UID else "1-entry"]
    visitor = await venue.people.come(place, ticket.data)
    assert visitor.task is not None
    await asyncio.wait((visitor.task,))
    return visitor


def judge(ticket: DemoTicket, visitor: Visitor) -> str:
    """Return what was wrong with the answer to a ticket; "" where it was right."""
    if visitor.seen is None:
        return "the gate did not answer"
    said = (Outcome(visitor.seen.outcome), Reason(visitor.seen.reason))
    if said != (ticket.outcome, ticket.reason):
        return f"the gate said {said[0].name} {said[1].name}"
    if visitor.turned is not (ticket.outcome is Outcome.GRANT):
        return "the arm turned" if visitor.turned else "the arm did not turn"
    return ""


async def records_are_there(venue: Venue, scans: int, passages: int) -> None:
    """Wait until the log holds every scan and passage and the centre has them all."""
    counted: dict[Kind, int] = {}
    queued: object = "nothing"
    try:
        async with asyncio.timeout(SENT_S):
            while True:
                counted = venue.records.count()
                queued = queued_at(venue)
                if (counted.get(Kind.SCAN, 0), counted.get(Kind.PASSAGE, 0), queued) == (scans, passages, 0):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise VenueFault(
            f"of {scans} scans and {passages} passages the log holds {counted.get(Kind.SCAN, 0)} and"
            f" {counted.get(Kind.PASSAGE, 0)}; {queued} wait for the centre"
        ) from None


def queued_at(venue: Venue) -> object:
    """Return how many records the uplink says are not at the centre yet; None where it is not connected."""
    tiles = venue.status.tiles if venue.status else ()
    return next(
        (tile.args.get("queued") for tile in tiles if tile.part is Part.UPLINK and tile.code == "uplink.ok"),
        None,
    )
