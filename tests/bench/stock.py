"""What a measured box holds: lists of any size and a log of a day, made by the real stores.

`python -m tests.bench.stock list OUT TICKETS` and `... snapshot OUT TICKETS` run in a process of their own, since a million
rows in the making take memory that must not be measured.
"""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission import chain
from admission.entitlements import LanePlan, Mode
from admission.ids import Epoch, LaneId, ReaderId
from admission.lane import Write
from admission.records import Direction, Flag, Kind, Outcome, ticket_subject
from edge.builder import Order
from edge.clock import SystemClock, TrustedTime
from edge.journal import Journal, Stamp
from edge.store.list import build
from edge.store.log import LogStore
from edge.store.log_schema import Batch
from edge.store.writer import Urgency
from sync.wire.lists import ListHead, ListRow, pack_list
from sync.wire.snapshots import write_snapshot
from tests.edge.rig import ARENA, EVENT, GATE, GATE_KEY, PRODUCT, SESSION, list_head, row

LANES = 4
LIST_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
LIST_SECRET = bytes(range(4, 36))
LOG_RECORDS = 36_000
"""A day of the box (DESIGN.md, Budgets)."""


def head() -> ListHead:
    """A venue with as many lanes as the load has, one way in each."""
    served = ((EVENT, SESSION),)
    plans = tuple(LanePlan(LaneId(n + 1), ARENA, Mode.NORMAL, served) for n in range(LANES))
    return msgspec.structs.replace(
        list_head(int(time.time())), plans=plans, gate_lanes={GATE: tuple(range(LANES))}
    )


def order() -> bytes:
    """What a builder is told on standard input."""
    told = head()
    return msgspec.json.encode(
        Order(
            list_public=LIST_KEY.public_key().public_bytes_raw(),
            group=told.group,
            list_secret=LIST_SECRET,
            digest_key=told.digest_key,
        )
    )


def rows(tickets: int) -> list[ListRow]:
    """Tickets 1 to n, in digest order."""
    return sorted(row(number) for number in range(1, tickets + 1))


def make(kind: str, out: Path, tickets: int) -> None:
    """Make a list file or a snapshot in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "tests.bench.stock", kind, str(out), str(tickets)], check=True, timeout=300
    )


class Straight:
    """A journal's writer that commits in groups, without a thread."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._waiting: list[Batch] = []

    def submit(self, batch: Batch, urgency: Urgency) -> None:  # noqa: ARG002 - the Protocol's
        self._waiting.append(batch)
        if len(self._waiting) >= 500:
            self.flush()

    def flush(self) -> None:
        self._store.append(self._waiting)
        self._waiting.clear()


def fill_log(data: Path, records: int, first_ticket: int, key: Ed25519PrivateKey = GATE_KEY) -> None:
    """Write a log of so many records: admissions of ticket after ticket, each with its passage."""
    data.mkdir(parents=True, exist_ok=True)
    store = LogStore.open(data)
    writer = Straight(store)
    clock = SystemClock()
    journal = Journal(
        gate=GATE,
        epoch=Epoch(1),
        key=key,
        clock=clock,
        time=TrustedTime(clock, rtc=False),
        writer=writer,
        predecessor=chain.ROOT,
    )
    for number in range(records // 2):
        journal.append(admission(first_ticket + number), Stamp(zone=ARENA))
    journal.sign_head()
    writer.flush()
    store.close()


def grant(ticket: int, token: int = 1) -> Write:
    """What a granted scan leaves in the log."""
    return Write(
        token,
        Kind.SCAN,
        Direction.ENTRY,
        Outcome.GRANT,
        reader=ReaderId(1),
        session=SESSION,
        flags=Flag.TICKET,
        subject=ticket_subject(EVENT, row(ticket).ticket, PRODUCT),
        urgent=True,
    )


def admission(ticket: int) -> tuple[Write, Write]:
    """A granted scan and its passage."""
    scan = grant(ticket)
    passage = Write(
        2,
        Kind.PASSAGE,
        Direction.ENTRY,
        session=SESSION,
        flags=Flag.TICKET,
        subject=scan.subject,
        ref_token=1,
    )
    return scan, passage


def picks(tickets: int, seed: int) -> Iterator[int]:
    """Yield ticket numbers in random order, each once: neighbours at a gate did not buy together."""
    chance = random.Random(seed)
    seen: set[int] = set()
    while len(seen) < tickets:
        number = chance.randint(1, tickets)
        if number not in seen:
            seen.add(number)
            yield number


def main(arguments: list[str]) -> int:
    kind, out, tickets = arguments[0], Path(arguments[1]), int(arguments[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    if kind == "list":
        build(out, head(), rows(tickets))
    else:
        listed = BytesIO(pack_list(head(), rows(tickets), LIST_KEY))
        with out.open("wb") as file:
            write_snapshot(listed, file, BytesIO(), head().group, LIST_SECRET)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
