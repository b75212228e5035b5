"""A gate's keys rolled because the centre asks: over HTTP on both engines, step by step, and whatever tries to get between."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.enrolment import Enrolment
from sync import demo
from sync.accounts.principal import Role
from sync.events.rows import GROUP
from sync.gates import own_log, replica
from sync.gates.published import ROLLS_LOOK_S
from sync.wire.deltas import read_settings
from sync.wire.gate_keys import KeyOffer, RollAsked, make_offer
from sync.wire.messages import fingerprint_of
from sync.wire.roster import FormerKey, Roster, read_roster
from sync.wire.sealed import SealedRefused, unseal
from sync.wire.snapshots import Manifest
from tests.postgres import Postgres
from tests.sync.conftest import Home
from tests.sync.people import Caller, token_of
from tests.sync.requests import Answer, GateClient
from tests.sync.test_fleet import GATE
from tests.sync.test_streams import ended, opened, replica_of
from tests.sync.venue import NOW_S, Venue, query, venue_at

ROLLS, KEYS = f"{GATE}/rolls", "/api/v1/gate/keys"


@pytest.fixture
async def venue(home: Home) -> AsyncIterator[Venue]:
    async with venue_at(home.data / "centre", home.url) as made:
        yield made


@pytest.fixture
async def organizer(venue: Venue) -> AsyncIterator[Caller]:
    async with Caller(venue.url, token_of(venue.centre.database, Role.ORGANIZER)) as made:
        yield made


@dataclass
class Pair:
    """Two private keys of a gate."""

    signing: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sealing: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    @property
    def public(self) -> bytes:
        return self.signing.public_key().public_bytes_raw()

    def offer(self, asked: RollAsked, box: Enrolment) -> bytes:
        made = make_offer(box.gate, asked, box.public, self.signing, self.sealing)
        return msgspec.msgpack.encode(made)

    def client(self, gate: GateClient) -> GateClient:
        """The gate's requests, signed by the new key."""
        return GateClient(gate.url, gate.gate, self.signing, gate.now_s)


async def told(venue: Venue, gate: GateClient) -> Manifest:
    venue.mono_now_s = venue.mono_s() + ROLLS_LOOK_S  # who is asked is looked at anew
    answer = await gate.ask("GET", "/api/v1/gate/manifest")
    assert answer.status == 200, answer.body
    return msgspec.msgpack.decode(answer.body, type=Manifest)


async def asked(venue: Venue, gate: GateClient, organizer: Caller) -> RollAsked:
    """Ask the gate for new keys, and have it hear of it."""
    said = await organizer.ask("POST", ROLLS)
    assert (said.status, said.json["roll"]) == (201, "asked"), said.body
    order = (await told(venue, gate)).roll
    assert order is not None
    return order


async def roster(venue: Venue, gate: GateClient) -> Roster:
    answer = await gate.ask("GET", "/api/v1/gate/roster")
    return read_roster(answer.body, venue.centre.keys.roster_key.public_key(), GROUP)


async def settled_keys(venue: Venue, gate: GateClient) -> dict[int, bytes]:
    """The gates' keys as settings have them, which is how neighbours know each other."""
    answer = await gate.ask("GET", "/api/v1/gate/settings")
    head = read_settings(answer.body, venue.centre.keys.list_key.public_key()).head
    return {one.id: one.public for one in head.gates}


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.problem["title"]) == (status, code), answer.body


