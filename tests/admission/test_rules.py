"""The rules for one ticket, each at its edges: dates, hours, zones, uses, restarts, cut-off gates, signatures."""

from typing import Any

import pytest
from msgspec.structs import replace

from admission.credentials import CredentialKind, Known, SignedClaims
from admission.decide import Candidate, Question, decide, session_for, synthesize
from admission.entitlements import (
    LanePlan,
    Mode,
    OfflinePolicy,
)
from admission.ids import Epoch, GateId, HolderId, LaneId, ProductId, RecordId, SessionId
from admission.keys import KeyStatus
from admission.reasons import Reason
from admission.records import Flag, Outcome, Trust
from tests.admission.questions import (
    BACKSTAGE,
    CLAIMS,
    CUT,
    EVENT,
    GROUNDS,
    HALL,
    KEY,
    LAST,
    NORTH_GATE,
    NOW,
    OTHER_EVENT,
    PRODUCT,
    THIS_GATE,
    TOMORROW,
    TONIGHT,
    VENUE,
    Parts,
    ask,
    candidate,
    merged,
    ticket,
)

GRANT, CHECK, WAIT, DENY = Outcome.GRANT, Outcome.CHECK, Outcome.WAIT, Outcome.DENY
ATTENDED: Parts = {"plan": {"attended": True}}


def heard(parts: Parts) -> tuple[Outcome, Reason]:
    verdict = decide(ask(parts))
    return verdict.outcome, verdict.reason


# --- events, sessions, hours, zones -----------------------------------------------------------------------------

OTHERS = ((OTHER_EVENT, SessionId(1)), (EVENT, TOMORROW), (EVENT, TONIGHT))


@pytest.mark.parametrize(
    ("session", "sessions", "expected"),
    [
        (TONIGHT, OTHERS, TONIGHT),
        (SessionId(0), OTHERS, TOMORROW),  # any session: the first of the event, in plan order
        (SessionId(9), OTHERS, SessionId(0)),
        (SessionId(9), ((EVENT, SessionId(0)),), SessionId(9)),  # the plan serves any session of the event
        (SessionId(0), ((EVENT, SessionId(0)),), SessionId(0)),
        (TONIGHT, (), SessionId(0)),
    ],
)
def test_session_for(session: SessionId, sessions: tuple[Any, ...], expected: SessionId) -> None:
    plan = LanePlan(LaneId(1), GROUNDS, sessions=sessions)
    assert session_for(ticket(session=session), plan) == expected


@pytest.mark.parametrize(
    ("session", "sessions", "expected"),
    [
        (SessionId(0), ((EVENT, SessionId(0)),), (GRANT, Reason.NONE)),
        (SessionId(9), ((EVENT, SessionId(0)),), (GRANT, Reason.NONE)),
        (SessionId(9), ((EVENT, TONIGHT),), (DENY, Reason.WRONG_DATE)),
        (SessionId(0), (), (DENY, Reason.WRONG_EVENT)),
    ],
)
def test_the_plan_decides_the_date(
    session: SessionId, sessions: object, expected: tuple[Outcome, Reason]
) -> None:
    assert heard({"ticket": {"session": session}, "plan": {"sessions": sessions}}) == expected


EARLY, LATE = {"not_before": NOW}, {"not_after": NOW}


@pytest.mark.parametrize(
    ("validity", "clock", "expected"),
    [
        (EARLY, {"now_s": NOW - 600}, Reason.NONE),
        (EARLY, {"now_s": NOW - 601}, Reason.TOO_EARLY),
        (EARLY, {"now_s": NOW - 601, "trust": Trust.RTC}, Reason.TOO_EARLY),
        (EARLY, {"now_s": NOW - 601, "trust": Trust.FLOOR}, Reason.NONE),
        (EARLY, {"now_s": 0, "trust": Trust.UNKNOWN}, Reason.NONE),
        (LATE, {"now_s": NOW + 600}, Reason.NONE),
        (LATE, {"now_s": NOW + 601}, Reason.EXPIRED),
        (LATE, {"now_s": NOW + 601, "trust": Trust.RTC}, Reason.EXPIRED),
        (LATE, {"now_s": NOW + 10**9, "trust": Trust.FLOOR}, Reason.NONE),
        (LATE, {"now_s": 0, "trust": Trust.FLOOR, "floor_s": NOW + 600}, Reason.NONE),
        (LATE, {"now_s": 0, "trust": Trust.FLOOR, "floor_s": NOW + 601}, Reason.EXPIRED),
        (LATE, {"now_s": 0, "trust": Trust.UNKNOWN, "floor_s": NOW + 601}, Reason.EXPIRED),
        (LATE, {"now_s": NOW, "trust": Trust.RTC, "floor_s": NOW + 601}, Reason.EXPIRED),
        ({"not_before": 0, "not_after": 0}, {"now_s": 10**10}, Reason.NONE),
    ],
)
def test_hours(validity: dict[str, int], clock: dict[str, Any], expected: Reason) -> None:
    verdict = decide(ask({"ticket": validity, "clock": clock}))
    assert verdict.reason is expected
    assert verdict.since_s == (0 if expected is Reason.NONE else NOW)


