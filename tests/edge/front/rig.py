"""A page over real sockets and TLS, in front of a fake lane, with a clock that the test turns."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from admission.reasons import Language
from edge.front import tls
from edge.front.doors import Doors, listen
from edge.front.lane_client import LaneClient
from edge.front.perimeter import Hosts
from edge.front.pin import PinLock, new_pin
from edge.front.server import Page
from edge.front.shown_names import ShownNames
from edge.link import Seen
from tests.edge.front.fake_lane import FakeLane


class Heard:
    """A listener of the client: tests wait on it instead of sleeping."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[None] = asyncio.Queue()
        self.scans: asyncio.Queue[Seen] = asyncio.Queue()
        self.corrections: asyncio.Queue[Seen] = asyncio.Queue()

    def changed(self) -> None:
        self.changes.put_nowait(None)

    def seen(self, scan: Seen) -> None:
        self.scans.put_nowait(scan)

    def corrected(self, scan: Seen) -> None:
        self.corrections.put_nowait(scan)


@dataclass
class Rig:
    lane: FakeLane
    client: LaneClient
    heard: Heard
    page: Page
    doors: Doors
    names: ShownNames
    pin: str
    url: str
    now_s: list[float] = field(default_factory=lambda: [1000.0])

    @property
    def origin(self) -> dict[str, str]:
        return {"Origin": self.url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[aiohttp.ClientSession]:
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, as browsers keep them too
        connector = aiohttp.TCPConnector(ssl=False)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar, connector=connector) as session:
            yield session

    async def log_in(self, session: aiohttp.ClientSession) -> None:
        async with session.post("/api/pin", json={"pin": self.pin}, headers=self.origin) as answer:
            assert answer.status == 200


@contextlib.asynccontextmanager
async def rig(
    data: Path, *, with_tls: bool = True, frozen: bool = True, language: Language | None = None
) -> AsyncIterator[Rig]:
    """Run everything in this loop. `frozen`: time stands still but for what a test adds to `now_s`."""
    now_s = [1000.0]
    loop = asyncio.get_running_loop()
    mono = (lambda: now_s[0]) if frozen else loop.time
    pin = new_pin(data)
    lane = FakeLane(data / "lane.sock")
    await lane.hub.start()
    client, heard = LaneClient(data / "lane.sock"), Heard()
    certificate = tls.certificate(data, ("localhost",), tls.own_addresses())
    names = ShownNames()
    page = Page(
        client,
        PinLock(data, lambda: now_s[0], lambda: now_s[0]),
        data=data,
        name="Arena",
        hosts=Hosts(["gate.local"]),
        mono_s=mono,
        language=language,
        fingerprint=certificate.fingerprint,
        names=names,
    )
    runner = web.AppRunner(page.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    listening = listen("127.0.0.1", 0)
    doors = Doors(runner.server, certificate.context() if with_tls else None, mono)
    page.doors = doors
    page.url = f"{'https' if with_tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}/"
    with client.listening(heard):
        tasks = [loop.create_task(client.run()), loop.create_task(doors.run(listening))]
        await heard.changes.get()
        try:
            yield Rig(lane, client, heard, page, doors, names, pin, page.url, now_s)
        finally:
            page.closing.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listening.close()
            await doors.close()
            await runner.cleanup()
            await lane.hub.stop()
