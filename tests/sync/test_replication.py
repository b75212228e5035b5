"""The replication machine: whatever the network does, both ends get the same bytes once; nothing altered gets in."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.chain import EpochState, Finding, Predecessor
from admission.ids import Epoch
from admission.records import EXTENSION_BYTES_MAX, Extension, ExtensionRecord
from sync.wire.messages import PUSH_BYTES_MAX, PUSH_RECORDS_MAX, Chunk, Held, Push, Pushed, Trouble
from sync.wire.replication import (
    PUSH_BUDGET_BYTES,
    Accepted,
    Answer,
    Duplicate,
    Fork,
    Gap,
    Refused,
    Replica,
    Sender,
    Source,
    Why,
    troubles_of,
    troubles_of_epochs,
)
from tests.sync.logs import GATE, OTHER_KEY, PUBLIC, EpochLog, chunk_of


class Receiver:
    """A replica with its store; made anew from the store before each chunk when `forgetful`."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.records: dict[tuple[Epoch, int], bytes] = {}
        self.forks: dict[tuple[Epoch, int], set[bytes]] = {}
        self.states: dict[Epoch, EpochState] = {}
        self.forgetful = forgetful
        self.replica = self.made_anew()

    def made_anew(self) -> Replica:
        ends: dict[Epoch, int] = {}
        for epoch, seq in self.forks:
            ends[epoch] = max(ends.get(epoch, 0), seq)
        return Replica(GATE, PUBLIC, self.states.values(), ends.items())

    def stored(self, epoch: Epoch, first: int, last: int) -> Sequence[bytes | None]:
        return [self.records.get((epoch, seq)) for seq in range(first, last + 1)]

    def offer(self, chunk: Chunk, source: Source = Source.GATE) -> Answer:
        if self.forgetful:
            self.replica = self.made_anew()
        answer = self.replica.offer(chunk, self.stored, source)
        if isinstance(answer, Accepted):
            self.states[answer.epoch] = answer.state
            for seq, blob in enumerate(answer.blobs, start=answer.first_seq):
                assert (answer.epoch, seq) not in self.records, "each record comes in once"
                self.records[answer.epoch, seq] = blob
        elif isinstance(answer, Fork):
            for seq, blob in enumerate(answer.blobs, start=answer.first_seq):
                self.forks.setdefault((answer.epoch, seq), set()).add(blob)
        return answer

    def push(self, push: Push) -> Pushed:
        troubles = [one for chunk in push.chunks for one in troubles_of(GATE, self.offer(chunk))]
        return Pushed(self.replica.have({Epoch(one.epoch) for one in push.chunks}), tuple(troubles))

    def log(self, epoch: Epoch) -> list[bytes]:
        return [blob for (one, _), blob in sorted(self.records.items()) if one == epoch]


def log_of(epoch: int = 5, scans: int = 40, after: EpochLog | Predecessor | None = None) -> EpochLog:
    return EpochLog(Epoch(epoch)).begin(after).scans(scans)


def test_records_come_in_once_and_in_order() -> None:
    log, receiver = log_of(), Receiver()
    first = receiver.offer(log.chunk(1, 20))
    assert isinstance(first, Accepted)
    assert (first.first_seq, len(first.blobs), first.state.seq) == (1, 20, 20)
    assert [head.seq for head in first.heads] == [10]
    assert receiver.offer(log.chunk(1, 20)) == Duplicate(log.epoch)
    assert receiver.offer(log.chunk(5, 9)) == Duplicate(log.epoch)
    assert receiver.offer(log.chunk(22, 30)) == Gap(log.epoch, 21)
    overlapping = receiver.offer(log.chunk(11, 30))
    assert isinstance(overlapping, Accepted)
    assert (overlapping.first_seq, len(overlapping.blobs)) == (21, 10)
    assert receiver.replica.have() == (Held(GATE, log.epoch, 30, log.links[30]),)
    assert receiver.log(log.epoch) == log.blobs[:30]


