"""Presence: an observed-remove set over the merged logs, pure and free of order (DESIGN.md, Records).

Each log record about a ticket contributes one row (`admission.observed`). Whoever holds the same rows, resets and
zones folds to the same state, in whatever order and however often they came:

* An entry's or exit's state is the highest that any row says: reserved < given back < committed < annulled. A
  passage speaks only of a row of its own direction; an annul speaks only of entries.
* An exit counts when committed, by its passage or, where it was recorded without a pulse (fire, READY off), by itself.
  It removes the entries it names for good. One that names none takes, of its zone and of each zone inside it, the
  latest live entry that is not later than itself: in one log by seq, between logs, and of what a device stored, by
  corrected time.
* A reset removes exactly the entries it had heard of in its zone and the zones inside. Uses stay. An alarm closes those made
  before it too, and keeps them frozen: each lets one person in again while the re-admission is open (`admission.resets`).
* An entry let in after a restart stands for the unresolved reservation it names, or else for the latest of its gate,
  zone and session from another epoch that is still reserved: use and presence count once, `doubles` tells of both.
* A use is an entry, reserved or committed, that is not a re-entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from admission.days import Today
from admission.entitlements import Mode, ZoneTree
from admission.ids import Epoch, GateId, LaneId, RecordId, SessionId, ZoneId
from admission.limits import NO_LIMITS, Limits
from admission.observed import (
    COLUMNS,
    OF_DEVICE,
    RESET_COLUMNS,
    PresenceRow,
    Reset,
    ResetKind,
    Role,
    State,
    from_columns,
    reset_from_columns,
    reset_of,
    reset_payloads,
    rows_of,
)
from admission.question import LastUse, Tally
from admission.records import Direction, Flag
from admission.resets import Moment, Resets, before
from admission.settled import NOTHING, Settled

__all__ = [
    "COLUMNS",
    "RESET_COLUMNS",
    "Bounds",
    "Double",
    "DoubleKind",
    "PresenceRow",
    "Reset",
    "ResetKind",
    "Resets",
    "Role",
    "State",
    "TicketPresence",
    "bounds",
    "fold",
    "fold_on",
    "from_columns",
    "reset_from_columns",
    "reset_of",
    "reset_payloads",
    "rows_of",
    "since_count",
]

_REENTRY, _AFTER_RESTART = int(Flag.REENTRY), int(Flag.AFTER_RESTART)
_COUNTS = (State.RESERVED, State.COMMITTED)

_Closing = Moment
"""When and by which record an entry was closed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """At least and at most so many people."""

    low: int
    high: int


class DoubleKind(IntEnum):
    """In what way an entry was one too many."""

    USE = 1  # a use beyond what the ticket admits, in normal mode
    INSIDE = 2  # let in while as many as the ticket admits were inside, in entry/exit mode
    LIMIT = 3  # a use beyond the limit
    AFTER_RESTART = 4  # let in for an unresolved reservation whose person may have passed
    READMITTED = (
        5  # let in again after an alarm for an entry that let another in again, or that had left before it
    )


@dataclass(frozen=True, slots=True)
class Double:
    """Two entries of one ticket of which `second` was one too many. Gates are in the ids; times are corrected."""

    kind: DoubleKind
    first: RecordId
    second: RecordId
    first_us: int
    second_us: int
    zone: ZoneId
    session: SessionId


def _order(row: PresenceRow) -> tuple[int, RecordId]:
    return row.time_us, row.id


def fold(
    rows: Iterable[PresenceRow], resets: "Resets | Sequence[Reset]", zones: ZoneTree
) -> "TicketPresence":
    """Return what the rows of one ticket amount to. Rows may come repeated and in any order."""
    return _fold(rows, resets, zones, NOTHING)[0]


def fold_on(
    settled: Settled, rows: Iterable[PresenceRow], resets: Resets, zones: ZoneTree
) -> "TicketPresence | None":
    """Return what the rows of one ticket amount to on top of a sum that they fit (`admission.settled`); None where all of
    them must be looked at, since somebody leaves who may be in the sum.

    Of what was put away the presence tells the numbers: its entries are in no list of them, and in no `doubles`.
    """
    presence, is_sure = _fold(rows, resets, zones, settled)
    return presence if is_sure and all(map(presence.knows_newest, settled.live)) else None


