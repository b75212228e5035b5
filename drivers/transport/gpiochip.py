"""GPIO lines of the kernel's character device, through libgpiod 2 (`gpiod` 2.x).

`Chips` and `Lines` are all that the drivers need of it, so that the simulated chip (`drivers.sims.gpio_chip`) has the same
shape. Levels here are logical: `active` has `active_low` applied already, as in gpiod's `Value.ACTIVE`.
Requests are atomic: all lines of one request, with their initial values, or none.
"""

import contextlib
import errno
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from drivers.base import DeviceGone, DriverError, Misconfigured

if TYPE_CHECKING:
    import gpiod

CONSUMER = "gatehouse"
"""What `gpioinfo` shows beside our lines."""

DEBOUNCE_MS_MAX = 1_000
"""Longer than any contact bounces; a passage takes 300 ms and more."""


class Bias(Enum):
    """The pull resistor of an input line."""

    AS_IS = "as_is"
    DISABLED = "disabled"
    PULL_UP = "pull_up"
    PULL_DOWN = "pull_down"


class Watched(Enum):
    """Which edges of an input are told. Of a pulse that is shorter than an interrupt's delay the kernel cannot tell two apart,
    since it looks at the level then: of those only the beginning is asked for."""

    BOTH = "both"
    ACTIVE = "active"


EDGES_KEPT: Final = 512
"""What the kernel keeps of short pulses while nobody reads; else 16 a line, less than half a frame of Wiegand."""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """An output, requested inactive. Most relay HATs are active-low."""

    offset: int
    active_low: bool


@dataclass(frozen=True, slots=True)
class InputLine:
    """An input whose edges are reported after `debounce_ms` without change (0: every edge)."""

    offset: int
    active_low: bool
    bias: Bias
    debounce_ms: int
    watched: Watched = Watched.BOTH


@dataclass(frozen=True, slots=True)
class Edge:
    """A line changed. `seqno` counts the request's edges from 1: a gap means that edges were lost."""

    offset: int
    active: bool
    at_ns: int
    seqno: int


class Lines(Protocol):
    """Lines held by us until `release`. Every method but `release` raises OSError when the chip is gone."""

    @property
    def fd(self) -> int:
        """Readable when edges wait."""
        ...

    def set_active(self, levels: Mapping[int, bool]) -> None:
        """Set outputs by offset, in one go."""
        ...

    def get_active(self) -> dict[int, bool]:
        """The present level of each line by offset."""
        ...

    def read_edges(self) -> Sequence[Edge]:
        """The waiting edges, oldest first. Call only when `fd` is readable: it waits otherwise."""
        ...

    def release(self) -> None:
        """Give the lines back; the kernel may keep driving them at their last level. Never raises."""
        ...


class Chips(Protocol):
    """The GPIO chips of a machine."""

    def labels(self) -> dict[str, str]:
        """Label to path, for every chip that we may open."""
        ...

    def free(self, path: str) -> tuple[int, ...]:
        """Offsets of a chip that nothing holds; raises OSError."""
        ...

    def level(self, path: str, offset: int) -> bool:
        """Whether a line that nothing holds is high; it is neither driven nor pulled by the question. Raises OSError."""
        ...

    def request(self, path: str, lines: Sequence[OutputLine] | Sequence[InputLine]) -> Lines:
        """Take lines of a chip; raises OSError: EBUSY where one is in use, EINVAL where one does not exist."""
        ...


def request_lines(chips: Chips, label: str, lines: Sequence[OutputLine] | Sequence[InputLine]) -> Lines:
    """Take lines of the chip with this label; raises DeviceGone or Misconfigured.

    By label, since numbers moved: the header of a Pi 5 was gpiochip4 and is gpiochip0 from kernel 6.6.45 on.
    """
    try:
        return chips.request(_path_of(chips, label), lines)
    except OSError as error:
        raise line_error(label, error) from error


def level_of(chips: Chips, label: str, offset: int) -> bool:
    """Return whether a line of the chip with this label is high, as it stands; raises DeviceGone or Misconfigured."""
    try:
        return chips.level(_path_of(chips, label), offset)
    except OSError as error:
        raise line_error(label, error) from error


def _path_of(chips: Chips, label: str) -> str:
    labels = chips.labels()
    path = labels.get(label)
    if path is None:
        there = ", ".join(sorted(labels)) or "none"
        raise DeviceGone(
            f"no GPIO chip with label {label} (there: {there})",
            "Correct `chip`, or load its overlay; of two chips with one label neither is used.",
        )
    return path


