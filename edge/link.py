"""What the lane process and the front process say to each other, over a Unix socket in the data folder.

Each message is MessagePack behind a u32 length. The lane pushes `Status` (coalesced) and `Seen`; the front sends
commands, each with a number that its `Done` carries back. The socket is 0600: who can open it is the gate itself.
"""

import asyncio
import struct
from enum import Enum, StrEnum

import msgspec

from admission.chain import Head
from admission.entitlements import Ticket
from admission.ids import Epoch, EventId, GateId
from admission.presence import PresenceRow, Reset
from sync.wire.counted import Limit

SOCKET = "lane.sock"
"""Of the lane process, in the data folder."""
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""A status with 16 lanes is some 20 kB; a slice of records at most 1 MB."""

DOUBTED = "others.doubted"
"""Code of the tile of a gate that claims more than it can; its `number` is an argument of it."""
HELD_MAX = 512
"""Records given at once from memory: 50 kB, put together in less than a millisecond."""
FOREIGN_MAX = 48
"""Records of other gates taken at once: unpacked and queued well within a millisecond, also on a Pi."""
ACKED_MAX = 256
"""Epochs told of at once; a gate makes one a start."""


class Health(Enum):
    """How a part is."""

    OK = "ok"
    DEGRADED = "degraded"
    BAD = "bad"
    OFF = "off"


class Part(StrEnum):
    """What a tile is about."""

    READER = "reader"
    RELAY = "relay"
    SENSOR = "sensor"
    LIST = "list"
    LOG = "log"
    UPLINK = "uplink"
    CLOCK = "clock"
    LANE = "lane"


class Tile(msgspec.Struct, frozen=True):
    """One part's state. `code` names the sentence (`edge.words`), `args` fill it in; `lane` 0: the whole gate's."""

    part: Part
    name: str
    health: Health
    code: str
    args: dict[str, str | int] = {}
    lane: int = 0
    since_s: int = 0
    stops: bool = False
    """While it is BAD the gate admits nobody here: the verdict is Not ready, not Degraded."""


class LaneView(msgspec.Struct, frozen=True):
    """One lane as the page shows it."""

    id: int
    name: str
    state: str
    ready: bool
    fire: bool
    busy: bool
    entries: int
    exits: int
    has_entry: bool
    has_exit: bool
    ways: int = 3
    """Which ways it is passed, `sync.wire.roster.Ways`."""


class After(Enum):
    """What became of somebody who was let through. In this order: a later one is never undone by an earlier."""

    NOTHING = ""
    GIVEN_BACK = "given_back"
    ASSUMED = "assumed"
    PASSED = "passed"
    LATE = "late"
    ANNULLED = "annulled"


BY_HAND = "by_hand"
"""`Seen.kind` of an override: nothing was presented."""
ASKED = "asked"
"""`Seen.kind` of a request to exit: a button was pressed, nothing was presented."""
CHECK_IN = "check_in"
"""`Seen.kind` of what was shown at a check-in station."""
STORED = "stored"
"""`Seen.kind` of a scan that a device stored until it was docked; its time is the device's."""


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """A presentation, or an override, and what came of it. `ticket` is shown only behind the PIN.

    The same (epoch, lane, row) again corrects the row: a wait that became a grant, a passage.
    """

    seq: int
    time_s: float
    lane: int
    reader: int
    direction: int
    kind: str
    outcome: int
    reason: int
    flags: int = 0
    ticket: str = ""
    gate: int = 0
    last_s: float = 0.0
    """What its sentence tells the time of: when it was used last, from when it holds, or until when it did."""
    epoch: int = 0
    row: int = 0
    after: After = After.NOTHING
    line: str = ""
    """A `reasons.Line` that says more than the outcome: of a check-in station."""
    shown_s: int = 0
    """How long it stays on a display; 0: as ever."""
    product: str = ""
    """What its ticket is called, as the list says; of no person. "" where nothing was found, and after a restart."""
    holder: int = 0
    """Whose ticket was let in or is to be looked at, by number; 0: nobody's, or nobody is greeted. Not kept."""


