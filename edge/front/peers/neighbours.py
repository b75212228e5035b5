"""The gate's neighbours: found, let in, heard; own records pushed to each at once, what is missing asked of any.

One object for as long as one enrolment's keys hold. Everything that reads the log runs in the uplink's own thread, and
what comes goes through the one intake (`edge.front.intake`). The lane's scan path never waits for any of it.

A conversation takes one message after the other: a neighbour that says much waits for itself, and TCP makes it wait.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol

from admission.ids import Epoch, GateId
from edge.clock import Clock
from edge.enrolment import Enrolment
from edge.front.intake import Epochs, Intake, InThread, held_by
from edge.front.own_log import OwnLog
from edge.front.peers.connection import Connection
from edge.front.peers.discovery import Announced, Discovery
from edge.front.peers.listen import Listener, is_near
from edge.front.peers.table import Address, Table, address_of
from edge.link import Appended, Health, HeardGates, PeersSaid
from edge.settings import PeerSettings
from edge.store.faults import StoreFault
from sync.wire import peers as wire
from sync.wire.channel import KEY_BYTES, Channel, ChannelRefused, RosterStamp, Self
from sync.wire.peers import (
    Beat,
    Carried,
    Holds,
    Log,
    Message,
    Paper,
    PeerMisbehaved,
    Place,
    Records,
    Taken,
    Talk,
    Wanted,
)
from sync.wire.replication import LinkAt, Read
from sync.wire.roster import Roster

BEAT_S = 1.0
"""While somebody's records flow."""
IDLE_BEAT_S = 8.0
"""Else: a neighbour counts as cut off after 30 s, and hearing of it is at most two of these old."""
BUSY_S = 5.0
ANNOUNCE_S = 1.0
"""What is newly held of others is told together: who hears them directly does not need it."""
CONNECT_S = 3.0
TALKS_MAX = 64
"""Conversations at once: 32 gates, and a second one with each while one of its connections dies."""
PER_GATE_MAX = 2
"""More are somebody with a copied card, or connections that died unnoticed: the oldest goes."""
LOOK_S = 5.0
"""How often is looked whether there are others in the roster, and whether it is still in force."""
REFUSED_SHOWN_S = 600.0
RETRY_S = 60.0
PORT = 7342
"""Where neighbours listen unless the configuration says otherwise."""

log = logging.getLogger("edge.front.peers")


class Told(Protocol):
    """The lane, as it is told of others (`edge.front.lane_client.LaneClient`)."""

    def say_heard(self, heard: HeardGates) -> None:
        """Tell the lane until when all of the other gates is known."""
        ...


@dataclass(frozen=True)
class Shared:
    """What is shared with the uplink: the logs, the one thread that reads them, and the roster to go by."""

    own: OwnLog
    epochs: Epochs
    read_of: Callable[[GateId], tuple[LinkAt, Read]]
    """How logs of another gate are read."""
    intake: Intake
    in_thread: InThread
    in_force: Callable[[], Roster | None]
    """The roster to go by; None while there is none, or none in force."""
    roster: Callable[[], bytes]
    """The same as it was signed; empty where there is none."""
    offered: Callable[[bytes], bool]
    """Take a roster from whomever, if it is newer and genuine; whether it was."""
    believe: Callable[[], Awaitable[None]]
    """Have the lane go by the newest roster, and keep it."""


@dataclass(slots=True)
class _Conversation:
    """A neighbour that proved itself. `told`: what of others it was told that we hold."""

    connection: Connection
    talk: Talk
    since_s: float
    told: dict[tuple[GateId, Epoch], int]
    heard: int = 0
    roster: RosterStamp = (0, 0)
    """Of the roster that it goes by, as far as we know."""
    was_whole: bool = False
    retried_s: float = 0.0
    place: Place | None = None
    """Where others may find it."""


