"""A data folder as a gate leaves it: enrolment, list and log made by the real stores, and a TOML for it."""

from pathlib import Path

from admission.chain import ROOT
from admission.codecs import cose
from admission.digests import CredentialKind, digest, ticket_digest
from admission.entitlements import CredentialStanding, LanePlan, Product, Session, Standing, Zone
from admission.ids import Epoch, GateId, HolderId, LaneId, ProductId, SessionId, TicketId, ZoneId
from admission.lane import Write
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, ticket_subject
from edge import enrolment
from edge.clock import TrustedTime
from edge.journal import Journal, Stamp
from edge.lists import FILE as LIST_FILE
from edge.store.list import build
from edge.store.log import LogStore
from edge.store.log_schema import CENTRE, Batch, Cursor, StandingChange
from edge.store.writer import Urgency
from sync.wire.lists import EventInfo, GateInfo, ListHead, ListKey, ListRow, Profile
from tests.edge.crash_points import EVENT, OWN, QUIET, key_of

EPOCH = Epoch(0x8000_0000_0000_0001)
DIGEST_KEY = bytes(range(32))
ISSUER = key_of(GateId(99))
GOOD, USED, GONE, LATE, NOBODY = b"GOOD-1", b"USED-2", b"GONE-3", b"LATE-4", b"NOBODY"
TAG = bytes.fromhex("04a22b1c9d8000")
SIGNED_TICKET = 6

TOML = """
[gate]
name = "North"
data = "{data}"
[[lanes]]
id = 1
name = "Lane 1"
[[lanes.readers]]
id = 1
way = "entry"
driver = "serial"
port = "{port}"
"""


def signed_code() -> str:
    """The text of a signed ticket."""
    claims = cose.Claims(
        ticket=SIGNED_TICKET, issued_at=1_700_000_000, not_before=0, not_after=0, event=EVENT, zones=(1,),
        product=1, admits=1, session=1,
    )  # fmt: skip
    return cose.mint(claims, ISSUER)


def make_gate(data: Path) -> None:
    """Fill a data folder: six tickets, of which one was used, one cancelled by the list and one after it."""
    data.mkdir(parents=True, exist_ok=True)
    enrolment.save(
        data,
        enrolment.Enrolment(
            gate=OWN,
            name="North",
            group=1,
            centre_url="https://centre.example",
            centre_public=bytes(32),
            list_public=bytes(32),
            time_public=bytes(32),
            signing_key=key_of(OWN).private_bytes_raw(),
            sealing_key=bytes(32),
        ),
    )
    build(data / LIST_FILE, _head(), _rows())
    _write_log(data)


def _head() -> ListHead:
    return ListHead(
        group=1,
        events=(EventInfo(EVENT, "Fair", 1, 5, 1_795_305_600),),
        products=(Product(ProductId(1), EVENT, "Day ticket"),),
        sessions=(Session(SessionId(1), EVENT, "Sunday", 20261122),),
        zones=(Zone(ZoneId(1), "Hall"),),
        plans=(LanePlan(LaneId(1), ZoneId(1), sessions=((EVENT, SessionId(1)),)),),
        gate_lanes={OWN: (0,)},
        keys=(ListKey(ISSUER.public_key().public_bytes_raw(), "tk1", EVENT),),
        gates=(GateInfo(OWN, "North", key_of(OWN).public_key().public_bytes_raw(), (ZoneId(1),)),),
        profiles=(Profile(ProductId(1), (ZoneId(1),), SessionId(1)),),
        digest_key=DIGEST_KEY,
    )


def _rows() -> list[ListRow]:
    found = [
        (
            digest(CredentialKind.OPAQUE, code, DIGEST_KEY),
            number,
            Standing.CANCELLED if code == GONE else Standing(0),
        )
        for number, code in enumerate((GOOD, USED, GONE, LATE), 1)
    ]
    found.append((digest(CredentialKind.UID, TAG, DIGEST_KEY), 5, Standing.VALID))
    found.append((ticket_digest(EVENT, SIGNED_TICKET, DIGEST_KEY), SIGNED_TICKET, Standing.VALID))
    return [
        ListRow(key, EVENT, TicketId(ticket), 0, HolderId(100 + ticket), standing, CredentialStanding.ACTIVE)
        for key, ticket, standing in sorted(found)
    ]


class _Clock:
    """Stands still, at a time that the build date does not contradict."""

    def now_us(self) -> int:
        return 1_795_305_601_000_000

    def mono_ns(self) -> int:
        return 0

    def marked_synced(self) -> bool:
        return True


class _Writer:
    """Keeps batches until the log takes them all at once."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def submit(self, batch: Batch, urgency: Urgency) -> None:  # noqa: ARG002  # nobody waits here
        self.batches.append(batch)


def _write_log(data: Path) -> None:
    """A start, ticket 2 let in and through under a signed head, an unknown code behind it; four are not yet sent."""
    clock, writer = _Clock(), _Writer()
    time = TrustedTime(clock, rtc=False)
    journal = Journal(
        gate=OWN, epoch=EPOCH, key=key_of(OWN), clock=clock, time=time, writer=writer, predecessor=ROOT
    )
    entry, stamp = Direction.ENTRY, Stamp(LaneId(1), ZoneId(1))
    subject, session = ticket_subject(EVENT, TicketId(2), ProductId(1)), SessionId(1)
    scan = Write(
        1, Kind.SCAN, entry, Outcome.GRANT, session=session, flags=Flag.TICKET, subject=subject, urgent=True
    )
    passage = Write(2, Kind.PASSAGE, entry, session=session, flags=Flag.TICKET, subject=subject, ref_token=1)
    journal.append((scan, passage), stamp)
    journal.sign_head()
    unknown = digest(CredentialKind.OPAQUE, NOBODY, DIGEST_KEY)
    journal.append(
        (Write(3, Kind.SCAN, entry, Outcome.DENY, Reason.UNKNOWN, flags=Flag.DIGEST, subject=unknown),), stamp
    )
    cancel = StandingChange(EVENT, TicketId(4), b"", Standing.CANCELLED, 1, 6)
    sent = Cursor(CENTRE, OWN, EPOCH, 2)
    store = LogStore.open(data, QUIET)
    store.append([*writer.batches, Batch(99, standings=(cancel,), cursors=(sent,))])
    store.close()
