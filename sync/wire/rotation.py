"""How a gate follows its venue's keys: two identities are pinned, the one in use and its successor.

The one in use may renew every other key, but not the successor: who steals it cannot shut the venue out. The successor
may take over, with a successor of its own; the one before is then nobody. A document's number never goes back.
"""

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.wire.messages import KeyDocument, SignedKeys, keys_are_genuine


class KeysRefused(ValueError):
    """A key document that this gate must not follow. `code` for the journal; the text for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Pinned(msgspec.Struct, frozen=True):
    """What a gate holds documents against. `successor` is empty where none was ever named."""

    identity: bytes
    successor: bytes = b""
    number: int = 0


def follow(pinned: Pinned, signed: SignedKeys) -> KeyDocument:
    """Return the document whose keys hold from now on; its identity and successor are pinned next. KeysRefused."""
    if signed.identity not in {pinned.identity, pinned.successor} or not signed.identity:
        raise KeysRefused("keys.foreign", "the keys are signed by an identity that this gate never pinned")
    document = _genuine(signed)
    if document.number < pinned.number:
        raise KeysRefused("keys.rolled_back", f"keys {document.number} are older than those in use")
    took_over = signed.identity != pinned.identity
    if not took_over and pinned.successor and document.successor != pinned.successor:
        raise KeysRefused("keys.successor", "only the successor itself may name another successor")
    if took_over and document.number == pinned.number:
        raise KeysRefused("keys.rolled_back", "the successor says nothing newer than the identity before it")
    return document


def _genuine(signed: SignedKeys) -> KeyDocument:
    try:
        genuine = keys_are_genuine(
            Ed25519PublicKey.from_public_bytes(signed.identity), signed.document, signed.signature
        )
        document = msgspec.json.decode(signed.document, type=KeyDocument)
        for key in (document.lists, document.time, *filter(None, (document.roster, document.successor))):
            Ed25519PublicKey.from_public_bytes(key)
    except (ValueError, RecursionError) as error:
        # msgspec.DecodeError is a ValueError; a stranger's keys may nest without end.
        raise KeysRefused("keys.altered", "the keys are not of the form that this version knows") from error
    if not genuine or document.identity != signed.identity or document.successor == document.identity:
        raise KeysRefused("keys.altered", "the keys are not signed by the identity they name")
    return document
