"""The key a replica of the centre signs its own records with: one file in its data folder, never shared by two."""

import hmac
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.store.database import CentreFault

FILE = "replica.key"
SEED_BYTES = 32


def seed_of(data: Path) -> bytes:
    """Return a replica's seed, made at its first start; CentreFault where it cannot be.

    Losing it costs nothing: the replica is a new gate then. Two replicas that share it fork each other's log.
    """
    path = data / FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise CentreFault(
            f"{path} cannot be written: {error.strerror}", "Make the folder writable for this user."
        ) from error
    seed = os.urandom(SEED_BYTES)
    with os.fdopen(handle, "wb") as file:
        file.write(seed)
        file.flush()
        os.fsync(file.fileno())
    return seed


def key_of(seed: bytes, group: int) -> Ed25519PrivateKey:
    """Return the replica's key for one event group: it is a gate of its own in each."""
    return Ed25519PrivateKey.from_private_bytes(
        hmac.digest(seed, b"gatehouse replica 0\n%d" % group, "sha256")
    )


def _read(path: Path) -> bytes:
    try:
        seed = path.read_bytes()
    except OSError as error:
        raise CentreFault(
            f"{path} cannot be read: {error.strerror}", "Make it readable for this user."
        ) from error
    if len(seed) != SEED_BYTES:
        raise CentreFault(f"{path} is damaged", "Remove it while the centre is stopped; a new one is made.")
    return seed
