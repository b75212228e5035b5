"""What tags carry: literal memories of both kinds, answers that are cut or missing, and a reader that loses the tag."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import Garbled, Medium, Removed, Scan
from drivers.framing.pn532_dialect import Pn532
from drivers.framing.presence import TagEvent
from drivers.framing.tag_content import (
    MESSAGE_BYTES_MAX,
    Content,
    NoAnswer,
    Part,
    Reading,
    ToWrite,
    type_2,
    type_4,
    write_type_2,
)
from drivers.framing.tag_host import READ_TRIES, TagHost
from drivers.readers.pn532 import Pn532Config, Pn532Reader
from drivers.sims.tag_reader import Memory, Pn532Chip, Type2Memory, Type4Memory
from tests.drivers.reader_rig import WAIT_S, Listener, running

UID = bytes.fromhex("04E10CDA993C80")
URL = bytes.fromhex("D1010C5504") + b"venue.examp"
HEAD = bytes.fromhex("04E10C61 DA993C80 FF480000")
"""Pages 0 to 2 of an NTAG21x with that UID: BCC0 = 88 ^ 04 ^ E1 ^ 0C, BCC1 = DA ^ 99 ^ 3C ^ 80, internal, lock bytes."""
CC_213 = bytes.fromhex("E1101200")
FACTORY = bytes.fromhex("0103A00C34 0300FE")
"""Pages 4 and 5 of a new NTAG213: a lock control TLV, an empty NDEF message, the end."""


def ntag213(data: bytes, cc: bytes = CC_213) -> Type2Memory:
    return Type2Memory(HEAD + cc + data.ljust(144, b"\0") + bytes.fromhex("000000BD") + bytes(16))


def read(reading: Part, answer: Callable[[bytes], bytes | None]) -> bytes:
    """Play a reading against a tag that answers everything."""
    command = next(reading)
    while True:
        try:
            command = reading.send(answer(command) or b"")
        except StopIteration as end:
            return bytes(end.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (FACTORY, b""),
        (b"\x03" + bytes((len(URL),)) + URL + b"\xfe", URL),
        (bytes.fromhex("0103A00C34") + b"\x03" + bytes((len(URL),)) + URL + b"\xfe", URL),
        (b"\0\0\0\x03" + bytes((len(URL),)) + URL, URL),
        (b"\x03\xff\x00" + bytes((len(URL),)) + URL, URL),
        (b"\x03\x8d" + bytes(141) + b"\xfe", bytes(141)),
        (b"\x03\x8f" + bytes(142), b""),  # says more than the tag holds
        (b"\x03\xff\xff\xff", b""),
        (b"\xfe", b""),
        (b"", b""),
    ],
)
def test_type_2(data: bytes, message: bytes) -> None:
    assert read(type_2(), ntag213(data).answer) == message


def test_a_tag_without_a_capability_container_is_not_read_on() -> None:
    asked: list[bytes] = []

    def answer(command: bytes) -> bytes | None:
        asked.append(command)
        return ntag213(b"", cc=bytes(4)).answer(command)

    assert read(type_2(), answer) == b""
    assert asked == [bytes.fromhex("3003")]


def test_type_4_by_the_bytes() -> None:
    """Commands of ISO/IEC 7816-4 as NFC Forum T4T has them; the container is that of a new NTAG 424 DNA."""
    script = [
        ("00A4040007D276000085010100", "9000"),
        ("00A4000C02E103", "9000"),
        ("00B000000F", "00172000FF00FF0406E10400FF00009000"),
        ("00A4000C02E104", "9000"),
        ("00B0000002", "00109000"),
        ("00B0000210", URL.hex() + "9000"),
    ]
    steps = iter(script)

    def answer(command: bytes) -> bytes:
        expected, said = next(steps)
        assert command.hex().upper() == expected
        return bytes.fromhex(said)

    assert read(type_4(), answer) == URL
    assert next(steps, None) is None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 300, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1])
def test_type_4_of_every_size(size: int) -> None:
    message = bytes(one % 251 for one in range(size))
    expected = message if size <= MESSAGE_BYTES_MAX else b""
    assert read(type_4(), Type4Memory(lambda _tap: message).answer) == expected


@given(st.lists(st.binary(max_size=20), max_size=20), st.booleans())
@settings(max_examples=60)
def test_any_answers_end_and_give_bytes(answers: list[bytes], is_type_4: bool) -> None:
    left = iter(answers)
    found = read(type_4() if is_type_4 else type_2(), lambda _command: next(left, b""))
    assert len(found) <= max(MESSAGE_BYTES_MAX, 255 * 8)


# --- at a PN532 ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def chip(tmp_path: Path) -> AsyncIterator[Pn532Chip]:
    sim = Pn532Chip(tmp_path / "tty")
    sim.port.plug()
    yield sim
    sim.port.unplug()


async def tapped(sim: Pn532Chip, memory: Memory | None, uid: bytes = UID) -> Listener:
    """Hold a tag to the reader and take it away; return all that was heard."""
    sim.memory = memory
    reader = Pn532Reader(Pn532Config(str(sim.port.link), gap_ms=30, answer_ms=300))
    async with running(reader) as (listener, _):
        sim.tag = uid
        async with asyncio.timeout(WAIT_S):
            while not [one for one in listener.seen if isinstance(one, Scan | Garbled)]:
                await asyncio.sleep(0.002)
            sim.tag = b""
            while not [one for one in listener.removed if isinstance(one, Removed)]:
                await asyncio.sleep(0.002)
    return listener


def as_tag(message: bytes, uid: bytes = UID) -> bytes:
    return bytes((len(uid),)) + uid + message


async def test_what_a_tag_carries_comes_with_its_uid(chip: Pn532Chip) -> None:
    memory = ntag213(b"\x03" + bytes((len(URL),)) + URL + b"\xfe")
    scans = [one for one in (await tapped(chip, memory)).seen if isinstance(one, Scan)]
    assert {(one.medium, one.data) for one in scans} == {(Medium.TAG, as_tag(URL))}


async def test_a_tag_that_counts_counts_once_a_tap_and_may_hide_its_uid(chip: Pn532Chip) -> None:
    memory = Type4Memory(lambda tap: URL + bytes((tap,)))
    for tap in (1, 2):
        random = bytes.fromhex("08AA40EA")
        scans = [one for one in (await tapped(chip, memory, random)).seen if isinstance(one, Scan)]
        assert {one.data for one in scans} == {as_tag(URL + bytes((tap,)), random)}
    assert memory.taps == 2


@pytest.mark.parametrize("memory", [None, ntag213(FACTORY)])
async def test_a_tag_that_carries_nothing_is_its_uid(chip: Pn532Chip, memory: Memory | None) -> None:
    scans = [one for one in (await tapped(chip, memory)).seen if isinstance(one, Scan)]
    assert {(one.medium, one.data) for one in scans} == {(Medium.UID, UID)}


async def test_a_tag_that_slips_while_it_is_read_is_read_again_and_never_by_half(chip: Pn532Chip) -> None:
    chip.refuses = lambda number: number in {2, 4}
    memory = ntag213(b"\x03" + bytes((len(URL),)) + URL + b"\xfe")
    scans = [one for one in (await tapped(chip, memory)).seen if isinstance(one, Scan)]
    assert {one.data for one in scans} == {as_tag(URL)}


async def test_a_tag_that_is_never_read_to_the_end_goes_by_its_uid(chip: Pn532Chip) -> None:
    chip.refuses = lambda number: number % 2 == 0
    memory = ntag213(b"\x03" + bytes((len(URL),)) + URL + b"\xfe")
    scans = [one for one in (await tapped(chip, memory)).seen if isinstance(one, Scan)]
    assert {(one.medium, one.data) for one in scans} == {(Medium.UID, UID)}
    assert chip.asked == 2 * READ_TRIES


async def test_an_answer_that_is_late_never_passes_for_the_next_one(chip: Pn532Chip) -> None:
    """The chip is slow once: what it says of the tag comes when the host asks for tags again, and is nobody's."""
    chip.tag, chip.memory = UID, ntag213(b"\x03" + bytes((len(URL),)) + URL + b"\xfe")
    host = TagHost(Pn532(gap_ns=1, answer_ns=100_000_000), 0)
    now, late = 0, 0
    held: list[bytes] = []
    events: list[TagEvent] = []
    while not events and now < 5 * 10**9:
        for command in chip.commands(host.take_output()):
            packets = [*held, *chip.answers(command)[0]]  # a chip answers in the order it was asked
            held = []
            if command == bytes.fromhex("40013007") and not late:
                late, held = 1, packets
                continue
            for packet in packets:
                events += host.feed(packet, now)
        assert host.deadline_ns is not None
        now = max(now, host.deadline_ns)
        events += host.quiet(now)
    assert late
    assert [one.data for one in events if isinstance(one, Scan)] == [as_tag(URL)]


