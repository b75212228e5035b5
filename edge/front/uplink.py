"""The uplink: lists come down, records go up, the time is asked for; whatever fails is tried again, for ever.

Losing this process loses nothing: what the centre holds is asked for at each start, what it sent lies in files.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from admission.ids import GateId
from edge.applied import KeptValues
from edge.asking import ASK_MAX_S
from edge.clock import Clock, SystemClock
from edge.enrolment import Enrolment
from edge.front.belief import Belief
from edge.front.carrying import CarriedLogs, Carrying
from edge.front.centre import Centre
from edge.front.documents import Documents, KeysRolled
from edge.front.doubt import Doubt
from edge.front.feed import FeedDown
from edge.front.intake import Intake
from edge.front.list_keys import KeysOfList
from edge.front.loops import REFUSED_WAIT_S, Loops
from edge.front.merged import Merged, MergedSource
from edge.front.meter import Level, Meter
from edge.front.near import Near
from edge.front.near_lists import NearLists
from edge.front.own_log import LogSource, OwnLog
from edge.front.pace import IDLE, Idle
from edge.front.past import Past
from edge.front.peers.shared import Shared
from edge.front.rounds import Rounds
from edge.front.shown_names import ShownNames
from edge.front.snapshot import ANNOUNCED_FILE, SNAPSHOT_FILE, SeenVersions, Snapshots
from edge.front.status_up import StatusUp, WaysKnown
from edge.front.stream import News
from edge.front.tls import PageTls
from edge.front.uplink_tile import STALE_S, Facts, UplinkTile
from edge.front.upload import HeldMemory, Upload
from edge.front.way import Way
from edge.link import Appended, Changes, Done, Foreign, HeardGates, UplinkSaid
from edge.settings import CentreSettings
from edge.store.faults import StoreFault
from edge.store.list import LIST_FILE
from sync.wire.counted import Limit
from sync.wire.replication import LinkAt, Read
from sync.wire.snapshots import Manifest

TIME_EVERY_S = 600.0
LIST_EVERY, TIME_EVERY = 3, 18
"""In how manieth round a quiet gate asks for the manifest, an hour; and for the time and what is held of it, six."""
SYNC_PAUSE_S = 2.0
"""Whoever presses the button again and again asks the centre no oftener than this."""
LOOKED_PAUSE_S = 600.0
"""Whoever opens the page sees what is asked for now; a browser that opens it again and again pays for no more than rounds do."""
TOLD_POLLS = 12
"""By so much seldomer is the manifest asked for while the stream tells what is new of each list: once a minute."""
WATCH_S = 5.0
CHECK_FIRST_S, CHECK_EVERY_S = 120.0, 6 * 3600.0
"""When all of the list is read: not while the gate starts, and seldom enough to cost a card nothing."""

log = logging.getLogger("edge.front.uplink")

Result = TypeVar("Result")


class LaneMemory(HeldMemory, WaysKnown, Protocol):
    """What the lane tells of records that it has, and is told of those that the centre has
    (`edge.front.lane_client.LaneClient`)."""

    async def give(self, slice_: Foreign) -> Done:
        """Hand records of another gate over. ConnectionError where none answers."""
        ...

    async def change(self, asked: Changes) -> Done:
        """Hand changes of a list over. ConnectionError where none answers."""
        ...

    async def believe(self, limits: Sequence[Limit]) -> Done:
        """Say whose records count how far. ConnectionError where none answers."""
        ...

    def say_heard(self, heard: HeardGates) -> None:
        """Tell the lane until when all of the other gates is known."""
        ...


class Log(LogSource, SeenVersions, MergedSource, CarriedLogs, KeptValues, Protocol):
    """All that the uplink reads of the log."""


class Uplink:
    """Talks to the centre. `run` until cancelled; `appended` whenever more of the log is durable, `held` whenever
    records are in the lane's memory only.

    `say` is told how it is; `take_list` has the lane switch to a list file and returns its answer (any OSError from
    it: asked again later).
    """

    def __init__(
        self,
        enrolment: Enrolment,
        data: Path,
        settings: CentreSettings,
        log_reader: Log,
        say: Callable[[UplinkSaid], None],
        take_list: Callable[[Path], Awaitable[Done]],
        lane: LaneMemory,
        *,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        ca_file: Path | None = None,
        page: PageTls | None = None,
        centre: Centre | None = None,
        idle: Idle = IDLE,
        names: ShownNames | None = None,
        on_defect: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._names = names or ShownNames()
        self._settings, self._reader, self._lane = settings, log_reader, lane
        self._clock = clock or SystemClock()
        self._chance = chance or random.SystemRandom()
        self._thread = ThreadPoolExecutor(1, "uplink")
        """The log's reader and the sender are used in this one thread only."""
        self._past = Past(self._clock, log_reader)
        self._own = OwnLog(log_reader, enrolment.gate)
        self.meter = Meter(
            data, settings.cap_mb_per_day, lambda: self._past.centre_s, lambda: self._clock.mono_ns() / 1e9
        )
        self._centre = centre or Centre(
            enrolment, ca_file, lambda: self._clock.now_us() // 1_000_000, sockets=self.meter.socket
        )
        self._documents_due = asyncio.Event()
        self._doubt = Doubt(self._clock.mono_ns, self._documents_due)
        self._tile = UplinkTile(
            say,
            self._facts,
            self._back,
            self._clock,
            settings.poll_s,
        )
        self._loops = Loops(
            self._tile, self._doubt, self._begin_anew, self._clock, self._chance, settings.poll_s, on_defect
        )
        self._list_due = self._loops.of("list")
        self._list_taken = False
        self._told: Manifest | None = None
        self._synced_s, self._looked_s = -SYNC_PAUSE_S, -LOOKED_PAUSE_S
        self._list_proved = asyncio.Event()
        """Set once the centre told of every event what follows, since somebody waits for it."""
        self._way = Way(self._clock)
        self._snapshots = Snapshots(
            enrolment,
            data,
            log_reader,
            self._taking(take_list),
            lambda: self._past.centre_s,
            self.meter.grant_list,
        )
        self._belief = Belief(
            Documents(enrolment, data, self._centre, self._now_s, page), self._past, self._doubt,
            self._documents_due, self._centre, lane, self._in_thread,
        )  # fmt: skip
        self._merged = Merged(
            log_reader, enrolment.gate, enrolment.public, KeysOfList(data / LIST_FILE), self._belief.roster,
            self._belief.may, self._own.link_at, lambda: self._clock.mono_ns() / 1e9,
        )  # fmt: skip
        self._talkers(enrolment, data, lane, idle)

    def _talkers(self, enrolment: Enrolment, data: Path, lane: LaneMemory, idle: Idle) -> None:
        """Make what asks and sends."""
        self.upload = Upload(
            enrolment.gate, self._own, self._centre, lane, self._way, self._clock, self._in_thread,
            lambda: self._tile.answered("records"),
            lambda why: self._tile.refuse("records", why, f"records.{why}"), self._merged.lost,
            lambda: self._rounds.moved(),  # noqa: PLW0108 - they are made later
            self._ask_feed,
        )  # fmt: skip
        self._news = News(
            enrolment.list_key, data, self._reader, self._centre, lane.change, self._want_list,
            self._tile.list_answered, self._doubt.ask, self._doubt.cast, self._clock, self._chance,
        )  # fmt: skip
        self.near_lists = self._snapshots.near = NearLists(
            enrolment.group, enrolment.list_key, data / SNAPSHOT_FILE, data / ANNOUNCED_FILE, self._news,
        )  # fmt: skip
        # The roster must not wait for a list that takes minutes: neighbours are met by it, who may have one.
        self._snapshots.on_told = self._documents_due.set
        self._rounds = Rounds(self._clock, self._chance, idle, self._may_rest, self._awake)
        # Whoever was shut out is in the next roster, which a manifest tells of.
        self._news.on_settings, self._news.on_list_lost = self._list_due.set, self.list_lost
        self._news.on_caught_up, self._news.on_restored = self._caught_up, self._restored
        self._news.on_records, self._news.is_quiet = self._rounds.moved, self._rounds.is_quiet
        self._news.on_opened = self._ask_feed
        self.intake = Intake(self._merged, lane, self._in_thread)
        self.near = Near()
        self.carrying = Carrying(
            enrolment.gate, self._reader, self._read_of, self._centre, self.near, self._others,
            lambda: self.is_up and not self._is_dear(), self._way, self._clock, self._in_thread,
        )  # fmt: skip
        self._feed = FeedDown(
            self._centre, self.intake, self._belief, self._past, self._rounds, lane, self._clock,
            self._in_thread, self._documents_due, lambda: self.upload.behind_s, self.carrying.centre_has,
            self._is_dear, self._until_list_proved,
        )  # fmt: skip
        self._status = StatusUp(
            self._centre, self._news, self.upload, self._tile, self._rounds, lane, self._chance
        )

    async def _ask_names(self) -> float:
        return await self._names.ask(self._centre, is_dear=self._is_dear())

    @property
    def is_up(self) -> bool:
        """Whether the centre answers, by our own last exchange with it."""
        return self._tile.is_up

    def _now_s(self) -> int:
        """Return the time, as well as it is known here."""
        return self._past.centre_s or self._clock.now_us() // 1_000_000

    def appended(self, _notice: Appended) -> None:
        """More of the log is durable."""
        self.upload.poke()

    def held(self) -> None:
        """Records are in the lane's memory only, or are no longer."""
        self._rounds.moved()
        self.upload.poke()

    def _may_rest(self) -> bool:
        """Whether there is a centre to rest with: what does not answer is tried again and again."""
        return not self._tile.is_cut_off

    @property
    def _is_strict(self) -> bool:
        """Whether some product lets nobody in where another gate was not heard."""
        return self._now_s() < self._news.strict_until_s

    def _is_dear(self) -> bool:
        """Whether news of others wait for a round, since the day's bytes are used up; never where people would be
        refused for it."""
        self.meter.look()
        return self.meter.level is Level.OVER and not self._is_strict

    def _awake(self) -> None:
        for due in (self._feed.due, self._list_due, self._news.moved, self._news.behind):
            due.set()
        self._tile.tell()

    def _ask_feed(self) -> None:
        self._feed.due.set()

    def ask_others(self) -> None:
        """Somebody stands here who would be refused because others were not heard, as nobody was asked for long."""
        if self._is_strict:
            self._list_proved.clear()
            self._loops.of("changes").set()
            self._loops.of("feed").set()
            self._feed.ask_all()
        self._rounds.moved()

    def looked(self) -> None:
        """Somebody opens the page: ask once, so that it shows what is. A page left open does not end a rest."""
        now_s = self._clock.mono_ns() / 1e9
        if self._rounds.is_quiet() and now_s - self._looked_s >= LOOKED_PAUSE_S:
            self._looked_s = now_s
            self._awake()

    def _caught_up(self) -> None:
        self._list_proved.set()
        self._tile.answered("changes")

    async def _until_list_proved(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_MAX_S):
                await self._list_proved.wait()
        return self._list_proved.is_set()

    def _back(self, answered: str, waiting: frozenset[str]) -> None:
        """The centre answers again: nobody waits out a pause that was made for it."""
        self.carrying.back()
        if answered != "records":
            self.upload.back()
        for name in sorted(waiting):
            self._loops.of(name).set()

    def _restored(self) -> None:
        """The centre has less than it told before, whether or not anybody missed it meanwhile."""
        self.carrying.back()
        self.upload.back()

    def sync_now(self) -> None:
        """Somebody does not want to wait for what is due later: ask for all of it, and send all there is, now."""
        now_s = self._clock.mono_ns() / 1e9
        if now_s - self._synced_s < SYNC_PAUSE_S:
            return
        self._synced_s = now_s
        self._loops.hurry()
        for one in (self._documents_due, self._news.moved, self._news.behind, self._feed.due):
            one.set()
        self.upload.back()

    async def run(self, beside: Callable[[], Coroutine[Any, Any, object]] | None = None) -> None:
        """Talk to the centre until cancelled, or until keys were rolled, its own or ours: they are saved then.

        `beside`: what else uses its thread, as the talk with neighbours does; it runs as long, and is over before that ends.
        """
        # In a task of its own: a group that ends by an error of its own forgets a cancel that comes beside it.
        await asyncio.create_task(self._talk(beside))
        own = asyncio.current_task()
        if own is not None and own.cancelling():
            raise asyncio.CancelledError

    async def _talk(self, beside: Callable[[], Coroutine[Any, Any, object]] | None) -> None:
        near = asyncio.create_task(beside()) if beside is not None else None
        try:
            await self._in_thread(self._snapshots.look)
            await self._in_thread(self._past.look)
            await self._news.look(self._in_thread)
            async with self._centre, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._loops.keep("list", self._lists))
                tasks.create_task(self._loops.keep("records", self._records))
                tasks.create_task(self._loops.keep("time", self._time))
                tasks.create_task(self._loops.keep("feed", self._feed.ask))
                tasks.create_task(self._loops.keep("stream", self._news.listen))
                tasks.create_task(self._loops.keep("changes", self._news.catch_up))
                tasks.create_task(self._loops.keep("status", self._status.tell))
                tasks.create_task(self._loops.keep("documents", self._follow))
                tasks.create_task(self._loops.keep("names", self._ask_names))
                tasks.create_task(self.carrying.run())
                tasks.create_task(self._watch())
                tasks.create_task(self._check_lists())
        except* KeysRolled:
            pass  # whoever runs this begins anew
        finally:
            if near is not None:
                near.cancel()
                await asyncio.gather(near, return_exceptions=True)
            self.meter.save()
            self._thread.shutdown(cancel_futures=True)  # a slice at most; the reader is closed next

    async def check_list(self) -> None:
        """Read all of the list in place: a bit that flipped on the card would judge whoever it is about."""
        if await asyncio.to_thread(self._snapshots.is_damaged):
            log.error("the list is damaged on the card", extra={"code": "list.corrupt"})
            self.list_lost()

    async def _check_lists(self) -> NoReturn:
        await asyncio.sleep(CHECK_FIRST_S)
        while True:
            await self.check_list()
            await asyncio.sleep(CHECK_EVERY_S)

    def list_lost(self) -> None:
        """The lane gave its list up: it cannot be read any more."""
        if self._snapshots.lost():
            self._list_due.set()

    async def _watch(self) -> NoReturn:
        """Notice what does not happen, whatever the other loops are held up by."""
        while True:
            await asyncio.sleep(WATCH_S)
            await self.meter.keep()
            if self._tile.is_cut_off:
                with contextlib.suppress(StoreFault):  # the lane shows it; the figures stay as they were
                    await self._in_thread(self.upload.count)
            self._tile.tell()

    def _begin_anew(self, name: str) -> None:
        """Drop what a loop derived: it comes again."""
        if name == "feed":
            self._merged.start_over()
        else:
            self._snapshots.drop()
            self._list_due.set()

    async def _time(self) -> float:
        centre_time_s = await self._centre.time_s()
        self._past.heard(centre_time_s)
        self._tile.answered("time")
        self._tile.tell(centre_time_s=centre_time_s)
        return self._rounds.pause_s(TIME_EVERY_S, 3, TIME_EVERY)

    async def _follow(self) -> float:
        """Follow the venue's keys, roster and page certificates."""
        await self._belief.look(self._snapshots.told, self._merged, lambda: self._tile.answered("documents"))
        return 0.0

    def shared(self) -> Shared:
        """Return what the neighbours are talked to with."""
        documents = self._belief.documents

        async def believe() -> None:
            await documents.keep_offered()
            await self._belief.pass_on(self._merged)

        def keys_offered(signed: bytes) -> None:
            if documents.keys_offered(signed):
                self._documents_due.set()
                self._loops.of("documents").set()  # it may wait for a centre that is away

        return Shared(
            self._own, self._reader, self._read_of, self.intake, self._in_thread, self._belief.in_force,
            documents.signed, documents.offered, believe, documents.keys, keys_offered, self.near, lambda: self.is_up, self.upload.take_held,
            lambda: self._lane.in_memory, self.near_lists,
        )  # fmt: skip

    def _read_of(self, gate: GateId) -> tuple[LinkAt, Read]:
        log_of = OwnLog(self._reader, gate)
        log_of.look()
        return log_of.link_at, log_of.read

    def _others(self) -> tuple[GateId, ...]:
        roster = self._belief.in_force()
        return tuple(one.id for one in roster.gates) if roster is not None else ()

    async def _records(self) -> float:
        return await self.upload.run(
            self._settings.push_s, REFUSED_WAIT_S, lambda: self._rounds.pause_s(TIME_EVERY_S, 4, TIME_EVERY)
        )

    async def _lists(self) -> float:
        try:
            await self._snapshots.fetch(self._centre, self._tile.list_answered, self._in_thread)
        finally:
            if (
                told := self._snapshots.told
            ) is not self._told:  # also one that cannot be followed with old keys
                self._told = told
                self._documents_due.set()
            if self._list_taken:
                self._list_taken = False
                await self._news.look(self._in_thread)
        poll_s = self._settings.poll_s * (TOLD_POLLS if self._news.is_told else 1)
        return self._rounds.pause_s(poll_s, 2, LIST_EVERY)

    def _want_list(self) -> None:
        """Only a whole list helps: ask for it at the next turn, which the centre makes anew at its own pace."""
        self._snapshots.want()
        self._list_due.set()

    def _taking(self, take_list: Callable[[Path], Awaitable[Done]]) -> Callable[[Path], Awaitable[Done]]:
        async def taking(path: Path) -> Done:
            done = await take_list(path)
            self._list_taken = done.ok or self._list_taken
            return done

        return taking

    def _facts(self) -> Facts:
        """Return what the page is told beside what the loops met."""
        return Facts(
            self.upload.queued,
            self.upload.scans,
            self._belief.over_since_s,
            self._merged.own_is_forked,
            self._news.is_told or self._rounds.was_quiet_within(STALE_S),
            self._past.over_s,
            self.meter.today.total,
            self.meter.cap_bytes,
            self.meter.level,
            self._snapshots.waits,
            self._rounds.is_quiet(),
        )

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


__all__ = ["LaneMemory", "Uplink"]
