"""What check-in stations bound becomes a tag of the centre's own: in its tables as if somebody had assigned it.

Stations bind also while they are cut off, so what comes in late may be older than what was settled. The rule is that of the
gates (`admission.binds`): a bind holds where it is the first of its tag and the first of its ticket. Each new one is settled
in that order; what it takes away from a later one is taken back here too. A tag that the centre itself has given to somebody
stays theirs. What does not hold is told on the fleet's page, with the station's record. What a steward took back at a station
is as if it had never been: the code opens, the tag is nobody's, and whoever had lost it to that bind is settled anew.
"""

from collections.abc import Sequence
from enum import IntEnum
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, or_, select, update

from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import CredentialStanding
from admission.ids import Epoch, EventId, GateId, RecordId, TicketId
from admission.observed import Role, from_columns
from sync.accounts.principal import SYSTEM
from sync.customers import profiles, tables, tags
from sync.customers.profiles import Origin, Profile
from sync.events import tables as programme
from sync.gates import ingest
from sync.gates.tables import bind, gate, presence
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.store.schema import next_id, unsigned
from sync.tickets import minting, rows
from sync.tickets import tables as ticket_tables
from sync.tickets.ruling import Act

DUE_MAX: Final = 500
"""Settled in a minute, one transaction each; a station binds ten."""


class State(IntEnum):
    """What came of a bind; the values are stored."""

    DUE = 0
    HOLDS = 1
    TAG_TAKEN = 2
    """Its tag was somebody else's before: the ticket keeps its code."""
    TICKET_BOUND = 3
    """Its ticket had another tag before."""
    UNKNOWN = 4
    """No such ticket, or a tag whose digest is another one's."""
    TAKEN_BACK = 5
    """A steward took it back at the station: the wrong tag was tapped."""


_WHAT: Final = {
    State.TAG_TAKEN: "tag_taken",
    State.TICKET_BOUND: "ticket_bound",
    State.UNKNOWN: "bound_unknown",
}
_REPLACED: Final = int(CredentialStanding.REPLACED)


def settle_due(database: Database, keys: VenueKeys, now_s: int) -> int:
    """Settle what check-in stations bound since the last time; returns how many binds. Blocks."""
    b, e, g = bind.c, programme.event.c, programme.event_group.c
    with database.reading() as connection:
        found = connection.execute(
            select(b.gate_id, b.epoch, b.seq, g.organization_id)
            .select_from(bind)
            .join(gate, gate.c.id == b.gate_id)
            # A gate speaks of the events of its own group.
            .join(programme.event, (e.id == b.event_id) & (e.group_id == gate.c.group_id), isouter=True)
            .join(programme.event_group, g.id == e.group_id, isouter=True)
            .where(b.state == State.DUE)
            .order_by(b.time_us, b.gate_id, b.seq)
            .limit(DUE_MAX)
        ).all()
    for row in found:
        database.transact(partial(_settle, keys=keys, now_s=now_s, found=row))
    return len(found)


def _settle(connection: Connection, *, keys: VenueKeys, now_s: int, found: Any) -> None:
    row = connection.execute(select(bind).where(*_is(found))).one()
    if found.organization_id is None:
        _end(connection, row, State.UNKNOWN, now_s)
        return
    act = Act(connection, found.organization_id, SYSTEM, now_s, keys)
    t = ticket_tables.ticket.c
    is_ticket = (t.event_id == row.event_id) & (t.id == row.ticket)
    sold = connection.execute(select(ticket_tables.ticket).where(is_ticket)).one_or_none()
    tag = None
    is_undone = _is_taken_back(connection, row)
    if sold is not None and not is_undone and _trouble(connection, row) is None:
        tag = _Tag(next_id(connection, tables.tag.c.id), _customer_for(act, row, sold), sold.product)
    with act.changing([EventId(row.event_id)]):
        row = connection.execute(select(bind).where(*_is(found))).one()
        if row.state != State.DUE:
            return  # another replica was first
        if is_undone:
            _give_back(act, row)
            return
        for other in _rivals(connection, row):
            if other.state == State.HOLDS and (why := _trouble(connection, other)) is not None:
                _take_back(act, other, why)
        state = _trouble(connection, row) or (State.UNKNOWN if tag is None else _adopt(act, row, tag))
        _end(connection, row, state, now_s)


