"""What one decision at the centre rests on: the same facts as a gate's list and log hold, read from the tables."""

import struct
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, tuple_

from admission.credentials import CredentialKind, Known
from admission.entitlements import (
    Attention,
    CredentialStanding,
    LanePlan,
    Mode,
    Standing,
    Ticket,
    ZoneTree,
)
from admission.ids import (
    Epoch,
    EventId,
    GateId,
    HolderId,
    LaneId,
    ProductId,
    RecordId,
    SessionId,
    TicketId,
    ZoneId,
)
from admission.keys import IssuerKey, KeyFormat, KeyRing, KeyStatus, kid_of
from admission.observed import (
    COLUMNS,
    RESET_COLUMNS,
    PresenceRow,
    Resets,
    Role,
    from_columns,
    reset_from_columns,
)
from admission.question import VenueFacts
from sync.events import rows as programme
from sync.events import tables as events_tables
from sync.gates import roster
from sync.gates import tables as gates_tables
from sync.store.schema import signed, unsigned
from sync.tickets import tables
from sync.tickets.rows import read_keys
from sync.web.api import Refused, not_found

Rows = Sequence[tuple[Ticket, CredentialStanding]]
Tickets = dict[Hashable, list[tuple[Ticket, CredentialStanding]]]
"""By a credential's digest, and by (event, ticket) for what was asked by number."""

