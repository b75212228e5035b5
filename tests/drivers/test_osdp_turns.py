"""Turns on an OSDP bus in virtual time: how soon readers that fall silent are told gone, what they cost the others, and how they come back."""

import heapq
import itertools
import random
from collections.abc import Callable

import pytest

from drivers.base import DeviceGone, Scan
from drivers.framing.osdp import Carries
from drivers.framing.osdp_host import ANSWER_NS, MISSES_MIN, POLL_NS, OsdpHost, OsdpSetting
from drivers.framing.osdp_turns import OsdpTurns
from drivers.sims.osdp_reader import CHLNG, OsdpDevice

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
MS = 1_000_000
S = 1_000 * MS
PAUSE_NS = 1_200 * MS
"""The gate's longest pause before a reader that is gone is opened again."""
STEPS_MAX = 100_000


class Bus:
    """Readers and their hosts on a wire of so many bits a second. `react_ns`: from a message's end to an answer's first bit, by address."""

    def __init__(self, baud: int, *addresses: int, react_ns: int = 10 * MS) -> None:
        self.now_ns = 1
        self.turns = OsdpTurns(baud)
        self.devices = {one: OsdpDevice(one, KEY) for one in addresses}
        self.hosts: dict[int, OsdpHost] = {}
        self.react_ns = dict.fromkeys(addresses, react_ns)
        self.lost: Callable[[], bool] = lambda: False
        self.asked: list[tuple[int, int]] = []
        self.gone: list[tuple[int, int]] = []
        self.scans: list[tuple[int, int]] = []
        self._byte_ns = 11 * S // baud
        self._count = itertools.count()
        self._coming: list[tuple[int, int, int | bytes]] = []
        """Bytes on the wire, and readers that are opened again."""
        for one in addresses:
            self.join(one)

    def join(self, address: int) -> None:
        setting = OsdpSetting(address, KEY, carries=Carries.UID)
        self.hosts[address] = OsdpHost(setting, lambda: bytes(8), self.now_ns)
        self.turns.join(self.hosts[address])

    def until(self, done: Callable[[], bool]) -> "Bus":
        for _ in range(STEPS_MAX):
            if done():
                return self
            self._step()
        raise AssertionError("it did not come to that")

    def wait(self, wait_ns: int) -> "Bus":
        end_ns = self.now_ns + wait_ns
        return self.until(lambda: self.now_ns >= end_ns)

    def opened(self) -> "Bus":
        return self.until(lambda: all(one.ready for one in self.hosts.values())).wait(S)

    def silence(self, *addresses: int) -> None:
        for one in addresses:
            self.devices[one].silent = True

    def _step(self) -> None:
        turn = self.turns.turn(self.now_ns)
        for one in turn.ended:
            assert isinstance(one.error, DeviceGone), one.error
            self._is_gone(one.host.address)
        if turn.message:
            self._ask(turn.message)
        next_ns = [one for one in (turn.look_ns, *(at for at, *_ in self._coming[:1])) if one is not None]
        self.now_ns = max(self.now_ns, min(next_ns))
        while self._coming and self._coming[0][0] <= self.now_ns:
            self._comes(heapq.heappop(self._coming)[2])

    def _is_gone(self, address: int) -> None:
        self.gone.append((self.now_ns, address))
        del self.hosts[address]
        heapq.heappush(self._coming, (self.now_ns + PAUSE_NS, next(self._count), address))

    def _ask(self, message: bytes) -> None:
        address = message[2]
        self.asked.append((self.now_ns, address))
        if self.lost():
            return
        answer = self.devices[address].answer(message[1:])
        if self.lost():
            return
        begun_ns = self.now_ns + len(message) * self._byte_ns + self.react_ns[address]
        for at, byte in enumerate(answer, 1):
            came_ns = begun_ns + at * self._byte_ns
            heapq.heappush(self._coming, (came_ns, next(self._count), bytes((byte,))))

    def _comes(self, what: int | bytes) -> None:
        if isinstance(what, int):
            self.join(what)
            return
        for one in self.turns.hear(what, self.now_ns):
            assert one.error is None, one.error
            self.scans += [(self.now_ns, one.host.address) for event in one.events if isinstance(event, Scan)]

    # --- what came of it -------------------------------------------------------------------------------------------

    def challenged(self, address: int) -> int:
        return [command for command, _ in self.devices[address].heard].count(CHLNG)

    def polls(self, address: int, since_ns: int) -> list[int]:
        return [at for at, one in self.asked if one == address and at >= since_ns]

    def longest_ns(self, address: int, since_ns: int) -> int:
        return max(later - one for one, later in itertools.pairwise(self.polls(address, since_ns)))


# --- gone -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baud", "count"), [(9600, 1), (9600, 4), (9600, 8), (9600, 16), (115200, 8), (115200, 32)]
)
def test_a_bus_that_falls_silent_is_told_gone_within_a_second_however_many_its_readers(
    baud: int, count: int
) -> None:
    bus = Bus(baud, *range(count)).opened()
    bus.silence(*range(count))
    since_ns = bus.now_ns
    bus.until(lambda: len(bus.gone) == count)
    assert max(at for at, _ in bus.gone) - since_ns <= S
    assert {one for _, one in bus.gone} == set(range(count))
    assert len([at for at, _ in bus.asked if since_ns <= at < bus.gone[0][0]]) >= MISSES_MIN


