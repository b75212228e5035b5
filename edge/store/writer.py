"""The log-writer thread: whatever waits goes into one commit, and the loop hears when it is durable."""

import threading
import time
from collections.abc import Callable, Iterable

from admission.ids import Epoch
from edge.store.committer import LINGER_S, Committer, Log, Urgency, WriterListener
from edge.store.faults import StoreFault
from edge.store.log_schema import Batch, Cursor, StoredRecord

HAND_OVER_S = 50e-6
"""The loop lets go of the interpreter for so long (the kernel makes it 0.1 ms) once a thread that slept was woken for somebody
at an arm: it comes round after 50 us, and one that finds the interpreter taken sleeps again, which costs it as much once more."""
CLOSE_MAX_S = 5.0
"""Longest wait for the last commit. systemd kills what has not ended after 10 s, of which the front may take 3."""


class LogWriter:
    """The thread. `submit` and `noop` are for the loop; answers come through `post` (loop.call_soon_threadsafe)."""

    def __init__(
        self,
        log: Log,
        listener: WriterListener,
        post: Callable[..., object],
        clock: Callable[[], float] = time.monotonic,
        linger_s: float = LINGER_S,
        past_us: Callable[[], int] | None = None,
    ) -> None:
        self._log = log
        self._listener = listener
        self._post = post
        self._clock = clock
        self._committer = Committer(log, listener, post, linger_s, past_us)
        # A bare lock as a signal: cheaper per hop than a Condition, which makes a lock for every wait.
        self._signal = threading.Lock()
        self._signal.acquire()
        self._closing = False
        self._is_asleep = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> StoreFault | None:
        """What keeps the disk from taking records now."""
        return self._committer.fault

    def held(self) -> tuple[Batch, ...]:
        """Return what is in memory only because the disk failed."""
        return self._committer.held()

    def held_records(self, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        """Return up to `limit` records of an epoch that are in memory only because the disk failed, above `after`."""
        return self._committer.held_records(epoch, after, limit)

    def acked(self, cursors: Iterable[Cursor]) -> None:
        """Keep what a peer acknowledged with the next commit that nobody waits for; it wakes nobody."""
        self._committer.put_acked(cursors)

    def submit(self, batch: Batch, urgency: Urgency) -> None:
        """Queue a batch; `durable`, `faulted` or `refused` follows for its token."""
        is_asleep = self._is_asleep
        if self._committer.put(batch, urgency, self._clock()):
            self._wake()
            if is_asleep and urgency is Urgency.NOW:
                time.sleep(HAND_OVER_S)

    def noop(self, ticket: int) -> None:
        """Ask for `alive(ticket)`: the watchdog's proof that the thread makes progress."""
        self._committer.put_noop(ticket)
        self._wake()

    def close(self, limit_s: float = CLOSE_MAX_S) -> int:
        """Commit what waits, end the thread and close the log; returns how many records the disk did not take.

        A disk that hangs is not waited for beyond `limit_s`: the thread ends with the process then.
        """
        self._closing = True
        self._wake()
        self._thread.join(limit_s)
        return self._committer.unwritten()

    def _wake(self) -> None:
        # Released already: the thread has not yet taken the last signal and will see this too.
        try:
            self._signal.release()
        except RuntimeError:
            return

    def _run(self) -> None:
        try:
            while not self._closing:
                at_s = self._committer.turn(self._clock())
                self._is_asleep = True
                self._signal.acquire(timeout=-1 if at_s is None else max(0.0, at_s - self._clock()))
                self._is_asleep = False
            self._committer.turn(self._clock(), last=True)
        except Exception as error:  # noqa: BLE001 - the thread's own supervisor: who waits for a commit must hear
            self._post(self._listener.died, error)
        finally:
            self._log.close()


__all__ = ["LogWriter", "Urgency"]
