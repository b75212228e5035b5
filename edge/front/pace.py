"""How fast to talk over a link that costs money and breaks: pure, by times that are given.

What waits, and for how long; how much goes in one batch; who goes first; when a line that says nothing is dead.
"""

import random
from enum import IntEnum
from typing import NamedTuple

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 60.0
"""A centre that comes back is not met by all gates in one second; each waits its own random part of this."""
BACKOFF_LEAST_S = 0.1
"""A random part may be nothing: no loop turns faster than this while all it meets is failure."""

BATCH_S = 2.0
"""A batch may take the link for so long: a grant made meanwhile is the next to go, and that is soon enough to be refused
at the next gate by the time somebody has walked there."""
FIRST_RECORDS = 1_000
"""Of a link nothing is known of: some 15 kB once packed, two seconds of a poor 3G cell, and nothing of a LAN."""
GROWTH = 4
"""A link proves what it gives by what it took: from one record to the largest batch in seven answers."""
LEARN = 0.5
"""Weight of the newest answer: a cell that fills up is noticed within two batches."""
RECORD_BYTES = 60.0
"""Of a record before it is packed, until the first answer tells (DESIGN.md, Records); packing makes all smaller alike."""
LEAST_S = 0.001
"""No answer is counted as quicker: a clock that stands would make the link endless."""

BEAT_LEAST_S, BEAT_FIRST_S, BEAT_MAX_S = 15, 65, 65
"""Between two signs of life on the stream. Carriers forget a silent connection after 2 to 5 min (facts/hardware.md, 6): half
of that is safe. The centre seals once a minute, which is a sign too: at 65 s nothing else is sent where seals come, and one
that is missed shows. Where a carrier is stricter, streams die in silence, and the next asks for signs twice as often."""
BEAT_STEP_S = 5
BEAT_PROVED_S = 3600.0
"""A stream that lived so long on one pace may try a slower one."""
GRACE_S = 5.0
"""What a sign of life may be late by, beside one that was missed: a mobile link that repeats for a while."""

QUIET_AFTER_S = 600.0
"""Nobody came, at this gate or another, for so long: the venue is closed, or nearly."""
ROUND_S = 1200.0
"""While it is quiet, all that is asked is asked in one round, over one connection: opening it costs more than the
questions. What is new comes by the stream meanwhile, with a seal a minute, and ends the quiet."""
PLACE_S = 2.0
"""Between two questions of a round, so that the next finds the connection of the one before free."""

HELD_MAX_S = 60.0
"""Longest wait for those that are more urgent: beside a gate that lets in without end a neighbour's records go up all the same."""


def backoff_s(failures: int, chance: random.Random) -> float:
    """Return how long to wait after so many failures in a row: any part of a growing time, so that gates that failed
    together do not come again together."""
    ceiling = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(max(failures, 0), 10))
    return max(BACKOFF_LEAST_S, ceiling * chance.random())


