"""The uplink: lists come down, records go up, the time is asked for; whatever fails is tried again, for ever.

Losing this process loses nothing: what the centre holds is asked for at each start, what it sent lies in files.
"""

import asyncio
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from admission.chain import Head, link, seed
from admission.ids import Epoch, GateId
from edge.builder import BUILT
from edge.builder import REFUSED as BUILD_REFUSED
from edge.clock import Clock, SystemClock
from edge.enrolment import Enrolment
from edge.front.centre import Centre, CentreRefused, CutOff
from edge.link import Appended, Done, Health, UplinkSaid
from edge.settings import CentreSettings
from edge.store.faults import StoreFault
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_schema import EpochRow, ListVersion, StoredRecord
from sync.wire.lists import EventInfo, ListHead, ListRefused, read_head, version_tag
from sync.wire.messages import Push, Pushed
from sync.wire.replication import Sender

SNAPSHOT_FILE = "snapshot.ghl"
"""The newest signed list as it came: a lost or damaged list file is built again from it."""
TIME_EVERY_S = 600.0
SAY_EVERY_S = 30.0
"""A tile that only counts seconds is renewed this often."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 60.0
"""A centre that comes back is not met by all gates in one second; each waits its own random part of this."""
REFUSED_WAIT_S = 30.0
"""Only a person mends a refusal; a rare try notices that they did."""
BUILD_MAX_S = 600.0
"""The builder makes a list of 10 million rows in less, also on a slow card."""
STALE_S = 60.0
STALE_POLLS = 10
"""No proved answer on the list for so long, or for so many polls: somebody may be keeping news from this gate."""
WATCH_S = 5.0
WHY_CHARS_MAX = 160
HEADS_WINDOW = 1024
"""A head stands every 256 records: this far back there is one."""

log = logging.getLogger("edge.front.uplink")

Result = TypeVar("Result")


class LogSource(Protocol):
    """What the uplink reads of the log; `edge.store.log_reader.LogReader` is one."""

    def epochs(self) -> tuple[EpochRow, ...]:
        """Return what is held of every epoch, in the order they were first met."""
        ...

    def records(self, gate: GateId, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        """Return up to `limit` records of a log with seq above `after`, in order."""
        ...

    def heads(self, gate: GateId, epoch: Epoch, after: int = 0) -> tuple[Head, ...]:
        """Return the signed heads of a log above `after`, in order."""
        ...

    def list_versions(self) -> tuple[ListVersion, ...]:
        """Return the highest seal seen of each event."""
        ...


class ListTrouble(Exception):
    """A list came that is not used; the one before stays."""


class StillRefused(ListTrouble):
    """The centre still has the list that is not used; it was not sent again."""


class Uplink:
    """Talks to the centre. `run` until cancelled; `appended` whenever more of the log is durable.

    `say` is told how it is; `take_list` has the lane switch to a list file and returns its answer (any OSError from
    it: asked again later).
    """

    def __init__(
        self,
        enrolment: Enrolment,
        data: Path,
        settings: CentreSettings,
        log_reader: LogSource,
        say: Callable[[UplinkSaid], None],
        take_list: Callable[[Path], Awaitable[Done]],
        *,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._enrolment = enrolment
        self._data = data
        self._settings = settings
        self._own = OwnLog(log_reader, enrolment.gate)
        self._log = log_reader
        self._say = say
        self._take_list = take_list
        self._clock = clock or SystemClock()
        self._chance = chance or random.SystemRandom()
        self._centre = Centre(enrolment, ca_file, lambda: self._clock.now_us() // 1_000_000)
        self._sender = Sender(enrolment.gate, self._own.link_at)
        self._thread = ThreadPoolExecutor(1, "uplink")
        """The log's reader and the sender are used in this one thread only."""
        self._more = asyncio.Event()
        self._queued: int | None = None
        """Records the centre has not acknowledged; None until it said what it holds."""
        self._refused: dict[str, str] = {}
        """By loop, why the centre or the list was refused; empty when all is well."""
        self._answered_s = 0
        self._cut_off_s: dict[str, int] = {}
        """By loop, since when the centre does not answer."""
        self._said: tuple[Health, str, dict[str, str | int]] | None = None
        self._said_ns = 0
        self._list_said_s, self._list_said_ns = 0, self._clock.mono_ns()
        """When the centre last proved what it said of the list."""
        self._tag = ""
        self._bad_tag = ""
        self._untaken: Path | None = None

    def appended(self, _notice: Appended) -> None:
        """More of the log is durable."""
        self._more.set()

    async def run(self) -> NoReturn:
        """Talk to the centre until cancelled."""
        try:
            self._tag = await self._in_thread(lambda: tag_of_file(self._data / LIST_FILE))
            async with self._centre, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep("list", self._lists))
                tasks.create_task(self._keep("records", self._records))
                tasks.create_task(self._keep("time", self._time))
                tasks.create_task(self._watch())
        finally:
            self._thread.shutdown(cancel_futures=True)  # a slice at most; the reader is closed next
        raise AssertionError("unreachable: each loop runs for ever")

    async def _keep(self, name: str, once: Callable[[], Awaitable[float]]) -> NoReturn:
        """Do something again and again, after the seconds it returns; after failures with growing waits."""
        failures = 0
        while True:
            try:
                wait_s = await once()
                failures = 0
                self._answered(name)
            except CutOff as error:
                failures += 1
                wait_s = self._backoff(failures)
                self._cut_off(name, error)
            except CentreRefused as error:
                wait_s = REFUSED_WAIT_S * self._chance.uniform(0.5, 1.0)
                self._refuse("records" if error.code == "unknown_gate" else name, error.code)
                if error.centre_time_s:
                    self._tell(centre_time_s=error.centre_time_s)
            except StillRefused as error:
                wait_s = self._settings.poll_s
                self._refuse(name, str(error))
            except ListTrouble as error:
                failures += 1
                wait_s = max(self._settings.poll_s, self._backoff(failures))
                self._refuse(name, str(error))
            except (StoreFault, OSError) as error:
                failures += 1
                wait_s = self._backoff(failures)
                log.warning("the uplink waits for the disk or the lane: %s", error)
            await self._wait(name, wait_s)

    async def _wait(self, name: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        if name == "list":
            self._tell()  # this loop is the one that turns oftenest

    async def _watch(self) -> NoReturn:
        """Notice what does not happen, whatever the other loops are held up by."""
        while True:
            await asyncio.sleep(WATCH_S)
            self._tell()

    def _backoff(self, failures: int) -> float:
        ceiling = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 10))
        return ceiling * self._chance.uniform(0.5, 1.0)

    # --- time ---------------------------------------------------------------------------------------------------

    async def _time(self) -> float:
        centre_time_s = await self._centre.time_s()
        self._answered("time")
        self._tell(centre_time_s=centre_time_s)
        return TIME_EVERY_S

    # --- records up ---------------------------------------------------------------------------------------------

    async def _records(self) -> float:
        """Ask what is held, then push whatever comes. After a failure or a long quiet it begins with asking again."""
        held = await self._centre.have()
        await self._in_thread(lambda: self._heard(held))
        while True:
            self._more.clear()
            push = await self._in_thread(self._next)
            if push is not None:
                await self._push(push)
                continue
            if stuck := self._stuck():
                self._refuse("records", stuck)
            else:
                self._answered("records")
            try:
                async with asyncio.timeout(REFUSED_WAIT_S if stuck else TIME_EVERY_S):
                    await self._more.wait()
            except TimeoutError:
                return 0.0
            await asyncio.sleep(self._settings.push_s)  # a moment in which still more comes along

    def _stuck(self) -> str:
        """Return what keeps the logs from being one with the centre's; "" when nothing does."""
        if self._sender.stuck:
            return next(iter(self._sender.stuck.values()))
        return "fork" if self._sender.forked else "rewind" if self._sender.rewound else ""

    async def _push(self, push: Push) -> None:
        answer = await self._centre.push(push)
        await self._in_thread(lambda: self._sender.answered(answer))
        for one in answer.troubles:
            log.error("the centre reports %s at record %d of epoch %016x", one.what, one.seq, one.epoch)
        serious = [one.what for one in answer.troubles if one.what != "gap"]
        if serious:
            self._refuse("records", serious[0])

    def _heard(self, held: Pushed) -> None:
        self._own.look()
        self._sender.retry()
        self._sender.heard(held)

    def _next(self) -> Push | None:
        self._own.look()
        push = self._sender.next(self._own.last, self._own.read)
        self._queued = sum(max(0, last - self._sender.acked(one)) for one, last in self._own.last.items())
        return push

    # --- lists down ---------------------------------------------------------------------------------------------

    async def _lists(self) -> float:
        if self._untaken is not None:
            await self._hand_over(self._untaken)
        fresh = self._data / (SNAPSHOT_FILE + ".new")
        try:
            tag = await self._centre.fetch_list(self._bad_tag or self._tag, fresh)
            self._list_said_s, self._list_said_ns = self._clock.now_us() // 1_000_000, self._clock.mono_ns()
            if tag is None:
                if self._bad_tag:
                    raise StillRefused(self._refused.get("list", "refused"))
                return self._settings.poll_s
            try:
                await self._in_thread(lambda: self._check(fresh))
                await self._build(self._data / SNAPSHOT_FILE)
            except ListTrouble:
                self._bad_tag = tag  # not fetched again before the centre has another
                raise
        finally:
            fresh.unlink(missing_ok=True)
        self._tag, self._bad_tag = tag, ""
        await self._hand_over(self._data / LIST_FILE)
        return self._settings.poll_s

    def _check(self, fresh: Path) -> None:
        """Verify what came, and put it in the old snapshot's place. ListTrouble where it must not be used."""
        try:
            with fresh.open("rb") as file:
                head = read_head(file, self._enrolment.list_key)
        except ListRefused as error:
            raise ListTrouble(str(error)[:WHY_CHARS_MAX]) from error
        if head.group != self._enrolment.group:
            raise ListTrouble("it is of another event group")
        seen = {one.event: (one.generation, one.version) for one in self._log.list_versions()}
        used = head_of_file(self._data / LIST_FILE)
        for one in used.events if used is not None else ():
            seen[one.id] = max(seen.get(one.id, (0, 0)), (one.generation, one.version))
        for event in head.events:
            if (event.generation, event.version) < seen.get(event.id, (0, 0)):
                raise ListTrouble(f"version {event.version} is older than one already seen")
        fresh.replace(self._data / SNAPSHOT_FILE)

    async def _build(self, snapshot: Path) -> None:
        """Run the builder. ListTrouble where it refuses; OSError where it fails."""
        key = self._enrolment.list_public.hex()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.builder", str(snapshot), str(self._data / LIST_FILE), key,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(BUILD_MAX_S):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        why = said.decode(errors="replace").strip()[-WHY_CHARS_MAX:]
        if process.returncode == BUILD_REFUSED:
            raise ListTrouble(why or "the builder refused it")
        if process.returncode != BUILT:
            raise OSError(f"the list was not built: {why or process.returncode}")

    async def _hand_over(self, path: Path) -> None:
        """Have the lane take the list; where it cannot now, try again at the next poll."""
        self._untaken = path
        done = await self._take_list(path)
        self._untaken = None
        if not done.ok:
            self._bad_tag = self._tag
            raise ListTrouble(done.code)
        log.info("a new list is in use")

    # --- how it is ----------------------------------------------------------------------------------------------

    def _answered(self, name: str) -> None:
        self._answered_s = self._clock.now_us() // 1_000_000
        self._cut_off_s.pop(name, None)
        self._refused.pop(name, None)
        self._tell()

    def _cut_off(self, name: str, error: CutOff) -> None:
        if not self._cut_off_s:
            log.warning("cut off from the centre (%s): %s", name, error)
        self._cut_off_s.setdefault(name, self._answered_s or self._clock.now_us() // 1_000_000)
        self._tell()

    def _refuse(self, name: str, why: str) -> None:
        if self._refused.get(name) != why:
            log.error("refused (%s): %s", name, why)
        self._refused[name] = why
        self._cut_off_s.pop(name, None)
        self._tell()

    def _state(self) -> tuple[Health, str, dict[str, str | int]]:
        queued: dict[str, str | int] = {} if self._queued is None else {"queued": self._queued}
        refused = self._refused.get("records") or self._refused.get("time")
        if self._cut_off_s:
            since_s = min(self._cut_off_s.values())
            return Health.DEGRADED, "uplink.cut_off", {"since_s": since_s, **queued}
        if refused:
            return Health.DEGRADED, "uplink.refused", {"why": refused}
        if (self._clock.mono_ns() - self._list_said_ns) / 1e9 > max(
            STALE_S, STALE_POLLS * self._settings.poll_s
        ):
            since: dict[str, str | int] = {"since_s": self._list_said_s} if self._list_said_s else {}
            why: dict[str, str | int] = {"why": self._refused["list"]} if "list" in self._refused else {}
            return Health.DEGRADED, "uplink.list_stale", {**since, **why}
        if "list" in self._refused:
            return Health.DEGRADED, "uplink.list_refused", {"why": self._refused["list"]}
        return Health.OK, "uplink.ok", {**queued, "last_s": self._answered_s}

    def _tell(self, *, centre_time_s: int = 0) -> None:
        """Say how it is, when that is news. The time goes apart: said again later it would be wrong."""
        state = self._state()
        if centre_time_s:
            self._say(UplinkSaid(*state, centre_time_s))
        before, now_ns = self._said, self._clock.mono_ns()
        news = before is None or before[:2] != state[:2] or _lasting(before[2]) != _lasting(state[2])
        if news or centre_time_s or now_ns - self._said_ns > SAY_EVERY_S * 1e9:
            self._said, self._said_ns = state, now_ns
            self._say(UplinkSaid(*state))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class OwnLog:
    """This gate's own log, as the sender reads it. `look` before each use."""

    def __init__(self, source: LogSource, gate: GateId) -> None:
        self._source = source
        self._gate = gate
        self._rows: dict[Epoch, EpochRow] = {}
        self.last: dict[Epoch, int] = {}
        """The last durable seq of each epoch, oldest epoch first."""

    def look(self) -> None:
        """See how far the log has grown."""
        self._rows = {row.epoch: row for row in self._source.epochs() if row.gate == self._gate}
        self.last = {epoch: row.last_seq for epoch, row in self._rows.items()}

    def read(self, epoch: Epoch, after: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Return records of an epoch, for the sender."""
        if after >= self.last.get(epoch, 0):
            return ()
        return [(one.seq, one.blob) for one in self._source.records(self._gate, epoch, after, limit)]

    def link_at(self, epoch: Epoch, seq: int) -> bytes | None:
        """Return what the log ends in at `seq`: from the nearest head before it, hashed on."""
        row = self._rows.get(epoch)
        if row is None or not row.pruned_seq <= seq <= row.last_seq:
            return None
        at_seq, at = row.pruned_seq, row.pruned_link or seed(self._gate, epoch)
        for head in self._source.heads(self._gate, epoch, max(at_seq, seq - HEADS_WINDOW)):
            if head.seq <= seq:
                at_seq, at = head.seq, head.link
        while at_seq < seq:
            found = self._source.records(self._gate, epoch, at_seq, seq - at_seq)
            if not found:
                return None
            for one in found:
                at_seq, at = one.seq, link(at, one.blob)
        return at


def head_of_file(path: Path) -> ListHead | None:
    """Return the head of the list file in place; None where there is no usable one."""
    try:
        store = ListStore.open(path)
    except StoreFault:
        return None
    try:
        return store.head
    finally:
        store.close()


def tag_of_file(path: Path) -> str:
    """Return the ETag of the list file in place; "" where there is no usable one."""
    head = head_of_file(path)
    return "" if head is None else version_tag(head.group, map(_seal, head.events))


def _seal(event: EventInfo) -> tuple[int, int, int]:
    return event.id, event.generation, event.version


def _lasting(args: dict[str, str | int]) -> dict[str, str | int]:
    """Return what of a tile's arguments is news when it changes; the time of the last answer is not."""
    return {name: value for name, value in args.items() if name != "last_s"}


__all__ = ["LogSource", "OwnLog", "Uplink", "head_of_file", "tag_of_file"]
