"""A bad mobile link, by the kernel's netem on the box's own network card, both ways."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.box import DEAD, HOST, Box

EACH_WAY_S, SWAY_S = 0.3, 0.1
BAD = [
    *("delay", f"{EACH_WAY_S * 1000:.0f}ms", f"{SWAY_S * 1000:.0f}ms"),
    *("loss", "10%", "rate", "256kbit"),
]
"""A packet takes 0.2 to 0.4 s each way and every tenth is lost: 4G at the edge of a cell."""
HEARD_S = 180.0
"""A limit for hangs: what was lost is sent again after longer and longer pauses."""
LOST_S = 120.0


@pytest.fixture
def bad_link(box: Box) -> Iterator[Box]:
    """The gate behind such a link, whose effect was seen."""
    guest = box.guest
    guest.call("link.worsen", netem=BAD)
    try:
        took_s = min(guest.call("link.connect_s", host=HOST, port=box.centre.port) for _ in range(3))
        assert took_s >= 2 * (EACH_WAY_S - SWAY_S), "the link is not slow"
        box.note(f"bad link: a connection to the centre takes {took_s * 1000:.0f} ms")
        yield box
    finally:
        guest.call("link.mend")


def enters(box: Box, key: str) -> float:
    """Present a ticket and walk through; returns how long after its last key the line was on, in milliseconds."""
    typed_s = 0.0

    def type_it() -> None:
        nonlocal typed_s
        typed_s = box.type(box.code(key))

    swing = box.swing(type_it)
    box.walk()
    return (swing.on_s - typed_s) * 1000


def ids(records: list[dict[str, Any]]) -> set[tuple[str, int]]:
    return {(one["epoch"], one["seq"]) for one in records}


def until_heard(box: Box, records: list[dict[str, Any]]) -> float:
    """Wait until the centre has records of the gate; returns after how many seconds."""
    began = time.monotonic()
    while not ids(records) <= box.centre.seqs():
        assert time.monotonic() < began + HEARD_S, "the centre did not hear of all"
    return time.monotonic() - began


def test_over_a_bad_link_people_enter_at_once_and_the_centre_hears_of_all(bad_link: Box) -> None:
    box, before = bad_link, len(bad_link.records())
    box.note(f"bad link: the line is on {enters(box, 'twice'):.0f} ms after the last key")
    fresh = box.until_recorded("passage", before)
    took_s = until_heard(box, fresh)
    box.note(f"bad link: the centre has all {len(fresh)} records {took_s:.1f} s after they are in the log")
    deadline = time.monotonic() + LOST_S
    while not all((lost := box.guest.call("link.lost")).values()):
        assert time.monotonic() < deadline, f"nothing was lost: {lost}"
        box.guest.call("link.connect_s", host=HOST, port=box.centre.port)
    box.note(f"bad link: packets lost: {lost}")


def test_in_a_dead_spot_people_enter_all_the_same_and_the_centre_hears_of_it_afterwards(
    bad_link: Box,
) -> None:
    box, before = bad_link, len(bad_link.records())
    box.guest.call("link.worsen", netem=DEAD)
    lost = box.guest.call("link.lost")["out"]
    took_ms = enters(box, "staff")
    fresh = box.until_recorded("passage", before)
    # A head may have been signed before the link was dead.
    people = [one for one in fresh if one["kind"] in {"scan", "passage"}]
    assert not ids(people) & box.centre.seqs(), "something came through"
    assert box.guest.call("link.lost")["out"] > lost, "the gate did not try"
    box.guest.call("link.worsen", netem=BAD)
    took_s = until_heard(box, fresh)
    box.note(f"dead spot: the line is on {took_ms:.0f} ms after the last key")
    box.note(f"dead spot: the centre has all {len(fresh)} records {took_s:.1f} s after it is over")
