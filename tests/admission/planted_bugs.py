"""Ways to merge logs wrongly, one at a time. The two-gate checker must catch each."""

import msgspec

from admission.ids import RecordId
from admission.presence import PresenceRow, Reset, ResetKind, Role, State, TicketPresence, fold
from admission.records import Direction, ExtensionRecord, Flag, Record
from tests.admission.gates import LogKey, Merge
from tests.admission.ledger import ZONES

Rows = tuple[PresenceRow, ...]
AGES_AWAY = 2**31
"""Added to a seq to make it another record's."""


class WallClock(Merge):
    """Orders by each gate's own clock instead of corrected time."""

    def rows(self, log: LogKey, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int) -> Rows:
        rows = super().rows(log, body, extensions, time_us)
        return tuple(msgspec.structs.replace(row, time_us=body.time_us) for row in rows)


class GiveBackLost(Merge):
    """A reservation given back stays a use."""

    def rows(self, log: LogKey, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int) -> Rows:
        rows = super().rows(log, body, extensions, time_us)
        return tuple(row for row in rows if row.role is not Role.STATE or row.state is not State.GIVEN_BACK)


class LatePassageLost(Merge):
    """What was given back stays so: the first end wins instead of the highest."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        back = {name for row in rows if row.state is State.GIVEN_BACK for name in row.names}
        kept = [row for row in rows if row.state is not State.COMMITTED or not back.intersection(row.names)]
        return super().plain(kept, resets)


class ResetIgnoresVector(Merge):
    """A reset empties the zone of all that is earlier, heard or not."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        wider = [
            msgspec.structs.replace(one, heard=tuple(row.id for row in rows if row.time_us <= one.time_us))
            for one in resets
        ]
        return super().plain(rows, wider)


class ResetFreesUses(Merge):
    """A reset takes the entries away altogether, and their uses with them."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        gone = {
            row.id
            for row in rows
            for one in resets
            for heard in one.heard
            if heard[:2] == row.id[:2] and row.id.seq <= heard.seq and row.zone == one.zone
        }
        return super().plain([row for row in rows if row.id not in gone], resets)


class ExitTakesUnseen(Merge):
    """An exit closes every earlier entry of its zone, those it never saw too."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        entries = [row for row in rows if row.role is Role.ENTRY]

        def all_before(leaving: PresenceRow) -> tuple[RecordId, ...]:
            return tuple(e.id for e in entries if e.zone == leaving.zone and e.time_us <= leaving.time_us)

        wider = [
            msgspec.structs.replace(row, names=all_before(row)) if row.role is Role.EXIT else row
            for row in rows
        ]
        return super().plain(wider, resets)


class ExitAtScan(Merge):
    """An exit counts when it is granted, although nobody may have gone through."""

    def rows(self, log: LogKey, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int) -> Rows:
        rows = super().rows(log, body, extensions, time_us)
        return tuple(
            msgspec.structs.replace(row, state=State.COMMITTED) if row.role is Role.EXIT else row
            for row in rows
        )


class ForkDropped(Merge):
    """Of two epochs after one place, one is thrown away."""

    def fold(self, rows: list[PresenceRow], resets: list[Reset], forks: frozenset[LogKey]) -> TicketPresence:
        return self.plain([row for row in rows if row.id[:2] not in forks], resets)


class PassageTakesLatest(Merge):
    """A passage commits the latest grant of its ticket and direction instead of the one it names."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        return super().plain([self._latest(row, rows) for row in rows], resets)

    def _latest(self, mark: PresenceRow, rows: list[PresenceRow]) -> PresenceRow:
        if mark.role is not Role.STATE or mark.way is Direction.NONE:
            return mark
        before = [
            row
            for row in rows
            if row.role in {Role.ENTRY, Role.EXIT} and row.way is mark.way and row.time_us <= mark.time_us
        ]
        latest = max(before, key=lambda row: (row.time_us, row.id), default=None)
        return mark if latest is None else msgspec.structs.replace(mark, names=(latest.id,))


class DuplicatesCount(Merge):
    """A record delivered twice counts twice."""

    def deliver_again(self, held: dict[RecordId, PresenceRow], row: PresenceRow) -> None:
        again = row.id._replace(seq=row.id.seq + AGES_AWAY)
        self.keep(held, msgspec.structs.replace(row, id=again))


class FirstRowStays(Merge):
    """A row read before its extensions came is never read again."""

    def keep(self, held: dict[RecordId, PresenceRow], row: PresenceRow) -> None:
        held.setdefault(row.id, row)


class ForeignAnnulLost(Merge):
    """An annul reaches only the entries of its own log."""

    def rows(self, log: LogKey, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int) -> Rows:
        rows = super().rows(log, body, extensions, time_us)
        return tuple(row for row in rows if row.role is not Role.ANNUL or body.ref)


class ReentryIsAUse(Merge):
    """A re-entry is a use of its own."""

    def rows(self, log: LogKey, body: Record, extensions: tuple[ExtensionRecord, ...], time_us: int) -> Rows:
        rows = super().rows(log, body, extensions, time_us)
        return tuple(msgspec.structs.replace(row, flags=row.flags & ~int(Flag.REENTRY)) for row in rows)


class GoneForgotten(Merge):
    """What a reset or exit closed is forgotten, and its use and its double with it."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        live = set(super().plain(rows, resets).live)
        return fold([row for row in rows if row.role is not Role.ENTRY or row.id in live], (), ZONES)


class AlarmIgnoresTime(Merge):
    """An alarm sends out only those whom its gate had heard of: who entered at a gate that was cut off counts inside."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        late = [
            msgspec.structs.replace(one, time_us=0) if one.kind is ResetKind.ALARM else one for one in resets
        ]
        return super().plain(rows, late)


class AlarmIsAReset(Merge):
    """Nobody may come in again after an alarm."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        return super().plain(
            rows, [one for one in resets if one.kind in {ResetKind.EMPTIED, ResetKind.ALARM}]
        )


class AgainNamesNobody(Merge):
    """Who comes in again does not say for which entry, so that it lets in any number."""

    def plain(self, rows: list[PresenceRow], resets: list[Reset]) -> TicketPresence:
        unsaid = [
            msgspec.structs.replace(row, names=())
            if row.role is Role.ENTRY and row.flags & Flag.REENTRY
            else row
            for row in rows
        ]
        return super().plain(unsaid, resets)


BUGS: dict[str, type[Merge]] = {
    "wall-clock": WallClock,
    "give-back-lost": GiveBackLost,
    "late-passage-lost": LatePassageLost,
    "reset-ignores-vector": ResetIgnoresVector,
    "reset-frees-uses": ResetFreesUses,
    "exit-takes-unseen": ExitTakesUnseen,
    "exit-at-scan": ExitAtScan,
    "fork-dropped": ForkDropped,
    "passage-takes-latest": PassageTakesLatest,
    "duplicates-count": DuplicatesCount,
    "first-row-stays": FirstRowStays,
    "foreign-annul-lost": ForeignAnnulLost,
    "reentry-is-a-use": ReentryIsAUse,
    "gone-forgotten": GoneForgotten,
    "alarm-ignores-time": AlarmIgnoresTime,
    "alarm-is-a-reset": AlarmIsAReset,
    "again-names-nobody": AgainNamesNobody,
}