def test_an_unknown_log_is_held_up_to_nothing() -> None:
    log = log_of()
    assert Receiver().replica.have([log.epoch]) == (Held(GATE, log.epoch, 0, log.links[0]),)
    assert Receiver().replica.have() == ()


def bad_form() -> list[tuple[str, Chunk, Why]]:
    log = log_of()
    blobs = tuple(log.blobs)
    at = log.links[4]
    return [
        ("another gate", Chunk(9, log.epoch, 1, blobs), Why.FOREIGN),
        ("no records", Chunk(GATE, log.epoch, 1, ()), Why.MALFORMED),
        ("too many", Chunk(GATE, log.epoch, 1, (b"x",) * (PUSH_RECORDS_MAX + 1)), Why.MALFORMED),
        ("too long", Chunk(GATE, log.epoch, 1, (bytes(EXTENSION_BYTES_MAX + 1),)), Why.MALFORMED),
        ("seq 0", Chunk(GATE, log.epoch, 0, blobs), Why.MALFORMED),
        ("seq beyond u32", Chunk(GATE, log.epoch, 2**32, blobs, at), Why.MALFORMED),
        ("epoch 0", Chunk(GATE, 0, 1, blobs), Why.MALFORMED),
        ("epoch beyond u64", Chunk(GATE, 2**64, 1, blobs), Why.MALFORMED),
        ("no link", Chunk(GATE, log.epoch, 5, blobs[4:]), Why.MALFORMED),
        ("short link", Chunk(GATE, log.epoch, 1, blobs, b"x"), Why.MALFORMED),
        ("not a record", Chunk(GATE, log.epoch, 1, (b"nonsense",)), Why.MALFORMED),
        ("no restart", Chunk(GATE, log.epoch, 1, (blobs[1],)), Why.MALFORMED),
    ]


@pytest.mark.parametrize(("_name", "chunk", "why"), bad_form(), ids=[one[0] for one in bad_form()])
def test_what_no_gate_sends_is_refused(_name: str, chunk: Chunk, why: Why) -> None:
    receiver = Receiver()
    answer = receiver.offer(chunk)
    assert isinstance(answer, Refused)
    assert answer.why is why
    assert receiver.replica.have() == ()


def test_a_good_beginning_is_kept_when_what_follows_is_nonsense() -> None:
    log, receiver = log_of(scans=6), Receiver()
    answer = receiver.offer(chunk_of(log, 1, [*log.blobs[:5], b"nonsense"]))
    assert isinstance(answer, Accepted)
    assert answer.refused == Refused(log.epoch, 6, Why.MALFORMED)
    assert troubles_of(GATE, answer) == (Trouble(GATE, log.epoch, 6, "malformed"),)
    assert receiver.log(log.epoch) == log.blobs[:5]


def test_a_head_by_another_key_takes_down_what_it_vouches_for() -> None:
    log = log_of(scans=25)  # heads at 11 and 21
    log.scan()
    log.sign(OTHER_KEY)
    receiver = Receiver()
    answer = receiver.offer(log.chunk())
    assert isinstance(answer, Accepted)
    assert answer.refused == Refused(log.epoch, len(log.blobs), Why.ALTERED)
    assert receiver.log(log.epoch) == log.blobs[:21]


def test_a_carrier_is_believed_only_up_to_a_head() -> None:
    log, receiver = log_of(scans=25), Receiver()
    answer = receiver.offer(log.chunk(1, 25), Source.CARRIER)
    assert isinstance(answer, Accepted)
    assert receiver.log(log.epoch) == log.blobs[:21]
    assert answer.refused == Refused(log.epoch, 22, Why.UNSIGNED)
    assert receiver.offer(log.chunk(22, 25), Source.CARRIER) == Refused(log.epoch, 22, Why.UNSIGNED)
    assert isinstance(receiver.offer(log.chunk(22, 25), Source.GATE), Accepted)


# --- forks and rewinds ---------------------------------------------------------------------------------------------


