"""Putting the question: what is fetched for a decision, and what overrules what."""

from collections.abc import Mapping

import msgspec
import pytest

from admission.credentials import Known, Medium
from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding, LanePlan, Standing, Ticket, Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, LaneId, RecordId, TicketId, ZoneId
from admission.observed import rows_of, tag_rows_of
from admission.presence import PresenceRow, Resets, Role, State
from admission.question import LaneFacts
from admission.reasons import Reason
from admission.records import (
    Bound,
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    pack_bound,
    pack_record_ids,
    pack_tap,
    ticket_subject,
)
from edge.clock import TrustedTime
from edge.judge import Answer, Judge
from sync.wire.lists import GateInfo, ListRow, ticket_of
from tests.admission.tags import TAG_UID, sun_tap
from tests.edge.rig import (
    ARENA,
    DIGEST_KEY,
    EVENT,
    GATE,
    PRODUCT,
    SESSION,
    UID,
    code,
    list_head,
    row,
    tag_row,
)
from tests.edge.test_clock import NOW_S, HandClock

OLD, NEW = Epoch(1), Epoch(2)


class Memories:
    """What the log knows, as a test says (`edge.judge.PresenceSource`)."""

    epoch = NEW

    def __init__(self) -> None:
        self.found: list[PresenceRow] = []
        self.standings: Mapping[TicketId, Standing] = {}
        self.credentials: Mapping[bytes, CredentialStanding] = {}
        self.inside: int | None = None

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        return tuple(one for one in self.found if (one.event, one.ticket) == (event, ticket))

    def resets(self) -> Resets:
        return Resets((), ZoneTree(list_head(NOW_S).zones))

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:  # noqa: ARG002 - the Protocol's
        return self.standings.get(ticket)

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:  # noqa: ARG002
        return self.credentials.get(digest)

    def occupancy_high(self, zone: ZoneId) -> int | None:  # noqa: ARG002 - the Protocol's
        return self.inside


class ShortList:
    """A list of some rows, in memory (`edge.judge.ListSource`)."""

    def __init__(self, *rows: ListRow) -> None:
        self.head = list_head(NOW_S)
        self._rows = rows

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        return tuple(
            (
                ticket_of(self.head.profiles[one.profile], one.event, one.ticket, one.holder, one.standing),
                one.credential_standing,
            )
            for one in self._rows
            if one.digest == digest
        )


class Desk:
    """A judge with its list and its memories."""

    def __init__(self) -> None:
        self.memories = Memories()
        self.judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), self.memories)
        self.use()

    def use(self, *more: GateInfo) -> None:
        """Take up the list, with further gates that serve the zone."""
        source = ShortList(row(7), tag_row(8))
        source.head = msgspec.structs.replace(source.head, gates=(*source.head.gates, *more))
        self.judge.use_list(source)

    def plan(self, lane: int) -> LanePlan:
        found = self.judge.plan(lane)
        assert found is not None
        return found

    def ask(
        self,
        data: bytes,
        medium: Medium = Medium.BARCODE,
        direction: Direction = Direction.ENTRY,
        lane: int = 2,
        **facts: bool,
    ) -> Answer:
        identity = self.judge.identify(data, medium)
        return self.judge.answer(identity, direction, LaneFacts(self.plan(lane), **facts))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def reserved(seq: int, lane: int, epoch: Epoch = OLD) -> PresenceRow:
    return PresenceRow(
        EVENT, TicketId(7), RecordId(GATE, epoch, seq), Role.ENTRY, seq, State.RESERVED, Direction.ENTRY, ARENA,
        SESSION, LaneId(lane),
    )  # fmt: skip


def told(answer: Answer) -> tuple[Outcome, Reason]:
    return answer.verdict.outcome, answer.verdict.reason


def test_a_ticket_and_a_tag_are_found_and_named_in_the_record(desk: Desk) -> None:
    ticket, tag = desk.ask(code(7)), desk.ask(UID, Medium.UID)
    for answer, number in ((ticket, 7), (tag, 8)):
        assert told(answer) == (Outcome.GRANT, Reason.NONE)
        assert answer.subject == ticket_subject(EVENT, TicketId(number), PRODUCT)
        assert answer.subject_flag is Flag.TICKET


