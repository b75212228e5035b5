"""Reservations of one use at several gates that had not heard of each other: which of them give way. Pure, and the same
at every gate that knows of the same ones.

Who has passed keeps the use, whatever else there is. Of the others, those whose mark is lowest keep what is left, and the
rest give way: each gate its own, where nobody passed on it yet. The mark is the SHA-256 of the reservation's name (gate,
epoch, seq): an epoch is random, so no gate comes first by its number, and the name is known with the first word of a
reservation, while its record may still be on its way to either disk. A gate that chose its mark would gain that one of
two people with one ticket gets in at its own arm, instead of the other.

A reservation whose gate is gone gives way to nobody by itself: then both are counted, and the double is reported.
"""

import struct
from hashlib import sha256

from admission.entitlements import Mode
from admission.ids import RecordId, ZoneId
from admission.limits import NO_LIMITS, Limits
from admission.observed import PresenceRow
from admission.presence import State, TicketPresence

_NAME = struct.Struct(">IQI")


def mark(of: RecordId) -> bytes:
    """Return by what reservations are ordered where they conflict; the lower one stays."""
    return sha256(_NAME.pack(*of)).digest()


def giving_way(presence: TicketPresence, admits: int, limits: Limits = NO_LIMITS) -> frozenset[RecordId]:
    """Return the reservations of a ticket that give way."""
    admits = max(admits, 1)
    entries = presence.entries()
    passed = {row.id for row in entries if presence.state(row.id) is State.COMMITTED}
    uses: dict[ZoneId, list[PresenceRow]] = {}
    inside: dict[ZoneId, int] = {}
    again: set[RecordId] = set()
    found = set()
    for row in sorted(entries, key=lambda row: (row.id not in passed, mark(row.id))):
        is_use = presence.is_use(row)
        taken, there = uses.setdefault(row.zone, []), inside.get(row.zone, 0)
        full = (
            (
                is_use
                and row.mode is Mode.NORMAL
                and sum(one.session == row.session for one in taken) >= admits
            )
            or (is_use and limits.reached(taken, row) is not None)
            or (row.mode is Mode.ENTRY_EXIT and there >= admits)
            or presence.comes_again_for(row) in again
        )
        if full and row.id not in passed:
            found.add(row.id)
            continue
        if (frozen := presence.comes_again_for(row)) is not None:
            again.add(frozen)
        if is_use:
            taken.append(row)
        inside[row.zone] = there + presence.is_live(row.id)
    return frozenset(found)
