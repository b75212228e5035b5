"""Codes from key events: scanners and tag readers that pretend to be a keyboard, without I/O.

The keys of one code may press anything a keyboard can, Ctrl-Alt-Del and SysRq included: here they are at most
characters. A key that types none is ignored.
"""

import unicodedata
from collections.abc import Iterable

from drivers.framing.endings import Endings
from drivers.framing.frame import BAD_ALT_CODE, CUT, EVENTS_LOST, Complete, Frame, Framed
from drivers.framing.keys import (
    EV_KEY,
    EV_LED,
    EV_SYN,
    KEY_CAPSLOCK,
    KEY_ENTER,
    KEY_KPENTER,
    KEY_LEFTALT,
    KEY_LEFTCTRL,
    KEY_LEFTMETA,
    KEY_LEFTSHIFT,
    KEY_RIGHTALT,
    KEY_RIGHTCTRL,
    KEY_RIGHTMETA,
    KEY_RIGHTSHIFT,
    KEY_TAB,
    KEYPAD_DIGITS,
    KEYPAD_SIGNS,
    LED_CAPSL,
    PRESSED,
    REPEATED,
    SYN_DROPPED,
    InputEvent,
)
from drivers.framing.layouts import COMBINING, Layout, Level

ALT_DIGITS_MAX = 4
"""Digits of one ALT code: three, or four with the leading 0 that means Windows-1252."""

_SHIFTS = frozenset({KEY_LEFTSHIFT, KEY_RIGHTSHIFT})
_CTRLS = frozenset({KEY_LEFTCTRL, KEY_RIGHTCTRL})
_METAS = frozenset({KEY_LEFTMETA, KEY_RIGHTMETA})
_MODIFIERS = _SHIFTS | _CTRLS | _METAS | {KEY_LEFTALT, KEY_RIGHTALT}
_TERMINATORS = frozenset({KEY_ENTER, KEY_KPENTER, KEY_TAB})
_TERMINATING_CHARS = frozenset("\r\n\t\x03\x00")
_STX = "\x02"
_WINDOWS_ALTGR = frozenset({KEY_LEFTCTRL, KEY_LEFTALT})
"""Windows takes Ctrl+Alt for AltGr, and some scanners type it so."""