def test_a_tag_that_counts_is_told_from_its_message_sent_again(desk: Desk) -> None:
    found = digest(CredentialKind.SUN, TAG_UID, DIGEST_KEY)
    desk.judge.use_list(ShortList(row(9)._replace(digest=found)))
    answer = desk.ask(sun_tap(5, DIGEST_KEY), Medium.TAG)
    assert told(answer) == (Outcome.GRANT, Reason.NONE)
    assert answer.extensions == ((Extension.TAP, pack_tap(found, 5)),)
    (heard,) = tag_rows_of(GATE, OLD, Record(Kind.SCAN, 3, 0, 0), (ExtensionRecord(Extension.TAP, 4, answer.extensions[0][1]),), 0)  # fmt: skip
    desk.memories.found.append(heard)
    again = desk.ask(sun_tap(5, DIGEST_KEY), Medium.TAG)
    assert (told(again), again.extensions) == ((Outcome.DENY, Reason.REPLAYED_TAP), ())
    assert again.subject_flag is Flag.DIGEST
    assert told(desk.ask(sun_tap(4, DIGEST_KEY), Medium.TAG)) == (Outcome.DENY, Reason.REPLAYED_TAP)
    # whatever is said of it now, and also without any ticket, the counter is kept
    desk.judge.use_list(ShortList())
    unknown = desk.ask(sun_tap(6, DIGEST_KEY), Medium.TAG)
    assert told(unknown) == (Outcome.DENY, Reason.UNKNOWN)
    assert unknown.extensions == ((Extension.TAP, pack_tap(found, 6)),)
    assert told(desk.ask(sun_tap(7, DIGEST_KEY, shown=UID), Medium.TAG)) == (Outcome.DENY, Reason.COPIED_TAG)


def test_what_is_unknown_is_recorded_by_digest_and_what_is_no_code_by_nothing(desk: Desk) -> None:
    unknown, nothing = desk.ask(b"no such code"), desk.ask(b"\xff\xfe\x00")
    assert (told(unknown), unknown.subject_flag) == ((Outcome.DENY, Reason.UNKNOWN), Flag.DIGEST)
    assert any(unknown.subject)
    assert (told(nothing), nothing.subject_flag) == ((Outcome.DENY, Reason.MALFORMED), Flag.NONE)


def test_a_standing_newer_than_the_list_overrules_it(desk: Desk) -> None:
    desk.memories.standings = {TicketId(7): Standing.CANCELLED}
    assert told(desk.ask(code(7))) == (Outcome.DENY, Reason.CANCELLED)
    desk.memories.credentials = {tag_row(8).digest: CredentialStanding.BANNED_TAG}
    assert told(desk.ask(UID, Medium.UID)) == (Outcome.DENY, Reason.BANNED_TAG)


def test_a_list_that_cannot_be_used_changes_nothing(desk: Desk) -> None:
    source = ShortList(row(7, Standing.CANCELLED))
    source.head = msgspec.structs.replace(source.head, zones=(), gate_lanes={GATE: (0, 9)})
    with pytest.raises(ValueError, match="lane plan"):
        desk.judge.use_list(source)
    assert told(desk.ask(code(7))) == (Outcome.GRANT, Reason.NONE)


def test_a_signed_ticket_that_is_not_listed_is_cancelled_all_the_same(desk: Desk) -> None:
    desk.memories.standings = {TicketId(99): Standing.CANCELLED}
    assert told(desk.ask(code(99))) == (Outcome.DENY, Reason.CANCELLED)


@pytest.mark.parametrize(("lane", "granted"), [(2, True), (1, False)])
def test_an_unresolved_reservation_is_let_in_at_its_own_lane(desk: Desk, lane: int, granted: bool) -> None:
    desk.memories.found = [reserved(1, lane=2)]
    answer = desk.ask(code(7), lane=lane, after_restart=True)
    assert (answer.verdict.outcome is Outcome.GRANT) is granted
    assert bool(answer.verdict.flags & Flag.AFTER_RESTART) is granted


def test_a_use_of_this_run_is_no_unresolved_one(desk: Desk) -> None:
    desk.memories.found = [reserved(1, lane=2, epoch=NEW)]
    assert told(desk.ask(code(7), after_restart=True)) == (Outcome.DENY, Reason.ALREADY_USED)


