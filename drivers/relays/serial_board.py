"""A relay board on a serial port that answers: one question at a time, by the relay guard, with a limit on every wait.

Several boards may share a line (`SerialLine`), as RS-485 has it: then each is one that is `SharedBoard`.

A question is asked again where its answer stays out, since RS-485 in a steel gate picks up noise; so what is asked must do no
harm when it is done twice. Between commands the guard looks whether the board is still there (`glance`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError
from drivers.transport.tty import Tty

REPLY_S = 0.08
"""Longest wait for an answer. At 9600 baud a question and its answer take 20 ms of the line, boards think for up to 20 ms
and USB adapters hold the answer back for up to 16 ms."""

TRIES = 3
"""Times that a command is sent: a line that loses every fifth frame either way loses all three once in twenty."""

GONE_AFTER_S = 0.7
"""Silence between commands after which the board counts as gone; with the last wait that stays below a second."""

MISBEHAVES_AFTER_S = 1.0
"""The same, where something comes that is no answer (wrong baud rate, two boards with one address)."""

ANSWER_BYTES_MAX = 64
"""More than any answer on these lines but Modbus, which has a checksum: in so much noise a short answer is soon found."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """What is sent, and `find`: makes what is fed with the bytes of one answer and returns it once it is whole."""

    data: bytes
    find: Callable[[], Callable[[bytes], T_co | None]]


class SerialLine:
    """The port and what hangs on it: one question at a time. `lost`: why it is of no use any more, whichever board was asked."""

    def __init__(self, path: str, baud: int) -> None:
        self.path = path
        self.lost: DriverError | None = None
        self._baud = baud
        self._tty: Tty | None = None

    def open(self) -> None:
        """Open the port and forget what waits in it; raises DriverError."""
        self.drop()
        self._tty = Tty(self.path, self._baud)
        # What an earlier process left in the queue is no longer wanted.
        self._tty.flush_output()
        self.lost = None

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being asked; -1 when closed."""
        return self._tty.fd if self._tty else -1

    def drop(self) -> None:
        """Close the port. Never raises."""
        if self._tty is not None:
            self._tty.close()
            self._tty = None

    def once(self, question: Question[T]) -> tuple[T | None, bool]:
        """The answer to one try, and whether anything was heard; raises DriverError where the port fails."""
        tty = self._tty
        if tty is None:
            raise DeviceGone(f"{self.path} is not open", "Open the device first.")
        try:
            return self._exchange(tty, question)
        except DriverError as error:
            self.lost = error
            raise

    def _exchange(self, tty: Tty, question: Question[T]) -> tuple[T | None, bool]:
        tty.flush_input()  # what came late belongs to an earlier question
        tty.write(question.data)
        found = question.find()
        deadline, heard = time.monotonic() + REPLY_S, False
        while (rest_s := deadline - time.monotonic()) > 0:
            data = tty.read_within(rest_s)
            heard = heard or bool(data)
            answer = found(data) if data else None
            if answer is not None:
                return answer, True
        return None, heard


class SerialBoard:
    """A board alone on its line. `silent` and `garbled` are the hints of one that says nothing, and of one that says something else.

    `misses`, `noise`: answers that stayed out, and that were none, since the start.
    """

    def __init__(self, line: SerialLine, *, silent: str, garbled: str) -> None:
        self.path = line.path
        self.misses = 0
        self.noise = 0
        self._line = line
        self._what = f"the board at {line.path}"
        self._silent = silent
        self._garbled = garbled
        self.answered = True
        """Whether the last look was answered."""
        self._heard_s = 0.0
        """When that was, monotonic."""
        self._garbling = False

    def open(self) -> None:
        """Open the port; raises DriverError."""
        self._line.open()
        self._begin()

    def _begin(self) -> None:
        self.answered, self._garbling, self._heard_s = True, False, time.monotonic()

    @property
    def _tries(self) -> int:
        """How often a command is sent before it counts as unanswered."""
        return TRIES

    def fileno(self) -> int:
        """The open port, so that a hang-up is seen while nothing is being asked; -1 when closed."""
        return self._line.fileno()

    def ask(self, question: Question[T]) -> T:
        """Send a command and return the answer; raises DeviceGone or DeviceMisbehaved."""
        heard = False
        for _ in range(self._tries):
            answer, some = self._once(question)
            if answer is not None:
                return answer
            heard = heard or some
        raise self._complaint(heard=heard)

    def glance(self, question: Question[T]) -> T | None:
        """Ask once; None where no answer came. Raises where none has come for too long."""
        answer, heard = self._once(question)
        self.answered = answer is not None
        if self.answered:
            self._heard_s, self._garbling = time.monotonic(), False
            return answer
        self._garbling = self._garbling or heard
        limit_s = MISBEHAVES_AFTER_S if self._garbling else GONE_AFTER_S
        if time.monotonic() - self._heard_s >= limit_s:
            raise self._complaint(heard=self._garbling)
        return None

    def drop(self) -> None:
        """Close the port. Never raises."""
        self._line.drop()

    def _once(self, question: Question[T]) -> tuple[T | None, bool]:
        answer, heard = self._line.once(question)
        if answer is None:
            self.misses += not heard
            self.noise += heard
        return answer, heard

    def _complaint(self, *, heard: bool) -> DriverError:
        if heard:
            return DeviceMisbehaved(f"{self._what} answers garbled", self._garbled)
        return DeviceGone(f"{self._what} does not answer", self._silent)


class SharedBoard(SerialBoard):
    """One of several boards on a line, which their bus opens and closes.

    A board that left the last question unanswered is asked once only: the others wait for it no longer than that.
    """

    def __init__(self, line: SerialLine, unit: int, *, silent: str, garbled: str) -> None:
        super().__init__(line, silent=silent, garbled=garbled)
        self._what = f"unit {unit} at {line.path}"

    def open(self) -> None:
        """Begin anew on the open line."""
        self._begin()

    def drop(self) -> None:
        """Leave the line to the others."""

    @property
    def _tries(self) -> int:
        return TRIES if self.answered else 1
