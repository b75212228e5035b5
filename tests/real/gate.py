"""A gate on its box: the shipped daemon as processes, its devices a process beside it, its modem a proxy, its card a file system.

It has the outside of the simulated gate, so that the simulation's people, organizer and checker meet it as it is.
"""

import asyncio
import contextlib
import os
import random
import signal
import struct
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from admission.ids import Epoch, GateId, RecordId
from admission.records import Direction
from edge import enrolment
from edge.enrolment import Enrolment
from edge.front.lane_client import LaneAway, LaneClient
from edge.link import Command, Done, GiveHeld, HeldRecords, Part, Seen, Status, Tile
from edge.settings import LaneSettings, SerialReader, Way
from edge.store.faults import StoreFault
from edge.store.log_reader import LogReader
from tests.edge.front.slow_link import SlowLink
from tests.real.card import Card
from tests.real.devices import Devices
from tests.real.diary import Diary, RealHistory
from tests.real.doctor_env import DOCTOR, ROOT, with_env
from tests.real.lan import Lan
from tests.sim.hardware import Arm, Push
from tests.sim.history import Boot, Release
from tests.venue.hardware import DEVICES, configuration
from tests.venue.hardware import Way as Side
from tests.venue.programs import Program, session

RESTART_S = 1.0
"""systemd starts a gate again so soon (`systemd/`)."""
LOOK_EVERY_S = 0.1
PAGE_PORT, PEERS_PORT = 8443, 7342
NO_RECORD = RecordId(GateId(0), Epoch(0), 0)
SCANNERS = {1: "lane1-entry", 2: "lane1-exit", 4: "lane2-entry"}
"""By reader."""
LINES = {0: (1, Direction.ENTRY), 1: (1, Direction.EXIT), 2: (2, Direction.ENTRY)}


def lanes() -> tuple[LaneSettings, ...]:
    """Return the lanes of `GateHardware`, without the tag reader."""

    def reader(number: int, way: Way) -> SerialReader:
        return SerialReader(id=number, way=way, port="pty")

    return (
        LaneSettings(
            id=1, name="Tripod", readers=(reader(1, Way.ENTRY), reader(2, Way.EXIT)), relay="relays", entry_line=0,
            exit_line=1, inputs="contacts", entry_contact=0, exit_contact=1,
        ),
        LaneSettings(
            id=2, name="One-way gate", readers=(reader(4, Way.ENTRY),), relay="relays", entry_line=2, inputs="contacts",
            entry_contact=2,
        ),
    )  # fmt: skip


