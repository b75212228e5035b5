"""The centre's intake and feed over plain Python instead of tables: the same machine, chain and codecs, a tenth of the cost.

Every fourth world has the centre's own intake, feeds and tables (`sync.gates.ingest`, `sync.gates.feed`); the others
have this, so that hundreds of seeds fit into a minute. It judges with the very `Replica`, derives presence with
`rows_of`, forwards in pieces that end with a head, and answers with `pack_feed`. What was answered is on its disk:
`Ledger` outlives the process, as tables do.
"""

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.chain import Anomaly, EpochState, link, seed
from admission.corrected import placed
from admission.ids import Epoch, GateId, RecordId
from admission.observed import PresenceRow, Reset, reset_of, rows_of
from admission.records import ExtensionRecord, Record, record_from_bytes
from sync.gates.ingest import Arrival
from sync.store.database import Database
from sync.wire.feed import WAIT_MAX_MS, Ask, HeardOf, pack_feed
from sync.wire.messages import Chunk, Push, Pushed, Trouble
from sync.wire.replication import Accepted, Fork, Replica, Source, troubles_of, troubles_of_epochs

Log = tuple[GateId, Epoch]
SILENT_S = 15.0
"""A gate heard again after so long is news (`sync.gates.feed_asked.SILENT_S`)."""
PIECES_MAX = 64
"""Of one answer."""


@dataclass
class Ledger:
    """What the centre has on its disk of gates' logs."""

    blobs: dict[Log, list[bytes]] = field(default_factory=dict)
    links: dict[Log, list[bytes]] = field(default_factory=dict)
    """What each log ends in, from its seed on."""
    states: dict[Log, EpochState] = field(default_factory=dict)
    forks: dict[tuple[Log, int, bytes], None] = field(default_factory=dict)
    forked: dict[Log, int] = field(default_factory=dict)
    troubles: dict[tuple[Log, int, str], int] = field(default_factory=dict)
    rows: dict[RecordId, PresenceRow] = field(default_factory=dict)
    resets: dict[RecordId, Reset] = field(default_factory=dict)
    arrivals: list[tuple[Log, int, int]] = field(default_factory=list)
    forwarded: dict[Log, int] = field(default_factory=dict)
    history: int = 0
    """Another one after each restore: cursors of before are not ours."""

    def copy(self) -> "Ledger":
        """Keep it, as a backup does."""
        return deepcopy(self)


def take(ledger: Ledger, gate: GateId, public: bytes, push: Push, source: Source = Source.GATE) -> Pushed:
    """Store what is new and return what is held of the epochs pushed, with what was wrong."""
    held = [state for (of, _), state in ledger.states.items() if of == gate]
    forked = [(epoch, seq) for (of, epoch), seq in ledger.forked.items() if of == gate]
    replica = Replica(gate, Ed25519PublicKey.from_public_bytes(public), held, forked)
    known: tuple[Anomaly, ...] = replica.anomalies()
    troubles: list[Trouble] = []

    def stored(epoch: Epoch, first: int, last: int) -> Sequence[bytes | None]:
        return ledger.blobs[gate, epoch][first - 1 : last]

    for chunk in push.chunks:
        answer = replica.offer(chunk, stored, source)
        log = (gate, Epoch(chunk.epoch))
        match answer:
            case Accepted():
                _keep(ledger, log, answer)
            case Fork():
                for seq, blob in enumerate(answer.blobs, start=answer.first_seq):
                    ledger.forks[log, seq, blob] = None
                ledger.forked[log] = max(ledger.forked.get(log, 0), answer.last_seq)
        troubles += troubles_of(gate, answer)
    for epoch, last in replica.ends({Epoch(chunk.epoch) for chunk in push.chunks}, stored).items():
        _forward(ledger, (gate, epoch), last)
    now_known = replica.anomalies()
    if now_known != known:
        troubles += troubles_of_epochs(gate, now_known)
    for one in troubles:
        at = ((gate, Epoch(one.epoch)), one.seq, one.what)
        ledger.troubles[at] = ledger.troubles.get(at, 0) + 1
    return Pushed(replica.have({Epoch(chunk.epoch) for chunk in push.chunks}), tuple(troubles))


def _keep(ledger: Ledger, log: Log, answer: Accepted) -> None:
    blobs = ledger.blobs.setdefault(log, [])
    blobs += answer.blobs
    links = ledger.links.setdefault(log, [seed(*log)])
    for blob in answer.blobs:
        links.append(link(links[-1], blob))
    ledger.states[log] = answer.state
    _fold(ledger, log)
    for head in answer.heads:
        _forward(ledger, log, head.seq + 1)


def _forward(ledger: Ledger, log: Log, last: int) -> None:
    first = ledger.forwarded.get(log, 0) + 1
    if last >= first:
        ledger.arrivals.append((log, first, last))
        ledger.forwarded[log] = last


