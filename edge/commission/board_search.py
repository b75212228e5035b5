"""The hands of a commissioning at a Modbus: has the boards of a bus asked who they are, where somebody says that there is one."""

from dataclasses import dataclass

from drivers.base import DriverError
from edge.commission.findings import search_failed
from edge.commission.inventory import Plugged
from edge.commission.modbus import ModbusBus, inputs_of, relays_of, troubles_of
from edge.commission.searches import Searches, port_of
from edge.commission.shell import Shell


@dataclass(slots=True)
class BoardHands:
    """Works on the boards of a commissioning's session."""

    shell: Shell
    searches: Searches

    def search(self, device: Plugged) -> None:
        """Begin to search the bus behind an adapter; its troubles and its boards tell how it ended."""
        port = port_of(device)
        bus = self.shell.session.modbus.setdefault(device.place, ModbusBus(port))
        if bus.asking is not None:
            return
        bus.asking = 0
        self.searches.begin(device.place, self._search(device.place, port, bus))

    async def stop(self, place: str) -> None:
        """End a search that somebody does not want any more: what was known of the bus before holds, and its port is free."""
        if await self.searches.end(place):
            self.shell.session.search_ended(place)
        await self.shell.look()

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