class StaffAlert(msgspec.Struct, frozen=True):
    """Staff are called to a lane. `what` as in `admission.lane.Alert`; `count`: how often since it was first said."""

    number: int
    lane: int
    what: str
    time_s: float
    count: int = 1


class Rung(Enum):
    """How far a fire alarm is, for the people of a zone."""

    OUT = "out"
    """Everybody leaves; nobody has cleared it."""
    AGAIN = "again"
    """Those who were inside may come in again."""


class Status(msgspec.Struct, frozen=True, tag="status"):
    """All that the page shows of the lane process."""

    gate: int
    name: str
    epoch: str
    version: str
    tiles: tuple[Tile, ...]
    lanes: tuple[LaneView, ...]
    list_version: int
    list_rows: int
    records: int
    inside: dict[int, tuple[int, int]]
    """Zone: lower and upper bound of people in it."""
    zones: dict[int, str]
    gates: dict[int, str]
    time_s: float
    started_s: float
    recent: tuple[Seen, ...] = ()
    """The last scans, newest first; with the first Status after a connection only."""
    alerts: tuple[StaffAlert, ...] = ()
    """Newest first: not acknowledged, and not old."""
    timezone: str = ""
    """The venue's; empty: that of the box."""
    admit_max: int = 1
    """People one act by hand may let in."""
    uncounted: tuple[int, ...] = ()
    """Zones of which nobody knows since a fire alarm how many are inside: staff count by hand."""
    alarms: dict[int, Rung] = {}
    """Zones in which a fire alarm rang and is not all over, and how far it is."""
    names: bytes = b""
    """Mark of the names in force (`sync.wire.shown_names`); empty: nobody asked to be greeted."""
    in_memory: int = 0
    """The last seq that is in memory only, because the disk takes nothing; 0: all is durable, or on its way."""
    counters: dict[str, float] = {}
    """For `/metrics`: `scans_total{outcome="grant"}` and the like; a name that ends in `_total` only grows."""


class Appended(msgspec.Struct, frozen=True, tag="appended"):
    """The log grew to `seq` in this epoch and is durable up to it: the uplink may push."""

    epoch: int
    seq: int


class AskOthers(msgspec.Struct, frozen=True, tag="ask_others"):
    """Somebody stands here while the uplink rests: ask the other gates now, `HeardGates` is waited for."""


class SetState(msgspec.Struct, frozen=True, tag="set_state"):
    """Set lane states; `lane` 0: all of them."""

    number: int
    lane: int
    state: str
    steward: int = 0


class Pulse(msgspec.Struct, frozen=True, tag="pulse"):
    """The test button: a logged opening."""

    number: int
    lane: int
    direction: int
    steward: int = 0


class ClearFire(msgspec.Struct, frozen=True, tag="clear_fire"):
    """Staff cleared the fire latch."""

    number: int
    lane: int
    steward: int = 0


class AdmitByHand(msgspec.Struct, frozen=True, tag="admit"):
    """Let people through by hand; with the code of a ticket it uses the ticket."""

    number: int
    lane: int
    direction: int
    steward: int
    reason: str
    count: int = 1
    code: str = ""


class AnnulLast(msgspec.Struct, frozen=True, tag="annul"):
    """Take the admission of record `seq` of `epoch` of this gate back; its use is free again."""

    number: int
    lane: int
    epoch: int
    seq: int
    steward: int
    reason: str


class WriteTag(msgspec.Struct, frozen=True, tag="write_tag"):
    """A steward is about to write a wristband's signed record at a desk: it is recorded first, and counted."""

    number: int
    steward: int
    uid: bytes


class ResetPresence(msgspec.Struct, frozen=True, tag="reset"):
    """From now on everybody in a zone counts as outside."""

    number: int
    zone: int
    steward: int
    reason: str = ""


