"""The talk between two gates, on no network at all: whatever is cut, whenever, each has the other's log in the end."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.ids import Epoch, GateId
from sync.wire.feed import WANTS_MAX, Want
from sync.wire.messages import Pushed, Trouble
from sync.wire.peers import (
    LOGS_KEPT_MAX,
    LOGS_MAX,
    RECORDS_MAX,
    Beat,
    Holds,
    Log,
    Message,
    PeerMisbehaved,
    Records,
    Taken,
    Talk,
    carry,
    holdings,
    pack,
    unpack,
)
from sync.wire.replication import Accepted, Replica, Source, troubles_of
from tests.sync.logs import KEY, OTHER_KEY, EpochLog

ONE, TWO, THREE = GateId(1), GateId(2), GateId(3)
KEYS = {ONE: KEY, TWO: OTHER_KEY}


@dataclass
class Side:
    """One gate: its log, what it holds of the other's, and its end of the talk."""

    gate: GateId
    peer: GateId
    log: EpochLog = field(init=False)
    replica: Replica = field(init=False)
    held: list[bytes] = field(default_factory=list)
    talk: Talk = field(init=False)
    inbox: list[bytes] = field(default_factory=list)
    stamp: int = 0
    known_at: dict[int, int] = field(default_factory=dict)
    """By stamp, how much the other one had recorded when it was made."""

    def __post_init__(self) -> None:
        self.log = EpochLog(Epoch(self.gate * 5), self.gate, KEYS[self.gate]).begin()
        self.replica = Replica(self.peer, KEYS[self.peer].public_key())
        self.connect()

    def link_at(self, epoch: Epoch, seq: int) -> bytes | None:
        return self.log.links[seq] if epoch == self.log.epoch and seq < len(self.log.links) else None

    def connect(self) -> None:
        self.talk = Talk(self.gate, self.peer, self.link_at)
        self.inbox.clear()


class Pair:
    """Two gates and the wire between them, which is cut now and then."""

    def __init__(self) -> None:
        self.sides = (Side(ONE, TWO), Side(TWO, ONE))
        self.begin()

    def other(self, side: Side) -> Side:
        return self.sides[1 - self.sides.index(side)]

    def begin(self) -> None:
        for side in self.sides:
            side.connect()
        for side in self.sides:
            for one in holdings(side.replica.have(), (), first=True):
                self.send(side, one)

    def send(self, side: Side, message: Message) -> None:
        self.other(side).inbox.append(pack(message))

    def push(self, side: Side) -> None:
        read = lambda _epoch, after, limit: side.log.read(after, limit)  # noqa: E731 - the one way to read it
        found = side.talk.push({side.log.epoch: len(side.log.blobs)}, read)
        if found is not None:
            self.send(side, found)

    def beat(self, side: Side) -> None:
        side.stamp += 1
        side.known_at[side.stamp] = len(self.other(side).log.blobs)
        self.send(side, side.talk.beat(side.stamp))

    def deliver(self, side: Side) -> None:
        if not side.inbox:
            return
        message = unpack(side.inbox.pop(0))
        side.talk.hear(message)
        if isinstance(message, Records):
            troubles: list[Trouble] = []
            for chunk in message.chunks:
                answer = side.replica.offer(
                    chunk, lambda _e, first, last: side.held[first - 1 : last], Source.GATE
                )
                if isinstance(answer, Accepted):
                    side.held += answer.blobs
                troubles += troubles_of(side.peer, answer)
            held = side.replica.have({Epoch(chunk.epoch) for chunk in message.chunks})
            self.send(side, Taken(held, tuple(troubles)))
        self.check(side)

    def check(self, side: Side) -> None:
        other = self.other(side)
        assert side.held == other.log.blobs[: len(side.held)], "byte for byte, in order"
        heard = side.talk.heard_stamp
        if heard is not None:
            assert len(side.held) >= side.known_at[heard], (
                "all that was recorded when our stamp was made is here"
            )


STEPS = ("scan", "push", "deliver", "deliver", "beat", "cut")
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1)), max_size=120)


