"""The chain: literal vectors, what `verify` finds, and what replication meets."""

import random
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from admission import chain
from admission.chain import Anomaly, Finding, Head, LogSet, Predecessor, Problem, Report, Trouble
from admission.ids import Epoch, GateId
from admission.records import Extension, ExtensionRecord, Kind, MalformedRecord, Record, record_from_bytes
from tests.admission.logs import GATE, KEY, PUBLIC, Log, Writer, bodies, extension_records

OLD, NEW, TWIN = 0xA000000000000001, 0x5000000000000002, 0x7000000000000003


def check(*epochs: tuple[int, Log], heads: tuple[Head, ...] = ()) -> Report:
    return chain.verify(GATE, PUBLIC, [(Epoch(epoch), log) for epoch, log in epochs], heads)


def troubles(report: Report) -> list[Trouble]:
    return [problem.trouble for problem in report.problems]


# --- bytes for ever -----------------------------------------------------------------------------------------------


def test_seed_and_link_are_these_hashes() -> None:
    first = chain.seed(GateId(3), Epoch(OLD))
    assert first == sha256(b"gatehouse chain 0\n" + bytes.fromhex("00000003 a000000000000001")).digest()
    assert chain.link(first, b"record") == sha256(first + b"record").digest()


def test_a_head_signs_this_text() -> None:
    at = bytes(range(32))
    head = Head.sign(KEY, GateId(3), Epoch(OLD), 258, at)
    text = b"gatehouse head 0\n" + bytes.fromhex("00000003 a000000000000001 00000102") + at
    KEY.public_key().verify(head.signature, text)
    assert head.payload() == bytes.fromhex("00000102") + at + head.signature
    assert Head.from_payload(GateId(3), Epoch(OLD), head.payload()) == head


def test_a_head_is_good_for_its_gate_epoch_seq_and_link_only() -> None:
    head = Head.sign(KEY, GATE, Epoch(OLD), 2, bytes(32))
    others = [
        Head(GateId(4), head.epoch, 2, head.link, head.signature),
        Head(GATE, Epoch(NEW), 2, head.link, head.signature),
        Head(GATE, head.epoch, 3, head.link, head.signature),
        Head(GATE, head.epoch, 2, bytes(31) + b"\1", head.signature),
    ]
    assert head.signed_by(PUBLIC)
    assert not any(other.signed_by(PUBLIC) for other in others)
    assert not head.signed_by(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())


def test_a_predecessor_has_these_bytes() -> None:
    named = Predecessor(Epoch(OLD), 9, bytes(range(32)))
    assert named.to_bytes() == bytes.fromhex("a000000000000001 00000009") + bytes(range(32))
    assert Predecessor.from_bytes(named.to_bytes()) == named


@given(st.binary(max_size=120))
@settings(max_examples=100)
def test_payloads_of_another_length_are_malformed(payload: bytes) -> None:
    for size, read in (
        (44, Predecessor.from_bytes),
        (100, lambda raw: Head.from_payload(GATE, Epoch(1), raw)),
    ):
        if len(payload) != size:
            with pytest.raises(MalformedRecord):
                read(payload)


# --- verify -------------------------------------------------------------------------------------------------------


def two_epochs() -> tuple[Writer, Writer]:
    old = Writer(OLD).bodies(3).head().bodies(2).head().bodies(1)
    return old, Writer(NEW, after=old).bodies(2).head()


def test_a_good_log_is_good_and_its_successor_covers_its_tail() -> None:
    old, new = two_epochs()
    alone = check((OLD, old.log))
    assert (alone.ok, alone.unsigned, alone.heads) == (True, ((OLD, 1),), 2)
    both = check((OLD, old.log), (NEW, new.log))
    assert (both.ok, both.unsigned, both.heads, both.records) == (True, (), 3, len(old.log) + len(new.log))


