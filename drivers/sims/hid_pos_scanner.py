"""A HID-POS scanner, the device's side: one message per report on a socket, its report descriptor in a file beside it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers.framing.hid_pos import AIM_SHAPE, Layout

REPORT_BYTES = 64
HEARD_MAX = 64

AIM_DESCRIPTOR = bytes.fromhex(
    "05 8c 09 02 a1 01 09 12 a1 02 85 02 15 00 26 ff 00 75 08 95 01 05 01 09 3b 81 02"
    "95 03 05 8c 09 fb 09 fc 09 fd 81 02 95 38 09 fe 82 02 01 95 01 06 66 ff 09 04 81 02 09 00 81 02"
    "05 8c 25 01 75 01 95 01 09 ff 81 02 75 07 81 03 c0 c0"
)
"""Length, identifier, 56 bytes of data, two of the maker, one bit "continued": the shape of LSR118 and Honeywell."""
PLAIN_DESCRIPTOR = bytes.fromhex(
    "05 8c 09 02 a1 01 09 12 a1 02 85 02 15 00 26 ff 00 75 08 95 01 05 01 09 3b 81 02"
    "05 8c 95 38 09 fe 82 02 01 95 05 81 03 25 01 75 01 95 01 09 ff 81 02 75 07 81 03 c0 c0"
)
"""No identifier: the shape of Newland, ID TECH, Saveo and Unitech."""


@dataclass(frozen=True, slots=True)
class HidPosSetting:
    """How the scanner is made (`descriptor`, `layout`) and programmed (`aim`, `suffix`)."""

    descriptor: bytes = AIM_DESCRIPTOR
    layout: Layout = AIM_SHAPE
    aim: bytes = b"]Q1"
    suffix: bytes = b""


class HidPosPort:
    """The socket that stands for a hidraw node, plugged and unplugged. `on_report` gets what the driver sends.

    `sent_ns`: when the last report went out (monotonic).
    """

    def __init__(self, link: Path, descriptor: bytes, on_report: Callable[[bytes], None]) -> None:
        self.link = link
        self.slow_s = 0.0
        self.sent_ns = 0
        self._descriptor = descriptor
        self._on_report = on_report
        self._listening: socket.socket | None = None
        self._open: list[socket.socket] = []

    @property
    def plugged(self) -> bool:
        """Whether a driver can open it."""
        return self._listening is not None

    def plug(self) -> None:
        """The device appears."""
        if self._listening is None:
            self.link.with_name(f"{self.link.name}.descriptor").write_bytes(self._descriptor)
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listening.bind(str(self.link))
            self._listening.listen()
            self._listening.setblocking(False)
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def unplug(self) -> None:
        """The device goes: whoever has it open reads the end."""
        if self._listening is None:
            return
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        self._listening = None
        self.link.unlink()
        for one in tuple(self._open):
            self._drop(one)

    async def send(self, report: bytes) -> None:
        """Send one report to whoever has it open; lost where nobody has, as the kernel loses it."""
        if self._listening is not None:
            self._accept(self._listening)
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        self.sent_ns = time.monotonic_ns()
        for one in tuple(self._open):
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(one, report)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            driver, _ = listening.accept()
            driver.setblocking(False)
            self._open.append(driver)
            asyncio.get_running_loop().add_reader(driver, self._hear, driver)

    def _hear(self, driver: socket.socket) -> None:
        try:
            report = driver.recv(REPORT_BYTES)
        except OSError:
            report = b""
        if report:
            self._on_report(report)
        else:
            self._drop(driver)

    def _drop(self, driver: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(driver)
        self._open.remove(driver)
        driver.close()


class HidPosScanner:
    """A scanner on a simulated node. `heard`: the output reports that the host sent."""

    def __init__(self, link: Path, setting: HidPosSetting | None = None) -> None:
        self.setting = setting or HidPosSetting()
        self.heard: list[bytes] = []
        self.port = HidPosPort(link, self.setting.descriptor, self._hear)
        self._news = asyncio.Event()

    def reports_of(self, text: bytes) -> list[bytes]:
        """Return the reports that carry a code."""
        layout, code = self.setting.layout, text + self.setting.suffix
        if layout.aim_at < 0:
            code = self.setting.aim + code
        size = layout.data_size
        parts = [code[at : at + size] for at in range(0, len(code), size)] or [b""]
        return [self._report(part, continued=n + 1 < len(parts)) for n, part in enumerate(parts)]

    async def scan(self, text: bytes, *, stop_after: int | None = None) -> None:
        """Read a code. `stop_after`: send only so many of its reports, as a pulled plug does."""
        for report in self.reports_of(text)[:stop_after]:
            await self.port.send(report)

    async def hear(self, count: int) -> list[bytes]:
        """Wait until the host has sent so many reports; return them."""
        while len(self.heard) < count:
            self._news.clear()
            await self._news.wait()
        return self.heard

    def _report(self, part: bytes, *, continued: bool) -> bytes:
        layout = self.setting.layout
        report = bytearray(REPORT_BYTES)
        report[0] = layout.report_id
        report[layout.count_at] = len(part)
        if layout.aim_at >= 0:
            report[layout.aim_at : layout.aim_at + 3] = self.setting.aim
        report[layout.data_at : layout.data_at + len(part)] = part
        report[layout.continued_at] |= continued << layout.continued_bit
        return bytes(report)

    def _hear(self, report: bytes) -> None:
        self.heard.append(report)
        del self.heard[:-HEARD_MAX]
        self._news.set()
