"""List files read piece by piece: every row comes back, and never more than a piece of them is in memory."""

import hashlib
import struct
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.entitlements import CredentialStanding, Standing
from admission.ids import EventId, HolderId, TicketId
from sync.wire import lists
from sync.wire.lists import ListHead, ListRefused, ListRow, pack_list, unspool_list

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEAD = ListHead(
    group=1, events=(), products=(), sessions=(), zones=(), plans=(), gate_lanes={}, keys=(), gates=(), profiles=(),
    digest_key=bytes(32),
)  # fmt: skip


class Spool(BytesIO):
    """A file that remembers its largest piece."""

    largest = 0

    def write(self, piece: "ReadableBuffer", /) -> int:
        self.largest = max(self.largest, memoryview(piece).nbytes)
        return super().write(piece)


def row(number: int) -> ListRow:
    return ListRow(
        number.to_bytes(16, "big"),
        EventId(1),
        TicketId(2**63 + number),
        0,
        HolderId(number),
        Standing.VALID,
        CredentialStanding.ACTIVE,
    )


def signed(columns: bytes, count: int) -> bytes:
    """A list file as `sync.wire.lists` lays it out, with any bytes as its packed columns."""
    head = msgspec.msgpack.encode(HEAD)
    lengths = struct.pack(">I", len(head)), struct.pack(">II", count, len(columns))
    body = b"".join((lists.MAGIC, lengths[0], head, lengths[1], columns))
    return body + KEY.sign(lists.DOMAIN + hashlib.sha256(body).digest())


@pytest.mark.parametrize(
    "count", [0, 1, lists.SLAB_ROWS - 1, lists.SLAB_ROWS, lists.SLAB_ROWS + 1, 5 * lists.SLAB_ROWS]
)
def test_every_row_comes_back_in_digest_order(count: int) -> None:
    rows = [row(number) for number in range(count)]
    read = unspool_list(BytesIO(pack_list(HEAD, reversed(rows), KEY)), KEY.public_key(), Spool())
    assert (read.head, read.row_count) == (HEAD, count)
    assert list(read.rows()) == rows


def test_columns_that_repeat_are_unpacked_piece_by_piece() -> None:
    count = 100_000
    spool = Spool()
    packed = zstandard.compress(bytes(count * lists.ROW_BYTES))
    assert len(packed) < lists.PIECE_BYTES
    unspool_list(BytesIO(signed(packed, count)), KEY.public_key(), spool)
    assert len(spool.getvalue()) == count * lists.ROW_BYTES
    assert spool.largest <= lists.PIECE_BYTES


def test_columns_that_end_early_are_refused() -> None:
    packed = zstandard.compress(bytes(range(256)) * lists.ROW_BYTES, level=1)
    for kept in range(len(packed)):
        with pytest.raises(ListRefused):
            unspool_list(BytesIO(signed(packed[:kept], 256)), KEY.public_key(), Spool())
