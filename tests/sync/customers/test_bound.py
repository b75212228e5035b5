"""What check-in stations bound, at the centre: tags of its own, the same whatever came in first."""

import pytest
from sqlalchemy import insert, select

from admission.chain import ROOT
from admission.credentials import Medium
from admission.digests import CredentialKind, digest, ticket_digest
from admission.entitlements import Ticket
from admission.ids import Epoch, GateId, RecordId, TicketId
from admission.reasons import Reason
from admission.records import (
    Bound,
    Extension,
    ExtensionRecord,
    Flag,
    Kind,
    Record,
    Trust,
    pack_bound,
    pack_record_ids,
    ticket_subject,
)
from sync.customers import tables, tags
from sync.customers.bound import State, settle_due
from sync.customers.handlers import read
from sync.gates import ingest
from sync.gates import tables as gates
from sync.orders.sale import Wanted
from sync.store.schema import signed
from sync.tickets import exchange, rows
from sync.web.api import Refused
from sync.wire.messages import Push
from tests.sync.customers.test_tags import ada
from tests.sync.logs import PUBLIC, EpochLog
from tests.sync.orders.box_office import (
    DAY,
    DIGEST_KEY,
    FIRST,
    GROUP,
    KEYS,
    NOW_S,
    OTHER_UID,
    UID,
    BoxOffice,
    query,
)  # fmt: skip

STATION, OTHER_STATION, STRANGE = 31, 32, 33


@pytest.fixture(autouse=True)
def stations(office: BoxOffice) -> None:
    with office.database.writing() as connection:
        for number in (STATION, OTHER_STATION):
            connection.execute(
                insert(gates.gate).values(id=number, group_id=GROUP, name=f"Desk {number}", zones="[1]")
            )


def bound(
    office: BoxOffice,
    ticket: int,
    uid: str,
    seq: int,
    *,
    at: int = 0,
    gate: int = STATION,
    digest_of: str = "",
) -> None:
    """A BIND came in from a station; `at` 0 is at its seq."""
    tag = digest(CredentialKind.UID, bytes.fromhex(digest_of or uid), DIGEST_KEY)
    with office.database.writing() as connection:
        connection.execute(
            insert(gates.bind).values(
                gate_id=gate, epoch=signed(2**64 - 5), seq=seq, event_id=FIRST, ticket=ticket, uid=uid, tag=tag,
                code=ticket_digest(FIRST, TicketId(ticket), DIGEST_KEY), time_us=at or seq, state=0,
            )
        )  # fmt: skip


def settle(office: BoxOffice) -> list[State]:
    settle_due(office.database, KEYS, NOW_S)
    with office.database.reading() as connection:
        found = connection.execute(select(gates.bind.c.state).order_by(gates.bind.c.seq)).scalars()
        return [State(one) for one in found]


def opens(office: BoxOffice, ticket: int) -> Reason:
    return office.says((FIRST, TicketId(ticket)))


def tapped(office: BoxOffice, uid: str) -> Reason:
    return office.gate(uid, Medium.UID)[1]


