"""`gatehouse-edge detect --osdp PORT`: only a port that somebody names is asked, and who answers is named with what opens it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from admission.reasons import Language
from drivers.sims.osdp_reader import SCBK_D, OsdpBus, OsdpDevice
from drivers.transport.asked_port import AskedPort
from edge.commission.buses import key_file
from edge.commission.detect import Named, detect, lines
from edge.commission.words import LANGUAGES
from edge.devices import OsdpBus as Searched
from edge.devices import OsdpFound
from tests.edge.commission.box import Box
from tests.edge.commission.test_detect import run
from tests.house import ROOT

FOUND = OsdpFound(5, 9600, "CAFE00", "1.2", "12345678", "1.2.3")


async def test_readers_of_a_bus_that_is_named_are_told_with_what_opens_them(tmp_path: Path) -> None:
    bus = OsdpBus(tmp_path / "tty", OsdpDevice(5, SCBK_D))
    bus.port.plug()
    box = Box(tmp_path / "box")
    box.usb("1-1", "0403:6001", "FT232R USB UART")
    port = str(box.serial("1-1", "ttyUSB0", bus.port.link))
    asked = ("--root", str(box.root))
    unasked = await asyncio.to_thread(run, *asked)
    assert (unasked.returncode, bus.devices[5].heard) == (0, [])
    assert "detect --osdp PORT and --modbus PORT" in unasked.stdout
    done = await asyncio.to_thread(run, *asked, "--osdp", port, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (reader,) = json.loads(done.stdout)["osdp"]
    opens = (
        'driver = "osdp"',
        f'port = "{port}"',
        'key_file = "/var/lib/gatehouse/osdp-CAFE00-12345678-5.key"',
        "address = 5",
    )
    assert (reader["port"], tuple(reader["reader"])) == (port, opens)
    found = detect(box.root, named=Named(port, Searched((FOUND,))), data=Path("/var/lib/gatehouse"))
    said = "\n".join(lines(found))
    assert f"{port}: OSDP reader, address 5, 9600 baud" in said
    assert "maker CAFE00, model 1.2, serial number 12345678, firmware 1.2.3" in said
    assert ", ".join(opens) in said
    bus.port.unplug()
    gone = await asyncio.to_thread(run, *asked, "--osdp", port)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "is not there" in gone.stderr


@pytest.mark.parametrize("bus", ["osdp", "modbus"])
async def test_a_search_says_where_it_is_and_ctrl_c_ends_it_and_gives_the_port_back(
    tmp_path: Path, bus: str
) -> None:
    silent = OsdpBus(tmp_path / "tty")
    silent.port.plug()
    screen, theirs = os.openpty()
    detecting = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edge",
            "detect",
            "--root",
            str(Box(tmp_path / "box").root),
            f"--{bus}",
            str(silent.port.link),
        ],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(theirs)
    said = b""
    while b"9600 baud" not in said:
        said += await asyncio.to_thread(os.read, screen, 4096)
    detecting.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # a terminal that nobody has open any more
        while more := await asyncio.to_thread(os.read, screen, 4096):
            said += more
    printed, _ = await asyncio.to_thread(detecting.communicate)
    assert (detecting.returncode, printed) == (130, b"")
    assert b"Ctrl-C" in said
    assert b"Traceback" not in said
    async with AskedPort(str(silent.port.link), 9600):  # nobody has it
        pass
    os.close(screen)
    silent.port.unplug()


@pytest.mark.parametrize("why", ["silent", "talks", "unclear"])
def test_a_bus_without_a_reader_and_two_at_one_address_are_told_with_what_to_do(
    tmp_path: Path, why: str
) -> None:
    box = Box(tmp_path)
    box.usb("1-1", "0403:6001", "FT232R USB UART")
    port = str(box.serial("1-1", "ttyUSB0"))
    for language in LANGUAGES:
        for at in (port, "/dev/elsewhere"):
            found = detect(tmp_path, language, Named(at, Searched((), (2, 5), why)))
            assert [one.code for one in found.troubles] == [f"osdp.{why}", "osdp.twins"]
            assert found.failed
            said = list(lines(found, language))
            for one in found.troubles:
                assert sum(one.cause in line for line in said) == 1
                assert sum(one.fix in line for line in said) == 1
    assert "2, 5" in detect(tmp_path, Language.EN, Named(port, Searched((), (2, 5)))).troubles[0].cause


def test_a_key_has_a_file_of_its_own_and_takes_nobody_s(tmp_path: Path) -> None:
    first = key_file(FOUND, tmp_path)
    first.touch()
    second = key_file(FOUND, tmp_path)
    assert [one.name for one in (first, second)] == [
        "osdp-CAFE00-12345678-5.key",
        "osdp-CAFE00-12345678-5-2.key",
    ]
    second.with_name(second.name + ".new").touch()  # begun, and cut off: it goes on
    assert key_file(FOUND, tmp_path) == second
    assert key_file(OsdpFound(3, 9600), tmp_path).name == "osdp-3.key"
