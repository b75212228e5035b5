"""What the commissioning page does at a Modbus, when a technician presses it."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from edge.commission.board_search import BoardHands
from edge.commission.modbus_view import search_of
from edge.commission.osdp_orders import BusBody
from edge.front.asked import Refused, body


class TimerBody(BusBody, frozen=True):
    """POST modbus-timer: whether a board ends pulses by itself."""

    has_timer: bool


class ModbusOrders:
    """The orders of a page with these hands."""

    def __init__(self, hands: BoardHands) -> None:
        self._hands = hands

    def all(self) -> Mapping[str, Callable[[web.Request], Awaitable[None]]]:
        """Return them by their names."""
        return {"modbus-search": self._search, "modbus-stop": self._stop, "modbus-timer": self._timer}

    async def _search(self, request: web.Request) -> None:
        """Somebody says that Modbus boards hang on an adapter: only then are they asked."""
        key = (await body(request, BusBody)).key
        shell = self._hands.shell
        device = next((one for one in shell.found.plugged if one.place == key), None)
        if device is None or search_of(device, shell.session) in {"", "asking"}:
            raise Refused("modbus.no_bus")
        self._hands.search(device)

    async def _stop(self, request: web.Request) -> None:
        await self._hands.stop((await body(request, BusBody)).key)

    async def _timer(self, request: web.Request) -> None:
        said = await body(request, TimerBody)
        self._hands.shell.session.set_timer(said.key, has_timer=said.has_timer)
