"""The hardware of a gate, simulated on real ptys: scanners, a tag reader, a relay board, contacts, and turnstiles.

Only the devices are simulated; each speaks its real protocol (`drivers.sims`). A turnstile is released by its relay
and closes a passage contact when somebody walks through it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.lcus_board import LcusBoard, RelayChange
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.modbus_bus import ModbusBus
from drivers.sims.serial_scanner import SerialScanner, SerialSetting

Way = Literal["entry", "exit"]
CONTACT_S = 0.15
"""How long an arm keeps its passage contact closed (PERCo: 100 ms and more)."""
CONTACT_POLLS = 4
"""Looks at the contacts by which one that stands is seen: one may be under way, and it must stand for the debounce."""
CONTACT_LATE_S = 3.0
"""So long somebody stands in the arm where a busy machine looks seldom."""
READY_LINES, FIRE_LINE = {1: 5, 2: 6}, 7
DEVICES = ("lane1-entry", "lane1-exit", "lane1-tags", "lane2-entry", "relays", "contacts")
"""Everything with a plug of its own, by the name under which the gate opens it."""


@dataclass(slots=True)
class Turnstile:
    """One arm. `hold_s`: how long it stays released after its relay closed, as its own control board has it."""

    name: str
    lines: dict[Way, int]
    contacts: dict[Way, int]
    hold_s: float
    board: ModbusBoard | ModbusBus
    released: dict[Way, float] = field(default_factory=dict)
    on_change: Callable[[], None] = lambda: None
    releases: asyncio.Queue[Way] = field(default_factory=asyncio.Queue)
    turned: deque[Way] = field(default_factory=lambda: deque(maxlen=64))

    def relay_switched(self, change: RelayChange) -> None:
        """The relay of one way closed: the arm is free that way for `hold_s`."""
        for way, line in self.lines.items():
            if line == change.line and change.on:
                self.released[way] = asyncio.get_running_loop().time() + self.hold_s
                self.releases.put_nowait(way)
                self.on_change()

    def is_released(self, way: Way) -> bool:
        """Whether somebody can walk through that way now."""
        return self.released.get(way, 0.0) > asyncio.get_running_loop().time()

    async def turn(self, way: Way, *, force: bool = False) -> bool:
        """Somebody pushes the arm. It gives way if it is released (once), or if they climb over it (`force`)."""
        if not force and not self.is_released(way):
            return False
        self.released.pop(way, None)
        self.turned.append(way)
        self.on_change()
        loop, asked = asyncio.get_running_loop(), self.board.polls
        self.board.drive(self.contacts[way], active=True)
        await asyncio.sleep(CONTACT_S)
        late_s = loop.time() + CONTACT_LATE_S
        while self.board.polls < asked + CONTACT_POLLS and loop.time() < late_s:
            await asyncio.sleep(CONTACT_S / 10)
        self.board.drive(self.contacts[way], active=False)
        return True


class GateHardware:
    """Everything that is plugged into one box: lane 1 a two-way tripod, lane 2 a one-way gate.

    Lane 1: serial entry scanner, keyboard-wedge exit scanner, keyboard tag reader. Lane 2: serial entry scanner.
    """

    def __init__(self, folder: Path, *, hold_s: float = 5.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.entry = SerialScanner(folder / "lane1-entry", SerialSetting())
        self.exit = KeyboardScanner(folder / "lane1-exit", KeyboardSetting())
        self.tags = KeyboardScanner(folder / "lane1-tags", KeyboardSetting())
        self.second = SerialScanner(folder / "lane2-entry", SerialSetting())
        self.relays = LcusBoard(4, folder / "relays", self._switched)
        self.contacts: ModbusBoard | ModbusBus = ModbusBoard(8, 0, folder / "contacts")
        self.scanners: dict[str, SerialScanner | KeyboardScanner] = dict(
            zip(DEVICES, (self.entry, self.exit, self.tags, self.second), strict=False)
        )
        self.boards: dict[str, LcusBoard | ModbusBoard | ModbusBus] = {
            "relays": self.relays,
            "contacts": self.contacts,
        }
        self.lanes = {
            1: Turnstile("Lane 1", {"entry": 0, "exit": 1}, {"entry": 0, "exit": 1}, hold_s, self.contacts),
            2: Turnstile("Lane 2", {"entry": 2}, {"entry": 2}, hold_s, self.contacts),
        }

    def _switched(self, change: RelayChange) -> None:
        for lane in self.lanes.values():
            lane.relay_switched(change)

    def plug(self) -> None:
        """Plug everything in, on the running loop. The turnstile says ready, nothing burns."""
        for name in DEVICES:
            self.put_in(name)
        self.be_ready()

    def be_ready(self) -> None:
        """The turnstile says ready."""
        for line in READY_LINES.values():
            self.contacts.drive(line, active=True)

    def unplug(self) -> None:
        """Pull every plug."""
        for scanner in self.scanners.values():
            with contextlib.suppress(OSError):
                scanner.port.unplug()
        self.relays.close()
        self.contacts.unplug()

    def put_in(self, name: str) -> None:
        """Plug one device in; nothing where it is in already."""
        if name in self.scanners:
            self.scanners[name].port.plug()
            return
        board = self.boards[name]
        if not board.port.plugged:
            board.plug()
        board.attach(asyncio.get_running_loop())

    def pull(self, name: str) -> None:
        """Pull one device's plug."""
        if name in self.scanners:
            self.scanners[name].port.unplug()
        else:
            self.boards[name].unplug()

    def toml(
        self, data: Path, *, name: str = "North", port: int = 0, tls: bool = True, extra: str = ""
    ) -> str:
        """Return the gate's configuration for exactly these devices."""
        return configuration(self.folder, data, name=name, port=port, tls=tls, extra=extra)


def configuration(
    folder: Path, data: Path, *, name: str = "North", port: int = 0, tls: bool = True, extra: str = ""
) -> str:
    """Return the configuration of a gate whose `GateHardware` has its ports in a folder."""
    return f"""
[gate]
name = "{name}"
data = "{data}"

[page]
listen = "127.0.0.1"
port = {port}
tls = {str(tls).lower()}

[centre]
poll_s = 0.5
push_s = 0.2
{extra}
[[relays]]
id = "relays"
driver = "lcus"
port = "{folder / "relays"}"
lines = 4

[[inputs]]
id = "contacts"
driver = "modbus"
port = "{folder / "contacts"}"
baud = 115200

[[lanes]]
id = 1
name = "Tripod"
relay = "relays"
entry_line = 0
exit_line = 1
inputs = "contacts"
entry_contact = 0
exit_contact = 1
ready_contact = {READY_LINES[1]}
fire_contact = {FIRE_LINE}

[[lanes.readers]]
id = 1
way = "entry"
driver = "serial"
port = "{folder / "lane1-entry"}"

[[lanes.readers]]
id = 2
way = "exit"
driver = "wedge"
device = "{folder / "lane1-exit"}"
grab = false

[[lanes.readers]]
id = 3
way = "entry"
driver = "wedge"
device = "{folder / "lane1-tags"}"
grab = false
medium = "uid"

[[lanes]]
id = 2
name = "One-way gate"
relay = "relays"
entry_line = 2
inputs = "contacts"
entry_contact = 2
ready_contact = {READY_LINES[2]}
fire_contact = {FIRE_LINE}

[[lanes.readers]]
id = 4
way = "entry"
driver = "serial"
port = "{folder / "lane2-entry"}"
"""
