"""A damaged log: what it held of other gates is read again where some of it is gone, what is its own stays."""

from pathlib import Path

import apsw
import pytest

from admission.ids import Epoch
from admission.records import Direction, Kind
from edge.memory import refold
from edge.store.log import LogStore
from edge.store.log_reader import log_path
from edge.store.log_schema import FORMAT, RUN_KEY, Batch, StoredRecord
from tests.edge.crash_points import QUIET
from tests.edge.front.test_merged import ONE, OWN, Keeper, body, log_of

RUN = Epoch(3)
LAST = 610


def take_away(path: Path, first: int, last: int) -> None:
    """Leave the log as damage does: records of another gate and what was derived of them, which lay in one place of the card."""
    connection = apsw.Connection(str(path))
    for table in ("record", "presence"):
        connection.execute(f"DELETE FROM {table} WHERE gate = ? AND seq BETWEEN ? AND ?", (ONE, first, last))
    connection.execute(f"PRAGMA user_version={FORMAT + 1}").fetchall()
    connection.close()


@pytest.mark.parametrize(("first", "last"), [(1, 60), (270, 330), (560, LAST), (1, LAST)])
def test_what_damage_took_of_another_gates_log_is_read_again(tmp_path: Path, first: int, last: int) -> None:
    log = log_of(ONE, 7)
    for number in range(1, 301):
        seq = body(log, Kind.SCAN, Direction.ENTRY)
        body(log, Kind.PASSAGE, Direction.ENTRY, ref=seq)
        if number % 100 == 0:
            log.sign()
    store = LogStore.open(tmp_path, QUIET)
    own = (StoredRecord(OWN, RUN, 1, b"first"), StoredRecord(OWN, RUN, 3, b"third"))
    store.append([Batch(1, own, meta=((RUN_KEY, RUN.to_bytes(8, "big")),))])
    keeper = Keeper(store)
    keeper.take(log.chunk(), cursor=b"there")
    assert keeper.held(log) == log.blobs
    whole = set(store.all_presence())
    store.close()
    take_away(log_path(tmp_path), first, last)
    keeper = Keeper(LogStore.open(tmp_path, QUIET))
    refold(keeper.store)
    assert set(keeper.store.all_presence()) < whole
    assert keeper.merged.cursor == b"", "nothing of the feed is believed to be here"
    keeper.take(log.chunk(), cursor=b"there")
    assert keeper.held(log) == log.blobs
    assert set(keeper.store.all_presence()) == whole
    # Nobody else need have what is our own: it stays also behind a gap.
    assert [one.blob for one in keeper.store.records(OWN, RUN, 0, 10)] == [b"first", b"third"]
    keeper.store.close()
