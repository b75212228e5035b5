"""What other gates recorded, as the lane takes it in: kept beside our own log, known to the very next decision.

The front verified it; here it is only bounded, so that no peer, however much it says, keeps the loop or the memory.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from admission.ids import Epoch, EventId, GateId, TicketId
from admission.lane import Write
from admission.records import Extension, Kind
from edge.claims import Claims, Doubts, Known
from edge.gate import Gate
from edge.journal import Stamp
from edge.link import DOUBTED, FOREIGN_MAX, Believe, BelieveAgain, Done, Foreign, Health, HeardGates, Part
from edge.store.faults import StoreFault
from edge.store.log_schema import COUNTED_KEY, DOUBTED_KEY, FEED_CURSOR, Batch, StoredRecord
from sync.wire.counted import Limit

HEARD_S = 30.0
"""A gate not heard for so long is cut off (DESIGN.md, Deciding)."""
FLUSH_RECORDS = 256
"""So many wait for a commit to ride along with; then one is made for them. So many more are taken in meanwhile, and then
that commit is waited for: the disk and the loop work at the same time, and a scan that comes waits for the 2 ms that so
many take, twice at most, however much there is to take in."""
BUSY_S = 1.0
"""So long after such a commit much is still coming: there may be more behind a pause of whoever gives it."""
FLUSH_S = 3.0
"""Longest wait for that commit: a card that takes longer fails, and slices are refused until it works again."""

UNSIGNED = "unsigned"
"""The one trouble that goes by itself: the gate starts again, and vouches for what it recorded before."""
_TROUBLES = {"fork": "others.fork", "rewind": "others.fork", UNSIGNED: "others.unsigned"}

Look = Callable[[tuple[GateId, Epoch], Iterable[bytes]], tuple[tuple[str, bytes], ...]]
"""Is shown what is taken in of a log, and returns what is to be kept with it (`edge.revision`)."""

log = logging.getLogger("edge.others")


class Reach(NamedTuple):
    """Other gates by name: heard lately; heard once, all for `silent_s` no more; never in this run, which is not young."""

    near: tuple[str, ...]
    silent: tuple[str, ...]
    silent_s: int
    unheard: tuple[str, ...]


class Others:
    """Takes in the records of other gates, and knows which of them were heard."""

    def __init__(
        self,
        gate: Gate,
        mono_s: Callable[[], float],
        look: Look = lambda _log, _blobs: (),
        on_heard: Callable[[Collection[tuple[EventId, TicketId]]], None] = lambda _tickets: None,
    ) -> None:
        """`on_heard` is called with the tickets of each slice that was taken in."""
        self._on_heard = on_heard
        self._gate = gate
        self._mono_s = mono_s
        self._look = look
        self._heard_s: dict[GateId, float] = {}
        self._started_s = mono_s()
        self._waiting = 0
        """Records handed to the writer since the last commit that was made for them."""
        self._flushing = 0
        """The last batch of that commit."""
        self._flushed_s = -BUSY_S
        self._next: dict[tuple[GateId, Epoch], int] = {}
        """By log, the first record that was not taken: the front hands several slices over at once, and none may stand
        on the disk behind one that was refused."""
        self._shown: dict[GateId, str] = {}
        self._shut_out: set[GateId] = set()
        self._claims = Claims((one.gate, one.epoch, one.last_seq) for one in gate.reader.epochs())
        self._shown_doubts: frozenset[GateId] = frozenset()

    def is_heard(self, gate: GateId) -> bool:
        """Whether all that a gate recorded until 30 s ago is known here."""
        heard_s = self._heard_s.get(gate)
        return heard_s is not None and self._mono_s() - heard_s < HEARD_S

    def reach(self, since_s: float) -> Reach:
        """Sum up of whom was heard; `since_s`: near is who was heard later than that, in the loop's time."""
        now_s, names = self._mono_s(), self._gate.judge.gate_names
        near, silent, unheard = [], [], []
        silent_s = float("inf")
        for gate in sorted(names.keys() - self._shut_out - {self._gate.enrolment.gate}):
            heard_s = self._heard_s.get(gate)
            if heard_s is None:
                unheard.append(names[gate])
            elif now_s - heard_s >= HEARD_S:
                silent.append(names[gate])
                silent_s = min(silent_s, now_s - heard_s)
            elif heard_s > since_s:
                near.append(names[gate])
        return Reach(
            tuple(near), tuple(silent), int(silent_s) if silent else 0,
            tuple(unheard) if now_s - self._started_s >= HEARD_S else (),
        )  # fmt: skip

    @property
    def is_busy(self) -> bool:
        """Whether much is being taken in: what can wait shall, so that it is over soon."""
        return self._mono_s() - self._flushed_s < BUSY_S

    def heard(self, said: HeardGates) -> None:
        """The front says until when it knows all of the others."""
        now_s = self._mono_s()
        again = [
            gate
            for gate, age_ms in said.ages_ms.items()
            if age_ms < HEARD_S * 1000 and not self.is_heard(gate)
        ]
        for gate, age_ms in said.ages_ms.items():
            self._heard_s[gate] = max(now_s - age_ms / 1000, self._heard_s.get(gate, 0.0))
            self._claims.heard(self._known(gate), age_ms / 1000)
        if again:
            self._gate.judge.in_touch()
        for gate, what in said.troubles.items():
            if self._shown.get(gate) != what:
                self._shown[gate] = what
                name = self._gate.judge.gate_names.get(gate, str(gate))
                code = _TROUBLES.get(what, "others.refused")
                self._gate.board.put(Part.LOG, f"gate {gate}", Health.DEGRADED, code, {"gate": name})
        signed = [one for one, what in self._shown.items() if what == UNSIGNED and one not in said.troubles]
        for gate in signed:
            del self._shown[gate]
            if gate not in self._shut_out:
                self._gate.board.remove(Part.LOG, f"gate {gate}")

    async def take(self, slice_: Foreign) -> Done:
        """Keep a slice; answered when the next decision knows of it. Not ok: offer it again later."""
        gate, journal = self._gate, self._gate.journal
        is_own_run = (slice_.gate, slice_.epoch) == (journal.gate, journal.epoch)
        if is_own_run or max(len(slice_.blobs), len(slice_.forks)) > FOREIGN_MAX:
            return Done(slice_.number, ok=False, code="command.refused")
        at = (slice_.gate, slice_.epoch)
        is_next = self._waiting + len(slice_.blobs) > FLUSH_RECORDS
        if is_next and not await journal.saved(FLUSH_S, self._flushing):
            self._next.setdefault(at, slice_.first_seq)
            return Done(slice_.number, ok=False, code="command.not_saved")
        if slice_.blobs and slice_.first_seq > self._next.get(at, slice_.first_seq):
            return Done(
                slice_.number, ok=False, code="command.refused"
            )  # what was to come before it was not taken
        self._waiting += len(slice_.blobs) + len(slice_.forks)
        is_full = self._waiting >= FLUSH_RECORDS
        if slice_.blobs:
            self._next[at] = max(self._next.get(at, 0), slice_.first_seq + len(slice_.blobs))
        kept = self._look((slice_.gate, slice_.epoch), slice_.blobs)
        doubts = self._doubts_after(slice_)
        if doubts is not None:
            kept = (*kept, (DOUBTED_KEY, msgspec.msgpack.encode(doubts.limits)))
        journal.carry(_batch(slice_, kept), urgent=is_full)
        if is_full:
            self._waiting, self._flushing, self._flushed_s = 0, journal.token, self._mono_s()
        tickets = {(row.event, row.ticket) for row in slice_.rows}
        if doubts is not None:
            self._doubt(doubts)
        gate.memory.heard(tickets, slice_.resets)
        self._on_heard(tickets)
        return Done(slice_.number, ok=True)

    def _known(self, gate: GateId) -> Known:
        return Known(gate, self._gate.judge.lanes_of(gate), self._mono_s())

    def _doubts_after(self, slice_: Foreign) -> Doubts | None:
        """Return the doubts with what a slice adds; None where it adds none."""
        if not slice_.blobs or slice_.gate == self._gate.enrolment.gate:
            return None
        last_seq = slice_.first_seq + len(slice_.blobs) - 1
        limit = self._claims.took(self._known(slice_.gate), slice_.epoch, last_seq, slice_.rows)
        doubts = self._gate.memory.doubts
        if limit is None or limit.gate in doubts.gates:
            return None
        log.error("a gate claims more than its lanes can do", extra={"gate": limit.gate})
        return doubts.also(limit)

    def _doubt(self, doubts: Doubts) -> None:
        try:
            self._gate.memory.doubt(doubts)
        except StoreFault as fault:
            self._gate.unreadable(fault)  # after the next start it is read
        self._show_doubts()
        self._gate.changed()

    def _show_doubts(self) -> None:
        board, names, now = self._gate.board, self._gate.judge.gate_names, self._gate.memory.doubts.gates
        for one in self._shown_doubts - now:
            board.remove(Part.LOG, f"claims {one}")
        for one in now:
            name = names.get(one, str(one))
            told: dict[str, str | int] = {"gate": name, "number": one}
            board.put(Part.LOG, f"claims {one}", Health.DEGRADED, DOUBTED, told)
        self._shown_doubts = now

    async def believe(self, said: Believe) -> Done:
        """Count the records of other gates as the roster says from now on. StoreFault where the log cannot be read."""
        gate = self._gate
        before = gate.memory.limits
        news = gate.memory.believe(said.limits)
        self._settle(before)
        self._show_shut_out({one.gate for one in said.limits if not one.others})
        if not news:
            return Done(said.number, ok=True)
        gate.journal.keep(COUNTED_KEY, msgspec.msgpack.encode(said.limits))
        gate.changed()
        return Done(said.number, ok=await gate.journal.saved(FLUSH_S))

    def _settle(self, before: Mapping[GateId, Limit]) -> None:
        """The centre has spoken: of whom it shut out or enrolled anew, the roster alone says what counts."""
        memory = self._gate.memory
        doubts = memory.doubts.settled(before, memory.limits)
        if doubts.gates != memory.doubts.gates:
            self._lift(doubts)
        self._show_doubts()

    def _lift(self, left: Doubts) -> None:
        """Go by fewer doubts: whoever is in none any more begins anew. StoreFault where the log cannot be read."""
        memory = self._gate.memory
        settled = memory.doubts.gates - left.gates
        memory.doubt(left)
        for one in settled:
            self._claims.again(one)
        self._gate.journal.keep(DOUBTED_KEY, msgspec.msgpack.encode(left.limits))

    async def believe_again(self, said: BelieveAgain) -> Done:
        """Staff looked at a gate in doubt: what it says counts here again. StoreFault where the log cannot be read."""
        if not said.steward:
            return Done(said.number, ok=False, code="command.no_steward")
        gate, doubts = GateId(said.gate), self._gate.memory.doubts
        if gate not in doubts.gates:
            return Done(said.number, ok=True)  # somebody else was quicker
        staff = (Extension.STAFF, said.steward.to_bytes(4, "big"))
        self._gate.journal.append((Write(0, Kind.STANDING, data=gate, extensions=(staff,)),), Stamp())
        self._lift(doubts.without({gate}))
        log.warning("a gate in doubt is believed again", extra={"gate": gate})
        self._show_doubts()
        self._gate.changed()
        return Done(said.number, ok=await self._gate.journal.saved(FLUSH_S))

    def _show_shut_out(self, gates: set[GateId]) -> None:
        board, names = self._gate.board, self._gate.judge.gate_names
        for one in self._shut_out - gates:
            board.remove(Part.LOG, f"gate {one}")
            self._shown.pop(one, None)
        for one in gates:
            name = names.get(one, str(one))
            board.put(Part.LOG, f"gate {one}", Health.DEGRADED, "others.revoked", {"gate": name})
        self._shut_out = gates


def _batch(slice_: Foreign, kept: tuple[tuple[str, bytes], ...]) -> Batch:
    gate, epoch = slice_.gate, slice_.epoch

    def stored(blobs: tuple[bytes, ...]) -> tuple[StoredRecord, ...]:
        return tuple(
            [StoredRecord(gate, epoch, seq, blob) for seq, blob in enumerate(blobs, start=slice_.first_seq)]
        )

    return Batch(
        0,
        stored(slice_.blobs),
        slice_.rows,
        slice_.heads,
        slice_.resets,
        forks=stored(slice_.forks),
        meta=(*kept, *(((FEED_CURSOR, slice_.cursor),) if slice_.cursor else ())),
    )
