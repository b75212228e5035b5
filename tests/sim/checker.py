"""Holds what the venue knows, once all is healed, against what really happened.

`check` returns what is wrong, each line with the promise that is broken. What is excused stands in the history as a
condition with a policy; nothing else is.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from admission import chain
from admission.chain import Trouble
from admission.entitlements import Mode
from admission.ids import Epoch, GateId, RecordId, ZoneId
from admission.presence import Bounds, DoubleKind, PresenceRow, Reset, State, TicketPresence, fold, rows_of
from admission.records import (
    Direction,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    record_from_bytes,
)
from admission.resets import Resets
from edge.occupancy import Occupancy
from edge.verify import known_keys, verify_log
from sync.wire.replication import head_in
from tests.sim.accounts import TREE, Account, Key, told_of
from tests.sim.alarms import alarms
from tests.sim.bands import bands, is_band, should_open
from tests.sim.centre import Logs
from tests.sim.evidence import Evidence, bodies_of, known_presence, meaning_of, placed_of
from tests.sim.hardware import HOLD_S
from tests.sim.history import History, Log, Release, Shown
from tests.sim.lost_ends import known_alone, lost_ends
from tests.sim.met import GateSeen
from tests.sim.nearness import pushed
from tests.sim.nights import nights
from tests.sim.people import LEAVES_S, PATIENCE_S
from tests.sim.premises import BOX, EVENT, HALL, PRODUCT_OF, key_of, limits_of_ticket, ticket_of
from tests.sim.quarantined import quarantined
from tests.sim.refusals import SETTLES_S, refusals, waits
from tests.sim.staleness import staleness

EXIT_S = 20.0
"""An exit is through by then: it waits for the arm at most 10 s, and for a card that hangs 5."""
CUT_OFF_S = 36.0
"""A gate whose link is down for so long treats the others as not heard: 30 s, and what was under way."""


def check(
    history: History,
    logs: Logs,
    forwarded: Mapping[Log, int],
    gates: Mapping[str, GateSeen],
    accounts: Mapping[str, Account],
) -> list[str]:
    """Return what is wrong."""
    strange = list(_strange(history, logs))
    if strange:
        return strange  # by such logs nothing else can be judged
    bodies = bodies_of(history.records)
    rows, resets = meaning_of(logs.records)
    # What is in quarantine says nothing any more.
    rows = {name: row for name, row in rows.items() if not history.is_quarantined(name)}
    resets = {name: reset for name, reset in resets.items() if not history.is_quarantined(name)}
    evidence = Evidence(
        history, logs, forwarded, gates, accounts, rows, resets, bodies, placed_of(bodies), {}
    )
    evidence.presences.update(_presences(evidence))
    return [
        problem
        for look in (
            _acknowledged_once, _durable_kept, _released_once, _durable_before_released, _passages, _known_uses, _physical_doubles,
            _doubles_reported, _annuls, _answers_recorded, _grants_right, _cancels, _replaced, _exits, _exits_opened, _centre_folds,
            _presence_equal, _logs_verify, _forks_told, _unsure, refusals, waits, pushed,
            alarms, quarantined, staleness, lost_ends, bands, nights,
        )
        for problem in look(evidence)
    ]  # fmt: skip


# --- records ------------------------------------------------------------------------------------------------------


def _acknowledged_once(at: Evidence) -> Iterator[str]:
    """Every acknowledged record is at the centre, byte for byte."""
    for one in at.history.releases:
        blob = at.history.records[one.record]
        held = at.logs.records.get(one.record) == blob or (one.record, blob) in at.logs.forks
        lost_in_memory = one.body.flags & Flag.BEFORE_DURABLE or (
            not one.durable and (one.way is Direction.EXIT or _card_failed(at, one))
        )
        lost = one.record in at.history.destroyed or at.history.is_kept_out(one.record)
        if not held and not lost and not lost_in_memory:
            yield f"acknowledged, and not at the centre: {_say(one.record)} of {one.card}, at {one.at_s:.3f} s"


def _strange(history: History, logs: Logs) -> Iterator[str]:
    """What is at the centre some gate made."""
    for name, blob in logs.records.items():
        if history.records.get(name) != blob:
            yield f"at the centre, and made by nobody: {_say(name)}"


def _durable_kept(at: Evidence) -> Iterator[str]:
    """What the store once called durable is at the centre in the end, unless its card was taken away."""
    for name, blob in at.history.records.items():
        if not _was_durable(at, name) or name in at.history.destroyed or at.history.is_kept_out(name):
            continue
        if at.logs.records.get(name) != blob and (name, blob) not in at.logs.forks:
            yield f"durable, and not at the centre: {_say(name)} of {at.history.made_by[name]}"


def _was_durable(at: Evidence, name: RecordId) -> bool:
    return at.history.durable.get(at.history.made_by[name], {}).get((name.gate, name.epoch), 0) >= name.seq


def _released_once(at: Evidence) -> Iterator[str]:
    """An arm is commanded once for a record, and once for a presentation."""
    seen: set[RecordId] = set()
    for one in at.history.releases:
        if one.record in seen:
            yield f"released twice on {_say(one.record)} of {one.card}, at {one.at_s:.3f} s"
        seen.add(one.record)
    for shown in at.history.shown:
        own = sum(one.ticket in {None, shown.ticket} for one in shown.releases)
        if own > 1:
            yield f"{own} releases for one presentation of ticket {shown.ticket} at {shown.card}, {shown.at_s:.3f} s"


def _durable_before_released(at: Evidence) -> Iterator[str]:
    """A grant is on the disk before the arm moves; by policy not while the disk fails, and never for an exit."""
    for one in at.history.releases:
        if one.body.flags & Flag.BEFORE_DURABLE and not _card_failed(at, one):
            yield f"recorded as in memory only, and the disk works: {_say(one.record)} of {one.card}, at {one.at_s:.3f} s"
        if one.durable or one.way is Direction.EXIT or one.body.flags & Flag.BEFORE_DURABLE:
            continue
        if not _card_failed(at, one):
            yield f"released before {_say(one.record)} of {one.card} was durable, at {one.at_s:.3f} s"


def _card_failed(at: Evidence, one: Release) -> bool:
    """Whether somebody was let in from memory, since the disk took nothing: the policy `admit_in_memory`."""
    return at.history.was("card fails", one.card, one.at_s - 10.0, one.at_s)


def _passages(at: Evidence) -> Iterator[str]:
    """Who was seen to walk through counts; who turned back, at a gate that went on, does not."""
    presences = at.presences
    said = _said_of(at)
    for one in at.history.releases:
        ticket = one.body.ticket
        if ticket is None or one.record not in at.logs.records or ticket not in presences:
            continue
        if one.record.gate in at.history.shut_out or _alarmed(at, one):
            continue
        if _is_forgotten(at, said[one.record]):
            continue
        state = presences[ticket].state(one.record)
        if one.seen and state not in {State.COMMITTED, State.ANNULLED}:
            yield f"passed and seen, and not counted: {_say(one.record)} of {one.card} is {state.name.lower()}"
        sensed = at.gates[one.card].arms[one.body.lane].contact_of(one.way) is not None
        if one.walked_s is not None or not sensed or _contacts_lost(at, one):
            continue
        if state is State.COMMITTED and not _walked_annulled(at, one):
            yield f"nobody walked, and counted: {_say(one.record)} of {one.card}"
        if state is State.RESERVED and not _ended_within(at, one, 12.0):
            yield f"turned back, and never given back: {_say(one.record)} of {one.card}"


def _is_forgotten(at: Evidence, said: Sequence[RecordId]) -> bool:
    """Whether one of the records that speak of an admission was written, and lost with the program, the power or the card."""
    return any(name in at.history.destroyed or not _was_durable(at, name) for name in said)


def _alarmed(at: Evidence, one: Release) -> bool:
    """Whether an alarm rang before whoever was let in had passed: then that is given back, and the arm is open to anybody."""
    return at.history.was(
        "fire", one.card, one.at_s, one.at_s + 12.0 if one.walked_s is None else one.walked_s
    )


def _walked_annulled(at: Evidence, one: Release) -> bool:
    """Whether somebody walked whom staff had taken back meanwhile: the passage is then the last one's given back."""
    return any(
        other.record in at.history.annulled
        and (other.card, other.body.lane) == (one.card, one.body.lane)
        and other.walked_s is not None
        and one.at_s < other.walked_s < one.at_s + 12.0
        for other in at.history.releases
    )


