"""Where tests keep files that need no disk: in memory, where there is room enough."""

import os
import shutil
from pathlib import Path

SHARED = Path("/dev/shm")
SMALL_BYTES = 32 << 20
SERVER_BYTES = 1 << 30
"""A database server's. A container has 64 MiB there unless it is told otherwise."""


def memory_folder(room_bytes: int = SMALL_BYTES) -> Path | None:
    """Return where files cost no disk; None where that is not there or has less room."""
    if not os.access(SHARED, os.W_OK) or shutil.disk_usage(SHARED).free < room_bytes:
        return None
    return SHARED
