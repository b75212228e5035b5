"""A PC/SC service without a service: readers, and contactless cards held to them; and the same card for a real pcscd.

`SimService` has the shape of `drivers.transport.pcsc.Service` and is driven from another thread than it is used in. `VpcdField` is
the field of the virtual reader of vsmartcard (`vpcd`), which a real pcscd loads: the card plays the reader's side of class FF
too, as the firmware of a contactless reader does.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from drivers.sims.tag_reader import Memory
from drivers.transport.pcsc import Cancelled, CardLost, CardStatus, failure, reader_gone

ATR_ULTRALIGHT: Final = bytes.fromhex("3B8F8001804F0CA0000003060300030000000068")
"""What readers say of an NTAG21x or MIFARE Ultralight (smartcard_list of pcsc-tools)."""
ATR_CLASSIC: Final = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")
"""MIFARE Classic 1K (the same list; ACR122U API)."""
ATR_TYPE_4: Final = bytes.fromhex("3B8180018080")
"""DESFire and NTAG 424 DNA: one historical byte, 80 (the same list)."""

GET_UID: Final = bytes.fromhex("FFCA000000")
DIRECT_TRANSMIT: Final = bytes.fromhex("FF000000")
TRANSPARENT: Final = bytes.fromhex("FFC200")
SW_OK: Final = b"\x90\x00"
SW_FAILED: Final = b"\x63\x00"
SW_UNSUPPORTED: Final = b"\x6a\x81"
STOPPED: Final = 0x8010001E
SEEN_S: Final = 0.5
"""From one look to the next whether a reader that was pulled is still to see anything."""
_PRESENT: Final = 0x20
_KNOWN: Final = 0x10


@dataclass(slots=True)
class ContactlessCard:
    """A card, and what a reader makes of it. `memory`: None where nothing but the UID can be read.

    `passes`: how its reader hands commands on to it: b"" not at all, the class bytes of a Direct Transmit (ACR122U) or of a
    transparent session. `answers_max`: it is pulled out of the field after so many answers. `heard`: commands, the reader's own among them.
    """

    uid: bytes
    memory: Memory | None = None
    atr: bytes = ATR_ULTRALIGHT
    passes: bytes = b""
    answers_max: int = -1
    heard: list[bytes] = field(default_factory=list)

    def answer(self, apdu: bytes) -> bytes | None:
        """Return answer and status; None where the card is not there any more."""
        if 0 <= self.answers_max <= len(self.heard):
            return None
        self.heard.append(apdu)
        if apdu == GET_UID:
            return self.uid + SW_OK
        if apdu[:3] == b"\xff\xb0\x00" and len(apdu) == 5 and self.atr == ATR_ULTRALIGHT:
            said = None if self.memory is None else self.memory.answer(bytes((0x30, apdu[3])))
            return SW_FAILED if said is None else said[: apdu[4]] + SW_OK
        if self.passes and apdu.startswith(self.passes):
            return self._passed(apdu)
        if apdu[:1] == b"\xff":
            return (
                SW_OK
                if apdu[:4] in {b"\xff\x00\x40\xa8", b"\xff\x00\x40\x54", b"\xff\x00\x52\x00"}
                else SW_UNSUPPORTED
            )
        said = None if self.memory is None or self.atr != ATR_TYPE_4 else self.memory.answer(apdu)
        return b"\x6d\x00" if said is None else said

    def _passed(self, apdu: bytes) -> bytes:
        """A command that the reader hands on: behind D4 42 to its PN532, or in object 95 of a transparent session."""
        if apdu in {bytes.fromhex("FFC20000028100"), bytes.fromhex("FFC20000028200")}:
            return bytes.fromhex("C003009000") + SW_OK
        inner = apdu[7:] if self.passes == DIRECT_TRANSMIT else apdu[14:-1]
        said = None if self.memory is None else self.memory.answer(inner)
        if self.passes == DIRECT_TRANSMIT:
            return (b"\xd5\x43\x01" if said is None else b"\xd5\x43\x00" + said) + SW_OK
        if said is None:
            return bytes.fromhex("C003016401") + SW_OK
        return bytes.fromhex("C0030090009201009602") + b"\0\0" + bytes((0x97, len(said))) + said + SW_OK


@dataclass(slots=True)
class _Field:
    """One reader's field. `taps` counts what came and went; `settled`: how often its client had nothing more to do, and waited."""

    card: ContactlessCard | None = None
    taps: int = 0
    settled: int = 0

    @property
    def known(self) -> int:
        return self.taps << 16 | _KNOWN | (_PRESENT if self.card is not None else 0)


