"""The lane process: starts every part of a gate in order, keeps them, and stops them in order.

It decides, commits and opens; it does nothing else for longer than a millisecond. Pages and uplink are the front
process's, pulses the relay guard's.
"""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from admission import chain
from admission.ids import Epoch, EventId, LaneId, TicketId, ZoneId
from admission.lane import LaneConfig, LaneState, Write
from admission.lane_machine import Lane
from admission.records import DeviceKind, Extension, Kind
from drivers.base import (
    RANDOM_UID,
    Garbled,
    InputChanged,
    Inputs,
    InputsLost,
    Opened,
    Reader,
    ReaderEvent,
    Removed,
    Scan,
    Stored,
)
from edge import notify
from edge.alerts import Alerts
from edge.asking import Asking
from edge.barrier import Barrier, state_of
from edge.board import Board
from edge.clock import TrustedTime, runs_by_chip
from edge.commands import Commands
from edge.conflicts import Conflicts
from edge.device_log import Device, DeviceLog
from edge.disk_watch import DiskWatch
from edge.enrolment import Enrolment
from edge.front_process import FrontProcess
from edge.hub import Hub
from edge.journal import Journal, Stamp
from edge.judge import Judge
from edge.lane import LATCHED, LaneShell, fire_key, state_key
from edge.last_scans import RECALLED_MAX, LastScans
from edge.link import (
    HELD_MAX,
    SOCKET,
    Acked,
    After,
    Answer,
    Asked,
    AskOthers,
    Believe,
    BelieveAgain,
    Done,
    Foreign,
    FromLane,
    GiveHeld,
    Health,
    HeardGates,
    HeldRecords,
    ModemSaid,
    PageSaid,
    Part,
    PeersSaid,
    Said,
    Seen,
    Status,
)
from edge.lists import Lists
from edge.memory import Memory, refold
from edge.others import Others
from edge.parts import Factories
from edge.presence_reset import heard_by
from edge.revision import Revision
from edge.settings import Barrier as BarrierKind
from edge.settings import (
    InputSettings,
    LaneSettings,
    ReaderSettings,
    RelayInputs,
    Settings,
    is_genuine_only,
)
from edge.status import StatusView
from edge.store.faults import StoreFault
from edge.store.list import ListUnusable
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import CENTRE, Cursor
from edge.supervise import DeviceState, keep
from edge.telling import Telling
from edge.timetable import Timetable

TICK_S = 1.0
"""Pace of what is looked at now and then: the clock, unsigned records, the watchdog, the page's figures."""
STALL_S = 5.0
"""A writer silent for so long is stuck: the watchdog is no longer fed, and systemd starts the gate again."""
COUNT_PAUSE_S = 0.02
"""Between two slices while much of others is taken in: some are counted all the same, whoever goes on for ever."""
RECOUNT_S = 1.0
"""Pause before people are counted anew where the log could not be read."""
FLOOR_STEP_S = 3600
"""The time's floor is kept when it rose by so much: a finer one would write to the card all day long."""
EX_TEMPFAIL = 75
"""sysexits.h: start me again (the unit does)."""
RESTART_AFTER_S = 0.3
"""A restart is answered before it begins: the phone shall see that it was heard."""
SHARES = "shares"
"""The name under which it is kept how many people were in each zone when it was cut off."""


log = logging.getLogger("edge.daemon")


