"""Key events to codes: literal key codes of `input-event-codes.h`, fed whole, one by one and in random splits."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import SCAN_BYTES_MAX, Garbled, Medium, Scan
from drivers.framing.frame import Framed
from drivers.framing.keyboard import KeyboardFramer
from drivers.framing.keys import EV_KEY, EV_LED, EV_SYN, InputEvent
from drivers.framing.layouts import COMBINING, DE_CH, FR, LAYOUTS, US, Layout, Level
from drivers.sims.keyboard_scanner import KeyboardSetting, strokes

MS = 1_000_000
GAP_NS = 50 * MS
STEP_NS = MS


def events(keys: str, start_ns: int = 0) -> list[InputEvent]:
    """`+42` presses, `-42` releases, `*30` repeats, a bare number does press and release; each with its SYN_REPORT.

    `drop` is SYN_DROPPED, `led1` and `led0` switch the CapsLock light, `wait60` lets 60 ms pass.
    """
    out: list[InputEvent] = []
    at = start_ns
    for word in keys.split():
        at += STEP_NS
        if word == "drop":
            out.append(InputEvent(EV_SYN, 3, 0, at))
        elif word.startswith("led"):
            out.append(InputEvent(EV_LED, 1, int(word[3:]), at))
        elif word.startswith("wait"):
            at += int(word[4:]) * MS
        else:
            values = {"+": (1,), "-": (0,), "*": (2,)}.get(word[0], (1, 0))
            for value in values:
                out.append(InputEvent(EV_KEY, int(word.lstrip("+-*")), value, at))
                out.append(InputEvent(EV_SYN, 0, 0, at))
    return out


def feed(framer: KeyboardFramer, fed: list[InputEvent], cuts: list[int]) -> list[Framed]:
    """Feed in pieces cut at the given places, then let the line be quiet."""
    out: list[Framed] = []
    places = [0, *sorted(min(cut, len(fed)) for cut in cuts), len(fed)]
    for start, end in pairwise(places):
        if start < end:
            out += framer.feed(fed[start:end], fed[end - 1].at_ns)
    if framer.deadline_ns is not None:
        out += framer.quiet(framer.deadline_ns)
    return out


def texts(framed: list[Framed]) -> list[str]:
    return [one.data.decode() if isinstance(one, Scan) else f"!{one.why}" for one in framed]


VECTORS: list[tuple[str, Layout, str, list[str]]] = [
    ("abc and Enter", US, "30 48 46 28", ["abc"]),
    ("keypad Enter", US, "30 96", ["a"]),
    ("Tab", US, "30 15", ["a"]),
    ("no suffix, quiet gap", US, "30 48", ["ab"]),
    ("two codes, quiet gap between", US, "30 48 wait60 46", ["ab", "c"]),
    ("Enter twice", US, "30 28 28 15 48 28", ["a", "b"]),
    ("left shift", US, "+42 30 -42 30 28", ["Aa"]),
    ("right shift", US, "+54 2 -54 2 28", ["!1"]),
    ("both shifts, one let go", US, "+42 +54 30 -42 30 -54 30 28", ["AAa"]),
    ("TK1 in capitals", US, "+42 20 37 -42 2 +42 30 -42 3 28", ["TK1A2"]),
    ("all of the US number row", US, "41 2 3 4 5 6 7 8 9 10 11 12 13 28", ["`1234567890-="]),
    ("US number row with shift", US, "+42 41 2 3 4 5 6 7 8 9 10 11 12 13 -42 28", ["~!@#$%^&*()_+"]),
    ("US right of the letters", US, "26 27 43 39 40 51 52 53 86 57 28", ["[]\\;',./\\ "]),
    ("autorepeat", US, "+30 *30 *30 *30 -30 28", ["a"]),
    ("caps lock", US, "58 30 2 +42 30 2 -42 58 30 28", ["A1a!a"]),
    ("caps light switched by somebody", US, "led1 30 led0 30 28", ["Aa"]),
    ("keypad without Alt", US, "79 80 81 74 78 55 98 83 82 28", ["123-+*/.0"]),
    ("AIM identifier", US, "27 +42 16 -42 2 30 28", ["a"]),
    # Swiss German: Z and Y change places; the keys right of the letters are umlauts, with shift French letters.
    ("de-ch letters", DE_CH, "21 44 26 39 40 28", ["zyüöä"]),
    ("de-ch shifted", DE_CH, "+42 21 26 39 40 53 12 8 -42 28", ["Zèéà_?/"]),
    ("de-ch number row", DE_CH, "41 2 11 12 53 86 28", ["§10'-<"]),
    ("de-ch AltGr", DE_CH, "+100 3 4 18 26 27 40 43 86 -100 28", ["@#€[]{}\\"]),
    ("de-ch AltGr as Ctrl+Alt", DE_CH, "+29 +56 3 -56 -29 28", ["@"]),
    ("de-ch dead circumflex and blank", DE_CH, "30 13 57 30 28", ["a^a"]),
    ("de-ch dead circumflex and letter", DE_CH, "13 30 +42 13 -42 18 28", ["âè"]),
    ("de-ch dead tilde without a partner", DE_CH, "+100 13 -100 34 28", ["~g"]),
    ("de-ch dead diaeresis, then Enter", DE_CH, "27 28", ["¨"]),
    ("de-ch dead diaeresis, then nothing", DE_CH, "30 27", ["a¨"]),
    ("de-ch caps lock", DE_CH, "58 26 +42 26 -42 2 58 26 28", ["ÜÈ1ü"]),
    # French: digits with shift, A/Q and Z/W change places, M right of L.
    ("fr digits", FR, "+42 2 3 4 5 6 7 8 9 10 11 -42 28", ["1234567890"]),
    ("fr number row", FR, "2 3 4 5 6 7 8 9 10 11 12 13 28", ["&é\"'(-è_çà)="]),
    ("fr letters", FR, "16 17 30 44 39 50 51 52 53 28", ["azqwm,;:!"]),
    ("fr shifted", FR, "+42 16 39 50 51 52 53 12 13 -42 28", ["AM?./§°+"]),
    ("fr AltGr", FR, "+100 4 5 6 7 9 10 11 12 13 -100 28", ["#{[|\\^@]}"]),
    ("fr dead tilde and blank", FR, "+100 3 -100 57 28", ["~"]),
    ("fr dead circumflex", FR, "26 18 28", ["ê"]),
    # ALT mode: the layout plays no part. 065 = A; 0233 in Windows-1252 and 130 in code page 437 are both é.
    ("ALT codes", FR, "+56 82 77 76 -56 +56 82 72 76 -56 28", ["AU"]),
    ("ALT code page 1252", US, "+56 82 80 81 81 -56 28", ["é"]),
    ("ALT code page 437", US, "+56 79 81 82 -56 28", ["é"]),
    ("ALT 0129, a hole of 1252", US, "+56 82 79 80 73 -56 28", ["\x81"]),
    ("ALT with the right key", US, "+100 82 77 76 -100 28", ["A"]),
    ("ALT CR ends", US, "30 +56 82 79 81 -56 48 +56 82 79 82 -56", ["a", "b"]),
    ("ALT out of range", US, "30 +56 80 76 77 -56 48 28 46 28", ["!bad_alt_code", "c"]),
    ("ALT with too many digits", US, "+56 82 82 82 82 77 76 -56 28 46 28", ["!bad_alt_code", "c"]),
    ("ALT let go without digits", US, "+56 -56 30 28", ["a"]),
    # Hostile keys.
    ("Ctrl-Alt-Del", US, "+29 +56 111 -56 -29 30 28", ["a"]),
    ("Ctrl-Alt-Del on a layout with AltGr", DE_CH, "+29 +56 111 83 -56 -29 30 28", [".a"]),
    ("Alt-SysRq-B", US, "+56 +99 48 -99 -56 30 28", ["a"]),
    ("Alt-F4, Meta-R, F-keys, arrows, volume", US, "+56 62 -56 +125 19 -125 59 103 115 30 28", ["a"]),
    ("SysRq by ALT codes is text", US, "+56 82 73 72 -56 28", ["b"]),
    ("Ctrl+] is GS", US, "30 +29 27 -29 48 28", ["a\x1db"]),
    ("Ctrl+Shift+J is LF", US, "30 +29 +42 36 -42 -29 48 28", ["a", "b"]),
    ("Ctrl+digit is nothing", US, "+29 2 -29 30 28", ["a"]),
    ("STX is stripped", US, "+29 48 -29 30 28", ["a"]),
    # Lost events.
    ("dropped, until Enter", US, "30 48 drop 46 28 32 28", ["!events_lost", "d"]),
    ("dropped, until the gap", US, "30 drop 48 wait60 46 28", ["!events_lost", "c"]),
    ("dropped with nothing pending", US, "drop 30 28 48 28", ["!events_lost", "b"]),
    ("dropped twice", US, "30 drop 30 drop 30 28 48 28", ["!events_lost", "b"]),
    ("shift's release was dropped", US, "+42 30 drop 28 30 28", ["!events_lost", "a"]),
    ("shift's release was lost", US, "+42 30 28 wait60 30 28", ["A", "a"]),
]


@pytest.mark.parametrize(("layout", "keys", "wanted"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_vector_whole_and_one_by_one(layout: Layout, keys: str, wanted: list[str]) -> None:
    fed = events(keys)
    for cuts in ([], list(range(len(fed)))):
        assert texts(feed(KeyboardFramer(layout=layout, gap_ns=GAP_NS), fed, cuts)) == wanted


@settings(max_examples=150)
@given(st.sampled_from(VECTORS), st.lists(st.integers(0, 100), max_size=12))
def test_vector_in_random_splits(vector: tuple[str, Layout, str, list[str]], cuts: list[int]) -> None:
    _, layout, keys, wanted = vector
    assert texts(feed(KeyboardFramer(layout=layout, gap_ns=GAP_NS), events(keys), cuts)) == wanted


def test_scan_carries_identifier_and_times() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    fed = events("27 +42 16 -42 2 30 48 28")
    assert feed(framer, fed, []) == [Scan(b"ab", Medium.BARCODE, "Q1", 1 * MS, 8 * MS)]


def test_without_a_suffix_the_last_key_is_the_last_byte() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    assert feed(framer, events("30 48"), []) == [Scan(b"ab", Medium.BARCODE, "", 1 * MS, 2 * MS)]


def test_identifier_stays_where_it_is_not_to_be_stripped() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS, aim=False)
    assert texts(feed(framer, events("27 +42 16 -42 2 30 28"), [])) == ["]Q1a"]


def test_caps_light_on_at_the_start() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS, caps_lock=True)
    assert texts(feed(framer, events("30 28"), [])) == ["A"]


def test_quiet_does_nothing_before_the_gap_is_over() -> None:
    assert KeyboardFramer(layout=US, gap_ns=GAP_NS).deadline_ns is None
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    assert framer.feed(events("30"), MS) == []
    assert framer.deadline_ns == MS + GAP_NS
    assert framer.quiet(MS + GAP_NS - 1) == []
    assert texts(framer.quiet(MS + GAP_NS)) == ["a"]
    assert framer.quiet(MS + 2 * GAP_NS) == []


def test_hanging_key_does_not_hold_a_code_back() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    framer.feed(events("+30"), MS)
    framer.feed(events("*30 *30", start_ns=40 * MS), 42 * MS)
    assert texts(framer.quiet(MS + GAP_NS)) == ["a"]


def test_late_read_does_not_split_a_code() -> None:
    # The loop was busy for 300 ms; the keys themselves came 1 ms apart.
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    assert framer.feed(events("30 48"), 2 * MS) == []
    assert texts(framer.feed(events("46 28", start_ns=2 * MS), 302 * MS)) == ["abc"]


def test_late_read_does_not_join_two_codes() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    assert framer.feed(events("30 48"), 2 * MS) == []
    assert texts(framer.feed(events("46 28", start_ns=100 * MS), 302 * MS)) == ["ab", "c"]


@pytest.mark.parametrize("cut_each", [True, False])
def test_complete_text_waits_for_nothing(cut_each: bool) -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS, complete=lambda text: text == b"tk1ab")
    fed = events("20 37 2 30 48")
    out = [one for event in fed for one in framer.feed([event], event.at_ns)] if cut_each else []
    out = out or framer.feed(fed, 5 * MS)
    assert out == [Scan(b"tk1ab", Medium.BARCODE, "", 1 * MS, 5 * MS)]
    # Its terminator, and the next code, come later.
    assert framer.feed(events("28", start_ns=6 * MS), 7 * MS) == []
    assert texts(framer.feed(events("46 28", start_ns=8 * MS), 10 * MS)) == ["c"]


def test_complete_is_asked_without_the_identifier() -> None:
    asked: list[bytes] = []

    def complete(text: bytes) -> bool:
        asked.append(text)
        return text == b"a"

    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS, complete=complete)
    out = framer.feed(events("27 +42 16 -42 2 30"), 6 * MS)
    assert [(one.aim, one.data) for one in out if isinstance(one, Scan)] == [("Q1", b"a")]
    assert asked == [b"a"]


@pytest.mark.parametrize("whole", [True, False])
def test_too_long_is_told_once_and_the_next_code_is_read(whole: bool) -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    fed = events("30 " * (SCAN_BYTES_MAX + 900) + "28 48 28")
    out = feed(framer, fed, [] if whole else list(range(0, len(fed), 7)))
    assert texts(out) == ["!too_long", "b"]
    assert isinstance(out[0], Garbled)
    assert out[0].size == SCAN_BYTES_MAX + 1


def test_longest_code_fits() -> None:
    framer = KeyboardFramer(layout=US, gap_ns=GAP_NS)
    assert texts(feed(framer, events("30 " * SCAN_BYTES_MAX + "28"), [])) == ["a" * SCAN_BYTES_MAX]


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.booleans(),
    st.booleans(),
    st.text(
        st.sampled_from([chr(c) for c in range(0x20, 0x7F)] + list("éèàçùüöä§°£")), min_size=1, max_size=40
    ),
)
def test_what_a_scanner_types_is_read(name: str, alt_mode: bool, caps_lock: bool, text: str) -> None:
    setting = KeyboardSetting(layout=LAYOUTS[name], alt_mode=alt_mode, caps_lock=caps_lock)
    try:
        typed = list(strokes(text, setting))
    except ValueError:
        assert not text.isascii()  # ASCII can be typed on each of them
        return
    keys = " ".join(f"{'+' if value else '-'}{code}" for code, value in typed)
    framer = KeyboardFramer(layout=LAYOUTS[name], gap_ns=GAP_NS, caps_lock=caps_lock, aim=False)
    assert texts(feed(framer, events(keys), [])) == [text]


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.lists(
        st.tuples(
            st.integers(0, 255), st.integers(0, 767) | st.integers(0, 110), st.integers(-(2**31), 2**31 - 1)
        )
        | st.tuples(st.just(EV_KEY), st.integers(0, 127), st.integers(0, 2)),
        max_size=120,
    ),
)
def test_any_events_give_codes_or_garbled(name: str, raw: list[tuple[int, int, int]]) -> None:
    framer = KeyboardFramer(layout=LAYOUTS[name], gap_ns=GAP_NS)
    fed = [InputEvent(*one, at_ns=number * MS) for number, one in enumerate(raw)]
    for one in feed(framer, fed, list(range(0, 120, 5))):
        assert isinstance(one, Scan | Garbled)
        assert isinstance(one, Garbled) or (0 < len(one.data) <= SCAN_BYTES_MAX)
    # Whatever came before, the next code after a quiet line is read (but for the case of its letters).
    later = framer.feed(events("+56 82 77 76 -56 28", start_ns=10**12), 10**12 + 10 * MS)
    assert texts(later) == ["A"]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_layout_table_is_sound(layout: Layout) -> None:
    for level, code in layout.dead:
        assert layout.char(level, code) in COMBINING
    assert {layout.char(Level.PLAIN, code) for code in range(16, 53)} >= set("abcdefghijklmnopqrstuvwxyz")
