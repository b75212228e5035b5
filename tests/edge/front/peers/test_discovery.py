"""Neighbours by multicast: found where there is any, a hint and no more."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest
from zeroconf import IPVersion
from zeroconf._dns import DNSPointer
from zeroconf._protocol.incoming import DNSIncoming
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncZeroconf

from admission.ids import GateId
from edge.front.peers.discovery import TYPE, Announced, Discovery, announced_at
from edge.front.peers.table import Address
from tests.edge.front.peers.node import until

LOOPBACK = ("127.0.0.1",)


async def test_gates_of_one_group_find_each_other_and_no_other_group() -> None:
    found: dict[int, list[tuple[Address, GateId]]] = {1: [], 2: [], 3: []}
    looks = [
        Discovery(
            Announced(group, GateId(gate), 7000 + gate),
            lambda address, who, gate=gate: found[gate].append((address, who)),  # type: ignore[misc]  # the loop's own
            LOOPBACK,
        )
        for gate, group in ((1, 7), (2, 7), (3, 8))
    ]
    tasks = [asyncio.create_task(one.run()) for one in looks]
    try:
        await until(lambda: found[1] and found[2], "both found each other")
        assert found[1][0] == (("127.0.0.1", 7002), GateId(2))
        assert found[2][0] == (("127.0.0.1", 7001), GateId(1))
        assert not found[3]
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def test_others_are_told_of_private_addresses_and_never_of_the_boxs_own_loopback() -> None:
    own = ("127.0.0.1", "::1", "10.77.0.3", "192.168.1.20", "9.9.9.9", "fe80::1")
    assert announced_at(own) == ["10.77.0.3", "192.168.1.20"]
    assert announced_at(own, LOOPBACK) == ["127.0.0.1"], "where it is asked for"
    assert announced_at(("127.0.0.1", "9.9.9.9")) == []


@pytest.mark.parametrize("interface", ["192.0.2.7"])
async def test_without_multicast_it_goes_on_trying_and_nothing_else_ends(interface: str) -> None:
    look = Discovery(Announced(7, GateId(1), 7001), lambda _at, _who: None, (interface,))
    task = asyncio.create_task(look.run())
    done, _ = await asyncio.wait([task], timeout=1.0)
    assert not done
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_name_that_is_none_is_nobody_and_no_defect_of_ours() -> None:
    """Whoever is on the network may announce any bytes: each would have left a trace in the journal."""
    found: list[tuple[str, int]] = []
    look = Discovery(Announced(7, GateId(1), 7001), lambda at, _who: found.append(at))
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    try:
        for label in ("\0", "x" * 64, ""):
            await look._resolve(zeroconf, f"{label}.{TYPE}")
    finally:
        await zeroconf.async_close()
    assert found == []


GROUP = ("224.0.0.251", 5353)
RESPONSE, POINTER, INTERNET = 0x8400, 12, 1
"""Flags of an answer; type and class of a pointer (RFC 1035, RFC 6762)."""


class Claimant(asyncio.DatagramProtocol):
    """Somebody without any key who says of each name that is asked for that he has it."""

    def __init__(self) -> None:
        self.claimed: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:  # noqa: ARG002 - asyncio's signature
        asked = DNSIncoming(data)
        told = [one for one in asked.answers() if isinstance(one, DNSPointer)]
        names = {one.alias for one in told if one.name == TYPE and one.alias.startswith("4711-")}
        if not asked.is_query() or not names:
            return
        self.claimed |= names
        out = DNSOutgoing(RESPONSE)
        for name in names:
            out.add_answer_at_time(DNSPointer(TYPE, POINTER, INTERNET, 4500, name), 0)
        for packet in out.packets():
            self._transport.sendto(packet, GROUP)


@asynccontextmanager
async def claimant() -> AsyncIterator[Claimant]:
    own = socket.inet_aton("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(("", GROUP[1]))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP[0]) + own)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        sock.setblocking(False)
        transport, made = await asyncio.get_running_loop().create_datagram_endpoint(Claimant, sock=sock)
        yield made
        transport.close()


async def test_who_says_that_he_has_our_name_ends_nothing() -> None:
    """It would have ended the talk with all neighbours, and whoever is on the network can say so."""
    look = Discovery(Announced(7, GateId(4711), 7001), lambda _at, _who: None, LOOPBACK)
    async with claimant() as other:
        task = asyncio.create_task(look.run())
        await until(lambda: other.claimed, "he says so")
        done, _ = await asyncio.wait([task], timeout=3.0)
        assert not done
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
