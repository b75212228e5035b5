"""A row of a list, read: an entry that can be written, or everything that is wrong with it."""

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from operator import itemgetter

import msgspec

from admission.credentials import TEXT_BYTES_MAX, Malformed, Medium, classify
from admission.digests import CredentialKind, digests
from sync.imports.catalogue import Catalogue
from sync.imports.choices import CHOICES, Chooser, Refusal
from sync.imports.columns import Column, Layout
from sync.imports.faults import BadCell, CellFault, shown
from sync.imports.marks import Marks
from sync.imports.texts import CELL_CHARS_MAX, Row

WORD_CHARS_MAX = 200
"""Of a name, an order number, an address: what the tables hold."""
KEY_BYTES = 16
PRINT_BYTES = 8
"""Of what a row says: tells whether it changed, among rows of the same key."""


class Code(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A credential of an entry. `text`: readable, where the person asked to keep it."""

    digest: bytes
    kind: str
    text: str | None


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row that can be written. Times in Unix seconds, 0 for none."""

    row: int
    key: bytes
    """What makes it the same ticket when it comes again: of the shop's own number, else of the code."""
    print: bytes
    """Of all the row says: the same file twice changes nothing."""
    codes: tuple[Code, ...]
    product: int
    zones: str
    session: int
    valid_from: int
    valid_until: int
    admits: int
    standing: int
    """-1: the file does not say."""
    order: str
    first_name: str
    last_name: str
    email: str
    phone: str


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffd]")
"""With the marks that turn the direction of text around: a name must not make a page read otherwise."""
_BREAKS = re.compile(r"\s+")
_ROUNDED = re.compile(r"\d[.,]\d+E\+?\d+", re.IGNORECASE)
_WRAPPED = re.compile(r'="(.*)"', re.DOTALL)
_GUARDED = re.compile(r"'[=+\-@\t\r]")
_GUARDED_WITHIN = re.compile(r"""([;\t\r\n][ "]*)'(?=[=+\-@])""")
"""What our own export makes of a text that could be a formula (`sync.customers.profiles.cell`)."""
_UID = re.compile(r"[0-9A-Fa-f]{2}(?:[:\- ]?[0-9A-Fa-f]{2})*")
_EMAIL = re.compile(r"[^@\s<>\"',;]+@[^@\s<>\"',;]+\.[^@\s<>\"',;]+")
_UNITS = "\x1f"
_ODD = re.compile("  |[='\ufffd]")
"""What a cell has that needs cleaning or is refused, besides what cannot be printed."""


