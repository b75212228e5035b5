"""The house rules by syntax tree: who may import whom, what is pure, how long a file or function may be.

Nothing is imported or run. An import counts wherever it stands: in a function, under TYPE_CHECKING, or as a
literal given to `importlib.import_module`. Every finding is a line `file:line: what is wrong`.
"""

import ast
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("admission", "drivers", "edge", "sync")
HOUSE = (*PACKAGES, "tests")

FILE_LINES_MAX = 750
"""STYLE: clear files run to 400 lines and stop by 750, constant tables aside."""
TABLE_LINES_MIN = 10
"""A shorter assignment is a constant among the code, not a table."""
FUNCTION_LINES_MAX = 70
"""STYLE: functions by 70 lines, docstring included."""


@dataclass(frozen=True, slots=True)
class Room:
    """A part of the house and what its modules may import. `own` and `name` are module prefixes."""

    name: str
    own: tuple[str, ...]
    libraries: frozenset[str]
    pure: bool = False
    """No I/O, no clock, no random: all comes in as arguments."""


_EDGE_LIBRARIES = frozenset(
    {"apsw", "aiohttp", "cryptography", "dbus_fast", "msgspec", "zeroconf", "zstandard"}
)
_SYNC_LIBRARIES = frozenset(
    {
        "aiohttp",
        "sqlalchemy",
        "alembic",
        "segno",
        "msgspec",
        "cryptography",
        "zstandard",
        "jinja2",
        "psycopg",
        "argon2",
        "pyotp",
        # aiohttp's and Jinja2's own types: they come with them, and what they give is typed by them.
        "multidict",
        "markupsafe",
    }
)
_GUARD_OWN = ("drivers.base", "drivers.guard", "drivers.pulses", "drivers.framing", "drivers.relays")

ROOMS = (
    Room("admission", ("admission",), frozenset({"cryptography", "cbor2", "msgspec"}), pure=True),
    # cryptography: AES of OSDP's secure channel alone.
    Room("drivers", ("drivers",), frozenset({"serial", "gpiod", "cryptography"})),
    # Parsers see bytes and times that others read: the same parser then runs under fuzz and in the field.
    Room("drivers.framing", ("drivers.base", "drivers.framing"), frozenset({"cryptography"}), pure=True),
    # The guard must start in a blink and live on when anything else of us is broken.
    Room("drivers.guard", _GUARD_OWN, frozenset()),
    Room("drivers.guard_link", _GUARD_OWN, frozenset()),
    Room("drivers.pulses", ("drivers.base",), frozenset()),
    Room("edge", ("admission", "drivers.base", "sync.wire", "edge"), _EDGE_LIBRARIES),
    Room("edge.compose", ("admission", "drivers", "sync.wire", "edge"), _EDGE_LIBRARIES),
    Room("sync", ("admission", "drivers.base", "sync"), _SYNC_LIBRARIES),
    Room(
        "sync.wire",
        ("admission", "sync.wire"),
        frozenset({"msgspec", "zstandard", "cryptography"}),
    ),
)

IMPURE_MODULES = frozenset(
    "_thread asyncio builtins concurrent ctypes fcntl fileinput ftplib getpass glob gzip http importlib io locale "  # noqa: SIM905  # as a list it would fill a page
    "logging mmap multiprocessing os pathlib pty queue random sched secrets select selectors shelve shutil signal "
    "socket socketserver sqlite3 ssl subprocess sys tempfile termios threading time tty urllib uuid zoneinfo".split()
)
IMPURE_CALLS = frozenset({"open", "input", "print", "exec", "eval", "__import__"})
IMPURE_METHODS = frozenset({"now", "utcnow", "today", "generate", "generate_key"})
"""The clock by way of datetime, chance by way of key making."""


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of the house."""

    name: str
    path: Path
    tree: ast.Module
    is_package: bool


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by its full name, and the line where it stands."""

    target: str
    line: int


def read_house(root: Path) -> dict[str, Module]:
    """Every module under `root`, by its full name."""
    # A thousand syntax trees and not one cycle: the collector would walk them again and again (two thirds of the time).
    gc.disable()
    try:
        return {module.name: module for top in HOUSE for module in _modules(root, top)}
    finally:
        gc.enable()


