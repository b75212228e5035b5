"""A KMTronic relay board, the device's side, on a pty. It latches, and drops its relays with the plug that powers it."""

from collections.abc import Callable
from pathlib import Path

from drivers.framing.kmtronic import Commands, status_reply
from drivers.sims.answering_board import AnsweringBoard
from drivers.sims.lcus_board import RelayChange


class KmtronicBoard(AnsweringBoard):
    """Relays that obey `FF channel state`, and say how they are when asked."""

    def __init__(
        self, lines: int, link: Path, on_change: Callable[[RelayChange], None] = lambda _: None
    ) -> None:
        super().__init__(lines, link, on_change)
        self._commands = Commands(lines)

    def answers(self, data: bytes) -> list[bytes]:
        """Obey, and answer what asks."""
        said = []
        for command in self._commands.feed(data):
            if command.on is not None:
                self.switch(command.line, on=command.on)
            elif command.line < 0:
                said.append(status_reply(tuple(self.levels)))
            else:
                said.append(status_reply(tuple(self.levels))[3 * command.line : 3 * command.line + 3])
        return said
