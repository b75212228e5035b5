"""A Modbus RTU board with inputs and relays (of the Waveshare kind), the device's side, on a pty."""

import asyncio
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from drivers.framing.modbus import (
    COIL_FLASH_ON,
    COIL_OFF,
    COIL_ON,
    READ_COILS,
    READ_COUNT_MAX,
    READ_DISCRETE_INPUTS,
    WRITE_SINGLE_COIL,
    Fault,
    Request,
    Requests,
    bits_reply,
    refusal,
)
from drivers.sims.ports import PtyPort

FLASH_UNIT_S = 0.1
"""Flash-on counts in tenths of a second."""


class Noise(Enum):
    """What the line does to the board's answers."""

    NONE = "none"
    SILENT = "silent"
    CORRUPT = "corrupt"
    PREFIXED = "prefixed"


class ModbusBoard:
    """Inputs that the world sets with `drive`, coils that the host sets; `on_change(line, on)` hears of coils.

    `noise` says what becomes of the next answers. `polls` counts requests, `on_request` is called before each answer. Attach it to a loop, or call `service`.
    """

    def __init__(
        self,
        inputs: int,
        coils: int,
        link: Path,
        unit: int = 1,
        on_change: Callable[[int, bool], None] = lambda _line, _on: None,
    ) -> None:
        self.port = PtyPort(link)
        self.path = self.port.path
        self.unit = unit
        self.inputs = [False] * inputs
        self.coils = [False] * coils
        self.noise = Noise.NONE
        self.polls = 0
        self.on_request: Callable[[], None] = lambda: None
        self._on_change = on_change
        self._requests = Requests(unit)
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer from now on whenever the loop runs; flash-on needs it for its timer."""
        self._loop = loop
        loop.add_reader(self.port.fileno(), self.service)

    def drive(self, line: int, *, active: bool) -> None:
        """An input's contact closes or opens."""
        self.inputs[line] = active

    def service(self, timeout_s: float = 0.0) -> None:
        """Answer what waits."""
        for request in self._requests.feed(self.port.read(timeout_s)):
            self.polls += 1
            self.on_request()
            answer = self._answer(request)
            if self.noise is Noise.CORRUPT:
                answer = answer[:-1] + bytes((answer[-1] ^ 0x01,))
            elif self.noise is Noise.PREFIXED:
                answer = b"\x00\xff" + answer
            if self.noise is not Noise.SILENT:
                self.port.write(answer)

    def unplug(self) -> None:
        """The adapter's plug is pulled; the board has a supply of its own and keeps its relays."""
        if self._loop and self.port.plugged:
            self._loop.remove_reader(self.port.fileno())
        self.port.unplug()

    def plug(self) -> None:
        """The adapter is back."""
        self.port.plug()
        if self._loop:
            self.attach(self._loop)

    close = unplug

    def _answer(self, request: Request) -> bytes:
        if request.function in (READ_DISCRETE_INPUTS, READ_COILS):
            source = self.inputs if request.function == READ_DISCRETE_INPUTS else self.coils
            if not 0 < request.second <= READ_COUNT_MAX:
                return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_VALUE)
            if request.first + request.second > len(source):
                return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_ADDRESS)
            values = source[request.first : request.first + request.second]
            return bits_reply(self.unit, request.function, tuple(values))
        if request.function == WRITE_SINGLE_COIL:
            return self._write(request)
        return refusal(self.unit, request.function, Fault.ILLEGAL_FUNCTION)

    def _write(self, request: Request) -> bytes:
        flash = bool(request.first & COIL_FLASH_ON)
        coil = request.first & ~COIL_FLASH_ON
        if coil >= len(self.coils):
            return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_ADDRESS)
        if flash:
            self._switch(coil, on=True)
            if self._loop:
                self._loop.call_later(request.second * FLASH_UNIT_S, lambda: self._switch(coil, on=False))
        elif request.second in (COIL_ON, COIL_OFF):
            self._switch(coil, on=request.second == COIL_ON)
        else:
            return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_VALUE)
        return request.to_bytes()

    def _switch(self, coil: int, *, on: bool) -> None:
        if self.coils[coil] is not on:
            self.coils[coil] = on
            self._on_change(coil, on)