@given(st.data())
@settings(max_examples=200)
def test_any_altered_byte_is_found(data: st.DataObject) -> None:
    logs = [list(writer.log) for writer in two_epochs()]
    log = data.draw(st.sampled_from(logs))
    at = data.draw(st.integers(0, len(log) - 1))
    seq, blob = log[at]
    byte = data.draw(st.integers(0, len(blob) - 1))
    changed = bytes([blob[byte] ^ data.draw(st.integers(1, 255))])
    log[at] = seq, blob[:byte] + changed + blob[byte + 1 :]
    report = check((OLD, logs[0]), (NEW, logs[1]))
    assert not report.ok
    assert report.problems


@given(st.data())
@settings(max_examples=100)
def test_a_lost_repeated_or_moved_record_is_found(data: st.DataObject) -> None:
    old, new = two_epochs()
    log = list(old.log)
    at = data.draw(st.integers(0, len(log) - 1))
    what = data.draw(st.sampled_from(["lost", "repeated", "moved", "renumbered"]))
    if what == "lost":
        del log[at]
    elif what == "repeated":
        log.insert(at, log[at])
    elif what == "moved":
        log[at], log[at - 1] = log[at - 1], log[at]
    else:
        log[at] = (log[at][0] + 1000, log[at][1])
    assert not check((OLD, log), (NEW, new.log)).ok


@pytest.mark.parametrize("tail", [0, 1, 5])
def test_records_behind_the_last_head_are_an_unsigned_tail_and_not_an_error(tail: int) -> None:
    writer = Writer(OLD).bodies(4).head().bodies(5)
    report = check((OLD, writer.log[: len(writer.log) - 5 + tail]))
    assert (report.ok, report.unsigned_tail) == (True, tail)


def test_a_log_cut_before_a_head_that_others_hold_is_found() -> None:
    writer = Writer(OLD).bodies(4).head().bodies(3)
    kept = writer.signed()
    writer.head()
    assert check((OLD, writer.log), heads=(kept,)).ok
    cut = check((OLD, writer.log[:6]), heads=(kept,))
    assert cut.problems == (Problem(Trouble.TRUNCATED, Epoch(OLD), 7, 9),) or troubles(cut) == [
        Trouble.TRUNCATED
    ]


def test_a_log_rewritten_and_signed_anew_differs_from_a_head_that_others_hold() -> None:
    first, second = Writer(OLD).bodies(3), Writer(OLD).bodies(2).body(Kind.INTRUSION)
    assert troubles(check((OLD, second.head().log), heads=(first.signed(),))) == [Trouble.ALTERED]


def test_a_pruned_log_begins_behind_a_head_that_is_known() -> None:
    writer = Writer(OLD).bodies(4)
    known = writer.signed()
    writer.head().bodies(3).head()
    rest = writer.log[known.seq :]
    assert check((OLD, rest), heads=(known,)).ok
    assert troubles(check((OLD, rest))) == [Trouble.GAP]


def test_a_known_head_of_another_gate_or_key_proves_nothing() -> None:
    other = Head.sign(Ed25519PrivateKey.from_private_bytes(bytes(32)), GATE, Epoch(OLD), 1, bytes(32))
    assert troubles(check((OLD, Writer(OLD).head().log), heads=(other,))) == [Trouble.BAD_SIGNATURE]


def test_one_wound_shows_once_and_where() -> None:
    writer = Writer(OLD).bodies(3).head().bodies(3).head().bodies(3).head()
    other = Writer(OLD).bodies(6).body(Kind.INTRUSION).log[7][1]
    log = list(writer.log)
    log[6] = (7, other[:4] + log[6][1][4:8] + other[8:])
    assert check((OLD, log)).problems == (Problem(Trouble.ALTERED, Epoch(OLD), 6, 8),)


def test_a_head_under_another_key_is_a_bad_signature() -> None:
    writer = Writer(OLD).bodies(2)
    wrong = Head.sign(
        Ed25519PrivateKey.from_private_bytes(bytes(32)), GATE, writer.epoch, writer.seq, writer.link
    )
    writer.extend(Extension.HEAD, wrong.payload())
    assert troubles(check((OLD, writer.log))) == [Trouble.BAD_SIGNATURE]


