"""The centre under measure: a venue with any number of gates, and `gatehouse-sync serve` as a process of its own."""

import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Connection, update

from admission.codecs import cose
from admission.digests import CredentialKind, ticket_digest
from admission.entitlements import LanePlan, Mode, Ticket
from admission.ids import EventId, GateId, HolderId, LaneId, TicketId
from edge.enrolment import Enrolment
from sync import demo
from sync.accounts import sessions, tokens, users
from sync.accounts.principal import Role
from sync.compose import open_centre
from sync.events import rows as events
from sync.gates import roster, tables
from sync.keys import VenueKeys
from sync.tickets import changes, rows
from sync.wire.messages import KeyDocument

FIRST_GATE = 1_001
"""The demo's own gates keep their numbers."""
FIRST_TICKET = 10_001
OTHER_GROUP, OTHER_EVENT = 2, EventId(3)
"""A second house's event of the same centre: its records come in, and go to none of the measured gates."""
FIRST_HOUSE = 101
"""Group and event of the first of many houses that gates are spread over."""
FILES = 20_000
"""Descriptors that the centre, and each process of the crowd, may have: a stream is one."""
START_S = 60.0
END_S = 20.0
PASSWORD = "a long enough password"


@dataclass(frozen=True, slots=True)
class House:
    """What a centre was filled with. `gates` serve the arena of the demo's main event; `others` another group."""

    data: Path
    database: str
    gates: tuple[Enrolment, ...]
    others: tuple[Enrolment, ...]
    tickets: tuple[TicketId, ...]
    keys: VenueKeys
    token: str
    """Of a box office, for the API."""
    session: str
    """The cookie of somebody who is signed in."""

    def text(self, ticket: TicketId) -> str:
        """What the QR code of a ticket holds."""
        claims = cose.Claims(
            ticket=ticket,
            event=demo.EVENT,
            issued_at=1_790_000_000,
            product=demo.DAY,
            session=demo.TODAY,
        )
        return cose.mint(claims, self.keys.ticket_key)


