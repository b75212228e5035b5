"""What the gate's processes load: a module that one of them does not need costs a small box megabytes for ever."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge.front.self_signed import make
from edge.front_process import THRIFT, ZONES
from edge.version import VERSION

ROOT = Path(__file__).parents[2]
KEYS_IN_FILES = "cryptography.hazmat.primitives.serialization"
"""Formats of key files, with every kind of key: 3.5 MB and 40 ms. The gate's keys are raw."""
CERTIFICATES = "cryptography.x509"
"""8 MB; wanted once in the life of a box, by a process of its own."""
PRESENCE = "admission.presence"
LOG = "edge.store.log_schema"


@pytest.mark.parametrize(
    ("process", "needless"),
    [
        ("edge.builder", {KEYS_IN_FILES, CERTIFICATES, PRESENCE, LOG, "asyncio", "logging", "ssl"}),
        (
            "edge.front.process",
            {KEYS_IN_FILES, CERTIFICATES, "edge.lane", "edge.daemon", "zipfile", "importlib.metadata"},
        ),
        ("edge.daemon", {KEYS_IN_FILES, CERTIFICATES, "aiohttp", "email", "zipfile", "importlib.metadata"}),
        ("edge.compose", {KEYS_IN_FILES, CERTIFICATES, "aiohttp", "edge.front.server", "edge.daemon"}),
        ("drivers.guard", {"cryptography", "msgspec", "asyncio", "apsw"}),
    ],
)
def test_a_process_loads_only_what_it_needs(process: str, needless: set[str]) -> None:
    said = subprocess.run(
        [sys.executable, "-c", f"import sys, {process}; print(*sys.modules)"],
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout
    loaded = set(said.decode().split())
    assert process in loaded
    assert not loaded & needless


def test_lane_and_front_find_the_time_zones_without_loading_how_python_was_built() -> None:
    said = (
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, edge.schedule; print(edge.schedule.ZoneInfo('Europe/Zurich'), *sys.modules)",
            ],
            capture_output=True,
            check=True,
            timeout=30,
            env={**os.environ, **THRIFT},
        )
        .stdout.decode()
        .split()
    )
    assert said[0] == "Europe/Zurich"
    assert not [name for name in said if name.startswith("_sysconfigdata")]
    assert f"PYTHONTZPATH={ZONES}" in (ROOT / "systemd" / "gatehouse-edge.service").read_text().split()


LOADED = """
import os
before = dict(os.environ)
from edge.front.__main__ import load_aiohttp
load_aiohttp()
import aiohttp.web, gc, mimetypes, ssl
assert dict(os.environ) == before
def held():
    return sum(one.cert_store_stats()["x509"] for one in gc.get_objects() if isinstance(one, ssl.SSLContext))
loaded = held()
from edge.centre_tls import CentreTls
tls = CentreTls()
connecting = held()
tls.undated
print(loaded, connecting, held(), mimetypes.types_map == mimetypes.MimeTypes().types_map[True])
"""


def test_the_systems_authorities_are_held_once_and_only_where_the_centre_is_looked_at_by_them(
    tmp_path: Path,
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(make(["an authority"], [])[1])
    said = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True,
        check=True,
        timeout=30,
        env={**os.environ, "SSL_CERT_FILE": str(trusted)},
    ).stdout
    assert said.split() == [b"0", b"1", b"2", b"True"]


def test_the_version_that_is_told_is_the_package_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
