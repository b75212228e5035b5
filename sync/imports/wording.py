"""What people read of a file's faults: on pages in their language; by program and command in English.

The words are in the tables of the pages (`sync.web.words`): `cell_CODE` for what is wrong with a row, `file_CODE` for
why a file is not taken and `file_CODE_next` for the next step, `column_KIND` for what a column holds.
"""

from typing import NamedTuple

from sync.imports.columns import Column
from sync.imports.faults import BadCell, BadFile, FileFault, Values
from sync.web.words import Language, Words

ENGLISH = Words(Language.EN)
_NAMED = frozenset((FileFault.COLUMN_TWICE, FileFault.NO_CODE_COLUMN, FileFault.PRODUCT_MISSING))
"""Faults that go away when a program or a command says which column it is; pages ask for none."""

_KINDS = frozenset(one.value for one in Column)


class Told(NamedTuple):
    """Why a file is not taken, and the next step, in whole sentences."""

    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what} {self.hint}"


def cell(words: Words, bad: BadCell) -> str:
    """Return what is wrong with a row, and what to do."""
    return words(f"cell_{bad.fault.value}", **bad.values)


def file(words: Words, fault: BadFile) -> Told:
    """Return why a file is not taken, as a page says it."""
    key, values = f"file_{fault.fault.value}", _spoken(words, fault.values)
    hint = words(f"{key}_next", **values)
    return Told(words(key, **values), hint if fault.common is None else f"{cell(words, fault.common)} {hint}")


def file_by_program(fault: BadFile) -> Told:
    """Return why a file is not taken, for who may say what a column holds: in English."""
    told = file(ENGLISH, fault)
    if fault.fault not in _NAMED:
        return told
    return Told(told.what, f"{told.hint} Or say which column it is: {fault.values['of']}=HEADING.")


def column(words: Words, kind: str) -> str:
    """Return what a column holds, as people call it."""
    return words(f"column_{kind}")


def _spoken(words: Words, values: Values) -> dict[str, object]:
    """Return a fault's values with the column it speaks of in words."""
    of = str(values.get("of", ""))
    return {**values, "of": column(words, of)} if of in _KINDS else dict(values)
