"""What two gates say to each other over a channel, and the machine of one such talk. No I/O, no clock of its own.

Both sides say the same things (MessagePack, the kind in front):

    Holds    what is held of your logs, each up to where; and of everybody else's, my own too, up to which seq
    Records  of my own logs, pushed as soon as they are durable; no more of them before `Taken` came
    Taken    the answer: what is held of your logs now, and what was wrong
    Wanted   logs of others, or my own that my disk lost, of which you hold more; answered by `Carried`
    Carried  what was wanted, as far as it fits; only what the heads of the gate it is of cover will be believed
    Beat     I live. With the stamp last heard of you, whether you have all that I recorded, and whether the centre answers me
    Paper    a document that somebody signed who is neither of us, and that is newer than yours
    Lists, GivePart, Part    of the list: see `sync.wire.peer_lists`

A gate's own word is enough for its newest records (`Source.GATE`): the channel proves who speaks. What is carried counts
only up to signed heads (`Source.CARRIER`), so a carrier can withhold, and nothing else.

`Beat` says that the other is heard: everything it had recorded when it last heard our stamp is here. The age of that is
told by our own clock, from our own stamp, so a talk that somebody delays makes nobody younger. Only a gate itself says
so; no neighbour's word makes another gate heard.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec

from admission.ids import Epoch, GateId
from sync.wire.channel import MESSAGE_BYTES_MAX
from sync.wire.feed import WANTS_MAX, Want
from sync.wire.messages import CHUNKS_MAX, UNREADABLE, Chunk, Epoch64, Gate32, Held, Pushed, Seq32, Trouble
from sync.wire.peer_lists import CHANGES, SEAL, SETTINGS, GivePart, Lists, Part
from sync.wire.replication import LinkAt, Read, Sender

RECORDS_MAX = 720
"""Records of one message: taken in within some 30 ms, for which a reservation of another gate may have to wait; and more
than two heads apart, so that what is carried always gets on."""
ROOM_BYTES = 256 * 1024
"""Bytes of one message's records: 720 of the longest do not fit, and need not."""
LOGS_MAX = 4096
"""Logs told of in one message: 32 gates that start daily for four months. What is beyond comes in the next one."""
LOGS_KEPT_MAX = 4 * LOGS_MAX
"""Logs of others that a talk remembers the peer to hold: the newest, by when it told of them. Nobody is told of more, nor sent away for
telling of more: one gate that starts without end would keep all that hold its runs from talking to each other."""
HELD_MAX = 1024
PLACES_MAX = 64
"""Neighbours named at once, so that who knows one gate's address finds all."""
PAPER_BYTES_MAX = MESSAGE_BYTES_MAX - 64
STAMP_MAX = 2**63 - 1

Stamp = Annotated[int, msgspec.Meta(ge=0, le=STAMP_MAX)]


class Log(msgspec.Struct, frozen=True, array_like=True):
    """A log is held up to `seq`."""

    gate: Gate32
    epoch: Epoch64
    seq: Seq32


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a gate was found. A hint: who is there proves itself or is nobody."""

    gate: Gate32
    host: Annotated[str, msgspec.Meta(max_length=64)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Holds(msgspec.Struct, frozen=True, array_like=True, tag="holds"):
    """What the speaker holds. `yours`: of the listener's own logs. `first`: said in full, as each talk begins.

    `port`: where the speaker listens itself, 0: nowhere. `roster`: the stamp of the one it goes by.
    """

    first: bool
    yours: Annotated[tuple[Held, ...], msgspec.Meta(max_length=HELD_MAX)] = ()
    logs: Annotated[tuple[Log, ...], msgspec.Meta(max_length=LOGS_MAX)] = ()
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    roster: tuple[Stamp, Stamp] = (0, 0)
    places: Annotated[tuple[Place, ...], msgspec.Meta(max_length=PLACES_MAX)] = ()


class Records(msgspec.Struct, frozen=True, array_like=True, tag="records"):
    """Records of the speaker's own logs."""

    chunks: Annotated[tuple[Chunk, ...], msgspec.Meta(max_length=CHUNKS_MAX)]


class Taken(msgspec.Struct, frozen=True, array_like=True, tag="taken"):
    """What is held of the listener's logs after its `Records`."""

    held: Annotated[tuple[Held, ...], msgspec.Meta(max_length=CHUNKS_MAX)]
    troubles: Annotated[tuple[Trouble, ...], msgspec.Meta(max_length=CHUNKS_MAX)] = ()


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag="wanted"):
    """Logs of which more is wanted."""

    wants: Annotated[tuple[Want, ...], msgspec.Meta(min_length=1, max_length=WANTS_MAX)]


class Carried(msgspec.Struct, frozen=True, array_like=True, tag="carried"):
    """Records of others, as wanted."""

    chunks: Annotated[tuple[Chunk, ...], msgspec.Meta(max_length=CHUNKS_MAX)]


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """The speaker lives. `stamp`: its own, opaque to others; `echo`: the last one that it heard of the listener.

    `whole`: the listener has acknowledged all that the speaker had recorded. `up`: the centre answers the speaker.
    """

    stamp: Stamp
    echo: Stamp
    whole: bool
    up: bool = True


