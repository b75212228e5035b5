"""A check-in station at a whole gate: a ticket, then a tag; what is bound opens, and what it replaced does not."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from admission.entitlements import Standing
from admission.ids import TicketId
from admission.reasons import Reason
from admission.records import Kind, Outcome, Record
from drivers.sims.serial_scanner import SerialScanner
from drivers.sims.tag_reader import Pn532Chip, Type2Memory
from edge.link import CHECK_IN, After, AnnulLast, Health, Part, Seen
from tests.edge.rig import EVENT, UID, Gate, assert_verifies, code, quick, row, running, tag_row
from tests.edge.shaky_disk import on, shaky

TAG = "04FF00112233AA"
GENUINE = bytes.fromhex("04E10CDA993C80")
SIGNATURE = bytes.fromhex("8B76052EE42F5567BEB53238B3E3F9950707C0DCC956B5C5EFCFDB709B2D82B3")
"""Of an NTAG21x that exists (facts/hardware.md)."""
CHIPS = """check_in_s = 60

[[lanes.readers]]
id = 8
way = "entry"
driver = "pn532"
port = "{port}"
genuine_only = {genuine_only}
"""
TAGS = """check_in_s = {window_s}

[[lanes.readers]]
id = 8
way = "entry"
driver = "serial"
medium = "uid"
port = "{port}"
"""


def desk(folder: Path, window_s: int = 60) -> tuple[SerialScanner, Callable[[str], str]]:
    """A tag reader for lane 2, which becomes a check-in station, and how a TOML comes to that."""
    tags = SerialScanner(folder / "desk-tags")
    tags.port.plug()
    return tags, station(TAGS.format(window_s=window_s, port=tags.port.link))


def chips(folder: Path, genuine_only: str) -> tuple[Pn532Chip, Callable[[str], str]]:
    """A station with a PN532."""
    tags = Pn532Chip(folder / "desk-pn532")
    tags.port.plug()
    return tags, station(CHIPS.format(genuine_only=genuine_only, port=tags.port.link))


def station(reader: str) -> Callable[[str], str]:
    """How a TOML comes to a check-in station with this tag reader."""

    def adjust(text: str) -> str:
        head, first, second = quick(text).split("[[lanes]]")
        own = ("relay", "entry_line", "inputs", "entry_contact", "ready_contact", "fire_contact")
        kept = [one for one in second.splitlines() if one.partition(" = ")[0] not in own]
        at = kept.index("[[lanes.readers]]")
        kept.insert(at, reader)
        return "[[lanes]]".join((head, first, "\n".join(kept)))

    return adjust


async def told(gate: Gate, count: int) -> Seen:
    """Wait until the desk has answered so often; return its newest answer."""
    await gate.until(
        lambda: len([one for one in gate.daemon.recent if one.kind == CHECK_IN]) >= count, "answered"
    )
    return next(one for one in gate.daemon.recent if one.kind == CHECK_IN)


def said(seen: Seen) -> tuple[str, Outcome, Reason]:
    return seen.line, Outcome(seen.outcome), Reason(seen.reason)


async def ready(gate: Gate) -> None:
    await gate.ready()
    await gate.until(lambda: gate.health(Part.READER, "2.8") is Health.OK, "the tag reader is open")


BIND_TOLD, TAP_TOLD = ("bound", Outcome.GRANT, Reason.NONE), ("tap_tag", Outcome.WAIT, Reason.NONE)


async def test_a_ticket_is_scanned_and_a_tag_tapped_and_from_then_on_the_tag_opens(tmp_path: Path) -> None:
    tags, adjust = desk(tmp_path)
    async with running(tmp_path, [row(7), row(8)], adjust=adjust) as gate:
        await ready(gate)
        await gate.hardware.second.scan(code(7))
        first = await told(gate, 1)
        assert (said(first), first.shown_s, first.ticket) == (TAP_TOLD, 60, "7")
        assert gate.kinds() == [], "nothing is recorded of who only comes to the desk"
        await tags.scan(TAG.encode())
        bound = await told(gate, 2)
        assert said(bound) == BIND_TOLD
        record = await gate.recorded(Kind.BIND)
        assert (record.ticket, record.seq, record.lane, record.reader) == ((EVENT, 7), bound.seq, 2, 8)
        # The tag opens, the code does not; to the desk it is bound, and a second tag is not.
        await gate.hardware.tags.scan(TAG)
        await gate.walk(1)
        passed = await gate.recorded(Kind.PASSAGE)
        assert passed.ticket == (EVENT, TicketId(7))
        await gate.hardware.entry.scan(code(7))
        await gate.until(lambda: gate.daemon.recent[0].reason == Reason.REPLACED, "the code is replaced")
        await gate.hardware.second.scan(code(7))
        assert said(await told(gate, 3)) == ("", Outcome.DENY, Reason.REPLACED)
        assert gate.kinds().count(Kind.BIND) == 1
    async with running(tmp_path, adjust=adjust) as gate:
        await ready(gate)
        await gate.hardware.entry.scan(code(7))
        assert (await gate.seen()).reason == Reason.REPLACED, "it still is"
    assert_verifies(tmp_path / "data")


async def test_a_steward_takes_back_what_was_bound_and_the_tag_is_free_for_another(tmp_path: Path) -> None:
    """The wrong band was tapped. No centre is about: what is undone here holds here."""
    tags, adjust = desk(tmp_path)

    async def bind(gate: Gate, ticket: int) -> Seen:
        count = len([one for one in gate.daemon.recent if one.kind == CHECK_IN])
        await gate.hardware.second.scan(code(ticket))
        assert said(await told(gate, count + 1)) == TAP_TOLD
        await tags.scan(TAG.encode())
        bound = await told(gate, count + 2)
        assert said(bound) == BIND_TOLD
        return bound

    def undo(bound: Seen, steward: int = 4711, reason: str = "wrong band") -> AnnulLast:
        return AnnulLast(1, bound.lane, bound.epoch, bound.seq, steward, reason)

    async with running(tmp_path, [row(7), row(8)], adjust=adjust) as gate:
        await ready(gate)
        bound = await bind(gate, 7)
        assert (await gate.do(undo(bound, steward=0))).code == "command.no_steward"
        assert (await gate.do(undo(bound, reason=" "))).code == "command.no_reason"
        assert (await gate.do(undo(bound))).ok
        assert (await gate.do(undo(bound))).code == "command.annulled"
        record = await gate.recorded(Kind.ANNUL)
        assert record.ticket == (EVENT, TicketId(7))
        assert next(one for one in gate.daemon.recent if one.seq == bound.seq).after is After.ANNULLED
        await gate.hardware.tags.scan(TAG)
        await gate.until(lambda: gate.daemon.recent[0].reason == Reason.UNKNOWN, "the tag is nobody's")
        await bind(gate, 8)
        await gate.hardware.tags.scan(TAG)
        await gate.walk(1)
        assert (await gate.recorded(Kind.PASSAGE)).ticket == (EVENT, TicketId(8))
        await gate.hardware.entry.scan(code(7))
        await gate.walk(1)
        assert (await gate.recorded(Kind.PASSAGE, 2)).ticket == (EVENT, TicketId(7)), "his paper opens"
    async with running(tmp_path, adjust=adjust) as gate:
        await ready(gate)
        # After a start, what the last run bound can still be taken back.
        (last,) = [
            one for one in gate.daemon.scans.rows if one.line == "bound" and one.after is not After.ANNULLED
        ]
        assert (await gate.do(undo(last))).ok
        await gate.hardware.entry.scan(code(8))
        assert (await gate.seen()).reason == Reason.ALREADY_INSIDE, (
            "the use that the tag took is the ticket's"
        )
    assert_verifies(tmp_path / "data")


async def test_what_is_no_new_tag_is_refused_and_the_ticket_waits_for_another(tmp_path: Path) -> None:
    tags, adjust = desk(tmp_path)
    rows = [row(7), row(8, Standing.CANCELLED), tag_row(9), row(9)]
    async with running(tmp_path, rows, adjust=adjust) as gate:
        await ready(gate)
        await tags.scan(TAG.encode())
        assert said(await told(gate, 1)) == ("ticket_first", Outcome.WAIT, Reason.NONE)
        await gate.hardware.second.scan(code(8))
        assert said(await told(gate, 2)) == ("", Outcome.DENY, Reason.CANCELLED)
        await gate.hardware.second.scan(code(7))
        await told(gate, 3)
        await tags.scan(b"08A1B2C3")
        assert said(await told(gate, 4)) == ("", Outcome.DENY, Reason.RANDOM_TAG)
        await tags.scan(UID.hex().encode())
        assert said(await told(gate, 5)) == ("", Outcome.DENY, Reason.TAG_TAKEN)
        await tags.scan(TAG.encode())
        assert said(await told(gate, 6)) == BIND_TOLD
        await tags.scan(TAG.encode())
        assert said(await told(gate, 7)) == BIND_TOLD, "whose it is may ask again"
        await gate.hardware.second.scan(code(9))
        await told(gate, 8)
        await tags.scan(TAG.encode())
        assert said(await told(gate, 9)) == ("", Outcome.DENY, Reason.TAG_TAKEN)
        refused = [one for one in await _scans(gate, 3) if one.outcome is Outcome.DENY]
        assert [Reason(one.reason) for one in refused] == [
            Reason.CANCELLED, Reason.RANDOM_TAG, Reason.TAG_TAKEN, Reason.TAG_TAKEN,
        ]  # fmt: skip
        assert gate.kinds().count(Kind.BIND) == 1


async def _scans(gate: Gate, count: int) -> list[Record]:
    await gate.until(lambda: gate.kinds().count(Kind.SCAN) > count, "refusals are on disk")
    return [one for one in gate.records() if one.kind is Kind.SCAN]


async def test_a_ticket_waits_no_longer_than_its_while(tmp_path: Path) -> None:
    tags, adjust = desk(tmp_path, window_s=1)
    async with running(tmp_path, [row(7)], adjust=adjust) as gate:
        await ready(gate)
        await gate.hardware.second.scan(code(7))
        scanned = await told(gate, 1)
        await gate.until(lambda: gate.daemon.time.now_us() / 1e6 > scanned.time_s + 1.1, "its while is over")
        await tags.scan(TAG.encode())
        assert said(await told(gate, 2)) == ("ticket_first", Outcome.WAIT, Reason.NONE)
        assert Kind.BIND not in gate.kinds()


@pytest.mark.parametrize("policy", ["admit_in_memory", "deny"])
async def test_what_the_disk_does_not_take_is_not_bound_and_the_person_is_told(
    tmp_path: Path, policy: str
) -> None:
    """It fails between the tap and its commit. What it takes later must say nothing else than the person was told."""
    tags, adjust = desk(tmp_path)
    log = f'[log]\nfault = "{policy}"\n'
    with shaky() as disk:
        async with running(tmp_path, [row(7), row(8)], adjust=adjust, extra=log, change=on(disk)) as gate:
            await ready(gate)
            await gate.hardware.second.scan(code(7))
            assert said(await told(gate, 1)) == TAP_TOLD
            disk.fail(errno.EIO)
            await tags.scan(TAG.encode())
            refused = await told(gate, 2)
            assert (said(refused), refused.ticket) == (("", Outcome.DENY, Reason.NOT_READY), "7")
            # The next visitor's ticket is asked for a tag of its own, or is told that this is no time.
            await gate.hardware.second.scan(code(8))
            next_one = TAP_TOLD if policy == "admit_in_memory" else ("", Outcome.DENY, Reason.NOT_READY)
            assert said(await told(gate, 3)) == next_one
            disk.heal()
            await gate.recorded(Kind.ANNUL)
            assert gate.kinds().count(Kind.BIND) == 1
            await gate.until(lambda: gate.code(Part.LOG, "log") == "log.ok", "the disk is well again")
            assert BIND_TOLD not in [said(one) for one in gate.daemon.recent], "nobody is told of it later"
            await gate.hardware.tags.scan(TAG)
            await gate.until(lambda: gate.daemon.recent[0].reason == Reason.UNKNOWN, "the tag is nobody's")
            await gate.hardware.entry.scan(code(7))
            await gate.walk(1)
            # The tag is free for another.
            count = len([one for one in gate.daemon.recent if one.kind == CHECK_IN])
            await gate.hardware.second.scan(code(8))
            assert said(await told(gate, count + 1)) == TAP_TOLD
            await tags.scan(TAG.encode())
            assert said(await told(gate, count + 2)) == BIND_TOLD
    async with running(tmp_path, adjust=adjust) as gate:
        await ready(gate)
        await gate.hardware.tags.scan(TAG)
        await gate.walk(1)
        assert (await gate.recorded(Kind.PASSAGE)).ticket == (EVENT, TicketId(8))
    assert_verifies(tmp_path / "data")


def chip_of(signature: bytes) -> Type2Memory:
    """A new NTAG213 with that UID; b"" for a copy that knows no signature."""
    head = bytes.fromhex("04E10C61DA993C80FF480000E1101200")
    return Type2Memory(head + bytes.fromhex("0103A00C340300FE") + bytes(156), signature=signature)


async def held(gate: Gate, tags: Pn532Chip, signature: bytes, count: int) -> Seen:
    """Hold a chip to the station's reader until it has answered so often, and take it away."""
    tags.memory, tags.tag = chip_of(signature), GENUINE
    seen = await told(gate, count)
    tags.tag, none = b"", tags.told_of(b"")
    await gate.until(lambda: tags.told_of(b"") >= none + 3, "it was taken away")
    return seen


