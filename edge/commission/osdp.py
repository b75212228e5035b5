"""The hands of a commissioning at an OSDP bus: searches it where somebody says so, and gives a reader a key of its own.

Both have the port for themselves meanwhile. A key is made by the same code as `gatehouse-edge osdp-key`, lies in the data folder before
the reader has it, and is in no answer and no log.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from drivers.base import DeviceGone, DriverError, Misconfigured
from edge.commission.buses import (
    READERS_MAX,
    Bus,
    BusReader,
    KeyState,
    key_file,
    key_of,
    keys_to_try,
    place_of,
    setting,
    troubles_of,
)
from edge.commission.findings import Grade, Trouble, search_failed
from edge.commission.inventory import NodeKind, Plugged
from edge.commission.known import Role, known
from edge.commission.searches import Searches, port_of
from edge.commission.session import Commissioning
from edge.commission.shell import Shell
from edge.devices import OsdpBus, OsdpFound
from edge.settings import OsdpReader

MAY_BE_BUS: Final = frozenset({Role.ADAPTER, Role.UNKNOWN})
_TROUBLE_OF: Final = {KeyState.NEW: (Grade.WARN, "osdp.new"), KeyState.OTHER: (Grade.BAD, "osdp.other")}
log = logging.getLogger("edge.commission")


class KeyFailed(Exception):
    """A reader was given no key. `code`: the sentence that says why; `hint` is the driver's."""

    def __init__(self, error: DriverError) -> None:
        super().__init__(str(error))
        self.code = _code_of(error)
        self.hint = error.hint


def may_be_bus(device: Plugged) -> bool:
    """Whether a bus may be behind a device: a serial port of which nothing says that it is something else."""
    return known(device).role in MAY_BE_BUS and any(one.kind is NodeKind.SERIAL for one in device.nodes)


@dataclass(slots=True)
class BusHands:
    """Works on the buses of a commissioning's session. `data`: where keys are kept."""

    shell: Shell
    data: Path
    searches: Searches

    def search(self, device: Plugged) -> None:
        """Begin to search the bus behind an adapter; its troubles and its readers tell how it ended."""
        place = device.place
        port = port_of(device)
        bus = self.shell.session.buses.setdefault(place, Bus(port))
        if bus.asking is not None:
            return
        bus.asking = 0
        self.searches.begin(place, self._search(place, port, bus))

    async def stop(self, place: str) -> None:
        """End a search that somebody does not want any more: what was known of the bus before holds, and its port is free."""
        if await self.searches.end(place):
            self.shell.session.search_ended(place)
        await self.shell.look()

    async def give_key(self, key: str) -> None:
        """Give a reader a key of its own, and listen to it then. KeyFailed with what to do; its bus goes on as it was."""
        session = self.shell.session
        bus = session.buses[place_of(key)]
        one = bus.readers[key]
        bus.is_keyed = True
        try:
            async with self._alone(place_of(key), bus):
                await self.shell.devices.osdp_key(one.reader)
        except DriverError as error:
            raise KeyFailed(error) from None
        finally:
            bus.is_keyed = False
        keyed = replace(bus.readers.get(key, one), state=KeyState.OURS, trouble=None)
        session.found_on_bus(place_of(key), {**bus.readers, key: keyed})
        log.warning("an OSDP reader was given a key", extra={"code": "commission.keyed"})
        await self.shell.look()

    async def _search(self, place: str, port: str, bus: Bus) -> None:
        session = self.shell.session

        def tell(baud: int, _address: int) -> None:
            bus.asking = baud

        async with self._alone(place, bus):
            try:
                found = await self.shell.devices.osdp_search(port, tell)
                readers = {
                    key_of(place, one.address): await self._reader(session, place, port, one)
                    for one in found.readers[:READERS_MAX]
                }
            except DriverError as error:
                bus.troubles = (search_failed(error, place),)
            else:
                bus.troubles = (*troubles_of(found, place, port), *_too_many(found, place))
                session.found_on_bus(place, readers)
        await self.shell.look()

    async def _reader(self, session: Commissioning, place: str, port: str, found: OsdpFound) -> BusReader:
        """Find out which key a reader has, by having it prove one after the other."""
        before = session.buses[place].readers.get(key_of(place, found.address))
        own, others = keys_to_try(found, self.data)
        fresh = setting(port, found, key_file(found, self.data))
        try:
            known_key = await self._first(port, found, [Path(before.reader.key_file)] if before else [], own)
            is_new = known_key is None and await self.shell.devices.osdp_opens(fresh, True)
            if known_key is None and not is_new:  # none was made for it: it may have had another address
                known_key = await self._first(port, found, others)
                begun = Path(f"{fresh.key_file}.new")
                is_new = known_key is None and await self._first(port, found, [begun]) is not None
        except DriverError as error:
            code = "osdp.key_silent" if isinstance(error, DeviceGone) else "osdp.not_read"
            trouble = Trouble(Grade.BAD, code, key_of(place, found.address), (("what", str(error)),))
            return BusReader(found, fresh, KeyState.UNKNOWN, trouble)
        if known_key is not None:
            return BusReader(found, known_key, KeyState.OURS)
        state = KeyState.NEW if is_new else KeyState.OTHER
        grade, code = _TROUBLE_OF[state]
        return BusReader(found, fresh, state, Trouble(grade, code, key_of(place, found.address)))

    async def _first(self, port: str, found: OsdpFound, *files: list[Path]) -> OsdpReader | None:
        """Return how a reader opens with the first of these keys that it proves; None where it proves none."""
        for file in dict.fromkeys(one for some in files for one in some):
            made = setting(port, found, file)
            # A file that holds no key opens nothing.
            with contextlib.suppress(Misconfigured):
                if await self.shell.devices.osdp_opens(made, False):
                    return made
        return None

    @asynccontextmanager
    async def _alone(self, place: str, bus: Bus) -> AsyncIterator[None]:
        bus.asking = 0
        try:
            async with self.shell.alone(place, *bus.readers):
                yield
        finally:
            bus.asking = None


def _too_many(found: OsdpBus, place: str) -> Iterator[Trouble]:
    if left := found.readers[READERS_MAX:]:
        what = ", ".join(str(one.address) for one in left)
        yield Trouble(Grade.WARN, "osdp.many", place, (("what", what),))


def _code_of(error: DriverError) -> str:
    match error:
        case DeviceGone():
            return "osdp.key_silent"
        case Misconfigured():
            return "osdp.key_not_kept"
        case _:
            return "osdp.key_refused"
