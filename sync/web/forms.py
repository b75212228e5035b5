"""What a form or a query of a page sent: fields as text, files with their names; nothing that no page of ours sends."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import IO, Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol

FIELDS_MAX = 400
"""A form has a few dozen fields; a lane plan with every session ticked some hundred."""
FIELD_CHARS_MAX = 4_000
"""A note is shorter; what is longer comes as a file to the import."""
TEXT_CHARS_MAX = 3_000_000
"""The one field that holds a pasted list: 100,000 rows of 30 characters."""
FORM_WITH_FILES = "multipart/form-data"
UPLOAD_BYTES_MAX = 257 * 1024 * 1024
"""The largest list, and the fields beside it."""


class Form(Mapping[str, str]):
    """What a form or a query sent: text by name, stripped; `all` where a name may come several times."""

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]] = (),
        files: Mapping[str, tuple[str, bytes | IO[bytes]]] | None = None,
    ) -> None:
        self.files = dict(files or {})
        """Files that were chosen: their name and content, by field."""
        self._values: dict[str, list[str]] = {}
        self._typed = dict(pairs)
        for name, value in pairs:
            self._values.setdefault(name, []).append(value.strip())

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str:
        """Return a field; "" where it did not come."""
        return self.get(name, "")

    def raw(self, name: str) -> str:
        """Return a field as it was typed: a password may begin with a space."""
        return self._typed.get(name, "")

    def number(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number within bounds; None where that is not what was written."""
        try:
            value = int(self.text(name))
        except ValueError:
            return None
        return value if least <= value <= most else None

    def all(self, name: str) -> list[str]:
        """Return every value of a name, in the order of the page."""
        return list(self._values.get(name, ()))


async def form_of(request: web.Request) -> Form | None:
    """Return a form that was posted; None for what no page of ours sends."""
    try:
        if request.content_type == FORM_WITH_FILES:
            return await _parts_of(request)
        posted = await request.post()
    except (ValueError, LookupError):
        return None
    return form_from([(name, str(value)) for name, value in posted.items()], {})


async def _parts_of(request: web.Request) -> Form | None:
    """Return a form with files (RFC 7578). The doors have read its body, so its parts come from memory."""
    whole, loop = await request.read(), asyncio.get_running_loop()
    # All of it at once: there is nobody to hold back.
    stream = StreamReader(BaseProtocol(loop), len(whole), loop=loop)
    stream.feed_data(whole)
    stream.feed_eof()
    pairs: list[tuple[str, str]] = []
    files: dict[str, tuple[str, bytes]] = {}
    async for part in MultipartReader(request.headers, stream):
        if not isinstance(part, BodyPartReader) or part.name is None or len(pairs) + len(files) >= FIELDS_MAX:
            return None
        body = bytes(await part.read())
        if part.filename is None:
            pairs.append((part.name, body.decode()))
        elif part.filename:  # "" where no file was chosen
            files[part.name] = (part.filename, body)
    return form_from(pairs, files)


def form_from(
    pairs: Sequence[tuple[str, str]], files: Mapping[str, tuple[str, bytes | IO[bytes]]]
) -> Form | None:
    """Return a form of what was read; None for what no page of ours sends."""
    if len(pairs) > FIELDS_MAX or any("\0" in value for _, value in pairs):  # PostgreSQL takes no NUL in text
        return None
    longest = {"pasted": TEXT_CHARS_MAX}
    return Form([(name, value[: longest.get(name, FIELD_CHARS_MAX)]) for name, value in pairs], files)
