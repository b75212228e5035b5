"""Names that people asked to be greeted by, as this gate may show them: in the memory of this process and nowhere else.

The centre gives them, and the list's settings say by a mark which are in force (`sync.wire.shown_names`). Where another mark
is in force than these names have, they are forgotten before anything is asked: who takes a name back is not shown from the
next change on, wherever that came from.
"""

import asyncio
from typing import Final, Protocol

from sync.wire.shown_names import NamesTold

AGAIN_S: Final = 5.0
"""The centre may be ahead of the settings that are in force here; they are on their way."""
DEAR_S: Final = 600.0
"""Where the day's bytes are used up names are the last that is asked for."""
_NONE: Final = NamesTold()


class NamesSource(Protocol):
    """Where names come from (`edge.front.centre.Centre`)."""

    async def names(self) -> NamesTold:
        """Return the names in force at the centre."""
        ...


class ShownNames:
    """Holds them."""

    def __init__(self) -> None:
        self._held = _NONE
        self._wanted = b""
        self._due = asyncio.Event()

    def wants(self, mark: bytes) -> None:
        """The lane process says which names are in force; empty: nobody's."""
        if mark == self._wanted:
            return
        self._wanted = mark
        if self._held.mark != mark:
            self._held = _NONE
        if self._is_behind:
            self._due.set()

    def of(self, holder: int) -> str:
        """Return what a holder asked to be called; "" for those who did not, and while it is not known."""
        return "" if self._held.mark != self._wanted else self._held.names.get(holder, "")

    async def ask(self, centre: NamesSource, *, is_dear: bool) -> float:
        """Wait until other names are in force than are held, and ask for them; return when to look again."""
        while not self._is_behind:
            self._due.clear()
            await self._due.wait()
        if is_dear:
            return DEAR_S
        self._held = await centre.names()
        return AGAIN_S if self._is_behind else 0.0

    @property
    def _is_behind(self) -> bool:
        return bool(self._wanted) and self._held.mark != self._wanted