class RealGate:
    """One box. `prepare`, `start`; then present, push and break; `close` at the end."""

    def __init__(
        self,
        number: int,
        card: str,
        folder: Path,
        lan: Lan,
        history: RealHistory,
        owners: dict[Epoch, str],
        place: int,
    ) -> None:
        self.id = GateId(number)
        self.card = card
        self.place = place
        """Its place on the LAN; a copied card's box has another than the original's."""
        self.history = history
        self.folder = folder / card
        self.lan = lan
        self.disk = Card(self.folder / "data")
        self.settings = lanes()
        self.arms = {lane.id: Arm(lane) for lane in self.settings}
        self.diary = Diary(history, card, self.id, owners)
        self.devices = Devices(self.folder / "dev", self._freed)
        self.link: SlowLink
        self.client: LaneClient
        self.boot_of: Boot | None = None
        self.boots = 0
        self.is_off = False
        """Somebody keeps it off: nothing starts it."""
        self.rings = False
        """No alarm is wired to real gates."""
        self.is_failing = False
        """Its disk takes nothing: what it remembers is asked for."""
        self.defect = ""
        self.on_release: Callable[[int, Direction, Release | None], None] = lambda _lane, _way, _release: None
        self.on_seen: Callable[[Seen], None] = lambda _seen: None
        self.last_status: Status | None = None
        self.pending: list[tuple[Release, int]] = []
        """Releases whose record no look has found yet, and in which run."""
        self._program: Program | None = None
        self._reader: LogReader | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._clock = self.folder / "clock"

    # --- life -------------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Its data folder."""
        return self.disk.root

    @property
    def is_up(self) -> bool:
        """Whether its program runs."""
        return self._program is not None and not self._program.ended.is_set()

    @property
    def ready(self) -> bool:
        """Whether it says that it admits on every lane."""
        status = self.client.status if self.client.connected else None
        return self.is_up and status is not None and all(lane.ready for lane in status.lanes)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """What its page shows of its parts."""
        return self.client.status.tiles if self.client.connected and self.client.status else ()

    @property
    def codes(self) -> set[str]:
        """How its parts are, by the page's words."""
        return {tile.code for tile in self.tiles}

    @property
    def neighbours(self) -> int:
        """How many others it says that it talks to on the LAN."""
        found = (
            tile.args.get("here", 0)
            for tile in self.tiles
            if (tile.part, tile.name) == (Part.UPLINK, "peers")
        )
        return int(next(found, 0))

    async def prepare(self, own: Enrolment | None, centre_port: int, chain: Path, peers: list[str]) -> None:
        """Put up box, card, modem and devices. `own`: None where the card is a copy and says itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._clock.write_bytes(bytes(8))
        self._chain = chain
        self.lan.join(self.place)
        self.link = await SlowLink(centre_port, self.lan.modem(self.place)).__aenter__()
        self.disk.mount()
        if own is not None:
            self.enrol(own)
        await self.devices.start()
        (self.folder / "gate.toml").write_text(self._toml(peers))
        self.client = LaneClient(self.root / "lane.sock")
        self._spawn(self._listen())
        self._spawn(self._look_on())

    def enrol(self, own: Enrolment) -> None:
        """Write what enrolment gave, for this box's modem."""
        enrolment.save(
            self.root, msgspec.structs.replace(own, centre_url=f"https://127.0.0.1:{self.link.port}")
        )

    def _toml(self, peers: list[str]) -> str:
        address = self.lan.listens(self.place)
        text = configuration(self.devices.folder, self.root, name=self.card, port=PAGE_PORT)
        text = text.replace('listen = "127.0.0.1"', f'listen = "{address}"')
        text = text.replace("poll_s = 0.5\npush_s = 0.2\n", "")
        named = ", ".join(f'"{one}"' for one in peers)
        return text + f'\n[peers]\nlisten = "{address}"\nport = {PEERS_PORT}\naddresses = [{named}]\n'

    async def start(self) -> None:
        """Switch it on."""
        if self.is_up or self.is_off:
            return
        await self._plug()
        self._let_go()
        self.boots += 1
        boot = self.boot_of = Boot(self.id, self.card, self.boots, self.history.now_s())
        self.history.boots.append(boot)
        self.history.note("boot", self.card, self.boots)
        with contextlib.suppress(StoreFault):
            self._open()
        self.diary.began(self._reader)
        argv = [sys.executable, "-m", "edge", "run", "--config", str(self.folder / "gate.toml")]
        told = {
            "PYTHONPATH": f"{DOCTOR}:{ROOT}",
            "SSL_CERT_FILE": str(self._chain),
            "GATEHOUSE_CLOCK": str(self._clock),
        }
        if self.defect:
            told["GATEHOUSE_DEFECT"] = self.defect
        argv = [*self.lan.within(self.place), *with_env(argv, **told)]
        self._program = await Program.start(self.card, argv, self.folder / "gate.log")
        self._spawn(self._watch(self._program, boot))

    async def _plug(self) -> None:
        """Put every device in. A program that opens a scanner gets nothing that was read before; a pty keeps it."""
        for name in SCANNERS.values():
            await self.devices.pull(name)
        for device in DEVICES:
            await self.devices.put_in(device)

    async def _watch(self, program: Program, boot: Boot) -> None:
        await program.ended.wait()
        boot.ended_s = self.history.now_s()
        boot.how = boot.how or f"exit {program.code}"
        self.history.note("down", self.card, boot.how)
        self.look()
        if not self.is_off:
            await asyncio.sleep(RESTART_S)
            if boot is self.boot_of:
                await self.start()

    async def cut_power(self) -> None:
        """Take its power: all its processes end at once, and so does what it feeds. The card keeps what was written."""
        self.is_off = True
        if self._program is not None:
            if self.boot_of is not None:
                self.boot_of.how = "cut"
            await self._program.cut()
        for device in DEVICES:
            await self.devices.pull(device)

    async def power(self) -> None:
        """Give it its power back."""
        self.is_off = False
        await self.start()

    def kill(self, part: str = "") -> bool:
        """Kill -9 its lane, or another part by what its command holds; False where there is none."""
        if self._program is None or not self.is_up:
            return False
        for pid in session(self._program.pid):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if (part or "-m edge run") in command:
                    os.kill(pid, signal.SIGKILL)
                    return True
        return False

    def signal_all(self, number: int) -> None:
        """Send a signal to all its processes."""
        if self._program is not None:
            for pid in session(self._program.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def tail(self) -> list[str]:
        """Return its program's last words."""
        return list(self._program.tail) if self._program is not None else []

    async def stop(self) -> None:
        """End its program as systemd does; it stays off."""
        self.is_off = True
        if self._program is not None and self.is_up:
            await self._program.stop()
        self.look()

    async def close(self) -> None:
        """Take everything down."""
        await self.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._let_go()
        await self.devices.close()
        await self.link.__aexit__()
        self.disk.close()

    # --- card and clock ---------------------------------------------------------------------------------------------

    def move_clock(self, seconds: float) -> None:
        """Have its wall clock ahead of ours by so much, from now on."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))

    # --- looking ------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read its log as it is now."""
        try:
            self._open()
            if self._reader is not None:
                self.diary.look(self._reader)
        except StoreFault:
            self._let_go()
        self._resolve()

    def reader(self) -> LogReader:
        """Return what reads its log. StoreFault as the disk says."""
        self._open()
        assert self._reader is not None
        return self._reader

    def _open(self) -> None:
        if self._reader is None:
            self._reader = LogReader.open(self.root)

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()
            status = self.client.status
            if self.client.connected and status is not None and (self.is_failing or status.in_memory):
                await self._ask_held(status)

    async def _ask_held(self, status: Status) -> None:
        epoch = Epoch(int(status.epoch, 16))
        after = self.diary.known_to(epoch)
        with contextlib.suppress(LaneAway):
            answer = await self.client._ask(GiveHeld(0, after))
            if isinstance(answer, HeldRecords) and answer.blobs:
                self.diary.held(Epoch(answer.epoch), answer.first_seq, answer.blobs)
                self._resolve()

    async def _listen(self) -> None:
        with self.client.listening(_Ears(self)):
            await self.client.run()

    def status_changed(self) -> None:
        """The lane told how it is, or came or went."""
        status = self.client.status if self.client.connected else None
        boot = self.boot_of
        if status is None or boot is None:
            return
        self.last_status = status
        if not boot.epoch:
            boot.epoch = Epoch(int(status.epoch, 16))
        if boot.ready_s is None and self.ready:
            boot.ready_s = self.history.now_s()

    def heard(self, seen: Seen) -> None:
        """The lane judged a presentation."""
        self.diary.heard(Epoch(seen.epoch), seen.seq)
        self.look()
        self.on_seen(seen)

    # --- arms ---------------------------------------------------------------------------------------------------------

    def _freed(self, lane: int, side: Side, at_s: float) -> None:
        """An arm was freed by its relay; we hear of it a little later."""
        boot = self.boot_of
        assert boot is not None
        self.look()
        way = Direction.ENTRY if side == "entry" else Direction.EXIT
        since_s = at_s - asyncio.get_running_loop().time()
        release = Release(
            self.history.now_s() + since_s, self.card, NO_RECORD, _nothing(lane, way), boot.number, False, 0.0
        )
        self.pending.append((release, lane))
        self._resolve(release)
        self.history.note("released", self.card, lane, int(way), release.record.seq)
        self.on_release(lane, way, release)

    def _resolve(self, just_freed: Release | None = None) -> None:
        """Find the records that releases rest on. What a look after the arm moved does not find was not on the disk by then."""
        left: list[tuple[Release, int]] = []
        for release, lane in self.pending:
            boot = next(b for b in self.history.boots if (b.card, b.number) == (self.card, release.boot))
            epoch = boot.epoch or self.diary.newest_epoch
            found = self.diary.claim(lane, release.way, epoch, release.at_s)
            if found is None:
                left.append((release, lane))
                continue
            release.record, release.body, release.made_s = found
            release.durable = release is just_freed and self.diary.was_durable(release.record)
            self.history.releases.append(release)
        self.pending = left

    async def push(self, lane: int, way: Direction, late_s: float) -> Push:
        """Push an arm, whose contact closes so much later."""
        pushed = await self.devices.push(lane, "entry" if way is Direction.ENTRY else "exit", late_s)
        heard = self.is_up and self.client.connected and "contacts" in self.devices.plugged
        at_s = self.history.now_s() + pushed.at_s - asyncio.get_running_loop().time()
        return Push(pushed.went, pushed.polled and heard, at_s)

    # --- people and staff ---------------------------------------------------------------------------------------------

    def present(self, lane: int, reader: int, data: bytes) -> bool:  # noqa: ARG002 - the simulated gate's
        """Hold a code before a reader; False where no program can be listening."""
        name = SCANNERS[reader]
        if not self.is_up or not self.client.connected or name not in self.devices.plugged:
            return False
        self.devices.scan(name, data.decode())
        return True

    async def ask(self, command: Command, limit_s: float) -> Done | None:
        """Give a command at the gate's page; None where no answer comes."""
        try:
            async with asyncio.timeout(limit_s):
                return await self.client.command(command)
        except (LaneAway, TimeoutError):
            return None

    def enrolment(self) -> Enrolment:
        """Return who its card says that it is."""
        return enrolment.load(self.root)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Ears:
    """The witness's end of `LaneClient.listening`."""

    def __init__(self, gate: RealGate) -> None:
        self._gate = gate

    def changed(self) -> None:
        """There is a new status, or the link came or went."""
        self._gate.status_changed()

    def seen(self, scan: Seen) -> None:
        """A scan was judged."""
        self._gate.heard(scan)

    def corrected(self, scan: Seen) -> None:
        """Something became of one who was let through: the arm shows it here."""


def _nothing(lane: int, way: Direction) -> Any:
    """Stands for a record that nobody has found yet."""
    return SimpleNamespace(lane=lane, direction=way, ticket=None, flags=0)


def chance_of(seed: int, what: str) -> random.Random:
    """Return a source of chance of its own for each part."""
    return random.Random(f"{seed} {what}")


__all__ = ["RealGate", "chance_of"]
