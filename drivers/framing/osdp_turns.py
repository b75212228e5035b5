"""Whose turn it is on an OSDP bus, without I/O: a message and its answer each.

Readers that are read come first: whatever else is said, one of them has the next turn. A reader that is away is asked once all of
them had a turn, and seldom, so that a card at one that is there waits for one such message at most. While somebody does not answer,
each is waited for no longer than it is known to take.

Readers that fall silent together are gone together, since what each of them missed counts for all: else the last of many would be told
only when those before it had been waited for.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.base import DriverError, ReaderEvent
from drivers.framing.osdp import FRAME_BYTES_MIN, Replies, address_of
from drivers.framing.osdp_host import MISSES_MIN, SILENT_NS, OsdpHost

REACT_NS: Final = 10_000_000
"""What a reader takes at least for the first byte of an answer, adapter and all, as far as it is known."""
SLACK_NS: Final = 20_000_000
"""One that is asked in haste is waited for so much longer than it is known to take: FTDI's adapters keep bytes for up to 16 ms."""
IN_FULL_EVERY: Final = 8
"""A reader that was never heard is waited for in full at the first of so many messages, while others of its bus answer."""
REST_NS: Final = 100_000_000
"""Pause between two messages to readers that are away, while others are read."""
TOGETHER_MIN: Final = 5
"""Messages that readers left unanswered together before one that missed fewer than `MISSES_MIN` may be gone; noise meets all of a bus,
too, and takes as many seldom before one of them answers again."""
ROW_DOUBTFUL: Final = 2
"""After so many messages in a row that nobody answered, who was heard last is asked: its answer tells that the bus lives."""
ROW_DEAD: Final = 10
"""After so many, also those are gone that were not asked yet: of many readers at 9600 baud not all have a turn within a second."""
GAP_NS: Final = 30_000_000
"""An answer that began is waited for while its bytes come: 20 ms between two of them end it (Annex: inter-character time-out)."""
ANSWERS_MAX: Final = 4
"""Times that an answer is waited for at most, however long its bytes go on coming."""
BITS_A_BYTE: Final = 11


