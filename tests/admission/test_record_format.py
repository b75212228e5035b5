"""The record format is frozen: what one box wrote is read for ever, so no byte of what `docs/record-vectors.json` holds changes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.chain import link, seed
from admission.entitlements import Mode
from admission.ids import Epoch, GateId
from admission.records import (
    DeviceChange,
    DeviceKind,
    Direction,
    Extension,
    ExtensionRecord,
    Fire,
    Flag,
    Kind,
    Outcome,
    Record,
    Trust,
    record_from_bytes,
)
from sync.wire.replication import head_in

DOCS = Path("docs")
VECTORS: dict[str, Any] = msgspec.json.decode((DOCS / "record-vectors.json").read_bytes())
RECORDS: list[dict[str, Any]] = VECTORS["records"]
FOR_EVER = (
    "The record format is frozen: cards and centres hold records that must read as they were written, for ever. "
    "Do not change the vector; what is new takes a number that was free, and a vector of its own."
)
ENUMS = (Kind, Extension, Flag, Direction, Outcome, Trust, Fire, DeviceKind, DeviceChange, Mode)


@pytest.mark.parametrize("vector", RECORDS, ids=lambda one: f"{one['fields']['seq']} {one['name']}")
def test_a_record_is_the_same_bytes_for_ever(vector: dict[str, Any]) -> None:
    blob = bytes.fromhex(vector["hex"])
    read = record_from_bytes(blob)
    assert _fields(read) == vector["fields"], FOR_EVER
    assert read.to_bytes() == blob, FOR_EVER


@pytest.mark.parametrize("kind", ENUMS, ids=lambda one: one.__name__)
def test_a_number_means_the_same_for_ever(kind: Any) -> None:
    held = VECTORS["numbers"][kind.__name__]
    now = {one.name: int(one) for one in kind}
    assert {name: now.get(name) for name in held} == held, FOR_EVER
    assert now == held, (
        f"{sorted(now.keys() - held.keys())} is new: add it to docs/record-vectors.json, for ever."
    )


def test_every_record_has_its_vector() -> None:
    named = {one["name"] for one in RECORDS}
    missing = {one.name for one in (*Kind, *Extension)} - named
    assert not missing, f"add vectors of {sorted(missing)} to docs/record-vectors.json: they are for ever"


def test_the_chain_and_its_head_are_the_same_for_ever() -> None:
    gate, epoch = GateId(VECTORS["gate"]), Epoch(int(VECTORS["epoch"], 16))
    at = seed(gate, epoch)
    assert at.hex() == VECTORS["seed"], FOR_EVER
    *blobs, last = (bytes.fromhex(one["hex"]) for one in RECORDS)
    for blob in blobs:
        at = link(at, blob)
    assert at.hex() == VECTORS["link"], FOR_EVER
    head = head_in(gate, epoch, last)
    assert head is not None
    assert (head.seq, head.link) == (len(blobs), at), FOR_EVER
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["public"]))
    assert head.signed_by(public), FOR_EVER


def test_the_page_names_every_record() -> None:
    page = (DOCS / "records.md").read_text().replace("\n", " ")
    missing = [
        f"{one.name} {one.value}" for one in (*Kind, *Extension) if f"`{one.name}` {one.value}" not in page
    ]
    assert not missing, f"docs/records.md does not say what {missing} is"


def _fields(read: Record | ExtensionRecord) -> dict[str, int | str]:
    found = {name: getattr(read, name) for name in read.__struct_fields__}
    return {name: one.hex() if isinstance(one, bytes) else int(one) for name, one in found.items()}
