"""A row of a list, read: an entry that can be written, or everything that is wrong with it."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from admission.credentials import Malformed, Medium, classify
from admission.digests import CredentialKind, digest
from admission.entitlements import Standing
from sync.imports.columns import Column, Layout, plain
from sync.imports.faults import BadCell, shown
from sync.imports.texts import CELL_CHARS_MAX, Row

ADMITS_MAX = 1000
"""The largest group on one code; a column of prices taken for numbers of people goes beyond it."""
YEARS = range(1990, 2101)
"""A year outside is a slip of the keyboard."""
WORD_CHARS_MAX = 200
"""Of a name, an order number, an address: what the tables hold."""
CACHED_MAX = 10_000
"""Combinations of product, date, zones … remembered: files repeat a few of them in every row."""
KEY_BYTES = 16
PRINT_BYTES = 8
"""Of what a row says: tells whether it changed, among rows of the same key."""


class Catalogue(msgspec.Struct, frozen=True):
    """What an event has, by the names a list may use. Names as `plain` makes them."""

    event: int
    timezone: str
    digest_key: bytes
    products: Mapping[str, int]
    zones: Mapping[str, int]
    sessions: Mapping[str, int]
    days: Mapping[int, int]
    """yyyymmdd to the only session of that day."""
    defaults: Mapping[int, tuple[int, int, int, int]]
    """By product: the session, validity and number of people of a ticket whose row says nothing of them."""
    product_numbers: frozenset[int]
    zone_numbers: frozenset[int]
    session_numbers: frozenset[int]


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


class Refusal(NamedTuple):
    """A cell that cannot be taken, and what to do; `column` None for the row as a whole."""

    column: Column | None
    what: str


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffd]")
"""With the marks that turn the direction of text around: a name must not make a page read otherwise."""
_BREAKS = re.compile(r"\s+")
_ROUNDED = re.compile(r"\d[.,]\d+E\+?\d+", re.IGNORECASE)
_WRAPPED = re.compile(r'="(.*)"', re.DOTALL)
_GUARDED = re.compile(r"'[=+\-@\t\r]")
_UID = re.compile(r"[0-9A-Fa-f]{2}(?:[:\- ]?[0-9A-Fa-f]{2})*")
_EMAIL = re.compile(r"[^@\s<>\"',;]+@[^@\s<>\"',;]+\.[^@\s<>\"',;]+")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?\s*(Z|[+-]\d\d:?\d\d)?")
_DAY_FIRST = re.compile(r"(\d\d?)[./-](\d\d?)[./-](\d{4})(?:,?\s+(\d\d?):(\d\d)(?::(\d\d))?)?")
_SEPARATORS = re.compile(r"\s*[|;,+/]\s*")
_UNITS = "\x1f"
_ODD = ("  ", "=", "'", "\ufffd")
"""What a cell has that needs cleaning or is refused, besides what cannot be printed."""

_UID_WHAT = {
    "uid_size": "A tag's UID has 4, 7, 8 or 10 bytes in hexadecimal, such as 04A1B2C3D4E580.",
    "random_uid": "This UID is made anew each time (a phone); it can be nobody's. Take a real tag.",
    "cut_uid": "This is half of a longer UID; set the reader to give all 7 bytes.",
    "blank_uid": "This UID is all zeros: the reader could not read the tag. Read it again.",
}
_STATUS: Mapping[str, Standing] = {
    word: standing
    for standing, words in {
        Standing.VALID: """valid paid active ok confirmed complete completed approved issued p
            gultig gueltig bezahlt aktiv bestatigt bestaetigt freigegeben
            valable paye payee actif active confirme valide
            valido valida pagato pagata attivo confermato""",
        Standing.CANCELLED: """cancelled canceled refunded void invalid expired revoked c
            storniert annulliert erstattet ungultig ungueltig abgelaufen
            annule annulee rembourse invalide expire
            annullato annullata rimborsato nonvalido scaduto""",
        Standing.UNPAID: """unpaid pending open awaitingpayment reserved n
            unbezahlt offen ausstehend reserviert
            nonpaye impaye enattente reserve
            nonpagato inattesa aperto riservato""",
        Standing.UNAPPROVED: """unapproved waitingforapproval tobeapproved
            nichtfreigegeben zupruefen zuprufen avalider davalidare daapprovare""",
        Standing.REPLACED: """replaced exchanged resold reissued transferred
            ersetzt umgetauscht weiterverkauft echange remplace revendu sostituito cambiato rivenduto""",
    }.items()
    for word in words.split()
}


_CHOICES = (
    Column.PRODUCT, Column.SESSION, Column.ZONES, Column.VALID_FROM, Column.VALID_UNTIL, Column.ADMITS, Column.STATUS,
)  # fmt: skip
"""Columns in which a file repeats a few texts in all its rows."""


class _Chosen(NamedTuple):
    """What `_CHOICES` say. 0, or -1 for the standing: nothing."""

    product: int
    session: int
    zones: str
    valid_from: int
    valid_until: int
    admits: int
    standing: int


class RowReader:
    """Reads the rows of one file. Its memory is bounded by `CACHED_MAX` and the file's own rows."""

    def __init__(self, catalogue: Catalogue, layout: Layout, *, product: int, keeps_text: bool) -> None:
        """`product`: of rows that name none; 0 where each must."""
        self._catalogue, self._layout = catalogue, layout
        self._product, self._keeps_text = product, keeps_text
        self._zone = ZoneInfo(catalogue.timezone)
        self._places = layout.places
        self._width = max(layout.places.values()) + 1
        self._seen: dict[bytes, int] = {}
        self._known: dict[tuple[str, ...], _Chosen] = {}
        self._choices = tuple(column for column in _CHOICES if column in layout.places)
        # Keyed once and copied for each row: keying costs more than the row.
        self._own, self._coded = (
            blake2b(digest_size=KEY_BYTES, key=catalogue.digest_key, person=kind)
            for kind in (b"external", b"code")
        )
        self._pick = _picker(tuple(layout.places.values()))
        # Names the file uses for what the fingerprint is of, so that the same list in two layouts stays the same.
        self._order = sorted(column for column in layout.places if column is not Column.NAME)

    def read(self, row: Row) -> Entry | list[BadCell]:
        """Return the entry of a row, or all that is wrong with it."""
        refused: list[Refusal] = []
        cells = self._cells(row, refused)
        if refused:
            return self._bad(row, cells, refused)
        chosen = self._chosen(cells, refused)
        email = cells.get(Column.EMAIL, "")
        if email and not _EMAIL.fullmatch(email):
            refused.append(Refusal(Column.EMAIL, "This is no e-mail address; mend it or leave it empty."))
        if chosen.valid_from and chosen.valid_until and chosen.valid_until <= chosen.valid_from:
            refused.append(Refusal(Column.VALID_UNTIL, "It ends before it begins; mend one of the two."))
        codes = self._codes(cells, refused)
        key = self._key(cells)
        twice = self._twice(row.number, (key, *[one.digest for one in codes]))
        if twice and not refused:
            column = Column.CODE if Column.CODE in cells else Column.UID
            refused.append(
                Refusal(column, f"Row {twice} is the same ticket or has the same code; remove one of them.")
            )
        if refused:
            return self._bad(row, cells, refused)
        own_session, own_from, own_until, own_admits = self._catalogue.defaults.get(
            chosen.product, (0, 0, 0, 1)
        )
        first, last = _person(cells)
        said = _UNITS.join((*[cells.get(column, "") for column in self._order], first, last))
        return Entry(
            row.number, key, blake2b(said.encode(), digest_size=PRINT_BYTES).digest(), codes, chosen.product,
            chosen.zones, chosen.session or own_session, chosen.valid_from or own_from,
            chosen.valid_until or own_until, chosen.admits or own_admits, chosen.standing,
            cells.get(Column.ORDER, ""), first, last, email, cells.get(Column.PHONE, ""),
        )  # fmt: skip

    def _chosen(self, cells: Mapping[Column, str], refused: list[Refusal]) -> "_Chosen":
        """Return what the cells that choose among few things say."""
        texts = tuple([cells.get(column, "") for column in self._choices])
        known = self._known.get(texts)
        if known is not None:
            return known
        before = len(refused)

        def take(column: Column, parse: Callable[[str], int]) -> int:
            try:
                return parse(cells.get(column, ""))
            except ValueError as error:
                refused.append(Refusal(column, str(error)))
                return 0

        product = take(Column.PRODUCT, self._product_of)
        session = take(Column.SESSION, self._session_of)
        zones = "[]"
        try:
            zones = self._zones_of(cells.get(Column.ZONES, ""))
        except ValueError as error:
            refused.append(Refusal(Column.ZONES, str(error)))
        found = _Chosen(
            product, session, zones, take(Column.VALID_FROM, self._time_of), take(Column.VALID_UNTIL, self._end_of),
            take(Column.ADMITS, _admits_of), take(Column.STATUS, _standing_of),
        )  # fmt: skip
        if len(refused) == before and len(self._known) < CACHED_MAX:
            self._known[texts] = found
        return found

    def _cells(self, row: Row, refused: list[Refusal]) -> dict[Column, str]:
        """Return what the row says by column, each cell cleaned of what spreadsheets wrap around it."""
        if self._width <= len(row.cells) <= len(self._layout.headings):
            picked = self._pick(row.cells)
            whole = "|".join(picked)
            # Most rows need no cleaning, which a few looks at the whole row tell: printable is neither a control
            # character nor any space but the plain one.
            if whole.isprintable() and len(whole) <= WORD_CHARS_MAX and not any(one in whole for one in _ODD):
                return {
                    column: text
                    for column, cell in zip(self._places, picked, strict=True)
                    if (text := cell.strip())
                }
        found = {}
        if len(row.cells) > len(self._layout.headings) and any(row.cells[len(self._layout.headings) :]):
            refused.append(
                Refusal(None, "The row has more cells than the heading; put quotation marks around cells with the delimiter in them.")
            )  # fmt: skip
        for column, place in self._places.items():
            text = row.cells[place].strip() if place < len(row.cells) else ""
            if not text:
                continue
            if text[0] == "=" and (wrapped := _WRAPPED.fullmatch(text)):
                text = wrapped[1].strip()
            elif text[0] == "'" and _GUARDED.match(text):
                text = text[1:].strip()  # as our own export writes it
            found[column] = text
            if _CONTROL.search(text):
                refused.append(
                    Refusal(column, "It holds characters that cannot be read or shown; type it anew.")
                )
            elif len(text) > (CELL_CHARS_MAX if column is Column.CODE else WORD_CHARS_MAX):
                refused.append(
                    Refusal(column, f"It has {len(text)} characters; is a quotation mark never closed?")
                )
            elif column not in {Column.CODE, Column.UID}:
                found[column] = _BREAKS.sub(" ", text)
        return found

    def _codes(self, cells: Mapping[Column, str], refused: list[Refusal]) -> tuple[Code, ...]:
        codes = []
        text = cells.get(Column.CODE, "")
        if text:
            presented = classify(text.encode(), Medium.BARCODE)
            if isinstance(presented, Malformed):
                refused.append(Refusal(Column.CODE, "A code has at most 4096 bytes in one line."))
            elif _ROUNDED.fullmatch(text):
                refused.append(
                    Refusal(
                        Column.CODE,
                        "A spreadsheet rounded this number; export again with the column as text.",
                    )
                )
            elif presented.kind is CredentialKind.TK1:
                refused.append(Refusal(Column.CODE, "This is a signed ticket of a centre; it needs no list."))
            else:
                codes.append(self._code(presented.kind, presented.data, text))
        uid = cells.get(Column.UID, "")
        if uid:
            if not _UID.fullmatch(uid):
                refused.append(Refusal(Column.UID, _UID_WHAT["uid_size"]))
            else:
                raw = bytes.fromhex(re.sub(r"[:\- ]", "", uid))
                tag = classify(raw, Medium.UID)
                if isinstance(tag, Malformed):
                    refused.append(Refusal(Column.UID, _UID_WHAT[tag.why]))
                else:
                    codes.append(self._code(tag.kind, tag.data, raw.hex().upper()))
        if not codes and not refused:
            which = Column.CODE if Column.CODE in self._places else Column.UID
            refused.append(Refusal(which, "There is no code and no tag; nobody could be let in by this row."))
        return tuple(codes)

    def _code(self, kind: CredentialKind, material: bytes, text: str) -> Code:
        # A tag's UID is always kept: people look for it by what is printed on the tag.
        kept = text if self._keeps_text or kind is CredentialKind.UID else None
        return Code(digest(kind, material, self._catalogue.digest_key), kind.value, kept)

    def _key(self, cells: Mapping[Column, str]) -> bytes:
        own = cells.get(Column.EXTERNAL)
        found = (self._own if own else self._coded).copy()
        found.update((own or cells.get(Column.CODE) or cells.get(Column.UID, "")).encode())
        return found.digest()

    def _twice(self, number: int, marks: Sequence[bytes]) -> int:
        """Return the earlier row that says one of these already; 0 where none does."""
        for mark in marks:
            if mark in self._seen:
                return self._seen[mark]
        for mark in marks:
            self._seen[mark] = number
        return 0

    def _bad(self, row: Row, cells: Mapping[Column, str], refused: Sequence[Refusal]) -> list[BadCell]:
        return [
            BadCell(
                row.number,
                "" if one.column is None else self._layout.title(one.column),
                "" if one.column is None else shown(cells.get(one.column, "")),
                one.what,
            )
            for one in refused
        ]

    def _product_of(self, text: str) -> int:
        if not text and self._product:
            return self._product
        if not text:
            raise ValueError("The row names no product; fill it in, or choose one for all rows.")
        return _found(
            text, self._catalogue.products, self._catalogue.product_numbers,
            "The event has no product of this name; make it first, or mend the name.",
        )  # fmt: skip

    def _session_of(self, text: str) -> int:
        if not text or text == "0":
            return 0
        named = self._catalogue.sessions.get(plain(text))
        if named is not None:
            return named
        try:
            day = _local(text, None)[0]
        except ValueError:
            day = None
        if day is not None and (found := self._catalogue.days.get(int(f"{day:%Y%m%d}"))):
            return found
        return _found(
            text, {}, self._catalogue.session_numbers,
            "The event has no session of this name, or none or several on this day; mend it or leave it empty.",
        )  # fmt: skip

    def _zones_of(self, text: str) -> str:
        if not text:
            return "[]"
        names = (
            [text]
            if plain(text) in self._catalogue.zones
            else [one for one in _SEPARATORS.split(text) if one]
        )
        what = "The venue has no zone of this name; mend it, or leave it empty for the product's zones."
        found = {_found(name, self._catalogue.zones, self._catalogue.zone_numbers, what) for name in names}
        return msgspec.json.encode(sorted(found)).decode()

    def _time_of(self, text: str) -> int:
        return self._instant(text, whole_day_s=0)

    def _end_of(self, text: str) -> int:
        return self._instant(text, whole_day_s=1)

    def _instant(self, text: str, whole_day_s: int) -> int:
        """Return a time in Unix seconds. A day without an hour begins at 0:00, or ends with its last second."""
        if not text:
            return 0
        if text.isascii() and text.isdigit() and len(text) == 10:
            return int(text)
        day, at = _local(text, self._zone)
        if at is not None:
            return int(at.timestamp())
        after = datetime(day.year, day.month, day.day, tzinfo=self._zone) + timedelta(days=whole_day_s)
        return int(after.timestamp()) - whole_day_s


