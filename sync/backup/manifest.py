"""What a backup consists of: its files with their sums, in a file that is written last."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from sync.store.database import CentreFault

FILE = "manifest.json"
FORMAT = 1
MANIFEST_BYTES_MAX = 64 * 1024
"""A handful of files; more was not written by us."""
READ_BYTES = 1024 * 1024


class Part(msgspec.Struct, frozen=True):
    """A file of a backup."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A backup. `revision`: of its tables; `made_at_s`: what restoring it goes back to."""

    format: int = FORMAT
    engine: Literal["sqlite", "postgresql"]
    revision: str
    made_at_s: int
    parts: tuple[Part, ...]


def write(folder: Path, made: Manifest) -> None:
    """Write the manifest: with it the backup is whole."""
    path = folder / FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2))
    sync_to_disk((path, folder))


def part(path: Path) -> Part:
    """Return what the manifest says of a file."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            size += len(piece)
            digest.update(piece)
    return Part(path.name, size, digest.hexdigest())


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup whose every file is as it was written; CentreFault where it is not."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(MANIFEST_BYTES_MAX), type=Manifest)
    except FileNotFoundError:
        raise CentreFault(
            f"{folder} is no whole backup: it has no {FILE}", "Take another one; this one was cut short."
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise CentreFault(
            f"{path} cannot be read: {error}", "Take another backup; this one is damaged."
        ) from error
    if found.format != FORMAT:
        raise CentreFault(
            f"{folder} was made by another version (format {found.format})", "Restore it with that version."
        )
    for one in found.parts:
        if Path(one.name).name != one.name:
            raise CentreFault(
                f"{path} names a file elsewhere", "Take another backup; this one was tampered with."
            )
        try:
            stands = part(folder / one.name)
        except OSError as error:
            raise CentreFault(
                f"{folder / one.name} cannot be read: {error.strerror}",
                "Take another backup; this one is not whole.",
            ) from error
        if stands != one:
            raise CentreFault(
                f"{folder / one.name} is not as it was written", "Take another backup; this one is damaged."
            )
    return found


def sync_to_disk(paths: Iterable[Path]) -> None:
    """Wait until these files and folders stand a power cut."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
