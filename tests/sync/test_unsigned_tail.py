"""What a crash left unsigned: the next epoch names where it ended, and under its head every gate hears of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.ids import Epoch, GateId
from edge.front.merged import UNSIGNED_S
from edge.store.disk import LocalDisk
from edge.store.log import LogStore
from edge.verify import verify_log
from sync.gates import feed, ingest
from sync.store.database import Database
from sync.wire.feed import Want
from sync.wire.messages import Chunk, Push
from sync.wire.replication import Accepted, Refused, Replica, Source, Stored, Why
from tests.edge.front.test_merged import Keeper
from tests.sync.logs import KEY, PUBLIC, EpochLog
from tests.sync.test_feed import GROUP, ONE, TWO, prepare, read_on, records

OWN = GateId(1)


def crashed(gate: GateId = ONE) -> EpochLog:
    """A run that ended with two records behind its last head."""
    log = EpochLog(Epoch(9), gate).begin().scans(3)
    log.sign()
    return log.scans(2)


def after(log: EpochLog, *, signed: bool = True, epoch: int = 5) -> EpochLog:
    """The run that follows on it."""
    following = EpochLog(Epoch(epoch), log.gate).begin(log)
    if signed:
        following.sign()
    return following


def replica() -> Replica:
    return Replica(ONE, KEY.public_key())


def stored_in(*logs: EpochLog) -> Stored:
    """Return what is stored where all of these logs are."""
    blobs = {log.epoch: log.blobs for log in logs}
    return lambda epoch, first, last: blobs[epoch][first - 1 : last]


def pruned(_epoch: Epoch, first: int, last: int) -> list[None]:
    """Nothing is stored any more."""
    return [None] * (last - first + 1)


def offer(to: Replica, chunk: Chunk, stored: Stored = pruned, source: Source = Source.CARRIER) -> object:
    return to.offer(chunk, stored, source)


def test_a_carrier_brings_an_unsigned_end_once_the_next_epoch_vouches_for_it() -> None:
    log = crashed()
    held, signed = replica(), log.chunk(1, len(log.blobs) - 2)
    answer = offer(held, log.chunk())
    assert isinstance(answer, Accepted)
    assert (len(answer.blobs), answer.refused) == (
        len(signed.blobs),
        Refused(log.epoch, len(log.blobs) - 1, Why.UNSIGNED),
    )
    assert held.ends([log.epoch], pruned) == {}
    offer(held, after(log).chunk())
    answer = offer(held, log.chunk(len(signed.blobs) + 1))
    assert isinstance(answer, Accepted)
    assert (answer.refused, len(answer.blobs)) == (None, 2)
    assert held.ends([log.epoch], pruned) == held.ends([Epoch(5)], pruned) == {log.epoch: len(log.blobs)}
    assert held.ends([Epoch(77)], pruned) == {}


@pytest.mark.parametrize("wrong", ["a later end", "no head", "another link"])
def test_nothing_else_vouches_for_an_unsigned_end(wrong: str) -> None:
    log, held = crashed(), replica()
    named = log
    if wrong == "a later end":
        named = log.copy(len(log.blobs)).scans(1)
    elif wrong == "another link":
        named = log.copy(len(log.blobs) - 1)
        named.scan(data=77)
    offer(held, after(named, signed=wrong != "no head").chunk())
    answer = offer(held, log.chunk())
    assert isinstance(answer, Accepted)
    assert answer.refused == Refused(log.epoch, len(log.blobs) - 1, Why.UNSIGNED)


@pytest.mark.parametrize("source", list(Source))
def test_of_an_end_that_a_set_back_card_lost_what_the_next_epoch_names_is_vouched_for(source: Source) -> None:
    """The last record was told to us and never came onto the card: the next epoch knows nothing of it."""
    log = crashed()
    named = len(log.blobs) - 1
    following, held, stored = after(log.copy(named)), replica(), stored_in(log)
    offer(held, following.chunk(), stored, source)
    answer = offer(held, log.chunk(), stored, source)
    assert isinstance(answer, Accepted)
    if source is Source.CARRIER:
        assert (len(answer.blobs), answer.refused) == (named, Refused(log.epoch, named + 1, Why.UNSIGNED))
    else:
        assert (len(answer.blobs), answer.refused) == (len(log.blobs), None)
    assert held.ends([log.epoch], stored) == held.ends([following.epoch], stored) == {log.epoch: named}


def test_of_a_run_without_a_head_what_the_next_epoch_names_passes_on_what_it_names_itself() -> None:
    log = crashed()
    short = after(log, signed=False, epoch=6).scans(2, head_every=9)
    following, held, stored = after(short.copy(3)), replica(), stored_in(log, short)
    for one in (log, short, following):
        offer(held, one.chunk(), stored, Source.GATE)
    assert held.ends([following.epoch], stored) == {log.epoch: len(log.blobs), short.epoch: 3}
    assert held.ends([following.epoch], pruned) == {}, "what is not stored proves nothing"


@pytest.mark.parametrize("named", ["another link", "before a head"])
def test_an_end_in_the_midst_of_what_is_held_is_vouched_for_by_its_link_alone(named: str) -> None:
    log, held = crashed(), replica()
    other = log.copy(len(log.blobs) - 2 if named == "another link" else 2)
    if named == "another link":
        other.scan(data=77)
    for one in (log, after(other)):
        offer(held, one.chunk(), stored_in(log), Source.GATE)
    assert held.ends([Epoch(5)], stored_in(log)) == {}


def test_the_centre_forwards_of_a_lost_end_what_the_next_epoch_names(
    database: Database, keeper: Keeper, tmp_path: Path
) -> None:
    prepare(database)
    log = crashed(TWO)
    left = log.copy(len(log.blobs) - 1)
    following = after(left)
    for one in (log, following):
        with database.writing() as connection:
            ingest.take(connection, TWO, PUBLIC.public_bytes_raw(), Push((one.chunk(),)), 1)
    chunks, cursor = read_on(database)
    assert records(chunks) == records([left.chunk(), following.chunk()])
    keeper.take(*chunks)
    assert keeper.held(log) == left.blobs
    assert not verify_log(tmp_path, {TWO: PUBLIC}).altered
    with database.writing() as connection:  # the same again is no news
        ingest.take(connection, TWO, PUBLIC.public_bytes_raw(), Push((following.chunk(),)), 2)
    assert read_on(database, cursor) == ([], cursor)


def test_a_run_too_short_for_a_head_passes_on_what_the_next_one_vouches_for(
    database: Database, keeper: Keeper, tmp_path: Path
) -> None:
    prepare(database)
    log = crashed(TWO)
    short = after(log, signed=False, epoch=6)
    following = after(short)
    logs = (log, short, following)
    for one in logs:
        with database.writing() as connection:
            taken = ingest.take(connection, TWO, PUBLIC.public_bytes_raw(), Push((one.chunk(),)), 1)
            assert taken.troubles == ()
    chunks, _ = read_on(database)
    assert records(chunks) == records([one.chunk() for one in logs])
    keeper.take(*chunks)
    assert [keeper.held(one) for one in logs] == [one.blobs for one in logs]
    assert keeper.merged.troubles == {}
    assert [row.epoch for row in keeper.store.epochs()] != [one.epoch for one in logs], "met in another order"
    assert not verify_log(tmp_path, {TWO: PUBLIC}).altered


@pytest.mark.parametrize("order", ["together", "one by one", "the end last"])
def test_the_centre_forwards_an_unsigned_end_behind_the_epoch_that_vouches_for_it(
    database: Database, order: str
) -> None:
    prepare(database)
    log = crashed()
    following = after(log)
    pushes = {
        "together": [[log.chunk(), following.chunk()]],
        "one by one": [[log.chunk()], [following.chunk()]],
        "the end last": [[log.chunk(1, 5), following.chunk()], [log.chunk(6)]],
    }[order]
    public = PUBLIC.public_bytes_raw()
    for push in pushes:
        with database.writing() as connection:
            assert ingest.take(connection, ONE, public, Push(tuple(push)), 1).troubles == ()
    chunks, cursor = read_on(database)
    assert records(chunks) == records([log.chunk(), following.chunk()])
    with database.writing() as connection:  # the same again is no news
        ingest.take(connection, ONE, public, Push((log.chunk(), following.chunk())), 2)
    assert read_on(database, cursor) == ([], cursor)
    with database.reading() as connection:
        (chunk,), _ = feed.wanted(connection, GROUP, [Want(ONE, log.epoch, len(log.blobs) - 1)])
    assert chunk.blobs[-1] == log.blobs[-1]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    store = LogStore.open(tmp_path, LocalDisk())
    yield Keeper(store, {TWO: PUBLIC.public_bytes_raw()})
    store.close()


def test_a_gate_takes_an_unsigned_end_in_whatever_order_a_feed_has_it(keeper: Keeper) -> None:
    log = crashed(TWO)
    following = after(log)
    slices = keeper.merged.take(b"c", [log.chunk(), following.chunk()])
    found = [(one.epoch, one.first_seq, len(one.blobs)) for one in slices if one.blobs]
    assert found == [(9, 1, len(log.blobs) - 2), (5, 1, len(following.blobs)), (9, len(log.blobs) - 1, 2)]
    assert keeper.merged.troubles == {}


def test_an_end_that_nothing_vouches_for_is_left_out_and_said_once_it_waits_for_long(keeper: Keeper) -> None:
    """Whoever comes back is offered logs whose next head is a second away: no page is yellow for that."""
    log = crashed(TWO)
    slices = keeper.merged.take(b"c", [log.chunk()])
    assert sum(len(one.blobs) for one in slices) == len(log.blobs) - 2
    keeper.now_s = UNSIGNED_S - 1
    assert keeper.merged.troubles == {}
    keeper.merged.take(b"c", [log.chunk()])  # asked for again, it waits no less
    keeper.now_s = UNSIGNED_S
    assert keeper.merged.troubles == {TWO: "unsigned"}
    keeper.merged.take(b"c", [after(log).chunk(), log.chunk()])
    assert keeper.merged.troubles == {}, "the head is there"


def test_an_end_that_is_signed_after_all_is_no_trouble_any_more(keeper: Keeper) -> None:
    log = crashed(TWO)
    keeper.merged.take(b"c", [log.chunk()])
    keeper.now_s = UNSIGNED_S
    following = after(log)
    keeper.merged.take(b"c", [following.chunk()])
    assert keeper.merged.troubles == {TWO: "unsigned"}  # the end itself did not come yet
    keeper.merged.take(b"c", [log.chunk()])
    assert keeper.merged.troubles == {}
