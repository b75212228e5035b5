"""Zebra scanners that speak SSI over RS-232 or USB-CDC: acknowledged codes, and a beeper and lights that show the verdict."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from drivers.base import Emit, Misconfigured, Opened, ReaderEvent, Signal
from drivers.framing.ssi_host import SsiHost, SsiSetting
from drivers.readers.pump import Pump, gap_ns
from drivers.transport.serial_port import Line, SerialPort

BEEP_MAX = 0x1A
"""The highest beep code that any model knows."""
ANSWER_MS_MAX = 10_000
"""A scanner's own response time-out ends at 9.9 s."""


@dataclass(frozen=True, slots=True)
class SsiReaderConfig:
    """Where an SSI scanner is and how it is used; see `SsiSetting`.

    `line`: 9600 8N1 by default; `rts_cts` where the cable has the lines: without them a sleeping scanner may lose the
    first byte, and the second try finds it awake.
    """

    path: str
    line: Line = field(default_factory=Line)
    beeps: Mapping[Signal, int] = field(default_factory=dict)
    lights: Mapping[Signal, int] = field(default_factory=dict)
    pause: bool = False
    set_up: bool = True
    binary: bool = False
    aim: bool = True
    answer_ms: int = 1000
    gap_ms: int = 60


class SsiReader:
    """A scanner that speaks SSI. Raises Misconfigured at once for settings that cannot be."""

    reports_removal = False

    def __init__(self, config: SsiReaderConfig) -> None:
        if not 1 <= config.answer_ms <= ANSWER_MS_MAX:
            raise Misconfigured(f"answer_ms is {config.answer_ms}", f"Set it between 1 and {ANSWER_MS_MAX}.")
        if any(not 0 <= one <= BEEP_MAX for one in config.beeps.values()):
            raise Misconfigured("there is no such beep code", f"Set beep codes between 0 and {BEEP_MAX}.")
        if any(not 0 <= one <= 0xFF for one in config.lights.values()):
            raise Misconfigured("there is no such light", "Set a mask of lights between 0 and 255.")
        self._config = config
        self._setting = SsiSetting(
            beeps=config.beeps,
            lights=config.lights,
            pause=config.pause,
            set_up=config.set_up,
            binary=config.binary,
            aim=config.aim,
            answer_ns=config.answer_ms * 1_000_000,
            gap_ns=gap_ns(config.gap_ms),
        )
        self._open: _Open | None = None

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        port = SerialPort(self._config.path, self._config.line)
        try:
            self._open = _Open(port, self._setting, emit)
            await self._open.pump.run()
        finally:
            self._open = None
            port.close()

    def feedback(self, signal: Signal) -> None:
        """Beep, light up or pause as configured, if the scanner is open."""
        if self._open is not None:
            self._open.show(signal)


class _Open:
    """An open scanner: the port, the protocol, and what moves between them."""

    def __init__(self, port: SerialPort, setting: SsiSetting, emit: Emit) -> None:
        self._port = port
        self._host = SsiHost(setting, time.monotonic_ns())
        self._told = False
        self.pump: Pump[ReaderEvent] = Pump(port.fd, self._take, self, emit)
        self._send()
        self.pump.arm()

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes."""
        return self._host.deadline_ns

    def quiet(self, now_ns: int) -> list[ReaderEvent]:
        """Do what is due; DriverError where the scanner owes an answer."""
        events: list[ReaderEvent] = [*self._host.quiet(now_ns)]
        self._send()
        return events

    def show(self, signal: Signal) -> None:
        self._host.show(signal, time.monotonic_ns())
        self._send()
        self.pump.arm()

    def _take(self) -> list[ReaderEvent] | None:
        received = self._port.receive()
        if received is None:
            return None
        events: list[ReaderEvent] = [*self._host.feed(*received)]
        # Acknowledged before anybody judges: until then the scanner reads no further code.
        self._send()
        if self._host.ready and not self._told:
            self._told = True
            name = self._host.revision or "scanner"
            events.insert(0, Opened(f"SSI {name} at {self._port.path}"))
        return events

    def _send(self) -> None:
        data = self._host.take_output()
        if data:
            self._port.send(data)
