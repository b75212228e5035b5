"""The two-gate checker's ledger: what really happened, kept apart from the product's own way of folding it."""

from dataclasses import dataclass, field

from admission.entitlements import Mode, Zone, ZoneTree
from admission.ids import EventId, RecordId, SessionId, TicketId, ZoneId

EVENT = EventId(1)
OUTER, INNER = ZoneId(1), ZoneId(2)
ZONES = ZoneTree((Zone(OUTER, "hall"), Zone(INNER, "box", OUTER)))
SESSION = SessionId(1)
TICKETS = {
    TicketId(1): (Mode.NORMAL, 1),
    TicketId(2): (Mode.ENTRY_EXIT, 1),
    TicketId(3): (Mode.ENTRY_EXIT, 2),
    TicketId(4): (Mode.NORMAL, 2),
}


@dataclass
class Entered:
    """An entry that was granted. `end`: "" (nothing known), "back", "in" or "annulled"."""

    id: RecordId
    ticket: TicketId
    zone: ZoneId
    at_us: int
    reentry: bool
    after_restart: bool
    names: tuple[RecordId, ...]
    end: str = ""

    @property
    def counts(self) -> bool:
        return self.end in {"", "in"}


@dataclass
class Left:
    """An exit that was granted, and whether somebody went through."""

    id: RecordId
    ticket: TicketId
    zone: ZoneId
    at_us: int
    names: tuple[RecordId, ...]
    passed: bool = False


@dataclass
class Emptied:
    """A reset, and the records its gate really held."""

    id: RecordId
    zone: ZoneId
    at_us: int
    held: frozenset[RecordId]


@dataclass
class Rung:
    """A fire alarm, and the records its gate really held."""

    id: RecordId
    zone: ZoneId
    at_us: int
    held: frozenset[RecordId]


