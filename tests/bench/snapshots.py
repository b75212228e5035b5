"""Snapshots: how small, how soon made at the centre, and how soon a gate decides by one that it fetched."""

import asyncio
import shutil
import time
from io import BytesIO
from pathlib import Path

from admission.digests import CredentialKind, ticket_digest
from admission.ids import TicketId
from edge.front.centre import Centre as CentreClient
from edge.front.snapshot import Snapshots
from edge.link import Done
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_schema import ListVersion
from sync import compose, demo
from sync.compose import Centre
from sync.events.rows import GROUP
from sync.gates.snapshots import Snapshots as Published
from sync.tickets import changes, rows
from sync.wire.lists import pack_list
from sync.wire.snapshots import write_snapshot
from tests.bench.report import Goal, Row, median
from tests.bench.scale import Scale
from tests.sync.requests import NOW_S
from tests.sync.venue import Venue, venue_at

SEED = 7
SALE_ROWS = 20_000
"""Tickets made in one change while the tables are filled; not what is measured."""


def size_and_build(scale: Scale) -> list[Row]:
    """Bytes a ticket, and seconds from the tables to the file."""
    data = scale.folder / "centre"
    centre = compose.open_centre(data)
    try:
        demo.make_demo(centre.database, centre.keys, data, NOW_S)
        _sell(centre, scale.tickets)
        published = Published(centre.database, centre.keys, data, lambda: NOW_S)
        seconds, made = [], None
        for _ in range(min(3, scale.starts)):
            began = time.perf_counter()
            made = published.build(GROUP)
            seconds.append(time.perf_counter() - began)
        published.close()
        assert made is not None
        floor_s = _floor_s(centre, scale.tickets)
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


def _sell(centre: Centre, tickets: int) -> None:
    """Have so many tickets of the demo's mix in the tables."""
    made = demo.bulk(tickets, SEED, NOW_S, centre.keys)
    first = 1_000  # the demo's own tickets come before
    key = demo.demo_venue(NOW_S, centre.keys).digest_key
    by_ticket: dict[int, list[rows.NewCredential]] = {}
    sold = []
    for row in made.rows:
        number = first + row.ticket
        ticket = made.head.ticket(row._replace(ticket=TicketId(number)))
        if row.ticket not in by_ticket:
            by_ticket[row.ticket] = [
                rows.NewCredential(ticket.id, ticket_digest(demo.EVENT, number, key), CredentialKind.TK1)
            ]
            sold.append(ticket)
        else:
            by_ticket[row.ticket].append(rows.NewCredential(ticket.id, row.digest, CredentialKind.UID))
    for at in range(0, len(sold), SALE_ROWS):
        part = sold[at : at + SALE_ROWS]
        with changes.change(centre.database, [demo.EVENT], NOW_S) as connection:
            credentials = [one for ticket in part for one in by_ticket[ticket.id - first]]
            rows.add_tickets(connection, demo.EVENT, part, credentials)


def _floor_s(centre: Centre, tickets: int) -> float:
    made = demo.bulk(tickets, SEED, NOW_S, centre.keys)
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
        assert taken[0].lookup(ticket_digest(demo.EVENT, 2_000, key))
        spent_s = time.perf_counter() - began
    taken[0].close()
    (box / LIST_FILE).unlink()
    return spent_s


async def _fetch(scale: Scale) -> tuple[list[float], int]:
    async with venue_at(scale.folder / "snapshot-centre") as venue:
        await asyncio.to_thread(_sell, venue.centre, scale.load_tickets)
        seconds = [
            await _fetched_s(venue, scale.folder / f"snapshot-box-{number}") for number in range(scale.starts)
        ]
        sizes = [path.stat().st_size for path in (venue.data / "snapshots").iterdir()]
    return seconds, max(sizes)


def fetch(scale: Scale) -> Row:
    """The centre over loopback to a list that decides."""
    seconds, size = asyncio.run(_fetch(scale))
    return Row(
        name="snapshot_100k_s",
        value=median(seconds),
        unit="s",
        goal=Goal(1),
        conditions=f"{scale.load_tickets:,} tickets, {size:,} bytes: manifest, snapshot over HTTP on loopback, builder "
        f"process, list opened, first lookup; the snapshot was made before; median of {len(seconds)}",
    )


def measure(scale: Scale) -> list[Row]:
    """All of it."""
    return [*size_and_build(scale), fetch(scale)]
