"""Redeem and annul for other people's scanners: `decide()` over the centre's own tables, many requests a commit.

Requests that come in while one transaction is committed go into the next. Who asks is found in that transaction, so a
token that was revoked a moment ago lets nobody in. Each replica writes what happened as a gate of its own.
"""

import asyncio
import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select, tuple_

from admission.credentials import Known, Medium, identify
from admission.decide import decide, synthesize
from admission.entitlements import LanePlan, Mode, Product
from admission.ids import EventId, RecordId, SessionId, TicketId
from admission.observed import PresenceRow, rows_of
from admission.presence import fold
from admission.question import Candidate, ClockFacts, LaneFacts, Question, Tally, Verdict
from admission.reasons import Reason
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
    pack_record_ids,
    ticket_subject,
)
from admission.rules import mode_for, session_for
from sync.accounts.principal import Principal, Role
from sync.accounts.tables import idempotency_key
from sync.gates import known, own_log, replica
from sync.gates.own_log import Pages, Position
from sync.store.database import Database
from sync.store.schema import queue
from sync.web.api import Asked, Body, Id, Line, Refused, Route, not_found

BATCH_MAX = 200
"""Requests of one transaction: 40 ms of a core, within which the last of them is to be answered."""
KEPT_S = 48 * 3600
"""How long the same scan id gets the same answer, as with idempotency keys."""
PRUNED_MAX = 500
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


def routes() -> tuple[Route, ...]:
    """Return the routes; both are answered by a `Redeemer`."""
    path = "/api/v1/events/{event}"
    return (
        Route(
            method="POST", path=f"{path}/redeem", handler=_never, answer=Redeemed, body=Redeem, role=Role.DEVICE,
            writes=True, batch=ROUTE, summary="Decide about a scan, and use the ticket where it is let in",
        ),
        Route(
            method="POST", path=f"{path}/annul", handler=_never, answer=Annulled, body=Annul, role=Role.DEVICE,
            writes=True, batch=ROUTE, summary="Take an admission back",
        ),
    )  # fmt: skip


def _never(_connection: Connection, _asked: Asked) -> None:
    raise AssertionError("answered by a batch")


@dataclass(slots=True, eq=False)
class _Waiting:
    asked: Asked
    who: Hashable
    admit: Callable[[Connection], Principal]
    answer: asyncio.Future[bytes]


