"""Gates of the two-gate checker: they write real records, hear each other now and then, and fold what they hold."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from admission import chain
from admission.entitlements import Mode
from admission.ids import Epoch, GateId, ProductId, RecordId, TicketId, ZoneId
from admission.presence import PresenceRow, Reset, TicketPresence, fold, reset_of, reset_payloads, rows_of
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
    record_from_bytes,
    ticket_subject,
)
from tests.admission.ledger import (
    EVENT,
    INNER,
    OUTER,
    SESSION,
    TICKETS,
    ZONES,
    Emptied,
    Entered,
    Ledger,
    Left,
    Rung,
)
from tests.admission.one_day import same_day

FIRE = 0.1
"""Share of exits recorded without a pulse, as during a fire: no passage will tell of them."""
CROWD = 12
LogKey = tuple[GateId, Epoch]


class Mismatch(AssertionError):
    """A history in which the merge is wrong."""


# --- how logs are merged: the product's way, and the wrong ways ---------------------------------------------------


class Merge:
    """The product's own merge: rows kept by record, everything recomputed from the whole set."""

    def rows(
        self, log: LogKey, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int
    ) -> tuple[PresenceRow, ...]:
        return rows_of(*log, body, extensions, time_us)

    def keep(self, held: dict[RecordId, PresenceRow], row: PresenceRow) -> None:
        held[row.id] = row

    def deliver_again(self, held: dict[RecordId, PresenceRow], row: PresenceRow) -> None:
        self.keep(held, row)

    def fold(
        self,
        rows: list[PresenceRow],
        resets: list[Reset],
        forks: frozenset[LogKey],  # noqa: ARG002  # only a wrong merge asks
    ) -> TicketPresence:
        """`rows` and `resets` are all that a node holds of one ticket, `forks` the logs flagged as cloned."""
        return self.plain(rows, resets)

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        return fold(rows, resets, ZONES)


# --- gates --------------------------------------------------------------------------------------------------------


@dataclass
class Held:
    """One log as a node holds it."""

    blobs: list[bytes] = field(default_factory=list)
    body: Record | None = None
    extensions: tuple[ExtensionRecord, ...] = ()


