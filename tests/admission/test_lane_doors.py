"""Doors, swing gates and the turnstile's own detector: requests to exit, held and forced, who walks through together."""

from msgspec.structs import replace

from admission.arm import PULSE_GAP_MS
from admission.door import Door
from admission.lane import (
    Alert,
    Detected,
    DoorChanged,
    ExitAsked,
    FireChanged,
    LaneEffect,
    LaneState,
    ReadyChanged,
    Release,
    StateSet,
    Withhold,
    Write,
)
from admission.records import NOBODY, Direction, Flag, Kind, Outcome
from tests.admission.lanes import CONFIG, ENTRY_LINE, EXIT_LINE, WINDOW_MS, Trial, grant

DOOR = replace(
    CONFIG,
    entry_line=ENTRY_LINE,
    exit_line=ENTRY_LINE,
    pulse_ms=5000,
    door_counts=True,
)
"""One strike for both ways, the door's contact for all passages."""
SWING = replace(CONFIG, together=True, hold_ms=10_000)


def kinds(effects: tuple[LaneEffect, ...]) -> list[Kind]:
    return [one.kind for one in effects if isinstance(one, Write)]


def alerts(effects: tuple[LaneEffect, ...]) -> list[str]:
    return [one.what for one in effects if isinstance(one, Alert)]


def opens(trial: Trial, after_ms: int = 0) -> tuple[LaneEffect, ...]:
    return trial.do(DoorChanged(open=True), after_ms=after_ms)


def shuts(trial: Trial, after_ms: int = 0) -> tuple[LaneEffect, ...]:
    return trial.do(DoorChanged(open=False), after_ms=after_ms)


def test_whoever_opens_a_door_that_a_ticket_released_has_passed_and_the_strike_falls_behind() -> None:
    trial = Trial(DOOR)
    trial.do(grant(1))
    out = opens(trial, 1000)
    assert kinds(out) == [Kind.PASSAGE]
    assert Withhold(ENTRY_LINE) in out
    assert trial.lane.counters[Direction.ENTRY].committed == 1
    assert alerts(shuts(trial, 2000)) == []


def test_a_request_to_exit_opens_and_is_an_exit_of_nobody() -> None:
    trial = Trial(DOOR)
    out = trial.do(ExitAsked())
    (scan,) = [one for one in out if isinstance(one, Write)]
    assert (scan.kind, scan.direction, scan.outcome) == (Kind.SCAN, Direction.EXIT, Outcome.GRANT)
    assert (scan.subject, scan.reader, scan.flags) == (NOBODY, 0, Flag.NONE)
    assert Release(scan.token, ENTRY_LINE, 5000) in out
    passage = [one for one in opens(trial, 700) if isinstance(one, Write)]
    assert [(one.kind, one.direction, one.ref_token) for one in passage] == [
        (Kind.PASSAGE, Direction.EXIT, scan.token)
    ]


def test_who_did_not_go_out_asks_again_and_is_not_held() -> None:
    """The strike has fallen shut while the window still runs: the door opens anew at once."""
    trial = Trial(DOOR)
    trial.do(ExitAsked())
    out = trial.do(ExitAsked(), after_ms=5000 + PULSE_GAP_MS)
    assert kinds(out)[:2] == [Kind.GIVE_BACK, Kind.SCAN]
    assert any(isinstance(one, Release) for one in out)
    assert kinds(opens(trial, 100)) == [Kind.PASSAGE]


def test_a_button_that_chatters_opens_once_for_each_pulse() -> None:
    trial = Trial(DOOR)
    for _ in range(200):
        trial.do(ExitAsked(), after_ms=50)
    released = [one for one in trial.effects if isinstance(one, Release)]
    assert 1 < len(released) <= 10_000 // 5000 + 1
    assert len(kinds(tuple(trial.effects))) <= 3 * len(released) + 2


def test_while_not_ready_or_in_a_fire_a_request_to_exit_is_recorded_without_a_pulse() -> None:
    trial = Trial(DOOR)
    trial.do(ReadyChanged(ready=False))
    out = trial.do(ExitAsked())
    (scan,) = [one for one in out if isinstance(one, Write)]
    assert scan.flags & Flag.NO_PULSE
    assert not any(isinstance(one, Release) for one in out)
    trial.do(ReadyChanged(ready=True))
    trial.do(FireChanged(active=True))
    assert not any(isinstance(one, Release) for one in trial.do(ExitAsked(), after_ms=WINDOW_MS))


def test_a_door_is_opened_by_whom_it_was_released_for_not_by_an_exit_without_a_pulse_just_before() -> None:
    trial = Trial(DOOR)
    trial.do(StateSet(LaneState.OUT_OF_SERVICE))
    trial.do(grant(1, Direction.EXIT))
    trial.do(StateSet(LaneState.CONTROLLED), after_ms=1000)
    (scan,) = [one for one in trial.do(grant(2), after_ms=1000) if isinstance(one, Write)]
    passage = [one for one in opens(trial, 500) if isinstance(one, Write)]
    assert [(one.kind, one.direction, one.ref_token) for one in passage] == [
        (Kind.PASSAGE, Direction.ENTRY, scan.token)
    ]


