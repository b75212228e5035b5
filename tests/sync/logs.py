"""Logs of gates, as replication meets them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.chain import Head, Predecessor, link, seed
from admission.ids import Epoch, EventId, GateId, LaneId, ProductId, ReaderId, SessionId, TicketId, ZoneId
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
    ticket_subject,
)
from sync.wire.messages import Chunk

GATE = GateId(1)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key()


@dataclass
class EpochLog:
    """One epoch of a gate, growing."""

    epoch: Epoch
    gate: GateId = GATE
    key: Ed25519PrivateKey = KEY
    blobs: list[bytes] = field(default_factory=list)
    links: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.links.append(seed(self.gate, self.epoch))

    def add(self, blob: bytes) -> None:
        self.links.append(link(self.links[-1], blob))
        self.blobs.append(blob)

    def begin(self, after: "EpochLog | Predecessor | None" = None) -> "EpochLog":
        self.add(Record(Kind.RESTART, 1, 1_000_000, 0).to_bytes())
        if after is not None:
            named = after.end if isinstance(after, EpochLog) else after
            self.add(ExtensionRecord(Extension.PREDECESSOR, 2, named.to_bytes()).to_bytes())
        return self

    def scan(self, data: int = 0) -> None:
        seq = len(self.blobs) + 1
        self.add(Record(Kind.SCAN, seq, 1_000_000 + seq, seq, outcome=Outcome.GRANT, data=data).to_bytes())

    def sign(self, key: Ed25519PrivateKey | None = None) -> None:
        seq = len(self.blobs)
        head = Head.sign(key or self.key, self.gate, self.epoch, seq, self.links[-1])
        self.add(ExtensionRecord(Extension.HEAD, seq + 1, head.payload()).to_bytes())

    def scans(self, count: int, *, head_every: int = 10, data: int = 0) -> "EpochLog":
        for _ in range(count):
            self.scan(data)
            if len(self.blobs) % head_every == 0:
                self.sign()
        return self

    @property
    def end(self) -> Predecessor:
        return Predecessor(self.epoch, len(self.blobs), self.links[-1])

    def chunk(self, first: int = 1, last: int | None = None) -> Chunk:
        blobs = tuple(self.blobs[first - 1 : last])
        return Chunk(self.gate, self.epoch, first, blobs, self.links[first - 1])

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        return [(after + n, blob) for n, blob in enumerate(self.blobs[after : after + limit], start=1)]

    def copy(self, upto: int) -> "EpochLog":
        twin = EpochLog(self.epoch, self.gate, self.key)
        for blob in self.blobs[:upto]:
            twin.add(blob)
        return twin


def chunk_of(log: EpochLog, first: int, blobs: Sequence[bytes]) -> Chunk:
    return Chunk(log.gate, log.epoch, first, tuple(blobs), log.links[first - 1])


def a_day(grants: int, seed: int = 1) -> EpochLog:
    """People at four lanes, tickets in no order, each passes a while later."""
    chance = random.Random(seed)
    log = EpochLog(Epoch(7)).begin()
    time_us = 1_795_305_600_000_000
    for _ in range(grants):
        time_us += chance.randrange(100_000, 600_000)
        seq, lane = len(log.blobs) + 1, chance.randrange(1, 5)
        subject = ticket_subject(EventId(1), TicketId(chance.randrange(1_000_000)), ProductId(lane))
        for kind, at_us, ref in (
            (Kind.SCAN, time_us, 0),
            (Kind.PASSAGE, time_us + chance.randrange(10_000, 90_000), seq),
        ):
            body = Record(
                kind, len(log.blobs) + 1, at_us, at_us // 1000 & 2**32 - 1, LaneId(lane), ReaderId(1 - bool(ref)), ZoneId(1),
                SessionId(1),
                Outcome.NONE if ref else Outcome.GRANT, direction=Direction.ENTRY, trust=Trust.SYNCED,
                flags=Flag.TICKET, subject=subject, ref=ref,
            )  # fmt: skip
            log.add(body.to_bytes())
        if len(log.blobs) % 256 < 2:
            log.sign()
    log.sign()
    return log
