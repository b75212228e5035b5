"""Records that a neighbour carries up: what the centre takes of them, from whom, and who carries where one does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from admission.ids import Epoch, GateId
from edge.clock import SystemClock
from edge.enrolment import Enrolment
from edge.front.carrying import RANK_S
from edge.front.centre import Centre, CentreRefused
from edge.front.pace import Idle
from edge.front.stream import AGAIN_MAX_S
from edge.held_roster import ROSTER_FILE
from edge.link import Done, Foreign
from sync import demo
from sync.backup import archive
from sync.gates import fleet
from sync.store.schema import signed
from sync.tickets import changes
from sync.wire.carry import BadCarry, Carry, pack_carry, unpack_carry
from sync.wire.feed import Want
from sync.wire.messages import Chunk, Trouble
from tests.edge.front.slow_link import slow_link
from tests.edge.rig import Gate, assert_verifies
from tests.sync.box import Box
from tests.sync.gates import SECOND_GATE, SECOND_NAME, WAIT_S, add_second_gate, codes
from tests.sync.lan import lan
from tests.sync.logs import EpochLog, chunk_of
from tests.sync.test_merged_gates import knows
from tests.sync.venue import NOW_S, Venue, query

EPOCH = Epoch(2**63 + 5)
RESTS = Idle(quiet_after_s=0.0, round_s=600.0)


@asynccontextmanager
async def two_boxes(venue: Venue, folder: Path) -> AsyncIterator[tuple[Box, Enrolment]]:
    """A box that can carry, and whom it carries for."""
    add_second_gate(venue)
    owner = await venue.enrolled(folder / "owner")
    carrier = Box(folder / "carrier", await venue.enrolled(folder / "carrier", SECOND_NAME))
    try:
        yield carrier, owner
    finally:
        carrier.store.close()


def log_of(owner: Enrolment, scans: int = 30, epoch: Epoch = EPOCH) -> EpochLog:
    return EpochLog(epoch, owner.gate, owner.key).begin().scans(scans)


def at_centre(venue: Venue, epoch: Epoch = EPOCH) -> list[bytes]:
    found = query(venue, f"SELECT blob FROM record WHERE epoch = {signed(epoch)} ORDER BY seq")
    return [bytes(blob) for (blob,) in found]  # type: ignore[call-overload]  # a column of bytes


def troubles(venue: Venue) -> list[tuple[object, ...]]:
    return query(venue, "SELECT gate_id, what FROM trouble")


def signed_end(log: EpochLog) -> int:
    """The record of the last head."""
    return max(seq for seq, blob in enumerate(log.blobs, start=1) if blob[0] & 0x80 and blob[1] == 1)


async def test_what_a_gate_that_is_away_recorded_goes_up_to_its_last_head(
    venue: Venue, tmp_path: Path
) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner):
        ended, log = log_of(owner, 15, Epoch(11)), log_of(owner, 0)
        log = EpochLog(EPOCH, owner.gate, owner.key).begin(ended).scans(25)
        carrier.append(ended)
        carrier.append(log)
        end = signed_end(log)
        assert end < len(log.blobs)
        async with carrier.linked() as uplink:
            await carrier.until(lambda: len(at_centre(venue)) == end)
            await carrier.until(lambda: at_centre(venue, Epoch(11)) == ended.blobs)
            assert at_centre(venue) == log.blobs[:end], "byte for byte, and no further than somebody vouches"
            first = len(log.blobs) + 1
            carrier.append(log.scans(10), first)
            uplink.near.recorded()
            await carrier.until(lambda: len(at_centre(venue)) == signed_end(log))
        assert troubles(venue) == []


async def test_what_a_restored_centre_lost_is_carried_again(venue: Venue, tmp_path: Path) -> None:
    """Nothing is due while the centre is away, so that no request of the carrier's fails: all the same it asks anew."""
    async with two_boxes(venue, tmp_path) as (carrier, owner):
        log = log_of(owner)
        carrier.append(log)
        archive.make(venue.data, "", tmp_path / "monday", NOW_S)
        async with carrier.linked():
            await carrier.until(lambda: len(at_centre(venue)) == signed_end(log))
            await venue.stop()
            await carrier.until(lambda: carrier.is_told("uplink.cut_off"))
            venue.now_s += 60
            archive.restore(venue.data, "", tmp_path / "monday", venue.now_s, replaces=True)
            await venue.start()
            assert at_centre(venue) == []
            await carrier.until(lambda: at_centre(venue) == log.blobs[: signed_end(log)])


