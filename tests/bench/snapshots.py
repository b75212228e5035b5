"""Snapshots: how small, how soon made at the centre, and how soon a gate decides by one that it fetched."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from io import BytesIO
from pathlib import Path

import aiohttp
from aiohttp import web

from admission.digests import CredentialKind, ticket_digest
from edge.front.centre import Centre as CentreClient
from edge.front.snapshot import Snapshots
from edge.link import Done
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_schema import ListVersion
from sync import compose, demo
from sync.compose import Centre
from sync.events.rows import GROUP
from sync.gates.snapshots import Snapshots as Published
from sync.tickets import changes
from sync.wire.lists import pack_list
from sync.wire.snapshots import write_snapshot
from tests.bench.report import Goal, Row, median
from tests.bench.scale import Scale
from tests.sync.requests import NOW_S
from tests.sync.venue import Venue, venue_at

SEED = 7
SALE_ROWS = 50_000
"""Rows of one statement while the tables are filled; not what is measured."""
FIRST = 1_000
"""The demo's own tickets come before."""
BUILDS = 3
"""Of a full run; a quick one has one."""
_TICKET = """
INSERT INTO ticket (event_id, id, product, holder, zones, session, standing, not_before, not_after, admits, home_gate,
  attention, version) VALUES (?, ?, ?, ?, '[]', ?, ?, 0, 0, ?, 0, 0, 1)
"""
_CREDENTIAL = (
    "INSERT INTO credential (event_id, digest, ticket, kind, standing, version) VALUES (?, ?, ?, ?, ?, 1)"
)


def size_and_build(scale: Scale) -> list[Row]:
    """Bytes a ticket, and seconds from the tables to the file."""
    data = scale.folder / "centre"
    centre = compose.open_centre(data)
    try:
        demo.make_demo(centre.database, centre.keys, data, NOW_S)
        listed = demo.bulk(scale.tickets, SEED, NOW_S, centre.keys)
        sell(centre, listed)
        published = Published(centre.database, centre.keys, data, lambda: NOW_S)
        seconds, made = [], None
        for _ in range(BUILDS if scale.name == "full" else 1):
            began = time.perf_counter()
            made = published.build(GROUP)
            seconds.append(time.perf_counter() - began)
        published.close()
        assert made is not None
        floor_s = _floor_s(centre, listed)
    finally:
        centre.close()
        shutil.rmtree(data, ignore_errors=True)
    mix = "the demo's mix: 5 % tags, 3 % reissued, groups, two dates"
    return [
        Row(
            name="snapshot_bytes_per_ticket",
            value=made.size / scale.tickets,
            unit="B",
            goal=Goal(20),
            conditions=f"encrypted file of {made.size:,} bytes, {scale.tickets:,} tickets; {mix}; tickets and holders "
            "numbered in turn, digests of tags only",
        ),
        Row(
            name="snapshot_build_1m_s",
            value=median(seconds),
            unit="s",
            floor=floor_s,
            goal=Goal(10),
            conditions=f"tables (SQLite) to the synced file, {scale.tickets:,} tickets; median of {len(seconds)}; "
            f"floor: the same rows read, and the list packed and encrypted in memory; {mix}",
        ),
    ]


def sell(centre: Centre, listed: demo.Bulk) -> None:
    """Have a bulk list's tickets in the tables: rows as `sync.tickets.rows` writes them, too many for its own pace."""
    key = demo.demo_venue(NOW_S, centre.keys).digest_key
    tickets, credentials = [], []
    last = 0
    for row in listed.rows:
        number, profile = FIRST + row.ticket, listed.head.profiles[row.profile]
        if row.ticket == last:
            credentials.append(
                (demo.EVENT, row.digest, number, CredentialKind.UID.value, int(row.credential_standing))
            )
            continue
        last = row.ticket
        tickets.append(
            (
                demo.EVENT,
                number,
                profile.product,
                row.holder,
                profile.session,
                int(row.standing),
                profile.admits,
            )
        )
        found = ticket_digest(demo.EVENT, number, key)
        credentials.append(
            (demo.EVENT, found, number, CredentialKind.TK1.value, int(row.credential_standing))
        )
    with changes.change(centre.database, [demo.EVENT], NOW_S) as connection:
        for statement, rows in ((_TICKET, tickets), (_CREDENTIAL, sorted(credentials))):
            for at in range(0, len(rows), SALE_ROWS):
                connection.exec_driver_sql(statement, rows[at : at + SALE_ROWS])


