"""Relays on GPIO lines (HATs, expanders), through libgpiod 2.

All lines are requested inactive in one call, so that no gate twitches at start. Kernels of the Pi keep lines driven when they
are released or when their process dies, so `close` switches off first and the relay guard covers a death.
"""

from collections.abc import Mapping, Sequence

from drivers.base import DeviceGone, Misconfigured
from drivers.transport.gpiochip import Chips, KernelChips, Lines, OutputLine, line_error, request_lines


class GpioOutputs:
    """Relay lines of one chip, numbered in the order of `offsets` (Outputs)."""

    own_timer = False

    def __init__(self, chips: Chips, label: str, offsets: Sequence[int], *, active_low: bool) -> None:
        if not offsets or len(set(offsets)) != len(offsets):
            raise Misconfigured(
                f"{label}: lines {list(offsets)} are empty or doubled", "Give each relay its own line."
            )
        self.lines = len(offsets)
        self._chips = chips
        self._label = label
        self._offsets = tuple(offsets)
        self._active_low = active_low
        self._held: Lines | None = None

    def open(self) -> str:
        """Take all lines, inactive; raises DeviceGone or Misconfigured."""
        self.close()
        wanted = [OutputLine(offset, self._active_low) for offset in self._offsets]
        self._held = request_lines(self._chips, self._label, wanted)
        return f"{self.lines} relays on {self._label}"

    def set(self, line: int, on: bool) -> None:
        """Switch one relay."""
        if not 0 <= line < self.lines:
            raise Misconfigured(
                f"relay {line} of {self.lines}", "Lines count from 0; correct the lane's output line."
            )
        self._write({self._offsets[line]: on})

    def pulse(self, line: int, duration_ms: int) -> None:
        """Not on GPIO: it has no timer."""
        raise Misconfigured(
            f"GPIO has no timer (line {line}, {duration_ms} ms)", "Use the relay guard's own deadline."
        )

    def all_off(self) -> None:
        """Switch every relay off, in one call."""
        self._write(dict.fromkeys(self._offsets, False))

    def close(self) -> None:
        """Switch off, then release. Never raises."""
        if self._held is None:
            return
        try:
            self.all_off()
        except DeviceGone:
            pass  # The chip is gone; whoever opens it next starts with all off.
        finally:
            self._held.release()
            self._held = None

    def _write(self, levels: Mapping[int, bool]) -> None:
        if self._held is None:
            raise DeviceGone(f"{self._label} is not open", "Open the device first.")
        try:
            self._held.set_active(levels)
        except OSError as error:
            raise line_error(self._label, error) from error


def from_options(options: Mapping[str, object]) -> GpioOutputs:
    """The relays named by the guard's settings: `chip` (label), `offsets`, `active_low`, and `sim` (folder) for a demo."""
    label, offsets, active_low = options.get("chip"), options.get("offsets"), options.get("active_low")
    if (
        not isinstance(label, str)
        or not isinstance(offsets, list | tuple)
        or not isinstance(active_low, bool)
    ):
        raise Misconfigured(
            "GPIO relays need `chip`, `offsets` and `active_low`", "Set all three in the output's table."
        )
    if not all(isinstance(offset, int) for offset in offsets):
        raise Misconfigured("`offsets` are whole numbers", "Give line offsets as `gpioinfo` shows them.")
    return GpioOutputs(chips_of(options.get("sim")), label, offsets, active_low=active_low)


def chips_of(sim: object) -> Chips:
    """The machine's chips, or the simulated ones in the folder `sim`."""
    if sim is None:
        return KernelChips()
    from drivers.sims.gpio_chip import SimChips  # noqa: PLC0415 - never loaded on a real gate

    return SimChips(str(sim))