def _said_of(at: Evidence) -> dict[RecordId, list[RecordId]]:
    """By record, those that speak of it: its passage, or its not coming."""
    found: dict[RecordId, list[RecordId]] = defaultdict(list)
    for name, (body, _) in at.bodies.items():
        if body.ref:
            found[RecordId(name.gate, name.epoch, body.ref)].append(name)
    return found


def _contacts_lost(at: Evidence, one: Release) -> bool:
    return at.history.was("contacts", one.card, one.at_s - 10.0, one.at_s + 12.0)


def _ended_within(at: Evidence, one: Release, seconds: float) -> bool:
    """Whether the run that released somebody ended before it can have recorded what became of that."""
    boot = next(boot for boot in at.history.boots if boot.card == one.card and boot.number == one.boot)
    since_s = one.walked_s if one.walked_s is not None else one.at_s
    return boot.ended_s is not None and boot.ended_s <= since_s + seconds


# --- uses ---------------------------------------------------------------------------------------------------------


def _entries(at: Evidence) -> list[Release]:
    return [
        one
        for one in at.history.releases
        if one.way is Direction.ENTRY and one.body.ticket is not None and not one.body.flags & Flag.REHEARSAL
    ]


def _known_uses(at: Evidence) -> Iterator[str]:
    """No second entry is granted after the first was heard."""
    for one in _entries(at):
        if one.body.kind is Kind.OVERRIDE:
            continue
        assert one.body.ticket is not None
        ticket = ticket_of(one.body.ticket[1])
        known = known_presence(
            at,
            one.body.ticket,
            partial(_went_by, at, one),
            partial(at.history.may_have_gone_by, one.card, one.record),
        )
        uses, inside = known.uses(one.body.zone, one.body.session), known.inside(one.body.zone)
        product = PRODUCT_OF[ticket.product]
        mode = one.body.mode
        too_many = (
            (mode is Mode.NORMAL and uses >= ticket.admits)
            or (mode is Mode.ENTRY_EXIT and inside >= ticket.admits)
            or 0 < product.limit_day <= uses  # the evening is of one day
        )
        if known.frozen(one.body.zone, one.body.session):
            continue  # an alarm sent out one of the ticket's people, who may come in again
        if too_many and not one.body.flags & Flag.AFTER_RESTART:
            yield (
                f"granted although known: {_say(one.record)} of {one.card}, ticket {ticket.id}, {uses} uses and {inside} "
                f"inside of {ticket.admits}, at {one.at_s:.3f} s"
            )


