"""What the stores ask of a disk besides SQLite: one seam, so that tests can cut the power between any two operations."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import Protocol

from edge.store.faults import FaultKind, StoreFault, fault_of

_PID_BYTES_MAX = 20
"""A process id in digits; no kernel's is longer."""


class Disk(Protocol):
    """File operations that must survive a power cut in order. All raise OSError."""

    vfs: str
    """Name of the SQLite VFS that reads and writes the same files; "" is SQLite's own."""

    def sync(self, path: Path) -> None:
        """Return once the file's bytes are on the medium."""

    def sync_folder(self, path: Path) -> None:
        """Return once the folder's names are on the medium; a rename before it may be undone by a power cut."""

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in `target`'s place; whoever looks sees the old or the new, never neither."""

    def remove(self, path: Path) -> None:
        """Take a file or a whole folder away; fine if it is not there."""

    def fill(self, path: Path, size: int) -> None:
        """Make a file of `size` bytes whose blocks are really taken."""

    def free_bytes(self, path: Path) -> int:
        """Return how much room is left around `path` for us."""

    def total_bytes(self, path: Path) -> int:
        """Return how large the disk around `path` is."""

    def lock(self, path: Path) -> int:
        """Open `path` and hold it alone; BlockingIOError while another process does. Returns the descriptor."""


class LocalDisk:
    """The box's own file system."""

    vfs = ""

    def sync(self, path: Path) -> None:
        """See Disk."""
        _sync(path, os.O_RDWR)

    def sync_folder(self, path: Path) -> None:
        """See Disk."""
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def rename(self, source: Path, target: Path) -> None:
        """See Disk."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """See Disk."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def fill(self, path: Path, size: int) -> None:
        """See Disk."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        """See Disk."""
        room = os.statvfs(path)
        return room.f_bavail * room.f_frsize

    def total_bytes(self, path: Path) -> int:
        """See Disk."""
        room = os.statvfs(path)
        return room.f_blocks * room.f_frsize

    def lock(self, path: Path) -> int:
        """See Disk."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def hold(disk: Disk, path: Path) -> int:
    """Lock `path` for this process and write its id in; StoreFault naming the holder while another has it."""
    try:
        descriptor = disk.lock(path)
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError):
            holder = int(path.read_text("ascii")[:_PID_BYTES_MAX])
            raise StoreFault(FaultKind.HELD, f"{path} is held by process {holder}") from None
        raise StoreFault(FaultKind.HELD, f"{path} is held by another process") from None
    except OSError as error:
        raise fault_of(error, f"{path} cannot be opened for writing") from error
    # The id only helps the next one's message; a full disk must not keep the daemon from starting.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
