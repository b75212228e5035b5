"""The example configurations load, and between them name every key there is."""

import re
from pathlib import Path

import msgspec
import pytest

from edge import settings
from edge.config import load
from tests.house import ROOT

EXAMPLES = sorted((ROOT / "config").glob("*.toml"))
STRUCTS = [
    one
    for one in vars(settings).values()
    if isinstance(one, type) and issubclass(one, msgspec.Struct) and msgspec.structs.fields(one)
]
COMMENTED = re.compile(r"^# (\w+ = .+)$", re.MULTILINE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads(path: Path) -> None:
    assert load(path, {}).lanes


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_what_an_example_leaves_out_is_correct_too(path: Path) -> None:
    """Each key that is commented out is taken in by itself: it must be allowed where it stands."""
    text = path.read_text()
    found = list(COMMENTED.finditer(text))
    assert found
    for one in found:
        load(text[: one.start()] + one[1] + text[one.end() :], {})


def test_what_is_commented_out_as_a_default_is_the_default() -> None:
    text = (ROOT / "config" / "gate-tripod.toml").read_text()
    plain = load(text, {})
    for one in COMMENTED.finditer(text):
        if not one[1].startswith("attended"):  # which has no value of its own
            assert load(text[: one.start()] + one[1] + text[one.end() :], {}) == plain, one[1]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_key_is_shown_in_an_example(struct: type[msgspec.Struct]) -> None:
    shown = set()
    for path in EXAMPLES:
        shown |= set(re.findall(r"^(?:# )?(\w+) = ", path.read_text(), re.MULTILINE))
        shown |= set(re.findall(r"^\[+(?:\w+\.)?(\w+)\]", path.read_text(), re.MULTILINE))
    assert {field.encode_name for field in msgspec.structs.fields(struct)} - shown == set()
