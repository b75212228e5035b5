"""A gate on simulated hardware, run through the real composition root: for scenarios, failpoints and figures."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import cose
from admission.digests import CredentialKind, digest, ticket_digest
from admission.entitlements import CredentialStanding, LanePlan, Mode, Product, Session, Standing, Zone
from admission.ids import EventId, GateId, HolderId, LaneId, ProductId, SessionId, TicketId, ZoneId
from edge import config, enrolment
from edge.compose import factories
from edge.daemon import Daemon
from edge.link import Seen
from edge.store.list import build
from edge.store.log_reader import LogReader
from sync.wire.lists import EventInfo, GateInfo, ListHead, ListKey, ListRow, Profile
from tests.venue.hardware import GateHardware

EVENT, PRODUCT, SESSION, ARENA, GATE = EventId(1), ProductId(1), SessionId(1), ZoneId(1), GateId(1)
TICKET_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
GATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
DIGEST_KEY = bytes(range(2, 34))
UID = bytes.fromhex("04A1B2C3D4E5F6")
NO_FRONT = [sys.executable, "-c", "import sys; sys.stdin.read()"]
"""Stands for the front process where a test is not about pages."""


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

    async def until(self, holds: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
        """Wait for something to become true; looked at whenever the loop turns, at most every 5 ms."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true: {what}")
            await asyncio.sleep(0.005)

    async def seen(self, count: int = 1) -> Seen:
        """Wait until so many presentations were answered; return the newest."""
        await self.until(lambda: len(self.daemon.recent) >= count, f"{count} presentations seen")
        return self.daemon.recent[0]

    def reader(self) -> LogReader:
        """The log, as another process would read it."""
        return LogReader.open(self.data)


@asynccontextmanager
async def running(
    folder: Path,
    rows: Iterable[ListRow] = (),
    *,
    hold_s: float = 5.0,
    extra: str = "",
    adjust: Callable[[str], str] = lambda text: text,
) -> AsyncIterator[Gate]:
    """Run a gate in this process, its guard and devices real, until the block ends."""
    data = folder / "data"
    if rows:
        prepare(data, rows)
    hardware = GateHardware(folder / "dev", hold_s=hold_s)
    hardware.plug()
    settings = config.load(adjust(hardware.toml(data, extra=extra)))
    parts = replace(factories(), front_argv=lambda _settings: NO_FRONT)
    daemon = Daemon(settings, enrolment.load(data), parts)
    task = asyncio.create_task(daemon.run())
    gate = Gate(daemon, hardware, data)
    try:
        yield gate
    finally:
        daemon.stop()
        await task
        hardware.unplug()


def environment() -> dict[str, str]:
    """What a gate started as a process of its own is given."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}
