"""What gates fetch: the manifest of their list, snapshots, the key document, the roster, a certificate for their page.

| method and path | answer |
|---|---|
| GET /api/v1/gate/manifest | `Manifest` MessagePack; `?fresh=1`: of a snapshot that is behind nothing. ETag, 304 |
| GET /api/v1/snapshots/ADDRESS | unsigned: a snapshot, whole or from `Range: bytes=N-`; immutable |
| GET /api/v1/gate/keys | unsigned: `SignedKeys` JSON, proved by an identity that the gate pinned |
| GET /api/v1/gate/roster | the signed roster (`sync.wire.roster`) |
| POST /api/v1/gate/certificate | body: PKCS #10, DER; answer: `Certified` MessagePack |
| GET /api/v1/authority.pem | unsigned: the certificate of the authority behind gates' pages, to trust on a device |
"""

import asyncio
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from admission.ids import GateId
from sync.gates import certificates, key_rolls, lists, roster, roster_document
from sync.gates.proofs import Asker, Known, Proofs
from sync.gates.seal_clock import SealClock
from sync.gates.snapshots import REBUILD_S, Snapshots
from sync.keys import VenueKeys
from sync.store.database import Database
from sync.web.problems import problem
from sync.wire.gate_keys import RollAsked
from sync.wire.messages import Certified
from sync.wire.snapshots import is_address

PIECE_BYTES = 128 * 1024
ROLLS_LOOK_S = 1.0
"""How long it is known which gates are asked for new keys: one look for all that ask meanwhile."""
ROSTER_LOOK_S = 60
"""What boxes tell of their lanes is in the roster so soon; all else is there at once."""
PIECE_S = 60.0
"""A piece in a minute is 17 kbit/s; a gate that takes less is not there."""
_FROM = re.compile(r"bytes=(\d{1,15})-", re.ASCII)
"""The one range that is resumed with; others are answered whole, as RFC 9110, 14.2 allows."""

log = logging.getLogger("sync.gates")


