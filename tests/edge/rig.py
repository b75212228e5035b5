"""A gate on simulated hardware, run through the real composition root: for scenarios, failpoints and figures."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import cose
from admission.digests import CredentialKind, digest, ticket_digest
from admission.entitlements import CredentialStanding, LanePlan, Mode, Product, Session, Standing, Zone
from admission.ids import Epoch, EventId, GateId, HolderId, LaneId, ProductId, SessionId, TicketId, ZoneId
from admission.records import Kind, Record, record_from_bytes
from edge import config, enrolment
from edge.compose import factories
from edge.daemon import Daemon
from edge.link import SOCKET, BelieveAgain, Command, Done, Foreign, Health, Part, Seen, pack, read_from_lane
from edge.parts import Factories
from edge.store.list import build
from edge.store.log_reader import LogReader
from edge.verify import known_keys, verify_log
from sync.wire.lists import EventInfo, GateInfo, ListHead, ListKey, ListRow, Profile
from tests.venue.hardware import GateHardware, Way

EVENT, PRODUCT, SESSION, ARENA, GATE = EventId(1), ProductId(1), SessionId(1), ZoneId(1), GateId(1)
TICKET_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
GATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
DIGEST_KEY = bytes(range(2, 34))
UID = bytes.fromhex("04A1B2C3D4E5F6")
NO_FRONT = ["/bin/sh", "-c", "exec cat >/dev/null"]
"""Stands for the front process where a test is not about pages."""
LOOKED_REST = 9
"""So many times as long as a look took the gate has the processor before the next."""
READERS = ("1.1", "1.2", "1.3", "2.4")
FRAMING = frozenset((Kind.RESTART, Kind.LIST_APPLIED, Kind.DEVICE))
"""Records of every run's start, its devices coming among them."""


def list_head(
    now_s: int, *, version: int = 1, modes: tuple[Mode, Mode] = (Mode.ENTRY_EXIT, Mode.NORMAL)
) -> ListHead:
    """A venue of one event, one session, one zone, one gate with two lanes."""
    served = ((EVENT, SESSION),)
    return ListHead(
        group=1,
        events=(EventInfo(EVENT, "Event", 1, version, now_s),),
        products=(Product(PRODUCT, EVENT, "Day"),),
        sessions=(Session(SESSION, EVENT, "Today", 20261122),),
        zones=(Zone(ARENA, "Arena", gate=GATE),),
        plans=tuple(LanePlan(LaneId(n + 1), ARENA, mode, served) for n, mode in enumerate(modes)),
        gate_lanes={GATE: (0, 1)},
        keys=(ListKey(TICKET_KEY.public_key().public_bytes_raw(), "tk1"),),
        gates=(GateInfo(GATE, "North", GATE_KEY.public_key().public_bytes_raw(), (ARENA,)),),
        profiles=(Profile(PRODUCT, (ARENA,), SESSION), Profile(PRODUCT, (ARENA,), SESSION, admits=4)),
        digest_key=DIGEST_KEY,
    )


def row(ticket: int, standing: Standing = Standing.VALID, profile: int = 0) -> ListRow:
    """A listed TK1 ticket."""
    key = ticket_digest(EVENT, TicketId(ticket), DIGEST_KEY)
    return ListRow(
        key, EVENT, TicketId(ticket), profile, HolderId(ticket), standing, CredentialStanding.ACTIVE
    )


def tag_row(ticket: int) -> ListRow:
    """A tag that stands for a ticket."""
    return row(ticket)._replace(digest=digest(CredentialKind.UID, UID, DIGEST_KEY))


def code(ticket: int) -> bytes:
    """The text of a ticket, as printed."""
    return cose.mint(
        cose.Claims(ticket=ticket, event=EVENT, issued_at=1_790_000_000, product=PRODUCT), TICKET_KEY
    ).encode()


def prepare(data: Path, rows: Iterable[ListRow], *, version: int = 1, now_s: int | None = None) -> None:
    """Enrol a box and give it a list, as the centre would have."""
    data.mkdir(parents=True, exist_ok=True)
    enrolment.save(
        data,
        enrolment.Enrolment(
            gate=GATE,
            name="North",
            group=1,
            centre_url="",
            centre_public=bytes(32),
            list_public=bytes(32),
            time_public=bytes(32),
            signing_key=GATE_KEY.private_bytes_raw(),
            sealing_key=bytes(32),
        ),
    )
    build(data / "list.sqlite3", list_head(now_s or int(time.time()), version=version), sorted(rows))


