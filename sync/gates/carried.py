"""Records that a gate carries for others of its group: judged as their own pushes are, but believed under heads alone."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from aiohttp import web
from sqlalchemy import Connection, select

from admission.ids import Epoch, GateId
from sync.gates import ingest, tables
from sync.gates.feed_asked import Feeds
from sync.gates.ingest import Arrival
from sync.gates.intake import Intake
from sync.gates.proofs import Known, Proofs
from sync.store.database import Database
from sync.wire.carry import BadCarry, unpack_carry
from sync.wire.feed import Want
from sync.wire.messages import Chunk, Held, Push, Pushed, Trouble

log = logging.getLogger("sync.gates")


class CarriedApi:
    """The part of the gates' interface that takes from carriers."""

    def __init__(
        self,
        database: Database,
        proofs: Proofs,
        known: Known,
        intake: Intake,
        feeds: Feeds,
        counts: Counter[str],
    ) -> None:
        self._database, self._proofs, self._known = database, proofs, known
        self._intake, self._feeds, self._counts = intake, feeds, counts

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers."""
        return [web.post("/api/v1/gate/carried", self.carried)]

    async def carried(self, request: web.Request) -> web.StreamResponse:
        """POST carried: what is held of others' logs, after taking what was carried of them."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        try:
            logs, chunks = await asyncio.to_thread(unpack_carry, body)
        except BadCarry as error:
            self._counts["carries_malformed"] += 1
            return self._proofs.problem(known, 400, "malformed", f"This cannot be carried: {error}.")
        answer = await self._take(known.gate, logs, chunks)
        self._counts["carries"] += 1
        packed = msgspec.msgpack.encode(answer)
        return web.Response(
            body=packed,
            content_type="application/octet-stream",
            headers=self._proofs.headers(known, packed),
        )

    async def _take(self, carrier: GateId, logs: Sequence[Want], chunks: Sequence[Chunk]) -> Pushed:
        asked = _epochs([(one.gate, one.epoch) for one in logs] + [(one.gate, one.epoch) for one in chunks])
        owners = await self._database.read(lambda connection: owners_of(connection, carrier, asked))
        troubles: list[Trouble] = []
        for gate, public in owners.items():
            push = Push(tuple(one for one in chunks if one.gate == gate))
            if not push.chunks:
                continue
            answer = await self._intake.arrive(Arrival(gate, public, push, carrier))
            await self._feeds.arrived(gate, push.chunks)
            self._counts["records_carried"] += sum(len(one.blobs) for one in push.chunks)
            troubles += answer.troubles
            for one in answer.troubles:
                log.warning(
                    "gate %d carried for gate %d, epoch %016x, record %d: %s",
                    *(carrier, gate, one.epoch, one.seq, one.what),
                )
        troubles += (
            Trouble(one.gate, one.epoch, one.first_seq, "foreign") for one in chunks if one.gate not in owners
        )
        held = await self._database.read(lambda connection: _held(connection, owners, asked))
        return Pushed(held, tuple(troubles))


def owners_of(connection: Connection, carrier: GateId, gates: Iterable[GateId]) -> dict[GateId, bytes]:
    """Return those of some gates that a gate may carry for, with their keys: of its group, enrolled, and not shut out.

    Of one that is shut out nothing comes in, whoever brings it.
    """
    t = tables.gate.c
    group = select(t.group_id).where(t.id == carrier).scalar_subquery()
    found = connection.execute(
        select(t.id, t.public).where(
            t.id.in_(sorted(gates)), t.id != carrier, t.group_id == group, t.public.is_not(None)
        )
    )
    return {GateId(row.id): bytes(row.public) for row in found}


def _held(
    connection: Connection, owners: Mapping[GateId, bytes], asked: Mapping[GateId, Iterable[Epoch]]
) -> tuple[Held, ...]:
    return tuple(
        one
        for gate, public in owners.items()
        for one in ingest.replica_of(connection, gate, public).have(asked[gate])
    )


def _epochs(logs: Iterable[tuple[int, int]]) -> dict[GateId, set[Epoch]]:
    found: dict[GateId, set[Epoch]] = {}
    for gate, epoch in logs:
        found.setdefault(GateId(gate), set()).add(Epoch(epoch))
    return found


__all__ = ["CarriedApi", "owners_of"]
