"""A centre over real HTTP on loopback, with the demo venue, and a box that joins it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.enrol import enrol
from edge.enrolment import Enrolment
from sync import compose, demo
from sync.compose import Centre, Serving
from sync.gates import enrolment as codes
from sync.gates.handlers import NETS, Nets
from tests.sync.ready import with_tables
from tests.sync.requests import NOW_S

__all__ = ["NOW_S", "Venue", "query", "venue_at"]


@dataclass
class Venue:
    """A centre that listens, and can be stopped and started on the same port."""

    data: Path
    centre: Centre
    serving: Serving
    database: str = ""
    nets: Nets = NETS
    now_s: int = NOW_S
    mono_now_s: float | None = None
    """Where a test moves the time by hand."""

    def mono_s(self) -> float:
        return time.monotonic() if self.mono_now_s is None else self.mono_now_s

    @property
    def url(self) -> str:
        return self.serving.url

    def code(self, name: str = demo.MAIN_GATE_NAME) -> str:
        with self.centre.database.writing() as connection:
            gate = codes.named(connection, name)
            return codes.new_code(connection, self.centre.keys, gate, self.now_s, os.urandom(5))

    async def enrolled(self, box: Path, name: str = demo.MAIN_GATE_NAME) -> Enrolment:
        return await asyncio.to_thread(enrol, box, self.url, self.code(name), "box")

    async def stop(self) -> None:
        await self.serving.stop()
        self.centre.close()

    async def start(self) -> None:
        port = int(self.url.rsplit(":", 1)[1])
        self.centre = compose.open_centre(self.data, self.database)
        self.serving = await compose.listen(
            self.centre, "127.0.0.1", port, now_s=lambda: self.now_s, mono_s=self.mono_s, nets=self.nets
        )


@asynccontextmanager
async def venue_at(data: Path, database: str = "", nets: Nets = NETS) -> AsyncIterator[Venue]:
    """`database`: the URL of a PostgreSQL database; SQLite without one. `nets`: how often it looks without a signal."""
    centre = compose.open_centre(data if database else with_tables(data), database)
    demo.make_demo(centre.database, centre.keys, data, NOW_S)
    venue = Venue(data, centre, Serving("", None, None), database, nets)  # type: ignore[arg-type]  # replaced in the next line
    venue.serving = await compose.listen(
        centre, "127.0.0.1", 0, now_s=lambda: venue.now_s, mono_s=venue.mono_s, nets=nets
    )
    try:
        yield venue
    finally:
        await venue.stop()


def query(venue: Venue, sql: str) -> list[tuple[object, ...]]:
    """Look into the centre's tables."""
    with venue.centre.database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]
