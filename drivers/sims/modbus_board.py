"""A Modbus RTU board with inputs and relays (of the Waveshare kind), the device's side, on a pty."""

from collections import deque
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
    WRITE_MULTIPLE_COILS,
    WRITE_SINGLE_COIL,
    Fault,
    Request,
    Requests,
    bits_reply,
    confirmation,
    refusal,
)
from drivers.sims.answering_board import AnsweringBoard
from drivers.sims.lcus_board import CHANGES_KEPT, RelayChange
from drivers.sims.ports import PtyPort

FLASH_UNIT_S = 0.1
"""Flash-on counts in tenths of a second."""


class Noise(Enum):
    """What the line does to the board's answers."""

    NONE = "none"
    SILENT = "silent"
    CORRUPT = "corrupt"
    PREFIXED = "prefixed"


class ModbusBoard(AnsweringBoard):
    """Inputs that the world sets with `drive`, coils that the host sets; `on_change` hears of coils.

    `noise` says what becomes of the next answers. `polls` counts requests, `on_request` is called before each answer.
    `flashed`: coil and time of each flash-on that it obeyed. `flashes`, `writes_many`: the board knows flash-on, and function 15. `linked`: its inputs switch its relays, as many boards
    come from the factory.
    """

    own_supply = True

    def __init__(
        self,
        inputs: int,
        coils: int,
        link: Path | PtyPort,
        unit: int = 1,
        on_change: Callable[[RelayChange], None] = lambda _: None,
        *,
        flashes: bool = True,
        writes_many: bool = True,
    ) -> None:
        super().__init__(coils, link, on_change)
        self.unit = unit
        self.inputs = [False] * inputs
        self.noise = Noise.NONE
        self.polls = 0
        self.on_request: Callable[[], None] = lambda: None
        self.linked = False
        self.flashed: deque[tuple[int, int]] = deque(maxlen=CHANGES_KEPT)
        self._flashes = flashes
        self._writes_many = writes_many
        self._requests = Requests(unit)

    def drive(self, line: int, *, active: bool) -> None:
        """An input's contact closes or opens."""
        self.inputs[line] = active
        if self.linked and line < len(self.levels):
            self.switch(line, on=active)

    def answers(self, data: bytes) -> list[bytes]:
        """Answer the requests in what was heard."""
        said = []
        for request in self._requests.feed(data):
            self.polls += 1
            self.on_request()
            answer = self._answer(request)
            if self.noise is Noise.CORRUPT:
                answer = answer[:-1] + bytes((answer[-1] ^ 0x01,))
            elif self.noise is Noise.PREFIXED:
                answer = b"\x00\xff" + answer
            if self.noise is not Noise.SILENT:
                said.append(answer)
        return said

    def _answer(self, request: Request) -> bytes:
        if request.function in (READ_DISCRETE_INPUTS, READ_COILS):
            source = self.inputs if request.function == READ_DISCRETE_INPUTS else self.levels
            if not 0 < request.second <= READ_COUNT_MAX:
                return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_VALUE)
            if request.first + request.second > len(source):
                return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_ADDRESS)
            values = source[request.first : request.first + request.second]
            return bits_reply(self.unit, request.function, tuple(values))
        if request.function == WRITE_SINGLE_COIL:
            return self._write(request)
        if request.function == WRITE_MULTIPLE_COILS and self._writes_many:
            return self._write_many(request)
        return refusal(self.unit, request.function, Fault.ILLEGAL_FUNCTION)

    def _write(self, request: Request) -> bytes:
        flash = bool(request.first & COIL_FLASH_ON)
        coil = request.first & ~COIL_FLASH_ON
        if coil >= len(self.levels) or (flash and not self._flashes):
            return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_ADDRESS)
        if flash:
            self.flashed.append((coil, request.second))
            self.switch(coil, on=True, for_s=request.second * FLASH_UNIT_S)
        elif request.second in (COIL_ON, COIL_OFF):
            self.switch(coil, on=request.second == COIL_ON)
        else:
            return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_VALUE)
        return request.to_bytes()

    def _write_many(self, request: Request) -> bytes:
        if request.first + request.second > len(self.levels):
            return refusal(self.unit, request.function, Fault.ILLEGAL_DATA_ADDRESS)
        levels = int.from_bytes(request.values, "little")
        for at in range(request.second):
            self.switch(request.first + at, on=bool(levels >> at & 1))
        return confirmation(request)
