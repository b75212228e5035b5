"""Bugs planted one at a time: something of ours is replaced while an evening is played, and the checker must see it.

A checker that catches nothing proves nothing. Each bug is small and of a kind that was once made somewhere; what is
replaced is the very code that gates and centre run. This is the one place of the tests where our own code is patched, and
the checker itself works with the code as it is, but for `signatures_remembered`: the evening is over by then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.chain import Head

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


@contextmanager
def signatures_remembered() -> Iterator[None]:
    """Have it while this lasts that a head which was verified with a key is not verified with it again.

    What a signature is worth never changes, and each head of an evening is looked at by every gate, by the centre and by
    the checker at all of them: a tenth of what an evening cost.
    """
    right = Head.signed_by
    known: dict[tuple[Head, bytes], bool] = {}

    def signed_by(self: Head, key: Ed25519PublicKey) -> bool:
        at = (self, key.public_bytes_raw())
        found = known.get(at)
        if found is None:
            found = known[at] = right(self, key)
        return found

    bug = Bug("", (Broken(Head, "signed_by", instead(signed_by)),), seed=0)
    with bug.planted():
        yield


def instead(value: object) -> Make:
    """Put something else there."""
    return lambda _: value


def left_out(_right: object) -> object:
    """Put there what does nothing."""
    return lambda *_, **__: None


__all__ = ["Broken", "Bug", "Make", "instead", "left_out", "signatures_remembered"]
