"""The venue's private keys: one file, 0600, beside the database and never in it.

Whoever copies the database alone can mint nothing. Losing the file means enrolling every gate again and voiding every
ticket signed by it, so it belongs in every backup.

Gates pin two identities: the one in use and its successor. So either can be lost or stolen, and the other still names
the keys that gates are to believe (`roll`).
"""

import functools
import hashlib
import hmac
import logging
import os
from enum import Enum
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.store.database import CentreFault
from sync.wire.messages import KeyDocument, SignedKeys, sign_keys

FILE = "keys.json"
FORMAT = 3
KEY_BYTES = 32
PARSED_MAX = 64
"""Private keys kept ready to sign: five for each venue of a process, those of before a roll, and those of tests."""

log = logging.getLogger("sync.keys")


class Role(Enum):
    """Keys that can be rolled."""

    IDENTITY = "identity"
    LISTS = "lists"
    TIME = "time"
    ROSTER = "roster"
    TICKETS = "tickets"


class KeySet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: raw Ed25519 private keys. `identity` signs the key document that names the others; gates pin it."""

    format: int = FORMAT
    number: int
    """Of the key document; it rises whenever a key that it names is rolled."""
    identity: bytes
    successor: bytes
    """The identity after this one."""
    lists: bytes
    time: bytes
    roster: bytes
    tickets: bytes
    former_tickets: tuple[bytes, ...] = ()
    """Public: what tickets were signed with before, and are still read by."""
    pages: bytes
    """Raw P-256 private key of the authority that certifies gates' pages (`sync.gates.certificates`)."""
    accounts: bytes
    """Not a key to sign with: what people's second factors and enrolment codes are stored under. Never rolled."""

    def __repr__(self) -> str:
        return "KeySet(…)"


class VenueKeys:
    """A venue's keys, as its file has them now where there is one: a key rolled in the file is in use at once.

    Whoever keeps what it signed notes the `number` from before it signed, and signs anew once that is another.
    """

    def __init__(self, held: KeySet, path: Path | None = None) -> None:
        self._held = held
        self._path = path
        self._seen = _place(path)

    def __repr__(self) -> str:
        return "VenueKeys(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VenueKeys) and self.held == other.held

    __hash__ = None  # type: ignore[assignment]  # what changes by itself is no key of a dict

    @property
    def held(self) -> KeySet:
        """The keys as they are now."""
        seen = _place(self._path)
        if seen != self._seen and self._path is not None:
            self._seen = seen
            self._take_up(self._path)
        return self._held

    def _take_up(self, path: Path) -> None:
        try:
            found = _read(path)
        except (CentreFault, msgspec.DecodeError, OSError) as error:
            log.error("%s cannot be read, the keys of before stay in use: %s", path, type(error).__name__)  # noqa: TRY400 - a trace would show no more
            return
        if found != self._held:
            self._held = found
            log.warning("the keys of document %d are in use", found.number)

    @property
    def number(self) -> int:
        """Of the key document; it rises whenever a key that it names is rolled."""
        return self.held.number

    @property
    def pages(self) -> bytes:
        """Raw P-256 private key of the authority that certifies gates' pages."""
        return self.held.pages

    @property
    def accounts(self) -> bytes:
        """What people's second factors are stored under."""
        return self.held.accounts

    @property
    def identity_key(self) -> Ed25519PrivateKey:
        """Signs the key document."""
        return _private(self.held.identity)

    @property
    def list_key(self) -> Ed25519PrivateKey:
        """Signs lists, changes to them, and their seals."""
        return _private(self.held.lists)

    @property
    def time_key(self) -> Ed25519PrivateKey:
        """Signs the time, and answers."""
        return _private(self.held.time)

    @property
    def roster_key(self) -> Ed25519PrivateKey:
        """Signs the roster."""
        return _private(self.held.roster)

    @property
    def ticket_key(self) -> Ed25519PrivateKey:
        """Signs tickets."""
        return _private(self.held.tickets)

    @property
    def ticket_publics(self) -> tuple[bytes, ...]:
        """What tickets of this centre are read by: the key that signs now, and those before it."""
        held = self.held
        return (_public(held.tickets), *held.former_tickets)

    def code_digest(self, code: str) -> bytes:
        """Return what an enrolment code is stored as: 40 bits are tried in no time, so a key goes in."""
        secret = hashlib.sha256(b"gatehouse codes 0\n" + self.held.accounts).digest()
        return hmac.digest(secret, code.encode(), "sha256")

    def document(self, now_s: int) -> SignedKeys:
        """Return the key document as gates are told it."""
        held = self.held
        encoded = msgspec.json.encode(
            KeyDocument(
                number=held.number,
                identity=_public(held.identity),
                successor=_public(held.successor),
                lists=_public(held.lists),
                time=_public(held.time),
                roster=_public(held.roster),
                issued_at_s=now_s,
            )
        )
        return SignedKeys(_public(held.identity), encoded, sign_keys(_private(held.identity), encoded))


