"""`gatehouse-edge osdp-key`, as a technician calls it: behind the PIN, for a reader of the configuration, and no key is said."""

import asyncio
import re
from pathlib import Path

import pytest

from drivers.sims.osdp_reader import SCBK_D, OsdpBus, OsdpDevice
from tests.edge.gate_folder import make_gate
from tests.edge.test_cli import Box

READER = """
[[lanes.readers]]
id = 2
way = "exit"
driver = "osdp"
port = "{port}"
address = 5
key_file = "{key_file}"
"""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    make_gate(box.data)
    return box


async def test_a_reader_of_the_configuration_is_given_a_key_behind_the_pin(box: Box) -> None:
    key_file = box.data / "osdp-5.key"
    bus = OsdpBus(box.toml.parent / "tty", OsdpDevice(5, SCBK_D))
    bus.port.plug()
    box.toml.write_text(box.toml.read_text() + READER.format(port=bus.port.link, key_file=key_file))

    async def call(reader: int, pin: str = "") -> tuple[int, str, str]:
        return await asyncio.to_thread(
            box.call, "osdp-key", "--reader", str(reader), given=f"{pin}\n".encode()
        )

    _, out, _ = await asyncio.to_thread(box.call, "pin")
    pin = re.findall(r"\d{8}", out)[0]
    assert (await call(1, pin))[::2] == (
        1,
        "gatehouse-edge: 1 is no OSDP reader of this gate\n  next: Its OSDP readers: 2.\n",
    )
    code, _, err = await call(2, "1")
    assert (code, "not the PIN" in err, bus.devices[5].heard) == (1, True, [])
    code, out, err = await call(2, pin)
    assert (code, err) == (0, "")
    key = bus.devices[5].scbk
    assert key != SCBK_D
    assert "serial 12345678" in out
    assert "install mode" in out
    assert key.hex() not in out.lower()
    assert key_file.read_text() == key.hex() + "\n"
    bus.devices[5].silent = True
    code, _, err = await call(2, pin)
    assert (code, "no OSDP reader answers at address 5" in err, "next:" in err) == (1, True, True)
    assert key_file.read_text() == key.hex() + "\n"
    bus.port.unplug()