def _fold(
    rows: Iterable[PresenceRow], resets: "Resets | Sequence[Reset]", zones: ZoneTree, settled: Settled
) -> tuple["TicketPresence", bool]:
    """Return the presence, and whether it is sure that no exit took somebody of the sum."""
    entries: dict[RecordId, PresenceRow] = {}
    exits: dict[RecordId, PresenceRow] = {}
    marks: list[PresenceRow] = []
    for row in rows:
        role = row.role
        if role is Role.ENTRY:
            _keep(entries, row)
        elif role is Role.EXIT:
            _keep(exits, row)
        elif role is not Role.BIND:
            marks.append(row)
    reached = _reached(entries, exits, marks)
    counted = [row for row in entries.values() if reached.get(row.id, row.state) in _COUNTS]
    if len(counted) > 1:
        counted.sort(key=_order)
    stands_for = _after_restart(counted, reached)
    if stands_for:
        replaced = set(stands_for.values())
        counted = [row for row in counted if row.id not in replaced]
    closed: dict[RecordId, _Closing] = dict(settled.closed)
    is_sure = True
    pending: list[PresenceRow] = []
    if exits:
        pending = [row for row in exits.values() if reached.get(row.id, row.state) is State.RESERVED]
        committed = [row for row in exits.values() if reached.get(row.id, row.state) is State.COMMITTED]
        committed.sort(key=_order)
        _close_named(committed, entries, closed)
    if resets:
        index = resets if isinstance(resets, Resets) else Resets(resets, zones)
        emptied = {row.id: at for row in counted if (at := index.closing(row)) is not None}
    else:
        index, emptied = None, {}
    if exits:
        is_sure = _close_latest(committed, counted, closed, emptied, zones, settled.live_until)
    for name, at in emptied.items():
        closed[name] = min(closed.get(name, at), at)
    gone = committed if exits else ()
    found = TicketPresence(zones, counted, reached, closed, pending, entries, stands_for, index, gone)
    found.settled, found.exits = settled, exits
    return found, is_sure


def _keep(found: dict[RecordId, PresenceRow], row: PresenceRow) -> None:
    """Keep one row per record; of two that differ (one cut from its extensions) the fuller, whichever came first."""
    other = found.setdefault(row.id, row)
    if other is not row and other != row:
        found[row.id] = max(other, row, key=PresenceRow.as_columns)


def _reached(
    entries: Mapping[RecordId, PresenceRow], exits: Mapping[RecordId, PresenceRow], marks: list[PresenceRow]
) -> dict[RecordId, State]:
    """Return the highest state said of each entry and exit. What nothing is said of is as its row is."""
    reached: dict[RecordId, State] = {}
    for mark in marks:
        for name in mark.names:
            about = entries.get(name) or exits.get(name)
            if about is None or (mark.way is not Direction.NONE and mark.way is not about.way):
                continue
            if mark.role is Role.ANNUL and about.role is not Role.ENTRY:
                continue
            reached[name] = max(mark.state, reached.get(name, about.state))
    return reached


def _after_restart(counted: list[PresenceRow], reached: Mapping[RecordId, State]) -> dict[RecordId, RecordId]:
    """Return which entry after a restart stands for which reservation; each for one, in their order."""
    stands_for: dict[RecordId, RecordId] = {}
    for row in counted:
        if not row.flags & _AFTER_RESTART:
            continue
        taken = stands_for.values()
        may = [
            one.id
            for one in counted
            if reached.get(one.id, one.state) is State.RESERVED
            and one.id[:2] != row.id[:2]
            and one.id not in taken
            and (
                one.id in row.names
                if row.names
                else one.id.gate == row.id.gate
                and one.zone == row.zone
                and one.session == row.session
                and one.time_us <= row.time_us
            )
        ]
        if may:
            stands_for[row.id] = may[-1]
    return stands_for


def _close_named(
    committed: list[PresenceRow], entries: Mapping[RecordId, PresenceRow], closed: dict[RecordId, _Closing]
) -> None:
    """Remove what each exit names, for good, whatever state it is in or will reach."""
    for leaving in committed:
        for name in leaving.names:
            if name in entries and name not in closed:
                closed[name] = (leaving.time_us, leaving.id)


