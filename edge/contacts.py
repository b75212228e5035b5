"""What the contacts of one lane's input board say: passages, READY, fault, power, doors, the way out.

Each contact is an edge or a level. Edges (passage, detector, request to exit) count only once the board is open: how a contact
stood when it was found is nobody's doing. Levels (READY, fault, fire, a door) count from the start.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from admission.lane import Detected, DoorChanged, ExitAsked, FireChanged, LaneEvent, Passed, SensorsChanged
from admission.records import Direction
from drivers.base import InputChanged
from edge.failpoints import failpoint
from edge.settings import LaneSettings

PAIR_S: Final = 0.06
"""Both passage contacts active within it are a turnstile without power, not two people: relays drop within 20 ms, and a
debounced look at each comes 20 ms later; nobody passes an arm both ways in less than half a second."""

OPEN, FAULT, NO_POWER, SHUT = "", "lane.fault", "lane.no_power", "lane.not_ready"
"""Why a turnstile is not ready, as a sentence of `edge.words`; "" where it is."""


class Contacts:
    """One lane's contacts. `drive` feeds the lane machine, `told` hears that what stands in the way changed."""

    def __init__(
        self,
        own: LaneSettings,
        drive: Callable[[LaneEvent], object],
        told: Callable[[], None],
        alert: Callable[[str], None],
    ) -> None:
        self._own = own
        self._drive = drive
        self._told = told
        self._alert = alert
        self._ready = own.ready_contact is None
        self._fault = False
        self._passing: set[Direction] = set()
        """Ways whose passage contact is active."""
        self._pending: dict[Direction, asyncio.TimerHandle] = {}

    @property
    def trouble(self) -> str:
        """What keeps the turnstile from letting anybody in; "" for nothing."""
        if self._fault:
            return FAULT
        if self._own.contacts_show_power and len(self._passing) > 1:
            return NO_POWER
        return OPEN if self._ready else SHUT

    def changed(self, event: InputChanged) -> None:
        """Take one change of the lane's board."""
        own = self._own
        match event.line:
            case own.entry_contact:
                self._passage(Direction.ENTRY, event)
            case own.exit_contact:
                self._passage(Direction.EXIT, event)
            case own.ready_contact:
                self._ready = event.active
                self._told()
            case own.fault_contact:
                self._faulty(fault=event.active)
            case own.fire_contact:
                self._drive(FireChanged(event.active))
            case own.door_contact:
                self._drive(SensorsChanged(seen=True))
                self._drive(DoorChanged(event.active, first=event.first))
            case own.detector_contact if event.active and not event.first:
                self._drive(Detected())
            case own.exit_button if event.active and not event.first:
                self._drive(ExitAsked())

    def lost(self, lines: Collection[int] | None = None) -> None:
        """The board, or these lines of it, are gone: a READY contact that cannot be seen is not ready; passages are assumed."""
        own = self._own

        def gone(*contacts: int | None) -> bool:
            return lines is None or not set(lines).isdisjoint(contacts)

        if gone(own.entry_contact, own.exit_contact, own.door_contact):
            self._drive(SensorsChanged(seen=False))
            for pending in self._pending.values():
                pending.cancel()
            self._pending.clear()
            self._passing.clear()
        if own.door_contact is not None and gone(own.door_contact):
            self._drive(DoorChanged(open=False))
        if gone(own.fault_contact):
            self._fault = False
        if gone(own.ready_contact):
            self._ready = own.ready_contact is None
        self._told()

    def drain(self) -> None:
        """The gate ends: nobody waits for a second contact any more."""
        for way in tuple(self._pending):
            self._pending.pop(way).cancel()
            self._passed(way)

    def _passage(self, way: Direction, event: InputChanged) -> None:
        """A passage contact changed; where the two tell of power, one alone is waited for."""
        self._drive(SensorsChanged(seen=True))
        (self._passing.add if event.active else self._passing.discard)(way)
        if self._own.contacts_show_power:
            self._told()
        if not event.active or event.first:
            return
        if not self._own.contacts_show_power:
            self._passed(way)
        elif len(self._passing) == 1:
            self._pending[way] = asyncio.get_running_loop().call_later(PAIR_S, self._alone, way)
        else:
            for pending in self._pending.values():
                pending.cancel()
            self._pending.clear()

    def _alone(self, way: Direction) -> None:
        del self._pending[way]
        self._passed(way)

    def _passed(self, way: Direction) -> None:
        failpoint("before_passage")
        self._drive(Passed(way))

    def _faulty(self, *, fault: bool) -> None:
        if fault and not self._fault:
            self._alert("fault")
        self._fault = fault
        self._told()
