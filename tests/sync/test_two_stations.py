"""Two check-in stations cut off from each other, as real daemons: once they hear of each other one bind holds, everywhere."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from admission.credentials import Medium
from admission.question import LaneFacts
from admission.reasons import Reason
from admission.records import Direction, Kind, Outcome
from drivers.sims.serial_scanner import SerialScanner
from edge.link import CHECK_IN, Health, Part, Seen
from sync import demo
from sync.customers.bound import State, settle_due
from tests.edge.rig import Gate, assert_verifies
from tests.edge.test_check_in import desk
from tests.sync.gates import SECOND_GATE, WAIT_S, codes, two_gates
from tests.sync.venue import NOW_S, Venue, query

RED, BLUE, GREEN = "04FF00112233A1", "04FF00112233A2", "04FF00112233A3"
GRANTED = Outcome.GRANT, Reason.NONE
REPLACED, INACTIVE = (Outcome.DENY, Reason.REPLACED), (Outcome.DENY, Reason.INACTIVE_TAG)


async def bind(gate: Gate, tags: SerialScanner, code: str, uid: str) -> None:
    """Scan a ticket at a station and tap a tag; on the disk when it is told."""
    before = len(answers(gate))
    await gate.hardware.second.scan(code.encode())
    await gate.until(lambda: len(answers(gate)) > before, "the ticket is taken")
    assert answers(gate)[0].line == "tap_tag", Reason(answers(gate)[0].reason).name
    await tags.scan(uid.encode())
    await gate.until(lambda: len(answers(gate)) > before + 1, "the tag is answered")
    assert answers(gate)[0].line == "bound", Reason(answers(gate)[0].reason).name


def answers(gate: Gate) -> list[Seen]:
    return [one for one in gate.daemon.recent if one.kind == CHECK_IN]


def says(gate: Gate, shown: str) -> tuple[Outcome, Reason]:
    """What a gate makes of a code, or of a tag by its UID, at lane 1; nobody stands there."""
    judge = gate.daemon.judge
    is_tag = shown in (RED, BLUE, GREEN)
    identity = judge.identify(
        bytes.fromhex(shown) if is_tag else shown.encode(), Medium.UID if is_tag else Medium.BARCODE
    )
    plan = judge.plan(1)
    assert plan is not None
    verdict = judge.answer(identity, Direction.ENTRY, LaneFacts(plan)).verdict
    return verdict.outcome, verdict.reason


def is_open(gate: Gate) -> bool:
    return gate.health(Part.READER, "2.8") is Health.OK


def agrees(gate: Gate, wanted: Mapping[str, tuple[Outcome, Reason]]) -> bool:
    return {one: says(gate, one) for one in wanted} == wanted


async def test_what_two_stations_bound_apart_is_one_thing_everywhere_once_they_hear_of_each_other(
    venue: Venue, tmp_path: Path
) -> None:
    """One ticket got two tags, and one tag two tickets. Whose clock was ahead is first: the centre is asked which that is."""
    tickets = codes(venue)
    twice, day, staff = tickets["vip"], tickets["day"], tickets["staff"]
    desks = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        desks.append(desk(tmp_path / name))
    adjusts = iter([adjust for _, adjust in desks])

    def one_each(text: str) -> str:
        return next(adjusts)(text)

    async with two_gates(venue, tmp_path, one_each) as (main, second):
        (at_main, _), (at_second, _) = desks
        for gate in (main, second):
            await gate.until(partial(is_open, gate), "the tag reader is open")
        await venue.stop()
        await bind(main, at_main, twice, RED)
        await bind(second, at_second, twice, BLUE)
        await bind(second, at_second, day, GREEN)
        await bind(main, at_main, staff, GREEN)
        # Each believes its own station while it hears of no other.
        assert agrees(main, {twice: REPLACED, RED: GRANTED, staff: REPLACED, GREEN: GRANTED, day: GRANTED})
        assert agrees(second, {twice: REPLACED, BLUE: GRANTED, day: REPLACED, GREEN: GRANTED, staff: GRANTED})

        await venue.start()
        await main.until(lambda: len(bound(venue)) == 4, "the centre has all four", WAIT_S)
        came = [(gate, uid) for gate, uid, _ in bound(venue)]
        red_first = came.index((demo.MAIN_GATE, RED)) < came.index((SECOND_GATE, BLUE))
        day_first = came.index((SECOND_GATE, GREEN)) < came.index((demo.MAIN_GATE, GREEN))
        held, lost = (RED, BLUE) if red_first else (BLUE, RED)
        owner, other = (day, staff) if day_first else (staff, day)
        wanted = {
            twice: REPLACED, held: GRANTED, lost: INACTIVE, owner: REPLACED, GREEN: GRANTED, other: GRANTED,
        }  # fmt: skip
        for gate in (main, second):
            await gate.until(partial(agrees, gate, wanted), "one bind of each holds", WAIT_S)
        settle_due(venue.centre.database, venue.centre.keys, NOW_S)
        first, last = State.HOLDS, State.TICKET_BOUND
        of_green = (State.HOLDS, State.TAG_TAKEN) if day_first else (State.TAG_TAKEN, State.HOLDS)
        assert {(gate, uid): state for gate, uid, state in bound(venue)} == {
            (demo.MAIN_GATE, RED): first if red_first else last,
            (SECOND_GATE, BLUE): last if red_first else first,
            (SECOND_GATE, GREEN): of_green[0],
            (demo.MAIN_GATE, GREEN): of_green[1],
        }
        assert {what for (what,) in query(venue, "SELECT what FROM trouble")} == {
            "ticket_bound", "tag_taken",
        }, "the losers are shown"  # fmt: skip
        active = {uid for (uid,) in query(venue, "SELECT uid FROM tag WHERE active")}
        assert active & {RED, BLUE, GREEN} == {held, GREEN}

        # Whose tag does not hold comes to a desk again: his ticket has its tag, and nothing more is bound.
        before, binds = len(answers(second)), second.kinds().count(Kind.BIND)
        await second.hardware.second.scan(twice.encode())
        await second.until(lambda: len(answers(second)) > before, "answered")
        assert Reason(answers(second)[0].reason) is Reason.REPLACED
        await at_second.scan(lost.encode())
        await second.until(lambda: len(answers(second)) > before + 1, "answered")
        assert Reason(answers(second)[0].reason) is Reason.TAG_TAKEN
        assert second.kinds().count(Kind.BIND) == binds
    for gate in (main, second):
        assert_verifies(gate.data)


def bound(venue: Venue) -> list[tuple[object, ...]]:
    """Each bind as the centre has it, the first first: station, tag and what came of it."""
    return query(venue, "SELECT gate_id, uid, state FROM bind ORDER BY time_us, gate_id, seq")
