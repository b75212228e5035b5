"""Searches of buses that a technician asked for: each goes on beside the page, and ends with it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field

from edge.commission.inventory import NodeKind, Plugged


@dataclass(slots=True)
class Searches:
    """Those under way."""

    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def begin(self, search: Coroutine[None, None, None]) -> None:
        """Have one go on by itself."""
        task = asyncio.ensure_future(search)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every search."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def port_of(device: Plugged) -> str:
    """Return the serial port of an adapter."""
    return next(one.path for one in device.nodes if one.kind is NodeKind.SERIAL)
