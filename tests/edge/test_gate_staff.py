"""What staff do by hand at a gate: within limits, recorded, and shown as it ends; what they are called for."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from admission.digests import CredentialKind, digest
from admission.ids import SessionId, TicketId
from admission.lane_machine import GROUP_MAX
from admission.presence import Bounds, fold
from admission.records import Direction, Flag, Kind, Outcome
from edge import config
from edge.config import ConfigErrors
from edge.link import BY_HAND, Acknowledge, AdmitByHand, After, AnnulLast, Done, Seen, SetState
from edge.lists import FILE
from edge.settings import StaffSettings
from edge.store.list import build
from sync.wire.lists import Profile
from tests.edge.rig import (
    ARENA,
    DIGEST_KEY,
    EVENT,
    PRODUCT,
    SESSION,
    Gate,
    assert_verifies,
    code,
    list_head,
    prepare,
    quick,
    row,
    running,
)

ENTRY, STEWARD = int(Direction.ENTRY), 17


def limited(**limits: int) -> Callable[[str], str]:
    """A gate of quick people with a `[staff]` table."""
    table = "\n[staff]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items())
    return lambda text: quick(text) + table


async def row_becomes(gate: Gate, after: After, at: int = 0) -> Seen:
    """Wait until a row of the last scans says what became of it."""
    await gate.until(lambda: gate.daemon.scans.rows[at].after is after, f"row {at} says {after}")
    return gate.daemon.scans.rows[at]


async def test_rows_say_who_passed_who_did_not_and_who_was_late(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        passed = await row_becomes(gate, After.PASSED)
        scan = await gate.recorded(Kind.SCAN)
        assert (passed.epoch, passed.seq, passed.ticket) == (gate.daemon.journal.epoch, scan.seq, "7")
        await gate.hardware.second.scan(code(8))
        await gate.hardware.lanes[2].releases.get()
        await row_becomes(gate, After.GIVEN_BACK)
        assert await gate.push(2, "entry")
        late = await row_becomes(gate, After.LATE)
        assert (late.ticket, len(gate.daemon.scans.rows)) == ("8", 2)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        # What an earlier run left is shown as it ended.
        assert [(one.ticket, one.after) for one in gate.daemon.scans.rows] == [
            ("8", After.LATE),
            ("7", After.PASSED),
        ]
        assert {one.epoch for one in gate.daemon.scans.rows} == {passed.epoch}


async def test_a_wait_that_became_a_grant_is_one_row(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7), row(8)], adjust=lambda text: quick(text, hold_ms=3000)) as gate:
        await gate.ready()
        await gate.hardware.entry.scan(code(7))
        await gate.seen()
        await gate.hardware.entry.scan(code(8))
        assert (await gate.seen(2)).outcome == Outcome.WAIT
        waited = gate.daemon.scans.rows[0]
        await gate.walk()
        await gate.seen(3)
        rows = gate.daemon.scans.rows
        assert [(one.ticket, one.outcome) for one in rows] == [("8", Outcome.GRANT), ("7", Outcome.GRANT)]
        assert (rows[0].row, rows[0].lane) == (waited.row, waited.lane)
        await gate.walk()
        await row_becomes(gate, After.PASSED)


async def test_an_admission_of_an_earlier_run_is_taken_back_once(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await row_becomes(gate, After.PASSED)
        await gate.recorded(Kind.PASSAGE)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        old = gate.daemon.scans.rows[0]
        assert old.epoch != gate.daemon.journal.epoch
        take_back = AnnulLast(1, 2, old.epoch, old.seq, STEWARD, "wrong person")
        assert await gate.do(take_back) == Done(1, ok=True)
        await row_becomes(gate, After.ANNULLED)
        assert await gate.do(take_back) == Done(1, ok=False, code="command.annulled")
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        assert (await gate.seen()).outcome == Outcome.GRANT
        await row_becomes(gate, After.PASSED)
        await gate.recorded(Kind.PASSAGE)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert [one.after for one in gate.daemon.scans.rows] == [After.PASSED, After.ANNULLED]
    assert_verifies(gate.data)


async def test_what_cannot_be_taken_back(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        epoch = gate.daemon.journal.epoch
        assert (await gate.do(SetState(1, 2, "rehearsal", STEWARD))).ok
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        rehearsed = await gate.recorded(Kind.SCAN)
        assert rehearsed.flags & Flag.REHEARSAL
        assert gate.daemon.scans.rows[0].flags & Flag.REHEARSAL
        for seq in (rehearsed.seq, 1, 99_999):  # one that counted for nothing, a restart, nothing at all
            answer = await gate.do(AnnulLast(2, 2, epoch, seq, STEWARD, "x"))
            assert answer == Done(2, ok=False, code="command.no_admission")
        no_number = AnnulLast(3, 2, epoch, rehearsed.seq, 0, "x")
        assert await gate.do(no_number) == Done(3, ok=False, code="command.no_steward")
        no_reason = AdmitByHand(4, 2, ENTRY, STEWARD, "  ")
        assert await gate.do(no_reason) == Done(4, ok=False, code="command.no_reason")
        assert Kind.ANNUL not in gate.kinds()


async def test_a_steward_lets_in_so_many_an_hour_also_across_a_restart(tmp_path: Path) -> None:
    limits = limited(admit_max=2, overrides_per_hour=3)
    async with running(tmp_path, [row(7)], adjust=limits) as gate:
        await gate.ready()
        too_many = AdmitByHand(1, 2, ENTRY, STEWARD, "guests", 3)
        assert await gate.do(too_many) == Done(1, ok=False, code="command.too_many", args={"most": 2})
        assert (await gate.do(AdmitByHand(2, 2, ENTRY, STEWARD, "guests", 2))).ok
        await gate.walk(2)
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE, 2)
        rows = gate.daemon.scans.rows
        assert [(one.kind, one.ticket, one.reader) for one in rows] == [(BY_HAND, "", 0)] * 2
        await row_becomes(gate, After.PASSED)
    async with running(tmp_path, adjust=limits) as gate:
        await gate.ready()
        refused = Done(
            3, ok=False, code="command.overrides_done", args={"steward": "17", "done": 2, "most": 3}
        )
        assert await gate.do(AdmitByHand(3, 2, ENTRY, STEWARD, "guests", 2)) == refused
        assert (await gate.do(AdmitByHand(4, 2, ENTRY, STEWARD, "guest"))).ok
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        assert not (await gate.do(AdmitByHand(5, 2, ENTRY, STEWARD, "guest"))).ok
        assert (await gate.do(AdmitByHand(6, 2, ENTRY, STEWARD + 1, "guest"))).ok
        await gate.walk(2)


async def test_annuls_are_limited_apart(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=limited(annuls_per_hour=0, overrides_per_hour=1)) as gate:
        await gate.ready()
        assert (await gate.do(AdmitByHand(1, 2, ENTRY, STEWARD, "guest", code=code(7).decode()))).ok
        await gate.walk(2)
        made = await gate.recorded(Kind.OVERRIDE)
        answer = await gate.do(AnnulLast(2, 2, gate.daemon.journal.epoch, made.seq, STEWARD, "x"))
        assert answer == Done(
            2, ok=False, code="command.annuls_done", args={"steward": "17", "done": 0, "most": 0}
        )


async def test_alerts_stand_until_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path, [row(7)], adjust=quick) as gate:
        await gate.ready()
        for _ in range(2):
            await gate.push(1, "entry", force=True)
        await gate.until(lambda: sum(one.count for one in gate.daemon.alerts.open) == 2, "both are counted")
        (alert,) = gate.daemon.status.now().alerts
        assert (alert.lane, alert.what, alert.count) == (1, "intrusion", 2)
        assert (await gate.do(Acknowledge(1, alert.number))).ok
        assert gate.daemon.status.now().alerts == ()
        assert (await gate.do(Acknowledge(2, alert.number))).ok  # somebody was quicker


LANE = """
[[lanes]]
id = 1
name = "a"
[[lanes.readers]]
id = 1
way = "entry"
driver = "serial"
port = "/dev/ttyACM0"
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("admit_max = 0", "staff.admit_max: 0 is not allowed (allowed: a whole number from 1 to 50)"),
        ("admit_max = 51", "a whole number from 1 to 50"),
        ("overrides_per_hour = -1", "a whole number from 0 to 1000"),
        ("annuls_per_hours = 1", "did you mean annuls_per_hour?"),
    ],
)
def test_wrong_limits_are_told(line: str, told: str) -> None:
    with pytest.raises(ConfigErrors) as raised:
        config.load(f"[staff]\n{line}\n{LANE}", {})
    assert told in str(raised.value)


