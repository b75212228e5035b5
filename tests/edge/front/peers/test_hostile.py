"""Neighbours that lie, alter, repeat, withhold or flood: refused, put aside or outlived, and the honest go on."""

import asyncio
import socket
import struct
from hashlib import sha256
from pathlib import Path

import pytest

from admission.ids import Epoch, EventId
from edge.front.peers.connection import SEND_S
from edge.front.peers.table import ADDRESSES_MAX
from edge.front.snapshot import ANNOUNCED_FILE, SNAPSHOT_FILE
from sync.wire.channel import HELLO_BYTES, knock_key
from sync.wire.deltas import EventVersion
from sync.wire.feed import Want
from sync.wire.messages import Chunk, Held
from sync.wire.peer_lists import PART_BYTES_MAX, GivePart, Lists, Part
from sync.wire.peers import (
    PLACES_MAX,
    Beat,
    Carried,
    Holds,
    Log,
    Message,
    Paper,
    Place,
    Records,
    Taken,
    Wanted,
)
from sync.wire.snapshots import Announced, Published, announce
from tests.edge.front.peers.hostile import knocking, self_of
from tests.edge.front.peers.node import GROUP, NOW_S, Node, key_of, log_of, nodes, roster_of, until
from tests.edge.front.test_near_lists import page
from tests.sync.logs import EpochLog, chunk_of


async def listening(node: Node) -> None:
    node.start()
    await node.listens()


