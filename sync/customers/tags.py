"""Tags: media that customers wear, many to a customer, at most one active in an event.

A tag with a ticket type of its own stands for a ticket made with it; a tag without stands for all its customer's
tickets of the event, those sold later too. To the gates a tag is a credential: a digest of its UID and a standing. The
digest is of its `Proof`, so a tag that has to prove itself opens nothing by its bare UID.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import insert, select, update

from admission.codecs import band, sun
from admission.credentials import UID_SIZES, Malformed, Medium, classify
from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding
from admission.ids import EventId, HolderId, ProductId, TicketId
from sync.customers import profiles, tables
from sync.store.schema import next_id, signed, unsigned
from sync.tickets import minting, rows
from sync.tickets import tables as ticket_tables
from sync.tickets.minting import NewTicket
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused, not_found

TAGS_SHOWN_MAX: Final = 200
"""Of others who wear a buyer's tickets; a school class and its teachers."""
TAGS_MAX: Final = 50
"""Of one customer in one event: lost and exchanged ones count too. More is a mistake."""


class Proof(StrEnum):
    """What a tag shows for itself; the values are those of `CredentialKind`."""

    UID = "uid"
    """Nothing: its UID, which anybody may copy."""
    BAND = "band"
    """A signed record that is bound to its UID (`band_of`)."""
    SUN = "sun"
    """A message made anew for each tap: NTAG 424 DNA, written with the group's keys."""


_SIZES: Final = {Proof.UID: UID_SIZES, Proof.BAND: band.UID_SIZES, Proof.SUN: frozenset((sun.UID_BYTES,))}


def canonical_uid(text: str) -> bytes:
    """Return the UID that people typed or a reader's software showed: hex, any case, with or without colons."""
    try:
        uid = bytes.fromhex(text.replace(":", " ").replace("-", " "))
    except ValueError:
        uid = b""
    if isinstance(classify(uid, Medium.UID), Malformed):
        sizes = ", ".join(map(str, sorted(UID_SIZES)))
        raise Refused(422, "bad_uid", f"A tag's UID is {sizes} bytes in hex, and not a random or empty one.")
    return uid


def assign(
    act: Act,
    customer: int,
    event: EventId,
    uid_text: str,
    product: ProductId = ProductId(0),
    proof: Proof = Proof.UID,
) -> int:
    """Assign a tag to a customer; it is active, and all others of the customer in this event are not. Returns its id.

    `product`: its own ticket type, 0 for none: then the customer needs a ticket in this event.
    """
    uid = canonical_uid(uid_text)
    if len(uid) not in _SIZES[proof]:
        raise Refused(422, "bad_uid", f"No tag with a UID of {len(uid)} bytes proves itself in this way.")
    number = next_id(act.connection, tables.tag.c.id)
    who = profiles.held(act, customer)
    if who.banned:
        raise Refused(409, "customer_banned", "This customer is banned; lift the ban first.")
    with act.changing([event]):
        digests = digests_of(minting.digest_key_of(act.connection, event), uid)
        found = digests[proof]
        number = _free(act, event, digests.values()) or number
        if len(_tags(act, customer, event)) >= TAGS_MAX:
            raise Refused(409, "too_many_tags", f"A customer has at most {TAGS_MAX} tags in an event.")
        ticket = TicketId(0)
        if product:
            ticket = _own_ticket(act, event, product, HolderId(customer))
            stands_for = [ticket]
        else:
            stands_for = [
                ref[1] for ref, _ in profiles.tickets_of(act.connection, customer) if ref[0] == event
            ]
            stands_for = [one for one in stands_for if one not in _tag_tickets(act, customer, event)]
            if not stands_for:
                raise Refused(
                    409,
                    "no_ticket",
                    "This customer has no ticket for this event. Give the tag a ticket type.",
                )
        _set_active(act, customer, event, 0)
        _write(
            act, number, customer_id=customer, event_id=event, digest=found, uid=uid.hex().upper(), product=product,
            ticket=signed(ticket), active=True, banned=False, created_s=act.now_s,
        )  # fmt: skip
        _stand_for(act, tag_of(act, number), stands_for)
        act.note("tag.assign", f"tag {number}", {"customer": customer, "event": event, "product": product})
    return number


def make_active(act: Act, number: int) -> None:
    """Make a tag its customer's active one in its event, and all others inactive."""
    tag = tag_of(act, number)
    profiles.held(act, tag.customer_id)
    with act.changing([EventId(tag.event_id)]):
        tag = tag_of(act, number)
        if tag.active:
            raise Refused(409, "already_active", "This is the active tag already.")
        if tag.banned:
            raise Refused(409, "tag_banned", "This tag is banned; lift the ban to make it active.")
        _set_active(act, tag.customer_id, EventId(tag.event_id), number)
        act.note("tag.activate", f"tag {number}", {"customer": tag.customer_id})


