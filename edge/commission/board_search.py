"""The hands of a commissioning at a Modbus: has the boards of a bus asked who they are, where somebody says that there is one."""

import asyncio
from dataclasses import dataclass, field

from drivers.base import DriverError
from edge.commission.findings import search_failed
from edge.commission.inventory import NodeKind, Plugged
from edge.commission.modbus import ModbusBus, inputs_of, relays_of, troubles_of
from edge.commission.shell import Shell


@dataclass(slots=True)
class BoardHands:
    """Works on the boards of a commissioning's session."""

    shell: Shell
    _searches: set["asyncio.Task[None]"] = field(default_factory=set)

    def search(self, device: Plugged) -> None:
        """Begin to search the bus behind an adapter; its troubles and its boards tell how it ended."""
        port = next(one.path for one in device.nodes if one.kind is NodeKind.SERIAL)
        bus = self.shell.session.modbus.setdefault(device.place, ModbusBus(port))
        if bus.asking is not None:
            return
        bus.asking = 0
        task = asyncio.ensure_future(self._search(device.place, port, bus))
        self._searches.add(task)
        task.add_done_callback(self._searches.discard)

    async def close(self) -> None:
        """End every search."""
        tasks = [*self._searches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _search(self, place: str, port: str, bus: ModbusBus) -> None:
        session = self.shell.session

        def tell(baud: int) -> None:
            bus.asking = baud

        try:
            async with self.shell.alone(place):
                found = await self.shell.devices.modbus_search(port, tell)
        except DriverError as error:
            bus.troubles = (search_failed(error, place),)
        else:
            bus.troubles = tuple(troubles_of(found, place, port))
            bus.relays, bus.inputs = relays_of(port, found), inputs_of(port, found)
            session.found_boards(place)
        finally:
            bus.asking = None
        await self.shell.look()
