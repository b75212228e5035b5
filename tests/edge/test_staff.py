"""What a steward may do within an hour, counted from the log too."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.ids import Epoch, GateId
from admission.records import Extension, ExtensionRecord, Kind, Record, Trust
from edge.settings import StaffSettings
from edge.staff import ACTS_MAX, HOUR_S, SLICE_RECORDS, Act, StaffActs
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.log_schema import Batch, StoredRecord

GATE, OTHER = GateId(1), GateId(2)
NOW_US = 1_790_000_000_000_000
HOUR_US = int(HOUR_S * 1e6)


class Clock:
    """Monotonic seconds, as the test sets them."""

    s = 50_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def data(tmp_path: Path) -> Iterator[LogStore]:
    store = LogStore.open(tmp_path)
    yield store
    store.close()


def acts(
    epoch: int, seq: int, ages_s: list[float], steward: int, kind: Kind = Kind.OVERRIDE
) -> list[StoredRecord]:
    """Records of acts, each with its steward, from `seq` on."""
    made: list[StoredRecord] = []
    for age_s in ages_s:
        body = Record(kind, seq, NOW_US - int(age_s * 1e6), 0)
        staff = ExtensionRecord(Extension.STAFF, seq + 1, steward.to_bytes(4, "big") + b"why")
        for at, blob in ((seq, body.to_bytes()), (seq + 1, staff.to_bytes())):
            made.append(StoredRecord(GATE, Epoch(epoch), at, blob))
        seq += 2
    return made


def of_another_gate(records: list[StoredRecord]) -> list[StoredRecord]:
    return [StoredRecord(OTHER, one.epoch, one.seq, one.blob) for one in records]


async def test_an_hour_later_all_may_be_done_again() -> None:
    clock = Clock()
    staff = StaffActs(StaffSettings(overrides_per_hour=3, annuls_per_hour=1), clock)
    assert staff.refused(Act.OVERRIDE, 7, 4) == {"steward": "7", "done": 0, "most": 3}
    assert staff.refused(Act.OVERRIDE, 7, 3) is None
    staff.did(Act.OVERRIDE, 7, 2)
    clock.s += 10
    staff.did(Act.OVERRIDE, 7)
    assert staff.refused(Act.OVERRIDE, 7, 1) == {"steward": "7", "done": 3, "most": 3}
    assert staff.refused(Act.OVERRIDE, 8, 3) is None
    assert staff.refused(Act.ANNUL, 7, 1) is None
    clock.s += HOUR_S - 10
    assert staff.refused(Act.OVERRIDE, 7, 2) is None
    assert staff.refused(Act.OVERRIDE, 7, 3) is not None
    clock.s += 10
    assert staff.refused(Act.OVERRIDE, 7, 3) is None


async def test_many_numbers_together_have_a_limit_too() -> None:
    staff = StaffActs(StaffSettings(overrides_per_hour=1000), Clock())
    for steward in range(ACTS_MAX // 1000):
        staff.did(Act.OVERRIDE, steward, 1000)
    rest = ACTS_MAX % 1000
    assert staff.refused(Act.OVERRIDE, 99, rest) is None
    assert staff.refused(Act.OVERRIDE, 99, rest + 1) is not None


async def test_a_run_that_began_with_a_clock_of_years_ago_hides_none_of_the_one_before(
    tmp_path: Path, data: LogStore
) -> None:
    """A box without a battery starts in some year, and is set a moment later: its first records say that year."""
    began_us = NOW_US - 20_000_000
    fresh = [
        Record(Kind.RESTART, 1, 1_500_000_000_000_000, 0),
        Record(Kind.CLOCK_STEP, 2, began_us + 5_000_000, 5_000, trust=Trust.SYNCED),
    ]
    longer_ago = Record(Kind.PASSAGE, 1, NOW_US - 2 * HOUR_US, 0, trust=Trust.SYNCED)
    hidden = acts(4, 1, [5.0], 7)  # of a run whose end the log places hours ago: none of the last hour's
    held = [
        *hidden,
        StoredRecord(GATE, Epoch(5), 1, longer_ago.to_bytes()),
        *acts(6, 1, [60.0, 30.0], 7),
        *(StoredRecord(GATE, Epoch(7), one.seq, one.to_bytes()) for one in fresh),
    ]
    for token, record in enumerate(held, 1):
        data.append([Batch(token, (record,))])
    reader = LogReader.open(tmp_path)
    staff = StaffActs(StaffSettings(overrides_per_hour=3), Clock())
    await staff.recall(reader, GATE, NOW_US)
    assert staff.refused(Act.OVERRIDE, 7, 2) == {"steward": "7", "done": 2, "most": 3}
    reader.close()


async def test_the_log_is_counted_once_and_only_the_last_hour(tmp_path: Path, data: LogStore) -> None:
    long_ago = acts(5, 1, [HOUR_S + 1] * 3, 7)
    earlier = acts(5, 7, [3599.0, 60.0], 7)
    # More than one slice of what is no act, so that several are read.
    between = [
        StoredRecord(GATE, Epoch(6), seq, Record(Kind.PASSAGE, seq, NOW_US - 30_000_000, 0).to_bytes())
        for seq in range(1, 3 * SLICE_RECORDS)
    ]
    now = acts(6, 3 * SLICE_RECORDS, [1.0], 7) + acts(6, 3 * SLICE_RECORDS + 2, [0.5], 7, Kind.ANNUL)
    elsewhere = of_another_gate(acts(9, 1, [1.0], 7))
    for token, records in enumerate((long_ago + earlier, between + now, elsewhere), 1):
        data.append([Batch(token, tuple(records))])
    reader = LogReader.open(tmp_path)
    clock = Clock()
    staff = StaffActs(StaffSettings(overrides_per_hour=3, annuls_per_hour=2), clock)
    await asyncio.gather(*(staff.recall(reader, GATE, NOW_US) for _ in range(3)))
    assert staff.refused(Act.OVERRIDE, 7, 1) == {"steward": "7", "done": 3, "most": 3}
    assert staff.refused(Act.ANNUL, 7, 2) == {"steward": "7", "done": 1, "most": 2}
    assert staff.refused(Act.OVERRIDE, 8, 3) is None
    clock.s += 2  # the one of 3,599 s ago is an hour old
    assert staff.refused(Act.OVERRIDE, 7, 1) is None
    assert staff.refused(Act.OVERRIDE, 7, 2) is not None
    reader.close()
