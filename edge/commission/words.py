"""What commissioning says, in the four languages."""

from collections.abc import Mapping
from typing import Final

from admission.reasons import Language
from edge.commission.labels import LABELS, NAMES
from edge.commission.sentences import SENTENCES
from edge.words import Sentence, sentence

LANGUAGES: Final = (Language.DE, Language.FR, Language.IT, Language.EN)
"""In the order of the tables."""


def say(code: str, args: Mapping[str, str], language: Language) -> Sentence:
    """Say a code."""
    said = SENTENCES[code][LANGUAGES.index(language)]
    return Sentence(said.cause.format_map(args), said.fix.format_map(args))


def sentence_of(code: str, args: Mapping[str, str | int], language: Language) -> Sentence:
    """Say a code of this page, or one that it has in common with the gate's own."""
    if code in SENTENCES:
        return say(code, {key: str(value) for key, value in args.items()}, language)
    return sentence(code, args, language)


def name(word: str, language: Language) -> str:
    """Name a role or a mode."""
    return NAMES[word][LANGUAGES.index(language)]


def label(key: str, language: Language) -> str:
    """Return a word of the page."""
    return LABELS[key][LANGUAGES.index(language)]
