"""One conversation with a neighbour: where it stands, and what of it is on its way to the lane."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from admission.ids import Epoch, GateId
from edge.front.peers.connection import Connection
from sync.wire.channel import RosterStamp
from sync.wire.peer_lists import Lists
from sync.wire.peers import Place, Talk

GIVE_EVERY_S = 2.0
"""How often a neighbour is given what leads on from where it says it is: who says so all the time gets no more."""


@dataclass(slots=True, eq=False)
class Conversation:
    """A neighbour that proved itself. `told`: what of others it was told that we hold."""

    connection: Connection
    talk: Talk
    since_s: float
    told: dict[tuple[GateId, Epoch], int]
    heard: int = 0
    roster: RosterStamp = (0, 0)
    """Of the roster that it goes by, as far as we know."""
    was_whole: bool = False
    has_beaten: bool = False
    """It said its first beat, and was answered."""
    retried_s: float = 0.0
    place: Place | None = None
    """Where others may find it."""
    giver: object = None
    """As lists know it (`edge.front.near_lists`)."""
    said: Lists | None = None
    """What it was told last of our list."""
    behind: Lists | None = None
    """Where it said to be, while it was not given yet what leads on from there."""
    gave_s: float = -GIVE_EVERY_S
    _taking: asyncio.Task[None] | None = None
    _leading: asyncio.Task[None] | None = None

    def lead_on(self, leading: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have it given what leads on, if it waits for that: beside all else, since it may not read."""
        if self.behind is not None and (self._leading is None or self._leading.done()):
            self._leading = asyncio.create_task(leading())

    async def takes_in(self, taking: Coroutine[None, None, None]) -> None:
        """Have records taken in beside the judging of those that come next: of no more than two messages at once.

        What those before them met is raised here.
        """
        before, self._taking = self._taking, asyncio.create_task(taking)
        if before is not None:
            await before

    async def settled(self) -> None:
        """Wait until the lane has all that came; what that met is raised here."""
        before, self._taking = self._taking, None
        if before is not None:
            await before

    async def end(self) -> None:
        """What came before a neighbour went is still taken in, unless we are to end ourselves."""
        if self._leading is not None:
            self._leading.cancel()
            await asyncio.gather(self._leading, return_exceptions=True)
        task = asyncio.current_task()
        if self._taking is None:
            return
        if task is not None and task.cancelling():
            self._taking.cancel()
        await asyncio.gather(self._taking, return_exceptions=True)


__all__ = ["GIVE_EVERY_S", "Conversation"]
