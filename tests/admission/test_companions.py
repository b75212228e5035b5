"""How many people one presentation lets through at a gate for wheelchairs."""

import pytest

from admission.companions import together
from admission.entitlements import Mode, Product, Ticket
from admission.ids import EventId, HolderId, ProductId, TicketId
from admission.question import Candidate, Tally, Verdict
from admission.records import Direction, Flag, Outcome


def verdict(
    admits: int = 2,
    tally: Tally | None = None,
    *,
    outcome: Outcome = Outcome.GRANT,
    direction: Direction = Direction.ENTRY,
    flags: Flag = Flag.NONE,
    limit: int = 0,
) -> Verdict:
    product = Product(ProductId(1), EventId(1), "Day", limit_session=limit)
    ticket = Ticket(TicketId(1), EventId(1), ProductId(1), HolderId(1), admits=admits)
    candidate = Candidate(ticket, product, tally or Tally())
    return Verdict(outcome, direction=direction, candidate=candidate, flags=flags)


@pytest.mark.parametrize(
    ("given", "mode", "companions", "people"),
    [
        (verdict(), Mode.NORMAL, 1, 2),
        (verdict(), Mode.NORMAL, 0, 1),
        (verdict(admits=1), Mode.NORMAL, 1, 1),
        (verdict(admits=5), Mode.NORMAL, 1, 2),
        (verdict(admits=5), Mode.NORMAL, 3, 4),
        (verdict(tally=Tally(uses_session=1)), Mode.NORMAL, 1, 1),
        (verdict(tally=Tally(uses_session=1, inside=0)), Mode.ENTRY_EXIT, 1, 1),
        (verdict(tally=Tally(inside=1)), Mode.ENTRY_EXIT, 1, 1),
        (verdict(tally=Tally(uses_session=9)), Mode.MULTIPLE, 1, 2),
        (verdict(tally=Tally(uses_session=9, inside=1)), Mode.MULTIPLE, 1, 1),
        (verdict(limit=1), Mode.NORMAL, 1, 1),
        (verdict(admits=4, limit=2), Mode.NORMAL, 3, 2),
        (verdict(outcome=Outcome.DENY), Mode.NORMAL, 1, 1),
        (verdict(outcome=Outcome.CHECK), Mode.NORMAL, 1, 1),
        (verdict(direction=Direction.EXIT), Mode.NORMAL, 1, 1),
        (verdict(flags=Flag.REENTRY), Mode.ENTRY_EXIT, 1, 1),
        (verdict(flags=Flag.AFTER_RESTART | Flag.FLAGGED), Mode.NORMAL, 1, 1),
        (Verdict(Outcome.GRANT), Mode.NORMAL, 1, 1),
    ],
)
def test_as_many_as_the_ticket_has_left(given: Verdict, mode: Mode, companions: int, people: int) -> None:
    assert together(given, mode, companions) == people