def test_without_a_list_nobody_is_let_in_and_who_leaves_is_known_by_signature(desk: Desk) -> None:
    desk.judge.drop_list()
    assert told(desk.ask(code(7), ready=False)) == (Outcome.DENY, Reason.NOT_READY)
    leaving = desk.ask(code(7), direction=Direction.EXIT, ready=False)
    assert (leaving.verdict.outcome, leaving.subject_flag) == (Outcome.GRANT, Flag.TICKET)
    anybody = desk.ask(b"whatever", direction=Direction.EXIT, ready=False)
    assert anybody.verdict.outcome is Outcome.GRANT


def test_blind_it_looks_nothing_up(desk: Desk) -> None:
    identity = desk.judge.identify(code(7), Medium.BARCODE)
    leaving = desk.judge.answer(identity, Direction.EXIT, LaneFacts(desk.plan(1), ready=False), blind=True)
    assert (leaving.verdict.outcome, leaving.subject_flag) == (Outcome.GRANT, Flag.DIGEST)


def test_another_gate_of_the_zone_counts_as_cut_off_until_it_is_heard(desk: Desk) -> None:
    assert not desk.ask(code(7)).verdict.flags & Flag.UNSURE  # no other gate serves the zone
    desk.use(GateInfo(GateId(2), "South", bytes(32), (ARENA,)))
    assert desk.ask(code(7)).verdict.flags & Flag.UNSURE
    desk.judge.heard = lambda gate: gate == 2
    assert not desk.ask(code(7)).verdict.flags & Flag.UNSURE


def test_a_gate_that_is_cut_off_fills_its_share_of_what_was_free_and_no_more(desk: Desk) -> None:
    judge = desk.judge
    head = msgspec.structs.replace(list_head(NOW_S), zones=(Zone(ARENA, "Arena", gate=GATE, capacity=10),))
    source = ShortList(row(7))
    source.head = msgspec.structs.replace(
        head, gates=(*head.gates, GateInfo(GateId(2), "South", bytes(32), (ARENA,)))
    )
    judge.use_list(source)

    def asked(inside: int | None) -> Reason:
        desk.memories.inside = inside
        return Reason(desk.ask(code(7)).verdict.reason)

    assert [asked(inside) for inside in (4, 6, 7)] == [Reason.NONE, Reason.NONE, Reason.FULL]
    assert asked(6) is Reason.NONE, "somebody left again"
    assert asked(None) is Reason.NONE, "not judged while it is unknown"
    judge.heard = lambda _gate: True
    assert [asked(inside) for inside in (9, 10)] == [Reason.NONE, Reason.FULL]
    judge.in_touch()
    judge.heard = lambda _gate: False
    assert [asked(inside) for inside in (9, 9, 10)] == [Reason.FULL, Reason.FULL, Reason.FULL]


def test_shares_are_dealt_anew_only_once_every_gate_of_the_zone_is_heard(desk: Desk) -> None:
    judge, dealt, away = desk.judge, [], {GateId(2), GateId(3)}
    head = msgspec.structs.replace(list_head(NOW_S), zones=(Zone(ARENA, "Arena", gate=GATE, capacity=9),))
    source = ShortList(row(7))
    others = tuple(GateInfo(GateId(n), f"Gate {n}", bytes(32), (ARENA,)) for n in (2, 3))
    source.head = msgspec.structs.replace(head, gates=(*head.gates, *others))
    judge.use_list(source)
    judge.heard = lambda gate: gate not in away
    judge.on_dealt = lambda: dealt.append(dict(judge.known_at_cut))

    def asked(inside: int) -> Reason:
        desk.memories.inside = inside
        return Reason(desk.ask(code(7)).verdict.reason)

    assert [asked(inside) for inside in (0, 2, 3)] == [Reason.NONE, Reason.NONE, Reason.FULL]
    away.remove(GateId(2))
    judge.in_touch()
    assert asked(6) is Reason.FULL, "gate 3 may be filling its own three"
    away.clear()
    judge.in_touch()
    assert asked(8) is Reason.NONE
    assert dealt == [{ARENA: 0}, {}]


