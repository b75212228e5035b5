"""Whose turn it is on an OSDP bus, without I/O: a message and its answer each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drivers.base import DriverError, ReaderEvent
from drivers.framing.osdp import FRAME_BYTES_MIN, Replies, address_of
from drivers.framing.osdp_host import OsdpHost

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

    def join(self, host: OsdpHost) -> None:
        """Add a reader, whose address nobody on the bus has."""
        self._hosts[host.address] = host

    def leave(self, host: OsdpHost) -> None:
        """Take a reader off, if it is there."""
        if self._hosts.get(host.address) is host:
            del self._hosts[host.address]

    def hear(self, data: bytes, now_ns: int) -> list[Said]:
        """Give each reader its replies in what came over the bus."""
        replies = self._replies.feed(data)
        self._noise = not replies
        self._until_ns = min(max(self._until_ns, now_ns + GAP_NS), self._latest_ns)
        said = []
        for reply in replies:
            host = self._hosts.get(address_of(reply))
            if host is not None:
                said.append(self._hear(host, reply, now_ns))
        return said

    def _hear(self, host: OsdpHost, reply: bytes, now_ns: int) -> Said:
        try:
            return Said(host, host.hear(reply, now_ns))
        except DriverError as error:
            self.leave(host)
            return Said(host, error=error)

    def turn(self, now_ns: int) -> Turn:
        """Give the wire to who has waited longest for it."""
        asked, ended = self._asked, []
        if asked is not None and self._hosts.get(asked.address) is asked and asked.waits:
            if now_ns < self._until_ns:
                return Turn(b"", self._until_ns)
            try:
                asked.missed(now_ns, noise=self._noise)
            except DriverError as error:
                self.leave(asked)
                ended.append(Said(asked, error=error))
        self._asked = None
        if not self._hosts:
            return Turn(b"", None, ended)
        host = min(self._hosts.values(), key=lambda one: one.due_ns)
        if host.due_ns > now_ns:
            return Turn(b"", host.due_ns, ended)
        message = host.ask(now_ns)
        self._replies.clear()
        self._noise = False
        self._asked = host
        wait_ns = self._wire_ns(len(message) + FRAME_BYTES_MIN) + host.answer_ns
        self._until_ns, self._latest_ns = now_ns + wait_ns, now_ns + ANSWERS_MAX * wait_ns
        return Turn(message, self._until_ns, ended)

    def _wire_ns(self, size: int) -> int:
        return size * BITS_A_BYTE * 1_000_000_000 // self._baud
