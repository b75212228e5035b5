"""Corrected time: the same for everybody, however the records came, and right wherever the clock became known."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from admission.corrected import EpochTime, Mark, after, before, placed
from admission.records import Kind, Record, Trust

MINUTE_MS = 60_000
TRUE_START_US = 1_800_000_000_000_000


def body(seq: int, kind: Kind, time_us: int, mono_ms: int, trust: Trust) -> Record:
    return Record(kind, seq, time_us, mono_ms & (2**32 - 1), trust=trust)


@dataclass
class Box:
    """A box of which the truth is known: it says what its wall clock has, and records each step of that."""

    off_us: int
    trust: Trust
    started_ms: int = 0

    def __post_init__(self) -> None:
        self.mono_ms = self.started_ms
        self.bodies: list[Record] = []
        self.truth: list[int] = []
        self.say(Kind.RESTART)

    def say(self, kind: Kind) -> None:
        true_us = TRUE_START_US + (self.mono_ms - self.started_ms) * 1000
        self.truth.append(true_us)
        seq = len(self.bodies) + 1
        self.bodies.append(body(seq, kind, true_us + self.off_us, self.mono_ms, self.trust))

    def go_on(self, ms: int) -> None:
        self.mono_ms += ms

    def set_clock(self, off_us: int, trust: Trust) -> None:
        """Whoever moves the clock records it before anything else."""
        self.off_us, self.trust = off_us, trust
        self.say(Kind.CLOCK_STEP)


def times(bodies: list[Record]) -> list[int]:
    return [at for _, at in placed(bodies)]


def test_what_was_recorded_in_another_year_lies_where_it_belongs_once_the_clock_is_set() -> None:
    for off_years in (-10, 10):
        box = Box(off_years * 365 * 86_400_000_000, Trust.FLOOR)
        for _ in range(3):
            box.go_on(MINUTE_MS)
            box.say(Kind.SCAN)
        assert times(box.bodies) == [one.time_us for one in box.bodies]  # nothing is known yet
        box.set_clock(0, Trust.SYNCED)
        box.say(Kind.SCAN)
        assert times(box.bodies) == box.truth


def test_a_clock_that_is_lost_again_is_carried_on_by_the_monotonic_one() -> None:
    box = Box(0, Trust.SYNCED)
    box.go_on(MINUTE_MS)
    box.set_clock(-(10**15), Trust.UNKNOWN)
    box.go_on(MINUTE_MS)
    box.say(Kind.SCAN)
    assert times(box.bodies) == box.truth
    box.set_clock(0, Trust.SYNCED)
    assert times(box.bodies) == box.truth


def test_a_clock_that_turns_out_right_moves_nothing() -> None:
    box = Box(1_500_000, Trust.FLOOR)  # 1.5 s off is no step
    box.go_on(MINUTE_MS)
    box.say(Kind.SCAN)
    box.off_us, box.trust = 0, Trust.SYNCED
    box.say(Kind.SCAN)
    assert times(box.bodies) == [one.time_us for one in box.bodies]


def test_the_wrap_of_the_monotonic_clock_is_no_leap() -> None:
    mark = Mark(TRUE_START_US, 5)
    assert after(mark, 2) == TRUE_START_US + (2**32 - 3) * 1000
    assert before(Mark(TRUE_START_US, 2), 2**32 - 3) == TRUE_START_US - 5_000
    box = Box(-(10**15), Trust.FLOOR, started_ms=2**32 - MINUTE_MS // 2)
    box.go_on(MINUTE_MS)
    box.say(Kind.SCAN)
    box.set_clock(0, Trust.SYNCED)
    assert times(box.bodies) == box.truth


OFFSETS_US = st.sampled_from([0, -(10**15), 10**15, 3_600_000_000, -7_200_000_000])


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    box = Box(draw(OFFSETS_US), Trust.FLOOR)
    for _ in range(draw(st.integers(0, 12))):
        box.go_on(draw(st.integers(0, 100 * MINUTE_MS)))
        match draw(st.integers(0, 3)):
            case 0:
                box.set_clock(0, Trust.SYNCED)
            case 1:
                box.set_clock(draw(OFFSETS_US), draw(st.sampled_from([Trust.UNKNOWN, Trust.FLOOR])))
            case _:
                box.say(Kind.SCAN)
    return box


@given(boxes())
def test_once_the_clock_was_set_everything_lies_where_it_belongs(box: Box) -> None:
    if any(one.trust is Trust.SYNCED for one in box.bodies):
        assert times(box.bodies) == box.truth


@given(boxes(), st.data())
def test_a_reader_that_gets_it_in_pieces_places_it_as_one_that_gets_it_whole(
    box: Box, data: st.DataObject
) -> None:
    """What a reader keeps up: place each body as it comes, and place anew what came before where one revises it."""
    found: dict[int, int] = {}
    mark = None
    left = box.bodies
    while left:
        size = data.draw(st.integers(1, len(left)))
        epoch = EpochTime(mark)
        for one in left[:size]:
            revised = epoch.revises(one)
            found[one.seq] = epoch.place(one)
            if revised:
                found |= {old.seq: at for old, at in placed(box.bodies[: one.seq])}
        mark, left = epoch.mark, left[size:]
    assert [found[one.seq] for one in box.bodies] == times(box.bodies)


@given(boxes())
def test_what_a_believed_body_placed_is_never_placed_anew(box: Box) -> None:
    settled: dict[int, int] = {}
    for end in range(1, len(box.bodies) + 1):
        now = times(box.bodies[:end])
        assert all(now[seq - 1] == at for seq, at in settled.items())
        if any(one.trust is Trust.SYNCED for one in box.bodies[:end]):
            settled = {seq: now[seq - 1] for seq in range(1, end + 1)}
