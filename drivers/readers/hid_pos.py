"""Scanners in HID-POS mode: binary safe, the symbology beside the code, no keyboard that somebody else could read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from drivers.base import Emit, Misconfigured, Opened, Signal
from drivers.framing.frame import Framed
from drivers.framing.hid_pos import HidPosFramer, is_scanner, layout_of
from drivers.readers.pump import Pump
from drivers.transport.evdev import Match
from drivers.transport.hidraw import HidDevice, open_hid_device

REPORT_BYTES_MAX = 64
"""An output report of a full-speed device."""


@dataclass(frozen=True, slots=True)
class HidPosConfig:
    """How a scanner is found, and the output reports that make it show a signal (Honeywell: FD 03 16 07 0D beeps).

    `path`, or any of `name`, `usb_id` (`0c2e:0db3`) and `port`: see `drivers.transport.evdev.Match`.
    """

    path: str = ""
    name: str = ""
    usb_id: str = ""
    port: str = ""
    aim: bool = True
    binary: bool = False
    feedback: Mapping[Signal, bytes] = field(default_factory=dict)


class HidPosReader:
    """A HID-POS scanner. Raises Misconfigured at once for settings that cannot be."""

    reports_removal = False

    def __init__(self, config: HidPosConfig) -> None:
        if any(len(report) > REPORT_BYTES_MAX for report in config.feedback.values()):
            raise Misconfigured("a report is too long", f"Set reports of at most {REPORT_BYTES_MAX} bytes.")
        self._config = config
        self._device: HidDevice | None = None

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        config = self._config
        match = Match(path=config.path, name=config.name, usb_id=config.usb_id, port=config.port)
        device = self._device = open_hid_device(match, is_scanner)
        try:
            framer = HidPosFramer(layout_of(device.descriptor), aim=config.aim, binary=config.binary)

            def take() -> list[Framed] | None:
                received = device.receive()
                return None if received is None else framer.feed(*received)

            pump: Pump[Framed] = Pump(device.fd, take, framer, emit)
            await pump.settle()
            emit(Opened(f"HID-POS scanner at {device.path}"))
            await pump.run()
        finally:
            self._device = None
            device.close()

    def feedback(self, signal: Signal) -> None:
        """Send the configured report of a signal, if the scanner is open."""
        report = self._config.feedback.get(signal, b"")
        if report and self._device is not None:
            self._device.send(report)
