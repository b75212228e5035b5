"""That configured devices came and went, as DEVICE records; rationed, since a flapping cable must not wear the card.

Each device has `WRITTEN_MAX` records a minute. What is beyond is counted, and the next record says how many changes it
stands for beside its own: nothing is dropped unsaid.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from admission.ids import LaneId, ReaderId
from admission.lane import Write
from admission.records import DeviceChange, DeviceKind, Extension, Flag, Kind, device_data
from edge.journal import Stamp
from edge.supervise import DeviceState

WRITTEN_MAX: Final = 6
"""Records a minute of one device: pulled and plugged in three times is all said; a loose cable is 8,640 a day."""
RATION_MS: Final = 60_000
NAME_BYTES_MAX: Final = 200
"""Of a name in the configuration; the record stays one small extension."""

_CHANGES: Final = {
    "device.ok": DeviceChange.OPENED,
    "device.gone": DeviceChange.GONE,
    "device.misbehaved": DeviceChange.MISBEHAVED,
    "device.misconfigured": DeviceChange.MISCONFIGURED,
    "device.defect": DeviceChange.DEFECT,
}
"""By the code of a `DeviceState`. One that is being opened has not come yet."""


@dataclass(frozen=True, slots=True)
class Device:
    """A configured device: a reader by its lane and number, a board by its place in the configuration and its name."""

    kind: DeviceKind
    number: int
    lane: int = 0
    name: str = ""


@dataclass(slots=True)
class _Known:
    """What is known of one device. Milliseconds."""

    last: DeviceChange
    counted: int = 0
    written_ms: deque[int] = field(default_factory=lambda: deque(maxlen=WRITTEN_MAX))


class DeviceLog:
    """One gate's devices. `append` writes a record; `now_ms` is monotonic."""

    def __init__(
        self, append: Callable[[tuple[Write, ...], Stamp], object], now_ms: Callable[[], int]
    ) -> None:
        self._append = append
        self._now_ms = now_ms
        self._known: dict[Device, _Known] = {}

    def changed(self, device: Device, state: DeviceState) -> None:
        """Take how a device is; said again, it is no change."""
        change = _CHANGES.get(state.code)
        known = self._known.get(device)
        if change is None or (known is not None and known.last is change):
            return
        if known is None:
            known = self._known[device] = _Known(change)
        known.last = change
        if self._may_write(known):
            self._write(device, known)
        else:
            known.counted += 1

    def tick(self) -> None:
        """Write what was only counted, of devices that may again."""
        for device, known in self._known.items():
            if known.counted and self._may_write(known):
                known.counted -= 1  # the change that this record says
                self._write(device, known)

    def drain(self) -> None:
        """The gate ends: write what was only counted, ration or not."""
        for known in self._known.values():
            known.written_ms.clear()
        self.tick()

    def _may_write(self, known: _Known) -> bool:
        written = known.written_ms
        return len(written) < WRITTEN_MAX or self._now_ms() - written[0] >= RATION_MS

    def _write(self, device: Device, known: _Known) -> None:
        known.written_ms.append(self._now_ms())
        counted, known.counted = known.counted, 0
        name = device.name.encode("utf-8", "replace")[:NAME_BYTES_MAX].decode("utf-8", "ignore").encode()
        write = Write(
            0,
            Kind.DEVICE,
            reader=ReaderId(device.number),
            flags=Flag.REPEATED if counted else Flag.NONE,
            data=device_data(device.kind, known.last, counted),
            extensions=((Extension.DETAIL, name),) if name else (),
        )
        self._append((write,), Stamp(lane=LaneId(device.lane)))
