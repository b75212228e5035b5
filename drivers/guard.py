"""The relay guard: a process of its own that owns the outputs, so that a pulse never outlives us.

Relays and the kernels of the Pi keep a line driven after the process that switched it is gone. So the lane never holds the
output: it sends `PULSE(line, ms, id)` over a pipe, and this process switches on, answers `ACK(id)` once the device took the
write, and switches off by its own clock (`ENDED(id)`). It switches all off and ends on: end of file on its pipe, death of its
parent, SIGTERM, bytes that are no frame, a lane that no longer reads, a device that fails. Whoever starts it again starts with
all off. It never waits for anything longer than a device's write limit.

A board that can be asked (`Sensing`) is looked at between commands: whether it is still there, and how its own contacts
stand, of which each change goes to the lane (`INPUT`). One process owns one port. Of several boards on it (`Parted`) each is
told when it goes and when it is back (`PART`); what is asked of one that is gone is refused (`REFUSED`), the others go on.

Run as `python -m drivers.guard SETTINGS`, SETTINGS being the JSON of `GuardSettings`; frames on standard input and output, one
line of JSON `{"error", "hint"}` on standard error before it ends by a fault. Standard library only, besides the one driver
that is configured: it must start fast and stay small.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol, runtime_checkable

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured, Outputs, Parted, Sensing
from drivers.framing.debounce import Debouncer
from drivers.framing.guard import (
    FRAME_BYTES,
    ID_MAX,
    Exit,
    Frame,
    Frames,
    Kind,
    Malformed,
    encode,
    part_frame,
)
from drivers.pulses import NS_PER_MS, PULSE_MS_LONGEST, PULSE_MS_MAX_DEFAULT, Pulses, TooManyPulses

READ_BYTES = 64 * FRAME_BYTES
"""Frames taken at once: few enough that a flood of them cannot delay an off edge."""

DRIVERS = ("lcus", "gpio", "modbus", "kmtronic", "numato", "hid", "adalight", "ws2812")
"""The drivers that can be named."""

PARENT_CHECK_MS = 1_000
"""How often the parent is looked for: covers a pipe whose other end a third process inherited."""

OPEN_WAIT_S = 2.0
"""A device that is not there is waited for so long before the lane is told so again: a new process for each try would keep a
Pi busy, and a board plugged in again is to be ready within two seconds."""

OPEN_RETRY_MS = 100

LOOK_CLEAR_NS = 30 * NS_PER_MS
"""No look begins so shortly before an off edge: a look takes 20 ms at 9600 baud, and the edge shall not wait for it."""

HELD_RETRY_S = 0.05
"""Pause between tries to take a device that a dying guard still holds."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`driver`: one of `DRIVERS` · `options`: the driver's own (see its `from_options`) · `pulse_ms_max`: the cap of any pulse.

    `open_wait_s`: how long a device that is not there is waited for.
    """

    driver: str
    options: Mapping[str, object] = field(default_factory=dict)
    pulse_ms_max: int = PULSE_MS_MAX_DEFAULT
    open_wait_s: float = OPEN_WAIT_S

    def to_json(self) -> str:
        """The argument of `python -m drivers.guard`."""
        return json.dumps(asdict(self))


def settings_from_json(text: str) -> GuardSettings:
    """Read `GuardSettings.to_json` back; raises Misconfigured."""
    try:
        settings = GuardSettings(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise Misconfigured(
            f"the guard's settings are unreadable: {error}", "Correct the output's table."
        ) from error
    if not isinstance(settings.pulse_ms_max, int) or not 0 < settings.pulse_ms_max <= PULSE_MS_LONGEST:
        raise Misconfigured(
            f"pulse_ms_max = {settings.pulse_ms_max} is outside 1..{PULSE_MS_LONGEST}",
            "Use 1000 unless the turnstile's manual asks for longer pulses.",
        )
    if not isinstance(settings.options, dict):
        raise Misconfigured("the output's options are no table", "Correct the output's table.")
    return settings


def make_outputs(settings: GuardSettings) -> Outputs:
    """The configured driver, not yet open; imports only that one."""
    # ruff: noqa: PLC0415 - only the configured driver is loaded
    match settings.driver:
        case "lcus":
            from drivers.relays import lcus

            return lcus.from_options(settings.options)
        case "gpio":
            from drivers.relays import gpio

            return gpio.from_options(settings.options)
        case "modbus":
            if "units" in settings.options:
                from drivers.relays import modbus_bus

                return modbus_bus.from_options(settings.options)
            from drivers.relays import modbus

            return modbus.from_options(settings.options)
        case "kmtronic":
            from drivers.relays import kmtronic

            return kmtronic.from_options(settings.options)
        case "numato":
            from drivers.relays import numato

            return numato.from_options(settings.options)
        case "hid":
            from drivers.relays import hid

            return hid.from_options(settings.options)
        case "adalight":
            from drivers.relays import led_strip

            return led_strip.adalight_from_options(settings.options)
        case "ws2812":
            from drivers.relays import led_strip

            return led_strip.spi_from_options(settings.options)
        case unknown:
            raise Misconfigured(f"no relay driver is called {unknown!r}", f"Use one of {', '.join(DRIVERS)}.")


def all_off(settings: GuardSettings, wait_s: float = 2.0) -> str:
    """Switch every line off that is there and give the device back; returns its name. For ExecStopPost and for a person.

    Waits up to `wait_s` for a device that a dying guard still holds; raises DriverError when it, or a part of it, stays out of reach.
    """
    deadline = time.monotonic() + wait_s
    while True:
        outputs = make_outputs(settings)
        try:
            name = outputs.open()
            for part in outputs.parts() if isinstance(outputs, Parted) else ():
                if part.error is not None:
                    raise part.error
        except DeviceGone:
            if time.monotonic() >= deadline:
                raise
            time.sleep(HELD_RETRY_S)
        else:
            return name
        finally:
            outputs.close()


@runtime_checkable
class _HangsUp(Protocol):
    """An output whose going away shows on a file descriptor."""

    def fileno(self) -> int: ...


class _Ended(Exception):
    """The loop is over; `exit` says why."""

    def __init__(self, why: Exit) -> None:
        super().__init__(why.name)
        self.exit = why


class RelayGuard:
    """The loop: frames in, pulses out, each ended in time. The outputs are open and off when it starts."""

    def __init__(
        self,
        outputs: Outputs,
        pulse_ms_max: int,
        *,
        read_fd: int,
        write_fd: int,
        stop_fd: int = -1,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._outputs = outputs
        self._pulse_ms_max = pulse_ms_max
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._stop_fd = stop_fd
        self._clock = clock
        self._pulses = Pulses(pulse_ms_max)
        self._frames = Frames()
        self._sensing = outputs if isinstance(outputs, Sensing) else None
        self._contacts = Debouncer(self._sensing.debounce_ms * NS_PER_MS if self._sensing else 0)
        self._told: set[int] = set()
        self._parted = outputs if isinstance(outputs, Parted) else None
        self._gone: set[int] = set()
        """Places of the boards that were told as gone."""
        self._look_ns = 0
        self._parent = os.getppid()
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)

    def run(self) -> Exit:
        """Serve until told to end; the lines are to be switched off by the caller. Raises DriverError."""
        poller = select.poll()
        poller.register(self._read_fd, select.POLLIN)
        if self._stop_fd >= 0:
            poller.register(self._stop_fd, select.POLLIN)
        device_fd = self._outputs.fileno() if isinstance(self._outputs, _HangsUp) else -1
        if device_fd >= 0:
            poller.register(device_fd, 0)  # hang-up and error are always told
        try:
            self._say(Frame(Kind.READY, line=self._outputs.lines))
            self._tell_parts()
            while True:
                ready = dict(poller.poll(self._wait_ms()))
                self._end_due()
                if device_fd in ready:
                    raise DeviceGone("the relay board hung up", "Check the USB cable and the board's power.")
                if self._stop_fd in ready:
                    return Exit.CLEAN
                if self._read_fd in ready:
                    # Commands come first; a look may take as long as the device does.
                    self._take_frames()
                    continue
                if os.getppid() != self._parent:
                    return Exit.CLEAN
                self._look_if_due()
        except _Ended as ended:
            return ended.exit

    def fault(self, code: Exit) -> None:
        """Tell the lane why we end, if it still listens."""
        with contextlib.suppress(_Ended):
            self._say(Frame(Kind.FAULT, line=code))

    def _wait_ms(self) -> float:
        ends = [] if (end := self._pulses.next_ns()) is None else [end]
        if self._sensing is not None and not (ends and self._is_close(ends[0])):
            ends.append(self._look_ns)
        # poll(2) waits in whole milliseconds; Python rounds up, so an off edge is never early.
        return min([PARENT_CHECK_MS, *(max(0, at - self._clock()) / NS_PER_MS for at in ends)])

    def _is_close(self, off_ns: int) -> bool:
        return off_ns - self._clock() < LOOK_CLEAR_NS

    def _look_if_due(self) -> None:
        """Ask the board how it is, and tell of its contacts."""
        sensing, now = self._sensing, self._clock()
        end = self._pulses.next_ns()
        if sensing is None or now < self._look_ns or (end is not None and self._is_close(end)):
            return
        levels: tuple[bool, ...] | None = None
        with self._parts_going():
            levels = sensing.look()
        self._tell_parts()
        now = self._clock()
        self._look_ns = now + sensing.look_ms * NS_PER_MS
        if levels is None:
            return
        first_line = self._parted.looked.start if self._parted is not None else 0
        for change in self._contacts.sample(dict(enumerate(levels, first_line)), now):
            first = change.line not in self._told
            self._told.add(change.line)
            age_ms = min((now - change.at_ns) // NS_PER_MS, ID_MAX)
            self._say(Frame(Kind.INPUT, change.line, change.active | first << 1, age_ms))

    def _take_frames(self) -> None:
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise _Ended(Exit.CLEAN) from error
        if not data:
            raise _Ended(Exit.CLEAN)
        try:
            frames = self._frames.feed(data)
            for frame in frames:
                self._obey(frame)
                self._end_due()
        except (Malformed, TooManyPulses) as error:
            raise _Ended(Exit.MALFORMED) from error

    def _obey(self, frame: Frame) -> None:
        if frame.kind is Kind.PULSE:
            if frame.line >= self._outputs.lines or frame.ms == 0:
                raise Malformed(f"pulse of {frame.ms} ms on line {frame.line}")
            with self._parts_going(frame):
                self._switch_on(frame)
        elif frame.kind is Kind.OFF:
            with self._parts_going(frame):
                self._outputs.all_off()
                self._say(Frame(Kind.ACK, id=frame.id))
            for line in self._pulses.lines_on():
                self._say_ended(line)
        elif frame.kind is Kind.OFF_LINE:
            if frame.line >= self._outputs.lines:
                raise Malformed(f"off on line {frame.line}")
            with self._parts_going(frame):
                self._outputs.set(frame.line, False)
                self._say(Frame(Kind.ACK, line=frame.line, id=frame.id))
                self._say_ended(frame.line)
        elif frame.kind is Kind.PING:
            self._say(Frame(Kind.PONG, id=frame.id))
        else:
            raise Malformed(f"{frame.kind.name} is not the lane's to say")

    def _switch_on(self, frame: Frame) -> None:
        asked = self._clock()
        if self._outputs.own_timer:
            self._outputs.pulse(frame.line, min(frame.ms, self._pulses.room_ms(frame.line, asked)))
        else:
            self._outputs.set(frame.line, True)
        self._pulses.start(frame.line, frame.ms, frame.id, asked, self._clock())
        self._say(Frame(Kind.ACK, line=frame.line, id=frame.id))

    def _end_due(self) -> None:
        for line in self._pulses.due(self._clock()):
            # Also where the device has a timer of its own: two clocks, one relay.
            with self._parts_going():
                self._outputs.set(line, False)
                self._say_ended(line)

    @contextlib.contextmanager
    def _parts_going(self, frame: Frame | None = None) -> Iterator[None]:
        """Go on where one of several boards fails, and refuse what it was asked; a device of which nothing is left raises."""
        try:
            yield
        except DriverError:
            if not self._tell_parts():
                raise
            if frame is not None:
                self._say(Frame(Kind.REFUSED, line=frame.line, id=frame.id))

    def _tell_parts(self) -> bool:
        """Tell which boards went and came; whether there are several, and one that works."""
        parts = self._parted.parts() if self._parted is not None else ()
        if all(part.error is not None for part in parts):
            return False
        for place, part in enumerate(parts):
            if (part.error is not None) is (place in self._gone):
                continue
            why = Exit.CLEAN if part.error is None else exit_of(part.error)
            (self._gone.discard if part.error is None else self._gone.add)(place)
            for line in part.relays:
                self._pulses.end(line)  # by its board's own timer: nobody can say when
            self._contacts.forget(part.inputs)
            self._told.difference_update(part.inputs)
            self._say(part_frame(place, part, why))
        return True

    def _say_ended(self, line: int) -> None:
        for ident in self._pulses.end(line):
            self._say(Frame(Kind.ENDED, line=line, id=ident))

    def _say(self, frame: Frame) -> None:
        try:
            os.write(self._write_fd, encode(frame))
        except BlockingIOError as error:
            # 64 KiB of answers unread: the lane hangs, so nobody judges passages any more.
            raise _Ended(Exit.LANE_STUCK) from error
        except OSError as error:
            raise _Ended(Exit.CLEAN) from error


def serve(settings: GuardSettings, read_fd: int, write_fd: int, stop_fd: int) -> Exit:
    """Own the outputs until the end; every way out switches all off. Raises DriverError from making them."""
    outputs = make_outputs(settings)
    guard: RelayGuard | None = None
    try:
        _open(outputs, settings.open_wait_s, read_fd, stop_fd)
        guard = RelayGuard(
            outputs, settings.pulse_ms_max, read_fd=read_fd, write_fd=write_fd, stop_fd=stop_fd
        )
        ended = guard.run()
    except DriverError as error:
        ended = exit_of(error)
        _complain(error)
    finally:
        outputs.close()
    if ended in _LANE_FAULTS:
        _complain(_LANE_FAULTS[ended])
    if ended is not Exit.CLEAN and guard is not None:
        guard.fault(ended)
    return ended


def _open(outputs: Outputs, wait_s: float, *told_by: int) -> None:
    """Open, waiting for a device that is not there, but not when the lane is gone; raises DriverError."""
    poller = select.poll()
    for one in told_by:
        if one >= 0:
            poller.register(one, select.POLLIN)
    deadline, parent = time.monotonic() + wait_s, os.getppid()
    while True:
        try:
            outputs.open()
        except DeviceGone:
            if time.monotonic() >= deadline or poller.poll(OPEN_RETRY_MS) or os.getppid() != parent:
                raise
        else:
            return


_LANE_FAULTS = {
    Exit.MALFORMED: DeviceMisbehaved(
        "the lane sent the relay guard what is no frame", "It restarts by itself."
    ),
    Exit.LANE_STUCK: DeviceMisbehaved(
        "the lane no longer reads the relay guard's answers", "It restarts by itself."
    ),
}


def exit_of(error: DriverError) -> Exit:
    """The exit status that tells the lane which of the three errors it was."""
    if isinstance(error, DeviceGone):
        return Exit.DEVICE_GONE
    return Exit.MISCONFIGURED if isinstance(error, Misconfigured) else Exit.DEVICE_MISBEHAVED


def main(arguments: list[str]) -> int:
    """`python -m drivers.guard SETTINGS`."""
    # Ctrl-C reaches the whole group; the lane ends in order and then closes our pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    stop_read, stop_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(stop_write)
    # Frames get a descriptor of their own: whatever a library prints must not end up between them.
    frames_out = os.dup(1)
    os.dup2(2, 1)
    try:
        return serve(settings_from_json(" ".join(arguments)), 0, frames_out, stop_read)
    except DriverError as error:
        _complain(error)
        return exit_of(error)


def _complain(error: DriverError) -> None:
    sys.stderr.write(json.dumps({"error": str(error), "hint": error.hint}) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
