"""What befalls a whole zone: presence resets, fire alarms and what follows them, recounts. Pure and free of order.

* A *reset* closes the entries that it had heard of, in its zone and those inside. Who comes in again has left.
* An *alarm* closes those that it had heard of and those not made later than itself, by corrected time: whoever was in the
  house is out on the street, also if his gate was cut off. The entries that it closed first are kept frozen: those
  people were inside.
* Staff clear an alarm: the *re-admission* is open. Each frozen entry lets one person in again, without a further use and
  whatever the mode or limit, until staff end the re-admission, a reset had heard of the entry, or the next alarm rings.
* How many are inside a zone is unknown from an alarm that closed somebody's entry there until staff *count* by hand, or a
  reset says that nobody is. From a count on, it is that number and what was recorded after it.

Records of one log are ordered by seq, those of several by corrected time. What a device stored lies by its own time alone:
nobody had heard of it, and whoever it let in before a reset has left all the same. Alarms and what follows them hold for a zone and
those inside it. Who stood under an arm when the alarm rang was given back by his lane (`admission.turn`): his use is free and
he counts as outside; had another gate's alarm heard of him and he passed all the same, he is frozen like everybody else.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

from admission.entitlements import ZoneTree
from admission.ids import Epoch, GateId, RecordId, ZoneId
from admission.observed import OF_DEVICE, PresenceRow, Reset, ResetKind

ALARMS_MAX: Final = 64
"""Alarms looked through for one entry: the latest of its zone. Each lane of a house may tell of the same one; who entered
before so many has been reset since."""

Moment = tuple[int, RecordId]
"""Corrected time and record, by which resets are ordered."""
_NEVER: Final[Moment] = (-(2**63), RecordId(GateId(0), Epoch(0), 0))


class Resets:
    """Resets by zone and log, kept for many folds; `add` as they are heard. `fold` takes a plain sequence as well.

    Of each log only those are kept that close some entry first, ascending in seq and time, so that one is found by
    bisection however many there were.
    """

    __slots__ = (
        "_alarms",
        "_cleared",
        "_counts",
        "_emptied",
        "_empties",
        "_ended",
        "_heard",
        "_names",
        "_rung",
        "_zones",
    )

    def __init__(self, resets: Iterable[Reset], zones: ZoneTree) -> None:
        self._zones = zones
        self._heard: dict[tuple[ZoneId, GateId, Epoch], list[tuple[int, int, RecordId]]] = {}
        self._empties: dict[ZoneId, list[Moment]] = {}
        """All of a zone, in order: a house has one a night."""
        self._alarms: dict[ZoneId, list[tuple[Moment, dict[tuple[GateId, Epoch], int]]]] = {}
        self._names: set[RecordId] = set()
        """Of alarms."""
        self._rung: dict[ZoneId, Moment] = {}
        self._cleared: dict[ZoneId, Moment] = {}
        self._ended: dict[ZoneId, Moment] = {}
        self._emptied: dict[ZoneId, Moment] = {}
        """The latest of each."""
        self._counts: dict[ZoneId, dict[RecordId, Reset]] = {}
        """By the very zone that was counted: who counts a house has not counted its boxes."""
        for reset in resets:
            self.add(reset)

    def __len__(self) -> int:
        return len(self._heard) + len(self._names) + len(self._counts)

    def add(self, reset: Reset) -> None:
        """Take a reset in; the same one again changes nothing."""
        if not reset.zone:
            return
        at = (reset.time_us, reset.id)
        if reset.kind is ResetKind.COUNTED:
            self._counts.setdefault(reset.zone, {})[reset.id] = reset
            return
        for zone in (reset.zone, *self._zones.inner(reset.zone)):
            match reset.kind:
                case ResetKind.EMPTIED:
                    self._empty(zone, reset)
                    _raise(self._emptied, zone, at)
                case ResetKind.ALARM:
                    self._ring(zone, reset)
                    _raise(self._rung, zone, at)
                case ResetKind.CLEARED:
                    _raise(self._cleared, zone, at)
                case ResetKind.ENDED:
                    _raise(self._ended, zone, at)

    def _empty(self, zone: ZoneId, reset: Reset) -> None:
        empties, at = self._empties.setdefault(zone, []), (reset.time_us, reset.id)
        if at not in empties:
            insort(empties, at)
        for gate, epoch, seq in (*reset.heard, reset.id):
            key = (zone, gate, epoch)
            known = self._heard.get(key, [])
            self._heard[key] = _earliest([*known, (seq, reset.time_us, reset.id)])

    def _ring(self, zone: ZoneId, reset: Reset) -> None:
        self._names.add(reset.id)
        known = self._alarms.setdefault(zone, [])
        known[:] = [one for one in known if one[0][1] != reset.id]
        known.append(((reset.time_us, reset.id), _upto((*reset.heard, reset.id))))
        known.sort(key=lambda one: one[0])
        del known[:-ALARMS_MAX]

    # --- what becomes of entries ----------------------------------------------------------------------------------

    def closing(self, entry: PresenceRow) -> Moment | None:
        """Return time and id of the earliest reset or alarm that closes the entry, or None."""
        emptied = self._reset_of(entry)
        for at, heard in self._alarms.get(entry.zone, ()):
            if emptied is not None and emptied <= at:
                break
            if _had(entry, heard, at):
                return at
        return emptied

    def _reset_of(self, entry: PresenceRow) -> Moment | None:
        gate, epoch, seq = entry.id
        if entry.flags & OF_DEVICE:
            empties = self._empties.get(entry.zone, [])
            after = bisect_left(empties, (entry.time_us,))
            return empties[after] if after < len(empties) else None
        heard = self._heard.get((entry.zone, gate, epoch))
        if heard is None:
            return None
        at = bisect_left(heard, (seq,))
        return heard[at][1:] if at < len(heard) else None

    def is_alarm(self, closing: Moment | None) -> bool:
        """Whether what closed an entry was an alarm: its person was inside."""
        return closing is not None and closing[1] in self._names

    def readmits(self, entry: PresenceRow, closing: Moment | None) -> bool:
        """Whether the person of an entry, closed so, may come in again."""
        if closing is None or closing[1] not in self._names:
            return False
        return (
            self.is_readmitting(entry.zone)
            and closing > self._ended.get(entry.zone, _NEVER)
            and self._reset_of(entry) is None
        )

    # --- what is so in a zone -------------------------------------------------------------------------------------

    def is_readmitting(self, zone: ZoneId) -> bool:
        """Whether those who were inside a zone at an alarm may come in again now."""
        cleared = self._cleared.get(zone, _NEVER)
        return (
            self._rung.get(zone, _NEVER) > self._ended.get(zone, _NEVER)
            and cleared > self._ended.get(zone, _NEVER)
            and cleared > self._rung.get(zone, _NEVER)
        )

    def has_rung(self, zone: ZoneId) -> bool:
        """Whether an alarm rang in a zone and neither was a re-admission ended nor the zone emptied since."""
        over = max(self._ended.get(zone, _NEVER), self._emptied.get(zone, _NEVER))
        return self._rung.get(zone, _NEVER) > over

    def is_unsettled(self, zone: ZoneId, closing: Moment | None) -> bool:
        """Whether an entry was closed by an alarm, and nobody has said since how many are in the zone."""
        return closing is not None and closing[1] in self._names and closing > self._settled(zone)

    def counted(self, zone: ZoneId) -> Reset | None:
        """Return the count by hand that a zone's people are reckoned from; None where there is none, or a reset since."""
        counts = self._counts.get(zone)
        if not counts:
            return None
        last = max(counts.values(), key=lambda one: (one.time_us, one.id))
        return last if (last.time_us, last.id) > self._emptied.get(zone, _NEVER) else None

    @property
    def counts(self) -> tuple[Reset, ...]:
        """The counts by hand that zones are reckoned from."""
        return tuple(count for zone in self._counts if (count := self.counted(zone)) is not None)

    def _settled(self, zone: ZoneId) -> Moment:
        counted = self.counted(zone)
        emptied = self._emptied.get(zone, _NEVER)
        return emptied if counted is None else (counted.time_us, counted.id)


