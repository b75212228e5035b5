"""What the front may ask of the lane process. Whoever it is was checked there; here it is checked that it can be done."""

from pathlib import Path

from admission.credentials import Known, Medium
from admission.ids import Epoch, RecordId, SessionId
from admission.lane import Annul, LaneState, Override, StaffCleared, StateSet, TestPulse
from admission.records import Direction, Flag, MalformedRecord, Record, record_from_bytes, ticket_subject
from edge.gate import Gate
from edge.lane import LaneShell
from edge.link import AdmitByHand, AnnulLast, ClearFire, Command, Done, Pulse, SetState, TakeList


class Commands:
    """Carries out commands; each has an answer."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def do(self, command: Command) -> Done:
        """Carry out one command."""
        match command:
            case TakeList(path=path):
                code = self._gate.lists.take(Path(path))
                return Done(command.number, not code, code)
            case SetState():
                return self._set_state(command)
        shell = self._gate.lanes.get(command.lane)
        if shell is None:
            return Done(command.number, ok=False, code="command.no_lane")
        match command:
            case Pulse(direction=direction, steward=steward):
                shell.drive(TestPulse(steward, Direction(direction)))
            case ClearFire(steward=steward):
                shell.drive(StaffCleared(steward))
                if shell.machine.fire:
                    return Done(command.number, ok=False, code="command.fire_still_on")
            case AdmitByHand():
                return self._admit(command, shell)
            case AnnulLast():
                return self._annul(command, shell)
        self._gate.changed()
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
            self._gate.keep(f"lane.{shell.settings.id}", str(int(state)).encode())
        self._gate.changed()
        return Done(command.number, ok=True)

    def _admit(self, command: AdmitByHand, shell: LaneShell) -> Done:
        """Let people through by hand; with a code it uses that ticket, which must be on the list."""
        subject, flag, session = bytes(16), Flag.NONE, SessionId(0)
        if command.code:
            identity = self._gate.judge.identify(command.code.encode(), Medium.BARCODE)
            found = self._gate.judge.candidates(identity, shell.plan()) if isinstance(identity, Known) else ()
            if not found:
                return Done(command.number, ok=False, code="command.no_ticket")
            ticket = found[0].ticket
            subject, flag = ticket_subject(ticket.event, ticket.id, ticket.product), Flag.TICKET
            session = self._gate.judge.session_of(ticket, shell.plan())
        shell.drive(
            Override(
                command.steward,
                command.reason,
                Direction(command.direction),
                subject,
                flag,
                session,
                command.count,
                shell.plan().mode,
            )
        )
        return Done(command.number, ok=True)

    def _annul(self, command: AnnulLast, shell: LaneShell) -> Done:
        """Take an admission of this gate back."""
        name = RecordId(self._gate.enrolment.gate, Epoch(command.epoch), command.seq)
        blob = self._gate.reader.record(name)
        try:
            record = record_from_bytes(blob) if blob else None
        except MalformedRecord:
            record = None
        if not isinstance(record, Record) or not record.flags & Flag.TICKET:
            return Done(command.number, ok=False, code="command.no_admission")
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
            )
        )
        return Done(command.number, ok=True)
