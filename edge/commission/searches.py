"""Searches of buses that a technician asked for: each goes on beside the page, and ends with it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field

from edge.commission.inventory import NodeKind, Plugged


@dataclass(slots=True)
class Searches:
    """Those under way, by their adapters."""

    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    def begin(self, place: str, search: Coroutine[None, None, None]) -> None:
        """Have one go on by itself; an adapter has one at a time."""
        task = asyncio.ensure_future(search)
        self._tasks[place] = task
        task.add_done_callback(lambda _task: self._tasks.pop(place, None))

    async def end(self, place: str) -> bool:
        """End the one at an adapter, and wait until its port is given back; whether there was one."""
        task = self._tasks.get(place)
        if task is None:
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    async def close(self) -> None:
        """End every search."""
        for place in [*self._tasks]:
            await self.end(place)


def port_of(device: Plugged) -> str:
    """Return the serial port of an adapter."""
    return next(one.path for one in device.nodes if one.kind is NodeKind.SERIAL)
