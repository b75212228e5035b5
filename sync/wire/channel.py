"""The channel between two gates: both prove their keys of the roster, and nobody between them reads, alters or repeats.

A SIGMA-I handshake (Krawczyk, SIGMA: the SIGn-and-MAc approach, 2003), then frames. Sans I/O: bytes in, messages and
bytes out. Who dials is the initiator:

    Hello   initiator   magic "GHP0", group u32, ephemeral X25519 key, knock 16 B                               56 bytes
    Reply   responder   ephemeral X25519 key, then sealed: gate u32, Ed25519 signature, the stamp of its roster
    Finish  initiator   sealed: gate u32, Ed25519 signature, and its roster where that is newer than the stamp
    frames  both        u32 length of what follows, ChaCha20-Poly1305 ciphertext with tag; the length is authenticated

Reply and Finish have a u32 length in front, too. Keys: HKDF-SHA256 of the X25519 result, the transcript so far as salt;
two for the sealed parts, then two for the frames, one each way, from the whole transcript. A frame's nonce is its number
from 0: one that is left out, repeated, moved or sent back does not open, and nothing comes after it. A signature is over
a label of its role, the transcript so far (version, group and both ephemeral keys in it) and the gate; the initiator's
over the responder's sealed part as well. So no proof serves in the other role, on another connection or in another group.

`knock` is an HMAC by a key that every gate of the group has: a stranger costs one hash, and no key exchange or signature.
It proves nothing else: who was shut out still has it, and is stopped by the roster; paces and caps are the listener's.

A gate that was enrolled a moment ago is in no roster that its neighbours hold while the uplink is down. So an initiator
whose roster is newer sends it along; the responder goes by it only if the roster key signed it.
"""

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from admission.ids import GateId
from sync.wire.messages import is_signed

KEY_BYTES = 32
TAG_BYTES = 16
SIGNATURE_BYTES = 64
KNOCK_BYTES = 16
HELLO_BYTES = 56
ROSTER_SENT_BYTES_MAX = 128 * 1024
"""A roster that is sent along: 600 gates with their lanes, more than share a LAN; who has no key yet can send no more."""
MESSAGE_BYTES_MAX = 1024 * 1024
"""One message: what a stranger with a key can make us hold before we judge it."""
FRAMES_MAX = 2**32
"""Frames under one key; a connection of a century."""

_MAGIC = b"GHP0"
_LABEL = b"gatehouse channel 0"
_HELLO = struct.Struct(f">4sI{KEY_BYTES}s")
_SIZE = struct.Struct(">I")
_GATE = struct.Struct(">I")
_STAMP = struct.Struct(">QQ")
_REPLY_BYTES = KEY_BYTES + _GATE.size + SIGNATURE_BYTES + _STAMP.size + TAG_BYTES
_FINISH_BYTES_MIN = _GATE.size + SIGNATURE_BYTES + TAG_BYTES

RosterStamp = tuple[int, int]
"""Version of a roster and when it was signed: of two, the higher is newer."""


