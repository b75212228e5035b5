"""What the centre publishes, and what gates go by: the settings, and what each code is worth.

Once healed every gate judges by the centre's own settings, and each code stands for the same ticket and is worth the same
there as at the centre; also after its power failed, and with no link to anybody. At no time does a gate judge by settings
that were over at the version of its list, or at one that it had said to hold.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from admission.entitlements import CredentialStanding, Ticket
from admission.ids import GateId, ZoneId
from admission.keys import KeyFormat, KeyRing
from admission.question import VenueFacts
from edge.venue import venue_of
from sync.events.rows import GROUP
from sync.gates import lists
from sync.wire.deltas import digest_of, settings_head
from sync.wire.lists import ListHead
from tests.sim.centre import SimCentre
from tests.sim.gate import SimGate
from tests.sim.history import History, Place
from tests.sim.premises import EVENT

Judged = tuple[object, ...]
Worth = tuple[tuple[Ticket, CredentialStanding], ...]
"""The tickets that a code stands for, and how."""


@dataclass(frozen=True, slots=True)
class Published:
    """The centre's list: all that gates are to judge by."""

    place: Place
    digest: bytes
    head: ListHead
    codes: Mapping[bytes, Worth]


@dataclass(frozen=True, slots=True)
class GoesBy:
    """What a gate judges by. `when`: in the end, or switched on again."""

    when: str
    card: str
    gate: GateId
    place: Place
    digest: bytes
    venue: Judged
    codes: Mapping[bytes, Worth]


def published(centre: SimCentre) -> Published:
    """Read what the centre publishes, from its tables."""
    with centre.database.reading() as connection:
        head, rows = lists.content(connection, GROUP)
    codes: dict[bytes, Worth] = {}
    for row in rows:
        codes[row.digest] = (*codes.get(row.digest, ()), (head.ticket(row), row.credential_standing))
    (event,) = head.events
    worth = {code: _in_order(found) for code, found in codes.items()}
    return Published((event.generation, event.version), digest_of(settings_head(head)), head, worth)


def goes_by(when: str, gate: SimGate, codes: Iterable[bytes]) -> GoesBy:
    """Ask a gate that admits what it judges by."""
    daemon: Any = gate.daemon
    judge, head = daemon.judge, daemon.lists._deltas.head
    worth: dict[bytes, Worth] = {}
    for code in codes:
        newer = daemon.memory.credential_of(EVENT, code)
        worth[code] = _in_order(
            (judge._current(ticket), listed if newer is None else newer)
            for ticket, listed in judge._list.lookup(code)
        )
    (event,) = head.events
    return GoesBy(
        when,
        gate.card,
        gate.id,
        (event.generation, event.version),
        digest_of(settings_head(judge._list.head)),
        _judged(judge.venue, judge._plans, judge._zone_gates, judge._digest_key, judge._ring),
        worth,
    )


def _in_order(worth: Iterable[tuple[Ticket, CredentialStanding]]) -> Worth:
    return tuple(sorted(worth, key=lambda one: (one[0].event, one[0].id)))


def _judged(
    facts: VenueFacts, plans: Mapping[int, Any], zone_gates: Mapping[ZoneId, Any], key: bytes, ring: KeyRing
) -> Judged:
    """Put what is judged by into what compares; the time of the newest seal is none of it."""
    keys = ring.of_format(KeyFormat.TK1)
    return facts.zones.by_id, facts.sessions, facts.products, dict(plans), dict(zone_gates), key, keys


def gone_by(wanted: Published, found: GoesBy) -> Iterator[str]:
    """Hold what a gate judges by against what the centre publishes."""
    card, when = found.card, found.when
    if found.place != wanted.place:
        yield f"{card} goes by the list of {found.place}, {when}, and the centre's is {wanted.place}"
    venue = venue_of(wanted.head, found.gate)
    if found.digest != wanted.digest:
        yield f"{card} goes by other settings than the centre's, {when}"
    elif found.venue != _judged(venue.facts, venue.plans, venue.zone_gates, venue.digest_key, venue.ring):
        yield f"{card} judges by something else than its settings, {when}"
    for code, worth in wanted.codes.items():
        if found.codes[code] != worth:
            yield f"a code is {_say(found.codes[code])} at {card}, {when}, and {_say(worth)} at the centre"


def _say(worth: Worth) -> str:
    return ", ".join(
        f"ticket {ticket.id} of holder {ticket.holder} ({ticket.standing!r}, {standing!r})"
        for ticket, standing in worth
    )


def as_said(history: History, wanted: Published) -> Iterator[str]:
    """Look at what the centre publishes: of a ticket and of a code what was said of it last, by people."""
    standings = {word.ticket: word.standing for word in history.standing_words if word.void_s is None}
    codes = {word.digest: word for word in history.code_words if word.void_s is None}
    for ticket in {ticket.id: ticket for worth in wanted.codes.values() for ticket, _ in worth}.values():
        if ticket.standing != standings.get(ticket.id, 0):
            yield f"ticket {ticket.id} is {ticket.standing!r} at the centre, and was said to be {standings.get(ticket.id, 0)}"
    for code, word in codes.items():
        (found,) = wanted.codes[code]
        if found[1] != word.standing:
            yield f"code {word.code!r} is {found[1]!r} at the centre, and was said to be {word.standing}"


def never_older(history: History) -> Iterator[str]:
    """Look at all settings that gates ever judged by."""
    for one in history.went_with:
        told = [place for at_s, place in history.told_places.get(one.card, ()) if at_s < one.at_s]
        newest = max((one.place, *told))
        if not _is_in_force_after(history, one.digest, newest):
            what = "settings that were over at" if newest == one.place else "older settings than those of"
            yield f"{one.card} judged by {what} {newest}, {one.at_s:.3f} s"


def _is_in_force_after(history: History, digest: bytes, place: Place) -> bool:
    """Whether settings were the centre's at this version of the list, or at a later one."""
    ends = [one.place for one in history.in_force[1:]]
    return any(
        one.digest == digest and (number >= len(ends) or ends[number] > place)
        for number, one in enumerate(history.in_force)
    )


__all__ = ["GoesBy", "Published", "as_said", "goes_by", "gone_by", "never_older", "published"]
