"""Files that come in: kept on the disk while they do, bounded in size, number and time, gone after the answer."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import IO, Final, NamedTuple

from aiohttp import BodyPartReader, MultipartReader, web

from sync.web.api import Refused

STREAMED: Final = "gatehouse_streamed"
"""Attribute of an aiohttp handler that reads bodies of this media type itself, after it knows who sends them."""
UPLOAD_S: Final = 600.0
"""256 MiB come in over 3.6 Mbit/s."""
UPLOADS_MAX: Final = 4
"""At a time in one process, by people who may: as many times the largest file of the disk."""
PIECE_BYTES: Final = 256 * 1024
RETRY_AFTER_S: Final = 10

PARTS_MAX: Final = 400
"""Fields and files of one form."""

_UNDER_WAY: Final[set[object]] = set()


@contextmanager
def _turn(request: web.Request, bytes_max: int) -> Iterator[None]:
    """Take one of the places for what comes in. Refused where there is none, or it says that it is too large."""
    if len(_UNDER_WAY) >= UPLOADS_MAX:
        raise Refused(
            503, "busy", "Too many files come in at a time. Try again in a moment.",
            more={"retry_after_s": RETRY_AFTER_S},
        )  # fmt: skip
    if (request.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    mark = object()
    _UNDER_WAY.add(mark)
    try:
        yield
    finally:
        _UNDER_WAY.discard(mark)


def _too_large(bytes_max: int) -> Refused:
    return Refused(413, "too_large", f"At most {bytes_max} bytes are taken here; send less at a time.")


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(UPLOAD_S):
            yield
    except TimeoutError as error:
        raise Refused(408, "slow", f"The file took more than {UPLOAD_S:.0f} s to come in.") from error


def unreadable() -> Refused:
    """Return the refusal of a form that no page of ours sends."""
    return Refused(400, "form_unreadable", "This form cannot be read. Load the page again.")


@asynccontextmanager
async def _readable() -> AsyncIterator[None]:
    try:
        yield
    except (ValueError, LookupError) as error:  # as aiohttp says what is no such form
        raise unreadable() from error


@asynccontextmanager
async def uploaded(request: web.Request, bytes_max: int) -> AsyncIterator[IO[bytes]]:
    """Have the body of a request as an open file. Refused where it is too large, too slow, or too many come in."""
    with _turn(request, bytes_max), tempfile.TemporaryFile() as file:
        async with _in_time():
            async for piece in request.content.iter_chunked(PIECE_BYTES):
                if file.tell() + len(piece) > bytes_max:
                    raise _too_large(bytes_max)
                file.write(piece)
        file.seek(0)
        yield file


class Part(NamedTuple):
    """A field of a form. `filename`: None where it is no file, "" where none was chosen."""

    name: str
    filename: str | None
    file: IO[bytes]


@asynccontextmanager
async def parts(request: web.Request, bytes_max: int) -> AsyncIterator[list[Part]]:
    """Have the parts of a form (RFC 7578) as open files. Refused as `uploaded`, and where it is no such form."""
    with _turn(request, bytes_max), ExitStack() as opened:
        found: list[Part] = []
        size = 0
        async with _in_time(), _readable():
            async for part in MultipartReader(request.headers, request.content):
                if not isinstance(part, BodyPartReader) or part.name is None or len(found) >= PARTS_MAX:
                    raise unreadable()
                file = opened.enter_context(tempfile.TemporaryFile())
                while piece := await part.read_chunk(PIECE_BYTES):
                    size += len(piece)
                    if size > bytes_max:
                        raise _too_large(bytes_max)
                    file.write(piece)
                file.seek(0)
                found.append(Part(part.name, part.filename, file))
        yield found
