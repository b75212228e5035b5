"""Italian."""

from sync.web.words.en import WORDS

__all__ = ["WORDS"]
