"""Snapshots as replicas share them: in the database, since each has a folder of its own.

A proxy gives each request to the next replica, so whoever is told of a snapshot by one asks another for it. On SQLite, which
one machine serves, the folder is enough, and nothing is kept here.
"""

from hashlib import sha256
from itertools import count
from typing import BinaryIO, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)

from sync.store.schema import METADATA

PART_BYTES: Final = 1024 * 1024
"""PostgreSQL takes a value whole into memory, on both sides."""

snapshot_part = Table(
    "snapshot_part",
    METADATA,
    Column("address", String(64), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("group_id", Integer, ForeignKey("event_group.id"), nullable=False),
    Column("made_at_s", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)


def keep(connection: Connection, group: int, address: str, made_at_s: int, file: BinaryIO, kept: int) -> None:
    """Keep a group's new snapshot for the other replicas, and `kept` of its snapshots in all."""
    if connection.dialect.name != "postgresql":
        return
    t = snapshot_part.c
    connection.execute(delete(snapshot_part).where(t.address == address))
    for part in count():
        body = file.read(PART_BYTES)
        if not body:
            break
        connection.execute(
            insert(snapshot_part).values(
                address=address, part=part, group_id=group, made_at_s=made_at_s, body=body
            )
        )
    newest = func.max(t.made_at_s)
    found = connection.execute(
        select(t.address)
        .where(t.group_id == group, t.address != address)
        .group_by(t.address)
        .order_by(newest.desc())
    ).scalars()
    connection.execute(delete(snapshot_part).where(t.address.in_(list(found)[kept - 1 :])))


def bring(connection: Connection, address: str, out: BinaryIO) -> bool:
    """Write a snapshot to a file; returns whether that is what its name says."""
    t, digest = snapshot_part.c, sha256()
    for part in count():
        body = connection.execute(select(t.body).where(t.address == address, t.part == part)).scalar()
        if body is None:
            return digest.hexdigest() == address
        digest.update(body)
        out.write(body)
    raise AssertionError("parts are counted without an end")
