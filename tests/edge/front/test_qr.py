"""The QR code: the same modules as another encoder where both fill the symbol, and readable by its own rules elsewhere."""

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.front import qr

FULL = {1: 17, 2: 32, 3: 53, 4: 78, 5: 106}
"""Bytes that fill each version at level L: no padding, where segno adds a byte of zeros of its own."""


@pytest.mark.parametrize(("version", "size"), list(FULL.items()))
def test_a_full_symbol_is_the_one_another_encoder_draws(version: int, size: int) -> None:
    text = ("https://192.168.1.20:8443/#" + "0123456789ABCDEF" * 6)[:size]
    other = segno.make(text.encode(), error="l", mode="byte", mask=0, boost_error=False, micro=False)
    assert other.designator == f"{version}-L"
    assert qr.matrix(text) == [list(row) for row in other.matrix]


@settings(max_examples=60)
@given(st.text(max_size=106).filter(lambda text: len(text.encode()) <= qr.TEXT_BYTES_MAX))
def test_what_is_drawn_can_be_read_back(text: str) -> None:
    grid = qr.matrix(text)
    version = (len(grid) - 17) // 4
    empty = qr._functions(len(grid), version)
    bits = "".join(str(grid[row][column] ^ ((row + column) % 2 == 0)) for row, column in qr._zigzag(empty))
    size = len(text.encode())
    assert bits[:4] == "0100"
    assert int(bits[4:12], 2) == size
    read = bytes(int(bits[12 + 8 * at : 20 + 8 * at], 2) for at in range(size))
    assert read.decode() == text
    _, room, ec_size = qr._SIZES[version - 1]
    words = bytes(int(bits[8 * at : 8 * at + 8], 2) for at in range(room + ec_size))
    assert qr._error_correction(words[:room], ec_size) == words[room:]
    assert bits[12 + 8 * size : 16 + 8 * size] == "0000"


def test_too_long_is_said() -> None:
    with pytest.raises(qr.TextTooLong, match="107"):
        qr.matrix("x" * 107)


def test_both_drawings_hold_every_dark_module() -> None:
    dark = sum(sum(row) for row in qr.matrix("gate"))
    assert qr.svg("gate").count("h1v1h-1z") == dark
    cells = qr.terminal("gate")
    lit = cells.count("█") * 2 + cells.count("▀") + cells.count("▄")
    lines = cells.split("\n")
    assert lit == 2 * len(lines) * len(lines[0]) - dark