def test_a_bound_tag_is_a_tag_of_the_centre_and_the_code_is_replaced(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    who = ada(office, 1)
    before = office.versions()[FIRST]
    bound(office, 1, UID, 5)
    bound(office, 2, OTHER_UID, 7)
    assert settle(office) == [State.HOLDS, State.HOLDS]
    assert (opens(office, 1), opens(office, 2)) == (Reason.REPLACED, Reason.REPLACED)
    assert (tapped(office, UID), tapped(office, OTHER_UID)) == (Reason.NONE, Reason.NONE)
    rows = {one.uid: one for one in query(office.database, tables.tag)}
    assert (rows[UID].customer_id, rows[UID].ticket, rows[UID].active) == (who, 1, True)
    assert rows[OTHER_UID].customer_id != who, "nobody bought the second: somebody unknown wears it"
    assert office.versions()[FIRST] == before + 2
    assert settle(office) == [State.HOLDS, State.HOLDS]
    assert office.versions()[FIRST] == before + 2, "once"
    with office.act() as act:
        tags.ban(act, rows[UID].id, banned=True)
    assert tapped(office, UID) is Reason.BANNED_TAG


def test_whoever_bought_for_two_has_two_tags_that_open(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    ada(office, 1, 2)
    bound(office, 1, UID, 5)
    bound(office, 2, OTHER_UID, 7)
    settle(office)
    assert (tapped(office, UID), tapped(office, OTHER_UID)) == (Reason.NONE, Reason.NONE)


def test_whoever_bought_for_four_has_four_bands_on_their_page_and_each_is_banned_by_itself(
    office: BoxOffice,
) -> None:
    office.buy(*[Wanted(FIRST, DAY)] * 4)
    who = ada(office, 1, 2, 3, 4)
    uids = [UID, OTHER_UID, "04C1285A373080", "04C1285A373081"]
    for ticket, uid in enumerate(uids, 1):
        bound(office, ticket, uid, 3 + 2 * ticket)
    settle(office)
    with office.act() as act:
        shown = {one.uid: one for one in read(act, who).tags}
    assert set(shown) == set(uids)
    assert {one.ticket for one in shown.values()} == {1, 2, 3, 4}
    wearers = {one.uid: one.customer_id for one in query(office.database, tables.tag)}
    assert len(set(wearers.values())) == 4, "one active tag each"
    with office.act() as act:
        tags.ban(act, shown[uids[2]].id, banned=True)
    assert [tapped(office, uid) for uid in uids] == [
        Reason.NONE, Reason.NONE, Reason.BANNED_TAG, Reason.NONE,
    ]  # fmt: skip
    with office.act() as act:
        (stranger,) = read(act, wearers[uids[1]]).tags
    assert stranger.uid == uids[1], "and nobody else's page shows the buyer's"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_in_whatever_order_binds_come_in_the_same_tags_open(
    office: BoxOffice, order: tuple[int, ...]
) -> None:
    """One ticket to two tags, and one tag to two tickets, each at two stations that were cut off."""
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    came = (
        lambda: bound(office, 1, UID, 5),
        lambda: bound(office, 1, OTHER_UID, 7, gate=OTHER_STATION),
        lambda: bound(office, 2, UID, 9, gate=OTHER_STATION),
    )
    for one in order:
        came[one]()
        settle(office)
    assert settle(office) == [State.HOLDS, State.TICKET_BOUND, State.TAG_TAKEN]
    assert (tapped(office, UID), opens(office, 1), opens(office, 2)) == (
        Reason.NONE,
        Reason.REPLACED,
        Reason.NONE,
    )
    assert tapped(office, OTHER_UID) in {Reason.INACTIVE_TAG, Reason.UNKNOWN}
    told = {(one.gate_id, one.what) for one in query(office.database, gates.trouble)}
    assert told == {(OTHER_STATION, "ticket_bound"), (OTHER_STATION, "tag_taken")}


@pytest.mark.parametrize("taken_back", [False, True])
def test_a_banned_tag_stays_banned_whosever_it_becomes(office: BoxOffice, taken_back: bool) -> None:
    """By an older bind that comes in late, or by a later one, since a steward took back the older."""
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    one, other = Station(office), Station(office, OTHER_STATION)
    log, away = one.run(11), other.run(21)
    wrong = one.bind(log, 1, UID, 5)
    other.bind(away, 2, UID, 7)
    for first in (log, away) if taken_back else (away,):
        (one if first is log else other).push(first)
        settle(office)
    (tag,) = query(office.database, tables.tag)
    with office.act() as act:
        tags.ban(act, tag.id, banned=True)
    assert tapped(office, UID) is Reason.BANNED_TAG
    if taken_back:
        log = one.run(12)
        one.undo(log, 1, wrong, 9)
    one.push(log)
    settle(office)
    settle(office)
    (tag,) = query(office.database, tables.tag)
    assert (tag.ticket, tag.active, tag.banned) == (2 if taken_back else 1, True, True)
    assert tapped(office, UID) in {Reason.BANNED_TAG, Reason.REPLACED}, (
        "of what it was taken off it is told too"
    )
    with office.act() as act:
        tags.ban(act, tag.id, banned=False)
    assert tapped(office, UID) is Reason.NONE


def test_a_tag_that_the_centre_gave_to_somebody_stays_theirs(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    who = ada(office, 2)
    with office.act() as act:
        tags.assign(act, who, FIRST, UID)
    bound(office, 1, UID, 5)
    assert settle(office) == [State.TAG_TAKEN]
    assert (opens(office, 1), tapped(office, UID)) == (Reason.NONE, Reason.NONE)


def test_what_is_not_known_here_is_told_and_changes_nothing(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY))
    before = office.versions()[FIRST]
    bound(office, 9, UID, 5)
    bound(office, 1, UID, 7, digest_of=OTHER_UID)
    assert settle(office) == [State.UNKNOWN, State.UNKNOWN]
    assert opens(office, 1) is Reason.NONE
    assert query(office.database, tables.tag) == []
    assert {one.what for one in query(office.database, gates.trouble)} == {"bound_unknown"}
    assert office.versions()[FIRST] >= before


@pytest.mark.parametrize("cut", [False, True])
def test_a_station_s_record_comes_in_once_also_cut_from_its_tag(office: BoxOffice, cut: bool) -> None:
    office.buy(Wanted(FIRST, DAY))
    log = EpochLog(Epoch(2**64 - 9), GateId(STATION)).begin(ROOT)
    seq = len(log.blobs) + 1
    subject = ticket_subject(FIRST, TicketId(1), DAY)
    log.add(
        Record(
            Kind.BIND, seq, 5_000_000, 0, flags=Flag.TICKET, subject=subject, trust=Trust.SYNCED
        ).to_bytes()
    )
    tag = digest(CredentialKind.UID, bytes.fromhex(UID), DIGEST_KEY)
    code = ticket_digest(FIRST, TicketId(1), DIGEST_KEY)
    payload = pack_bound(Bound(bytes.fromhex(UID), tag, code))
    log.add(ExtensionRecord(Extension.BOUND, seq + 1, payload).to_bytes())
    log.sign()
    for last in (seq, None) if cut else (None, None):
        with office.database.writing() as connection:
            ingest.take(connection, log.gate, PUBLIC.public_bytes_raw(), Push((log.chunk(1, last),)), NOW_S)
    assert settle(office) == [State.HOLDS]
    assert (tapped(office, UID), opens(office, 1)) == (Reason.NONE, Reason.REPLACED)


class Station:
    """A check-in station's log, and what of it came in."""

    def __init__(self, office: BoxOffice, gate: int = STATION) -> None:
        self.office, self.gate = office, GateId(gate)

    def run(self, epoch: int) -> EpochLog:
        return EpochLog(Epoch(epoch), self.gate).begin(ROOT)

    def bind(self, log: EpochLog, ticket: int, uid: str, at: int, code: bytes = b"") -> RecordId:
        tag = digest(CredentialKind.UID, bytes.fromhex(uid), DIGEST_KEY)
        code = code or ticket_digest(FIRST, TicketId(ticket), DIGEST_KEY)
        payload = pack_bound(Bound(bytes.fromhex(uid), tag, code))
        return self._add(log, Kind.BIND, ticket, at, Extension.BOUND, payload)

    def undo(self, log: EpochLog, ticket: int, name: RecordId, at: int) -> None:
        self._add(log, Kind.ANNUL, ticket, at, Extension.OBSERVED, pack_record_ids((name,))[0])

    def _add(
        self, log: EpochLog, kind: Kind, ticket: int, at: int, extension: Extension, payload: bytes
    ) -> RecordId:
        seq = len(log.blobs) + 1
        subject = ticket_subject(FIRST, TicketId(ticket), DAY)
        body = Record(kind, seq, at * 1_000_000, 0, flags=Flag.TICKET, subject=subject, trust=Trust.SYNCED)
        log.add(body.to_bytes())
        log.add(ExtensionRecord(extension, seq + 1, payload).to_bytes())
        return RecordId(self.gate, log.epoch, seq)

    def push(self, log: EpochLog) -> None:
        log.sign()
        with self.office.database.writing() as connection:
            ingest.take(connection, log.gate, PUBLIC.public_bytes_raw(), Push((log.chunk(1, None),)), NOW_S)


@pytest.mark.parametrize("order", ["settled between", "at once", "what takes it back comes first"])
def test_what_a_station_took_back_is_nobody_s_tag_and_the_code_opens(office: BoxOffice, order: str) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    station = Station(office)
    first, later = station.run(11), station.run(12)
    wrong = station.bind(first, 1, UID, 5)
    station.undo(later, 1, wrong, 8)
    station.bind(later, 2, UID, 9)
    for log in (later, first) if order == "what takes it back comes first" else (first, later):
        station.push(log)
        if order != "at once":
            settle(office)
    settle(office)
    assert {(one.ticket, State(one.state)) for one in query(office.database, gates.bind)} == {
        (1, State.TAKEN_BACK), (2, State.HOLDS),
    }  # fmt: skip
    assert (opens(office, 1), opens(office, 2), tapped(office, UID)) == (
        Reason.NONE, Reason.REPLACED, Reason.NONE,
    )  # fmt: skip
    (tag,) = query(office.database, tables.tag)
    assert (tag.ticket, tag.active) == (2, True)


def test_what_a_station_took_back_the_box_office_gives_to_somebody(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    station = Station(office)
    log, later = station.run(11), station.run(12)
    wrong = station.bind(log, 1, UID, 5)
    station.push(log)
    settle(office)
    number = ada(office, 2)
    with pytest.raises(Refused) as found, office.act() as act:
        tags.assign(act, number, FIRST, UID)
    assert found.value.code == "tag_taken"
    station.undo(later, 1, wrong, 8)
    station.push(later)
    settle(office)
    with office.act() as act:
        tags.assign(act, number, FIRST, UID)
    assert (opens(office, 1), opens(office, 2), tapped(office, UID)) == (
        Reason.NONE, Reason.NONE, Reason.NONE,
    )  # fmt: skip
    (tag,) = query(office.database, tables.tag)
    assert (tag.customer_id, tag.ticket, tag.active) == (number, 0, True)


def test_who_lost_the_tag_to_a_bind_that_is_taken_back_has_it(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    one, other = Station(office), Station(office, OTHER_STATION)
    log, away = one.run(11), other.run(21)
    wrong = one.bind(log, 1, UID, 5)
    other.bind(away, 2, UID, 7)
    one.push(log)
    other.push(away)
    settle(office)
    assert (opens(office, 1), opens(office, 2)) == (Reason.REPLACED, Reason.NONE)
    undoing = one.run(12)
    one.undo(undoing, 1, wrong, 9)
    one.push(undoing)
    settle(office)
    settle(office)
    assert (opens(office, 1), opens(office, 2), tapped(office, UID)) == (
        Reason.NONE, Reason.REPLACED, Reason.NONE,
    )  # fmt: skip


@pytest.mark.parametrize("reissued", [False, True])
def test_a_code_that_was_reissued_meanwhile_stays_replaced_when_its_bind_is_taken_back(
    office: BoxOffice, reissued: bool
) -> None:
    """A ticket with another shop's code is bound, then reissued at the office; then the station's steward undoes the bind."""
    paper = "FOREIGN-CODE-0007"
    foreign, ref = digest(CredentialKind.OPAQUE, paper.encode(), DIGEST_KEY), (FIRST, TicketId(7))
    with office.act() as act, act.changing([FIRST]):
        rows.add_tickets(
            act.connection,
            FIRST,
            [Ticket(ref[1], FIRST, DAY)],
            [rows.NewCredential(ref[1], foreign, CredentialKind.OPAQUE, paper)],
        )
    station = Station(office)
    log = station.run(11)
    wrong = station.bind(log, 7, UID, 5, foreign)
    station.push(log)
    settle(office)
    assert (office.gate(paper)[1], tapped(office, UID)) == (Reason.REPLACED, Reason.NONE)
    if reissued:
        with office.act() as act:
            assert exchange.reissue(act, ref) == ref
    undoing = station.run(12)
    station.undo(undoing, 7, wrong, 9)
    station.push(undoing)
    settle(office)
    assert office.gate(paper)[1] is (Reason.REPLACED if reissued else Reason.NONE)
    assert tapped(office, UID) is not Reason.NONE
    if reissued:
        assert opens(office, 7) is Reason.NONE, "the new paper does"
