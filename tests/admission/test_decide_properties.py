"""decide() by its laws, over generated questions, against a second, naive statement of every rule."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from admission.codecs import sig1
from admission.credentials import (
    CredentialKind,
    Forged,
    Identity,
    Known,
    Malformed,
    Medium,
    UnknownIssuer,
    identify,
)
from admission.decide import Candidate, LaneFacts, Question, Tally, Verdict, decide
from admission.entitlements import (
    Attention,
    CredentialStanding,
    LanePlan,
    Mode,
    OfflinePolicy,
    Standing,
)
from admission.ids import Epoch, LaneId, ProductId, RecordId, SessionId, ZoneId
from admission.keys import IssuerKey, KeyFormat, KeyRing, KeyStatus
from admission.question import ClockFacts
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, Record, Trust, record_from_bytes
from tests.admission.questions import (
    BACKSTAGE,
    CLAIMS,
    CUT,
    EVENT,
    GROUNDS,
    HALL,
    KEY,
    NORTH_GATE,
    NOW,
    OPAQUE,
    OTHER_EVENT,
    THIS_GATE,
    TOMORROW,
    TONIGHT,
    VENUE,
    Parts,
    ask,
    candidate,
)

EXAMPLES = settings(max_examples=200, deadline=None)
PRETIX = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PRETIX_RING = KeyRing([IssuerKey(b"pret", PRETIX.public_key().public_bytes_raw(), KeyFormat.SIG1, EVENT)])

# --- generated questions ----------------------------------------------------------------------------------------

SIGNED = Known(CredentialKind.TK1, bytes(16), CLAIMS, KEY)
IDENTITIES: tuple[Identity, ...] = (
    SIGNED,
    replace(SIGNED, claims=replace(CLAIMS, issued_at=CUT - 300)),
    replace(SIGNED, claims=replace(CLAIMS, ticket=None)),
    replace(SIGNED, key=replace(KEY, status=KeyStatus.COMPROMISED)),
    replace(SIGNED, key=replace(KEY, status=KeyStatus.RETIRED, not_after=NOW)),
    replace(SIGNED, key=replace(KEY, not_before=NOW)),
    Forged(CredentialKind.TK1, bytes(16)),
    UnknownIssuer(CredentialKind.TK1, b"none", bytes(16)),
    Malformed("control"),
)
ENTRIES = (RecordId(THIS_GATE, Epoch(1), 9), RecordId(NORTH_GATE, Epoch(2), 4))
FROZEN = (RecordId(NORTH_GATE, Epoch(2), 1), RecordId(THIS_GATE, Epoch(1), 2))
RESERVED = (RecordId(THIS_GATE, Epoch(1), 3), RecordId(THIS_GATE, Epoch(1), 5))
CAUGHT = [
    {"unresolved": count, "unresolved_uses": uses, "unresolved_ids": RESERVED[:count]}
    for count in (0, 0, 1, 2)
    for uses in range(count + 1)
]


class Picker:
    """Mostly what a good ticket has; a few fields, drawn first, are free to be anything."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        # about thirty fields: with more of them free at once almost nothing would be granted
        self._free = draw(st.sets(st.integers(0, 31), max_size=4))
        self._at = 0

    def pick(self, good: Any, *others: Any) -> Any:
        self._at += 1
        free = self._at - 1 in self._free
        return self._draw(st.sampled_from(others)) if free else good


