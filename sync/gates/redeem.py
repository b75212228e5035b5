"""Redeem and annul for other people's scanners: `decide()` over the centre's own tables, many requests a commit.

Requests that come in while one transaction is committed go into the next. Who asks is found in that transaction, so a
token that was revoked a moment ago lets nobody in. Each replica writes what happened as a gate of its own.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from admission.ids import EventId, GateId, ZoneId
from sync.accounts import tokens
from sync.accounts.principal import Principal, Role
from sync.board.boards import Boards, Inside
from sync.gates import known, own_log, replica
from sync.gates.desk import Desk
from sync.gates.lookup import LookUp
from sync.gates.own_log import Pages, Position
from sync.gates.room import COUNTED_EVERY_S, STALE_S, Room, Rooms
from sync.gates.scans import ROUTE, Annul, Annulled, Presented, Redeem, Redeemed, Scan, presented
from sync.store.database import CentreFault, Database
from sync.store.schema import queueing
from sync.store.together import Changes, Round
from sync.web.api import Asked, Caller, Refused, Route, not_found

__all__ = ["ROUTE", "Redeemer", "routes"]

log = logging.getLogger("sync.gates.redeem")

BATCH_MAX = 200
"""Requests of one transaction: 40 ms of a core, within which the last of them is to be answered."""
GATHERED_MIN = 4
"""So many scanners answered at a time ask without pause, and others wait for theirs: people come seldomer."""
GATHER_S = 0.004
"""Longest wait for them: less than the commit takes that they are spared."""
KEPT_S = 48 * 3600
"""How long the same scan id gets the same answer, as with idempotency keys."""
TOKENS_MAX = 10_000
"""Tokens remembered, of those that were good once."""
PRUNED_MAX = 500
"""Old answers removed in one go: some milliseconds, for which the next scans wait."""
PRUNED_EVERY_S = 60.0
PRUNED_AGAIN_S = 1.0
"""Between two goes while there are more."""

MISSED_STEPS = 10
"""A replica that starts, or was not asked for long, counts so many steps before it judges: 200,000 records, some seconds."""
BESIDE_STEPS = 500
"""Of one counting beside the scans: ten million records."""

_QUEUE = "redeem {}"
_PRUNE = text("""
DELETE FROM idempotency_key WHERE route = :route AND (principal, key) IN (
  SELECT principal, key FROM idempotency_key WHERE made_s < :before AND route = :route LIMIT :most
)
""")


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
    caller: Caller
    answer: asyncio.Future[bytes]
    seen: Presented | None
    found: Principal | None = None
    """Who asks by a session."""


class _Table(NamedTuple):
    """What one group's scans are judged and written down with."""

    pages: Pages
    found: LookUp


@dataclass(slots=True)
class _Done:
    """What a transaction leaves, once it is committed."""

    answers: list[bytes | Refused]
    logs: dict[int, Position]
    rooms: dict[int, Room]
    now_s: int
    changes_lists: bool = False
    """Whether gates have to hear of it: a replica became a gate, or serves a zone more."""


