"""Alerts are shown until they are acknowledged or old, and are bounded."""

import ast
from pathlib import Path

from admission.reasons import Reason
from edge.alerts import AGE_S, ALERTS_MAX, Alerts
from edge.words import WORDS

ADMISSION = Path(__file__).resolve().parents[2] / "admission"


class Times:
    """A clock that the test turns, and what was told."""

    def __init__(self) -> None:
        self.s = 1000.0
        self.changes = 0
        self.alerts = Alerts(lambda: int(self.s), lambda: self.s, self.changed)

    def changed(self) -> None:
        self.changes += 1


def test_the_same_again_is_counted_and_comes_to_the_front() -> None:
    t = Times()
    t.alerts.call(1, "intrusion")
    t.alerts.call(2, "tailgate")
    t.s += 5
    t.alerts.call(1, "intrusion")
    first, second = t.alerts.open
    assert (first.what, first.count, first.time_s) == ("intrusion", 2, 1005)
    assert (second.what, second.lane, second.count) == ("tailgate", 2, 1)
    assert first.number != second.number
    assert t.changes == 3


def test_what_is_old_goes_by_itself() -> None:
    t = Times()
    t.alerts.call(1, "intrusion")
    t.s += AGE_S - 1
    t.alerts.call(2, "intrusion")
    t.alerts.expire()
    assert len(t.alerts.open) == 2
    changes = t.changes
    t.s += 1
    t.alerts.expire()
    assert [one.lane for one in t.alerts.open] == [2]
    t.alerts.expire()
    assert t.changes == changes + 1


def test_the_oldest_goes_where_there_are_too_many() -> None:
    t = Times()
    for lane in range(1, ALERTS_MAX + 3):
        t.alerts.call(lane, "intrusion")
    assert [one.lane for one in t.alerts.open] == list(range(ALERTS_MAX + 2, 2, -1))


def test_a_number_of_an_earlier_run_acknowledges_nothing() -> None:
    t = Times()
    t.alerts.call(1, "intrusion")
    old = t.alerts.open[0].number
    t.s += 60
    later = Alerts(lambda: int(t.s), lambda: t.s, t.changed)
    later.call(1, "intrusion")
    assert not later.acknowledge(old)
    assert later.acknowledge(later.open[0].number)
    assert later.open == ()


def test_each_word_that_the_machine_calls_staff_with_has_its_sentence() -> None:
    calls = [
        node
        for path in ADMISSION.glob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
    ]
    named = [one.args for one in calls if getattr(one.func, "id", "") == "Alert"]
    # Somebody who went through unasked: the word is given by whoever saw it.
    named += [
        [word.value]
        for one in calls
        for word in one.keywords
        if word.arg == "alert" and getattr(one.func, "attr", "") == "passed"
    ]
    said = {
        str(part.value)
        for words in named
        for word in words
        for part in ast.walk(word)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    assert {"intrusion", "tailgate", "fire", "emergency", "relay"} <= said
    assert {
        one for one in said if f"alert.{one}" not in WORDS and one.upper() not in Reason.__members__
    } == set()
