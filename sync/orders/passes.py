"""Passes: one thing that is bought, and a ticket for each of its events.

A pack has a code for each ticket. A pass with its own credential has one code, that of its first ticket, which stands
for all of them. A pass that needs approval lets nobody in until somebody approved it; `VALIDITIES` says what may
follow what.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import insert, select, update

from admission.digests import ticket_digest
from admission.entitlements import Standing
from admission.ids import EventId, HolderId, ProductId, SessionId, TicketId
from sync.events import tables as programme
from sync.orders import quota, tables
from sync.store.schema import next_id, signed, unsigned
from sync.tickets import minting, ruling
from sync.tickets.minting import NewTicket
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused, not_found

CONTENTS_MAX: Final = ruling.EVENTS_MAX


FIRST_HOLDER: Final = 1 << 48
"""Above every customer: who holds a pass that is nobody's. A code for tickets of several holders lets nobody in."""


class Validity(Enum):
    """Whether a pass is valid; the values are stored."""

    TO_APPROVE = "to_approve"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"


class Decision(Enum):
    """What is decided of a pass."""

    APPROVE = "approve"
    WITHDRAW = "withdraw"
    REFUSE = "refuse"


_T, _A, _W, _R = Validity.TO_APPROVE, Validity.APPROVED, Validity.WITHDRAWN, Validity.REFUSED
VALIDITIES: Final = {
    (_T, Decision.APPROVE): _A,
    (_T, Decision.REFUSE): _R,
    (_A, Decision.WITHDRAW): _W,
    (_W, Decision.APPROVE): _A,
    (_R, Decision.APPROVE): _A,  # a visitor who was refused may mend what was wrong
}
"""What is not here is refused."""


class Content(NamedTuple):
    """One ticket of a kind of pass. `session` 0: the product's."""

    event: EventId
    product: ProductId
    session: SessionId = SessionId(0)


class Kind(NamedTuple):
    """A kind of pass with its contents, as rows."""

    row: Any
    contents: tuple[Any, ...]


class NewKind(NamedTuple):
    """What a kind of pass is to be. `quota` None: as many as people buy."""

    ticketing: int
    name: str
    price_minor: int
    quota: int | None
    own_credential: bool
    needs_approval: bool
    contents: tuple[Content, ...]


def add_kind(act: Act, new: NewKind) -> int:
    """Make a kind of pass; returns its id. Refused where its contents are not on sale in one ticketing."""
    t = programme.ticketing.c
    currency = act.connection.execute(
        select(t.currency).where(t.id == new.ticketing, t.organization_id == act.organization)
    ).scalar()
    if currency is None:
        raise not_found("ticketing")
    events = [one.event for one in new.contents]
    if not 1 <= len(events) <= CONTENTS_MAX or len(set(events)) != len(events):
        raise Refused(422, "bad_contents", f"A pass holds one ticket each of 1 to {CONTENTS_MAX} events.")
    _check_contents(act, new)
    number = next_id(act.connection, tables.pass_kind.c.id)
    act.connection.execute(
        insert(tables.pass_kind).values(
            id=number,
            organization_id=act.organization,
            ticketing_id=new.ticketing,
            name=new.name,
            price_minor=new.price_minor,
            currency=currency,
            quota=new.quota,
            sold=0,
            own_credential=new.own_credential,
            needs_approval=new.needs_approval,
        )
    )
    for one in new.contents:
        act.connection.execute(
            insert(tables.pass_content).values(
                kind_id=number, event_id=one.event, product=one.product, session=one.session
            )
        )
    act.note("pass_kind.add", f"pass kind {number}", new.name)
    return number


def _check_contents(act: Act, new: NewKind) -> None:
    """Refuse contents that are not there, or are not on sale where the pass is: its tickets would open nothing."""
    e = programme.event.c
    wanted = act.owned(one.event for one in new.contents)
    for row in act.connection.execute(select(e.name, e.ticketing_id).where(e.id.in_(wanted))):
        if row.ticketing_id != new.ticketing:
            raise Refused(422, "other_ticketing", f"{row.name} is not on sale in this ticketing.")
    for one in new.contents:
        minting.product_row(act.connection, one.event, one.product)
        minting.check_session(act.connection, one.event, one.session)


def kinds(act: Act, wanted: Iterable[int], ticketing: int) -> dict[int, Kind]:
    """Return kinds of passes with their contents; Refused where one is not sold in this ticketing."""
    k, inside = tables.pass_kind.c, tables.pass_content.c
    found: dict[int, Kind] = {}
    for number in sorted(wanted):
        row = act.connection.execute(
            select(tables.pass_kind).where(k.id == number, k.organization_id == act.organization)
        ).one_or_none()
        if row is None:
            raise not_found("kind of pass")
        if row.ticketing_id != ticketing:
            raise Refused(422, "other_ticketing", f"{row.name} is not on sale in this ticketing.")
        contents = act.connection.execute(
            select(tables.pass_content).where(inside.kind_id == number).order_by(inside.event_id)
        )
        found[number] = Kind(row, tuple(contents))
    return found


