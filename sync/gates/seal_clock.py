"""The time that seals are made at: it never goes back, whatever the centre's clock does, nor beside an older version's.

Gates refuse a newer version that was sealed before an older one (`sync.wire.seals.advance`). A clock that is set back would
make only such until it has caught up. So each replica goes on from the newest time that it sealed anything at, and every
minute writes it down and takes over what others wrote, also after a restart. It never runs ahead of what was sealed but by a
second for each renewal, which shows gates that the centre lives: whoever sets the clock right loses nothing, and the clock
catches up.
"""

import threading
from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Integer, Table, insert, select, update

from admission.ids import EventId
from sync.store.database import Database
from sync.store.schema import METADATA, queue
from sync.wire.seals import RENEW_S

BEHIND_S = RENEW_S
"""A clock that is further behind is told: less is what replicas' clocks differ by, or a restart cannot know."""

seal_clock = Table(
    "seal_clock",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at_s", BigInteger, nullable=False),
)
"""One row: the newest time that anything was sealed at, as of the last renewal."""


class _Said(NamedTuple):
    """The newest version of an event that was sealed, when it first was, and when last."""

    place: tuple[int, int]
    first_s: int
    last_s: int


class SealClock:
    """The time of one replica's seals. For any thread; the first question reads the database, `keep` writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._newest_s = 0
        self._is_read = False
        self._said: dict[EventId, _Said] = {}

    def now_s(self, now_s: int) -> int:
        """Return the time to seal at. `now_s`: what the clock says."""
        with self._lock:
            if not self._is_read:
                with self._database.reading() as connection:
                    self._newest_s = max(self._newest_s, _since(connection, now_s))
                self._is_read = True
            self._newest_s = max(self._newest_s, now_s)
            return self._newest_s

    def of(self, event: EventId, place: tuple[int, int], at_least_s: int, now_s: int) -> int:
        """Return the time to seal a version at. `place`: generation and version; `at_least_s`: when it was made."""
        newest_s = max(self.now_s(now_s), at_least_s)
        with self._lock:
            said = self._said.get(event)
            if said is not None and place < said.place:
                return min(
                    newest_s, said.first_s
                )  # read before the newer one was: it is told after it at worst
            if said is None or place > said.place:
                said = _Said(place, newest_s, newest_s)
            said = self._said[event] = said._replace(last_s=max(said.last_s, newest_s))
            self._newest_s = max(self._newest_s, said.last_s)
            return said.last_s

    def by_the_minute(self, event: EventId, place: tuple[int, int], at_least_s: int, now_s: int) -> int:
        """Return the same, but of a version that is older than the minute its beginning: all replicas tell the same then, and
        a gate that has it is told so in a line."""
        time_s = self.of(event, place, at_least_s, now_s)
        begun_s = time_s // RENEW_S * RENEW_S
        with self._lock:
            return begun_s if self._said[event].first_s <= begun_s else time_s

    def behind_s(self, now_s: int) -> int:
        """Return by how much the clock is behind what was sealed; 0 where it is by no more than `BEHIND_S`."""
        with self._lock:
            behind = self._newest_s - now_s
        return behind if behind > BEHIND_S else 0

    def keep(self, now_s: int) -> None:
        """Go on to a renewal: later than the one before, and written down. Blocks."""
        newest_s = self.now_s(now_s)
        if newest_s > now_s:
            newest_s += 1
        kept = self._database.transact(lambda connection: _keep(connection, newest_s))
        with self._lock:
            self._newest_s = max(self._newest_s, kept)


def _since(connection: Connection, now_s: int) -> int:
    """Return the time that what comes is not to be sealed before."""
    kept = connection.execute(select(seal_clock.c.at_s)).scalar()
    if kept is None or kept <= now_s:
        return 0
    return int(kept) + RENEW_S  # what was sealed since that was written is not known


def _keep(connection: Connection, newest_s: int) -> int:
    queue(connection, "seal_clock")
    kept = connection.execute(select(seal_clock.c.at_s)).scalar()
    if kept is None:
        connection.execute(insert(seal_clock).values(id=1, at_s=newest_s))
    elif newest_s > kept:
        connection.execute(update(seal_clock).values(at_s=newest_s))
    return max(newest_s, kept or 0)
