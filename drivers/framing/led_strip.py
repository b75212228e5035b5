"""What an LED strip is sent: by an Adalight controller's protocol, or as WS2812 and SK6812 themselves read it, off an SPI line.

Pixels are bytes, three to each: red, green, blue.
"""

from typing import Final

CHANNELS: Final = 3

ADALIGHT_MAGIC: Final = b"Ada"
_CHECK: Final = 0x55

SPI_HZ: Final = 2_400_000
"""Three bits of the line for one of a colour, 417 ns each. WS2812B and SK6812 want the high part of a 0 between 0.2 and 0.5 µs, of
a 1 between 0.55 and 0.95 µs."""
_ONE: Final = 0b110
_ZERO: Final = 0b100
_GAP: Final = bytes(96)
"""The line low for 320 µs: that long newer WS2812B want before they show what they were sent (older ones 50 µs). Before the first
pixel too, since the line may have rested high."""
ORDERS: Final = ("GRB", "RGB", "GRBW")
"""In which order a kind of pixel takes its colours. `W` is a white LED of its own, which we leave dark."""


def adalight(pixels: bytes) -> bytes:
    """Return one frame: `Ada`, the number of pixels less one (u16, big-endian), both its bytes XOR 0x55, then the pixels."""
    high, low = divmod(len(pixels) // CHANNELS - 1, 256)
    return ADALIGHT_MAGIC + bytes((high, low, high ^ low ^ _CHECK)) + pixels


def spi(pixels: bytes, order: str) -> bytes:
    """Return what an SPI line at `SPI_HZ` sends, whole: a pause in it would be a gap."""
    at = [{"R": 0, "G": 1, "B": 2, "W": None}[one] for one in order]
    sent = bytearray()
    for pixel in range(0, len(pixels), CHANNELS):
        for channel in at:
            sent += _TRIPLED[0 if channel is None else pixels[pixel + channel]]
    return _GAP + bytes(sent) + _GAP


def _tripled(value: int) -> bytes:
    bits = 0
    for bit in range(7, -1, -1):
        bits = bits << 3 | (_ONE if value >> bit & 1 else _ZERO)
    return bits.to_bytes(3, "big")


_TRIPLED: Final = tuple(_tripled(value) for value in range(256))
