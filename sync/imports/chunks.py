"""A chunk on its way into the tables: what can be said of its rows without asking, readied while the database works."""

from collections.abc import Sequence
from typing import NamedTuple

from sync.imports import holders
from sync.imports.entries import Entry
from sync.imports.files import unpacked

NewCode = tuple[bytes, int, str, str | None]
"""Digest, place of its entry, kind and text."""


class Chunk(NamedTuple):
    """Entries, and what they bring where all of them are new. A place counts from 0 in `entries`."""

    entries: Sequence[Entry]
    codes: list[NewCode]
    """In the order of their digests: neighbours in the table share pages."""
    sources: list[tuple[bytes, int]]
    """Key and place, in the order of the keys."""
    said: holders.Said


def chunk_of(entries: Sequence[Entry]) -> Chunk:
    """Ready these entries."""
    codes = sorted(
        (code.digest, place, code.kind, code.text) for place, one in enumerate(entries) for code in one.codes
    )
    sources = sorted((one.key, place) for place, one in enumerate(entries))
    return Chunk(entries, codes, sources, holders.said(entries))


class Ahead:
    """What was readied of a job's next chunk: it holds in whatever transaction comes next while the chunk is the same.

    Chunks change where somebody is erased of whom they speak.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self._of = (0, 0, b"")
        self._chunk: Chunk | None = None

    def take(self, job: int, number: int, packed: bytes) -> Chunk:
        """Return the chunk of this number, which is there readied at best."""
        if self._chunk is None or (job, number, packed) != self._of:
            self.ready(job, number, packed)
        assert self._chunk is not None, "readied now, if not before"
        return self._chunk

    def ready(self, job: int, number: int, packed: bytes) -> None:
        """Ready the chunk of this number, from what the job keeps of it."""
        self._of, self._chunk = (job, number, packed), chunk_of(unpacked(packed))
