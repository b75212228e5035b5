"""What a gate's TOML may say of readers, and what is said about what it may not."""

from pathlib import Path

import pytest

from drivers.base import Medium
from drivers.sims.keyboard_scanner import KeyboardScanner
from drivers.sims.serial_scanner import SerialScanner
from edge.compose import reader_of
from edge.config import load
from edge.settings import SsiReader, TcpReader
from tests.drivers.reader_rig import running, scanned
from tests.edge.test_config import errors

LANE = """[[lanes]]
id = 1
name = "Lane"
[[lanes.readers]]
id = 1
way = "entry"
"""
TCP = LANE + 'driver = "tcp"\nsources = ["192.168.7.0/24"]\n'
SSI = LANE + 'driver = "ssi"\nport = "/dev/a"\n'
SERIAL = LANE + 'driver = "serial"\nport = "/dev/a"\n'
OSDP = LANE + 'driver = "osdp"\nport = "/dev/a"\nkey_file = "/etc/k"\n'
PCSC = LANE + 'driver = "pcsc"\n'
WIEGAND = LANE + 'driver = "wiegand"\nchip = "header"\nd0 = 23\nd1 = 24\nbits = 26\n'
HID = LANE + 'driver = "hidpos"\nusb = "0c2e:0db3"\n'


def test_defaults() -> None:
    (tcp,) = load(TCP, {}).lanes[0].readers
    assert isinstance(tcp, TcpReader)
    assert (tcp.listen, tcp.port, tcp.rate_max) == ("0.0.0.0", 9100, 5)
    (ssi,) = load(SSI, {}).lanes[0].readers
    assert isinstance(ssi, SsiReader)
    assert (ssi.accept_beep, ssi.reject_beep, ssi.wait_beep, ssi.pause) == (1, 15, -1, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LANE + 'driver = "tcp"\n', "line 4: lanes[0].readers[0].sources: is missing"),
        (TCP.replace('"192.168.7.0/24"', ""), "readers[0].sources: "),
        (TCP.replace("192.168.7.0/24", "0.0.0.0/0"), "sources[0]: '0.0.0.0/0' says not who may send"),
        (
            TCP.replace("192.168.7.0/24", "192.168.7.1/24"),
            "sources[0]: '192.168.7.1/24' says not who may send",
        ),
        (TCP.replace("192.168.7.0/24", "handheld"), "sources[0]: 'handheld' says not who may send"),
        (TCP + 'listen = "everywhere"\n', "listen: this is no address"),
        (TCP + "port = 8443\n", "port: port 8443 is used by [page] already (allowed: one of its own)"),
        (TCP + "port = 7342\n", "port: port 7342 is used by [peers] already"),
        (TCP + "port = 502\n", "port: 502 is not allowed (allowed: a whole number from 1024 to 65535)"),
        (TCP + "rate_max = 0\n", "rate_max: 0 is not allowed"),
        (TCP + "source = []\n", "source: there is no such key; did you mean sources?"),
        (
            TCP + TCP.split("\n", 3)[3].replace("id = 1", "id = 2"),
            "lanes[0].readers[1].port: port 9100 is used by readers 1 already",
        ),
        (
            SSI + "accept_beep = 27\n",
            "accept_beep: 27 is not allowed (allowed: a whole number from -1 to 26)",
        ),
        (SSI + "accept_beeps = 1\n", "accept_beeps: there is no such key; did you mean accept_beep?"),
        (SSI.replace('"ssi"', '"sssi"'), "did you mean ssi?"),
        (
            HID.replace('usb = "0c2e:0db3"', ""),
            "nothing says which HID device this reader is (allowed: one of device,",
        ),
        (HID + 'layout = "us"\n', "layout: there is no such key"),
        (HID + HID.split("\n", 3)[3].replace("id = 1", "id = 2"), "usb: what this reader is found by"),
        (OSDP.replace("/etc/k", "k"), "key_file: 'k' is no device path"),
        (OSDP + "address = 127\n", "address: 127 is not allowed"),
        (
            OSDP + OSDP.split("\n", 3)[3].replace("id = 1", "id = 2"),
            "lanes[0].readers[1].address: this address is used by readers 1 already",
        ),
        (
            SERIAL + OSDP.split("\n", 3)[3].replace("id = 1", "id = 2"),
            "lanes[0].readers[1].port: this port is used by readers 1 already",
        ),
        (PCSC + 'model = "ACR122U"\n', "model: there is no such key"),
        (
            PCSC + PCSC.split("\n", 3)[3].replace("id = 1", "id = 2"),
            "lanes[0].readers[1]: what this reader is found by is used by readers 1 already",
        ),
        (WIEGAND.replace("26", "35"), "bits: 35 is not allowed (allowed: 26, 34, 37)"),
        (WIEGAND.replace("26", "true"), "bits: true is not allowed"),
        (WIEGAND.replace("d1 = 24", "d1 = 23"), "d1: this line is used by readers 1 already"),
        (WIEGAND + 'carries = "uid"\n', "carries: a UID of 4 bytes comes in 34 bits (allowed: bits = 34"),
        (WIEGAND + "gap_ms = 20\n", "gap_ms: 20 is not allowed (allowed: a whole number from 21 to 200)"),
        (
            '[[inputs]]\nid = "contacts"\ndriver = "gpio"\nchip = "header"\noffsets = [24]\n' + WIEGAND,
            "d1: this line is used by inputs 'contacts' already",
        ),
        (SSI.replace("/dev/a", "ttyACM0"), "port: 'ttyACM0' is no device path"),
    ],
)
def test_what_is_wrong_is_said(text: str, expected: str) -> None:
    (found,) = errors(text)
    assert expected in found


def test_a_reader_that_listens_where_nobody_else_does() -> None:
    text = TCP.replace("[[lanes]]", "[page]\nport = 9100\n[[lanes]]", 1)
    (found,) = errors(text)
    assert "port: port 9100 is used by [page]" in found
    load(text + "port = 9101\n", {})


@pytest.mark.parametrize(
    ("typed", "setting"),
    [
        ("04:a1:b2:c3", ""),
        ("C3B2A104", 'uid_order = "little"'),
        ("0077705923", 'uid_form = "dec4"'),
        ("3283263748", 'uid_form = "dec4"\nuid_order = "little"'),
        ("01185,45763", 'uid_form = "halves"'),
    ],
)
async def test_a_tag_is_the_same_however_a_reader_types_it(typed: str, setting: str, tmp_path: Path) -> None:
    link = tmp_path / "reader"
    keyboard, serial = KeyboardScanner(link), SerialScanner(tmp_path / "tty")
    for sim, found in (
        (keyboard, f'driver = "wedge"\ndevice = "{link}"\ngrab = false\n'),
        (serial, f'driver = "serial"\nport = "{tmp_path / "tty"}"\n'),
    ):
        (settings,) = load(f'{LANE}{found}medium = "uid"\n{setting}\n', {}).lanes[0].readers
        sim.port.plug()
        async with running(reader_of(settings)) as (listener, _):
            if isinstance(sim, KeyboardScanner):
                await sim.scan(typed)
            else:
                await sim.scan(typed.encode())
            assert scanned(await listener.next()) == (Medium.UID, bytes.fromhex("04A1B2C3"))
        sim.port.unplug()
