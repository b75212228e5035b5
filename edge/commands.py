"""What the front may ask of the lane process. Whoever it is was checked there; here it is checked that it can be done."""

import asyncio
import logging
from pathlib import Path

from admission.binds import taken_back
from admission.credentials import Medium
from admission.ids import Epoch, RecordId, SessionId, ZoneId
from admission.lane import Annul, LaneEffect, LaneState, Override, StaffCleared, StateSet, TestPulse, Write
from admission.presence import State, fold
from admission.records import (
    Direction,
    Extension,
    Flag,
    Kind,
    MalformedRecord,
    Outcome,
    Record,
    record_from_bytes,
    ticket_subject,
)
from admission.rules import mode_for
from drivers.base import Signal
from edge.gate import Gate
from edge.journal import Stamp
from edge.lane import LaneShell
from edge.link import (
    Acknowledge,
    AdmitByHand,
    After,
    AnnulLast,
    Changes,
    ClearFire,
    Command,
    CountPeople,
    Done,
    Identify,
    LaneCommand,
    Pulse,
    Readmission,
    ResetPresence,
    Restart,
    SetState,
    SetUpAnew,
    TakeList,
    WriteTag,
    ZoneCommand,
)
from edge.presence_reset import count_people, readmission, reset_presence
from edge.staff import Act, StaffActs
from edge.store.faults import StoreFault

log = logging.getLogger("edge.commands")

BLINKS = 8
BLINK_S = 0.5
"""Four seconds: long enough to walk along a row of boxes, and over before it is a nuisance."""
_BLINKS = (Signal.WAIT, Signal.REJECT)
"""Never ACCEPT: whoever stands there would take it for theirs."""
SAVED_S = 3.0
"""Longest wait for the disk: what is not urgent rides a commit within 1 s, a bad card stalls for 250 ms."""

log = logging.getLogger("edge.commands")


