"""Real gates on one LAN, their centre away: what one lets in the others refuse, at once."""

import time
from pathlib import Path

from admission.reasons import Reason
from admission.records import Flag, Outcome
from tests.edge.rig import assert_verifies
from tests.sync.gates import codes
from tests.sync.lan import lan
from tests.sync.test_merged_gates import knows
from tests.sync.venue import Venue


async def test_with_the_uplink_down_what_one_lets_in_the_other_refuses(venue: Venue, tmp_path: Path) -> None:
    ticket = codes(venue)["day"]
    async with lan(venue, tmp_path, 2) as (one, two):
        await venue.stop()
        await one.hardware.entry.scan(ticket.encode())
        seen = await one.seen()
        began_s = time.monotonic()
        assert seen.outcome == Outcome.GRANT
        assert not seen.flags & Flag.UNSURE, "the other gate is heard, centre or not"
        await two.until(lambda: knows(two, ticket), "the entry is known")
        assert time.monotonic() - began_s < 2, "no head and no centre is waited for"
        await two.hardware.entry.scan(ticket.encode())
        seen = await two.seen()
        assert (seen.outcome, seen.reason) == (Outcome.DENY, Reason.ALREADY_USED)
        assert seen.gate == one.daemon.enrolment.gate
        await one.walk()
    for gate in (one, two):
        assert_verifies(gate.data)