class CountPeople(msgspec.Struct, frozen=True, tag="count"):
    """So many people are in a zone, counted by hand just now."""

    number: int
    zone: int
    people: int
    steward: int


class Readmission(msgspec.Struct, frozen=True, tag="readmission"):
    """Those whom a fire alarm sent out of a zone may come in again, or no longer."""

    number: int
    zone: int
    open: bool
    steward: int


class Acknowledge(msgspec.Struct, frozen=True, tag="acknowledge"):
    """Staff have seen an alert: it need not be shown any more."""

    number: int
    alert: int


class BelieveAgain(msgspec.Struct, frozen=True, tag="believe_again"):
    """Somebody looked at a gate that claimed more than its lanes can do: what it says counts from now on."""

    number: int
    gate: int
    steward: int


class Identify(msgspec.Struct, frozen=True, tag="identify"):
    """Beep and blink, so that somebody before several boxes finds this one."""

    number: int
    steward: int = 0


class Restart(msgspec.Struct, frozen=True, tag="restart"):
    """End this run and begin a new one, where nobody and nothing is lost by it."""

    number: int
    steward: int = 0


class SetUpAnew(msgspec.Struct, frozen=True, tag="set_up_anew"):
    """Put the configuration that the commissioning page wrote aside, and end this run: the next one is commissioned."""

    number: int
    steward: int


class TakeList(msgspec.Struct, frozen=True, tag="take_list"):
    """A newer list file was built and verified; switch to it."""

    number: int
    path: str


class ChangedRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a credential stands for since `version`; without a `digest`, a ticket that has no credential."""

    digest: bytes
    ticket: Ticket
    credential: int
    version: int


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    """A slice of the changes of an event's list after version `since`; with the last one it is at `to`."""

    number: int
    event: EventId
    generation: int
    since: int
    to: int
    rows: tuple[ChangedRow, ...]
    is_last: bool
    row_count: int
    """Of all slices together."""
    settings_digest: bytes
    settings: bytes = b""
    """A `ListHead`, MessagePack, where it is another than the one in force; with the last slice only."""
    sealed_at_s: int = 0
    """When `to` was made; 0: more changes are known to come."""


class GiveHeld(msgspec.Struct, frozen=True, tag="give_held"):
    """The uplink asks for records above `after` that are in memory only; answered by `HeldRecords`."""

    number: int
    after: int


class HeldRecords(msgspec.Struct, frozen=True, tag="held_records"):
    """Records of the running epoch that are in memory only, in order, at most `HELD_MAX`; none: the disk has them."""

    number: int
    epoch: int
    first_seq: int
    blobs: tuple[bytes, ...]


class Foreign(msgspec.Struct, frozen=True, tag="foreign"):
    """Records of another gate's log, verified: `blobs` from `first_seq` on, at most `FOREIGN_MAX`, or `forks` of theirs.

    `rows` and `resets` are what they say of presence, `heads` stand among them. `cursor`: how far the feed was read
    with this slice; empty where that did not move. Also the tail of an ended epoch of our own that the disk lost.
    """

    number: int
    gate: GateId
    epoch: Epoch
    first_seq: int
    blobs: tuple[bytes, ...] = ()
    rows: tuple[PresenceRow, ...] = ()
    resets: tuple[Reset, ...] = ()
    heads: tuple[Head, ...] = ()
    forks: tuple[bytes, ...] = ()
    cursor: bytes = b""


class Believe(msgspec.Struct, frozen=True, tag="believe"):
    """The roster's word on whose records count how far; of gates not named, all do. Replaces what was said before."""

    number: int
    limits: tuple[Limit, ...]


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Does the loop still turn? `Done` without a number says so; a socket stays open whatever hangs behind it."""


class HeardGates(msgspec.Struct, frozen=True, tag="heard"):
    """How long ago (ms) all that other gates had recorded was known here; `troubles`: what is wrong with whose log."""

    ages_ms: dict[GateId, int]
    troubles: dict[GateId, str] = {}


class Acked(msgspec.Struct, frozen=True, tag="acked"):
    """What the centre holds of this gate's logs: (epoch, seq) of at most `ACKED_MAX` epochs."""

    epochs: tuple[tuple[int, int], ...]


