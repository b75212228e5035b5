"""Whom this gate believes: the venue's keys, and the roster that it judges other gates' records by."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from edge.front.centre import Centre
from edge.front.documents import Documents
from edge.front.doubt import Doubt
from edge.front.merged import Merged
from edge.front.past import Past
from edge.link import Done
from sync.wire.counted import Limit, limits_of
from sync.wire.roster import Roster
from sync.wire.snapshots import Manifest

DOCUMENTS_EVERY_S = 3600.0
"""A manifest tells of newer ones at once; by the clock only what runs out is noticed."""


class Believing(Protocol):
    """Who counts records (`edge.front.lane_client.LaneClient`)."""

    async def believe(self, limits: Sequence[Limit]) -> Done:
        """Say whose records count how far. ConnectionError where none answers."""
        ...


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs what reads the log, in the one thread that may."""


class Belief:
    """Follows keys, roster and page certificates. `look` again and again; `due` has it look at once.

    `told` is the newest manifest; `answered` is called when the centre has said all there is to say.
    """

    def __init__(
        self,
        documents: Documents,
        past: Past,
        doubt: Doubt,
        due: asyncio.Event,
        centre: Centre,
        lane: Believing,
        in_thread: InThread,
    ) -> None:
        self._documents, self._past = documents, past
        self._doubt, self._due, self._centre = doubt, due, centre
        self._lane, self._in_thread = lane, in_thread
        self._believed: Roster | None = None
        """The roster that the lane goes by."""

    @property
    def documents(self) -> Documents:
        """What is held of keys and rosters."""
        return self._documents

    def roster(self) -> Roster | None:
        """Return the newest roster, in force or not."""
        return self._documents.held

    def may(self) -> bool:
        """Whether there is a roster to take other gates' records by. A centre that signs none yet is believed by its list."""
        held = self._documents.held
        return not self._documents.knows_roster_key or (held is not None and held.is_valid(self._past.over_s))

    def in_force(self) -> Roster | None:
        """Return the roster to meet neighbours by."""
        held = self._documents.held
        return held if held is not None and self.may() else None

    @property
    def over_since_s(self) -> int:
        """When the roster ran out; 0: it is in force, or there is none."""
        held = self._documents.held
        return held.expires_at_s if held is not None and not held.is_valid(self._past.over_s) else 0

    async def look(self, told: Manifest | None, merged: Merged, answered: Callable[[], None]) -> None:
        """Follow what the centre has; at once where an answer could not be proved. Then wait until it is due again."""
        self._due.clear()
        await self._documents.follow_offered()
        if self._doubt.stands:
            await self._documents.follow_keys()
            self._doubt.settle()
        await self.pass_on(merged)
        await self._documents.look(told)
        if merged.doubts:
            if self._documents.knows_roster_key:
                await self._documents.take_roster(await self._centre.roster())
            await self._in_thread(merged.settle)
        await self.pass_on(merged)
        await self._documents.keep_offered()
        await self._documents.certify()
        answered()  # not only when there is something to ask for again
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DOCUMENTS_EVERY_S):
                await self._due.wait()

    async def pass_on(self, merged: Merged) -> None:
        """Have the lane go by the roster. OSError where it does not take it."""
        held = self._documents.held
        if held is None or held is self._believed:
            return
        self._past.signed(held.issued_at_s)
        limits = await self._in_thread(lambda: limits_of(held, merged.foreign() if held.revoked else ()))
        done = await self._lane.believe(limits)
        if not done.ok:
            raise OSError(f"the lane did not take the roster: {done.code}")
        self._believed = held


__all__ = ["Belief"]
