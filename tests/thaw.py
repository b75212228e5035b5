"""What gates that lived in this process leave behind is swept: each freezes what it loaded, once in its life."""

import gc
import itertools

EVERY = 16
"""So many leave 100 MB; a sweep walks all that was ever loaded, a fifth of a second."""
_count = itertools.count(1)


def thaw() -> None:
    """Thaw what is frozen, and sweep now and then: a gate is a knot of references, and what is thawed counts as old."""
    if gc.get_freeze_count():
        gc.unfreeze()
        if next(_count) % EVERY == 0:
            gc.collect()
