"""The host's end of one OSDP reader, without I/O: when it wants the wire, what it says, and what a reply means.

A reader is asked who it is, proves its key, and is then polled. What stays unanswered is said again as it was, with the same
number: a reader that did hear it repeats its answer and does nothing twice, so neither a card nor a channel is lost with a
message. What a reader is to show is kept as a wish, so that a slow one gets the latest and never a queue.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, ReaderEvent, Signal
from drivers.framing.osdp import Answer, Carries, Command, Reply, card_read, decode, encode, identity
from drivers.framing.osdp_channel import KEY_BYTES, SCBK_D, Channel, Session
from drivers.framing.uid import ByteOrder

POLL_NS: Final = 50_000_000
"""From poll to poll: the longest that a tap waits, and eight readers of a slow bus still get their turn."""
ANSWER_NS: Final = 100_000_000
"""Longest wait for the first byte of an answer. The standard allows 200 ms; one that comes later still counts, while the next is asked."""
PROOF_NS: Final = 200_000_000
"""The same for the handshake, where a small processor has five blocks to encrypt."""
AGAIN_NS: Final = 50_000_000
"""Pause before a message is said again: the others on the bus get their turns in between."""
SELDOM_NS: Final = 250_000_000
"""The same where nothing was heard of the reader yet: nobody waits at one that is not there."""
MISSES_MIN: Final = 3
"""A reader is not gone before so many messages stayed unanswered, by it and by the others of its bus that fell silent with it."""
SILENT_NS: Final = 700_000_000
"""A reader that answers nothing for so long is gone: five messages in a row, on a bus of its own."""
OPEN_NS: Final = 3_000_000_000
"""One that answers and still is not open after so long misbehaves: the handshake takes under half a second at 9600 baud."""
STEADY_NS: Final = 5_000_000_000
"""A channel that held for so long and broke is begun anew at once (the reader was without power for a blink)."""

_NAK_CHECK, _NAK_LENGTH = 1, 2
_CAP_SECURITY: Final = 9
_KEY_TYPE: Final = 1
_ALWAYS: Final = bytes(5)
"""What a light shows always: left as it is."""

_LIGHTS: Final[Mapping[Signal, bytes]] = {
    # Reader 0, light 0; for a time: code, on, off (0.1 s), colours, how long (0.1 s). 1 red, 2 green, 3 amber.
    Signal.ACCEPT: bytes((0, 0, 2, 10, 0, 2, 2, 50, 0)) + _ALWAYS,
    Signal.REJECT: bytes((0, 0, 2, 3, 3, 1, 0, 30, 0)) + _ALWAYS,
    Signal.WAIT: bytes((0, 0, 2, 5, 5, 3, 0, 100, 0)) + _ALWAYS,
    Signal.NEXT: bytes((0, 0, 1, 0, 0, 0, 0, 0, 0)) + _ALWAYS,
}
"""Green that stays, red and amber that flash at most twice a second, so that they are told apart without their colours."""
_SOUNDS: Final[Mapping[Signal, bytes]] = {
    # Reader 0, its own tone; on, off (0.1 s), how often.
    Signal.ACCEPT: bytes((0, 2, 1, 1, 1)),
    Signal.REJECT: bytes((0, 2, 6, 1, 1)),
}


class OtherKey(DeviceMisbehaved):
    """The reader has another key than the one that it was asked to prove."""


class Step(Enum):
    """How far it is."""

    NAME = "name"
    ABILITIES = "abilities"
    CHALLENGE = "challenge"
    PROOF = "proof"
    KEY = "key"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class OsdpSetting:
    """A reader. `key`: its SCBK. `fresh`: a key that it is to be given, once it has proved the other one; b"" for none."""

    address: int
    key: bytes
    fresh: bytes = b""
    carries: Carries = Carries.CARD
    order: ByteOrder = ByteOrder.UID0_FIRST
    beep: bool = True
    silent_ns: int = SILENT_NS


class OsdpHost:
    """One opening of a reader. `hear`, `missed` and `look` raise DriverError where it is over.

    `random`: gives eight random bytes for each challenge.
    """

    def __init__(self, setting: OsdpSetting, random: Callable[[], bytes], now_ns: int) -> None:
        self._setting = setting
        self._random = random
        self._key, self._fresh = setting.key, setting.fresh
        self.heard_ns = self.asked_ns = self._began_ns = now_ns
        """When it was heard last, and asked."""
        self.met = False
        """Whether it was heard at all."""
        self.tries = 0
        """Messages that it left unanswered since."""
        self._noise = False
        self.address = setting.address
        self.name = ""
        self.due_ns = now_ns
        """When it wants the wire."""
        self._begin()

    def _begin(self) -> None:
        self._step = Step.NAME
        self._sequence = 0
        self._command = Command.ID
        self._message = b""
        self._host_random = b""
        self._session: Session | None = None
        self._proof = b""
        self._channel: Channel | None = None
        self._light = self._sound = b""

    @property
    def ready(self) -> bool:
        """True while the reader's channel is open, and its key is the one that it is to have."""
        return self._step is Step.OPEN

    @property
    def waits(self) -> bool:
        """True while a message of ours is unanswered."""
        return bool(self._message)

    @property
    def reckons(self) -> bool:
        """True while the last message has the reader encrypt, which takes it longer than any other."""
        return self._step in {Step.CHALLENGE, Step.PROOF}

    @property
    def answer_ns(self) -> int:
        """How long the first byte of the answer to the last message is waited for at most, after our last."""
        return PROOF_NS if self.reckons else ANSWER_NS

    def show(self, signal: Signal, now_ns: int) -> None:
        """Have a signal shown, as soon as the reader has its turn; while it is not ready, nothing is: it would come too late."""
        if not self.ready:
            return
        self._light = _LIGHTS[signal]
        if self._setting.beep:
            self._sound = _SOUNDS.get(signal, self._sound)
        if not self.waits:
            self.due_ns = now_ns

    def ask(self, now_ns: int) -> bytes:
        """Return what is to be said now: what is unanswered, or the next."""
        self.asked_ns = now_ns
        if not self._message:
            self._message = self._next()
        return self._message

    def missed(self, now_ns: int, *, noise: bool) -> None:
        """The wire goes to another one: no answer came. `noise`: but bytes did."""
        self.tries += 1
        self._noise = noise
        self._in_time(now_ns)
        self.due_ns = now_ns + (AGAIN_NS if self.met else SELDOM_NS)

    def is_silent(self, now_ns: int) -> bool:
        """Whether it was not heard for so long that it may be gone."""
        return now_ns - self.heard_ns >= self._setting.silent_ns

    def look(self, now_ns: int) -> None:
        """Raise where it is silent for too long, for one that left enough unanswered."""
        if self.is_silent(now_ns):
            raise self._silent()

    def hear(self, frame: bytes, now_ns: int) -> list[ReaderEvent]:
        """Take a reply that adds up (`Replies`). One to an earlier message, or of nobody who has the key, is none."""
        reply = decode(frame)
        if reply is None or not self._message:
            return []
        if reply.code == Answer.BUSY and not reply.block:
            if not self.ready:  # anybody can say so, and would keep a reader that is gone
                self._heard(now_ns)
            return []
        if reply.sequence != self._sequence:
            return []
        if self._channel is not None:
            return self._in_channel(self._channel, reply, now_ns)
        self._heard(now_ns)
        self._opening(reply, now_ns)
        return []

    # --- what comes in -------------------------------------------------------------------------------------------

    def _heard(self, now_ns: int) -> None:
        if not self.met:
            self.met, self._began_ns = True, now_ns  # that it waited for its turn among many is not its fault
        self.heard_ns, self.tries = now_ns, 0
        self._in_time(now_ns)

    def _in_time(self, now_ns: int) -> None:
        if not self.ready and self.heard_ns > self._began_ns and now_ns - self._began_ns > OPEN_NS:
            raise DeviceMisbehaved(
                f"the OSDP reader at address {self._setting.address} answers and does not open",
                "Switch the reader off and on; look for noise on the bus.",
            )

    def _answered(self, step: Step, due_ns: int) -> None:
        """The last message is done with."""
        self._message = b""
        self._sequence = self._sequence % 3 + 1
        self._step = step
        self.due_ns = due_ns

    def _opening(self, reply: Reply, now_ns: int) -> None:
        match self._step:
            case Step.NAME:
                if reply.code == Answer.PDID and (named := identity(reply.data)) is not None:
                    self.name = str(named)
                self._answered(Step.ABILITIES, now_ns)
            case Step.ABILITIES:
                if reply.code == Answer.PDCAP and not _has_channel(reply.data):
                    raise self._refused(
                        "knows no secure channel", "Only readers of OSDP v2 with a secure channel are read."
                    )
                self._answered(Step.CHALLENGE, now_ns)
            case Step.CHALLENGE:
                self._challenged(reply)
                self._answered(Step.PROOF, now_ns)
            case _:
                if reply.code != Answer.RMAC_I or reply.block[1:] != b"\x14\x01" or len(reply.data) != 16:
                    raise self._other_key()
                assert self._session is not None
                self._channel = Channel(self._session, reply.data)
                self._answered(Step.KEY if self._fresh else Step.OPEN, now_ns)
                self._began_ns = now_ns

    def _challenged(self, reply: Reply) -> None:
        if reply.code != Answer.CCRYPT or reply.block[1:2] != b"\x12" or len(reply.data) != 32:
            raise self._other_key()
        reader_random, proof = reply.data[8:16], reply.data[16:]
        self._session = Session.of(self._key, self._host_random)
        if proof != self._session.reader_proof(self._host_random, reader_random):
            raise self._other_key()
        self._proof = self._session.host_proof(self._host_random, reader_random)

    def _in_channel(self, channel: Channel, reply: Reply, now_ns: int) -> list[ReaderEvent]:
        data: bytes | None = reply.data
        if reply.block:
            data = channel.open(reply)
        elif reply.code == Answer.NAK and reply.data[:1] in {bytes((_NAK_CHECK,)), bytes((_NAK_LENGTH,))}:
            return []  # it did not understand, and is asked again
        elif reply.code != Answer.NAK and not (reply.code == Answer.ACK and self._step is Step.KEY):
            return []  # said without the key: of nobody
        if data is not None and self._step is Step.KEY:
            self._has_key(reply.code, now_ns)
            return []
        if data is None or (reply.code == Answer.NAK and not reply.block):
            self._broke(now_ns)
            return []
        self._heard(now_ns)
        polled = self._command is Command.POLL
        self._answered(Step.OPEN, now_ns if self._light or self._sound else self.asked_ns + POLL_NS)
        if polled and reply.code == Answer.RAW:
            return [card_read(data, self._setting.carries, self._setting.order, now_ns)]
        return []

    def _has_key(self, code: int, now_ns: int) -> None:
        """The new key is proved like any other, from the beginning."""
        if code != Answer.ACK:
            raise self._refused("takes no key", "Put it into install mode with its maker's tool.")
        self._key, self._fresh = self._fresh, b""
        self._begin()
        self.heard_ns = self._began_ns = self.due_ns = now_ns
        self.tries = 0

    def _broke(self, now_ns: int) -> None:
        """The reader has no channel any more, or somebody says so."""
        if self._step is not Step.OPEN or now_ns - self._began_ns < STEADY_NS:
            raise self._refused(
                "lost its secure channel", "Look for noise on the bus and at the reader's supply."
            )
        self._begin()
        self._began_ns = self.due_ns = now_ns

    # --- what goes out -------------------------------------------------------------------------------------------

    def _next(self) -> bytes:
        address, sequence = self._setting.address, self._sequence
        self._command, data = self._wanted()
        if self._channel is not None:
            return self._channel.seal(address, sequence, self._command, data)
        if self._step in {Step.CHALLENGE, Step.PROOF}:
            kind = 0x11 if self._step is Step.CHALLENGE else 0x13
            return encode(address, sequence, self._command, data, bytes((3, kind, self._key != SCBK_D)))
        return encode(address, sequence, self._command, data)

    def _wanted(self) -> tuple[Command, bytes]:
        match self._step:
            case Step.NAME:
                return Command.ID, b"\0"
            case Step.ABILITIES:
                return Command.CAP, b"\0"
            case Step.CHALLENGE:
                self._host_random = self._random()
                return Command.CHLNG, self._host_random
            case Step.PROOF:
                return Command.SCRYPT, self._proof
            case Step.KEY:
                return Command.KEYSET, bytes((_KEY_TYPE, KEY_BYTES)) + self._fresh
        if self._sound:
            sound, self._sound = self._sound, b""
            return Command.BUZ, sound
        if self._light:
            light, self._light = self._light, b""
            return Command.LED, light
        return Command.POLL, b""

    # --- what went wrong -----------------------------------------------------------------------------------------

    def _silent(self) -> DriverError:
        address = self._setting.address
        if self._noise:
            return DeviceMisbehaved(
                f"what comes over the bus of OSDP reader {address} is no reply",
                "Set the baud of both alike, wire A to A, and look whether another one talks on the bus.",
            )
        return DeviceGone(
            f"no OSDP reader answers at address {address}",
            "Check the bus's wires (A to A), the reader's power, its address and the baud of both.",
        )

    def _other_key(self) -> DriverError:
        reader = f"the OSDP reader at address {self._setting.address}"
        if self._key == SCBK_D:
            return OtherKey(
                f"{reader} does not take the key of a new reader",
                "Put it into install mode with its maker's tool, or reset it.",
            )
        return OtherKey(
            f"{reader} opens no secure channel",
            "It has another key than its key file, or none of its own yet.",
        )

    def _refused(self, what: str, hint: str) -> DriverError:
        return DeviceMisbehaved(f"the OSDP reader at address {self._setting.address} {what}", hint)


def _has_channel(abilities: bytes) -> bool:
    """Whether the list of abilities (function, level, number) has AES-128."""
    return any(
        abilities[at] == _CAP_SECURITY and abilities[at + 1] & 1 for at in range(0, len(abilities) - 2, 3)
    )