def by_label(chips: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The paths of chips by label. Two with one label (USB expanders of a kind) are left out: which is which would be chance."""
    found: dict[str, list[str]] = {}
    for label, path in chips:
        found.setdefault(label, []).append(path)
    return {label: paths[0] for label, paths in found.items() if len(paths) == 1}


def line_error(label: str, error: OSError) -> DriverError:
    """What an OSError of a chip means for whoever drives it."""
    if error.errno == errno.EBUSY:
        return DeviceGone(
            f"a line of {label} is in use", "`gpioinfo` names the program that holds it; stop that one."
        )
    if error.errno == errno.EINVAL:
        return Misconfigured(f"{label} has no such line", "Correct the line offsets; `gpioinfo` lists them.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Misconfigured(f"no right to open {label}", "Add the gate's user to the group gpio.")
    return DeviceGone(f"{label}: {error.strerror or error}", "Check the expander's cable and power.")


class KernelChips:
    """The machine's real chips. Needs the package `gpiod` (the extra `gpio`)."""

    def __init__(self, devices: Path = Path("/dev")) -> None:
        try:
            import gpiod  # noqa: PLC0415 - 25 ms and 5 MB that only a gate with GPIO pays
        except ImportError as error:
            raise Misconfigured(
                "the Python package gpiod is missing", f"{sys.prefix}/bin/pip install 'gpiod>=2.2,<3'"
            ) from error
        self._gpiod = gpiod
        self._devices = devices

    def labels(self) -> dict[str, str]:
        """Label to path, by which the kernel's numbers do not matter."""
        found: list[tuple[str, str]] = []
        # Resolved: newer Pi 5 kernels keep gpiochip4 as a link to gpiochip0.
        paths = {str(path.resolve()) for path in self._devices.glob("gpiochip*")}
        for path in sorted(paths):
            with contextlib.suppress(OSError):
                if self._gpiod.is_gpiochip_device(path):
                    with self._gpiod.Chip(path) as chip:
                        found.append((chip.get_info().label, path))
        return by_label(found)

    def free(self, path: str) -> tuple[int, ...]:
        """The kernel says of each line whether a program or a driver of its own holds it."""
        with self._gpiod.Chip(path) as chip:
            lines = range(chip.get_info().num_lines)
            return tuple(line for line in lines if not chip.get_line_info(line).used)

    def level(self, path: str, offset: int) -> bool:
        """A request that leaves direction and pull as they are only reads."""
        line = self._gpiod.line
        as_is = self._gpiod.LineSettings(direction=line.Direction.AS_IS, bias=line.Bias.AS_IS)
        with self._gpiod.request_lines(path, config={offset: as_is}, consumer=CONSUMER) as request:
            return request.get_value(offset) is line.Value.ACTIVE

    def request(self, path: str, lines: Sequence[OutputLine] | Sequence[InputLine]) -> "KernelLines":
        """One ioctl for all lines, so that no output twitches between request and first value."""
        settings: dict[Iterable[int | str] | int | str, gpiod.LineSettings | None]
        settings = {line.offset: kernel_settings(line) for line in lines}
        short = any(isinstance(line, InputLine) and line.watched is Watched.ACTIVE for line in lines)
        kept = EDGES_KEPT if short else None
        return KernelLines(
            self._gpiod.request_lines(path, config=settings, consumer=CONSUMER, event_buffer_size=kept)
        )


def kernel_settings(line: OutputLine | InputLine) -> "gpiod.LineSettings":
    """gpiod's settings for a line of ours."""
    import gpiod  # noqa: PLC0415 - as above
    from gpiod import line as kinds  # noqa: PLC0415 - as above

    if isinstance(line, OutputLine):
        return gpiod.LineSettings(
            direction=kinds.Direction.OUTPUT, active_low=line.active_low, output_value=kinds.Value.INACTIVE
        )
    return gpiod.LineSettings(
        direction=kinds.Direction.INPUT,
        active_low=line.active_low,
        bias=kinds.Bias[line.bias.name],
        # Polarity is applied: from inactive to active is rising, whatever the voltage does.
        edge_detection=kinds.Edge.BOTH if line.watched is Watched.BOTH else kinds.Edge.RISING,
        debounce_period=timedelta(milliseconds=line.debounce_ms),
        event_clock=kinds.Clock.MONOTONIC,
    )


class KernelLines:
    """Lines held through gpiod (Lines)."""

    def __init__(self, request: "gpiod.LineRequest") -> None:
        import gpiod  # noqa: PLC0415 - as above

        self._request = request
        self._active = gpiod.line.Value.ACTIVE
        self._inactive = gpiod.line.Value.INACTIVE
        # In the character device's second interface "rising" is inactive to active, polarity applied.
        self._rising = gpiod.EdgeEvent.Type.RISING_EDGE

    @property
    def fd(self) -> int:
        """Readable when edges wait."""
        return self._request.fd

    def set_active(self, levels: Mapping[int, bool]) -> None:
        """Set outputs by offset, in one ioctl."""
        self._request.set_values(
            {offset: self._active if on else self._inactive for offset, on in levels.items()}
        )

    def get_active(self) -> dict[int, bool]:
        """The present logical level of each line."""
        values = self._request.get_values()
        return {o: v is self._active for o, v in zip(self._request.offsets, values, strict=True)}

    def read_edges(self) -> list[Edge]:
        """The waiting edges; gpiod waits when there is none."""
        return [
            Edge(e.line_offset, e.event_type is self._rising, e.timestamp_ns, e.global_seqno)
            for e in self._request.read_edge_events()
        ]

    def release(self) -> None:
        """Close the request."""
        with contextlib.suppress(OSError):
            self._request.release()
