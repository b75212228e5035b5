"""What check-in stations owe: a band that was told bound is on the disk; a band opens for whoever bound it, and never with
the paper beside it where a gate knows; what was taken back opens as before; and once healed everybody says the same.

Whose a band is is worked out here anew, from the records alone (`_stands`); `admission.binds` is not asked.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from admission.ids import RecordId
from admission.presence import rows_of
from admission.records import Direction, Extension, Kind, Outcome, unpack_bound
from tests.sim.evidence import Evidence
from tests.sim.hardware import NXP, UID_BYTES
from tests.sim.history import Log, Shown
from tests.sim.lost_ends import known_alone
from tests.sim.premises import TICKETS, code_of

_OURS = 9
"""Second byte of every band's UID."""
CENTRE = "centre"


class Bind(NamedTuple):
    """One record that bound a band to a ticket."""

    record: RecordId
    ticket: int
    uid: bytes


def band_of(number: int) -> bytes:
    """Return the UID of a wristband."""
    return bytes((NXP, _OURS)) + number.to_bytes(UID_BYTES - 2, "big")


def is_band(code: bytes) -> bool:
    """Whether what is shown is one of those."""
    return len(code) == UID_BYTES and code[:2] == bytes((NXP, _OURS))


def bands(at: Evidence) -> Iterator[str]:
    """Look at all that was bound, and at whom bands and papers let in."""
    binds = binds_of(at)
    if not binds:
        return
    yield from _told(at, binds)
    yield from _opened(at, binds)
    yield from _bound_again(at, binds)
    yield from _equal(at, binds)


def binds_of(at: Evidence) -> list[Bind]:
    """Return every bind that a gate wrote down."""
    found: list[Bind] = []
    for name, (body, extensions) in at.bodies.items():
        for one in extensions if body.kind is Kind.BIND and body.ticket is not None else ():
            if one.type is Extension.BOUND:
                assert body.ticket is not None
                found.append(Bind(name, body.ticket[1], unpack_bound(one.payload).uid))
    return found


def takers(at: Evidence) -> Mapping[RecordId, list[RecordId]]:
    """Return the records that take something back, by what they take back."""
    found: dict[RecordId, list[RecordId]] = defaultdict(list)
    for name, (body, extensions) in at.bodies.items():
        if body.kind is Kind.ANNUL:
            for row in rows_of(name.gate, name.epoch, body, extensions, at.placed_us[name]):
                for one in row.names:
                    found[one].append(name)
    return found


def _is_sole(bind: Bind, binds: list[Bind]) -> bool:
    """Whether nobody else ever bound that band or that ticket."""
    return all(one == bind or (one.uid != bind.uid and one.ticket != bind.ticket) for one in binds)


# --- what was told ------------------------------------------------------------------------------------------------


def _told(at: Evidence, binds: list[Bind]) -> Iterator[str]:
    """Who is told that a band stands for the ticket has it on the disk; who is told that it does not has no bind."""
    known = {one.record: one for one in binds}
    for told in at.history.bound:
        say = f"ticket {told.ticket} at the desk of {told.card}, {told.at_s:.3f} s"
        if known.get(told.record) != Bind(told.record, told.ticket, told.uid):
            yield f"told bound, and not recorded: {say}"
        elif not told.durable:
            yield f"told bound before it was durable: {say}"
    gone = takers(at)
    for shown in at.history.tapped:
        if shown.answer is None or shown.answer.outcome != Outcome.DENY:
            continue
        for bind in binds:
            is_its = (bind.ticket, bind.uid) == (shown.ticket, shown.code)
            now = shown.order <= at.history.made[bind.record] <= shown.answered
            counts = bind.record in at.logs.records and not gone[bind.record]
            if is_its and now and at.history.made_by[bind.record] == shown.card and counts:
                yield f"told not bound, and bound: ticket {shown.ticket} at the desk of {shown.card}, {shown.at_s:.3f} s"


# --- what opened --------------------------------------------------------------------------------------------------


def _opened(at: Evidence, binds: list[Bind]) -> Iterator[str]:
    """A band lets in its ticket alone, and not once that was taken back; a paper nobody, once its band is known."""
    history, gone = at.history, takers(at)
    for shown in history.shown:
        for one in shown.releases:
            if one.way is not Direction.ENTRY or one.ticket != shown.ticket or one.body.kind is not Kind.SCAN:
                continue
            made, say = history.made[one.record], f"ticket {one.ticket} at {one.card}, {one.at_s:.3f} s"
            own = [bind for bind in binds if bind.ticket == one.ticket]
            if is_band(shown.code):
                own = [bind for bind in own if bind.uid == shown.code and history.made[bind.record] < made]
                if not own:
                    yield f"let in by a band that nobody had bound: {say}"
                elif all(
                    any(history.went_by(one.card, one.record, name) for name in gone[bind.record])
                    for bind in own
                ):
                    yield f"let in by a band that was taken back: {say}"
            elif shown.code == code_of(shown.ticket):
                for bind in own:
                    known = history.went_by(one.card, one.record, bind.record)
                    if known and not gone[bind.record] and _is_nobody_elses(bind, binds):
                        yield f"let in by a paper that a band stands for: {say}"