class Paper(msgspec.Struct, frozen=True, array_like=True, tag="paper"):
    """A signed document. `kind` is one of `PAPERS`; others are left aside."""

    kind: str
    body: Annotated[bytes, msgspec.Meta(max_length=PAPER_BYTES_MAX)]


ROSTER = "roster"
KEYS = "keys"
"""The venue's key document (`SignedKeys`, MessagePack): what is newer of all else is signed by keys that it names."""
PAPERS = (ROSTER, KEYS, SEAL, CHANGES, SETTINGS)

Message = Holds | Records | Taken | Wanted | Carried | Beat | Paper | Lists | GivePart | Part

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class PeerMisbehaved(Exception):
    """What came is nothing that a gate of ours says. End the talk; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def pack(message: Message) -> bytes:
    """Return a message as it is sealed."""
    return _encoder.encode(message)


def unpack(data: bytes) -> Message:
    """Read a message. PeerMisbehaved for anything else."""
    try:
        return _decoder.decode(data)
    except UNREADABLE:
        raise PeerMisbehaved("peers.form") from None


class Talk:
    """One talk with one gate. `hear` each message that came, in order; what is to be said is returned by the others.

    What `hear` returns is left to do: chunks to judge (of the peer itself for `Records`, of others for `Carried`),
    wants to answer. Losing a talk loses nothing: the next one begins with what both hold.
    """

    def __init__(self, own: GateId, peer: GateId, link_at: LinkAt) -> None:
        self.peer = peer
        self.theirs: dict[tuple[GateId, Epoch], int] = {}
        """Up to where the peer holds which logs, our own aside."""
        self.port = 0
        """Where the peer listens."""
        self.heard_stamp: int | None = None
        """Our stamp as of which all that the peer recorded is here; None before that was so."""
        self._own = own
        self._sender = Sender(own, link_at)
        self._knows = False
        """The peer said what it holds of ours."""
        self._under_way = False
        self._is_whole = False
        self._wanted: dict[tuple[GateId, Epoch], int] | None = None
        """What was asked of the peer and is not answered yet."""
        self._given: set[tuple[GateId, Epoch]] = set()
        """Of which logs that were asked for something came."""
        self._fruitless: dict[tuple[GateId, Epoch], int] = {}
        """Logs of which the peer gave nothing that could be taken, while it held so much: not asked for again."""
        self._echo = self._stamp = 0

    # --- what comes ---------------------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Take what concerns the talk itself. PeerMisbehaved for what nobody asked for, or is not the peer's to say."""
        match message:
            case Holds():
                self._hear_holds(message)
            case Records(chunks=chunks):
                if any(chunk.gate != self.peer for chunk in chunks):
                    raise PeerMisbehaved("peers.foreign")
            case Taken(held=held, troubles=troubles):
                if not self._under_way:
                    raise PeerMisbehaved("peers.unasked")
                self._under_way = False
                self._sender.answered(Pushed(held, troubles))
            case Carried(chunks=chunks):
                wanted = self._wanted
                given = {(GateId(chunk.gate), Epoch(chunk.epoch)) for chunk in chunks}
                if wanted is None or not given <= wanted.keys():
                    raise PeerMisbehaved("peers.unasked")
                self._given = given
            case Beat(stamp=stamp, echo=echo, whole=whole):
                if echo > self._stamp:
                    raise PeerMisbehaved("peers.unasked")  # an echo of what we never said
                self._echo = stamp
                if whole and echo and echo > (self.heard_stamp or 0):
                    self.heard_stamp = echo
            case _:
                pass  # what is asked for, and papers, are the shell's

    def _hear_holds(self, said: Holds) -> None:
        if any(held.gate != self._own for held in said.yours):
            raise PeerMisbehaved("peers.foreign")
        for one in said.logs:
            self.theirs[GateId(one.gate), Epoch(one.epoch)] = one.seq
        while len(self.theirs) > LOGS_KEPT_MAX:
            oldest = next(iter(self.theirs))
            del self.theirs[oldest]
            self._fruitless.pop(oldest, None)
        if said.first:
            self.port = said.port
            self._knows = True
        if said.yours:
            self._sender.heard(Pushed(said.yours))

    # --- our own records ----------------------------------------------------------------------------------------

    def push(self, last: Mapping[Epoch, int], read: Read) -> Records | None:
        """Return the next of our own records; None while an answer is awaited, or where the peer has all.

        `last`: our epochs and their last seq, oldest first; `read` reads them.
        """
        if not self._knows or self._under_way:
            return None
        # What is new first: who waits at a gate now does not wait for what was long ago.
        behind = [epoch for epoch in list(last)[::-1] if self._sender.acked(epoch) < last[epoch]]
        found = self._sender.next(behind, read, RECORDS_MAX, ROOM_BYTES)
        self._under_way = found is not None
        self._is_whole = found is None
        return Records(found.chunks) if found is not None else None

    @property
    def is_whole(self) -> bool:
        """Whether the peer has all that we had recorded when we looked last."""
        return self._is_whole and not self._under_way

    def grew(self) -> None:
        """More of our own was recorded: the peer does not have all, until it has."""
        self._is_whole = False

    def retry(self) -> None:
        """Offer again what the peer would not take: it may know a newer roster by now."""
        self._sender.retry()

    @property
    def rewound(self) -> Mapping[Epoch, int]:
        """Our own epochs of which the peer holds more than we do: our disk lost them."""
        return self._sender.rewound

    @property
    def stuck(self) -> str:
        """Why the peer does not take our records; "" where it does."""
        return next(iter(self._sender.stuck.values()), "")

    # --- the records of others ----------------------------------------------------------------------------------

    def want(
        self, held: Mapping[tuple[GateId, Epoch], int], elsewhere: Callable[[GateId, Epoch, int], bool]
    ) -> Wanted | None:
        """Ask for logs of which the peer holds more; None while an answer is awaited, or where there are none.

        `held`: up to where we hold logs. `elsewhere`: whether another one gives us a log up to a seq. Of our own, what
        our disk lost is wanted.
        """
        if self._wanted is not None:
            return None
        lost = {(self._own, epoch): seq for epoch, seq in self.rewound.items()}
        wants = [
            Want(*at, held.get(at, 0))
            for at, seq in {**self.theirs, **lost}.items()
            if at[0] != self.peer
            and seq > held.get(at, 0)
            and self._fruitless.get(at) != seq
            and (at in lost or (at[0] != self._own and not elsewhere(*at, seq)))
        ][:WANTS_MAX]
        if not wants:
            return None
        self._wanted = {(GateId(one.gate), Epoch(one.epoch)): one.after for one in wants}
        return Wanted(tuple(wants))

    def is_asked(self, gate: GateId, epoch: Epoch) -> bool:
        """Whether the peer is being asked for a log."""
        return self._wanted is not None and (gate, epoch) in self._wanted

    def took(self, held: Mapping[tuple[GateId, Epoch], int]) -> None:
        """What the peer carried was judged: now logs are held so far. What did not get on is not asked for again."""
        asked = list((self._wanted or {}).items())
        # What was asked for behind the last that was given had no room in that message: it is asked for again.
        while self._given and asked[-1][0] not in self._given:
            asked.pop()
        for at, after in asked:
            if held.get(at, 0) <= after and (at in self.theirs or at[0] == self._own):
                self._fruitless[at] = (
                    self.theirs.get(at, 0) if at[0] != self._own else self.rewound.get(at[1], 0)
                )
        self._wanted, self._given = None, set()

    # --- life ---------------------------------------------------------------------------------------------------

    def beat(self, stamp: int, *, up: bool = True, more: bool = False) -> Beat:
        """Return that we live. `stamp`: the monotonic time, in any unit, never 0. `more`: there are records of ours that
        cannot be pushed yet."""
        self._stamp = max(self._stamp, stamp)
        return Beat(stamp, self._echo, self.is_whole and not more, up)


