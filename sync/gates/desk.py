"""One desk for other people's scanners: what they ask, what they are told, and how the centre finds it and writes it down."""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from admission.credentials import Identity, Known, Medium, identify
from admission.decide import decide, synthesize
from admission.entitlements import LanePlan, Mode, Product
from admission.ids import EventId, RecordId, SessionId, TicketId
from admission.keys import KeyRing
from admission.observed import PresenceRow, Role
from admission.presence import fold
from admission.question import Candidate, ClockFacts, LaneFacts, Question, Tally, Verdict
from admission.reasons import Reason
from admission.records import (
    Direction,
    Extension,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
    pack_record_ids,
    ticket_subject,
)
from admission.rules import mode_for, session_for
from sync.gates import known
from sync.gates.own_log import Pages
from sync.gates.room import Room
from sync.store.keyed import Keyed
from sync.web.api import Body, Id, Line, Refused, not_found

ROUTE = "redeem"

_Small = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
_Uid = Annotated[
    str, msgspec.Meta(pattern="^([0-9A-Fa-f]{2}){4,10}$", description="As the tag sends it, in hex.")
]
_ScanId = Annotated[
    str, msgspec.Meta(pattern="^[!-~]{1,100}$", description="Made by the scanner, new for each scan.")
]
_RecordName = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,10}-[0-9a-f]{16}-[0-9]{1,10}$")]
_MODES = {"normal": Mode.NORMAL, "entry_exit": Mode.ENTRY_EXIT, "multiple": Mode.MULTIPLE}


class Redeem(Body, frozen=True, kw_only=True):
    """One scan: a barcode's `code`, a tag's `uid`, or a `ticket` by its number. The lane is that of a `gate`, or said by zone, session, mode."""

    scan_id: _ScanId
    code: _Code | None = None
    uid: _Uid | None = None
    ticket: Id | None = None
    direction: Literal["entry", "exit"] = "entry"
    gate: Id | None = None
    lane: _Small = 0
    zone: _Small = 0
    session: _Small | None = None
    mode: Literal["normal", "entry_exit", "multiple"] = "normal"


class Annul(Body, frozen=True, kw_only=True):
    """Take an admission back: the use is free again. `record`: as `redeem` answered."""

    scan_id: _ScanId
    record: _RecordName
    reason: Line = ""


