"""A box that is swapped in where the centre is behind 2G: it admits soon, and knows who is inside."""

from pathlib import Path

from tests.edge.front.slow_link import EDGE_BYTES_S
from tests.sync.gates import codes
from tests.sync.swapped import swap_in
from tests.sync.venue import Venue

SWAPPED_S = 120.0
"""What a box that is swapped in has to admit within (issue 4, point 2)."""


async def test_a_box_swapped_in_behind_2g_admits_and_knows_who_is_inside(
    venue: Venue, tmp_path: Path
) -> None:
    swapped = await swap_in(venue, tmp_path, [codes(venue)["day"]], EDGE_BYTES_S)
    assert swapped.admits_s < SWAPPED_S
