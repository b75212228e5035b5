"""Streams to gates: what is new is told at once, sealed every minute, and never missed where a hint is lost.

One look at the tables serves every stream. It is due when a transaction of this process wrote, when PostgreSQL tells
that another replica's did, and every `POLL_S` as the net. Nothing rests on a hint: a gate polls, too.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec
import psycopg
from aiohttp import web
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from admission.ids import GateId
from sync.gates.changes import Changes
from sync.gates.roster import gate_key, gates
from sync.keys import VenueKeys
from sync.store.database import CentreFault, Database
from sync.tickets.changes import CHANNEL
from sync.wire.deltas import HEARTBEAT_S, KEYS_PART, RECORDS_PART
from sync.wire.seals import RENEW_S, REST_RENEW_S

POLL_S = 1.5
"""The net under hints that were lost (DESIGN.md: 1 to 2 s)."""
LOOK_EVERY_S = 0.03
"""Least time between two looks: what many transactions wrote meanwhile goes out as one."""
STREAMS_MAX = 4_000
"""Streams held; each gate has one, and a new one takes the place of its old one."""
QUEUE_PARTS_MAX = 64
"""Messages that wait for one gate; more: it does not keep up, and asks for what it missed when it comes again."""
SEND_S = 20.0
"""A gate that takes nothing for so long is dropped; it shares no memory with the others by then."""
RECORDS_PAUSE_S = 60.0
"""Least time between two words of records: a gate that heard one asks without pause for ten minutes
(`edge.front.pace.QUIET_AFTER_S`)."""
ROUSE_PAUSE_S = 2.0
"""Least time between two words that rouse a group: what one gate asks for is not to cost the others more."""
ROUSE = "rouse "
"""What a replica tells the others on `CHANNEL`, with the group's number; what is told of lists begins with a digit."""
RESTS, WAKES = "rests ", "wakes "
"""The same of one gate, with its number: by a proxy's turns it says how it is to a replica that does not have its stream."""
RETRY_MS = 2_000
KEYS_LOOK_S = 0.5
"""How often is looked whether keys were rolled: one stat of a file. Gates that are not told meet an answer by the new
key, ask for it and follow all the same."""
LISTEN_AGAIN_S = 2.0
LISTEN_CHECK_S = 5.0
"""How often the listening thread looks whether the centre stops."""

_NOTIFY = text("SELECT pg_notify(:channel, :said)")

log = logging.getLogger("sync.gates.hints")


class Full(Exception):
    """No more streams are taken."""


class _Stream:
    """One gate that listens. Messages are shared: a stream holds references only."""

    __slots__ = ("closed", "gate", "group", "parts", "public", "rests", "transport", "wake")

    def __init__(self, gate: GateId, group: int, public: bytes, transport: asyncio.Transport | None) -> None:
        self.gate, self.group, self.public, self.transport = gate, group, public, transport
        self.parts: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.closed = self.rests = False

    def put(self, part: bytes) -> None:
        if len(self.parts) >= QUEUE_PARTS_MAX:
            self.close()
        self.parts.append(part)
        self.wake.set()

    def close(self) -> None:
        """End it now: what waits for a gate that takes nothing is not sent any more."""
        self.closed = True
        self.wake.set()
        if self.transport is not None:
            self.transport.abort()


