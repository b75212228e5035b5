"""The simulation's checker on a real evening: what is read from logs, tables and people is put before it as it wants it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from admission.ids import EventId, GateId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Reset
from admission.records import Direction
from edge.enrolment import Enrolment
from edge.link import Tile
from edge.settings import LaneSettings
from edge.store.log_reader import LogReader
from tests.real.centre import RealCentre
from tests.real.devices import CONTACT_S_MAX
from tests.real.gate import RealGate
from tests.sim.accounts import accounts_of
from tests.sim.checker import check
from tests.sim.hardware import Arm
from tests.sim.history import History

UNANSWERED_S = 12.0
"""A reader that is put in, or a gate that is started, reads by then."""
WINDOW_S = 8.0
"""An arm is open for so long at most."""
COMMITS_S = 3.0
"""A passage that was seen rides the next group commit, within a second by design: a gate killed sooner need not know of it. Twice
more for a machine that is late: a gate that never writes it is seen wherever none was killed."""
MEMORY_S = 10.0
TROUBLES_S = {
    "contacts": (COMMITS_S, COMMITS_S),
    "card hangs": (COMMITS_S, COMMITS_S),
    "relay": (WINDOW_S, COMMITS_S),
    "off": (0.0, CONTACT_S_MAX),
}
"""What keeps a gate from knowing of a passage, so long after it began and before it ended. One that is told to stop asks for no
contact any more, and is gone only a moment later."""


@dataclass(frozen=True, slots=True)
class _Board:
    """What its page shows."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class _Daemon:
    """A gate's program, as it is in the end."""

    enrolment: Enrolment
    reader: LogReader
    board: _Board
    memory: "_Told"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A gate, as it is in the end."""

    id: GateId
    root: Path
    settings: tuple[LaneSettings, ...]
    arms: dict[int, Arm]
    daemon: _Daemon | None


class _Told:
    """What a gate knows of people: its log's rows as the card has them, and the counts that its lane says."""

    def __init__(self, reader: LogReader, inside: Mapping[int, tuple[int, int]]) -> None:
        self._reader, self._inside = reader, inside

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        """Return a ticket's rows."""
        return self._reader.presence_rows(event, ticket)

    def resets(self) -> tuple[Reset, ...]:
        """Return the resets."""
        return self._reader.resets()

    def bounds(self, zone: ZoneId) -> Bounds | None:
        """Return how many people the running lane says are inside."""
        found = self._inside.get(zone)
        return None if found is None else Bounds(*found)


def problems(history: History, centre: RealCentre, gates: Mapping[str, RealGate]) -> list[str]:
    """Return what is wrong with an evening that is over."""
    for gate in gates.values():
        gate.look()
        gate.diary.settle()
        gate.diary.settle_exits(
            one for one in history.releases if one.card == gate.card and one.way is Direction.EXIT
        )
    _settle_releases(history, gates)
    seen = {card: _seen(gate) for card, gate in gates.items()}
    accounts = accounts_of(seen)
    return [
        *_unfounded(history, gates),
        *_exits_unanswered(history),
        *check(history, centre.logs(), centre.forwarded(), seen, accounts),
    ]


def _seen(gate: RealGate) -> _Seen:
    daemon = None
    if gate.client.connected and gate.client.status is not None:
        reader = gate.reader()
        daemon = _Daemon(
            gate.enrolment(), reader, _Board(gate.tiles), _Told(reader, gate.client.status.inside)
        )
    return _Seen(gate.id, gate.root, gate.settings, gate.arms, daemon)


def _settle_releases(history: History, gates: Mapping[str, RealGate]) -> None:
    """Say when each grant was made, and take back what cannot have been known."""
    for one in history.releases:
        one.made_s = gates[one.card].diary.made_s(one.record)
        if one.walked_s is None:
            continue
        boot = next(each for each in history.boots if (each.card, each.number) == (one.card, one.boot))
        if boot.ended_s is not None and boot.ended_s < one.walked_s + COMMITS_S:
            one.seen = False
        if any(
            history.was(what, one.card, one.walked_s - before_s, one.walked_s + after_s)
            for what, (before_s, after_s) in TROUBLES_S.items()
        ):
            one.seen = False


def _unfounded(history: History, gates: Mapping[str, RealGate]) -> Iterator[str]:
    """Nobody is let in on what is written nowhere; an exit may be, and who is let in from memory by a disk that is full."""
    for card, gate in gates.items():
        for release, lane in gate.pending:
            in_memory = history.was("card fails", card, release.at_s - MEMORY_S, release.at_s)
            if not in_memory and release.way is not Direction.EXIT:
                yield f"let in without a record: lane {lane} of {card}, {release.at_s:.3f} s"


def _exits_unanswered(history: History) -> Iterator[str]:
    """Whoever shows a code at an exit of a gate that runs and has its reader gets an answer."""
    for shown in history.shown:
        if shown.way is not Direction.EXIT or shown.answer is not None or not shown.gave_up:
            continue
        since_s, until_s = shown.at_s - UNANSWERED_S, shown.at_s + UNANSWERED_S
        troubles = ("lane1-exit", "card hangs", "off")
        restarts = any(
            boot.card == shown.card and since_s <= at_s <= until_s
            for boot in history.boots
            for at_s in (boot.began_s, boot.ended_s or boot.began_s)
        )
        if not restarts and not any(history.was(what, shown.card, since_s, until_s) for what in troubles):
            yield f"never answered: ticket {shown.ticket} at the exit of {shown.card}, {shown.at_s:.3f} s"
