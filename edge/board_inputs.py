"""The contacts of a relay board: heard from its guard, which owns the port, and told like those of any input board."""

import asyncio
from collections.abc import Collection
from typing import NoReturn

from drivers.base import BoardPart, DeviceGone, DriverError, EmitInput, InputChanged, InputsLost, Opened


class BoardInputs:
    """The inputs of one relay board (Inputs). The barrier feeds it, `run` tells whoever watches."""

    def __init__(self) -> None:
        self._what = ""
        self._levels: dict[int, InputChanged] = {}
        self._gone: dict[int, InputsLost] = {}
        """By their unit, where several boards are one to the gate."""
        self._emit: EmitInput | None = None
        self._failed: asyncio.Future[DriverError] | None = None
        self._active_low: Collection[int] = ()

    def wired(self, active_low: Collection[int]) -> None:
        """Say which lines are active when open."""
        self._active_low = active_low

    def opened(self, what: str) -> None:
        """The board is open; its contacts' levels follow."""
        self._what = what
        self._gone.clear()
        if self._emit is not None:
            self._emit(Opened(what))

    def changed(self, event: InputChanged) -> None:
        """A contact was found or changed, as it is wired."""
        active = event.active != (event.line in self._active_low)
        told = InputChanged(event.line, active, event.at_ns, event.first)
        self._levels[event.line] = told
        if self._emit is not None:
            self._emit(told)

    def part(self, part: BoardPart) -> None:
        """One of several boards went, or is back; its contacts' levels follow then."""
        if not part.inputs:
            return
        self._gone.pop(part.unit, None)
        if part.error is not None:
            self._gone[part.unit] = InputsLost(part.inputs, part.error)
            for line in part.inputs:
                self._levels.pop(line, None)
        if self._emit is not None:
            self._emit(next(reversed(self._gone.values()), None) or Opened(self._what))

    def lost(self, error: DriverError) -> None:
        """The board, or its guard, is gone."""
        self._what = ""
        self._levels.clear()
        self._gone.clear()
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(error)

    async def run(self, emit: EmitInput) -> NoReturn:
        """Watch until cancelled or until the board is gone; waits for a board that is not there, whose tile says so."""
        if self._emit is not None:
            raise DeviceGone("these contacts are watched already", "Name each relay board's inputs once.")
        self._failed = asyncio.get_running_loop().create_future()
        self._emit = emit
        try:
            if self._what:
                emit(Opened(self._what))
            for line in sorted(self._levels):
                level = self._levels[line]
                emit(InputChanged(line, level.active, level.at_ns, first=True))
            for gone in self._gone.values():
                emit(gone)
            raise await self._failed
        finally:
            self._emit = self._failed = None
