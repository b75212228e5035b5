"""A person's comments in a gate's TOML, carried into the text that is written anew: beside the key or table they stood at.

A table of many is known by its `id`. A list is written anew in one line: comments within it stand above its key, each with the
values that it stood beside. A comment whose table or key is gone goes to the head of the file: nothing a person wrote is lost.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from edge.commission.toml_text import HEAD

Anchor = tuple[str, ...]
"""Tables from the outside in, each with its id, then the key; `_END` for what stands at neither."""
_END: Final = ("",)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')

LOST: Final = "# Comments of the file before, whose place is gone:\n"


@dataclass(slots=True)
class _Remarks:
    above: dict[Anchor, list[str]] = field(default_factory=dict)
    """Whole lines before a key or a table."""
    beside: dict[Anchor, str] = field(default_factory=dict)


def with_remarks(text: str, before: str) -> str:
    """Return a configuration's text with the comments of the one before. The text means the same."""
    found = _remarks(before)
    lines: list[str] = []
    for line, anchor in _anchored(text):
        if anchor == _END:
            lines.append(line)
            continue
        lines += found.above.pop(anchor, ())
        beside = found.beside.pop(anchor, "")
        lines.append(f"{line}  {beside}" if beside else line)
    lines += found.above.pop(_END, ())
    lost = [one for above in found.above.values() for one in above] + list(found.beside.values())
    if lost:
        at = 1 if lines and lines[0] + "\n" == HEAD else 0
        lines[at:at] = [LOST.rstrip(), *lost]
    return "\n".join(lines).rstrip("\n") + "\n"


def _remarks(text: str) -> _Remarks:
    found, waiting = _Remarks(), list[str]()
    within = _within(_lines(text))
    for at, (line, anchor) in enumerate(_anchored(text)):
        code, remark = _split(line)
        if at in within:
            if remark:
                found.above.setdefault(anchor, []).append(_of_values(code, remark))
            continue
        if not code.strip():
            if remark and f"{remark}\n" not in {HEAD, LOST}:
                waiting.append(remark)
            continue
        if waiting:
            found.above.setdefault(anchor, []).extend(waiting)
            waiting = []
        if remark:
            found.beside[anchor] = remark
    if waiting:
        found.above.setdefault(_END, []).extend(waiting)
    return found


def _lines(text: str) -> list[str]:
    """Return the lines as TOML has them: those of `str.splitlines` end at characters too that stand in a name or in a comment."""
    return text.removesuffix("\n").split("\n")


def _anchored(text: str) -> list[tuple[str, Anchor]]:
    """Return each line with what it is of, of a list's lines its key; an empty one and a comment with `_END`."""
    lines = _lines(text)
    within = _within(lines)
    ids = _ids(lines, within)
    made: list[tuple[str, Anchor]] = []
    table: Anchor = ()
    lane: Anchor = ()
    for at, line in enumerate(lines):
        code = _split(line)[0].strip()
        if at in ids:
            name = code.strip("[]").strip()
            inner = name.startswith("lanes.")
            table = (*(lane if inner else ()), f"{name} {ids[at]}")
            lane = table if name == "lanes" else lane if inner else ()
            made.append((line, table))
        elif at in within:
            made.append((line, made[-1][1]))
        elif "=" in code:
            made.append((line, (*table, code.partition("=")[0].strip())))
        else:
            made.append((line, _END))
    return made


def _within(lines: list[str]) -> frozenset[int]:
    """Return the numbers of the lines that go on with a list, or an inline table, from the line before."""
    within = set[int]()
    depth = 0
    for at, line in enumerate(lines):
        code = _split(line)[0]
        if depth:
            within.add(at)
        elif "=" not in code:
            continue  # a table's own brackets
        bare = _STRING.sub("", code)
        depth = max(0, depth + sum(bare.count(one) for one in "[{") - sum(bare.count(one) for one in "]}"))
    return frozenset(within)


def _of_values(code: str, remark: str) -> str:
    """Return a comment of a list with the values that it stands beside."""
    values = code.strip().strip(",[]{} ")
    return f"# {values}: {remark.lstrip('# ')}" if values else remark


def _ids(lines: list[str], within: frozenset[int]) -> dict[int, str]:
    """Return the number of each line that begins a table, with the table's id; "" where it has none."""
    ids: dict[int, str] = {}
    last = -1
    for at, line in enumerate(lines):
        code = _split(line)[0].strip()
        if at in within:
            continue
        if code.startswith("["):
            last = at
            ids[at] = ""
        elif last >= 0 and not ids[last] and code.partition("=")[0].strip() == "id":
            ids[last] = code.partition("=")[2].strip()
    return ids


def _split(line: str) -> tuple[str, str]:
    """Return a line of TOML without its comment, and the comment; a `#` within a string is none."""
    quote = ""
    at = 0
    while at < len(line):
        char = line[at]
        if quote:
            if char == "\\" and quote == '"':
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char == "#":
            return line[:at].rstrip(), line[at:].rstrip()
        at += 1
    return line, ""
