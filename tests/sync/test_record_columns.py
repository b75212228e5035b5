"""Records by columns: the same bytes come out, whatever they were, and few of them travel."""

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.ids import Epoch
from sync.wire.messages import CHUNKS_MAX, PUSH_RECORDS_MAX, Chunk
from sync.wire.record_columns import MARK, is_packed, pack_chunks, unpack_chunks
from tests.sync.logs import EpochLog, a_day

BODY = bytes.fromhex(
    "00" "01" "0001" "00000002" "00060b8d2ad1c000" "00001388" "0001" "0002" "0003" "0004" "01" "00" "11" "03"
    "000000010000000000000539000a0000" "00000000" "00000007"
)  # fmt: skip
PASSAGE = bytes.fromhex(
    "00" "02" "0001" "00000003" "00060b8d2ad5a880" "00001488" "0001" "0000" "0003" "0004" "00" "00" "11" "03"
    "000000010000000000000539000a0000" "00000002" "00000000"
)  # fmt: skip
VECTOR = bytes.fromhex(
    # mark, version; one chunk of gate 5, epoch 2^63, from seq 2, two records, its link 32 times 0x22
    "c101" "9b" "91" "95" "05" "cf8000000000000000" "02" "02" "c420" + "22" * 32 +
    # both are bodies
    "c4020000"
    # kinds, flags, lanes, readers, zones, sessions, outcomes, reasons, ways, trust, data
    "9b" "c4020102" "c40400000101" "c40400000101" "c40400000200" "c40400000303" "c40400000404" "c4020100" "c4020000"
    "c4021111" "c4020303" "c4080000000000000700"
    # steps of the clock, zigzag: 2 * 0x00060b8d2ad1c000, then 2 * 0x3e880
    "c410" "0000" "0c00" "1700" "1a00" "5500" "a307" "80d1" "0000"
    # how far mono_ms is off those steps: the gate's clock began elsewhere, then they agree
    "c408" "5800" "a900" "3a00" "1500"
    # refs: none, one back; the first has a subject, the second that of its ref
    "c408" "0000" "0000" "0000" "0001" "c4020100" "c41000000001000000000000053900" "0a0000"
    # no heads, nothing raw
    "c400" "c400" "c400"
)  # fmt: skip
"""A scan and its passage, packed."""


def test_two_records_are_packed_as_they_always_were() -> None:
    packed = pack_chunks([Chunk(5, 2**63, 2, (BODY, PASSAGE), b"\x22" * 32)])
    assert packed == VECTOR
    assert unpack_chunks(packed) == (Chunk(5, 2**63, 2, (BODY, PASSAGE), b"\x22" * 32),)


blobs = st.one_of(
    st.binary(max_size=120),
    st.builds(
        lambda head, seq, rest: bytes(1) + head + seq.to_bytes(4, "big") + rest,
        st.binary(min_size=3, max_size=3),
        st.integers(0, 12),
        st.binary(min_size=48, max_size=48),
    ),
    st.sampled_from([BODY, PASSAGE]),
    st.builds(lambda rest: bytes.fromhex("80010064") + rest, st.binary(min_size=104, max_size=104)),
)
chunks = st.builds(
    Chunk,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 5) | st.integers(0, 2**32 - 20),
    st.lists(blobs, max_size=12).map(tuple),
    st.just(b"") | st.binary(min_size=32, max_size=32) | st.binary(max_size=40),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(chunks, max_size=4))
def test_any_bytes_come_out_as_they_went_in(sent: list[Chunk]) -> None:
    assert unpack_chunks(pack_chunks(sent)) == tuple(sent)


def test_real_logs_come_out_as_they_went_in() -> None:
    log = EpochLog(Epoch(7)).begin().scans(300, head_every=50)
    later = EpochLog(Epoch(8)).begin(log).scans(20)
    sent = (log.chunk(), log.chunk(120, 260), later.chunk())
    packed = pack_chunks(sent)
    assert unpack_chunks(packed) == sent
    assert is_packed(packed)
    assert not is_packed(msgspec.msgpack.encode(sent))


def test_a_grant_with_its_passage_takes_few_bytes() -> None:
    chunk = a_day(100).chunk()
    packed = zstandard.ZstdCompressor(level=3).compress(pack_chunks([chunk]))
    assert len(packed) / 100 <= 30


def test_what_is_cut_short_altered_or_too_much_is_refused() -> None:
    packed = pack_chunks([EpochLog(Epoch(7)).begin().scans(30).chunk()])
    for end in range(len(packed)):
        with pytest.raises(ValueError, match=r"."):
            unpack_chunks(packed[:end])
    with pytest.raises(ValueError, match="no records by columns"):
        unpack_chunks(b"\xc1\x02" + packed[2:])
    many = Chunk(1, 1, 1, (b"",) * (PUSH_RECORDS_MAX + 1))
    with pytest.raises(ValueError, match="more records"):
        unpack_chunks(pack_chunks([many]))
    with pytest.raises(ValueError, match="more records"):
        unpack_chunks(pack_chunks([Chunk(1, 1, 1, ())] * (CHUNKS_MAX + 1)))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_hostile_bytes_are_refused_or_read_and_never_more(data: st.DataObject) -> None:
    packed = bytearray(pack_chunks([EpochLog(Epoch(7)).begin().scans(12, head_every=5).chunk()]))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(len(MARK), len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack_chunks(bytes(packed))
    except ValueError:
        return
    assert sum(len(one.blobs) for one in found) <= PUSH_RECORDS_MAX
