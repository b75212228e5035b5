"""A gate's settings as TOML: the text that `edge.config.load` reads back as the very same settings. Defaults are left out."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec

from edge.barrier_kinds import DEFAULTS
from edge.settings import InputSettings, ReaderSettings, RelaySettings, Settings

HEAD: Final = "# Written by the commissioning page. Change it by hand as you like: gatehouse-edge check\n"
_TABLES: Final = ("gate", "page", "centre", "modem", "peers", "log", "staff")


def toml_of(settings: Settings) -> str:
    """Return the text of a whole gate."""
    parts = [HEAD]
    for name in _TABLES:
        lines = list(_fields(getattr(settings, name)))
        if lines:
            parts.append("\n".join((f"[{name}]", *lines, "")))
    for name in ("relays", "inputs"):
        parts += ["\n".join((f"[[{name}]]", *_fields(one), "")) for one in getattr(settings, name)]
    for lane in settings.lanes:
        own = _fields(lane, leave="readers", usual=DEFAULTS[lane.barrier])
        parts.append("\n".join(("[[lanes]]", *own, "")))
        parts += ["\n".join(("[[lanes.readers]]", *_fields(one), "")) for one in lane.readers]
    return "\n".join(parts)


def fields_of(device: ReaderSettings | RelaySettings | InputSettings) -> tuple[str, ...]:
    """Return what opens a device, a line of TOML each; how it is called, and a reader's way, are the gate's to say."""
    return tuple(one for one in _fields(device) if not one.startswith(("id = ", "way = ")))


def _fields(
    table: msgspec.Struct, leave: str = "", usual: Mapping[str, object] = MappingProxyType({})
) -> Iterator[str]:
    tag = table.__struct_config__
    if isinstance(tag.tag, str):
        yield f"{tag.tag_field} = {_value(tag.tag)}"
    for one in msgspec.structs.fields(table):
        value = getattr(table, one.name)
        default = usual.get(one.name, None if one.default is msgspec.NODEFAULT else one.default)
        if one.name == leave or value is None or (not one.required and value == default):
            continue
        yield f"{one.encode_name} = {_value(value)}"


def _value(value: object) -> str:
    match value:
        case Enum():
            return _value(value.value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(_value(one) for one in value)}]"
        case _:
            raise TypeError(f"no value of a gate's TOML is a {type(value).__name__}")
