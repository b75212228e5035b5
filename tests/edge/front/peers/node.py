"""Gates that talk over real sockets on loopback: real logs, the real judge of what comes, a stand-in for the lane."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.ids import Epoch, GateId
from edge import enrolment as enrolments
from edge.clock import SystemClock
from edge.enrolment import Enrolment
from edge.front.peers.neighbours import Neighbours
from edge.front.uplink import Uplink
from edge.held_roster import ROSTER_FILE
from edge.link import HeardGates, PeersSaid
from edge.settings import PeerSettings
from edge.store.log_reader import LogReader
from sync.wire.channel import knock_key
from sync.wire.roster import DAY_S, Revoked, Roster, RosterGate, pack_roster
from tests.sync.box import Box
from tests.sync.logs import EpochLog

GROUP = 7
ROSTER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(60, 92)))
KNOCK = knock_key(bytes(range(16)))
NOW_S = 1_795_348_800


def key_of(gate: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(gate.to_bytes(32, "big"))


def roster_of(gates: Sequence[int], version: int = 1, *, revoked: Sequence[Revoked] = ()) -> bytes:
    named = tuple(
        RosterGate(GateId(one), f"gate {one}", key_of(one).public_key().public_bytes_raw(), b"", ())
        for one in gates
    )
    return pack_roster(Roster(GROUP, version, NOW_S, NOW_S + 3000 * DAY_S, named, tuple(revoked)), ROSTER_KEY)


def enrolment_of(gate: int, key: Ed25519PrivateKey | None = None) -> Enrolment:
    return Enrolment(
        gate=GateId(gate), name=f"gate {gate}", group=GROUP, centre_url="http://127.0.0.1:1",
        centre_public=bytes(32), list_public=key_of(99).public_key().public_bytes_raw(), time_public=bytes(32),
        signing_key=(key or key_of(gate)).private_bytes_raw(), sealing_key=bytes(range(32)),
        roster_public=ROSTER_KEY.public_key().public_bytes_raw(),
    )  # fmt: skip


@dataclass
class Heard:
    """What the lane was told of others: by gate, how old that was."""

    ages_ms: dict[GateId, int] = field(default_factory=dict)
    troubles: dict[GateId, str] = field(default_factory=dict)

    def say_heard(self, heard: HeardGates) -> None:
        self.ages_ms |= heard.ages_ms
        self.troubles |= heard.troubles


class Node:
    """One gate: its folder, its log, its neighbours."""

    def __init__(self, folder: Path, gate: int, roster: bytes, enrolment: Enrolment | None = None) -> None:
        folder.mkdir(parents=True)
        own = enrolment or enrolment_of(gate)
        enrolments.save(folder, own)
        (folder / ROSTER_FILE).write_bytes(roster)
        self.gate = GateId(gate)
        self.host = ""
        """Its address, once it was started."""
        self.box = Box(folder, own)
        self.said: list[PeersSaid] = []
        self.lane = Heard()
        self.reader = LogReader.open(folder)
        self.uplink: Uplink = self.box.uplink()
        self.neighbours: Neighbours
        self._task: asyncio.Task[None] | None = None

    def start(
        self, *others: "Node | tuple[str, int]", knock: bytes = KNOCK, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """`others`: those whose addresses it is configured with. Multicast finds nobody."""
        self.host = host
        addresses = tuple(
            f"{one.host}:{one.port}" if isinstance(one, Node) else f"{one[0]}:{one[1]}" for one in others
        )
        told = PeerSettings(listen=host, port=port, addresses=addresses, discover=False)
        self.neighbours = Neighbours(
            self.box.enrolment, told, knock, self.uplink.shared(), self.lane, self.said.append,
            clock=SystemClock(), chance=random.Random(self.gate),
        )  # fmt: skip
        self._task = asyncio.create_task(self.neighbours.run())

    @property
    def port(self) -> int:
        return self.neighbours.listener.port

    async def listens(self) -> None:
        """Wait until neighbours can come."""
        await until(lambda: self.port, "it listens")

    def append(self, log: EpochLog, first: int = 1) -> None:
        """Record more of the own log, durably, and have the neighbours told."""
        self.neighbours.appended(self.box.append(log, first))

    def holds(self, log: EpochLog) -> int:
        """Up to which seq a log is held, byte for byte."""
        found = [one.blob for one in self.reader.records(log.gate, log.epoch, 0, 10_000)]
        assert found == log.blobs[: len(found)]
        return len(found)

    def is_heard(self, *others: "Node") -> bool:
        return all(one.gate in self.lane.ages_ms for one in others)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def close(self) -> None:
        await self.stop()
        self.reader.close()
        self.box.store.close()


def log_of(gate: int, epoch: int = 0) -> EpochLog:
    return EpochLog(Epoch(epoch or gate * 1000 + 1), GateId(gate), key_of(gate)).begin()


async def until(holds: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
    """Wait for something to become true; looked at every few milliseconds."""
    try:
        async with asyncio.timeout(limit_s):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


@asynccontextmanager
async def nodes(folder: Path, *gates: int, roster: bytes = b"") -> AsyncIterator[list[Node]]:
    """Gates of one roster, not yet started."""
    made = [Node(folder / str(gate), gate, roster or roster_of(gates)) for gate in gates]
    try:
        yield made
    finally:
        for one in made:
            await one.close()
