"""What other people's scanners ask, what they are told, and what a scan presents."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec

from admission.credentials import Identity, Medium, identify
from admission.entitlements import Mode
from admission.ids import EventId
from admission.keys import KeyRing
from sync.gates import known
from sync.web.api import Body, Id, Line

ROUTE = "redeem"

_Small = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
_Uid = Annotated[
    str, msgspec.Meta(pattern="^([0-9A-Fa-f]{2}){4,10}$", description="As the tag sends it, in hex.")
]
_ScanId = Annotated[
    str, msgspec.Meta(pattern="^[!-~]{1,100}$", description="Made by the scanner, new for each scan.")
]
_RecordName = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,10}-[0-9a-f]{16}-[0-9]{1,10}$")]
MODES = {"normal": Mode.NORMAL, "entry_exit": Mode.ENTRY_EXIT, "multiple": Mode.MULTIPLE}


class Redeem(Body, frozen=True, kw_only=True):
    """One scan: a barcode's `code`, a tag's `uid`, or a `ticket` by its number. The lane is that of a `gate`, or said by zone, session, mode."""

    scan_id: _ScanId
    code: _Code | None = None
    uid: _Uid | None = None
    ticket: Id | None = None
    direction: Literal["entry", "exit"] = "entry"
    gate: Id | None = None
    lane: _Small = 0
    zone: _Small = 0
    session: _Small | None = None
    mode: Literal["normal", "entry_exit", "multiple"] = "normal"


class Annul(Body, frozen=True, kw_only=True):
    """Take an admission back: the use is free again. `record`: as `redeem` answered."""

    scan_id: _ScanId
    record: _RecordName
    reason: Line = ""


class Redeemed(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided. `ticket` 0: none was found; `used_s`: with a used ticket, when it was."""

    outcome: str
    reason: str
    ticket: int
    record: str
    flagged: bool = False
    used_s: int = 0
    used_gate: int = 0


class Annulled(msgspec.Struct, frozen=True, kw_only=True):
    """The record that says so."""

    ticket: int
    record: str


class Presented(NamedTuple):
    """What a scan presented, by the keys that were known then."""

    ring: KeyRing
    identity: Identity


def presented(body: Redeem | Annul, facts: known.GroupFacts) -> Presented | None:
    """Say what a scan presents, which may cost a signature's check; None where it names a ticket, or an admission."""
    if not isinstance(body, Redeem) or body.ticket is not None:
        return None
    data, medium = (body.code or "").encode("utf-8", "replace"), Medium.BARCODE
    if body.uid is not None:
        data, medium = bytes.fromhex(body.uid), Medium.UID
    return Presented(facts.ring, identify(data, medium, facts.ring, facts.digest_key))


@dataclass(frozen=True, slots=True)
class Scan:
    """A request for the desk: of an event there is, by somebody who may ask."""

    event: EventId
    body: Redeem | Annul
    staff: int
    seen: Presented | None = None
    """What was presented, where that was looked at already."""

    @property
    def scope(self) -> tuple[str, str]:
        """What the same scan is known by, whichever scanner sends it again."""
        return f"event:{self.event}", self.body.scan_id

    def digest(self) -> bytes:
        """Return what tells another scan under the same id."""
        return hashlib.sha256(msgspec.json.encode(self.body)).digest()
