"""Seals never go back: not where the centre's clock does, nor beside what was sealed a moment before; on either engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from admission.entitlements import Standing
from admission.ids import TicketId
from sync import demo
from sync.events.rows import GROUP
from sync.gates import enrolment
from sync.gates.changes import Changes
from sync.gates.seal_clock import SealClock
from sync.gates.snapshots import Snapshots
from sync.keys import VenueKeys, load_or_make
from sync.store.database import Database
from sync.tickets import changes, rows
from sync.wire.seals import RENEW_S, Advance, Seal, advance, read_seal
from tests.sync.conftest import Home
from tests.sync.people import Caller
from tests.sync.ready import with_tables
from tests.sync.requests import GateClient
from tests.sync.venue import NOW_S, venue_at

EVENTS = [demo.EVENT, demo.OTHER_EVENT]
BACK_S = 3_600
TAKEN = {Advance.NEWER, Advance.KNOWN}


class House:
    """A centre's tables, and what a gate is told of them by a stream and by manifests."""

    def __init__(self, home: Home, database: Database) -> None:
        self.home, self.database, self.now_s = home, database, NOW_S
        self.keys: VenueKeys = load_or_make(home.data, may_make=True)
        demo.make_demo(database, self.keys, home.data, NOW_S)
        with changes.change(database, EVENTS, NOW_S) as connection:
            sealing = X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
            enrolment.join(connection, demo.MAIN_GATE, bytes(32), sealing, NOW_S)
        self.seen: dict[int, Seal] = {}
        self.begin()

    def begin(self) -> None:
        """A process of the centre."""
        self.clock = SealClock(self.database)
        self.changes = Changes(self.database, self.keys, self.clock)
        self.snapshots = Snapshots(
            self.database, self.keys, self.home.data, lambda: self.now_s, clock=self.clock
        )

    def change(self) -> None:
        with changes.change(self.database, [demo.EVENT], self.now_s) as connection:
            rows.set_standing(connection, demo.EVENT, TicketId(1), Standing.CANCELLED)

    def stream(self) -> set[Advance]:
        self.changes.look(self.now_s)
        return self.judged(self.changes.seals(GROUP, self.now_s))

    async def manifest(self) -> set[Advance]:
        made = await self.snapshots.manifest(demo.MAIN_GATE, fresh=False)
        assert made is not None
        return self.judged(made.seals)

    def judged(self, sealed: tuple[bytes, ...]) -> set[Advance]:
        """How a gate that saw all that came before takes these."""
        found = set()
        for one in sealed:
            seal = read_seal(one, self.keys.list_key.public_key())
            found.add(how := advance(self.seen.get(seal.event), seal))
            if how is Advance.NEWER:
                self.seen[seal.event] = seal
        assert found
        return found


@pytest.fixture
def house(home: Home, database: Database) -> Iterator[House]:
    made = House(home, database)
    yield made
    made.snapshots.close()


async def test_a_clock_that_is_set_back_makes_no_seal_that_a_gate_refuses(house: House) -> None:
    house.now_s += RENEW_S
    assert house.stream() == {Advance.NEWER}
    house.now_s -= BACK_S
    house.change()
    assert house.stream() <= TAKEN
    assert await house.manifest() <= TAKEN
    house.clock.keep(house.now_s)
    assert house.stream() == {Advance.NEWER}, "the renewal shows that the centre lives"
    assert house.clock.behind_s(house.now_s) >= BACK_S


async def test_nor_does_one_that_is_set_back_while_the_centre_was_off(house: House) -> None:
    house.clock.keep(house.now_s)
    house.now_s += RENEW_S - 1
    assert house.stream() == {Advance.NEWER}
    house.snapshots.close()
    house.now_s -= BACK_S
    house.begin()
    house.change()
    assert await house.manifest() <= TAKEN
    assert house.stream() <= TAKEN
    assert house.clock.behind_s(house.now_s) >= BACK_S
    house.now_s += BACK_S + RENEW_S
    house.clock.keep(house.now_s)
    assert house.clock.behind_s(house.now_s) == 0, "it has caught up"
    assert {seal.time_s <= house.now_s for seal in house.seen.values()} == {True}


async def test_another_replica_goes_on_from_what_was_sealed(house: House) -> None:
    other = SealClock(house.database)
    assert other.now_s(NOW_S - BACK_S) == NOW_S - BACK_S, "nothing is written down yet"
    house.clock.keep(NOW_S)
    other.keep(NOW_S - BACK_S)
    assert other.now_s(NOW_S - BACK_S) == NOW_S


async def test_a_change_that_took_a_second_is_told_by_a_manifest_after_what_the_stream_told(
    house: House,
) -> None:
    house.now_s += 1
    assert house.stream() == {Advance.NEWER}
    house.now_s -= 1
    house.change()  # it began before, and was done after
    house.now_s += 1
    assert await house.manifest() <= TAKEN
    assert house.stream() <= TAKEN


async def test_a_stream_that_is_not_told_yet_seals_no_older_version_after_a_newer_one(house: House) -> None:
    assert house.stream() == {Advance.NEWER}
    house.change()
    assert await house.manifest() <= TAKEN
    house.now_s += 2
    sealed = house.changes.seals(GROUP, house.now_s)  # of the last look, a version behind
    first = {one.event: one for one in (read_seal(each, house.keys.list_key.public_key()) for each in sealed)}
    assert first[demo.EVENT].time_s <= house.seen[demo.EVENT].time_s, "else a gate refuses what comes"
    assert await house.manifest() <= TAKEN


async def test_a_clock_that_is_behind_is_told(tmp_path: Path) -> None:
    before = Database.open(with_tables(tmp_path / "centre"))
    SealClock(before).keep(NOW_S + BACK_S)
    before.close()
    async with venue_at(tmp_path / "centre") as venue:
        box = await venue.enrolled(tmp_path / "box")
        async with (
            Caller(venue.url) as caller,
            GateClient(venue.url, box.gate, box.key) as gate,
        ):
            assert (await gate.ask("GET", "/api/v1/gate/manifest")).status == 200
            said = await caller.ask("GET", "/healthz")
            assert (said.status, said.json["status"]) == (200, "clock_behind")
            assert f"{BACK_S + RENEW_S} s behind" in said.json["detail"]
            metrics = (await caller.ask("GET", "/metrics")).body.decode()
            assert f"gatehouse_sync_clock_behind_seconds {BACK_S + RENEW_S}\n" in metrics
            venue.now_s += 2 * BACK_S
            assert (await caller.ask("GET", "/healthz")).json == {"status": "ok"}