class _Tag(NamedTuple):
    """What a bound tag becomes: its number, whose it is, and its ticket's type."""

    number: int
    customer: int
    product: int


def _customer_for(act: Act, row: Any, sold: Any) -> int:
    """Return whose the tag will be: the ticket's holder. Whoever bought for four has four tags, one active: the others'
    are of people unknown."""
    connection, tag, c = act.connection, tables.tag.c, tables.customer.c
    holder = profiles.holder_of(sold)
    is_ours = (c.id == holder) & (c.organization_id == act.organization)
    if connection.execute(select(c.id).where(is_ours)).scalar() is not None:
        others = (tag.event_id == row.event_id) & (tag.customer_id == holder) & tag.active
        if connection.execute(select(tag.id).where(others, tag.digest != row.tag)).first() is None:
            return holder
    return profiles.add(act, Profile(), Origin.ACTIVATION)


def _end(connection: Connection, row: Any, state: State, now_s: int) -> None:
    connection.execute(update(bind).where(*_is(row)).values(state=int(state)))
    what = _WHAT.get(state)
    if what is not None:
        at = {"gate": row.gate_id, "epoch": row.epoch, "seq": row.seq}
        connection.execute(ingest.TROUBLE, [{**at, "what": what, "now": now_s}])


def _is(row: Any) -> tuple[Any, ...]:
    b = bind.c
    return b.gate_id == row.gate_id, b.epoch == row.epoch, b.seq == row.seq


def _rivals(connection: Connection, row: Any) -> Sequence[Any]:
    """Return every bind of the same tag or the same ticket that nobody took back, this one too."""
    b = bind.c
    same_ticket = (b.event_id == row.event_id) & (b.ticket == row.ticket)
    found = connection.execute(select(bind).where(or_(b.tag == row.tag, same_ticket))).all()
    return [one for one in found if not _is_taken_back(connection, one)]


def _is_taken_back(connection: Connection, row: Any) -> bool:
    """Whether a steward took a bind back, by what records say of its ticket: in whatever order the two came in."""
    p = presence.c
    about = (p.event == row.event_id) & (p.ticket == row.ticket) & (p.role == int(Role.ANNUL))
    name = RecordId(GateId(row.gate_id), Epoch(unsigned(row.epoch)), row.seq)
    return any(name in from_columns(one).names for one in connection.execute(select(presence).where(about)))


def _trouble(connection: Connection, row: Any) -> State | None:
    """Return why a bind does not hold among all binds; None where it does."""
    rivals = _rivals(connection, row)
    of_tag = min((one for one in rivals if one.tag == row.tag), key=_order)
    if (of_tag.event_id, of_tag.ticket) != (row.event_id, row.ticket):
        return State.TAG_TAKEN
    of_ticket = [one for one in rivals if (one.event_id, one.ticket) == (row.event_id, row.ticket)]
    return None if min(of_ticket, key=_order).tag == row.tag else State.TICKET_BOUND


def _order(row: Any) -> tuple[int, int, int, int]:
    return row.time_us, row.gate_id, unsigned(row.epoch), row.seq


