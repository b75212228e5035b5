"""Contactless readers behind the PC/SC service: ACR122U, ACR1252U, OMNIKEY 5022 and 5427, TWN4 in CCID mode.

The service's calls wait, so a thread of its own makes them, one for each reader; the loop is told of events alone, and what it
wants shown is left for the thread to find. A call that never comes back costs the reader, and no lane waits for it.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn

from drivers.base import DeviceGone, Emit, Misconfigured, Opened, ReaderEvent, Signal
from drivers.framing.pcsc import (
    ACR122U,
    BEGIN_THROUGH,
    GET_UID,
    OK,
    SHOWS,
    SILENCE,
    from_card,
    from_through,
    reading_of,
    through,
    to_card,
    uid_of,
)
from drivers.framing.presence import MISSES, Presence
from drivers.framing.tag_content import READ_SIGNATURE, Content, NoAnswer
from drivers.framing.tag_host import SIGNATURE_TRIES
from drivers.transport.pcsc import Cancelled, CardLost, Link, Service, Session, reader_gone

WAIT_MS: Final = 500
"""Longest wait while nothing is in the field; a change ends it at once."""
STAYS_MS: Final = 100
"""The same while a card lies there: it is said again every 400 ms, and what is to be shown must not wait."""
RETRY_MS: Final = 20
READ_TRIES: Final = 5
"""A tag whose content cannot be read so often goes by its UID alone, as at a PN532."""
COMMANDS_MAX: Final = 300
"""More than any tag's content needs (a page each)."""
END_S: Final = 0.5
"""How long a reader that is closed waits for its thread."""


@dataclass(frozen=True, slots=True)
class PcscConfig:
    """Which reader: a part of its name as the service lists it; empty: the only one. `shows`: verdicts, on an ACR122U.

    `signature`: each card is asked for its maker's signature.
    """

    reader: str = ""
    shows: bool = True
    signature: bool = False


class PcscReader:
    """A PC/SC reader."""

    reports_removal = True

    def __init__(self, config: PcscConfig, service: Service) -> None:
        self._config = config
        self._service = service
        self._worker: _Worker | None = None

    async def run(self, emit: Emit) -> NoReturn:
        """Read until cancelled or until a DriverError says what to do next."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[Exception] = loop.create_future()
        ended: asyncio.Future[None] = loop.create_future()
        fail = partial(_settle, failed)
        wanted = self._config.reader
        if any(
            isinstance(one, _Thread) and one.reader == wanted and not one.done
            for one in threading.enumerate()
        ):
            # The one before is in a call that has not come back. Another thread would wait there too.
            raise DeviceGone(
                "the PC/SC reader does not answer", "Pull the reader's plug and put it in again."
            )

        def on_loop(do: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
                loop.call_soon_threadsafe(do)

        def tell(events: Sequence[ReaderEvent]) -> None:
            def deliver() -> None:
                if self._worker is worker:
                    _emit_all(events, emit, fail)

            on_loop(deliver)

        def end(error: Exception | None) -> None:
            if error is not None:
                fail(error)
            if not ended.done():
                ended.set_result(None)

        def work() -> None:
            error: Exception | None = None
            try:
                worker.run()
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is raised where the reader runs
                error = raised
            thread.done = True
            on_loop(partial(end, error))

        worker = self._worker = _Worker(self._config, self._service, tell)
        thread = _Thread(work, wanted)
        thread.start()
        try:
            raise await failed
        finally:
            self._worker = None
            worker.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await asyncio.shield(ended)

    def feedback(self, signal: Signal) -> None:
        """Show a signal on an ACR122U while the card is there; on others nothing."""
        if self._worker is not None and self._config.shows and signal in SHOWS:
            self._worker.show(signal)


def _settle(failed: "asyncio.Future[Exception]", error: Exception) -> None:
    if not failed.done():
        failed.set_result(error)


def _emit_all(events: Sequence[ReaderEvent], emit: Emit, fail: Callable[[Exception], None]) -> None:
    try:
        for event in events:
            emit(event)
    except Exception as error:  # noqa: BLE001 - as in the thread
        fail(error)


class _Thread(threading.Thread):
    """The thread of one reader. `done`: it makes no call any more."""

    def __init__(self, work: Callable[[], None], reader: str) -> None:
        super().__init__(target=work, name=f"pcsc {reader}", daemon=True)
        self.reader = reader
        self.done = False


class _Worker:
    """What the thread does. `stop` and `show` come from the loop's thread and never wait."""

    def __init__(
        self, config: PcscConfig, service: Service, tell: Callable[[Sequence[ReaderEvent]], None]
    ) -> None:
        self._config = config
        self._service = service
        self._tell = tell
        self._session: Session | None = None
        self._stopping = False
        self._signal: Signal | None = None
        self._presence = Presence()
        self._link: Link | None = None
        self._taps = -1
        self._failed = 0
        """Times in a row that the card did not let itself be powered, or did not say its UID."""
        self._unread = 0
        """Times in a row that what it carries could not be read to the end."""
        self._unsigned = 0
        """Times in a row that it was asked for its signature and gave no answer."""
        self._silenced = False

    def stop(self) -> None:
        """Have the thread end."""
        self._stopping = True
        self._wake()

    def show(self, signal: Signal) -> None:
        """Have a signal shown; a slow reader shows the latest."""
        self._signal = signal
        self._wake()

    def _wake(self) -> None:
        session = self._session
        if session is not None:
            session.cancel()

    def run(self) -> None:
        """Work until stopped or until a DriverError."""
        session = self._service.open()
        self._session = session
        try:
            name = _find(session.readers(), self._config.reader)
            self._tell([Opened(f"PC/SC reader {name}")])
            self._watch(session, name)
        finally:
            self._session = None
            self._let_go()
            session.close()

    def _watch(self, session: Session, name: str) -> None:
        known = 0
        while not self._stopping:
            try:
                status = session.wait(name, known, self._wait_ms())
            except Cancelled:
                self._show(name)
                continue
            known = status.known
            events: list[ReaderEvent] = []
            if not status.present or status.taps != self._taps:
                events += self._left()
            self._taps = status.taps
            if status.present:
                try:
                    self._look(session, name, events)
                except CardLost:
                    # The service looks for cards 2.5 times a second: what it says is there may be gone, or another one by now.
                    self._failed += 1
                    self._unread = 0
                    self._let_go()
            if events:
                self._tell(events)
            self._show(name)

    def _wait_ms(self) -> int:
        if self._unread or self._unsigned or 0 < self._failed <= READ_TRIES:
            return RETRY_MS
        return STAYS_MS if self._link is not None else WAIT_MS

    def _left(self) -> list[ReaderEvent]:
        """The card is not there, or is another one now."""
        now_ns = time.monotonic_ns()
        self._let_go()
        self._failed = self._unread = self._unsigned = 0
        return [event for _ in range(MISSES) for event in self._presence.missed(now_ns)]

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _look(self, session: Session, name: str, events: list[ReaderEvent]) -> None:
        """Read a card that is new; say one that stays again. CardLost where it is not there after all."""
        if self._link is None:
            self._link = session.connect(name)
            self._quieten(name)
        # Each time: of a card that was swapped for another one between two looks the service says nothing.
        uid = uid_of(self._link.transmit(GET_UID))
        self._failed = 0
        if not uid:
            return
        content = Content()
        if self._presence.is_new(uid) and self._unread < READ_TRIES:
            try:
                content = _content(self._link, name, signature=self._config.signature)
            except CardLost:
                self._unread += 1
                self._let_go()
                return
            self._unsigned = 0 if content.signed else self._unsigned + 1
            if 0 < self._unsigned < SIGNATURE_TRIES:
                self._let_go()
                return
        self._unread = self._unsigned = 0
        # The time of after the reading: that is when the whole of it was there.
        events += self._presence.seen(uid, time.monotonic_ns(), content)

    def _quieten(self, name: str) -> None:
        if ACR122U in name and self._config.shows and not self._silenced and self._link is not None:
            self._link.transmit(SILENCE)
            self._silenced = True

    def _show(self, name: str) -> None:
        signal, self._signal = self._signal, None
        if signal is None or self._link is None or ACR122U not in name:
            return
        with contextlib.suppress(CardLost):
            self._link.transmit(SHOWS[signal])