@pytest.mark.parametrize(
    ("ticket_zones", "product_zones", "here", "gate"),
    [
        ((GROUNDS,), (), GROUNDS, None),
        ((HALL,), (), GROUNDS, None),  # the way to the hall leads over the grounds
        ((BACKSTAGE, HALL), (), GROUNDS, None),
        ((), (HALL,), GROUNDS, None),
        ((), (), BACKSTAGE, None),
        ((GROUNDS,), (), HALL, THIS_GATE),  # the grounds are not the hall
        ((GROUNDS,), (HALL,), HALL, THIS_GATE),  # what the ticket names holds, not the product
        ((), (GROUNDS,), BACKSTAGE, THIS_GATE),
        ((HALL,), (), BACKSTAGE, NORTH_GATE),
        ((99,), (), GROUNDS, GateId(0)),
        ((99, BACKSTAGE), (), GROUNDS, NORTH_GATE),
    ],
)
def test_zones(ticket_zones: object, product_zones: object, here: int, gate: GateId | None) -> None:
    verdict = decide(
        ask({"ticket": {"zones": ticket_zones}, "product": {"zones": product_zones}, "plan": {"zone": here}})
    )
    if gate is None:
        assert verdict.outcome is GRANT
    else:
        assert (verdict.outcome, verdict.reason, verdict.gate) == (DENY, Reason.WRONG_ZONE, gate)


# --- uses, limits, room -----------------------------------------------------------------------------------------

NORMAL, ENTRY_EXIT, MULTIPLE = Mode.NORMAL, Mode.ENTRY_EXIT, Mode.MULTIPLE
AGAIN, NEW_USE = Flag.REENTRY, Flag.NONE


@pytest.mark.parametrize(
    ("lane", "product", "admits", "uses", "inside", "expected"),
    [
        (NORMAL, MULTIPLE, 1, 0, 0, NEW_USE),
        (NORMAL, MULTIPLE, 1, 1, 0, Reason.ALREADY_USED),  # left, but may enter once only
        (MULTIPLE, NORMAL, 1, 1, 0, Reason.ALREADY_USED),  # a product may only narrow
        (NORMAL, MULTIPLE, 3, 2, 2, NEW_USE),
        (NORMAL, MULTIPLE, 3, 3, 1, Reason.ALREADY_USED),
        (ENTRY_EXIT, MULTIPLE, 1, 0, 0, NEW_USE),
        (ENTRY_EXIT, MULTIPLE, 1, 1, 1, Reason.ALREADY_INSIDE),
        (ENTRY_EXIT, MULTIPLE, 1, 0, 1, Reason.ALREADY_INSIDE),  # inside since the session before
        (ENTRY_EXIT, MULTIPLE, 1, 1, 0, AGAIN),
        (ENTRY_EXIT, NORMAL, 1, 1, 0, Reason.ALREADY_USED),
        (MULTIPLE, ENTRY_EXIT, 1, 1, 1, Reason.ALREADY_INSIDE),
        (ENTRY_EXIT, MULTIPLE, 3, 2, 2, NEW_USE),
        (ENTRY_EXIT, MULTIPLE, 3, 3, 2, AGAIN),
        (ENTRY_EXIT, MULTIPLE, 3, 3, 3, Reason.ALREADY_INSIDE),
        (MULTIPLE, MULTIPLE, 1, 5, 5, NEW_USE),
    ],
)
def test_modes(
    lane: Mode, product: Mode, admits: int, uses: int, inside: int, expected: Reason | Flag
) -> None:
    verdict = decide(
        ask(
            {
                "plan": {"mode": lane},
                "product": {"mode": product},
                "ticket": {"admits": admits},
                "tally": {
                    "uses_session": uses,
                    "uses_day": uses,
                    "uses_total": uses,
                    "inside": inside,
                    "last": LAST,
                },
            }
        )
    )
    if isinstance(expected, Reason):
        assert (verdict.outcome, verdict.reason) == (DENY, expected)
        assert (verdict.last, verdict.gate) == (LAST, NORTH_GATE)
    else:
        assert (verdict.outcome, verdict.flags) == (GRANT, expected)


