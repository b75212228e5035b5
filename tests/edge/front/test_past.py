"""The time that is certainly over: what the centre signed and what passed since, whatever the box's own clock says."""

from edge.clock import BUILD_TIME_S
from edge.front.past import FLOOR_KEY, Past

SECOND_NS = 1_000_000_000


class Clock:
    """A clock in the test's hand; the wall's is years ahead."""

    def __init__(self) -> None:
        self.ns = 5 * SECOND_NS

    def now_us(self) -> int:
        return 4_000_000_000_000_000

    def mono_ns(self) -> int:
        return self.ns

    def marked_synced(self) -> bool:
        return True


class Kept(dict[str, bytes]):
    def meta(self, key: str) -> bytes | None:
        return self.get(key)


def test_only_what_the_centre_signed_counts_and_the_time_since_by_the_monotonic_clock() -> None:
    clock, kept = Clock(), Kept()
    past = Past(clock, kept)
    past.look()
    assert (past.centre_s, past.over_s, past.known.is_set()) == (0, BUILD_TIME_S, False)
    clock.ns += 86_400 * SECOND_NS
    assert past.over_s == BUILD_TIME_S, "what passes before the centre was heard tells nothing of the time"
    past.heard(BUILD_TIME_S + 500)
    clock.ns += 30 * SECOND_NS
    assert (past.centre_s, past.over_s, past.known.is_set()) == (BUILD_TIME_S + 530, BUILD_TIME_S + 530, True)


def test_what_was_over_in_an_earlier_run_is_over() -> None:
    kept = Kept({FLOOR_KEY: b"%d" % (BUILD_TIME_S + 9_000)})
    past = Past(Clock(), kept)
    past.look()
    assert (past.centre_s, past.over_s) == (0, BUILD_TIME_S + 9_000)
    past.heard(BUILD_TIME_S + 8_000)  # a centre whose clock is behind takes nothing back
    assert past.over_s == BUILD_TIME_S + 9_000
