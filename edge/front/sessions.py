"""Who has given the PIN: random cookies, held in memory as hashes, ended by idleness, by age and by a new PIN.

A display in whose browser the PIN was given has a cookie of its own: nobody touches a display, so idleness does not end it,
and it opens nothing but the display's view.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

TOKEN_BYTES = 32
IDLE_S = 30 * 60
AGE_S = 12 * 3600
"""One long working day; then the PIN again."""
DISPLAY_AGE_S = 24 * 3600
"""Put up in the morning, it goes on until the last visitor has left."""
KNOWN_AGE_S = 14 * 86_400
"""A technician comes back to the venue within days."""
SESSIONS_MAX = 16
"""A few technicians with a phone and a laptop; the one idle for longest gives way. As many displays, and browsers that are known."""


@dataclass(slots=True)
class _Session:
    mark: str
    opened_s: float
    used_s: float


class Sessions:
    """The sessions of one front process. `mono_s` is monotonic; `idle_s` and `age_s`: after which one ends."""

    def __init__(
        self,
        mono_s: Callable[[], float],
        mark: Callable[[], str],
        idle_s: float = IDLE_S,
        age_s: float = AGE_S,
    ) -> None:
        self._mono_s = mono_s
        self._mark = mark
        self._idle_s = idle_s
        self._age_s = age_s
        self._by_hash: dict[bytes, _Session] = {}

    def open(self, mark: str) -> str:
        """Return the cookie of a new session made with the PIN that `mark` names."""
        now_s = self._mono_s()
        self._by_hash = {key: one for key, one in self._by_hash.items() if self._alive(one, now_s)}
        if len(self._by_hash) >= SESSIONS_MAX:
            del self._by_hash[min(self._by_hash, key=lambda key: self._by_hash[key].used_s)]
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._by_hash[_hash(token)] = _Session(mark, now_s, now_s)
        return token

    def holds(self, token: str, *, touch: bool) -> bool:
        """Whether a cookie names a live session; `touch` where a person did something, which renews it."""
        one = self._by_hash.get(_hash(token)) if token else None
        now_s = self._mono_s()
        if one is None or not self._alive(one, now_s):
            return False
        if touch:
            one.used_s = now_s
        return True

    def close(self, token: str) -> None:
        """End a session."""
        self._by_hash.pop(_hash(token), None)

    def _alive(self, one: _Session, now_s: float) -> bool:
        return (
            one.mark == self._mark()
            and now_s - one.used_s < self._idle_s
            and now_s - one.opened_s < self._age_s
        )


def _hash(token: str) -> bytes:
    # A header's bytes beyond UTF-8 arrive as surrogates: such a cookie is a wrong one, not an error.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