def test_the_largest_act_is_one_that_the_lane_machine_does() -> None:
    limits = f"[staff]\nadmit_max = {GROUP_MAX}\noverrides_per_hour = 0\n{LANE}"
    assert config.load(limits, {}).staff == StaffSettings(admit_max=GROUP_MAX, overrides_per_hour=0)
    with pytest.raises(ConfigErrors):
        config.load(f"[staff]\nadmit_max = {GROUP_MAX + 1}\n{LANE}", {})


async def test_by_hand_a_code_of_several_tickets_uses_the_one_that_is_for_here(tmp_path: Path) -> None:
    """A pass with a ticket for yesterday and one for today."""
    data, code_ = tmp_path / "data", b"PASS-1"
    one = digest(CredentialKind.OPAQUE, code_, DIGEST_KEY)
    rows = [row(7)._replace(digest=one), row(8, profile=1)._replace(digest=one)]
    prepare(data, rows)
    profiles = (Profile(PRODUCT, (ARENA,), SessionId(2)), Profile(PRODUCT, (ARENA,), SESSION))
    build(data / FILE, msgspec.structs.replace(list_head(int(time.time())), profiles=profiles), rows)
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        assert (await gate.do(AdmitByHand(1, 1, ENTRY, STEWARD, "guest", code=code_.decode()))).ok
        await gate.walk()
        assert (await gate.recorded(Kind.OVERRIDE)).ticket == (EVENT, TicketId(8))
        await gate.recorded(Kind.PASSAGE)
        await gate.hardware.entry.scan(code_)
        assert (await gate.seen(2)).outcome == Outcome.DENY
        leave = AdmitByHand(2, 1, int(Direction.EXIT), STEWARD, "lost", code=code_.decode())
        assert (await gate.do(leave)).ok
        await gate.walk(way="exit")
        await gate.recorded(Kind.PASSAGE, 2)
        assert gate.daemon.memory.bounds(ARENA) == Bounds(0, 0)


async def test_taken_back_after_a_restart_the_use_is_free_though_the_restart_caught_a_reservation(
    tmp_path: Path,
) -> None:
    """One person presented twice: before the box started anew, and after it; both were one use, and both are gone."""
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text, hold_ms=4000)) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        assert await gate.hardware.lanes[2].releases.get() == "entry"
    async with running(tmp_path, adjust=quick) as gate:
        await gate.ready()
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        await gate.recorded(Kind.PASSAGE)
        again = await gate.recorded(Kind.SCAN)
        assert again.flags & Flag.AFTER_RESTART
        take_back = AnnulLast(1, 2, gate.daemon.journal.epoch, again.seq, STEWARD, "wrong person")
        assert await gate.do(take_back) == Done(1, ok=True)
        presence = fold(gate.daemon.memory.rows(EVENT, TicketId(7)), (), gate.daemon.judge.venue.zones)
        assert (presence.uses(ARENA, SESSION), presence.live) == (0, ())
    assert_verifies(gate.data)
