"""OSDP readers on an RS-485 bus, in a secure channel or not at all (needs libosdp, the extra `osdp`).

The library's machine is driven from the loop, without its thread: what came is given to it, what it wants sent is sent, and it is
turned over every few milliseconds (5 µs). Readers at one port share it: that a port has one owner is so in a process, too.
It gives a reader whose channel broke up for 300 s, so that is begun anew here at once.
"""

import asyncio
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

from drivers.base import (
    DeviceGone,
    DeviceMisbehaved,
    DriverError,
    Emit,
    Misconfigured,
    Opened,
    ReaderEvent,
    Signal,
)
from drivers.framing.osdp import Carries, Replies, address_of, card_of
from drivers.framing.uid import ByteOrder
from drivers.readers.pump import Pump
from drivers.transport.serial_port import Line, SerialPort

TURN_NS: Final = 10_000_000
OPEN_NS: Final = 3_000_000_000
"""Identification, capabilities and the handshake at 9600 baud take under half a second; a lost answer costs one second."""
SILENT_NS: Final = 2_500_000_000
"""A reader that has not replied for so long is gone: after one lost answer the library asks again in a second."""
SCBK_D: Final = bytes(range(0x30, 0x40))
KEY_BYTES: Final = 16
KEY_FILE_BYTES_MAX: Final = 64
LOG_NOTHING: Final = 0


@dataclass(frozen=True, slots=True)
class OsdpConfig:
    """A reader on a bus. `key_file`: its SCBK, 32 hexadecimal digits, readable by the gate alone. `beep`: verdicts are heard."""

    path: str
    address: int
    key_file: str
    line: Line = field(default_factory=Line)
    carries: Carries = Carries.CARD
    order: ByteOrder = ByteOrder.UID0_FIRST
    beep: bool = True
    open_ns: int = OPEN_NS
    silent_ns: int = SILENT_NS


