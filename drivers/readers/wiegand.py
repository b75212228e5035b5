"""Wiegand readers on two GPIO lines, by libgpiod 2: the kernel stamps each pulse, however late we look.

The bare lines tell nothing of a reader that is not there: with pull-ups, no reader and no card look alike. What can be told is
a line that stays low, which no idle reader does: a reader without power, a cable that is cut short, D0 or D1 on another pin.
Feedback has no way back on these wires; a reader's LED and buzzer inputs go to relay lines of the lane (`green_line`, …).
"""

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from drivers.base import DeviceGone, Emit, Garbled, Misconfigured, Opened, Scan, Signal
from drivers.framing.wiegand import UID_BITS, Carries, Pulse, WiegandForm, WiegandFramer
from drivers.readers.pump import Pump
from drivers.transport.gpiochip import Bias, Chips, InputLine, Lines, Watched, line_error, request_lines

GAP_MS_MIN: Final = 21
"""Bits come up to 20 ms apart: a shorter gap would end frames within."""
GAP_MS_MAX: Final = 200
LOOK_NS: Final = 400_000_000
"""From one look at the levels to the next while nothing comes. A line that is low twice is told within a second."""


@dataclass(frozen=True, slots=True)
class WiegandConfig:
    """Where D0 and D1 are: the chip's label and two of its lines. `gap_ms`: silence that ends a frame.

    `bias`: pull-ups of the box; `AS_IS` behind a level shifter that has its own. Wiegand has 5 V, the header takes 3.3 V.
    """

    chip: str
    d0: int
    d1: int
    form: WiegandForm
    gap_ms: int = 30
    bias: Bias = Bias.PULL_UP


class WiegandReader:
    """A Wiegand reader. Raises Misconfigured at once for settings that cannot be."""

    reports_removal = False

    def __init__(self, config: WiegandConfig, chips: Chips) -> None:
        if config.d0 == config.d1:
            raise Misconfigured("D0 and D1 are one line", "Give each its own line of the chip.")
        if not GAP_MS_MIN <= config.gap_ms <= GAP_MS_MAX:
            allowed = f"Set gap_ms between {GAP_MS_MIN} and {GAP_MS_MAX}."
            raise Misconfigured(f"gap_ms is {config.gap_ms}", allowed)
        if config.form.carries is Carries.UID and config.form.bits.value != UID_BITS:
            raise Misconfigured(
                f"{config.form.bits.value} bits hold no UID", f"A UID of 4 bytes comes in {UID_BITS} bits."
            )
        self._config = config
        self._chips = chips

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        config = self._config
        lines = [
            InputLine(offset, active_low=True, bias=config.bias, debounce_ms=0, watched=Watched.ACTIVE)
            for offset in (config.d0, config.d1)
        ]
        held = request_lines(self._chips, config.chip, lines)
        try:
            wires = _Wires(held, config)
            wires.look(time.monotonic_ns(), at_once=True)
            pump: Pump[Scan | Garbled] = Pump(held.fd, wires.take, wires, emit, exact=wires.is_within)
            await pump.settle()
            emit(Opened(f"Wiegand {config.form.bits.value} on {config.chip} {config.d0} and {config.d1}"))
            pump.arm()
            await pump.run()
            raise AssertionError("a pump ends by an error")
        finally:
            held.release()

    def feedback(self, signal: Signal) -> None:
        """Nothing: these wires go one way."""


class _Wires:
    """The two lines while they are ours: what waits on them, and how they stand (Framer)."""

    def __init__(self, held: Lines, config: WiegandConfig) -> None:
        self._held = held
        self._config = config
        self._framer = WiegandFramer(config.form, gap_ns=config.gap_ms * 1_000_000)
        self._poll = select.poll()
        self._poll.register(held.fd, select.POLLIN)
        self._seqno = 0
        self._look_ns = 0
        self._low: frozenset[int] = frozenset()

    def is_within(self) -> bool:
        """Whether a frame waits for its end, and a visitor with it."""
        return self._framer.deadline_ns is not None

    @property
    def deadline_ns(self) -> int:
        """When `quiet` is due if nothing more comes."""
        frame_ns = self._framer.deadline_ns
        return self._look_ns if frame_ns is None else frame_ns

    def take(self) -> list[Scan | Garbled] | None:
        """Read what waits; None where nothing does, since a read would wait for it."""
        try:
            if not self._poll.poll(0):
                return None
            edges = self._held.read_edges()
        except OSError as error:
            raise line_error(self._config.chip, error) from error
        out: list[Scan | Garbled] = []
        # The kernel counts edges where it stamps them, and hands them on from a thread for each line, which may swap two.
        for edge in sorted(edges, key=lambda one: one.seqno):
            if edge.seqno != self._seqno + 1:
                self._framer.lose(edge.at_ns)  # a frame before the hole and one after it are one, and none
            self._seqno = edge.seqno
            out += self._framer.feed([Pulse(int(edge.offset == self._config.d1), edge.at_ns)])
        return out

    def quiet(self, now_ns: int) -> Sequence[Scan | Garbled]:
        """End a frame, or look at the levels."""
        out = self._framer.quiet(now_ns)
        if now_ns >= self._look_ns:
            self.look(now_ns)
        return out

    def look(self, now_ns: int, *, at_once: bool = False) -> None:
        """Raise DeviceGone where a line stays low. One look may fall into a pulse, two in a row do not."""
        self._look_ns = now_ns + LOOK_NS
        try:
            low = frozenset(offset for offset, active in self._held.get_active().items() if active)
        except OSError as error:
            raise line_error(self._config.chip, error) from error
        stuck = low if at_once else low & self._low
        self._low = low
        if stuck:
            named = " and ".join(
                name for name, line in (("D0", self._config.d0), ("D1", self._config.d1)) if line in stuck
            )
            raise DeviceGone(
                f"{named} of the Wiegand reader stays low",
                "Check the reader's power and its ground, the level shifter, and which wire is on which line.",
            )
