"""Handhelds on the LAN: who is let in, how many, how fast, and what becomes of lines that are cut."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.base import DeviceGone, Garbled, Medium, Misconfigured, Reader, Scan, Signal
from drivers.framing.uid import ByteOrder
from drivers.readers.tcp_lines import BURST, CONNECTIONS_MAX, TcpReader, TcpReaderConfig, sources_of
from drivers.sims.handheld import Handheld
from tests.drivers.reader_rig import WAIT_S, Listener, open_files, running, scanned, turns

HERE = ("127.0.0.1",)


def config(**other: object) -> TcpReaderConfig:
    return TcpReaderConfig(**{"sources": HERE, "listen": "127.0.0.1", "port": 0, "rate_max": 1000, **other})  # type: ignore[arg-type]


@asynccontextmanager
async def listening(
    reader: TcpReader,
) -> AsyncIterator[tuple[Listener, Callable[[], tuple[str, int]], asyncio.Task[None]]]:
    async with running(reader) as (listener, task):

        def address() -> tuple[str, int]:
            assert reader.address is not None
            return reader.address

        yield listener, address, task


async def closed(stream: asyncio.StreamReader) -> None:
    """Wait until the host has closed a connection."""
    try:
        assert await asyncio.wait_for(stream.read(), WAIT_S) == b""
    except ConnectionResetError:
        return


@pytest.mark.parametrize("suffix", [b"\r\n", b"\r", b"\n", b"\x03", b"\x00"])
@pytest.mark.parametrize("chunk", [None, 1, 3])
async def test_a_line_is_a_code(suffix: bytes, chunk: int | None) -> None:
    reader = TcpReader(config())
    assert isinstance(reader, Reader)
    async with listening(reader) as (listener, address, _):
        handheld = Handheld(address, suffix=suffix)
        for code in (b"]Q1TK1ABC", b"second"):
            await handheld.scan(code, chunk=chunk)
        event = await listener.next()
        assert isinstance(event, Scan)
        assert (event.aim, event.data) == ("Q1", b"TK1ABC")
        assert scanned(await listener.next()) == (Medium.BARCODE, b"second")
        await handheld.hang_up()


async def test_tags_are_uids() -> None:
    reader = TcpReader(config(medium=Medium.UID, uid_order=ByteOrder.UID0_LAST))
    async with listening(reader) as (listener, address, _):
        handheld = Handheld(address)
        await handheld.scan(b"C3:B2:A1:04")
        assert scanned(await listener.next()) == (Medium.UID, bytes.fromhex("04A1B2C3"))
        await handheld.hang_up()


@pytest.mark.parametrize("source", ["127.0.0.2", "127.1.0.1"])
async def test_who_is_not_named_is_turned_away_unheard(source: str) -> None:
    async with listening(TcpReader(config(sources=("127.0.0.1", "127.0.1.0/24")))) as (listener, address, _):
        stranger = Handheld(address, source=source)
        answer = await stranger.connect()
        await closed(answer)
        stranger.vanish()
        friend = Handheld(address, source="127.0.1.7")
        await friend.scan(b"A")
        assert scanned(await listener.next())[1] == b"A"
        assert len(listener.seen) == 2
        await friend.hang_up()


@pytest.mark.parametrize("end", ["hang_up", "vanish"])
async def test_half_a_line_is_never_a_code(end: str) -> None:
    """A network cuts where it likes, so that half a code would look like a short one."""
    async with listening(TcpReader(config())) as (listener, address, task):
        handheld = Handheld(address)
        await handheld.scan(b"whole")
        assert scanned(await listener.next())[1] == b"whole"
        await handheld.scan(b"half a code", stop_after=6)
        await turns()
        if end == "vanish":
            handheld.vanish()
        else:
            await handheld.hang_up()
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert (garbled.why, garbled.size) == ("cut", 6)
        await handheld.scan(b"again")
        assert scanned(await listener.next())[1] == b"again"
        assert not task.done()
        await handheld.hang_up()


async def test_a_line_whose_rest_does_not_come_is_given_up_with_its_connection() -> None:
    async with listening(TcpReader(config())) as (listener, address, _):
        handheld = Handheld(address)
        await handheld.scan(b"half a code", stop_after=6)
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert (garbled.why, garbled.size) == ("cut", 6)
        await closed(await handheld.connect())  # where its rest would come, however late
        handheld.vanish()
        await handheld.scan(b"whole")
        assert scanned(await listener.next())[1] == b"whole"
        await handheld.hang_up()


async def test_a_text_that_says_that_it_is_whole_needs_no_end() -> None:
    reader = TcpReader(config(), complete=lambda text: text == b"TK1AB")
    async with listening(reader) as (listener, address, _):
        handheld = Handheld(address, suffix=b"")
        await handheld.scan(b"TK1AB")
        assert scanned(await listener.next())[1] == b"TK1AB"
        await handheld.hang_up()
        await turns()
        assert len(listener.seen) == 2


async def test_two_handhelds_do_not_mix_their_lines() -> None:
    async with listening(TcpReader(config())) as (listener, address, _):
        one, other = Handheld(address), Handheld(address)
        await one.scan(b"ONE-11", stop_after=4)
        await other.scan(b"OTHER-22")
        assert scanned(await listener.next())[1] == b"OTHER-22"
        await one.send(b"11\r")
        assert scanned(await listener.next())[1] == b"ONE-11"
        await one.hang_up()
        await other.hang_up()


async def test_one_too_many_takes_the_place_of_the_one_silent_longest() -> None:
    async with listening(TcpReader(config())) as (listener, address, _):
        crowd = [Handheld(address) for _ in range(CONNECTIONS_MAX)]
        for number, one in enumerate(crowd):
            await one.scan(b"%d" % number)
            assert scanned(await listener.next())[1] == b"%d" % number
        await crowd[0].scan(b"still here")
        assert scanned(await listener.next())[1] == b"still here"
        late = Handheld(address)
        await late.scan(b"late")
        assert scanned(await listener.next())[1] == b"late"
        await closed(await crowd[1].connect())
        await crowd[0].scan(b"and here")
        assert scanned(await listener.next())[1] == b"and here"
        for one in (*crowd, late):
            one.vanish()
        await turns()


async def test_what_comes_faster_than_people_walk_is_dropped_and_told() -> None:
    async with listening(TcpReader(config(rate_max=1))) as (listener, address, task):
        handheld = Handheld(address)
        await handheld.send(b"7\r" * 10_000)
        dropped = 0
        while dropped < 10_000 - 2 * BURST:
            event = await listener.next()
            if isinstance(event, Garbled):
                assert event.why == "too_fast"
                dropped += event.size
        passed = [one for one in listener.seen if isinstance(one, Scan)]
        assert BURST <= len(passed) <= 2 * BURST  # a loaded machine refills a little meanwhile
        assert len(listener.seen) < 100  # no event for each that was dropped
        assert not task.done()
        handheld.vanish()
        await turns()


async def test_too_long_a_line_is_told_once() -> None:
    async with listening(TcpReader(config())) as (listener, address, _):
        handheld = Handheld(address)
        await handheld.send(b"A" * 300_000 + b"\rB\r")
        garbled = await listener.next()
        assert isinstance(garbled, Garbled)
        assert garbled.why == "too_long"
        assert scanned(await listener.next())[1] == b"B"
        await handheld.hang_up()


async def test_cancelled_it_leaves_nothing_open_and_can_listen_again() -> None:
    reader = TcpReader(config())
    await turns()
    before = open_files()
    for _ in range(3):
        async with listening(reader) as (listener, address, task):
            handheld = Handheld(address)
            answer = await handheld.connect()
            await handheld.scan(b"half", stop_after=2)
            await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert reader.address is None
            await closed(answer)
            handheld.vanish()
            assert not [one for one in listener.seen if isinstance(one, Scan)]
        await turns()
        assert open_files() == before


async def test_a_port_that_is_taken_or_not_there_is_told() -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    for other in ({"port": taken.getsockname()[1]}, {"listen": "192.0.2.1"}):
        with pytest.raises(DeviceGone) as gone:
            async with running(TcpReader(config(**other))):
                raise AssertionError("listens where it cannot")
        assert gone.value.hint
    taken.close()


@pytest.mark.parametrize(
    "sources", [(), ("0.0.0.0/0",), ("::/0",), ("handheld.local",), ("192.168.7.1/24",), ("10.0.0.1",) * 65]
)
def test_everybody_and_nobody_are_no_sources(sources: tuple[str, ...]) -> None:
    with pytest.raises(Misconfigured) as wrong:
        TcpReader(config(sources=sources))
    assert "sources" in wrong.value.hint


def test_a_rate_of_nothing_is_told() -> None:
    with pytest.raises(Misconfigured, match="rate_max"):
        TcpReader(config(rate_max=0))


async def test_an_address_written_as_ipv6_is_the_same_address() -> None:
    assert len(sources_of(["10.0.0.1", "fe80::/10"])) == 2
    async with listening(TcpReader(config(listen="::"))) as (listener, address, _):
        handheld = Handheld(lambda: ("127.0.0.1", address()[1]))
        await handheld.scan(b"A")
        assert scanned(await listener.next())[1] == b"A"
        await handheld.hang_up()


async def test_feedback_does_nothing_and_never_raises() -> None:
    reader = TcpReader(config())
    for signal in Signal:
        reader.feedback(signal)