def _is_nobody_elses(bind: Bind, binds: list[Bind]) -> bool:
    return all(one.ticket == bind.ticket for one in binds if one.uid == bind.uid)


def _bound_again(at: Evidence, binds: list[Bind]) -> Iterator[str]:
    """A station binds no band that it knows to be another's, and no ticket that it knows to have a band."""
    gone = takers(at)
    for bind in binds:
        card = at.history.made_by[bind.record]
        for other in binds:
            if other == bind or gone[other.record] or not at.history.went_by(card, bind.record, other.record):
                continue
            if other.uid == bind.uid and other.ticket != bind.ticket:
                yield f"a band of ticket {other.ticket} was bound to ticket {bind.ticket}, and {card} knew"
            if other.ticket == bind.ticket and other.uid != bind.uid and _is_nobody_elses(other, binds):
                yield f"ticket {bind.ticket} has a band and was given another, and {card} knew"


def should_open(at: Evidence, shown: Shown) -> bool:
    """Whether a gate surely knew that a band stands for its ticket, when it was shown there."""
    binds, gone = binds_of(at), takers(at)
    return any(
        (bind.ticket, bind.uid) == (shown.ticket, shown.code)
        and _is_sole(bind, binds)
        and not gone[bind.record]
        and all(at.history.knew(shown.card, bind.record, early) for _, early in at.history.moments(shown))
        for bind in binds
    )


def may_be_replaced(at: Evidence, shown: Shown) -> bool:
    """Whether a gate may have known that a band stands for a ticket, when its paper was shown there."""
    gone = takers(at)
    return any(
        bind.ticket == shown.ticket
        and at.history.made[bind.record] <= shown.answered
        and not any(
            all(at.history.knew(shown.card, name, early) for _, early in at.history.moments(shown))
            for name in gone[bind.record]
        )
        for bind in binds_of(at)
    )


# --- in the end ---------------------------------------------------------------------------------------------------


def _equal(at: Evidence, binds: list[Bind]) -> Iterator[str]:
    """Once healed each code and each band opens the same everywhere: what the records say of it."""
    for card, account in at.accounts.items():
        alone = known_alone(at, account) or at
        yield from _as_recorded(card, alone, binds, alone.forwarded)
    if CENTRE in at.history.opens and not at.history.tampered:
        yield from _as_recorded(CENTRE, at, binds, at.forwarded)


def _as_recorded(card: str, at: Evidence, binds: list[Bind], ends: Mapping[Log, int]) -> Iterator[str]:
    told = {name for name in at.rows if name.seq <= ends.get((name.gate, name.epoch), 0)}
    gone = {taken for taken, names in takers(at).items() if any(name in told for name in names)}
    counted = [one for one in binds if one.record in told and one.record not in gone]
    counted.sort(key=lambda one: (at.rows[one.record].time_us, one.record))
    for code, opens in at.history.opens.get(card, {}).items():
        wanted = _stands(code, counted)
        if opens != wanted:
            what = f"band {code.hex()}" if is_band(code) else "a paper"
            yield f"{what} opens {sorted(opens)} at {card}, and {sorted(wanted)} by the records"


def _stands(code: bytes, binds: list[Bind]) -> frozenset[int]:
    """Return which tickets a band or paper opens: of binds in their order the first of a band and of a ticket is right."""
    if is_band(code):
        first = next((one for one in binds if one.uid == code), None)
        if first is None or next(one for one in binds if one.ticket == first.ticket).uid != code:
            return frozenset()
        return frozenset({first.ticket})
    ticket = _ticket_of(code)
    first = next((one for one in binds if one.ticket == ticket), None)
    is_theirs = first is not None and next(one for one in binds if one.uid == first.uid).ticket == ticket
    return frozenset() if is_theirs else frozenset({ticket})


def _ticket_of(paper: bytes) -> int:
    return next(number for number in range(1, TICKETS + 1) if code_of(number) == paper)


__all__ = ["band_of", "bands", "is_band", "may_be_replaced", "should_open"]
