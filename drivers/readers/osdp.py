"""OSDP readers on an RS-485 bus, in a secure channel or not at all.

Readers at one port share it (that a port has one owner is so in a process, too), and take turns (`drivers.framing.osdp_turns`): one
that is not there costs the others a poll now and then, and nothing of their channels.
"""

import asyncio
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from drivers.base import Emit, Misconfigured, Opened, ReaderEvent, Signal
from drivers.framing.osdp import Carries
from drivers.framing.osdp_channel import KEY_BYTES, RANDOM_BYTES, SCBK_D
from drivers.framing.osdp_host import SILENT_NS, OsdpHost, OsdpSetting
from drivers.framing.osdp_turns import OsdpTurns, Said
from drivers.framing.uid import ByteOrder
from drivers.transport.serial_port import Line, SerialPort

KEY_FILE_BYTES_MAX: Final = 64


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
            f"the key {path} cannot be read: {error.strerror}",
            "Give the reader a key, gatehouse-edge osdp-key, or put its SCBK there.",
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
            "Move it away, and give the reader a key of its own: gatehouse-edge osdp-key.",
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
        setting = OsdpSetting(
            config.address,
            read_key(config.key_file),
            carries=config.carries,
            order=config.order,
            beep=config.beep,
            silent_ns=config.silent_ns,
        )
        bus = _bus(config)
        member = self._member = bus.join(setting, emit)
        try:
            raise await member.failed
        finally:
            self._member = None
            bus.leave(member)

    def feedback(self, signal: Signal) -> None:
        """A short beep and green on a grant, a long one and red on a refusal, amber while somebody waits."""
        if self._member is not None:
            self._member.show(signal)


async def open_once(config: OsdpConfig, key: bytes, fresh: bytes = b"") -> str:
    """Open a reader with `key`, give it `fresh` where that is one, and return its name; DriverError where it does not open."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[str] = loop.create_future()

    def take(event: ReaderEvent) -> None:
        if isinstance(event, Opened) and not opened.done():
            opened.set_result(event.what)

    bus = _bus(config)
    member = bus.join(OsdpSetting(config.address, key, fresh, silent_ns=config.silent_ns), take)
    try:
        either: set[asyncio.Future[Any]] = {opened, member.failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if opened.done():
            return opened.result()
        raise member.failed.result()
    finally:
        bus.leave(member)


class _Member:
    """A reader while it is open. `wake`: has its bus look who is due."""

    def __init__(self, setting: OsdpSetting, emit: Emit, wake: asyncio.Event) -> None:
        self.address = setting.address
        self.emit = emit
        self.host = OsdpHost(setting, lambda: os.urandom(RANDOM_BYTES), time.monotonic_ns())
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.told = False
        self._wake = wake

    def show(self, signal: Signal) -> None:
        """Have a signal shown."""
        self.host.show(signal, time.monotonic_ns())
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """End it."""
        if not self.failed.done():
            self.failed.set_result(error)


class _Bus:
    """One port and all its readers."""

    def __init__(self, path: str, line: Line) -> None:
        self._path = path
        self.line = line
        self._port = SerialPort(path, line)
        self._turns = OsdpTurns(line.baud)
        self._wake = asyncio.Event()
        self._members: dict[int, _Member] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._port.fd, self._wake.set)
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def join(self, setting: OsdpSetting, emit: Emit) -> _Member:
        """Add a reader; the others keep their channels."""
        if setting.address in self._members:
            raise Misconfigured(f"two readers have the address {setting.address}", "Give each its own.")
        member = self._members[setting.address] = _Member(setting, emit, self._wake)
        self._turns.join(member.host)
        self._wake.set()
        return member

    def leave(self, member: _Member) -> None:
        """Take a reader off; the last one closes the port."""
        if self._members.get(member.address) is member:
            del self._members[member.address]
            self._turns.leave(member.host)
        if not self._members:
            self._close()

    def _close(self) -> None:
        if _BUSES.get(self._path) is self:
            del _BUSES[self._path]
            self._loop.remove_reader(self._port.fd)
            self._task.cancel()
            self._port.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Whatever ended the bus ends its readers: they are opened again, and none is deaf and shown as well."""
        if task.cancelled():
            return
        error = task.exception()
        assert error is not None
        self._close()
        for member in self._members.values():
            member.fail(error)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            received = self._port.receive()
            if received is not None:
                self._tell(self._turns.hear(*received))
            turn = self._turns.turn(time.monotonic_ns())
            self._tell(turn.ended)
            if turn.message:
                self._port.send(turn.message)
            timer = None if turn.look_ns is None else self._loop.call_at(turn.look_ns / 1e9, self._wake.set)
            await self._wake.wait()
            if timer is not None:
                timer.cancel()

    def _tell(self, said: Iterable[Said]) -> None:
        """Give each its own."""
        for one in said:
            member = self._members.get(one.host.address)
            if member is None or member.host is not one.host:
                continue
            if one.error is not None:
                del self._members[member.address]
                member.fail(one.error)
                continue
            if member.host.ready and not member.told:
                member.told = True
                named = f"{member.address} at {self._path} ({member.host.name})"
                member.emit(Opened(f"OSDP reader {named}, secure channel"))
            for event in one.events:
                member.emit(event)


_BUSES: Final[dict[str, _Bus]] = {}


def _bus(config: OsdpConfig) -> _Bus:
    bus = _BUSES.get(config.path)
    if bus is None:
        bus = _BUSES[config.path] = _Bus(config.path, config.line)
    if bus.line != config.line:
        raise Misconfigured(
            f"readers at {config.path} have different speeds", "Set one baud for all of a bus."
        )
    return bus
