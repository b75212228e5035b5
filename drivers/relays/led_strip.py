"""An LED strip as an output of the relay guard: each line is one picture, a colour on pixels of its own.

A strip keeps its last picture when whoever sent it is gone, as a relay keeps its level: so the guard drives it, and ends each
picture by its own clock. Nothing answers here. What is shown is sent again each second, which mends what noise or a controller
that was still starting has lost, keeps controllers awake that go dark by themselves, and finds out that one was pulled.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

from drivers.base import DeviceGone, DriverError, Misconfigured
from drivers.framing.led_strip import CHANNELS, ORDERS, SPI_HZ, adalight, spi
from drivers.transport.spidev import SpiLine
from drivers.transport.tty import BAUDS, Tty

PIXELS_MIN: Final = 5
"""Fewer have no room for five shapes."""
PIXELS_MAX: Final = 300
"""At 115200 baud so many take 80 ms of the guard's time, and on SPI fit into the 4096 bytes that spidev takes at once."""
BRIGHTNESS_MAX: Final = 255
AGAIN_MS: Final = 1000
WRITE_S: Final = 0.5

Colour = tuple[int, int, int]
Picture = tuple[Colour, Callable[[int, int], bool]]


def _third(at: int, of: int) -> int:
    return at * 3 // of


PICTURES: Final[tuple[Picture, ...]] = (
    ((0, 255, 90), lambda _at, _of: True),
    ((255, 130, 0), lambda at, of: _third(at, of) != 1),
    ((255, 0, 0), lambda at, of: at * 10 // of % 2 == 0 if of >= 10 else at % 2 == 0),
    ((0, 50, 255), lambda at, of: _third(at, of) == 1),
    ((140, 140, 140), lambda at, of: at < -(-of // 10) or at >= of - -(-of // 10)),
)
"""Line by line: green on all, amber on both outer thirds, red on every other tenth, blue on the middle third, white on both ends.
Told apart by which pixels are lit, also by who sees no red, no green or no blue."""


def drawn(picture: int, pixels: int, brightness: int) -> bytes:
    """Return the pixels of a picture, red, green, blue; `brightness` of 255."""
    colour, is_lit = PICTURES[picture]
    lit = bytes(part * brightness // BRIGHTNESS_MAX for part in colour)
    return b"".join(lit if is_lit(at, pixels) else bytes(CHANNELS) for at in range(pixels))


class StripOutputs(ABC):
    """A strip (Outputs, Sensing). The picture that was switched on last is shown; switched off, it is dark."""

    own_timer = False
    lines = len(PICTURES)
    inputs = 0
    debounce_ms = 0
    look_ms = AGAIN_MS

    def __init__(self, path: str, pixels: int, brightness: int) -> None:
        if not PIXELS_MIN <= pixels <= PIXELS_MAX or not 1 <= brightness <= BRIGHTNESS_MAX:
            raise Misconfigured(
                f"no strip of {pixels} pixels at brightness {brightness}",
                f"{PIXELS_MIN} to {PIXELS_MAX} pixels, brightness 1 to {BRIGHTNESS_MAX}.",
            )
        self.path = path
        self.pixels = pixels
        self._brightness = brightness
        self._shown: int | None = None

    def open(self) -> str:
        """Open it and make it dark; raises DriverError."""
        self.close()
        self.take()
        try:
            self.all_off()
        except DriverError:
            self.drop()
            raise
        return f"{self.name}, {self.pixels} pixels, at {self.path}"

    def set(self, line: int, on: bool) -> None:
        """Show a picture, or end it where it is the one that is shown."""
        if not 0 <= line < self.lines:
            raise Misconfigured(f"picture {line} of {self.lines}", "Pictures count from 0.")
        if on or self._shown == line:
            self._show(line if on else None)

    def pulse(self, line: int, duration_ms: int) -> None:
        """Not on a strip: it has no timer."""
        raise Misconfigured(
            f"a strip has no timer (picture {line}, {duration_ms} ms)", "Use the relay guard's own deadline."
        )

    def all_off(self) -> None:
        """Make it dark."""
        self._show(None)

    def look(self) -> tuple[bool, ...]:
        """Send again what is shown. A strip has no contacts."""
        self._show(self._shown)
        return ()

    def close(self) -> None:
        """Make it dark where it is still there, then give it back. Never raises."""
        if self.is_open:
            try:
                self.all_off()
            except DriverError:
                pass  # It is gone; whoever opens it next starts dark.
            finally:
                self.drop()

    def _show(self, picture: int | None) -> None:
        if not self.is_open:
            raise DeviceGone(f"{self.path} is not open", "Open the device first.")
        self._shown = picture
        dark = bytes(CHANNELS * self.pixels)
        self.send(dark if picture is None else drawn(picture, self.pixels, self._brightness))

    @property
    @abstractmethod
    def name(self) -> str:
        """What kind of strip."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether pixels can be sent."""

    @abstractmethod
    def take(self) -> None:
        """Open what it is wired to; raises DriverError."""

    @abstractmethod
    def send(self, pixels: bytes) -> None:
        """Send red, green, blue of each pixel; returns once they have left the host. Raises DriverError."""

    @abstractmethod
    def drop(self) -> None:
        """Give it back. Never raises."""


class AdalightOutputs(StripOutputs):
    """A controller on a serial port that speaks Adalight."""

    name = "Adalight strip"

    def __init__(self, path: str, pixels: int, brightness: int, baud: int) -> None:
        super().__init__(path, pixels, brightness)
        if baud not in BAUDS:
            raise Misconfigured(f"{baud} baud is not supported", f"Use one of {', '.join(map(str, BAUDS))}.")
        self._baud = baud
        self._tty: Tty | None = None

    @property
    def is_open(self) -> bool:
        """See StripOutputs."""
        return self._tty is not None

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being written; -1 when closed."""
        return -1 if self._tty is None else self._tty.fd

    def take(self) -> None:
        """See StripOutputs."""
        self._tty = Tty(self.path, self._baud)
        self._tty.flush_output()

    def send(self, pixels: bytes) -> None:
        """See StripOutputs."""
        if self._tty is not None:
            self._tty.flush_input()  # controllers say "Ada" while they wait; nobody asked
            self._tty.write(adalight(pixels), WRITE_S)

    def drop(self) -> None:
        """See StripOutputs."""
        if self._tty is not None:
            self._tty.close()
            self._tty = None


class SpiStripOutputs(StripOutputs):
    """WS2812, SK6812 and their like, their data line on an SPI line of the box."""

    name = "WS2812 strip"

    def __init__(self, path: str, pixels: int, brightness: int, order: str) -> None:
        super().__init__(path, pixels, brightness)
        if order not in ORDERS:
            raise Misconfigured(
                f"no strip takes its colours as {order!r:.10}", f"One of {', '.join(ORDERS)}."
            )
        self._order = order
        self._line: SpiLine | None = None

    @property
    def is_open(self) -> bool:
        """See StripOutputs."""
        return self._line is not None

    def take(self) -> None:
        """See StripOutputs."""
        self._line = SpiLine(self.path, SPI_HZ)

    def send(self, pixels: bytes) -> None:
        """See StripOutputs."""
        if self._line is not None:
            self._line.write(spi(pixels, self._order))

    def drop(self) -> None:
        """See StripOutputs."""
        if self._line is not None:
            self._line.close()
            self._line = None


def adalight_from_options(options: Mapping[str, object]) -> AdalightOutputs:
    """The strip named by the guard's settings: `path`, `pixels`, `brightness`, `baud`."""
    path, pixels, brightness, baud = (options.get(key) for key in ("path", "pixels", "brightness", "baud"))
    if not (
        isinstance(path, str)
        and isinstance(pixels, int)
        and isinstance(brightness, int)
        and isinstance(baud, int)
    ):
        raise Misconfigured(
            "a strip needs `path`, `pixels`, `brightness` and `baud`", "Set them in its table."
        )
    return AdalightOutputs(path, pixels, brightness, baud)


def spi_from_options(options: Mapping[str, object]) -> SpiStripOutputs:
    """The strip named by the guard's settings: `path`, `pixels`, `brightness`, `order`."""
    path, pixels, brightness, order = (options.get(key) for key in ("path", "pixels", "brightness", "order"))
    if not (
        isinstance(path, str)
        and isinstance(pixels, int)
        and isinstance(brightness, int)
        and isinstance(order, str)
    ):
        raise Misconfigured(
            "a strip needs `path`, `pixels`, `brightness` and `order`", "Set them in its table."
        )
    return SpiStripOutputs(path, pixels, brightness, order)
