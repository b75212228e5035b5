"""What every reader on a serial port that is talked to does while it is open: bytes to its protocol, its answers back."""

import time
from collections.abc import Callable, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

from drivers.base import Emit, Opened, ReaderEvent, Signal
from drivers.readers.pump import Pump
from drivers.transport.serial_port import Line, SerialPort

Event_co = TypeVar("Event_co", bound=ReaderEvent, covariant=True)


class Host(Protocol[Event_co]):
    """One opening of a device, without I/O. `feed` and `quiet` may raise DriverError; there may be bytes to send after each.

    `name`: what the device said of itself.
    """

    name: str

    @property
    def ready(self) -> bool:
        """True once the device answered all that opens it."""
        ...

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes, or None."""
        ...

    def take_output(self) -> bytes:
        """What is to be sent now; given once."""
        ...

    def feed(self, data: bytes, now_ns: int) -> Sequence[Event_co]:
        """Take bytes."""
        ...

    def quiet(self, now_ns: int) -> Sequence[Event_co]:
        """Do what is due."""
        ...

    def show(self, signal: Signal, now_ns: int) -> None:
        """Have a signal shown."""
        ...


Made = TypeVar("Made", bound=ReaderEvent)


class Asked(Generic[Made]):
    """An open port and the host of its protocol. `what`: names the device by its host's `name`, once it is ready."""

    def __init__(self, port: SerialPort, host: Host[Made], what: Callable[[str], str], emit: Emit) -> None:
        self._port = port
        self._host = host
        self._what = what
        self._told = False
        self._pump: Pump[ReaderEvent] = Pump(port.fd, self._take, self, emit)

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes."""
        return self._host.deadline_ns

    def quiet(self, now_ns: int) -> list[ReaderEvent]:
        """Do what is due; DriverError where the device owes an answer."""
        return self._after(self._host.quiet(now_ns))

    def show(self, signal: Signal) -> None:
        """Have a signal shown. Never raises: the lane asks for it, and what fails here is the reader's end, no answer's."""
        try:
            self._host.show(signal, time.monotonic_ns())
            self._send()
            self._pump.arm()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the reader runs
            self._pump.fail(error)

    async def run(self) -> NoReturn:
        """Talk until cancelled or until a DriverError says what to do next."""
        self._after(())
        self._pump.arm()
        await self._pump.run()
        raise AssertionError("a pump ends by an error")

    def _take(self) -> list[ReaderEvent] | None:
        received = self._port.receive()
        return None if received is None else self._after(self._host.feed(*received))

    def _after(self, events: Sequence[Made]) -> list[ReaderEvent]:
        """Send what is to be sent, before anybody judges what came: a scanner reads no further code until then."""
        self._send()
        if self._told:
            return [*events]
        if not self._host.ready:
            return []  # what comes before counts for nothing
        self._told = True
        return [Opened(self._what(self._host.name)), *events]

    def _send(self) -> None:
        data = self._host.take_output()
        if data:
            self._port.send(data)


class AskedReader(Generic[Made]):
    """A reader of this kind: opens `path` and makes a host for each opening.

    `make`: gives a host, from the monotonic time. `what` names the device, from what it said of itself.
    """

    def __init__(
        self, path: str, line: Line, make: Callable[[int], Host[Made]], what: str, *, reports_removal: bool
    ) -> None:
        self.reports_removal = reports_removal
        self._path = path
        self._line = line
        self._make = make
        self._what = what
        self._open: Asked[Made] | None = None

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        port = SerialPort(self._path, self._line)
        try:
            host = self._make(time.monotonic_ns())
            self._open = Asked(port, host, lambda name: f"{self._what} {name} at {port.path}", emit)
            await self._open.run()
        finally:
            self._open = None
            port.close()

    def feedback(self, signal: Signal) -> None:
        """Show a signal as configured, if the device is open."""
        if self._open is not None:
            self._open.show(signal)
