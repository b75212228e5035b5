"""What the front process does: keeps page, uplink, neighbours and modem up until its lane is gone."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec
from aiohttp import web

from admission.reasons import Language
from edge import logs
from edge.clock import SystemClock
from edge.enrolment import Enrolment, NotEnrolled, load
from edge.front import tls
from edge.front.defects import Defects
from edge.front.doors import Doors, listen
from edge.front.lane_client import LaneClient
from edge.front.peers.knock import knock_of
from edge.front.peers.neighbours import Neighbours
from edge.front.perimeter import Hosts
from edge.front.pin import PinLock
from edge.front.server import Page
from edge.front.shown_names import ShownNames
from edge.front.uplink import Uplink
from edge.link import Done, Health, PageSaid, TakeList, UplinkSaid
from edge.settings import CentreSettings, ModemDriver, ModemSettings, PageSettings, PeerSettings
from edge.store.faults import StoreFault
from edge.store.list import LIST_FILE, keep_near
from edge.store.log_reader import LogReader

NICENESS = 10
"""A busy page or upload gives way to the lane whenever both want the processor."""
OOM_SCORE = 300
"""proc(5): where memory runs out, the page goes and not the lane. The front starts with the lane's own score."""
LISTEN_AGAIN_S = 5.0
KNOCK_AGAIN_S = 1.0
"""A box that was swapped in knows the group's key a moment after it was told its manifest."""
UPLINK_AGAIN_S = 2.0
"""Longest pause before the uplink begins anew; each gate waits a random part of it, at least half: when the venue rolls
a key, all of them do so at once."""
SHUTDOWN_S = 1.0
LIST_NEAR_S = 10.0
"""A box whose memory is short lets go of a tenth of what it read in so long; what is there costs nothing to ask for."""

log = logging.getLogger("edge.front")


class FrontSettings(msgspec.Struct, frozen=True):
    """What the lane process tells its front."""

    data: str
    socket: str
    name: str = "gate"
    language: Language | None = None
    page: PageSettings = PageSettings()
    centre: CentreSettings = CentreSettings()
    peers: PeerSettings = PeerSettings()
    modem: ModemSettings = ModemSettings()


