"""A SQLite database whose tables stand: made once and copied, since making them takes longer than most tests."""

import os
import tempfile
from functools import cache
from pathlib import Path

from sync.store.database import FILE, Database


def with_tables(data: Path) -> Path:
    """Put the tables, with nothing in them, into a data folder that has none; returns the folder."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (data / FILE).exists():
        handle = os.open(data / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_tables())
    return data


@cache
def _tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Database.open(Path(folder)).close()
        return (Path(folder) / FILE).read_bytes()