@pytest.mark.parametrize(
    ("baud", "react_ms"), [(9600, 10), (9600, 25), (38400, 25), (115200, 2), (115200, 50)]
)
@pytest.mark.parametrize("dead", range(1, 8))
def test_those_that_fall_silent_are_told_gone_within_a_second_and_no_other_one(
    baud: int, react_ms: int, dead: int
) -> None:
    bus = Bus(baud, *range(8), react_ns=react_ms * MS).opened()
    began = {one: bus.challenged(one) for one in range(dead, 8)}
    bus.silence(*range(dead))
    since_ns = bus.now_ns
    bus.until(lambda: len(bus.gone) == dead)
    assert max(at for at, _ in bus.gone) - since_ns <= S
    bus.wait(5 * S)
    assert {one for _, one in bus.gone} == set(range(dead))
    assert all(bus.hosts[one].ready and bus.challenged(one) <= began[one] for one in range(dead, 8))


@pytest.mark.parametrize("baud", [9600, 115200])
def test_what_noise_takes_of_a_bus_of_eight_ends_nobody(baud: int) -> None:
    chance = random.Random(3)
    bus = Bus(baud, *range(8)).opened()
    bus.lost = lambda: chance.random() < 0.01
    bus.wait(60 * S)
    assert bus.gone == []


# --- the others -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("baud", "read"), [(9600, 1), (9600, 4), (115200, 1), (115200, 4)])
@pytest.mark.parametrize("dead", [1, 3, 4, 7])
def test_readers_that_are_gone_cost_the_others_a_poll_at_most(baud: int, read: int, dead: int) -> None:
    """And they are asked all the same."""
    alone = Bus(baud, *range(read)).opened()
    alone_ns = alone.now_ns
    alone.wait(10 * S)
    bus = Bus(baud, *range(read + dead)).opened()
    bus.silence(*range(read, read + dead))
    bus.until(lambda: len(bus.gone) == dead)
    since_ns = bus.now_ns
    bus.wait(10 * S)
    for one in range(read):
        assert bus.longest_ns(one, since_ns) <= alone.longest_ns(one, alone_ns) + POLL_NS + 10 * MS
        assert len(bus.polls(one, since_ns)) >= len(alone.polls(one, alone_ns)) / 2
    for one in range(read, read + dead):
        assert len(bus.polls(one, since_ns)) >= 4


@pytest.mark.parametrize("dead", [1, 7])
def test_a_card_is_heard_within_two_polls_while_others_are_gone(dead: int) -> None:
    bus = Bus(115200, *range(1 + dead)).opened()
    bus.silence(*range(1, 1 + dead))
    bus.wait(5 * S)
    for number in range(50):
        shown_ns = bus.now_ns
        bus.devices[0].card(f"{0x04000000 + number:032b}", kind=0)
        bus.until(lambda: len(bus.scans) > number)  # noqa: B023 - called at once
        assert bus.scans[-1][0] - shown_ns <= 2 * POLL_NS + 20 * MS
        bus.wait((37 + number) * MS)


def test_readers_that_never_came_are_waited_for_in_full_now_and_then_only() -> None:
    """So that one which takes long to answer is found, too."""
    bus = Bus(9600, *range(8))
    bus.silence(*range(1, 8))
    bus.wait(5 * S)
    since_ns = bus.now_ns
    bus.wait(30 * S)
    gaps = [later - one for one, later in itertools.pairwise(bus.polls(0, since_ns))]
    assert max(gaps) <= 2 * POLL_NS + ANSWER_NS
    assert len([one for one in gaps if one > 2 * POLL_NS + 10 * MS]) < len(gaps) / 10
    bus.react_ns[3] = 90 * MS
    bus.devices[3].silent = False
    bus.until(lambda: 3 in bus.hosts and bus.hosts[3].ready)
    bus.gone.clear()
    bus.wait(10 * S)
    assert 3 not in {one for _, one in bus.gone}


# --- back -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(6))
@pytest.mark.parametrize("baud", [9600, 115200])
@pytest.mark.parametrize("dead", [1, 4, 7])
def test_a_reader_that_answers_again_is_back_within_two_seconds(baud: int, dead: int, phase: int) -> None:
    bus = Bus(baud, *range(8)).opened()
    bus.silence(*range(dead))
    bus.wait(10 * S + phase * 323 * MS)
    bus.devices[0].silent = False
    since_ns = bus.now_ns
    bus.until(lambda: 0 in bus.hosts and bus.hosts[0].ready)
    assert bus.now_ns - since_ns <= 2 * S


@pytest.mark.parametrize(("baud", "limit_s"), [(9600, 4), (115200, 2)])
def test_a_bus_that_answers_again_is_back(baud: int, limit_s: int) -> None:
    """Eight handshakes alone take two seconds at 9600 baud."""
    bus = Bus(baud, *range(8)).opened()
    bus.silence(*range(8))
    bus.wait(10 * S)
    for device in bus.devices.values():
        device.silent = False
    since_ns = bus.now_ns
    bus.until(lambda: len(bus.hosts) == 8 and all(one.ready for one in bus.hosts.values()))
    assert bus.now_ns - since_ns <= limit_s * S
