"""Snapshots on their way down: resumed where they were cut, and believed by their name alone."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import aiohttp

from sync.wire.snapshots import SNAPSHOT_BYTES_MAX, Published, is_address

FETCH_S = 900.0
"""For one go at a snapshot: 200 MB over 2 Mbit/s. What came by then stays, and the next go takes the rest."""
KEPT_FREE_BYTES = 64 * 1024 * 1024
"""A list never takes the disk's last: the log comes first."""
READ_BYTES = 256 * 1024
FreeBytes = Callable[[Path], int]


class Cut(Exception):
    """The snapshot did not come whole. Try again: what came is kept."""


class Altered(Exception):
    """What came is not what its name says. It is thrown away."""


async def fetch(
    session: aiohttp.ClientSession, base: str, published: Published, into: Path, free_bytes: FreeBytes
) -> None:
    """Bring a snapshot into a file, going on with what is in it; durable at the end. Cut, Altered or OSError."""
    if not is_address(published.address) or not 0 < published.size <= SNAPSHOT_BYTES_MAX:
        raise Altered("the snapshot's name or size is none")
    held = await asyncio.to_thread(held_of, into, published.size)
    if held < published.size:
        if published.size - held > free_bytes(into.parent) - KEPT_FREE_BYTES:
            raise OSError(errno.ENOSPC, "a new list would take the disk's last space")
        try:
            async with asyncio.timeout(FETCH_S):
                await _rest(
                    session, f"{base}/api/v1/snapshots/{published.address}", published.size, into, held
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Cut(str(error) or type(error).__name__) from error
    if await asyncio.to_thread(address_of_file, into) != published.address:
        await asyncio.to_thread(into.unlink)
        raise Altered("the snapshot is not what its name says")


async def _rest(session: aiohttp.ClientSession, url: str, size: int, into: Path, held: int) -> None:
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={held}-"} if held else {})}
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        if response.status not in {200, 206}:
            raise Cut(f"the snapshot is not to be had ({response.status})")
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {held}-"):
            raise Cut("what answers gives another part than was asked for")
        if held and not resumed and response.content_length not in {None, size}:
            raise Cut("what answers gives something else")  # a proxy's page: what came stays
        with into.open("ab" if resumed else "wb") as file:
            left = size - (held if resumed else 0)
            async for part in response.content.iter_chunked(READ_BYTES):
                left -= len(part)
                if left < 0:
                    break  # longer than announced: the digest tells
                file.write(part)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
    if left > 0:
        raise Cut("the snapshot ended early")


def held_of(path: Path, size: int) -> int:
    """Return how much is there to go on with; what is longer than the snapshot is none of it."""
    try:
        held = path.stat().st_size
    except FileNotFoundError:
        return 0
    if held > size:
        path.unlink()
        return 0
    return held


def address_of_file(path: Path) -> str:
    """Return the name that a file has as a snapshot. Reads all of it: in a thread."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
