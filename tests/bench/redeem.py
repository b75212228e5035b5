"""Scans by API, as other people's scanners send them: how many a second, and how long each waits, on both engines.

A centre as it is sold in one process; 16 scanners in another, each with a connection that stays open, the next scan
when the last is answered. The tickets are signed codes, each new to the centre, one in ten presented again. The floor,
in turns with the load: aiohttp alone, which has one row committed as durably for all requests that came meanwhile, and
answers a constant.

`python -m tests.bench.redeem scanners URL LOAD OUT` and `… floor FOLDER [DATABASE]` are its other processes.
"""

import asyncio
import itertools
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg
from aiohttp import web
from sqlalchemy import make_url

from sync import demo
from tests.bench.centre import Child, House, child, fill, serving
from tests.bench.report import Goal, Row, percentile
from tests.bench.scale import Scale
from tests.postgres import postgres, programs

SCANNERS = 16
AGAIN = 10
"""One scan in so many is of a ticket that was let in before."""
RATE_GOAL = Goal(1_200, at_least=True)
WAIT_GOAL = Goal(50)
PATH = f"/api/v1/events/{demo.EVENT}/redeem"
ANSWER = b'{"outcome":"grant","reason":"","ticket":1,"record":"1-0000000000000001-1","flagged":false,"used_s":0,"used_gate":0}'
SLICE_S = 300.0


class Load(msgspec.Struct):
    """What the scanners send: bodies, and by whose token."""

    token: str
    bodies: list[bytes]


class Told(msgspec.Struct):
    """What came of it."""

    seconds: float
    waits_ms: list[float]


def measure(size: Scale) -> list[Row]:
    """Measure on SQLite, and on PostgreSQL where it is installed."""
    found = _rows(size, "sqlite", "", size.folder)
    if programs() is not None:
        with postgres(durable=True) as server:
            found += _rows(size, "postgres", server.make("redeem"), size.folder)
    return found


