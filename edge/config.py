"""Reading a gate's TOML: typed settings, or every error at once, each with its key, line and what is allowed.

What a key may say is `edge.settings`; what several keys must agree on is `edge.config_rules`.
"""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import inspect

from edge import barrier_kinds, config_rules
from edge.config_lines import KeyPath, key_lines
from edge.settings import GateSettings, RelaySettings, Settings

EX_CONFIG: Final = 78
"""sysexits.h: something was found in an unconfigured or misconfigured state."""
FILE_NAME: Final = "gate.toml"
SYSTEM_FOLDER: Final = Path("/etc/gatehouse")
CONFIG_BYTES_MAX: Final = 256 * 1024
"""A gate of 16 lanes with all their comments is below 40 KiB; what is larger is the wrong file."""
ERRORS_MAX: Final = 100
"""Errors listed; a file with more is not corrected line by line."""
SHOWN_CHARS_MAX: Final = 40
"""How much of a wrong value is repeated, so that one value cannot fill the journal."""


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing to correct. `key` as in `lanes[0].readers[1].port`; `line` from 1, 0 where the file as a whole is
    meant; `allowed` and `meant` (the likely intention) are "" where there is nothing to say."""

    key: str
    line: int
    wrong: str
    allowed: str = ""
    meant: str = ""

    def __str__(self) -> str:
        parts = [f"line {self.line}: " if self.line else "", f"{self.key}: " if self.key else "", self.wrong]
        parts.append(f"; did you mean {self.meant}?" if self.meant else "")
        parts.append(f" (allowed: {self.allowed})" if self.allowed else "")
        return "".join(parts)


class ConfigErrors(Exception):
    """The file cannot be used. Its text is a block for the operator: one line per error, in the file's order."""

    hint = "Correct what is named, then try `gatehouse-edge check`."
    exit_code = EX_CONFIG

    def __init__(self, name: str, errors: Sequence[ConfigError]) -> None:
        ordered = sorted(errors, key=lambda error: (error.line, error.key))
        self.errors = tuple(ordered[:ERRORS_MAX])
        shown = [f"  {error}" for error in self.errors]
        if len(ordered) > ERRORS_MAX:
            shown.append(f"  and {len(ordered) - ERRORS_MAX} more")
        count = "1 error" if len(ordered) == 1 else f"{len(ordered)} errors"
        super().__init__("\n".join((f"{name}: {count}", *shown)))


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the TOML is unless said otherwise: systemd's $CONFIGURATION_DIRECTORY, else /etc/gatehouse.

    Where nobody put one there, the one that commissioning wrote into the data folder, if it did: the service may not write
    below /etc, and what a person put there always wins.
    """
    put = _first_folder(environment, "CONFIGURATION_DIRECTORY", SYSTEM_FOLDER) / FILE_NAME
    return (
        commissioned if not _is_there(put) and _is_there(commissioned := _commissioned(environment)) else put
    )


def writable_path(path: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where commissioning writes: this path, or the data folder where its folder takes no files."""
    return path if os.access(path.parent, os.W_OK) else _commissioned(environment)