@given(steps)
@settings(deadline=None)
def test_whatever_is_cut_each_has_the_others_log_in_the_end(drawn: Sequence[tuple[str, int]]) -> None:
    pair = Pair()
    for what, at in drawn:
        side = pair.sides[at]
        match what:
            case "scan":
                side.log.scans(1)
                side.talk.grew()
            case "push":
                pair.push(side)
            case "deliver":
                pair.deliver(side)
            case "beat":
                pair.beat(side)
            case "cut":
                pair.begin()
    pair.begin()
    for _ in range(6):
        for side in pair.sides:
            while side.inbox:
                pair.deliver(side)
            pair.push(side)
            pair.beat(side)
    for side in pair.sides:
        while side.inbox:
            pair.deliver(side)
    for side in pair.sides:
        assert side.held == pair.other(side).log.blobs
        assert side.talk.is_whole
        assert side.talk.heard_stamp is not None


def test_what_is_carried_fits_a_message_and_begins_where_it_was_asked_for() -> None:
    log = EpochLog(Epoch(3), THREE).begin().scans(RECORDS_MAX * 2, head_every=256)
    asked: list[GateId] = []

    def read_of(gate: GateId):  # type: ignore[no-untyped-def]
        asked.append(gate)
        return (lambda _epoch, seq: log.links[seq]), (lambda _epoch, after, limit: log.read(after, limit))

    carried = carry((Want(THREE, log.epoch, 100), Want(THREE, log.epoch, 0)), read_of)
    (chunk,) = carried.chunks
    assert (chunk.first_seq, len(chunk.blobs), chunk.link) == (101, RECORDS_MAX, log.links[100])
    assert asked == [THREE], "each gate's log is opened once"
    replica = Replica(THREE, KEY.public_key())
    first = replica.offer(log.chunk(1, 100), lambda *_: (), Source.GATE)
    assert isinstance(first, Accepted)
    found = replica.offer(chunk, lambda *_: (), Source.CARRIER)
    assert isinstance(found, Accepted)
    assert found.state.seq > 100 + 256, "there is a head in what one message holds"


def test_only_what_nobody_else_gives_is_wanted_and_nothing_twice_in_vain() -> None:
    talk = Talk(ONE, TWO, lambda _epoch, _seq: None)
    five, six = Epoch(5), Epoch(6)
    talk.hear(
        Holds(
            first=True, logs=(Log(THREE, five, 9), Log(THREE, six, 4), Log(TWO, five, 3), Log(ONE, five, 2))
        )
    )
    wanted = talk.want({(THREE, six): 4}, lambda *_: False)
    assert wanted is not None
    assert wanted.wants == (Want(THREE, five, 0),), "neither its own, nor ours, nor what we hold"
    assert talk.want({}, lambda *_: False) is None, "one question at a time"
    talk.took({})
    assert talk.want({(THREE, six): 4}, lambda *_: False) is None, "it gave nothing that could be taken"
    talk.hear(Holds(first=False, logs=(Log(THREE, five, 10),)))
    assert talk.want({(THREE, six): 4}, lambda *_: True) is None, "another one gives it"
    assert talk.want({(THREE, six): 4}, lambda *_: False) is not None, "it holds more now"