def _close_latest(
    committed: list[PresenceRow],
    counted: list[PresenceRow],
    closed: dict[RecordId, _Closing],
    emptied: Mapping[RecordId, _Closing],
    zones: ZoneTree,
    put_away: Mapping[ZoneId, Moment],
) -> bool:
    """Let each exit that saw no entry take the latest that it can have been for; the earliest exit first.

    `put_away`: of each zone the newest of those who are inside and not in `counted`. False where one of them may have left.
    """
    is_sure = True
    for leaving in committed:
        if leaving.names:
            continue
        for zone in (leaving.zone, *zones.inner(leaving.zone)):
            taken: _Closing | None = None
            for entry in reversed(counted):
                if entry.zone != zone or entry.id in closed or not _precedes(entry, leaving):
                    continue
                at = emptied.get(entry.id)
                if at is None or at[0] > leaving.time_us:
                    closed[entry.id] = (leaving.time_us, leaving.id)
                    taken = (entry.time_us, entry.id)
                    break
            if zone in put_away and (taken is None or taken < put_away[zone]):
                is_sure = False
    return is_sure


def _precedes(entry: PresenceRow, leaving: PresenceRow) -> bool:
    """Whether an entry is not later than an exit: by seq in one log, else by corrected time."""
    if entry.id[:2] == leaving.id[:2] and not (entry.flags | leaving.flags) & OF_DEVICE:
        return entry.id.seq < leaving.id.seq
    return entry.time_us <= leaving.time_us


