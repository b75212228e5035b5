"""gatehouse-sync backup, restore, and check-backup, as typed."""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sync.backup import archive
from sync.backup.manifest import Manifest

EXIT_OK = 0


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the commands; they open the data themselves, so that nothing is migrated on the way."""
    backup = commands.add_parser(
        "backup", parents=[shared], help="write a backup into a new folder; the centre may go on serving"
    )
    backup.add_argument("folder", type=Path, metavar="DIR")
    backup.set_defaults(alone=_backup)
    check = commands.add_parser("check-backup", help="read all of a backup and say whether it is whole")
    check.add_argument("folder", type=Path, metavar="DIR")
    check.set_defaults(alone=_check)
    restore = commands.add_parser(
        "restore", parents=[shared], help="put a backup in the place of the data; stop the centre first"
    )
    restore.add_argument("folder", type=Path, metavar="DIR")
    restore.add_argument("--yes", action="store_true", help="though there is data already; it is put aside")
    restore.set_defaults(alone=_restore)


def _backup(options: argparse.Namespace) -> int:
    _say("Backed up", archive.make(options.data, options.database, options.folder, int(time.time())))
    return EXIT_OK


def _check(options: argparse.Namespace) -> int:
    _say("Whole", archive.check(options.folder))
    return EXIT_OK


def _restore(options: argparse.Namespace) -> int:
    done = archive.restore(
        options.data, options.database, options.folder, int(time.time()), replaces=options.yes
    )
    _say("Restored", done.made)
    if done.aside is not None:
        sys.stdout.write(f"What was there is in {done.aside}.\n")
    sys.stdout.write(
        "Start the centre. Gates take its lists and send the records it lacks by themselves; gates enrolled, tickets\n"
        "sold and passwords changed since the backup are to be entered again.\n"
    )
    return EXIT_OK


def _say(what: str, made: Manifest) -> None:
    size = sum(one.size for one in made.parts)
    sys.stdout.write(
        f"{what}: {made.engine}, tables {made.revision}, of {datetime.fromtimestamp(made.made_at_s, UTC):%Y-%m-%d %H:%M:%S} UTC, "
        f"{len(made.parts)} files, {size} bytes.\n"
    )
