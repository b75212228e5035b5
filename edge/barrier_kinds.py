"""The lengths of each kind of barrier where a lane does not set its own, and where they come from. Milliseconds.

What a turnstile's manual says goes before these: `hold_ms` has to be the turnstile's own.
"""

from collections.abc import Mapping
from typing import Final

from edge.settings import Barrier

TRIPOD_HOLD_MS: Final = 5_000
"""PERCo TTR-04CW, TTR-10A: after a pulse the turnstile waits 5 s for the passage."""
TRIPOD_PULSE_MS: Final = 300
"""PERCo: 100 ms at least; three times that is well below every hold."""

SPEED_GATE_PULSE_MS: Final = 100
"""Evolve PG300: "as short as possible, ideally 100 ms"; a signal beyond 2 s is taken for an order to stay open."""
SPEED_GATE_HOLD_MS: Final = 5_000
"""As the tripod: the makers' open delays are set on site, 5 to 10 s."""

SWING_GATE_HOLD_MS: Final = 10_000
"""The longer of the pass windows in the trade (10 s, against 5): a wheelchair and its companion walk through one opening."""

DOOR_PULSE_MS: Final = 5_000
"""Keri Systems: a door lock is unlocked for 5 s, or until the door opens; the strike follows our relay."""
DOOR_HOLD_MS: Final = DOOR_PULSE_MS
DOOR_HELD_MS: Final = 20_000
"""Keri Systems: a door may be open for 20 s before it is told as held open."""

DEFAULTS: Final[Mapping[Barrier, Mapping[str, int]]] = {
    Barrier.TRIPOD: {"hold_ms": TRIPOD_HOLD_MS, "pulse_ms": TRIPOD_PULSE_MS},
    Barrier.SPEED_GATE: {"hold_ms": SPEED_GATE_HOLD_MS, "pulse_ms": SPEED_GATE_PULSE_MS},
    Barrier.SWING_GATE: {"hold_ms": SWING_GATE_HOLD_MS, "pulse_ms": TRIPOD_PULSE_MS},
    Barrier.DOOR: {"hold_ms": DOOR_HOLD_MS, "pulse_ms": DOOR_PULSE_MS, "held_ms": DOOR_HELD_MS},
}


def lengths_of(lane: Mapping[str, object]) -> Mapping[str, int]:
    """Return the lengths of a lane's kind, given its table; none where its kind is not one."""
    kind = lane.get("barrier", Barrier.TRIPOD.value)
    return DEFAULTS[Barrier(kind)] if kind in [one.value for one in Barrier] else {}


def fill_in(table: Mapping[str, object]) -> None:
    """Write the lengths of its kind into each lane of a parsed TOML that does not set them."""
    lanes = table.get("lanes")
    for lane in lanes if isinstance(lanes, list) else ():
        if isinstance(lane, dict):
            for key, length_ms in lengths_of(lane).items():
                lane.setdefault(key, length_ms)
