"""Hostile lines from framer to verdict, record and relay, in this process and without a disk: what escapes?

Everything between the wire and the writer thread is the real thing: framer, lane shell, judge, lane machine, journal.
Time is virtual, so that windows end and codes go absent however fast the lines come.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from admission.chain import ROOT
from admission.codecs import cose
from admission.entitlements import CredentialStanding, Standing, Ticket, ZoneTree
from admission.ids import Epoch, EventId, LaneId, TicketId, ZoneId
from admission.lane import LaneConfig, LaneState, Tick
from admission.lane_machine import Lane
from admission.presence import PresenceRow, Resets
from admission.records import Record, record_from_bytes
from drivers.base import Scan
from drivers.framing.lines import LineFramer
from edge.clock import TrustedTime
from edge.journal import Journal
from edge.judge import Judge
from edge.lane import TELL_AFTER_S, LaneShell, RelayLines
from edge.link import Seen
from edge.parts import HeldPulse
from edge.settings import LaneSettings, SerialReader, Way
from edge.store.faults import StoreFault
from edge.store.log_schema import Batch
from edge.store.writer import Urgency
from sync.wire.lists import ticket_of
from tests.edge.hostile_lines import lines
from tests.edge.rig import GATE, GATE_KEY, list_head, row, tag_row

NOW_S = 1_795_400_000
LINE_MS = 40
"""Virtual time from line to line: a scanner at its fastest."""
HANG_S = 1.0
"""A line that keeps the loop so long counts as an escape: nobody at another arm would be answered."""
GAP_NS = 60_000_000
EXAMPLES_MAX = 5
_NO_RESETS = Resets((), ZoneTree(()))
COMMIT_EVERY = 8
"""Lines per commit: that many reservations and denials wait for the disk at once."""


@dataclass(slots=True)
class Result:
    """What came of it. `escapes`: exceptions, hangs, and presentations that nobody answered."""

    lines: int = 0
    escapes: int = 0
    presented: int = 0
    answered: int = 0
    records: int = 0
    virtual_s: float = 0.0
    reasons: dict[int, int] = field(default_factory=dict)
    """Answers by reason."""
    examples: list[str] = field(default_factory=list)
    """The first few escapes."""

    def escaped(self, what: str, line: bytes) -> None:
        self.escapes += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{what}: {line[:200]!r}")


class VirtualClock:
    """Time that goes on when told."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def now_us(self) -> int:
        return NOW_S * 1_000_000 + self.ns // 1000

    def mono_ns(self) -> int:
        return self.ns

    def marked_synced(self) -> bool:
        return True


class NoDisk:
    """A writer that keeps what presence needs, and nothing else; durable when the fuzz says so."""

    def __init__(self) -> None:
        self.token = 0
        self.records = 0
        self.then: Callable[[], None] | None = None
        """What the last batch wants done once it is durable."""
        self.rows: dict[tuple[EventId, TicketId], tuple[PresenceRow, ...]] = {}

    def submit(self, batch: Batch, urgency: Urgency) -> None:  # noqa: ARG002 - the Protocol's
        self.token = batch.token
        self.then = batch.then
        for record in batch.records:
            self.records += isinstance(record_from_bytes(record.blob), Record)
        for one in batch.presence:
            key = (one.event, one.ticket)
            # A ticket that goes in and out for ever would be all that is measured.
            self.rows[key] = (*self.rows.get(key, ())[-8:], one)


class Past:
    """What the log knows (`edge.judge.PresenceSource`)."""

    def __init__(self, writer: NoDisk) -> None:
        self.epoch = Epoch(0)
        self._writer = writer

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        return self._writer.rows.get((event, ticket), ())

    def resets(self) -> Resets:
        return _NO_RESETS

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:  # noqa: ARG002 - the Protocol's
        return None

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:  # noqa: ARG002
        return None

    def occupancy_high(self, zone: ZoneId) -> int | None:  # noqa: ARG002 - the Protocol's
        return None


class ShortList:
    """A list of a few tickets, in memory."""

    def __init__(self) -> None:
        self.head = list_head(NOW_S)
        self._rows = {
            one.digest: one for one in (row(1), row(2, Standing.CANCELLED), row(3, profile=1), tag_row(4))
        }

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        found = self._rows.get(digest)
        if found is None:
            return ()
        profile = self.head.profiles[found.profile]
        ticket = ticket_of(profile, found.event, found.ticket, found.holder, found.standing)
        return ((ticket, found.credential_standing),)


