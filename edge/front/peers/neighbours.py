"""The gate's neighbours: found, let in, believed or sent away. What is said with them is `conversations`.

One object for as long as one enrolment's keys hold. The lane's scan path never waits for any of it.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable
from typing import NoReturn

from admission.ids import GateId
from edge.clock import Clock
from edge.enrolment import Enrolment
from edge.front.peers.connection import Connection
from edge.front.peers.conversation import Conversation
from edge.front.peers.conversations import BEAT_S, Conversations
from edge.front.peers.discovery import Announced, Discovery
from edge.front.peers.listen import Listener
from edge.front.peers.shared import Shared, Told
from edge.front.peers.table import Address, Table, address_of
from edge.front.peers.trust import Trust
from edge.link import Appended, Health, PeersSaid
from edge.settings import PeerSettings
from edge.store.faults import StoreFault
from sync.wire.channel import KEY_BYTES, Channel, ChannelRefused, Self
from sync.wire.peers import PeerMisbehaved

CONNECT_S = 3.0
TALKS_MAX = 64
"""Conversations at once: 32 gates, and a second one with each while one of its connections dies."""
PER_GATE_MAX = 2
"""More are somebody with a copied card, or connections that died unnoticed: the oldest goes."""
LOOK_S = 5.0
"""How often is looked whether there are others in the roster, and whether it is still in force."""
REFUSED_SHOWN_S = 600.0
PORT = 7342
"""Where neighbours listen unless the configuration says otherwise."""

log = logging.getLogger("edge.front.peers")


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
        self._trust = trust = Trust(enrolment.gate, shared)
        self._self = Self(
            enrolment.group, enrolment.gate, enrolment.key, knock, trust.key_of, trust.stamp, trust.signed,
            trust.offered, self.listener.may_prove,
        )  # fmt: skip
        self._talks = Conversations(
            enrolment.gate, shared, trust, self.table, lane, self._mono_s, near_only=settings.near_only
        )
        self.appended: Callable[[Appended], None] = self._talks.appended
        """More of the own log is durable."""
        self.in_memory: Callable[[], None] = self._talks.in_memory
        """Records are in the lane's memory only, or are no longer."""
        self._dial_due = asyncio.Event()
        self._stamp = trust.stamp()
        """Of the roster that the table was tried by."""
        self._refused: tuple[str, float] | None = None
        """Why somebody was refused last, and when."""
        self._shown: tuple[str, float] | None = None
        """The same, where somebody should look into it."""
        self._said: PeersSaid | None = None

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    @property
    def connected(self) -> frozenset[GateId]:
        """The gates that a conversation is held with."""
        return self._talks.gates

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Wait until there may be others, then talk to them."""
        while True:
            while self._trust.is_alone:
                self._tell()
                await asyncio.sleep(LOOK_S)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.listener.run())
                tasks.create_task(self._dial())
                tasks.create_task(self._talks.push())
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
        """End conversations with who is believed no more, go on with the others."""
        while True:
            for one in list(self._talks.all):
                if self._trust.key_of(one.talk.peer) is None:
                    self._refuse("channel.unknown_gate")
                    one.connection.close()
            if (stamp := self._trust.stamp()) != self._stamp:
                self._stamp = stamp
                self.table.again()
            await self._talks.live()
            self._tell()
            self._dial_due.set()
            await asyncio.sleep(BEAT_S / 2)

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
        except (OSError, ValueError):  # UnicodeError: what was told is no name at all
            self.table.failed(address)
            return
        channel = Channel(self._self, self._ephemeral(), dials=True)
        connection = Connection(channel, reader, writer, address, dialled=True)
        code = ""
        try:
            code = await self._converse(connection, lambda: self.table.found(address, connection.peer))
        finally:
            writer.transport.abort()
            if code:
                self.table.failed(address, is_self=code == "channel.own_key")
            else:
                if channel.peer is not None:  # also who is talked to by another connection
                    self.table.found(address, channel.peer)
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
        one: Conversation | None = None
        try:
            peer = await connection.prove()
            if not self._may_stay(connection):
                return ""
            proved()
            self._talks.port = self.listener.port
            one = self._talks.open(connection)
            log.info("a neighbour is here", extra={"gate": peer})
            await self._talks.begin(one)
            async for message in connection.messages():
                await self._talks.take(one, message)
        except (ChannelRefused, PeerMisbehaved) as error:
            is_hint = connection.dialled and not self.table.is_configured(connection.address)
            if one is not None or not is_hint:  # whoever was found by a hint need be nobody
                self._refuse(error.code)
            return error.code
        except StoreFault as fault:
            log.warning("a conversation waits for the disk", extra={"code": f"log.{fault.kind.value}"})
        except OSError:
            pass  # gone, silent, or the lane is away: whoever it was comes again
        finally:
            connection.close()
            if one is not None:
                await self._talks.close(one)
                log.info("a neighbour is gone", extra={"gate": one.talk.peer})
                self._dial_due.set()
        return ""

    def _may_stay(self, connection: Connection) -> bool:
        """Whether one more conversation with this gate is held. Of two that both sides dialled, one stays, at both ends."""
        peer = connection.peer
        same = [one for one in self._talks.all if one.talk.peer == peer]
        is_kept = connection.dialled == (self._enrolment.gate < peer)
        for one in same:
            if self._mono_s() - one.since_s < CONNECT_S:
                if one.connection.dialled == connection.dialled or not is_kept:
                    return False
                one.connection.close()
            elif connection.dialled:
                return False  # to see who is there
        if len(same) >= PER_GATE_MAX:
            same[0].connection.close()
        return len(self._talks.all) < TALKS_MAX

    # --- how it is ----------------------------------------------------------------------------------------------

    def _refuse(self, code: str) -> None:
        """Remember why somebody was refused. Each stranger in the journal would be a way to fill the card."""
        now_s = self._mono_s()
        if self._refused is None or self._refused[0] != code or now_s - self._refused[1] > REFUSED_SHOWN_S:
            log.warning("who knocked was refused", extra={"code": code})
        self._refused = (code, now_s)
        if code in _SHOWN:  # apart, so that no stranger hides it
            self._shown = (code, now_s)

    def _tell(self) -> None:
        """Say how it is, when that is news."""
        others, here = self._trust.others, self.connected
        args: dict[str, str | int] = {"here": len(here & set(others)), "of": len(others)}
        if carried := self._talks.carried:
            args["carried"] = carried
        said = PeersSaid(Health.OK if others else Health.OFF, "peers.ok" if others else "peers.none", args)
        refused = self._shown
        if refused is not None and self._mono_s() - refused[1] < REFUSED_SHOWN_S:
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


__all__ = ["Neighbours"]
