"""DEVICE records: their bytes, what is a change, and the ration that a flapping cable meets."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.ids import LaneId, ReaderId
from admission.lane import Write
from admission.records import (
    DeviceChange,
    DeviceKind,
    Extension,
    Flag,
    Kind,
    MalformedRecord,
    Record,
    device_data,
    device_of,
)
from edge.device_log import RATION_MS, WRITTEN_MAX, Device, DeviceLog
from edge.journal import Stamp
from edge.link import Health
from edge.supervise import DeviceState

SCANNER = Device(DeviceKind.READER, 4, lane=2)
BOARD = Device(DeviceKind.RELAY, 1, name="door")
OK, GONE = DeviceState(Health.OK, "device.ok", "/dev/x"), DeviceState(Health.BAD, "device.gone")
OPENING = DeviceState(Health.DEGRADED, "device.opening")


@dataclass
class Box:
    """A device log with a clock that stands, and what it wrote."""

    now_ms: int = 1000
    written: list[tuple[Write, Stamp]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = DeviceLog(self._append, lambda: self.now_ms)

    def _append(self, writes: tuple[Write, ...], stamp: Stamp) -> None:
        self.written += [(write, stamp) for write in writes]

    def said(self) -> list[tuple[DeviceChange, int]]:
        """Change and count of each record."""
        return [device_of(write.data)[1:] for write, _ in self.written]


def test_the_bytes_of_a_device_record() -> None:
    data = device_data(DeviceKind.INPUTS, DeviceChange.GONE, 259)
    assert data == 0x03020103
    blob = Record(Kind.DEVICE, 1, 0, 0, data=data).to_bytes()
    assert blob[52:] == bytes.fromhex("03020103")
    assert device_of(data) == (DeviceKind.INPUTS, DeviceChange.GONE, 259)
    assert device_data(DeviceKind.READER, DeviceChange.OPENED, 70_000) == 0x0101FFFF


@pytest.mark.parametrize("data", [0, 0x00010000, 0x01000000, 0x04010000, 0x01060000, 0xFF010000])
def test_other_data_is_of_no_device(data: int) -> None:
    with pytest.raises(MalformedRecord):
        device_of(data)


def test_a_device_comes_and_goes_once_each() -> None:
    box = Box()
    for state in (OPENING, OK, OK, GONE, GONE, GONE, OPENING, OK):
        box.log.changed(SCANNER, state)
    assert box.said() == [(DeviceChange.OPENED, 0), (DeviceChange.GONE, 0), (DeviceChange.OPENED, 0)]
    assert box.written[0] == (
        Write(0, Kind.DEVICE, reader=ReaderId(4), data=device_data(DeviceKind.READER, DeviceChange.OPENED)),
        Stamp(lane=LaneId(2)),
    )


def test_a_board_is_known_by_its_place_and_name() -> None:
    box = Box()
    box.log.changed(BOARD, GONE)
    ((write, stamp),) = box.written
    assert (write.reader, write.extensions, stamp) == (1, ((Extension.DETAIL, b"door"),), Stamp())


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("device.gone", DeviceChange.GONE),
        ("device.misbehaved", DeviceChange.MISBEHAVED),
        ("device.misconfigured", DeviceChange.MISCONFIGURED),
        ("device.defect", DeviceChange.DEFECT),
    ],
)
def test_each_way_to_fail_is_told(code: str, change: DeviceChange) -> None:
    box = Box()
    box.log.changed(SCANNER, DeviceState(Health.BAD, code))
    assert box.said() == [(change, 0)]


def test_a_flapping_cable_is_counted_and_told_later() -> None:
    box = Box()
    for number in range(100):
        box.log.changed(SCANNER, GONE if number % 2 else OK)
    assert len(box.written) == WRITTEN_MAX
    box.log.changed(BOARD, OK)
    assert len(box.written) == WRITTEN_MAX + 1, "each device has its own ration"
    box.log.tick()
    box.now_ms += RATION_MS - 1
    box.log.tick()
    assert len(box.written) == WRITTEN_MAX + 1
    box.now_ms += 1
    box.log.tick()
    box.log.tick()
    assert box.said()[WRITTEN_MAX + 1 :] == [(DeviceChange.GONE, 100 - WRITTEN_MAX - 1)]
    assert box.written[-1][0].flags is Flag.REPEATED
    box.log.changed(SCANNER, OK)
    assert box.said()[-1] == (DeviceChange.OPENED, 0)


def test_at_the_end_what_was_only_counted_is_told() -> None:
    box = Box()
    for number in range(WRITTEN_MAX + 3):
        box.log.changed(SCANNER, GONE if number % 2 else OK)
    box.log.drain()
    assert box.said()[-1] == (DeviceChange.OPENED, 2)
    box.log.drain()
    assert len(box.written) == WRITTEN_MAX + 1


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([SCANNER, BOARD]), st.booleans(), st.integers(0, 20_000)), max_size=120
    )
)
def test_every_change_is_in_a_record_and_no_minute_holds_more_than_the_ration(
    steps: list[tuple[Device, bool, int]],
) -> None:
    box = Box()
    changes = {SCANNER: 0, BOARD: 0}
    last: dict[Device, bool] = {}
    times: dict[int, list[int]] = {SCANNER.number: [], BOARD.number: []}
    for device, works, wait_ms in steps:
        box.now_ms += wait_ms
        before = len(box.written)
        box.log.tick()
        box.log.changed(device, OK if works else GONE)
        for write, _ in box.written[before:]:
            times[write.reader].append(box.now_ms)
        changes[device] += last.get(device) is not works
        last[device] = works
    for found in times.values():
        assert all(
            later - first >= RATION_MS for first, later in zip(found, found[WRITTEN_MAX:], strict=False)
        )
    box.log.drain()
    for device, count in changes.items():
        of = [device_of(write.data) for write, _ in box.written if write.reader == device.number]
        assert sum(1 + counted for _, _, counted in of) == count
        if of:
            assert of[-1][1] is (DeviceChange.OPENED if last[device] else DeviceChange.GONE)
