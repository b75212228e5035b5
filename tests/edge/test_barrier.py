"""A relay board as lanes use it: every pulse has exactly one answer, whatever becomes of the guard."""

import asyncio
import itertools
import threading
from dataclasses import replace
from typing import NoReturn

import pytest

from drivers.base import BoardPart, DeviceGone, DriverError, InputChanged, InputsLost, Misconfigured, Opened
from drivers.guard_link import HeldPulse
from edge.barrier import ANSWERS_MAX, Barrier
from edge.link import Health
from edge.parts import RelayEvents
from edge.settings import LcusRelay, RelaySettings
from edge.supervise import MISCONFIGURED_WAIT_S, SETTLING_WAITS_S, WAIT_MAX_S, DeviceState
from tests.sim.loop import VirtualLoop


class ScriptedRelay:
    """The lane's end of a guard (`edge.parts.Relay`), told what to do by the test."""

    def __init__(self, events: RelayEvents) -> None:
        self.events = events
        self.last_pong_ns = 0
        self.fault: DriverError | None = None
        self.there = True
        self.pulses = 0
        self.offs = 0
        self.runs: asyncio.Queue[DriverError] = asyncio.Queue()

    async def run(self) -> NoReturn:
        raise await self.runs.get()

    def pulse(self, line: int, duration_ms: int) -> int:  # noqa: ARG002 - the Protocol's
        if not self.there:
            raise DeviceGone("no guard", "")
        self.pulses += 1
        return self.pulses

    def hold(self, line: int, duration_ms: int) -> HeldPulse:
        return HeldPulse(self.pulse(line, duration_ms), threading.Lock(), lambda: None)

    def off_line(self, line: int) -> int:  # noqa: ARG002 - the Protocol's
        if not self.there:
            raise DeviceGone("no guard", "")
        self.offs += 1
        return 0


class Rig:
    def __init__(self) -> None:
        self.states: list[DeviceState] = []
        self.relays: list[ScriptedRelay] = []
        self.barrier = Barrier(LcusRelay(id="r", port="none"), self._make, self.states.append)
        self.relay = self.relays[0]
        self.answers: list[tuple[int, bool]] = []

    def _make(self, _settings: RelaySettings, events: RelayEvents) -> ScriptedRelay:
        self.relays.append(ScriptedRelay(events))
        return self.relays[-1]

    def pulse(self, name: int) -> None:
        self.barrier.pulse(0, 300, lambda ok: self.answers.append((name, ok)))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_it_is_not_ready_before_the_guard_says_so(rig: Rig) -> None:
    assert [state.health for state in rig.states] == [Health.BAD]
    rig.relay.events.ready(4)
    assert (rig.states[-1].health, rig.states[-1].what) == (Health.OK, "4 lines")


def test_each_pulse_hears_of_itself_once(rig: Rig) -> None:
    rig.pulse(1)
    rig.pulse(2)
    rig.relay.events.ack(2)
    rig.relay.events.ack(2)
    rig.relay.events.ack(99)
    assert rig.answers == [(2, True)]
    rig.relay.events.fault(DeviceGone("cable", "Plug it in."))
    assert rig.answers == [(2, True), (1, False)]
    assert (rig.states[-1].health, rig.states[-1].hint) == (Health.BAD, "Plug it in.")
    rig.relay.events.ack(1)
    assert len(rig.answers) == 2


GONE = BoardPart(2, range(4, 8), range(8, 16), DeviceGone("unit 2", "Check its supply."))


def test_of_several_boards_one_that_is_gone_takes_its_own_lines_alone(rig: Rig) -> None:
    events = rig.relay.events
    assert not rig.barrier.reaches(0)
    events.ready(8)
    events.part(GONE)
    assert [rig.barrier.reaches(line) for line in (3, 4, 7, None)] == [True, False, False, True]
    state = rig.states[-1]
    assert (state.health, state.code, state.what, state.hint) == (
        Health.DEGRADED, "device.gone", "unit 2", "Check its supply.",
    )  # fmt: skip
    rig.pulse(1)
    rig.pulse(2)
    events.refused(1)
    events.ack(2)
    assert rig.answers == [(1, False), (2, True)]
    events.part(replace(GONE, error=None))
    assert rig.barrier.reaches(4)
    assert (rig.states[-1].health, rig.states[-1].what) == (Health.OK, "8 lines")
    events.part(GONE)
    events.fault(DeviceGone("cable", "Plug it in."))
    assert not rig.barrier.reaches(0)
    events.ready(8)
    assert rig.barrier.reaches(0, 4), "of a guard that starts anew only what it tells holds"


