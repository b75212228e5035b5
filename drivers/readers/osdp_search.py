"""Finds the OSDP readers at a port that somebody says is a bus: at which speed, at which addresses, and what they say of themselves.

Only plain polls and the question for a name are sent, which move nothing and change nothing. A port that talks by itself is no such
bus (a reader speaks when it is spoken to), so it is listened to first, and then nothing is sent at all. What gets no answer is asked
once more, later: a message may get lost. Each question has its time and no longer, whatever comes, so a search ends within a minute.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.base import Misconfigured
from drivers.framing.osdp import (
    ADDRESSES,
    FOR_ALL,
    FRAME_BYTES_MIN,
    Answer,
    Command,
    Identity,
    Replies,
    decode,
    encode,
    identity,
)
from drivers.transport.asked_port import AskedPort, Manner

SPEEDS: Final = (9600, 115_200, 38_400, 19_200, 57_600, 230_400)
"""Those of the standard, the one that readers come with first."""
USUAL: Final = 16
"""Addresses that are asked at each speed; all others only at the one at which somebody answers."""
ANSWER_S: Final = 0.1
"""Longest wait for an answer to begin. Readers take 3 to 30 ms."""
FAR_S: Final = 0.05
"""The same at addresses that few have."""
SLOWLY_S: Final = 0.2
"""The standard's longest, for the questions that most hangs on."""
TRIES: Final = 3
ROUNDS: Final = 2
"""Times that an address is asked before it counts as nobody's."""
DOUBTFUL_MAX: Final = 8
"""More addresses than so many with bytes that are no answer: it is the wire, and not two readers at each of them."""
_MANNER: Final = Manner(reply_bytes=32, noise_bytes=FRAME_BYTES_MIN // 2)


class Why(Enum):
    """Why no reader was found."""

    SILENT = "silent"
    TALKS = "talks"
    """Something talks unasked: it was asked nothing."""
    UNCLEAR = "unclear"
    """What answers cannot be understood, at more addresses than two readers each would stand at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A reader. `identity`: None where it does not say."""

    address: int
    identity: Identity | None


@dataclass(frozen=True, slots=True)
class OnBus:
    """What a search found at the speed at which somebody answers. `garbled`: addresses at which several answer at once."""

    baud: int
    readers: tuple[Found, ...] = ()
    garbled: tuple[int, ...] = ()
    why: Why | None = None


@dataclass(slots=True)
class _Heard:
    """What came after a question: the answer's address and its data, or bytes that are none."""

    address: int | None = None
    code: int = 0
    data: bytes = b""
    noise: bool = False

    @property
    def is_answer(self) -> bool:
        return self.address is not None


async def search(
    path: str,
    tell: Callable[[int, int], None] = lambda _baud, _address: None,
    speeds: Sequence[int] = SPEEDS,
) -> OnBus:
    """Search the bus at a port. `tell`: which speed and which address are asked now.

    Raises DeviceGone where the port is not there, or goes, Misconfigured where it may not be opened.
    """
    async with AskedPort(path, speeds[0]) as bus:
        if await bus.talks():
            return OnBus(0, why=Why.TALKS)
    for _ in range(ROUNDS):
        found = await _at_each(path, tell, speeds)
        if found.why is not Why.SILENT:
            break
    return found


async def _at_each(path: str, tell: Callable[[int, int], None], speeds: Sequence[int]) -> OnBus:
    """Ask at each speed, until there is somebody."""
    answers: dict[int, _Heard] = {}
    for baud in speeds:
        tell(baud, FOR_ALL)
        with contextlib.suppress(Misconfigured):  # an adapter that has not this speed has the others
            async with AskedPort(path, baud) as bus:
                answers[baud] = await _ask(bus, FOR_ALL, Command.POLL, SLOWLY_S)
    # Where somebody answered for all, the others need not be tried first.
    ranked = sorted(answers, key=lambda one: (not answers[one].is_answer, not answers[one].noise))
    noisy = [one for one in ranked if answers[one].noise]
    was_noise = False
    for baud in ranked:
        async with AskedPort(path, baud) as bus:
            found = await _at(bus, answers[baud], tell, is_deep=answers[baud].is_answer or noisy == [baud])
        if found.readers or found.garbled:
            return found
        was_noise = was_noise or found.why is Why.UNCLEAR
    return OnBus(0, why=Why.UNCLEAR if was_noise else Why.SILENT)


async def _at(bus: AskedPort, for_all: _Heard, tell: Callable[[int, int], None], *, is_deep: bool) -> OnBus:
    """Ask the usual addresses, and all of them where somebody is at this speed; those that said nothing again, unless all is clear."""
    there: list[int] = []
    doubtful: list[int] = []
    # Whoever answers twice for all is alone: where there are several, the answer of only one came through by chance.
    is_alone = for_all.is_answer and (await _ask(bus, FOR_ALL, Command.POLL, SLOWLY_S)).is_answer
    for turn in range(ROUNDS):
        if turn and (is_alone or not there):
            break
        for address in ADDRESSES:
            # Nobody is at this speed; or there is one alone, and it is found.
            if address >= USUAL and (not (there or is_deep) or (there and is_alone)):
                break
            if address in {*there, *doubtful}:
                continue
            tell(bus.baud, address)
            heard = await _ask(bus, address, Command.POLL, ANSWER_S if address < USUAL else FAR_S)
            if (
                heard.address is not None and heard.address not in there
            ):  # also the late answer of an earlier one
                there.append(heard.address)
            elif heard.noise:
                doubtful.append(address)
    named = {one: await _named(bus, one) for one in there}
    if len(doubtful) <= DOUBTFUL_MAX:
        named |= {one: await _named(bus, one) for one in doubtful if one not in named}
    readers = tuple(
        Found(one, identity(heard.data) if heard.code == Answer.PDID else None)
        for one, heard in sorted(named.items())
        if heard.is_answer or (one in there and not heard.noise)
    )
    garbled = tuple(one for one, heard in sorted(named.items()) if heard.noise)
    return OnBus(bus.baud, readers, garbled, Why.UNCLEAR if doubtful and not (readers or garbled) else None)


async def _named(bus: AskedPort, address: int) -> _Heard:
    """Ask a reader who it is. Noise: bytes came each time, and never an answer, so that several answer at once."""
    noise = 0
    for _ in range(TRIES):
        heard = await _ask(bus, address, Command.ID, SLOWLY_S, b"\0")
        if heard.address == address and heard.code != Answer.BUSY:
            return heard
        noise += heard.noise
    return _Heard(noise=noise == TRIES)


async def _ask(bus: AskedPort, address: int, command: Command, wait_s: float, data: bytes = b"") -> _Heard:
    """Ask once. Sequence number 0: each question stands for itself."""

    def hearing() -> Callable[[bytes], _Heard | None]:
        replies = Replies()
        return lambda part: next(_answers(replies.feed(part), address), None)

    found, is_noise = await bus.ask(encode(address, 0, command, data), wait_s, _MANNER, hearing)
    return found or _Heard(noise=is_noise)


def _answers(frames: Sequence[bytes], asked: int) -> Iterator[_Heard]:
    for one in map(decode, frames):
        if one is not None and (asked == FOR_ALL or one.address in ADDRESSES):
            yield _Heard(one.address, one.code, one.data)
