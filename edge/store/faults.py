"""What goes wrong with a store, split by what to do next. Each fault carries the next action for the operator."""

import errno
from enum import Enum

import apsw


class FaultKind(Enum):
    """What to do next decides the kind."""

    HELD = "held"  # another daemon owns the data: stop, and say which
    READ_ONLY = "read_only"  # the folder or card refuses writes: stop, and say where
    FULL = "full"  # keep in memory, free room, try again
    IO = "io"  # keep in memory, try again, change the card
    CORRUPT = "corrupt"  # set aside, save what can be read, start new
    OTHER_FORMAT = "other_format"  # written by another version: list rebuilt, log set aside
    MISSING = "missing"  # there is none yet
    MEMORY_FULL = "memory_full"  # the disk has taken nothing for so long that memory is at its limit


HINTS = {
    FaultKind.HELD: "Stop the other gatehouse-edge (systemctl stop gatehouse-edge), or give this one its own data folder.",
    FaultKind.READ_ONLY: "Make the data folder writable for the gate's user; a card that went read-only must be changed.",
    FaultKind.FULL: "Delete what does not belong in the data folder, or use a larger card; scans stay in memory meanwhile.",
    FaultKind.IO: "Change the card or disk soon; scans stay in memory meanwhile. Keep the box powered until it is well again.",
    FaultKind.CORRUPT: "Nothing to do at once: what was readable is kept. Change the card if this happens again.",
    FaultKind.OTHER_FORMAT: "Nothing to do: it is made anew by this version.",
    FaultKind.MISSING: "Connect the gate to its centre once, or load a list file.",
    FaultKind.MEMORY_FULL: "Make the disk writable now; the lane refuses entry until it is.",
}


class StoreFault(Exception):
    """A store cannot do what it was asked. `kind` says what to do next, `hint` tells the operator."""

    def __init__(self, kind: FaultKind, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.kind = kind
        self.hint = hint or HINTS[kind]


_BY_ERRNO = {
    errno.ENOSPC: FaultKind.FULL,
    errno.EDQUOT: FaultKind.FULL,
    errno.EROFS: FaultKind.READ_ONLY,
    errno.EACCES: FaultKind.READ_ONLY,
    errno.EPERM: FaultKind.READ_ONLY,
    errno.ENOENT: FaultKind.MISSING,
}

_BY_CLASS: tuple[tuple[type[apsw.Error], FaultKind], ...] = (
    (apsw.FullError, FaultKind.FULL),
    (apsw.CorruptError, FaultKind.CORRUPT),
    (apsw.NotADBError, FaultKind.CORRUPT),
    (apsw.ReadOnlyError, FaultKind.READ_ONLY),
    (apsw.PermissionsError, FaultKind.READ_ONLY),
)


def fault_of(error: apsw.Error | OSError, what: str) -> StoreFault:
    """Return the fault that an error of SQLite or the file system means; anything unnamed is an I/O error."""
    kind = FaultKind.IO
    if isinstance(error, OSError):
        kind = _BY_ERRNO.get(error.errno or 0, FaultKind.IO)
    else:
        for one, of in _BY_CLASS:
            if isinstance(error, one):
                kind = of
    return StoreFault(kind, f"{what}: {error}")
