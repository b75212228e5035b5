"""The venue that every world has: zones, products, gates and tickets, made once by the centre's own code and copied.

For each number of gates one database is migrated, filled and enrolled, and one data folder a gate is made, as enrolment
and a first list leave it. A world begins with copies of both.
"""

import functools
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from admission.codecs import cose
from admission.days import Days
from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import LanePlan, Mode, OfflinePolicy, Product, Session, Ticket, Zone
from admission.ids import EventId, GateId, HolderId, LaneId, ProductId, SessionId, TicketId, ZoneId
from admission.limits import Limits, limits_of
from edge import enrolment
from edge.builder import Order, build_from
from edge.store.list import LIST_FILE
from sync import keys as centre_keys
from sync.compose import Centre, open_centre
from sync.events import houses
from sync.events import rows as events
from sync.gates import enrolment as enrolling
from sync.gates import roster
from sync.gates.snapshots import Snapshots
from sync.store.database import FILE
from sync.tickets import changes, rows
from sync.wire.lists import ListKey
from tests.memory import memory_folder
from tests.sim.clock import EPOCH_S

EVENT = EventId(1)
TODAY, TOMORROW = SessionId(1), SessionId(2)
HALL, BOX = ZoneId(1), ZoneId(2)
DAY, SEASON, STAFF, GROUP, PAIR, HOME, STRICT, TWICE = map(ProductId, range(1, 9))
DESK = LaneId(9)
"""A check-in station, where a gate has one."""
GATES_MAX = 4
NAMES = ("North", "South", "East", "West", "Stairs", "Bridge")
TICKETS = 64
UNSOLD = 1_000_004
"""Numbers from here on were signed, and never sold: they are in no list."""
UNSOLD_AGE_S = 1800
"""So long before the evening: after the lists that lie on the gates' cards were sealed, and before anything since."""
CAPACITY = 40
"""Of the hall: more than one evening lets in, but for the one in which everybody comes at once."""
NIGHT = (EPOCH_S % 86_400 + 40) // 60
"""Minute of the day at which presence is reset, where it is: some 40 s after an evening began."""
DIGEST_KEY = bytes(range(2, 34))

ZONES = (Zone(HALL, "Hall", gate=GateId(1)), Zone(BOX, "Box", parent=HALL, gate=GateId(1)))
PRODUCTS = (
    Product(DAY, EVENT, "Day", (HALL,), Mode.NORMAL),
    Product(SEASON, EVENT, "Season", (HALL, BOX), Mode.ENTRY_EXIT),
    Product(STAFF, EVENT, "Staff", (HALL, BOX), Mode.MULTIPLE),
    Product(GROUP, EVENT, "Three together", (HALL,), Mode.NORMAL),
    Product(PAIR, EVENT, "Two, in and out", (HALL,), Mode.ENTRY_EXIT),
    Product(HOME, EVENT, "Home gate only when cut off", (HALL,), Mode.NORMAL, offline=OfflinePolicy.HOME_GATE_ONLY),
    Product(STRICT, EVENT, "Not when cut off", (HALL,), Mode.NORMAL, offline=OfflinePolicy.DENY),
    Product(TWICE, EVENT, "Two entries a day", (HALL,), Mode.MULTIPLE, limit_day=2),
)  # fmt: skip
_MIX = (DAY, SEASON, DAY, GROUP, SEASON, PAIR, DAY, STRICT, SEASON, HOME, STAFF, TWICE)
"""Products of the tickets, in turn."""
_ADMITS = {GROUP: 3, PAIR: 2}


def ticket_of(number: int) -> Ticket:
    """Return ticket `number` as it is sold."""
    product = _MIX[number % len(_MIX)]
    return Ticket(
        TicketId(number), EVENT, product, HolderId(1000 + number), session=TODAY, admits=_ADMITS.get(product, 1),
        home_gate=GateId(1 + number % 2) if product == HOME else GateId(0),
    )  # fmt: skip


