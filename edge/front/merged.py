"""The merged log of the event group, as this gate reads it: verified here, handed to the lane in slices.

Nothing is believed but what the heads of the gate it is of cover, by its key of the roster. Losing this loses nothing:
the cursor is kept with the records it stands for, in the lane's log.

While there is no roster to believe by (none yet, or one that ran out: `sync.wire.roster`), the feed is read and left out:
its cursor is not kept, so that all of it is read again once a roster has come. A head that no known key signed is no
trouble before the newest roster was asked for: its gate may have been enrolled, or have rolled its key, a moment ago.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import structs

from admission.chain import EpochState, Head
from admission.corrected import Mark, is_believed, mark_of
from admission.ids import Epoch, GateId
from admission.records import NEVER_US, ExtensionRecord, Record, made_us
from edge.front.slices import cut, meaning, read
from edge.link import FOREIGN_MAX, Foreign
from edge.store.log_schema import FEED_CURSOR, StoredRecord
from sync.wire.feed import WANTS_MAX, Want
from sync.wire.messages import Chunk, Held, Pushed, Trouble
from sync.wire.replication import (
    Accepted,
    Answer,
    Duplicate,
    Fork,
    Gap,
    Refused,
    Replica,
    Source,
    Why,
    troubles_of,
)
from sync.wire.roster import Roster as SignedRoster

UNSIGNED_S = 30.0
"""A head comes a second behind what it covers, and what a crash left without one the next start vouches for: what is told
before that is no trouble until then. A gate that does not start again is missed by itself, as long after."""
DOUBTFUL_MAX = WANTS_MAX // 2
"""Logs of one gate that are remembered for what is wrong with them. Such a gate is in trouble whatever more there is of it, and what it
makes up leaves room among what is asked for by name."""
BEGUN_MAX = 256
"""Logs whose beginning is remembered until it is on disk; gone through when there are more."""
BACK_RECORDS = 512
"""Read at a time on the way back to a moment that is known."""

log = logging.getLogger("edge.front.merged")


class MergedSource(Protocol):
    """What is read of the log; `edge.store.log_reader.LogReader` is one."""

    def states(self, gate: GateId) -> tuple[EpochState, ...]:
        """Return how far each epoch of a gate is held."""
        ...

    def records(self, gate: GateId, epoch: Epoch, after: int, limit: int) -> tuple[StoredRecord, ...]:
        """Return up to `limit` records of a log with seq above `after`, in order."""
        ...

    def meta(self, key: str) -> bytes | None:
        """Return a value that was kept under a name."""
        ...

    def heads_backwards(self, gate: GateId, epoch: Epoch, limit: int) -> tuple[Head, ...]:
        """Return the last signed heads of a log, newest first."""
        ...


Roster = Callable[[], Mapping[GateId, bytes]]
"""The public keys of the gates of the event group."""
Documents = Callable[[], SignedRoster | None]
"""The newest roster; None where there is none yet."""


class Merged:
    """What is held of other gates' logs, and of this gate's own ones that its disk lost. For one thread."""

    def __init__(
        self,
        source: MergedSource,
        own: GateId,
        own_public: bytes,
        roster: Roster,
        documents: Documents = lambda: None,
        believes: Callable[[], bool] = lambda: True,
        own_link: Callable[[Epoch, int], bytes | None] = lambda _epoch, _seq: None,
        mono_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`believes`: whether there is a roster, one in force, to take other gates' records by. `own_link`: what an own
        epoch ends in at a seq. `mono_s`: monotonic seconds, by which an end waits for its head."""
        self._mono_s = mono_s
        self._own_link = own_link
        self._source = source
        self._own = own
        self._own_public = own_public
        self._roster = roster
        self._documents = documents
        self._believes = believes
        self.left_out: set[GateId] = set()
        """Gates of which something came that was left out, because there was no roster to believe it by."""
        self._reads_on = False
        """The cursor went on without what was left out."""
        self._doubted: dict[tuple[GateId, Epoch], int] = {}
        """Logs with a head that no known key signed, and up to where each is held: asked for again by a newer roster."""
        self._unvouched: list[Chunk] | None = None
        """While some that may vouch for them are still to be read: chunks whose end nothing covered yet."""
        self._settled: set[tuple[GateId, Epoch]] = set()
        """Those that were asked for again."""
        self._begun_us: dict[tuple[GateId, Epoch], int] = {}
        """When epochs began whose first record was taken and may be on its way to the disk."""
        self._begun_most = BEGUN_MAX
        self._marks: dict[tuple[GateId, Epoch], Mark] = {}
        """By log of which something was taken in this run, the last moment at which its clock was believed."""
        self._keys: Mapping[GateId, bytes] = {}
        self._replicas: dict[GateId, Replica] = {}
        self._unread: dict[tuple[GateId, Epoch], int] = {}
        """Logs of which something came that could not be taken: asked for by name, from here on."""
        self._is_neighbours = False
        """What is judged came of a neighbour that carries it."""
        self._lost: dict[Epoch, int] = {}
        """Own epochs of which the centre has more than the disk."""
        self._came_back: set[Epoch] = set()
        """Those of which something came that this gate had signed."""
        self._cursor: bytes | None = None
        self.own_is_forked = False
        """Somebody else goes on from a place in this gate's log: a card was copied, or an older image put back."""
        self._unsigned: dict[tuple[GateId, Epoch], tuple[int, float]] = {}
        """Up to where a log is to be held for its refused end to be signed after all, and since when it waits for that."""
        self._troubles: dict[GateId, str] = {}

    @property
    def troubles(self) -> dict[GateId, str]:
        """What keeps gates' logs from being one with ours: fork, rewind, altered, …; of any thread."""
        late_s = self._mono_s() - UNSIGNED_S
        late = [gate for (gate, _), (_, since_s) in tuple(self._unsigned.items()) if since_s <= late_s]
        return dict.fromkeys(late, Why.UNSIGNED.value) | self._troubles

    def forget(self) -> None:
        """Something was not taken by the lane: begin again with what the log holds."""
        self._replicas.clear()
        self._marks.clear()
        self._begun_us.clear()
        self._cursor = None

    def start_over(self) -> None:
        """Read all of it again from the beginning: something on the way there was not to be got over."""
        self.forget()
        self._unread.clear()
        self._doubted.clear()
        self._cursor = b""

    def lost(self, epochs: Mapping[Epoch, int]) -> None:
        """Ask for the rest of own epochs, each held up to a seq: the disk lost them."""
        if epochs != self._lost:
            self._replicas.pop(self._own, None)
        self._lost = dict(epochs)

    @property
    def cursor(self) -> bytes:
        """How far the feed was read."""
        if self._cursor is None:
            self._cursor = self._source.meta(FEED_CURSOR) or b""
        return self._cursor

    def wants(self) -> tuple[Want, ...]:
        """Return which logs to ask for by name. Of gates whose key is not known yet, none."""
        self._look()
        former = {one.gate for one in signed.former} if (signed := self._documents()) is not None else set()
        known = [(at, after) for at, after in self._unread.items() if at[0] in self._keys or at[0] in former]
        lost = [((self._own, epoch), after) for epoch, after in self._lost.items()]
        return tuple(Want(*at, after) for at, after in (*lost, *known)[:WANTS_MAX])

    def caught_up(self) -> None:
        """What was taken last was all there is: nothing that was left out is missing any more."""
        if not self._reads_on and self._cursor is not None:
            self.left_out.clear()

    @property
    def doubts(self) -> bool:
        """Whether something came that only a newer roster may vouch for; `settle` once it was asked for."""
        return bool(self._doubted)

    def settle(self) -> None:
        """The roster held is the newest: ask again for what was in doubt. What is refused then is in trouble."""
        self._settled.update(self._doubted)
        for at, after in self._doubted.items():
            if at not in self._unread:
                self._want(at, after)
        self._doubted.clear()

    def take(self, cursor: bytes, chunks: Iterable[Chunk]) -> tuple[Foreign, ...]:
        """Judge what came; returns it in slices for the lane, the last one with the cursor where that moved."""
        if not self._believes():
            chunks = tuple(chunks)
            self.left_out.update(one for chunk in chunks if (one := GateId(chunk.gate)) != self._own)
            self._cursor, self._reads_on = cursor, True
            return tuple(part for chunk in chunks if chunk.gate == self._own for part in self._chunk(chunk))
        if self._reads_on:  # what came now stands behind what was left out: all of it comes again
            self._reads_on = False
            self.forget()
            return ()
        slices = self._all(list(chunks))
        if cursor != self.cursor:
            slices.append(Foreign(0, self._own, Epoch(0), 0, cursor=cursor))
            self._cursor = cursor
        return tuple(slices)

    def take_from(self, gate: GateId, chunks: Iterable[Chunk]) -> tuple[tuple[Foreign, ...], Pushed]:
        """Judge what a gate itself handed over of its own logs; returns slices for the lane, and what to answer it.

        The channel proved whose word it is, so its newest records need not wait for a head.
        """
        slices: list[Foreign] = []
        held: dict[Epoch, Held] = {}
        troubles: list[Trouble] = []
        for chunk in chunks:
            epoch = Epoch(chunk.epoch)
            offered = self._offered(gate, epoch, chunk, Source.GATE) if self._believes() else None
            if offered is None:
                continue
            replica, answer = offered
            if not isinstance(answer, Gap):  # the sender goes back by itself
                slices += self._judged(gate, epoch, replica, answer)
            troubles += troubles_of(gate, answer)
            held[epoch] = replica.have((epoch,))[0]
        return tuple(slices), Pushed(tuple(held.values()), tuple(troubles))

    def take_carried(self, chunks: Iterable[Chunk]) -> tuple[Foreign, ...]:
        """Judge what a neighbour carried: as what the centre carries, but for the cursor.

        It may be made up: the centre is asked for nothing by it, and nobody but the neighbour is to blame for what is refused.
        """
        if not self._believes():
            return ()
        self._is_neighbours = True
        try:
            return tuple(self._all(list(chunks)))
        finally:
            self._is_neighbours = False

    def held(self, on_disk: Mapping[tuple[GateId, Epoch], int]) -> dict[tuple[GateId, Epoch], int]:
        """Return up to where logs are held: what the disk has, and what is on its way there."""
        found = dict(on_disk)
        for gate, replica in self._replicas.items():
            for one in replica.have():
                at = (gate, Epoch(one.epoch))
                found[at] = max(one.seq, found.get(at, 0))
        return found

    def held_of(self, gate: GateId) -> tuple[Held, ...]:
        """Return how far a gate's logs are held, for that gate itself."""
        replica = self._replica(gate, Epoch(0))
        return replica.have() if replica is not None else ()

    def _offered(
        self, gate: GateId, epoch: Epoch, chunk: Chunk, source: Source
    ) -> tuple[Replica, Answer] | None:
        """Have a chunk judged; None while no key of this epoch is known. What was not taken tells nothing of when it began."""
        at = (gate, epoch)
        is_beginning = chunk.first_seq == 1 and bool(chunk.blobs) and at not in self._begun_us
        if is_beginning:
            self._begun_us[at] = made_us(chunk.blobs[0])
        replica = self._replica(gate, epoch)
        answer = None
        if replica is not None:
            answer = replica.offer(chunk, lambda of, first, last: self._stored(gate, of, first, last), source)
        if is_beginning and not isinstance(answer, Accepted):
            del self._begun_us[at]
        elif len(self._begun_us) > self._begun_most:
            self._begun_us = {one: us for one, us in self._begun_us.items() if not self._is_stored(*one)}
            self._begun_most = max(BEGUN_MAX, 2 * len(self._begun_us))
        return None if replica is None or answer is None else (replica, answer)

    def _is_stored(self, gate: GateId, epoch: Epoch) -> bool:
        """Whether the beginning of a log is on disk."""
        return any(one.seq == 1 for one in self._source.records(gate, epoch, 0, 1))

    def _all(self, left: list[Chunk]) -> list[Foreign]:
        """Judge chunks; what a crash left unsigned again when the epoch that vouches for it was read, wherever it stood."""
        slices: list[Foreign] = []
        while left:
            self._unvouched = []
            slices += [part for chunk in left for part in self._chunk(chunk)]
            before, left, self._unvouched = len(left), self._unvouched, None
            if len(left) == before:  # nothing here vouches for them
                slices += [part for chunk in left for part in self._chunk(chunk)]
                break
        return slices

    def _chunk(self, chunk: Chunk) -> Iterable[Foreign]:
        gate, epoch = GateId(chunk.gate), Epoch(chunk.epoch)
        at = (gate, epoch)
        if gate == self._own and epoch not in self._lost:
            return
        offered = self._offered(gate, epoch, chunk, Source.CARRIER)
        if offered is None:  # the roster comes with the list, which may be on its way
            self._ask_for(at, 0)
            return
        if not self._is_neighbours:
            self._unread.pop(at, None)
        replica, answer = offered
        if self._unvouched is not None and isinstance(answer, Accepted | Refused):
            refused = answer.refused if isinstance(answer, Accepted) else answer
            if refused is not None and refused.why is Why.UNSIGNED:
                self._unvouched.append(chunk)
                if isinstance(answer, Refused):
                    return
                answer = replace(answer, refused=None)
        yield from self._judged(gate, epoch, replica, answer)

    def _judged(self, gate: GateId, epoch: Epoch, replica: Replica, answer: Answer) -> Iterable[Foreign]:
        match answer:
            case Accepted(first_seq=first, blobs=blobs, heads=heads, refused=refused, records=records):
                if gate == self._own:
                    self._lost[epoch] = first + len(blobs) - 1
                    self._came_back.add(epoch)
                yield from self._slices(gate, epoch, first, blobs, heads, records)
                if refused is not None:
                    self._refused(gate, replica, refused)
                else:
                    self._settled.discard((gate, epoch))
                self._signed_after_all(gate, epoch, first + len(blobs) - 1)
                self._look_for_anomalies(gate, replica)
            case Fork(first_seq=first, blobs=blobs):
                self._say(gate, "fork")
                for start in range(0, len(blobs), FOREIGN_MAX):
                    yield Foreign(0, gate, epoch, first + start, forks=blobs[start : start + FOREIGN_MAX])
            case Gap(expected=expected):
                self._ask_for((gate, epoch), expected - 1)
            case Refused():
                self._refused(gate, replica, answer)
            case Duplicate():
                pass

    def _ask_for(self, at: tuple[GateId, Epoch], after: int) -> None:
        """Have the centre asked for a log by name, where it told of it."""
        if not self._is_neighbours:
            self._want(at, after)

    def _want(self, at: tuple[GateId, Epoch], after: int) -> None:
        """Remember a log that is wanted. Where all places are taken, the gate that has most gives one to whoever has fewer."""
        if at not in self._unread and len(self._unread) >= WANTS_MAX:
            most = max((gate for gate, _ in self._unread), key=lambda gate: _of(self._unread, gate))
            if _of(self._unread, at[0]) + 1 >= _of(self._unread, most):
                return
            del self._unread[next(one for one in reversed(self._unread) if one[0] == most)]
        self._unread[at] = after

    def _replica(self, gate: GateId, epoch: Epoch) -> Replica | None:
        """Return the machine for a gate; None while no key of this epoch is known."""
        known = self._replicas.get(gate)
        if known is not None:
            return known
        if gate not in self._keys:
            self._look()
        public = self._own_public if gate == self._own else self._keys.get(gate, b"")
        if not public:
            return self._of_shut_out(gate, epoch)
        key = Ed25519PublicKey.from_public_bytes(public)
        states = [self._as_held(gate, one) for one in self._source.states(gate)]
        known = self._replicas[gate] = Replica(gate, key, states, former=lambda of: self._former(gate, of))
        return known

    def _as_held(self, gate: GateId, state: EpochState) -> EpochState:
        """Return how far an epoch is held; of an own one whose end was lost, signed heads may know more than its records."""
        held = self._lost.get(state.epoch) if gate == self._own else None
        if held is None or held >= state.seq:
            return state
        link = self._own_link(state.epoch, held)
        return (
            state
            if link is None
            else structs.replace(state, seq=held, link=link, head_seq=min(state.head_seq, held))
        )

    def _look(self) -> None:
        """Go by the keys of the roster, and of the list for gates that it does not speak of."""
        signed, keys = self._documents(), dict(self._roster())
        if signed is not None:
            for one in signed.revoked:
                keys.pop(one.gate, None)
            keys |= {one.id: one.public for one in signed.gates}
        for gate in [
            one for one in self._replicas if one != self._own and keys.get(one) != self._keys.get(one)
        ]:
            del self._replicas[gate]
            # By another key what was refused may be true: it is doubted, and asked for, once more.
            self._settled = {at for at in self._settled if at[0] != gate}
        self._keys = keys

    def _of_shut_out(self, gate: GateId, epoch: Epoch) -> Replica | None:
        """Return the machine for one epoch of a gate without a present key; None where nothing of it counts."""
        former = self._former(gate, epoch)
        if not former:
            return None
        return Replica(gate, former[0], self._source.states(gate), former=lambda _: former[1:])

    def _former(self, gate: GateId, epoch: Epoch) -> list[Ed25519PublicKey]:
        """Return the keys besides its present one that may have signed an epoch of a gate.

        Where heads are held, the one that signed those; else those of the time when it began.
        """
        signed = self._documents()
        if signed is None or not any(one.gate == gate for one in signed.former):
            return []
        held = self._source.heads_backwards(gate, epoch, 1)
        begun_us = None if held else self._begun(gate, epoch)
        keys = [Ed25519PublicKey.from_public_bytes(one) for one in signed.former_of(gate, epoch, begun_us)]
        return [key for key in keys if held[0].signed_by(key)] if held else keys

    def _begun(self, gate: GateId, epoch: Epoch) -> int:
        stored = self._source.records(gate, epoch, 0, 1)
        if stored and stored[0].seq == 1:
            return made_us(stored[0].blob)
        return self._begun_us.get((gate, epoch), NEVER_US)

    def foreign(self) -> tuple[tuple[GateId, Epoch], ...]:
        """Return the epochs held that no key signed which their gate had since it was shut out last."""
        self._look()
        signed = self._documents()
        shut_out_s = {one.gate: one.at_s for one in signed.revoked} if signed is not None else {}
        found = []
        for gate, public in self._keys.items():
            former = [one for one in signed.former if one.gate == gate] if signed is not None else []
            since = [one.public for one in former if one.until_s > shut_out_s.get(gate, 0)]
            keys = [Ed25519PublicKey.from_public_bytes(one) for one in (public, *since)]
            for state in self._source.states(gate):
                heads = self._source.heads_backwards(gate, state.epoch, 1)
                if heads and not any(heads[0].signed_by(key) for key in keys):
                    found.append((gate, state.epoch))
        return tuple(found)

    def _stored(self, gate: GateId, epoch: Epoch, first: int, last: int) -> Sequence[bytes | None]:
        found = self._source.records(gate, epoch, first - 1, last - first + 1)
        by_seq = {one.seq: one.blob for one in found}
        return [by_seq.get(seq) for seq in range(first, last + 1)]

    def _slices(
        self,
        gate: GateId,
        epoch: Epoch,
        first: int,
        blobs: Sequence[bytes],
        heads: Collection[Head],
        records: Sequence[Record | ExtensionRecord],
    ) -> Iterable[Foreign]:
        """Cut verified records for the lane, with what each says of presence.

        Where one of them tells when those before it were made, the lane places those anew: it has them all.
        """
        bodies = [one for one in records if isinstance(one, Record)]
        mark = self._marks.get((gate, epoch))
        if mark is None and bodies and not is_believed(bodies[0]):
            mark = self._mark_before(gate, epoch, first)
        rows, resets = meaning(gate, epoch, records, mark)
        if (last := next((one for one in reversed(bodies) if is_believed(one)), None)) is not None:
            mark = mark_of(last)
        if mark is not None:
            self._marks[gate, epoch] = mark
        yield from cut(gate, epoch, first, blobs, heads, rows, resets)

    def _mark_before(self, gate: GateId, epoch: Epoch, first: int) -> Mark | None:
        """Return the last moment at which a log's clock was believed, of what is held below a record."""
        end = first
        while end > 1:
            begin = max(1, end - BACK_RECORDS)
            for stored in reversed(self._source.records(gate, epoch, begin - 1, end - begin)):
                one = read(stored.blob)
                if isinstance(one, Record) and is_believed(one):
                    return mark_of(one)
            end = begin
        return None

    def _look_for_anomalies(self, gate: GateId, replica: Replica) -> None:
        for one in replica.anomalies():
            self._say(gate, one.finding.name.lower())

    def _signed_after_all(self, gate: GateId, epoch: Epoch, seq: int) -> None:
        """A log was taken up to here: an end that was refused for want of a head is no trouble any more."""
        wanted, since_s = self._unsigned.get((gate, epoch), (seq + 1, 0.0))
        if wanted > seq:
            return
        del self._unsigned[gate, epoch]
        if self._mono_s() - since_s >= UNSIGNED_S:
            log.info("another gate's records are signed after all", extra={"gate": gate})

    def _refused(self, gate: GateId, replica: Replica, refused: Refused) -> None:
        at = (gate, refused.epoch)
        if self._is_neighbours:  # who carries may have made it up
            if refused.why is not Why.UNSIGNED:
                facts = {"gate": gate, "seq": refused.seq, "why": refused.why.value}
                log.warning("what a neighbour carried of another gate is refused", extra=facts)
            elif gate == self._own and refused.epoch in self._came_back:
                self._say_set_back()
            return
        if refused.why is Why.ALTERED and gate != self._own and self._is_doubted(replica, at):
            return
        if refused.why is Why.UNSIGNED and gate == self._own:
            self._say_set_back()
            return
        if refused.why is Why.UNSIGNED:
            if at in self._unsigned or _of(self._unsigned, gate) < DOUBTFUL_MAX:
                _, since_s = self._unsigned.get(at, (0, self._mono_s()))
                self._unsigned[at] = refused.seq, since_s
            return
        log.error(
            "another gate's records are refused",
            extra={
                "gate": gate,
                "epoch": f"{refused.epoch:016x}",
                "seq": refused.seq,
                "why": refused.why.value,
            },
        )
        self._say(gate, refused.why.value)

    def _is_doubted(self, replica: Replica, at: tuple[GateId, Epoch]) -> bool:
        """A log has a head of no known key: whether a newer roster may vouch for it; it is asked for again where there is room."""
        doubted = _of(self._doubted, at[0])
        if at not in self._settled and (
            at in self._doubted or doubted + _of(self._settled, at[0]) < DOUBTFUL_MAX
        ):
            self._doubted[at] = replica.have((at[1],))[0].seq
            return True
        return at not in self._settled and doubted > 0

    def _say_set_back(self) -> None:
        """Neighbours hold an end of an own log that this card does not, and nothing of ours signed: it stays with them.

        Whoever else hands it over might have made it up, and what this gate adopts it would sign for.
        """
        if self._own not in self._troubles:
            log.error(
                "neighbours know more of this gate's log than its card", extra={"code": "records.rewind"}
            )
            self._troubles[self._own] = "rewind"

    def _say(self, gate: GateId, what: str) -> None:
        if gate == self._own and what == "fork" and not self.own_is_forked:
            log.error("this gate's log goes on in two places", extra={"code": "records.fork"})
            self.own_is_forked = True
        if gate != self._own and self._troubles.get(gate) != what:
            log.error("another gate's log is in trouble", extra={"gate": gate, "code": f"records.{what}"})
            self._troubles[gate] = what


def _of(logs: Iterable[tuple[GateId, Epoch]], gate: GateId) -> int:
    """Return how many of these logs are a gate's."""
    return sum(at[0] == gate for at in logs)


__all__ = ["Merged", "MergedSource", "Roster"]
