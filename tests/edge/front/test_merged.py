"""Reading the merged log: whatever comes how often and in whatever order, all of it is kept once, and nothing forged."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admission.entitlements import Zone, ZoneTree
from admission.ids import Epoch, EventId, GateId, ProductId, RecordId, TicketId, ZoneId
from admission.observed import reset_payloads
from admission.presence import PresenceRow, Reset, fold
from admission.records import (
    Direction,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Outcome,
    Record,
    pack_record_ids,
    ticket_subject,
)
from edge.front.merged import BEGUN_MAX, DOUBTFUL_MAX, UNSIGNED_S, Merged
from edge.front.slices import meaning_of
from edge.link import FOREIGN_MAX, Foreign
from edge.store.disk import LocalDisk
from edge.store.log import LogStore
from edge.store.log_schema import FEED_CURSOR, Batch, StoredRecord
from sync.wire.feed import WANTS_MAX, Want
from sync.wire.messages import Chunk
from sync.wire.roster import FormerKey, LastHead, Revoked, Roster, RosterGate
from tests.sync.logs import KEY, OTHER_KEY, EpochLog

OWN, ONE, TWO = GateId(1), GateId(2), GateId(3)
OWN_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(5, 37)))
EVENT, TICKET, HALL = EventId(1), TicketId(9), ZoneId(4)
ROSTER = {ONE: KEY.public_key().public_bytes_raw(), TWO: OTHER_KEY.public_key().public_bytes_raw()}


@dataclass
class Keeper:
    """A gate's log with what reads into it."""

    store: LogStore
    roster: dict[GateId, bytes] = field(default_factory=lambda: dict(ROSTER))
    signed: Roster | None = None
    token: int = 0
    believes: bool = True
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        public = OWN_KEY.public_key().public_bytes_raw()
        self.merged = Merged(
            self.store, OWN, public, lambda: self.roster, lambda: self.signed, lambda: self.believes,
            mono_s=lambda: self.now_s,
        )  # fmt: skip

    def take(self, *chunks: Chunk, cursor: bytes = b"c") -> tuple[Foreign, ...]:
        """Read a feed and keep what it brought, as the lane does."""
        slices = self.merged.take(cursor, chunks)
        for one in slices:
            self.keep(one)
        return slices

    def keep(self, one: Foreign) -> None:
        self.token += 1

        def stored(blobs: Sequence[bytes]) -> tuple[StoredRecord, ...]:
            return tuple(
                StoredRecord(one.gate, one.epoch, seq, blob)
                for seq, blob in enumerate(blobs, start=one.first_seq)
            )

        meta = ((FEED_CURSOR, one.cursor),) if one.cursor else ()
        self.store.append(
            [
                Batch(
                    self.token,
                    stored(one.blobs),
                    one.rows,
                    one.heads,
                    one.resets,
                    forks=stored(one.forks),
                    meta=meta,
                )
            ]
        )

    def held(self, log: EpochLog) -> list[bytes]:
        return [one.blob for one in self.store.records(log.gate, log.epoch, 0, 10_000)]

    def folded(self) -> object:
        found = fold(
            self.store.presence_rows(EVENT, TICKET), self.store.resets(), ZoneTree((Zone(HALL, "Hall"),))
        )
        return found.counted, found.live, found.doubles(1)


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    store = LogStore.open(tmp_path, LocalDisk())
    yield Keeper(store)
    store.close()


def log_of(gate: GateId, epoch: int, key: Ed25519PrivateKey | None = None) -> EpochLog:
    return EpochLog(Epoch(epoch), gate, key or {ONE: KEY, TWO: OTHER_KEY, OWN: OWN_KEY}[gate]).begin()


def body(log: EpochLog, kind: Kind, way: Direction, *, ref: int = 0, at: int = 0) -> int:
    seq = len(log.blobs) + 1
    granted = Outcome.GRANT if kind is Kind.SCAN else Outcome.NONE
    one = Record(
        kind, seq, 1_000_000 * (at or seq), seq, zone=HALL, outcome=granted, direction=way, flags=Flag.TICKET,
        subject=ticket_subject(EVENT, TICKET, ProductId(1)), ref=ref,
    )  # fmt: skip
    log.add(one.to_bytes())
    return seq


def extend(log: EpochLog, kind: Extension, payload: bytes) -> None:
    log.add(ExtensionRecord(kind, len(log.blobs) + 1, payload).to_bytes())


