"""Files that somebody made to hurt, or that were hurt on the way: each is refused with its reason, or harmless."""

import codecs
import io

import pytest

from sync.imports.catalogue import by_name, number_of
from sync.imports.faults import BadCell, BadFile, CellFault, FileFault
from sync.imports.files import BAD_ROWS_MAX, How, read_file
from sync.imports.texts import CELL_CHARS_MAX, COLUMNS_MAX, FILE_BYTES_MAX, LINE_CHARS_MAX, ROWS_MAX, sheet
from tests.sync.imports.test_files import CATALOGUE, read

HEAD = b"code;product;note\n"
GOOD = HEAD + b"A-1;VIP;\n"
UTF8 = "code;name;product\nA;Zoë;VIP\n".encode()


class Long(io.BytesIO):
    """A file that says it is as large as it likes, and counts what is read of it."""

    def __init__(self, piece: bytes, size: int) -> None:
        super().__init__(piece)
        self._size, self.asked = size, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._size if whence == io.SEEK_END else super().seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        self.asked += 1
        return super().read(size)


REFUSED = {
    "nothing": (b"", FileFault.EMPTY),
    "blank lines": (b"\n;;\n \n".replace(b" ", b""), FileFault.EMPTY),
    "a heading alone": (HEAD, FileFault.NO_ROWS),
    "a heading and blank lines": (HEAD + b"\n;;\n", FileFault.NO_ROWS),
    "10^5 columns": (HEAD + b"x;" * 100_000, FileFault.TOO_MANY_COLUMNS),
    "10^5 columns in the heading": (b"code" + b";" * 100_000 + b"\n", FileFault.TOO_MANY_COLUMNS),
    "one column too many": (b"code" + b";" * COLUMNS_MAX + b"\n", FileFault.TOO_MANY_COLUMNS),
    "a cell beyond the parser's limit": (HEAD + b"A;VIP;" + b"n" * 140_000 + b"\n", FileFault.ROW_UNREADABLE),
    "a line without an end": (HEAD + b"n;" * LINE_CHARS_MAX, FileFault.ROW_UNREADABLE),
    "a quotation mark never closed": (GOOD + b'A-2;VIP;"\nA-3;VIP;\nA-4;VIP;\n', FileFault.CUT_OFF),
    "the same, and far to its end": (GOOD + b'"A-2;VIP;\n' + b"x;y;z\n" * 40_000, FileFault.ROW_UNREADABLE),
    "cut off within quotation marks": (GOOD + b'A-2;VIP;"a no', FileFault.CUT_OFF),
    "our own mark of the end": (GOOD + b"\0end of the file\0\nA-2;VIP;\n", FileFault.CUT_OFF),
    "UTF-16 that is cut in a letter": (codecs.BOM_UTF16_LE + UTF8.decode().encode("utf-16-le")[:-1], FileFault.WRONG_ENCODING),
    "UTF-16 by its BOM alone": (codecs.BOM_UTF16_LE + b"a", FileFault.WRONG_ENCODING),
    "UTF-8 by its BOM alone": (codecs.BOM_UTF8 + "code;name\nA;Zoë\n".encode("cp1252"), FileFault.WRONG_ENCODING),
    "UTF-8 that is cut in a letter": (UTF8 + "B;Zoë".encode()[:-1], FileFault.MIXED_ENCODINGS),
    "half UTF-8, half Windows": (UTF8 + "B;Zoë;VIP\n".encode("cp1252"), FileFault.MIXED_ENCODINGS),
    "half Windows, half UTF-8": ("code;name;product\nB;Zoë;VIP\n".encode("cp1252") + UTF8, FileFault.MIXED_ENCODINGS),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(1, 256)) * 20, FileFault.NO_TEXT),
    "a spreadsheet's own file": (b"PK\x03\x04\x14\x00\x06\x00" + b"\x00\x81" * 3_000, FileFault.NO_TEXT),
    "headings twice": (b"code;Code;product\nA;B;VIP\n", FileFault.COLUMN_TWICE),
    "no code": (b"wer;was\nA;B\n", FileFault.NO_CODE_COLUMN),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name: str) -> None:
    data, fault = REFUSED[name]
    with pytest.raises(BadFile) as found:
        read(data, product=1)
    assert found.value.fault is fault


def test_a_file_that_is_too_large_is_not_read() -> None:
    file = Long(GOOD, FILE_BYTES_MAX + 1)
    with pytest.raises(BadFile) as found:
        sheet(file)
    assert (found.value.fault, file.asked) == (FileFault.TOO_LARGE, 0)


