"""Snapshots of lists as files, for whoever serves files best; and what each gate is told of them.

A group's newest list lies in the data folder as `snapshots/ADDRESS`, immutable: nginx or a CDN may serve the folder at
`/api/v1/snapshots/`. Replicas bring each other's (`sync.gates.shared_snapshots`). It is rebuilt at most every `REBUILD_S`
while gates follow by changes (`sync.gates.changes`), and at once for a gate that cannot.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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

from admission.ids import GateId
from sync.events import rows as events
from sync.events.tables import event as event_table
from sync.gates import lists, shared_snapshots, tables
from sync.gates.group_settings import GroupSettings
from sync.gates.seal_clock import SealClock
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.store.schema import METADATA, queue
from sync.wire.lists import NO_KEY
from sync.wire.sealed import KEY_BYTES, GroupSecrets, seal
from sync.wire.seals import RENEW_S, Seal, sign_seal
from sync.wire.snapshots import (
    HEADER_BYTES,
    Announced,
    Manifest,
    Published,
    announce,
    is_made_with,
    write_snapshot,
)

FOLDER = "snapshots"
REBUILD_S = 300
"""Gates follow by changes; a new snapshot only shortens the way of who comes anew (DESIGN.md, Lists)."""
VERSIONS_MAX = 1_000
"""Versions behind at which a snapshot is rebuilt all the same: the way by changes grows long."""
KEPT = 2
"""Snapshots of a group that stay: a gate may be fetching the one before."""
LEFT_S = 3_600
"""One that is being made was written to a moment ago; after so long nobody goes on with it."""
CLOSED = "closed"
"""`event.state` of an event that is over (`sync.events.programme.State`)."""

list_secret = Table(
    "list_secret",
    METADATA,
    Column("group_id", Integer, ForeignKey("event_group.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("secret", LargeBinary(KEY_BYTES), nullable=False),
    Column("made_at_s", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What a group's snapshots are encrypted with, the highest number now: a new one shuts out who was given the old."""
