"""What gates and centre say at the end of an evening, each by its own code: gathered before the checker looks at it.

While a bug is planted this is gathered with it; the checker then works with the code as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from admission.entitlements import Ticket, ZoneTree
from admission.ids import EventId, GateId, TicketId, ZoneId
from admission.presence import Bounds, TicketPresence, fold
from edge.link import Part
from tests.sim.history import Log
from tests.sim.met import DaemonSeen, GateSeen
from tests.sim.premises import BOX, HALL, TODAY, ZONES, limits_of_ticket, ticket_of

TREE = ZoneTree(ZONES)
Key = tuple[EventId, TicketId]
Told = tuple[object, ...]
"""What somebody makes of a ticket: its entries, who of them is inside, uses and people by zone, doubles."""


@dataclass(frozen=True, slots=True)
class Account:
    """One gate's."""

    presence: dict[Key, Told]
    bounds: dict[ZoneId, Bounds | None]
    """People by zone."""
    held: dict[Log, int]
    """Up to where it holds each log."""
    signed: dict[Log, int]
    """Up to where those are signed."""
    shows: frozenset[GateId]
    """Of which gates its page says that their logs are not one."""


def told_of(presence: TicketPresence, ticket: Ticket) -> Told:
    """Put what is made of a ticket in words that compare."""
    return (
        [(row.id, row.time_us) for row in presence.entries()],
        presence.live,
        [(presence.uses(zone, TODAY), presence.inside(zone), presence.bounds(zone)) for zone in (HALL, BOX)],
        presence.doubles(ticket.admits, limits_of_ticket(ticket)),
    )


def accounts_of(gates: Mapping[str, GateSeen]) -> dict[str, Account]:
    """Ask every gate that runs."""
    found: dict[str, Account] = {}
    for card, gate in gates.items():
        daemon = gate.daemon
        if daemon is None:
            continue
        memory = daemon.memory
        presence = {
            (event, ticket): told_of(
                fold(memory.rows(event, ticket), memory.resets(), TREE), ticket_of(ticket)
            )
            for event, ticket in daemon.reader.presence_tickets()
        }
        bounds = {zone: memory.bounds(zone) for zone in (HALL, BOX)}
        held = {(row.gate, row.epoch): row.last_seq for row in daemon.reader.epochs()}
        found[card] = Account(
            presence, bounds, held, {log: signed_end(gate, log) for log in held}, _shown(daemon)
        )
    return found


def signed_end(gate: GateSeen, log: Log) -> int:
    """Return the record of the last head that a gate holds of a log; 0 where there is none."""
    assert gate.daemon is not None
    heads = gate.daemon.reader.heads_backwards(*log, 1)
    return heads[0].seq + 1 if heads else 0


def _shown(daemon: DaemonSeen) -> frozenset[GateId]:
    return frozenset(
        GateId(int(tile.name.removeprefix("gate ")))
        for tile in daemon.board.tiles
        if tile.part is Part.LOG and tile.code == "others.fork"
    )
