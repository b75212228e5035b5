"""PC/SC readers on a real pcscd with a virtual reader (`tests.drivers.pcscd`); skipped where none can run."""

import asyncio
from collections.abc import Iterator

import pytest

from drivers.base import DeviceGone, Medium, Opened, Scan
from drivers.readers.pcsc import PcscConfig, PcscReader
from drivers.sims.pcsc_service import VpcdField
from drivers.transport.pcsc import PcscLite
from tests.drivers import pcscd
from tests.drivers.reader_rig import WAIT_S, open_files, running
from tests.drivers.test_pcsc import UID, WITH_URL, band, scans, sun


@pytest.fixture(scope="module")
def service() -> Iterator[pcscd.Pcscd]:
    reason = pcscd.missing()
    if reason:
        pytest.skip(reason)
    with pcscd.service() as made:
        yield made


@pytest.fixture
def held(service: pcscd.Pcscd) -> Iterator[VpcdField]:
    yield service.field
    service.take()


async def test_a_real_service_reads_cards_of_both_kinds(held: VpcdField) -> None:
    before = open_files()
    async with running(PcscReader(PcscConfig("Virtual PCD 00 00"), PcscLite())) as (listener, _):
        assert listener.seen == [Opened(f"PC/SC reader {pcscd.READER}")]
        held.put(band())
        await listener.next()
        held.put(None)
        async with asyncio.timeout(WAIT_S):
            while not listener.removed:
                await asyncio.sleep(0.01)
        held.put(sun())
        await listener.next()
        assert scans(listener) == [(Medium.TAG, WITH_URL), (Medium.TAG, bytes((7,)) + UID + b"tap 1")]
        held.put(None)
    assert open_files() == before


async def test_a_real_card_pulled_in_the_middle_says_nothing(service: pcscd.Pcscd, held: VpcdField) -> None:
    card = band()
    card.answers_max = 2
    async with running(PcscReader(PcscConfig("Virtual PCD 00 00"), PcscLite())) as (listener, task):
        held.put(card)
        async with asyncio.timeout(WAIT_S):
            while len(card.heard) < 2:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(service.take)
        assert scans(listener) == []
        held.put(band())
        scan = await listener.next()
        assert isinstance(scan, Scan)
        assert scan.data == WITH_URL
        assert not task.done()


async def test_a_real_service_that_stops_and_comes_back(service: pcscd.Pcscd, held: VpcdField) -> None:
    reader = PcscReader(PcscConfig("Virtual PCD 00 00"), PcscLite())
    async with running(reader) as (_, task):
        service.stop()
        with pytest.raises(DeviceGone, match="service"):
            await asyncio.wait_for(task, WAIT_S)
    with pytest.raises(DeviceGone, match="service"):
        async with running(reader):
            raise AssertionError("opened without a service")
    service.start()
    async with running(reader) as (listener, _):
        assert listener.seen == [Opened(f"PC/SC reader {pcscd.READER}")]


async def test_a_reader_that_a_real_service_does_not_have(service: pcscd.Pcscd) -> None:
    with pytest.raises(DeviceGone, match="no PC/SC reader OMNIKEY"):
        async with running(PcscReader(PcscConfig("OMNIKEY"), PcscLite())):
            raise AssertionError("opened what is not there")
