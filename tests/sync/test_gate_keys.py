"""An offer of new keys proves that both are held, for one order of one gate with one present key, and nothing else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from admission.ids import GateId
from sync.wire.gate_keys import KeyOffer, RollAsked, is_proved, make_offer

GATE, PRESENT = GateId(7), bytes(range(32))
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SEALING = X25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
CHALLENGE = X25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
ASKED = RollAsked(5, CHALLENGE.public_key().public_bytes_raw())
OFFER = make_offer(GATE, ASKED, PRESENT, SIGNING, SEALING)
STRANGE = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
LOW_ORDER = [bytes(32), bytes([1, *bytes(31)]), bytes.fromhex("ecffffff" + "ff" * 27 + "7f")]
"""Points with which everybody has the same secret: 0, 1 and p - 1 (RFC 7748, 6.1)."""


def test_what_is_offered_is_proved() -> None:
    assert is_proved(OFFER, GATE, PRESENT, CHALLENGE)
    assert OFFER.public == SIGNING.public_key().public_bytes_raw()
    assert OFFER.sealing == SEALING.public_key().public_bytes_raw()
    assert make_offer(GATE, ASKED, PRESENT, SIGNING, SEALING) == OFFER, "the same again"


@pytest.mark.parametrize(
    "altered",
    [
        replace(OFFER, number=6), replace(OFFER, public=STRANGE), replace(OFFER, public=OFFER.public[:-1]),
        replace(OFFER, public=b""), replace(OFFER, sealing=ASKED.challenge), replace(OFFER, sealing=b""),
        replace(OFFER, proof=bytes(64)), replace(OFFER, proof=b""), replace(OFFER, opened=bytes(32)),
        replace(OFFER, opened=b""), *(replace(OFFER, sealing=one) for one in LOW_ORDER),
    ],
)  # fmt: skip
def test_an_altered_one_is_not(altered: KeyOffer) -> None:
    assert not is_proved(altered, GATE, PRESENT, CHALLENGE)


def test_nor_is_one_for_another_gate_key_or_order() -> None:
    assert not is_proved(OFFER, GateId(8), PRESENT, CHALLENGE)
    assert not is_proved(OFFER, GATE, STRANGE, CHALLENGE)
    other = X25519PrivateKey.from_private_bytes(bytes(range(4, 36)))
    assert not is_proved(OFFER, GATE, PRESENT, other)


def test_who_holds_one_of_the_keys_proves_nothing_of_the_other() -> None:
    """A thief's signing key with somebody's sealing key, and the other way round."""
    thief = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    theirs = make_offer(GATE, ASKED, PRESENT, *thief)
    for mixed in (
        replace(theirs, sealing=OFFER.sealing), replace(theirs, public=OFFER.public, proof=OFFER.proof),
        replace(OFFER, sealing=theirs.sealing, opened=theirs.opened), replace(OFFER, proof=theirs.proof),
    ):  # fmt: skip
        assert not is_proved(mixed, GATE, PRESENT, CHALLENGE)


@pytest.mark.parametrize("challenge", [b"", bytes(31), *LOW_ORDER])
def test_an_order_that_is_none_is_not_followed(challenge: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        make_offer(GATE, RollAsked(5, challenge), PRESENT, SIGNING, SEALING)
