"""Code 128 (ISO/IEC 15417) in set A, behind FNC3: what scanners take for an order instead of a code.

Set A has capitals, digits, signs and control characters, which is all that a programming code needs.
"""

from typing import Final

TEXT_CHARS_MAX: Final = 24
"""More is too wide for a phone's screen: a module must stay wider than a scanner's dot."""
QUIET: Final = 10
"""Modules of light at both ends (4.1.2)."""
HEIGHT: Final = 60
_START_A: Final = 103
_FNC3: Final = 96
_STOP: Final = "2331112"

# Widths of bar, space, bar, space, bar, space of the values 0 to 105 (table 1).
_TABLE: Final = (
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222"
    "123122123221223211221132221231213212223112312131311222321122321221312212322112322211212123212321"
    "232121111323131123131321112313132113132311211313231113231311112133112331132131113123113321133121"
    "313121211331231131213113213311213131311123311321331121312113312311332111314111221411431111111224"
    "111422121124121421141122141221112214112412122114122411142112142211241211221114413111241112134111"
    "111242121142121241114212124112124211411212421112421211212141214121412121111143111341131141114113"
    "114311411113411311113141114131311141411131211412211214211232"
)
_WIDTHS: Final = tuple(_TABLE[at : at + 6] for at in range(0, len(_TABLE), 6))


def widths(order: str) -> str:
    """Return the widths of bars and spaces in turn, FNC3 first. ValueError for what set A does not have."""
    if not 0 < len(order) <= TEXT_CHARS_MAX:
        raise ValueError(f"{len(order)} characters; 1 to {TEXT_CHARS_MAX}")
    values = [_START_A, _FNC3, *(_value(char) for char in order)]
    check = (values[0] + sum(at * value for at, value in enumerate(values))) % 103
    return "".join(_WIDTHS[value] for value in (*values, check)) + _STOP


def _value(char: str) -> int:
    number = ord(char)
    if 32 <= number < 96:
        return number - 32
    if number < 32:
        return number + 64
    raise ValueError(f"{char!r} is not in code set A")


def svg(order: str) -> str:
    """Return the code as an SVG, black on white with its quiet zones, in any colour scheme."""
    at, bars = QUIET, []
    for number, width in enumerate(map(int, widths(order))):
        if number % 2 == 0:
            bars.append(f"M{at} 0h{width}v{HEIGHT}h-{width}z")
        at += width
    size = at + QUIET
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -6 {size} {HEIGHT + 12}" '
        f'preserveAspectRatio="none" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0-6h{size}v{HEIGHT + 12}H0z"/><path d="{"".join(bars)}"/></svg>'
    )
