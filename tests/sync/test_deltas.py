"""Changes reach running gates: by the stream, by the poll, after a cut, through restarts; nothing else does."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.credentials import Medium
from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding, LanePlan, Mode, Standing, Ticket
from admission.ids import EventId, GateId, HolderId, LaneId, TicketId
from admission.reasons import Reason
from admission.records import Kind, Outcome
from edge.enrolment import load
from edge.front.centre import CutOff
from edge.front.stream import News
from edge.link import Changes, Done
from edge.overlay import NewRow, Overlay
from sync import compose, demo
from sync.compose import Centre
from sync.events import rows as events
from sync.gates import fleet, roster
from sync.gates.changes import Changes as Centrally
from sync.gates.changes import TooFar
from sync.tickets import changes, rows
from sync.wire.deltas import (
    SETTINGS_BYTES_MAX,
    UNPROVED_BYTES,
    Delta,
    DeltaRefused,
    DeltaRow,
    pack_delta,
    pack_settings,
    read_delta,
    read_settings,
)
from sync.wire.lists import EventInfo, GateInfo, ListHead, Profile
from tests.edge.rig import running
from tests.sync.connected import connected, linked, tickets
from tests.sync.desk import Desk, StillClock
from tests.sync.logs import OTHER_KEY
from tests.sync.venue import NOW_S, Venue, query

NUMBERS = {sort.key: TicketId(number) for number, sort in enumerate(demo._SORTS, start=1)}


def stand(venue: Venue, key: str, standing: Standing) -> None:
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 1) as connection:
        assert rows.set_standing(connection, demo.EVENT, NUMBERS[key], standing)


def sell(venue: Venue, number: int, code: str) -> None:
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 1) as connection:
        key = events.digest_key(connection, events.GROUP)
        assert key is not None
        ticket = Ticket(TicketId(number), demo.EVENT, demo.DAY, session=demo.TODAY)
        found = digest(CredentialKind.OPAQUE, code.encode(), key)
        rows.add_tickets(
            connection, demo.EVENT, [ticket],
            [rows.NewCredential(ticket.id, found, CredentialKind.OPAQUE, code)],
        )  # fmt: skip


async def test_a_cancel_reaches_a_running_gate_and_is_durable_there(venue: Venue, tmp_path: Path) -> None:
    day = tickets(venue)["day"]
    async with connected(venue, tmp_path) as one:
        assert one.of(day).outcome is Outcome.GRANT
        stand(venue, "day", Standing.CANCELLED)
        await one.until(lambda: one.of(day).reason is Reason.CANCELLED, "the cancel is there")
        await one.gate.recorded(Kind.STANDING)
        with_log = one.gate.reader()
        kept = {(two.ticket, two.standing) for two in with_log.standings()}
        with_log.close()
        assert (NUMBERS["day"], Standing.CANCELLED) in kept
        stand(venue, "day", Standing.VALID)
        await one.until(lambda: one.of(day).outcome is Outcome.GRANT, "it is taken back")


async def test_sales_tags_plans_and_products_come_by_changes_too(venue: Venue, tmp_path: Path) -> None:
    tag = tickets(venue)["tag"]
    database = venue.centre.database
    async with connected(venue, tmp_path) as one:
        built = one.gate.daemon.lists.rows
        assert one.verdict("SOLD-0001").reason is Reason.UNKNOWN
        sell(venue, 900, "SOLD-0001")
        await one.until(lambda: one.verdict("SOLD-0001").outcome is Outcome.GRANT, "the sale is there")

        with database.reading() as connection:
            key = events.digest_key(connection, events.GROUP)
        assert key is not None
        with changes.change(database, [demo.EVENT], NOW_S + 1) as connection:
            old, new = (
                digest(CredentialKind.UID, bytes.fromhex(uid), key) for uid in (tag.data, "04FFEEDDCCBB80")
            )
            rows.set_credential_standing(connection, demo.EVENT, old, CredentialStanding.INACTIVE_TAG)
            rows.add_tickets(
                connection, demo.EVENT, [], [rows.NewCredential(NUMBERS["tag"], new, CredentialKind.UID)]
            )
        uid = ("04FFEEDDCCBB80", Medium.UID)
        await one.until(lambda: one.verdict(*uid).outcome is Outcome.GRANT, "the new tag is active")
        assert one.of(tag).reason is Reason.INACTIVE_TAG

        with changes.change(database, [demo.EVENT, demo.OTHER_EVENT], NOW_S + 2) as connection:
            plan = LanePlan(
                LaneId(1), demo.ARENA, Mode.MULTIPLE, ((demo.EVENT, demo.TOMORROW),), attended=True
            )
            roster.set_plan(connection, demo.MAIN_GATE, plan)
        await one.until(lambda: one.verdict("SOLD-0001").reason is Reason.WRONG_DATE, "the plan is in force")
        assert one.gate.daemon.lists.rows == built, "no list was fetched"
        await one.until(lambda: at_centre(venue) == versions(venue), "the centre was told")


def versions(venue: Venue) -> dict[int, int]:
    return {int(str(event)): int(str(at)) for event, at in query(venue, "SELECT id, version FROM event")}


def at_centre(venue: Venue) -> dict[int, int]:
    with venue.centre.database.reading() as connection:
        board = fleet.devices(connection, events.GROUP, NOW_S, 0, 10)
    return {one.event: one.version for one in board[0].lists}


async def test_what_is_cancelled_while_cut_off_counts_once_the_line_is_back(
    venue: Venue, tmp_path: Path
) -> None:
    day, other = tickets(venue)["day"], tickets(venue)["day_2"]
    async with connected(venue, tmp_path) as one:
        stand(venue, "day", Standing.BANNED)
        await one.until(lambda: one.of(day).reason is Reason.BANNED, "the ban is there")
        await venue.stop()
        assert one.of(day).reason is Reason.BANNED
        assert one.of(other).outcome is Outcome.GRANT
        venue.centre = compose.open_centre(venue.data)
        stand(venue, "day_2", Standing.CANCELLED)
        stand(venue, "day", Standing.VALID)
        venue.centre.close()
        await venue.start()
        await one.until(lambda: one.of(other).reason is Reason.CANCELLED, "the cancel came after the cut")
        assert one.of(day).outcome is Outcome.GRANT


async def test_a_gate_that_starts_again_without_a_line_has_forgotten_nothing(
    venue: Venue, tmp_path: Path
) -> None:
    day = tickets(venue)["day"]
    async with connected(venue, tmp_path) as one:
        sell(venue, 901, "SOLD-0002")
        stand(venue, "day", Standing.CANCELLED)
        await one.until(lambda: one.of(day).reason is Reason.CANCELLED, "the cancel is there")
        await one.until(lambda: at_centre(venue) == versions(venue), "all of it is durable")
    await venue.stop()
    try:
        async with running(tmp_path) as gate, linked(gate, load(gate.data)) as again:
            assert again.of(day).reason is Reason.CANCELLED
            assert again.verdict("SOLD-0002").outcome is Outcome.GRANT
    finally:
        await venue.start()


class Hostile:
    """Says on the stream what it likes, and has no answer to anything else."""

    def __init__(self, parts: list[tuple[str, bytes]]) -> None:
        self.parts = parts

    async def listen(self, silence_s: float, beat_s: int) -> AsyncGenerator[tuple[str, bytes], None]:  # noqa: ARG002 - it ends
        for one in self.parts:
            yield one

    async def changes(self, event: int, generation: int, since: int) -> bytes:
        raise CutOff(f"no way from {event} {generation} {since}")

    async def settings(self) -> bytes:
        raise CutOff("none")


def delta(key: Ed25519PrivateKey, *, generation: int = 1, since: int = 1, to: int = 2) -> bytes:
    row = DeltaRow(bytes(16), TicketId(1), 0, HolderId(1), Standing.CANCELLED, CredentialStanding.ACTIVE, to)
    made = Delta(demo.EVENT, generation, since, to, to, NOW_S, bytes(16), (Profile(demo.DAY),), (row,))
    return pack_delta(made, key)


def flipped(page: bytes, at: int) -> bytes:
    return page[:at] + bytes([page[at] ^ 1]) + page[at + 1 :]


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (flipped(delta(OTHER_KEY), 130), CutOff),
        (flipped(delta(OTHER_KEY), 13), CutOff),
        (delta(Ed25519PrivateKey.from_private_bytes(bytes(range(32)))), CutOff),
        (delta(OTHER_KEY, generation=0), None),
        (delta(OTHER_KEY, since=0, to=1), None),
        (delta(OTHER_KEY, since=5, to=6), None),
        (b"", CutOff),
    ],
    ids=[
        "altered body",
        "altered form",
        "another key",
        "older generation",
        "replayed",
        "with a gap",
        "empty",
    ],
)
async def test_what_the_centre_did_not_say_never_reaches_the_lane(
    tmp_path: Path, page: bytes, told: type[Exception] | None
) -> None:
    desk = Desk(tmp_path, demo.MAIN_GATE)
    desk.start()
    head = ListHead(
        group=1, events=(EventInfo(demo.EVENT, "Event", 1, 1, NOW_S),), products=(), sessions=(), zones=(), plans=(),
        gate_lanes={}, keys=(), gates=(), profiles=(), digest_key=bytes(32),
    )  # fmt: skip
    assert not desk.give_list(head, [])
    given: list[Changes] = []

    async def hand_over(asked: Changes) -> Done:
        given.append(asked)
        return Done(0, ok=True)

    async def here(work: Callable[[], ListHead | None]) -> ListHead | None:
        return work()

    news = News(
        OTHER_KEY.public_key(), tmp_path, desk.reader, Hostile([("changes", page)]), hand_over, lambda: None,
        lambda: None, lambda: None, lambda: False, StillClock(), random.Random(1),
    )  # fmt: skip
    await news.look(here)
    if told is None:
        await news.listen()
    else:
        with pytest.raises(told):
            await news.listen()
    assert given == []
    desk.end()


def test_one_reading_serves_every_gate(venue_tables: Centre) -> None:
    told = Centrally(venue_tables.database, venue_tables.keys)
    told.look(NOW_S)
    for number in range(1, 4):
        with changes.change(venue_tables.database, [demo.EVENT], NOW_S) as connection:
            rows.set_standing(connection, demo.EVENT, TicketId(number), Standing.CANCELLED)
        news = told.look(NOW_S)
        assert [name for one in news for name, _ in one.parts] == ["changes", "seal"]
    key = venue_tables.keys.list_key.public_key()
    for _ in range(100):
        for since in (1, 2, 3, 4):
            page = read_delta(told.page(1, demo.EVENT, 1, since), key)
            assert (page.since, page.to) == (since, 4)
            assert {row.ticket for row in page.rows} == set(range(since, 4))
    assert told.reads == 3
    for bad in ((2, demo.EVENT, 1, 1), (1, demo.EVENT, 2, 1), (1, demo.EVENT, 1, 5), (1, EventId(9), 1, 1)):
        with pytest.raises(TooFar):
            told.page(*bad)


def test_what_is_written_before_the_next_look_hides_nothing_from_a_page(
    venue_tables: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag is banned; then a list brings more rows than a page leads over, and a gate asks before they are looked at."""
    monkeypatch.setattr("sync.gates.changes.DELTA_ROWS_MAX", 2)
    database = venue_tables.database
    with changes.change(database, [demo.EVENT], NOW_S) as connection:
        key = events.digest_key(connection, events.GROUP)
        assert key is not None
        found = digest(CredentialKind.UID, bytes.fromhex("04A1B2C3D4E580"), key)
        assert rows.set_credential_standing(connection, demo.EVENT, found, CredentialStanding.BANNED_TAG)
    told = Centrally(database, venue_tables.keys)
    told.look(NOW_S)
    with changes.change(database, [demo.EVENT], NOW_S) as connection:
        for sort in ("day", "day_2", "cancelled"):
            assert rows.set_standing(connection, demo.EVENT, NUMBERS[sort], Standing.UNPAID)
    with pytest.raises(TooFar):
        told.page(1, demo.EVENT, 1, 1)


