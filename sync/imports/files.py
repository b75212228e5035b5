"""A file, read against an event: what would be written, slab by slab, and all that is wrong with it. Writes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import IO, NamedTuple

import msgspec
import zstandard

from sync.imports.catalogue import Catalogue
from sync.imports.columns import Column, Layout, layout
from sync.imports.entries import Entry, RowReader
from sync.imports.faults import BadCell, BadFile, CellFault, FileFault
from sync.imports.texts import Row, sheet

CHUNK_ROWS = 2000
"""Written in one transaction: a longer one holds the event's counter row, and cancels, too long."""
BAD_CELLS = 2000
"""Kept in one transaction: as many as a chunk has entries."""
BAD_ROWS_MAX = 100_000
"""Named one by one. Where more are bad, the file as a whole is: a column was taken for another."""
CHUNK_BYTES_MAX = 64 * 1024 * 1024
"""2,000 rows of the longest cells, unpacked; a packed chunk of ours that holds more was tampered with."""


class How(msgspec.Struct, frozen=True):
    """How a person wants a file read. `columns`: a heading by what it holds, where names do not tell."""

    columns: Mapping[Column, str] = msgspec.field(default_factory=dict)
    product: int = 0
    """Of rows that name none; 0: each must."""
    keeps_text: bool = False
    """Whether codes are kept readable, to be printed again or searched for; else only their digests are."""


class Slab(NamedTuple):
    """The next rows of a file, in their order: entries that can be written, and what is wrong with the rest."""

    number: int
    """From 1; the same rows again are the same slab."""
    last_row: int
    entries: list[Entry]
    bad: list[BadCell]
    rows_bad: int


class Reading(NamedTuple):
    """A file while it is read. `slabs` may be read once, and raise BadFile."""

    encoding: str
    delimiter: str
    layout: Layout
    slabs: Iterator[Slab]


def read_file(data: bytes | IO[bytes], known: Catalogue, how: How) -> Reading:
    """Begin to read a file. BadFile where no row of it can be judged.

    An open file is read while the slabs are asked for, and left open.
    """
    opened = sheet(data)
    heading = next(opened.rows)
    where = layout(heading.cells, how.columns)
    if how.product and how.product not in known.product_numbers:
        raise BadFile(FileFault.PRODUCT_UNKNOWN, product=how.product)
    if Column.PRODUCT not in where.places and not how.product and len(known.product_numbers) != 1:
        raise BadFile(FileFault.PRODUCT_MISSING, of=Column.PRODUCT.value)
    only = next(iter(known.product_numbers)) if len(known.product_numbers) == 1 else 0
    reader = RowReader(known, where, product=how.product or only, keeps_text=how.keeps_text)
    rows: Iterator[Row] = opened.rows if where.has_heading else chain((heading,), opened.rows)
    slabs = slabs_of((row.number, reader.read(row)) for row in rows)
    return Reading(opened.encoding, opened.delimiter, where, _some(slabs))


def _some(slabs: Iterator[Slab]) -> Iterator[Slab]:
    first = next(slabs, None)
    if first is None:
        raise BadFile(FileFault.NO_ROWS)
    yield first
    yield from slabs


def slabs_of(rows: Iterable[tuple[int, Entry | list[BadCell]]]) -> Iterator[Slab]:
    """Yield numbered rows, judged, in slabs. BadFile where too many are bad."""
    entries: list[Entry] = []
    bad: list[BadCell] = []
    counts: Counter[tuple[str, CellFault]] = Counter()
    first: dict[tuple[str, CellFault], BadCell] = {}
    slab, row, rows_bad, rows_bad_before = 0, 0, 0, 0
    for row, judged in rows:
        if isinstance(judged, list):
            rows_bad += 1
            if rows_bad > BAD_ROWS_MAX:
                common = first[counts.most_common(1)[0][0]]
                raise BadFile(FileFault.TOO_MANY_BAD, common, n=BAD_ROWS_MAX, column=common.column or "?")
            for one in judged:
                counts[one.column, one.fault] += 1
                first.setdefault((one.column, one.fault), one)
            bad += judged
        else:
            entries.append(judged)
        if len(entries) == CHUNK_ROWS or len(bad) >= BAD_CELLS:
            slab += 1
            yield Slab(slab, row, entries, bad, rows_bad - rows_bad_before)
            entries, bad, rows_bad_before = [], [], rows_bad
    if entries or bad:
        yield Slab(slab + 1, row, entries, bad, rows_bad - rows_bad_before)


def packed(entries: list[Entry]) -> bytes:
    """Return entries as they are kept until they are written."""
    return _PACKER.compress(_ENCODER.encode(entries))


def unpacked(chunk: bytes) -> list[Entry]:
    """Return what `packed` took."""
    return _DECODER.decode(_UNPACKER.decompress(chunk, max_output_size=CHUNK_BYTES_MAX))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Entry])
_PACKER = zstandard.ZstdCompressor(level=1)
_UNPACKER = zstandard.ZstdDecompressor()
