"""What is over of a ticket's past is put away, and every answer stays what the whole of its rows folds to."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.days import Days
from admission.entitlements import Mode, Session
from admission.ids import Epoch, EventId, LaneId, RecordId, SessionId
from admission.observed import OF_DEVICE
from admission.presence import (
    PresenceRow,
    Reset,
    ResetKind,
    Resets,
    Role,
    State,
    TicketPresence,
    fold,
    fold_on,
)
from admission.records import Direction, Flag
from admission.settled import NOTHING, Settled, fits
from admission.settling import COMINGS_KEPT, LIVE_KEPT, settle
from tests.admission.one_day import same_day
from tests.admission.test_presence import (
    BOX,
    EPOCH,
    HALL,
    HERE,
    OLD,
    OTHER,
    SESSION,
    STAND,
    THERE,
    ZONES,
    row,
)

LOGS = ((HERE, EPOCH), (HERE, OLD), (THERE, OLD))


def answers(presence: TicketPresence) -> tuple[object, ...]:
    """All that is asked of a presence at a lane and by who counts people."""
    zones = (HALL, BOX, STAND)
    return (
        presence.is_empty,
        [(presence.bounds(zone), presence.fled(zone), presence.strangers_left(zone)) for zone in zones],
        [
            presence.tally(zone, session, same_day(SESSION, OTHER), gate, epoch, lane)
            for zone in zones
            for session in (SESSION, OTHER)
            for gate, epoch in ((HERE, EPOCH), (THERE, Epoch(99)))
            for lane in (LaneId(1), None)
        ],
        [presence.uses(zone, SESSION) for zone in zones],
    )


class Forward:
    """Folds as rows come, and puts away what is over (`edge.worn` does so for a gate)."""

    def __init__(self, resets: Resets, comings_kept: int, live_kept: int) -> None:
        self.resets, self.kept = resets, (comings_kept, live_kept)
        self.all: list[PresenceRow] = []
        self.settled: Settled = NOTHING
        self.rows: tuple[PresenceRow, ...] = ()
        self.anew = self.on = 0

    def take(self, one: PresenceRow) -> TicketPresence:
        self.all.append(one)
        fresh = {of.id: of for of in self.rows if of.role in (Role.ENTRY, Role.EXIT)}
        presence = None
        if fits(self.settled, fresh, one):
            self.rows = (*self.rows, one)
            presence = fold_on(self.settled, self.rows, self.resets, ZONES)
        if presence is None:
            self.anew += 1
            self.rows = tuple(self.all)
            presence = fold(self.rows, self.resets, ZONES)
        elif self.settled is not NOTHING:
            self.on += 1
        self.settled, self.rows = settle(presence, self.rows, *self.kept)
        return presence


def evening(chance: random.Random, rows: int) -> list[PresenceRow]:
    """Rows of one ticket, sensible for the most part: entries, passages, exits that name one of those inside or none."""
    seqs = dict.fromkeys(LOGS, 0)
    found: list[PresenceRow] = []
    comings: list[PresenceRow] = []
    for at in range(1, rows + 1):
        log = chance.choice(LOGS)
        seqs[log] += 1
        role = chance.choices([Role.ENTRY, Role.EXIT, Role.STATE, Role.ANNUL], [4, 3, 6, 1])[0]
        names: list[RecordId] = []
        if comings and (role in (Role.STATE, Role.ANNUL) or chance.random() < 0.4):
            near = comings[-4:] if chance.random() < 0.8 else comings
            names = [chance.choice(near).id]
        if chance.random() < 0.05:
            names.append(RecordId(*chance.choice(LOGS), chance.randint(1, rows)))
        states = {
            Role.ENTRY: [State.RESERVED], Role.EXIT: [State.RESERVED, State.COMMITTED],
            Role.STATE: [State.COMMITTED, State.COMMITTED, State.GIVEN_BACK], Role.ANNUL: [State.ANNULLED],
        }  # fmt: skip
        flags = chance.choices([0, Flag.REENTRY, Flag.AFTER_RESTART, OF_DEVICE], [20, 4, 1, 1])[0]
        is_coming = role in (Role.ENTRY, Role.EXIT)
        one = row(
            seqs[log], role, *names, gate=log[0], epoch=log[1], at=max(1, at + chance.choice([0] * 9 + [-9, -2, 2])),
            state=chance.choice(states[role]), way=None if is_coming else chance.choice([Direction.NONE, Direction.ENTRY]),
            zone=chance.choice([HALL, HALL, BOX, STAND]), session=chance.choice([SESSION, SESSION, OTHER]),
            mode=chance.choice(list(Mode)), flags=flags,
        )  # fmt: skip
        found.append(one)
        if is_coming:
            comings.append(one)
    return found


def heard(chance: random.Random, rows: Sequence[PresenceRow]) -> list[PresenceRow]:
    """The rows as a gate hears of them: mostly at once, some later, some twice."""
    places = [
        (n + (chance.randint(1, 12) if chance.random() < 0.15 else 0), one) for n, one in enumerate(rows)
    ]
    places += [(n + 5, one) for n, one in places if chance.random() < 0.02]
    return [one for _, one in sorted(places, key=lambda place: place[0])]


def some_resets(chance: random.Random, rows: int) -> Resets:
    resets = [
        Reset(
            RecordId(*chance.choice(LOGS), 1000 + n), chance.choice([HALL, BOX]), chance.randint(1, rows) * 1_000_000,
            tuple(RecordId(*log, chance.randint(0, rows // 2)) for log in LOGS if chance.random() < 0.7),
            chance.choice(list(ResetKind)),
        )
        for n in range(chance.choice([0, 0, 1, 2, 4]))
    ]  # fmt: skip
    return Resets(resets, ZONES)


def played(chance: random.Random, asked: float = 0.2) -> Forward:
    """One evening of one ticket, many an answer and the last held against the whole fold."""
    count = chance.randint(1, 60)
    forward = Forward(some_resets(chance, count), chance.choice([0, 1, 2, 4]), chance.choice([0, 1, 3]))
    told = heard(chance, evening(chance, count))
    for left, one in enumerate(told, 1 - len(told)):
        presence = forward.take(one)
        if not left or chance.random() < asked:
            assert answers(presence) == answers(fold(forward.all, forward.resets, ZONES))
    return forward


@given(st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_every_answer_is_that_of_the_whole_fold_in_whatever_order_rows_come(chance: random.Random) -> None:
    played(chance)


def test_more_rows_are_folded_on_top_of_the_sum_than_anew() -> None:
    """Else the test above would hold of a sum that is never used."""
    chance = random.Random(5)
    games = [played(chance, 0) for _ in range(40)]
    assert sum(one.on for one in games) > sum(one.anew for one in games) > 0


@pytest.mark.parametrize("leaves", [True, False])
def test_a_season_of_a_staff_pass_is_folded_on_top_whoever_tells_a_moment_late(leaves: bool) -> None:
    """In and out by two gates, each with the person's passage; also where nobody is ever seen to leave."""
    forward = Forward(Resets((), ZONES), COMINGS_KEPT, LIVE_KEPT)
    whole: list[PresenceRow] = []
    inside: tuple[RecordId, ...] = ()
    seqs = dict.fromkeys((HERE, THERE), 0)
    for visit in range(60):
        for way in (Role.ENTRY, Role.EXIT) if leaves else (Role.ENTRY,):
            gate = (HERE, THERE)[visit % 3 == 0]
            at = 100 * visit + 50 * way + 1
            seqs[gate] += 2
            coming = row(
                seqs[gate],
                way,
                *(inside if way is Role.EXIT else ()),
                gate=gate,
                at=at,
                session=SessionId(visit),
            )
            passage = row(
                seqs[gate] + 1,
                Role.STATE,
                coming.id,
                gate=gate,
                at=at + 1,
                state=State.COMMITTED,
                way=coming.way,
            )
            seqs[gate] += 1
            whole += [coming, passage]
            inside = (coming.id,)
    # What the other gate recorded is told two records later.
    told = sorted(enumerate(whole), key=lambda one: one[0] + 4 * (one[1].id.gate == THERE))
    rows_most = 0
    for n, (_, one) in enumerate(told):
        presence = forward.take(one)
        rows_most = max(rows_most, len(forward.rows))
        if n % 30 == 0:
            assert answers(presence) == answers(fold(forward.all, forward.resets, ZONES))
    assert forward.anew == 0
    assert rows_most <= 2 * (COMINGS_KEPT + LIVE_KEPT) + 4
    assert presence.tally(HALL, SessionId(59), same_day(), HERE, EPOCH).uses_total == 60


