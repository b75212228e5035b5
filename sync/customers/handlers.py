"""The API of customers, their tags, and the one search box."""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, select

from admission.entitlements import Standing
from admission.ids import EventId, ProductId, TicketId
from sync.customers import holding, profiles, search, shown_names, tables, tags
from sync.customers.profiles import Origin, Profile
from sync.customers.search import Hit
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import (
    Asked,
    Body,
    Download,
    Id,
    Line,
    Page,
    Paged,
    Query,
    Role,
    Route,
    not_found,
    page_of,
    read_cursor,
)

Event = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Field = Annotated[str, msgspec.Meta(max_length=tables.EMAIL_CHARS)]


class Fields(Body, frozen=True, kw_only=True):
    """Every field of a customer; all empty: anonymous, else a last name is needed."""

    email: Field = ""
    first_name: Field = ""
    last_name: Field = ""
    phone: Field = ""
    postcode: Field = ""
    address: Field = ""
    city: Field = ""
    country: Field = ""
    gender: Field = ""

    def profile(self) -> Profile:
        """Return the fields as values."""
        return Profile(**{name: getattr(self, name) for name in profiles.FIELDS})


class Activation(Body, frozen=True, kw_only=True):
    """A tag handed out: to a new customer. `product`: the tag's own ticket type; `proof`: what it shows for itself."""

    customer: Fields = Fields()
    event: Event
    uid: Annotated[str, msgspec.Meta(min_length=8, max_length=32)]
    product: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    proof: tags.Proof = tags.Proof.UID


class TicketName(Body, frozen=True, kw_only=True):
    """Which ticket."""

    event: Event
    ticket: Id


Tickets = Annotated[tuple[TicketName, ...], msgspec.Meta(min_length=1, max_length=holding.TICKETS_MAX)]


class Claim(Body, frozen=True, kw_only=True):
    """Somebody says whose tickets these are."""

    customer: Fields = Fields()
    tickets: Tickets


class AssignTickets(Body, frozen=True, kw_only=True):
    """Tickets of a customer."""

    tickets: Tickets


class AssignTag(Body, frozen=True, kw_only=True):
    """A tag of a customer; `product`: its own ticket type, 0: it stands for the customer's tickets; `proof`: what it shows
    for itself."""

    event: Event
    uid: Annotated[str, msgspec.Meta(min_length=8, max_length=32)]
    product: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    proof: tags.Proof = tags.Proof.UID


class ShownName(Body, frozen=True, kw_only=True):
    """What a customer asked to be called at the gate; empty: they take it back."""

    name: Annotated[str, msgspec.Meta(max_length=tables.EMAIL_CHARS)] = ""


class Why(Body, frozen=True, kw_only=True):
    """Why it is done."""

    reason: Line = ""


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag. `ticket`: of its own type, else 0."""

    id: int
    event: int
    uid: str
    product: int
    ticket: int
    active: bool
    banned: bool
    proof: tags.Proof


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """What is written to a wristband: an NDEF message, in hex."""

    uid: str
    message: str


class HeldTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket of a customer."""

    event: int
    ticket: int
    product: int
    session: int
    standing: tuple[str, ...]


class CustomerHead(Profile, frozen=True, kw_only=True):
    """A customer in a list."""

    id: int
    anonymous: bool
    banned: bool
    origin: Origin
    created_s: int


class Customer(CustomerHead, frozen=True, kw_only=True):
    """A customer with tickets and tags."""

    tickets: tuple[HeldTicket, ...]
    tags: tuple[Tag, ...]
    shown_name: str
    """What they asked to be called at the gate; "" for those who did not."""


class SearchFor(Query, frozen=True, kw_only=True):
    """Name, e-mail, order number, ticket number, tag UID or printed code; names and numbers by their beginning."""

    q: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Found(msgspec.Struct, frozen=True):
    """What was found."""

    items: tuple[Hit, ...]


def find(connection: Connection, asked: Asked) -> Found:
    """Search."""
    return Found(search.search(connection, asked.principal.organization, asked.query.q))


def listed(connection: Connection, asked: Asked) -> Page[CustomerHead]:
    """List customers, by number."""
    c = tables.customer.c
    after = read_cursor(asked.query.cursor, int) or (0,)
    found = connection.execute(
        select(tables.customer)
        .where(c.organization_id == asked.principal.organization, c.id > after[0])
        .order_by(c.id)
        .limit(asked.query.limit + 1)
    )
    return page_of([CustomerHead(**_head(row)) for row in found], asked.query.limit, lambda one: (one.id,))


