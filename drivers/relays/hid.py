"""HID relay boards (16c0:05df "USBRelay1" to "USBRelay8"), by hidraw: feature reports, each switch read back.

All of them carry the same USB ids and no USB serial number, and /dev/hidraw's numbers change with the order of plugging. So a
board is found by the socket it is plugged into (`usb_port`), or by the five characters that it says of itself (`name`), which
most batches have different. The relays latch; the board is powered by its plug. A board that hangs holds a report up for as
long as the kernel waits, at most 5 s: the lane sees its guard silent before that, and starts it anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured
from drivers.framing.hid_relay import REPORT_BYTES, State, all_off, state_of, switch
from drivers.relays.asked import AskedOutputs, Levels, Shape
from drivers.transport.hid_features import FeatureDevice, nodes

USB_ID: Final = "16c0:05df"
LINES: Final = (1, 2, 4, 8)
"""The boards that exist."""
TRIES: Final = 3
"""Times that a switch is sent until the board says that it is so."""
_ANOTHER: Final = "Put the boards back in their sockets, or correct `name`."


@dataclass(frozen=True, slots=True)
class HidBoard:
    """Which board, and its relays. `path` "": found by `usb_port` and `name`, either of which may be ""."""

    lines: int
    path: str = ""
    usb_port: str = ""
    name: str = ""
    usb: str = USB_ID


class _Node:
    """The hidraw node, as `drivers.relays.asked.Port`."""

    def __init__(self, board: HidBoard) -> None:
        self.answered = True
        self.device: FeatureDevice | None = None
        self._board = board

    def open(self) -> None:
        self.drop()
        board = self._board
        if board.path:
            self.device = FeatureDevice(board.path)
            return
        found = nodes(board.usb, board.usb_port)
        if not found:
            where = f" at {board.usb_port}" if board.usb_port else ""
            raise DeviceGone(f"no HID relay {board.usb}{where}", "Plug the board in, or correct usb_port.")
        if len(found) > 1 and not board.name:
            raise Misconfigured(
                f"{len(found)} HID relays {board.usb}: {', '.join(found)}",
                "Say which by usb_port, the socket it is plugged into, or by its name.",
            )
        self.device = self._named(found) if board.name else FeatureDevice(found[0])

    def fileno(self) -> int:
        return -1 if self.device is None else self.device.fd

    def drop(self) -> None:
        if self.device is not None:
            self.device.close()
            self.device = None

    def _named(self, found: list[str]) -> FeatureDevice:
        """The one that says the name; others are only asked."""
        for path in found:
            try:
                device = FeatureDevice(path)
            except DeviceGone:
                continue  # another guard's own
            try:
                state = state_of(device.get(REPORT_BYTES))
            except DriverError:
                state = None
            if state is not None and state.name == self._board.name:
                return device
            device.close()
        raise DeviceGone(f"no HID relay calls itself {self._board.name}", _ANOTHER)


class HidOutputs(AskedOutputs):
    """A HID relay board (Outputs, Sensing)."""

    def __init__(self, board: HidBoard) -> None:
        if board.lines not in LINES:
            raise Misconfigured(
                f"a HID relay board has 1, 2, 4 or 8 relays, not {board.lines}",
                "Count the relays on the board.",
            )
        self._board = board
        self._node = _Node(board)
        super().__init__(self._node, Shape(board.lines))

    @property
    def name(self) -> str:
        """Size, and what it is found by."""
        return f"USBRelay{self.lines} {self._board.name or self._board.usb_port or self._board.path}".strip()

    def greet(self) -> None:
        """It must be the board that is named, where one is."""
        state = self._state()
        if self._board.name and state.name != self._board.name:
            raise DeviceGone(f"the board at {self._board.path} calls itself {state.name}", _ANOTHER)

    def switch(self, line: int, *, on: bool) -> None:
        """Switch, and read back."""
        for _ in range(TRIES):
            self._device().set(switch(line, on=on))
            if bool(self._state().levels >> line & 1) is on:
                return
        raise DeviceMisbehaved(
            f"relay {line} of {self.name} does not switch",
            "Unplug the board for five seconds, plug it in again.",
        )

    def all_off(self) -> None:
        """Switch every relay off by one report, and read back; one by one where that does not do it."""
        self._device().set(all_off())
        if self._state().levels:
            super().all_off()
        self.wanted.clear()

    def relays(self) -> Levels | None:
        """Read every relay."""
        levels = self._state().levels
        return tuple(bool(levels >> line & 1) for line in range(self.lines))

    def _state(self) -> State:
        state = state_of(self._device().get(REPORT_BYTES))
        if state is None:
            raise DeviceMisbehaved(
                f"{self.name} says what is no state",
                "Compare the board with what lsusb shows; it may be another.",
            )
        return state

    def _device(self) -> FeatureDevice:
        if self._node.device is None:
            raise DeviceGone(f"{self.name} is not open", "Open the device first.")
        return self._node.device


def from_options(options: Mapping[str, object]) -> HidOutputs:
    """The board named by the guard's settings: the fields of `HidBoard`."""
    lines = options.get("lines")
    texts = {key: options[key] for key in ("path", "usb_port", "name", "usb") if key in options}
    if not isinstance(lines, int) or not all(isinstance(one, str) for one in texts.values()):
        raise Misconfigured("a HID relay board needs `lines`", "Set it in the output's table.")
    return HidOutputs(HidBoard(lines, **texts))  # type: ignore[arg-type]
