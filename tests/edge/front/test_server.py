"""The page over real HTTP: what anybody may read, what needs the PIN, and what is refused."""

import asyncio
import contextlib
import gzip
import json
import logging
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from admission.reasons import Language
from edge.config import load
from edge.front.doors import CONNECTIONS_MAX, IDLE_S, PER_ADDRESS_MAX, RECEIVED_BYTES_MAX, listen
from edge.front.perimeter import BURST
from edge.front.pin import FILE as PIN_FILE
from edge.front.pin import TRIES_FILE, TRIES_FREE, TRIES_TOGETHER, PinLock, new_pin
from edge.front.process import FrontSettings
from edge.front.server import PAGE, STREAMS_MAX, STREAMS_PER_ADDRESS_MAX
from edge.front.view import Viewer, scan_view
from edge.front_process import FrontProcess
from edge.link import (
    Acknowledge,
    AdmitByHand,
    After,
    AnnulLast,
    ClearFire,
    Done,
    Health,
    Identify,
    Part,
    Pulse,
    ResetPresence,
    Restart,
    SetState,
    StaffAlert,
)
from tests.edge.front.fake_lane import NOW_S, TICKET, seen, status, tile, with_tile
from tests.edge.front.rig import rig

PAGE_BYTES_MAX = 30 * 1000


async def events(answer: aiohttp.ClientResponse) -> Any:
    """Yield (name, body) of a stream."""
    name = ""
    async for line in answer.content:
        if line.startswith(b"event: "):
            name = line[7:-1].decode()
        elif line.startswith(b"data: "):
            yield name, json.loads(line[6:])


