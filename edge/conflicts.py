"""What another gate reserved at the same moment as ours: told to the lane whose visitor has not passed yet.

Asked with each slice of records that comes in. It costs nothing as long as no ticket in it stands before one of our own
arms just now.
"""

from collections.abc import Iterable

from admission.conflict import giving_way
from admission.ids import Epoch, EventId, LaneId, RecordId, TicketId
from admission.lane import Conflict
from admission.limits import limits_of
from admission.presence import fold
from admission.question import LastUse, Verdict
from admission.reasons import Reason
from admission.records import Outcome, ticket_of
from edge.gate import Gate
from edge.lane import LaneShell

TOLD_MAX = 256
"""Conflicts remembered as told; one is over within seconds."""


class Conflicts:
    """Finds conflicts and has lanes give way. Of the lane process's loop."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._told: dict[RecordId, bool] = {}
        """Reservations of ours in conflict, and whether they gave way."""

    def look(self, tickets: Iterable[tuple[EventId, TicketId]]) -> None:
        """Other gates recorded something about these tickets. StoreFault where the log cannot be read."""
        wanted = set(tickets)
        if not wanted:
            return
        for shell in self._gate.lanes.values():
            for token, subject, verdict in shell.machine.reservations():
                # A steward who let somebody in by hand has seen him; only what the gate decided is taken back.
                if verdict is not None and verdict.candidate is not None and ticket_of(subject) in wanted:
                    self._judge(shell, token, verdict)

    def _judge(self, shell: LaneShell, token: int, verdict: Verdict) -> None:
        gate, candidate = self._gate, verdict.candidate
        assert candidate is not None, "asked before"
        seq = shell.seq_of(token)
        own = RecordId(gate.enrolment.gate, Epoch(gate.journal.epoch), seq)
        if not seq or self._told.get(own):
            return
        ticket = candidate.ticket
        rows = gate.memory.rows(ticket.event, ticket.id)
        presence = fold(rows, gate.memory.resets(), gate.judge.venue.zones)
        limits = limits_of(candidate.product, gate.judge.venue.days_of(ticket.event))
        leaving = giving_way(presence, ticket.admits, limits)
        # Ours is in conflict where it gives way, or where one that counts with it does.
        own_row = next((row for row in presence.entries() if row.id == own), None)
        same = [
            row for row in presence.entries()
            if own_row is not None and limits.share(own_row, row) and row.id != own
        ]  # fmt: skip
        if own_row is None or (own not in leaving and not any(row.id in leaving for row in same)):
            return
        gives_way = own in leaving
        if self._told.get(own) is gives_way:
            return  # said already
        other = same[-1] if same else own_row
        self._told[own] = gives_way
        while len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
        said = Verdict(
            Outcome.DENY, Reason.ALREADY_USED, candidate=candidate, session=verdict.session, gate=other.id.gate,
            last=LastUse(other.id, LaneId(other.lane), other.time_us),
        )  # fmt: skip
        shell.drive(Conflict(token, said, gives_way))


__all__ = ["Conflicts"]
