"""Questions to ask `decide()`: a venue with a good ticket at its entry, and named ways to spoil it."""

from collections.abc import Mapping
from typing import Any

from admission.credentials import (
    Copied,
    CredentialKind,
    Forged,
    Known,
    Malformed,
    SignedClaims,
    UnknownIssuer,
)
from admission.decide import Candidate, ClockFacts, LaneFacts, LastUse, Question, Tally, VenueFacts
from admission.entitlements import (
    Attention,
    CredentialStanding,
    LanePlan,
    Mode,
    OfflinePolicy,
    Product,
    Session,
    Standing,
    Ticket,
    Zone,
    ZoneTree,
)
from admission.ids import (
    Epoch,
    EventId,
    GateId,
    HolderId,
    LaneId,
    ProductId,
    RecordId,
    SessionId,
    TicketId,
    ZoneId,
)
from admission.keys import IssuerKey, KeyFormat
from admission.reasons import Reason
from admission.records import Direction, Trust

NOW = 1_795_000_000
CUT = NOW - 3600
EVENT, OTHER_EVENT = EventId(1), EventId(2)
STREET, GROUNDS, HALL, BACKSTAGE = ZoneId(0), ZoneId(1), ZoneId(2), ZoneId(3)
THIS_GATE, NORTH_GATE = GateId(7), GateId(8)
TONIGHT, TOMORROW = SessionId(5), SessionId(6)

ZONES = ZoneTree(
    (
        Zone(GROUNDS, "Grounds", gate=THIS_GATE),
        Zone(HALL, "Hall", parent=GROUNDS, gate=NORTH_GATE),
        Zone(BACKSTAGE, "Backstage", gate=NORTH_GATE),
    )
)
LAST = LastUse(RecordId(NORTH_GATE, Epoch(3), 12), LaneId(2), (NOW - 60) * 1_000_000)
OPAQUE = Known(CredentialKind.OPAQUE, bytes(16), None, None)
KEY = IssuerKey(b"key1", bytes(32), KeyFormat.TK1, event=0)
CLAIMS = SignedClaims(
    ticket=TicketId(100),
    event=EVENT,
    product=ProductId(4),
    zones=(GROUNDS,),
    session=TONIGHT,
    admits=1,
    issued_at=NOW - 60,
    not_before=0,
    not_after=0,
)
PRODUCT = Product(ProductId(4), EVENT, "Day", mode=Mode.MULTIPLE)
VENUE = VenueFacts(
    zones=ZONES,
    sessions={(EVENT, TONIGHT): Session(TONIGHT, EVENT, "Tonight", 20261122)},
    products={(EVENT, PRODUCT.id): PRODUCT},
    list_cut_s={EVENT: CUT},
    this_gate=THIS_GATE,
)

Parts = Mapping[str, Mapping[str, Any]]
"""Overrides by part: ticket, product, tally, candidate, plan, lane, clock, venue, question."""

