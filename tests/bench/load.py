"""Four lanes of people at simulated scanners, in another process than the gate: each presents, is let in, passes.

Lanes 1 and 2 have serial scanners that end a code with CR, lane 3 one that ends it with nothing (only a complete `TK1`
text tells), lane 4 a keyboard wedge. All are ptys. Stamps are CLOCK_MONOTONIC, which all processes share.
"""

import asyncio
import random
import termios
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.lcus_board import LcusBoard, RelayChange
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.serial_scanner import SerialScanner, SerialSetting
from tests.bench.stock import LANES
from tests.edge.rig import code

WALK_S = 0.2
"""From the arm's release to the person in it."""
CONTACT_S = 0.1
ANSWER_S = 3.0
"""A scan without a release for so long was not granted."""
WEDGE_CHUNK = 4096
WEDGE_PAUSE_S = 0.005
"""A wedge types its code in pieces of a pty's buffer: some 300 characters in 0.1 s, faster than any scanner's 1 ms a key."""
END_BYTES = 12 * 24
"""The last events that a wedge sends, 24 bytes each: Shift and the last key down and up, Enter down and up, each with its
report. A `TK1` text is complete with its last key, so that is its last byte, not Enter."""
OPEN_POLL_S = 0.002
PROBE_S = 0.05
"""A reader counts as open after a pause (`drivers.readers.pump.QUIET_S`): whoever sends without one is none."""
AGAIN_S = 0.5
"""Whoever waits is judged when the lane frees; the commit may take a slow disk's quarter of a second."""


class Transport(Enum):
    """How a code travels, and what tells its end."""

    SERIAL_CR = "serial, ended by CR"
    SERIAL_BARE = "serial, no terminator"
    WEDGE = "keyboard wedge"


