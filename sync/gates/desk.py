"""One desk for other people's scanners: how the centre judges what they present, and how it writes that down."""

from collections.abc import Hashable, Sequence

import msgspec
from sqlalchemy import Connection

from admission.credentials import Identity, Known
from admission.decide import decide, synthesize
from admission.entitlements import LanePlan, Product
from admission.ids import EventId, RecordId, SessionId, TicketId, ZoneId
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
from sync.gates.lookup import LookUp
from sync.gates.own_log import Pages
from sync.gates.room import Room
from sync.gates.scans import MODES, ROUTE, Annul, Annulled, Redeem, Redeemed, Scan
from sync.store.together import Changes, Insert
from sync.web.api import Refused, not_found

_SAY = Insert(
    "idempotency_key", principal="text", route="text", key="text", request="bytea", status="integer", body="bytea",
    made_s="bigint",
)  # fmt: skip


class Desk:
    """Judges the scans of one group, one after the other, in one transaction."""

    def __init__(
        self,
        connection: Connection,
        facts: known.GroupFacts,
        pages: Pages,
        now_s: int,
        room: Room,
        found: LookUp,
    ) -> None:
        """`found`: what the scans present, looked up by these facts."""
        self._connection, self._facts, self._room = connection, facts, room
        self._pages, self._now_s = pages, now_s
        self._identities, self._tickets, self._presence = found.identities, found.tickets, found.presence
        self._said = found.said
        self._made: list[tuple[object, ...]] = []
        self._served: set[ZoneId] = set()

    def answer(self, one: Scan) -> bytes | Refused:
        """Return a scan's answer; one that was answered before is answered the same."""
        request = one.digest()
        before = self._said.get(one.scope)
        if before is not None:
            return before[1] if before[0] == request else _reused()
        try:
            answer = msgspec.json.encode(self._one(one, self._identities.get(id(one))))
        except Refused as refused:
            return refused
        self._said[one.scope] = (request, answer)
        principal, key = one.scope
        self._made.append((principal, ROUTE, key, request, 200, answer, self._now_s))
        return answer

    @property
    def newly_served(self) -> frozenset[ZoneId]:
        """Return the zones that somebody was let into, and of which no gate knows yet that scanners are answered here."""
        return frozenset(self._served - self._facts.served)

    def keep(self, changes: Changes) -> None:
        """Keep the answers, with the records that they tell of."""
        if self._made:
            changes.add("said", _SAY.ask(self._connection, self._made))

    def _one(self, one: Scan, identity: Identity | None) -> Redeemed | Annulled:
        if isinstance(one.body, Annul):
            return self._annul(one, one.body)
        return self._redeem(one.event, one.body, identity)

    def _redeem(self, event: EventId, body: Redeem, identity: Identity | None) -> Redeemed:
        if (body.code, body.uid, body.ticket).count(None) != 2:
            raise Refused(422, "bad_body", "Send one of these: a code, a tag's uid, a ticket's number.")
        plan = self._facts.plan(event, body.gate, body.lane, body.zone, body.session, MODES[body.mode])
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
        if direction is Direction.ENTRY and verdict.outcome is Outcome.GRANT:
            self._served.add(plan.zone)
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
        today = self._facts.venue.days_of(event).today(session, self._now_s * 1_000_000)
        return folded.tally(plan.zone, session, today, at.gate, at.epoch, plan.lane)

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
        # Taken back alone, the reservation that a restart caught would count again.
        caught = entry.names if entry.flags & Flag.AFTER_RESTART else ()
        names = [(Extension.OBSERVED, one) for one in pack_record_ids((name, *caught))]
        self._write(annul, [*names, (Extension.STAFF, staff)])
        at = self._pages.at
        return Annulled(ticket=entry.ticket, record=record_name(RecordId(at.gate, at.epoch, seq)))

    def _entry(self, event: EventId, name: RecordId) -> PresenceRow | None:
        """Find an admission, also one of this transaction, with all that is said of its ticket."""
        for row in known.entry(self._connection, event, name):
            rows = self._presence.setdefault((row.event, row.ticket), [])
            if row not in rows:
                rows.append(row)
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
