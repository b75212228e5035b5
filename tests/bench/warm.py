"""A neighbour with a long day of records, in a process of its own: `python -m tests.bench.warm FOLDER GRANTS GATE OTHER`.

Says `warm PORT RECORDS` on standard output once it listens, and lives until it is ended.
"""

import asyncio
import sys
from pathlib import Path

from admission.ids import GateId
from sync.wire.channel import knock_key
from sync.wire.replication import head_in
from tests.edge.front.peers.node import Node, key_of, roster_of
from tests.edge.rig import DIGEST_KEY
from tests.sync.logs import EpochLog, a_day

APPEND_RECORDS = 10_000


def signed_by(gate: int, day: EpochLog) -> EpochLog:
    """The same day at another gate."""
    log = EpochLog(day.epoch, GateId(gate), key_of(gate))
    for blob in day.blobs:
        if head_in(day.gate, day.epoch, blob) is not None:
            log.sign()
        else:
            log.add(blob)
    return log


async def main(folder: Path, grants: int, gate: int, other: int) -> None:
    """Be that neighbour."""
    day = signed_by(gate, a_day(grants))
    warm = Node(folder, gate, roster_of([gate, other]))
    try:
        for end in range(APPEND_RECORDS, len(day.blobs) + APPEND_RECORDS, APPEND_RECORDS):
            warm.box.append(day.copy(end), end - APPEND_RECORDS + 1)
        warm.start(knock=knock_key(DIGEST_KEY))
        await warm.listens()
        print(f"warm {warm.port} {len(day.blobs)}", flush=True)
        await asyncio.Event().wait()
    finally:
        await warm.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