def _floor_s(centre: Centre, made: demo.Bulk) -> float:
    began = time.perf_counter()
    with centre.database.reading() as connection:
        found = connection.exec_driver_sql(
            "SELECT * FROM ticket t JOIN credential c ON c.event_id = t.event_id AND c.ticket = t.id"
        )
        while found.fetchmany(4096):
            pass
    listed = BytesIO(pack_list(made.head, made.rows, centre.keys.list_key))
    write_snapshot(listed, BytesIO(), BytesIO(), GROUP, bytes(32))
    return time.perf_counter() - began


class _Nothing:
    """A gate that has seen no list."""

    def list_versions(self) -> tuple[ListVersion, ...]:
        return ()


async def _fetched_s(venue: Venue, box: Path) -> float:
    """Manifest asked for to the list open and the first lookup answered."""
    enrolment = await venue.enrolled(box)
    taken: list[ListStore] = []

    async def take(path: Path) -> Done:
        taken.append(ListStore.open(path))
        return Done(0, ok=True)

    async def in_thread(work: object) -> None:
        assert callable(work)
        await asyncio.to_thread(work)

    async with CentreClient(enrolment) as centre:
        await centre.manifest("", fresh=True)  # the snapshot is made; that is another figure
        link = Snapshots(enrolment, box, _Nothing(), take)
        began = time.perf_counter()
        await link.fetch(centre, lambda: None, in_thread)
        key = demo.demo_venue(NOW_S, venue.centre.keys).digest_key
        assert taken[0].lookup(ticket_digest(demo.EVENT, FIRST + 1, key))
        spent_s = time.perf_counter() - began
    taken[0].close()
    (box / LIST_FILE).unlink()
    return spent_s


async def _served_s(packed: bytes, listed: demo.Bulk, data: Path) -> float:
    """The least that it takes: the same bytes over HTTP, then as many rows by digest into a file, one of them looked up."""

    async def give(_request: web.Request) -> web.Response:
        return web.Response(body=packed)

    app = web.Application()
    app.add_routes([web.get("/", give)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rows = sorted((row.digest or row.ticket.to_bytes(16, "big"), row.ticket) for row in listed.rows)
    began = time.perf_counter()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as answer,
    ):
        await answer.read()

    def write() -> None:
        with closing(sqlite3.connect(data, isolation_level=None)) as bare:
            bare.execute(
                "CREATE TABLE row (digest BLOB, ticket INTEGER, PRIMARY KEY (digest, ticket)) WITHOUT ROWID"
            )
            bare.execute("BEGIN")
            bare.executemany("INSERT INTO row VALUES (?, ?)", rows)
            bare.execute("COMMIT")
            assert bare.execute("SELECT ticket FROM row WHERE digest = ?", (rows[7][0],)).fetchone()

    await asyncio.to_thread(write)
    spent_s = time.perf_counter() - began
    await runner.cleanup()
    data.unlink()
    return spent_s


async def _fetch(scale: Scale) -> tuple[list[float], list[float], int]:
    async with venue_at(scale.folder / "snapshot-centre") as venue:
        listed = demo.bulk(scale.load_tickets, SEED, NOW_S, venue.centre.keys)
        await asyncio.to_thread(sell, venue.centre, listed)
        seconds, least = [], []
        for number in range(scale.starts):
            seconds.append(await _fetched_s(venue, scale.folder / f"snapshot-box-{number}"))
            newest = max((venue.data / "snapshots").iterdir(), key=lambda path: path.stat().st_size)
            packed = await asyncio.to_thread(newest.read_bytes)
            least.append(await _served_s(packed, listed, scale.folder / "bare.sqlite3"))
    return seconds, least, len(packed)


def fetch(scale: Scale) -> Row:
    """The centre over loopback to a list that decides."""
    seconds, least, size = asyncio.run(_fetch(scale))
    return Row(
        name="snapshot_100k_s",
        value=median(seconds),
        unit="s",
        floor=median(least),
        goal=Goal(1),
        conditions=f"{scale.load_tickets:,} tickets, {size:,} bytes: manifest, snapshot over HTTP on loopback, builder "
        f"process, list opened, first lookup; the snapshot was made before; median of {len(seconds)}; floor, in turn: the same bytes over HTTP, as many "
        f"rows by digest into a file, one of them looked up",
    )


def measure(scale: Scale) -> list[Row]:
    """All of it; the fetch first, which takes seconds where a million rows to begin with take half a minute."""
    fetched = fetch(scale)
    return [*size_and_build(scale), fetched]