@pytest.fixture
def venue_tables(tmp_path: Path) -> Iterator[Centre]:
    centre = compose.open_centre(tmp_path)
    demo.make_demo(centre.database, centre.keys, tmp_path, NOW_S)
    yield centre
    centre.close()


def test_an_older_row_changes_nothing_and_a_newer_list_takes_the_overlay_over() -> None:
    def row(standing: Standing) -> NewRow:
        return NewRow(Ticket(TicketId(1), demo.EVENT, demo.DAY, standing=standing), CredentialStanding.ACTIVE)

    overlay = Overlay()
    overlay.put(b"d" * 16, row(Standing.CANCELLED), (1, 7))
    overlay.put(b"d" * 16, row(Standing.VALID), (1, 6))
    assert [ticket.standing for ticket, _ in overlay.over(b"d" * 16, ())] == [Standing.CANCELLED]
    overlay.prune({demo.EVENT: (1, 6)})
    assert overlay.count == 1
    overlay.prune({demo.EVENT: (1, 7)})
    assert (overlay.count, overlay.over(b"d" * 16, ())) == (0, ())


def test_settings_that_nobody_proved_take_neither_memory_nor_time() -> None:
    """A neighbour may send as many as it likes, of half a kilobyte each."""
    bomb = bytes(64) + zstandard.ZstdCompressor(level=3).compress(bytes(SETTINGS_BYTES_MAX))
    forged = bytes(64) + zstandard.ZstdCompressor(level=3).compress(bytes(UNPROVED_BYTES))
    tracemalloc.start()
    try:
        for one in (bomb, forged, forged[:-9], b"", bytes(70)):
            with pytest.raises(DeltaRefused):
                read_settings(one, OTHER_KEY.public_key())
        assert tracemalloc.get_traced_memory()[1] < UNPROVED_BYTES / 2
    finally:
        tracemalloc.stop()


