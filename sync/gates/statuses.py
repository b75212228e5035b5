"""How gates say that they are: kept in memory, and written for all of them at once."""

import asyncio
import contextlib
import logging

import msgspec
from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import SQLAlchemyError

from admission.ids import GateId
from sync.gates import declared, refold, tables
from sync.store.database import CentreFault, Database
from sync.wire.deltas import GateStatus

WRITE_EVERY_S = 3.0
"""2,000 gates tell 67 times a second; one transaction each would take a disk's whole time."""

log = logging.getLogger("sync.gates.statuses")


class Statuses:
    """The newest status of each gate. `start` in the loop, `close` writes what waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fresh: dict[GateId, tuple[GateStatus, int]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_on())

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(CentreFault, SQLAlchemyError):  # the next status says it again
            await self.write()

    def heard(self, gate: GateId, status: GateStatus, now_s: int) -> None:
        """A gate told how it is."""
        self._fresh[gate] = (status, now_s)

    async def write(self) -> None:
        """Write what was heard since the last time."""
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            await self._database.write(lambda connection: _write(connection, fresh))

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            try:
                await self.write()
            except (CentreFault, SQLAlchemyError) as error:
                log.warning("what gates told of themselves is not kept: %s", type(error).__name__)


def _write(connection: Connection, fresh: dict[GateId, tuple[GateStatus, int]]) -> None:
    t = tables.gate_status
    before = declared.of_gates(connection, fresh)
    rows = []
    for gate, (status, now_s) in sorted(fresh.items()):
        whole = declared.kept(before.get(gate, {}), status)
        rows.append({"gate_id": gate, "heard_s": now_s, "status": msgspec.json.encode(whole).decode()})
    for row in rows:
        connection.execute(delete(t).where(t.c.gate_id == row["gate_id"]))
    connection.execute(insert(t), rows)
    had, have = declared.without_exit(before), declared.without_exit(declared.of_gates(connection, fresh))
    for gate in sorted(have - had):
        refold.forget(connection, gate)
    for gate in sorted(had - have):
        refold.recall_exits(connection, gate)
