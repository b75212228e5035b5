"""Bugs of what a gate writes down, forgets, and does at its arms."""

from typing import Any

import msgspec

from admission import chain
from admission.arm import Arm
from admission.lane import Write
from admission.lane_machine import Lane
from admission.presentations import Presentations
from admission.records import Direction, Kind, Outcome
from admission.turn import Phase
from edge.barrier import Barrier
from edge.disk_watch import DiskWatch
from edge.journal import Journal
from edge.memory import Memory
from edge.occupancy import Occupancy
from edge.store.committer import Committer
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from tests.sim.planted import Broken, Bug, Make, instead, left_out


def _synchronous(how: str) -> Make:
    def make(right: Any) -> object:
        def connect(self: LogStore, path: Any) -> Any:
            connection = right(self, path)
            connection.execute(f"PRAGMA synchronous={how}")
            return connection

        return connect

    return make


def _unwritten(*kinds: Kind) -> Make:
    """Records of some kinds are never written."""
    return _without(lambda write: write.kind in kinds)


def _without(unwanted: Any) -> Make:
    def make(right: Any) -> object:
        def handle(self: Lane, event: object, now_ms: int) -> tuple[object, ...]:
            effects = right(self, event, now_ms)
            return tuple(one for one in effects if not (isinstance(one, Write) and unwanted(one)))

        return handle

    return make


def _is_exit(write: Write) -> bool:
    return write.kind is Kind.SCAN and write.direction is Direction.EXIT and write.outcome is Outcome.GRANT


def _durable_at_once(right: Any) -> object:
    def submit(self: Journal, *arguments: Any, **named: Any) -> None:
        right(self, *arguments, **named)
        self.durable(self._token)

    return submit


def _pulse_at_once(right: Any) -> object:
    def put(self: Committer, batch: Any, *more: Any) -> bool:
        if batch.then is not None:
            batch.then()
        return bool(right(self, batch, *more))

    return put


def _fault_dropped(right: Any) -> object:
    def try_append(self: Committer, group: Any) -> None:
        right(self, group)

    return try_append


def _same_epoch(right: Any) -> object:
    def begin(self: Journal, **named: Any) -> None:
        if named["predecessor"].epoch:
            named["epoch"] = named["predecessor"].epoch
        right(self, **named)

    return begin


def _no_predecessor(right: Any) -> object:
    def begin(self: Journal, **named: Any) -> None:
        right(self, **{**named, "predecessor": chain.ROOT})

    return begin


def _no_late(right: Any) -> object:
    def whose(self: Arm, direction: Direction) -> object:
        found = right(self, direction)
        return None if found is not None and found.phase is Phase.GRACE else found

    return whose


def _exits_shut(right: Any) -> object:
    def pulses(self: Arm, direction: Direction) -> bool:
        return direction is not Direction.EXIT and bool(right(self, direction))

    return pulses


def _rows_where(wanted: Any) -> Make:
    def make(right: Any) -> object:
        def rows(self: Memory, event: Any, ticket: Any) -> tuple[Any, ...]:
            found = right(self, event, ticket)
            return tuple(row for row in found if wanted(self, row, found))

        return rows

    return make


def _not_of_a_run_that_ended(memory: Memory, row: Any, rows: Any) -> bool:
    """Leave out what was reserved in a run before, and of which nothing more was heard."""
    ours = row.id.gate == memory._journal.gate and row.id.epoch != memory._journal.epoch
    return not ours or bool(row.names) or any(row.id in other.names for other in rows)


def _resets_of_own(right: Any) -> object:
    def heard(self: Memory, tickets: Any, _resets: Any) -> None:
        right(self, tickets, ())

    return heard


def _counted_again(right: Any) -> object:
    def put(self: Occupancy, key: Any, *more: Any) -> None:
        self._counted.pop(key, None)
        right(self, key, *more)

    return put


def _still_broken(right: Any) -> object:
    def durable(self: DiskWatch, token: int) -> None:
        was = self._gate.journal.in_memory
        right(self, token)
        self._gate.journal.in_memory = was

    return durable