def _went_by(at: Evidence, one: Release, name: RecordId) -> bool:
    return at.history.went_by(one.card, one.record, name) and not at.history.is_quarantined(name)


def _walked(at: Evidence) -> dict[Key, list[Release]]:
    """By ticket, the entries on which somebody walked in and was seen, in order of time."""
    found: dict[Key, list[Release]] = defaultdict(list)
    for one in _entries(at):
        counts = not (_alarmed(at, one) or at.history.is_quarantined(one.record))
        if one.walked_s is not None and one.seen and counts:
            assert one.body.ticket is not None
            found[one.body.ticket].append(one)
    return found


def _physical_doubles(at: Evidence) -> Iterator[str]:
    """The same by what people did: nobody walks in on a use of which the gate had seen the passage."""
    taken_back = _taken_back(at)
    for entries in _walked(at).values():
        for number, one in enumerate(entries):
            ticket = ticket_of(one.ticket or 0)
            if (
                one.body.mode is not Mode.NORMAL
                or one.body.flags
                & (Flag.AFTER_RESTART | Flag.REENTRY)  # what lets in again: see `_known_uses`
                or one.body.kind is Kind.OVERRIDE
            ):
                continue
            before = [
                other
                for other in entries[:number]
                if other.body.zone == one.body.zone
                and at.history.went_by(one.card, one.record, other.record)
                and other.record not in taken_back
                and not other.body.flags & Flag.REENTRY  # of somebody who is among them already
            ]
            if len(before) >= ticket.admits:
                yield f"walked in although {len(before)} had: {_say(one.record)} of {one.card}, ticket {ticket.id}"


