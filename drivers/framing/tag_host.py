"""The host's end of a tag reader that answers questions, without I/O: opened by commands, then asked for tags for ever.

What differs between readers is a `Dialect`: its opening, its question, how its answers are framed and what they say.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.base import DeviceGone, DeviceMisbehaved, Garbled, Signal
from drivers.framing.presence import Presence, TagEvent
from drivers.framing.tag_content import Content, NoAnswer, Reading

SILENT_NS: Final = 800_000_000
"""A command is sent again and again for so long, then the reader is gone. By time and not by tries: where a fifth of all
packets is lost, one exchange in three fails, and three tries in a row fail every twenty exchanges. With `POLL_NS` it stays
below the second within which a pulled cable must be told."""
POLL_NS: Final = 100_000_000
"""From an answer to the next question: removal is told within 300 ms, and the line stays idle most of the time."""
READ_TRIES: Final = 5
"""A tag whose content cannot be read so often goes by its UID alone: whoever holds it long enough is told something."""
SIGNATURE_TRIES: Final = 3
"""A tag that gives no signature so often has none. Asked once, a tag at the edge of the field would pass for a copy."""
FIRST_ANSWER_NS: Final = 1_900_000_000
"""The first answer over a USB adapter can take 1.5 s (nfcpy, on a Raspberry Pi); a reader must be ready 2 s after it came."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a reader is asked, and how long it may say nothing. `first_ns`: the same before it has ever answered."""

    poll_ns: int = POLL_NS
    silent_ns: int = SILENT_NS
    first_ns: int = FIRST_ANSWER_NS


USUAL: Final = Patience()


class Dialect(Protocol):
    """One kind of reader. `opening`: commands to be answered before it works. `question`: the one asked for ever.

    `answer_ns`: from a command to the next try.
    """

    opening: Sequence[bytes]
    question: bytes
    answer_ns: int
    wrong_hint: str

    @property
    def deadline_ns(self) -> int | None:
        """When a part of an answer is given up."""
        ...

    def frame(self, command: bytes, *, again: bool) -> bytes:
        """The bytes that carry a command."""
        ...

    def feed(self, data: bytes, now_ns: int) -> list[bytes | Garbled]:
        """Return the answers in these bytes; acknowledgements and the like are none."""
        ...

    def quiet(self, now_ns: int) -> list[bytes | Garbled]:
        """Return what a quiet line ends."""
        ...

    def answers(self, command: bytes, answer: bytes) -> bool:
        """Whether this is an answer to that command."""
        ...

    def uid(self, answer: bytes) -> bytes | None:
        """Return the UID in an answer to the question; b"" for no tag, None for nonsense."""
        ...

    def reading(self, answer: bytes) -> Reading | None:
        """Return how the tag in an answer to the question is read; None for one that is not."""
        ...

    def to_tag(self, data: bytes) -> bytes:
        """The command that carries data to the tag."""
        ...

    def from_tag(self, answer: bytes) -> bytes | None:
        """Return what the tag answered; None where it did not."""
        ...

    def name(self, command: bytes, answer: bytes) -> str:
        """Return what an answer says of the reader's model; "" for nothing."""
        ...

    def shown(self, signal: Signal) -> Sequence[bytes]:
        """The commands that show a signal."""
        ...


@dataclass(slots=True)
class _Read:
    """A tag that is being read. `command`: the next one for it."""

    uid: bytes
    reading: Reading
    command: bytes


