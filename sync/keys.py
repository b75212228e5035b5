"""The venue's private keys: one file, 0600, beside the database and never in it.

Whoever copies the database alone can mint nothing. Losing the file means enrolling every gate again and voiding every
ticket signed by it, so it belongs in every backup.

Gates pin two identities: the one in use and its successor. So either can be lost or stolen, and the other still names
the keys that gates are to believe (`roll`).
"""

import hashlib
import hmac
import os
from enum import Enum
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.store.database import CentreFault
from sync.wire.messages import KeyDocument, SignedKeys, sign_keys

FILE = "keys.json"
FORMAT = 2
KEY_BYTES = 32


class Role(Enum):
    """Keys that can be rolled."""

    IDENTITY = "identity"
    LISTS = "lists"
    TIME = "time"
    ROSTER = "roster"


class VenueKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw Ed25519 private keys. `identity` signs the key document that names the others; gates pin it."""

    format: int = FORMAT
    number: int
    """Of the key document; it rises whenever a key is rolled."""
    identity: bytes
    successor: bytes
    """The identity after this one."""
    lists: bytes
    time: bytes
    roster: bytes
    tickets: bytes
    pages: bytes
    """Raw P-256 private key of the authority that certifies gates' pages (`sync.gates.certificates`)."""

    def __repr__(self) -> str:
        return "VenueKeys(…)"

    @property
    def identity_key(self) -> Ed25519PrivateKey:
        """Signs the key document."""
        return Ed25519PrivateKey.from_private_bytes(self.identity)

    @property
    def list_key(self) -> Ed25519PrivateKey:
        """Signs lists, changes to them, and their seals."""
        return Ed25519PrivateKey.from_private_bytes(self.lists)

    @property
    def time_key(self) -> Ed25519PrivateKey:
        """Signs the time, and answers."""
        return Ed25519PrivateKey.from_private_bytes(self.time)

    @property
    def roster_key(self) -> Ed25519PrivateKey:
        """Signs the roster."""
        return Ed25519PrivateKey.from_private_bytes(self.roster)

    @property
    def ticket_key(self) -> Ed25519PrivateKey:
        """Signs tickets."""
        return Ed25519PrivateKey.from_private_bytes(self.tickets)

    def code_digest(self, code: str) -> bytes:
        """Return what an enrolment code is stored as: 40 bits are tried in no time, so a key goes in."""
        secret = hashlib.sha256(b"gatehouse codes 0\n" + self.identity).digest()
        return hmac.digest(secret, code.encode(), "sha256")

    def document(self, now_s: int) -> SignedKeys:
        """Return the key document as gates are told it."""
        encoded = msgspec.json.encode(
            KeyDocument(
                number=self.number,
                identity=_public(self.identity),
                successor=_public(self.successor),
                lists=_public(self.lists),
                time=_public(self.time),
                roster=_public(self.roster),
                issued_at_s=now_s,
            )
        )
        return SignedKeys(_public(self.identity), encoded, sign_keys(self.identity_key, encoded))


class _Format1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it was before keys could be rolled."""

    identity: bytes
    lists: bytes
    time: bytes
    tickets: bytes


class _Format(msgspec.Struct, frozen=True):
    format: int = 1


def new_keys() -> VenueKeys:
    """Make keys for a new venue."""
    return _upgraded(_Format1(identity=_random(), lists=_random(), time=_random(), tickets=_random()))


def rolled(keys: VenueKeys, role: Role) -> VenueKeys:
    """Return the keys with a new one in this role. A new identity is the successor, who gets a successor in turn."""
    number = keys.number + 1
    if role is Role.IDENTITY:
        changed = {"identity": keys.successor, "successor": _random()}
    else:
        changed = {role.value: _random()}
    return msgspec.structs.replace(keys, number=number, **changed)


def roll(data: Path, role: Role) -> VenueKeys:
    """Roll a key in a data folder; the centre tells its gates once it is started again. CentreFault."""
    keys = rolled(load_or_make(data, may_make=False), role)
    _replace(data / FILE, keys)
    return keys


def load_or_make(data: Path, *, may_make: bool) -> VenueKeys:
    """Read the keys of a data folder, or make them where `may_make`; CentreFault where that cannot be."""
    path = data / FILE
    try:
        return _read(path)
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
    _write(handle, keys)
    return keys


def _read(path: Path) -> VenueKeys:
    content = path.read_bytes()
    found = msgspec.json.decode(content, type=_Format).format
    if found == 1:
        keys = _upgraded(msgspec.json.decode(content, type=_Format1))
        _replace(path, keys)
        return keys
    if found != FORMAT:
        raise CentreFault(
            f"{path} was made by another version (format {found})",
            "Install that version of gatehouse again, or restore the backup made before it.",
        )
    return msgspec.json.decode(content, type=VenueKeys)


def _upgraded(old: _Format1) -> VenueKeys:
    # Below the order of P-256 with a first byte of zero, whatever the rest.
    pages = bytes(1) + os.urandom(KEY_BYTES - 1)
    return VenueKeys(
        number=1,
        identity=old.identity,
        successor=_random(),
        lists=old.lists,
        time=old.time,
        roster=_random(),
        tickets=old.tickets,
        pages=pages,
    )


def _replace(path: Path, keys: VenueKeys) -> None:
    """Put keys in the file's place: after a power cut it is the old file or this one, whole. CentreFault."""
    new = path.with_name(FILE + ".new")
    try:
        _write(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), keys)
        new.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CentreFault(
            f"{path} cannot be written: {error}", "Make the folder writable for this user."
        ) from error


def _write(handle: int, keys: VenueKeys) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(keys))
        file.flush()
        os.fsync(file.fileno())


def _public(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _random() -> bytes:
    return os.urandom(KEY_BYTES)