class UplinkSaid(msgspec.Struct, frozen=True, tag="uplink"):
    """How the uplink is, for the tile: `health`, `code`, `args` as in `Tile`; and centre-signed time, if any."""

    health: Health
    code: str
    args: dict[str, str | int] = {}
    centre_time_s: int = 0
    over_s: int = 0
    """A time that is certainly over, by what the centre signed for whomever."""
    list_age_s: int | None = None
    """How long ago the centre proved that the list is what it was; None: not since the front began, or news was refused."""
    rests: bool = False
    """Nobody came for long, so that the others are not asked for all the time: `AskOthers` ends it."""


class PeersSaid(msgspec.Struct, frozen=True, tag="peers"):
    """How the neighbours on the LAN are, for the tile: `health`, `code`, `args` as in `Tile`."""

    health: Health
    code: str
    args: dict[str, str | int] = {}


class ModemSaid(msgspec.Struct, frozen=True, tag="modem"):
    """How the modem says it is, for the tile: `health`, `code`, `args` as in `Tile`. Never whether the centre answers."""

    health: Health
    code: str
    args: dict[str, str | int] = {}


class PageSaid(msgspec.Struct, frozen=True, tag="page"):
    """Where the page listens, and that the front is up."""

    url: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A command was carried out, or why not: `code` and `args` as in `edge.words`."""

    number: int
    ok: bool
    code: str = ""
    args: dict[str, str | int] = {}


ZoneCommand = ResetPresence | CountPeople | Readmission
LaneCommand = Pulse | ClearFire | AdmitByHand | AnnulLast
Command = (
    SetState
    | LaneCommand
    | ZoneCommand
    | Acknowledge
    | Identify
    | Restart
    | SetUpAnew
    | TakeList
    | Changes
    | WriteTag
)
Asked = Command | GiveHeld | Foreign | Believe | BelieveAgain
Answer = Done | HeldRecords
Said = UplinkSaid | PeersSaid | ModemSaid | PageSaid | Acked | HeardGates
FromFront = Asked | Said | Ping
FromLane = Status | Seen | Appended | AskOthers | Answer

_encoder = msgspec.msgpack.Encoder()
_from_front: msgspec.msgpack.Decoder[FromFront] = msgspec.msgpack.Decoder(FromFront)
_from_lane: msgspec.msgpack.Decoder[FromLane] = msgspec.msgpack.Decoder(FromLane)


class LinkBroken(ConnectionError):
    """The other process went away, or sent what is no message."""


def pack(message: FromFront | FromLane) -> bytes:
    """Return a message with its length in front."""
    body = _encoder.encode(message)
    return struct.pack(">I", len(body)) + body


async def _read(stream: asyncio.StreamReader) -> bytes:
    """Read one message's bytes."""
    try:
        (size,) = struct.unpack(">I", await stream.readexactly(4))
        if size > MESSAGE_BYTES_MAX:
            raise LinkBroken(f"a message of {size} bytes is larger than any we send")
        return await stream.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError, OSError) as error:
        raise LinkBroken("the other process closed its side") from error


async def read_from_front(stream: asyncio.StreamReader) -> FromFront:
    """Read what the front says. LinkBroken where the link ended or broke its form."""
    try:
        return _from_front.decode(await _read(stream))
    except msgspec.DecodeError as error:
        raise LinkBroken(str(error)) from error


async def read_from_lane(stream: asyncio.StreamReader) -> FromLane:
    """Read what the lane says. LinkBroken where the link ended or broke its form."""
    try:
        return _from_lane.decode(await _read(stream))
    except msgspec.DecodeError as error:
        raise LinkBroken(str(error)) from error
