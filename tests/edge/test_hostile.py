"""Hostile visitors: whatever is held before a reader gets an answer with its reason, in bounded time, memory and log."""

import asyncio
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admission.codecs import cose
from admission.entitlements import Standing
from admission.reasons import Reason
from admission.records import Kind, Outcome
from drivers.base import SCAN_BYTES_MAX
from drivers.framing.keys import KEY_LEFTALT, KEY_LEFTCTRL, PRESSED, RELEASED
from edge.link import Health, Part
from tests.edge import fuzz
from tests.edge.hostile_lines import BOMBS, STRANGER, WORDS, base32, flashing, signed
from tests.edge.rig import (
    EVENT,
    PRODUCT,
    READERS,
    TICKET_KEY,
    UID,
    Gate,
    assert_verifies,
    code,
    quick,
    row,
    running,
    tag_row,
)

SEED = 20261122
BURST = 60
"""Denials written one by one before the ration begins (`admission.lane_machine`)."""
KEPT_BYTES_MAX = 2_000_000
"""What a gate may keep in memory of hostile input: frames of 4 KiB, 100 answers, a few hundred digests."""
ENDED_S = 1_500_000_000
KEY_DELETE, KEY_SYSRQ = 111, 99


def claims(ticket: int = 7, *, not_after: int = 0) -> cose.Claims:
    return cose.Claims(
        ticket=ticket, event=EVENT, issued_at=1_790_000_000, product=PRODUCT, not_after=not_after
    )


def tampered() -> bytes:
    """A ticket whose number was changed; the signature is the other one's."""
    seventh, eighth = (bytearray(code(number)) for number in (7, 8))
    at = next(n for n, (one, other) in enumerate(zip(seventh, eighth, strict=True)) if one != other)
    seventh[at] = eighth[at]
    return bytes(seventh)


