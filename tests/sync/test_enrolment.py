"""How a box joins a centre over real HTTP: codes, proofs, pins, and who takes whose place."""

import asyncio
import os
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.enrol import EnrolFailed, enrol
from edge.enrolment import Enrolment, NotEnrolled, load
from sync.wire.messages import (
    CODE_TRIES,
    Enrol,
    enrol_text,
    fingerprint_of,
)
from tests.sync.logs import OTHER_KEY
from tests.sync.requests import GateClient
from tests.sync.venue import Venue, query

ENROL, HAVE = "/api/v1/gate/enrol", "/api/v1/gate/have"


async def try_enrol(venue: Venue, box: Path, code: str, url: str = "") -> Enrolment:
    return await asyncio.to_thread(enrol, box, url or venue.url, code, "box")


async def test_a_code_serves_once(venue: Venue, tmp_path: Path) -> None:
    code = venue.code()
    first = await try_enrol(venue, tmp_path / "one", f" {code[:4].lower()}-{code[4:].lower()} ")
    assert load(tmp_path / "one") == first
    with pytest.raises(EnrolFailed, match="403") as failed:
        await try_enrol(venue, tmp_path / "two", code)
    assert "gatehouse-sync gate code" in failed.value.hint
    with pytest.raises(NotEnrolled):
        load(tmp_path / "two")
    assert query(venue, "SELECT public FROM gate WHERE id = 1") == [(first.public,)]


async def test_a_code_ends_after_15_minutes(venue: Venue, tmp_path: Path) -> None:
    code = venue.code()
    venue.now_s += 15 * 60
    with pytest.raises(EnrolFailed):
        await try_enrol(venue, tmp_path / "box", code)
    code = venue.code()
    venue.now_s += 15 * 60 - 1
    await try_enrol(venue, tmp_path / "box", code)


def asking(code: str, other: dict[str, object] | None = None) -> bytes:
    """An enrolment of the right form; `other` spoils it after it was proved."""
    key = OTHER_KEY
    public, sealing = key.public_key().public_bytes_raw(), bytes(32)
    made = Enrol(
        code=code,
        name="box",
        public=public,
        sealing=sealing,
        proof=key.sign(enrol_text(code, public, sealing)),
    )
    return msgspec.json.encode(msgspec.structs.replace(made, **(other or {})))


async def test_guesses_are_paced_and_void_nobodys_code(venue: Venue, tmp_path: Path) -> None:
    code, at_s = venue.code(), time.monotonic() + 100.0
    wrong = "0" * 8 if code != "0" * 8 else "1" * 8
    async with GateClient(venue.url, 1, OTHER_KEY) as client:
        for second in range(3):
            venue.mono_now_s = at_s + second
            answers = [await client.ask("POST", ENROL, asking(wrong)) for _ in range(7)]
            assert [one.status for one in answers] == [403] * 5 + [503] * 2
            assert int(answers[-1].headers["Retry-After"]) > 0
    assert query(venue, "SELECT tries_left FROM enrolment_code") == [(CODE_TRIES,)]
    venue.mono_now_s = at_s + 4
    await try_enrol(venue, tmp_path / "box", code)


async def test_a_code_without_the_proof_is_void_after_a_few_tries_and_no_other_with_it(
    venue: Venue, tmp_path: Path
) -> None:
    code, other, at_s = venue.code(), venue.code("Terrace gate"), time.monotonic()
    async with GateClient(venue.url, 1, OTHER_KEY) as client:
        for second in range(1, CODE_TRIES + 1):
            venue.mono_now_s = at_s + second
            assert (await client.ask("POST", ENROL, asking(code, {"proof": bytes(64)}))).status == 403
    left = query(venue, "SELECT gate_id, tries_left FROM enrolment_code ORDER BY gate_id")
    assert left == [(1, 0), (2, CODE_TRIES)]
    with pytest.raises(EnrolFailed, match="403"):
        await try_enrol(venue, tmp_path / "box", code)
    await try_enrol(venue, tmp_path / "box", other)


@pytest.mark.parametrize(
    "other", [{"public": b"\xff" * 31}, {"sealing": b""}, {"code": "!" * 8}, {"code": ""}]
)
async def test_an_enrolment_of_another_form_is_refused(venue: Venue, other: dict[str, object]) -> None:
    async with GateClient(venue.url, 1, OTHER_KEY) as client:
        assert (await client.ask("POST", ENROL, asking(venue.code(), other))).status == 403
    assert query(venue, "SELECT tries_left FROM enrolment_code") == [(CODE_TRIES,)]


@pytest.mark.parametrize("host", ["10.0.0.7:8080", "centre.example", "[2001:db8::1]:80", "127.0.0.1.example"])
def test_a_code_never_goes_out_in_the_clear(tmp_path: Path, host: str) -> None:
    with pytest.raises(EnrolFailed, match="not encrypted") as failed:
        enrol(tmp_path / "box", f"http://{host}", "00000000", "box")
    assert f"https://{host}" in failed.value.hint


async def test_a_new_code_voids_the_gates_older_one(venue: Venue, tmp_path: Path) -> None:
    first, second = venue.code(), venue.code()
    with pytest.raises(EnrolFailed):
        await try_enrol(venue, tmp_path / "box", first)
    await try_enrol(venue, tmp_path / "box", second)


