"""Bytes of a spreadsheet export, as rows of cells: encoding and delimiter are found out, sizes are bounded."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, NamedTuple

from sync.imports.faults import BadFile

FILE_BYTES_MAX = 256 * 1024 * 1024
"""A million rows of 256 bytes."""
ROWS_MAX = 1_000_000
"""The largest event; a longer list is cut in two by whoever sends it."""
COLUMNS_MAX = 200
"""Shops add a column per question asked."""
CELL_CHARS_MAX = 4096
"""As long as the longest code (`admission.credentials.TEXT_BYTES_MAX`). More is a quotation mark never closed."""

DELIMITERS = (";", "\t", ",", "|")
"""In the order in which a tie goes: `;` is what spreadsheets of comma-decimal countries write."""
_SNIFF_BYTES = 4096
_PIECE_BYTES = 256 * 1024
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SPREADSHEET_HINT = "sep="
"""First line of some exports: names the delimiter."""


class Row(NamedTuple):
    """One row as a spreadsheet numbers it, from 1."""

    number: int
    cells: list[str]


class Sheet(NamedTuple):
    """A file that can be read: how it is written, and its rows. `rows` may be read once."""

    encoding: str
    delimiter: str
    rows: Iterator[Row]


def sheet(data: bytes | IO[bytes]) -> Sheet:
    """Return the rows of a file, empty ones left out. BadFile here or while reading them, where it is no such file.

    An open file is read from its beginning and left open.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    if file.seek(0, io.SEEK_END) > FILE_BYTES_MAX:
        raise BadFile(
            f"the file has more than {FILE_BYTES_MAX // 2**20} MiB",
            "Cut it into several files, each with its heading.",
        )
    encoding = encoding_of(file)
    file.seek(0)
    # The five bytes that Windows-1252 leaves unassigned become U+FFFD, which the row's check names.
    text = _Text(file, encoding, errors="replace" if encoding == "cp1252" else "strict", newline="")
    head = text.read(_SNIFF_BYTES)
    text.seek(0)
    first = head.split("\n", 1)[0].strip().strip('"')
    if first[:4].lower() == _SPREADSHEET_HINT and first[4:] in DELIMITERS:
        delimiter, skipped = first[4:], 1
    else:
        delimiter, skipped = delimiter_of(head), 0
    rows = _rows(text, delimiter, skipped)
    heading = next(rows, None)
    if heading is None:
        raise BadFile("the file is empty", "Export it again; it needs a heading and a row for each ticket.")
    return Sheet(_NAMES.get(encoding, encoding), delimiter, chain((heading,), rows))


class _Text(io.TextIOWrapper):
    """A file's text. The file is somebody else's to close."""

    def close(self) -> None:
        """Leave it open."""


_NAMES = {"utf-8-sig": "utf-8", "cp1252": "windows-1252"}


def encoding_of(file: IO[bytes]) -> str:
    """Return a file's encoding: by its BOM, by its NULs, as UTF-8, or Windows-1252, which any bytes are."""
    file.seek(0)
    head = file.read(_SNIFF_BYTES)
    said = next((encoding for bom, encoding in _BOMS if head.startswith(bom)), "")
    if not said and head.count(0) * 4 >= len(head) > 1:  # Latin letters in UTF-16: every other byte is 0
        said = "utf-16-le" if head[1] == 0 else "utf-16-be"
    bad = _not_in(file, said or "utf-8")
    if bad is None:
        return said or "utf-8"
    if said:
        raise BadFile(f"the file says it is {said} and is not, at byte {bad}", "Save it again as CSV UTF-8.")
    return "cp1252"


def _not_in(file: IO[bytes], encoding: str) -> int | None:
    """Return where a file is not of an encoding; None where it is throughout."""
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    while True:
        at = file.tell() - len(decoder.getstate()[0])
        piece = file.read(_PIECE_BYTES)
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            return at + error.start
        if not piece:
            return None


def delimiter_of(head: str) -> str:
    """Return the delimiter of a text's first line, quoted parts aside; `,` where it has one column."""
    quoted, counts = False, dict.fromkeys(DELIMITERS, 0)
    for char in head.lstrip():
        if char == '"':
            quoted = not quoted
        elif char == "\n" and not quoted:
            break
        elif char in counts and not quoted:
            counts[char] += 1
    best = max(DELIMITERS, key=lambda one: counts[one])
    return best if counts[best] else ","


def _rows(text: Iterable[str], delimiter: str, skipped: int) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=delimiter)
    number, filled = 0, 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadFile(
                f"row {number} cannot be read: {error}",
                "Look for a quotation mark that is never closed, near that row or before it.",
            ) from error
        if number <= skipped or not any(cells):
            continue
        filled += 1
        if filled > ROWS_MAX + 1:
            raise BadFile(
                f"the file has more than {ROWS_MAX} rows", "Cut it into several, each with its heading."
            )
        if len(cells) > COLUMNS_MAX:
            raise BadFile(
                f"row {number} has {len(cells)} columns, at most {COLUMNS_MAX}",
                "Export the columns of tickets only; is the delimiter right?",
            )
        yield Row(number, cells)
