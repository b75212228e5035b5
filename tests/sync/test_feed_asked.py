"""The merged log over real HTTP: waited for, proved, and told only to gates of the group."""

import asyncio
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from admission.ids import Epoch, GateId
from edge.enrol import enrol
from edge.enrolment import Enrolment
from sync import demo
from sync.accounts.principal import Role
from sync.gates.handlers import Nets
from sync.wire.feed import WAIT_MAX_MS, Ask, Feed, Want, pack_feed, unpack_feed
from sync.wire.messages import PROOF_HEADER, Chunk, Push, answer_text, is_signed
from sync.wire.roster import read_roster
from tests.sync.conftest import Home
from tests.sync.gates import SECOND_NAME, add_second_gate
from tests.sync.logs import EpochLog
from tests.sync.people import Caller, token_of
from tests.sync.requests import GateClient
from tests.sync.venue import NOW_S, Venue, query, venue_at

FEED = "/api/v1/gate/feed"


@pytest.fixture
async def second(venue: Venue, tmp_path: Path) -> Enrolment:
    add_second_gate(venue)
    return await asyncio.to_thread(enrol, tmp_path / "second", venue.url, venue.code(SECOND_NAME), "box")


def log_of(box: Enrolment, epoch: int = 77) -> EpochLog:
    log = EpochLog(Epoch(epoch), box.gate, box.key).begin().scans(20)
    log.sign()
    return log


async def ask(client: GateClient, question: Ask) -> tuple[Feed, tuple[Chunk, ...]]:
    answer = await client.ask("POST", FEED, msgspec.msgpack.encode(question))
    assert answer.status == 200, answer.body
    return unpack_feed(answer.body)


async def test_who_waits_is_told_at_once_and_never_of_its_own(
    venue: Venue, box: Enrolment, gate: GateClient, second: Enrolment
) -> None:
    async with GateClient(venue.url, second.gate, second.key) as other:
        await ask(gate, Ask())
        start, none = await ask(other, Ask())
        assert none == ()
        assert [(one.gate, one.age_ms < 5000) for one in start.heard] == [(box.gate, True)]
        waiting = asyncio.create_task(ask(other, Ask(start.cursor, 10_000)))
        log = log_of(box)
        await gate.push(Push((log.chunk(),)))
        told, chunks = await waiting
        # Where it was answered that both gates are here now: that comes once, a moment after they came.
        if not chunks:
            told, chunks = await ask(other, Ask(told.cursor, 10_000))
        assert [(one.gate, one.epoch, one.blobs) for one in chunks] == [(box.gate, 77, tuple(log.blobs))]
        own, nothing = await ask(gate, Ask())
        assert nothing == ()
        assert own.cursor == told.cursor
        again, nothing = await ask(other, Ask(told.cursor))
        assert (nothing, again.cursor) == ((), told.cursor)
        _, (named,) = await ask(other, Ask(told.cursor, wants=(Want(box.gate, 77, 0),)))
        assert named.blobs == tuple(log.blobs)


SELDOM = Nets(changes_s=600.0, records_s=600.0)
"""Nets so wide that nothing is told but by a signal."""
SOON_S = WAIT_MAX_MS / 2000
"""Half of what a question waits where no signal comes: it would find what there is at its end."""


async def test_who_waits_is_told_of_an_admission_by_api_when_it_is_committed(home: Home) -> None:
    async with venue_at(home.data / "centre", home.url, SELDOM) as venue:
        box = await venue.enrolled(home.data / "box")
        async with (
            GateClient(venue.url, box.gate, box.key) as gate,
            Caller(venue.url, token_of(venue.centre.database, Role.DEVICE)) as scanner,
        ):
            start, _ = await ask(gate, Ask())
            waiting = asyncio.create_task(ask(gate, Ask(start.cursor, WAIT_MAX_MS)))
            await gate.ask("GET", "/api/v1/gate/have")  # by now the question is there
            scan = {"scan_id": "1", "ticket": 1, "zone": demo.ARENA, "session": demo.TODAY}
            said = await scanner.ask("POST", f"/api/v1/events/{demo.EVENT}/redeem", scan)
            assert (said.status, said.json["outcome"]) == (200, "grant"), said.json
            async with asyncio.timeout(SOON_S):
                _, chunks = await waiting
            assert said.json["record"].partition("-")[0] in {str(one.gate) for one in chunks}
            # The replica is a gate of the roster from now on, though nothing is sealed to it.
            answer = await gate.ask("GET", "/api/v1/gate/roster")
            roster = read_roster(answer.body, venue.centre.keys.roster_key.public_key(), box.group)
            assert {one.gate for one in chunks} < {one.id for one in roster.gates}
            assert (await gate.ask("GET", "/api/v1/gate/manifest")).status == 200


async def test_how_long_a_gate_is_behind_is_told_to_the_others(
    venue: Venue, box: Enrolment, gate: GateClient, second: Enrolment
) -> None:
    async with GateClient(venue.url, second.gate, second.key) as other:
        await ask(gate, Ask(behind_s=100))
        told, _ = await ask(other, Ask())
        assert [one.gate for one in told.heard] == [box.gate]
        assert 100_000 <= told.heard[0].age_ms < 200_000
    assert query(venue, "SELECT gate_id, heard_s FROM reading") == [(box.gate, NOW_S - 100)]


async def test_the_answer_is_proved_and_a_bad_question_too(venue: Venue, gate: GateClient) -> None:
    for body, status in ((msgspec.msgpack.encode(Ask()), 200), (b"\xc1", 400), (b"", 400)):
        answer = await gate.ask("POST", FEED, body)
        assert answer.status == status
        text = answer_text(gate.nonce, status, "", sha256(answer.body).digest())
        assert is_signed(
            venue.centre.keys.time_key.public_key(), b64decode(answer.headers[PROOF_HEADER]), text
        )


async def test_a_stranger_reads_nothing(venue: Venue, second: Enrolment) -> None:
    async with GateClient(venue.url, GateId(1), second.key) as thief:
        assert (await thief.ask("POST", FEED, msgspec.msgpack.encode(Ask()))).status == 401


async def test_what_is_no_feed_is_no_answer_of_the_centre() -> None:
    for body in (b"", b"nonsense", pack_feed(b"", (), (), more=False)[:-3]):
        with pytest.raises(ValueError, match=r"feed"):
            unpack_feed(body)