class Commands:
    """Carries out commands; each has an answer."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._acts = StaffActs(gate.settings.staff, asyncio.get_running_loop().time)
        self._blinks_left = 0
        self._blink_due: asyncio.TimerHandle | None = None

    async def do(self, command: Command) -> Done:
        """Carry out one command; it is answered when what it wrote is on disk, or cannot be within `SAVED_S`.

        Where list or log cannot be read, that is shown and the command is not done.
        """
        gate = self._gate
        try:
            if isinstance(command, AdmitByHand | AnnulLast | WriteTag):
                await self._acts.recall(gate.reader, gate.enrolment.gate, gate.now_s() * 1_000_000)
            done = self._do(command)
        except StoreFault as fault:
            self._gate.unreadable(fault)
            return Done(command.number, ok=False, code="command.not_done")
        except ValueError:  # a direction or number that no record can hold
            return Done(command.number, ok=False, code="command.refused")
        if done.ok and not await self._gate.journal.saved(SAVED_S):
            return Done(command.number, ok=False, code="command.not_saved")
        if done.ok and isinstance(command, SetUpAnew):
            code = await asyncio.to_thread(_set_aside, gate.configuration)
            done = Done(command.number, not code, code)
        if done.ok and isinstance(command, Restart | SetUpAnew):
            gate.restart()
        return done

    def _do(self, command: Command) -> Done:
        match command:
            case TakeList(path=path):
                code = self._gate.lists.take(Path(path))
                return Done(command.number, not code, code)
            case Changes():
                code = self._gate.lists.change(command)
                return Done(command.number, not code, code)
            case SetState():
                return self._set_state(command)
            case ResetPresence() | CountPeople() | Readmission():
                return self._at_zone(command)
            case Acknowledge(alert=alert):
                # Gone already is as good: somebody else was quicker, or it was old.
                self._gate.alerts.acknowledge(alert)
                return Done(command.number, ok=True)
            case Identify():
                return self._identify(command)
            case WriteTag():
                return self._write_tag(command)
            case Restart() | SetUpAnew():
                return Done(command.number, not (code := self._keeps_running()), code)
            case _:
                return self._at_lane(command)

    def _write_tag(self, command: WriteTag) -> Done:
        """Record that a steward writes a wristband, before it is done: a BIND of no ticket, with the tag's digest and their number."""
        if not command.steward:
            return Done(command.number, ok=False, code="command.no_steward")
        if not self._gate.judge.has_list:
            return Done(command.number, ok=False, code="command.not_done")
        why_not = self._acts.refused(Act.WRITE_TAG, command.steward, 1)
        if why_not is not None:
            return Done(command.number, ok=False, code=_LIMITS[Act.WRITE_TAG], args=why_not)
        tag = self._gate.judge.band_digest(command.uid)
        staff = (Extension.STAFF, command.steward.to_bytes(4, "big") + b"wristband written")
        write = Write(0, Kind.BIND, flags=Flag.DIGEST, subject=tag, extensions=(staff,), urgent=True)
        self._gate.journal.append((write,), Stamp())
        self._acts.did(Act.WRITE_TAG, command.steward)
        log.info("a wristband is written", extra={"steward": command.steward, "tag": tag.hex()})
        return Done(command.number, ok=True)

    def _identify(self, command: Identify) -> Done:
        """Beep and blink by the readers, for some seconds; nothing is opened, and nobody is told that they may pass."""
        if any(shell.is_busy for shell in self._gate.lanes.values()):
            return Done(command.number, ok=False, code="command.busy")
        self._blinks_left = BLINKS
        if self._blink_due is None:
            self._blink()
        return Done(command.number, ok=True)

    def _blink(self) -> None:
        self._blink_due = None
        # A verdict is due soon where somebody presents something: it is not drowned.
        if not self._blinks_left or any(shell.is_busy for shell in self._gate.lanes.values()):
            return
        self._blinks_left -= 1
        for shell in self._gate.lanes.values():
            shell.signal(_BLINKS[self._blinks_left % len(_BLINKS)])
        self._blink_due = asyncio.get_running_loop().call_later(BLINK_S, self._blink)

    def _keeps_running(self) -> str:
        """Return why this is no time for a restart; "" when it is one."""
        gate = self._gate
        if any(shell.machine.fire for shell in gate.lanes.values()):
            return "command.fire_on"
        if gate.in_memory_seq:
            return "command.unsaved"
        return "command.busy" if any(shell.is_busy for shell in gate.lanes.values()) else ""

    def _at_lane(self, command: LaneCommand) -> Done:
        shell = self._gate.lanes.get(command.lane)
        if shell is None:
            return Done(command.number, ok=False, code="command.no_lane")
        if isinstance(command, Pulse | AdmitByHand) and not _has_way(command, shell):
            return Done(command.number, ok=False, code="command.no_way")
        match command:
            case Pulse(direction=direction, steward=steward):
                return self._done(command, shell.drive(TestPulse(steward, Direction(direction))))
            case ClearFire(steward=steward):
                shell.drive(StaffCleared(steward))
                if shell.machine.fire:
                    return Done(command.number, ok=False, code="command.fire_still_on")
                # What closed the lane during the alarm holds from now on, not from the next look on.
                self._gate.lists.on_schedule()
            case AdmitByHand():
                most = self._gate.settings.staff.admit_max
                if command.count > most:
                    return Done(command.number, ok=False, code="command.too_many", args={"most": most})
                return self._by_hand(command, shell, Act.OVERRIDE, command.count)
            case AnnulLast():
                return self._by_hand(command, shell, Act.ANNUL, 1)
        self._gate.changed()
        return Done(command.number, ok=True)

    def _by_hand(self, command: AdmitByHand | AnnulLast, shell: LaneShell, act: Act, count: int) -> Done:
        """Do what carries a steward's number, a reason and a limit (DESIGN.md, The lane)."""
        if not command.steward:
            return Done(command.number, ok=False, code="command.no_steward")
        if not command.reason.strip():
            return Done(command.number, ok=False, code="command.no_reason")
        why_not = self._acts.refused(act, command.steward, count)
        if why_not is not None:
            return Done(command.number, ok=False, code=_LIMITS[act], args=why_not)
        if isinstance(command, AdmitByHand):
            done = self._admit(command, shell)
        else:
            done = self._annul(command, shell)
        if done.ok:
            self._acts.did(act, command.steward, count)
        return done

    def _at_zone(self, command: ZoneCommand) -> Done:
        """Count everybody in a zone as outside, or so many as inside, or let those in again whom an alarm sent out."""
        if command.zone not in self._gate.judge.venue.zones.by_id:
            return Done(command.number, ok=False, code="command.no_zone")
        if not command.steward:
            return Done(command.number, ok=False, code="command.no_steward")
        zone = ZoneId(command.zone)
        match command:
            case ResetPresence():
                reset_presence(self._gate, zone, command.steward, command.reason)
            case CountPeople(people=people):
                count_people(self._gate, zone, people, command.steward)
            case Readmission(open=is_open):
                if is_open and any(shell.machine.fire for shell in self._gate.lanes.values()):
                    return Done(command.number, ok=False, code="command.fire_first")
                if not self._gate.memory.resets().has_rung(zone):
                    return Done(command.number, ok=False, code="command.no_alarm")
                readmission(self._gate, zone, command.steward, is_open=is_open)
        return Done(command.number, ok=True)

    def _set_state(self, command: SetState) -> Done:
        try:
            state = LaneState[command.state.upper()]
        except KeyError:
            return Done(command.number, ok=False, code="command.no_state")
        chosen = [shell for number, shell in self._gate.lanes.items() if command.lane in {0, number}]
        if not chosen:
            return Done(command.number, ok=False, code="command.no_lane")
        for shell in chosen:
            shell.drive(StateSet(state, command.steward))
        self._gate.changed()
        return Done(command.number, ok=True)

    def _admit(self, command: AdmitByHand, shell: LaneShell) -> Done:
        """Let people through by hand; with a code it uses that ticket, which must be on the list."""
        subject, flag, session, mode = bytes(16), Flag.NONE, SessionId(0), shell.plan().mode
        observed: tuple[RecordId, ...] = ()
        caught = Flag.NONE
        if command.code:
            identity = self._gate.judge.identify(command.code.encode(), Medium.BARCODE)
            found = self._gate.judge.meant(identity, Direction(command.direction), shell.plan())
            if found is None:
                return Done(command.number, ok=False, code="command.no_ticket")
            ticket = found.ticket
            subject, flag = ticket_subject(ticket.event, ticket.id, ticket.product), Flag.TICKET
            session = self._gate.judge.session_of(ticket, shell.plan())
            mode, tally = mode_for(found, shell.plan()), found.tally
            if command.direction == Direction.EXIT:
                observed = tally.entries
            elif tally.frozen:
                # Whom an alarm sent out comes in again: no further use.
                observed, caught = tally.frozen[: command.count], Flag.REENTRY
            elif tally.unresolved_ids:
                # Whom a restart caught between record and arm is this one: one use, not two.
                observed = tally.unresolved_ids[: command.count]
                caught = Flag.AFTER_RESTART | Flag.FLAGGED
        override = Override(
            command.steward,
            command.reason,
            Direction(command.direction),
            subject,
            flag,
            session,
            command.count,
            mode,
            observed,
            caught,
        )
        return self._done(command, shell.drive(override))

    def _done(self, command: Command, effects: tuple[LaneEffect, ...]) -> Done:
        """Say whether the lane did it: what opens an arm leaves a record, a refusal only shows why not."""
        if any(isinstance(effect, Write) for effect in effects):
            self._gate.changed()
            return Done(command.number, ok=True)
        return Done(command.number, ok=False, code="command.refused")

    def _annul(self, command: AnnulLast, shell: LaneShell) -> Done:
        """Take an admission of this gate back, or what its check-in station bound."""
        name = RecordId(self._gate.enrolment.gate, Epoch(command.epoch), command.seq)
        blob = self._gate.reader.record(name)
        try:
            record = record_from_bytes(blob) if blob else None
        except MalformedRecord:
            record = None
        if not isinstance(record, Record) or not (_is_admission(record) or _is_bind(record)):
            return Done(command.number, ok=False, code="command.no_admission")
        if self._is_annulled(name, record):
            return Done(command.number, ok=False, code="command.annulled")
        shell.drive(
            Annul(
                command.steward,
                command.reason,
                name,
                record.subject,
                Flag.TICKET,
                record.direction,
                record.session,
                shell.token_of(command.seq) if command.epoch == self._gate.journal.epoch else 0,
                record.mode,
                self._caught(name, record),
            )
        )
        self._gate.became(name.epoch, name.seq, After.ANNULLED)
        return Done(command.number, ok=True)

    def _caught(self, name: RecordId, record: Record) -> tuple[RecordId, ...]:
        """Return the reservation that an admission after a restart is for: taken back alone, that one would count again."""
        if record.ticket is None or not record.flags & Flag.AFTER_RESTART:
            return ()
        return next((row.names for row in self._gate.memory.rows(*record.ticket) if row.id == name), ())

    def _is_annulled(self, name: RecordId, record: Record) -> bool:
        """Whether an admission was taken back before, here or by another gate."""
        if record.ticket is None:
            return False
        memory = self._gate.memory
        rows = memory.rows(*record.ticket)
        if record.kind is Kind.BIND:
            return name in taken_back(rows)
        presence = fold(rows, memory.resets(), self._gate.judge.venue.zones)
        return presence.state(name) is State.ANNULLED


