"""Gates on a LAN: each hears the others at once and whole, whoever was away, and nobody else gets a word in."""

import asyncio
from pathlib import Path

from admission.ids import Epoch, GateId
from edge.front.peers.conversations import IDLE_BEAT_S
from edge.front.peers.listen import KNOCKING_MAX
from edge.held_roster import ROSTER_FILE
from edge.link import Appended
from sync.wire.messages import Held
from sync.wire.peers import Beat, Holds, Records, Taken
from sync.wire.roster import Revoked
from tests.edge.front.peers.hostile import knocking, self_of
from tests.edge.front.peers.node import NOW_S, Node, key_of, log_of, nodes, roster_of, until
from tests.sync.logs import EpochLog


async def test_what_one_gate_records_is_at_once_at_the_other(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, two):
        one.start()
        await one.listens()
        two.start(one)
        await until(lambda: one.neighbours.connected and two.neighbours.connected, "both talk")
        log = log_of(1).scans(3)
        one.append(log)
        await until(lambda: two.holds(log) == len(log.blobs), "the tail came without a head")
        log.scans(1)
        one.append(log, len(log.blobs))
        await until(lambda: two.holds(log) == len(log.blobs), "and what followed")
        await until(lambda: one.is_heard(two) and two.is_heard(one), "both count as heard")


MANY_S = 90.0
"""A thousand handshakes in one process; only reached where something is broken."""


async def talking(*made: Node) -> None:
    """Start gates one after the other, each told of those before; until all talk to all."""
    for at, one in enumerate(made):
        one.start(*made[:at])
        await one.listens()
    await until(
        lambda: all(len(one.neighbours.connected) == len(made) - 1 for one in made), "all talk to all"
    )


async def test_who_was_away_gets_it_from_any_neighbour_as_far_as_it_is_signed(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2, 3) as (one, two, three):
        await talking(one, two)
        log = log_of(1).scans(25)
        one.append(log)
        await until(lambda: two.holds(log) == len(log.blobs), "the neighbour has all of it")
        await one.stop()
        three.start(two)
        signed = max(seq for seq in range(1, len(log.blobs) + 1) if log.blobs[seq - 1][0] & 0x80)
        await until(lambda: three.holds(log) == signed, "up to the last head")
        assert signed < len(log.blobs)
        await until(lambda: three.is_heard(two), "the carrier is heard")
        assert not three.is_heard(one), "and who is away is not"


async def test_a_lost_tail_comes_back_from_a_neighbour(tmp_path: Path) -> None:
    """A lying card: the gate comes back with less of a run than its neighbour holds."""
    log = log_of(1).scans(25)
    log.sign()
    async with nodes(tmp_path, 1, 2) as (one, two):
        one.box.append(log.copy(7))
        two.box.append(log)
        newer = log_of(1, 1002)
        one.box.append(newer)
        await talking(one, two)
        await until(lambda: one.holds(log) == len(log.blobs), "the tail is back")
        await until(lambda: two.holds(newer) == len(newer.blobs), "and what it records now goes on")


async def test_gates_without_a_link_of_their_own_hear_through_a_third(tmp_path: Path) -> None:
    """One and two only reach three: records go on, but nobody counts as heard by hearsay."""
    async with nodes(tmp_path, 1, 2, 3) as (one, two, three):
        three.start()
        await three.listens()
        one.start(three)
        two.start(three)
        await until(lambda: len(three.neighbours.connected) == 2, "both are there")
        log = log_of(1).scans(30)
        log.sign()
        one.append(log)
        await until(lambda: two.holds(log) == len(log.blobs), "it came by the third")
        # The third introduces them to each other: on a busy machine they may have met by now.
        assert not two.is_heard(one) or 1 in two.neighbours.connected


async def test_a_gate_at_another_address_is_found_again(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, two):
        await talking(one, two)
        before = one.port
        await one.stop()
        await until(lambda: not two.neighbours.connected, "it is gone")
        one.start(two, host="127.0.0.9")
        await until(lambda: one.neighbours.connected and two.neighbours.connected, "both talk again")
        assert one.port != before
        log = log_of(2).scans(3)
        two.append(log)
        await until(lambda: one.holds(log) == len(log.blobs), "and hear each other")


async def test_without_multicast_addresses_that_are_configured_passed_on_or_learned_are_enough(
    tmp_path: Path,
) -> None:
    async with nodes(tmp_path, 1, 2, 3) as (one, two, three):
        one.start()
        await one.listens()
        two.start(one)
        three.start(one)
        await until(lambda: two.neighbours.connected == {1, 3}, "of each other they know by who knows both")
        port = two.port
        await two.stop()
        await until(
            lambda: one.neighbours.connected == {3} and three.neighbours.connected == {1}, "it is gone"
        )
        two.start(port=port)  # told of nobody
        await until(lambda: two.neighbours.connected == {1, 3}, "they have learned where it is")


