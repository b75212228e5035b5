"""Keeping drivers alive: what is shown for each error, and that none of them ends it."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Misconfigured
from edge.link import Health
from edge.supervise import SETTLING_WAITS_S, DeviceState, keep

TABLE = [
    (DeviceGone("pulled", "Plug it in."), Health.BAD, "device.gone", "pulled", "Plug it in."),
    (DeviceMisbehaved("noise", "Change it."), Health.DEGRADED, "device.misbehaved", "noise", "Change it."),
    (
        Misconfigured("no such port", "Edit it."),
        Health.BAD,
        "device.misconfigured",
        "no such port",
        "Edit it.",
    ),
    (ZeroDivisionError("ours"), Health.BAD, "device.defect", "ZeroDivisionError", ""),
]


@pytest.mark.parametrize(("error", "health", "code", "what", "hint"), TABLE, ids=[row[2] for row in TABLE])
async def test_an_error_is_shown_with_its_next_step(
    error: Exception, health: Health, code: str, what: str, hint: str
) -> None:
    states: asyncio.Queue[DeviceState] = asyncio.Queue()

    async def run(opened: Callable[[str], None]) -> NoReturn:
        opened("a thing")
        raise error

    task = asyncio.create_task(keep("thing", run, states.put_nowait))
    assert await states.get() == DeviceState(Health.DEGRADED, "device.opening")
    assert await states.get() == DeviceState(Health.OK, "device.ok", "a thing")
    assert await states.get() == DeviceState(health, code, what, hint, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_is_opened_again_and_failures_count_up_until_it_works() -> None:
    states: asyncio.Queue[DeviceState] = asyncio.Queue()
    tries = iter([False, False, True, False])

    async def run(opened: Callable[[str], None]) -> NoReturn:
        if next(tries):
            opened("back")
        raise DeviceGone("gone", "")

    task = asyncio.create_task(keep("thing", run, states.put_nowait))
    async with asyncio.timeout(10):
        seen = [await states.get() for _ in range(5)]
    task.cancel()
    assert [(state.code, state.failures) for state in seen] == [
        ("device.opening", 0),
        ("device.gone", 1),
        ("device.gone", 2),
        ("device.ok", 0),
        ("device.gone", 1),
    ]


async def test_a_device_that_is_plugged_in_is_tried_again_at_once_until_udev_has_given_it_to_us() -> None:
    states: asyncio.Queue[DeviceState] = asyncio.Queue()
    tries = iter([DeviceGone("pulled", ""), *(Misconfigured("may not be read", "") for _ in range(3))])

    async def run(opened: Callable[[str], None]) -> NoReturn:
        if (error := next(tries, None)) is not None:
            raise error
        opened("back")
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(keep("thing", run, states.put_nowait))
    # Four pauses, 2 s in all; one of those that wait for a person would be 24 s at least.
    async with asyncio.timeout(10):
        seen = [await states.get() for _ in range(6)]
    task.cancel()
    assert [state.code for state in seen[1:]] == ["device.gone", *["device.misconfigured"] * 3, "device.ok"]


async def test_what_stays_misconfigured_is_tried_rarely() -> None:
    states: asyncio.Queue[DeviceState] = asyncio.Queue()

    async def run(_opened: Callable[[str], None]) -> NoReturn:
        raise Misconfigured("no such port", "")

    settling = 1 + len(SETTLING_WAITS_S)
    task = asyncio.create_task(keep("thing", run, states.put_nowait))
    async with asyncio.timeout(10):
        seen = [await states.get() for _ in range(1 + settling)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):  # longer than the first pause
            await states.get()
    task.cancel()
    assert [state.failures for state in seen] == list(range(1 + settling))
