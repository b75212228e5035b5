"""What a gate owes whose list is old, and what every other one: who is let in by signature alone, and whom a policy keeps out.

A ticket that the centre's list does not hold was never sold to anybody we know. A gate that heard the centre after it was
signed has a list that would name it, and has staff look; one that did not takes it for sold since, and says so.
"""

from collections.abc import Iterator

from admission.entitlements import OfflinePolicy
from admission.records import Direction, Flag, Kind
from tests.sim.evidence import Evidence
from tests.sim.history import History, Release
from tests.sim.premises import BOX, PRODUCT_OF, UNSOLD, UNSOLD_AGE_S, ticket_of

SLACK_S = 300
"""A ticket signed so shortly before the list was sealed may be under way (`admission.rules.LIST_CUT_SLACK_S`)."""
_CUT_OFF_S = {"cut off": 36.0, "no roster": 0.0}
"""A gate whose link is down for so long treats the others as not heard: 30 s, and what was under way;
one that began so never heard any."""


def staleness(at: Evidence) -> Iterator[str]:
    """Look at every entry that a list should have decided, and at those of gates that are cut off."""
    for one in at.history.releases:
        if one.way is not Direction.ENTRY or one.body.kind is not Kind.SCAN or not one.ticket:
            continue
        where = f"ticket {one.ticket} at {one.card}, {one.at_s:.3f} s"
        if one.ticket >= UNSOLD:
            if not one.body.flags & Flag.UNLISTED:
                yield f"in no list, and let in without a word: {where}"
            if knows_better(at.history, one.card, one.boot, one.made_s):
                yield f"in no list, and let in by one that is newer than it: {where}"
        if _is_cut_off(at, one) and not _may_enter(at, one):
            yield f"cut off, and let in against the policy of its product: {where}"


def knows_better(history: History, card: str, boot: int, at_s: float) -> bool:
    """Whether a gate heard in this run how far its list goes, and that is past when an unsold ticket was signed."""
    return any(
        heard_at_s < at_s and (one, number) == (card, boot) and _is_past(history, sealed_at_s)
        for heard_at_s, one, number, sealed_at_s in history.sealed
    )


def _is_past(history: History, sealed_at_s: int) -> bool:
    return sealed_at_s - SLACK_S >= history.began_at_s - UNSOLD_AGE_S


def _is_cut_off(at: Evidence, one: Release) -> bool:
    return not at.history.near and any(
        condition.where == one.card
        and condition.since_s + _CUT_OFF_S.get(condition.what, one.made_s) < one.made_s
        and (condition.until_s is None or condition.until_s > one.made_s)
        for condition in at.history.conditions
    )


def _may_enter(at: Evidence, one: Release) -> bool:
    ticket = ticket_of(one.ticket or 0)
    match PRODUCT_OF[ticket.product].offline:
        case OfflinePolicy.ADMIT_AND_FLAG:
            return True
        case OfflinePolicy.HOME_GATE_ONLY if ticket.home_gate == at.gates[one.card].id:
            return True
        case _:
            return one.body.zone == BOX  # served by one gate only


__all__ = ["knows_better", "staleness"]
