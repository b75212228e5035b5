"""Rows newer than the list in use: looked at beside it at every lookup, since a list is built anew only now and then."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from admission.entitlements import CredentialStanding, Ticket
from admission.ids import EventId, TicketId
from edge.store.log_schema import OverlayRow
from sync.wire.lists import ListHead

ROWS_MAX = 10_000
"""Rows held, some 6 MB: a day's sales and changes of a large event. With more, a whole list is due."""
REFUSALS_MAX = 20_000
"""Rows that refuse somebody, or change what was said of him, are taken up to here: who was cancelled must not enter while the
list is on its way, and who was so by mistake shall."""

Place = tuple[int, int]
"""Generation and version."""
_Key = tuple[EventId, TicketId]


class NewRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a credential stands for now."""

    ticket: Ticket
    credential: CredentialStanding


class Store(Protocol):
    """The list in use (`edge.store.list.ListStore`)."""

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        """Return the tickets a credential stands for."""
        ...


class Overlay:
    """By credential, the rows that overrule the list's. They only rise: an older one changes nothing."""

    def __init__(self, kept: Iterable[OverlayRow] = ()) -> None:
        self._rows: dict[bytes, dict[_Key, tuple[Place, NewRow]]] = {}
        self.count = 0
        for one in kept:
            self.put(one.digest, msgspec.msgpack.decode(one.row, type=NewRow), (one.generation, one.version))

    def put(self, digest: bytes, row: NewRow, place: Place) -> None:
        """Take a row in, where none as new is held."""
        held = self._rows.setdefault(digest, {})
        key = (row.ticket.event, row.ticket.id)
        before = held.get(key)
        if before is not None and before[0] >= place:
            return
        held[key] = (place, row)
        self.count += before is None

    def over(
        self, digest: bytes, listed: tuple[tuple[Ticket, CredentialStanding], ...]
    ) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        """Return what a credential stands for, by event and ticket number, given what the list says of it."""
        held = self._rows.get(digest)
        if held is None:
            return listed
        found = {(ticket.event, ticket.id): (ticket, standing) for ticket, standing in listed}
        found.update({key: (row.ticket, row.credential) for key, (_, row) in held.items()})
        return tuple(found[key] for key in sorted(found))

    def prune(self, seals: Mapping[EventId, Place]) -> None:
        """Forget what a list of these seals holds itself."""
        for digest, held in tuple(self._rows.items()):
            for key, (place, _) in tuple(held.items()):
                if place <= seals.get(key[0], (0, 0)):
                    del held[key]
                    self.count -= 1
            if not held:
                del self._rows[digest]


class OverlaidList:
    """A list with its overlay, as the judge looks things up (`edge.judge.ListSource`)."""

    def __init__(self, store: Store, overlay: Overlay, head: ListHead) -> None:
        self._store = store
        self._overlay = overlay
        self.head = head

    def lookup(self, digest: bytes) -> tuple[tuple[Ticket, CredentialStanding], ...]:
        """Return the tickets a credential stands for."""
        return self._overlay.over(digest, self._store.lookup(digest))
