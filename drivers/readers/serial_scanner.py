"""Serial scanners (CDC-ACM, USB-UART, RS-232) and tag readers that send a UID as a line of text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from drivers.base import Emit, Medium, Misconfigured, Opened, Signal
from drivers.framing.endings import Endings
from drivers.framing.frame import Complete, Framed
from drivers.framing.lines import EnvelopeFramer, LineFramer
from drivers.framing.uid import ByteOrder, UidForm, as_uid
from drivers.readers.pump import Pump, gap_ns
from drivers.transport.serial_port import Line, SerialPort


@dataclass(frozen=True, slots=True)
class SerialReaderConfig:
    """Where a serial reader is and what it sends.

    `path`: a stable name, `/dev/serial/by-id/*` or `by-path/*`. `gap_ms`: quiet time that ends a code without a
    terminator. `binary`: codes may hold any byte, so only the gap ends one. `envelope`: a code stands between STX and ETX,
    and all else is none. `feedback`: the bytes that make the
    device show a signal (many scanners beep on BEL); none by default, since no byte means the same to all.
    """

    path: str
    line: Line = field(default_factory=Line)
    gap_ms: int = 50
    binary: bool = False
    envelope: bool = False
    aim: bool = True
    medium: Medium = Medium.BARCODE
    uid_order: ByteOrder = ByteOrder.UID0_FIRST
    uid_form: UidForm = UidForm.HEX
    feedback: Mapping[Signal, bytes] = field(default_factory=dict)


class SerialReader:
    """A scanner or tag reader on a serial port. Raises Misconfigured at once for settings that cannot be."""

    reports_removal = False

    def __init__(self, config: SerialReaderConfig, complete: Complete | None = None) -> None:
        self._gap_ns = gap_ns(config.gap_ms)
        if config.binary and config.envelope:
            hint = "Codes of any byte may hold STX and ETX: leave one of the two off."
            raise Misconfigured("codes end by the gap alone, and by ETX", hint)
        self._config = config
        self._complete = complete
        self._endings = Endings(self._gap_ns)
        self._port: SerialPort | None = None

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        port = self._port = SerialPort(self._config.path, self._config.line)
        try:
            pump = self._pump(port, emit)
            await pump.settle()
            emit(Opened(f"serial reader at {port.path}"))
            await pump.run()
        finally:
            self._port = None
            port.close()

    def _pump(self, port: SerialPort, emit: Emit) -> Pump[Framed]:
        config = self._config
        framer = self._framer()

        def take() -> list[Framed] | None:
            received = port.receive()
            return None if received is None else framer.feed(*received)

        def pass_on(framed: Framed) -> None:
            emit(as_uid(framed, config.uid_order, config.uid_form) if config.medium is Medium.UID else framed)

        return Pump(port.fd, take, framer, pass_on)

    def _framer(self) -> LineFramer | EnvelopeFramer:
        config = self._config
        if config.envelope:
            return EnvelopeFramer(gap_ns=self._gap_ns, aim=config.aim)
        return LineFramer(
            gap_ns=self._gap_ns,
            binary=config.binary,
            aim=config.aim,
            complete=self._complete,
            endings=None if config.binary else self._endings,
        )

    def feedback(self, signal: Signal) -> None:
        """Send the configured bytes of a signal, if the device is open and takes them now."""
        data = self._config.feedback.get(signal, b"")
        if data and self._port is not None:
            self._port.send(data)
