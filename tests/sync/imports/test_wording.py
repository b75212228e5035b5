"""What is wrong with a file or a row has words in every language, and pages show them."""

from html import unescape
from pathlib import Path
from string import Formatter

import pytest

from sync.imports import wording
from sync.imports.columns import Column
from sync.imports.faults import BadCell, BadFile, CellFault, FileFault
from sync.web.words import LANGUAGES, TABLES, Language, Words
from tests.sync.imports.test_pages import AT, form
from tests.sync.pages.seat import client, house

KEYS = {
    *(f"cell_{one.value}" for one in CellFault),
    *(f"file_{one.value}" for one in FileFault),
    *(f"file_{one.value}_next" for one in FileFault),
    *(f"column_{one.value}" for one in Column),
}
PREFIXES = ("cell_", "file_", "column_")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fault_and_every_column_has_words(language: Language) -> None:
    table = TABLES[language]
    assert KEYS - table.keys() == set()
    assert {key for key in table if key.startswith(PREFIXES)} - KEYS == set(), "words of nothing"
    for key in KEYS:
        if language is not Language.EN:
            assert table[key] != TABLES[Language.EN][key], key
        if not key.startswith("column_"):
            assert table[key].endswith((".", "?")), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_file_of_too_many_bad_rows_says_what_most_suffer_from(language: Language) -> None:
    words = Words(language)
    cell = BadCell(3, "Code", "x", CellFault.TOO_LONG, {"n": 5_000})
    told = wording.file(words, BadFile(FileFault.TOO_MANY_BAD, cell, n=100_000, column="Code"))
    assert "100000" in told.what
    assert "Code" in told.what
    assert told.hint.startswith(wording.cell(words, cell))
    assert "5000" in told.hint


def test_a_program_is_told_how_to_name_a_column_and_a_page_is_not() -> None:
    fault = BadFile(FileFault.NO_CODE_COLUMN, of=Column.CODE.value, headings="a, b")
    assert wording.file_by_program(fault).hint.endswith("code=HEADING.")
    assert all("HEADING" not in str(wording.file(Words(language), fault)) for language in LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_take_the_values_that_their_faults_have(language: Language) -> None:
    taken = {
        key: {name for _, name, _, _ in Formatter().parse(TABLES[language][key]) if name} for key in KEYS
    }
    assert {key: names for key, names in taken.items() if names != VALUES.get(key, set())} == {}


VALUES = {
    "cell_code_size": {"most"}, "cell_bad_admits": {"most"}, "cell_too_long": {"n"}, "cell_twice": {"row"},
    "file_too_large": {"most"}, "file_wrong_encoding": {"encoding", "byte"}, "file_mixed_encodings": {"byte"},
    "file_cut_off": {"row"}, "file_row_unreadable": {"row"}, "file_too_many_rows": {"most"},
    "file_too_many_columns": {"row", "n", "most"}, "file_too_many_bad": {"n", "column"},
    "file_no_code_column": {"headings"}, "file_column_twice": {"of", "first", "second"},
    "file_no_such_heading": {"heading", "headings"}, "file_heading_twice": {"heading"}, "file_no_such_column": {"of"},
    "file_no_such_column_next": {"columns"}, "file_product_unknown": {"product"}, "file_rows_bad": {"n"},
}  # fmt: skip


async def test_pages_say_them_in_the_readers_language(tmp_path: Path) -> None:
    """A preview with bad rows, a file that is none, and a list that nobody may write as it is."""
    rows = "code,persons,email\nA,1,a@example.org\nB,0,nobody\nA,1,\n" + "C" * 5_000 + ",,\n"
    async with house(tmp_path / "centre") as venue, client(venue) as ada:
        for language in LANGUAGES:
            words = Words(language)
            await ada.post("/language", data={"language": language.value})
            async with ada.post(AT, data=form(rows)) as answer:
                page, job = unescape(await answer.text()), answer.url.path
            assert answer.status == 200
            for key, values in (
                ("cell_bad_admits", {"most": 1000}), ("cell_bad_email", {}), ("cell_twice", {"row": 2}),
                ("cell_too_long", {"n": 5000}), ("column_code", {}), ("column_admits", {}),
            ):  # fmt: skip
                assert words(key, **values) in page, key
            async with ada.post(job, data={"do": "start"}) as answer:
                page = unescape(await answer.text())
            assert (answer.status, words("file_rows_bad", n=3) in page) == (422, True)
            async with ada.post(AT, data=form("name,order\nAda,1\n")) as answer:
                page = unescape(await answer.text())
            assert answer.status == 422
            said = words("file_no_code_column", headings="name, order")
            assert f"{said} {words('file_no_code_column_next')}" in page
            if language is not Language.EN:
                assert "No column holds" not in page
