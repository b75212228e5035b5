"""What no key known here had signed: perhaps the venue rolled one. It is asked first, and what came is refused after that."""

import asyncio
from collections.abc import Callable

from edge.front.centre import UNPROVEN

AGAIN_S = 1.0
"""Least pause before something is asked again that was in doubt: newer keys come meanwhile."""
SETTLED_S = 30.0
"""The venue's keys are not asked for again so soon after it had no others."""
UNSIGNED = frozenset(
    {UNPROVEN, "time_forged", "list.not_genuine", "changes.not_genuine", "roster.not_genuine"}
)
"""Codes of what is signed by no key known here."""


class Doubt:
    """Whether the venue's keys are asked for. `mono_ns`: the monotonic clock; `due` is set when somebody should ask."""

    def __init__(self, mono_ns: Callable[[], int], due: asyncio.Event) -> None:
        self._mono_ns = mono_ns
        self._due = due
        self._settled_ns: int | None = None
        self.stands = False

    def cast(self, code: str = UNPROVEN) -> bool:
        """Something was refused as this code: whether newer keys are asked for first, so that it is no refusal yet.

        Not again soon after the venue had none: then what came is not the venue's.
        """
        since_ns = self._settled_ns
        if code not in UNSIGNED or (
            since_ns is not None and self._mono_ns() - since_ns < SETTLED_S * 1_000_000_000
        ):
            return False
        self.ask()
        return True

    def ask(self) -> None:
        """Have the keys asked for, whatever was said before."""
        self.stands = True
        self._due.set()

    def settle(self) -> None:
        """The venue was asked, and has no keys but those known here."""
        self.stands, self._settled_ns = False, self._mono_ns()
