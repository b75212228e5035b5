"""Neighbours that talk, in a process of their own: `python -m tests.bench.talkers FOLDER OTHER RECORDS COUNT`.

They are gates of the same roster as gate OTHER, hear each other and whoever dials, and record as much as gates with four
lanes. They run only where nobody else wants the core: each is a box with cores of its own in a venue. Says `talking PORT …` on standard output once all listen, `hold` once each has so many records of gate OTHER, and lives
until it is ended.
"""

import asyncio
import math
import os
import random
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from sync.wire.channel import knock_key
from tests.bench import stock
from tests.edge.front.peers.node import Node, log_of, roster_of

FIRST: Final = 50
MEAN_S: Final = 1.5 / stock.LANES
"""Between two people at one gate (DESIGN.md, Budgets)."""
HEAD_S: Final = 1.0
LOOK_S: Final = 0.2


def gates_of(count: int) -> list[int]:
    """The numbers of so many neighbours."""
    return list(range(FIRST, FIRST + count))


async def _busy(node: Node, chance: random.Random) -> None:
    """A scan and a passage for each person, each durable and pushed by itself; a head a second after the last that has none."""
    log = log_of(node.gate)
    node.append(log)
    loop = asyncio.get_running_loop()
    signs_s = loop.time()
    comes_s = loop.time() + chance.expovariate(1 / MEAN_S)
    while True:
        await asyncio.sleep(max(0.0, min(signs_s, comes_s) - loop.time()))
        first = len(log.blobs) + 1
        if loop.time() >= signs_s:
            log.sign()
            node.append(log, first)
            signs_s = math.inf
        if loop.time() >= comes_s:
            for _ in range(2):
                log.scan()
                node.append(log, len(log.blobs))
            signs_s = min(signs_s, loop.time() + HEAD_S)
            comes_s = loop.time() + chance.expovariate(1 / MEAN_S)


async def _hold(made: Sequence[Node], other: int, records: int) -> None:
    """Say once all have what gate `other` wrote before they met."""

    def has(node: Node) -> bool:
        return any(one.gate == other and one.last_seq >= records for one in node.reader.epochs())

    while not all(map(has, made)):
        await asyncio.sleep(LOOK_S)
    print("hold", flush=True)


async def main(folder: Path, other: int, records: int, count: int) -> None:
    """Be those neighbours."""
    gates = gates_of(count)
    roster = roster_of([*gates, other])
    async with AsyncExitStack() as stack:
        made = [Node(folder / str(gate), gate, roster) for gate in gates]
        for at, one in enumerate(made):
            stack.push_async_callback(one.close)
            one.start(*made[:at], knock=knock_key(stock.head().digest_key))
            await one.listens()
        print("talking", *(one.port for one in made), flush=True)
        await asyncio.gather(
            _hold(made, other, records), *(_busy(one, random.Random(one.gate)) for one in made)
        )


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