@pytest.mark.parametrize(
    ("limit", "count"),
    [("limit_session", "uses_session"), ("limit_day", "uses_day"), ("limit_total", "uses_total")],
)
@pytest.mark.parametrize("mode", list(Mode))
def test_no_mode_skips_a_limit(limit: str, count: str, mode: Mode) -> None:
    parts: Parts = {
        "plan": {"mode": mode},
        "product": {limit: 2},
        "ticket": {"admits": 9},
        "tally": {count: 2, "last": LAST},
    }
    assert heard(parts) == (DENY, Reason.LIMIT_REACHED)
    assert heard({**parts, "tally": {count: 1}}) == (GRANT, Reason.NONE)


def test_a_reentry_is_no_further_use() -> None:
    parts: Parts = {
        "plan": {"mode": ENTRY_EXIT},
        "product": {"limit_session": 1, "limit_day": 1, "limit_total": 1},
        "tally": {"uses_session": 1, "uses_day": 1, "uses_total": 1},
    }
    verdict = decide(ask(parts))
    assert (verdict.outcome, verdict.flags) == (GRANT, Flag.REENTRY)


@pytest.mark.parametrize(
    ("occupancy", "capacity", "expected"),
    [
        (49, 50, Reason.NONE),
        (50, 50, Reason.FULL),
        (51, 50, Reason.FULL),
        (99, 0, Reason.NONE),
        (None, 50, Reason.NONE),
    ],
)
@pytest.mark.parametrize("tally", [{}, {"uses_session": 1}], ids=["first", "again"])
def test_room(occupancy: int | None, capacity: int, expected: Reason, tally: dict[str, int]) -> None:
    parts: Parts = {
        "question": {"occupancy_high": occupancy, "capacity": capacity},
        "plan": {"mode": ENTRY_EXIT},
        "tally": tally,
    }
    assert heard(parts)[1] is expected


@pytest.mark.parametrize(
    ("tally", "mode", "expected"),
    [
        ({"inside": 1, "uses_session": 1}, ENTRY_EXIT, (WAIT, Reason.EXIT_PENDING)),
        (
            {"inside": 2, "uses_session": 1},
            ENTRY_EXIT,
            (DENY, Reason.ALREADY_INSIDE),
        ),  # one more stays inside
        ({"inside": 1, "uses_session": 1}, NORMAL, (DENY, Reason.ALREADY_USED)),  # going out does not help
        ({"inside": 1, "uses_session": 1}, MULTIPLE, (WAIT, Reason.EXIT_PENDING)),
        ({"inside": 0}, MULTIPLE, (WAIT, Reason.EXIT_PENDING)),
    ],
)
def test_the_entry_waits_for_the_exit_of_its_ticket(
    tally: dict[str, int], mode: Mode, expected: tuple[Outcome, Reason]
) -> None:
    assert heard({"tally": {"exit_pending": True, **tally}, "plan": {"mode": mode}}) == expected


def test_who_is_just_leaving_makes_room_for_coming_back() -> None:
    parts: Parts = {
        "tally": {"exit_pending": True, "inside": 1},
        "plan": {"mode": MULTIPLE},
        "question": {"occupancy_high": 50, "capacity": 50},
    }
    assert heard(parts) == (WAIT, Reason.EXIT_PENDING)


# --- after a restart --------------------------------------------------------------------------------------------

RESERVED = (RecordId(THIS_GATE, Epoch(1), 9), RecordId(THIS_GATE, Epoch(2), 4))
CAUGHT = {
    "uses_session": 1,
    "uses_day": 1,
    "uses_total": 1,
    "inside": 1,
    "unresolved": 1,
    "unresolved_uses": 1,
    "unresolved_ids": RESERVED[:1],
    "last": LAST,
}
LET_IN = Flag.AFTER_RESTART | Flag.FLAGGED