def _picker(places: tuple[int, ...]) -> Callable[[Sequence[str]], Sequence[str]]:
    """Return what takes the cells at these places out of a row."""
    if len(places) == 1:
        return lambda cells: (cells[places[0]],)
    return itemgetter(*places)


def _found(text: str, names: Mapping[str, int], numbers: frozenset[int], what: str) -> int:
    named = names.get(plain(text))
    if named is not None:
        return named
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in numbers:
        return int(text)
    raise ValueError(what)


def _local(text: str, zone: ZoneInfo | None) -> tuple[date, datetime | None]:
    """Return the day, and the time where the text has one: in its own offset, else in `zone`."""
    what = "Write dates as 2026-12-31 or 31.12.2026, with 18:30 behind it where the hour counts."
    offset = ""
    if found := _ISO.fullmatch(text):
        year, month, day, hour, minute, second, offset = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year, hour, minute, second = found.groups()
    else:
        raise ValueError(what)
    if int(year) not in YEARS:
        raise ValueError(what)
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
        )
    except ValueError:
        raise ValueError(what) from None
    if offset == "Z":
        at = at.replace(tzinfo=UTC)
    elif offset:
        at = datetime.fromisoformat(f"{at:%Y-%m-%dT%H:%M:%S}{offset}")
    return at.date(), at if hour else None


def _admits_of(text: str) -> int:
    if not text:
        return 0
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= ADMITS_MAX:
        return int(text)
    raise ValueError(f"A code admits 1 to {ADMITS_MAX} people; write a whole number.")


def _standing_of(text: str) -> int:
    if not text:
        return -1
    standing = _STATUS.get(plain(text))
    if standing is None:
        raise ValueError("This state is not known; write valid, unpaid, unapproved, cancelled or replaced.")
    return int(standing)


def _person(cells: Mapping[Column, str]) -> tuple[str, str]:
    """Return first and last name; of one cell, the last word is the last name unless a comma says otherwise."""
    first, last = cells.get(Column.FIRST_NAME, ""), cells.get(Column.LAST_NAME, "")
    whole = cells.get(Column.NAME, "")
    if first or last or not whole:
        return first, last
    if "," in whole:
        last, _, first = whole.partition(",")
        return first.strip(), last.strip()
    first, _, last = whole.rpartition(" ")
    return first, last
