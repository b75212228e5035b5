"""Records: what happened at a gate, in bytes that are stored, hashed and sent alike.

A record is known by (gate, epoch, seq); gate and epoch seed the chain (`admission.chain`) and are not repeated in
it. A body is 56 bytes, big-endian:

    off size field
      0   1  format          0, for ever (docs/records.md); bit 7 set marks an extension record
      1   1  kind            `Kind`
      2   2  flags           `Flag`
      4   4  seq             1-based within the epoch
      8   8  time_us         the gate's UTC clock, microseconds since 1970, signed
     16   4  mono_ms         milliseconds since the epoch's start, by the monotonic clock; wraps after 49.7 days
     20   2  lane
     22   2  reader          0: staff, page, or the lane itself
     24   2  zone
     26   2  session
     28   1  outcome         `Outcome`
     29   1  reason          `admission.reasons.Reason`, 0 where there is none
     30   1  way             low nibble `Direction`, high nibble `Mode`
     31   1  trust           `Trust` of the clock that gave time_us
     32  16  subject         TICKET flag: event u32, ticket u64, product u16, reserved u16; DIGEST flag: 16 bytes; else 0
     48   4  ref             seq, in this epoch, of the record this one is about; 0 is none
     52   4  data            by kind: repeats, pulse ms, new state, seconds stepped, seconds stored, device (`device_data`)

A DEVICE record says that a configured device came or went. `lane` and `reader` name a reader; of a relay board and of
a board of contacts `lane` is 0, `reader` its place in the box's configuration from 1, and a DETAIL extension its name
there. `data`: u8 `DeviceKind`, u8 `DeviceChange`, u16 how many changes of this device before it were only counted
(REPEATED flag; stops at 65,535), so that a flapping cable does not wear the card.

A STORED record is a scan that a device without a line kept until it was docked: it is judged as of `stored_us`, no arm
moves for it (NO_PULSE), and who was let in or out by it passed. `time_us` and `mono_ms` are of the gate, when it was handed over;
`data`: whole seconds from when the device says that the code was read to the whole second of `time_us`, signed (two's
complement), so that it holds whatever the gate's clock said. With REPEATED `data` is a count, and the time the gate's.

A BIND record says that a tag stands for the subject's ticket from now on, and that the code which was shown for it is
replaced. A BOUND extension follows: which tag, and which code.

A FIRE record's `data` is a `Fire`; an alarm has RESET extensions. A RESET's `data` is 0 where nobody is inside any more, else
the number of people that staff counted, plus 1.

An extension record has 8 bytes of header (format | 0x80, `Extension`, payload length u16, seq u32) and up to 504 of
payload. It takes a seq of its own and speaks of the nearest body before it, with which it is committed. A payload
whose length its type cannot have is malformed, so that no reader meets half a record id or a cut head.
"""

import struct
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from admission.entitlements import Mode
from admission.ids import EventId, LaneId, ProductId, ReaderId, RecordId, SessionId, TicketId, ZoneId

FORMAT = 0
BODY_BYTES = 56
EXTENSION_BIT = 0x80
EXTENSION_BYTES_MAX = 512
PAYLOAD_BYTES_MAX = EXTENSION_BYTES_MAX - 8
SEQ_MAX = 2**32 - 1
UID_BYTES_MAX = 10
"""The longest of ISO/IEC 14443."""
COUNTED_MAX = 2**16 - 1
NEVER_US = 1 << 62
"""Later than any record was made."""
"""A u16 in the `data` of a DEVICE record."""

_BODY = struct.Struct(">BBHIqIHHHHBBBB16sII")
_TICKET = struct.Struct(">IQHH")
_EXTENSION = struct.Struct(">BBHI")
_RECORD_ID = struct.Struct(">IQI")
_TAP = struct.Struct(">16sI")
_BOUND = struct.Struct(">B10s16s16s")
NOBODY = bytes(16)


