"""What a gate owes whose hall is emptied every night by a plan: it does that once, at that moment, whatever is done to its
clock and its power. Each gate that serves the hall does: it alone may know whom it let in.

Who resets too early sends out people who are inside, and lets their tickets in again; who does it twice does the same.
"""

from collections.abc import Iterator

from admission.ids import RecordId
from admission.records import Extension, Kind
from edge.clock import AGREES_S
from tests.sim.evidence import Evidence
from tests.sim.premises import HALL

EARLY_S = 3.0
"""The centre's time is in whole seconds, and a moment old when it comes."""
SOON_S = 6.0
"""A gate looks once a second; a disk that hangs holds it up."""
STARTED_S = 8.0
_TROUBLES = ("card fails", "card hangs", "clock", "off", "cut off", "poor link")


def nights(at: Evidence) -> Iterator[str]:
    """Look at every reset that no person asked for."""
    due_s = at.history.night_s
    resets = [
        name
        for name, (body, extensions) in at.bodies.items()
        if body.kind is Kind.RESET and _is_planned(extensions)
    ]
    if not due_s:
        for name in resets:
            yield f"the hall was emptied, and no plan says so: {_say(at, name)}"
        return
    for name in resets:
        if at.bodies[name][0].zone != HALL:
            yield f"a zone was emptied that no plan names: {_say(at, name)}"
        if at.history.made_s[name] < due_s - EARLY_S - _ahead_s(at, name):
            yield f"the hall was emptied before its time: {_say(at, name)}"
    for card, gate in at.gates.items():
        if gate.id in at.history.tampered:
            continue
        own = [name for name in resets if at.history.made_by[name] == card]
        kept = [name for name in own if at.history.durable.get(card, {}).get(name[:2], 0) >= name.seq]
        if len(kept) > 1:
            yield f"the hall was emptied {len(kept)} times by its plan: {_say(at, kept[-1])}"
        if not own and not _by_hand(at, card) and _is_well(at, card, due_s):
            yield f"the hall was not emptied at its time by {card}"


def _ahead_s(at: Evidence, name: RecordId) -> float:
    """Return how far a gate's clock may have been ahead: by so little as is believed, whatever the centre says."""
    made_s, card = at.history.made_s[name], at.history.made_by[name]
    off_s = next(
        (off_s for at_s, of, off_s in reversed(at.history.clocks) if of == card and at_s <= made_s), 0.0
    )
    return off_s if 0.0 < off_s <= AGREES_S else 0.0


def _is_planned(extensions: tuple[object, ...]) -> bool:
    return not any(getattr(one, "type", None) is Extension.STAFF for one in extensions)


def _by_hand(at: Evidence, card: str) -> bool:
    """Whether staff emptied it since: then the plan has nothing to do."""
    return any(
        body.kind is Kind.RESET
        and at.history.made_by[name] == card
        and at.history.made_s[name] >= at.history.night_s - EARLY_S
        for name, (body, _) in at.bodies.items()
    )


def _is_well(at: Evidence, card: str, due_s: float) -> bool:
    """Whether a gate ran around the moment, with a clock and a disk that nobody had touched."""
    until_s = due_s + SOON_S
    return not any(at.history.was(what, card, 0.0, until_s) for what in _TROUBLES) and any(
        boot.card == card
        and boot.began_s + STARTED_S < due_s
        and (boot.ended_s is None or boot.ended_s > until_s)
        for boot in at.history.boots
    )


def _say(at: Evidence, name: RecordId) -> str:
    return f"record {name.seq} of {at.history.made_by[name]}, {at.history.made_s[name]:.3f} s"


__all__ = ["nights"]
