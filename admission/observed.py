"""What records say of presence, one row each, and resets. What the rows amount to is `admission.presence`."""

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from admission.entitlements import Mode
from admission.ids import Epoch, EventId, GateId, LaneId, RecordId, SessionId, TicketId, ZoneId
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Fire,
    Flag,
    Kind,
    MalformedRecord,
    Outcome,
    Record,
    pack_record_ids,
    unpack_bound,
    unpack_record_ids,
    unpack_tap,
)

NAMES_MAX = 62
"""Record ids one row may name, two extensions full; an exit needs one per zone. More are not read, by anybody."""
PEOPLE_MAX = 2**32 - 2
"""What a RESET's `data` can say."""
LOGS_MAX = 31 * 256
"""Logs one reset may have heard; its writer may leave out those without a live entry in the zone."""
COLUMNS = (
    "event", "ticket", "gate", "epoch", "seq", "role", "time_us", "state", "way", "zone", "session", "lane", "mode",
    "flags", "names",
)  # fmt: skip
"""What `PresenceRow.as_columns` returns, in order; the first five are the key."""
RESET_COLUMNS = ("gate", "epoch", "seq", "zone", "time_us", "heard")

OF_DEVICE = 1 << 16
"""Beside the u16 of `Flag`, in `PresenceRow.flags` alone: said by a STORED record."""
_REHEARSAL, _NO_PULSE = int(Flag.REHEARSAL), int(Flag.NO_PULSE)
_STANDS_FOR = int(Flag.AFTER_RESTART | Flag.REENTRY)
"""An entry may name what it stands for: the reservation a restart caught, or the entry that an alarm froze."""
_ID = struct.Struct(">IQI")


class Role(IntEnum):
    """What a row is to its ticket."""

    ENTRY = 0
    EXIT = 1
    STATE = 2  # a passage, or its not coming, of an entry or exit
    ANNUL = 3
    TAP = 4
    """What a tag counted: `tag_rows_of`."""
    BIND = 5
    """A tag that stands for a ticket, and the code it replaces: `admission.binds`."""


class State(IntEnum):
    """How far an entry or exit has come; the highest holds, so a late passage wins over a give back."""

    RESERVED = 0
    GIVEN_BACK = 1
    COMMITTED = 2
    ANNULLED = 3


_ROLES, _STATES, _WAYS, _MODES = tuple(Role), tuple(State), tuple(Direction), tuple(Mode)
_SPOKEN = {
    Kind.PASSAGE: (Role.STATE, State.COMMITTED),
    Kind.LATE_PASSAGE: (Role.STATE, State.COMMITTED),
    Kind.GIVE_BACK: (Role.STATE, State.GIVEN_BACK),
    Kind.ANNUL: (Role.ANNUL, State.ANNULLED),
}
"""What speaks of another record, and what it makes of it."""
# Looked up once: by its class's name each costs a twentieth of what a record does, and one is read ten times.
_SCAN, _OVERRIDE, _STORED, _BIND, _GRANT, _NO_WAY, _IN = (
    Kind.SCAN, Kind.OVERRIDE, Kind.STORED, Kind.BIND, Outcome.GRANT, Direction.NONE, Direction.ENTRY,
)  # fmt: skip
_ASKED = (_SCAN, _STORED)
_REPEATED = int(Flag.REPEATED)
_ENTRY, _EXIT, _RESERVED, _COMMITTED = Role.ENTRY, Role.EXIT, State.RESERVED, State.COMMITTED


