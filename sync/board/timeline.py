"""One ticket's way over all gates: every record that names it, in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, text

from admission.ids import EventId, ProductId, TicketId
from admission.reasons import Reason, say
from admission.records import (
    Direction,
    Flag,
    Kind,
    MalformedRecord,
    Outcome,
    Record,
    record_from_bytes,
    stored_us,
    ticket_subject,
)
from sync.gates import log_times
from sync.web.words import Words

STEPS_MAX = 500
"""A season's pass has some hundred; more is a loop somewhere, and its beginning says enough."""
_SUBJECT_AT, _TICKET_BYTES = 33, 12
"""Where a body names its ticket (`admission.records`: offset 32, event u32 and ticket u64), counted from 1 as SQL does."""

# A walk over the group's records: one person asks for a few tickets, seldom. Denials stand in no other table.
_NAMING = text("""
SELECT r.gate_id, g.name, r.epoch, r.seq, r.blob,
  CASE WHEN q.seq = 0 OR r.seq > q.seq + 1 THEN 1 ELSE 0 END AS quarantined
FROM record r JOIN gate g ON g.id = r.gate_id
LEFT JOIN revoked_head q ON q.gate_id = r.gate_id AND q.epoch = r.epoch
WHERE g.group_id = :group AND length(r.blob) = 56 AND substr(r.blob, :at, :bytes) IN :subjects LIMIT :most
""").bindparams(bindparam("subjects", expanding=True))
_NAMED_SOMEWHERE = text("SELECT id, name FROM zone WHERE group_id = :group")


@dataclass(frozen=True, slots=True)
class Step:
    """One record of a ticket. `tone`: ok, bad, warn or off; `at_us`: corrected time."""

    at_us: int
    gate: str
    zone: str
    lane: int
    ticket: TicketId
    tone: str
    said: str
    notes: tuple[str, ...]


def steps(connection: Connection, group: int, event: EventId, ticket: TicketId, words: Words) -> list[Step]:
    """Return what all gates of a group recorded of a ticket, oldest first."""
    return steps_of(connection, group, event, (ticket,), words)


def steps_of(
    connection: Connection, group: int, event: EventId, tickets: Sequence[TicketId], words: Words
) -> list[Step]:
    """Return what all gates of a group recorded of some tickets of an event, oldest first."""
    zones = {row.id: str(row.name) for row in connection.execute(_NAMED_SOMEWHERE, {"group": group})}
    asked = {
        "group": group,
        "at": _SUBJECT_AT,
        "bytes": _TICKET_BYTES,
        "subjects": [ticket_subject(event, one, ProductId(0))[:_TICKET_BYTES] for one in tickets],
        "most": STEPS_MAX,
    }
    found: list[Step] = []
    for row in connection.execute(_NAMING, asked):
        try:
            body = record_from_bytes(bytes(row.blob))
        except MalformedRecord:
            continue
        if isinstance(body, Record) and body.flags & Flag.TICKET:
            made_us = log_times.time_of(connection, row.gate_id, row.epoch, body)
            step = replace(_step(body, row.name, zones.get(body.zone, ""), words), at_us=made_us)
            if row.quarantined:
                step = replace(step, tone="off", notes=(words("flag_quarantined"), *step.notes))
            found.append(step)
    found.sort(key=lambda one: one.at_us)
    return found


def _step(body: Record, gate: str, zone: str, words: Words) -> Step:
    tone, said = _said(body, words)
    notes = tuple(
        words(f"flag_{flag.name.lower()}")
        for flag in (
            Flag.UNSURE,
            Flag.REHEARSAL,
            Flag.ASSUMED,
            Flag.REENTRY,
            Flag.UNLISTED,
            Flag.AFTER_RESTART,
        )
        if body.flags & flag and flag.name
    )
    named = body.ticket
    at_us = stored_us(body) if body.kind is Kind.STORED else body.time_us
    return Step(at_us, gate, zone, body.lane, named[1] if named else TicketId(0), tone, said, notes)


def _said(body: Record, words: Words) -> tuple[str, str]:
    way = "exit" if body.direction is Direction.EXIT else "entry"
    if body.kind in {Kind.SCAN, Kind.STORED} and body.outcome is not Outcome.GRANT:
        tone = {Outcome.DENY: "bad", Outcome.CHECK: "warn"}.get(body.outcome, "off")
        try:
            said = say(body.outcome, Reason(body.reason), words.language, direction=body.direction).visitor
        except ValueError:
            said = f"#{body.reason}"
        return tone, said
    if body.kind in {Kind.SCAN, Kind.STORED, Kind.OVERRIDE}:
        return ("warn" if body.flags & Flag.FLAGGED else "ok"), words(f"step_{body.kind.name.lower()}_{way}")
    if body.kind in {Kind.PASSAGE, Kind.LATE_PASSAGE}:
        return "ok", words(f"step_passage_{way}")
    key = f"step_{body.kind.name.lower()}"
    return "off", words(key) if words.has(key) else body.kind.name.lower().replace("_", " ")
