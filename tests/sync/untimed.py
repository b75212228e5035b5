"""The log of a box that did not know the time, and what was true."""

from admission.ids import Epoch, EventId, GateId, LaneId, ProductId, TicketId, ZoneId
from admission.observed import counted_data
from admission.records import Direction, Flag, Kind, Outcome, Record, Trust, ticket_subject
from tests.sync.logs import EpochLog

EVENT, HALL = EventId(1), ZoneId(1)
YEARS_10_S = 10 * 365 * 86_400
_TRUE_US = 1_795_900_000_000_000
_MINUTE_MS = 60_000


def counted_untimed(gate: GateId, off_s: int, people: int, epoch: int = 78) -> tuple[EpochLog, int]:
    """Staff count the hall by hand at a box that takes it for another decade, and a minute later it learns better.
    Returns the log, and when (us) they counted."""
    log = EpochLog(Epoch(epoch), gate)
    for kind, mono_ms, at_us, trust, data in (
        (Kind.RESTART, 0, off_s * 1_000_000, Trust.FLOOR, 0),
        (Kind.RESET, _MINUTE_MS, off_s * 1_000_000, Trust.FLOOR, counted_data(people)),
        (Kind.CLOCK_STEP, 2 * _MINUTE_MS, 0, Trust.SYNCED, off_s),
    ):
        time_us = _TRUE_US + mono_ms * 1000 + at_us
        body = Record(
            kind, len(log.blobs) + 1, time_us, mono_ms, LaneId(1), zone=HALL, trust=trust, data=abs(data)
        )
        log.add(body.to_bytes())
    log.sign()
    return log, _TRUE_US + _MINUTE_MS * 1000


def untimed_day(gate: GateId, off_s: int, epoch: int = 77) -> tuple[EpochLog, dict[int, int]]:
    """Three people come while the box takes it for another decade, one after it learned better, and one after it lost its
    clock again. Returns the log, and the true time (us) of each body by seq."""
    log, truth = EpochLog(Epoch(epoch), gate), {}
    mono_ms, off_us, trust = 0, off_s * 1_000_000, Trust.FLOOR

    def say(kind: Kind, ticket: int = 0, ref: int = 0) -> int:
        seq, true_us = len(log.blobs) + 1, _TRUE_US + mono_ms * 1000
        truth[seq] = true_us
        log.add(
            Record(
                kind, seq, true_us + off_us, mono_ms, LaneId(1), zone=HALL,
                outcome=Outcome.GRANT if kind is Kind.SCAN else Outcome.NONE,
                direction=Direction.ENTRY if ticket else Direction.NONE, trust=trust,
                flags=Flag.TICKET if ticket else Flag.NONE, ref=ref,
                subject=ticket_subject(EVENT, TicketId(ticket), ProductId(1)) if ticket else bytes(16),
            ).to_bytes()
        )  # fmt: skip
        return seq

    def come(ticket: int) -> None:
        nonlocal mono_ms
        mono_ms += 10 * _MINUTE_MS
        scan = say(Kind.SCAN, ticket)
        mono_ms += 2_000
        say(Kind.PASSAGE, ticket, scan)

    say(Kind.RESTART)
    for ticket in (1, 2, 3):
        come(ticket)
    off_us, trust = 0, Trust.SYNCED
    say(Kind.CLOCK_STEP)
    come(4)
    off_us, trust = -off_s * 1_000_000, Trust.UNKNOWN
    say(Kind.CLOCK_STEP)
    come(5)
    log.sign()
    return log, truth