# --- what a check-in station bound --------------------------------------------------------------------------------


def bound(
    ticket: int, seq: int = 3, uid: bytes = UID, gate: int = 2, code: bytes = b""
) -> tuple[PresenceRow, ...]:
    """What another gate's BIND of a tag to a ticket says."""
    body = Record(
        Kind.BIND, seq, 0, 0, flags=Flag.TICKET, subject=ticket_subject(EVENT, TicketId(ticket), PRODUCT), session=SESSION
    )  # fmt: skip
    what = Bound(uid, digest(CredentialKind.UID, uid, DIGEST_KEY), code or row(ticket).digest)
    said = (GateId(gate), OLD, body, (ExtensionRecord(Extension.BOUND, seq + 1, pack_bound(what)),), seq)
    return (*rows_of(*said), *tag_rows_of(*said))


def tapped(judge: Judge, uid: bytes = UID) -> Answer:
    plan = judge.plan(1)
    assert plan is not None
    return judge.answer(judge.identify(uid, Medium.UID), Direction.ENTRY, LaneFacts(plan))


def shown(judge: Judge, ticket: int) -> Answer:
    plan = judge.plan(1)
    assert plan is not None
    return judge.answer(judge.identify(code(ticket), Medium.BARCODE), Direction.ENTRY, LaneFacts(plan))


def said(answer: Answer) -> tuple[Outcome, Reason]:
    return answer.verdict.outcome, answer.verdict.reason


GRANTED = (Outcome.GRANT, Reason.NONE)


def test_a_bound_tag_has_the_tickets_rights_and_the_code_is_replaced() -> None:
    memories = Memories()
    judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), memories)
    judge.use_list(ShortList(row(7), row(8)))
    assert said(tapped(judge)) == (Outcome.DENY, Reason.UNKNOWN)
    memories.found = [*bound(7)]
    answer = tapped(judge)
    assert said(answer) == GRANTED
    assert answer.subject == ticket_subject(EVENT, TicketId(7), PRODUCT)
    assert said(shown(judge, 7)) == (Outcome.DENY, Reason.REPLACED)
    assert said(shown(judge, 8)) == GRANTED
    memories.standings = {TicketId(7): Standing.CANCELLED}
    assert said(tapped(judge)) == (Outcome.DENY, Reason.CANCELLED)


def test_a_bound_ticket_that_the_list_does_not_hold_yet_is_for_staff_to_look_at() -> None:
    memories = Memories()
    judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), memories)
    judge.use_list(ShortList(row(8)))
    memories.found = [*bound(7)]
    assert said(tapped(judge)) == (Outcome.DENY, Reason.CHECK_NOTE), "nobody stands at this lane"
    assert said(shown(judge, 7)) == (Outcome.DENY, Reason.REPLACED)


def test_the_lists_word_on_a_tag_goes_before_a_bind() -> None:
    memories = Memories()
    judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), memories)
    judge.use_list(ShortList(row(7), row(8), tag_row(8)))
    memories.found = [*bound(7)]
    answer = tapped(judge)
    assert answer.subject == ticket_subject(EVENT, TicketId(8), PRODUCT)
    assert said(shown(judge, 7)) == GRANTED, "whose tag became another's enters by his code"
    judge.use_list(ShortList(row(7), row(8), tag_row(7)))
    assert said(tapped(judge)) == GRANTED
    assert said(shown(judge, 7)) == (Outcome.DENY, Reason.REPLACED)


def taken_back(ticket: int, name: RecordId, seq: int = 9, gate: int = 2) -> tuple[PresenceRow, ...]:
    """What the record says by which a steward took a bind back."""
    body = Record(
        Kind.ANNUL, seq, 0, 0, flags=Flag.TICKET, subject=ticket_subject(EVENT, TicketId(ticket), PRODUCT)
    )
    extension = ExtensionRecord(Extension.OBSERVED, seq + 1, pack_record_ids((name,))[0])
    return rows_of(GateId(gate), OLD, body, (extension,), seq)


