"""What the uplink says of itself, loop by loop; here: how old the centre's last proof of the list is."""

from edge.front.meter import Level
from edge.front.uplink_tile import SAY_EVERY_S, Facts, UplinkTile
from edge.link import UplinkSaid
from tests.edge.test_clock import HandClock

WELL = Facts(0, 0, 0, False, True, 0, 0, 0, Level.FREE, False)


def tile_of(said: list[UplinkSaid], clock: HandClock, facts: Facts = WELL) -> UplinkTile:
    return UplinkTile(said.append, lambda: facts, lambda: None, clock, 5.0)


def test_the_age_of_a_proof_is_told_by_a_clock_that_nobody_sets() -> None:
    said: list[UplinkSaid] = []
    clock = HandClock()
    tile = tile_of(said, clock)
    tile.answered("records")
    tile.list_answered()
    clock.go_on(SAY_EVERY_S + 1, step_s=-86_400 * 3650)
    tile.tell()
    assert [one.list_age_s for one in said] == [None, SAY_EVERY_S + 1]


def test_news_that_is_refused_or_waits_leaves_the_list_unproved() -> None:
    said: list[UplinkSaid] = []
    tile = tile_of(said, HandClock())
    tile.list_answered()
    tile.answered("list")
    tile.refuse("changes", "forged", "changes.refused")
    assert [one.list_age_s for one in said] == [0, None]
    waits: list[UplinkSaid] = []
    waiting = tile_of(waits, HandClock(), WELL._replace(list_waits=True))
    waiting.list_answered()
    waiting.answered("list")
    assert waits[-1].list_age_s is None
