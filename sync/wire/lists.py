"""List files: who may enter, as the centre tells its gates. Signed, and read by anyone who holds the roster's list key.

A list file, integers big-endian:

    0   4   magic "GHL1"
        a   rows named by their ticket: blocks of columns, in order of event and ticket
        b   rows with a digest of their own: blocks of columns
        h   head: `ListHead`, MessagePack
   12       number of rows of the first sort, of the second, length of the head: u32 each
   64       Ed25519 signature over "gatehouse list 1" and SHA-256 of everything before it

A block holds `BLOCK_ROWS` rows, the last of its sort fewer: digests (16 B each; second sort only), then events u32, tickets
u64, profiles u32, holders u64, standings u8, credential standings u8. Tickets and holders are differences to the row before
(the first of a block to 0), modulo 2^64. Each column is laid out by places: all highest bytes, then all next, … What
repeats then stands together, and zstd (`sync.wire.snapshots`) makes almost nothing of it.

The digest of a TK1 ticket follows from event, ticket number and the group's digest key (`admission.digests`), so it does
not travel. Nor does that key: it comes to each gate sealed (`sync.wire.sealed`).

The file says nothing a gate may not know: no names, no codes, only keyed digests. Of names that people asked to be greeted
by it has a mark (`sync.wire.shown_names`), where there are any.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from admission.digests import DIGEST_BYTES, ticket_digest, ticket_digests
from admission.entitlements import (
    Attention,
    CredentialStanding,
    LaneOrder,
    LanePlan,
    LaneSchedule,
    Product,
    Session,
    Standing,
    Ticket,
    Zone,
)
from admission.ids import EventId, GateId, HolderId, ProductId, SessionId, TicketId, ZoneId
from sync.wire import list_blocks

MAGIC = b"GHL1"
DOMAIN = b"gatehouse list 1"
ROWS_MAX = 10_000_000
"""Largest list taken (facts: events of 80,000; 10 million leaves room and bounds the file to 420 MB)."""
HEAD_BYTES_MAX = 16 * 1024 * 1024
SIGNATURE_BYTES = 64
PIECE_BYTES = 64 * 1024
"""Read at a time: the builder has to stay small."""
NO_KEY = bytes(32)
"""Where a group has no digest key yet, and no tickets."""
_TRAILER = struct.Struct(">III")
_DIGESTED_BYTES = DIGEST_BYTES + list_blocks.ROW_BYTES
LIST_BYTES_MAX = len(MAGIC) + ROWS_MAX * _DIGESTED_BYTES + HEAD_BYTES_MAX + _TRAILER.size + SIGNATURE_BYTES
_NO_LIST = "this is not a list file, or it was cut short"
_LARGE_HEAD = "the list's head is larger than any we make"
_OTHER_VERSION = "the list was made by another version of the centre"


class Profile(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What many tickets share; kept once, since a row is then small enough for a million of them."""

    product: ProductId
    zones: tuple[ZoneId, ...] = ()
    session: SessionId = SessionId(0)
    not_before: int = 0
    not_after: int = 0
    admits: int = 1
    home_gate: GateId = GateId(0)
    attention: Attention = Attention.NONE


class ListRow(NamedTuple):
    """One credential and one ticket that it stands for. `profile` is an index into `ListHead.profiles`."""

    digest: bytes
    event: EventId
    ticket: TicketId
    profile: int
    holder: HolderId
    standing: Standing
    credential_standing: CredentialStanding


class ListKey(msgspec.Struct, frozen=True, gc=False):
    """A ticket key as it travels; `admission.keys.IssuerKey` is what it becomes."""

    public: bytes
    format: str
    event: EventId = EventId(0)
    not_before: int = 0
    not_after: int = 0
    status: str = "active"


class EventInfo(msgspec.Struct, frozen=True, gc=False):
    """An event of the group, with the seal its list was cut at. Rollback is judged by (generation, version)."""

    id: EventId
    name: str
    generation: int
    version: int
    sealed_at_s: int
    timezone: str = "UTC"
    """IANA name. The events of a group share their gates: the first one's is the venue's."""


class GateInfo(msgspec.Struct, frozen=True, gc=False):
    """A gate of the roster, by the name that visitors are told."""

    id: GateId
    name: str
    public: bytes
    zones: tuple[ZoneId, ...] = ()


