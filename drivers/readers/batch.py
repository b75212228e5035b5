"""Batch handhelds: they store what they read, without a line, and send their memory as text when they are docked.

A dump of thousands is taken no faster than `PAUSE_S` a line: what waits does so in the kernel and in the device, which is
told so by USB's flow control. A device that erases what it sent must be left in its dock until the page shows the last line.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from drivers.base import Emit, Garbled, Medium, Opened, Scan, Signal, Stored
from drivers.framing.lines import LineFramer
from drivers.framing.memory_dump import MemoryDump, MemoryLine
from drivers.framing.uid import ByteOrder, UidForm, as_uid
from drivers.readers.pump import Pump, gap_ns
from drivers.transport.serial_port import Line, SerialPort

PAUSE_S = 0.002
"""Between two lines: people at the other lanes come first, and 10,000 lines take half a minute."""


@dataclass(frozen=True, slots=True)
class BatchReaderConfig:
    """Where the cradle is and what a line of its device's memory looks like."""

    path: str
    how: MemoryLine = field(default_factory=MemoryLine)
    line: Line = field(default_factory=Line)
    gap_ms: int = 200
    medium: Medium = Medium.BARCODE
    uid_order: ByteOrder = ByteOrder.UID0_FIRST
    uid_form: UidForm = UidForm.HEX


class BatchReader:
    """A cradle on a serial port. Raises Misconfigured at once for a line that cannot be read."""

    reports_removal = False

    def __init__(self, config: BatchReaderConfig) -> None:
        self._config = config
        self._gap_ns = gap_ns(config.gap_ms)
        self._dump = MemoryDump(config.how)

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        port = SerialPort(self._config.path, self._config.line)
        try:
            framer = LineFramer(gap_ns=self._gap_ns, aim=False)

            def take() -> Sequence[Scan | Garbled] | None:
                received = port.receive()
                return None if received is None else framer.feed(*received)

            def pass_on(framed: Scan | Garbled) -> None:
                emit(self._read(framed))

            pump = Pump(port.fd, take, framer, pass_on, per_turn=1, pause_s=PAUSE_S)
            is_under_way = await pump.begins_within()
            emit(Opened(f"batch handheld at {port.path}"))
            if is_under_way:
                # All but its first line: that may be half a one, and half a code may be another one's whole.
                for framed in framer.distrust(time.monotonic_ns()):
                    pass_on(framed)
            await pump.run()
        finally:
            port.close()

    def _read(self, framed: Scan | Garbled) -> Stored | Garbled:
        read, config = self._dump.read(framed), self._config
        if isinstance(read, Garbled) or config.medium is not Medium.UID:
            return read
        uid = as_uid(read.scan, config.uid_order, config.uid_form)
        return Stored(uid, read.read_at) if isinstance(uid, Scan) else uid

    def feedback(self, signal: Signal) -> None:
        """Do nothing: whoever was let in by it left the device hours ago."""
