"""The front's end of the link to the lane process: connects again when it breaks, keeps the last status and scans."""

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import msgspec

from admission.ids import Epoch
from edge.board import verdict
from edge.link import (
    ACKED_MAX,
    DOUBTED,
    Acked,
    After,
    Answer,
    Appended,
    Asked,
    AskOthers,
    Believe,
    BelieveAgain,
    Changes,
    Command,
    Done,
    Foreign,
    FromLane,
    GiveHeld,
    HeardGates,
    HeldRecords,
    LinkBroken,
    ModemSaid,
    PageSaid,
    Part,
    PeersSaid,
    Ping,
    Seen,
    Status,
    UplinkSaid,
    pack,
    read_from_lane,
)
from sync.wire.counted import Limit
from sync.wire.deltas import LaneWays

SEEN_MAX = 100
"""Last scans on the page; more belong in an export."""
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 2.0
ANSWER_S = 5.0
"""The lane answers within a millisecond or not at all."""
PING_S = 0.5
"""How often the lane is asked whether it lives, while somebody looks at a page or a display."""
SILENT_PINGS = 3
"""A lane that left so many unanswered hangs: its displays are not to ask for tickets until the watchdog bites."""
LIST_LOST = frozenset({"list.corrupt", "list.none"})
"""Codes of the list's tile where the lane gave up its file, or began before there was one (`edge.lists`)."""
DOUBTED_MAX = 64
"""Told to the centre; where there are more, these are enough to look at."""
COMMANDS_MAX = 64
"""Commands under way at once; people press buttons, nothing else sends them."""

log = logging.getLogger("edge.front.lane_client")


class LaneAway(ConnectionError):
    """The lane process cannot be reached, or did not answer. Try again when the page shows it again."""


class Listener(Protocol):
    """Is told what the lane process says."""

    def changed(self) -> None:
        """There is a new status, or the link came or went."""
        ...

    def seen(self, scan: Seen) -> None:
        """A scan was judged."""
        ...

    def corrected(self, scan: Seen) -> None:
        """Something became of one who was let through: the same row again."""
        ...


