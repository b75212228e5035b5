"""The uplink's cost: what an idle day carries, what a change of the list weighs, and how soon a killed gate decides again."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import update

from admission.entitlements import OfflinePolicy, Standing
from edge.enrol import enrol
from edge.front.meter import Carried
from edge.front.pace import Idle
from edge.front.uplink import LIST_EVERY, TIME_EVERY, Uplink
from edge.settings import CentreSettings
from edge.store.log_reader import LogReader
from sync import compose, demo
from sync.events import tables
from sync.events.rows import GROUP
from sync.gates import enrolment as codes
from sync.gates import roster
from sync.gates.changes import Changes, EventState, states
from sync.tickets import changes, rows
from sync.wire.deltas import Delta, read_delta
from sync.wire.seals import REST_RENEW_S
from tests.bench import gate, stock
from tests.bench.centre import fill
from tests.bench.latency import PROBES, box
from tests.bench.load import Lanes, texts_of
from tests.bench.report import Goal, Row, median
from tests.bench.scale import Scale
from tests.edge.front.slow_link import SlowLink
from tests.house import ROOT
from tests.sync.box import Box
from tests.sync.gates import PLANS, SECOND_GATE, SECOND_NAME
from tests.sync.test_tls import certificate

DAY_S: Final = 86_400.0
MEGABYTE: Final = 1e6
QUIET_S: Final = 0.0
"""The measured gates rest from their start: a real one's first ten minutes cost what a busy time does, once, and so do the
questions that it put off by a minute or ten before it rested."""
SETTLE_S: Final = 35.0
"""Until what a start asks for is done, and its connections are closed."""
PRESSED_ROUND_S: Final = 100 / 3
"""Rounds come so often at the second gate: longer than aiohttp keeps a connection, so that each opens anew as a real one does."""
ROUND_S: Final = 1200.0
LONG_ROUND_S: Final = 86_000.0
"""At the gate whose stream alone is weighed: no round falls into the span, or one in a hundred times; a status may say no more."""
CHANGES: Final = 1_000
"""In one batch; the budget speaks of a hundred and more."""
FEW_CHANGES: Final = 100
UNIT: Final = ROOT / "systemd" / "gatehouse-edge.service"


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    return [_delta(size), *_killed(size), asyncio.run(_idle(size))]


# --- a change of the list ---------------------------------------------------------------------------------------------


def _delta(size: Scale) -> Row:
    """Cancel tickets in one transaction; weigh the page that gates get."""
    data = size.folder / "delta"
    house = fill(data, 1, CHANGES + FEW_CHANGES)
    centre = compose.open_centre(data)
    now_s = int(time.time())
    found: dict[int, tuple[float, float]] = {}
    try:
        asked = Changes(centre.database, centre.keys)
        for count, tickets in (
            (FEW_CHANGES, house.tickets[:FEW_CHANGES]),
            (CHANGES, house.tickets[FEW_CHANGES:]),
        ):
            with centre.database.reading() as connection:
                at = next(one for one in states(connection) if one.event == demo.EVENT)
            with changes.change(centre.database, [demo.EVENT], now_s) as connection:
                for one in tickets:
                    assert rows.set_standing(connection, demo.EVENT, one, Standing.CANCELLED)
            asked.look(now_s)
            read = list(_pages(asked, house.gates[0].list_key, at))
            assert sum(len(one.rows) for one, _ in read) == count
            digests = sum(len(row.digest) for one, _ in read for row in one.rows)
            found[count] = sum(weight for _, weight in read) / count, digests / count
    finally:
        centre.close()
    each, floor = found[FEW_CHANGES]
    return Row(
        name="delta_bytes_per_change",
        value=each,
        unit="B",
        floor=floor,
        goal=Goal(32),
        conditions=f"a page of {FEW_CHANGES} cancels, signed, as it comes from the centre without HTTP's own; with {CHANGES} of "
        f"them {found[CHANGES][0]:.1f} B; floor: the digests alone, which do not pack",
    )


def _pages(asked: Changes, key: Ed25519PublicKey, at: EventState) -> Iterator[tuple[Delta, int]]:
    """Yield what a gate at a version is given, page after page, and what each weighs."""
    since = at.version
    while True:
        page = asked.page(GROUP, at.event, at.generation, since)
        delta = read_delta(page, key)
        yield delta, len(page)
        if delta.is_last:
            return
        since = delta.to


# --- a killed gate ----------------------------------------------------------------------------------------------------


def _killed(size: Scale) -> list[Row]:
    data = box(size, "killed", size.log_records)
    found = [asyncio.run(_kill(size, data, number)) for number in range(size.starts)]
    seconds = [one[0] for one in found]
    restart_s = _restart_s()
    return [
        Row(
            name="kill_to_decision_s",
            value=median(seconds),
            unit="s",
            floor=restart_s,
            goal=Goal(2),
            conditions=f"kill -9 of the lane to the first relay command of the next: `gatehouse-edge off` as ExecStopPost, "
            f"RestartSec of the unit ({restart_s:g} s, waited; systemd itself is not there), start, a fresh code every 20 ms; list "
            f"of {size.tickets:,} tickets, log of {size.log_records:,} records; median of {len(seconds)} "
            f"({min(seconds):.2f}-{max(seconds):.2f}); `off` took {median([one[1] for one in found]):.2f} s; floor: RestartSec",
        )
    ]


def _restart_s() -> float:
    """What the unit says that systemd waits."""
    found = re.search(r"^RestartSec=([0-9.]+)(ms|s)?$", UNIT.read_text(), re.MULTILINE)
    assert found is not None, "the unit says how long"
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


async def _kill(size: Scale, data: Path, number: int) -> tuple[float, float]:
    lanes = Lanes(size.folder / "dev")
    lanes.plug()
    config = size.folder / "killed.toml"
    config.write_text(lanes.toml(data))
    probes = iter(texts_of(stock.picks(size.tickets, 300 + number), min(2 * PROBES, size.tickets // 4)))
    with gate.running(config) as running:
        await lanes.first_release(probes)
        await lanes.clear()
        killed_ns = time.monotonic_ns()
        running.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(running.process.wait)
        off = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge", "off", "--config", str(config),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        await off.wait()
        off_s = (time.monotonic_ns() - killed_ns) / 1e9
        await asyncio.sleep(_restart_s())
        with gate.running(config):
            relay_ns = await lanes.first_release(probes)
    lanes.unplug()
    return (relay_ns - killed_ns) / 1e9, off_s


# --- an idle day ------------------------------------------------------------------------------------------------------


async def _idle(size: Scale) -> Row:
    """Two gates of one centre over TLS: one hears its stream at its real pace, the other runs rounds one after the other."""
    folder = size.folder / "idle"
    rounds = TIME_EVERY if size.name == "full" else LIST_EVERY if size.name == "quick" else 0
    span_s = rounds * PRESSED_ROUND_S if rounds else 2.0
    settle_s = SETTLE_S if rounds else 1.0
    centre = compose.open_centre(folder / "centre")
    demo.make_demo(centre.database, centre.keys, folder / "centre", int(time.time()))
    with changes.change(centre.database, [demo.EVENT, demo.OTHER_EVENT], int(time.time())) as connection:
        # The dearest: products that let nobody in while another gate is not heard.
        connection.execute(update(tables.product).values(offline=int(OfflinePolicy.DENY)))
        roster.add_gate(
            connection,
            roster.Gate(SECOND_GATE, SECOND_NAME, (demo.ARENA, demo.FLOOR, demo.VIP)),
            PLANS,
            GROUP,
        )
    chain, key = await asyncio.to_thread(certificate, folder)
    serving = await compose.listen(centre, "127.0.0.1", 0, compose.tls_context(chain, key))
    port = int(serving.url.rsplit(":", 1)[1])
    try:
        async with SlowLink(port) as hearing, SlowLink(port) as asking:
            told = await _carried(centre, folder, chain, hearing, LONG_ROUND_S, span_s, settle_s)
            both = await _carried(centre, folder, chain, asking, PRESSED_ROUND_S, span_s, settle_s)
            stream, pressed = await asyncio.gather(told, both)
    finally:
        await serving.stop()
        told_of = Changes(centre.database, centre.keys)
        told_of.look(int(time.time()))
        seals = told_of.seals(GROUP, int(time.time()))
        centre.close()
    stream_day = stream.total * DAY_S / span_s
    cycle = max(0, pressed.total - stream.total)
    rounds_day = cycle / max(rounds, 1) * DAY_S / ROUND_S
    floor = sum(len(b64encode(one)) for one in seals) * DAY_S / REST_RENEW_S
    return Row(
        name="idle_mb_per_day",
        value=(stream_day + rounds_day) / MEGABYTE,
        unit="MB",
        floor=floor / MEGABYTE,
        goal=Goal(1),
        conditions=f"both ways over TLS 1.3 with the kernel's segments and 52 B of headers each: a stream heard for {span_s:.0f} s "
        f"at its real pace ({stream_day / MEGABYTE:.2f} MB a day), and {rounds} rounds of questions, pressed into one each "
        f"{PRESSED_ROUND_S:.0f} s at a second gate, {cycle / max(rounds, 1):,.0f} B a round, 72 of them a day "
        f"({rounds_day / MEGABYTE:.2f} MB), both laid on a day; {len(seals)} events, products that are strict offline; floor: "
        f"the seals' text alone, once in {REST_RENEW_S // 60} min",
    )


async def _carried(
    centre: compose.Centre,
    folder: Path,
    chain: Path,
    link: SlowLink,
    round_s: float,
    span_s: float,
    settle_s: float,
) -> asyncio.Task[Carried]:
    """Have a gate be idle; its task returns what its link carried in the span."""
    name = demo.MAIN_GATE_NAME if round_s > ROUND_S else SECOND_NAME
    home = folder / name.replace(" ", "-")
    with centre.database.writing() as connection:
        gate = codes.named(connection, name)
        code = codes.new_code(connection, centre.keys, gate, int(time.time()), os.urandom(5))
    url = f"https://127.0.0.1:{link.port}"
    made = await asyncio.to_thread(enrol, home, url, code, "box", ca_file=chain)
    box_ = Box(home, made)
    uplink = Uplink(
        made, home, CentreSettings(), LogReader.open(home), box_.say, box_.take, box_, ca_file=chain,
        idle=Idle(quiet_after_s=QUIET_S, round_s=round_s),
    )  # fmt: skip

    async def look() -> Carried:
        running = asyncio.create_task(uplink.run())
        try:
            await asyncio.sleep(settle_s)
            uplink.meter.look()
            before = uplink.meter.month
            await asyncio.sleep(span_s)
            uplink.meter.look()
            return uplink.meter.month.since(before)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            box_.store.close()

    return asyncio.create_task(look())


__all__ = ["measure"]
