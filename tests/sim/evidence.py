"""What the checker looks at: the history, what the centre holds, the gates as they are in the end."""

from collections.abc import Mapping
from dataclasses import dataclass

from admission.entitlements import ZoneTree
from admission.ids import EventId, RecordId, TicketId
from admission.presence import PresenceRow, Reset, TicketPresence, fold, rows_of
from admission.presence import reset_of as the_reset_of
from admission.records import ExtensionRecord, Kind, Record, record_from_bytes
from tests.sim.centre import Logs
from tests.sim.gate import SimGate
from tests.sim.history import History, Log
from tests.sim.premises import ZONES

TREE = ZoneTree(ZONES)
Key = tuple[EventId, TicketId]


@dataclass(slots=True)
class Evidence:
    """All that is looked at."""

    history: History
    logs: Logs
    forwarded: Mapping[Log, int]
    """Up to where each log is told to gates: what a card set back left unsigned is not."""
    gates: Mapping[str, SimGate]
    bodies: dict[RecordId, tuple[Record, tuple[ExtensionRecord, ...]]]
    """Of every record a gate made, with its extensions."""

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


def known_presence(at: Evidence, card: str, order: int, ticket: Key) -> TicketPresence:
    """Return what the rows that a gate knew at a moment amount to."""
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    for name, (body, extensions) in at.bodies.items():
        if not at.history.knew(card, name, order):
            continue
        if body.kind is Kind.RESET:
            reset = the_reset_of(name.gate, name.epoch, body, extensions, body.time_us)
            resets.extend(() if reset is None else (reset,))
        elif body.ticket == ticket:
            rows.extend(rows_of(name.gate, name.epoch, body, extensions, body.time_us))
    return fold(rows, resets, TREE)
