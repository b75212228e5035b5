"""Who goes through a wide gate together: a wheelchair and its companion on one ticket that admits both."""

from admission.entitlements import Mode
from admission.question import Verdict
from admission.records import Direction, Flag, Outcome

_ALONE = Flag.REENTRY | Flag.AFTER_RESTART
"""Whoever comes in again, after an alarm or a restart, does so for himself: the entries that are named are one each."""


def together(verdict: Verdict, mode: Mode, companions: int) -> int:
    """Return how many people one presentation lets through at once: 1, and up to `companions` more.

    No more than the ticket admits besides those who used it or are inside, and no more than its product's limits leave. A
    place that is not taken is given back at the window's end. Room in the zone is judged for one, so a companion may be one
    too many in a full house: who comes with a wheelchair is not sent away from beside it.
    """
    candidate = verdict.candidate
    entry = verdict.outcome is Outcome.GRANT and verdict.direction is not Direction.EXIT
    if not entry or candidate is None or verdict.repeated or verdict.flags & _ALONE:
        return 1
    tally, product = candidate.tally, candidate.product
    taken = tally.inside if mode is Mode.MULTIPLE else max(tally.uses_session, tally.inside)
    left = [candidate.ticket.admits - taken]
    for limit, uses in (
        (product.limit_session, tally.uses_session),
        (product.limit_day, tally.uses_day),
        (product.limit_total, tally.uses_total),
    ):
        if limit:
            left.append(limit - uses)
    return max(1, min(1 + companions, *left))