_ADMITS = frozenset({Kind.SCAN, Kind.STORED, Kind.OVERRIDE})
_LIMITS = {
    Act.OVERRIDE: "command.overrides_done",
    Act.ANNUL: "command.annuls_done",
    Act.WRITE_TAG: "command.tags_done",
}


def _has_way(command: Pulse | AdmitByHand, shell: LaneShell) -> bool:
    """Whether the lane has the direction: a line that opens it, or people counted by hand where no arm is at all."""
    own = shell.settings
    lines = {Direction.ENTRY: own.entry_line, Direction.EXIT: own.exit_line}
    if lines[Direction(command.direction)] is not None:
        return True
    is_open = own.entry_line is None and own.exit_line is None
    return is_open and isinstance(command, AdmitByHand) and command.direction == Direction.ENTRY


def _is_bind(record: Record) -> bool:
    """Whether a record bound a tag to a ticket: the wrong one may have been tapped."""
    return record.kind is Kind.BIND and record.ticket is not None and not record.flags & Flag.REHEARSAL


def _is_admission(record: Record) -> bool:
    """Whether a record let somebody in on a ticket, and it counted: only that can be taken back."""
    entry = record.direction is Direction.ENTRY and bool(record.flags & Flag.TICKET)
    counted = entry and not record.flags & Flag.REHEARSAL
    return counted and record.kind in _ADMITS and record.outcome is Outcome.GRANT


def _set_aside(configuration: Path | None) -> str:
    """Put away what the commissioning page wrote; "", or why not. What a person wrote is a person's to put away."""
    from edge.commission.placing import set_aside  # noqa: PLC0415 - once in a gate's life

    try:
        return "" if configuration is not None and set_aside(configuration) else "command.by_hand"
    except OSError:
        log.exception("the configuration could not be put aside")
        return "command.by_hand"
