"""Records: the bytes that are for ever, and what is refused as no record."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.entitlements import Mode
from admission.ids import (
    Epoch,
    EventId,
    GateId,
    LaneId,
    ProductId,
    ReaderId,
    RecordId,
    SessionId,
    TicketId,
    ZoneId,
)
from admission.records import (
    BODY_BYTES,
    EXTENSION_BYTES_MAX,
    NOBODY,
    PAYLOAD_BYTES_MAX,
    Bound,
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    MalformedRecord,
    Outcome,
    Record,
    Trust,
    is_of_people,
    pack_bound,
    pack_record_ids,
    pack_tap,
    record_from_bytes,
    stored_data,
    stored_us,
    ticket_subject,
    unpack_bound,
    unpack_record_ids,
    unpack_tap,
)
from tests.admission.logs import bodies, extension_records

SCAN = Record(
    Kind.SCAN, 7, 1_790_000_000_123_456, 90_210, LaneId(1), ReaderId(2), ZoneId(3), SessionId(4), Outcome.GRANT, 0,
    Direction.ENTRY, Mode.ENTRY_EXIT, Trust.SYNCED, Flag.TICKET | Flag.UNSURE,
    ticket_subject(EventId(5), TicketId(6), ProductId(9)), 0, 0,
)  # fmt: skip
SCAN_BYTES = bytes.fromhex(
    "00 01 0009 00000007 00065bfeda27c240 00016062 0001 0002 0003 0004 01 00 11 03"
    "00000005 0000000000000006 0009 0000 00000000 00000000"
)
HEAD_BYTES = bytes.fromhex("80 01 0064 00000008") + bytes(range(100))


def test_a_scan_has_these_bytes_for_ever() -> None:
    assert SCAN.to_bytes() == SCAN_BYTES
    assert len(SCAN_BYTES) == BODY_BYTES
    assert record_from_bytes(SCAN_BYTES) == SCAN
    assert (SCAN.ticket, SCAN.product) == ((5, 6), 9)


@pytest.mark.parametrize("kind", Kind)
def test_which_records_are_of_people(kind: Kind) -> None:
    of_the_box = {
        Kind.LIST_APPLIED, Kind.STANDING, Kind.CLOCK_STEP, Kind.DEVICE, Kind.HEAD, Kind.CHAIN_BREAK, Kind.RESTART,
    }  # fmt: skip
    assert is_of_people(SCAN_BYTES[:1] + bytes((kind,)) + SCAN_BYTES[2:]) == (kind not in of_the_box)


@pytest.mark.parametrize("blob", [b"", b"\x00", HEAD_BYTES, b"\xff" * BODY_BYTES])
def test_what_is_no_body_is_of_nobody(blob: bytes) -> None:
    assert not is_of_people(blob)


def test_an_extension_has_these_bytes_for_ever() -> None:
    head = ExtensionRecord(Extension.HEAD, 8, bytes(range(100)))
    assert head.to_bytes() == HEAD_BYTES
    assert record_from_bytes(HEAD_BYTES) == head


def test_record_ids_have_these_bytes_for_ever() -> None:
    ids = (RecordId(GateId(1), Epoch(0xFEDCBA9876543210), 3),)
    assert pack_record_ids(ids) == (bytes.fromhex("00000001 fedcba9876543210 00000003"),)


def test_a_tap_has_these_bytes_for_ever() -> None:
    payload = pack_tap(bytes(range(16)), 0x3D)
    assert payload.hex() == "000102030405060708090a0b0c0d0e0f0000003d"
    assert unpack_tap(payload) == (bytes(range(16)), 0x3D)
    with pytest.raises(MalformedRecord):
        unpack_tap(payload[:-1])


def test_a_bound_tag_has_these_bytes_for_ever() -> None:
    bound = Bound(bytes.fromhex("04A1B2C3D4E5F6"), bytes(range(16)), bytes(range(16, 32)))
    payload = pack_bound(bound)
    assert payload.hex() == "0704a1b2c3d4e5f6000000" + bytes(range(32)).hex()
    assert unpack_bound(payload) == bound


@pytest.mark.parametrize("payload", [bytes(43), bytes(42), b"\x0b" + bytes(42), b"\x01\x01\x02" + bytes(40)])
def test_what_names_no_tag_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedRecord):
        unpack_bound(payload)


@pytest.mark.parametrize("uid", [b"", bytes(11)])
def test_a_uid_that_no_tag_has_is_not_bound(uid: bytes) -> None:
    with pytest.raises(ValueError, match="no tag has"):
        pack_bound(Bound(uid, bytes(16), bytes(16)))


@pytest.mark.parametrize(
    ("made_us", "read_s", "data"),
    [
        (1_790_000_000_999_999, 1_789_999_940, 60),
        (1_790_000_000_000_000, 1_790_000_000, 0),
        (1_790_000_000_500_000, 1_790_000_009, 2**32 - 9),  # the device's clock is ahead
        (86_400_000_000, 1_790_000_000, 2**32 - 1_789_913_600),  # the gate's was never set
    ],
)
def test_what_a_device_stored_keeps_its_own_time(made_us: int, read_s: int, data: int) -> None:
    assert stored_data(made_us, read_s) == data
    body = Record(Kind.STORED, 1, made_us, 0, data=data)
    assert stored_us(body) == read_s * 1_000_000
    counted = Record(Kind.STORED, 1, made_us, 0, flags=Flag.REPEATED, data=data)
    assert stored_us(counted) == made_us  # its `data` is a count


@given(st.integers(-(2**62), 2**62), st.integers(-(2**63), 2**63))
@settings(max_examples=100)
def test_no_time_is_too_far_to_be_stored(made_us: int, read_s: int) -> None:
    body = Record(Kind.STORED, 1, made_us, 0, data=stored_data(made_us, read_s))
    off_s = stored_us(body) // 1_000_000 - read_s
    assert not off_s or abs(read_s - made_us // 1_000_000) > 2**31 - 1


def test_the_numbers_of_kinds_do_not_move() -> None:
    assert {kind.value: kind.name for kind in Kind} == {
        1: "SCAN", 2: "PASSAGE", 3: "GIVE_BACK", 4: "LATE_PASSAGE", 5: "INTRUSION", 6: "TAILGATE", 7: "OVERRIDE",
        8: "ANNUL", 9: "BIND", 10: "LANE_STATE", 11: "FIRE", 12: "RESET", 13: "LIST_APPLIED", 14: "STANDING",
        15: "CLOCK_STEP", 16: "DEVICE", 17: "TEST_PULSE", 18: "HEAD", 19: "CHAIN_BREAK", 20: "RESTART", 21: "STORED",
    }  # fmt: skip
    assert {kind.value: kind.name for kind in Extension} == {
        1: "HEAD", 2: "OBSERVED", 3: "RESET", 4: "STAFF", 5: "PREDECESSOR", 6: "LIST", 7: "DETAIL",
        8: "TAP", 9: "BOUND",
    }  # fmt: skip


@given(bodies())
@settings(max_examples=200)
def test_every_body_survives_encode_and_decode(body: Record) -> None:
    blob = body.to_bytes()
    assert len(blob) == BODY_BYTES
    assert record_from_bytes(blob) == body


@given(extension_records())
@settings(max_examples=200)
def test_every_extension_survives_encode_and_decode(extension: ExtensionRecord) -> None:
    blob = extension.to_bytes()
    assert len(blob) <= EXTENSION_BYTES_MAX
    assert record_from_bytes(blob) == extension


@given(
    st.one_of(st.binary(max_size=600), st.binary(min_size=56, max_size=56).map(lambda raw: b"\0" + raw[1:]))
)
@settings(max_examples=200)
def test_bytes_are_a_record_or_malformed_and_nothing_else(blob: bytes) -> None:
    try:
        record = record_from_bytes(blob)
    except MalformedRecord:
        return
    assert record.to_bytes() == blob


@given(st.integers(0, 55), st.integers(0, 255))
@settings(max_examples=200)
def test_one_changed_byte_is_another_record_or_none(at: int, value: int) -> None:
    blob = SCAN_BYTES[:at] + bytes([value]) + SCAN_BYTES[at + 1 :]
    try:
        record = record_from_bytes(blob)
    except MalformedRecord:
        assert blob != SCAN_BYTES
    else:
        assert (record == SCAN) == (blob == SCAN_BYTES)


@pytest.mark.parametrize(
    ("what", "blob"),
    [
        ("nothing", b""),
        ("a format of tomorrow", b"\x01" + SCAN_BYTES[1:]),
        ("an extension of tomorrow's format", b"\x81" + HEAD_BYTES[1:]),
        ("a short body", SCAN_BYTES[:-1]),
        ("a long body", SCAN_BYTES + b"\0"),
        ("kind 0", b"\0\0" + SCAN_BYTES[2:]),
        ("kind 22", b"\0\x16" + SCAN_BYTES[2:]),
        ("ticket and digest at once", b"\0\x01\x00\x03" + SCAN_BYTES[4:]),
        ("a subject nobody explains", b"\0\x01\x00\x00" + SCAN_BYTES[4:]),
        ("outcome 5", SCAN_BYTES[:28] + b"\x05" + SCAN_BYTES[29:]),
        ("direction 3", SCAN_BYTES[:30] + b"\x03" + SCAN_BYTES[31:]),
        ("mode 3", SCAN_BYTES[:30] + b"\x31" + SCAN_BYTES[31:]),
        ("trust 4", SCAN_BYTES[:31] + b"\x04" + SCAN_BYTES[32:]),
        ("half an extension header", HEAD_BYTES[:7]),
        ("a cut payload", HEAD_BYTES[:-1]),
        ("extension type 10", bytes.fromhex("80 0a 0000 00000001")),
        ("a bound tag of 42 bytes", bytes.fromhex("80 09 002a 00000008") + bytes(42)),
        ("a head of 99 bytes", bytes.fromhex("80 01 0063 00000008") + bytes(99)),
        ("half a record id", bytes.fromhex("80 02 0008 00000008") + bytes(8)),
        ("a predecessor without link", bytes.fromhex("80 05 000c 00000002") + bytes(12)),
        ("staff without a number", bytes.fromhex("80 04 0003 00000002") + bytes(3)),
        ("a payload of 505 bytes", bytes.fromhex("80 07 01f9 00000002") + bytes(505)),
    ],
)
def test_what_is_no_record_is_malformed(what: str, blob: bytes) -> None:
    with pytest.raises(MalformedRecord):
        record_from_bytes(blob)


@pytest.mark.parametrize(
    "extension",
    [
        ExtensionRecord(Extension.DETAIL, 1, bytes(PAYLOAD_BYTES_MAX + 1)),
        ExtensionRecord(Extension.HEAD, 1, bytes(99)),
        ExtensionRecord(Extension.OBSERVED, 1, bytes(15)),
    ],
)
def test_nothing_is_written_that_could_not_be_read(extension: ExtensionRecord) -> None:
    with pytest.raises(ValueError, match="extension has"):
        extension.to_bytes()


@given(st.lists(st.builds(RecordId, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)),
                max_size=70))  # fmt: skip
@settings(max_examples=100)
def test_record_ids_survive_however_many(ids: list[RecordId]) -> None:
    payloads = pack_record_ids(tuple(ids))
    assert all(len(payload) <= PAYLOAD_BYTES_MAX for payload in payloads)
    assert [one for payload in payloads for one in unpack_record_ids(payload)] == ids


def test_half_a_record_id_is_malformed() -> None:
    with pytest.raises(MalformedRecord):
        unpack_record_ids(bytes(17))


def test_a_record_about_nobody_names_no_ticket() -> None:
    nobody = Record(Kind.FIRE, 1, 0, 0)
    assert nobody.subject == NOBODY
    assert (nobody.ticket, nobody.product) == (None, 0)
