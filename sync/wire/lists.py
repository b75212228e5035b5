"""List files: who may enter, as the centre tells its gates. Signed, and read by anyone who holds the roster's list key.

A snapshot file, integers big-endian:

    0   4   magic "GHL0"
    4   4   length of the head, u32
    8   n   head: `ListHead`, MessagePack
        4   number of rows, u32
        4   length of the compressed columns, u32
        m   columns, one zstd frame: all digests (16 B each, ascending), events u32, tickets u64, profiles u32,
            holders u64, standings u8, credential standings u8
       64   Ed25519 signature over "gatehouse list 0" and SHA-256 of everything before it

The file says nothing a gate may not know: no names, no codes, only keyed digests (admission.digests). Sealing and
encryption come with the centre; SECURITY.md says what the file gives away today.
"""

import hashlib
import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, NamedTuple

import msgspec
import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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

MAGIC = b"GHL0"
DOMAIN = b"gatehouse list 0"
ROWS_MAX = 10_000_000
"""Largest list taken (facts: events of 80,000; 10 million leaves room and bounds memory to 420 MB)."""
HEAD_BYTES_MAX = 16 * 1024 * 1024
ROW_BYTES = 16 + 4 + 8 + 4 + 8 + 1 + 1
SIGNATURE_BYTES = 64
PIECE_BYTES = 64 * 1024
"""Read, or unpacked, at a time. Repeating columns grow a thousandfold, so what counts is the size unpacked: the
builder has to stay small."""
ZSTD_HEADER_BYTES = 18
"""RFC 8878, 3.1.1: magic and frame header, the longest."""
SLAB_ROWS = 1_024
"""Rows held at a time; more are not read any faster."""
_COLUMNS = (("I", 4), ("Q", 8), ("I", 4), ("Q", 8), ("B", 1), ("B", 1))
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
    digest_key: bytes
    schedules: tuple[LaneSchedule, ...] = ()
    orders: tuple[LaneOrder, ...] = ()

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


