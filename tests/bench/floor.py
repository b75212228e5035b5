"""The least that a scan can cost: one signature, one lookup, one FULL commit, by the same hops, and nothing else.

`python -m tests.bench.floor SCANNER RELAY LIST DATA [SPEED TRACE]` reads codes from a pty, verifies, looks the ticket up,
has a thread commit the bytes that a grant leaves in the log, and then tells a second process by a pipe to write the relay's
command. It prints the nanoseconds of each commit and ends with its standard input. With SPEED it does so on a slow disk
(`tests.bench.slow_disk`).
"""

import asyncio
import os
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path

import apsw

from admission import chain
from admission.codecs import cose
from admission.digests import ticket_digest
from admission.ids import Epoch, EventId, LaneId, TicketId
from admission.keys import IssuerKey, KeyFormat, KeyRing, Verified, kid_of
from admission.presence import rows_of
from admission.records import Flag, Kind, Outcome, Record
from drivers.framing.guard import Frame, encode
from drivers.framing.guard import Kind as FrameKind
from drivers.relays.lcus import START
from edge.store import log_schema
from edge.store.log import LogStore
from edge.store.log_reader import log_path
from tests.bench.slow_disk import SlowDisk, Speed, trace_to
from tests.bench.stock import grant
from tests.edge.rig import ARENA, DIGEST_KEY, GATE, TICKET_KEY

EPOCH = Epoch(2)
"""A run of its own, after the one that the log is filled with."""
_GUARD = """
import os, sys
relay = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
level = 0
while os.read(0, 8):
    level ^= 1
    os.write(relay, bytes((0xA0, 1, level, 0xA1 + level)))
"""
assert START == 0xA0


class Floor:
    """The loop's side and the committing thread."""

    def __init__(self, scanner: str, relay: str, list_file: Path, data: Path) -> None:
        LogStore.open(data).close()
        self._log = apsw.Connection(str(log_path(data)))
        self._log.execute("PRAGMA synchronous=FULL")
        self._log.execute("PRAGMA wal_autocheckpoint=0").fetchall()
        self._list = apsw.Connection(f"{list_file.resolve().as_uri()}?immutable=1", flags=_READ)
        public = TICKET_KEY.public_key().public_bytes_raw()
        self._ring = KeyRing([IssuerKey(kid_of(public), public, KeyFormat.TK1, 0)])
        self._scanner = os.open(scanner, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._scanner, termios.TCSANOW)
        self._guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, relay], stdin=subprocess.PIPE, bufsize=0
        )
        self._seq = 0
        self._text = bytearray()
        self._due: tuple[bytes, tuple[object, ...]] | None = None
        self._wake = threading.Lock()
        self._wake.acquire()
        self._loop = asyncio.get_running_loop()
        self.commits_ns: list[int] = []

    def start(self) -> None:
        """Serve until the loop ends."""
        threading.Thread(target=self._commit, daemon=True).start()
        self._loop.add_reader(self._scanner, self._read)

    def _read(self) -> None:
        self._text += os.read(self._scanner, 4096)
        if not self._text.endswith(b"\r"):
            return
        text, self._text = bytes(self._text[:-1]), bytearray()
        checked = cose.verify(text, self._ring)
        assert isinstance(checked, Verified)
        ticket = TicketId(checked.claims.ticket)
        key = ticket_digest(EventId(checked.claims.event), ticket, DIGEST_KEY)
        assert self._list.execute("SELECT * FROM credential WHERE digest = ?", (key,)).fetchall()
        self._seq += 1
        self._due = self._bytes_of(ticket)
        self._wake.release()

    def _bytes_of(self, ticket: TicketId) -> tuple[bytes, tuple[object, ...]]:
        write = grant(ticket)
        body = Record(
            kind=Kind.SCAN, seq=self._seq, time_us=time.time_ns() // 1000, mono_ms=self._seq, lane=LaneId(1),
            reader=write.reader, zone=ARENA, session=write.session, outcome=Outcome.GRANT, direction=write.direction,
            flags=Flag.TICKET, subject=write.subject,
        )  # fmt: skip
        (row,) = rows_of(GATE, EPOCH, body, (), body.time_us)
        blob = body.to_bytes()
        chain.link(bytes(32), blob)
        return blob, row.as_columns()

    def _commit(self) -> None:
        while self._wake.acquire():
            assert self._due is not None
            blob, row = self._due
            began_ns = time.monotonic_ns()
            self._log.execute("BEGIN IMMEDIATE")
            self._log.execute(log_schema.INSERT_RECORD, (GATE, EPOCH, self._seq, blob))
            self._log.execute(log_schema.UPSERT_PRESENCE, row)
            self._log.execute("COMMIT")
            self.commits_ns.append(time.monotonic_ns() - began_ns)
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.write(encode(Frame(FrameKind.PULSE, 0, 300, 1)))

    def end(self) -> None:
        """Let the guard go."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()


_READ = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


async def main(arguments: list[str]) -> None:
    scanner, relay, list_file, data, *slow = arguments
    disk = SlowDisk("slow", Speed.parse(slow[0]), trace_to(Path(slow[1])), is_default=True) if slow else None
    floor = Floor(scanner, relay, Path(list_file), Path(data))
    floor.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    print("open", flush=True)
    await ended.wait()
    floor.end()
    print(*floor.commits_ns, flush=True)
    if disk is not None:
        disk.unregister()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