class PresenceRow(msgspec.Struct, frozen=True, gc=False):
    """What one record says of its ticket. `time_us` is corrected time; `flags` are `Flag` bits.

    `flags`: with `OF_DEVICE` it was stored in a device: it lies by its time also among records of its own log.
    `names`: of a STATE or ANNUL the records it speaks of, of an EXIT the entries it closes, of an ENTRY after a
    restart the reservation it stands for, of one let in again after an alarm the entry that the alarm froze. A struct, not a dataclass: a third of the cost on the way of a scan.
    """

    event: EventId
    ticket: TicketId
    id: RecordId
    role: Role
    time_us: int
    state: State = State.RESERVED
    way: Direction = Direction.NONE
    zone: ZoneId = ZoneId(0)
    session: SessionId = SessionId(0)
    lane: LaneId = LaneId(0)
    mode: Mode = Mode.NORMAL
    flags: int = 0
    names: tuple[RecordId, ...] = ()

    def as_columns(self) -> tuple[int | bytes, ...]:
        """Return the row as `COLUMNS`; u64 ids as SQLite's signed integers of the same bits."""
        gate, epoch, seq = self.id
        ticket, names = self.ticket, self.names
        return (  # written out: a call for each number would double what a neighbour's day costs here
            self.event, ticket if ticket < _I64_END else ticket - _U64_END, gate,
            epoch if epoch < _I64_END else epoch - _U64_END, seq, self.role, self.time_us, self.state, self.way,
            self.zone, self.session, self.lane, self.mode, self.flags,
            b"" if not names else _ID.pack(*names[0]) if len(names) == 1 else _pack(names),
        )  # fmt: skip


def from_columns(columns: Sequence[int | bytes]) -> PresenceRow:
    """Read what `as_columns` returned. ValueError, IndexError or struct.error for anything else."""
    event, ticket, gate, epoch, seq, role, time_us, state, way, zone, session, lane, mode, flags, names = (
        columns
    )
    return PresenceRow(
        event, ticket & _U64, RecordId(gate, epoch & _U64, seq), _ROLES[role], time_us, _STATES[state],  # type: ignore[arg-type,operator,index]  # the table's columns are of these types
        _WAYS[way], zone, session, lane, _MODES[mode], flags, _unpack(names) if names else (),  # type: ignore[index,arg-type]  # as above
    )  # fmt: skip


_U64 = 2**64 - 1
_I64_END, _U64_END = 2**63, 2**64


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _pack(names: tuple[RecordId, ...]) -> bytes:
    return b"".join([_ID.pack(*name) for name in names])


def _unpack(names: bytes) -> tuple[RecordId, ...]:
    return tuple([RecordId(*name) for name in _ID.iter_unpack(names)])


def rows_of(
    gate: GateId, epoch: Epoch, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int
) -> tuple[PresenceRow, ...]:
    """Return what a record contributes: one row or none. `time_us` is its corrected time.

    `extensions`: all that follow the body; where a prefix was cut between them, ask again when the rest is here and
    replace the row. Rehearsals, denials, records without a ticket and those of no bearing on presence give none.
    Each entry is one person: a group grant is one SCAN per person.
    """
    said = _said(body, extensions)
    if said is None:
        return ()
    ticket, role, state, way, ref, names = said
    if ref:
        names = (RecordId(gate, epoch, ref), *names)
    return (
        PresenceRow(
            ticket[0], ticket[1], RecordId(gate, epoch, body.seq), role, time_us, state, way, body.zone,
            body.session, body.lane, body.mode, _flags(body), names,
        ),
    )  # fmt: skip


def columns_of(
    gate: GateId, epoch: Epoch, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int
) -> tuple[int | bytes, ...] | None:
    """Return the row of `rows_of` as `COLUMNS`, or None where there is none: for who stores it and asks nothing of it.

    Every number is a plain int. The centre takes 40,000 in a second, and a row's object costs as much as the rest.
    """
    said = _said(body, extensions)
    if said is None:
        return None
    (event, ticket), role, state, way, ref, names = said
    named = _ID.pack(gate, epoch, ref) if ref else b""
    return (
        event, ticket if ticket < _I64_END else ticket - _U64_END, gate, epoch if epoch < _I64_END else epoch - _U64_END,
        body.seq, role + 0, time_us, state + 0, way + 0, body.zone, body.session, body.lane, body.mode + 0,
        _flags(body), named + _pack(names) if names else named,
    )  # fmt: skip


NO_EVENT = EventId(0)
"""In the place of an event, where a row is about a tag and not about a ticket."""


def tag_key(digest: bytes) -> tuple[EventId, TicketId]:
    """Return under which event and ticket the rows about a tag stand, whichever tickets it stands for now.

    Eight of its digest's bytes: two tags of a group that share them are not to be met.
    """
    return NO_EVENT, TicketId(int.from_bytes(digest[:8], "big"))


