"""Lists on their way down: fetched, verified, built, handed to the lane. What must not be used is said, the old one stays."""

import asyncio
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from admission.ids import EventId
from edge.builder import BUILT, Order
from edge.builder import REFUSED as BUILD_REFUSED
from edge.enrolment import Enrolment
from edge.link import Done
from edge.store.faults import FaultKind, StoreFault
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_schema import ListVersion
from sync.wire.lists import EventInfo, ListHead, version_tag
from sync.wire.sealed import GroupSecrets, SealedRefused, unseal
from sync.wire.seals import Advance, Seal, SealRefused, advance, is_frozen, read_seal
from sync.wire.snapshots import Announced, Manifest, Published

SNAPSHOT_FILE = "snapshot.ghs"
"""The newest snapshot as it came: a lost or damaged list file is built again from it."""
ANNOUNCED_FILE = f"{SNAPSHOT_FILE}.announced"
"""How the centre announced it: with this a neighbour that has none takes it."""
SECRETS_FILE = "secrets.sealed"
"""What the snapshot is opened with, as the centre sealed it to this gate."""
PART_SUFFIX = ".part"
"""Of a snapshot that is coming, behind the first digits of its name: another one begins anew."""
PART_DIGITS = 16
BUILD_MAX_S = 600.0
"""The builder makes a list of 10 million rows in less, also on a slow card."""
WHY_CHARS_MAX = 160
_CODE = re.compile(r"[a-z_]+(\.[a-z_]+)*", re.ASCII)
"""What lane and builder say of a list they do not take: `list.corrupt`."""

log = logging.getLogger("edge.front.snapshot")


class ListTrouble(Exception):
    """A list came that is not used; the one before stays. `code` and `args` are for the journal, the text for people."""

    def __init__(self, code: str, why: str = "", args: Mapping[str, int] | None = None) -> None:
        super().__init__(why or code)
        self.code = code
        self.facts = dict(args or {})


class StillRefused(ListTrouble):
    """The centre still has the list that is not used; it was not sent again."""


class ListSource(Protocol):
    """Where lists come from (`edge.front.centre.Centre`)."""

    async def manifest(self, tag: str, *, fresh: bool) -> tuple[str, Manifest] | None:
        """Return what this gate is told of its list, with its tag; None where that is `tag` still.

        `fresh`: of a snapshot that is behind nothing.
        """
        ...

    async def fetch_snapshot(self, published: Published, into: Path) -> None:
        """Write a snapshot to a file, going on with what is in it already."""
        ...


class Offer(NamedTuple):
    """A snapshot that some neighbour has, and what announces it, as it was signed."""

    announced: Announced
    signed: bytes


class NearSource(Protocol):
    """Whole lists from neighbours (`edge.front.near_lists.NearLists`)."""

    @property
    def offered(self) -> asyncio.Event:
        """Set when somebody offers what nobody did before."""
        ...

    def offers(self) -> Sequence[Offer]:
        """Return what they have, the newest first; announced by the centre."""
        ...

    async def fetch(self, announced: Announced, into: Path) -> None:
        """Write a snapshot to a file. ConnectionError where none gives it whole."""
        ...


class SeenVersions(Protocol):
    """What is remembered of the lists seen; `edge.store.log_reader.LogReader` is one."""

    def list_versions(self) -> tuple[ListVersion, ...]:
        """Return the highest seal seen of each event."""
        ...