def test_a_last_head_in_the_guise_of_another_extension_is_found() -> None:
    log = Writer(OLD).bodies(2).head().log
    seq, blob = log[-1]
    log[-1] = seq, blob[:1] + bytes([Extension.DETAIL]) + blob[2:]
    assert check((OLD, log)).problems == (Problem(Trouble.ALTERED, Epoch(OLD), seq, seq),)


def test_an_epoch_begins_with_a_restart_and_says_there_what_came_before() -> None:
    plain = Writer(OLD)
    plain.log.clear()
    plain.link = chain.seed(GATE, Epoch(OLD))
    plain.bodies(2).head()
    assert troubles(check((OLD, plain.log))) == [Trouble.NO_RESTART]
    late = Writer(OLD).body().extend(Extension.PREDECESSOR, chain.ROOT.to_bytes()).head()
    assert troubles(check((OLD, late.log))) == [Trouble.NO_RESTART]


def test_an_epoch_before_the_one_it_names_is_out_of_order() -> None:
    old, new = two_epochs()
    assert Trouble.EPOCH_ORDER in troubles(check((NEW, new.log), (OLD, old.log)))
    assert Trouble.EPOCH_ORDER in troubles(check((OLD, old.log), (OLD, old.log)))


def test_the_tail_of_an_epoch_is_held_against_what_its_successor_says() -> None:
    old, new = two_epochs()
    short = check((OLD, old.log[:-1]), (NEW, new.log))
    assert short.problems == (Problem(Trouble.TRUNCATED, Epoch(OLD), old.seq, old.seq),)
    forged = [*old.log[:-1], Writer(OLD).bodies(old.seq - 2).body(Kind.INTRUSION).log[-1]]
    assert check((OLD, forged), (NEW, new.log)).problems == (Problem(Trouble.ALTERED, Epoch(OLD), 9, 9),)


def test_forks_and_rewinds_are_found_in_a_log_too() -> None:
    old = Writer(OLD).bodies(3).head()
    new, twin = Writer(NEW, after=old).head(), Writer(TWIN, after=old).head()
    report = check((OLD, old.log), (NEW, new.log), (TWIN, twin.log))
    assert report.problems == (Problem(Trouble.FORK, Epoch(NEW)), Problem(Trouble.FORK, Epoch(TWIN)))
    image = Writer(OLD).bodies(2)
    restored = Writer(TWIN, after=image).head()
    rewound = check((OLD, old.log), (NEW, new.log), (TWIN, restored.log))
    assert rewound.problems == (Problem(Trouble.REWIND, Epoch(TWIN)),)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, OLD, 2**64 - 1]),
            st.lists(
                st.tuples(
                    st.integers(-1, 2**33),
                    st.one_of(
                        st.binary(max_size=80),
                        bodies().map(lambda body: body.to_bytes()),
                        extension_records().map(lambda one: one.to_bytes()),
                    ),
                ),
                max_size=6,
            ),
        ),
        max_size=4,
    )
)
@settings(max_examples=150)
def test_verify_never_raises_on_what_it_reads(epochs: list[tuple[int, Log]]) -> None:
    report = check(*epochs)
    assert report.records == sum(len(log) for epoch, log in dict(reversed(epochs)).items()) or not report.ok


def test_a_log_of_rubbish_is_reported_within_bounds() -> None:
    report = check((OLD, [(seq, b"rubbish") for seq in range(1, 3 * chain.PROBLEMS_MAX)]))
    assert len(report.problems) == chain.PROBLEMS_MAX
    assert report.problems_total == 3 * chain.PROBLEMS_MAX - 1
    assert set(troubles(report)) == {Trouble.MALFORMED}


@given(
    st.lists(
        st.one_of(bodies(st.just(1)), extension_records(types=[Extension.DETAIL, Extension.RESET])),
        max_size=8,
    )
)
@settings(max_examples=50)
def test_every_record_survives_encode_chain_and_decode(records: list[Record | ExtensionRecord]) -> None:
    writer = Writer(OLD)
    for record in records:
        numbered = replace(record, seq=writer.seq + 1)
        writer._append(numbered.to_bytes())
        assert record_from_bytes(writer.log[-1][1]) == numbered
    writer.head()
    assert check((OLD, writer.log)).ok