def one(connection: Connection, asked: Asked) -> Customer:
    """Show a customer."""
    return read(Act.of(connection, asked), asked.path["customer"])


def edit(connection: Connection, asked: Asked) -> Customer:
    """Replace the fields of a customer."""
    act = Act.of(connection, asked)
    profiles.edit(act, asked.path["customer"], asked.body.profile())
    return read(act, asked.path["customer"])


def put_shown_name(connection: Connection, asked: Asked) -> Customer:
    """Have a customer's name shown at the gate, or no longer."""
    act = Act.of(connection, asked)
    shown_names.put(act, asked.path["customer"], asked.body.name)
    return read(act, asked.path["customer"])


def as_csv(connection: Connection, asked: Asked) -> Download:
    """Download a customer as CSV."""
    row = _row(connection, asked.principal.organization, asked.path["customer"])
    return Download("text/csv; charset=utf-8", f"customer-{row.id}.csv", profiles.as_csv(connection, row))


def activate(connection: Connection, asked: Asked) -> Customer:
    """Activate a tag for a new customer."""
    act, body = Act.of(connection, asked), asked.body
    product = ProductId(body.product)
    profile, event = body.customer.profile(), EventId(body.event)
    number, _ = holding.activate(act, profile, event, body.uid, product, body.proof)
    return read(act, number)


def claim(connection: Connection, asked: Asked) -> Customer:
    """Claim tickets for a new customer."""
    act = Act.of(connection, asked)
    return read(act, holding.claim(act, asked.body.customer.profile(), _refs(asked.body.tickets)))


def assign_tickets(connection: Connection, asked: Asked) -> Customer:
    """Assign tickets to a customer."""
    act = Act.of(connection, asked)
    holding.assign_tickets(act, asked.path["customer"], _refs(asked.body.tickets))
    return read(act, asked.path["customer"])


def unassign_ticket(connection: Connection, asked: Asked) -> Customer:
    """Take a ticket off a customer."""
    act = Act.of(connection, asked)
    ref = (EventId(asked.path["event"]), TicketId(asked.path["ticket"]))
    holding.unassign_ticket(act, asked.path["customer"], ref)
    return read(act, asked.path["customer"])


def assign_tag(connection: Connection, asked: Asked) -> Customer:
    """Assign a tag to a customer; it becomes the active one."""
    act, body = Act.of(connection, asked), asked.body
    event, product = EventId(body.event), ProductId(body.product)
    tags.assign(act, asked.path["customer"], event, body.uid, product, body.proof)
    return read(act, asked.path["customer"])


def band(connection: Connection, asked: Asked) -> Band:
    """Sign what is written to a wristband."""
    act = Act.of(connection, asked)
    message = tags.band_of(act, asked.path["tag"])
    return Band(uid=tags.tag_of(act, asked.path["tag"]).uid, message=message.hex())


def ban(connection: Connection, asked: Asked) -> Customer:
    """Ban a customer with all tickets and tags."""
    act = Act.of(connection, asked)
    holding.ban(act, asked.path["customer"], asked.body.reason)
    return read(act, asked.path["customer"])


def unban(connection: Connection, asked: Asked) -> Customer:
    """Lift a customer's ban."""
    act = Act.of(connection, asked)
    holding.unban(act, asked.path["customer"], asked.body.reason)
    return read(act, asked.path["customer"])


def activate_tag(connection: Connection, asked: Asked) -> Tag:
    """Make a tag active and all others of its customer inactive."""
    act = Act.of(connection, asked)
    tags.make_active(act, asked.path["tag"])
    return _read_tag(act, asked.path["tag"])


def ban_tag(connection: Connection, asked: Asked) -> Tag:
    """Ban a tag."""
    return _ban_tag(connection, asked, banned=True)


def unban_tag(connection: Connection, asked: Asked) -> Tag:
    """Lift a tag's ban."""
    return _ban_tag(connection, asked, banned=False)


def read(act: Act, number: int) -> Customer:
    """Return a customer of the act's organization. Refused where there is none."""
    row = _row(act.connection, act.organization, number)
    held = tuple(
        HeldTicket(
            event=event,
            ticket=ticket,
            product=found.product,
            session=found.session,
            standing=standing_words(found),
        )
        for (event, ticket), found in profiles.tickets_of(act.connection, number)
    )
    worn = tags.worn_for(act, number)
    return Customer(
        **_head(row),
        tickets=held,
        tags=tuple(map(_tag, worn, tags.proofs_of(act, worn))),
        shown_name=shown_names.name_of(act.connection, number),
    )


