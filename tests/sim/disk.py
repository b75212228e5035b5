"""A gate's card: SQLite and the stores work on real files in memory, and what would be on the medium is kept beside.

Every change goes through the recording VFS of `tests.edge.power_cut`, whose `Medium` knows what was synced. A card can
lose its power in the middle of any operation, take no more (ENOSPC), fail (EIO, reads too), turn read-only, or say of a
sync that it was done when it was not. `mount` gives the next start what the cut left, a copy for a clone, or an older
image.
"""

import errno
import os
import random
import shutil
from pathlib import Path

import apsw

from edge.store.disk import LocalDisk
from edge.store.list import LIST_FILE
from tests.edge.power_cut import Medium, Operation, RecordingDisk, Sync, SyncFolder, Write
from tests.sim.loop import PowerCut

TRANSIENT = ("-shm", ".lock", ".sock")
"""Files that no medium holds: shared memory, locks, sockets."""


class SimDisk(RecordingDisk):
    """The card of one run of a gate, at `root`."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        super().__init__()
        self.root = root
        self.medium = Medium.of_folder(root)
        self._chance = chance
        self.cut_in: int | None = None
        """The power fails while this many more operations are done."""
        self.failing: int = 0
        """An errno: each change fails so; 0: the card works."""
        self.reads_fail = False
        self.lies = False
        """Syncs are said to be done, and are not."""
        self.is_dead = False
        self._locks: list[int] = []

    def record(self, operation: Operation) -> None:
        """One operation, before SQLite's own VFS does it."""
        if self.is_dead:
            raise PowerCut
        if self.failing:
            self._fail(operation)
        if isinstance(operation, Write | Sync | SyncFolder) and self.cut_in is not None:
            self.cut_in -= 1
            if self.cut_in <= 0:
                if isinstance(operation, Write):
                    self.medium.apply(operation)
                self.is_dead = True
                raise PowerCut
        if not (self.lies and isinstance(operation, Sync | SyncFolder)):
            self.medium.apply(operation)

    def read(self) -> None:
        """SQLite is about to read."""
        if self.is_dead:
            raise PowerCut
        if self.reads_fail:
            raise apsw.IOError("injected")

    def _fail(self, operation: Operation) -> None:
        in_sqlite = isinstance(operation, Write) or type(operation).__name__.startswith("_Sqlite")
        if not in_sqlite:
            raise OSError(self.failing, os.strerror(self.failing))
        raise {errno.ENOSPC: apsw.FullError, errno.EROFS: apsw.ReadOnlyError}.get(self.failing, apsw.IOError)(
            "injected"
        )

    def lock(self, path: Path) -> int:
        descriptor = super().lock(path)
        self._locks.append(os.dup(descriptor))
        return descriptor

    def total_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
        return 0

    def let_go(self) -> None:
        """The run is over: nothing of it touches the card any more."""
        self.is_dead = True
        for descriptor in self._locks:
            os.close(descriptor)
        self._locks.clear()
        self.close()


def after_cut(disk: SimDisk, chance: random.Random, target: Path) -> None:
    """Write to `target` what a box finds when its power comes back.

    The list comes from the builder, another process, of which the medium knows nothing: it syncs what it puts in place.
    """
    known = set(disk.medium._inodes) | set(disk.medium._synced_names)
    known.discard(disk.root / LIST_FILE)
    target.mkdir(parents=True)
    disk.medium.cut(chance, disk.root, target)
    _copy(disk.root, target, lambda path: path not in known)


def after_end(disk: SimDisk, target: Path) -> None:
    """Write to `target` what a box finds whose program ended, by itself or killed: all that was written."""
    image(disk.root, target)


def image(root: Path, target: Path) -> None:
    """Copy a card."""
    target.mkdir(parents=True)
    _copy(root, target, lambda _: True)


def _copy(root: Path, target: Path, wanted: object) -> None:
    assert callable(wanted)
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.endswith(TRANSIENT) and wanted(path):
            to = target / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


__all__ = ["LocalDisk", "SimDisk", "after_cut", "after_end", "image"]