def ban(act: Act, number: int, *, banned: bool, reason: str = "") -> None:
    """Ban a tag, or lift its ban. It stays as active as it was."""
    tag = tag_of(act, number)
    who = profiles.held(act, tag.customer_id)
    with act.changing([EventId(tag.event_id)]):
        tag = tag_of(act, number)
        if tag.banned == banned:
            code, why = ("already_banned", "banned already") if banned else ("not_banned", "not banned")
            raise Refused(409, code, f"This tag is {why}.")
        act.connection.execute(update(tables.tag).where(tables.tag.c.id == number).values(banned=banned))
        tell(act, tag_of(act, number), customer_banned=who.banned)
        act.note("tag.ban" if banned else "tag.unban", f"tag {number}", reason)


def bind_tickets(act: Act, customer: int, tickets: Iterable[TicketRef]) -> None:
    """Let the customer's tags without a ticket type stand for these new tickets too, within `Act.changing`."""
    if not customer:
        return
    by_event: dict[EventId, list[TicketId]] = {}
    for event, ticket in tickets:
        by_event.setdefault(event, []).append(ticket)
    for event, found in by_event.items():
        for tag in _tags(act, customer, event):
            if not tag.ticket:
                _stand_for(act, tag, found)


def _write(act: Act, number: int, **values: object) -> None:
    """Write a tag down: a new one, or one that was somebody else's."""
    t = tables.tag
    if not act.connection.execute(update(t).where(t.c.id == number).values(**values)).rowcount:
        act.connection.execute(insert(t).values(id=number, organization_id=act.organization, **values))


def _stand_for(act: Act, tag: Any, tickets: Sequence[TicketId]) -> None:
    """Let a tag stand for tickets, also for those that it was taken off before."""
    c, standing = ticket_tables.credential.c, standing_of(tag)
    of_tag = (c.event_id == tag.event_id, c.digest == tag.digest)
    wanted = (*of_tag, c.ticket.in_([signed(one) for one in tickets]))
    before = {unsigned(one) for one in act.connection.execute(select(c.ticket).where(*wanted)).scalars()}
    act.connection.execute(
        update(ticket_tables.credential).where(*wanted).values(standing=int(standing), version=None)
    )
    new = [
        rows.NewCredential(one, tag.digest, CredentialKind.UID, standing=standing)
        for one in tickets
        if one not in before
    ]
    rows.add_tickets(act.connection, EventId(tag.event_id), [], new)


def unbind_ticket(act: Act, customer: int, ref: TicketRef) -> None:
    """Let the customer's tags no longer stand for a ticket, within `Act.changing`."""
    for tag in _tags(act, customer, ref[0]):
        if not tag.ticket:
            _set_standing(act, tag, CredentialStanding.REPLACED, ref)


def move_own_ticket(act: Act, ref: TicketRef, new: TicketRef, product: ProductId) -> None:
    """Say of the tag whose own ticket was replaced by another of its event that the new one is its own now.

    Else the customer's other tags would stand for that, too.
    """
    t = tables.tag
    own = update(t).where(t.c.event_id == ref[0], t.c.ticket == signed(ref[1]))
    act.connection.execute(own.where(t.c.product != 0).values(product=product))
    act.connection.execute(own.values(ticket=signed(new[1])))


def tags_of(act: Act, customer: int) -> list[Any]:
    """Return all tags of a customer."""
    t = tables.tag.c
    return list(act.connection.execute(select(tables.tag).where(t.customer_id == customer).order_by(t.id)))


def worn_for(act: Act, customer: int) -> list[Any]:
    """Return the tags of a customer, then those that others wear for the customer's tickets, while they are active.

    Whoever bought for four has four bands on their page, since that is who a box office looks up when one is lost. The other
    three stay somebody's of their own: one band is banned or exchanged without a word about the rest.
    """
    t, k = tables.tag.c, ticket_tables.ticket.c
    others = (
        select(tables.tag)
        .join(ticket_tables.ticket, (k.event_id == t.event_id) & (k.id == t.ticket))
        .where(k.holder == signed(customer), t.organization_id == act.organization)
        .where(t.customer_id != customer, t.active)
        .order_by(t.id)
        .limit(TAGS_SHOWN_MAX)
    )
    return [*tags_of(act, customer), *act.connection.execute(others)]


def standing_of(tag: Any, *, customer_banned: bool = False) -> CredentialStanding:
    """Return what the gates are told of a tag."""
    standing = CredentialStanding.ACTIVE if tag.active else CredentialStanding.INACTIVE_TAG
    return standing | CredentialStanding.BANNED_TAG if tag.banned or customer_banned else standing


def tell(act: Act, tag: Any, *, customer_banned: bool = False) -> None:
    """Tell the gates of a tag as it is now, within `Act.changing`."""
    _set_standing(act, tag, standing_of(tag, customer_banned=customer_banned))


def _set_standing(act: Act, tag: Any, standing: CredentialStanding, ref: TicketRef | None = None) -> None:
    c = ticket_tables.credential.c
    wanted = update(ticket_tables.credential).where(
        c.event_id == tag.event_id,
        c.digest == tag.digest,
        # What it was taken off stays taken off.
        c.standing.op("&")(int(CredentialStanding.REPLACED)) == 0,
    )
    if ref is not None:
        wanted = wanted.where(c.ticket == signed(ref[1]))
    act.connection.execute(wanted.values(standing=int(standing), version=None))


