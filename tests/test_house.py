"""Sizes, texts and locks of the house: what STYLE.md limits and what a public tree must not hold."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.house import FILE_LINES_MAX, FUNCTION_LINES_MAX, PACKAGES, ROOT, long_files, long_functions

# Written in pieces, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|opt/(?:wheels|pypi))/")
LOCKS = ("run", "test", "lint", "lock")


def texts() -> dict[str, str]:
    """The text files of the tree, by name, without what is made: as in .gitignore, and every venv."""
    found = {}
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if (name == ".ci" or not name.startswith("."))
            and name not in {"build", "__pycache__"}
            and not name.endswith(".egg-info")
            and not (here / name / "pyvenv.cfg").exists()
        ]
        for path in (here / name for name in names if name != ".git"):  # in a worktree it is a file
            if path.is_file() and not path.is_symlink() and b"\0" not in (data := path.read_bytes()):
                found[str(path.relative_to(ROOT))] = data.decode("utf-8")
    return found


def test_files_and_functions_keep_their_size() -> None:
    assert long_files(ROOT) + long_functions(ROOT) == []


def test_a_long_file_is_found_and_a_table_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    page = tmp_path / "edge" / "page.py"
    page.write_text("print()\n" * FILE_LINES_MAX + "TABLE = {\n" + "    1: 2,\n" * 900 + "}\n")
    assert long_files(tmp_path) == []
    page.write_text("x = 1\n" * (FILE_LINES_MAX + 1))
    assert long_files(tmp_path) == [f"edge/page.py: {FILE_LINES_MAX + 1} lines, at most {FILE_LINES_MAX}"]


@pytest.mark.parametrize("head", ["def f():", "async def f():", "class A:\n  def f(self):"])
def test_a_long_function_is_found(tmp_path: Path, head: str) -> None:
    (tmp_path / "edge").mkdir()
    page = tmp_path / "edge" / "page.py"
    page.write_text(head + "\n" + "    print()\n" * (FUNCTION_LINES_MAX - 1))
    assert long_functions(tmp_path) == []
    page.write_text(head + "\n" + "    print()\n" * FUNCTION_LINES_MAX)
    assert [line.partition(": ")[2] for line in long_functions(tmp_path)] == [
        f"f has {FUNCTION_LINES_MAX + 1} lines, at most {FUNCTION_LINES_MAX}"
    ]


def test_no_task_of_ours_can_miss_that_it_is_cancelled() -> None:
    """wait_for() of Python 3.11 returns when its future is done in the turn that cancels: asyncio.timeout() does not."""
    shipped = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [str(path) for path in shipped if re.search(r"asyncio\.wait_for\(", path.read_text())] == []


@pytest.mark.parametrize("pattern", [UNFINISHED, MACHINE_PATH])
def test_no_text_holds_what_is_ours_alone(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert UNFINISHED.search("# TO" + "DO: later")
    assert MACHINE_PATH.search("path = '/wo" + "rk/main'")
    assert not MACHINE_PATH.search("https://example.org/wo" + "rk/")
    assert {"LICENSE", "pyproject.toml", "Makefile", ".ci/setup.sh", "tests/house.py"} <= set(texts())


def requirements(lock: str) -> list[str]:
    """The requirements of a lock, one a line, continuation lines joined, comments left out."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_version_and_hashes_and_no_address(lock: str) -> None:
    lines = requirements(lock)
    assert len(lines) == len({line.partition("==")[0] for line in lines})
    for line in lines:
        assert re.match(r"[a-z0-9._-]+==[0-9][^ ]*( ; [^-]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+$", line), (
            line[:80]
        )
    assert "://" not in (ROOT / "requirements" / f"{lock}.txt").read_text()


def test_each_lock_holds_the_one_before_it() -> None:
    run, test, lint = (set(requirements(lock)) for lock in LOCKS[:3])
    assert run < test < lint


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    asked = {
        "run": [*project["project"]["dependencies"], *extras["sync"], *groups["build"]],
        "test": [*extras["gpio"], *groups["test"]],
        "lint": groups["lint"],
        "lock": groups["lock"],
    }
    for lock, specs in asked.items():
        names = {line.partition("==")[0] for line in requirements(lock)}
        assert {re.split(r"[<>=~!\[ ]", spec)[0].lower() for spec in specs} <= names, lock
    # What may need a compiler stays out of what `make run` installs.
    assert not {"gpiod", "evdev", "pyscard"} & {line.partition("==")[0] for line in requirements("run")}
