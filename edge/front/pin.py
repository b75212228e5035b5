"""The technician's PIN: made once, stored hashed, and guessed at only slowly, also across restarts.

Eight digits fall to a thief of the card in days, whatever the hash; over the page they hold for centuries, since
wrong tries are counted on disk before they are answered.
"""

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

FILE = "pin.json"
TRIES_FILE = "pin_tries.json"
PIN_DIGITS = 8
TRIES_FREE = 5
"""EN 303 645 5.1-5: brute force made impracticable; a person mistypes a few times."""
WAIT_FIRST_S = 30
WAIT_MAX_S = 3600
"""At one try an hour half of all PINs take 5,700 years; a technician who must wait makes a new PIN on the console."""
SCRYPT_N = 2**14
"""16 MiB for one try, about 50 ms on a PC: the memory must fit beside a gate on a 1 GB box."""
SCRYPT_R = 8
SALT_BYTES = 16
FILE_BYTES_MAX = 4096

log = logging.getLogger("edge.front.pin")


class _Stored(msgspec.Struct, frozen=True):
    """What is on disk of a PIN."""

    salt: bytes
    digest: bytes
    n: int = SCRYPT_N


class _Tries(msgspec.Struct, frozen=True):
    """Wrong tries in a row against the PIN with this salt; `until_s` is unix time."""

    salt: bytes
    failures: int
    until_s: float


@dataclass(frozen=True, slots=True)
class Right:
    """The PIN. `mark` names it: a session made with it ends when the PIN is replaced."""

    mark: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """Not the PIN; `wait_s` until the next try, 0 for at once."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Locked:
    """Too many wrong tries; nothing was looked at."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class NoPin:
    """There is no PIN yet: `gatehouse-edge pin` makes one."""


Checked = Right | Wrong | Locked | NoPin


def new_pin(data: Path) -> str:
    """Make a new PIN, store its hash, forget all wrong tries and return it: the only time it is seen."""
    pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"
    salt = secrets.token_bytes(SALT_BYTES)
    _write(data / FILE, msgspec.json.encode(_Stored(salt, _digest(pin, salt, SCRYPT_N))))
    (data / TRIES_FILE).unlink(missing_ok=True)
    return pin


def first_pin(data: Path) -> str | None:
    """Make the PIN of a new box and return it; None where there is one already."""
    return None if (data / FILE).exists() else new_pin(data)


class PinLock:
    """Checks PINs. `now_s` is unix time, `mono_s` monotonic: a clock that is set forward shortens no wait."""

    def __init__(self, data: Path, now_s: Callable[[], float], mono_s: Callable[[], float]) -> None:
        self._data = data
        self._now_s = now_s
        self._mono_s = mono_s
        self._seen: tuple[int, int] | None = None
        self._stored: _Stored | None = None
        self._failures = 0
        self._until_s = 0.0

    def mark(self) -> str:
        """Name the PIN that holds now; "" while there is none."""
        stored = self._load()
        return "" if stored is None else stored.salt.hex()

    def check(self, pin: str) -> Checked:
        """Judge one try. Takes tens of milliseconds: call it off the loop, one at a time."""
        stored = self._load()
        if stored is None:
            return NoPin()
        wait_s = self._until_s - self._mono_s()
        if wait_s > 0:
            return Locked(wait_s)
        # Counted before it is answered, so that pulling the plug buys no free try.
        self._failures += 1
        wait_s = _wait_s(self._failures)
        self._until_s = self._mono_s() + wait_s
        self._save_tries(stored)
        if not hmac.compare_digest(_digest(_normal(pin), stored.salt, stored.n), stored.digest):
            log.warning("wrong PIN", extra={"code": "page.pin_wrong", "count": self._failures})
            return Wrong(wait_s)
        self._failures = 0
        self._until_s = 0.0
        (self._data / TRIES_FILE).unlink(missing_ok=True)
        return Right(stored.salt.hex())

    def _load(self) -> _Stored | None:
        """Read the PIN again only where the file is another one: `gatehouse-edge pin` may have replaced it."""
        path = self._data / FILE
        try:
            stat = path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen != self._seen:
                self._stored = msgspec.json.decode(_read(path), type=_Stored)
                self._seen = seen
                self._load_tries(self._stored)
        except (OSError, msgspec.DecodeError) as error:
            if not isinstance(error, FileNotFoundError):
                log.error(  # noqa: TRY400 - the message says all; a trace would tell an operator nothing more
                    "the PIN file cannot be read; make a new PIN with `gatehouse-edge pin`",
                    extra={"code": "page.pin_unreadable"},
                )
            self._seen = self._stored = None
        return self._stored

    def _load_tries(self, stored: _Stored) -> None:
        try:
            tries = msgspec.json.decode(_read(self._data / TRIES_FILE), type=_Tries)
        except FileNotFoundError:
            tries = _Tries(stored.salt, 0, 0.0)
        except (OSError, msgspec.DecodeError):
            # Nobody knows how many there were: begin at the first wait rather than with free tries.
            tries = _Tries(stored.salt, TRIES_FREE, self._now_s() + WAIT_FIRST_S)
        if tries.salt != stored.salt:
            tries = _Tries(stored.salt, 0, 0.0)
        self._failures = max(0, tries.failures)
        # A box without a battery wakes in the past: never wait longer than the count of tries asks for.
        wait_s = min(max(0.0, tries.until_s - self._now_s()), _wait_s(self._failures))
        self._until_s = self._mono_s() + wait_s

    def _save_tries(self, stored: _Stored) -> None:
        wait_s = self._until_s - self._mono_s()
        try:
            tries = _Tries(stored.salt, self._failures, self._now_s() + wait_s)
            _write(self._data / TRIES_FILE, msgspec.json.encode(tries))
        except OSError:
            # A full card must not keep the technician out; this process still counts.
            log.warning("wrong tries cannot be stored", extra={"code": "page.tries"})


def _wait_s(failures: int) -> float:
    """How long after so many wrong tries in a row."""
    if failures < TRIES_FREE:
        return 0.0
    return float(min(WAIT_MAX_S, WAIT_FIRST_S * 2 ** min(failures - TRIES_FREE, 16)))


def _normal(pin: str) -> str:
    """People read a PIN in groups and type it so."""
    return "".join(pin[:64].split())


def _digest(pin: str, salt: bytes, n: int) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=n, r=SCRYPT_R, p=1, maxmem=2 * 128 * n * SCRYPT_R)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX)


def _write(path: Path, content: bytes) -> None:
    """Replace a file durably; readable by the gate alone."""
    new = path.with_suffix(".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