async def test_the_status_says_everything_and_no_ticket(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.get("/api/status?lang=de") as answer:
            assert answer.status == 200
            text = await answer.text()
        body = json.loads(text)
        assert body["verdict"]["word"] == "ready"
        assert body["verdict"]["title"] == "Bereit"
        assert [lane["name"] for lane in body["lanes"]] == ["Nord", "VIP"]
        assert body["tiles"][1]["text"] == "Aktuell: Version 17, 100’000 Einträge"
        assert [scan["display"] for scan in body["scans"]] == [
            "admit", "already_used", "exit", "refused", "check", "wait",
        ]  # fmt: skip
        assert body["session"] is False
        assert TICKET not in text
        await r.log_in(session)
        async with session.get("/api/status") as answer:
            body = await answer.json()
        assert body["session"] is True
        assert body["scans"][0]["ticket"] == TICKET


@pytest.mark.parametrize(
    ("query", "accepts", "title", "reason"),
    [
        ("", "", "Ready", "Goodbye"),
        ("", "de-CH,de;q=0.9,en;q=0.8", "Bereit", "Auf Wiedersehen"),
        ("", "it-CH;q=0.9, en;q=0.8", "Pronto", "Arrivederci"),
        ("?lang=de&reasons=fr", "en", "Bereit", "Au revoir"),
        ("?lang=xx", "zh, de;q=x, fr", "Prête", "Au revoir"),
    ],
)
async def test_languages(tmp_path: Path, query: str, accepts: str, title: str, reason: str) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.get(f"/api/status{query}", headers={"Accept-Language": accepts}) as answer:
            body = await answer.json()
        assert body["verdict"]["title"] == title
        assert body["scans"][2]["text"] == reason


@pytest.mark.parametrize(("query", "wanted"), [("", "fr"), ("?lang=it", "it"), ("?lang=de", "de")])
async def test_pages_speak_the_language_of_the_box_unless_their_reader_chose(
    tmp_path: Path, query: str, wanted: str
) -> None:
    """A screen at a lane runs a browser that nobody has set to anything."""
    async with rig(tmp_path, language=Language.FR) as r, r.browser() as session:
        for path in ("/", "/lanes/1/display"):
            async with session.get(path + query, headers={"Accept-Language": "de-CH, en"}) as answer:
                assert f'<html lang="{wanted}"' in await answer.text()


@pytest.mark.parametrize(("line", "told"), [('language = "fr"', Language.FR), ("", None)])
def test_the_front_is_told_the_language_of_the_box(tmp_path: Path, line: str, told: Language | None) -> None:
    lane = '[[lanes]]\nid = 1\nname = "A"\n[[lanes.readers]]\nid = 1\nway = "entry"\ndriver = "wedge"\nusb = "05e0:1200"'
    told_to: list[str] = []

    def argv(text: str) -> list[str]:
        told_to.append(text)
        return []

    FrontProcess(load(f"[gate]\n{line}\n{lane}", {}), tmp_path / "lane.sock", argv)
    assert msgspec.json.decode(told_to[0], type=FrontSettings).language is told


async def test_a_stopping_part_is_named_with_its_fix_and_shown_to_monitors(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.get("/healthz") as answer:
            assert answer.status == 200
        gone = tile(Part.RELAY, "board", Health.BAD, "device.gone", args={"what": "/dev/x"}, stops=True)
        r.lane.push(status(with_tile(gone)))
        await r.heard.changes.get()
        async with session.get("/healthz") as answer:
            assert answer.status == 503
            body = await answer.json()
        assert body["word"] == "not_ready"
        assert body["cause"] == "Relay “board”: Not found or unplugged: /dev/x"
        assert body["fix"].startswith("Check cable and power")


async def test_without_a_lane_the_gate_is_not_ready(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.lane.hub.stop()
        await r.heard.changes.get()
        async with session.get("/healthz") as answer:
            assert answer.status == 503
            assert (await answer.json())["code"] == "front.no_lane"
        await r.log_in(session)
        async with session.post("/api/lane/1/fire", json={}, headers=r.origin) as answer:
            assert answer.status == 503
            assert (await answer.json())["code"] == "front.no_lane"
        await r.lane.hub.start()
        await r.heard.changes.get()
        async with session.get("/healthz") as answer:
            assert answer.status == 200


async def test_metrics(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session, session.get("/metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = text.splitlines()
    assert 'gatehouse_verdict{word="ready"} 1' in lines
    assert "# TYPE gatehouse_passages_total counter" in lines
    assert 'gatehouse_passages_total{lane="1",direction="entry"} 412' in lines
    assert 'gatehouse_scans_total{outcome="grant"} 412' in lines
    assert 'gatehouse_inside{zone="1",bound="high"} 381' in lines
    assert TICKET not in text
    names = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


COMMANDS = [
    ("/api/lane/1/state", {"state": "rehearsal", "steward": 12}, SetState(1, 1, "rehearsal", 12)),
    ("/api/lane/0/state", {"state": "closed"}, SetState(1, 0, "closed", 0)),
    ("/api/lane/2/pulse", {"direction": 2, "steward": 3}, Pulse(1, 2, 2, 3)),
    ("/api/lane/1/fire", {}, ClearFire(1, 1, 0)),
    (
        "/api/lane/1/admit",
        {"direction": 1, "reason": "lost ticket", "steward": 9, "count": 2},
        AdmitByHand(1, 1, 1, 9, "lost ticket", 2, ""),
    ),
    (
        "/api/lane/2/annul",
        {"epoch": "ffffffffffffffff", "seq": 7, "reason": "wrong person", "steward": 9},
        AnnulLast(1, 2, 2**64 - 1, 7, 9, "wrong person"),
    ),
    ("/api/zone/3/reset", {"steward": 9}, ResetPresence(1, 3, 9)),
    ("/api/box/identify", {"steward": 9}, Identify(1, 9)),
    ("/api/box/restart", {}, Restart(1, 0)),
    ("/api/alert/1795339800/acknowledge", {}, Acknowledge(1, 1_795_339_800)),
]

LACKING = [
    ("/api/lane/2/annul", {"epoch": "1", "seq": 7, "reason": "x", "steward": 9}),
    ("/api/lane/2/annul", {"epoch": "0" * 16, "seq": 0, "reason": "x", "steward": 9}),
    ("/api/lane/2/annul", {"epoch": "0" * 16, "seq": 7, "reason": "", "steward": 9}),
    ("/api/lane/2/annul", {"epoch": "0" * 16, "seq": 7, "reason": "x", "steward": 0}),
    ("/api/lane/2/annul", {"epoch": "0" * 16, "seq": 7, "reason": "x"}),
    ("/api/lane/1/admit", {"direction": 1, "reason": "x", "steward": 9, "count": 51}),
    ("/api/zone/3/reset", {"steward": 0}),
    ("/api/zone/3/reset", {}),
]


@pytest.mark.parametrize(("path", "body"), LACKING)
async def test_what_needs_a_number_and_a_reason_is_refused_without(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        async with session.post(path, json=body, headers=r.origin) as answer:
            assert answer.status == 400
            assert (await answer.json())["code"] == "page.bad_request"
        assert r.lane.commands.empty()


@pytest.mark.parametrize(("path", "body", "command"), COMMANDS)
async def test_commands_reach_the_lane_only_with_the_pin(
    tmp_path: Path, path: str, body: dict[str, object], command: object
) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.post(path, json=body, headers=r.origin) as answer:
            assert answer.status == 401
            assert (await answer.json())["code"] == "page.no_session"
        assert r.lane.commands.empty()
        await r.log_in(session)
        async with session.post(path, json=body, headers=r.origin) as answer:
            assert await answer.json() == {"ok": True}
        assert r.lane.commands.get_nowait() == command


async def test_sync_now_reaches_the_uplink_only_with_the_pin(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        pressed: list[int] = []
        r.client.on_sync = lambda: pressed.append(1)
        async with session.post("/api/box/sync", json={}, headers=r.origin) as answer:
            assert answer.status == 401
        assert pressed == []
        await r.log_in(session)
        async with session.post("/api/box/sync", json={"steward": 4}, headers=r.origin) as answer:
            assert await answer.json() == {"ok": True}
        assert pressed == [1]
        r.client.on_sync = None
        async with session.post("/api/box/sync", json={}, headers=r.origin) as answer:
            assert answer.status == 409
            assert (await answer.json())["code"] == "uplink.unenrolled"
        assert r.lane.commands.empty()


async def test_what_the_lane_refuses_is_said(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        r.lane.answer = lambda command: Done(command.number, ok=False, code="command.fire_still_on")
        async with session.post("/api/lane/1/fire?lang=de", json={}, headers=r.origin) as answer:
            assert answer.status == 409
            assert (await answer.json())["fix"] == "Erst die Brandmeldeanlage zurückstellen."
        done: dict[str, str | int] = {"steward": "9", "done": 59, "most": 60}
        r.lane.answer = lambda command: Done(
            command.number, ok=False, code="command.overrides_done", args=done
        )
        hand = {"direction": 1, "reason": "x", "steward": 9, "count": 2}
        async with session.post("/api/lane/1/admit?lang=en", json=hand, headers=r.origin) as answer:
            assert answer.status == 409
            said = (await answer.json())["text"]
        assert said == "Number 9 let 59 people in by hand within the last hour; 60 are allowed"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"direction":3}', b'{"direction":true}', b'{"direction":1,"steward":-1}',
        b'{"direction":1,"more":1}', b'{"direction":1,"steward":4294967296}', b"\xff\xfe", b"[" * 4000,
    ],
)  # fmt: skip
async def test_nonsense_is_refused_with_a_reason(tmp_path: Path, body: bytes) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        headers = {**r.origin, "Content-Type": "application/json"}
        async with session.post("/api/lane/1/pulse", data=body, headers=headers) as answer:
            assert answer.status == 400
            assert (await answer.json())["code"] == "page.bad_request"
        assert r.lane.commands.empty()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://127.0.0.1", "Sec-Fetch-Site": "same-site"},
        {"Origin": "SELF", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "SELF", "Sec-Fetch-Site": "same-site"},
        {"Origin": "SELF", "Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_only_our_own_page_changes_something(tmp_path: Path, headers: dict[str, str]) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        sent = {name: r.url.rstrip("/") if value == "SELF" else value for name, value in headers.items()}
        async with session.post("/api/lane/1/fire", json={}, headers=sent) as answer:
            assert answer.status == 403
        assert r.lane.commands.empty()


async def test_a_form_of_another_kind_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        async with session.post("/api/lane/1/fire", data=b"{}", headers=r.origin) as answer:
            assert answer.status == 400
        assert r.lane.commands.empty()


async def test_another_name_for_this_address_is_refused(tmp_path: Path) -> None:
    """DNS rebinding: evil.example resolves to this box, so its pages are same-origin with us but for the name."""
    async with rig(tmp_path) as r, r.browser() as session:
        for path in ("/", "/api/status", "/api/events", "/metrics"):
            async with session.get(path, headers={"Host": "evil.example:8443"}) as answer:
                assert answer.status == 421
        forged = {"Host": "evil.example", "Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}
        async with session.post("/api/pin", json={"pin": r.pin}, headers=forged) as answer:
            assert answer.status == 421


async def test_another_site_may_link_here_but_not_read(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        async with session.get("/", headers=linked) as answer:
            assert answer.status == 200
        for origin in ("https://evil.example", "null"):  # as a browser sends it that knows no Sec-Fetch-Site
            async with session.get("/api/events", headers={"Origin": origin}) as answer:
                assert answer.status == 403
        async with session.get("/api/status", headers={"Origin": r.url.rstrip("/")}) as answer:
            assert answer.status == 200
        for mode in ("cors", "no-cors"):
            read = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}
            async with session.get("/api/status", headers=read) as answer:
                assert answer.status == 403


@pytest.mark.parametrize("path", ["/", "/api/status", "/page.js", "/none", "/metrics"])
async def test_every_answer_is_hardened(tmp_path: Path, path: str) -> None:
    async with rig(tmp_path) as r, r.browser() as session, session.get(path) as answer:
        assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "Gatehouse"
        assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert answer.status == (404 if path == "/none" else 200)


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        huge = {"state": "x" * 100_000}
        async with session.post("/api/lane/1/state", json=huge, headers=r.origin) as answer:
            assert answer.status == 413
        assert r.lane.commands.empty()


async def test_a_flood_is_shed(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        seen_ = []
        for _ in range(BURST + 1):
            async with session.get("/icon.svg") as answer:
                seen_.append(answer.status)
                retry, connection = answer.headers.get("Retry-After"), answer.headers.get("Connection")
        assert seen_ == [200] * BURST + [503]
        assert retry == "2"
        assert connection == "close"
        r.now_s[0] += 1
        async with session.get("/icon.svg") as answer:
            assert answer.status == 200


async def test_wrong_pins_lock(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        wrong = f"{(int(r.pin) + 1) % 10**8:08d}"
        statuses = []
        for _ in range(TRIES_FREE):
            async with session.post("/api/pin", json={"pin": wrong}, headers=r.origin) as answer:
                statuses.append(answer.status)
                assert "Set-Cookie" not in answer.headers
        assert statuses == [401] * (TRIES_FREE - 1) + [429]
        async with session.post("/api/pin", json={"pin": r.pin}, headers=r.origin) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
        r.now_s[0] += 30
        await r.log_in(session)


async def test_whoever_gave_the_pin_before_is_locked_out_by_nobody_elses_tries(tmp_path: Path) -> None:
    """However many addresses somebody tries from: here also from the technician's own, as within one IPv6 network."""
    async with rig(tmp_path) as r, r.browser() as technician, r.browser() as stranger:
        await r.log_in(technician)
        wrong = f"{(int(r.pin) + 1) % 10**8:08d}"
        guesser = PinLock(
            tmp_path, lambda: r.now_s[0], lambda: r.now_s[0]
        )  # on the same disk, but in no loop
        for number in range(TRIES_TOGETHER):
            guesser.check(wrong, f"192.0.2.{number}")
        await asyncio.to_thread(Path.touch, tmp_path / PIN_FILE)  # the page reads the tries anew

        async def tries(session: aiohttp.ClientSession, pin: str) -> int:
            async with session.post("/api/pin", json={"pin": pin}, headers=r.origin) as answer:
                return answer.status

        assert await tries(stranger, r.pin) == 429
        for _ in range(2):
            async with technician.post("/api/logout", json={}, headers=r.origin) as answer:
                assert answer.status == 200
            assert await tries(technician, r.pin) == 200
        statuses = [await tries(technician, wrong) for _ in range(TRIES_FREE)]
        assert statuses == [401] * (TRIES_FREE - 1) + [429], "it is no free guess either"
        assert await tries(technician, r.pin) == 429
        known = [one.value for one in technician.cookie_jar if one.key.endswith("-known")]
        assert len(known) == 1
        assert known[0] not in (tmp_path / TRIES_FILE).read_text()
        await asyncio.to_thread(new_pin, tmp_path)
        for number in range(TRIES_TOGETHER):
            guesser.check(wrong, f"192.0.2.{number}")
        await asyncio.to_thread(Path.touch, tmp_path / PIN_FILE)
        assert await tries(technician, wrong) == 429, "known by the PIN of before: a stranger"


async def test_the_cookie_is_for_this_page_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.post("/api/pin", json={"pin": r.pin}, headers=r.origin) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-gatehouse=")
        for part in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/"):
            assert part in cookie
        async with session.post("/api/logout", json={}, headers=r.origin) as answer:
            assert answer.status == 200
        kept = {"Cookie": cookie.partition(";")[0]}
        async with session.post("/api/lane/1/fire", json={}, headers={**r.origin, **kept}) as answer:
            assert answer.status == 401


async def test_a_session_ends_after_half_an_hour(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        r.now_s[0] += 30 * 60
        async with session.post("/api/lane/1/fire", json={}, headers=r.origin) as answer:
            assert answer.status == 401


async def test_without_tls_the_pin_is_for_the_box_itself(tmp_path: Path) -> None:
    async with rig(tmp_path, with_tls=False) as r, r.browser() as session:
        by_proxy = {"Host": "gate.local", "Origin": "http://gate.local"}
        async with session.post("/api/pin", json={"pin": r.pin}, headers=by_proxy) as answer:
            assert answer.status == 403
            assert (await answer.json())["code"] == "page.not_secure"
        await r.log_in(session)
        async with session.post("/api/lane/1/fire", json={}, headers=r.origin) as answer:
            assert answer.status == 200
        async with session.post("/api/lane/1/fire", json={}, headers=by_proxy) as answer:
            assert answer.status == 403


async def test_the_stream_tells_of_scans_and_changes(tmp_path: Path) -> None:
    async with rig(tmp_path, frozen=False) as r, r.browser() as session, session.get("/api/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        stream = events(answer)
        name, body = await anext(stream)
        assert (name, len(body["scans"])) == ("status", 6)
        r.lane.hub.push(seen(7, time_s=NOW_S, outcome=4, reason=8))
        name, body = await anext(stream)
        assert (name, body["title"], body["ticket"]) == ("seen", "Refused", "")
        assert (await anext(stream))[1]["scans"] is None
        bad = tile(Part.LIST, "list", Health.BAD, "list.none", stops=True)
        r.lane.push(status(with_tile(bad)))
        name, body = await anext(stream)
        assert (name, body["verdict"]["code"]) == ("status", "list.none")
        await stream.aclose()


async def test_the_stream_tells_of_alerts_and_corrects_rows(tmp_path: Path) -> None:
    async with rig(tmp_path, frozen=False) as r, r.browser() as session, session.get("/api/events") as answer:
        stream = events(answer)
        _, body = await anext(stream)
        key, first = body["scans"][0]["key"], body["scans"][0]
        assert (first["title"], first["may_annul"], body["alerts"]) == ("Admitted", False, [])
        r.lane.hub.push(seen(6, after=After.GIVEN_BACK))
        name, body = await anext(stream)
        assert (name, body["key"], body["display"]) == ("seen", key, "undone")
        assert (body["title"], body["steward"]) == ("Released, did not pass", "The ticket is free again.")
        await anext(stream)
        r.lane.push(status(alerts=(StaffAlert(5, 1, "tailgate", NOW_S),)))
        name, body = await anext(stream)
        assert name == "status"
        assert body["alerts"] == [
            {
                "number": 5, "title": "Two passed on one ticket", "where": "Nord", "time_s": NOW_S, "count": 1,
                "fix": "Speak to the second one and check their ticket.",
            }
        ]  # fmt: skip
        await stream.aclose()


AFTER = [
    ({"after": After.PASSED}, "admit", "Admitted", "Valid.", ["passed"], True),
    ({"after": After.ASSUMED}, "admit", "Admitted", "Valid.", ["passed, assumed"], True),
    ({"after": After.LATE}, "admit", "Admitted", "Valid.", ["passed late"], True),
    ({"after": After.GIVEN_BACK}, "undone", "Released, did not pass", "The ticket is free again.", [], False),
    ({"after": After.ANNULLED}, "undone", "Admission annulled", "The ticket is free again.", [], False),
    (
        {"after": After.GIVEN_BACK, "direction": 2},
        "undone", "Released, did not pass", "Still counts as inside.", [], False,
    ),
    ({"after": After.PASSED, "direction": 2}, "exit", "Exit", "Exit is open.", ["passed"], False),
    ({"flags": 16}, "admit", "Admitted", "Valid.", ["rehearsal"], False),
    ({"ticket": ""}, "admit", "Admitted", "Valid.", [], False),
    ({"outcome": 4, "reason": 8}, "refused", "Refused", None, [], False),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "display", "title", "steward", "flags", "may_annul"), AFTER)
def test_what_became_of_somebody(
    changes: dict[str, object],
    display: str,
    title: str,
    steward: str | None,
    flags: list[str],
    may_annul: bool,
) -> None:
    scan = seen(6, **changes)
    view = scan_view(scan, status(), Viewer(Language.EN, Language.EN, has_session=True))
    assert (view.display, view.title, list(view.flags), view.may_annul) == (display, title, flags, may_annul)
    assert steward is None or view.steward == steward
    stranger = scan_view(scan, status(), Viewer(Language.EN, Language.EN))
    assert (stranger.may_annul, stranger.ticket) == (False, "")


async def test_streams_are_bounded_and_those_with_a_session_keep_their_places(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as stranger, r.browser() as technician:
        await r.log_in(technician)
        open_ = [await stranger.get("/api/events") for _ in range(STREAMS_PER_ADDRESS_MAX)]
        assert {one.status for one in open_} == {200}
        async with stranger.get("/api/events") as answer:
            assert answer.status == 503
        open_.append(await stranger.get("/api/events?display=1"))
        assert open_[-1].status == 200, "the box's own display is nobody's to push out"
        more = STREAMS_MAX - len(open_)
        open_ += [await technician.get("/api/events") for _ in range(more)]
        assert {one.status for one in open_} == {200}
        async with technician.get("/api/events") as answer:
            assert answer.status == 503
        for one in open_:
            one.close()


async def test_idle_connections_are_closed_and_busy_ones_are_not(tmp_path: Path) -> None:
    async with rig(tmp_path, with_tls=False) as r, r.browser() as session:
        host, port = r.url[7:-1].split(":")
        answer = await session.get("/api/events")
        idle_reader, idle_writer = await asyncio.open_connection(host, int(port))
        idle_writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        await idle_writer.drain()
        async with session.get("/icon.svg"):
            pass  # its connection was accepted after the idle one
        r.now_s[0] += IDLE_S - 1
        r.doors.sweep_once()
        r.now_s[0] += 1
        r.doors.sweep_once()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(idle_reader.read(), 10) == b""
        idle_writer.close()
        name, _ = await anext(events(answer))
        assert name == "status"
        answer.close()


async def speak(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection, send bytes and wait until an answer begins."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    return reader, writer


async def is_dropped(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of a connection."""
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            await reader.read()
    return reader.at_eof() or reader.exception() is not None


ASK = b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n"
WATCH = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
OWN_DISPLAY = b"GET /api/events?display=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("first", [ASK, WATCH, b""])
async def test_where_all_places_are_taken_the_longest_held_one_without_a_session_goes(
    tmp_path: Path, first: bytes
) -> None:
    async with rig(tmp_path, with_tls=False) as r, r.browser() as technician:
        port = int(r.url.rpartition(":")[2].rstrip("/"))
        await r.log_in(technician)
        watching = await technician.get("/api/events")  # held for longest, but by somebody who gave the PIN
        display = await speak(port, OWN_DISPLAY)  # and by who stands beside the box
        r.now_s[0] += 1
        if first:
            oldest = await speak(port, first)
        else:
            oldest = await asyncio.open_connection("127.0.0.1", port)
        r.now_s[0] += 1
        others = [await speak(port, ASK) for _ in range(CONNECTIONS_MAX - 3)]
        r.now_s[0] += 1
        newest = await speak(port, ASK)
        assert await is_dropped(oldest[0])
        r.now_s[0] += 1
        last = await speak(port, ASK)
        assert await is_dropped(others[0][0])
        assert not watching.connection.transport.is_closing()  # type: ignore[union-attr]  # it streams, so it has one
        assert not display[0].at_eof()
        for _, writer in (display, oldest, *others, newest, last):
            writer.close()
        watching.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::"])
async def test_the_box_itself_is_no_stranger_to_its_page_whatever_it_listens_at(
    tmp_path: Path, address: str
) -> None:
    """Where it listens at `::`, the box's own 127.0.0.1 comes as ::ffff:127.0.0.1 (RFC 4291, 2.5.5.2)."""
    async with rig(tmp_path, with_tls=False) as r:
        with listen(address, 0) as door:
            running = asyncio.create_task(r.doors.run(door))
            port = door.getsockname()[1]
            held = [await speak(port, ASK) for _ in range(PER_ADDRESS_MAX + 2)]
            first, writer = held[0]
            writer.write(ASK)
            async with asyncio.timeout(10):
                assert await first.readuntil(b"HTTP/1.1 200"), "it was not dropped for the others"
            for _, writer in held:
                writer.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_who_sends_many_requests_ahead_is_dropped_unread(tmp_path: Path) -> None:
    async with rig(tmp_path, with_tls=False) as r:
        port = int(r.url.rpartition(":")[2].rstrip("/"))
        _, writer = await speak(port, 2 * ASK)
        writer.close()
        flooding, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(100 * ASK)
        with contextlib.suppress(ConnectionResetError):
            assert await flooding.read() == b""
        writer.close()


def test_little_is_taken_ahead_of_what_is_answered() -> None:
    with listen("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()):
        door.setblocking(True)
        taken, _ = door.accept()
        with taken:
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * RECEIVED_BYTES_MAX


async def test_whoever_opens_the_page_is_told_to_the_uplink(tmp_path: Path) -> None:
    looked: list[str] = []
    async with rig(tmp_path) as r, r.browser() as session:
        r.client.on_looked = lambda: looked.append("page")
        async with session.get("/healthz"):
            assert looked == [], "a monitor is nobody"
        async with session.get("/"):
            assert looked == ["page"]


async def test_a_stream_that_is_dropped_ends_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path, with_tls=False) as r, r.browser() as session:
        port = int(r.url.rpartition(":")[2].rstrip("/"))
        for _ in range(3 * STREAMS_PER_ADDRESS_MAX):
            _, writer = await speak(port, WATCH)
            writer.transport.abort()
            r.now_s[0] += 1
            async with asyncio.timeout(10):
                while r.page._streams:  # nothing outside tells of it
                    await asyncio.sleep(0.05)
        async with session.get("/api/events") as answer:
            assert answer.status == 200


RAW = [
    pytest.param(b"GET /api/status HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}=\xff\xfe\r\n", 200, id="cookie"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: {host}\r\nX CANARY y\r\n", 400, id="header"),
    pytest.param(b"\x00\x01 CANARY\r\n", 400, id="no request"),
    pytest.param(b"GET http://[CANARY/ HTTP/1.1\r\nHost: {host}\r\n", 400, id="address"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: {host}\r\nExpect: CANARY\r\n", 417, id="expect"),
    pytest.param(b"POST /api/pin HTTP/1.1\r\n{post}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nCANAR", 400, id="gzip"),
    pytest.param(b"POST /api/pin HTTP/1.1\r\n{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, id="chunks"),
    pytest.param(b"POST /api/logout HTTP/1.1\r\n{post}Cookie: {cookie}=\xff\r\nContent-Length: 0\r\n", 200, id="log out"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "status"), RAW)
async def test_what_strangers_send_leaves_no_line_and_tells_them_nothing(
    tmp_path: Path, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(tmp_path, with_tls=False) as r:
        host = r.url[len("http://") : -1]
        post = f"Host: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/json\r\n"
        words = {"host": host, "cookie": "gatehouse", "post": post}
        for name, value in words.items():
            request_ = request_.replace(f"{{{name}}}".encode(), value.encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.partition(":")[2]))
        writer.write(request_ if b"\r\n\r\n" in request_ else request_ + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            answer = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        writer.close()
    assert head.split(" ")[1] == str(status)
    assert "server: gatehouse" in head
    assert "x-content-type-options: nosniff" in head
    assert "content-security-policy: default-src 'none'" in head
    assert "canar" not in head + answer.decode().lower()
    assert "python" not in head + answer.decode().lower()
    assert [one for one in caplog.records if one.levelno >= logging.INFO and one.name != "asyncio"] == []


async def test_the_page_is_small_and_says_its_language(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        for language, word in (("de", "Letzte Scans"), ("en", "Last scans")):
            async with session.get("/", headers={"Accept-Language": language}) as answer:
                text = await answer.text()
            assert f'<html lang="{language}">' in text
            assert word in text
            assert "{{" not in text
            files = [
                text.encode(),
                *((PAGE / name).read_bytes() for name in ("page.css", "page.js", "icon.svg")),
            ]
            assert sum(len(gzip.compress(one, 6)) for one in files) < PAGE_BYTES_MAX
        async with session.get("/?lang=de", headers={"Accept-Language": "en"}) as answer:
            assert 'lang="de"' in await answer.text()
        async with session.get("/", headers={"Accept-Language": "en"}) as answer:
            assert 'lang="de"' in await answer.text()


@pytest.mark.parametrize(("document", "name"), [("index", "page"), ("display", "display")])
def test_nothing_inline_and_nothing_from_elsewhere(document: str, name: str) -> None:
    source = (PAGE / f"{document}.html").read_text()
    assert " style=" not in source
    assert "<style" not in source
    assert source.count("<script") == source.count(f'<script type="module" src="/{name}.js">') == 1
    for file in (f"{document}.html", f"{name}.css", f"{name}.js"):
        text = (PAGE / file).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text.replace("https://127", "")
        assert "innerHTML" not in text


async def test_the_qr_code_leads_here(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session, session.get("/qr.svg") as answer:
        assert answer.content_type == "image/svg+xml"
        assert (await answer.text()).startswith("<svg ")