# --- writing ---------------------------------------------------------------------------------------------------------

BAND = bytes(range(1, 142))
CARRIED = b"\x03" + bytes((len(URL),)) + URL + b"\xfe"
LOCKED = {2: "F8FF", 3: "0F", 40: "FF0F00"}
"""The end of page 2 and of page 3, and page 40 without its last byte, of one that is locked."""


def write(wanted: ToWrite, answer: Callable[[bytes], bytes | None]) -> Content:
    """Play a writing to its end, however often the tag has to be found again: a refusal ends one, as at a reader."""
    for _ in range(READ_TRIES):
        try:
            return _once(write_type_2(wanted), answer)
        except NoAnswer:
            continue
    return Content()


def _once(writing: Reading, answer: Callable[[bytes], bytes | None]) -> Content:
    command = next(writing)
    while True:
        said = answer(command)
        try:
            command = writing.throw(NoAnswer) if said is None else writing.send(said)
        except StopIteration as end:
            content: Content = end.value
            return content


def locks(memory: Type2Memory) -> dict[int, str]:
    pages = memory.pages
    return {2: pages[10:12].hex().upper(), 3: pages[15:16].hex().upper(), 40: pages[160:163].hex().upper()}


@pytest.mark.parametrize("message", [URL, BAND])
@pytest.mark.parametrize("lock", [False, True])
def test_a_tag_is_written_and_read_back(message: bytes, lock: bool) -> None:
    memory = ntag213(FACTORY)
    assert write(ToWrite(UID, message, lock), memory.answer) == Content(message, locked=lock or None)
    assert memory.written[0] == 4
    assert read(type_2(), memory.answer) == message
    again = write(ToWrite(UID, b"another"), memory.answer)
    assert again.message == (message if lock else b"another")
    if lock:
        assert locks(memory) == LOCKED
        assert all(memory.answer(bytes((0xA2, page)) + bytes(4)) is None for page in range(3, 40))