def _presence_not_seen_yet(right: Any) -> object:
    def carry(self: Journal, batch: Any, *, urgent: bool) -> None:
        right(self, msgspec.structs.replace(batch, presence=()), urgent=urgent)

    return carry


BUGS_OF_GATES = {
    "no-fsync": Bug("commits are not synced", (Broken(LogStore, "_connect", _synchronous("OFF")),), seed=0),
    "sync-normal": Bug("commits are synced at checkpoints only", (Broken(LogStore, "_connect", _synchronous("NORMAL")),), seed=0),
    "durable-told-too-soon": Bug("said to be durable when handed over", (Broken(Journal, "_submit", _durable_at_once),), seed=38),
    "pulse-before-durable": Bug("the pulse goes when the record is queued", (Broken(Committer, "put", _pulse_at_once),), seed=38),
    "pulse-sent-twice": Bug("a pulse that is held is not taken back", (Broken(Barrier, "drop", instead(lambda *_: True)),), seed=38),
    "disk-fault-dropped": Bug("a commit that failed counts as done", (Broken(Committer, "_try_append", _fault_dropped),), seed=6),
    "disk-fault-for-ever": Bug("a disk that works again is not believed", (Broken(DiskWatch, "durable", _still_broken),), seed=68),
    "epoch-reused": Bug("a run goes on under the number of the last", (Broken(Journal, "__init__", _same_epoch),), seed=0),
    "predecessor-not-named": Bug("a run does not say what came before", (Broken(Journal, "__init__", _no_predecessor),), seed=0),
    "heads-unsigned": Bug("nothing is ever signed", (Broken(Journal, "sign_head", left_out),), seed=38),
    "others-forgotten": Bug("what others recorded is not kept", (Broken(Journal, "carry", left_out),), seed=38),
    "others-not-seen": Bug("what others recorded is kept without what it means", (Broken(Journal, "carry", _presence_not_seen_yet),), seed=38),
    "give-back-not-recorded": Bug("who turned back stays in", (Broken(Lane, "handle", _unwritten(Kind.GIVE_BACK)),), seed=38),
    "passage-not-recorded": Bug("who passed did not", (Broken(Lane, "handle", _unwritten(Kind.PASSAGE)),), seed=38),
    "late-passage-lost": Bug("who passed late was nobody", (Broken(Arm, "_whose", _no_late),), seed=35),
    "annul-not-recorded": Bug("what staff took back counts", (Broken(Lane, "handle", _unwritten(Kind.ANNUL)),), seed=6),
    "exit-not-recorded": Bug("an exit opens without a record", (Broken(Lane, "handle", _without(_is_exit)),), seed=38),
    "waiting-forgotten": Bug(
        "who waits for another to pass is not asked again", (Broken(Presentations, "judge_again", instead(lambda *_: ())),), seed=57),
    "exit-shut": Bug("an exit is granted and the arm stays shut", (Broken(Arm, "pulses", _exits_shut),), seed=38),
    "restart-loses-reservations": Bug(
        "a reservation of the last run is free again", (Broken(Memory, "rows", _rows_where(_not_of_a_run_that_ended)),), seed=0),
    "others-not-counted": Bug(
        "only own records are judged by",
        (Broken(Memory, "rows", _rows_where(lambda memory, row, _: row.id.gate == memory._journal.gate)),), seed=38),
    "reset-of-others-ignored": Bug("a reset of another gate is not taken in", (Broken(Memory, "heard", _resets_of_own),), seed=23),
    "own-reset-ignored": Bug("a reset of one's own is not taken in", (Broken(Memory, "reset_made", left_out),), seed=23),
    "presence-counted-twice": Bug("who is counted again is counted once more", (Broken(Occupancy, "_put", _counted_again),), seed=38),
    "standing-lost-at-restart": Bug(
        "changes newer than the list are not read at the start",
        (Broken(LogReader, "standings", instead(lambda _: ())), Broken(LogReader, "overlay", instead(lambda _: ()))), seed=25),
}  # fmt: skip
