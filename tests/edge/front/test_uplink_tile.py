"""What the uplink says of itself, loop by loop; here: how old the centre's last proof of the list is."""

from collections.abc import Callable

from edge.front.centre import CutOff
from edge.front.meter import Level
from edge.front.uplink_tile import SAY_EVERY_S, Facts, UplinkTile
from edge.link import UplinkSaid
from tests.edge.test_clock import HandClock

WELL = Facts(0, 0, 0, False, True, 0, 0, 0, Level.FREE, False)


def tile_of(
    said: list[UplinkSaid],
    clock: HandClock,
    facts: Facts = WELL,
    back: Callable[[str, frozenset[str]], None] = lambda _name, _others: None,
) -> UplinkTile:
    return UplinkTile(said.append, lambda: facts, back, clock, 5.0)


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


def test_a_cut_is_over_with_the_first_answer_and_the_others_ask_at_once() -> None:
    said: list[UplinkSaid] = []
    told: list[tuple[str, frozenset[str]]] = []
    tile = tile_of(said, HandClock(), back=lambda name, others: told.append((name, others)))
    for name in ("records", "feed", "time"):
        tile.answered(name)
    for name in ("records", "feed", "time"):
        tile.cut_off(name, CutOff())
    assert (said[-1].code, tile.is_up) == ("uplink.cut_off", False)
    tile.answered("records")
    assert told == [("records", frozenset({"feed", "time"}))]
    assert (said[-1].code, tile.is_up) == ("uplink.ok", True)
    tile.cut_off("time", CutOff())
    assert said[-1].code == "uplink.cut_off", "it asked, and had no answer"
    tile.answered("feed")
    assert said[-1].code == "uplink.cut_off", "what others hear says nothing of it any more"
    assert told[1:] == [("feed", frozenset())]
    tile.answered("time")
    assert (said[-1].code, tile.is_up) == ("uplink.ok", True)


def test_a_refusal_is_no_cut() -> None:
    said: list[UplinkSaid] = []
    tile = tile_of(said, HandClock())
    tile.answered("records")
    tile.cut_off("time", CutOff())
    tile.refuse("time", "unknown_gate", "unknown_gate")
    assert not tile.is_cut_off