def read_key(path: str) -> bytes:
    """Return a reader's key; Misconfigured where others could read it, too, or where it is everybody's."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
        with file.open("rb") as opened:
            text = opened.read(KEY_FILE_BYTES_MAX)
    except OSError as error:
        raise Misconfigured(
            f"the key {path} cannot be read: {error.strerror}", "Put the reader's SCBK there."
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise Misconfigured(f"others can read the key {path}", f"chmod 600 {path}")
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{path} holds no key", "Write 32 hexadecimal digits there.")
    if key == SCBK_D:
        raise Misconfigured(
            f"{path} holds the key that is printed in the specification",
            "Give the reader a key of its own with its maker's tool, on a bench, and write that one there.",
        )
    return key


class OsdpReader:
    """An OSDP reader."""

    reports_removal = False

    def __init__(self, config: OsdpConfig) -> None:
        self._config = config
        self._member: _Member | None = None

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        config = self._config
        key = read_key(config.key_file)
        bus = _BUSES.get(config.path)
        if bus is None:
            bus = _BUSES[config.path] = _Bus(config.path, config.line)
        if config.address in bus.members:
            raise Misconfigured(f"two readers have the address {config.address}", "Give each its own.")
        member = self._member = _Member(config, key, emit, time.monotonic_ns())
        bus.join(member)
        try:
            raise await member.failed
        finally:
            self._member = None
            await bus.leave(member)

    def feedback(self, signal: Signal) -> None:
        """A short beep and green on a grant, a long one and red on a refusal."""
        bus = _BUSES.get(self._config.path)
        if self._member is not None and bus is not None and self._config.beep:
            bus.show(self._member, signal)


class _Member:
    """A reader while it is open."""

    def __init__(self, config: OsdpConfig, key: bytes, emit: Emit, now_ns: int) -> None:
        self.config = config
        self.key = key
        self.emit = emit
        self.failed: asyncio.Future[DriverError] = asyncio.get_running_loop().create_future()
        self.secure = self.told = False
        self.began_ns = self.replied_ns = now_ns
        self.replied = False

    def fail(self, error: DriverError) -> None:
        """End it."""
        if not self.failed.done():
            self.failed.set_result(error)


class _Wire:
    """The port as the library wants one (`osdp.Channel`)."""

    def __init__(self, port: SerialPort) -> None:
        self.id = 0
        self.came = bytearray()
        self._port = port

    def read(self, bytes_max: int) -> bytes:
        """What waits."""
        data = bytes(self.came[:bytes_max])
        del self.came[:bytes_max]
        return data

    def write(self, data: bytes) -> int:
        """Send."""
        self._port.send(data)
        return len(data)

    def flush(self) -> None:
        """Forget what waits."""
        self.came.clear()


class _Bus:
    """One port and all its readers."""

    def __init__(self, path: str, line: Line) -> None:
        try:
            import osdp_sys  # noqa: PLC0415 - only a gate with such readers has it
        except ImportError as error:
            raise Misconfigured("libosdp is missing", "Install gatehouse with its extra `osdp`.") from error
        self._library: ModuleType = osdp_sys
        osdp_sys.set_loglevel(LOG_NOTHING)
        self._path = path
        self._port = SerialPort(path, line)
        self._wire = _Wire(self._port)
        self._replies = Replies()
        self.members: dict[int, _Member] = {}
        self._order: list[int] = []
        self._panel: object = None
        self._turn_ns = 0
        self._task: asyncio.Task[None] | None = None

    def join(self, member: _Member) -> None:
        """Add a reader. The others begin their channels anew, which takes them some tenths of a second."""
        self.members[member.config.address] = member
        self._panel = None
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def leave(self, member: _Member) -> None:
        """Take a reader off; the last one closes the port."""
        self.members.pop(member.config.address, None)
        if self.members:
            return
        if _BUSES.get(self._path) is self:
            del _BUSES[self._path]
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._panel = None
        self._port.close()

    def show(self, member: _Member, signal: Signal) -> None:
        """Have a signal shown."""
        if member.secure and signal in _BEEPS:
            self._panel.submit_command(  # type: ignore[attr-defined]
                self._order.index(member.config.address),
                {"command": self._library.CMD_BUZZER, **_BEEPS[signal]},
            )

    @property
    def deadline_ns(self) -> int:
        """When `quiet` is due."""
        return self._turn_ns

    def quiet(self, now_ns: int) -> list[ReaderEvent]:
        """Turn the library over, and see who is there."""
        if self._panel is None:
            self._panel = self._made()
        self._panel.refresh()  # type: ignore[attr-defined]
        self._turn_ns = now_ns + TURN_NS
        secure = self._panel.sc_status()  # type: ignore[attr-defined]
        online = self._panel.status()  # type: ignore[attr-defined]
        for at, address in enumerate(self._order):
            member = self.members.get(address)
            if member is not None:
                self._judge(member, bool(secure >> at & 1), bool(online >> at & 1), now_ns)
        return []

    async def _run(self) -> None:
        pump: Pump[ReaderEvent] = Pump(self._port.fd, self._take, self, lambda _event: None)
        pump.arm()
        try:
            await pump.run()
        except DriverError as error:
            if _BUSES.get(self._path) is self:
                del _BUSES[self._path]
            for member in tuple(self.members.values()):
                member.fail(error)

    def _take(self) -> list[ReaderEvent] | None:
        received = self._port.receive()
        if received is None:
            return None
        data, now_ns = received
        for reply in self._replies.feed(data):
            self._wire.came += reply
            member = self.members.get(address_of(reply))
            if member is not None:
                member.replied_ns, member.replied = now_ns, True
        return self.quiet(now_ns)

    def _made(self) -> object:
        self._order = list(self.members)
        for member in self.members.values():
            member.secure = member.replied = False
            member.began_ns = member.replied_ns = time.monotonic_ns()
        infos = [
            {
                "name": f"PD {address}",
                "address": address,
                "flags": self._library.FLAG_ENFORCE_SECURE,
                "scbk": self.members[address].key,
                "channel": self._wire,
                "version": 0,
                "model": 0,
                "vendor_code": 0,
                "serial_number": 0,
                "firmware_version": 0,
            }
            for address in self._order
        ]
        panel = self._library.ControlPanel(infos)
        panel.set_event_callback(self._on_event)
        return panel

    def _judge(self, member: _Member, secure: bool, online: bool, now_ns: int) -> None:
        if secure and not member.secure:
            member.secure = True
            if member.told:
                return
            member.told = True
            member.emit(Opened(f"OSDP reader {member.config.address} at {self._path}, secure channel"))
        if member.secure and not online:
            # The library gives it up for five minutes.
            member.secure = False
            member.fail(
                DeviceMisbehaved(
                    "the OSDP reader's channel broke", "Look for noise on the bus; it begins anew."
                )
            )
            self._panel = None
        elif member.secure and now_ns - member.replied_ns > member.config.silent_ns:
            member.fail(_silent(member))
        elif not member.secure and now_ns - member.began_ns > member.config.open_ns:
            member.fail(_refused(member) if member.replied else _silent(member))

    def _on_event(self, at: int, event: Mapping[str, object]) -> int:
        member = self.members.get(self._order[at])
        data, size = event.get("data"), event.get("length")
        is_card = event.get("event") == self._library.EVENT_CARDREAD
        if member is not None and is_card and isinstance(data, bytes) and isinstance(size, int):
            config = member.config
            member.emit(card_of(data, size, config.carries, config.order, time.monotonic_ns()))
        return 0


_BUSES: Final[dict[str, _Bus]] = {}

_BEEPS: Final[Mapping[Signal, Mapping[str, int]]] = {
    Signal.ACCEPT: {"reader": 0, "control_code": 2, "on_count": 1, "off_count": 1, "rep_count": 1},
    Signal.REJECT: {"reader": 0, "control_code": 2, "on_count": 6, "off_count": 1, "rep_count": 1},
}
"""Default tone, times in 0.1 s."""


def _silent(member: _Member) -> DriverError:
    hint = "Check the bus's wires (A to A), the reader's power, its address and the baud of both."
    return DeviceGone(f"no OSDP reader answers at address {member.config.address}", hint)


def _refused(member: _Member) -> DriverError:
    hint = f"The reader has another key than {member.config.key_file}, or none of its own yet."
    return DeviceMisbehaved("the OSDP reader opens no secure channel", hint)