# One spoiler per reason. Two that set one field to different values cannot both be true of one presentation.
SPOILERS: dict[Reason, Parts] = {
    Reason.MALFORMED: {"question": {"identity": Malformed("empty")}},
    Reason.NOT_READY: {"lane": {"ready": False}},
    Reason.FORGED: {"question": {"identity": Forged(CredentialKind.TK1, bytes(16))}},
    Reason.UNKNOWN_ISSUER: {"question": {"identity": UnknownIssuer(CredentialKind.TK1, b"none", bytes(16))}},
    Reason.COPIED_TAG: {"question": {"identity": Copied(CredentialKind.BAND, bytes(16))}},
    Reason.NOT_GENUINE: {
        "question": {"identity": Known(CredentialKind.UID, bytes(16), None, None, genuine=False)}
    },
    Reason.REPLAYED_TAP: {
        "question": {"identity": Known(CredentialKind.SUN, bytes(16), None, None, 9), "tapped": 9}
    },
    Reason.UNKNOWN: {"question": {"candidates": ()}},
    Reason.BANNED_TAG: {"candidate": {"credential": CredentialStanding.BANNED_TAG}},
    Reason.INACTIVE_TAG: {"candidate": {"credential": CredentialStanding.INACTIVE_TAG}},
    Reason.CANCELLED: {"ticket": {"standing": Standing.CANCELLED}},
    Reason.REPLACED: {"candidate": {"credential": CredentialStanding.REPLACED}},
    Reason.BANNED: {"ticket": {"standing": Standing.BANNED}},
    Reason.REDEEMED: {"ticket": {"standing": Standing.REDEEMED}},
    Reason.UNPAID: {"ticket": {"standing": Standing.UNPAID}},
    Reason.UNAPPROVED: {"ticket": {"standing": Standing.UNAPPROVED}},
    Reason.WRONG_EVENT: {"plan": {"sessions": ((OTHER_EVENT, TONIGHT),)}},
    Reason.WRONG_DATE: {"plan": {"sessions": ((EVENT, TOMORROW), (OTHER_EVENT, TONIGHT))}},
    Reason.TOO_EARLY: {"ticket": {"not_before": NOW + 601}},
    Reason.EXPIRED: {"ticket": {"not_after": NOW - 601}},
    Reason.WRONG_ZONE: {"ticket": {"zones": (BACKSTAGE,)}},
    Reason.ALREADY_USED: {"plan": {"mode": Mode.NORMAL}, "tally": {"uses_session": 1, "last": LAST}},
    Reason.ALREADY_INSIDE: {"plan": {"mode": Mode.ENTRY_EXIT}, "tally": {"inside": 1, "last": LAST}},
    Reason.LIMIT_REACHED: {"product": {"limit_day": 1}, "tally": {"uses_day": 1, "last": LAST}},
    Reason.FULL: {"question": {"capacity": 50, "occupancy_high": 50}},
    Reason.OFFLINE: {"question": {"cut_off": True}, "product": {"offline": OfflinePolicy.DENY}},
    Reason.UNLISTED: {"candidate": {"listed": False}},
    Reason.AFTER_RESTART: {
        "lane": {"after_restart": True},
        "plan": {"mode": Mode.NORMAL, "attended": True},
        "tally": {"uses_session": 1, "unresolved": 1, "unresolved_uses": 1},
    },
    Reason.CHECK_ID: {"ticket": {"attention": Attention.ID}},
    Reason.CHECK_REDUCED_FARE: {"product": {"attention": Attention.REDUCED_FARE}},
    Reason.CHECK_NOTE: {"ticket": {"attention": Attention.NOTE}},
    Reason.BUSY: {"lane": {"busy": True}},
    Reason.EXIT_PENDING: {"tally": {"exit_pending": True}},
    Reason.ASKING: {
        "question": {"cut_off": True, "asking": True},
        "product": {"offline": OfflinePolicy.DENY},
    },
}


class Clash(Exception):
    """Two spoilers that cannot both be true."""


def merged(first: Parts, second: Parts) -> dict[str, dict[str, Any]]:
    """Return both sets of overrides; standings and attentions add up, other fields clash."""
    found: dict[str, dict[str, Any]] = {part: dict(fields) for part, fields in first.items()}
    for part, fields in second.items():
        into = found.setdefault(part, {})
        for name, value in fields.items():
            if isinstance(value, (Standing, CredentialStanding, Attention)) and name in into:
                into[name] |= value
            elif into.setdefault(name, value) != value:
                raise Clash
    return found


def ticket(**changes: Any) -> Ticket:
    fields: dict[str, Any] = {
        "id": TicketId(100),
        "event": EVENT,
        "product": PRODUCT.id,
        "holder": HolderId(900),
        "zones": (GROUNDS,),
        "session": TONIGHT,
    }
    return Ticket(**(fields | changes))


def candidate(parts: Parts | None = None) -> Candidate:
    parts = parts or {}
    product: dict[str, Any] = {
        "id": PRODUCT.id,
        "event": EVENT,
        "name": "Day",
        "mode": Mode.MULTIPLE,
        **parts.get("product", {}),
    }
    return Candidate(
        ticket=ticket(**parts.get("ticket", {})),
        product=Product(**product),
        tally=Tally(**parts.get("tally", {})),
        **parts.get("candidate", {}),
    )


def ask(parts: Parts | None = None) -> Question:
    """Return the question whether a good ticket may enter, changed by `parts`."""
    parts = parts or {}
    plan: dict[str, Any] = {
        "lane": LaneId(1),
        "zone": GROUNDS,
        "mode": Mode.NORMAL,
        "sessions": ((EVENT, TONIGHT),),
        **parts.get("plan", {}),
    }
    clock: dict[str, Any] = {"now_s": NOW, "trust": Trust.SYNCED, "floor_s": 0, **parts.get("clock", {})}
    venue: dict[str, Any] = {
        "zones": VENUE.zones,
        "sessions": VENUE.sessions,
        "products": VENUE.products,
        "list_cut_s": VENUE.list_cut_s,
        "this_gate": VENUE.this_gate,
        **parts.get("venue", {}),
    }
    question: dict[str, Any] = {
        "direction": Direction.ENTRY,
        "identity": OPAQUE,
        "candidates": (candidate(parts),),
        **parts.get("question", {}),
    }
    return Question(
        lane=LaneFacts(LanePlan(**plan), **parts.get("lane", {})),
        venue=VenueFacts(**venue),
        clock=ClockFacts(**clock),
        **question,
    )
