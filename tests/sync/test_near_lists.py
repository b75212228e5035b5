"""Lists between neighbours: whoever lacks one has it from who is near, as the centre signed it, and no older one."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge.enrolment import Enrolment, load
from edge.front.peers.knock import knock_of
from edge.front.snapshot import ANNOUNCED_FILE, SECRETS_FILE, SNAPSHOT_FILE
from edge.held_roster import ROSTER_FILE
from edge.store.list import LIST_FILE
from sync.keys import Role, roll
from sync.wire.channel import Self
from sync.wire.peer_lists import SEAL, GivePart, Part
from sync.wire.peers import Holds, Paper
from sync.wire.snapshots import read_announced
from tests.edge.front.peers.hostile import Hostile, knocking
from tests.edge.front.slow_link import EDGE_BYTES_S, SlowLink, slow_link
from tests.sync.box import Box
from tests.sync.gates import SECOND_NAME, add_second_gate
from tests.sync.near import Site, site
from tests.sync.test_way_through import cancel, version_of
from tests.sync.venue import Venue

HEALED_S = 30.0
"""A list that cannot be read is there again within so long (issue 4, point 5)."""


@asynccontextmanager
async def two(venue: Venue, folder: Path) -> AsyncIterator[tuple[Site, Site, SlowLink]]:
    """Two boxes that talk; the second one's link to the centre goes through a modem."""
    add_second_gate(venue)
    async with AsyncExitStack() as stack:
        modem = await stack.enter_async_context(slow_link(int(venue.url.rsplit(":", 1)[1])))
        first = Box(folder / "1", await venue.enrolled(folder / "1"))
        second = Box(folder / "2", through(await venue.enrolled(folder / "2", SECOND_NAME), modem))
        for box in (first, second):
            stack.callback(box.store.close)
        one = await stack.enter_async_context(site(first))
        await first.until(lambda: first.lists and (first.data / ANNOUNCED_FILE).exists())
        other = await stack.enter_async_context(site(second, await one.listens()))
        yield one, other, modem


def through(enrolment: Enrolment, modem: SlowLink) -> Enrolment:
    """Reach the centre through a modem."""
    return replace(enrolment, centre_url=f"http://127.0.0.1:{modem.port}")


def damage(box: Box) -> None:
    """Nothing of the list on the card can be read."""
    for name in (LIST_FILE, SNAPSHOT_FILE):
        (box.data / name).write_bytes(b"\0" * 5000)


async def test_a_list_that_cannot_be_read_comes_from_a_neighbour_while_the_centre_is_away(
    venue: Venue, tmp_path: Path
) -> None:
    async with two(venue, tmp_path) as (one, other, _modem):
        await other.box.until(lambda: other.box.lists)
        await other.meets()
        await venue.stop()
        damage(other.box)
        other.box.lists.clear()
        began_s = time.monotonic()
        other.uplink.list_lost()
        await other.box.until(lambda: other.box.lists)
        assert time.monotonic() - began_s < HEALED_S
        assert version_of(other.box) == version_of(one.box)
        key, group = other.box.enrolment.list_key, other.box.enrolment.group
        announced = read_announced((other.box.data / ANNOUNCED_FILE).read_bytes(), key, group)
        assert announced.published.size == (other.box.data / SNAPSHOT_FILE).stat().st_size
        await venue.start()


async def test_what_the_centre_tells_one_the_other_hears_whose_modem_is_dead(
    venue: Venue, tmp_path: Path
) -> None:
    async with two(venue, tmp_path) as (one, other, modem):
        await other.box.until(lambda: other.box.lists and other.uplink.is_up)
        await other.meets()
        modem.refuses = True
        modem.cut()
        await other.box.until(lambda: not other.uplink.is_up)
        await one.box.until(lambda: not one.uplink.near.gates.get(other.box.enrolment.gate, True))
        cancel(venue, 1)
        await other.box.until(lambda: other.box.changes)
        assert not other.uplink.is_up, "whoever hears by a neighbour is not online"
        asked = other.box.changes[-1]
        assert [row.ticket.id for row in asked.rows] == [1]


