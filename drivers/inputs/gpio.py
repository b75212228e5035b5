"""Passage, ready and fire contacts on GPIO lines, through libgpiod 2: the kernel debounces and stamps each edge."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn

from drivers.base import EmitInput, InputChanged, Misconfigured, Opened
from drivers.transport.gpiochip import (
    DEBOUNCE_MS_MAX,
    Bias,
    Chips,
    Edge,
    InputLine,
    Lines,
    line_error,
    request_lines,
)

DEBOUNCE_MS_DEFAULT = 10
"""Turnstile contacts settle within 5-20 ms."""


class GpioInputs:
    """Input lines of one chip, numbered in the order of `lines` (Inputs).

    Make the lines with `input_line`. A contact to ground needs `Bias.PULL_UP` and `active_low`.
    """

    def __init__(self, chips: Chips, label: str, lines: Sequence[InputLine]) -> None:
        offsets = [line.offset for line in lines]
        if not lines or len(set(offsets)) != len(offsets):
            raise Misconfigured(
                f"{label}: lines {offsets} are empty or doubled", "Give each contact its own line."
            )
        self._chips = chips
        self._label = label
        self._lines = tuple(lines)
        self._numbers = {offset: number for number, offset in enumerate(offsets)}

    async def run(self, emit: EmitInput) -> NoReturn:
        """Watch until cancelled or until a DriverError."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[Exception] = loop.create_future()
        held = request_lines(self._chips, self._label, self._lines)
        try:
            watch = _Watch(held, self._label, self._numbers, emit)
            emit(Opened(f"{len(self._lines)} inputs on {self._label}"))
            watch.look(loop_ns(loop))

            def ready() -> None:
                try:
                    watch.take(held.read_edges(), loop_ns(loop))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the contacts are watched
                    loop.remove_reader(held.fd)
                    failed.set_result(line_error(self._label, error) if isinstance(error, OSError) else error)

            loop.add_reader(held.fd, ready)
            raise await failed
        finally:
            loop.remove_reader(held.fd)
            held.release()


class _Watch:
    """Turns edges into changes; looks at the levels again where edges were lost."""

    def __init__(self, held: Lines, label: str, numbers: Mapping[int, int], emit: EmitInput) -> None:
        self._held = held
        self._label = label
        self._numbers = numbers
        self._emit = emit
        self._levels: dict[int, bool] = {}
        self._seqno = 0

    def look(self, now_ns: int) -> None:
        """Report the levels as they are now, where they are news."""
        try:
            levels = self._held.get_active()
        except OSError as error:
            raise line_error(self._label, error) from error
        for offset, active in levels.items():
            self._level(offset, active=active, at_ns=now_ns)

    def take(self, edges: Sequence[Edge], now_ns: int) -> None:
        """Report edges; the kernel keeps 16 a line and drops the oldest, which the numbers show."""
        lost = False
        for edge in edges:
            lost = lost or edge.seqno != self._seqno + 1
            self._seqno = edge.seqno
            self._level(edge.offset, active=edge.active, at_ns=edge.at_ns)
        if lost:
            self.look(now_ns)

    def _level(self, offset: int, *, active: bool, at_ns: int) -> None:
        # An edge from before the first look tells what the look told already.
        before = self._levels.get(offset)
        if before is not active:
            self._levels[offset] = active
            self._emit(InputChanged(self._numbers[offset], active, at_ns, first=before is None))


def input_line(
    offset: int, *, active_low: bool, bias: Bias, debounce_ms: int = DEBOUNCE_MS_DEFAULT
) -> InputLine:
    """A checked input line; raises Misconfigured."""
    if not 0 <= debounce_ms <= DEBOUNCE_MS_MAX:
        raise Misconfigured(
            f"debounce of {debounce_ms} ms", f"Use 0 to {DEBOUNCE_MS_MAX}; contacts need 5 to 20."
        )
    return InputLine(offset, active_low, bias, debounce_ms)


def loop_ns(loop: asyncio.AbstractEventLoop) -> int:
    """The loop's monotonic clock in nanoseconds: the same clock as the kernel's edge stamps."""
    return int(loop.time() * 1e9)
