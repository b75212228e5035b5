"""How this gate is, on its way up: told when the lane holds a newer list, else now and then."""

import asyncio
import contextlib
import random
from typing import Protocol

from edge.front.centre import Centre
from edge.front.rounds import Rounds
from edge.front.stream import News
from edge.front.uplink_tile import UplinkTile
from edge.front.upload import Upload
from edge.version import VERSION
from sync.wire.deltas import STATUS_EVERY_S, GateStatus, LaneWays

STATUS_PAUSE_S = 1.0
"""Least time between two statuses of ours: the centre has 2,000 gates."""


class WaysKnown(Protocol):
    """What is known of the lanes (`edge.front.lane_client.LaneClient`)."""

    @property
    def verdict(self) -> str:
        """How the gate is, in the page's one word; "" while that is not known."""
        ...

    @property
    def doubted(self) -> tuple[int, ...]:
        """Other gates that claim more than they can."""
        ...

    @property
    def ways(self) -> tuple[LaneWays, ...]:
        """Which ways each lane is passed; none while that is not known."""
        ...


class StatusUp:
    """Tells the centre, one `tell` at a time."""

    def __init__(
        self,
        centre: Centre,
        news: News,
        upload: Upload,
        tile: UplinkTile,
        rounds: Rounds,
        lane: WaysKnown,
        chance: random.Random,
    ) -> None:
        self._centre, self._news, self._upload = centre, news, upload
        self._tile, self._rounds, self._lane, self._chance = tile, rounds, lane, chance

    async def tell(self) -> float:
        """Say how we are; then wait until there is something to say again."""
        self._news.moved.clear()
        _, code, _ = self._tile.state()
        queued, is_quiet = self._upload.queued or 0, self._rounds.is_quiet()
        await self._centre.tell(
            GateStatus(
                versions=self._news.versions,
                software=VERSION,
                outbox=queued,
                outbox_age_s=self._upload.behind_s if queued else 0,
                clock_off_s=-self._centre.ahead_s,
                uplink=code,
                verdict=self._lane.verdict,
                doubted=self._lane.doubted,
                lanes=self._lane.ways,
                again_s=int(self._rounds.round_s) if is_quiet else 0,
            )
        )
        self._tile.answered("status")
        with contextlib.suppress(TimeoutError):
            pause_s = STATUS_EVERY_S * self._chance.uniform(0.75, 1.0)
            async with asyncio.timeout(self._rounds.pause_s(pause_s, 1) if is_quiet else pause_s):
                await self._news.moved.wait()
        return STATUS_PAUSE_S


__all__ = ["StatusUp", "WaysKnown"]