def test_the_settings_of_a_venue_of_five_thousand_gates_are_read() -> None:
    gates = tuple(GateInfo(GateId(n), f"Gate {n}", random.Random(n).randbytes(32)) for n in range(1, 5_001))
    head = ListHead(
        group=1, events=(EventInfo(demo.EVENT, "Event", 0, 0, 0),), products=(), sessions=(), zones=(), plans=(),
        gate_lanes={}, keys=(), gates=gates, profiles=(), digest_key=b"",
    )  # fmt: skip
    digest_, signed = pack_settings(head, OTHER_KEY)
    found = read_settings(signed, OTHER_KEY.public_key())
    assert (found.head, found.digest) == (head, digest_)
    with pytest.raises(DeltaRefused, match="not signed"):
        read_settings(flipped(signed, 3), OTHER_KEY.public_key())


async def test_that_the_centre_answered_is_known_before_the_long_wait_for_more(
    venue: Venue, tmp_path: Path
) -> None:
    """Else the page says for half a minute after a cut that it lasts."""
    async with connected(venue, tmp_path) as one:
        news, told = one.uplink._news, asyncio.Event()
        assert news.on_caught_up is not None
        news.on_caught_up = told.set
        news.behind.set()
        async with asyncio.timeout(10):
            await told.wait()