async def test_who_was_away_is_led_on_by_a_neighbour_from_where_it_was(venue: Venue, tmp_path: Path) -> None:
    async with two(venue, tmp_path) as (one, other, modem):
        await other.box.until(lambda: other.box.lists)
        await other.meets()
        third = Box(tmp_path / "3", other.box.enrolment)
        for name in (LIST_FILE, SNAPSHOT_FILE, SECRETS_FILE, ROSTER_FILE):
            shutil.copy(other.box.data / name, third.data / name)
        modem.refuses = True
        modem.cut()
        for ticket in (1, 2, 3):
            cancel(venue, ticket)
        await one.box.until(lambda: {1, 2, 3} <= cancelled(one.box))
        async with site(third, await one.listens()) as back:
            await back.meets()
            await third.until(lambda: {1, 2, 3} <= cancelled(third))
            assert not back.uplink.is_up
        third.store.close()


def cancelled(box: Box) -> set[int]:
    """The tickets that the lane was told changes of."""
    return {row.ticket.id for one in box.changes for row in one.rows}


async def test_an_older_list_than_one_seen_is_not_taken_from_a_neighbour(
    venue: Venue, tmp_path: Path
) -> None:
    """Rollback: the neighbour has, and honestly announces, what the centre published before."""
    add_second_gate(venue)
    first = Box(tmp_path / "1", await venue.enrolled(tmp_path / "1"))
    second = Box(tmp_path / "2", await venue.enrolled(tmp_path / "2", SECOND_NAME))
    async with site(first) as one:
        await first.until(lambda: first.lists and (first.data / ANNOUNCED_FILE).exists())
        for ticket in range(1, 4):
            cancel(venue, ticket)
        async with site(second) as _:
            await second.until(lambda: second.lists and (second.data / ROSTER_FILE).exists())
        assert version_of(second) > version_of(first)
        await venue.stop()
        keep = tmp_path / "keep"
        shutil.copy(second.data / LIST_FILE, keep)
        async with site(second, await one.listens()) as other:
            await other.meets()
            await second.until(other.uplink.near_lists.offers)
            second.lists.clear()
            (second.data / SNAPSHOT_FILE).unlink()
            other.uplink.list_lost()
            await second.until(lambda: second.said and second.said[-1].code == "uplink.cut_off")
            assert (second.data / LIST_FILE).read_bytes() == keep.read_bytes(), "ours stays"
            assert not second.lists
        await venue.start()
    first.store.close()
    second.store.close()


async def test_a_box_without_a_list_takes_it_from_a_neighbour_before_the_slow_link_gave_it(
    venue: Venue, tmp_path: Path
) -> None:
    """What is sealed to it alone comes over 2G, and then the radio is gone; the list comes over the LAN."""
    add_second_gate(venue)
    async with slow_link(int(venue.url.rsplit(":", 1)[1])) as modem:
        first = Box(tmp_path / "1", await venue.enrolled(tmp_path / "1"))
        second = Box(tmp_path / "2", through(await venue.enrolled(tmp_path / "2", SECOND_NAME), modem))
        async with site(first) as one:
            await first.until(
                lambda: (first.data / ANNOUNCED_FILE).exists() and (first.data / ROSTER_FILE).exists()
            )
            shutil.copy(first.data / ROSTER_FILE, second.data / ROSTER_FILE)
            modem.bytes_s = EDGE_BYTES_S
            async with site(second, await one.listens()) as other:
                await second.until((second.data / SECRETS_FILE).exists)
                modem.half_open()
                modem.swallows = True
                assert not second.lists
                await other.meets()
                await second.until(lambda: second.lists)
                assert (second.data / SNAPSHOT_FILE).read_bytes() == (first.data / SNAPSHOT_FILE).read_bytes()
        first.store.close()
        second.store.close()


