"""Two organizations with people and tokens of every role, and requests as their programs send them."""

from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from argon2 import PasswordHasher
from multidict import CIMultiDictProxy

from sync.accounts import tokens, users
from sync.accounts.principal import Role
from sync.events import houses
from sync.store.database import Database
from tests.sync.requests import NOW_S

PASSWORD = "four words nobody says"
OURS = 1
"""The organization of the demo venue."""


@dataclass(frozen=True)
class Said:
    """What came back."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The problem's word; "" where it is no problem."""
        if self.headers.get("Content-Type") != "application/problem+json":
            return ""
        assert self.json["status"] == self.status
        return str(self.json["title"])


class Caller:
    """Somebody's program: JSON requests with a token."""

    def __init__(self, url: str, token: str = "", **headers: str) -> None:
        self.url = url
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=20), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Said:
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            return Said(response.status, await response.read(), response.headers)


def token_of(
    database: Database, role: Role, organization: int = OURS, event: int = 0, life_s: int = 3600
) -> str:
    with database.writing() as connection:
        _, secret = tokens.add(
            connection, organization, f"{role.value} program", role, NOW_S + life_s, NOW_S, event
        )
    return secret


@cache
def stored(password: str) -> str:
    """A password's hash that is checked at once: Argon2 reads from it what it may cost. Ours cost 30 ms."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def person(database: Database, email: str, role: Role, organization: int = OURS) -> int:
    with database.writing() as connection:
        name, known = email.partition("@")[0], stored(PASSWORD)
        return users.add_hashed(connection, organization, email, name, role, known, NOW_S)


def other_organization(database: Database, name: str = "The rival") -> int:
    with database.writing() as connection:
        return houses.add_organization(connection, houses.NewOrganization(name=name), NOW_S)