def digest_name(digest: bytes) -> RecordId:
    """Return a digest as a row names it; `named_digest` reads it back."""
    return RecordId(*_ID.unpack(digest))


def named_digest(name: RecordId) -> bytes:
    """Return the digest that a row names."""
    return _ID.pack(*name)


def tag_rows_of(
    gate: GateId, epoch: Epoch, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int
) -> tuple[PresenceRow, ...]:
    """Return what a record says of tags, as rows of `tag_key`: of one that counts its taps (`flags` is the counter), of one
    that was bound to a ticket (`names`: the tag, the code it replaces, and event, ticket and product).

    A row has the id of its extension, so that it stands beside what the record says of its ticket. They replicate and
    are kept as all of presence is, and are nobody's presence. A rehearsal's count too: the tag did count.
    """
    found: tuple[PresenceRow, ...] = ()
    for extension in extensions:
        if extension.type is Extension.TAP:
            try:
                digest, counter = unpack_tap(extension.payload)
            except MalformedRecord:
                continue
            at = RecordId(gate, epoch, extension.seq)
            found += (PresenceRow(*tag_key(digest), at, Role.TAP, time_us, lane=body.lane, flags=counter),)
        elif extension.type is Extension.BOUND and body.kind is _BIND:
            found += _bound_row(gate, epoch, body, extension, time_us)
    return found


def _bound_row(
    gate: GateId, epoch: Epoch, body: Record, extension: ExtensionRecord, time_us: int
) -> tuple[PresenceRow, ...]:
    ticket = body.ticket
    if ticket is None or body.flags & _REHEARSAL:
        return ()
    try:
        bound = unpack_bound(extension.payload)
    except MalformedRecord:
        return ()
    stands_for = RecordId(GateId(ticket[0]), Epoch(ticket[1]), body.product)
    names = (digest_name(bound.tag), digest_name(bound.code), stands_for)
    at = RecordId(gate, epoch, extension.seq)
    return (
        PresenceRow(
            *tag_key(bound.tag), at, Role.BIND, time_us, session=body.session, lane=body.lane, names=names
        ),
    )


def highest_tap(rows: Iterable[PresenceRow]) -> int:
    """Return the highest counter that rows of one tag know of; -1 where it was never seen."""
    return max((row.flags for row in rows if row.role is Role.TAP), default=-1)


_Said = tuple[tuple[EventId, TicketId], Role, State, Direction, int, tuple[RecordId, ...]]
"""Of one record: its ticket, what it is to that, how far it has come, which way, the seq that it speaks of, what it names."""


def _said(body: Record, extensions: tuple[ExtensionRecord, ...]) -> _Said | None:
    flags = body.flags
    kind = body.kind
    ticket = body.ticket
    if ticket is None or flags & _REHEARSAL:
        return None
    names = _names(extensions, Extension.OBSERVED, NAMES_MAX) if extensions else ()
    spoken = _SPOKEN.get(kind)
    way = body.direction
    if kind is _BIND:
        return _said_bound(ticket, extensions)
    if spoken is not None:
        role, state = spoken
        return ticket, role, state, way if state is _COMMITTED else _NO_WAY, body.ref, names
    if way is _NO_WAY or (kind is not _OVERRIDE and (kind not in _ASKED or body.outcome is not _GRANT)):
        return None
    if kind is _STORED:
        return (
            None if flags & _REPEATED else (ticket, _ENTRY if way is _IN else _EXIT, _COMMITTED, way, 0, ())
        )
    if way is _IN:
        return ticket, _ENTRY, _RESERVED, way, 0, names if flags & _STANDS_FOR else ()
    return ticket, _EXIT, _COMMITTED if flags & _NO_PULSE else _RESERVED, way, 0, names


def _said_bound(ticket: tuple[EventId, TicketId], extensions: tuple[ExtensionRecord, ...]) -> _Said | None:
    for extension in extensions:
        if extension.type is Extension.BOUND:
            try:
                bound = unpack_bound(extension.payload)
            except MalformedRecord:
                continue
            return ticket, Role.BIND, _RESERVED, _NO_WAY, 0, (digest_name(bound.tag), digest_name(bound.code))
    return None


def _flags(body: Record) -> int:
    return body.flags | OF_DEVICE if body.kind is _STORED else body.flags + 0