def check_open(act: Act, kind: Kind) -> None:
    """Refused where no event of a pass is open: all its tickets would open nothing. One of several may be over already."""
    e = programme.event.c
    inside = [content.event_id for content in kind.contents]
    open_ = select(e.id).where(e.id.in_(inside), e.state == "open")
    if act.connection.execute(open_).first() is None:
        raise Refused(409, "event_closed", f"No event of {kind.row.name} is open; nothing is sold for them.")


def make(act: Act, number: int, kind: Kind, holder: HolderId, standing: Standing) -> list[TicketRef]:
    """Make a pass and its tickets, within `Act.changing` of their events; its line is the caller's."""
    waits = kind.row.needs_approval
    act.connection.execute(
        insert(tables.pass_).values(
            id=number,
            organization_id=act.organization,
            kind_id=kind.row.id,
            validity=(Validity.TO_APPROVE if waits else Validity.APPROVED).value,
            reason="",
            decided_s=0 if waits else act.now_s,
        )
    )
    if waits:
        standing |= Standing.UNAPPROVED
    holder = holder or HolderId(FIRST_HOLDER + number)
    made: list[TicketRef] = []
    for content in kind.contents:
        event = EventId(content.event_id)
        quota.take(act.connection, [(event, ProductId(content.product))])
        digest = None
        if kind.row.own_credential and made:
            # Keyed by each event's own group, so that the one code is found in every list.
            digest = ticket_digest(*made[0], minting.digest_key_of(act.connection, event))
        wanted = NewTicket(
            event, ProductId(content.product), SessionId(content.session), holder, standing, digest
        )
        made += minting.mint(act, [wanted])
        act.connection.execute(
            insert(tables.pass_ticket).values(
                event_id=event, ticket=signed(made[-1][1]), pass_id=number, product=content.product
            )
        )
    return made


def decide(act: Act, number: int, decision: Decision, reason: str) -> None:
    """Approve, withdraw or refuse a pass; a reason is needed for the last two."""
    p = tables.pass_.c
    row = act.connection.execute(
        select(tables.pass_).where(p.id == number, p.organization_id == act.organization).with_for_update()
    ).one_or_none()
    if row is None:
        raise not_found("pass")
    validity = VALIDITIES.get((Validity(row.validity), decision))
    if validity is None:
        raise Refused(
            409,
            f"pass_{row.validity}",
            f"This pass is {row.validity.replace('_', ' ')}; it cannot: {decision.value}.",
        )
    if decision is not Decision.APPROVE and not reason.strip():
        raise Refused(422, "reason_missing", "Say why; the visitor will ask.")
    line = tables.order_line.c
    if act.connection.execute(select(line.refund).where(line.pass_id == number)).scalar() is not None:
        raise Refused(409, "cancelled", "This pass is cancelled.")
    tickets = tickets_of(act, number)
    if validity is Validity.APPROVED:
        sets, clears = Standing.VALID, Standing.UNAPPROVED
    else:
        sets, clears = Standing.UNAPPROVED, Standing.VALID
    with act.changing(event for event, _ in tickets):
        for ref in tickets:
            ruling.set_bits(act.connection, ref, sets, clears)
        act.connection.execute(
            update(tables.pass_)
            .where(p.id == number)
            .values(validity=validity.value, reason=reason.strip(), decided_s=act.now_s)
        )
        act.note(f"pass.{decision.value}", f"pass {number}", reason)


def tickets_of(act: Act, number: int) -> list[TicketRef]:
    """Return the tickets of a pass, by event."""
    inside = tables.pass_ticket.c
    found = act.connection.execute(
        select(tables.pass_ticket).where(inside.pass_id == number).order_by(inside.event_id)
    )
    return [(EventId(row.event_id), TicketId(unsigned(row.ticket))) for row in found]


def home_of(act: Act, ref: TicketRef) -> TicketRef:
    """Return the ticket whose code a ticket is presented by: itself, or the first of its pass."""
    return of_one_code(act, ref)[1][0]


def of_one_code(act: Act, ref: TicketRef) -> tuple[HolderId, list[TicketRef]]:
    """Return the tickets that share a ticket's code, and who holds them where no customer does (0: nobody)."""
    inside, p, k = tables.pass_ticket.c, tables.pass_.c, tables.pass_kind.c
    number = act.connection.execute(
        select(inside.pass_id)
        .join(tables.pass_, p.id == inside.pass_id)
        .join(tables.pass_kind, k.id == p.kind_id)
        .where(inside.event_id == ref[0], inside.ticket == signed(ref[1]), k.own_credential)
    ).scalar()
    if number is None:
        return HolderId(0), [ref]
    return HolderId(FIRST_HOLDER + number), tickets_of(act, number)
