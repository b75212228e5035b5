"""The centre as a process of its own, over TLS on loopback; its database is read and written beside it, as its commands do."""

import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from admission.ids import Epoch, GateId
from sync import keys as centre_keys
from sync.compose import open_centre
from sync.store.database import FILE, Database
from sync.store.engines import sqlite
from sync.wire.deltas import GateStatus
from tests.real.doctor_env import ROOT, with_env
from tests.sim import premises
from tests.sim.centre import Logs, SimCentre
from tests.sync.test_tls import certificate
from tests.venue.programs import Program
from tests.venue.venue import free_port


class Tables(SimCentre):
    """The simulated centre's look at its tables, on a real centre's."""

    def __init__(self, database: Database) -> None:
        self.ledger = None
        self.database = database


class RealCentre:
    """One centre. `make` it, then `start`, `cut` and `start` again on the same port."""

    name = "centre"

    def __init__(self, folder: Path) -> None:
        self.data = folder / "centre"
        self.port = free_port()
        self._folder = folder
        self._program: Program | None = None
        self.database: Database
        self.tables: Tables
        self.chain: Path
        self._key: Path

    def make(self, gates: int, tickets_max: int) -> dict[int, Any]:
        """Write the venue into a new database; return by gate what enrolment gives, for a URL."""
        self.data.mkdir()
        (self.data / centre_keys.FILE).write_bytes(msgspec.json.encode(premises.venue_keys().held))
        centre = open_centre(self.data)
        try:
            premises.fill(centre, gates, tickets_max)
            found = {number: premises.enrolled(centre, number, "") for number in range(1, gates + 1)}
        finally:
            centre.close()
        self.chain, self._key = certificate(self._folder)
        self.database = Database(sqlite(self.data / FILE), 1)
        self.tables = Tables(self.database)
        return found

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self._program is not None and not self._program.ended.is_set()

    @property
    def program(self) -> Program:
        """Its process."""
        assert self._program is not None
        return self._program

    def now_s(self) -> int:
        """The centre's clock is the machine's."""
        return int(time.time())

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        argv = [
            sys.executable, "-m", "sync", "serve", "--data", str(self.data), "--port", str(self.port),
            "--tls-cert", str(self.chain), "--tls-key", str(self._key),
        ]  # fmt: skip
        self._program = await Program.start(
            "the centre", with_env(argv, PYTHONPATH=str(ROOT)), self._folder / "centre.log"
        )
        await self._program.line("gatehouse-sync listens on")

    async def cut(self) -> None:
        """Kill it."""
        await self.program.cut()

    async def stop(self) -> None:
        """End it as systemd does."""
        if self._program is not None:
            await self._program.stop()
        if hasattr(self, "database"):
            self.database._engine.dispose()

    # --- what it holds ---------------------------------------------------------------------------------------------

    def held(self) -> dict[tuple[GateId, Epoch], int]:
        """Return how far each log is held."""
        return self.tables.held()

    def forwarded(self) -> dict[tuple[GateId, Epoch], int]:
        """Return up to where each log is told to gates."""
        return self.tables.forwarded()

    def logs(self) -> Logs:
        """Return all that is held."""
        return self.tables.logs()

    def statuses(self) -> dict[GateId, GateStatus]:
        """Return what each gate last said of itself."""
        with self.database.reading() as connection:
            found = connection.exec_driver_sql("SELECT gate_id, status FROM gate_status")
            return {GateId(gate): msgspec.json.decode(status, type=GateStatus) for gate, status in found}