class TagHost:
    """One opening of a tag reader. `feed` and `quiet` raise DeviceGone or DeviceMisbehaved where it does not answer."""

    def __init__(self, dialect: Dialect, now_ns: int, patience: Patience = USUAL) -> None:
        self._dialect = dialect
        self._patience = patience
        self._presence = Presence()
        self._opening = deque(dialect.opening)
        self._shows: deque[bytes] = deque()
        self._read: _Read | None = None
        self._failed = 0
        """Readings in a row that came to no end."""
        self._unsigned = 0
        """Readings in a row in which the tag was asked for its signature and gave no answer."""
        self._output = bytearray()
        self._command = b""
        self._again_ns = 0
        self._gone_ns = 0
        self._ask_ns = now_ns
        self._noise = self._answered = False
        self.name = ""
        self._advance(now_ns)

    @property
    def ready(self) -> bool:
        """True once the reader answered all that opens it."""
        return not self._opening

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes."""
        own_ns = min(self._again_ns, self._gone_ns) if self._command else self._ask_ns
        framing_ns = self._dialect.deadline_ns
        return own_ns if framing_ns is None else min(own_ns, framing_ns)

    def take_output(self) -> bytes:
        """What is to be sent now; given once."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def feed(self, data: bytes, now_ns: int) -> list[TagEvent]:
        """Take bytes read at `now_ns`."""
        return self._hear(self._dialect.feed(data, now_ns), now_ns)

    def quiet(self, now_ns: int) -> list[TagEvent]:
        """Do what is due while nothing comes."""
        return self._hear(self._dialect.quiet(now_ns), now_ns)

    def show(self, signal: Signal, now_ns: int) -> None:
        """Let the reader show a signal; a slow one shows the latest."""
        commands = self._dialect.shown(signal)
        if commands:
            self._shows = deque(commands)
        self._advance(now_ns)

    def _hear(self, heard: Sequence[bytes | Garbled], now_ns: int) -> list[TagEvent]:
        out: list[TagEvent] = []
        for one in heard:
            if isinstance(one, Garbled):
                self._noise = True
                out.append(one)
            elif self._command and self._dialect.answers(self._command, one):
                self._take(one, now_ns, out)
            else:
                self._noise = True
        if self._command and now_ns >= min(self._again_ns, self._gone_ns):
            self._try_again(now_ns)
        self._advance(now_ns)
        return out

    def _take(self, answer: bytes, now_ns: int, out: list[TagEvent]) -> None:
        command, self._command = self._command, b""
        self._answered = True
        if self._opening:
            self.name = self.name or self._dialect.name(command, answer)
            self._opening.popleft()
            return
        if self._read is not None and command == self._read.command:
            self._heard_of_tag(self._read, answer, now_ns, out)
            return
        if command != self._dialect.question:
            return
        uid = self._dialect.uid(answer)
        if uid is None:
            out.append(Garbled("bad_answer", len(answer), now_ns))
            uid = b""
        self._ask_ns = now_ns + self._patience.poll_ns
        if uid and self._presence.is_new(uid) and self._failed < READ_TRIES:
            reading = self._dialect.reading(answer)
            if reading is not None:
                self._read = _Read(uid, reading, self._dialect.to_tag(next(reading)))
                return
        out += self._presence.seen(uid, now_ns) if uid else self._presence.missed(now_ns)
        self._failed = self._unsigned = 0

    def _heard_of_tag(self, read: _Read, answer: bytes, now_ns: int, out: list[TagEvent]) -> None:
        """Go on reading a tag; once it is read it is there. One that went away meanwhile was not."""
        heard = self._dialect.from_tag(answer)
        try:
            command = read.reading.throw(NoAnswer) if heard is None else read.reading.send(heard)
            read.command = self._dialect.to_tag(command)
        except NoAnswer:
            self._give_up_reading(now_ns)
        except StopIteration as end:
            self._was_read(read.uid, end.value, now_ns, out)

    def _was_read(self, uid: bytes, content: Content, now_ns: int, out: list[TagEvent]) -> None:
        self._read = None
        self._unsigned = 0 if content.signed else self._unsigned + 1
        if 0 < self._unsigned < SIGNATURE_TRIES:
            self._ask_ns = now_ns
            return
        self._failed = self._unsigned = 0
        self._ask_ns = now_ns + self._patience.poll_ns
        out += self._presence.seen(uid, now_ns, content)

    def _give_up_reading(self, now_ns: int) -> None:
        self._read = None
        self._failed += 1
        self._ask_ns = now_ns

    def _try_again(self, now_ns: int) -> None:
        if now_ns >= self._gone_ns:
            if self._noise and not self._answered:
                raise DeviceMisbehaved(
                    "the reader answers, but not by its protocol", self._dialect.wrong_hint
                )
            raise DeviceGone("the reader does not answer", "Check cable, power and baud of the reader.")
        if self._read is not None and self._command == self._read.command:
            # Asked twice, it may answer twice, and the second answer would pass for that of the next command.
            self._give_up_reading(now_ns)
            self._command = self._dialect.question
        self._send(self._command, now_ns, again=True)

    def _advance(self, now_ns: int) -> None:
        """Send the next command, if none is under way."""
        if self._command:
            return
        if self._opening:
            self._begin(self._opening[0], now_ns)
        elif self._read is not None:
            self._begin(self._read.command, now_ns)
        elif self._shows:
            self._begin(self._shows.popleft(), now_ns)
        elif now_ns >= self._ask_ns:
            self._begin(self._dialect.question, now_ns)

    def _begin(self, command: bytes, now_ns: int) -> None:
        self._command = command
        patience = self._patience
        self._gone_ns = now_ns + (patience.silent_ns if self._answered else patience.first_ns)
        self._send(command, now_ns, again=False)

    def _send(self, command: bytes, now_ns: int, *, again: bool) -> None:
        self._again_ns = now_ns + self._dialect.answer_ns
        self._output += self._dialect.frame(command, again=again)
