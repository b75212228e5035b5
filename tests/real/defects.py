"""Defects planted in a gate's real processes (`doctor`), by name: the checker must see each on real logs, or it proves nothing."""

from collections.abc import Callable
from typing import Any

from admission.lane import Write
from admission.lane_machine import Lane
from admission.records import Kind
from edge.journal import Journal
from edge.memory import Memory
from edge.store.log import LogStore


def _one_late() -> None:
    """The log says that a commit is on the disk when it is the one before: a kill -9 loses who was just let in."""
    right = LogStore.append
    kept: list[Any] = []

    def append(self: LogStore, batches: list[Any]) -> None:
        late, kept[:] = list(kept), batches
        if late:
            right(self, late)

    _put(LogStore, "append", append)


def _uses_forgotten() -> None:
    """Decisions go by an empty past."""
    _put(Memory, "rows", lambda *_: ())


def _others_forgotten() -> None:
    """What other gates recorded is taken for taken, and none of it kept."""
    _put(Journal, "carry", lambda *_, **__: None)


def _no_give_back() -> None:
    """That somebody turned back is not written."""
    right = Lane.handle

    def handle(self: Lane, *told: Any) -> Any:
        return tuple(
            one for one in right(self, *told) if not (isinstance(one, Write) and one.kind is Kind.GIVE_BACK)
        )

    _put(Lane, "handle", handle)


def _put(owner: type, name: str, value: object) -> None:
    setattr(owner, name, value)


DEFECTS: dict[str, Callable[[], None]] = {
    "one_late": _one_late,
    "uses_forgotten": _uses_forgotten,
    "others_forgotten": _others_forgotten,
    "no_give_back": _no_give_back,
}


def plant(name: str) -> None:
    """Have a defect in this process, from now on."""
    DEFECTS[name]()
