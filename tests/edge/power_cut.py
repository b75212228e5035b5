"""A disk that loses power, and one that fails: SQLite's own file operations, recorded, cut and damaged.

`RecordingDisk` lets SQLite work on real files through an APSW VFS and writes down every operation. A crash point is
the state of the medium while operation K runs: what was synced is there; each write since survives, vanishes or is
torn at 512 bytes, by a seeded choice; the names of files are those of some moment since their folder's last sync
(ordered, as a journaling file system keeps them). `FailingDisk` raises EIO or ENOSPC instead.
"""

import errno
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from edge.store.disk import LocalDisk

SECTOR_BYTES = 512
"""What a medium writes whole or not at all."""

Buffer = bytes | bytearray | memoryview

_names = itertools.count()


@dataclass(frozen=True, slots=True)
class Create:
    path: Path


@dataclass(frozen=True, slots=True)
class Write:
    path: Path
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    path: Path


@dataclass(frozen=True, slots=True)
class SyncFolder:
    path: Path


@dataclass(frozen=True, slots=True)
class Rename:
    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Delete:
    path: Path


@dataclass(frozen=True, slots=True)
class Mark:
    """Not an operation: the workload was told that step `step` is durable."""

    step: int


Operation = Create | Write | Truncate | Sync | SyncFolder | Rename | Delete | Mark


class RecordingDisk(LocalDisk):
    """The box's disk, with every operation that changes it written down. Syncs cost nothing."""

    def __init__(self) -> None:
        self.vfs = f"recording-{next(_names)}"
        self.trace: list[Operation] = []
        self._vfs = _Vfs(self.vfs, self)

    def record(self, operation: Operation) -> None:
        self.trace.append(operation)

    def read(self) -> None:
        """SQLite is about to read."""

    def close(self) -> None:
        self._vfs.unregister()

    def sync(self, path: Path) -> None:
        self.record(Sync(path))

    def sync_folder(self, path: Path) -> None:
        self.record(SyncFolder(path))

    def rename(self, source: Path, target: Path) -> None:
        self.record(Rename(source, target))
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        if path.exists():
            self.record(Delete(path))
        super().remove(path)

    def free_bytes(self, path: Path) -> int:  # noqa: ARG002 - the Protocol's
        return 0  # no reserve: 8 MiB a crash point would only cost time


class FailingDisk(RecordingDisk):
    """Operations `first` to `first + count - 1` fail, reads too where `reads`; then the disk is well again."""

    def __init__(self, code: int, first: int, count: int, *, reads: bool) -> None:
        super().__init__()
        self._code = code
        self._failing = range(first, first + count)
        self._reads = reads
        self.operations = 0

    def heal(self) -> None:
        self._failing = range(0)

    def record(self, operation: Operation) -> None:
        if not isinstance(operation, Mark):
            self._next(in_sqlite=isinstance(operation, Write | Truncate | Create) or _of_sqlite(operation))

    def read(self) -> None:
        if self._reads:
            self._next(in_sqlite=True)

    def _next(self, *, in_sqlite: bool) -> None:
        self.operations += 1
        if self.operations in self._failing:
            if not in_sqlite:
                raise OSError(self._code, "injected")
            raise apsw.FullError("injected") if self._code == errno.ENOSPC else apsw.IOError("injected")


@dataclass(frozen=True, slots=True)
class _SqliteSync(Sync):
    """A sync that SQLite asked for, so that it fails in SQLite's way."""


@dataclass(frozen=True, slots=True)
class _SqliteDelete(Delete):
    """A removal that SQLite asked for."""


def _of_sqlite(operation: Operation) -> bool:
    return isinstance(operation, _SqliteSync | _SqliteDelete)


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: RecordingDisk) -> None:
        super().__init__(name, "unix")
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - APSW's name
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        if filename is None:
            return apsw.VFSFile("unix", name, flags)
        path = Path(filename)
        is_new = not path.exists()
        if is_new:
            self._disk.record(Create(path))
        syncs_folder = is_new and bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))
        return _File(self._disk, name, flags, path, syncs_folder=syncs_folder)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - APSW's names
        path = Path(filename)
        if not path.exists():
            return  # SQLite takes that for done
        self._disk.record(_SqliteDelete(path))
        super().xDelete(filename, False)
        if syncdir:
            self._disk.record(SyncFolder(path.parent))