def parted(at: int = 15, ours: int = 20, theirs: int = 30) -> tuple[EpochLog, EpochLog]:
    """Return two logs under one number: a card was cloned while the gate ran."""
    first = log_of(scans=at)
    return first.copy(at).scans(ours, data=1), first.copy(at).scans(theirs, data=2)


def test_another_log_under_the_same_number_is_kept_beside_ours() -> None:
    ours, theirs = parted()
    receiver = Receiver()
    receiver.offer(ours.chunk())
    answer = receiver.offer(theirs.chunk())
    assert answer == Fork(ours.epoch, 16, tuple(theirs.blobs[15:]))
    assert troubles_of(GATE, answer) == (Trouble(GATE, ours.epoch, len(theirs.blobs), "fork"),)
    assert receiver.log(ours.epoch) == ours.blobs
    assert {blob for kept in receiver.forks.values() for blob in kept} == set(theirs.blobs[15:])


def test_a_record_of_the_other_branch_never_goes_on_from_ours() -> None:
    ours, theirs = parted(ours=5, theirs=30)
    receiver = Receiver()
    receiver.offer(ours.chunk())
    next_seq = len(ours.blobs) + 1
    answer = receiver.offer(theirs.chunk(next_seq))
    assert answer == Fork(ours.epoch, next_seq, tuple(theirs.blobs[next_seq - 1 :]))
    assert receiver.log(ours.epoch) == ours.blobs


def test_the_other_branch_goes_on_beyond_ours() -> None:
    ours, theirs = parted(ours=2, theirs=40)
    receiver = Receiver(forgetful=True)
    receiver.offer(ours.chunk())
    assert isinstance(receiver.offer(theirs.chunk(1, 30)), Fork)
    assert receiver.offer(theirs.chunk(31)) == Fork(ours.epoch, 31, tuple(theirs.blobs[30:]))
    assert receiver.offer(theirs.chunk(45)) == Fork(ours.epoch, 45, tuple(theirs.blobs[44:]))


def test_a_carriers_fork_needs_the_gates_own_word() -> None:
    ours, theirs = parted()
    receiver = Receiver()
    receiver.offer(ours.chunk())
    forged = ours.copy(15).scans(3, data=9, head_every=99)
    answer = receiver.offer(forged.chunk(), Source.CARRIER)
    assert answer == Refused(ours.epoch, 16, Why.UNSIGNED)
    answer = receiver.offer(theirs.chunk(), Source.CARRIER)
    assert isinstance(answer, Fork)
    signed = max(seq for seq, blob in enumerate(theirs.blobs, start=1) if blob[0] & 0x80)
    assert answer.last_seq == signed


def test_a_forks_false_head_is_not_kept() -> None:
    ours, theirs = parted(theirs=3)
    theirs.sign(OTHER_KEY)
    receiver = Receiver()
    receiver.offer(ours.chunk())
    assert isinstance(receiver.offer(theirs.chunk()), Refused)
    assert receiver.forks == {}


def test_epochs_that_name_one_predecessor_are_a_fork_and_older_places_a_rewind() -> None:
    first = log_of(1, 20)
    receiver = Receiver()
    for log in (first, log_of(2, 3, first), log_of(3, 3, first)):
        assert isinstance(receiver.offer(log.chunk()), Accepted)
    assert troubles_of_epochs(GATE, receiver.replica.anomalies()) == (
        Trouble(GATE, 2, 0, "fork"),
        Trouble(GATE, 3, 0, "fork"),
    )
    old = log_of(4, 3, Predecessor(first.epoch, 5, first.links[5]))
    assert isinstance(receiver.offer(old.chunk()), Accepted)
    found = {(one.finding, one.epochs) for one in receiver.replica.anomalies()}
    assert found == {(Finding.FORK, (2, 3)), (Finding.REWIND, (4,))}


# --- the sender ----------------------------------------------------------------------------------------------------


