"""A relay board as lanes use it: each pulse's answer goes back to the lane that asked."""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured
from edge.board_inputs import BoardInputs
from edge.link import Health
from edge.parts import HeldPulse, Relay, RelayEvents
from edge.settings import RelaySettings
from edge.supervise import MISCONFIGURED_WAIT_S, DeviceState

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
        events = RelayEvents(ready=self._ready, ack=self._ack, fault=self._fault, contact=self.inputs.changed)
        self._relay = make(settings, events)
        on_state(DeviceState(Health.BAD, "device.opening"))

    async def run(self) -> NoReturn:
        """Keep the guard alive until cancelled. What only a person can mend is tried again now and then."""
        while True:
            try:
                await self._relay.run()
            except Misconfigured as error:
                self._on_state(DeviceState(Health.BAD, "device.misconfigured", str(error), error.hint))
            except Exception:
                # A defect of ours: shown and started again, as a reader is; without it nobody gets in here.
                log.exception("relay guard's link failed")
                self._on_state(DeviceState(Health.BAD, "device.defect"))
            await asyncio.sleep(MISCONFIGURED_WAIT_S)

    @property
    def last_pong_ns(self) -> int:
        """When the guard last answered, monotonic."""
        return self._relay.last_pong_ns

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
        self._on_state(DeviceState(Health.OK, "device.ok", f"{lines} lines"))
        self.inputs.opened(f"inputs of the relay board {self._id}")

    def _ack(self, number: int) -> None:
        done = self._waiting.pop(number, None)
        if done is not None:
            done(True)

    def _fault(self, error: DriverError) -> None:
        self._on_state(DeviceState(Health.BAD, _code_of(error), str(error), error.hint))
        self.inputs.lost(error)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(False)


def _code_of(error: DriverError) -> str:
    if isinstance(error, Misconfigured):
        return "device.misconfigured"
    return "device.misbehaved" if isinstance(error, DeviceMisbehaved) else "device.gone"
