"""Lists on their way down: fetched, verified, built, handed to the lane. What must not be used is said, the old one stays."""

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from edge.builder import BUILT
from edge.builder import REFUSED as BUILD_REFUSED
from edge.enrolment import Enrolment
from edge.link import Done
from edge.store.faults import StoreFault
from edge.store.list import LIST_FILE, ListStore
from edge.store.log_schema import ListVersion
from sync.wire.lists import EventInfo, ListHead, ListRefused, read_head, version_tag

SNAPSHOT_FILE = "snapshot.ghl"
"""The newest signed list as it came: a lost or damaged list file is built again from it."""
BUILD_MAX_S = 600.0
"""The builder makes a list of 10 million rows in less, also on a slow card."""
WHY_CHARS_MAX = 160
_CODE = re.compile(r"[a-z_]+(\.[a-z_]+)*", re.ASCII)
"""What the lane says of a list it does not take: `list.corrupt`."""

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

    async def fetch_list(self, tag: str, into: Path) -> str | None:
        """Write the list to a file, if it is another than `tag`; return its tag, None where nothing changed."""
        ...


class SeenVersions(Protocol):
    """What is remembered of the lists seen; `edge.store.log_reader.LogReader` is one."""

    def list_versions(self) -> tuple[ListVersion, ...]:
        """Return the highest seal seen of each event."""
        ...


class Snapshots:
    """Brings the newest list from the centre to the lane, one `fetch` at a time.

    `take_list` has the lane switch to a list file and returns its
    answer (any OSError from it: asked again by the next `fetch`).
    """

    def __init__(
        self,
        enrolment: Enrolment,
        data: Path,
        seen: SeenVersions,
        take_list: Callable[[Path], Awaitable[Done]],
    ) -> None:
        self._enrolment = enrolment
        self._data = data
        self._seen = seen
        self._take_list = take_list
        self._tag = ""
        self._bad_tag = ""
        self._trouble = ListTrouble("list.refused")
        """Why the list under `_bad_tag` is not used."""
        self._untaken: Path | None = None

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
        what reads the log's file. ListTrouble, OSError and
        whatever the centre raises."""
        if self._untaken is not None:
            await self._hand_over(self._untaken)
        fresh = self._data / (SNAPSHOT_FILE + ".new")
        try:
            tag = await centre.fetch_list(self._bad_tag or self._tag, fresh)
            answered()
            if tag is None:
                if self._bad_tag:
                    raise StillRefused(self._trouble.code, str(self._trouble), self._trouble.facts)
                return
            try:
                await in_thread(lambda: self._check(fresh))
                await self._build(self._data / SNAPSHOT_FILE)
            except ListTrouble as trouble:
                self._bad_tag, self._trouble = tag, trouble  # not fetched again before the centre has another
                raise
        finally:
            fresh.unlink(missing_ok=True)
        self._tag, self._bad_tag = tag, ""
        await self._hand_over(self._data / LIST_FILE)

    def _check(self, fresh: Path) -> None:
        """Verify what came, and put it in the old snapshot's place. ListTrouble where it must not be used."""
        try:
            with fresh.open("rb") as file:
                head = read_head(file, self._enrolment.list_key)
        except ListRefused as error:
            raise ListTrouble("list.not_genuine", str(error)[:WHY_CHARS_MAX]) from error
        if head.group != self._enrolment.group:
            raise ListTrouble("list.wrong_group", "it is of another event group")
        seen = {one.event: (one.generation, one.version) for one in self._seen.list_versions()}
        used = head_of_file(self._data / LIST_FILE)
        for one in used.events if used is not None else ():
            seen[one.id] = max(seen.get(one.id, (0, 0)), (one.generation, one.version))
        for event in head.events:
            if (event.generation, event.version) < seen.get(event.id, (0, 0)):
                facts = {"generation": event.generation, "version": event.version}
                raise ListTrouble(
                    "list.rolled_back", f"version {event.version} is older than one already seen", facts
                )
        fresh.replace(self._data / SNAPSHOT_FILE)

    async def _build(self, snapshot: Path) -> None:
        """Run the builder. ListTrouble where it refuses; OSError where it fails."""
        key = self._enrolment.list_public.hex()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.builder", str(snapshot), str(self._data / LIST_FILE), key,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(BUILD_MAX_S):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        why = said.decode(errors="replace").strip()[-WHY_CHARS_MAX:]
        if process.returncode == BUILD_REFUSED:
            raise ListTrouble("list.unusable", why or "the builder refused it")
        if process.returncode != BUILT:
            raise OSError(f"the list was not built: {why or process.returncode}")

    async def _hand_over(self, path: Path) -> None:
        """Have the lane take the list; where it cannot now, try again at the next poll."""
        self._untaken = path
        done = await self._take_list(path)
        self._untaken = None
        if not done.ok:
            code = done.code if _CODE.fullmatch(done.code) else "list.refused"
            self._bad_tag, self._trouble = self._tag, ListTrouble(code, done.code)
            raise self._trouble
        log.info("a new list is in use")


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