class Node:
    """One box: its own running epoch, and what it heard of all others."""

    def __init__(self, world: "World", gate: GateId, epoch: Epoch, name: str) -> None:
        self.world, self.gate, self.epoch, self.name = world, gate, epoch, name
        self.logs: dict[LogKey, Held] = {}
        self.sets: dict[GateId, chain.LogSet] = {}
        self.table: dict[RecordId, PresenceRow] = {}
        self.reset_table: dict[RecordId, Reset] = {}
        self.findings: list[chain.Finding] = []
        self.waiting: list[tuple[Entered | Left, Record]] = []
        self.lapsed: list[tuple[Entered | Left, Record]] = []

    @property
    def log(self) -> LogKey:
        return self.gate, self.epoch

    def begin(self) -> None:
        """Start an epoch that names where this box's log stood."""
        previous = self.log if self.log in self.logs else None
        named: tuple[tuple[Extension, bytes], ...] = ()
        if previous is not None:
            state = self.sets[self.gate].states[self.epoch]
            named = (
                (Extension.PREDECESSOR, chain.Predecessor(*previous[1:], state.seq, state.link).to_bytes()),
            )
        self.epoch = self.world.new_epoch(self.gate)
        self.waiting, self.lapsed = [], []
        self.write(Kind.RESTART, extensions=named)

    def write(
        self, kind: Kind, *, extensions: tuple[tuple[Extension, bytes], ...] = (), **fields: object
    ) -> Record:
        log = self.logs.get(self.log)
        seq = len(log.blobs) + 1 if log else 1
        time_us = self.world.now_us + self.world.offsets[self.log]
        body = Record(kind, seq, time_us, 0, **fields)  # type: ignore[arg-type]  # the fields of Record, by name
        self.hear(self.log, seq, body.to_bytes())
        for at, (what, payload) in enumerate(extensions, seq + 1):
            self.hear(self.log, at, ExtensionRecord(what, at, payload).to_bytes())
        return body

    def hear(self, key: LogKey, seq: int, blob: bytes) -> None:
        """Take a record in, whoever brings it, however often."""
        gate, epoch = key
        held = self.logs.setdefault(key, Held())
        stored = held.blobs[seq - 1] if seq <= len(held.blobs) else None
        finding = self.sets.setdefault(gate, chain.LogSet(gate)).accept(epoch, seq, blob, stored)
        if finding is chain.Finding.DUPLICATE and held.body is not None and held.body.seq == seq:
            self.derive(key, held, self.world.merge.deliver_again)
        if finding in {chain.Finding.DUPLICATE, chain.Finding.GAP}:
            return
        if finding is chain.Finding.MALFORMED:
            raise Mismatch(f"{self.name} was brought a record it cannot read")
        self.findings.append(finding)
        held.blobs.append(blob)
        record = record_from_bytes(blob)
        if isinstance(record, Record):
            held.body, held.extensions = record, ()
        else:
            held.extensions = (*held.extensions, record)
        self.derive(key, held, self.world.merge.keep)

    def derive(
        self, key: LogKey, held: Held, keep: Callable[[dict[RecordId, PresenceRow], PresenceRow], None]
    ) -> None:
        assert held.body is not None  # a log begins with one
        time_us = held.body.time_us - self.world.offsets[key]
        for row in self.world.merge.rows(key, held.body, held.extensions, time_us):
            keep(self.table, row)
        reset = reset_of(*key, held.body, held.extensions, time_us)
        if reset is not None:
            self.reset_table[reset.id] = reset

    def pull(self, other: "Node", rng: random.Random, *, everything: bool = False) -> None:
        """Hear a prefix of what another node holds, of each log as far as chance has it."""
        for key, theirs in list(other.logs.items()):
            mine = len(self.logs[key].blobs) if key in self.logs else 0
            more = len(theirs.blobs) - mine
            end = len(theirs.blobs) if everything else mine + (rng.randint(0, more) if more > 0 else 0)
            for seq in range(max(1, mine - rng.randint(0, 2)), min(end, len(theirs.blobs)) + 1):
                self.hear(key, seq, theirs.blobs[seq - 1])

    def forks(self) -> frozenset[LogKey]:
        """Of epochs that follow one place, all but the lowest."""
        return frozenset(
            (gate, epoch)
            for gate, logs in self.sets.items()
            for anomaly in logs.anomalies()
            if anomaly.finding is chain.Finding.FORK
            for epoch in anomaly.epochs[1:]
        )

    def presence(self, ticket: TicketId, shuffle: random.Random | None = None) -> TicketPresence:
        rows = [row for row in self.table.values() if row.ticket == ticket]
        resets = list(self.reset_table.values())
        if shuffle is not None:
            rows += shuffle.sample(rows, len(rows) // 2)
            shuffle.shuffle(rows)
            shuffle.shuffle(resets)
        return self.world.merge.fold(rows, resets, self.forks())

    def heard(self) -> tuple[RecordId, ...]:
        return tuple(RecordId(*key, len(held.blobs)) for key, held in self.logs.items())

    # --- what people do ---

    def entry(self, ticket: TicketId, zone: ZoneId) -> None:
        mode, admits = TICKETS[ticket]
        tally = self.presence(ticket).tally(zone, SESSION, same_day(SESSION), self.gate, self.epoch)
        names: tuple[RecordId, ...] = tally.frozen[:1]
        flags = self._judge(mode, admits, tally.uses_session, tally.inside, exit_pending=tally.exit_pending)
        if names:
            flags = None if tally.exit_pending else Flag.REENTRY
        elif flags is None and tally.unresolved:
            uses, inside = tally.uses_session - tally.unresolved_uses, tally.inside - tally.unresolved
            flags = self._judge(mode, admits, uses, inside, exit_pending=False)
            if flags is not None:
                flags |= Flag.AFTER_RESTART | Flag.FLAGGED
                # as decide() does, or as a record whose extension never came
                names = tally.unresolved_ids[:1] if self.world.rng.random() < 0.5 else ()
        if flags is None:
            return
        body = self._scan(ticket, zone, Direction.ENTRY, flags, names)
        entered = Entered(
            RecordId(*self.log, body.seq), ticket, zone, self.world.now_us, bool(flags & Flag.REENTRY),
            bool(flags & Flag.AFTER_RESTART), names,
        )  # fmt: skip
        self.world.ledger.entered[entered.id] = entered
        self.waiting.append((entered, body))

    @staticmethod
    def _judge(mode: Mode, admits: int, uses: int, inside: int, *, exit_pending: bool) -> Flag | None:
        if mode is Mode.NORMAL:
            return Flag.NONE if uses < admits else None
        if inside >= admits or exit_pending:
            return None
        return Flag.REENTRY if uses >= admits else Flag.NONE

    def exit(self, ticket: TicketId, zone: ZoneId) -> None:
        names = self.presence(ticket).closes(zone)
        fire = self.world.rng.random() < FIRE
        body = self._scan(ticket, zone, Direction.EXIT, Flag.NO_PULSE if fire else Flag.NONE, names)
        leaving = Left(RecordId(*self.log, body.seq), ticket, zone, self.world.now_us, names, passed=fire)
        self.world.ledger.left[leaving.id] = leaving
        if not fire:
            self.waiting.append((leaving, body))

    def _scan(
        self, ticket: TicketId, zone: ZoneId, way: Direction, flags: Flag, names: tuple[RecordId, ...]
    ) -> Record:
        extensions = tuple((Extension.OBSERVED, payload) for payload in pack_record_ids(names))
        return self.write(
            Kind.SCAN, extensions=extensions, outcome=Outcome.GRANT, direction=way, zone=zone, session=SESSION,
            mode=TICKETS[ticket][0], flags=flags | Flag.TICKET, subject=ticket_subject(EVENT, ticket, ProductId(1)),
        )  # fmt: skip

    def speak(self, kind: Kind, about: Record) -> None:
        """Write what came of a scan."""
        self.write(
            kind, direction=about.direction, zone=about.zone, session=SESSION, flags=Flag.TICKET,
            subject=about.subject, ref=about.seq,
        )  # fmt: skip

    def resolve(self, *, passes: bool) -> None:
        """The oldest open grant ends: somebody passes, or turns back."""
        if not self.waiting:
            return
        one, body = self.waiting.pop(0)
        if passes:
            self._passed(one, body, Kind.PASSAGE)
        else:
            self.speak(Kind.GIVE_BACK, body)
            if isinstance(one, Entered):
                one.end = "annulled" if one.end == "annulled" else "back"
            self.lapsed.append((one, body))

    def late(self) -> None:
        """Somebody passes whose window was over."""
        if self.lapsed:
            self._passed(*self.lapsed.pop(), Kind.LATE_PASSAGE)

    def _passed(self, one: Entered | Left, body: Record, kind: Kind) -> None:
        self.speak(kind, body)
        if isinstance(one, Left):
            one.passed = True
        elif one.end != "annulled":
            one.end = "in"

    def reset(self, zone: ZoneId) -> None:
        heard = self.heard()
        body = self.write(Kind.RESET, extensions=reset_payloads(heard), zone=zone)
        upto = {name[:2]: name.seq for name in heard}
        held = frozenset(name for name in self.world.ledger.entered if name.seq <= upto.get(name[:2], 0))
        self.world.ledger.emptied.append(
            Emptied(RecordId(*self.log, body.seq), zone, self.world.now_us, held)
        )

    def alarm(self, zone: ZoneId) -> None:
        """The fire contact closes: whoever stands under this box's arm is given back."""
        heard = self.heard()
        upto = {name[:2]: name.seq for name in heard}
        ledger = self.world.ledger
        held = frozenset(name for name in ledger.entered if name.seq <= upto.get(name[:2], 0))
        body = self.write(Kind.FIRE, extensions=reset_payloads(heard), zone=zone, data=Fire.ALARM)
        ledger.rung.append(Rung(RecordId(*self.log, body.seq), zone, self.world.now_us, held))
        while self.waiting:
            self.resolve(passes=False)
        self.lapsed = []

    def over(self, zone: ZoneId, what: Fire) -> None:
        """Staff clear the alarm, or end the re-admission."""
        self.write(Kind.FIRE, zone=zone, data=what)
        self.world.ledger.over.append((self.world.now_us, zone, what is Fire.CLEARED))

    def annul(self, ticket: TicketId, rng: random.Random) -> None:
        """Staff take back an admission that this box knows of; in another log it is named by an extension."""
        counted = self.presence(ticket).counted
        if not counted:
            return
        name = rng.choice(counted)
        subject = ticket_subject(EVENT, ticket, ProductId(1))
        if name[:2] == self.log:
            self.write(Kind.ANNUL, flags=Flag.TICKET, subject=subject, ref=name.seq)
        else:
            (payload,) = pack_record_ids((name,))
            self.write(
                Kind.ANNUL, extensions=((Extension.OBSERVED, payload),), flags=Flag.TICKET, subject=subject
            )
        if name in self.world.ledger.entered:
            self.world.ledger.entered[name].end = "annulled"


class World:
    """One history."""

    def __init__(self, seed: int, merge: Merge) -> None:
        self.rng = random.Random(seed)
        self.merge = merge
        self.ledger = Ledger()
        self.offsets: dict[LogKey, int] = {}
        self.now_us = 1_700_000_000_000_000
        self.cloned = False
        self.crowd = 0
        """So many come to a gate next, after an alarm."""
        self.nodes = [
            Node(self, GateId(1), Epoch(0), "gate 1"),
            Node(self, GateId(2), Epoch(0), "gate 2"),
        ]
        for node in self.nodes:
            node.begin()

    def new_epoch(self, gate: GateId) -> Epoch:
        epoch = Epoch(self.rng.getrandbits(64) | 1)
        self.offsets[gate, epoch] = self.rng.randint(-60_000_000, 60_000_000)
        return epoch

    def step(self) -> None:
        """One thing happens at one gate."""
        rng, node = self.rng, self.rng.choice(self.nodes)
        self.now_us += rng.randint(1, 5_000_000)
        if self.crowd:
            self.come_again(node)
            return
        ticket, zone = rng.choice(list(TICKETS)), rng.choice((OUTER, OUTER, INNER))
        what = rng.random()
        if what < 0.28:
            node.entry(ticket, zone)
        elif what < 0.42:
            node.exit(ticket, zone)
        elif what < 0.68:
            node.resolve(passes=rng.random() < 0.75)
        elif what < 0.72:
            node.late()
        elif what < 0.74:
            node.reset(zone)
        elif what < 0.765:
            node.alarm(zone)
            self.crowd = rng.choice((0, CROWD))
        elif what < 0.815:
            node.over(zone, Fire.CLEARED if rng.random() < 0.85 else Fire.ENDED)
        elif what < 0.84:
            node.annul(ticket, rng)
        elif what < 0.855:
            node.begin()
        elif what < 0.865 and not self.cloned:
            self.clone(node)
        else:
            node.pull(rng.choice(self.nodes), rng)

    def come_again(self, node: Node) -> None:
        """Those who were sent out stand before the gates, which hear little of each other."""
        rng = self.rng
        if self.crowd == CROWD or rng.random() < 0.1:
            node.over(OUTER, Fire.CLEARED)
        elif rng.random() < 0.25:
            node.pull(rng.choice(self.nodes), rng)
        else:
            node.entry(rng.choice(list(TICKETS)), OUTER)
            node.resolve(passes=rng.random() < 0.8)
        self.crowd -= 1

    def clone(self, node: Node) -> None:
        """Somebody copied a card: two boxes go on from the same place."""
        self.cloned = True
        twin = Node(self, node.gate, node.epoch, f"{node.name}'s clone")
        twin.pull(node, self.rng, everything=True)
        node.begin()
        twin.begin()
        self.nodes.append(twin)

    def exchange(self) -> None:
        """Everybody hears everything."""
        for _ in self.nodes:
            for node in self.nodes:
                for other in self.nodes:
                    if other is not node:
                        node.pull(other, self.rng, everything=True)
