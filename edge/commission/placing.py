"""Puts a new configuration in the place of the old one, checked by the gate's own loader first, whole or not at all; and puts
one away, so that the box is commissioned anew."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from edge import config
from edge.commission.toml_text import HEAD
from edge.settings import Settings

BACKUP_SUFFIX = ".bak"
log = logging.getLogger("edge.commission.placing")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The gate before: its settings, and its file with the text. `unread`: a file that was put aside and cannot be read."""

    settings: Settings
    path: Path | None = None
    text: str = ""
    unread: Path | None = None


def earlier(path: Path, bare: Settings) -> Earlier:
    """Return the gate of this file; where there is none, the one that was put aside from there; else a bare one.

    ConfigErrors where the file itself cannot be read: it stays what it is.
    """
    if path.exists():
        return Earlier(config.load(path), path, path.read_text("utf-8"))
    for place in (config.writable_path(path), path):
        aside = place.with_name(place.name + BACKUP_SUFFIX)
        if not aside.exists():
            continue
        try:
            return Earlier(config.load(aside), aside, aside.read_text("utf-8"))
        except (config.ConfigErrors, OSError) as error:
            log.warning("the gate before cannot be read: %s", error, extra={"code": "commission.unread"})
            return Earlier(bare, unread=aside)
    return Earlier(bare)


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
