"""Putting the question: from what a reader delivered to a `Question`, and `decide()`'s answer.

All that a decision rests on is fetched here: the credential in the list, the standing changes newer than the list,
the ticket's rows in the log. Nothing is decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from math import inf
from typing import Protocol

import msgspec
from msgspec.structs import replace

from admission import binds
from admission.codecs.originality import is_original
from admission.credentials import (
    Copied,
    CredentialKind,
    Forged,
    Identity,
    Known,
    Malformed,
    Medium,
    UnknownIssuer,
    identify,
    tag_parts,
)
from admission.days import Today, day_of
from admission.decide import decide, synthesize
from admission.digests import digest, ticket_digest
from admission.entitlements import (
    Attention,
    CredentialStanding,
    LanePlan,
    Product,
    Session,
    Standing,
    Ticket,
    Zone,
    ZoneTree,
)
from admission.ids import Epoch, EventId, GateId, SessionId, TicketId, ZoneId
from admission.keys import KeyRing
from admission.observed import NO_EVENT, OF_DEVICE, Role, highest_tap, tag_key
from admission.presence import PresenceRow, Resets, fold
from admission.question import Candidate, ClockFacts, LaneFacts, Question, Tally, VenueFacts, Verdict
from admission.records import Direction, Extension, Flag, Trust, pack_tap, ticket_subject
from admission.rules import SESSION_MAX, session_for, share_of
from edge.clock import TrustedTime
from edge.venue import Venue, venue_of
from edge.worn import Told
from sync.wire.lists import ListHead

STORED_SAME_US = 2_000_000
"""Two reads of one code within it are one presentation, as at a lane (`absent_ms`)."""

_TAGS = (CredentialKind.UID, CredentialKind.SUN)
_OF_A_TAG = (*_TAGS, CredentialKind.BAND)
_ACTIVE = CredentialStanding.ACTIVE
_COMINGS = (Role.ENTRY, Role.EXIT)
_NOTHING_YET = Tally()
_DOUBTED = Tally(doubted=True)


class ListSource(Protocol):
    """The list in use."""

    head: ListHead

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        """Return the tickets a credential stands for."""
        ...


class PresenceSource(Protocol):
    """What the log knows of tickets, durable or on its way."""

    @property
    def epoch(self) -> Epoch:
        """The epoch that runs."""
        ...

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        """Return everything recorded about one ticket."""
        ...

    def resets(self) -> Resets:
        """Return the presence resets heard of."""
        ...

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:
        """Return a standing newer than the list's, if one was received."""
        ...

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:
        """Return a credential's standing newer than the list's, if one was received."""
        ...

    def occupancy_high(self, zone: ZoneId) -> int | None:
        """Return the upper bound of people in a zone; None while it is unknown."""
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A verdict with what the lane machine records about the presentation."""

    identity: Identity
    verdict: Verdict
    subject: bytes
    subject_flag: Flag
    extensions: tuple[tuple[Extension, bytes], ...] = ()
    """What the record carries besides: how far a tag has counted, where it counts."""


class Judge:
    """Asks `decide()` for one gate. `use_list` before the first question."""

    def __init__(self, gate: GateId, time: TrustedTime, presence: PresenceSource) -> None:
        self._gate = gate
        self._time = time
        self._presence = presence
        self._list: ListSource | None = None
        self._ring = KeyRing(())
        self._digest_key = bytes(32)
        self._timezone = "UTC"
        self.venue = VenueFacts(ZoneTree(()), {}, {}, {}, gate)
        self._plans: Mapping[int, LanePlan] = {}
        self._zone_gates: Mapping[ZoneId, tuple[GateId, ...]] = {}
        self.heard: Callable[[GateId], bool] = lambda _gate: False
        """Whether another gate was heard of within 30 s, directly or through the centre."""
        self.ask: Callable[[], bool] = lambda: False
        """Has the gates that were not heard asked, where nobody did while nobody came; whether their answer may still come."""
        self.doubted: Callable[[EventId, TicketId], bool] = lambda _event, _ticket: False
        """Whether a gate that is in doubt claims a use of a ticket (`edge.claims`); what it claims is in no row."""
        self.told: Callable[[EventId, TicketId, ZoneTree], Told] = self._told_whole
        """What is recorded about a ticket and what it folds to: a gate keeps those with many uses folded (`edge.worn`)."""
        self.known_at_cut: dict[ZoneId, int] = {}
        """People in a zone, at most, when its first question after the cut was put. A restart does not deal anew, so it
        is kept: `on_dealt` is called when it changed."""
        self.on_dealt: Callable[[], None] = lambda: None

    def use_list(self, source: ListSource, venue: Venue | None = None) -> None:
        """Judge by this list from now on; `venue` is what its head says, where that was found out already.

        ValueError where it cannot be used: then everything is as it was.
        """
        venue = venue or venue_of(source.head, self._gate)
        self._list = source
        self._timezone = source.head.events[0].timezone if source.head.events else "UTC"
        self._ring, self._digest_key = venue.ring, venue.digest_key
        self.venue, self._plans, self._zone_gates = venue.facts, venue.plans, venue.zone_gates

    def sealed(self, event: EventId, sealed_at_s: int) -> None:
        """All that was sold until then is known here: the cut for signed tickets that are not listed."""
        self.venue = replace(self.venue, list_cut_s={**self.venue.list_cut_s, event: sealed_at_s})

    def drop_list(self) -> None:
        """Judge by no list: what it said of zones, products and plans stays, so that exits and pages go on."""
        self._list = None

    @property
    def knows_venue(self) -> bool:
        """Whether zones, plans and keys are known, from a list that was in use in this run."""
        return bool(self._plans)

    def lanes_of(self, gate: GateId) -> int:
        """Return how many lanes the list gives a gate; 0 where it says nothing of it."""
        if self._list is None:
            return 0
        head = self._list.head
        return len({head.plans[index].lane for index in head.gate_lanes.get(gate, ())})

    @property
    def has_others(self) -> bool:
        """Whether another gate serves a zone of the venue, so that somebody waits to hear of us."""
        return any(self._zone_gates.values())

    @property
    def gate_names(self) -> dict[GateId, str]:
        """Return the gates by the names that visitors are told."""
        return {} if self._list is None else {one.id: one.name for one in self._list.head.gates}

    @property
    def timezone(self) -> str:
        """Return the name of the event's time zone; UTC where no list in use in this run said it."""
        return self._timezone

    def session_of(self, ticket: Ticket, plan: LanePlan) -> SessionId:
        """Return the session a ticket would use at a lane with this plan; where the plan has none for it, its own.

        Nobody is let in on that by a verdict, but by a steward's hand: then it is used on its own date.
        """
        own = ticket.session if ticket.session <= SESSION_MAX else SessionId(0)
        return session_for(ticket, plan) or own

    @property
    def has_list(self) -> bool:
        """Whether there is a list to judge by."""
        return self._list is not None

    def plan(self, lane: int) -> LanePlan | None:
        """Return what a lane serves now; None where the list's plans do not name it."""
        return self._plans.get(lane)

    def identify(self, data: bytes, medium: Medium, signature: bytes | None = None) -> Identity:
        """Say what was presented; total on any bytes.

        `signature`: what a tag says that its maker signed, where only genuine chips count; of one that proves itself anew at
        each tap it is not asked.
        """
        identity = identify(data, medium, self._ring, self._digest_key)
        if signature is None or medium is Medium.BARCODE or not isinstance(identity, Known):
            return identity
        uid = data if medium is Medium.UID else tag_parts(data)[0]
        if identity.counter is not None or is_original(uid, signature):
            return identity
        return replace(identity, genuine=False)

    def answer(
        self, identity: Identity, direction: Direction, lane: LaneFacts, *, blind: bool = False
    ) -> Answer:
        """Judge one presentation at a lane.

        StoreFault where list or log cannot be read; `blind` looks at neither.
        """
        zone = self.venue.zones.by_id.get(lane.plan.zone)
        cut_off = self._cut_off(lane.plan.zone)
        asking = cut_off and direction is not Direction.EXIT and self.ask()
        is_counted = zone is not None and zone.capacity > 0 and not blind
        high = self._presence.occupancy_high(lane.plan.zone) if is_counted else None
        if self._list is None and not _speaks_for_itself(identity):
            lane = replace(lane, ready=False)
        tapped = -1 if blind else self._tapped(identity)
        verdict = decide(
            Question(
                direction=direction,
                identity=identity,
                candidates=() if blind else self.candidates(identity, lane.plan),
                lane=lane,
                venue=self.venue,
                clock=self._time.facts(),
                cut_off=cut_off,
                asking=asking,
                # While they are asked nothing says that they are away, and no shares are dealt.
                occupancy_high=self._beyond_share(zone, high)
                if zone and high is not None and cut_off and not asking
                else high,
                capacity=zone.capacity if zone else 0,
                tapped=tapped,
            )
        )
        subject, flag = subject_of(identity, verdict)
        return Answer(identity, verdict, subject, flag, _counted(identity, tapped))

    def answer_at_desk(self, identity: Identity, lane: LaneFacts) -> Answer:
        """Judge what is shown at a check-in station, where somebody stands and nobody enters: neither room nor policy is asked.

        StoreFault where list or log cannot be read.
        """
        lane = replace(lane, plan=replace(lane.plan, attended=True), busy=False, after_restart=False)
        if self._list is None:
            lane = replace(lane, ready=False)
        verdict = decide(
            Question(
                direction=Direction.ENTRY,
                identity=identity,
                candidates=self.candidates(identity, lane.plan),
                lane=lane,
                venue=self.venue,
                clock=self._time.facts(),
            )
        )
        subject, flag = subject_of(identity, verdict)
        return Answer(identity, verdict, subject, flag)

    def meant(self, identity: Identity, direction: Direction, plan: LanePlan) -> Candidate | None:
        """Return which of its tickets a credential is shown for, where a steward lets somebody through whatever the verdict.

        The one that the verdict would be about, else the first; None where it stands for none. StoreFault where list or log
        cannot be read.
        """
        found = self.candidates(identity, plan)
        if len(found) < 2:
            return found[0] if found else None
        lane = LaneFacts(replace(plan, attended=True))
        verdict = decide(Question(direction, identity, found, lane, self.venue, self._time.facts()))
        return verdict.candidate or found[0]

    def tag_is_taken(self, uid: bytes) -> bool:
        """Whether a tag is somebody's, however it proves itself: by the list, or by a bind, also one that did not hold."""
        if self._list is None:
            return False
        digests = [digest(kind, uid, self._digest_key) for kind in _OF_A_TAG]
        return any(self._listed_holders(one) or binds.of_tag(one, self._rows_of) for one in digests)

    def band_digest(self, uid: bytes) -> bytes:
        """Return what a wristband with a signed record of its own is known by."""
        return digest(CredentialKind.BAND, uid, self._digest_key)

    def _listed_holders(self, tag: bytes) -> list[Ticket]:
        """Return the tickets that the list gives a tag, also where it opens none; not those whose bind was taken back."""
        listed = () if self._list is None else self._list.lookup(tag)
        return [
            ticket
            for ticket, standing in listed
            if not standing & CredentialStanding.REPLACED
            and not binds.is_let_go(tag, self._rows_of(ticket.event, ticket.id))
        ]

    def _rows_of(self, event: EventId, ticket: TicketId) -> Sequence[PresenceRow]:
        """Return what is recorded about a tag, or what of a ticket's past tells of binds."""
        if event == NO_EVENT:
            return self._presence.rows(event, ticket)
        return self.told(event, ticket, self.venue.zones).rows

    def answer_then(
        self,
        identity: Identity,
        direction: Direction,
        plan: LanePlan,
        read_s: int,
        zone: tzinfo,
        *,
        blind: bool = False,
    ) -> Answer:
        """Judge what a device read at `read_s` (unix seconds) and stored: by the entries and exits until then.

        The lane's state, its arm and how many people were inside are not asked, since nobody waits. Standings are those of
        now, and so are resets: of neither is it known what they were. What was stored before comes out `repeated`: a
        memory may be told twice. Sessions are those of that evening, whatever the plan has come to since. Without a list
        nothing is let in; StoreFault where list or log cannot be read. `blind` looks at neither.
        """
        # Somebody holds the device.
        plan = replace(self._plan_then(plan, read_s, zone), attended=True)
        clock = self._time.facts()
        then_us = read_s * 1_000_000
        question = Question(
            direction=direction,
            identity=identity,
            candidates=() if blind else self.candidates(identity, plan, then_us),
            lane=LaneFacts(
                plan, ready=not blind and (self._list is not None or _speaks_for_itself(identity))
            ),
            venue=self.venue,
            clock=ClockFacts(read_s, Trust.RTC, min(clock.floor_s, read_s)),
            cut_off=self._cut_off(plan.zone),
        )
        verdict = decide(question)
        if verdict.candidate is not None and self._is_told(verdict.candidate.ticket, plan, verdict, then_us):
            verdict = replace(verdict, repeated=True)
        subject, flag = subject_of(identity, verdict)
        return Answer(identity, verdict, subject, flag)

    def _plan_then(self, plan: LanePlan, read_s: int, zone: tzinfo) -> LanePlan:
        """Return the plan with the sessions of that day before its own; a night belongs to the day before.

        Of several the first that was not over by then; where nobody said when they end, those that the lane serves come first.
        """
        number = day_of(read_s, zone)
        events = {event for event, _ in plan.sessions}
        of_day = [
            one
            for one in self.venue.sessions.values()
            if one.event in events and one.zone in (0, plan.zone) and _evening_of(one, zone) == number
        ]
        served = {one: place for place, one in enumerate(plan.sessions)}

        def place(one: Session) -> tuple[bool, float, int]:
            is_over = 0 < one.end <= read_s
            return is_over, one.end or inf, served.get((one.event, one.id), len(served))

        then = [(one.event, one.id) for one in sorted(of_day, key=place)]
        return replace(plan, sessions=(*then, *(one for one in plan.sessions if one not in then)))

    def _is_told(self, ticket: Ticket, plan: LanePlan, verdict: Verdict, then_us: int) -> bool:
        return any(
            row.flags & OF_DEVICE
            and row.id.gate == self._gate
            and (row.lane, row.way) == (plan.lane, verdict.direction)
            and abs(row.time_us - then_us) < STORED_SAME_US
            for row in self._presence.rows(ticket.event, ticket.id)
        )

    def _tapped(self, identity: Identity) -> int:
        """Return how far the tag has counted for all that is known here; -1 where it does not count, or is new."""
        if not isinstance(identity, Known) or identity.counter is None:
            return -1
        return highest_tap(self._presence.rows(*tag_key(identity.digest)))

    def _cut_off(self, zone: ZoneId) -> bool:
        """Whether a gate that serves the same zone has not been heard, so that it may have taken a use unseen."""
        gates = self._zone_gates.get(zone)
        return gates is not None and not all(map(self.heard, gates))

    def in_touch(self) -> None:
        """A gate that was cut off is heard again: where all of a zone are, shares are dealt anew at the next cut.

        While one is still away, what it may fill by itself is not free for the others.
        """
        whole = [zone for zone in self.known_at_cut if not self._cut_off(zone)]
        for zone in whole:
            del self.known_at_cut[zone]
        if whole:
            self.on_dealt()

    def _beyond_share(self, zone: Zone, known: int) -> int:
        """Return the people known in a zone, and those that may be let in by the other gates meanwhile."""
        at_cut = self.known_at_cut.get(zone.id)
        if at_cut is None:
            at_cut = self.known_at_cut[zone.id] = known
            self.on_dealt()
        share = share_of(zone.capacity, at_cut, 1 + len(self._zone_gates.get(zone.id, ())))
        return known + zone.capacity - share

    def candidates(
        self, identity: Identity, plan: LanePlan, then_us: int | None = None
    ) -> tuple[Candidate, ...]:
        """Fetch every ticket a credential stands for, with what the log knows of each; `then_us`: as it was at that time."""
        if not isinstance(identity, Known):
            return ()
        # Without a list nobody is let in, but a signature still says who leaves.
        rows = () if self._list is None else self._list.lookup(identity.digest)
        found: list[Candidate] = []
        name = identity.digest
        is_over = True
        for ticket, listed in rows:
            one, is_let_go = self._candidate(ticket, listed, name, plan, then_us)
            found.append(one)
            is_over = is_over and (is_let_go or one.credential == CredentialStanding.REPLACED)
        if is_over and identity.kind in _TAGS:
            # Whoever had the tag before has it no more.
            bound = self._bound(name)
            found += [self._candidate(ticket, listed, name, plan, then_us)[0] for ticket, listed in bound]
        if not found and identity.claims is not None:
            unlisted = synthesize(identity.claims, self.venue)
            if unlisted is not None:
                ticket = self._current(unlisted.ticket)
                told = self.told(ticket.event, ticket.id, self.venue.zones)
                replaced = (
                    CredentialStanding.REPLACED if self._is_replaced(ticket, name, told.rows) else _ACTIVE
                )
                tally = self._tally(ticket, plan, then_us, told)
                found.append(replace(unlisted, ticket=ticket, credential=replaced, tally=tally))
        return tuple(found)

    def _candidate(
        self, ticket: Ticket, listed: CredentialStanding, name: bytes, plan: LanePlan, then_us: int | None
    ) -> tuple[Candidate, bool]:
        """Return a ticket as a credential stands for it, and whether that is a tag whose bind was taken back."""
        product = self.venue.products.get((ticket.event, ticket.product))
        if product is None:
            # A list that forgot a product still knows who is cancelled; staff look at the others.
            product = Product(ticket.product, ticket.event, "", attention=Attention.NOTE)
        newer = self._presence.credential_of(ticket.event, name)
        credential = listed if newer is None else newer
        told = self.told(ticket.event, ticket.id, self.venue.zones)
        is_let_go = binds.is_let_go(name, told.rows)
        if is_let_go:
            credential |= CredentialStanding.INACTIVE_TAG
        elif self._is_replaced(ticket, name, told.rows):
            credential |= CredentialStanding.REPLACED
        elif credential & CredentialStanding.REPLACED and self._lives_again(ticket, name, told.rows):
            credential &= ~CredentialStanding.REPLACED
        tally = self._tally(ticket, plan, then_us, told)
        return Candidate(self._current(ticket), product, tally, credential=credential), is_let_go

    def _bound(self, tag: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        """Return the ticket that a tag stands for since a check-in station bound it, in no list yet: as its code is listed.

        Where this list has not even the ticket, what the bind says of it; nobody signed that, so it is no more than a check.
        """
        known = binds.of_tag(tag, self._rows_of)
        if not known or self._list is None:
            return ()
        bind, holds = known[0], binds.trouble_of(known[0], self._rows_of) is None
        of_code = self._list.lookup(bind.code)
        same = [one for one, _ in of_code if (one.event, one.id) == (bind.event, bind.ticket)]
        ticket = same[0] if same else Ticket(bind.ticket, bind.event, bind.product, session=bind.session)
        if not same:
            ticket = replace(ticket, attention=Attention.NOTE)
        # Its ticket had another tag before.
        return ((ticket, _ACTIVE if holds else CredentialStanding.INACTIVE_TAG),)

    def _is_replaced(self, ticket: Ticket, code: bytes, about: Sequence[PresenceRow]) -> bool:
        """Whether a tag stands for the ticket instead of this code, by what check-in stations recorded.

        Not where the list gives that tag to somebody else: the centre has spoken.
        """
        if not about or not binds.replaces(code, about):
            return False
        tag = binds.tag_of(ticket.event, ticket.id, about, self._rows_of)
        if tag is None or self._list is None:
            return tag is not None
        holders = {(one.event, one.id) for one in self._listed_holders(tag)}
        return not holders or (ticket.event, ticket.id) in holders

    def _lives_again(self, ticket: Ticket, code: bytes, about: Sequence[PresenceRow]) -> bool:
        """Whether the list has a code replaced by a bind that was taken back since: it still gives the ticket that tag.

        Not where the ticket has a code of ours besides, which only a reissue gives it: then the paper was replaced by that, too.
        """
        own = ticket_digest(ticket.event, ticket.id, self._digest_key)
        if self._list is None or (code != own and self._is_listed(own, ticket)):
            return False
        return any(
            (one.event, one.id) == (ticket.event, ticket.id) and not standing & CredentialStanding.REPLACED
            for tag in binds.is_given_back(code, about)
            for one, standing in self._list.lookup(tag)
        )

    def _is_listed(self, code: bytes, ticket: Ticket) -> bool:
        """Whether the list, or a change since, gives a ticket this code."""
        listed = () if self._list is None else self._list.lookup(code)
        return any((one.event, one.id) == (ticket.event, ticket.id) for one, _ in listed)

    def _current(self, ticket: Ticket) -> Ticket:
        """Apply a standing change that is newer than the list."""
        newer = self._presence.standing_of(ticket.event, ticket.id)
        if newer is None or newer == ticket.standing:
            return ticket
        return Ticket(
            ticket.id, ticket.event, ticket.product, ticket.holder, ticket.zones, ticket.session, newer,
            ticket.not_before, ticket.not_after, ticket.admits, ticket.home_gate, ticket.attention,
        )  # fmt: skip

    def _told_whole(self, event: EventId, ticket: TicketId, zones: ZoneTree) -> Told:
        rows = self._presence.rows(event, ticket)
        return Told(rows, fold(rows, self._presence.resets(), zones))

    def _told_then(self, ticket: Ticket, then_us: int) -> Told:
        """Return what was recorded by then. What was said since of those entries and exits holds: one was annulled, another passed."""
        rows = tuple(
            row for row in self._presence.rows(ticket.event, ticket.id)
            if row.time_us <= then_us or row.role not in _COMINGS
        )  # fmt: skip
        return Told(rows, fold(rows, self._presence.resets(), self.venue.zones))

    def _tally(self, ticket: Ticket, plan: LanePlan, then_us: int | None, told: Told) -> Tally:
        """Return what is recorded about a ticket, as seen from this lane."""
        if then_us is not None:
            told = self._told_then(ticket, then_us)
        doubted = self.doubted(ticket.event, ticket.id)
        if not told.rows:
            return _DOUBTED if doubted else _NOTHING_YET
        session = self.session_of(ticket, plan)
        today = self._today(ticket.event, session, then_us)
        presence = told.presence
        found = presence.tally(plan.zone, session, today, self._gate, self._presence.epoch, plan.lane)
        if then_us is not None:
            # It is over: nobody waits for an exit, stands before an arm that a restart caught or is let in again.
            found = replace(
                found, exit_pending=False, unresolved=0, unresolved_uses=0, unresolved_ids=(), frozen=()
            )
        return replace(found, doubted=True) if doubted else found

    def _today(self, event: EventId, session: SessionId, then_us: int | None) -> Today:
        """Return the day of a use that is taken now, or was at that time."""
        days = self.venue.days_of(event)
        if then_us is not None:
            return days.today(session, then_us)
        clock = self._time.facts()
        return days.today(session, clock.now_s * 1_000_000, is_believed=clock.trust >= Trust.RTC)


def _evening_of(session: Session, zone: tzinfo) -> int:
    """Return the day of a session; of one that is over before the morning, the day whose night it is."""
    return min(session.day, day_of(session.end - 1, zone)) if session.end else session.day


def _speaks_for_itself(identity: Identity) -> bool:
    """Whether something can be said of what was presented without a list: by its signature, or for want of one."""
    return not isinstance(identity, Known) or identity.claims is not None


def _counted(identity: Identity, tapped: int) -> tuple[tuple[Extension, bytes], ...]:
    """Return what is to be kept of a tag that counts: a counter above all seen, whatever the answer is."""
    if not isinstance(identity, Known) or identity.counter is None or identity.counter <= tapped:
        return ()
    return ((Extension.TAP, pack_tap(identity.digest, identity.counter)),)


def subject_of(identity: Identity, verdict: Verdict) -> tuple[bytes, Flag]:
    """Return what a record about this presentation carries: the ticket where one was found, else a digest."""
    if verdict.candidate is not None:
        ticket = verdict.candidate.ticket
        return ticket_subject(ticket.event, ticket.id, ticket.product), Flag.TICKET
    match identity:
        case Known(digest=digest):
            return digest, Flag.DIGEST
        case (
            Forged(digest_of_text=digest)
            | UnknownIssuer(digest_of_text=digest)
            | Copied(digest_of_text=digest)
        ):
            return digest, Flag.DIGEST
        case Malformed():
            return bytes(16), Flag.NONE
