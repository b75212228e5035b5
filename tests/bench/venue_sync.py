"""Gates and their centre: how soon one refuses what another let in, what records cost on the wire, how fast they drain."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zstandard

from admission.codecs import cose
from admission.ids import Epoch
from admission.reasons import Reason
from admission.records import Outcome
from edge.enrolment import Enrolment
from edge.link import Seen
from sync import demo
from sync.wire.record_columns import pack_chunks
from tests.bench.report import Goal, Row, median, percentile
from tests.bench.scale import Scale
from tests.edge.rig import Gate
from tests.sync.box import Box
from tests.sync.gates import two_gates
from tests.sync.logs import EpochLog, a_day
from tests.sync.venue import NOW_S, Venue, query, venue_at

GRANTS: Final = 100
"""In a batch: the least that the budget speaks of."""
MEAN_S: Final = 0.25
"""Between two arrivals, over both lanes of the gate."""
LOOK_S: Final = 0.002
KNOWN_MAX_S: Final = 20.0
REFUSED_EVERY: Final = 10
"""So often the ticket is presented at the other gate too, to see that what is known is also refused."""


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    return [*asyncio.run(_double_entries(size)), _upload(), asyncio.run(_drain(size))]


def _hurry(text: str) -> str:
    """No sensors and short windows: the next person may come at once, so that what is measured is the way between."""
    kept = [line for line in text.splitlines() if not line.startswith(("entry_contact", "exit_contact"))]
    lane = "[[lanes]]\nabsent_ms = 0\nhold_ms = 100\nhold_margin_ms = 0\npulse_ms = 50"
    return "\n".join(kept).replace("[[lanes]]", lane).replace("push_s = 0.2", "push_s = 0.1")


async def _double_entries(size: Scale) -> list[Row]:
    chance = random.Random(1)
    took_s: list[float] = []
    folder = size.folder / "double"
    async with venue_at(folder / "centre") as venue, two_gates(venue, folder, _hurry) as (main, second):
        for number in range(size.doubles):
            took_s.append(await _one(venue, main, second, number))
            await asyncio.sleep(chance.expovariate(1 / MEAN_S))
    conditions = (
        f"n={len(took_s)}; two gates and the centre in one process, fronts apart; from the scan at one to the entry "
        f"known to the next decision at the other; p50 {median(took_s):.3f} s, max {max(took_s):.3f} s"
    )
    p99 = percentile(took_s, 99)
    return [
        Row(name="double_entry_via_centre_p99_s", value=p99, unit="s", goal=Goal(1), conditions=conditions)
    ]


async def _one(venue: Venue, main: Gate, second: Gate, number: int) -> float:
    """Let a signed ticket in at the main gate; return how long the other did not know of it."""
    claims = cose.Claims(
        ticket=10_000 + number, event=demo.EVENT, issued_at=NOW_S, product=demo.DAY, session=demo.TODAY
    )
    text = cose.mint(claims, venue.centre.keys.ticket_key).encode()
    scanner = main.hardware.entry
    before = _newest(main)
    await scanner.scan(text)
    began_s = time.monotonic()
    seen = await _next(main, before)
    assert seen.outcome == Outcome.GRANT, seen
    rows = second.daemon.memory.rows
    while not rows(demo.EVENT, claims.ticket):  # type: ignore[arg-type]  # a ticket's number
        if time.monotonic() - began_s > KNOWN_MAX_S:
            raise AssertionError("the other gate never heard of it")
        await asyncio.sleep(LOOK_S)
    took_s = time.monotonic() - began_s
    if number % REFUSED_EVERY == 0:
        before = _newest(second)
        await second.hardware.entry.scan(text)
        refused = await _next(second, before)
        assert refused.reason == Reason.ALREADY_USED, refused
    return took_s


def _newest(gate: Gate) -> Seen | None:
    return next(iter(gate.daemon.recent), None)


async def _next(gate: Gate, before: Seen | None) -> Seen:
    await gate.until(lambda: _newest(gate) is not before, "the ticket is answered")
    return gate.daemon.recent[0]


def _upload() -> Row:
    chunk = a_day(GRANTS).chunk()
    by_columns = len(zstandard.ZstdCompressor(level=3).compress(pack_chunks([chunk])))
    plain = sum(map(len, chunk.blobs))
    return Row(
        name="upload_bytes_per_grant",
        value=by_columns / GRANTS,
        unit="B",
        goal=Goal(30),
        conditions=f"a batch of {GRANTS} grants with their passages, a head at its end; {plain / GRANTS:.0f} B unpacked",
    )


async def _drain(size: Scale) -> Row:
    folder = size.folder / "drain"
    async with venue_at(folder / "centre") as venue:
        enrolment: Enrolment = await venue.enrolled(folder / "box")
        box = Box(folder / "box", enrolment)
        log = EpochLog(Epoch(9), key=enrolment.key).begin().scans(size.log_records, head_every=256)
        box.append(log)
        began_s = time.monotonic()
        async with box.linked():
            await box.until(box.is_drained)
            took_s = time.monotonic() - began_s
        held = query(venue, "SELECT count(*) FROM record")[0][0]
        assert held == len(log.blobs), "every record is there"
        box.store.close()
    floor_s = await asyncio.to_thread(_floor, folder / "floor.sqlite3", log.blobs)
    return Row(
        name="drain_36k_s",
        value=took_s,
        unit="s",
        floor=floor_s,
        goal=Goal(5),
        conditions=f"{size.log_records} queued scans acknowledged over loopback; floor: as many rows in one commit",
    )


def _floor(path: Path, blobs: Sequence[bytes]) -> float:
    began_s = time.monotonic()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE record(seq INTEGER PRIMARY KEY, blob BLOB)")
    connection.executemany("INSERT INTO record VALUES(?,?)", enumerate(blobs, start=1))
    connection.commit()
    connection.close()
    return time.monotonic() - began_s
