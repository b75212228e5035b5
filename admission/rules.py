"""The entry rules for one ticket, in the order of DESIGN.md (Deciding): the first that hits is the answer.

Each rule is a pure function of (candidate, question) and gives `Reason.NONE` where it has nothing to say. They run at
the door with every scan, so they look at whole flag words before they take them apart (IntFlag operations are slow).
"""

from collections.abc import Callable
from typing import Final

from admission.credentials import Known, SignedClaims
from admission.entitlements import (
    Attention,
    CredentialStanding,
    LanePlan,
    Mode,
    OfflinePolicy,
    Standing,
    Ticket,
)
from admission.ids import GateId, RecordId, SessionId, ZoneId
from admission.keys import IssuerKey, KeyStatus
from admission.question import Candidate, Question, Verdict
from admission.reasons import Reason
from admission.records import Direction, Flag, Outcome, Trust

CLOCK_SLACK_S: Final = 600
"""Visitors come a little early and clocks differ: validity in hours is judged with 10 min on either side."""
LIST_CUT_SLACK_S: Final = 300
"""A sale and the sealing of a list overlap: a signed ticket up to 5 min older than the seal may be missing in it."""

SESSION_MAX: Final = 2**16 - 1
"""A record has 16 bits for the session (admission.records); pretix numbers its subevents beyond them."""

Rule = Callable[[Candidate, Question], Reason]

_STANDINGS: Final = (
    (Standing.CANCELLED, Reason.CANCELLED),
    (Standing.REPLACED, Reason.REPLACED),
    (Standing.BANNED, Reason.BANNED),
    (Standing.REDEEMED, Reason.REDEEMED),
    (Standing.UNPAID, Reason.UNPAID),
    (Standing.UNAPPROVED, Reason.UNAPPROVED),
)
_ATTENTIONS: Final = (
    (Attention.ID, Reason.CHECK_ID),
    (Attention.REDUCED_FARE, Reason.CHECK_REDUCED_FARE),
    (Attention.NOTE, Reason.CHECK_NOTE),
)
_CALL_STAFF_INSIDE: Final = frozenset((Reason.CANCELLED, Reason.BANNED, Reason.BANNED_TAG))
_SHOW_LAST_USE: Final = frozenset((Reason.ALREADY_USED, Reason.ALREADY_INSIDE, Reason.LIMIT_REACHED))


def session_for(ticket: Ticket, plan: LanePlan) -> SessionId:
    """Return the session this ticket would use at a lane with this plan, 0 where the plan has none for it.

    A ticket for any session (0) takes the first of its event in plan order. A plan entry with session 0 serves any
    session of that event. A candidate's `Tally` is that of the session named here. 0 too for a session that no record
    can hold: the rules still judge it as it is.
    """
    session = _planned(ticket, plan)
    return SessionId(0) if session is None or session > SESSION_MAX else session


def _planned(ticket: Ticket, plan: LanePlan) -> SessionId | None:
    """Tell "any session" (0) from no session at all (None)."""
    event, wanted = ticket.event, ticket.session
    for at, session in plan.sessions:
        if at == event:
            if not wanted:
                return session
            if session == wanted or not session:
                return wanted
    return None


def mode_for(candidate: Candidate | None, plan: LanePlan) -> Mode:
    """Return the mode a ticket is judged by at a lane with this plan: its product may only narrow the plan's."""
    return plan.mode if candidate is None else min(plan.mode, candidate.product.mode)


def direction_flag(question: Question) -> Flag:
    """Return `INFERRED` where the reader did not say which way."""
    return Flag.INFERRED if question.direction is Direction.NONE else Flag.NONE


def judge(candidate: Candidate, question: Question) -> Verdict:
    """Judge one ticket at an entry by all rules. Lane, identity and choice between tickets are `decide()`'s."""
    for rule in _RULES:
        reason = rule(candidate, question)
        if reason is not Reason.NONE:
            return _denied(candidate, question, reason)
    flags = _take_use(candidate, question)
    if flags is Reason.OFFLINE and question.asking:
        return _answer(candidate, question, Outcome.WAIT, Reason.ASKING)
    if isinstance(flags, Reason):
        return _denied(candidate, question, flags)
    check = _check(candidate, question, flags)
    plan = question.lane.plan
    if check is not Reason.NONE and not plan.attended:
        return _answer(candidate, question, Outcome.DENY, check, alert_staff=True)
    if candidate.tally.exit_pending:
        return _answer(candidate, question, Outcome.WAIT, Reason.EXIT_PENDING)
    if question.lane.busy:
        return _answer(candidate, question, Outcome.WAIT, Reason.BUSY)
    # whoever is let in after a restart, by us or by the steward, names the reservation, so that both count as one; who
    # comes in again after an alarm names the entry that it froze, so that nobody else does for him
    caught = (
        candidate.tally.unresolved_ids[:1]
        if flags and flags & Flag.AFTER_RESTART
        else candidate.tally.frozen[:1]
    )
    if check is not Reason.NONE:
        return _answer(candidate, question, Outcome.CHECK, check, observed=caught)
    if not candidate.listed:
        flags |= Flag.UNLISTED
    return Verdict(
        Outcome.GRANT,
        direction=Direction.ENTRY,
        candidate=candidate,
        session=session_for(candidate.ticket, plan),
        flags=flags | direction_flag(question),
        observed=caught,
    )


