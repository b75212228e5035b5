"""Finds the Modbus boards at a port that somebody says is a bus: at which speed, at which addresses, with how many relays and inputs.

Only functions 01 and 02 are sent, which read and switch nothing. A port that talks by itself is asked nothing (a board speaks when it
is spoken to). What gets no answer is asked once more, later: a message may get lost. Each question has its time and no longer, whatever
comes, so a search ends within three quarters of a minute.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from drivers.base import Misconfigured
from drivers.framing.modbus import Bits, Refused, Replies, Reply, Request, read_coils, read_discrete_inputs
from drivers.transport.asked_port import AskedPort, Manner

SPEEDS: Final = (9600, 38_400, 19_200, 115_200, 57_600)
"""The one that boards come with first, then the one that a bus of several wants."""
USUAL: Final = range(1, 17)
"""Addresses that are asked at each speed."""
UNITS: Final = range(1, 248)
COUNTS: Final = (32, 16, 8, 4, 2, 1)
"""Relays and inputs that boards are sold with, as far as a gate takes them. A board refuses to be asked for more than it has."""
ANSWER_S: Final = 0.06
"""Longest wait for an answer to begin. Boards take 5 to 20 ms."""
FAR_S: Final = 0.05
"""The same at addresses that few have."""
SLOWLY_S: Final = 0.15
"""The same for the questions after the first."""
TRIES: Final = 3
ROUNDS: Final = 2
"""Times that an address is asked before it counts as nobody's."""
_MANNER: Final = Manner(reply_bytes=16, noise_bytes=2)
_PAUSE_BYTES: Final = 4
"""Silence between two messages: 3.5 characters."""


class Why(Enum):
    """Why no board was found."""

    SILENT = "silent"
    TALKS = "talks"
    """Something talks unasked: it was asked nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """A board."""

    unit: int
    relays: int
    inputs: int


@dataclass(frozen=True, slots=True)
class OnBus:
    """What a search found at the speed at which somebody answers. `garbled`: addresses at which several answer at once."""

    baud: int
    boards: tuple[Found, ...] = ()
    garbled: tuple[int, ...] = ()
    why: Why | None = None


async def search(
    path: str, tell: Callable[[int], None] = lambda _baud: None, speeds: Sequence[int] = SPEEDS
) -> OnBus:
    """Search the bus at a port. `tell`: which speed is asked now.

    Raises DeviceGone where the port is not there, or goes, Misconfigured where it may not be opened.
    """
    async with AskedPort(path, speeds[0]) as bus:
        if await bus.talks():
            return OnBus(0, why=Why.TALKS)
    # The addresses that few have last of all, at the speed that boards come with.
    usual, far = [(one, USUAL) for one in speeds], [(speeds[0], UNITS[len(USUAL) :])]
    for baud, units in (*usual * ROUNDS, *far * ROUNDS):
        tell(baud)
        with contextlib.suppress(Misconfigured):  # an adapter that has not this speed has the others
            async with AskedPort(path, baud) as bus:
                found = await _at(bus, units)
            if found.boards or found.garbled:
                return found
    return OnBus(0, why=Why.SILENT)


async def _at(bus: AskedPort, units: Sequence[int]) -> OnBus:
    """Ask these addresses; again those that said nothing, where somebody is at this speed."""
    boards: dict[int, Found] = {}
    garbled: set[int] = set()
    for turn in range(ROUNDS):
        if turn and not (boards or garbled):
            break
        silent = [one for one in units if one not in {*boards, *garbled}]
        await _ask_all(bus, silent, boards, garbled)
    return OnBus(bus.baud, tuple(boards[unit] for unit in sorted(boards)), tuple(sorted(garbled)))


async def _ask_all(bus: AskedPort, units: Sequence[int], boards: dict[int, Found], garbled: set[int]) -> None:
    """Ask each of these addresses, and put down who is there."""
    for unit in units:
        first = read_coils(unit, 0, 1)
        reply = await _ask(bus, first, ANSWER_S if unit in USUAL else FAR_S)
        for _ in range(TRIES - 1):
            if reply is _NOISE:
                reply = await _ask(bus, first, SLOWLY_S)
        if reply is _NOISE:
            garbled.add(unit)
        elif reply is not None:
            relays = await _count(bus, partial(read_coils, unit, 0))
            boards[unit] = Found(unit, relays, await _count(bus, partial(read_discrete_inputs, unit, 0)))


async def _count(bus: AskedPort, asking: Callable[[int], Request]) -> int:
    """Return how many a board has: the most that it does not refuse to be read; 0 where it has none."""
    for count in COUNTS:
        for _ in range(TRIES):
            reply = await _ask(bus, asking(count), SLOWLY_S)
            if isinstance(reply, Bits):
                return count
            if isinstance(reply, Refused):
                break
    return 0


_NOISE: Final = Refused(0)
"""Bytes came that are no answer."""


async def _ask(bus: AskedPort, request: Request, wait_s: float) -> Reply | None:
    """Ask once; None where nothing comes, and this machine was not late itself."""

    asked: tuple[Reply | None, bool] = await bus.ask(
        request.to_bytes(), wait_s, _MANNER, lambda: Replies(request).feed
    )
    found, is_noise = asked
    if found is not None:
        await asyncio.sleep(bus.wire_s(_PAUSE_BYTES))
    return _NOISE if is_noise else found
