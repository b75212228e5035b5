"""Readers that pretend to be a keyboard: scanners in HID keyboard mode, tag readers that type a UID."""

from dataclasses import dataclass
from typing import NoReturn

from drivers.base import Emit, Medium, Misconfigured, Opened, Signal
from drivers.framing.endings import Endings
from drivers.framing.frame import Complete, Framed
from drivers.framing.keyboard import KeyboardFramer
from drivers.framing.layouts import LAYOUTS, Layout
from drivers.framing.uid import ByteOrder, UidForm, as_uid
from drivers.readers.pump import Pump, gap_ns
from drivers.transport.evdev import EventDevice, Match, open_event_device


@dataclass(frozen=True, slots=True)
class WedgeConfig:
    """How a keyboard-wedge reader is found and what it types.

    `path`, or any of `name`, `usb_id` (`05e0:1200`) and `port`: see `drivers.transport.evdev.Match`.
    `layout`: the country set at the scanner. `gap_ms`: quiet time that ends a code without a terminator; above the
    scanner's keystroke delay. `uid_order`: for readers that type UIDs. `grab=False`: only for simulators.
    """

    path: str = ""
    name: str = ""
    usb_id: str = ""
    port: str = ""
    layout: str = "us"
    gap_ms: int = 80
    aim: bool = True
    medium: Medium = Medium.BARCODE
    uid_order: ByteOrder = ByteOrder.UID0_FIRST
    uid_form: UidForm = UidForm.HEX
    grab: bool = True


class WedgeReader:
    """A keyboard-wedge scanner or tag reader. Raises Misconfigured at once for settings that cannot be."""

    reports_removal = False

    def __init__(self, config: WedgeConfig, complete: Complete | None = None) -> None:
        self._gap_ns = gap_ns(config.gap_ms)
        layout = LAYOUTS.get(config.layout)
        if layout is None:
            raise Misconfigured(
                f"no keyboard layout {config.layout!r}", f"Set layout to one of: {', '.join(LAYOUTS)}."
            )
        self._layout: Layout = layout
        self._config = config
        self._complete = complete
        self._endings = Endings(self._gap_ns)

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        config = self._config
        match = Match(path=config.path, name=config.name, usb_id=config.usb_id, port=config.port)
        device = open_event_device(match, grab=config.grab)
        try:
            pump = self._pump(device, emit)
            await pump.settle()
            emit(Opened(f"{device.identity}, layout {self._layout.name}"))
            await pump.run()
        finally:
            device.close()

    def _pump(self, device: EventDevice, emit: Emit) -> Pump[Framed]:
        config = self._config
        framer = KeyboardFramer(
            layout=self._layout,
            gap_ns=self._gap_ns,
            caps_lock=device.caps_lock,
            aim=config.aim,
            complete=self._complete,
            endings=self._endings,
        )

        def take() -> list[Framed] | None:
            received = device.receive()
            return None if received is None else framer.feed(*received)

        def pass_on(framed: Framed) -> None:
            emit(as_uid(framed, config.uid_order, config.uid_form) if config.medium is Medium.UID else framed)

        return Pump(device.fd, take, framer, pass_on)

    def feedback(self, signal: Signal) -> None:
        """Do nothing: a keyboard has no light for verdicts."""
