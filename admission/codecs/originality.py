"""The signature of a chip's maker over its UID (NXP's originality signature): pure, total on any bytes.

A weak filter: it shows that NXP made a chip with this UID, not that this is the chip. Signatures can be read by anybody, and
there are chips on sale that take a UID and its signature; it keeps out copies whose maker did not care, and no others.

Two kinds. NTAG 21x and Ultralight EV1 (READ_SIG, 32 bytes): ECDSA on secp128r1 (SEC 2, version 1). NTAG 424 DNA and DESFire EV2
(Read_Sig, 56 bytes): ECDSA on secp224r1. What is signed is the UID itself, no hash of it (AN11350, AN12196).

`cryptography` does not have secp128r1, so that curve is written out here. Nothing in it is secret: it only checks, with keys
that are published, so that it may take a time that depends on what it is given.
"""

from functools import cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA224

UID_BYTES: Final = 7
"""Of every chip that has such a signature; a random UID (4 bytes) is signed by nobody."""
SECP128R1_BYTES: Final = 32
SECP224R1_BYTES: Final = 56

_P: Final = 0xFFFFFFFDFFFFFFFFFFFFFFFFFFFFFFFF
_A: Final = _P - 3
_B: Final = 0xE87579C11079F43DD824993C2CEE5ED3
_N: Final = 0xFFFFFFFE0000000075A30D1B9038A115
_G: Final = (0x161FF7528B899B2D0C28607CA52C5B86, 0xCF5AC8395BAFEB13C02DA292DDED7A83)
_KEYS_128: Final = (
    # NTAG 210 to 216
    (0x494E1A386D3D3CFE3DC10E5DE68A499B, 0x1C202DB5B132393E89ED19FE5BE8BC61),
    # MIFARE Ultralight EV1
    (0x90933BDCD6E99B4E255E3DA55389A827, 0x564E11718E017292FAF23226A96614B8),
)
_KEYS_224: Final = (
    # NTAG 424 DNA, DESFire EV2 (AN12196)
    "048A9B380AF2EE1B98DC417FECC263F8449C7625CECE82D9B916C992DA209D68422B81EC20B65A66B5102A61596AF3379200599316A00A1410",
)
_WINDOW: Final = 4
_DIGIT: Final = (1 << _WINDOW) - 1
_DIGITS: Final = 128 // _WINDOW

_Point = tuple[int, int]
_Jacobian = tuple[int, int, int]
_INFINITY: Final = (1, 1, 0)
_Multiples = tuple[tuple[_Point, ...], ...]


def is_original(uid: bytes, signature: bytes) -> bool:
    """Whether NXP signed this UID, by one of the keys that are held here. `prepare` first: the first call would take 30 ms more."""
    if len(uid) != UID_BYTES or not any(signature):
        return False
    if len(signature) == SECP128R1_BYTES:
        return any(_is_signed_128(uid, signature, key) for key in _KEYS_128)
    if len(signature) == SECP224R1_BYTES:
        return any(_is_signed_224(uid, signature, key) for key in _KEYS_224)
    return False


def prepare() -> None:
    """Make the tables now, so that the first tag does not wait for them."""
    for point in (_G, *_KEYS_128):
        _multiples(point)
    for key in _KEYS_224:
        _key_224(key)


def _is_signed_224(uid: bytes, signature: bytes, key: str) -> bool:
    half = SECP224R1_BYTES // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    # "No hash" is a hash that is the UID, filled up in front to the length of one.
    digest = uid.rjust(half, b"\0")
    try:
        _key_224(key).verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(SHA224())))
    except InvalidSignature:
        return False
    return True


@cache
def _key_224(key: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), bytes.fromhex(key))


# --- secp128r1 -----------------------------------------------------------------------------------------------------


def _is_signed_128(uid: bytes, signature: bytes, key: _Point) -> bool:
    """ECDSA (SEC 1, 4.1.4): x of e/s G + r/s Q is r."""
    half = SECP128R1_BYTES // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    if not (0 < r < _N and 0 < s < _N):
        return False
    inverse = pow(s, -1, _N)
    e = int.from_bytes(uid, "big")
    found = _INFINITY
    for factor, point in ((e * inverse % _N, _G), (r * inverse % _N, key)):
        for at, multiples in enumerate(_multiples(point)):
            digit = factor >> _WINDOW * at & _DIGIT
            if digit:
                found = _plus(found, multiples[digit - 1])
    if found[2] == 0:
        return False
    x, _ = _affine(found)
    return x % _N == r


@cache
def _multiples(point: _Point) -> _Multiples:
    """Return 1 to 15 times 16^i times a point, for each digit i: adding replaces all doubling. About 60 kB."""
    rows = []
    for _ in range(_DIGITS):
        row = [point]
        for _ in range(_DIGIT - 1):
            row.append(_affine(_plus((*row[-1], 1), point)))
        rows.append(tuple(row))
        point = _affine(_plus((*row[-1], 1), point))
    return tuple(rows)


def _plus(one: _Jacobian, other: _Point) -> _Jacobian:
    """Add an affine point; x is X/Z², y is Y/Z³."""
    x1, y1, z1 = one
    x2, y2 = other
    if z1 == 0:
        return x2, y2, 1
    z1z1 = z1 * z1 % _P
    h = (x2 * z1z1 - x1) % _P
    r = (y2 * z1z1 * z1 - y1) % _P
    if h == 0:
        return _twice(one) if r == 0 else _INFINITY
    hh = h * h % _P
    hhh = h * hh % _P
    v = x1 * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - y1 * hhh) % _P, z1 * h % _P


def _twice(one: _Jacobian) -> _Jacobian:
    x, y, z = one
    yy = y * y % _P
    s = 4 * x * yy % _P
    m = (3 * x * x + _A * pow(z, 4, _P)) % _P
    x3 = (m * m - 2 * s) % _P
    return x3, (m * (s - x3) - 8 * yy * yy) % _P, 2 * y * z % _P


def _affine(one: _Jacobian) -> _Point:
    x, y, z = one
    inverse = pow(z, -1, _P)
    square = inverse * inverse % _P
    return x * square % _P, y * square * inverse % _P
