"""Neighbours by multicast: found where there is any, a hint and no more."""

import asyncio
from contextlib import suppress

import pytest
from zeroconf import IPVersion
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
