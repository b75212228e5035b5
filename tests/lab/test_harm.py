"""What is done to a gate in the middle of a pulse: killed, frozen, cut off from power. The line goes off, the log holds."""

import signal
from typing import Any

import pytest

from tests.lab.box import EDGE, PULSE_MAX_MS, RELAY_IN, UNIT, WELL_S, Box

AGAIN_S = 150.0
SLACK_MS = 1000
"""Emulation on a busy machine, and our looking at the line; one that nobody ends stays on for ever."""
LATE = "/var/lib/gatehouse/late"
"""A file that is written when the power is gone."""
OFF_BY_UNIT_S = 60.0
"""Where the guard dies too, the line is switched off by a program that starts anew: emulated on a busy machine, many seconds."""


def harmed(box: Box, whom: str, number: int) -> dict[str, Any]:
    """Present a ticket, and hit somebody while the line is on."""
    hit = box.guest.begin("harm.hit_when", offset=RELAY_IN, idle=1, whom=whom, number=number, limit_s=120.0)
    box.type(box.code("staff"))
    times: dict[str, Any] = hit.result(180.0)
    assert times["moved"], "the line did not move"
    return times


def on_ms(times: dict[str, Any]) -> float:
    return float((times["back"] - times["moved"]) * 1000)


def test_killed_in_the_middle_of_a_pulse_the_line_is_off_within_its_longest(box: Box) -> None:
    before = box.guest.call("harm.lane")
    times = harmed(box, "lane", signal.SIGKILL)
    assert times["back"], "the line stays on"
    assert on_ms(times) <= PULSE_MAX_MS + SLACK_MS
    again = box.guest.call("harm.until_another", than=before, limit_s=AGAIN_S) - times["hit"]
    well = box.until_well() - times["hit"]
    box.note(
        f"lane killed: line on for {on_ms(times):.0f} ms, running again after {again:.1f} s, admits after {well:.1f} s"
    )


def test_with_its_guard_killed_the_line_goes_off_as_soon_as_there_is_another(box: Box) -> None:
    before = box.guest.call("harm.lane")
    times = harmed(box, "guard", signal.SIGKILL)
    assert times["back"], "the line stays on"
    assert times["back"] - times["hit"] <= OFF_BY_UNIT_S
    assert box.guest.call("harm.lane") == before
    box.note(f"guard killed: line on for {on_ms(times):.0f} ms")


def test_with_all_of_it_killed_systemd_has_the_line_switched_off(box: Box) -> None:
    before = box.guest.call("harm.lane")
    times = harmed(box, "all", signal.SIGKILL)
    assert times["back"], "the line stays on"
    assert times["back"] - times["hit"] <= OFF_BY_UNIT_S
    box.guest.call("harm.until_another", than=before, limit_s=AGAIN_S)
    box.note(f"all killed: line on for {on_ms(times):.0f} ms")


def test_a_lane_that_hangs_ends_its_pulse_is_bitten_and_starts_again(box: Box) -> None:
    before = box.guest.call("harm.lane")
    times = harmed(box, "lane", signal.SIGSTOP)
    assert times["back"], "the line stays on"
    assert on_ms(times) <= PULSE_MAX_MS + SLACK_MS
    again = box.guest.call("harm.until_another", than=before, limit_s=AGAIN_S) - times["hit"]
    said = box.guest.do("journalctl", "-u", UNIT, "--no-pager", "-q", "-g", "Watchdog timeout")
    assert said
    box.note(f"lane frozen: line on for {on_ms(times):.0f} ms, running again after {again:.1f} s")


@pytest.fixture
def card(box: Box) -> Any:
    """The gate's data on a card whose power can be cut."""
    box.guest.do("systemctl", "stop", UNIT)
    box.guest.call("card.make", mount="/var/lib/gatehouse", owner="gatehouse")
    # A box without power starts nothing.
    box.guest.put(f"/run/systemd/system/{UNIT}.service.d/dark.conf", "[Service]\nRestart=no\n")
    box.guest.do("systemctl", "daemon-reload")
    box.guest.do("systemctl", "start", UNIT)
    box.until_well()
    return box


def test_power_cut_between_grant_and_passage_loses_no_scan(card: Box) -> None:
    box, began = card, len(card.records())
    cut = box.guest.begin("card.cut_when", offset=RELAY_IN, idle=1, unit=UNIT, limit_s=120.0)
    box.type(box.code("day_2"))
    times = cut.result(180.0)
    box.guest.do("sh", "-c", f"echo late >{LATE} && sync {LATE}")  # believed to be written
    box.guest.call("harm.until_down", limit_s=AGAIN_S)
    box.guest.call("card.power", mount="/var/lib/gatehouse")
    assert box.guest.run("test", "-e", LATE).code, "the power was not cut"
    box.guest.do("rm", f"/run/systemd/system/{UNIT}.service.d/dark.conf")
    box.guest.do("systemctl", "daemon-reload")
    box.guest.do("systemctl", "start", UNIT)
    box.until_well(limit_s=WELL_S)
    killed, cut = ((times[name] - times["moved"]) * 1000 for name in ("killed", "cut"))
    box.note(f"power cut: killed {killed:.0f} ms after the line moved, the card forgets after {cut:.0f} ms")
    fresh = box.records()[began:]
    (grant,) = (one for one in fresh if one["kind"] == "scan")
    assert (grant["outcome"], grant["direction"]) == ("grant", "entry")
    assert not [one for one in fresh if one["kind"] in {"passage", "give_back"}]
    done = box.guest.run(EDGE, "verify")
    assert done.code == 0, done.out + done.err
