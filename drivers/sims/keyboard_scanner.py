"""A keyboard-wedge scanner's side: the key events that it types for a code, over a pty instead of the kernel."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.framing.keys import (
    EV_KEY,
    EV_SYN,
    KEY_CAPSLOCK,
    KEY_ENTER,
    KEY_LEFTALT,
    KEY_LEFTCTRL,
    KEY_LEFTSHIFT,
    KEY_RIGHTALT,
    KEY_TAB,
    KEYPAD_DIGITS,
    PRESSED,
    RELEASED,
    SYN_DROPPED,
    SYN_REPORT,
    InputEvent,
)
from drivers.framing.layouts import US, Layout, Level
from drivers.sims.ports import SimPort
from drivers.transport.evdev import pack_event

Lose = Callable[[int], bool]
"""Says of the nth event whether it gets lost."""

_KEYPAD_KEYS = {digit: code for code, digit in KEYPAD_DIGITS.items()}
_LEVEL_KEYS = {Level.SHIFT: KEY_LEFTSHIFT, Level.ALTGR: KEY_RIGHTALT}
_OTHER_CASE = {Level.PLAIN: (Level.SHIFT,), Level.SHIFT: (Level.PLAIN,)}
_SUFFIX_KEYS = {"\r": KEY_ENTER, "\t": KEY_TAB}
_EVENT_STEP_NS = 1000


@dataclass(frozen=True, slots=True)
class KeyboardSetting:
    r"""How the scanner is programmed.

    `layout`: its country. `alt_mode`: "Emulate Keypad", each character as Alt and its Windows-1252 number. `caps_lock`:
    the host's CapsLock is on and the scanner types around it. `suffix`: `\r`, `\t` or none.
    """

    layout: Layout = US
    alt_mode: bool = False
    caps_lock: bool = False
    suffix: str = "\r"
    aim: str = ""


def strokes(text: str, setting: KeyboardSetting) -> Iterator[tuple[int, int]]:
    """Yield the (key code, pressed or released) of a code with its identifier and suffix.

    Raises ValueError for a character that the scanner so programmed cannot type.
    """
    for char in setting.aim + text:
        if setting.alt_mode:
            yield from _around(
                KEY_LEFTALT, *(_KEYPAD_KEYS[digit] for digit in f"{char.encode('cp1252')[0]:04}")
            )
        else:
            yield from _type(char, setting)
    if setting.suffix:
        yield from _tap(_SUFFIX_KEYS[setting.suffix])


def _type(char: str, setting: KeyboardSetting) -> Iterator[tuple[int, int]]:
    keys = setting.layout.strokes(char)
    if keys is None:
        if "\x01" <= char <= "\x1f":
            # Ctrl and the letter 64 above, as scanners type control characters.
            yield KEY_LEFTCTRL, PRESSED
            yield from _type(chr(ord(char) + 0x40).lower(), setting)
            yield KEY_LEFTCTRL, RELEASED
            return
        raise ValueError(f"the layout {setting.layout.name} has no key for {char!r}")
    for level, code in keys:
        wanted = setting.layout.char(level, code)
        for tried in (level, *_OTHER_CASE.get(level, ())):
            if setting.layout.char(tried, code, caps_lock=setting.caps_lock) == wanted:
                held = _LEVEL_KEYS.get(tried)
                yield from _tap(code) if held is None else _around(held, code)
                break
        else:
            raise ValueError(f"the layout {setting.layout.name} has no key for {char!r} while CapsLock is on")


def _tap(code: int) -> Iterator[tuple[int, int]]:
    yield code, PRESSED
    yield code, RELEASED


def _around(held: int, *codes: int) -> Iterator[tuple[int, int]]:
    yield held, PRESSED
    for code in codes:
        yield from _tap(code)
    yield held, RELEASED


class KeyboardScanner:
    """A keyboard-wedge scanner (or a tag reader that types) on a simulated port.

    `now_ns`: the monotonic clock that stamps its events, as the kernel does.
    """

    def __init__(
        self,
        link: Path,
        setting: KeyboardSetting | None = None,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.setting = setting or KeyboardSetting()
        self.port = SimPort(link)
        self._now_ns = now_ns

    def encode(self, text: str, lose: Lose | None = None) -> list[bytes]:
        """Return the packed events of a code, each key followed by its SYN_REPORT."""
        return self._stamped([(EV_KEY, code, value) for code, value in strokes(text, self.setting)], lose)

    async def scan(
        self,
        text: str,
        *,
        chunk: int | None = None,
        lose: Lose | None = None,
        stop_after: int | None = None,
        key_s: float = 0,
    ) -> None:
        """Read a code.

        `chunk`: bytes per write. `stop_after`: send only so many events, as a pulled plug does. `key_s`: pause after
        each event, the scanner's keystroke delay.
        """
        if key_s:
            for code, value in strokes(text, self.setting):
                await self._send(self._stamped([(EV_KEY, code, value)]), chunk)
                await asyncio.sleep(key_s)
            return
        await self._send(self.encode(text, lose)[:stop_after], chunk)

    async def press(self, *keys: tuple[int, int], chunk: int | None = None) -> None:
        """Press (1), release (0) or repeat (2) any keys: (code, value)."""
        await self._send(self._stamped([(EV_KEY, code, value) for code, value in keys]), chunk)

    async def press_caps_lock(self) -> None:
        """Toggle CapsLock; the scanner types around it from now on, or no more."""
        await self.press((KEY_CAPSLOCK, PRESSED), (KEY_CAPSLOCK, RELEASED))
        self.setting = replace(self.setting, caps_lock=not self.setting.caps_lock)

    async def garbage(self, events: list[tuple[int, int, int]]) -> None:
        """Send any events: (type, code, value)."""
        await self._send(self._stamped(events), None)

    async def drop_events(self) -> None:
        """Say what the kernel says when its buffer overflowed."""
        await self.garbage([(EV_SYN, SYN_DROPPED, 0)])

    def _stamped(self, events: list[tuple[int, int, int]], lose: Lose | None = None) -> list[bytes]:
        at_ns = self._now_ns()
        packed = []
        for number, (kind, code, value) in enumerate(events):
            if lose is not None and lose(number):
                continue
            stamp_ns = at_ns + number * _EVENT_STEP_NS
            packed.append(pack_event(InputEvent(kind, code, value, stamp_ns)))
            if kind == EV_KEY:
                packed.append(pack_event(InputEvent(EV_SYN, SYN_REPORT, 0, stamp_ns)))
        return packed

    async def _send(self, events: list[bytes], chunk: int | None) -> None:
        data = b"".join(events)
        step = chunk or max(1, len(data))
        for start in range(0, len(data), step):
            await self.port.send(data[start : start + step])
            await asyncio.sleep(0)