def _doubles_reported(at: Evidence) -> Iterator[str]:
    """Every double is reported: by the mode of one entry or the day's limit, each use too many is among the centre's doubles."""
    presences = at.presences
    taken_back, said = _taken_back(at), _said_of(at)
    for key, entries in _walked(at).items():
        ticket = ticket_of(key[1])
        normal: dict[ZoneId, int] = defaultdict(int)
        often: dict[ZoneId, int] = defaultdict(int)
        limits = limits_of_ticket(ticket)
        presence = presences.get(key)
        if presence is None:
            continue
        for one in entries:
            counted = one.body.mode is Mode.NORMAL or (one.body.mode is Mode.MULTIPLE and limits.day)
            if (
                counted
                and not one.body.flags & Flag.REENTRY
                and one.record in at.logs.records
                and one.record not in taken_back
                # Given back, and taken after all by a latecomer of whom the card does not know.
                and not (
                    presence.state(one.record) is State.GIVEN_BACK and _is_forgotten(at, said[one.record])
                )
            ):
                (normal if one.body.mode is Mode.NORMAL else often)[one.body.zone] += 1
        found = presence.doubles(ticket.admits, limits)
        for zone, count in normal.items():
            reported = sum(
                double.zone == zone and double.kind in {DoubleKind.USE, DoubleKind.AFTER_RESTART}
                for double in found
            )
            if count - ticket.admits > reported:
                yield f"{count} walked in on ticket {ticket.id} that admits {ticket.admits}: {reported} doubles reported"
        for zone, count in often.items():
            reported = sum(
                double.zone == zone and double.kind in {DoubleKind.LIMIT, DoubleKind.AFTER_RESTART}
                for double in found
            )
            if count - limits.day > reported:
                yield f"{count} walked in on ticket {ticket.id} of {limits.day} a day: {reported} doubles reported"


def _unsure(at: Evidence) -> Iterator[str]:
    """A gate that is cut off says so of each entry that another may have taken."""
    if at.history.near:
        return  # it hears the others without a centre
    for one in _entries(at):
        cut = any(
            condition.what == "cut off"
            and condition.where == one.card
            and condition.since_s + CUT_OFF_S < one.at_s
            and (condition.until_s is None or condition.until_s > one.at_s)
            for condition in at.history.conditions
        )
        alone = one.body.zone == BOX  # served by one gate only
        if cut and not alone and one.body.kind is Kind.SCAN and not one.body.flags & Flag.UNSURE:
            yield f"cut off, and sure: {_say(one.record)} of {one.card}, at {one.at_s:.3f} s"


# --- cancels and exits --------------------------------------------------------------------------------------------


