"""gatehouse-sync event tag-keys, as typed: the only way on which these keys leave the centre, and no page shows them."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from admission.codecs import sun
from sync.events import rows
from sync.store.database import CentreFault, Database

EXIT_OK = 0
Work = Callable[[Database, argparse.Namespace], int]


def add_tag_keys(commands: Any, shared: argparse.ArgumentParser, wrapped: Callable[[Work], object]) -> None:
    """Add the command. `wrapped`: makes what the parser calls of what needs the database."""
    found = commands.add_parser(
        "tag-keys", parents=[shared], help="print the keys that a group's NTAG 424 DNA tags are written with"
    )
    found.add_argument("group", type=int, metavar="GROUP", help="the event group's number")
    found.set_defaults(run=wrapped(_tag_keys))


def _tag_keys(database: Database, options: argparse.Namespace) -> int:
    with database.reading() as connection:
        digest_key = rows.digest_key(connection, options.group)
    if digest_key is None:
        raise CentreFault(
            f"there is no event group {options.group}", "See the centre's pages for its number."
        )
    keys = sun.keys_of(digest_key)
    sys.stdout.write(json.dumps({"meta": keys.meta.hex(), "file_master": keys.file.hex()}) + "\n")
    sys.stderr.write(
        "Whoever has these makes tags that gates believe. Each tag's file key is made of file_master by AN10922, "
        "for its UID and the 9 letters gatehouse.\n"
    )
    return EXIT_OK
