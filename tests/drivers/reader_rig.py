"""Running a reader in a test: waiting for what it emits, counting what it leaves open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from drivers.base import (
    Emit,
    Medium,
    Opened,
    Reader,
    ReaderEvent,
    Removed,
    Scan,
)

WAIT_S = 30
"""Only what fails waits so long: on a machine that does ten other things, what takes half a second may take five."""


class Listener:
    """Collects what a reader emits and lets a test wait for it; `removed` apart, since not every reader tells it."""

    def __init__(self) -> None:
        self.seen: list[ReaderEvent] = []
        self.removed: list[Removed] = []
        self._queue: asyncio.Queue[ReaderEvent] = asyncio.Queue()

    def emit(self, event: ReaderEvent) -> None:
        if isinstance(event, Removed):
            self.removed.append(event)
            return
        self.seen.append(event)
        self._queue.put_nowait(event)

    async def next(self) -> ReaderEvent:
        return await asyncio.wait_for(self._queue.get(), WAIT_S)


@asynccontextmanager
async def running(reader: Reader) -> AsyncIterator[tuple[Listener, asyncio.Task[None]]]:
    """Run a reader until it is open, and cancel it at the end if it still runs."""
    listener = Listener()

    async def run(emit: Emit) -> None:
        await reader.run(emit)

    task = asyncio.create_task(run(listener.emit))
    getter = asyncio.create_task(listener.next())
    try:
        await asyncio.wait({task, getter}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert isinstance(getter.result(), Opened)
        yield listener, task
    finally:
        getter.cancel()
        task.cancel()
        await asyncio.wait({task})


def scanned(event: ReaderEvent) -> tuple[Medium, bytes]:
    assert isinstance(event, Scan), event
    assert 0 < event.first_ns <= event.last_ns
    return event.medium, event.data


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
