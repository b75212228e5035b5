"""Which input a contact is wired to, and which of its levels means something: learned by having it move once. No I/O.

How an input stands while nobody moves anything is its rest. Somebody walks through, switches the turnstile off and on, or tries
the fire contact: the one input that leaves its rest and comes back is that contact. More than one teaches nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Contact(StrEnum):
    """What can be learned, by its key in a lane's settings."""

    READY = "ready_contact"
    ENTRY = "entry_contact"
    EXIT = "exit_contact"
    FIRE = "fire_contact"
    FAULT = "fault_contact"
    DETECTOR = "detector_contact"
    DOOR = "door_contact"
    BUTTON = "exit_button"


Place = tuple[str, int]
"""An input: its board's key, and its line."""


@dataclass(frozen=True, slots=True)
class Wired:
    """Where a contact is. `active_low`: it means something while its input is not active."""

    key: str
    line: int
    active_low: bool


@dataclass(slots=True)
class Learning:
    """One question. `rest`: how inputs stand, as far as they are known; `ignored`: inputs that do not count here."""

    lane: int
    contact: Contact
    rest: dict[Place, bool]
    ignored: frozenset[Place] = frozenset()
    is_unclear: bool = False
    """More than one moved; cleared by the next that moves alone."""
    _away: set[Place] = field(default_factory=set)
    _moved: set[Place] = field(default_factory=set)

    def changed(self, key: str, line: int, *, active: bool) -> Wired | None:
        """Take one change; return the contact once it is known."""
        place = (key, line)
        if place in self.ignored:
            return None
        rest = self.rest.setdefault(place, active)
        if active != rest:
            self._away.add(place)
            self._moved.add(place)
            self.is_unclear = len(self._moved) > 1
            return None
        self._away.discard(place)
        if self._away:
            return None
        moved, self._moved = self._moved, set()
        if moved != {place}:
            return None
        # A turnstile at rest is ready, nobody passes it, and nothing burns.
        return Wired(key, line, active_low=rest is not (self.contact is Contact.READY))


def learning(
    lane: int,
    contact: Contact,
    levels: Mapping[Place, bool],
    known: Mapping[Contact, Wired],
    others: Iterable[Wired],
) -> Learning:
    """Begin a question. `known`: the lane's contacts; `others`: those of other lanes, each of which keeps its input.

    A lane has one board: once a contact of it is known, the others are looked for there.
    """
    taken = {(one.key, one.line) for one in others}
    taken |= {(one.key, one.line) for which, one in known.items() if which is not contact}
    boards = {one.key for which, one in known.items() if which is not contact}
    elsewhere = {place for place in levels if boards and place[0] not in boards}
    return Learning(lane, contact, dict(levels), frozenset(taken | elsewhere))