class Kind(IntEnum):
    """What happened."""

    SCAN = 1
    PASSAGE = 2
    GIVE_BACK = 3
    LATE_PASSAGE = 4
    INTRUSION = 5
    TAILGATE = 6
    OVERRIDE = 7
    ANNUL = 8
    BIND = 9
    LANE_STATE = 10
    FIRE = 11
    RESET = 12
    LIST_APPLIED = 13
    STANDING = 14
    CLOCK_STEP = 15
    DEVICE = 16
    TEST_PULSE = 17
    HEAD = 18
    CHAIN_BREAK = 19
    RESTART = 20
    STORED = 21


_OF_PEOPLE = frozenset(
    (
        Kind.SCAN, Kind.PASSAGE, Kind.GIVE_BACK, Kind.LATE_PASSAGE, Kind.INTRUSION, Kind.TAILGATE, Kind.OVERRIDE, Kind.ANNUL,
        Kind.BIND, Kind.LANE_STATE, Kind.FIRE, Kind.RESET, Kind.TEST_PULSE,
        Kind.STORED,
    )
)  # fmt: skip


class Flag(IntFlag):
    """What is particular about a record."""

    NONE = 0
    TICKET = 1 << 0  # the subject is a ticket
    DIGEST = 1 << 1  # the subject is a credential's digest
    FLAGGED = 1 << 2  # let in, and staff should know
    UNSURE = 1 << 3  # cut off: another gate may have taken the use
    REHEARSAL = 1 << 4  # counts for nothing
    ASSUMED = 1 << 5  # no sensor: passage assumed at the window's end
    INFERRED = 1 << 6  # a reader for both ways: direction taken from presence
    NO_PULSE = 1 << 7  # recorded, the barrier not commanded
    REENTRY = 1 << 8  # enters again after an observed exit: no further use
    UNLISTED = 1 << 9  # let in by signature alone
    AFTER_RESTART = 1 << 10  # let in although an unresolved reservation counts as its use
    BEFORE_DURABLE = 1 << 11  # answered while the disk took nothing (log_fault = admit_in_memory)
    REPEATED = 1 << 12  # `data` counts coalesced repeats of this bad code
    WITHDRAWN = 1 << 13  # the release was taken back
    MEDIUM_UID = 1 << 14  # presented as a tag UID
    UNRESOLVED = 1 << 15  # speaks of a reservation of an ended epoch

    if not TYPE_CHECKING:
        # IntFlag's own operators look a member up through the metaclass, ten times on the way of each scan. What comes
        # out here is a plain int: ask `flags & Flag.X`, never `Flag.X in flags`.
        __and__ = __rand__ = int.__and__
        __or__ = __ror__ = int.__or__
        __invert__ = int.__invert__


class Direction(IntEnum):
    """Which way; it belongs to the reader or the sensor, never to the ticket."""

    NONE = 0
    ENTRY = 1
    EXIT = 2


class DeviceKind(IntEnum):
    """What a DEVICE record is about."""

    READER = 1
    RELAY = 2
    INPUTS = 3  # a board of contacts


class DeviceChange(IntEnum):
    """What became of a device."""

    OPENED = 1
    GONE = 2  # unplugged, without power, or it does not answer
    MISBEHAVED = 3
    MISCONFIGURED = 4
    DEFECT = 5  # of our own driver


class Fire(IntEnum):
    """The `data` of a FIRE record. What follows an alarm for the zone's people: `admission.resets`."""

    CLEARED = 0  # staff cleared the alarm: who was inside may come in again
    ALARM = 1
    ENDED = 2  # staff ended the re-admission
    STILL = 3  # the alarm was latched when the box started: nobody was let in since, and nobody left anew


class Outcome(IntEnum):
    """What was decided."""

    NONE = 0
    GRANT = 1
    CHECK = 2
    WAIT = 3
    DENY = 4


