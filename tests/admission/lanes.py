"""A lane to try things at: people and devices as verbs, time in milliseconds, every effect kept."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from admission.arm import PULSE_GAP_MS
from admission.ids import EventId, LaneId, ProductId, ReaderId, TicketId
from admission.lane import (
    Alert,
    Durable,
    JudgeAgain,
    Judged,
    LaneConfig,
    LaneEffect,
    LaneEvent,
    LaneState,
    Passed,
    Pulsed,
    ReadyChanged,
    Release,
    Show,
    Tick,
    Write,
)
from admission.lane_machine import Lane
from admission.question import Verdict
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, ticket_subject

ENTRY_READER = ReaderId(1)
EXIT_READER = ReaderId(2)
ENTRY_LINE = 4
EXIT_LINE = 5
CONFIG = LaneConfig(
    LaneId(1), entry_line=ENTRY_LINE, exit_line=EXIT_LINE, entry_sensor=True, exit_sensor=True
)
LINE_OFF_MS = CONFIG.pulse_ms + PULSE_GAP_MS
"""From a pulse to the earliest next one on its line."""
WINDOW_MS = CONFIG.hold_ms + CONFIG.hold_margin_ms

_E = TypeVar("_E")


def subject(ticket: int) -> bytes:
    return ticket_subject(EventId(1), TicketId(ticket), ProductId(1))


def grant(ticket: int, direction: Direction = Direction.ENTRY, *, count: int = 1, reader: int = 0) -> Judged:
    at = reader or (ENTRY_READER if direction is Direction.ENTRY else EXIT_READER)
    verdict = Verdict(Outcome.GRANT, direction=direction)
    return Judged(ReaderId(at), verdict, subject(ticket), Flag.TICKET, count)


def deny(ticket: int, reason: Reason = Reason.CANCELLED, outcome: Outcome = Outcome.DENY) -> Judged:
    return Judged(ENTRY_READER, Verdict(outcome, reason), subject(ticket), Flag.TICKET)


class Trial:
    """One lane, ready at time 0. `auto`: the disk and the relay answer at once and well."""

    def __init__(
        self, config: LaneConfig = CONFIG, state: LaneState = LaneState.CONTROLLED, *, auto: bool = True
    ) -> None:
        self.lane = Lane(config, state)
        self.auto = auto
        self.now_ms = 0
        self.effects: list[LaneEffect] = []
        self.do(ReadyChanged(ready=True))

    def do(self, event: LaneEvent, *, after_ms: int = 0) -> tuple[LaneEffect, ...]:
        """Feed one event, `after_ms` later; with `auto` the answers of disk and relay too. Returns all effects."""
        self.now_ms += after_ms
        out = self.lane.handle(event, self.now_ms)
        self.effects += out
        if self.auto:
            for effect in out:
                if isinstance(effect, Write) and effect.urgent:
                    out += self.do(Durable(effect.token))
                elif isinstance(effect, Release):
                    out += self.do(Pulsed(effect.token))
        return out

    def walk(self, direction: Direction = Direction.ENTRY, *, after_ms: int = 0) -> tuple[LaneEffect, ...]:
        return self.do(Passed(direction), after_ms=after_ms)

    def wait_ms(self, span_ms: int) -> tuple[LaneEffect, ...]:
        """Let time pass, ticking whenever the lane asked for it."""
        end_ms = self.now_ms + span_ms
        out: tuple[LaneEffect, ...] = ()
        while (due := self.lane.next_deadline_ms) is not None and due <= end_ms:
            out += self.do(Tick(), after_ms=max(0, due - self.now_ms))
        self.now_ms = end_ms
        return out + self.do(Tick())

    def of(self, kind: type[_E]) -> list[_E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def kinds(self) -> list[Kind]:
        return [write.kind for write in self.of(Write)]

    def writes(self, kind: Kind) -> list[Write]:
        return [write for write in self.of(Write) if write.kind is kind]

    def forget(self) -> None:
        self.effects.clear()


def only(effects: Iterable[LaneEffect], kind: type[_E]) -> list[_E]:
    return [effect for effect in effects if isinstance(effect, kind)]


__all__ = [
    "CONFIG",
    "ENTRY_LINE",
    "ENTRY_READER",
    "EXIT_LINE",
    "EXIT_READER",
    "LINE_OFF_MS",
    "WINDOW_MS",
    "Alert",
    "JudgeAgain",
    "Show",
    "Trial",
    "deny",
    "grant",
    "only",
    "replace",
    "subject",
]