async def serve(
    settings: FrontSettings, client: LaneClient, page_tls: tls.PageTls, shown: ShownNames
) -> NoReturn:
    """Serve the page until cancelled; while its address is taken, try again."""
    page_settings, data = settings.page, Path(settings.data)
    host = socket.gethostname()
    names = (*tls.own_names(host), *page_settings.names)
    certificate = (
        await asyncio.to_thread(tls.certificate, data, names, tls.own_addresses())
        if page_settings.tls
        else None
    )
    page = Page(
        client,
        PinLock(data, time.time, time.monotonic),
        data=data,
        name=settings.name,
        language=settings.language,
        hosts=Hosts(names),
        mono_s=time.monotonic,
        fingerprint=certificate.fingerprint if certificate else "",
        names=shown,
    )
    listening = await _listen(page_settings)
    context = page_tls.serve(certificate, names, tls.own_addresses()) if certificate else None
    runner = web.AppRunner(page.app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    assert runner.server is not None
    doors = Doors(runner.server, context, time.monotonic)
    page.doors = doors
    page.url = _url(page_settings, listening.getsockname()[1], host)
    client.say(PageSaid(page.url))
    fingerprint = certificate.fingerprint if certificate else ""
    log.info("page is up", extra={"url": page.url, "port": listening.getsockname()[1]})
    if fingerprint:
        log.info(f"certificate fingerprint SHA-256 {tls.grouped(fingerprint)}")  # noqa: G004 - arguments are dropped from our logs; this is public
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(doors.run(listening))
            tasks.create_task(doors.sweep())
        raise AssertionError("the doors never end by themselves")
    finally:
        listening.close()
        page.closing.set()
        await doors.close()
        await runner.cleanup()


async def keep_serving(
    settings: FrontSettings, client: LaneClient, page_tls: tls.PageTls, names: ShownNames
) -> NoReturn:
    """Serve until cancelled; whatever ends the page, the uplink goes on and the page is tried again."""
    defects = _defects("the page failed, it starts again", "page.defect")
    while True:
        try:
            await serve(settings, client, page_tls, names)
        except Exception as error:  # noqa: BLE001 - logged by what counts them
            await asyncio.sleep(defects.met(error))


def _defects(what: str, code: str) -> Defects:
    return Defects(what, code, UPLINK_AGAIN_S, time.monotonic, random.SystemRandom())


async def _listen(settings: PageSettings) -> socket.socket:
    """Return the listening socket; an address that is taken or not there yet is waited for."""
    told = False
    while True:
        try:
            return listen(settings.listen, settings.port)
        except OSError as error:
            if not told:
                log.error(  # noqa: TRY400 - a trace would tell an operator nothing more
                    "the page cannot listen; is another program on its port? See page.listen and page.port",
                    extra={"code": "page.cannot_listen", "port": settings.port, "errno": error.errno or 0},
                )
            told = True
            await asyncio.sleep(LISTEN_AGAIN_S)


def _url(settings: PageSettings, port: int, host: str) -> str:
    """Return the address to type: the one listened at, or this box's first where it listens on all."""
    name = settings.listen
    if name in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared with, not listened at
        reachable = [str(one) for one in tls.own_addresses() if not one.is_loopback]
        name = reachable[0] if reachable else host
    shown = f"[{name}]" if ":" in name else name
    return f"{'https' if settings.tls else 'http'}://{shown}:{port}/"


async def uplink(
    settings: FrontSettings, client: LaneClient, page_tls: tls.PageTls, names: ShownNames
) -> None:
    """Keep the uplink running where this box is enrolled."""
    try:
        enrolment = await _enrolment(Path(settings.data), client)
    except NotEnrolled:
        client.say(UplinkSaid(Health.OFF, "uplink.unenrolled"))
        return
    except ValueError:
        log.error("the enrolment is damaged; enrol this box again", extra={"code": "uplink.unenrolled"})  # noqa: TRY400 - the hint says all
        client.say(UplinkSaid(Health.BAD, "uplink.unenrolled"))
        return
    client.say(UplinkSaid(Health.DEGRADED, "uplink.starting"))
    defects = _defects("the uplink failed, it starts again", "uplink.defect")
    while True:
        wait_s = UPLINK_AGAIN_S * random.SystemRandom().uniform(0.5, 1.0)
        try:
            await _uplink(settings, client, enrolment, page_tls, names)
            enrolment = await asyncio.to_thread(
                load, Path(settings.data)
            )  # the centre may have rolled its keys
        except Exception as error:  # noqa: BLE001 - logged by what counts them
            wait_s = defects.met(error)
            client.say(UplinkSaid(Health.DEGRADED, "uplink.defect", {"what": "start"}))
        await asyncio.sleep(wait_s)


async def _enrolment(data: Path, client: LaneClient) -> Enrolment:
    """Return the enrolment; a card that does not give it is asked again. NotEnrolled, ValueError."""
    told = False
    while True:
        try:
            return await asyncio.to_thread(load, data)
        except OSError as error:
            if not told:
                log.warning("the enrolment cannot be read now", extra={"errno": error.errno or 0})
                client.say(UplinkSaid(Health.BAD, "uplink.starting"))
            told = True
            await asyncio.sleep(UPLINK_AGAIN_S)


async def _uplink(
    settings: FrontSettings,
    client: LaneClient,
    enrolment: Enrolment,
    page_tls: tls.PageTls,
    names: ShownNames,
) -> None:
    """One life of the uplink."""
    data = Path(settings.data)
    try:
        reader = LogReader.open(data)
    except StoreFault as fault:  # at the very first start the lane has not made it yet
        log.warning("the log cannot be read yet", extra={"kind": fault.kind.value})
        return

    async def take_list(path: Path) -> Done:
        return await client.command(TakeList(0, str(path)))

    link = Uplink(
        enrolment, data, settings.centre, reader, client.say, take_list, client, page=page_tls, names=names
    )
    client.on_appended = link.appended
    client.on_in_memory = link.held
    client.on_list_lost = link.list_lost
    client.on_sync, client.on_looked = link.sync_now, link.looked
    client.on_ask_others = link.ask_others
    near = partial(neighbours, settings, client, enrolment, link) if settings.peers.on else None
    try:
        await link.run(near)
    finally:
        client.on_appended = client.on_in_memory = client.on_list_lost = client.on_sync = None
        client.on_ask_others = client.on_looked = None
        reader.close()


async def neighbours(
    settings: FrontSettings, client: LaneClient, enrolment: Enrolment, link: Uplink
) -> NoReturn:
    """Talk to the gates on the LAN for one life of the uplink, from when the group's key for knocking is known."""
    defects = _defects("the talk with other gates failed, it starts again", "peers.defect")
    while True:
        wait_s = UPLINK_AGAIN_S
        while (knock := await asyncio.to_thread(knock_of, Path(settings.data), enrolment)) is None:  # noqa: ASYNC110 - a file, which sets no event
            await asyncio.sleep(KNOCK_AGAIN_S)
        found = Neighbours(
            enrolment, settings.peers, knock, link.shared(), client, client.say, clock=SystemClock()
        )
        client.on_pushable, client.on_held_pushable = found.appended, found.in_memory
        try:
            await found.run()
        except Exception as error:  # noqa: BLE001 - logged by what counts them
            wait_s = defects.met(error)
        finally:
            client.on_pushable = client.on_held_pushable = None
        await asyncio.sleep(wait_s)


async def modem(settings: FrontSettings, client: LaneClient) -> None:
    """Watch the modem where one is configured; whatever becomes of it, nothing else waits for it."""
    if settings.modem.driver is not ModemDriver.MODEMMANAGER:
        return
    from edge.front.modem import Modem  # noqa: PLC0415 - its library is loaded only where it is configured

    defects = _defects("watching the modem failed, it starts again", "modem.defect")
    while True:
        wait_s = UPLINK_AGAIN_S
        try:
            await Modem(client.say).run()
        except Exception as error:  # noqa: BLE001 - logged by what counts them
            wait_s = defects.met(error)
        await asyncio.sleep(wait_s)


async def keep_list_near(data: Path) -> NoReturn:
    """Keep the list in the kernel's memory, from where the lane reads it."""
    while True:
        await asyncio.to_thread(keep_near, data / LIST_FILE)
        await asyncio.sleep(LIST_NEAR_S)


async def _parent_gone(stop: asyncio.Event) -> None:
    """Wait for a signal, or for the end of standard input: the lane process is gone."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    with contextlib.suppress(PermissionError):  # a plain file as input: nobody is at the other end
        loop.add_reader(0, readable)
    await stop.wait()


async def main(settings: FrontSettings) -> None:
    """Run the front until its parent is gone."""
    client = LaneClient(Path(settings.socket))
    page_tls, names = tls.PageTls(Path(settings.data)), ShownNames()
    client.on_names = names.wants
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(client.run()),
        asyncio.create_task(keep_serving(settings, client, page_tls, names)),
        asyncio.create_task(uplink(settings, client, page_tls, names)),
        asyncio.create_task(modem(settings, client)),
        asyncio.create_task(keep_list_near(Path(settings.data))),
    ]
    await _parent_gone(stop)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("the front ended with a defect", exc_info=result, extra={"code": "front.defect"})


def begin(told: str) -> None:
    """Be the front that its lane tells of, as JSON; returns when it ended."""
    logs.start()
    # What strangers send must not fill the card. Defects of ours are logged by `edge.front` itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    asyncio.run(main(msgspec.json.decode(told, type=FrontSettings)))
