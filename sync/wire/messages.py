"""What gates and centre say to each other over HTTP. JSON for people and enrolment, MessagePack for records.

Every request of an enrolled gate is signed with its key, not carried by a bearer token that a thief could reuse:

    Gatehouse-Gate: 7
    Gatehouse-Nonce: 32 hex digits, fresh for each request
    Gatehouse-Time: unix seconds by the gate's clock, at most 5 min off the centre's
    Gatehouse-Signature: base64, Ed25519 over `request_text(...)`

A request heard earlier is too old to be played again. A wrong clock locks no gate out: every 401 carries the time, signed
for the request's nonce, and the gate signs again with that. Every other answer to a signed request is proved:

    Gatehouse-Proof: base64, Ed25519 by the centre's time key over `answer_text(...)`

So nobody between them can say "nothing new" or "I have your records" in the centre's name.

| method and path | body | answer |
|---|---|---|
| POST /api/v1/gate/enrol | `Enrol` JSON, unsigned, carries the one-time code | `Enrolled` JSON |
| GET /api/v1/gate/manifest … | | see `sync.gates.published`: lists, keys, roster, certificates |
| GET /api/v1/gate/time?nonce=… | unsigned | `SignedTime` JSON |
| POST /api/v1/gate/records | `Push` MessagePack, zstd | `Pushed` MessagePack |
| GET /api/v1/gate/have | | `Pushed` MessagePack: what the centre holds of this gate |
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from admission.records import SEQ_MAX, is_of_people

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes of anybody: also for names that are no UTF-8, and for nesting without end."""

PUSH_BYTES_MAX = 4 * 1024 * 1024
"""Largest request body after decompression: 36,000 scans go up in a few of these."""
PUSH_RECORDS_MAX = 10_000
CHUNKS_MAX = 256
"""Epochs in one push. A gate that restarts in a loop makes many short ones."""
NONCE_BYTES = 16
CLOCK_OFF_MAX_S = 300
"""How far a request's time may be off: a clock that drifts is no trouble, a request of yesterday is."""
PROOF_HEADER = "Gatehouse-Proof"
WRONG_TIME = "wrong_time"
"""Title of the 401 for a request that is signed well but too old or too new."""
CODE_CHARS = 8
"""A one-time enrolment code: Crockford base32, 40 bits, 15 min, few tries."""

CODE_MINUTES = 15
CODE_TRIES = 10
"""Uses of a code without the proof, until it is void. Codes that are none are only paced: 5/s of 2^40 find nothing."""
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: nothing that is read wrongly off a screen or over the phone."""
TROUBLES = ("fork", "rewind", "gap", "altered", "malformed", "foreign", "unsigned")

Gate32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Epoch64 = Annotated[int, msgspec.Meta(ge=0)]
"""MessagePack itself ends at 2^64 - 1, and msgspec takes no bound above 2^63."""
Seq32 = Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]

_REQUEST = b"gatehouse request 0\n"
_ENROL = b"gatehouse enrol 0\n"
_ANSWER = b"gatehouse answer 0\n"
_TIME = b"gatehouse time 0\n"
_KEYS = b"gatehouse keys 0\n"


class Enrol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A box asks to belong. `proof`: its signing key over code and both public keys, so that it holds what it shows."""

    code: str
    name: str
    public: bytes
    sealing: bytes
    proof: bytes

    def text(self) -> bytes:
        """What `proof` signs."""
        return enrol_text(self.code, self.public, self.sealing)


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's other keys, signed by the centre's identity key (`sync.wire.rotation`)."""

    identity: bytes
    lists: bytes
    time: bytes
    issued_at_s: int
    number: int = 0
    """Rises whenever a key is rolled; a gate goes by the highest it has seen."""
    successor: bytes = b""
    """The identity after this one; gates pin both."""
    roster: bytes = b""


class SignedKeys(msgspec.Struct, frozen=True):
    """A `KeyDocument` in JSON; `signature` by `identity` over it."""

    identity: bytes
    document: bytes
    signature: bytes


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """The centre's answer. `document` is a `KeyDocument` in JSON; `signature` by `identity` over it."""

    gate: int
    name: str
    group: int
    identity: bytes
    document: bytes
    signature: bytes


class Certified(msgspec.Struct, frozen=True, array_like=True):
    """A certificate for a gate's page: PEM chain, and until when it is good, unix seconds."""

    chain: bytes
    until_s: int


