"""No key leaves the box: neither by any route of its page, nor in the support bundle, an export, an explanation or a log line.

A gate holds no key that signs tickets or wristbands: those are the centre's. It holds its own two, the event group's digest
key, and what NTAG 424s are checked with, which is made of that.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import os
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from admission.codecs import sun
from admission.credentials import Medium
from edge import enrolment
from edge.explain import explain
from edge.export import Format, export_log
from edge.front.lane_client import LaneClient
from edge.front.perimeter import Hosts
from edge.front.pin import PinLock, new_pin
from edge.front.server import Page
from edge.link import SOCKET
from edge.logs import JsonLines
from edge.settings import Way
from edge.write_tag import recorded
from tests.admission.tags import TAG_UID, sun_tap
from tests.edge.rig import DIGEST_KEY, GATE_KEY, TICKET_KEY, Gate, code, prepare, quick, row, running

SEALING = bytes(range(91, 123))
WINDOW = 8
"""So much of a key is a part of it."""
LIMIT_S = 10.0


def keys() -> dict[str, bytes]:
    venue = sun.keys_of(DIGEST_KEY)
    return {
        "ticket": TICKET_KEY.private_bytes_raw(),
        "gate": GATE_KEY.private_bytes_raw(),
        "sealing": SEALING,
        "digest": DIGEST_KEY,
        "sun_meta": venue.meta,
        "sun_file": venue.file,
        "sun_tag": sun.diversified(venue.file, TAG_UID + sun._NAME),
    }


def found_in(text: bytes, secrets: dict[str, bytes]) -> set[str]:
    """Return the keys of which a part stands in a text: as bytes, in hexadecimal, in Base64 or Base32, JSON arrays of numbers."""
    lower = text.lower()
    plain = re.sub(rb"[^0-9a-z]", b"", lower)
    found = set()
    for name, secret in secrets.items():
        parts = [secret[at : at + WINDOW] for at in range(len(secret) - WINDOW + 1)]
        forms = [base64.b64encode(secret[at:]).rstrip(b"=")[:20] for at in range(3)]
        forms += [one.replace(b"+", b"-").replace(b"/", b"_") for one in forms]
        numbers = [b",".join(b"%d" % one for one in secret[:WINDOW])]
        numbers += [json.dumps(list(secret[:WINDOW])).strip("[]").encode()]
        if (
            any(one in text or one.hex().encode() in plain for one in parts)
            or any(one in text for one in (*forms, *numbers))
            or base64.b32encode(secret)[:24].lower() in lower
        ):
            found.add(name)
    return found


def test_what_looks_for_keys_finds_them() -> None:
    """Else the test below would pass of itself."""
    for name, secret in keys().items():
        said = [
            b"x" + secret[5 : 5 + WINDOW], secret.hex(":").upper().encode(), base64.b64encode(b"%s" % secret),
            base64.urlsafe_b64encode(secret[1:]), base64.b32encode(secret), json.dumps(list(secret)).encode(),
        ]  # fmt: skip
        assert [name in found_in(one, keys()) for one in said] == [True] * len(said)
    assert not found_in(b"nothing to see", keys())


@contextlib.asynccontextmanager
async def page_of(gate: Gate) -> AsyncIterator[tuple[Page, str, str]]:
    """The gate's page over loopback: itself, its address and PIN."""
    pin, client = new_pin(gate.data), LaneClient(gate.data / SOCKET)
    loop = asyncio.get_running_loop()
    page = Page(
        client, PinLock(gate.data, loop.time, loop.time), data=gate.data, name="North", hosts=Hosts([]), mono_s=loop.time,
        fingerprint="AB:CD",
    )  # fmt: skip
    runner = web.AppRunner(page.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    page.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    task = loop.create_task(client.run())
    try:
        await gate.until(lambda: client.status is not None, "the page knows its gate")
        yield page, page.url, pin
    finally:
        page.closing.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()


def addresses(page: Page, gate: Gate) -> Iterator[tuple[str, str]]:
    """Each route with each of the words and numbers that it takes."""
    values = {
        "lane": ["1"], "id": ["1"], "epoch": [f"{gate.daemon.journal.epoch:016x}"], "seq": ["2"], "number": ["7"],
    }  # fmt: skip
    for route in page.app.router.routes():
        info = route.resource.get_info() if route.resource is not None else {}
        paths = [str(info.get("path") or info["formatter"])]
        pattern = info.get("pattern")
        for name, among in re.findall(r"\?P<(\w+)>([^)]*)\)", pattern.pattern if pattern else ""):
            words = values.get(name) or among.replace("\\", "").split("|")
            paths = [path.replace("{" + name + "}", word) for path in paths for word in words]
        yield from ((route.method, path) for path in paths)


async def answer_of(session: aiohttp.ClientSession, method: str, url: str) -> bytes:
    """Return head and body of an answer, of a live stream its beginning; a zip file opened."""
    origin = {"Origin": str(session._base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    body = {"json": {"pin": "0", "steward": 1, "reason": "x", "state": "closed"}} if method == "POST" else {}
    async with session.request(method, url, headers=origin, **body) as answer:  # type: ignore[arg-type]  # as aiohttp takes it
        head = repr(answer.headers).encode() + b"%d" % answer.status
        assert answer.status != 500, url
        if answer.content_type == "text/event-stream":
            return head + await asyncio.wait_for(answer.content.readany(), LIMIT_S)
        content = await answer.read()
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            content += b"\n".join(one.encode() + file.read(one) for one in file.namelist())
    return head + content


async def test_no_key_is_given_out_by_any_route_bundle_export_or_log(tmp_path: Path) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    data = tmp_path / "data"
    said: dict[str, bytes] = {}
    mask = os.umask(0o077)  # as the program does first of all, whoever starts it
    try:
        prepare(data, [row(7)])
        # The rig's is all zeros, which stand in many a file.
        enrolment.save(data, replace(enrolment.load(data), sealing_key=SEALING))
        async with running(tmp_path, adjust=quick) as gate:
            await gate.ready()
            await gate.hardware.entry.scan(code(7))
            await gate.walk()
            await gate.hardware.second.scan(sun_tap(7, DIGEST_KEY)[8:])
            await gate.seen(2)
            async with page_of(gate) as (page, url, pin):
                visited: set[str] = set()
                for with_pin in (False, True):
                    jar = aiohttp.CookieJar(unsafe=True)
                    async with aiohttp.ClientSession(url, cookie_jar=jar) as session:
                        if with_pin:
                            origin = {"Origin": url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
                            async with session.post("/api/pin", json={"pin": pin}, headers=origin) as answer:
                                assert answer.status == 200
                        for method, path in addresses(page, gate):
                            if path not in ("/api/logout", "/api/box/restart") and method != "HEAD":
                                said[f"{method} {path} {with_pin}"] = await answer_of(session, method, path)
                                visited.add(path)
                assert len(visited) > 20
                assert b"PK" in said["GET /api/bundle True"], "the bundle was given, to who has the PIN"
            await recorded(data, TAG_UID, 4711)
            settings = gate.daemon.settings
        for form in Format:
            out = io.StringIO()
            export_log(data, form, out)
            said[f"export {form}"] = out.getvalue().encode()
        for shown, medium in ((code(7), Medium.BARCODE), (sun_tap(8, DIGEST_KEY), Medium.TAG)):
            told = explain(shown, medium, settings, enrolment.load(data), lane=1, way=Way.ENTRY)
            said[f"explain {medium}"] = json.dumps(told).encode()
    finally:
        os.umask(mask)
        root.removeHandler(handler)
        root.setLevel(before)
    said["log"] = lines.getvalue().encode()
    assert b"a wristband is written" in said["log"]
    assert {where: found for where, text in said.items() if (found := found_in(text, keys()))} == {}
    readable = [
        one.name
        for one in data.rglob("*")
        if one.is_file() and one.stat().st_mode & 0o077 and found_in(one.read_bytes(), keys())
    ]
    assert readable == [], "a file with a key is the gate's own alone"
