"""What one decision at the centre rests on: the same facts as a gate's list and log hold, read from the tables."""

import struct
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select, text

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
    from_columns,
    reset_from_columns,
)
from admission.question import VenueFacts
from admission.records import MalformedRecord, Record, record_from_bytes
from admission.resets import Resets
from sync.events import rows as programme
from sync.events import tables as events_tables
from sync.gates import roster
from sync.gates import tables as gates_tables
from sync.store.keyed import Keyed
from sync.store.schema import signed, unsigned
from sync.store.together import Round, Statement
from sync.tickets import tables
from sync.tickets.rows import read_keys
from sync.web.api import Refused, not_found

Named = tuple[EventId, TicketId]
Rows = Sequence[tuple[Ticket, CredentialStanding]]
Tickets = dict[Hashable, list[tuple[Ticket, CredentialStanding]]]
"""By a credential's digest, and by (event, ticket) for what was asked by number."""

HEARD_S = 30
"""A gate not heard for so long is cut off (DESIGN.md, Deciding)."""
STEADY_S = 20
"""A gate heard within so long is in touch again for good: replicas' clocks differ, and room is not dealt out anew for that.
One in touch is heard every 10 s, `sync.wire.feed.WAIT_MAX_MS`, and what is heard is written down 2 s later."""

