"""Builds a list file from a snapshot, as a short-lived process of its own: `python -m edge.builder SNAPSHOT OUT`.

A million rows take seconds and memory, which neither lane nor front can spare. What it may believe comes by standard input
(`Order` in JSON), where no other process sees the secrets. Exit code 0: OUT is in place. 1: the snapshot must not be used.
2: the disk does not take it. Standard error says why, in one line: a code, a colon, and words for people.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import EventId, GateId
from edge.store.faults import StoreFault
from edge.store.list import build
from edge.venue import venue_of
from sync.wire.lists import ListHead, ListRefused, read_list
from sync.wire.snapshots import SnapshotRefused, read_snapshot

BUILT, REFUSED, FAULT = 0, 1, 2
NO_GATE = GateId(0)
"""Whose list it is does not matter to whether it can be used."""
NICENESS = 10
"""Scans go first: the box has few cores."""
OOM_SCORE = 300
"""proc(5): where memory runs out, this goes and not the lane, whose own score it starts with."""


ORDER_BYTES_MAX = 1024 * 1024
"""10,000 events' versions take 200 kB."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a builder may believe. `seen`: event, generation and version that no list may undercut."""

    list_public: bytes
    group: int
    list_secret: bytes
    digest_key: bytes
    seen: tuple[tuple[EventId, int, int], ...] = ()


class Unusable(ValueError):
    """A snapshot that must not be used. `code` for the journal; the text for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def build_from(snapshot: Path, out: Path, order: Order) -> None:
    """Decrypt and verify a snapshot, and put the list file made of it in `out`'s place.

    Unusable, StoreFault or OSError; the file that was there is untouched then.
    """
    key = Ed25519PublicKey.from_public_bytes(order.list_public)
    with (
        snapshot.open("rb") as file,
        _nameless(out.with_suffix(".listed")) as listed,
        _nameless(out.with_suffix(".room")) as room,
    ):
        try:
            read_snapshot(file, listed, order.group, order.list_secret)
            content = read_list(listed, key, order.digest_key)
        except SnapshotRefused as error:
            raise Unusable(error.code, str(error)) from error
        except ListRefused as error:
            raise Unusable("list.not_genuine", str(error)) from error
        _check(content.head, order)
        try:
            # What no gate could take up is refused here, where the old list is still in its place.
            venue_of(content.head, NO_GATE)
            build(out, content.head, content.rows(room))
        except (
            ValueError,
            IndexError,
        ) as error:  # a profile or a pair of rows that should not have been signed
            raise Unusable("list.unusable", str(error)) from error


def _nameless(path: Path) -> BinaryIO:
    """Return an empty file that is gone with this process. (`tempfile` would take 0.6 MB for the same.)"""
    path.unlink(missing_ok=True)
    file = path.open("x+b")
    path.unlink()
    return file


def _check(head: ListHead, order: Order) -> None:
    if head.group != order.group:
        raise Unusable("list.wrong_group", "the list is of another event group")
    seen = {event: (generation, version) for event, generation, version in order.seen}
    for event in head.events:
        if (event.generation, event.version) < seen.get(event.id, (0, 0)):
            raise Unusable("list.rolled_back", f"version {event.version} is older than one already seen")


def main(arguments: list[str]) -> int:
    """Build one list; the exit codes are above."""
    if len(arguments) != 2:
        sys.stderr.write("list.unusable: usage: python -m edge.builder SNAPSHOT OUT < ORDER\n")
        return REFUSED
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    try:
        order = msgspec.json.decode(sys.stdin.buffer.read(ORDER_BYTES_MAX), type=Order)
        build_from(Path(arguments[0]), Path(arguments[1]), order)
    except Unusable as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return REFUSED
    except msgspec.DecodeError as error:
        sys.stderr.write(f"list.unusable: no order on standard input: {error}\n")
        return REFUSED
    except (StoreFault, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAULT
    return BUILT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
