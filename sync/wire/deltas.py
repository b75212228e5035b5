"""Deltas: what changed in an event's list between two versions, as the centre tells its gates. Signed by the list key.

A page, integers big-endian:

    0   4   magic "GHD0"
    4   4   event, u32
    8   4   generation, u32
   12   8   from, u64: whoever holds the list at this version or a later one, below `to`, may apply the page
   20   8   to, u64: and holds it at this version then
   28  32   SHA-256 of the body
   60  64   Ed25519 signature over "gatehouse delta 0\\n" and the 60 bytes before it
  124   n   body: `Delta`, MessagePack, zstd

Rows are never deleted: what no longer holds has a standing. A row is all that its credential stands for, as it was at
the row's version; applied twice, or after a newer one, it changes nothing. What is not a row (zones, products, lane
plans, keys, lane orders) is one small document of the event group, the settings: a `ListHead` without profiles, seals
and digest key, signed on its own and named by its digest.

| method and path | body | answer |
|---|---|---|
| GET /api/v1/gate/changes?event=…&generation=…&since=… | | a page; 409 `take_list`: the way from there is too long, or none |
| GET /api/v1/gate/settings | | the settings |
| GET /api/v1/gate/events?beat_s=… | | `text/event-stream`, each `data` base64: `seal` (`sync.wire.seals`), `changes` (a page), `settings`, `keys` (`SignedKeys` JSON, when the venue rolled one), `records` (empty) |
| POST /api/v1/gate/status | `GateStatus` MessagePack | empty |
"""

import hashlib
import struct
from typing import Annotated, NamedTuple

import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec.structs import replace

from admission.entitlements import CredentialStanding, Standing, Ticket
from admission.ids import EventId, HolderId, TicketId
from sync.wire.lists import EventInfo, ListHead, Profile, ticket_of
from sync.wire.messages import is_signed

PAGE_ROWS_MAX = 2_000
"""Rows of a page: as many as one transaction writes; some 60 kB."""
DELTA_ROWS_MAX = 20_000
"""Rows from which a gate is sent to take the whole list: it is then not much larger, and clears the overlay."""
INLINE_ROWS_MAX = 50
"""Rows that travel with the hint itself (DESIGN.md: SSE tells the version, with at most 50 small changes inline)."""
INLINE_SETTINGS_BYTES_MAX = 16 * 1024
"""Settings that travel with the hint; those of a venue with more than some hundred gates are asked for."""
PAGE_BYTES_MAX = 4 * 1024 * 1024
"""Largest page unpacked: `DELTA_ROWS_MAX` rows of one version, with profiles of their own."""
SETTINGS_BYTES_MAX = 16 * 1024 * 1024
UNPROVED_BYTES, UNPROVED_TIMES = 1024 * 1024, 64
"""What settings are signed by is their unpacked form: so much of it is looked through before that is proved, and so many
times what came. Names and keys of gates do not repeat: settings grow some fivefold."""
PIECE_BYTES, WINDOW_BYTES_MAX = 64 * 1024, 4 * 1024 * 1024
"""In what pieces it is looked through, and what that may hold at once: our packing takes half as much."""
HEARTBEAT_S = 15.0
"""A stream is never silent for longer: a comment is sent."""
KEYS_PART = "keys"
"""Name of the stream's message that carries a new key document: what comes after it is signed by the new keys."""
RECORDS_PART = "records"
"""Name of the stream's message, without data, that says that some gate of the group recorded something: those that ask
seldom because nothing went on ask now. Not signed: whoever makes one up has a gate ask once more."""
BEAT_LEAST_S, BEAT_MAX_S = 5, 120
"""What a gate may ask for as `beat_s` of its stream: a carrier may forget a silent connection sooner than `HEARTBEAT_S`
is, and a gate that pays for each byte wants it later."""
TAKE_LIST = "take_list"
"""Title of the 409 for a gate that only a whole list helps."""
DIGEST_BYTES = 16
STATUS_BYTES_MAX = 4096
STATUS_EVERY_S = 30.0
"""How often a gate tells how it is where nothing changed."""

_MAGIC = b"GHD0"
_FORM = struct.Struct(">4sIIQQ32s")
_SIGNATURE_BYTES = 64
_DELTA = b"gatehouse delta 0\n"
_SETTINGS = b"gatehouse settings 0\n"
_CUT_SHORT = "this is no page of changes, or it was cut short"
_TOO_LARGE = "the changes are larger than any we make"
_U32, _I64 = 2**32 - 1, 2**63 - 1