async def test_a_box_enrolled_a_moment_ago_brings_its_roster_to_all(tmp_path: Path) -> None:
    """With the uplink down nobody else knows of it: the centre's signature vouches for it."""
    async with nodes(tmp_path, 1, 2, roster=roster_of([1, 2])) as (one, two):
        await talking(one, two)
        newer = roster_of([1, 2, 3], version=2)
        three = Node(tmp_path / "3", 3, newer)
        try:
            three.start(one)
            await until(
                lambda: three.neighbours.connected == {1, 2} or three.neighbours.connected == {1}, "let in"
            )
            await until(lambda: (two.box.data / ROSTER_FILE).read_bytes() == newer, "the roster went on")
            assert (one.box.data / ROSTER_FILE).read_bytes() == newer
            log = log_of(3).scans(3)
            three.append(log)
            await until(lambda: one.holds(log) == len(log.blobs), "its records count")
        finally:
            await three.close()


async def test_who_is_shut_out_is_sent_away_as_soon_as_one_gate_knows(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2, 3) as (one, two, three):
        await talking(one, two, three)
        newer = roster_of([1, 2], version=2, revoked=[Revoked(GateId(3), NOW_S, ())])
        assert one.uplink.shared().offered(newer)
        await until(lambda: one.neighbours.connected == {2}, "sent away by who knows first")
        await until(lambda: two.neighbours.connected == {1}, "and by who heard of it")
        log = log_of(3).scans(3)
        three.append(log)
        await until(lambda: one.said[-1].code == "peers.refused", "its knocking is shown")
        assert one.holds(log) == two.holds(log) == 0


async def test_a_copied_card_is_a_fork_that_is_shown(tmp_path: Path) -> None:
    """Two boxes with one gate's key: both logs are kept, and it is said."""
    first = log_of(2, 2001).scans(12)
    first.sign()
    async with nodes(tmp_path, 1, 2) as (one, two):
        twin = Node(tmp_path / "twin", 2, roster_of([1, 2]))
        try:
            await talking(one)
            two.start(one)
            twin.start(one)
            logs = [
                EpochLog(Epoch(2100 + at), GateId(2), key_of(2)).begin(first).scans(12) for at in range(2)
            ]
            for log, node in zip(logs, (two, twin), strict=True):
                log.sign()
                node.box.append(first)
                node.append(log)
            await until(lambda: all(one.holds(log) == len(log.blobs) for log in logs), "both are kept")
            await until(lambda: one.lane.troubles.get(GateId(2)) == "fork", "and it is said")
        finally:
            await twin.close()


async def test_a_neighbours_first_beat_is_answered_at_once(tmp_path: Path) -> None:
    """It counts as cut off until then, and who comes to it meanwhile is unsure: it does not wait for an idle neighbour's beat."""
    async with nodes(tmp_path, 1, 2) as (one, _):
        one.start()
        await one.listens()
        async with knocking(one, self_of(2, one)) as two:
            two.say(Holds(first=True))
            while not (await two.hear(Beat)).whole:
                pass
            two.say(Beat(7, 0, whole=True))
            async with asyncio.timeout(IDLE_BEAT_S / 2):
                while (await two.hear(Beat)).echo != 7:
                    pass


async def test_many_gates_that_come_at_once_all_find_each_other(tmp_path: Path) -> None:
    """More than may knock at once: some knock again."""
    count = 32
    assert count > KNOCKING_MAX
    async with nodes(tmp_path, *range(1, count + 1)) as made:
        made[0].start()
        await made[0].listens()
        for one in made[1:]:
            one.start(made[0])
        await until(
            lambda: all(len(one.neighbours.connected) == count - 1 for one in made), "all talk to all", MANY_S
        )
        await until(
            lambda: all(one.is_heard(*(x for x in made if x is not one)) for one in made),
            "all are heard",
            MANY_S,
        )


async def test_what_only_memory_holds_is_at_the_neighbours_at_once(tmp_path: Path) -> None:
    """A card that takes nothing, and no uplink: the neighbours hold what this gate would forget."""
    async with nodes(tmp_path, 1, 2) as (one, two):
        await talking(one, two)
        one.box.memory = log = log_of(1).scans(12)
        one.neighbours.in_memory()
        await until(lambda: two.holds(log) == len(log.blobs), "all of it is there")


async def test_nobody_has_all_while_more_is_in_memory_only(tmp_path: Path) -> None:
    async with nodes(tmp_path, 1, 2) as (one, _):
        one.start()
        await one.listens()
        one.box.memory, one.box.is_busy = log_of(1).scans(3), True
        async with knocking(one, self_of(2, one)) as two:
            two.begins()
            one.neighbours.in_memory()
            durable = log_of(1, 1005)
            one.append(durable)
            await two.hear(Records)
            two.say(Taken((Held(1, durable.epoch, 1, durable.links[1]),)))
            for _ in range(3):
                assert not (await two.hear(Beat)).whole
            one.box.memory = None
            one.neighbours.appended(Appended(durable.epoch, 1))  # somebody came: it beats by the second
            async with asyncio.timeout(20):
                while not (await two.hear(Beat)).whole:
                    pass