class TicketPresence:
    """What the merged logs say of one ticket: its uses, who is inside, and what was one too many."""

    __slots__ = (
        "_closed", "_counted", "_entries", "_gone", "_live", "_pending", "_reached", "_resets", "_stands_for", "_zones",
        "exits", "settled",
    )  # fmt: skip

    def __init__(
        self,
        zones: ZoneTree,
        counted: list[PresenceRow],
        reached: Mapping[RecordId, State],
        closed: Mapping[RecordId, _Closing],
        pending: list[PresenceRow],
        entries: Mapping[RecordId, PresenceRow],
        stands_for: Mapping[RecordId, RecordId],
        resets: Resets | None = None,
        gone: Sequence[PresenceRow] = (),
    ) -> None:
        self._zones, self._counted, self._reached, self._closed = zones, counted, reached, closed
        self._pending, self._entries, self._stands_for = pending, entries, stands_for
        self._resets, self._gone = resets, gone
        self._live = [row for row in counted if row.id not in closed] if closed else counted
        self.settled: Settled = NOTHING
        """What the rows stand on."""
        self.exits: Mapping[RecordId, PresenceRow] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody is inside anywhere."""
        return not self._live and not self.settled.live

    @property
    def known(self) -> Mapping[RecordId, PresenceRow]:
        """The entries that were folded, whatever became of them."""
        return self._entries

    @property
    def gone(self) -> Sequence[PresenceRow]:
        """The exits that were passed."""
        return self._gone

    @property
    def resets(self) -> Resets | None:
        """The resets that there were, if any."""
        return self._resets

    @property
    def zones(self) -> ZoneTree:
        """The zones it was folded for."""
        return self._zones

    def closing(self, entry: RecordId) -> Moment | None:
        """Return when and by what an entry was closed; None where it is not."""
        return self._closed.get(entry)

    def closers(self) -> set[RecordId]:
        """Return the exits and resets that closed an entry."""
        return {by for _, by in self._closed.values()}

    def knows_newest(self, zone: ZoneId) -> bool:
        """Whether the next one to leave a zone is none of those who were put away."""
        last = self.settled.live_until[zone]
        named = {name for row in self._pending for name in row.names}
        return any(
            row.zone == zone
            and (row.time_us, row.id) > last
            and row.id not in named
            and self._reached.get(row.id, row.state) is State.COMMITTED
            for row in self._live
        )

    @property
    def live(self) -> tuple[RecordId, ...]:
        """The entries of people inside somewhere, reserved or committed, oldest first."""
        return tuple(row.id for row in self._live)

    @property
    def counted(self) -> tuple[RecordId, ...]:
        """The entries, reserved or committed, closed or not, oldest first."""
        return tuple(row.id for row in self._counted)

    def entries(self) -> tuple[PresenceRow, ...]:
        """The rows of the entries that count, reserved or committed, oldest first."""
        return tuple(self._counted)

    def is_live(self, entry: RecordId) -> bool:
        """Whether somebody who entered so is inside still."""
        return entry not in self._closed

    def is_use(self, row: PresenceRow) -> bool:
        """Whether an entry takes a use."""
        return self._is_use(row)

    def state(self, entry: RecordId) -> State:
        """Return how far an entry or exit has come."""
        known = self._entries.get(entry) or self.exits.get(entry)
        return self._reached.get(entry, known.state if known is not None else State.RESERVED)

    def uses(self, zone: ZoneId, session: SessionId) -> int:
        """Return how many uses were taken of a zone's session."""
        put_away = self.settled.used.get((zone, session))
        return (put_away.uses if put_away is not None else 0) + sum(
            row.zone == zone and row.session == session and self._is_use(row) for row in self._counted
        )

    def _is_use(self, row: PresenceRow) -> bool:
        if row.flags & _REENTRY:
            # One let in again after an alarm, for an entry that was given back or annulled: this is its use.
            return _is_again(row) and row.names[0] in self._entries and not self._counts(row.names[0])
        replaced = self._stands_for.get(row.id)
        return replaced is None or not self._entries[replaced].flags & _REENTRY

    def _counts(self, entry: RecordId) -> bool:
        return self.state(entry) in _COUNTS

    def frozen(self, zone: ZoneId, session: SessionId) -> tuple[RecordId, ...]:
        """Return the entries whose people an alarm sent out, and who may come in again now; oldest first."""
        resets = self._resets
        if resets is None or not resets.is_readmitting(zone):
            return ()
        taken = {name for row in self._counted if _is_again(row) for name in row.names}
        return tuple(
            row.id
            for row in self._counted
            if row.zone == zone
            and row.session == session
            and row.id not in taken
            and resets.readmits(row, self._closed.get(row.id))
        )

    def comes_again_for(self, row: PresenceRow) -> RecordId | None:
        """Return the entry that an alarm froze and for which an entry let somebody in again; None for any other."""
        return row.names[0] if _is_again(row) else None

    def fled(self, zone: ZoneId) -> int:
        """Return how many entries of a zone an alarm closed since anybody said how many are inside."""
        resets = self._resets
        if resets is None:
            return 0
        within = (zone, *self._zones.inner(zone))
        return self.settled.fled.get(zone, 0) + sum(
            row.zone in within and resets.is_unsettled(zone, self._closed.get(row.id))
            for row in self._counted
        )

    def strangers_left(self, zone: ZoneId) -> int:
        """Return how many exits from a zone were people of whom no entry was known, or none that was still open."""
        put_away = self.settled.strangers.get(zone, 0)
        if not self._gone:
            return put_away
        closers = self.closers()
        return put_away + sum(row.zone == zone and row.id not in closers for row in self._gone)

    def inside(self, zone: ZoneId) -> int:
        """Return how many people of the ticket are in a zone at least, those with a reservation among them.

        Whoever is in an inner zone is in the outer too. People in sibling zones are taken for the same ones, since
        moving from one to the other needs no exit to be seen.
        """
        return self._most(zone, self._live)

    def _most(self, zone: ZoneId, rows: list[PresenceRow]) -> int:
        if not rows and not self.settled.live:
            return 0
        return max(self._own(at, rows) for at in (zone, *self._zones.inner(zone)))

    def _sure(self) -> list[PresenceRow]:
        """The live entries whose passage was seen or assumed."""
        return [row for row in self._live if self._reached.get(row.id, row.state) is State.COMMITTED]

    def _own(self, zone: ZoneId, rows: list[PresenceRow]) -> int:
        """Count people in the very zone. Whoever was put away and is inside has passed."""
        return sum(row.zone == zone for row in rows) + self.settled.live.get(zone, 0)

    def bounds(self, zone: ZoneId) -> Bounds:
        """Return how many people of the ticket are in a zone.

        Low: passages seen, less the exits granted and not yet passed. High: reservations and unresolved ones too, and
        people in sibling zones are different ones.
        """
        sure = self._sure()
        low = 0
        for at in (zone, *self._zones.inner(zone)):
            leaving = sum(at == row.zone or row.zone in self._zones.outer(at) for row in self._pending)
            low = max(low, self._own(at, sure) - leaving)
        return Bounds(low, self._high(zone))

    def _high(self, zone: ZoneId) -> int:
        parents = self._zones.by_id
        children = [one for one in self._zones.inner(zone) if parents[one].parent == zone]
        return max(self._own(zone, self._live), sum(self._high(one) for one in children))

    def closes(self, zone: ZoneId) -> tuple[RecordId, ...]:
        """Return what an exit here names: one person's entry of the zone and of each zone inside, newest first.

        Entries that no pending exit names, and whose passage was seen, come first: what such an exit removes is
        somebody who is inside.
        """
        if not self._live:
            return ()
        named = {name for row in self._pending for name in row.names}
        chosen: list[PresenceRow] = []
        for at in (zone, *self._zones.inner(zone)):
            here = [row for row in self._live if row.zone == at]
            if here:
                chosen.append(max(here, key=lambda row: self._exit_order(row, named)))
        chosen.sort(key=_order, reverse=True)
        return tuple(row.id for row in chosen)

    def _exit_order(self, row: PresenceRow, named: set[RecordId]) -> tuple[bool, bool, int, RecordId]:
        passed = self._reached.get(row.id, row.state) is State.COMMITTED
        return row.id not in named, passed, row.time_us, row.id

    def tally(
        self,
        zone: ZoneId,
        session: SessionId,
        today: Today,
        this_gate: GateId,
        this_epoch: Epoch,
        this_lane: LaneId | None = None,
    ) -> Tally:
        """Return what `decide()` asks for, as seen from a lane of `this_gate` in its running epoch.

        `today`: the day that a use of `session` taken now is of.

        `unresolved*` tell what was reserved at `this_lane`, or at any of the gate's where it is None.

        A pending exit is one of this gate's running epoch: of another gate's we cannot know whether it still runs.
        """
        settled = self.settled
        if not self._counted and not self._pending and settled is NOTHING:
            return Tally()
        unresolved_uses = 0
        put_away = settled.used.get((zone, session))
        in_session = put_away.uses if put_away is not None else 0
        in_day = settled.uses_on(today, zone)
        in_all = settled.uses.get(zone, 0)
        unresolved: list[RecordId] = []
        last: PresenceRow | None = None
        for row in self._counted:
            if row.zone != zone:
                continue
            is_use = self._is_use(row)
            if is_use:
                in_all += 1
                in_day += today.has(row.session, row.time_us)
                in_session += row.session == session
            if row.session == session:
                last = row
                here = this_lane is None or row.lane == this_lane
                if here and self._unresolved(row, this_gate, this_epoch):
                    unresolved.append(row.id)
                    unresolved_uses += is_use
        last_use = None if last is None else LastUse(last.id, last.lane, last.time_us)
        if put_away is not None and (last is None or _order(last) < _when(put_away.last)):
            last_use = put_away.last
        if last_use is None:
            within = (zone, *self._zones.inner(zone))
            last = next((row for row in reversed(self._live) if row.zone in within), None)
            # Nobody is inside: a limit over several sessions may still have been reached in another one.
            last = last or next((row for row in reversed(self._counted) if row.zone == zone), None)
            last_use = settled.last_in(zone) if last is None else LastUse(last.id, last.lane, last.time_us)
        around = (zone, *self._zones.outer(zone))
        return Tally(
            uses_session=in_session,
            uses_day=in_day,
            uses_total=in_all,
            inside=self.inside(zone),
            passed=self._most(zone, self._sure()),
            last=last_use,
            exit_pending=any(
                row.id[:2] == (this_gate, this_epoch) and row.zone in around for row in self._pending
            ),
            unresolved=len(unresolved),
            unresolved_uses=unresolved_uses,
            unresolved_ids=tuple(unresolved),
            frozen=self.frozen(zone, session),
            entries=self.closes(zone),
        )

    def _unresolved(self, row: PresenceRow, this_gate: GateId, this_epoch: Epoch) -> bool:
        return (
            row.id.gate == this_gate
            and row.id.epoch != this_epoch
            and self._reached.get(row.id, row.state) is State.RESERVED
            and row.id not in self._closed
        )

    def doubles(self, admits: int, limits: Limits = NO_LIMITS) -> tuple[Double, ...]:
        """Return every entry that was one too many, with the one before it, in order of time.

        Judged by the mode of the later entry. People inside are counted as they were then, so a double stays one
        after somebody left. Reservations count; `state` tells whether they were passed.
        """
        admits = max(admits, 1)
        found: list[Double] = []
        again: dict[RecordId, PresenceRow] = {}
        uses: dict[tuple[ZoneId, SessionId], list[PresenceRow]] = {}
        in_zone: dict[ZoneId, list[PresenceRow]] = {}
        there: dict[ZoneId, list[PresenceRow]] = {}
        for row in self._counted:
            others = there.setdefault(row.zone, [])
            others[:] = [one for one in others if not self._left_before(one, row)]
            if row.mode is Mode.ENTRY_EXIT and len(others) >= admits:
                found.append(_double(DoubleKind.INSIDE, others[-admits], row))
            elif _is_again(row) and (former := self._too_many(row, again)) is not None:
                found.append(_double(DoubleKind.READMITTED, former, row))
            if _is_again(row):
                again.setdefault(row.names[0], row)
            others.append(row)
            if self._is_use(row):
                taken = uses.setdefault((row.zone, row.session), [])
                of_zone = in_zone.setdefault(row.zone, [])
                if row.mode is Mode.NORMAL and len(taken) >= admits:
                    found.append(_double(DoubleKind.USE, taken[-admits], row))
                elif (first := limits.reached(of_zone, row)) is not None:
                    found.append(_double(DoubleKind.LIMIT, first, row))
                taken.append(row)
                of_zone.append(row)
            if row.id in self._stands_for:
                found.append(_double(DoubleKind.AFTER_RESTART, self._entries[self._stands_for[row.id]], row))
        return tuple(found)

    def _too_many(self, row: PresenceRow, again: Mapping[RecordId, PresenceRow]) -> PresenceRow | None:
        """Return what makes one let in again one too many: who came in for the same entry, or that entry, left before."""
        name = row.names[0]
        known = self._entries.get(name)
        if name in again or known is None or not self._counts(name):
            return again.get(name)
        is_out = self._resets is not None and self._resets.is_alarm(self._closed.get(name))
        return None if is_out else known

    def _left_before(self, row: PresenceRow, later: PresenceRow) -> bool:
        closing = self._closed.get(row.id)
        if closing is None:
            return False
        at, by = closing
        if by[:2] == later.id[:2] and not later.flags & OF_DEVICE and by not in self._stored_exits():
            return by.seq < later.id.seq
        return at <= later.time_us

    def _stored_exits(self) -> set[RecordId]:
        return {row.id for row in self._gone if row.flags & OF_DEVICE}


