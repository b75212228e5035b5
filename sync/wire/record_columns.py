"""Records by columns: what one record shares with the one before it costs next to nothing once zstd has seen it.

The same bytes come out that went in, whatever they are; bodies (`admission.records`) and heads are only written more
shortly. Packed chunks, before compression:

    0   1   0xC1, which no MessagePack value begins with: records by rows can be told apart
    1   1   version 1
    2   n   MessagePack: `_Columns`

Integers of a column lie plane by plane: the first byte of all of them, then the second. Of a body
* seq and format are not written: it stands at its place, else it is written raw
* time_us is the step from the body before, mono_ms what differs from that step; zigzag, so that small is small
* the subject is left out where it is the subject of the record that `ref` names, in the same chunk
* ref is how far back it points; the other fields stand as they are.
Of a head only the signature is written: seq and link follow from the records before it.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from admission.chain import LINK_BYTES, link, seed
from admission.ids import Epoch, GateId
from admission.records import BODY_BYTES, EXTENSION_BIT, FORMAT, Extension
from sync.wire.messages import CHUNKS_MAX, PUSH_RECORDS_MAX, UNREADABLE, Chunk

MARK: Final = b"\xc1\x01"
"""First bytes; the second is the version."""
_BODY = struct.Struct(">BBHIqIHHHHBBBB16sII")
_HEAD = struct.Struct(">BBHII32s64s")
_HEAD_PAYLOAD_BYTES = 100
_SIGNATURE_BYTES = 64
_SUBJECT_BYTES = 16
_U32, _U64 = 2**32 - 1, 2**64 - 1
_BODY_ROW, _HEAD_ROW, _RAW_ROW = range(3)
_PLAIN = ((1, 1), (2, 2), (6, 2), (7, 2), (8, 2), (9, 2), (10, 1), (11, 1), (12, 1), (13, 1), (16, 4))
"""Fields of a body that stand as they are: which of `_BODY`, how many bytes."""
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_NOT_OURS = "these are no records by columns"


class _Columns(msgspec.Struct, array_like=True):
    """Everything of some chunks. `rows`: per record whether it is a body, a head or raw."""

    chunks: list[tuple[int, int, int, int, bytes]]
    """Gate, epoch, first seq, number of records, link before them."""
    rows: bytes
    plain: list[bytes]
    """One per `_PLAIN`."""
    steps: bytes
    clocks: bytes
    refs: bytes
    named: bytes
    """Per body: 1 where its subject is written."""
    subjects: bytes
    signatures: bytes
    raw_sizes: bytes
    raw: bytes


@dataclass(slots=True)
class _Packing:
    """Columns while they grow."""

    rows: bytearray = field(default_factory=bytearray)
    plain: list[tuple[int, ...]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    refs: list[int] = field(default_factory=list)
    named: bytearray = field(default_factory=bytearray)
    subjects: list[bytes] = field(default_factory=list)
    signatures: list[bytes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)


def pack_chunks(chunks: Sequence[Chunk]) -> bytes:
    """Return chunks by columns, to be compressed."""
    packing = _Packing()
    for chunk in chunks:
        _pack_chunk(chunk, packing)
    columns = _Columns(
        [(one.gate, one.epoch, one.first_seq, len(one.blobs), one.link) for one in chunks],
        bytes(packing.rows),
        [_planes([row[at] for row in packing.plain], size) for at, (_, size) in enumerate(_PLAIN)],
        _planes(packing.steps, 8),
        _planes(packing.clocks, 4),
        _planes(packing.refs, 4),
        bytes(packing.named),
        _turned(b"".join(packing.subjects), _SUBJECT_BYTES),
        b"".join(packing.signatures),
        _planes([len(blob) for blob in packing.raw], 4),
        b"".join(packing.raw),
    )
    return MARK + msgspec.msgpack.encode(columns)


def is_packed(data: bytes) -> bool:
    """Whether bytes are records by columns, of any version."""
    return data[:1] == MARK[:1]


def unpack_chunks(data: bytes) -> tuple[Chunk, ...]:
    """Return what `pack_chunks` was given. ValueError for anything else, and for more than a push may hold."""
    if data[:2] != MARK:
        raise ValueError(_NOT_OURS)
    try:
        columns = msgspec.msgpack.decode(data[2:], type=_Columns)
    except UNREADABLE as error:
        raise ValueError(_NOT_OURS) from error
    count = sum(one[3] for one in columns.chunks)
    if min((min(one[:4]) for one in columns.chunks), default=0) < 0 or count != len(columns.rows):
        raise ValueError(_NOT_OURS)
    if len(columns.chunks) > CHUNKS_MAX or count > PUSH_RECORDS_MAX:
        raise ValueError("more records than a push may hold")
    reading = _Reading(columns)
    found = tuple(reading.chunk(*one) for one in columns.chunks)
    reading.finish()
    return found


def _pack_chunk(chunk: Chunk, into: _Packing) -> None:
    time_us = mono_ms = 0
    subjects: dict[int, bytes] = {}
    at = _link_before(chunk.gate, chunk.epoch, chunk.first_seq, chunk.link)
    for seq, blob in enumerate(chunk.blobs, start=chunk.first_seq):
        body = _BODY.unpack(blob) if len(blob) == BODY_BYTES and blob[0] == FORMAT else None
        if body is not None and body[3] == seq and body[15] != seq:
            step = (body[4] - time_us + 2**63) % 2**64 - 2**63
            into.rows.append(_BODY_ROW)
            into.plain.append(tuple([body[of] for of, _ in _PLAIN]))
            into.steps.append(_zigzag(step))
            expected = mono_ms + step // 1000
            into.clocks.append(_zigzag((body[5] - expected + 2**31) % 2**32 - 2**31))
            into.refs.append((seq - body[15]) & _U32 if body[15] else 0)
            is_named = subjects.get(body[15]) != body[14]
            into.named.append(is_named)
            if is_named:
                into.subjects.append(body[14])
            subjects[seq] = body[14]
            time_us, mono_ms = body[4], body[5]
        elif (
            at is not None
            and len(blob) == _HEAD.size
            and blob == _head_blob(seq, at, blob[-_SIGNATURE_BYTES:])
        ):
            into.rows.append(_HEAD_ROW)
            into.signatures.append(blob[-_SIGNATURE_BYTES:])
        else:
            into.rows.append(_RAW_ROW)
            into.raw.append(blob)
        at = link(at, blob) if at is not None else None


class _Reading:
    """Columns, read from the front."""

    def __init__(self, columns: _Columns) -> None:
        """ValueError where the columns are not of one length."""
        self._columns = columns
        bodies, heads, raws = (columns.rows.count(row) for row in (_BODY_ROW, _HEAD_ROW, _RAW_ROW))
        named = columns.named.count(1)
        if (
            bodies + heads + raws != len(columns.rows)
            or len(columns.plain) != len(_PLAIN)
            or len(columns.named) != bodies
            or named + columns.named.count(0) != bodies
            or len(columns.subjects) != named * _SUBJECT_BYTES
            or len(columns.signatures) != heads * _SIGNATURE_BYTES
        ):
            raise ValueError(_NOT_OURS)
        plain = [_integers(data, size, bodies) for data, (_, size) in zip(columns.plain, _PLAIN, strict=True)]
        self._bodies = zip(
            zip(*plain, strict=True),
            _integers(columns.steps, 8, bodies),
            _integers(columns.clocks, 4, bodies),
            _integers(columns.refs, 4, bodies),
            columns.named,
            strict=True,
        )
        self._subjects = iter(_pieces(_returned(columns.subjects, _SUBJECT_BYTES), _SUBJECT_BYTES))
        self._signatures = iter(_pieces(columns.signatures, _SIGNATURE_BYTES))
        self._raw_sizes = iter(_integers(columns.raw_sizes, 4, raws))
        self._row = self._raw = 0

    def chunk(self, gate: int, epoch: int, first_seq: int, count: int, before: bytes) -> Chunk:
        """Read the next chunk. ValueError where it cannot be one."""
        if gate > _U32 or epoch > _U64 or first_seq + count > _U32:
            raise ValueError(_NOT_OURS)
        time_us = mono_ms = 0
        subjects: dict[int, bytes] = {}
        at = _link_before(gate, epoch, first_seq, before)
        blobs: list[bytes] = []
        rows = self._columns.rows[self._row : self._row + count]
        self._row += count
        for seq, row in enumerate(rows, start=first_seq):
            if row == _BODY_ROW:
                plain, zigzag, clock, back, is_named = next(self._bodies)
                step = _unzigzag(zigzag)
                time_us = (time_us + step + 2**63) % 2**64 - 2**63
                mono_ms = (mono_ms + step // 1000 + _unzigzag(clock)) & _U32
                ref = (seq - back) & _U32 if back else 0
                subject = next(self._subjects) if is_named else subjects.get(ref)
                if subject is None:
                    raise ValueError(_NOT_OURS)
                subjects[seq] = subject
                kind, flags, lane, reader, zone, session, outcome, reason, way, trust, more = plain
                blob = _BODY.pack(
                    FORMAT, kind, flags, seq, time_us, mono_ms, lane, reader, zone, session, outcome, reason, way,
                    trust, subject, ref, more,
                )  # fmt: skip
            elif row == _HEAD_ROW:
                if at is None or not seq:
                    raise ValueError(_NOT_OURS)
                blob = _head_blob(seq, at, next(self._signatures))
            else:
                size = next(self._raw_sizes)
                blob = self._columns.raw[self._raw : self._raw + size]
                self._raw += size
            blobs.append(blob)
            at = link(at, blob) if at is not None else None
        return Chunk(GateId(gate), Epoch(epoch), first_seq, tuple(blobs), before)

    def finish(self) -> None:
        """ValueError where raw bytes are left over, or were too few."""
        if self._raw != len(self._columns.raw):
            raise ValueError(_NOT_OURS)


def _link_before(gate: int, epoch: int, first_seq: int, before: bytes) -> bytes | None:
    if len(before) == LINK_BYTES:
        return before
    return seed(GateId(gate), Epoch(epoch)) if first_seq == 1 and not before else None


def _head_blob(seq: int, at: bytes, signature: bytes) -> bytes:
    """Return the HEAD extension that stands at `seq` and signs all before it; nothing where there can be none."""
    if not 1 <= seq <= _U32 or len(signature) != _SIGNATURE_BYTES:
        return b""
    return _HEAD.pack(
        FORMAT | EXTENSION_BIT, Extension.HEAD, _HEAD_PAYLOAD_BYTES, seq, seq - 1, at, signature
    )


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return -((number + 1) >> 1) if number & 1 else number >> 1


def _planes(numbers: Iterable[int], size: int) -> bytes:
    """Return unsigned integers plane by plane, big-endian."""
    column = array(_CODES[size], numbers)
    assert column.itemsize == size, "this platform's integers are not of the sizes that the wire has"
    if sys.byteorder == "little":
        column.byteswap()
    return _turned(column.tobytes(), size)


def _integers(data: bytes, size: int, count: int) -> "array[int]":
    if len(data) != size * count:
        raise ValueError(_NOT_OURS)
    column = array(_CODES[size], _returned(data, size))
    if sys.byteorder == "little":
        column.byteswap()
    return column


def _turned(rows: bytes, size: int) -> bytes:
    """Return rows of `size` bytes as planes."""
    return rows if size == 1 else b"".join(rows[at::size] for at in range(size))


def _returned(planes: bytes, size: int) -> bytes:
    """Undo `_turned`."""
    rows = bytearray(len(planes))
    count = len(planes) // size
    for at in range(size):
        rows[at::size] = planes[at * count : (at + 1) * count]
    return bytes(rows)


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


__all__ = ["MARK", "is_packed", "pack_chunks", "unpack_chunks"]
