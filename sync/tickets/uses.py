"""Whether the gates reported a use of a ticket."""

from sqlalchemy import Connection, select

from admission.ids import Epoch, GateId, RecordId
from admission.observed import Role, State
from admission.records import unpack_record_ids
from sync.gates.tables import presence
from sync.store.schema import signed, unsigned
from sync.tickets.ruling import TicketRef

_FREE = frozenset((State.GIVEN_BACK, State.ANNULLED))


def used(connection: Connection, ref: TicketRef) -> bool:
    """Return whether an entry of a ticket counts: one that was neither given back nor annulled.

    A reservation whose end was not heard yet counts, as it does at the gates.
    """
    p = presence.c
    entries: dict[RecordId, State] = {}
    ends: list[tuple[tuple[RecordId, ...], State]] = []
    for row in connection.execute(select(presence).where(p.event == ref[0], p.ticket == signed(ref[1]))):
        if row.role == Role.ENTRY:
            entries[RecordId(GateId(row.gate), Epoch(unsigned(row.epoch)), row.seq)] = State(row.state)
        elif row.role in {Role.STATE, Role.ANNUL}:
            ends.append((unpack_record_ids(bytes(row.names)), State(row.state)))
    for names, state in ends:
        for one in names:
            if one in entries:
                entries[one] = max(entries[one], state)
    return any(state not in _FREE for state in entries.values())
