"""List files: every row comes back in digest order, digests that follow do not travel, and nothing altered is read."""

import hashlib
import struct
from io import BytesIO

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.digests import ticket_digest
from admission.entitlements import CredentialStanding, Standing
from admission.ids import EventId, HolderId, TicketId
from sync.wire import list_blocks, lists
from sync.wire.lists import ListHead, ListRefused, ListRow, pack_list, unpack_head, unpack_list

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
DIGEST_KEY = bytes(range(2, 34))
HEAD = ListHead(
    group=1, events=(), products=(), sessions=(), zones=(), plans=(), gate_lanes={}, keys=(), gates=(), profiles=(),
    digest_key=DIGEST_KEY,
)  # fmt: skip
PUBLIC = KEY.public_key()


def row(number: int, digest: bytes = b"") -> ListRow:
    return ListRow(
        digest or ticket_digest(1, 2**63 + number, DIGEST_KEY),
        EventId(1),
        TicketId(2**63 + number),
        number % 3,
        HolderId(2**64 - 1 - number),
        Standing.VALID,
        CredentialStanding.ACTIVE,
    )


def signed(body: bytes) -> bytes:
    """Bytes that the list key signed, whatever they are."""
    return body + KEY.sign(lists.DOMAIN + hashlib.sha256(body).digest())


@pytest.mark.parametrize("own", [0, 1, list_blocks.BLOCK_ROWS, list_blocks.BLOCK_ROWS + 1, 20_000])
@pytest.mark.parametrize("given_too", [0, 5])
def test_every_row_comes_back_in_digest_order(own: int, given_too: int) -> None:
    rows = [row(number) for number in range(own)]
    rows += [row(number, number.to_bytes(16, "big")) for number in range(given_too)]
    found = unpack_list(pack_list(HEAD, reversed(rows), KEY), PUBLIC, DIGEST_KEY)
    assert (found.head, found.own_count, found.given_count) == (HEAD, own, given_too)
    assert list(found.rows(BytesIO())) == sorted(rows)
    assert list(found.rows()) == sorted(rows)


U32, U64, U8 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 255)


@given(
    st.lists(st.tuples(st.binary(min_size=16, max_size=16), U32, U64, U32, U64, U8, U8), max_size=40),
    st.lists(st.tuples(U32, U64, U32, U64, U8, U8), max_size=40),
)
@settings(max_examples=150)
def test_columns_give_back_whatever_they_were_given(
    given_rows: list[list_blocks.Row], own: list[list_blocks.Plain]
) -> None:
    file = BytesIO(b"".join((*list_blocks.packed(own), *list_blocks.packed_with_digests(given_rows))))
    assert list(list_blocks.unpacked(file, len(own))) == own
    assert list(list_blocks.unpacked_with_digests(file, len(given_rows))) == given_rows


def test_a_row_is_26_bytes_and_repeats_when_tickets_are_numbered_in_turn() -> None:
    one, other = row(1), row(2)
    block = b"".join(list_blocks.packed([one[1:], other[1:]]))
    assert block.hex(" ", 2) == (
        "0000 0000 0000 0101"  # events 1, 1
        " 8000 0000 0000 0000 0000 0000 0000 0101"  # tickets: 2^63 + 1, then one more
        " 0000 0000 0000 0102"  # profiles 1, 2
        " ffff ffff ffff ffff ffff ffff ffff feff"  # holders: 2^64 - 2, then one less
        " 0000 0000"  # standings, and the credentials'
    )


def test_neither_digest_key_nor_digests_that_follow_travel() -> None:
    packed = pack_list(HEAD, [row(1)], KEY)
    assert DIGEST_KEY not in packed
    assert row(1).digest not in packed
    assert unpack_head(packed, PUBLIC) == msgspec.structs.replace(HEAD, digest_key=b"")
    other = unpack_list(packed, PUBLIC, bytes(32))
    assert [one.digest for one in other.rows()] == [ticket_digest(1, 2**63 + 1, bytes(32))]


def test_all_of_a_list_is_signed() -> None:
    whole = pack_list(HEAD, [row(1), row(2, bytes(16))], KEY)
    with pytest.raises(ListRefused, match="not signed"):
        unpack_head(whole, OTHER_KEY.public_key())
    for at in range(len(whole)):
        for spoiled in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            with pytest.raises(ListRefused):
                unpack_head(spoiled, PUBLIC)


@pytest.mark.parametrize(
    ("own", "given_too", "head_bytes", "why"),
    [
        (1, 0, 0, "differs from its rows"),
        (0, 1, 0, "differs from its rows"),
        (0, 0, 1, "differs from its rows"),
        (lists.ROWS_MAX, 1, 0, "more rows"),
        (0, 0, lists.HEAD_BYTES_MAX + 1, "head is larger"),
    ],
)
def test_a_signed_list_that_contradicts_itself_is_refused(
    own: int, given_too: int, head_bytes: int, why: str
) -> None:
    body = lists.MAGIC + struct.pack(">III", own, given_too, head_bytes)
    with pytest.raises(ListRefused, match=why):
        unpack_head(signed(body), PUBLIC)


def test_a_list_of_another_version_is_said() -> None:
    whole = pack_list(HEAD, [], KEY)[: -lists.SIGNATURE_BYTES]
    with pytest.raises(ListRefused, match="another version"):
        unpack_head(signed(b"GHL0" + whole[4:]), PUBLIC)
    with pytest.raises(ListRefused, match="another version"):
        unpack_head(signed(lists.MAGIC + b"\xc0" + struct.pack(">III", 0, 0, 1)), PUBLIC)
