"""What a gate is told of tickets, products, sessions, zones and lanes. Values only; `decide()` judges them."""

from enum import IntEnum, IntFlag

import msgspec

from admission.ids import EventId, GateId, HolderId, LaneId, ProductId, SessionId, TicketId, ZoneId


class Standing(IntFlag):
    """What the centre says of a ticket; several may hold at once, `decide()` names the first by its order."""

    VALID = 0
    CANCELLED = 1
    REPLACED = 2  # exchanged, resold, reissued
    BANNED = 4
    REDEEMED = 8  # marked by hand
    UNPAID = 16
    UNAPPROVED = 32  # an accreditation waiting for validation


class CredentialStanding(IntFlag):
    """What the centre says of one credential, apart from the ticket it stands for."""

    ACTIVE = 0
    INACTIVE_TAG = 1
    BANNED_TAG = 2
    REPLACED = 4  # this code or tag was replaced by another of the same ticket


class Attention(IntFlag):
    """Why staff should look at the visitor before the arm turns."""

    NONE = 0
    ID = 1
    REDUCED_FARE = 2
    NOTE = 4


class Mode(IntEnum):
    """How often a ticket passes. Set per lane by the lane plan; a product may only narrow it (lower is narrower)."""

    NORMAL = 0  # enters once
    ENTRY_EXIT = 1  # in, out, in again only after an observed exit
    MULTIPLE = 2  # skips only `already_used` and `already_inside`


class OfflinePolicy(IntEnum):
    """What happens to a use that a gate we cannot hear might have taken already."""

    ADMIT_AND_FLAG = 0
    HOME_GATE_ONLY = 1
    DENY = 2


class Product(msgspec.Struct, frozen=True, gc=False):
    """A kind of ticket. Limits count uses; 0 is no limit."""

    id: ProductId
    event: EventId
    name: str
    zones: tuple[ZoneId, ...] = ()
    """Zones of a ticket that names none itself (pretix tickets)."""
    mode: Mode = Mode.MULTIPLE
    """The widest mode this product allows; the narrower of this and the lane's holds."""
    limit_session: int = 0
    limit_day: int = 0
    limit_total: int = 0
    offline: OfflinePolicy = OfflinePolicy.ADMIT_AND_FLAG
    attention: Attention = Attention.NONE


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """The entitlement a credential stands for. Uses and presence belong to it, never to the credential."""

    id: TicketId
    event: EventId
    product: ProductId
    holder: HolderId = HolderId(0)
    zones: tuple[ZoneId, ...] = ()
    session: SessionId = SessionId(0)
    standing: Standing = Standing.VALID
    not_before: int = 0
    """Unix seconds; 0 is unbounded, as is `not_after`."""
    not_after: int = 0
    admits: int = 1
    home_gate: GateId = GateId(0)
    attention: Attention = Attention.NONE


class Session(msgspec.Struct, frozen=True, gc=False):
    """One opening of a zone: a date or a performance. `day` is yyyymmdd in the venue's time zone, for daily limits (`admission.days`)."""

    id: SessionId
    event: EventId
    name: str
    day: int
    zone: ZoneId = ZoneId(0)
    """Where it takes place; 0 is not said."""
    end: int = 0
    """Unix seconds; from then on nobody counts as inside `zone`. 0: its end resets nothing."""


class Zone(msgspec.Struct, frozen=True, gc=False):
    """A part of the venue; `parent` 0 is the street. `capacity` 0 is unlimited. `gate` serves it (0 unknown)."""

    id: ZoneId
    name: str
    parent: ZoneId = ZoneId(0)
    capacity: int = 0
    gate: GateId = GateId(0)
    reset_at: int = -1
    """When presence is reset every night: minutes after midnight on the venue's own clocks; -1 is never."""


class LanePlan(msgspec.Struct, frozen=True, gc=False):
    """What a lane serves now, signed by the centre."""

    lane: LaneId
    zone: ZoneId
    mode: Mode = Mode.NORMAL
    sessions: tuple[tuple[EventId, SessionId], ...] = ()
    """The (event, session) pairs served; which of them, the plan says, never the clock."""
    attended: bool = False
    """A steward stands here: `check` asks the steward; unattended it denies and calls staff."""


class LaneSchedule(msgspec.Struct, frozen=True, gc=False):
    """The states a lane takes by itself."""

    gate: GateId
    lane: LaneId
    entries: tuple[tuple[int, int], ...]
    """(from, state): Unix seconds and `admission.lane.LaneState`, in order of time."""


class LaneOrder(msgspec.Struct, frozen=True, gc=False):
    """A state that the centre gives to lanes at once: of a zone and those inside it, of a gate, or one lane.

    A lane takes each once, by the highest `version` that names it; staff may set another state after it.
    """

    version: int
    """Rises with each order of the group and never comes again."""
    at: int
    """Unix seconds at the centre: a scheduled state that is later holds where the order is heard after it."""
    state: int
    zone: ZoneId = ZoneId(0)
    gate: GateId = GateId(0)
    lane: LaneId = LaneId(0)
    """0: every lane of `gate`."""


class ZoneTree:
    """Zones in zones, with the walks that deciding needs. A cycle is refused with ValueError."""

    def __init__(self, zones: tuple[Zone, ...]) -> None:
        self.by_id = {zone.id: zone for zone in zones}
        self._outer: dict[ZoneId, tuple[ZoneId, ...]] = {}
        self._inner: dict[ZoneId, tuple[ZoneId, ...]] = {zone.id: () for zone in zones}
        for zone in zones:
            chain: list[ZoneId] = []
            at = zone.parent
            while at:
                if at == zone.id or at in chain:
                    raise ValueError(f"zone {zone.id} lies inside itself")
                chain.append(at)
                parent = self.by_id.get(at)
                if parent is None:
                    raise ValueError(f"zone {zone.id} lies in zone {at}, which does not exist")
                at = parent.parent
            self._outer[zone.id] = tuple(chain)
            for outer in chain:
                self._inner[outer] = (*self._inner[outer], zone.id)

    def outer(self, zone: ZoneId) -> tuple[ZoneId, ...]:
        """Return the zones that `zone` lies in, nearest first."""
        return self._outer.get(zone, ())

    def inner(self, zone: ZoneId) -> tuple[ZoneId, ...]:
        """Return the zones that lie inside `zone`."""
        return self._inner.get(zone, ())
