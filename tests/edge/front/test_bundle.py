"""The support bundle: what is planted on a box is not in it, what somebody far away needs is."""

import base64
import io
import json
import zipfile
from pathlib import Path

import pytest

from edge.front.bundle import bundle, scrub
from edge.front.pin import new_pin
from edge.link import AdmitByHand, Health, Part
from tests.edge.front.rig import rig
from tests.edge.rig import DIGEST_KEY, GATE_KEY, Gate, code, quick, row, running

TICKET = 87_654_321_012
STEWARD = 4_042_424
REASON = "Vreni Muster, +41 79 555 01 02"
PLANTED = "https://anna:hunter2secret@centre.example, mail anna.muster@example.org, PIN 12345678"


def texts(packed: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        assert file.testzip() is None
        return {name: file.read(name).decode() for name in file.namelist()}


async def busy(gate: Gate) -> None:
    """Somebody was let in by ticket, one by hand with number and reason, one unknown code was refused."""
    await gate.ready()
    await gate.hardware.entry.scan(code(TICKET))
    await gate.walk()
    assert (await gate.do(AdmitByHand(1, 1, 1, STEWARD, REASON))).ok
    await gate.walk()
    await gate.hardware.second.scan(b"SECRETPAPERCODE1234567890")
    await gate.seen(3)
    gate.daemon.board.put(Part.SENSOR, "contacts", Health.DEGRADED, "device.gone", {"what": PLANTED})


async def test_what_is_planted_on_the_box_is_not_in_the_bundle(tmp_path: Path) -> None:
    async with running(tmp_path, [row(TICKET)], adjust=quick) as gate:
        pin = new_pin(gate.data)
        await busy(gate)
        assert await gate.daemon.journal.saved(5)
        packed = bundle(gate.data, gate.daemon.status.full(), connected=True)
    found = texts(packed)
    everything = "\n".join(found.values())
    secrets = [GATE_KEY.private_bytes_raw(), DIGEST_KEY]
    for secret in secrets:
        assert secret not in packed
        assert secret.hex() not in everything
        assert base64.b64encode(secret).decode().rstrip("=") not in everything
    subject = TICKET.to_bytes(8, "big").hex()
    words = [
        pin, str(TICKET), subject, code(TICKET).decode(), "SECRETPAPERCODE", str(STEWARD), f"{STEWARD:08x}",
        "Vreni", "555 01", "hunter2", "anna", "example.org", "12345678",
    ]  # fmt: skip
    assert [one for one in words if one in everything] == []
    records = [json.loads(line) for line in found["records.jsonl"].splitlines()]
    kinds = [one.get("kind") for one in records]
    assert {"scan", "passage", "override", "restart"} <= set(kinds)
    assert {"outcome", "direction", "lane", "time_us"} <= set(records[kinds.index("scan")])
    assert json.loads(found["logs.json"])["epochs"][0]["last"] > 0
    assert "enrolment" in found["files.json"]
    assert "sensor contacts: degraded, device.gone" in found["parts.txt"]
    assert json.loads(found["box.json"])["list_rows"] == 1
    assert "gatehouse_records_total" in found["metrics.txt"]


async def test_a_box_whose_lane_is_away_or_whose_log_is_none_gives_what_there_is(tmp_path: Path) -> None:
    found = texts(bundle(tmp_path, None, connected=False))
    assert json.loads(found["box.json"])["lane_process"] is False
    async with rig(tmp_path) as r:
        found = texts(bundle(tmp_path, r.lane.status, connected=True))
        assert json.loads(found["logs.json"]) == {"fault": "missing"}


async def test_it_is_given_behind_the_pin_only(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.get("/api/bundle") as answer:
            assert answer.status == 401
            assert (await answer.json())["code"] == "page.no_session"
        await r.log_in(session)
        async with session.get("/api/bundle") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "application/zip"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="gatehouse-7-')
            found = texts(await answer.read())
        assert r.pin not in "\n".join(found.values())
        linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        async with session.get("/api/bundle", headers=linked) as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Not found or unplugged: /dev/serial/by-id/usb-Honeywell", "Not found or unplugged: /dev/serial/by-id/usb-Honeywell"),
        ("https://u:p@centre.example/x", "https:[removed]centre.example/x"),
        ("a TK1MFRGGZDFMZTWQ2LK b", "a [removed] b"),
        ("pin 12345678, port 8443", "pin [removed], port 8443"),
        ("by anna.muster@example.org!", "by [removed]"),
    ],
)  # fmt: skip
def test_words_are_scrubbed(text: str, said: str) -> None:
    assert scrub(text) == said
