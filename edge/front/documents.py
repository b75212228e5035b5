"""The venue's documents at a gate: its keys as they are rolled, the roster, the certificate for the gate's own page; and
the gate's own keys, when it is asked for new ones."""

import asyncio
import contextlib
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from edge import enrolment as enrolments
from edge.enrolment import Enrolment
from edge.front.centre import CentreRefused
from edge.front.own_keys import OfferTaker, OwnKeys
from edge.front.tls import PageTls
from edge.held_roster import ROSTER_FILE, load_roster, read
from sync.wire.messages import UNREADABLE, Certified, KeyDocument, SignedKeys
from sync.wire.roster import RENEW_S, Roster, RosterRefused, newer
from sync.wire.rotation import KeysRefused, Pinned, follow
from sync.wire.snapshots import Manifest

KEYS_FILE = "keys.signed"
"""The venue's newest key document as it was signed, in the data folder: for neighbours that the centre does not answer."""
KEYS_BYTES_MAX = 16 * 1024
"""A document has five keys and takes a kilobyte."""
CERTIFY_AGAIN_S = 3600.0
"""Pause after the page got no certificate: its key may be one of the house's own, which the centre certifies never."""

log = logging.getLogger("edge.front.documents")


class KeysRolled(Exception):
    """The venue's keys, or the gate's own, are others now, and saved: whoever talks to the centre begins anew with them."""


class DocumentSource(OfferTaker, Protocol):
    """Where documents come from (`edge.front.centre.Centre`)."""

    async def key_document(self) -> SignedKeys:
        """Return the venue's newest key document, not yet proved."""
        ...

    async def roster(self) -> bytes:
        """Return the newest roster, not yet verified."""
        ...

    async def certificate(self, request: bytes) -> Certified:
        """Return a certificate for this gate's page."""
        ...


