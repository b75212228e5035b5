"""The pump that all readers share, on a real pipe, at its awkward moments."""

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Medium, Scan
from drivers.framing.frame import Framed
from drivers.framing.lines import LineFramer
from drivers.readers.pump import FRAMES_PER_TURN_MAX, Pump
from tests.drivers.reader_rig import WAIT_S, turns


def code(number: int) -> Framed:
    return Scan(b"%d" % number, Medium.BARCODE, "", 1, 1)


class Overdue:
    """A framer whose partial code is overdue from the start."""

    deadline_ns: int | None = 0

    def quiet(self, now_ns: int) -> list[Framed]:
        self.deadline_ns = None
        return [code(0)] if now_ns else []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


async def test_device_found_gone_by_the_timer_drops_the_partial_code(pipe: tuple[int, int]) -> None:
    answers: list[list[Framed]] = [[]]

    def take() -> list[Framed]:
        if not answers:
            raise DeviceGone("gone", "Plug it in.")
        os.read(pipe[0], 1)
        return answers.pop()

    emitted: list[Framed] = []
    pump = Pump(pipe[0], take, Overdue(), emitted.append)
    os.write(pipe[1], b"x")
    with pytest.raises(DeviceGone):
        await asyncio.wait_for(pump.run(), WAIT_S)
    assert emitted == []
    assert not asyncio.get_running_loop().remove_reader(pipe[0])


async def test_a_device_that_never_pauses_is_no_open_one(pipe: tuple[int, int]) -> None:
    framer = LineFramer(gap_ns=1)
    emitted: list[Framed] = []
    reads = 0

    def take() -> list[Framed]:
        nonlocal reads
        reads += 1  # what waits in the pipe stays there
        return framer.feed(b"7", reads)

    os.write(pipe[1], b"x")
    with pytest.raises(DeviceMisbehaved) as babbles:
        await asyncio.wait_for(Pump(pipe[0], take, framer, emitted.append).settle(within_s=0.04), WAIT_S)
    assert babbles.value.hint
    assert emitted == []


async def test_what_types_nothing_holds_no_opening_up(pipe: tuple[int, int]) -> None:
    """A key that hangs repeats for ever."""
    framer = LineFramer(gap_ns=1)
    os.write(pipe[1], b"x")
    await asyncio.wait_for(Pump(pipe[0], list, framer, print).settle(within_s=0.0), WAIT_S)


class Defect(Exception):
    """What is wrong with our own code."""


@pytest.mark.parametrize("count", [1, 5 * FRAMES_PER_TURN_MAX])
async def test_a_defect_in_who_listens_ends_the_run(pipe: tuple[int, int], count: int) -> None:
    heard: list[Framed] = []

    def take() -> list[Framed]:
        os.read(pipe[0], 1)
        return [code(number) for number in range(count)]

    def emit(framed: Framed) -> None:
        heard.append(framed)
        if len(heard) == count // 2 + 1:
            raise Defect

    os.write(pipe[1], b"x")
    with pytest.raises(Defect):
        await asyncio.wait_for(Pump(pipe[0], take, LineFramer(gap_ns=1), emit).run(), WAIT_S)
    assert len(heard) == count // 2 + 1
    assert not asyncio.get_running_loop().remove_reader(pipe[0])


async def test_a_generator_that_ended_is_a_defect_too(pipe: tuple[int, int]) -> None:
    def take() -> list[Framed]:
        return [next(iter(()))]

    os.write(pipe[1], b"x")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(Pump(pipe[0], take, LineFramer(gap_ns=1), print).run(), WAIT_S)


@pytest.mark.parametrize("at_gap", [False, True])
async def test_a_defect_in_a_framer_ends_the_run(pipe: tuple[int, int], at_gap: bool) -> None:
    class Broken(Overdue):
        def quiet(self, now_ns: int) -> list[Framed]:
            raise Defect(now_ns)

    def take() -> list[Framed] | None:
        try:
            os.read(pipe[0], 1)
        except BlockingIOError:
            return None
        if at_gap:
            return []
        raise Defect

    os.write(pipe[1], b"x")
    with pytest.raises(Defect):
        await asyncio.wait_for(Pump(pipe[0], take, Broken(), lambda _framed: None).run(), WAIT_S)
    assert not asyncio.get_running_loop().remove_reader(pipe[0])