async def test_new_keys_of_the_venue_come_by_a_neighbour_while_the_modem_is_dead(
    venue: Venue, tmp_path: Path
) -> None:
    """Else all that the centre tells from then on could be read by nobody whose link is down."""
    add_second_gate(venue)
    async with slow_link(int(venue.url.rsplit(":", 1)[1])) as modem:
        first = Box(tmp_path / "1", await venue.enrolled(tmp_path / "1"))
        second = Box(tmp_path / "2", through(await venue.enrolled(tmp_path / "2", SECOND_NAME), modem))
        async with first.linked():
            await first.until(lambda: first.lists and (first.data / ROSTER_FILE).exists())
        async with site(second) as other:
            await second.until(lambda: second.lists and (second.data / ROSTER_FILE).exists())
            modem.refuses = True
            modem.cut()
            await second.until(lambda: not other.uplink.is_up)
            rolled = roll(venue.data, Role.LISTS)
            async with first.linked():
                await first.until(lambda: load(first.data).keys_number == rolled.number)
            assert load(second.data).keys_number < rolled.number
            first.enrolment = load(first.data)
            async with site(first, await other.listens()):
                await second.until(lambda: load(second.data).keys_number == rolled.number)
        assert load(second.data).list_public == rolled.list_key.public_key().public_bytes_raw()
        first.store.close()
        second.store.close()


async def test_a_neighbour_that_goes_on_offering_what_is_old_makes_nothing_older_and_nothing_younger(
    venue: Venue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Freeze: what it says was signed by the centre, once; the gate stays where it is, and its list's age goes on."""
    async with two(venue, tmp_path) as (one, other, modem):
        await other.box.until(lambda: other.box.lists and other.uplink.is_up)
        await other.meets()
        before = one.uplink.near_lists.says()
        cancel(venue, 1)
        await one.box.until(lambda: 1 in cancelled(one.box))
        old = [
            *one.uplink.near_lists.missing(replace(before, settings=b"")),
            (SEAL, one.uplink._news.seals[0]),
        ]
        cancel(venue, 2)
        await other.box.until(lambda: {1, 2} <= cancelled(other.box))
        modem.refuses = True
        modem.cut()
        await other.box.until(lambda: not other.uplink.is_up)
        newest, told = other.uplink.near_lists.says(), len(other.box.changes)
        seals, since_s = other.uplink._news.seals, time.monotonic()
        ages = [one_.list_age_s for one_ in other.box.said if one_.list_age_s is not None]
        caplog.clear()  # the centre's own seals may cross at the turn of a second
        async with liar(one, other) as hostile:
            hostile.begins()
            for _ in range(20):
                hostile.say(before, *(Paper(kind, body) for kind, body in old))
            hostile.say(GivePart("0" * 64, 0))
            await hostile.hear(Part)  # all of it was heard
        assert (other.uplink.near_lists.says().places, other.uplink._news.seals) == (newest.places, seals)
        assert len(other.box.changes) == told, "the lane is not asked"
        age_s = other.uplink._tile._list_age_s()
        assert age_s is not None
        assert age_s >= ages[-1] + int(time.monotonic() - since_s), "what is old proves nothing of now"
        assert not other.uplink.is_up
    assert not [one for one in caplog.records if "contradicts" in one.message], "a neighbour may lag behind"


@asynccontextmanager
async def liar(one: Site, other: Site) -> AsyncIterator[Hostile]:
    """Somebody with one box's keys at the other."""
    own, known = one.box.enrolment, other.box.enrolment
    knock = knock_of(one.box.data, own)
    assert knock is not None
    said = Self(own.group, own.gate, own.key, knock, {known.gate: known.public}.get)
    while True:
        with suppress(ConnectionError):  # a moment ago the two met: of two conversations at once one stays
            async with knocking(other, said) as hostile:
                await hostile.hear(Holds)
                yield hostile
            return
        await asyncio.sleep(0.1)
