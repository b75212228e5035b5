"""Changes on their way down: heard of by a stream, asked for by a poll, verified, handed to the lane in slices.

The stream only makes it quick. Whatever it leaves out, says twice or in another order, `catch_up` puts right: it asks
for what follows on the version that the lane has.
"""

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from admission.entitlements import OfflinePolicy
from admission.ids import EventId
from edge.applied import FULL, GAP, NO_LIST, KeptValues, applied_of, head_over, settings_of
from edge.clock import Clock
from edge.front.centre import CentreRefused, CutOff, Silent
from edge.front.kept_changes import KeptChanges
from edge.front.pace import Beat
from edge.front.snapshot import ListTrouble, head_of_file
from edge.link import ChangedRow, Changes, Done
from edge.store.list import LIST_FILE
from sync.wire.deltas import (
    KEYS_PART,
    RECORDS_PART,
    TAKE_LIST,
    Delta,
    DeltaRefused,
    EventVersion,
    Settings,
    digest_of,
    read_delta,
    read_settings,
    settings_head,
)
from sync.wire.lists import ListHead
from sync.wire.peer_lists import CHANGES, SEAL, SETTINGS
from sync.wire.seals import FROZEN_S, RENEW_S, REST_RENEW_S, Advance, Seal, SealRefused, advance, read_seal

STRICT_MORE_S = 3600
"""People still come in for a while after a session's end was planned."""
POLL_S = 20.0
"""How often is asked while the stream is up; what it leaves out is late by no more."""
SEALED_S, REST_SEALED_S = 1.5 * RENEW_S, 1.5 * REST_RENEW_S
"""An event whose last seal is younger is told of by the stream: nothing needs to be asked while it is quiet."""
STREAM_LATE_S = 5.0
"""A stream that was open for longer, and did not tell what a poll found, is half-open."""
SLICE_ROWS = 64
"""Rows handed to the lane at once: taken in within a millisecond."""
AGAIN_MAX_S = 2.0
"""Longest pause before a stream that the centre ended is opened again; each gate waits a random part of it."""

log = logging.getLogger("edge.front.stream")