class _Format1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it was before keys could be rolled."""

    identity: bytes
    lists: bytes
    time: bytes
    tickets: bytes


class _Format2(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it was before ticket keys could be rolled."""

    format: int
    number: int
    identity: bytes
    successor: bytes
    lists: bytes
    time: bytes
    roster: bytes
    tickets: bytes
    pages: bytes


class _Format(msgspec.Struct, frozen=True):
    format: int = 1


def new_keys() -> VenueKeys:
    """Make keys for a new venue."""
    return VenueKeys(_new_set())


def rolled(keys: VenueKeys, role: Role) -> VenueKeys:
    """Return the keys with a new one in this role. A new identity is the successor, who gets a successor in turn."""
    held = keys.held
    if role is Role.TICKETS:  # not in the key document: gates know them by their lists
        former = (_public(held.tickets), *held.former_tickets)
        return VenueKeys(msgspec.structs.replace(held, tickets=_random(), former_tickets=former))
    if role is Role.IDENTITY:
        changed = {"identity": held.successor, "successor": _random()}
    else:
        changed = {role.value: _random()}
    return VenueKeys(msgspec.structs.replace(held, number=held.number + 1, **changed))


def roll(data: Path, role: Role) -> VenueKeys:
    """Roll a key in a data folder; a running centre takes it up by itself. CentreFault."""
    keys = rolled(load_or_make(data, may_make=False), role)
    replace(data, keys)
    return keys


def replace(data: Path, keys: VenueKeys) -> None:
    """Put keys into a data folder: after a power cut it is the old file or this one, whole. CentreFault."""
    _replace(data / FILE, keys.held)


def load_or_make(data: Path, *, may_make: bool) -> VenueKeys:
    """Read the keys of a data folder, or make them where `may_make`; CentreFault where that cannot be."""
    path = data / FILE
    try:
        return VenueKeys(_read(path), path)
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
    keys = _new_set()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:  # another process of ours was quicker
        return load_or_make(data, may_make=False)
    except OSError as error:
        raise CentreFault(
            f"{path} cannot be written: {error}", "Make the folder writable for this user."
        ) from error
    _write(handle, keys)
    return VenueKeys(keys, path)


def _read(path: Path) -> KeySet:
    content = path.read_bytes()
    found = msgspec.json.decode(content, type=_Format).format
    if found in {1, 2}:
        keys = (
            _of_format_1(msgspec.json.decode(content, type=_Format1))
            if found == 1
            else _of_format_2(msgspec.json.decode(content, type=_Format2))
        )
        _replace(path, keys)
        return keys
    if found != FORMAT:
        raise CentreFault(
            f"{path} was made by another version (format {found})",
            "Install that version of gatehouse again, or restore the backup made before it.",
        )
    return msgspec.json.decode(content, type=KeySet)


def _new_set() -> KeySet:
    return _of_format_1(_Format1(identity=_random(), lists=_random(), time=_random(), tickets=_random()))


def _of_format_1(old: _Format1) -> KeySet:
    # Below the order of P-256 with a first byte of zero, whatever the rest.
    pages = bytes(1) + os.urandom(KEY_BYTES - 1)
    more = _Format2(
        format=2, number=1, successor=_random(), roster=_random(), pages=pages, **msgspec.structs.asdict(old)
    )
    return _of_format_2(more)


def _of_format_2(old: _Format2) -> KeySet:
    # What was stored until now was stored under the identity.
    return KeySet(**{**msgspec.structs.asdict(old), "format": FORMAT}, accounts=old.identity)


def _replace(path: Path, keys: KeySet) -> None:
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


def _write(handle: int, keys: KeySet) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(keys))
        file.flush()
        os.fsync(file.fileno())


def _place(path: Path | None) -> tuple[int, int] | None:
    """Return what another file in the same place differs by; None where there is none."""
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns) if status is not None else None


@functools.lru_cache(PARSED_MAX)
def _private(raw: bytes) -> Ed25519PrivateKey:
    """Return a key ready to sign: making it costs as much as a signature."""
    return Ed25519PrivateKey.from_private_bytes(raw)


def _public(private: bytes) -> bytes:
    return _private(private).public_key().public_bytes_raw()


def _random() -> bytes:
    return os.urandom(KEY_BYTES)