def _cancels(at: Evidence) -> Iterator[str]:
    """A cancel acknowledged by a gate is never admitted there after; nor does a lane that was closed admit."""
    for word in at.history.standing_words:
        if not word.standing:
            continue
        for one in _after_word(at, word.acked, word.void_s):
            later = any(
                other.ticket == word.ticket and other.at_s > word.at_s and other.at_s <= one.at_s
                for other in at.history.standing_words
            )
            if one.ticket == word.ticket and not later:
                yield f"cancelled, acknowledged, and admitted: ticket {word.ticket} at {one.card}, {one.at_s:.3f} s"
    for order in at.history.lane_words:
        if not order.closes:
            continue
        for one in _after_word(at, order.acked, order.void_s):
            later = any(
                (other.gate, other.lane) == (order.gate, order.lane) and order.at_s < other.at_s <= one.at_s
                for other in at.history.lane_words
            )
            here = at.gates[one.card].id == order.gate and one.body.lane == order.lane
            by_staff = at.history.was("opened by hand", one.card, order.at_s, one.at_s)
            if here and not later and not by_staff:
                yield f"closed, acknowledged, and admitted: lane {order.lane} of {one.card}, {one.at_s:.3f} s"


def _replaced(at: Evidence) -> Iterator[str]:
    """A code that was replaced, or a tag that was exchanged, lets nobody in any more where its gate acknowledged that."""
    for word in at.history.code_words:
        if not word.standing:
            continue
        after = {id(one) for one in _after_word(at, word.acked, word.void_s)}
        for shown in at.history.shown:
            if shown.code == word.code and any(
                id(one) in after and one.ticket == shown.ticket for one in shown.releases
            ):
                yield f"replaced, acknowledged, and admitted by: {word.code!r}, {_shown(shown)}"


def _after_word(at: Evidence, acked: Mapping[str, float], void_s: float | None) -> Iterator[Release]:
    """Yield the entries that a gate granted by itself after it said that it holds a word of the centre."""
    for one in _entries(at):
        acked_s = acked.get(one.card)
        if acked_s is None or one.body.kind is not Kind.SCAN or (void_s is not None and void_s <= one.at_s):
            continue
        if acked_s < one.made_s:
            yield one


def _answers_recorded(at: Evidence) -> Iterator[str]:
    """Whoever is told to go, in or out, is so on a record that says it: of that ticket, that way, at that lane."""
    for shown in at.history.shown:
        answer = shown.answer
        if answer is None or answer.outcome != Outcome.GRANT:
            continue
        found = at.bodies.get(RecordId(shown.gate, Epoch(answer.epoch), answer.seq))
        if found is None:
            if not _is_leaving(at, shown):
                yield f"granted, and not recorded: {_shown(shown)}"
            continue
        body = found[0]
        right = body.ticket is None if not shown.ticket else body.ticket == (EVENT, shown.ticket)
        # Without a list that can be read an exit is let out all the same, and is nobody's.
        blind = body.ticket is None and shown.way is Direction.EXIT
        # Nor does a gate that has not heard whose a band is.
        right = right or (blind and is_band(shown.code) and not should_open(at, shown))
        right = right or (
            blind and at.history.was("card fails", shown.card, shown.at_s - SETTLES_S, shown.answered_s)
        )
        grants = body.kind is Kind.SCAN and body.outcome is Outcome.GRANT
        if not (right and grants and (body.lane, body.direction) == (shown.lane, shown.way)):
            yield f"granted, and recorded as something else: {_shown(shown)}, {body}"


def _is_leaving(at: Evidence, shown: Shown) -> bool:
    """Whether the arm was just opened for the same ticket to leave: shown again, by paper or band, that is no other exit.

    Where no contact says that the first has passed, a second person of that ticket shows it again once the window is over.
    """
    return shown.way is Direction.EXIT and any(
        (one.card, one.body.lane, one.way, one.ticket) == (shown.card, shown.lane, shown.way, shown.ticket)
        and one.at_s <= shown.answered_s <= one.at_s + HOLD_S + 2.0
        for one in at.history.releases
    )


