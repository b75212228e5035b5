"""The way through: a box joins, its list comes down, its records go up, over real HTTP and with the real stores."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from admission.entitlements import Standing
from admission.ids import Epoch, GateId, TicketId
from edge import lists
from edge.enrolment import Enrolment, load, save
from edge.front.centre import Centre
from edge.front.own_log import OwnLog
from edge.front.snapshot import SECRETS_FILE, SNAPSHOT_FILE, tag_of_file
from edge.held_roster import load_roster
from edge.link import Done, Health
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, ListVersion
from sync import demo
from sync.keys import Role, new_keys, roll
from sync.tickets import changes, rows
from sync.wire.seals import SealRefused, read_seal
from tests.sync.box import Box
from tests.sync.logs import KEY, EpochLog
from tests.sync.venue import NOW_S, Venue, venue_at


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


@pytest.fixture
async def box(venue: Venue, tmp_path: Path) -> AsyncIterator[Box]:
    made = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
    yield made
    made.store.close()


def held(venue: Venue) -> dict[tuple[int, int], bytes]:
    with venue.centre.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT epoch, seq, blob FROM record").all()
    return {(epoch, seq): blob for epoch, seq, blob in found}


def of(*logs: EpochLog) -> dict[tuple[int, int], bytes]:
    return {(log.epoch, seq): blob for log in logs for seq, blob in enumerate(log.blobs, start=1)}


def log_of(box: Box, epoch: int = 77, scans: int = 30) -> EpochLog:
    return EpochLog(Epoch(epoch), key=box.enrolment.key).begin().scans(scans)


def cancel(venue: Venue, ticket: int) -> None:
    with changes.change(venue.centre.database, [demo.EVENT], NOW_S + 1) as connection:
        rows.set_standing(connection, demo.EVENT, TicketId(ticket), Standing.CANCELLED)


def version_of(box: Box) -> int:
    store = ListStore.open(box.data / LIST_FILE)
    try:
        return store.head.events[0].version
    finally:
        store.close()


async def test_a_box_joins_is_told_its_list_and_is_heard(venue: Venue, box: Box) -> None:
    assert load(box.data) == box.enrolment
    assert (box.enrolment.gate, box.enrolment.name) == (demo.MAIN_GATE, demo.MAIN_GATE_NAME)
    log = log_of(box)
    box.append(log)
    async with box.linked():
        await box.until(lambda: box.lists and box.is_drained() and any(one.centre_time_s for one in box.said))
    assert held(venue) == of(log)
    assert box.lists == [box.data / LIST_FILE]
    store = ListStore.open(box.data / LIST_FILE)
    store.check()
    assert store.row_count == 28
    assert store.head.gates[0].public == box.enrolment.public
    store.close()
    assert {one.centre_time_s for one in box.said} == {0, NOW_S}
    assert box.said[-1].health is Health.OK


async def test_what_is_appended_later_follows_and_a_new_epoch_too(venue: Venue, box: Box) -> None:
    log = log_of(box)
    box.append(log)
    async with box.linked() as uplink:
        await box.until(box.is_drained)
        first = len(log.blobs) + 1
        log.scans(25)
        next_log = EpochLog(Epoch(5), key=log.key).begin(log).scans(10)
        box.said.clear()
        box.append(log, first)
        uplink.appended(box.append(next_log))
        await box.until(lambda: len(held(venue)) == len(log.blobs) + len(next_log.blobs))
    assert held(venue) == of(log, next_log)


async def test_a_centre_that_dies_between_two_pushes_gets_each_record_once(venue: Venue, box: Box) -> None:
    log = log_of(box, scans=200)
    box.append(log)
    async with box.linked() as uplink:
        await box.until(box.is_drained)
        await venue.stop()
        first = len(log.blobs) + 1
        log.scans(300)
        uplink.appended(box.append(log, first))
        waiting = len(log.blobs) - first + 1
        await box.until(lambda: box.is_told("uplink.cut_off") and box.said[-1].args.get("queued") == waiting)
        assert box.said[-1].health is Health.DEGRADED
        meanwhile = len(log.blobs) + 1
        log.scans(40)
        uplink.appended(box.append(log, meanwhile))
        await box.until(lambda: box.said[-1].args.get("scans") == 340)
        assert box.said[-1].code == "uplink.cut_off"
        assert box.said[-1].args["queued"] == len(log.blobs) - first + 1, "also what came while cut off"
        await venue.start()
        await box.until(box.is_drained)
    assert held(venue) == of(log)


async def test_an_answer_that_is_lost_is_asked_for_again(venue: Venue, box: Box) -> None:
    log = log_of(box, scans=100)
    box.append(log)
    async with box.linked():
        await box.until(lambda: held(venue))  # taken, and the uplink may not have heard so
    async with box.linked():
        box.said.clear()
        await box.until(box.is_drained)
    assert held(venue) == of(log)


async def test_36_000_queued_records_drain(venue: Venue, box: Box, record_property) -> None:  # type: ignore[no-untyped-def]  # pytest's own fixture has no public type
    log = EpochLog(Epoch(9), key=box.enrolment.key).begin().scans(36_000, head_every=256)
    box.append(log)
    began = time.monotonic()
    async with box.linked():
        await box.until(lambda: len(held_seqs(venue)) == 1 and held_seqs(venue)[0] == len(log.blobs))
    record_property("drain_36k_s", time.monotonic() - began)
    print(f"36,000 records drained in {time.monotonic() - began:.2f} s")
    assert held(venue) == of(log)


def held_seqs(venue: Venue) -> list[int]:
    with venue.centre.database.reading() as connection:
        return [seq for (seq,) in connection.exec_driver_sql("SELECT seq FROM log_epoch")]


# --- lists ---------------------------------------------------------------------------------------------------------


async def test_a_change_comes_down_alone_and_the_list_only_once(venue: Venue, box: Box) -> None:
    async with box.linked():
        await box.until(lambda: box.lists)
        cancel(venue, 1)
        await box.until(lambda: box.changes)
    async with box.linked():
        box.said.clear()
        await box.until(lambda: box.is_told("uplink.ok"))
    assert len(box.lists) == 1
    assert version_of(box) == 2


async def test_a_damaged_list_file_is_fetched_anew(venue: Venue, box: Box) -> None:
    async with box.linked():
        await box.until(lambda: box.lists)
    path = box.data / LIST_FILE
    path.write_bytes(path.read_bytes()[:5000])
    assert tag_of_file(path) == ""
    async with box.linked():
        await box.until(lambda: len(box.lists) == 2)
    assert version_of(box) == 2


async def test_a_list_older_than_one_seen_is_refused_and_the_next_newer_one_taken(
    venue: Venue, box: Box
) -> None:
    seen = ListVersion(demo.EVENT, 1, 4, NOW_S, bytes(16))
    box.store.append([Batch(1, list_versions=(seen,))])
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.list_refused"))
        assert not (box.data / LIST_FILE).exists()
        assert not (box.data / SNAPSHOT_FILE).exists()
        cancel(venue, 1)
        cancel(venue, 2)
        await box.until(lambda: box.lists and box.is_told("uplink.ok"))
    assert version_of(box) == 4


async def test_a_list_by_another_key_is_refused(venue: Venue, box: Box) -> None:
    stranger = new_keys().list_key.public_key().public_bytes_raw()
    box.enrolment = load(box.data)
    save(box.data, replace(box.enrolment, list_public=stranger))
    box.enrolment = load(box.data)
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.list_refused"))
        assert "not signed" in str(box.said[-1].args["why"])
        await box.until(lambda: any(one.centre_time_s for one in box.said))
    assert box.lists == []


async def test_secrets_that_are_for_another_box_open_nothing(venue: Venue, box: Box) -> None:
    save(box.data, replace(load(box.data), sealing_key=bytes(range(32))))
    box.enrolment = load(box.data)
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.list_refused"))
        assert "not sealed to this gate" in str(box.said[-1].args["why"])
    assert not (box.data / SNAPSHOT_FILE).exists()
    assert box.lists == []


async def test_a_list_that_the_lane_refuses_is_said_and_the_next_one_taken(venue: Venue, box: Box) -> None:
    box.answer = Done(0, ok=False, code="list.corrupt")
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.list_refused"))
        assert box.said[-1].args == {"why": "list.corrupt"}
        box.answer = Done(0, ok=True)
        cancel(venue, 1)
        await box.until(lambda: box.is_told("uplink.ok") and len(box.lists) == 2)
    assert version_of(box) == 3


async def test_a_list_that_the_lane_cannot_take_now_is_offered_again(venue: Venue, box: Box) -> None:
    box.away = True
    async with box.linked():
        await box.until(lambda: len(box.lists) == 1)
    assert not box.away


async def test_a_group_that_is_over_leaves_neither_list_nor_secrets(venue: Venue, box: Box) -> None:
    async with box.linked():
        await box.until(lambda: box.lists)
        assert (box.data / SNAPSHOT_FILE).exists()
        assert (box.data / SECRETS_FILE).stat().st_mode & 0o777 == 0o600
        with changes.change(venue.centre.database, [demo.EVENT, demo.OTHER_EVENT], NOW_S + 1) as connection:
            connection.exec_driver_sql("UPDATE event SET state = 'closed'")
        await box.until(lambda: len(box.lists) == 2)
    assert box.lists[-1] == box.data / LIST_FILE
    for name in (LIST_FILE, SNAPSHOT_FILE, SECRETS_FILE):
        assert not (box.data / name).exists()


async def test_a_group_that_is_over_again_leaves_nothing_either(venue: Venue, box: Box) -> None:
    """A box in its cupboard runs on while the next event of the group comes and goes."""

    def state(word: str, at_s: int) -> None:
        with changes.change(venue.centre.database, [demo.EVENT, demo.OTHER_EVENT], at_s) as connection:
            connection.exec_driver_sql(f"UPDATE event SET state = '{word}'")

    with venue.centre.database.reading() as connection:
        (before,) = {row[0] for row in connection.exec_driver_sql("SELECT state FROM event")}
    async with box.linked():
        await box.until(lambda: box.lists)
        for number in (1, 3):
            state("closed", NOW_S + number)
            await box.until(lambda: not any((box.data / name).exists() for name in FORGOTTEN))
            state(before, NOW_S + number + 1)
            await box.until(lambda: all((box.data / name).exists() for name in FORGOTTEN))


FORGOTTEN = (LIST_FILE, SNAPSHOT_FILE, SECRETS_FILE)


# --- keys that are rolled ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.TICKETS])
async def test_a_box_follows_rolled_keys_and_no_others(venue: Venue, box: Box, role: Role) -> None:
    before = box.enrolment
    async with box.linked():
        await box.until(lambda: box.lists)
    await venue.stop()
    rolled = roll(venue.data, role)
    await venue.start()
    cancel(venue, 1)
    async with box.linked():
        await box.until(lambda: load(box.data).keys_number == 2)
    box.enrolment = load(box.data)
    assert (box.enrolment.centre_public == before.centre_public) is (role is not Role.IDENTITY)
    assert (box.enrolment.list_public == before.list_public) is (role is not Role.LISTS)
    assert box.enrolment.list_public == rolled.list_key.public_key().public_bytes_raw()
    (box.data / LIST_FILE).unlink()
    (box.data / SNAPSHOT_FILE).unlink()  # else the list is built again from it
    async with box.linked():
        await box.until(lambda: len(box.lists) == 2 and box.is_told("uplink.ok"))
        await box.until(lambda: load_roster(box.data, box.enrolment))
    assert version_of(box) == 3


async def test_a_box_that_was_told_nothing_believes_no_rolled_list_key(venue: Venue, box: Box) -> None:
    old = box.enrolment
    await venue.stop()
    roll(venue.data, Role.LISTS)
    await venue.start()
    async with Centre(old) as centre:
        said = await centre.manifest("", fresh=True)
    assert said is not None
    with pytest.raises(SealRefused):
        read_seal(said[1].seals[0], old.list_key)


def test_the_builder_and_the_lane_mean_the_same_file() -> None:
    assert LIST_FILE == lists.FILE


# --- refusals ------------------------------------------------------------------------------------------------------


async def test_a_box_that_was_replaced_is_told_and_still_gets_the_time(
    venue: Venue, box: Box, tmp_path: Path
) -> None:
    await venue.enrolled(tmp_path / "new")
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.refused") and any(one.centre_time_s for one in box.said))
    assert box.said[-1].args == {"why": "unknown_gate"}
    assert {one.centre_time_s for one in box.said} == {0, NOW_S}


async def test_a_cloned_card_is_told(venue: Venue, box: Box) -> None:
    log = log_of(box)
    twin = log.copy(12).scans(30, data=9)
    box.append(log)
    async with box.linked():
        await box.until(box.is_drained)
    other = Box(box.data.parent / "twin", box.enrolment)
    other.append(twin)
    async with other.linked():
        await other.until(lambda: other.is_told("uplink.fork"))
        await other.until(lambda: forks(venue) == twin.blobs[12:])
        assert other.said[-1].args == {"why": "fork"}
    other.store.close()
    assert held(venue) == of(log)


def forks(venue: Venue) -> list[bytes]:
    with venue.centre.database.reading() as connection:
        return [blob for (blob,) in connection.exec_driver_sql("SELECT blob FROM record_fork ORDER BY seq")]


async def test_a_restored_card_is_told_and_its_new_epoch_goes_up(venue: Venue, box: Box) -> None:
    log = log_of(box)
    box.append(log)
    async with box.linked():
        await box.until(box.is_drained)
    other = Box(box.data.parent / "restored", box.enrolment)
    older = log.copy(12)
    later = EpochLog(Epoch(78), key=log.key).begin(older).scans(5)
    other.append(older)
    other.append(later)
    async with other.linked():
        await other.until(lambda: other.is_told("uplink.rewind"))
        await other.until(lambda: held(venue) == of(log, later))
    other.store.close()


async def test_what_is_no_centre_is_a_cut(venue: Venue, box: Box) -> None:
    box.enrolment = replace(box.enrolment, centre_url=venue.url + "/elsewhere")
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.refused"))
    box.enrolment = replace(box.enrolment, centre_url="http://127.0.0.1:9")
    async with box.linked():
        await box.until(lambda: box.is_told("uplink.cut_off"))


def test_a_link_is_found_at_any_place_of_a_log(box_log: tuple[EpochLog, OwnLog]) -> None:
    log, own = box_log
    for seq in (0, 1, 2, 9, 10, 11, 255, 1500, 2999, len(log.blobs)):
        assert own.link_at(log.epoch, seq) == log.links[seq]
    assert own.link_at(log.epoch, len(log.blobs) + 1) is None
    assert own.link_at(Epoch(1), 0) is None


@pytest.fixture
def box_log(tmp_path: Path) -> tuple[EpochLog, OwnLog]:
    made = Enrolment(
        gate=GateId(1), name="", group=1, centre_url="", centre_public=b"", list_public=b"", time_public=b"",
        signing_key=KEY.private_bytes_raw(), sealing_key=b"",
    )  # fmt: skip
    box = Box(tmp_path / "box", made)
    log = EpochLog(Epoch(2**64 - 1)).begin().scans(3000, head_every=256)
    box.append(log)
    box.store.close()
    own = OwnLog(LogReader.open(tmp_path / "box"), GateId(1))
    own.look()
    return log, own


async def test_sync_now_ends_every_pause_once(venue: Venue, box: Box) -> None:
    box.append(log_of(box, scans=20))
    async with box.linked() as uplink:
        await box.until(box.is_drained)
        await box.until(lambda: any(one.centre_time_s for one in box.said))
        box.said.clear()
        uplink.sync_now()
        await box.until(lambda: any(one.centre_time_s for one in box.said))
        box.said.clear()
        uplink.sync_now()
        assert not uplink._loops.of("time").is_set(), "who presses again at once asks the centre no oftener"
    assert venue is not None