class ListHead(msgspec.Struct, frozen=True):
    """All of a list but its rows."""

    group: int
    events: tuple[EventInfo, ...]
    products: tuple[Product, ...]
    sessions: tuple[Session, ...]
    zones: tuple[Zone, ...]
    plans: tuple[LanePlan, ...]
    """Of every gate; a gate takes those of `gate_lanes[its id]`."""
    gate_lanes: dict[GateId, tuple[int, ...]]
    """Indexes into `plans`, by gate."""
    keys: tuple[ListKey, ...]
    gates: tuple[GateInfo, ...]
    profiles: tuple[Profile, ...]
    digest_key: bytes = b""
    """Never travels with the list: whoever reads one has it from elsewhere (`sync.wire.sealed`)."""
    schedules: tuple[LaneSchedule, ...] = ()
    orders: tuple[LaneOrder, ...] = ()
    names: bytes | msgspec.UnsetType = msgspec.UNSET
    """Mark of the names that people asked to be shown by (`sync.wire.shown_names`). Where nobody did, a list says nothing of it."""

    def ticket(self, row: ListRow) -> Ticket:
        """Return the ticket a row stands for."""
        return ticket_of(self.profiles[row.profile], row.event, row.ticket, row.holder, row.standing)


class ListRefused(ValueError):
    """A list file that must not be used: cut short, altered, or not signed by the list key."""


def ticket_of(
    profile: Profile, event: EventId, ticket: TicketId, holder: HolderId, standing: Standing
) -> Ticket:
    """Put a ticket together from what it shares and what is its own."""
    return Ticket(
        id=ticket,
        event=event,
        product=profile.product,
        holder=holder,
        zones=profile.zones,
        session=profile.session,
        standing=standing,
        not_before=profile.not_before,
        not_after=profile.not_after,
        admits=profile.admits,
        home_gate=profile.home_gate,
        attention=profile.attention,
    )


def pack_list(head: ListHead, rows: Iterable[ListRow], key: Ed25519PrivateKey) -> bytes:
    """Return a signed list file; `head.digest_key` tells which digests need not travel, and stays out of it."""
    own: list[list_blocks.Plain] = []
    given: list[ListRow] = []
    for row in rows:
        if row.digest == ticket_digest(row.event, row.ticket, head.digest_key):
            own.append(row[1:])
        else:
            given.append(row)
    made = BytesIO()
    writer = ListWriter(made, key)
    writer.rows(sorted(own))
    writer.rows_with_digests(sorted(given))
    writer.end(head)
    return made.getvalue()


class ListWriter:
    """Writes a list file in a row: `rows`, `rows_with_digests`, `end`. ValueError for more rows than a list holds."""

    def __init__(self, file: BinaryIO, key: Ed25519PrivateKey) -> None:
        self._file = file
        self._key = key
        self._digest = hashlib.sha256()
        self._counts = [0, 0]
        self._write(MAGIC)

    def rows(self, rows: Iterable[list_blocks.Plain]) -> None:
        """Write the rows of TK1 tickets, in order of event and ticket."""
        for block in list_blocks.packed(self._counted(0, rows)):
            self._write(block)

    def rows_with_digests(self, rows: Iterable[list_blocks.Row]) -> None:
        """Write the rows of all other credentials."""
        for block in list_blocks.packed_with_digests(self._counted(1, rows)):
            self._write(block)

    def end(self, head: ListHead) -> None:
        """Write the head, and sign."""
        encoded = msgspec.msgpack.encode(msgspec.structs.replace(head, digest_key=b""))
        self._write(encoded)
        self._write(_TRAILER.pack(*self._counts, len(encoded)))
        self._file.write(self._key.sign(DOMAIN + self._digest.digest()))

    def _counted(self, sort: int, rows: Iterable[Any]) -> Iterator[Any]:
        room = ROWS_MAX - sum(self._counts)
        for count, row in enumerate(rows, 1):
            if count > room:
                raise ValueError(f"a list holds at most {ROWS_MAX} rows; split the event group")
            self._counts[sort] += 1
            yield row

    def _write(self, part: bytes) -> None:
        self._digest.update(part)
        self._file.write(part)


