"""Bugs planted one at a time through the seams of the composition: the checker must catch each."""

from collections.abc import Callable

from admission.lane import LaneEffect, LaneEvent, Write
from admission.lane_machine import Lane
from admission.records import Kind
from edge.daemon import Daemon
from edge.journal import Journal
from edge.store.log_schema import Batch
from edge.store.writer import Urgency
from tests.sim.gate import GateBug
from tests.sim.world import Bug
from tests.sim.writer import SimWriter


class ToldTooSoon(SimWriter):
    """Says that a batch is durable when it was only handed over."""

    def submit(self, batch: Batch, urgency: Urgency) -> None:
        super().submit(batch, urgency)
        self._to_loop(self._committer._listener.durable, batch.token)


class _ToldTooSoon(GateBug):
    writer = ToldTooSoon


class NoGiveBack(Lane):
    """Forgets to write that somebody turned back."""

    def handle(self, event: LaneEvent, now_ms: int) -> tuple[LaneEffect, ...]:
        effects = super().handle(event, now_ms)
        return tuple(one for one in effects if not (isinstance(one, Write) and one.kind is Kind.GIVE_BACK))


class _NoGiveBack(GateBug):
    def built(self, daemon: Daemon) -> None:
        for shell in daemon.lanes.values():
            shell.machine = NoGiveBack(shell.machine.config, shell.machine.state)


class NoPassage(Lane):
    """Forgets to write that somebody passed."""

    def handle(self, event: LaneEvent, now_ms: int) -> tuple[LaneEffect, ...]:
        effects = super().handle(event, now_ms)
        return tuple(one for one in effects if not (isinstance(one, Write) and one.kind is Kind.PASSAGE))


class _NoPassage(GateBug):
    def built(self, daemon: Daemon) -> None:
        for shell in daemon.lanes.values():
            shell.machine = NoPassage(shell.machine.config, shell.machine.state)


class HeadsUnsigned(Journal):
    """Signs nothing: no other gate ever hears of what was recorded."""

    def sign_head(self, *, urgent: bool = False) -> None:  # noqa: ARG002 - as the journal's
        return None


class _HeadsUnsigned(GateBug):
    def built(self, daemon: Daemon) -> None:
        daemon.journal.__class__ = HeadsUnsigned


class OthersForgotten(Journal):
    """Takes what other gates recorded for taken, and keeps none of it."""

    def carry(self, batch: Batch, *, urgent: bool) -> None:  # noqa: ARG002 - as the journal's
        return None


class _OthersForgotten(GateBug):
    def built(self, daemon: Daemon) -> None:
        daemon.journal.__class__ = OthersForgotten


BUGS: dict[str, Callable[[], Bug]] = {
    "durable-told-too-soon": lambda: Bug(gate=_ToldTooSoon()),
    "give-back-not-recorded": lambda: Bug(gate=_NoGiveBack()),
    "passage-not-recorded": lambda: Bug(gate=_NoPassage()),
    "heads-unsigned": lambda: Bug(gate=_HeadsUnsigned()),
    "others-forgotten": lambda: Bug(gate=_OthersForgotten()),
}