class _File(apsw.VFSFile):
    def __init__(
        self,
        disk: RecordingDisk,
        name: str | apsw.URIFilename | None,
        flags: list[int],
        path: Path,
        *,
        syncs_folder: bool,
    ) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._path = path
        self._syncs_folder = syncs_folder

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - APSW's name
        self._disk.read()
        return super().xRead(amount, offset)

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802 - APSW's name
        self._disk.record(Write(self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - APSW's name
        self._disk.record(Truncate(self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002 - APSW's name
        self._disk.record(_SqliteSync(self._path))
        if self._syncs_folder:  # SQLite's unix VFS syncs the folder of a new journal with its first sync
            self._disk.record(SyncFolder(self._path.parent))
            self._syncs_folder = False


@dataclass(slots=True)
class _Inode:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)


class Medium:
    """What lies on the medium after a number of operations."""

    def __init__(self) -> None:
        self._inodes: dict[Path, _Inode] = {}
        self._synced_names: dict[Path, _Inode] = {}
        self._pending_names: list[dict[Path, _Inode]] = []

    @classmethod
    def of_folder(cls, folder: Path) -> "Medium":
        """What a box finds that was off for a while: everything is on the medium."""
        medium = cls()
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.endswith(("-shm", ".lock")):
                medium._inodes[path] = _Inode(bytearray(path.read_bytes()))
        medium._synced_names = dict(medium._inodes)
        return medium

    def apply(self, operation: Operation) -> None:
        """One more operation was done."""
        match operation:
            case Write(path=path) | Truncate(path=path):
                self._inodes[path].pending.append(operation)
            case Sync(path=path):
                inode = self._inodes[path]
                for one in inode.pending:
                    _do(inode.synced, one)
                inode.pending.clear()
            case SyncFolder(path=path):
                # One journal for the whole file system: syncing one folder brings in all earlier names.
                self._synced_names = dict(self._inodes)
                self._pending_names.clear()
            case Create(path=path):
                self._inodes[path] = _Inode()
                self._pending_names.append(dict(self._inodes))
            case Delete(path=path):
                self._inodes = {name: one for name, one in self._inodes.items() if not _is_below(name, path)}
                self._pending_names.append(dict(self._inodes))
            case Rename(source=source, target=target):
                moved = {name: one for name, one in self._inodes.items() if _is_below(name, source)}
                self._inodes = {name: one for name, one in self._inodes.items() if name not in moved}
                for name, inode in moved.items():
                    self._inodes[target / name.relative_to(source) if name != source else target] = inode
                self._pending_names.append(dict(self._inodes))
            case Mark():
                pass

    def cut(self, chance: random.Random, root: Path, target: Path) -> None:
        """Write to `target` what a box finds below `root` when the power comes back."""
        names = chance.choice([self._synced_names, *self._pending_names])
        for name, inode in names.items():
            path = target / name.relative_to(root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_survivors(inode, chance))


def _survivors(inode: _Inode, chance: random.Random) -> bytes:
    found = bytearray(inode.synced)
    fate = chance.random()
    for operation in inode.pending:
        luck = fate if fate < 0.4 else chance.uniform(0, 1)
        if luck < 0.2:
            continue
        if luck < 0.7 or isinstance(operation, Truncate):
            _do(found, operation)
            continue
        at = 0
        while at < len(operation.data):  # torn: each sector arrived or did not
            end = at + SECTOR_BYTES - (operation.offset + at) % SECTOR_BYTES
            if chance.random() < 0.5:
                _do(found, Write(operation.path, operation.offset + at, operation.data[at:end]))
            at = end
    return bytes(found)


def _do(content: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        del content[operation.size :]
        return
    if len(content) < operation.offset:
        content.extend(bytes(operation.offset - len(content)))
    content[operation.offset : operation.offset + len(operation.data)] = operation.data


def _is_below(name: Path, folder: Path) -> bool:
    return name == folder or folder in name.parents


def crash_points(trace: list[Operation], start: Medium | None = None) -> Iterator[tuple[int, int, Medium]]:
    """Yield (operation, last step marked durable, medium) for every point where the power may fail."""
    medium = start or Medium()
    marked = 0
    for number, operation in enumerate(trace):
        if isinstance(operation, Mark):
            marked = operation.step
            continue
        # While it runs, a write may have reached the medium already; a sync or rename may not have.
        if isinstance(operation, Write | Truncate):
            medium.apply(operation)
            yield number, marked, medium
        else:
            yield number, marked, medium
            medium.apply(operation)
    yield len(trace), marked, medium
