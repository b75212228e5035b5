"""The key that every gate of a group knocks with: of the digest key, which each was given sealed."""

from pathlib import Path

from edge.enrolment import Enrolment
from edge.front.snapshot import SECRETS_FILE, head_of_file
from edge.store.list import LIST_FILE
from sync.wire.channel import knock_key
from sync.wire.sealed import SealedRefused, unseal


def knock_of(data: Path, enrolment: Enrolment) -> bytes | None:
    """Return the key for knocking; None while this gate was given neither secrets nor a list."""
    try:
        sealed = (data / SECRETS_FILE).read_bytes()
        return knock_key(unseal(sealed, enrolment.group, enrolment.gate, enrolment.sealing).digest_key)
    except (OSError, SealedRefused):  # keys that were rolled open only what is sealed anew
        head = head_of_file(data / LIST_FILE)
        return knock_key(head.digest_key) if head is not None else None


__all__ = ["knock_of"]
