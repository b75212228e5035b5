"""The channel between gates: literal bytes, and whatever is tampered with, said again, moved or said by another is refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from admission.ids import GateId
from sync.wire import channel as wire
from sync.wire.channel import Channel, ChannelRefused, Self, knock_key

GROUP, ONE, TWO = 7, GateId(1), GateId(2)
KEYS = {ONE: Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
        TWO: Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))}  # fmt: skip
PUBLIC = {gate: key.public_key().public_bytes_raw() for gate, key in KEYS.items()}
KNOCK = knock_key(bytes(range(40, 72)))
DIALS, ANSWERS = (
    Self(GROUP, ONE, KEYS[ONE], KNOCK, PUBLIC.get),
    Self(GROUP, TWO, KEYS[TWO], KNOCK, PUBLIC.get),
)
E_ONE, E_TWO = bytes(range(100, 132)), bytes(range(132, 164))
HELLO = (
    "47485030000000077d9c24316539825c1896e57f28197746793ce60cbee3ad47da9d07b85fa55e2a0a7fa0ba6676a022"
    "b97b2505652059fb"
)
REPLY = (
    "0000008410c24f96ce36a3b54441013b54fc020736290e2d07853ba35228a35bc418ad2f7be83f6d2dc8467338a342c2"
    "fd71e9322229d4424244a0126435812e10e248959b861e4d150576d8a01385e0cc3753b93ed7005d25ccc485acb9ee15"
    "fdafbd116491363d2480c395b333444e5520b401a6a80fa790bd6b548129da16df58ee5a21809d19"
)
FINISH = (
    "000000543adb2872c0eca2b3f034dd2dd9bebdb4cd723e0be0da0695b66a0f2b5d463c225ee9c968f890c17b45b134c0"
    "8bfe323ebd42dec8a1f8387ca1b3dbb1457ef2ac0903ee4d6100fa61f5e1342ad29e035ecf8283d4"
)
TO_RESPONDER = "0000001b8b3a6c44e950468b04fe8941c1b4c60fac61b6b187895bf8b0040f"
TO_INITIATOR = "00000015339a26f39b2b79bb11baf0a3b37a78817e4edab967"


def pair(dials: Self = DIALS, answers: Self = ANSWERS) -> tuple[Channel, Channel]:
    return Channel(dials, E_ONE, dials=True), Channel(answers, E_TWO, dials=False)


def shaken(dials: Self = DIALS, answers: Self = ANSWERS) -> tuple[Channel, Channel]:
    """Both sides after a handshake; ChannelRefused as either side says."""
    one, two = pair(dials, answers)
    assert two.receive(one.to_send()) == []
    assert one.receive(two.to_send()) == []
    assert two.receive(one.to_send()) == []
    return one, two


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ChannelRefused) as refused:
        act()
    return refused.value.code


def test_a_handshake_is_these_bytes() -> None:
    one, two = pair()
    hello = one.to_send()
    assert hello.hex() == HELLO
    two.receive(hello)
    reply = two.to_send()
    assert reply.hex() == REPLY
    one.receive(reply)
    finish = one.to_send()
    assert finish.hex() == FINISH
    two.receive(finish)
    assert one.seal(b"reservation").hex() == TO_RESPONDER
    assert two.seal(b"taken").hex() == TO_INITIATOR


def test_both_know_each_other_and_hear_each_other() -> None:
    one, two = shaken()
    assert (one.peer, two.peer, one.ready, two.ready) == (TWO, ONE, True, True)
    for number in range(3):
        assert two.receive(one.seal(b"to %d" % number)) == [b"to %d" % number]
        assert one.receive(two.seal(b"back %d" % number)) == [b"back %d" % number]


@given(st.lists(st.integers(1, 90), min_size=1, max_size=60))
def test_however_the_bytes_are_cut_the_messages_are_whole(cuts: Sequence[int]) -> None:
    one, two = pair()
    heard: list[bytes] = []

    def feed(side: Channel, data: bytes) -> None:
        at = 0
        for cut in cuts:
            heard.extend(side.receive(data[at : at + cut]))
            at += cut
        heard.extend(side.receive(data[at:]))

    feed(two, one.to_send())
    feed(one, two.to_send())
    feed(two, one.to_send() + one.seal(b"first") + one.seal(b"second"))
    assert heard == [b"first", b"second"]


@given(st.integers(0, 2), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_of_the_handshake_is_refused(flight: int, at: int, by: int) -> None:
    """Also one of a length: then nothing more is believed, or nothing more comes."""
    one, two = pair()

    def carry(data: bytes, number: int) -> bytes:
        if number != flight:
            return data
        place = at % len(data)
        return data[:place] + bytes([data[place] ^ by]) + data[place + 1 :]

    try:
        two.receive(carry(one.to_send(), 0))
        one.receive(carry(two.to_send(), 1))
        two.receive(carry(one.to_send(), 2))
    except ChannelRefused:
        pass
    assert two.peer is None
    assert not two.ready


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_of_a_frame_delivers_nothing(at: int, by: int) -> None:
    one, two = shaken()
    sealed = one.seal(b"let nobody in twice")
    place = at % len(sealed)
    changed = sealed[:place] + bytes([sealed[place] ^ by]) + sealed[place + 1 :]
    try:
        heard = two.receive(changed)
    except ChannelRefused:
        assert refusal(lambda: two.receive(sealed)) == "channel.over"
    else:
        assert heard == [], "a longer frame is waited for"


@given(st.permutations(range(4)), st.sets(st.integers(0, 3)))
def test_frames_left_out_moved_or_repeated_deliver_only_what_came_in_order(
    order: Sequence[int], left_out: set[int]
) -> None:
    one, two = shaken()
    frames = [one.seal(b"%d" % number) for number in range(4)]
    sent = [number for number in order if number not in left_out]
    heard: list[bytes] = []
    try:
        for number in [*sent, *sent]:
            heard += two.receive(frames[number])
    except ChannelRefused:
        pass
    assert heard == [b"%d" % number for number in range(len(heard))]


def test_what_a_side_said_is_not_taken_back_by_it() -> None:
    one, _two = shaken()
    assert refusal(lambda: one.receive(one.seal(b"mirror"))) == "channel.altered"
    three, _ = pair()
    assert refusal(lambda: three.receive(three.to_send())) == "channel.form"


def test_a_handshake_is_not_played_again() -> None:
    one, two = pair()
    hello = one.to_send()
    two.receive(hello)
    one.receive(two.to_send())
    finish = one.to_send()
    two.receive(finish)
    frame = one.seal(b"let in")
    again = Channel(ANSWERS, bytes(range(7, 39)), dials=False)
    again.receive(hello)
    assert refusal(lambda: again.receive(finish + frame)) == "channel.altered"


def changed_key(gate: GateId) -> Callable[[GateId], bytes | None]:
    other = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))).public_key().public_bytes_raw()
    return lambda asked: other if asked == gate else PUBLIC.get(asked)


WRONG = [
    (replace(DIALS, group=8), ANSWERS, "channel.wrong_group"),
    (replace(DIALS, knock=knock_key(bytes(32))), ANSWERS, "channel.stranger"),
    (DIALS, replace(ANSWERS, may_prove=lambda: False), "channel.busy"),
    (DIALS, replace(ANSWERS, key_of=changed_key(ONE)), "channel.forged"),
    (replace(DIALS, key_of=changed_key(TWO)), ANSWERS, "channel.forged"),
    (DIALS, replace(ANSWERS, key_of={TWO: PUBLIC[TWO]}.get), "channel.unknown_gate"),
    (replace(DIALS, key_of={ONE: PUBLIC[ONE]}.get), ANSWERS, "channel.unknown_gate"),
    (DIALS, replace(ANSWERS, gate=ONE, key=KEYS[ONE]), "channel.own_key"),
    (replace(DIALS, gate=TWO, key=KEYS[TWO]), ANSWERS, "channel.own_key"),
]


@pytest.mark.parametrize(("dials", "answers", "code"), WRONG)
def test_who_is_not_a_gate_of_the_roster_gets_no_word_in(dials: Self, answers: Self, code: str) -> None:
    assert refusal(lambda: shaken(dials, answers)) == code


def test_a_stranger_costs_no_key_exchange() -> None:
    """Nothing dear before the knock: who does not know the group's key is not even asked for."""
    asked: list[str] = []

    def may_prove() -> bool:
        asked.append("prove")
        return True

    two = Channel(replace(ANSWERS, may_prove=may_prove), E_TWO, dials=False)
    one = Channel(replace(DIALS, knock=bytes(32)), E_ONE, dials=True)
    assert refusal(lambda: two.receive(one.to_send())) == "channel.stranger"
    assert (asked, two.to_send()) == ([], b"")