class Redeemed(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided. `ticket` 0: none was found; `used_s`: with a used ticket, when it was."""

    outcome: str
    reason: str
    ticket: int
    record: str
    flagged: bool = False
    used_s: int = 0
    used_gate: int = 0


class Annulled(msgspec.Struct, frozen=True, kw_only=True):
    """The record that says so."""

    ticket: int
    record: str


class Presented(NamedTuple):
    """What a scan presented, by the keys that were known then."""

    ring: KeyRing
    identity: Identity


def presented(body: Redeem | Annul, facts: known.GroupFacts) -> Presented | None:
    """Say what a scan presents, which may cost a signature's check; None where it names a ticket, or an admission."""
    if not isinstance(body, Redeem) or body.ticket is not None:
        return None
    data, medium = (body.code or "").encode("utf-8", "replace"), Medium.BARCODE
    if body.uid is not None:
        data, medium = bytes.fromhex(body.uid), Medium.UID
    return Presented(facts.ring, identify(data, medium, facts.ring, facts.digest_key))


@dataclass(frozen=True, slots=True)
class Scan:
    """A request for the desk: of an event there is, by somebody who may ask."""

    event: EventId
    body: Redeem | Annul
    staff: int
    seen: "Presented | None" = None
    """What was presented, where that was looked at already."""

    @property
    def scope(self) -> tuple[str, str]:
        """What the same scan is known by, whichever scanner sends it again."""
        return f"event:{self.event}", self.body.scan_id

    def digest(self) -> bytes:
        """Return what tells another scan under the same id."""
        return hashlib.sha256(msgspec.json.encode(self.body)).digest()


_SAID = Keyed(
    "SELECT key, request, body FROM idempotency_key WHERE principal = :principal AND route = :route AND key IN (:keys)",
    *("key", "request", "body"),
)
_SAY = text("""
INSERT INTO idempotency_key (principal, route, key, request, status, body, made_s)
VALUES (:principal, :route, :key, :request, 200, :body, :made_s)
""")


class Desk:
    """Judges the scans of one group, one after the other, in one transaction."""

    def __init__(
        self,
        connection: Connection,
        group: int,
        facts: known.GroupFacts,
        pages: Pages,
        now_s: int,
        room: Room,
    ) -> None:
        self._connection, self._group, self._facts, self._room = connection, group, facts, room
        self._pages, self._now_s = pages, now_s
        self._presence: dict[tuple[EventId, TicketId], list[PresenceRow]] = {}
        self._tickets: known.Tickets = {}

    def answer(self, scans: Sequence[Scan]) -> list[bytes | Refused]:
        """Return the answers in the order of the scans; what was answered before is answered the same."""
        digests = [one.digest() for one in scans]
        said = self._said_before(scans)
        identities = self._look_up([one for one in scans if one.scope not in said])
        answers: list[bytes | Refused] = []
        made: list[dict[str, object]] = []
        for one, request in zip(scans, digests, strict=True):
            before = said.get(one.scope)
            if before is not None:
                answers.append(before[1] if before[0] == request else _reused())
                continue
            try:
                answer = msgspec.json.encode(self._one(one, identities.get(id(one))))
            except Refused as refused:
                answers.append(refused)
                continue
            answers.append(answer)
            said[one.scope] = (request, answer)
            principal, key = one.scope
            made.append({
                "principal": principal, "route": ROUTE, "key": key, "request": request, "body": answer,
                "made_s": self._now_s,
            })  # fmt: skip
        if made:
            self._connection.execute(_SAY, made)
        return answers

    def _said_before(self, scans: Sequence[Scan]) -> dict[tuple[str, str], tuple[bytes, bytes]]:
        by_principal: dict[str, dict[str, None]] = {}
        for one in scans:
            principal, key = one.scope
            by_principal.setdefault(principal, {})[key] = None
        return {
            (principal, row.key): (bytes(row.request), bytes(row.body))
            for principal, keys in by_principal.items()
            for row in _SAID.rows(self._connection, list(keys), principal=principal, route=ROUTE)
        }

    def _look_up(self, scans: Sequence[Scan]) -> dict[int, Identity]:
        """Find who was presented, and read their tickets and what became of those; identities by the scan's `id`."""
        identities: dict[int, Identity] = {}
        digests: set[bytes] = set()
        numbers: set[tuple[EventId, TicketId]] = set()
        signed: set[tuple[EventId, TicketId]] = set()
        for one in scans:
            if isinstance(one.body, Redeem) and one.body.ticket is not None:
                numbers.add((one.event, TicketId(one.body.ticket)))
                continue
            seen = one.seen
            if seen is None or seen.ring is not self._facts.ring:
                seen = presented(one.body, self._facts)
            if seen is None:
                continue
            found = identities[id(one)] = seen.identity
            if isinstance(found, Known):
                digests.add(found.digest)
                if found.claims is not None and found.claims.ticket is not None:
                    signed.add((EventId(found.claims.event), TicketId(found.claims.ticket)))
        self._tickets = known.tickets(self._connection, self._group, digests, numbers)
        held = {(ticket.event, ticket.id) for rows in self._tickets.values() for ticket, _ in rows}
        self._presence = known.presence(self._connection, held | signed)
        return identities

    def _one(self, one: Scan, identity: Identity | None) -> Redeemed | Annulled:
        if isinstance(one.body, Annul):
            return self._annul(one, one.body)
        return self._redeem(one.event, one.body, identity)

    def _redeem(self, event: EventId, body: Redeem, identity: Identity | None) -> Redeemed:
        if (body.code, body.uid, body.ticket).count(None) != 2:
            raise Refused(422, "bad_body", "Send one of these: a code, a tag's uid, a ticket's number.")
        plan = self._facts.plan(event, body.gate, body.lane, body.zone, body.session, _MODES[body.mode])
        if body.ticket is not None:
            key: Hashable = (event, TicketId(body.ticket))
            if not self._tickets.get(key):
                raise not_found("ticket")
            identity = known.by_number(event, TicketId(body.ticket))
        else:
            assert identity is not None, "looked up"
            key = identity.digest if isinstance(identity, Known) else None
        direction = Direction.ENTRY if body.direction == "entry" else Direction.EXIT
        candidates = self._candidates(identity, plan, self._tickets.get(key, ()))
        verdict = decide(
            Question(
                direction=direction, identity=identity, candidates=candidates, lane=LaneFacts(plan),
                venue=self._facts.venue, clock=ClockFacts(self._now_s, Trust.SYNCED, self._now_s),
                cut_off=self._room.is_cut_off(plan.zone), occupancy_high=self._room.high(plan.zone),
                capacity=self._room.capacity(plan.zone),
            )
        )  # fmt: skip
        return self._recorded(verdict, direction, plan, identity)

    def _candidates(self, identity: Identity, plan: LanePlan, rows: known.Rows) -> tuple[Candidate, ...]:
        venue = self._facts.venue
        found = [
            Candidate(
                ticket,
                venue.products.get((ticket.event, ticket.product))
                or Product(ticket.product, ticket.event, ""),
                self._tally(ticket.event, ticket.id, plan, session_for(ticket, plan)),
                credential=standing,
            )
            for ticket, standing in rows
        ]
        if not found and isinstance(identity, Known) and identity.claims is not None:
            unlisted = synthesize(identity.claims, venue)
            if unlisted is not None:
                ticket = unlisted.ticket
                tally = self._tally(ticket.event, ticket.id, plan, session_for(ticket, plan))
                found.append(msgspec.structs.replace(unlisted, tally=tally))
        return tuple(found)

    def _tally(self, event: EventId, ticket: TicketId, plan: LanePlan, session: SessionId) -> Tally:
        rows = self._presence.get((event, ticket))
        if not rows:
            return Tally()
        folded = fold(rows, self._facts.resets, self._facts.venue.zones)
        at = self._pages.at
        return folded.tally(
            plan.zone, session, self._facts.same_day(event, session), at.gate, at.epoch, plan.lane
        )

    def _recorded(
        self, verdict: Verdict, direction: Direction, plan: LanePlan, identity: Identity
    ) -> Redeemed:
        """Write a scan, and with a grant the passage that nobody else will tell of."""
        pages, candidate = self._pages, verdict.candidate
        flags, subject, number = verdict.flags, bytes(16), 0
        if candidate is not None:
            ticket = candidate.ticket
            flags, number = flags | Flag.TICKET, ticket.id
            subject = ticket_subject(ticket.event, ticket.id, ticket.product)
        else:
            digest = getattr(identity, "digest", None) or getattr(identity, "digest_of_text", None)
            if digest is not None:
                flags, subject = flags | Flag.DIGEST, digest
        way = verdict.direction or direction
        name = RecordId(pages.at.gate, pages.at.epoch, pages.next_seq)
        scan = self._body(Kind.SCAN, verdict, plan, way, flags, subject)
        names = pack_record_ids(verdict.observed) if verdict.observed else ()
        self._write(scan, [(Extension.OBSERVED, one) for one in names])
        if verdict.outcome is Outcome.GRANT and candidate is not None:
            passage = self._body(
                Kind.PASSAGE, None, plan, way, Flag.TICKET | Flag.ASSUMED, subject, ref=scan.seq
            )
            self._write(passage, [])
        return Redeemed(
            outcome=verdict.outcome.name.lower(),
            reason="" if verdict.reason is Reason.NONE else verdict.reason.name.lower(),
            ticket=number,
            record=record_name(name),
            flagged=bool(verdict.flags & Flag.FLAGGED),
            used_s=verdict.last.time_us // 1_000_000 if verdict.last else 0,
            used_gate=verdict.last.record.gate if verdict.last else 0,
        )

    def _annul(self, one: Scan, body: Annul) -> Annulled:
        event = one.event
        name = read_record_name(body.record)
        entry = self._entry(event, name)
        if entry is None:
            raise not_found("admission")
        product = known.product_of(self._connection, event, entry.ticket)
        plan = LanePlan(entry.lane, entry.zone)
        subject = ticket_subject(event, entry.ticket, product)
        seq = self._pages.next_seq
        annul = self._body(
            Kind.ANNUL, None, plan, Direction.NONE, Flag.TICKET, subject, session=entry.session
        )
        staff = (one.staff & 0xFFFF_FFFF).to_bytes(4, "big") + body.reason.encode()[:200]
        self._write(annul, [(Extension.OBSERVED, pack_record_ids((name,))[0]), (Extension.STAFF, staff)])
        at = self._pages.at
        return Annulled(ticket=entry.ticket, record=record_name(RecordId(at.gate, at.epoch, seq)))

    def _entry(self, event: EventId, name: RecordId) -> PresenceRow | None:
        """Find an admission, also one of this transaction, with all that is said of its ticket."""
        for row in known.entry(self._connection, event, name):
            self._presence.setdefault((row.event, row.ticket), []).append(row)
        for (of_event, _), rows in self._presence.items():
            for row in rows:
                if of_event == event and row.id == name and row.role is Role.ENTRY:
                    return row
        return None

    def _body(
        self, kind: Kind, verdict: Verdict | None, plan: LanePlan, way: Direction, flags: Flag, subject: bytes,
        *, ref: int = 0, session: SessionId = SessionId(0),
    ) -> Record:  # fmt: skip
        return Record(
            kind, self._pages.next_seq, self._pages.time_us, self._pages.mono_ms, lane=plan.lane, zone=plan.zone,
            session=verdict.session if verdict else session,
            outcome=verdict.outcome if verdict else Outcome.NONE,
            reason=verdict.reason if verdict else 0,
            direction=way, mode=mode_for(verdict.candidate if verdict else None, plan), trust=Trust.SYNCED, flags=flags, subject=subject, ref=ref,
        )  # fmt: skip

    def _write(self, body: Record, extensions: Sequence[tuple[Extension, bytes]]) -> None:
        """Add a record, and let the next request see what it says of presence."""
        for row in self._pages.add(body, extensions):
            rows = self._presence.setdefault((row.event, row.ticket), [])
            self._room.move(self._pages.seq, rows, row)
            rows.append(row)


def record_name(name: RecordId) -> str:
    """Return a record's id as it is written in JSON."""
    return f"{name.gate}-{name.epoch:016x}-{name.seq}"


def read_record_name(text: str) -> RecordId:
    """Return the record id that `record_name` wrote."""
    gate, epoch, seq = text.split("-")
    return RecordId(known.gate_id(gate), known.epoch_id(epoch), int(seq))


def _reused() -> Refused:
    return Refused(
        422, "key_reused", "This scan_id came with another scan before. Make a new one for each scan."
    )
