"""Bringing the tables from one revision to another, by Alembic: imported where there is something to bring."""

from pathlib import Path

import alembic.command
import alembic.config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from sync.store.engines import CentreFault

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, revision: str) -> None:
    """Bring the tables to a revision, in the transaction that is open. CentreFault where it leads there from none we know."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        alembic.command.upgrade(config, revision)
    except CommandError as error:
        raise CentreFault(
            f"the database was made by another version: {error}",
            "Install that version of gatehouse again, or restore the backup made before it.",
        ) from error