async def test_from_the_order_to_the_new_key(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller
) -> None:
    assert (await told(venue, gate)).roll is None
    stream = await opened(gate)
    venue.now_s += 10
    order = await asked(venue, gate, organizer)
    assert (await told(venue, gate)).roll == order, "until it is carried out"
    new = Pair()
    assert (await gate.ask("POST", KEYS, new.offer(order, box))).status == 200
    shown = (await organizer.ask("GET", GATE)).json
    assert (shown["roll"], shown["roll_asked_s"], shown["keys_s"]) == ("offered", venue.now_s, NOW_S)
    # Nothing has changed for anybody before the gate signs with it.
    assert (await gate.ask("GET", "/api/v1/gate/have")).status == 200
    assert [(one.public, one.sealing) for one in (await roster(venue, gate)).gates] == [
        (box.public, box.sealing.public_key().public_bytes_raw())
    ]
    venue.now_s += 5
    async with new.client(gate) as changed:
        manifest = await told(venue, changed)
        assert (manifest.roll, manifest.group) == (None, GROUP)
        unseal(manifest.secrets, GROUP, box.gate, new.sealing)
        with pytest.raises(SealedRefused):
            unseal(manifest.secrets, GROUP, box.gate, box.sealing)
        after = await roster(venue, changed)
        assert [one.public for one in after.gates] == [new.public]
        assert after.former == (FormerKey(box.gate, box.public, venue.now_s),)
        async with asyncio.timeout(20):  # settings are as of the centre's last look at the tables
            while (await settled_keys(venue, changed))[box.gate] != new.public:
                pass
        refused(await gate.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
    await ended(stream)  # that the key of before had opened
    shown = (await organizer.ask("GET", GATE)).json
    assert (shown["state"], shown["roll"], shown["keys_s"]) == ("enrolled", "done", venue.now_s)
    device, other = (await organizer.ask("GET", f"/api/v1/groups/{GROUP}/devices")).json["items"]
    assert (device["roll"], other["roll"]) == ("done", "")
    entries = query(
        venue, "SELECT actor_kind, actor_id, what, subject, at_s, detail FROM audit_log ORDER BY id"
    )
    (by_whom, by_gate) = [
        one for one in entries if str(one[2]).startswith("gate.") and one[3] == str(box.gate)
    ]
    assert by_whom[:5] == ("token", 1, "gate.roll", str(box.gate), venue.now_s - 5)
    assert by_gate[:5] == ("gate", box.gate, "gate.keys", str(box.gate), venue.now_s)
    assert msgspec.json.decode(str(by_gate[5])) == {
        "order": order.number, "key": fingerprint_of(new.public), "before": fingerprint_of(box.public),
    }  # fmt: skip


async def test_asking_again_is_asking_once_until_it_is_done(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller
) -> None:
    order = await asked(venue, gate, organizer)
    venue.now_s += 100
    assert await asked(venue, gate, organizer) == order
    new = Pair()
    gate.now_s = venue.now_s
    await gate.ask("POST", KEYS, new.offer(order, box))
    assert (await organizer.ask("POST", ROLLS)).json["roll"] == "offered"
    assert query(venue, "SELECT count(*) FROM audit_log WHERE what = 'gate.roll'") == [(1,)]
    async with new.client(gate) as changed:
        assert (await told(venue, changed)).roll is None
        again = await asked(venue, changed, organizer)
    assert again.number > order.number
    assert again.challenge != order.challenge
    assert query(venue, "SELECT count(*) FROM audit_log WHERE what = 'gate.roll'") == [(2,)]


async def test_who_may_not_ask_and_who_cannot_be_asked(
    venue: Venue, gate: GateClient, organizer: Caller
) -> None:
    async with Caller(venue.url, token_of(venue.centre.database, Role.BOX_OFFICE)) as clerk:
        assert (await clerk.ask("POST", ROLLS)).code == "role"
    said = await organizer.ask("POST", f"/api/v1/gates/{demo.TERRACE_GATE}/rolls")
    assert (said.status, said.code) == (409, "no_box")
    with venue.centre.database.writing() as connection:
        of_api = own_log.begin(connection, GROUP, replica.key_of(bytes(32), GROUP), NOW_S * 10**6).at.gate
    said = await organizer.ask("POST", f"/api/v1/gates/{of_api}/rolls")
    assert (said.status, said.code) == (409, "no_box"), "a replica of the centre is no box"


async def test_what_is_forged_or_not_asked_for_is_refused_and_changes_nothing(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller
) -> None:
    new, thief = Pair(), Pair()
    unasked = RollAsked(NOW_S, X25519PrivateKey.generate().public_key().public_bytes_raw())
    refused(await gate.ask("POST", KEYS, new.offer(unasked, box)), 409, "roll_not_asked")
    order = await asked(venue, gate, organizer)
    good = new.offer(order, box)
    offered = msgspec.msgpack.decode(good, type=KeyOffer)
    for altered in (
        msgspec.structs.replace(offered, public=thief.public),
        msgspec.structs.replace(offered, sealing=thief.sealing.public_key().public_bytes_raw()),
        msgspec.structs.replace(offered, proof=bytes(64)),
        msgspec.structs.replace(offered, opened=bytes(32)),
        msgspec.structs.replace(offered, sealing=bytes(32)),
        make_offer(box.gate, unasked, box.public, new.signing, new.sealing),
        make_offer(box.gate, order, thief.public, new.signing, new.sealing),
        make_offer(demo.TERRACE_GATE, order, box.public, new.signing, new.sealing),
    ):
        answer = await gate.ask("POST", KEYS, msgspec.msgpack.encode(altered))
        refused(answer, 409, "roll_not_proved" if altered.number == order.number else "roll_not_asked")
    wrong = msgspec.structs.replace(offered, number=order.number + 1)
    refused(await gate.ask("POST", KEYS, msgspec.msgpack.encode(wrong)), 409, "roll_not_asked")
    same = Pair(box.key, new.sealing)
    refused(await gate.ask("POST", KEYS, same.offer(order, box)), 409, "roll_not_new")
    for body in (b"", b"nonsense", msgspec.msgpack.encode(offered) * 9, bytes(10_000)):
        refused(await gate.ask("POST", KEYS, body), 400, "malformed")
    # Nor from anybody whose request the present key did not sign, whatever keys it offers.
    async with thief.client(gate) as stranger, new.client(gate) as early:
        refused(await stranger.ask("POST", KEYS, thief.offer(order, box)), 401, "unknown_gate")
        refused(await early.ask("POST", KEYS, good), 401, "unknown_gate")
        refused(await gate.ask("POST", KEYS, good, signed_body=thief.offer(order, box)), 401, "unknown_gate")
        assert (await organizer.ask("GET", GATE)).json["roll"] == "asked"
        assert (await gate.ask("POST", KEYS, good)).status == 200
        refused(await stranger.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
        early.now_s -= 3600
        refused(await early.ask("GET", "/api/v1/gate/have"), 401, "wrong_time")
        assert (await organizer.ask("GET", GATE)).json["roll"] == "offered", "an old request takes nothing"
        early.now_s += 3600
        assert (await early.ask("GET", "/api/v1/gate/have")).status == 200
        # A key that was the gate's is no new one.
        again = await asked(venue, early, organizer)
        back = Pair(box.key)
        former = make_offer(box.gate, again, new.public, back.signing, back.sealing)
        refused(await early.ask("POST", KEYS, msgspec.msgpack.encode(former)), 409, "roll_not_new")


async def played(gate: GateClient, headers: dict[str, str], body: bytes) -> int:
    """Send a request as it was heard on the line."""
    async with gate.session.post(gate.url + KEYS, data=BytesIO(body), headers=headers) as response:
        return response.status


async def test_what_is_played_again_or_comes_late_changes_nothing(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller
) -> None:
    order = await asked(venue, gate, organizer)
    first, second = Pair(), Pair()
    heard = first.offer(order, box)
    headers = gate.headers("POST", KEYS, heard)
    assert await played(gate, headers, heard) == 200
    assert await played(gate, headers, heard) == 200, "the same again is the same"
    # The box was cut off before it had an answer, made other keys, and has them on its disk.
    refused(await gate.ask("POST", KEYS, second.offer(order, box)), 409, "roll_offered")
    gate.now_s += 1
    assert (await gate.ask("POST", KEYS, second.offer(order, box))).status == 200
    assert await played(gate, headers, heard) == 409
    async with first.client(gate) as lost, second.client(gate) as changed:
        refused(await lost.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
        assert (await changed.ask("GET", "/api/v1/gate/have")).status == 200
        later = await asked(venue, changed, organizer)
        for body in (heard, second.offer(order, box), second.offer(later, box)):
            assert await played(changed, gate.headers("POST", KEYS, body), body) == 401, (
                "by the key of before"
            )
        assert await played(changed, headers, heard) == 401
        refused(await changed.ask("POST", KEYS, heard), 409, "roll_not_asked")
        assert (await organizer.ask("GET", GATE)).json["roll"] == "asked"


@pytest.mark.parametrize("how", ["revoked", "enrolled"])
async def test_an_offer_is_void_once_the_gate_is_shut_out_or_another_box(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller, tmp_path: Path, how: str
) -> None:
    order = await asked(venue, gate, organizer)
    new = Pair()
    assert (await gate.ask("POST", KEYS, new.offer(order, box))).status == 200
    if how == "revoked":
        said = await organizer.ask("POST", f"{GATE}/revocations", {"reason": "stolen"})
        assert (said.status, said.json["roll"], said.json["keys_s"]) == (200, "", 0)
    else:
        own = await venue.enrolled(tmp_path / "another box")
    async with new.client(gate) as changed:
        refused(await changed.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
        refused(await gate.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
        if how == "revoked":
            own = await venue.enrolled(tmp_path / "another box")
        refused(await changed.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
    async with GateClient(venue.url, own.gate, own.key) as other:
        assert (await told(venue, other)).roll is None
        assert (await organizer.ask("GET", GATE)).json["roll"] == ""
        newer = await asked(venue, other, organizer)
        refused(await other.ask("POST", KEYS, new.offer(order, box)), 409, "roll_not_proved")
        assert (await other.ask("POST", KEYS, new.offer(newer, own))).status == 200


async def test_all_that_a_gate_asks_at_once_with_its_new_key_is_answered(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller
) -> None:
    order = await asked(venue, gate, organizer)
    new = Pair()
    await gate.ask("POST", KEYS, new.offer(order, box))
    async with new.client(gate) as changed:
        targets = ["have", "manifest", "roster", "settings", "have", "manifest"] * 3
        answers = await asyncio.gather(*(changed.ask("GET", f"/api/v1/gate/{target}") for target in targets))
    assert {one.status for one in answers} == {200}
    assert query(venue, "SELECT count(*) FROM audit_log WHERE what = 'gate.keys'") == [(1,)]
    assert query(venue, "SELECT count(*) FROM former_key") == [(1,)]


async def test_a_box_that_lost_its_place_by_a_restart_of_the_centre_goes_on(
    venue: Venue, gate: GateClient, box: Enrolment, organizer: Caller
) -> None:
    order = await asked(venue, gate, organizer)
    new = Pair()
    await gate.ask("POST", KEYS, new.offer(order, box))
    await venue.stop()
    await venue.start()
    assert (await told(venue, gate)).roll == order, "every run of the centre makes the same challenge"
    async with new.client(gate) as changed:
        assert (await told(venue, changed)).roll is None


async def test_either_replica_asks_takes_the_offer_and_meets_the_key(
    server: Postgres, tmp_path: Path
) -> None:
    url = server.make("rolls", "migrated")
    async with (
        venue_at(tmp_path / "first", url) as venue,
        replica_of(venue, tmp_path / "second") as second,
        Caller(venue.url, token_of(venue.centre.database, Role.ORGANIZER)) as organizer,
    ):
        box, new = await venue.enrolled(tmp_path / "box"), Pair()
        async with (
            GateClient(venue.url, box.gate, box.key) as here,
            GateClient(second, box.gate, box.key) as there,
        ):
            order = await asked(venue, here, organizer)
            assert (await there.ask("POST", KEYS, new.offer(order, box))).status == 200
            async with new.client(here) as one, new.client(there) as other:
                answers = await asyncio.gather(
                    *(client.ask("GET", "/api/v1/gate/have") for client in (one, other) * 6)
                )
                assert {one.status for one in answers} == {200}
                for client in (here, there):
                    refused(await client.ask("GET", "/api/v1/gate/have"), 401, "unknown_gate")
        assert query(venue, "SELECT count(*) FROM audit_log WHERE what = 'gate.keys'") == [(1,)]
    server.drop("rolls")
