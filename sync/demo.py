"""The demo venue: an arena with two gates, two dates, every kind of ticket, and what each must be told at the door.

Lane 1 of the main gate is a two-way tripod into the arena with a steward beside it; its plan allows every mode, so
the products show all three by narrowing it. Lane 2 is a one-way turnstile into the VIP area inside, unattended, where
an ordinary ticket is in the wrong zone.
"""

import hashlib
import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from admission.codecs import cose, sig1
from admission.credentials import Medium
from admission.digests import CredentialKind, digest, ticket_digest
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
)
from admission.ids import EventId, GateId, HolderId, LaneId, ProductId, SessionId, TicketId, ZoneId
from admission.reasons import Reason
from admission.records import Outcome
from sync.events import houses, tables
from sync.events import rows as events
from sync.gates import roster
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.tickets import changes, rows
from sync.wire.lists import EventInfo, ListHead, ListKey, ListRow, Profile

FILE = "demo.json"
"""The demo tickets, for whoever shows or tests them: the codes are in here, so it is 0600 like the keys."""

EVENT, OTHER_EVENT = EventId(1), EventId(2)
TODAY, TOMORROW = SessionId(1), SessionId(2)
ARENA, FLOOR, VIP, TERRACE = ZoneId(1), ZoneId(2), ZoneId(3), ZoneId(4)
MAIN_GATE, TERRACE_GATE = GateId(1), GateId(2)
MAIN_GATE_NAME = "Main gate"
DAY, SEASON, STAFF, VIP_DAY, GROUP_OF_4, REDUCED, TWICE, HOME, TERRACE_DAY, OTHER_DAY = map(
    ProductId, range(1, 11)
)
DAY_S, NIGHT = 86_400, 4 * 60  # nobody is inside at four in the morning, whoever was not seen to leave

ZONES = (
    Zone(ARENA, "Arena", gate=MAIN_GATE, reset_at=NIGHT),
    Zone(FLOOR, "Floor", parent=ARENA, gate=MAIN_GATE),
    Zone(VIP, "VIP area", parent=FLOOR, gate=MAIN_GATE),
    Zone(TERRACE, "Terrace", gate=TERRACE_GATE, reset_at=NIGHT),
)
PRODUCTS = (
    Product(DAY, EVENT, "Day ticket", (FLOOR,), Mode.NORMAL),
    Product(SEASON, EVENT, "Season pass", (FLOOR,), Mode.ENTRY_EXIT),
    Product(STAFF, EVENT, "Staff pass", (FLOOR, VIP), Mode.MULTIPLE),
    Product(VIP_DAY, EVENT, "VIP day ticket", (VIP,), Mode.ENTRY_EXIT),
    Product(GROUP_OF_4, EVENT, "Group of 4", (FLOOR,), Mode.NORMAL),
    Product(REDUCED, EVENT, "Reduced day ticket", (FLOOR,), Mode.NORMAL, attention=Attention.REDUCED_FARE),
    Product(TWICE, EVENT, "Two entries a day", (FLOOR,), Mode.MULTIPLE, limit_day=2),
    Product(
        HOME,
        EVENT,
        "Members, main gate only when offline",
        (FLOOR,),
        Mode.NORMAL,
        offline=OfflinePolicy.HOME_GATE_ONLY,
    ),
    Product(TERRACE_DAY, EVENT, "Terrace day ticket", (TERRACE,), Mode.NORMAL),
    Product(OTHER_DAY, OTHER_EVENT, "Matinee", (FLOOR,), Mode.NORMAL),
)
PLANS = {
    MAIN_GATE: (
        LanePlan(LaneId(1), ARENA, Mode.MULTIPLE, ((EVENT, TODAY),), attended=True),
        LanePlan(LaneId(2), VIP, Mode.NORMAL, ((EVENT, TODAY),)),
    ),
    TERRACE_GATE: (LanePlan(LaneId(1), TERRACE, Mode.NORMAL, ((EVENT, TODAY),)),),
}
GATES = (
    roster.Gate(MAIN_GATE, MAIN_GATE_NAME, (ARENA, FLOOR, VIP)),
    roster.Gate(TERRACE_GATE, "Terrace gate", (TERRACE,)),
)


class DemoTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Something to present, and what lane 1 must say at an entry while nothing was presented before.

    `data`: the barcode's text, or a tag's UID in hex.
    """

    key: str
    data: str
    medium: Medium
    label_en: str
    label_de: str
    outcome: Outcome
    reason: Reason = Reason.NONE


@dataclass(frozen=True, slots=True)
class _Sort:
    """One line of the table below: a ticket and how it is presented."""

    key: str
    label_en: str
    label_de: str
    product: ProductId = DAY
    kind: CredentialKind = CredentialKind.TK1
    reason: Reason = Reason.NONE
    outcome: Outcome = Outcome.DENY
    standing: Standing = Standing.VALID
    credential: CredentialStanding = CredentialStanding.ACTIVE
    event: EventId = EVENT
    session: SessionId = TODAY
    admits: int = 1
    home_gate: GateId = GateId(0)
    starts_days: int = 0
    ends_days: int = 0
    text: str = ""
    """A given opaque code or UID."""


_GOOD = Outcome.GRANT
_UID, _OPAQUE, _SIG1 = CredentialKind.UID, CredentialKind.OPAQUE, CredentialKind.SIG1
_SORTS = (
    _Sort("day", "Day ticket", "Tageskarte", outcome=_GOOD),
    _Sort("day_2", "Day ticket, another one", "Tageskarte, eine weitere", outcome=_GOOD),
    _Sort("season", "Season pass, both dates", "Dauerkarte, beide Tage", SEASON, outcome=_GOOD, session=SessionId(0)),
    _Sort("staff", "Staff pass, in and out at will", "Personal, beliebig oft", STAFF, outcome=_GOOD, session=SessionId(0)),
    _Sort("vip", "VIP day ticket", "VIP-Tageskarte", VIP_DAY, outcome=_GOOD),
    _Sort("group", "Group of 4", "Gruppe zu 4", GROUP_OF_4, outcome=_GOOD, admits=4),
    _Sort("twice", "Two entries a day", "Zwei Eintritte am Tag", TWICE, outcome=_GOOD),
    _Sort("home", "Member of the main gate", "Mitglied am Haupteingang", HOME, outcome=_GOOD, home_gate=MAIN_GATE),
    _Sort("opaque", "Short code", "Kurzer Code", kind=_OPAQUE, outcome=_GOOD, text="DEMO-4711"),
    _Sort("opaque_2", "Code of 13 digits", "Code aus 13 Ziffern", kind=_OPAQUE, outcome=_GOOD, text="4006381333931"),
    _Sort("pretix", "pretix ticket, signed", "pretix-Ticket, signiert", kind=_SIG1, outcome=_GOOD),
    _Sort("tag", "Tag of a season pass", "Medium einer Dauerkarte", SEASON, _UID, outcome=_GOOD, session=SessionId(0), text="04A1B2C3D4E580"),
    _Sort("replacement", "The new ticket after an exchange", "Das neue Ticket nach einem Umtausch", outcome=_GOOD),
    _Sort("reduced", "Reduced fare, to be checked", "Ermässigt, wird geprüft", REDUCED, outcome=Outcome.CHECK, reason=Reason.CHECK_REDUCED_FARE),
    _Sort("cancelled", "Cancelled", "Storniert", reason=Reason.CANCELLED, standing=Standing.CANCELLED),
    _Sort("replaced", "Exchanged for another", "Umgetauscht", reason=Reason.REPLACED, standing=Standing.REPLACED),
    _Sort("reissued", "Code that was issued anew", "Code, der neu ausgestellt wurde", kind=_OPAQUE, reason=Reason.REPLACED, credential=CredentialStanding.REPLACED, text="DEMO-0815"),
    _Sort("banned", "Banned holder", "Hausverbot", reason=Reason.BANNED, standing=Standing.BANNED),
    _Sort("redeemed", "Marked as used by hand", "Von Hand entwertet", reason=Reason.REDEEMED, standing=Standing.REDEEMED),
    _Sort("unpaid", "Not paid", "Nicht bezahlt", reason=Reason.UNPAID, standing=Standing.UNPAID),
    _Sort("unapproved", "Accreditation not approved", "Akkreditierung nicht freigegeben", reason=Reason.UNAPPROVED, standing=Standing.UNAPPROVED),
    _Sort("early", "Valid from tomorrow", "Gültig ab morgen", reason=Reason.TOO_EARLY, starts_days=1),
    _Sort("expired", "Ended yesterday", "Seit gestern abgelaufen", reason=Reason.EXPIRED, ends_days=-1),
    _Sort("date", "For tomorrow's date", "Für den morgigen Tag", reason=Reason.WRONG_DATE, session=TOMORROW),
    _Sort("zone", "Terrace only", "Nur Terrasse", TERRACE_DAY, reason=Reason.WRONG_ZONE),
    _Sort("event", "Another event", "Andere Veranstaltung", OTHER_DAY, reason=Reason.WRONG_EVENT, event=OTHER_EVENT),
    _Sort("tag_inactive", "Tag that was exchanged", "Ausgetauschtes Medium", SEASON, _UID, Reason.INACTIVE_TAG, credential=CredentialStanding.INACTIVE_TAG, session=SessionId(0), text="04A1B2C3D4E581"),
    _Sort("tag_banned", "Banned tag", "Gesperrtes Medium", SEASON, _UID, Reason.BANNED_TAG, credential=CredentialStanding.BANNED_TAG, session=SessionId(0), text="04A1B2C3D4E582"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoVenue:
    """All that the demo adds to a centre; values only. Ticket numbers follow the table's order from 1."""

    sessions: tuple[Session, ...]
    keys: tuple[ListKey, ...]
    digest_key: bytes
    presents: tuple[DemoTicket, ...]
    tickets: dict[EventId, list[Ticket]] = field(default_factory=dict)
    credentials: dict[EventId, list[rows.NewCredential]] = field(default_factory=dict)