class ChangeSource(Protocol):
    """Where changes come from (`edge.front.centre.Centre`)."""

    async def changes(self, event: EventId, generation: int, since: int) -> bytes:
        """Return a page of what changed in an event's list after a version."""
        ...

    async def settings(self) -> bytes:
        """Return the settings in force."""
        ...

    def listen(self, silence_s: float, beat_s: int) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yield what the centre tells as it becomes known, and something every `beat_s`."""
        ...


class News:
    """Brings changes to the lane. `look` first, in the thread that reads the log; then `listen` and `catch_up` for ever.

    `hand_over` has the lane take a slice in and returns its answer; `want_list` is called where only a whole list helps;
    `heard` whenever the centre proved what it says of the list; `rolled` when it says that its keys are others now.
    `doubt` is asked where what came is not signed by the keys known here: whether newer ones are asked for first.
    """

    def __init__(  # noqa: PLR0915 - what is told to whom, one line each
        self,
        list_key: Ed25519PublicKey,
        data: Path,
        reader: KeptValues,
        centre: ChangeSource,
        hand_over: Callable[[Changes], Awaitable[Done]],
        want_list: Callable[[], None],
        heard: Callable[[], None],
        rolled: Callable[[], None],
        doubt: Callable[[], bool],
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._key = list_key
        self._data = data
        self._reader = reader
        self._centre = centre
        self._hand_over = hand_over
        self._want_list = want_list
        self._heard = heard
        self._rolled = rolled
        self._doubt = doubt
        self._clock = clock
        self._chance = chance
        self._at: dict[EventId, tuple[int, int]] = {}
        """Generation and version that the lane holds of each event."""
        self.strict_until_s = 0.0
        """Until then some product lets nobody in where another gate was not heard within 30 s: they must be heard all
        the time."""
        self._settings_digest = b""
        self._settings: Settings | None = None
        """The newest that came; in force once the lane took them."""
        self._settings_signed = b""
        """The same as they came."""
        self.kept = KeptChanges(data)
        """What neighbours are given that are behind."""
        self._listed: dict[EventId, tuple[int, int]] = {}
        """Generation and version of each event in the list itself."""
        self._sealed: dict[EventId, bytes] = {}
        """The newest seals, as they were signed."""
        self.on_fresh: Callable[[str, bytes], None] | None = None
        """Called with kind and body of what the centre signed and was not known here."""
        self._seals: dict[EventId, Seal] = {}
        self._sealed_s: dict[EventId, float] = {}
        """When each event's last seal came."""
        self._beat = Beat()
        self._life: asyncio.Timeout | None = None
        """Of the stream that is open; ended where it proves dead."""
        self._opened_s = 0.0
        self._taking = asyncio.Lock()
        self.behind = asyncio.Event()
        """Set when there is something to ask for."""
        self.moved = asyncio.Event()
        """Set when the lane holds a newer version; whoever waits for it clears it."""
        self.on_records: Callable[[], None] | None = None
        """Called when the stream says that other gates recorded something."""
        self.on_opened: Callable[[], None] | None = None
        """Called when a stream tells its first: what those before it left out of others' records is to be asked for."""
        self.is_quiet: Callable[[], bool] = lambda: False
        """Whether what the seals show to be no news is not asked for."""
        self.on_list_lost: Callable[[], None] = lambda: None
        """Called when the lane has no list that changes could lead on from."""
        self.on_settings: Callable[[], None] | None = None
        """Called when the lane took other settings: gates, their keys and lanes may be others, too."""
        self.on_restored: Callable[[], None] = lambda: None
        """Called when a seal is of a later generation than what was known: the centre was restored from a backup."""
        self.on_caught_up: Callable[[], None] | None = None
        """Called when the centre told of every event what follows, before the long wait for more."""

    @property
    def versions(self) -> tuple[EventVersion, ...]:
        """How far the lane is, durably."""
        return tuple(EventVersion(event, *place) for event, place in sorted(self._at.items()))

    @property
    def settings_digest(self) -> bytes:
        """Of the settings that the lane goes by."""
        return self._settings_digest

    @property
    def seals(self) -> tuple[bytes, ...]:
        """The newest seal of each event, as it was signed."""
        return tuple(self._sealed.values())

    async def look(
        self, in_thread: Callable[[Callable[[], ListHead | None]], Awaitable[ListHead | None]]
    ) -> None:
        """See what the lane holds: at start, and after each new list. `in_thread`: where the log is read.

        StoreFault as the disk says.
        """
        async with self._taking:
            head = await in_thread(self._in_force)
            self._at = {one.id: (one.generation, one.version) for one in head.events} if head else {}
            self._settings_digest = digest_of(settings_head(head)) if head else b""
            self.strict_until_s = _strict_until_s(head)
            self.kept.lead_on_from(self._listed)
        self.moved.set()
        self.behind.set()

    def _in_force(self) -> ListHead | None:
        listed = head_of_file(self._data / LIST_FILE)
        if listed is None:
            self._listed = {}
            return None
        self._listed = {one.id: (one.generation, one.version) for one in listed.events}
        return head_over(listed, applied_of(self._reader), settings_of(self._reader))

    # --- the stream ---------------------------------------------------------------------------------------------

    async def listen(self) -> float:
        """Hear what the centre tells, until it ends; returns the seconds to wait then. CutOff, CentreRefused."""
        was_heard, was_told, wait_s = False, False, AGAIN_MAX_S * self._chance.random()
        quiet_s = self._opened_s = self._mono_s()
        try:
            async with asyncio.timeout(None) as self._life:
                async for name, data in self._messages():
                    if not was_told and self.on_opened is not None:
                        self.on_opened()
                    was_told = True
                    if name == KEYS_PART:  # what comes after it is signed by keys that are not known yet
                        self._rolled()
                        return wait_s
                    fresh = await self._take_part(name, data)
                    was_heard = was_heard or fresh
                    if fresh:
                        quiet_s = self._mono_s()
                    elif self._mono_s() - quiet_s > FROZEN_S:
                        raise CutOff("the stream brings no seal any more")  # noqa: TRY301 - the same pause follows as for any other
        except (SealRefused, DeltaRefused) as error:
            if self._doubt():
                return wait_s
            # Of the stream alone: what is asked for is proved by the centre itself.
            log.error("the stream brings what is not the centre's", extra={"code": "changes.not_genuine"})  # noqa: TRY400 - what it is stands there
            raise CutOff(str(error)) from error
        except TimeoutError:  # it is half-open: another is opened at once
            log.warning("the stream did not tell what was new; it is opened anew")
            self._beat.died(silent=True)
            return 0.0
        except CutOff as error:
            self._beat.died(silent=isinstance(error, Silent))
            if not was_heard:
                raise
        else:
            self._beat.lived(self._mono_s() - self._opened_s)
        finally:
            self._life = None
        return wait_s

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    async def _messages(self) -> AsyncGenerator[tuple[str, bytes], None]:
        async with contextlib.aclosing(self._centre.listen(self._beat.silence_s, self._beat.beat_s)) as told:
            async for one in told:
                yield one

    async def _take_part(self, name: str, data: bytes) -> bool:
        """Take one message in; whether it shows that the stream is the centre's own and new."""
        if name == "seal":
            fresh = self._take_seal(read_seal(data, self._key), data)
            if fresh:
                self._heard()
            return fresh
        if name == RECORDS_PART:
            if self.on_records is not None:
                self.on_records()
        elif name == "settings":
            self._take_settings(data)
        elif name == "changes":
            delta = read_delta(data, self._key)
            async with self._taking:
                if self._follows(delta) and self._knows_settings(delta):
                    if await self._bring(delta):
                        self._keep(data)
                elif delta.to > self._at.get(delta.event, (0, 0))[1]:
                    self.behind.set()
        return False

    async def of_neighbour(self, kind: str, data: bytes) -> bool:
        """Take in what a neighbour gives on; whether the centre signed it. It is no word from the centre that it came.

        OSError where the lane does not take it.
        """
        try:
            if kind == SEAL:
                self._take_seal(read_seal(data, self._key), data, may_be_old=True)
            elif kind in {CHANGES, SETTINGS}:
                await self._take_part(kind, data)
            else:
                return False
        except (SealRefused, DeltaRefused):
            return False
        return True

    def _take_settings(self, signed: bytes) -> None:
        self._settings, self._settings_signed = read_settings(signed, self._key), signed

    def _keep(self, page: bytes) -> None:
        """Keep a page that the lane took, and give it on."""
        self.kept.add(page)
        if self.on_fresh is not None:
            self.on_fresh(CHANGES, page)

    def _take_seal(self, seal: Seal, signed: bytes, *, may_be_old: bool = False) -> bool:
        """Note a seal that is newer; whether it was. `may_be_old`: its sender may lag behind, as a neighbour does."""
        known = self._seals.get(seal.event)
        judged = advance(known, seal)
        if judged is Advance.ROLLED_BACK and may_be_old:
            return False
        if judged in {Advance.ROLLED_BACK, Advance.FORKED}:
            log.error(
                "a seal contradicts one that was seen",
                extra={"code": f"seal.{judged.value}", "version": seal.version},
            )
            return False
        if judged is Advance.KNOWN:
            return False
        generation = known.generation if known is not None else self._at.get(seal.event, (0, 0))[0]
        self._seals[seal.event], self._sealed[seal.event] = seal, signed
        if 0 < generation < seal.generation:
            self.on_restored()
        if self.on_fresh is not None:
            self.on_fresh(SEAL, signed)
        self._sealed_s[seal.event] = self._mono_s()
        if seal.place > self._at.get(seal.event, (0, 0)):
            self.behind.set()
        return True

    # --- the poll -----------------------------------------------------------------------------------------------

    async def catch_up(self) -> float:
        """Ask for what follows on the lane's version of each event, until there is no more; then wait for a hint."""
        hinted = self.behind.is_set()
        self.behind.clear()
        for event in tuple(self._at):
            if await self._catch_up(event) and not hinted:
                self._suspect()
        if self.on_caught_up is not None:
            self.on_caught_up()
        while True:
            try:
                async with asyncio.timeout(POLL_S * self._chance.uniform(0.75, 1.25)):
                    await self.behind.wait()
            except TimeoutError:
                if self.is_quiet() and self.is_told:
                    continue
            return 0.0

    @property
    def is_told(self) -> bool:
        """Whether the stream shows of every event that nothing is new."""
        return bool(self._at) and all(map(self._is_sealed, self._at))

    def _is_sealed(self, event: EventId) -> bool:
        """Whether the stream shows that nothing is new of an event."""
        seal = self._seals.get(event)
        most_s = REST_SEALED_S if self.is_quiet() else SEALED_S
        is_fresh = self._mono_s() - self._sealed_s.get(event, -most_s) < most_s
        return is_fresh and seal is not None and seal.place <= self._at.get(event, (0, 0))

    def _suspect(self) -> None:
        """A poll found what the stream should have told: end it, so that another is opened."""
        if self._life is not None and self._mono_s() - self._opened_s > STREAM_LATE_S:
            self._life.reschedule(asyncio.get_running_loop().time())

    async def _catch_up(self, event: EventId) -> bool:
        """Bring an event up to date; whether there was anything new.

        The centre is asked while nobody waits for it: on a link that is dead it takes seconds until that shows, and behind
        what a neighbour gives on meanwhile stand its reservations.
        """
        was_new = False
        while event in self._at:
            generation, version = self._at[event]
            try:
                page = await self._centre.changes(event, generation, version)
            except CentreRefused as error:
                if error.code != TAKE_LIST:
                    raise
                self._want_list()
                return was_new
            delta = self._read(page)
            self._heard()
            if (delta.event, delta.generation, delta.since) != (event, generation, version):
                raise ListTrouble("changes.not_genuine", "the changes are other ones than were asked for")
            if delta.to == version:
                return was_new
            if not self._knows_settings(delta):
                await self._fetch_settings()
            async with self._taking:
                if not self._follows(delta):
                    continue  # somebody else led on from there meanwhile
                was_new = True
                if not await self._bring(delta):
                    return was_new
                self._keep(page)
            if delta.is_last:
                return was_new
        return was_new

    def _read(self, page: bytes) -> Delta:
        try:
            return read_delta(page, self._key)
        except DeltaRefused as error:
            raise ListTrouble("changes.not_genuine", str(error)) from error

    async def _fetch_settings(self) -> None:
        try:
            self._take_settings(await self._centre.settings())
        except DeltaRefused as error:
            raise ListTrouble("changes.not_genuine", str(error)) from error

    # --- to the lane --------------------------------------------------------------------------------------------

    def _follows(self, delta: Delta) -> bool:
        generation, version = self._at.get(delta.event, (0, 0))
        return delta.generation == generation and delta.since <= version < delta.to

    def _knows_settings(self, delta: Delta) -> bool:
        known = self._settings.digest if self._settings is not None else b""
        return delta.settings in {self._settings_digest, known}

    async def _bring(self, delta: Delta) -> bool:
        """Hand a page to the lane; whether it holds it now, durably. OSError where it cannot: asked again later."""
        # Whoever is behind gives on settings of before: only a page that names others than are gone by brings any.
        newest = self._settings
        fresh = newest if newest and self._settings_digest not in {delta.settings, newest.digest} else None
        slices = [delta.rows[at : at + SLICE_ROWS] for at in range(0, len(delta.rows), SLICE_ROWS)] or [()]
        for number, rows in enumerate(slices, 1):
            is_last = number == len(slices)
            done = await self._hand_over(
                Changes(
                    number=0,
                    event=delta.event,
                    generation=delta.generation,
                    since=delta.since,
                    to=delta.to,
                    rows=tuple(
                        ChangedRow(one.digest, delta.ticket(one), int(one.credential_standing), one.version)
                        for one in rows
                    ),
                    is_last=is_last,
                    row_count=len(delta.rows),
                    settings_digest=delta.settings,
                    settings=msgspec.msgpack.encode(fresh.head) if fresh and is_last else b"",
                    sealed_at_s=delta.sealed_at_s if delta.is_last else 0,
                )
            )
            if done.code in {GAP, FULL}:
                self._want_list()
                return False
            if done.code == NO_LIST:
                self.on_list_lost()
                return False
            if not done.ok:
                raise ConnectionError(f"the lane does not take changes: {done.code}")
        self._at[delta.event] = (delta.generation, delta.to)
        if fresh is not None:
            self._settings_digest = fresh.digest
            self.kept.add_settings(self._settings_signed)
            if self.on_fresh is not None:
                self.on_fresh(SETTINGS, self._settings_signed)
            self.strict_until_s = _strict_until_s(fresh.head)
            if self.on_settings is not None:
                self.on_settings()
        self.moved.set()
        return True


def _strict_until_s(head: ListHead | None) -> float:
    """Return until when others must be heard all the time: an hour beyond the last session; 0 where nobody asks for it."""
    if head is None or all(one.offline is OfflinePolicy.ADMIT_AND_FLAG for one in head.products):
        return 0.0
    return max((one.end or math.inf for one in head.sessions), default=math.inf) + STRICT_MORE_S
