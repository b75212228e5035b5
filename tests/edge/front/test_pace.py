"""The pace of the uplink on virtual time: batches that fit any link, waits that spread, streams that are found dead."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.front import pace
from edge.front.pace import Batches, Beat, Kind, Quiet, Turns, backoff_s, round_in_s

MAX = 10_000
LINKS = st.tuples(
    st.floats(0.005, 2.0),  # seconds there and back
    st.floats(120.0, 5e7),  # bytes a second: from a dying 2G cell to a LAN
    st.integers(10, 400),  # bytes a record
)


def drained(batches: Batches, link: tuple[float, float, int], count: int) -> list[tuple[int, float]]:
    """Push so many batches over a link; returns records and seconds of each."""
    round_s, bytes_s, each = link
    found = []
    for _ in range(count):
        records = batches.records
        seconds = round_s + records * each / bytes_s
        batches.took(records, records * each, seconds)
        found.append((records, seconds))
    return found


@given(LINKS)
def test_batches_settle_within_what_the_link_takes_in_two_seconds(link: tuple[float, float, int]) -> None:
    round_s, bytes_s, each = link
    last = drained(Batches(MAX), link, 20)[-4:]
    for records, seconds in last:
        assert 1 <= records <= MAX
        # The round trip itself is nobody's choice; nor is the last record of a link slower than that.
        assert seconds - round_s <= 2 * pace.BATCH_S + each / bytes_s
    fits = min(MAX, bytes_s * pace.BATCH_S / each)
    if round_s < 0.1:
        assert last[-1][0] >= fits / 4 - 1, "a good link is used"


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(st.integers(0, 20_000), st.integers(0, 10**7), st.floats(0, 1e5)))
    )
)
def test_a_batch_has_one_record_at_least_and_no_more_than_a_push_takes(
    answers: list[tuple[int, int, float] | None],
) -> None:
    batches = Batches(MAX)
    for one in answers:
        if one is None:
            batches.failed()
        else:
            batches.took(*one)
        assert 1 <= batches.records <= MAX


def test_a_lan_is_at_full_size_within_three_answers() -> None:
    sizes = [records for records, _ in drained(Batches(MAX), (0.002, 2e7, 20), 3)]
    assert sizes == [1_000, 4_000, 10_000]


def test_a_cut_makes_batches_smaller_down_to_one_record() -> None:
    batches = Batches(MAX)
    for _ in range(10):
        batches.failed()
    assert batches.records == 1


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_a_wait_is_any_part_of_a_time_that_grows_and_ends(failures: int, seed: int) -> None:
    wait_s = backoff_s(failures, random.Random(seed))
    assert pace.BACKOFF_LEAST_S <= wait_s <= pace.BACKOFF_MAX_S
    assert wait_s <= max(pace.BACKOFF_LEAST_S, pace.BACKOFF_FIRST_S * 2.0 ** min(failures, 10))


def test_gates_that_failed_together_come_again_apart() -> None:
    waits = sorted(backoff_s(7, random.Random(gate)) for gate in range(2_000))
    in_any_second = max(sum(at <= one < at + 1 for one in waits) for at in range(60))
    assert in_any_second < 2_000 / 60 * 2, "full jitter: spread over all of the minute"


@given(st.lists(st.one_of(st.booleans(), st.floats(0, 1e6))))
def test_a_beat_stays_between_its_bounds_and_two_missed_ones_are_death(
    lives: list[bool | float],
) -> None:
    beat = Beat()
    for one in lives:
        if isinstance(one, bool):
            beat.died(silent=one)
        else:
            beat.lived(one)
        assert pace.BEAT_LEAST_S <= beat.beat_s <= pace.BEAT_MAX_S
        assert beat.silence_s == 2 * beat.beat_s + pace.GRACE_S


@pytest.mark.parametrize("nat_s", [20, 31, 50, 66, 120, 300])
def test_the_beat_finds_what_the_carrier_lets_live(nat_s: int) -> None:
    beat, deaths = Beat(), 0
    for _ in range(200):  # each turn an hour of one stream
        if beat.beat_s > nat_s:
            deaths += 1
            beat.died(silent=True)
        else:
            beat.lived(pace.BEAT_PROVED_S)
    assert beat.beat_s <= max(nat_s, pace.BEAT_LEAST_S) + pace.BEAT_STEP_S
    assert deaths <= 200 // 2, "it does not die of trying"
    if nat_s >= pace.BEAT_MAX_S:
        assert deaths == 0


def test_a_stream_that_broke_loudly_says_nothing_of_the_carrier() -> None:
    beat = Beat()
    beat.died(silent=False)
    assert beat.beat_s == pace.BEAT_FIRST_S


@given(st.lists(st.floats(0, 1e6)), st.floats(0, 1e7))
def test_it_is_quiet_only_after_ten_minutes_of_nothing(moves: list[float], now_s: float) -> None:
    quiet = Quiet(0.0)
    for one in moves:
        quiet.moved(one)
    assert quiet.is_quiet(now_s) == (now_s - max(moves, default=0.0) >= pace.QUIET_AFTER_S)


@given(st.floats(0, 1e7), st.floats(0, pace.ROUND_S), st.integers(0, 9), st.integers(1, 20))
def test_rounds_are_the_same_for_all_who_wait_for_them(
    now_s: float, phase_s: float, place: int, every: int
) -> None:
    wait_s = round_in_s(now_s, phase_s, place, every)
    assert -1e-3 <= wait_s - place * pace.PLACE_S <= every * pace.ROUND_S + 1e-3
    number = (now_s + wait_s - place * pace.PLACE_S - phase_s) / pace.ROUND_S
    assert abs(number - round(number)) < 1e-6
    assert round(number) % every == 0, "what is asked seldomer is asked with the others"


@given(st.lists(st.sampled_from(Kind)), st.sampled_from(Kind))
def test_who_is_more_urgent_goes_first(there: list[Kind], kind: Kind) -> None:
    turns = Turns()
    for one in there:
        turns.begin(one)
    assert turns.may(kind, 0.0) == all(kind <= one for one in there)
    for one in there:
        turns.end(one)
    assert all(turns.may(one, 1.0) for one in Kind)


def test_nobody_is_held_up_for_ever() -> None:
    turns = Turns()
    turns.begin(Kind.OWN)
    found = [turns.may(Kind.CARRIED, float(now_s)) for now_s in range(0, 200, 10)]
    assert found.count(True) == 200 // 70, "one piece in a minute gets through"