class Daemon:
    """One gate, alive from `run` to its end. StoreFault from the constructor where the log cannot be had."""

    def __init__(
        self, settings: Settings, enrolment: Enrolment, parts: Factories, configuration: Path | None = None
    ) -> None:
        self.settings = settings
        self.configuration = configuration
        """The file that they were read from, where the next run would read it by itself."""
        self.enrolment = enrolment
        self.scans = LastScans()
        self.recent = self.scans.answers
        self.page_url = ""
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[object]] = []
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self.data = Path(settings.gate.data)
        self._telling = Telling(self, self._push, self._status_for_listeners)
        self._disk = DiskWatch(self, self._loop.time, self._telling.soon, self._disk_ends)
        self._open_stores()
        self._build()

    # --- start, in order ----------------------------------------------------------------------------------------

    def _open_stores(self) -> None:
        """Open the precious file first: without it there is no gate."""
        clock = self._parts.clock
        self._store = LogStore.open(self.data, self._parts.disk)
        if self._store.needs_fold():
            refold(self._store)
        self.reader = LogReader.open(self.data, self._parts.disk)
        self._floor_kept_s = int(self.reader.meta("floor") or b"0")
        rtc = self.settings.gate.rtc and runs_by_chip(clock, self._parts.chip_s())
        self.time = TrustedTime(clock, rtc=rtc, floor_s=self._floor_kept_s)
        self.board = Board(self.now_s, self.changed)
        self.alerts = Alerts(self.now_s, self._loop.time, self.changed)
        last = self.reader.newest_state(self.enrolment.gate)
        self._started_ns = clock.mono_ns()
        self.writer = self._parts.writer(
            self._store, self._disk, self._post, past_us=lambda: self.time.floor_s * 1_000_000
        )
        self.journal = Journal(
            gate=self.enrolment.gate,
            epoch=Epoch(self._parts.chance.getrandbits(63) | 1),
            key=self.enrolment.key,
            clock=clock,
            time=self.time,
            writer=self.writer,
            predecessor=chain.Predecessor(last.epoch, last.seq, last.link) if last else chain.ROOT,
        )
        self._device_log = DeviceLog(self.journal.append, lambda: clock.mono_ns() // 1_000_000)
        self._note_salvage()

    def _note_salvage(self) -> None:
        """A log that had to be set aside is said in the log itself, and on the page until someone looked."""
        salvaged = self._store.salvaged
        if salvaged is None:
            self.board.put(Part.LOG, "log", Health.OK, "log.ok", stops=True)
            return
        kept, missing = salvaged.records_kept, salvaged.records_missing
        words = f"kept {kept}, missing {missing}: {salvaged.cause}"[:200].encode()
        self.journal.append((Write(0, Kind.CHAIN_BREAK, extensions=((Extension.DETAIL, words),)),), Stamp())
        self.board.put(
            Part.LOG, "log", Health.DEGRADED, "log.salvaged", {"kept": kept, "missing": missing}, stops=True
        )
        log.error("log was damaged and set aside", extra={"code": "log.salvaged", "records": kept})

    def _build(self) -> None:
        """Put together what decides, then what moves."""
        own = self.settings
        self.memory = Memory(self.reader, self.journal)
        self.judge = Judge(self.enrolment.gate, self.time, self.memory)
        self.revision = Revision(self)
        self.others = Others(self, self._loop.time, self.revision.look, self._look_for_conflicts)
        self._conflicts = Conflicts(self)
        self.judge.heard = self.others.is_heard
        self.asking = Asking(self._loop.time, self._ask_others)
        self.judge.ask = self.asking.hope
        self.judge.doubted = self.memory.doubted
        self.judge.told = self.memory.told
        self.judge.known_at_cut.update(_shares(self.reader.meta(SHARES)))
        self.judge.on_dealt = self._keep_shares
        self.lists = Lists(self, self._parts.disk, self._loop.time)
        self.barriers = {
            relay.id: Barrier(
                relay,
                self._parts.relay,
                partial(self._relay_state, Device(DeviceKind.RELAY, number, name=relay.id)),
            )
            for number, relay in enumerate(own.relays, 1)
        }
        self.lanes = {lane.id: self._lane(lane) for lane in own.lanes}
        self.timetable = Timetable(self, self._parts.clock, self._started_ns)
        self.status = StatusView(self, self.others.reach)
        self._commands = Commands(self)
        self.hub = Hub(self.data / SOCKET, self.status.full, self._asked, self._said)
        self._front = FrontProcess(own, self.data / SOCKET, self._parts.front_argv)
        self.journal.on_durable(self._telling.landed)

    def _lane(self, settings: LaneSettings) -> LaneShell:
        kept = self.reader.meta(state_key(settings.id))
        own_contacts = settings.entry_contact is not None or settings.exit_contact is not None
        door_counts = settings.door_contact is not None and not own_contacts
        config = LaneConfig(
            lane=LaneId(settings.id),
            entry_line=settings.entry_line,
            exit_line=settings.exit_line,
            entry_sensor=settings.entry_contact is not None or door_counts,
            exit_sensor=settings.exit_contact is not None or door_counts,
            shared_path=settings.shared_path,
            hold_ms=settings.hold_ms,
            hold_margin_ms=settings.hold_margin_ms,
            pulse_ms=settings.pulse_ms,
            grace_ms=settings.grace_ms,
            absent_ms=settings.absent_ms,
            together=settings.barrier is BarrierKind.SWING_GATE or settings.companions > 0,
            door_counts=door_counts,
            held_ms=settings.held_ms,
        )
        return LaneShell(
            settings=settings,
            machine=Lane(config, LaneState(int(kept)) if kept else LaneState.CONTROLLED),
            judge=self.judge,
            journal=self.journal,
            clock=self.time,
            relay=self.barriers.get(settings.relay),
            lamps=self.barriers.get(settings.lamp_relay or settings.relay),
            strip=self.barriers.get(settings.strip),
            on_seen=self._seen,
            on_layout=partial(self._layout, settings.id),
            on_fault=self.unreadable,
            on_became=partial(self._telling.became, self.journal.epoch),
            on_alert=partial(self.alerts.call, settings.id),
            heard=partial(heard_by, self),
            on_fire=self._fire,
        )

    def _fire(self) -> None:
        """An alarm rang, or is over: who is in and who may come in again is another matter from now on."""
        self.memory.reset_made()
        self.changed()

    async def run(self) -> int:
        """Run until a signal; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        self.lists.open_newest()
        for lane, shell in self.lanes.items():
            if self.reader.meta(fire_key(lane)) in LATCHED:
                shell.latch_fire()
        self._recall_scans()
        # Before anybody is let in: a reset that was missed must not find those who came today.
        self.timetable.tick()
        self.lists.on_schedule = self.timetable.look_after_lanes
        await self.hub.start()
        for barrier in self.barriers.values():
            self._spawn(barrier.run())
        for settings in self.settings.lanes:
            for reader in settings.readers:
                self._spawn(self._keep_reader(settings, reader))
        for place, board in enumerate(self.settings.inputs, 1):
            self._spawn(self._keep_inputs(board, Device(DeviceKind.INPUTS, place, name=board.id)))
        self._spawn(self._front.run())
        self._spawn(self._count_people())
        self._spawn(self.revision.run())
        self._spawn(self._beat())
        self.tell_lanes()
        # What is loaded by now stays: a full collection that walked it all would hold a scan up for 15 ms.
        gc.freeze()
        log.info("gate is up", extra={"gate": self.enrolment.gate, "epoch": f"{self.journal.epoch:016x}"})
        await self._stopping.wait()
        await self._stop()
        return self._exit_code

    def _spawn(self, coroutine: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[object]) -> None:
        """No part of the gate ends before it: what does so has a defect, which only a new run leaves behind."""
        if not task.cancelled():
            self._defect(getattr(task.get_coro(), "__qualname__", ""), task.exception())

    def _defect(self, part: str, error: BaseException | None) -> None:
        log.critical("a part of the gate ended", extra={"code": "gate.defect", "kind": part}, exc_info=error)
        if not self._stopping.is_set():
            self._exit_code = EX_TEMPFAIL
        self.stop()

    def stop(self) -> None:
        """Ask the gate to end; `run` returns when all is closed and saved."""
        self._telling.end()
        self._stopping.set()

    def restart(self) -> None:
        """End this run soon; systemd begins a new one."""
        log.warning("restart was asked for", extra={"code": "gate.restart"})
        self._exit_code = EX_TEMPFAIL
        self._loop.call_later(RESTART_AFTER_S, self.stop)

    # --- devices ------------------------------------------------------------------------------------------------

    async def _keep_reader(self, lane: LaneSettings, settings: ReaderSettings) -> None:
        shell, name = self.lanes[lane.id], f"{lane.id}.{settings.id}"
        device = Device(DeviceKind.READER, settings.id, lane.id)
        if is_genuine_only(settings):
            self.board.put(Part.READER, f"{name} chips", Health.OK, "reader.genuine", lane=lane.id)

        def on_state(state: DeviceState) -> None:
            self._device_log.changed(device, state)
            self.board.device(Part.READER, name, state, lane=lane.id)

        async def run(opened: Callable[[str], None]) -> NoReturn:
            reader: Reader = self._parts.reader(settings)
            shell.feedback_of(settings.id, reader.feedback)

            def emit(event: ReaderEvent) -> None:
                match event:
                    case Scan():
                        shell.scanned(settings.id, event)
                    case Stored():
                        shell.stored(settings.id, event)
                    case Removed():
                        shell.removed(settings.id, event)
                    case Opened(what=what):
                        opened(what)
                    case Garbled(why=why):
                        self.status.garbled += 1
                        if why == RANDOM_UID:
                            shell.random_tag(settings.id)

            await reader.run(emit)

        await keep(name, run, on_state, self._parts.chance)

    async def _keep_inputs(self, settings: InputSettings, device: Device) -> None:
        shells = [self.lanes[lane.id] for lane in self.settings.lanes if lane.inputs == settings.id]

        def on_state(state: DeviceState) -> None:
            self._device_log.changed(device, state)
            self.board.device(Part.SENSOR, settings.id, state)
            # Contacts that cannot be seen say nothing: a lane with a READY contact is not ready then.
            if state.health is not Health.OK:
                for shell in shells:
                    shell.contacts_lost()

        async def run(opened: Callable[[str], None]) -> NoReturn:
            def emit(event: InputChanged | Opened | InputsLost) -> None:
                match event:
                    case Opened(what=what):
                        opened(what)
                    case InputsLost(lines=lines, error=error):
                        state = state_of(error)
                        self._device_log.changed(device, state)
                        self.board.device(Part.SENSOR, settings.id, state)
                        for shell in shells:
                            shell.contacts_lost(lines)
                    case InputChanged():
                        for shell in shells:
                            shell.input_changed(event)

            await self._inputs_of(settings).run(emit)

        await keep(settings.id, run, on_state, self._parts.chance)

    def _inputs_of(self, settings: InputSettings) -> Inputs:
        """Return what tells of a board's contacts: its own driver, or the guard of the relay board they are on."""
        if not isinstance(settings, RelayInputs):
            return self._parts.inputs(settings)
        inputs = self.barriers[settings.relay].inputs
        inputs.wired(settings.active_low)
        return inputs

    def _relay_state(self, device: Device, state: DeviceState) -> None:
        self._device_log.changed(device, state)
        # A board that only lamps hang on stops nobody.
        opens = any(lane.relay == device.name for lane in self.settings.lanes)
        self.board.device(Part.RELAY, device.name, state, stops=opens)
        self.tell_lanes()

    def _layout(self, lane: int, reader: int, *, wrong: bool) -> None:
        """Ten bad signatures in a row: a scanner's country setting."""
        name = f"{lane}.{reader} layout"
        if wrong:
            self.board.put(Part.READER, name, Health.DEGRADED, "reader.layout", {"reader": reader}, lane=lane)
        else:
            self.board.remove(Part.READER, name)

    def tell_lanes(self) -> None:
        """Tell every lane whether what it needs works: relay, list, log."""
        # Without a list that was here, what is signed is judged by its signature; all else is not ready.
        memory = (self.judge.has_list or self.judge.knows_venue) and self.board.health(
            Part.LOG, "log"
        ) is not Health.BAD
        for shell in getattr(self, "lanes", {}).values():
            own = shell.settings
            works = not own.relay or self.barriers[own.relay].reaches(own.entry_line, own.exit_line)
            shell.healthy(relay=works, memory=memory)

    # --- the log ------------------------------------------------------------------------------------------------

    @property
    def in_memory_seq(self) -> int:
        """The last record that is in memory only, because the disk takes nothing; 0 while it works."""
        return self._disk.in_memory_seq

    def _disk_ends(self, defect: Exception | None) -> None:
        """The log goes on only in a new run."""
        if defect is not None:
            self._defect("LogWriter", defect)
        else:
            self.stop()

    def unreadable(self, fault: StoreFault) -> None:
        """A store could not be read: a list is given up, a log's fault is shown until a commit gets through."""
        if isinstance(fault, ListUnusable):
            self.lists.give_up(fault)
            self.tell_lanes()
        else:
            self._disk.show(fault, Health.BAD)

    def _look_for_conflicts(self, tickets: Collection[tuple[EventId, TicketId]]) -> None:
        try:
            self._conflicts.look(tickets)
        except StoreFault as fault:
            self.unreadable(fault)

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        """Run on the loop, from the writer's thread. After the loop's end nobody listens any more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    # --- the page -----------------------------------------------------------------------------------------------

    def _seen(self, seen: Seen) -> None:
        self.recent.appendleft(msgspec.structs.replace(seen, holder=0))
        self._telling.seen(seen)

    def became(self, epoch: Epoch, seq: int, after: After) -> None:
        """Something became of the one that a record let through: correct its row."""
        self._telling.became(epoch, seq, after)

    def _recall_scans(self) -> None:
        """Show what earlier runs scanned."""
        try:
            self.scans.recall(self.reader.newest(self.enrolment.gate, RECALLED_MAX))
        except StoreFault as fault:
            self.unreadable(fault)

    async def _asked(self, asked: Asked) -> Answer:
        """Answer the front: records that only memory holds, those of other gates, or a command."""
        if isinstance(asked, Foreign):
            return await self.others.take(asked)
        if isinstance(asked, Believe | BelieveAgain):
            try:
                if isinstance(asked, BelieveAgain):
                    return await self.others.believe_again(asked)
                return await self.others.believe(asked)
            except StoreFault as fault:
                self.unreadable(fault)
                return Done(asked.number, ok=False, code="command.not_done")
        if not isinstance(asked, GiveHeld):
            return await self._commands.do(asked)
        found = self.writer.held_records(self.journal.epoch, asked.after, HELD_MAX)
        first_seq = found[0].seq if found else 0
        return HeldRecords(asked.number, self.journal.epoch, first_seq, tuple(one.blob for one in found))

    def _said(self, message: Said) -> None:
        if isinstance(message, Acked):
            gate = self.enrolment.gate
            self.writer.acked(Cursor(CENTRE, gate, Epoch(epoch), seq) for epoch, seq in message.epochs)
            return
        if isinstance(message, HeardGates):
            self.others.heard(message)
            return
        if isinstance(message, PageSaid):
            self.page_url = message.url
            log.info("page is up", extra={"url": message.url})
            notify.notify(f"STATUS=page at {message.url}")
            return
        if isinstance(message, ModemSaid):
            self.board.put(Part.UPLINK, "modem", message.health, message.code, message.args)
            return
        if isinstance(message, PeersSaid):
            if message.health is Health.OFF:
                self.board.remove(Part.UPLINK, "peers")
            else:
                self.board.put(Part.UPLINK, "peers", message.health, message.code, message.args)
            return
        self.asking.rests(rests=message.rests)
        self.status.uplink_said(message)
        self.time.signed_before(message.over_s)
        if message.list_age_s is not None:
            self.lists.proved(message.list_age_s)
        if message.centre_time_s:
            self.time.heard_centre(message.centre_time_s)
            self._look_at_clock()
        self._keep_floor()

    def _keep_floor(self) -> None:
        """Remember across restarts what time it certainly is past."""
        if self.time.floor_s - self._floor_kept_s >= FLOOR_STEP_S:
            self._floor_kept_s = self.time.floor_s
            self.journal.keep("floor", str(self.time.floor_s).encode())

    def _keep_shares(self) -> None:
        """Remember across restarts from what a gate that is cut off counts its share of a zone's room."""
        self.journal.keep(SHARES, msgspec.json.encode(self.judge.known_at_cut))

    def changed(self) -> None:
        """Something the page shows changed; several changes make one status."""
        self._telling.changed()

    def _push(self, message: FromLane) -> None:
        self.hub.push(message)

    def _ask_others(self) -> bool:
        """Have the front ask the other gates; whether there is one."""
        self.hub.push(AskOthers())
        return self.hub.listeners > 0

    def _status_for_listeners(self) -> Status | None:
        return self.status.now() if self.hub.listeners else None

    def now_s(self) -> int:
        """Unix seconds, as well as they are known."""
        return self.time.now_us() // 1_000_000

    # --- now and then -------------------------------------------------------------------------------------------

    async def _beat(self) -> NoReturn:
        """Look after the clock, heads, watchdog and the page's figures once a second."""
        notify.notify("READY=1")
        feeds = notify.watchdog_s() > 0
        while True:
            await asyncio.sleep(TICK_S)
            self._look_at_clock()
            self.timetable.tick()
            self._device_log.tick()
            self.status.clock_tile()
            self.status.uplink_tile()
            self.lists.age_tile()
            self.lists.look_again()
            self.journal.sign_if_due()
            self._telling.count_recorded()
            self.alerts.expire()
            self._disk.ask(self.writer.noop)
            if feeds and self._disk.silent_s() < STALL_S:
                notify.notify("WATCHDOG=1")

    def _look_at_clock(self) -> None:
        """Record that the time moved, before anything else is: the first record of a known time places those before it."""
        stepped_s = self.time.look()
        if not stepped_s:
            return
        data = min(abs(int(stepped_s)), 2**32 - 1)
        words = f"{stepped_s:+.1f} s".encode()
        for key, value in self.revision.ask((self.journal.gate, self.journal.epoch)):
            self.journal.keep(key, value)
        self.journal.append(
            (Write(0, Kind.CLOCK_STEP, data=data, extensions=((Extension.DETAIL, words),)),), Stamp()
        )

    async def _count_people(self) -> NoReturn:
        """Count who is inside whenever a list came, slice by slice, leaving the loop to scans in between."""
        while True:
            await self.memory.to_count.wait()
            try:
                if not self.memory.count_on():
                    self.changed()
            except StoreFault as fault:
                self.unreadable(fault)
                await asyncio.sleep(RECOUNT_S)
                self.memory.recount()
            await asyncio.sleep(COUNT_PAUSE_S if self.others.is_busy else 0)

    # --- stop, in order -----------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Read no more, close the barriers, write what was counted, sign, save; the pages last."""
        notify.notify("STOPPING=1")
        for shell in self.lanes.values():
            shell.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._device_log.drain()
        self.journal.sign_head()
        lost = await asyncio.to_thread(self.writer.close)
        if lost:
            log.critical(
                "records were lost: the disk did not take them", extra={"code": "log.lost", "records": lost}
            )
        if lost or self._disk.is_over:
            self._exit_code = EX_TEMPFAIL
        await self.hub.stop()
        self.lists.close()
        self.reader.close()
        log.info("gate is down", extra={"records": self.journal.last_seq})


def _shares(kept: bytes | None) -> dict[ZoneId, int]:
    return msgspec.json.decode(kept, type=dict[ZoneId, int]) if kept else {}
