"""Everybody at once: two thousand gates that come back together, and forty that bring a whole day's records.

The gates of the first are light ones with the uplink's own client and waits (`tests.bench.returning`), those of the
second push signed logs by the uplink's own sender (`tests.bench.pushers`); the centre is a process of its own.
"""

import asyncio
import re
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import aiohttp

from sync import demo
from tests.bench.centre import Child, House, Serving, child, fill, keys_file, serving
from tests.bench.gate import pss_mb
from tests.bench.report import Goal, Row, percentile
from tests.bench.scale import Scale
from tests.postgres import postgres, programs

BACK_MAX_S = 120.0
TRUE_MAX_S = 240.0
QUEUED_MAX_S = 120.0
GOAL_S = 60
GATES_OF_A_HOUSE = 40
"""Two thousand gates are not one house's: each hears of the others of its own only."""
CONNECTIONS = 4
"""Of each gate: its stream, changes, records and the others' news."""
AT_A_TIME = 64
LOADS = 300
READ_BYTES = 1 << 16
MEMORY_EVERY_S = 1.0
_ADMITTED = re.compile(r"<dt>Admitted</dt><dd>([^<]*)</dd>")


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    rows = _returning(size)
    rows += asyncio.run(_queues(size, "board_40x36k", ""))
    if programs() is not None:
        with postgres(durable=True, folder=None) as server:
            rows += asyncio.run(_queues(size, "board_40x36k_pg", server.make("crowd")))
    return rows


# --- all gates come back ---------------------------------------------------------------------------------------------


def _returning(size: Scale) -> list[Row]:
    folder = size.folder / "returning"
    houses = max(1, size.streams // GATES_OF_A_HOUSE)
    house = fill(folder / "centre", size.streams, houses=houses)
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        centre = first.enter_context(serving(house))
        keys = keys_file(folder / "gates", house.gates, centre.url)
        crowd = stack.enter_context(child(folder / "gates.log", "tests.bench.returning", str(keys)))
        opened_s, _ = _in_order(crowd)
        centre.process.end(signal.SIGKILL)
        first.close()
        centre = stack.enter_context(serving(house, int(centre.url.rpartition(":")[2])))
        back_s, wrong = _in_order(crowd)
        memory = pss_mb([centre.process.pid])
        crowd.end()
        floor_s = asyncio.run(_asked_s(centre.url, size.streams * CONNECTIONS))
    conditions = (
        f"{size.streams} light gates of {houses} houses, four connections each, with the uplink's own client, waits and jitter; "
        f"centre killed and started anew on the same port; from the first cut until every gate's stream, changes, "
        f"records and feed were answered; at their first start {opened_s:.1f} s; centre {memory:.0f} MB then; plain "
        f"http on loopback, SQLite; floor: as many new connections, {AT_A_TIME} at a time, that each ask whether the centre is well"
    )
    times = sum(wrong)
    return [
        Row(
            name="reconnect_2000_s",
            value=back_s,
            unit="s",
            floor=floor_s,
            goal=Goal(GOAL_S),
            conditions=conditions,
        ),
        Row(name="reconnect_5xx", value=times, unit="answers", goal=Goal(0), conditions=conditions),
    ]


async def _asked_s(url: str, times: int) -> float:
    """Return how long so many questions take, each on a connection of its own."""
    left = iter(range(times))
    connector = aiohttp.TCPConnector(limit=AT_A_TIME, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            for _ in left:
                async with session.get(f"{url}/healthz") as answer:
                    await answer.read()
                    assert answer.status == 200

        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(AT_A_TIME)))
        return time.perf_counter() - began


def _in_order(crowd: Child) -> tuple[float, list[int]]:
    """Wait until all gates are in order; returns after how long, and how often the centre was in trouble."""
    seconds, _, wrong = crowd.line("in order", BACK_MAX_S).partition(" ")
    return float(seconds), [int(times) for times in re.findall(r": (\d+)", wrong)]


# --- forty bring a day's records -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Watch:
    """What somebody with the board open saw; times are CLOCK_MONOTONIC, s."""

    admitted: int = 0
    at_s: float = 0.0
    looks: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    peak_mb: float = 0.0


