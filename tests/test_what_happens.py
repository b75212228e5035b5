"""`docs/what-happens-when.md` promises nothing that no test shows."""

import ast
import re
from pathlib import Path

from tests.house import ROOT

PAGE = ROOT / "docs" / "what-happens-when.md"
LINES_MIN = 40
"""A page that lost its tables would promise nothing, and this test would still pass."""
_ROW = re.compile(r"^\| (?!when \|)(?!-)(.+) \| (.+) \| (.+) \|$")
_TEST = re.compile(r"^`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`$")


def functions_of(path: Path) -> set[str]:
    """Return the test functions of a file."""
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def promises() -> list[tuple[str, str]]:
    """Return each line's situation and what shows it."""
    rows = [_ROW.match(line) for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [(row[1], row[3]) for row in rows if row is not None]


def test_each_line_is_a_test() -> None:
    found = promises()
    assert len(found) >= LINES_MIN
    for when, shown in found:
        named = _TEST.match(shown)
        assert named is not None, f"{when}: {shown} names no test"
        assert named[2] in functions_of(ROOT / named[1]), f"{when}: there is no {shown}"


def test_no_line_stands_twice() -> None:
    shown = [test for _, test in promises()]
    assert sorted(set(shown)) == sorted(shown)