class Relay:
    """A relay that always obeys."""

    def pulse(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:  # noqa: ARG002
        done(True)

    def hold(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:
        """No other thread is there to send it."""

    def drop(self, held: HeldPulse) -> bool:  # noqa: ARG002
        return True

    def off_line(self, line: int) -> None:
        """Nothing is on."""


class Line:
    """One lane with an entry reader, fed by bytes."""

    def __init__(self, result: Result, relay: RelayLines | None = None) -> None:
        self.clock = VirtualClock()
        self.writer = NoDisk()
        trusted = TrustedTime(self.clock, rtc=True)
        past = Past(self.writer)
        self.journal = Journal(
            gate=GATE, epoch=Epoch(7), key=GATE_KEY, clock=self.clock, time=trusted, writer=self.writer, predecessor=ROOT
        )  # fmt: skip
        past.epoch = self.journal.epoch
        judge = Judge(GATE, trusted, past)
        judge.use_list(ShortList())
        reader = SerialReader(id=1, way=Way.ENTRY, port="none")
        settings = LaneSettings(id=1, name="fuzz", readers=(reader,), relay="r", entry_line=0)
        config = LaneConfig(LaneId(1), entry_line=0, exit_line=None, entry_sensor=False, exit_sensor=False, hold_ms=100, hold_margin_ms=0, grace_ms=0)  # fmt: skip
        self.framer = LineFramer(gap_ns=GAP_NS, complete=cose.is_complete)
        self.shell = LaneShell(
            settings=settings,
            machine=Lane(config, LaneState.CONTROLLED),
            judge=judge,
            journal=self.journal,
            clock=trusted,
            relay=relay or Relay(),
            on_seen=self._seen,
            on_layout=_ignore,
            on_fault=_refuse,
        )
        self.shell.healthy(relay=True, memory=True)
        self._result = result

    def _seen(self, seen: Seen) -> None:
        self._result.answered += 1
        self._result.reasons[seen.reason] = self._result.reasons.get(seen.reason, 0) + 1

    def feed(self, data: bytes) -> None:
        """One line comes in; then it is quiet for a moment."""
        self._pass_on(self.framer.feed(data, self.clock.ns))
        self.clock.ns += LINE_MS * 1_000_000
        if self.framer.deadline_ns is not None and not data.endswith(b"A"):
            self.clock.ns = max(self.clock.ns, self.framer.deadline_ns)
            self._pass_on(self.framer.quiet(self.clock.ns))
        due_ms = self.shell.machine.next_deadline_ms
        if due_ms is not None and due_ms * 1_000_000 <= self.clock.ns:
            self.shell.drive(Tick())

    def _pass_on(self, framed: Iterable[object]) -> None:
        for one in framed:
            if isinstance(one, Scan):
                self._result.presented += 1
                self.shell.scanned(1, one)

    def commit(self) -> None:
        """The disk took all that waits."""
        self.journal.durable(self.writer.token)
        self.journal.take_recorded()


def _ignore(*_: object, **__: object) -> None:
    pass


def _refuse(fault: StoreFault) -> None:
    raise AssertionError("there is no store that could fail") from fault


def run_lines(count: int, seed: int) -> Result:
    """Feed `count` hostile lines to a lane; say what escaped."""
    return run(lines(count, seed))


def run(feed: Iterable[bytes]) -> Result:
    """Feed any lines to a lane; say what escaped."""
    return asyncio.run(_run(feed))


async def _run(feed: Iterable[bytes]) -> Result:
    result = Result()
    lane = Line(result)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: result.escaped(str(context["message"]), b""))
    for data in feed:
        began = time.monotonic()
        try:
            lane.feed(data)
            if result.lines % COMMIT_EVERY == 0:
                lane.commit()
        except Exception as error:  # noqa: BLE001 - what escapes is what we count
            result.escaped(repr(error), data)
        if time.monotonic() - began > HANG_S:
            result.escaped("hung", data)
        result.lines += 1
        if result.lines % COMMIT_EVERY == 0:
            await asyncio.sleep(0)  # presentations that wait are judged again
    await asyncio.sleep(2 * TELL_AFTER_S)  # the last answers are told a little later
    lane.shell.drain()
    result.records = lane.writer.records
    result.virtual_s = lane.clock.ns / 1e9
    return result
