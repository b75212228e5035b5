"""What may be said of a ticket by hand: ban, unban, redeem, un-redeem. Selling, cancelling and replacing build on it.

Rules of the table: a rule is refused by the first of its `unless` that holds, then where nothing of `needs` holds; else
it sets and clears its bits. `CANCELLED` and `REPLACED` are for ever: nothing takes them back.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import delete, insert, select

from admission.entitlements import Standing
from admission.ids import HolderId
from sync.customers.tables import customer, ticket_ban
from sync.store.schema import signed, unsigned
from sync.tickets import ruling
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused


class Verb(Enum):
    """What staff do to a ticket."""

    BAN = "ban"
    UNBAN = "unban"
    REDEEM = "redeem"
    UNREDEEM = "unredeem"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table below."""

    sets: Standing
    clears: Standing
    unless: tuple[tuple[Standing, str], ...]
    needs: tuple[Standing, str] | None = None


_OVER: Final = ((Standing.CANCELLED, "cancelled"), (Standing.REPLACED, "replaced"))
_NONE: Final = Standing.VALID
RULES: Final = {
    Verb.BAN: Rule(Standing.BANNED, _NONE, (*_OVER, (Standing.BANNED, "already_banned"))),
    Verb.UNBAN: Rule(_NONE, Standing.BANNED, _OVER, (Standing.BANNED, "not_banned")),
    Verb.REDEEM: Rule(
        Standing.REDEEMED,
        _NONE,
        (
            *_OVER,
            (Standing.BANNED, "banned"),
            (Standing.REDEEMED, "already_redeemed"),
            (Standing.UNPAID, "unpaid"),
            (Standing.UNAPPROVED, "unapproved"),
        ),
    ),
    Verb.UNREDEEM: Rule(_NONE, Standing.REDEEMED, _OVER, (Standing.REDEEMED, "not_redeemed")),
}
WHY: Final = {
    "cancelled": "This ticket is cancelled; sell a new one.",
    "replaced": "This ticket was replaced; use the one that replaced it.",
    "banned": "This ticket is banned; lift the ban first.",
    "already_banned": "This ticket is banned already.",
    "not_banned": "This ticket is not banned.",
    "already_redeemed": "This ticket is redeemed already.",
    "not_redeemed": "This ticket is not redeemed.",
    "redeemed": "This ticket is redeemed; take that back first.",
    "unpaid": "This ticket is not paid; take the payment first.",
    "unapproved": "This pass is not approved; approve it first.",
    "customer_banned": "Its customer is banned; lift the customer's ban first.",
}


def refused(code: str) -> Refused:
    """Return the refusal for what a ticket's standing does not allow."""
    return Refused(409, code, WHY[code])


def after(verb: Verb, standing: Standing) -> Standing:
    """Return the standing after a rule; Refused where it may not be. Pure."""
    rule = RULES[verb]
    for bit, code in rule.unless:
        if standing & bit:
            raise refused(code)
    if rule.needs is not None and not standing & rule.needs[0]:
        raise refused(rule.needs[1])
    return standing & ~rule.clears | rule.sets


def apply(act: Act, ref: TicketRef, verb: Verb, reason: str = "") -> None:
    """Ban, unban, redeem or un-redeem one ticket. Refused where its standing does not allow it."""
    with act.changing([ref[0]]):
        row = ruling.ticket_of(act.connection, ref)
        standing = Standing(row.standing)
        if verb in _BANS and _customer_is_banned(act, HolderId(unsigned(row.holder))):
            _own_ban(act, ref, verb, standing)
        else:
            ruling.set_ticket(act.connection, ref, standing=int(after(verb, standing)))
        act.note(f"ticket.{verb.value}", ruling.subject_of(ref), reason)


_BANS = frozenset((Verb.BAN, Verb.UNBAN))


def _own_ban(act: Act, ref: TicketRef, verb: Verb, standing: Standing) -> None:
    """Ban a ticket that its customer's ban holds already: it stays banned when that one is lifted."""
    b = ticket_ban.c
    mine = (b.event_id == ref[0], b.ticket == signed(ref[1]))
    has_own = act.connection.execute(select(b.ticket).where(*mine)).one_or_none() is not None
    if verb is Verb.UNBAN and not has_own:
        raise refused("customer_banned")
    after(verb, standing & ~Standing.BANNED | (Standing.BANNED if has_own else Standing.VALID))
    if verb is Verb.BAN:
        act.connection.execute(insert(ticket_ban).values(event_id=ref[0], ticket=signed(ref[1])))
    else:
        act.connection.execute(delete(ticket_ban).where(*mine))


def _customer_is_banned(act: Act, holder: HolderId) -> bool:
    c = customer.c
    found = act.connection.execute(
        select(c.banned).where(c.id == signed(holder), c.organization_id == act.organization)
    ).scalar()
    return bool(found)