@pytest.mark.parametrize(
    "size", [0, 1, wire.TAG_BYTES, wire.MESSAGE_BYTES_MAX + wire.TAG_BYTES + 1, 2**32 - 1]
)
def test_a_length_that_no_side_sends_ends_it_before_its_bytes_come(size: int) -> None:
    _, two = shaken()
    assert refusal(lambda: two.receive(size.to_bytes(4, "big"))) == "channel.form"


def test_the_longest_message_comes_and_none_longer_is_sent() -> None:
    one, two = shaken()
    longest = bytes(wire.MESSAGE_BYTES_MAX)
    assert two.receive(one.seal(longest)) == [longest]
    for wrong in (longest + b"x", b""):
        with pytest.raises(ValueError, match="bytes can be sent"):
            one.seal(wrong)
    with pytest.raises(ValueError, match="bytes can be sent"):
        pair()[0].seal(b"too soon")


def test_a_gate_enrolled_a_moment_ago_brings_the_roster_that_names_it() -> None:
    known = {TWO: PUBLIC[TWO]}

    def offered(roster: bytes) -> None:
        assert roster == b"signed"
        known[ONE] = PUBLIC[ONE]

    brings = replace(DIALS, stamp=lambda: (5, 1), roster=lambda: b"signed")
    knows = replace(ANSWERS, key_of=known.get, stamp=lambda: (4, 9), offered=offered)
    one, two = shaken(brings, knows)
    assert (one.peer, two.peer) == (TWO, ONE)


def test_a_roster_no_newer_stays_at_home_and_a_refused_one_helps_nobody() -> None:
    def refuse(_roster: bytes) -> None:
        raise ChannelRefused("channel.forged_roster")

    same = replace(DIALS, stamp=lambda: (4, 9), roster=lambda: b"signed")
    shaken(same, replace(ANSWERS, stamp=lambda: (4, 9), offered=refuse))
    newer = replace(same, stamp=lambda: (5, 0))
    held = replace(ANSWERS, stamp=lambda: (4, 9), offered=refuse)
    assert refusal(lambda: shaken(newer, held)) == "channel.forged_roster"


@given(st.binary(max_size=400))
def test_noise_is_refused_or_waited_for(noise: bytes) -> None:
    for side in pair():
        try:
            assert side.receive(noise) == []
        except ChannelRefused:
            assert not side.ready
