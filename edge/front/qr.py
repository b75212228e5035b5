"""A QR code for the page's address and fingerprint: byte mode, level L, versions 1 to 5 (ISO/IEC 18004).

Those five have one error-correction block and no version information, which is all that an address needs, so the
gate does without a QR library.
"""

from collections.abc import Iterator

TEXT_BYTES_MAX = 106
"""What version 5-L holds in byte mode."""
QUIET = 4
"""Light modules around the symbol (clause 9.1)."""

_SIZES = ((1, 19, 7), (2, 34, 10), (3, 55, 15), (4, 80, 20), (5, 108, 26))
"""Version, data codewords, error-correction codewords at level L (table 9)."""
_FORMAT_L = 0b01
_MASK = 0
"""(row + column) even. Any mask is valid; this one breaks up runs well, and one is simpler than choosing among eight."""

Grid = list[list[int]]
_FREE = -1


class TextTooLong(ValueError):
    """The text does not fit into version 5-L."""


def matrix(text: str) -> Grid:
    """Return the modules, rows of 0 and 1 (dark), without the quiet zone."""
    data = text.encode()
    # mode 4 bits, length 8, terminator 4
    fitting = next((one for one in _SIZES if len(data) + 2 <= one[1]), None)
    if fitting is None:
        raise TextTooLong(f"{len(data)} bytes; at most {TEXT_BYTES_MAX}")
    version, room, ec_size = fitting
    head = (0b0100 << 12 | len(data) << 4).to_bytes(2, "big")
    shifted = int.from_bytes(data, "big") << 4
    body = shifted.to_bytes(len(data) + 1, "big") if data else b"\0"
    codewords = bytearray((head[0], head[1] | body[0])) + body[1:]
    pads = (0xEC, 0x11)
    start = len(codewords)
    codewords += bytes(pads[(at - start) % 2] for at in range(start, room))
    codewords += _error_correction(bytes(codewords), ec_size)
    grid = _functions(17 + 4 * version, version)
    cells = _zigzag(grid)
    for at, (row, column) in enumerate(cells):
        bit = codewords[at // 8] >> (7 - at % 8) & 1 if at < 8 * len(codewords) else 0
        grid[row][column] = bit ^ ((row + column) % 2 == 0)
    _draw_format(grid)
    return grid


def svg(text: str) -> str:
    """Return the code as an SVG, dark on white with its quiet zone, in any colour scheme."""
    grid = matrix(text)
    size = len(grid) + 2 * QUIET
    path = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z"
        for y, row in enumerate(grid)
        for x, dark in enumerate(row)
        if dark
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path d="{path}"/></svg>'
    )


def terminal(text: str) -> str:
    """Return the code for a console, two rows of modules to a line, light on the console's dark."""
    grid = matrix(text)
    size = len(grid)

    def is_light(row: int, column: int) -> bool:
        return not (0 <= row < size and 0 <= column < size) or not grid[row][column]

    lines = []
    for row in range(-QUIET, size + QUIET, 2):
        pairs = ((is_light(row, column), is_light(row + 1, column)) for column in range(-QUIET, size + QUIET))
        lines.append("".join({(1, 1): "█", (1, 0): "▀", (0, 1): "▄"}.get(pair, " ") for pair in pairs))
    return "\n".join(lines)


def _multiply(left: int, right: int) -> int:
    """Multiply in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = left << 1 ^ (0x11D if left & 0x80 else 0)
        right >>= 1
    return product


def _error_correction(data: bytes, size: int) -> bytes:
    """Reed-Solomon: the remainder of the data by the generator of degree `size`."""
    generator = [1]
    root = 1
    for _ in range(size):
        generator = [
            left ^ _multiply(right, root)
            for left, right in zip([*generator, 0], [0, *generator], strict=True)
        ]
        root = _multiply(root, 2)
    rest = [0] * size
    for byte in data:
        factor = byte ^ rest[0]
        rest = [
            value ^ _multiply(factor, term) for value, term in zip([*rest[1:], 0], generator[1:], strict=True)
        ]
    return bytes(rest)


def _functions(size: int, version: int) -> Grid:
    """Draw finders, timing and alignment; -1 where data goes. Format cells are set to 0 for now."""
    grid = [[_FREE] * size for _ in range(size)]
    for at in range(size):
        grid[6][at] = grid[at][6] = 1 - at % 2
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        for row in range(-1, 8):
            for column in range(-1, 8):
                if 0 <= top + row < size and 0 <= left + column < size:
                    ring = max(abs(row - 3), abs(column - 3))
                    grid[top + row][left + column] = int(ring not in {2, 4})
    if version > 1:
        centre = size - 7
        for row in range(-2, 3):
            for column in range(-2, 3):
                grid[centre + row][centre + column] = int(max(abs(row), abs(column)) != 1)
    for first, second in _format_cells(size):
        grid[first[0]][first[1]] = grid[second[0]][second[1]] = 0
    grid[size - 8][8] = 1  # the dark module
    return grid


def _zigzag(grid: Grid) -> list[tuple[int, int]]:
    """The cells for data, in order: pairs of columns from the right, up and down, not column 6."""
    size = len(grid)
    cells: list[tuple[int, int]] = []
    upward = True
    for right in (*range(size - 1, 6, -2), 5, 3, 1):
        for row in range(size - 1, -1, -1) if upward else range(size):
            cells += [(row, column) for column in (right, right - 1) if grid[row][column] == _FREE]
        upward = not upward
    return cells


def _format_cells(size: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Both places of each of the 15 format bits, lowest bit first (figure 25)."""
    around = [0, 1, 2, 3, 4, 5, 7, 8]
    for bit in range(15):
        first = (around[bit], 8) if bit < 8 else (8, [7, 5, 4, 3, 2, 1, 0][bit - 8])
        second = (8, size - 1 - bit) if bit < 8 else (size - 15 + bit, 8)
        yield first, second


def _draw_format(grid: Grid) -> None:
    """Level and mask with their BCH(15,5) code, masked with 101010000010010."""
    value = _FORMAT_L << 3 | _MASK
    rest = value << 10
    for shift in range(4, -1, -1):
        if rest >> (shift + 10) & 1:
            rest ^= 0b10100110111 << shift
    bits = (value << 10 | rest) ^ 0b101010000010010
    for at, (first, second) in enumerate(_format_cells(len(grid))):
        grid[first[0]][first[1]] = grid[second[0]][second[1]] = bits >> at & 1
