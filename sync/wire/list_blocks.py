"""Blocks of a list file's rows: column by column, place by place (`sync.wire.lists` has the layout)."""

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import accumulate, islice
from typing import BinaryIO

from admission.digests import DIGEST_BYTES as _DIGEST

BLOCK_ROWS = 4_096
"""Rows held at a time; more pack hardly any smaller."""
_COLUMNS = (("I", 4), ("Q", 8), ("I", 4), ("Q", 8), ("B", 1), ("B", 1))
"""Event, ticket, profile, holder, standing, credential standing: array code and bytes."""
_DIFFERENCES = (1, 3)
"""Tickets and holders are numbered in turn, and so repeat as differences only."""
ROW_BYTES = sum(size for _, size in _COLUMNS)
_U64 = 2**64 - 1

SORTED = struct.Struct(">16sIQIQBB")
"""A row while it is sorted: its bytes compare as its digest, event and ticket do."""
BUCKET_ROWS = 4_096
"""Rows sorted at a time, in less than 1 MB."""
BUCKETS_MAX = 1_024
BUCKET_BYTES = 4 * 1024
"""Held of a bucket before it goes to the file: 4 MB for the most buckets."""

Plain = tuple[int, int, int, int, int, int]
"""Event, ticket, profile, holder, standing, credential standing."""
Row = tuple[bytes, int, int, int, int, int, int]


def packed(rows: Iterable[Plain]) -> Iterator[bytes]:
    """Yield the blocks of rows whose digests do not travel."""
    waiting = iter(rows)
    while block := list(islice(waiting, BLOCK_ROWS)):
        yield b"".join(map(_packed, range(len(_COLUMNS)), zip(*block, strict=True)))


def packed_with_digests(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the blocks of rows that bring their digests."""
    waiting = iter(rows)
    while block := list(islice(waiting, BLOCK_ROWS)):
        digests, *columns = zip(*block, strict=True)
        yield b"".join(digests) + b"".join(map(_packed, range(len(_COLUMNS)), columns))


def unpacked(file: BinaryIO, count: int) -> Iterator[Plain]:
    """Yield `count` rows from where `file` stands. ValueError where it ends before them."""
    for rows in _blocks(count):
        yield from _columns(file.read(ROW_BYTES * rows), rows)


def unpacked_with_digests(file: BinaryIO, count: int) -> Iterator[Row]:
    """Yield `count` rows with their digests. As `unpacked`."""
    for rows in _blocks(count):
        digests = file.read(_DIGEST * rows)
        columns = _columns(file.read(ROW_BYTES * rows), rows)
        for at, row in enumerate(columns):
            yield (digests[_DIGEST * at : _DIGEST * (at + 1)], *row)


def in_order(rows: Iterable[Row], count: int, room: BinaryIO | None = None) -> Iterator[Row]:
    """Yield rows by digest, event and ticket. `room`: an empty file to sort more than `BUCKET_ROWS` in."""
    if count <= BUCKET_ROWS:
        return iter(sorted(rows))
    return _sorted_in(rows, count, room or BytesIO())


def _sorted_in(rows: Iterable[Row], count: int, room: BinaryIO) -> Iterator[Row]:
    """Sort by the first bits of the digest into buckets, which digests fill evenly, then each bucket."""
    bits = min((count // BUCKET_ROWS).bit_length(), BUCKETS_MAX.bit_length() - 1)
    buckets = [bytearray() for _ in range(1 << bits)]
    places: list[list[tuple[int, int]]] = [[] for _ in buckets]
    pack, shift = SORTED.pack, 16 - bits
    for row in rows:
        digest = row[0]
        number = (digest[0] << 8 | digest[1]) >> shift
        bucket = buckets[number]
        bucket += pack(*row)
        if len(bucket) >= BUCKET_BYTES:
            places[number].append((room.tell(), len(bucket)))
            room.write(bucket)
            bucket.clear()
    for bucket, found in zip(buckets, places, strict=True):
        whole = bytearray()
        for at, size in found:
            room.seek(at)
            whole += room.read(size)
        whole += bucket
        ordered = sorted(bytes(whole[at : at + SORTED.size]) for at in range(0, len(whole), SORTED.size))
        yield from SORTED.iter_unpack(b"".join(ordered))


def _blocks(count: int) -> Iterator[int]:
    """Yield how many rows each block holds."""
    for first in range(0, count, BLOCK_ROWS):
        yield min(BLOCK_ROWS, count - first)


def _packed(place: int, values: tuple[int, ...]) -> bytes:
    code, size = _COLUMNS[place]
    if place in _DIFFERENCES:
        before = (0, *values)
        values = tuple((value - last) & _U64 for value, last in zip(values, before, strict=False))
    column = array(code, values)
    if sys.byteorder == "little":
        column.byteswap()
    raw = column.tobytes()
    return raw if size == 1 else b"".join(raw[at::size] for at in range(size))


def _columns(data: bytes, rows: int) -> Iterator[Plain]:
    if len(data) != ROW_BYTES * rows:
        raise ValueError("the rows end early")
    found: list[Iterable[int]] = []
    at = 0
    for place, (code, size) in enumerate(_COLUMNS):
        raw = bytearray(size * rows)
        for byte in range(size):
            raw[byte::size] = data[at : at + rows]
            at += rows
        column = array(code, bytes(raw))
        if sys.byteorder == "little":
            column.byteswap()
        found.append(
            accumulate(column, lambda last, step: (last + step) & _U64) if place in _DIFFERENCES else column
        )
    return zip(*found, strict=True)
