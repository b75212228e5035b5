"""Tag readers that answer questions, the device's side: a PN532 and a TWN4 on simulated ports, and a hand with a tag."""

import asyncio
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.framing.pn532 import FROM_CHIP, TO_CHIP, Answer, Frames, Sign, encode
from drivers.sims.ports import SimPort

GAP_NS = 20_000_000
HEARD_MAX = 256


@dataclass(frozen=True, slots=True)
class TagReaderSetting:
    """How the reader is. `lose(n)`: whether the nth packet, either way, gets lost. `silent`: it answers nothing."""

    speed: int = termios.B115200
    silent: bool = False
    chunk: int = 4096
    stop_after: int = -1
    lose: Callable[[int], bool] = lambda _number: False


class TagReader:
    """What both have: a tag in the field or none, and answers that can be slow, cut or lost. `heard`: commands."""

    def __init__(self, link: Path, setting: TagReaderSetting | None = None) -> None:
        self.setting = setting or TagReaderSetting()
        self.port = SimPort(link, self._hear)
        self.tag = b""
        self.heard: list[bytes] = []
        self._told: dict[bytes, int] = {}
        self._carried = 0
        self._news = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

    async def tap(self, uid: bytes, times: int = 1) -> bool:
        """Hold a tag to the reader until the host was told of it so often, and take it away until it was told of that."""
        for self.tag, often in ((uid, times), (b"", 2)):
            wanted, told = self.tag, self.told_of(self.tag)
            # What was on its way already said how it was before.
            while self.told_of(wanted) < told + often and self.port.plugged:
                self._news.clear()
                await self._news.wait()
        return True

    def told_of(self, tag: bytes) -> int:
        """How often the host was told of this tag, or (b"") that there is none."""
        return self._told.get(tag, 0)

    async def hear(self, command: bytes) -> None:
        """Wait until the host has sent a command."""
        while command not in self.heard:
            self._news.clear()
            await self._news.wait()

    @property
    def told(self) -> int:
        """How often the host was told whether there is a tag."""
        return sum(self._told.values())

    def commands(self, data: bytes) -> Sequence[bytes]:
        """Return the commands in these bytes."""
        raise NotImplementedError

    def answers(self, command: bytes) -> tuple[Sequence[bytes], bool]:
        """Return the packets that answer a command, and whether they say if there is a tag."""
        raise NotImplementedError

    def _hear(self, data: bytes) -> None:
        if self.setting.silent:
            return
        for command in self.commands(self._as_read(data)):
            if self._lost():
                continue
            self.heard.append(command)
            del self.heard[:-HEARD_MAX]
            packets, tells = self.answers(command)
            task = asyncio.ensure_future(self._answer(packets, self.tag if tells else None))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _answer(self, packets: Sequence[bytes], tag: bytes | None) -> None:
        arrived = False
        for packet in packets:
            # What the host goes by is the last one: it does not wait for an acknowledgement.
            arrived = not self._lost()
            if not arrived:
                continue
            stop = self.setting.stop_after
            await self._send(packet if stop < 0 else packet[:stop])
        if arrived and tag is not None:
            self._told[tag] = self.told_of(tag) + 1
        self._news.set()

    async def _send(self, data: bytes) -> None:
        data = self._as_read(data)
        for at in range(0, len(data), self.setting.chunk):
            await self.port.send(data[at : at + self.setting.chunk])
            await asyncio.sleep(0)

    def _lost(self) -> bool:
        self._carried += 1
        return self.setting.lose(self._carried)

    def _as_read(self, data: bytes) -> bytes:
        """What the other side reads, if it reads at another speed."""
        if self.port.speed in {0, self.setting.speed}:
            return data
        return bytes((one * 5 + 0x83) & 0xFF | 0x80 for one in data)


class Pn532Chip(TagReader):
    """A PN532."""

    def __init__(self, link: Path, setting: TagReaderSetting | None = None) -> None:
        super().__init__(link, setting)
        self._frames = Frames(gap_ns=GAP_NS, tfi=TO_CHIP)

    def commands(self, data: bytes) -> Sequence[bytes]:
        """Cut into frames."""
        heard = self._frames.feed(data, int(asyncio.get_running_loop().time() * 1e9))
        return [bytes([one.code]) + one.data for one in heard if isinstance(one, Answer)]

    def answers(self, command: bytes) -> tuple[Sequence[bytes], bool]:
        """An ACK, and the answer."""
        data = b""
        if command[0] == 0x02:
            data = bytes.fromhex("32010607")
        elif command[0] == 0x4A:
            found = bytes.fromhex("0101000408") + bytes([len(self.tag)]) + self.tag
            data = found if self.tag else b"\x00"
        answer = encode(bytes([command[0] + 1]) + data, FROM_CHIP)
        return [Sign.ACK.value, answer], command[0] == 0x4A


class Twn4Device(TagReader):
    """A TWN4 with the Simple Protocol application in ASCII mode. `scripted`: it runs the keyboard script instead."""

    scripted = False

    def __init__(self, link: Path, setting: TagReaderSetting | None = None) -> None:
        super().__init__(link, setting or TagReaderSetting(speed=termios.B9600))
        self._line = b""

    def commands(self, data: bytes) -> Sequence[bytes]:
        """Cut into lines of hexadecimal."""
        *lines, self._line = (self._line + data).split(b"\r")
        out = []
        for line in lines:
            try:
                out.append(bytes.fromhex(line.decode("ascii")))
            except ValueError:
                out.append(b"\xff")
        return [one for one in out if one]

    def answers(self, command: bytes) -> tuple[Sequence[bytes], bool]:
        """The result, and what was asked for."""
        asked = command[:2] == bytes.fromhex("0500")
        data = b"\x00"
        if command == b"\xff":
            data = b"\x05"
        elif command == bytes.fromhex("0005"):
            data = bytes.fromhex("0001")
        elif asked and self.tag:
            data = bytes([0, 1, 0x80, 8 * len(self.tag), len(self.tag)]) + self.tag
        elif asked:
            data = b"\x00\x00"
        text = b"what?" if self.scripted else data.hex().upper().encode()
        return [text + b"\r"], asked