snapshot = Table(
    "snapshot",
    METADATA,
    Column("group_id", Integer, ForeignKey("event_group.id"), primary_key=True, autoincrement=False),
    Column("address", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("tag", String(40), nullable=False),
    Column("key", LargeBinary(32), nullable=False),
    Column("made_at_s", BigInteger, nullable=False),
    Column("versions", BigInteger, nullable=False, server_default="0"),
)
"""The newest of each group; `key`: public, that its list is signed with; `versions`: of all events together, when made."""

_SEALED_WITH = "gatehouse sealed with 0"

log = logging.getLogger("sync.snapshots")


@dataclass(frozen=True, slots=True)
class _Newest:
    """A snapshot that lies in the folder."""

    published: Published
    made_at_s: int
    versions: int
    """Of all events together, when it was made."""
    key: bytes
    """Public, that its list is signed with."""


class Snapshots:
    """Makes and announces snapshots. Building runs in one thread of its own, whoever asks meanwhile."""

    def __init__(
        self,
        database: Database,
        keys: VenueKeys,
        data: Path,
        now_s: Callable[[], int],
        rebuild_s: float = REBUILD_S,
        clock: SealClock | None = None,
    ) -> None:
        """`clock`: what else seals in this process has the same."""
        self._database = database
        self._keys = keys
        self.folder = data / FOLDER
        self._now_s = now_s
        self._clock = clock or SealClock(database)
        self._rebuild_s = rebuild_s
        self._thread = ThreadPoolExecutor(1, "snapshots")
        self._turns: dict[int, asyncio.Lock] = {}
        self._bringing = threading.Lock()
        self._newest: dict[int, _Newest] = {}
        self._sealed: dict[tuple[GateId, bytes, bytes], bytes] = {}
        """By gate, its key and the secret: each costs a millisecond."""
        self.settings = GroupSettings(keys)
        self._seals: dict[int, tuple[str, int, int, tuple[bytes, ...]]] = {}
        """By group: list's tag, minute, number of the keys, and the seals of it."""
        self.built = 0

    def close(self) -> None:
        """The centre ends: finish the snapshot under way."""
        self._thread.shutdown(cancel_futures=True)

    async def manifest(self, gate: GateId, *, fresh: bool) -> Manifest | None:
        """Return what a gate is told of its list; None for a gate that is not enrolled. `fresh`: not behind at all."""
        found = await self._database.read(lambda connection: _asker(connection, gate))
        if found is None:
            return None
        group, public = found
        turn = self._turns.setdefault(group, asyncio.Lock())
        if turn.locked() and not fresh:
            # Who follows by changes is as well served by the one before; but not by one that who was shut out can read.
            told = await asyncio.to_thread(self._manifest_of_before, group, gate, public)
            if told is not None:
                return told
        # One at a time for each group: whoever comes anew while a snapshot is made is told of that one.
        async with turn:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: self._manifest(group, gate, public, fresh=fresh)
            )

    def path(self, address: str) -> Path:
        """Return where a snapshot lies, if it does. `address`: one that `is_address`."""
        return self.folder / address

    def open(self, address: str) -> BinaryIO:
        """Open a snapshot, also one that another replica made. Blocks. OSError where none has it, or the disk takes it not."""
        try:
            return self.path(address).open("rb")
        except FileNotFoundError:
            if not self._database.is_postgresql:
                raise
        with self._bringing:  # all that ask for it meanwhile find it
            if not self.path(address).exists():
                self._bring(address)
        return self.path(address).open("rb")

    def build(self, group: int) -> Published:
        """Make a group's snapshot now. Blocks, seconds for a million rows. OSError where the disk does not take it."""
        return self._build(group, self._secrets(group).list_secret)

    def _bring(self, address: str) -> None:
        """Take a snapshot from the database into the folder, where it is there."""
        self.folder.mkdir(mode=0o755, exist_ok=True)
        fresh = self.folder / f"{os.getpid()}.{address}.new"
        try:
            with fresh.open("wb") as out, self._database.reading() as connection:
                if not shared_snapshots.bring(connection, address, out):
                    return
                out.flush()
                os.fsync(out.fileno())
            fresh.chmod(0o644)
            fresh.rename(self.path(address))
        finally:
            fresh.unlink(missing_ok=True)

    def _build(self, group: int, secret: bytes) -> Published:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        fresh, key = self.folder / f"{os.getpid()}.{group}.new", self._keys.list_key
        try:
            with (
                TemporaryFile(dir=self.folder) as listed,
                TemporaryFile(dir=self.folder) as room,
                fresh.open("wb") as out,
            ):
                with self._database.reading() as connection:
                    head = lists.write_list(connection, group, listed, key)
                address = write_snapshot(listed, out, room, group, secret)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            fresh.chmod(0o644)  # for nginx; nobody but an enrolled gate can read what is in it
            fresh.rename(self.path(address))
        finally:
            fresh.unlink(missing_ok=True)
        made = _Newest(
            Published(address, size, lists.tag_of(head.events, group)),
            self._now_s(),
            sum(one.version for one in head.events),
            _public(key),
        )
        self._database.transact(lambda connection: self._remember(connection, group, made))
        self._newest[group] = made
        self.built += 1
        self._remove_old()
        log.info("snapshot of group %d: %d bytes", group, size)
        return made.published

    def _remember(self, connection: Connection, group: int, made: _Newest) -> None:
        queue(connection, "snapshot")
        published = made.published
        with self.path(published.address).open("rb") as file:
            shared_snapshots.keep(connection, group, published.address, made.made_at_s, file, KEPT)
        connection.execute(delete(snapshot).where(snapshot.c.group_id == group))
        connection.execute(
            insert(snapshot).values(
                group_id=group,
                address=published.address,
                size=published.size,
                tag=published.tag,
                key=made.key,
                made_at_s=made.made_at_s,
                versions=made.versions,
            )
        )

    # --- in the thread ------------------------------------------------------------------------------------------

    def _manifest(self, group: int, gate: GateId, public: bytes, *, fresh: bool) -> Manifest:
        with self._database.reading() as connection:
            told = lists.seals(connection, group)
            closed = _is_closed(connection, group)
        tag, versions = lists.tag_of(told, group), sum(one.version for one in told)
        if closed:
            return Manifest(group, None, self._sealed_seals(group, tag), b"", closed=True)
        # Read once: a gate is never told of a snapshot with a secret that does not open it.
        secrets = self._secrets(group)
        newest = self._known(group, secrets.list_secret)
        if newest is None or (newest.published.tag != tag and self._is_due(newest, versions, fresh=fresh)):
            published = self._build(group, secrets.list_secret)
        else:
            published = newest.published
        return self._told(group, published, tag, secrets, gate, public)

    def _manifest_of_before(self, group: int, gate: GateId, public: bytes) -> Manifest | None:
        """Return what a gate is told while a snapshot is made; None where there is none that will do."""
        with self._database.reading() as connection:
            told = lists.seals(connection, group)
            if _is_closed(connection, group):
                return None
        secrets = self._secrets(group)
        newest = self._known(group, secrets.list_secret)
        if newest is None:
            return None
        return self._told(group, newest.published, lists.tag_of(told, group), secrets, gate, public)

    def _told(
        self, group: int, published: Published, tag: str, secrets: GroupSecrets, gate: GateId, public: bytes
    ) -> Manifest:
        return Manifest(
            group,
            published,
            self._sealed_seals(group, tag),
            self._sealed_secrets(secrets, gate, public),
            announced=self._announced(group, published),
        )

    def _announced(self, group: int, published: Published) -> bytes:
        """Return what neighbours may tell each other of a snapshot; nothing while it is made anew."""
        newest = self._newest.get(group)
        if newest is None or newest.published != published:
            return b""
        return announce(Announced(group, published, newest.made_at_s), self._keys.list_key)

    def _is_due(self, newest: _Newest, versions: int, *, fresh: bool) -> bool:
        return (
            fresh
            or self._now_s() - newest.made_at_s >= self._rebuild_s
            or versions - newest.versions > VERSIONS_MAX
        )

    def _known(self, group: int, secret: bytes) -> _Newest | None:
        """Return the newest snapshot: of this process, of another replica, or as an earlier one left it.

        None for one that an earlier secret opens: who was shut out since knows that. None for one that an earlier list
        key signed: gates believe the present one alone.
        """
        key = _public(self._keys.list_key)
        with self._database.reading() as connection:
            row = connection.execute(select(snapshot).where(snapshot.c.group_id == group)).first()
        if row is None or row.key != key:
            return None
        published = Published(row.address, row.size, row.tag)
        newest = self._newest[group] = _Newest(published, row.made_at_s, row.versions, key)
        try:
            with self.open(published.address) as file:
                ours = is_made_with(secret, file.read(HEADER_BYTES))
                whole = os.fstat(file.fileno()).st_size == newest.published.size
        except OSError:
            return None
        return newest if whole and ours else None

    def _sealed_seals(self, group: int, tag: str) -> tuple[bytes, ...]:
        # Once a minute, else what a gate is told would change though nothing did; but at the moment where something did,
        # for its stream may have been told of the version before in this very minute.
        now_s = self._clock.now_s(self._now_s())
        minute, number = now_s // RENEW_S, self._keys.number
        known = self._seals.get(group)
        if known is None or known[:3] != (tag, minute, number):
            with self._database.reading() as connection:
                told = lists.seals(connection, group)
                digest = self.settings.of(connection, group).digest
            made = tuple(
                sign_seal(
                    Seal(
                        one.id,
                        one.generation,
                        one.version,
                        digest,
                        self._clock.by_the_minute(
                            one.id, (one.generation, one.version), one.sealed_at_s, now_s
                        ),
                    ),
                    self._keys.list_key,
                )
                for one in told
            )
            known = self._seals[group] = (lists.tag_of(told, group), minute, number, made)
        return known[3]

    def _secrets(self, group: int) -> GroupSecrets:
        with self._database.reading() as connection:
            found = _read_secrets(connection, group)
        if found is None:
            found = self._database.transact(
                lambda connection: new_secret(connection, group, self._now_s(), only_first=True)
            )
        return found

    def _sealed_secrets(self, secrets: GroupSecrets, gate: GateId, public: bytes) -> bytes:
        name = (gate, public, secrets.list_secret)
        if name not in self._sealed:
            for old in [one for one in self._sealed if one[0] == gate]:
                del self._sealed[old]
            self._sealed[name] = seal(secrets, gate, public, self._ephemeral(secrets, gate, public))
        return self._sealed[name]

    def _ephemeral(self, secrets: GroupSecrets, gate: GateId, public: bytes) -> bytes:
        """Return what every replica, at any time, seals these secrets to a gate with: the manifest that it knows is the same then."""
        told = msgspec.msgpack.encode((_SEALED_WITH, secrets, gate, public))
        return hmac.digest(self._keys.list_key.private_bytes_raw(), told, "sha256")

    def _remove_old(self) -> None:
        """Leave the newest snapshots of every group, and what other processes write."""
        kept = {one.published.address for one in self._newest.values()}
        found = sorted(
            (path for path in self.folder.iterdir() if len(path.name) == 64 and path.name not in kept),
            key=lambda path: path.stat().st_mtime_ns,
            reverse=True,
        )
        groups = max(1, len(self._newest))
        for path in (*found[(KEPT - 1) * groups :], *self._left()):
            with contextlib.suppress(OSError):  # another process may have been quicker
                path.unlink()

    def _left(self) -> list[Path]:
        """Return what was begun by processes that did not come to its end, as where the power failed."""
        now_s = time.time()
        return [path for path in self.folder.glob("*.new") if now_s - path.stat().st_mtime > LEFT_S]