async def test_bytes_that_wait_prove_that_the_line_was_not_quiet(pipe: tuple[int, int]) -> None:
    # As after a busy loop: the first piece is read, the gap runs out, and the rest has long been in the kernel.
    framer = LineFramer(gap_ns=1)
    emitted: list[Framed] = []

    def take() -> list[Framed] | None:
        try:
            data = os.read(pipe[0], 2)
        except BlockingIOError:
            return None
        # The first piece is overdue at once, the second one's gap never ends.
        return framer.feed(data, 1 if data == b"AB" else 2**62)

    pump = Pump(pipe[0], take, framer, emitted.append)
    task = asyncio.ensure_future(pump.run())
    os.write(pipe[1], b"ABCD")
    await turns()
    assert emitted == []
    os.write(pipe[1], b"\r")
    await turns()
    assert [one.data for one in emitted if isinstance(one, Scan)] == [b"ABCD"]
    task.cancel()
    await asyncio.wait({task})


async def test_many_codes_of_one_read_are_spread_over_turns(pipe: tuple[int, int]) -> None:
    count = 5 * FRAMES_PER_TURN_MAX + 3

    def take() -> list[Framed]:
        os.read(pipe[0], 1)
        return [code(number) for number in range(count)]

    emitted: list[Framed] = []
    framer = LineFramer(gap_ns=1)
    task = asyncio.ensure_future(Pump(pipe[0], take, framer, emitted.append).run())
    os.write(pipe[1], b"xx")  # the second byte is read only when the first one's codes are gone
    sizes = [0]
    while sizes[-1] < 2 * count:
        await asyncio.sleep(0)
        sizes.append(len(emitted))
    assert max(after - before for before, after in pairwise(sizes)) <= FRAMES_PER_TURN_MAX
    assert emitted == [code(number) for number in range(count)] * 2
    task.cancel()
    await asyncio.wait({task})


async def test_cancel_in_the_middle_leaves_nothing_behind(pipe: tuple[int, int]) -> None:
    def take() -> list[Framed]:
        os.read(pipe[0], 1)
        return [code(number) for number in range(10 * FRAMES_PER_TURN_MAX)]

    emitted: list[Framed] = []
    task = asyncio.ensure_future(Pump(pipe[0], take, LineFramer(gap_ns=1), emitted.append).run())
    os.write(pipe[1], b"x")
    while not emitted:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    count = len(emitted)
    await turns()
    assert len(emitted) == count < 10 * FRAMES_PER_TURN_MAX
    assert not asyncio.get_running_loop().remove_reader(pipe[0])


async def test_cancel_while_idle_gives_the_loop_back(pipe: tuple[int, int]) -> None:
    emitted: list[Framed] = []
    task = asyncio.ensure_future(Pump(pipe[0], lambda: None, LineFramer(gap_ns=1), emitted.append).run())
    await turns()
    task.cancel()
    await asyncio.wait({task})
    assert not asyncio.get_running_loop().remove_reader(pipe[0])


class Waiting:
    """A framer whose code ends by silence, at a time."""

    def __init__(self, deadline_ns: int) -> None:
        self.deadline_ns: int | None = deadline_ns

    def quiet(self, now_ns: int) -> list[Framed]:
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return []
        self.deadline_ns = None
        return [code(0)]


@pytest.mark.parametrize("exact", [True, False])
async def test_an_exact_deadline_is_kept_finer_than_a_loops_timer(
    pipe: tuple[int, int], exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    framer, emitted = Waiting(30_000_000), list[Framed]()
    clock_ns = 0

    def timer(delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        nonlocal clock_ns
        clock_ns += round(delay_s * 1e9) + 1_000_000  # as late as a timer is
        return loop.call_at(loop.time(), call)

    def now_ns() -> int:
        nonlocal clock_ns
        clock_ns += 10_000
        return clock_ns

    monkeypatch.setattr(loop, "call_later", timer)
    monkeypatch.setattr("drivers.readers.pump.time.monotonic_ns", now_ns)
    ended_ns: list[int] = []

    def emit(framed: Framed) -> None:
        emitted.append(framed)
        ended_ns.append(clock_ns)

    pump = Pump(pipe[0], lambda: None, framer, emit, exact=lambda: exact and framer.deadline_ns is not None)
    pump.arm()
    task = asyncio.ensure_future(pump.run())
    await turns(200)
    assert [one.data for one in emitted if isinstance(one, Scan)] == [b"0"]
    late_ms = (ended_ns[0] - 30_000_000) / 1e6
    assert late_ms < 0.1 if exact else late_ms >= 1
    task.cancel()
    await asyncio.wait({task})
