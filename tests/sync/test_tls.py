"""Over TLS: joined and heard with a certificate that is trusted, refused with one that is not."""

import asyncio
import datetime
import ipaddress
import random
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.enrol import EnrolFailed, enrol
from edge.front.centre import Centre, CutOff
from sync import compose, demo
from sync.gates.enrolment import new_code
from sync.store.database import CentreFault
from sync.wire.messages import Pushed
from tests.sync.venue import NOW_S


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for the loopback address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(random.getrandbits(64))
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
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
        code = new_code(connection, centre.keys, demo.MAIN_GATE_NAME, compose.system_now_s(), b"12345")
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


def test_a_key_of_another_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    chain, _ = certificate(tmp_path)
    _, other = certificate(tmp_path / "one")
    with pytest.raises(CentreFault) as fault:
        compose.tls_context(chain, other)
    assert "PEM" in fault.value.hint
