"""The demo venue: every ticket gets the verdict that stands beside it, judged by what the list says."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.codecs import cose
from admission.credentials import Known, Medium, identify
from admission.decide import (
    Candidate,
    ClockFacts,
    LaneFacts,
    Question,
    VenueFacts,
    Verdict,
    decide,
    synthesize,
)
from admission.digests import ticket_digest
from admission.entitlements import LanePlan, Mode, ZoneTree
from admission.ids import GateId
from admission.keys import IssuerKey, KeyFormat, KeyRing, KeyStatus, kid_of
from admission.reasons import Reason
from admission.records import Direction, Outcome, Trust
from sync import compose, demo
from sync.demo import DemoTicket
from sync.events.rows import GROUP
from sync.gates.lists import content
from sync.keys import new_keys
from sync.wire.lists import ListHead, ListRow, pack_list, unpack_list
from tests.sync.venue import NOW_S

TICKETS = {one.key: one for one in demo.demo_venue(NOW_S, new_keys()).presents}


class Door:
    """Asks `decide()` with what a list says, at a gate's lane where nothing happened yet."""

    def __init__(self, head: ListHead, rows: list[ListRow]) -> None:
        self.head = head
        self.rows: dict[bytes, list[ListRow]] = {}
        for row in rows:
            self.rows.setdefault(row.digest, []).append(row)
        self.ring = KeyRing(
            IssuerKey(
                kid_of(key.public), key.public, KeyFormat(key.format), key.event, status=KeyStatus(key.status)
            )
            for key in head.keys
        )
        self.products = {(one.event, one.id): one for one in head.products}
        self.venue = VenueFacts(
            zones=ZoneTree(head.zones),
            sessions={(one.event, one.id): one for one in head.sessions},
            products=self.products,
            list_cut_s={one.id: one.sealed_at_s for one in head.events},
            this_gate=demo.MAIN_GATE,
        )

    def plan(self, lane: int) -> LanePlan:
        return next(
            self.head.plans[i]
            for i in self.head.gate_lanes[demo.MAIN_GATE]
            if self.head.plans[i].lane == lane
        )

    def judge(self, ticket: DemoTicket, lane: int) -> Verdict:
        data = bytes.fromhex(ticket.data) if ticket.medium is Medium.UID else ticket.data.encode()
        identity = identify(data, ticket.medium, self.ring, self.head.digest_key)
        found: list[Candidate] = []
        if isinstance(identity, Known):
            for row in self.rows.get(identity.digest, ()):
                listed = self.head.ticket(row)
                product = self.products[listed.event, listed.product]
                found.append(Candidate(listed, product, credential=row.credential_standing))
            if not found and identity.claims is not None:
                unlisted = synthesize(identity.claims, self.venue)
                found += [unlisted] if unlisted is not None else []
        return decide(
            Question(
                direction=Direction.ENTRY,
                identity=identity,
                candidates=tuple(found),
                lane=LaneFacts(self.plan(lane)),
                venue=self.venue,
                clock=ClockFacts(NOW_S, Trust.SYNCED, NOW_S),
            )
        )


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> tuple[Door, dict[str, DemoTicket]]:
    data = tmp_path_factory.mktemp("centre")
    centre = compose.open_centre(data)
    try:
        assert demo.make_demo(centre.database, centre.keys, data, NOW_S)
        assert not demo.make_demo(centre.database, centre.keys, data, NOW_S)
        with centre.database.reading() as connection:
            head, rows = content(connection, GROUP)
        key = centre.keys.list_key
    finally:
        centre.close()
    sent = unpack_list(pack_list(head, rows, key), key.public_key(), head.digest_key)
    return Door(sent.head, list(sent.rows())), {one.key: one for one in demo.demo_tickets(data)}


@pytest.mark.parametrize("name", TICKETS)
def test_every_demo_ticket_gets_its_verdict(door: tuple[Door, dict[str, DemoTicket]], name: str) -> None:
    at, tickets = door
    verdict = at.judge(tickets[name], 1)
    assert (verdict.outcome, verdict.reason) == (tickets[name].outcome, tickets[name].reason)
    assert (tickets[name].outcome, tickets[name].reason) == (TICKETS[name].outcome, TICKETS[name].reason)


