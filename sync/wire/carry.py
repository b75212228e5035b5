"""Records carried up: a gate hands over what its neighbours recorded that have no link of their own now.

| method and path | body | answer |
|---|---|---|
| POST /api/v1/gate/carried | `Carry` MessagePack, zstd | `Pushed` MessagePack: what is held of the logs asked about and handed over |

Any enrolled gate may carry for another one of its group. Nothing is believed but what the heads of the gate it is of
cover (`sync.wire.replication`, `Source.CARRIER`), so who carries can withhold, and nothing else. Whom it withholds
from is told by the feed what the centre has, and carries it itself.
"""

from typing import Annotated

import msgspec
import zstandard

from sync.wire.feed import Want
from sync.wire.messages import CHUNKS_MAX, PUSH_BYTES_MAX, UNREADABLE, Chunk
from sync.wire.record_columns import pack_chunks, unpack_chunks

ASKED_MAX = 256
"""Logs asked about at once: 10 kB of an answer."""
OWNERS_MAX = 64
"""Gates carried for at once: more share no LAN."""
ZSTD_LEVEL = 3
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""Largest zstd window taken: a frame may ask for far more memory than its content has."""


class Carry(msgspec.Struct, frozen=True, array_like=True):
    """`logs` are asked about, held up to `after` by who asks; `records` are chunks (`sync.wire.record_columns`)."""

    logs: Annotated[tuple[Want, ...], msgspec.Meta(max_length=ASKED_MAX)]
    records: bytes = b""


class BadCarry(ValueError):
    """Bytes that no gate of ours carries."""


def pack_carry(logs: tuple[Want, ...], chunks: tuple[Chunk, ...]) -> bytes:
    """Return what is carried as it travels."""
    records = pack_chunks(chunks) if chunks else b""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(msgspec.msgpack.encode(Carry(logs, records)))


def unpack_carry(body: bytes) -> tuple[tuple[Want, ...], tuple[Chunk, ...]]:
    """Read what is asked about and what is carried. BadCarry for anything else, and for more than a gate sends."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(body) as stream:
            packed = stream.read(PUSH_BYTES_MAX + 1)
        if len(packed) > PUSH_BYTES_MAX:
            raise BadCarry(f"more than {PUSH_BYTES_MAX} bytes")
        carry = msgspec.msgpack.decode(packed, type=Carry)
        chunks = unpack_chunks(carry.records) if carry.records else ()
    except (zstandard.ZstdError, *UNREADABLE) as error:
        raise BadCarry("not what is carried") from error
    except ValueError as error:
        raise BadCarry(str(error)) from error
    owners = {one.gate for one in carry.logs} | {one.gate for one in chunks}
    if len(chunks) > CHUNKS_MAX or len(owners) > OWNERS_MAX:
        raise BadCarry("of more gates than share a network")
    return carry.logs, chunks


__all__ = ["ASKED_MAX", "BadCarry", "Carry", "pack_carry", "unpack_carry"]
