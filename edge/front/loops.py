"""What the uplink does again and again: after the pause it asked for; after failures with growing waits, for ever."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

from edge.clock import Clock
from edge.front.centre import CentreRefused, CutOff
from edge.front.defects import Defects
from edge.front.documents import KeysRolled
from edge.front.doubt import AGAIN_S, Doubt
from edge.front.pace import backoff_s
from edge.front.snapshot import ListTrouble, StillRefused
from edge.front.stuck import Stuck
from edge.front.uplink_tile import UplinkTile
from edge.store.faults import StoreFault
from sync.wire.roster import RosterRefused
from sync.wire.rotation import KeysRefused

REFUSED_WAIT_S = 30.0
"""Only a person mends a refusal; a rare try notices that they did."""
DEFECT_FIRST_S = 2.0
"""Wait after a defect of ours; the same try again meets the same."""
DERIVED = frozenset({"list", "changes", "feed"})
"""Loops whose results are derived, so that they may begin anew."""

log = logging.getLogger("edge.front.uplink")

Refusal = CentreRefused | KeysRefused | RosterRefused | ListTrouble


class Loops:
    """Keeps each going. `begin_anew` is told which of those that only derive is stuck; `on_defect` of each defect of ours,
    which ends nothing but the try that met it."""

    def __init__(
        self,
        tile: UplinkTile,
        doubt: Doubt,
        begin_anew: Callable[[str], None],
        clock: Clock,
        chance: random.Random,
        poll_s: float,
        on_defect: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._tile, self._doubt, self._begin_anew = tile, doubt, begin_anew
        self._chance, self._poll_s = chance, poll_s
        self._on_defect = on_defect
        self._mono_s = lambda: clock.mono_ns() / 1e9
        self._stuck = Stuck(self._mono_s)
        self.due: dict[str, asyncio.Event] = {}
        """By loop, what ends its pause."""

    def of(self, name: str) -> asyncio.Event:
        """Return what ends a loop's pause."""
        return self.due.setdefault(name, asyncio.Event())

    def hurry(self) -> None:
        """End every pause."""
        for one in self.due.values():
            one.set()

    async def keep(self, name: str, once: Callable[[], Awaitable[float]]) -> NoReturn:
        """Do something again and again, after the seconds it returns."""
        failures = 0
        defects = Defects(
            f"{name} of the uplink failed, it is tried again",
            "uplink.defect",
            DEFECT_FIRST_S,
            self._mono_s,
            self._chance,
        )
        while True:
            try:
                wait_s = await once()
                failures = 0
                self._stuck.works(name)
                self._tile.anew.discard(name)
                self._tile.answered(name)
            except CutOff as error:
                failures += 1
                wait_s = backoff_s(failures, self._chance)
                self._tile.cut_off(name, error)
            except (CentreRefused, KeysRefused, RosterRefused, ListTrouble) as error:
                if self._doubt.cast(error.code):
                    failures += 1
                    wait_s = max(AGAIN_S, backoff_s(failures, self._chance))
                    if failures > 1:
                        # Nor do keys come that would prove it: it is not the centre that answers.
                        self._tile.cut_off(name, CutOff(error.code))
                else:
                    failures += isinstance(error, ListTrouble)
                    wait_s = self._refused_by(name, error, failures)
                    self._failed(name, error.code)
            except (StoreFault, OSError) as error:
                failures += 1
                wait_s = backoff_s(failures, self._chance)
                log.warning("the uplink waits for the disk or the lane", extra=_of_fault(error))
                if not isinstance(
                    error, StoreFault | ConnectionError
                ):  # a disk or a lane that is away comes back
                    self._failed(name, str(error) or type(error).__name__)
            except KeysRolled:
                raise
            except Exception as error:  # noqa: BLE001 - lists, records and neighbours must not end with each other
                wait_s = defects.met(error)
                self._tile.defect(name)
                self._on_defect(error)
                self._failed(name, type(error).__name__)
            await self._wait(name, wait_s)

    def _failed(self, name: str, why: str) -> None:
        """Begin anew with what is derived, where a loop failed for the same reason again and again. The log stays."""
        if name not in DERIVED or not self._stuck.failed(name, why):
            return
        log.error("begins anew: it failed the same way again and again", extra={"kind": name, "code": why})
        self._tile.anew.add(name)
        self._begin_anew(name)
        self._tile.tell()

    def _refused_by(self, name: str, error: Refusal, failures: int) -> float:
        """Say that a loop met a refusal, or refuses what came; return how long to wait."""
        match error:
            case StillRefused():
                self._tile.refuse(name, str(error), error.code, error.facts)
                return self._poll_s
            case ListTrouble():
                self._tile.refuse(name, str(error), error.code, error.facts)
                return max(self._poll_s, backoff_s(failures, self._chance))
            case CentreRefused(centre_time_s=time_s) if time_s:
                self._tile.tell(centre_time_s=time_s)
        self._tile.refuse("records" if error.code == "unknown_gate" else name, error.code, error.code)
        return REFUSED_WAIT_S * self._chance.uniform(0.5, 1.0)

    async def _wait(self, name: str, wait_s: float) -> None:
        due = self.of(name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await due.wait()
        due.clear()
        if name == "list":  # the loop that turns oftenest
            self._tile.tell()


def _of_fault(error: StoreFault | OSError) -> dict[str, str | int]:
    """Return what the journal is told of a disk or a lane that cannot be used now."""
    if isinstance(error, StoreFault):
        return {"code": f"log.{error.kind.value}"}
    return {"why": type(error).__name__, "errno": error.errno or 0}


__all__ = ["REFUSED_WAIT_S", "Loops"]
