"""Tag readers that are asked: tags come, stay, go, and are nobody's; a reader that is silent or another is told so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Garbled, Medium, Reader, Removed, Scan, Signal
from drivers.framing.pn532_dialect import Pn532
from drivers.framing.presence import SAID_AGAIN_NS, Presence
from drivers.framing.tag_host import POLL_NS, TagHost
from drivers.framing.twn4_dialect import Twn4
from drivers.framing.uid import ByteOrder
from drivers.readers.asked import AskedReader
from drivers.readers.pn532 import Pn532Config, Pn532Reader
from drivers.readers.twn4 import HIGH_HZ, SHORT_MS, Twn4Config, Twn4Reader, beep
from drivers.sims.tag_reader import Pn532Chip, TagReader, Twn4Device
from drivers.transport.serial_port import Line
from tests.drivers.reader_rig import WAIT_S, Listener, running, turns

UID = bytes.fromhex("04E10CDA993C80")
OTHER = bytes.fromhex("D1AA40EA")
RANDOM = bytes.fromhex("08AA40EA")

Bench = tuple[Reader, TagReader]


def pn532(link: Path) -> Bench:
    return Pn532Reader(Pn532Config(str(link), gap_ms=30, answer_ms=300)), Pn532Chip(link)


def twn4(link: Path) -> Bench:
    return Twn4Reader(Twn4Config(str(link), gap_ms=30, answer_ms=300)), Twn4Device(link)


@pytest.fixture(params=[pn532, twn4])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    make: Callable[[Path], Bench] = request.param
    reader, sim = make(tmp_path / "tty")
    sim.port.plug()
    yield reader, sim
    sim.port.unplug()


async def tap(sim: TagReader, uid: bytes, times: int = 1) -> None:
    await asyncio.wait_for(sim.tap(uid, times), WAIT_S)


async def until(listener: Listener, kind: type, count: int = 1) -> None:
    async with asyncio.timeout(WAIT_S):
        while len([one for one in [*listener.seen, *listener.removed] if isinstance(one, kind)]) < count:
            await asyncio.sleep(0.005)


async def test_a_tag_comes_and_goes(bench: Bench) -> None:
    reader, sim = bench
    assert reader.reports_removal
    async with running(reader) as (listener, _):
        for uid in (UID, OTHER, UID):
            await tap(sim, uid)
            await turns()
        await until(listener, Removed, 3)
        scans = [one for one in listener.seen if isinstance(one, Scan)]
        assert [one.data for one in scans] == [UID, OTHER, UID]
        assert {one.medium for one in scans} == {Medium.UID}


async def test_a_uid_that_is_made_anew_for_each_tap_is_nobodys(bench: Bench) -> None:
    reader, sim = bench
    async with running(reader) as (listener, _):
        await tap(sim, RANDOM)
        await until(listener, Garbled)
        await until(listener, Removed)
        assert [one.why for one in listener.seen if isinstance(one, Garbled)] == ["random_uid"]
        assert not [one for one in listener.seen if isinstance(one, Scan)]


async def test_one_answer_that_is_lost_is_no_removal(bench: Bench) -> None:
    reader, sim = bench
    async with running(reader) as (listener, _):
        sim.tag = UID
        await until(listener, Scan)
        sim.tag = b""
        told = sim.told
        async with asyncio.timeout(WAIT_S):
            while sim.told == told:
                await asyncio.sleep(0.002)
        sim.tag = UID
        async with asyncio.timeout(WAIT_S):
            while sim.told < told + 4:
                await asyncio.sleep(0.005)
        assert not listener.removed


async def test_a_reader_that_falls_silent_is_gone(bench: Bench) -> None:
    reader, sim = bench
    async with running(reader) as (_, task):
        sim.setting = type(sim.setting)(speed=sim.setting.speed, silent=True)
        with pytest.raises(DeviceGone):
            await asyncio.wait_for(asyncio.shield(task), WAIT_S)


async def test_a_reader_that_answers_nothing_any_more_is_gone_within_a_second(bench: Bench) -> None:
    _, sim = bench
    dialect = (Pn532 if isinstance(sim, Pn532Chip) else Twn4)(gap_ns=1, answer_ns=100_000_000)
    host = TagHost(dialect, 0)
    now = 0
    while not host.ready or now < 10**9:
        for command in sim.commands(host.take_output()):
            for packet in sim.answers(command)[0]:
                host.feed(packet, now)
        assert host.deadline_ns is not None
        now = max(now, host.deadline_ns)
        host.quiet(now)
    asked, since = 0, now

    def fall_silent() -> None:
        nonlocal asked, now
        while True:
            asked += len(sim.commands(host.take_output()))
            assert host.deadline_ns is not None
            now = max(now, host.deadline_ns)
            host.quiet(now)

    with pytest.raises(DeviceGone):
        fall_silent()
    assert now - since + POLL_NS <= 1_000_000_000
    assert asked == 8


async def test_a_flood_of_answers_that_nobody_asked_for_is_no_tag(bench: Bench) -> None:
    reader, sim = bench
    async with running(reader) as (listener, task):
        flood = b"".join(sim.answers(bytes.fromhex("0005"))[0]) * 200
        await asyncio.wait_for(sim.port.send(flood), WAIT_S)
        # An answer of a TWN4 does not name its question: those that fall into the flood are lost in it.
        await tap(sim, UID, times=3)
        await until(listener, Scan)
        assert not task.done()
        # A tag that stays is said again, which a slow machine makes of one that is held for three answers.
        assert {one.data for one in listener.seen if isinstance(one, Scan)} == {UID}


async def test_a_twn4_that_runs_another_application_is_told_so(tmp_path: Path) -> None:
    reader, sim = twn4(tmp_path / "tty")
    assert isinstance(sim, Twn4Device)
    sim.scripted = True
    sim.port.plug()
    with pytest.raises(DeviceMisbehaved) as other:
        async with running(reader):
            raise AssertionError("opened")
    assert "Simple Protocol" in other.value.hint
    sim.port.unplug()


async def test_a_twn4_beeps_its_verdict(tmp_path: Path) -> None:
    reader, sim = twn4(tmp_path / "tty")
    sim.port.plug()
    async with running(reader):
        reader.feedback(Signal.ACCEPT)
        await asyncio.wait_for(sim.hear(beep(HIGH_HZ, SHORT_MS)), WAIT_S)
        reader.feedback(Signal.REJECT)
        reader.feedback(Signal.WAIT)
    sim.port.unplug()
    # Volume 85, 2000 Hz, 0x80 on, 0x80 off: what a public client sends, as far as we send the same.
    assert beep(2000, 0x80)[3:7] == bytes.fromhex("D0078000")


async def test_a_twn4_set_to_the_other_byte_order(tmp_path: Path) -> None:
    sim = Twn4Device(tmp_path / "tty")
    sim.port.plug()
    config = Twn4Config(str(sim.port.link), uid_order=ByteOrder.UID0_LAST, answer_ms=300)
    async with running(Twn4Reader(config)) as (listener, _):
        await tap(sim, UID[::-1])
        await until(listener, Scan)
        assert [one.data for one in listener.seen if isinstance(one, Scan)] == [UID]
    sim.port.unplug()


@pytest.mark.parametrize(
    ("answer", "uid"),
    [
        ("0000", b""),
        ("0001803807 04E10CDA993C80", UID),
        ("0001802004 D1AA40EA", OTHER),
        ("0001802004 D1AA40", None),
        ("0001802804 D1AA40EA00", None),
        ("0001802805 D1AA40EA00", None),
        ("00", None),
        ("01", None),
        ("000180", None),
    ],
)
def test_uid_in_an_answer_of_a_twn4(answer: str, uid: bytes | None) -> None:
    assert Twn4(gap_ns=1, answer_ns=1).uid(bytes.fromhex(answer)) == uid


def test_what_answers_a_command_of_a_twn4() -> None:
    dialect = Twn4(gap_ns=1, answer_ns=1)
    for command in dialect.opening:
        assert dialect.answers(command, b"\x00")
        assert not dialect.answers(command, b"\x01")  # it does not know the command
    assert not dialect.answers(dialect.question, b"\x00")  # a beep's, late
    assert not dialect.answers(dialect.question, b"\x05")
    assert dialect.answers(dialect.question, b"\x00\x00")
    assert dialect.answers(beep(HIGH_HZ, SHORT_MS), b"\x01")  # it has no beeper


def test_lines_of_a_twn4() -> None:
    dialect = Twn4(gap_ns=10, answer_ns=1, hf=5)
    assert [dialect.frame(one, again=False) for one in (*dialect.opening, dialect.question)] == [
        b"0005\r",
        b"05020000000005000000\r",
        b"050010\r",
    ]
    assert dialect.frame(dialect.question, again=True) == b"\r050010\r"
    for step in (1, 3, 100):
        heard = [
            one for at in range(0, 40, step) for one in dialect.feed(b"0000\r\n00018020"[at : at + step], at)
        ]
        assert heard == [b"\x00\x00"]
        (cut,) = dialect.quiet(1000)
        assert isinstance(cut, Garbled)
        assert cut.why == "not_hex"


def test_a_tag_that_stays_is_said_again_before_it_would_count_as_unseen() -> None:
    presence = Presence()
    assert len(presence.seen(UID, 1)) == 1
    assert presence.seen(UID, SAID_AGAIN_NS) == []
    assert len(presence.seen(UID, SAID_AGAIN_NS + 1)) == 1
    assert presence.missed(SAID_AGAIN_NS + 2) == []
    assert presence.seen(OTHER, SAID_AGAIN_NS + 3) == [
        Removed(SAID_AGAIN_NS + 3),
        Scan(OTHER, Medium.UID, "", SAID_AGAIN_NS + 3, SAID_AGAIN_NS + 3),
    ]
    assert presence.missed(10**9) == []
    assert presence.missed(2 * 10**9) == [Removed(2 * 10**9)]
    assert presence.missed(3 * 10**9) == []


class _Defect(Exception):
    """What is wrong with our own code."""


class _Unshown(TagHost):
    """A host with a defect in what it shows."""

    def show(self, signal: Signal, now_ns: int) -> None:
        raise _Defect(signal.name, now_ns)


async def test_what_fails_in_showing_ends_the_reader_and_never_reaches_the_lane(tmp_path: Path) -> None:
    sim = Twn4Device(tmp_path / "tty")
    sim.port.plug()

    def make(now_ns: int) -> TagHost:
        dialect = Twn4(
            gap_ns=30_000_000, answer_ns=300_000_000, hf=1, uid0_last=False, shows={Signal.ACCEPT: [b"x"]}
        )
        return _Unshown(dialect, now_ns)

    reader = AskedReader(str(sim.port.link), Line(), make, "tag reader", reports_removal=True)
    async with running(reader) as (_, task):
        reader.feedback(Signal.ACCEPT)
        reader.feedback(Signal.REJECT)
        with pytest.raises(_Defect, match="ACCEPT"):
            await asyncio.wait_for(asyncio.shield(task), WAIT_S)
        reader.feedback(Signal.ACCEPT)
    sim.port.unplug()