def test_what_comes_is_kept_with_what_it_says_and_the_cursor(keeper: Keeper) -> None:
    log = log_of(ONE, 7)
    seq = body(log, Kind.SCAN, Direction.ENTRY)
    body(log, Kind.PASSAGE, Direction.ENTRY, ref=seq)
    log.scans(FOREIGN_MAX * 2)
    log.sign()
    slices = keeper.take(log.chunk(), cursor=b"there")
    assert max(len(one.blobs) for one in slices) == FOREIGN_MAX
    assert keeper.held(log) == log.blobs
    assert keeper.store.meta(FEED_CURSOR) == b"there"
    assert [row.id.seq for row in keeper.store.presence_rows(EVENT, TICKET)] == [seq, seq + 1]
    assert keeper.store.states(ONE)[0].seq == len(log.blobs)
    assert keeper.take(log.chunk(), cursor=b"there") == (), "the same again brings nothing"
    keeper.restart()
    assert keeper.merged.cursor == b"there"
    assert keeper.take(log.chunk(), cursor=b"there") == ()


def test_an_exit_and_a_reset_mean_here_what_they_mean_there(keeper: Keeper) -> None:
    log, leaving = log_of(ONE, 7), log_of(TWO, 8)
    entry = body(log, Kind.SCAN, Direction.ENTRY)
    log.sign()
    keeper.take(log.chunk())
    assert keeper.folded() == (((ONE, 7, entry),), ((ONE, 7, entry),), ())
    out = body(leaving, Kind.SCAN, Direction.EXIT)
    extend(leaving, Extension.OBSERVED, pack_record_ids((RecordId(ONE, Epoch(7), entry),))[0])
    body(leaving, Kind.PASSAGE, Direction.EXIT, ref=out)
    leaving.sign()
    keeper.take(leaving.chunk())
    assert keeper.folded() == (((ONE, 7, entry),), (), ())


@pytest.mark.parametrize("what", ["record", "head", "key"])
def test_forged_records_are_refused_and_said(keeper: Keeper, what: str) -> None:
    log = log_of(ONE, 7, OTHER_KEY if what == "key" else KEY)
    body(log, Kind.SCAN, Direction.ENTRY)
    log.scans(12, head_every=6)
    log.sign()
    blobs = list(log.blobs)
    if what != "key":
        at = 1 if what == "record" else len(blobs) - 1
        blobs[at] = blobs[at][:-1] + bytes([blobs[at][-1] ^ 1])
    keeper.take(Chunk(ONE, 7, 1, tuple(blobs)))
    good = log.blobs[:-1] if what == "head" else []
    held = good[: _end_of_heads(log, len(good))]
    assert keeper.held(log) == held
    # No trouble yet: its gate may have been enrolled anew a moment ago. The newest roster is asked for first.
    assert (keeper.merged.troubles, keeper.merged.doubts) == ({}, True)
    keeper.merged.settle()
    assert keeper.merged.wants() == (Want(ONE, 7, len(held)),)
    keeper.take(Chunk(ONE, 7, 1, tuple(blobs)))
    assert keeper.held(log) == held
    assert (keeper.merged.troubles, keeper.merged.doubts) == ({ONE: "altered"}, False)


def _end_of_heads(log: EpochLog, upto: int) -> int:
    return max((n for n, blob in enumerate(log.blobs[:upto], start=1) if blob[:2] == b"\x80\x01"), default=0)


def test_a_tail_that_no_head_covers_is_not_taken_from_a_carrier(keeper: Keeper) -> None:
    log = log_of(ONE, 7)
    log.sign()
    covered = len(log.blobs)
    body(log, Kind.SCAN, Direction.ENTRY)
    keeper.take(log.chunk())
    assert keeper.held(log) == log.blobs[:covered]
    log.sign()
    keeper.take(log.chunk(covered + 1))
    assert keeper.held(log) == log.blobs


