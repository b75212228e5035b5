"""Two replicas behind a real nginx, set up as docs/running.md says: gates, programs and people come through it."""

import asyncio
import io
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from admission.ids import Epoch
from edge.enrol import enrol
from edge.enrolment import Enrolment
from edge.front.centre import Centre, CutOff
from sync import compose, demo
from sync.accounts.principal import Role
from sync.events import tables as programme
from sync.gates.enrolment import new_code
from sync.tickets import tables as sold
from sync.wire.messages import Push
from tests.postgres import Postgres
from tests.sync.conftest import TEMPLATE
from tests.sync.logs import EpochLog
from tests.sync.people import PASSWORD, person, token_of
from tests.sync.replicas import Replica, replicas_of
from tests.sync.requests import NOW_S
from tests.sync.test_tls import certificate

HOME = Path(__file__).parents[2]
PLACES = (os.environ.get("PATH", ""), "/usr/sbin", str(HOME / "build" / "nginx" / "usr" / "sbin"))
NGINX = shutil.which("nginx", path=os.pathsep.join(PLACES))
PAGE = HOME / "docs" / "running.md"
EMAIL = "boss@venue.test"
WAIT_S = 20.0
"""Only reached where something is broken."""
SOON_S = 5.0
"""A hint that waits in a buffer of nginx's never comes."""
AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # To the centre loopback is the machine itself: who comes from 127.0.0.7 stands for a person at 192.0.2.7.
    map $remote_addr $sender {{ "~^127\\.0\\.0\\.(?<last>\\d+)$" 192.0.2.$last; }}
    {documented}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@dataclass
class Site:
    """What stands behind one address, and who may use it."""

    url: str
    chain: Path
    replicas: list[Replica]
    gate: Enrolment
    token: str
    product: int
    ticket: int

    def browser(self, at: str) -> aiohttp.ClientSession:
        """Somebody's browser or program, at an address of its own."""
        trust = ssl.create_default_context(cafile=self.chain)
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(ssl=trust, local_addr=(at, 0)),
            timeout=aiohttp.ClientTimeout(total=WAIT_S),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )


