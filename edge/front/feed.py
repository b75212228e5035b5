"""What other gates recorded, on its way down from the centre: asked for by cursor, handed to the lane."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from admission.ids import GateId
from edge.asking import ASK_MAX_S
from edge.clock import Clock
from edge.front.belief import Belief
from edge.front.centre import Centre
from edge.front.intake import Intake
from edge.front.past import Past
from edge.front.rounds import Rounds
from edge.link import HeardGates
from sync.wire.feed import WAIT_MAX_MS, Ask, Feed
from sync.wire.messages import Chunk, of_people

LEFT_OUT_S = 2.0
"""Pause between two questions for news while records are left out for want of a roster."""
AGE_MAX_MS = 2**32 - 1
ASKING_WAIT_MS = 300
"""How long a question waits at the centre while somebody stands here for whom all must be heard: who answers between two
questions is told of by the next, at once, and is no news to wait for."""
FEED_PAUSE_S = 0.05
"""Between two questions for news; the centre lets us wait, but one that does not must not keep us busy."""


class Hearing(Protocol):
    """Who is told how much of the others is known (`edge.front.lane_client.LaneClient`)."""

    def say_heard(self, heard: HeardGates) -> None:
        """Tell the lane until when all of the other gates is known."""
        ...


class FeedDown:
    """Asks for news of other gates. `due` ends a quiet wait; `roster_due` is set where a newer roster may help.

    `behind_s`: for how long our own oldest record has been waiting, which the centre tells the others. `has` is told what
    the centre has. `is_dear`: whether the link costs so much now that news are asked for in rounds only. `list_proved` waits
    until the list is as new as the centre's, where somebody waits to be let in; False where that took too long.
    """

    def __init__(
        self,
        centre: Centre,
        intake: Intake,
        belief: Belief,
        past: Past,
        rounds: Rounds,
        lane: Hearing,
        clock: Clock,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        roster_due: asyncio.Event,
        behind_s: Callable[[], int],
        has: Callable[[Iterable[Chunk]], None],
        is_dear: Callable[[], bool],
        list_proved: Callable[[], Awaitable[bool]],
    ) -> None:
        self._centre, self._intake, self._merged = centre, intake, intake.merged
        self._belief, self._past, self._rounds = belief, past, rounds
        self._lane, self._clock, self._in_thread = lane, clock, in_thread
        self._roster_due, self._behind_s, self._has = roster_due, behind_s, has
        self._is_dear, self._list_proved = is_dear, list_proved
        self.due = asyncio.Event()
        self._wait_ms = 0
        """How long the next question waits at the centre."""
        self._rouses = False
        self._asking_until_s = 0.0

    def ask_all(self) -> None:
        """Somebody stands here for whom all must be heard: ask now, and have those asked who rest."""
        self._rouses, self._asking_until_s = True, self._mono_s() + ASK_MAX_S
        self.due.set()

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    @property
    def _is_asking(self) -> bool:
        return self._mono_s() < self._asking_until_s

    async def ask(self) -> float:
        """Read on, and hand it to the lane; the next question waits at the centre for news."""
        await self._past.known.wait()  # else a roster might be gone by that ran out while this box was away
        cursor, wants = await self._in_thread(lambda: (self._merged.cursor, self._merged.wants()))
        self.due.clear()
        # After a cut nobody waits for news before it is known who was heard meanwhile.
        wait_ms, self._wait_ms = self._wait_ms, 0
        rouses = self._rouses
        feed, chunks = await self._centre.feed(Ask(cursor, wait_ms, self._behind_s(), wants, rouses))
        self._rouses = self._rouses and not rouses
        told_ns = self._clock.mono_ns()
        self._has(chunks)  # at once: by when the card has them, it may be a restored centre that is asked
        has_news = await self._intake.feed(feed.cursor, chunks)
        if self._merged.doubts:
            self._roster_due.set()
        if not feed.more:
            await self._in_thread(self._merged.caught_up)
            # Who was cancelled meanwhile is not let in for the others being heard.
            if not self._is_asking or await self._list_proved():
                self._say_heard(feed, told_ns)
        left_out = bool(self._merged.left_out)
        self._wait_ms = 0 if left_out else ASKING_WAIT_MS if self._is_asking else WAIT_MAX_MS
        if left_out and not self._belief.may():
            return LEFT_OUT_S
        if not feed.more and self._is_dear():
            self._wait_ms = 0
            return self._rounds.next_s(0)
        if of_people(chunks):
            self._rounds.moved()  # a list that changed is told of by each gate, and ends nobody's rest
        if feed.more or has_news:
            return 0.0
        if self._rounds.is_quiet():
            # The stream tells of news; nobody waits on a line that the carrier forgets.
            self._wait_ms = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rounds.pause_s(0.0, 0)):
                    await self.due.wait()
        return FEED_PAUSE_S

    def _say_heard(self, feed: Feed, told_ns: int) -> None:
        """Tell the lane until when it knows all of the others: of a gate whose records were left out, nothing new."""
        since_ms = (self._clock.mono_ns() - told_ns) // 1_000_000
        ages = {
            gate: min(one.age_ms + since_ms, AGE_MAX_MS)
            for one in feed.heard
            if (gate := GateId(one.gate)) not in self._merged.left_out
        }
        self._lane.say_heard(HeardGates(ages, dict(self._merged.troubles)))


__all__ = ["FEED_PAUSE_S", "FeedDown"]