def allow_files(wanted: int = FILES) -> int:
    """Let this process and those it starts open so many files; returns how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    aim = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < aim:
        resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def fill(
    data: Path,
    gates: int,
    tickets: int = 0,
    others: int = 0,
    database: str = "",
    houses: int = 0,
    lanes: int = 1,
) -> House:
    """Make a centre with the demo event, enrolled gates of its group and of another, and tickets beside the demo's.

    `houses`: gates are spread over so many groups of their own instead. `lanes`: of each gate.
    """
    now_s = int(time.time())
    centre = open_centre(data, database)
    try:
        keys = centre.keys
        demo.make_demo(centre.database, keys, data, now_s)
        numbers = [TicketId(FIRST_TICKET + n) for n in range(tickets)]
        more = [FIRST_HOUSE + n for n in range(houses)]
        changed = (demo.EVENT, demo.OTHER_EVENT, OTHER_EVENT, *map(EventId, more))
        with changes.change(centre.database, changed, now_s) as connection:
            events.add_group(connection, "Other house", bytes(32), OTHER_GROUP, 1)
            events.add_event(connection, OTHER_EVENT, "Other event", "UTC", OTHER_GROUP)
            for number in more:
                events.add_group(connection, f"House {number}", bytes(32), number, 1)
                events.add_event(connection, EventId(number), f"Event {number}", "UTC", number)
            _sell(connection, keys, numbers)
            mine: tuple[Enrolment, ...] = ()
            for place, group in enumerate(more or [1]):
                these = range(FIRST_GATE + place, FIRST_GATE + gates, max(1, houses))
                mine += _gates(connection, keys, these, group, now_s, lanes)
            first = FIRST_GATE + gates
            theirs = _gates(connection, keys, range(first, first + others), OTHER_GROUP, now_s)
        with centre.database.writing() as connection:
            _, token = tokens.add(connection, 1, "bench", Role.BOX_OFFICE, now_s + 86_400, now_s)
            owner = users.add(connection, 1, "bench@example.org", "Bench", Role.OWNER, PASSWORD, now_s)
            session = sessions.begin(connection, owner, now_s)
    finally:
        centre.close()
    return House(data, database, mine, theirs, tuple(numbers), keys, token, session)


def _sell(connection: Connection, keys: VenueKeys, numbers: Sequence[TicketId]) -> None:
    key = events.digest_key(connection, 1) or b""
    sold = [
        Ticket(id=one, event=demo.EVENT, product=demo.DAY, holder=HolderId(one), zones=(), session=demo.TODAY)
        for one in numbers
    ]
    credentials = [
        rows.NewCredential(one, ticket_digest(demo.EVENT, one, key), CredentialKind.TK1, "")
        for one in numbers
    ]
    rows.add_tickets(connection, demo.EVENT, sold, credentials)


def _gates(
    connection: Connection, keys: VenueKeys, numbers: Sequence[int], group: int, now_s: int, lanes: int = 1
) -> tuple[Enrolment, ...]:
    """Make gates that are enrolled, all lanes into the arena."""
    document = msgspec.json.decode(keys.document(now_s).document, type=KeyDocument)
    plans = tuple(
        LanePlan(LaneId(one), demo.ARENA, Mode.NORMAL, ((demo.EVENT, demo.TODAY),))
        for one in range(1, lanes + 1)
    )
    made: list[Enrolment] = []
    for number in numbers:
        signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        gate = roster.Gate(GateId(number), f"Gate {number}", (demo.ARENA, demo.FLOOR, demo.VIP))
        roster.add_gate(connection, gate, plans if group == 1 else (), group)
        connection.execute(
            update(tables.gate)
            .where(tables.gate.c.id == number)
            .values(
                public=signing.public_key().public_bytes_raw(),
                sealing=sealing.public_key().public_bytes_raw(),
                enrolled_at_s=now_s,
            )
        )
        made.append(
            Enrolment(
                gate=GateId(number),
                name=gate.name,
                group=group,
                centre_url="",
                centre_public=document.identity,
                list_public=document.lists,
                time_public=document.time,
                signing_key=signing.private_bytes_raw(),
                sealing_key=sealing.private_bytes_raw(),
                successor_public=document.successor,
                roster_public=document.roster,
                keys_number=document.number,
            )
        )
    return tuple(made)


@dataclass(slots=True)
class Child:
    """A process that says in lines how far it is."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, start: str, timeout_s: float = START_S) -> str:
        """Wait for a line that begins so and return the rest of it."""
        out = self.process.stdout
        assert out is not None
        deadline_s = time.monotonic() + timeout_s
        said = select.poll()  # select() knows no descriptor above 1023, and a crowd has more
        said.register(out, select.POLLIN)
        while True:
            ready = said.poll(max(0.0, deadline_s - time.monotonic()) * 1000)
            line = out.readline().decode() if ready else ""
            if not line:
                raise AssertionError(f"{start!r} was never said; see {self.log}: {self.tail()}")
            if line.startswith(start):
                return line.removeprefix(start).strip()

    def say(self, line: str) -> None:
        """Tell it something on its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2_000:]

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait until it has."""
        self.process.send_signal(number)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def child(log: Path, *arguments: str) -> Iterator[Child]:
    """Run `python -m …` until the block ends; what it prints comes by `line`, the rest goes to the log."""
    allow_files()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            bufsize=0,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    made = Child(process, log)
    try:
        yield made
    finally:
        made.end()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@dataclass(slots=True)
class Serving:
    """A centre that listens, and can be started anew on the same port."""

    process: Child
    url: str


@contextmanager
def serving(house: House, port: int = 0) -> Iterator[Serving]:
    """Run `gatehouse-sync serve` until the block ends."""
    asked = ["sync", "serve", "--data", str(house.data), "--port", str(port)]
    if house.database:
        asked += ["--database", house.database]
    with child(house.data / "serve.log", *asked) as process:
        yield Serving(process, process.line("gatehouse-sync listens on"))


def keys_file(path: Path, gates: Sequence[Enrolment], url: str) -> Path:
    """Write what a process of the crowd is to be: gates of a centre at `url`."""
    moved = [msgspec.structs.replace(one, centre_url=url) for one in gates]
    path.write_bytes(msgspec.msgpack.encode(moved))
    return path


def read_keys(path: Path) -> list[Enrolment]:
    """Return what `keys_file` wrote."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Enrolment])
