"""The pulse that the writer's thread sends: the arm is told without the loop, and the lane machine never disagrees."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from admission.lane import FireChanged, LaneState, ReadyChanged, StateSet, Tick
from drivers.guard_link import HeldPulse as GuardsPulse
from edge.lane import HOLD_NS_MAX
from edge.parts import HeldPulse
from tests.edge.fuzz import Line, Result
from tests.edge.rig import code


@dataclass
class Board:
    """A relay board that writes down what it was told, and when it answers."""

    sent: list[str] = field(default_factory=list)
    answers: list[Callable[[bool], None]] = field(default_factory=list)
    held: GuardsPulse | None = None

    def pulse(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> None:  # noqa: ARG002
        self.sent.append("loop")
        self.answers.append(done)

    def hold(self, line: int, duration_ms: int, done: Callable[[bool], None]) -> HeldPulse:  # noqa: ARG002
        self.answers.append(done)
        self.held = GuardsPulse(1, threading.Lock(), lambda: self.sent.append("thread"))
        return self.held

    def drop(self, held: HeldPulse) -> bool:
        return held.drop()

    def off_line(self, line: int) -> None:
        self.sent.append(f"off {line}")


@dataclass
class Scanned:
    """A lane at which a good ticket was just shown; its record is on the way to the disk."""

    line: Line
    board: Board
    then: Callable[[], None]

    def durable(self) -> None:
        """What the writer's thread does, and then what the loop hears of it."""
        self.then()
        self.line.commit()

    @property
    def committed(self) -> int:
        """People of whom the lane believes that they may walk, or walked."""
        return sum(counter.assumed for counter in self.line.shell.machine.counters.values())

    def window_over(self) -> None:
        self.line.clock.ns += 10_000_000_000
        self.line.shell.drive(Tick())


@pytest.fixture
async def scanned() -> Scanned:
    board = Board()
    line = Line(Result(), board)
    line.commit()
    line.feed(code(1) + b"\r")
    then = line.writer.then
    assert then is not None
    assert board.sent == [], "nothing moves before the record is durable"
    return Scanned(line, board, then)


async def test_the_thread_tells_the_arm_and_the_loop_does_not_tell_it_again(scanned: Scanned) -> None:
    scanned.durable()
    assert scanned.board.sent == ["thread"]
    scanned.board.answers[0](True)
    scanned.window_over()
    assert scanned.committed == 1
    assert scanned.board.sent == ["thread"]
    assert len(scanned.line.shell.latencies_us) == 1


@pytest.mark.parametrize(
    "event", [FireChanged(active=True), ReadyChanged(ready=False), StateSet(LaneState.CLOSED)]
)
async def test_what_shuts_the_lane_first_takes_the_pulse_back(
    scanned: Scanned, event: FireChanged | ReadyChanged | StateSet
) -> None:
    scanned.line.shell.drive(event)
    scanned.durable()
    scanned.window_over()
    assert (scanned.board.sent, scanned.committed) == ([], 0)


async def test_what_shuts_the_lane_after_the_pulse_finds_the_arm_told(scanned: Scanned) -> None:
    """The thread was faster than the loop's word of it: the machine must know that the arm moves."""
    scanned.then()
    scanned.line.shell.drive(ReadyChanged(ready=False))
    scanned.line.commit()
    scanned.board.answers[0](True)
    scanned.window_over()
    assert scanned.board.sent == ["thread"]
    assert scanned.committed == 1, "who was let through counts as gone in, for the arm has moved"


async def test_the_guard_may_answer_before_the_loop_hears_of_the_disk(scanned: Scanned) -> None:
    scanned.then()
    scanned.board.answers[0](True)
    scanned.line.commit()
    scanned.window_over()
    assert (scanned.board.sent, scanned.committed) == (["thread"], 1)


async def test_an_event_that_changes_nothing_leaves_the_pulse_to_the_loop(scanned: Scanned) -> None:
    scanned.line.shell.drive(Tick())
    scanned.durable()
    assert scanned.board.sent == ["loop"]


async def test_a_disk_that_took_too_long_leaves_the_pulse_to_the_loop(scanned: Scanned) -> None:
    scanned.line.clock.ns += HOLD_NS_MAX
    scanned.durable()
    assert scanned.board.sent == ["loop"]


async def test_a_daemon_that_ends_takes_the_pulse_back(scanned: Scanned) -> None:
    scanned.line.shell.drain()
    scanned.then()
    assert scanned.board.sent == []


async def test_a_guard_that_died_meanwhile_is_no_dead_relay_of_an_open_arm(scanned: Scanned) -> None:
    """The link says of every pulse that its guard is gone, also of one that was not sent yet."""
    scanned.board.answers[0](False)
    scanned.durable()
    assert scanned.board.sent == ["loop"]