@dataclass(slots=True)
class Gate:
    """A running gate and the hardware around it."""

    daemon: Daemon
    hardware: GateHardware
    data: Path
    exit_code: int | None = None
    """Known when the gate ended."""

    async def until(self, holds: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
        """Wait for something to become true; looked at every 5 ms, seldomer where a look takes longer itself."""
        began = time.monotonic()
        deadline = began + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true: {what}")
            await asyncio.sleep(max(0.005, LOOKED_REST * (time.monotonic() - began)))
            began = time.monotonic()

    async def seen(self, count: int = 1) -> Seen:
        """Wait until so many presentations were answered; return the newest."""
        await self.until(lambda: len(self.daemon.recent) >= count, f"{count} presentations seen")
        return self.daemon.recent[0]

    def reader(self) -> LogReader:
        """The log, as another process would read it."""
        return LogReader.open(self.data)

    async def ready(self) -> None:
        """Wait until both lanes can let somebody in and every reader is open."""
        await self.until(lambda: all(shell.ready for shell in self.daemon.lanes.values()), "both lanes ready")
        await self.until(
            lambda: all(self.health(Part.READER, name) is Health.OK for name in READERS), "readers open"
        )

    def health(self, part: Part, name: str) -> Health:
        """How a part is, as its tile says."""
        return self.daemon.board.health(part, name)

    def code(self, part: Part, name: str) -> str:
        """The code of a part's tile."""
        return next((t.code for t in self.daemon.board.tiles if (t.part, t.name) == (part, name)), "")

    def records(self) -> list[Record]:
        """This run's records that are on disk, without what only frames them."""
        return records_of(self.data, self.daemon.journal.epoch)

    def kinds(self) -> list[Kind]:
        """The kinds of `records`."""
        return [record.kind for record in self.records()]

    async def recorded(self, kind: Kind, count: int = 1) -> Record:
        """Wait until so many records of a kind are on disk; return the newest."""
        await self.until(lambda: self.kinds().count(kind) >= count, f"{count} {kind.name} on disk")
        return next(record for record in reversed(self.records()) if record.kind is kind)

    async def do(self, command: Command | Foreign | BelieveAgain) -> Done:
        """Ask the lane process for something, over its socket as the front does; return its answer."""
        stream, out = await asyncio.open_unix_connection(str(self.data / SOCKET))
        try:
            out.write(pack(command))
            while not isinstance(answer := await read_from_lane(stream), Done):
                pass
        finally:
            out.close()
            await out.wait_closed()
        return answer

    async def walk(self, lane: int = 1, way: Way = "entry") -> None:
        """Wait until a lane's relay releases that way, and walk through."""
        arm = self.hardware.lanes[lane]
        assert await asyncio.wait_for(arm.releases.get(), 10) == way
        # Nobody walks within a pulse: the next one's would only lengthen it.
        await self.until(lambda: not self.hardware.relays.levels[arm.lines[way]], "the pulse is over")
        assert await self.push(lane, way)

    async def push(self, lane: int = 1, way: Way = "entry", *, force: bool = False) -> bool:
        """Push the arm; returns, when the gate has seen its contact open again, whether it gave way."""
        gave_way = await self.hardware.lanes[lane].turn(way, force=force)
        polls = self.hardware.contacts.polls
        # One question may have been under way already, and the contact must stand for the debounce.
        await self.until(lambda: self.hardware.contacts.polls >= polls + 3, "contacts read")
        return gave_way


def records_of(data: Path, epoch: Epoch) -> list[Record]:
    """The bodies of one run that are on disk, without what only frames them."""
    reader = LogReader.open(data)
    own = enrolment.load(data).gate
    found = [record_from_bytes(one.blob) for one in reader.records(own, epoch, 0, 10_000)]
    reader.close()
    return [one for one in found if isinstance(one, Record) and one.kind not in FRAMING]


def assert_verifies(data: Path) -> None:
    """Every record of every run is chained, signed where it must be, and none is missing."""
    verdict = verify_log(data, known_keys(data, enrolment.load(data)))
    assert not verdict.altered, list(verdict.lines())


def quick(text: str, **lane: int | str) -> str:
    """Make people hurry: windows, grace and absence as short as a test wants them; each read is a new presentation."""
    lengths: dict[str, int | str] = {
        "hold_ms": 300, "hold_margin_ms": 100, "grace_ms": 2000, "absent_ms": 0, "pulse_ms": 60, **lane,
    }  # fmt: skip
    lines = "".join(f"{key} = {value}\n" for key, value in lengths.items())
    return text.replace("[[lanes]]\n", f"[[lanes]]\n{lines}")


@asynccontextmanager
async def running(
    folder: Path,
    rows: Iterable[ListRow] = (),
    *,
    hold_s: float = 5.0,
    extra: str = "",
    adjust: Callable[[str], str] = lambda text: text,
    hardware: GateHardware | None = None,
    change: Callable[[Factories], Factories] = lambda parts: parts,
) -> AsyncIterator[Gate]:
    """Run a gate in this process, its guard and devices real, until the block ends.

    `hardware`: what is plugged in already and stays so. `change`: other parts than those of a real gate.
    """
    data = folder / "data"
    if rows:
        prepare(data, rows)
    plugged = hardware or plug(folder, hold_s=hold_s)
    settings = config.load(_alone(adjust(plugged.toml(data, extra=extra))))
    parts = change(replace(factories(), front_argv=lambda _settings: NO_FRONT))
    daemon = Daemon(settings, enrolment.load(data), parts)
    task = asyncio.create_task(daemon.run())
    gate = Gate(daemon, plugged, data)
    try:
        yield gate
    finally:
        daemon.stop()
        gate.exit_code = await task
        if hardware is None:
            plugged.unplug()


def _alone(text: str) -> str:
    """Gates of tests share a machine, and no LAN, unless a test says so."""
    return text if "[peers]" in text else text + "\n[peers]\non = false\n"


def plug(folder: Path, *, hold_s: float = 5.0) -> GateHardware:
    """Plug a gate's hardware in."""
    hardware = GateHardware(folder / "dev", hold_s=hold_s)
    hardware.plug()
    return hardware


def environment() -> dict[str, str]:
    """What a gate started as a process of its own is given."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}
