"""What a capability says of its part of `/api/v1`: typed routes, and the values that go in and out of handlers.

A handler is a plain function `handler(connection, asked) -> answer`, run in a thread of the database, in one
transaction; `Refused` (or any exception) undoes it. The OpenAPI document is made from the same types, so a struct that
is not what the route takes or gives cannot be documented.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import IO, Annotated, Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from sync.accounts.principal import Actor, Principal, Role
from sync.keys import VenueKeys

__all__ = [
    "Actor", "Asked", "Batch", "Body", "Caller", "Count", "Download", "Handler", "Id", "Line", "Name", "Page", "Paged", "Principal",
    "Query", "Refused", "Role", "Route", "Seconds", "cursor_of", "page_of", "read_cursor",
]  # fmt: skip

BODY_BYTES_MAX = 256 * 1024
"""A JSON body: an order of 500 lines is 100 kB. A route that takes files says its own limit."""
PAGE_ITEMS = 50
PAGE_ITEMS_MAX = 200
CURSOR_CHARS_MAX = 512
NUMBER_MAX = 2**53 - 1
"""What a JSON number holds exactly in every language (RFC 8259, 6); a signed 64-bit column holds it too."""
PATH_NUMBER = r"\d{1,16}"

Id = Annotated[
    int, msgspec.Meta(ge=1, le=NUMBER_MAX, description="Number of something, given by the centre.")
]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Seconds = Annotated[
    int, msgspec.Meta(ge=0, le=253_402_300_799, description="Unix seconds, UTC; up to year 9999.")
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Line = Annotated[str, msgspec.Meta(max_length=1000)]

T = TypeVar("T")


class Refused(Exception):
    """The request is not done; the transaction is undone. Answered as an RFC 9457 problem.

    `code`: one stable word for programs; `detail`: for people, with the next step.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, more: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.more = dict(more or {})


def not_found(what: str) -> Refused:
    """Return the refusal for what is not there, or is another organization's: the two look the same."""
    return Refused(404, "not_found", f"There is no such {what}.")


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of request bodies: a field that is not known is refused, not ignored."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of query parameters: flat, strings and numbers only."""


class Paged(Query, frozen=True, kw_only=True):
    """Query of a list: where to go on, and how many at most."""

    cursor: Annotated[str, msgspec.Meta(max_length=CURSOR_CHARS_MAX)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next` is the cursor of the page behind it, null on the last one."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """A file as an answer. An open file as `data` is read while it is sent, then closed."""

    media_type: str
    name: str
    data: bytes | IO[bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as a handler sees it. `path`: the numbers in the path; `texts`: the texts in it."""

    principal: Principal
    path: Mapping[str, int]
    query: Any
    body: Any
    now_s: int
    keys: VenueKeys
    texts: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Connection, Asked], Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for what is answered together with others, before a transaction has said who that is.

    `token`: the digest of the token sent; None where none of ours was, and `found` says who it is otherwise.
    """

    token: bytes | None
    found: Callable[[Connection], Principal | None]
    admitted: Callable[[Principal | None], Principal]
    """Returns who it is, if they may ask this of their own organization's things; else Refused."""


class Batch(Protocol):
    """Answers requests together, where one transaction for each would be too slow."""

    async def put(self, asked: Asked, caller: Caller) -> bytes:
        """Return the answer as JSON, once it is durable. Refused as by any route.

        Who asks is found in the transaction of the answer, and what the path names must be their organization's; until
        then the principal in `asked` is nobody.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. In `path`, `{name}` is a number and `{name:text}` a text of one segment.

    `answer`: a struct, `Page[struct]`, `Download` or None (204). `body`: a struct, or bytes for a file of `media_type`.
    `role`: the least one that may (`Role.may`); None: nobody needs to sign in. `writes`: runs in a writing transaction.
    `idempotent`: an `Idempotency-Key` makes a repeated request the same one.
    """

    method: str
    path: str
    handler: Handler
    answer: Any
    body: Any = None
    query: type[Query] | None = None
    role: Role | None = Role.VIEWER
    writes: bool = False
    summary: str = ""
    idempotent: bool = False
    status: int = 200
    body_bytes_max: int = BODY_BYTES_MAX
    media_type: str = "application/json"
    anywhere: bool = False
    """For every token, also a device's and one that is for one event only."""
    takes_file: bool = False
    """The body is a file: kept on the disk while it comes in, handed over open, and closed after the answer. Only from
    those who may."""
    prepare: Handler | None = None
    """Of a route that writes: reads, in a transaction that does not write; what it returns is the handler's body."""
    batch: str = ""
    """Answered with others in one transaction: by the `Batch` of this name that the application has."""

    @property
    def parameters(self) -> tuple[tuple[str, bool], ...]:
        """Return the names in the path, in order, and whether each is a text."""
        return _parameters(self.path)

    @property
    def plain_path(self) -> str:
        """Return the path as OpenAPI writes it."""
        return _PARAMETER.sub(r"{\1}", self.path)

    @property
    def key(self) -> str:
        """Return what tells this route from all others."""
        return f"{self.method} {self.plain_path}"


_PARAMETER = re.compile(r"\{([a-z_]+)(:text)?\}")


@cache
def _parameters(path: str) -> tuple[tuple[str, bool], ...]:
    """Return the names in a route's path, and whether each is a text: every request asks for them."""
    return tuple((name, kind == ":text") for name, kind in _PARAMETER.findall(path))


def cursor_of(*position: int | str) -> str:
    """Return where a page ended, as text that callers only hand back."""
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> tuple[Any, ...] | None:
    """Return the position in a cursor, one value for each kind (int or str); None for the first page.

    Refused where it is no cursor of this list.
    """
    if not cursor:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[int | str, ...])
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise Refused(400, "bad_cursor", "This cursor is not of this list. Begin without one.") from error
    fits = len(found) == len(kinds) and all(
        type(value) is kind and (kind is not int or abs(int(value)) <= NUMBER_MAX)
        for value, kind in zip(found, kinds, strict=True)
    )
    if not fits or any(isinstance(value, str) and "\0" in value for value in found):
        raise Refused(400, "bad_cursor", "This cursor is not of this list. Begin without one.")
    return found


def page_of(found: Sequence[T], limit: int, position: Callable[[T], tuple[int | str, ...]]) -> Page[T]:
    """Return a page of what was asked for with `limit` + 1 rows; `position`: what the list is sorted by, unique."""
    items = tuple(found[:limit])
    return Page(items, cursor_of(*position(items[-1])) if len(found) > limit else None)
