"""What neighbours say to each other of lists (`sync.wire.peers`, beside the records).

    Lists     what I hold: a snapshot, as the centre announced it, and which version of each event I am at
    GivePart  a part of that snapshot; answered by `Part`
    Part      bytes of it; none where I have it no more

Changes, seals and settings go as `Paper`, as the centre signed them.
"""

from typing import Annotated

import msgspec

from sync.wire.deltas import DIGEST_BYTES, EventVersion
from sync.wire.snapshots import ADDRESS_CHARS

PART_BYTES_MAX = 128 * 1024
"""A millisecond of a LAN: a reservation that comes behind it waits no longer."""
ANNOUNCED_BYTES_MAX = 1024
EVENTS_MAX = 64

SEAL, CHANGES, SETTINGS = "seal", "changes", "settings"
"""Kinds of papers that are of lists; named as in the centre's stream."""


class Lists(msgspec.Struct, frozen=True, array_like=True, tag="lists"):
    """`announced`: the snapshot that can be had (`sync.wire.snapshots`), empty: none. `places`: what is durably applied.
    `settings`: the digest of those that are gone by."""

    announced: Annotated[bytes, msgspec.Meta(max_length=ANNOUNCED_BYTES_MAX)] = b""
    places: Annotated[tuple[EventVersion, ...], msgspec.Meta(max_length=EVENTS_MAX)] = ()
    settings: Annotated[bytes, msgspec.Meta(max_length=DIGEST_BYTES)] = b""


class GivePart(msgspec.Struct, frozen=True, array_like=True, tag="give_part"):
    """Bytes of a snapshot from an offset on are wanted."""

    address: Annotated[str, msgspec.Meta(max_length=ADDRESS_CHARS)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class Part(msgspec.Struct, frozen=True, array_like=True, tag="part"):
    """Bytes of a snapshot from an offset on."""

    address: Annotated[str, msgspec.Meta(max_length=ADDRESS_CHARS)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    data: Annotated[bytes, msgspec.Meta(max_length=PART_BYTES_MAX)]


__all__ = ["CHANGES", "PART_BYTES_MAX", "SEAL", "SETTINGS", "GivePart", "Lists", "Part"]
