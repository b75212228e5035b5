"""Names at a gate: asked for when others are in force, and forgotten before anything is asked."""

import asyncio

from edge.front.shown_names import AGAIN_S, DEAR_S, ShownNames
from sync.wire.shown_names import NamesTold, mark_of

ONE, TWO = NamesTold(b"one", {7: "Anna M."}), NamesTold(b"two", {8: "Bo"})


class Centre:
    def __init__(self, told: NamesTold) -> None:
        self.told = told
        self.asked = 0

    async def names(self) -> NamesTold:
        self.asked += 1
        return self.told


async def test_nobody_asks_while_nobody_has_a_name() -> None:
    names, centre = ShownNames(), Centre(ONE)
    names.wants(b"")
    asking = asyncio.create_task(names.ask(centre, is_dear=False))
    await asyncio.sleep(0)
    assert centre.asked == 0
    names.wants(b"one")
    assert await asking == 0.0
    assert (names.of(7), names.of(8), names.of(0)) == ("Anna M.", "", "")


async def test_who_takes_a_name_back_is_not_shown_from_then_on_whether_or_not_the_centre_answers() -> None:
    names, centre = ShownNames(), Centre(ONE)
    names.wants(b"one")
    await names.ask(centre, is_dear=False)
    for mark in (b"two", b""):
        names.wants(mark)
        assert names.of(7) == ""
        names.wants(b"one")
        assert names.of(7) == "", "what was forgotten stays so until it is told anew"
        await names.ask(centre, is_dear=False)
        assert names.of(7) == "Anna M."


async def test_names_that_are_ahead_of_the_settings_wait_for_them() -> None:
    names, centre = ShownNames(), Centre(TWO)
    names.wants(b"one")
    assert await names.ask(centre, is_dear=False) == AGAIN_S
    assert names.of(8) == ""
    names.wants(b"two")
    assert (names.of(8), centre.asked) == ("Bo", 1)


async def test_where_bytes_are_dear_names_wait() -> None:
    names, centre = ShownNames(), Centre(ONE)
    names.wants(b"one")
    assert await names.ask(centre, is_dear=True) == DEAR_S
    assert centre.asked == 0


def test_a_mark_is_of_who_and_of_each_change() -> None:
    assert mark_of([]) == b""
    assert mark_of([(7, 1), (8, 2)]) == mark_of([(8, 2), (7, 1)])
    assert len({mark_of([(7, 1)]), mark_of([(7, 2)]), mark_of([(8, 1)]), mark_of([(7, 1), (8, 1)])}) == 4
    assert "Anna" not in repr(ONE)
