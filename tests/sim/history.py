"""What really happened, as nobody in the venue knows it: kept beside all that is tried, read by the checker at the end.

Times are the world's. A record is known by its gate, epoch and seq; a *release* is an arm that was commanded, or a
person who was told to go where there is no arm: from then on the record that it rests on was acknowledged.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from admission.entitlements import Mode
from admission.ids import Epoch, GateId, LaneId, RecordId, TicketId
from admission.records import Direction, Flag, Kind, Outcome, Record, record_from_bytes
from edge.link import Foreign, Seen
from edge.store.log_schema import Batch
from tests.sim.clock import EPOCH_S

Line = tuple[object, ...]
Log = tuple[GateId, Epoch]
Place = tuple[int, int]
"""Generation and version of a list."""


@dataclass(slots=True)
class Release:
    """Somebody was let through, or told so; what became of it in the flesh."""

    at_s: float
    card: str
    record: RecordId
    body: Record
    boot: int
    durable: bool
    """Its record was committed by then."""
    made_s: float
    """When it was written."""
    walked_s: float | None = None
    """When somebody went through on it."""
    seen: bool = False
    """The contact's closing reached a running gate."""

    @property
    def ticket(self) -> TicketId | None:
        return None if self.body.ticket is None else self.body.ticket[1]

    @property
    def way(self) -> Direction:
        return self.body.direction


@dataclass(slots=True)
class Shown:
    """A presentation and its answer."""

    at_s: float
    order: int
    gate: GateId
    card: str
    boot: int
    lane: int
    reader: int
    way: Direction
    ticket: int
    answer: Seen | None = None
    answered_s: float = 0.0
    answered: int = 0
    """By `order`."""
    releases: list[Release] = field(default_factory=list)
    """What the arm was commanded for while it was shown: an exit that waited for the arm may be of one who has left."""
    admitted: bool = False
    gave_up: bool = False
    """Whoever showed it left before there was an answer."""
    code: bytes = b""
    """What was shown."""


@dataclass(slots=True)
class Boot:
    """One run of a gate's program."""

    gate: GateId
    card: str
    number: int
    began_s: float
    epoch: Epoch = Epoch(0)
    ready_s: float | None = None
    ended_s: float | None = None
    how: str = ""
    """How it ended: cut, kill, stop, exit."""


@dataclass(slots=True)
class StandingWord:
    """A ticket's standing as the centre said it, in one transaction."""

    at_s: float
    ticket: int
    version: int
    generation: int
    standing: int
    acked: dict[str, float] = field(default_factory=dict)
    """By card, when its gate first said that it holds this version, durably."""
    void_s: float | None = None
    """When a centre set back forgot it."""


@dataclass(slots=True)
class LaneWord:
    """An order of the centre to a lane."""

    at_s: float
    gate: GateId
    lane: int
    version: int
    generation: int
    closes: bool
    acked: dict[str, float] = field(default_factory=dict)
    void_s: float | None = None


@dataclass(slots=True)
class CodeWord:
    """What a code is worth, as the centre said it: it opens (0), was replaced, or is an exchanged tag's."""

    at_s: float
    code: bytes
    digest: bytes
    """What lists know it by."""
    version: int
    generation: int
    standing: int
    acked: dict[str, float] = field(default_factory=dict)
    void_s: float | None = None


@dataclass(slots=True)
class Bound:
    """What somebody was told at a check-in station: this band stands for this ticket, on this record."""

    at_s: float
    card: str
    ticket: int
    uid: bytes
    record: RecordId
    durable: bool
    """It was committed by then."""


Word = StandingWord | LaneWord | CodeWord


class InForce(NamedTuple):
    """Settings of the centre from a version on: by generation, version, and the digest they are named by."""

    place: Place
    digest: bytes


class WentBy(NamedTuple):
    """What a gate judged by at a moment: how far its list went, and its settings."""

    at_s: float
    card: str
    boot: int
    place: Place
    digest: bytes


@dataclass(slots=True)
class Condition:
    """Something was wrong for a while: `what` with `where`, a card or the centre."""

    what: str
    where: str
    since_s: float
    until_s: float | None = None

    def overlaps(self, since_s: float, until_s: float) -> bool:
        """Whether it was so at any moment between."""
        return self.since_s <= until_s and (self.until_s is None or self.until_s >= since_s)


