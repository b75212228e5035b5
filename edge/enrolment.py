"""Who this gate is: its keys, its number, and the centre it belongs to. One file, 0600, written
by enrolment, and again when the centre rolls its keys or this gate its own."""

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from admission.ids import GateId

FILE = "enrolment.json"


class NotEnrolled(LookupError):
    """This box belongs to no centre yet."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What enrolment gave. Private keys are raw; the file's mode protects them, as SECURITY.md says."""

    gate: GateId
    name: str
    group: int
    centre_url: str
    centre_public: bytes
    """The centre's identity key, pinned: it signs the key document, never a TLS leaf."""
    list_public: bytes
    time_public: bytes
    signing_key: bytes
    sealing_key: bytes
    successor_public: bytes = b""
    """The identity after the centre's own, pinned with it; empty where the centre named none."""
    roster_public: bytes = b""
    keys_number: int = 0
    """Of the key document that these are from."""
    former_public: tuple[bytes, ...] = ()
    """Keys that this box signed with as this gate before, oldest first: its older runs are signed by them."""

    @property
    def key(self) -> Ed25519PrivateKey:
        """The key that signs heads and requests."""
        return Ed25519PrivateKey.from_private_bytes(self.signing_key)

    @property
    def sealing(self) -> X25519PrivateKey:
        """The key that secrets are sealed to."""
        return X25519PrivateKey.from_private_bytes(self.sealing_key)

    @property
    def list_key(self) -> Ed25519PublicKey:
        """The key that lists are signed with."""
        return Ed25519PublicKey.from_public_bytes(self.list_public)

    @property
    def public(self) -> bytes:
        """This gate's public signing key, raw."""
        return self.key.public_key().public_bytes_raw()


def load(data: Path) -> Enrolment:
    """Read the enrolment in a data folder. NotEnrolled where there is none; ValueError where it is unreadable."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=Enrolment)
    except FileNotFoundError:
        raise NotEnrolled(f"{data} holds no enrolment") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"{data / FILE} is damaged ({error}); enrol this box again") from error


def save(data: Path, enrolment: Enrolment) -> None:
    """Write the enrolment durably, readable by the gate alone: after a power cut it is the one before or this one."""
    write(data, enrolment)
    place(data)


def write(data: Path, enrolment: Enrolment) -> None:
    """Write an enrolment beside the present one, durably; it counts for nothing before it is placed."""
    new = data / (FILE + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(enrolment))
        file.flush()
        os.fsync(file.fileno())


def place(data: Path) -> None:
    """Put the enrolment that was written in the place of the present one, durably."""
    (data / (FILE + ".new")).rename(data / FILE)
    folder = os.open(data, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