class ChannelRefused(Exception):
    """The other side is not who it must be, or what came was not said by it. Close the connection; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Self:
    """One side of every channel of a gate.

    `knock`: the group's key for knocking. `key_of`: a gate's public key by the roster, None for who is not in it or has
    been revoked. `stamp` and `roster`: the roster held, as signed; `offered` takes one from the other side, if it is
    newer and the roster key signed it. `may_prove` is asked when a stranger knocked well, before anything dear is done.
    """

    group: int
    gate: GateId
    key: Ed25519PrivateKey
    knock: bytes
    key_of: Callable[[GateId], bytes | None]
    stamp: Callable[[], RosterStamp] = lambda: (0, 0)
    roster: Callable[[], bytes] = lambda: b""
    offered: Callable[[bytes], None] = lambda _roster: None
    may_prove: Callable[[], bool] = lambda: True


class _Stage(IntEnum):
    """What is awaited of the other side."""

    HELLO = auto()
    REPLY = auto()
    FINISH = auto()
    FRAMES = auto()
    REFUSED = auto()


class Channel:
    """One side of one connection. `ephemeral`: 32 random bytes, never used again.

    An initiator sends `hello` first. Then `receive` what comes, and send what `to_send` gives after each.
    """

    def __init__(self, own: Self, ephemeral: bytes, *, dials: bool) -> None:
        self.peer: GateId | None = None
        """Who the other side is, once it has proved it."""
        self._own = own
        self._ephemeral = X25519PrivateKey.from_private_bytes(ephemeral)
        self._dials = dials
        self._stage = _Stage.REPLY if dials else _Stage.HELLO
        self._in = bytearray()
        self._out = bytearray()
        self._transcript = b""
        self._shared = b""
        self._hello = b""
        self._seals: _Cipher | None = None
        self._opens: _Cipher | None = None
        if dials:
            self._hello = _hello(own, self._ephemeral.public_key().public_bytes_raw())
            self._out += self._hello

    @property
    def ready(self) -> bool:
        """Whether both sides are proved: messages may be sent."""
        return self._seals is not None

    def to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def seal(self, message: bytes) -> bytes:
        """Return a message as it travels. ValueError for one that is too long, or before `ready`."""
        if self._seals is None or not 1 <= len(message) <= MESSAGE_BYTES_MAX:
            raise ValueError(f"no message of {len(message)} bytes can be sent now")
        size = _SIZE.pack(len(message) + TAG_BYTES)
        return size + self._seals.seal(message, size)

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; return the messages that are whole. ChannelRefused: nothing more comes of it."""
        if self._stage is _Stage.REFUSED:
            raise ChannelRefused("channel.over")
        self._in += data
        messages: list[bytes] = []
        try:
            while (part := self._part()) is not None:
                match self._stage:
                    case _Stage.HELLO:
                        self._take_hello(part)
                    case _Stage.REPLY:
                        self._take_reply(part)
                    case _Stage.FINISH:
                        self._take_finish(part)
                    case _:
                        assert self._opens is not None, "both keys are made together"
                        messages.append(self._opens.open(part, _SIZE.pack(len(part))))
        except ChannelRefused:
            self._stage, self._seals = _Stage.REFUSED, None
            self._in.clear()
            self._out.clear()
            raise
        return messages

    # --- the parts of what comes --------------------------------------------------------------------------------

    def _part(self) -> bytes | None:
        """Take the next whole part from what came. ChannelRefused as soon as its length is none that we send."""
        if self._stage is _Stage.HELLO:
            return self._cut(0, HELLO_BYTES)
        if len(self._in) < _SIZE.size:
            return None
        (size,) = _SIZE.unpack_from(self._in)
        least, most = {
            _Stage.REPLY: (_REPLY_BYTES, _REPLY_BYTES),
            _Stage.FINISH: (_FINISH_BYTES_MIN, _FINISH_BYTES_MIN + ROSTER_SENT_BYTES_MAX),
        }.get(self._stage, (1 + TAG_BYTES, MESSAGE_BYTES_MAX + TAG_BYTES))
        if not least <= size <= most:
            raise ChannelRefused("channel.form")
        return self._cut(_SIZE.size, size)

    def _cut(self, skip: int, size: int) -> bytes | None:
        if len(self._in) < skip + size:
            return None
        part = bytes(self._in[skip : skip + size])
        del self._in[: skip + size]
        return part

    def _take_hello(self, hello: bytes) -> None:
        """Answer who knocks. The cheap questions first."""
        own = self._own
        magic, group, theirs = _HELLO.unpack_from(hello)
        if magic != _MAGIC or group != own.group:
            raise ChannelRefused("channel.form" if magic != _MAGIC else "channel.wrong_group")
        if not hmac.compare_digest(hello[_HELLO.size :], _knock(own.knock, hello[: _HELLO.size])):
            raise ChannelRefused("channel.stranger")
        if not own.may_prove():
            raise ChannelRefused("channel.busy")
        mine = self._ephemeral.public_key().public_bytes_raw()
        self._agree(hello, mine, theirs)
        signature = own.key.sign(_text(b"responder", self._transcript, own.gate))
        sealed = self._sealing(b"responder").seal(
            _GATE.pack(own.gate) + signature + _STAMP.pack(*own.stamp()), self._transcript
        )
        self._transcript = sha256(self._transcript + sealed).digest()
        self._out += _SIZE.pack(KEY_BYTES + len(sealed)) + mine + sealed
        self._stage = _Stage.FINISH

    def _take_reply(self, reply: bytes) -> None:
        """Verify who answered, then prove ourselves."""
        own = self._own
        theirs, sealed = reply[:KEY_BYTES], reply[KEY_BYTES:]
        self._agree(self._hello, theirs, theirs)
        said = self._sealing(b"responder").open(sealed, self._transcript)
        (peer,), signature = _GATE.unpack_from(said), said[_GATE.size : _GATE.size + SIGNATURE_BYTES]
        self._prove(GateId(peer), signature, _text(b"responder", self._transcript, peer))
        stamp = _STAMP.unpack_from(said, _GATE.size + SIGNATURE_BYTES)
        self._transcript = sha256(self._transcript + sealed).digest()
        roster = own.roster() if own.stamp() > stamp else b""
        text = _text(b"initiator", self._transcript, own.gate)
        sealed = self._sealing(b"initiator").seal(
            _GATE.pack(own.gate)
            + own.key.sign(text)
            + (roster if len(roster) <= ROSTER_SENT_BYTES_MAX else b""),
            self._transcript,
        )
        self._out += _SIZE.pack(len(sealed)) + sealed
        self._open_frames(sealed)
        self.peer = GateId(peer)

    def _take_finish(self, sealed: bytes) -> None:
        """Verify who knocked, by its own roster where that is newer and genuine."""
        said = self._sealing(b"initiator").open(sealed, self._transcript)
        (peer,), signature = _GATE.unpack_from(said), said[_GATE.size : _GATE.size + SIGNATURE_BYTES]
        if roster := said[_GATE.size + SIGNATURE_BYTES :]:
            self._own.offered(roster)
        self._prove(GateId(peer), signature, _text(b"initiator", self._transcript, peer))
        self._open_frames(sealed)
        self.peer = GateId(peer)

    # --- keys and proofs ----------------------------------------------------------------------------------------

    def _agree(self, hello: bytes, responder: bytes, theirs: bytes) -> None:
        self._transcript = sha256(_LABEL + b"\n" + hello + responder).digest()
        try:
            self._shared = self._ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError:  # a point of low order has its secret in common with everybody (RFC 7748, 6.1)
            raise ChannelRefused("channel.form") from None

    def _prove(self, peer: GateId, signature: bytes, text: bytes) -> None:
        own = self._own
        if peer == own.gate:  # our own words sent back, or another box with a copy of our card
            raise ChannelRefused("channel.own_key")
        public = own.key_of(peer)
        if public is None:
            raise ChannelRefused("channel.unknown_gate")
        if not is_signed(Ed25519PublicKey.from_public_bytes(public), signature, text):
            raise ChannelRefused("channel.forged")

    def _sealing(self, role: bytes) -> "_Cipher":
        """Return what one role's proof is sealed with; it serves once."""
        return _Cipher(_derive(self._shared, self._transcript, role))

    def _open_frames(self, finish: bytes) -> None:
        whole = sha256(self._transcript + finish).digest()
        out, back = (
            _Cipher(_derive(self._shared, whole, way))
            for way in (b"frames to responder", b"frames to initiator")
        )
        self._seals, self._opens = (out, back) if self._dials else (back, out)
        self._stage, self._shared, self._transcript = _Stage.FRAMES, b"", b""