_TICKET_NUMBER = struct.Struct(">QQ")
_RESETS = [gates_tables.presence_reset.c[name] for name in RESET_COLUMNS]
_TICKET = (
    "event_id", "id", "product", "holder", "zones", "session", "standing", "not_before", "not_after", "admits", "home_gate",
    "attention",
)  # fmt: skip
_OF_TICKET = ", ".join(f"t.{name}" for name in _TICKET)
_OF_GROUP = "SELECT id FROM event WHERE group_id = :group"
_CREDENTIALS = f"""
({_OF_GROUP} OFFSET 0) AS e CROSS JOIN LATERAL
(SELECT event_id, digest, ticket, standing FROM credential WHERE event_id = e.id AND digest IN (:keys) OFFSET 0) AS c
"""  # noqa: S608 - fixed names
"""The credentials with a digest, for PostgreSQL: by their key, which begins with the event."""
_BY_DIGEST = Keyed(
    f"""
SELECT {_OF_TICKET}, c.digest, c.standing AS worth
FROM credential c JOIN ticket t ON t.event_id = c.event_id AND t.id = c.ticket
WHERE c.event_id IN ({_OF_GROUP}) AND c.digest IN (:keys)
""",  # noqa: S608 - fixed names
    *_TICKET,
    "digest",
    "worth",
    postgresql=f"""
SELECT {_OF_TICKET}, c.digest, c.standing AS worth FROM {_CREDENTIALS} CROSS JOIN LATERAL
(SELECT * FROM ticket WHERE event_id = c.event_id AND id = c.ticket OFFSET 0) AS t
""",  # noqa: S608 - fixed names
)
_BY_NUMBER = Keyed(
    f"SELECT {_OF_TICKET} FROM ticket t WHERE t.event_id = :event AND t.id IN (:keys)",  # noqa: S608 - fixed names
    *_TICKET,
)
_OF_TICKETS = Keyed(
    f"SELECT {', '.join(COLUMNS)} FROM presence WHERE event = :event AND ticket IN (:keys)",  # noqa: S608 - fixed names
    *COLUMNS,
)
_ROWS = ", ".join(f"p.{name}" for name in COLUMNS)
_OF_CREDENTIALS = Keyed(
    f"""
SELECT {_ROWS} FROM credential c JOIN presence p ON p.event = c.event_id AND p.ticket = c.ticket
WHERE c.event_id IN ({_OF_GROUP}) AND c.digest IN (:keys)
""",  # noqa: S608 - fixed names
    *COLUMNS,
    postgresql=f"""
SELECT {_ROWS} FROM {_CREDENTIALS} CROSS JOIN LATERAL
(SELECT * FROM presence WHERE event = c.event_id AND ticket = c.ticket OFFSET 0) AS p
""",  # noqa: S608 - fixed names
)
# What resets said first is never taken back: they become more, and one that was cut from its extensions names more.
_MARK = Statement(
    """
SELECT id, version, generation FROM event WHERE group_id = :group
UNION ALL
SELECT 0, count(*), coalesce(sum(length(r.heard)), 0) FROM presence_reset r JOIN gate g ON g.id = r.gate
WHERE g.group_id = :group
""",
    *("id", "version", "generation"),
)
_RECORD = text("SELECT blob FROM record WHERE gate_id = :gate AND epoch = :epoch AND seq = :seq")
_HEARD = Statement(
    "SELECT r.gate_id, r.heard_s FROM reading r JOIN gate g ON g.id = r.gate_id WHERE g.group_id = :group",
    *("gate_id", "heard_s"),
)


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What changes seldom in an event group, and the resets heard."""

    venue: VenueFacts
    ring: KeyRing
    digest_key: bytes
    plans: Mapping[tuple[GateId, LaneId], LanePlan]
    events: tuple[EventId, ...]
    resets: Resets
    zone_gates: Mapping[ZoneId, tuple[GateId, ...]]
    """The gates that serve a zone and have a box: somebody may be let in there unseen."""
    limited: tuple[ZoneId, ...]
    """The zones that hold so many people and no more."""
    replicas: Mapping[ZoneId, int]
    """How many replicas answer scanners of a zone, as gates are told."""
    served: frozenset[ZoneId]
    """Those that this one does."""

    def of_us(self, zone: ZoneId) -> int:
        """Return how many replicas answer scanners of a zone, this one among them."""
        return self.replicas.get(zone, 0) + (zone not in self.served)

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


class EventOwner(NamedTuple):
    """Where an event belongs: neither ever changes."""

    group: int
    organization: int


class Heard(NamedTuple):
    """The gates that were heard within `HEARD_S` of a second, and those within `STEADY_S`."""

    at_s: int
    gates: frozenset[GateId]
    steady: frozenset[GateId]


class Unheard(NamedTuple):
    """Zones with a gate that was not heard: for `HEARD_S`, so that it may have let somebody in; and for `STEADY_S`."""

    cut_off: frozenset[ZoneId] = frozenset()
    lately: frozenset[ZoneId] = frozenset()


class Facts:
    """Facts of groups, kept until the versions of their lists rise."""

    def __init__(self) -> None:
        self._owners: dict[int, EventOwner] = {}
        self._kept: dict[int, tuple[object, GroupFacts]] = {}
        self._marks: dict[int, list[Any]] = {}
        self._heard: dict[int, Heard] = {}
        self._unheard: dict[int, tuple[Heard, GroupFacts, Unheard]] = {}

    def last(self, group: int) -> GroupFacts | None:
        """Return a group's facts as they were last; None where they were never read."""
        kept = self._kept.get(group)
        return None if kept is None else kept[1]

    def last_of(self, event: int) -> GroupFacts | None:
        """Return the facts of an event's group as they were last, if it was ever asked about."""
        owner = self._owners.get(event)
        return None if owner is None else self.last(owner.group)

    def owner(self, event: int) -> EventOwner | None:
        """Return where an event belongs, as far as that was asked before."""
        return self._owners.get(event)

    def owner_of(self, connection: Connection, event: int) -> EventOwner | None:
        """Return where an event belongs; None for one that does not exist."""
        found = self._owners.get(event)
        if found is None:
            e, g = events_tables.event.c, events_tables.event_group.c
            row = connection.execute(
                select(g.id, g.organization_id)
                .join(events_tables.event, e.group_id == g.id)
                .where(e.id == event)
            ).first()
            if row is None:
                return None
            found = self._owners[event] = EventOwner(*row)
        return found

    def ask(self, round_: Round, group: int, now_s: int) -> None:
        """Ask whether anything changed, and, once a second, which gates were heard; then `of` and `unheard` know."""
        round_.add(_MARK.ask(group=group), partial(self._marks.__setitem__, group))
        heard = self._heard.get(group)
        if heard is None or heard.at_s != now_s:
            round_.add(_HEARD.ask(group=group), lambda rows: self._hear(group, now_s, rows))

    def _hear(self, group: int, now_s: int, rows: list[Any]) -> None:
        self._heard[group] = Heard(
            now_s,
            frozenset(gate for gate, at_s in rows if now_s - at_s < HEARD_S),
            frozenset(gate for gate, at_s in rows if now_s - at_s < STEADY_S),
        )

    def of(self, connection: Connection, group: int, gate: GateId, now_s: int) -> GroupFacts:
        """Return a group's facts as they were when it was asked."""
        mark = (gate, sorted(self._marks[group]))
        kept = self._kept.get(group)
        facts = kept[1] if kept is not None and kept[0] == mark else _read(connection, group, gate)
        # A ticket signed seconds ago may be sold elsewhere; what is older stands in the tables, or is no ticket.
        cut_s = now_s // 60 * 60
        if any(at_s != cut_s for at_s in facts.venue.list_cut_s.values()):
            cuts = dict.fromkeys(facts.events, cut_s)
            facts = replace(facts, venue=msgspec.structs.replace(facts.venue, list_cut_s=cuts))
        if kept is None or kept[1] is not facts:
            self._kept[group] = (mark, facts)
        return facts

    def unheard(self, group: int, facts: GroupFacts) -> Unheard:
        """Return the zones with a gate that was not heard: it may have let somebody in meanwhile."""
        heard = self._heard[group]
        kept = self._unheard.get(group)
        if kept is not None and kept[0] is heard and kept[1] is facts:
            return kept[2]
        gates = facts.zone_gates.items()
        found = Unheard(
            frozenset(zone for zone, serve in gates if not heard.gates.issuperset(serve)),
            frozenset(zone for zone, serve in gates if not heard.steady.issuperset(serve)),
        )
        self._unheard[group] = (heard, facts, found)
        return found


