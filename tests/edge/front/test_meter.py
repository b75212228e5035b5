"""What the uplink costs, counted by day, and what the cap on it means."""

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.front.meter import DAY_S, DAYS_MAX, LIST_NEAR_S, LIST_OVER_S, METER_FILE, Carried, Level, Meter
from tests.edge.front.slow_link import SlowLink

MEGA = 1_000_000


class Times:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.signed_s, self.mono_s = 20_000 * DAY_S, 0.0

    def meter(self, data: Path, cap_mb: int = 0) -> Meter:
        return Meter(data, cap_mb, lambda: self.signed_s, lambda: self.mono_s)


def level_of(meter: Meter) -> Level:
    """As it is now: a property that moves by itself."""
    return meter.level


def test_a_day_is_kept_over_restarts_and_ends_by_the_centres_word_alone(tmp_path: Path) -> None:
    times = Times()
    meter = times.meter(tmp_path)
    meter.add(Carried(100, 50))
    meter.save()
    times.signed_s = 0  # it started anew, and has not heard the centre
    meter = times.meter(tmp_path)
    meter.add(Carried(1, 0))
    assert meter.today == Carried(101, 50)
    times.signed_s = 20_001 * DAY_S
    meter.add(Carried(7, 0))
    assert meter.today == Carried(7, 0)
    times.signed_s = 20_000 * DAY_S  # a centre restored with a clock of yesterday
    meter.add(Carried(1, 1))
    assert meter.today == Carried(8, 1)
    assert meter.month == Carried(109, 51)


def test_a_centre_whose_clock_was_years_ahead_ends_days_again_once_it_is_right(tmp_path: Path) -> None:
    """Else the cap would be reached for good some days later."""
    times = Times()
    meter = times.meter(tmp_path)
    meter.add(Carried(100, 50))
    times.signed_s += 3650 * DAY_S
    meter.add(Carried(9, 0))
    meter.save()
    times.signed_s = 20_001 * DAY_S
    for again in (meter, times.meter(tmp_path)):
        again.add(Carried(7, 0))
        assert (again.today, again.month) == (Carried(7, 0), Carried(107, 50))
        times.signed_s += DAY_S
        again.add(Carried(1, 0))
        assert again.today == Carried(1, 0)
        times.signed_s -= DAY_S


def test_what_was_carried_before_the_first_word_of_the_centre_is_of_its_day(tmp_path: Path) -> None:
    times = Times()
    times.signed_s = 0
    meter = times.meter(tmp_path)
    meter.add(Carried(10, 0))
    times.signed_s = 20_000 * DAY_S
    meter.add(Carried(5, 0))
    assert meter.today == meter.month == Carried(15, 0)


def test_a_month_is_kept_and_no_more(tmp_path: Path) -> None:
    times = Times()
    meter = times.meter(tmp_path)
    for _ in range(2 * DAYS_MAX):
        meter.add(Carried(1, 0))
        times.signed_s += DAY_S
    meter.save()
    assert times.meter(tmp_path).month == Carried(DAYS_MAX, 0)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"days": 3}', b"\xff" * 40])
def test_a_damaged_count_begins_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / METER_FILE).write_bytes(damage)
    meter = Times().meter(tmp_path)
    meter.add(Carried(3, 0))
    meter.save()
    assert Times().meter(tmp_path).today == Carried(3, 0)


def test_a_card_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    meter = Times().meter(tmp_path / "gone")
    meter.add(Carried(3, 0))
    meter.save()
    assert meter.today == Carried(3, 0)


async def test_little_is_written_down_seldom(tmp_path: Path) -> None:
    times = Times()
    meter = times.meter(tmp_path)
    meter.add(Carried(1000, 0))
    await meter.keep()
    assert not (tmp_path / METER_FILE).exists()
    times.mono_s += 900
    await meter.keep()
    assert times.meter(tmp_path).today == Carried(1000, 0)
    meter.add(Carried(0, MEGA))
    await meter.keep()
    assert times.meter(tmp_path).today == Carried(1000, MEGA)


def test_near_the_cap_whole_lists_wait_and_over_it_longer(tmp_path: Path) -> None:
    times = Times()
    meter = times.meter(tmp_path, cap_mb=10)
    for _ in range(3):
        assert meter.grant_list(), "there is room"
    meter.add(Carried(0, 8 * MEGA))
    assert level_of(meter) is Level.NEAR
    assert not meter.grant_list()
    times.mono_s += LIST_NEAR_S
    assert meter.grant_list()
    meter.add(Carried(2 * MEGA, 0))
    assert level_of(meter) is Level.OVER
    times.mono_s += LIST_NEAR_S
    assert not meter.grant_list()
    times.mono_s += LIST_OVER_S
    assert meter.grant_list()
    assert not meter.grant_list()
    times.signed_s += DAY_S
    meter.add(Carried(1, 1))
    assert level_of(meter) is Level.FREE
    assert meter.grant_list()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30))
def test_nothing_is_lost_or_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    data = tmp_path_factory.mktemp("meter")
    times = Times()
    meter = times.meter(data, cap_mb=1)
    up = down = 0
    for days, more_up, more_down in steps:
        times.signed_s += days * DAY_S
        meter.add(Carried(more_up, more_down))
        up, down = up + more_up, down + more_down
        meter.save()
        meter = times.meter(data, cap_mb=1)
        assert (meter.level is Level.OVER) == (meter.today.total >= MEGA)
    if sum(days for days, _, _ in steps) < DAYS_MAX:
        assert meter.month == Carried(up, down)


async def test_what_a_connection_carried_is_counted_open_and_closed(tmp_path: Path) -> None:
    """Against a proxy that counts what passes: the kernel's count is that, and a header for each segment."""
    meter = Times().meter(tmp_path)
    echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with echo, SlowLink(echo.sockets[0].getsockname()[1]) as link:
        sock = meter.socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", link.port)))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", link.port))
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(bytes(50_000))
        await reader.readexactly(50_000)
        meter.look()
        while_open = meter.today
        assert link.up_bytes == link.down_bytes == 50_000
        assert 50_000 < while_open.up < 60_000
        assert 50_000 < while_open.down < 60_000
        meter.look()
        assert meter.today == while_open, "nothing is counted twice"
        writer.write(bytes(1000))
        await reader.readexactly(1000)
        writer.close()
        await writer.wait_closed()
    assert 1000 < meter.today.since(while_open).up < 2000


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()
