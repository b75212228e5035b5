"""What a page says where the API refuses: by the refusal's code, in the reader's language, with what to do next."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from sync.web.api import Refused
from sync.web.words import Words

SAME: Final[Mapping[str, str]] = {
    "not_found": "not_found",
    "role": "role_too_low",
    "other_site": "other_site",
    "wrong_sign_in": "sign_in_wrong",
    "bad_body": "bad_value",
    "form_unreadable": "form_unreadable",
    "internal": "failed",
}
"""Codes for which the pages have words of their own already."""
FIELDS: Final[Mapping[str, str]] = {
    "name_taken": "name",
    "bad_email": "email",
    "last_name_missing": "last_name",
    "bad_shown_name": "shown_name",
    "customer_anonymous": "shown_name",
    "too_many_names": "shown_name",
    "unknown_timezone": "timezone",
    "bad_uid": "uid",
    "tag_taken": "uid",
    "reason_missing": "reason",
}
"""Codes that speak of one field of the API's body."""

_AT = re.compile(r" - at `\$\.([a-z_]+)")
_LENGTH = re.compile(r"Expected `(str|array)` of length (>=|<=) (\d+)")


class Faulty(Refused):
    """What was filled in cannot be done. `fields`: what is wrong, by the name of the API's field; "" for all of it."""

    def __init__(self, status: int, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(status, "", next(iter(self.fields.values())))


def said(words: Words, code: str, detail: str) -> str:
    """Return what a page says of a refusal; `detail`, which is English, only where there are no words for its code."""
    key = SAME.get(code, f"refused_{code}")
    return words(key) if code and words.has(key) else detail


def faulty(words: Words, refused: Refused) -> Faulty:
    """Return a refusal as a form shows it: at its field, where it speaks of one."""
    if isinstance(refused, Faulty):
        return refused
    text = said(words, refused.code, refused.detail)
    return Faulty(refused.status, {FIELDS.get(refused.code, ""): text})


def misfit(words: Words, error: msgspec.ValidationError) -> Faulty:
    """Return what a form shows of a value that the API does not take."""
    found = _AT.search(str(error))
    return Faulty(422, {found[1] if found else "": _misfit(words, str(error))})


def _misfit(words: Words, text: str) -> str:
    found = _LENGTH.match(text)
    if found is None:
        return words("bad_value")
    kind, sign, length = found[1], found[2], int(found[3])
    if sign == "<=":
        return words("too_long", n=length) if kind == "str" else words("bad_value")
    if kind == "array":
        return words("choose_one")
    return words("must") if length == 1 else words("bad_value")