class LaneClient:
    """One connection to the lane's socket, for ever. `status` is None until the lane has spoken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._listeners: set[Listener] = set()
        self._said: dict[type, UplinkSaid | PeersSaid | ModemSaid | PageSaid] = {}
        self._acked: dict[Epoch, int] = {}
        """By epoch, what the centre has; told whole after a new connection."""
        self._unanswered = 0
        self.status: Status | None = None
        self.recent: deque[Seen] = deque(maxlen=SEEN_MAX)
        """Newest first."""
        self.on_appended: Callable[[Appended], None] | None = None
        """Called whenever more of the log is durable: the uplink's."""
        self.on_pushable: Callable[[Appended], None] | None = None
        """The same, of those that talk to the other gates."""
        self.on_in_memory: Callable[[], None] | None = None
        """Called whenever there is a status while records are in memory only, or no longer: the uplink's."""
        self.on_held_pushable: Callable[[], None] | None = None
        """The same, of those that talk to the other gates."""
        self.on_ask_others: Callable[[], None] | None = None
        """Called when somebody stands at a lane for whom the other gates must be heard: the uplink's."""
        self.on_looked: Callable[[], None] | None = None
        """Called when somebody opens the page: the uplink's."""
        self.on_sync: Callable[[], None] | None = None
        """Called when somebody at the page wants all synchronised now: the uplink's. None where there is none."""
        self.on_list_lost: Callable[[], None] | None = None
        """Called whenever there is a status that says that the list cannot be read: the uplink's."""

        self.on_names: Callable[[bytes], None] | None = None
        """Told with each status which names are in force."""

    @property
    def connected(self) -> bool:
        """Whether the lane process is there and has spoken; and, while somebody looks, does not hang."""
        return self._writer is not None and self.status is not None and self._unanswered < SILENT_PINGS

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Tell `listener` of everything while the block runs."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def say(self, message: UplinkSaid | PeersSaid | ModemSaid | PageSaid) -> None:
        """Tell the lane how uplink, neighbours or page are; said again after a new connection."""
        self._said[type(message)] = message
        if self._writer is not None:
            self._writer.write(pack(message))

    def say_acked(self, epochs: Mapping[Epoch, int]) -> None:
        """Tell the lane up to where the centre has its logs."""
        self._acked |= epochs
        if self._writer is not None:
            _write_acked(self._writer, epochs)

    def say_heard(self, heard: HeardGates) -> None:
        """Tell the lane until when all of the other gates is known. Not said again: it would be older by then."""
        if self._writer is not None:
            self._writer.write(pack(heard))

    async def change(self, asked: Changes) -> Done:
        """Hand changes of a list over. LaneAway where none answers."""
        return await self.command(asked)

    async def give(self, slice_: Foreign) -> Done:
        """Hand records of another gate over. LaneAway where none answers."""
        answer = await self._ask(slice_)
        assert isinstance(answer, Done), "records have no other answer"
        return answer

    async def believe(self, limits: Sequence[Limit]) -> Done:
        """Say whose records count how far. LaneAway where none answers."""
        answer = await self._ask(Believe(0, tuple(limits)))
        assert isinstance(answer, Done), "nothing else is answered"
        return answer

    @property
    def ways(self) -> tuple[LaneWays, ...]:
        """Which ways each lane is passed; none while that is not known."""
        return tuple(LaneWays(lane.id, lane.ways) for lane in self.status.lanes) if self.status else ()

    @property
    def verdict(self) -> str:
        """What the page's one line says, `edge.board.VerdictWord`; "" while that is not known."""
        return verdict(self.status.tiles).word.value if self.status else ""

    @property
    def doubted(self) -> tuple[int, ...]:
        """Other gates that claim more than they can, as the lane process sees it."""
        tiles = self.status.tiles if self.status else ()
        return tuple(int(one.args["number"]) for one in tiles if one.code == DOUBTED)[:DOUBTED_MAX]

    @property
    def in_memory(self) -> tuple[Epoch, int]:
        """The running epoch, and its last seq that only the lane's memory holds; 0: none, as far as is known."""
        now = self.status
        return (Epoch(int(now.epoch, 16)), now.in_memory) if now is not None else (Epoch(0), 0)

    async def held(self, after: int) -> HeldRecords:
        """Return the next records above `after` that only the lane's memory holds. LaneAway where none answers."""
        answer = await self._ask(GiveHeld(0, after))
        if not isinstance(answer, HeldRecords):
            raise LaneAway("the gate's program has too much to do")
        return answer

    async def command(self, command: Command | BelieveAgain) -> Done:
        """Send a command under a number of our own and wait for its answer. LaneAway where none comes."""
        answer = await self._ask(command)
        assert isinstance(answer, Done), "a command has no other answer"
        return answer

    async def _ask(self, asked: Asked) -> Answer:
        if self._writer is None or len(self._answers) >= COMMANDS_MAX:
            raise LaneAway("the gate's program does not answer; see the journal of gatehouse-edge")
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._writer.write(pack(msgspec.structs.replace(asked, number=number)))
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise LaneAway(f"the gate's program did not answer within {ANSWER_S:.0f} s") from None
        finally:
            del self._answers[number]

    async def run(self) -> NoReturn:
        """Stay connected until cancelled."""
        wait_s = RETRY_FIRST_S
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError:
                await asyncio.sleep(wait_s)
                wait_s = min(RETRY_MAX_S, wait_s * 2)
                continue
            wait_s = RETRY_FIRST_S
            pinging = asyncio.ensure_future(self._ping(writer))
            try:
                await self._talk(reader, writer)
            except LinkBroken:
                log.warning("link to the lane broke", extra={"code": "front.no_lane"})
                await asyncio.sleep(wait_s)
            finally:
                pinging.cancel()
                self._gone(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> NoReturn:
        self._writer = writer
        for message in self._said.values():
            writer.write(pack(message))
        _write_acked(writer, self._acked)
        while True:
            told = await read_from_lane(reader)
            hung, self._unanswered = self._unanswered >= SILENT_PINGS, 0
            self._take(told)
            if hung:
                self._tell()

    async def _ping(self, writer: asyncio.StreamWriter) -> NoReturn:
        """Notice a lane that hangs. Pings are counted, not time: it may be us who did not get to run."""
        while True:
            await asyncio.sleep(PING_S)
            if not self._listeners:
                continue
            writer.write(pack(Ping()))
            self._unanswered += 1
            if self._unanswered == SILENT_PINGS:
                log.warning("the lane does not answer", extra={"code": "front.no_lane"})
                self._tell()

    def _take(self, message: FromLane) -> None:
        match message:
            case Status():
                self._take_status(message)
                if self.on_list_lost is not None and any(
                    one.part is Part.LIST and one.code in LIST_LOST for one in message.tiles
                ):
                    self.on_list_lost()
                if message.recent:
                    self.recent = deque(message.recent, SEEN_MAX)
                self._tell()
            case Seen():
                self._seen(message)
            case Appended():
                if self.on_appended is not None:
                    self.on_appended(message)
                if self.on_pushable is not None:
                    self.on_pushable(message)
            case AskOthers():
                if self.on_ask_others is not None:
                    self.on_ask_others()
            case Done() | HeldRecords():
                answer = self._answers.get(message.number)
                if answer is not None and not answer.done():
                    answer.set_result(message)

    def _take_status(self, now: Status) -> None:
        before, self.status = self.status, now
        if self.on_names is not None:
            self.on_names(now.names)
        if before is None or before.in_memory != now.in_memory:
            for told in (self.on_in_memory, self.on_held_pushable):
                if told is not None:
                    told()

    def _gone(self, writer: asyncio.StreamWriter) -> None:
        self._writer, self._unanswered = None, 0
        writer.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LaneAway("the gate's program went away before it answered"))
        self._tell()

    def _seen(self, scan: Seen) -> None:
        """Take a new row in, or the same again: in its place."""
        key, kept = (scan.epoch, scan.lane, scan.row), msgspec.structs.replace(scan, holder=0)
        known = (at for at, one in enumerate(self.recent) if (one.epoch, one.lane, one.row) == key)
        at = next(known, None)
        if at is not None:
            self.recent[at] = kept
        elif scan.after is After.NOTHING:
            self.recent.appendleft(kept)
        else:
            return  # it fell out of the last scans before something became of it
        for listener in tuple(self._listeners):
            if scan.after is After.NOTHING:
                listener.seen(scan)
            else:
                listener.corrected(scan)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener.changed()


def _write_acked(writer: asyncio.StreamWriter, epochs: Mapping[Epoch, int]) -> None:
    told = tuple(epochs.items())
    for at in range(0, len(told), ACKED_MAX):
        writer.write(pack(Acked(told[at : at + ACKED_MAX])))