def demo_venue(now_s: int, keys: VenueKeys) -> DemoVenue:
    """Return the demo venue as it is at `now_s`: its first date is that day (UTC). The same arguments, the same venue."""
    digest_key = _derived(keys, b"digest")
    pretix = Ed25519PrivateKey.from_private_bytes(_derived(keys, b"pretix"))
    tickets: dict[EventId, list[Ticket]] = {EVENT: [], OTHER_EVENT: []}
    credentials: dict[EventId, list[rows.NewCredential]] = {EVENT: [], OTHER_EVENT: []}
    presents: list[DemoTicket] = []
    for number, sort in enumerate(_SORTS, start=1):
        ticket = _ticket(sort, TicketId(number), now_s)
        text = _text(sort, ticket, now_s, keys, pretix)
        found = (
            ticket_digest(sort.event, number, digest_key)
            if sort.kind is CredentialKind.TK1
            else digest(sort.kind, _material(sort.kind, text), digest_key)
        )
        tickets[sort.event].append(ticket)
        credentials[sort.event].append(rows.NewCredential(ticket.id, found, sort.kind, text, sort.credential))
        presents.append(_present(sort, text))
    return DemoVenue(
        sessions=sessions(now_s),
        keys=(
            ListKey(keys.ticket_key.public_key().public_bytes_raw(), "tk1"),
            ListKey(pretix.public_key().public_bytes_raw(), "sig1", EVENT),
        ),
        digest_key=digest_key,
        presents=(*presents, *_not_listed(now_s, keys)),
        tickets=tickets,
        credentials=credentials,
    )


def sessions(now_s: int) -> tuple[Session, ...]:
    """Return the demo's dates: of the main event that day and the next, of the other event that day."""
    today = datetime.fromtimestamp(now_s, UTC).date()
    days = [int(f"{today + timedelta(days=n):%Y%m%d}") for n in range(2)]
    return (
        Session(TODAY, EVENT, "First day", days[0], ARENA),
        Session(TOMORROW, EVENT, "Second day", days[1], ARENA),
        Session(TODAY, OTHER_EVENT, "Matinee", days[0], FLOOR),
    )


