"""Passwords: Argon2id, in threads of their own, a few at a time; and how good a new one must be."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

CHARS_MIN = 10
"""NIST SP 800-63B-4 asks for 8 beside a second factor and 15 alone; tries are paced by `lockout`."""
CHARS_MAX = 200
"""Longer ones only cost time."""
MEMORY_KIB = 19_456
ROUNDS = 2
"""OWASP's first choice for Argon2id with one lane: 19 MiB, 2 passes; 30 ms of a core here."""
AT_A_TIME = 2
"""40 MiB at most."""
WAITING_MAX = 32
"""A second of work: who comes later is told to try again."""

Result = TypeVar("Result")

_hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1)
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$MsOb21FbVA+xl4xe2hOLKQ$cbygZ7buf82qYqgr4aZ2KUnR7bbXiiiEMlJDPtcs6TM"
"""A hash that no known password has: checked for e-mails that nobody has, so that both take as long."""


def hashed(password: str) -> str:
    """Return what is stored of a password. Blocks for some 30 ms."""
    return _hasher.hash(password)


def matches(password: str, stored: str) -> bool:
    """Whether a password is the one stored. Blocks for some 30 ms."""
    try:
        return _hasher.verify(stored, password[:CHARS_MAX])
    except (VerificationError, InvalidHashError):
        return False


def fault(password: str, email: str) -> str:
    """Return why a new password is not taken, for people; "" for a good one."""
    if len(password) < CHARS_MIN:
        return f"A password has at least {CHARS_MIN} characters."
    if len(password) > CHARS_MAX:
        return f"A password has at most {CHARS_MAX} characters."
    if len(set(password)) < 5 or password.lower() in {
        email.lower(),
        "password123",
        "1234567890",
        "qwertyuiop",
    }:
        return "This password is guessed first. Take a few words that nobody else would put together."
    return ""


def made_up() -> str:
    """Return a random password that can be read out and typed: 80 bits."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


class Busy(Exception):
    """Too many sign-ins at a time."""


class Checker:
    """Checks passwords beside the event loop. `close` it when done."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_A_TIME, "passwords")
        self._waiting = 0

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def matches(self, password: str, stored: str) -> bool:
        """Whether a password is the one stored; Busy where too many are being checked."""
        return await self._beside(matches, password, stored)

    async def hashed(self, password: str) -> str:
        """Return what is stored of a password; Busy where too many are being checked."""
        return await self._beside(hashed, password)

    async def _beside(self, work: Callable[..., Result], *given: str) -> Result:
        if self._waiting >= WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)
        finally:
            self._waiting -= 1
