"""The gate's own log on the lane's side: numbers, chain, heads, and what is on its way to the disk."""

import asyncio
import struct

import pytest
from msgspec.structs import replace

from admission.chain import ROOT, Head, verify
from admission.ids import Epoch, EventId, SessionId, TicketId
from admission.lane import Write
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    record_from_bytes,
    ticket_subject,
)
from edge.clock import TrustedTime
from edge.journal import HEAD_AFTER_S, HEAD_EVERY, Journal, Stamp
from edge.store.log_schema import Batch, StoredRecord
from edge.store.writer import Urgency
from tests.edge.rig import GATE, GATE_KEY, PRODUCT
from tests.edge.test_clock import HandClock

EVENT, TICKET = EventId(1), TicketId(7)
SUBJECT = ticket_subject(EVENT, TICKET, PRODUCT)


def grant(token: int, *, urgent: bool = True) -> Write:
    return Write(
        token, Kind.SCAN, Direction.ENTRY, Outcome.GRANT, flags=Flag.TICKET, subject=SUBJECT, urgent=urgent
    )


def passage(token: int, of: int) -> Write:
    return Write(token, Kind.PASSAGE, Direction.ENTRY, flags=Flag.TICKET, subject=SUBJECT, ref_token=of)


class Paper:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[tuple[Batch, Urgency]] = []
        self.clock = HandClock()
        self.journal = Journal(
            gate=GATE, epoch=Epoch(9), key=GATE_KEY, clock=self.clock, time=TrustedTime(self.clock, rtc=True),
            writer=self, predecessor=ROOT,
        )  # fmt: skip

    def submit(self, batch: Batch, urgency: Urgency) -> None:
        self.batches.append((batch, urgency))

    @property
    def records(self) -> list[StoredRecord]:
        return [record for batch, _ in self.batches for record in batch.records]

    @property
    def heads(self) -> list[Head]:
        return [head for batch, _ in self.batches for head in batch.heads]

    def assert_whole(self) -> None:
        epochs = [(Epoch(9), [(one.seq, one.blob) for one in self.records])]
        report = verify(GATE, GATE_KEY.public_key(), epochs, self.heads)
        assert report.ok, report.problems


def test_a_run_begins_with_its_restart_at_once() -> None:
    paper = Paper()
    ((batch, urgency),) = paper.batches
    body, extension = (record_from_bytes(one.blob) for one in batch.records)
    assert isinstance(body, Record)
    assert isinstance(extension, ExtensionRecord)
    assert (body.kind, body.seq, extension.type) == (Kind.RESTART, 1, Extension.PREDECESSOR)
    assert urgency is Urgency.NOW


def test_what_is_about_another_record_names_its_number() -> None:
    paper = Paper()
    known: dict[int, int] = {}
    known[4] = paper.journal.append((grant(4),), Stamp())[0]
    paper.journal.append((passage(5, of=4),), Stamp(), lambda token: known[token])
    seqs = paper.journal.append((grant(6), passage(7, of=6)), Stamp())
    bodies = [record_from_bytes(one.blob) for one in paper.records[2:]]
    assert [one.ref for one in bodies if isinstance(one, Record)] == [0, known[4], 0, seqs[0]]
    assert [urgency for _, urgency in paper.batches] == [Urgency.NOW, Urgency.NOW, Urgency.RIDE, Urgency.NOW]


def test_heads_come_by_number_and_by_time_and_the_chain_holds() -> None:
    paper = Paper()
    for number in range(HEAD_EVERY):
        paper.journal.append((grant(number + 1, urgent=False),), Stamp())
    assert len(paper.heads) == 1
    paper.journal.append((grant(1000),), Stamp())
    paper.journal.sign_if_due()
    assert len(paper.heads) == 1
    paper.clock.go_on(HEAD_AFTER_S)
    paper.journal.sign_if_due()
    assert len(paper.heads) == 2
    before = len(paper.batches)
    paper.clock.go_on(100)
    paper.journal.sign_if_due()
    assert len(paper.batches) == before  # an idle gate writes nothing
    paper.assert_whole()


def test_what_is_on_its_way_is_seen_until_it_has_landed() -> None:
    paper = Paper()
    heard: list[int] = []
    paper.journal.on_durable(heard.append)
    (seq,) = paper.journal.append((grant(1),), Stamp())
    token = paper.batches[-1][0].token
    paper.journal.append((passage(2, of=1),), Stamp(), lambda _token: seq)
    assert len(paper.journal.pending(EVENT, TICKET)) == 2
    assert paper.journal.seq_of(token) == seq
    # A disk that takes nothing makes nothing durable: who counts people hears of them all the same.
    assert paper.journal.take_recorded() == {(EVENT, TICKET)}
    assert paper.journal.pending_tickets() == ((EVENT, TICKET),)
    paper.journal.durable(token)
    assert (heard, paper.journal.durable_seq) == ([seq], seq)
    assert len(paper.journal.pending(EVENT, TICKET)) == 1
    assert paper.journal.take_recorded() == set()
    paper.journal.durable(token + 1)
    assert paper.journal.pending(EVENT, TICKET) == ()
    assert paper.journal.seq_of(token + 1) == 0


def test_what_is_answered_from_memory_is_flagged_so() -> None:
    paper = Paper()
    for in_memory in (False, True, False):
        paper.journal.in_memory = in_memory
        paper.journal.append((grant(1),), Stamp())
    bodies = [record_from_bytes(one.blob) for one in paper.records[2:]]
    flagged = [bool(one.flags & Flag.BEFORE_DURABLE) for one in bodies if isinstance(one, Record)]
    assert flagged == [False, True, False]


def test_a_kept_value_goes_at_once() -> None:
    paper = Paper()
    paper.journal.keep("lane.1", b"0")
    batch, urgency = paper.batches[-1]
    assert (batch.meta, batch.records, urgency) == ((("lane.1", b"0"),), (), Urgency.NOW)


def test_after_seven_weeks_of_uptime_records_are_written_all_the_same() -> None:
    paper = Paper()
    paper.clock.go_on(2**32 / 1000 + 5)
    paper.journal.append((grant(1),), Stamp())
    body = record_from_bytes(paper.records[-1].blob)
    assert isinstance(body, Record)
    assert body.mono_ms == 5000
    paper.assert_whole()


def test_what_cannot_be_packed_leaves_no_hole() -> None:
    paper = Paper()
    with pytest.raises(struct.error):
        paper.journal.append((grant(1), replace(grant(2), session=SessionId(70_000))), Stamp())
    paper.journal.append((grant(3),), Stamp())
    assert [one.seq for one in paper.records] == [1, 2, 3]
    paper.journal.sign_head()
    paper.assert_whole()


async def test_saved_means_on_disk_and_gives_up_in_time() -> None:
    paper = Paper()
    assert not await paper.journal.saved(0.001)
    waiting = asyncio.create_task(paper.journal.saved(60))
    await asyncio.sleep(0)
    paper.journal.durable(paper.batches[-1][0].token)
    assert await waiting
    assert await paper.journal.saved(0)


async def test_who_waits_for_the_disk_can_be_stopped_also_when_it_answers_at_that_moment() -> None:
    paper = Paper()
    waiting = asyncio.create_task(paper.journal.saved(60))
    await asyncio.sleep(0)
    paper.journal.durable(paper.batches[-1][0].token)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
