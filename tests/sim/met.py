"""What people and staff meet: a gate and a centre, simulated or real. Crowd and organizer ask for no more than this."""

from collections.abc import Callable, Mapping
from typing import Protocol

from admission.ids import GateId
from admission.records import Direction
from edge.link import Answer, Command, Seen
from edge.settings import LaneSettings
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


__all__ = ["CentreMet", "GateMet"]