class Trust(IntEnum):
    """How far the clock is to be believed (DESIGN.md, Time)."""

    UNKNOWN = 0
    FLOOR = 1
    RTC = 2
    SYNCED = 3


class Extension(IntEnum):
    """What an extension record holds."""

    HEAD = 1  # u32 seq signed up to (inclusive), 32 B link, 64 B signature (admission.chain)
    OBSERVED = 2  # record ids, 16 B each: the entries an exit or annul closes, or one is let in for
    RESET = 3  # vector of record ids: everything heard of each log, by a RESET or an alarm
    STAFF = 4  # u32 steward's number, UTF-8 reason
    PREDECESSOR = (
        5  # u64 epoch, u32 seq, 32 B link: where the log stood when the epoch began (admission.chain)
    )
    LIST = 6  # u32 event, u32 generation, u64 version, 16 B digest
    DETAIL = 7  # UTF-8 words of a device or lane event, never visitor data
    TAP = 8  # 16 B digest of a tag, u32 counter: what a scan heard of a tag that counts its taps
    BOUND = 9  # u8 length of the UID, 10 B UID padded with 0, 16 B digest of the tag, 16 B digest of the replaced code


_PAYLOAD_BYTES = {
    Extension.HEAD: 100,
    Extension.PREDECESSOR: 44,
    Extension.LIST: 32,
    Extension.TAP: 20,
    Extension.BOUND: 43,
}
"""The types of one length."""
_PAYLOAD_STEP = {Extension.OBSERVED: _RECORD_ID.size, Extension.RESET: _RECORD_ID.size}
"""The types that repeat one field."""
_STAFF_BYTES_MIN = 4


class Record(msgspec.Struct, frozen=True, gc=False):
    """One body. Its gate and epoch are known from the log it stands in."""

    kind: Kind
    seq: int
    time_us: int
    mono_ms: int
    lane: LaneId = LaneId(0)
    reader: ReaderId = ReaderId(0)
    zone: ZoneId = ZoneId(0)
    session: SessionId = SessionId(0)
    outcome: Outcome = Outcome.NONE
    reason: int = 0
    direction: Direction = Direction.NONE
    mode: Mode = Mode.NORMAL
    trust: Trust = Trust.UNKNOWN
    flags: Flag = Flag.NONE
    subject: bytes = NOBODY
    ref: int = 0
    data: int = 0

    def to_bytes(self) -> bytes:
        """Return the 56 bytes that are stored, hashed and sent."""
        return _BODY.pack(
            FORMAT,
            self.kind,
            self.flags,
            self.seq,
            self.time_us,
            self.mono_ms,
            self.lane,
            self.reader,
            self.zone,
            self.session,
            self.outcome,
            self.reason,
            self.direction | self.mode << 4,
            self.trust,
            self.subject,
            self.ref,
            self.data,
        )

    @property
    def ticket(self) -> tuple[EventId, TicketId] | None:
        """The ticket this record is about, if it is about one."""
        if not self.flags & _IS_TICKET:
            return None
        event, ticket, _, _ = _TICKET.unpack(self.subject)
        return event, ticket

    @property
    def product(self) -> ProductId:
        """The product of the ticket this record is about; 0 without one."""
        return ProductId(_TICKET.unpack(self.subject)[2] if self.flags & Flag.TICKET else 0)


class ExtensionRecord(msgspec.Struct, frozen=True, gc=False):
    """What varies in length, in the same chain."""

    type: Extension
    seq: int
    payload: bytes

    def to_bytes(self) -> bytes:
        """Return the header and payload. ValueError for a length that its type cannot have."""
        if not _may_have_length(self.type, len(self.payload)):
            raise ValueError(f"no {self.type.name} extension has {len(self.payload)} bytes")
        return _EXTENSION.pack(FORMAT | EXTENSION_BIT, self.type, len(self.payload), self.seq) + self.payload


