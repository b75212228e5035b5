"""Bugs of what befalls a whole house: an alarm, a list gone old, a gate that is shut out."""

from typing import Any

from admission import rules
from admission.lane_machine import Lane
from admission.presence import TicketPresence
from admission.records import Flag
from edge import daemon
from edge.judge import Judge
from edge.memory import Memory
from edge.occupancy import Occupancy
from sync.gates import refold
from sync.wire.counted import Counted
from tests.sim.planted import Broken, Bug, instead


def _over_when_silent(right: Any) -> object:
    def changed(self: Lane, *, active: bool, still: bool) -> None:
        right(self, active=active, still=still)
        if not active:
            self._condition.fire = False

    return changed


def _lets_in(_candidate: Any, _question: Any, flags: Any) -> Any:
    return flags | Flag.UNSURE | Flag.FLAGGED


BUGS_OF_EVENINGS = {
    "fire-forgets-who-was-inside": Bug(
        "whom an alarm sent out is not let in again", (Broken(TicketPresence, "frozen", instead(lambda *_: ())),), seed=19),
    "fire-over-when-silent": Bug(
        "an alarm is over when its contact opens", (Broken(Lane, "_fire_changed", _over_when_silent),), seed=1),
    "fire-forgotten-at-restart": Bug(
        "a box that starts again knows of no alarm", (Broken(daemon, "LATCHED", instead(frozenset())),), seed=1),
    "fire-not-heard": Bug(
        "the contact of the alarm moves nothing", (Broken(Lane, "_fire_changed", instead(lambda *_, **__: None)),), seed=1),
    "counted-through-a-fire": Bug(
        "how many are inside is known in spite of an alarm", (Broken(Occupancy, "is_unsettled", instead(lambda *_: False)),), seed=19),
    "revoked-counted": Bug(
        "what a gate recorded that was shut out counts", (Broken(Counted, "record", instead(lambda *_: True)),), seed=4),
    "revoked-counted-at-gates": Bug(
        "gates do not hear whose records count no more", (Broken(Memory, "believe", instead(lambda *_: False)),), seed=4),
    "revoked-counted-before": Bug(
        "what was counted of a gate before it was shut out stays so", (Broken(refold, "forget", instead(lambda *_: None)),), seed=12),
    "unlisted-let-in": Bug(
        "a signature is enough, however new the list", (Broken(rules, "_signature_is_enough", instead(lambda *_: True)),), seed=10),
    "list-never-sealed": Bug(
        "a list that is kept up counts as old as on the day it came", (Broken(Judge, "sealed", instead(lambda *_: None)),), seed=10),
    "sold-since-refused": Bug(
        "whose ticket is newer than an old list is refused",
        (Broken(rules, "_signature_is_enough", instead(lambda *_: False)),), seed=3),
    "policy-not-asked": Bug(
        "a gate that is cut off lets everybody in", (Broken(rules, "_offline", instead(_lets_in)),), seed=38),
}  # fmt: skip