@pytest.mark.parametrize("mode", [NORMAL, ENTRY_EXIT])
@pytest.mark.parametrize(
    ("plan", "lane", "outcome", "flags"),
    [
        ({"attended": True}, {"after_restart": True}, CHECK, Flag.NONE),
        ({"attended": True}, {"after_restart": True, "let_in_after_restart": False}, CHECK, Flag.NONE),
        ({}, {"after_restart": True}, GRANT, LET_IN),
        ({}, {"after_restart": True, "let_in_after_restart": False}, DENY, Flag.NONE),
        ({}, {}, DENY, Flag.NONE),
        ({"attended": True}, {}, DENY, Flag.NONE),
    ],
)
def test_who_was_caught_between_record_and_pulse(
    mode: Mode, plan: dict[str, Any], lane: dict[str, Any], outcome: Outcome, flags: Flag
) -> None:
    verdict = decide(ask({"tally": CAUGHT, "plan": {"mode": mode, **plan}, "lane": lane}))
    assert (verdict.outcome, verdict.flags) == (outcome, flags)
    denied = Reason.ALREADY_USED if mode is NORMAL else Reason.ALREADY_INSIDE
    assert verdict.reason is {CHECK: Reason.AFTER_RESTART, GRANT: Reason.NONE, DENY: denied}[outcome]
    assert verdict.observed == (() if outcome is DENY else RESERVED[:1])


@pytest.mark.parametrize("attended", [False, True])
def test_after_a_restart_the_oldest_reservation_is_named(attended: bool) -> None:
    two = {"uses_session": 2, "inside": 2, "unresolved": 2, "unresolved_uses": 2, "unresolved_ids": RESERVED}
    parts: Parts = {
        "ticket": {"admits": 2},
        "tally": CAUGHT | two,
        "plan": {"attended": attended},
        "lane": {"after_restart": True},
    }
    assert decide(ask(parts)).observed == RESERVED[:1]


def test_after_a_restart_a_code_to_look_at_for_another_reason_names_the_reservation_too() -> None:
    parts: Parts = {
        "candidate": {"listed": False},
        "tally": CAUGHT,
        "plan": {"attended": True},
        "lane": {"after_restart": True},
    }
    verdict = decide(ask(parts))
    assert (verdict.outcome, verdict.reason, verdict.observed) == (CHECK, Reason.UNLISTED, RESERVED[:1])


def test_after_a_restart_who_was_coming_back_comes_back_without_a_use() -> None:
    """The reservation was a re-entry: it is in `inside`, and the use it stands on was taken before."""
    parts: Parts = {
        "plan": {"mode": ENTRY_EXIT},
        "product": {"limit_session": 1, "limit_day": 1, "limit_total": 1},
        "tally": CAUGHT | {"unresolved_uses": 0},
        "lane": {"after_restart": True},
    }
    verdict = decide(ask(parts))
    assert (verdict.outcome, verdict.flags) == (GRANT, LET_IN | Flag.REENTRY)
    assert heard({**parts, "plan": {"mode": NORMAL}}) == (DENY, Reason.ALREADY_USED)


@pytest.mark.parametrize(
    ("tally", "expected"),
    [
        (
            CAUGHT | {"uses_session": 2},
            (DENY, Reason.ALREADY_USED),
        ),  # the use let in after the restart counts
        (CAUGHT | {"unresolved": 0, "unresolved_uses": 0}, (DENY, Reason.ALREADY_USED)),
    ],
)
def test_after_a_restart_only_once_and_only_the_unresolved(
    tally: dict[str, Any], expected: tuple[Outcome, Reason]
) -> None:
    assert heard({"tally": tally, "lane": {"after_restart": True}}) == expected


def test_after_a_restart_a_limit_does_not_burn_the_use_either() -> None:
    parts: Parts = {
        "plan": {"mode": MULTIPLE},
        "product": {"limit_session": 1, "limit_day": 1, "limit_total": 1},
        "tally": CAUGHT,
        "lane": {"after_restart": True},
    }
    verdict = decide(ask(parts))
    assert (verdict.outcome, verdict.flags) == (GRANT, LET_IN)