class DeltaRefused(ValueError):
    """Bytes that are no page or settings of this venue's list key."""


class DeltaRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A credential and the ticket it stands for at `version`; without a `digest`, a ticket that has no credential.

    `profile` is an index into `Delta.profiles`.
    """

    digest: bytes
    ticket: TicketId
    profile: int
    holder: HolderId
    standing: Standing
    credential_standing: CredentialStanding
    version: int


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """One page. `to` below `newest`: more pages follow. `settings`: digest of those in force at `newest`."""

    event: EventId
    generation: int
    since: int
    to: int
    newest: int
    sealed_at_s: int
    """When version `newest` was made: the cut for signed tickets that are not listed (DESIGN.md, Deciding)."""
    settings: bytes
    profiles: tuple[Profile, ...]
    rows: tuple[DeltaRow, ...]

    def ticket(self, row: DeltaRow) -> Ticket:
        """Return the ticket a row stands for."""
        return ticket_of(self.profiles[row.profile], self.event, row.ticket, row.holder, row.standing)

    @property
    def is_last(self) -> bool:
        """Whether nothing newer was known when it was made."""
        return self.to == self.newest


class EventVersion(msgspec.Struct, frozen=True, array_like=True):
    """How far a gate is with an event's list."""

    event: EventId
    generation: int
    version: int


class LaneWays(msgspec.Struct, frozen=True, array_like=True):
    """Which ways a lane is passed (`sync.wire.roster.Ways`)."""

    lane: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    ways: Annotated[int, msgspec.Meta(ge=0, le=3)]


class GateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a gate is, for the device board. Nothing personal; every field is bounded."""

    versions: Annotated[tuple[EventVersion, ...], msgspec.Meta(max_length=64)] = ()
    """Durably applied, of each event."""
    software: Annotated[str, msgspec.Meta(max_length=40)] = ""
    outbox: Annotated[int, msgspec.Meta(ge=0, le=_I64)] = 0
    """Records that the centre has not acknowledged."""
    outbox_age_s: Annotated[int, msgspec.Meta(ge=0, le=_U32)] = 0
    clock_off_s: Annotated[int, msgspec.Meta(ge=-_U32, le=_U32)] = 0
    """How far the gate's clock is ahead of the centre's."""
    uplink: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """Code of the uplink's tile."""
    verdict: Annotated[str, msgspec.Meta(max_length=20)] = ""
    """Ready, degraded or not ready, as the gate's own page says."""
    lanes: Annotated[tuple[LaneWays, ...], msgspec.Meta(max_length=64)] = ()
    """Which ways each lane is passed, as the box is wired; none: not told."""
    again_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    """Tells again within so long; 0: within `STATUS_EVERY_S`."""
    doubted: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=0, le=_U32)], ...], msgspec.Meta(max_length=64)
    ] = ()
    """Other gates that claim to have let more people through than their lanes can, as this one sees it."""


def pack_delta(delta: Delta, key: Ed25519PrivateKey) -> bytes:
    """Return a signed page."""
    body = zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(delta))
    form = _FORM.pack(
        _MAGIC, delta.event, delta.generation, delta.since, delta.to, hashlib.sha256(body).digest()
    )
    return form + key.sign(_DELTA + form) + body


def read_delta(data: bytes, key: Ed25519PublicKey) -> Delta:
    """Return a page. DeltaRefused for anything that the list key did not sign, or that contradicts itself."""
    at = _FORM.size + _SIGNATURE_BYTES
    form, signature, body = data[: _FORM.size], data[_FORM.size : at], data[at:]
    if len(data) < at or not is_signed(key, signature, _DELTA + form):
        raise DeltaRefused(
            "the changes are not signed by this venue's list key, or were altered on their way"
        )
    magic, event, generation, since, to, digest = _FORM.unpack(form)
    if magic != _MAGIC or hashlib.sha256(body).digest() != digest:
        raise DeltaRefused("the changes were altered on their way, or made by another version of the centre")
    try:
        delta = msgspec.msgpack.decode(_unpacked(body, PAGE_BYTES_MAX), type=Delta)
    except msgspec.DecodeError as error:
        raise DeltaRefused("the changes were made by another version of the centre") from error
    if (delta.event, delta.generation, delta.since, delta.to) != (event, generation, since, to):
        raise DeltaRefused("the changes contradict their own seal")
    _check(delta)
    return delta