def test_a_door_that_nobody_released_was_forced() -> None:
    trial = Trial(DOOR)
    out = opens(trial)
    assert kinds(out) == [Kind.INTRUSION]
    assert alerts(out) == ["forced"]
    assert trial.lane.counters[Direction.ENTRY].intrusions == 1


def test_opened_again_on_one_grant_is_a_second_person() -> None:
    trial = Trial(DOOR)
    trial.do(grant(1))
    opens(trial, 500)
    shuts(trial, 1000)
    assert alerts(opens(trial, 300)) == ["tailgate"]


def test_with_passage_contacts_of_its_own_a_forced_door_counts_nobody() -> None:
    trial = Trial(replace(DOOR, door_counts=False))
    out = opens(trial)
    assert [(one.kind, one.direction) for one in out if isinstance(one, Write)] == [
        (Kind.INTRUSION, Direction.NONE)
    ]
    assert alerts(out) == ["forced"]
    shuts(trial, 100)
    trial.do(grant(1))
    assert kinds(opens(trial, 400)) == [], "its passage contact tells who walks"
    assert trial.lane.counters[Direction.ENTRY].passages == 0


def test_a_door_found_open_is_nobody_and_is_told_when_it_stays_so() -> None:
    trial = Trial(DOOR)
    assert trial.do(DoorChanged(open=True, first=True)) == ()
    assert alerts(trial.wait_ms(DOOR.held_ms - 1)) == []
    assert alerts(trial.wait_ms(1)) == ["held"]
    assert alerts(trial.wait_ms(60_000)) == [], "once"
    shuts(trial)
    trial.do(grant(1))
    opens(trial, 100)
    assert alerts(shuts(trial, DOOR.held_ms - 1)) == []
    assert alerts(trial.wait_ms(60_000)) == []


def test_where_people_pass_freely_a_door_is_neither_held_nor_forced() -> None:
    trial = Trial(DOOR)
    trial.do(StateSet(LaneState.FREE_BOTH))
    out = opens(trial)
    assert (kinds(out), alerts(out)) == ([Kind.PASSAGE], [])
    assert alerts(trial.wait_ms(2 * DOOR.held_ms)) == []


def test_the_turnstile_s_detector_calls_staff_and_counts_nobody() -> None:
    trial = Trial()
    out = trial.do(Detected())
    assert [(one.kind, one.direction) for one in out if isinstance(one, Write)] == [
        (Kind.INTRUSION, Direction.NONE)
    ]
    assert alerts(out) == ["detector"]
    assert trial.lane.counters[Direction.ENTRY].passages == 0
    trial.do(FireChanged(active=True))
    assert trial.do(Detected()) == ()


def test_a_wheelchair_and_its_companion_walk_through_one_opening() -> None:
    trial = Trial(SWING)
    out = trial.do(grant(1, count=2))
    assert len([one for one in out if isinstance(one, Release)]) == 1
    assert kinds(trial.walk(after_ms=3000)) == [Kind.PASSAGE]
    out = trial.walk(after_ms=3000)
    assert kinds(out) == [Kind.PASSAGE]
    assert len([one for one in trial.effects if isinstance(one, Release)]) == 1
    assert alerts(trial.walk(after_ms=500)) == ["tailgate"], "a third is on their backs"


def test_whose_companion_did_not_come_has_that_use_still() -> None:
    trial = Trial(SWING)
    trial.do(grant(1, count=2))
    trial.walk(after_ms=3000)
    rest_ms = SWING.hold_ms + SWING.hold_margin_ms - 3000
    assert kinds(trial.wait_ms(rest_ms)) == [Kind.GIVE_BACK]
    assert kinds(trial.walk(after_ms=100)) == [Kind.LATE_PASSAGE], "unless they come late"


def test_a_coach_at_a_swing_gate_has_an_opening_each() -> None:
    trial = Trial(SWING)
    trial.do(grant(1, count=5))
    trial.walk(after_ms=1000)
    assert len([one for one in trial.effects if isinstance(one, Release)]) == 2


def test_without_a_sensor_all_of_them_are_assumed_at_the_window_s_end() -> None:
    trial = Trial(replace(SWING, entry_sensor=False))
    trial.do(grant(1, count=2))
    out = trial.wait_ms(SWING.hold_ms + SWING.hold_margin_ms)
    assert [one.flags & Flag.ASSUMED for one in out if isinstance(one, Write)] == [Flag.ASSUMED] * 2
    assert len([one for one in trial.effects if isinstance(one, Release)]) == 1


def test_the_exit_line_of_a_turnstile_opens_on_request_too() -> None:
    trial = Trial()
    assert any(isinstance(one, Release) and one.line == EXIT_LINE for one in trial.do(ExitAsked()))


def test_a_door_opened_twice_is_open_since_the_first_time() -> None:
    door = Door(100)
    door.opened(0)
    door.opened(60)
    assert (door.next_ms, door.is_held(99), door.is_held(100), door.next_ms) == (100, False, True, None)