def pack_list(head: ListHead, rows: Iterable[ListRow], key: Ed25519PrivateKey, *, level: int = 3) -> bytes:
    """Return a signed snapshot file. Rows are put in digest order, as a gate stores them."""
    ordered = sorted(rows)
    if len(ordered) > ROWS_MAX:
        raise ValueError(f"a list holds at most {ROWS_MAX} rows; split the event group")
    digests, events, tickets, profiles, holders, standings, credentials = (
        zip(*ordered, strict=True) if ordered else ((),) * 7
    )
    columns = b"".join(
        (
            b"".join(digests),
            _big_endian("I", events),
            _big_endian("Q", tickets),
            _big_endian("I", profiles),
            _big_endian("Q", holders),
            bytes(standings),
            bytes(credentials),
        )
    )
    packed = zstandard.ZstdCompressor(level=level).compress(columns)
    encoded = msgspec.msgpack.encode(head)
    body = b"".join(
        (
            MAGIC,
            struct.pack(">I", len(encoded)),
            encoded,
            struct.pack(">II", len(ordered), len(packed)),
            packed,
        )
    )
    return body + key.sign(DOMAIN + hashlib.sha256(body).digest())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A list file that was verified. `read(at, size)` gives bytes of its columns, from memory or from a file."""

    head: ListHead
    row_count: int
    read: Callable[[int, int], bytes]

    def rows(self) -> Iterator[ListRow]:
        """Yield the rows in digest order; holds a slab of them at a time."""
        n = self.row_count
        for first in range(0, n, SLAB_ROWS):
            count = min(SLAB_ROWS, n - first)
            at = 16 * n
            digests = self.read(16 * first, 16 * count)
            columns = []
            for code, size in _COLUMNS:
                column = array(code, self.read(at + size * first, size * count))
                if sys.byteorder == "little":
                    column.byteswap()
                columns.append(column)
                at += size * n
            each = (digests[i : i + 16] for i in range(0, 16 * count, 16))
            for row in zip(each, *columns, strict=True):
                yield ListRow(*row)


def unpack_head(data: bytes, key: Ed25519PublicKey) -> ListHead:
    """Verify a snapshot file and read its head alone, which is cheap. ListRefused as `unpack_list`."""
    return read_head(BytesIO(data), key)


def read_head(file: BinaryIO, key: Ed25519PublicKey) -> ListHead:
    """Verify a snapshot file piece by piece, then read its head alone: it may be larger than memory."""
    return _verified_file(file, key)[0]


def unpack_list(data: bytes, key: Ed25519PublicKey) -> Snapshot:
    """Verify a snapshot file, then read it. ListRefused for anything else than what the centre signed."""
    spool = BytesIO()
    snapshot = unspool_list(BytesIO(data), key, spool)
    columns = spool.getvalue()
    return Snapshot(snapshot.head, snapshot.row_count, lambda at, size: columns[at : at + size])


def unspool_list(file: BinaryIO, key: Ed25519PublicKey, spool: BinaryIO) -> Snapshot:
    """Verify a snapshot file and unpack its columns into `spool`, both piece by piece. As `unpack_list`.

    `spool` is an empty file opened for reading and writing; it stays open while rows are read.
    """
    head, at, size = _verified_file(file, key)
    file.seek(at)
    try:
        count, packed_bytes = struct.unpack(">II", file.read(8))
        if count > ROWS_MAX:
            raise ListRefused("the list has more rows than a gate takes")
        if packed_bytes != size - at - 8 - SIGNATURE_BYTES:
            raise ListRefused("the list's length differs from its head")
        # Before it is given the room it asks for.
        begin = file.read(min(packed_bytes, ZSTD_HEADER_BYTES))
        if zstandard.frame_content_size(begin) != count * ROW_BYTES:
            raise ListRefused("the list's columns differ from its row count")
        file.seek(-len(begin), os.SEEK_CUR)
        left = count * ROW_BYTES
        with zstandard.ZstdDecompressor().stream_reader(file, PIECE_BYTES, closefd=False) as columns:
            while piece := columns.read(min(left, PIECE_BYTES)):
                left -= spool.write(piece)
    except (struct.error, zstandard.ZstdError) as error:
        raise ListRefused(f"{_OTHER_VERSION}: {error}") from error
    if left:
        raise ListRefused("the list's columns differ from its row count")

    def read(start: int, length: int) -> bytes:
        spool.seek(start)
        return spool.read(length)

    return Snapshot(head, count, read)


def version_tag(group: int, seals: Iterable[tuple[int, int, int]]) -> str:
    """Return the ETag of a list, quotes included: of its group and each event's (id, generation, version)."""
    text = ";".join(f"{event}.{generation}.{version}" for event, generation, version in sorted(seals))
    return f'"{hashlib.sha256(f"{group}:{text}".encode()).hexdigest()[:32]}"'


def _verified_file(file: BinaryIO, key: Ed25519PublicKey) -> tuple[ListHead, int, int]:
    """Return the head of a signed file, where its rows begin, and its size. Nothing is decoded before the signature."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    begin = file.read(len(MAGIC) + 4)
    if size < len(MAGIC) + 12 + SIGNATURE_BYTES or begin[:4] != MAGIC:
        raise ListRefused(_NO_LIST)
    digest = hashlib.sha256(begin)
    left = size - SIGNATURE_BYTES - len(begin)
    while left > 0:
        part = file.read(min(left, PIECE_BYTES))
        if not part:
            raise ListRefused(_NO_LIST)
        digest.update(part)
        left -= len(part)
    _check_signature(file.read(SIGNATURE_BYTES), digest.digest(), key)
    (head_bytes,) = struct.unpack_from(">I", begin, 4)
    if head_bytes > HEAD_BYTES_MAX:
        raise ListRefused(_LARGE_HEAD)
    file.seek(len(begin))
    try:
        return msgspec.msgpack.decode(file.read(head_bytes), type=ListHead), len(begin) + head_bytes, size
    except msgspec.DecodeError as error:
        raise ListRefused(f"{_OTHER_VERSION}: {error}") from error


def _check_signature(signature: bytes, digest: bytes, key: Ed25519PublicKey) -> None:
    try:
        key.verify(signature, DOMAIN + digest)
    except InvalidSignature:
        raise ListRefused(
            "the list is not signed by this venue's list key, or was altered on its way"
        ) from None


def _big_endian(code: str, values: Iterable[int]) -> bytes:
    """Return unsigned integers as big-endian bytes."""
    column = array(code, values)
    if sys.byteorder == "little":
        column.byteswap()
    return column.tobytes()