TRANSPORTS = (Transport.SERIAL_CR, Transport.SERIAL_CR, Transport.SERIAL_BARE, Transport.WEDGE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One granted scan: when its first and its last byte were written, and when the board saw the command."""

    transport: Transport
    first_ns: int
    last_ns: int
    relay_ns: int

    @property
    def ms(self) -> float:
        """Last byte to relay."""
        return (self.relay_ns - self.last_ns) / 1e6


@dataclass(slots=True)
class Outcome:
    """What a load came to. `missed`: scans that were not answered by a release."""

    samples: list[Sample] = field(default_factory=list)
    missed: int = 0


class Turns:
    """Lets the scans of the gate's lanes, which may meet each other, and those of the floor come in turns."""

    def __init__(self) -> None:
        self._at_gate = 0
        self._at_floor = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def gate(self) -> AsyncIterator[None]:
        """A scan at a lane: none at the floor meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._at_floor)
            self._at_gate += 1
        try:
            yield
        finally:
            self._at_gate -= 1
            await self._tell()

    @asynccontextmanager
    async def floor(self) -> AsyncIterator[None]:
        """A scan at the floor: none at any lane meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._at_gate and not self._at_floor)
            self._at_floor = True
        try:
            yield
        finally:
            self._at_floor = False
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Lanes:
    """The hardware of four lanes and the people at it. Use on a running loop."""

    def __init__(self, folder: Path, beside: int = 0) -> None:
        """`beside`: so many serial scanners more at each lane, all of them used."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.turns = Turns()
        self.serial = {
            n: SerialScanner(
                folder / f"lane{n}",
                SerialSetting(suffix=b"\r" if TRANSPORTS[n] is Transport.SERIAL_CR else b""),
            )
            for n in range(3)
        }
        self.wedge = KeyboardScanner(folder / "lane3", KeyboardSetting())
        self.beside = [
            [SerialScanner(folder / f"lane{lane}-{n}") for n in range(beside)] for lane in range(LANES)
        ]
        self._takes = random.Random(5)
        self.relays = LcusBoard(LANES, folder / "relays", self._switched)
        self.contacts = ModbusBoard(2 * LANES, 0, folder / "contacts")
        self._released: list[asyncio.Future[int] | None] = [None] * LANES

    def plug(self) -> None:
        """Plug all in; every arm says ready."""
        loop = asyncio.get_running_loop()
        for scanner in self._serial():
            scanner.port.plug()
        self.wedge.port.plug()
        self.relays.attach(loop)
        self.contacts.attach(loop)
        for lane in range(LANES):
            self.contacts.drive(LANES + lane, active=True)

    def unplug(self) -> None:
        """Pull every plug."""
        for scanner in self._serial():
            scanner.port.unplug()
        self.wedge.port.unplug()
        self.relays.close()
        self.contacts.unplug()

    def toml(self, data: Path) -> str:
        """The gate's configuration for these devices."""
        lanes = "".join(
            f"""
[[lanes]]
id = {n + 1}
name = "Lane {n + 1}"
relay = "relays"
entry_line = {n}
inputs = "contacts"
entry_contact = {n}
ready_contact = {LANES + n}
[[lanes.readers]]
id = {n + 1}
way = "entry"
"""
            + (
                f'driver = "wedge"\ndevice = "{self.folder / "lane3"}"\ngrab = false\n'
                if TRANSPORTS[n] is Transport.WEDGE
                else f'driver = "serial"\nport = "{self.folder / f"lane{n}"}"\n'
            )
            + "".join(
                f'[[lanes.readers]]\nid = {LANES * (at + 1) + n + 1}\nway = "entry"\ndriver = "serial"\nport = "{scanner.port.link}"\n'
                for at, scanner in enumerate(self.beside[n])
            )
            for n in range(LANES)
        )
        return f"""
[gate]
name = "Bench"
data = "{data}"
[page]
port = 0
[[relays]]
id = "relays"
driver = "lcus"
port = "{self.relays.path}"
lines = {LANES}
[[inputs]]
id = "contacts"
driver = "modbus"
port = "{self.contacts.path}"
baud = 115200
lines = {2 * LANES}
{lanes}"""

    def _serial(self) -> list[SerialScanner]:
        return [*self.serial.values(), *(one for beside in self.beside for one in beside)]

    def _switched(self, change: RelayChange) -> None:
        waiting = self._released[change.line]
        if change.on and waiting is not None and not waiting.done():
            waiting.set_result(change.at_ns)

    # --- one person -------------------------------------------------------------------------------------------------

    async def present(self, lane: int, text: bytes, wait_s: float = ANSWER_S) -> Sample | None:
        """Present one code; None where the arm is not released in time."""
        async with self.turns.gate():
            return await self._present(lane, text, wait_s)

    async def _present(self, lane: int, text: bytes, wait_s: float) -> Sample | None:
        released = self._released[lane] = asyncio.get_running_loop().create_future()
        transport = TRANSPORTS[lane]
        at = self._takes.randrange(1 + len(self.beside[lane]))
        first_ns = time.monotonic_ns()
        if at:
            transport, scanner = Transport.SERIAL_CR, self.beside[lane][at - 1]
            sent = scanner.encode(text)
            first_ns = last_ns = time.monotonic_ns()
            await scanner.port.send(sent)
        elif transport is Transport.WEDGE:
            typed = b"".join(self.wedge.encode(text.decode()))
            for at in range(0, len(typed) - END_BYTES, WEDGE_CHUNK):
                await self.wedge.port.send(typed[at : min(at + WEDGE_CHUNK, len(typed) - END_BYTES)])
                await asyncio.sleep(WEDGE_PAUSE_S)
            last_ns = time.monotonic_ns()
            await self.wedge.port.send(typed[-END_BYTES:])
        else:
            sent = self.serial[lane].encode(text)
            first_ns = last_ns = time.monotonic_ns()
            await self.serial[lane].port.send(sent)
        try:
            relay_ns = await asyncio.wait_for(released, wait_s)
        except TimeoutError:
            return None
        return Sample(transport, first_ns, last_ns, relay_ns)

    async def walk(self, lane: int) -> None:
        """Walk through the released arm."""
        await asyncio.sleep(WALK_S)
        self.contacts.drive(lane, active=True)
        await asyncio.sleep(CONTACT_S)
        self.contacts.drive(lane, active=False)
        await asyncio.sleep(CONTACT_S)  # the arm is back and the gate has seen it: polled every 20 ms

    # --- many people ------------------------------------------------------------------------------------------------

    async def first_release(self, texts: Iterator[bytes]) -> int:
        """Present a fresh code at lane 1 every `PROBE_S` until one is let in; return when the board saw the command.

        The port is left alone until the gate has opened it: what waits in it then is thrown away.
        """
        port = self.serial[0].port
        while port.speed != termios.B9600:
            await asyncio.sleep(OPEN_POLL_S)
        while (sample := await self.present(0, next(texts), PROBE_S)) is None:
            pass
        return sample.relay_ns

    async def clear(self) -> None:
        """Let whoever was let in at lane 1 pass, and after them whoever waited for it meanwhile."""
        while True:
            released = self._released[0] = asyncio.get_running_loop().create_future()
            await self.walk(0)
            try:
                await asyncio.wait_for(released, AGAIN_S)
            except TimeoutError:
                return

    async def run(self, texts: Iterator[bytes], count: int, seed: int, mean_s: float) -> Outcome:
        """Let people come to all lanes, Poisson, until `count` were let in. A busy lane has a queue."""
        outcome = Outcome()

        async def lane(number: int) -> None:
            loop = asyncio.get_running_loop()
            chance = random.Random(seed * LANES + number)
            arrives_s = loop.time() + chance.expovariate(1 / mean_s)
            while len(outcome.samples) + outcome.missed < count:
                await asyncio.sleep(max(0.0, arrives_s - loop.time()))
                arrives_s += chance.expovariate(1 / mean_s)
                sample = await self.present(number, next(texts))
                if sample is None:
                    outcome.missed += 1
                    continue
                outcome.samples.append(sample)
                await self.walk(number)

        await asyncio.gather(*(lane(number) for number in range(LANES)))
        return outcome


def texts_of(tickets: Iterator[int], count: int) -> list[bytes]:
    """Mint so many codes ahead: minting costs more than checking."""
    return [code(ticket) for ticket, _ in zip(tickets, range(count), strict=False)]
