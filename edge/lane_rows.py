"""What the page shows of one lane: a row for each presentation, and for each opening by hand."""

import itertools
from collections.abc import Callable, Mapping

from admission.entitlements import Product
from admission.ids import Epoch, EventId, ProductId
from admission.lane import LaneEffect, Show, Write
from admission.question import Candidate, Verdict
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, Record
from edge.clock import Clock
from edge.judge import Answer
from edge.link import ASKED, BY_HAND, CHECK_IN, STORED, Seen
from edge.settings import Way

_WAYS = {Way.ENTRY: Direction.ENTRY, Way.EXIT: Direction.EXIT, Way.BOTH: Direction.NONE}
_OF_THE_LANE = Flag.REHEARSAL | Flag.NO_PULSE
"""What the lane, not the verdict, says of a grant."""


class LaneRows:
    """Makes the rows of one lane in one run of the gate."""

    def __init__(
        self,
        lane: int,
        epoch: Epoch,
        clock: Clock,
        products: Callable[[], Mapping[tuple[EventId, ProductId], Product]],
        on_seen: Callable[[Seen], None],
    ) -> None:
        self._lane = lane
        self._products = products
        self._epoch = epoch
        self._clock = clock
        self._on_seen = on_seen
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[object, int]] = {}
        """By reader: what was told to wait, and its row. Judged again, it corrects that row."""

    def answered(
        self,
        reader: int,
        shown: object,
        answer: Answer,
        verdict: Verdict,
        effects: tuple[LaneEffect, ...],
        seq: int,
    ) -> None:
        """Tell of a presentation. `shown`: the same object when it is judged again; `verdict`: what was said of it."""
        waiting, row = self._waiting.pop(reader, (None, 0))
        if waiting is not shown or not row:
            row = next(self._numbers)
        if verdict.outcome is Outcome.WAIT:
            self._waiting[reader] = (shown, row)
        scan = next((one for one in effects if isinstance(one, Write) and one.kind is Kind.SCAN), None)
        flags = verdict.flags | (scan.flags & _OF_THE_LANE if scan is not None and seq else Flag.NONE)
        kind = getattr(getattr(answer.identity, "kind", None), "value", "malformed")
        self._on_seen(
            Seen(
                seq=seq,
                time_s=self._clock.now_us() / 1e6,
                lane=self._lane,
                reader=reader,
                direction=verdict.direction,
                kind=str(kind),
                outcome=verdict.outcome,
                reason=verdict.reason,
                flags=int(flags),
                ticket=_ticket(verdict.candidate),
                gate=verdict.gate,
                last_s=_told_s(verdict),
                epoch=self._epoch,
                row=row,
                product=self._product(verdict.candidate),
                holder=_greeted(verdict),
            )
        )

    def stored(self, write: Write, seq: int, reader: int, read_s: int, answer: Answer) -> None:
        """Tell of a scan that a device stored, with the time when it was read."""
        verdict = answer.verdict
        self._on_seen(
            Seen(
                seq=seq,
                time_s=float(read_s),
                lane=self._lane,
                reader=reader,
                direction=verdict.direction,
                kind=STORED,
                outcome=verdict.outcome,
                reason=verdict.reason,
                flags=int(write.flags),
                ticket=_ticket(verdict.candidate),
                gate=verdict.gate,
                last_s=_told_s(verdict),
                epoch=self._epoch,
                row=next(self._numbers),
                product=self._product(verdict.candidate),
            )
        )

    def at_desk(
        self,
        reader: int,
        answer: Answer | None,
        outcome: Outcome,
        reason: Reason,
        line: str,
        *,
        seq: int = 0,
        shown_s: int = 0,
    ) -> None:
        """Tell of what was shown at a check-in station; nobody entered, whatever it was."""
        verdict = None if answer is None else answer.verdict
        found = None if verdict is None else verdict.candidate
        self._on_seen(
            Seen(
                seq=seq,
                time_s=self._clock.now_us() / 1e6,
                lane=self._lane,
                reader=reader,
                direction=Direction.NONE,
                kind=CHECK_IN,
                outcome=outcome,
                reason=reason,
                flags=int(Flag.NONE if verdict is None else verdict.flags),
                ticket=_ticket(found),
                gate=0 if verdict is None else verdict.gate,
                last_s=0.0 if verdict is None else _told_s(verdict),
                epoch=self._epoch,
                row=next(self._numbers),
                line=line,
                shown_s=shown_s,
                product=self._product(found),
            )
        )

    def by_hand(self, write: Write, seq: int, time_us: int) -> None:
        """Tell of an override, a row of its own that can be taken back; or of a request to exit."""
        record = Record(write.kind, seq, time_us, 0, flags=write.flags, subject=write.subject)
        self._on_seen(
            Seen(
                seq=seq,
                time_s=time_us / 1e6,
                lane=self._lane,
                reader=0,
                direction=write.direction,
                kind=BY_HAND if write.kind is Kind.OVERRIDE else ASKED,
                outcome=write.outcome,
                reason=write.reason,
                flags=int(write.flags),
                ticket="" if record.ticket is None else str(record.ticket[1]),
                epoch=self._epoch,
                row=next(self._numbers),
            )
        )

    def _product(self, found: Candidate | None) -> str:
        """Return what a ticket is called; "" for one whose product the list does not name."""
        if found is None:
            return ""
        product = self._products().get((found.ticket.event, found.ticket.product))
        return "" if product is None else product.name


def _told_s(verdict: Verdict) -> float:
    """Return the time that a refusal speaks of; 0: of none."""
    return verdict.last.time_us / 1e6 if verdict.last else float(verdict.since_s)


def _ticket(found: Candidate | None) -> str:
    return "" if found is None else str(found.ticket.id)


def _greeted(verdict: Verdict) -> int:
    """Return whose name may be shown: of who comes in, or is to be looked at. A refusal tells nobody whose ticket it was."""
    if verdict.candidate is None or verdict.direction is not Direction.ENTRY:
        return 0
    return verdict.candidate.ticket.holder if verdict.outcome in (Outcome.GRANT, Outcome.CHECK) else 0


def way_of(way: Way) -> Direction:
    """Return the direction of a reader; NONE where it serves both."""
    return _WAYS[way]


def said_at(reader: int, answer: Answer, effects: tuple[LaneEffect, ...]) -> Verdict:
    """Return what a reader's visitor is told. The machine has the last word: it may have made a wait or a refusal of a grant."""
    said = (one.verdict for one in effects if isinstance(one, Show) and one.reader == reader)
    return next((one for one in said if one is not None), answer.verdict)
