"""A tag in the field of a reader that is asked again and again: there, still there, gone."""

from typing import Final

from drivers.base import RANDOM_UID, Garbled, Medium, Removed, Scan
from drivers.framing.tag_content import Content
from drivers.framing.uid import is_random

MISSES: Final = 2
"""A tag that answered and does not for so many questions is gone; one question is missed now and then."""
SAID_AGAIN_NS: Final = 400_000_000
"""A tag that stays is said again so often, that it counts as seen: below the 500 ms after which it would be unseen."""

TagEvent = Scan | Garbled | Removed
_NOTHING: Final = Content()


class Presence:
    """Turns answers into events. One tag at a time, as readers are asked for one."""

    def __init__(self) -> None:
        self._uid = b""
        self._content = _NOTHING
        self._misses = 0
        self._said_ns = 0

    def is_new(self, uid: bytes) -> bool:
        """Whether this tag was not here a moment ago: what it carries is not known yet."""
        return uid != self._uid

    def seen(self, uid: bytes, now_ns: int, content: Content = _NOTHING) -> list[TagEvent]:
        """A tag answered. `content`: of one that is new, where it was read.

        A random UID is nobody's, unless the tag carries what may say which it is.
        """
        out: list[TagEvent] = []
        self._misses = 0
        if uid != self._uid:
            if self._uid:
                out.append(Removed(now_ns))
            self._content = content
        elif (is_random(uid) and not self._content.message) or now_ns < self._said_ns + SAID_AGAIN_NS:
            return out
        self._uid, self._said_ns = uid, now_ns
        message, signature, locked = self._content.message, self._content.signature, self._content.locked
        if message:
            data = bytes((len(uid),)) + uid + message
            out.append(Scan(data, Medium.TAG, "", now_ns, now_ns, signature, locked))
        elif is_random(uid):
            out.append(Garbled(RANDOM_UID, len(uid), now_ns))
        else:
            out.append(Scan(uid, Medium.UID, "", now_ns, now_ns, signature))
        return out

    def missed(self, now_ns: int) -> list[TagEvent]:
        """Nothing answered."""
        if not self._uid:
            return []
        self._misses += 1
        if self._misses < MISSES:
            return []
        self._uid = b""
        return [Removed(now_ns)]