def test_after_a_restart_who_had_left_before_comes_in_again_without_a_use() -> None:
    parts: Parts = {
        "plan": {"mode": ENTRY_EXIT},
        "product": {"limit_session": 1},
        "tally": CAUGHT | {"uses_session": 2},
        "lane": {"after_restart": True},
    }
    verdict = decide(ask(parts))
    assert (verdict.outcome, verdict.flags) == (GRANT, LET_IN | Flag.REENTRY)


def test_after_a_restart_the_exit_under_way_is_still_waited_for() -> None:
    parts: Parts = {
        "plan": {"mode": ENTRY_EXIT},
        "tally": CAUGHT | {"inside": 2, "exit_pending": True},
        "lane": {"after_restart": True},
    }
    assert heard(parts) == (WAIT, Reason.EXIT_PENDING)


def test_after_a_restart_a_ticket_with_uses_left_needs_no_favour() -> None:
    verdict = decide(ask({"ticket": {"admits": 2}, "tally": CAUGHT, "lane": {"after_restart": True}}))
    assert (verdict.outcome, verdict.flags) == (GRANT, Flag.NONE)


# --- cut off ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "home", "outcome", "flags"),
    [
        (OfflinePolicy.ADMIT_AND_FLAG, 0, GRANT, Flag.UNSURE | Flag.FLAGGED),
        (OfflinePolicy.HOME_GATE_ONLY, THIS_GATE, GRANT, Flag.UNSURE),
        (OfflinePolicy.HOME_GATE_ONLY, NORTH_GATE, DENY, Flag.NONE),
        (OfflinePolicy.HOME_GATE_ONLY, 0, DENY, Flag.NONE),
        (OfflinePolicy.DENY, THIS_GATE, DENY, Flag.NONE),
    ],
)
def test_cut_off(policy: OfflinePolicy, home: int, outcome: Outcome, flags: Flag) -> None:
    parts: Parts = {"product": {"offline": policy}, "ticket": {"home_gate": home}}
    assert heard(parts) == (GRANT, Reason.NONE)
    for unsure in ({"question": {"cut_off": True}}, {"tally": {"doubted": True}}):
        verdict = decide(ask({**parts, **unsure}))
        assert (verdict.outcome, verdict.flags) == (outcome, flags)
        assert verdict.reason is (Reason.NONE if outcome is GRANT else Reason.OFFLINE)


def test_what_is_known_to_be_used_is_no_question_of_belief() -> None:
    assert heard({"tally": {"uses_session": 1, "doubted": True}}) == (DENY, Reason.ALREADY_USED)


@pytest.mark.parametrize("policy", OfflinePolicy)
def test_while_the_others_are_asked_only_who_would_be_refused_waits(policy: OfflinePolicy) -> None:
    parts: Parts = {"product": {"offline": policy}, "ticket": {"home_gate": NORTH_GATE}}
    verdict = decide(ask({**parts, "question": {"cut_off": True, "asking": True}}))
    expected = (GRANT, Reason.NONE) if policy is OfflinePolicy.ADMIT_AND_FLAG else (WAIT, Reason.ASKING)
    assert (verdict.outcome, verdict.reason) == expected
    used = {
        **parts,
        "question": {"cut_off": True, "asking": True},
        "tally": {"uses_session": 1, "last": LAST},
    }
    assert heard({**used, "plan": {"mode": NORMAL}}) == (DENY, Reason.ALREADY_USED)


def test_without_a_home_gate_no_gate_is_home() -> None:
    parts: Parts = {
        "product": {"offline": OfflinePolicy.HOME_GATE_ONLY},
        "question": {"cut_off": True},
        "venue": {"this_gate": GateId(0)},
    }
    assert heard(parts) == (DENY, Reason.OFFLINE)


# --- signed tickets that the list does not hold -----------------------------------------------------------------


def signed(claims: SignedClaims = CLAIMS, parts: Parts | None = None, **key: Any) -> Question:
    known = Known(CredentialKind.TK1, bytes(16), claims, replace(KEY, **key))
    question = ask(merged(parts or {}, {"question": {"identity": known}}))
    made = synthesize(claims, question.venue)
    return replace(question, candidates=() if made is None else (made,))


def test_synthesize_takes_what_the_signer_vouches_for() -> None:
    claims = replace(CLAIMS, admits=4, not_before=5, not_after=6)
    made = synthesize(claims, VENUE)
    expected = ticket(holder=HolderId(0), admits=4, not_before=5, not_after=6)
    assert made == Candidate(expected, PRODUCT, listed=False)


