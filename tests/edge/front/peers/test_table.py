"""Where neighbours may be found: whoever says so proves nothing, and keeps nobody from being found."""

import random

from admission.ids import GateId
from edge.front.peers.table import AGAIN_MAX_S, HINT_AGAIN_S, Table

OWN, FIRST, SECOND = GateId(1), GateId(2), GateId(3)
AT = ("192.168.1.2", 7342)


class Room:
    """A table whose clock a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.table = Table(OWN, lambda: self.now_s, random.Random(1))
        self.here: set[GateId] = set()

    def due(self) -> list[tuple[str, int]]:
        self.now_s += AGAIN_MAX_S
        return self.table.due(self.here.__contains__)

    def is_found(self, gate: GateId) -> None:
        """Who was dialled proves itself, and goes again."""
        self.table.found(AT, gate)
        self.table.ended(AT)


def test_a_hint_that_says_that_somebody_else_is_there_keeps_nobody_from_being_dialled() -> None:
    """Also one without any key, by multicast, says so: of a gate that is talked to."""
    room = Room()
    room.table.add(AT, FIRST)
    assert room.due() == [AT]
    room.is_found(FIRST)
    room.here = {SECOND}
    room.table.add(AT, SECOND)
    assert room.due() == [AT]
    room.is_found(FIRST)
    room.here = {FIRST, SECOND}
    assert room.due() == []
    room.here = {SECOND}
    assert room.due() == [AT]


def test_an_address_is_dialled_once_to_see_who_is_there() -> None:
    room = Room()
    room.here = {FIRST}
    room.table.add(AT, FIRST)
    assert room.due() == [AT]
    room.is_found(FIRST)
    assert room.due() == []
    room.table.add(AT, FIRST)
    assert room.due() == []


def test_who_says_one_gate_and_another_is_at_an_address_has_it_dialled_no_oftener() -> None:
    """A gate in wrong hands would have this box knock at any address of the venue hundreds of times a second."""
    now_s = [0.0]
    table = Table(OWN, lambda: now_s[0], random.Random(1))
    dials = 0
    for turn in range(1_000):
        table.add(("10.0.0.9", 7000), GateId(50 + turn % 2))
        for address in table.due(lambda _gate: False):
            dials += 1
            table.failed(address)
        now_s[0] += 0.01
    assert 1 < dials <= 10.0 / HINT_AGAIN_S + 1
