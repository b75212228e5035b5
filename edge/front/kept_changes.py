"""Signed changes as they came, since the list in place: for neighbours that are behind and cannot ask the centre.

Derived and replaceable, so nothing is synced to the disk for it: a tail that a power cut took is only not given on.
"""

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from admission.ids import EventId
from sync.wire.deltas import DeltaRefused, Span, span_of

CHANGES_FILE = "changes.kept"
SETTINGS_FILE = "settings.kept"
KEPT_BYTES_MAX = 4 * 1024 * 1024
"""Some 10,000 changes that came one by one. Beyond that a neighbour takes the list, which is made anew long before."""
PAGES_MAX = 20_000
_SIZE = struct.Struct(">I")


class KeptChanges:
    """Pages in the order in which they were taken. A disk that takes nothing keeps nothing: nobody depends on it."""

    def __init__(self, data: Path) -> None:
        self._changes, self._settings_path = data / CHANGES_FILE, data / SETTINGS_FILE
        self._pages: list[tuple[Span, bytes]] = []
        self._bytes = 0
        self.settings = b""
        """The newest settings, as they were signed; empty where they came with the list."""
        self._load()

    def _load(self) -> None:
        with contextlib.suppress(OSError):
            self.settings = self._settings_path.read_bytes()
        try:
            data = self._changes.read_bytes()[:KEPT_BYTES_MAX]
        except OSError:
            return
        at = 0
        while at + _SIZE.size <= len(data):
            (size,) = _SIZE.unpack_from(data, at)
            page = data[at + _SIZE.size : at + _SIZE.size + size]
            if len(page) < size:
                break
            try:
                self._pages.append((span_of(page), page))
            except DeltaRefused:
                break
            at += _SIZE.size + size
        self._bytes = at
        if at < len(data):  # a torn end, behind which nothing could be read again
            with contextlib.suppress(OSError):
                os.truncate(self._changes, at)

    def add(self, page: bytes) -> None:
        """Keep a page that was taken in."""
        if self._bytes + len(page) > KEPT_BYTES_MAX or len(self._pages) >= PAGES_MAX:
            self.start_over()
        self._pages.append((span_of(page), page))
        self._bytes += len(page) + _SIZE.size
        # What the disk does not take is kept in memory for as long as this process lives.
        with contextlib.suppress(OSError), self._changes.open("ab") as file:
            file.write(_SIZE.pack(len(page)) + page)

    def add_settings(self, settings: bytes) -> None:
        """Keep settings that were taken."""
        self.settings = settings
        with contextlib.suppress(OSError):
            self._settings_path.write_bytes(settings)

    def start_over(self) -> None:
        """Another list is in place, which these do not lead on from; or there are too many."""
        self._pages.clear()
        self._bytes = 0
        with contextlib.suppress(OSError):
            self._changes.unlink(missing_ok=True)

    def lead_on_from(self, listed: Mapping[EventId, tuple[int, int]]) -> None:
        """Leave out what the list itself holds by now: its generation and version of each event."""
        left = [
            (span, page)
            for span, page in self._pages
            if (span.generation, span.to) > listed.get(span.event, (span.generation, span.to))
        ]
        if len(left) == len(self._pages):
            return
        self.start_over()
        for _, page in left:
            self.add(page)

    def after(self, event: EventId, generation: int, version: int) -> Iterator[bytes]:
        """Yield the pages that lead on from a version of an event's list, without a hole."""
        for span, page in tuple(self._pages):  # in the order in which each followed on the one before
            is_of = (span.event, span.generation) == (event, generation)
            if is_of and span.since <= version < span.to:
                version = span.to
                yield page


__all__ = ["KeptChanges"]
