"""Every code used in `edge` has its words in both languages, and finds the values that they name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.reasons import Language
from edge.french_italian import FRENCH_ITALIAN
from edge.words import WORDS, length_of, placeholders, sentence

EDGE = Path(__file__).resolve().parents[2] / "edge"
CODE = re.compile(
    r"(device|others|peers|modem|reader|relay|sensor|list|log|uplink|clock|lane|front|page|command|alert|go|timeline)\.[a-z_]+",
    re.ASCII,
)
SHOWN_BY = frozenset(
    {"put", "device", "Tile", "Done", "DeviceState", "UplinkSaid", "ModemSaid", "Refused", "_refuse", "_say"}
)
"""Calls whose codes reach the page. Codes that only stand in a log line are for a search, not for reading."""


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted(EDGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            if isinstance(node, ast.Call):
                called = node.func
                name = getattr(called, "attr", None) or getattr(called, "id", "")
                if name in SHOWN_BY:
                    yield path, node


def codes_of(call: ast.Call) -> list[str]:
    """Codes among a call's direct arguments; those of calls inside it are found on their own."""
    given_ = [*call.args, *(keyword.value for keyword in call.keywords)]
    flat = [
        part for one in given_ for part in ((one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,))
    ]
    texts = [one.value for one in flat if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return [text for text in texts if CODE.fullmatch(text)]


def tables() -> set[str]:
    """Codes that stand in tuples and tables, from where a tile takes them."""
    found = set()
    for path in sorted(EDGE.glob("*.py")):
        if path.name == "words.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2:
                found |= {
                    str(one.value)
                    for one in node.elts
                    if isinstance(one, ast.Constant) and CODE.fullmatch(str(one.value))
                }
    return found


def test_every_code_that_reaches_the_page_has_words() -> None:
    used = {code: path.name for path, call in calls() for code in codes_of(call)}
    assert len(used) > 15  # the search itself works
    used |= dict.fromkeys(tables(), "a table")
    assert {code: where for code, where in used.items() if code not in WORDS} == {}


def test_what_words_need_is_given() -> None:
    """Where a call gives its arguments as a literal, every name that a sentence cannot do without is in it."""
    lacking = []
    for path, call in calls():
        given_ = {
            str(key.value)
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
            if isinstance(argument, ast.Dict)
            for key in argument.keys
            if isinstance(key, ast.Constant)
        }
        lacking += [
            f"{path.name}:{call.lineno} {code}: {name}"
            for code in codes_of(call)
            if code in WORDS
            for name in placeholders(code)[0] - given_
        ]
    assert lacking == []


@pytest.mark.parametrize("code", sorted(WORDS))
def test_a_row_is_whole(code: str) -> None:
    row = WORDS[code]
    assert CODE.fullmatch(code)
    for one in row:
        assert one.cause
        assert "ß" not in one.cause + one.fix
    assert bool(row.de.fix) == bool(row.en.fix)
    names = [set(re.findall(r"\{(\w+)\}", one.cause + one.fix)) for one in row]
    assert names[0] == names[1]


@pytest.mark.parametrize("code", sorted(FRENCH_ITALIAN))
def test_nothing_is_lost_in_french_and_italian(code: str) -> None:
    own = WORDS[code].en
    texts = FRENCH_ITALIAN[code]
    for cause, fix in (texts[:2], texts[2:]):
        assert cause
        assert bool(fix) == bool(own.fix)
        for said, english in ((cause, own.cause), (fix, own.fix)):
            assert sorted(re.findall(r"{\w+}", said)) == sorted(re.findall(r"{\w+}", english))
            assert said.count("[") == english.count("[") == said.count("]")
            assert re.findall("`[^`]+`", said) == re.findall("`[^`]+`", english)


def test_a_steward_reads_no_english_in_french_and_italian() -> None:
    read = {
        code
        for code in WORDS
        if code.partition(".")[0] in {"alert", "command", "front", "go", "lane", "page", "timeline"}
    }
    assert read - FRENCH_ITALIAN.keys() == set()


@given(
    st.sampled_from(sorted(WORDS)),
    st.dictionaries(
        st.sampled_from(["what", "hint", "why", "rows", "version", "queued", "since_s", "kind"]),
        st.integers() | st.text(),
    ),
    st.sampled_from(list(Language)),
)
def test_nothing_is_ever_said_blank_or_with_a_gap(
    code: str, args: dict[str, str | int], language: Language
) -> None:
    said = sentence(code, args, language)
    assert said.cause
    if not any(isinstance(value, str) for value in args.values()):
        assert not re.search(r"[{}\[\]]", said.cause + said.fix)


@pytest.mark.parametrize(
    ("code", "args", "language", "cause"),
    [
        ("device.gone", {}, Language.EN, "Not found or unplugged"),
        ("device.gone", {"what": "/dev/x", "hint": ""}, Language.EN, "Not found or unplugged: /dev/x"),
        ("device.gone", {"what": "{hint} [x]", "hint": "no"}, Language.DE, "Nicht gefunden oder ausgesteckt: {hint} [x]"),
        ("list.ok", {"version": 3, "rows": 100_000}, Language.EN, "Up to date: version 3, 100,000 entries"),
        ("list.ok", {"version": 3, "rows": 100_000}, Language.DE, "Aktuell: Version 3, 100’000 Einträge"),
        ("page.pin_locked", {"wait_s": 90}, Language.IT, "Troppi PIN errati; attendere: 90 s"),
        ("modem.searching", {}, Language.IT, "Searching for a network"),
        ("no.such", {}, Language.DE, "no.such"),
        (
            "uplink.cut_off",
            {"cut_s": 840, "scans": 1208, "near_names": "North\nEast", "silent_names": "West", "silent_s": 180},
            Language.EN,
            "Cut off from the centre for 14 min, 1,208 scans waiting, sharing with North and East, West not heard for 3 min",
        ),
        (
            "uplink.cut_off",
            {"cut_s": 30, "scan": 1, "near_names": "Nord", "unheard_names": "Ost\nSüd\nWest\nVIP\nZelt"},
            Language.DE,
            "Von der Zentrale getrennt seit 30 s, 1 Scan wartet, im Austausch mit Nord, Ost, Süd, West und 2 weitere noch nie gehört",
        ),
        ("uplink.cut_off", {"cut_s": 10, "scans": 0}, Language.EN, "Cut off from the centre for 10 s, 0 scans waiting"),
        ("uplink.ok", {"queued": 0, "silent_names": "A\nB", "silent_s": 7200}, Language.EN, "Connected; 0 to send; A and B not heard for 2 h"),
    ],
)  # fmt: skip
def test_sentences(code: str, args: dict[str, str | int], language: Language, cause: str) -> None:
    assert sentence(code, args, language).cause == cause


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_lengths(seconds: int, text: str) -> None:
    assert length_of(seconds, Language.EN) == text
