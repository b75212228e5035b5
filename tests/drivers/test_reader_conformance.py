"""One suite for every Reader, against its simulator over a real pty (`tests.drivers.readers`)."""

import asyncio
import os
import select
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path

import pytest

from drivers.base import (
    SCAN_BYTES_MAX,
    DeviceGone,
    DeviceMisbehaved,
    Garbled,
    Medium,
    Opened,
    Reader,
    ReaderEvent,
    Scan,
    Signal,
)
from drivers.readers.pump import FRAMES_PER_TURN_MAX
from drivers.sims.ports import SimPort
from tests.drivers.reader_rig import WAIT_S, Listener, open_files, running, scanned, turns
from tests.drivers.readers import (
    BRISK,
    BUILDERS,
    PATIENT,
    Build,
    Rig,
)


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    builder, medium = BUILDERS[request.param]
    return lambda complete, pace: builder(tmp_path / "reader", complete, medium, pace)


@pytest.fixture
async def rig(build: Build) -> AsyncIterator[Rig]:
    rig = build(None, PATIENT)
    rig.port.plug()
    yield rig
    rig.port.unplug()


@pytest.fixture
async def brisk(build: Build) -> AsyncIterator[Rig]:
    """For what ends by waiting."""
    rig = build(None, BRISK)
    rig.port.plug()
    yield rig
    rig.port.unplug()


async def test_is_a_reader(rig: Rig) -> None:
    assert isinstance(rig.reader, Reader)


async def test_one_code_is_one_event(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[0].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[0].data)
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)
        assert len(listener.seen) == 3


async def test_two_codes_back_to_back(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        for code in rig.codes:
            await rig.send(code.text, None, None)
        assert [scanned(await listener.next())[1] for _ in rig.codes] == [code.data for code in rig.codes]


async def test_missing_suffix_ends_by_the_gap(brisk: Rig) -> None:
    brisk.no_suffix()
    async with running(brisk.reader) as (listener, _):
        for code in brisk.codes:
            await brisk.send(code.text, None, None)
            assert scanned(await listener.next()) == (brisk.medium, code.data)


async def next_scan(rig: Rig, listener: Listener) -> ReaderEvent:
    """Return the next scan. Only a protocol with packets can tell garbage from a code, and says so."""
    event = await listener.next()
    while rig.tells_garbage and isinstance(event, Garbled):
        event = await listener.next()
    return event


@pytest.mark.parametrize("chunk", [1, 7, 25])
async def test_split_code(rig: Rig, chunk: int) -> None:
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[0].text, chunk, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[0].data)


async def test_garbage_between_codes(rig: Rig) -> None:
    async with running(rig.reader) as (listener, _):
        for code in rig.codes:
            await rig.garbage()
            await rig.send(code.text, None, None)
            assert scanned(await next_scan(rig, listener)) == (rig.medium, code.data)
        await rig.garbage()
        await turns()
        assert len([one for one in listener.seen if isinstance(one, Scan)]) == 2


async def test_too_long_is_garbled_once(rig: Rig) -> None:
    if rig.when_asked:
        pytest.skip("its answers have a length of their own")
    async with running(rig.reader) as (listener, _):
        await rig.send("0" * (SCAN_BYTES_MAX + 500), None, None)
        await rig.send(rig.codes[0].text, None, None)
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert (garbled.why, garbled.size) == rig.too_long
        assert scanned(await listener.next())[1] == rig.codes[0].data


async def test_unplug_drops_the_partial_code_and_reopening_works(rig: Rig) -> None:
    before = open_files()
    async with running(rig.reader) as (listener, task):
        await rig.send(rig.codes[0].text, None, 6)
        rig.port.unplug()
        with pytest.raises(DeviceGone) as gone:
            await asyncio.wait_for(asyncio.shield(task), WAIT_S)
        assert gone.value.hint
        assert len(listener.seen) == 1  # Opened
    assert open_files() == before - rig.sim_files
    with pytest.raises(DeviceGone):
        async with running(rig.reader):
            raise AssertionError("opened without a device")
    rig.port.plug()
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)


async def test_what_came_before_opening_counts_for_nothing(rig: Rig) -> None:
    if rig.when_asked:
        pytest.skip("nothing comes before it is asked")
    await rig.send(rig.codes[0].text, None, None)
    if isinstance(rig.port, SimPort):
        other = os.open(rig.port.link, os.O_RDONLY | os.O_NOCTTY)
        assert select.select([other], [], [], WAIT_S)[0]  # it has reached the driver's side
        os.close(other)
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)


