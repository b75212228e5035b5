from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.framing.debounce import Change, Debouncer


@pytest.mark.parametrize(
    ("samples", "changes"),
    [
        ("0:0", [(0, False)]),
        ("0:1", [(0, True)]),
        ("0:0 10:1 20:1 30:1", [(0, False), (10, True)]),
        ("0:0 10:1 20:0 30:1 40:0", [(0, False)]),
        ("0:0 10:1 20:0 30:1 40:1 50:1", [(0, False), (30, True)]),
        ("0:1 10:0 30:0 31:1 40:1 51:1", [(0, True), (10, False), (31, True)]),
        ("0:0 10:1 500:1", [(0, False), (10, True)]),
    ],
)
def test_with_a_period_of_20(samples: str, changes: list[tuple[int, bool]]) -> None:
    debouncer = Debouncer(20)
    got = []
    for sample in samples.split():
        at, level = sample.split(":")
        got += debouncer.sample({3: level == "1"}, int(at))
    assert got == [Change(3, active, at) for at, active in changes]


def test_without_a_period_each_sample_counts() -> None:
    debouncer = Debouncer(0)
    got = [debouncer.sample({0: level}, at) for at, level in enumerate([False, True, False])]
    assert got == [[Change(0, False, 0)], [Change(0, True, 1)], [Change(0, False, 2)]]


def test_lines_are_apart_and_may_be_left_out() -> None:
    debouncer = Debouncer(10)
    assert debouncer.sample({1: False, 0: True}, 0) == [Change(0, True, 0), Change(1, False, 0)]
    assert debouncer.sample({1: True}, 5) == []
    assert debouncer.sample({0: True, 1: True}, 15) == [Change(1, True, 5)]


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=60), st.integers(0, 60))
@settings(max_examples=200)
def test_changes_alternate_and_each_was_held_for_the_period(
    steps: list[tuple[int, bool]], period: int
) -> None:
    debouncer, now = Debouncer(period), 0
    seen: list[tuple[int, bool]] = []
    got: list[Change] = []
    for pause, level in steps:
        now += pause
        seen.append((now, level))
        for change in debouncer.sample({0: level}, now):
            if got:
                assert now - change.at_ns >= period
                assert all(active is change.active for at, active in seen if at >= change.at_ns)
            got.append(change)
    assert all(a.active is not b.active for a, b in pairwise(got))
    assert all(a.at_ns < b.at_ns for a, b in pairwise(got))
