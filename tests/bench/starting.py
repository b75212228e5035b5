"""How soon a box is up and a list in use, and how much memory all of it takes."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from admission.records import Outcome
from edge.front_process import THRIFT
from edge.lists import FILE as LIST_FILE
from edge.store.disk import LocalDisk
from edge.store.list import ListStore
from edge.store.log_reader import log_path
from tests.bench import gate, stock
from tests.bench.deciding import Desk
from tests.bench.latency import PROBES, box
from tests.bench.load import PROBE_S, Lanes, texts_of
from tests.bench.report import Goal, Row, median
from tests.bench.scale import Scale
from tests.edge.rig import code

LOOK_S = 0.1
"""Pace of looking at the memory of all processes; each look costs them some ms."""
STEADY_S = 3.0
LIBRARIES = {
    "guard": "contextlib, enum, fcntl, json, select, signal, struct, termios, time",
    "lane": "asyncio, apsw, cbor2, cryptography.hazmat.primitives.asymmetric.ed25519, logging, msgspec, serial, zstandard",
    "front": "aiohttp, apsw, cbor2, cryptography.hazmat.primitives.asymmetric.ed25519, logging, msgspec, ssl, zstandard",
}
"""What each process of a gate loads of others' work; the front its aiohttp in the sparing way of `edge.front`."""


