"""A gate: the very daemon and uplink on a simulated box, which can lose its power, its program, its card or its clock.

The daemon runs as it is; what it asks of the system comes from the virtual loop, and its hardware, card and clock from
here. The front is a program of the loop: `LaneClient` and `Uplink` as they are, over a Unix socket of the loop.
"""

import asyncio
import contextlib
import errno
import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from admission.ids import GateId, LaneId
from admission.records import Direction
from drivers.base import Signal
from edge import enrolment
from edge.builder import BUILT, FAULT, REFUSED, Order, Unusable, build_from
from edge.daemon import Daemon
from edge.front.lane_client import LaneClient
from edge.front.uplink import Uplink
from edge.link import Answer, Asked, Changes, Command, Done, Foreign, Seen, TakeList
from edge.parts import Factories, RelayEvents
from edge.settings import (
    CentreSettings,
    GateSettings,
    GpioInputs,
    GpioRelay,
    InputSettings,
    LaneSettings,
    ReaderSettings,
    RelaySettings,
    SerialReader,
    Settings,
    Way,
)
from edge.store.committer import Log, WriterListener
from edge.store.faults import StoreFault
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch
from sync.wire.deltas import GateStatus, digest_of, settings_head
from sync.wire.lists import ListHead
from tests.sim import disk as cards
from tests.sim.centre import SimCentre
from tests.sim.clock import SimClock, TrueTime
from tests.sim.hardware import CONTACT_S, FIRE_LINE, LINES, Arm, Push, SimContacts, SimReader, SimRelay
from tests.sim.history import Boot, History, Place, Release, WentBy
from tests.sim.lan import Lan, Neighbour
from tests.sim.loop import NOBODY, Machine, PowerCut, VirtualLoop
from tests.sim.network import Network
from tests.sim.premises import DESK
from tests.sim.programs import Running
from tests.sim.uplink import SimUplink
from tests.sim.writer import Pace, SimWriter

RESTART_S = 1.0
"""systemd starts a gate again so soon (`systemd/`)."""
TRIES_MAX = 60
CENTRE = CentreSettings(poll_s=30.0, push_s=1.0)
"""Seldomer than a real gate, which pushes ten times a second: as much happens in between, and less is computed."""
UPLINK_AGAIN_S = 2.0
DESK_S = 8
"""A ticket waits so long for its band."""


def lanes_of(gate: int, *, fire: bool = False, desk: bool = False) -> tuple[LaneSettings, ...]:
    """Return a gate's lanes: arms with and without contacts, ways of their own and shared; `desk`: and a check-in station."""

    def entry(lane: int) -> SerialReader:
        return SerialReader(id=1, way=Way.ENTRY, port=f"{lane}")

    def leaving(lane: int) -> SerialReader:
        return SerialReader(id=2, way=Way.EXIT, port=f"{lane}")

    both = LaneSettings(
        id=1, name="1", readers=(entry(1), leaving(1)), relay="board", entry_line=0, exit_line=1, inputs="contacts",
        entry_contact=0, exit_contact=1,
    )  # fmt: skip
    second = LaneSettings(
        id=2, name="2", readers=(entry(2),), relay="board", entry_line=2, inputs="contacts", entry_contact=2
    )
    if gate == 2:
        both = msgspec.structs.replace(both, entry_contact=None, exit_contact=None)
        second = LaneSettings(
            id=2,
            name="2",
            readers=(leaving(2),),
            relay="board",
            exit_line=3,
            inputs="contacts",
            exit_contact=3,
        )
    if gate == 3:
        second = LaneSettings(
            id=2, name="2", readers=(entry(2), leaving(2)), relay="board", entry_line=2, exit_line=3, inputs="contacts",
            entry_contact=2, exit_contact=3, shared_path=False,
        )  # fmt: skip
    contact = FIRE_LINE if fire else None
    lanes = tuple(msgspec.structs.replace(one, fire_contact=contact) for one in (both, second))
    station = LaneSettings(id=DESK, name="desk", readers=(entry(DESK),), check_in_s=DESK_S)
    return (*lanes, station) if desk else lanes


