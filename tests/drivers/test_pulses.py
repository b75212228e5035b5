import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.pulses import NS_PER_MS, PULSE_MS_LONGEST, PULSES_PER_LINE_MAX, Pulses, TooManyPulses


def ms(value: int) -> int:
    return value * NS_PER_MS


def test_a_pulse_counts_from_when_the_device_took_it() -> None:
    pulses = Pulses(1000)
    pulses.start(0, 300, 1, asked_ns=ms(10), taken_ns=ms(30))
    assert pulses.next_ns() == ms(330)
    assert pulses.due(ms(330) - 1) == []
    assert pulses.due(ms(330)) == [0]
    assert pulses.end(0) == [1]
    assert pulses.next_ns() is None


@pytest.mark.parametrize(
    ("cap", "starts", "end"),
    [
        (1000, [(0, 5000)], 1000),
        (1000, [(0, 300), (200, 300)], 500),
        (1000, [(0, 300), (100, 50)], 300),
        (1000, [(0, 900), (800, 900), (900, 900)], 1000),
        (50, [(0, 300)], 50),
    ],
)
def test_overlapping_pulses_extend_up_to_the_cap_from_the_first_edge(
    cap: int, starts: list[tuple[int, int]], end: int
) -> None:
    pulses = Pulses(cap)
    for ident, (at, length) in enumerate(starts):
        pulses.start(0, length, ident, ms(at), ms(at))
    assert pulses.next_ns() == ms(end)
    assert pulses.end(0) == list(range(len(starts)))


def test_a_slow_write_does_not_lift_the_cap() -> None:
    pulses = Pulses(100)
    pulses.start(0, 100, 1, asked_ns=0, taken_ns=ms(40))
    assert pulses.next_ns() == ms(100)


def test_lines_end_on_their_own_longest_overdue_first() -> None:
    pulses = Pulses(1000)
    pulses.start(0, 300, 1, 0, 0)
    pulses.start(1, 100, 2, 0, 0)
    assert pulses.lines_on() == [0, 1]
    assert pulses.due(ms(100)) == [1]
    assert pulses.due(ms(400)) == [1, 0]


def test_a_line_after_its_end_starts_anew() -> None:
    pulses = Pulses(100)
    pulses.start(0, 100, 1, 0, 0)
    pulses.end(0)
    pulses.start(0, 100, 2, ms(90), ms(90))
    assert pulses.next_ns() == ms(190)
    assert pulses.end(0) == [2]


def test_a_flood_is_refused() -> None:
    pulses = Pulses(100)
    for ident in range(PULSES_PER_LINE_MAX):
        pulses.start(0, 100, ident, 0, 0)
    with pytest.raises(TooManyPulses):
        pulses.start(0, 100, 99, 0, 0)


@pytest.mark.parametrize("cap", [0, -1, PULSE_MS_LONGEST + 1])
def test_a_cap_has_bounds(cap: int) -> None:
    with pytest.raises(ValueError, match="cap"):
        Pulses(cap)


@given(
    st.integers(1, PULSE_MS_LONGEST),
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 65535), st.integers(0, 200)), max_size=30),
)
@settings(max_examples=150)
def test_no_line_is_ever_on_for_longer_than_the_cap(cap: int, steps: list[tuple[int, int, int]]) -> None:
    """A guard that looks whenever `next_ns` says so, under any sequence of pulses."""
    pulses, now, on_since = Pulses(cap), 0, dict[int, int]()
    for ident, (line, length, pause) in enumerate(steps):
        until = now + ms(pause)
        while (end := pulses.next_ns()) is not None and end <= until:
            for due in pulses.due(end):
                assert end - on_since.pop(due) <= ms(cap)
                pulses.end(due)
        now = until
        on_since.setdefault(line, now)
        pulses.start(line, length, ident, now, now)
    assert sorted(on_since) == pulses.lines_on()
