"""Tiles and the one verdict that follows from them."""

import pytest

from edge.board import Board, VerdictWord, verdict
from edge.link import Health, Part, Tile
from edge.supervise import DeviceState

OK, DEGRADED, BAD, OFF = Health.OK, Health.DEGRADED, Health.BAD, Health.OFF


def tile(part: Part, health: Health, *, stops: bool = False) -> Tile:
    return Tile(part, part.value, health, "code", stops=stops)


@pytest.mark.parametrize(
    ("tiles", "word", "cause"),
    [
        ([], VerdictWord.READY, None),
        ([tile(Part.LOG, OK, stops=True), tile(Part.UPLINK, OFF)], VerdictWord.READY, None),
        ([tile(Part.READER, BAD)], VerdictWord.DEGRADED, Part.READER),
        ([tile(Part.CLOCK, DEGRADED), tile(Part.UPLINK, BAD)], VerdictWord.DEGRADED, Part.UPLINK),
        ([tile(Part.LOG, DEGRADED, stops=True)], VerdictWord.DEGRADED, Part.LOG),
        ([tile(Part.READER, BAD), tile(Part.RELAY, BAD, stops=True)], VerdictWord.NOT_READY, Part.RELAY),
        (
            [tile(Part.RELAY, BAD, stops=True), tile(Part.LIST, BAD, stops=True), tile(Part.LOG, BAD)],
            VerdictWord.NOT_READY,
            Part.LIST,
        ),
    ],
)
def test_the_verdict_names_what_stops_most_people(
    tiles: list[Tile], word: VerdictWord, cause: Part | None
) -> None:
    for order in (tiles, tiles[::-1]):
        found = verdict(order)
        assert found.word is word
        assert (found.cause.part if found.cause else None) is cause


class Watched:
    """A board with a clock turned by hand."""

    def __init__(self) -> None:
        self.now_s, self.changes = 100, 0
        self.board = Board(lambda: self.now_s, self._changed)

    def _changed(self) -> None:
        self.changes += 1


def test_a_tile_tells_since_when_it_is_so() -> None:
    watched = Watched()
    board = watched.board
    board.put(Part.RELAY, "r", BAD, "device.gone", {"failures": 1})
    watched.now_s = 150
    board.put(Part.RELAY, "r", BAD, "device.gone", {"failures": 2})
    assert [(one.since_s, one.args["failures"]) for one in board.tiles] == [(100, 2)]
    board.put(Part.RELAY, "r", OK, "device.ok")
    assert board.tiles[0].since_s == 150
    assert watched.changes == 3


def test_nothing_new_is_no_change_and_what_is_over_goes() -> None:
    watched = Watched()
    board = watched.board
    state = DeviceState(OK, "device.ok", "scanner")
    board.device(Part.READER, "1.1", state, lane=1)
    board.device(Part.READER, "1.1", state, lane=1)
    assert watched.changes == 1
    assert board.health(Part.READER, "1.1") is OK
    assert board.has(Part.READER, "1.1", "device.ok")
    board.remove(Part.READER, "1.1")
    board.remove(Part.READER, "1.1")
    assert watched.changes == 2
    assert (board.tiles, board.health(Part.READER, "1.1")) == ((), OFF)