HOSTILE: dict[str, tuple[bytes, Reason]] = {
    "NUL and control characters": (b"\x01\x02\x1b[2J\x07\x7f", Reason.MALFORMED),
    "half of a UTF-8 character": (b"caf\xc3", Reason.MALFORMED),
    "a surrogate": (b"\xed\xa0\x80", Reason.MALFORMED),
    "SQL": (b"'; DROP TABLE credential; --", Reason.UNKNOWN),
    "shell": (b"$(reboot);`rm -rf /`", Reason.UNKNOWN),
    "signed, over for years": (cose.mint(claims(90, not_after=ENDED_S), TICKET_KEY).encode(), Reason.EXPIRED),
    "tampered": (tampered(), Reason.FORGED),
    "an unknown key's": (cose.mint(claims(), STRANGER).encode(), Reason.UNKNOWN_ISSUER),
    "cut in half": (code(7)[: len(code(7)) // 2], Reason.MALFORMED),
    "a CBOR bomb that nobody signed": (base32(BOMBS[3]), Reason.MALFORMED),
    "a CBOR bomb with a good signature": (signed(BOMBS[3]), Reason.MALFORMED),
    "no claims, with a good signature": (signed(cbor2.dumps({})), Reason.MALFORMED),
    "a token without a signature": (b"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", Reason.UNKNOWN),
    "as long as a frame can be": (b"A" * SCAN_BYTES_MAX, Reason.UNKNOWN),
}


async def settled(gate: Gate) -> None:
    """Wait until the gate has answered whatever came before: the last of it is a cancelled ticket."""
    before = gate.daemon.recent[0] if gate.daemon.recent else None
    await gate.hardware.second.garbage(b"\r" + code(2) + b"\r")
    await gate.until(
        lambda: (
            gate.daemon.recent
            and gate.daemon.recent[0] is not before
            and gate.daemon.recent[0].reason == Reason.CANCELLED
        ),
        "all is answered",
    )


async def is_alive(gate: Gate) -> None:
    """Every reader is open, and a good ticket turns the arm."""
    assert all(gate.health(Part.READER, name) is Health.OK for name in READERS)
    await gate.hardware.second.scan(code(7))
    await gate.walk(2)


async def test_each_gets_its_reason_and_the_next_visitor_gets_in(tmp_path: Path) -> None:
    rows = [row(7), row(2, Standing.CANCELLED)]
    async with running(tmp_path, rows, adjust=quick) as gate:
        await gate.ready()
        for count, (what, (text, reason)) in enumerate(HOSTILE.items(), 1):
            await gate.hardware.second.scan(text)
            seen = await gate.seen(count)
            assert (seen.outcome, Reason(seen.reason)) == (Outcome.DENY, reason), what
        assert gate.hardware.lanes[2].releases.empty()
        await is_alive(gate)
    assert_verifies(gate.data)


async def test_a_megabyte_without_an_end_is_thrown_away_once(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(2, Standing.CANCELLED)], adjust=quick) as gate:
        await gate.ready()
        await settled(gate)
        with no_more_memory():
            await gate.hardware.second.garbage(b"TK1" + b"A" * 1_000_000, chunk=4096)
            await settled(gate)
        assert gate.daemon.status.garbled == 1
        await is_alive(gate)


async def test_a_screen_that_flashes_codes_fills_neither_memory_nor_log(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(2, Standing.CANCELLED)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.garbage(b"".join(flashing(200, SEED)))
        await settled(gate)
        records = gate.daemon.journal.last_seq
        with no_more_memory():
            await gate.hardware.second.garbage(b"".join(flashing(2000, SEED + 1)), chunk=1000)
            await settled(gate)
        # The burst is spent: what comes now is counted, not written.
        assert gate.daemon.journal.last_seq - records <= BURST
        await is_alive(gate)
    written = sum(record.kind is Kind.SCAN for record in gate.records())
    assert written <= 2 * BURST


async def test_a_scanners_keyboard_cannot_restart_the_box_or_confuse_the_reader(tmp_path: Path) -> None:
    async with running(tmp_path, [tag_row(7)], adjust=quick) as gate:
        await gate.ready()
        held = [(KEY_LEFTCTRL, PRESSED), (KEY_LEFTALT, PRESSED)]
        for key in (KEY_DELETE, KEY_SYSRQ):
            await gate.hardware.tags.press(*held, (key, PRESSED), (key, RELEASED))
            await gate.hardware.tags.press(*((one, RELEASED) for one, _ in held))
        await gate.hardware.tags.press((28, PRESSED), (28, RELEASED))
        await gate.hardware.tags.scan(UID.hex().upper())
        await gate.walk()
        assert gate.daemon.recent[0].outcome == Outcome.GRANT


async def test_ten_bad_signatures_in_a_row_are_a_scanners_layout(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        for count in range(1, 11):
            await gate.hardware.second.scan(cose.mint(claims(count), STRANGER).encode())
            await gate.seen(count)
        assert gate.code(Part.READER, "2.4 layout") == "reader.layout"
        await is_alive(gate)
        assert gate.code(Part.READER, "2.4 layout") == ""


def test_whatever_comes_through_the_wire_is_answered_and_the_gate_lives(tmp_path: Path) -> None:
    texts = st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(WORDS + BOMBS + (b"\r", b"\n", b"\0", b"\r\n", b"\x03", code(2)[:20])), max_size=12).map(
            b"".join
        ),
        st.text(max_size=100).map(str.encode),
        st.binary(max_size=60).map(base32),
    )  # fmt: skip
    gates = running(tmp_path, [row(7), row(2, Standing.CANCELLED)], adjust=quick)
    with asyncio.Runner() as runner:
        gate = runner.run(gates.__aenter__())
        try:
            runner.run(gate.ready())

            @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            @given(texts, st.booleans())
            def hold_up(text: bytes, in_pieces: bool) -> None:
                runner.run(gate.hardware.second.garbage(text, chunk=7 if in_pieces else None))
                runner.run(settled(gate))
                assert gate.health(Part.READER, "2.4") is Health.OK

            hold_up()
            runner.run(is_alive(gate))
        finally:
            runner.run(gates.__aexit__(None, None, None))


@contextmanager
def no_more_memory() -> Iterator[None]:
    """What is kept after it is not much more than before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < KEPT_BYTES_MAX


# --- without wires and disks, and faster: what make bench does a million times -----------------------------------


def test_nothing_escapes_from_hostile_lines() -> None:
    result = fuzz.run_lines(2500, SEED)
    assert (result.escapes, result.examples) == (0, [])
    assert result.lines == 2500
    assert result.presented > result.lines / 2
    met = {
        Reason.MALFORMED,
        Reason.UNKNOWN,
        Reason.FORGED,
        Reason.UNKNOWN_ISSUER,
        Reason.EXPIRED,
        Reason.CANCELLED,
    }
    assert met <= result.reasons.keys()


@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(WORDS), st.just(b"\r")), max_size=30))
@settings(max_examples=100, deadline=None)
def test_nothing_escapes_from_any_bytes(feed: list[bytes]) -> None:
    result = fuzz.run(feed)
    assert (result.escapes, result.examples) == (0, [])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_flashing_screen_writes_no_more_than_a_record_a_second(seed: int) -> None:
    result = fuzz.run(flashing(3000, seed))
    assert result.answered == 3000
    assert result.records <= BURST + result.virtual_s
    assert result.records >= BURST


def test_the_fuzz_tells_what_escapes() -> None:
    """It would be worth nothing if it could not fail."""

    def broken() -> Iterator[bytes]:
        yield b"good\r"
        yield "no bytes at all"  # type: ignore[misc]  # on purpose: the framer must choke on it

    result = fuzz.run(broken())
    assert (result.lines, result.escapes) == (2, 1)
    assert "no bytes at all" in result.examples[0]
