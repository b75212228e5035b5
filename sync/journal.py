"""The centre's journal: no line is said over and over, so that nobody outside can fill the disk with it."""

import logging
import time
from collections.abc import Callable

LINES_PER_MINUTE_MAX = 10
"""Of one kind: the same logger and the same text before its values are put in."""
KINDS_MAX = 1000
MINUTE_S = 60.0


class Seldom(logging.Filter):
    """Lets a few lines of a kind through in a minute; the first after that says how many were left out."""

    def __init__(self, mono_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._mono_s = mono_s
        self._since: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        now_s, kind = self._mono_s(), (record.name, str(record.msg))
        began_s, count = self._since.get(kind, (now_s, 0))
        if now_s - began_s >= MINUTE_S:
            left_out = count - LINES_PER_MINUTE_MAX
            if left_out > 0:
                record.msg = f"{record.msg} ({left_out} more of these were left out)"
            began_s, count = now_s, 0
        if kind not in self._since and len(self._since) >= KINDS_MAX:
            self._since.clear()
        self._since[kind] = (began_s, count + 1)
        return count < LINES_PER_MINUTE_MAX