class Documents:
    """Keeps a gate's documents up to date. `now_s`: the time, as well as it is known."""

    def __init__(
        self,
        enrolment: Enrolment,
        data: Path,
        centre: DocumentSource,
        now_s: Callable[[], int],
        page: PageTls | None = None,
    ) -> None:
        self._enrolment = enrolment
        self._data = data
        self._centre = centre
        self._now_s = now_s
        self._page = page
        self._own_keys = OwnKeys(enrolment, data, centre)
        self.held = load_roster(data, enrolment)
        """The roster to go by; None where there is none yet."""
        self._unkept: bytes | None = None
        """The same, where it is not on the disk yet."""
        self._newer: SignedKeys | None = None
        """Keys that a neighbour brought, to be followed next."""
        self._certify_from_s = 0.0
        """When a certificate may be asked for again: by the loop's clock."""

    def offered(self, data: bytes) -> bool:
        """Go by a roster that a neighbour brought, where it is newer and genuine; whether it was. `keep_offered` next."""
        try:
            seen = read(data, self._enrolment)
            if newer(self.held, seen) is not seen:
                return False
        except RosterRefused:
            return False
        self.held, self._unkept = seen, data
        return True

    async def keep_offered(self) -> None:
        """Have it survive a restart. OSError where the disk does not take it: try again."""
        if (data := self._unkept) is not None:
            await asyncio.to_thread(_keep, self._data / ROSTER_FILE, data)
            self._unkept = None

    def signed(self) -> bytes:
        """Return the roster to go by as it was signed; empty where there is none."""
        if self._unkept is not None:
            return self._unkept
        try:
            return (self._data / ROSTER_FILE).read_bytes()
        except OSError:
            return b""

    def keys(self) -> bytes:
        """Return the venue's keys as they were signed; empty where they were never others here."""
        try:
            return (self._data / KEYS_FILE).read_bytes()
        except OSError:
            return b""

    def keys_offered(self, data: bytes) -> bool:
        """See the venue's keys as a neighbour gives them on: whether they are newer, and genuine by what is pinned here.

        `follow_offered` next.
        """
        try:
            if len(data) > KEYS_BYTES_MAX:
                return False
            signed = msgspec.msgpack.decode(data, type=SignedKeys)
            if self._is_known(follow(self._pinned, signed)):
                return False
        except (*UNREADABLE, KeysRefused):
            return False
        self._newer = signed
        return True

    async def follow_offered(self) -> None:
        """Follow what a neighbour brought: KeysRolled where there is anything."""
        if self._newer is not None:
            await self._follow(self._newer)

    @property
    def knows_roster_key(self) -> bool:
        """Whether the venue signs rosters, as far as is known here."""
        return bool(self._enrolment.roster_public)

    async def look(self, told: Manifest | None) -> None:
        """Fetch what is newer than what is here. `told`: the newest manifest. KeysRolled, KeysRefused, RosterRefused,
        OSError and whatever the centre raises."""
        if told is not None and told.keys_number > self._enrolment.keys_number:
            await self.follow_keys()
        if told is not None and self.knows_roster_key and self._roster_is_due(told):
            await self.take_roster(await self._centre.roster())
        if told is not None and told.roll is not None:
            await self._own_keys.roll(told.roll)
            raise KeysRolled

    async def certify(self) -> None:
        """Have a certificate for the page where that is due. CutOff: try again. What else goes wrong is no reason to leave anything
        undone: the page is served all the same, and another is asked for an hour later."""
        now_s = asyncio.get_running_loop().time()
        if self._page is None or now_s < self._certify_from_s or not self._page.is_due(self._now_s()):
            return
        try:
            await self._certify(self._page)
        except (CentreRefused, OSError) as error:
            self._certify_from_s = now_s + CERTIFY_AGAIN_S
            why = error.code if isinstance(error, CentreRefused) else type(error).__name__
            log.warning("the page gets no certificate", extra={"code": "page.certificate", "why": why})

    async def follow_keys(self) -> None:
        """Ask for the venue's keys: KeysRolled where they are newer. Needs no answer to be proved by an old key."""
        await self._follow(await self._centre.key_document())

    @property
    def _pinned(self) -> Pinned:
        mine = self._enrolment
        return Pinned(mine.centre_public, mine.successor_public, mine.keys_number)

    def _is_known(self, document: KeyDocument) -> bool:
        mine = self._enrolment
        return (document.number, document.identity) == (mine.keys_number, mine.centre_public)

    async def _follow(self, signed: SignedKeys) -> None:
        document, mine = follow(self._pinned, signed), self._enrolment
        if self._is_known(document):
            return
        await asyncio.to_thread(_keep, self._data / KEYS_FILE, msgspec.msgpack.encode(signed))
        await asyncio.to_thread(
            enrolments.save,
            self._data,
            replace(
                mine,
                centre_public=document.identity,
                successor_public=document.successor,
                list_public=document.lists,
                time_public=document.time,
                roster_public=document.roster,
                keys_number=document.number,
            ),
        )
        log.warning("the venue rolled its keys", extra={"code": "keys.rolled", "version": document.number})
        raise KeysRolled

    async def take_roster(self, data: bytes) -> Roster:
        """Go by a roster from the centre, where it is newer. RosterRefused; the one before stays then.

        Where the disk does not take it, it holds all the same: `keep_offered` again.
        """
        seen = read(data, self._enrolment)
        found = newer(self.held, seen)
        if found is seen:
            self.held, self._unkept = seen, data
            with contextlib.suppress(OSError):
                await self.keep_offered()
        return found

    def _roster_is_due(self, told: Manifest) -> bool:
        held = self.held
        return (
            held is None or told.roster_version > held.version or self._now_s() - held.issued_at_s > RENEW_S
        )

    async def _certify(self, page: PageTls) -> None:
        try:
            request = await asyncio.to_thread(page.request)
        except subprocess.SubprocessError as error:
            raise OSError("no request for a certificate could be made") from error
        made = await self._centre.certificate(request)
        await asyncio.to_thread(page.install, made.chain, made.until_s)
        log.info("the page has a certificate of the venue's authority", extra={"code": "page.certified"})


def _keep(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


__all__ = ["Documents", "KeysRefused", "KeysRolled"]
