"""What the checker looks at: the history, what the centre holds, the gates as they are in the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from admission.corrected import placed
from admission.ids import RecordId
from admission.observed import RESETTING
from admission.presence import PresenceRow, Reset, TicketPresence, fold, rows_of
from admission.presence import reset_of as the_reset_of
from admission.records import Direction, ExtensionRecord, Fire, Kind, Record, record_from_bytes
from tests.sim.accounts import TREE, Account, Key
from tests.sim.centre import Logs
from tests.sim.history import History, Log
from tests.sim.met import GateSeen

Knows = Callable[[RecordId], bool]
"""Whether somebody knows a record."""


@dataclass(slots=True)
class Evidence:
    """All that is looked at."""

    history: History
    logs: Logs
    forwarded: Mapping[Log, int]
    """Up to where each log is told to gates: what a card set back left unsigned is not."""
    gates: Mapping[str, GateSeen]
    accounts: Mapping[str, Account]
    """By card, what its gate says of everybody."""
    rows: dict[RecordId, PresenceRow]
    """What the centre's records say, by what the code makes of them."""
    resets: dict[RecordId, Reset]
    bodies: dict[RecordId, tuple[Record, tuple[ExtensionRecord, ...]]]
    """Of every record a gate made, with its extensions."""
    placed_us: dict[RecordId, int]
    """When each was made by corrected time, as its whole log says."""
    presences: dict[Key, TicketPresence]
    """What all that the centre holds amounts to."""

    @property
    def twins(self) -> bool:
        """Whether a card was copied."""
        return any("twin" in card for card in self.gates)


def bodies_of(
    blobs: Mapping[RecordId, bytes],
) -> dict[RecordId, tuple[Record, tuple[ExtensionRecord, ...]]]:
    """Return the bodies among records, each with what extends it."""
    found: dict[RecordId, tuple[Record, tuple[ExtensionRecord, ...]]] = {}
    last: RecordId | None = None
    for name in sorted(blobs):
        record = record_from_bytes(blobs[name])
        if isinstance(record, Record):
            found[name], last = (record, ()), name
        elif last is not None and last[:2] == name[:2]:
            body, extensions = found[last]
            found[last] = body, (*extensions, record)
    return found


def meaning_of(
    records: Mapping[RecordId, bytes],
) -> tuple[dict[RecordId, PresenceRow], dict[RecordId, Reset]]:
    """Return what records say of presence."""
    bodies = bodies_of(records)
    placed_us = placed_of(bodies)
    rows: dict[RecordId, PresenceRow] = {}
    resets: dict[RecordId, Reset] = {}
    for name, (body, extensions) in bodies.items():
        at = (name.gate, name.epoch, body, extensions, placed_us[name])
        for row in rows_of(*at):
            rows[name] = row
        reset = the_reset_of(*at)
        if reset is not None:
            resets[name] = reset
    return rows, resets


def placed_of(
    bodies: Mapping[RecordId, tuple[Record, tuple[ExtensionRecord, ...]]],
) -> dict[RecordId, int]:
    """Return the corrected time of every body."""
    logs: dict[Log, list[Record]] = {}
    for name, (body, _) in bodies.items():
        logs.setdefault((name.gate, name.epoch), []).append(body)
    return {
        RecordId(*log, body.seq): placed_us
        for log, found in logs.items()
        for body, placed_us in placed(found)
    }


def frees(body: Record) -> bool:
    """Whether a record can only make more room on a ticket."""
    if body.kind is Kind.FIRE:
        return body.data != Fire.ENDED
    return body.kind in {Kind.GIVE_BACK, Kind.ANNUL, Kind.RESET} or body.direction is Direction.EXIT


def known_presence(at: Evidence, ticket: Key, uses: Knows, freed: Knows) -> TicketPresence:
    """Return what the rows that a gate knew amount to; `freed`: whether it knew one that makes room, `uses`: any other."""
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    for name, (body, extensions) in at.bodies.items():
        is_reset = body.kind in RESETTING
        if not (is_reset or body.ticket == ticket) or not (freed if frees(body) else uses)(name):
            continue
        if is_reset:
            reset = the_reset_of(name.gate, name.epoch, body, extensions, at.placed_us[name])
            resets.extend(() if reset is None else (reset,))
        else:
            rows.extend(rows_of(name.gate, name.epoch, body, extensions, at.placed_us[name]))
    return fold(rows, resets, TREE)
