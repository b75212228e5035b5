"""What a fire alarm obliges to: nobody gets in until staff clear it, through whatever happens to the box; it is never missed."""

from collections import defaultdict
from collections.abc import Iterator

from admission.ids import LaneId, RecordId
from admission.records import Direction, Fire, Kind, Outcome, Record
from tests.sim.evidence import Evidence

NOTICED_S = 1.0
"""From the contact's closing to the record of it: a reader's turn, and what was under way."""
OPEN_S = 6.0
"""A gate that began so lately may not have opened its contacts."""
_TROUBLES = ("contacts", "off")


def alarms(at: Evidence) -> Iterator[str]:
    """Look at every lane that an alarm rang at."""
    yield from _noticed(at)
    yield from _latched(at)


def _noticed(at: Evidence) -> Iterator[str]:
    """Each lane of a running gate records an alarm at once."""
    for one in at.history.conditions:
        if one.what != "fire" or not _is_well(at, one.where, one.since_s):
            continue
        for lane in at.gates[one.where].settings:
            if lane.fire_contact is not None and not any(
                body.lane == lane.id and one.since_s <= at_s <= one.since_s + NOTICED_S
                for at_s, body in _fires(at, one.where)
            ):
                yield f"an alarm, and nothing recorded: lane {lane.id} of {one.where}, {one.since_s:.3f} s"


def _fires(at: Evidence, card: str) -> Iterator[tuple[float, Record]]:
    for name, (body, _) in at.bodies.items():
        if body.kind is Kind.FIRE and at.history.made_by[name] == card:
            yield at.history.made_s[name], body


def _is_well(at: Evidence, card: str, at_s: float) -> bool:
    """Whether a gate ran, and saw its contacts, around a moment."""
    until_s = at_s + NOTICED_S
    return not any(at.history.was(what, card, at_s - OPEN_S, until_s) for what in _TROUBLES) and any(
        boot.card == card
        and boot.began_s + OPEN_S < at_s
        and (boot.ended_s is None or boot.ended_s > until_s)
        for boot in at.history.boots
    )


def _latched(at: Evidence) -> Iterator[str]:
    """From an alarm until it is cleared a lane grants no entry, in this run and in those after it.

    A power cut takes with it what was not durable: then it is as if it had not been recorded.
    """
    made: dict[tuple[str, LaneId], list[RecordId]] = defaultdict(list)
    for name, (body, _) in at.bodies.items():
        if body.kind is Kind.FIRE or (body.kind is Kind.SCAN and body.outcome is Outcome.GRANT):
            made[at.history.made_by[name], body.lane].append(name)
    for (card, lane), names in made.items():
        alarm: RecordId | None = None
        for name in sorted(names, key=at.history.made.__getitem__):
            body = at.bodies[name][0]
            if alarm is not None and name.epoch != alarm.epoch and not _kept(at, card, alarm, name):
                alarm = None
            if body.kind is Kind.FIRE:
                if body.zone and body.data in {Fire.ALARM, Fire.STILL} and body.lane == lane:
                    alarm = name
                elif body.data == Fire.CLEARED:
                    alarm = None
            elif alarm is not None and body.direction is Direction.ENTRY:
                yield f"let in during an alarm: lane {lane} of {card}, {at.history.made_s[name]:.3f} s"


def _kept(at: Evidence, card: str, alarm: RecordId, since: RecordId) -> bool:
    """Whether an alarm of an older run was on the card when a newer run began."""
    durable = at.history.durable.get(card, {}).get((alarm.gate, alarm.epoch), 0)
    return (
        durable >= alarm.seq and alarm not in at.history.destroyed and since.gate not in at.history.tampered
    )


__all__ = ["alarms"]
