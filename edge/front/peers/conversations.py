"""What is said with each neighbour: own records pushed at once, what is missing asked of any, who is heard.

Everything that reads the log runs in the uplink's own thread, and what comes goes through the one intake
(`edge.front.intake`). A conversation takes one message after the other, but for records, which are judged while the lane
takes in those before them: a neighbour that says much waits for itself, and TCP makes it wait.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from admission.ids import Epoch, GateId
from edge.front.intake import held_by
from edge.front.peers.connection import Connection
from edge.front.peers.conversation import GIVE_EVERY_S, Conversation
from edge.front.peers.listen import is_near
from edge.front.peers.shared import Shared, Told
from edge.front.peers.table import Table
from edge.front.peers.trust import Trust
from edge.link import Appended, HeardGates
from edge.store.faults import StoreFault
from sync.wire import peers as wire
from sync.wire.messages import Chunk
from sync.wire.peer_lists import SEAL, GivePart, Lists, Part
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

BEAT_S = 1.0
"""While somebody's records flow."""
IDLE_BEAT_S = 8.0
"""Else: a neighbour counts as cut off after 30 s, and hearing of it is at most two of these old."""
BUSY_S = 5.0
ANNOUNCE_S = 1.0
"""What is newly held of others is told together: who hears them directly does not need it."""
RETRY_S = 60.0

log = logging.getLogger("edge.front.peers")


