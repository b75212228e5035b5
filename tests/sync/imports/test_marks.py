"""Marks are a dict of digests that takes little room."""

import tracemalloc
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from sync.imports.marks import BYTES, PLACES_MIN, Marks


def mark(number: int) -> bytes:
    return blake2b(number.to_bytes(8, "big"), digest_size=BYTES).digest()


# Few values in each half, so that marks share places and halves.
HALF = st.sampled_from([bytes(8), b"\x01" + bytes(7), bytes(7) + b"\x01", b"\xff" * 8])


@given(st.lists(st.tuples(HALF, HALF), max_size=40))
def test_the_first_row_of_a_mark_stays(halves: list[tuple[bytes, bytes]]) -> None:
    marks, meant = Marks(), dict[bytes, int]()
    for row, (low, high) in enumerate(halves, start=1):
        assert marks.said(low + high) == meant.get(low + high, 0)
        assert marks.say(low + high, row) == meant.get(low + high, 0)
        meant.setdefault(low + high, row)
        assert marks.said(low + high) == meant[low + high]
    assert len(marks) == len(meant)


def test_it_grows_and_forgets_nothing() -> None:
    marks, count = Marks(), 5 * PLACES_MIN  # fills it twice
    assert all(marks.say(mark(number), number) == 0 for number in range(1, count))
    assert all(marks.said(mark(number)) == number for number in range(1, count))
    assert marks.said(mark(count)) == 0
    assert len(marks) == count - 1


def test_a_mark_takes_sixty_bytes_at_most() -> None:
    count = 40_000
    tracemalloc.start()
    try:
        marks = Marks()
        for number in range(1, count):
            marks.say(mark(number), number)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 60 * count
    assert peak < 90 * count, "the old table stands while the new one is filled"