def _names(extensions: tuple[ExtensionRecord, ...], kind: Extension, limit: int) -> tuple[RecordId, ...]:
    """Collect the record ids of the extensions of one type; a malformed one names nothing."""
    found: tuple[RecordId, ...] = ()
    for extension in extensions:
        if extension.type is kind and len(found) < limit:
            try:
                found += unpack_record_ids(extension.payload)
            except MalformedRecord:
                continue
    return found[:limit]


class ResetKind(IntEnum):
    """What befell a zone, and those inside it."""

    EMPTIED = 0  # a presence reset: nobody is inside
    ALARM = 1  # a fire alarm: whoever is inside leaves, and his presence is frozen
    CLEARED = 2  # staff cleared an alarm: those who were inside may come in again
    ENDED = 3  # staff ended the re-admission
    COUNTED = 4  # staff counted the zone by hand


_OF_FIRE = {
    Fire.ALARM: ResetKind.ALARM, Fire.CLEARED: ResetKind.CLEARED, Fire.ENDED: ResetKind.ENDED
}  # fmt: skip
RESETTING = frozenset({Kind.RESET, Kind.FIRE})
"""The kinds of record that `reset_of` may make something of."""
NO_GATE = GateId(0)
"""In front of what a table holds of a reset's `heard`: kind and number of people, where it is more than a reset."""


class Reset(msgspec.Struct, frozen=True):
    """What befell a zone and those inside it, as far as `heard`: the last seq heard of each log.

    The record's own log counts as heard up to the record itself. Zone 0 is no zone and resets nothing. What each kind
    amounts to: `admission.resets`. `people`: how many were counted.
    """

    id: RecordId
    zone: ZoneId
    time_us: int
    heard: tuple[RecordId, ...]
    kind: ResetKind = ResetKind.EMPTIED
    people: int = 0

    def as_columns(self) -> tuple[int | bytes, ...]:
        """Return the reset as `RESET_COLUMNS`, ids as `PresenceRow.as_columns` has them."""
        gate, epoch, seq = self.id
        heard = self.heard
        if self.kind is not ResetKind.EMPTIED:
            heard = (RecordId(NO_GATE, Epoch(self.kind), self.people), *heard)
        return (gate, _signed(epoch), seq, self.zone, self.time_us, _pack(heard))


def reset_from_columns(columns: Sequence[int | bytes]) -> Reset:
    """Read what `Reset.as_columns` returned. ValueError for a kind that is not known here."""
    gate, epoch, seq, zone, time_us, packed = columns
    heard = _unpack(packed)  # type: ignore[arg-type]  # the table's columns are of these types
    kind, people = ResetKind.EMPTIED, 0
    if heard and heard[0].gate == NO_GATE:
        kind, people = ResetKind(heard[0].epoch), heard[0].seq
        heard = heard[1:]
    return Reset(RecordId(gate, epoch & _U64, seq), zone, time_us, heard, kind, people)  # type: ignore[arg-type,operator]  # as above


def reset_of(
    gate: GateId, epoch: Epoch, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int
) -> Reset | None:
    """Return what a record says of a whole zone, or None for any other record and for a rehearsal."""
    if body.kind not in RESETTING or body.flags & Flag.REHEARSAL:
        return None
    people = 0
    if body.kind is Kind.RESET:
        kind = ResetKind.COUNTED if body.data else ResetKind.EMPTIED
        people = max(0, body.data - 1)
    else:
        found = _OF_FIRE.get(body.data)  # type: ignore[call-overload]  # an IntEnum is its number
        if found is None:
            return None
        kind = found
    heard = _names(extensions, Extension.RESET, LOGS_MAX)
    return Reset(RecordId(gate, epoch, body.seq), body.zone, time_us, heard, kind, people)


def reset_payloads(heard: Iterable[RecordId]) -> tuple[tuple[Extension, bytes], ...]:
    """Return the extensions that go with the body of a reset, an alarm or a count, for `Write.extensions`."""
    return tuple((Extension.RESET, payload) for payload in pack_record_ids(tuple(heard)[:LOGS_MAX]))


def counted_data(people: int) -> int:
    """Return the `data` of a RESET by which people are counted, not sent out."""
    return min(people, PEOPLE_MAX) + 1