def _rows(size: Scale, engine: str, database: str, folder: Path) -> list[Row]:
    data, bare = folder / f"redeem-{engine}", folder / f"bare-{engine}"
    data.mkdir()
    bare.mkdir()
    house = fill(data, 0, size.redeems + size.warm, database=database)
    bodies = _bodies(house)
    with serving(house) as centre, _floor(bare, database) as (_, floor_url):
        _scan(data, centre.url, Load(house.token, list(itertools.islice(bodies, size.warm))))
        cpu_ms = _cpu_ms(centre.process.pid)
        told: list[Told] = []
        least: list[Told] = []
        for _ in range(size.turns):
            load = Load(house.token, list(itertools.islice(bodies, size.redeems // size.turns)))
            told.append(_scan(data, centre.url, load))
            least.append(_scan(bare, floor_url, load))
        cpu_ms = _cpu_ms(centre.process.pid) - cpu_ms
    count = sum(len(one.waits_ms) for one in told)
    conditions = (
        f"{engine}, {SCANNERS} scanners in a process of their own, {count} signed tickets of {len(house.tickets)}, "
        f"one in {AGAIN} again; {cpu_ms / count:.2f} ms of a core each at the centre; floor: aiohttp alone, one row "
        "committed for all that came meanwhile; pretix on such a machine: 36 to 43/s, 450 to 790 ms"
    )
    name = "redeem_api" if engine == "sqlite" else "redeem_api_pg"
    return [
        Row(
            name=f"{name}_per_s", value=_rate(told), unit="scans/s", floor=_rate(least),
            goal=RATE_GOAL, conditions=conditions,
        ),
        Row(
            name=f"{name}_p99_ms", value=_p99(told), unit="ms", floor=_p99(least),
            goal=WAIT_GOAL, conditions=conditions,
        ),
    ]  # fmt: skip


def _rate(told: list[Told]) -> float:
    return sum(len(one.waits_ms) for one in told) / sum(one.seconds for one in told)


def _p99(told: list[Told]) -> float:
    return percentile([wait for one in told for wait in one.waits_ms], 99)


def _bodies(house: House) -> Iterator[bytes]:
    for number, ticket in enumerate(house.tickets):
        again = number % AGAIN == AGAIN - 1
        scan = {
            "scan_id": f"scan-{number}",
            "code": house.text(house.tickets[number // 2] if again else ticket),
        }
        yield msgspec.json.encode({**scan, "zone": int(demo.ARENA), "session": int(demo.TODAY)})


def _cpu_ms(pid: int) -> float:
    """Return what a process has used of the cores."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICKS


TICKS = os.sysconf("SC_CLK_TCK")
"""USER_HZ: proc(5), utime."""


def _scan(folder: Path, url: str, load: Load) -> Told:
    sent, told = folder / "load", folder / "told"
    sent.write_bytes(msgspec.msgpack.encode(load))
    with child(
        folder / "scanners.log", "tests.bench.redeem", "scanners", url, str(sent), str(told)
    ) as scanners:
        scanners.line("done", SLICE_S)
    return msgspec.msgpack.decode(told.read_bytes(), type=Told)


@contextmanager
def _floor(folder: Path, database: str) -> Iterator[tuple[Child, str]]:
    given = [database] if database else []
    with child(folder / "floor.log", "tests.bench.redeem", "floor", str(folder), *given) as process:
        yield process, process.line("listens on")


# --- the scanners ----------------------------------------------------------------------------------------------------


class _Scanner(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self) -> None:
        self._said = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._said += data
        head, found, body = self._said.partition(b"\r\n\r\n")
        if found and len(body) == int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            assert self._answer is not None, "asked"
            assert head.startswith(b"HTTP/1.1 200 "), self._said
            self._said = b""
            self._answer.set_result(body)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the centre hung up"))

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the answer's body."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


async def _scanners(url: str, load: Load) -> Told:
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 0)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {load.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    requests = iter([head + b"%d\r\n\r\n" % len(body) + body for body in load.bodies])
    loop = asyncio.get_running_loop()
    open_ = [(await loop.create_connection(_Scanner, host, port))[1] for _ in range(SCANNERS)]
    waits: list[float] = []

    async def work(scanner: _Scanner) -> None:
        for request in requests:
            began = time.perf_counter()
            await scanner.ask(request)
            waits.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*map(work, open_))
    told = Told(time.perf_counter() - began, waits)
    for one in open_:
        one.close()
    return told


# --- the floor -------------------------------------------------------------------------------------------------------


class _Bare:
    """Commits a row for whoever waits."""

    def __init__(self, commit: Callable[[], None]) -> None:
        self._commit = commit
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[asyncio.Future[None]] = []
        self._running: asyncio.Task[None] | None = None

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await done
        return web.Response(body=ANSWER, content_type="application/json")

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit)
            for one in batch:
                one.set_result(None)
        self._running = None


def _commit_sqlite(folder: Path) -> Callable[[], None]:
    connection = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (n INTEGER PRIMARY KEY, said BLOB NOT NULL)")

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare (said) VALUES (?)", (ANSWER,))
        connection.execute("COMMIT")

    return commit


def _commit_postgres(database: str) -> Callable[[], None]:
    address = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(address)
    connection.execute("CREATE TABLE bare (n bigserial PRIMARY KEY, said bytea NOT NULL)")
    connection.commit()

    def commit() -> None:
        connection.execute("INSERT INTO bare (said) VALUES (%s)", (ANSWER,))
        connection.commit()

    return commit


async def _serve_floor(folder: Path, database: str) -> None:
    app = web.Application()
    bare = _Bare(_commit_postgres(database) if database else _commit_sqlite(folder))
    app.add_routes([web.post(PATH, bare.answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listens on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    match arguments:
        case ["scanners", url, load, out]:
            told = asyncio.run(_scanners(url, msgspec.msgpack.decode(Path(load).read_bytes(), type=Load)))
            Path(out).write_bytes(msgspec.msgpack.encode(told))
            print("done", flush=True)
        case ["floor", folder, *rest]:
            asyncio.run(_serve_floor(Path(folder), rest[0] if rest else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