def test_sold_a_minute_ago_enters_by_its_signature() -> None:
    verdict = decide(signed())
    assert (verdict.outcome, verdict.flags, verdict.session) == (GRANT, Flag.UNLISTED, TONIGHT)


@pytest.mark.parametrize(
    ("issued_at", "expected"), [(CUT - 299, GRANT), (CUT - 300, CHECK), (CUT - 301, CHECK), (0, CHECK)]
)
def test_older_than_the_list_is_checked(issued_at: int, expected: Outcome) -> None:
    verdict = decide(signed(replace(CLAIMS, issued_at=issued_at), ATTENDED))
    assert verdict.outcome is expected
    assert verdict.reason is (Reason.NONE if expected is GRANT else Reason.UNLISTED)


KEY_WINDOW = {"not_before": NOW - 100, "not_after": NOW - 50}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"status": KeyStatus.RETIRED}, Reason.NONE),
        ({"status": KeyStatus.COMPROMISED}, Reason.UNKNOWN_ISSUER),
        (KEY_WINDOW, Reason.NONE),
        ({**KEY_WINDOW, "status": KeyStatus.RETIRED}, Reason.NONE),
        ({"not_before": NOW - 60}, Reason.NONE),
        ({"not_before": NOW - 59}, Reason.UNKNOWN_ISSUER),
        ({"not_after": NOW - 60}, Reason.NONE),
        ({"not_after": NOW - 61}, Reason.UNKNOWN_ISSUER),
    ],
)
def test_keys(key: dict[str, Any], expected: Reason) -> None:
    verdict = decide(signed(**key))
    assert verdict.reason is expected
    # list membership admits, whatever became of the key
    listed = replace(signed(**key), candidates=(candidate(),))
    assert decide(listed).outcome is GRANT


NO_LIST: Parts = {"venue": {"list_cut_s": {}}}
UNKNOWN_PRODUCT = replace(CLAIMS, product=ProductId(44))


@pytest.mark.parametrize(
    ("claims", "parts", "outcome", "reason"),
    [
        (CLAIMS, NO_LIST, CHECK, Reason.UNLISTED),
        (replace(CLAIMS, event=OTHER_EVENT), {}, DENY, Reason.WRONG_EVENT),
        (
            replace(CLAIMS, event=OTHER_EVENT),
            {"plan": {"sessions": ((OTHER_EVENT, TONIGHT),)}},
            CHECK,
            Reason.UNLISTED,
        ),
        (UNKNOWN_PRODUCT, {}, CHECK, Reason.UNLISTED),
        (UNKNOWN_PRODUCT, {"lane": {"busy": True}}, WAIT, Reason.BUSY),
        (replace(UNKNOWN_PRODUCT, not_after=NOW - 601), {}, DENY, Reason.EXPIRED),
        (replace(UNKNOWN_PRODUCT, zones=(BACKSTAGE,)), {}, DENY, Reason.WRONG_ZONE),
        (replace(CLAIMS, ticket=None), {}, CHECK, Reason.UNLISTED),  # its uses could not be counted
    ],
)
def test_what_cannot_be_vouched_for_here(
    claims: SignedClaims, parts: Parts, outcome: Outcome, reason: Reason
) -> None:
    verdict = decide(signed(claims, merged(parts, ATTENDED)))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_claims_that_make_no_candidate_are_in_no_verdict() -> None:
    verdict = decide(signed(UNKNOWN_PRODUCT))
    assert (verdict.outcome, verdict.candidate) == (DENY, None)


def test_the_key_is_judged_where_no_candidate_was_made() -> None:
    verdict = decide(signed(UNKNOWN_PRODUCT, status=KeyStatus.COMPROMISED))
    assert verdict.reason is Reason.UNKNOWN_ISSUER


def test_an_unlisted_candidate_without_claims_is_checked() -> None:
    assert heard({"candidate": {"listed": False}, **ATTENDED}) == (CHECK, Reason.UNLISTED)


def test_a_signed_ticket_that_the_caller_left_out_is_not_let_in_uncounted() -> None:
    verdict = decide(replace(signed(CLAIMS, ATTENDED), candidates=()))
    assert (verdict.outcome, verdict.reason) == (CHECK, Reason.UNLISTED)
