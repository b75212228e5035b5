"""Nobody with a good ticket is refused for our faults, but by a stated policy: each refusal is held against what was so."""

from collections.abc import Iterator

from admission.entitlements import Mode, OfflinePolicy, Standing
from admission.ids import SessionId, ZoneId
from admission.reasons import Reason
from admission.records import Direction, Outcome
from tests.sim.bands import is_band, may_be_replaced, should_open
from tests.sim.evidence import Evidence, known_presence
from tests.sim.history import Shown, StandingWord
from tests.sim.people import LEAVES_S, PATIENCE_S
from tests.sim.premises import BOX, EVENT, PRODUCT_OF, TICKETS, TODAY, UNSOLD, plans_of, ticket_of

SETTLES_S = 12.0
"""So long after a fault ended what it left behind may still be so: retries every second, a list tried again in 5."""
UNHEARD_S = 90.0
"""A gate may take others for not heard so long after a cut: they must have pushed, and it must have asked."""
UNSEEN_S = 2.0
OPENING_S = 20.0
BUSY_S = 10.0
"""An arm is no longer taken by whom it was released for: the window is 6.5 s, and a latecomer has 3 more."""
THROUGH_S = 5.0
"""By then all before must be through for somebody to be asked again while still standing there."""


def refusals(at: Evidence) -> Iterator[str]:
    """Look at every presentation at an entry that was not let in."""
    for shown in at.history.shown:
        if shown.way is not Direction.ENTRY or shown.admitted:
            continue
        if shown.answer is None:
            if _should_be_answered(at, shown):
                yield f"never answered: {_say(shown)}"
            continue
        if shown.answer.outcome not in {Outcome.DENY, Outcome.CHECK}:
            continue
        reason = Reason(shown.answer.reason)
        if not _is_right(at, shown, reason):
            yield f"refused as {reason.name.lower()}: {_say(shown)}"


def waits(at: Evidence) -> Iterator[str]:
    """Whoever waits for another to pass is asked again when that one is through."""
    for shown in at.history.shown:
        answer = shown.answer
        if (
            answer is None
            or shown.admitted
            or answer.outcome is not Outcome.WAIT
            or answer.reason != Reason.BUSY
        ):
            continue
        passing = [
            one
            for one in at.history.releases
            if (one.card, one.body.lane) == (shown.card, shown.lane)
            and shown.at_s - BUSY_S < one.at_s < shown.at_s + PATIENCE_S
        ]
        through = all(
            one.seen and one.walked_s is not None and one.walked_s < shown.at_s + THROUGH_S for one in passing
        )
        if passing and through and not _held_up(at, shown):
            yield f"waited, and never asked again: {_say(shown)}"


def _held_up(at: Evidence, shown: Shown) -> bool:
    """Whether devices or program were away, the card hung, or the lane was closed, while somebody stood there."""
    until_s = shown.at_s + PATIENCE_S + LEAVES_S
    troubles = ("relay", "contacts", "reader", "card hangs", "card fails", "off", "closed", "fire")
    return any(
        at.history.was(what, where, shown.at_s - SETTLES_S, until_s)
        for what in troubles
        for where in (shown.card, f"gate {shown.gate}")
    ) or any(
        boot.card == shown.card
        and boot.began_s <= until_s
        and (boot.began_s >= shown.at_s - SETTLES_S or (boot.ended_s or until_s) < until_s)
        and (boot.ended_s is None or boot.ended_s >= shown.at_s - SETTLES_S)
        for boot in at.history.boots
    )


def _is_right(at: Evidence, shown: Shown, reason: Reason) -> bool:
    """Whether a refusal is what the venue's rules, or a policy for its troubles, say."""
    match reason:
        case Reason.UNKNOWN | Reason.REPLACED | Reason.INACTIVE_TAG if is_band(
            shown.code
        ) and not should_open(at, shown):
            return True
        case Reason.REPLACED if may_be_replaced(at, shown):
            return True
        case Reason.UNKNOWN | Reason.UNKNOWN_ISSUER:
            stranger = shown.ticket == 0 and reason is Reason.UNKNOWN
            return stranger or _may_be_unknown(at, shown)
        case Reason.REPLACED | Reason.INACTIVE_TAG if any(
            word.code == shown.code and word.standing and word.at_s <= shown.answered_s
            for word in at.history.code_words
        ):
            return True
        case Reason.CANCELLED | Reason.BANNED | Reason.REPLACED:
            wanted = Standing[reason.name]
            return any(
                word.standing == wanted
                and word.at_s <= shown.answered_s
                and not _is_taken_back(at, shown, word)
                for word in at.history.standing_words
                if word.ticket == shown.ticket
            )
        case Reason.WRONG_ZONE:
            return _zone(shown) == BOX and BOX not in PRODUCT_OF[ticket_of(shown.ticket).product].zones
        case Reason.ALREADY_USED | Reason.ALREADY_INSIDE | Reason.LIMIT_REACHED:
            return any(_is_used(at, shown, *each) for each in at.history.moments(shown))
        case Reason.OFFLINE:
            return _may_be_unheard(at, shown)
        case Reason.NOT_READY:
            return _may_be_not_ready(at, shown)
        case (
            Reason.UNLISTED
        ):  # never sold, and the gate has a list that would name it; or that cannot be read
            if at.history.was("card fails", shown.card, shown.at_s - SETTLES_S, shown.answered_s):
                return True
            heard = any(card == shown.card for _, card, _, _ in at.history.sealed)
            return shown.ticket >= UNSOLD and (heard or shown.card in at.history.listed)
        case _:
            return False


