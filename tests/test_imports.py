"""The import rules of the house hold, and the checker sees what breaks them."""

from pathlib import Path

import pytest

from tests.house import ROOT, import_violations, read_house


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in list(path.parents)[: len(Path(name).parts) - 1]:
            (folder / "__init__.py").touch()
    return root


def test_the_house_keeps_its_import_rules() -> None:
    assert import_violations(ROOT) == []


def test_the_whole_house_is_read() -> None:
    modules = read_house(ROOT)
    assert {
        "admission.records",
        "drivers.base",
        "edge",
        "sync.wire",
        "tests.house",
        "tests.test_imports",
    } <= set(modules)


ALLOWED = {
    "admission/decide.py": "import hashlib\nimport cbor2\nfrom admission import records\n",
    "admission/records.py": "import msgspec\nfrom cryptography.exceptions import InvalidSignature\nInvalidSignature\n",
    "drivers/base.py": "",
    "drivers/transport/tty.py": "import serial\nfrom drivers.base import Reader\n",
    "drivers/relays/lcus.py": "from drivers.transport.tty import Tty\n",
    "drivers/guard.py": "import os\nfrom drivers import base\nfrom drivers.relays import lcus\n",
    "sync/wire/lists.py": "import zstandard\nfrom admission.records import Kind\n",
    "sync/events.py": "import sqlalchemy\nfrom drivers.base import Reader\nfrom sync.wire import lists\n",
    "edge/lane.py": "import apsw\nfrom admission.decide import decide\nfrom drivers.base import Reader\n",
    "edge/compose.py": "from edge import lane\nfrom drivers.relays.lcus import Lcus\nfrom sync.wire.lists import L\n",
    "edge/__main__.py": "def main():\n    from edge.compose import build\n",
    "tests/edge/test_lane.py": "import pytest\nfrom edge.compose import build\nfrom sync import events\n",
}


def test_what_the_design_allows_passes(tmp_path: Path) -> None:
    assert import_violations(plant(tmp_path, ALLOWED)) == []


FORBIDDEN = [
    ("admission/decide.py", "import aiohttp", "aiohttp: no library of room admission"),
    ("admission/decide.py", "from sync.wire import lists", "sync.wire.lists: not for room admission"),
    ("admission/decide.py", "from drivers import base", "drivers.base: not for room admission"),
    ("admission/decide.py", "import os.path", "room admission does no I/O"),
    ("admission/decide.py", "from time import time", "room admission does no I/O"),
    ("admission/decide.py", "def f():\n    import random", "room admission does no I/O"),
    ("admission/codecs/cwt.py", "import asyncio", "room admission does no I/O"),
    ("admission/decide.py", "f = open('x')", "open() in a room without I/O"),
    ("admission/decide.py", "def f(d):\n    return d.now()", ".now() in a room without clock"),
    (
        "admission/decide.py",
        "key = Ed25519PrivateKey.generate()",
        ".generate() in a room without clock and random",
    ),
    ("drivers/framing/lcus.py", "import serial", "serial: no library of room drivers.framing"),
    (
        "drivers/framing/lcus.py",
        "from drivers.transport import tty",
        "drivers.transport.tty: not for room drivers.framing",
    ),
    ("drivers/readers/wedge.py", "from edge.lane import Lane", "edge.lane: not for room drivers"),
    ("drivers/readers/wedge.py", "from sync.wire.lists import L", "sync.wire.lists: not for room drivers"),
    (
        "drivers/readers/wedge.py",
        "from admission.records import Kind",
        "admission.records: not for room drivers",
    ),
    ("drivers/readers/wedge.py", "import msgspec", "msgspec: no library of room drivers"),
    ("drivers/guard.py", "import serial", "serial: no library of room drivers.guard"),
    (
        "drivers/guard.py",
        "from drivers.transport.tty import Tty",
        "drivers.transport.tty: not for room drivers.guard",
    ),
    ("edge/lane.py", "from drivers.relays.lcus import Lcus", "drivers.relays.lcus: not for room edge"),
    ("edge/lane.py", "import drivers", "drivers: not for room edge"),
    ("edge/lane.py", "from sync import events", "sync.events: not for room edge"),
    ("edge/lane.py", "from sync.events import E", "sync.events: not for room edge"),
    ("edge/lane.py", "import sqlalchemy", "sqlalchemy: no library of room edge"),
    ("edge/lane.py", "from tests.house import ROOT", "tests.house: not for room edge"),
    ("edge/front/page.py", "from ..compose import build", "only __main__ and tests may"),
    ("edge/front/page.py", "from edge import compose", "only __main__ and tests may"),
    (
        "edge/front/page.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import drivers.relays.lcus",
        "drivers.relays.lcus: not for room edge",
    ),
    (
        "edge/front/page.py",
        "import importlib\nimportlib.import_module('drivers.relays.lcus')",
        "drivers.relays.lcus: not for room edge",
    ),
    ("edge/front/page.py", "from importlib import import_module\nimport_module(x)", "by a computed name"),
    ("sync/events.py", "from edge.lane import Lane", "edge.lane: not for room sync"),
    ("sync/events.py", "from drivers.relays import lcus", "drivers.relays.lcus: not for room sync"),
    ("sync/wire/lists.py", "from sync.events import E", "sync.events: not for room sync.wire"),
    ("sync/wire/lists.py", "import sqlalchemy", "sqlalchemy: no library of room sync.wire"),
]


@pytest.mark.parametrize(("name", "text", "why"), FORBIDDEN)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, text: str, why: str) -> None:
    # The plant replaces its file, so that no cycle with the old content hides what is meant.
    found = import_violations(plant(tmp_path, {**ALLOWED, name: text + "\n"}))
    assert [line for line in found if line.startswith(f"{name}:") and why in line], found


CYCLES = [
    {"edge/a.py": "import edge.b", "edge/b.py": "import edge.a"},
    {"edge/a.py": "from edge import b", "edge/b.py": "def f():\n    from edge.a import x\n"},
    {
        "edge/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from edge.b import B\n",
        "edge/b.py": "from .c import C",
        "edge/c.py": "from . import a",
    },
    {
        "edge/store/__init__.py": "from edge.store.log import Log",
        "edge/store/log.py": "from edge.store import x",
    },
    {
        "edge/store/__init__.py": "from edge.lane import x",
        "edge/store/log.py": "",
        "edge/lane.py": "from edge.store.log import Log",
    },
]


@pytest.mark.parametrize("files", CYCLES)
def test_a_cycle_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    found = import_violations(plant(tmp_path, files))
    assert [line for line in found if line.startswith("import cycle: ")], found


def test_a_package_that_shows_its_parts_is_no_cycle(tmp_path: Path) -> None:
    files = {
        "edge/store/__init__.py": "from edge.store.log import Log",
        "edge/store/log.py": "from edge.store import rows",
        "edge/store/rows.py": "",
    }
    assert import_violations(plant(tmp_path, files)) == []
