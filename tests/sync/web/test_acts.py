"""Every operation that a page names is one of the API: a route renamed fails here, not at an organizer's click."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.web.app import api_routes

SYNC = Path(__file__).resolve().parents[3] / "sync"
KEY = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /api/v1/.+", re.DOTALL)
PAGES = [path for path in sorted(SYNC.rglob("*.py")) if "._acts." in path.read_text()]
"""Every module that calls an operation of the API."""
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[FUNCTION]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTION))


def constants(tree: ast.AST) -> dict[str, str]:
    """Return the texts that names are given in a function, alone or in a tuple."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if (
                        isinstance(name, ast.Name)
                        and isinstance(value, ast.Constant)
                        and isinstance(value.value, str)
                    ):
                        found[name.id] = value.value
    return found


def filled(text: ast.JoinedStr, names: dict[str, str]) -> str:
    """Return an f-string with the names put in that are known; others as a \\0 with the name."""
    made = ""
    for part in text.values:
        if isinstance(part, ast.Constant):
            made += str(part.value)
        else:
            assert isinstance(part, ast.FormattedValue)
            name = ast.unparse(part.value)
            made += names.get(name, f"\0{name}\0")
    return made


def given(module: ast.AST, function: FUNCTION, parameter: str) -> list[str]:
    """Return what calls of a function give for a parameter; all of them must be literal."""
    places = [argument.arg for argument in function.args.args if argument.arg != "self"]
    found = []
    for call in ast.walk(module):
        name = getattr(call, "func", None)
        if isinstance(call, ast.Call) and getattr(name, "attr", getattr(name, "id", "")) == function.name:
            value = call.args[places.index(parameter)] if call.args else None
            if isinstance(name, ast.Attribute) and not isinstance(value, ast.Constant):
                continue  # another object's method of this name: its keys are whole and found on their own
            assert isinstance(value, ast.Constant), f"line {call.lineno}: a key that is not literal"
            found.append(str(value.value))
    return found


def keys_of(source: str) -> set[str]:
    """Return every key of an operation that a module names; refuse one that cannot be read without running it."""
    module = ast.parse(source)
    found: set[str] = set()
    for function in functions(module):
        names = constants(function)
        texts = [node for node in ast.walk(function) if isinstance(node, ast.JoinedStr)]
        parts = {
            ast.unparse(part.value)
            for text in texts
            for part in text.values
            if isinstance(part, ast.FormattedValue)
        }
        prefixes = {names[part] for part in parts & names.keys()}
        whole = {filled(text, names) for text in texts} | {
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        } - prefixes
        own = {argument.arg for argument in function.args.args}
        for key in whole:
            if not KEY.fullmatch(key):
                continue
            open_names = re.findall("\0(.+?)\0", key)
            if not open_names:
                found.add(key)
            elif set(open_names) <= own:
                assert len(open_names) == 1, key
                found |= {
                    key.replace(f"\0{open_names[0]}\0", one) for one in given(module, function, open_names[0])
                }
            else:  # a function around this one: its turn comes, or the key cannot be read
                assert any(
                    set(open_names) <= {a.arg for a in one.args.args} for one in functions(function)
                ), key
    return found


NAMED = {(path.parent.name, key) for path in PAGES for key in keys_of(path.read_text())}


@pytest.mark.parametrize(("capability", "key"), sorted(NAMED))
def test_an_operation_that_a_page_names_is_in_the_api(capability: str, key: str) -> None:
    assert key in {route.key for route in api_routes()}


def test_the_search_finds_what_is_written() -> None:
    """A known key of every way of writing one: whole, with a base, through a helper of the page."""
    found = {key for _, key in NAMED}
    assert {
        "GET /api/v1/search",
        "PUT /api/v1/customers/{customer}",
        "POST /api/v1/orders/{order}/pay",
        "POST /api/v1/events/{event}/tickets/{ticket}/standing",
        "POST /api/v1/groups/{group}/zones",
        "POST /api/v1/venues",
    } <= found
    calls = sum(len(re.findall(r"_acts\.(?:do|press)\(", path.read_text())) for path in PAGES)
    assert len(found) >= calls > 5


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ('def a():\n    do("GET /api/v1/x")', {"GET /api/v1/x"}),
        ('def a():\n    at, base = 1, "/api/v1/x"\n    do(f"PUT {base}")', {"PUT /api/v1/x"}),
        ('def a():\n    base = "POST /api/v1/x"\n    do(f"{base}/y")', {"POST /api/v1/x/y"}),
        ('def a():\n    def do(key):\n        run(f"POST /api/v1/{key}")\n    do("x")\n    do("y")', {"POST /api/v1/x", "POST /api/v1/y"}),
        ('def a():\n    see("GET of nothing")', set()),
    ],
)  # fmt: skip
def test_keys_are_read(source: str, keys: set[str]) -> None:
    assert keys_of(source) == keys


def test_a_key_made_of_what_is_not_written_down_is_refused() -> None:
    with pytest.raises(AssertionError):
        keys_of('def a(form):\n    one = form.text("x")\n    do(f"POST /api/v1/{one}")')
