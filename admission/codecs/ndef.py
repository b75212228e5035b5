"""NDEF messages, as tags carry them (NFC Forum, NDEF 1.0): taken apart, and single records written.

A message is records in a row. Of each: flags and type name format, length of the type, length of the payload (1 byte in
a short record, else 4), length of the id where there is one, then type, id, payload. Records in chunks are not read:
no tag we know of carries any.
"""

from typing import Final

import msgspec

MESSAGE_BYTES_MAX: Final = 1024
"""The largest tag in use, an NTAG216, holds 888 bytes."""
RECORDS_MAX: Final = 8
"""A tag of ours has one; a vendor's tag may carry a few more."""

WELL_KNOWN, EXTERNAL = 1, 4
URI: Final = b"U"

_BEGIN, _END, _CHUNK, _SHORT, _HAS_ID, _FORMAT = 0x80, 0x40, 0x20, 0x10, 0x08, 0x07


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record. `format`: the type name format, such as `WELL_KNOWN`."""

    format: int
    type: bytes
    payload: bytes


def records(message: bytes) -> tuple[Record, ...]:
    """The records of a message; none where it is not well formed. Bounded time and memory for any bytes; never raises."""
    if len(message) > MESSAGE_BYTES_MAX:
        return ()
    found: list[Record] = []
    at = 0
    while at < len(message) and len(found) < RECORDS_MAX:
        flags = message[at]
        lengths = 3 if flags & _SHORT else 6
        head_end = at + lengths + bool(flags & _HAS_ID)
        if flags & _CHUNK or bool(flags & _BEGIN) is bool(found) or head_end > len(message):
            return ()
        type_end = head_end + message[at + 1]
        id_bytes = message[head_end - 1] if flags & _HAS_ID else 0
        begin = type_end + id_bytes
        end = begin + int.from_bytes(message[at + 2 : at + lengths], "big")
        if end > len(message):
            return ()
        found.append(Record(flags & _FORMAT, message[head_end:type_end], message[begin:end]))
        if flags & _END:
            return tuple(found) if end == len(message) else ()
        at = end
    return ()


def message_of(record: Record) -> bytes:
    """The message of one short record. ValueError for what does not fit into one."""
    if max(len(record.type), len(record.payload)) > 255:
        raise ValueError("a short record has at most 255 bytes")
    head = bytes((_BEGIN | _END | _SHORT | record.format, len(record.type), len(record.payload)))
    return head + record.type + record.payload
