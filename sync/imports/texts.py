"""Bytes of a spreadsheet export, as rows of cells: encoding and delimiter are found out, sizes are bounded.

No more of a file than one row is in memory at a time, whatever somebody put into it.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import IO, NamedTuple

from sync.imports.faults import BadFile, FileFault

FILE_BYTES_MAX = 256 * 1024 * 1024
"""A million rows of 256 bytes."""
ROWS_MAX = 1_000_000
"""The largest event; a longer list is cut in two by whoever sends it."""
COLUMNS_MAX = 200
"""Shops add a column per question asked."""
CELL_CHARS_MAX = 4096
"""As long as the longest code (`admission.credentials.TEXT_BYTES_MAX`). More is a quotation mark never closed."""
LINE_CHARS_MAX = COLUMNS_MAX * CELL_CHARS_MAX
"""All columns, each as long as may be: what is longer is no list, and is not read to its end."""

DELIMITERS = (";", "\t", ",", "|")
"""In the order in which a tie goes: `;` is what spreadsheets of comma-decimal countries write."""
_SNIFF_BYTES = 4096
_PIECE_BYTES = 256 * 1024
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NO_TEXTS = (
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"%PDF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x1f\x8b",
    b"{\\rtf",
)
"""How what people send by mistake begins: xlsx and ods, xls, PDF, pictures, gzip, RTF. No list of codes does."""
_SPREADSHEET_HINT = "sep="
"""First line of some exports: names the delimiter."""
_LINE_END = re.compile("[\r\n]")
_END = "\0end of the file\0"
"""Fed to the parser behind the last line: a quotation mark that is never closed swallows it, and all rows before it."""


class Row(NamedTuple):
    """One row as a spreadsheet numbers it, from 1. `lines`: of the file that it takes."""

    number: int
    cells: list[str]
    lines: int = 1


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
        raise BadFile(FileFault.TOO_LARGE, most=FILE_BYTES_MAX // 2**20)
    encoding = encoding_of(file)
    file.seek(0)
    # The five bytes that Windows-1252 leaves unassigned become U+FFFD, which the row's check names.
    text = _Text(file, encoding, errors="replace" if encoding == "cp1252" else "strict", newline="")
    head = text.read(_SNIFF_BYTES)
    text.seek(0)
    first = _LINE_END.split(head, maxsplit=1)[0].strip(" ").strip('"')
    if first[:4].lower() == _SPREADSHEET_HINT and first[4:] in DELIMITERS:
        delimiter, skipped = first[4:], 1
    else:
        delimiter, skipped = delimiter_of(head), 0
    rows = _rows(text, delimiter, skipped)
    heading = next(rows, None)
    if heading is None:
        raise BadFile(FileFault.EMPTY)
    return Sheet(_NAMES.get(encoding, encoding), delimiter, chain((heading,), rows))


class _Text(io.TextIOWrapper):
    """A file's text. The file is somebody else's to close."""

    def close(self) -> None:
        """Leave it open."""


_NAMES = {"utf-8-sig": "utf-8", "cp1252": "windows-1252"}


def encoding_of(file: IO[bytes]) -> str:
    """Return a file's encoding: by its BOM, by its NULs, as UTF-8, or Windows-1252, which any bytes are.

    BadFile where it is not what it says, or partly UTF-8: read as something else, its codes and names would be wrong.
    """
    file.seek(0)
    head = file.read(_SNIFF_BYTES)
    if head.startswith(_NO_TEXTS):
        raise BadFile(FileFault.NO_TEXT)
    said = next((encoding for bom, encoding in _BOMS if head.startswith(bom)), "")
    if not said and head.count(0) * 4 >= len(head) > 1:  # Latin letters in UTF-16: every other byte is 0
        said = "utf-16-le" if head[1] == 0 else "utf-16-be"
    bad = _not_in(file, said or "utf-8")
    if bad is None:
        return said or "utf-8"
    if said:
        raise BadFile(FileFault.WRONG_ENCODING, encoding=_NAMES.get(said, said), byte=bad)
    if _has_utf8(file):
        raise BadFile(FileFault.MIXED_ENCODINGS, byte=bad)
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


_DECODED = re.compile("[^\x00-\x7f\udc80-\udcff]")
"""A letter beyond ASCII that was decoded; bytes that could not be stand between U+DC80 and U+DCFF (PEP 383)."""


def _has_utf8(file: IO[bytes]) -> bool:
    """Whether some letters of a file that is no UTF-8 are UTF-8 nevertheless: nobody writes two such by chance."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        text = decoder.decode(piece)
        if _DECODED.search(text):
            return True
    return False


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


def _lines(text: io.TextIOBase) -> Iterator[str]:
    while line := text.readline(LINE_CHARS_MAX):
        if len(line) == LINE_CHARS_MAX:
            raise _LongLine
        yield line
    yield _END


class _LongLine(Exception):
    """A line that is not read to its end."""


def _rows(text: io.TextIOBase, delimiter: str, skipped: int) -> Iterator[Row]:
    reader = csv.reader(_lines(text), delimiter=delimiter)
    number, filled, line = 0, 0, 0
    try:
        for cells in reader:
            number += 1
            if cells and cells[-1].endswith(_END):
                if cells == [_END] and next(reader, None) is None:
                    return
                raise BadFile(FileFault.CUT_OFF, row=number)
            before, line = line, reader.line_num
            if number <= skipped or not any(cells):
                continue
            filled += 1
            if filled > ROWS_MAX + 1:
                raise BadFile(FileFault.TOO_MANY_ROWS, most=ROWS_MAX)
            if len(cells) > COLUMNS_MAX:
                raise BadFile(FileFault.TOO_MANY_COLUMNS, row=number, n=len(cells), most=COLUMNS_MAX)
            yield Row(number, cells, line - before)
    except (csv.Error, _LongLine) as error:  # a cell beyond the parser's limit of 128 KiB, a line beyond ours
        raise BadFile(FileFault.ROW_UNREADABLE, row=number + 1) from error
