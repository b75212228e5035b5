"""The list a gate is told: built from the tables by one function, the same bytes for the same version."""

import hashlib
import threading
from typing import NamedTuple

from sqlalchemy import Connection, select

from admission.entitlements import Attention, CredentialStanding, LanePlan, Standing
from admission.ids import EventId, GateId, HolderId, ProductId, SessionId, TicketId, ZoneId
from sync.gates import roster
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.store.schema import unsigned
from sync.tickets import rows, tables
from sync.wire.lists import EventInfo, ListHead, ListRow, Profile, pack_list, version_tag


def seals(connection: Connection) -> tuple[EventInfo, ...]:
    """Return every event of the group with the seal its list was cut at."""
    t = tables.event
    found = connection.execute(select(t).where(t.c.group_id == rows.GROUP).order_by(t.c.id))
    return tuple(
        EventInfo(EventId(row.id), row.name, row.generation, row.version, row.sealed_at_s, row.timezone)
        for row in found
    )


def content(connection: Connection) -> tuple[ListHead, list[ListRow]]:
    """Return all that a list says, from one consistent state of the tables."""
    key = rows.digest_key(connection)
    gate_plans = roster.plans(connection)
    lanes: dict[GateId, tuple[int, ...]] = {}
    for index, (gate, _) in enumerate(gate_plans):
        lanes[gate] = (*lanes.get(gate, ()), index)
    listed, profiles = _credentials(connection)
    head = ListHead(
        group=rows.GROUP,
        events=seals(connection),
        products=rows.read_products(connection),
        sessions=rows.read_sessions(connection),
        zones=rows.read_zones(connection),
        plans=tuple[LanePlan, ...](plan for _, plan in gate_plans),
        gate_lanes=lanes,
        keys=rows.read_keys(connection),
        gates=tuple(gate.info() for gate in roster.gates(connection)),
        profiles=profiles,
        digest_key=key or bytes(32),
        schedules=roster.schedules(connection),
        orders=roster.orders(connection),
    )
    return head, listed


def _credentials(connection: Connection) -> tuple[list[ListRow], tuple[Profile, ...]]:
    """Return the rows, and the profiles they share in an order that only the content decides."""
    shared: dict[tuple[object, ...], int] = {}
    found = sorted(rows.read_credentials(connection))
    for row in found:
        shared.setdefault(row[3:11], len(shared))
    listed = [
        ListRow(
            digest=bytes(row[0]),  # type: ignore[call-overload]  # the columns' types are those of CredentialRow
            event=EventId(row[1]),  # type: ignore[arg-type]  # as above
            ticket=TicketId(unsigned(row[2])),  # type: ignore[arg-type]  # as above
            profile=shared[row[3:11]],
            holder=HolderId(unsigned(row[11])),  # type: ignore[arg-type]  # as above
            standing=Standing(row[12]),  # type: ignore[arg-type]  # as above
            credential_standing=CredentialStanding(row[13]),  # type: ignore[arg-type]  # as above
        )
        for row in found
    ]
    return listed, tuple(_profile(*one) for one in shared)  # type: ignore[arg-type]  # as above


def _profile(
    product: int,
    zones: str,
    session: int,
    not_before: int,
    not_after: int,
    admits: int,
    home_gate: int,
    attention: int,
) -> Profile:
    return Profile(
        product=ProductId(product),
        zones=tuple(ZoneId(number) for number in rows.numbers(zones)),
        session=SessionId(session),
        not_before=not_before,
        not_after=not_after,
        admits=admits,
        home_gate=GateId(home_gate),
        attention=Attention(attention),
    )


def tag_of(events: tuple[EventInfo, ...]) -> str:
    """Return the ETag of the list cut at these seals."""
    return version_tag(rows.GROUP, ((one.id, one.generation, one.version) for one in events))


class Current(NamedTuple):
    """The newest list. `file` is None where the asker has this version; `digest`: SHA-256 of what is sent."""

    tag: str
    file: bytes | None
    digest: bytes


_NOTHING = hashlib.sha256(b"").digest()


class ListFile:
    """The signed list file, made once per version however many gates ask at a time."""

    def __init__(self, database: Database, keys: VenueKeys) -> None:
        self._database = database
        self._key = keys.list_key
        self._lock = threading.Lock()
        self._tag = ""
        self._file = b""
        self._digest = _NOTHING
        self.built = 0

    def current(self, known_tag: str) -> Current:
        """Return the list as the asker is told it. Blocks: for a thread."""
        with self._database.reading() as connection:
            tag = tag_of(seals(connection))
        if tag == known_tag:
            return Current(tag, None, _NOTHING)
        with self._lock:
            if tag != self._tag:
                with self._database.reading() as connection:
                    head, listed = content(connection)
                self._tag, self._file = tag_of(head.events), pack_list(head, listed, self._key)
                self._digest = hashlib.sha256(self._file).digest()
                self.built += 1
            return Current(self._tag, self._file, self._digest)