def _grants_right(at: Evidence) -> Iterator[str]:
    """Nobody is let in by a lane into a zone that the ticket is not for, nor without any ticket."""
    for one in at.history.releases:
        if one.way is not Direction.ENTRY or one.body.kind is not Kind.SCAN:
            continue
        zones = PRODUCT_OF[ticket_of(one.ticket).product].zones if one.ticket else ()
        if one.body.zone not in zones:
            yield f"let in, and has no ticket for zone {one.body.zone}: {_say(one.record)} of {one.card}"


def _shown(shown: Shown) -> str:
    return f"ticket {shown.ticket} at lane {shown.lane} of {shown.card}, {shown.at_s:.3f} s, {shown.way.name.lower()}"


def _exits(at: Evidence) -> Iterator[str]:
    """Exits are always granted."""
    for shown in at.history.shown:
        if shown.way is not Direction.EXIT or shown.answer is None:
            continue
        if shown.answer.outcome in {Outcome.DENY, Outcome.CHECK}:
            yield f"exit refused: ticket {shown.ticket} at {shown.card}, {shown.at_s:.3f} s, reason {shown.answer.reason}"


def _exits_opened(at: Evidence) -> Iterator[str]:
    """An exit that was granted opens, on a record; where the arm cannot be told it is recorded all the same."""
    for at_s, card, lane, way in at.history.unfounded:
        yield f"released without a record: {way.name.lower()} at lane {lane} of {card}, {at_s:.3f} s"
    for one in at.history.releases:
        if one.at_s - one.made_s > EXIT_S:
            yield f"released on an old record: {_say(one.record)} of {one.card}, at {one.at_s:.3f} s"
    for shown in at.history.shown:
        if shown.way is not Direction.EXIT or shown.admitted or _exit_held_up(at, shown):
            continue
        if shown.answer is None:
            yield f"exit never answered: ticket {shown.ticket} at {shown.card}, {shown.at_s:.3f} s"
        elif shown.answer.outcome is Outcome.GRANT and not _is_leaving(at, shown):
            yield f"exit granted, and never opened: ticket {shown.ticket} at {shown.card}, {shown.at_s:.3f} s"


def _exit_held_up(at: Evidence, shown: Shown) -> bool:
    """Whether arm or program were away, the card hung, or the lane was out of service, while somebody stood at an exit."""
    until_s = shown.at_s + PATIENCE_S + LEAVES_S
    return any(
        at.history.was(what, shown.card, shown.at_s - SETTLES_S, until_s)
        for what in ("relay", "card hangs", "off", "closed", "fire")
    ) or any(
        boot.card == shown.card
        and (
            shown.at_s - at.history.starts_s <= boot.began_s <= until_s
            or (boot.ended_s is not None and shown.at_s - 1.0 <= boot.ended_s <= until_s)
        )
        for boot in at.history.boots
    )


def _annuls(at: Evidence) -> Iterator[str]:
    """What a steward was told is taken back, is."""
    presences = at.presences
    for name in sorted(at.history.annulled):
        body = at.bodies[name][0]
        if name not in at.logs.records or body.ticket is None or not _annul_kept(at, name):
            continue
        if name.gate in at.history.shut_out:
            continue
        state = presences[body.ticket].state(name)
        if state is not State.ANNULLED:
            yield f"annulled, and counted: {_say(name)} is {state.name.lower()}"


def _annul_kept(at: Evidence, name: RecordId) -> bool:
    """Whether the annul was not lost with a card."""
    said = [
        one for one, (body, _) in at.bodies.items() if body.kind is Kind.ANNUL and _annuls_of(at, one) == name
    ]
    return all(one in at.logs.records for one in said)


def _taken_back(at: Evidence) -> set[RecordId | None]:
    """Return the admissions that were taken back, also those of which staff never heard that they were."""
    return {_annuls_of(at, name) for name, (body, _) in at.bodies.items() if body.kind is Kind.ANNUL}


