"""What gates claim, reckoned up: no honest evening is ever in doubt, and no made-up one gets far."""

import random
from collections.abc import Iterator

from msgspec.structs import replace

from admission.ids import Epoch, EventId, GateId, RecordId, TicketId
from admission.observed import OF_DEVICE, PresenceRow, Role
from edge.claims import BURST, LANE_PER_S, LANES_UNKNOWN, SLOTS_MAX, Claims, Doubts, Known
from sync.wire.counted import Limit

GATE = GateId(5)
EPOCH = Epoch(7)
LANES = 4
BEGAN_US = 1_795_348_800_000_000


def row(seq: int, at_s: float, role: Role = Role.ENTRY, epoch: Epoch = EPOCH) -> PresenceRow:
    name = RecordId(GATE, epoch, seq)
    return PresenceRow(EventId(1), TicketId(seq), name, role, BEGAN_US + int(at_s * 1_000_000))


def at(now_s: float, lanes: int = LANES) -> Known:
    return Known(GATE, lanes, now_s)


def people(chance: random.Random, begin_s: float, end_s: float, mean_s: float) -> Iterator[float]:
    """When somebody comes to one of the lanes."""
    now_s = begin_s
    while (now_s := now_s + chance.expovariate(LANES / mean_s)) < end_s:
        yield now_s


def test_a_crowded_evening_with_cuts_and_groups_is_never_in_doubt() -> None:
    """Four lanes as fast as optical ones, in and out, a group of 200, hours away that come at once: all is believed."""
    chance = random.Random(4)
    claims = Claims()
    seq, held_back = 0, []
    times = sorted([*people(chance, 0, 7200, 2.0), *(3600.0 + n / 1000 for n in range(200))])
    for now_s in times:
        seq += 1
        held_back.append(row(seq, now_s, chance.choice((Role.ENTRY, Role.EXIT, Role.STATE))))
        if 1000 < now_s < 6000 or (len(held_back) < 5 and chance.random() < 0.5):
            continue  # cut off, or on its way
        assert claims.took(at(now_s), EPOCH, seq, held_back) is None
        claims.heard(at(now_s), 0.5)
        held_back = []


def test_the_day_of_a_gate_that_was_never_heard_before_is_believed_as_its_own_times_are() -> None:
    claims = Claims()
    chance = random.Random(5)
    day = [row(seq, at_s) for seq, at_s in enumerate(people(chance, 0, 8 * 3600, 1.5), 1)]
    assert len(day) > 50_000
    for first in range(0, len(day), 48):
        part = day[first : first + 48]
        assert claims.took(at(first / 48 * 0.001), EPOCH, part[-1].id.seq, part) is None, (
            "all of it in seconds"
        )
    claims.heard(at(10.0), 0.1)
    assert claims.took(at(11.0), EPOCH, len(day) + 1, [row(len(day) + 1, 9 * 3600)]) is None


def test_what_a_gate_that_is_heard_claims_at_once_is_in_doubt_whatever_times_it_gives() -> None:
    for role in (Role.ENTRY, Role.EXIT):
        claims = Claims()
        assert claims.took(at(0.0), EPOCH, 3, [row(2, 0.0, role)]) is None
        claims.heard(at(1.0), 0.0)
        spread = [row(seq, seq * 10.0, role) for seq in range(4, 4 + 2 * BURST)]
        found = [claims.took(at(2.0 + n / 1000), EPOCH, one.id.seq, [one]) for n, one in enumerate(spread)]
        first = next(n for n, one in enumerate(found) if one is not None)
        assert BURST <= first <= BURST + 2 * LANES * LANE_PER_S + 2
        assert found[first] == Limit(GATE, {EPOCH: 3}, others=False), "back to where it was sure"


def test_times_made_up_too_tight_for_its_lanes_are_in_doubt_before_it_is_ever_heard() -> None:
    claims = Claims([(GATE, Epoch(6), 90)])
    tight = [row(seq, seq * 0.9 / (LANES * LANE_PER_S)) for seq in range(2, 20 * BURST)]
    found = claims.took(at(0.0), EPOCH, tight[-1].id.seq, tight)
    assert found == Limit(GATE, {Epoch(6): 90}, others=False), "what was held at the start stands"
    easy = [row(seq, seq * 1.1 / (LANES * LANE_PER_S)) for seq in range(2, 20 * BURST)]
    assert Claims().took(at(0.0), EPOCH, easy[-1].id.seq, easy) is None


