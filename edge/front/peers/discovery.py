"""Neighbours by multicast (mDNS, DNS-SD): where a gate of the group may be. A hint and no more: the channel proves who is.

Whoever names himself here is dialled, and shown out again if he is nobody; the table bounds how many and how often. Where
a venue's network carries no multicast, nothing is found this way, and nothing is missed: addresses come from the
configuration and from neighbours too.

The library costs some megabytes, so it is imported here alone and only where it is on.
"""

import asyncio
import ipaddress
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from admission.ids import GateId
from edge.front.peers.listen import is_near
from edge.front.peers.table import Address
from edge.front.tls import own_addresses

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncZeroconf

TYPE = "_gatehouse-gate._tcp.local."
RESOLVE_MS = 3000
AGAIN_S = 60.0
"""Pause after a failure: a network without multicast stays one."""
LOOK_S = 15.0
"""How often is looked whether this box has other addresses: the library goes by those that it began with."""
RESOLVING_MAX = 16
"""Names being asked about at once; more are somebody who makes them up, and come again by their own announcements."""

log = logging.getLogger("edge.front.peers.discovery")


@dataclass(frozen=True, slots=True)
class Announced:
    """What this gate says of itself: nothing that a visitor of the network could use."""

    group: int
    gate: GateId
    port: int


class Discovery:
    """Announces this gate and tells of others until cancelled. `found` is called with each address of one.

    `interfaces`: addresses of our own to do so on; all, without.
    """

    def __init__(
        self, own: Announced, found: Callable[[Address, GateId], None], interfaces: Sequence[str] = ()
    ) -> None:
        self._own = own
        self._found = found
        self._interfaces = list(interfaces)
        self._asking: set[asyncio.Task[None]] = set()
        self._name = ""
        """Under which we announce ourselves."""

    async def run(self) -> NoReturn:
        """Look until cancelled, anew whenever this box has other addresses."""
        while True:
            try:
                await self._look()
            except (OSError, RuntimeError) as error:
                log.info("no neighbours by multicast", extra={"why": type(error).__name__})
                await asyncio.sleep(AGAIN_S)

    async def _look(self) -> None:
        """Announce and listen until the box's addresses change. OSError where there is no multicast."""
        from zeroconf import IPVersion  # noqa: PLC0415 - megabytes that only this needs
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: PLC0415

        before = own_addresses()
        mine = announced_at(map(str, before), self._interfaces)
        if not mine:
            raise OSError("no address of a private network")
        zeroconf = AsyncZeroconf(interfaces=mine, ip_version=IPVersion.V4Only)
        browser = None
        try:
            is_announced = await self._announce(zeroconf, mine)
            browser = AsyncServiceBrowser(
                zeroconf.zeroconf, TYPE, handlers=[lambda **told: self._told(zeroconf, **told)]
            )
            while own_addresses() == before:
                await asyncio.sleep(LOOK_S)
                is_announced = is_announced or await self._announce(zeroconf, mine)
        finally:
            for task in self._asking:
                task.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)
            if browser is not None:
                await browser.async_cancel()
            await zeroconf.async_close()

    async def _announce(self, zeroconf: "AsyncZeroconf", mine: Sequence[str]) -> bool:
        """Announce this gate under a new name; False where somebody says that it is his: anybody may."""
        from zeroconf import NonUniqueNameException  # noqa: PLC0415 - it is loaded by now
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        self._name = f"{self._own.gate}-{secrets.token_hex(3)}.{TYPE}"
        info = AsyncServiceInfo(
            TYPE, self._name, port=self._own.port, properties={"g": str(self._own.group), "n": str(self._own.gate)},
            addresses=[ipaddress.ip_address(one).packed for one in mine], server=f"gatehouse-{secrets.token_hex(4)}.local.",
        )  # fmt: skip
        try:
            await zeroconf.async_register_service(info)
        except NonUniqueNameException:
            log.warning("somebody claims each name that this gate announces itself by")
            return False
        return True

    def _told(
        self,
        asked: "AsyncZeroconf",
        *,
        zeroconf: "Zeroconf",  # noqa: ARG002 - the library names its arguments
        service_type: str,  # noqa: ARG002
        name: str,
        state_change: "ServiceStateChange",
    ) -> None:
        if name == self._name or state_change.name == "Removed" or len(self._asking) >= RESOLVING_MAX:
            return
        task = asyncio.get_running_loop().create_task(self._resolve(asked, name))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _resolve(self, zeroconf: "AsyncZeroconf", name: str) -> None:
        from zeroconf import BadTypeInNameException  # noqa: PLC0415 - it is loaded by now

        try:
            info = await zeroconf.async_get_service_info(TYPE, name, RESOLVE_MS)
        except BadTypeInNameException:  # a stranger's bytes
            return
        if info is None or not info.port:
            return
        told = info.properties
        group, gate = _number(told.get(b"g")), _number(told.get(b"n"))
        if group != self._own.group or gate is None:
            return
        for address in info.parsed_addresses():
            if is_near(address):
                self._found((address, info.port), GateId(gate))


def announced_at(own: Iterable[str], interfaces: Sequence[str] = ()) -> list[str]:
    """Return where others may look for a box with these addresses: its private ones. At its loopback they would find themselves."""
    near = [one for one in own if ":" not in one and is_near(one)]
    if interfaces:
        return [one for one in near if one in interfaces]
    return [one for one in near if not ipaddress.ip_address(one).is_loopback]


def _number(text: bytes | None) -> int | None:
    """Read a number that a stranger wrote."""
    if text is None or not text.isdigit() or len(text) > 10:
        return None
    number = int(text)
    return number if number < 2**32 else None


__all__ = ["Announced", "Discovery", "announced_at"]
