"""What becomes of the log's disk: the writer tells it here, and lanes, board and page learn what it means."""

import logging
from collections.abc import Callable

from edge.gate import Gate
from edge.link import Health, Part
from edge.settings import LogFault
from edge.store.faults import StoreFault

log = logging.getLogger("edge.disk_watch")


class DiskWatch:
    """Listens to the writer (`edge.store.committer.WriterListener`), on the loop.

    `on_news`: records are in memory that nobody was told of; `on_end(why)`: only a new run of the gate helps, with the
    error where it is a defect of ours.
    """

    def __init__(
        self,
        gate: Gate,
        mono_s: Callable[[], float],
        on_news: Callable[[], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self._gate = gate
        self._mono_s = mono_s
        self._on_news = on_news
        self._on_end = on_end
        self._seen_s = mono_s()
        self._is_asked = False
        self.is_over = False
        """A batch was refused: the log has a gap, which only a new run leaves behind."""
        self.in_memory_seq = 0
        """The last record that is in memory only, because the disk takes nothing; 0 while it works."""

    def silent_s(self) -> float:
        """Return for how long the writer has not come round."""
        return self._mono_s() - self._seen_s

    def ask(self, noop: Callable[[int], None]) -> None:
        """Have the writer come round, unless it was asked already and has not."""
        if not self._is_asked:
            self._is_asked = True
            noop(0)

    def durable(self, token: int) -> None:
        """Everything up to `token` is on disk, and the disk works."""
        gate = self._gate
        self.in_memory_seq = 0
        if gate.journal.in_memory:
            gate.journal.in_memory = False
            log.warning("the disk takes records again", extra={"code": "log.ok"})
        # First of all the arm: somebody stands before it.
        gate.journal.durable(token)
        if gate.board.health(Part.LOG, "log") is Health.BAD or gate.board.has(Part.LOG, "log", "log.fault"):
            gate.board.put(Part.LOG, "log", Health.OK, "log.ok", stops=True)
            gate.tell_lanes()
        if self.is_over:
            # What memory could not hold left a gap; the next run begins a log that follows on the last record kept.
            self._on_end(None)

    def faulted(self, fault: StoreFault, token: int) -> None:
        """The disk took nothing; what waits is in memory."""
        gate = self._gate
        admit = gate.settings.log.fault is LogFault.ADMIT_IN_MEMORY
        if not token:
            # Only the journal could not be brought in: every record is durable still.
            self.show(fault, Health.DEGRADED)
            return
        gate.journal.in_memory = admit
        seq = gate.journal.seq_of(token)
        self.in_memory_seq = max(seq, self.in_memory_seq)
        gate.changed()
        for shell in gate.lanes.values():
            shell.not_durable(seq, admit=admit)
        self.show(fault, Health.DEGRADED if admit else Health.BAD)
        self._on_news()

    def refused(self, fault: StoreFault, token: int) -> None:
        """Memory is full too: nothing may be done on this batch's account, nor on a later one's."""
        gate = self._gate
        self.is_over = True
        seq = gate.journal.seq_of(token)
        for shell in gate.lanes.values():
            shell.not_durable(seq, admit=False)
        gate.board.put(Part.LOG, "log", Health.BAD, "log.full", {"hint": fault.hint}, stops=True)
        gate.tell_lanes()

    def alive(self, ticket: int) -> None:  # noqa: ARG002 - the number is the writer's; one is out at a time
        """The writer came round."""
        self._seen_s = self._mono_s()
        self._is_asked = False

    def died(self, error: Exception) -> None:
        """The writer is no more. What it has not committed is lost, and the end of the run tells how much."""
        self._on_end(error)

    def show(self, fault: StoreFault, health: Health) -> None:
        """Show a fault of the log until a commit gets through."""
        board = self._gate.board
        if not board.has(Part.LOG, "log", "log.fault"):
            log.error("the disk fails", extra={"code": f"log.{fault.kind.value}"})
        args: dict[str, str | int] = {"kind": fault.kind.value, "hint": fault.hint}
        board.put(Part.LOG, "log", health, "log.fault", args, stops=True)
        self._gate.tell_lanes()
