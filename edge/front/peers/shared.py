"""What those that talk to neighbours share with the uplink of the same gate."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from admission.ids import Epoch, GateId
from edge.front.intake import Epochs, Intake, InThread
from edge.front.near import Near
from edge.front.near_lists import NearLists
from edge.front.own_log import OwnLog
from edge.link import HeardGates
from sync.wire.replication import LinkAt, Read
from sync.wire.roster import Roster


class Told(Protocol):
    """The lane, as it is told of others (`edge.front.lane_client.LaneClient`)."""

    def say_heard(self, heard: HeardGates) -> None:
        """Tell the lane until when all of the other gates is known."""
        ...


@dataclass(frozen=True)
class Shared:
    """What is shared with the uplink: the logs, the one thread that reads them, and the roster to go by."""

    own: OwnLog
    epochs: Epochs
    read_of: Callable[[GateId], tuple[LinkAt, Read]]
    """How logs of another gate are read."""
    intake: Intake
    in_thread: InThread
    in_force: Callable[[], Roster | None]
    """The roster to go by; None while there is none, or none in force."""
    roster: Callable[[], bytes]
    """The same as it was signed; empty where there is none."""
    offered: Callable[[bytes], bool]
    """Take a roster from whomever, if it is newer and genuine; whether it was."""
    believe: Callable[[], Awaitable[None]]
    """Have the lane go by the newest roster, and keep it."""
    keys: Callable[[], bytes]
    """The venue's keys as they were signed; empty where they were never others here."""
    keys_offered: Callable[[bytes], None]
    """Follow the venue's keys that a neighbour brought, where they are newer and genuine: all begins anew then."""
    near: Near
    is_up: Callable[[], bool]
    """Whether the centre answers us, by our own last exchange with it."""
    take_held: Callable[[], Awaitable[object]]
    """Fetch what only the lane's memory holds into `own`. ConnectionError where it is away."""
    in_memory: Callable[[], tuple[Epoch, int]]
    """The running epoch, and its last seq that only the lane's memory holds; 0: none."""
    lists: NearLists


__all__ = ["Shared", "Told"]
