"""What fails around a gate: disk, files, clock, cables, processes. Each is shown, keeps its policy, and ends by itself."""

import asyncio
import errno
import os
import shutil
import socket
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import apsw
import msgspec
import pytest

from admission.chain import Trouble
from admission.codecs import cose
from admission.entitlements import Standing
from admission.lane import Write
from admission.reasons import Reason
from admission.records import Flag, Kind, Outcome, Trust
from drivers.sims.ports import SimPort
from edge import enrolment
from edge.board import VerdictWord, verdict
from edge.clock import BUILD_TIME_S, SystemClock
from edge.compose import factories
from edge.daemon import EX_TEMPFAIL
from edge.front_process import EX_CANNOT_RUN
from edge.journal import Stamp
from edge.link import Health, Part, TakeList
from edge.lists import FILE
from edge.parts import Factories
from edge.store.disk import LocalDisk
from edge.store.faults import FaultKind, StoreFault
from edge.store.list import build
from edge.store.log_reader import log_path
from edge.verify import known_keys, verify_log
from sync.wire.lists import ListRow, Profile
from tests.edge.rig import (
    ARENA,
    EVENT,
    PRODUCT,
    SESSION,
    TICKET_KEY,
    Gate,
    assert_verifies,
    code,
    environment,
    list_head,
    plug,
    prepare,
    quick,
    row,
    running,
)
from tests.edge.shaky_disk import on, shaky


def log_code(gate: Gate) -> str:
    return gate.code(Part.LOG, "log")


async def answer(gate: Gate, count: int) -> tuple[Outcome, Reason]:
    seen = await gate.seen(count)
    return Outcome(seen.outcome), Reason(seen.reason)