def sender_of(*logs: EpochLog) -> Sender:
    by_epoch = {log.epoch: log for log in logs}

    def link_at(epoch: Epoch, seq: int) -> bytes | None:
        log = by_epoch.get(epoch)
        return log.links[seq] if log is not None and seq < len(log.links) else None

    return Sender(GATE, link_at)


def next_push(sender: Sender, *logs: EpochLog) -> Push | None:
    by_epoch = {log.epoch: log for log in logs}
    return sender.next(by_epoch, lambda epoch, after, limit: by_epoch[epoch].read(after, limit))


def drain(sender: Sender, receiver: Receiver, *logs: EpochLog, pushes: int = 50) -> None:
    for _ in range(pushes):
        push = next_push(sender, *logs)
        if push is None:
            return
        sender.answered(receiver.push(push))
    raise AssertionError("it never ends")


def test_a_push_keeps_its_limits() -> None:
    log = EpochLog(Epoch(1)).begin()
    fill = b"x" * 500
    while len(log.blobs) < PUSH_RECORDS_MAX + 5:
        log.add(ExtensionRecord(Extension.DETAIL, len(log.blobs) + 1, fill).to_bytes())
    receiver, sender = Receiver(), sender_of(log)
    pushes = 0
    while (push := next_push(sender, log)) is not None:
        size = sum(len(blob) for chunk in push.chunks for blob in chunk.blobs)
        assert size <= PUSH_BUDGET_BYTES < PUSH_BYTES_MAX
        assert sum(len(chunk.blobs) for chunk in push.chunks) <= PUSH_RECORDS_MAX
        sender.answered(receiver.push(push))
        pushes += 1
    assert pushes == 2
    assert receiver.log(log.epoch) == log.blobs


def test_a_sender_that_finds_another_log_hands_over_its_own() -> None:
    ours, theirs = parted(ours=20, theirs=PUSH_RECORDS_MAX + 500)
    receiver = Receiver(forgetful=True)
    receiver.offer(ours.chunk())
    sender = sender_of(theirs)
    sender.heard(Pushed(receiver.replica.have()))
    drain(sender, receiver, theirs)
    assert receiver.log(ours.epoch) == ours.blobs
    kept = [blob for _, blobs in sorted(receiver.forks.items()) for blob in blobs]
    assert kept == theirs.blobs[15:]
    assert sender.forked == {ours.epoch}


def test_a_sender_whose_log_parts_behind_the_first_push_gets_past_it() -> None:
    first = log_of(scans=PUSH_RECORDS_MAX + 10, after=None)
    ours = first.copy(PUSH_RECORDS_MAX + 5).scans(5, data=1)
    theirs = first.copy(PUSH_RECORDS_MAX + 5).scans(5, data=2)
    receiver = Receiver()
    drain(sender_of(ours), receiver, ours)
    sender = sender_of(theirs)
    sender.heard(Pushed(receiver.replica.have()))
    drain(sender, receiver, theirs)
    assert len(receiver.forks) == len(theirs.blobs) - (PUSH_RECORDS_MAX + 5)


def test_a_sender_that_lost_its_tail_says_so_and_sends_its_other_epochs() -> None:
    log = log_of(1, 30)
    receiver = Receiver()
    receiver.offer(log.chunk())
    restored, later = log.copy(12), log_of(2, 5, Predecessor(Epoch(1), 12, log.links[12]))
    sender = sender_of(restored, later)
    sender.heard(Pushed(receiver.replica.have()))
    drain(sender, receiver, restored, later)
    assert sender.rewound == {log.epoch: len(log.blobs)}
    assert receiver.log(later.epoch) == later.blobs


def test_a_refused_epoch_waits_and_the_others_go_on() -> None:
    bad, good = log_of(1, 12), log_of(2, 12)
    bad.sign(OTHER_KEY)
    sender, receiver = sender_of(bad, good), Receiver()
    drain(sender, receiver, bad, good)
    assert sender.stuck == {bad.epoch: "altered"}
    assert receiver.log(good.epoch) == good.blobs
    sender.retry()
    assert next_push(sender, bad, good) is not None