class Redeemer:
    """Answers redeem and annul. Of one event loop; `close` it before its database."""

    def __init__(self, database: Database, seed: bytes, now_us: Callable[[], int]) -> None:
        self._database, self._seed, self._now_us = database, seed, now_us
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._logs: dict[int, Position] = {}
        self._facts = known.Facts()

    async def put(self, asked: Asked, who: Hashable, admit: Callable[[Connection], Principal]) -> bytes:
        """Return the answer's JSON once it is on the disk. `admit`: who asks, the same for the same `who` and event."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, who, admit, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                await self._commit(batch)
        finally:
            self._running = None

    async def _commit(self, batch: list[_Waiting]) -> None:
        now_us = self._now_us()
        try:
            answers, logs = await self._database.write(
                lambda connection: self._work(connection, batch, now_us)
            )
        except Exception as error:  # noqa: BLE001 - told to each who waits; whether it was committed is not known,
            self._logs.clear()  # so nothing is written behind it: the next records begin an epoch
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        self._logs.update(logs)
        for one, said in zip(batch, answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(said, Refused):
                one.answer.set_exception(said)
            else:
                one.answer.set_result(said)

    def _work(
        self, connection: Connection, batch: Sequence[_Waiting], now_us: int
    ) -> tuple[list[bytes | Refused], dict[int, Position]]:
        now_s = now_us // 1_000_000
        answers: dict[int, bytes | Refused] = {}
        groups: dict[int, list[tuple[int, _Waiting]]] = {}
        admitted: dict[Hashable, Principal | Refused] = {}
        for number, one in enumerate(batch):
            event = one.asked.path["event"]
            at = (one.who, event)
            if at not in admitted:
                admitted[at] = _admit(connection, one)
            principal = admitted[at]
            if isinstance(principal, Refused):
                answers[number] = principal
            else:
                one.asked = replace(one.asked, principal=principal)
                groups.setdefault(self._facts.group_of(connection, event), []).append((number, one))
        logs = {}
        for group in sorted(groups):
            queue(connection, f"redeem {group}")  # two replicas never use one ticket at a time
            at_log = self._logs.get(group)
            key = replica.key_of(self._seed, group)
            pages = (
                own_log.begin(connection, group, key, now_us)
                if at_log is None
                else Pages(at_log, key, now_us)
            )
            desk = _Desk(connection, self._facts.of(connection, group, pages.at.gate, now_s), pages, now_s)
            answers.update(desk.answer(groups[group]))
            if pages.blobs:
                logs[group] = pages.store(connection, now_s)
        return [answers[number] for number in range(len(batch))], logs


def _admit(connection: Connection, one: _Waiting) -> Principal | Refused:
    try:
        return one.admit(connection)
    except Refused as refused:
        return refused


class _Desk:
    """Judges the requests of one group, one after the other, in one transaction."""

    def __init__(self, connection: Connection, facts: known.GroupFacts, pages: Pages, now_s: int) -> None:
        self._connection, self._facts, self._pages, self._now_s = connection, facts, pages, now_s
        self._presence: dict[tuple[EventId, TicketId], list[PresenceRow]] = {}
        self._tickets: known.Tickets = {}

    def answer(self, asked: Sequence[tuple[int, _Waiting]]) -> dict[int, bytes | Refused]:
        """Return the answers by number."""
        said = self._said_before([one for _, one in asked])
        identities = {}
        for number, one in asked:
            body = one.asked.body
            if isinstance(body, Redeem) and body.ticket is None:
                data, medium = (body.code or "").encode("utf-8", "replace"), Medium.BARCODE
                if body.uid is not None:
                    data, medium = bytes.fromhex(body.uid), Medium.UID
                identities[number] = identify(data, medium, self._facts.ring, self._facts.digest_key)
        digests = {one.digest for one in identities.values() if isinstance(one, Known)}
        numbers = {
            (EventId(one.asked.path["event"]), TicketId(one.asked.body.ticket))
            for _, one in asked
            if isinstance(one.asked.body, Redeem) and one.asked.body.ticket is not None
        }
        self._tickets = known.tickets(self._connection, self._facts.events, digests, numbers)
        self._presence = known.presence(
            self._connection, [(t.event, t.id) for rows in self._tickets.values() for t, _ in rows]
        )
        answers: dict[int, bytes | Refused] = {}
        rows: list[dict[str, object]] = []
        for number, one in asked:
            scope, request = _scope(one), _digest(one)
            before = said.get(scope)
            if before is not None:
                answers[number] = before[1] if before[0] == request else _reused()
                continue
            try:
                made = self._one(one, identities.get(number))
            except Refused as refused:
                answers[number] = refused
                continue
            encoded = msgspec.json.encode(made)
            answers[number] = encoded
            said[scope] = (request, encoded)
            rows.append({
                "principal": scope[0], "route": ROUTE, "key": scope[1], "request": request, "status": 200,
                "body": encoded, "made_s": self._now_s,
            })  # fmt: skip
        if rows:
            self._connection.execute(insert(idempotency_key), rows)
            self._prune()
        return answers

    def _one(self, one: _Waiting, identity: Any) -> Redeemed | Annulled:
        if isinstance(one.asked.body, Annul):
            return self._annul(one.asked, one.asked.body)
        return self._redeem(one.asked, one.asked.body, identity)

    def _redeem(self, asked: Asked, body: Redeem, identity: Any) -> Redeemed:
        event = EventId(asked.path["event"])
        if (body.code, body.uid, body.ticket).count(None) != 2:
            raise Refused(422, "bad_body", "Send one of these: a code, a tag's uid, a ticket's number.")
        plan = self._facts.plan(event, body.gate, body.lane, body.zone, body.session, _MODES[body.mode])
        if body.ticket is not None:
            key: Hashable = (event, TicketId(body.ticket))
            if not self._tickets.get(key):
                raise not_found("ticket")
            identity = known.by_number(event, TicketId(body.ticket))
        else:
            key = identity.digest if isinstance(identity, Known) else None
        direction = Direction.ENTRY if body.direction == "entry" else Direction.EXIT
        candidates = self._candidates(identity, plan, self._tickets.get(key, ()))
        verdict = decide(
            Question(
                direction=direction, identity=identity, candidates=candidates, lane=LaneFacts(plan),
                venue=self._facts.venue, clock=ClockFacts(self._now_s, Trust.SYNCED, self._now_s),
            )
        )  # fmt: skip
        return self._recorded(verdict, direction, plan, identity)

    def _candidates(self, identity: Any, plan: LanePlan, rows: known.Rows) -> tuple[Candidate, ...]:
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
                found.append(unlisted)
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

    def _recorded(self, verdict: Verdict, direction: Direction, plan: LanePlan, identity: Any) -> Redeemed:
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

    def _annul(self, asked: Asked, body: Annul) -> Annulled:
        event = EventId(asked.path["event"])
        name = read_record_name(body.record)
        entry = known.entry(self._connection, event, name) or self._new_entry(event, name)
        if entry is None:
            raise not_found("admission")
        product = known.product_of(self._connection, event, entry.ticket)
        plan = LanePlan(entry.lane, entry.zone)
        subject = ticket_subject(event, entry.ticket, product)
        seq = self._pages.next_seq
        annul = self._body(
            Kind.ANNUL, None, plan, Direction.NONE, Flag.TICKET, subject, session=entry.session
        )
        staff = (asked.principal.actor.id & 0xFFFF_FFFF).to_bytes(4, "big") + body.reason.encode()[:200]
        self._write(annul, [(Extension.OBSERVED, pack_record_ids((name,))[0]), (Extension.STAFF, staff)])
        at = self._pages.at
        return Annulled(ticket=entry.ticket, record=record_name(RecordId(at.gate, at.epoch, seq)))

    def _new_entry(self, event: EventId, name: RecordId) -> PresenceRow | None:
        for (of_event, _), rows in self._presence.items():
            for row in rows:
                if of_event == event and row.id == name:
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
        at = self._pages.at
        self._pages.add(body)
        made = [
            ExtensionRecord(kind, self._pages.seq + n, payload)
            for n, (kind, payload) in enumerate(extensions, 1)
        ]
        for one in made:
            self._pages.add(one)
        for row in rows_of(at.gate, at.epoch, body, tuple(made), body.time_us):
            self._presence.setdefault((row.event, row.ticket), []).append(row)

    def _said_before(self, asked: Sequence[_Waiting]) -> dict[tuple[str, str], tuple[bytes, bytes]]:
        t = idempotency_key.c
        found = self._connection.execute(
            select(t.principal, t.key, t.request, t.body).where(
                t.route == ROUTE, tuple_(t.principal, t.key).in_([_scope(one) for one in asked])
            )
        )
        return {(row.principal, row.key): (bytes(row.request), bytes(row.body)) for row in found}

    def _prune(self) -> None:
        t = idempotency_key
        old = select(t.c.principal, t.c.key).where(t.c.route == ROUTE, t.c.made_s < self._now_s - KEPT_S)
        for row in self._connection.execute(old.limit(PRUNED_MAX)).all():
            self._connection.execute(
                delete(t).where(t.c.principal == row.principal, t.c.route == ROUTE, t.c.key == row.key)
            )


def record_name(name: RecordId) -> str:
    """Return a record's id as it is written in JSON."""
    return f"{name.gate}-{name.epoch:016x}-{name.seq}"


def read_record_name(text: str) -> RecordId:
    """Return the record id that `record_name` wrote."""
    gate, epoch, seq = text.split("-")
    return RecordId(known.gate_id(gate), known.epoch_id(epoch), int(seq))


def _scope(one: _Waiting) -> tuple[str, str]:
    return f"event:{one.asked.path['event']}", one.asked.body.scan_id


def _digest(one: _Waiting) -> bytes:
    return hashlib.sha256(msgspec.json.encode(one.asked.body)).digest()


def _reused() -> Refused:
    return Refused(
        422, "key_reused", "This scan_id came with another scan before. Make a new one for each scan."
    )
