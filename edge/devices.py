"""What `check`, `detect`, `off`, `commission`, `write-tag` and `osdp-key` are given, so that they name no concrete driver."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.base import Inputs, Reader
from edge.parts import Relay, RelayEvents
from edge.settings import InputSettings, OsdpReader, ReaderSettings, RelaySettings


@dataclass(frozen=True, slots=True)
class OsdpFound:
    """An OSDP reader that answered, and what it says of itself, unproved; "" for what it does not say."""

    address: int
    baud: int
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class OsdpBus:
    """What a search of a bus found. `twins`: addresses at which several answer at once; `why`: why there is no reader at all."""

    readers: tuple[OsdpFound, ...] = ()
    twins: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class ModbusFound:
    """A Modbus board that answered, and how many relays and inputs it has."""

    unit: int
    relays: int
    inputs: int


@dataclass(frozen=True, slots=True)
class ModbusBoards:
    """What a search of a bus found; `twins` and `why` as in `OsdpBus`."""

    baud: int = 0
    boards: tuple[ModbusFound, ...] = ()
    twins: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Devices:
    """How settings become devices that can be tried. `relay_off` switches a board's every line off, returns its name.

    `tag_writer`: a reader at this port that writes a tag: its UID, the NDEF message, whether it is locked then.
    `osdp_key`: gives an OSDP reader a key of its own, and returns its name.
    `osdp_search`: asks for the readers at a port, and tells the speed and the address at which it is.
    `modbus_search`: asks for the Modbus boards at a port, and tells the speed at which it is.
    `osdp_opens`: whether a reader proves the key in its key file; or (True) the one that every new reader has.
    `free_gpio`: the GPIO lines that nothing holds, by their chip's label. `gpio_level`: whether a line is high, as it stands.
    """

    reader: Callable[[ReaderSettings], Reader]
    inputs: Callable[[InputSettings], Inputs]
    relay_off: Callable[[RelaySettings], str]
    tag_writer: Callable[[str, bytes, bytes, bool], Reader]
    osdp_key: Callable[[OsdpReader], Coroutine[Any, Any, str]]
    osdp_search: Callable[[str, Callable[[int, int], None]], Coroutine[Any, Any, OsdpBus]]
    modbus_search: Callable[[str, Callable[[int], None]], Coroutine[Any, Any, ModbusBoards]]
    osdp_opens: Callable[[OsdpReader, bool], Coroutine[Any, Any, bool]]
    relay: Callable[[RelaySettings, RelayEvents], Relay]
    free_gpio: Callable[[], Mapping[str, tuple[int, ...]]]
    gpio_level: Callable[[str, int], bool]