def bare(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return what holds before there is a file: no lanes, all else by default."""
    data = _first_folder(environment, "STATE_DIRECTORY", Path(GateSettings().data))
    return Settings(lanes=(), gate=GateSettings(data=str(data)))


def _commissioned(environment: Mapping[str, str]) -> Path:
    return _first_folder(environment, "STATE_DIRECTORY", Path(GateSettings().data)) / FILE_NAME


def _is_there(path: Path) -> bool:
    """Whether there is such a file; not where its folder is closed to us."""
    return os.access(path, os.F_OK)


def load(source: Path | str, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in a file (a Path) or in a text. ConfigErrors with everything that is wrong.

    Where the file does not say `gate.data`, systemd's $STATE_DIRECTORY holds.
    """
    name, text = _read(source)
    table = _parse(name, text)
    gate = table.setdefault("gate", {})
    if isinstance(gate, dict) and environment.get("STATE_DIRECTORY"):
        gate.setdefault("data", str(_first_folder(environment, "STATE_DIRECTORY", Path("/"))))
    found = [*_Shape().errors(inspect.type_info(Settings), table, ())]
    found += [_Found(path, wrong, allowed) for path, wrong, allowed in config_rules.problems(table)]
    if not found:
        barrier_kinds.fill_in(table)
        try:
            return msgspec.convert(table, Settings)
        except msgspec.ValidationError as error:  # the walk missed it: say what msgspec says
            found.append(_Found((), str(error)))
    lines = _lines(text)
    raise ConfigErrors(name, [one.error(lines) for one in found])


def relays(source: Path | str) -> tuple[RelaySettings, ...]:
    """Return the relays that can be made out, whatever else is wrong: "all off" must not wait for a corrected file.

    ConfigErrors only where the file is no TOML at all.
    """
    tables = _parse(*_read(source)).get("relays")
    readable = []
    for table in tables if isinstance(tables, list) else ():
        try:
            readable.append(msgspec.convert(table, RelaySettings))
        except msgspec.ValidationError:
            continue  # `load` names it
    return tuple(readable)


def _first_folder(environment: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    """systemd.exec(5): several folders are separated by colons."""
    first = environment.get(variable, "").partition(":")[0]
    return Path(first) if first else otherwise


def _read(source: Path | str) -> tuple[str, str]:
    """Return a name for the operator, and the text."""
    if isinstance(source, str):
        return "configuration", source
    name = str(source)
    try:
        with source.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            raise ConfigErrors(
                name, [ConfigError("", 0, f"the file is larger than {CONFIG_BYTES_MAX} bytes")]
            )
        return name, data.decode()
    except OSError as error:
        wrong = f"the file cannot be read: {error.strerror}"
        raise ConfigErrors(
            name, [ConfigError("", 0, wrong, "a TOML file, or another path by --config")]
        ) from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigErrors(name, [ConfigError("", line, "the file is not UTF-8")]) from None


def _parse(name: str, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        wrong, line = _syntax(str(error), text)
        raise ConfigErrors(name, [ConfigError("", line, wrong)]) from None
    except RecursionError:
        raise ConfigErrors(name, [ConfigError("", 0, "lists or tables are nested too deeply")]) from None
    except ValueError as error:  # a number of thousands of digits
        raise ConfigErrors(name, [ConfigError("", 0, f"a value cannot be read: {error}")]) from None


def _syntax(message: str, text: str) -> tuple[str, int]:
    """Take a parser's "Expected '=' (at line 2, column 3)", or "(at end of document)", apart."""
    wrong, _, place = message.rpartition(" (at ")
    wrong = wrong or message
    line = re.match(r"line (\d+)", place)
    at = int(line[1]) if line else text.rstrip().count("\n") + 1
    return f"this is no TOML: {wrong[:1].lower()}{wrong[1:]}", at


def _lines(text: str) -> dict[KeyPath, int]:
    try:
        return key_lines(text)
    except (ValueError, RecursionError):  # errors without lines are better than none
        return {}


@dataclass(frozen=True, slots=True)
class _Found:
    """An error before its line is known."""

    path: KeyPath
    wrong: str
    allowed: str = ""
    meant: str = ""

    def error(self, lines: Mapping[KeyPath, int]) -> ConfigError:
        """Give it the line of its key, or of the nearest table around a key that is missing."""
        nearest = next(
            (lines[self.path[:n]] for n in range(len(self.path), 0, -1) if self.path[:n] in lines), 0
        )
        return ConfigError(_name(self.path), nearest, self.wrong, self.allowed, self.meant)


def _name(path: KeyPath) -> str:
    """Write a path as people do: `lanes[0].readers[1].port`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{_shown_key(part)}" for part in path]
    return "".join(parts).removeprefix(".")


def _shown_key(key: str) -> str:
    return key if key.isidentifier() and len(key) <= SHOWN_CHARS_MAX else _shown(key)


def _shown(value: object) -> str:
    """Repeat a value for the operator, shortened, control characters escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 1]}…"


class _Shape:
    """Holds a TOML table against the types of `edge.settings`, all of it."""

    def errors(self, shape: inspect.Type, value: object, path: KeyPath) -> Iterator[_Found]:
        """Yield what is wrong with a value, and with everything inside it."""
        match _bare(shape):
            case inspect.StructType() as struct:
                yield from self._struct(struct, value, path)
            case inspect.UnionType(types=types) as union if _is_tagged(union):
                yield from self._tagged(
                    [one for one in types if isinstance(one, inspect.StructType)], value, path
                )
            case inspect.VarTupleType() as items:
                yield from self._list(items, value, path)
            case scalar:
                if not _fits(scalar, value):
                    yield _refused(shape, value, path)

    def _struct(self, struct: inspect.StructType, value: object, path: KeyPath) -> Iterator[_Found]:
        if not isinstance(value, dict):
            written = "a list of tables" if isinstance(value, list) else _shown(value)
            yield _Found(path, f"{written} is not allowed", f"one table, written [{path[-1]}]")
            return
        fields = {field.encode_name: field for field in struct.fields}
        tag = struct.tag_field
        for key, inner in value.items():
            if key in fields:
                yield from self.errors(fields[key].type, inner, (*path, key))
            elif key != tag:
                yield _unknown(key, [*fields, *([tag] if tag else ())], path)
        for key, field in fields.items():
            if field.required and key not in value:
                yield _Found((*path, key), "is missing", describe(field.type))

    def _tagged(
        self, structs_: Sequence[inspect.StructType], value: object, path: KeyPath
    ) -> Iterator[_Found]:
        """Follow a table whose `driver` says which keys it has."""
        key = structs_[0].tag_field or ""
        tags = [str(one.tag) for one in structs_]
        if not isinstance(value, dict):
            yield _Found(path, f"{_shown(value)} is not allowed", f"a table with {key} = {_listed(tags)}")
            return
        tag = value.get(key)
        if tag in tags:
            yield from self._struct(structs_[tags.index(str(tag))], value, path)
        elif key not in value:
            meant = ""
            if near := difflib.get_close_matches(key, [k for k in value if isinstance(k, str)], 1):
                meant = f"{key} where it says {_shown_key(near[0])}"
            yield _Found((*path, key), "is missing", _listed(tags), meant)
        else:
            yield _Found((*path, key), f"{_shown(tag)} is not allowed", _listed(tags), _near(tag, tags))

    def _list(self, items: inspect.VarTupleType, value: object, path: KeyPath) -> Iterator[_Found]:
        least, most = items.min_length or 0, items.max_length or math.inf
        tables = _holds_tables(items)
        if not isinstance(value, list):
            allowed = f"a list of tables, each written [[{path[-1]}]]" if tables else describe(items)
            yield _Found(path, f"{_shown(value)} is not allowed", allowed)
            return
        if not least <= len(value) <= most:
            yield _Found(path, f"{len(value)} entries are not allowed", f"{least} to {most:g} entries")
        for number, inner in enumerate(value[: ERRORS_MAX + 1]):
            yield from self.errors(items.item_type, inner, (*path, number))


def describe(shape: inspect.Type) -> str:
    """Say in words what a key takes."""
    if isinstance(shape, inspect.Metadata):
        said = (shape.extra_json_schema or {}).get("description", "")
        return str(said) or describe(shape.type)
    match shape:
        case inspect.IntType(ge=least, le=most):
            return f"a whole number{_range(least, most)}"
        case inspect.FloatType(ge=least, le=most):
            return f"a number{_range(least, most)}"
        case inspect.StrType(min_length=least, max_length=most):
            return f"a text of {least} to {most} characters" if most else "a text"
        case inspect.BoolType():
            return "true or false"
        case inspect.EnumType(cls=enum):
            numbers = [str(one.value) for one in enum if isinstance(one.value, int)]
            return ", ".join(numbers) if numbers else _listed([str(one.value) for one in enum])
        case inspect.VarTupleType(item_type=item):
            return "tables" if _holds_tables(shape) else f"a list, each entry {describe(item)}"
        case inspect.UnionType(types=types) if not _is_tagged(shape):
            return " or ".join(describe(one) for one in types if not isinstance(one, inspect.NoneType))
        case _:
            return "a table"


def _range(least: float | None, most: float | None) -> str:
    return "" if least is None or most is None else f" from {least} to {most}"


def _bare(shape: inspect.Type) -> inspect.Type:
    return _bare(shape.type) if isinstance(shape, inspect.Metadata) else shape


def _is_tagged(shape: inspect.Type) -> bool:
    return isinstance(shape, inspect.UnionType) and isinstance(_bare(shape.types[0]), inspect.StructType)


def _holds_tables(items: inspect.VarTupleType) -> bool:
    item = _bare(items.item_type)
    return isinstance(item, inspect.StructType) or _is_tagged(item)


def _fits(shape: inspect.Type, value: object) -> bool:
    """Whether a plain value is of its type and in its range. TOML's `nan` passes every comparison that is not made."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    match shape:
        case inspect.UnionType(types=types):
            return any(_fits(_bare(one), value) for one in types)
        case inspect.NoneType():
            return value is None  # which TOML cannot say
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType(ge=least, le=most):
            return isinstance(value, int) and not isinstance(value, bool) and _within(value, least, most)
        case inspect.FloatType(ge=least, le=most):
            return (
                isinstance(value, int | float) and not isinstance(value, bool) and _within(value, least, most)
            )
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            if not isinstance(value, str) or "\0" in value:
                return False  # a NUL ends a path early wherever C reads it
            return _within(len(value), least, most) and (not pattern or _matches(pattern, value))
        case inspect.EnumType(cls=enum):
            known = [one.value for one in enum]
            return type(value) in {str, int} and value in known  # True is 1, and no number of anything
        case _:
            raise TypeError(f"no key of a gate's TOML is of {shape}")


def _within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _refused(shape: inspect.Type, value: object, path: KeyPath) -> _Found:
    """Say that a plain value is not allowed, and which one may have been meant."""
    bare = _bare(shape)
    shapes = [_bare(one) for one in bare.types] if isinstance(bare, inspect.UnionType) else [bare]
    choices = [str(one.value) for enum in shapes if isinstance(enum, inspect.EnumType) for one in enum.cls]
    return _Found(path, f"{_shown(value)} is not allowed", describe(shape), _near(value, choices))


def _unknown(key: str, known: Sequence[str], path: KeyPath) -> _Found:
    """Say that there is no such key here, and which one or where it may have been meant."""
    near = _near(key, known)
    homes = () if near else _homes().get(key, ())
    allowed = f"{key} belongs to {' or '.join(homes)}" if homes else ""
    return _Found((*path, key), "there is no such key", allowed, near)


@cache
def _homes() -> dict[str, tuple[str, ...]]:
    """Return in which tables each key stands, as a TOML file names them."""
    homes: dict[str, set[str]] = {}

    def visit(shape: inspect.Type, name: str) -> None:
        bare = _bare(shape)
        if isinstance(bare, inspect.UnionType):
            for one in bare.types:
                visit(one, name)
        elif isinstance(bare, inspect.VarTupleType) and _holds_tables(bare):
            visit(bare.item_type, f"[[{name[1:-1]}]]")
        elif isinstance(bare, inspect.StructType):
            for field in bare.fields:
                inside = name.strip("[]")
                homes.setdefault(field.encode_name, set()).add(name or "the top of the file")
                visit(field.type, f"[{inside}.{field.encode_name}]" if inside else f"[{field.encode_name}]")

    visit(inspect.type_info(Settings), "")
    return {key: tuple(sorted(names)) for key, names in homes.items()}


def _near(value: object, known: Sequence[str]) -> str:
    """Return the known word that a misspelt one resembles; "" for none."""
    if not isinstance(value, str):
        return ""
    exact = [word for word in known if word.lower() == value.lower().strip()]
    return next(iter(exact or difflib.get_close_matches(value[:SHOWN_CHARS_MAX], known, 1)), "")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _matches(pattern: str, value: str) -> bool:
    return re.search(pattern, value) is not None
