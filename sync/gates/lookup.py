"""All that the tables know of what scans present: one question to the database for many scans."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from admission.credentials import Identity, Known
from admission.ids import EventId, TicketId
from admission.observed import PresenceRow
from sync.gates import known
from sync.gates.known import GroupFacts, Named
from sync.gates.scans import ROUTE, Redeem, Scan, presented
from sync.store.keyed import Keyed
from sync.store.together import Round

_SAID = Keyed(
    "SELECT key, request, body FROM idempotency_key WHERE principal = :principal AND route = :route AND key IN (:keys)",
    *("key", "request", "body"),
)


class LookUp:
    """What becomes known of the scans of one group. `ask`, then `complete`."""

    def __init__(self, group: int, facts: GroupFacts, scans: Sequence[Scan]) -> None:
        """Say what was presented, by these facts."""
        self._group, self._facts = group, facts
        self.identities: dict[int, Identity] = {}
        """By the scan's `id`."""
        self.said: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        """By a scan's scope, the digest of the request and the answer, where it was answered before."""
        self.tickets: known.Tickets = {}
        self.presence: dict[Named, list[PresenceRow]] = {}
        self._keys: dict[str, dict[str, None]] = {}
        self._digests: set[bytes] = set()
        self._unsigned: set[bytes] = set()
        """Digests of what does not say itself which ticket it stands for."""
        self._numbers: set[Named] = set()
        self._signed: set[Named] = set()
        self._scans = scans
        for one in scans:
            self._add(one)

    def _add(self, one: Scan) -> None:
        principal, key = one.scope
        self._keys.setdefault(principal, {})[key] = None
        if isinstance(one.body, Redeem) and one.body.ticket is not None:
            self._numbers.add((one.event, TicketId(one.body.ticket)))
            return
        seen = one.seen
        if seen is None or seen.ring is not self._facts.ring:
            seen = presented(one.body, self._facts)
        if seen is None:
            return
        found = self.identities[id(one)] = seen.identity
        if isinstance(found, Known):
            self._digests.add(found.digest)
            if found.claims is not None and found.claims.ticket is not None:
                self._signed.add((EventId(found.claims.event), TicketId(found.claims.ticket)))
            else:
                self._unsigned.add(found.digest)

    def is_by(self, facts: GroupFacts) -> bool:
        """Whether these facts say the same of what was presented."""
        return self._facts.ring is facts.ring and self._facts.digest_key == facts.digest_key

    def anew(self, facts: GroupFacts) -> "LookUp":
        """Return the same by other facts, not yet asked for."""
        return LookUp(self._group, facts, self._scans)

    def ask(self, round_: Round) -> None:
        """Ask the database; all is known once the round was run."""
        for principal, keys in self._keys.items():
            ask = _SAID.ask(round_.connection, list(keys), principal=principal, route=ROUTE)
            round_.add(ask, partial(self._take_said, principal))
        known.ask_tickets(round_, self._group, self._digests, self._numbers, self.tickets)
        known.ask_presence(round_, self._numbers | self._signed, self.presence)
        known.ask_presence_of(round_, self._group, self._unsigned, self.presence)

    def complete(self, connection: Connection) -> None:
        """Read what is recorded of tickets that nobody could know to ask for: where a code says another's number."""
        asked = self._numbers | self._signed | self.presence.keys()
        held = {(ticket.event, ticket.id) for rows in self.tickets.values() for ticket, _ in rows}
        unsigned = {
            (ticket.event, ticket.id) for one in self._unsigned for ticket, _ in self.tickets.get(one, ())
        }
        if held <= asked | unsigned:
            return
        round_ = Round(connection)
        known.ask_presence(round_, held - asked - unsigned, self.presence)
        round_.run()

    def _take_said(self, principal: str, rows: list[Any]) -> None:
        for key, request, body in rows:
            self.said[principal, key] = bytes(request), bytes(body)