@st.composite
def candidates(draw: st.DrawFn, ident: int) -> Candidate:
    pick = Picker(draw).pick
    small = (1, 2, 3)
    return candidate(
        {
            "ticket": {
                "id": ident,
                "event": pick(EVENT, OTHER_EVENT),
                "product": pick(ProductId(4), ProductId(5)),
                "holder": draw(st.sampled_from((0, 900, 901))),
                "zones": pick((GROUNDS,), (), (HALL,), (BACKSTAGE,), (HALL, BACKSTAGE)),
                "session": pick(TONIGHT, SessionId(0), TOMORROW),
                "standing": pick(Standing.VALID, *Standing, Standing.BANNED | Standing.UNPAID),
                "not_before": pick(0, NOW, NOW + 600, NOW + 601),
                "not_after": pick(0, NOW, NOW - 600, NOW - 601),
                "admits": pick(1, 0, *small),
                "home_gate": pick(0, THIS_GATE, NORTH_GATE),
                "attention": pick(Attention.NONE, *Attention),
            },
            "product": {
                "zones": pick((), (GROUNDS,), (BACKSTAGE,)),
                "mode": pick(Mode.MULTIPLE, *Mode),
                "limit_session": pick(0, *small),
                "limit_day": pick(0, *small),
                "limit_total": pick(0, *small),
                "offline": pick(OfflinePolicy.ADMIT_AND_FLAG, *OfflinePolicy),
                "attention": pick(Attention.NONE, *Attention),
            },
            "tally": {
                "uses_session": pick(0, *small),
                "uses_day": pick(0, *small),
                "uses_total": pick(0, *small),
                "inside": pick(0, *small),
                "passed": pick(0, *small),
                "exit_pending": pick(False, True),
                **draw(st.sampled_from(CAUGHT)),
                "entries": pick((), ENTRIES),
                "frozen": pick((), FROZEN[:1], FROZEN),
            },
            "candidate": {
                "credential": pick(CredentialStanding.ACTIVE, *CredentialStanding),
                "listed": pick(True, False),
            },
        }
    )


UP_TO_FOUR = st.integers(0, 4)


@st.composite
def questions(
    draw: st.DrawFn, count: st.SearchStrategy[int] = UP_TO_FOUR, direction: Direction | None = None
) -> Question:
    pick = Picker(draw).pick
    idents = draw(st.permutations(range(1, 6)))[: draw(count)]
    return Question(
        direction=pick(Direction.ENTRY, *Direction) if direction is None else direction,
        identity=pick(OPAQUE, *IDENTITIES) if draw(st.booleans()) else SIGNED,
        candidates=tuple(draw(candidates(ident)) for ident in idents),
        lane=LaneFacts(
            plan=LanePlan(
                LaneId(1),
                pick(GROUNDS, HALL, BACKSTAGE),
                draw(st.sampled_from(Mode)),
                pick(
                    ((EVENT, TONIGHT),),
                    ((OTHER_EVENT, TONIGHT), (EVENT, TOMORROW)),
                    ((EVENT, SessionId(0)),),
                    (),
                ),
                draw(st.booleans()),
            ),
            open=pick(True, False),
            ready=pick(True, False),
            busy=pick(False, True),
            after_restart=draw(st.booleans()),
            let_in_after_restart=pick(True, False),
        ),
        venue=replace(VENUE, list_cut_s=pick(VENUE.list_cut_s, {})),
        clock=ClockFacts(
            pick(NOW, NOW - 10**8, NOW + 10**8), pick(Trust.SYNCED, *Trust), pick(0, NOW, NOW + 601)
        ),
        cut_off=pick(False, True),
        occupancy_high=pick(None, 0, 9, 10, 11),
        capacity=draw(st.sampled_from((0, 10))),
    )


ENTRY = questions(direction=Direction.ENTRY)
ONE = questions(count=st.just(1), direction=Direction.ENTRY)


# --- the rules once more, naively: what must hold for a ticket to be let in without a steward ----------------------


@dataclass(frozen=True)
class Counted:
    """The ticket's uses as they stand, or without those the restart left open."""

    session: int
    day: int
    total: int
    inside: int

    @classmethod
    def of(cls, tally: Tally) -> "Counted":
        return cls(tally.uses_session, tally.uses_day, tally.uses_total, tally.inside)

    @classmethod
    def before_the_restart(cls, tally: Tally) -> "Counted":
        uses = tally.unresolved_uses
        return cls(
            tally.uses_session - uses,
            tally.uses_day - uses,
            tally.uses_total - uses,
            tally.inside - tally.unresolved,
        )


