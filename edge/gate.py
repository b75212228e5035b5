"""What the parts of the lane process may ask of the whole (`edge.daemon.Daemon`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from admission.ids import Epoch
from edge.alerts import Alerts
from edge.board import Board
from edge.clock import TrustedTime
from edge.enrolment import Enrolment
from edge.journal import Journal
from edge.judge import Judge
from edge.lane import LaneShell
from edge.last_scans import LastScans
from edge.link import After, Changes
from edge.memory import Memory
from edge.schedule import Schedule
from edge.settings import Settings
from edge.store.faults import StoreFault
from edge.store.log_reader import LogReader


class ListInUse(Protocol):
    """The list that is judged by (`edge.lists.Lists`)."""

    schedule: Schedule | None
    """What it has happen by itself; None before the first list."""
    on_schedule: Callable[[], None]
    """Has every lane in the state that is due now."""

    @property
    def rows(self) -> int:
        """Credentials in the list."""
        ...

    @property
    def version(self) -> int:
        """The newest version of any event in it."""
        ...

    @property
    def names(self) -> bytes:
        """The mark of the names in force; empty where nobody asked to be shown by one."""
        ...

    def take(self, path: Path) -> str:
        """Switch to a list file; "" when done, else the code of what is wrong."""
        ...

    def change(self, asked: Changes) -> str:
        """Take in changes newer than the list; "" when done, else the code of what is wrong."""
        ...


class Gate(Protocol):
    """One running gate, seen from its parts."""

    data: Path
    settings: Settings
    configuration: Path | None
    enrolment: Enrolment
    reader: LogReader
    journal: Journal
    judge: Judge
    memory: Memory
    board: Board
    time: TrustedTime
    lanes: dict[int, LaneShell]
    scans: LastScans
    alerts: Alerts

    @property
    def in_memory_seq(self) -> int:
        """The last record that is in memory only, because the disk takes nothing; 0 while it works."""
        ...

    @property
    def lists(self) -> ListInUse:
        """The list in use."""
        ...

    def restart(self) -> None:
        """End this run soon; systemd begins a new one."""
        ...

    def tell_lanes(self) -> None:
        """Tell every lane whether what it needs works."""
        ...

    def now_s(self) -> int:
        """Unix seconds by the box's clock."""
        ...

    def unreadable(self, fault: StoreFault) -> None:
        """A store could not be read."""
        ...

    def became(self, epoch: Epoch, seq: int, after: After) -> None:
        """Something became of the one that a record of this gate let through."""
        ...

    def changed(self) -> None:
        """Something the page shows changed."""
        ...
