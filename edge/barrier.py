"""A relay board as lanes use it: each pulse's answer goes back to the lane that asked."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from drivers.base import BoardPart, DeviceGone, DeviceMisbehaved, DriverError, Misconfigured
from edge.board_inputs import BoardInputs
from edge.link import Health
from edge.parts import HeldPulse, Relay, RelayEvents
from edge.settings import RelaySettings
from edge.supervise import MISCONFIGURED_WAIT_S, DeviceState, misconfigured_wait_s

ANSWERS_MAX = 256
"""Pulses whose answer is awaited; a lane has one or two under way."""

log = logging.getLogger("edge.barrier")


class Barrier:
    """One relay board with its guard (`edge.lane.RelayLines`). `inputs`: its own contacts, where it has any."""

    def __init__(
        self,
        settings: RelaySettings,
        make: Callable[[RelaySettings, RelayEvents], Relay],
        on_state: Callable[[DeviceState], None],
    ) -> None:
        self._waiting: dict[int, Callable[[bool], None]] = {}
        self._on_state = on_state
        self.inputs = BoardInputs()
        self._id = settings.id
        self._lines = 0
        self._gone: dict[int, BoardPart] = {}
        """Of several boards on one bus those that are gone, by their unit."""
        self._is_up = False
        self._misconfigured = 0
        """Times in a row: a board that was just plugged in may be forbidden until udev has given it to us."""
        events = RelayEvents(
            ready=self._ready,
            ack=self._ack,
            fault=self._fault,
            contact=self.inputs.changed,
            refused=self._refused,
            part=self._part,
        )
        self._relay = make(settings, events)
        on_state(DeviceState(Health.BAD, "device.opening"))

    async def run(self) -> NoReturn:
        """Keep the guard alive until cancelled. What only a person can mend is tried again now and then, once it has settled."""
        while True:
            wait_s = MISCONFIGURED_WAIT_S
            try:
                await self._relay.run()
            except Misconfigured as error:
                self._misconfigured += 1
                wait_s = misconfigured_wait_s(self._misconfigured)
                self._down(DeviceState(Health.BAD, "device.misconfigured", str(error), error.hint))
            except Exception:
                # A defect of ours: shown and started again, as a reader is; without it nobody gets in here.
                log.exception("relay guard's link failed")
                self._down(DeviceState(Health.BAD, "device.defect"))
            await asyncio.sleep(wait_s)

    @property
    def last_pong_ns(self) -> int:
        """When the guard last answered, monotonic."""
        return self._relay.last_pong_ns

    def reaches(self, *lines: int | None) -> bool:
        """Whether the board works, and each of these lines with it."""
        gone = [
            line for part in self._gone.values() for line in lines if line is not None and line in part.relays
        ]
        return self._is_up and not gone

    def pulse(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:
        """Command one pulse now; `done(ok)` when the guard wrote it to the device, or could not."""
        try:
            number = self._relay.pulse(line, duration_ms)
        except (DeviceGone, Misconfigured):
            done(False)
            return
        self._await(number, done)

    def hold(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> HeldPulse | None:
        """Make a pulse ready for another thread to send, `done` as with `pulse`; None where the guard cannot take it."""
        try:
            held = self._relay.hold(line, duration_ms)
        except (DeviceGone, Misconfigured):
            return None
        self._await(held.id, done)
        return held

    def drop(self, held: HeldPulse) -> bool:
        """Take a held pulse back: it has no answer then. False where it was sent."""
        if not held.drop():
            return False
        self._waiting.pop(held.id, None)
        return True

    def _await(self, number: int, done: Callable[[bool], None]) -> None:
        if len(self._waiting) >= ANSWERS_MAX:
            self._waiting.pop(next(iter(self._waiting)))(False)
        self._waiting[number] = done

    def off_line(self, line: int) -> None:
        """Switch one line off; other lanes' pulses on the same board go on."""
        try:
            self._relay.off_line(line)
        except (DeviceGone, Misconfigured):
            return  # the guard is not there: it starts all-off, and its death was reported by `fault`

    def _ready(self, lines: int) -> None:
        self._lines, self._is_up = lines, True
        self._gone.clear()
        self._tell()
        self.inputs.opened(f"inputs of the relay board {self._id}")

    def _tell(self) -> None:
        """Say how the board is: of several on one bus some may be gone."""
        if not self._gone:
            self._on_state(DeviceState(Health.OK, "device.ok", f"{self._lines} lines"))
            return
        errors = [part.error for _, part in sorted(self._gone.items()) if part.error is not None]
        self._on_state(replace(state_of(errors[0]), what="; ".join(map(str, errors))))

    def _part(self, part: BoardPart) -> None:
        if part.error is None:
            self._gone.pop(part.unit, None)
        else:
            self._gone[part.unit] = part
        self._tell()
        self.inputs.part(part)

    def _down(self, state: DeviceState) -> None:
        self._is_up = False
        self._gone.clear()
        self._on_state(state)

    def _ack(self, number: int) -> None:
        self._answered(number, ok=True)

    def _refused(self, number: int) -> None:
        self._answered(number, ok=False)

    def _answered(self, number: int, *, ok: bool) -> None:
        done = self._waiting.pop(number, None)
        if done is not None:
            done(ok)

    def _fault(self, error: DriverError) -> None:
        if not isinstance(error, Misconfigured):
            self._misconfigured = 0
        self._down(replace(state_of(error), health=Health.BAD))
        self.inputs.lost(error)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(False)


def state_of(error: DriverError) -> DeviceState:
    """How a device is by what it failed with, as far as the rest of it goes on."""
    code = "device.misbehaved" if isinstance(error, DeviceMisbehaved) else "device.gone"
    if isinstance(error, Misconfigured):
        code = "device.misconfigured"
    return DeviceState(Health.DEGRADED, code, str(error), error.hint)
