"""What hostile visitors hold before a reader: lines that nobody should send, made from a seed."""

import base64
import random
from collections.abc import Callable, Iterator
from functools import cache

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import cose
from admission.keys import kid_of
from drivers.base import SCAN_BYTES_MAX
from tests.edge.rig import EVENT, PRODUCT, TICKET_KEY

STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
"""A key that no list names."""
WORDS = (
    b"'; DROP TABLE credential; --", b'" OR 1=1 --', b"$(reboot)", b"`rm -rf /`", b"; shutdown -h now", b"../../etc/passwd",
    b"<script>alert(1)</script>", b"%s%s%n", b"{{7*7}}", b"=cmd|' /C calc'!A0", b"\x1b[2J\x1b[H", b"\x1b@\x1dV0",
    b"+++ATH0", b"AT+CFUN=0", b"]Q1", b"]C1", b"]", b"TK1", b"tk1a", b"eyJhbGciOiJub25lIn0.e30.", b"eyJ.eyJ.eyJ",
    b"A" * 64, b"0" * 14, b"04A1B2C3D4E5F6", b"-1", b"18446744073709551616", b"1e400", b"NaN", b"\xef\xbb\xbfTK1",
    "９９９".encode(), "\u202eTK1".encode(), b"\xc3", b"\xf0\x9f\x98", b"\xff\xfe", b"\xed\xa0\x80",
)  # fmt: skip
"""Texts for shells, databases, printers, modems, spreadsheets and decoders; half and forbidden UTF-8."""
BOMBS = (
    b"\x9b\x7f" + b"\xff" * 7,  # an array of 2^63 items
    b"\xbb\x7f" + b"\xff" * 7,  # a map of as many
    b"\x5b\x7f" + b"\xff" * 7,  # a string of as many bytes
    b"\x81" * 400,  # 400 arrays in each other
    b"\xa1\x01" * 300,  # 300 maps in each other
    b"\x9f" * 300,  # never ending ones
    b"\xd8\x1c" * 100,  # shared values, to make cycles
    b"\xc2\x58\xff" + b"\xff" * 255,  # a number of 2040 bits
    b"\xa1\x1a\x00\x01\x11\x70\x82" + b"\x9a\xff\xff\xff\xff" * 2,
    b"\xfb\x7f\xf8" + bytes(6),  # not a number
    b"\xa2\x07\x41\x01\x07\x41\x02",  # a key twice
)


def signed(payload: bytes, key: Ed25519PrivateKey = TICKET_KEY) -> bytes:
    """A TK1 text around any payload, with a signature that is good."""
    protected = cbor2.dumps({1: -8, 4: kid_of(key.public_key().public_bytes_raw())})
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return base32(cbor2.dumps([protected, {}, payload, signature]))


def base32(raw: bytes) -> bytes:
    return b"TK1" + base64.b32encode(raw).rstrip(b"=")


@cache
def tickets() -> tuple[bytes, ...]:
    """Tickets as forgers and latecomers have them: with good signatures, and with strangers'."""
    claims = [
        cose.Claims(ticket=n, event=event, issued_at=1_790_000_000, product=PRODUCT, not_after=until)
        for n in range(1, 9)
        for event in (EVENT, 2)
        for until in (0, 1_500_000_000)
    ]
    good = [cose.mint(one, TICKET_KEY).encode() for one in claims]
    strange = [cose.mint(one, STRANGER).encode() for one in claims]
    bombs = [signed(bomb) for bomb in BOMBS] + [base32(bomb) for bomb in BOMBS]
    return tuple(good + strange + bombs)


def _noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, 8, 40, 200, 600)))


def _controls(chance: random.Random) -> bytes:
    return bytes(chance.choice(b"\0\1\2\3\4\6\7\t\x0b\x1b\x7f\x80 A") for _ in range(chance.randrange(60)))


def _words(chance: random.Random) -> bytes:
    return b"".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 4)))


def _ticket(chance: random.Random) -> bytes:
    return chance.choice(tickets())


def _tampered(chance: random.Random) -> bytes:
    text = bytearray(_ticket(chance))
    for _ in range(chance.randrange(1, 4)):
        text[chance.randrange(len(text))] = chance.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567a \xff")
    return bytes(text[: chance.choice((len(text), len(text), chance.randrange(len(text))))])


def _spliced(chance: random.Random) -> bytes:
    first, second = _ticket(chance), _ticket(chance)
    return first[: chance.randrange(len(first))] + second[chance.randrange(len(second)) :]


def _long(chance: random.Random) -> bytes:
    return _ticket(chance)[:3] + b"A" * chance.choice((1022, SCAN_BYTES_MAX, SCAN_BYTES_MAX + 1))


def _nested(chance: random.Random) -> bytes:
    return signed(chance.choice(BOMBS)[: chance.randrange(1, 40)] + chance.randbytes(chance.randrange(30)))


def _tokens(chance: random.Random) -> bytes:
    parts = (base64.urlsafe_b64encode(chance.randbytes(chance.randrange(60))).rstrip(b"=") for _ in range(3))
    return chance.choice((b"", b"eyJ")) + b".".join(parts)


def _number(chance: random.Random) -> bytes:
    """A screen that flashes codes: each is another one."""
    return b"%d" % chance.getrandbits(64)


_KINDS: tuple[tuple[Callable[[random.Random], bytes], int], ...] = (
    (_noise, 4), (_controls, 3), (_words, 4), (_ticket, 2), (_tampered, 5), (_spliced, 3), (_long, 1), (_nested, 1),
    (_tokens, 3), (_number, 4),
)  # fmt: skip
_ENDS = (b"\r", b"\n", b"\r\n", b"\n\r", b"\0", b"\x03", b"\r\r\n", b"")


def lines(count: int, seed: int) -> Iterator[bytes]:
    """Yield hostile lines with their terminators, of which some are missing."""
    chance = random.Random(seed)
    kinds, weights = zip(*_KINDS, strict=True)
    for kind in chance.choices(kinds, weights, k=count):
        yield kind(chance) + chance.choice(_ENDS)


def flashing(count: int, seed: int) -> Iterator[bytes]:
    """Yield codes that no list knows, each another one, as a screen that flashes them."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _number(chance) + b"\r"
