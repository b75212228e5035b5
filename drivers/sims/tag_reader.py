"""Tag readers that answer questions, the device's side: a PN532 and a TWN4 on simulated ports, and a hand with a tag."""

import asyncio
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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
        """Hold a tag to the reader until the host was told of it so often, and take it away until it was told of that.

        Cancelled, it is taken away at once.
        """
        try:
            await self._told_again(uid, times)
        finally:
            self.tag = b""
        await self._told_again(b"", 2)
        return True

    async def _told_again(self, tag: bytes, often: int) -> None:
        self.tag, told = tag, self.told_of(tag)
        # What was on its way already said how it was before.
        while self.told_of(tag) < told + often and self.port.plugged:
            self._news.clear()
            await self._news.wait()

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


class Memory(Protocol):
    """What a tag in the field carries."""

    @property
    def sak(self) -> int:
        """SEL_RES of its kind."""
        ...

    def answer(self, command: bytes) -> bytes | None:
        """Return the tag's answer; None where it gives none (NAK)."""
        ...


@dataclass(slots=True)
class Type2Memory:
    """The pages of an NTAG213 from page 0 on, read four at a time (READ, 30h), written singly (WRITE, A2h).

    Lock bytes and the capability container only ever gain bits, and what they lock is not written any more. `written`: pages,
    in order. `signature`: what it says to READ_SIG; b"" for a tag that does not know the command, as cheap copies do not.
    `version`: the same of GET_VERSION. `deaf`: pages whose WRITE it acknowledges and does not do, as copies do with lock bits.
    """

    pages: bytes
    sak: int = 0x00
    signature: bytes = b""
    version: bytes = bytes.fromhex("0004040201000F03")
    deaf: frozenset[int] = frozenset()
    written: list[int] = field(default_factory=list)

    def answer(self, command: bytes) -> bytes | None:
        """READ, WRITE, READ_SIG and GET_VERSION alone; beyond its end a read starts over."""
        if command == b"\x3c\x00":
            return self.signature or None
        if command == b"\x60":
            return self.version or None
        number = command[1] if len(command) > 1 else 256
        at = number * 4
        if command[:1] == b"\x30" and len(command) == 2 and at < len(self.pages):
            return (self.pages + self.pages)[at : at + 16]
        if command[:1] != b"\xa2" or len(command) != 6 or at >= len(self.pages) or self._locked(number):
            return None
        old, new = self.pages[at : at + 4], command[2:]
        if number == 2:
            new = old[:2] + bytes(one | two for one, two in zip(old[2:], new[2:], strict=True))
        elif number in {3, 40}:
            new = bytes(one | two for one, two in zip(old, new, strict=True))
        if number not in self.deaf:
            self.pages = self.pages[:at] + new + self.pages[at + 4 :]
        self.written.append(number)
        return b""

    def _locked(self, number: int) -> bool:
        static = self.pages[10] | self.pages[11] << 8
        if 3 <= number <= 15:
            return bool(static >> number & 1)
        dynamic = self.pages[160] | self.pages[161] << 8 if len(self.pages) >= 164 else 0
        return number < 2 or (16 <= number <= 39 and bool(dynamic >> (number - 16) // 2 & 1))


@dataclass(slots=True)
class Type4Memory:
    """A tag of ISO/IEC 14443-4 with NDEF. `message(tap)`: what its NDEF file says at each tap, which it counts itself."""

    message: Callable[[int], bytes]
    sak: int = 0x20
    signature: bytes = b""
    taps: int = 0
    _selected: bytes = b""
    _now: bytes | None = None

    def answer(self, command: bytes) -> bytes | None:
        """SELECT, READ BINARY and Read_Sig."""
        if command == bytes.fromhex("903C0000010000") and self.signature:
            return self.signature + b"\x91\x90"
        if command == bytes.fromhex("00A4040007D276000085010100"):
            self._selected, self._now = b"\xd2\x76", None
            return b"\x90\x00"
        if command[:5] == bytes.fromhex("00A4000C02") and self._selected:
            self._selected = command[5:7]
            return b"\x90\x00" if self._selected in {b"\xe1\x03", b"\xe1\x04"} else b"\x6a\x82"
        if command[:2] != bytes.fromhex("00B0") or len(command) != 5:
            return b"\x6d\x00"
        file = bytes.fromhex("00172000FF00FF0406E10400FF00000506E10500808283000000")
        if self._selected == b"\xe1\x04":
            if self._now is None:
                self.taps += 1
                message = self.message(self.taps)
                self._now = len(message).to_bytes(2, "big") + message
            file = self._now
        at = int.from_bytes(command[2:4], "big")
        return file[at : at + command[4]] + b"\x90\x00"


class Pn532Chip(TagReader):
    """A PN532. `memory`: of the tag in the field; None for one that is of neither kind. `refuses(n)`: whether its nth answer
    does not come."""

    memory: Memory | None = None
    refuses: Callable[[int], bool] = staticmethod(lambda _number: False)
    asked = 0
    ats = bytes.fromhex("067777710280")
    """Of an NTAG 424 DNA."""

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
            sak = 0x08 if self.memory is None else self.memory.sak
            found = bytes.fromhex("01010004") + bytes([sak, len(self.tag)]) + self.tag
            data = (found + self.ats if sak & 0x20 else found) if self.tag else b"\x00"
        elif command[:2] == bytes.fromhex("4001") or command[0] == 0x42:
            self.asked += 1
            # 60h by InDataExchange is MIFARE Classic's authentication, which no tag of these takes.
            lost = not self.tag or self.refuses(self.asked) or command[:3] == bytes.fromhex("400160")
            said = (
                None
                if lost or self.memory is None
                else self.memory.answer(command[1:] if command[0] == 0x42 else command[2:])
            )
            data = b"\x01" if said is None else b"\x00" + said
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
