"""Snapshots and what opens them: literal bytes, and every way to alter, cut, reorder or exchange them is refused."""

import hashlib
from io import BytesIO

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.wire import snapshots
from sync.wire.sealed import GroupSecrets, SealedRefused, seal, unseal
from sync.wire.snapshots import (
    CHUNK_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    SnapshotRefused,
    read_snapshot,
    write_snapshot,
)

SECRET, OTHER_SECRET = bytes(range(32)), bytes(range(1, 33))
CHUNK = CHUNK_BYTES + TAG_BYTES
NOISE = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(7_000))
"""224 kB that do not pack: four chunks."""


def published(content: bytes, secret: bytes = SECRET, group: int = 1) -> bytes:
    out = BytesIO()
    address = write_snapshot(BytesIO(content), out, BytesIO(), group, secret)
    assert address == hashlib.sha256(out.getvalue()).hexdigest()
    return out.getvalue()


def opened(snapshot: bytes, secret: bytes = SECRET, group: int = 1) -> bytes:
    listed = BytesIO()
    read_snapshot(BytesIO(snapshot), listed, group, secret)
    return listed.getvalue()


def refused(snapshot: bytes, secret: bytes = SECRET, group: int = 1) -> str:
    with pytest.raises(SnapshotRefused) as caught:
        opened(snapshot, secret, group)
    return caught.value.code


WHOLE = published(NOISE)


def test_a_snapshot_is_these_bytes() -> None:
    made = published(b"a list")
    packed = zstandard.ZstdCompressor(level=3).compressobj()
    frame = packed.compress(b"a list") + packed.flush()
    assert (
        made[:16].hex() == "47485330"
        "00000001" + hashlib.sha256(b"gatehouse list secret 0" + SECRET).hexdigest()[:16]
    )
    assert made[48:60].hex() == f"{len(frame):016x}00000001"
    assert len(made) == HEADER_BYTES + len(frame) + TAG_BYTES
    assert frame.hex() not in made.hex()
    assert made.hex() == VECTOR


VECTOR = (
    "4748533000000001ee5fea337f5ff0b2e33f1154b16697fe1576f3fb085ff54ec6c2ad33ef5ccc35e97f14bff55c8fae"
    "000000000000000f000000015132cc04807ea88c02a50bd0afeeef9b4a785237639823414cf5a5a1060821"
)


@given(st.binary(max_size=300_000), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_what_is_published_is_read(content: bytes, group: int) -> None:
    assert opened(published(content, group=group), group=group) == content


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 30, CHUNK_BYTES, 3 * CHUNK_BYTES])
def test_every_length_comes_back(size: int) -> None:
    content = NOISE[:size]
    assert opened(published(content)) == content


def test_the_same_list_is_the_same_snapshot_and_no_two_lists_share_a_key_stream() -> None:
    assert published(NOISE) == WHOLE
    other = published(NOISE[1:] + b"x")
    assert other[HEADER_BYTES:][:64] != WHOLE[HEADER_BYTES:][:64]
    assert other[16:48] != WHOLE[16:48]


def test_a_bit_altered_anywhere_is_refused() -> None:
    places = [*range(HEADER_BYTES + 20), *range(HEADER_BYTES, len(WHOLE), 997), len(WHOLE) - 1]
    for at in places:
        spoiled = WHOLE[:at] + bytes([WHOLE[at] ^ 0x10]) + WHOLE[at + 1 :]
        assert refused(spoiled).startswith("snapshot.")


@pytest.mark.parametrize("number", range(4))
def test_the_chunk_that_was_altered_is_said(number: int) -> None:
    at = HEADER_BYTES + number * CHUNK + 100
    with pytest.raises(SnapshotRefused, match=f"chunk {number} ") as caught:
        opened(WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :])
    assert caught.value.code == "snapshot.altered"