class SimDaemon(Daemon):
    """The daemon, overheard."""

    sim: "SimGate"

    def _open_stores(self) -> None:
        super()._open_stores()
        held = {(row.gate, row.epoch): row.last_seq for row in self.reader.epochs()}
        self.sim.history.began(
            self.sim.card, {**held, (self.journal.gate, self.journal.epoch): self.journal.last_seq}
        )

    def _seen(self, seen: Seen) -> None:
        super()._seen(seen)
        self.sim.on_seen(seen)

    async def _asked(self, asked: Asked) -> Answer:
        answer = await super()._asked(asked)
        if isinstance(asked, Foreign) and isinstance(answer, Done) and answer.ok:
            self.sim.history.took(self.sim.card, asked)
        if isinstance(asked, Changes) and isinstance(answer, Done) and answer.ok:
            self.sim.is_sealed(asked)
            if asked.settings:  # they say anew how far the list goes
                self.sim.history.listed.add(self.sim.card)
        if isinstance(asked, TakeList) and isinstance(answer, Done) and answer.ok:
            self.sim.history.listed.add(self.sim.card)
        if isinstance(asked, Changes | TakeList):
            self._judges()
        return answer

    async def run(self) -> int:
        self._loop.call_soon(self._judges)  # the list on the card is taken up first of all
        return await super().run()

    def _judges(self) -> None:
        """Say how far the list goes, and by which settings it is judged, where either moved."""
        head, judged = self.lists._deltas.head, self.judge._list
        if head is not None and judged is not None:
            (event,) = head.events
            self.sim.went_with((event.generation, event.version), judged.head)


