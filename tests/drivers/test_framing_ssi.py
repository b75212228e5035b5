"""Packets of SSI: literal vectors of facts/hardware.md and of a scanner's own, fed whole, byte by byte and in random splits."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import SCAN_BYTES_MAX, Garbled
from drivers.framing.ssi import DECODER, HOST, Nak, Op, Packet, Packets, Status, encode

GAP_NS = 60_000_000

VECTORS = [
    (Op.CMD_ACK, b"", "04 D0 04 00 FF 28"),
    (Op.CMD_NAK, bytes([Nak.RESEND]), "05 D1 04 00 01 FF 25"),
    (Op.SCAN_ENABLE, b"", "04 E9 04 00 FF 0F"),
    (Op.SCAN_DISABLE, b"", "04 EA 04 00 FF 0E"),
    (Op.BEEP, b"\x00", "05 E6 04 00 00 FF 11"),
    (Op.LED_ON, b"\x01", "05 E7 04 00 01 FF 0F"),
    (Op.LED_OFF, b"\x01", "05 E8 04 00 01 FF 0E"),
    (Op.REQUEST_REVISION, b"", "04 A3 04 00 FF 55"),
]

NO_READ = bytes.fromhex("07F30000014E52FE65")
"""A scanner's own packet: Code 39, "NR", nothing was read (clocklimited/motorola-ssi-scanner, its tests)."""


@pytest.mark.parametrize(("op", "data", "written"), VECTORS, ids=[one[0].name for one in VECTORS])
def test_vector(op: Op, data: bytes, written: str) -> None:
    assert encode(op, data) == bytes.fromhex(written)
    for cuts in ([], list(range(300))):
        heard = feed(Packets(gap_ns=GAP_NS, source=HOST), bytes.fromhex(written), cuts)
        assert [(one.op, one.data) for one in heard if isinstance(one, Packet)] == [(op, data)]
        assert len(heard) == 1


def test_a_scanners_own_packet() -> None:
    assert feed(Packets(gap_ns=GAP_NS), NO_READ, [3]) == [Packet(Op.DECODE_DATA, b"\x01NR", 0, 1, 2)]


def feed(packets: Packets, data: bytes, cuts: list[int]) -> list[Packet | Garbled]:
    """Feed in pieces cut at the given places, 1 ns apart, then let the line be quiet."""
    out: list[Packet | Garbled] = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    now = 0
    for start, end in pairwise(places):
        if start < end:
            now += 1
            out += packets.feed(data[start:end], now)
    if packets.deadline_ns is not None:
        out += packets.quiet(packets.deadline_ns)
    assert packets.deadline_ns is None
    return out


def told(heard: list[Packet | Garbled]) -> list[tuple[int, bytes, int]]:
    return [(one.op, one.data, one.status) for one in heard if isinstance(one, Packet)]


packet = st.tuples(st.sampled_from(list(Op)), st.binary(max_size=251), st.sampled_from([0, 1, 2, 3]))
noise = st.binary(max_size=30)
cuts = st.lists(st.integers(0, 900), max_size=12)


@settings(max_examples=80)
@given(st.lists(packet, max_size=4), cuts)
def test_packets_in_random_splits(sent: list[tuple[Op, bytes, int]], at: list[int]) -> None:
    data = b"".join(encode(op, body, status, DECODER) for op, body, status in sent)
    heard = feed(Packets(gap_ns=GAP_NS), data, at)
    assert told(heard) == sent
    assert len(heard) == len(sent)


@settings(max_examples=80)
@given(noise, st.lists(packet, min_size=1, max_size=3), noise, cuts)
def test_noise_around_packets_costs_none_of_them(
    before: bytes, sent: list[tuple[Op, bytes, int]], after: bytes, at: list[int]
) -> None:
    data = before + b"".join(encode(op, body, status, DECODER) for op, body, status in sent) + after
    heard = feed(Packets(gap_ns=GAP_NS), data, at)
    # Noise may hold a packet of its own, once in 65,536 heads; it never takes one away.
    assert [one for one in told(heard) if one in sent][: len(sent)] == sent
    assert sum(one.size for one in heard if isinstance(one, Garbled)) <= len(before) + len(after)


@settings(max_examples=80)
@given(st.binary(max_size=700), cuts)
def test_cutting_changes_no_packet(data: bytes, at: list[int]) -> None:
    assert told(feed(Packets(gap_ns=GAP_NS), data, at)) == told(feed(Packets(gap_ns=GAP_NS), data, []))


@pytest.mark.parametrize("at", range(9))
def test_a_wrong_byte_is_no_packet(at: int) -> None:
    data = bytearray(NO_READ)
    data[at] ^= 0x10
    heard = feed(Packets(gap_ns=GAP_NS), bytes(data), [])
    assert [one.why for one in heard if isinstance(one, Garbled)] == ["no_packet"]
    assert len(heard) == 1


def test_a_packet_behind_a_cut_one_is_found_when_the_line_is_quiet() -> None:
    packets = Packets(gap_ns=GAP_NS)
    cut = encode(Op.DECODE_DATA, b"\x1c" + b"A" * 200, source=DECODER)[:20]
    assert packets.feed(cut + NO_READ, 5) == []
    assert packets.deadline_ns == 5 + GAP_NS
    assert packets.quiet(4 + GAP_NS) == []
    heard = packets.quiet(5 + GAP_NS)
    assert told(heard) == [(Op.DECODE_DATA, b"\x01NR", 0)]
    assert [one.size for one in heard if isinstance(one, Garbled)] == [20]


def test_other_side_is_not_heard() -> None:
    assert told(feed(Packets(gap_ns=GAP_NS), encode(Op.CMD_ACK, source=HOST), [])) == []


def test_endless_noise_is_told_and_bounded() -> None:
    packets = Packets(gap_ns=GAP_NS)
    heard: list[Packet | Garbled] = []
    for number in range(64):
        heard += packets.feed(b"\xff" * 4096, number)
    assert 30 <= len(heard) <= 64
    assert all(isinstance(one, Garbled) and one.size <= 2 * SCAN_BYTES_MAX for one in heard)


def test_too_much_for_one_packet() -> None:
    assert len(encode(Op.DECODE_DATA, bytes(251))) == 257
    with pytest.raises(ValueError, match="252"):
        encode(Op.DECODE_DATA, bytes(252))


def test_status_says_what_it_says() -> None:
    heard = feed(Packets(gap_ns=GAP_NS), encode(Op.DECODE_DATA, b"\x1cA", 0x03, DECODER), [])
    assert told(heard) == [(Op.DECODE_DATA, b"\x1cA", Status.RETRANSMIT | Status.CONTINUED)]
