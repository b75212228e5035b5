"""Reports of HID-POS scanners (HID Point of Sale Usage Tables 1.02, page 0x8C), without I/O.

Where a report carries length, symbology, data and "continued" differs from maker to maker, and the device's own report
descriptor says it. Two shapes are in the field; both start with report id 2 and a length:

    LSR118, Honeywell   id | length | ] Q 1 | 56 bytes of data | … | bit 0: continued
    Newland, ID TECH    id | length | 56 bytes of data | 4 reserved | symbology | continued
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drivers.base import DeviceMisbehaved, Garbled
from drivers.framing.frame import Frame, Framed, trimmed

SCANNER: Final = 0x8C_0002
BADGE_READER: Final = 0x8C_0001
SYMBOLOGY: Final = (0x8C_00FB, 0x8C_00FC, 0x8C_00FD)
DATA: Final = 0x8C_00FE
CONTINUED: Final = 0x8C_00FF
BYTE_COUNT: Final = 0x01_003B

REST_WITHIN_NS: Final = 200_000_000
"""Reports of one code follow each other within milliseconds; half a code is given up after so long."""
REST_LATE_NS: Final = 300_000_000
"""What begins so soon after that is its rest; nobody shows another code by then."""
DESCRIPTOR_BYTES_MAX: Final = 4096
"""HID_MAX_DESCRIPTOR_SIZE of the kernel."""
FIELDS_MAX: Final = 512
REPORT_IDS_MAX: Final = 255
"""A report id is one byte and never 0 (HID 1.11, 6.2.2.7)."""
NO_ID: Final = -1
"""Of a device that has one kind of report, and numbers none."""

PAGE, SIZE, COUNT, REPORT_ID = 0x04, 0x74, 0x94, 0x84
"""Items of a descriptor that hold for all that follow."""

CUT = "cut"
BAD_REPORT = "bad_report"
UNLIKE = "unlike"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a report, in bytes from its start, the report id included. -1: it has none.

    `aim_at`: the three identifier bytes, from `]` on.
    """

    report_id: int
    count_at: int
    aim_at: int
    data_at: int
    data_size: int
    continued_at: int
    continued_bit: int = 0


AIM_SHAPE: Final = Layout(2, 1, 2, 5, 56, 63)
PLAIN_SHAPE: Final = Layout(2, 1, -1, 2, 56, 63)


@dataclass(frozen=True, slots=True)
class _Field:
    """One usage in an input report, in bits."""

    usage: int
    report_id: int
    at: int
    size: int
    count: int


def is_scanner(descriptor: bytes) -> bool:
    """Whether a report descriptor is a HID-POS scanner's."""
    return any(usage in {SCANNER, BADGE_READER} for usage, _ in _walk(descriptor))


def layout_of(descriptor: bytes) -> Layout | None:
    """Return where a scanner's reports carry what; None where its descriptor does not say it in whole bytes.

    Raises DeviceMisbehaved where codes would come in a report that cannot be.
    """
    fields = [field for _, field in _walk(descriptor) if field is not None]
    data = next((one for one in fields if one.usage == DATA and one.size == 8 and one.at % 8 == 0), None)
    if data is None:
        return None
    if data.report_id != NO_ID and not 1 <= data.report_id <= REPORT_IDS_MAX:
        raise DeviceMisbehaved(
            f"the scanner says that codes come in report {data.report_id}",
            "Set the scanner to HID-POS anew, or to USB serial.",
        )
    beside = {one.usage: one for one in fields if one.report_id == data.report_id}
    continued = beside.get(CONTINUED)
    return Layout(
        report_id=data.report_id,
        count_at=_byte(beside.get(BYTE_COUNT)),
        aim_at=_byte(beside.get(SYMBOLOGY[0])),
        data_at=data.at // 8,
        data_size=data.count,
        continued_at=-1 if continued is None else continued.at // 8,
        continued_bit=0 if continued is None else continued.at % 8,
    )


def _byte(field: _Field | None) -> int:
    return field.at // 8 if field is not None and field.size == 8 and field.at % 8 == 0 else -1