_BY_NUMBER = struct.Struct(">QQ")
_PRESENCE = [gates_tables.presence.c[name] for name in COLUMNS]
_RESETS = [gates_tables.presence_reset.c[name] for name in RESET_COLUMNS]


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What changes seldom in an event group, and the resets heard."""

    venue: VenueFacts
    ring: KeyRing
    digest_key: bytes
    plans: Mapping[tuple[GateId, LaneId], LanePlan]
    events: tuple[EventId, ...]
    resets: Resets

    def plan(
        self, event: EventId, gate: int | None, lane: int, zone: int, session: int | None, mode: Mode
    ) -> LanePlan:
        """Return what the lane asked about serves. Refused where that is not known."""
        if gate is not None:
            found = self.plans.get((GateId(gate), LaneId(lane)))
            if found is None:
                raise not_found("lane")
            return found
        if ZoneId(zone) not in self.venue.zones.by_id:
            raise Refused(422, "no_zone", "Say which zone the lane leads into, or which gate's lane it is.")
        of_event = [number for of, number in self.venue.sessions if of == event]
        if session is None and len(of_event) > 1:
            raise Refused(
                422, "which_session", "This event has several sessions. Say which one the lane serves."
            )
        if session is not None and session not in of_event:
            raise Refused(422, "no_session", "This event has no such session.")
        served = of_event if session is None else [SessionId(session)]
        return LanePlan(LaneId(lane), ZoneId(zone), mode, tuple((event, one) for one in served))

    def same_day(self, event: EventId, session: SessionId) -> tuple[SessionId, ...]:
        """Return the sessions of the day that `session` is on."""
        known = self.venue.sessions.get((event, session))
        if known is None:
            return (session,)
        return tuple(
            one.id for one in self.venue.sessions.values() if one.event == event and one.day == known.day
        )


class Facts:
    """Facts of groups, kept until the versions of their lists rise."""

    def __init__(self) -> None:
        self._groups: dict[int, int] = {}
        self._kept: dict[int, tuple[object, GroupFacts]] = {}

    def group_of(self, connection: Connection, event: int) -> int:
        """Return the group of an event that exists; an event never changes its group."""
        if event not in self._groups:
            e = events_tables.event.c
            self._groups[event] = connection.execute(select(e.group_id).where(e.id == event)).scalar_one()
        return self._groups[event]

    def of(self, connection: Connection, group: int, gate: GateId, now_s: int) -> GroupFacts:
        """Return a group's facts as they are now."""
        e, g, r = events_tables.event.c, gates_tables.gate.c, gates_tables.presence_reset.c
        versions = connection.execute(
            select(e.id, e.version, e.generation).where(e.group_id == group).order_by(e.id)
        ).all()
        mine = select(g.id).where(g.group_id == group)
        resets = connection.execute(
            select(*_RESETS).where(r.gate.in_(mine)).order_by(r.gate, r.epoch, r.seq)
        ).all()
        # A ticket signed seconds ago may be sold elsewhere; what is older stands in the tables, or is no ticket.
        mark = ([tuple(row) for row in versions], [tuple(row) for row in resets], gate, now_s // 60)
        kept = self._kept.get(group)
        if kept is not None and kept[0] == mark:
            return kept[1]
        zones = ZoneTree(programme.read_zones(connection, group))
        facts = GroupFacts(
            VenueFacts(
                zones=zones,
                sessions={(one.event, one.id): one for one in programme.read_sessions(connection, group)},
                products={(one.event, one.id): one for one in programme.read_products(connection, group)},
                list_cut_s={EventId(row.id): now_s // 60 * 60 for row in versions},
                this_gate=gate,
            ),
            KeyRing(
                IssuerKey(
                    kid_of(one.public), one.public, KeyFormat(one.format), one.event,
                    not_before=one.not_before, not_after=one.not_after, status=KeyStatus(one.status),
                )
                for one in read_keys(connection, group)
            ),
            programme.digest_key(connection, group) or b"",
            {(of, plan.lane): plan for of, plan in roster.plans(connection, group)},
            tuple(EventId(row.id) for row in versions),
            Resets([reset_from_columns(tuple(row)) for row in resets], zones),
        )  # fmt: skip
        self._kept[group] = (mark, facts)
        return facts


def tickets(
    connection: Connection,
    events: Sequence[EventId],
    digests: Collection[bytes],
    numbers: Collection[tuple[EventId, TicketId]],
) -> Tickets:
    """Return the tickets of credentials, and those asked for by number."""
    t, c = tables.ticket.c, tables.credential.c
    of_ticket = (
        t.event_id, t.id, t.product, t.holder, t.zones, t.session, t.standing.label("ticket_worth"), t.not_before, t.not_after, t.admits,
        t.home_gate, t.attention,
    )  # fmt: skip
    found: Tickets = {}
    if digests:
        joined = select(c.digest, c.standing.label("worth"), *of_ticket).join(
            tables.ticket, (t.event_id == c.event_id) & (t.id == c.ticket)
        )
        for row in connection.execute(joined.where(c.event_id.in_(events), c.digest.in_(digests))):
            found.setdefault(bytes(row.digest), []).append((_ticket(row), CredentialStanding(row.worth)))
    if numbers:
        wanted = [(event, signed(ticket)) for event, ticket in numbers]
        for row in connection.execute(select(*of_ticket).where(tuple_(t.event_id, t.id).in_(wanted))):
            ticket = _ticket(row)
            found[ticket.event, ticket.id] = [(ticket, CredentialStanding.ACTIVE)]
    return found


def presence(
    connection: Connection, wanted: Sequence[tuple[EventId, TicketId]]
) -> dict[tuple[EventId, TicketId], list[PresenceRow]]:
    """Return what every log says of these tickets."""
    p = gates_tables.presence.c
    found: dict[tuple[EventId, TicketId], list[PresenceRow]] = {}
    if wanted:
        keys = sorted({(event, signed(ticket)) for event, ticket in wanted})
        for columns in connection.execute(select(*_PRESENCE).where(tuple_(p.event, p.ticket).in_(keys))):
            row = from_columns(tuple(columns))
            found.setdefault((row.event, row.ticket), []).append(row)
    return found


def entry(connection: Connection, event: EventId, name: RecordId) -> PresenceRow | None:
    """Return the entry that a record is, if it is one of this event."""
    p = gates_tables.presence.c
    row = connection.execute(
        select(*_PRESENCE).where(
            p.event == event, p.gate == name.gate, p.epoch == signed(name.epoch), p.seq == name.seq,
            p.role == int(Role.ENTRY),
        )
    ).first()  # fmt: skip
    return None if row is None else from_columns(tuple(row))


def product_of(connection: Connection, event: EventId, ticket: TicketId) -> ProductId:
    """Return a ticket's product; 0 for a ticket that is not in the tables."""
    t = tables.ticket.c
    found = connection.execute(select(t.product).where(t.event_id == event, t.id == signed(ticket))).scalar()
    return ProductId(found or 0)


def by_number(event: EventId, ticket: TicketId) -> Known:
    """Return what was presented where a scanner names the ticket itself."""
    return Known(CredentialKind.OPAQUE, _BY_NUMBER.pack(event, ticket), None, None)


def gate_id(text: str) -> GateId:
    """Read a gate's number."""
    return GateId(int(text))


def epoch_id(text: str) -> Epoch:
    """Read an epoch as `record_name` writes it."""
    return Epoch(int(text, 16))


def _ticket(row: Any) -> Ticket:
    """Return a ticket of a row that has its columns."""
    return Ticket(
        TicketId(unsigned(row.id)), EventId(row.event_id), ProductId(row.product), HolderId(unsigned(row.holder)),
        tuple(ZoneId(one) for one in programme.numbers(row.zones)), SessionId(row.session), Standing(row.ticket_worth),
        row.not_before, row.not_after, row.admits, GateId(row.home_gate), Attention(row.attention),
    )  # fmt: skip
