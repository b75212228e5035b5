"""Verified records of another gate, cut for the lane, with what each says of presence."""

from collections.abc import Collection, Iterable, Sequence

from admission.chain import Head
from admission.corrected import Mark, placed
from admission.ids import Epoch, GateId
from admission.observed import PresenceRow, Reset, reset_of, rows_of, tag_rows_of
from admission.records import ExtensionRecord, MalformedRecord, Record, record_from_bytes
from edge.link import FOREIGN_MAX, Foreign


def read(blob: bytes) -> Record | ExtensionRecord | None:
    """Return what bytes say; None where they say nothing."""
    try:
        return record_from_bytes(blob)
    except MalformedRecord:
        return None


def cut(
    gate: GateId,
    epoch: Epoch,
    first: int,
    blobs: Sequence[bytes],
    heads: Collection[Head],
    rows: Iterable[PresenceRow],
    resets: Collection[Reset],
) -> Iterable[Foreign]:
    """Cut what was taken of a log into slices; heads stand in the record behind the one they are of."""
    count = -(-len(blobs) // FOREIGN_MAX)
    rows_of_slice: list[list[PresenceRow]] = [[] for _ in range(count)]
    for row in rows:
        rows_of_slice[(row.id.seq - first) // FOREIGN_MAX].append(row)
    for number, own in enumerate(rows_of_slice):
        start = number * FOREIGN_MAX
        part = tuple(blobs[start : start + FOREIGN_MAX])
        begin, end = first + start, first + start + len(part)
        yield Foreign(
            0,
            gate,
            epoch,
            begin,
            part,
            rows=tuple(own),
            resets=tuple(reset for reset in resets if begin <= reset.id.seq < end),
            heads=tuple(one for one in heads if begin <= one.seq + 1 < end),
        )


def meaning_of(
    gate: GateId, epoch: Epoch, blobs: Sequence[bytes], mark: Mark | None = None
) -> tuple[list[PresenceRow], list[Reset]]:
    """Return the presence rows and resets of records; an extension belongs to the nearest body before it.

    `mark`: the last moment before them at which the log's clock was believed, if there was one.
    """
    return meaning(gate, epoch, [one for one in map(read, blobs) if one is not None], mark)


def meaning(
    gate: GateId, epoch: Epoch, records: Iterable[Record | ExtensionRecord], mark: Mark | None
) -> tuple[list[PresenceRow], list[Reset]]:
    """Return the same of records that were read."""
    bodies: list[tuple[Record, list[ExtensionRecord]]] = []
    for record in records:
        if isinstance(record, Record):
            bodies.append((record, []))
        elif bodies:
            bodies[-1][1].append(record)
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    for (body, extensions), (_, time_us) in zip(
        bodies, placed((one for one, _ in bodies), mark), strict=True
    ):
        at = (gate, epoch, body, tuple(extensions), time_us)
        rows.extend((*rows_of(*at), *tag_rows_of(*at)))
        reset = reset_of(*at)
        resets.extend(() if reset is None else (reset,))
    return rows, resets


__all__ = ["cut", "meaning", "meaning_of", "read"]
