"""HID-POS reports: the shapes of facts/hardware.md, descriptors that say them, and what is none of it."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import SCAN_BYTES_MAX, DeviceMisbehaved, Garbled, Medium, Scan
from drivers.framing.frame import Framed
from drivers.framing.hid_pos import (
    AIM_SHAPE,
    PLAIN_SHAPE,
    REST_LATE_NS,
    REST_WITHIN_NS,
    HidPosFramer,
    Layout,
    is_scanner,
    layout_of,
)
from drivers.sims.hid_pos_scanner import AIM_DESCRIPTOR, PLAIN_DESCRIPTOR

KEYBOARD = bytes.fromhex(
    "05 01 09 06 a1 01 05 07 19 e0 29 e7 15 00 25 01 75 01 95 08 81 02 95 01 75 08 81 01 c0"
)
BCBP = b"M1TESTER/ANNA         EABC123 ZRHLHRLX 0316 123Y012A0001 100"
"""60 bytes, as in the manual of the LSR118: it comes as 56 and 4."""

AIM_REPORTS = [
    bytes([2, 56]) + b"]Q0" + BCBP[:56] + b"\x00\x00\x01",
    bytes([2, 4]) + b"]Q0" + BCBP[56:] + bytes(52) + b"\x00\x00\x00",
]
PLAIN_REPORTS = [
    bytes([2, 56]) + BCBP[:56] + bytes(4) + b"\x33\x01",
    bytes([2, 4]) + BCBP[56:] + bytes(52) + bytes(4) + b"\x33\x00",
]


def codes(heard: list[Framed]) -> list[tuple[str, bytes] | str]:
    return [(one.aim, one.data) if isinstance(one, Scan) else one.why for one in heard]


def feed(framer: HidPosFramer, reports: list[bytes]) -> list[Framed]:
    return [one for number, report in enumerate(reports) for one in framer.feed(report, number + 1)]


def test_vectors_are_of_the_length_they_have_on_the_wire() -> None:
    assert len(BCBP) == 60
    assert {len(one) for one in (*AIM_REPORTS, *PLAIN_REPORTS)} == {64}


@pytest.mark.parametrize("layout", [None, AIM_SHAPE, layout_of(AIM_DESCRIPTOR)])
def test_a_code_in_two_reports_with_identifier(layout: Layout | None) -> None:
    assert feed(HidPosFramer(layout), AIM_REPORTS) == [Scan(BCBP, Medium.BARCODE, "Q0", 1, 2)]


@pytest.mark.parametrize("layout", [None, PLAIN_SHAPE, layout_of(PLAIN_DESCRIPTOR)])
def test_a_code_in_two_reports_without(layout: Layout | None) -> None:
    assert feed(HidPosFramer(layout), PLAIN_REPORTS) == [Scan(BCBP, Medium.BARCODE, "", 1, 2)]


def test_a_scanners_own_report() -> None:
    """What a Honeywell Voyager sends first when it is asked for its revision (python_hon_usbhid)."""
    report = bytes([2, 56, 93, 88, 48]) + b"Product Name: Voyager" + bytes(38)
    assert feed(HidPosFramer(layout_of(AIM_DESCRIPTOR)), [report])[0] == Scan(
        b"Product Name: Voyager", Medium.BARCODE, "X0", 1, 1
    )


def test_descriptors_say_where_things_are() -> None:
    assert layout_of(AIM_DESCRIPTOR) == AIM_SHAPE
    assert layout_of(PLAIN_DESCRIPTOR) == PLAIN_SHAPE
    assert is_scanner(AIM_DESCRIPTOR)
    assert is_scanner(PLAIN_DESCRIPTOR)
    assert is_scanner(bytes.fromhex("06 8c 00 09 02 a1 01 c0"))  # the page in two bytes
    assert is_scanner(bytes.fromhex("0b 02 00 8c 00 a1 01 c0"))  # the page in the usage
    assert layout_of(bytes.fromhex("06 8c 00 09 02 a1 01 c0")) is None
    assert not is_scanner(KEYBOARD)
    assert layout_of(KEYBOARD) is None
    assert not is_scanner(b"")


def test_a_layout_without_count_ends_at_the_padding() -> None:
    layout = Layout(-1, -1, -1, 0, 8, 8)
    framer = HidPosFramer(layout)
    assert codes(feed(framer, [b"ABCDEFGH\x01", b"IJ\0\0\0\0\0\0\x00"])) == [("", b"ABCDEFGHIJ")]


def test_other_reports_are_no_codes() -> None:
    framer = HidPosFramer(AIM_SHAPE)
    assert feed(framer, [b"\x03" + AIM_REPORTS[0][1:], b"\x05", b""]) == []
    assert framer.deadline_ns is None


@pytest.mark.parametrize("count", [0, 57, 255])
def test_a_length_that_cannot_be_spoils_its_code_and_no_other(count: int) -> None:
    framer = HidPosFramer(AIM_SHAPE)
    bad = bytes([2, count]) + AIM_REPORTS[0][2:]
    assert codes(feed(framer, [AIM_REPORTS[0], bad, AIM_REPORTS[1]])) == ["bad_report"]
    assert codes(feed(framer, AIM_REPORTS)) == [("Q0", BCBP)]


def test_a_code_whose_rest_does_not_come_is_none() -> None:
    framer = HidPosFramer(AIM_SHAPE)
    assert framer.feed(AIM_REPORTS[0], 5) == []
    assert framer.deadline_ns == 5 + REST_WITHIN_NS
    assert framer.quiet(4 + REST_WITHIN_NS) == []
    assert codes(framer.quiet(5 + REST_WITHIN_NS)) == ["cut"]
    late_ns = 5 + REST_WITHIN_NS + REST_LATE_NS
    assert framer.feed(AIM_REPORTS[1], late_ns - 1) == [], "its rest is none either"
    assert codes(framer.feed(AIM_REPORTS[1], late_ns)) == [
        ("Q0", BCBP[56:])
    ]  # a code of its own, for all that can be told


def test_a_code_that_stalls_again_and_again_is_none() -> None:
    framer = HidPosFramer(AIM_SHAPE)
    framer.feed(AIM_REPORTS[0], 0)
    assert codes(framer.quiet(REST_WITHIN_NS)) == ["cut"]
    framer.feed(AIM_REPORTS[0], REST_WITHIN_NS + 1)  # a part in the middle
    assert framer.quiet(2 * REST_WITHIN_NS + 1) == []
    assert framer.feed(AIM_REPORTS[1], 2 * REST_WITHIN_NS + 2) == []


def test_the_shape_of_a_code_is_its_first_reports() -> None:
    """A plain code may go on with what looks like an identifier, and one with an identifier without it."""
    text = bytes(0x30 + at % 10 for at in range(56)) + b"]Q1RST"
    plain = [bytes([2, 56]) + text[:56] + bytes(4) + b"\0\x01", bytes([2, 6]) + text[56:] + bytes(56)]
    once = [AIM_REPORTS[0], AIM_REPORTS[1][:2] + bytes(3) + AIM_REPORTS[1][5:]]
    framer = HidPosFramer(None)
    assert codes(feed(framer, plain + once)) == [("", text), ("Q0", BCBP)]


def test_reports_of_two_codes_make_none() -> None:
    """The kernel keeps 64 reports for us, and drops what comes then: the end of one code, and all but the end of the next."""
    framer = HidPosFramer(AIM_SHAPE)
    other = AIM_REPORTS[1][:2] + b"]L0" + AIM_REPORTS[1][5:]
    assert codes(feed(framer, [AIM_REPORTS[0], other, *AIM_REPORTS])) == ["unlike", ("Q0", BCBP)]


def test_ends_that_the_scanner_adds_are_taken_off_unless_codes_are_binary() -> None:
    report = bytes([2, 5]) + b"]Q1" + b"\x02AB\r\n" + bytes(54)
    assert codes(feed(HidPosFramer(AIM_SHAPE), [report])) == [("Q1", b"AB")]
    assert codes(feed(HidPosFramer(AIM_SHAPE, binary=True), [report])) == [("Q1", b"\x02AB\r\n")]


def test_too_long_is_told_once() -> None:
    framer = HidPosFramer(AIM_SHAPE)
    heard = feed(framer, [AIM_REPORTS[0]] * (SCAN_BYTES_MAX // 56 + 5) + AIM_REPORTS)
    assert codes(heard) == ["too_long"]
    assert codes(feed(framer, AIM_REPORTS)) == [("Q0", BCBP)]


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_any_descriptor_has_a_layout_or_none(descriptor: bytes) -> None:
    with suppress(DeviceMisbehaved):
        layout = layout_of(descriptor)
        assert layout is None or layout.data_at >= 0
    is_scanner(descriptor)


@pytest.mark.parametrize("report_id", ["85 00", "86 00 01", "86 2c 01", "87 ff ff ff ff"])
def test_a_report_that_cannot_be_is_refused(report_id: str) -> None:
    wild = bytes.fromhex(f"05 8c 09 02 a1 01 {report_id} 75 08 95 08 09 fe 81 02 c0")
    assert is_scanner(wild)
    with pytest.raises(DeviceMisbehaved) as refused:
        layout_of(wild)
    assert refused.value.hint


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=64), max_size=8), st.sampled_from([None, AIM_SHAPE, PLAIN_SHAPE]))
def test_any_reports_are_codes_or_garbled(reports: list[bytes], layout: Layout | None) -> None:
    for one in feed(HidPosFramer(layout), reports):
        assert isinstance(one, Garbled) or 0 < len(one.data) <= SCAN_BYTES_MAX


def test_a_wild_count_in_a_descriptor_costs_nothing() -> None:
    wild = bytes.fromhex("05 8c 09 02 a1 01 75 08 97 ff ff ff ff 09 fe 81 02 c0")
    layout = layout_of(wild)
    assert layout is not None
    assert codes(feed(HidPosFramer(layout), [b"AB\0"])) == [("", b"AB")]