async def _queues(size: Scale, name: str, database: str) -> list[Row]:
    folder = size.folder / name
    house = await asyncio.to_thread(fill, folder / "centre", size.queues, 0, 0, database)
    with ExitStack() as stack:
        centre = stack.enter_context(serving(house))
        keys = keys_file(folder / "gates", house.gates, centre.url)
        asked = ("tests.bench.pushers", "drain", str(keys), str(size.queue_records))
        gates = stack.enter_context(child(folder / "gates.log", *asked))
        records, visits = map(int, (await asyncio.to_thread(gates.line, "queued", QUEUED_MAX_S)).split())
        watch = _Watch()
        looking = asyncio.create_task(_watch(house, centre, visits, watch))
        weighing = asyncio.create_task(_weigh(centre, watch))
        await watch.opened.wait()
        began_s = time.monotonic()
        gates.say("go")
        try:
            await asyncio.wait_for(looking, TRUE_MAX_S)
        finally:
            weighing.cancel()
        drained_s = float(await asyncio.to_thread(gates.line, "drained", TRUE_MAX_S))
        gates.end()
        loads_ms, bare_ms = await _loads(house, centre)
    engine = "PostgreSQL, fsync on" if database else "SQLite"
    true = Row(
        name=f"{name}_s",
        value=watch.at_s - began_s,
        unit="s",
        floor=drained_s,
        goal=Goal(GOAL_S),
        conditions=f"{size.queues} gates with {records // size.queues} records queued each push at once over plain http, "
        f"{engine}; until a board that is open shows all {visits} admissions "
        f"({records} records, all acknowledged after {drained_s:.1f} s); the board changed {watch.looks} times "
        f"meanwhile; centre at most {watch.peak_mb:.0f} MB; gates' own process on the same machine; floor: all acknowledged",
    )
    page = Row(
        name=f"board_page{'_pg' if database else ''}_p99_ms",
        value=percentile(loads_ms, 99),
        unit="ms",
        floor=percentile(bare_ms, 99),
        conditions=f"the board's page, whole, by HTTP on loopback, with those {records} records there; {engine}; "
        f"n={len(loads_ms)}, p50 {percentile(loads_ms, 50):.1f} ms; floor: the same person's list of events, in turn",
    )
    return [true, page]


async def _loads(house: House, centre: Serving) -> tuple[list[float], list[float]]:
    """Load the board's page again and again, in turn with one that counts nothing."""
    found: tuple[list[float], list[float]] = ([], [])
    headers = {"Cookie": f"session={house.session}", "Accept-Language": "en"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(LOADS):
            for took, path in zip(found, (f"/events/{demo.EVENT}/board", "/events"), strict=True):
                began = time.perf_counter()
                async with session.get(centre.url + path) as answer:
                    await answer.read()
                    assert answer.status == 200
                took.append((time.perf_counter() - began) * 1000)
    return found


async def _watch(house: House, centre: Serving, visits: int, watch: _Watch) -> None:
    """Have the board open, as a browser has, until it shows so many admitted."""
    headers = {"Cookie": f"session={house.session}", "Accept-Language": "en"}
    unlimited = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=unlimited, read_bufsize=READ_BYTES) as session,
        session.get(f"{centre.url}/events/{demo.EVENT}/board/live") as stream,
    ):
        assert stream.status == 200, await stream.text()
        page: list[str] = []
        while watch.admitted < visits:
            line = (await stream.content.readline()).decode()
            assert line, "the board's stream ended"
            if line.strip():
                page.append(line.removeprefix("data: ").strip())
                continue
            found = _ADMITTED.search("".join(page))
            page.clear()
            if found is not None:
                watch.opened.set()
                watch.looks += 1
                watch.at_s = time.monotonic()
                watch.admitted = int("".join(one for one in found[1] if one.isdecimal()))
    assert watch.admitted == visits, f"the board shows {watch.admitted} of {visits}"


async def _weigh(centre: Serving, watch: _Watch) -> None:
    while True:
        watch.peak_mb = max(watch.peak_mb, await asyncio.to_thread(pss_mb, [centre.process.pid]))
        await asyncio.sleep(MEMORY_EVERY_S)