def make_demo(database: Database, keys: VenueKeys, data: Path, now_s: int) -> bool:
    """Write the demo venue and its tickets' file into a centre; False, and nothing is done, where there is an event."""
    with database.reading() as connection:
        if connection.execute(select(tables.event.c.id).limit(1)).scalar() is not None:
            return False
    venue = demo_venue(now_s, keys)
    made = (EVENT, OTHER_EVENT)
    with changes.change(database, made, now_s) as connection:
        owner = houses.add_organization(connection, houses.NewOrganization(name="Demo"), now_s)
        houses.add_venue(connection, owner, houses.NewVenue(name="Demo arena"))
        events.add_group(connection, "Demo", venue.digest_key, organization=owner)
        events.add_event(connection, EVENT, "Demo festival", "UTC")
        events.add_event(connection, OTHER_EVENT, "Demo matinee", "UTC")
        events.add_sessions(connection, venue.sessions)
        events.add_zones(connection, ZONES)
        events.add_products(connection, PRODUCTS)
        rows.add_keys(connection, venue.keys)
        for gate in GATES:
            roster.add_gate(connection, gate, PLANS[gate.id], events.GROUP)
        for event in made:
            rows.add_tickets(connection, event, venue.tickets[event], venue.credentials[event])
    handle = os.open(data / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(venue.presents))
    return True


def demo_tickets(data: Path) -> tuple[DemoTicket, ...]:
    """Return the demo tickets of a data folder that `make_demo` wrote."""
    return msgspec.json.decode((data / FILE).read_bytes(), type=tuple[DemoTicket, ...])


def _derived(keys: VenueKeys, name: bytes) -> bytes:
    """Return a secret of the demo: another for each venue, the same each time."""
    return hashlib.sha256(b"gatehouse demo 0\n" + name + b"\n" + keys.accounts).digest()


def _ticket(sort: _Sort, number: TicketId, now_s: int) -> Ticket:
    return Ticket(
        id=number,
        event=sort.event,
        product=sort.product,
        holder=HolderId(1000 + number),
        session=sort.session,
        standing=sort.standing,
        not_before=now_s + sort.starts_days * DAY_S if sort.starts_days else 0,
        not_after=now_s + sort.ends_days * DAY_S if sort.ends_days else 0,
        admits=sort.admits,
        home_gate=sort.home_gate,
    )


def _claims(ticket: Ticket, issued_at: int) -> cose.Claims:
    return cose.Claims(
        ticket=ticket.id,
        event=ticket.event,
        issued_at=issued_at,
        not_before=ticket.not_before,
        not_after=ticket.not_after,
        product=ticket.product,
        admits=ticket.admits,
        session=ticket.session,
    )


def _text(sort: _Sort, ticket: Ticket, now_s: int, keys: VenueKeys, pretix: Ed25519PrivateKey) -> str:
    if sort.kind is CredentialKind.TK1:
        return cose.mint(_claims(ticket, now_s - DAY_S), keys.ticket_key)
    if sort.kind is CredentialKind.SIG1:
        return sig1.mint(sig1.Claims("demo", item=sort.product, subevent=sort.session), pretix)
    return sort.text


def _material(kind: CredentialKind, text: str) -> bytes:
    return bytes.fromhex(text) if kind is CredentialKind.UID else text.encode()


def _present(sort: _Sort, text: str) -> DemoTicket:
    return DemoTicket(
        key=sort.key,
        data=text,
        medium=Medium.UID if sort.kind is CredentialKind.UID else Medium.BARCODE,
        label_en=sort.label_en,
        label_de=sort.label_de,
        outcome=sort.outcome,
        reason=sort.reason,
    )


