"""Gates on one LAN with the uplink down: how soon all refuse what one let in; how soon a box that is new has all records."""

import asyncio
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import apsw

from admission.codecs import cose
from admission.ids import GateId
from admission.presence import PresenceRow, rows_of
from admission.reasons import Reason
from admission.records import Outcome, Record, record_from_bytes
from edge import enrolment as enrolments
from edge.held_roster import ROSTER_FILE
from edge.store import log_schema
from edge.store.committer import GROUP_RECORDS_MAX
from edge.store.log import LogStore
from edge.store.log_reader import log_path
from sync import demo
from tests.bench.centre import child
from tests.bench.hops import hops
from tests.bench.report import Goal, Row, median, percentile
from tests.bench.scale import Scale
from tests.bench.snapshots import SEED, sell
from tests.bench.venue_sync import KNOWN_MAX_S, LOOK_S, REFUSED_EVERY
from tests.edge import rig
from tests.edge.front.peers.node import enrolment_of, roster_of
from tests.edge.front.slow_link import GSM_BYTES_S
from tests.edge.rig import Gate
from tests.sync.gates import codes
from tests.sync.lan import lan, peers_toml, with_front
from tests.sync.logs import EpochLog, a_day
from tests.sync.swapped import swap_in
from tests.sync.venue import NOW_S, Venue, venue_at

GATES: Final = 6
MEAN_S: Final = 0.4
"""Between two arrivals, over all gates."""
TOLD_BYTES: Final = 256
"""About what one entry is on the way between two gates."""
COLD_RECORDS: Final = 100_000
COLD_MAX_S: Final = 120.0
WARM: Final = 9


def measure(size: Scale) -> list[Row]:
    """All of this group's figures."""
    return [asyncio.run(_refusal(size)), asyncio.run(_cold(size)), asyncio.run(_swapped(size))]


def _hurry(text: str) -> str:
    """No sensors and short windows: the next person may come at once."""
    kept = [line for line in text.splitlines() if not line.startswith(("entry_contact", "exit_contact"))]
    return "\n".join(kept).replace("[[lanes]]", "[[lanes]]\nhold_ms = 100\nhold_margin_ms = 0\npulse_ms = 50")


async def _refusal(size: Scale) -> Row:
    chance = random.Random(2)
    known_s: list[float] = []
    bare_s: list[float] = []
    folder = size.folder / "lan"
    async with venue_at(folder / "centre") as venue, lan(venue, folder, GATES, _hurry) as gates:
        await venue.stop()
        with hops(folder / "hops", GATES - 1, TOLD_BYTES) as bare:
            for number in range(size.doubles):
                at = chance.randrange(GATES)
                known_s += await _one(venue, gates, at, number)
                bare_s += await bare.once_s()
                await asyncio.sleep(chance.expovariate(1 / MEAN_S))
    return Row(
        name="peer_refusal_p99_ms",
        value=percentile(known_s, 99) * 1000,
        unit="ms",
        floor=percentile(bare_s, 99) * 1000,
        goal=Goal(100),
        conditions=f"n={len(known_s)}: {size.doubles} grants, each at {GATES - 1} other gates; {GATES} gates, uplink down; "
        f"from the arm's release at one to the entry known to the next decision at the other; p50 "
        f"{median(known_s) * 1000:.0f} ms, max {max(known_s) * 1000:.0f} ms; lanes of all gates in one process, fronts "
        f"apart, talking over loopback; looked at every {LOOK_S * 1000:.0f} ms; floor: {TOLD_BYTES} bytes by as many processes "
        f"and hops, after each grant, p50 {median(bare_s) * 1000:.1f} ms",
    )


