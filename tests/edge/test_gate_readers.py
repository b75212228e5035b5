"""A reader that does not open as it is set up: said with what to do, while the others let people in."""

import socket
from pathlib import Path

import pytest

from admission.reasons import Language
from admission.records import Outcome
from drivers.framing.ssi import Op
from drivers.sims.handheld import Handheld
from drivers.sims.ssi_scanner import SsiScanner
from edge.board import VerdictWord, verdict
from edge.link import Health, Part, Tile
from edge.words import sentence
from tests.edge.rig import Gate, code, quick, row, running


def tile(gate: Gate, name: str) -> Tile:
    return next(one for one in gate.daemon.board.tiles if (one.part, one.name) == (Part.READER, name))


def exit_device(text: str, line: str) -> str:
    """Change the line that names the exit scanner's device, and whether it is grabbed."""
    lines = text.splitlines()
    at = next(n for n, one in enumerate(lines) if one.startswith("device = ") and "lane1-exit" in one)
    assert lines[at + 1] == "grab = false"
    return "\n".join([*lines[:at], *(line.format(device=lines[at]).splitlines()), *lines[at + 2 :]])


@pytest.mark.parametrize(
    ("line", "cause", "fix"),
    [
        # As far as a device can be taken that is not a kernel's; EBUSY itself: tests/drivers, by umockdev.
        ("{device}\ngrab = true", "is no input device", "/dev/input/by-path"),
        ('device = "/etc/hostname"\ngrab = false', "is a plain file", "/dev/input/by-path"),
    ],
    ids=["cannot be grabbed", "a plain file"],
)
async def test_a_reader_that_cannot_be_had_is_named_with_the_fix_and_the_others_work(
    tmp_path: Path, line: str, cause: str, fix: str
) -> None:
    async with running(tmp_path, [row(7)], adjust=lambda text: exit_device(quick(text), line)) as gate:
        await gate.until(lambda: gate.code(Part.READER, "1.2") == "device.misconfigured", "it is shown")
        await gate.until(lambda: gate.health(Part.READER, "2.4") is Health.OK, "the others are open")
        await gate.until(lambda: gate.daemon.lanes[2].ready, "the lane is ready")
        shown = tile(gate, "1.2")
        assert (shown.health, shown.lane) == (Health.BAD, 1)
        said = sentence(shown.code, shown.args, Language.EN)
        assert cause in said.cause
        assert "gatehouse-edge check" in said.fix
        assert fix in said.fix
        assert verdict(gate.daemon.board.tiles).word is VerdictWord.DEGRADED
        await gate.hardware.second.scan(code(7))
        await gate.walk(2)
        assert (await gate.seen()).outcome == Outcome.GRANT


SSI = """
[[lanes.readers]]
id = 5
way = "entry"
driver = "ssi"
port = "{port}"
pause = true
gap_ms = 30
"""


async def test_an_ssi_scanner_shows_the_verdict_and_pauses_until_the_visitor_is_through(
    tmp_path: Path,
) -> None:
    scanner = SsiScanner(tmp_path / "ssi")
    scanner.port.plug()
    with_ssi = SSI.format(port=scanner.port.link)
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text, hold_ms=3000) + with_ssi) as gate:
        await gate.ready()
        await gate.until(lambda: gate.health(Part.READER, "2.5") is Health.OK, "the scanner is open")
        assert "SIM" in str(tile(gate, "2.5").args["what"])
        del scanner.heard[:]
        assert await scanner.scan(code(7))
        await gate.until(lambda: not scanner.enabled, "it is off while somebody passes")
        assert scanner.heard == [(Op.BEEP, b"\x01"), (Op.LED_ON, b"\x01"), (Op.SCAN_DISABLE, b"")]
        await gate.walk(2)
        await gate.until(lambda: scanner.enabled and not scanner.lit, "and reads again behind the visitor")
        assert await scanner.scan(code(8) + b"X")
        await gate.until(lambda: (Op.BEEP, b"\x0f") in scanner.heard, "a refusal is another beep")
        assert scanner.enabled
        scanner.port.unplug()
        await gate.until(lambda: gate.code(Part.READER, "2.5") == "device.gone", "gone")
        scanner.port.plug()
        await gate.until(lambda: gate.health(Part.READER, "2.5") is Health.OK, "and back")
    scanner.port.unplug()


TCP = """
[[lanes.readers]]
id = 5
way = "entry"
driver = "tcp"
sources = ["127.0.0.1"]
listen = "127.0.0.1"
port = {port}
"""


async def test_a_handhelds_line_admits_and_a_strangers_is_unheard(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with running(tmp_path, [row(7)], adjust=lambda text: quick(text) + TCP.format(port=port)) as gate:
        await gate.ready()
        await gate.until(lambda: gate.health(Part.READER, "2.5") is Health.OK, "it listens")
        stranger = Handheld(lambda: ("127.0.0.1", port), source="127.0.0.2")
        await stranger.connect()
        handheld = Handheld(lambda: ("127.0.0.1", port))
        await handheld.scan(code(7))
        await gate.walk(2)
        assert (await gate.seen()).outcome == Outcome.GRANT
        assert len(gate.daemon.recent) == 1
        await handheld.hang_up()
        stranger.vanish()
