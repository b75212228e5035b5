"""UIDs as readers type them, brought to the bytes that ISO/IEC 14443 transmits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Garbled, Medium, Scan
from drivers.framing.uid import UID_SIZES, ByteOrder, UidForm, as_uid, parse_uid

UID4 = bytes.fromhex("04A1B2C3")
FIRST, LAST = ByteOrder.UID0_FIRST, ByteOrder.UID0_LAST


@pytest.mark.parametrize(
    ("text", "order", "uid"),
    [
        (b"04A1B2C3", FIRST, UID4),
        (b"04a1b2c3", FIRST, UID4),
        (b"04:A1:B2:C3", FIRST, UID4),
        (b"04-a1-b2-c3", FIRST, UID4),
        (b"04 A1 B2 C3", FIRST, UID4),
        (b" 04A1B2C3 ", FIRST, UID4),
        (b"C3B2A104", LAST, UID4),
        (b"c3:b2:a1:04", LAST, UID4),
        (b"C3B2A104", FIRST, UID4[::-1]),  # the order is never guessed
        (b"04E10CDA993C80", FIRST, bytes.fromhex("04E10CDA993C80")),
        (b"803C99DA0CE104", LAST, bytes.fromhex("04E10CDA993C80")),
        (b"E004010012345678", FIRST, bytes.fromhex("E004010012345678")),
        (b"04112233445566778899", FIRST, bytes.fromhex("04112233445566778899")),
    ],
)
def test_uid(text: bytes, order: ByteOrder, uid: bytes) -> None:
    assert parse_uid(text, order) == uid


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"04",
        b"04A1B2C",
        b"04A1B2C3D4",  # five bytes: no UID has them
        b"0077705923",  # a ten-digit decimal
        b"04A1B2CG",
        b"04:A1B2:C3",
        b"04:A1-B2:C3",
        b"04::A1:B2:C3",
        b":04A1B2C3",
        b"041,41394",
        b"0x04A1B2C3",
        b"TK1ABCDEF",
        b"\xff\xfe\xfd\xfc",
        "٠٤٠٤٠٤٠٤".encode(),  # digits, but not ours
        b"04A1B2C3\n",
        b"A" * 4096,
    ],
)
def test_not_a_uid(text: bytes) -> None:
    assert parse_uid(text, FIRST) is None
    assert as_uid(Scan(text, Medium.BARCODE, "", 1, 9), FIRST) == Garbled("not_a_uid", len(text), 9)


@pytest.mark.parametrize(
    ("text", "order", "form"),
    [
        (b"0077705923", FIRST, UidForm.DECIMAL_4),
        (b"77705923", FIRST, UidForm.DECIMAL_4),
        (b"3283263748", LAST, UidForm.DECIMAL_4),
        (b"01185,45763", FIRST, UidForm.HALVES),
        (b"01185:45763", FIRST, UidForm.HALVES),
        (b"50098,41220", LAST, UidForm.HALVES),
    ],
)
def test_a_number_is_the_same_uid(text: bytes, order: ByteOrder, form: UidForm) -> None:
    assert parse_uid(text, order, form) == UID4
    assert as_uid(Scan(text, Medium.BARCODE, "", 1, 9), order, form) == Scan(UID4, Medium.UID, "", 1, 9)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (b"4294967296", UidForm.DECIMAL_4),  # one more than four bytes hold
        (b"04A1B2C3", UidForm.DECIMAL_4),
        (b"-1", UidForm.DECIMAL_4),
        (b"1_000", UidForm.DECIMAL_4),
        (b"", UidForm.DECIMAL_4),
        (b"9" * 4096, UidForm.DECIMAL_8),
        ("٧٧٧٠٥٩٢٣".encode(), UidForm.DECIMAL_4),
        (b"01185,45763", UidForm.DECIMAL_4),
        (b"041,41394", UidForm.HALVES),  # 26-bit Wiegand: a byte of the UID is missing
        (b"65536,00000", UidForm.HALVES),
        (b"0118545763", UidForm.HALVES),
        (b"01185,45763,1", UidForm.HALVES),
    ],
)
def test_a_number_that_is_no_uid(text: bytes, form: UidForm) -> None:
    assert parse_uid(text, FIRST, form) is None


@given(
    st.sampled_from([(UidForm.DECIMAL_4, 4), (UidForm.DECIMAL_7, 7), (UidForm.DECIMAL_8, 8)]),
    st.binary(min_size=8, max_size=8),
)
def test_every_uid_as_a_number(form: tuple[UidForm, int], data: bytes) -> None:
    uid = data[: form[1]]
    assert parse_uid(b"%d" % int.from_bytes(uid, "big"), FIRST, form[0]) == uid
    assert parse_uid(b"%020d" % int.from_bytes(uid, "little"), LAST, form[0]) == uid


def test_uid_is_a_scan_of_a_tag() -> None:
    assert as_uid(Scan(b"04A1B2C3", Medium.BARCODE, "", 1, 9), FIRST) == Scan(UID4, Medium.UID, "", 1, 9)


@pytest.mark.parametrize(("text", "order"), [(b"08A1B2C3", FIRST), (b"C3:B2:A1:08", LAST)])
def test_a_uid_that_is_made_anew_for_each_tap_is_nobodys(text: bytes, order: ByteOrder) -> None:
    assert as_uid(Scan(text, Medium.BARCODE, "", 1, 9), order) == Garbled("random_uid", 4, 9)


def test_what_only_looks_random_is_somebodys() -> None:
    for text, order in ((b"C3B2A108", FIRST), (b"08B2A1C3", LAST), (b"08E10CDA993C80", FIRST)):
        assert isinstance(as_uid(Scan(text, Medium.BARCODE, "", 1, 9), order), Scan)


def test_garbled_stays_garbled() -> None:
    garbled = Garbled("too_long", 4097, 5)
    assert as_uid(garbled, LAST) is garbled


@given(st.sampled_from(sorted(UID_SIZES)).flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_every_way_of_writing_is_the_same_uid(uid: bytes) -> None:
    for separator in ("", ":", "-", " "):
        for text in (uid.hex(separator) if separator else uid.hex(),):
            assert parse_uid(text.encode(), FIRST) == parse_uid(text.upper().encode(), FIRST) == uid
    assert parse_uid(uid[::-1].hex().encode(), LAST) == uid


@given(st.binary(max_size=40))
def test_any_text_is_a_uid_or_none(text: bytes) -> None:
    uid = parse_uid(text, FIRST)
    assert uid is None or len(uid) in UID_SIZES