def _may_be_unknown(at: Evidence, shown: Shown) -> bool:
    """Whether it is a code, or signed by a key, of which the gate may not have heard yet, or that the centre forgot."""
    words = [word for word in at.history.code_words if word.code == shown.code and not word.standing]
    return bool(words) and not any(
        word.acked.get(shown.card, shown.at_s) < shown.at_s and word.void_s is None for word in words
    )


def _is_taken_back(at: Evidence, shown: Shown, word: StandingWord) -> bool:
    """Whether the gate had said that it holds a later word of the same ticket."""
    return any(
        later.ticket == word.ticket
        and later.at_s > word.at_s
        and later.void_s is None
        and later.acked.get(shown.card, shown.at_s) < shown.at_s
        for later in at.history.standing_words
    )


def _zone(shown: Shown) -> ZoneId:
    return next(plan.zone for plan in plans_of(shown.gate) if plan.lane == shown.lane)


def _is_used(at: Evidence, shown: Shown, latest: int, earliest: int) -> bool:
    """Whether the gate may have known, between two moments, of as many uses or people as the ticket has."""
    ticket = ticket_of(shown.ticket)
    product, zone = PRODUCT_OF[ticket.product], _zone(shown)
    history, card = at.history, shown.card
    known = known_presence(
        at,
        (EVENT, ticket.id),
        lambda name: history.may_know(card, name, latest),
        lambda name: history.knew(card, name, earliest) and not history.is_quarantined(name),
    )
    if known.frozen(zone, SessionId(TODAY)):
        return False  # an alarm sent somebody of the ticket out, who may come in again
    uses, inside = known.uses(zone, SessionId(TODAY)), known.inside(zone)
    if product.mode is Mode.NORMAL:
        return uses >= ticket.admits
    modes = {product.mode, *at.history.modes.get((shown.gate, shown.lane), ())}
    if Mode.ENTRY_EXIT in modes and inside >= ticket.admits:
        return True
    return product.mode is Mode.MULTIPLE and 0 < product.limit_day <= uses


def _may_be_unheard(at: Evidence, shown: Shown) -> bool:
    product = PRODUCT_OF[ticket_of(shown.ticket).product]
    if product.offline is OfflinePolicy.ADMIT_AND_FLAG and shown.ticket <= TICKETS:
        return False
    since_s, until_s = shown.at_s - UNHEARD_S, shown.answered_s
    return (
        shown.at_s < OPENING_S
        or any(
            one.what in {"cut off", "poor link", "off", "card fails", "card hangs", "shut out"}
            and one.overlaps(since_s, until_s)
            for one in at.history.conditions
        )
        or any(
            boot.ended_s is not None and boot.ended_s > since_s and boot.ended_s < until_s
            for boot in at.history.boots
        )
    )


def _may_be_not_ready(at: Evidence, shown: Shown) -> bool:
    since_s, until_s = shown.at_s - SETTLES_S, shown.answered_s
    boots = [
        boot for boot in at.history.boots if boot.card == shown.card and boot.began_s <= shown.answered_s
    ]
    if shown.answered_s - boots[-1].began_s < at.history.starts_s:
        return True
    troubles = ("closed", "relay", "ready contact", "card fails", "card hangs", "fire")
    return at.history.was("closed", f"gate {shown.gate}", since_s, until_s) or any(
        at.history.was(what, shown.card, since_s, until_s) for what in troubles
    )


def _should_be_answered(at: Evidence, shown: Shown) -> bool:
    """Whether nothing explains that there was no answer at all."""
    until_s = shown.at_s + 7.0
    ended = any(
        boot.card == shown.card and boot.ended_s is not None and shown.at_s - 1.0 <= boot.ended_s <= until_s
        for boot in at.history.boots
    )
    starting = any(
        boot.card == shown.card and 0.0 <= shown.at_s - boot.began_s < at.history.deaf_s
        for boot in at.history.boots
    )
    return not ended and not starting and shown.gave_up and not _is_shown_still(at, shown)


def _is_shown_still(at: Evidence, shown: Shown) -> bool:
    """Whether the same code was before that reader a moment ago: it is the same presentation until it was unseen for 2 s."""
    return any(
        (one.card, one.lane, one.reader, one.ticket) == (shown.card, shown.lane, shown.reader, shown.ticket)
        and one is not shown
        and (one.at_s, one.order)
        <= (shown.at_s, shown.order)  # a refusal that is counted with others leaves no record
        and _left_s(one) + UNSEEN_S > shown.at_s
        for one in (*at.history.shown, *at.history.unheard)
    )


def _left_s(shown: Shown) -> float:
    """Return when whoever showed something took it away: who is to wait, or was granted what the card did not take in time,
    stands there as one who was not answered does."""
    is_granted_alone = (
        shown.answer is not None and shown.answer.outcome is Outcome.GRANT and not shown.admitted
    )
    if shown.answer is None or shown.answer.outcome is Outcome.WAIT or is_granted_alone:
        return shown.at_s + PATIENCE_S + LEAVES_S
    return shown.answered_s


def _say(shown: Shown) -> str:
    return f"ticket {shown.ticket} at lane {shown.lane} of {shown.card}, {shown.at_s:.3f} s"
