"""The centre without its HTTP: the very intake, feeds, changes, snapshots and roster over a real database, in a machine
that can be killed, started again, and set back to an older copy of its database."""

import asyncio
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from admission.chain import seed
from admission.ids import Epoch, EventId, GateId, RecordId
from admission.observed import COLUMNS, RESET_COLUMNS, PresenceRow, Reset, from_columns, reset_from_columns
from edge.front.centre import CentreRefused, CutOff
from sync.compose import Centre
from sync.events.rows import GROUP
from sync.gates import ingest
from sync.gates import roster as gates_roster
from sync.gates.changes import Changes, TooFar
from sync.gates.feed_asked import Feeds
from sync.gates.handlers import read_push
from sync.gates.ingest import Arrival
from sync.gates.intake import Intake
from sync.gates.published import PublishedApi
from sync.gates.statuses import Statuses
from sync.keys import VenueKeys
from sync.store.database import FILE, Database
from sync.store.engines import sqlite
from sync.store.schema import unsigned
from sync.wire.carry import unpack_carry
from sync.wire.deltas import HEARTBEAT_S, RECORDS_PART, TAKE_LIST, GateStatus, span_of
from sync.wire.feed import Ask
from sync.wire.messages import Held, Push, Pushed, Trouble
from sync.wire.seals import RENEW_S
from tests.sim.clock import TrueTime
from tests.sim.history import InForce, Place
from tests.sim.ledger import Ledger, LightFeeds, LightIntake
from tests.sim.loop import Machine, VirtualLoop
from tests.sim.network import Network, Reply, Stream
from tests.sim.premises import key_of

LOOK_S = 0.03
"""From a change to its hint (`sync.gates.hints.LOOK_EVERY_S`)."""
POLL_S = 3600.0
"""There is no other replica whose records a look at the tables would find."""
WORK_S = 0.004
"""The least that a request takes."""
STATUSES_S = 20.0
"""Between two writings of what gates say of themselves: what nothing here depends on is not done often."""
MANIFEST_S = 20.0
"""A manifest is told again for so long while the list stays as it is: most of a world's time went into making the same one."""

_COMPILED: dict[Any, Any] = {}
"""SQLAlchemy's compiled statements, shared by all worlds: the tables are the same."""
_DIALECTS: list[Any] = []
"""The dialect of the first world, which all have: what was compiled for one is not found by another."""


class OneReplica(Feeds):
    """Feeds of a centre beside which no other writes: there is nothing to poll for."""

    async def _poll(self, group: int) -> None:
        await asyncio.sleep(POLL_S)
        del self._polls[group]


