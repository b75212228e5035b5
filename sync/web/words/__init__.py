"""What the pages say: one table per language, the same keys in each (a test holds that)."""

from typing import Final

from admission.reasons import Language
from sync.web.words.de import WORDS as DE
from sync.web.words.en import WORDS as EN
from sync.web.words.fr import WORDS as FR
from sync.web.words.it import WORDS as IT

__all__ = ["LANGUAGES", "NAMES", "TABLES", "Language", "Words", "language_of"]

LANGUAGES: Final = tuple(Language)
NAMES: Final = {
    Language.DE: "Deutsch",
    Language.FR: "Français",
    Language.IT: "Italiano",
    Language.EN: "English",
}
TABLES: Final = {Language.DE: DE, Language.FR: FR, Language.IT: IT, Language.EN: EN}


class Words:
    """The words of one language: `words("key", name=…)`. KeyError for a key that is not in the table."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._table = TABLES[language]

    def __call__(self, key: str, **values: object) -> str:
        """Return the words of a key, with values filled in."""
        text = self._table[key]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there are words for this key."""
        return key in self._table


def language_of(accepted: str) -> Language:
    """Return the first language of an Accept-Language header that we speak; English where there is none."""
    wished = []
    for place, one in enumerate(accepted.split(",")[:20]):
        tag, _, weight = one.strip().partition(";q=")
        try:
            wished.append((-float(weight or 1), place, tag.strip().lower()[:2]))
        except ValueError:
            continue
    for _, _, tag in sorted(wished):
        for language in LANGUAGES:
            if tag == language.value:
                return language
    return Language.EN
