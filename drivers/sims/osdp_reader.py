"""OSDP readers on one RS-485 bus, the devices' side (PD), secure channel and all; not made of what the driver is made of.

Written from IEC 60839-11-5 and held to the examples in Annex E of the SIA specification, so that it shares no mistake with the
library that drives the host's side.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.sims.ports import SimPort

SCBK_D: Final = bytes(range(0x30, 0x40))
"""The key that every reader has before it is given one; it is printed in the specification."""

LED, BUZ, KEYSET, CHLNG, SCRYPT = 0x69, 0x6A, 0x75, 0x76, 0x77
ACK, NAK, PDID, PDCAP, LSTATR, RAW, CCRYPT, RMAC_I = 0x40, 0x41, 0x45, 0x46, 0x48, 0x50, 0x76, 0x78
_SOM: Final = 0x53
_BLOCK: Final = 16
_CRC, _SCB = 0x04, 0x08
HEARD_MAX: Final = 256
FOR_ALL: Final = 0x7F


def crc(data: bytes) -> bytes:
    """CRC-16 of polynomial 1021 from 1D0F, low byte first (Annex C)."""
    value = 0x1D0F
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value.to_bytes(2, "little")


def ecb(key: bytes, block: bytes) -> bytes:
    """AES-128 of one block."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - as Annex D says: single blocks
    return encryptor.update(block)


def session_keys(scbk: bytes, cp_random: bytes) -> tuple[bytes, bytes, bytes]:
    """S-ENC, S-MAC1 and S-MAC2 (Annex D)."""
    e, m1, m2 = (ecb(scbk, bytes((1, one)) + cp_random[:6] + bytes(8)) for one in (0x82, 0x01, 0x02))
    return e, m1, m2


def mac(keys: tuple[bytes, bytes], start: bytes, message: bytes) -> bytes:
    """CBC with S-MAC1, of the last block with S-MAC2; padded by 80 00 … where it is not whole."""
    if not message or len(message) % _BLOCK:
        message += b"\x80" + bytes(-(len(message) + 1) % _BLOCK)
    for at in range(0, len(message), _BLOCK):
        key = keys[1] if at + _BLOCK == len(message) else keys[0]
        start = ecb(key, bytes(a ^ b for a, b in zip(message[at : at + _BLOCK], start, strict=True)))
    return start


@dataclass(slots=True)
class _Channel:
    """A secure channel: its keys, and the last MAC either way."""

    enc: bytes
    mac_keys: tuple[bytes, bytes]
    cp_cryptogram: bytes
    r_mac: bytes = b""
    c_mac: bytes = b""

    def cbc(self, start: bytes) -> "Cipher[modes.CBC]":
        """AES-CBC from the inverse of the other side's last MAC."""
        return Cipher(algorithms.AES(self.enc), modes.CBC(bytes(0xFF ^ one for one in start)))


