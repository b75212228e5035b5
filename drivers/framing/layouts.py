r"""Keyboard layouts as tables: what a key code means on a US, a Swiss German and a French keyboard.

A keyboard-wedge scanner types positions, not characters. Which characters they are is the country setting made at
the scanner, so the gate's setting must be the same. Scanners imitate the Windows layouts; so do these tables.

A table is written as the keyboard looks: four rows of keys for each level, a blank where a key types nothing.
"""

import unicodedata
from dataclasses import dataclass, field
from enum import IntEnum

from drivers.framing.keys import (
    KEY_1,
    KEY_102ND,
    KEY_A,
    KEY_APOSTROPHE,
    KEY_BACKSLASH,
    KEY_EQUAL,
    KEY_GRAVE,
    KEY_MINUS,
    KEY_Q,
    KEY_RIGHTBRACE,
    KEY_SLASH,
    KEY_SPACE,
    KEY_Z,
)

ROWS: tuple[tuple[int, ...], ...] = (
    (KEY_GRAVE, *range(KEY_1, KEY_EQUAL + 1)),
    tuple(range(KEY_Q, KEY_RIGHTBRACE + 1)),
    (*range(KEY_A, KEY_APOSTROPHE + 1), KEY_BACKSLASH),
    (KEY_102ND, *range(KEY_Z, KEY_SLASH + 1)),
)

COMBINING = {"^": "\u0302", "`": "\u0300", "´": "\u0301", "~": "\u0303", "¨": "\u0308"}
"""The accent that a dead key puts on the next letter."""


class Level(IntEnum):
    """Which of a key's characters: alone, with Shift, with AltGr."""

    PLAIN = 0
    SHIFT = 1
    ALTGR = 2


Rows = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """One country's keyboard. `dead` holds the (level, code) pairs that wait for the next letter."""

    name: str
    plain: Rows
    shift: Rows
    altgr: Rows | None = None
    dead: frozenset[tuple[Level, int]] = frozenset()
    _chars: dict[tuple[Level, int], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        chars = {(level, KEY_SPACE): " " for level in Level}
        for level, rows in ((Level.PLAIN, self.plain), (Level.SHIFT, self.shift), (Level.ALTGR, self.altgr)):
            for codes, row in zip(ROWS, rows or (), strict=rows is not None):
                chars.update(
                    {(level, code): char for code, char in zip(codes, row, strict=True) if char != " "}
                )
        object.__setattr__(self, "_chars", chars)

    @property
    def has_altgr(self) -> bool:
        """Whether the right Alt key is AltGr here."""
        return self.altgr is not None

    def char(self, level: Level, code: int, *, caps_lock: bool = False) -> str | None:
        """Return the character of a key, or None where it types none.

        CapsLock swaps the levels of a key that holds both cases of one letter and makes any other letter a capital.
        """
        char = self._chars.get((level, code))
        if char is None or not caps_lock:
            return char
        if level is not Level.ALTGR:
            other = self._chars.get((Level.PLAIN if level is Level.SHIFT else Level.SHIFT, code))
            if other is not None and other != char and other.lower() == char.lower():
                return other
        return char.upper() if len(char.upper()) == 1 else char

    def is_dead(self, level: Level, code: int) -> bool:
        """Whether this key waits for the next letter."""
        return (level, code) in self.dead

    def strokes(self, char: str) -> tuple[tuple[Level, int], ...] | None:
        """Return the keys that type a character (a dead key needs a blank or a letter after it), or None."""
        for stroke, typed in self._chars.items():
            if typed == char:
                return (stroke, (Level.PLAIN, KEY_SPACE)) if stroke in self.dead else (stroke,)
        base, accent = unicodedata.normalize("NFD", char)[:1], unicodedata.normalize("NFD", char)[1:]
        for level, code in sorted(self.dead):
            if COMBINING[self._chars[level, code]] == accent:
                rest = self.strokes(base)
                return None if rest is None else ((level, code), *rest)
        return None


US = Layout(
    name="us",
    plain=("`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", "\\zxcvbnm,./"),
    shift=("~!@#$%^&*()_+", "QWERTYUIOP{}", 'ASDFGHJKL:"|', "|ZXCVBNM<>?"),
)

DE_CH = Layout(
    name="de-ch",
    plain=("§1234567890'^", "qwertzuiopü¨", "asdfghjklöä$", "<yxcvbnm,.-"),
    shift=('°+"*ç%&/()=?`', "QWERTZUIOPè!", "ASDFGHJKLéà£", ">YXCVBNM;:_"),
    altgr=(" ¦@#°§¬|¢  ´~", "  €       []", "          {}", "\\          "),
    dead=frozenset(
        {
            (Level.PLAIN, KEY_EQUAL),
            (Level.SHIFT, KEY_EQUAL),
            (Level.ALTGR, KEY_EQUAL),
            (Level.ALTGR, KEY_MINUS),
            (Level.PLAIN, KEY_RIGHTBRACE),
        }
    ),
)

FR = Layout(
    name="fr",
    plain=("²&é\"'(-è_çà)=", "azertyuiop^$", "qsdfghjklmù*", "<wxcvbn,;:!"),
    shift=(" 1234567890°+", "AZERTYUIOP¨£", "QSDFGHJKLM%µ", ">WXCVBN?./§"),
    altgr=("  ~#{[|`\\^@]}", "  €        ¤", "            ", "           "),
    dead=frozenset(
        {
            (Level.PLAIN, KEY_RIGHTBRACE - 1),
            (Level.SHIFT, KEY_RIGHTBRACE - 1),
            (Level.ALTGR, KEY_1 + 1),
            (Level.ALTGR, KEY_1 + 6),
        }
    ),
)

LAYOUTS = {layout.name: layout for layout in (US, DE_CH, FR)}