async def test_a_centre_restored_before_anybody_missed_it_is_carried_for_again(
    venue: Venue, tmp_path: Path
) -> None:
    """A gate that rests asks nothing, and the stream of a centre that is stopped in order ends in order. Whoever opens it again
    before the centre is back, however long that takes, waits on the way."""
    port = int(venue.url.rsplit(":", 1)[1])
    async with slow_link(port) as way, two_boxes(venue, tmp_path) as (carrier, owner):
        carrier.enrolment = replace(carrier.enrolment, centre_url=f"http://127.0.0.1:{way.port}")
        log = log_of(owner)
        own = EpochLog(EPOCH, carrier.enrolment.gate, carrier.enrolment.key).begin().scans(30)
        carrier.append(log)
        carrier.append(own)
        carrier.idle = RESTS
        archive.make(venue.data, "", tmp_path / "monday", NOW_S)
        async with carrier.linked():
            everything = sorted((*log.blobs[: signed_end(log)], *own.blobs))
            await carrier.until(lambda: sorted(at_centre(venue)) == everything)
            await carrier.until(lambda: carrier.is_told("uplink.rests"))
            said = len(carrier.said)
            way.holds = True
            await venue.stop()
            venue.now_s += 60
            archive.restore(venue.data, "", tmp_path / "monday", venue.now_s, replaces=True)
            await asyncio.sleep(2 * AGAIN_MAX_S)
            await venue.start()
            way.holds = False
            assert at_centre(venue) == []
            await carrier.until(lambda: sorted(at_centre(venue)) == everything)
            assert "uplink.cut_off" not in {one.code for one in carrier.said[said:]}


async def test_what_the_centre_told_is_known_before_the_card_has_it(venue: Venue, tmp_path: Path) -> None:
    """Else a slow card would have it known of a centre that was restored meanwhile, and it were never carried again."""
    async with two_boxes(venue, tmp_path) as (carrier, owner):
        log = log_of(owner)
        log.sign()
        own = Box(tmp_path / "owner", owner)
        own.append(log)
        slow = SlowCard(tmp_path / "slow", carrier.enrolment)
        slow.append(log)
        slow.clock = clock = Moved()
        async with slow.linked() as uplink:
            uplink.near.says(GateId(min(owner.gate, SECOND_GATE) - 1), up=True)
            await slow.until(lambda: uplink.is_up and (slow.data / ROSTER_FILE).exists())
            assert uplink.carrying.due() == [], "somebody else is to"
            slow.hangs = True
            async with own.linked():
                await own.until(own.is_drained)
            await slow.until(slow.waits.is_set)
            clock.ahead_ns = int(RANK_S * 1e9) + 10**9
            assert uplink.carrying.due() == []
        slow.store.close()
        own.store.close()


class SlowCard(Box):
    """A box whose lane takes nothing in while its card hangs."""

    def __init__(self, data: Path, enrolment: Enrolment) -> None:
        super().__init__(data, enrolment)
        self.hangs = False
        self.waits = asyncio.Event()

    async def give(self, slice_: Foreign) -> Done:
        """Wait, as for a card that hangs."""
        if self.hangs:
            self.waits.set()
            await asyncio.Event().wait()
        return await super().give(slice_)


async def test_the_owner_goes_on_where_the_carrier_ended(venue: Venue, tmp_path: Path) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner):
        log = log_of(owner)
        carrier.append(log)
        async with carrier.linked():
            await carrier.until(lambda: at_centre(venue))
        own = Box(tmp_path / "owner", owner)
        own.append(log)
        async with own.linked():
            await own.until(own.is_drained)
        own.store.close()
        assert at_centre(venue) == log.blobs
        assert troubles(venue) == []