SHARED = (DAY, SEASON, STAFF, STRICT, TWICE)
"""Products of which a ticket is like any other: for one person, and of no gate."""
PRODUCT_OF = {one.id: one for one in PRODUCTS}
DATES = (
    Session(TODAY, EVENT, "Today", 20261122, HALL),
    Session(TOMORROW, EVENT, "Tomorrow", 20261123, HALL),
)
"""Neither says when it ends: by a clock that is believed a use is of the hour's day, else of the session's."""
_DAYS = Days(DATES)


def limits_of_ticket(ticket: Ticket) -> Limits:
    """Return how often a ticket may be used."""
    return limits_of(PRODUCT_OF[ticket.product], _DAYS)


def plans_of(gate: int) -> tuple[LanePlan, ...]:
    """Return what a gate's lanes serve: the first leads into the hall, the second of gate 3 into the box inside."""
    served = ((EVENT, TODAY),)
    second = BOX if gate == 3 else HALL
    return (
        LanePlan(LaneId(1), HALL, Mode.MULTIPLE, served),
        LanePlan(LaneId(2), second, Mode.MULTIPLE, served),
    )


def _desk_plans(*, desks: bool) -> tuple[LanePlan, ...]:
    return (LanePlan(DESK, HALL, Mode.MULTIPLE, ((EVENT, TODAY),)),) if desks else ()


def _secret(name: str) -> bytes:
    return hashlib.sha256(f"gatehouse simulated venue: {name}".encode()).digest()


@functools.cache
def key_of(gate: int) -> Ed25519PrivateKey:
    """Return a gate's signing key."""
    return Ed25519PrivateKey.from_private_bytes(_secret(f"gate {gate}"))


@functools.cache
def code_of(number: int, issued_s: int = EPOCH_S - 86_400) -> bytes:
    """Return the text on a ticket."""
    return cose.mint(claims_of(number, issued_s), venue_keys().ticket_key).encode()


def claims_of(number: int, issued_s: int) -> cose.Claims:
    """Return what a ticket says of itself."""
    ticket = ticket_of(number)
    return cose.Claims(
        ticket=number,
        event=EVENT,
        issued_at=issued_s,
        product=ticket.product,
        admits=ticket.admits,
        session=TODAY,
    )


@functools.cache
def venue_keys() -> centre_keys.VenueKeys:
    """Return the venue's keys."""
    return centre_keys.VenueKeys(
        centre_keys.KeySet(
            number=1,
            identity=_secret("identity"),
            successor=_secret("successor"),
            lists=_secret("lists"),
            time=_secret("time"),
            roster=_secret("roster"),
            tickets=_secret("tickets"),
            accounts=_secret("accounts"),
            pages=bytes(1) + _secret("pages")[1:],
        )
    )


@dataclass(frozen=True, slots=True)
class Premises:
    """Folders to be copied: the centre's, and one a gate."""

    gates: int
    centre: Path
    boxes: dict[GateId, Path]

    def copy_centre(self, target: Path) -> None:
        """Give a world its centre."""
        target.mkdir(parents=True)
        shutil.copyfile(self.centre / FILE, target / FILE)
        shutil.copyfile(self.centre / centre_keys.FILE, target / centre_keys.FILE)

    def copy_box(self, gate: GateId, target: Path) -> None:
        """Give a world a gate's card."""
        shutil.copytree(self.boxes[gate], target)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(
        prefix="gatehouse-sim-", dir=memory_folder(), ignore_cleanup_errors=True
    )


@functools.cache
def premises(gates: int, *, desks: bool = False, night: bool = False) -> Premises:
    """Return the venue with so many gates; made at the first time, a quarter of a second.

    `desks`: each has a check-in station. `night`: the hall is emptied in the middle of the evening, by its plan.
    """
    root = Path(_folder().name) / f"gates{gates}{'desks' * desks}{'night' * night}"
    data = root / "centre"
    data.mkdir(parents=True)
    (data / centre_keys.FILE).write_bytes(msgspec.json.encode(venue_keys().held))
    centre = open_centre(data)
    fill(centre, gates, desks=desks, night=night)
    boxes = _boxes(centre, root, gates)
    with centre.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM snapshot")
    centre.close()
    return Premises(gates, data, boxes)