def routes() -> tuple[Route, ...]:
    """Return the routes of customers, tags and the search."""
    box: Any = {"role": Role.BOX_OFFICE, "writes": True, "idempotent": True}
    at = "/api/v1/customers/{customer}"
    return (
        Route(method="GET", path="/api/v1/search", handler=find, answer=Found, query=SearchFor, summary="Search customers, orders, tickets and tags"),
        Route(method="GET", path="/api/v1/customers", handler=listed, answer=Page[CustomerHead], query=Paged, summary="List customers"),
        Route(method="GET", path=at, handler=one, answer=Customer, summary="Show a customer"),
        Route(method="PUT", path=at, handler=edit, answer=Customer, body=Fields, summary="Replace the fields of a customer", **box),
        Route(method="PUT", path=f"{at}/shown-name", handler=put_shown_name, answer=Customer, body=ShownName, summary="Show a customer's name at the gate, as they ask", **box),
        Route(method="GET", path=f"{at}/csv", handler=as_csv, answer=Download, role=Role.BOX_OFFICE, summary="Download a customer as CSV"),
        Route(method="POST", path="/api/v1/activations", handler=activate, answer=Customer, body=Activation, status=201, summary="Activate a tag for a new customer", **box),
        Route(method="POST", path="/api/v1/claims", handler=claim, answer=Customer, body=Claim, status=201, summary="Claim tickets for a new customer", **box),
        Route(method="POST", path=f"{at}/tickets", handler=assign_tickets, answer=Customer, body=AssignTickets, summary="Assign tickets to a customer", **box),
        Route(method="DELETE", path=f"{at}/tickets/{{event}}/{{ticket}}", handler=unassign_ticket, answer=Customer, summary="Take a ticket off a customer", **box),
        Route(method="POST", path=f"{at}/tags", handler=assign_tag, answer=Customer, body=AssignTag, status=201, summary="Assign a tag to a customer", **box),
        Route(method="POST", path=f"{at}/ban", handler=ban, answer=Customer, body=Why, summary="Ban a customer with all tickets and tags", **box),
        Route(method="POST", path=f"{at}/unban", handler=unban, answer=Customer, body=Why, summary="Lift a customer's ban", **box),
        Route(method="POST", path="/api/v1/tags/{tag}/activate", handler=activate_tag, answer=Tag, summary="Make a tag active, all others inactive", **box),
        Route(method="POST", path="/api/v1/tags/{tag}/ban", handler=ban_tag, answer=Tag, body=Why, summary="Ban a tag", **box),
        Route(method="POST", path="/api/v1/tags/{tag}/band", handler=band, answer=Band, summary="Sign what is written to a wristband", **box),
        Route(method="POST", path="/api/v1/tags/{tag}/unban", handler=unban_tag, answer=Tag, body=Why, summary="Lift a tag's ban", **box),
    )  # fmt: skip


def standing_words(row: Any) -> tuple[str, ...]:
    """Return what holds of a ticket's row."""
    return profiles.standing_words(Standing(row.standing))


def _ban_tag(connection: Connection, asked: Asked, *, banned: bool) -> Tag:
    act = Act.of(connection, asked)
    tags.ban(act, asked.path["tag"], banned=banned, reason=asked.body.reason)
    return _read_tag(act, asked.path["tag"])


def _row(connection: Connection, organization: int, number: int) -> Any:
    c = tables.customer.c
    row = connection.execute(
        select(tables.customer).where(c.id == number, c.organization_id == organization)
    ).one_or_none()
    if row is None:
        raise not_found("customer")
    return row


def _head(row: Any) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(profiles.profile_of(row)),
        "id": row.id,
        "anonymous": bool(row.anonymous),
        "banned": bool(row.banned),
        "origin": Origin(row.origin),
        "created_s": row.created_s,
    }


def _read_tag(act: Act, number: int) -> Tag:
    row = tags.tag_of(act, number)
    return _tag(row, tags.proof_of(act, row))


def _tag(row: Any, proof: tags.Proof) -> Tag:
    return Tag(
        id=row.id,
        event=row.event_id,
        uid=row.uid,
        product=row.product,
        ticket=row.ticket,
        active=bool(row.active),
        banned=bool(row.banned),
        proof=proof,
    )


def _refs(named: tuple[TicketName, ...]) -> tuple[TicketRef, ...]:
    return tuple((EventId(one.event), TicketId(one.ticket)) for one in named)