class Span(NamedTuple):
    """Where a page leads from and to, as it says itself, not yet proved."""

    event: EventId
    generation: int
    since: int
    to: int


def span_of(data: bytes) -> Span:
    """Read where a page leads. DeltaRefused for bytes that are none."""
    if len(data) < _FORM.size + _SIGNATURE_BYTES:
        raise DeltaRefused("this is no page of changes")
    magic, event, generation, since, to, _ = _FORM.unpack_from(data)
    if magic != _MAGIC:
        raise DeltaRefused("this is no page of changes")
    return Span(EventId(event), generation, since, to)


def _check(delta: Delta) -> None:
    ordered = 0 <= delta.since <= delta.to <= delta.newest <= _I64 and 0 <= delta.sealed_at_s <= _I64
    if not ordered or len(delta.settings) != DIGEST_BYTES:
        raise DeltaRefused("the changes contradict themselves")
    for row in delta.rows:
        if (
            len(row.digest) not in {0, DIGEST_BYTES}
            or not 0 < row.ticket < 2**64
            or not 0 <= row.profile < len(delta.profiles)
            or not delta.since < row.version <= delta.to
        ):
            raise DeltaRefused("the changes hold a row that no list could")


class Settings(msgspec.Struct, frozen=True):
    """The settings of an event group, with the digest they are named by."""

    head: ListHead
    digest: bytes


def settings_head(head: ListHead) -> ListHead:
    """Return what of a list's head is settings: no profiles, no seals, no key."""
    events = tuple(EventInfo(one.id, one.name, 0, 0, 0, one.timezone) for one in head.events)
    return replace(head, events=events, profiles=(), digest_key=b"")


def digest_of(head: ListHead) -> bytes:
    """Return the digest that settings are named by. `head`: of `settings_head`."""
    return _digest(msgspec.msgpack.encode(head))


def pack_settings(head: ListHead, key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """Return the digest of settings, and them signed as they travel. `head`: of `settings_head`."""
    encoded = msgspec.msgpack.encode(head)
    body = zstandard.ZstdCompressor(level=3).compress(encoded)
    digest = _digest(encoded)
    return digest, key.sign(_SETTINGS + digest) + body


def read_settings(data: bytes, key: Ed25519PublicKey) -> Settings:
    """Return settings. DeltaRefused for anything that the list key did not sign."""
    signature, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    most = min(SETTINGS_BYTES_MAX, UNPROVED_BYTES + UNPROVED_TIMES * len(body))
    digest = _digest_within(body, most)
    if len(signature) != _SIGNATURE_BYTES or not is_signed(key, signature, _SETTINGS + digest):
        raise DeltaRefused(
            "the settings are not signed by this venue's list key, or were altered on their way"
        )
    try:
        return Settings(msgspec.msgpack.decode(_unpacked(body, most), type=ListHead), digest)
    except msgspec.DecodeError as error:
        raise DeltaRefused("the settings were made by another version of the centre") from error


def with_settings(head: ListHead, settings: ListHead) -> ListHead:
    """Return a list's head with other settings: its seals, profiles and digest key stay."""
    seals = {one.id: one for one in head.events}
    events = tuple(
        replace(seals[one.id], name=one.name, timezone=one.timezone) if one.id in seals else one
        for one in settings.events
    )
    return replace(settings, events=events, profiles=head.profiles, digest_key=head.digest_key)


def _hash(encoded: bytes = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(encoded, digest_size=DIGEST_BYTES, person=b"gatehouse set 0")


def _digest(encoded: bytes) -> bytes:
    return _hash(encoded).digest()


def _digest_within(body: bytes, bytes_max: int) -> bytes:
    """Return the digest of what is packed, without ever holding it: anybody may have packed it. DeltaRefused."""
    found, left = _hash(), bytes_max
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(body) as stream:
            while part := stream.read(PIECE_BYTES):
                left -= len(part)
                if left < 0:
                    raise DeltaRefused(_TOO_LARGE)
                found.update(part)
    except zstandard.ZstdError as error:
        raise DeltaRefused(_CUT_SHORT) from error
    return found.digest()


def _unpacked(body: bytes, bytes_max: int) -> bytes:
    """Unpack within bounds: repeating content grows a thousandfold. DeltaRefused beyond them."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=bytes_max).stream_reader(body) as stream:
            found = stream.read(bytes_max + 1)
    except zstandard.ZstdError as error:
        raise DeltaRefused(_CUT_SHORT) from error
    if len(found) > bytes_max:
        raise DeltaRefused(_TOO_LARGE)
    return found
