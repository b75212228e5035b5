"""The merged log down: what a gate asks for, and what it is given of the other gates' logs.

| method and path | body | answer |
|---|---|---|
| POST /api/v1/gate/feed | `Ask` MessagePack | `Feed` MessagePack, zstd |

The cursor is the centre's own note of how far this gate has read, in the order in which records became known; who
has none, or one that this centre never gave, begins at the start. Nothing that comes is believed but what the heads of
the gate it is of cover (`sync.wire.replication`, `Source.CARRIER`).
"""

from typing import Annotated

import msgspec
import zstandard

from sync.wire.messages import PUSH_BYTES_MAX, UNREADABLE, Chunk, Epoch64, Gate32, Seq32
from sync.wire.record_columns import pack_chunks, unpack_chunks

ASK_BYTES_MAX = 16 * 1024
WANTS_MAX = 64
"""Logs asked for by name at once."""
WAIT_MAX_MS = 10_000
"""Longest wait for news: the age of what is heard of others grows by as much, and 30 s is cut off."""
FEED_BYTES_MAX = 1024 * 1024
"""Of one answer, before compression; one log without a head for long may be `PUSH_BYTES_MAX`."""
CURSOR_BYTES_MAX = 64
ZSTD_LEVEL = 3
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""Largest zstd window taken: a frame may ask for far more memory than its content has."""


class Want(msgspec.Struct, frozen=True, array_like=True):
    """A log that is held up to `after` only, whatever the cursor says."""

    gate: Gate32
    epoch: Epoch64
    after: Seq32


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """What is new for me? `behind_s`: how long the oldest record that the centre lacks has been waiting here. `rouses`: somebody
    stands here for whom all others must be heard; those that rest are told to ask, too."""

    cursor: Annotated[bytes, msgspec.Meta(max_length=CURSOR_BYTES_MAX)] = b""
    wait_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    behind_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    wants: Annotated[tuple[Want, ...], msgspec.Meta(max_length=WANTS_MAX)] = ()
    rouses: bool = False


class HeardOf(msgspec.Struct, frozen=True, array_like=True):
    """The centre has all that a gate recorded until so long ago."""

    gate: Gate32
    age_ms: Annotated[int, msgspec.Meta(ge=0)]


class Feed(msgspec.Struct, frozen=True, array_like=True):
    """What is new. `records` are chunks (`sync.wire.record_columns`); `more`: ask again at once."""

    cursor: Annotated[bytes, msgspec.Meta(max_length=CURSOR_BYTES_MAX)]
    more: bool
    records: bytes
    heard: tuple[HeardOf, ...] = ()


class BadFeed(ValueError):
    """Bytes that are no feed."""


def pack_feed(cursor: bytes, chunks: tuple[Chunk, ...], heard: tuple[HeardOf, ...], *, more: bool) -> bytes:
    """Return a feed as it travels."""
    feed = Feed(cursor, more, pack_chunks(chunks), heard)
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(msgspec.msgpack.encode(feed))


def unpack_feed(body: bytes) -> tuple[Feed, tuple[Chunk, ...]]:
    """Read a feed and its records. BadFeed for anything else, and for more than the centre sends."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(body) as stream:
            packed = stream.read(PUSH_BYTES_MAX + 1)
        if len(packed) > PUSH_BYTES_MAX:
            raise BadFeed("larger than any feed")
        feed = msgspec.msgpack.decode(packed, type=Feed)
        return feed, unpack_chunks(feed.records)
    except (zstandard.ZstdError, *UNREADABLE) as error:
        raise BadFeed("not a feed") from error
    except ValueError as error:
        raise BadFeed(str(error)) from error