class RowReader:
    """Reads the rows of one file. Its memory is bounded by its `Chooser`'s and a mark or two for each row."""

    def __init__(self, catalogue: Catalogue, layout: Layout, *, product: int, keeps_text: bool) -> None:
        """`product`: of rows that name none; 0 where each must."""
        self._layout, self._keeps_text = layout, keeps_text
        self._kinds = {kind: (digests(kind, catalogue.digest_key), kind.value) for kind in CredentialKind}
        self._columns = tuple(layout.places)
        self._width, self._headings = max(layout.places.values()) + 1, len(layout.headings)
        self._marks = Marks()
        chosen = tuple(column for column in CHOICES if column in layout.places)
        self._chooser = Chooser(catalogue, chosen, product)
        # Begun once and copied for each row: beginning costs more than the row.
        self._own, self._coded = (
            blake2b(digest_size=KEY_BYTES, key=catalogue.digest_key, person=kind)
            for kind in (b"external", b"code")
        )
        self._nothing_said = blake2b(digest_size=PRINT_BYTES)
        self._pick = _picker(tuple(layout.places.values()))
        # A row's cells stand in the order of the columns; one more, empty, is what a column holds that is not there.
        place = {column: place for place, column in enumerate(self._columns)}
        self._at = {column: place.get(column, len(place)) for column in Column}
        self._choices = _picker(tuple(place[column] for column in chosen))
        # Names the file uses for what the fingerprint is of, so that the same list in two layouts stays the same.
        said = sorted(column for column in self._columns if column is not Column.NAME)
        self._said = _picker(tuple(place[column] for column in said))
        self._code_at, self._uid_at, self._external_at = (
            self._at[column] for column in (Column.CODE, Column.UID, Column.EXTERNAL)
        )
        self._people = _picker(
            tuple(
                self._at[column]
                for column in (
                    Column.EMAIL, Column.PHONE, Column.ORDER, Column.FIRST_NAME, Column.LAST_NAME, Column.NAME,
                )
            )
        )  # fmt: skip

    def read(self, row: Row) -> Entry | list[BadCell]:
        """Return the entry of a row, or all that is wrong with it."""
        refused: list[Refusal] = []
        cells = self._cells(row, refused)
        if refused:
            return self._bad(row, cells, refused)
        chosen = self._chooser.choose(self._choices(cells), refused)
        email, phone, order, first, last, whole = self._people(cells)
        if email and not _EMAIL.fullmatch(email):
            refused.append(Refusal(Column.EMAIL, CellFault.BAD_EMAIL))
        codes = self._codes(cells, refused)
        key = self._key(cells)
        twice = self._twice(row.number, cells, key, codes)
        if twice and not refused:
            column = Column.CODE if cells[self._code_at] else Column.UID
            refused.append(Refusal(column, CellFault.TWICE, {"row": twice}))
        if refused:
            return self._bad(row, cells, refused)
        if whole and not first and not last:
            first, last = _person(whole)
        said = self._nothing_said.copy()
        said.update(_UNITS.join((*self._said(cells), first, last)).encode())
        return Entry(
            row.number, key, said.digest(), codes, chosen.product,
            chosen.zones, chosen.session, chosen.valid_from, chosen.valid_until, chosen.admits, chosen.standing, order,
            first, last, email, phone,
        )  # fmt: skip

    def _cells(self, row: Row, refused: list[Refusal]) -> tuple[str, ...]:
        """Return what the row says by column, each cell cleaned of what spreadsheets wrap around it."""
        if self._width <= len(row.cells) <= self._headings and row.lines == 1:
            picked = self._pick(row.cells)
            whole = "|".join(picked)
            # Most rows need no cleaning, which a few looks at the whole row tell: printable is neither a control
            # character nor any space but the plain one.
            if whole.isprintable() and len(whole) <= WORD_CHARS_MAX and not _ODD.search(whole):
                return (*map(str.strip, picked), "")
        found = [""] * (len(self._columns) + 1)
        if any(row.cells[self._headings :]):
            refused.append(Refusal(None, CellFault.TOO_MANY_CELLS))
        swallowed = next((len(cell) for cell in row.cells if len(cell) > CELL_CHARS_MAX and row.lines > 1), 0)
        if swallowed:  # though nothing may be taken from that column: the rows within the cell would be lost
            refused.append(Refusal(None, CellFault.TOO_LONG, {"n": swallowed}))
        for at, (column, place) in enumerate(self._layout.places.items()):
            text = _unwrapped(row.cells[place].strip()) if place < len(row.cells) else ""
            if not text:
                continue
            found[at] = text
            if _CONTROL.search(text):
                refused.append(Refusal(column, CellFault.UNREADABLE))
            elif len(text) > (CELL_CHARS_MAX if column is Column.CODE else WORD_CHARS_MAX):
                refused.append(Refusal(column, CellFault.TOO_LONG, {"n": len(text)}))
            elif column not in {Column.CODE, Column.UID}:
                found[at] = _BREAKS.sub(" ", text)
        return tuple(found)

    def _codes(self, cells: Sequence[str], refused: list[Refusal]) -> tuple[Code, ...]:
        codes = []
        text, uid = cells[self._code_at], cells[self._uid_at]
        if text:
            presented = classify(text.encode(), Medium.BARCODE)
            if isinstance(presented, Malformed):
                refused.append(Refusal(Column.CODE, CellFault.CODE_SIZE, {"most": TEXT_BYTES_MAX}))
            elif not text.isalnum() and _ROUNDED.fullmatch(text):
                refused.append(Refusal(Column.CODE, CellFault.ROUNDED))
            elif presented.kind is CredentialKind.TK1:
                refused.append(Refusal(Column.CODE, CellFault.SIGNED_TICKET))
            else:
                codes.append(self._code(presented.kind, presented.data, text))
        if uid:
            if not _UID.fullmatch(uid):
                refused.append(Refusal(Column.UID, CellFault.UID_SIZE))
            else:
                raw = bytes.fromhex(re.sub(r"[:\- ]", "", uid))
                tag = classify(raw, Medium.UID)
                if isinstance(tag, Malformed):
                    refused.append(Refusal(Column.UID, CellFault(tag.why)))
                else:
                    codes.append(self._code(tag.kind, tag.data, raw.hex().upper()))
        if not codes and not refused:
            which = Column.CODE if Column.CODE in self._layout.places else Column.UID
            refused.append(Refusal(which, CellFault.NO_CODE))
        return tuple(codes)

    def _code(self, kind: CredentialKind, material: bytes, text: str) -> Code:
        # A tag's UID is always kept: people look for it by what is printed on the tag.
        kept = text if self._keeps_text or kind is CredentialKind.UID else None
        digest_of, name = self._kinds[kind]
        return Code(digest_of(material), name, kept)

    def _key(self, cells: Sequence[str]) -> bytes:
        own = cells[self._external_at]
        found = (self._own if own else self._coded).copy()
        found.update((own or cells[self._code_at] or cells[self._uid_at]).encode())
        return found.digest()

    def _twice(self, number: int, cells: Sequence[str], key: bytes, codes: Sequence[Code]) -> int:
        """Return the earlier row that is of this ticket, or has one of these codes; 0 where none is."""
        own = cells[self._external_at]
        if len(codes) == 1 and not own:  # the key is of the code, as its digest is
            return self._marks.say(codes[0].digest, number)
        marks = [*[one.digest for one in codes], *([key] if own else ())]
        earlier = next((row for mark in marks if (row := self._marks.said(mark))), 0)
        if not earlier:
            for mark in marks:
                self._marks.say(mark, number)
        return earlier

    def _bad(self, row: Row, cells: Sequence[str], refused: Sequence[Refusal]) -> list[BadCell]:
        return [
            BadCell(
                row.number,
                "" if one.column is None else self._layout.title(one.column),
                "" if one.column is None else shown(cells[self._at[one.column]]),
                one.fault,
                one.values,
            )
            for one in refused
        ]


def _unwrapped(text: str) -> str:
    """Return a cell without what keeps spreadsheets from taking it for a number or a formula."""
    if text[:1] == "=" and (wrapped := _WRAPPED.fullmatch(text)):
        return wrapped[1].strip()
    if "'" in text:
        text = _GUARDED_WITHIN.sub(r"\1", text)
        if _GUARDED.match(text):
            return text[1:].strip()
    return text


def _picker(places: tuple[int, ...]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Return what takes the cells at these places out of a row."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda cells: tuple([cells[place] for place in places])


def _person(whole: str) -> tuple[str, str]:
    """Return first and last name: the last word is the last name unless a comma says otherwise."""
    if "," in whole:
        last, _, first = whole.partition(",")
        return first.strip(), last.strip()
    first, _, last = whole.rpartition(" ")
    return first, last