class Batches:
    """How many records go up at once: as many as the link takes in `BATCH_S`, by what it took before."""

    def __init__(self, records_max: int) -> None:
        self._max = records_max
        self._records = min(FIRST_RECORDS, records_max)
        self._record_bytes = RECORD_BYTES
        self._bytes_s: float | None = None
        """What the link gives; None until it was seen."""
        self._round_s: float | None = None
        """The quickest answer seen: what a batch of nothing costs."""

    @property
    def records(self) -> int:
        """How many records the next batch has at most; at least one."""
        return self._records

    @property
    def bytes_per_s(self) -> float | None:
        """What the link gives upwards, as far as it was seen."""
        return self._bytes_s

    def took(self, records: int, sent_bytes: int, seconds: float) -> None:
        """A batch was answered, `seconds` after its first byte went."""
        if records < 1 or sent_bytes < 1:
            return
        seconds = max(seconds, LEAST_S)
        self._round_s = min(seconds, seconds if self._round_s is None else self._round_s)
        each = sent_bytes / records
        self._record_bytes += LEARN * (each - self._record_bytes)
        # The round trip is no part of what the link gives; for what is as quick as it, no more can be said than this.
        seen = sent_bytes / max(seconds - self._round_s / 2, LEAST_S)
        self._bytes_s = seen if self._bytes_s is None else self._bytes_s + LEARN * (seen - self._bytes_s)
        wanted = int(self._bytes_s * BATCH_S / max(self._record_bytes, 1.0))
        if seconds > BATCH_S:  # it was too much, whatever the mean says
            wanted = min(wanted, int(records * BATCH_S / seconds))
        grown = max(self._records, records) * GROWTH
        self._records = max(1, min(wanted, grown, self._max))

    def failed(self) -> None:
        """A batch was not answered: the next is smaller, so that some of it gets through between two cuts."""
        self._records = max(1, self._records // GROWTH)


class Beat:
    """How often the stream must show that it lives: seldom enough to cost little, often enough for the carrier."""

    def __init__(self) -> None:
        self._beat_s = BEAT_FIRST_S

    @property
    def beat_s(self) -> int:
        """Seconds from one sign of life to the next, as the centre is asked for them."""
        return self._beat_s

    @property
    def silence_s(self) -> float:
        """A stream that is silent for longer is dead, whatever the network says: two signs were missed."""
        return 2 * self._beat_s + GRACE_S

    def died(self, silent: bool) -> None:
        """A stream broke; `silent`: by saying nothing, as one does that the carrier forgot."""
        if silent:
            self._beat_s = max(BEAT_LEAST_S, self._beat_s // 2)

    def lived(self, seconds: float) -> None:
        """A stream ended in good order, or goes on, and has lived for so long."""
        if seconds >= BEAT_PROVED_S:
            self._beat_s = min(BEAT_MAX_S, self._beat_s + BEAT_STEP_S)


class Quiet:
    """Whether anything goes on: where nothing does, questions may be asked seldomer."""

    def __init__(self, now_s: float, after_s: float = QUIET_AFTER_S) -> None:
        self._moved_s, self._after_s = now_s, after_s

    def moved(self, now_s: float) -> None:
        """Something went on: somebody came here or elsewhere."""
        self._moved_s = max(self._moved_s, now_s)

    def is_quiet(self, now_s: float) -> bool:
        """Whether nothing did for long."""
        return now_s - self._moved_s >= self._after_s


class Idle(NamedTuple):
    """When a gate is quiet, and how often it asks then."""

    quiet_after_s: float = QUIET_AFTER_S
    round_s: float = ROUND_S


IDLE = Idle()


def round_in_s(now_s: float, phase_s: float, place: int, every: int = 1, round_s: float = ROUND_S) -> float:
    """Return how long it is to the next round, or to the next of which only each `every`-th is meant.

    `phase_s`: this gate's own, so that gates do not ask at one moment; `place`: whose turn it is within the round.
    """
    number = int((now_s - phase_s) // round_s) + 1
    number += -number % every
    return phase_s + number * round_s + place * PLACE_S - now_s


class Kind(IntEnum):
    """What goes up the link in batches that fill it, most urgent first.

    Nothing else queues. Questions are some hundred bytes. What comes down needs no order of ours: a cancel is told by the stream
    with the hint itself, some kilobytes beside a whole list, which takes its part of the link and no more; to stop reading that
    list would free nothing for seconds, since as much as the kernel's buffers hold is on its way already.
    """

    OWN = 0
    """Records of this gate: a use that the others do not know of lets somebody in twice."""
    CARRIED = 1
    """What other gates recorded, on its way up for those whose modem is dead."""


class Turns:
    """Who may use the link now. One that is under way is not stopped; the next begins by rank."""

    def __init__(self) -> None:
        self._wants: dict[Kind, int] = {}
        self._held_since_s: dict[Kind, float] = {}

    def begin(self, kind: Kind) -> None:
        """Somebody of a kind waits, or is under way."""
        self._wants[kind] = self._wants.get(kind, 0) + 1

    def end(self, kind: Kind) -> None:
        """And is done."""
        left = self._wants.get(kind, 0) - 1
        assert left >= 0, "ended more often than begun"
        if left:
            self._wants[kind] = left
        else:
            del self._wants[kind]

    def may(self, kind: Kind, now_s: float) -> bool:
        """Whether the next piece of a kind may go: nobody more urgent is there, or it was held up for long enough."""
        if all(kind <= one for one in self._wants):
            self._held_since_s.pop(kind, None)
            return True
        if now_s - self._held_since_s.setdefault(kind, now_s) >= HELD_MAX_S:
            del self._held_since_s[kind]
            return True
        return False


__all__ = ["IDLE", "Batches", "Beat", "Idle", "Kind", "Quiet", "Turns", "backoff_s", "round_in_s"]