class Conversations:
    """All that are held. `begin` each that `open` made, then `take` what comes, one after the other; `close` it at its
    end. `push` and `live` run meanwhile, for ever."""

    def __init__(
        self,
        own: GateId,
        shared: Shared,
        trust: Trust,
        table: Table,
        lane: Told,
        mono_s: Callable[[], float],
        *,
        near_only: bool,
    ) -> None:
        self.port = 0
        """Where we listen ourselves, as it is told."""
        self.all: list[Conversation] = []
        self._own = own
        self._shared = shared
        self._trust = trust
        self._table = table
        self._lane = lane
        self._mono_s = mono_s
        self._near_only = near_only
        self._due = asyncio.Event()
        """Something may have to be pushed."""
        self._flowed_s = -BUSY_S
        self._beaten_s = -IDLE_BEAT_S
        self._announce_s = 0.0
        """When it is time again."""
        self._held: dict[tuple[GateId, Epoch], int] = {}
        """Up to where logs are held, as of the last look."""
        shared.lists.fresh = self._give_on
        self._was_up = False
        """What the last beats said of our link."""

    @property
    def gates(self) -> frozenset[GateId]:
        """The gates that a conversation is held with."""
        return frozenset(one.talk.peer for one in self.all)

    @property
    def carried(self) -> int:
        """How many records of others were carried up."""
        return self._shared.near.carried

    def _stamp_now(self) -> int:
        return int(self._mono_s() * 1_000_000) + 1

    # --- life ---------------------------------------------------------------------------------------------------

    def appended(self, _notice: Appended) -> None:
        """More of the own log is durable."""
        self._flowed_s = self._mono_s()
        for one in self.all:
            one.talk.grew()
        self._due.set()

    def open(self, connection: Connection) -> Conversation:
        """Hold a conversation with who proved itself."""
        talk = Talk(self._own, connection.peer, self._shared.own.link_at)
        one = Conversation(connection, talk, self._mono_s(), {})
        self.all.append(one)
        one.giver = self._shared.lists.joined(connection.peer, connection.say)
        return one

    async def close(self, one: Conversation) -> None:
        """It ended."""
        self.all.remove(one)
        self._shared.lists.left(one.giver)
        if one.talk.peer not in self.gates:
            self._shared.near.gone(one.talk.peer)
        await one.end()

    def in_memory(self) -> None:
        """Records are in the lane's memory only, or are no longer."""
        self._due.set()

    async def live(self) -> None:
        """Do what is due by now: beat, tell what is newly held, spread the roster, offer again."""
        now_s = self._mono_s()
        busy = now_s - self._flowed_s < BUSY_S
        is_up = self._shared.is_up()
        every_s = BEAT_S if busy else IDLE_BEAT_S  # who was idle until now does not wait for that beat
        if now_s - self._beaten_s >= every_s or is_up is not self._was_up:
            self._was_up, self._beaten_s = is_up, now_s
            for one in self.all:
                self._beat(one)
                if not is_up:
                    one.said = None  # whoever leads us on is told where we are, again and again
        if now_s >= self._announce_s and busy:
            self._announce_s = now_s + ANNOUNCE_S
            with contextlib.suppress(StoreFault):
                await self._announce()
        await self._spread_roster()
        await self._retry(now_s)
        for one in list(self.all):
            self._say_lists(one)
            one.lead_on(partial(self._lead_on_if_it_reads, one))

    async def _retry(self, now_s: float) -> None:
        """Offer again what a neighbour would not take: it may have learned of a key of ours since."""
        for one in list(self.all):
            if one.talk.stuck and now_s - max(one.retried_s, one.since_s) > RETRY_S:
                one.retried_s = now_s
                await self._shared.in_thread(one.talk.retry)
                self._due.set()

    async def _spread_roster(self) -> None:
        """Have the lane go by a roster that came, and the neighbours too."""
        await self._trust.settle()
        stamp = self._trust.stamp()
        for one in self.all:
            if one.roster < stamp:
                one.roster = stamp
                signed = self._trust.signed()
                if signed and len(signed) <= wire.PAPER_BYTES_MAX:
                    one.connection.say(Paper(wire.ROSTER, signed))

    def _beat(self, one: Conversation) -> None:
        shared = self._shared
        epoch, last = shared.in_memory()
        # What the disk does not take is pushed as soon as the lane gave it; until then nobody has all.
        more = last > shared.own.last.get(epoch, 0)
        one.connection.say(one.talk.beat(self._stamp_now(), up=shared.is_up(), more=more))

    # --- a conversation -----------------------------------------------------------------------------------------

    async def begin(self, one: Conversation) -> None:
        """Say what a talk begins with."""
        shared, peer = self._shared, one.talk.peer
        await self._look()
        yours = await shared.intake.held_of(peer)
        one.told = {at: seq for at, seq in self._held.items() if at[0] != peer}
        logs = [Log(*at, seq) for at, seq in one.told.items()][-wire.LOGS_KEPT_MAX :]
        one.roster = stamp = self._trust.stamp()  # who goes by an older one says so
        for part in wire.holdings(yours, logs, first=True, port=self.port, roster=stamp):
            one.connection.say(part)
        self._beat(one)
        if keys := await asyncio.to_thread(shared.keys):
            one.connection.say(Paper(wire.KEYS, keys))  # whoever has others could read nothing that follows
        self._say_lists(one)

    # --- lists --------------------------------------------------------------------------------------------------

    def _say_lists(self, one: Conversation) -> None:
        """Say what we hold of the list, where that is news to a neighbour."""
        says = self._shared.lists.says()
        if says != one.said:
            one.said = says
            one.connection.say(says)

    async def _lead_on(self, one: Conversation) -> None:
        """Give a neighbour what leads on from where it is, as fast as it reads."""
        now_s = self._mono_s()
        if one.behind is None or now_s - one.gave_s < GIVE_EVERY_S:
            return
        said, one.behind, one.gave_s = one.behind, None, now_s
        for kind, body in self._shared.lists.missing(said):
            if self._is_told(one, kind, body):
                one.connection.say(Paper(kind, body))
                await one.connection.sent()

    async def _lead_on_if_it_reads(self, one: Conversation) -> None:
        with contextlib.suppress(OSError):  # who does not is dropped by its own task
            await self._lead_on(one)

    def _give_on(self, kind: str, body: bytes) -> None:
        """Tell neighbours that the centre does not answer what it told us."""
        for one in self.all:
            if not self._shared.near.gates.get(one.talk.peer, True) and self._is_told(one, kind, body):
                one.connection.say(Paper(kind, body))

    def _is_told(self, one: Conversation, kind: str, body: bytes) -> bool:
        """Whether a neighbour is told something: seals it has from the centre, where that answers it."""
        is_up = self._shared.near.gates.get(one.talk.peer, False)
        return len(body) <= wire.PAPER_BYTES_MAX and (kind != SEAL or not is_up)

    async def _take_of_lists(self, one: Conversation, message: Lists | GivePart | Part) -> None:
        lists = self._shared.lists
        match message:
            case Lists():
                lists.heard(one.giver, message)
                one.behind = message
                await self._lead_on(one)
            case GivePart():
                one.connection.say(await lists.give(message))
            case Part():
                if not lists.part(one.giver, message):
                    raise PeerMisbehaved("peers.unasked")

    # --- what comes ---------------------------------------------------------------------------------------------

    async def take(self, one: Conversation, message: Message) -> None:
        """Take one message of a neighbour. PeerMisbehaved, StoreFault, and OSError where it or the lane is away."""
        shared, talk = self._shared, one.talk
        if not isinstance(message, Records):  # a beat says that all before it is here
            await one.settled()
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
                await one.takes_in(self._take_records(one, chunks))
            case Carried(chunks=chunks):
                self._flowed_s = self._mono_s()
                await shared.intake.carried(chunks)
                shared.near.recorded()
                await self._look()
                talk.took(self._held)
                await self._ask(one)
            case Wanted(wants=wants):
                one.connection.say(await shared.in_thread(lambda: wire.carry(wants, shared.read_of)))
            case Beat(up=up):
                shared.near.says(talk.peer, up=up)
                if (
                    not one.has_beaten
                ):  # what it was told before echoes none of its beats, and the next is seconds away
                    one.has_beaten = True
                    self._beat(one)
                self._heard(one)
            case Paper():
                await self._take_paper(message)
            case Lists() | GivePart() | Part():
                await self._take_of_lists(one, message)
        await one.connection.sent()

    async def _take_paper(self, paper: Paper) -> None:
        if paper.kind == wire.ROSTER:
            self._trust.offered(paper.body)
        elif paper.kind == wire.KEYS:
            self._shared.keys_offered(paper.body)
        else:  # of a kind that only a newer version knows it is left aside
            await self._shared.lists.paper(paper.kind, paper.body)

    async def _take_records(self, one: Conversation, chunks: Sequence[Chunk]) -> None:
        await self._shared.intake.of_gate(
            one.talk.peer, chunks, lambda found: one.connection.say(Taken(found.held, found.troubles))
        )
        self._shared.near.recorded()

    def _learn(self, one: Conversation, said: Holds) -> None:
        """Remember where a neighbour listens that came to us, and which roster it goes by."""
        if said.first:
            one.roster = said.roster
        if said.first and one.talk.port and one.place is None:
            one.place = Place(one.talk.peer, one.connection.address[0], one.talk.port)
            if not one.connection.dialled:
                self._table.add((one.place.host, one.place.port), one.talk.peer)
                self._table.found((one.place.host, one.place.port), one.talk.peer)
            self._introduce(one)
        for place in said.places:
            if is_near(place.host) or not self._near_only:
                self._table.add((place.host, place.port), GateId(place.gate))

    def _introduce(self, one: Conversation) -> None:
        """Tell a new neighbour of the others, and the others of it: who knows one address finds all."""
        others = [other for other in self.all if other.place is not None and other.talk.peer != one.talk.peer]
        places = tuple(other.place for other in others if other.place is not None)[: wire.PLACES_MAX]
        if one.place is None or not places:
            return
        one.connection.say(Holds(first=False, places=places))
        for other in others:
            other.connection.say(Holds(first=False, places=(one.place,)))

    def _heard(self, one: Conversation) -> None:
        """Tell the lane that all which a neighbour recorded until a moment of our own clock is here."""
        stamp = one.talk.heard_stamp
        if stamp is None or stamp == one.heard:
            return
        one.heard = stamp
        age_ms = max(0, (self._stamp_now() - stamp) // 1000)
        self._lane.say_heard(HeardGates({one.talk.peer: age_ms}, dict(self._shared.intake.merged.troubles)))

    # --- what others hold ---------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """See how far logs are held."""
        shared = self._shared
        self._held = await shared.in_thread(
            lambda: shared.intake.merged.held(held_by(shared.epochs.epochs()))
        )

    async def _announce(self) -> None:
        """Tell the neighbours what is held newly of others, and ask them for what they hold."""
        await self._look()
        for one in self.all:
            fresh = {
                at: seq
                for at, seq in self._held.items()
                if at[0] != one.talk.peer and one.told.get(at) != seq
            }
            if fresh:
                one.told |= fresh
                for part in wire.holdings((), [Log(*at, seq) for at, seq in fresh.items()], first=False):
                    one.connection.say(part)

    async def _ask(self, one: Conversation) -> None:
        """Ask a neighbour for what it holds and nobody gives us."""
        await self._look()
        wanted = one.talk.want(self._held, lambda *at: self._is_given(one, *at))
        if wanted is not None:
            if any(want.gate == self._own for want in wanted.wants):
                await self._shared.in_thread(lambda: self._lose(one.talk.rewound))
            one.connection.say(wanted)

    def _is_given(self, asked: Conversation, gate: GateId, epoch: Epoch, seq: int) -> bool:
        """Whether another neighbour gives us a log: its own gate, which pushes it, or who was asked already."""
        for one in self.all:
            own_tale = one.talk.peer == gate and one.talk.theirs.get((gate, epoch), 0) >= seq
            if one is not asked and (own_tale or one.talk.is_asked(gate, epoch)):
                return True
        return False

    def _lose(self, rewound: Mapping[Epoch, int]) -> None:
        own = self._shared.own
        self._shared.intake.merged.lost({epoch: own.last.get(epoch, 0) for epoch in rewound})

    # --- own records --------------------------------------------------------------------------------------------

    async def push(self) -> NoReturn:
        """Push own records to every neighbour that lacks some, as soon as there are any."""
        while True:
            await self._due.wait()
            self._due.clear()
            with contextlib.suppress(OSError):  # the lane is away: what is on the disk goes all the same
                await self._shared.take_held()
            try:
                found = await self._shared.in_thread(self._next)
            except StoreFault as fault:
                log.warning("pushing waits for the disk", extra={"code": f"log.{fault.kind.value}"})
                await asyncio.sleep(BEAT_S)
                self._due.set()
                continue
            for one, records in found:
                one.connection.say(records)
            for one in self.all:
                if one.talk.is_whole and not one.was_whole:
                    self._beat(one)  # it counts as heard from here on
                one.was_whole = one.talk.is_whole

    def _next(self) -> list[tuple[Conversation, Records]]:
        own = self._shared.own
        own.look()
        found = []
        for one in list(self.all):
            records = one.talk.push(own.last, own.read)
            if records is not None:
                found.append((one, records))
        return found


__all__ = ["BEAT_S", "Conversations"]
