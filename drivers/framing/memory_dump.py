"""Lines of a batch handheld's memory: a code and when it was read, each device in its own way, without I/O.

No two makers print the same line, so the configuration writes it down as it looks: `{code},{date},{time}`, with a quote
where the device sends one, `{any}` for a field that nobody needs. Times are the device's local ones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drivers.base import Garbled, Medium, Misconfigured, Scan, Stored
from drivers.framing.aim import split_aim
from drivers.framing.frame import Framed

NO_SUCH_LINE: Final = "no_such_line"
"""A line that is not as configured: a heading, a foot, a half one."""
_PARTS: Final = re.compile(r"\{(\w+)\}")
_TOKENS: Final = {
    "YYYY": r"(?P<year>\d{4})",
    "YY": r"(?P<short_year>\d{2})",
    "MM": r"(?P<month>\d{1,2})",
    "DD": r"(?P<day>\d{1,2})",
}
_CLOCK: Final = {"HH": r"(?P<hour>\d{1,2})", "MM": r"(?P<minute>\d{2})", "SS": r"(?P<second>\d{2})"}
_CENTURY: Final = 2000
_LINE_HINT: Final = 'Write the line as the device sends it, such as "{code},{date},{time}".'
_DATE_HINT: Final = 'Write a date with YYYY or YY, MM and DD, such as "DD/MM/YY".'
_TIME_HINT: Final = 'Write a time with HH, MM and, where it has them, SS, such as "HH:MM:SS".'


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """How a line looks: fields `{code}`, `{date}`, `{time}` and `{any}`, everything else as it stands."""

    line: str = "{code},{date},{time}"
    date: str = "DD/MM/YY"
    time: str = "HH:MM:SS"


class MemoryDump:
    """Framed lines in, `Stored` and `Garbled` out. Raises Misconfigured at once for a line that cannot be read."""

    def __init__(self, how: MemoryLine) -> None:
        self._line = re.compile("".join(_pattern(how)), re.DOTALL)

    def read(self, framed: Framed) -> Stored | Garbled:
        """Read one line. A moment that is on no calendar is none: the code is passed on without it."""
        if isinstance(framed, Garbled):
            return framed
        text = framed.data.decode("latin-1")
        found = self._line.fullmatch(text)
        if found is None or not found["code"]:
            return Garbled(NO_SUCH_LINE, len(text), framed.last_ns)
        aim, code = split_aim(found["code"].encode("latin-1"))
        scan = Scan(code, Medium.BARCODE, aim, framed.first_ns, framed.last_ns)
        return Stored(scan, _moment(found.groupdict()))


def _moment(fields: dict[str, str | None]) -> datetime | None:
    named = {name: int(value) for name, value in fields.items() if value is not None and name != "code"}
    year = named.pop("year", 0) or named.pop("short_year") + _CENTURY
    try:
        return datetime(year, **named)  # type: ignore[arg-type]  # noqa: DTZ001 - the device's local time, of no zone yet
    except ValueError:
        return None


def _pattern(how: MemoryLine) -> Iterator[str]:
    fields = {
        "date": _fields(how.date, _TOKENS, _DATE_HINT),
        "time": _fields(how.time, _CLOCK, _TIME_HINT),
        "code": "(?P<code>.*)",
    }
    pieces = _PARTS.split(how.line)
    named = [name for name in pieces[1::2] if name != "any"]
    if sorted(named) != ["code", "date", "time"]:
        raise Misconfigured(f"{how.line} does not name code, date and time once each", _LINE_HINT)
    for at, piece in enumerate(pieces):
        if piece == "any" and at % 2:
            # Up to what stands behind it and no further: looked for anywhere, a line of separators alone took minutes.
            yield f"[^{re.escape(pieces[at + 1][0])}]*" if pieces[at + 1] else ".*?"
        elif at % 2:
            yield fields[piece]
        elif "{" in piece or "}" in piece:
            raise Misconfigured(f"{how.line} has a lone brace", _LINE_HINT)
        else:
            yield re.escape(piece)


def _fields(text: str, tokens: dict[str, str], hint: str) -> str:
    """Turn `DD/MM/YY` into a pattern. Misconfigured where a part is missing or stands twice."""
    pieces = re.split("(" + "|".join(tokens) + ")", text)
    used = pieces[1::2]
    wanted = {"HH", "MM"} if "HH" in tokens else {"MM", "DD"}
    years = [one for one in used if one.startswith("Y")]
    if len(set(used)) != len(used) or not wanted <= set(used) or ("DD" in tokens and len(years) != 1):
        raise Misconfigured(f"{text} is no way to write this", hint)
    if any(letter.isalpha() for piece in pieces[::2] for letter in piece):
        raise Misconfigured(f"{text} has letters that stand for nothing", hint)
    return "".join(tokens[piece] if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))


__all__ = ["NO_SUCH_LINE", "MemoryDump", "MemoryLine"]