def before(rows: Iterable[PresenceRow], count: Reset) -> list[PresenceRow]:
    """Return the rows that a count by hand has in it: heard of by then, or not made later."""
    heard = _upto((*count.heard, count.id))
    return [row for row in rows if _had(row, heard, (count.time_us, count.id))]


def _had(row: PresenceRow, heard: dict[tuple[GateId, Epoch], int], at: Moment) -> bool:
    gate, epoch, seq = row.id
    if row.flags & OF_DEVICE:
        return row.time_us <= at[0]
    if seq <= heard.get((gate, epoch), 0):
        return True
    return row.time_us <= at[0] and (gate, epoch) != at[1][:2]


def _upto(heard: Iterable[RecordId]) -> dict[tuple[GateId, Epoch], int]:
    upto: dict[tuple[GateId, Epoch], int] = {}
    for gate, epoch, seq in heard:
        upto[gate, epoch] = max(seq, upto.get((gate, epoch), 0))
    return upto


def _raise(latest: dict[ZoneId, Moment], zone: ZoneId, at: Moment) -> None:
    if at > latest.get(zone, _NEVER):
        latest[zone] = at


def _earliest(heard: list[tuple[int, int, RecordId]]) -> list[tuple[int, int, RecordId]]:
    """Drop what another reset, that heard as much, came before."""
    kept: list[tuple[int, int, RecordId]] = []
    for one in sorted(heard, reverse=True):
        if not kept or one[1:] < kept[-1][1:]:
            kept.append(one)
    kept.reverse()
    return kept


__all__ = ["ALARMS_MAX", "Moment", "Resets", "before"]