@dataclass(slots=True)
class OsdpDevice:
    """One reader. `scbk`: its key; `heard`: commands with their data, after decryption. `silent`: it answers nothing.

    `pdid`, `abilities`: what it says of itself. `names_itself`: to a message for all it answers by its own address, as some do; the standard has
    it answer by that for all.
    `damaged(n)`: whether its nth answer is damaged on the wire. `cards`: replies that wait for the next poll; `taken`: how many
    of them the host has, since it went on to another message.
    """

    address: int
    scbk: bytes
    silent: bool = False
    damaged: Callable[[int], bool] = lambda _number: False
    random: Callable[[], bytes] = lambda: os.urandom(8)
    pdid: bytes = bytes.fromhex("CAFE00 01 02 78563412 010203")
    abilities: bytes = bytes.fromhex("030101 040401 050201 080100 090101 100001")
    names_itself: bool = False
    heard: list[tuple[int, bytes]] = field(default_factory=list)
    cards: list[bytes] = field(default_factory=list)
    secured: bool = False
    answered: int = 0
    taken: int = 0
    _given: bool = False
    _pending: _Channel | None = None
    _channel: _Channel | None = None
    _seq: int = 0
    _last: bytes = b""
    _as: int = 0

    def card(self, bits: str, *, kind: int = 1) -> None:
        """A card is held to it: reader 0, raw data of so many bits (`kind` 1: Wiegand with its parity, 0: unspecified)."""
        size = -(-len(bits) // 8)
        data = int(bits.ljust(size * 8, "0"), 2).to_bytes(size, "big")
        self.cards.append(bytes((0, kind)) + len(bits).to_bytes(2, "little") + data)

    def answer(self, frame: bytes) -> bytes:
        """Return the answer to a frame that is for it, b"" for none."""
        if self.silent:
            return b""
        control = frame[4]
        seq = control & 0x03
        self._as = self.address if self.names_itself else frame[1]
        if not (seq and seq == self._seq and self._last):  # else it is asked again
            self._seq = seq
            self.taken += self._given
            self._given = False
            if not seq:
                self._channel, self.secured = None, False
            self._last = self._frame(seq, *self._heard(frame, control))
        self.answered += 1
        if self.damaged(self.answered):
            return self._last[:-1] + bytes((self._last[-1] ^ 0x55,))
        return self._last

    def _heard(self, frame: bytes, control: int) -> tuple[int, bytes, bytes]:
        """Reply, its data, and its security block during the handshake."""
        body = frame[5:-2]
        block = body[: body[0]] if control & _SCB else b""
        body = body[len(block) :]
        kind = block[1] if block else 0
        if self._channel is not None and kind >= 0x15:
            said = self._open(self._channel, frame, kind, body)
        elif self._channel is None and kind < 0x15:
            said = (body[0], body[1:])
        else:
            said = None
        if said is None:  # a security block that does not fit, or a MAC that is not right
            self._channel, self.secured = None, False
            return NAK, b"\x06", b""
        self.heard.append(said)
        del self.heard[:-HEARD_MAX]
        return self._reply(*said, block)

    @staticmethod
    def _open(channel: _Channel, frame: bytes, kind: int, body: bytes) -> tuple[int, bytes] | None:
        """Check a frame's MAC and decrypt it; None where it is not from who has the key."""
        made = mac(channel.mac_keys, channel.r_mac, frame[:-6])
        if made[:4] != frame[-6:-2]:
            return None
        data = body[1:-4]
        if kind == 0x17:
            decryptor = channel.cbc(channel.r_mac).decryptor()
            data = (decryptor.update(data) + decryptor.finalize()).rstrip(b"\0")[:-1]
        channel.c_mac = made
        return body[0], data

    def _reply(self, command: int, data: bytes, block: bytes) -> tuple[int, bytes, bytes]:
        match command:
            case 0x61:
                return PDID, self.pdid, b""
            case 0x62:
                return PDCAP, self.abilities, b""
            case 0x64:
                return LSTATR, b"\0\0", b""
            case 0x76:
                return self._challenged(data, block)
            case 0x77:
                return self._proven(data)
            case 0x75:
                self.scbk = data[2:18]
                return ACK, b"", b""
            case 0x60 if self.cards and self._channel is not None:
                self._given = True
                return RAW, self.cards.pop(0), b""
            case 0x60 | 0x69 | 0x6A:
                return ACK, b"", b""
        return NAK, b"\x03", b""

    def _challenged(self, cp_random: bytes, block: bytes) -> tuple[int, bytes, bytes]:
        if block[2] == 0 and self.scbk != SCBK_D:
            return NAK, b"\x06", b""  # it has a key of its own
        enc, *mac_keys = session_keys(self.scbk if block[2] else SCBK_D, cp_random)
        pd_random = self.random()
        self._pending = _Channel(enc, (mac_keys[0], mac_keys[1]), ecb(enc, pd_random + cp_random))
        cuid = bytes.fromhex("CAFE0001 12345678")
        return CCRYPT, cuid + pd_random + ecb(enc, cp_random + pd_random), bytes((3, 0x12, block[2]))

    def _proven(self, cryptogram: bytes) -> tuple[int, bytes, bytes]:
        channel, self._pending = self._pending, None
        if channel is None or channel.cp_cryptogram != cryptogram:
            return NAK, b"\x06", b""
        first, second = channel.mac_keys
        channel.r_mac = ecb(second, ecb(first, cryptogram))
        self._channel = channel
        return RMAC_I, channel.r_mac, bytes((3, 0x14, 1))

    def _frame(self, seq: int, reply: int, data: bytes, block: bytes) -> bytes:
        channel = self._channel if not block and self._channel is not None else None
        if channel is not None:
            block = bytes((2, 0x18 if data else 0x16))
            if data:
                padded = data + b"\x80" + bytes(-(len(data) + 1) % _BLOCK)
                encryptor = channel.cbc(channel.c_mac).encryptor()
                data = encryptor.update(padded) + encryptor.finalize()
        body = block + bytes((reply,)) + data
        size = 5 + len(body) + (0 if channel is None else 4) + 2
        control = seq | _CRC | (_SCB if block else 0)
        frame = bytes((_SOM, self._as | 0x80)) + size.to_bytes(2, "little") + bytes((control,)) + body
        if channel is not None:
            channel.r_mac = mac(channel.mac_keys, channel.c_mac, frame)
            frame += channel.r_mac[:4]
            self.secured = True
        return frame + crc(frame)


class OsdpBus:
    """A bus with readers on it, at one simulated port.

    `chunk`: bytes written at once; `stop_after`: where the next answer with a card is cut. `lost`: whether the next message, either
    way, goes lost. `speed`: the only one that its readers hear, as termios numbers it; 0 for whatever the host sets. `twins`: readers with
    an address that another one has: they answer at once, and nobody understands either.
    """

    def __init__(self, link: Path, *devices: OsdpDevice) -> None:
        self.port = SimPort(link, self._hear)
        self.devices = {one.address: one for one in devices}
        self.twins: list[OsdpDevice] = []
        self.speed = 0
        self.chunk = 4096
        self.stop_after = -1
        self.lost: Callable[[], bool] = lambda: False
        self._buffer = b""
        self._sending: set[asyncio.Task[None]] = set()

    def _hear(self, data: bytes) -> None:
        self._buffer += data
        while True:
            start = self._buffer.find(bytes((_SOM,)))
            self._buffer = self._buffer[start:] if start >= 0 else b""
            size = int.from_bytes(self._buffer[2:4], "little")
            if len(self._buffer) < 5 or len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[: max(size, 1)], self._buffer[max(size, 1) :]
            spoken_to = self._spoken_to(frame[1]) if size > 7 else []
            if spoken_to and crc(frame[:-2]) == frame[-2:] and not self.lost():
                cards = sum(len(one.cards) for one in spoken_to)
                answer = _at_once([one.answer(frame) for one in spoken_to])
                if self.stop_after >= 0 and sum(len(one.cards) for one in spoken_to) < cards:
                    answer, self.stop_after = answer[: self.stop_after], -1
                if self.lost():
                    continue
                task = asyncio.ensure_future(self._send(answer))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    def _spoken_to(self, address: int) -> list[OsdpDevice]:
        """Return who hears a message: of a wrong speed nobody, of the one for all everybody."""
        if self.speed not in {0, self.port.speed}:
            return []
        there = (*self.devices.values(), *self.twins)
        return [one for one in there if address in {one.address, FOR_ALL}]

    async def _send(self, data: bytes) -> None:
        for at in range(0, len(data), self.chunk):
            await self.port.send(data[at : at + self.chunk])
            await asyncio.sleep(0)


def _at_once(answers: list[bytes]) -> bytes:
    """What a wire carries while several answer, each a byte later than the one before it."""
    said = [bytes(at) + one for at, one in enumerate(one for one in answers if one)]
    if len(said) < 2:
        return said[0] if said else b""
    size = max(len(one) for one in said)
    return bytes(_mixed(one[at] for one in said if at < len(one)) for at in range(size))


def _mixed(values: Iterable[int]) -> int:
    mixed = 0
    for one in values:
        mixed ^= one
    return mixed
