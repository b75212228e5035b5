"""The PIN: made, hashed, locked with growing waits that outlive the process; sessions that end."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.front.pin import (
    FILE,
    SENDERS_MAX,
    TRIES_FILE,
    TRIES_FREE,
    TRIES_TOGETHER,
    TRY_AGAIN_S,
    WAIT_FIRST_S,
    WAIT_MAX_S,
    Locked,
    NoPin,
    PinLock,
    Right,
    Wrong,
    first_pin,
    new_pin,
)
from edge.front.sessions import AGE_S, IDLE_S, SESSIONS_MAX, Sessions

HERE = "192.0.2.1"


class Time:
    def __init__(self) -> None:
        self.wall_s = 1_795_000_000.0
        self.mono_s = 100.0

    def pass_s(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds

    def lock(self, data: Path) -> PinLock:
        return PinLock(data, lambda: self.wall_s, lambda: self.mono_s)


def wrong(pin: str) -> str:
    return f"{(int(pin) + 1) % 10**8:08d}"


def fail(lock: PinLock, pin: str, times: int) -> None:
    for _ in range(times):
        assert isinstance(lock.check(wrong(pin), HERE), Wrong)


def test_a_pin_has_eight_digits_and_is_stored_only_as_its_hash(tmp_path: Path) -> None:
    pin = new_pin(tmp_path)
    assert len(pin) == 8
    assert pin.isdigit()
    assert pin.encode() not in (tmp_path / FILE).read_bytes()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_the_first_pin_is_made_once(tmp_path: Path) -> None:
    assert first_pin(tmp_path) is not None
    before = (tmp_path / FILE).read_bytes()
    assert first_pin(tmp_path) is None
    assert (tmp_path / FILE).read_bytes() == before


def test_without_a_pin_nothing_opens(tmp_path: Path) -> None:
    lock = Time().lock(tmp_path)
    assert lock.check("00000000", HERE) == NoPin()
    assert lock.mark() == ""


def test_the_pin_opens_also_written_in_groups(tmp_path: Path) -> None:
    pin = new_pin(tmp_path)
    lock = Time().lock(tmp_path)
    assert lock.check(f" {pin[:4]} {pin[4:]}\n", HERE) == Right(lock.mark())


@pytest.mark.parametrize("tried", ["", "0", "1" * 64, "½½½½½½½½", "\x00" * 8, "１２３４５６７８"])
def test_nonsense_is_wrong_and_nothing_else(tmp_path: Path, tried: str) -> None:
    new_pin(tmp_path)
    assert Time().lock(tmp_path).check(tried, HERE) == Wrong(0.0)


def test_five_wrong_pins_lock_and_then_not_even_the_right_one_is_looked_at(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    fail(lock, pin, TRIES_FREE - 1)
    assert lock.check(wrong(pin), HERE) == Wrong(WAIT_FIRST_S)
    assert lock.check(pin, HERE) == Locked(WAIT_FIRST_S)
    time.pass_s(WAIT_FIRST_S)
    assert isinstance(lock.check(pin, HERE), Right)


def test_the_wait_doubles_up_to_an_hour(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    fail(lock, pin, TRIES_FREE - 1)
    waits = []
    for _ in range(9):
        answer = lock.check(wrong(pin), HERE)
        assert isinstance(answer, Wrong)
        waits.append(answer.wait_s)
        time.pass_s(answer.wait_s)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, WAIT_MAX_S, WAIT_MAX_S]


def test_a_right_pin_forgives_what_was_wrong_before(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    fail(lock, pin, TRIES_FREE - 1)
    assert isinstance(lock.check(pin, HERE), Right)
    assert not (tmp_path / TRIES_FILE).exists()
    fail(time.lock(tmp_path), pin, TRIES_FREE - 1)


def test_the_lock_outlives_the_process(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    fail(time.lock(tmp_path), pin, TRIES_FREE)
    time.pass_s(10)
    assert time.lock(tmp_path).check(pin, HERE) == Locked(WAIT_FIRST_S - 10)


def test_a_restart_between_tries_gives_no_free_ones(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    for _ in range(TRIES_FREE):
        fail(time.lock(tmp_path), pin, 1)
    assert isinstance(time.lock(tmp_path).check(pin, HERE), Locked)


def test_a_clock_set_forward_does_not_shorten_the_wait(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    fail(lock, pin, TRIES_FREE)
    time.wall_s += 10 * 365 * 86_400
    assert lock.check(pin, HERE) == Locked(WAIT_FIRST_S)


def test_a_box_that_wakes_up_in_1970_waits_no_longer_than_the_tries_ask_for(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    fail(time.lock(tmp_path), pin, TRIES_FREE)
    time.wall_s = 0.0
    lock = time.lock(tmp_path)
    assert lock.check(pin, HERE) == Locked(WAIT_FIRST_S)
    time.pass_s(WAIT_FIRST_S)
    assert isinstance(lock.check(pin, HERE), Right)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"failures":0}', b"\xff" * 5000])
def test_damaged_tries_begin_locked(tmp_path: Path, content: bytes) -> None:
    time, pin = Time(), new_pin(tmp_path)
    (tmp_path / TRIES_FILE).write_bytes(content)
    assert time.lock(tmp_path).check(pin, HERE) == Locked(WAIT_FIRST_S)


def test_a_damaged_pin_file_opens_for_nobody(tmp_path: Path) -> None:
    pin = new_pin(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:20])
    assert Time().lock(tmp_path).check(pin, HERE) == NoPin()


def test_a_new_pin_replaces_the_old_one_at_once_and_lifts_the_lock(tmp_path: Path) -> None:
    time, old = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    before = lock.mark()
    fail(lock, old, TRIES_FREE)
    new = new_pin(tmp_path)
    assert isinstance(lock.check(new, HERE), Right)
    assert lock.mark() != before
    if new != old:
        assert isinstance(lock.check(old, HERE), Wrong)


def test_where_the_disk_takes_nothing_tries_still_count(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    (tmp_path / TRIES_FILE).with_suffix(".new").mkdir()
    fail(lock, pin, TRIES_FREE)
    assert isinstance(lock.check(pin, HERE), Locked)


def test_somebody_elses_wrong_pins_lock_nobody_out(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    for _ in range(TRIES_FREE):
        assert isinstance(lock.check(wrong(pin), "192.0.2.66"), Wrong)
    assert lock.check(pin, "192.0.2.66") == Locked(WAIT_FIRST_S)
    for one in (lock, time.lock(tmp_path)):
        assert isinstance(one.check(pin, HERE), Right)
        assert isinstance(one.check(pin, "192.0.2.66"), Locked)


def test_one_sender_never_keeps_others_out_however_long_it_tries(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    for _ in range(TRIES_TOGETHER + 10):
        answer = lock.check(wrong(pin), "192.0.2.66")
        assert isinstance(answer, Wrong)
        time.pass_s(answer.wait_s)
        assert isinstance(lock.check(pin, HERE), Right)


def test_any_number_of_senders_gets_fifty_tries_and_one_a_minute(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    for number in range(TRIES_TOGETHER):
        assert lock.check(wrong(pin), f"198.51.100.{number}") == Wrong(0)
    for one in (lock, time.lock(tmp_path)):
        assert one.check(pin, HERE) == Locked(TRY_AGAIN_S)
    time.pass_s(TRY_AGAIN_S)
    assert lock.check(wrong(pin), "198.51.100.200") == Wrong(0)
    assert lock.check(pin, HERE) == Locked(TRY_AGAIN_S)
    time.pass_s(TRY_AGAIN_S)
    assert isinstance(lock.check(pin, HERE), Right)


def test_the_list_of_senders_is_bounded_in_memory_and_on_disk(tmp_path: Path) -> None:
    time, pin = Time(), new_pin(tmp_path)
    lock = time.lock(tmp_path)
    for number in range(2 * SENDERS_MAX):
        lock.check(wrong(pin), f"2001:db8:ffff:{number:x}::/64")
        time.pass_s(TRY_AGAIN_S)
    assert (tmp_path / TRIES_FILE).read_bytes().count(b"/64") == SENDERS_MAX
    again = time.lock(tmp_path)
    assert again.check(wrong(pin), f"2001:db8:ffff:{2 * SENDERS_MAX - 1:x}::/64") == Wrong(0)
    for _ in range(TRIES_FREE - 3):
        again.check(wrong(pin), f"2001:db8:ffff:{2 * SENDERS_MAX - 1:x}::/64")
    last = again.check(wrong(pin), f"2001:db8:ffff:{2 * SENDERS_MAX - 1:x}::/64")
    assert last == Wrong(WAIT_FIRST_S)


class Marks:
    def __init__(self) -> None:
        self.mark = "a"
        self.now_s = 0.0

    def sessions(self) -> Sessions:
        return Sessions(lambda: self.now_s, lambda: self.mark)


def test_a_session_lasts_while_it_is_used_and_half_an_hour_more() -> None:
    marks = Marks()
    sessions = marks.sessions()
    token = sessions.open("a")
    assert len(token) >= 43  # 256 bits in base64
    for _ in range(5):
        marks.now_s += IDLE_S - 1
        assert sessions.holds(token, touch=True)
    marks.now_s += IDLE_S
    assert not sessions.holds(token, touch=True)


def test_watching_does_not_keep_a_session_open() -> None:
    marks = Marks()
    sessions = marks.sessions()
    token = sessions.open("a")
    marks.now_s = IDLE_S - 1
    assert sessions.holds(token, touch=False)
    marks.now_s = IDLE_S
    assert not sessions.holds(token, touch=False)


def test_a_session_ends_with_the_day_with_the_pin_and_by_hand() -> None:
    marks = Marks()
    sessions = marks.sessions()
    token = sessions.open("a")
    while marks.now_s < AGE_S - 60:
        marks.now_s += 60
        assert sessions.holds(token, touch=True)
    marks.now_s += 60
    assert not sessions.holds(token, touch=True)
    token = sessions.open("a")
    marks.mark = "b"
    assert not sessions.holds(token, touch=True)
    token = sessions.open("b")
    sessions.close(token)
    assert not sessions.holds(token, touch=True)


def test_the_session_idle_for_longest_gives_way() -> None:
    marks = Marks()
    sessions = marks.sessions()
    tokens = []
    for at in range(SESSIONS_MAX + 1):
        marks.now_s = at
        tokens.append(sessions.open("a"))
    assert [sessions.holds(one, touch=False) for one in tokens] == [False] + [True] * SESSIONS_MAX


@settings(max_examples=50)
@given(st.text())
def test_no_made_up_cookie_is_a_session(token: str) -> None:
    sessions = Marks().sessions()
    sessions.open("a")
    assert not sessions.holds(token.encode("utf-8", "replace").decode(), touch=True)