def serves(plan: LanePlan, one: Candidate) -> bool:
    wanted = {(one.ticket.event, one.ticket.session), (one.ticket.event, SessionId(0))}
    if one.ticket.session == 0:
        return one.ticket.event in dict(plan.sessions)
    return bool(wanted & set(plan.sessions))


def way_in(zone: ZoneId) -> set[ZoneId]:
    found = set()
    while zone:
        found.add(zone)
        zone = VENUE.zones.by_id[zone].parent
    return found


def in_time(clock: ClockFacts, one: Candidate) -> bool:
    opens, ends = one.ticket.not_before, one.ticket.not_after
    too_early = clock.trust in (Trust.RTC, Trust.SYNCED) and opens != 0 and clock.now_s + 600 < opens
    past = [clock.floor_s] + ([clock.now_s] if clock.trust in (Trust.RTC, Trust.SYNCED) else [])
    return not too_early and not (ends != 0 and any(time - 600 > ends for time in past))


def vouched(question: Question, one: Candidate) -> bool:
    if one.listed:
        return True
    match question.identity:
        case Known(claims=claims, key=key) if claims is not None and key is not None:
            cut = question.venue.list_cut_s.get(one.ticket.event)
            return (
                key.status is not KeyStatus.COMPROMISED
                and (key.not_before or 0) <= claims.issued_at <= (key.not_after or 10**12)
                and claims.ticket is not None
                and (one.ticket.event, one.ticket.product) in question.venue.products
                and cut is not None
                and claims.issued_at + 300 > cut
            )
    return False


def reenters(question: Question, one: Candidate, counted: Counted) -> bool:
    mode = min(question.lane.plan.mode, one.product.mode)
    return mode == Mode.ENTRY_EXIT and counted.session >= one.ticket.admits > counted.inside


def has_use(question: Question, one: Candidate, counted: Counted) -> bool:
    mode = min(question.lane.plan.mode, one.product.mode)
    if mode == Mode.NORMAL and counted.session >= one.ticket.admits:
        return False
    if mode == Mode.ENTRY_EXIT and counted.inside >= one.ticket.admits:
        return False
    if reenters(question, one, counted):
        return True
    limits = (
        (one.product.limit_session, counted.session),
        (one.product.limit_day, counted.day),
        (one.product.limit_total, counted.total),
    )
    return all(limit == 0 or count < limit for limit, count in limits)


def rules(question: Question, one: Candidate) -> dict[str, bool]:
    """Return each rule by name and whether it holds; `use` and `restart` are told apart by `flags_of`."""
    lane, ticket = question.lane, one.ticket
    forgiving = lane.after_restart and lane.let_in_after_restart and not lane.plan.attended
    forgiving = forgiving and one.tally.unresolved > 0
    as_is, spared = Counted.of(one.tally), Counted.before_the_restart(one.tally)
    zones = ticket.zones or one.product.zones
    return {
        "lane": lane.open and lane.ready and not lane.busy,
        "identity": isinstance(question.identity, Known),
        "credential": one.credential == CredentialStanding.ACTIVE,
        "standing": ticket.standing == Standing.VALID,
        "session": serves(lane.plan, one),
        "hours": in_time(question.clock, one),
        "zone": not zones or any(lane.plan.zone in way_in(zone) for zone in zones),
        "exit": not one.tally.exit_pending,
        "use": bool(one.tally.frozen)
        or has_use(question, one, as_is)
        or (forgiving and has_use(question, one, spared)),
        "room": question.occupancy_high is None
        or question.capacity == 0
        or question.occupancy_high < question.capacity,
        "offline": not question.cut_off
        or one.product.offline == OfflinePolicy.ADMIT_AND_FLAG
        or (one.product.offline == OfflinePolicy.HOME_GATE_ONLY and ticket.home_gate == THIS_GATE),
        "vouched": vouched(question, one),
        "attention": ticket.attention == one.product.attention == Attention.NONE,
    }


