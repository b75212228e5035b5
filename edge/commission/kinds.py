"""What barriers stand in lanes, as the page names them: the contacts that each has, and the lengths that it begins with."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from edge.barrier_kinds import DEFAULTS
from edge.commission.contacts import Contact
from edge.config_rules import WIDE
from edge.settings import Barrier, LaneSettings


class Kind(StrEnum):
    """A barrier. The values of `Barrier`, and one of which nothing tells who passed."""

    TRIPOD = "tripod"
    SPEED_GATE = "speed_gate"
    SWING_GATE = "swing_gate"
    DOOR = "door"
    NO_SENSOR = "no_sensor"

    @property
    def barrier(self) -> Barrier:
        """Return the kind that a gate's settings know; without a sensor its lengths are a tripod's."""
        return Barrier.TRIPOD if self is Kind.NO_SENSOR else Barrier(self.value)

    @property
    def contacts(self) -> tuple[Contact, ...]:
        """Return the contacts that such a barrier has, for both ways."""
        return _CONTACTS[self]


_TURNSTILE: Final = (Contact.READY, Contact.ENTRY, Contact.EXIT, Contact.FIRE)
_CONTACTS: Final[Mapping[Kind, tuple[Contact, ...]]] = {
    Kind.TRIPOD: _TURNSTILE,
    Kind.SPEED_GATE: (*_TURNSTILE, Contact.FAULT, Contact.DETECTOR),
    Kind.SWING_GATE: (*_TURNSTILE, Contact.FAULT),
    Kind.DOOR: (Contact.DOOR, Contact.BUTTON, Contact.FIRE),
    Kind.NO_SENSOR: (Contact.READY, Contact.FIRE),
}
PASSAGE: Final = frozenset({Contact.ENTRY, Contact.EXIT, Contact.DOOR})
"""Contacts that tell who passed."""
COMPANIONS: Final = 1
"""Of a swing gate: a wheelchair and who comes along on the same ticket."""


def kind_of(lane: LaneSettings) -> Kind:
    """Return what a lane of a file has."""
    is_seen = any(getattr(lane, one.value) is not None for one in PASSAGE)
    if lane.barrier is Barrier.TRIPOD and lane.relay and not is_seen:
        return Kind.NO_SENSOR
    return Kind(lane.barrier.value)


def with_kind(settings: LaneSettings, kind: Kind, *, is_new: bool) -> LaneSettings:
    """Return a lane's settings with this barrier; one that it had already keeps its own lengths."""
    if settings.barrier is kind.barrier and not is_new:
        return settings
    companions = COMPANIONS if kind is Kind.SWING_GATE else 0
    return msgspec.structs.replace(
        settings, barrier=kind.barrier, companions=companions, **DEFAULTS[kind.barrier]
    )


def admits_companions(settings: LaneSettings) -> bool:
    """Whether somebody who comes along can be let through: the barrier is wide, and something counts who walks."""
    return settings.barrier.value in WIDE and settings.entry_contact is not None