def test_what_had_no_room_in_a_message_is_asked_for_again() -> None:
    """A gate was off for a day: one neighbour has a long log of a third, and a short one of a fourth, which is away."""
    long = EpochLog(Epoch(3), THREE).begin().scans(RECORDS_MAX * 2, head_every=256)
    short = EpochLog(Epoch(4), THREE).begin().scans(5)
    logs = {one.epoch: one for one in (long, short)}
    for one in logs.values():
        one.sign()
    whole = {(THREE, epoch): len(one.blobs) for epoch, one in logs.items()}
    gone = (THREE, Epoch(9))  # the neighbour tells of it, and gives nothing

    def read_of(_gate: GateId):  # type: ignore[no-untyped-def]
        return (
            lambda epoch, seq: logs[epoch].links[seq] if epoch in logs else None,
            lambda epoch, after, limit: logs[epoch].read(after, limit),
        )

    talk = Talk(ONE, TWO, lambda _epoch, _seq: None)
    told = {gone: 7, **whole}
    talk.hear(Holds(first=True, logs=tuple(Log(*at, seq) for at, seq in told.items())))
    replica = Replica(THREE, KEY.public_key())
    held: dict[tuple[GateId, Epoch], int] = {}
    asked = 0
    while (wanted := talk.want(held, lambda *_: False)) is not None:
        asked += 1
        carried = carry(wanted.wants, read_of)
        talk.hear(carried)
        for chunk in carried.chunks:
            replica.offer(chunk, lambda *_: (), Source.CARRIER)
        held = {(THREE, Epoch(one.epoch)): one.seq for one in replica.have()}
        talk.took(held)
        assert asked < 10, "what is given in vain is not asked for without end"
    assert held == whole


def test_a_talk_keeps_no_more_than_it_must_and_goes_on() -> None:
    """A gate that starts again and again, or makes its runs up, would else keep all others from talking: each holds those."""
    talk = Talk(ONE, TWO, lambda _epoch, _seq: None)
    for part in range(4):
        talk.hear(
            Holds(first=False, logs=tuple(Log(THREE, part * LOGS_MAX + at, 1) for at in range(LOGS_MAX)))
        )
    known = len(talk.theirs)
    talk.hear(Holds(first=False, logs=(Log(THREE, 7, 2),)))
    talk.hear(Holds(first=True, logs=(Log(THREE, 2**40, 1),)))
    assert len(talk.theirs) == known == LOGS_KEPT_MAX
    assert talk.theirs[THREE, Epoch(2**40)] == 1, "who tells of many tells of the newest last"
    for _ in range(3):
        wanted = talk.want({}, lambda *_: False)
        assert wanted is not None
        assert len(wanted.wants) == WANTS_MAX
        talk.hear(Holds(first=False, logs=tuple(Log(THREE, 2**41 + at, 1) for at in range(LOGS_MAX))))
        talk.took({})
        assert talk._fruitless.keys() <= talk.theirs.keys()


def test_an_echo_that_we_never_said_or_an_older_one_makes_nobody_younger() -> None:
    talk = Talk(ONE, TWO, lambda _epoch, _seq: None)
    talk.beat(9)
    talk.hear(Beat(1, 5, whole=True))
    talk.hear(Beat(2, 3, whole=True))
    assert talk.heard_stamp == 5
    talk.hear(Beat(3, 9, whole=False))
    assert talk.heard_stamp == 5, "it has something that is not here yet"
    with pytest.raises(PeerMisbehaved, match=r"peers\.unasked"):
        talk.hear(Beat(4, 10, whole=True))


@pytest.mark.parametrize(
    "said", [b"\x93\xa5paper\xa6rost\xffr\xc4\x01x", b"\x94\xa5paper\xa6roster\xc4\x01x" + b"\x91" * 100_000]
)
def test_names_that_are_no_text_and_nesting_without_end_are_misbehaviour(said: bytes) -> None:
    """A gate in wrong hands would have ended our talk with every other, not only with itself."""
    with pytest.raises(PeerMisbehaved, match=r"peers\.form"):
        unpack(said)


@given(st.binary(max_size=200))
def test_noise_is_no_message(noise: bytes) -> None:
    with contextlib.suppress(PeerMisbehaved):
        unpack(noise)


def test_a_push_that_is_not_answered_is_not_followed_by_another() -> None:
    side = Side(ONE, TWO)
    side.talk.hear(Holds(first=True))
    side.log.scans(3)
    last = {side.log.epoch: len(side.log.blobs)}
    read = lambda _epoch, after, limit: side.log.read(after, limit)  # noqa: E731 - the one way to read it
    assert side.talk.push(last, read) is not None
    assert side.talk.push(last, read) is None
    side.talk.hear(Taken(Pushed(()).held))
    assert side.talk.push(last, read) is not None, "nothing was taken: all of it again"