class PublishedApi:
    """The part of the gates' interface that serves documents."""

    def __init__(
        self,
        database: Database,
        keys: VenueKeys,
        data: Path,
        now_s: Callable[[], int],
        known: Known,
        counts: Counter[str],
        mono_s: Callable[[], float] = time.monotonic,
        rebuild_s: float = REBUILD_S,
        clock: SealClock | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._proofs = Proofs(keys)
        self._now_s = now_s
        self._known = known
        self._counts = counts
        self._mono_s = mono_s
        self._rolls: tuple[float, dict[GateId, int]] | None = None
        """When was looked, and the order of each gate that is asked for new keys."""
        self.snapshots = Snapshots(database, keys, data, now_s, rebuild_s, clock)
        self._rosters: dict[int, tuple[tuple[str, int, int], tuple[bytes, int]]] = {}
        """By group: what it was read at, and the signed roster with its version."""
        self._roster_marks: dict[int, tuple[bytes, int, int]] = {}
        """By group: the settings that roster was made beside; another ticket changes none of both."""
        self._reading_roster = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes with their handlers."""
        return [
            web.get("/api/v1/gate/manifest", self.manifest, allow_head=False),
            web.get("/api/v1/snapshots/{address}", self.snapshot),
            web.get("/api/v1/gate/keys", self.key_document, allow_head=False),
            web.get("/api/v1/gate/roster", self.roster, allow_head=False),
            web.post("/api/v1/gate/certificate", self.certificate),
            web.get("/api/v1/authority.pem", self.authority),
        ]

    def close(self) -> None:
        """The centre ends."""
        self.snapshots.close()

    async def manifest(self, request: web.Request) -> web.StreamResponse:
        """GET manifest: what a gate is told of its list, or 304."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        made = await self.snapshots.manifest(known.gate, fresh=request.query.get("fresh") == "1")
        if made is None:
            return self._proofs.problem(known, 404, "unknown_gate", "This gate is not enrolled any more.")
        self._counts["manifests_sent"] += 1
        _, version = await self._roster_of(made.group)
        made = msgspec.structs.replace(
            made,
            keys_number=self._keys.number,
            roster_version=version,
            roll=await self._asked_of(known.gate),
        )
        return self._answer(known, request, msgspec.msgpack.encode(made))

    async def snapshot(self, request: web.Request) -> web.StreamResponse:
        """GET snapshot: bytes that are named by their digest, so nobody needs to prove anything."""
        address = request.match_info["address"]
        if not is_address(address):
            return problem(404, "not_found", "There is no such snapshot.")
        try:
            file = await asyncio.to_thread(self.snapshots.open, address)
        except OSError:
            return problem(404, "not_found", "This snapshot is gone; ask for the manifest again.")
        with file:
            return await _sent(request, file, address)

    async def key_document(self, _request: web.Request) -> web.Response:
        """GET keys: for gates that follow a rotation, which cannot check any other answer."""
        document = self._keys.document(self._now_s())
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    async def roster(self, request: web.Request) -> web.StreamResponse:
        """GET roster: of the asking gate's group."""
        known = await self._known(request, b"")
        if isinstance(known, web.Response):
            return known
        group = await self._database.read(lambda connection: roster.group_of(connection, known.gate))
        return self._answer(known, request, (await self._roster_of(group))[0])

    async def certificate(self, request: web.Request) -> web.StreamResponse:
        """POST certificate: for the page of the asking gate."""
        body = await request.read()
        known = await self._known(request, body)
        if isinstance(known, web.Response):
            return known
        try:
            made = await asyncio.to_thread(certificates.issue, self._keys, known.gate, body, self._now_s())
        except certificates.RequestRefused as error:
            return self._proofs.problem(known, 400, "certificate_refused", f"No certificate: {error}.")
        log.info("gate %d has a new certificate for its page", known.gate)
        return self._answer(known, request, msgspec.msgpack.encode(Certified(made.chain, made.until_s)))

    async def authority(self, _request: web.Request) -> web.Response:
        """GET authority: what an organizer trusts once on a device, to see no warning at any gate."""
        found = await asyncio.to_thread(certificates.authority, self._keys, self._now_s())
        return web.Response(body=found.public_bytes(Encoding.PEM), content_type="application/x-pem-file")

    def rolled(self) -> None:
        """A gate took new keys: look anew who is asked for some."""
        self._rolls = None

    async def _asked_of(self, gate: GateId) -> RollAsked | None:
        known, now_s = self._rolls, self._mono_s()
        if known is None or not 0 <= now_s - known[0] < ROLLS_LOOK_S:
            known = self._rolls = (now_s, await self._database.read(key_rolls.standing))
        number = known[1].get(gate)
        return None if number is None else key_rolls.asked(self._keys, gate, number)

    async def _roster_of(self, group: int) -> tuple[bytes, int]:
        """Return the signed roster and its version; read anew when a list of the group changed, and now and then."""
        now_s = self._now_s()
        seals = await self._database.read(lambda connection: lists.seals(connection, group))
        mark = (lists.tag_of(seals, group), now_s // ROSTER_LOOK_S, self._keys.number)
        async with self._reading_roster:  # whoever asks meanwhile has what this one reads
            kept = self._rosters.get(group)
            if kept is not None and kept[0] == mark:
                return kept[1]
            settings = await self._database.read(
                lambda connection: self.snapshots.settings.of(connection, group).digest
            )
            beside = (settings, *mark[1:])
            if kept is not None and self._roster_marks.get(group) == beside:
                self._rosters[group] = (mark, kept[1])
                return kept[1]
            signed = await self._read_roster(group, now_s)
            self._rosters[group], self._roster_marks[group] = (mark, signed), beside
            return signed

    async def _read_roster(self, group: int, now_s: int) -> tuple[bytes, int]:
        found = await self._database.read(
            lambda connection: roster_document.is_current(connection, group, now_s)
        )
        if found is None:
            found = await self._database.write(
                lambda connection: roster_document.renew(connection, group, now_s)
            )
        return await asyncio.to_thread(roster_document.signed, self._keys, found), found.version

    def _answer(self, asker: Asker, request: web.Request, body: bytes) -> web.Response:
        """Return a body with its ETag, or that it is the one known; proved either way."""
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(
                status=304, headers={"ETag": tag, **self._proofs.headers(asker, b"", 304, tag)}
            )
        headers = {"ETag": tag, **self._proofs.headers(asker, body, 200, tag)}
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)


async def _sent(request: web.Request, file: BinaryIO, address: str) -> web.StreamResponse:
    """Send a snapshot from where it is resumed, as fast as it is taken; who takes nothing for `PIECE_S` is dropped."""
    size = os.fstat(file.fileno()).st_size
    asked = _FROM.fullmatch(request.headers.get("Range", ""))
    first = int(asked[1]) if asked else 0
    headers = {"ETag": f'"{address}"', "Accept-Ranges": "bytes"}
    if first and first >= size:
        refusal = problem(416, "range", "The snapshot is no longer than what you have.")
        refusal.headers.update({**headers, "Content-Range": f"bytes */{size}"})
        return refusal
    headers["Content-Type"] = "application/octet-stream"
    headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if asked:
        headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
    response = web.StreamResponse(status=206 if asked else 200, headers=headers)
    response.content_length = size - first
    try:
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        file.seek(first)
        while part := await asyncio.to_thread(file.read, PIECE_BYTES):
            async with asyncio.timeout(PIECE_S):
                await response.write(part)
        await response.write_eof()
    except (OSError, TimeoutError):  # the gate is gone, or does not take it: it asks again for the rest
        if request.transport is not None:
            request.transport.abort()
    return response