async def test_who_has_a_link_of_its_own_is_not_carried_for(venue: Venue, tmp_path: Path) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner):
        carrier.append(log_of(owner))
        async with carrier.linked() as uplink:
            uplink.near.says(owner.gate, up=True)
            await carrier.until(lambda: uplink.is_up and (carrier.data / ROSTER_FILE).exists())
            assert uplink.carrying.due() == []
            uplink.near.says(owner.gate, up=False)
            await carrier.until(lambda: at_centre(venue))


async def test_what_the_first_in_rank_keeps_back_the_next_one_carries(venue: Venue, tmp_path: Path) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner):
        carrier.append(log_of(owner))
        carrier.clock = clock = Moved()
        async with carrier.linked() as uplink:
            withholder = GateId(min(owner.gate, SECOND_GATE) - 1)
            uplink.near.says(withholder, up=True)
            uplink.near.says(owner.gate, up=False)
            await carrier.until(lambda: uplink.is_up and (carrier.data / ROSTER_FILE).exists())
            assert uplink.carrying.due() == [], "somebody else is to"
            clock.ahead_ns = int(RANK_S * 1e9) - 10**9
            assert uplink.carrying.due() == []
            clock.ahead_ns += 2 * 10**9
            uplink.near.recorded()
            await carrier.until(lambda: at_centre(venue))


class Moved(SystemClock):
    """The box's clock, which a test moves on."""

    ahead_ns = 0

    def mono_ns(self) -> int:
        return super().mono_ns() + self.ahead_ns


@pytest.mark.parametrize("at", [0, 4, 20, 40])
async def test_what_a_carrier_alters_is_its_own_trouble(venue: Venue, tmp_path: Path, at: int) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner), Centre(carrier.enrolment) as centre:
        log = log_of(owner)
        blobs = list(log.blobs)
        place = at % len(blobs[12])
        blobs[12] = blobs[12][:place] + bytes([blobs[12][place] ^ 1]) + blobs[12][place + 1 :]
        answer = await centre.carry((), (chunk_of(log, 1, blobs),))
        assert answer.held[0].seq <= 12
        assert at_centre(venue) == log.blobs[: answer.held[0].seq], "nothing from there on"
        assert [one.what for one in answer.troubles] in (["altered"], ["malformed"])
        assert troubles(venue) == [(SECOND_GATE, "carried")], "the gate whose records they are did nothing"
        answer = await centre.carry((), (log.chunk(1, signed_end(log)),))
        assert answer.troubles == ()
        assert at_centre(venue) == log.blobs[: signed_end(log)]


async def test_carried_again_in_parts_and_in_another_order_it_is_there_once(
    venue: Venue, tmp_path: Path
) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner), Centre(carrier.enrolment) as centre:
        log = log_of(owner)
        end = signed_end(log)
        for first, last in ((12, end), (1, 11), (1, 11), (5, 22), (12, end), (1, end)):
            answer = await centre.carry((Want(owner.gate, EPOCH, last),), (log.chunk(first, last),))
            assert {one.what for one in answer.troubles} <= {"gap", "unsigned"}
        assert at_centre(venue) == log.blobs[:end]
        assert answer.held[0].seq == end
        assert troubles(venue) == []


async def test_two_logs_of_one_gate_are_a_fork_whoever_brings_them(venue: Venue, tmp_path: Path) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner), Centre(carrier.enrolment) as centre:
        log = log_of(owner)
        twin = log.copy(11).scans(20, data=9)
        end = signed_end(log)
        await centre.carry((), (log.chunk(1, end),))
        answer = await centre.carry((), (twin.chunk(1, signed_end(twin)),))
        assert [one.what for one in answer.troubles] == ["fork"]
        assert at_centre(venue) == log.blobs[:end]
        kept = query(venue, "SELECT blob FROM record_fork ORDER BY seq")
        assert [blob for (blob,) in kept] == twin.blobs[11 : signed_end(twin)]
        assert troubles(venue) == [(owner.gate, "fork")]