@dataclass(frozen=True, slots=True)
class Said:
    """What a reader said: `events`, or `error` that ended it."""

    host: OsdpHost
    events: Sequence[ReaderEvent] = ()
    error: DriverError | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done now: `message` is to be sent, b"" for none, and `look_ns` is when to look again, None where nobody is there.

    `ended`: readers that are over, no longer on the bus.
    """

    message: bytes
    look_ns: int | None
    ended: Sequence[Said] = ()


class OsdpTurns:
    """The readers of one bus of `baud`."""

    def __init__(self, baud: int) -> None:
        self._baud = baud
        self._replies = Replies()
        self._hosts: dict[int, OsdpHost] = {}
        self._asked: OsdpHost | None = None
        self._noise = False
        self._until_ns = self._latest_ns = 0
        self._sent_ns = 0
        """When our last message is all on the wire, at its speed."""
        self._first_ns: int | None = None
        """When the first byte after it came."""
        self._known_ns: dict[int, int] = {}
        """How long readers take to answer, by address; of those that are gone, too."""
        self._vain: Counter[int] = Counter()
        """Messages that one which was not met yet left unanswered, by address."""
        self._misses = 0
        """Messages that readers which were met left unanswered, since one of them answered again."""
        self._missed_ns = 0
        """When the last of them was."""
        self._row = 0
        """Messages in a row that nobody answered."""
        self._owed = False
        """Whether the last turn was of one that is not open, or missed: the next is of one that is read."""
        self._rest_ns = 0
        """When one that is not there may be asked again."""

    def join(self, host: OsdpHost) -> None:
        """Add a reader, whose address nobody on the bus has."""
        self._hosts[host.address] = host

    def leave(self, host: OsdpHost) -> None:
        """Take a reader off, if it is there."""
        if self._hosts.get(host.address) is host:
            del self._hosts[host.address]

    def hear(self, data: bytes, now_ns: int) -> list[Said]:
        """Give each reader its replies in what came over the bus."""
        if self._first_ns is None:
            self._first_ns = now_ns
        replies = self._replies.feed(data)
        self._noise = not replies
        self._until_ns = min(max(self._until_ns, now_ns + GAP_NS), self._latest_ns)
        said = []
        for reply in replies:
            host = self._hosts.get(address_of(reply))
            if host is not None:
                said.append(self._hear(host, reply, now_ns))
        return said

    def turn(self, now_ns: int) -> Turn:
        """Give the wire to whose turn it is."""
        asked, ended = self._asked, list[Said]()
        if asked is not None and self._hosts.get(asked.address) is asked and asked.waits:
            if now_ns < self._until_ns:
                return Turn(b"", self._until_ns)
            ended += self._missed(asked, now_ns)
        ended += self._gone(now_ns)
        self._asked = None
        host, look_ns = self._whose(now_ns)
        if host is None:
            return Turn(b"", look_ns, ended)
        message = host.ask(now_ns)
        self._replies.clear()
        self._noise = False
        self._asked = host
        self._owed = not host.ready or host.tries > 0
        self._first_ns = None
        self._sent_ns = now_ns + self._wire_ns(len(message))
        wait_ns = self._wire_ns(len(message) + FRAME_BYTES_MIN) + self._answer_ns(host)
        self._until_ns, self._latest_ns = now_ns + wait_ns, now_ns + ANSWERS_MAX * wait_ns
        return Turn(message, self._until_ns, ended)

    # --- answers ---------------------------------------------------------------------------------------------------

    def _hear(self, host: OsdpHost, reply: bytes, now_ns: int) -> Said:
        reckons, waited, again = host.reckons, host.waits, host.tries > 0
        try:
            events = host.hear(reply, now_ns)
        except DriverError as error:
            self.leave(host)
            return Said(host, error=error)
        if waited and not host.waits:
            self._row = 0
            self._misses = 0 if again else self._misses
        if host is self._asked and waited and not host.waits and not reckons and self._first_ns is not None:
            self._learn(host.address, self._first_ns - self._sent_ns)
        return Said(host, events)

    def _learn(self, address: int, took_ns: int) -> None:
        """What it took at most of late: one delay, as this machine has them too, is forgotten within some dozen polls."""
        known_ns = self._known_ns.get(address, 0)
        self._known_ns[address] = max(took_ns, known_ns - known_ns // 16)

    def _answer_ns(self, host: OsdpHost) -> int:
        """How long its answer is waited for: while somebody does not answer, not for longer than it takes."""
        hosts, known_ns = self._hosts.values(), self._known_ns.get(host.address)
        if known_ns is None:
            in_full = not self._vain[host.address] % IN_FULL_EVERY or not any(one.met for one in hosts)
        else:
            in_full = host.met and (not self._misses or len(hosts) == 1)
        if host.reckons or in_full:
            return host.answer_ns
        return min(host.answer_ns, SLACK_NS + max(REACT_NS, known_ns or 0))

    def _missed(self, host: OsdpHost, now_ns: int) -> list[Said]:
        """No answer came. Return the reader where it is over by that."""
        self._row += 1
        if host.met:
            self._misses += 1
            self._missed_ns = now_ns
        else:
            self._rest_ns = now_ns + REST_NS
            self._vain[host.address] += 1
        try:
            host.missed(now_ns, noise=self._noise)
        except DriverError as error:
            self.leave(host)
            return [Said(host, error=error)]
        return []

    def _gone(self, now_ns: int) -> list[Said]:
        """Return those that are silent for too long. One that was not met yet is asked once more before that."""
        if now_ns - self._missed_ns > SILENT_NS:
            self._misses = 0
        hosts = list(self._hosts.values())
        away = sum(one.tries for one in hosts if not one.met)
        nobody = self._row >= ROW_DEAD and all(one.is_silent(now_ns) for one in hosts if one.met)
        may_be = [one for one in hosts if one is self._asked or (one.met and (one.tries or nobody))]
        return [
            said
            for one in may_be
            if one.tries >= MISSES_MIN or (self._misses if one.met else away) >= TOGETHER_MIN
            for said in self._look(one, now_ns)
        ]

    def _look(self, host: OsdpHost, now_ns: int) -> Iterable[Said]:
        try:
            host.look(now_ns)
        except DriverError as error:
            self.leave(host)
            yield Said(host, error=error)

    # --- turns -----------------------------------------------------------------------------------------------------

    def _whose(self, now_ns: int) -> tuple[OsdpHost | None, int | None]:
        """Return whose turn it is; else None and when it will be somebody's, None where nobody is there."""
        hosts = sorted(self._hosts.values(), key=lambda one: one.due_ns)
        met = [one for one in hosts if one.met]
        read = [one for one in met if one.ready and not one.tries]
        due = [one for one in met if one.due_ns <= now_ns]
        if self._owed and (now := [one for one in due if one in read]):
            return max(now, key=lambda one: one.heard_ns) if self._row >= ROW_DOUBTFUL else now[0], None
        # Once enough is missed, who was not asked yet comes before who would only miss again.
        is_enough = self._misses >= TOGETHER_MIN
        if first := next((one for one in due if one not in read and not (is_enough and one.tries)), None):
            return first, None
        look_ns = [one.due_ns for one in met[:1]]
        for one in [one for one in hosts if not one.met][:1]:
            away_ns = max(one.due_ns, self._rest_ns if read else 0)
            if away_ns <= now_ns and all(other.asked_ns > self._rest_ns - REST_NS for other in read):
                return one, None
            look_ns += [away_ns] if away_ns > now_ns else []
        return (due[0], None) if due else (None, min(look_ns, default=None))

    def _wire_ns(self, size: int) -> int:
        return size * BITS_A_BYTE * 1_000_000_000 // self._baud
