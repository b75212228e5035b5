"""What `check`, `off`, `commission`, `write-tag` and `osdp-key` are given, so that they name no concrete driver."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.base import Inputs, Reader
from edge.parts import Relay, RelayEvents
from edge.settings import InputSettings, OsdpReader, ReaderSettings, RelaySettings


@dataclass(frozen=True, slots=True)
class Devices:
    """How settings become devices that can be tried. `relay_off` switches a board's every line off, returns its name.

    `tag_writer`: a reader at this port that writes a tag: its UID, the NDEF message, whether it is locked then.
    `osdp_key`: gives an OSDP reader a key of its own, and returns its name.
    `free_gpio`: the GPIO lines that nothing holds, by their chip's label. `gpio_level`: whether a line is high, as it stands.
    """

    reader: Callable[[ReaderSettings], Reader]
    inputs: Callable[[InputSettings], Inputs]
    relay_off: Callable[[RelaySettings], str]
    tag_writer: Callable[[str, bytes, bytes, bool], Reader]
    osdp_key: Callable[[OsdpReader], Coroutine[Any, Any, str]]
    relay: Callable[[RelaySettings, RelayEvents], Relay]
    free_gpio: Callable[[], Mapping[str, tuple[int, ...]]]
    gpio_level: Callable[[str, int], bool]
