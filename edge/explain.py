"""`gatehouse-edge explain CODE`: what this gate makes of a code, as data. Reads list and log, opens no device."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntFlag
from pathlib import Path

from admission.credentials import Copied, Forged, Identity, Known, Malformed, Medium, UnknownIssuer
from admission.entitlements import CredentialStanding, LanePlan, Standing, Ticket
from admission.ids import Epoch, EventId, LaneId, TicketId, ZoneId
from admission.presence import PresenceRow, Resets
from admission.question import LaneFacts, Tally, Verdict
from admission.reasons import Language, Reason, say
from admission.records import Direction, Flag
from edge.applied import applied_of, head_over, settings_of
from edge.claims import Doubts
from edge.clock import SystemClock, TrustedTime
from edge.complaint import Complaint
from edge.enrolment import Enrolment
from edge.judge import Judge
from edge.lists import FILE as LIST_FILE
from edge.lists import RESEND_HINT
from edge.memory import kept_doubts, kept_limits, standings_after
from edge.occupancy import Occupancy
from edge.overlay import OverlaidList, Overlay
from edge.settings import Settings, Way
from edge.store.faults import FaultKind, StoreFault
from edge.store.list import ListStore
from edge.store.log_reader import LogReader
from edge.venue import venue_of
from sync.wire.counted import Counted
from sync.wire.lists import ListHead

_WAYS = {Way.ENTRY: Direction.ENTRY, Way.EXIT: Direction.EXIT, Way.BOTH: Direction.NONE}


def explain(
    code: bytes, medium: Medium, settings: Settings, enrolment: Enrolment, *, lane: int, way: Way
) -> dict[str, object]:
    """Return format, key, claims, candidates, outcome, reason and what is said, as values for JSON.

    The lane is taken to be open, ready and free. Complaint where the lane is not configured; StoreFault where list
    or log cannot be read (no log yet is an empty one).
    """
    configured = next((one for one in settings.lanes if one.id == lane), None)
    if configured is None:
        known = ", ".join(str(one.id) for one in settings.lanes)
        raise Complaint(f"this gate has no lane {lane}", f"Its lanes are: {known}.")
    data = Path(settings.gate.data)
    store = ListStore.open(data / LIST_FILE)
    log = _log(data)
    try:
        listed = _in_force(store, log)
        past = _Past(log, enrolment, listed.head, store.head)
        judge = Judge(enrolment.gate, TrustedTime(SystemClock(), rtc=settings.gate.rtc), past)
        judge.doubted = past.doubted
        judge.use_list(listed)
        plan = judge.plan(lane) or LanePlan(LaneId(lane), ZoneId(0))
        if configured.attended is not None:
            plan = LanePlan(plan.lane, plan.zone, plan.mode, plan.sessions, configured.attended)
        facts = LaneFacts(plan, let_in_after_restart=configured.let_in_after_restart)
        identity = judge.identify(code, medium)
        verdict = judge.answer(identity, _WAYS[way], facts).verdict
        return {
            "medium": medium.value,
            **_identity(identity),
            "lane": _lane(plan, listed.head),
            "way": way.value,
            "candidates": _candidates(judge, listed, identity, _WAYS[way], facts, verdict),
            **_verdict(verdict),
            "sayings": _sayings(verdict, listed.head),
            "taken_for_granted": "the lane is open, ready and free",
        }
    finally:
        store.close()
        if log is not None:
            log.close()


def _in_force(store: ListStore, log: LogReader | None) -> OverlaidList:
    """Return the list with what came over it by changes, as the gate takes it up (`edge.deltas.Deltas`)."""
    head = head_over(store.head, applied_of(log), settings_of(log)) if log else store.head
    overlay = Overlay(log.overlay() if log else ())
    overlay.prune({one.id: (one.generation, one.version) for one in store.head.events})
    return OverlaidList(store, overlay, head)


def _log(data: Path) -> LogReader | None:
    try:
        return LogReader.open(data)
    except StoreFault as fault:
        if fault.kind is FaultKind.MISSING:
            return None
        raise


class _Past:
    """What the log holds, read-only (`edge.judge.PresenceSource`). `head`: in force; `listed`: of the list file, whose
    rows hold no newer standings than that."""

    def __init__(
        self, reader: LogReader | None, enrolment: Enrolment, head: ListHead, listed: ListHead
    ) -> None:
        self._reader = reader
        try:
            zones = venue_of(head, enrolment.gate).facts.zones
        except ValueError as error:
            raise Complaint(f"the list contradicts itself: {error}", RESEND_HINT) from error
        seals = {one.id: (one.generation, one.version) for one in listed.events}
        self._standings, self._credentials = standings_after(seals, reader.standings() if reader else ())
        self._counted = Counted(kept_limits(reader) if reader else ())
        self._doubts = kept_doubts(reader) if reader else Doubts()
        resets = self._counted.resets(reader.resets() if reader else ())
        self._resets = Resets(self._doubts.resets(resets), zones)
        self._occupancy = Occupancy(zones, self._resets)
        for _ in self._occupancy.count(reader.presence_tickets() if reader else (), self.rows):
            pass
        # The newest epoch of ours is the running one, or the last that ran.
        own = [one.epoch for one in (reader.epochs() if reader else ()) if one.gate == enrolment.gate]
        self.epoch = own[-1] if own else Epoch(0)

    def rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        return self._doubts.sure(self._all_rows(event, ticket))

    def doubted(self, event: EventId, ticket: TicketId) -> bool:
        return self._doubts.takes(self._all_rows(event, ticket))

    def _all_rows(self, event: EventId, ticket: TicketId) -> tuple[PresenceRow, ...]:
        return self._counted.rows(self._reader.presence_rows(event, ticket)) if self._reader else ()

    def resets(self) -> Resets:
        return self._resets

    def standing_of(self, event: EventId, ticket: TicketId) -> Standing | None:
        return self._standings.get((event, ticket))

    def credential_of(self, event: EventId, digest: bytes) -> CredentialStanding | None:
        return self._credentials.get((event, digest))

    def occupancy_high(self, zone: ZoneId) -> int | None:
        bounds = self._occupancy.bounds(zone)
        return None if bounds is None else bounds.high


class _OneTicket:
    """A list that holds one ticket only: how each candidate would fare by itself."""

    def __init__(self, head: ListHead, ticket: Ticket, standing: CredentialStanding) -> None:
        self.head = head
        self._found = ((ticket, standing),)

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:  # noqa: ARG002 - as ListSource
        return self._found


def _identity(identity: Identity) -> dict[str, object]:
    """Say what was presented. Of a code that is none, only the fixed word that says why."""
    match identity:
        case Malformed(why=why):
            return {"identity": "malformed", "why": why, "format": None, "key": None, "claims": None}
        case Forged(kind=kind, digest_of_text=digest):
            said: dict[str, object] = {"identity": "forged", "format": kind.value, "digest": digest.hex()}
            return said | {"key": None, "claims": None}
        case Copied(kind=kind, digest_of_text=digest):
            said = {"identity": "copied", "format": kind.value, "digest": digest.hex()}
            return said | {"key": None, "claims": None}
        case UnknownIssuer(kind=kind, kid=kid, digest_of_text=digest):
            said = {"identity": "unknown_issuer", "format": kind.value, "digest": digest.hex()}
            return said | {"key": {"kid": kid.hex()} if kid else None, "claims": None}
        case Known():
            return _known(identity)


def _known(identity: Known) -> dict[str, object]:
    key, claims = identity.key, identity.claims
    return {
        "identity": "known",
        "format": identity.kind.value,
        "digest": identity.digest.hex(),
        **({} if identity.counter is None else {"counter": identity.counter}),
        "key": None
        if key is None
        else {
            "kid": key.kid.hex(),
            "event": key.event,
            "status": key.status.value,
            "not_before": _time(key.not_before),
            "not_after": _time(key.not_after),
        },
        "claims": None
        if claims is None
        else {
            "ticket": claims.ticket,
            "event": claims.event,
            "product": claims.product,
            "zones": list(claims.zones),
            "session": claims.session,
            "admits": claims.admits,
            "issued_at": _time(claims.issued_at),
            "not_before": _time(claims.not_before),
            "not_after": _time(claims.not_after),
        },
    }


def _candidates(
    judge: Judge,
    listed: OverlaidList,
    identity: Identity,
    direction: Direction,
    facts: LaneFacts,
    whole: Verdict,
) -> list[dict[str, object]]:
    """Say how each ticket that the credential stands for would fare by itself."""
    found = listed.lookup(identity.digest) if isinstance(identity, Known) else ()
    verdicts = []
    for ticket, standing in found:
        judge.use_list(_OneTicket(listed.head, ticket, standing))
        verdicts.append((ticket, judge.answer(identity, direction, facts).verdict))
    judge.use_list(listed)
    if not found and whole.candidate is not None:
        verdicts.append((whole.candidate.ticket, whole))
    return [_candidate(ticket, verdict, judge) for ticket, verdict in verdicts]


def _candidate(ticket: Ticket, verdict: Verdict, judge: Judge) -> dict[str, object]:
    judged = verdict.candidate
    current = ticket if judged is None else judged.ticket
    product = judge.venue.products.get((ticket.event, ticket.product))
    said: dict[str, object] = {
        "ticket": ticket.id,
        "event": ticket.event,
        "product": {"id": ticket.product, "name": product.name if product else None},
        "holder": ticket.holder,
        "zones": list(ticket.zones),
        "session": ticket.session,
        "standing": _flags(Standing, current.standing),
        "admits": ticket.admits,
        "not_before": _time(ticket.not_before),
        "not_after": _time(ticket.not_after),
        "outcome": verdict.outcome.name.lower(),
        "reason": _reason(verdict),
    }
    if product is None:
        said["why"] = "the list does not hold this ticket's product"
    if judged is not None:
        said |= {
            "listed": judged.listed,
            "credential": _flags(CredentialStanding, judged.credential),
            **_tally(judged.tally),
        }
    return said


def _tally(tally: Tally) -> dict[str, object]:
    return {
        "uses": {"session": tally.uses_session, "day": tally.uses_day, "total": tally.uses_total},
        "inside": tally.inside,
        "unresolved": tally.unresolved,
    }


def _verdict(verdict: Verdict) -> dict[str, object]:
    last = verdict.last
    return {
        "outcome": verdict.outcome.name.lower(),
        "reason": _reason(verdict),
        "direction": verdict.direction.name.lower(),
        "ticket": verdict.candidate.ticket.id if verdict.candidate else None,
        "session": verdict.session,
        "flags": _flags(Flag, verdict.flags),
        "gate": verdict.gate,
        "since": _time(verdict.since_s),
        "last": None
        if last is None
        else {"gate": last.record.gate, "lane": last.lane, "time": _time(last.time_us // 1_000_000)},
    }


def _reason(verdict: Verdict) -> str | None:
    return verdict.reason.name.lower() if verdict.reason is not Reason.NONE else None


def _lane(plan: LanePlan, head: ListHead) -> dict[str, object]:
    zones = {zone.id: zone.name for zone in head.zones}
    return {
        "id": plan.lane,
        "zone": {"id": plan.zone, "name": zones.get(plan.zone)},
        "mode": plan.mode.name.lower(),
        "attended": plan.attended,
        "sessions": [{"event": event, "session": session} for event, session in plan.sessions],
    }


def _sayings(verdict: Verdict, head: ListHead) -> Mapping[str, object]:
    """Return what visitor and steward would be told, in every language. Times are UTC."""
    gates = {gate.id: gate.name for gate in head.gates}
    moment_s = verdict.last.time_us // 1_000_000 if verdict.last else verdict.since_s
    time = datetime.fromtimestamp(moment_s, UTC).strftime("%H:%M") if moment_s else ""
    sayings = {}
    for language in Language:
        saying = say(
            verdict.outcome,
            verdict.reason,
            language,
            direction=verdict.direction,
            gate=gates.get(verdict.gate, ""),
            time=time,
        )
        sayings[language.value] = {
            "display": saying.display.value,
            "visitor": saying.visitor,
            "steward": saying.steward,
        }
    return sayings


def _flags(kind: type[IntFlag], flags: int) -> list[str]:
    return [one.name.lower() for one in kind if flags & one and one.name]


def _time(moment_s: int) -> str | None:
    """Return unix seconds as people read them; None for "no bound". A signed claim may hold any number."""
    if not moment_s:
        return None
    try:
        return datetime.fromtimestamp(moment_s, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{moment_s} s after 1970"
