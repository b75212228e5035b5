"""Over TLS: joined and heard with a certificate that is trusted, refused with one that is not."""

import asyncio
import datetime
import ipaddress
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from edge.enrol import EnrolFailed, enrol
from edge.front.centre import Centre, CentreRefused, CutOff
from sync import compose, demo
from sync.gates.enrolment import new_code
from sync.store.database import CentreFault
from sync.wire.messages import Pushed, fingerprint_of
from tests.sync.venue import NOW_S

YEARS_10_S = 10 * 365 * 86_400
DAY_S = 86_400


def certificate(folder: Path, off_s: int = 0, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write a self-signed certificate for an address, valid a day around now and `off_s`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre")])
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=off_s)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(random.getrandbits(64))
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


async def test_a_box_joins_and_is_heard_over_tls(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    centre = compose.open_centre(tmp_path / "centre")
    demo.make_demo(centre.database, centre.keys, centre.data, NOW_S)
    with centre.database.writing() as connection:
        code = new_code(connection, centre.keys, demo.MAIN_GATE, compose.system_now_s(), b"12345")
    serving = await compose.listen(centre, "127.0.0.1", 0, compose.tls_context(chain, key))
    try:
        assert serving.url.startswith("https://")
        with pytest.raises(EnrolFailed, match="does not answer"):
            await asyncio.to_thread(enrol, tmp_path / "box", serving.url, code, "box")
        box = await asyncio.to_thread(
            lambda: enrol(tmp_path / "box", serving.url, code, "box", ca_file=chain)
        )
        async with Centre(box, chain) as trusted:
            assert await trusted.have() == Pushed(())
        async with Centre(box) as distrusted:
            with pytest.raises(CutOff, match=r"(?i)certificate"):
                await distrusted.have()
    finally:
        await serving.stop()
        centre.close()


@asynccontextmanager
async def centre_of_another_time(folder: Path, off_s: int) -> AsyncIterator[tuple[compose.Centre, str, Path]]:
    """A centre whose clock and certificate are right, in a time that our clock is `off_s` short of."""
    chain, key = certificate(folder, off_s)
    centre = compose.open_centre(folder / "centre")
    demo.make_demo(centre.database, centre.keys, centre.data, NOW_S)
    serving = await compose.listen(
        centre, "127.0.0.1", 0, compose.tls_context(chain, key), now_s=lambda: int(time.time()) + off_s
    )
    try:
        yield centre, serving.url, chain
    finally:
        await serving.stop()
        centre.close()


def new_box_code(centre: compose.Centre, off_s: int) -> str:
    with centre.database.writing() as connection:
        now_s = int(time.time()) + off_s
        return new_code(connection, centre.keys, demo.MAIN_GATE, now_s, os.urandom(5))


def pinned_url(centre: compose.Centre, url: str) -> str:
    """The address as `gatehouse-sync gate code` prints it."""
    return f"{url}#{fingerprint_of(centre.keys.document(NOW_S).identity)}"


@pytest.mark.parametrize("off_s", [YEARS_10_S, -YEARS_10_S], ids=["ten years behind", "ten years ahead"])
async def test_a_box_whose_clock_is_ten_years_off_joins_and_is_heard_over_tls(
    tmp_path: Path, off_s: int
) -> None:
    async with centre_of_another_time(tmp_path, off_s) as (centre, url, chain):
        code, pinned = new_box_code(centre, off_s), pinned_url(centre, url)
        with pytest.raises(EnrolFailed, match=r"(?i)certificate") as failed:
            await asyncio.to_thread(lambda: enrol(tmp_path / "box", url, code, "box", ca_file=chain))
        assert "FINGERPRINT" in failed.value.hint  # nothing vouches for the time without it
        box = await asyncio.to_thread(
            lambda: enrol(tmp_path / "box", pinned, code, "box", ca_file=chain)  # the code is unspent
        )
        async with Centre(box, chain) as trusted:
            assert await trusted.have() == Pushed(())
            assert abs(trusted.ahead_s - off_s) <= 5
            told = trusted.listen(5.0)
            name, _ = await anext(told)
            assert name in {"", "seal", "settings", "keys"}
            await told.aclose()
        async with Centre(box) as distrusted:  # no authority of ours: the clock is no way round that
            with pytest.raises(CutOff, match=r"(?i)certificate"):
                await distrusted.have()


async def test_only_the_pinned_key_may_say_that_the_clock_is_wrong(tmp_path: Path) -> None:
    async with centre_of_another_time(tmp_path, YEARS_10_S) as (centre, url, chain):
        code = new_box_code(centre, YEARS_10_S)
        pinned = pinned_url(centre, url)
        wrong = f"{url}#{'0' * 64}"
        with pytest.raises(EnrolFailed):
            await asyncio.to_thread(lambda: enrol(tmp_path / "box", wrong, code, "box", ca_file=chain))
        box = await asyncio.to_thread(lambda: enrol(tmp_path / "box", pinned, code, "box", ca_file=chain))
        other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        async with Centre(msgspec.structs.replace(box, time_public=other), chain) as centre_:
            with pytest.raises(CentreRefused, match="time_forged"):
                await centre_.have()
            assert centre_.ahead_s == 0
            # What proves itself is to be had all the same: the venue may have rolled that key.
            assert fingerprint_of((await centre_.key_document()).identity) == pinned.partition("#")[2]


async def test_a_certificate_that_ran_out_stays_refused_where_the_clock_is_right(tmp_path: Path) -> None:
    async with centre_of_another_time(tmp_path, 0) as (centre, url, good):
        code = new_box_code(centre, 0)
        pinned = pinned_url(centre, url)
        box = await asyncio.to_thread(lambda: enrol(tmp_path / "box", pinned, code, "box", ca_file=good))
        (tmp_path / "old").mkdir()
        chain, key = certificate(tmp_path / "old", -2 * DAY_S)
        serving = await compose.listen(centre, "127.0.0.1", 0, compose.tls_context(chain, key))
        try:
            async with Centre(msgspec.structs.replace(box, centre_url=serving.url), chain) as expired:
                for _ in range(2):
                    with pytest.raises(CutOff, match="expired"):
                        await expired.have()
        finally:
            await serving.stop()


async def test_one_that_ran_out_by_the_centres_own_time_is_refused_by_a_box_that_goes_by_that(
    tmp_path: Path,
) -> None:
    """The clock is wrong, so the centre's time is gone by: a certificate that is over by it is over."""
    async with centre_of_another_time(tmp_path, YEARS_10_S) as (centre, url, good):
        code = new_box_code(centre, YEARS_10_S)
        pinned = pinned_url(centre, url)
        box = await asyncio.to_thread(lambda: enrol(tmp_path / "box", pinned, code, "box", ca_file=good))
        (tmp_path / "old").mkdir()
        chain, key = certificate(tmp_path / "old", YEARS_10_S - 2 * DAY_S)
        serving = await compose.listen(
            centre,
            "127.0.0.1",
            0,
            compose.tls_context(chain, key),
            now_s=lambda: int(time.time()) + YEARS_10_S,
        )
        try:
            async with Centre(msgspec.structs.replace(box, centre_url=serving.url), chain) as expired:
                for _ in range(2):
                    with pytest.raises(CutOff, match="not valid"):
                        await expired.have()
        finally:
            await serving.stop()


def test_a_key_of_another_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    chain, _ = certificate(tmp_path)
    _, other = certificate(tmp_path / "one")
    with pytest.raises(CentreFault) as fault:
        compose.tls_context(chain, other)
    assert "PEM" in fault.value.hint
