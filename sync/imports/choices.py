"""What those cells of a row say that choose among few things: product, session, zones, times, people, state."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from admission.entitlements import Standing
from sync.imports.catalogue import Catalogue, number_of
from sync.imports.columns import Column, plain
from sync.imports.faults import NOTHING, CellFault, Values

ADMITS_MAX = 1000
"""The largest group on one code; a column of prices taken for numbers of people goes beyond it."""
YEARS = range(1990, 2101)
"""A year outside is a slip of the keyboard."""
CACHED_MAX = 10_000
"""Combinations of product, date, zones … remembered: files repeat a few of them in every row."""

CHOICES = (
    Column.PRODUCT, Column.SESSION, Column.ZONES, Column.VALID_FROM, Column.VALID_UNTIL, Column.ADMITS, Column.STATUS,
)  # fmt: skip
"""Columns in which a file repeats a few texts in all its rows."""


class Refusal(NamedTuple):
    """A cell that cannot be taken; `column` None for the row as a whole."""

    column: Column | None
    fault: CellFault
    values: Values = NOTHING


class Chosen(NamedTuple):
    """What `CHOICES` say, a product's own defaults where they say nothing. Standing -1: the file does not say."""

    product: int
    session: int
    zones: str
    valid_from: int
    valid_until: int
    admits: int
    standing: int


class Chooser:
    """Reads those cells of one file's rows. Its memory is bounded by `CACHED_MAX`."""

    def __init__(self, catalogue: Catalogue, columns: Sequence[Column], product: int) -> None:
        """`columns`: of `CHOICES`, those that the file has; `product`: of rows that name none, 0 where each must."""
        self._catalogue, self._columns, self._product = catalogue, columns, product
        self._zone = ZoneInfo(catalogue.timezone)
        self._known: dict[tuple[str, ...], Chosen] = {}

    def __len__(self) -> int:
        return len(self._known)

    def choose(self, texts: tuple[str, ...], refused: list[Refusal]) -> Chosen:
        """Return what the texts of those columns say; what is wrong with them is added to `refused`."""
        known = self._known.get(texts)
        if known is not None:
            return known
        before = len(refused)
        found = self._chosen(dict(zip(self._columns, texts, strict=True)), refused)
        if len(refused) == before and len(self._known) < CACHED_MAX:
            self._known[texts] = found
        return found

    def _chosen(self, cells: Mapping[Column, str], refused: list[Refusal]) -> Chosen:
        def take(column: Column, parse: Callable[[str], int]) -> int:
            try:
                return parse(cells.get(column, ""))
            except _Unfit as unfit:
                refused.append(Refusal(column, unfit.fault, unfit.values))
                return 0

        product = take(Column.PRODUCT, self._product_of)
        session = take(Column.SESSION, self._session_of)
        zones = "[]"
        try:
            zones = self._zones_of(cells.get(Column.ZONES, ""))
        except _Unfit as unfit:
            refused.append(Refusal(Column.ZONES, unfit.fault, unfit.values))
        begins, ends = take(Column.VALID_FROM, self._time_of), take(Column.VALID_UNTIL, self._end_of)
        if begins and ends and ends <= begins:
            refused.append(Refusal(Column.VALID_UNTIL, CellFault.ENDS_FIRST))
        own = self._catalogue.defaults.get(product, (0, 0, 0, 1))
        return Chosen(
            product, session or own[0], zones, begins or own[1], ends or own[2],
            take(Column.ADMITS, _admits_of) or own[3], take(Column.STATUS, _standing_of),
        )  # fmt: skip

    def _product_of(self, text: str) -> int:
        if not text and self._product:
            return self._product
        if not text:
            raise _Unfit(CellFault.PRODUCT_MISSING)
        return _found(
            text, self._catalogue.products, self._catalogue.product_numbers, CellFault.PRODUCT_UNKNOWN
        )

    def _session_of(self, text: str) -> int:
        if not text or text == "0":
            return 0
        named = number_of(self._catalogue.sessions, text)
        if named is not None:
            return named
        try:
            day = _local(text, None)[0]
        except _Unfit:
            day = None
        if day is not None and (found := self._catalogue.days.get(int(f"{day:%Y%m%d}"))):
            return found
        return _found(text, {}, self._catalogue.session_numbers, CellFault.SESSION_UNKNOWN)

    def _zones_of(self, text: str) -> str:
        if not text:
            return "[]"
        names = (
            [text]
            if number_of(self._catalogue.zones, text) is not None
            else [one for one in _SEPARATORS.split(text) if one]
        )
        zones, numbers = self._catalogue.zones, self._catalogue.zone_numbers
        found = {_found(name, zones, numbers, CellFault.ZONE_UNKNOWN) for name in names}
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


class _Unfit(Exception):
    """A text that a cell of its column cannot hold."""

    def __init__(self, fault: CellFault, **values: int) -> None:
        super().__init__(fault.value)
        self.fault, self.values = fault, values


_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?\s*(Z|[+-]\d\d:?\d\d)?")
_DAY_FIRST = re.compile(r"(\d\d?)[./-](\d\d?)[./-](\d{4})(?:,?\s+(\d\d?):(\d\d)(?::(\d\d))?)?")
_SEPARATORS = re.compile(r"\s*[|;,+/]\s*")

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


def _found(text: str, names: Mapping[str, int], numbers: frozenset[int], fault: CellFault) -> int:
    named = number_of(names, text)
    if named is not None:
        return named
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in numbers:
        return int(text)
    raise _Unfit(fault)


def _local(text: str, zone: ZoneInfo | None) -> tuple[date, datetime | None]:
    """Return the day, and the time where the text has one: in its own offset, else in `zone`."""
    offset = ""
    if found := _ISO.fullmatch(text):
        year, month, day, hour, minute, second, offset = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year, hour, minute, second = found.groups()
    else:
        raise _Unfit(CellFault.BAD_TIME)
    if int(year) not in YEARS:
        raise _Unfit(CellFault.BAD_TIME)
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
        )
        if offset == "Z":
            at = at.replace(tzinfo=UTC)
        elif offset:
            at = datetime.fromisoformat(f"{at:%Y-%m-%dT%H:%M:%S}{offset}")
    except ValueError:  # the 31st of February, an hour of 25, an offset of 99:99
        raise _Unfit(CellFault.BAD_TIME) from None
    return at.date(), at if hour else None


def _admits_of(text: str) -> int:
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= ADMITS_MAX:
        return int(text)
    raise _Unfit(CellFault.BAD_ADMITS, most=ADMITS_MAX)


def _standing_of(text: str) -> int:
    if not text:
        return -1
    standing = _STATUS.get(plain(text))
    if standing is None:
        raise _Unfit(CellFault.STATUS_UNKNOWN)
    return int(standing)
