import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.framing.modbus import (
    ADU_BYTES_MAX,
    Bits,
    Fault,
    Refused,
    Replies,
    Request,
    Requests,
    Written,
    bits_reply,
    coils_off,
    confirmation,
    crc,
    flash_coil,
    read_coils,
    read_discrete_inputs,
    refusal,
    write_coil,
)


@pytest.mark.parametrize(
    ("request_", "frame"),
    [
        (read_discrete_inputs(1, 0, 8), "01 02 00 00 00 08 79 CC"),
        (write_coil(1, 0, on=True), "01 05 00 00 FF 00 8C 3A"),
        (write_coil(1, 0, on=False), "01 05 00 00 00 00 CD CA"),
        (flash_coil(1, 0, 3), "01 05 02 00 00 03 8C 73"),
        (flash_coil(1, 0, 7), "01 05 02 00 00 07 8D B0"),
        (read_coils(1, 0, 8), "01 01 00 00 00 08 3D CC"),
        (coils_off(1, 0, 8), "01 0F 00 00 00 08 01 00 FE 95"),
    ],
)
def test_requests_are_the_known_frames(request_: Request, frame: str) -> None:
    assert request_.to_bytes() == bytes.fromhex(frame)
    assert Requests(1).feed(bytes.fromhex(frame)) == [request_]


def test_crc_check_value() -> None:
    assert crc(b"123456789") == b"\x37\x4b"  # CRC-16/MODBUS, check 0x4B37


# The example of the application protocol, 6.2: inputs 197-218, 22 of them, as AC DB 35.
EXAMPLE = Request(1, 2, 0x00C4, 0x0016)
EXAMPLE_REPLY = b"\x01\x02\x03\xac\xdb\x35" + crc(b"\x01\x02\x03\xac\xdb\x35")
EXAMPLE_BITS = Bits(tuple(c == "1" for c in "0011010111011011101011"))


def splits(data: bytes, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(1, len(data)), min(3, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def feeds(data: bytes) -> list[list[bytes]]:
    return [[data], [data[i : i + 1] for i in range(len(data))], *(splits(data, seed) for seed in range(20))]


def first_answer(replies: Replies, parts: list[bytes]) -> object:
    answers = [replies.feed(part) for part in parts]
    assert all(answer is None for answer in answers[:-1])
    return answers[-1]


def test_the_specification_s_example_however_it_is_split() -> None:
    for parts in feeds(EXAMPLE_REPLY):
        assert first_answer(Replies(EXAMPLE), parts) == EXAMPLE_BITS


def test_the_board_s_example_reply_is_the_specification_s() -> None:
    assert bits_reply(1, 2, EXAMPLE_BITS.values) == EXAMPLE_REPLY


def test_noise_in_front_is_skipped_however_it_is_split() -> None:
    for parts in feeds(b"\x00\x01\x02\xff\x01" + EXAMPLE_REPLY):
        assert first_answer(Replies(EXAMPLE), parts) == EXAMPLE_BITS


def test_a_write_is_confirmed_by_its_echo_only() -> None:
    on = write_coil(1, 3, on=True)
    assert Replies(on).feed(on.to_bytes()) == Written()
    assert Replies(on).feed(write_coil(1, 3, on=False).to_bytes()) is None


def test_many_written_at_once_are_confirmed_by_the_first_six_bytes() -> None:
    off = coils_off(1, 0, 8)
    assert confirmation(off) == bytes.fromhex("01 0F 00 00 00 08 54 0D")
    assert Replies(off).feed(confirmation(off)) == Written()
    assert Replies(off).feed(off.to_bytes()) is None
    for parts in feeds(off.to_bytes()):
        board = Requests(1)
        assert [r for part in parts for r in board.feed(part)] == [off]


@pytest.mark.parametrize(
    "make",
    [lambda: coils_off(1, 0, 65), lambda: read_coils(1, 0, 0), lambda: flash_coil(1, 0, 0x8000)],
)
def test_more_than_a_board_takes_is_never_sent(make: Callable[[], Request]) -> None:
    with pytest.raises(ValueError, match=r"cannot|flash"):
        make()


def test_an_exception_is_a_refusal() -> None:
    frame = bytes.fromhex("01 82 02 C1 61")
    assert refusal(1, 2, Fault.ILLEGAL_DATA_ADDRESS) == frame
    assert Replies(read_discrete_inputs(1, 0, 8)).feed(frame) == Refused(2)


@pytest.mark.parametrize("bit", range(len(EXAMPLE_REPLY) * 8))
def test_any_flipped_bit_makes_it_no_answer(bit: int) -> None:
    damaged = bytearray(EXAMPLE_REPLY)
    damaged[bit // 8] ^= 1 << bit % 8
    replies = Replies(EXAMPLE)
    assert replies.feed(bytes(damaged)) is None
    assert replies.received == len(EXAMPLE_REPLY)


def test_another_unit_s_answer_is_not_ours() -> None:
    assert Replies(read_discrete_inputs(1, 0, 2)).feed(bits_reply(2, 2, (True, True))) is None


@given(st.lists(st.binary(max_size=300), max_size=8))
@settings(max_examples=150)
def test_noise_is_never_an_error_nor_kept_for_ever(parts: list[bytes]) -> None:
    replies, requests = Replies(EXAMPLE), Requests(1)
    for part in parts:
        replies.feed(part)
        requests.feed(part)
        assert replies.received <= ADU_BYTES_MAX


@given(st.lists(st.booleans(), min_size=1, max_size=64), st.integers(1, 247))
@settings(max_examples=100)
def test_what_the_board_packs_the_host_unpacks(values: list[bool], unit: int) -> None:
    asked = read_discrete_inputs(unit, 0, len(values))
    assert Replies(asked).feed(bits_reply(unit, 2, tuple(values))) == Bits(tuple(values))


def test_the_board_finds_requests_between_noise() -> None:
    wanted = write_coil(7, 1, on=True)
    stream = (
        b"\x07\x05" + wanted.to_bytes() + b"\xff" + write_coil(8, 1, on=True).to_bytes() + wanted.to_bytes()
    )
    for parts in feeds(stream):
        board = Requests(7)
        assert [r for part in parts for r in board.feed(part)] == [wanted, wanted]
