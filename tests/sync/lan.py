"""Gates on one LAN: each a real daemon with its real front and devices, that talk to each other beside their centre."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from admission.ids import GateId
from admission.records import Record, record_from_bytes
from edge.compose import factories
from edge.enrol import enrol
from edge.link import Part
from edge.parts import Factories
from sync import demo
from sync.events.rows import GROUP
from sync.gates import roster
from sync.tickets import changes
from tests.edge import rig
from tests.sync.gates import PLANS, WAIT_S
from tests.sync.venue import NOW_S, Venue

FIRST_NUMBER = 20


def with_front(parts: Factories) -> Factories:
    """Have a gate started with its real front."""
    return replace(parts, front_argv=factories().front_argv)


def add_gates(venue: Venue, count: int) -> list[str]:
    """Make so many gates that serve the main gate's zones, that one among them; returns their names."""
    names = [f"Gate {number}" for number in range(1, count)]
    with changes.change(venue.centre.database, [demo.EVENT, demo.OTHER_EVENT], NOW_S + 1) as connection:
        for number, name in enumerate(names, FIRST_NUMBER):
            gate = roster.Gate(GateId(number), name, (demo.ARENA, demo.FLOOR, demo.VIP))
            roster.add_gate(connection, gate, PLANS, GROUP)
    return [demo.MAIN_GATE_NAME, *names]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def peers_toml(port: int, others: Sequence[int]) -> str:
    """What a gate is told of its neighbours."""
    addresses = ", ".join(f'"127.0.0.1:{one}"' for one in others)
    return f'\n[peers]\nlisten = "127.0.0.1"\nport = {port}\naddresses = [{addresses}]\ndiscover = false\n'


def records(gate: rig.Gate) -> list[Record]:
    """A gate's own records of this run that are on disk."""
    reader, own = gate.reader(), gate.daemon.journal
    try:
        found = [record_from_bytes(one.blob) for one in reader.records(own.gate, own.epoch, 0, 10_000)]
    finally:
        reader.close()
    return [one for one in found if isinstance(one, Record)]


def hears_all(gate: rig.Gate, others: Sequence[rig.Gate]) -> bool:
    """Whether a gate can let somebody in, and knows of all others by themselves."""
    daemon = gate.daemon
    here = next(
        (t.args.get("here") for t in daemon.board.tiles if (t.part, t.name) == (Part.UPLINK, "peers")), 0
    )
    return (
        all(shell.ready for shell in daemon.lanes.values())
        and here == len(others)
        and all(daemon.others.is_heard(one.daemon.enrolment.gate) for one in others)
    )


@asynccontextmanager
async def lan(
    venue: Venue,
    folder: Path,
    count: int,
    adjust: Callable[[str], str] = lambda text: text,
    urls: Mapping[int, str] = MappingProxyType({}),
) -> AsyncIterator[list[rig.Gate]]:
    """So many gates, ready, each having heard of all others. `urls`: where some of them reach the centre, by place."""
    names = add_gates(venue, count)
    ports = free_ports(count)
    async with AsyncExitStack() as stack:
        gates: list[rig.Gate] = []
        for at, name in enumerate(names):
            home = folder / f"gate-{at}"
            data = home / "data"
            data.mkdir(parents=True)
            code = await asyncio.to_thread(venue.code, name)
            await asyncio.to_thread(enrol, data, urls.get(at, venue.url), code, "box")
            told = peers_toml(ports[at], ports[:at])

            def changed(text: str, told: str = told) -> str:
                return adjust(text.replace("[[lanes]]\n", "[[lanes]]\nabsent_ms = 0\n")) + told

            gates.append(
                await stack.enter_async_context(rig.running(home, adjust=changed, change=with_front))
            )
        for gate in gates:
            others = [one for one in gates if one is not gate]
            await gate.until(lambda g=gate, o=others: hears_all(g, o), "all others are heard", WAIT_S * 2)  # type: ignore[misc]  # the loop's own
        yield gates
