"""Defects of ours that end something which begins again: each is logged once, and the next try comes later and later."""

import logging
import random
from collections.abc import Callable

from edge.front.pace import BACKOFF_MAX_S

FORGOTTEN_S = 600.0
"""What went well for so long is tried again at once."""

log = logging.getLogger("edge.front")


class Defects:
    """Of one thing. `what` and `code`: for the journal; `mono_s`: monotonic seconds."""

    def __init__(
        self, what: str, code: str, first_s: float, mono_s: Callable[[], float], chance: random.Random
    ) -> None:
        self._what, self._code, self._first_s = what, code, first_s
        self._mono_s, self._chance = mono_s, chance
        self._told: set[str] = set()
        self._count, self._due_s = 0, 0.0

    def met(self, error: Exception) -> float:
        """Note a defect; return how many seconds to wait: a random part, at least half, of what grows to a minute."""
        if (kind := _kind_of(error)) not in self._told:
            self._told.add(kind)
            log.error(self._what, exc_info=error, extra={"code": self._code})
        now_s = self._mono_s()
        self._count = 0 if now_s - self._due_s > FORGOTTEN_S else min(self._count + 1, 10)
        wait_s = min(BACKOFF_MAX_S, self._first_s * 2.0**self._count) * self._chance.uniform(0.5, 1.0)
        self._due_s = now_s + wait_s
        return wait_s


def _kind_of(error: BaseException) -> str:
    """Return what tells one defect from another: its type, and the line that it comes from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else ""
    return f"{type(error).__name__} {where}"


__all__ = ["Defects"]
