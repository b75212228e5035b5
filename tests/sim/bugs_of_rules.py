"""Bugs of what is decided, of presence, of lists, and of what goes between gates and centre."""

from typing import Any

from admission import corrected, decide, presence, rules
from admission.entitlements import OfflinePolicy, Standing
from admission.presence import State, TicketPresence
from admission.question import Verdict
from admission.reasons import Reason
from admission.records import Direction, Flag, Outcome, record_from_bytes
from admission.resets import Resets
from edge import memory, timetable
from edge.deltas import Deltas
from edge.front.merged import Merged
from edge.memory import Memory
from edge.others import Others
from edge.overlay import Overlay
from sync.gates.changes import Changes
from sync.wire.peers import Talk
from sync.wire.replication import Accepted, Duplicate, Replica, Sender
from tests.sim.planted import Broken, Bug, Make, instead

# --- what is decided --------------------------------------------------------------------------------------------------


def _exit_refused(right: Any) -> object:
    def leave(question: Any) -> Verdict:
        found: Verdict = right(question)
        ticket = found.candidate.ticket if found.candidate is not None else None
        if ticket is not None and ticket.standing & Standing.CANCELLED:
            return Verdict(Outcome.DENY, Reason.CANCELLED, direction=Direction.EXIT)
        return found

    return leave


def _without_rule(name: str) -> Make:
    return lambda right: tuple(rule for rule in right if rule.__name__ != name)


def _no_reason(*reasons: Reason) -> Make:
    def make(right: Any) -> object:
        def use(*arguments: Any, **named: Any) -> Any:
            found = right(*arguments, **named)
            return Flag.NONE if found in reasons and isinstance(found, Reason) else found

        return use

    return make


def _refused_when_cut_off(right: Any) -> object:
    def offline(candidate: Any, question: Any, flags: Any) -> Any:
        if candidate.product.offline is OfflinePolicy.ADMIT_AND_FLAG:
            return Reason.OFFLINE
        return right(candidate, question, flags)

    return offline


def _said_sure(right: Any) -> object:
    def offline(candidate: Any, question: Any, flags: Any) -> Any:
        found = right(candidate, question, flags)
        return found if isinstance(found, Reason) else found & ~Flag.UNSURE

    return offline


# --- presence ---------------------------------------------------------------------------------------------------------


def _first_word(_right: Any) -> object:
    def reached(entries: Any, exits: Any, marks: Any) -> dict[Any, State]:
        found: dict[Any, State] = {}
        for mark in sorted(marks, key=lambda one: one.time_us):
            for name in mark.names:
                if name in entries or name in exits:
                    found.setdefault(name, mark.state)
        return found

    return reached


def _resets_all(_right: Any) -> object:
    def closing(self: Resets, entry: Any) -> Any:
        heard = self._heard.get((entry.zone, entry.id.gate, entry.id.epoch))
        return None if heard is None else heard[-1][1:]

    return closing


def _doubles_of_one_gate(right: Any) -> object:
    def doubles(self: TicketPresence, *arguments: Any) -> Any:
        return tuple(one for one in right(self, *arguments) if one.first.gate == one.second.gate)

    return doubles


def _latest_only(_right: Any) -> object:
    def close(committed: Any, entries: Any, closed: Any) -> None:
        for leaving in committed:
            for name in leaving.names[:1]:
                if name in entries and entries[name].id.gate == leaving.id.gate:
                    closed.setdefault(name, (leaving.time_us, leaving.id))

    return close


# --- lists and orders -------------------------------------------------------------------------------------------------


def _standings_not_taken(right: Any) -> object:
    def take(self: Deltas, asked: Any, rows: Any) -> Any:
        return right(self, asked, tuple(row for row in rows if not row.ticket.standing))

    return take


def _first_row_kept(right: Any) -> object:
    def put(self: Overlay, digest: bytes, row: Any, place: Any) -> None:
        if (row.ticket.event, row.ticket.id) not in self._rows.get(digest, {}):
            right(self, digest, row, place)

    return put


def _first_standing_kept(_right: Any) -> object:
    def changed(self: Memory, changes: Any) -> None:
        for one in changes:
            if one.ticket:
                self._standings.setdefault((one.event, one.ticket), Standing(one.standing))

    return changed


def _overlay_emptied(_right: Any) -> object:
    def prune(self: Overlay, _seals: object) -> None:
        self._rows.clear()
        self.count = 0

    return prune


def _one_row_short(right: Any) -> object:
    def made(self: Changes, known: Any, since: int) -> Any:
        rows = dict(known.rows)
        newer = [at for at, row in known.rows.items() if row.version > since]
        for at in newer[:1]:
            del known.rows[at]
        try:
            return right(self, known, since)
        finally:
            known.rows = rows

    return made


# --- replication ------------------------------------------------------------------------------------------------------


def _first_chunk_skipped(right: Any) -> object:
    def take(self: Merged, cursor: bytes, chunks: Any) -> Any:
        found = list(chunks)
        return right(self, cursor, found[1:] if len(found) > 1 else found)

    return take


