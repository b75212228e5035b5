"""One lane's contacts: what is an edge, what a level, and what two at once mean."""

import asyncio

import msgspec

from admission.lane import (
    Detected,
    DoorChanged,
    ExitAsked,
    FireChanged,
    LaneEvent,
    Passed,
    SensorsChanged,
)
from admission.records import Direction
from drivers.base import InputChanged
from edge.contacts import FAULT, NO_POWER, OPEN, PAIR_S, SHUT, Contacts
from edge.settings import LaneSettings


class TurnedLoop(asyncio.SelectorEventLoop):
    """A loop whose time is ahead by what it was turned."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s

    async def turn(self, length_s: float) -> None:
        self.ahead_s += length_s
        for _ in range(3):
            await asyncio.sleep(0)


OWN = {"entry": 0, "exit": 1, "ready": 2, "fire": 3, "fault": 4, "detector": 5, "door": 6}
BUTTON = 7


class Rig:
    """A lane's contacts; `events` without what only says that the sensors are there."""

    def __init__(self, *, power: bool = False, **contacts: int | None) -> None:
        wired = {f"{name}_contact": line for name, line in {**OWN, **contacts}.items()}
        self.events: list[LaneEvent] = []
        self.alerts: list[str] = []
        self.told = 0
        settings = msgspec.convert(
            {
                "id": 1,
                "name": "Lane",
                "readers": [{"driver": "serial", "id": 1, "way": "entry", "port": "/dev/a"}],
                "exit_button": BUTTON,
                "contacts_show_power": power,
                **wired,
            },
            LaneSettings,
        )
        self.contacts = Contacts(settings, self._drive, self._tell, self.alerts.append)

    def _drive(self, event: LaneEvent) -> None:
        if not isinstance(event, SensorsChanged):
            self.events.append(event)

    def _tell(self) -> None:
        self.told += 1

    def change(self, line: int, *, active: bool = True, first: bool = False) -> list[LaneEvent]:
        del self.events[:]
        self.contacts.changed(InputChanged(line, active, 0, first=first))
        return list(self.events)


def test_edges_count_once_and_never_as_they_were_found() -> None:
    rig = Rig()
    edges: list[tuple[int, LaneEvent]] = [
        (0, Passed(Direction.ENTRY)),
        (1, Passed(Direction.EXIT)),
        (5, Detected()),
        (BUTTON, ExitAsked()),
    ]
    for line, event in edges:
        assert rig.change(line, first=True) == []
        assert rig.change(line, active=False) == []
        assert rig.change(line) == [event]


def test_a_door_and_the_fire_contact_are_levels() -> None:
    rig = Rig()
    assert rig.change(6, first=True) == [DoorChanged(open=True, first=True)]
    assert rig.change(6, active=False) == [DoorChanged(open=False)]
    assert rig.change(6) == [DoorChanged(open=True)]
    assert rig.change(3, first=True) == [FireChanged(active=True)]


def test_a_turnstile_is_ready_while_it_says_so_and_has_no_fault() -> None:
    rig = Rig()
    assert rig.contacts.trouble == SHUT
    rig.change(2, first=True)
    assert (rig.contacts.trouble, rig.told) == (OPEN, 1)
    rig.change(4)
    rig.change(4)
    assert (rig.contacts.trouble, rig.alerts) == (FAULT, ["fault"])
    rig.change(4, active=False)
    assert rig.contacts.trouble == OPEN
    rig.change(2, active=False)
    assert rig.contacts.trouble == SHUT


def test_without_a_ready_contact_it_is_ready() -> None:
    assert Rig(ready=None).contacts.trouble == OPEN


def test_what_cannot_be_seen_is_not_ready_and_shuts_no_alarm_off() -> None:
    rig = Rig(power=True)
    rig.change(2)
    rig.change(4)
    del rig.events[:]
    rig.contacts.lost()
    assert rig.events == [DoorChanged(open=False)]
    assert rig.contacts.trouble == SHUT


def test_lines_that_cannot_be_seen_take_only_what_they_told_with_them() -> None:
    rig = Rig()
    rig.change(2)
    rig.change(4)
    del rig.events[:]
    rig.contacts.lost(range(8, 16))
    assert (rig.events, rig.contacts.trouble) == ([], FAULT)
    rig.contacts.lost(range(4, 8))
    assert rig.events == [DoorChanged(open=False)]
    assert rig.contacts.trouble == OPEN, "READY is on the other board, and seen"
    rig.contacts.lost(range(2, 3))
    assert rig.contacts.trouble == SHUT
    assert rig.change(0) == [Passed(Direction.ENTRY)]


def test_both_passage_contacts_at_once_are_a_turnstile_without_power() -> None:
    loop = TurnedLoop()

    async def power_fails() -> None:
        rig = Rig(power=True)
        rig.change(2)
        assert rig.change(0) == []
        await loop.turn(PAIR_S / 2)
        assert rig.change(1) == []
        assert rig.contacts.trouble == NO_POWER
        await loop.turn(2 * PAIR_S)
        assert rig.events == []
        rig.change(0, active=False)
        rig.change(1, active=False)
        assert rig.contacts.trouble == OPEN
        rig.change(1)
        await loop.turn(PAIR_S)
        assert rig.events == [Passed(Direction.EXIT)]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(power_fails())


def test_who_passes_as_the_gate_ends_has_passed() -> None:
    async def ends() -> None:
        rig = Rig(power=True)
        rig.change(0)
        rig.contacts.drain()
        assert rig.events == [Passed(Direction.ENTRY)]

    asyncio.run(ends())
