"""A serial scanner's side of the wire: what it sends for a code, and what it hears."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from drivers.sims.ports import SimPort

HEARD_BYTES_MAX = 256
"""How much of what the host sent is remembered: the last few signals."""


@dataclass(frozen=True, slots=True)
class SerialSetting:
    """How the scanner is programmed. `aim`: the identifier that it sends before each code, e.g. `]Q1`."""

    suffix: bytes = b"\r"
    prefix: bytes = b""
    aim: bytes = b""


class SerialScanner:
    """A scanner on a simulated port."""

    def __init__(self, link: Path, setting: SerialSetting | None = None) -> None:
        self.setting = setting or SerialSetting()
        self.port = SimPort(link, self._hear)
        self.heard = bytearray()
        self._heard_something = asyncio.Event()

    def encode(self, text: bytes) -> bytes:
        """Return the bytes sent for a code."""
        return self.setting.prefix + self.setting.aim + text + self.setting.suffix

    async def scan(self, text: bytes, *, chunk: int | None = None, stop_after: int | None = None) -> None:
        """Read a code. `chunk`: bytes per write. `stop_after`: send only so many, as a pulled plug does."""
        await self.garbage(self.encode(text)[:stop_after], chunk=chunk)

    async def garbage(self, data: bytes, *, chunk: int | None = None) -> None:
        """Send any bytes."""
        step = chunk or max(1, len(data))
        for start in range(0, len(data), step):
            await self.port.send(data[start : start + step])
            await asyncio.sleep(0)

    async def hear(self, size: int) -> bytes:
        """Wait until the host has sent so many bytes; return what is remembered."""
        while len(self.heard) < size:
            self._heard_something.clear()
            await self._heard_something.wait()
        return bytes(self.heard)

    def _hear(self, data: bytes) -> None:
        self.heard += data
        del self.heard[:-HEARD_BYTES_MAX]
        self._heard_something.set()
