"""The list file: built whole, renamed into place, read as it was written or not at all."""

import random
import tracemalloc
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.entitlements import CredentialStanding, Standing, Ticket
from admission.ids import EventId, GateId, HolderId, ProductId, SessionId, TicketId, ZoneId
from edge.store.faults import FaultKind
from edge.store.list import SCHEMA, ListStore, ListUnusable, build
from sync.wire.lists import ListRow, Profile
from tests.edge.crash_points import digest_of, list_head, list_rows

U64 = st.integers(0, 2**64 - 1)
ROWS = st.lists(
    st.builds(
        ListRow,
        st.integers(0, 5).map(digest_of),
        st.integers(1, 2**32 - 1).map(EventId),
        U64.map(TicketId),
        st.just(0),
        U64.map(HolderId),
        st.integers(0, 63).map(Standing),
        st.integers(0, 7).map(CredentialStanding),
    ),
    max_size=30,
    unique_by=lambda row: row[:3],
)


@settings(max_examples=60)
@given(ROWS)
def test_what_was_built_is_found(tmp_path_factory: pytest.TempPathFactory, rows: list[ListRow]) -> None:
    path = tmp_path_factory.mktemp("list") / "list.sqlite3"
    build(path, list_head(3), rows)
    store = ListStore.open(path)
    store.check()
    assert store.row_count == len(rows)
    assert store.head == list_head(3)
    for number in range(7):
        digest = digest_of(number)
        expected = {
            (row.event, row.ticket, row.holder, row.standing, row.credential_standing)
            for row in rows
            if row.digest == digest
        }
        found = store.lookup(digest)
        assert {
            (one.event, one.id, one.holder, one.standing, credential) for one, credential in found
        } == expected
        assert len(found) == len(expected)
    store.close()


def test_a_row_becomes_the_ticket_of_its_profile(tmp_path: Path) -> None:
    profiles = (
        Profile(ProductId(1)),
        Profile(ProductId(9), (ZoneId(2), ZoneId(3)), SessionId(4), 100, 200, 5, GateId(6)),
    )
    head = list_head(1).__class__(
        **{name: getattr(list_head(1), name) for name in list_head(1).__struct_fields__}
        | {"profiles": profiles}
    )
    row = ListRow(
        digest_of(1),
        EventId(1),
        TicketId(2**63),
        1,
        HolderId(2**64 - 1),
        Standing.UNPAID,
        CredentialStanding.BANNED_TAG,
    )
    build(tmp_path / "list", head, [row])
    ticket = Ticket(
        id=TicketId(2**63),
        event=EventId(1),
        product=ProductId(9),
        holder=HolderId(2**64 - 1),
        zones=(ZoneId(2), ZoneId(3)),
        session=SessionId(4),
        standing=Standing.UNPAID,
        not_before=100,
        not_after=200,
        admits=5,
        home_gate=GateId(6),
    )
    store = ListStore.open(tmp_path / "list")
    assert store.lookup(digest_of(1)) == ((ticket, CredentialStanding.BANNED_TAG),)
    assert store.lookup(digest_of(2)) == ()
    assert store.lookup(b"") == ()
    store.close()


def test_an_open_list_stays_what_it_was_when_another_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "list.sqlite3"
    build(path, list_head(1), list_rows(set(), 20_000))
    old = ListStore.open(path)
    build(path, list_head(2), list_rows({1, 20_000}, 20_000))
    assert old.head.events[0].version == 1
    assert old.lookup(digest_of(20_000))[0][0].standing == Standing.VALID
    new = ListStore.open(path)
    assert new.lookup(digest_of(20_000))[0][0].standing == Standing.CANCELLED
    assert [one.name for one in tmp_path.iterdir()] == ["list.sqlite3"]
    old.close()
    new.close()


def test_a_doubled_row_is_refused_and_the_old_list_stays(tmp_path: Path) -> None:
    path = tmp_path / "list.sqlite3"
    build(path, list_head(1), list_rows(set()))
    with pytest.raises(ValueError, match="same credential"):
        build(path, list_head(2), [*list_rows(set()), list_rows(set())[0]])
    store = ListStore.open(path)
    assert store.head.events[0].version == 1
    store.close()


def test_a_list_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ListUnusable) as caught:
        ListStore.open(tmp_path / "list.sqlite3")
    assert caught.value.kind is FaultKind.MISSING
    assert "centre" in caught.value.hint


def test_another_schema_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "list.sqlite3"
    build(path, list_head(1), list_rows(set()))
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA user_version={SCHEMA + 1}")
    connection.close()
    with pytest.raises(ListUnusable, match=f"schema {SCHEMA + 1}") as caught:
        ListStore.open(path)
    assert caught.value.kind is FaultKind.OTHER_FORMAT


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"\0" * 4096, b"no list" * 1000])
def test_something_else_is_no_list(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.sqlite3"
    path.write_bytes(content)
    with pytest.raises(ListUnusable) as caught:
        ListStore.open(path)
    assert caught.value.kind in {FaultKind.CORRUPT, FaultKind.OTHER_FORMAT}


def test_a_list_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.sqlite3"
    build(path, list_head(1), list_rows(set(), 1000))
    whole = path.read_bytes()
    for size in range(0, len(whole), 512):
        path.write_bytes(whole[:size])
        with pytest.raises(ListUnusable):
            ListStore.open(path)


def test_an_altered_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    """Every page is hit: what is read is either refused by opening, reading or checking, or it is what was written."""
    path = tmp_path / "list.sqlite3"
    rows = list_rows({5}, 1000)
    build(path, list_head(1), rows)
    whole = path.read_bytes()
    chance = random.Random(4)
    refused = 0
    for page in range(len(whole) // 4096):
        for _ in range(12):
            damaged = bytearray(whole)
            damaged[page * 4096 + chance.choice((chance.randrange(100), chance.randrange(4096)))] ^= (
                1 << chance.randrange(8)
            )
            path.write_bytes(damaged)
            try:
                store = ListStore.open(path)
            except ListUnusable:
                refused += 1
                continue
            try:
                store.check()
                for row in rows[::100]:
                    assert [one.id for one, _ in store.lookup(row.digest)] == [row.ticket]
            except ListUnusable:
                refused += 1
            store.close()
    assert refused > 50


def test_a_large_list_is_built_in_little_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        build(tmp_path / "list.sqlite3", list_head(1), (row for row in list_rows(set(), 1)))
        tracemalloc.reset_peak()
        build(
            tmp_path / "list.sqlite3", list_head(1), (row for at in range(1, 60_000) for row in (_row(at),))
        )
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def _row(ticket: int) -> ListRow:
    return ListRow(
        digest_of(ticket),
        EventId(1),
        TicketId(ticket),
        0,
        HolderId(0),
        Standing.VALID,
        CredentialStanding.ACTIVE,
    )
