"""Seals, the roster and rolled keys: literal bytes, and every way back, aside or from elsewhere is refused."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from admission.ids import Epoch, EventId, GateId, LaneId, ZoneId
from sync.keys import Role, VenueKeys, new_keys, rolled
from sync.wire.messages import SignedKeys, sign_keys
from sync.wire.roster import (
    LastHead,
    Revoked,
    Roster,
    RosterGate,
    RosterLane,
    RosterRefused,
    Ways,
    newer,
    pack_roster,
    read_roster,
)
from sync.wire.rotation import KeysRefused, Pinned, follow
from sync.wire.seals import FROZEN_S, Advance, Seal, SealRefused, advance, is_frozen, read_seal, sign_seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NOW_S = 1_795_348_800
SEAL = Seal(EventId(1), 2, 3, bytes(range(16)), NOW_S)


def test_a_seal_is_these_bytes() -> None:
    sealed = sign_seal(SEAL, KEY)
    assert sealed[:40].hex() == (
        "00000001000000020000000000000003000102030405060708090a0b0c0d0e0f000000006b02d940"
    )
    KEY.public_key().verify(sealed[40:], b"gatehouse seal 0\n" + sealed[:40])
    assert read_seal(sealed, KEY.public_key()) == SEAL


def test_all_of_a_seal_is_signed() -> None:
    sealed = sign_seal(SEAL, KEY)
    with pytest.raises(SealRefused):
        read_seal(sealed, OTHER_KEY.public_key())
    for at in range(len(sealed)):
        for spoiled in (sealed[:at], sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]):
            with pytest.raises(SealRefused):
                read_seal(spoiled, KEY.public_key())
    with pytest.raises(ValueError, match="16 bytes"):
        sign_seal(msgspec.structs.replace(SEAL, digest=b"short"), KEY)


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({}, Advance.KNOWN),
        ({"time_s": NOW_S + 60}, Advance.NEWER),
        ({"time_s": NOW_S - 60}, Advance.KNOWN),
        ({"version": 4}, Advance.NEWER),
        ({"version": 4, "digest": bytes(16), "time_s": NOW_S + 1}, Advance.NEWER),
        ({"version": 4, "time_s": NOW_S - 1}, Advance.ROLLED_BACK),
        ({"version": 2}, Advance.ROLLED_BACK),
        ({"version": 2, "time_s": NOW_S + 60}, Advance.ROLLED_BACK),
        ({"digest": bytes(16)}, Advance.FORKED),
        ({"digest": bytes(16), "time_s": NOW_S + 60}, Advance.FORKED),
        ({"generation": 1, "version": 99}, Advance.ROLLED_BACK),
        ({"generation": 3, "version": 1, "time_s": NOW_S - 60}, Advance.NEWER),
    ],
)
def test_a_seal_only_goes_forward(changes: dict[str, int | bytes], how: Advance) -> None:
    assert advance(SEAL, msgspec.structs.replace(SEAL, **changes)) is how
    assert advance(None, SEAL) is Advance.NEWER


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 5)), max_size=12))
def test_whatever_comes_the_newest_seal_never_goes_back(seen: list[tuple[int, int, int]]) -> None:
    held: Seal | None = None
    for generation, version, time_s in seen:
        seal = Seal(EventId(1), generation, version, bytes(16), time_s)
        before = held
        if advance(held, seal) is Advance.NEWER:
            held = seal
        if before is not None and held is not None:
            assert held.place >= before.place


def test_a_list_that_is_held_back_is_noticed() -> None:
    assert not is_frozen(SEAL, NOW_S + FROZEN_S)
    assert is_frozen(SEAL, NOW_S + FROZEN_S + 1)


# --- the roster ----------------------------------------------------------------------------------------------------

LANES = (RosterLane(LaneId(1), ZoneId(1)), RosterLane(LaneId(2), ZoneId(3), Ways.ENTRY))
ROSTER = Roster(
    group=1,
    version=5,
    issued_at_s=NOW_S,
    expires_at_s=NOW_S + 100,
    gates=(
        RosterGate(GateId(1), "Main", bytes(32), bytes(32), LANES),
        RosterGate(GateId(2), "Side", bytes(32), bytes(32), LANES[1:]),
    ),
    revoked=(Revoked(GateId(3), NOW_S, (LastHead(Epoch(2**64 - 1), 7),)),),
)


def test_a_roster_is_read_by_whom_it_is_for() -> None:
    packed = pack_roster(ROSTER, KEY)
    assert read_roster(packed, KEY.public_key(), 1) == ROSTER
    assert packed[:18].hex() == "970105ce6b02d940ce6b02d9a4929501a44d"
    with pytest.raises(RosterRefused) as refused:
        read_roster(packed, KEY.public_key(), 2)
    assert refused.value.code == "roster.wrong_group"
    for at in range(len(packed)):
        for spoiled in (packed[:at], packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]):
            with pytest.raises(RosterRefused, match="not signed"):
                read_roster(spoiled, KEY.public_key(), 1)


def test_a_roster_says_whose_exits_count_and_until_when() -> None:
    main, side = ROSTER.gate(GateId(1)), ROSTER.gate(GateId(2))
    assert main is not None
    assert side is not None
    assert (main.has_exit, side.has_exit, ROSTER.gate(GateId(3))) == (True, False, None)
    assert ROSTER.is_valid(NOW_S + 99)
    assert not ROSTER.is_valid(NOW_S + 100)


def test_the_newest_roster_holds() -> None:
    replace = msgspec.structs.replace
    assert newer(None, ROSTER) is ROSTER
    for seen in (replace(ROSTER, version=6, issued_at_s=0), replace(ROSTER, issued_at_s=NOW_S + 1)):
        assert newer(ROSTER, seen) is seen
    assert newer(ROSTER, replace(ROSTER, issued_at_s=NOW_S - 1)) is ROSTER
    with pytest.raises(RosterRefused) as refused:
        newer(ROSTER, replace(ROSTER, version=4, issued_at_s=NOW_S + 1))
    assert refused.value.code == "roster.rolled_back"


# --- rolled keys ---------------------------------------------------------------------------------------------------

KEYS = new_keys()


def altered(keys: VenueKeys, **changes: object) -> VenueKeys:
    return VenueKeys(msgspec.structs.replace(keys.held, **changes))


def pins(keys: VenueKeys) -> Pinned:
    document = follow(Pinned(keys.identity_key.public_key().public_bytes_raw()), keys.document(NOW_S))
    return Pinned(document.identity, document.successor, document.number)


def code_of(pinned: Pinned, signed: SignedKeys) -> str:
    with pytest.raises(KeysRefused) as refused:
        follow(pinned, signed)
    return refused.value.code


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.TICKETS])
def test_a_gate_follows_every_roll_and_never_back(role: Role) -> None:
    pinned, keys = pins(KEYS), KEYS
    for number in range(2, 6):
        before, keys = keys, rolled(keys, role)
        document = follow(pinned, keys.document(NOW_S))
        assert document.number == number
        pinned = Pinned(document.identity, document.successor, document.number)
        assert code_of(pinned, before.document(NOW_S)) in {"keys.rolled_back", "keys.foreign"}
    assert document.lists == keys.list_key.public_key().public_bytes_raw()


def test_an_identity_that_was_left_is_nobody() -> None:
    taken_over = rolled(KEYS, Role.IDENTITY)
    pinned = pins(taken_over)
    assert pinned.identity == pins(KEYS).successor
    late = altered(KEYS, number=99)
    assert code_of(pinned, late.document(NOW_S)) == "keys.foreign"


def test_who_stole_the_identity_cannot_name_the_successor() -> None:
    stolen = altered(KEYS, number=2, successor=bytes(range(32)))
    assert code_of(pins(KEYS), stolen.document(NOW_S)) == "keys.successor"
    skipped = rolled(rolled(KEYS, Role.IDENTITY), Role.IDENTITY)
    assert code_of(pins(KEYS), skipped.document(NOW_S)) == "keys.foreign"


def test_a_successor_that_says_nothing_newer_is_refused() -> None:
    same = altered(rolled(KEYS, Role.IDENTITY), number=KEYS.number)
    assert code_of(pins(KEYS), same.document(NOW_S)) == "keys.rolled_back"


def test_strangers_and_altered_documents_are_refused() -> None:
    signed = KEYS.document(NOW_S)
    assert code_of(pins(KEYS), new_keys().document(NOW_S)) == "keys.foreign"
    assert code_of(Pinned(b""), SignedKeys(b"", signed.document, signed.signature)) == "keys.foreign"
    for at in range(0, len(signed.document), 7):
        spoiled = signed.document[:at] + bytes([signed.document[at] ^ 1]) + signed.document[at + 1 :]
        assert code_of(pins(KEYS), SignedKeys(signed.identity, spoiled, signed.signature)) == "keys.altered"
    other = new_keys().document(NOW_S).document  # signed by the right key, naming another identity
    forged = SignedKeys(signed.identity, other, sign_keys(KEYS.identity_key, other))
    assert code_of(pins(KEYS), forged) == "keys.altered"
    nested = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert code_of(pins(KEYS), SignedKeys(signed.identity, nested, signed.signature)) == "keys.altered"