def flags_of(question: Question, one: Candidate) -> Flag:
    """Return the flags of an entry that is granted."""
    counted, flags = Counted.of(one.tally), Flag.NONE
    if one.tally.frozen:
        flags = Flag.REENTRY
    elif not has_use(question, one, counted):
        counted = Counted.before_the_restart(one.tally)
        flags = Flag.AFTER_RESTART | Flag.FLAGGED
    if not flags & Flag.REENTRY and reenters(question, one, counted):
        flags |= Flag.REENTRY
    if question.cut_off:
        sure = one.product.offline == OfflinePolicy.HOME_GATE_ONLY
        flags |= Flag.UNSURE if sure else Flag.UNSURE | Flag.FLAGGED
    return flags if one.listed else flags | Flag.UNLISTED


# --- laws -------------------------------------------------------------------------------------------------------


@EXAMPLES
@given(questions(direction=Direction.EXIT))
def test_an_exit_is_always_granted(question: Question) -> None:
    verdict = decide(question)
    assert (verdict.outcome, verdict.reason, verdict.direction) == (
        Outcome.GRANT,
        Reason.NONE,
        Direction.EXIT,
    )
    assert verdict.observed == (verdict.candidate.tally.entries if verdict.candidate else ())
    somebody = any(one.tally.inside for one in question.candidates)
    if somebody and isinstance(question.identity, Known):
        assert verdict.candidate is not None
        assert verdict.candidate.tally.inside > 0


@EXAMPLES
@given(ONE)
def test_one_ticket_is_let_in_exactly_when_every_rule_holds(question: Question) -> None:
    one = question.candidates[0]
    broken = [name for name, holds in rules(question, one).items() if not holds]
    verdict = decide(question)
    event(f"{len(broken)} rules broken" if len(broken) < 4 else "more rules broken")
    assert (verdict.outcome is Outcome.GRANT) == (not broken), broken
    if not broken:
        assert verdict.flags == flags_of(question, one)
        assert verdict.candidate is one
        caught = bool(verdict.flags & Flag.AFTER_RESTART)
        assert verdict.observed == (one.tally.unresolved_ids[:1] if caught else one.tally.frozen[:1])


@EXAMPLES
@given(ENTRY)
def test_a_grant_implies_every_rule_for_its_ticket(question: Question) -> None:
    verdict = decide(question)
    assume(verdict.outcome is Outcome.GRANT)
    assert verdict.candidate in question.candidates
    assert verdict.candidate is not None
    assert all(rules(question, verdict.candidate).values())


@EXAMPLES
@given(questions())
def test_every_answer_is_whole(question: Question) -> None:
    verdict = decide(question)
    assert (verdict.outcome is Outcome.GRANT) == (verdict.reason is Reason.NONE)
    assert verdict.outcome is not Outcome.NONE
    assert verdict.direction in (Direction.ENTRY, Direction.EXIT)
    assert bool(verdict.flags & Flag.INFERRED) == (question.direction is Direction.NONE)
    assert not verdict.repeated
    if verdict.outcome is Outcome.CHECK:
        assert question.lane.plan.attended
    if verdict.outcome is not Outcome.GRANT:
        assert not verdict.flags & ~Flag.INFERRED
    if verdict.outcome in (Outcome.WAIT, Outcome.DENY):
        assert not verdict.observed
    if verdict.reason is Reason.AFTER_RESTART and verdict.candidate is not None:
        assert verdict.observed == verdict.candidate.tally.unresolved_ids[:1] != ()


