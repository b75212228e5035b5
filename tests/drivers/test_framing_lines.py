"""Bytes of a serial scanner to codes: literal vectors, fed whole, byte by byte and in random splits."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import SCAN_BYTES_MAX, Garbled, Medium, Scan
from drivers.framing.aim import split_aim
from drivers.framing.frame import Framed
from drivers.framing.lines import EnvelopeFramer, LineFramer

MS = 1_000_000
GAP_NS = 50 * MS


def feed(framer: LineFramer | EnvelopeFramer, data: bytes, cuts: list[int]) -> list[Framed]:
    """Feed in pieces cut at the given places, 1 ms apart, then let the line be quiet."""
    out: list[Framed] = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    now = 0
    for start, end in pairwise(places):
        if start < end:
            now += MS
            out += framer.feed(data[start:end], now)
    if framer.deadline_ns is not None:
        out += framer.quiet(framer.deadline_ns)
    return out


def codes(framed: list[Framed]) -> list[tuple[str, bytes] | str]:
    return [(one.aim, one.data) if isinstance(one, Scan) else one.why for one in framed]


VECTORS: list[tuple[str, bytes, list[tuple[str, bytes]]]] = [
    ("CR", b"ABC123\r", [("", b"ABC123")]),
    ("LF", b"ABC123\n", [("", b"ABC123")]),
    ("CR LF", b"ABC\r\nDEF\r\n", [("", b"ABC"), ("", b"DEF")]),
    ("ETX", b"ABC\x03DEF\x03", [("", b"ABC"), ("", b"DEF")]),
    ("STX ETX", b"\x02ABC\x03\x02DEF\x03", [("", b"ABC"), ("", b"DEF")]),
    ("NUL", b"ABC\x00DEF\x00", [("", b"ABC"), ("", b"DEF")]),
    ("none", b"ABC123", [("", b"ABC123")]),
    ("only terminators", b"\r\n\x00\x03\r\r", []),
    ("STX alone", b"\x02", []),
    ("QR identifier", b"]Q1TK1ABC\r", [("Q1", b"TK1ABC")]),
    ("GS1 identifier", b"]C101076\x1d21\r", [("C1", b"01076\x1d21")]),
    ("identifier alone", b"]Q1\r", []),
    ("half an identifier", b"]Q\r", [("", b"]Q")]),
    ("no identifier: no letter", b"]11A\r", [("", b"]11A")]),
    ("no identifier: no modifier", b"]QxA\r", [("", b"]QxA")]),
    ("bytes above ASCII", b"\xc3\xa9\xff\xfe\r", [("", b"\xc3\xa9\xff\xfe")]),
    ("half UTF-8", b"a\xc3\r", [("", b"a\xc3")]),
    ("shell and SQL", b"'; DROP TABLE t;-- $(reboot)\r", [("", b"'; DROP TABLE t;-- $(reboot)")]),
]


@pytest.mark.parametrize(("data", "wanted"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_vector_whole_and_byte_by_byte(data: bytes, wanted: list[tuple[str, bytes]]) -> None:
    for cuts in ([], list(range(len(data)))):
        assert codes(feed(LineFramer(gap_ns=GAP_NS), data, cuts)) == wanted


@settings(max_examples=150)
@given(st.sampled_from(VECTORS), st.lists(st.integers(0, 40), max_size=10))
def test_vector_in_random_splits(vector: tuple[str, bytes, list[tuple[str, bytes]]], cuts: list[int]) -> None:
    assert codes(feed(LineFramer(gap_ns=GAP_NS), vector[1], cuts)) == vector[2]


@settings(max_examples=200)
@given(
    st.binary(max_size=300) | st.just(b"A" * (SCAN_BYTES_MAX + 2) + b"\rB"),
    st.lists(st.integers(0, 5000), max_size=10),
    st.booleans(),
)
def test_cutting_changes_nothing(data: bytes, cuts: list[int], binary: bool) -> None:
    whole = codes(feed(LineFramer(gap_ns=GAP_NS, binary=binary), data, []))
    assert codes(feed(LineFramer(gap_ns=GAP_NS, binary=binary), data, cuts)) == whole


def test_times_are_of_the_first_and_the_last_byte() -> None:
    framer = LineFramer(gap_ns=GAP_NS)
    assert framer.feed(b"AB", 10) == []
    assert framer.feed(b"C", 20) == []
    assert framer.feed(b"\r", 30) == [Scan(b"ABC", Medium.BARCODE, "", 10, 30)]
    assert framer.feed(b"D", 40) == []
    assert framer.quiet(40 + GAP_NS) == [Scan(b"D", Medium.BARCODE, "", 40, 40)]


def test_quiet_does_nothing_before_the_gap_is_over() -> None:
    assert LineFramer(gap_ns=GAP_NS).deadline_ns is None
    framer = LineFramer(gap_ns=GAP_NS)
    framer.feed(b"A", 10)
    framer.feed(b"B", 20)
    assert framer.deadline_ns == 20 + GAP_NS
    assert framer.quiet(20 + GAP_NS - 1) == []
    assert codes(framer.quiet(20 + GAP_NS)) == [("", b"AB")]
    assert framer.quiet(20 + 2 * GAP_NS) == []


def test_late_read_does_not_split_a_code() -> None:
    framer = LineFramer(gap_ns=GAP_NS)
    assert framer.feed(b"AB", 0) == []
    assert codes(framer.feed(b"CD\r", 400 * MS)) == [("", b"ABCD")]


def test_line_end_in_a_binary_code_is_data() -> None:
    framer = LineFramer(gap_ns=GAP_NS, binary=True)
    assert framer.feed(b"\xd2\x84\x00\r\n\x02\x03", 0) == []
    assert codes(framer.quiet(GAP_NS)) == [("", b"\xd2\x84\x00\r\n\x02\x03")]


def test_identifier_stays_where_it_is_not_to_be_stripped() -> None:
    assert codes(LineFramer(gap_ns=GAP_NS, aim=False).feed(b"]Q1A\r", 0)) == [("", b"]Q1A")]


@pytest.mark.parametrize("cuts", [[], [1, 2, 3, 4, 5, 6, 7]])
@pytest.mark.parametrize("tail", [b"\r", b"\r\n", b"\x03"])
def test_complete_text_waits_for_nothing(cuts: list[int], tail: bytes) -> None:
    framer = LineFramer(gap_ns=GAP_NS, complete=lambda text: text == b"TK1AB")
    out = []
    pieces = [b"]Q1TK1AB"[a:b] for a, b in zip([0, *cuts], [*cuts, 8], strict=True)]
    for number, piece in enumerate(pieces):
        out += framer.feed(piece, number)
    assert codes(out) == [("Q1", b"TK1AB")]
    assert framer.deadline_ns is None
    assert framer.feed(tail, 50) == []
    assert framer.deadline_ns is None
    assert codes(framer.feed(b"C\r", 60)) == [("", b"C")]


def test_too_long_is_told_once_and_bounded() -> None:
    framer = LineFramer(gap_ns=GAP_NS)
    told: list[Framed] = []
    for number in range(256):  # 1 MiB without a terminator
        told += framer.feed(b"A" * 4096, number)
    assert told == [Garbled("too_long", SCAN_BYTES_MAX + 1, 1)]
    assert framer.feed(b"rest\rB\r", 300)[0] == Scan(b"B", Medium.BARCODE, "", 300, 300)


def test_too_long_ends_by_a_quiet_line_too() -> None:
    framer = LineFramer(gap_ns=GAP_NS)
    assert codes(framer.feed(b"A" * (SCAN_BYTES_MAX + 1), 0)) == ["too_long"]
    assert framer.quiet(GAP_NS) == []
    assert codes(framer.feed(b"B\r", GAP_NS + 1)) == [("", b"B")]


def test_longest_code_fits() -> None:
    data = b"A" * SCAN_BYTES_MAX
    assert codes(feed(LineFramer(gap_ns=GAP_NS), data + b"\r", [4095])) == [("", data)]


@pytest.mark.parametrize(
    "code", [b"A0", b"C0", b"E0", b"I1", b"L2", b"d2", b"Q1", b"z3", b"zC", b"X0", b"e0", b"h1"]
)
def test_identifiers_of_the_usual_symbologies(code: bytes) -> None:
    assert split_aim(b"]" + code + b"123") == (code.decode(), b"123")


ENVELOPES: list[tuple[str, bytes, list[tuple[str, bytes] | str]]] = [
    ("one", b"\x02ABC\x03", [("", b"ABC")]),
    ("two, and line ends outside", b"\x02ABC\x03\r\n\x02]Q1DEF\x03\r\n", [("", b"ABC"), ("Q1", b"DEF")]),
    ("line ends inside", b"\x02A\r\nB\x00\x03", [("", b"A\r\nB\x00")]),
    ("no begin", b"ABC\x03\x02D\x03", [("", b"D")]),
    ("no end", b"\x02ABC\x02D\x03", ["cut", ("", b"D")]),
    ("end lost", b"\x02ABC", ["cut"]),
    ("nothing inside", b"\x02\x03\x02\x02\x03\x03", []),
    ("never begun", b"TK1ABC\r\n", []),
]


@pytest.mark.parametrize(("data", "wanted"), [v[1:] for v in ENVELOPES], ids=[v[0] for v in ENVELOPES])
def test_envelope_whole_and_byte_by_byte(data: bytes, wanted: list[tuple[str, bytes] | str]) -> None:
    for cuts in ([], list(range(len(data)))):
        assert codes(feed(EnvelopeFramer(gap_ns=GAP_NS), data, cuts)) == wanted


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([b"\x02", b"\x03", b"AB", b"\r", b"x" * 3000]), max_size=12),
    st.lists(st.integers(0, 9000), max_size=10),
)
def test_cutting_an_envelope_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    whole = codes(feed(EnvelopeFramer(gap_ns=GAP_NS), data, []))
    assert codes(feed(EnvelopeFramer(gap_ns=GAP_NS), data, cuts)) == whole


def test_too_long_an_envelope_is_told_once() -> None:
    framer = EnvelopeFramer(gap_ns=GAP_NS)
    assert codes(feed(framer, b"\x02" + b"A" * 9000 + b"\x03\x02B\x03", [4000, 5000])) == [
        "too_long",
        ("", b"B"),
    ]


def test_an_envelope_ends_by_a_quiet_line_as_none() -> None:
    framer = EnvelopeFramer(gap_ns=GAP_NS)
    assert framer.feed(b"\x02AB", 10) == []
    assert framer.quiet(9 + GAP_NS) == []
    assert framer.quiet(10 + GAP_NS) == [Garbled("cut", 2, 10 + GAP_NS)]
    assert framer.feed(b"CD\x03", 11 + GAP_NS) == []  # its end is no code