async def _first_verdict_s(scale: Scale, data: Path, *, cold: bool, seed: int) -> tuple[float, int]:
    """Start a gate; return seconds from exec to the first command at the relay board, and how many wrong ones."""
    lanes = Lanes(scale.folder / "dev")
    lanes.plug()
    config = scale.folder / "start.toml"
    config.write_text(lanes.toml(data))
    probes = iter(texts_of(stock.picks(scale.tickets, seed), min(PROBES, scale.tickets // 4)))
    if cold:
        gate.cool(data / LIST_FILE, log_path(data))
    with gate.running(config) as running:
        relay_ns = await lanes.first_release(probes)
    lanes.unplug()
    return (relay_ns - running.began_ns) / 1e9, len(running.pids())


def gate_ready(scale: Scale) -> list[Row]:
    """Exec to the first person let in."""
    data = box(scale, "ready", scale.log_records)
    content = (
        f"list of {scale.tickets:,} tickets, log of {scale.log_records:,} records and of the starts before"
    )
    rows = []
    for cold in (False, True):
        seconds = [
            asyncio.run(_first_verdict_s(scale, data, cold=cold, seed=100 + n + 50 * cold))[0]
            for n in range(scale.starts)
        ]
        cache = "list and log not in the page cache, Python's own files are" if cold else "page cache warm"
        rows.append(
            Row(
                name="gate_ready_cold_s" if cold else "gate_ready_s",
                value=median(seconds),
                unit="s",
                goal=None if cold else Goal(1),
                conditions=f"exec to the first relay command, a fresh code every {1000 * PROBE_S:g} ms; median of {len(seconds)} "
                f"({min(seconds):.2f}-{max(seconds):.2f}); {content}; {cache}",
            )
        )
    return rows


class _Peak:
    """Looks at memory until told to stop; from a thread of its own."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.mb = 0.0
        self.processes = 0
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(LOOK_S):
            pids = self._pids()
            self.mb = max(self.mb, gate.pss_mb(pids))
            self.processes = max(self.processes, len(pids))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def libraries_mb() -> float:
    """The memory of three interpreters that have loaded what a gate's processes load of others, and nothing of ours."""
    started = []
    try:
        for names in LIBRARIES.values():
            sparing = (
                "from edge.front.__main__ import load_aiohttp; load_aiohttp(); " if "aiohttp" in names else ""
            )
            idle = subprocess.Popen(
                [sys.executable, "-c", f"{sparing}import {names}, sys; print(flush=True); sys.stdin.read()"],
                env={**os.environ, **gate.unit_environment(), **(THRIFT if sparing else {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            started.append(idle)
            assert idle.stdout is not None
            assert idle.stdout.readline() == b"\n", f"{names} cannot be loaded"
        return gate.pss_mb([idle.pid for idle in started])
    finally:
        for idle in started:
            idle.communicate()


async def _tree(scale: Scale, data: Path, snapshot: Path) -> tuple[float, float, int]:
    """Peak of a gate alone, peak with a builder beside it (MB), and how many processes that were."""
    lanes = Lanes(scale.folder / "dev")
    lanes.plug()
    config = scale.folder / "tree.toml"
    config.write_text(lanes.toml(data))
    tickets = stock.picks(scale.tickets, 7)
    probes = iter(texts_of(tickets, min(PROBES, scale.tickets // 4)))
    texts = iter(texts_of(tickets, min(60, scale.tickets // 4)))
    builders: list[int] = []
    with gate.running(config) as running:
        alone = _Peak(lambda: list(running.pids()))
        await lanes.first_release(probes)
        await lanes.clear()
        await lanes.run(texts, min(8, scale.scans), 3, scale.mean_s)
        await asyncio.sleep(min(STEADY_S, scale.scans / 4))
        alone.stop()
        both = _Peak(lambda: [*running.pids(), *builders])
        builder = await _builder(snapshot, scale.folder / "built.sqlite3")
        builders.append(builder.pid)
        assert await builder.wait() == 0
        both.stop()
    lanes.unplug()
    return alone.mb, max(alone.mb, both.mb), both.processes


def tree_pss(scale: Scale) -> list[Row]:
    """All processes of a gate at their peak, while a new list of the whole size is built."""
    snapshot = scale.folder / "snapshot"
    stock.make("snapshot", snapshot, scale.tickets)
    alone_mb, peak_mb, processes = asyncio.run(_tree(scale, box(scale, "tree", scale.log_records), snapshot))
    return [
        Row(
            name="gate_pss_mb",
            value=alone_mb,
            unit="MB",
            floor=libraries_mb(),
            goal=Goal(60),
            conditions=f"peak PSS of lane, guard and front while people pass, looked at every {LOOK_S:g} s; four lanes, "
            f"no lists being built; floor: three processes with the libraries that these load, and nothing of ours",
        ),
        Row(
            name="tree_pss_mb",
            value=peak_mb,
            unit="MB",
            goal=Goal(110),
            conditions=f"peak PSS of {processes} processes, looked at every {LOOK_S:g} s: lane, guard, front, and a builder "
            f"making a list of {scale.tickets:,} tickets; without the builder {alone_mb:.1f} MB",
        ),
    ]


async def _builder(snapshot: Path, out: Path) -> asyncio.subprocess.Process:
    """Start a builder as the front does, told what it may believe."""
    builder = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.builder", str(snapshot), str(out),
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, **gate.unit_environment(), **THRIFT},
    )  # fmt: skip
    assert builder.stdin is not None
    builder.stdin.write(stock.order())
    builder.stdin.close()
    return builder


async def _load_s(snapshot: Path, out: Path, desk_data: Path, text: bytes) -> float:
    """One load of a snapshot file, in seconds."""
    desk = Desk(desk_data, LocalDisk())
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    builder = await _builder(snapshot, out)
    assert await builder.wait() == 0
    store = ListStore.open(out)
    desk.use(store)
    assert desk.decide(text) is Outcome.GRANT
    spent_s = time.perf_counter() - began
    store.close()
    desk.close()
    return spent_s


def list_load(scale: Scale) -> Row:
    """Snapshot file to the first decision by it, by the builder's own process."""
    snapshot, out = scale.folder / "snapshot-load", scale.folder / "loaded.sqlite3"
    stock.make("snapshot", snapshot, scale.load_tickets)
    text = code(scale.load_tickets // 2)
    seconds = [asyncio.run(_load_s(snapshot, out, scale.folder / "desk", text)) for _ in range(scale.starts)]
    return Row(
        name="list_load_100k_s",
        value=median(seconds),
        unit="s",
        goal=Goal(1),
        conditions=f"file of {snapshot.stat().st_size:,} bytes, {scale.load_tickets:,} tickets: builder process started, "
        f"decrypted, verified, unpacked, built, synced, opened, first decision; median of {len(seconds)}",
    )


def measure(scale: Scale) -> list[Row]:
    """All of it."""
    return [*gate_ready(scale), *tree_pss(scale), list_load(scale)]