def _set_active(act: Act, customer: int, event: EventId, number: int) -> None:
    """Make one tag active and all others not, none of them with `number` 0."""
    t = tables.tag.c
    for tag in _tags(act, customer, event):
        if tag.active and tag.id != number:
            act.connection.execute(update(tables.tag).where(t.id == tag.id).values(active=False))
            tell(act, tag_of(act, tag.id))
    if number:
        act.connection.execute(update(tables.tag).where(t.id == number).values(active=True))
        tell(act, tag_of(act, number))


def _own_ticket(act: Act, event: EventId, product: ProductId, holder: HolderId) -> TicketId:
    """Make the ticket of a tag's own type: it has no code of its own."""
    return minting.add_bare(act, NewTicket(event, product, holder=holder))


def digests_of(key: bytes, uid: bytes) -> dict[Proof, bytes]:
    """Return under what a tag would be listed, by what it shows for itself. `key`: the event's digest key."""
    return {proof: digest(CredentialKind(proof.value), uid, key) for proof in Proof}


def proofs_of(act: Act, tags: Iterable[Any]) -> tuple[Proof, ...]:
    """Return what each of some tags has to show for itself; `UID` where its customer was erased, and its UID with them."""
    keys: dict[int, bytes] = {}
    found = []
    for tag in tags:
        if not tag.uid:
            found.append(Proof.UID)
            continue
        if tag.event_id not in keys:
            keys[tag.event_id] = minting.digest_key_of(act.connection, EventId(tag.event_id))
        digests = digests_of(keys[tag.event_id], bytes.fromhex(tag.uid))
        found.append(next(proof for proof, one in digests.items() if one == tag.digest))
    return tuple(found)


def proof_of(act: Act, tag: Any) -> Proof:
    """Return what a tag has to show for itself."""
    return proofs_of(act, (tag,))[0]


def band_of(act: Act, number: int) -> bytes:
    """Return the NDEF message to be written to a wristband: its ticket, signed and bound to its UID.

    Of a tag that stands for several tickets the oldest that would be let in; the list names them all, and until a gate
    has heard of it the one. Refused where none would be let in.
    """
    tag = tag_of(act, number)
    event = EventId(tag.event_id)
    if proof_of(act, tag) is not Proof.BAND:
        raise Refused(409, "not_a_band", "This tag shows no signed record. Assign it as a band to write one.")
    if tag.banned:
        raise Refused(409, "tag_banned", "A banned tag is not written.")
    if not tag.active:
        raise Refused(409, "tag_inactive", "Only an active tag is written.")
    c = ticket_tables.credential.c
    worn = select(c.ticket).where(
        c.event_id == event,
        c.digest == tag.digest,
        c.standing.op("&")(int(CredentialStanding.REPLACED)) == 0,
    )
    refused: Refused | None = None
    for ticket in act.connection.execute(worn.order_by(c.ticket)).scalars():
        try:
            claims = minting.claims_of(act, (event, TicketId(unsigned(ticket))))
        except Refused as why:
            refused = why
            continue
        act.note("tag.write", f"tag {number}", {"ticket": claims.ticket})
        return band.mint(claims, bytes.fromhex(tag.uid), act.keys.ticket_key)
    raise refused or Refused(409, "no_ticket", "No ticket of this tag would be let in.")


def _free(act: Act, event: EventId, found: Iterable[bytes]) -> int:
    """Return the number of a tag that was somebody's and is nobody's any more, 0 of one that is new here.

    Nobody's is one that is not active and stands for nothing: what a check-in station took back. Refused for any other.
    """
    c, t, digests = ticket_tables.credential.c, tables.tag.c, tuple(found)
    listed = (
        act.connection.execute(select(c.standing).where(c.event_id == event, c.digest.in_(digests)))
        .scalars()
        .all()
    )
    row = act.connection.execute(
        select(t.id, t.active, t.banned).where(t.event_id == event, t.digest.in_(digests))
    ).first()
    opens = any(not one & CredentialStanding.REPLACED for one in listed)
    if opens or (listed and row is None) or (row is not None and (row.active or row.banned)):
        raise Refused(409, "tag_taken", "This tag is somebody's already in this event. Find it by its UID.")
    return 0 if row is None else int(row.id)


def _tags(act: Act, customer: int, event: EventId) -> list[Any]:
    t = tables.tag.c
    wanted = select(tables.tag).where(t.customer_id == customer, t.event_id == event)
    return list(act.connection.execute(wanted.order_by(t.id)))


def _tag_tickets(act: Act, customer: int, event: EventId) -> set[int]:
    """Return the tickets that are only tags' own."""
    return {unsigned(tag.ticket) for tag in _tags(act, customer, event) if tag.ticket}


def tag_of(act: Act, number: int) -> Any:
    """Return a tag's row; Refused where it is not ours."""
    t = tables.tag.c
    found = act.connection.execute(
        select(tables.tag).where(t.id == number, t.organization_id == act.organization)
    ).one_or_none()
    if found is None:
        raise not_found("tag")
    return found