async def test_contacts_of_a_board_that_is_gone_are_lost_and_the_others_go_on_being_told(rig: Rig) -> None:
    events, told = rig.relay.events, list[InputChanged | Opened | InputsLost]()
    events.ready(8)
    for line in (0, 9):
        events.contact(InputChanged(line, True, 1, first=True))
    events.part(GONE)
    watching = asyncio.create_task(rig.barrier.inputs.run(told.append))
    await asyncio.sleep(0)
    assert [type(one) for one in told] == [Opened, InputChanged, InputsLost]
    assert isinstance(told[2], InputsLost)
    assert told[2].lines == GONE.inputs
    events.part(replace(GONE, error=None))
    events.contact(InputChanged(9, True, 2, first=True))
    events.part(GONE)
    assert [type(one) for one in told[3:]] == [Opened, InputChanged, InputsLost]
    watching.cancel()


def test_without_a_guard_a_pulse_fails_at_once_and_off_is_no_error(rig: Rig) -> None:
    rig.relay.there = False
    rig.pulse(1)
    assert rig.answers == [(1, False)]
    rig.barrier.off_line(0)
    rig.relay.there = True
    rig.barrier.off_line(0)
    assert rig.relay.offs == 1


def test_answers_that_never_come_do_not_pile_up(rig: Rig) -> None:
    for number in range(ANSWERS_MAX + 3):
        rig.pulse(number)
    assert rig.answers == [(0, False), (1, False), (2, False)]


async def test_what_a_person_must_mend_is_shown(rig: Rig) -> None:
    task = asyncio.create_task(rig.barrier.run())
    rig.relay.runs.put_nowait(Misconfigured("no such line", "Correct it."))
    while rig.states[-1].code != "device.misconfigured":
        await asyncio.sleep(0)
    assert rig.states[-1].hint == "Correct it."
    assert not task.done()  # it is tried again later
    task.cancel()


@pytest.mark.parametrize("udev_s", [0.1, 5, 15])
def test_a_board_that_is_plugged_in_is_tried_again_soon_until_udev_has_given_it_to_us(udev_s: float) -> None:
    """As a reader is (`tests.edge.test_supervise`): with half a minute between two tries the lane stood still for a board that was there."""
    tries = tried_at(udev_s)
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert tries[-1] >= udev_s
    assert max(gaps) <= WAIT_MAX_S


def test_what_stays_misconfigured_is_tried_rarely() -> None:
    tries = tried_at(600)[1 + len(SETTLING_WAITS_S) :]
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert len(gaps) > 5
    assert min(gaps) >= MISCONFIGURED_WAIT_S


def tried_at(mended_s: float) -> list[float]:
    """When a board is tried that was pulled and, plugged in again, is forbidden until then, on virtual time."""
    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    tries: list[float] = []

    class Forbidden(ScriptedRelay):
        async def run(self) -> NoReturn:
            if not tries:
                self.events.fault(DeviceGone("pulled", ""))
            tries.append(loop.time())
            if loop.time() >= mended_s:
                self.events.ready(4)
                await asyncio.Event().wait()
            error = Misconfigured("may not be opened", "")
            self.events.fault(error)
            raise error

    async def watch() -> None:
        barrier = Barrier(LcusRelay(id="r", port="none"), lambda _, events: Forbidden(events), lambda _: None)
        kept = asyncio.create_task(barrier.run())
        await asyncio.sleep(mended_s + 2 * MISCONFIGURED_WAIT_S)
        kept.cancel()

    try:
        loop.run(watch())
    finally:
        loop.close()
    return tries


def test_a_held_pulse_is_nobodys_until_it_is_sent(rig: Rig) -> None:
    held = rig.barrier.hold(0, 300, lambda ok: rig.answers.append((1, ok)))
    assert held is not None
    assert rig.barrier.drop(held), "it was not sent"
    rig.relay.events.ack(held.id)
    rig.relay.events.fault(DeviceGone("cable", ""))
    held.send(5)
    assert held.sent_ns == 0, "what was dropped is never sent"
    assert not rig.answers


def test_a_held_pulse_that_was_sent_hears_of_itself(rig: Rig) -> None:
    held = rig.barrier.hold(0, 300, lambda ok: rig.answers.append((1, ok)))
    assert held is not None
    held.send(5)
    held.send(6)
    assert held.sent_ns == 5
    assert not rig.barrier.drop(held)
    rig.relay.events.ack(held.id)
    assert rig.answers == [(1, True)]


def test_without_a_guard_no_pulse_is_held(rig: Rig) -> None:
    rig.relay.there = False
    assert rig.barrier.hold(0, 300, lambda _ok: None) is None
