"""What a code that somebody scans at the box office stands for."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from admission.codecs import cose
from admission.credentials import Malformed, Medium, Presented, classify
from admission.digests import CredentialKind, digest, ticket_digest
from admission.ids import EventId, TicketId
from admission.keys import IssuerKey, KeyFormat, KeyRing, Verified, kid_of
from sync.events import tables as programme
from sync.keys import VenueKeys
from sync.store.schema import unsigned
from sync.tickets import tables
from sync.tickets.ruling import Act, TicketRef
from sync.web.api import Refused, not_found


def ticket_by_code(act: Act, text: str) -> TicketRef:
    """Return the ticket of a scanned barcode. Refused where it is none of ours, or stands for several."""
    presented = classify(text.encode(), Medium.BARCODE)
    if isinstance(presented, Malformed):
        raise Refused(422, "malformed", "This is no ticket's code. Scan it again.")
    found = sorted(set(_tickets(act, presented)))
    if not found:
        raise not_found("ticket")
    if len(found) > 1:
        raise Refused(409, "ambiguous", "This code stands for several tickets. Find the order by its number.")
    return found[0]


def _tickets(act: Act, presented: Presented) -> Iterator[TicketRef]:
    claimed: TicketRef | None = None
    if presented.kind is CredentialKind.TK1:
        checked = cose.verify(presented.data, _ring(act.keys))
        if not isinstance(checked, Verified):
            raise Refused(422, "forged", "This code was not signed by this centre.")
        claimed = (EventId(checked.claims.event), TicketId(checked.claims.ticket))
    c = tables.credential.c
    for event, key in _digest_keys(act.connection, act.organization):
        of_event = (
            digest(presented.kind, presented.data, key) if claimed is None else ticket_digest(*claimed, key)
        )
        wanted = select(c.ticket).where(c.event_id == event, c.digest == of_event)
        for ticket in act.connection.execute(wanted).scalars():
            yield event, TicketId(unsigned(ticket))


def _digest_keys(connection: Connection, organization: int) -> list[tuple[EventId, bytes]]:
    e, g = programme.event.c, programme.event_group.c
    found = connection.execute(
        select(e.id, g.digest_key)
        .join(programme.event_group, g.id == e.group_id)
        .where(g.organization_id == organization)
    )
    return [(EventId(row.id), row.digest_key) for row in found]


def _ring(keys: VenueKeys) -> KeyRing:
    return KeyRing([IssuerKey(kid_of(one), one, KeyFormat.TK1, 0) for one in keys.ticket_publics])
