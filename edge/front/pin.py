"""The technician's PIN: made once, stored hashed, and guessed at only slowly, also across restarts.

Eight digits fall to a thief of the card in days, whatever the hash; over the page they hold for a lifetime, since
wrong tries are counted on disk before they are answered. They are counted by sender, so that nobody's wrong tries
keep a technician out; together only where somebody has very many addresses, and never with those of a browser in which the PIN was
given before.
"""

import hashlib
import hmac
import logging
import math
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
"""At one try an hour half of all PINs take one sender 5,700 years; a new PIN on the console lifts every wait."""
TRIES_TOGETHER = 50
TRY_AGAIN_S = 60
"""All senders together: 50 wrong tries, and one more for every minute that passes.

With any number of addresses that is 50 + 1440 a day: half of the 10^8 PINs take 5 * 10^7 / 1440 = 34,700 days, 95
years, and a guesser who stays for a month hits with 1 in 2,300. To keep everybody out, somebody must use up a try
every minute: a sender that waits an hour after each has 24 a day, so that takes 60 addresses at once, and even then
a technician's wait is the minute, not the hour.
"""
SENDERS_MAX = 32
"""More than mistype at a gate in an hour; whoever tried first is forgotten first, which `TRIES_TOGETHER` makes harmless."""
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


class _Sender(msgspec.Struct, frozen=True, array_like=True):
    """Wrong tries in a row of one sender; `until_s` is unix time."""

    failures: int
    until_s: float


class _Tries(msgspec.Struct, frozen=True):
    """Wrong tries against the PIN with this salt. `spent` of `TRIES_TOGETHER`, as it stood when this was written."""

    salt: bytes
    spent: float
    senders: dict[str, _Sender]


@dataclass(slots=True)
class _Wait:
    """What one sender has tried; `until_s` is monotonic."""

    failures: int = 0
    until_s: float = -math.inf


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
        self._senders: dict[str, _Wait] = {}
        self._spent = 0.0
        self._spent_at_s = mono_s()
        self._all_until_s = -math.inf

    def mark(self) -> str:
        """Name the PIN that holds now; "" while there is none."""
        stored = self._load()
        return "" if stored is None else stored.salt.hex()

    def check(self, pin: str, sender: str, *, is_known: bool = False) -> Checked:
        """Judge one try of a sender (`perimeter.place`). Takes tens of milliseconds: off the loop, one at a time.

        `is_known`: the sender is a browser in which this PIN was given before: it waits for its own wrong tries alone.
        """
        stored = self._load()
        if stored is None:
            return NoPin()
        now_s = self._mono_s()
        self._spent = max(0.0, self._spent - max(0.0, now_s - self._spent_at_s) / TRY_AGAIN_S)
        self._spent_at_s = now_s
        mine = self._senders.pop(sender, _Wait())
        if mine.failures:
            self._senders[sender] = mine  # at the end: the latest
        together_s = max(0.0, self._spent + 1 - TRIES_TOGETHER) * TRY_AGAIN_S
        others_s = 0.0 if is_known else max(together_s, self._all_until_s - now_s)
        wait_s = max(others_s, mine.until_s - now_s)
        if wait_s > 0:
            return Locked(wait_s)
        # Counted before it is answered, so that pulling the plug buys no free try.
        mine.failures += 1
        mine.until_s = now_s + _wait_s(mine.failures)
        self._spent += 1
        self._senders[sender] = mine
        while len(self._senders) > SENDERS_MAX:
            del self._senders[next(iter(self._senders))]
        self._save_tries(stored)
        if not hmac.compare_digest(_digest(_normal(pin), stored.salt, stored.n), stored.digest):
            log.warning("wrong PIN", extra={"code": "page.pin_wrong", "count": mine.failures})
            return Wrong(_wait_s(mine.failures))
        # Whoever knows it had mistyped: none of these tries was a guess.
        del self._senders[sender]
        self._spent = max(0.0, self._spent - mine.failures)
        self._save_tries(stored)
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
        nothing = _Tries(stored.salt, 0.0, {})
        now_s = self._mono_s()
        self._all_until_s = -math.inf
        try:
            tries = msgspec.json.decode(_read(self._data / TRIES_FILE), type=_Tries)
        except FileNotFoundError:
            tries = nothing
        except (OSError, msgspec.DecodeError):
            # Nobody knows how many there were: begin with a wait for all rather than with free tries.
            tries = nothing
            self._all_until_s = now_s + WAIT_FIRST_S
        if tries.salt != stored.salt:
            tries = nothing
        # A box without a battery wakes in the past: never wait longer than the count of tries asks for.
        self._senders = {
            sender: _Wait(
                one.failures, now_s + min(max(0.0, one.until_s - self._now_s()), _wait_s(one.failures))
            )
            for sender, one in list(tries.senders.items())[-SENDERS_MAX:]
        }
        # What passed while we were off is not told by a clock that somebody may have set: it gives nothing back.
        self._spent = min(max(0.0, tries.spent), float(TRIES_TOGETHER))
        self._spent_at_s = now_s

    def _save_tries(self, stored: _Stored) -> None:
        """Write the tries down; nothing where there are none."""
        unix_s = self._now_s() - self._mono_s()
        senders = {
            sender: _Sender(one.failures, unix_s + one.until_s) for sender, one in self._senders.items()
        }
        try:
            if senders or self._spent:
                tries = _Tries(stored.salt, self._spent, senders)
                _write(self._data / TRIES_FILE, msgspec.json.encode(tries))
            else:
                (self._data / TRIES_FILE).unlink(missing_ok=True)
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
