"""A Zebra scanner that speaks SSI, the device's side: it waits for each ACK, sends again, and remembers what it was told."""

import asyncio
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers.base import Garbled
from drivers.framing.ssi import DATA_BYTES_MAX, DECODER, HOST, Nak, Op, Packet, Packets, Status, encode
from drivers.sims.ports import SimPort

Lose = Callable[[int], bool]
"""Says of the nth packet, in either direction, whether it gets lost."""

TRIES = 3
HEARD_MAX = 256
"""Commands remembered."""
GAP_NS = 20_000_000
REVISION = b"PAABCS00-001-R00 SIM"


@dataclass(frozen=True, slots=True)
class SsiScannerSetting:
    """How the scanner is programmed. `response_s`: how long it waits for an ACK before it sends again.

    `silent`: it answers nothing, as one that is set to another interface. `speed`: as termios numbers it; at another one
    both sides hear garbage. `refuses`: opcodes that are answered by NAK. `code_type`: what it says of each code.
    """

    suffix: bytes = b""
    aim: bytes = b""
    code_type: int = 0x1C
    response_s: float = 0.2
    silent: bool = False
    speed: int = termios.B9600
    refuses: frozenset[int] = frozenset()
    lose: Lose = lambda _number: False


class SsiScanner:
    """A scanner on a simulated port. `heard`: the commands (opcode, data) that it carried out, the latest last."""

    def __init__(self, link: Path, setting: SsiScannerSetting | None = None) -> None:
        self.setting = setting or SsiScannerSetting()
        self.port = SimPort(link, self._hear)
        self.heard: list[tuple[int, bytes]] = []
        self.acked = 0
        self.naked = 0
        self.lit = 0
        self.enabled = True
        self._packets = Packets(gap_ns=GAP_NS, source=HOST)
        self._carried = 0
        self._news = asyncio.Event()
        self._to_send: set[asyncio.Task[None]] = set()

    def packets_of(self, text: bytes) -> list[tuple[bytes, int]]:
        """Return the data and status of the packets that carry a code."""
        code = self.setting.aim + text + self.setting.suffix
        step = DATA_BYTES_MAX - 1
        parts = [code[at : at + step] for at in range(0, len(code), step)] or [b""]
        kind = bytes([self.setting.code_type])
        last = len(parts) - 1
        return [(kind + part, Status.CONTINUED if n < last else 0) for n, part in enumerate(parts)]

    async def scan(self, text: bytes, *, chunk: int | None = None, stop_after: int | None = None) -> bool:
        """Read a code; return whether the host acknowledged all of it. `stop_after`: send only so many bytes of it."""
        if stop_after is not None:
            data, status = self.packets_of(text)[0]
            await self.send(encode(Op.DECODE_DATA, data, status, DECODER)[:stop_after], chunk=chunk)
            return False
        for data, status in self.packets_of(text):
            if not await self._deliver(data, status, chunk):
                return False
        return True

    async def send(self, data: bytes, *, chunk: int | None = None) -> None:
        """Send any bytes."""
        if self._lost():
            return
        step = chunk or max(1, len(data))
        kept = self._as_read(data)
        for start in range(0, len(kept), step):
            await self.port.send(kept[start : start + step])
            await asyncio.sleep(0)

    async def hear(self, *commands: int) -> None:
        """Wait until these commands have been carried out, in this order, with others between them or not."""
        while not _within(commands, [op for op, _ in self.heard]):
            self._news.clear()
            await self._news.wait()

    async def _deliver(self, data: bytes, status: int, chunk: int | None) -> bool:
        """Send a packet until it is acknowledged, as often as a scanner does."""
        before = self.acked
        for attempt in range(TRIES):
            naked = self.naked
            again = Status.RETRANSMIT if attempt else 0
            await self.send(encode(Op.DECODE_DATA, data, status | again, DECODER), chunk=chunk)
            try:
                async with asyncio.timeout(self.setting.response_s):
                    while self.acked == before and self.naked == naked and self.port.plugged:
                        self._news.clear()
                        await self._news.wait()
            except TimeoutError:
                continue
            if self.acked > before or not self.port.plugged:
                break
        return self.acked > before

    def _lost(self) -> bool:
        self._carried += 1
        return self.setting.lose(self._carried)

    def _as_read(self, data: bytes) -> bytes:
        """What the other side reads, if it reads at another speed."""
        if self.port.speed in {0, self.setting.speed}:
            return data
        return bytes(_misread(one) for one in data)

    def _hear(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        now_ns = int(loop.time() * 1e9)
        deadline_ns = self._packets.deadline_ns
        heard: list[Packet | Garbled] = []
        if deadline_ns is not None and now_ns >= deadline_ns:
            heard += self._packets.quiet(now_ns)
        heard += self._packets.feed(self._as_read(data), now_ns)
        for one in heard:
            if isinstance(one, Packet) and not self.setting.silent and not self._lost():
                self._carry_out(one)
        self._news.set()

    def _carry_out(self, packet: Packet) -> None:
        match packet.op:
            case Op.CMD_ACK:
                self.acked += 1
                return
            case Op.CMD_NAK:
                self.naked += 1
                return
            case Op.LED_ON:
                self.lit |= packet.data[0]
            case Op.LED_OFF:
                self.lit &= ~packet.data[0]
            case Op.SCAN_ENABLE | Op.SCAN_DISABLE:
                self.enabled = packet.op == Op.SCAN_ENABLE
        self.heard.append((packet.op, packet.data))
        del self.heard[:-HEARD_MAX]
        if packet.op in self.setting.refuses:
            self._answer(Op.CMD_NAK, bytes([Nak.DENIED]))
        elif packet.op == Op.REQUEST_REVISION:
            self._answer(Op.REPLY_REVISION, REVISION)
        else:
            self._answer(Op.CMD_ACK)

    def _answer(self, op: int, data: bytes = b"") -> None:
        task = asyncio.ensure_future(self.send(encode(op, data, source=DECODER)))
        self._to_send.add(task)
        task.add_done_callback(self._to_send.discard)


def _misread(one: int) -> int:
    """What a receiver at another speed makes of a byte: another one, with bits set that were stop bits."""
    return (one * 5 + 0x83) & 0xFF | 0x80


def _within(wanted: tuple[int, ...], heard: list[int]) -> bool:
    rest = iter(heard)
    return all(one in rest for one in wanted)
