"""The venue's private keys: one file, 0600, beside the database and never in it.

Whoever copies the database alone can mint nothing. Losing the file means enrolling every gate again and voiding every
ticket signed by it, so it belongs in every backup.
"""

import hashlib
import hmac
import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.store.database import CentreFault

FILE = "keys.json"
KEY_BYTES = 32


class VenueKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw Ed25519 private keys. `identity` signs the key document that names the others; gates pin it."""

    identity: bytes
    lists: bytes
    time: bytes
    tickets: bytes

    def __repr__(self) -> str:
        return "VenueKeys(…)"

    @property
    def identity_key(self) -> Ed25519PrivateKey:
        """Signs the key document."""
        return Ed25519PrivateKey.from_private_bytes(self.identity)

    @property
    def list_key(self) -> Ed25519PrivateKey:
        """Signs list files."""
        return Ed25519PrivateKey.from_private_bytes(self.lists)

    @property
    def time_key(self) -> Ed25519PrivateKey:
        """Signs the time."""
        return Ed25519PrivateKey.from_private_bytes(self.time)

    @property
    def ticket_key(self) -> Ed25519PrivateKey:
        """Signs tickets."""
        return Ed25519PrivateKey.from_private_bytes(self.tickets)

    def code_digest(self, code: str) -> bytes:
        """Return what an enrolment code is stored as: 40 bits are tried in no time, so a key goes in."""
        secret = hashlib.sha256(b"gatehouse codes 0\n" + self.identity).digest()
        return hmac.digest(secret, code.encode(), "sha256")


def new_keys() -> VenueKeys:
    """Make keys for a new venue."""
    identity, lists, time, tickets = (os.urandom(KEY_BYTES) for _ in range(4))
    return VenueKeys(identity=identity, lists=lists, time=time, tickets=tickets)


def load_or_make(data: Path, *, may_make: bool) -> VenueKeys:
    """Read the keys of a data folder, or make them where `may_make`; CentreFault where that cannot be."""
    path = data / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=VenueKeys)
    except FileNotFoundError:
        if not may_make:
            raise CentreFault(
                f"{path} is missing, but gates are enrolled with it",
                "Restore keys.json from the backup; new keys would shut out every gate and void every ticket.",
            ) from None
    except (msgspec.DecodeError, OSError) as error:
        raise CentreFault(
            f"{path} cannot be read: {error}",
            "Restore keys.json from the backup, owned by this user, mode 0600.",
        ) from error
    keys = new_keys()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:  # another process of ours was quicker
        return load_or_make(data, may_make=False)
    except OSError as error:
        raise CentreFault(
            f"{path} cannot be written: {error}", "Make the folder writable for this user."
        ) from error
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(keys))
        file.flush()
        os.fsync(file.fileno())
    return keys
