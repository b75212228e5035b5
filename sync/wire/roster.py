"""The roster: the signed list of an event group's gates, their keys and lanes. Anyone may carry it.

    0   n   body: `Roster`, MessagePack
    n  64   Ed25519 signature by the roster key over "gatehouse roster 0\\n" and the body

A gate takes the highest version it meets and believes no other gate that is not in it. A revocation names the last head
of each epoch that still counts; what comes after it is quarantined (`sync.wire.counted`).

It is in force until `expires_at_s`, by time that is certainly over: what the centre signed, and what has passed since by
the monotonic clock. A box's own clock, however far ahead, ends no roster. One that ran out is no longer a basis to take
records of other gates: one of them may have been shut out since, and this gate would be the last to hear of it. What was
taken before counts as before, and the limits that it set stay. No rule at the door asks for the roster: a gate whose
roster ran out lets in as before, and treats a gate whose records it left out as one it does not hear.
"""

from enum import IntFlag

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from admission.ids import Epoch, GateId, LaneId, ZoneId
from sync.wire.messages import CLOCK_OFF_MAX_S, is_signed

VALID_DAYS = 14
"""A gate cut off for longer trusts no neighbour any more, for one of them may have been revoked."""
DAY_S = 86_400
RENEW_S = DAY_S
"""The centre signs what has not changed anew, so that nobody's runs out while the centre is there."""
ROSTER_BYTES_MAX = 4 * 1024 * 1024
"""10,000 gates with their lanes take 2 MB."""
SIGNATURE_BYTES = 64
_DOMAIN = b"gatehouse roster 0\n"


class RosterRefused(ValueError):
    """A roster that must not be used. `code` for the journal; the text for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Ways(IntFlag):
    """Which way a lane may be passed."""

    ENTRY = 1
    EXIT = 2


class RosterLane(msgspec.Struct, frozen=True, array_like=True):
    """A lane, where it leads, and which ways it is passed."""

    id: LaneId
    zone: ZoneId
    ways: int = int(Ways.ENTRY | Ways.EXIT)


class RosterGate(msgspec.Struct, frozen=True, array_like=True):
    """A gate that is believed. `public` signs its records and requests; secrets are sealed to `sealing`, where it has one."""

    id: GateId
    name: str
    public: bytes
    sealing: bytes
    lanes: tuple[RosterLane, ...]

    @property
    def has_exit(self) -> bool:
        """Whether its exits count: one of its lanes is left by, or nothing is known of its lanes yet."""
        return not self.lanes or any(lane.ways & Ways.EXIT for lane in self.lanes)


class LastHead(msgspec.Struct, frozen=True, array_like=True):
    """The last head of an epoch that counts, with its own record; `seq` 0: nothing of it does."""

    epoch: Epoch
    seq: int


class Revoked(msgspec.Struct, frozen=True, array_like=True):
    """A gate that is believed no more. An epoch that is not named does not count at all."""

    gate: GateId
    at_s: int
    heads: tuple[LastHead, ...]


class FormerKey(msgspec.Struct, frozen=True, array_like=True):
    """A key that a gate signed with before its present one, and until when (unix seconds)."""

    gate: GateId
    public: bytes
    until_s: int


def may_have_signed(until_s: int, begun_us: int | None, *, shut_out_s: int, named: bool) -> bool:
    """Whether a key that was a gate's until `until_s` may have signed an epoch, by the gate's clock.

    `begun_us`: when the epoch's first record was made, None where that is not asked. `shut_out_s`: when the gate was
    revoked, 0 if never. `named`: whether the revocation names the epoch.
    """
    return (named or until_s > shut_out_s) and (
        begun_us is None or begun_us <= (until_s + CLOCK_OFF_MAX_S) * 1_000_000
    )


class Roster(msgspec.Struct, frozen=True, array_like=True):
    """The gates of an event group, as of a version. Times in unix seconds."""

    group: int
    version: int
    issued_at_s: int
    expires_at_s: int
    gates: tuple[RosterGate, ...]
    revoked: tuple[Revoked, ...] = ()
    former: tuple[FormerKey, ...] = ()

    def former_of(self, number: GateId, epoch: Epoch, begun_us: int | None) -> tuple[bytes, ...]:
        """Return the former keys that may have signed an epoch of a gate, oldest first.

        One that was revoked only signs what the revocation names; any only what began in its time, by the gate's clock.
        `begun_us`: when the epoch's first record was made, None where that is not known.
        """
        revoked = next((one for one in self.revoked if one.gate == number), None)
        shut_out_s = revoked.at_s if revoked is not None else 0
        named = revoked is not None and any(head.epoch == epoch and head.seq for head in revoked.heads)
        return tuple(
            one.public
            for one in self.former
            if one.gate == number
            and may_have_signed(one.until_s, begun_us, shut_out_s=shut_out_s, named=named)
        )

    def gate(self, number: GateId) -> RosterGate | None:
        """Return a gate that is believed."""
        return next((one for one in self.gates if one.id == number), None)

    def is_valid(self, now_s: int) -> bool:
        """Whether it is in force. `now_s`: a time that is certainly over, never a box's own clock."""
        return now_s < self.expires_at_s


def pack_roster(roster: Roster, key: Ed25519PrivateKey) -> bytes:
    """Return a signed roster."""
    body = msgspec.msgpack.encode(roster)
    return body + key.sign(_DOMAIN + body)


def read_roster(data: bytes, key: Ed25519PublicKey, group: int) -> Roster:
    """Return a roster of this group. RosterRefused for anything else than what the roster key signed."""
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    if len(data) > ROSTER_BYTES_MAX or not is_signed(key, signature, _DOMAIN + body):
        raise RosterRefused(
            "roster.not_genuine", "the roster is not signed by this venue's roster key, or was altered"
        )
    try:
        roster = msgspec.msgpack.decode(body, type=Roster)
    except msgspec.DecodeError as error:
        raise RosterRefused(
            "roster.other_version", "the roster was made by another version of the centre"
        ) from error
    if roster.group != group:
        raise RosterRefused("roster.wrong_group", "the roster is of another event group")
    return roster


def newer(held: Roster | None, seen: Roster) -> Roster:
    """Return the one to go by. RosterRefused where the one seen is older than the one held."""
    if held is not None and seen.version < held.version:
        raise RosterRefused("roster.rolled_back", f"roster {seen.version} is older than one already seen")
    if held is None or (seen.version, seen.issued_at_s) > (held.version, held.issued_at_s):
        return seen
    return held
