"""What gates that lived in this process leave behind is swept: each freezes what it loaded, once in its life."""

import gc
import itertools

EVERY = 16
"""So many leave 100 MB; a sweep walks all that was ever loaded, a fifth of a second."""
_count = itertools.count(1)


def thaw() -> None:
    """Thaw what is frozen, if there is any, and sweep now and then."""
    if gc.get_freeze_count():  # it counts one by one: 40 ms where a gate was
        sweep()


def sweep() -> None:
    """Thaw what a gate froze, and sweep now and then: a gate is a knot of references, and what is thawed counts as old."""
    gc.unfreeze()
    if next(_count) % EVERY == 0:
        gc.collect()