async def test_where_only_genuine_chips_count_a_copy_is_not_bound_and_the_ticket_waits_for_another(
    tmp_path: Path,
) -> None:
    tags, adjust = chips(tmp_path, "true")
    async with running(tmp_path, [row(7), row(8)], adjust=adjust) as gate:
        await ready(gate)
        (weak,) = [one for one in gate.daemon.board.tiles if one.name == "2.8 chips"]
        assert (weak.code, weak.health) == ("reader.genuine", Health.OK), "the page says what it is worth"
        await gate.hardware.second.scan(code(7))
        assert said(await told(gate, 1)) == TAP_TOLD
        forged = SIGNATURE[:-1] + b"\0"
        for count, wrong in enumerate((b"", forged, bytes(32)), 2):
            assert said(await held(gate, tags, wrong, count)) == ("", Outcome.DENY, Reason.NOT_GENUINE)
        refused = await _scans(gate, 0)  # repeats of one code are counted
        assert {one.reason for one in refused} == {Reason.NOT_GENUINE}
        assert Kind.BIND not in gate.kinds()
        assert said(await held(gate, tags, SIGNATURE, 5)) == BIND_TOLD
        assert (await gate.recorded(Kind.BIND)).ticket == (EVENT, TicketId(7))
    assert_verifies(tmp_path / "data")


async def test_where_any_chip_counts_nobody_asks_it_for_a_signature(tmp_path: Path) -> None:
    tags, adjust = chips(tmp_path, "false")
    async with running(tmp_path, [row(7)], adjust=adjust) as gate:
        await ready(gate)
        await gate.hardware.second.scan(code(7))
        await told(gate, 1)
        assert said(await held(gate, tags, b"", 2)) == BIND_TOLD
        assert bytes.fromhex("423C00") not in tags.heard