@EXAMPLES
@given(
    question=questions(count=st.just(0)),
    item=st.one_of(st.integers(0, sig1.ID_MAX), st.just(4)),
    subevent=st.one_of(st.integers(0, sig1.ID_MAX), st.sampled_from((5, 2**16 - 1, 2**16, 2**16 + 5))),
    any_session=st.booleans(),
)
def test_every_answer_to_a_signed_pretix_ticket_fits_a_record(
    question: Question, item: int, subevent: int, any_session: bool
) -> None:
    """Items and subevents are int64 in pretix; whatever they are, what is decided can be written down."""
    text = sig1.mint(sig1.Claims("seed", item, subevent=subevent), PRETIX).encode()
    identity = identify(text, Medium.BARCODE, PRETIX_RING, bytes(32))
    assert isinstance(identity, Known)
    assert identity.claims is not None
    assert (identity.claims.product, identity.claims.session) == (item, subevent)
    lane = question.lane
    if any_session:
        plan = LanePlan(LaneId(1), GROUNDS, Mode.NORMAL, ((EVENT, SessionId(0)),), lane.plan.attended)
        lane = replace(lane, plan=plan)
    verdict = decide(replace(question, identity=identity, lane=lane))
    assert verdict.candidate is None
    body = Record(
        Kind.SCAN,
        seq=1,
        time_us=0,
        mono_ms=0,
        session=verdict.session,
        outcome=verdict.outcome,
        reason=verdict.reason,
        direction=verdict.direction,
        flags=verdict.flags | Flag.DIGEST,
        subject=identity.digest,
    )
    assert record_from_bytes(body.to_bytes()) == body
    if any_session and verdict.reason not in (Reason.NONE, Reason.NOT_READY):
        assert verdict.session == (subevent if subevent < 2**16 else 0)


def test_a_ticket_of_a_session_no_record_can_hold_is_still_judged_by_it() -> None:
    far: Parts = {"ticket": {"session": 2**16 + TONIGHT}}
    verdict = decide(ask(far))
    assert (verdict.outcome, verdict.reason, verdict.session) == (Outcome.DENY, Reason.WRONG_DATE, 0)
    verdict = decide(ask({**far, "plan": {"sessions": ((EVENT, SessionId(0)),)}}))
    assert (verdict.outcome, verdict.session) == (Outcome.GRANT, 0)
    verdict = decide(ask({**far, "question": {"direction": Direction.EXIT}}))
    assert (verdict.outcome, verdict.session) == (Outcome.GRANT, 0)


@EXAMPLES
@given(questions(), questions())
def test_a_repeated_scan_id_changes_nothing(first: Question, second: Question) -> None:
    before = decide(first)
    again = decide(replace(second, previous=before))
    assert again == replace(before, repeated=True)
    assert decide(replace(second, previous=again)) == again


@EXAMPLES
@given(questions(), st.randoms(use_true_random=False))
def test_the_order_of_tickets_changes_nothing(question: Question, random: Any) -> None:
    shuffled = list(question.candidates)
    random.shuffle(shuffled)
    assert decide(replace(question, candidates=tuple(shuffled))) == decide(question)


@EXAMPLES
@given(questions())
def test_the_same_question_has_the_same_answer(question: Question) -> None:
    rebuilt = replace(question, candidates=tuple(replace(one) for one in question.candidates))
    assert decide(rebuilt) == decide(question)


BEST_FIRST = [Outcome.GRANT, Outcome.CHECK, Outcome.WAIT, Outcome.DENY]


@EXAMPLES
@given(questions(count=st.integers(1, 4), direction=Direction.ENTRY))
def test_the_best_of_all_tickets_is_taken(question: Question) -> None:
    alone = [decide(replace(question, candidates=(one,))) for one in question.candidates]
    verdict = decide(question)
    granted = [one.candidate.ticket for one in alone if one.outcome is Outcome.GRANT and one.candidate]
    unknown = sum(1 for one in granted if not one.holder)
    if unknown + len({one.holder for one in granted if one.holder}) > 1:
        assert (verdict.outcome, verdict.reason) == (Outcome.DENY, Reason.AMBIGUOUS)
        return
    best = min(BEST_FIRST.index(one.outcome) for one in alone)
    among = [one for one in alone if BEST_FIRST.index(one.outcome) == best]
    if BEST_FIRST[best] is Outcome.DENY:
        furthest = max(one.reason for one in among)
        among = [one for one in among if one.reason == furthest]
    assert verdict in among
    if verdict.candidate is not None:
        assert verdict.candidate.ticket.id == min(one.candidate.ticket.id for one in among if one.candidate)