def _duplicate_taken(right: Any) -> object:
    def offer(self: Replica, chunk: Any, *more: Any) -> Any:
        answer = right(self, chunk, *more)
        if isinstance(answer, Duplicate):
            state = self._logs.states[answer.epoch]
            read = tuple(map(record_from_bytes, chunk.blobs))
            return Accepted(answer.epoch, state.seq + 1, chunk.blobs, (), state, records=read)
        return answer

    return offer


def _all_thought_sent(right: Any) -> object:
    def heard(self: Sender, answer: Any) -> None:
        sent = dict(self._sent)
        right(self, answer)
        self._cursors.update(sent)
        for epoch, cursor in self._cursors.items():
            own = self._link_at(epoch, cursor.seq + 1)
            if own is not None:  # one too many
                self._cursors[epoch] = type(cursor)(cursor.seq + 1, own)

    return heard


def _tail_not_missed(right: Any) -> object:
    def lost(self: Merged, _epochs: Any) -> None:
        right(self, {})

    return lost


BUGS_OF_RULES = {
    "exit-refused": Bug("who is cancelled does not get out", (Broken(decide, "_exit", _exit_refused),), seed=26),
    "standing-not-judged": Bug("cancelled and banned tickets pass", (Broken(rules, "_RULES", _without_rule("_standing")),), seed=41),
    "zone-not-judged": Bug("any ticket opens any zone", (Broken(rules, "_RULES", _without_rule("_zone")),), seed=46),
    "use-not-judged": Bug("a ticket of one entry enters again", (Broken(rules, "_use", _no_reason(Reason.ALREADY_USED)),), seed=38),
    "refused-when-cut-off": Bug("who may enter by policy is refused", (Broken(rules, "_offline", _refused_when_cut_off),), seed=38),
    "limit-not-judged": Bug(
        "a ticket of two entries enters a third time", (Broken(rules, "_use", _no_reason(Reason.LIMIT_REACHED)),), seed=51),
    "unsure-not-said": Bug("who may be in already is let in without a word", (Broken(rules, "_offline", _said_sure),), seed=53),
    "heard-for-ever": Bug(
        "a gate that was heard once is never cut off",
        (Broken(Others, "is_heard", instead(lambda self, gate: gate in self._heard_s)),), seed=53),
    "order-by-wall-clock": Bug(
        "records were made when a clock says that nobody vouches for",
        (
            Broken(corrected, "is_believed", instead(lambda _: True)),
            Broken(corrected.EpochTime, "place", instead(lambda _, body: body.time_us)),
            Broken(corrected.EpochTime, "revises", instead(lambda *_: False)),
        ), seed=5),
    "first-word-counts": Bug("a state is the first that was said", (Broken(presence, "_reached", _first_word),), seed=25),
    "reset-removes-what-came-later": Bug("a reset removes who it never heard of", (Broken(Resets, "_reset_of", _resets_all),), seed=4),
    "double-not-reported": Bug("doubles of two gates are not told", (Broken(TicketPresence, "doubles", _doubles_of_one_gate),), seed=38),
    "exit-closes-own-only": Bug("who came in elsewhere stays inside", (Broken(presence, "_close_named", _latest_only),), seed=2),
    "cancel-not-applied": Bug(
        "a cancel is acknowledged and not taken in", (Broken(Deltas, "_take", _standings_not_taken),), seed=41),
    "standing-lost-on-snapshot": Bug(
        "a new list forgets what is newer than it",
        (Broken(memory, "standings_after", instead(lambda *_: ({}, {}))), Broken(Overlay, "prune", _overlay_emptied)), seed=2),
    "older-standing-kept": Bug(
        "of two words of a ticket the first stays",
        (Broken(Overlay, "put", _first_row_kept), Broken(Memory, "changed", _first_standing_kept)), seed=8),
    "change-skipped": Bug("a page of changes lacks its first row", (Broken(Changes, "_made", _one_row_short),), seed=41),
    "lane-order-ignored": Bug("a lane that the centre closes stays open", (Broken(timetable, "state_due", instead(lambda _t, _o, mark, _n: mark)),), seed=21),
    "cursor-skips": Bug("the cursor goes on past what was not taken", (Broken(Merged, "take", _first_chunk_skipped),), seed=0),
    "duplicate-taken-again": Bug("what comes twice is stored twice", (Broken(Replica, "offer", _duplicate_taken),), seed=41),
    "watermark-too-high": Bug("one record more is thought to be there", (Broken(Sender, "heard", _all_thought_sent),), seed=38),
    "tail-not-fetched": Bug("an end that a card lost is not fetched back", (Broken(Merged, "lost", _tail_not_missed),), seed=43),
    "tail-not-forwarded": Bug("an end that nothing signed is not told", (Broken(Replica, "ends", instead(lambda *_: {})),), seed=41),
    "neighbour-not-told": Bug(
        "a reservation is not pushed to the gates on the LAN", (Broken(Talk, "push", instead(lambda *_: None)),), seed=9),
    "fork-not-told": Bug(
        "two logs that part are no trouble",
        (Broken(Replica, "anomalies", instead(lambda _: ())),), seed=7),
}  # fmt: skip
