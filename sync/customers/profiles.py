"""Customers: every field people know of them, how they come to be, and what is found of them.

A customer comes to be with a tag or a ticket (an activation, a claim) or by an import; nobody makes one by hand.
"""

import csv
import io
import re
from enum import Enum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update

from admission.entitlements import Standing
from admission.ids import EventId, HolderId, TicketId
from sync.customers import search, tables
from sync.events.tables import organization
from sync.store.schema import next_id, signed, unsigned
from sync.tickets import tables as ticket_tables
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused, not_found

FIRST_ID: Final = 1 << 32
"""Below are numbers of holders that imports bring along, of people this centre knows nothing else of."""
FIELDS: Final = (
    "email",
    "first_name",
    "last_name",
    "phone",
    "postcode",
    "address",
    "city",
    "country",
    "gender",
)
"""What is known of a customer, in the order people read it."""
_FORMULA: Final = re.compile(r"""^(?=[\t\r])|(?:^ *|[;\t\r\n][ "]*)(?=[=+\-@])""")
"""Before what a spreadsheet takes for a formula (OWASP, CSV Injection; DESIGN.md: output is data everywhere): where a
cell begins, and behind what ends one for others. Half of Europe's split at `;`, and heed none of our quotation marks."""
TICKETS_MAX: Final = 1000
"""Tickets of one customer that a profile shows; a club's thousand season tickets are a list of its own."""


class Origin(Enum):
    """How a customer came to be; the values are stored."""

    ACTIVATION = "activation"
    CLAIM = "claim"
    IMPORT = "import"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Every field of a customer. All empty: anonymous; else a last name is needed."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    postcode: str = ""
    address: str = ""
    city: str = ""
    country: str = ""
    gender: str = ""


def add(act: Act, profile: Profile, origin: Origin) -> int:
    """Make a customer; returns the id. For activations, claims and imports only: they bring a tag or tickets.

    LookupError where there is no such organization, for PostgreSQL has no foreign key there.
    """
    clean = checked(profile)
    o = organization.c.id
    if act.connection.execute(select(o).where(o == act.organization)).first() is None:
        raise LookupError(f"there is no organization {act.organization}")
    number = max(next_id(act.connection, tables.customer.c.id), FIRST_ID)
    act.connection.execute(
        insert(tables.customer).values(
            id=number,
            organization_id=act.organization,
            banned=False,
            origin=origin.value,
            created_s=act.now_s,
            **_columns(clean),
        )
    )
    act.note("customer.add", f"customer {number}", origin.value)
    return number


def edit(act: Act, number: int, profile: Profile) -> None:
    """Replace all fields of a customer."""
    held(act, number)
    changed = _columns(checked(profile))
    act.connection.execute(update(tables.customer).where(tables.customer.c.id == number).values(**changed))
    act.note("customer.edit", f"customer {number}")


def held(act: Act, number: int) -> Any:
    """Return a customer's row; nobody else changes it until our transaction ends. Refused where it is not ours."""
    c = tables.customer.c
    found = act.connection.execute(
        select(tables.customer).where(c.id == number, c.organization_id == act.organization).with_for_update()
    ).one_or_none()
    if found is None:
        raise not_found("customer")
    return found


def checked(profile: Profile) -> Profile:
    """Return the profile without stray spaces; Refused where something cannot be."""
    values = {name: " ".join(getattr(profile, name).split()) for name in FIELDS}
    for name, value in values.items():
        longest = tables.EMAIL_CHARS if name == "email" else tables.FIELD_CHARS
        if len(value) > longest or "\0" in value:
            raise Refused(422, "bad_field", f"{name} has at most {longest} characters.", more={"field": name})
    if any(values.values()) and not values["last_name"]:
        raise Refused(
            422, "last_name_missing", "A customer has a last name, or no field at all (anonymous).",
            more={"field": "last_name"},
        )  # fmt: skip
    local, at, domain = values["email"].rpartition("@")
    if values["email"] and not (local and at and domain and " " not in values["email"]):
        raise Refused(422, "bad_email", "This is no e-mail address.", more={"field": "email"})
    return Profile(**values)


def profile_of(row: Any) -> Profile:
    """Return a customer's fields."""
    return Profile(**{name: getattr(row, name) for name in FIELDS})


def tickets_of(connection: Connection, number: int) -> list[tuple[TicketRef, Any]]:
    """Return a customer's tickets, at most `TICKETS_MAX`, replaced ones left out."""
    t = ticket_tables.ticket.c
    wanted = select(ticket_tables.ticket).where(
        t.holder == signed(number), t.standing.op("&")(int(Standing.REPLACED)) == 0
    )
    found = connection.execute(wanted.order_by(t.event_id, t.id).limit(TICKETS_MAX))
    return [((EventId(row.event_id), TicketId(unsigned(row.id))), row) for row in found]


def as_csv(connection: Connection, row: Any) -> bytes:
    """Return a customer as a CSV file: a line each for what is known, its tickets and its tags."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("id", *FIELDS, "banned", "origin", "created_s"))
    known = (row.id, *(getattr(row, name) for name in FIELDS), int(row.banned), row.origin, row.created_s)
    writer.writerow([cell(one) for one in known])
    writer.writerow(())
    writer.writerow(("event", "ticket", "product", "session", "standing"))
    for (event, ticket), found in tickets_of(connection, row.id):
        words = " ".join(standing_words(Standing(found.standing)))
        writer.writerow((event, ticket, found.product, found.session, words))
    writer.writerow(())
    writer.writerow(("event", "tag", "product", "active", "banned"))
    t = tables.tag.c
    for tag in connection.execute(select(tables.tag).where(t.customer_id == row.id).order_by(t.id)):
        writer.writerow((tag.event_id, cell(tag.uid), tag.product, int(tag.active), int(tag.banned)))
    return out.getvalue().encode()


def cell(value: object) -> str:
    """Return a CSV cell that no spreadsheet takes for a formula, nor a part of it, wherever it splits: with apostrophes."""
    return _FORMULA.sub(r"\g<0>'", str(value))


def standing_words(standing: Standing) -> tuple[str, ...]:
    """Return what holds of a ticket, as the API and people read it."""
    return tuple(one.name.lower() for one in Standing if one & standing and one.name) or ("valid",)


def holder_of(row: Any) -> HolderId:
    """Return whose a ticket is; 0 is nobody's."""
    return HolderId(unsigned(row.holder))


def _columns(profile: Profile) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(profile, name) for name in FIELDS}
    return {
        **values,
        "anonymous": not any(values.values()),
        "email_key": search.key_of(profile.email),
        "first_key": search.key_of(f"{profile.first_name} {profile.last_name}"),
        "last_key": search.key_of(f"{profile.last_name} {profile.first_name}"),
    }