def holdings(
    yours: Sequence[Held],
    logs: Sequence[Log],
    *,
    first: bool,
    port: int = 0,
    roster: tuple[int, int] = (0, 0),
) -> list[Holds]:
    """Return what is held as messages; the first of a talk may be several, the last of which says so."""
    parts = max(1, -(-len(yours) // HELD_MAX), -(-len(logs) // LOGS_MAX))
    return [
        Holds(
            first and number == parts - 1,
            tuple(yours[number * HELD_MAX : (number + 1) * HELD_MAX]),
            tuple(logs[number * LOGS_MAX : (number + 1) * LOGS_MAX]),
            port,
            roster,
        )
        for number in range(parts)
    ]


def carry(wants: Sequence[Want], read_of: Callable[[GateId], tuple[LinkAt, Read]]) -> Carried:
    """Return what is held of the logs wanted, as far as it fits one message. `read_of`: how a gate's logs are read."""
    read: dict[GateId, tuple[LinkAt, Read]] = {}
    chunks: list[Chunk] = []
    records, room = RECORDS_MAX, ROOM_BYTES
    for want in wants:
        gate, epoch = GateId(want.gate), Epoch(want.epoch)
        if records < 1 or room < 0 or len(chunks) == CHUNKS_MAX:
            break
        if gate not in read:
            read[gate] = read_of(gate)
        link_at, records_of = read[gate]
        at = link_at(epoch, want.after)
        found = records_of(epoch, want.after, records) if at is not None else ()
        blobs: list[bytes] = []
        for seq, blob in found:
            room -= len(blob) + 5
            if seq != want.after + len(blobs) + 1 or room < 0:
                break
            blobs.append(blob)
        if blobs and at is not None:
            records -= len(blobs)
            chunks.append(Chunk(gate, epoch, want.after + 1, tuple(blobs), at))
    return Carried(tuple(chunks))


__all__ = [
    "LOGS_KEPT_MAX",
    "ROSTER",
    "Beat",
    "Carried",
    "Holds",
    "Log",
    "Message",
    "Paper",
    "PeerMisbehaved",
    "Place",
    "Records",
    "Taken",
    "Talk",
    "Wanted",
    "carry",
    "holdings",
    "pack",
    "unpack",
]