@EXAMPLES
@given(questions(count=st.integers(1, 3), direction=Direction.ENTRY), candidates(6))
def test_another_ticket_never_takes_a_grant_away_but_by_ambiguity(
    question: Question, other: Candidate
) -> None:
    before = decide(question)
    assume(before.outcome is Outcome.GRANT)
    alone = decide(replace(question, candidates=(other,)))
    verdict = decide(replace(question, candidates=(*question.candidates, other)))
    if alone.outcome is Outcome.GRANT and verdict.reason is Reason.AMBIGUOUS:
        return
    assert verdict == before  # the newcomer's number is higher than all


# --- uses over an evening ---------------------------------------------------------------------------------------


@dataclass
class Evening:
    """One ticket's evening at one lane: what was granted, what presence would make of it."""

    uses: int = 0
    inside: int = 0
    unresolved: int = 0
    unresolved_uses: int = 0
    last_was_use: bool = False
    seq: int = 0

    def tally(self) -> Tally:
        entries = tuple(RecordId(THIS_GATE, Epoch(1), n) for n in range(self.inside))
        return Tally(
            uses_session=self.uses,
            uses_day=self.uses,
            uses_total=self.uses,
            inside=self.inside,
            unresolved=self.unresolved,
            unresolved_uses=self.unresolved_uses,
            unresolved_ids=RESERVED[: self.unresolved],
            entries=entries,
        )

    def take(self, verdict: Verdict) -> None:
        if verdict.outcome is not Outcome.GRANT:
            return
        if verdict.direction is Direction.EXIT:
            self.inside = max(0, self.inside - 1)
            return
        self.inside += 1
        self.last_was_use = not verdict.flags & Flag.REENTRY
        self.uses += self.last_was_use


STEPS = st.lists(st.sampled_from(("enter", "enter", "leave", "crash", "ready", "cut", "heard")), max_size=25)


@EXAMPLES
@given(
    steps=STEPS,
    mode=st.sampled_from(Mode),
    admits=st.integers(1, 3),
    limits=st.tuples(*[st.sampled_from((0, 0, 1, 2, 4))] * 3),
    policy=st.sampled_from(OfflinePolicy),
)
def test_uses_never_exceed_limits_without_a_flag(
    steps: list[str], mode: Mode, admits: int, limits: tuple[int, int, int], policy: OfflinePolicy
) -> None:
    evening, unflagged, fresh, cut_off = Evening(), Counter[str](), False, False
    product: dict[str, Any] = dict(zip(("limit_session", "limit_day", "limit_total"), limits, strict=True))
    for step in steps:
        match step:
            case "crash":  # the last grant's passage was never seen
                evening.unresolved, fresh = min(1, evening.inside), True
                evening.unresolved_uses = evening.unresolved * evening.last_was_use
            case "ready":
                fresh = False
            case "cut" | "heard":
                cut_off = step == "cut"
            case _:
                question = ask(
                    {
                        "ticket": {"admits": admits},
                        "product": {**product, "offline": policy},
                        "plan": {"mode": mode},
                        "lane": {"after_restart": fresh},
                        "question": {
                            "cut_off": cut_off,
                            "direction": Direction.ENTRY if step == "enter" else Direction.EXIT,
                        },
                    }
                )
                one = replace(question.candidates[0], tally=evening.tally())
                verdict = decide(replace(question, candidates=(one,)))
                evening.take(verdict)
                if verdict.outcome is Outcome.GRANT and verdict.direction is Direction.ENTRY:
                    use = "again" if verdict.flags & Flag.REENTRY else "use"
                    unflagged[use] += not verdict.flags & (Flag.FLAGGED | Flag.UNSURE)
                    if use == "again":
                        assert mode is Mode.ENTRY_EXIT
                    if mode is Mode.ENTRY_EXIT and not verdict.flags & Flag.FLAGGED:
                        assert evening.inside <= admits
    most = [limit for limit in limits if limit]
    if mode is not Mode.MULTIPLE:
        most.append(admits)
    if most:
        assert unflagged["use"] <= min(most)
