"""Batch handhelds at a whole gate: docked once or twice, before or after the others are heard; judged as of then, no arm moves."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from admission.digests import ticket_digest
from admission.entitlements import LanePlan, Mode, Session, Standing
from admission.ids import LaneId, SessionId, TicketId
from admission.presence import Bounds, DoubleKind, fold
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, Record, stored_us
from drivers.base import Medium, Scan, Stored
from drivers.sims.batch_handheld import BatchHandheld
from edge.link import STORED, Health, Part
from edge.lists import FILE
from edge.store.list import build
from edge.store.log_reader import LogReader
from sync.wire.lists import EventInfo, Profile
from tests.edge.rig import (
    ARENA,
    DIGEST_KEY,
    EVENT,
    PRODUCT,
    Gate,
    assert_verifies,
    code,
    list_head,
    prepare,
    quick,
    row,
    running,
)

_ODD = Flag.FLAGGED | Flag.UNLISTED
ZURICH = ZoneInfo("Europe/Zurich")
MATINEE, EVENING, PARTY = map(SessionId, range(1, 4))
READER = """
[[lanes.readers]]
id = {id}
way = "{way}"
driver = "batch"
port = "{port}"
time_zone = "Europe/Zurich"
"""


def with_cradles(folder: Path) -> tuple[BatchHandheld, BatchHandheld, Callable[[str], str]]:
    """A handheld for the way in, docked at lane 2, one for the way out, docked at lane 1, and how a TOML comes to them."""
    entry, leave = (BatchHandheld.at(folder / name) for name in ("cradle-in", "cradle-out"))
    for one in (entry, leave):
        one.cradle.port.plug()

    def adjust(text: str) -> str:
        head, first, second = quick(text).split("[[lanes]]")
        out = READER.format(id=7, way="exit", port=leave.cradle.port.link)
        end = second.index("[[relays]]") if "[[relays]]" in second else len(second)
        come = READER.format(id=6, way="entry", port=entry.cradle.port.link)
        return "[[lanes]]".join((head, first + out, second[:end] + come + second[end:]))

    return entry, leave, adjust


async def docked(gate: Gate, device: BatchHandheld, records: int) -> list[Record]:
    await device.dock()
    await gate.recorded(Kind.STORED, records)
    return [one for one in gate.records() if one.kind is Kind.STORED]


async def test_a_memory_is_judged_as_of_then_and_told_twice_is_written_once(tmp_path: Path) -> None:
    entry, leave, adjust = with_cradles(tmp_path)
    rows = [row(1), row(2), row(3, Standing.CANCELLED), row(4)]
    async with running(tmp_path, rows, adjust=adjust) as gate:
        await gate.ready()
        await gate.until(lambda: gate.health(Part.READER, "1.7") is Health.OK, "the cradles are open")
        gate.daemon.time.heard_centre(int(time.time()))  # its own clock is believed from now on
        gate.daemon.time.look()
        await gate.hardware.second.scan(code(2))
        await gate.walk(2)
        live = await gate.recorded(Kind.PASSAGE)
        now = datetime.now(ZURICH).replace(microsecond=0, tzinfo=None)
        hour_ago = now - timedelta(hours=1)
        entry.erases = False
        for n, text in enumerate((code(1), code(2), code(3), b"NOBODY", code(1), code(99))):
            entry.read(text.decode(), hour_ago + timedelta(seconds=60 * n))
        entry.read(code(4).decode(), now + timedelta(hours=3))  # its clock is ahead
        first = await docked(gate, entry, 7)
        assert [(one.outcome, one.reason) for one in first] == [
            (Outcome.GRANT, 0), (Outcome.GRANT, 0), (Outcome.DENY, Reason.CANCELLED), (Outcome.DENY, Reason.UNKNOWN),
            (Outcome.DENY, Reason.ALREADY_USED), (Outcome.GRANT, 0), (Outcome.GRANT, 0),
        ]  # fmt: skip
        assert [stored_us(one) // 1_000_000 for one in first[:6]] == [
            int((hour_ago + timedelta(seconds=60 * n)).replace(tzinfo=ZURICH).timestamp()) for n in range(6)
        ]
        assert all(one.flags & Flag.NO_PULSE and one.reader == 6 and one.lane == 2 for one in first)
        # Not on the list, and nobody asks for it any more: let in, and staff hear of it.
        assert first[5].flags & _ODD == _ODD
        assert first[6].flags & _ODD == Flag.FLAGGED
        assert 0 <= first[6].time_us - stored_us(first[6]) < 2_000_000
        # The same memory again, and an exit after it.
        await entry.dock()
        leave.read(code(1).decode(), hour_ago + timedelta(minutes=30))
        out = (await docked(gate, leave, 8))[-1]
        assert (out.direction, out.outcome) == (Direction.EXIT, Outcome.GRANT)
        assert gate.kinds().count(Kind.STORED) == 8
        assert gate.hardware.lanes[2].releases.empty(), "no arm moved"
        # Whoever used ticket 2 an hour ago was first: the one at the arm is the double.
        double = fold(gate.daemon.memory.rows(EVENT, TicketId(2)), (), gate.daemon.judge.venue.zones).doubles(
            1
        )
        assert [(one.kind, one.first.seq, one.second.seq) for one in double] == [
            (DoubleKind.USE, first[1].seq, live.ref)
        ]
        assert fold(gate.daemon.memory.rows(EVENT, TicketId(1)), (), gate.daemon.judge.venue.zones).live == ()
        shown = [one for one in gate.daemon.recent if one.kind == STORED]
        assert len(shown) == 8
        assert shown[-1].time_s == stored_us(first[0]) / 1e6
        await gate.until(lambda: gate.daemon.memory.bounds(ARENA) == Bounds(4, 4), "2 by two, 99 and 4")
    assert_verifies(tmp_path / "data")


async def test_a_time_that_cannot_be_is_taken_as_now_and_flagged(tmp_path: Path) -> None:
    """Handhelds whose clock has no battery any more, and dates of no calendar."""
    _, _, adjust = with_cradles(tmp_path)
    async with running(tmp_path, [row(1), row(2), row(3)], adjust=adjust) as gate:
        await gate.ready()
        odd = (None, datetime(1969, 12, 31, 23), datetime(1, 1, 1))
        for ticket, read_at in enumerate(odd, 1):
            gate.daemon.lanes[2].stored(6, Stored(Scan(code(ticket), Medium.BARCODE, "", 1, 2), read_at))
        await gate.recorded(Kind.STORED, len(odd))
        for one in (one for one in gate.records() if one.kind is Kind.STORED):
            assert (one.outcome, one.flags & _ODD) == (Outcome.GRANT, Flag.FLAGGED)
            assert 0 <= one.time_us - stored_us(one) < 2_000_000


async def test_what_cannot_be_judged_is_written_down_and_judged_when_it_is_told_again(tmp_path: Path) -> None:
    """The log cannot be read for a moment, and whoever erases its memory afterwards tells nothing twice."""
    _, _, adjust = with_cradles(tmp_path)
    read_at = datetime.now(ZURICH).replace(microsecond=0, tzinfo=None) - timedelta(minutes=5)
    told = Stored(Scan(code(1), Medium.BARCODE, "", 1, 2), read_at)
    async with running(tmp_path, [row(1)], adjust=adjust) as gate:
        await gate.ready()
        reader = gate.daemon.memory._reader
        gate.daemon.memory._reader = LogReader.open(gate.data)
        gate.daemon.memory._reader.close()
        gate.daemon.lanes[2].stored(6, told)
        one = await gate.recorded(Kind.STORED)
        assert (one.outcome, one.reason) == (Outcome.DENY, Reason.NOT_READY)
        assert one.subject == ticket_digest(EVENT, TicketId(1), DIGEST_KEY)
        gate.daemon.memory._reader = reader
        gate.daemon.lanes[2].stored(6, told)
        assert (await gate.recorded(Kind.STORED, 2)).ticket == (EVENT, TicketId(1))
    assert_verifies(gate.data)


async def test_a_memory_told_again_after_a_restart_uses_no_ticket_twice(tmp_path: Path) -> None:
    entry, _, adjust = with_cradles(tmp_path)
    entry.erases = False
    at = datetime.now(ZURICH).replace(microsecond=0, tzinfo=None) - timedelta(minutes=5)
    entry.read(code(1).decode(), at)
    hardware = None
    for run in (1, 2):
        rows = [row(1), row(2)] if run == 1 else []
        async with running(tmp_path, rows, adjust=adjust, hardware=hardware) as gate:
            await gate.ready()
            if run == 2:
                entry.read(code(2).decode(), at)
            (last,) = await docked(gate, entry, 1)
            assert last.ticket == (EVENT, run)
            rows_now = gate.daemon.memory.rows(EVENT, TicketId(1))
            assert len({one.id for one in rows_now}) == 1  # one that lands just now may come twice


@pytest.mark.parametrize(
    ("read_at", "served", "ends", "wanted"),
    [
        ("20:00", EVENING, True, EVENING),
        ("14:00", EVENING, True, MATINEE),  # docked late
        ("14:00", MATINEE, True, MATINEE),
        ("20:00", EVENING, False, EVENING),  # nobody said when they end: what the lane serves
        ("20:00", MATINEE, False, MATINEE),
        ("00:30", MATINEE, True, PARTY),  # of the night, which begins after midnight
    ],
)
async def test_of_two_sessions_of_a_day_a_pass_uses_the_one_that_it_was_read_at(
    tmp_path: Path, read_at: str, served: SessionId, ends: bool, wanted: SessionId
) -> None:
    _, _, adjust = with_cradles(tmp_path)
    yesterday = datetime.now(ZURICH) - timedelta(days=1)

    def at(text: str) -> datetime:
        return datetime.combine(yesterday, datetime.strptime(text, "%H:%M").time())

    def session(number: SessionId, end: str) -> Session:
        end_s = int(at(end).replace(tzinfo=ZURICH).timestamp()) if ends else 0
        return Session(number, EVENT, "", int(f"{yesterday:%Y%m%d}"), end=end_s)

    head = list_head(int(time.time()))
    head = msgspec.structs.replace(
        head,
        events=(EventInfo(EVENT, "Two performances", 1, 1, int(time.time()), "Europe/Zurich"),),
        sessions=(session(MATINEE, "17:00"), session(EVENING, "23:00"), session(PARTY, "04:00")),
        plans=tuple(LanePlan(LaneId(lane), ARENA, Mode.NORMAL, ((EVENT, served),)) for lane in (1, 2)),
        profiles=(Profile(PRODUCT, (ARENA,)),),
    )
    prepare(tmp_path / "data", [row(1)])
    build(tmp_path / "data" / FILE, head, [row(1)])
    async with running(tmp_path, adjust=adjust) as gate:
        await gate.ready()
        gate.daemon.lanes[2].stored(6, Stored(Scan(code(1), Medium.BARCODE, "", 1, 2), at(read_at)))
        stored = await gate.recorded(Kind.STORED)
        assert (stored.outcome, stored.session) == (Outcome.GRANT, wanted)
