"""The page over real HTTP: what anybody may read, what needs the PIN, and what is refused."""

import asyncio
import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.front.doors import CONNECTIONS_MAX, IDLE_S
from edge.front.perimeter import BURST
from edge.front.pin import TRIES_FREE
from edge.front.server import PAGE, STREAMS_MAX
from edge.link import AdmitByHand, ClearFire, Done, Health, Part, Pulse, SetState
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
        ("", "it-CH;q=0.9, en;q=0.8", "Ready", "Arrivederci"),
        ("?lang=de&reasons=fr", "en", "Bereit", "Au revoir"),
        ("?lang=xx", "zh, de;q=x, fr", "Ready", "Au revoir"),
    ],
)
async def test_languages(tmp_path: Path, query: str, accepts: str, title: str, reason: str) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        async with session.get(f"/api/status{query}", headers={"Accept-Language": accepts}) as answer:
            body = await answer.json()
        assert body["verdict"]["title"] == title
        assert body["scans"][2]["text"] == reason


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
]


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


async def test_what_the_lane_refuses_is_said(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        await r.log_in(session)
        r.lane.answer = lambda command: Done(command.number, ok=False, code="command.fire_still_on")
        async with session.post("/api/lane/1/fire?lang=de", json={}, headers=r.origin) as answer:
            assert answer.status == 409
            assert (await answer.json())["fix"] == "Erst die Brandmeldeanlage zurückstellen."


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


async def test_streams_are_bounded(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session:
        open_ = [await session.get("/api/events") for _ in range(STREAMS_MAX)]
        async with session.get("/api/events") as answer:
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


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with rig(tmp_path, with_tls=False) as r:
        host, port = r.url[7:-1].split(":")
        writers = []
        for _ in range(CONNECTIONS_MAX):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writers.append(writer)
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        for one in (*writers, writer):
            one.close()


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


def test_nothing_inline_and_nothing_from_elsewhere() -> None:
    source = (PAGE / "index.html").read_text()
    assert " style=" not in source
    assert "<style" not in source
    assert source.count("<script") == source.count('<script type="module" src="/page.js">') == 1
    for name in ("index.html", "page.css", "page.js"):
        text = (PAGE / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text.replace("https://127", "")
        assert "innerHTML" not in text


async def test_the_qr_code_leads_here(tmp_path: Path) -> None:
    async with rig(tmp_path) as r, r.browser() as session, session.get("/qr.svg") as answer:
        assert answer.content_type == "image/svg+xml"
        assert (await answer.text()).startswith("<svg ")