def ticket_of(subject: bytes) -> tuple[EventId, TicketId]:
    """Return the ticket that a subject with `Flag.TICKET` names."""
    event, ticket, _, _ = _TICKET.unpack(subject)
    return event, ticket


def stored_us(body: Record) -> int:
    """Return when the device says that it read the code of a STORED record, microseconds since 1970."""
    if body.flags & Flag.REPEATED:
        return body.time_us
    ago_s = body.data - _U32_END if body.data > _I32_MAX else body.data
    return (body.time_us // 1_000_000 - ago_s) * 1_000_000


def stored_data(time_us: int, read_s: int) -> int:
    """Return the `data` of a STORED record made at `time_us` of a code that was read at `read_s`; as near as 68 years allow."""
    ago_s = time_us // 1_000_000 - read_s
    return max(-_I32_MAX, min(ago_s, _I32_MAX)) & (_U32_END - 1)


class MalformedRecord(ValueError):
    """Bytes that are no record of a format we know."""


def device_data(kind: DeviceKind, change: DeviceChange, counted: int = 0) -> int:
    """Return the `data` of a DEVICE record; goes with `Flag.REPEATED` where `counted` is not 0."""
    return kind << 24 | change << 16 | min(counted, COUNTED_MAX)


def device_of(data: int) -> tuple[DeviceKind, DeviceChange, int]:
    """Return kind, change and count of a DEVICE record. MalformedRecord for what `device_data` could not return."""
    try:
        return DeviceKind(data >> 24), DeviceChange(data >> 16 & 0xFF), data & COUNTED_MAX
    except ValueError as error:
        raise MalformedRecord(str(error)) from error


def ticket_subject(event: EventId, ticket: TicketId, product: ProductId) -> bytes:
    """Return the 16 bytes that name a ticket; goes with `Flag.TICKET`."""
    return _TICKET.pack(event, ticket, product, 0)


def record_from_bytes(blob: bytes) -> Record | ExtensionRecord:
    """Read one record. MalformedRecord for anything that `to_bytes` could not have written."""
    try:
        if blob[0] == FORMAT:
            return _body_from_bytes(blob)
        if blob[0] == FORMAT | EXTENSION_BIT:
            _, kind, size, seq = _EXTENSION.unpack_from(blob)
            payload = blob[_EXTENSION.size :]
            if len(payload) != size or len(blob) > EXTENSION_BYTES_MAX:
                raise MalformedRecord("an extension record's length differs from its header")
            if not _may_have_length(Extension(kind), size):
                raise MalformedRecord("an extension record's length does not fit its type")
            return ExtensionRecord(Extension(kind), seq, payload)
    except (ValueError, LookupError, struct.error) as error:
        raise MalformedRecord(str(error)) from error
    raise MalformedRecord(f"record format {blob[0]} is not known here")


def is_of_people(blob: bytes) -> bool:
    """Whether a record tells of somebody at a lane or of what staff did, and not of lists, clocks, devices or the log itself."""
    return len(blob) == BODY_BYTES and blob[0] == FORMAT and blob[1] in _OF_PEOPLE


def made_us(blob: bytes) -> int:
    """Return when a body was made, by the gate's clock; `NEVER_US` for bytes that are none."""
    try:
        body = record_from_bytes(blob)
    except MalformedRecord:
        return NEVER_US
    return body.time_us if isinstance(body, Record) else NEVER_US


def _may_have_length(kind: Extension, size: int) -> bool:
    if kind in _PAYLOAD_BYTES:
        return size == _PAYLOAD_BYTES[kind]
    if kind is Extension.STAFF and size < _STAFF_BYTES_MIN:
        return False
    return size <= PAYLOAD_BYTES_MAX and size % _PAYLOAD_STEP.get(kind, 1) == 0


def _body_from_bytes(blob: bytes) -> Record:
    """Unpack a body; LookupError for a number that an enum does not know."""
    (
        _,
        kind,
        flags,
        seq,
        time_us,
        mono_ms,
        lane,
        reader,
        zone,
        session,
        outcome,
        reason,
        way,
        trust,
        subject,
        ref,
        data,
    ) = _BODY.unpack(blob)
    named = flags & _SUBJECT
    if named == _SUBJECT:
        raise MalformedRecord("a subject is a ticket or a digest, not both")
    if not named and subject != NOBODY:
        raise MalformedRecord("a subject without the flag that says what it is")
    return Record(
        _KINDS[kind], seq, time_us, mono_ms, lane, reader, zone, session, _OUTCOMES[outcome], reason,
        _DIRECTIONS[way & 15], _MODES[way >> 4], _TRUSTS[trust], _FLAGS[flags], subject, ref, data,
    )  # fmt: skip


class _Flags(dict[int, Flag]):
    """Combinations of flags as they are met; a u16 has 65,536."""

    def __missing__(self, bits: int) -> Flag:
        self[bits] = made = Flag(bits)
        return made


# The centre reads 50,000 records a second, and a call of an enum costs as much as all else of a field.
_KINDS = {int(one): one for one in Kind}
_OUTCOMES = {int(one): one for one in Outcome}
_DIRECTIONS = {int(one): one for one in Direction}
_MODES = {int(one): one for one in Mode}
_TRUSTS = {int(one): one for one in Trust}
_FLAGS = _Flags()
_IS_TICKET = int(Flag.TICKET)
_I32_MAX, _U32_END = 2**31 - 1, 2**32
_SUBJECT = _IS_TICKET | int(Flag.DIGEST)


def pack_record_ids(ids: tuple[RecordId, ...]) -> tuple[bytes, ...]:
    """Return payloads of OBSERVED or RESET extensions, each holding as many ids as fit."""
    per = PAYLOAD_BYTES_MAX // _RECORD_ID.size
    return tuple(
        b"".join(_RECORD_ID.pack(*one) for one in ids[at : at + per]) for at in range(0, len(ids), per)
    )


def unpack_record_ids(payload: bytes) -> tuple[RecordId, ...]:
    """Read the ids of an OBSERVED or RESET payload. MalformedRecord where the length is no multiple of 16."""
    if len(payload) % _RECORD_ID.size:
        raise MalformedRecord("record ids are 16 bytes each")
    return tuple(RecordId(*one) for one in _RECORD_ID.iter_unpack(payload))


def pack_tap(digest: bytes, counter: int) -> bytes:
    """Return the payload of a TAP extension."""
    return _TAP.pack(digest, counter)


def unpack_tap(payload: bytes) -> tuple[bytes, int]:
    """Read digest and counter of a TAP payload. MalformedRecord for another length."""
    if len(payload) != _TAP.size:
        raise MalformedRecord("a tap has 20 bytes")
    digest, counter = _TAP.unpack(payload)
    return digest, counter


class Bound(NamedTuple):
    """What a BOUND extension says: the tag by UID and digest, and the digest of the code that it replaces."""

    uid: bytes
    tag: bytes
    code: bytes


def pack_bound(bound: Bound) -> bytes:
    """Return the payload of a BOUND extension. ValueError for a UID that no tag has."""
    if not 0 < len(bound.uid) <= UID_BYTES_MAX:
        raise ValueError(f"no tag has a UID of {len(bound.uid)} bytes")
    return _BOUND.pack(len(bound.uid), *bound)


def unpack_bound(payload: bytes) -> Bound:
    """Read a BOUND payload. MalformedRecord for anything that `pack_bound` could not have written."""
    if len(payload) != _BOUND.size:
        raise MalformedRecord("a bound tag has 43 bytes")
    size, uid, tag, code = _BOUND.unpack(payload)
    if not 0 < size <= UID_BYTES_MAX or uid[size:].strip(b"\0"):
        raise MalformedRecord("a UID has up to 10 bytes, and nothing behind it")
    return Bound(uid[:size], tag, code)
