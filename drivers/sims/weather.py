"""What a wire does to the bytes on it, either way: the same for every simulated board."""

import random
from collections.abc import Iterator
from enum import Enum
from typing import Final

LOST_SHARE: Final = 0.2
GARBAGE: Final = b"\x00\xff\x13\x37>\r\n"
"""Between frames: what a turn-round of RS-485 and a console's prompt leave behind."""
BABBLE_BYTES: Final = 4096
DELAY_S: Final = 0.03
"""A slow adapter: below the host's patience, above its hope."""


class Weather(Enum):
    """One kind of trouble."""

    CLEAR = "clear"
    BYTEWISE = "bytewise"  # each byte comes alone
    LOSSY = "lossy"  # a fifth of the messages either way never arrives
    DELAYED = "delayed"
    GARBAGE = "garbage"  # noise between frames
    DEAF = "deaf"  # the wire from the host is cut: nothing is heard, nothing said
    MUTE = "mute"  # everything is heard, nothing said
    BABBLE = "babble"  # says nonsense at full speed, and hears nothing
    CUT = "cut"  # half an answer, then nothing more
    SCRAMBLED = "scrambled"  # another baud rate: every byte is another one


class Wire:
    """The two ways of one cable. `seed` makes the losses the same in every run."""

    def __init__(self, weather: Weather = Weather.CLEAR, seed: int = 1) -> None:
        self.weather = weather
        self._random = random.Random(seed)  # noqa: S311 - a simulator's losses, the same in every run

    def to_device(self, data: bytes) -> bytes:
        """What the device hears of what the host sent."""
        match self.weather:
            case Weather.DEAF | Weather.BABBLE:
                return b""
            case Weather.LOSSY:
                return b"" if self._is_lost() else data
            case Weather.SCRAMBLED:
                return _scrambled(data)
            case _:
                return data

    def to_host(self, data: bytes) -> Iterator[bytes]:
        """The pieces in which the host hears an answer."""
        match self.weather:
            case Weather.MUTE | Weather.DEAF | Weather.BABBLE:
                return
            case Weather.BYTEWISE:
                yield from (data[at : at + 1] for at in range(len(data)))
            case Weather.GARBAGE:
                yield GARBAGE + data + GARBAGE
            case Weather.CUT:
                yield data[: len(data) // 2]
                self.weather = Weather.DEAF
            case Weather.SCRAMBLED:
                yield _scrambled(data)
            case Weather.LOSSY if self._is_lost():
                return
            case _:
                yield data

    def babble(self) -> bytes:
        """What the device says unasked, all the time."""
        return self._random.randbytes(BABBLE_BYTES) if self.weather is Weather.BABBLE else b""

    def _is_lost(self) -> bool:
        return self._random.random() < LOST_SHARE


def _scrambled(data: bytes) -> bytes:
    """Another speed reads the same edges as other bits."""
    return bytes((byte * 0x35 + 0x9B) & 0xFF for byte in data)
