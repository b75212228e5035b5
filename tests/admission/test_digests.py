"""Digests: published values, and that nothing passes for something else."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission import codecs
from admission.digests import CredentialKind, digest, digests, text_digest, ticket_digest

VECTORS: dict[str, Any] = json.loads((Path(codecs.__path__[0]) / "vectors.json").read_text())["digests"]
KEY = bytes(range(32, 64))


def test_the_key_is_the_published_one() -> None:
    assert bytes.fromhex(VECTORS["key"]) == KEY


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["kind"])
def test_published_vector(case: dict[str, Any]) -> None:
    match case:
        case {"kind": "tk1", "event": event, "ticket": ticket}:
            got = ticket_digest(event, ticket, KEY)
        case {"kind": "tk1 text", "text": text}:
            got = text_digest(CredentialKind.TK1, text.encode(), KEY)
        case {"kind": "uid", "uid": uid}:
            got = digest(CredentialKind.UID, bytes.fromhex(uid), KEY)
        case {"kind": kind, "text": text}:
            got = digest(CredentialKind(kind), text.encode(), KEY)
    assert got.hex() == case["digest"]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (ticket_digest(1048577, 0x01020304050607, KEY), "a95f90ff195bff6aaa5ce3019b06b7e0"),
        (digest(CredentialKind.OPAQUE, "Zürich 2026/0815".encode(), KEY), "a2ab1fa721fc382a6910439a01511378"),
        (
            digest(CredentialKind.UID, bytes.fromhex("04E10CDA993C80"), KEY),
            "0b39e297a0f3c4cb1508d80ad073938e",
        ),
    ],
)
def test_values_that_never_change(got: bytes, expected: str) -> None:
    assert got.hex() == expected


def test_a_ticket_is_event_then_number_big_endian_as_its_kind() -> None:
    material = bytes.fromhex("00100001 0001020304050607")
    by_hand = blake2b(material, digest_size=16, key=KEY, person=b"gatehouse.tk1").digest()
    assert ticket_digest(1048577, 0x01020304050607, KEY) == by_hand
    assert digest(CredentialKind.TK1, material, KEY) == by_hand


@given(st.binary(max_size=40))
def test_kinds_never_meet(material: bytes) -> None:
    found = {digest(kind, material, KEY) for kind in CredentialKind}
    found.add(text_digest(CredentialKind.TK1, material, KEY))
    assert len(found) == len(CredentialKind) + 1
    for kind in (CredentialKind.SIG1, CredentialKind.JWS, CredentialKind.OPAQUE):
        assert text_digest(kind, material, KEY) == digest(kind, material, KEY)


@given(st.lists(st.binary(max_size=40), max_size=3))
def test_one_after_the_other_they_are_the_same(materials: list[bytes]) -> None:
    for kind in CredentialKind:
        digest_of = digests(kind, KEY)
        assert [digest_of(one) for one in materials] == [digest(kind, one, KEY) for one in materials]


def test_event_groups_never_meet() -> None:
    assert ticket_digest(1, 1, KEY) != ticket_digest(1, 1, KEY[::-1])
    assert ticket_digest(1, 2, KEY) != ticket_digest(2, 1, KEY)


@pytest.mark.parametrize("size", [0, 1, 15, 65])
def test_a_key_that_protects_nothing_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 to 64 bytes"):
        digest(CredentialKind.UID, b"\x04" * 7, bytes(size))
