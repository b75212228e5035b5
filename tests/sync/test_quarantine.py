"""A gate that was shut out: what it recorded from then on counts nowhere, what it recorded before counts on."""

import itertools
from pathlib import Path

from sqlalchemy import Connection

from admission.ids import Epoch, EventId, GateId, LaneId, TicketId
from admission.presence import State
from admission.reasons import Reason
from admission.records import Outcome
from edge.link import Health, Part
from edge.memory import kept_limits
from sync import demo
from sync.accounts.principal import Role
from sync.board.boards import Boards
from sync.board.timeline import steps
from sync.events.rows import GROUP
from sync.gates import declared
from sync.store.schema import signed
from sync.web.words import Language, Words
from sync.wire.roster import Ways
from tests.edge.rig import Gate
from tests.sync.gates import WAIT_S, codes, two_gates
from tests.sync.people import Caller, token_of
from tests.sync.test_merged_gates import knows, presence, ticket_of
from tests.sync.venue import NOW_S, Venue

GATE = f"/api/v1/gates/{demo.MAIN_GATE}"


def is_through(gate: Gate, code: str) -> bool:
    found = presence(gate, code)
    return [found.state(one) for one in found.live] == [State.COMMITTED]


def rows_at_centre(venue: Venue, of: tuple[EventId, TicketId]) -> int:
    with venue.centre.database.reading() as connection:
        found = connection.exec_driver_sql(
            f"SELECT count(*) FROM presence WHERE event = {of[0]} AND ticket = {signed(of[1])}"
        )
        return int(found.scalar_one())


def ways_at_centre(venue: Venue) -> list[dict[LaneId, int]]:
    with venue.centre.database.reading() as connection:
        return list(declared.of_group(connection, GROUP).values())


def inside(boards: Boards, connection: Connection) -> int:
    """How many the board shows in the arena at most, once all is counted."""
    while (seen := boards.see(connection, GROUP, demo.EVENT, NOW_S)) is None or seen.behind:
        pass
    return seen.tally.events[demo.EVENT].zones.get(demo.ARENA, [0, 0])[1]


async def test_what_a_stolen_gate_let_in_counts_nowhere(venue: Venue, tmp_path: Path) -> None:
    tickets = codes(venue)
    good, bad = tickets["day"], tickets["season"]
    boards = Boards(itertools.count(0.0, 2.0).__next__)  # each look is a step
    async with (
        two_gates(venue, tmp_path) as (stolen, other),
        Caller(venue.url, token_of(venue.centre.database, Role.ORGANIZER)) as organizer,
    ):
        # A two-way tripod and a one-way turnstile, as the boxes' own configurations have them.
        wired = {LaneId(1): int(Ways.ENTRY | Ways.EXIT), LaneId(2): int(Ways.ENTRY)}
        await other.until(lambda: ways_at_centre(venue) == [wired, wired], "the lanes are told of", WAIT_S)
        await stolen.hardware.entry.scan(good.encode())
        assert (await stolen.seen()).outcome == Outcome.GRANT
        await stolen.walk()
        await other.until(lambda: is_through(other, good), "the entry is known", WAIT_S)
        # The venue's time, which both gates have of the centre.
        since_s = stolen.daemon.now_s() + 1
        await other.until(lambda: stolen.daemon.now_s() >= since_s, "the box is stolen", WAIT_S)
        await stolen.hardware.entry.scan(bad.encode())
        assert (await stolen.seen(2)).outcome == Outcome.GRANT
        await other.until(lambda: knows(other, bad), "the thief's entry is known", WAIT_S)
        names = ticket_of(other, good), ticket_of(other, bad)
        assert all(rows_at_centre(venue, one) for one in names)
        with venue.centre.database.reading() as connection:
            assert inside(boards, connection) == 2

        venue.now_s = since_s + 60  # the centre's own clock stands still here, which no gate's does
        said = await organizer.ask("POST", f"{GATE}/revocations", {"reason": "stolen", "since_s": since_s})
        assert (said.status, said.json["state"]) == (200, "revoked")
        assert said.json["quarantined"] > 0
        await other.until(lambda: not knows(other, bad), "the thief's entry counts no more", WAIT_S)
        assert is_through(other, good)
        await other.until(lambda: other.daemon.memory.occupancy_high(demo.ARENA) == 1, "counted anew", WAIT_S)
        assert other.health(Part.LOG, f"gate {demo.MAIN_GATE}") is Health.DEGRADED
        assert [bool(rows_at_centre(venue, one)) for one in names] == [True, False]
        words = Words(Language.EN)
        with venue.centre.database.reading() as connection:
            assert inside(Boards(lambda: 0.0), connection) == 1
            assert inside(boards, connection) == 1, "a board that is watched counts anew"
            (step, *_) = steps(connection, GROUP, *names[1], words)
            assert words("flag_quarantined") in step.notes
            (step, *_) = steps(connection, GROUP, *names[0], words)
            assert words("flag_quarantined") not in step.notes
        await other.hardware.entry.scan(good.encode())
        assert (await other.seen()).reason == Reason.ALREADY_USED
        await other.hardware.entry.scan(bad.encode())
        assert (await other.seen(2)).outcome == Outcome.GRANT

        reader = other.reader()
        (limit,) = kept_limits(reader)  # what the next start goes by
        reader.close()
        assert (limit.gate, limit.others, list(limit.ends)) == (
            demo.MAIN_GATE,
            False,
            [Epoch(stolen.daemon.journal.epoch)],
        )
        assert GateId(limit.gate) == demo.MAIN_GATE