def _modules(root: Path, top: str) -> Iterator[Module]:
    for path in sorted((root / top).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        yield Module(name, path, ast.parse(path.read_bytes(), str(path)), is_package)


def import_violations(root: Path) -> list[str]:
    """Every import the rooms do not allow, every impure act in a pure room, and a cycle where there is one."""
    modules = read_house(root)
    found = []
    for module in modules.values():
        imports = list(imports_of(module, modules))
        where = module.path.relative_to(root)
        found += [f"{where}:{i.line}: {why}" for i in imports if (why := _forbidden(module.name, i.target))]
        room = room_of(module.name)
        if room is not None:
            found += [f"{where}:{line}: {why}" for line, why in _hidden_imports(module.tree)]
        if room is not None and room.pure:
            found += [f"{where}:{line}: {why}" for line, why in _impure_acts(module.tree)]
    return found + _cycles(modules)


def room_of(name: str) -> Room | None:
    """The room of a module: the longest that fits. Tests live in none and may import all."""
    rooms = [room for room in ROOMS if _within(name, room.name)]
    return max(rooms, key=lambda room: len(room.name), default=None)


def imports_of(module: Module, modules: dict[str, Module]) -> Iterator[Import]:
    """What a module names in its imports. `from a import b` means `a.b` where that is a module, else `a`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(full if full in modules else base, node.lineno)
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(name.value, node.lineno)


def long_files(root: Path) -> list[str]:
    """Files of more than FILE_LINES_MAX lines, not counting constant tables at module level."""
    found = []
    for module in read_house(root).values():
        lines = len(module.path.read_text("utf-8").splitlines())
        lines -= sum(_line_count(node) for node in module.tree.body if _is_table(node))
        if lines > FILE_LINES_MAX:
            found.append(f"{module.path.relative_to(root)}: {lines} lines, at most {FILE_LINES_MAX}")
    return found


def long_functions(root: Path) -> list[str]:
    """Functions of the shipped packages of more than FUNCTION_LINES_MAX lines."""
    found = []
    for module in read_house(root).values():
        if not _within(module.name, *PACKAGES):
            continue
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and _line_count(node) > FUNCTION_LINES_MAX
            ):
                where = f"{module.path.relative_to(root)}:{node.lineno}"
                found.append(
                    f"{where}: {node.name} has {_line_count(node)} lines, at most {FUNCTION_LINES_MAX}"
                )
    return found


def _within(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.name.split(".")
    up = node.level - 1 if module.is_package else node.level
    return ".".join([*package[: len(package) - up], *([node.module] if node.module else [])])


def _is_dynamic_import(node: ast.Call) -> bool:
    called = node.func
    name = (
        called.id
        if isinstance(called, ast.Name)
        else called.attr
        if isinstance(called, ast.Attribute)
        else ""
    )
    return name in {"import_module", "__import__"}


def _forbidden(importer: str, target: str) -> str | None:
    """Why `importer` must not import `target`; None where it may."""
    room = room_of(importer)
    top = target.partition(".")[0]
    compose = next((f"{p}.compose" for p in PACKAGES if _within(target, f"{p}.compose")), None)
    if compose and room and not _within(importer, compose) and not importer.endswith(".__main__"):
        return f"{importer} imports {target}: only __main__ and tests may"
    if room is None:
        return None
    if top in HOUSE:
        return (
            None if _within(target, *room.own) else f"{importer} imports {target}: not for room {room.name}"
        )
    if top in sys.stdlib_module_names:
        impure = room.pure and top in IMPURE_MODULES
        return f"{importer} imports {target}: room {room.name} does no I/O" if impure else None
    return None if top in room.libraries else f"{importer} imports {target}: no library of room {room.name}"


def _hidden_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_dynamic_import(node):
            literal = node.args and isinstance(node.args[0], ast.Constant)
            if not literal:
                yield node.lineno, "an import by a computed name: no test can see where it leads"


def _impure_acts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield node.lineno, f"{node.func.id}() in a room without I/O"
        if isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_METHODS:
            yield node.lineno, f".{node.func.attr}() in a room without clock and random"


def _cycles(modules: dict[str, Module]) -> list[str]:
    """One cycle, where there is one. Importing `a.b` from outside of `a` also runs `a` itself."""
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        edges = set()
        for found in imports_of(module, modules):
            parts = found.target.split(".")
            outer = {".".join(parts[:size]) for size in range(1, len(parts))}
            edges |= {name for name in outer if not _within(module.name, name)} | {found.target}
        graph[module.name] = {edge for edge in edges if edge in modules and edge != module.name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"import cycle: {' <- '.join(error.args[1])}"]
    return []


def _line_count(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _is_table(node: ast.stmt) -> bool:
    if (
        not isinstance(node, ast.Assign | ast.AnnAssign)
        or node.value is None
        or _line_count(node) < TABLE_LINES_MIN
    ):
        return False
    return not any(isinstance(part, ast.Lambda | ast.comprehension) for part in ast.walk(node.value))