def _fold(ledger: Ledger, log: Log) -> None:
    """Derive presence of a whole log anew: what came may say when all before it was made."""
    extensions: dict[int, list[ExtensionRecord]] = {}
    bodies: list[Record] = []
    for one in map(record_from_bytes, ledger.blobs[log]):
        if isinstance(one, Record):
            bodies.append(one)
        elif bodies:
            extensions.setdefault(bodies[-1].seq, []).append(one)
    for body, placed_us in placed(bodies):
        name, more = RecordId(*log, body.seq), tuple(extensions.get(body.seq, ()))
        ledger.rows.pop(name, None)
        for row in rows_of(*log, body, more, placed_us):
            ledger.rows[name] = row
        reset = reset_of(*log, body, more, placed_us)
        if reset is not None:
            ledger.resets[name] = reset


class LightIntake:
    """`sync.gates.intake.Intake` over a ledger."""

    def __init__(self, _database: Database, now_s: Callable[[], int], ledger: Ledger) -> None:  # noqa: ARG002 - the Protocol's
        self._ledger = ledger

    def have(self, gate: GateId, public: bytes) -> Pushed:
        """Return what is held of a gate's logs."""
        held = [state for (of, _), state in self._ledger.states.items() if of == gate]
        return Pushed(Replica(gate, Ed25519PublicKey.from_public_bytes(public), held).have())

    async def take(self, gate: GateId, public: bytes, push: Push) -> Pushed:
        """Store what is new and return what is held."""
        return await self.arrive(Arrival(gate, public, push))

    async def arrive(self, arrival: Arrival) -> Pushed:
        """`take` what came, whoever brought it."""
        return take(self._ledger, arrival.gate, arrival.public, arrival.push, arrival.source)


class LightFeeds:
    """`sync.gates.feed_asked.Feeds` over a ledger."""

    def __init__(
        self,
        _database: Database,
        now_s: Callable[[], int],  # noqa: ARG002 - as `Feeds` is made
        mono_s: Callable[[], float],
        ledger: Ledger,
    ) -> None:
        self._ledger, self._mono_s = ledger, mono_s
        self._news = asyncio.Event()
        self._heard: dict[GateId, float] = {}
        self._turn = 0
        self.on_rouse: Callable[[int], None] = lambda _group: None

    async def arrived(self, _gate: GateId) -> None:
        """Records were taken: tell who waits."""
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def answer(self, gate: GateId, ask: Ask) -> bytes:
        """Return the feed for a gate; waits as long as it was asked to where there is nothing new."""
        until_s = self._mono_s() - ask.behind_s
        before = self._heard.get(gate)
        self._heard[gate] = max(until_s, before if before is not None else until_s)
        if before is None or until_s - before > SILENT_S:
            self._turn += 1
            self._tell()
        if ask.rouses:
            self.on_rouse(0)
        turn = self._turn
        wanted = tuple(
            chunk
            for want in ask.wants
            if (chunk := self._chunk((GateId(want.gate), Epoch(want.epoch)), want.after + 1)) is not None
        )
        deadline_s = self._mono_s() + min(ask.wait_ms, WAIT_MAX_MS) / 1000
        at = self._place(ask.cursor)
        while True:
            news = self._news
            end, chunks = self.page(at, gate)
            left_s = deadline_s - self._mono_s()
            if chunks or wanted or left_s <= 0 or self._turn != turn:
                break
            at = end
            try:
                async with asyncio.timeout(left_s):
                    await news.wait()
            except TimeoutError:
                break
        now_s = self._mono_s()
        heard = tuple(
            HeardOf(of, max(0, int((now_s - heard_s) * 1000)) + 250)
            for of, heard_s in sorted(self._heard.items())
            if of != gate
        )
        more = end < len(self._ledger.arrivals)
        return pack_feed(self._cursor(end), (*wanted, *chunks), heard, more=more)

    def page(self, at: int, gate: GateId) -> tuple[int, tuple[Chunk, ...]]:
        """Return up to which arrival, and what others recorded."""
        end = min(len(self._ledger.arrivals), at + PIECES_MAX)
        spans: dict[Log, tuple[int, int]] = {}
        for log, first, last in self._ledger.arrivals[at:end]:
            spans[log] = (spans[log][0] if log in spans else first, last)
        found = [self._span(log, *span) for log, span in spans.items() if log[0] != gate]
        return end, tuple(found)

    def _chunk(self, log: Log, first: int) -> Chunk | None:
        last = self._ledger.forwarded.get(log, 0)
        return self._span(log, first, last) if last >= first else None

    def _span(self, log: Log, first: int, last: int) -> Chunk:
        return Chunk(
            *log, first, tuple(self._ledger.blobs[log][first - 1 : last]), self._ledger.links[log][first - 1]
        )

    def _cursor(self, at: int) -> bytes:
        return b"%d.%d" % (self._ledger.history, at)

    def _place(self, cursor: bytes) -> int:
        history, _, at = cursor.partition(b".")
        ours = at and int(history or b"-1") == self._ledger.history and int(at) <= len(self._ledger.arrivals)
        return int(at) if ours else 0
