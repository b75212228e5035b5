"""When to begin anew: after the same failure again and again, and ever more seldom."""

import itertools

from edge.front.stuck import FIRST_PAUSE_S, PAUSE_MAX_S, STUCK_TIMES, Stuck


class Hand:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_the_same_failure_often_enough_and_nothing_else() -> None:
    stuck = Stuck(Hand())
    for _ in range(3):
        for _ in range(STUCK_TIMES - 1):
            assert not stuck.failed("list", "list.corrupt")
        assert not stuck.failed("list", "list.forked")  # another reason counts from one
        stuck.works("list")
    for _ in range(STUCK_TIMES - 1):
        assert not stuck.failed("list", "list.corrupt")
        assert not stuck.failed("feed", "OSError")  # each by itself
    assert stuck.failed("list", "list.corrupt")


def test_ever_more_seldom_however_fast_it_fails() -> None:
    clock = Hand()
    stuck = Stuck(clock)
    begun = []
    for _ in range(200_000):
        clock.s += 1.0
        if stuck.failed("list", "list.corrupt"):
            begun.append(clock.s)
    pauses = [after - before for before, after in itertools.pairwise(begun)]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert max(pauses) == PAUSE_MAX_S
    assert len(begun) < 20


def test_a_short_while_of_good_does_not_make_it_hot() -> None:
    clock = Hand()
    stuck = Stuck(clock)
    begun = 0
    for number in range(10_000):
        clock.s += 0.1
        begun += stuck.failed("feed", "OSError")
        if number % 7 == 6:
            stuck.works("feed")
    assert begun <= 5
    clock.s += PAUSE_MAX_S  # long over: it begins as at first
    stuck.works("feed")
    assert [stuck.failed("feed", "OSError") for _ in range(STUCK_TIMES)] == [False] * (STUCK_TIMES - 1) + [
        True
    ]