class _Cipher:
    """One key, one way: each thing sealed has the next number as its nonce."""

    __slots__ = ("_cipher", "_number")

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._number = 0

    def _nonce(self) -> bytes:
        if self._number >= FRAMES_MAX:
            raise ChannelRefused("channel.worn_out")
        self._number += 1
        return (self._number - 1).to_bytes(12, "big")

    def seal(self, text: bytes, beside: bytes) -> bytes:
        """Seal, with what is authenticated beside it."""
        return self._cipher.encrypt(self._nonce(), text, beside)

    def open(self, sealed: bytes, beside: bytes) -> bytes:
        """Open what must have been sealed next."""
        try:
            return self._cipher.decrypt(self._nonce(), sealed, beside)
        except InvalidTag:
            raise ChannelRefused("channel.altered") from None


def knock_key(digest_key: bytes) -> bytes:
    """Return the key for knocking, of the digest key that every gate of a group was given."""
    return HKDF(SHA256(), KEY_BYTES, None, _LABEL + b" knock").derive(digest_key)


def _hello(own: Self, ephemeral: bytes) -> bytes:
    head = _HELLO.pack(_MAGIC, own.group, ephemeral)
    return head + _knock(own.knock, head)


def _knock(key: bytes, head: bytes) -> bytes:
    return hmac.digest(key, _LABEL + b" knock\n" + head, "sha256")[:KNOCK_BYTES]


def _text(role: bytes, transcript: bytes, gate: int) -> bytes:
    """Return what a gate signs in a role."""
    return _LABEL + b" " + role + b"\n" + transcript + _GATE.pack(gate)


def _derive(shared: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, _LABEL + b" " + purpose).derive(shared)


__all__ = ["Channel", "ChannelRefused", "RosterStamp", "Self", "knock_key"]
