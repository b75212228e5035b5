"""A check-in station: a ticket is scanned and judged, a tag is tapped within a while, and from then on the tag opens.

No arm stands here, so nothing of a ticket that would be let in is recorded until its tag is: then one BIND, which is on the
disk before anybody is told. What a bind amounts to, here and at every gate that hears of it: `admission.binds`. Cut off or
not, a station binds: of two that bind one ticket the first is believed. While the disk takes nothing, nothing is bound: what
it failed to take is taken back at once, so that the tag is nobody's and the code opens as before, which is what is told.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from admission.credentials import CredentialKind, Identity, Known, Malformed, Medium, tag_parts
from admission.ids import LaneId, ReaderId, RecordId, ZoneId
from admission.lane import Annul, Judged, LaneEffect, LaneEvent, LaneState, Write
from admission.question import LaneFacts, Verdict
from admission.reasons import Line, Reason
from admission.records import Bound, Direction, Extension, Flag, Kind, Outcome, pack_bound
from admission.rules import mode_for
from drivers.base import Signal
from edge.clock import Clock
from edge.journal import Journal, Stamp
from edge.judge import Answer, Judge
from edge.lane_rows import LaneRows
from edge.store.faults import StoreFault

_NOT_BOUND: Final = (Reason.UNLISTED, Reason.AFTER_RESTART)
"""A check that a look at the visitor does not settle."""
_TAGS: Final = (CredentialKind.UID, CredentialKind.SUN)
"""A wristband with a signed record of its own is a ticket already."""

log = logging.getLogger("edge.check_in")


class _Held(msgspec.Struct, frozen=True, gc=False):
    """A ticket that waits for its tag. Nanoseconds of the monotonic clock."""

    identity: Known
    until_ns: int


class _Binding(msgspec.Struct, frozen=True, gc=False):
    """A bind on its way to the disk: who waits at which reader."""

    reader: int
    ticket: Answer


class CheckIn:
    """One lane's. `facts`: what the lane can do; `drive` feeds its machine; `signal` shows something on every reader."""

    def __init__(
        self,
        *,
        lane: LaneId,
        window_s: int,
        judge: Judge,
        journal: Journal,
        clock: Clock,
        rows: LaneRows,
        facts: Callable[[], LaneFacts],
        state: Callable[[], LaneState],
        drive: Callable[[LaneEvent], tuple[LaneEffect, ...]],
        seq_of: Callable[[int], int],
        signal: Callable[[Signal], None],
        on_fault: Callable[[StoreFault], None],
    ) -> None:
        self._lane, self._window_s = lane, window_s
        self._judge, self._journal, self._clock, self._rows = judge, journal, clock, rows
        self._facts, self._state, self._drive = facts, state, drive
        self._seq_of, self._signal, self._on_fault = seq_of, signal, on_fault
        self._held: _Held | None = None
        self._binding: dict[int, _Binding] = {}
        """By record, whom to tell what became of it."""
        journal.on_durable(self._durable)

    def scanned(self, reader: int, data: bytes, medium: Medium, signature: bytes | None) -> None:
        """A reader delivered a frame; `signature` as for `Judge.identify`."""
        identity = self._judge.identify(data, medium, signature)
        if isinstance(identity, Malformed) and identity.why == "empty":
            return
        try:
            if medium is Medium.BARCODE:
                self._ticket(reader, identity)
            else:
                uid = data if medium is Medium.UID else tag_parts(data)[0]
                self._tag(reader, identity, uid)
        except StoreFault as fault:
            self._on_fault(fault)
            self._held = None
            self._refuse_for(reader, identity, Reason.NOT_READY)

    def random_tag(self, reader: int) -> None:
        """A tag was tapped that cannot be told from others; the ticket waits for another one."""
        self._refuse_for(reader, Malformed("random_uid"), Reason.RANDOM_TAG)

    # --- a ticket -------------------------------------------------------------------------------------------------

    def _ticket(self, reader: int, identity: Identity) -> None:
        self._held = None
        answer = self._judge.answer_at_desk(identity, self._facts())
        if not isinstance(identity, Known) or not _may_be_bound(answer):
            self._refuse(reader, answer)
            return
        self._held = _Held(identity, self._clock.mono_ns() + self._window_s * 1_000_000_000)
        self._signal(Signal.WAIT)
        verdict = answer.verdict
        outcome, line = (
            (Outcome.CHECK, "") if verdict.outcome is Outcome.CHECK else (Outcome.WAIT, Line.TAP_TAG)
        )
        self._rows.at_desk(reader, answer, outcome, verdict.reason, line, shown_s=self._window_s)

    # --- a tag ----------------------------------------------------------------------------------------------------

    def _tag(self, reader: int, identity: Identity, uid: bytes) -> None:
        held, self._held = self._held, None
        if held is not None and self._clock.mono_ns() >= held.until_ns:
            held = None
        if not isinstance(identity, Known) or not identity.genuine:
            self._refuse(reader, self._judge.answer_at_desk(identity, self._facts()))
            self._held = held
            return
        ticket = None if held is None else self._judge.answer_at_desk(held.identity, self._facts())
        if self._judge.tag_is_taken(uid) or identity.kind not in _TAGS:
            self._taken(reader, identity, held)
        elif held is None or ticket is None:
            self._tell(reader, None, Line.TICKET_FIRST, Outcome.WAIT)
        elif not _may_be_bound(ticket):
            self._refuse(reader, ticket)  # cancelled, used or bound since it was scanned
        elif self._journal.in_memory:
            self._refuse_for(reader, held.identity, Reason.NOT_READY)
        else:
            self._bind(reader, ticket, Bound(uid, identity.digest, held.identity.digest))

    def _taken(self, reader: int, identity: Known, held: _Held | None) -> None:
        """A tag that is somebody's: whose it is may tap it again, whoever else needs another."""
        own = self._judge.answer_at_desk(identity, self._facts())
        if held is None and own.verdict.candidate is not None and own.verdict.outcome is Outcome.GRANT:
            self._tell(reader, own, Line.BOUND, Outcome.GRANT)
            return
        self._held = held
        self._refuse_for(reader, identity, Reason.TAG_TAKEN)

    def _bind(self, reader: int, ticket: Answer, bound: Bound) -> None:
        verdict = ticket.verdict
        rehearsal = Flag.REHEARSAL if self._state() is LaneState.REHEARSAL else Flag.NONE
        write = Write(
            token=0,
            kind=Kind.BIND,
            reader=ReaderId(reader),
            session=verdict.session,
            flags=Flag.TICKET | rehearsal,
            subject=ticket.subject,
            extensions=((Extension.BOUND, pack_bound(bound)),),
            urgent=True,
            mode=mode_for(verdict.candidate, self._facts().plan),
        )
        (seq,) = self._journal.append((write,), Stamp(self._lane, self._zone()))
        self._binding[seq] = _Binding(reader, ticket)

    def _durable(self, seq: int) -> None:
        for one, binding in self._settled(seq):
            self._tell(binding.reader, binding.ticket, Line.BOUND, Outcome.GRANT, one)

    def not_durable(self, seq: int) -> None:
        """The disk took nothing up to `seq`; it may take it later, when nobody stands here to be told."""
        for one, binding in self._settled(seq):
            self._take_back(one, binding.ticket)
            self._refuse(binding.reader, _not_ready(binding.ticket))

    def _settled(self, seq: int) -> list[tuple[int, _Binding]]:
        """Take out the binds up to `seq`."""
        return [(one, self._binding.pop(one)) for one in sorted(self._binding) if one <= seq]

    def _take_back(self, seq: int, ticket: Answer) -> None:
        """Have a bind count for nothing, wherever it is heard of: it follows it in the log."""
        verdict = ticket.verdict
        self._drive(
            Annul(
                0,
                "the disk took nothing",
                RecordId(self._journal.gate, self._journal.epoch, seq),
                ticket.subject,
                Flag.TICKET,
                Direction.NONE,
                session=verdict.session,
                mode=mode_for(verdict.candidate, self._facts().plan),
            )
        )

    # --- what is told ---------------------------------------------------------------------------------------------

    def _zone(self) -> ZoneId:
        return self._facts().plan.zone

    def _tell(self, reader: int, answer: Answer | None, line: Line, outcome: Outcome, seq: int = 0) -> None:
        self._signal(Signal.ACCEPT if outcome is Outcome.GRANT else Signal.WAIT)
        self._rows.at_desk(reader, answer, outcome, Reason.NONE, line, seq=seq)

    def _refuse_for(self, reader: int, identity: Identity, reason: Reason) -> None:
        digest = identity.digest if isinstance(identity, Known) else b""
        verdict = Verdict(Outcome.DENY, reason)
        flag = Flag.DIGEST if digest else Flag.NONE
        self._refuse(reader, Answer(identity, verdict, digest or bytes(16), flag))

    def _refuse(self, reader: int, answer: Answer) -> None:
        """Write a refusal down as a lane does, and say why."""
        if answer.verdict.outcome in (Outcome.GRANT, Outcome.WAIT):
            answer = _not_ready(answer)
        verdict = answer.verdict
        effects = self._drive(
            Judged(
                ReaderId(reader),
                verdict,
                answer.subject,
                answer.subject_flag,
                mode=mode_for(verdict.candidate, self._facts().plan),
            )
        )
        writes = [one for one in effects if isinstance(one, Write) and one.kind is Kind.SCAN]
        self._signal(Signal.REJECT)
        seq = self._seq_of(writes[-1].token) if writes else 0
        self._rows.at_desk(reader, answer, verdict.outcome, verdict.reason, "", seq=seq)


def _not_ready(answer: Answer) -> Answer:
    verdict = msgspec.structs.replace(answer.verdict, outcome=Outcome.DENY, reason=Reason.NOT_READY)
    return msgspec.structs.replace(answer, verdict=verdict)


def _may_be_bound(answer: Answer) -> bool:
    verdict = answer.verdict
    if verdict.candidate is None or not verdict.candidate.listed or not answer.subject_flag & Flag.TICKET:
        return False
    return verdict.outcome is Outcome.GRANT or (
        verdict.outcome is Outcome.CHECK and verdict.reason not in _NOT_BOUND
    )