def _read(connection: Connection, group: int, gate: GateId) -> GroupFacts:
    g, r = gates_tables.gate.c, gates_tables.presence_reset.c
    resets = connection.execute(
        select(*_RESETS)
        .where(r.gate.in_(select(g.id).where(g.group_id == group)))
        .order_by(r.gate, r.epoch, r.seq)
    ).all()
    zones = ZoneTree(programme.read_zones(connection, group))
    sessions = programme.read_sessions(connection, group)
    days = programme.read_days(connection, group, sessions)
    events = list(days)
    enrolled = [one for one in roster.gates(connection, group) if one.public]
    gates = [one for one in enrolled if not one.is_replica]
    served = Counter(zone for one in enrolled if one.is_replica for zone in one.zones)
    return GroupFacts(
        VenueFacts(
            zones=zones,
            sessions={(one.event, one.id): one for one in sessions},
            products={(one.event, one.id): one for one in programme.read_products(connection, group)},
            list_cut_s=dict.fromkeys(events, 0),
            this_gate=gate,
            days=days,
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
        tuple(events),
        Resets([reset_from_columns(tuple(row)) for row in resets], zones),
        {zone: tuple(one.id for one in gates if zone in one.zones) for zone in zones.by_id},
        tuple(zone.id for zone in zones.by_id.values() if zone.capacity),
        served,
        frozenset(zone for one in enrolled if one.id == gate for zone in one.zones),
    )  # fmt: skip


def ask_tickets(
    round_: Round, group: int, digests: Collection[bytes], numbers: Collection[Named], found: Tickets
) -> None:
    """Ask for the tickets of credentials, and those named by number; they are put in `found`."""

    def by_digest(rows: list[Any]) -> None:
        for row in rows:
            found.setdefault(bytes(row.digest), []).append((_ticket(row), CredentialStanding(row.worth)))

    def by_number(rows: list[Any]) -> None:
        for row in rows:
            ticket = _ticket(row)
            found[ticket.event, ticket.id] = [(ticket, CredentialStanding.ACTIVE)]

    if digests:
        round_.add(_BY_DIGEST.ask(round_.connection, sorted(digests), group=group), by_digest)
    for event, some in _by_event(numbers):
        round_.add(_BY_NUMBER.ask(round_.connection, some, event=event), by_number)


def ask_presence(round_: Round, wanted: Collection[Named], found: dict[Named, list[PresenceRow]]) -> None:
    """Ask what every log says of these tickets; it is put in `found`."""
    for event, some in _by_event(wanted):
        round_.add(_OF_TICKETS.ask(round_.connection, some, event=event), partial(_add_presence, found))


def ask_presence_of(
    round_: Round, group: int, digests: Collection[bytes], found: dict[Named, list[PresenceRow]]
) -> None:
    """Ask what every log says of the tickets of these credentials; it is put in `found`."""
    if digests:
        ask = _OF_CREDENTIALS.ask(round_.connection, sorted(digests), group=group)
        round_.add(ask, partial(_add_presence, found))


def presence(connection: Connection, ticket: Named) -> list[PresenceRow]:
    """Return what every log says of a ticket."""
    found: dict[Named, list[PresenceRow]] = {}
    round_ = Round(connection)
    ask_presence(round_, [ticket], found)
    round_.run()
    return found.get(ticket, [])


def _add_presence(found: dict[Named, list[PresenceRow]], rows: list[Any]) -> None:
    """Add rows, each once: two credentials of one ticket both ask for it."""
    for columns in dict.fromkeys(rows):
        row = from_columns(columns)
        known = found.setdefault((row.event, row.ticket), [])
        if row not in known:
            known.append(row)


def _by_event(wanted: Iterable[Named]) -> Iterable[tuple[EventId, list[int]]]:
    """Return tickets as the tables number them, in order, by event."""
    found: dict[EventId, set[int]] = {}
    for event, ticket in wanted:
        found.setdefault(event, set()).add(signed(ticket))
    return [(event, sorted(some)) for event, some in sorted(found.items())]


def entry(connection: Connection, event: EventId, name: RecordId) -> list[PresenceRow]:
    """Return what every log says of the ticket that a record let in; nothing where it let in none of this event."""
    at = {"gate": name.gate, "epoch": signed(name.epoch), "seq": name.seq}
    blob = connection.execute(_RECORD, at).scalar()
    try:
        body = None if blob is None else record_from_bytes(bytes(blob))
    except MalformedRecord:
        return []  # of a format this version does not know
    ticket = body.ticket if isinstance(body, Record) else None
    if ticket is None or ticket[0] != event:
        return []
    return presence(connection, ticket)


def product_of(connection: Connection, event: EventId, ticket: TicketId) -> ProductId:
    """Return a ticket's product; 0 for a ticket that is not in the tables."""
    t = tables.ticket.c
    found = connection.execute(select(t.product).where(t.event_id == event, t.id == signed(ticket))).scalar()
    return ProductId(found or 0)


def by_number(event: EventId, ticket: TicketId) -> Known:
    """Return what was presented where a scanner names the ticket itself."""
    return Known(CredentialKind.OPAQUE, _TICKET_NUMBER.pack(event, ticket), None, None)


def gate_id(text: str) -> GateId:
    """Read a gate's number."""
    return GateId(int(text))


def epoch_id(text: str) -> Epoch:
    """Read an epoch as `record_name` writes it."""
    return Epoch(int(text, 16))


def _ticket(row: Any) -> Ticket:
    """Return a ticket of a row that begins with the columns of `_TICKET`."""
    (
        event,
        number,
        product,
        holder,
        zones,
        session,
        standing,
        not_before,
        not_after,
        admits,
        home,
        attention,
    ) = row[:12]
    return Ticket(
        TicketId(unsigned(number)), EventId(event), ProductId(product), HolderId(unsigned(holder)),
        tuple(ZoneId(one) for one in programme.numbers(zones)), SessionId(session), Standing(standing), not_before,
        not_after, admits, GateId(home), Attention(attention),
    )  # fmt: skip