class Neighbours:
    """Talks to the other gates of the group until cancelled. `appended` whenever more of the own log is durable."""

    def __init__(
        self,
        enrolment: Enrolment,
        settings: PeerSettings,
        knock: bytes,
        shared: Shared,
        lane: Told,
        say: Callable[[PeersSaid], None],
        *,
        clock: Clock,
        chance: random.Random | None = None,
        ephemeral: Callable[[], bytes] = lambda: secrets.token_bytes(KEY_BYTES),
    ) -> None:
        self._enrolment = enrolment
        self._settings = settings
        self._shared = shared
        self._lane = lane
        self._say = say
        self._clock = clock
        self._ephemeral = ephemeral
        chance = chance or random.SystemRandom()
        self.table = Table(enrolment.gate, self._mono_s, chance)
        for text in settings.addresses:
            self.table.add(address_of(text, settings.port or PORT), configured=True)
        self.listener = Listener(
            settings.listen, settings.port, self._welcome, self._mono_s, near_only=settings.near_only
        )
        self._self = Self(
            enrolment.group, enrolment.gate, enrolment.key, knock, self._key_of, self._stamp, shared.roster,
            self._offered, self.listener.may_prove,
        )  # fmt: skip
        self._talks: list[_Conversation] = []
        self._due = asyncio.Event()
        """Something may have to be pushed."""
        self._dial_due = asyncio.Event()
        self._is_news = False
        """A newer roster came, which the lane does not go by yet."""
        self._flowed_s = -BUSY_S
        self._refused: tuple[str, float] | None = None
        """Why somebody was refused last, and when."""
        self._said: PeersSaid | None = None
        self._held: dict[tuple[GateId, Epoch], int] = {}
        """Up to where logs are held, as of the last look."""

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    def _stamp_now(self) -> int:
        return self._clock.mono_ns() // 1000 + 1

    # --- who is believed ----------------------------------------------------------------------------------------

    def _key_of(self, gate: GateId) -> bytes | None:
        roster = self._shared.in_force()
        found = roster.gate(gate) if roster is not None else None
        return found.public if found is not None else None

    def _stamp(self) -> RosterStamp:
        roster = self._shared.in_force()
        return (roster.version, roster.issued_at_s) if roster is not None else (0, 0)

    def _offered(self, roster: bytes) -> None:
        """Go by a roster that came with a proof, if it is newer and genuine."""
        if self._shared.offered(roster):
            self._is_news = True

    @property
    def _others(self) -> tuple[GateId, ...]:
        roster = self._shared.in_force()
        gates = roster.gates if roster is not None else ()
        return tuple(one.id for one in gates if one.id != self._enrolment.gate)

    @property
    def connected(self) -> frozenset[GateId]:
        """The gates that a conversation is held with."""
        return frozenset(one.talk.peer for one in self._talks)

    # --- life ---------------------------------------------------------------------------------------------------

    def appended(self, _notice: Appended) -> None:
        """More of the own log is durable."""
        self._flowed_s = self._mono_s()
        for one in self._talks:
            one.talk.grew()
        self._due.set()

    async def run(self) -> NoReturn:
        """Wait until there are others, then talk to them."""
        while True:
            while not self._others:
                self._tell()
                await asyncio.sleep(LOOK_S)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.listener.run())
                tasks.create_task(self._dial())
                tasks.create_task(self._push())
                tasks.create_task(self._live())
                if self._settings.discover:
                    tasks.create_task(self._discover())

    async def _discover(self) -> NoReturn:
        """Look for others by multicast, once it is known where they find us."""
        while not self.listener.port:  # noqa: ASYNC110 - its port may be taken for long
            await asyncio.sleep(BEAT_S)
        own = Announced(self._enrolment.group, self._enrolment.gate, self.listener.port)
        await Discovery(own, self.table.add).run()

    async def _live(self) -> NoReturn:
        """Beat, tell what is newly held, end conversations with who is believed no more."""
        beat_s = announce_s = 0.0
        while True:
            now_s = self._mono_s()
            for one in list(self._talks):
                if self._key_of(one.talk.peer) is None:
                    self._refuse("channel.unknown_gate")
                    one.connection.close()
            busy = now_s - self._flowed_s < BUSY_S
            if now_s >= beat_s:
                beat_s = now_s + (BEAT_S if busy else IDLE_BEAT_S)
                for one in self._talks:
                    self._beat(one)
            if now_s >= announce_s and busy:
                announce_s = now_s + ANNOUNCE_S
                with contextlib.suppress(StoreFault):
                    await self._announce()
            await self._spread_roster()
            await self._retry(now_s)
            self._tell()
            self._dial_due.set()
            await asyncio.sleep(BEAT_S / 2)

    async def _retry(self, now_s: float) -> None:
        """Offer again what a neighbour would not take: it may have learned of a key of ours since."""
        for one in list(self._talks):
            if one.talk.stuck and now_s - max(one.retried_s, one.since_s) > RETRY_S:
                one.retried_s = now_s
                await self._shared.in_thread(one.talk.retry)
                self._due.set()

    async def _spread_roster(self) -> None:
        """Have the lane go by a roster that came, and the neighbours too."""
        if self._is_news:
            self._is_news = False
            try:
                await self._shared.believe()
            except (OSError, StoreFault):
                self._is_news = True
        stamp = self._stamp()
        for one in self._talks:
            if one.roster < stamp:
                self._give_roster(one, stamp)

    def _give_roster(self, one: _Conversation, stamp: RosterStamp) -> None:
        one.roster = stamp
        signed = self._shared.roster()
        if signed and len(signed) <= wire.PAPER_BYTES_MAX:
            one.connection.say(Paper(wire.ROSTER, signed))

    def _beat(self, one: _Conversation) -> None:
        one.connection.say(one.talk.beat(self._stamp_now()))

    # --- connections --------------------------------------------------------------------------------------------

    async def _dial(self) -> NoReturn:
        """Dial whoever is due."""
        dialling: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._dial_due.clear()
                for address in self.table.due(self.connected.__contains__):
                    task = asyncio.create_task(self._call(address))
                    dialling.add(task)
                    task.add_done_callback(dialling.discard)
                next_s = self.table.next_s(self.connected.__contains__)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(
                        None if next_s is None else max(0.01, next_s - self._mono_s())
                    ):
                        await self._dial_due.wait()
        finally:
            for task in dialling:
                task.cancel()
            await asyncio.gather(*dialling, return_exceptions=True)

    async def _call(self, address: Address) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(*address)
        except (OSError, TimeoutError):
            self.table.failed(address)
            return
        connection = Connection(
            Channel(self._self, self._ephemeral(), dials=True), reader, writer, address, dialled=True
        )
        code = ""
        try:
            code = await self._converse(connection, lambda: self.table.found(address, connection.peer))
        finally:
            writer.transport.abort()
            if code:
                self.table.failed(address, is_self=code == "channel.own_key")
            else:
                self.table.ended(address)

    async def _welcome(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: Address,
        proved: Callable[[], None],
    ) -> None:
        channel = Channel(self._self, self._ephemeral(), dials=False)
        await self._converse(Connection(channel, reader, writer, address, dialled=False), proved)

    async def _converse(self, connection: Connection, proved: Callable[[], None]) -> str:
        """Hold one conversation to its end; return why the other side was refused, "" if it was not."""
        one: _Conversation | None = None
        try:
            peer = await connection.prove()
            if not self._may_stay(connection):
                return ""
            proved()
            talk = Talk(self._enrolment.gate, peer, self._shared.own.link_at)
            one = _Conversation(connection, talk, self._mono_s(), {})
            self._talks.append(one)
            log.info("a neighbour is here", extra={"gate": peer})
            await self._begin(one)
            async for message in connection.messages():
                await self._take(one, message)
        except (ChannelRefused, PeerMisbehaved) as error:
            self._refuse(error.code)
            return error.code
        except StoreFault as fault:
            log.warning("a conversation waits for the disk", extra={"code": f"log.{fault.kind.value}"})
        except OSError:
            pass  # gone, silent, or the lane is away: whoever it was comes again
        finally:
            connection.close()
            if one is not None:
                self._talks.remove(one)
                log.info("a neighbour is gone", extra={"gate": one.talk.peer})
                self._dial_due.set()
        return ""

    def _may_stay(self, connection: Connection) -> bool:
        """Whether one more conversation with this gate is held. Of two that both sides dialled, one stays, at both ends."""
        peer = connection.peer
        same = [one for one in self._talks if one.talk.peer == peer]
        is_kept = connection.dialled == (self._enrolment.gate < peer)
        for one in same:
            if self._mono_s() - one.since_s < CONNECT_S:
                if one.connection.dialled == connection.dialled or not is_kept:
                    return False
                one.connection.close()
        if len(same) >= PER_GATE_MAX:
            same[0].connection.close()
        return len(self._talks) < TALKS_MAX

    # --- a conversation -----------------------------------------------------------------------------------------

    async def _begin(self, one: _Conversation) -> None:
        shared, peer = self._shared, one.talk.peer
        await self._look()
        yours = await shared.intake.held_of(peer)
        one.told = {at: seq for at, seq in self._held.items() if at[0] != peer}
        logs = [Log(*at, seq) for at, seq in one.told.items()]
        one.roster = stamp = self._stamp()  # who goes by an older one says so
        for part in wire.holdings(yours, logs, first=True, port=self.listener.port, roster=stamp):
            one.connection.say(part)
        self._beat(one)

    async def _take(self, one: _Conversation, message: Message) -> None:
        """Take one message of a neighbour."""
        shared, talk = self._shared, one.talk
        if isinstance(message, Holds | Taken):  # what they change is read in the thread
            await shared.in_thread(lambda: talk.hear(message))
        else:
            talk.hear(message)
        match message:
            case Holds():
                self._learn(one, message)
                self._due.set()
                await self._ask(one)
            case Taken():
                self._due.set()
            case Records(chunks=chunks):
                self._flowed_s = self._mono_s()
                await shared.intake.of_gate(
                    talk.peer, chunks, lambda found: one.connection.say(Taken(found.held, found.troubles))
                )
            case Carried(chunks=chunks):
                self._flowed_s = self._mono_s()
                await shared.intake.carried(chunks)
                await self._look()
                talk.took(self._held)
                await self._ask(one)
            case Wanted(wants=wants):
                one.connection.say(await shared.in_thread(lambda: wire.carry(wants, shared.read_of)))
            case Beat():
                self._heard(one)
            case Paper(kind=wire.ROSTER, body=body):
                self._offered(body)
            case _:
                pass  # a paper of a kind that a newer version knows
        await one.connection.sent()

    def _learn(self, one: _Conversation, said: Holds) -> None:
        """Remember where a neighbour listens that came to us, and which roster it goes by."""
        if said.first:
            one.roster = said.roster
        if said.first and one.talk.port and one.place is None:
            one.place = Place(one.talk.peer, one.connection.address[0], one.talk.port)
            if not one.connection.dialled:
                self.table.add((one.place.host, one.place.port), one.talk.peer)
            self._introduce(one)
        for place in said.places:
            if is_near(place.host) or not self._settings.near_only:
                self.table.add((place.host, place.port), GateId(place.gate))

    def _introduce(self, one: _Conversation) -> None:
        """Tell a new neighbour of the others, and the others of it: who knows one address finds all."""
        others = [
            other for other in self._talks if other.place is not None and other.talk.peer != one.talk.peer
        ]
        places = tuple(other.place for other in others if other.place is not None)[: wire.PLACES_MAX]
        if one.place is None or not places:
            return
        one.connection.say(Holds(first=False, places=places))
        for other in others:
            other.connection.say(Holds(first=False, places=(one.place,)))

    def _heard(self, one: _Conversation) -> None:
        """Tell the lane that all which a neighbour recorded until a moment of our own clock is here."""
        stamp = one.talk.heard_stamp
        if stamp is None or stamp == one.heard:
            return
        one.heard = stamp
        age_ms = max(0, (self._stamp_now() - stamp) // 1000)
        self._lane.say_heard(HeardGates({one.talk.peer: age_ms}, dict(self._shared.intake.merged.troubles)))

    async def _look(self) -> None:
        """See how far logs are held."""
        shared = self._shared
        self._held = await shared.in_thread(
            lambda: shared.intake.merged.held(held_by(shared.epochs.epochs()))
        )

    async def _announce(self) -> None:
        """Tell the neighbours what is held newly of others, and ask them for what they hold."""
        await self._look()
        for one in self._talks:
            fresh = {
                at: seq
                for at, seq in self._held.items()
                if at[0] != one.talk.peer and one.told.get(at) != seq
            }
            if fresh:
                one.told |= fresh
                for part in wire.holdings((), [Log(*at, seq) for at, seq in fresh.items()], first=False):
                    one.connection.say(part)

    async def _ask(self, one: _Conversation) -> None:
        """Ask a neighbour for what it holds and nobody gives us."""
        await self._look()
        wanted = one.talk.want(self._held, lambda *at: self._is_given(one, *at))
        if wanted is not None:
            if any(want.gate == self._enrolment.gate for want in wanted.wants):
                await self._shared.in_thread(lambda: self._lose(one.talk.rewound))
            one.connection.say(wanted)

    def _is_given(self, asked: _Conversation, gate: GateId, epoch: Epoch, seq: int) -> bool:
        """Whether another neighbour gives us a log: its own gate, which pushes it, or who was asked already."""
        for one in self._talks:
            own_tale = one.talk.peer == gate and one.talk.theirs.get((gate, epoch), 0) >= seq
            if one is not asked and (own_tale or one.talk.is_asked(gate, epoch)):
                return True
        return False

    def _lose(self, rewound: Mapping[Epoch, int]) -> None:
        own = self._shared.own
        self._shared.intake.merged.lost({epoch: own.last.get(epoch, 0) for epoch in rewound})

    async def _push(self) -> NoReturn:
        """Push own records to every neighbour that lacks some, as soon as there are any."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                found = await self._shared.in_thread(self._next)
            except StoreFault as fault:
                log.warning("pushing waits for the disk", extra={"code": f"log.{fault.kind.value}"})
                await asyncio.sleep(BEAT_S)
                self._due.set()
                continue
            for one, records in found:
                one.connection.say(records)
            for one in self._talks:
                if one.talk.is_whole and not one.was_whole:
                    self._beat(one)  # it counts as heard from here on
                one.was_whole = one.talk.is_whole

    def _next(self) -> list[tuple[_Conversation, Records]]:
        own = self._shared.own
        own.look()
        found = []
        for one in list(self._talks):
            records = one.talk.push(own.last, own.read)
            if records is not None:
                found.append((one, records))
        return found

    # --- how it is ----------------------------------------------------------------------------------------------

    def _refuse(self, code: str) -> None:
        """Remember why somebody was refused. Each stranger in the journal would be a way to fill the card."""
        now_s = self._mono_s()
        if self._refused is None or self._refused[0] != code or now_s - self._refused[1] > REFUSED_SHOWN_S:
            log.warning("who knocked was refused", extra={"code": code})
        self._refused = (code, now_s)

    def _tell(self) -> None:
        """Say how it is, when that is news."""
        others, here = self._others, self.connected
        args: dict[str, str | int] = {"here": len(here & set(others)), "of": len(others)}
        said = PeersSaid(Health.OK if others else Health.OFF, "peers.ok" if others else "peers.none", args)
        refused = self._refused
        if refused is not None and self._mono_s() - refused[1] < REFUSED_SHOWN_S and refused[0] in _SHOWN:
            said = PeersSaid(Health.DEGRADED, "peers.refused", {"why": refused[0], **args})
        if said != self._said:
            self._said = said
            self._say(said)


_SHOWN = frozenset(
    {
        "channel.forged",
        "channel.unknown_gate",
        "channel.altered",
        "peers.form",
        "peers.foreign",
        "peers.unasked",
    }
)
"""Refusals that somebody should look into; strangers who only knock are not news on a network that others use, too."""


__all__ = ["Neighbours", "Shared"]