class HidPosFramer:
    """Reports in, `Scan` and `Garbled` out. `layout` None: the two shapes are told apart by the first report's `]`."""

    def __init__(self, layout: Layout | None, *, aim: bool = True, binary: bool = False) -> None:
        self._layout = layout
        self._shape = PLAIN_SHAPE
        """Of the code under way, where `layout` does not say it."""
        self._aim = b""
        self._binary = binary
        self._frame = Frame(aim=aim)
        self._heard_ns = 0
        self._parts = 0
        self._rest_until_ns = 0
        """Until when what begins is the rest of a code that was given up."""

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        return self._heard_ns + REST_WITHIN_NS if self._parts else None

    def feed(self, report: bytes, now_ns: int) -> list[Framed]:
        """Take one report."""
        out: list[Framed] = []
        if self._layout is None and not self._parts:
            self._shape = AIM_SHAPE if _has_aim(report, AIM_SHAPE) else PLAIN_SHAPE
        layout = self._layout or self._shape
        if layout.report_id >= 0 and report[:1] != bytes([layout.report_id]):
            return out  # settings, statistics: not a code
        if not self._parts and now_ns < self._rest_until_ns:
            self._frame.lose(CUT, now_ns, [])  # it was told
        part = _data_of(report, layout)
        if part is None:
            out.append(Garbled(BAD_REPORT, len(report), now_ns))
            self._frame.lose(BAD_REPORT, now_ns, [])
            self._parts += 1
        else:
            # Each report of a code repeats its identifier; one with another is another code's, and neither is whole.
            aim = report[layout.aim_at : layout.aim_at + 3] if _has_aim(report, layout) else b""
            if not self._parts:
                self._aim = aim
                part = aim + part
            elif aim not in {b"", self._aim}:
                self._frame.lose(UNLIKE, now_ns, out)
            self._parts += 1
            self._frame.add(part, now_ns, out)
        self._heard_ns = now_ns
        if not _is_continued(report, layout):
            self._end(now_ns, out)
        return out

    def quiet(self, now_ns: int) -> list[Framed]:
        """Give up a code whose rest does not come."""
        out: list[Framed] = []
        deadline_ns = self.deadline_ns
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._frame.lose(CUT, now_ns, out)
            self._end(now_ns, out)
            self._rest_until_ns = now_ns + REST_LATE_NS
        return out

    def _end(self, now_ns: int, out: list[Framed]) -> None:
        ended: list[Framed] = []
        self._frame.end(now_ns, ended)
        self._parts = 0
        kept = ended if self._binary else [trimmed(one) for one in ended]
        out += [one for one in kept if one is not None]


def _data_of(report: bytes, layout: Layout) -> bytes | None:
    data = report[layout.data_at : layout.data_at + layout.data_size]
    if layout.count_at < 0:
        return data.rstrip(b"\0")
    count = report[layout.count_at] if layout.count_at < len(report) else 0
    return data[:count] if 0 < count <= len(data) else None


def _has_aim(report: bytes, layout: Layout) -> bool:
    at = layout.aim_at
    return at >= 0 and report[at : at + 1] == b"]" and report[at + 1 : at + 2].isalpha()


def _is_continued(report: bytes, layout: Layout) -> bool:
    at = layout.continued_at
    return 0 <= at < len(report) and bool(report[at] >> layout.continued_bit & 1)


class _Walk:
    """The state that a report descriptor's items build up (HID 1.11, 6.2.2)."""

    def __init__(self) -> None:
        self.held = {PAGE: 0, SIZE: 0, COUNT: 0, REPORT_ID: NO_ID}
        self.usages: list[int] = []
        self.used: dict[int, int] = {}

    def usage(self, value: int, size: int) -> int:
        """A usage of four bytes holds its page."""
        return value if size == 4 else self.held[PAGE] << 16 | value

    def input(self) -> Iterator[_Field]:
        report_id, size, count = self.held[REPORT_ID], self.held[SIZE], self.held[COUNT]
        start = self.used.get(report_id, 8 if report_id >= 0 else 0)
        self.used[report_id] = start + size * count
        for number, usage in enumerate(self.usages):
            # The last usage stands for all fields that are left.
            left = count - number if number == len(self.usages) - 1 else 1
            if left > 0:
                yield _Field(usage, report_id, start + number * size, size, left)


def _walk(descriptor: bytes) -> Iterator[tuple[int, _Field | None]]:
    """Yield each collection's usage, and each field of an input report with its usage."""
    walk, at, told = _Walk(), 0, 0
    descriptor = descriptor[:DESCRIPTOR_BYTES_MAX]
    while at < len(descriptor) and told < FIELDS_MAX:
        prefix = descriptor[at]
        if prefix == 0xFE:  # a long item: nobody makes them, but they say how long they are
            at += 3 + (descriptor[at + 1] if at + 1 < len(descriptor) else 0)
            continue
        size = (0, 1, 2, 4)[prefix & 3]
        value = int.from_bytes(descriptor[at + 1 : at + 1 + size], "little")
        at += 1 + size
        match prefix & 0xFC:
            case 0x04 | 0x74 | 0x94 | 0x84 as kept:
                walk.held[kept] = value
            case 0x08:
                walk.usages.append(walk.usage(value, size))
            case 0xA0:  # collection
                for usage in walk.usages[-1:]:
                    yield usage, None
                walk.usages = []
            case 0x80:  # input
                for field in walk.input():
                    told += 1
                    yield field.usage, field
                walk.usages = []
            case 0x90 | 0xB0 | 0xC0:  # output, feature, end of collection
                walk.usages = []
