"""The roster as it lies in the data folder: read by the front, which keeps it, and by tools."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import GateId
from edge.enrolment import Enrolment
from sync.wire.roster import Roster, RosterRefused, read_roster

ROSTER_FILE = "roster.ghr"
"""The newest roster as it was signed; it survives restarts, and neighbours may have it."""


def load_roster(data: Path, enrolment: Enrolment) -> Roster | None:
    """Return the roster in a data folder; None where there is none that its venue's roster key signed."""
    try:
        return read((data / ROSTER_FILE).read_bytes(), enrolment)
    except (OSError, RosterRefused):
        return None


def read(signed: bytes, enrolment: Enrolment) -> Roster:
    """Return a roster of the gate's group. RosterRefused for anything else than what the roster key signed."""
    if not enrolment.roster_public:
        raise RosterRefused("roster.not_genuine", "this gate knows no roster key yet")
    return read_roster(signed, Ed25519PublicKey.from_public_bytes(enrolment.roster_public), enrolment.group)


def former_keys(data: Path, enrolment: Enrolment) -> dict[GateId, list[Ed25519PublicKey]]:
    """Return the keys that gates signed with before their present ones, as far as the roster held here tells.

    Its own this box knows by itself, also where the roster that tells of them has not come yet.
    """
    held = load_roster(data, enrolment)
    found: dict[GateId, list[Ed25519PublicKey]] = {}
    for one in held.former if held is not None else ():
        found.setdefault(one.gate, []).append(Ed25519PublicKey.from_public_bytes(one.public))
    told = {one.public_bytes_raw() for one in found.get(enrolment.gate, ())}
    mine = [Ed25519PublicKey.from_public_bytes(one) for one in enrolment.former_public if one not in told]
    if mine:
        found.setdefault(enrolment.gate, []).extend(mine)
    return found