class SignedTime(msgspec.Struct, frozen=True, kw_only=True):
    """The centre's time, signed for the asker's nonce: an old answer proves nothing."""

    nonce: str
    time_s: int
    signature: bytes


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """Records of one epoch in order, from `first_seq` on.

    `link`: what the sender's log ends in before them (`admission.chain`), so that the receiver sees on which of two
    branches they stand; may be empty where `first_seq` is 1.
    """

    gate: Gate32
    epoch: Epoch64
    first_seq: Seq32
    blobs: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=PUSH_RECORDS_MAX)]
    link: bytes = b""


def of_people(chunks: Iterable[Chunk]) -> bool:
    """Whether any record of these tells of somebody at a lane, or of what staff did."""
    return any(is_of_people(blob) for one in chunks for blob in one.blobs)


class Push(msgspec.Struct, frozen=True, array_like=True):
    """Records on their way up (or to a peer)."""

    chunks: Annotated[tuple[Chunk, ...], msgspec.Meta(max_length=CHUNKS_MAX)]


class Held(msgspec.Struct, frozen=True, array_like=True):
    """What one side holds of one log: everything up to `seq`, whose link is `link`."""

    gate: int
    epoch: int
    seq: int
    link: bytes


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """What was wrong with a chunk. `what` is one of `TROUBLES`.

    `fork`: other bytes of the same log are held; those sent were kept beside them, up to `seq`. `gap`: `seq` is what
    was expected. Else `seq` is the first record that was not taken; an epoch as a whole is in trouble with `seq` 0.
    """

    gate: int
    epoch: int
    seq: int
    what: str


class Pushed(msgspec.Struct, frozen=True, array_like=True):
    """What the receiver holds now; the sender goes on from there. Sent again, the same push changes nothing."""

    held: tuple[Held, ...]
    troubles: tuple[Trouble, ...] = ()


def plain_code(typed: str) -> str:
    """Return an enrolment code as it is signed and hashed, from the way people type it (Crockford's rules)."""
    kept = "".join(typed.split()).replace("-", "").upper()
    return kept.translate(str.maketrans("OIL", "011"))


def fingerprint_of(identity: bytes) -> str:
    """Return a public key as people compare it: 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(identity).hexdigest()[:32]


def request_text(method: str, target: str, body: bytes, nonce: str, time_s: int) -> bytes:
    """Return what a gate signs of a request. `target` is path and query as sent."""
    digest = hashlib.sha256(body).hexdigest()
    return _REQUEST + "\n".join((method, target, digest, nonce, str(time_s))).encode()


def answer_text(nonce: str, status: int, tag: str, digest: bytes) -> bytes:
    """Return what the centre signs of an answer: for whom, HTTP status, ETag ("" without one), SHA-256 of the body."""
    text = "\n".join((nonce, str(status), tag, digest.hex()))
    return _ANSWER + text.encode(
        errors="surrogateescape"
    )  # a tag of anybody's: any bytes, as aiohttp reads them


def enrol_text(code: str, public: bytes, sealing: bytes) -> bytes:
    """Return what a box signs to prove that it holds the keys it shows."""
    return _ENROL + code.encode() + b"\n" + public + sealing


def sign_time(key: Ed25519PrivateKey, nonce: str, time_s: int) -> SignedTime:
    """Sign the time for a nonce."""
    return SignedTime(nonce=nonce, time_s=time_s, signature=key.sign(_time_text(nonce, time_s)))


def time_is_genuine(key: Ed25519PublicKey, answer: SignedTime, nonce: str) -> bool:
    """Whether the centre signed this time for our nonce."""
    return answer.nonce == nonce and is_signed(key, answer.signature, _time_text(nonce, answer.time_s))


def sign_keys(identity: Ed25519PrivateKey, document: bytes) -> bytes:
    """Sign an encoded key document."""
    return identity.sign(_KEYS + document)


def keys_are_genuine(identity: Ed25519PublicKey, document: bytes, signature: bytes) -> bool:
    """Whether the pinned identity signed this key document."""
    return is_signed(identity, signature, _KEYS + document)


def is_signed(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    """Whether `key` made `signature` over `text`."""
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _time_text(nonce: str, time_s: int) -> bytes:
    return _TIME + f"{nonce}\n{time_s}".encode()
