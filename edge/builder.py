"""Builds a list file from a snapshot, as a short-lived process of its own: `python -m edge.builder SNAPSHOT OUT KEYHEX`.

A million rows take seconds and memory, which neither lane nor front can spare. Exit code 0: OUT is in place. 1: the
snapshot must not be used. 2: the disk does not take it. Standard error says why, in one line.
"""

import contextlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryFile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import GateId
from edge.store.faults import StoreFault
from edge.store.list import build
from edge.venue import venue_of
from sync.wire.lists import ListRefused, unspool_list

BUILT, REFUSED, FAULT = 0, 1, 2
NO_GATE = GateId(0)
"""Whose list it is does not matter to whether it can be used."""
NICENESS = 10
"""Scans go first: the box has few cores."""
OOM_SCORE = 300
"""proc(5): where memory runs out, this goes and not the lane, whose own score it starts with."""


def build_from(snapshot: Path, out: Path, list_public: bytes) -> None:
    """Verify a snapshot and put the list file made of it in `out`'s place. ListRefused, StoreFault or OSError."""
    key = Ed25519PublicKey.from_public_bytes(list_public)
    with snapshot.open("rb") as file, TemporaryFile(dir=out.parent) as spool:
        content = unspool_list(file, key, spool)
        try:
            # What no gate could take up is refused here, where the old list is still in its place.
            venue_of(content.head, NO_GATE)
            build(out, content.head, content.rows())
        except (
            ValueError,
            IndexError,
        ) as error:  # a profile or a pair of rows that should not have been signed
            raise ListRefused(str(error)) from error


def main(arguments: list[str]) -> int:
    """Build one list; the exit codes are above."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python -m edge.builder SNAPSHOT OUT LIST_KEY_HEX\n")
        return REFUSED
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    try:
        build_from(Path(arguments[0]), Path(arguments[1]), bytes.fromhex(arguments[2]))
    except ListRefused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except (StoreFault, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAULT
    return BUILT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