@dataclass
class Ledger:
    """What happened, in the order of true time."""

    entered: dict[RecordId, Entered] = field(default_factory=dict)
    left: dict[RecordId, Left] = field(default_factory=dict)
    emptied: list[Emptied] = field(default_factory=list)
    rung: list[Rung] = field(default_factory=list)
    over: list[tuple[int, ZoneId, bool]] = field(default_factory=list)
    """When staff cleared an alarm of a zone (True) or ended the re-admission (False)."""

    def stood_in(self, ticket: TicketId) -> dict[RecordId, RecordId]:
        """Entries after a restart, and the reservations they stand for."""
        found: dict[RecordId, RecordId] = {}
        for one in self.entered.values():
            if one.ticket != ticket or not one.after_restart or not one.counts:
                continue
            open_ones = [
                other.id
                for other in self.entered.values()
                if (other.ticket, other.end) == (ticket, "")
                and other.id[:2] != one.id[:2]
                and other.id not in found.values()
                and (
                    other.id in one.names
                    if one.names
                    else other.id.gate == one.id.gate and other.zone == one.zone and other.at_us <= one.at_us
                )
            ]
            if open_ones:
                found[one.id] = max(open_ones, key=lambda name: (self.entered[name].at_us, name))
        return found

    def is_reentry(self, one: Entered) -> bool:
        """Whether an entry took no use, by itself or by what it stands for."""
        replaced = self.stood_in(one.ticket).get(one.id)
        if self.is_again(one):
            return self.entered[one.names[0]].counts
        return one.reentry or (replaced is not None and self.entered[replaced].reentry)

    def is_again(self, one: Entered) -> bool:
        """Whether somebody was let in again for an entry that an alarm had frozen."""
        return one.reentry and not one.after_restart and bool(one.names)

    def counted(self, ticket: TicketId) -> list[Entered]:
        replaced = set(self.stood_in(ticket).values())
        return [
            one
            for one in self.entered.values()
            if one.ticket == ticket and one.counts and one.id not in replaced
        ]

    def closed(self, ticket: TicketId) -> dict[RecordId, int]:
        """When each entry of the ticket ended, by exits in their order and by resets."""
        passed = sorted(
            (x for x in self.left.values() if x.ticket == ticket and x.passed), key=lambda x: x.at_us
        )
        ends: dict[RecordId, int] = {}
        for leaving in passed:
            for name in leaving.names:
                ends.setdefault(name, leaving.at_us)
        swept: dict[RecordId, int] = {}
        both: list[Emptied | Rung] = [*self.emptied, *self.rung]
        for reset in sorted(both, key=lambda one: one.at_us):
            for one in self.counted(ticket):
                if self._reaches(reset, one):
                    swept.setdefault(one.id, reset.at_us)
        for leaving in passed:
            for zone in () if leaving.names else (leaving.zone, *ZONES.inner(leaving.zone)):
                for one in reversed(self.counted(ticket)):
                    late = (
                        one.id.seq > leaving.id.seq
                        if one.id[:2] == leaving.id[:2]
                        else one.at_us > leaving.at_us
                    )
                    gone = one.id in ends or swept.get(one.id, leaving.at_us + 1) <= leaving.at_us
                    if one.zone == zone and not late and not gone:
                        ends[one.id] = leaving.at_us
                        break
        for name, at_us in swept.items():
            ends[name] = min(at_us, ends.get(name, at_us))
        return ends

    def _reaches(self, reset: Emptied | Rung, one: Entered) -> bool:
        if one.zone not in (reset.zone, *ZONES.inner(reset.zone)):
            return False
        before = isinstance(reset, Rung) and one.at_us <= reset.at_us and one.id[:2] != reset.id[:2]
        return one.id in reset.held or before

    def frozen(self, ticket: TicketId, zone: ZoneId) -> tuple[RecordId, ...]:
        """The entries of people whom an alarm sent out of a zone, and who may come in again now."""
        around = (zone, *ZONES.outer(zone))
        rung = {one.at_us for one in self.rung if one.zone in around}
        ended = max((at for at, of, is_clear in self.over if of in around and not is_clear), default=0)
        cleared = max((at for at, of, is_clear in self.over if of in around and is_clear), default=0)
        if not rung or cleared < max(ended, *rung):
            return ()
        ends, counted = self.closed(ticket), self.counted(ticket)
        again = {one.names[0] for one in counted if self.is_again(one)}
        return tuple(
            one.id
            for one in counted
            if one.zone == zone
            and one.id not in again
            and ends.get(one.id, 0) in rung
            and ends.get(one.id, 0) > ended
            and not any(self._reaches(reset, one) for reset in self.emptied)
        )

    def too_often(self, ticket: TicketId) -> set[RecordId]:
        """Who was let in again for an entry that let another in before, or that had left before the alarm."""
        ends, rung = self.closed(ticket), {one.at_us for one in self.rung}
        seen: set[RecordId] = set()
        found: set[RecordId] = set()
        for one in filter(self.is_again, self.counted(ticket)):
            name = one.names[0]
            if name in seen or (self.entered[name].counts and ends.get(name, 0) not in rung):
                found.add(one.id)
            seen.add(name)
        return found

    def doubles(self, ticket: TicketId) -> set[RecordId]:
        """The entries that were one too many."""
        mode, admits = TICKETS[ticket]
        ends = self.closed(ticket)
        found = set(self.stood_in(ticket)) & {one.id for one in self.counted(ticket)}
        found |= self.too_often(ticket)
        for zone in (OUTER, INNER):
            here = [one for one in self.counted(ticket) if one.zone == zone]
            uses = [one for one in here if not self.is_reentry(one)]
            if mode is Mode.NORMAL:
                found.update(one.id for one in uses[admits:])
                continue
            for at, one in enumerate(here):
                there = [other for other in here[:at] if ends.get(other.id, one.at_us + 1) > one.at_us]
                if len(there) >= admits:
                    found.add(one.id)
        return found
