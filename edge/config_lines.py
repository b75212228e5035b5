"""Where each key of a TOML text stands: `tomllib` reads values and forgets their lines.

For texts that `tomllib` has read without a complaint, since only the structure is followed here (TOML 1.0).
"""

from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""From the top: `("lanes", 0, "readers", 1, "port")`; numbers are positions in lists, from 0."""

_BLANK = " \t"
_SPACE = " \t\r\n"
_BARE_END = " \t\r\n.=]"
_SCALAR_END = ",]}#\r\n"
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_UNICODE = {"u": 4, "U": 8}


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, on which each table, list item and key of a valid TOML text begins."""
    return dict(reversed(list(_Walk(text).paths())))  # of a path met twice (a table taken up again) the first


class _Walk:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._items: dict[KeyPath, int] = {}
        """How many tables each list of tables (`[[...]]`) has so far."""

    def paths(self) -> Iterator[tuple[KeyPath, int]]:
        """Yield every path with its line, in the order of the text."""
        table: KeyPath = ()
        while self._skip_to_content():
            line = self._line
            if self._peek() == "[":
                table = self._header()
                yield from ((table[:size], line) for size in range(len(table), 0, -1))
            else:
                yield from self._pair(table)

    def _pair(self, table: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        """Follow `key.key = value`."""
        line = self._line
        keys = self._keys()
        self._step()  # the equals sign
        path = table
        for key in keys:
            path = (*path, key)
            yield path, line
        self._skip(_BLANK)
        yield from self._value(path)

    def _header(self) -> KeyPath:
        """Follow `[a.b]` or `[[a.b]]`; return the path of the table that it opens."""
        self._step()
        is_item = self._peek() == "["
        if is_item:
            self._step()
        *outer, last = self._keys()
        path: KeyPath = ()
        for key in outer:
            path = (*path, key)
            if path in self._items:
                path = (*path, self._items[path] - 1)
        path = (*path, last)
        if is_item:
            number = self._items.get(path, 0)
            self._items[path] = number + 1
            path = (*path, number)
            self._step()
        self._step()
        return path

    def _keys(self) -> list[str]:
        """Follow a dotted key up to what ends it."""
        keys = []
        while True:
            self._skip(_BLANK)
            keys.append(self._string() if self._peek() in "\"'" else self._bare())
            self._skip(_BLANK)
            if self._peek() != ".":
                return keys
            self._step()

    def _bare(self) -> str:
        start = self._at
        while self._peek() not in _BARE_END:
            self._step()
        return self._text[start : self._at]

    def _value(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        """Follow a value, with what lies inside it."""
        first = self._peek()
        if first in "\"'":
            self._string()
        elif first == "[":
            yield from self._array(path)
        elif first == "{":
            yield from self._inline_table(path)
        else:
            while self._at < len(self._text) and self._peek() not in _SCALAR_END:
                self._step()

    def _array(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        self._step()
        number = 0
        while self._skip_to_content() and self._peek() != "]":
            yield (*path, number), self._line
            yield from self._value((*path, number))
            number += 1
            self._skip_comma()
        self._step()

    def _inline_table(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        self._step()
        while self._skip_to_content() and self._peek() != "}":
            yield from self._pair(path)
            self._skip_comma()
        self._step()

    def _skip_comma(self) -> None:
        if self._skip_to_content() and self._peek() == ",":
            self._step()

    def _string(self) -> str:
        """Follow a string of any of the four kinds; return its value (only keys are looked at)."""
        quote = self._peek()
        if self._text.startswith(quote * 3, self._at):
            return self._long_string(quote)
        self._step()
        parts = []
        while self._peek() != quote:
            parts.append(self._escaped() if quote == '"' and self._peek() == "\\" else self._step())
        self._step()
        return "".join(parts)

    def _long_string(self, quote: str) -> str:
        """Follow a string of several lines; it is never a key, so its value is of no use."""
        self._step(3)
        while not self._text.startswith(quote * 3, self._at):
            self._step(2 if quote == '"' and self._peek() == "\\" else 1)
        while self._peek() == quote:  # up to two quotes of the text itself may stand before the closing three
            self._step()
        return ""

    def _escaped(self) -> str:
        self._step()
        kind = self._step()
        if kind in _UNICODE:
            return chr(int(self._step(_UNICODE[kind]), 16))
        return _ESCAPES.get(kind, kind)

    def _skip_to_content(self) -> bool:
        """Go past white space and comments; False at the end of the text."""
        while True:
            self._skip(_SPACE)
            if self._peek() != "#":
                return self._at < len(self._text)
            while self._at < len(self._text) and self._peek() != "\n":
                self._step()

    def _skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._peek() in characters:
            self._step()

    def _peek(self) -> str:
        """The character here; a line's end at the end of the text, which ends everything that may end there."""
        return self._text[self._at] if self._at < len(self._text) else "\n"

    def _step(self, count: int = 1) -> str:
        """Go on; return what was passed."""
        passed = self._text[self._at : self._at + count]
        if not passed:
            raise ValueError("the text ends inside a value")
        self._at += count
        self._line += passed.count("\n")
        return passed
