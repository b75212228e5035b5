"""How often a ticket may be used: per session, per day and in all, each counted zone by zone. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from admission.days import NO_DAYS, Days
from admission.entitlements import Product
from admission.observed import PresenceRow


class Limits(NamedTuple):
    """What a product allows, and on which days its event's uses are; 0 is no limit."""

    session: int = 0
    day: int = 0
    total: int = 0
    days: Days = NO_DAYS

    def reached(self, taken: Sequence[PresenceRow], row: PresenceRow) -> PresenceRow | None:
        """Return the use that would have to be gone for `row` to be within every limit; None where it is.

        `taken`: the ticket's other uses of the row's zone, in their order.
        """
        if self.total and len(taken) >= self.total:
            return taken[-self.total]
        if self.day and len(taken) >= self.day:
            day = self.days.of(row.session, row.time_us)
            of_day = [one for one in taken if self.days.of(one.session, one.time_us) == day]
            if len(of_day) >= self.day:
                return of_day[-self.day]
        if self.session and len(taken) >= self.session:
            of_session = [one for one in taken if one.session == row.session]
            if len(of_session) >= self.session:
                return of_session[-self.session]
        return None

    def share(self, one: PresenceRow, other: PresenceRow) -> bool:
        """Whether two uses are counted together by one of the limits, or by what a ticket admits: those of one session are."""
        if one.zone != other.zone:
            return False
        if self.total or one.session == other.session:
            return True
        days = self.days
        return bool(self.day) and days.of(one.session, one.time_us) == days.of(other.session, other.time_us)


def limits_of(product: Product, days: Days) -> Limits:
    """Return a product's limits."""
    return Limits(product.limit_session, product.limit_day, product.limit_total, days)


NO_LIMITS: Final = Limits()

__all__ = ["NO_LIMITS", "Limits", "limits_of"]
