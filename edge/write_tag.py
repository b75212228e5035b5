"""`gatehouse-edge write-tag`: a wristband's signed record, written at a PN532 on a desk, read back, locked if asked for.

The message is what the centre signed for this tag (`POST /api/v1/tags/{tag}/band`, which its journal names): a gate has no key to
sign any. The tag is told by its UID; another one that is held to the reader is left as it is.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from admission.credentials import tag_parts
from drivers.base import Medium, Opened, Reader, ReaderEvent, Scan
from edge.complaint import Complaint

EVENTS_MAX: Final = 64


async def write_tag(
    reader: Reader, uid: bytes, message: bytes, say: Callable[[str], None], wait_s: float
) -> None:
    """Wait for the tag and for `reader`, which was made to write it. Complaint where it was not; DriverError as the reader says."""
    heard: asyncio.Queue[ReaderEvent] = asyncio.Queue(EVENTS_MAX)

    def take(event: ReaderEvent) -> None:
        if not heard.full():
            heard.put_nowait(event)

    running = asyncio.ensure_future(reader.run(take))
    waiting = asyncio.ensure_future(_written(heard, uid, message, say))
    try:
        await asyncio.wait({running, waiting}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        elif running.done():
            running.result()
        else:
            raise Complaint(
                f"the tag {uid.hex().upper()} did not come", "Call again and hold it to the reader."
            )
    finally:
        for task in (running, waiting):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


async def _written(
    heard: "asyncio.Queue[ReaderEvent]", uid: bytes, message: bytes, say: Callable[[str], None]
) -> None:
    others: set[bytes] = set()
    while True:
        event = await heard.get()
        if isinstance(event, Opened):
            say(f"Hold the tag {uid.hex().upper()} to the reader.")
        if not isinstance(event, Scan):
            continue
        found, carried = tag_parts(event.data) if event.medium is Medium.TAG else (event.data, None)
        if found != uid:
            if found not in others:
                say(f"This is another tag, {found.hex().upper()}; it was left as it is.")
                others.add(found)
        elif carried == message:
            return
        else:
            raise Complaint(
                f"the tag {uid.hex().upper()} could not be written",
                "It may be locked, too small, of another kind, or was taken away: hold it still, or take an NTAG213.",
            )