def _when(use: LastUse) -> tuple[int, RecordId]:
    return use.time_us, use.record


def _is_again(row: PresenceRow) -> bool:
    """Whether an entry let somebody in again after an alarm, for the entry that it names."""
    return bool(row.names) and row.flags & (_REENTRY | _AFTER_RESTART) == _REENTRY


def _double(kind: DoubleKind, first: PresenceRow, second: PresenceRow) -> Double:
    return Double(kind, first.id, second.id, first.time_us, second.time_us, second.zone, second.session)


def since_count(
    rows: Sequence[PresenceRow], presence: "TicketPresence", count: Reset, resets: Resets, zones: ZoneTree
) -> Bounds:
    """Return by how many people of a ticket a zone has changed since it was counted by hand; may be below nothing.

    `presence` is what all of `rows` fold to. Who left since without a known entry was counted, and is not there now.
    """
    then_rows = before(rows, count)
    zone = count.zone
    if len(then_rows) == len(rows):
        return Bounds(0, 0)
    then = fold(then_rows, resets, zones)
    was, now = then.bounds(zone), presence.bounds(zone)
    left = presence.strangers_left(zone) - then.strangers_left(zone)
    unsure = sum(presence.strangers_left(one) - then.strangers_left(one) for one in zones.outer(zone))
    return Bounds(now.low - was.high - left - max(0, unsure), now.high - was.low - left)


def bounds(presences: Iterable[TicketPresence], zone: ZoneId, strangers: int = 0) -> Bounds:
    """Return how many people are in a zone. `strangers`: passages nobody was granted, less anonymous exits seen."""
    low = high = 0
    for presence in presences:
        one = presence.bounds(zone)
        low, high = low + one.low, high + one.high
    return Bounds(low, high + max(strangers, 0))
