"""Bugs planted one at a time: something of ours is replaced while an evening is played, and the checker must see it.

A checker that catches nothing proves nothing. Each bug is small and of a kind that was once made somewhere; what is
replaced is the very code that gates and centre run. This is the one place of the tests where our own code is patched, and
the checker itself works with the code as it is: the evening is over by then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Make = Callable[[Any], object]
"""Makes the broken one of the right one."""


@dataclass(frozen=True, slots=True)
class Broken:
    """`name` of `owner`, a class or a module, and what is put there."""

    owner: Any
    name: str
    make: Make


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, and an evening in which it shows. `says`: what is wrong, for people."""

    says: str
    parts: tuple[Broken, ...]
    seed: int

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have it while this lasts."""
        before = [(part, vars(part.owner)[part.name]) for part in self.parts]
        try:
            for part, right in before:
                setattr(part.owner, part.name, part.make(right))
            yield
        finally:
            for part, right in before:
                setattr(part.owner, part.name, right)


def instead(value: object) -> Make:
    """Put something else there."""
    return lambda _: value


def left_out(_right: object) -> object:
    """Put there what does nothing."""
    return lambda *_, **__: None


__all__ = ["Broken", "Bug", "Make", "instead", "left_out"]
