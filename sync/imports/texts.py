"""Bytes of a spreadsheet export, as rows of cells: encoding and delimiter are found out, sizes are bounded."""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from sync.imports.faults import BadFile

FILE_BYTES_MAX = 256 * 1024 * 1024
"""A million rows of 256 bytes; read whole, once."""
ROWS_MAX = 1_000_000
"""The largest event; a longer list is cut in two by whoever sends it."""
COLUMNS_MAX = 200
"""Shops add a column per question asked."""
CELL_CHARS_MAX = 4096
"""As long as the longest code (`admission.credentials.TEXT_BYTES_MAX`). More is a quotation mark never closed."""

DELIMITERS = (";", "\t", ",", "|")
"""In the order in which a tie goes: `;` is what spreadsheets of comma-decimal countries write."""
_SNIFF_BYTES = 4096
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


def sheet(data: bytes) -> Sheet:
    """Return the rows of a file, empty ones left out. BadFile here or while reading them, where it is no such file."""
    if len(data) > FILE_BYTES_MAX:
        raise BadFile(
            f"the file has more than {FILE_BYTES_MAX // 2**20} MiB",
            "Cut it into several files, each with its heading.",
        )
    text, encoding = decoded(data)
    if not text.strip():
        raise BadFile("the file is empty", "Export it again; it needs a heading and a row for each ticket.")
    first = text.split("\n", 1)[0].strip().strip('"')
    if first[:4].lower() == _SPREADSHEET_HINT and first[4:] in DELIMITERS:
        delimiter, skipped = first[4:], 1
    else:
        delimiter, skipped = delimiter_of(text[:_SNIFF_BYTES]), 0
    return Sheet(encoding, delimiter, _rows(text, delimiter, skipped))


def decoded(data: bytes) -> tuple[str, str]:
    """Return a file's text and the name of its encoding: by its BOM, by its NULs, as UTF-8, or as Windows-1252."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _decode(data, encoding)
    head = data[:_SNIFF_BYTES]
    if head.count(0) * 4 >= len(head) > 1:  # Latin letters in UTF-16: every other byte is 0
        return _decode(data, "utf-16-le" if head[1] == 0 else "utf-16-be")
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        # Its five unassigned bytes become U+FFFD, which the row's check names.
        return data.decode("cp1252", errors="replace"), "windows-1252"


def _decode(data: bytes, encoding: str) -> tuple[str, str]:
    try:
        return data.decode(encoding), encoding.removesuffix("-sig")
    except UnicodeDecodeError as error:
        raise BadFile(
            f"the file says it is {encoding} and is not, at byte {error.start}", "Save it again as CSV UTF-8."
        ) from error


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


def _rows(text: str, delimiter: str, skipped: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
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
