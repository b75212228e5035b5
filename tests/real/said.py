"""What the programs of an evening said in their logs that an operator would look at: how often each kind of line came.

A venue of which nothing is wrong says little: each kind that stands here is explained by a fault of the evening, or is a
defect that no checker sees.
"""

import json
from collections import Counter
from pathlib import Path

SAID = ("code", "kind", "why")
"""What tells one kind of a line from another of the same words."""
QUIET = frozenset({"info", "debug"})


def said(folder: Path) -> dict[str, int]:
    """Count warnings, errors and traces in the logs of all gates and of the centre, most frequent first."""
    found: Counter[str] = Counter()
    for place in (*sorted(folder.glob("*/gate.log")), folder / "centre.log"):
        if place.exists():
            found.update(filter(None, map(_kind, place.read_text(errors="replace").splitlines())))
    return dict(found.most_common())


def _kind(line: str) -> str:
    """Return what kind of line this is; "" where nobody needs to look at it."""
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        level, _, rest = line.partition(" ")
        is_trace = line.startswith("Traceback")
        return f"{level} {rest.partition(':')[0]}" if is_trace or level in {"WARNING", "ERROR"} else ""
    if told.get("level") in QUIET:
        return ""
    words = (told.get("level"), told.get("logger"), told.get("message"), *map(told.get, SAID))
    return " ".join(str(one) for one in words if one)
