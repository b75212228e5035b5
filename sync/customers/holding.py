"""Whose a ticket is, and bans of people: a customer's ban reaches every ticket and tag of theirs, as one version."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import delete, insert, select, update

from admission.entitlements import Standing
from admission.ids import EventId, HolderId, ProductId, TicketId
from sync.customers import profiles, tables, tags
from sync.customers.profiles import Origin, Profile
from sync.orders import passes
from sync.store.schema import numbering, signed, unsigned
from sync.store.together import together
from sync.tickets import ruling
from sync.tickets import tables as ticket_tables
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused

TICKETS_MAX: Final = 200
"""Tickets assigned at a time."""


def activate(
    act: Act,
    profile: Profile,
    event: EventId,
    uid: str,
    product: ProductId,
    proof: tags.Proof = tags.Proof.UID,
) -> tuple[int, int]:
    """Make a customer by activating a tag at a box office; returns (customer, tag)."""
    customer = profiles.add(act, profile, Origin.ACTIVATION)
    return customer, tags.assign(act, customer, event, uid, product, proof)


def claim(act: Act, profile: Profile, refs: Iterable[TicketRef]) -> int:
    """Make a customer who claims tickets; returns the customer."""
    customer = profiles.add(act, profile, Origin.CLAIM)
    assign_tickets(act, customer, refs)
    return customer


def assign_tickets(act: Act, customer: int, refs: Iterable[TicketRef]) -> None:
    """Assign tickets to a customer. Refused where one is somebody else's, or is no longer good."""
    wanted = tuple(sorted(set(refs)))
    if not 1 <= len(wanted) <= TICKETS_MAX:
        raise Refused(422, "too_many_tickets", f"Assign 1 to {TICKETS_MAX} tickets at a time.")
    who = profiles.held(act, customer)
    if who.banned:
        raise Refused(409, "customer_banned", "This customer is banned; lift the ban first.")
    for ref in wanted:
        if not set(passes.of_one_code(act, ref)[1]) <= set(wanted):
            raise Refused(
                409, "part_of_pass", "This ticket shares its code with others. Assign the whole pass."
            )
    with act.changing(event for event, _ in wanted):
        for ref in wanted:
            row = ruling.ticket_of(act.connection, ref)
            _check_free(act, row, customer)
            ruling.set_ticket(act.connection, ref, holder=signed(customer))
        tags.bind_tickets(act, customer, wanted)
        names = [ruling.subject_of(ref) for ref in wanted]
        act.note("customer.assign_ticket", f"customer {customer}", {"tickets": names})


def unassign_ticket(act: Act, customer: int, ref: TicketRef) -> None:
    """Take a ticket, with its pass, off a customer; the customer's tags no longer stand for it."""
    who = profiles.held(act, customer)
    if who.banned:
        raise Refused(409, "customer_banned", "This customer is banned; lift the ban first.")
    nobody, together = passes.of_one_code(act, ref)
    with act.changing(event for event, _ in together):
        for one in together:
            if profiles.holder_of(ruling.ticket_of(act.connection, one)) != customer:
                raise Refused(409, "not_theirs", "This ticket is not this customer's.")
            if _is_tags_own(act, customer, one):
                raise Refused(
                    409, "tags_own", "This is a tag's own ticket; ban the tag, or cancel the ticket."
                )
            tags.unbind_ticket(act, customer, one)
            ruling.set_ticket(act.connection, one, holder=nobody)
        act.note("customer.unassign_ticket", f"customer {customer}", ruling.subject_of(ref))


def ban(act: Act, customer: int, reason: str = "") -> None:
    """Ban a customer: every ticket and tag of theirs is refused. What was banned by itself stays so afterwards."""
    who = _held_from_lists(act, customer)
    if who.banned:
        raise Refused(409, "already_banned", "This customer is banned already.")
    with act.changing(events_of(act, customer)):
        for ref, row in _all_tickets(act, customer):
            if row.standing & Standing.BANNED:
                _keep_own_ban(act, ref)
            else:
                ruling.set_bits(act.connection, ref, Standing.BANNED, Standing.VALID)
        for tag in tags.tags_of(act, customer):
            tags.tell(act, tag, customer_banned=True)
        _set_banned(act, customer, banned=True)
        act.note("customer.ban", f"customer {customer}", reason)


def unban(act: Act, customer: int, reason: str = "") -> None:
    """Lift a customer's ban: tickets and tags that were not banned by themselves are good again."""
    who = _held_from_lists(act, customer)
    if not who.banned:
        raise Refused(409, "not_banned", "This customer is not banned.")
    b = tables.ticket_ban
    with act.changing(events_of(act, customer)):
        for ref, _ in _all_tickets(act, customer):
            mine = (b.c.event_id == ref[0], b.c.ticket == signed(ref[1]))
            if act.connection.execute(delete(b).where(*mine)).rowcount:
                continue
            ruling.set_bits(act.connection, ref, Standing.VALID, Standing.BANNED)
        for tag in tags.tags_of(act, customer):
            tags.tell(act, tag)
        _set_banned(act, customer, banned=False)
        act.note("customer.unban", f"customer {customer}", reason)


def _held_from_lists(act: Act, customer: int) -> Any:
    """Return a customer's row as `profiles.held`, once no list is being written that may bring them tickets."""
    together(act.connection, [numbering(tables.customer.name)])
    return profiles.held(act, customer)


def _check_free(act: Act, row: Any, customer: int) -> None:
    holder = profiles.holder_of(row)
    if holder == customer:
        raise Refused(409, "already_theirs", "This ticket is this customer's already.")
    if holder and _is_customer(act, holder):
        raise Refused(409, "ticket_taken", "This ticket is another customer's. Take it off them first.")
    for bit, code in ((Standing.CANCELLED, "cancelled"), (Standing.REPLACED, "replaced")):
        if row.standing & bit:
            raise Refused(409, code, f"This ticket is {code}; assign the one that is good.")


def _is_customer(act: Act, holder: HolderId) -> bool:
    c = tables.customer.c
    return act.connection.execute(select(c.id).where(c.id == signed(holder))).scalar() is not None


def _is_tags_own(act: Act, customer: int, ref: TicketRef) -> bool:
    own = (tag.event_id == ref[0] and unsigned(tag.ticket) == ref[1] for tag in tags.tags_of(act, customer))
    return any(own)


def _all_tickets(act: Act, customer: int) -> list[tuple[TicketRef, Any]]:
    t = ticket_tables.ticket.c
    found = act.connection.execute(select(ticket_tables.ticket).where(t.holder == signed(customer)))
    return [((EventId(row.event_id), TicketId(unsigned(row.id))), row) for row in found.all()]


def events_of(act: Act, customer: int) -> list[EventId]:
    """Return the events a customer has tickets of. None is added meanwhile: whoever adds one holds the customer."""
    t = ticket_tables.ticket.c
    found = act.connection.execute(select(t.event_id).where(t.holder == signed(customer)).distinct())
    return [EventId(one) for one in found.scalars()]


def _keep_own_ban(act: Act, ref: TicketRef) -> None:
    act.connection.execute(insert(tables.ticket_ban).values(event_id=ref[0], ticket=signed(ref[1])))


def _set_banned(act: Act, customer: int, *, banned: bool) -> None:
    act.connection.execute(
        update(tables.customer).where(tables.customer.c.id == customer).values(banned=banned)
    )