@dataclass(frozen=True, slots=True)
class ListFile:
    """A list file that was verified; its file stays open while rows are read."""

    head: ListHead
    """With the digest key."""
    own_count: int
    given_count: int
    file: BinaryIO

    @property
    def row_count(self) -> int:
        """Rows of both sorts."""
        return self.own_count + self.given_count

    def rows(self, room: BinaryIO | None = None) -> Iterator[ListRow]:
        """Yield the rows in digest order; `room` is an empty file to sort a large list in (else memory)."""
        return map(ListRow._make, list_blocks.in_order(self._found(), self.row_count, room))

    def _found(self) -> Iterator[list_blocks.Row]:
        digest_of = ticket_digests(self.head.digest_key)
        self.file.seek(len(MAGIC))
        for row in list_blocks.unpacked(self.file, self.own_count):
            yield (digest_of(row[0], row[1]), *row)
        yield from list_blocks.unpacked_with_digests(self.file, self.given_count)


def unpack_list(data: bytes, key: Ed25519PublicKey, digest_key: bytes) -> ListFile:
    """Verify a list file, then read it. ListRefused for anything else than what the centre signed."""
    return read_list(BytesIO(data), key, digest_key)


def unpack_head(data: bytes, key: Ed25519PublicKey) -> ListHead:
    """Verify a list file and read its head alone, which is cheap and needs no digest key. As `unpack_list`."""
    return _verified(BytesIO(data), key).head


def read_list(file: BinaryIO, key: Ed25519PublicKey, digest_key: bytes) -> ListFile:
    """Verify a list file piece by piece, which may be larger than memory. As `unpack_list`."""
    found = _verified(file, key)
    head = msgspec.structs.replace(found.head, digest_key=digest_key)
    return ListFile(head, found.own_count, found.given_count, file)


def version_tag(group: int, seals: Iterable[tuple[int, int, int]]) -> str:
    """Return the ETag of a list, quotes included: of its group and each event's (id, generation, version)."""
    text = ";".join(f"{event}.{generation}.{version}" for event, generation, version in sorted(seals))
    return f'"{hashlib.sha256(f"{group}:{text}".encode()).hexdigest()[:32]}"'


def _verified(file: BinaryIO, key: Ed25519PublicKey) -> ListFile:
    """Return a signed file, without its digest key. Nothing is decoded before the signature."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    left = size - SIGNATURE_BYTES
    if left < len(MAGIC) + _TRAILER.size:
        raise ListRefused(_NO_LIST)
    if size > LIST_BYTES_MAX:
        raise ListRefused("the list is larger than a gate takes")
    digest = hashlib.sha256()
    while left > 0:
        part = file.read(min(left, PIECE_BYTES))
        if not part:
            raise ListRefused(_NO_LIST)
        digest.update(part)
        left -= len(part)
    _check_signature(file.read(SIGNATURE_BYTES), digest.digest(), key)
    file.seek(size - SIGNATURE_BYTES - _TRAILER.size)
    own, given, head_bytes = _TRAILER.unpack(file.read(_TRAILER.size))
    if own + given > ROWS_MAX:
        raise ListRefused("the list has more rows than a gate takes")
    if head_bytes > HEAD_BYTES_MAX:
        raise ListRefused(_LARGE_HEAD)
    at = len(MAGIC) + own * list_blocks.ROW_BYTES + given * _DIGESTED_BYTES
    if at + head_bytes + _TRAILER.size + SIGNATURE_BYTES != size:
        raise ListRefused("the list's length differs from its rows")
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise ListRefused(_OTHER_VERSION)
    file.seek(at)
    try:
        head = msgspec.msgpack.decode(file.read(head_bytes), type=ListHead)
    except msgspec.DecodeError as error:
        raise ListRefused(f"{_OTHER_VERSION}: {error}") from error
    return ListFile(head, own, given, file)


def _check_signature(signature: bytes, digest: bytes, key: Ed25519PublicKey) -> None:
    try:
        key.verify(signature, DOMAIN + digest)
    except InvalidSignature:
        raise ListRefused(
            "the list is not signed by this venue's list key, or was altered on its way"
        ) from None
