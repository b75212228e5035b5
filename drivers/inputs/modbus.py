"""Passage, ready and fire contacts on a Modbus RTU board: discrete inputs, polled over a serial port.

One request is under way at a time. An answer that stays out is a miss, one that is none (bad CRC, exception) is garbled; both
are counted and borne up to a limit, since RS-485 in a steel gate picks up noise. No thread: the port is read by the loop.

Several boards may share a bus. One that falls silent is told by its address (`InputsLost`) and asked about once a second; the others
wait for it a tenth of a second at most, and go on.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from drivers.base import (
    DeviceGone,
    DeviceMisbehaved,
    DriverError,
    EmitInput,
    InputChanged,
    InputsLost,
    Misconfigured,
    Opened,
)
from drivers.framing.debounce import Debouncer
from drivers.framing.modbus import Bits, Refused, Replies, Reply, Request, read_discrete_inputs
from drivers.transport.tty import Tty

POLL_MS_DEFAULT = 20
"""Finds any contact of 100 ms several times; at 9600 baud a request and its answer take 15 ms of the line."""

DEBOUNCE_MS_DEFAULT = 20
"""One confirming look at the default pace."""

REPLY_TIMEOUT_S = 0.1
"""Boards answer within 20 ms; USB adapters add up to 16 ms each way."""

MISSES_MAX = 8
"""Unanswered requests in a row before the board counts as gone: 0.8 s, since wires that come loose tell nothing else."""

GARBLED_MAX = 20
"""Garbled answers in a row before the board counts as misbehaving (wrong baud rate, two boards with one address)."""

LINES_MAX = 64
"""Inputs on one bus; the largest board in trade has 48."""

SILENT_S = MISSES_MAX * REPLY_TIMEOUT_S
"""So long without an answer, and asked twice: on a bus whose boards are waited for one after the other that is sooner than so many misses."""

AGAIN_S = 1.0
"""Pace of asking a board that is lost, while others of its bus go on."""


@dataclass(frozen=True, slots=True)
class ModbusLine:
    """One discrete input: its address on the board, and whether 0 means active."""

    address: int
    active_low: bool


@dataclass(frozen=True, slots=True)
class ModbusBoard:
    """Where the board is and how to ask it. `units`: instead of `unit`, boards of one bus with an equal share of `lines` each, in order."""

    path: str
    lines: Sequence[ModbusLine]
    unit: int = 1
    units: Sequence[int] = ()
    baud: int = 9600
    poll_ms: int = POLL_MS_DEFAULT
    debounce_ms: int = DEBOUNCE_MS_DEFAULT


@dataclass(slots=True)
class _Unit:
    """One board of a bus. `lines`: its own by their numbers; `misses`, `garbled` in a row; `again_s`: lost, and asked again then."""

    number: int
    numbers: range
    lines: Sequence[ModbusLine]
    request: Request
    first: int
    misses: int = 0
    garbled: int = 0
    again_s: float | None = None
    heard_s: float = 0.0
    """When it answered last."""
    told: set[int] = field(default_factory=set)
    """Lines whose level was told since it was seen."""


class ModbusInputs:
    """Inputs of one board or of several on a bus, numbered in the order of `lines` (Inputs). `misses`, `garbled` count since the start."""

    def __init__(self, board: ModbusBoard) -> None:
        units = tuple(board.units) or (board.unit,)
        if not 0 < len(board.lines) <= LINES_MAX or len(board.lines) % len(units):
            raise Misconfigured(
                f"{board.path}: {len(board.lines)} inputs", f"Name 1 to {LINES_MAX}, as many on each board."
            )
        if len(set(units)) != len(units) or board.poll_ms < 1 or board.debounce_ms < 0:
            raise Misconfigured(
                f"{board.path}: cannot be polled like this",
                "Use poll_ms 20 and debounce_ms 20, and name each board once.",
            )
        self._board = board
        share = len(board.lines) // len(units)
        self._units = [
            _unit(board, unit, range(at * share, (at + 1) * share)) for at, unit in enumerate(units)
        ]
        self.misses = 0
        self.garbled = 0

    async def run(self, emit: EmitInput) -> NoReturn:
        """Poll until cancelled or until a DriverError. `Opened` comes with the first good answer, and when all are seen again."""
        for unit in self._units:
            unit.misses = unit.garbled = 0
            unit.again_s, unit.heard_s = None, time.monotonic()
            unit.told = set()
        loop = asyncio.get_running_loop()
        tty = Tty(self._board.path, self._board.baud)
        port = _Port(tty, loop)
        debouncer = Debouncer(self._board.debounce_ms * 1_000_000)
        opened = False
        try:
            for unit in itertools.cycle(self._units):
                asked = loop.time()
                if unit.again_s is None or asked >= unit.again_s:
                    answer, received = await port.ask(unit.request.to_bytes(), Replies(unit.request))
                    if isinstance(answer, Bits):
                        was_lost, unit.again_s = unit.again_s is not None, None
                        is_whole = all(one.again_s is None for one in self._units)
                        if not opened or (was_lost and is_whole):
                            emit(Opened(self._name))
                        opened = True
                        self._tell(unit, answer, debouncer, int(loop.time() * 1e9), emit)
                    elif isinstance(answer, Refused):
                        raise Misconfigured(
                            f"the board refuses to read inputs (exception {answer.code})",
                            "Compare the inputs' addresses with the board's manual.",
                        )
                    elif (error := self._missed(unit, received)) is not None:
                        if not opened or self._is_last(unit):
                            raise error
                        self._give_up(unit, error, debouncer, emit)
                        unit.again_s = loop.time() + AGAIN_S
                pause_s = self._board.poll_ms / 1000 / len(self._units)
                await asyncio.sleep(max(0.0, asked + pause_s - loop.time()))
        finally:
            port.close()
            tty.close()
        raise AssertionError("a bus has a board")

    @property
    def _name(self) -> str:
        units = ", ".join(str(one.number) for one in self._units)
        return f"Modbus inputs, unit {units} at {self._board.path}"

    def _tell(self, unit: _Unit, answer: Bits, debouncer: Debouncer, now_ns: int, emit: EmitInput) -> None:
        unit.misses = unit.garbled = 0
        unit.heard_s = time.monotonic()
        levels = {
            number: answer.values[line.address - unit.first] != line.active_low
            for number, line in zip(unit.numbers, unit.lines, strict=True)
        }
        for change in debouncer.sample(levels, now_ns):
            first = change.line not in unit.told
            unit.told.add(change.line)
            emit(InputChanged(change.line, change.active, change.at_ns, first=first))

    def _missed(self, unit: _Unit, received: int) -> DriverError | None:
        """Count what was no answer; return what is wrong once it was too many in a row, or once more of one that is lost."""
        if received:
            unit.garbled, unit.misses = unit.garbled + 1, 0
            self.garbled += 1
        else:
            unit.misses += 1
            self.misses += 1
        is_silent = unit.misses > 1 and time.monotonic() - unit.heard_s >= SILENT_S
        if unit.misses >= MISSES_MAX or (is_silent and len(self._units) > 1):
            return DeviceGone(
                f"unit {unit.number} at {self._board.path} does not answer",
                "Check the board's supply, the A/B wires and its address.",
            )
        if unit.garbled >= GARBLED_MAX:
            return DeviceMisbehaved(
                f"unit {unit.number} at {self._board.path} answers garbled",
                "Check the baud rate, and that no two boards share an address.",
            )
        return None

    def _is_last(self, unit: _Unit) -> bool:
        """Whether no other board is seen: then the bus is gone."""
        return all(one is unit or one.again_s is not None for one in self._units)

    def _give_up(self, unit: _Unit, error: DriverError, debouncer: Debouncer, emit: EmitInput) -> None:
        """Tell that a board is lost, once."""
        if unit.again_s is None:
            debouncer.forget(unit.numbers)
            unit.told = set()
            emit(InputsLost(unit.numbers, error))


def _unit(board: ModbusBoard, number: int, numbers: range) -> _Unit:
    lines = board.lines[numbers.start : numbers.stop]
    addresses = [line.address for line in lines]
    if len(set(addresses)) != len(addresses):
        raise Misconfigured(f"{board.path}: inputs {addresses}", "Name each input once.")
    if not 1 <= number <= 247 or min(addresses) < 0 or max(addresses) > 0xFFFF:
        raise Misconfigured(f"unit {number}, inputs {addresses}", "Units are 1..247, inputs count from 0.")
    first, count = min(addresses), max(addresses) - min(addresses) + 1
    if count > LINES_MAX:
        raise Misconfigured(
            f"{board.path}: inputs {addresses}", f"They lie within {LINES_MAX} of each other."
        )
    return _Unit(number, numbers, lines, read_discrete_inputs(number, first, count), first)


class _Port:
    """One question at a time on a serial port."""

    def __init__(self, tty: Tty, loop: asyncio.AbstractEventLoop) -> None:
        self._tty = tty
        self._loop = loop
        self._replies: Replies | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._lost: DriverError | None = None
        loop.add_reader(tty.fd, self._readable)

    async def ask(self, request: bytes, replies: Replies) -> tuple[Reply | None, int]:
        """The answer or None, and how many bytes came; raises DriverError when the port is gone."""
        if self._lost:
            raise self._lost
        # What came late belongs to an earlier question.
        self._tty.flush_input()
        self._replies, self._answer = replies, self._loop.create_future()
        answer = self._answer
        self._tty.write_now(request)
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                return await answer, replies.received
        except TimeoutError:
            # A loop that is late finds the answer and its own deadline in one turn: the board was in time.
            in_time = answer.done() and not answer.cancelled()
            return answer.result() if in_time else None, replies.received
        finally:
            self._replies = self._answer = None

    def close(self) -> None:
        """Stop reading; the port itself is the caller's."""
        if not self._lost:
            self._loop.remove_reader(self._tty.fd)

    def _readable(self) -> None:
        try:
            data = self._tty.read()
        except DriverError as error:
            self._lost = error
            self._loop.remove_reader(self._tty.fd)
            if self._answer and not self._answer.done():
                self._answer.set_exception(error)
            return
        if self._replies is None or self._answer is None or self._answer.done():
            return
        answer = self._replies.feed(data)
        if answer is not None:
            self._answer.set_result(answer)
