"""OSDP readers on an RS-485 bus, in a secure channel or not at all.

Readers at one port share it (that a port has one owner is so in a process, too), and take turns: a message and its answer each.
One that is not there costs the others a tenth of a second now and then, and nothing of their channels.
"""

import asyncio
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from drivers.base import DriverError, Emit, Misconfigured, Opened, ReaderEvent, Signal
from drivers.framing.osdp import FRAME_BYTES_MIN, Carries, Replies, address_of
from drivers.framing.osdp_channel import KEY_BYTES, RANDOM_BYTES, SCBK_D
from drivers.framing.osdp_host import SILENT_NS, OsdpHost, OsdpSetting
from drivers.framing.uid import ByteOrder
from drivers.transport.serial_port import Line, SerialPort

GAP_NS: Final = 30_000_000
"""An answer that began is waited for while its bytes come: 20 ms between two of them end it (Annex: inter-character time-out)."""
ANSWERS_MAX: Final = 4
"""Times that an answer is waited for at most, however long its bytes go on coming."""
BITS_A_BYTE: Final = 11
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
        self._replies = Replies()
        self._wake = asyncio.Event()
        self._members: dict[int, _Member] = {}
        self._asked: _Member | None = None
        self._noise = False
        self._until_ns = self._latest_ns = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._port.fd, self._wake.set)
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def join(self, setting: OsdpSetting, emit: Emit) -> _Member:
        """Add a reader; the others keep their channels."""
        if setting.address in self._members:
            raise Misconfigured(f"two readers have the address {setting.address}", "Give each its own.")
        member = self._members[setting.address] = _Member(setting, emit, self._wake)
        self._wake.set()
        return member

    def leave(self, member: _Member) -> None:
        """Take a reader off; the last one closes the port."""
        if self._members.get(member.address) is member:
            del self._members[member.address]
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
            self._take()
            due_ns = self._turn(time.monotonic_ns())
            timer = None if due_ns is None else self._loop.call_at(due_ns / 1e9, self._wake.set)
            await self._wake.wait()
            if timer is not None:
                timer.cancel()

    def _take(self) -> None:
        """Read once, and give each its replies."""
        received = self._port.receive()
        if received is None:
            return
        data, now_ns = received
        replies = self._replies.feed(data)
        self._noise = not replies
        self._until_ns = min(max(self._until_ns, now_ns + GAP_NS), self._latest_ns)
        for reply in replies:
            member = self._members.get(address_of(reply))
            if member is not None:
                self._hear(member, reply, now_ns)

    def _hear(self, member: _Member, reply: bytes, now_ns: int) -> None:
        try:
            events = member.host.hear(reply, now_ns)
        except DriverError as error:
            self._drop(member, error)
            return
        if member.host.ready and not member.told:
            member.told = True
            what = f"OSDP reader {member.address} at {self._path} ({member.host.name}), secure channel"
            events = [Opened(what), *events]
        for event in events:
            member.emit(event)

    def _drop(self, member: _Member, error: DriverError) -> None:
        if self._members.get(member.address) is member:
            del self._members[member.address]
        member.fail(error)

    def _turn(self, now_ns: int) -> int | None:
        """Give the wire to who has waited longest for it; return when to look again, None where nobody is there."""
        asked = self._asked
        if asked is not None and self._members.get(asked.address) is asked and asked.host.waits:
            if now_ns < self._until_ns:
                return self._until_ns
            try:
                asked.host.missed(now_ns, noise=self._noise)
            except DriverError as error:
                self._drop(asked, error)
        self._asked = None
        if not self._members:
            return None
        member = min(self._members.values(), key=lambda one: one.host.due_ns)
        if member.host.due_ns > now_ns:
            return member.host.due_ns
        message = member.host.ask(now_ns)
        self._replies.clear()
        self._noise = False
        self._port.send(message)
        self._asked = member
        wait_ns = self._wire_ns(len(message) + FRAME_BYTES_MIN) + member.host.answer_ns
        self._until_ns, self._latest_ns = now_ns + wait_ns, now_ns + ANSWERS_MAX * wait_ns
        return self._until_ns

    def _wire_ns(self, size: int) -> int:
        return size * BITS_A_BYTE * 1_000_000_000 // self.line.baud


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
