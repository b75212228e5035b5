"""What a list says of the venue, in the form that deciding needs. Refused whole where any of it cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass

from admission.days import days_of
from admission.digests import KEY_BYTES_MAX, KEY_BYTES_MIN
from admission.entitlements import LanePlan, ZoneTree
from admission.ids import GateId, ZoneId
from admission.keys import IssuerKey, KeyFormat, KeyRing, KeyStatus, kid_of
from admission.question import VenueFacts
from edge.schedule import Schedule, schedule_of, timezone_of
from sync.wire.lists import EventInfo, ListHead

U32_MAX = 2**32 - 1
"""An event and a generation in a LIST_APPLIED record (DESIGN.md, Records)."""
I64_MAX = 2**63 - 1
"""A version and a seal's time as SQLite keeps them."""


@dataclass(frozen=True, slots=True)
class Venue:
    """All that one gate judges by, beside the rows of the list."""

    facts: VenueFacts
    ring: KeyRing
    digest_key: bytes
    plans: Mapping[int, LanePlan]
    """By lane, of this gate only."""
    zone_gates: Mapping[ZoneId, tuple[GateId, ...]]
    """The other gates that serve a zone."""
    schedule: Schedule
    """What happens at this gate by itself."""


def venue_of(head: ListHead, gate: GateId) -> Venue:
    """Return what a list says, for one gate. ValueError where it contradicts itself, whichever gate that concerns."""
    if not KEY_BYTES_MIN <= len(head.digest_key) <= KEY_BYTES_MAX:
        raise ValueError(f"the list's digest key has {len(head.digest_key)} bytes")
    for event in head.events:
        _check_seal(event)
    for other, indexes in head.gate_lanes.items():
        if not all(0 <= index < len(head.plans) for index in indexes):
            raise ValueError(f"gate {other} is given a lane plan that the list does not hold")
    facts = VenueFacts(
        zones=ZoneTree(head.zones),
        sessions={(one.event, one.id): one for one in head.sessions},
        products={(one.event, one.id): one for one in head.products},
        list_cut_s={one.id: one.sealed_at_s for one in head.events},
        this_gate=gate,
        days=days_of(head.sessions, {one.id: timezone_of(one.timezone) for one in head.events}),
    )
    zone_gates = {
        zone.id: tuple(one.id for one in head.gates if zone.id in one.zones and one.id != gate)
        for zone in head.zones
    }
    plans: dict[int, LanePlan] = {
        head.plans[index].lane: head.plans[index] for index in head.gate_lanes.get(gate, ())
    }
    schedule = schedule_of(head, gate, plans.values(), facts.zones)
    return Venue(facts, _ring(head), head.digest_key, plans, zone_gates, schedule)


def _ring(head: ListHead) -> KeyRing:
    return KeyRing(
        IssuerKey(
            kid=kid_of(key.public),
            public=key.public,
            format=KeyFormat(key.format),
            event=key.event,
            not_before=key.not_before,
            not_after=key.not_after,
            status=KeyStatus(key.status),
        )
        for key in head.keys
    )


def _check_seal(event: EventInfo) -> None:
    """ValueError where the seal could not be recorded: a list whose use leaves no trace must not be used."""
    in_u32 = 0 <= event.id <= U32_MAX and 0 <= event.generation <= U32_MAX
    if not (in_u32 and 0 <= event.version <= I64_MAX and 0 <= event.sealed_at_s <= I64_MAX):
        raise ValueError(f"event {event.id} has a seal out of range")
