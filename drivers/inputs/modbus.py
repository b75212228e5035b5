"""Passage, ready and fire contacts on a Modbus RTU board: discrete inputs, polled over a serial port.

One request is under way at a time. An answer that stays out is a miss, one that is none (bad CRC, exception) is garbled; both
are counted and borne up to a limit, since RS-485 in a steel gate picks up noise. No thread: the port is read by the loop.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from drivers.base import (
    DeviceGone,
    DeviceMisbehaved,
    DriverError,
    EmitInput,
    InputChanged,
    Misconfigured,
    Opened,
)
from drivers.framing.debounce import Debouncer
from drivers.framing.modbus import Bits, Refused, Replies, Reply, read_discrete_inputs
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
"""Inputs on one board; the largest in trade have 48."""


@dataclass(frozen=True, slots=True)
class ModbusLine:
    """One discrete input: its address on the board, and whether 0 means active."""

    address: int
    active_low: bool


@dataclass(frozen=True, slots=True)
class ModbusBoard:
    """Where the board is and how to ask it."""

    path: str
    lines: Sequence[ModbusLine]
    unit: int = 1
    baud: int = 9600
    poll_ms: int = POLL_MS_DEFAULT
    debounce_ms: int = DEBOUNCE_MS_DEFAULT


class ModbusInputs:
    """Inputs of one board, numbered in the order of `lines` (Inputs). `misses`, `garbled` count since the start."""

    def __init__(self, board: ModbusBoard) -> None:
        addresses = [line.address for line in board.lines]
        if not 0 < len(addresses) <= LINES_MAX or len(set(addresses)) != len(addresses):
            raise Misconfigured(
                f"{board.path}: inputs {addresses}", f"Name 1 to {LINES_MAX} inputs, each once."
            )
        if not 1 <= board.unit <= 247 or min(addresses) < 0 or max(addresses) > 0xFFFF:
            raise Misconfigured(
                f"unit {board.unit}, inputs {addresses}", "Units are 1..247, inputs count from 0."
            )
        if max(addresses) - min(addresses) >= LINES_MAX or board.poll_ms < 1 or board.debounce_ms < 0:
            raise Misconfigured(
                f"{board.path}: cannot be polled like this", "Use poll_ms 20 and debounce_ms 20."
            )
        self._board = board
        self._first = min(addresses)
        self._request = read_discrete_inputs(board.unit, self._first, max(addresses) - self._first + 1)
        self.misses = 0
        self.garbled = 0
        self._told: set[int] = set()
        """Lines whose level was told since the board was opened."""

    async def run(self, emit: EmitInput) -> NoReturn:
        """Poll until cancelled or until a DriverError. `Opened` comes with the first good answer."""
        self._told = set()
        loop = asyncio.get_running_loop()
        tty = Tty(self._board.path, self._board.baud)
        port = _Port(tty, loop)
        debouncer = Debouncer(self._board.debounce_ms * 1_000_000)
        try:
            misses = garbled = 0
            opened = False
            while True:
                asked = loop.time()
                answer, received = await port.ask(self._request.to_bytes(), Replies(self._request))
                if isinstance(answer, Bits):
                    misses = garbled = 0
                    if not opened:
                        emit(Opened(f"Modbus inputs, unit {self._board.unit} at {self._board.path}"))
                        opened = True
                    self._tell(answer, debouncer, int(loop.time() * 1e9), emit)
                elif isinstance(answer, Refused):
                    raise Misconfigured(
                        f"the board refuses to read inputs (exception {answer.code})",
                        "Compare the inputs' addresses with the board's manual.",
                    )
                elif received:
                    garbled, misses = garbled + 1, 0
                    self.garbled += 1
                else:
                    misses += 1
                    self.misses += 1
                self._judge(misses, garbled)
                await asyncio.sleep(max(0.0, asked + self._board.poll_ms / 1000 - loop.time()))
        finally:
            port.close()
            tty.close()

    def _tell(self, answer: Bits, debouncer: Debouncer, now_ns: int, emit: EmitInput) -> None:
        levels = {
            number: answer.values[line.address - self._first] != line.active_low
            for number, line in enumerate(self._board.lines)
        }
        for change in debouncer.sample(levels, now_ns):
            first = change.line not in self._told
            self._told.add(change.line)
            emit(InputChanged(change.line, change.active, change.at_ns, first=first))

    def _judge(self, misses: int, garbled: int) -> None:
        if misses >= MISSES_MAX:
            raise DeviceGone(
                f"unit {self._board.unit} at {self._board.path} does not answer",
                "Check the board's supply, the A/B wires and its address.",
            )
        if garbled >= GARBLED_MAX:
            raise DeviceMisbehaved(
                f"unit {self._board.unit} at {self._board.path} answers garbled",
                "Check the baud rate, and that no two boards share an address.",
            )


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