class SimGate:
    """One box at its place. `boot` it, then present, push and break."""

    def __init__(
        self,
        number: int,
        *,
        loop: VirtualLoop,
        truth: TrueTime,
        network: Network,
        centre: SimCentre,
        history: History,
        chance: random.Random,
        folder: Path,
        card: str = "",
        fire: bool = False,
        desk: bool = False,
    ) -> None:
        self.id = GateId(number)
        self.card = card or f"gate{number}"
        """Its name in the history and on the network; a clone of the card has another."""
        self.history = history
        self._loop, self._truth, self._network, self._centre = loop, truth, network, centre
        self.chance = chance
        self._folder = folder
        self.boots = 0
        self.root = folder / "0"
        self.settings = lanes_of(number, fire=fire, desk=desk)
        self.arms = {lane.id: Arm(lane) for lane in self.settings}
        self.pace = Pace(chance, chance.choice((0.0005, 0.002, 0.008)), chance.choice((0.0, 0.02)))
        self.drift = chance.uniform(-3e-5, 3e-5)
        self.rtc = chance.random() < 0.3
        self.clock_off_s = 0.0
        self.clock_synced = True
        self.machine = Machine(loop, self.card)
        self.machine.alive = False
        self.front: Machine | None = None
        self.uplink: Uplink | None = None
        self.daemon: SimDaemon | None = None
        self.disk: cards.SimDisk | None = None
        self.clock = SimClock(truth)
        self.readers: dict[tuple[int, int], SimReader] = {}
        self.contacts: SimContacts | None = None
        self.relay: SimRelay | None = None
        self.boot_of: Boot | None = None
        self.on_release: Callable[[int, Direction, Release | None], None] = lambda _lane, _way, _release: None
        self.on_seen: Callable[[Seen], None] = lambda _seen: None
        self.on_status: Callable[[GateStatus], None] = lambda _status: None
        self._went_with: tuple[Place, ListHead, bytes] | None = None
        self.lan: Lan | None = None
        """Where it hears others directly."""
        self.is_off = False
        """Somebody keeps it off: nothing starts it."""
        self.rings = False
        """The contact of the building's alarm is closed."""
        self.cut_at = ""
        """Where on the way of a visitor the power fails next: before_pulse, after_pulse, before_passage, after_passage."""
        loop.programs[f"front-{self.card}"] = self._front

    # --- power --------------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether its program runs."""
        return self.machine.alive

    @property
    def ready(self) -> bool:
        """Whether it admits on every lane, as far as it knows."""
        return (
            self.is_up
            and self.daemon is not None
            and all(shell.ready for shell in self.daemon.lanes.values())
        )

    @property
    def place(self) -> Place:
        """How far its list goes."""
        head = None if self.daemon is None else self.daemon.lists._deltas.head
        return max(((one.generation, one.version) for one in head.events), default=(0, 0)) if head else (0, 0)

    def boot(self) -> None:
        """Switch it on."""
        if self.is_up or self.is_off:
            return
        self.boots += 1
        self.machine = Machine(self._loop, self.card)
        boot = self.boot_of = Boot(self.id, self.card, self.boots, self._truth.world_s)
        self.history.boots.append(boot)
        self.history.note("boot", self.card, self.boots)
        self.clock = SimClock(self._truth, self.drift, self.clock_off_s, synced=self.clock_synced)
        self.disk = cards.SimDisk(self.root, self.chance)
        self.machine.context.run(self._start, boot)

    def _start(self, boot: Boot) -> None:
        try:
            daemon = SimDaemon.__new__(SimDaemon)
            daemon.sim = self
            daemon.__init__(self._settings(), enrolment.load(self.root), self._factories())  # type: ignore[misc]  # `sim` is there before it
        except PowerCut:
            self.cut("cut")
            return
        except StoreFault as fault:
            self.history.note("no start", self.card, fault.kind.value)
            self._ended("exit", again=True)
            return
        self.daemon = daemon
        boot.epoch = daemon.journal.epoch
        task = self._loop.create_task(daemon.run())
        task.add_done_callback(partial(self._exited, boot))

    def _exited(self, boot: Boot, task: "asyncio.Task[int]") -> None:
        if boot is not self.boot_of or not self.machine.alive:
            return
        error = None if task.cancelled() else task.exception()
        if isinstance(error, PowerCut):
            self.cut("cut")
            return
        if error is not None:
            self._loop.call_exception_handler({"message": f"{self.card} ended", "exception": error})
        self._ended("exit", again=True)

    def cut(self, how: str = "cut") -> None:
        """Take its power: what was not synced may be gone."""
        if self.is_up:
            self._ended(how, again=False)

    def kill(self) -> None:
        """Kill its program; the system goes on, and starts it again."""
        if self.is_up:
            self._ended("kill", again=True)

    async def stop(self) -> None:
        """Stop its program as systemd does, and wait for it."""
        if self.daemon is not None and self.is_up:
            self.daemon.stop()
            while self.is_up:
                await asyncio.sleep(0.1)

    def _ended(self, how: str, *, again: bool) -> None:
        boot, disk, daemon = self.boot_of, self.disk, self.daemon
        assert boot is not None
        assert disk is not None
        boot.ended_s, boot.how = self._truth.world_s, how
        if disk.failing or (daemon is not None and daemon.writer.fault is not None):
            # What memory held is gone, the centre may have it: to all others this is a card set back.
            self.history.tampered.add(self.id)
        self.history.note("down", self.card, how)
        self.machine.cut()
        if self.front is not None:
            self.front.cut()
        self.readers.clear()
        self.contacts = self.relay = None
        target = self._folder / str(self.boots)
        if how == "cut":
            cards.after_cut(disk, self.chance, target)
        else:
            cards.after_end(disk, target)
        before, self.root, self.daemon, self.disk = self.root, target, None, None
        disk.let_go()
        if daemon is not None:
            _let_go(daemon)
        shutil.rmtree(before, ignore_errors=True)
        if again:
            self._loop.call_later(RESTART_S, self.boot, context=NOBODY)

    # --- card and clock -----------------------------------------------------------------------------------------

    def image(self, target: Path) -> None:
        """Copy its card as it is; what is under way may be missing, as on any image of a running box."""
        if self.disk is not None:
            cards.after_cut(self.disk, self.chance, target)
        else:
            cards.image(self.root, target)

    def put_card(self, source: Path) -> None:
        """Put another card in; it is off."""
        assert not self.is_up
        shutil.rmtree(self.root, ignore_errors=True)
        cards.image(source, self.root)

    def fail_disk(self, code: int, *, reads: bool = False) -> None:
        """The card fails from now on; 0: it works again."""
        if self.disk is not None:
            self.disk.failing = code
            self.disk.reads_fail = reads and code == errno.EIO

    def step_clock(self, seconds: float) -> None:
        """Somebody sets the clock: nobody vouches for it any more."""
        self.clock_off_s += seconds
        self.history.clocks.append((self.history.now_s(), self.card, self.clock_off_s))
        self.clock_synced = False
        self.clock.step(seconds, synced=False)

    def set_clock_right(self) -> None:
        """A time server sets the clock."""
        self.clock_off_s, self.clock_synced = 0.0, True
        self.history.clocks.append((self.history.now_s(), self.card, 0.0))
        self.clock.set_right()

    def unplug(self, what: str) -> None:
        """Pull a device's plug, and put it in again."""
        device: SimRelay | SimContacts | SimReader | None = self.relay if what == "relay" else self.contacts
        if what == "reader":
            device = self.chance.choice(sorted(self.readers.items()))[1] if self.readers else None
        if device is not None and self.is_up:
            self.machine.context.copy().run(device.unplug)

    # --- what the daemon is made of --------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        return Settings(
            lanes=self.settings,
            gate=GateSettings(name=self.card, data=str(self.root), rtc=self.rtc),
            centre=CENTRE,
            relays=(GpioRelay(id="board", chip="sim", offsets=(0, 1, 2, 3)),),
            inputs=(GpioInputs(id="contacts", chip="sim", offsets=tuple(range(LINES))),),
        )

    def _factories(self) -> Factories:
        return Factories(
            self._reader,
            self._inputs,
            self._relay,
            self.clock,
            lambda told: [f"front-{self.card}", told],
            self.disk,
            writer=self._writer,
            chance=random.Random(self.chance.getrandbits(64)),
        )

    def _reader(self, settings: ReaderSettings) -> SimReader:
        assert isinstance(settings, SerialReader)
        lane = int(settings.port)
        reader = self.readers[lane, settings.id] = SimReader(
            self.clock, partial(self._signalled, lane, settings.id)
        )
        return reader

    def _inputs(self, _settings: InputSettings) -> SimContacts:
        self.contacts = SimContacts(self.clock, lambda: self.rings)
        return self.contacts

    def _relay(self, _settings: RelaySettings, events: RelayEvents) -> SimRelay:
        self.relay = SimRelay(self._loop, self.chance, events, self._pulsed)
        return self.relay

    def _writer(
        self, log: Log, listener: WriterListener, post: Callable[..., object], **more: Any
    ) -> SimWriter:
        return SimWriter(
            log, listener, post, pace=self.pace, on_batch=self._handed, on_commit=self._committed, on_cut=self.cut,
            **more,
        )  # fmt: skip

    def _handed(self, batch: Batch) -> None:
        # The journal's first batch comes before the daemon knows its journal: all own records of a run have one epoch.
        epoch = next((one.epoch for one in batch.records if one.gate == self.id), None)
        assert self.boot_of is not None
        if not self.boot_of.epoch and epoch is not None:
            self.boot_of.epoch = epoch
        self.history.batch(self.card, batch, self.id, self.boot_of.epoch)

    def _committed(self, batch: Batch) -> None:
        for one in batch.records:
            if one.gate == self.id:
                self.history.committed(self.card, (one.gate, one.epoch), one.seq)

    def went_with(self, place: Place, head: ListHead) -> None:
        """It judges by the settings in a head, and has the list up to there."""
        if self._went_with is None or self._went_with[1] is not head:
            self._went_with = place, head, digest_of(settings_head(head))
        elif self._went_with[0] == place:
            return
        digest = self._went_with[2]
        self._went_with = place, head, digest
        number = 0 if self.boot_of is None else self.boot_of.number
        self.history.went_with.append(WentBy(self.history.now_s(), self.card, number, place, digest))

    def is_sealed(self, asked: Changes) -> None:
        """All that was sold until then is known here, in this run."""
        if asked.sealed_at_s and asked.is_last and not asked.settings and self.boot_of is not None:
            at = self.history.now_s(), self.card, self.boot_of.number, asked.sealed_at_s
            self.history.sealed.append(at)

    # --- what moves ---------------------------------------------------------------------------------------------

    def _pulsed(self, line: int) -> None:
        self._failpoint("before_pulse")
        for arm in self.arms.values():
            for way in (Direction.ENTRY, Direction.EXIT):
                if arm.line_of(way) == line:
                    self._let_through(arm, way)
        self._failpoint("after_pulse")

    def _failpoint(self, name: str) -> None:
        """Lose the power here, if it was to be here."""
        if self.cut_at == name:
            self.cut_at = ""
            self.cut()
            raise PowerCut

    def _let_through(self, arm: Arm, way: Direction) -> None:
        arm.released(way, self._truth.world_s)
        assert self.boot_of is not None
        release = self.history.released(self.card, LaneId(arm.settings.id), way, self.boot_of.number)
        self._loop.call_soon(self.on_release, arm.settings.id, way, release, context=NOBODY)

    def _signalled(self, lane: int, reader: int, signal: Signal) -> None:
        self.history.note("signal", self.card, lane, reader, signal.value)

    # --- what staff do -----------------------------------------------------------------------------------------------

    async def ask(self, command: Command, limit_s: float) -> Answer | None:
        """Give a command at the gate's page; None where no answer comes."""
        if self.daemon is None or not self.is_up:
            return None
        task = self.machine.spawn(self.daemon._asked(command))
        done, _ = await asyncio.wait({task}, timeout=limit_s)
        if not done or task.exception() is not None:
            return None
        return task.result()

    def ring(self, *, active: bool) -> None:
        """The contact of the building's alarm closes, or opens; while it is closed, arms are open by wire."""
        self.rings = active
        for arm in self.arms.values():
            arm.is_open = active
        if self.contacts is not None and self.is_up:
            with contextlib.suppress(PowerCut):
                self.machine.context.copy().run(partial(self.contacts.set, FIRE_LINE, active=active))

    # --- what people do ------------------------------------------------------------------------------------------

    def present(self, lane: int, reader: int, data: bytes) -> bool:
        """Hold a code before a reader; False where nobody listens."""
        found = self.readers.get((lane, reader))
        if found is None or not self.is_up:
            return False
        try:
            return self.machine.context.copy().run(found.read, data)
        except PowerCut:
            return False

    async def push(self, lane: int, way: Direction, late_s: float) -> Push:
        """Push an arm, whose contact closes so much later."""
        arm = self.arms[lane]
        if not arm.gives_way(way, self._truth.world_s):
            return Push(False, False, self.history.now_s())
        arm.pushed(way)
        if late_s:
            await asyncio.sleep(late_s)
        return Push(True, self._close_contact(arm.contact_of(way)), self.history.now_s())

    def _close_contact(self, line: int | None) -> bool:
        """A passage contact closes, and opens again; whether that was seen."""
        if line is None:
            return False
        self._loop.call_later(CONTACT_S, partial(self._contact, line, active=False), context=NOBODY)
        return self._contact(line, active=True)

    def _contact(self, line: int, *, active: bool) -> bool:
        board = self.contacts
        if board is None or not self.is_up:
            return False
        context = self.machine.context.copy()
        try:
            if active:
                self._failpoint("before_passage")
            seen = context.run(partial(board.set, line, active=active))
            if active:
                self._failpoint("after_passage")
        except PowerCut:
            return False
        return seen

    # --- the front ----------------------------------------------------------------------------------------------

    async def _front(self, running: Running) -> int:
        """The front process: the link to the lane, and the uplink."""
        ended: asyncio.Future[int] = self._loop.create_future()
        front = self.front = Machine(self._loop, f"front of {self.card}")
        self.machine.on_end.append(front.cut)

        def gone() -> None:
            if not ended.done():
                ended.set_result(1)

        front.on_end.append(gone)
        main = front.spawn(self._front_main(running))
        main.add_done_callback(lambda _: gone())
        return await ended

    def crash_front(self) -> None:
        """Kill the front alone."""
        if self.front is not None:
            self.history.end(self.history.begin("front", self.card))
            self.front.cut()

    def sync_now(self) -> None:
        """Press the page's button: whatever the uplink waits for is done now."""
        if self.front is not None and self.front.alive and self.uplink is not None:
            self.front.context.copy().run(self.uplink.sync_now)

    async def _front_main(self, running: Running) -> None:
        told = msgspec.json.decode(running.args[1], type=_FrontTold)
        data = Path(told.data)
        client = LaneClient(Path(told.socket))
        tasks = [
            asyncio.create_task(client.run()),
            asyncio.create_task(self._keep_uplink(data, client)),
        ]
        ended = asyncio.shield(running.given)
        waits: list[asyncio.Future[Any]] = [ended, *tasks]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                self._loop.call_exception_handler(
                    {"message": f"the front of {self.card} ended", "exception": task.exception()}
                )
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_uplink(self, data: Path, client: LaneClient) -> None:
        chance = random.Random(self.chance.getrandbits(64))
        while True:
            try:  # noqa: SIM105
                await self._one_uplink(data, client, chance)
            except StoreFault:
                pass
            await asyncio.sleep(UPLINK_AGAIN_S)

    async def _one_uplink(self, data: Path, client: LaneClient, chance: random.Random) -> None:
        assert self.disk is not None
        reader = LogReader.open(data, self.disk)

        async def take_list(path: Path) -> Done:
            return await client.command(TakeList(0, str(path)))

        def defect(error: BaseException) -> None:
            self._loop.call_exception_handler({"message": f"{self.card} talks up", "exception": error})

        centre = SimUplink(self._network, self.card, self._centre, self.on_status)
        uplink = Uplink(
            enrolment.load(data), data, CENTRE, reader, client.say, take_list, client, clock=self.clock,
            chance=chance, centre=centre, on_defect=defect,
        )  # fmt: skip
        self.uplink = uplink
        client.on_appended, client.on_in_memory = uplink.appended, uplink.held
        client.on_ask_others = uplink.ask_others
        try:
            await uplink.run(
                None if self.lan is None else partial(self._neighbours, self.lan, uplink, client)
            )
        finally:
            client.on_appended = client.on_in_memory = client.on_ask_others = self.uplink = None
            reader.close()

    async def _neighbours(self, lan: Lan, uplink: Uplink, client: LaneClient) -> None:
        """Talk to the gates on the LAN (`edge.front.process.neighbours`)."""
        assert self.front is not None

        def defect(error: BaseException) -> None:
            self._loop.call_exception_handler(
                {"message": f"{self.card} talks to a neighbour", "exception": error}
            )

        found = Neighbour(
            lan, self.card, self.id, self.front, uplink.shared(), client, self.clock.mono_ns,
            random.Random(self.card), defect,
        )  # fmt: skip
        client.on_pushable, client.on_held_pushable = found.talks.appended, found.talks.in_memory
        try:
            await found.run()
        finally:
            client.on_pushable = client.on_held_pushable = None


class _FrontTold(msgspec.Struct, frozen=True):
    data: str
    socket: str


async def build_list(running: Running) -> int:
    """The builder process (`edge.builder`)."""
    order = msgspec.json.decode(await running.given, type=Order)
    snapshot, out = (Path(str(one)) for one in running.args[-2:])
    try:
        build_from(snapshot, out, order)
    except Unusable as error:
        running.errors = f"{error.code}: {error}\n".encode()
        return REFUSED
    except (StoreFault, OSError) as error:
        running.errors = f"{error}\n".encode()
        return FAULT
    return BUILT


def _let_go(daemon: Daemon) -> None:
    """Close what a dead daemon holds open: files of a card that is out."""
    store = daemon.lists._store
    for connection in (daemon._store._connection, daemon.reader._connection, store and store._connection):
        if connection:
            connection.close(True)
    if (lock := daemon._store._lock) is not None:
        os.close(lock)
