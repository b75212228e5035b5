"""The simulated venue: a centre and one enrolled gate as real processes, devices and people simulated around them."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from admission.ids import GateId
from edge import enrolment
from edge.board import VerdictWord, verdict
from edge.enrolment import NotEnrolled
from edge.front import tls
from edge.front.lane_client import LaneAway, LaneClient
from edge.front.pin import new_pin
from edge.link import AdmitByHand, ClearFire, Command, Done, Health, Part, Seen, Status
from sync import demo
from sync.demo import DemoTicket
from tests.venue.hardware import DEVICES, FIRE_LINE, READY_LINES, GateHardware
from tests.venue.people import Pace, People
from tests.venue.programs import Program, VenueFault, call
from tests.venue.records import RecordsView

READY_S = 30.0
"""A gate is up within a second; a machine busy with tests takes its time."""
ORGANIZER = "organizer@demo.example"
"""Who signs in at the centre's pages."""
STEWARD = 1
"""The number of the demo's only steward."""


class Venue:
    """Everything of the demo but its page. `changed` is called whenever something of it changed. Use `start`, `stop`."""

    def __init__(
        self, folder: Path, changed: Callable[[], None] = lambda: None, pace: Pace | None = None
    ) -> None:
        self.folder = folder
        self.changed = changed
        self.gate_data = folder / "gate"
        self.centre_data = folder / "centre"
        self.config = folder / "gate.toml"
        self.pin = ""
        self.centre_url = ""
        self.password = ""
        """Of `ORGANIZER`, made up anew for each run."""
        self.page_url = ""
        self.tickets: tuple[DemoTicket, ...] = ()
        self.ended: asyncio.Future[VenueFault] = asyncio.get_running_loop().create_future()
        """Done when a process ended that nobody ended."""
        self.powered = False
        self.pulled: set[str] = set()
        self.hardware = GateHardware(folder / "dev")
        self.people = People(self.hardware, self._told, pace)
        self.lane = LaneClient(self.gate_data / "lane.sock")
        self.records = RecordsView(self.gate_data, GateId(0))
        self._programs: dict[str, Program] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    # --- start and stop, in order -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the centre, enrol the gate, plug the devices in, start the gate and wait until it admits."""
        self.gate_data.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.page_url = f"https://127.0.0.1:{port}/"
        self.config.write_text(
            self.hardware.toml(self.gate_data, name="Demo gate", port=port), encoding="utf-8"
        )
        await self._run(
            "the centre", "sync", "serve", "--data", str(self.centre_data), "--port", "0", "--demo"
        )
        self.centre_url = await self._programs["the centre"].line("gatehouse-sync listens on")
        self.tickets = demo.demo_tickets(self.centre_data)
        self.password = await self._user()
        own = await self._enrolled()
        self.records = RecordsView(self.gate_data, own.gate)
        self.hardware.plug()
        self.lane.on_appended = lambda _: self._told()
        self._tasks.append(asyncio.create_task(self._listen()))
        await self._power_gate()
        await self.until_ready()
        await self._until_page(port)

    async def stop(self) -> None:
        """Send everybody home, stop the gate, then what it depends on."""
        await self.people.go_home()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in ("the gate", "the centre"):
            program = self._programs.pop(name, None)
            if program is not None:
                await program.stop()
            if name == "the gate":
                self.hardware.unplug()
        self.records.close()
        if not self.ended.done():
            self.ended.cancel()

    async def until_ready(self) -> None:
        """Wait until every part that people meet works. VenueFault with what does not, where that takes too long."""
        try:
            async with asyncio.timeout(READY_S):
                while self.unready():
                    if self.ended.done():
                        raise self.ended.result()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise VenueFault(
                f"the gate is not ready after {READY_S:.0f} s: {self.unready()}",
                self._programs["the gate"].tail,
            ) from None

    async def _until_page(self, port: int) -> None:
        """Wait until the gate's own page answers: its process starts after the lanes."""
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)

    def unready(self) -> str:
        """Return what keeps the gate from admitting; "" when all is well."""
        status = self.status
        if status is None:
            return "it does not answer"
        word, cause = verdict(status.tiles)
        if word is VerdictWord.NOT_READY:
            return cause.code if cause else word.value
        bad = [
            f"{tile.part.value} {tile.name}: {tile.code}"
            for tile in status.tiles
            if tile.part in {Part.READER, Part.RELAY, Part.SENSOR, Part.LIST} and tile.health is not Health.OK
        ]
        waiting = [f"{lane.name} is not ready" for lane in status.lanes if not lane.ready]
        return ", ".join(bad + waiting)

    # --- what the page and the script do ------------------------------------------------------------------------------

    @property
    def status(self) -> Status | None:
        """What the gate says of itself; None while it does not answer."""
        return self.lane.status if self.lane.connected else None

    @property
    def fire(self) -> bool:
        """Whether the fire contact is on."""
        return self.hardware.contacts.inputs[FIRE_LINE]

    def is_ready_on(self, lane: int) -> bool:
        """Whether the turnstile of a lane says READY."""
        return self.hardware.contacts.inputs[READY_LINES[lane]]

    def plug(self, device: str, *, into: bool) -> None:
        """Pull or put in the plug of one device."""
        if into:
            self.pulled.discard(device)
            if self.powered:
                self.hardware.put_in(device)
        else:
            self.pulled.add(device)
            self.hardware.pull(device)
        self._told()

    def set_fire(self, *, on: bool) -> None:
        """Close or open the fire contact."""
        self.hardware.contacts.drive(FIRE_LINE, active=on)
        self._told()

    def set_ready(self, lane: int, *, on: bool) -> None:
        """Have the turnstile of a lane say READY, or not."""
        self.hardware.contacts.drive(READY_LINES[lane], active=on)
        self._told()

    def set_walk(self, *, on: bool) -> None:
        """Have people walk through when they may, or stand still."""
        self.people.walk = on
        for lane in self.hardware.lanes:
            self.people.tell(lane)

    async def cut_power(self) -> None:
        """Take the box's power away: all its processes end at once, and so does what it feeds over USB."""
        if not self.powered:
            return
        self.powered = False
        program = self._programs.pop("the gate")
        await program.cut()
        for device in DEVICES:
            self.hardware.pull(device)
        self._told()

    async def restore_power(self) -> None:
        """Give the box its power back."""
        if self.powered:
            return
        for device in DEVICES:
            if device not in self.pulled:
                self.hardware.put_in(device)
        await self._power_gate()

    async def clear_fire(self) -> bool:
        """Staff clear the alarm at every lane. False where the gate still sees it, or does not answer."""
        done = [await self._command(ClearFire(0, lane, STEWARD)) for lane in self.hardware.lanes]
        return all(one is not None and one.ok for one in done)

    async def admit(self, lane: int) -> bool:
        """A steward has looked and lets the person at a lane's entry in. False where nobody stands there."""
        visitor = self.people.there.get((lane, "entry"))
        if visitor is None:
            return False
        done = await self._command(
            AdmitByHand(0, lane, 1, STEWARD, "looked at by the steward", 1, visitor.code)
        )
        return done is not None and done.ok

    def program(self, name: str) -> Program:
        """Return a running process: "the centre" or "the gate"."""
        return self._programs[name]

    # --- below --------------------------------------------------------------------------------------------------------

    def seen(self, scan: Seen) -> None:
        """Listen to the lane: a scan was judged."""
        self.people.seen(scan)
        self._told()

    def lane_changed(self) -> None:
        """Listen to the lane: a new status, or it came or went."""
        self._told()

    async def _command(self, command: Command) -> Done | None:
        try:
            return await self.lane.command(command)
        except LaneAway:
            return None

    def _told(self) -> None:
        self._news.set()
        self.changed()

    async def _listen(self) -> None:
        with self.lane.listening(_Ears(self)):
            await self.lane.run()

    async def _power_gate(self) -> None:
        await self._run("the gate", "edge", "run", "--config", str(self.config))
        self.powered = True
        self._told()

    async def _run(self, name: str, module: str, *arguments: str) -> None:
        log = self.folder / f"{name.removeprefix('the ')}.log"
        program = await Program.start(name, [sys.executable, "-m", module, *arguments], log)
        self._programs[name] = program
        self._tasks.append(asyncio.create_task(self._watch(name, program)))

    async def _watch(self, name: str, program: Program) -> None:
        await program.ended.wait()
        if self._programs.get(name) is program and not self.ended.done():
            self.ended.set_result(program.fault())
            self._told()

    async def _enrolled(self) -> enrolment.Enrolment:
        """Return the gate's enrolment, made now by a one-time code where it has none; its centre's address may differ."""
        try:
            own = enrolment.load(self.gate_data)
        except NotEnrolled:
            python = sys.executable
            code = await call(
                [python, "-m", "sync", "gate", "code", demo.MAIN_GATE_NAME, "--data", str(self.centre_data)]
            )
            enrol = [python, "-m", "edge", "enrol", "--config", str(self.config), self.centre_url, code]
            self.pin = (await call(enrol)).rpartition("PIN of its page, shown this once: ")[2]
            return enrolment.load(self.gate_data)
        self.pin = await asyncio.to_thread(new_pin, self.gate_data)
        moved = msgspec.structs.replace(own, centre_url=self.centre_url)
        enrolment.save(self.gate_data, moved)
        return moved

    async def _user(self) -> str:
        """Have somebody who can sign in at the centre; returns the password."""
        user = [sys.executable, "-m", "sync", "user"]
        data = ["--data", str(self.centre_data)]
        known = ORGANIZER in await call([*user, "list", *data])
        return await call([*user, "password" if known else "add", ORGANIZER, *data])

    def fingerprint(self) -> str:
        """Return the fingerprint of the page's certificate, as browsers show it; "" while there is none."""
        with contextlib.suppress(OSError, ValueError):
            return tls.grouped(tls.certificate(self.gate_data, (), ()).fingerprint)
        return ""


class _Ears:
    """The venue's end of `LaneClient.listening`."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def changed(self) -> None:
        """There is a new status, or the link came or went."""
        self._venue.lane_changed()

    def seen(self, scan: Seen) -> None:
        """A scan was judged."""
        self._venue.seen(scan)

    def corrected(self, scan: Seen) -> None:
        """Something became of one who was let through: the arm shows it here."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
