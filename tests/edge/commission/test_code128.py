"""Code 128 behind FNC3: the widths of the standard, and the very bars that another program reads."""

import pytest

from edge.commission import code128
from edge.commission.orders import _LOCK, _TO_SERIAL


def values(drawn: str) -> list[int]:
    """Read the bars back: each character is eleven modules wide, in six elements."""
    assert drawn.endswith("2331112")
    body = drawn.removesuffix("2331112")
    return [code128._WIDTHS.index(body[at : at + 6]) for at in range(0, len(body), 6)]


def test_each_value_has_eleven_modules_of_its_own() -> None:
    assert len(set(code128._WIDTHS)) == len(code128._WIDTHS) == 106
    for one in code128._WIDTHS:
        elements = [int(width) for width in one]
        assert sum(elements) == 11
        assert sum(elements[::2]) % 2 == 0  # table 1: the bars of a character are an even number of modules


def test_what_is_drawn_reads_as_what_was_meant() -> None:
    start, fnc3, *text, check = values(code128.widths("$P,HA47,P\r"))
    assert (start, fnc3) == (103, 96)
    assert "".join(chr(one + 32 if one < 64 else one - 64) for one in text) == "$P,HA47,P\r"
    assert check == (103 + sum(at * value for at, value in enumerate([fnc3, *text], 1))) % 103


@pytest.mark.parametrize("order", ["", "a", "X" * 25])
def test_what_set_a_does_not_have_is_said(order: str) -> None:
    with pytest.raises(ValueError, match=r"code set A|characters"):
        code128.widths(order)


def test_every_order_of_ours_can_be_drawn() -> None:
    for order in (*_TO_SERIAL.values(), *_LOCK.values()):
        assert order.guide
        assert not order.text or code128.svg(order.text).startswith("<svg")
