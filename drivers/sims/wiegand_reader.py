"""A Wiegand reader, the device's side: pulses on two lines of a simulated GPIO chip, as cards are held to it.

What is sent is made from facility and card number by counting ones in a text, not by the driver's own arithmetic.
Pulses carry times of their own: nobody has to wait between them, and two frames are as far apart as they say.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers.sims.gpio_chip import SimChip

D0, D1 = 0, 1
LINES: Final = 4
BIT_NS: Final = 1_000_000
PAUSE_NS: Final = 60_000_000
"""From frame to frame: more than any gap of a host."""
FACILITY_BITS: Final = {26: 8, 34: 16, 37: 16}


def frame(facility: int, card: int, size: int = 26) -> str:
    """The bits that a reader sends for a card, as text."""
    of_facility = FACILITY_BITS[size]
    return framed(f"{facility:0{of_facility}b}{card:0{size - 2 - of_facility}b}")


def framed(data: str) -> str:
    """Data bits between their parity bits: with the first one the first half is even, with the last one the last is odd."""
    half = (len(data) + 1) // 2
    return f"{data[:half].count('1') % 2}{data}{1 - data[-half:].count('1') % 2}"


@dataclass(slots=True)
class WiegandPort:
    """The chip that the wires are on; `link` is its folder, whose name is its label. `slow_s` has no meaning here.

    `sent_ns`: when the last pulse began.
    """

    link: Path
    slow_s: float = 0.0
    sent_ns: int = 0
    chip: SimChip | None = None
    _gone: SimChip | None = None

    def plug(self) -> None:
        """The chip is there, both lines high, as an idle reader leaves them."""
        if self._gone is not None:
            self._gone.close()
            self._gone = None
        self.chip = SimChip(str(self.link.parent), self.link.name, LINES, pulled_high=(D0, D1))

    def unplug(self) -> None:
        """The chip goes: an expander's cable is pulled."""
        if self.chip is not None:
            self.chip.unplug()
            self._gone, self.chip = self.chip, None


class WiegandSim:
    """A reader on D0 and D1. `bit_ns`: from pulse to pulse."""

    def __init__(self, link: Path) -> None:
        self.port = WiegandPort(link)
        self.bit_ns = BIT_NS
        self._last_ns = 0

    def send(self, *frames: str, chunk: int | None = None, since_ns: int | None = None) -> None:
        """Send frames of bits. `chunk`: pulses told at once; `since_ns`: they began then, and nobody looked."""
        at_ns = max(self._last_ns + PAUSE_NS, time.monotonic_ns() if since_ns is None else since_ns)
        for bits in frames:
            beats = [
                (D1 if bit == "1" else D0, at_ns + number * self.bit_ns) for number, bit in enumerate(bits)
            ]
            for at in range(0, len(beats), chunk or len(beats)):
                self.pulses(beats[at : at + (chunk or len(beats))])
            at_ns += len(bits) * self.bit_ns + PAUSE_NS
        self._last_ns = at_ns - PAUSE_NS

    def glitch(self) -> None:
        """Ringing on the cable: two pulses that no reader makes."""
        at_ns = max(self._last_ns + PAUSE_NS, time.monotonic_ns())
        self.pulses([(D0, at_ns), (D1, at_ns + 10_000)])
        self._last_ns = at_ns + 10_000

    def pulses(self, beats: Sequence[tuple[int, int]]) -> None:
        """Pulse lines at given times, if the chip is there."""
        if self.port.chip is not None:
            self.port.sent_ns = beats[-1][1]
            self.port.chip.pulse(beats)