@pytest.mark.parametrize("what", ["record", "head", "key"])
def test_what_a_neighbour_alters_is_no_trouble_of_whose_records_they_are(keeper: Keeper, what: str) -> None:
    log = log_of(ONE, 7).scans(12, head_every=6)
    log.sign()
    forged = log_of(ONE, 7, OTHER_KEY).scans(12, head_every=6) if what == "key" else log
    blobs = list(forged.blobs)
    if what != "key":
        at = 1 if what == "record" else len(blobs) - 1
        blobs[at] = blobs[at][:-1] + bytes([blobs[at][-1] ^ 1])
    for _ in range(2):
        for one in keeper.merged.take_carried((Chunk(ONE, 7, 1, tuple(blobs)),)):
            keeper.keep(one)
        keeper.merged.settle()
    assert (keeper.merged.troubles, keeper.merged.doubts, keeper.merged.wants()) == ({}, False, ())
    keeper.take(log.chunk())
    assert keeper.held(log) == log.blobs, "the true ones are taken"


def test_an_end_that_a_neighbour_makes_up_is_nobodys_trouble(keeper: Keeper) -> None:
    """Only a gate itself signs for what it recorded: a neighbour's word accuses nobody."""
    log = log_of(ONE, 7)
    log.sign()
    keeper.take(log.chunk())
    true_end = len(log.blobs)
    body(log, Kind.SCAN, Direction.ENTRY)
    other = log_of(ONE, 7)
    body(other, Kind.SCAN, Direction.EXIT)
    for made_up in (log.chunk(true_end + 1), log.chunk(), other.chunk()):
        assert keeper.merged.take_carried((made_up,)) == ()
    keeper.now_s += UNSIGNED_S
    assert keeper.merged.troubles == {}
    log.sign()
    keeper.take(log.chunk(true_end + 1))
    assert keeper.held(log) == log.blobs


def test_what_neighbours_make_up_takes_no_place_of_what_the_centre_is_asked_for(keeper: Keeper) -> None:
    wanted = log_of(ONE, 7)
    wanted.sign()
    key = keeper.roster.pop(ONE)
    keeper.take(wanted.chunk(), cursor=b"1")
    parts = [Chunk(TWO, number, 50, (b"made up",), bytes(32)) for number in range(100, 100 + WANTS_MAX)]
    keeper.merged.take_carried((*parts, Chunk(ONE, 7, 50, (b"made up",), bytes(32))))
    keeper.roster[ONE] = key
    keeper.merged.take_carried((Chunk(ONE, 7, 1, (b"made up",)),))
    gap = log_of(TWO, 8).scans(20)
    keeper.take(gap.chunk(12), cursor=b"2")
    assert keeper.merged.wants() == (Want(ONE, 7, 0), Want(TWO, 8, 0))


MADE_UP = 3 * DOUBTFUL_MAX
PUBLIC_THREE = Ed25519PrivateKey.from_private_bytes(bytes(range(8, 40))).public_key().public_bytes_raw()


@pytest.mark.parametrize("whose", ["own", "another's"])
@pytest.mark.parametrize("wrong", ["unsigned", "altered"])
def test_logs_that_a_gate_makes_up_cost_little_and_take_no_place_of_a_good_one(
    keeper: Keeper, wrong: str, whose: str
) -> None:
    def hand_over(log: EpochLog) -> None:
        """As the gate itself, or as one that carries for it."""
        chunks = (log.chunk(),)
        merged = keeper.merged
        for one in merged.take_from(ONE, chunks)[0] if whose == "own" else merged.take_carried(chunks):
            keeper.keep(one)

    for number in range(100, 100 + MADE_UP):
        log = log_of(ONE, number, OTHER_KEY if wrong == "altered" else None)
        body(log, Kind.SCAN, Direction.ENTRY)
        if wrong == "altered":
            log.sign()
        if (whose, wrong) != ("own", "unsigned"):  # the gate's own word needs no head: that would be taken
            hand_over(log)
        keeper.take(log.chunk())
        if number % 50 == 0:
            keeper.merged.settle()
    remembered = keeper.merged
    sizes = [
        len(one)  # nothing outside tells of it
        for one in (remembered._unsigned, remembered._doubted, remembered._settled, remembered._begun_us)
    ]
    assert max(sizes) <= DOUBTFUL_MAX
    keeper.now_s += UNSIGNED_S
    assert keeper.merged.troubles == {ONE: wrong}
    for gate in (ONE, TWO):
        good = log_of(gate, 7)
        good.sign()
        keeper.take(good.chunk())
        assert keeper.held(good) == good.blobs