def documented() -> str:
    """The configuration that the page shows."""
    found = re.search(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def configured(folder: Path, port: int, replicas: list[Replica]) -> Path:
    """Write the configuration of the page with the addresses and files of this test."""
    text = documented()
    for theirs, ours in {
        "10.0.0.11:8080": f"127.0.0.1:{replicas[0].port}",
        "10.0.0.12:8080": f"127.0.0.1:{replicas[1].port}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/letsencrypt/live/gate.example.org/fullchain.pem": str(folder / "cert.pem"),
        "/etc/letsencrypt/live/gate.example.org/privkey.pem": str(folder / "key.pem"),
        "$remote_addr": "$sender",
    }.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    path = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(AROUND.format(folder=folder, user=user, documented=text))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx(configuration: Path, port: int) -> Iterator[None]:
    """Run nginx until the block ends."""
    assert NGINX is not None
    said = configuration.with_suffix(".log")
    with said.open("wb") as log:
        server = subprocess.Popen(
            [NGINX, "-p", str(configuration.parent), "-c", str(configuration)], stderr=log
        )
    try:
        until_s = time.monotonic() + WAIT_S
        while server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < until_s
            time.sleep(0.02)
        assert server.poll() is None, said.read_text()
        yield
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def site(server: Postgres, tmp_path: Path) -> Iterator[Site]:
    chain, _ = certificate(tmp_path)
    database = server.make("behind_nginx", TEMPLATE)
    centre = compose.open_centre(tmp_path / "first", database)
    now_s = int(time.time())
    demo.make_demo(centre.database, centre.keys, centre.data, now_s)
    person(centre.database, EMAIL, Role.OWNER)
    token = token_of(centre.database, Role.ORGANIZER, life_s=now_s - NOW_S + 3600)
    with centre.database.writing() as connection:
        code = new_code(connection, centre.keys, demo.MAIN_GATE, now_s, os.urandom(5))
        p, t = programme.product.c, sold.ticket.c
        product = connection.execute(select(p.id).where(p.event_id == demo.EVENT)).scalars().first()
        ticket = connection.execute(select(t.id).where(t.event_id == demo.EVENT)).scalars().first()
    centre.close()
    assert product is not None
    assert ticket is not None
    try:
        with replicas_of(tmp_path / "first", database) as replicas:
            port = free_port()
            with nginx(configured(tmp_path, port, replicas), port):
                url = f"https://127.0.0.1:{port}"
                gate = enrol(tmp_path / "box", url, code, "box", ca_file=chain)
                yield Site(url, chain, replicas, gate, token, product, ticket)
    finally:
        server.drop("behind_nginx")


async def test_a_gate_s_records_lists_and_hints_come_through_and_a_replica_may_die(
    site: Site, tmp_path: Path
) -> None:
    log = EpochLog(Epoch(2**63 + 9), key=site.gate.key).begin().scans(40)
    async with Centre(site.gate, site.chain) as gate:
        assert [one.seq for one in (await gate.push(Push((log.chunk(1, 20),)))).held] == [20]
        said = await gate.manifest("", fresh=True)
        assert said is not None
        published = said[1].snapshot
        assert published is not None
        await gate.fetch_snapshot(published, tmp_path / "list")
        assert (tmp_path / "list").stat().st_size > 0

        heard = gate.listen(WAIT_S, 1)
        assert (await asyncio.wait_for(anext(heard), SOON_S))[0] in {"", "seal", "settings", "keys", "names"}
        async with site.browser("127.0.0.3") as program:
            answer = await program.post(
                f"/api/v1/events/{demo.EVENT}/tickets/{site.ticket}/standing",
                json={"verb": "ban", "reason": "through nginx"},
                headers={"Authorization": f"Bearer {site.token}"},
            )
            assert answer.status == 200, await answer.text()
        async with asyncio.timeout(SOON_S):
            while (await anext(heard))[0] != "seal":
                pass
        await heard.aclose()

        site.replicas[0].kill()
        for last in range(21, len(log.blobs) + 1):
            with suppress(CutOff):  # one that was on its way may be lost; the gate sends it again
                await gate.push(Push((log.chunk(21, last),)))
        assert [one.seq for one in (await gate.have()).held] == [len(log.blobs)]


async def test_a_long_list_comes_through_and_is_written_by_either(site: Site) -> None:
    chance = random.Random(3)
    rows = 60_000
    text = "code\n" + "".join(f"N{chance.randbytes(24).hex()}\n" for _ in range(rows))
    assert len(text) > 2 << 20  # of itself nginx takes one MiB
    at = f"/api/v1/events/{demo.EVENT}/imports"
    who = {"Authorization": f"Bearer {site.token}"}
    async with site.browser("127.0.0.3") as program:
        said = await program.post(
            f"{at}?shop=kiosk&product={site.product}",
            data=io.BytesIO(text.encode()),
            headers={"Content-Type": "text/csv", **who},
        )
        assert said.status == 201, await said.text()
        job = await said.json()
        assert job["rows_new"] == rows
        job = await (await program.post(f"{at}/{job['id']}/start", json={}, headers=who)).json()
        while job["state"] == "running":
            job = await (await program.post(f"{at}/{job['id']}/advance", headers=who)).json()
        assert (job["state"], job["rows_done"]) == ("done", rows)


async def sign_in(browser: aiohttp.ClientSession, password: str, email: str, **headers: str) -> int:
    """As the page's form does it; returns the status."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    said = await browser.post(
        "/sign-in",
        data={"email": email, "password": password},
        headers={"Origin": str(browser._base_url), "Sec-Fetch-Site": "same-origin", **sent},
        allow_redirects=False,
    )
    return said.status


async def test_who_signs_in_has_a_cookie_for_tls_alone_and_may_change_things(site: Site) -> None:
    async with site.browser("127.0.0.5") as browser:
        assert await sign_in(browser, PASSWORD, EMAIL) == 303
        (cookie,) = browser.cookie_jar
        assert (cookie.key, cookie["secure"], cookie["path"]) == ("__Host-session", True, "/")
        page = await browser.get("/account")
        assert page.status == 200
        assert "max-age" in page.headers["Strict-Transport-Security"]
        changed = await browser.post(
            "/account/sessions",
            headers={"Origin": site.url, "Sec-Fetch-Site": "same-origin"},
            allow_redirects=False,
        )
        assert (changed.status, changed.headers["Location"]) == (303, "/account?done=others")


async def test_who_guesses_waits_and_nobody_else_does_whatever_senders_are_claimed(site: Site) -> None:
    """Thirty wrong passwords from one house, each with another `X-Forwarded-For` and for another account."""
    async with site.browser("127.0.0.7") as guesser, site.browser("127.0.0.8") as other:
        said = [
            await sign_in(guesser, "a guess", f"p{n}@venue.test", X_Forwarded_For=f"198.51.100.{n}")
            for n in range(30)
        ]
        assert said[0] == 401
        assert said[-1] == 429
        assert await sign_in(other, PASSWORD, EMAIL) == 303
