"""A key of its own for an OSDP reader, made here, given to it over the wire, and kept where its configuration says.

A new reader, or one in install mode, takes it under the key that is printed in the specification: who listens to the wire
meanwhile hears it, so the two are alone on it. One that has a key of ours takes the next one under that. The key lies on the disk
before the reader has it and counts once the reader has proved it: whatever is cut off in between, the next call goes on.
"""

import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

from drivers.base import DeviceMisbehaved, Misconfigured
from drivers.framing.osdp_channel import KEY_BYTES, SCBK_D
from drivers.readers.osdp import OsdpConfig, open_once, read_key

SILENT_NS: Final = 3_000_000_000
"""A reader that has just been given a key may start anew before it answers again."""
_HINT: Final = "Let key_file lie where the gate's user may write, such as in its data folder."


async def give_key(config: OsdpConfig) -> str:
    """Give the reader at `config` a new key and put it in its `key_file`; return the reader's name.

    Raises DriverError where the reader is not there, its port is taken, or it takes no key: then its key is what it was.
    """
    path = Path(config.key_file)
    waiting = path.with_name(path.name + ".new")
    had = _held(path)
    begun = _held(waiting)
    key = begun or secrets.token_bytes(KEY_BYTES)
    if begun is None:
        _write(waiting, key)
    # With the waiting key first: the reader may have taken it when the last call was cut off.
    ways = [(key, b"")] if begun is not None else []
    ways += [(one, key) for one in (had, SCBK_D) if one is not None]
    name = await _first_that_opens(config, ways)
    _place(waiting, path)
    return name


async def _first_that_opens(config: OsdpConfig, ways: list[tuple[bytes, bytes]]) -> str:
    refused: DeviceMisbehaved | None = None
    for key, fresh in ways:
        try:
            return await open_once(replace(config, silent_ns=SILENT_NS), key, fresh)
        except DeviceMisbehaved as error:
            refused = error
    assert refused is not None
    raise refused


def _held(path: Path) -> bytes | None:
    """The key in a file; None where there is no such file. Misconfigured where it is no key, or not the gate's alone."""
    return read_key(str(path)) if path.exists() else None


def _write(path: Path, key: bytes) -> None:
    """Keep a key durably, for the gate alone; there is the whole of it or nothing."""
    part = path.with_name(path.name + ".part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Misconfigured(f"the key {path} cannot be kept: {error.strerror}", _HINT) from error
    _place(part, path)


def _place(written: Path, path: Path) -> None:
    try:
        written.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Misconfigured(f"the key {path} cannot be kept: {error.strerror}", _HINT) from error