def _annuls_of(at: Evidence, name: RecordId) -> RecordId | None:
    """Return which admission a record takes back, also one of a run before."""
    body, extensions = at.bodies[name]
    rows = rows_of(name.gate, name.epoch, body, extensions, at.placed_us[name])
    return next((named for row in rows for named in row.names), None)


# --- what all of them know ------------------------------------------------------------------------------------------


def _presences(at: Evidence, ends: Mapping[Log, int] | None = None) -> dict[Key, TicketPresence]:
    """Fold what the centre's records say; `ends`: only up to here of each log, as far as gates are told."""
    rows: dict[Key, list[PresenceRow]] = defaultdict(list)
    for row in at.rows.values():
        if ends is None or row.id.seq <= ends.get((row.id.gate, row.id.epoch), 0):
            rows[row.event, row.ticket].append(row)
    resets = _resets(at, ends)
    return {key: fold(found, resets, TREE) for key, found in rows.items()}


def _resets(at: Evidence, ends: Mapping[Log, int] | None) -> tuple[Reset, ...]:
    return tuple(
        reset
        for reset in at.resets.values()
        if ends is None or reset.id.seq <= ends.get((reset.id.gate, reset.id.epoch), 0)
    )


def _people(at: Evidence) -> dict[ZoneId, Bounds | None]:
    """Count everybody anew, by all that gates are told; None after an alarm until staff counted."""
    rows: dict[Key, list[PresenceRow]] = defaultdict(list)
    for row in at.rows.values():
        if row.id.seq <= at.forwarded.get((row.id.gate, row.id.epoch), 0):
            rows[row.event, row.ticket].append(row)
    counted = Occupancy(TREE, Resets(_resets(at, at.forwarded), TREE))
    for _ in counted.count(rows, lambda event, ticket: rows[event, ticket]):
        pass
    return {zone: counted.bounds(zone) for zone in (HALL, BOX)}


def _centre_folds(at: Evidence) -> Iterator[str]:
    """The centre's tables say of presence what its records do."""
    for what, wanted, found in (
        ("row", at.rows, {row.id: row for row in at.logs.rows}),
        ("reset", at.resets, {reset.id: reset for reset in at.logs.resets}),
    ):
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                yield f"the centre's {what} of {_say(name)} is {found.get(name)}, by its record {wanted.get(name)}"


def _presence_equal(at: Evidence) -> Iterator[str]:
    """Once healed everybody folds to the same presence, and counts the same people."""
    centre, totals = _presences(at, at.forwarded), _people(at)
    for card, gate in at.gates.items():
        account = at.accounts.get(card)
        if gate.id in at.history.shut_out:
            continue
        if account is None:
            yield f"{card} does not run"
            continue
        alone = known_alone(at, account)
        if alone is None:
            yield from _as_the_centre(card, account, centre, totals)
        else:
            yield from _as_the_centre(card, account, _presences(alone, alone.forwarded), _people(alone))


def _as_the_centre(
    card: str,
    account: Account,
    centre: Mapping[Key, TicketPresence],
    totals: Mapping[ZoneId, Bounds | None],
) -> Iterator[str]:
    nobody = fold((), (), TREE)
    for event, ticket in sorted({*centre, *account.presence}):
        key, sold = (event, ticket), ticket_of(ticket)
        found = account.presence.get(key) or told_of(nobody, sold)
        wanted = told_of(centre.get(key) or nobody, sold)
        if found != wanted:
            yield f"presence of ticket {ticket} at {card} is {found}, at the centre {wanted}"
    for zone, total in totals.items():
        counted = account.bounds[zone]
        if counted != total:
            yield f"people in zone {zone} at {card}: {counted}, by the centre {total}"


def _logs_verify(at: Evidence) -> Iterator[str]:
    """Logs verify, at each gate and at the centre; what a copied or older card leaves is told, and nothing else."""
    for card, gate in at.gates.items():
        daemon = gate.daemon
        if daemon is None:
            continue
        verdict = verify_log(gate.root, known_keys(gate.root, daemon.enrolment))
        for one in verdict.gates:
            problems = () if one.report is None else one.report.problems
            bad = [each for each in problems if not _is_told(at, one.gate, each.trouble)]
            if bad:
                yield f"the log of gate {one.gate} at {card}: {bad}"
    yield from _centre_verifies(at)


