"""What the front hears of the lane process, and when: never before the relay was commanded."""

import asyncio
from collections.abc import Callable

from admission.ids import Epoch, EventId, TicketId
from admission.records import Outcome
from edge.gate import Gate
from edge.lane import TELL_AFTER_S
from edge.link import After, Appended, FromLane, Health, Part, Seen, Status
from edge.store.faults import StoreFault

HEAD_SOON_S = 0.05
"""Where other gates serve our zones, what we let in is signed so soon, well after the relay: they take our word only
up to a head. People at several lanes within this time share one."""
PUSH_AFTER_S = 0.1
"""Changes within this time go to the page as one status."""


class Telling:
    """Gathers what the front is to hear. Of the running loop.

    `push`: to every front that listens; `status`: as it is now, None where nobody listens.
    """

    def __init__(
        self, gate: Gate, push: Callable[[FromLane], None], status: Callable[[], Status | None]
    ) -> None:
        self._gate = gate
        self._push = push
        self._status = status
        self._loop = asyncio.get_running_loop()
        self._status_due: asyncio.TimerHandle | None = None
        self._due: asyncio.TimerHandle | None = None
        self._head_due: asyncio.TimerHandle | None = None
        self._untold: list[Seen] = []
        self._landed_seq = 0
        self._uncounted: set[tuple[EventId, TicketId]] = set()
        self._is_over = False

    def end(self) -> None:
        """The gate ends: what was seen is still told, no records are, and no head is signed early."""
        self._is_over = True

    def seen(self, seen: Seen) -> None:
        """Somebody presented something."""
        self._untold.append(seen)
        self.soon()
        if self._head_due is None and seen.outcome == Outcome.GRANT and self._is_awaited():
            self._head_due = self._loop.call_later(HEAD_SOON_S, self._sign)

    def became(self, epoch: Epoch, seq: int, after: After) -> None:
        """Something became of the one that a record let through: correct its row."""
        row = self._gate.scans.became(epoch, seq, after)
        if row is not None:
            self._untold.append(row)
            self.soon()

    def landed(self, seq: int) -> None:
        """More of the log is durable: let the uplink push."""
        self._landed_seq = seq
        self.soon()

    def changed(self) -> None:
        """Something the page shows changed; several changes make one status."""
        if self._status_due is None:
            self._status_due = self._loop.call_later(PUSH_AFTER_S, self._push_status)

    def soon(self) -> None:
        """Tell what is there to tell."""
        if self._due is None:
            self._due = self._loop.call_later(TELL_AFTER_S, self._tell)

    def count_recorded(self) -> None:
        """Count those again about whom something was recorded, also where the disk has not taken it yet."""
        self._uncounted |= self._gate.journal.take_recorded()
        if not self._uncounted:
            return
        try:
            self._gate.memory.recorded(self._uncounted)
        except StoreFault as fault:
            self._gate.unreadable(fault)
            return
        self._uncounted = set()
        self.changed()

    def _tell(self) -> None:
        self._due = None
        untold, self._untold = self._untold, []
        for seen in untold:
            self._push(seen)
        seq, self._landed_seq = self._landed_seq, 0
        if self._is_over:
            return
        self.count_recorded()
        if seq:
            self._push(Appended(self._gate.journal.epoch, seq))
            self.changed()

    def _is_awaited(self) -> bool:
        """Whether another gate hears of us at once."""
        gate = self._gate
        return gate.judge.has_others and gate.board.health(Part.UPLINK, "centre") is Health.OK

    def _sign(self) -> None:
        self._head_due = None
        if not self._is_over:
            self._gate.journal.sign_head(urgent=True)

    def _push_status(self) -> None:
        self._status_due = None
        status = self._status()
        if status is not None:
            self._push(status)
