"""Real gates on one LAN, their centre away: what one lets in the others refuse, at once."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from admission.reasons import Reason
from admission.records import Flag, Kind, Outcome
from tests.edge.rig import Gate, assert_verifies
from tests.sync.gates import codes
from tests.sync.lan import lan, records
from tests.sync.test_merged_gates import knows, presence
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


def withdrawn(gates: Sequence[Gate]) -> list[Gate]:
    """Return the gates that gave way to another."""
    return [
        gate
        for gate in gates
        if any(one.kind is Kind.GIVE_BACK and one.flags & Flag.WITHDRAWN for one in records(gate))
    ]


async def test_of_two_that_let_one_ticket_in_at_the_same_moment_one_gives_way(
    venue: Venue, tmp_path: Path
) -> None:
    ticket = codes(venue)["day"]
    async with lan(venue, tmp_path, 2) as gates:
        await venue.stop()
        await asyncio.gather(*(gate.hardware.entry.scan(ticket.encode()) for gate in gates))
        for gate in gates:
            assert (await gate.seen()).outcome == Outcome.GRANT, "neither had heard of the other"

        await gates[0].until(lambda: len(withdrawn(gates)) == 1, "one gives way")
        (loser,) = withdrawn(gates)
        (winner,) = [gate for gate in gates if gate is not loser]
        assert not loser.daemon.lanes[1].machine.reservations()
        await winner.walk()
        for gate in gates:
            await gate.until(lambda gate=gate: len(presence(gate, ticket).counted) == 1, "one use counts")  # type: ignore[misc]  # the loop's own
            assert not presence(gate, ticket).doubles(1)
        assert len(withdrawn(gates)) == 1


async def test_of_two_that_take_the_last_of_two_entries_a_day_at_the_same_moment_one_gives_way(
    venue: Venue, tmp_path: Path
) -> None:
    ticket = codes(venue)["twice"]
    async with lan(venue, tmp_path, 2) as gates:
        await venue.stop()
        await gates[0].hardware.entry.scan(ticket.encode())
        assert (await gates[0].seen()).outcome == Outcome.GRANT
        await gates[0].walk()
        await gates[1].until(lambda: knows(gates[1], ticket), "the first entry is known")
        await asyncio.gather(*(gate.hardware.entry.scan(ticket.encode()) for gate in gates))
        await gates[0].until(lambda: len(withdrawn(gates)) == 1, "one gives way")
        for gate in gates:
            await gate.until(lambda gate=gate: len(presence(gate, ticket).counted) == 2, "two uses count")  # type: ignore[misc]  # the loop's own
