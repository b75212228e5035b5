"""Where neighbours may be found: whoever says so proves nothing, and keeps nobody from being found."""

import random

from admission.ids import GateId
from edge.front.peers.table import AGAIN_MAX_S, Table

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
