"""Puts a new configuration in the place of the old one, checked by the gate's own loader first, whole or not at all; and puts
one away, so that the box is commissioned anew."""

import os
from pathlib import Path

from edge import config
from edge.commission.toml_text import HEAD

BACKUP_SUFFIX = ".bak"


def set_aside(path: Path) -> bool:
    """Put a configuration away as `.bak`, durably; False, and nothing done, where this page did not write it."""
    if not path.read_text("utf-8").startswith(HEAD):
        return False
    path.replace(path.with_name(path.name + BACKUP_SUFFIX))
    _sync(path.parent)
    return True


def place(path: Path, text: str) -> None:
    """Write it durably; the file before it is kept beside it as `.bak`. ConfigErrors where no gate would take it."""
    config.load(text, {})
    new = path.with_name(path.name + ".new")
    # 0640 as the installed file: it names devices, and the group reads it.
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    if path.exists():
        # A second name for the old file, put in place whole: at no moment is there no configuration.
        aside = path.with_name(path.name + ".old")
        aside.unlink(missing_ok=True)
        aside.hardlink_to(path)
        aside.replace(backup)
    new.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have what was renamed in a folder outlive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