def test_a_bind_that_was_taken_back_is_undone_here_also_where_the_list_has_taken_it_over() -> None:
    """The centre took the tag over, the station is cut off since, and its steward sees that it was the wrong one."""
    memories = Memories()
    judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), memories)
    made = bound(7)
    memories.found = [*made, *taken_back(7, made[0].id)]
    replaced = row(7)._replace(credential_standing=CredentialStanding.REPLACED)
    for listed in ([row(7), row(8)], [replaced, tag_row(7), row(8)]):
        judge.use_list(ShortList(*listed))
        assert said(shown(judge, 7)) == GRANTED
        assert tapped(judge).verdict.outcome is Outcome.DENY
        assert not judge.tag_is_taken(UID)
        memories.found += bound(8, seq=13)
        assert judge.tag_is_taken(UID)
        assert said(tapped(judge)) == GRANTED
        assert tapped(judge).subject == ticket_subject(EVENT, TicketId(8), PRODUCT)
        assert said(shown(judge, 8)) == (Outcome.DENY, Reason.REPLACED)
        memories.found = memories.found[: -len(bound(8))]
    # A code that was replaced for another reason stays so.
    memories.found = []
    judge.use_list(ShortList(replaced))
    assert said(shown(judge, 7)) == (Outcome.DENY, Reason.REPLACED)
    memories.found = [*made, *taken_back(7, made[0].id)]
    assert said(shown(judge, 7)) == (Outcome.DENY, Reason.REPLACED), "the list gives the ticket no such tag"


def test_a_code_that_was_reissued_meanwhile_stays_replaced_when_its_bind_is_taken_back() -> None:
    """A ticket with another shop's code: a station bound it, the office reissued it, and then the station's steward undoes."""
    memories = Memories()
    judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), memories)
    paper = b"FOREIGN-CODE-0007"
    foreign = digest(CredentialKind.OPAQUE, paper, DIGEST_KEY)
    made = bound(7, code=foreign)
    memories.found = [*made, *taken_back(7, made[0].id)]
    replaced = row(7)._replace(digest=foreign, credential_standing=CredentialStanding.REPLACED)

    def presented() -> Answer:
        plan = judge.plan(1)
        assert plan is not None
        return judge.answer(judge.identify(paper, Medium.BARCODE), Direction.ENTRY, LaneFacts(plan))

    judge.use_list(ShortList(replaced, tag_row(7)))
    assert said(presented()) == GRANTED, "nobody reissued it: it opens again"
    judge.use_list(ShortList(replaced, tag_row(7), row(7)))
    assert said(presented()) == (Outcome.DENY, Reason.REPLACED)
    assert said(shown(judge, 7)) == GRANTED, "the new paper opens"


def test_a_second_tag_of_one_ticket_opens_nothing() -> None:
    memories = Memories()
    judge = Judge(GATE, TrustedTime(HandClock(), rtc=True), memories)
    judge.use_list(ShortList(row(7)))
    other = bytes.fromhex("04FFB2C3D4E5F6")
    memories.found = [*bound(7, seq=9, uid=other, gate=3), *bound(7)]
    assert said(tapped(judge)) == GRANTED
    assert said(tapped(judge, other)) == (Outcome.DENY, Reason.INACTIVE_TAG)


def test_where_only_genuine_chips_count_one_without_is_refused_at_the_entry_and_goes_out(desk: Desk) -> None:
    plan = LaneFacts(desk.plan(2))
    shown = desk.judge.identify(UID, Medium.UID, b"")
    assert told(desk.judge.answer(shown, Direction.ENTRY, plan)) == (Outcome.DENY, Reason.NOT_GENUINE)
    leaving = desk.judge.answer(shown, Direction.EXIT, plan)
    assert told(leaving) == (Outcome.GRANT, Reason.NONE)
    assert leaving.verdict.candidate is not None, "and the exit is the ticket's own"
    for medium, data in ((Medium.BARCODE, code(7)), (Medium.TAG, sun_tap(5, DIGEST_KEY))):
        known = desk.judge.identify(data, medium, b"")
        assert isinstance(known, Known), medium
        assert known.genuine, "a code has no chip, and a tag that proves itself needs no weaker proof"
    assert desk.judge.identify(UID, Medium.UID) == msgspec.structs.replace(shown, genuine=True), (
        "where nobody asks"
    )