class Hints:
    """All streams of this replica. `start` in the loop, `close` before its end. `poll_s`: pace of the net."""

    def __init__(
        self,
        changes: Changes,
        database: Database,
        keys: VenueKeys,
        now_s: Callable[[], int],
        poll_s: float = POLL_S,
    ) -> None:
        self._changes = changes
        self._database = database
        self._keys = keys
        self._keys_told = keys.number
        """The number of the key document that the streams were told of."""
        self._now_s = now_s
        self._poll_s = poll_s
        self._streams: dict[GateId, _Stream] = {}
        self._due = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._listener: threading.Thread | None = None
        self._closing = threading.Event()
        self._told_s: dict[int, float] = {}
        """When each group was last told that there are records."""
        self._roused_s: dict[int, float] = {}
        """When each group was last roused."""
        self._rests_told: dict[GateId, tuple[bool, float]] = {}
        """What other replicas were told of gates that do not listen here, and when."""
        self.dropped = 0
        """Streams of gates that did not keep up."""

    async def start(self) -> None:
        """Begin to look and to seal."""
        self._loop = asyncio.get_running_loop()
        self._database.on_written.append(self.poke)
        self._tasks = [asyncio.create_task(one()) for one in (self._look_on, self._seal_on, self._roll_on)]
        if self._database.is_postgresql:
            self._listener = threading.Thread(target=self._listen, name="list-changes", daemon=True)
            self._listener.start()

    async def close(self) -> None:
        """End every stream and the looking."""
        self._closing.set()
        if self.poke in self._database.on_written:
            self._database.on_written.remove(self.poke)
        for stream in tuple(self._streams.values()):
            stream.close()
        tasks = (*self._tasks, *self._telling)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def streams(self) -> int:
        """How many gates listen."""
        return len(self._streams)

    def poke(self) -> None:
        """Something was written: look soon. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._due.set)

    def end(self, gate: GateId) -> None:
        """Close a gate's stream at once. In the loop."""
        stream = self._streams.get(gate)
        if stream is not None:
            stream.close()

    def recorded(self, group: int) -> None:
        """Somebody came to a gate: tell those of its group that ask seldom. In the loop."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s.get(group, -RECORDS_PAUSE_S) >= RECORDS_PAUSE_S:
            self.rouse(group)

    def rests(self, gate: GateId, *, rests: bool) -> None:
        """A gate says whether it rests: seals of what did not change come seldomer then. In the loop."""
        if self._note_rest(gate, rests=rests) or not self._database.is_postgresql:
            return
        now_s = asyncio.get_running_loop().time()
        told, at_s = self._rests_told.get(gate, (False, now_s))
        # Again now and then, since its stream may be another one by now.
        if rests is not told or (rests and now_s - at_s >= REST_RENEW_S):
            self._rests_told[gate] = (rests, now_s)
            self._tell_elsewhere(f"{RESTS if rests else WAKES}{gate}")

    def _note_rest(self, gate: GateId, *, rests: bool) -> bool:
        """Whether the gate listens here."""
        stream = self._streams.get(gate)
        if stream is not None:
            stream.rests = rests
        return stream is not None

    def rouse(self, group: int) -> None:
        """Somebody stands at a gate of the group for whom the others must be heard: have them ask, whichever replica they
        listen to. In the loop."""
        if self._tell_to_ask(group) and self._database.is_postgresql:
            self._tell_elsewhere(f"{ROUSE}{group}")

    def _tell_to_ask(self, group: int) -> bool:
        """Rouse the gates that listen here; whether that was not done just now."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._roused_s.get(group, -ROUSE_PAUSE_S) < ROUSE_PAUSE_S:
            return False
        self._roused_s[group] = self._told_s[group] = now_s
        self._send(group, part(RECORDS_PART, b""))
        return True

    def _tell_elsewhere(self, said: str) -> None:
        """Tell the other replicas; no list changes by it, so nobody has to look for one."""

        async def tell() -> None:
            row = {"channel": CHANNEL, "said": said}
            try:
                await self._database.write(
                    lambda connection: connection.execute(_NOTIFY, row), lambda _: False
                )
            except (CentreFault, SQLAlchemyError) as error:
                log.warning("other replicas are not told %r: %s", said, type(error).__name__)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def serve(
        self,
        request: web.Request,
        gate: GateId,
        group: int,
        public: bytes,
        headers: dict[str, str],
        beat_s: float = HEARTBEAT_S,
    ) -> web.StreamResponse:
        """Answer with a stream until the gate goes, does not keep up, or is a gate no longer. Full: try later."""
        if len(self._streams) >= STREAMS_MAX and gate not in self._streams:
            raise Full
        self.end(gate)
        # Known from here on: a key that changes after the look below is told to this stream, too.
        stream = self._streams[gate] = _Stream(gate, group, public, request.transport)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would hold it back
                **headers,
            }
        )
        try:
            await response.prepare(request)
            # Who was shut out between the proof and here was told to no stream of this replica.
            if await self._database.read(lambda connection: gate_key(connection, gate)) != public:
                return response
            seals = await asyncio.to_thread(self._changes.seals, group, self._now_s())
            stream.put(f"retry: {RETRY_MS}\n\n".encode() + b"".join(part("seal", one) for one in seals))
            await self._pump(response, stream, beat_s)
        except (OSError, TimeoutError):  # gone, or it takes nothing: it comes again
            self.dropped += not stream.closed
        finally:
            if self._streams.get(gate) is stream:
                del self._streams[gate]
            stream.close()
        return response

    async def _pump(self, response: web.StreamResponse, stream: _Stream, beat_s: float) -> None:
        while not stream.closed:
            data = b":\n\n"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(beat_s):
                    await stream.wake.wait()
            stream.wake.clear()
            if stream.parts:
                data = b"".join(stream.parts)
                stream.parts.clear()
            if not stream.closed:
                async with asyncio.timeout(SEND_S):
                    await response.write(data)

    def _send(self, group: int, data: bytes, *, also_resting: bool = True) -> None:
        for stream in tuple(self._streams.values()):
            if stream.group == group and (also_resting or not stream.rests):
                stream.put(data)

    # --- what is new --------------------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._look()
            except (CentreFault, SQLAlchemyError) as error:
                log.warning("changes cannot be read: %s", type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        for news in await asyncio.to_thread(self._changes.look, self._now_s()):
            self._send(news.group, b"".join(part(name, data) for name, data in news.parts))
            await self._hold(news.group, news.public)
        # A group without an event has no list that tells of its gates: they are looked at themselves.
        for group in {stream.group for stream in self._streams.values()} - self._changes.groups:
            found = await self._database.read(partial(gates, group=group))
            await self._hold(group, {gate.id: gate.public for gate in found})

    async def _hold(self, group: int, public: dict[GateId, bytes]) -> None:
        """End the streams of a group's gates that have another key now, or none."""
        for stream in tuple(self._streams.values()):
            if stream.group == group and public.get(stream.gate, b"") != stream.public:
                # A stream may be younger than what was read: a gate enrolled this very moment is not shut out by it.
                try:
                    now = await self._database.read(partial(gate_key, gate=stream.gate))
                except (CentreFault, SQLAlchemyError):
                    now = b""
                if now != stream.public:
                    stream.close()

    async def _roll_on(self) -> None:
        """Tell every stream of the venue's keys when they were rolled: what comes next is signed by them."""
        while True:
            await asyncio.sleep(KEYS_LOOK_S)
            number = self._keys.number
            if number != self._keys_told:
                self._keys_told = number
                told = part(KEYS_PART, msgspec.json.encode(self._keys.document(self._now_s())))
                for stream in tuple(self._streams.values()):
                    stream.put(told)

    async def _seal_on(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(RENEW_S)
            try:
                await asyncio.to_thread(self._changes.clock.keep, self._now_s())
            except (CentreFault, SQLAlchemyError) as error:
                log.warning("the time of seals cannot be kept: %s", type(error).__name__)
            if behind_s := self._changes.clock.behind_s(self._now_s()):
                log.error("the clock is %d s behind what lists were sealed at; set it right", behind_s)
            is_for_all = turn % (REST_RENEW_S // RENEW_S) == 0
            for group in {one.group for one in self._streams.values() if is_for_all or not one.rests}:
                seals = await asyncio.to_thread(self._changes.seals, group, self._now_s())
                self._send(group, b"".join(part("seal", one) for one in seals), also_resting=is_for_all)

    def _listen(self) -> None:
        """Hear of other replicas' changes: one connection of its own, since a pooled one would miss them."""
        address = make_url(self._database.url).set(drivername="postgresql")
        address_text = address.render_as_string(hide_password=False)
        while not self._closing.is_set():
            try:
                with psycopg.connect(address_text, autocommit=True, keepalives_idle=10) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self.poke()
                    while not self._closing.is_set():
                        for one in connection.notifies(timeout=LISTEN_CHECK_S, stop_after=1):
                            self._notified(one.payload)
            except psycopg.Error as error:
                log.warning("PostgreSQL tells of no changes now: %s", type(error).__name__)
                time.sleep(LISTEN_AGAIN_S)  # a thread of its own; the poll goes on meanwhile

    def _notified(self, said: str) -> None:
        """A replica, perhaps this one, told something. In the listening thread."""
        word, _, number = said.rpartition(" ")
        if not word:
            self.poke()
        elif number.isdecimal() and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._hear, f"{word} ", int(number))

    def _hear(self, word: str, number: int) -> None:
        if word == ROUSE:
            self._tell_to_ask(number)
        elif word in {RESTS, WAKES}:
            self._note_rest(GateId(number), rests=word == RESTS)


def part(name: str, data: bytes) -> bytes:
    """Return one message of an event stream (HTML, 9.2.5): its name, its data in base64."""
    return b"event: " + name.encode() + b"\ndata: " + b64encode(data) + b"\n\n"