# --- steps 3 to 7: who it is, what it is worth, when and where -------------------------------------------------------


def _identity(candidate: Candidate, question: Question) -> Reason:
    if not candidate.listed and isinstance(question.identity, Known):
        claims, key = question.identity.claims, question.identity.key
        if claims is not None and key is not None and not _key_vouches(key, claims):
            return Reason.UNKNOWN_ISSUER
    standing = candidate.credential
    if standing:
        if standing & CredentialStanding.BANNED_TAG:
            return Reason.BANNED_TAG
        if standing & CredentialStanding.INACTIVE_TAG:
            return Reason.INACTIVE_TAG
    return Reason.NONE


def _key_vouches(key: IssuerKey, claims: SignedClaims) -> bool:
    """Whether the signature alone may stand for a ticket that no list holds. `issued_at` 0 is not judged here."""
    if key.status is KeyStatus.COMPROMISED:
        return False  # whoever holds the key also writes the time of issue
    issued = claims.issued_at
    if not issued:
        return True
    return key.not_before <= issued and (not key.not_after or issued <= key.not_after)


def _standing(candidate: Candidate, _question: Question) -> Reason:
    standing = candidate.ticket.standing
    if candidate.credential and candidate.credential & CredentialStanding.REPLACED:
        standing |= Standing.REPLACED
    if standing:
        for bit, reason in _STANDINGS:
            if standing & bit:
                return reason
    return Reason.NONE


def _event(candidate: Candidate, question: Question) -> Reason:
    ticket, plan = candidate.ticket, question.lane.plan
    if _planned(ticket, plan) is not None:
        return Reason.NONE
    served = any(event == ticket.event for event, _ in plan.sessions)
    return Reason.WRONG_DATE if served else Reason.WRONG_EVENT


def _hours(candidate: Candidate, question: Question) -> Reason:
    ticket, clock = candidate.ticket, question.clock
    trusted = clock.trust >= Trust.RTC
    if ticket.not_before and trusted and clock.now_s < ticket.not_before - CLOCK_SLACK_S:
        return Reason.TOO_EARLY
    # the floor is certainly past; a clock that nobody vouches for may stand in any year
    certain_s = max(clock.now_s, clock.floor_s) if trusted else clock.floor_s
    if ticket.not_after and certain_s > ticket.not_after + CLOCK_SLACK_S:
        return Reason.EXPIRED
    return Reason.NONE


def _zone(candidate: Candidate, question: Question) -> Reason:
    zones = candidate.ticket.zones or candidate.product.zones
    here = question.lane.plan.zone
    if not zones or here in zones:
        return Reason.NONE
    tree = question.venue.zones
    # the way to an inner zone leads through those it lies in
    return Reason.NONE if any(here in tree.outer(zone) for zone in zones) else Reason.WRONG_ZONE


_RULES: Final[tuple[Rule, ...]] = (_identity, _standing, _event, _hours, _zone)


# --- step 8: uses, limits, room, and what a cut-off gate may take ----------------------------------------------------


def _take_use(candidate: Candidate, question: Question) -> Reason | Flag:
    """Return why the ticket may not enter once more, or the flags of the entry if it may.

    Who was inside when a fire alarm rang comes in again without a further use, in every mode and beyond every limit;
    only a full zone stays full.

    While an exit of the ticket is reserved it is judged as if that person had gone: the answer is then `wait`.
    """
    tally, lane = candidate.tally, question.lane
    leaving = 1 if tally.exit_pending and tally.inside else 0
    found = Flag.REENTRY if tally.frozen else _use(candidate, question, spared_uses=0, spared_inside=leaving)
    if isinstance(found, Reason):
        spared = tally.unresolved if lane.after_restart else 0
        if not spared or (not lane.plan.attended and not lane.let_in_after_restart):
            return found
        again = _use(candidate, question, spared_uses=tally.unresolved_uses, spared_inside=spared + leaving)
        if isinstance(again, Reason):
            return found
        # the person between record and pulse: nobody saw them pass, and here the same ticket is again
        found = again | Flag.AFTER_RESTART | Flag.FLAGGED
    occupancy = question.occupancy_high
    if occupancy is not None and 0 < question.capacity <= occupancy - leaving:
        return Reason.FULL
    return _offline(candidate, question, found) if question.cut_off or tally.doubted else found