async def test_what_is_under_way_at_the_opening_counts_for_nothing(rig: Rig) -> None:
    """Nobody heard its beginning: it may be the rest of a code."""
    if rig.when_asked or rig.asks:
        pytest.skip("it says nothing before it is asked")
    listener = Listener()
    task = asyncio.ensure_future(rig.reader.run(listener.emit))
    await asyncio.sleep(0)  # the device is open from here on
    await rig.send(rig.codes[0].text, None, None)
    assert isinstance(await listener.next(), Opened)
    await rig.send(rig.codes[1].text, None, None)
    event = await listener.next()
    if isinstance(event, Garbled):
        event = await listener.next()  # of a memory's lines only the first is thrown away, and told
    assert scanned(event) == (rig.medium, rig.codes[1].data)
    task.cancel()
    await asyncio.wait({task})


async def test_cancel_closes_and_it_can_run_again(rig: Rig) -> None:
    before = open_files()
    for _ in range(3):
        async with running(rig.reader) as (listener, task):
            await rig.send(rig.codes[0].text, None, 6)  # a partial code, its timer running
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(listener.seen) == 1
        assert open_files() == before


class Defect(Exception):
    """What is wrong with our own code."""


async def test_a_defect_in_who_listens_ends_it_and_it_can_run_again(rig: Rig) -> None:
    before = open_files()
    is_open = asyncio.Event()

    def emit(event: ReaderEvent) -> None:
        if not isinstance(event, Opened):
            raise Defect
        is_open.set()

    task = asyncio.ensure_future(rig.reader.run(emit))
    await asyncio.wait_for(is_open.wait(), WAIT_S)
    sending = asyncio.ensure_future(rig.send(rig.codes[0].text, None, None))
    with pytest.raises(Defect):
        await asyncio.wait_for(task, WAIT_S)
    sending.cancel()
    await asyncio.wait({sending})
    assert open_files() == before
    async with running(rig.reader) as (listener, _):
        await rig.send(rig.codes[1].text, None, None)
        assert scanned(await listener.next()) == (rig.medium, rig.codes[1].data)


async def test_silent_device_stays_open(rig: Rig) -> None:
    async with running(rig.reader) as (listener, task):
        await turns(200)
        assert not task.done()
        assert len(listener.seen) == 1


async def test_feedback_never_raises(rig: Rig) -> None:
    for signal in Signal:
        rig.reader.feedback(signal)
    async with running(rig.reader) as (_, task):
        for signal in Signal:
            rig.reader.feedback(signal)
        rig.port.unplug()
        for signal in Signal:
            rig.reader.feedback(signal)
        with pytest.raises(DeviceGone):
            await asyncio.wait_for(asyncio.shield(task), WAIT_S)
    for signal in Signal:
        rig.reader.feedback(signal)


async def test_complete_text_is_one_scan_and_waits_for_nothing(build: Build) -> None:
    if not build(None, PATIENT).by_text:
        pytest.skip("its packets say where a code ends")
    first, second = build(None, PATIENT).codes
    seen_right_after: list[int] = []

    def complete(text: bytes) -> bool:
        if text != first.text.encode():
            return False
        asyncio.get_running_loop().call_soon(lambda: seen_right_after.append(len(listener.seen)))
        return True

    rig = build(complete, PATIENT)
    rig.port.plug()
    rig.no_suffix()
    async with running(rig.reader) as (listener, _):
        await rig.send(first.text, None, None)
        assert scanned(await listener.next())[1] == first.data
        assert seen_right_after == [2]
        await rig.terminate()  # makes neither an empty nor a second scan
        await rig.send(second.text, None, None)
        await rig.terminate()
        assert scanned(await listener.next())[1] == second.data
        assert len(listener.seen) == 3
    rig.port.unplug()