def test_a_leap_of_its_clock_gains_a_gate_no_more_than_a_group() -> None:
    claims = Claims()
    leaping = [row(seq, seq // BURST * 86_400.0 + seq / 1000) for seq in range(2, 3 * BURST)]
    assert claims.took(at(0.0), EPOCH, leaping[-1].id.seq, leaping) is None
    more = [row(seq, 4 * 86_400.0) for seq in range(3 * BURST, 5 * BURST)]
    assert claims.took(at(0.0), EPOCH, more[-1].id.seq, more) is not None


def test_times_that_go_to_and_fro_gain_a_gate_that_was_never_heard_nothing() -> None:
    for flags in (0, OF_DEVICE):
        claims = Claims()
        swinging = [replace(row(seq, seq % 2 * 86_400.0), flags=flags) for seq in range(2, 20 * BURST)]
        found = [claims.took(at(0.0), EPOCH, one.id.seq, [one]) for one in swinging]
        first = next((n for n, one in enumerate(found) if one is not None), None)
        assert first is not None, "two moments hold no more than two groups"
        assert first <= 2 * BURST


def test_a_clock_that_was_set_back_by_an_hour_and_two_handhelds_of_one_day_are_believed() -> None:
    chance = random.Random(6)
    hour = list(people(chance, 0, 3600, 2.0))
    again = [row(seq, at_s) for seq, at_s in enumerate([*hour, *hour], 2)]
    assert Claims().took(at(0.0), EPOCH, again[-1].id.seq, again) is None
    docked = [replace(one, flags=OF_DEVICE) for one in again]
    assert Claims().took(at(0.0), EPOCH, docked[-1].id.seq, docked) is None


def test_a_wrong_clock_at_each_start_of_a_gate_that_is_heard_puts_it_in_no_doubt() -> None:
    claims, seq = Claims(), 1
    for start in range(20):
        for n in range(100):
            seq += 1
            now_s = 10_000.0 * start + n
            assert claims.took(at(now_s), EPOCH, seq, [row(seq, n * 0.01)]) is None
            claims.heard(at(now_s + 0.5), 0.0)


def test_more_moments_than_are_kept_apart_gain_a_gate_no_more_than_a_group() -> None:
    claims, seq = Claims(), 1
    for slot in range(SLOTS_MAX + 1):
        seq += 1
        assert claims.took(at(0.0), EPOCH, seq, [row(seq, slot * 100.0)]) is None
    old = [row(seq + n, n % (SLOTS_MAX // 4) * 100.0) for n in range(1, BURST + 2)]
    assert claims.took(at(0.0), EPOCH, old[-1].id.seq, old) is not None, "no longer told apart"


def test_the_same_said_again_is_no_further_claim_and_passages_are_none_at_all() -> None:
    claims = Claims()
    claims.heard(at(0.0), 0.0)
    some = [row(seq, 1.0) for seq in range(2, BURST)]
    for _ in range(5):
        assert claims.took(at(1.0), EPOCH, some[-1].id.seq, some) is None
    passed = [row(seq, 1.0, Role.STATE) for seq in range(BURST, 9 * BURST)]
    assert claims.took(at(1.0), EPOCH, passed[-1].id.seq, passed) is None


def test_a_gate_that_the_list_does_not_know_is_given_many_lanes() -> None:
    assert at(0.0, lanes=0).per_s == LANES_UNKNOWN * LANE_PER_S


def test_doubts_end_where_the_centre_has_spoken_and_nowhere_else() -> None:
    limit = Limit(GATE, {EPOCH: 3}, others=False)
    doubts = Doubts().also(limit)
    assert doubts.also(Limit(GATE, {EPOCH: 9}, others=False)).limits == (limit,)
    assert doubts.takes([row(4, 0.0)])
    assert not doubts.takes([row(3, 0.0)])
    assert doubts.takes([row(1, 0.0, epoch=Epoch(8))]), "later runs too"
    assert not doubts.takes([row(4, 0.0, Role.EXIT)]), "an exit takes no use"
    same = Limit(GATE, exits=False)
    assert doubts.settled({}, {GATE: same}).gates == {GATE}
    assert not doubts.settled({}, {GATE: Limit(GATE, {EPOCH: 3}, others=False)})
    assert not doubts.settled({GATE: limit}, {GATE: Limit(GATE, {EPOCH: 3})})


def test_what_a_handheld_stored_all_day_is_believed_when_it_is_docked_and_no_more_than_a_day_holds() -> None:
    claims = Claims()
    claims.heard(at(0.0), 0.0)
    day = [
        replace(row(seq, -36_000 + 10.0 * seq), flags=OF_DEVICE) for seq in range(1, 4 * BURST)
    ]  # one every ten seconds, all told within a second
    assert claims.took(at(1.0), EPOCH, len(day), day) is None
    assert claims.took(at(2.0), EPOCH, 5000, [row(5000, 2.0)]) is None, "the gate's own people beside it"
    made_up = [replace(row(seq, -3_600.0), flags=OF_DEVICE) for seq in range(5001, 5002 + BURST)]
    assert claims.took(at(3.0), EPOCH, 6000, made_up) is not None
