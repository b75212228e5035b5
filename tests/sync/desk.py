"""A gate's lists with their real stores, without hardware and network: for properties over many changes."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.chain import ROOT
from admission.credentials import Medium
from admission.entitlements import CredentialStanding, Standing, Ticket, ZoneTree
from admission.ids import Epoch, EventId, GateId, TicketId, ZoneId
from admission.presence import PresenceRow, Resets
from admission.question import LaneFacts, Verdict
from admission.records import Direction
from edge.board import Board
from edge.clock import TrustedTime
from edge.journal import Journal
from edge.judge import Judge
from edge.lists import FILE, Lists
from edge.memory import Memory
from edge.store.list import build
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch
from edge.store.writer import Urgency
from sync.wire.lists import ListHead, ListRow
from tests.sync.requests import NOW_S

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class StillClock:
    """Stands still, when the demo takes place."""

    def now_us(self) -> int:
        return NOW_S * 1_000_000

    def mono_ns(self) -> int:
        return 0

    def marked_synced(self) -> bool:
        return True


@dataclass
class AtOnce:
    """Writes each batch as it comes: all is durable."""

    store: LogStore

    def submit(self, batch: Batch, urgency: Urgency) -> None:  # noqa: ARG002 - nobody waits here
        self.store.append([batch])


@dataclass
class Desk:
    """A gate that judges: `start` it on its folder, `end` it, start it again."""

    data: Path
    gate: GateId
    epochs: int = 0
    lists: Lists = field(init=False)
    judge: Judge = field(init=False)
    reader: LogReader = field(init=False)

    def start(self) -> None:
        self.epochs += 1
        clock = StillClock()
        self._store = LogStore.open(self.data)
        self.reader = LogReader.open(self.data)
        time = TrustedTime(clock, rtc=False)
        journal = Journal(
            gate=self.gate, epoch=Epoch(self.epochs), key=KEY, clock=clock, time=time, writer=AtOnce(self._store),
            predecessor=ROOT,
        )  # fmt: skip
        memory = Memory(self.reader, journal)
        self.judge = Judge(self.gate, time, memory)
        whole: Any = SimpleNamespace(
            data=self.data, reader=self.reader, journal=journal, judge=self.judge, memory=memory, lanes={},
            board=Board(lambda: NOW_S, lambda: None), enrolment=SimpleNamespace(gate=self.gate), in_memory_seq=0, time=time,
            now_s=lambda: NOW_S, tell_lanes=lambda: None, changed=lambda: None,
        )  # fmt: skip
        self.lists = Lists(whole)
        self.lists.open_newest()

    def end(self) -> None:
        self.lists.close()
        self.reader.close()
        self._store.close()

    def give_list(self, head: ListHead, rows: list[ListRow]) -> str:
        build(self.data / FILE, head, rows)
        return self.lists.take(self.data / FILE)

    def answer(self, text: str, lane: int = 1) -> Verdict:
        return answer_of(self.judge, text, lane)


def answer_of(judge: Judge, text: str, lane: int = 1) -> Verdict:
    plan = judge.plan(lane)
    assert plan is not None, "the lane has a plan"
    identity = judge.identify(text.encode(), Medium.BARCODE)
    return judge.answer(identity, Direction.ENTRY, LaneFacts(plan)).verdict


@dataclass
class Tables:
    """The centre's own tables as a list."""

    head: ListHead
    listed: list[ListRow]

    def judge(self, gate: GateId) -> Judge:
        judge = Judge(gate, TrustedTime(StillClock(), rtc=False), NothingYet())
        judge.use_list(self)
        return judge

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        found = sorted(row for row in self.listed if row.digest == digest)
        return tuple((self.head.ticket(row), row.credential_standing) for row in found)


class NothingYet:
    """Nobody came, and nothing is newer than the tables (`edge.judge.PresenceSource`)."""

    epoch = Epoch(1)

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:  # noqa: ARG002 - as the class says
        return ()

    def resets(self) -> Resets:
        return Resets((), ZoneTree(()))

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:  # noqa: ARG002 - tables are the newest
        return None

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:  # noqa: ARG002 - as above
        return None

    def occupancy_high(self, zone: ZoneId) -> int | None:  # noqa: ARG002 - nobody came yet
        return None
