from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.framing.guard import FRAME_BYTES, Frame, Frames, Kind, Malformed, decode, encode

frames = st.builds(
    Frame, st.sampled_from(Kind), st.integers(0, 255), st.integers(0, 65535), st.integers(0, 65535)
)


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (Frame(Kind.PULSE, line=1, ms=300, id=2), "A7 11 01 18 01 2C 00 02"),
        (Frame(Kind.PING, id=0xFFFF), "A7 13 00 48 00 00 FF FF"),
        (Frame(Kind.READY, line=2), "A7 91 02 C6 00 00 00 00"),
    ],
)
def test_frames_are_these_bytes(frame: Frame, data: str) -> None:
    assert encode(frame) == bytes.fromhex(data)
    assert decode(bytes.fromhex(data)) == frame


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=150)
def test_a_stream_is_cut_the_same_however_it_is_split(sent: list[Frame], cuts: list[int]) -> None:
    data = b"".join(map(encode, sent))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    cutter = Frames()
    assert [f for a, b in pairwise(edges) for f in cutter.feed(data[a:b])] == sent


@given(frames, st.integers(0, FRAME_BYTES * 8 - 1))
@settings(max_examples=150)
def test_a_flipped_bit_is_malformed(frame: Frame, bit: int) -> None:
    damaged = bytearray(encode(frame))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        Frames().feed(bytes(damaged))


def test_a_frame_in_front_of_garbage_is_not_obeyed() -> None:
    with pytest.raises(Malformed):
        Frames().feed(encode(Frame(Kind.PULSE, 0, 300, 1)) + b"\n")
