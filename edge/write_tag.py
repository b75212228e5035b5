"""`gatehouse-edge write-tag`: a wristband's signed record, written at a PN532 on a desk, read back, locked if asked for.

The message is what the centre signed for this tag (`POST /api/v1/tags/{tag}/band`, which its journal names): a gate has no key to
sign any. The tag is told by its UID; another one that is held to the reader is left as it is. Only behind the page's PIN, with a
steward's number and within the limit of `[staff]`; the running gate records it first, so that no band is written unseen.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from admission.credentials import tag_parts
from admission.reasons import Language
from drivers.base import Medium, Opened, Reader, ReaderEvent, Scan
from edge.complaint import Complaint
from edge.front.pin import Locked, NoPin, PinLock, Right, Wrong
from edge.link import SOCKET, Done, LinkBroken, WriteTag, pack, read_from_lane
from edge.words import sentence

EVENTS_MAX: Final = 64
CONSOLE: Final = "console"
"""Who tries a PIN here, among the senders of tries."""
ANSWER_S: Final = 10.0
"""Longest wait for the gate: its disk takes 3 s at the most, and it says so."""


def unlocked(lock: PinLock, pin: str) -> None:
    """Complaint unless it is the PIN; wrong tries count with those at the page."""
    match lock.check(pin, CONSOLE):
        case Right():
            return
        case NoPin():
            raise Complaint("there is no PIN yet", "Make one: gatehouse-edge pin.")
        case Wrong(wait_s=wait_s) | Locked(wait_s=wait_s) if wait_s > 0:
            raise Complaint(
                f"too many wrong PINs; wait {int(wait_s) + 1} s", "Or make a new one: gatehouse-edge pin."
            )
        case _:
            raise Complaint("this is not the PIN of the gate's page", "Type it again.")


async def recorded(data: Path, uid: bytes, steward: int) -> None:
    """Have the running gate record that a wristband is written. Complaint where it does not, or none runs."""
    try:
        stream, out = await asyncio.open_unix_connection(str(data / SOCKET))
    except OSError as error:
        raise Complaint(
            "the gate does not run, and nothing is written unrecorded",
            "Start gatehouse-edge, and call again.",
        ) from error
    try:
        out.write(pack(WriteTag(1, steward, uid)))
        async with asyncio.timeout(ANSWER_S):
            while not isinstance(answer := await read_from_lane(stream), Done):
                pass
    except (LinkBroken, TimeoutError) as error:
        raise Complaint("the gate does not answer", "Look at its page, and call again.") from error
    finally:
        out.close()
    if not answer.ok:
        said = sentence(answer.code, answer.args, Language.EN)
        raise Complaint(said.cause, said.fix or "Look at the gate's page.")


async def write_tag(
    reader: Reader,
    uid: bytes,
    message: bytes,
    say: Callable[[str], None],
    wait_s: float,
    *,
    lock: bool = False,
) -> None:
    """Wait for the tag and for `reader`, which was made to write it, and to lock it if `lock`. Complaint where it was not, or
    where the tag does not say so itself when it is read back; DriverError as the reader says."""
    heard: asyncio.Queue[ReaderEvent] = asyncio.Queue(EVENTS_MAX)

    def take(event: ReaderEvent) -> None:
        if not heard.full():
            heard.put_nowait(event)

    running = asyncio.ensure_future(reader.run(take))
    waiting = asyncio.ensure_future(_written(heard, uid, message, say, lock=lock))
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
    heard: "asyncio.Queue[ReaderEvent]",
    uid: bytes,
    message: bytes,
    say: Callable[[str], None],
    *,
    lock: bool,
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
        elif carried != message:
            raise Complaint(
                f"the tag {uid.hex().upper()} could not be written; it carries "
                + ("another message" if carried else "none that could be read"),
                "It may be locked, too small, of another kind, or was taken away: hold it still and call again, or take an NTAG213.",
            )
        elif lock and not event.locked:
            raise Complaint(
                f"the tag {uid.hex().upper()} carries the message, but does not say that it is locked",
                "It may be written over: hold it still and call again, or take an NTAG213.",
            )
        else:
            return