def _use(candidate: Candidate, question: Question, *, spared_uses: int, spared_inside: int) -> Reason | Flag:
    """Judge modes and limits; the spared uses and people are not counted against the ticket.

    Entry/exit mode: people of the ticket who used it and are not inside have left, by an exit or by a reset that
    stands for one; they come in again without a further use.
    """
    product, tally = candidate.product, candidate.tally
    admits = candidate.ticket.admits
    mode = mode_for(candidate, question.lane.plan)
    uses = tally.uses_session - spared_uses
    if mode is Mode.NORMAL:
        if uses >= admits:
            return Reason.ALREADY_USED
    elif mode is Mode.ENTRY_EXIT:
        if tally.inside - spared_inside >= admits:
            return Reason.ALREADY_INSIDE
        if uses >= admits:
            return Flag.REENTRY
    if (
        0 < product.limit_session <= uses
        or 0 < product.limit_day <= tally.uses_day - spared_uses
        or 0 < product.limit_total <= tally.uses_total - spared_uses
    ):
        return Reason.LIMIT_REACHED
    return Flag.NONE


def _offline(candidate: Candidate, question: Question, flags: Flag) -> Reason | Flag:
    """Apply the product's policy to an entry that a gate we cannot hear, or do not believe, may have let in already."""
    policy = candidate.product.offline
    if policy is OfflinePolicy.ADMIT_AND_FLAG:
        return flags | Flag.UNSURE | Flag.FLAGGED
    home = candidate.ticket.home_gate
    if policy is OfflinePolicy.HOME_GATE_ONLY and home and home == question.venue.this_gate:
        return flags | Flag.UNSURE
    return Reason.OFFLINE


# --- what a steward should look at -----------------------------------------------------------------------------------


def _check(candidate: Candidate, question: Question, flags: Flag) -> Reason:
    if not candidate.listed and not _signature_is_enough(candidate, question):
        return Reason.UNLISTED
    if question.lane.plan.attended and flags and flags & Flag.AFTER_RESTART:
        return Reason.AFTER_RESTART
    attention = candidate.ticket.attention or candidate.product.attention
    if attention:
        attention = candidate.ticket.attention | candidate.product.attention
        for bit, reason in _ATTENTIONS:
            if attention & bit:
                return reason
    return Reason.NONE


def _signature_is_enough(candidate: Candidate, question: Question) -> bool:
    """Whether an unlisted ticket may be newer than the list: sold since its cut, of a product known here.

    Cancelled and replaced tickets stay in the list until the event closes, so an older one that is missing was never
    sold to anybody we know. Without a ticket number its uses could not be counted.
    """
    claims = question.identity.claims if isinstance(question.identity, Known) else None
    if claims is None or claims.ticket is None:
        return False
    event = candidate.ticket.event
    cut = question.venue.list_cut_s.get(event)
    known = (event, candidate.ticket.product) in question.venue.products
    return known and cut is not None and claims.issued_at > cut - LIST_CUT_SLACK_S


# --- the answer ------------------------------------------------------------------------------------------------------


def _answer(
    candidate: Candidate,
    question: Question,
    outcome: Outcome,
    reason: Reason,
    *,
    alert_staff: bool = False,
    observed: tuple[RecordId, ...] = (),
) -> Verdict:
    return Verdict(
        outcome,
        reason,
        direction=Direction.ENTRY,
        candidate=candidate,
        session=session_for(candidate.ticket, question.lane.plan),
        flags=direction_flag(question),
        alert_staff=alert_staff,
        observed=observed,
    )


def _denied(candidate: Candidate, question: Question, reason: Reason) -> Verdict:
    """Build a denial with what belongs on its display: the right gate, the last use, the hour."""
    ticket, tally = candidate.ticket, candidate.tally
    gate, since, last = GateId(0), 0, None
    if reason is Reason.WRONG_ZONE:
        gate = _gate_serving(ticket.zones or candidate.product.zones, question)
    elif reason in _SHOW_LAST_USE:
        last = tally.last
        gate = last.record.gate if last is not None else gate
    elif reason is Reason.TOO_EARLY:
        since = ticket.not_before
    elif reason is Reason.EXPIRED:
        since = ticket.not_after
    return Verdict(
        Outcome.DENY,
        reason,
        direction=Direction.ENTRY,
        candidate=candidate,
        session=session_for(ticket, question.lane.plan),
        flags=direction_flag(question),
        gate=gate,
        last=last,
        since_s=since,
        alert_staff=bool(tally.inside) and reason in _CALL_STAFF_INSIDE,
    )


def _gate_serving(zones: tuple[ZoneId, ...], question: Question) -> GateId:
    """Return the first gate that serves one of these zones; 0 where none is known."""
    by_id = question.venue.zones.by_id
    gates = (by_id[zone].gate for zone in zones if zone in by_id)
    return next((gate for gate in gates if gate), GateId(0))


def share_of(capacity: int, known: int, gates: int, of_us: int = 1) -> int:
    """Return up to how many people a gate that is cut off may fill a zone, by its own count.

    The places that were free when it was cut off are shared evenly among the gates that serve the zone, rounded down:
    all together never let in more than there is room for. `known`: people inside then, at most; `gates`: this one too;
    `of_us`: how many of them count together.
    """
    return min(capacity, known + max(0, capacity - known) * of_us // gates)