class SimCentre:
    """One centre. `start` first; `stop` as by a power cut."""

    name = "centre"

    def __init__(
        self,
        loop: VirtualLoop,
        truth: TrueTime,
        network: Network,
        data: Path,
        keys: VenueKeys,
        light: bool,
        on_answer: Callable[[GateId, str, object], None],
        on_settings: Callable[[InForce], None],
    ) -> None:
        self.machine = Machine(loop, self.name)
        self.data = data
        self.ledger = Ledger() if light else None
        """Its logs, where they are kept in no tables."""
        self._loop, self._truth, self._network, self._keys = loop, truth, network, keys
        self._on_answer = on_answer
        """Told of what a gate is answered or tells, for the history."""
        self._on_settings = on_settings
        """Told of the settings after each change of the list."""
        self._streams: dict[str, Stream] = {}
        self._kept: dict[Path, Ledger] = {}
        """By copy of the database, the logs beside it."""
        self._generation = 1
        self.whole_from = 0
        """Whoever has a version below it is sent to take the whole list, as after a change of very many rows."""
        self._started = False
        self._publics: dict[GateId, bytes | None] = {}
        """The keys of gates that asked, as the roster has them in a version of the list: whoever is shut out moves it."""
        self._publics_of = -1

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the database and begin to serve, unless it does."""
        if self._started:
            return
        self.machine = Machine(self._loop, self.name)
        self.machine.context.run(self._open)
        self._started = True

    def _open(self) -> None:
        engine = sqlite(self.data / FILE)
        engine._compiled_cache = _COMPILED
        if not _DIALECTS:
            engine.connect().close()  # it asks the library what that can
            _DIALECTS.append(engine.dialect)
        engine.dialect = engine.pool._dialect = _DIALECTS[0]
        self.database = Database(engine, 4)
        self.centre = Centre(self.data, self.database, self._keys)
        asked = (self.database, self.now_s)
        self.intake: Intake | LightIntake
        self.feeds: Feeds | LightFeeds
        if self.ledger is None:
            self.intake, self.feeds = Intake(*asked), OneReplica(*asked, self._loop.time)
        else:
            self.intake = LightIntake(*asked, self.ledger)
            self.feeds = LightFeeds(*asked, self._loop.time, self.ledger)
        self.feeds.on_rouse = lambda _group: self._send(RECORDS_PART, b"")
        self.changes = Changes(self.database, self._keys)
        self.published = PublishedApi(
            self.database, self._keys, self.data, self.now_s, _nobody, Counter(), rebuild_s=300,
            clock=self.changes.clock,
        )  # fmt: skip
        self.statuses = Statuses(self.database)
        self._due = asyncio.Event()
        self.database.on_written.append(self._due.set)
        self._place: Place | None = None
        self._publics_of = -1
        self._written()
        self.database.on_written.append(self._written)
        self._manifests: dict[GateId, tuple[float, int, bool, bytes]] = {}
        """By gate: when it was made, of which version, whether it is behind nothing, and what it is."""
        self.machine.spawn(self._look_on())
        self.machine.spawn(self._seal_on())
        self.machine.spawn(self._write_on())

    def stop(self) -> None:
        """The centre's process is gone, in the middle of whatever it did."""
        if not self._started:
            return
        self._started = False
        self.machine.cut()
        for who, stream in self._streams.items():
            stream.is_open = False
            self._network.reset(who, self.name)
        self._streams.clear()
        self.database._engine.dispose()

    @property
    def is_up(self) -> bool:
        """Whether it serves."""
        return self._started

    def keep_copy(self, target: Path) -> None:
        """Keep the database as it is now, as a backup does."""
        target.mkdir(parents=True)
        with self.database.reading() as connection:
            connection.exec_driver_sql("COMMIT")  # VACUUM stands in no transaction
            connection.exec_driver_sql("VACUUM INTO ?", (str(target / FILE),))
        if self.ledger is not None:
            self._kept[target] = self.ledger.copy()

    def put_back(self, source: Path) -> None:
        """Go on from an older copy, as `gatehouse-sync restore` does: lists get a new generation. Stopped before."""
        self._generation += 1
        for path in self.data.glob(f"{FILE}*"):
            path.unlink()
        shutil.copyfile(source / FILE, self.data / FILE)
        if self.ledger is not None:
            after = self.ledger.history + 1
            self.ledger = self._kept.pop(source)
            self.ledger.history = after
        database = Database(sqlite(self.data / FILE), 1)
        with database.writing() as connection:
            connection.exec_driver_sql("UPDATE event SET generation = ?", (self._generation,))
        database._engine.dispose()

    def now_s(self) -> int:
        """The centre's clock is right."""
        return self._truth.now_s

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Do something at the centre by hand, at once."""
        return self.database.transact(work)

    # --- what gates ask -----------------------------------------------------------------------------------------

    def serve(self, who: str, what: str, body: bytes, reply: Reply) -> None:
        """Answer a gate, in this machine."""
        self.machine.spawn(self._serve(gate_of(who), what, body, reply))

    async def _serve(self, gate: GateId, what: str, body: bytes, reply: Reply) -> None:
        await asyncio.sleep(WORK_S)
        try:
            answer = await self._answer(gate, what, body)
        except (CentreRefused, CutOff) as refusal:
            reply(refusal)
        else:
            reply(answer)

    async def _answer(self, gate: GateId, what: str, body: bytes) -> bytes:
        if self._key_of(gate) is None:
            raise CentreRefused("unknown_gate")
        match what:
            case "time":
                return str(self.now_s()).encode()
            case "have":
                public = _public_of(gate)
                if isinstance(self.intake, LightIntake):
                    return _packed(self.intake.have(gate, public))
                return _packed(await self.database.read(lambda one: ingest.have(one, gate, public)))
            case "records":
                return await self._records(gate, body)
            case "carried":
                return await self._carried(gate, body)
            case "feed":
                return await self.feeds.answer(gate, msgspec.msgpack.decode(body, type=Ask))
            case "manifest":
                return await self._manifest(gate, body)
            case "snapshot":
                return self.published.snapshots.path(body.decode()).read_bytes()
            case "roster":
                return (await self.published._roster_of(GROUP))[0]
            case "changes":
                event, generation, since = msgspec.msgpack.decode(body, type=tuple[int, int, int])
                if since < self.whole_from:
                    raise CentreRefused(TAKE_LIST)
                return self._page(lambda: self.changes.page(GROUP, EventId(event), generation, since))
            case "settings":
                return self._page(lambda: self.changes.settings(GROUP))
            case "status":
                told = msgspec.msgpack.decode(body, type=GateStatus)
                self.statuses.heard(gate, told, self.now_s())
                self._on_answer(gate, "status", told)
                return b""
            case "events":
                return b""
        raise CutOff(f"nothing answers {what}")

    async def _records(self, gate: GateId, body: bytes) -> bytes:
        answer: Pushed = await self.intake.take(gate, _public_of(gate), read_push(body))
        await self.feeds.arrived(gate)
        self._send(RECORDS_PART, b"")
        self._on_answer(gate, "records", answer)
        return _packed(answer)

    async def _carried(self, carrier: GateId, body: bytes) -> bytes:
        """Take what a gate brings of others, each believed under its own heads (`sync.gates.carried`)."""
        logs, chunks = unpack_carry(body)
        asked: dict[GateId, set[Epoch]] = {}
        for want in logs:
            asked.setdefault(GateId(want.gate), set()).add(Epoch(want.epoch))
        held: list[Held] = []
        troubles: list[Trouble] = []
        for gate in sorted({*asked, *(GateId(chunk.gate) for chunk in chunks)}):
            if self._key_of(gate) is None:
                continue
            public, push = _public_of(gate), Push(tuple(chunk for chunk in chunks if chunk.gate == gate))
            if push.chunks:
                answer = await self.intake.arrive(Arrival(gate, public, push, carrier))
                await self.feeds.arrived(gate)
                troubles += answer.troubles
            wanted = asked.get(gate, set()) | {Epoch(chunk.epoch) for chunk in push.chunks}
            held += (one for one in self._have(gate, wanted))
        self._send(RECORDS_PART, b"")
        return _packed(Pushed(tuple(held), tuple(troubles)))

    def _have(self, gate: GateId, epochs: set[Epoch]) -> tuple[Held, ...]:
        public = _public_of(gate)
        if isinstance(self.intake, LightIntake):
            known = {Epoch(one.epoch): one for one in self.intake.have(gate, public).held}
            return tuple(
                known.get(epoch) or Held(gate, epoch, 0, seed(gate, epoch)) for epoch in sorted(epochs)
            )
        with self.database.reading() as connection:
            return ingest.replica_of(connection, gate, public).have(epochs)

    async def _manifest(self, gate: GateId, body: bytes) -> bytes:
        tag, fresh = msgspec.msgpack.decode(body, type=tuple[str, bool])
        at_s, of, newest, encoded = self._manifests.get(gate, (0.0, 0, False, b""))
        version = self.version()
        is_kept = bool(encoded) and of == version and self._loop.time() - at_s <= MANIFEST_S
        if not is_kept or (fresh and not newest):
            encoded = await self._make_manifest(gate, fresh=fresh)
            self._manifests[gate] = self._loop.time(), version, fresh, encoded
        found = hashlib.sha256(encoded).hexdigest()[:32]
        return _packed(None if found == tag else (found, encoded))

    async def _make_manifest(self, gate: GateId, *, fresh: bool) -> bytes:
        made = await self.published.snapshots.manifest(gate, fresh=fresh)
        if made is None:
            raise CentreRefused("unknown_gate")
        _, version = await self.published._roster_of(made.group)
        return _packed(msgspec.structs.replace(made, keys_number=self._keys.number, roster_version=version))

    def _page(self, make: Callable[[], bytes]) -> bytes:
        try:
            return make()
        except TooFar:
            raise CentreRefused(TAKE_LIST) from None

    # --- what gates are told ------------------------------------------------------------------------------------

    def opened(self, who: str, stream: Stream) -> None:
        """A gate listens; its older stream ends."""
        before = self._streams.pop(who, None)
        if before is not None:
            before.reset()
        self._streams[who] = stream
        for one in self.changes.seals(GROUP, self.now_s()):
            stream.put("seal", one)
        self.machine.spawn(self._beat(stream))

    async def _beat(self, stream: Stream) -> None:
        while stream.is_open:
            await asyncio.sleep(HEARTBEAT_S)
            stream.put("", b"")

    def _send(self, name: str, data: bytes) -> None:
        for stream in tuple(self._streams.values()):
            stream.put(name, data)

    async def _look_on(self) -> None:
        self.changes.look(self.now_s())
        while True:
            await self._due.wait()
            await asyncio.sleep(LOOK_S)
            self._due.clear()
            for who in [one for one in self._streams if self._key_of(gate_of(one)) is None]:
                self._streams.pop(who).reset()
            for news in self.changes.look(self.now_s()):
                for name, data in news.parts:
                    if name != "changes" or span_of(data).since >= self.whole_from:
                        self._send(name, data)

    async def _seal_on(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for one in self.changes.seals(GROUP, self.now_s()):
                self._send("seal", one)

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(STATUSES_S)
            await self.statuses.write()

    # --- what the checker reads --------------------------------------------------------------------------------------

    def held(self) -> dict[tuple[GateId, Epoch], int]:
        """Return how far each log is held."""
        if self.ledger is not None:
            return {log: state.seq for log, state in self.ledger.states.items()}
        with self.database.reading() as connection:
            found = connection.exec_driver_sql("SELECT gate_id, epoch, seq FROM log_epoch WHERE seq > 0")
            return {(GateId(gate), Epoch(unsigned(epoch))): seq for gate, epoch, seq in found}

    def version(self) -> int:
        """Return the list's version."""
        return self.place[1]

    @property
    def place(self) -> Place:
        """The list's generation and version."""
        if self._place is None:
            with self.database.reading() as connection:
                found = connection.exec_driver_sql("SELECT generation, version FROM event").one()
                self._place = int(found[0]), int(found[1])
        return self._place

    def _written(self) -> None:
        before, self._place = self._place, None
        if self.place != before:
            with self.database.reading() as connection:
                told = self.changes._group_settings.of(connection, GROUP)
            self._on_settings(InForce(self.place, told.digest))

    def forwarded(self) -> dict[tuple[GateId, Epoch], int]:
        """Return up to where each log is told to others: what nothing signed covers is not."""
        if self.ledger is not None:
            return dict(self.ledger.forwarded)
        with self.database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT gate_id, epoch, max(last_seq) FROM arrival GROUP BY gate_id, epoch"
            )
            return {(GateId(gate), Epoch(unsigned(epoch))): seq for gate, epoch, seq in found}

    def logs(self) -> "Logs":
        """Return all that is held of gates' logs."""
        if self.ledger is not None:
            return Logs(
                {
                    RecordId(*log, seq): blob
                    for log, blobs in self.ledger.blobs.items()
                    for seq, blob in enumerate(blobs, 1)
                },
                {(RecordId(*log, seq), blob) for log, seq, blob in self.ledger.forks},
                list(self.ledger.rows.values()),
                list(self.ledger.resets.values()),
                {(log[0], what) for log, _, what in self.ledger.troubles},
            )
        with self.database.reading() as connection:

            def rows(sql: str) -> list[Any]:
                return list(connection.exec_driver_sql(sql))

            return Logs(
                {
                    _name(*row[:3]): bytes(row[3])
                    for row in rows("SELECT gate_id, epoch, seq, blob FROM record")
                },
                {
                    (_name(*row[:3]), bytes(row[3]))
                    for row in rows("SELECT gate_id, epoch, seq, blob FROM record_fork")
                },
                [from_columns(row) for row in rows(f"SELECT {', '.join(COLUMNS)} FROM presence")],
                [
                    reset_from_columns(row)
                    for row in rows(f"SELECT {', '.join(RESET_COLUMNS)} FROM presence_reset")
                ],
                {(GateId(row[0]), row[1]) for row in rows("SELECT gate_id, what FROM trouble")},
            )

    def _key_of(self, gate: GateId) -> bytes | None:
        """Return the key that a gate is enrolled with; None of one that was shut out."""
        version = self.version()
        if version != self._publics_of:
            self._publics.clear()
            self._publics_of = version
        if gate not in self._publics:
            with self.database.reading() as connection:
                self._publics[gate] = gates_roster.gate_key(connection, gate)
        return self._publics[gate]


class Logs(NamedTuple):
    """What the centre holds of gates' logs, and what it makes of them."""

    records: dict[RecordId, bytes]
    forks: set[tuple[RecordId, bytes]]
    rows: list[PresenceRow]
    resets: list[Reset]
    troubles: set[tuple[GateId, str]]


def _name(gate: int, epoch: int, seq: int) -> RecordId:
    return RecordId(GateId(gate), Epoch(unsigned(epoch)), seq)


def _public_of(gate: GateId) -> bytes:
    return key_of(gate).public_key().public_bytes_raw()


def _packed(answer: object) -> bytes:
    return msgspec.msgpack.encode(answer)


async def _nobody(*_: object) -> Any:
    raise CutOff("nobody asks over HTTP here")


def gate_of(card: str) -> GateId:
    """Return the gate whose card this is, as it says of itself."""
    return GateId(int("".join(char for char in card if char.isdigit())))