async def test_a_carrier_that_is_shut_out_brings_nothing(venue: Venue, tmp_path: Path) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner), Centre(carrier.enrolment) as centre:
        shut_out(venue, SECOND_GATE)
        with pytest.raises(CentreRefused) as refused:
            await centre.carry((), (log_of(owner).chunk(),))
        assert refused.value.code == "unknown_gate"
        assert at_centre(venue) == []


async def test_of_a_gate_that_is_shut_out_nothing_is_taken_from_anybody(venue: Venue, tmp_path: Path) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, owner), Centre(carrier.enrolment) as centre:
        log = log_of(owner)
        await centre.carry((), (log.chunk(1, 11),))
        shut_out(venue, owner.gate)
        answer = await centre.carry((Want(owner.gate, EPOCH, 22),), (log.chunk(12, 22),))
        assert answer.held == ()
        assert answer.troubles == (Trouble(owner.gate, EPOCH, 12, "foreign"),)
        assert at_centre(venue) == log.blobs[:11]


async def test_of_gates_of_no_group_of_its_own_and_of_itself_nothing_is_taken(
    venue: Venue, tmp_path: Path
) -> None:
    async with two_boxes(venue, tmp_path) as (carrier, _owner), Centre(carrier.enrolment) as centre:
        for gate in (GateId(999), carrier.enrolment.gate):
            log = EpochLog(EPOCH, gate, carrier.enrolment.key).begin().scans(20)
            answer = await centre.carry((), (log.chunk(1, 11),))
            assert [one.what for one in answer.troubles] == ["foreign"]
        assert at_centre(venue) == []


def shut_out(venue: Venue, gate: GateId) -> None:
    with changes.change(venue.centre.database, [demo.EVENT, demo.OTHER_EVENT], NOW_S + 5) as connection:
        fleet.revoke(connection, gate, "stolen", NOW_S + 5, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff" * 50, pack_carry((), ())[:-2], pack_carry(tuple(Want(n, 1, 0) for n in range(70)), ())],
)
def test_bytes_that_no_gate_carries_are_refused(body: bytes) -> None:
    with pytest.raises(BadCarry):
        unpack_carry(body)


def test_what_is_carried_comes_out_as_it_went_in() -> None:
    log = EpochLog(EPOCH).begin().scans(20)
    wants = (Want(1, EPOCH, 3),)
    chunks: tuple[Chunk, ...] = (log.chunk(1, 5), log.chunk(6, 20))
    assert unpack_carry(pack_carry(wants, chunks)) == (wants, chunks)
    assert Carry(wants).records == b""


async def test_a_neighbour_with_a_live_modem_carries_what_this_one_lets_in(
    venue: Venue, tmp_path: Path
) -> None:
    """Real daemons, real fronts: the modem of one is dead, the other's is not."""
    ticket = codes(venue)["day"]
    port = int(venue.url.rsplit(":", 1)[1])
    async with slow_link(port) as modem:
        url = f"http://127.0.0.1:{modem.port}"
        async with lan(venue, tmp_path, 2, urls={0: url}) as (one, two):
            modem.refuses = True
            modem.cut()
            await one.until(lambda: is_cut_off(one), "the modem is dead", WAIT_S)
            await one.hardware.entry.scan(ticket.encode())
            await one.seen()
            await one.walk()
            await two.until(lambda: knows(two, ticket), "the neighbour knows at once")
            epoch = one.daemon.journal.epoch
            last = one.daemon.journal.durable_seq
            async with asyncio.timeout(WAIT_S):
                while len(at_centre(venue, epoch)) < last:
                    await asyncio.sleep(0.05)
            assert troubles(venue) == []
            modem.refuses = False
            await one.until(lambda: not is_cut_off(one), "and is back", WAIT_S)
    for gate in (one, two):
        assert_verifies(gate.data)


def is_cut_off(gate: Gate) -> bool:
    return any(one.code == "uplink.cut_off" for one in gate.daemon.board.tiles)
