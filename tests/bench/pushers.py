"""Gates that only push, in a process of their own: real signed logs, sent by the uplink's own sender.

`python -m tests.bench.pushers pace KEYS RECORDS` has each gate push so many records once a second, until SIGTERM.
`python -m tests.bench.pushers drain KEYS RECORDS` has each gate empty a queue of so many, once it reads a line.
"""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from admission.chain import Head, link, seed
from admission.entitlements import Mode
from admission.ids import Epoch, EventId, LaneId, ReaderId, SessionId, TicketId, ZoneId
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
from edge.enrolment import Enrolment
from edge.front.centre import Centre, CutOff
from edge.front.pace import backoff_s
from sync import demo
from sync.wire.messages import Push
from sync.wire.replication import Sender
from tests.bench.centre import OTHER_EVENT, allow_files, read_keys

HEAD_EVERY = 256
SPREAD = 0x9E37_79B1
"""Tickets come in no order: multiples of this odd number, modulo 2^32."""


class GateLog:
    """One gate's log in memory: a start, then visits, a scan and its passage each, under heads."""

    def __init__(self, own: Enrolment, event: EventId, place: int, places: int) -> None:
        self.own = own
        self.epoch = Epoch(random.getrandbits(63) | 1)
        self.blobs: list[bytes] = []
        self.visits = 0
        self.sender = Sender(own.gate, lambda _epoch, _seq: None)
        self._event, self._place, self._places = event, place, places
        self._at = seed(own.gate, self.epoch)
        self._unsigned = 0
        self._began_us = time.time_ns() // 1000
        self._add(Record(Kind.RESTART, 1, self._began_us, 0).to_bytes())

    def grow(self, records: int) -> None:
        """Add so many records, or one more; what was added stands under a head."""
        until = len(self.blobs) + records
        while len(self.blobs) < until - 1:
            self._visit()
            if self._unsigned >= HEAD_EVERY:
                self._sign()
        self._sign()

    def read(self, _epoch: Epoch, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return what the sender asks for."""
        return list(enumerate(self.blobs[after : after + limit], start=after + 1))

    def next(self) -> Push | None:
        """Return what is to be pushed; None where the centre has all."""
        return self.sender.next((self.epoch,), self.read)

    @property
    def left(self) -> int:
        """Records that the centre has not acknowledged."""
        return len(self.blobs) - self.sender.acked(self.epoch)

    def _visit(self) -> None:
        number = (self.visits * self._places + self._place + 1) * SPREAD % (1 << 32)
        self.visits += 1
        subject = ticket_subject(self._event, TicketId(number), demo.DAY)
        seq = len(self.blobs) + 1
        for kind, outcome, ref in ((Kind.SCAN, Outcome.GRANT, 0), (Kind.PASSAGE, Outcome.NONE, seq)):
            at = len(self.blobs) + 1
            body = Record(
                kind, at, self._began_us + at, at, LaneId(1), ReaderId(1 if outcome else 0), ZoneId(1),
                SessionId(1), outcome, 0, Direction.ENTRY, Mode.NORMAL, Trust.SYNCED, Flag.TICKET, subject, ref,
            )  # fmt: skip
            self._add(body.to_bytes())

    def _add(self, blob: bytes) -> None:
        self._at = link(self._at, blob)
        self.blobs.append(blob)
        self._unsigned += 1

    def _sign(self) -> None:
        seq = len(self.blobs)
        head = Head.sign(self.own.key, self.own.gate, self.epoch, seq, self._at)
        self._add(ExtensionRecord(Extension.HEAD, seq + 1, head.payload()).to_bytes())
        self._unsigned = 0


async def push_all(log: GateLog, centre: Centre, chance: random.Random) -> None:
    """Push until the centre has all, as the uplink does: after a cut it asks what is held, and waits as it would."""
    failures = 0
    while True:
        try:
            while (push := await asyncio.to_thread(log.next)) is not None:
                answer = await centre.push(push)
                assert not answer.troubles, answer.troubles
                log.sender.answered(answer)
                failures = 0
        except CutOff:
            failures += 1
            await asyncio.sleep(backoff_s(failures, chance))
            continue
        return


async def pace(gates: Sequence[Enrolment], records: float) -> int:
    """Have each gate push once a second until SIGTERM; returns how many records the centre acknowledged."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    chance = random.Random(5)
    logs = [GateLog(own, OTHER_EVENT, place, len(gates)) for place, own in enumerate(gates)]

    async def one(log: GateLog) -> None:
        await asyncio.sleep(chance.random())  # not all in the same moment
        async with Centre(log.own) as centre:
            while not ended.is_set():
                log.grow(max(2, round(records)))
                began_s = time.monotonic()
                await push_all(log, centre, chance)
                await asyncio.sleep(max(0.0, began_s + 1 - time.monotonic()))

    say("pushing")
    await asyncio.gather(*(one(log) for log in logs))
    return sum(log.sender.acked(log.epoch) for log in logs)


async def drain(gates: Sequence[Enrolment], records: int) -> None:
    """Have each gate empty its queue; says when each queue is there, and when all are empty."""
    chance = random.Random(5)
    logs = [GateLog(own, demo.EVENT, place, len(gates)) for place, own in enumerate(gates)]
    for log in logs:
        log.grow(records)
    say(f"queued {sum(len(log.blobs) for log in logs)} {sum(log.visits for log in logs)}")
    await asyncio.to_thread(sys.stdin.readline)

    async def one(log: GateLog) -> None:
        async with Centre(log.own) as centre:
            log.sender.heard_all(await centre.have())
            await push_all(log, centre, chance)

    began_s = time.monotonic()
    await asyncio.gather(*(one(log) for log in logs))
    assert not any(log.left for log in logs), "everything is acknowledged"
    say(f"drained {time.monotonic() - began_s:.3f}")


def say(line: str) -> None:
    print(line, flush=True)


async def main(kind: str, keys: Path, records: float) -> None:
    allow_files()
    gates = read_keys(keys)
    if kind == "pace":
        say(f"pushed {await pace(gates, records)}")
    else:
        await drain(gates, int(records))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
