"""What a gate takes upon itself to carry at once: no more than the centre takes, whatever others recorded."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from admission.chain import Head
from admission.ids import Epoch, GateId
from edge.clock import SystemClock
from edge.front.carrying import Carrying
from edge.front.centre import CentreRefused
from edge.front.near import Near
from edge.front.way import Way
from edge.store.log_schema import EpochRow
from sync.wire.carry import ASKED_MAX, OWNERS_MAX, BadCarry, pack_carry, unpack_carry
from sync.wire.feed import Want
from sync.wire.messages import PUSH_RECORDS_MAX, Chunk, Held, Pushed, Trouble
from sync.wire.replication import LinkAt, Read, Replica, Source, head_in, troubles_of
from tests.sync.logs import PUBLIC, EpochLog

OWN = GateId(1)
WAIT_S = 20.0
"""Only reached where something is broken."""


class Logs:
    """What a gate holds of others."""

    def __init__(self, *logs: EpochLog) -> None:
        self._logs = {(one.gate, one.epoch): one for one in logs}
        self._heads = {at: tuple(_heads(one)) for at, one in self._logs.items()}

    @property
    def gates(self) -> tuple[GateId, ...]:
        """Whose they are."""
        return tuple(gate for gate, _ in self._logs)

    def epochs(self) -> tuple[EpochRow, ...]:
        return tuple(
            EpochRow(*at, number, len(one.blobs), len(one.blobs), 0, b"", b"")
            for number, (at, one) in enumerate(self._logs.items())
        )

    def heads(self, gate: GateId, epoch: Epoch, after: int = 0) -> tuple[Head, ...]:
        return tuple(one for one in self._heads[gate, epoch] if one.seq > after)

    def heads_backwards(self, gate: GateId, epoch: Epoch, limit: int) -> tuple[Head, ...]:
        return self._heads[gate, epoch][::-1][:limit]

    def read_of(self, gate: GateId) -> tuple[LinkAt, Read]:
        """How a gate's logs are read."""

        def link_at(epoch: Epoch, seq: int) -> bytes | None:
            links = self._logs[gate, epoch].links
            return links[seq] if seq < len(links) else None

        def read(epoch: Epoch, after: int, limit: int) -> Sequence[tuple[int, bytes]]:
            return self._logs[gate, epoch].read(after, min(limit, PUSH_RECORDS_MAX))

        return link_at, read


def _heads(log: EpochLog) -> list[Head]:
    found = (head_in(log.gate, log.epoch, blob) for blob in log.blobs)
    return [one for one in found if one is not None]


class Centre:
    """What the centre takes of what is carried, by its own rules."""

    def __init__(self) -> None:
        self.replicas: dict[GateId, Replica] = {}
        self.moved = asyncio.Event()

    async def carry(self, logs: tuple[Want, ...], chunks: tuple[Chunk, ...]) -> Pushed:
        try:
            logs, chunks = unpack_carry(pack_carry(logs, chunks))
        except BadCarry as error:
            raise CentreRefused("malformed") from error
        troubles: list[Trouble] = []
        for chunk in chunks:
            answer = self._of(chunk.gate).offer(
                chunk, lambda _epoch, first, last: [None] * (last - first + 1), Source.CARRIER
            )
            troubles += troubles_of(GateId(chunk.gate), answer)
        named = {(one.gate, one.epoch) for one in logs} | {(one.gate, one.epoch) for one in chunks}
        held = tuple(self._of(gate).have((Epoch(epoch),))[0] for gate, epoch in sorted(named))
        self.moved.set()
        return Pushed(held, tuple(troubles))

    def _of(self, gate: int) -> Replica:
        return self.replicas.setdefault(GateId(gate), Replica(GateId(gate), PUBLIC))

    def held(self, log: EpochLog) -> Held:
        """How far a log is held."""
        return self._of(log.gate).have((log.epoch,))[0]


def carrying_of(logs: Logs, centre: Centre) -> Carrying:
    async def here(work: Callable[[], Any]) -> Any:
        return work()

    clock = SystemClock()
    return Carrying(
        OWN, logs, logs.read_of, centre, Near(), lambda: logs.gates, lambda: True, Way(clock), clock, here
    )


def signed_log(gate: int, epoch: int = 5) -> EpochLog:
    log = EpochLog(Epoch(epoch), GateId(gate)).begin().scans(4)
    log.sign()
    return log


async def carried(logs: Logs, centre: Centre, *wanted: EpochLog) -> None:
    """Carry until the centre has these logs."""
    running = asyncio.create_task(carrying_of(logs, centre).run())
    try:
        async with asyncio.timeout(WAIT_S):
            while any(centre.held(one).seq < len(one.blobs) for one in wanted):
                centre.moved.clear()
                await centre.moved.wait()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def test_of_a_large_group_no_more_gates_are_carried_for_at_once_than_the_centre_takes() -> None:
    of = [signed_log(gate) for gate in range(2, 2 * OWNERS_MAX + 12)]
    carrying = carrying_of(Logs(*of), Centre())
    found: list[GateId] = []
    while due := carrying.due():
        asked = tuple(Want(one.gate, one.epoch, one.end) for one in due)[:ASKED_MAX]
        assert unpack_carry(pack_carry(asked, ())) == (asked, ())
        found += [one.gate for one in due]
        carrying.centre_has(one.chunk() for one in of if one.gate in found)
    assert found == [one.gate for one in of], "each of them in its turn"


async def test_a_gate_that_signed_nothing_for_long_keeps_no_others_records_back() -> None:
    """Its records are too many to go with anything else."""
    good, silent = signed_log(2), EpochLog(Epoch(6), GateId(3)).begin()
    for _ in range(PUSH_RECORDS_MAX):
        silent.scan()
    centre = Centre()
    await carried(Logs(good, silent, signed_log(3, 7)), centre, good)
    assert centre.held(silent).seq == 0
