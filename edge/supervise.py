"""Keeping drivers alive: opened again with backoff, shown while they fail, never taking the gate down."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Misconfigured
from edge.link import Health

FIRST_WAIT_S = 0.25
"""A replugged scanner should be ready within 2 s, so the first tries come quickly."""
GONE_WAIT_MAX_S = 1.0
"""One that comes back after hours should be, too: this, a fifth more by chance, and what it takes to open it."""
WAIT_MAX_S = 2.0
MISBEHAVED_WAIT_S = 1.0
MISCONFIGURED_WAIT_S = 30.0
"""Opening again will not help until a person acts; a rare try notices that they did."""
SETTLING_WAITS_S = (0.25, 0.5, 1.0, *(WAIT_MAX_S,) * 8)
"""A device that was just plugged in may be forbidden for a moment: the kernel makes its node root's, and udev gives it to the
gate only then, on a busy machine many seconds later. One that its last user has not let go of yet is taken. Both look like a wrong
configuration."""

log = logging.getLogger("edge.supervise")


@dataclass(frozen=True, slots=True)
class DeviceState:
    """How a device is: `code` is a sentence of `edge.words`, `hint` the driver's own next step."""

    health: Health
    code: str
    what: str = ""
    hint: str = ""
    failures: int = 0


OnState = Callable[[DeviceState], None]


async def keep(
    name: str,
    run: Callable[[Callable[[str], None]], Awaitable[NoReturn]],
    on_state: OnState,
    chance: random.Random | None = None,
) -> NoReturn:
    """Run a driver for ever. `run` is given a callable to say that it is open; its errors decide what follows.

    Anything else than a DriverError is our own defect: it is logged with its trace, shown, and the driver is started
    again, since a gate with one reader less still lets people in by the other.
    """
    failures = unsettled = 0
    chance = chance or random.SystemRandom()

    def opened(what: str) -> None:
        nonlocal failures
        failures = 0
        on_state(DeviceState(Health.OK, "device.ok", what))

    on_state(DeviceState(Health.DEGRADED, "device.opening"))
    while True:
        try:
            await run(opened)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failures += 1
            unsettled = unsettled + 1 if isinstance(error, Misconfigured) else 0
            state, wait_s = _judge(error, failures)
            if unsettled:
                wait_s = misconfigured_wait_s(unsettled)
            on_state(state)
            if failures == 1:
                log.warning(
                    "device failed", extra={"device": name, "code": state.code}, exc_info=_trace_of(error)
                )
            await asyncio.sleep(wait_s * chance.uniform(0.8, 1.2))


def misconfigured_wait_s(times: int) -> float:
    """How long to wait where a device was misconfigured so many times in a row, 1 or more."""
    return SETTLING_WAITS_S[times - 1] if times <= len(SETTLING_WAITS_S) else MISCONFIGURED_WAIT_S


def _trace_of(error: Exception) -> Exception | None:
    """A driver's own error needs no trace in the journal; a defect of ours does."""
    return None if isinstance(error, DriverError) else error


def _judge(error: Exception, failures: int) -> tuple[DeviceState, float]:
    """Turn an error into what the page shows and how long to wait."""
    match error:
        case Misconfigured():
            state = DeviceState(Health.BAD, "device.misconfigured", str(error), error.hint, failures)
            return state, MISCONFIGURED_WAIT_S
        case DeviceMisbehaved():
            state = DeviceState(Health.DEGRADED, "device.misbehaved", str(error), error.hint, failures)
            return state, MISBEHAVED_WAIT_S
        case DeviceGone():
            state = DeviceState(Health.BAD, "device.gone", str(error), error.hint, failures)
            return state, min(GONE_WAIT_MAX_S, FIRST_WAIT_S * 2 ** min(failures - 1, 4))
        case _:
            return DeviceState(Health.BAD, "device.defect", type(error).__name__, "", failures), WAIT_MAX_S
