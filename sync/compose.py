"""The only file that puts the centre together: opens its data, makes the application, listens."""

import asyncio
import gc
import ipaddress
import logging
import signal
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from sqlalchemy import select

from sync.accounts import idempotency
from sync.backup.archive import before_upgrade
from sync.backup.retention import run_due
from sync.chores import keep_doing
from sync.customers.bound import settle_due
from sync.gates import arrivals, own_log, replica, tables
from sync.gates.handlers import NETS, GateApi, Nets
from sync.gates.redeem import Redeemer
from sync.imports import keeping
from sync.keys import VenueKeys, load_or_make
from sync.orders.cancelling import expire_due
from sync.store.database import CentreFault, Database
from sync.web.app import application
from sync.web.doors import Doors, listening
from sync.web.senders import Proxies

ADDRESS_FILE = "address"
"""Where the centre listens while it does, in its data folder: the hint to an enrolment code names it."""
SHUTDOWN_S = 5.0
"""Longest wait for requests under way when the centre stops."""

_STRANGERS = logging.getLogger("sync.web.strangers")
"""What aiohttp says of requests it cannot read, with their bytes: neither the noise nor the bytes go to the journal."""
_STRANGERS.setLevel(logging.CRITICAL)


def system_now_s() -> int:
    """Return the time in unix seconds."""
    return int(time.time())


def system_now_us() -> int:
    """Return the time in unix microseconds."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Centre:
    """The centre's data, opened."""

    data: Path
    database: Database
    keys: VenueKeys

    def close(self) -> None:
        """Give the files back."""
        self.database.close()


def open_centre(data: Path, url: str = "") -> Centre:
    """Open a data folder, made where there is none; CentreFault where that cannot be. `url`: of PostgreSQL, else SQLite."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CentreFault(
            f"{data} cannot be made: {error.strerror}", "Give a folder that this user may write with --data."
        ) from error
    database = Database.open(data, url, before_upgrade(data, url))
    try:
        with database.reading() as connection:
            enrolled = connection.execute(
                select(tables.gate.c.id).where(tables.gate.c.public.is_not(None)).limit(1)
            ).scalar()
        return Centre(data, database, load_or_make(data, may_make=enrolled is None))
    except CentreFault:
        database.close()
        raise


@dataclass(frozen=True, slots=True)
class Serving:
    """A centre that listens."""

    url: str
    runner: web.AppRunner
    doors: Doors

    async def stop(self) -> None:
        """Stop listening and finish requests under way."""
        await self.doors.close()
        await self.runner.cleanup()


async def listen(
    centre: Centre,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    now_s: Callable[[], int] = system_now_s,
    mono_s: Callable[[], float] = time.monotonic,
    names: Iterable[str] = (),
    now_us: Callable[[], int] | None = None,
    nets: Nets = NETS,
    proxies: Proxies | None = None,
) -> Serving:
    """Listen; port 0 takes a free one. CentreFault where the address cannot be had. `now_us`: `now_s`, finer."""
    doors = Doors(mono_s, proxies)
    gates = GateApi(centre.database, centre.keys, centre.data, now_s, mono_s, nets)
    redeemer = Redeemer(
        centre.database,
        replica.seed_of(centre.data),
        now_us or (lambda: now_s() * 1_000_000),
        mono_s,
        gates.feeds.recorded,
    )
    app = application(centre.database, centre.keys, gates, redeemer, doors.middleware, now_s, names, proxies)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, logger=_STRANGERS)
    await runner.setup()
    try:
        sockets = await listening(host, port)
    except OSError as error:
        await runner.cleanup()
        raise CentreFault(
            f"cannot listen on {host} port {port}: {error.strerror}",
            "Stop what listens there, or choose another with --port (0 takes a free one).",
        ) from error
    assert runner.server is not None, "set up above"
    doors.open(runner.server, sockets, tls)
    address = sockets[0].getsockname()
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    return Serving(f"{'https' if tls else 'http'}://{name}:{address[1]}", runner, doors)


async def serve(
    centre: Centre,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    ready: Callable[[str], None],
    names: Iterable[str] = (),
    proxies: Proxies | None = None,
) -> None:
    """Listen until SIGINT or SIGTERM; `ready` is told the address, `names` are those people reach it by."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    serving = await listen(centre, host, port, tls, names=names, now_us=system_now_us, proxies=proxies)
    address = centre.data / ADDRESS_FILE
    chores = asyncio.create_task(
        keep_doing(
            [
                lambda: expire_due(centre.database, centre.keys, system_now_s()),
                lambda: run_due(centre.database, system_now_s()),
                lambda: own_log.retire(centre.database, system_now_s()),
                lambda: arrivals.join_old(centre.database),
                lambda: settle_due(centre.database, centre.keys, system_now_s()),
                lambda: idempotency.forget_due(centre.database, system_now_s()),
                lambda: keeping.forget_abandoned(centre.database, system_now_s()),
            ]
        )
    )
    try:
        address.write_text(serving.url)
        ready(serving.url)
        # What is loaded by now stays: a full collection that walked it all would hold everybody up for 60 ms.
        gc.freeze()
        await stop.wait()
    finally:
        address.unlink(missing_ok=True)
        chores.cancel()
        await asyncio.gather(chores, return_exceptions=True)
        await serving.stop()


def address_for_boxes(data: Path) -> str:
    """Return the centre's address as a box is told it: its own where it listens on loopback, else a form to fill in."""
    try:
        url = (data / ADDRESS_FILE).read_text()
        host = urlsplit(url).hostname or ""
        if ipaddress.ip_address(host).is_loopback:
            return url
    except (OSError, ValueError):
        pass
    return "https://ADDRESS:PORT"


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS context of a certificate and its key; CentreFault where they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CentreFault(
            f"the certificate {certificate} or its key cannot be used: {error}",
            "Give a PEM certificate chain and its unencrypted key, readable by this user.",
        ) from error
    return context