def test_chunks_cannot_be_moved_left_out_doubled_or_taken_from_another_list() -> None:
    head, body = WHOLE[:HEADER_BYTES], WHOLE[HEADER_BYTES:]
    chunks = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
    assert len(chunks) == 4
    strange = published(NOISE[1:] + b"x")[HEADER_BYTES:]
    for spoiled, code in (
        ([chunks[1], chunks[0], *chunks[2:]], "snapshot.altered"),
        ([*chunks[:2], *chunks[3:]], "snapshot.cut"),
        ([chunks[0], chunks[0], *chunks[2:]], "snapshot.altered"),
        ([strange[:CHUNK], *chunks[1:]], "snapshot.altered"),
        ([*chunks, chunks[3]], "snapshot.cut"),
        ([], "snapshot.cut"),
    ):
        assert refused(head + b"".join(spoiled)) == code


def test_a_snapshot_that_was_cut_is_refused_wherever() -> None:
    for at in (*range(HEADER_BYTES + 2), HEADER_BYTES + CHUNK, len(WHOLE) - TAG_BYTES, len(WHOLE) - 1):
        assert refused(WHOLE[:at]) in {"snapshot.cut", "snapshot.malformed"}
    assert refused(WHOLE + b"x") == "snapshot.cut"


def test_who_has_another_secret_or_is_of_another_group_is_told() -> None:
    assert refused(WHOLE, OTHER_SECRET) == "snapshot.foreign_key"
    assert refused(WHOLE, group=2) == "snapshot.wrong_group"
    assert refused(b"PK" + WHOLE[2:]) == "snapshot.malformed"


def test_only_addresses_become_paths() -> None:
    assert snapshots.is_address("0123456789abcdef" * 4)
    for text in ("", "a" * 63, "A" * 64, "../" + "a" * 61, "g" * 64, "\u0661" * 64):
        assert not snapshots.is_address(text)


# --- sealed secrets ------------------------------------------------------------------------------------------------

GATE_KEY = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
PUBLIC = GATE_KEY.public_key().public_bytes_raw()
SECRETS = GroupSecrets(7, SECRET, bytes(range(16)))
SEALED = seal(SECRETS, 3, PUBLIC, bytes(range(96, 128)))


def test_sealed_secrets_are_these_bytes() -> None:
    assert SEALED.hex() == SEALED_VECTOR
    assert unseal(SEALED, 7, 3, GATE_KEY) == SECRETS


SEALED_VECTOR = (
    "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52fd6d92699db7c131952d93581509c8594"
    "ec635a73910ae5133be7d7b0a4fef5ba43e65b62bc9c62abb28eafcaffa1e939fd19e0f978ab401cafb4039fd5014ba3"
    "0ba9cee7d2c0"
)


def test_sealed_secrets_are_for_one_gate_of_one_group() -> None:
    stranger = X25519PrivateKey.from_private_bytes(bytes(range(65, 97)))
    for group, gate, key in ((8, 3, GATE_KEY), (7, 4, GATE_KEY), (7, 3, stranger)):
        with pytest.raises(SealedRefused):
            unseal(SEALED, group, gate, key)


def test_altered_and_cut_secrets_are_refused() -> None:
    for at in range(len(SEALED)):
        for spoiled in (SEALED[:at], SEALED[:at] + bytes([SEALED[at] ^ 1]) + SEALED[at + 1 :]):
            with pytest.raises(SealedRefused):
                unseal(spoiled, 7, 3, GATE_KEY)


def test_a_point_of_low_order_opens_nothing() -> None:
    with pytest.raises(SealedRefused):
        unseal(bytes(32) + SEALED[32:], 7, 3, GATE_KEY)
    with pytest.raises(ValueError, match="shared key"):
        seal(SECRETS, 3, bytes(32), bytes(range(96, 128)))


def test_secrets_of_another_form_are_refused() -> None:
    for wrong in (GroupSecrets(7, SECRET[1:], bytes(16)), GroupSecrets(7, SECRET, bytes(15))):
        with pytest.raises(SealedRefused, match="another form"):
            unseal(seal(wrong, 3, PUBLIC, bytes(range(96, 128))), 7, 3, GATE_KEY)
    assert "0001" not in repr(SECRETS)
    assert SECRET.hex() not in repr(SECRETS)
