"""Snapshots: a list file as it is published. Compressed, encrypted in chunks, named by what it is.

    0   4   magic "GHS0"
    4   4   event group, u32
    8   8   key: first 8 bytes of SHA-256 of "gatehouse list secret 0" and the list secret
   16  32   content: HMAC-SHA256 by the list secret over the SHA-256 of the list file
   48   8   size of the compressed list, u64
   56   4   number of chunks, u32
   60       chunks: 64 KiB of the zstd frame each, the last one less, and the 16-byte tag

Chunks are ChaCha20-Poly1305 (RFC 8439) with the chunk's number as nonce and the whole header as associated data, so none
can be moved, left out, or taken from another snapshot. Each snapshot has a key of its own: HKDF-SHA256 of the list secret
with `content` as salt. So the same list makes the same file, and no nonce serves two lists.

Its name is the SHA-256 of all of it, in hex: it may lie with anybody, who can neither read nor alter it. Both ways are
streams; what is unpacked is only believed once the list's own signature holds (`sync.wire.lists`).
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync.wire.gate_keys import RollAsked
from sync.wire.lists import LIST_BYTES_MAX
from sync.wire.messages import is_signed

MAGIC = b"GHS0"
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
LEVEL = 3
"""zstd's own default: a million rows take 0.2 s, and the highest level saves only a tenth."""
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""A frame may ask for far more memory than its content has; level 3 asks for 2 MiB."""
SNAPSHOT_BYTES_MAX = 512 * 1024 * 1024
ADDRESS_CHARS = 64
SIGNATURE_BYTES = 64

_HEADER = struct.Struct(">4sI8s32sQI")
HEADER_BYTES = _HEADER.size
_KEY_NAME = b"gatehouse list secret 0"
_INFO = b"gatehouse snapshot 0"
_ANNOUNCED = b"gatehouse announced 0\n"


class SnapshotRefused(ValueError):
    """A snapshot that must not be used. `code` for the journal; the text for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Published(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot as it is announced. `address`: lower-case hex; `tag`: of the list inside (`lists.version_tag`)."""

    address: str
    size: int
    tag: str


class Announced(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot as the centre announces it to whoever meets it. `made_at_s`: by the centre's clock.

    Signed by the list key (`announce`), so anybody may carry it on: whoever has the snapshot offers it with this.
    """

    group: int
    published: Published
    made_at_s: int


class AnnouncedRefused(ValueError):
    """Bytes that announce no snapshot of this group in this venue's name."""


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """What a gate is told of its list, proved by the time key as every answer is.

    `closed`: the group is over; the gate forgets list and secrets. Then there is no snapshot and no secrets.
    """

    group: int
    snapshot: Published | None
    seals: tuple[bytes, ...]
    """Of every event (`sync.wire.seals`)."""
    secrets: bytes
    """Sealed to this gate (`sync.wire.sealed`)."""
    closed: bool = False
    keys_number: int = 0
    """Of the newest key document; the gate asks for one newer than its own."""
    roster_version: int = 0
    roll: RollAsked | None = None
    """The gate is asked for new keys of its own (`sync.wire.gate_keys`)."""
    announced: bytes = b""
    """The snapshot as its neighbours may be told of it (`Announced`, signed)."""


def is_address(text: str) -> bool:
    """Whether a text can name a snapshot; nothing else may become part of a path."""
    return len(text) == ADDRESS_CHARS and all(digit in "0123456789abcdef" for digit in text)


def announce(announced: Announced, key: Ed25519PrivateKey) -> bytes:
    """Return an announcement as it travels, signed by the list key."""
    body = msgspec.msgpack.encode(announced)
    return body + key.sign(_ANNOUNCED + body)


def read_announced(data: bytes, key: Ed25519PublicKey, group: int) -> Announced:
    """Return what is announced. AnnouncedRefused for anything that the list key did not sign, or of another group."""
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    if not is_signed(key, signature, _ANNOUNCED + body):
        raise AnnouncedRefused("the snapshot is not announced by this venue's list key")
    try:
        found = msgspec.msgpack.decode(body, type=Announced)
    except msgspec.DecodeError as error:
        raise AnnouncedRefused("the snapshot was announced by another version of the centre") from error
    if found.group != group:
        raise AnnouncedRefused("the snapshot is of another event group")
    return found


def write_snapshot(listed: BinaryIO, out: BinaryIO, room: BinaryIO, group: int, secret: bytes) -> str:
    """Publish a list file; returns the address. `room`: an empty file for what is compressed meanwhile."""
    content, packed = hashlib.sha256(), zstandard.ZstdCompressor(level=LEVEL).compressobj()
    listed.seek(0)
    while part := listed.read(CHUNK_BYTES):
        content.update(part)
        room.write(packed.compress(part))
    room.write(packed.flush())
    size = room.tell()
    room.seek(0)
    count = -(-size // CHUNK_BYTES)
    named = hmac.digest(secret, content.digest(), "sha256")
    header = _HEADER.pack(MAGIC, group, _key_name(secret), named, size, count)
    cipher, address = _cipher(secret, named), hashlib.sha256(header)
    out.write(header)
    for number in range(count):
        chunk = cipher.encrypt(_nonce(number), room.read(CHUNK_BYTES), header)
        address.update(chunk)
        out.write(chunk)
    return address.hexdigest()


def is_made_with(secret: bytes, head: bytes) -> bool:
    """Whether a snapshot that begins with `head`, at least 16 bytes, is encrypted with this list secret."""
    return len(head) >= 16 and head[8:16] == _key_name(secret)


def read_snapshot(snapshot: BinaryIO, listed: BinaryIO, group: int, secret: bytes) -> None:
    """Decrypt and unpack a snapshot into `listed`, an empty file, piece by piece. SnapshotRefused.

    What is in `listed` then is what a holder of the list secret packed, not yet what the centre signed.
    """
    size = snapshot.seek(0, os.SEEK_END)
    snapshot.seek(0)
    header = snapshot.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise SnapshotRefused("snapshot.malformed", "this is no snapshot, or one of another version")
    _, of_group, key_name, content, packed_bytes, count = _HEADER.unpack(header)
    if of_group != group:
        raise SnapshotRefused("snapshot.wrong_group", "the snapshot is of another event group")
    if key_name != _key_name(secret):
        raise SnapshotRefused(
            "snapshot.foreign_key", "the snapshot is encrypted with a key that this gate does not have"
        )
    if packed_bytes > SNAPSHOT_BYTES_MAX or count != -(-packed_bytes // CHUNK_BYTES):
        raise SnapshotRefused("snapshot.malformed", "the snapshot's header contradicts itself")
    if size != HEADER_BYTES + packed_bytes + count * TAG_BYTES:
        raise SnapshotRefused("snapshot.cut", "the snapshot has another length than its header says")
    chunks = _Chunks(snapshot, _cipher(secret, content), header, packed_bytes)
    digest = hashlib.sha256()
    for part in _unpacked(chunks):
        digest.update(part)
        listed.write(part)
    if chunks.left or not hmac.compare_digest(hmac.digest(secret, digest.digest(), "sha256"), content):
        raise SnapshotRefused("snapshot.altered", "the snapshot holds something else than its header says")


def _unpacked(chunks: "_Chunks") -> Iterator[bytes]:
    left = LIST_BYTES_MAX
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(
            chunks,  # type: ignore[arg-type]  # `read` is all that zstandard asks of a source
            CHUNK_BYTES,
            closefd=False,
        ) as stream:
            while part := stream.read(min(left, CHUNK_BYTES)):
                left -= len(part)
                yield part
            if not left:
                raise SnapshotRefused("snapshot.malformed", "the list inside is larger than a gate takes")
    except zstandard.ZstdError as error:
        raise SnapshotRefused("snapshot.malformed", f"the snapshot cannot be unpacked: {error}") from error


class _Chunks:
    """Reads as a file of what the chunks hold; each is proved before any of it is given."""

    def __init__(self, file: BinaryIO, cipher: ChaCha20Poly1305, header: bytes, packed_bytes: int) -> None:
        self._file = file
        self._cipher = cipher
        self._header = header
        self._number = 0
        self.left = packed_bytes
        """Bytes of chunks not yet opened."""

    def read(self, _size: int = -1) -> bytes:
        """Return the next chunk, whatever was asked for; empty after the last."""
        if not self.left:
            return b""
        held = min(CHUNK_BYTES, self.left)
        sealed = self._file.read(held + TAG_BYTES)
        try:
            chunk = self._cipher.decrypt(_nonce(self._number), sealed, self._header)
        except (InvalidTag, ValueError) as error:  # ValueError: shorter than a tag
            raise SnapshotRefused(
                "snapshot.altered", f"chunk {self._number} of the snapshot was altered"
            ) from error
        self._number += 1
        self.left -= held
        return chunk


def _key_name(secret: bytes) -> bytes:
    return hashlib.sha256(_KEY_NAME + secret).digest()[:8]


def _cipher(secret: bytes, content: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, content, _INFO).derive(secret))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
