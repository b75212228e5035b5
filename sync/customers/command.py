"""gatehouse-sync customer export, customer erase and retain, as typed."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from sync.accounts.principal import Actor
from sync.customers import erasure
from sync.store.database import CentreFault, Database

EXIT_OK = 0
BY_HAND = Actor("system", 0, "command line")
Work = Callable[[Database, argparse.Namespace], int]


def add_commands(commands: Any, shared: argparse.ArgumentParser, wrapped: Callable[[Work], object]) -> None:
    """Add the commands. `wrapped`: makes what the parser calls of what needs the database."""
    one = commands.add_parser("customer", help="people").add_subparsers(required=True, metavar="WHAT")
    for name, work, words in (
        ("export", _export, "all that is held of a customer, as JSON"),
        ("erase", _erase, "take away what is known of a customer; tickets stay valid"),
    ):
        found = one.add_parser(name, parents=[shared], help=words)
        found.add_argument("number", type=int, metavar="NUMBER")
        found.add_argument("--organization", type=int, default=1, metavar="NUMBER")
        found.set_defaults(run=wrapped(work))
    retain = commands.add_parser(
        "retain", parents=[shared], help="make customers anonymous whose events ended long ago"
    )
    retain.add_argument("--days", type=int, required=True, metavar="N", help="ended more than N days ago")
    retain.add_argument("--organization", type=int, default=1, metavar="NUMBER")
    retain.set_defaults(run=wrapped(_retain))


def _export(database: Database, options: argparse.Namespace) -> int:
    with database.reading() as connection:
        found = erasure.export(connection, options.organization, options.number)
    if found is None:
        raise _unknown(options)
    sys.stdout.write(found.decode() + "\n")
    return EXIT_OK


def _erase(database: Database, options: argparse.Namespace) -> int:
    done = database.transact(
        lambda connection: erasure.erase(connection, options.organization, options.number, BY_HAND, _now_s())
    )
    if not done:
        raise _unknown(options)
    sys.stdout.write(f"Customer {options.number} is anonymous now. Backups made before still name them.\n")
    return EXIT_OK


def _retain(database: Database, options: argparse.Namespace) -> int:
    if options.days < erasure.DAYS_MIN:
        raise CentreFault("personal data is kept for a day or more", "Give --days 1 or more.")
    total = 0
    while True:
        done = database.transact(
            lambda connection: erasure.retain(connection, options.organization, options.days, _now_s())
        )
        total += done
        if done < erasure.PER_RUN:
            sys.stdout.write(f"{total} customers are anonymous now.\n")
            return EXIT_OK


def _unknown(options: argparse.Namespace) -> CentreFault:
    return CentreFault(
        f"organization {options.organization} has no customer {options.number}",
        "Look for the number on the centre's pages, or in: gatehouse-sync export customers.",
    )


def _now_s() -> int:
    return int(time.time())
