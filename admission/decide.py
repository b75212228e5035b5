"""Who may pass: one function, run by gate, centre and simulated venue alike (DESIGN.md, Deciding).

Direction, lane and identity are judged here and the best of several tickets is chosen; the rules for one ticket are
in `admission.rules`, the values in `admission.question`.
"""

from typing import Final

from msgspec.structs import replace

from admission.credentials import Copied, Forged, Known, Malformed, SignedClaims, UnknownIssuer
from admission.entitlements import CredentialStanding, Product, Standing, Ticket
from admission.ids import TicketId
from admission.question import (
    Candidate,
    ClockFacts,
    LaneFacts,
    LastUse,
    Question,
    Tally,
    VenueFacts,
    Verdict,
)
from admission.reasons import Reason
from admission.records import Direction, Flag, Outcome
from admission.rules import direction_flag, judge, session_for

__all__ = [
    "Candidate",
    "ClockFacts",
    "LaneFacts",
    "LastUse",
    "Question",
    "Tally",
    "VenueFacts",
    "Verdict",
    "decide",
    "session_for",
    "synthesize",
]

_BEST_FIRST: Final = {Outcome.GRANT: 0, Outcome.CHECK: 1, Outcome.WAIT: 2, Outcome.DENY: 3}


def decide(question: Question) -> Verdict:
    """Answer one presentation. Total: every question has an answer, the same wherever it is asked.

    The scan id is looked at before anything else: a retry of a stored scan must never meet a rule that counts it.
    """
    if question.previous is not None:
        return replace(question.previous, repeated=True)
    if _leaves(question):
        return _exit(question)
    refused = _refused_outright(question)
    if refused is not Reason.NONE:
        return _deny(question, refused)
    if len(question.candidates) == 1:
        return judge(question.candidates[0], question)
    if question.candidates:
        return _best(question, [judge(candidate, question) for candidate in question.candidates])
    claims = question.identity.claims if isinstance(question.identity, Known) else None
    if claims is None:
        return _deny(question, Reason.UNKNOWN)
    # signed, and the caller could make no candidate of it: its product is not known here, or it names no ticket.
    # Without a product nothing is let in by signature, for nothing would count the use.
    blind = replace(question, venue=replace(question.venue, products={}))
    product = Product(id=claims.product, event=claims.event, name="")
    return replace(judge(_candidate(claims, product), blind), candidate=None)


def synthesize(claims: SignedClaims, venue: VenueFacts) -> Candidate | None:
    """Return the candidate that a verified signature stands for where the list holds none.

    None where it cannot be counted or limited here: it names no ticket, or a product this box does not know;
    `decide()` then judges the claims themselves and says `check(unlisted)` at best.
    """
    product = venue.products.get((claims.event, claims.product))
    return None if product is None or claims.ticket is None else _candidate(claims, product)


def _candidate(claims: SignedClaims, product: Product) -> Candidate:
    ticket = Ticket(
        id=claims.ticket or TicketId(0),
        event=claims.event,
        product=claims.product,
        zones=claims.zones,
        session=claims.session,
        not_before=claims.not_before,
        not_after=claims.not_after,
        admits=claims.admits,
    )
    return Candidate(ticket, product, listed=False)


def _leaves(question: Question) -> bool:
    """Whether this is an exit: the reader says so, or it serves both ways and somebody of the ticket is known inside.

    Who reserved and was not seen to pass may well stand outside still: an arm that lets them out keeps them there.
    """
    if question.direction is Direction.NONE:
        return any(candidate.tally.passed > 0 for candidate in _believed(question))
    return question.direction is Direction.EXIT


def _believed(question: Question) -> tuple[Candidate, ...]:
    """Return the candidates, none where nobody vouches for what was presented: a message that is sent again moves nobody."""
    return question.candidates if isinstance(question.identity, Known) and not question.replayed else ()


def _exit(question: Question) -> Verdict:
    """Grant, whatever was presented: nobody is held. Only flags tell that something was odd."""
    flags = direction_flag(question)
    candidates = _believed(question)
    if not candidates:
        return Verdict(Outcome.GRANT, direction=Direction.EXIT, flags=flags | Flag.FLAGGED)
    # Of one code's tickets the next one: whose exit is under way is about to be gone, and opens no arm a second time.
    best = min(
        candidates,
        key=lambda one: (one.tally.inside <= 0, one.tally.exit_pending, one.ticket.id, one.ticket.event),
    )
    unwelcome = bool(
        best.ticket.standing & (Standing.CANCELLED | Standing.BANNED)
        or best.credential & CredentialStanding.BANNED_TAG
    )
    return Verdict(
        Outcome.GRANT,
        direction=Direction.EXIT,
        candidate=best,
        session=session_for(best.ticket, question.lane.plan),
        flags=flags | Flag.FLAGGED if unwelcome else flags,
        alert_staff=unwelcome and best.tally.inside > 0,
        observed=best.tally.entries,
    )


def _refused_outright(question: Question) -> Reason:
    """Steps 2 and 3 as far as they need no ticket."""
    identity = question.identity
    if isinstance(identity, Malformed):
        return Reason.MALFORMED
    if not (question.lane.open and question.lane.ready):
        return Reason.NOT_READY
    if isinstance(identity, Forged):
        return Reason.FORGED
    if isinstance(identity, UnknownIssuer):
        return Reason.UNKNOWN_ISSUER
    if isinstance(identity, Copied):
        return Reason.COPIED_TAG
    if isinstance(identity, Known) and not identity.genuine:
        return Reason.NOT_GENUINE
    return Reason.REPLAYED_TAP if question.replayed else Reason.NONE


def _deny(question: Question, reason: Reason) -> Verdict:
    return Verdict(Outcome.DENY, reason, direction=Direction.ENTRY, flags=direction_flag(question))


def _best(question: Question, verdicts: list[Verdict]) -> Verdict:
    """Choose among the answers for several tickets, whatever their order."""
    if len({_holder(verdict) for verdict in verdicts if verdict.outcome is Outcome.GRANT}) > 1:
        return _deny(question, Reason.AMBIGUOUS)
    return min(verdicts, key=_rank)


def _rank(verdict: Verdict) -> tuple[int, int, int, int]:
    """Order by outcome, denials by the reason that is judged last, then ticket id: the same at every gate."""
    ticket = _ticket(verdict)
    got_to = verdict.reason if verdict.outcome is Outcome.DENY else 0
    return _BEST_FIRST[verdict.outcome], -got_to, ticket.id, ticket.event


def _holder(verdict: Verdict) -> tuple[int, ...]:
    """Return who holds the ticket. Of an unknown holder (0) nothing says that it is another ticket's too."""
    ticket = _ticket(verdict)
    return (ticket.holder,) if ticket.holder else (ticket.event, ticket.id)


def _ticket(verdict: Verdict) -> Ticket:
    candidate = verdict.candidate
    assert candidate is not None, "a ticket's verdict names its candidate"
    return candidate.ticket
