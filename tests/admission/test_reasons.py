"""What is said: every reason in every language, short enough, with no hole and no stray placeholder."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.reasons import (
    STEWARD_CHARS_MAX,
    VISITOR_CHARS_MAX,
    DisplayState,
    Language,
    Line,
    Reason,
    Saying,
    fill,
    say,
    say_line,
)
from admission.records import Direction, Outcome

REASONS = [reason for reason in Reason if reason is not Reason.NONE]
GATE, TIME, COUNT = "Tor Nord 12", "23:59", 120
NUMBERS = {
    "MALFORMED": 1,
    "NOT_READY": 2,
    "FORGED": 3,
    "UNKNOWN_ISSUER": 4,
    "UNKNOWN": 5,
    "BANNED_TAG": 6,
    "INACTIVE_TAG": 7,
    "CANCELLED": 8,
    "REPLACED": 9,
    "BANNED": 10,
    "REDEEMED": 11,
    "UNPAID": 12,
    "UNAPPROVED": 13,
    "WRONG_EVENT": 14,
    "WRONG_DATE": 15,
    "TOO_EARLY": 16,
    "EXPIRED": 17,
    "WRONG_ZONE": 18,
    "ALREADY_USED": 19,
    "ALREADY_INSIDE": 20,
    "LIMIT_REACHED": 21,
    "FULL": 22,
    "OFFLINE": 23,
    "AMBIGUOUS": 24,
    "COPIED_TAG": 25,
    "REPLAYED_TAP": 26,
    "TAG_TAKEN": 27,
    "RANDOM_TAG": 28,
    "NOT_GENUINE": 29,
    "UNLISTED": 40,
    "AFTER_RESTART": 41,
    "CHECK_ID": 42,
    "CHECK_REDUCED_FARE": 43,
    "CHECK_NOTE": 44,
    "BUSY": 45,
    "EXIT_PENDING": 46,
    "SCANNER_LAYOUT": 47,
    "ASKING": 48,
}


def outcome_of(reason: Reason) -> Outcome:
    if reason in (Reason.BUSY, Reason.EXIT_PENDING, Reason.ASKING):
        return Outcome.WAIT
    return Outcome.CHECK if Reason.UNLISTED <= reason <= Reason.CHECK_NOTE else Outcome.DENY


def test_numbers_in_records_never_change() -> None:
    assert {reason.name: reason.value for reason in REASONS} == NUMBERS


def spoken(gate: str, time: str, count: int) -> list[tuple[str, Language, Saying]]:
    """Return everything that can be said with these values."""
    found = [
        (reason.name, language, say(outcome_of(reason), reason, language, gate=gate, time=time))
        for reason, language in product(REASONS, Language)
    ]
    found += [
        (line.name, language, say_line(line, language, count=count))
        for line, language in product(Line, Language)
    ]
    return found


@pytest.mark.parametrize("gate", ["", GATE])
@pytest.mark.parametrize("time", ["", TIME])
@pytest.mark.parametrize("count", [0, COUNT])
def test_everything_is_said_shortly_and_whole(gate: str, time: str, count: int) -> None:
    everything = spoken(gate, time, count)
    assert len(everything) == (len(REASONS) + len(Line)) * len(Language)
    for name, language, saying in everything:
        for text, most in ((saying.visitor, VISITOR_CHARS_MAX), (saying.steward, STEWARD_CHARS_MAX)):
            where = f"{name} {language.value}: {text!r}"
            assert 0 < len(text) <= most, f"{where} has {len(text)} characters"
            assert not re.search(r"[{}\[\]]", text), where
            assert text == " ".join(text.split()), f"{where}: white space"
            assert not re.search(r"\(\)|[:,] *\.|: *$|,,", text), f"{where}: a value left a hole"
            assert "ß" not in text, f"{where}: Swiss spelling has ss"


def test_each_language_says_it_in_its_own_words() -> None:
    for reason in REASONS:
        hints = {say(outcome_of(reason), reason, language).steward for language in Language}
        lines = {say(outcome_of(reason), reason, language).visitor for language in Language}
        assert len(hints) == len(lines) == len(Language), reason.name


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(
    ("reason", "gate", "time"),
    [
        (Reason.WRONG_ZONE, True, False),
        (Reason.TOO_EARLY, False, True),
        (Reason.EXPIRED, False, True),
        (Reason.ALREADY_USED, True, True),
        (Reason.ALREADY_INSIDE, True, True),
        (Reason.LIMIT_REACHED, True, True),
    ],
)
def test_what_is_known_is_said_in_every_language(
    reason: Reason, language: Language, gate: bool, time: bool
) -> None:
    saying = say(Outcome.DENY, reason, language, gate=GATE, time=TIME)
    assert (GATE in saying.steward, TIME in saying.steward) == (gate, time)


@pytest.mark.parametrize("language", list(Language))
def test_the_visitor_is_told_where_and_when(language: Language) -> None:
    assert GATE in say(Outcome.DENY, Reason.WRONG_ZONE, language, gate=GATE).visitor
    assert TIME in say(Outcome.DENY, Reason.TOO_EARLY, language, time=TIME).visitor
    assert TIME in say(Outcome.DENY, Reason.ALREADY_USED, language, time=TIME).visitor


@pytest.mark.parametrize("language", list(Language))
def test_guessing_codes_teaches_nothing(language: Language) -> None:
    lines = {
        say(Outcome.DENY, reason, language).visitor
        for reason in (Reason.FORGED, Reason.COPIED_TAG, Reason.UNKNOWN_ISSUER, Reason.UNKNOWN)
    }
    assert len(lines) == 1


DISPLAYS: dict[Reason, DisplayState] = {
    Reason.NOT_READY: DisplayState.NOT_READY,
    Reason.SCANNER_LAYOUT: DisplayState.NOT_READY,
    Reason.REDEEMED: DisplayState.ALREADY_USED,
    Reason.ALREADY_USED: DisplayState.ALREADY_USED,
    Reason.ALREADY_INSIDE: DisplayState.ALREADY_USED,
    Reason.LIMIT_REACHED: DisplayState.ALREADY_USED,
    Reason.BUSY: DisplayState.WAIT,
    Reason.EXIT_PENDING: DisplayState.WAIT,
    Reason.ASKING: DisplayState.WAIT,
    **{reason: DisplayState.CHECK for reason in REASONS if outcome_of(reason) is Outcome.CHECK},
}


@pytest.mark.parametrize("reason", REASONS)
def test_display(reason: Reason) -> None:
    expected = DISPLAYS.get(reason, DisplayState.REFUSED)
    assert say(outcome_of(reason), reason, Language.EN).display is expected


def test_a_grant() -> None:
    assert say(Outcome.GRANT, Reason.NONE, Language.DE) == Saying(
        DisplayState.ADMIT, "Bitte eintreten", "Gültig."
    )
    leaving = say(Outcome.GRANT, Reason.NONE, Language.IT, direction=Direction.EXIT)
    assert leaving == Saying(DisplayState.ADMIT, "Arrivederci", "Uscita libera.")


@pytest.mark.parametrize(
    ("outcome", "display"),
    [
        (Outcome.CHECK, DisplayState.CHECK),
        (Outcome.WAIT, DisplayState.WAIT),
        (Outcome.DENY, DisplayState.NOT_READY),
        (Outcome.NONE, DisplayState.NOT_READY),
    ],
)
def test_an_outcome_without_a_reason_is_still_said_and_admits_nobody(
    outcome: Outcome, display: DisplayState
) -> None:
    saying = say(outcome, Reason.NONE, Language.FR)
    assert saying.display is display
    assert saying.visitor


def test_literal_sentences() -> None:
    assert say(Outcome.DENY, Reason.WRONG_ZONE, Language.DE, gate="Tor 3") == Saying(
        DisplayState.REFUSED,
        "Falscher Eingang. Zu: Tor 3",
        "Gilt nicht für diesen Bereich. Weg zeigen zu: Tor 3.",
    )
    assert say(Outcome.DENY, Reason.WRONG_ZONE, Language.DE).visitor == "Falscher Eingang"
    assert say(Outcome.DENY, Reason.ALREADY_USED, Language.EN, time="18:05").steward == (
        "Already used at 18:05. A copy? Look at ID and receipt."
    )
    assert say_line(Line.GROUP, Language.FR, count=4).visitor == "Groupe: entrez un par un (4)"


@given(st.text(), st.text())
def test_a_value_is_never_read_as_text(gate: str, time: str) -> None:
    expected = "a" + (f" {gate}" if gate else "") + (f" {time}" if time else "") + " b"
    assert fill("a[ {gate}][ {time}] b", gate=gate, time=time) == expected
