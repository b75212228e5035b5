"""Presence resets made at a gate: the record, who is inside afterwards, and who gets in again."""

from pathlib import Path

import pytest

from admission.ids import Epoch, GateId, RecordId, ZoneId
from admission.lane import Write
from admission.observed import LOGS_MAX
from admission.reasons import Reason
from admission.records import (
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    record_from_bytes,
    unpack_record_ids,
)
from edge.link import Done, ResetPresence
from edge.presence_reset import heads_of, reset_presence, reset_write
from edge.store.log_schema import EpochRow
from tests.edge.rig import ARENA, GATE, Gate, assert_verifies, code, quick, row, running

STEWARD = 17


def head(gate: int, epoch: int, seq: int) -> RecordId:
    return RecordId(GateId(gate), Epoch(epoch), seq)


def epoch_row(ordinal: int, at: RecordId) -> EpochRow:
    return EpochRow(at.gate, at.epoch, ordinal, at.seq, at.seq, 0, b"", b"")


def test_the_bytes_of_a_reset() -> None:
    made = reset_write(ZoneId(3), [head(1, 2, 3), head(4, 5, 6)], 0x11, "neu gezählt")
    assert made == Write(
        0,
        Kind.RESET,
        extensions=(
            (Extension.RESET, bytes.fromhex("00000001 0000000000000002 00000003 00000004 0000000000000005 00000006")),
            (Extension.STAFF, bytes.fromhex("00000011") + "neu gezählt".encode()),
        ),
        urgent=True,
    )  # fmt: skip
    assert reset_write(ZoneId(3), []).extensions == ()


def test_a_reset_of_no_zone_is_none() -> None:
    with pytest.raises(ValueError, match="zone 0 is no zone"):
        reset_write(ZoneId(0), [head(1, 2, 3)])


def test_a_long_reason_is_cut_at_a_character() -> None:
    ((_, payload),) = reset_write(ZoneId(1), [], 1, "ä" * 150).extensions
    assert payload[4:].decode() == "ä" * 100


def test_each_log_but_the_own_is_named_the_newest_first() -> None:
    own = head(1, 9, 50)
    rows = [
        epoch_row(1, head(1, 7, 20)),
        epoch_row(2, head(2, 8, 30)),
        epoch_row(3, own),
        epoch_row(4, head(3, 9, 0)),
    ]
    assert heads_of(rows, own) == (head(2, 8, 30), head(1, 7, 20))
    many = [epoch_row(n, head(2, n, 1)) for n in range(1, LOGS_MAX + 10)]
    named = heads_of(many, own)
    assert (len(named), named[0].epoch, named[-1].epoch) == (LOGS_MAX, LOGS_MAX + 9, 10)
    assert len(reset_write(ZoneId(1), named).extensions) == 256


async def people_inside(gate: Gate, low: int, high: int) -> None:
    def there() -> bool:
        bounds = gate.daemon.memory.bounds(ARENA)
        return bounds is not None and (bounds.low, bounds.high) == (low, high)

    await gate.until(there, f"{low} to {high} inside")


async def passed(gate: Gate, lane: int, count: int) -> None:
    """Walk through a lane, whose granted scan was the gate's `count`th answer."""
    await gate.walk(lane)
    seen = await gate.seen(count)
    assert (seen.outcome, seen.reason) == (Outcome.GRANT, Reason.NONE)


async def test_after_a_reset_nobody_is_inside_uses_stay_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    # Lane 1 lets people in and out, lane 2 lets each in once.
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await passed(gate, 1, 1)
        await gate.hardware.second.scan(code(8))
        await passed(gate, 2, 2)
        await gate.recorded(Kind.PASSAGE, 2)
        await people_inside(gate, 2, 2)
        first = gate.daemon.journal.epoch
        last = gate.daemon.journal.last_seq
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await people_inside(gate, 2, 2)
        asked = ResetPresence(5, ARENA, STEWARD, "counted anew")
        assert await gate.do(asked) == Done(5, ok=True)
        await people_inside(gate, 0, 0)
        made = await gate.recorded(Kind.RESET)
        assert (made.zone, made.lane, made.flags) == (ARENA, 0, Flag.NONE)
        found = extensions_of(gate, made)
        assert RecordId(GATE, first, last) <= vector(found[0])[0]
        assert found[1].payload == STEWARD.to_bytes(4, "big") + b"counted anew"
        status = gate.daemon.status.now()
        assert status.inside[ARENA] == (0, 0)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await people_inside(gate, 0, 0)
        # One entry is one entry; with entry/exit the same ticket comes in again, which is no further use.
        await gate.hardware.second.scan(code(8))
        seen = await gate.seen()
        assert (seen.outcome, seen.reason) == (Outcome.DENY, Reason.ALREADY_USED)
        await gate.hardware.entry.scan(code(7))
        await passed(gate, 1, 2)
        again = await gate.recorded(Kind.SCAN, 2)
        assert again.flags & Flag.REENTRY
        await people_inside(gate, 1, 1)
    assert_verifies(gate.data)


async def test_a_reset_is_judged_by_before_it_is_on_disk_and_after_another_list(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await passed(gate, 1, 1)
        await gate.recorded(Kind.PASSAGE)
        await people_inside(gate, 1, 1)
        own = gate.daemon
        before = own.journal.durable_seq
        seq = reset_presence(own, ARENA)
        assert own.journal.durable_seq == before < seq  # this very step: the writer has not been heard
        assert [one.id.seq for one in own.journal.pending_resets()] == [seq]
        own.memory.refresh(own.judge.venue.zones, {})
        assert len(own.memory.resets()) > 0
        await gate.recorded(Kind.RESET)
        await gate.until(lambda: not own.journal.pending_resets(), "the reset is on disk")
        await people_inside(gate, 0, 0)
        await gate.hardware.entry.scan(code(7))
        await passed(gate, 1, 2)


@pytest.mark.parametrize("zone", [0, 2, 65_535])
async def test_a_zone_that_is_not_there_is_refused(tmp_path: Path, zone: int) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        asked = ResetPresence(5, zone, STEWARD, "x")
        assert await gate.do(asked) == Done(5, ok=False, code="command.no_zone")
        assert Kind.RESET not in gate.kinds()


def extensions_of(gate: Gate, body: Record) -> list[ExtensionRecord]:
    reader = gate.reader()
    following = reader.records(GATE, gate.daemon.journal.epoch, body.seq, 10)
    reader.close()
    found: list[ExtensionRecord] = []
    for stored in following:
        record = record_from_bytes(stored.blob)
        if not isinstance(record, ExtensionRecord) or record.type is Extension.HEAD:
            break
        found.append(record)
    return found


def vector(extension: ExtensionRecord) -> tuple[RecordId, ...]:
    return unpack_record_ids(extension.payload)
