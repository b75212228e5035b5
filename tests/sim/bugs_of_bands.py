"""Bugs of check-in stations: whose band it is, what its paper is worth, and what was told at the desk."""

from typing import Any

from admission import binds
from admission.observed import named_digest
from edge.check_in import CheckIn
from edge.judge import Judge
from sync.customers import bound
from tests.sim.planted import Broken, Bug, instead, left_out


def _told_at_once(right: Any) -> object:
    def bind(self: CheckIn, *arguments: Any) -> None:
        right(self, *arguments)
        self._durable(max(self._binding, default=0))

    return bind


def _last_tag(_right: Any) -> object:
    def first_tag(found: Any) -> bytes | None:
        if not found:
            return None
        return named_digest(max(found, key=lambda row: (row.time_us, row.id)).names[0])

    return first_tag


BUGS_OF_BANDS = {
    "bound-paper-opens": Bug(
        "the paper opens beside its band", (Broken(Judge, "_is_replaced", instead(lambda *_: False)),), seed=13),
    "bound-told-too-soon": Bug(
        "said to be bound before the disk has it", (Broken(CheckIn, "_bind", _told_at_once),), seed=13),
    "bound-not-taken-back": Bug(
        "what the disk did not take in time stays bound", (Broken(CheckIn, "_take_back", left_out),), seed=22),
    "bound-forgotten": Bug(
        "bands open nothing", (Broken(Judge, "_bound", instead(lambda *_: ())),), seed=13),
    "band-bound-twice": Bug(
        "a band that is somebody's is bound to somebody else", (Broken(Judge, "tag_is_taken", instead(lambda *_: False)),), seed=49),
    "last-band-holds": Bug(
        "of two bands of a ticket the last is right", (Broken(binds, "_first_tag", _last_tag),), seed=22),
    "band-of-steward-s-mistake-opens": Bug(
        "what a steward took back stays bound", (Broken(binds, "taken_back", instead(lambda _: frozenset())),), seed=22),
    "bound-kept-at-the-centre": Bug(
        "the centre does not hear that a bind was taken back", (Broken(bound, "_is_taken_back", instead(lambda *_: False)),), seed=184),
}  # fmt: skip