def test_a_line_is_read_no_further_than_its_limit() -> None:
    """Else a file of one line would be in memory as a whole, four bytes a letter."""
    file = Long(HEAD + b"n" * 8_000_000, 9_000_000)
    opened = sheet(file)
    before = file.tell()
    with pytest.raises(BadFile):
        list(opened.rows)
    assert file.tell() - before < 2 * LINE_CHARS_MAX


def test_more_rows_than_an_event_may_have_are_refused() -> None:
    rows = sheet(b"code\n" + b"a\n" * (ROWS_MAX + 1)).rows
    with pytest.raises(BadFile) as found:
        for _ in rows:
            pass
    assert found.value.fault is FileFault.TOO_MANY_ROWS


def test_a_column_taken_for_another_is_said_once_and_not_a_hundred_thousand_times() -> None:
    data = b"code;product\n" + b"".join(b"%d;17.50\n" % number for number in range(BAD_ROWS_MAX + 1))
    with pytest.raises(BadFile) as found:
        read(data)
    assert found.value.fault is FileFault.TOO_MANY_BAD
    assert found.value.common == BadCell(2, "product", "17.50", CellFault.PRODUCT_UNKNOWN)


HARMLESS = {
    "a BOM": codecs.BOM_UTF8 + GOOD,
    "NULs in a column nothing is taken from": HEAD + b"A-1;VIP;\0\0\n",
    "a long note": HEAD + b"A-1;VIP;" + b"n" * 100_000 + b"\n",
    "a note of several lines": HEAD + b'A-1;VIP;"one\ntwo\nthree"\n',
    "formulas in a note": HEAD + b"A-1;VIP;=HYPERLINK(1)\n",
    "headings that mean nothing, twice": b"code;product;note;note;;\nA-1;VIP;a;b;c;d\n",
    "carriage returns alone": GOOD.replace(b"\n", b"\r"),
    "no end of the last line": GOOD.rstrip(),
    "a quotation mark within a cell": HEAD + b'A-1;VIP;5" nails\n',
    "10^5 empty cells": HEAD + b"A-1;VIP" + b";" * 100 + b"\n" + b";" * 100_000 + b"\n",
    "empty cells behind": HEAD + b"A-1;VIP;;;;;;\n",
    "as many columns as may be": b"code;product" + b";" * (COLUMNS_MAX - 2) + b"\nA-1;VIP\n",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_it_is_harmless(name: str) -> None:
    (one,), bad = read(HARMLESS[name], keeps_text=True)
    assert (one.codes[0].text, one.product, bad) == ("A-1", 2, [])


def test_a_formula_is_a_text_like_any_other() -> None:
    (one,), bad = read(b"code;product;name\n=1+1;VIP;=cmd|' /C calc'!A0\n", keeps_text=True)
    assert (one.codes[0].text, one.first_name + " " + one.last_name) == ("=1+1", "=cmd|' /C calc'!A0")
    assert bad == []


def test_rows_that_a_cell_would_swallow_are_not_lost_in_silence() -> None:
    """Two stray quotation marks in notes make one cell of all that lies between."""
    between = b"".join(b"B%04d;VIP;\n" % number for number in range(CELL_CHARS_MAX // 10))
    entries, bad = read(HEAD + b'A-1;VIP;"\n' + between + b'Z-1;VIP;"\nZ-2;VIP;\n')
    assert [(one.row, one.fault) for one in bad] == [(2, CellFault.TOO_LONG)]
    assert [one.row for one in entries] == [3]


def test_two_files_cut_at_a_line_are_two_lists_and_one_whole() -> None:
    """A file cut between two rows cannot be told from a shorter one: what it lacks is new when the whole comes."""
    whole = [one.key for one in read(GOOD + b"A-2;VIP;\n")[0]]
    assert [one.key for one in read(GOOD)[0]] == whole[:1]


def test_names_without_latin_letters_are_told_apart() -> None:
    names = by_name(
        [("大人", 1), ("子供", 2), ("Κανονικό", 3), ("VIP+", 4), ("VIP", 5), ("Tag 1", 6), ("Tag-1", 7)]
    )
    assert [number_of(names, text) for text in ("大人", "子供", "κανονικο", "VIP+", "VIP")] == [1, 2, 3, 4, 5]
    assert [number_of(names, text) for text in ("vip", "tag1", "Tag 1", "会", "", "=")] == [
        None,
        None,
        6,
        None,
        None,
        None,
    ]
    assert number_of(by_name([("Same", 1), ("Same", 2)]), "Same") is None, "which of them nobody can tell"


def test_a_file_is_judged_while_it_is_read_and_no_sooner() -> None:
    data = HEAD + b"".join(b"A%05d;VIP;\n" % number for number in range(6_000)) + b'A;VIP;"'
    slabs = read_file(data, CATALOGUE, How()).slabs
    assert len(next(slabs).entries) == 2_000
    with pytest.raises(BadFile):
        list(slabs)