@pytest.mark.parametrize("spoil", ["other key", "other code", "other sealing key", "short key"])
async def test_a_box_must_prove_that_it_holds_its_key(venue: Venue, spoil: str) -> None:
    code, key, sealing = venue.code(), Ed25519PrivateKey.generate(), os.urandom(32)
    public = key.public_key().public_bytes_raw()
    proof = (OTHER_KEY if spoil == "other key" else key).sign(
        enrol_text("00000000" if spoil == "other code" else code, public, sealing)
    )
    asked = Enrol(
        code=code,
        name="box",
        public=public[:31] if spoil == "short key" else public,
        sealing=os.urandom(32) if spoil == "other sealing key" else sealing,
        proof=proof,
    )
    async with GateClient(venue.url, 1, key) as client:
        answer = await client.ask("POST", "/api/v1/gate/enrol", msgspec.json.encode(asked))
    assert (answer.status, answer.problem["title"]) == (403, "code_refused")
    assert query(venue, "SELECT count(*) FROM gate WHERE public IS NOT NULL") == [(0,)]


async def test_the_fingerprint_pins_the_centre(venue: Venue, tmp_path: Path) -> None:
    genuine = fingerprint_of(venue.centre.keys.identity_key.public_key().public_bytes_raw())
    with pytest.raises(EnrolFailed, match="fingerprint"):
        await try_enrol(venue, tmp_path / "box", venue.code(), f"{venue.url}#{'0' * 32}")
    made = await try_enrol(venue, tmp_path / "box", venue.code(), f"{venue.url}#{genuine}")
    assert made.centre_url == venue.url


@pytest.mark.parametrize(
    ("url", "code"),
    [("", "SHORT"), ("ftp://localhost", "00000000"), ("http://", "00000000"), ("http://[::1", "00000000"), ("http://127.0.0.1:1", "00000000")],
)  # fmt: skip
async def test_what_cannot_be_joined_is_said_with_the_next_step(
    venue: Venue, tmp_path: Path, url: str, code: str
) -> None:
    with pytest.raises(EnrolFailed) as failed:
        await try_enrol(venue, tmp_path / "box", code, url)
    assert failed.value.hint
    assert not (tmp_path / "box").exists()


QR = {
    "another centre": "{url}#" + "0" * 32,
    "a piece of the fingerprint": "{url}#{pin:.8}",
    "the fingerprint twice": "{url}#{pin}#{pin}",
    "no centre": "#{pin}",
    "a user in the address": "http://centre.example@{host}#{pin}",
    "another name behind it": "http://{host}.evil.example#{pin}",
    "a line break": "http://{host}/\r\nX-Gatehouse: 1#{pin}",
    "a null byte": "http://{host}/\0#{pin}",
    "a file": "file:///etc/passwd#{pin}",
    "a script": "javascript:alert(1)#{pin}",
    "a port that is none": "http://127.0.0.1:99999#{pin}",
    "in the clear to elsewhere": "http://192.0.2.1:80#{pin}",
    "very long": "http://127.0.0.1/" + "a" * 100_000 + "#{pin}",
    "right to left": "http://\u202e{host}#{pin}",
}
"""What a code on a poster might say instead of what the centre printed."""


@pytest.mark.parametrize("kind", QR)
async def test_a_hostile_picture_joins_no_box_and_gives_nothing_away(
    venue: Venue, tmp_path: Path, kind: str
) -> None:
    pin = fingerprint_of(venue.centre.keys.identity_key.public_key().public_bytes_raw())
    text = QR[kind].format(url=venue.url, host=venue.url.removeprefix("http://"), pin=pin)
    with pytest.raises(EnrolFailed) as failed:
        await try_enrol(venue, tmp_path / "box", venue.code(), text)
    assert failed.value.hint
    assert not (tmp_path / "box").exists()


async def test_an_enrolled_box_is_not_moved_by_chance(venue: Venue, box: Enrolment, tmp_path: Path) -> None:
    with pytest.raises(EnrolFailed, match="already"):
        await try_enrol(venue, tmp_path / "box", venue.code())
    assert load(tmp_path / "box") == box


async def test_a_box_that_takes_a_gate_over_shuts_the_old_one_out(
    venue: Venue, gate: GateClient, tmp_path: Path
) -> None:
    assert (await gate.ask("GET", HAVE)).status == 200
    await venue.enrolled(tmp_path / "new")
    assert (await gate.ask("GET", HAVE)).status == 401


async def test_who_answers_in_the_place_of_a_centre_with_nesting_without_end_is_refused_with_a_hint(
    tmp_path: Path,
) -> None:
    body = b'{"x":' + b"[" * 60_000

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 400 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}#{'00' * 32}"
    async with server:
        with pytest.raises(EnrolFailed) as failed:
            await asyncio.to_thread(enrol, tmp_path, url, "AAAA2222", "Gate")
    assert failed.value.hint


async def test_an_enrolment_that_is_no_text_is_malformed_and_no_defect(venue: Venue) -> None:
    """Anybody may send one: a trace in the journal for each would fill it."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.url}/api/v1/gate/enrol", data=b'{"code":"\xff"}') as answer,
    ):
        assert answer.status == 400