# --- the disk takes nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, "full"), (errno.EIO, "io"), (errno.EROFS, "io")],
    ids=["full", "broken", "read-only"],
)
async def test_a_disk_that_takes_nothing_admits_in_memory_and_says_so(
    tmp_path: Path, number: int, kind: str
) -> None:
    with shaky() as disk:
        async with running(tmp_path, [row(7), row(8)], adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            disk.fail(number)
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
            tile = next(tile for tile in gate.daemon.board.tiles if tile.part is Part.LOG)
            assert (tile.health, tile.code, tile.args["kind"]) == (Health.DEGRADED, "log.fault", kind)
            assert verdict(gate.daemon.board.tiles).word is VerdictWord.DEGRADED
            await gate.hardware.second.scan(code(8))
            await gate.walk(2)
            await gate.hardware.second.scan(code(7))
            assert await answer(gate, 3) == (Outcome.DENY, Reason.ALREADY_USED)
            assert gate.records() == []
            disk.heal()
            await gate.recorded(Kind.PASSAGE, 2)
            await gate.until(lambda: log_code(gate) == "log.ok", "the tile is well again")
            grants = [one for one in gate.records() if one.outcome is Outcome.GRANT]
            assert [bool(one.flags & Flag.BEFORE_DURABLE) for one in grants] == [False, True]
            await gate.hardware.second.scan(code(8))
            await gate.recorded(Kind.SCAN, 4)
            assert not gate.records()[-1].flags & Flag.BEFORE_DURABLE
        assert_verifies(gate.data)


async def test_a_disk_that_takes_nothing_denies_where_that_is_the_policy_and_lets_people_out(
    tmp_path: Path,
) -> None:
    strict = '[log]\nfault = "deny"\n'
    with shaky() as disk:
        async with running(tmp_path, [row(7)], adjust=quick, extra=strict, change=on(disk)) as gate:
            await gate.ready()
            disk.fail(errno.ENOSPC)
            await gate.hardware.second.scan(code(7))
            await gate.until(lambda: log_code(gate) == "log.fault", "the fault is shown")
            assert gate.health(Part.LOG, "log") is Health.BAD
            assert verdict(gate.daemon.board.tiles).word is VerdictWord.NOT_READY
            assert not gate.daemon.lanes[2].ready
            await gate.hardware.second.scan(code(7))
            assert await answer(gate, 2) == (Outcome.DENY, Reason.NOT_READY)
            assert gate.hardware.lanes[2].releases.empty()
            await gate.hardware.exit.scan(code(7).decode())
            await gate.walk(1, "exit")
            disk.heal()
            await gate.ready()
            assert log_code(gate) == "log.ok"
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
        assert_verifies(gate.data)


async def test_a_log_that_cannot_be_read_lets_nobody_in_who_may_be_in_it_and_everybody_out(
    tmp_path: Path,
) -> None:
    with shaky(reads=True) as disk:
        async with running(tmp_path, [row(7), row(8)], adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
            gate.daemon.reader.close()
            # Of whom memory says that nothing was ever recorded, nothing is looked for.
            await gate.hardware.second.scan(code(8))
            await gate.walk(2)
            await gate.until(lambda: log_code(gate) == "log.fault", "counting people meets it")
            await gate.hardware.second.scan(code(7))
            assert await answer(gate, 3) == (Outcome.DENY, Reason.NOT_READY)
            assert gate.health(Part.LIST, "list") is Health.OK
            await gate.hardware.exit.scan(code(7).decode())
            await gate.walk(1, "exit")
            assert await answer(gate, 4) == (Outcome.GRANT, Reason.NONE)


async def test_when_memory_is_full_too_the_gate_starts_over_once_the_disk_is_well(tmp_path: Path) -> None:
    with shaky() as disk:
        async with running(tmp_path, [row(7), row(8)], adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            disk.fail(errno.ENOSPC)
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
            many = tuple(Write(number, Kind.DEVICE) for number in range(1, 2000))
            while log_code(gate) != "log.full":
                gate.daemon.journal.append(many, Stamp())
                await asyncio.sleep(0.01)
            await gate.hardware.second.scan(code(8))
            assert await answer(gate, 2) == (Outcome.DENY, Reason.NOT_READY)
            assert not gate.daemon.lanes[2].ready
            disk.heal()
            await gate.until(gate.daemon._stopping.is_set, "the gate stops")
        assert gate.exit_code == EX_TEMPFAIL
        assert_verifies(gate.data)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(8))
        await gate.walk(2)
    assert_verifies(gate.data)


# --- files that are damaged, or not to be written ----------------------------------------------------------------


def spoil(path: Path, first: int) -> None:
    """Overwrite a file from a page on, in place."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(first * 4096)
        file.write(b"\xff" * (size - first * 4096))


def sold_now(ticket: int) -> bytes:
    """A ticket signed a moment ago."""
    claims = cose.Claims(ticket=ticket, event=EVENT, issued_at=int(time.time()), product=PRODUCT)
    return cose.mint(claims, TICKET_KEY).encode()


async def test_without_its_list_a_gate_lets_out_and_judges_signatures_until_a_new_one_comes(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    rows = [row(number) for number in range(1, 600)]
    prepare(data, rows)
    spoil(data / FILE, 0)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.READER, "2.4") is Health.OK, "reader open")
        await gate.until(lambda: gate.health(Part.RELAY, "relays") is Health.OK, "relay open")
        assert gate.code(Part.LIST, "list") == "list.corrupt"
        assert verdict(gate.daemon.board.tiles).word is VerdictWord.NOT_READY
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        build(data / FILE, list_head(int(time.time())), sorted(rows))
        assert (await gate.do(TakeList(1, str(data / FILE)))).ok
        await gate.ready()
        # Once more, this time under the running gate.
        spoil(data / FILE, 2)
        await gate.hardware.second.scan(code(8))
        assert await answer(gate, 2) == (Outcome.DENY, Reason.NOT_READY)
        assert gate.code(Part.LIST, "list") == "list.corrupt"
        await gate.hardware.exit.scan(code(8).decode())
        await gate.walk(1, "exit")
        assert await answer(gate, 3) == (Outcome.GRANT, Reason.NONE)
        # What is signed is judged all the same: sold long before the list's cut, somebody has to look; sold since, in.
        await gate.hardware.second.scan(code(8))
        assert await answer(gate, 4) == (Outcome.DENY, Reason.UNLISTED)
        await gate.hardware.second.scan(b"DEMO-4711")
        assert await answer(gate, 5) == (Outcome.DENY, Reason.NOT_READY)
        await gate.hardware.second.scan(sold_now(1000))
        await gate.walk(2)
        await gate.hardware.second.scan(sold_now(1000))
        assert await answer(gate, 7) == (Outcome.DENY, Reason.ALREADY_USED)
        build(data / FILE, list_head(int(time.time()), version=2), sorted(rows))
        assert (await gate.do(TakeList(4, str(data / FILE)))).ok
        await gate.ready()
        await gate.hardware.second.scan(code(9))
        await gate.walk(2)


async def test_a_list_that_a_card_did_not_give_for_a_moment_is_taken_up_again(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1, 600)]
    with shaky(reads=True) as disk:
        async with running(tmp_path, rows, adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            disk.fail(errno.EIO)
            await gate.hardware.second.scan(code(300))
            assert await answer(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
            assert gate.code(Part.LIST, "list") == "list.corrupt"
            disk.heal()
            await gate.until(lambda: gate.code(Part.LIST, "list") == "list.ok", "the list is in use", 15.0)
            await gate.ready()
            await gate.hardware.second.scan(code(301))
            await gate.walk(2)
        assert_verifies(gate.data)


async def test_a_corrupt_log_is_set_aside_and_who_is_inside_is_known_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
    path = log_path(tmp_path / "data")
    connection = apsw.Connection(str(path))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'presence'").get
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert log_code(gate) == "log.salvaged"
        assert gate.health(Part.LOG, "log") is Health.DEGRADED
        await gate.recorded(Kind.CHAIN_BREAK)
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.ALREADY_USED)
        bounds = gate.daemon.memory.bounds(ARENA)
        assert bounds is not None
        assert (bounds.low, bounds.high) == (1, 1)
        await gate.hardware.second.scan(code(8))
        await gate.walk(2)
    found = verify_log(gate.data, known_keys(gate.data, enrolment.load(gate.data)))
    assert found.asides == ("log.aside-1",)
    assert not found.altered


class ReadOnlyDisk(LocalDisk):
    """A card that the kernel remounted read-only."""

    def lock(self, path: Path) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


async def test_a_read_only_folder_stops_the_gate_with_what_to_do(tmp_path: Path) -> None:
    prepare(tmp_path / "data", [row(7)])
    with pytest.raises(StoreFault) as caught:
        async with running(tmp_path, change=on(ReadOnlyDisk())):
            pytest.fail("it must not start")
    assert caught.value.kind is FaultKind.READ_ONLY
    assert "writable" in caught.value.hint


async def test_a_second_gate_on_the_same_data_ends_with_one_line_and_the_next_step(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        path = tmp_path / "gate.toml"
        path.write_text(quick(gate.hardware.toml(gate.data)))
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge", "run", "--config", str(path),
            stderr=asyncio.subprocess.PIPE, env=environment(),
        )  # fmt: skip
        _, said = await asyncio.wait_for(second.communicate(), 20)
        assert second.returncode == 1
        assert f"held by process {os.getpid()}" in said.decode()
        assert "systemctl stop gatehouse-edge" in said.decode()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)


async def test_an_older_list_put_back_undoes_no_cancel(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(data, [row(7, Standing.CANCELLED)], version=5)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.CANCELLED)
        older = data / "older.sqlite3"
        build(older, list_head(int(time.time()), version=4), [row(7)])
        done = await gate.do(TakeList(1, str(older)))
        assert (done.ok, done.code) == (False, "list.rolled_back")
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 2) == (Outcome.DENY, Reason.CANCELLED)
    shutil.copy(older, data / FILE)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.until(lambda: gate.health(Part.READER, "2.4") is Health.OK, "reader open")
        assert gate.code(Part.LIST, "list") == "list.rolled_back"
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        build(data / FILE, list_head(int(time.time()), version=6), [row(7, Standing.CANCELLED)])
        assert (await gate.do(TakeList(2, str(data / FILE)))).ok
        await gate.ready()


async def test_a_restored_card_shows_where_its_records_meet_those_it_forgot(tmp_path: Path) -> None:
    """The older log goes on from its own end; whoever holds both tails sees two epochs after one place: a fork."""
    data, kept = tmp_path / "data", tmp_path / "kept"
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
    shutil.copytree(data / "log", kept / "log")
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
    newer = tmp_path / "newer"
    shutil.copytree(data / "log", newer / "log")
    shutil.rmtree(data / "log")
    shutil.copytree(kept / "log", data / "log")
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(8))
        await gate.walk(2)
    assert_verifies(data)  # by itself it cannot know
    connection = apsw.Connection(str(log_path(data)))
    connection.execute("ATTACH ? AS other", (str(log_path(newer)),))
    for table in ("record", "head"):
        connection.execute(
            f"INSERT INTO {table} SELECT * FROM other.{table} WHERE true ON CONFLICT DO NOTHING"
        )
    connection.execute(
        "INSERT INTO epoch(gate, epoch, ordinal) SELECT gate, epoch, ordinal + 10 FROM other.epoch WHERE true "
        "ON CONFLICT DO NOTHING"
    )
    connection.close()
    (own,) = verify_log(data, known_keys(data, enrolment.load(data))).gates
    assert own.report is not None
    assert Trouble.FORK in {problem.trouble for problem in own.report.problems}


# --- the clock ---------------------------------------------------------------------------------------------------

YEARS_10_S = 10 * 365 * 86_400


class WrongClock(SystemClock):
    """The machine's clock, wrong by `offset_s`, set by nobody."""

    def __init__(self, offset_s: int) -> None:
        self.offset_s = offset_s

    def now_us(self) -> int:
        return super().now_us() + self.offset_s * 1_000_000

    def marked_synced(self) -> bool:
        return False


def timed_rows(data: Path) -> None:
    """Ticket 1 opens in a year, 2 ended before this version was built, 3 ends in a year."""
    prepare(data, [row(9)])
    now_s = int(time.time())
    year_s = 365 * 86_400
    profiles = (
        Profile(PRODUCT, (ARENA,), SESSION, not_before=now_s + year_s),
        Profile(PRODUCT, (ARENA,), SESSION, not_after=BUILD_TIME_S - 86_400),
        Profile(PRODUCT, (ARENA,), SESSION, not_after=now_s + year_s),
    )
    rows: list[ListRow] = [row(number, profile=number - 1) for number in (1, 2, 3)]
    build(data / FILE, msgspec.structs.replace(list_head(now_s), profiles=profiles), sorted(rows))


@pytest.mark.parametrize(
    ("offset_s", "trust", "tile"),
    [(-YEARS_10_S, Trust.UNKNOWN, "clock.unknown"), (YEARS_10_S, Trust.FLOOR, "clock.floor")],
    ids=["ten years behind", "ten years ahead"],
)
async def test_a_clock_ten_years_off_refuses_nobody_for_the_hour(
    tmp_path: Path, offset_s: int, trust: Trust, tile: str
) -> None:
    timed_rows(tmp_path / "data")
    clock = WrongClock(offset_s)
    async with running(tmp_path, adjust=quick, change=lambda parts: replace(parts, clock=clock)) as gate:
        await gate.ready()
        await gate.until(lambda: gate.code(Part.CLOCK, "clock") == tile, "the clock's tile")
        for number in (1, 3):
            await gate.hardware.second.scan(code(number))
            await gate.walk(2)
        await gate.hardware.second.scan(code(2))
        assert await answer(gate, 3) == (Outcome.DENY, Reason.EXPIRED)
        assert {record.trust for record in gate.records()} == {trust}
        clock.offset_s = 0
        step = await gate.recorded(Kind.CLOCK_STEP)
        assert abs(step.data - YEARS_10_S) <= 2


# --- cables and processes ----------------------------------------------------------------------------------------


def is_gone(gate: Gate, part: Part, name: str) -> bool:
    return gate.code(part, name) == "device.gone"


async def test_devices_missing_at_start_are_named_and_taken_up_when_they_come(tmp_path: Path) -> None:
    hardware = plug(tmp_path)
    hardware.relays.unplug()
    hardware.second.port.unplug()
    hardware.contacts.unplug()
    try:
        async with running(tmp_path, [row(7)], adjust=quick, hardware=hardware) as gate:
            for part, name in ((Part.RELAY, "relays"), (Part.READER, "2.4"), (Part.SENSOR, "contacts")):
                await gate.until(partial(is_gone, gate, part, name), f"{name} missing")
            assert verdict(gate.daemon.board.tiles).word is VerdictWord.NOT_READY
            await gate.until(lambda: gate.health(Part.READER, "1.1") is Health.OK, "the others work")
            await gate.hardware.entry.scan(code(7))
            assert await answer(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
            hardware.relays.plug()
            hardware.second.port.plug()
            hardware.contacts.plug()
            await gate.ready()
            await gate.hardware.second.scan(code(7))
            await gate.walk(2)
    finally:
        hardware.unplug()


async def test_a_pulled_relay_makes_its_lanes_not_ready_until_it_is_back(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        gate.hardware.relays.unplug()
        await gate.until(partial(is_gone, gate, Part.RELAY, "relays"), "the relay is missed")
        assert not any(lane.ready for lane in gate.daemon.lanes.values())
        await gate.hardware.second.scan(code(7))
        assert await answer(gate, 1) == (Outcome.DENY, Reason.NOT_READY)
        await gate.hardware.exit.scan(code(7).decode())
        assert await answer(gate, 2) == (Outcome.GRANT, Reason.NONE)
        gate.hardware.relays.plug()
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)


async def test_pulled_readers_and_contacts_come_back(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
        ports: dict[str, SimPort] = {"1.2": gate.hardware.exit.port, "2.4": gate.hardware.second.port}
        for port in ports.values():
            port.unplug()
        gate.hardware.contacts.unplug()
        for name in ports:
            await gate.until(partial(is_gone, gate, Part.READER, name), f"{name} missed")
        await gate.until(partial(is_gone, gate, Part.SENSOR, "contacts"), "contacts missed")
        assert not any(lane.ready for lane in gate.daemon.lanes.values())
        for port in ports.values():
            port.plug()
        gate.hardware.contacts.plug()
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status in {200, 503}
    except aiohttp.ClientError:
        return False


async def test_a_front_that_dies_is_started_again_and_the_gate_goes_on(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dies_once = f'echo started >> {lives}; [ $(wc -l < {lives}) = 1 ] && exit 3; exec "$@"'

    def change(parts: Factories) -> Factories:
        return replace(
            parts, front_argv=lambda told: ["/bin/sh", "-c", dies_once, "sh", *factories().front_argv(told)]
        )

    def adjust(text: str) -> str:
        return quick(text).replace("port = 0", f"port = {port}", 1).replace("tls = true", "tls = false", 1)

    async with running(tmp_path, [row(7)], adjust=adjust, change=change) as gate:
        await gate.ready()
        await gate.until(lives.exists, "the front was started, and died")
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while not await _answers(session, f"http://127.0.0.1:{port}/healthz"):
                await asyncio.sleep(0.05)
        assert lives.read_text().count("started") == 2


@pytest.mark.parametrize("program", ["no such program", "no\0program"], ids=["missing", "refused by Python"])
async def test_a_front_that_cannot_be_started_does_not_matter_to_visitors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, program: str
) -> None:
    def change(parts: Factories) -> Factories:
        return replace(parts, front_argv=lambda _settings: [str(tmp_path / program)])

    async with running(tmp_path, [row(7)], adjust=quick, change=change) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
    codes = [getattr(record, "code", "") for record in caplog.records]
    assert f"front.exit_{EX_CANNOT_RUN}" in codes


async def told_within(said: asyncio.Queue[bytes], seconds: float) -> bool:
    try:
        await asyncio.wait_for(said.get(), seconds)
    except TimeoutError:
        return False
    return True


async def test_a_stuck_disk_stops_feeding_the_watchdog_and_a_freed_one_feeds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: asyncio.Queue[bytes] = asyncio.Queue()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, shaky() as disk:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        asyncio.get_running_loop().add_reader(systemd, lambda: said.put_nowait(systemd.recv(4096)))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        async with running(tmp_path, [row(7)], adjust=quick, change=on(disk)) as gate:
            await gate.ready()
            while await asyncio.wait_for(said.get(), 10) != b"WATCHDOG=1":
                pass
            disk.hang()
            await gate.hardware.second.scan(code(7))
            # It beats once a second while it is fed: three seconds of silence mean that it no longer is.
            while await told_within(said, 3.0):
                pass
            assert gate.hardware.lanes[2].releases.empty()
            disk.go_on()
            while await asyncio.wait_for(said.get(), 10) != b"WATCHDOG=1":
                pass
        asyncio.get_running_loop().remove_reader(systemd)