def _not_listed(now_s: int, keys: VenueKeys) -> tuple[DemoTicket, ...]:
    """Return what no list holds: sold a moment ago, sold long ago, forged, of a stranger, and nonsense."""
    number = TicketId(len(_SORTS) + 1)
    ticket = Ticket(id=number, event=EVENT, product=DAY, session=TODAY)
    walk_up = cose.mint(_claims(ticket, now_s), keys.ticket_key)
    lost = cose.mint(
        _claims(msgspec.structs.replace(ticket, id=TicketId(number + 1)), now_s - DAY_S), keys.ticket_key
    )
    stranger = Ed25519PrivateKey.from_private_bytes(_derived(keys, b"stranger"))
    # Within the signature, which fills the text's end; not the last character, which holds spare bits.
    forged = walk_up[:-9] + ("A" if walk_up[-9] != "A" else "B") + walk_up[-8:]
    foreign = cose.mint(_claims(ticket, now_s), stranger)

    def show(
        key: str, text: str, en: str, de: str, reason: Reason, outcome: Outcome = Outcome.DENY
    ) -> DemoTicket:
        return DemoTicket(
            key=key,
            data=text,
            medium=Medium.BARCODE,
            label_en=en,
            label_de=de,
            outcome=outcome,
            reason=reason,
        )

    return (
        show("walk_up", walk_up, "Sold a moment ago", "Eben verkauft", Reason.NONE, Outcome.GRANT),
        show("unlisted", lost, "Signed, missing in the list", "Signiert, fehlt in der Liste", Reason.UNLISTED, Outcome.CHECK),
        show("forged", forged, "Forged", "Gefälscht", Reason.FORGED),
        show("stranger", foreign, "Unknown issuer", "Unbekannter Aussteller", Reason.UNKNOWN_ISSUER),
        show("unknown", "NO-SUCH-CODE", "Unknown code", "Unbekannter Code", Reason.UNKNOWN),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bulk:
    """A large list for measuring. Ticket n (1 to `tickets`) of the event has the claims `bulk_claims` says."""

    head: ListHead
    rows: list[ListRow]
    tickets: int


def bulk(tickets: int, seed: int, now_s: int, keys: VenueKeys) -> Bulk:
    """Return a list of so many tickets in the demo's mix: 5 % have a tag too, 3 % were reissued (the old ticket stays,
    replaced), 2 % are groups of 4, two dates. The digests are real: each ticket can be minted and presented."""
    chance = random.Random(seed)  # noqa: S311 - the same list for the same seed
    venue = demo_venue(now_s, keys)
    profiles = tuple(
        Profile(product=product, session=session, admits=admits)
        for product, admits in ((DAY, 1), (GROUP_OF_4, 4))
        for session in (TODAY, TOMORROW)
    )
    valid, replaced, active = Standing.VALID, Standing.REPLACED, CredentialStanding.ACTIVE
    listed: list[ListRow] = []
    for number in range(1, tickets + 1):
        draw = chance.random()
        profile = (2 if number % 50 == 0 else 0) + (number & 1)
        found = ticket_digest(EVENT, number, venue.digest_key)
        standing = replaced if draw < BULK_REISSUED else valid
        ticket, holder = TicketId(number), HolderId(number)
        listed.append(ListRow(found, EVENT, ticket, profile, holder, standing, active))
        if draw > 1 - BULK_TAGGED:
            uid = b"\x04" + number.to_bytes(6, "big")
            found = digest(CredentialKind.UID, uid, venue.digest_key)
            listed.append(ListRow(found, EVENT, ticket, profile, holder, standing, active))
    plans = tuple(plan for gate in GATES for plan in PLANS[gate.id])
    head = ListHead(
        group=events.GROUP,
        events=(EventInfo(EVENT, "Bulk", 1, 1, now_s), EventInfo(OTHER_EVENT, "Demo matinee", 1, 1, now_s)),
        products=PRODUCTS,
        sessions=venue.sessions,
        zones=ZONES,
        plans=plans,
        gate_lanes={MAIN_GATE: (0, 1), TERRACE_GATE: (2,)},
        keys=venue.keys,
        gates=tuple(gate.info() for gate in GATES),
        profiles=profiles,
        digest_key=venue.digest_key,
    )
    return Bulk(head, listed, tickets)


def bulk_claims(number: int, now_s: int) -> cose.Claims:
    """Return what ticket `number` of a bulk list says, to mint it."""
    product, admits = (GROUP_OF_4, 4) if number % 50 == 0 else (DAY, 1)
    session = TOMORROW if number & 1 else TODAY
    return cose.Claims(
        ticket=number, event=EVENT, issued_at=now_s - DAY_S, product=product, admits=admits, session=session
    )


BULK_TAGGED, BULK_REISSUED = 0.05, 0.03