@dataclass(slots=True)
class ShutOut:
    """A gate that was revoked."""

    at_s: float
    since_s: int
    """From when on nothing of it counts, as it was said; 0: from what was not heard."""
    held: dict[Log, int]
    """How much of its logs the centre held then."""
    ends: dict[Log, int]
    """Up to where they count."""


class History:
    """The world's own diary."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.now_s: Callable[[], float] = lambda: 0.0
        self.records: dict[RecordId, bytes] = {}
        """Every record a gate made, durable or not."""
        self.made_by: dict[RecordId, str] = {}
        """On which card it was made."""
        self.forked: dict[RecordId, bytes] = {}
        """Records with the key of another that a twin made."""
        self.releases: list[Release] = []
        self.unfounded: list[tuple[float, str, LaneId, Direction]] = []
        """Arms that were commanded without any record: when, on which card and lane, and which way."""
        self.shown: list[Shown] = []
        self.unheard: list[Shown] = []
        """Where nobody listened at first: what is read of them later is answered as any, and is owed nothing."""
        self.tapped: list[Shown] = []
        """Bands that were tapped at check-in stations, by whom a ticket was scanned and taken."""
        self.bound: list[Bound] = []
        self.opens: dict[str, dict[bytes, frozenset[int]]] = {}
        """What each code and band of check-in opens in the end, by ticket, at each card and at the centre."""
        self.boots: list[Boot] = []
        self.standing_words: list[StandingWord] = []
        self.lane_words: list[LaneWord] = []
        self.code_words: list[CodeWord] = []
        self.modes: dict[tuple[GateId, int], set[Mode]] = {}
        """By lane, the modes that it was given tonight besides the one that it began with."""
        self.in_force: list[InForce] = []
        """The centre's settings, in the order in which they were."""
        self.went_with: list[WentBy] = []
        """Settings that gates judged by, whenever they took up others or a list went further."""
        self.told_places: dict[str, list[tuple[float, Place]]] = {}
        """By card, how far its gate said that it is with the list, durably; a card that is set back says it anew."""
        self.annulled: set[RecordId] = set()
        """Admissions that staff took back, and heard that it is so."""
        self.order = 0
        """Counts up with all that may change what somebody knows: what came first in one instant."""
        self.made: dict[RecordId, int] = {}
        """When a record was made, by `order`."""
        self.made_s: dict[RecordId, float] = {}
        self.known: dict[str, dict[Log, list[tuple[int, int]]]] = {}
        """By card and log: from `order` on its gate's decisions knew it up to a seq. A restart may know less."""
        self.durable: dict[str, dict[Log, int]] = {}
        """By card, up to where its own logs were committed, as the store said."""
        self.starts_s = 5.0
        """A gate that began so lately may not be ready yet."""
        self.deaf_s = 0.0
        """Before it has opened its readers, at most so long after it began, it throws away what they said."""
        self.clocks: list[tuple[float, str, float]] = []
        """When somebody set a gate's clock, on which card, and how far ahead it was from then on."""
        self.night_s = 0.0
        """When the hall is to be emptied by a plan; 0: it is not."""
        self.near = False
        """Whether gates hear each other directly, and so need no centre to be sure of each other."""
        self.heard_s: dict[str, dict[Log, list[tuple[float, int]]]] = {}
        """By card and log of another: when its gate took it in up to a seq."""
        self.conditions: list[Condition] = []
        self.destroyed: set[RecordId] = set()
        """Records that were on a card alone when somebody replaced it by an older image; or at the centre alone, once that was
        set back to before it had them."""
        self.at_centre_alone: set[RecordId] = set()
        """Records that the centre held when somebody replaced their card by an older image, which does not."""
        self.began_at_s = EPOCH_S
        self.sealed: list[tuple[float, str, int, int]] = []
        """When a gate took in how far its list goes: at what time, on which card, in which run, and until when all is known."""
        self.listed: set[str] = set()
        """Cards to which a new list came."""
        self.shut_out: dict[GateId, ShutOut] = {}
        self.tampered: set[GateId] = set()
        """Gates whose card was copied, or replaced by an older image."""
        self.is_over = False
        """What is made, told or noted since is no part of the evening."""
        self._last: dict[tuple[str, int, Direction], tuple[RecordId, Record, float]] = {}

    def note(self, *what: object) -> None:
        """Write a line."""
        if self.is_over:
            return
        self.lines.append((round(self.now_s(), 6), *what))

    def digest(self) -> str:
        """Return what tells one history from another."""
        hashed = hashlib.sha256()
        for line in self.lines:
            hashed.update(repr(line).encode() + b"\n")
        return hashed.hexdigest()

    # --- told by the gates' surroundings -------------------------------------------------------------------------

    def batch(self, card: str, batch: Batch, own: GateId, epoch: Epoch) -> None:
        """A gate hands records to its writer."""
        if self.is_over:
            return
        for one in batch.records:
            if (one.gate, one.epoch) != (own, epoch):
                continue
            name = RecordId(one.gate, one.epoch, one.seq)
            self.order += 1
            self.records[name] = one.blob
            self.made_by[name] = card
            self.made[name] = self.order
            self.made_s[name] = self.now_s()
            self._learn(card, (one.gate, one.epoch), one.seq)
            body = record_from_bytes(one.blob)
            if isinstance(body, Record):
                self._made(card, name, body)

    def _made(self, card: str, name: RecordId, body: Record) -> None:
        grants = body.kind is Kind.SCAN and body.outcome is Outcome.GRANT
        if grants or body.kind is Kind.OVERRIDE:
            self._last[card, body.lane, body.direction] = (name, body, self.now_s())
        ticket = 0 if body.ticket is None else body.ticket[1]
        self.note(
            "record", name.gate, f"{name.epoch:x}", name.seq, body.kind.name, body.lane, int(body.direction),
            int(body.outcome), int(body.reason), int(body.flags), ticket, body.ref, body.data,
        )  # fmt: skip

    def released(self, card: str, lane: LaneId, way: Direction, boot: int) -> Release | None:
        """An arm was commanded, or somebody told to go: return what it rests on."""
        found = self._last.get((card, lane, way))
        self.note("released", card, lane, int(way), None if found is None else found[0].seq)
        if found is None:
            self.unfounded.append((self.now_s(), card, lane, way))
            return None
        name = found[0]
        durable = self.durable.get(card, {}).get((name.gate, name.epoch), 0) >= name.seq
        release = Release(self.now_s(), card, name, found[1], boot, durable, found[2])
        self.releases.append(release)
        return release

    def took(self, card: str, slice_: Foreign) -> None:
        """A gate took in records of another log: from now on its decisions know them."""
        if slice_.blobs:
            last = slice_.first_seq + len(slice_.blobs) - 1
            self._learn(card, (slice_.gate, slice_.epoch), last)
            heard = self.heard_s.setdefault(card, {}).setdefault((slice_.gate, slice_.epoch), [])
            heard.append((self.now_s(), last))
            self.note("heard", card, slice_.gate, f"{slice_.epoch:x}", last)

    def _learn(self, card: str, log: Log, seq: int) -> None:
        self.order += 1
        known = self.known.setdefault(card, {}).setdefault(log, [])
        if not known or seq > known[-1][1]:
            known.append((self.order, seq))

    def began(self, card: str, held: dict[Log, int]) -> None:
        """A gate starts: it knows what its card holds, and no more."""
        self.order += 1
        of = self.known.setdefault(card, {})
        for log in {*of, *held}:
            known = of.setdefault(log, [])
            seq = held.get(log, 0)
            if not known or known[-1][1] != seq:
                known.append((self.order, seq))

    def knew(self, card: str, record: RecordId, order: int) -> bool:
        """Whether a gate's decisions knew a record at a moment."""
        known = self.known.get(card, {}).get((record.gate, record.epoch), [])
        at = bisect_right(known, order, key=lambda one: one[0])
        return at > 0 and known[at - 1][1] >= record.seq

    # What a gate's decisions went by is overheard here. Who cannot overhear them bounds it from both sides, and says so in these.

    def went_by(self, card: str, decision: RecordId, record: RecordId) -> bool:
        """Whether a gate certainly knew a record when it made another."""
        return self.knew(card, record, self.made[decision] - 1)

    def may_have_gone_by(self, card: str, decision: RecordId, record: RecordId) -> bool:
        """Whether it may have known it."""
        return self.went_by(card, decision, record)

    def may_know(self, card: str, record: RecordId, order: int) -> bool:
        """Whether a gate's decisions may have known a record at a moment."""
        return self.knew(card, record, order)

    def moments(self, shown: Shown) -> tuple[tuple[int, int], ...]:
        """Return when an answer may have been decided, by `order`: at the latest, and at the earliest."""
        return (shown.order, shown.order), (shown.answered, shown.answered)

    def committed(self, card: str, log: Log, seq: int) -> None:
        """The store said that a log is on the medium up to here."""
        of = self.durable.setdefault(card, {})
        of[log] = max(seq, of.get(log, 0))

    def at_version(self, card: str, generation: int, version: int) -> None:
        """A gate says how far it is with the list, durably."""
        self.note("at version", card, generation, version)
        self.told_places.setdefault(card, []).append((self.now_s(), (generation, version)))
        for word in self._words():
            if (word.generation, word.version) <= (generation, version):
                word.acked.setdefault(card, self.now_s())

    def _words(self) -> list[Word]:
        return [*self.standing_words, *self.lane_words, *self.code_words]

    def newest_word(self, gate: GateId, lane: int) -> LaneWord | None:
        """Return the last order to a lane."""
        found = [
            one for one in self.lane_words if (one.gate, one.lane) == (gate, lane) and one.void_s is None
        ]
        return found[-1] if found else None

    def restored(self, kept_s: float, held: Mapping[Log, int]) -> None:
        """The centre goes on from a copy of that time, which held this much of each log: it knows nothing of what it said since.

        Gates refill it from their cards, and neighbours carry for each other: what no card has is lost.
        """
        self.note("centre restored")
        for word in self._words():
            if word.at_s > kept_s and word.void_s is None:
                word.void_s = self.now_s()
        for name in self.at_centre_alone:
            cards = self.known if self.near else (self.made_by[name],)
            is_kept = held.get((name.gate, name.epoch), 0) >= name.seq
            if not is_kept and not any(self.knew(card, name, self.order) for card in cards):
                self.destroyed.add(name)

    def replaced(self, card: str, gate: GateId, durable: dict[Log, int], held: dict[Log, int]) -> None:
        """A card was replaced by an image with its own logs up to here: what was on it alone since is gone for good."""
        self.tampered.add(gate)
        self.note("card replaced", card)
        self.told_places.pop(card, None)
        for word in self._words():
            word.acked.pop(card, None)
        self.order += 1
        for log, known in self.known.get(card, {}).items():
            if log[0] == gate and known[-1][1] > durable.get(log, 0):
                known.append((self.order, durable.get(log, 0)))
        for name in self.made:
            log = (name.gate, name.epoch)
            if self.made_by[name] == card and durable.get(log, 0) < name.seq:
                (self.at_centre_alone if held.get(log, 0) >= name.seq else self.destroyed).add(name)

    def copied(self, gate: GateId) -> None:
        """A gate's card was copied."""
        self.tampered.add(gate)
        self.note("card copied", gate)

    def is_quarantined(self, record: RecordId) -> bool:
        """Whether a record's gate was shut out, and it does not count."""
        shut = self.shut_out.get(record.gate)
        return shut is not None and record.seq > shut.ends.get((record.gate, record.epoch), 0)

    def is_kept_out(self, record: RecordId) -> bool:
        """Whether a record's gate was shut out before the centre had it."""
        shut = self.shut_out.get(record.gate)
        return shut is not None and record.seq > shut.held.get((record.gate, record.epoch), 0)

    def begin(self, what: str, where: str) -> Condition:
        """Something begins to be wrong."""
        condition = Condition(what, where, self.now_s())
        self.conditions.append(condition)
        self.note("wrong", what, where)
        return condition

    def end(self, condition: Condition) -> None:
        """It is mended."""
        if condition.until_s is None:
            condition.until_s = self.now_s()
            self.note("mended", condition.what, condition.where)

    def was(self, what: str, where: str, since_s: float, until_s: float) -> bool:
        """Whether something was wrong somewhere at any moment between."""
        return any(
            one.what == what and one.where == where and one.overlaps(since_s, until_s)
            for one in self.conditions
        )

    def flagged(self, release: Release) -> bool:
        """Whether an entry was let in with a word to staff."""
        return bool(release.body.flags & (Flag.FLAGGED | Flag.UNSURE))
