"""What is over of a ticket's past, summed up: so that a thousandth use is judged as fast as the first.

A staff pass has thousands of uses in a season, and so has a code that somebody shows to an arm again and again. What its
older rows amount to (`admission.presence.fold`) changes no more, as long as what is heard later is later too: those rows are
put away (`admission.settling`), and only the newest are folded, on top of the sum. Which order records are heard in never
matters, so whatever speaks of what was put away, or lies before its end, does not fit (`fits`): then all is folded anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from admission.days import QUARTER_US, Today
from admission.ids import Epoch, GateId, RecordId, SessionId, ZoneId
from admission.observed import PresenceRow, Role
from admission.question import LastUse
from admission.records import Flag
from admission.resets import Moment

_AFTER_RESTART: Final = int(Flag.AFTER_RESTART)


@dataclass(frozen=True, slots=True)
class Used:
    """What was put away of one zone's session: uses taken, and the newest entry that counts."""

    uses: int
    last: LastUse


@dataclass(frozen=True, slots=True)
class Settled:
    """What the rows that were put away amount to. Of one tree of zones and one state of resets: with others, fold anew."""

    until_us: int
    """No entry or exit among them is later by corrected time, and nothing that closed one."""
    ends: Mapping[tuple[GateId, Epoch], int] = field(default_factory=dict)
    """Of each log, the last seq of an entry or exit among them."""
    used: Mapping[tuple[ZoneId, SessionId], Used] = field(default_factory=dict)
    uses: Mapping[ZoneId, int] = field(default_factory=dict)
    quarters: Mapping[tuple[ZoneId, SessionId, int], int] = field(default_factory=dict)
    """Uses of the newest days by quarter of an hour since 1970: for sessions that go on for several."""
    live: Mapping[ZoneId, int] = field(default_factory=dict)
    """People who passed and of whom nothing was heard since, of each zone the oldest."""
    live_until: Mapping[ZoneId, Moment] = field(default_factory=dict)
    """The newest of them. Whoever leaves next is newer, or all is folded anew."""
    fled: Mapping[ZoneId, int] = field(default_factory=dict)
    strangers: Mapping[ZoneId, int] = field(default_factory=dict)
    closed: Mapping[RecordId, Moment] = field(default_factory=dict)
    """Entries that were not put away, closed by exits that were."""
    restarted: tuple[PresenceRow, ...] = ()
    """Entries let in after a restart: a reservation told later may be what one of them stands for, instead of an older one."""
    is_delicate: bool = False
    """An older entry was not put away whose state may change what becomes of others."""

    def uses_on(self, today: Today, zone: ZoneId) -> int:
        """Return how many uses of a zone were on one day; of one long before the newest not all are known."""
        days, found = today.days, 0
        for (at, session), used in self.used.items():
            if at == zone and days.said(session) == today.day:
                found += used.uses
        for (at, session, quarter), uses in self.quarters.items():
            if at == zone and days.said(session) is None and today.has(session, quarter * QUARTER_US):
                found += uses
        return found

    def last_in(self, zone: ZoneId) -> LastUse | None:
        """Return the newest entry of a zone, whatever session it was for."""
        found = (used.last for (at, _), used in self.used.items() if at == zone)
        return max(found, key=lambda one: (one.time_us, one.record), default=None)


NOTHING: Final = Settled(-(2**63))
"""Nothing was put away."""


def fits(settled: Settled, fresh: Mapping[RecordId, PresenceRow], row: PresenceRow) -> bool:
    """Whether the sum holds with one more row. `fresh`: the entries and exits that were not put away.

    What lies before the end of the sum, or speaks of what is in it, might have changed it: which entry an exit that saw
    none took, and whose passage counts.
    """
    match row.role:
        case Role.ENTRY:
            # Which reservation it stands for is looked for among all.
            is_known = (
                not row.flags & _AFTER_RESTART
                and all(name in fresh or not is_within(settled, name) for name in row.names)
                and not any(
                    row.id in one.names if one.names else row.time_us <= one.time_us
                    for one in settled.restarted
                )
            )
        case Role.EXIT:
            is_known = all(_may_close(settled, fresh, name) for name in row.names)
        case Role.STATE | Role.ANNUL:
            return all(_may_change(settled, fresh, name) for name in row.names)
        case _:
            return True
    return is_known and row.time_us > settled.until_us and not is_within(settled, row.id)


def is_within(settled: Settled, name: RecordId) -> bool:
    """Whether a record may be one of those that were put away."""
    return name.seq <= settled.ends.get(name[:2], -1)


def _may_close(settled: Settled, fresh: Mapping[RecordId, PresenceRow], name: RecordId) -> bool:
    # An exit that saw none and was put away has it: named by another now, that one would have taken somebody else.
    return name not in settled.closed and (name in fresh or not is_within(settled, name))


def _may_change(settled: Settled, fresh: Mapping[RecordId, PresenceRow], name: RecordId) -> bool:
    about = fresh.get(name)
    if name in settled.closed or about is None:
        return name not in settled.closed and not is_within(settled, name)
    if about.flags & _AFTER_RESTART:
        return False  # the reservation that it stands for may be an old one, and counts again
    is_old = about.time_us <= settled.until_us or is_within(settled, name)
    return not is_old or (about.role is Role.ENTRY and not settled.is_delicate)


__all__ = ["NOTHING", "Settled", "Used", "fits", "is_within"]
