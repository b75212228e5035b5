"""Names that people asked to be greeted by: what a gate holds of them, in memory alone.

They are in no list, no change and no log. Settings (`sync.wire.deltas`) carry a mark of them, `ListHead.names`, which is
another one with each change: whoever asks, is renamed, takes it back, is erased, or gets or loses a ticket. A gate that is
told of another mark than it holds forgets what it holds, and asks:

| method and path | answer |
|---|---|
| GET /api/v1/gate/names | `NamesTold`, MessagePack; proved by the time key as every answer is |

A mark says nothing of the names: it is made of the customers' numbers and of random ones.
"""

import hashlib
from collections.abc import Iterable

import msgspec

MARK_BYTES = 16
NAMES_BYTES_MAX = 1024 * 1024
"""Some thousands of names of 24 letters, with room to spare."""


class NamesTold(msgspec.Struct, frozen=True, array_like=True):
    """The names of a group. `names`: by holder, as lists number them; `mark`: that of the settings they belong to."""

    mark: bytes = b""
    names: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"NamesTold({len(self.names)} names)"


def mark_of(shown: Iterable[tuple[int, int]]) -> bytes:
    """Return the mark of these holders with the random number of each one's name; empty for none."""
    found = sorted(shown)
    if not found:
        return b""
    packed = msgspec.msgpack.encode(found)
    return hashlib.blake2b(packed, digest_size=MARK_BYTES, person=b"gatehouse name 0").digest()
