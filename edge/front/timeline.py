"""One ticket's timeline over all gates: who let it in and out, when, and what became of it.

Read from the logs that this gate holds, its own and the others'. Refusals are no part of presence and stand only in
the list of scans of the gate that refused. Neither codes nor names: a number, places and times.
"""

from pathlib import Path

import msgspec

from admission.ids import Epoch, EventId, GateId, RecordId, TicketId
from admission.observed import PresenceRow, Role, State
from admission.records import Direction, Flag, MalformedRecord, Record, record_from_bytes
from edge.store.log_reader import LogReader

ROWS_MAX = 200
"""The newest; nobody reads more on a phone."""


class Happened(msgspec.Struct, frozen=True):
    """One thing that happened to a ticket; `code` is a sentence of `edge.words`. Corrected time."""

    time_s: float
    code: str
    gate: GateId
    lane: int
    flags: int


class Story(msgspec.Struct, frozen=True):
    """What is known of one ticket, oldest first."""

    event: EventId
    ticket: TicketId
    rows: tuple[Happened, ...]


def of_record(data: Path, gate: GateId, epoch: Epoch, seq: int) -> tuple[Story, ...]:
    """Return the story of the ticket that a record of this gate names; none where it names none.

    StoreFault where the log cannot be read.
    """
    reader = LogReader.open(data)
    try:
        blob = reader.record(RecordId(gate, epoch, seq))
        ticket = _ticket(blob) if blob else None
        return () if ticket is None else _told(reader, *ticket)
    finally:
        reader.close()


def of_number(data: Path, number: TicketId) -> tuple[Story, ...]:
    """Return the stories of the tickets of this number: one of each event whose list this gate has had.

    StoreFault where the log cannot be read.
    """
    reader = LogReader.open(data)
    try:
        events = sorted(one.event for one in reader.list_versions())
        return tuple(story for event in events for story in _told(reader, event, number))
    finally:
        reader.close()


def _told(reader: LogReader, event: EventId, ticket: TicketId) -> tuple[Story, ...]:
    rows = sorted(reader.presence_rows(event, ticket), key=lambda row: (row.time_us, row.id))
    told = tuple(
        Happened(row.time_us / 1e6, _code(row), row.id.gate, int(row.lane), row.flags)
        for row in rows[-ROWS_MAX:]
    )
    return (Story(event, ticket, told),) if told else ()


def _ticket(blob: bytes) -> tuple[EventId, TicketId] | None:
    try:
        record = record_from_bytes(blob)
    except MalformedRecord:
        return None
    return record.ticket if isinstance(record, Record) else None


def _code(row: PresenceRow) -> str:
    match row.role:
        case Role.ENTRY:
            return "timeline.again" if row.flags & Flag.REENTRY else "timeline.entry"
        case Role.EXIT:
            return "timeline.exit"
        case Role.BIND:
            return "timeline.bound"
        case Role.ANNUL:
            return "timeline.annulled"
        case _ if row.state is State.GIVEN_BACK:
            return "timeline.given_back"
        case _:
            return "timeline.left" if row.way is Direction.EXIT else "timeline.passed"


__all__ = ["Happened", "Story", "of_number", "of_record"]