def test_the_demo_shows_what_it_should(door: tuple[Door, dict[str, DemoTicket]]) -> None:
    at, tickets = door
    shown = {one.reason for one in tickets.values()}
    assert shown >= {
        Reason.NONE, Reason.FORGED, Reason.UNKNOWN_ISSUER, Reason.UNKNOWN, Reason.BANNED_TAG, Reason.INACTIVE_TAG,
        Reason.CANCELLED, Reason.REPLACED, Reason.BANNED, Reason.REDEEMED, Reason.UNPAID, Reason.UNAPPROVED,
        Reason.WRONG_EVENT, Reason.WRONG_DATE, Reason.TOO_EARLY, Reason.EXPIRED, Reason.WRONG_ZONE, Reason.UNLISTED,
        Reason.CHECK_REDUCED_FARE,
    }  # fmt: skip
    modes = {min(at.plan(1).mode, one.mode) for one in at.head.products}
    assert modes == set(Mode)
    assert len({one.data for one in tickets.values()}) == len(tickets)
    assert all(one.label_en and one.label_de for one in tickets.values())
    days = {one.day for one in at.head.sessions if one.event == demo.EVENT}
    assert days == {20261122, 20261123}


def test_at_the_second_lane_an_ordinary_ticket_is_in_the_wrong_zone(
    door: tuple[Door, dict[str, DemoTicket]],
) -> None:
    at, tickets = door
    wrong = at.judge(tickets["day"], 2)
    assert (wrong.outcome, wrong.reason, wrong.gate) == (Outcome.DENY, Reason.WRONG_ZONE, demo.MAIN_GATE)
    assert at.judge(tickets["vip"], 2).outcome is Outcome.GRANT
    elsewhere = at.judge(tickets["zone"], 1)
    assert elsewhere.gate == demo.TERRACE_GATE


def test_what_was_sold_stays_the_same_for_the_same_keys() -> None:
    keys = new_keys()
    assert demo.demo_venue(NOW_S, keys) == demo.demo_venue(NOW_S, keys)
    other = demo.demo_venue(NOW_S, new_keys())
    assert other.digest_key != demo.demo_venue(NOW_S, keys).digest_key


def test_the_codes_are_for_their_owner_alone(tmp_path: Path) -> None:
    centre = compose.open_centre(tmp_path / "centre")
    demo.make_demo(centre.database, centre.keys, centre.data, NOW_S)
    centre.close()
    for name in (demo.FILE, "keys.json"):
        assert stat.S_IMODE((centre.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(centre.data.stat().st_mode) == 0o700


def test_a_bulk_list_is_of_the_demo_mix_and_its_tickets_can_be_minted() -> None:
    keys = new_keys()
    made = demo.bulk(20_000, 1, NOW_S, keys)
    file = pack_list(made.head, made.rows, keys.list_key)
    sent = unpack_list(
        file,
        Ed25519PublicKey.from_public_bytes(keys.list_key.public_key().public_bytes_raw()),
        made.head.digest_key,
    )
    rows = list(sent.rows())
    assert rows == sorted(made.rows)
    assert 0.04 < len(rows) / made.tickets - 1 < 0.06
    assert 0.02 < sum(1 for row in rows if row.standing) / len(rows) < 0.04
    by_digest = {row.digest: row for row in rows}
    ring = KeyRing(
        [
            IssuerKey(kid_of(key.public), key.public, KeyFormat(key.format), key.event)
            for key in made.head.keys
        ]
    )
    for number in (1, 2, 50, 19_999):
        claims = demo.bulk_claims(number, NOW_S)
        text = cose.mint(claims, keys.ticket_key)
        identity = identify(text.encode(), Medium.BARCODE, ring, made.head.digest_key)
        assert isinstance(identity, Known)
        assert identity.digest == ticket_digest(demo.EVENT, number, made.head.digest_key)
        ticket = made.head.ticket(by_digest[identity.digest])
        assert (ticket.product, ticket.session, ticket.admits) == (
            claims.product,
            claims.session,
            claims.admits,
        )
        assert ticket.home_gate == GateId(0)