# --- what replication meets ---------------------------------------------------------------------------------------


def take(logs: LogSet, writer: Writer) -> list[Finding]:
    return [logs.accept(writer.epoch, seq, blob) for seq, blob in writer.log]


def test_a_log_is_new_then_a_duplicate() -> None:
    old = Writer(OLD).bodies(2).head()
    logs = LogSet(GATE)
    assert take(logs, old) == [Finding.NEW] * 4
    assert logs.states[old.epoch] == chain.EpochState(old.epoch, 4, old.link, 3, chain.ROOT)
    assert [logs.classify(old.epoch, seq, blob, blob) for seq, blob in old.log] == [Finding.DUPLICATE] * 4
    assert logs.classify(old.epoch, 2, old.log[1][1]) is Finding.DUPLICATE  # pruned here


def test_same_key_with_other_bytes_is_a_fork() -> None:
    old = Writer(OLD).bodies(2)
    logs = LogSet(GATE)
    take(logs, old)
    assert logs.accept(old.epoch, 2, old.log[2][1], old.log[1][1]) is Finding.FORK


@pytest.mark.parametrize(
    ("what", "seq", "blob", "finding"),
    [
        ("a gap", 4, Writer(OLD).bodies(3).log[3][1], Finding.GAP),
        ("a gap, whatever the bytes", 9, b"rubbish", Finding.GAP),
        ("rubbish", 3, b"rubbish", Finding.MALFORMED),
        ("another's seq", 3, Writer(OLD).bodies(3).log[3][1], Finding.MALFORMED),
        ("seq 0", 0, b"", Finding.MALFORMED),
        ("a head of another link", 3, Writer(NEW).body().head().log[2][1], Finding.MALFORMED),
        ("a late predecessor", 3, Writer(OLD).body().extend(Extension.PREDECESSOR, bytes(44)).log[2][1],
         Finding.MALFORMED),
    ],
)  # fmt: skip
def test_what_does_not_continue_a_log_changes_nothing(
    what: str, seq: int, blob: bytes, finding: Finding
) -> None:
    logs = LogSet(GATE)
    take(logs, Writer(OLD).body())
    before = dict(logs.states)
    assert logs.accept(Epoch(OLD), seq, blob) is finding
    assert logs.states == before


_NEXT = Writer(OLD).bodies(6).log[6][1]
"""A good body behind five."""


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes([127]) * 56, id="rubbish as long as a body"),
        pytest.param(_NEXT[:28] + bytes([99]) + _NEXT[29:], id="an outcome that is none"),
        pytest.param(Writer(OLD).bodies(7).log[7][1], id="another's seq"),
        pytest.param(Writer(OLD).bodies(5).head().log[6][1], id="a head"),
        pytest.param(Writer(OLD).bodies(5).extend(Extension.DETAIL, bytes(48)).log[6][1], id="as long as a body"),
    ],
)  # fmt: skip
def test_bodies_are_accepted_at_once_as_they_are_one_by_one(last: bytes) -> None:
    writer = Writer(OLD).bodies(5)
    blobs = [blob for _, blob in writer.log]
    one_by_one, at_once = LogSet(GATE), LogSet(GATE)
    take(one_by_one, writer)
    assert at_once.accept_bodies(Epoch(OLD), blobs, 0) == []
    for seq in (1, 2):
        assert at_once.accept_bodies(Epoch(OLD), blobs, seq - 1) == []
        at_once.accept(Epoch(OLD), seq, blobs[seq - 1])
    found = at_once.accept_bodies(Epoch(OLD), [*blobs, last], 2)
    assert [one.to_bytes() for one in found] == blobs[2:]
    assert at_once.states == one_by_one.states
    assert at_once.accept_bodies(Epoch(OLD), blobs, 2) == []