class KeyboardFramer:
    """Input events in, `Scan` and `Garbled` out; a code's text is UTF-8.

    `gap_ns`: how long no key may move to end a frame; must exceed the scanner's keystroke delay. `caps_lock`: whether the
    device's CapsLock light was on at the start. `complete`: see `drivers.framing.frame.Complete`. `endings`:
    what is known of the reader from before.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        gap_ns: int,
        caps_lock: bool = False,
        aim: bool = True,
        complete: Complete | None = None,
        endings: Endings | None = None,
    ) -> None:
        self._layout = layout
        self._gap_ns = gap_ns
        self._caps_lock = caps_lock
        self._frame = Frame(aim=aim, complete=complete)
        self._endings = endings or Endings(gap_ns)
        self._coded = self._ended = False
        """Since the last silence: whether a code came, and whether the last key was an end."""
        self._alts = frozenset({KEY_LEFTALT} if layout.has_altgr else {KEY_LEFTALT, KEY_RIGHTALT})
        self._held: set[int] = set()
        self._alt_digits = ""
        self._dead = ""
        self._moved = False
        self._key_ns = 0
        self._heard_ns = 0

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        return self._heard_ns + self._gap_ns if self._moved else None

    def feed(self, events: Iterable[InputEvent], now_ns: int) -> list[Framed]:
        """Take events read at `now_ns`, each with the time the kernel gave it.

        Gaps inside a batch are judged by the events' own times, so a late read neither splits nor joins codes.
        """
        out: list[Framed] = []
        for event in events:
            if event.kind == EV_KEY:
                # A key that hangs repeats for ever: it must neither type nor keep the line from being quiet.
                if event.value != REPEATED:
                    self._key(event, now_ns, out)
            elif event.kind == EV_SYN:
                if event.code == SYN_DROPPED:
                    # The kernel's buffer overflowed: events are missing, which ones nobody knows.
                    self._forget_keys()
                    self._frame.lose(EVENTS_LOST, event.at_ns, out)
                    self._moved, self._key_ns, self._heard_ns = True, event.at_ns, now_ns
            elif event.kind == EV_LED and event.code == LED_CAPSL:
                # Whoever switches the light tells the scanner, which types by it from then on.
                self._caps_lock = event.value != 0
        before = len(out)
        self._frame.end_if_complete(out)
        self._coded = self._coded or len(out) > before
        return out

    def quiet(self, now_ns: int) -> list[Framed]:
        """End the frame if no key has moved for the gap."""
        out: list[Framed] = []
        deadline_ns = self.deadline_ns
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._end_by_gap(now_ns, out)
        return out

    def _end_by_gap(self, now_ns: int, out: list[Framed]) -> None:
        if self._dead:
            self._put(self._take_dead(), self._key_ns, out)
        if self._frame.size:
            if self._endings.is_cut(self._frame.held, now_ns):
                self._frame.lose(CUT, now_ns, out)
        elif self._coded:
            self._endings.burst(ended=self._ended)
        self._coded = self._ended = False
        self._frame.end(None, out)
        # No scanner holds a key between codes; one that we believe held lost its release on the way.
        self._forget_keys()
        self._moved = False

    def _forget_keys(self) -> None:
        self._held.clear()
        self._alt_digits = ""
        self._dead = ""

    def _key(self, event: InputEvent, now_ns: int, out: list[Framed]) -> None:
        if self._moved and event.at_ns - self._key_ns >= self._gap_ns:
            self._end_by_gap(self._key_ns + self._gap_ns, out)
        self._moved, self._key_ns, self._heard_ns = True, event.at_ns, now_ns
        if event.value == PRESSED:
            if not self._frame.pending and self._endings.is_rest(event.at_ns):
                self._frame.lose(CUT, event.at_ns, [])  # it was told
            self._press(event.code, event.at_ns, out)
        elif event.code in self._held:
            self._held.discard(event.code)
            if event.code in self._alts and self._alt_digits:
                self._end_alt_code(event.at_ns, out)

    def _press(self, code: int, at_ns: int, out: list[Framed]) -> None:
        held = self._held
        if code in _MODIFIERS:
            held.add(code)
        elif code == KEY_CAPSLOCK:
            self._caps_lock = not self._caps_lock
        elif code in _TERMINATORS:
            self._type("\r", at_ns, out)
        elif code in KEYPAD_DIGITS and held & self._alts:
            # One digit too many is kept, so that the code is seen to be none.
            if len(self._alt_digits) <= ALT_DIGITS_MAX:
                self._alt_digits += KEYPAD_DIGITS[code]
        elif not held & _METAS:
            self._press_char(code, at_ns, out)

    def _press_char(self, code: int, at_ns: int, out: list[Framed]) -> None:
        held = self._held
        altgr = self._layout.has_altgr and (KEY_RIGHTALT in held or held >= _WINDOWS_ALTGR)
        if held & self._alts and not altgr:
            return  # a menu key, or Alt+SysRq
        level = Level.ALTGR if altgr else Level.SHIFT if held & _SHIFTS else Level.PLAIN
        char = KEYPAD_DIGITS.get(code) or KEYPAD_SIGNS.get(code)
        char = char or self._layout.char(level, code, caps_lock=self._caps_lock)
        if char is None:
            return
        if held & _CTRLS and not altgr:
            # Scanners send control characters as Ctrl+letter: Ctrl+] is GS.
            if not "@" <= char.upper() <= "_":
                return
            char = chr(ord(char.upper()) & 0x1F)
        elif not self._dead and self._layout.is_dead(level, code):
            self._dead = char
            return
        self._type(char, at_ns, out)

    def _end_alt_code(self, at_ns: int, out: list[Framed]) -> None:
        digits, self._alt_digits = self._alt_digits, ""
        number = int(digits)
        if len(digits) > ALT_DIGITS_MAX or number > 0xFF:
            self._frame.lose(BAD_ALT_CODE, at_ns, out)
            return
        byte = bytes([number])
        try:
            char = byte.decode("cp1252" if digits.startswith("0") else "cp437")
        except UnicodeDecodeError:
            char = chr(number)  # the five holes of Windows-1252 are C1 controls on Windows
        self._type(char, at_ns, out)

    def _take_dead(self) -> str:
        dead, self._dead = self._dead, ""
        return dead

    def _type(self, char: str, at_ns: int, out: list[Framed]) -> None:
        if self._dead:
            dead = self._take_dead()
            joined = unicodedata.normalize("NFC", char + COMBINING[dead])
            if char == " ":
                char = dead
            elif len(joined) == 1:
                char = joined
            else:
                self._put(dead, at_ns, out)
        self._ended = char in _TERMINATING_CHARS
        if self._ended:
            before = len(out)
            self._frame.end(at_ns, out)
            self._coded = self._coded or len(out) > before
        elif char != _STX:
            self._put(char, at_ns, out)

    def _put(self, char: str, at_ns: int, out: list[Framed]) -> None:
        self._frame.add(char.encode(), at_ns, out)