async def _one(venue: Venue, gates: list[Gate], at: int, number: int) -> list[float]:
    """Let a signed ticket in at one gate; return how long each other gate did not know of it."""
    claims = cose.Claims(
        ticket=20_000 + number, event=demo.EVENT, issued_at=NOW_S, product=demo.DAY, session=demo.TODAY
    )
    text = cose.mint(claims, venue.centre.keys.ticket_key).encode()
    one, others = gates[at], [gate for gate in gates if gate is not gates[at]]
    before = len(one.daemon.lanes[1].latencies_us), next(iter(one.daemon.recent), None)
    await one.hardware.entry.scan(text)
    shell = one.daemon.lanes[1]
    began_s = time.monotonic()
    while len(shell.latencies_us) == before[0] and time.monotonic() - began_s < KNOWN_MAX_S:
        await asyncio.sleep(0.001)
    released_s = time.monotonic()
    found: dict[int, float] = {}
    while len(found) < len(others):
        for place, other in enumerate(others):
            if place not in found and other.daemon.memory.rows(demo.EVENT, claims.ticket):  # type: ignore[arg-type]  # a ticket's number
                found[place] = time.monotonic() - released_s
        if time.monotonic() - released_s > KNOWN_MAX_S:
            raise AssertionError("a gate never heard of it")
        await asyncio.sleep(LOOK_S)
    assert one.daemon.recent[0].outcome == Outcome.GRANT, one.daemon.recent[0]
    if number % REFUSED_EVERY == 0:
        other = others[number // REFUSED_EVERY % len(others)]
        seen = next(iter(other.daemon.recent), None)
        await other.hardware.entry.scan(text)
        await other.until(lambda: next(iter(other.daemon.recent), None) is not seen, "it is answered")
        assert other.daemon.recent[0].reason == Reason.ALREADY_USED, other.daemon.recent[0]
    return list(found.values())


async def _swapped(size: Scale) -> Row:
    """A box swapped in where the centre is behind 2G and the list is long."""
    folder = size.folder / "swapped"
    async with venue_at(folder / "centre") as venue:
        listed = demo.bulk(size.load_tickets, SEED, NOW_S, venue.centre.keys)
        await asyncio.to_thread(sell, venue.centre, listed)
        swapped = await swap_in(venue, folder, [codes(venue)["day"]], GSM_BYTES_S)
    alone_s = swapped.list_bytes / GSM_BYTES_S
    return Row(
        name="swapped_in_s",
        value=swapped.admits_s,
        unit="s",
        floor=alone_s,
        goal=Goal(120),
        conditions=f"from before its enrolment ({swapped.enrolled_s:.1f} s of it) until its lanes are ready and it knows of "
        f"an entry at its neighbour; list of {size.load_tickets:,} tickets, {swapped.list_bytes:,} bytes; its link gives "
        f"{GSM_BYTES_S:.0f} B/s, {swapped.modem_bytes:,} bytes passed; floor: the list alone over that link",
    )


async def _cold(size: Scale) -> Row:
    """A real gate without any record, and a neighbour with the records of a long day of its own."""
    folder = size.folder / "cold"
    folder.mkdir(parents=True)
    grants = (COLD_RECORDS if size.name == "full" else size.ingest_records) // 2
    warm = ("tests.bench.warm", str(folder / "warm"), str(grants), str(WARM), str(rig.GATE))
    with child(folder / "warm.log", *warm) as process:
        port, records = map(int, (await asyncio.to_thread(process.line, "warm", COLD_MAX_S)).split())
        took_s = await _catch_up(folder / "cold", port, records)
    alone_s = await asyncio.to_thread(_stored_alone, folder / "alone", grants)
    return Row(
        name="peer_catch_up_100k_s",
        value=took_s,
        unit="s",
        floor=alone_s,
        goal=Goal(5) if records >= COLD_RECORDS else None,
        conditions=f"{records} records of one neighbour, from the first of them until all are durable at a real gate and "
        "known to its decisions; neighbour, lane and front in processes of their own, over loopback; floor: as many records "
        f"with their presence written to such a file, {GROUP_RECORDS_MAX} a commit, and nothing else",
    )


def _stored_alone(data: Path, grants: int) -> float:
    """Write a day's records and its presence in one thread; return the seconds of the writing."""
    data.mkdir(parents=True)
    LogStore.open(data).close()
    day = a_day(grants)
    stored = [
        ((WARM, day.epoch, seq, blob), [row.as_columns() for row in _presence(day, blob)])
        for seq, blob in enumerate(day.blobs, 1)
    ]
    log = apsw.Connection(str(log_path(data)))
    log.execute("PRAGMA synchronous=FULL")
    began_s = time.monotonic()
    for at in range(0, len(stored), GROUP_RECORDS_MAX):
        group = stored[at : at + GROUP_RECORDS_MAX]
        log.execute("BEGIN IMMEDIATE")
        log.executemany(log_schema.INSERT_RECORD, [record for record, _ in group])
        log.executemany(log_schema.UPSERT_PRESENCE, [row for _, rows in group for row in rows])
        log.execute("COMMIT")
    took_s = time.monotonic() - began_s
    log.close()
    return took_s


def _presence(day: EpochLog, blob: bytes) -> Iterable[PresenceRow]:
    body = record_from_bytes(blob)
    return rows_of(GateId(WARM), day.epoch, body, (), body.time_us) if isinstance(body, Record) else ()


async def _catch_up(home: Path, port: int, records: int) -> float:
    data = home / "data"
    rig.prepare(data, [rig.row(1)])
    enrolments.save(data, enrolment_of(rig.GATE))
    (data / ROSTER_FILE).write_bytes(roster_of([WARM, rig.GATE]))

    def told(text: str) -> str:
        return text + peers_toml(0, [port])

    async with rig.running(home, adjust=told, change=with_front) as gate:
        await gate.until(
            lambda: any(one.gate == WARM for one in gate.daemon.reader.epochs()),
            "the neighbour came",
            KNOWN_MAX_S,
        )
        began_s = time.monotonic()
        reader = gate.reader()
        try:
            async with asyncio.timeout(COLD_MAX_S):
                while not any(one.gate == WARM and one.last_seq >= records for one in reader.epochs()):
                    await asyncio.sleep(0.02)
        finally:
            reader.close()
        return time.monotonic() - began_s
