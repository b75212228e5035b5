"""What pages load: third-party files as published, told to browsers by their hashes; words in every language."""

import hashlib
from base64 import b64encode
from pathlib import Path

import pytest

from sync.web.pages import Form, local_path
from sync.web.rendering import HERE, Templates
from sync.web.words import TABLES, Language, Words, language_of

VENDOR = HERE / "static" / "vendor"
LINES = [line.split() for line in (VENDOR / "VENDORED.txt").read_text().splitlines()[1:]]


def test_every_vendored_file_is_listed_with_its_hash_and_licence() -> None:
    assert {line[0] for line in LINES} == {
        path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}
    }
    for name, _, _, listed in LINES:
        digest = b64encode(hashlib.sha384((VENDOR / name).read_bytes()).digest()).decode()
        assert digest == listed, name
        assert (VENDOR / f"{name.split('.')[0]}.LICENSE").read_text().strip()


@pytest.mark.parametrize("name", ["htmx.min.js", "uplot.min.js", "board.js", "site.js"])
def test_a_script_tag_holds_the_hash_of_what_is_served(name: str) -> None:
    templates = Templates()
    file = templates.file(name)
    assert file is not None
    tag = str(templates._script(name))
    assert f'integrity="sha384-{b64encode(hashlib.sha384(file.body).digest()).decode()}"' in tag
    assert f'src="/static/{file.version}/{name}"' in tag


def test_no_template_has_a_script_style_or_handler_of_its_own() -> None:
    for path in Path(HERE / "templates").rglob("*.html"):
        text = path.read_text()
        for banned in ("<script", "<style", " style=", " onclick", " onload", "javascript:", "|safe"):
            assert banned not in text, f"{path}: {banned}"


@pytest.mark.parametrize("language", list(Language))
def test_every_language_says_the_same_things(language: Language) -> None:
    assert TABLES[language].keys() == TABLES[Language.EN].keys()
    for key, text in TABLES[language].items():
        names = {part.partition("}")[0] for part in text.split("{")[1:]}
        english = {part.partition("}")[0] for part in TABLES[Language.EN][key].split("{")[1:]}
        assert names == english, key


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("de-CH,de;q=0.9,en;q=0.8", "de"), ("es, fr;q=0.5, en;q=0.7", "en"), ("", "en"), ("it;q=x,fr", "fr")],
)
def test_the_language_that_a_browser_asks_for(accepted: str, language: str) -> None:
    assert language_of(accepted).value == language
    assert Words(language_of(accepted))("sign_out")


@pytest.mark.parametrize(
    ("raw", "path"),
    [("/events/1?x=2", "/events/1?x=2"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil.example", "/"),
     ("/a\nSet-Cookie: x", "/"), ("", "/")],
)  # fmt: skip
def test_only_paths_of_this_site_are_gone_back_to(raw: str, path: str) -> None:
    assert local_path(raw) == path


def test_a_form_gives_numbers_within_bounds_only() -> None:
    form = Form([("a", " 7 "), ("b", "x"), ("a", "8")])
    assert (form.number("a", 1, 9), form.number("a", 8, 9), form.number("b", 0, 9)) == (7, None, None)
    assert form.all("a") == ["7", "8"]
    assert form.raw("a") == "8"
