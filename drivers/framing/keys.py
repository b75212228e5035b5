"""Input events and key codes by the names and numbers of Linux `input-event-codes.h`."""

from typing import NamedTuple

EV_SYN = 0x00
EV_KEY = 0x01
EV_MSC = 0x04
EV_LED = 0x11

SYN_REPORT = 0
SYN_DROPPED = 3

RELEASED = 0
PRESSED = 1
REPEATED = 2

LED_CAPSL = 1

KEY_1 = 2
KEY_MINUS = 12
KEY_EQUAL = 13
KEY_TAB = 15
KEY_Q = 16
KEY_RIGHTBRACE = 27
KEY_ENTER = 28
KEY_LEFTCTRL = 29
KEY_A = 30
KEY_APOSTROPHE = 40
KEY_GRAVE = 41
KEY_LEFTSHIFT = 42
KEY_BACKSLASH = 43
KEY_Z = 44
KEY_SLASH = 53
KEY_RIGHTSHIFT = 54
KEY_LEFTALT = 56
KEY_SPACE = 57
KEY_CAPSLOCK = 58
KEY_102ND = 86
KEY_KPENTER = 96
KEY_RIGHTCTRL = 97
KEY_RIGHTALT = 100
KEY_LEFTMETA = 125
KEY_RIGHTMETA = 126

KEYPAD_DIGITS = {82: "0", 79: "1", 80: "2", 81: "3", 75: "4", 76: "5", 77: "6", 71: "7", 72: "8", 73: "9"}
"""KEY_KP0 to KEY_KP9."""

KEYPAD_SIGNS = {55: "*", 74: "-", 78: "+", 83: ".", 98: "/"}
"""KEY_KPASTERISK, KPMINUS, KPPLUS, KPDOT, KPSLASH."""


class InputEvent(NamedTuple):
    """One `struct input_event`. `at_ns` is monotonic."""

    kind: int
    code: int
    value: int
    at_ns: int
