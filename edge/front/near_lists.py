"""Lists between neighbours: what the centre signed, given on to who lacks it, and taken from who has it.

A snapshot is announced under the list key and named by its digest, changes, seals and settings are signed by the same
key: whoever carries them can alter none, and an older list than one seen is refused whoever brings it. Who keeps news back
is found out by the next seal, from anybody.

A gate that has no list, or whose own cannot be read, asks its neighbours for one before it asks the centre for more than
a manifest; one whose link is down is told by its neighbours what the centre tells them.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.ids import GateId
from edge.front.download import KEPT_FREE_BYTES, Altered, FreeBytes, address_of_file, held_of
from edge.front.snapshot import Offer
from edge.front.stream import News
from sync.wire.peer_lists import CHANGES, PART_BYTES_MAX, SEAL, SETTINGS, GivePart, Lists, Part
from sync.wire.snapshots import SNAPSHOT_BYTES_MAX, Announced, AnnouncedRefused, is_address, read_announced

ANSWER_S = 10.0
"""For a part of a snapshot, over a LAN: its neighbour has something else to do first, or is gone."""
TRIES_MAX = 3
"""Neighbours asked for one snapshot, one after the other, before it is given up until somebody offers another."""

log = logging.getLogger("edge.front.near_lists")

Ask = Callable[[GivePart], None]
SignedPaper = tuple[str, bytes]
"""Kind and body of something that the centre signed."""


@dataclass(slots=True, eq=False)
class _Giver:
    """A neighbour that lists can be had from: how it is asked, and what it offers."""

    gate: GateId
    ask: Ask
    offer: Announced | None = None
    signed: bytes = b""
    waiting: asyncio.Future[Part] | None = None
    bad: set[str] = field(default_factory=set)
    """Addresses of which it gave something else."""


class NearLists:
    """`heard`, `part` and `paper` take what neighbours say; `offers` and `fetch` are the list's; `says`, `give` and
    `missing` answer neighbours. All of one event loop."""

    def __init__(
        self,
        group: int,
        key: Ed25519PublicKey,
        snapshot: Path,
        announced: Path,
        news: News,
        free_bytes: FreeBytes = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._group, self._key = group, key
        self._snapshot, self._announced = snapshot, announced
        self._news, self._kept, self._free_bytes = news, news.kept, free_bytes
        self._givers: list[_Giver] = []
        self._own: tuple[int, bytes, str] = (0, b"", "")
        """What we announce: as of which change of its file, the bytes, and the address."""
        self.fresh: Callable[[str, bytes], None] | None = None
        """Called with what the centre signed and was not known here, for neighbours that it does not answer."""
        news.on_fresh = self._on_fresh
        self.offered = asyncio.Event()
        """Set when somebody offers what nobody did before; whoever waits for it clears it."""

    def _on_fresh(self, kind: str, body: bytes) -> None:
        if self.fresh is not None:
            self.fresh(kind, body)

    # --- to give ------------------------------------------------------------------------------------------------

    def says(self) -> Lists:
        """Return what we hold of the group's list."""
        return Lists(self._announcing()[0], self._news.versions, self._news.settings_digest)

    def _announcing(self) -> tuple[bytes, str]:
        try:
            seen = self._announced.stat().st_mtime_ns
            if seen != self._own[0]:
                data = self._announced.read_bytes()
                self._own = (seen, data, read_announced(data, self._key, self._group).published.address)
        except (OSError, AnnouncedRefused):  # none yet, or signed by a key of before
            return b"", ""
        return self._own[1], self._own[2]

    async def give(self, asked: GivePart) -> Part:
        """Return a part of the snapshot that lies here; an empty one where it is another."""
        data = b""
        if asked.address == self._announcing()[1]:
            data = await asyncio.to_thread(_part_of, self._snapshot, asked.offset)
        return Part(asked.address, asked.offset, data)

    def missing(self, said: Lists) -> Iterator[SignedPaper]:
        """Yield what leads on from where a neighbour is: settings, changes, seals."""
        settings = self._kept.settings
        if settings and said.settings != self._news.settings_digest:
            yield SETTINGS, settings
        for place in said.places:
            for page in self._kept.after(place.event, place.generation, place.version):
                yield CHANGES, page
        for seal in self._news.seals:
            yield SEAL, seal

    # --- to take ------------------------------------------------------------------------------------------------

    def joined(self, gate: GateId, ask: Ask) -> object:
        """A neighbour is here that can be asked. Returns what `heard`, `part` and `left` are told."""
        giver = _Giver(gate, ask)
        self._givers.append(giver)
        return giver

    def left(self, one: object) -> None:
        """It is gone."""
        giver = self._giver(one)
        self._givers.remove(giver)
        if giver.waiting is not None and not giver.waiting.done():
            giver.waiting.set_exception(ConnectionError("the neighbour is gone"))

    def heard(self, one: object, said: Lists) -> None:
        """A neighbour says what it holds. What the list key did not sign is no offer."""
        giver = self._giver(one)
        if not said.announced or said.announced == giver.signed:
            return
        try:
            offer = read_announced(said.announced, self._key, self._group)
        except AnnouncedRefused:  # also one whose key we do not follow yet
            return
        is_new = all(other.signed != said.announced for other in self._givers)
        giver.offer, giver.signed = offer, said.announced
        if is_new:
            self.offered.set()

    def part(self, one: object, part: Part) -> bool:
        """Take a part; whether it was asked for."""
        waiting = self._giver(one).waiting
        if waiting is None or waiting.done():
            return False
        waiting.set_result(part)
        return True

    async def paper(self, kind: str, body: bytes) -> bool:
        """Take a seal, changes or settings that a neighbour gives on; whether the centre signed them. OSError from the
        lane."""
        return await self._news.of_neighbour(kind, body)

    def _giver(self, one: object) -> _Giver:
        assert isinstance(one, _Giver), "as `joined` gave it"
        return one

    def offers(self) -> list[Offer]:
        """Return what neighbours have, the newest first."""
        found = {one.signed: one.offer for one in self._givers if one.offer and not self._is_bad(one)}
        offers = [Offer(offer, signed) for signed, offer in found.items()]
        return sorted(offers, key=lambda one: one.announced.made_at_s, reverse=True)

    @staticmethod
    def _is_bad(giver: _Giver) -> bool:
        return giver.offer is not None and giver.offer.published.address in giver.bad

    async def fetch(self, announced: Announced, into: Path) -> None:
        """Write a snapshot that neighbours offer to a file, going on with what is in it. ConnectionError where none gives
        it whole; OSError where the disk does not take it."""
        published = announced.published
        if not is_address(published.address) or not 0 < published.size <= SNAPSHOT_BYTES_MAX:
            raise ConnectionError("the snapshot's name or size is none")
        for _ in range(TRIES_MAX):
            giver = next(
                (one for one in self._givers if one.offer == announced and not self._is_bad(one)), None
            )
            if giver is None:
                break
            try:
                await self._fetch_of(giver, announced, into)
            except (ConnectionError, TimeoutError, Altered) as error:
                giver.bad.add(published.address)
                log.warning(
                    "a neighbour does not give its list",
                    extra={"gate": giver.gate, "why": type(error).__name__},
                )
            else:
                log.info("a list came from a neighbour", extra={"gate": giver.gate})
                return
        raise ConnectionError("no neighbour gives the list")

    async def _fetch_of(self, giver: _Giver, announced: Announced, into: Path) -> None:
        published = announced.published
        begun = held = await asyncio.to_thread(held_of, into, published.size)
        if published.size - held > self._free_bytes(into.parent) - KEPT_FREE_BYTES:
            raise OSError("a new list would take the disk's last space")
        with into.open("ab") as file:
            while held < published.size:
                part = await self._asked(giver, GivePart(published.address, held))
                # Whole parts: who gives it byte by byte would keep us from everybody else for as long as it likes.
                due = min(PART_BYTES_MAX, published.size - held)
                if (part.address, part.offset) != (published.address, held) or len(part.data) < due:
                    raise ConnectionError("the neighbour gives something else")
                file.write(part.data[:due])
                held += len(part.data)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if await asyncio.to_thread(address_of_file, into) != published.address:
            await asyncio.to_thread(into.unlink)
            if begun:  # by somebody else: this one is asked for all of it before it is to blame
                await self._fetch_of(giver, announced, into)
                return
            raise Altered("the snapshot is not what its name says")

    async def _asked(self, giver: _Giver, asked: GivePart) -> Part:
        if giver not in self._givers:
            raise ConnectionError("the neighbour is gone")
        giver.waiting = asyncio.get_running_loop().create_future()
        try:
            giver.ask(asked)
            async with asyncio.timeout(ANSWER_S):
                return await giver.waiting
        finally:
            giver.waiting = None


def _part_of(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(PART_BYTES_MAX)
    except OSError:
        return b""


__all__ = ["NearLists"]
