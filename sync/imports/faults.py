"""What is wrong with a file, or with one row of it. Bad rows are values; only a file that is none is an error.

Each thing that may be wrong has a code that stays; what people read of it, in their language, is `sync.imports.wording`'s.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class CellFault(StrEnum):
    """What is wrong with a row; the value is the API's code. Values that the words take stand behind."""

    NO_CODE = "no_code"
    CODE_SIZE = "code_size"  # most
    ROUNDED = "rounded"
    SIGNED_TICKET = "signed_ticket"
    UID_SIZE = "uid_size"
    RANDOM_UID = "random_uid"
    CUT_UID = "cut_uid"
    BLANK_UID = "blank_uid"
    PRODUCT_MISSING = "product_missing"
    PRODUCT_UNKNOWN = "product_unknown"
    SESSION_UNKNOWN = "session_unknown"
    ZONE_UNKNOWN = "zone_unknown"
    BAD_TIME = "bad_time"
    ENDS_FIRST = "ends_first"
    BAD_ADMITS = "bad_admits"  # most
    STATUS_UNKNOWN = "status_unknown"
    BAD_EMAIL = "bad_email"
    UNREADABLE = "unreadable"
    TOO_LONG = "too_long"  # n
    TOO_MANY_CELLS = "too_many_cells"
    TWICE = "twice"  # row
    TAKEN = "taken"
    ITEM_UNKNOWN = "item_unknown"
    DATE_UNKNOWN = "date_unknown"
    BAD_SECRET = "bad_secret"  # noqa: S105 - a code of ours, no password
    SECRET_TWICE = "secret_twice"  # noqa: S105 - the same
    EARLIER = "earlier"


class FileFault(StrEnum):
    """Why a file as a whole is not taken, or a job does not go on; the value is the API's `fault`."""

    EMPTY = "empty"
    NO_ROWS = "no_rows"
    TOO_LARGE = "too_large"  # most
    NO_TEXT = "no_text"
    WRONG_ENCODING = "wrong_encoding"  # encoding, byte
    MIXED_ENCODINGS = "mixed_encodings"  # byte
    CUT_OFF = "cut_off"  # row
    ROW_UNREADABLE = "row_unreadable"  # row
    TOO_MANY_ROWS = "too_many_rows"  # most
    TOO_MANY_COLUMNS = "too_many_columns"  # row, n, most
    TOO_MANY_BAD = "too_many_bad"  # n, column
    NO_CODE_COLUMN = "no_code_column"  # headings
    COLUMN_TWICE = "column_twice"  # of, first, second
    NO_SUCH_HEADING = "no_such_heading"  # heading, headings
    HEADING_TWICE = "heading_twice"  # heading
    NO_SUCH_COLUMN = "no_such_column"  # of, columns
    PRODUCT_UNKNOWN = "product_unknown"  # product
    PRODUCT_MISSING = "product_missing"
    ROWS_BAD = "rows_bad"  # n
    NOT_STARTED = "not_started"
    OVER = "over"


Values = Mapping[str, str | int]
NOTHING: Values = MappingProxyType({})


class BadCell(NamedTuple):
    """One thing that is wrong with a row: which column, what stands there (cut short), and what it is."""

    row: int
    column: str
    value: str
    fault: CellFault
    values: Values = NOTHING


class BadFile(Exception):
    """The file as a whole cannot be taken. `common`: of too many bad rows, what most of them suffer from."""

    def __init__(self, fault: FileFault, common: BadCell | None = None, **values: str | int) -> None:
        super().__init__(" ".join((fault.value, *(f"{name}={value}" for name, value in values.items()))))
        self.fault, self.common, self.values = fault, common, values


VALUE_CHARS_MAX = 80
"""Of what stands in a bad cell: enough to find it by."""
HEADINGS_SHOWN = 20
"""Of a file's own headings, where none of them fits."""


def shown(value: str) -> str:
    """Return a cell as it may be shown anywhere: one line, no control characters, short."""
    plain = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value[: VALUE_CHARS_MAX + 1]
    )
    return plain if len(plain) <= VALUE_CHARS_MAX else plain[: VALUE_CHARS_MAX - 1] + "…"


def listed(headings: Iterable[str]) -> str:
    """Return a file's headings as they may be shown: the first of them, each cut short."""
    texts = [shown(text) for text in headings]
    return ", ".join(texts[:HEADINGS_SHOWN]) + (", …" if len(texts) > HEADINGS_SHOWN else "")
