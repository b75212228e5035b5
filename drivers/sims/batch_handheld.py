"""A batch handheld: it stores what it reads with its own clock's time, and sends all of it when it is docked."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drivers.sims.serial_scanner import SerialScanner


@dataclass(slots=True)
class BatchHandheld:
    """A handheld and its cradle. `line`: how it prints a line, as `str.format` and `strftime` have it."""

    cradle: SerialScanner
    line: str = "{code},{at:%d/%m/%y},{at:%H:%M:%S}"
    memory: list[tuple[str, datetime]] = field(default_factory=list)
    erases: bool = True

    @classmethod
    def at(cls, link: Path) -> "BatchHandheld":
        """Return one whose cradle will be plugged in at `link`."""
        return cls(SerialScanner(link))

    def read(self, code: str, at: datetime) -> None:
        """Read a code out in the field."""
        self.memory.append((code, at))

    async def dock(self) -> None:
        """Send what is stored; it is erased then, unless the device keeps it until somebody says so."""
        for code, at in tuple(self.memory):
            await self.cradle.scan(self.line.format(code=code, at=at).encode())
        if self.erases:
            self.memory.clear()
