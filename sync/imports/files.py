"""A file, read against an event: what would be written, in chunks, and all that is wrong with it. Writes nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import IO, NamedTuple

import msgspec
import zstandard
from sqlalchemy import Connection, select

from sync.events import tables as events
from sync.imports.columns import Column, Layout, layout, plain
from sync.imports.entries import Catalogue, Entry, RowReader
from sync.imports.faults import BadCell, BadFile
from sync.imports.texts import Row, sheet

CHUNK_ROWS = 2000
"""Written in one transaction: a longer one holds the event's counter row, and cancels, too long."""
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


class Chunk(NamedTuple):
    """Entries, packed; `rows` of them."""

    rows: int
    packed: bytes


class Checked(NamedTuple):
    """A file that was read."""

    encoding: str
    delimiter: str
    layout: Layout
    chunks: tuple[Chunk, ...]
    bad: tuple[BadCell, ...]
    rows_bad: int


def catalogue(connection: Connection, event: int) -> Catalogue | None:
    """Return what an event's lists may name; None where there is no such event."""
    e, g, p, s, z = events.event, events.event_group, events.product, events.session, events.zone
    found = connection.execute(
        select(e.c.timezone, e.c.group_id, g.c.digest_key)
        .join(g, g.c.id == e.c.group_id)
        .where(e.c.id == event)
    ).first()
    if found is None:
        return None
    products = connection.execute(select(p).where(p.c.event_id == event)).all()
    sessions = connection.execute(select(s).where(s.c.event_id == event)).all()
    zones = connection.execute(select(z.c.id, z.c.name).where(z.c.group_id == found.group_id)).all()
    per_day = Counter(row.day for row in sessions)
    return Catalogue(
        event=event,
        timezone=found.timezone,
        digest_key=found.digest_key,
        products={plain(row.name): row.id for row in products},
        zones={plain(row.name): row.id for row in zones},
        sessions={plain(row.name): row.id for row in sessions},
        days={row.day: row.id for row in sessions if per_day[row.day] == 1},
        defaults={row.id: (row.session, row.not_before, row.not_after, row.admits) for row in products},
        product_numbers=frozenset(row.id for row in products),
        zone_numbers=frozenset(row.id for row in zones),
        session_numbers=frozenset(row.id for row in sessions),
    )


def outer_zones(connection: Connection, event: int) -> tuple[int, ...]:
    """Return the zones of an event's venue that lie in no other."""
    e, z = events.event.c, events.zone.c
    group = select(e.group_id).where(e.id == event).scalar_subquery()
    found = connection.execute(select(z.id).where(z.group_id == group, z.parent == 0).order_by(z.id))
    return tuple(found.scalars())


def read_file(data: bytes | IO[bytes], known: Catalogue, how: How) -> Checked:
    """Read a file to its end. BadFile where no row of it can be judged."""
    opened = sheet(data)
    heading = next(opened.rows)
    where = layout(heading.cells, how.columns)
    if how.product and how.product not in known.product_numbers:
        raise BadFile(f"the event has no product {how.product}", "Choose one of the event's products.")
    if Column.PRODUCT not in where.places and not how.product and len(known.product_numbers) != 1:
        raise BadFile(
            "no column names the product",
            "Choose one for all rows, or say which column it is: product=HEADING.",
        )
    only = next(iter(known.product_numbers)) if len(known.product_numbers) == 1 else 0
    reader = RowReader(known, where, product=how.product or only, keeps_text=how.keeps_text)
    rows: Iterator[Row] = opened.rows if where.has_heading else chain((heading,), opened.rows)
    bad: list[BadCell] = []
    rows_bad = 0
    chunks: list[Chunk] = []
    entries: list[Entry] = []
    for row in rows:
        entry = reader.read(row)
        if isinstance(entry, list):
            rows_bad += 1
            if rows_bad > BAD_ROWS_MAX:
                raise _all_bad(bad)
            bad += entry
            continue
        entries.append(entry)
        if len(entries) == CHUNK_ROWS:
            chunks.append(packed(entries))
            entries = []
    if entries:
        chunks.append(packed(entries))
    if not chunks and not bad:
        raise BadFile("the file has a heading and no rows", "Export it again with its tickets.")
    return Checked(opened.encoding, opened.delimiter, where, tuple(chunks), tuple(bad), rows_bad)


def packed(entries: list[Entry]) -> Chunk:
    """Return entries as they are kept until they are written."""
    return Chunk(len(entries), _PACKER.compress(_ENCODER.encode(entries)))


def unpacked(chunk: bytes) -> list[Entry]:
    """Return what `packed` took."""
    return _DECODER.decode(_UNPACKER.decompress(chunk, max_output_size=CHUNK_BYTES_MAX))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Entry])
_PACKER = zstandard.ZstdCompressor(level=1)
_UNPACKER = zstandard.ZstdDecompressor()


def _all_bad(bad: list[BadCell]) -> BadFile:
    column, what = Counter((one.column, one.what) for one in bad).most_common(1)[0][0]
    return BadFile(
        f"more than {BAD_ROWS_MAX} rows are bad, most in column {column or '?'}",
        f"{what} Is this the right file, and the right column?",
    )