class Redeemer:
    """Answers redeem and annul. Of one event loop; `close` it before its database."""

    def __init__(
        self,
        database: Database,
        seed: bytes,
        now_us: Callable[[], int],
        mono_s: Callable[[], float] = time.monotonic,
        on_recorded: Callable[[int], None] = lambda _group: None,
    ) -> None:
        """`on_recorded`: told of each group that records were committed for."""
        self._on_recorded = on_recorded
        self._database, self._seed, self._now_us, self._mono_s = database, seed, now_us, mono_s
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._expected = 0
        """How many will be waiting when all have asked again who were answered last."""
        self._are_all = asyncio.Event()
        self._logs: dict[int, Position] = {}
        self._keys: dict[int, Ed25519PrivateKey] = {}
        self._known: dict[bytes, Principal] = {}
        """Whom tokens spoke for when they were seen last."""
        self._facts = known.Facts()
        self._rooms = Rooms()
        self._boards = Boards(mono_s)
        self._counted_s: dict[int, float] = {}
        """By group with a zone that can be full, when who is inside was counted last."""
        self._counting: set[asyncio.Task[None]] = set()
        self._marked_s: dict[int, int] = {}
        """By group, when was last written down that scanners were answered."""
        self._prune_s = mono_s() + PRUNED_EVERY_S

    async def put(self, asked: Asked, caller: Caller) -> bytes:
        """Return the answer's JSON once it is on the disk."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # A signature is checked while others are committed. Should the keys change meanwhile, it is checked again.
        facts = self._facts.last_of(asked.path["event"])
        seen = None if facts is None else presented(asked.body, facts)
        self._waiting.append(_Waiting(asked, caller, answer, seen))
        if len(self._waiting) >= self._expected:
            self._are_all.set()
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def close(self) -> None:
        """Wait for what is under way."""
        while under_way := {*self._counting, *([self._running] if self._running is not None else [])}:
            await asyncio.wait(under_way)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                await self._commit(batch)
                await self._prune()
                await self._gather(len(batch))
        finally:
            self._running = None

    async def _gather(self, answered: int) -> None:
        """Give those who were answered a moment to ask again, where many do: a commit costs the same for half of them."""
        if answered < GATHERED_MIN:
            return
        self._expected = min(BATCH_MAX, answered + len(self._waiting))
        if len(self._waiting) < self._expected:
            self._are_all.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._are_all.wait()

    async def _commit(self, batch: list[_Waiting]) -> None:
        now_us = self._now_us()
        try:
            done = await self._database.write(
                lambda connection: self._work(connection, batch, now_us), lambda done: done.changes_lists
            )
        except Exception as error:  # noqa: BLE001 - told to each who waits; whether it was committed is not known,
            self._logs.clear()  # so nothing is written behind it: the next records begin an epoch
            self._facts = known.Facts()  # nor judged by versions that may never have come about
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        self._logs.update(done.logs)
        for group, room in done.rooms.items():
            self._rooms.committed(group, room)
        for group in done.logs:
            if done.now_s - self._marked_s.get(group, 0) >= own_log.MARKED_EVERY_S:
                self._marked_s[group] = done.now_s
            self._on_recorded(group)
        for one, said in zip(batch, done.answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(said, Refused):
                one.answer.set_exception(said)
            else:
                one.answer.set_result(said)
        self._count(group for group, room in done.rooms.items() if room.is_limited)

    def _work(self, connection: Connection, batch: Sequence[_Waiting], now_us: int) -> _Done:
        """Answer a batch: one question to the database, the decisions, one more that writes them down."""
        now_s = now_us // 1_000_000
        answers: dict[int, bytes | Refused] = {}
        groups: dict[int, dict[int, Scan]] = {}
        self._meet(connection, batch, now_s)
        for number, one in enumerate(batch):
            try:
                principal, group = self._admitted(one, self._known)
            except Refused as refused:
                answers[number] = refused
                continue
            scan = Scan(EventId(one.asked.path["event"]), one.asked.body, principal.actor.id, one.seen)
            groups.setdefault(group, {})[number] = scan
        tables = self._open(connection, groups, now_us)
        round_ = Round.by_keys(connection)
        present: dict[bytes, Principal] = {}
        tokens.ask(
            round_, {token for one in batch if (token := one.caller.token) is not None}, now_s, present
        )
        for group, table in tables.items():
            round_.add(queueing(_QUEUE.format(group)))  # two replicas never use one ticket at a time
            self._facts.ask(round_, group, now_s)
            if self._rooms.limits(group):
                self._rooms.ask(round_, group)
            table.found.ask(round_)
        round_.run()
        for token in self._known.keys() & {one.caller.token for one in batch} - present.keys():
            del self._known[token]
        done = _Done([], {}, {}, now_s)
        serve: dict[GateId, frozenset[ZoneId]] = {}
        for group, table in tables.items():
            desk, room = self._desk(connection, group, table, now_s)
            for number, scan in groups[group].items():
                answers[number] = self._refused_now(batch[number], present) or desk.answer(scan)
            self._keep(round_, group, table.pages, desk, room, done)
            if desk.newly_served:
                serve[table.pages.at.gate] = desk.newly_served
        round_.run()
        if serve:
            own_log.serve(connection, serve, now_s)
        done.changes_lists = bool(serve) or any(not table.pages.at.seq for table in tables.values())
        done.answers.extend(answers[number] for number in range(len(batch)))
        return done

    def _keep(self, round_: Round, group: int, pages: Pages, desk: Desk, room: Room, done: _Done) -> None:
        """Write down what a desk answered, and note what that leaves."""
        changes = Changes(round_.connection)
        desk.keep(changes)
        room.store(round_.connection, changes, group)
        done.rooms[group] = room
        if pages.blobs:
            done.logs[group] = pages.store(round_.connection, changes, done.now_s)
            if done.now_s - self._marked_s.get(group, 0) >= own_log.MARKED_EVERY_S:
                changes.add("marked", own_log.MARK.ask(now=done.now_s, gate=pages.at.gate))
        changes.add_to(round_)

    def _meet(self, connection: Connection, batch: Sequence[_Waiting], now_s: int) -> None:
        """Learn the tokens and events that were never seen here: for strangers nothing else is asked, nor locked."""
        fresh = {
            token for one in batch if (token := one.caller.token) is not None and token not in self._known
        }
        if fresh:
            if len(self._known) >= TOKENS_MAX:
                self._known.clear()
            round_ = Round.by_keys(connection)
            tokens.ask(round_, fresh, now_s, self._known)
            round_.run()
        for one in batch:
            if one.caller.token is None:
                one.found = one.caller.found(connection)
            self._facts.owner_of(connection, one.asked.path["event"])

    def _open(
        self, connection: Connection, groups: Mapping[int, Mapping[int, Scan]], now_us: int
    ) -> dict[int, "_Table"]:
        """Return where each group's log stands and what is looked up, in order; by the facts as they were last."""
        now_s = now_us // 1_000_000
        order = sorted(groups)
        if any(group not in self._logs or self._facts.last(group) is None for group in order):
            round_ = Round.by_keys(connection)
            for group in order:
                round_.add(queueing(_QUEUE.format(group)))
                self._facts.ask(round_, group, now_s)
            round_.run()
        tables = {}
        for group in order:
            at, key = self._logs.get(group), self._key(group)
            pages = own_log.begin(connection, group, key, now_us) if at is None else Pages(at, key, now_us)
            facts = self._facts.last(group) or self._facts.of(connection, group, pages.at.gate, now_s)
            tables[group] = _Table(pages, LookUp(group, facts, list(groups[group].values())))
        return tables

    def _desk(self, connection: Connection, group: int, table: "_Table", now_s: int) -> tuple[Desk, Room]:
        pages, found = table.pages, table.found
        facts = self._facts.of(connection, group, pages.at.gate, now_s)
        if not found.is_by(facts):
            found = found.anew(facts)
            round_ = Round(connection)
            found.ask(round_)
            round_.run()
        found.complete(connection)
        room = self._rooms.of(
            connection, group, facts, self._facts.unheard(group, facts), (pages.at.gate, pages.at.epoch),
            partial(self._count_on, connection, group),
        )  # fmt: skip
        return Desk(connection, facts, pages, now_s, room, found), room

    def _key(self, group: int) -> Ed25519PrivateKey:
        if group not in self._keys:
            self._keys[group] = replica.key_of(self._seed, group)
        return self._keys[group]

    def _refused_now(self, one: _Waiting, present: Mapping[bytes, Principal]) -> Refused | None:
        """Say why somebody who was admitted as they were known is not, as it is now."""
        token = one.caller.token
        if token is None:
            return None  # found in this very transaction
        now = present.get(token)
        if now is not None and now == self._known.get(token):
            return None
        try:
            self._admitted(one, present)
        except Refused as refused:
            return refused
        return None

    def _admitted(self, one: _Waiting, principals: Mapping[bytes, Principal]) -> tuple[Principal, int]:
        """Return who asks and the event's group; Refused where they may not, or where the event is not theirs."""
        token = one.caller.token
        principal = one.caller.admitted(one.found if token is None else principals.get(token))
        owner = self._facts.owner(one.asked.path["event"])
        if owner is None or owner.organization != principal.organization:
            raise not_found("event")
        return principal, owner.group

    # --- who is inside -------------------------------------------------------------------------------------------

    def _count_on(self, connection: Connection, group: int, missed: bool) -> Inside | None:
        """Count within a transaction where what was counted beside is too old, or moves were missed."""
        now = self._mono_s()
        if not missed and now - self._counted_s.get(group, now) < STALE_S:
            return None
        self._counted_s[group] = now
        return self._boards.inside(connection, group, MISSED_STEPS if missed else 1)

    def _count(self, groups: Iterable[int]) -> None:
        """Count on beside the scans where that is due."""
        now = self._mono_s()
        for group in groups:
            if now - self._counted_s.get(group, 0) >= COUNTED_EVERY_S and not self._counting:
                self._counted_s[group] = now
                task = asyncio.create_task(self._count_beside(group))
                self._counting.add(task)
                task.add_done_callback(self._counting.discard)

    async def _count_beside(self, group: int) -> None:
        era = self._rooms.era(group)
        try:
            for _ in range(BESIDE_STEPS):
                inside = await self._database.read(lambda connection: self._boards.inside(connection, group))
                self._rooms.counted(group, inside, era)
                if inside is not None and not inside.behind:
                    break
        except (CentreFault, SQLAlchemyError) as error:
            log.warning("who is inside cannot be counted: %s", type(error).__name__)

    async def _prune(self) -> None:
        """Forget some answers that are older than `KEPT_S`."""
        if self._mono_s() < self._prune_s:
            return
        values = {"route": ROUTE, "before": self._now_us() // 1_000_000 - KEPT_S, "most": PRUNED_MAX}
        more = False
        try:
            more = await self._database.write(
                lambda connection: connection.execute(_PRUNE, values).rowcount == PRUNED_MAX, lambda _: False
            )
        except (CentreFault, SQLAlchemyError) as error:  # they go a minute later
            log.warning("old answers to scanners cannot be removed: %s", type(error).__name__)
        self._prune_s = self._mono_s() + (PRUNED_AGAIN_S if more else PRUNED_EVERY_S)
