"""The commissioning process: the page over TLS and the hands behind it, until the configuration is written."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from edge.commission.placing import Earlier
from edge.commission.server import CommissionPage
from edge.commission.shell import Shell
from edge.devices import Devices
from edge.front import tls
from edge.front.doors import Doors, listen
from edge.front.perimeter import Hosts
from edge.front.pin import PinLock
from edge.notify import notify, watchdog_s

ANSWERED_S: Final = 0.5
"""What was asked last is answered before the page goes."""
SHUTDOWN_S: Final = 1.0
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - the technician's phone is on the same network; the PIN stands before everything

log = logging.getLogger("edge.commission")


@dataclass(frozen=True, slots=True)
class Commission:
    """What is commissioned, and with which drivers. `path`: where the configuration goes; `before`: the gate that it was."""

    data: Path
    path: Path
    before: Earlier
    root: Path
    devices: Devices
    say: Callable[[str], None]

    async def run(self) -> bool:
        """Serve until written (True) or until a signal (False). OSError where the page's port cannot be had."""
        page_settings = self.before.settings.page
        names = (*tls.own_names(socket.gethostname()), *page_settings.names)
        certificate = None
        if page_settings.tls:
            certificate = await asyncio.to_thread(tls.certificate, self.data, names, tls.own_addresses())
        shell = Shell(self.root, self.devices, self.before.settings)
        page = CommissionPage(
            shell,
            PinLock(self.data, time.time, time.monotonic),
            data=self.data,
            path=self.path,
            before=self.before,
            hosts=Hosts(names),
            mono_s=time.monotonic,
        )
        listening = listen(page_settings.listen, page_settings.port)
        runner = web.AppRunner(page.app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        assert runner.server is not None
        context = certificate.context() if certificate else None
        doors = page.doors = Doors(runner.server, context, time.monotonic)
        scheme = "https" if certificate else "http"
        self.say(
            f"set this gate up at {scheme}://{_reachable(page_settings.listen)}:{listening.getsockname()[1]}/"
        )
        if certificate:
            self.say(f"certificate fingerprint SHA-256 {tls.grouped(certificate.fingerprint)}")
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks: list[asyncio.Task[None]] = [
            loop.create_task(shell.run()),
            loop.create_task(doors.run(listening)),
            loop.create_task(doors.sweep()),
            loop.create_task(_alive()),
        ]
        ends = [loop.create_task(_until(page.written)), loop.create_task(_until(stop))]
        notify("READY=1\nSTATUS=being commissioned")
        try:
            await asyncio.wait((*tasks, *ends), return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # none ends by itself: whatever did is a defect, and raises here
            if page.written.is_set():
                await asyncio.sleep(ANSWERED_S)
            return page.written.is_set()
        finally:
            for task in (*tasks, *ends):
                task.cancel()
            await asyncio.gather(*tasks, *ends, return_exceptions=True)
            listening.close()
            await doors.close()
            await runner.cleanup()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def _alive() -> None:
    """Feed systemd's watchdog while the loop turns."""
    period_s = watchdog_s()
    while True:
        if period_s:
            notify("WATCHDOG=1")
        await asyncio.sleep(period_s or 3600.0)


def _reachable(address: str) -> str:
    """Return the address to type: the one listened at, or this box's first where it listens on all."""
    if address != EVERYWHERE:
        return address
    others = [str(one) for one in tls.own_addresses() if not one.is_loopback]
    return others[0] if others else socket.gethostname()
