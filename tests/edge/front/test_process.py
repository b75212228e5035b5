"""The front as a process: it says where it is, prints nothing but log lines, and ends with its parent."""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from edge.enrolment import FILE
from edge.front.lane_client import LaneClient
from edge.front.process import OOM_SCORE, FrontSettings, uplink
from edge.front.shown_names import ShownNames
from edge.front.tls import KEY_FILE, PageTls
from edge.link import Health, PageSaid, Said, UplinkSaid
from tests.edge.front.fake_lane import FakeLane

WAIT_S = 20


async def start(data: Path, *, use_tls: bool = True) -> asyncio.subprocess.Process:
    told = {
        "data": str(data),
        "name": "Arena",
        "socket": str(data / "lane.sock"),
        "page": {"listen": "127.0.0.1", "port": 0, "tls": use_tls, "names": []},
        "centre": {"poll_s": 5.0, "push_s": 1.0},
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.front", json.dumps(told),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_it_serves_says_so_and_ends_with_its_parent(tmp_path: Path) -> None:
    lane = FakeLane(tmp_path / "lane.sock")
    await lane.hub.start()
    process = await start(tmp_path)
    said: dict[type, Said] = {}
    async with asyncio.timeout(WAIT_S):
        while len(said) < 2:
            one = await lane.said.get()
            said[type(one)] = one
    page, uplink = said[PageSaid], said[UplinkSaid]
    assert isinstance(page, PageSaid)
    assert uplink == UplinkSaid(Health.OFF, "uplink.unenrolled")
    trust = ssl.create_default_context(cafile=str(tmp_path / "page-cert.pem"))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
        session.get(f"{page.url}healthz") as answer,
    ):
        assert answer.status == 200
        assert (await answer.json())["word"] == "ready"
    # Where memory runs out, the kernel takes the front before the lane.
    assert int(Path(f"/proc/{process.pid}/oom_score_adj").read_text()) == OOM_SCORE
    for garbage in (b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"\x00\x01\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(page.url).port, ssl=trust)
        writer.write(garbage)
        async with asyncio.timeout(WAIT_S):
            assert b" 400 " in await reader.readline()
        writer.close()
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate()
    await lane.hub.stop()
    assert process.returncode == 0
    assert out == b""
    lines = [json.loads(line.removeprefix("<6>")) for line in err.decode().splitlines()]
    assert lines
    assert page.url in {line.get("url") for line in lines}
    assert {line["level"] for line in lines} == {"info"}
    assert not {line["logger"] for line in lines if line["logger"].startswith("aiohttp")}
    assert (tmp_path / KEY_FILE).read_text().splitlines()[1] not in err.decode()


async def test_an_enrolment_that_cannot_be_read_at_the_moment_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A card that fails once must not cost the uplink for as long as the gate runs."""
    (tmp_path / FILE).mkdir()  # whatever is read of it is an error of the disk
    lane = FakeLane(tmp_path / "lane.sock")
    await lane.hub.start()
    client = LaneClient(tmp_path / "lane.sock")
    settings = FrontSettings(str(tmp_path), str(tmp_path / "lane.sock"))
    talking = asyncio.create_task(client.run())
    running = asyncio.create_task(uplink(settings, client, PageTls(tmp_path), ShownNames()))
    async with asyncio.timeout(WAIT_S):
        assert await lane.said.get() == UplinkSaid(Health.BAD, "uplink.starting")
        assert not running.done()
        (tmp_path / FILE).rmdir()
        assert await lane.said.get() == UplinkSaid(Health.OFF, "uplink.unenrolled")
        await running
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    await lane.hub.stop()
    assert [one.levelname for one in caplog.records if one.name == "edge.front"] == ["WARNING"]


async def test_it_ends_also_where_no_lane_ever_answers(tmp_path: Path) -> None:
    process = await start(tmp_path, use_tls=False)
    assert process.stderr is not None
    assert process.stdin is not None
    async with asyncio.timeout(WAIT_S):
        assert json.loads((await process.stderr.readline()).decode())["message"] == "page is up"
        process.stdin.close()
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("number", ["TERM", "INT"])
async def test_a_signal_ends_it(tmp_path: Path, number: str) -> None:
    process = await start(tmp_path, use_tls=False)
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_S):
        await process.stderr.readline()
        os.kill(process.pid, {"TERM": 15, "INT": 2}[number])
        await process.communicate()
    assert process.returncode == 0
