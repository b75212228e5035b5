"""Files of the pages, with `{{key}}` where something is filled in."""

import html
import re
from collections.abc import Mapping

_key = re.compile(r"\{\{(\w+)\}\}")


def filled(source: str, values: Mapping[str, str]) -> str:
    """Fill a file in, escaped for text and for attributes in quotes. KeyError for a key that has no value."""
    return _key.sub(lambda found: html.escape(values[found[1]]), source)
