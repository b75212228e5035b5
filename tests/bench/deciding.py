"""What deciding costs without hardware: checking a ticket, a decision by small and large list, scans stored per second."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from admission import chain
from admission.codecs import cose
from admission.credentials import Known, Medium, identify
from admission.ids import Epoch
from admission.keys import IssuerKey, KeyFormat, KeyRing, kid_of
from admission.question import LaneFacts
from admission.records import Direction, Outcome
from edge.clock import SystemClock, TrustedTime
from edge.journal import Journal, Stamp
from edge.judge import Judge
from edge.memory import Memory
from edge.store.disk import LocalDisk
from edge.store.faults import StoreFault
from edge.store.list import ListStore
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from edge.store.writer import LogWriter
from tests.admission.tags import band_tap, sun_tap
from tests.bench import stock
from tests.bench.latency import prepare
from tests.bench.load import texts_of
from tests.bench.report import Goal, Row, median
from tests.bench.scale import Scale
from tests.bench.slow_disk import SlowDisk, Speed
from tests.edge.rig import ARENA, DIGEST_KEY, GATE, GATE_KEY, TICKET_KEY

SYNC_MS = 5.0
TURN = 8
"""Scans between two turns of the loop, as many frames as a reader hands over at once."""


class _Listener:
    """Tells the journal, and whoever waits for the end."""

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.landed = asyncio.Event()

    def durable(self, token: int) -> None:
        assert self.journal is not None
        self.journal.durable(token)
        self.landed.set()

    def faulted(self, fault: StoreFault, token: int) -> None:  # noqa: ARG002 - the Protocol's
        raise fault

    def refused(self, fault: StoreFault, token: int) -> None:  # noqa: ARG002
        raise fault

    def alive(self, ticket: int) -> None:
        """Nobody asks."""

    def died(self, error: Exception) -> None:
        raise error


class Desk:
    """A judge with its log: what a lane has, without the lane."""

    def __init__(self, data: Path, disk: LocalDisk) -> None:
        shutil.rmtree(data, ignore_errors=True)
        clock = SystemClock()
        timekeeper = TrustedTime(clock, rtc=False)
        self.listener = _Listener()
        store = LogStore.open(data, disk)
        self.reader = LogReader.open(data)
        self.writer = LogWriter(store, self.listener, asyncio.get_running_loop().call_soon_threadsafe)
        self.journal = self.listener.journal = Journal(
            gate=GATE, epoch=Epoch(1), key=GATE_KEY, clock=clock, time=timekeeper, writer=self.writer,
            predecessor=chain.ROOT,
        )  # fmt: skip
        self.memory = Memory(self.reader, self.journal)
        self.judge = Judge(GATE, timekeeper, self.memory)
        self.judge.told = self.memory.told

    def use(self, store: ListStore) -> None:
        """Judge by a list."""
        self.judge.use_list(store)

    def decide(self, text: bytes) -> Outcome:
        """Identify and judge one code at an open, free lane."""
        plan = self.judge.plan(1)
        assert plan is not None
        identity = self.judge.identify(text, Medium.BARCODE)
        facts = LaneFacts(plan=plan, open=True, ready=True, busy=False)
        return self.judge.answer(identity, Direction.ENTRY, facts).verdict.outcome

    async def all_landed(self) -> None:
        """Wait until everything is on the disk."""
        while self.journal.durable_seq < self.journal.last_seq:
            self.listener.landed.clear()
            await self.listener.landed.wait()

    def close(self) -> None:
        """Close log and thread."""
        self.writer.close()
        self.reader.close()


def token_check(scale: Scale) -> Row:
    """`identify()` over the bare signature check of the same tickets, in turns."""
    public = TICKET_KEY.public_key().public_bytes_raw()
    ring = KeyRing([IssuerKey(kid_of(public), public, KeyFormat.TK1, 0)])
    key = Ed25519PublicKey.from_public_bytes(public)
    texts = texts_of(stock.picks(scale.tickets, 3), min(scale.checks, scale.tickets // 4))
    ours: list[float] = []
    bare: list[float] = []
    for text in texts:
        message, signature = _signed_part(text)
        at = time.perf_counter_ns()
        key.verify(signature, message)
        between = time.perf_counter_ns()
        identify(text, Medium.BARCODE, ring, DIGEST_KEY)
        bare.append((between - at) / 1e3)
        ours.append((time.perf_counter_ns() - between) / 1e3)
    return Row(
        name="token_check_ratio",
        value=median(ours) / median(bare),
        unit="ratio",
        floor=1.0,
        goal=Goal(1.3),
        conditions=f"medians: text to known credential {median(ours):.1f} us over bare Ed25519 verify "
        f"{median(bare):.1f} us, in turns, n = {len(texts)}",
    )


def tag_check(scale: Scale) -> list[Row]:
    """What a tag carries, to a known credential, over the bare cryptography of the same check, in turns."""
    public = TICKET_KEY.public_key().public_bytes_raw()
    ring = KeyRing([IssuerKey(kid_of(public), public, KeyFormat.TK1, 0)])
    key = Ed25519PublicKey.from_public_bytes(public)
    claims = cose.Claims(ticket=7, event=1, issued_at=1_790_000_000, product=1)
    band = band_tap(claims, TICKET_KEY)
    message = band[:-64]
    known = TICKET_KEY.sign(message)
    rows: list[Row] = []
    floors: dict[str, Callable[[], None]] = {"band": lambda: key.verify(known, message), "sun": _three_macs}
    for name, floor in floors.items():
        ours: list[float] = []
        bare: list[float] = []
        for count in range(min(scale.checks, scale.tickets // 4)):
            tag = band if name == "band" else sun_tap(count, DIGEST_KEY)
            at = time.perf_counter_ns()
            floor()
            between = time.perf_counter_ns()
            found = identify(tag, Medium.TAG, ring, DIGEST_KEY)
            ours.append((time.perf_counter_ns() - between) / 1e3)
            bare.append((between - at) / 1e3)
            assert isinstance(found, Known)
        over = (median(ours) - median(bare)) / 1e3
        rows.append(
            Row(
                name=f"{name}_check_over_floor_ms",
                value=over,
                unit="ms",
                floor=median(bare) / 1e3,
                goal=Goal(1.0),
                conditions=f"medians: what a tag carries to known credential {median(ours):.1f} us over bare "
                f"cryptography {median(bare):.1f} us, in turns, n = {len(ours)}",
            )
        )
    return rows


def _three_macs() -> None:
    """What a SUN message needs: the tag's key, the session's, and the MAC."""
    for _ in range(3):
        made = CMAC(AES(bytes(16)))
        made.update(bytes(16))
        made.finalize()


def _signed_part(text: bytes) -> tuple[bytes, bytes]:
    raw = cose._base32_decode(text[3:])
    assert raw is not None
    parts = cose._open_envelope(raw)
    assert parts is not None
    protected, head, payload, signature = parts
    return (
        cose._TO_BE_SIGNED + bytes((0x40 + len(protected),)) + protected + b"\x40" + head + payload
    ), signature


async def _by_size(scale: Scale, large: ListStore, small: ListStore) -> tuple[float, float]:
    """Median decision with the large and the small list, in us, in turns."""
    desk = Desk(scale.folder / "desk", LocalDisk())
    count = min(scale.checks, scale.small_tickets // 2)
    by_large = texts_of(stock.picks(scale.tickets, 4), count)
    by_small = texts_of(stock.picks(scale.small_tickets, 5), count)
    spent: dict[bool, list[float]] = {True: [], False: []}
    # In stretches, since changing the list costs more than a decision.
    for start in range(0, count, 100):
        for is_large, store, texts in ((True, large, by_large), (False, small, by_small)):
            desk.use(store)
            for text in texts[start : start + 100]:
                at = time.perf_counter_ns()
                outcome = desk.decide(text)
                spent[is_large].append((time.perf_counter_ns() - at) / 1e3)
                assert outcome is Outcome.GRANT, text
    desk.close()
    return median(spent[True]), median(spent[False])


def decision_by_size(scale: Scale) -> Row:
    """A decision by a million tickets over one by ten thousand."""
    small_file = scale.folder / "small.sqlite3"
    stock.make("list", small_file, scale.small_tickets)
    large, small = ListStore.open(prepare(scale)), ListStore.open(small_file)
    large_us, small_us = asyncio.run(_by_size(scale, large, small))
    large.close()
    small.close()
    return Row(
        name="decide_1m_over_10k",
        value=large_us / small_us,
        unit="ratio",
        floor=1.0,
        goal=Goal(1.2),
        conditions=f"medians: text to verdict {large_us:.1f} us by {scale.tickets:,} tickets, {small_us:.1f} us by "
        f"{scale.small_tickets:,}, each at random, in turns, page cache warm, n = {min(scale.checks, scale.small_tickets // 2)}",
    )


async def _stored(scale: Scale, list_store: ListStore) -> float:
    disk = LocalDisk()
    disk.vfs = "bench-5ms"
    vfs = SlowDisk(disk.vfs, Speed(SYNC_MS, SYNC_MS), lambda _began, _ended: None)
    desk = Desk(scale.folder / "stored", disk)
    desk.use(list_store)
    await desk.all_landed()
    numbers = [n for n, _ in zip(stock.picks(scale.tickets, 6), range(scale.stored), strict=False)]
    texts = texts_of(iter(numbers), len(numbers))
    began = time.perf_counter()
    for at, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        assert desk.decide(text) is Outcome.GRANT
        desk.journal.append((stock.grant(number),), Stamp(zone=ARENA))
        if at % TURN == 0:
            await asyncio.sleep(0)
    await desk.all_landed()
    per_s = len(numbers) / (time.perf_counter() - began)
    desk.close()
    vfs.unregister()
    return per_s


def scans_per_s(scale: Scale) -> Row:
    """Decisions stored per second where no lane makes them wait."""
    store = ListStore.open(prepare(scale))
    value = asyncio.run(_stored(scale, store))
    store.close()
    return Row(
        name="scans_per_s",
        value=value,
        unit="1/s",
        goal=Goal(500, at_least=True),
        conditions=f"signed tickets judged by {scale.tickets:,} and stored, each sync {SYNC_MS:g} ms, the last one durable, "
        f"n = {scale.stored}",
    )


def measure(scale: Scale) -> list[Row]:
    """All of it."""
    return [token_check(scale), *tag_check(scale), decision_by_size(scale), scans_per_s(scale)]
