"""What gates on one LAN owe each other: a reservation is known at every neighbour at once, whatever the centre does."""

from collections.abc import Iterator

from tests.sim.evidence import Evidence
from tests.sim.history import Release

PUSHED_S = 0.9
"""From a release to the neighbour's decisions: a few ms on the LAN, a commit there, and room for a card that is slow. By way
of the centre it takes longer: a gate sends to it once a second."""
UNDISTURBED_S = 25.0
"""So long before nothing was wrong with either: a cut of which nobody heard is noticed in 20 s, and then all is told anew."""
STARTED_S = 10.0
"""A gate has its roster and its neighbours by then."""
_TROUBLES = ("front", "off", "card hangs", "card fails", "clock", "shut out", "no roster")
"""By a clock that is ten years off a roster is not in force, and nobody believed."""


def pushed(at: Evidence) -> Iterator[str]:
    """Look at every entry of a gate whose neighbours were well."""
    if not at.history.near:
        return
    for one in at.history.releases:
        if one.body.ticket is None or not one.durable or not _is_well(at, one.card, one.at_s):
            continue
        for card in at.gates:
            # Two boxes on one card are one gate to everybody: they do not talk to each other.
            is_other = card != one.card and at.gates[card].id != at.gates[one.card].id
            if is_other and _is_well(at, card, one.at_s) and not _heard(at, card, one):
                yield (
                    f"not told to a neighbour: record {one.record.seq} of {one.card} at {card}, {one.at_s:.3f} s"
                )


def _heard(at: Evidence, card: str, one: Release) -> bool:
    heard = at.history.heard_s.get(card, {}).get((one.record.gate, one.record.epoch), [])
    return any(seq >= one.record.seq and at_s <= one.at_s + PUSHED_S for at_s, seq in heard)


def _is_well(at: Evidence, card: str, at_s: float) -> bool:
    """Whether a gate ran and heard its neighbours for a while, until a moment after."""
    since_s, until_s = at_s - UNDISTURBED_S, at_s + PUSHED_S
    return (
        not any(at.history.was(what, card, since_s, until_s) for what in _TROUBLES)
        and not any(
            condition.what == "lan" and condition.overlaps(since_s, until_s)
            for condition in at.history.conditions
        )
        and any(
            boot.card == card
            and boot.began_s + STARTED_S < at_s
            and (boot.ended_s is None or boot.ended_s > until_s)
            for boot in at.history.boots
        )
    )


__all__ = ["pushed"]
