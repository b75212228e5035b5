"""What the commissioning page does at an OSDP bus, when a technician presses it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import msgspec
from aiohttp import web

from edge.commission.buses import OSDP_KEY, KeyState, place_of
from edge.commission.osdp import BusHands, KeyFailed, may_be_bus
from edge.front.asked import Asked, Refused, body


class BusBody(Asked, frozen=True):
    """POST osdp-search, osdp-stop: the adapter; osdp-key: a reader that was found there."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class OsdpOrders:
    """The orders of a page with these hands."""

    def __init__(self, hands: BusHands) -> None:
        self._hands = hands

    def all(self) -> Mapping[str, Callable[[web.Request], Awaitable[None]]]:
        """Return them by their names."""
        return {"osdp-search": self._search, "osdp-stop": self._stop, "osdp-key": self._key}

    async def _search(self, request: web.Request) -> None:
        """Somebody says that OSDP readers hang on an adapter: only then is anything sent to it."""
        key = (await body(request, BusBody)).key
        shell = self._hands.shell
        device = next((one for one in shell.found.plugged if one.place == key), None)
        if shell.session.is_asked(key):
            raise Refused("commission.is_asked")
        is_other = key in {*shell.session.boards, *shell.session.inputs} or shell.session.is_modbus(key)
        if device is None or is_other or not may_be_bus(device):
            raise Refused("osdp.no_bus")
        if any(one.key == key for one in shell.session.readers):
            raise Refused("commission.is_reader")
        self._hands.search(device)

    async def _stop(self, request: web.Request) -> None:
        await self._hands.stop((await body(request, BusBody)).key)

    async def _key(self, request: web.Request) -> None:
        key = (await body(request, BusBody)).key
        bus = self._hands.shell.session.buses.get(place_of(key))
        one = bus.readers.get(key) if bus is not None and key.startswith(OSDP_KEY) else None
        if bus is None or one is None or one.state is KeyState.OURS or bus.asking is not None:
            raise Refused("osdp.no_reader")
        try:
            await self._hands.give_key(key)
        except KeyFailed as failed:
            raise Refused(failed.code, {"what": str(failed), "hint": failed.hint}) from None