class Snapshots:
    """Brings the newest list from the centre to the lane, one `fetch` at a time.

    `take_list` has the lane switch to a list file and returns its answer (any OSError from it: asked again by the next
    `fetch`). `now_s`: trusted time, 0 while there is none; by it a list that is held back is noticed. `may_bring`: whether the
    link may be used for a whole list while there is one.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        data: Path,
        seen: SeenVersions,
        take_list: Callable[[Path], Awaitable[Done]],
        now_s: Callable[[], int] = lambda: 0,
        may_bring: Callable[[], bool] = lambda: True,
    ) -> None:
        self._enrolment = enrolment
        self._data = data
        self._seen = seen
        self._take_list = take_list
        self._now_s = now_s
        self._may_bring = may_bring
        self.waits = False
        """A whole list is wanted and must wait, though changes do not lead on from the one in place."""
        self._tag = ""
        """Of the list in place."""
        self._manifest: Manifest | None = None
        self._manifest_tag = ""
        self._bad = ""
        """Tag of the list that is not used, or of the manifest that must not be followed."""
        self._trouble = ListTrouble("list.refused")
        """Why it is not."""
        self._seals: dict[int, Seal] = {}
        """The newest seen of each event."""
        self._least: dict[EventId, tuple[int, int]] = {}
        """Generation and version of each event that no list may undercut, as of the last look."""
        self._wants = self._met = 0
        """How often a whole list was wanted; and how many of these wishes were met."""
        self._untaken: Path | None = None
        self._forgotten = False
        self.on_told: Callable[[], None] = lambda: None
        """Called when the centre told something new, before the list that it tells of comes."""
        self.near: NearSource | None = None
        """Neighbours that may have a list."""
        self._unfit: set[tuple[str, bytes]] = set()
        """What neighbours had that is not used: addresses, and the secret it was tried with."""
        self._rebuilds = True
        """The list is to be built again from the snapshot on the card, before another is asked for."""

    @property
    def told(self) -> Manifest | None:
        """What the centre told last; proved, and followed or refused."""
        return self._manifest

    def want(self) -> None:
        """Take the newest list at the next `fetch`, though there is one: changes do not lead on from it."""
        self._wants += 1

    def lost(self) -> bool:
        """The lane does not judge by the list in place; whether that is news. The next `fetch` brings one.

        It cannot read it any more, or it was put there behind its back: by a builder that outlived its front.
        """
        if not self._tag or self._untaken is not None:
            return False
        self._tag, self._rebuilds = "", True
        return True

    def drop(self) -> None:
        """Forget what was fetched and what was found of it: the next `fetch` brings all of it anew."""
        for path in (*self._data.glob(f"{SNAPSHOT_FILE}*"), self._data / SECRETS_FILE):
            path.unlink(missing_ok=True)
        self._tag = self._bad = self._manifest_tag = ""
        self._manifest, self._untaken, self._rebuilds = None, None, False
        self._seals.clear()

    def is_damaged(self) -> bool:
        """Whether the list in place is not what was built. Reads all of it, a second for a million rows: in a thread."""
        try:
            store = ListStore.open(self._data / LIST_FILE)
        except StoreFault as fault:
            return fault.kind is FaultKind.CORRUPT
        try:
            store.check()
        except StoreFault as fault:
            return fault.kind is FaultKind.CORRUPT
        finally:
            store.close()
        return False

    def look(self) -> None:
        """See which list is in place."""
        self._tag = tag_of_file(self._data / LIST_FILE)

    async def fetch(
        self,
        centre: ListSource,
        answered: Callable[[], None],
        in_thread: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> None:
        """Ask for a newer list and bring it to the lane. `answered` once the centre spoke; `in_thread` runs
        what reads the log's file. ListTrouble, OSError and whatever the centre raises."""
        await self._make_do(in_thread)
        # Who has a list follows by changes; a new one is made only for who cannot.
        wants = self._wants  # one that comes while the centre is asked is not met by its answer
        fresh = wants > self._met or not self._tag
        said = await centre.manifest(self._manifest_tag, fresh=fresh)
        answered()
        if said is not None:
            self._manifest_tag, self._manifest = said
            self.on_told()
        manifest = self._manifest
        if manifest is None:
            return
        await in_thread(lambda: self._check(manifest))
        if manifest.closed:
            await self._forget()
            return
        self._forgotten = False
        published = manifest.snapshot
        self.waits = False
        if published is None or published.tag == self._tag or not fresh:
            self._bad = ""
            if fresh and published is not None:
                self._met = wants
            return
        if published.tag == self._bad:
            raise StillRefused(self._trouble.code, str(self._trouble), self._trouble.facts)
        # Who has none gets one, whatever it costs; and what was begun is gone on with: no change leads on meanwhile.
        if not self._part(published).exists() and not self._may_bring() and self._tag:
            self.waits = True
            return
        try:
            secrets = self._unsealed(manifest)
            if not await self._bring(centre, manifest, secrets, in_thread):
                return
            await self._build(self._data / SNAPSHOT_FILE, secrets)
        except ListTrouble as trouble:
            self._bad, self._trouble = (
                published.tag,
                trouble,
            )  # not fetched again before the centre has another
            raise
        self._tag, self._bad, self._met = published.tag, "", wants
        await self._hand_over(self._data / LIST_FILE)

    async def _make_do(self, in_thread: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Have a list that is wanted without the centre, where that can be: what the lane did not take yet, one made of
        the snapshot on the card, a neighbour's."""
        if self._untaken is not None:
            await self._hand_over(self._untaken)
        if not self._tag and self._rebuilds:
            self._rebuilds = False
            await self._rebuild(in_thread)
        if not self._tag or self._wants > self._met:
            await self._from_near(in_thread, self._kept_secrets())

    async def _rebuild(self, in_thread: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Build the list again from the snapshot that lies here; without one, or where it will not do, the centre is asked."""
        snapshot, sealed = self._data / SNAPSHOT_FILE, self._data / SECRETS_FILE
        if not (snapshot.exists() and sealed.exists()):
            return
        enrolment = self._enrolment
        try:
            await in_thread(self._look_back)
            secrets = unseal(sealed.read_bytes(), enrolment.group, enrolment.gate, enrolment.sealing)
            await self._build(snapshot, secrets)
            await in_thread(self.look)
        except (ListTrouble, SealedRefused, OSError) as error:
            log.warning("the list is not built again from its snapshot", extra={"why": type(error).__name__})
            return
        await self._hand_over(self._data / LIST_FILE)
        log.info("the list was built again from its snapshot")

    def _look_back(self) -> None:
        self._least = self._seen_so_far()

    def _check(self, manifest: Manifest) -> None:
        """Hold what the centre says now against what it said before. ListTrouble: keep to the list in use."""
        if manifest.group != self._enrolment.group:
            raise ListTrouble("list.wrong_group", "it is of another event group")
        least = self._least = self._seen_so_far()
        for one in manifest.seals:
            try:
                seal = read_seal(one, self._enrolment.list_key)
            except SealRefused as error:
                raise ListTrouble("list.not_genuine", str(error)) from error
            facts = {"generation": seal.generation, "version": seal.version}
            how = advance(self._seals.get(seal.event), seal)
            if how is Advance.ROLLED_BACK or seal.place < least.get(seal.event, (0, 0)):
                raise ListTrouble(
                    "list.rolled_back", f"version {seal.version} is older than one already seen", facts
                )
            if how is Advance.FORKED:
                raise ListTrouble("list.forked", f"version {seal.version} has two contents", facts)
            now_s = self._now_s()
            if now_s and is_frozen(seal, now_s):
                raise ListTrouble("list.frozen", "its seal is old: somebody may be holding news back", facts)
            self._seals[seal.event] = seal

    def _seen_so_far(self) -> dict[EventId, tuple[int, int]]:
        """Return the generation and version of each event that no list may undercut."""
        seen: dict[EventId, tuple[int, int]] = {
            one.event: (one.generation, one.version) for one in self._seen.list_versions()
        }
        used = head_of_file(self._data / LIST_FILE)
        for event in used.events if used is not None else ():
            seen[event.id] = max(seen.get(event.id, (0, 0)), (event.generation, event.version))
        return seen

    def _unsealed(self, manifest: Manifest) -> GroupSecrets:
        enrolment = self._enrolment
        try:
            return unseal(manifest.secrets, enrolment.group, enrolment.gate, enrolment.sealing)
        except SealedRefused as error:
            raise ListTrouble("list.not_sealed", str(error)) from error

    def _kept_secrets(self) -> GroupSecrets | None:
        """Return what snapshots are opened with, by what the centre sealed to this gate before."""
        enrolment = self._enrolment
        try:
            sealed = (self._data / SECRETS_FILE).read_bytes()
            return unseal(sealed, enrolment.group, enrolment.gate, enrolment.sealing)
        except (OSError, SealedRefused):
            return None

    async def _from_near(
        self,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]],
        secrets: GroupSecrets | None,
    ) -> bool:
        """Take a neighbour's list, where one has another than ours that is not older than one seen; whether it is in use.

        Where it does not do, the centre is asked. OSError where disk or lane do not take it.
        """
        near = self.near
        if near is None or secrets is None:
            return False
        near.offered.clear()
        wants = self._wants
        await in_thread(self._look_back)
        for offer in near.offers():
            published = offer.announced.published
            if published.tag == self._tag or (published.address, secrets.list_secret) in self._unfit:
                continue
            part = self._part(published)
            try:
                await near.fetch(offer.announced, part)
                await self._build(part, secrets)
            except ConnectionError:
                continue  # another may give it
            except ListTrouble as trouble:
                log.warning("a neighbour's list is not used", extra={"code": trouble.code})
                self._unfit.add((published.address, secrets.list_secret))
                part.unlink(missing_ok=True)
                continue
            self._place(part, offer.signed)
            await in_thread(self.look)
            self._bad, self._met = "", wants
            await self._hand_over(self._data / LIST_FILE)
            return True
        return False

    def _part(self, published: Published) -> Path:
        """Return where a snapshot is written while it comes."""
        return self._data / f"{SNAPSHOT_FILE}.{published.address[:PART_DIGITS]}{PART_SUFFIX}"

    def _place(self, part: Path, announced: bytes) -> None:
        """Have a snapshot that came in its place, and what announces it beside it."""
        beside = self._data / ANNOUNCED_FILE
        beside.unlink(missing_ok=True)
        part.replace(self._data / SNAPSHOT_FILE)
        if announced:
            beside.write_bytes(announced)

    async def _bring(
        self,
        centre: ListSource,
        manifest: Manifest,
        secrets: GroupSecrets,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> bool:
        """Have the snapshot in its place. What was begun is gone on with; what another was begun with is removed.

        False where a neighbour's list is in use instead, which was here before the centre's: changes lead on from it.
        """
        published = manifest.snapshot
        assert published is not None, "there is something to bring"
        part = self._part(published)
        for other in self._data.glob(f"{SNAPSHOT_FILE}.*{PART_SUFFIX}"):
            if other != part:
                other.unlink(missing_ok=True)
        if not (self._data / SECRETS_FILE).exists():  # by these the neighbours are met that may have a list
            self._keep_secrets(manifest.secrets)
        while not await self._came_before_offers(centre, published, part):
            if await self._from_near(in_thread, secrets):
                self._keep_secrets(manifest.secrets)
                return False
        self._place(part, manifest.announced)
        self._keep_secrets(manifest.secrets)
        return True

    async def _came_before_offers(self, centre: ListSource, published: Published, part: Path) -> bool:
        """Fetch from the centre; whether all came before a neighbour offered something. What came of it stays."""
        if self.near is None:
            await centre.fetch_snapshot(published, part)
            return True
        fetching = asyncio.ensure_future(centre.fetch_snapshot(published, part))
        offered = asyncio.ensure_future(self.near.offered.wait())
        try:
            await asyncio.wait({fetching, offered}, return_when=asyncio.FIRST_COMPLETED)
            if fetching.done():
                fetching.result()
                return True
            return False
        finally:
            for one in (fetching, offered):
                one.cancel()
            await asyncio.gather(fetching, offered, return_exceptions=True)

    def _keep_secrets(self, secrets: bytes) -> None:
        handle = os.open(
            self._data / SECRETS_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(handle, "wb") as file:
            file.write(secrets)

    async def _build(self, snapshot: Path, secrets: GroupSecrets) -> None:
        """Run the builder. ListTrouble where it refuses; OSError where it fails."""
        order = Order(
            list_public=self._enrolment.list_public,
            group=self._enrolment.group,
            list_secret=secrets.list_secret,
            digest_key=secrets.digest_key,
            seen=tuple((event, *place) for event, place in self._least.items()),
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.builder", str(snapshot), str(self._data / LIST_FILE),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(BUILD_MAX_S):
                _, said = await process.communicate(msgspec.json.encode(order))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        line = said.decode(errors="replace").strip()
        if process.returncode == BUILD_REFUSED:
            code, _, why = line.rpartition("\n")[2].partition(": ")
            if not _CODE.fullmatch(code):
                code, why = "list.unusable", line
            raise ListTrouble(code, why[:WHY_CHARS_MAX] or "the builder refused it")
        if process.returncode != BUILT:
            raise OSError(f"the list was not built: {line[-WHY_CHARS_MAX:] or process.returncode}")

    async def _hand_over(self, path: Path) -> None:
        """Have the lane take the list; where it cannot now, try again at the next poll."""
        self._untaken = path
        done = await self._take_list(path)
        self._untaken = None
        if not done.ok:
            code = done.code if _CODE.fullmatch(done.code) else "list.refused"
            self._bad, self._trouble = self._tag, ListTrouble(code, done.code)
            self._tag = ""
            raise self._trouble
        log.info("a new list is in use")

    async def _forget(self) -> None:
        """The group is over: leave neither list nor secrets on the card, as far as a card forgets."""
        if self._forgotten:
            return
        for path in (
            *self._data.glob(f"{SNAPSHOT_FILE}*"),
            self._data / SECRETS_FILE,
            self._data / LIST_FILE,
        ):
            path.unlink(missing_ok=True)
        self._tag = ""
        await self._take_list(self._data / LIST_FILE)
        self._forgotten = True
        log.info("the event group is over: its list and its secrets are removed")


def head_of_file(path: Path) -> ListHead | None:
    """Return the head of the list file in place; None where there is no usable one."""
    try:
        store = ListStore.open(path)
    except StoreFault:
        return None
    try:
        return store.head
    finally:
        store.close()


def tag_of_file(path: Path) -> str:
    """Return the ETag of the list file in place; "" where there is no usable one."""
    head = head_of_file(path)
    return "" if head is None else version_tag(head.group, map(_seal, head.events))


def _seal(event: EventInfo) -> tuple[int, int, int]:
    return event.id, event.generation, event.version


__all__ = ["ListTrouble", "Snapshots", "StillRefused", "head_of_file", "tag_of_file"]
