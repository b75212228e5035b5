"""What is wrong with a file, or with one row of it. Bad rows are values; only a file that is none is an error."""

from typing import NamedTuple


class BadFile(Exception):
    """The file as a whole cannot be taken. `hint` tells the person the next step."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class BadCell(NamedTuple):
    """One thing that is wrong with a row: which column, what stands there (cut short), and what to do."""

    row: int
    column: str
    value: str
    what: str


VALUE_CHARS_MAX = 80
"""Of what stands in a bad cell: enough to find it by."""


def shown(value: str) -> str:
    """Return a cell as it may be shown anywhere: one line, no control characters, short."""
    plain = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value[: VALUE_CHARS_MAX + 1]
    )
    return plain if len(plain) <= VALUE_CHARS_MAX else plain[: VALUE_CHARS_MAX - 1] + "…"
