"""Random interleavings of gates that seldom hear each other fold to what happened; planted bugs are caught."""

from collections import Counter

import pytest

from tests.admission.gates import Merge, Mismatch
from tests.admission.ledger import TICKETS
from tests.admission.planted_bugs import BUGS
from tests.admission.two_gates import main, replay_command, run, run_sequential

SEEDS = 400
SEEDS_TO_CATCH = 60
"""Within so many histories every planted bug must show."""


@pytest.mark.parametrize("start", range(0, SEEDS, 100))
def test_gates_that_heard_everything_agree_with_each_other_and_with_what_happened(start: int) -> None:
    for seed in range(start, start + 100):
        try:
            run(seed, Merge())
        except Mismatch as mismatch:
            pytest.fail(f"{mismatch}\nreplay: {replay_command(seed)}")


def test_without_concurrency_presence_is_what_a_person_at_the_door_would_count() -> None:
    for seed in range(40):
        try:
            run_sequential(seed, Merge())
        except Mismatch as mismatch:
            pytest.fail(f"{mismatch}\nreplay: {replay_command(seed)}")


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_caught(bug: str) -> None:
    for seed in range(SEEDS_TO_CATCH):
        try:
            run(seed, BUGS[bug]())
        except Mismatch:
            return
    pytest.fail(f"{SEEDS_TO_CATCH} histories did not show {bug}; try {replay_command(0, bug)}")


def test_the_histories_hold_what_they_are_meant_to_try() -> None:
    seen: Counter[str] = Counter()
    for seed in range(90):
        world = run(seed, Merge())
        ledger = world.ledger
        seen["clones"] += world.cloned
        seen["resets"] += len(ledger.emptied)
        seen["alarms"] += len(ledger.rung)
        seen["let in again after one"] += sum(map(ledger.is_again, ledger.entered.values()))
        seen["annulled"] += sum(one.end == "annulled" for one in ledger.entered.values())
        seen["unresolved"] += sum(one.end == "" for one in ledger.entered.values())
        seen["re-entries"] += sum(one.reentry for one in ledger.entered.values())
        seen["exits that saw none"] += sum(one.passed and not one.names for one in ledger.left.values())
        for ticket in TICKETS:
            seen["doubles"] += len(ledger.doubles(ticket))
            seen["let in again too often"] += len(ledger.too_often(ticket))
            seen["after a restart"] += len(ledger.stood_in(ticket))
    kinds = {"clones", "resets", "annulled", "unresolved", "re-entries", "exits that saw none", "doubles"}
    kinds |= {"alarms", "let in again after one", "let in again too often"}
    assert {what for what, count in seen.items() if count >= 5} >= kinds | {"after a restart"}, seen


def test_a_seed_replays_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1"]) == 0
    assert main(["--seed", "1", "--bug", "duplicates-count"]) == 1
    assert "seed 1: the merge holds\nseed 1: " in capsys.readouterr().out
