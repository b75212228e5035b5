"""An evening's records, as two gates of the demo venue would push them, through the centre's own intake."""

import random
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from admission.entitlements import Mode
from admission.ids import Epoch, EventId, GateId, LaneId, ProductId, RecordId, SessionId, TicketId, ZoneId
from admission.observed import counted_data, reset_payloads
from admission.reasons import Reason
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Fire,
    Flag,
    Kind,
    Outcome,
    Record,
    pack_record_ids,
    ticket_subject,
)
from sync.gates import ingest, tables
from sync.wire.messages import Push
from tests.sync.logs import EpochLog

KEYS = {number: Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in range(1, 10)}


def enrolled(connection: Connection, gate: GateId) -> None:
    """Give a gate a key of the tests."""
    public = KEYS[gate].public_key().public_bytes_raw()
    connection.execute(
        update(tables.gate).where(tables.gate.c.id == gate).values(public=public, enrolled_at_s=1)
    )


class GateLog:
    """What one gate of one event records and pushes."""

    def __init__(
        self, gate: GateId, event: EventId, epoch: int = 7, key: Ed25519PrivateKey | None = None
    ) -> None:
        self.gate, self.event = gate, event
        self.log = EpochLog(Epoch(epoch), gate, key or KEYS[gate])
        self.log.begin()
        self._sent = 0

    def _add(self, kind: Kind, time_us: int, **fields: object) -> int:
        seq = len(self.log.blobs) + 1
        self.log.add(Record(kind, seq, time_us, seq, LaneId(1), **fields).to_bytes())  # type: ignore[arg-type]  # by name
        return seq

    def enter(
        self,
        ticket: int,
        product: int,
        zone: int,
        at_s: float,
        *,
        way: Direction = Direction.ENTRY,
        mode: Mode = Mode.NORMAL,
        session: int = 1,
        passes: bool = True,
        flags: Flag = Flag.NONE,
        names: tuple[RecordId, ...] = (),
    ) -> int:
        """One scan let through, and its passage; `names`: what it stands for, or closes."""
        same = {
            "zone": ZoneId(zone), "session": SessionId(session), "direction": way, "mode": mode,
            "flags": Flag(Flag.TICKET | flags),
            "subject": ticket_subject(self.event, TicketId(ticket), ProductId(product)),
        }  # fmt: skip
        at_us = int(at_s * 1_000_000)
        seq = self._add(Kind.SCAN, at_us, outcome=Outcome.GRANT, **same)
        for payload in pack_record_ids(names) if names else ():
            self.log.add(ExtensionRecord(Extension.OBSERVED, len(self.log.blobs) + 1, payload).to_bytes())
        if passes:
            self._add(Kind.PASSAGE, at_us + 1_500_000, ref=seq, **same)
        return seq

    def deny(self, reason: Reason, at_s: float, *, ticket: int = 0, times: int = 0) -> None:
        """One scan refused; a known ticket's, or nobody's."""
        flags = (Flag.TICKET if ticket else Flag.NONE) | (Flag.REPEATED if times else Flag.NONE)
        subject = ticket_subject(self.event, TicketId(ticket), ProductId(1)) if ticket else bytes(16)
        self._add(
            Kind.SCAN, int(at_s * 1_000_000), outcome=Outcome.DENY, reason=reason, direction=Direction.ENTRY,
            flags=Flag(flags), subject=subject, data=times,
        )  # fmt: skip

    def reset(self, zone: int, at_s: float, *heard: "GateLog", people: int | None = None) -> None:
        """Nobody is inside any more, as far as was heard of other gates; or so many people, counted by hand."""
        self._about_zone(Kind.RESET, zone, at_s, heard, 0 if people is None else counted_data(people))

    def fire(self, zone: int, at_s: float, what: Fire, *heard: "GateLog") -> None:
        """An alarm rings, as far as was heard of other gates; or staff clear it, or end the re-admission."""
        self._about_zone(Kind.FIRE, zone, at_s, heard, what)

    def _about_zone(self, kind: Kind, zone: int, at_s: float, heard: Sequence["GateLog"], data: int) -> None:
        self._add(kind, int(at_s * 1_000_000), zone=ZoneId(zone), direction=Direction.NONE, data=data)
        names = [RecordId(one.gate, one.log.epoch, len(one.log.blobs)) for one in heard]
        for extension, payload in reset_payloads(names):
            self.log.add(ExtensionRecord(extension, len(self.log.blobs) + 1, payload).to_bytes())

    def push(self, connection: Connection, now_s: int) -> None:
        """Push what is new, signed."""
        public = KEYS[self.gate].public_key().public_bytes_raw()
        pushed = ingest.take(connection, self.gate, public, self.news(), now_s)
        assert pushed.troubles == ()

    def news(self) -> Push:
        """What was not pushed yet, signed."""
        self.log.sign()
        chunk = self.log.chunk(self._sent + 1)
        self._sent = len(self.log.blobs)
        return Push((chunk,))


def busy(
    connection: Connection, event: EventId, gates: tuple[GateId, GateId], zones: tuple[int, int], now_s: int
) -> None:
    """Two hours of arrivals at two gates, with some leaving, some refused, one double."""
    chance = random.Random(7)
    logs = []
    for gate, zone in zip(gates, zones, strict=True):
        enrolled(connection, gate)
        log = GateLog(gate, event)
        for minute in range(110):
            swell = max(0.3, 9 - abs(minute - 70) / 8)
            for _ in range(chance.randrange(int(swell) + 1)):
                ticket = chance.randrange(1, 40_000) * 2 + gate % 2
                at_s = now_s - 6600 + minute * 60 + chance.random() * 58
                log.enter(ticket, chance.randrange(1, 6), zone, at_s, mode=Mode.ENTRY_EXIT)
                if chance.random() < 0.12:
                    log.enter(ticket, 1, zone, at_s + 50, way=Direction.EXIT, mode=Mode.ENTRY_EXIT)
                if chance.random() < 0.05:
                    reason = chance.choice(
                        [Reason.ALREADY_USED, Reason.WRONG_ZONE, Reason.UNKNOWN, Reason.CANCELLED]
                    )
                    log.deny(reason, at_s, ticket=ticket if reason is not Reason.UNKNOWN else 0)
        logs.append(log)
    logs[0].enter(500_001, 1, zones[0], now_s - 1000)
    logs[1].enter(500_001, 1, zones[0], now_s - 700)
    logs[0].enter(500_003, 1, zones[0], now_s - 5, passes=False)
    for log in logs:
        log.push(connection, now_s)
