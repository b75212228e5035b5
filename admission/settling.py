"""Putting away what is over of a ticket's past: pure; what it amounts to is an `admission.settled.Settled`.

Kept back, whatever its age, is what later records may speak of or an answer names one by one: reservations without an end,
exits not yet passed, what an entry after a restart or an alarm stands for, whoever may come in again, of each zone the newest
people inside, and what names records not heard of yet. Few in any season: the rest is passages and denials long over.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from admission.days import QUARTER_US
from admission.ids import Epoch, GateId, RecordId, ZoneId
from admission.observed import PresenceRow, Role, State
from admission.presence import TicketPresence
from admission.question import LastUse
from admission.records import Flag
from admission.resets import Moment
from admission.settled import Settled, Used

COMINGS_KEPT: Final = 16
"""Newest entries and exits that are not put away: what another gate recorded within moments, and tells a moment later, is
newer than what was."""
LIVE_KEPT: Final = 8
"""Of the people inside a zone, the newest: so many may leave, one after the other, before all is folded anew."""
QUARTERS_KEPT: Final = 2 * 96
"""Of two days: what is judged now is of the newest."""
_MARKS: Final = (Role.STATE, Role.ANNUL)
_AFTER_RESTART: Final = int(Flag.AFTER_RESTART)


def settle(
    presence: TicketPresence,
    rows: Iterable[PresenceRow],
    comings_kept: int = COMINGS_KEPT,
    live_kept: int = LIVE_KEPT,
) -> tuple[Settled, tuple[PresenceRow, ...]]:
    """Put away what is over of the rows that a presence was folded of; returns the new sum and the rows left.

    Where nothing can be put away the sum is the one that the presence stood on.
    """
    rows = tuple(dict.fromkeys(rows))
    comings = sorted((row.time_us for row in rows if row.role in (Role.ENTRY, Role.EXIT)), reverse=True)
    if len(comings) <= comings_kept:
        return presence.settled, rows
    return _Settling(presence, rows, comings[comings_kept], live_kept).done()


class _Settling:
    """One go. `until_us`: what is newer stays."""

    def __init__(
        self, presence: TicketPresence, rows: tuple[PresenceRow, ...], until_us: int, live_kept: int
    ) -> None:
        self._presence, self._rows, self._until_us = presence, rows, until_us
        self._before = presence.settled
        self._kept_exits = {row.id for row in presence.exits.values() if self._stays_exit(row)}
        self._named = {
            name
            for row in (*presence.exits.values(), *presence.known.values())
            if row.id in self._kept_exits or (row.role is Role.ENTRY and row.names)
            for name in row.names
        }
        self._binds = {row.id for row in rows if row.role is Role.BIND}
        self._newest = self._newest_inside(live_kept)
        self._kept = {row.id for row in presence.known.values() if self._stays(row)}
        self._uses, self._quarters = dict(self._before.uses), dict(self._before.quarters)
        self._used = dict(self._before.used)
        self._live, self._live_until = dict(self._before.live), dict(self._before.live_until)
        self._fled, self._strangers = dict(self._before.fled), dict(self._before.strangers)

    def done(self) -> tuple[Settled, tuple[PresenceRow, ...]]:
        """Return the sum, and the rows that are not in it."""
        presence, before = self._presence, self._before
        closed = self._closed()
        if any(name in closed for name in self._kept_exits for name in presence.exits[name].names):
            # Once such an exit is passed, the one that took its entry for want of a name is found to have taken another.
            return before, self._rows
        ends = dict(before.ends)
        for row in (*presence.known.values(), *presence.exits.values()):
            if row.id not in self._kept and row.id not in self._kept_exits:
                ends[row.id[:2]] = max(row.id.seq, ends.get(row.id[:2], -1))
        for row in presence.entries():
            if row.id not in self._kept:
                self._count(row)
        closers = presence.closers()
        for row in presence.gone:
            if row.id not in self._kept_exits and row.id not in closers:
                _more(self._strangers, row.zone)
        old = [
            row for row in presence.known.values()
            if row.id in self._kept and (self._is_old(row) or row.id.seq <= ends.get(row.id[:2], -1))
        ]  # fmt: skip
        counted = set(presence.counted)
        until_us = max(self._until_us, before.until_us)
        sum_ = Settled(
            until_us,
            ends,
            self._used,
            self._uses,
            {
                at: uses
                for at, uses in self._quarters.items()
                if at[2] >= until_us // QUARTER_US - QUARTERS_KEPT
            },
            self._live,
            self._live_until,
            self._fled,
            self._strangers,
            closed,
            tuple(row for row in presence.known.values() if row.flags & _AFTER_RESTART),
            is_delicate=any(
                row.names
                or row.flags & _AFTER_RESTART
                or row.id not in counted
                # A reset closed it before the exit that names it: without the reset's word that exit was for it.
                or (presence.closing(row.id) is not None and row.id not in closed)
                for row in old
            ),
        )
        return sum_, tuple(row for row in self._rows if self._is_left(row, ends))

    # --- what stays -----------------------------------------------------------------------------------------------

    def _is_old(self, row: PresenceRow) -> bool:
        return row.time_us <= self._until_us

    def _stays_exit(self, row: PresenceRow) -> bool:
        presence = self._presence
        return (
            not self._is_old(row)
            or presence.state(row.id) is State.RESERVED
            or any(name not in presence.known for name in row.names)
        )

    def _stays(self, row: PresenceRow) -> bool:
        presence = self._presence
        if not self._is_old(row) or row.names or row.flags & _AFTER_RESTART or row.id in self._named:
            return True
        state = presence.state(row.id)
        if state is State.RESERVED:
            return True
        closing = presence.closing(row.id)
        if closing is not None and (closing[0] > self._until_us or closing[1] in self._kept_exits):
            return True
        if state is not State.COMMITTED:
            return False
        if closing is None:
            return row.id in self._newest
        resets = presence.resets
        return resets is not None and resets.readmits(row, closing)

    def _newest_inside(self, live_kept: int) -> set[RecordId]:
        """Return of each zone the newest of those who passed; as many again as exits are under way name already."""
        presence = self._presence
        inside: dict[ZoneId, list[RecordId]] = {}
        for row in presence.entries():
            if presence.is_live(row.id) and presence.state(row.id) is State.COMMITTED:
                inside.setdefault(row.zone, []).append(row.id)
        return {
            name
            for names in inside.values()
            for name in [one for one in names if one not in self._named][-live_kept:]
        }

    def _is_left(self, row: PresenceRow, ends: Mapping[tuple[GateId, Epoch], int]) -> bool:
        match row.role:
            case Role.ENTRY:
                return row.id in self._kept
            case Role.EXIT:
                return row.id in self._kept_exits
            case Role.STATE | Role.ANNUL:
                return any(
                    name in self._binds
                    or name in self._kept
                    or name in self._kept_exits
                    or name.seq > ends.get(name[:2], -1)
                    for name in row.names
                )
            case _:
                return True

    # --- what it amounts to ---------------------------------------------------------------------------------------

    def _count(self, row: PresenceRow) -> None:
        presence, at = self._presence, (row.zone, row.session)
        is_use = presence.is_use(row)
        had = self._used.get(at)
        last = LastUse(row.id, row.lane, row.time_us)
        if had is not None and (had.last.time_us, had.last.record) > (last.time_us, last.record):
            last = had.last
        self._used[at] = Used((had.uses if had is not None else 0) + is_use, last)
        self._uses[row.zone] = self._uses.get(row.zone, 0) + is_use
        if is_use:
            quarter = (row.zone, row.session, row.time_us // QUARTER_US)
            self._quarters[quarter] = self._quarters.get(quarter, 0) + 1
        closing = presence.closing(row.id)
        if closing is None:
            _more(self._live, row.zone)
            newest = self._live_until.get(row.zone)
            this: Moment = (row.time_us, row.id)
            self._live_until[row.zone] = this if newest is None else max(newest, this)
        resets = presence.resets
        if resets is not None:
            for zone in (row.zone, *presence.zones.outer(row.zone)):
                if resets.is_unsettled(zone, closing):
                    _more(self._fled, zone)

    def _closed(self) -> dict[RecordId, Moment]:
        """Return what closed the entries left, where that was put away."""
        presence, found = self._presence, {}
        for name in self._kept:
            closing = presence.closing(name)
            if closing is None:
                continue
            by = closing[1]
            is_away = name in self._before.closed or (by in presence.exits and by not in self._kept_exits)
            if is_away:
                found[name] = closing
        return found


def _more(counts: dict[ZoneId, int], zone: ZoneId) -> None:
    counts[zone] = counts.get(zone, 0) + 1


__all__ = ["COMINGS_KEPT", "LIVE_KEPT", "settle"]