def _content(link: Link, name: str, *, signature: bool) -> Content:
    """What a card carries; nothing where nothing of ours. CardLost where it could not be read to the end."""
    reading = reading_of(link.atr, signature=signature)
    if reading is None:
        return Content()
    command = next(reading)
    for _ in range(COMMANDS_MAX):
        try:
            answer = _passed_on(link, name) if command == READ_SIGNATURE else _told(link, command)
            command = reading.throw(NoAnswer) if answer is None else reading.send(answer)
        except NoAnswer:
            raise CardLost from None
        except StopIteration as end:
            content: Content = end.value
            return content
    return Content()


def _told(link: Link, command: bytes) -> bytes | None:
    return from_card(command, link.transmit(to_card(command)))


def _passed_on(link: Link, name: str) -> bytes | None:
    """What a storage card says to a command that its reader has no APDU for. Misconfigured where the reader passes none on."""
    answer: bytes | None = None
    apdus = through(name, READ_SIGNATURE)
    for apdu in apdus:
        said = link.transmit(apdu)
        if apdu == BEGIN_THROUGH and said[-2:] != OK:
            raise Misconfigured(
                "this PC/SC reader passes no commands on to a tag, so no signature can be read",
                "Set genuine_only = false at this reader, or take an ACR122U, ACR1252U or a PN532.",
            )
        if len(apdus) == 1 or apdu == apdus[-2]:
            answer = from_through(name, said)
    return answer


def _find(names: tuple[str, ...], wanted: str) -> str:
    """The reader that is meant. A slot for SAMs (ACR1252U) is no reader that anybody taps at."""
    if wanted in names:
        return wanted
    fitting = [one for one in names if wanted in one and " SAM" not in one]
    if not fitting:
        raise reader_gone(wanted, names)
    if len(fitting) > 1:
        raise Misconfigured(
            f"several PC/SC readers fit: {', '.join(fitting)}",
            "Set `reader` to so much of one name that it fits alone.",
        )
    return fitting[0]
