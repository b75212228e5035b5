"""Each language's words are its own, whole, and fit where they stand."""

import re
from pathlib import Path
from string import Formatter

import pytest

from sync.web.rendering import HERE
from sync.web.words import TABLES, Language, Words

ENGLISH = TABLES[Language.EN]
OTHERS = [language for language in Language if language is not Language.EN]
ROOT = HERE.parents[1]

INTERNATIONAL = {"tag_uid", "seconds"}
"""A chip's UID and the SI second, which no language has another name for."""
THE_SAME = {
    Language.DE: INTERNATIONAL
    | {"code", "show_code", "ticket", "tickets", "kind_ticket", "kind_tag", "tags", "zone", "pay_online"}
    | {"pass_n", "total", "software", "box", "shop", "export"},
    Language.FR: INTERNATIONAL
    | {"email", "field_email", "programme", "session", "sessions", "active", "inactive", "code", "pay_free"}
    | {"total"},
    Language.IT: INTERNATIONAL | {"email", "field_email", "password", "box"},
}
"""Words that are truly spelt as in English; everything else that equals English was not translated."""

BADGES = re.compile(
    "(standing|order|state|job)_.+|gate_(ok|warn|bad|off)|lane_(closed|controlled|free_.+|out_.+|emergency|rehearsal)|"
    "role_(viewer|steward|box_office|organizer|owner)"
)
BADGE_CHARS_MAX = 24
"""A badge stands in one line, beside a name, on a phone of 320 px."""
TABS = ("nav_events", "nav_people", "nav_gates", "programme", "lists", "board")
TAB_CHARS_MAX = 18
"""Three of them side by side on a phone."""


def room(key: str) -> int:
    """Return how many characters a key's words may have: English or German, whichever is longer, and half as much."""
    return max(len(ENGLISH[key]), len(TABLES[Language.DE][key])) * 3 // 2 + 8


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_in_english(language: Language) -> None:
    table = TABLES[language]
    assert {key for key, text in table.items() if text == ENGLISH.get(key)} == THE_SAME[language]


@pytest.mark.parametrize("language", list(Language))
def test_no_word_is_missing_and_each_takes_the_same_values(language: Language) -> None:
    table = TABLES[language]
    assert list(table) == list(ENGLISH)  # the same order, so that a translator sees them side by side
    for key, text in table.items():
        assert text.strip() == text != "", key
        assert text.isprintable(), key
        assert fields(text) == fields(ENGLISH[key]), key
        assert text.endswith(".") == ENGLISH[key].endswith("."), key
        assert text.endswith("?") == ENGLISH[key].endswith("?"), key
        if language is not Language.DE and text[0].isalpha():  # German nouns are capitals everywhere
            assert text[0].isupper() == ENGLISH[key][0].isupper(), key
        values = {name: f"<{name}>" for name in fields(text)}
        said = Words(language)(key, **values)
        assert all(value in said for value in values.values()), key
        assert not re.search(r"[{}ß]", said), key


@pytest.mark.parametrize("language", OTHERS)
def test_words_fit(language: Language) -> None:
    table = TABLES[language]
    assert {key: text for key, text in table.items() if len(text) > room(key)} == {}
    badges = {key: text for key, text in table.items() if BADGES.fullmatch(key)}
    assert len(badges) > 25
    assert {key: text for key, text in badges.items() if len(text) > BADGE_CHARS_MAX} == {}
    assert {key: table[key] for key in TABS if len(table[key]) > TAB_CHARS_MAX} == {}


@pytest.mark.parametrize(
    ("key", "french", "italian"),
    [
        ("standing_valid", "Valable", "Valido"),
        ("standing_cancelled", "Annulé", "Annullato"),
        ("standing_replaced", "Remplacé", "Sostituito"),
        ("standing_redeemed", "validé", "convalidato"),
        ("role_box_office", "guichet", "cassa"),
        ("zone", "Secteur", "Settore"),
        ("ticket", "Billet", "Biglietto"),
        ("event", "événement", "evento"),
        ("lane", "passage", "passaggio"),
        ("kind_tag", "puce", "chip"),
        ("box", "boîtier", "box"),
        ("flag_unlisted", "dans la liste", "nella lista"),
        ("lane_free_exit", "Sortie libre", "Uscita libera"),
    ],
)
def test_people_read_the_same_words_as_at_the_gate(key: str, french: str, italian: str) -> None:
    said_at_gates = (ROOT / "admission" / "reasons.py").read_text().lower()
    for language, word in ((Language.FR, french), (Language.IT, italian)):
        assert word.lower() in TABLES[language][key].lower()
        assert word.lower() in said_at_gates, word


def named() -> dict[str, str]:
    """Words that templates and pages ask for by a literal key, with where."""
    found: dict[str, str] = {}
    for path in Path(HERE / "templates").rglob("*.html"):
        for one in re.finditer(r"\bt\(\s*[\"']([a-z_0-9]+)[\"']\s*[,)]", path.read_text()):
            found[one[1]] = path.name
    for path in (ROOT / "sync").rglob("pages.py"):
        for one in re.finditer(r"\bwords\(\s*\"([a-z_0-9]+)\"\s*[,)]", path.read_text()):
            found[one[1]] = path.name
    return found


def test_every_word_that_a_page_asks_for_is_there() -> None:
    asked = named()
    assert len(asked) > 150  # the search itself works
    assert {key: where for key, where in asked.items() if key not in ENGLISH} == {}