def _is_told(at: Evidence, gate: GateId, trouble: Trouble) -> bool:
    """Whether a log may have this wrong with it. The run that vouches for the end of the one before may be in quarantine."""
    if trouble is Trouble.TRUNCATED and gate in at.history.shut_out:
        return True
    return trouble in {Trouble.FORK, Trouble.REWIND} and gate in at.history.tampered


def _centre_verifies(at: Evidence) -> Iterator[str]:
    told = {Trouble.FORK, Trouble.REWIND}
    logs: dict[GateId, dict[Epoch, list[tuple[int, bytes]]]] = defaultdict(lambda: defaultdict(list))
    for name, blob in sorted(at.logs.records.items()):
        logs[name.gate][name.epoch].append((name.seq, blob))
    for gate, epochs in logs.items():
        report = chain.verify(gate, key_of(gate).public_key(), _in_order(epochs))
        for one in report.problems:
            if one.trouble not in told or gate not in at.history.tampered:
                yield f"the centre's log of gate {gate}: {one}"
    for gate, what in sorted(at.logs.troubles):
        # A carrier that brings more than a head covers is told so, and brings it again under the next one.
        # Of two binds of a band or a ticket one does not hold.
        usual = {"gap", "tag_taken", "ticket_bound"} | ({"unsigned"} if at.history.near else set())
        if what not in usual and gate not in at.history.tampered:
            yield f"the centre is told of {what} at gate {gate}, of which nobody touched the card"


def _forks_told(at: Evidence) -> Iterator[str]:
    """A run that goes on from before a head of the one it follows is told of at the centre."""
    logs: dict[Log, list[tuple[int, bytes]]] = defaultdict(list)
    for name, blob in sorted(at.logs.records.items()):
        logs[name.gate, name.epoch].append((name.seq, blob))
    for (gate, epoch), records in logs.items():
        before = _predecessor(records)
        signed = 0 if before is None else _signed_end(gate, before.epoch, logs.get((gate, before.epoch), ()))
        told = any(of == gate and what in {"fork", "rewind"} for of, what in at.logs.troubles)
        if before is not None and before.seq < signed and not told:
            yield f"run {epoch:016x} of gate {gate} goes on from {before.seq} of {signed}, and nobody is told"


def _signed_end(gate: GateId, epoch: Epoch, records: Sequence[tuple[int, bytes]]) -> int:
    heads = (head_in(gate, epoch, blob) for _, blob in records)
    return max((head.seq for head in heads if head is not None), default=0)


def _in_order(
    epochs: Mapping[Epoch, Sequence[tuple[int, bytes]]],
) -> Iterable[tuple[Epoch, Sequence[tuple[int, bytes]]]]:
    """Put epochs behind those that they follow on."""
    left = dict(epochs)
    done: set[Epoch] = set()
    while left:
        ready = [epoch for epoch, records in left.items() if _named(records) not in left]
        for epoch in ready or list(left):
            done.add(epoch)
            yield epoch, left.pop(epoch)


def _named(records: Sequence[tuple[int, bytes]]) -> Epoch:
    before = _predecessor(records)
    return Epoch(0) if before is None else before.epoch


def _predecessor(records: Sequence[tuple[int, bytes]]) -> chain.Predecessor | None:
    if len(records) < chain.PREDECESSOR_SEQ:
        return None
    record = record_from_bytes(records[1][1])
    return chain.Predecessor.from_bytes(record.payload) if isinstance(record, ExtensionRecord) else None


def _say(name: RecordId) -> str:
    return f"record {name.seq} of gate {name.gate}, epoch {name.epoch:016x}"