def test_the_days_uses_of_a_session_of_many_days_are_known_of_what_was_put_away() -> None:
    """A use every three hours, for ten days; asked at each, by the session that goes on and by one of a single day."""
    forward = Forward(Resets((), ZONES), COMINGS_KEPT, LIVE_KEPT)
    first = 20260601
    days = Days([Session(SESSION, EventId(1), "", first), Session(OTHER, EventId(1), "", first + 3, end=1)])
    begin_s = int(datetime(2026, 6, 1, 7, tzinfo=UTC).timestamp())
    for visit in range(80):
        at_s = begin_s + visit * 10_800
        session = OTHER if visit % 8 == 7 else SESSION
        coming = row(2 * visit + 1, at=at_s, session=session, mode=Mode.MULTIPLE)
        forward.take(coming)
        passed = row(2 * visit + 2, Role.STATE, coming.id, at=at_s, state=State.COMMITTED, way=coming.way)
        presence = forward.take(passed)
        whole = fold(forward.all, forward.resets, ZONES)
        for asked in (SESSION, OTHER) if visit < 40 else (SESSION,):  # of a day long gone not all is known
            today = days.today(asked, at_s * 1_000_000)
            found = presence.tally(HALL, asked, today, HERE, EPOCH)
            assert found == whole.tally(HALL, asked, today, HERE, EPOCH)
        if session is SESSION:
            today = days.today(SESSION, at_s * 1_000_000)
            of_other = visit // 8 if today.day == first + 3 else 0
            assert presence.tally(HALL, SESSION, today, HERE, EPOCH).uses_day == visit % 8 + 1 + of_other
    assert forward.anew == 0
    assert sum(forward.settled.quarters.values()) < 20 < forward.settled.uses[HALL]
