"""A box that is swapped in at a venue whose modem is as slow as 2G: how soon it lets people in, knowing who is inside."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from edge.enrol import enrol
from tests.edge import rig
from tests.edge.front.slow_link import slow_link
from tests.edge.rig import Gate
from tests.sync.lan import add_gates, free_ports, peers_toml, with_front
from tests.sync.test_merged_gates import knows
from tests.sync.venue import Venue

WAIT_S = 180.0
"""Only reached where something is broken: two minutes are to be kept."""


@dataclass(frozen=True)
class Swapped:
    """What it came to. `enrolled_s`: of it, until the box was enrolled."""

    admits_s: float
    enrolled_s: float
    modem_bytes: int
    list_bytes: int


def admits(gate: Gate) -> bool:
    """Whether all lanes judge by a list."""
    return gate.daemon.judge.has_list and all(shell.ready for shell in gate.daemon.lanes.values())


def _quick(text: str) -> str:
    return text.replace("[[lanes]]\n", "[[lanes]]\nabsent_ms = 0\n")


async def swap_in(venue: Venue, folder: Path, tickets: list[str], bytes_s: float) -> Swapped:
    """Let tickets in at one gate; then swap a box in beside it whose link gives so many bytes a second."""
    names, ports = add_gates(venue, 2), free_ports(2)
    async with AsyncExitStack() as stack:
        modem = await stack.enter_async_context(slow_link(int(venue.url.rsplit(":", 1)[1])))

        async def box(at: int, url: str, others: list[int]) -> tuple[Gate, float]:
            home = folder / f"gate-{at}"
            (home / "data").mkdir(parents=True)
            code = await asyncio.to_thread(venue.code, names[at])
            await asyncio.to_thread(enrol, home / "data", url, code, "box")
            enrolled_s = time.monotonic()

            def told(text: str) -> str:
                return _quick(text) + peers_toml(ports[at], others)

            return await stack.enter_async_context(
                rig.running(home, adjust=told, change=with_front)
            ), enrolled_s

        one, _ = await box(0, venue.url, [])
        await one.until(lambda: admits(one), "the first gate admits", WAIT_S)
        for text in tickets:
            await one.hardware.entry.scan(text.encode())
            await one.seen()
            await one.walk()
        modem.bytes_s = bytes_s
        began_s = time.monotonic()
        two, enrolled_s = await box(1, f"http://127.0.0.1:{modem.port}", [ports[0]])
        await two.until(
            lambda: admits(two) and all(knows(two, text) for text in tickets), "it admits", WAIT_S
        )
        took_s = time.monotonic() - began_s
        size = (one.data / "snapshot.ghs").stat().st_size
        return Swapped(took_s, enrolled_s - began_s, modem.bytes, size)


__all__ = ["Swapped", "swap_in"]