class SimService:
    """The service. `lose(n)`: whether the nth command to a card finds no card; `hanging`: set while commands do not come back.

    `answered_ns`: when a card last answered (monotonic).
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._seen = threading.Condition(lock)
        self._fields: dict[str, _Field] = {}
        self.running = True
        self.sessions = 0
        self.carried = 0
        self.answered_ns = 0
        self.lose: Callable[[int], bool] = lambda _number: False
        self.hanging = threading.Event()

    def open(self) -> "SimSession":
        """Begin a session."""
        with self._changed:
            if not self.running:
                raise failure(0x8010001D)
            self.sessions += 1
        return SimSession(self)

    def plug(self, name: str) -> None:
        """A reader appears."""
        with self._changed:
            self._fields.setdefault(name, _Field())
            self._changed.notify_all()

    def unplug(self, name: str) -> None:
        """A reader goes, with the card that lay on it."""
        with self._changed:
            self._fields.pop(name, None)
            self._changed.notify_all()

    def put(self, name: str, card: ContactlessCard | None) -> int:
        """Hold a card to a reader, or (None) take it away; return how often its client had settled until then."""
        with self._changed:
            at = self._fields.get(name)
            if at is None:
                return 0
            if at.card is not card:
                at.card = card
                at.taps += 1
                self._changed.notify_all()
            return at.settled

    def stop(self) -> None:
        """The service ends."""
        with self._changed:
            self.running = False
            self._changed.notify_all()

    async def tap(self, name: str, card: ContactlessCard) -> None:
        """Hold a card there until whoever reads has done all it wants, and take it away until that was seen.

        Cancelled, it is taken away at once.
        """
        try:
            await asyncio.to_thread(self._until_seen, name, self.put(name, card))
        finally:
            gone = self.put(name, None)
        await asyncio.to_thread(self._until_seen, name, gone)

    def _until_seen(self, name: str, settled: int) -> None:
        with self._seen:
            while self.sessions and name in self._fields and self._fields[name].settled <= settled:
                self._seen.wait(SEEN_S)


class SimSession:
    """A client (Session)."""

    def __init__(self, service: SimService) -> None:
        self._service = service
        self._changed = service._changed  # noqa: SLF001 - one thing in two classes
        self._fields = service._fields
        self._cancelled = False

    def readers(self) -> tuple[str, ...]:
        """The readers by name."""
        with self._changed:
            return tuple(self._fields)

    def wait(self, reader: str, known: int, timeout_ms: int) -> CardStatus:
        """Wait for a change."""
        until = time.monotonic() + timeout_ms / 1000
        with self._changed:
            while True:
                at = self._at(reader)
                left_s = until - time.monotonic()
                if self._cancelled:
                    self._cancelled = False
                    raise Cancelled
                if at.known != known or left_s <= 0:
                    return CardStatus(at.known, at.card is not None, at.taps)
                at.settled += 1
                self._service._seen.notify_all()  # noqa: SLF001 - as above
                self._changed.wait(left_s)

    def connect(self, reader: str) -> "SimLink":
        """Power the card."""
        with self._changed:
            at = self._at(reader)
            if at.card is None:
                raise CardLost
            return SimLink(self._service, at, at.card)

    def cancel(self) -> None:
        """End a wait; like the real one, nothing where nobody waits."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the session."""
        with self._changed:
            self._service.sessions -= 1
            self._service._seen.notify_all()  # noqa: SLF001 - as above

    def _at(self, reader: str) -> _Field:
        if not self._service.running:
            raise failure(STOPPED)
        if reader not in self._fields:
            raise reader_gone(reader, tuple(self._fields))
        return self._fields[reader]


class SimLink:
    """A powered card (Link)."""

    def __init__(self, service: SimService, at: _Field, card: ContactlessCard) -> None:
        self._service = service
        self._at = at
        self._card = card
        self._taps = at.taps
        self.atr = card.atr

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command."""
        service = self._service
        while service.hanging.is_set():
            time.sleep(0.005)
        with service._changed:  # noqa: SLF001 - as above
            if not service.running:
                raise failure(STOPPED)
            service.carried += 1
            gone = self._at.taps != self._taps or service.lose(service.carried)
            answer = None if gone else self._card.answer(apdu)
            service.answered_ns = time.monotonic_ns()
        if answer is None:
            raise CardLost
        return answer

    def close(self) -> None:
        """Nothing has to be given back."""


# --- for a real pcscd ----------------------------------------------------------------------------------------------

_ATR: Final = 4
"""The order that is answered; 0 to 2 are power off, power on and reset."""


class VpcdField:
    """The field of vpcd's reader: a card that lies there is a connection to it, one that is pulled a connection that ends.

    `connect` makes one. Messages either way: length u16 and so many bytes; one byte alone is an order.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._connection: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def put(self, card: ContactlessCard | None) -> None:
        """Hold a card to the reader, or (None) take it away."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # ends the thread's read too
        if self._thread is not None:
            self._thread.join(SEEN_S)
            self._thread = None
        if card is not None:
            self._connection = self._connect()
            self._thread = threading.Thread(
                target=_serve, args=(self._connection, card), name="vpcd card", daemon=True
            )
            self._thread.start()


def _serve(connection: socket.socket, card: ContactlessCard) -> None:
    # An OSError is a service that was stopped, or a card that was pulled.
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as said:
        while data := said.read(int.from_bytes(said.read(2), "big")):
            if len(data) == 1 and data[0] != _ATR:
                continue  # power and reset want no answer
            answer = card.atr if len(data) == 1 else card.answer(data)
            if answer is None:
                return  # pulled in the middle
            connection.sendall(len(answer).to_bytes(2, "big") + answer)
