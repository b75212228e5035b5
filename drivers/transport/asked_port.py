"""A serial port that is searched: opened at a speed for a moment, listened to, asked, each within its time whatever comes."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from drivers.transport.serial_port import Line, SerialPort

BITS_A_BYTE: Final = 11
LISTEN_S: Final = 0.3
TALKS_BYTES: Final = 8
"""So many bytes unasked are somebody who talks; a wire without bias makes a few."""
LATE_S: Final = 0.02
TRIES: Final = 3
"""Times that a question is asked where this machine was late each time."""
_READS_MAX: Final = 16

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a protocol answers: its longest reply that counts here, and from how many bytes on what is no answer is noise."""

    reply_bytes: int
    noise_bytes: int


class AskedPort:
    """A port, open for as long as it is entered. Entering and reading raise as `SerialPort` does."""

    def __init__(self, path: str, baud: int) -> None:
        self.baud = baud
        self._path = path
        self._came = asyncio.Event()
        self._late_s = 0.0
        self._is_read_out = False

    async def __aenter__(self) -> Self:
        self._port = SerialPort(self._path, Line(self.baud))
        asyncio.get_running_loop().add_reader(self._port.fd, self._came.set)
        return self

    async def __aexit__(self, *_error: object) -> None:
        asyncio.get_running_loop().remove_reader(self._port.fd)
        self._port.close()

    def wire_s(self, size: int) -> float:
        """How long so many bytes are on the wire."""
        return size * BITS_A_BYTE / self.baud

    async def talks(self) -> bool:
        """Say nothing, and return whether something comes unasked."""
        until, count = time.monotonic() + LISTEN_S, 0
        while count < TALKS_BYTES and (data := await self.next(until)) is not None:
            count += len(data)
        return count >= TALKS_BYTES

    def say(self, message: bytes) -> None:
        """Send; what came before is forgotten."""
        for _ in range(_READS_MAX):
            if self._port.receive() is None:
                break
        self._is_read_out = False
        self._port.send(message)

    async def ask(
        self,
        message: bytes,
        wait_s: float,
        manner: Manner,
        hearing: Callable[[], Callable[[bytes], Answer | None]],
    ) -> tuple[Answer | None, bool]:
        """Ask once; return the answer, and whether there came noise in its place. Again where nothing came and this machine was late.

        `wait_s`: longest wait for an answer to begin. `hearing` makes what finds the answer in the parts that come.
        """
        found, is_noise = await self._ask_once(message, wait_s, manner, hearing())
        for _ in range(TRIES - 1):
            if found is not None or is_noise or not self.was_late:
                break
            found, is_noise = await self._ask_once(message, wait_s, manner, hearing())
        return found, is_noise

    async def _ask_once(
        self, message: bytes, wait_s: float, manner: Manner, hear: Callable[[bytes], Answer | None]
    ) -> tuple[Answer | None, bool]:
        self.say(message)
        until = time.monotonic() + wait_s + self.wire_s(len(message))
        latest, came = until + self.wire_s(manner.reply_bytes), b""
        while (part := await self.next(latest if came else until)) is not None:
            came = (came + part)[-4 * manner.reply_bytes :]
            if (found := hear(part)) is not None:
                return found, False
        # Adapters that hear themselves give back what was sent.
        return None, len(came.replace(message, b"")) >= manner.noise_bytes

    @property
    def was_late(self) -> bool:
        """Whether this machine itself was late at the end of the last wait, so that silence says nothing."""
        return self._late_s > LATE_S

    async def next(self, until_s: float) -> bytes | None:
        """Return what comes, None once it is time (monotonic); whoever babbles leaves the others of this loop their turns.

        It is looked once more when it is time: what came while this machine did something else was in time.
        """
        while True:
            self._came.clear()
            self._late_s = time.monotonic() - until_s
            is_over = self._late_s >= 0
            if is_over and self._is_read_out:
                return None
            self._is_read_out = is_over
            if (received := self._port.receive()) is not None:
                await asyncio.sleep(0)
                return received[0]
            if is_over:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() - self._late_s):
                    await self._came.wait()