def _adopt(act: Act, row: Any, tag: _Tag) -> State:
    """Write the tag down as its ticket's, and its code as replaced, within `Act.changing`."""
    connection, event, ticket = act.connection, EventId(row.event_id), TicketId(unsigned(row.ticket))
    c = ticket_tables.credential.c
    digests = tags.digests_of(minting.digest_key_of(connection, event), bytes.fromhex(row.uid))
    if row.tag not in digests.values():
        return State.UNKNOWN
    of_uid = select(c.ticket, c.standing).where(c.event_id == event, c.digest.in_(tuple(digests.values())))
    held = connection.execute(of_uid).all()
    if any(one.ticket != row.ticket and not one.standing & _REPLACED for one in held):
        return State.TAG_TAKEN
    # A ban is the tag's, whosever it becomes by what came in late.
    t = tables.tag.c
    banned = connection.execute(select(t.banned).where(t.event_id == event, t.digest == row.tag)).scalar()
    standing = CredentialStanding.BANNED_TAG if banned else CredentialStanding.ACTIVE
    if any(one.ticket == row.ticket for one in held):
        _stand(connection, row, row.tag, standing)
    else:
        tag_of_it = rows.NewCredential(ticket, row.tag, CredentialKind.UID, standing=standing)
        rows.add_tickets(connection, event, [], [tag_of_it])
    _stand(connection, row, row.code, CredentialStanding.REPLACED)
    _keep_tag(act, row, tag)
    act.note("tag.bind", f"ticket {event}/{ticket}", {"gate": row.gate_id})
    return State.HOLDS


def _keep_tag(act: Act, row: Any, tag: _Tag) -> None:
    t = tables.tag.c
    values = {"customer_id": tag.customer, "product": tag.product, "ticket": row.ticket, "active": True}
    is_it = (t.event_id == row.event_id) & (t.digest == row.tag)
    if act.connection.execute(update(tables.tag).where(is_it).values(**values)).rowcount:
        return
    act.connection.execute(
        insert(tables.tag).values(
            id=tag.number,
            organization_id=act.organization,
            event_id=row.event_id,
            digest=row.tag,
            uid=row.uid,
            banned=False,
            created_s=act.now_s,
            **values,
        )
    )


def _take_back(act: Act, row: Any, why: State) -> None:
    """A bind that held does not: an older one came in. Within `Act.changing`."""
    connection, tag = act.connection, tables.tag.c
    if why is State.TAG_TAKEN:
        _stand(connection, row, row.tag, CredentialStanding.REPLACED)
        _open_again(connection, row)
    else:
        _stand(connection, row, row.tag, CredentialStanding.INACTIVE_TAG)
    connection.execute(
        update(tables.tag)
        .where(tag.event_id == row.event_id, tag.digest == row.tag, tag.ticket == row.ticket)
        .values(active=False)
    )
    _end(connection, row, why, act.now_s)


def _give_back(act: Act, row: Any) -> None:
    """A bind that a steward took back: its code opens, its tag is nobody's, and its rivals are settled anew. Within `Act.changing`."""
    connection, tag, b = act.connection, tables.tag.c, bind.c
    is_it = (tag.event_id == row.event_id) & (tag.digest == row.tag) & (tag.ticket == row.ticket) & tag.active
    if connection.execute(update(tables.tag).where(is_it).values(active=False)).rowcount:
        _stand(connection, row, row.tag, CredentialStanding.REPLACED)
        _open_again(connection, row)
        act.note("tag.unbind", f"ticket {row.event_id}/{unsigned(row.ticket)}", {"gate": row.gate_id})
    _end(connection, row, State.TAKEN_BACK, act.now_s)
    for other in _rivals(connection, row):
        is_other = _is(other)
        connection.execute(update(bind).where(*is_other, b.state != State.HOLDS).values(state=int(State.DUE)))


def _open_again(connection: Connection, row: Any) -> None:
    """Let the code that a bind replaced open again; not one that was reissued meanwhile: its ticket has a code of ours then."""
    event, ticket, c = EventId(row.event_id), TicketId(unsigned(row.ticket)), ticket_tables.credential.c
    own = ticket_digest(event, ticket, minting.digest_key_of(connection, event))
    ours = select(c.ticket).where(c.event_id == event, c.digest == own, c.ticket == row.ticket)
    if row.code == own or connection.execute(ours).first() is None:
        _stand(connection, row, row.code, CredentialStanding.ACTIVE)


def _stand(connection: Connection, row: Any, digest: bytes, standing: CredentialStanding) -> None:
    c = ticket_tables.credential.c
    connection.execute(
        update(ticket_tables.credential)
        .where(c.event_id == row.event_id, c.digest == digest, c.ticket == row.ticket)
        .values(standing=int(standing), version=None)
    )


__all__ = ["DUE_MAX", "State", "settle_due"]