def test_two_gates_that_make_up_logs_leave_the_others_their_places_among_what_is_asked_for(
    keeper: Keeper,
) -> None:
    hostile = GateId(4), GateId(5)
    keeper.roster |= dict.fromkeys(hostile, PUBLIC_THREE)
    for gate in hostile:
        for number in range(100, 100 + WANTS_MAX):
            keeper.take(Chunk(gate, number, 50, (b"made up",), bytes(32)))
    wanted = [log_of(ONE, 7).scans(20), log_of(TWO, 8).scans(20)]
    for gap in wanted:
        keeper.take(gap.chunk(12))
    asked = keeper.merged.wants()
    assert len(asked) == WANTS_MAX
    assert {Want(ONE, 7, 0), Want(TWO, 8, 0)} <= set(asked)
    assert {sum(one.gate == gate for one in asked) for gate in hostile} == {WANTS_MAX // 2 - 1}
    for number in range(100, 100 + WANTS_MAX):
        keeper.take(Chunk(hostile[0], number, 50, (b"made up",), bytes(32)))
    assert {Want(ONE, 7, 0), Want(TWO, 8, 0)} <= set(keeper.merged.wants())


def test_a_key_that_the_newest_roster_brings_has_a_gates_doubtful_logs_asked_for_again(
    keeper: Keeper,
) -> None:
    for number in range(100, 100 + MADE_UP):
        forged = log_of(ONE, number, OTHER_KEY)
        forged.sign()
        keeper.take(forged.chunk())
        keeper.merged.settle()
    new_key = Ed25519PrivateKey.from_private_bytes(bytes(range(9, 41)))
    true = log_of(ONE, 7, new_key)
    true.sign()
    # It was swapped, and rolls its key once more.
    keeper.roster[ONE] = OWN_KEY.public_key().public_bytes_raw()
    assert Want(ONE, 7, 0) not in keeper.merged.wants()
    keeper.take(true.chunk(), cursor=b"3")
    keeper.merged.settle()
    keeper.roster[ONE] = new_key.public_key().public_bytes_raw()
    assert Want(ONE, 7, 0) in keeper.merged.wants()
    keeper.take(true.chunk(), cursor=b"3")
    assert keeper.held(true) == true.blobs


def test_when_logs_began_is_remembered_until_it_is_on_disk(keeper: Keeper) -> None:
    keeper.signed = signed(OTHER_KEY)
    logs = [log_of(ONE, number) for number in range(100, 100 + 3 * BEGUN_MAX)]
    on_their_way: list[Foreign] = []
    for log in logs:
        slices, _ = keeper.merged.take_from(ONE, (log.chunk(),))
        on_their_way += slices
        log.sign()  # by the former key: it counts for runs that began in its time
    slices, _ = keeper.merged.take_from(ONE, (logs[0].chunk(2),))
    for one in (*on_their_way, *slices):
        keeper.keep(one)
    assert keeper.held(logs[0]) == logs[0].blobs
    for number in range(2000, 2000 + 6 * BEGUN_MAX):
        later = log_of(ONE, number)
        later.sign()
        keeper.take(later.chunk())
    assert len(keeper.merged._begun_us) <= 6 * BEGUN_MAX  # nothing outside tells of it


def test_a_gate_that_is_not_in_the_list_yet_is_asked_for_when_it_is(keeper: Keeper) -> None:
    key = keeper.roster.pop(ONE)
    log = log_of(ONE, 7)
    log.sign()
    assert keeper.take(log.chunk(), cursor=b"1")[0].blobs == ()
    assert keeper.merged.wants() == ()
    keeper.roster[ONE] = key
    assert [(one.gate, one.epoch, one.after) for one in keeper.merged.wants()] == [(ONE, 7, 0)]
    keeper.take(log.chunk(), cursor=b"1")
    assert keeper.held(log) == log.blobs
    assert keeper.merged.wants() == ()


def signed(key: Ed25519PrivateKey | None, *revoked: Revoked, until_s: int = 500) -> Roster:
    """A roster in which `KEY` is a former key of ONE, and `key` its present one."""
    gates = () if key is None else (RosterGate(ONE, "", key.public_key().public_bytes_raw(), bytes(32), ()),)
    return Roster(1, 1, 0, 9, gates, revoked, (FormerKey(ONE, ROSTER[ONE], until_s),))


def test_runs_of_before_a_gate_was_swapped_are_read_by_its_former_key(keeper: Keeper) -> None:
    keeper.signed = signed(OTHER_KEY)
    before = log_of(ONE, 7).scans(27)  # the last record of both is a head's
    after = EpochLog(Epoch(8), ONE, OTHER_KEY).begin(before).scans(26)
    keeper.take(before.chunk(1, 21))
    keeper.take(after.chunk())
    keeper.restart()
    keeper.take(before.chunk(22))  # by the key that signed what is held
    for log in (before, after):
        assert [one.blob for one in keeper.store.records(ONE, log.epoch, 0, 99)] == log.blobs
    assert keeper.merged.troubles == {}
    # What begins after its time is not the gate's.
    late = EpochLog(Epoch(9), ONE)
    late.add(Record(Kind.RESTART, 1, 801_000_000, 0).to_bytes())
    late.scans(30)
    for _ in range(2):
        keeper.take(late.chunk())
        keeper.merged.settle()
    assert keeper.store.records(ONE, late.epoch, 0, 99) == ()
    assert keeper.merged.troubles == {ONE: "altered"}


@pytest.mark.parametrize(("shut_out_s", "foreign"), [(0, ()), (499, ()), (500, ((ONE, 7),))])
def test_runs_by_a_key_of_before_a_gate_was_shut_out_are_foreign(
    keeper: Keeper, shut_out_s: int, foreign: tuple[tuple[GateId, int], ...]
) -> None:
    """`KEY` was its key until 500: enrolled anew after it was shut out, or rolled, a key is its own all the same."""
    keeper.signed = signed(KEY)
    before = log_of(ONE, 7).scans(27)
    keeper.take(before.chunk())
    keeper.signed = signed(OTHER_KEY, *([Revoked(ONE, shut_out_s, ())] if shut_out_s else []))
    keeper.take(EpochLog(Epoch(8), ONE, OTHER_KEY).begin(before).scans(26).chunk())
    assert keeper.merged.foreign() == foreign


def test_a_head_by_a_key_that_only_the_newest_roster_has_is_no_trouble(keeper: Keeper) -> None:
    """A gate rolled its key, or a box was swapped, and its records came before the roster did."""
    keeper.signed = signed(KEY)
    before = log_of(ONE, 7).scans(27)
    after = EpochLog(Epoch(8), ONE, OTHER_KEY).begin(before).scans(26)
    keeper.take(before.chunk(), after.chunk())
    assert keeper.held(after) == []
    keeper.signed = signed(OTHER_KEY)
    keeper.merged.settle()
    assert keeper.merged.wants() == (Want(ONE, 8, 0),)
    keeper.take(after.chunk())
    assert keeper.held(after) == after.blobs
    assert (keeper.merged.troubles, keeper.merged.doubts, keeper.merged.wants()) == ({}, False, ())


def test_what_comes_while_there_is_no_roster_in_force_is_left_out_and_read_again(keeper: Keeper) -> None:
    log, later, own = log_of(ONE, 7).scans(30), log_of(TWO, 8).scans(30), log_of(OWN, 9).scans(20)
    for one in (log, later, own):
        one.sign()
    half = _end_of_heads(log, 15)
    keeper.take(log.chunk(1, half), cursor=b"1")
    keeper.believes = False
    keeper.merged.lost({Epoch(9): 0})
    keeper.take(log.chunk(half + 1), own.chunk(), cursor=b"2")
    keeper.take(later.chunk(), cursor=b"3")
    assert (keeper.held(log), keeper.held(later)) == (log.blobs[:half], [])
    assert keeper.held(own) == own.blobs, "its own key needs no roster"
    assert keeper.merged.left_out == {ONE, TWO}
    assert keeper.merged.cursor == b"3", "it is asked on from there, so that a question can wait for news"
    assert keeper.store.meta(FEED_CURSOR) == b"1", "but not kept: a restart begins where it may believe"
    keeper.believes = True
    assert keeper.take(cursor=b"3") == ()
    keeper.merged.caught_up()
    assert (keeper.merged.cursor, keeper.merged.left_out) == (b"1", {ONE, TWO}), "all of it is read again"
    keeper.take(log.chunk(half + 1), later.chunk(), cursor=b"3")
    keeper.merged.caught_up()
    assert (keeper.held(log), keeper.held(later)) == (log.blobs, later.blobs)
    assert (keeper.merged.left_out, keeper.store.meta(FEED_CURSOR)) == (set(), b"3")
    assert keeper.merged.troubles == {}


def test_of_a_gate_that_is_shut_out_only_what_the_revocation_names_is_read(keeper: Keeper) -> None:
    named, other = log_of(ONE, 7).scans(30), log_of(ONE, 8).scans(30)
    keeper.signed = signed(None, Revoked(ONE, 500, (LastHead(Epoch(7), 20),)))
    keeper.take(named.chunk(1, 21), other.chunk())
    assert [one.blob for one in keeper.store.records(ONE, named.epoch, 0, 99)] == named.blobs[:21]
    assert keeper.store.records(ONE, other.epoch, 0, 99) == ()


def test_a_key_that_was_rolled_is_taken_up_while_running(keeper: Keeper) -> None:
    keeper.signed = signed(KEY)
    before = log_of(ONE, 7).scans(27)
    keeper.take(before.chunk())
    keeper.signed = signed(OTHER_KEY)
    after = EpochLog(Epoch(8), ONE, OTHER_KEY).begin(before).scans(26)
    keeper.merged.wants()
    keeper.take(after.chunk())
    assert [one.blob for one in keeper.store.records(ONE, after.epoch, 0, 99)] == after.blobs
    assert keeper.merged.troubles == {}


def test_a_log_with_a_hole_is_asked_for_from_there(keeper: Keeper) -> None:
    log = log_of(ONE, 7).scans(30, head_every=5)
    log.sign()
    first_head = _end_of_heads(log, 10)
    keeper.take(log.chunk(1, first_head))
    keeper.take(log.chunk(first_head + 4))
    assert [one.after for one in keeper.merged.wants()] == [first_head]
    keeper.take(log.chunk(first_head + 1))
    assert keeper.held(log) == log.blobs


def test_a_cloned_card_is_kept_twice_and_said(keeper: Keeper) -> None:
    log = log_of(ONE, 7).scans(5, head_every=100)
    clone = log.copy(4)
    log.sign()
    clone.scan(99)
    clone.sign()
    keeper.take(log.chunk())
    keeper.take(clone.chunk())
    assert keeper.held(log) == log.blobs
    assert [one.blob for one in keeper.store.forks()] == clone.blobs[4:]
    assert keeper.merged.troubles == {ONE: "fork"}


def test_the_own_log_comes_back_only_where_it_was_lost(keeper: Keeper) -> None:
    own = log_of(OWN, 7).scans(20, head_every=5)
    own.sign()
    keeper.take(own.chunk())
    assert keeper.held(own) == [], "our own word is not taken from others"
    keeper.merged.lost({Epoch(7): 0})
    assert [(one.gate, one.after) for one in keeper.merged.wants()] == [(OWN, 0)]
    keeper.take(own.chunk())
    assert keeper.held(own) == own.blobs


def test_an_end_of_the_own_log_that_nothing_signed_is_not_taken_back_and_said(keeper: Keeper) -> None:
    """Whoever hands it over might have made it up."""
    own = log_of(OWN, 7).scans(20, head_every=5)
    own.sign()
    signed_seq = len(own.blobs)
    body(own, Kind.SCAN, Direction.ENTRY)
    keeper.merged.lost({Epoch(7): 0})
    keeper.take(own.chunk())
    assert keeper.held(own) == own.blobs[:signed_seq]
    assert keeper.merged.troubles == {OWN: "rewind"}


def test_that_the_own_card_was_set_back_is_said_by_what_it_signed_whoever_brings_it(keeper: Keeper) -> None:
    keeper.merged.lost({Epoch(7): 0})
    made_up = log_of(OWN, 7)
    body(made_up, Kind.SCAN, Direction.ENTRY)
    assert keeper.merged.take_carried((made_up.chunk(),)) == ()
    assert keeper.merged.troubles == {}
    true = log_of(OWN, 7).scans(20, head_every=5)
    true.sign()
    body(true, Kind.SCAN, Direction.ENTRY)
    for one in keeper.merged.take_carried((true.chunk(),)):
        keeper.keep(one)
    assert keeper.held(true) == true.blobs[:-1]
    assert keeper.merged.troubles == {OWN: "rewind"}


def test_what_the_lane_did_not_take_comes_again(keeper: Keeper) -> None:
    log = log_of(ONE, 7).scans(100)
    log.sign()
    slices = keeper.merged.take(b"there", [log.chunk()])
    keeper.keep(slices[0])
    keeper.merged.forget()
    assert keeper.merged.cursor == b""
    keeper.take(log.chunk(), cursor=b"there")
    assert keeper.held(log) == log.blobs
    assert keeper.merged.cursor == b"there"


def _evening(data: st.DataObject) -> list[EpochLog]:
    """Entries, exits and a reset at two gates, some knowing of each other's, some not."""
    logs = [log_of(ONE, 7), log_of(TWO, 8)]
    entries: list[RecordId] = []
    for at in range(data.draw(st.integers(1, 10))):
        log = data.draw(st.sampled_from(logs))
        what = data.draw(st.sampled_from(("entry", "entry", "exit", "blind exit", "back", "reset")))
        if what == "entry":
            entries.append(RecordId(log.gate, log.epoch, body(log, Kind.SCAN, Direction.ENTRY, at=at + 1)))
        elif what in {"exit", "blind exit"}:
            out = body(log, Kind.SCAN, Direction.EXIT, at=at + 1)
            if what == "exit" and entries:
                extend(log, Extension.OBSERVED, pack_record_ids((data.draw(st.sampled_from(entries)),))[0])
            body(log, Kind.PASSAGE, Direction.EXIT, ref=out, at=at + 1)
        elif what == "back" and entries and entries[-1].gate == log.gate:
            body(log, Kind.GIVE_BACK, Direction.ENTRY, ref=entries[-1].seq, at=at + 1)
        elif what == "reset":
            seq = len(log.blobs) + 1
            log.add(Record(Kind.RESET, seq, 1_000_000 * (at + 1), seq, zone=HALL).to_bytes())
            heads = [RecordId(one.gate, one.epoch, len(one.blobs)) for one in logs if one is not log]
            for kind, payload in reset_payloads(heads):
                extend(log, kind, payload)
        if data.draw(st.booleans()):
            log.sign()
    for log in logs:
        log.sign()
    return logs


def _cut(log: EpochLog, chance: random.Random) -> Iterator[Chunk]:
    """Cut a log behind heads, and now and then elsewhere, where what no head covers is not taken."""
    first = 1
    while first <= len(log.blobs):
        last = chance.randrange(first, len(log.blobs) + 1)
        yield log.chunk(first, last)
        first = _end_of_heads(log, last) + 1 if chance.random() < 0.7 else last + 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_in_any_order_cut_and_repeated_everybody_folds_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    logs = _evening(data)
    results = []
    for seed in range(2):
        chance = random.Random(data.draw(st.integers(0, 2**32)) + seed)
        store = LogStore.open(tmp_path_factory.mktemp("log"), LocalDisk())
        try:
            keeper = Keeper(store)
            _feed(keeper, logs, chance)
            for log in logs:
                assert keeper.held(log) == log.blobs, "all of it, each once"
            assert not store.forks()
            results.append(keeper.folded())
        finally:
            store.close()
    assert results[0] == results[1] == _folded_from_the_records(logs)


def _feed(keeper: Keeper, logs: Sequence[EpochLog], chance: random.Random) -> None:
    chunks = [chunk for log in logs for chunk in _cut(log, chance)]
    chunks += chance.sample(chunks, len(chunks) // 2)
    chance.shuffle(chunks)
    by_log = {(log.gate, log.epoch): log for log in logs}
    for n, chunk in enumerate(chunks):
        keeper.take(chunk, cursor=bytes([n % 250 + 1]))
        if chance.random() < 0.2:
            keeper.restart()
    while missing := [one for one in logs if keeper.held(one) != one.blobs]:
        before = sum(len(keeper.held(one)) for one in missing)
        for want in keeper.merged.wants() or ():
            keeper.take(by_log[GateId(want.gate), Epoch(want.epoch)].chunk(want.after + 1))
        for log in missing:
            keeper.take(log.chunk(len(keeper.held(log)) + 1))
        assert sum(len(keeper.held(one)) for one in missing) > before


def _folded_from_the_records(logs: Iterable[EpochLog]) -> object:
    """Fold as the centre does, straight from what the gates wrote."""
    rows: list[PresenceRow] = []
    resets: list[Reset] = []
    for log in logs:
        found = meaning_of(log.gate, log.epoch, log.blobs)
        rows += found[0]
        resets += found[1]
    folded = fold(reversed(rows), resets, ZoneTree((Zone(HALL, "Hall"),)))
    return folded.counted, folded.live, folded.doubles(1)