async def test_records_said_again_or_in_another_order_change_nothing(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        log = log_of(2).scans(30)
        log.sign()
        async with knocking(one, self_of(2, one)) as two:
            two.begins()
            last = len(log.blobs)
            for first, end in (
                (20, last),
                (1, 9),
                (1, 9),
                (5, 15),
                (20, last),
                (10, 22),
                (1, last),
                (18, last),
            ):
                two.say(Records((log.chunk(first, end),)))
                answer = await two.hear(Taken)
                assert {one_.what for one_ in answer.troubles} <= {"gap"}
            assert answer.held == (Held(2, log.epoch, last, log.links[last]),)
        await until(lambda: one.holds(log) == last, "all of it once, byte for byte")


@pytest.mark.parametrize("at", [0, 4, 20, 40])
async def test_what_a_carrier_alters_is_not_taken_and_comes_whole_from_another(
    tmp_path: Path, at: int
) -> None:
    log = log_of(3).scans(25)
    log.sign()
    async with nodes(tmp_path, 1, 2, 3) as (one, two, _):
        two.box.append(log)
        await listening(one)
        async with knocking(one, self_of(4, one)) as stranger_to_roster:
            assert await stranger_to_roster.is_ended(), "a gate of no roster hears nothing"
        async with knocking(one, self_of(3, one)) as _:
            pass
        async with knocking(one, self_of(2, one)) as liar:
            liar.begins(Log(3, log.epoch, len(log.blobs)))
            wanted = await liar.hear(Wanted)
            assert wanted.wants == (Want(3, log.epoch, 0),)
            blobs = list(log.blobs)
            place = at % len(blobs[12])
            blobs[12] = blobs[12][:place] + bytes([blobs[12][place] ^ 1]) + blobs[12][place + 1 :]
            liar.say(Carried((chunk_of(log, 1, blobs),)))
            await until(lambda: one.box.store.states(log.gate), "what stands before it is taken")
            assert one.holds(log) <= 12, "nothing from there on"
        two.start(one)
        await until(lambda: one.holds(log) == len(log.blobs), "the honest one has it whole")


async def test_a_carrier_that_withholds_keeps_nobody_from_another(tmp_path: Path) -> None:
    log = log_of(3).scans(25)
    log.sign()
    async with nodes(tmp_path, 1, 2, 3) as (one, _two, three):
        three.box.append(log)
        await listening(one)
        async with knocking(one, self_of(2, one)) as withholder:
            withholder.begins(Log(3, log.epoch, 2**31))
            await withholder.hear(Wanted)
            withholder.say(Carried(()))
            withholder.say(Beat(2, 0, whole=True))
            three.start(one)
            await until(lambda: one.holds(log) == len(log.blobs), "it comes from its own gate")
            assert not one.lane.ages_ms.keys() - {3}, "who echoes nothing of ours is not heard"


NONSENSE: list[tuple[Message, str]] = [
    (Carried(()), "peers.unasked"),
    (Taken(()), "peers.unasked"),
    (Holds(first=True, yours=(Held(3, 5, 1, bytes(32)),)), "peers.foreign"),
    (Records((Chunk(3, 5, 1, (bytes(56),)),)), "peers.foreign"),
]


@pytest.mark.parametrize(("message", "code"), NONSENSE)
async def test_what_is_not_the_speakers_to_say_ends_the_talk(
    tmp_path: Path, message: Message, code: str
) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        async with knocking(one, self_of(2, one)) as two:
            two.begins()
            two.say(message)
            assert await two.is_ended()
        await until(lambda: one.said[-1].args.get("why") == code, "it is shown")


async def test_bytes_that_are_no_message_end_the_talk(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        for noise in (b"\xc1", b"\x93\xa5holds", bytes(1000)):
            async with knocking(one, self_of(2, one)) as two:
                two.say_bytes(two.channel.seal(noise))
                assert await two.is_ended()


async def test_a_forged_key_and_a_forged_roster_let_nobody_in(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        async with knocking(one, self_of(2, one, key=key_of(66))) as forger:
            assert await forger.is_ended()
        await until(lambda: one.said[-1].args.get("why") == "channel.forged", "it is shown")
        async with knocking(one, self_of(2, one)) as two:
            two.begins()
            forged = bytearray(roster_of([2], version=9))
            forged[-1] ^= 1
            two.say(Paper("roster", bytes(forged)), Paper("fashion", b"of a newer version"))
            two.say(Records((log_of(2).scans(2).chunk(),)))
            await two.hear(Taken)
            assert one.neighbours.connected == {2}


async def knock_and_stay(node: Node, first: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(first)
    return writer


async def test_a_flood_of_strangers_keeps_no_neighbour_out(tmp_path: Path) -> None:
    """They hold connections, say nothing, say noise, or knock with another group's key; the gates go on meanwhile."""
    async with nodes(tmp_path, 1, 2) as (one, two):
        await listening(one)
        said = [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(56), b"GHP0" + bytes(52)]
        held = [await knock_and_stay(one, said[at % len(said)]) for at in range(60)]
        two.start(one)
        await until(lambda: one.neighbours.connected and two.neighbours.connected, "the neighbour got in")
        held += [await knock_and_stay(one, said[at % len(said)]) for at in range(60)]
        log = log_of(2).scans(5)
        two.append(log)
        await until(lambda: one.holds(log) == len(log.blobs), "and is heard")
        assert one.said[-1].code == "peers.ok", "strangers are no news"
        for writer in held:
            writer.transport.abort()


async def test_who_knows_the_knock_is_paced_before_any_proof(tmp_path: Path) -> None:
    """A card that was stolen still knows the group's knock: it costs a proof, so many a second and no more."""
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        left = one.neighbours.listener
        while left.may_prove():
            pass
        with pytest.raises(ConnectionError):
            async with knocking(one, self_of(2, one)):
                pass
        with pytest.raises(ConnectionError):
            async with knocking(one, self_of(2, one, knock=knock_key(bytes(17)))):
                pass


async def test_a_neighbour_that_reads_nothing_is_cut_off_and_the_others_are_served(tmp_path: Path) -> None:
    log = EpochLog(Epoch(1001), log_of(1).gate, key_of(1)).begin().scans(400, head_every=100)
    async with nodes(tmp_path, 1, 2, 3) as (one, _two, three):
        one.box.append(log)
        await listening(one)
        async with knocking(one, self_of(2, one)) as deaf:
            deaf.begins(*(Log(3, epoch, 1) for epoch in range(1, 4000)))
            three.start(one)
            await until(lambda: three.holds(log) == len(log.blobs), "the other one is served")


async def test_a_neighbour_that_does_not_read_what_leads_it_on_holds_up_nobodys_beat(tmp_path: Path) -> None:
    """Whoever is not heard for half a minute counts as cut off, and each such neighbour would take ten seconds of it."""
    async with nodes(tmp_path, 1, 2) as (one, _):
        kept = one.uplink.near_lists._kept
        for since in range(60):
            kept.add(page(since, bytes(60_000)))
        await listening(one)
        async with knocking(one, self_of(2, one)) as deaf:
            talks = one.neighbours._talks
            await until(lambda: talks.all, "it is let in")
            for end in (deaf.writer, talks.all[0].connection._writer):  # as little as a LAN holds of it
                for kind in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, kind, 4096)
            deaf.begins()
            deaf.say(Lists(), Lists(places=(EventVersion(EventId(1), 1, 0),)))
            await until(lambda: talks.all[0].behind is not None, "it says that it is behind")
            await until(lambda: talks.all[0].behind is None, "it is led on")
            one.neighbours.appended(one.box.append(log_of(1)))  # a beat each second while records flow
            before_s = talks._beaten_s
            await until(lambda: talks._beaten_s > before_s, "the others hear of it", SEND_S / 2)


@pytest.mark.parametrize("is_configured", [False, True])
async def test_a_stranger_at_an_address_that_somebody_named_is_no_news(
    tmp_path: Path, is_configured: bool
) -> None:
    """Anybody on the network may announce one and answer there; one that is configured is somebody's mistake, or worse."""
    visits = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        await reader.readexactly(HELLO_BYTES)
        writer.write(struct.pack(">I", 132) + (9).to_bytes(32, "little") + bytes(100))
        await reader.read()
        visits += 1
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    at = "127.0.0.1", int(server.sockets[0].getsockname()[1])
    async with nodes(tmp_path, 1, 2) as (one, two):
        one.start(*([at] if is_configured else []))
        await one.listens()
        one.neighbours.table.add(at, two.gate)
        await until(lambda: visits > 2, "it was found out again and again, and said how it is meanwhile")
        told = {said.code for said in one.said}
        assert ("peers.refused" in told) is is_configured
    server.close()


async def test_a_stranger_hides_nobody_who_should_be_looked_into(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        async with knocking(one, self_of(2, one, key_of(77))) as forger:
            assert await forger.is_ended()
        stranger = await knock_and_stay(one, bytes(HELLO_BYTES))
        await until(
            lambda: (one.neighbours._refused or ("", 0))[0] == "channel.form", "the stranger was sent away"
        )
        await until(lambda: one.said[-1].args.get("why") == "channel.forged", "who forged a key is told")
        stranger.close()


def announced(made: Node, data: bytes, *, key: int = 99, made_at_s: int = NOW_S) -> bytes:
    """Have a node hold a snapshot, and return what announces it; `key`: 99 is the venue's list key."""
    (made.box.data / SNAPSHOT_FILE).write_bytes(data)
    published = Published(sha256(data).hexdigest(), len(data), "tag")
    signed = announce(Announced(GROUP, published, made_at_s), key_of(key))
    (made.box.data / ANNOUNCED_FILE).write_bytes(signed)
    return signed


async def test_a_list_that_the_centre_did_not_announce_is_no_offer(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, two_):
        await listening(one)
        forged = announced(two_, bytes(1000), key=98)
        async with knocking(one, self_of(2, one)) as two:
            two.begins()
            two.say(
                Lists(forged), Lists(b"\0" * 200), Paper("changes", b"x" * 300), Paper("seal", bytes(104))
            )
            two.say(Records((log_of(2).scans(2).chunk(),)))
            await two.hear(Taken)
            assert one.uplink.near_lists.offers() == []


async def test_a_list_that_a_neighbour_alters_comes_whole_from_another(tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    into = tmp_path / "came"
    async with nodes(tmp_path, 1, 2, 3) as (one, _, three):
        signed = announced(three, data)
        await listening(one)
        lists = one.uplink.near_lists
        async with knocking(one, self_of(2, one)) as liar:
            liar.begins()
            liar.say(Lists(signed))
            await until(lists.offers, "it is offered")
            (offer,) = lists.offers()
            fetching = asyncio.create_task(lists.fetch(offer.announced, into))
            while not fetching.done() and (at := into.stat().st_size if into.exists() else 0) < len(data):
                asked = await liar.hear(GivePart)
                liar.say(Part(asked.address, asked.offset, b"\1" * min(PART_BYTES_MAX, len(data) - at)))
                if asked.offset + PART_BYTES_MAX >= len(data):
                    break
            with pytest.raises(ConnectionError):
                await fetching
            assert not into.exists()
            assert lists.offers() == [], "it is not asked again"
            three.start(one)
            await until(lists.offers, "another one has it")
            await lists.fetch(offer.announced, into)
            assert into.read_bytes() == data


async def test_parts_of_a_list_that_nobody_asked_for_end_the_talk(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        await listening(one)
        async with knocking(one, self_of(2, one)) as two:
            two.begins()
            two.say(Part("0" * 64, 0, b"x"))
            assert await two.is_ended()


async def test_an_address_that_is_none_keeps_no_place_among_those_that_are_tried(tmp_path: Path) -> None:
    """Python's own name service refuses it otherwise than one that nobody has."""
    async with nodes(tmp_path, 1, 2, 3) as (one, _, three):
        await listening(one)
        async with knocking(one, self_of(2, one)) as liar:
            liar.begins()
            for number in range(ADDRESSES_MAX // PLACES_MAX):
                places = tuple(Place(9, f"127.0.0.1%..{number}-{at}", 1) for at in range(PLACES_MAX))
                liar.say(Holds(first=False, places=places))
            table = one.neighbours.table
            await until(lambda: len(table._places) >= ADDRESSES_MAX, "it heard of all")
            await until(
                lambda: all(at.failures and not at.busy for at in table._places.values()), "all were tried"
            )
            await listening(three)
            liar.say(Holds(first=False, places=(Place(3, "127.0.0.1", three.port),)))
            await until(lambda: three.gate in one.neighbours.connected, "one that is an address is dialled")
