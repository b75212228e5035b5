"""What one decision rests on, and the answer: values only, judged by `admission.decide`."""

from collections.abc import Mapping

import msgspec

from admission.credentials import Identity, Known
from admission.days import NO_DAYS, Days
from admission.entitlements import CredentialStanding, LanePlan, Product, Session, Ticket, ZoneTree
from admission.ids import EventId, GateId, LaneId, ProductId, RecordId, SessionId
from admission.reasons import Reason
from admission.records import Direction, Flag, Outcome, Trust


class LastUse(msgspec.Struct, frozen=True, gc=False):
    """The newest entry that counts: shown with `already_used` and `already_inside`."""

    record: RecordId
    lane: LaneId
    time_us: int


class Tally(msgspec.Struct, frozen=True, gc=False):
    """What presence (`admission.presence`) knows of one ticket, at the lane's zone and the session it would use.

    `uses_*` count entries that are a use (no re-entries), reserved or committed. `inside` counts the ticket's people
    in the lane's zone now, with those who only reserved. `entries` are the live entries an exit here would close,
    newest first.
    """

    uses_session: int = 0
    uses_day: int = 0
    uses_total: int = 0
    inside: int = 0
    passed: int = 0
    """Those of them whose passage was seen, or assumed where no sensor is: they are known to be inside."""
    last: LastUse | None = None
    exit_pending: bool = False
    """An exit of this ticket is reserved and its passage not yet seen."""
    unresolved: int = 0
    """Reservations of an ended epoch of this gate without an end; counted in `inside`."""
    unresolved_uses: int = 0
    """Those of them that are a use, no re-entry; counted in `uses_*`."""
    unresolved_ids: tuple[RecordId, ...] = ()
    """Which they are, oldest first: an entry let in after the restart names the one it stands for."""
    entries: tuple[RecordId, ...] = ()
    frozen: tuple[RecordId, ...] = ()
    """Entries whose people a fire alarm sent out and who may come in again now, oldest first."""
    doubted: bool = False
    """A gate that claims more than its lanes can do claims a use of the ticket; nothing of that is counted here."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One ticket the credential stands for. `listed` is False for one known by its signature alone."""

    ticket: Ticket
    product: Product
    tally: Tally = Tally()
    credential: CredentialStanding = CredentialStanding.ACTIVE
    listed: bool = True


class ClockFacts(msgspec.Struct, frozen=True, gc=False):
    """The time as this box knows it. `floor_s`: certainly past (build date, centre-signed time)."""

    now_s: int
    trust: Trust
    floor_s: int


class LaneFacts(msgspec.Struct, frozen=True, gc=False):
    """What the lane is able to do now."""

    plan: LanePlan
    open: bool = True
    """The lane state admits at all: controlled, free exit or rehearsal."""
    ready: bool = True
    busy: bool = False
    """Another person is passing."""
    after_restart: bool = False
    """Within 2 min of being ready again, at the lane where an unresolved reservation was made."""
    let_in_after_restart: bool = True
    """Lane config for unattended lanes: let the unresolved in once, flagged; False: the use is burnt."""


class VenueFacts(msgspec.Struct, frozen=True, gc=False):
    """What is known beyond the lane and the ticket; changes seldom, so it is built once per list."""

    zones: ZoneTree
    sessions: Mapping[tuple[EventId, SessionId], Session]
    products: Mapping[tuple[EventId, ProductId], Product]
    list_cut_s: Mapping[EventId, int]
    """Per event, the seal time of the applied list; a signed ticket issued later may be unlisted."""
    this_gate: GateId = GateId(0)
    days: Mapping[EventId, Days] = {}
    """Per event, which day a use is of."""

    def days_of(self, event: EventId) -> Days:
        """Return on which days the uses of an event are."""
        return self.days.get(event, NO_DAYS)


class Question(msgspec.Struct, frozen=True, gc=False):
    """All that one decision rests on."""

    direction: Direction
    """NONE: a single reader for both ways; exit only for a ticket known inside."""
    identity: Identity
    candidates: tuple[Candidate, ...]
    lane: LaneFacts
    venue: VenueFacts
    clock: ClockFacts
    cut_off: bool = False
    """A roster gate that serves the same zone has not been heard for 30 s."""
    asking: bool = False
    """Nobody asked for it while nobody came: it is being asked now, and an answer may come within moments."""
    occupancy_high: int | None = None
    """Upper bound of people in the lane's zone (this gate's share of it when cut off); None: unknown, not judged."""
    capacity: int = 0
    """Of the lane's zone (this gate's share when cut off); 0 is unlimited."""
    previous: "Verdict | None" = None
    """The answer already given under the same scan id."""
    tapped: int = -1
    """The highest counter seen of the tag that proves itself by one; -1: none yet."""

    @property
    def replayed(self) -> bool:
        """Whether what was presented was a tag's message, and was heard before."""
        identity = self.identity
        return (
            isinstance(identity, Known) and identity.counter is not None and identity.counter <= self.tapped
        )


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The answer, a value in every case."""

    outcome: Outcome
    reason: Reason = Reason.NONE
    direction: Direction = Direction.ENTRY
    candidate: Candidate | None = None
    """The ticket the answer is about, where one was found."""
    session: SessionId = SessionId(0)
    """The session whose use this is."""
    flags: Flag = Flag.NONE
    gate: GateId = GateId(0)
    """With `wrong_zone` the gate that serves the ticket; with used and inside the gate of the last use."""
    last: LastUse | None = None
    since_s: int = 0
    """With `too_early` when it opens, with `expired` when it ended: unix seconds."""
    alert_staff: bool = False
    observed: tuple[RecordId, ...] = ()
    """With an exit, the entries it closes; with an entry let in or checked after a restart, the reservation it is for; after an
    alarm, the entry whose person comes in again."""
    repeated: bool = False
    """True for the same scan id again: nothing is recorded, no pulse."""
