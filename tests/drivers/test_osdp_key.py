"""Giving a reader a key: it is kept before the reader has it, counts once it is proved, and whatever is cut off goes on at the next call."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Misconfigured
from drivers.readers.osdp import OsdpConfig, OsdpReader, read_key
from drivers.readers.osdp_key import give_key
from drivers.sims.osdp_reader import KEYSET, SCBK_D, OsdpBus, OsdpDevice
from tests.drivers.reader_rig import WAIT_S, open_files, running

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[OsdpBus]:
    made = OsdpBus(tmp_path / "tty", OsdpDevice(1, SCBK_D))
    made.port.plug()
    yield made
    made.port.unplug()


@pytest.fixture
def config(bus: OsdpBus, tmp_path: Path) -> OsdpConfig:
    (tmp_path / "keys").mkdir()
    return OsdpConfig(str(bus.port.link), 1, str(tmp_path / "keys" / "scbk"))


async def given(config: OsdpConfig) -> str:
    return await asyncio.wait_for(give_key(config), WAIT_S)


def files(config: OsdpConfig) -> list[str]:
    return sorted(one.name for one in Path(config.key_file).parent.iterdir())


async def test_a_new_reader_gets_a_key_that_only_the_gate_can_read(bus: OsdpBus, config: OsdpConfig) -> None:
    before = open_files()
    name = await given(config)
    assert "serial 12345678" in name
    assert open_files() == before
    assert files(config) == ["scbk"]
    assert stat.S_IMODE(Path(config.key_file).stat().st_mode) == 0o600
    key = read_key(config.key_file)
    assert key == bus.devices[1].scbk != SCBK_D
    assert key.hex() not in name
    async with running(OsdpReader(config)):
        pass


async def test_a_key_is_changed_under_the_one_before_it(bus: OsdpBus, config: OsdpConfig) -> None:
    await given(config)
    first = read_key(config.key_file)
    await given(config)
    assert read_key(config.key_file) == bus.devices[1].scbk != first


async def test_a_reader_that_was_put_in_another_ones_place_gets_a_key_too(
    bus: OsdpBus, config: OsdpConfig
) -> None:
    Path(config.key_file).write_text(KEY.hex())
    Path(config.key_file).chmod(0o600)
    await given(config)
    assert read_key(config.key_file) == bus.devices[1].scbk != KEY


async def test_a_reader_with_somebody_elses_key_keeps_it_and_so_does_the_gate(
    bus: OsdpBus, config: OsdpConfig
) -> None:
    Path(config.key_file).write_text(KEY.hex())
    Path(config.key_file).chmod(0o600)
    bus.devices[1].scbk = KEY[::-1]
    with pytest.raises(DeviceMisbehaved, match="does not take the key of a new reader") as refused:
        await given(config)
    assert "install mode" in refused.value.hint
    assert read_key(config.key_file) == KEY
    assert KEYSET not in {command for command, _ in bus.devices[1].heard}


async def test_what_was_cut_off_before_the_key_counted_goes_on(bus: OsdpBus, config: OsdpConfig) -> None:
    """The reader took the key, and falls silent before it proved it."""
    device = bus.devices[1]

    def silenced() -> bool:
        device.silent = device.scbk != SCBK_D
        return False

    bus.lost = silenced
    with pytest.raises(DeviceGone):
        await given(config)
    assert files(config) == ["scbk.new"]
    bus.lost = lambda: False
    device.silent = False
    taken = device.scbk
    await given(config)
    assert files(config) == ["scbk"]
    assert read_key(config.key_file) == taken == device.scbk


async def test_a_key_that_cannot_be_kept_is_not_given(bus: OsdpBus, config: OsdpConfig) -> None:
    Path(config.key_file).parent.rmdir()
    with pytest.raises(Misconfigured, match="cannot be kept") as wrong:
        await given(config)
    assert "data folder" in wrong.value.hint
    assert bus.devices[1].heard == []
