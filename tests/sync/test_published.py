"""Snapshots made from the tables, on either engine: what is in them, and what gates are told while one is made."""

import asyncio
import os
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import Standing
from admission.ids import TicketId
from sync import demo
from sync.events.rows import GROUP
from sync.gates import enrolment, lists, snapshots
from sync.gates.snapshots import Snapshots
from sync.keys import VenueKeys, load_or_make
from sync.store.database import Database
from sync.tickets import changes, rows
from sync.wire.lists import read_list
from sync.wire.snapshots import read_snapshot
from tests.sync.conftest import Home
from tests.sync.venue import NOW_S

EVENTS = [demo.EVENT, demo.OTHER_EVENT]
SEALING = X25519PrivateKey.from_private_bytes(bytes(range(32)))
WAIT_S = 20.0
"""Only reached where something is broken."""


@pytest.fixture
def keys(home: Home) -> VenueKeys:
    return load_or_make(home.data, may_make=True)


@pytest.fixture
def centre(home: Home, keys: VenueKeys) -> Iterator[Database]:
    database = home.open()
    demo.make_demo(database, keys, home.data, NOW_S)
    with changes.change(database, EVENTS, NOW_S) as connection:
        public = SEALING.public_key().public_bytes_raw()
        enrolment.join(connection, demo.MAIN_GATE, bytes(32), public, NOW_S)
    yield database
    database.close()


def test_a_snapshot_holds_what_the_tables_say(home: Home, centre: Database, keys: VenueKeys) -> None:
    with centre.reading() as connection:
        key = lists.content(connection, GROUP)[0].digest_key
    strays = [
        rows.NewCredential(TicketId(number), ticket_digest(demo.EVENT, number, key), CredentialKind.TK1)
        for number in (77_001, 77_002)  # of no ticket: before, between and after those of tickets
    ] + [rows.NewCredential(TicketId(2**64 - 5), bytes(16), CredentialKind.TK1)]
    twice = rows.NewCredential(TicketId(1), b"another digest!!", CredentialKind.TK1)
    with changes.change(centre, [demo.EVENT], NOW_S) as connection:
        rows.add_tickets(connection, demo.EVENT, (), [*strays, twice])
        rows.set_standing(connection, demo.EVENT, TicketId(1), Standing.CANCELLED)
    made = Snapshots(centre, keys, home.data, lambda: NOW_S)
    published = made.build(GROUP)
    with centre.writing() as connection:
        secret = snapshots.new_secret(connection, GROUP, NOW_S, only_first=True).list_secret
    listed = BytesIO()
    read_snapshot(BytesIO(made.path(published.address).read_bytes()), listed, GROUP, secret)
    found = read_list(listed, keys.list_key.public_key(), key)
    with centre.reading() as connection:
        head, wanted = lists.content(connection, GROUP)
        stored = connection.exec_driver_sql("SELECT count(*) FROM credential").scalar_one()
    assert (found.head, list(found.rows())) == (head, wanted)
    assert len(wanted) == stored - len(strays)
    assert {row.digest for row in wanted if row.ticket == 1 and row.event == demo.EVENT} >= {
        twice.digest,
        ticket_digest(demo.EVENT, 1, key),
    }
    assert made.build(GROUP) == published, "the same list is the same file"
    made.close()


def test_what_a_power_cut_left_of_a_snapshot_is_gone_after_the_next(
    home: Home, centre: Database, keys: VenueKeys
) -> None:
    made = Snapshots(centre, keys, home.data, lambda: NOW_S)
    made.folder.mkdir()
    left, under_way = made.folder / "7.1.new", made.folder / "8.2.new"
    for path in (left, under_way):
        path.write_bytes(bytes(100))
    before_s = left.stat().st_mtime - snapshots.LEFT_S - 60
    os.utime(left, (before_s, before_s))
    published = made.build(GROUP)
    assert {path.name for path in made.folder.iterdir()} == {under_way.name, published.address}
    made.close()


async def test_who_has_a_list_is_told_of_the_one_before_while_another_is_made(
    home: Home, centre: Database, keys: VenueKeys
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    may_end.set()

    def now_s() -> int:
        if threading.current_thread().name.startswith("snapshots"):
            begun.set()
            may_end.wait(WAIT_S)
        return NOW_S

    made = Snapshots(centre, keys, home.data, now_s)
    first = await made.manifest(demo.MAIN_GATE, fresh=True)
    assert first is not None
    with changes.change(centre, [demo.EVENT], NOW_S) as connection:
        rows.set_standing(connection, demo.EVENT, TicketId(1), Standing.CANCELLED)
    begun.clear()
    may_end.clear()
    newer = asyncio.create_task(made.manifest(demo.MAIN_GATE, fresh=True))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    async with asyncio.timeout(WAIT_S):
        meanwhile = await made.manifest(demo.MAIN_GATE, fresh=False)
    assert meanwhile is not None
    assert meanwhile.snapshot == first.snapshot
    assert meanwhile.seals != first.seals, "how far the list is, is told all the same"
    # Who was shut out knows the secret of the one before: nobody is told of that any more.
    with centre.writing() as connection:
        snapshots.new_secret(connection, GROUP, NOW_S)
    waiting = asyncio.create_task(made.manifest(demo.MAIN_GATE, fresh=False))
    may_end.set()
    told, after = await newer, await waiting
    assert told is not None
    assert after is not None
    assert len({first.snapshot, told.snapshot, after.snapshot}) == 3
    made.close()


def test_a_replica_gives_the_snapshot_that_another_one_made(
    home: Home, centre: Database, keys: VenueKeys, tmp_path: Path
) -> None:
    if not centre.is_postgresql:
        pytest.skip("SQLite is served by one machine")
    first, second = (Snapshots(centre, keys, tmp_path / name, lambda: NOW_S) for name in ("first", "second"))
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    made = first.build(GROUP)
    with second.open(made.address) as file:
        assert file.read() == first.path(made.address).read_bytes()
    told = asyncio.run(second.manifest(demo.MAIN_GATE, fresh=False))
    assert told is not None
    assert (told.snapshot, second.built) == (made, 0)
    assert told == asyncio.run(first.manifest(demo.MAIN_GATE, fresh=False)), (
        "a gate that has it is sent 304 by either"
    )

    older = made
    for number in range(1, 4):  # each list is another one
        with changes.change(centre, [demo.EVENT], NOW_S) as connection:
            rows.set_standing(connection, demo.EVENT, TicketId(number), Standing.CANCELLED)
        before, older = older, made
        at_s = iter((NOW_S + number,))
        made = Snapshots(centre, keys, tmp_path / "first", at_s.__next__).build(GROUP)
    third = Snapshots(centre, keys, tmp_path / "third", lambda: NOW_S)
    (tmp_path / "third").mkdir()
    assert third.open(made.address).close() is None
    assert third.open(older.address).close() is None  # a gate may be fetching it
    with pytest.raises(FileNotFoundError):
        third.open(before.address)

    with centre.writing() as connection:
        connection.exec_driver_sql("UPDATE snapshot_part SET body = body || 'x'")
    (tmp_path / "third" / "snapshots" / made.address).unlink()
    with pytest.raises(FileNotFoundError):
        third.open(made.address)
    assert not list((tmp_path / "third" / "snapshots").glob("*.new"))
    for one in (first, second, third):
        one.close()
