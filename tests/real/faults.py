"""What breaks on a real venue, and when: programs killed, power cut, links and cables, cards filled, clocks moved, floods.

A fault begins, lasts, and is mended by itself; `mend` ends all that still stands. Each is a condition in the history, by the
simulation's words: the checker excuses only what a policy names, and only while it was so.
"""

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.edge.front.slow_link import EDGE_BYTES_S, GSM_BYTES_S
from tests.real.centre import RealCentre
from tests.real.doctor_env import ROOT, with_env
from tests.real.gate import PAGE_PORT, PEERS_PORT, RealGate
from tests.real.lan import Lan
from tests.sim.history import History

PAUSE_S = (4.0, 16.0)
"""Between two faults."""
FOUND_S = 30.0
"""A gate whose address changed is found again by then: its neighbours dial the one before at most so seldom."""
TEN_YEARS_S = 10 * 365 * 86_400
GUARD_BACK_S = 3.0
REFILL_S = 0.2
"""What a gate freed for itself, its reserve, is taken too."""
CUT_AFTER_BYTES = (400, 20_000)

Fault = Callable[[RealGate, float], Awaitable[None]]


class Faults:
    """One evening's troubles."""

    def __init__(
        self,
        gates: dict[str, RealGate],
        centre: RealCentre,
        lan: Lan,
        history: History,
        chance: random.Random,
    ) -> None:
        self._gates, self._centre, self._lan = gates, centre, lan
        self._history, self._chance = history, chance
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: set[str] = set()
        """Cards whose trouble is not over: one at a time, but for the network."""
        self._one_centre = asyncio.Lock()
        """It is killed by one trouble at a time."""
        self.done: Counter[str] = Counter()
        self.all: dict[str, Fault] = {
            "kill_lane": self.kill_lane, "kill_front": self.kill_front, "kill_guard": self.kill_guard, "power": self.power,
            "stop": self.stop, "no_uplink": self.no_uplink, "half_open": self.half_open, "slow_link": self.slow_link,
            "cut_after": self.cut_after, "clock": self.clock, "device": self.device, "centre": self.centre_killed,
            "freeze": self.freeze, "flood": self.flood,
        }  # fmt: skip
        if lan.can_cut:
            self.all |= {"cable": self.cable, "isolated": self.isolated, "address": self.address}
        if all(gate.disk.is_own for gate in gates.values()):
            self.all["disk_full"] = self.disk_full

    async def run(self) -> None:
        """Break one thing after another, until cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            gate = self._chance.choice(list(self._gates.values()))
            self.begin(self._chance.choice(sorted(self.all)), gate, self._chance.uniform(3.0, 45.0))

    def begin(self, what: str, gate: RealGate, seconds: float) -> None:
        """Begin a fault, unless that gate still has another one."""
        if gate.card in self._taken or not gate.is_up:
            return
        self.done[what] += 1
        self._history.note("fault", what, gate.card, seconds)
        task = asyncio.create_task(self._one(what, gate, seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, what: str, gate: RealGate, seconds: float) -> None:
        self._taken.add(gate.card)
        try:
            await self.all[what](gate, seconds)
        finally:
            self._taken.discard(gate.card)

    async def mend(self) -> None:
        """End all troubles: whatever is off goes on, and stays so."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for gate in self._gates.values():
            gate.link.refuses = gate.link.swallows = False
            gate.link.cut_after = gate.link.bytes_s = None
            gate.link.delay_s = 0.0
            gate.link.cut()  # half-open ones would be found dead by themselves; an evening's end need not wait for it
            if self._lan.can_cut:
                self._lan.plug(gate.place)
            gate.disk.empty()
            gate.is_failing = False
            gate.move_clock(0.0)
            gate.signal_all(signal.SIGCONT)
            for device in ("relays", "contacts", "lane1-entry", "lane1-exit", "lane2-entry"):
                await gate.devices.put_in(device)
            await gate.power()
        if not self._centre.is_up:
            await self._centre.start()
        for condition in self._history.conditions:
            self._history.end(condition)

    async def _while(self, what: str, where: str, seconds: float) -> None:
        """Let something be so for a while; a fault that is cancelled leaves its condition to `mend`."""
        condition = self._history.begin(what, where)
        await asyncio.sleep(seconds)
        self._history.end(condition)

    # --- programs and power -------------------------------------------------------------------------------------------

    async def kill_lane(self, gate: RealGate, seconds: float) -> None:  # noqa: ARG002 - a moment
        """Kill -9."""
        gate.kill()

    async def kill_front(self, gate: RealGate, seconds: float) -> None:  # noqa: ARG002 - a moment
        """Kill -9 what talks to everybody else."""
        gate.kill("edge.front")

    async def kill_guard(self, gate: RealGate, seconds: float) -> None:  # noqa: ARG002 - a moment
        """Kill -9 who owns the relays."""
        gate.kill("drivers.guard")
        await self._while("relay", gate.card, GUARD_BACK_S)

    async def power(self, gate: RealGate, seconds: float) -> None:
        """No power: every process at once, and the devices. What the kernel had of the card's data stays."""
        condition = self._history.begin("off", gate.card)
        await gate.cut_power()
        await asyncio.sleep(min(seconds, 15.0))
        await gate.power()
        self._history.end(condition)

    async def stop(self, gate: RealGate, seconds: float) -> None:
        """End it as systemd does, and start it again."""
        condition = self._history.begin("off", gate.card)
        await gate.stop()
        await asyncio.sleep(min(seconds, 4.0))
        await gate.power()
        self._history.end(condition)

    async def freeze(self, gate: RealGate, seconds: float) -> None:
        """All its processes stand still: a box that swaps, a card that hangs."""
        condition = self._history.begin("card hangs", gate.card)
        gate.signal_all(signal.SIGSTOP)
        await asyncio.sleep(min(seconds, 6.0))
        gate.signal_all(signal.SIGCONT)
        self._history.end(condition)

    async def centre_killed(self, gate: RealGate, seconds: float) -> None:  # noqa: ARG002 - the centre's
        """Kill -9 the centre."""
        async with self._one_centre:
            condition = self._history.begin("off", self._centre.name)
            await self._centre.cut()
            await asyncio.sleep(min(seconds, 20.0))
            await self._centre.start()
            self._history.end(condition)

    # --- links ----------------------------------------------------------------------------------------------------------

    async def no_uplink(self, gate: RealGate, seconds: float) -> None:
        """The modem reaches nobody, and says so."""
        gate.link.refuses = True
        gate.link.cut()
        await self._while("no uplink", gate.card, seconds)
        gate.link.refuses = False

    async def half_open(self, gate: RealGate, seconds: float) -> None:
        """The radio is gone, and nobody is told: neither connections that stand nor new ones."""
        gate.link.swallows = True
        gate.link.half_open()
        await self._while("poor link", gate.card, seconds)
        gate.link.swallows = False

    async def slow_link(self, gate: RealGate, seconds: float) -> None:
        """2G, and a second each way."""
        gate.link.bytes_s = self._chance.choice((GSM_BYTES_S, EDGE_BYTES_S))
        gate.link.delay_s = self._chance.uniform(0.2, 1.0)
        await self._while("poor link", gate.card, seconds)
        gate.link.bytes_s, gate.link.delay_s = None, 0.0

    async def cut_after(self, gate: RealGate, seconds: float) -> None:
        """Each connection is cut after some bytes."""
        gate.link.cut_after = self._chance.randint(*CUT_AFTER_BYTES)
        gate.link.cut()
        await self._while("poor link", gate.card, seconds)
        gate.link.cut_after = None

    async def cable(self, gate: RealGate, seconds: float) -> None:
        """The LAN's cable is out; the modem works."""
        self._lan.pull(gate.place)
        await self._while("no LAN", gate.card, seconds)
        self._lan.plug(gate.place)

    async def isolated(self, gate: RealGate, seconds: float) -> None:
        """Neither LAN nor modem."""
        self._lan.pull(gate.place)
        gate.link.refuses = True
        gate.link.cut()
        await self._while("cut off", gate.card, seconds)
        gate.link.refuses = False
        self._lan.plug(gate.place)

    async def address(self, gate: RealGate, seconds: float) -> None:
        """The network gives the box another address: neighbours have to find it anew."""
        self._lan.move(gate.place)
        await self._while("no LAN", gate.card, min(seconds, FOUND_S))

    async def flood(self, gate: RealGate, seconds: float) -> None:
        """Somebody throws what they can at an open port: the page's, the neighbours', the centre's."""
        target = self._chance.choice(("page", "peers", "centre"))
        await self.flood_at(gate, target, min(seconds, 8.0))

    async def flood_at(self, gate: RealGate, target: str, seconds: float) -> str:
        """Flood one port for a while; return what the flooder says it did."""
        host, port = self._lan.address(gate.place), PAGE_PORT if target == "page" else PEERS_PORT
        within = self._lan.within(None)
        if target == "centre":
            host, port, within = "127.0.0.1", self._centre.port, []
        argv = [
            *within,
            *with_env(
                [sys.executable, "-m", "tests.real.flood", host, str(port), str(seconds)],
                PYTHONPATH=str(ROOT),
            ),
        ]
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        try:
            out, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        self._history.note("flooded", gate.card, target, out.decode().strip())
        return out.decode().strip()

    # --- cards, clocks, devices -------------------------------------------------------------------------------------------

    async def disk_full(self, gate: RealGate, seconds: float) -> None:
        """Not a byte is left, also of what the gate frees for itself."""
        condition = self._history.begin("card fails", gate.card)
        gate.is_failing = True
        loop = asyncio.get_running_loop()
        end_s = loop.time() + min(seconds, 25.0)
        while loop.time() < end_s:
            await asyncio.to_thread(gate.disk.fill)
            await asyncio.sleep(REFILL_S)
        gate.disk.empty()
        await self._until_written(gate)
        gate.is_failing = False
        self._history.end(condition)

    async def _until_written(self, gate: RealGate) -> None:
        """Wait until what was remembered is on the disk: who cuts the power before that loses it, and that is said."""
        while gate.is_up and (gate.client.status is None or gate.client.status.in_memory):
            await asyncio.sleep(0.2)

    async def clock(self, gate: RealGate, seconds: float) -> None:
        """Somebody sets the clock: by seconds, by hours, by ten years."""
        moved_s = self._chance.choice((1, -1)) * self._chance.choice((3.0, 40.0, 7200.0, TEN_YEARS_S))
        gate.move_clock(moved_s)
        self._history.note("clock", gate.card, moved_s)
        await self._while("clock", gate.card, seconds)
        gate.move_clock(0.0)

    async def device(self, gate: RealGate, seconds: float) -> None:  # noqa: ARG002 - four seconds
        """A plug is pulled, and put in again."""
        name = self._chance.choice(("relays", "contacts", "lane1-entry", "lane1-exit", "lane2-entry"))
        named = {"relays": ("relay",), "contacts": ("contacts", "ready contact")}.get(name, (name,))
        conditions = [self._history.begin(one, gate.card) for one in named]
        await gate.devices.pull(name)
        await asyncio.sleep(4.0)
        await gate.devices.put_in(name)
        for condition in conditions:
            self._history.end(condition)