def test_what_was_pruned_here_and_is_missing_there_is_said() -> None:
    log = log_of(1, 30)
    sender = sender_of(log)
    assert sender.next([log.epoch], lambda _epoch, _after, limit: log.read(5, limit)) is None
    assert sender.stuck == {log.epoch: "gap"}


def test_a_receiver_restored_from_a_backup_gets_the_rest_again() -> None:
    log = log_of(1, 50)
    sender, receiver = sender_of(log), Receiver()
    drain(sender, receiver, log)
    restored = Receiver()
    restored.offer(log.chunk(1, 20))
    sender.heard(Pushed(restored.replica.have()))
    drain(sender, restored, log)
    assert restored.log(log.epoch) == log.blobs


# --- laws ----------------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "push", "lose push", "lose answer", "replay", "part", "restart", "have"]),
        st.integers(0, 2**16),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(acts=ACTS, forgetful=st.booleans())
def test_any_network_ends_in_the_same_bytes_once(acts: list[tuple[str, int]], forgetful: bool) -> None:
    logs = [EpochLog(Epoch(1)).begin()]
    receiver, sender = Receiver(forgetful=forgetful), sender_of(*logs)
    sent: list[Push] = []
    for act, number in acts:
        match act:
            case "grow":
                logs[-1].scans(number % 7, head_every=4)
            case "restart":
                logs.append(EpochLog(Epoch(len(logs) + 1)).begin(logs[-1]))
                sender = sender_of(*logs)
            case "have":
                sender.heard(Pushed(receiver.replica.have()))
            case "replay" if sent:
                receiver.push(sent[number % len(sent)])
            case "part" if sent:
                chunks = sent[number % len(sent)].chunks
                chunk = chunks[number % len(chunks)]
                first = number % len(chunk.blobs)
                log = logs[chunk.epoch - 1]
                receiver.offer(log.chunk(chunk.first_seq + first, chunk.first_seq + first + number % 5))
            case _ if act not in {"replay", "part"} and (push := next_push(sender, *logs)) is not None:
                sent.append(push)
                if act != "lose push":
                    answer = receiver.push(push)
                    if act == "push":
                        sender.answered(answer)
    sender.heard(Pushed(receiver.replica.have()))
    drain(sender, receiver, *logs)
    for log in logs:
        assert receiver.log(log.epoch) == log.blobs
    assert receiver.forks == {}
    assert (sender.stuck, sender.rewound, sender.forked) == ({}, {}, set())


@settings(max_examples=200)
@given(data=st.data(), source=st.sampled_from(Source))
def test_no_altered_byte_is_ever_held_under_a_good_head(data: st.DataObject, source: Source) -> None:
    log = log_of(scans=30)
    log.sign()
    at = data.draw(st.integers(0, len(log.blobs) - 1), "record")
    byte = data.draw(st.integers(0, len(log.blobs[at]) - 1), "byte")
    bit = data.draw(st.integers(0, 7), "bit")
    cut = data.draw(st.integers(1, len(log.blobs)), "first chunk")
    blobs = list(log.blobs)
    blobs[at] = blobs[at][:byte] + bytes([blobs[at][byte] ^ 1 << bit]) + blobs[at][byte + 1 :]
    receiver = Receiver()
    receiver.offer(chunk_of(log, 1, blobs[:cut]), source)
    state = receiver.states.get(log.epoch)
    rest = state.seq if state is not None else 0
    if rest < len(blobs):
        receiver.offer(chunk_of(log, rest + 1, blobs[rest:]), source)
    covered = max((one.head_seq for one in receiver.states.values()), default=0)
    assert receiver.log(log.epoch)[:covered] == log.blobs[:covered]
    if source is Source.CARRIER:
        assert len(receiver.records) <= covered + 1
        assert receiver.log(log.epoch) == log.blobs[: len(receiver.records)]