def new_secret(connection: Connection, group: int, now_s: int, *, only_first: bool = False) -> GroupSecrets:
    """Give a group a new list secret, in a writing transaction; `only_first`: only where it has none yet."""
    queue(connection, "list_secret")
    if only_first and (found := _read_secrets(connection, group)) is not None:
        return found
    number = connection.execute(
        select(func.max(list_secret.c.number)).where(list_secret.c.group_id == group)
    ).scalar()
    connection.execute(
        insert(list_secret).values(
            group_id=group, number=(number or 0) + 1, secret=os.urandom(KEY_BYTES), made_at_s=now_s
        )
    )
    found = _read_secrets(connection, group)
    assert found is not None, "written above"
    return found


def _read_secrets(connection: Connection, group: int) -> GroupSecrets | None:
    t = list_secret.c
    secret = connection.execute(
        select(t.secret).where(t.group_id == group).order_by(t.number.desc()).limit(1)
    ).scalar()
    return (
        None
        if secret is None
        else GroupSecrets(group, bytes(secret), events.digest_key(connection, group) or NO_KEY)
    )


def _asker(connection: Connection, gate: GateId) -> tuple[int, bytes] | None:
    t = tables.gate.c
    row = connection.execute(select(t.group_id, t.sealing).where(t.id == gate, t.public.is_not(None))).first()
    return None if row is None else (row.group_id, bytes(row.sealing))


def _is_closed(connection: Connection, group: int) -> bool:
    """Whether every event of a group is over, so that its gates forget it."""
    states = (
        connection.execute(select(event_table.c.state).where(event_table.c.group_id == group)).scalars().all()
    )
    return bool(states) and all(state == CLOSED for state in states)


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()