async def test_babbling_device_leaves_turns_to_others(rig: Rig) -> None:
    """Codes as fast as the wire takes them: the emits per loop turn stay bounded, and none is lost."""
    if rig.when_asked:
        pytest.skip("what nobody asked for is no code: test_tag_readers.py")
    per_turn: list[int] = []
    emitted = 0
    opened, done = asyncio.Event(), asyncio.Event()
    count = 12 * FRAMES_PER_TURN_MAX

    def emit(event: ReaderEvent) -> None:
        nonlocal emitted
        if isinstance(event, Opened):
            opened.set()
        else:
            emitted += 1
            if emitted == count:
                done.set()

    async def run() -> None:
        await rig.reader.run(emit)

    async def watch() -> None:
        seen = 0
        while seen < count:
            await asyncio.sleep(0)
            per_turn.append(emitted - seen)
            seen = emitted

    task = asyncio.create_task(run())
    await asyncio.wait_for(opened.wait(), WAIT_S)
    watcher = asyncio.create_task(watch())
    await rig.burst(count)
    await asyncio.wait_for(done.wait(), WAIT_S)
    task.cancel()
    await asyncio.wait({task})
    await watcher
    assert emitted == count
    assert max(per_turn) <= 2 * FRAMES_PER_TURN_MAX  # a timer's share may fall into the same turn


async def test_delayed_bytes_make_one_code(rig: Rig) -> None:
    """A slow line pauses within a code, shorter than the gap."""
    async with running(rig.reader) as (listener, _):
        if rig.slowly is None:
            rig.port.slow_s = 0.001
            sending = asyncio.ensure_future(rig.send(rig.codes[0].text, 7, None))
        else:
            sending = asyncio.ensure_future(rig.slowly(rig.codes[0].text))
        assert scanned(await listener.next()) == (rig.medium, rig.codes[0].data)
        await sending


async def test_with_a_fifth_lost_what_is_acknowledged_is_one_scan_and_nothing_else_is(brisk: Rig) -> None:
    if not brisk.checked:
        pytest.skip("nothing in what it sends can tell that something is missing")
    async with running(brisk.reader) as (listener, task):
        brisk.lose()
        said = {}
        for text in (brisk.many(number) for number in range(24 if brisk.when_asked else 40)):
            code = bytes.fromhex(text) if brisk.medium is Medium.UID else text.encode()
            said[code] = await brisk.send(text, None, None)
        await turns()
        assert not task.done()
        codes = [one.data for one in listener.seen if isinstance(one, Scan)]
        if brisk.when_asked:
            codes = [code for code, _ in groupby(codes)]  # a tag that stays is said again
        assert len(codes) == len(set(codes))
        assert {code for code, acknowledged in said.items() if acknowledged} <= set(codes) <= set(said)
        assert len(codes) > 20


async def test_a_device_that_never_answers_is_gone(brisk: Rig) -> None:
    if not brisk.asks:
        pytest.skip("it is not asked anything")
    brisk.hush()
    with pytest.raises(DeviceGone) as gone:
        async with running(brisk.reader):
            raise AssertionError("opened without an answer")
    assert gone.value.hint


async def test_wrong_speed_is_told(brisk: Rig) -> None:
    if not brisk.asks:
        pytest.skip("what comes at another speed is other text, and nobody can tell")
    brisk.misread()
    with pytest.raises((DeviceMisbehaved, DeviceGone)) as wrong:
        async with running(brisk.reader):
            raise AssertionError("opened at another speed")
    assert "baud" in wrong.value.hint


@pytest.mark.parametrize("kind", BUILDERS)
async def test_two_of_one_kind_that_swap_ports_each_read_for_the_port(kind: str, tmp_path: Path) -> None:
    builder, medium = BUILDERS[kind]
    one, other = (builder(tmp_path / name, None, medium) for name in ("left", "right"))
    for rig in (one, other):
        rig.port.plug()
    async with running(one.reader) as (left, _), running(other.reader) as (right, _):
        await one.send(one.codes[0].text, None, None)
        await other.send(other.codes[1].text, None, None)
        assert scanned(await left.next())[1] == one.codes[0].data
        assert scanned(await right.next())[1] == other.codes[1].data
    for rig in (one, other):
        rig.port.unplug()
    # The devices change places; what is read at a port is read there, whichever device it is.
    one.port.link, other.port.link = other.port.link, one.port.link
    for rig in (one, other):
        rig.port.plug()
    async with running(one.reader) as (left, _), running(other.reader) as (right, _):
        await one.send(one.codes[0].text, None, None)
        await other.send(other.codes[1].text, None, None)
        assert scanned(await left.next())[1] == other.codes[1].data
        assert scanned(await right.next())[1] == one.codes[0].data
    for rig in (one, other):
        rig.port.unplug()