def test_an_epoch_begins_with_a_restart() -> None:
    logs = LogSet(GATE)
    assert logs.accept(Epoch(OLD), 1, bodies_of(Kind.DEVICE)) is Finding.MALFORMED
    assert logs.accept(Epoch(OLD), 2, bodies_of(Kind.RESTART)) is Finding.GAP


def bodies_of(kind: Kind) -> bytes:
    writer = Writer(OLD)
    writer.log.clear()
    return writer.body(kind).log[0][1]


def test_an_epoch_that_names_itself_is_malformed() -> None:
    writer = Writer(OLD)
    writer.extend(Extension.PREDECESSOR, Predecessor(writer.epoch, 1, writer.link).to_bytes())
    assert take(LogSet(GATE), writer) == [Finding.NEW, Finding.MALFORMED]


def family() -> dict[str, list[Writer]]:
    old = Writer(OLD).bodies(3).head()
    return {
        "plain": [old, Writer(NEW, after=old).head()],
        "unsigned tail named": [tail := Writer(OLD).head().bodies(2), Writer(NEW, after=tail)],
        "cloned card": [old, Writer(NEW, after=old).head(), Writer(TWIN, after=old).head()],
        "restored image": [old, Writer(NEW, after=old), Writer(TWIN, after=Writer(OLD).bodies(1))],
        "lying card": [old, Writer(NEW, after=Writer(OLD).bodies(1))],
        "end lost unsigned": [
            Writer(OLD).head().bodies(2),
            Writer(NEW, after=Writer(OLD).head().bodies(1)),
        ],
        "factory reset": [Writer(OLD).body(), Writer(NEW).body()],
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain", ()),
        ("unsigned tail named", ()),
        ("cloned card", (Anomaly(Finding.FORK, Epoch(OLD), (Epoch(NEW), Epoch(TWIN))),)),
        ("restored image", (Anomaly(Finding.REWIND, Epoch(OLD), (Epoch(TWIN),)),)),
        ("lying card", (Anomaly(Finding.REWIND, Epoch(OLD), (Epoch(NEW),)),)),
        ("end lost unsigned", (Anomaly(Finding.REWIND, Epoch(OLD), (Epoch(NEW),)),)),
        ("factory reset", (Anomaly(Finding.REWIND, Epoch(0), (Epoch(NEW), Epoch(OLD))),)),
    ],
)
@given(shuffle=st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_forks_and_rewinds_are_found_in_whatever_order_logs_come(
    name: str, wanted: tuple[Anomaly, ...], shuffle: random.Random
) -> None:
    logs = LogSet(GATE)
    queues = [list(writer.log) for writer in family()[name]]
    owners = [writer.epoch for writer in family()[name]]
    worst = Finding.NEW
    while any(queues):
        at = shuffle.choice([index for index, queue in enumerate(queues) if queue])
        worst = max(worst, logs.accept(owners[at], *queues[at].pop(0)))
    assert logs.anomalies() == wanted
    assert worst in {Finding.NEW, *(one.finding for one in wanted)}


def test_the_epoch_that_brings_the_trouble_is_told_at_once() -> None:
    old, new, twin = family()["cloned card"]
    logs = LogSet(GATE)
    take(logs, old)
    take(logs, new)
    assert take(logs, twin)[:2] == [Finding.NEW, Finding.FORK]
    assert logs.states[twin.epoch].seq == twin.seq
    old, new = family()["lying card"]
    logs = LogSet(GATE)
    take(logs, old)
    assert take(logs, new) == [Finding.NEW, Finding.REWIND]


@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.integers(-1, 2**33), st.binary(max_size=120)), max_size=20
    )
)
@settings(max_examples=100)
def test_a_log_set_never_raises_on_what_it_is_brought(brought: list[tuple[int, int, bytes]]) -> None:
    logs = LogSet(GATE)
    for epoch, seq, blob in brought:
        assert logs.accept(Epoch(epoch), seq, blob) in set(Finding)
