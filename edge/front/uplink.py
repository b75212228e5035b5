"""The uplink: lists come down, records go up, the time is asked for; whatever fails is tried again, for ever.

Losing this process loses nothing: what the centre holds is asked for at each start, what it sent lies in files.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from admission.ids import GateId
from edge.applied import KeptValues
from edge.clock import Clock, SystemClock
from edge.enrolment import Enrolment
from edge.front.centre import Centre, CentreRefused, CutOff
from edge.front.documents import Documents, KeysRolled
from edge.front.doubt import AGAIN_S, Doubt
from edge.front.intake import Intake
from edge.front.merged import KeysOfList, Merged, MergedSource
from edge.front.own_log import LogSource, OwnLog
from edge.front.pace import IDLE, Idle, Quiet, backoff_s, round_in_s
from edge.front.past import Past
from edge.front.peers.shared import Shared
from edge.front.snapshot import ListTrouble, SeenVersions, Snapshots, StillRefused
from edge.front.stream import News
from edge.front.stuck import Stuck
from edge.front.tls import PageTls
from edge.front.upload import HeldMemory, Upload
from edge.front.way import Way
from edge.link import Appended, Changes, Done, Foreign, Health, HeardGates, UplinkSaid
from edge.settings import CentreSettings
from edge.store.faults import StoreFault
from edge.store.list import LIST_FILE
from sync.wire.counted import Limit, limits_of
from sync.wire.deltas import STATUS_EVERY_S, GateStatus, LaneWays
from sync.wire.feed import WAIT_MAX_MS, Ask, Feed
from sync.wire.replication import LinkAt, Read
from sync.wire.roster import Roster, RosterRefused
from sync.wire.rotation import KeysRefused
from sync.wire.seals import RENEW_S
from sync.wire.snapshots import Manifest

TIME_EVERY_S = 600.0
DOCUMENTS_EVERY_S = 3600.0
"""A manifest tells of newer ones at once; by the clock only what runs out is noticed."""
SAY_EVERY_S = 30.0
"""A tile that only counts seconds is renewed this often."""
REFUSED_WAIT_S = 30.0
"""Only a person mends a refusal; a rare try notices that they did."""
STALE_S = 60.0
STALE_POLLS = 10
"""No proved answer on the list for so long, or for so many polls: somebody may be keeping news from this gate."""
SEALS_STALE_S = 3 * RENEW_S + 5.0
"""While it is quiet only the seals prove it: three were missed."""
LIST_EVERY, TIME_EVERY = 3, 18
"""In how manieth round a quiet gate asks for the manifest, an hour; and for the time and what is held of it, six."""
SYNC_PAUSE_S = 2.0
"""Whoever presses the button again and again asks the centre no oftener than this."""
TOLD_POLLS = 12
"""By so much seldomer is the manifest asked for while the stream tells what is new of each list: once a minute."""
LEFT_OUT_S = 2.0
"""Pause between two questions for news while records are left out for want of a roster."""
WATCH_S = 5.0
CHECK_FIRST_S, CHECK_EVERY_S = 120.0, 6 * 3600.0
"""When all of the list is read: not while the gate starts, and seldom enough to cost a card nothing."""
AGE_MAX_MS = 2**32 - 1
STATUS_PAUSE_S = 1.0
"""Least time between two statuses of ours: the centre has 2,000 gates."""
FEED_PAUSE_S = 0.05
"""Between two questions for news; the centre lets us wait, but one that does not must not keep us busy."""

log = logging.getLogger("edge.front.uplink")

Result = TypeVar("Result")


class LaneMemory(HeldMemory, Protocol):
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

    @property
    def ways(self) -> tuple[LaneWays, ...]:
        """Which ways each lane is passed; none while that is not known."""
        ...

    def say_heard(self, heard: HeardGates) -> None:
        """Tell the lane until when all of the other gates is known."""
        ...


class Log(LogSource, SeenVersions, MergedSource, KeptValues, Protocol):
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
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._past = Past(self._clock, log_reader)
        self._reader = log_reader
        self._own = OwnLog(log_reader, enrolment.gate)
        self._snapshots = Snapshots(
            enrolment, data, log_reader, self._taking(take_list), lambda: self._past.centre_s
        )
        self._merged = Merged(
            log_reader, enrolment.gate, enrolment.public, KeysOfList(data / LIST_FILE), self._held_roster,
            self._may_believe, self._own.link_at,
        )  # fmt: skip
        self.intake = Intake(self._merged, lane, self._in_thread)
        self._lane = lane
        self._say = say
        self._chance = chance or random.SystemRandom()
        self._documents_due = asyncio.Event()
        self._doubt = Doubt(self._clock.mono_ns, self._documents_due)
        self._centre = centre or Centre(enrolment, ca_file, lambda: self._clock.now_us() // 1_000_000)
        self._news = News(
            enrolment.list_key, data, log_reader, self._centre, lane.change, self._want_list, self._list_answered,
            self._doubt.ask, self._doubt.cast, self._clock, self._chance,
        )  # fmt: skip
        # Whoever was shut out is in the next roster, which a manifest tells of.
        self._news.on_settings = self._ask_soon
        self._documents = Documents(enrolment, data, self._centre, self._now_s, page)
        self._list_due = asyncio.Event()
        self._list_taken = False
        self._told: Manifest | None = None
        self._believed: Roster | None = None
        """The roster that the lane goes by."""
        self._thread = ThreadPoolExecutor(1, "uplink")
        """The log's reader and the sender are used in this one thread only."""
        self._way = Way(self._clock)
        self.upload = self._uploading(enrolment, lane)
        self._pace(idle)
        self._stuck_loops = Stuck(lambda: self._clock.mono_ns() / 1e9)
        self._anew: set[str] = set()
        """Loops that began anew, because they failed the same way again and again."""
        self._hurry: dict[str, asyncio.Event] = {}
        """By loop, what ends its pause."""
        self._synced_s = -SYNC_PAUSE_S
        self._refused: dict[str, str] = {}
        """By loop, why the centre or the list was refused; empty when all is well."""
        self._answered_s, self._answered_mono_s = 0, self._mono_s()
        self._cut_off_s: dict[str, float] = {}
        """By loop, since when the centre does not answer: monotonic seconds, since the box's clock may be set meanwhile."""
        self._said: tuple[Health, str, dict[str, str | int]] | None = None
        self._said_ns = 0
        self._list_said_s, self._list_said_ns = 0, self._clock.mono_ns()
        """When the centre last proved what it said of the list."""

    def _pace(self, idle: Idle) -> None:
        """Begin as a gate where somebody may come at any moment."""
        self._idle, self._quiet = idle, Quiet(self._mono_s(), idle.quiet_after_s)
        self._phase_s = self._chance.uniform(0.0, idle.round_s)
        self._rested_s = self._mono_s() - SEALS_STALE_S
        """When the gate was last quiet."""
        self._feed_due = asyncio.Event()
        self._news.on_records, self._news.is_quiet = self._moved, self._is_quiet
        self._feed_wait_ms = 0
        """How long the next question for news waits at the centre."""

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    def _uploading(self, enrolment: Enrolment, lane: LaneMemory) -> Upload:
        return Upload(
            enrolment.gate, self._own, self._centre, lane, self._way, self._clock, self._in_thread,
            lambda: self._answered("records"), lambda why: self._refuse("records", why, f"records.{why}"),
            self._merged.lost,
        )  # fmt: skip

    def _now_s(self) -> int:
        """Return the time, as well as it is known here."""
        return self._past.centre_s or self._clock.now_us() // 1_000_000

    def appended(self, _notice: Appended) -> None:
        """More of the log is durable."""
        self._moved()
        self.upload.poke()

    def held(self) -> None:
        """Records are in the lane's memory only, or are no longer."""
        self._moved()
        self.upload.poke()

    def _is_quiet(self) -> bool:
        """Whether nothing goes on anywhere, and nobody would be refused because others were not heard just now."""
        if (
            not self._quiet.is_quiet(self._mono_s())
            or self._now_s() < self._news.strict_until_s
            or self._cut_off_s
        ):
            return False
        self._rested_s = self._mono_s()
        return True

    def _moved(self) -> None:
        """Somebody came, here or elsewhere: ask as often as ever from now on."""
        was_quiet = self._is_quiet()
        self._quiet.moved(self._mono_s())
        if was_quiet:
            for due in (self._feed_due, self._list_due, self._news.moved):
                due.set()

    def _pause_s(self, active_s: float, place: int, every: int = 1) -> float:
        """Return how long a loop waits: while it is quiet, until all ask together."""
        if not self._is_quiet():
            return active_s
        return round_in_s(self._mono_s(), self._phase_s, place, every, self._idle.round_s)

    def sync_now(self) -> None:
        """Somebody does not want to wait for what is due later: ask for all of it, and send all there is, now."""
        now_s = self._mono_s()
        if now_s - self._synced_s < SYNC_PAUSE_S:
            return
        self._synced_s = now_s
        for one in (*self._hurry.values(), self._list_due, self._documents_due, self._news.moved):
            one.set()
        self.upload.back()

    async def run(self) -> None:
        """Talk to the centre until cancelled, or until keys were rolled, its own or ours: they are saved then."""
        # In a task of its own: a group that ends by an error of its own forgets a cancel that comes beside it.
        await asyncio.create_task(self._talk())
        own = asyncio.current_task()
        if own is not None and own.cancelling():
            raise asyncio.CancelledError

    async def _talk(self) -> None:
        try:
            await self._in_thread(self._snapshots.look)
            await self._in_thread(self._past.look)
            await self._news.look(self._in_thread)
            async with self._centre, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep("list", self._lists))
                tasks.create_task(self._keep("records", self._records))
                tasks.create_task(self._keep("time", self._time))
                tasks.create_task(self._keep("feed", self._feed))
                tasks.create_task(self._keep("stream", self._news.listen))
                tasks.create_task(self._keep("changes", self._news.catch_up))
                tasks.create_task(self._keep("status", self._status))
                tasks.create_task(self._keep("documents", self._venue_documents))
                tasks.create_task(self._watch())
                tasks.create_task(self._check_lists())
        except* KeysRolled:
            pass  # whoever runs this begins anew
        finally:
            self._thread.shutdown(cancel_futures=True)  # a slice at most; the reader is closed next

    async def _keep(self, name: str, once: Callable[[], Awaitable[float]]) -> NoReturn:
        """Do something again and again, after the seconds it returns; after failures with growing waits."""
        failures = 0
        while True:
            try:
                wait_s = await once()
                failures = 0
                self._went_well(name)
                self._answered(name)
            except CutOff as error:
                failures += 1
                wait_s = self._backoff(failures)
                self._cut_off(name, error)
            except (CentreRefused, KeysRefused, RosterRefused, ListTrouble) as error:
                if self._doubt.cast(error.code):
                    wait_s = AGAIN_S
                else:
                    failures += isinstance(error, ListTrouble)
                    wait_s = self._refused_by(name, error, failures)
                    self._failed(name, error.code)
            except (StoreFault, OSError) as error:
                failures += 1
                wait_s = self._backoff(failures)
                log.warning("the uplink waits for the disk or the lane", extra=_of_fault(error))
                if not isinstance(
                    error, StoreFault | ConnectionError
                ):  # a disk or a lane that is away comes back
                    self._failed(name, str(error) or type(error).__name__)
            await self._wait(name, wait_s)

    def _failed(self, name: str, why: str) -> None:
        """Begin anew with what is derived, where a loop failed for the same reason again and again. The log stays."""
        if name not in {"list", "changes", "feed"} or not self._stuck_loops.failed(name, why):
            return
        log.error("begins anew: it failed the same way again and again", extra={"kind": name, "code": why})
        self._anew.add(name)
        if name == "feed":
            self._merged.start_over()
        else:
            self._snapshots.drop()
            self._list_due.set()
        self._tell()

    def _went_well(self, name: str) -> None:
        self._stuck_loops.works(name)
        self._anew.discard(name)

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

    def _refused_by(
        self, name: str, error: CentreRefused | KeysRefused | RosterRefused | ListTrouble, failures: int
    ) -> float:
        """Say that a loop met a refusal, or refuses what came; return how long to wait."""
        match error:
            case StillRefused():
                self._refuse(name, str(error), error.code, error.facts)
                return self._settings.poll_s
            case ListTrouble():
                self._refuse(name, str(error), error.code, error.facts)
                return max(self._settings.poll_s, self._backoff(failures))
            case CentreRefused(centre_time_s=time_s) if time_s:
                self._tell(centre_time_s=time_s)
        self._refuse("records" if error.code == "unknown_gate" else name, error.code, error.code)
        return REFUSED_WAIT_S * self._chance.uniform(0.5, 1.0)

    async def _wait(self, name: str, wait_s: float) -> None:
        if name != "list":
            hurry = self._hurry.setdefault(name, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await hurry.wait()
            hurry.clear()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._list_due.wait()
        self._list_due.clear()
        self._tell()  # this loop is the one that turns oftenest

    async def _watch(self) -> NoReturn:
        """Notice what does not happen, whatever the other loops are held up by."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self._cut_off_s:
                with contextlib.suppress(StoreFault):  # the lane shows it; the figures stay as they were
                    await self._in_thread(self.upload.count)
            self._tell()

    def _backoff(self, failures: int) -> float:
        return backoff_s(failures, self._chance)

    # --- time ---------------------------------------------------------------------------------------------------

    async def _time(self) -> float:
        centre_time_s = await self._centre.time_s()
        self._past.heard(centre_time_s)
        self._answered("time")
        self._tell(centre_time_s=centre_time_s)
        return self._pause_s(TIME_EVERY_S, 3, TIME_EVERY)

    # --- documents ----------------------------------------------------------------------------------------------

    async def _venue_documents(self) -> float:
        """Follow the venue's keys, roster and page certificates; at once where an answer could not be proved."""
        self._documents_due.clear()
        if self._doubt.stands:
            await self._documents.follow_keys()
            self._doubt.settle()
        await self._believe()
        await self._documents.look(self._snapshots.told)
        if self._merged.doubts:
            if self._documents.knows_roster_key:
                await self._documents.take_roster(await self._centre.roster())
            await self._in_thread(self._merged.settle)
        await self._believe()
        self._answered("documents")  # not only when there is something to ask for again
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DOCUMENTS_EVERY_S):
                await self._documents_due.wait()
        return 0.0

    async def _believe(self) -> None:
        """Have the lane go by the roster. OSError where it does not take it."""
        held = self._documents.held
        if held is None or held is self._believed:
            return
        self._past.signed(held.issued_at_s)
        limits = await self._in_thread(
            lambda: limits_of(held, self._merged.foreign() if held.revoked else ())
        )
        done = await self._lane.believe(limits)
        if not done.ok:
            raise OSError(f"the lane did not take the roster: {done.code}")
        self._believed = held

    def shared(self) -> Shared:
        """Return what the neighbours are talked to with."""

        def in_force() -> Roster | None:
            return held if (held := self._documents.held) is not None and self._may_believe() else None

        def read_of(gate: GateId) -> tuple[LinkAt, Read]:
            log_of = OwnLog(self._reader, gate)
            log_of.look()
            return log_of.link_at, log_of.read

        async def believe() -> None:
            await self._documents.keep_offered()
            await self._believe()

        return Shared(
            self._own, self._reader, read_of, self.intake, self._in_thread, in_force, self._documents.signed,
            self._documents.offered, believe,
        )  # fmt: skip

    def _held_roster(self) -> Roster | None:
        return self._documents.held

    def _may_believe(self) -> bool:
        """Whether there is a roster to take other gates' records by. A centre that signs none yet is believed by its list."""
        held = self._documents.held
        return not self._documents.knows_roster_key or (held is not None and not self._is_over_age(held))

    def _is_over_age(self, held: Roster) -> bool:
        return not held.is_valid(self._past.over_s)

    def _ask_soon(self) -> None:
        self._list_due.set()

    # --- records up ---------------------------------------------------------------------------------------------

    async def _records(self) -> float:
        return await self.upload.run(
            self._settings.push_s, REFUSED_WAIT_S, lambda: self._pause_s(TIME_EVERY_S, 4, TIME_EVERY)
        )

    # --- the merged log down ------------------------------------------------------------------------------------

    async def _feed(self) -> float:
        """Read what other gates recorded and hand it to the lane; the next question waits at the centre for news."""
        await self._past.known.wait()  # else a roster might be gone by that ran out while this box was away
        cursor, wants = await self._in_thread(lambda: (self._merged.cursor, self._merged.wants()))
        self._feed_due.clear()
        # After a cut nobody waits for news before it is known who was heard meanwhile.
        wait_ms, self._feed_wait_ms = self._feed_wait_ms, 0
        feed, chunks = await self._centre.feed(Ask(cursor, wait_ms, self.upload.behind_s, wants))
        told_ns = self._clock.mono_ns()
        has_news = await self.intake.feed(feed.cursor, chunks)
        if self._merged.doubts:
            self._documents_due.set()
        if not feed.more:
            await self._in_thread(self._merged.caught_up)
            self._say_heard(feed, told_ns)
        left_out = bool(self._merged.left_out)
        self._feed_wait_ms = 0 if left_out else WAIT_MAX_MS
        if left_out and not self._may_believe():
            return LEFT_OUT_S
        if feed.more or has_news:
            self._moved()
            return 0.0
        if self._is_quiet():
            self._feed_wait_ms = (
                0  # the stream tells of news; nobody waits on a line that the carrier forgets
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(0.0, 0)):
                    await self._feed_due.wait()
        return FEED_PAUSE_S

    def _say_heard(self, feed: Feed, told_ns: int) -> None:
        """Tell the lane until when it knows all of the others: of a gate whose records were left out, nothing new."""
        since_ms = (self._clock.mono_ns() - told_ns) // 1_000_000
        ages = {
            gate: min(one.age_ms + since_ms, AGE_MAX_MS)
            for one in feed.heard
            if (gate := GateId(one.gate)) not in self._merged.left_out
        }
        self._lane.say_heard(HeardGates(ages, dict(self._merged.troubles)))

    # --- lists down ---------------------------------------------------------------------------------------------

    async def _lists(self) -> float:
        try:
            await self._snapshots.fetch(self._centre, self._list_answered, self._in_thread)
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
        return self._pause_s(poll_s, 2, LIST_EVERY)

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

    async def _status(self) -> float:
        """Tell the centre how we are: when the lane holds a newer version, else now and then."""
        self._news.moved.clear()
        state = self._state()
        queued, is_quiet = self.upload.queued or 0, self._is_quiet()
        await self._centre.tell(
            GateStatus(
                versions=self._news.versions,
                software=_software(),
                outbox=queued,
                outbox_age_s=self.upload.behind_s if queued else 0,
                clock_off_s=-self._centre.ahead_s,
                uplink=state[1],
                verdict=state[0].value,
                lanes=self._lane.ways,
                again_s=int(self._idle.round_s) if is_quiet else 0,
            )
        )
        self._answered("status")
        with contextlib.suppress(TimeoutError):
            pause_s = STATUS_EVERY_S * self._chance.uniform(0.75, 1.0)
            async with asyncio.timeout(self._pause_s(pause_s, 1) if is_quiet else pause_s):
                await self._news.moved.wait()
        return STATUS_PAUSE_S

    def _list_answered(self) -> None:
        if "stream" in self._cut_off_s or "stream" in self._refused:
            self._answered("stream")
        self._list_said_s, self._list_said_ns = self._clock.now_us() // 1_000_000, self._clock.mono_ns()

    # --- how it is ----------------------------------------------------------------------------------------------

    def _answered(self, name: str) -> None:
        self._answered_s, self._answered_mono_s = self._clock.now_us() // 1_000_000, self._mono_s()
        if self._cut_off_s.pop(name, None) is not None and name != "records":
            self.upload.back()
        self._refused.pop(name, None)
        self._tell()

    def _cut_off(self, name: str, error: CutOff) -> None:
        if not self._cut_off_s:
            cause = error.__cause__ or error
            log.warning("cut off from the centre", extra={"kind": name, "why": type(cause).__name__})
        self._cut_off_s.setdefault(name, self._answered_mono_s)
        self._tell()

    def _refuse(self, name: str, why: str, code: str, facts: Mapping[str, int] | None = None) -> None:
        if self._refused.get(name) != why:
            log.error("refused", extra={"kind": name, "code": code, "why": why, **(facts or {})})
        self._refused[name] = why
        self._cut_off_s.pop(name, None)
        self._tell()

    def _state(self) -> tuple[Health, str, dict[str, str | int]]:
        queued: dict[str, str | int] = {} if self.upload.queued is None else {"queued": self.upload.queued}
        refused = self._refused.get("records") or self._refused.get("time")
        held = self._documents.held
        if held is not None and self._is_over_age(held):
            return Health.DEGRADED, "uplink.roster_over_age", {"over_s": held.expires_at_s, **queued}
        if self._cut_off_s:
            cut_s = int(self._mono_s() - min(self._cut_off_s.values()))
            scans: dict[str, str | int] = {} if self.upload.scans is None else {"scans": self.upload.scans}
            return Health.DEGRADED, "uplink.cut_off", {"cut_s": cut_s, **queued, **scans}
        if refused in {"fork", "rewind"} or self._merged.own_is_forked:
            code = "rewind" if refused == "rewind" and not self._merged.own_is_forked else "fork"
            return Health.DEGRADED, f"uplink.{code}", {"why": code}
        if refused:
            return Health.DEGRADED, "uplink.refused", {"why": refused}
        told = self._news.is_told or self._is_quiet() or self._mono_s() - self._rested_s < STALE_S
        silence_s = max(SEALS_STALE_S if told else STALE_S, STALE_POLLS * self._settings.poll_s)
        if (self._clock.mono_ns() - self._list_said_ns) / 1e9 > silence_s:
            since: dict[str, str | int] = {"since_s": self._list_said_s} if self._list_said_s else {}
            why: dict[str, str | int] = {"why": self._refused["list"]} if "list" in self._refused else {}
            return Health.DEGRADED, "uplink.list_stale", {**since, **why}
        if self._anew:
            return Health.DEGRADED, "uplink.anew", {"what": ", ".join(sorted(self._anew)), **queued}
        if why_not := self._refused.get("list") or self._refused.get("changes"):
            return Health.DEGRADED, "uplink.list_refused", {"why": why_not}
        return Health.OK, "uplink.ok", {**queued, "last_s": self._answered_s}

    def _tell(self, *, centre_time_s: int = 0) -> None:
        """Say how it is, when that is news. The time goes apart: said again later it would be wrong."""
        state = self._state()
        if centre_time_s:
            self._say(UplinkSaid(*state, centre_time_s, self._past.over_s))
        before, now_ns = self._said, self._clock.mono_ns()
        news = before is None or before[:2] != state[:2] or _lasting(before[2]) != _lasting(state[2])
        if news or centre_time_s or now_ns - self._said_ns > SAY_EVERY_S * 1e9:
            self._said, self._said_ns = state, now_ns
            self._say(UplinkSaid(*state, over_s=self._past.over_s))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _software() -> str:
    """Return this program's version; "0" where it runs from a folder."""
    try:
        return version("gatehouse")
    except PackageNotFoundError:
        return "0"


def _of_fault(error: StoreFault | OSError) -> dict[str, str | int]:
    """Return what the journal is told of a disk or a lane that cannot be used now."""
    if isinstance(error, StoreFault):
        return {"code": f"log.{error.kind.value}"}
    return {"why": type(error).__name__, "errno": error.errno or 0}


def _lasting(args: dict[str, str | int]) -> dict[str, str | int]:
    """Return what of a tile's arguments is news when it changes; times that only go on are not."""
    return {name: value for name, value in args.items() if name not in {"last_s", "cut_s"}}


__all__ = ["LaneMemory", "Uplink"]
