"""What no known key signed is in doubt once, then it is refused; the venue is asked in between."""

import asyncio

import pytest

from edge.front.doubt import SETTLED_S, UNSIGNED, Doubt


@pytest.mark.parametrize("code", sorted(UNSIGNED))
async def test_the_venue_is_asked_before_it_is_refused(code: str) -> None:
    now_s, due = [100.0], asyncio.Event()
    doubt = Doubt(lambda: int(now_s[0] * 1e9), due)
    assert doubt.cast(code)
    assert (doubt.stands, due.is_set()) == (True, True)
    assert doubt.cast(code), "as long as nobody knows whether there are newer keys"
    due.clear()
    doubt.settle()
    assert (doubt.cast(code), doubt.stands, due.is_set()) == (False, False, False)
    doubt.ask()  # the venue says so itself
    assert (doubt.stands, due.is_set()) == (True, True)
    doubt.settle()
    now_s[0] += SETTLED_S
    assert doubt.cast(code), "another key may have been rolled since"


async def test_what_was_refused_for_another_reason_is_no_doubt() -> None:
    due = asyncio.Event()
    doubt = Doubt(lambda: 0, due)
    assert not doubt.cast("unknown_gate")
    assert (doubt.stands, due.is_set()) == (False, False)
