"""Keeping drivers alive: what is shown for each error, and that none of them ends it."""

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import NoReturn

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Misconfigured
from edge.link import Health
from edge.supervise import MISCONFIGURED_WAIT_S, SETTLING_WAITS_S, WAIT_MAX_S, DeviceState, keep
from tests.sim.loop import VirtualLoop

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


def tried_at(errors: list[Exception], until_s: float) -> list[tuple[float, str]]:
    """Keep a driver that fails with these errors, then works; returns when each state was seen, on virtual time."""
    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    seen: list[tuple[float, str]] = []
    left = iter(errors)

    async def run(opened: Callable[[str], None]) -> NoReturn:
        if (error := next(left, None)) is not None:
            raise error
        opened("back")
        await asyncio.Event().wait()
        raise AssertionError

    async def watch() -> None:
        kept = asyncio.create_task(
            keep("thing", run, lambda state: seen.append((loop.time(), state.code)), random.Random(1))
        )
        await asyncio.sleep(until_s)
        kept.cancel()

    try:
        loop.run(watch())
    finally:
        loop.close()
    return seen


@pytest.mark.parametrize("udev_s", [1, 5, 15])
def test_a_device_that_is_plugged_in_is_tried_again_soon_until_udev_has_given_it_to_us(udev_s: int) -> None:
    """Also on a machine so busy that udev takes its time: in the lab it did, and the scanner was dead for half a minute."""
    forbidden = [Misconfigured("may not be read", "") for _ in range(len(SETTLING_WAITS_S))]
    tries = tried_at([DeviceGone("pulled", ""), *forbidden], 60)
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(tries)]
    given_s = tries[1][0] + udev_s
    next_s = next(at for at, _ in tries if at >= given_s)
    assert next_s - given_s <= WAIT_MAX_S * 1.2
    assert max(gaps) <= WAIT_MAX_S * 1.2
    assert tries[-1][1] == "device.ok"


def test_a_device_that_was_away_for_long_is_tried_often_enough_to_be_back_within_two_seconds() -> None:
    """Three quarters of a second are left for opening it: a bus of readers has some at its slowest speed."""
    tries = tried_at([DeviceGone("pulled", "") for _ in range(200)], 100)
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(tries)]
    assert len(gaps) > 80
    assert max(gaps) <= 1.25


def test_what_stays_misconfigured_is_tried_rarely() -> None:
    tries = tried_at([Misconfigured("no such port", "") for _ in range(99)], 600)
    settled = [at for at, _ in tries[1 + len(SETTLING_WAITS_S) :]]
    gaps = [after - before for before, after in itertools.pairwise(settled)]
    assert len(gaps) > 10
    assert min(gaps) >= MISCONFIGURED_WAIT_S * 0.8
    assert {code for _, code in tries[1:]} == {"device.misconfigured"}