def fill(
    centre: Centre, gates: int, tickets_max: int = TICKETS, *, desks: bool = False, night: bool = False
) -> None:
    """Write the venue into a centre's empty tables: tickets from 1 to `tickets_max`, gates from 1, each enrolled."""
    keys = centre.keys
    tickets = [ticket_of(number) for number in range(1, tickets_max + 1)]
    with changes.change(centre.database, [EVENT], EPOCH_S - 3600) as connection:
        owner = houses.add_organization(connection, houses.NewOrganization(name="Sim"), EPOCH_S - 3600)
        events.add_group(connection, "Sim", DIGEST_KEY, organization=owner)
        events.add_event(connection, EVENT, "Evening", "UTC")
        events.add_sessions(connection, DATES)
        events.add_zones(
            connection,
            [msgspec.structs.replace(one, reset_at=NIGHT) for one in ZONES[:1]] if night else ZONES[:1],
        )
        events.add_zones(connection, ZONES[1:])
        events.add_products(connection, PRODUCTS)
        rows.add_keys(connection, [ListKey(keys.ticket_key.public_key().public_bytes_raw(), "tk1")])
        for number in range(1, gates + 1):
            zones = (HALL, BOX) if number == 3 else (HALL,)
            roster.add_gate(
                connection,
                roster.Gate(GateId(number), NAMES[number - 1], zones),
                plans_of(number) + _desk_plans(desks=desks),
                events.GROUP,
            )
        rows.add_tickets(
            connection,
            EVENT,
            tickets,
            [
                rows.NewCredential(one.id, ticket_digest(EVENT, one.id, DIGEST_KEY), CredentialKind.TK1)
                for one in tickets
            ],
        )
    with changes.change(centre.database, [EVENT], EPOCH_S - 3600) as connection:
        for number in range(1, gates + 1):
            sealing = X25519PrivateKey.from_private_bytes(_secret(f"sealing {number}"))
            enrolling.join(
                connection,
                GateId(number),
                key_of(number).public_key().public_bytes_raw(),
                sealing.public_key().public_bytes_raw(),
                EPOCH_S - 3600,
            )


def _boxes(centre: Centre, root: Path, gates: int) -> dict[GateId, Path]:
    """Make each gate's folder: its enrolment, and the list as its builder makes it of the centre's snapshot."""
    snapshots = Snapshots(centre.database, centre.keys, root / "centre", lambda: EPOCH_S - 3600)
    published = snapshots.build(events.GROUP)
    secrets = snapshots._secrets(events.GROUP)
    order = Order(
        list_public=_public(centre.keys.list_key),
        group=events.GROUP,
        list_secret=secrets.list_secret,
        digest_key=secrets.digest_key,
    )
    listed = root / LIST_FILE
    build_from(snapshots.path(published.address), listed, order)
    snapshots.close()
    found: dict[GateId, Path] = {}
    for number in range(1, gates + 1):
        box = found[GateId(number)] = root / f"box{number}"
        box.mkdir()
        enrolment.save(box, enrolled(centre, number, "sim:"))
        shutil.copyfile(listed, box / LIST_FILE)
    return found


def enrolled(centre: Centre, number: int, centre_url: str) -> enrolment.Enrolment:
    """Return what enrolment left on a gate's card."""
    return enrolment.Enrolment(
        gate=GateId(number),
        name=NAMES[number - 1],
        group=events.GROUP,
        centre_url=centre_url,
        centre_public=_public(centre.keys.identity_key),
        list_public=_public(centre.keys.list_key),
        time_public=_public(centre.keys.time_key),
        roster_public=_public(centre.keys.roster_key),
        signing_key=_secret(f"gate {number}"),
        sealing_key=_secret(f"sealing {number}"),
        keys_number=centre.keys.number,
    )


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()