@pytest.mark.parametrize(
    ("memory", "wanted"),
    [
        (ntag213(FACTORY), ToWrite(UID, BAND + b"x")),  # too long
        (ntag213(FACTORY, cc=bytes.fromhex("E110120F")), ToWrite(UID, URL)),  # read-only
        (ntag213(FACTORY, cc=bytes(4)), ToWrite(UID, URL)),  # no NDEF
        (
            ntag213(FACTORY, cc=bytes.fromhex("E1103E00")),
            ToWrite(UID, URL, lock=True),
        ),  # another kind's locks
    ],
)
def test_a_tag_that_does_not_take_it_is_left_as_it_is(memory: Type2Memory, wanted: ToWrite) -> None:
    memory.version = bytes.fromhex("0004040201001103") if wanted.lock else memory.version
    before = memory.pages
    assert not write(wanted, memory.answer).message
    assert (memory.pages, memory.written) == (before, [])


@pytest.mark.parametrize("version", [b"", bytes.fromhex("0003010101000E03")])
def test_what_only_looks_like_an_ntag213_is_not_locked(version: bytes) -> None:
    """An Ultralight C says nothing to GET_VERSION, an Ultralight EV1 that it is one; page 40 is another thing on both."""
    memory = ntag213(FACTORY)
    memory.version = version
    before = memory.pages
    assert write(ToWrite(UID, BAND, lock=True), memory.answer) == Content(locked=False if version else None)
    assert (memory.pages, memory.written) == (before, [])


@pytest.mark.parametrize("locked", [(10, 0x10), (11, 0x80), (160, 0x01), (161, 0x08)])
def test_a_tag_that_is_locked_in_part_keeps_what_it_carries(locked: tuple[int, int]) -> None:
    at, bits = locked
    pages = ntag213(CARRIED).pages
    memory = Type2Memory(pages[:at] + bytes((bits,)) + pages[at + 1 :])
    assert write(ToWrite(UID, BAND), memory.answer).message == URL
    assert memory.written == []


@pytest.mark.parametrize("deaf", [2, 40])
def test_a_tag_that_takes_no_lock_bits_is_not_told_as_locked(deaf: int) -> None:
    memory = ntag213(FACTORY)
    memory.deaf = frozenset({deaf})
    assert write(ToWrite(UID, BAND, lock=True), memory.answer) == Content(BAND, locked=False)


@pytest.mark.parametrize("page", [2, 3, 40])
def test_a_tag_that_goes_while_it_is_locked_carries_the_message_and_is_locked_at_the_next_try(
    page: int,
) -> None:
    """With its container read-only, but for its static bits, it was told as locked; with those of page 40, it lost its message."""
    memory = ntag213(FACTORY)
    gone = False

    def answer(command: bytes) -> bytes | None:
        nonlocal gone
        gone = gone or command[:2] == bytes((0xA2, page))
        return None if gone else memory.answer(command)

    assert write(ToWrite(UID, BAND, lock=True), answer) == Content(BAND, locked=False)
    assert write(ToWrite(UID, BAND, lock=True), memory.answer) == Content(BAND, locked=True)
    assert locks(memory) == LOCKED


def test_a_tag_that_does_not_take_the_message_is_not_locked() -> None:
    memory = ntag213(CARRIED)
    memory.deaf = frozenset({20})
    found = write(ToWrite(UID, BAND, lock=True), memory.answer)
    assert found.message != BAND
    assert not found.locked
    assert locks(memory) == {2: "0000", 3: "00", 40: "000000"}


@pytest.mark.parametrize("taken_after", range(59))
def test_a_tag_that_is_pulled_off_while_it_is_written_carries_all_or_nothing(taken_after: int) -> None:
    memory = ntag213(CARRIED)
    writing = write_type_2(ToWrite(UID, BAND, lock=True))
    command = next(writing)
    for _ in range(taken_after):
        command = writing.send(memory.answer(command) or b"")
    carried = read(type_2(), memory.answer)
    assert carried in {URL, b"", BAND}
    if locks(memory) != {2: "0000", 3: "00", 40: "000000"}:
        assert carried == BAND, "nothing is locked before it was read back"
