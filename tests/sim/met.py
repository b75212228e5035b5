"""What people, staff and the checker meet: a gate and a centre, simulated or real. They ask for no more than this."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from admission.ids import EventId, GateId, TicketId, ZoneId
from admission.presence import Bounds, PresenceRow, Reset
from admission.records import Direction
from admission.resets import Resets
from edge.enrolment import Enrolment
from edge.link import Answer, Command, Seen, Tile
from edge.settings import LaneSettings
from edge.store.log_reader import LogReader
from sync.store.database import Database
from tests.sim.hardware import Arm, Push
from tests.sim.history import Boot, Release


class GateMet(Protocol):
    """A gate."""

    card: str
    on_release: Callable[[int, Direction, Release | None], None]
    on_seen: Callable[[Seen], None]

    @property
    def id(self) -> GateId:
        """Its number."""

    @property
    def settings(self) -> tuple[LaneSettings, ...]:
        """Its lanes."""

    @property
    def arms(self) -> Mapping[int, Arm]:
        """By lane."""

    @property
    def boot_of(self) -> Boot | None:
        """The run of its program."""

    @property
    def rings(self) -> bool:
        """Whether the building's alarm is heard there: nobody goes in."""

    def present(self, lane: int, reader: int, data: bytes) -> bool:
        """Hold a code before a reader; False where no program can be listening."""

    async def push(self, lane: int, way: Direction, late_s: float) -> Push:
        """Push an arm, whose contact closes so much later."""

    async def ask(self, command: Command, limit_s: float) -> Answer | None:
        """Give a command at its page; None where no answer comes."""


class MemorySeen(Protocol):
    """What a gate knows of people."""

    def rows(self, event: EventId, ticket: TicketId) -> Iterable[PresenceRow]:
        """Return a ticket's rows."""

    def resets(self) -> Resets | Sequence[Reset]:
        """Return the resets."""

    def bounds(self, zone: ZoneId) -> Bounds | None:
        """Return how many people are inside; None while nobody knows."""


class BoardSeen(Protocol):
    """What a gate's page shows of its parts."""

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """One for each."""


class DaemonSeen(Protocol):
    """A gate's program as it is in the end."""

    @property
    def enrolment(self) -> Enrolment:
        """Who it is."""

    @property
    def reader(self) -> LogReader:
        """Its log."""

    @property
    def board(self) -> BoardSeen:
        """Its page."""

    @property
    def memory(self) -> MemorySeen:
        """What it knows of people."""


class GateSeen(Protocol):
    """A gate as it is in the end."""

    @property
    def id(self) -> GateId:
        """Its number."""

    @property
    def root(self) -> Path:
        """Its data folder."""

    @property
    def settings(self) -> tuple[LaneSettings, ...]:
        """Its lanes."""

    @property
    def arms(self) -> Mapping[int, Arm]:
        """By lane."""

    @property
    def daemon(self) -> DaemonSeen | None:
        """Its program; None where it does not run."""


class CentreMet(Protocol):
    """A centre."""

    @property
    def database(self) -> Database:
        """What it holds."""

    @property
    def is_up(self) -> bool:
        """Whether its program runs."""

    def now_s(self) -> int:
        """Return its clock."""


__all__ = ["BoardSeen", "CentreMet", "DaemonSeen", "GateMet", "GateSeen", "MemorySeen"]
