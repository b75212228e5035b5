"""The host's end of Zebra's Simple Serial Interface, without I/O: bytes in, scans and bytes to send out.

The scanner reads no further code until its packet is acknowledged, so each is acknowledged at once, before anybody has
judged it. A packet that says that it is sent again and repeats the last one was heard already: acknowledged, not scanned
twice. One command is under way at a time; it is sent again twice, then the scanner counts as gone. What a scanner is to
show is kept as a wish, so that a slow one gets the latest and never a queue.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.base import DeviceGone, DeviceMisbehaved, DriverError, Garbled, Signal
from drivers.framing.frame import Frame, Framed, trimmed
from drivers.framing.ssi import Nak, Op, Packet, Packets, Status, encode

TRIES: Final = 3
"""The first and two more ("resend twice after the initial send", DS4308 guide, SSI Interface, Retries)."""
RESENT_WITHIN_NS: Final = 20_000_000_000
"""The second repetition comes after two of the scanner's response time-outs, 9.9 s at most each. Beyond that it is somebody
else's scan."""
CONTINUED_NS: Final = 2_000_000_000
"""Longest wait for the next part of a code: a full packet takes 0.27 s at 9600 baud, and the scanner waits for our ACK."""
UNBROKEN_NS: Final = 250_000_000
"""A part begins within so long after our answer to the one before, since the scanner waits for that alone. A scanner's response
time-out must be longer: then a code that it gave up ends in a longer silence, and no packet of the next one is taken for its rest."""
PING_NS: Final = 5_000_000_000
"""A cable pulled behind a serial adapter tells nobody: an idle scanner is asked so often for its revision."""
LIT_NS: Final = 5_000_000_000
"""A light stays on so long at most: a turnstile's usual hold time."""
PAUSE_NS: Final = 10_000_000_000
"""A scanner that was switched off for a passage is switched on after so long whatever happens: the longest usual hold."""
REVISION_CHARS_MAX: Final = 40

CUT = "cut"
UNLIKE = "unlike"

_NO_BEEP: Final = b"\xff"
_SET_UP: Final = _NO_BEEP + bytes.fromhex("ee01 9f01 9b14 ec00")
"""Temporary parameters: decode data in packets; ACK and NAK; a response time-out of 2 s; no parameters by programming codes,
which visitors own too."""
_ACKNOWLEDGED: Final = frozenset(
    {Op.SSI_MGMT, Op.IMAGE_DATA, Op.VIDEO_DATA, Op.PARAM_SEND, Op.BATCH_DATA, Op.EVENT}
)
_NO_READ: Final = b"\x01NR"
"""What a scanner sends, if told to, for a session in which it read nothing."""

_SILENT_HINT: Final = "Check cable and power; set the scanner to SSI and the port to its baud."
_STRANGE_HINT: Final = "Set the scanner to SSI (over RS-232 or USB-CDC) and the port to the scanner's baud."


@dataclass(frozen=True, slots=True)
class SsiSetting:
    """How a scanner is used. `beeps` are SSI beep codes, `lights` masks of LEDs; what is absent is not shown.

    `pause`: the scanner is switched off from a grant to the end of the passage. `set_up`: tell it the parameters that we
    need, for as long as it has power; without, they must be set at the scanner. `binary`: a code's ends are not trimmed.
    `answer_ns`: longest wait for an answer. `gap_ns`: quiet time that ends a packet which is not whole.
    """

    beeps: Mapping[Signal, int] = field(default_factory=dict)
    lights: Mapping[Signal, int] = field(default_factory=dict)
    pause: bool = False
    set_up: bool = True
    binary: bool = False
    aim: bool = True
    answer_ns: int = 1_000_000_000
    gap_ns: int = 60_000_000


@dataclass(slots=True)
class _Sent:
    """The command under way."""

    op: Op
    data: bytes
    until_ns: int
    tries: int = 1


@dataclass(slots=True)
class _Wish:
    """What the scanner should be like, and what it was last told. Times are 0 for none."""

    beep: int | None = None
    light: int = 0
    light_until_ns: int = 0
    light_told: int = 0
    paused: bool = False
    paused_until_ns: int = 0
    paused_told: bool = False


class SsiHost:
    """One opening of a scanner. `feed` and `quiet` raise DeviceGone or DeviceMisbehaved where it does not answer.

    After each call there may be bytes to send (`take_output`). Nothing that comes before `ready` is acknowledged or
    scanned: the scanner's queue is flushed on the way.
    """

    def __init__(self, setting: SsiSetting, now_ns: int) -> None:
        self._setting = setting
        self._packets = Packets(gap_ns=setting.gap_ns)
        self._frame = Frame(aim=setting.aim)
        self._frame_type = -1
        self._part_ns = 0
        self._unbroken_ns = 0
        """Up to when the next part begins, if it is one; 0 where something was missing."""
        self._asked = 0
        """How often since the last part something was garbled, and asked for again."""
        self._begun_ns = 0
        self._was_cut = True
        """Whether the last code was given up, by us or by whoever had the port before us, so that its rest may still come."""
        self._last = b""
        self._last_ns = 0
        self._output = bytearray()
        self._sent: _Sent | None = None
        self._wish = _Wish()
        self._heard_ns = now_ns
        self._noise = False
        self.name = ""
        opening = [(Op.REQUEST_REVISION, b""), (Op.FLUSH_QUEUE, b""), (Op.SCAN_ENABLE, b"")]
        if setting.set_up:
            opening.insert(1, (Op.PARAM_SEND, _SET_UP))
        self._opening = deque(opening)
        self._advance(now_ns)

    @property
    def ready(self) -> bool:
        """True once the scanner answered all that opens it."""
        return not self._opening

    @property
    def deadline_ns(self) -> int | None:
        """When `quiet` is due if nothing more comes."""
        wish, times = self._wish, [self._heard_ns + PING_NS]
        if self._sent is not None:
            times = [self._sent.until_ns]
        if self._frame_type >= 0:
            times.append(self._part_ns + CONTINUED_NS)
        if self._packets.deadline_ns is not None:
            times.append(self._packets.deadline_ns)
        times += [one for one in (wish.light_until_ns, wish.paused_until_ns) if one]
        return min(times)

    def take_output(self) -> bytes:
        """What is to be sent now; given once."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def feed(self, data: bytes, now_ns: int) -> list[Framed]:
        """Take bytes read at `now_ns`."""
        out: list[Framed] = []
        if self._packets.deadline_ns is None:
            self._begun_ns = now_ns
        for one in self._packets.feed(data, now_ns):
            self._hear(one, out)
        self._settle(now_ns, out)
        return out

    def quiet(self, now_ns: int) -> list[Framed]:
        """Do what is due while nothing comes."""
        out: list[Framed] = []
        for one in self._packets.quiet(now_ns):
            self._hear(one, out)
            if isinstance(one, Garbled) and self.ready:
                # Not while it is noisy: then the scanner would be asked for what it never sent.
                self._output += encode(Op.CMD_NAK, bytes([Nak.RESEND]))
                self._asked += 1
                self._unbroken_ns = now_ns + UNBROKEN_NS if self._begun_ns <= self._unbroken_ns else 0
        self._settle(now_ns, out)
        return out

    def show(self, signal: Signal, now_ns: int) -> None:
        """Let the scanner show a signal, which ends the light of the one before; `NEXT` ends all that a grant began."""
        wish = self._wish
        beep = self._setting.beeps.get(signal)
        light = self._setting.lights.get(signal, 0)
        if beep is not None:
            wish.beep = beep
        # Also where there is no light for it: a grant's would go on beside the next visitor's refusal.
        wish.light, wish.light_until_ns = light, now_ns + LIT_NS if light else 0
        if signal is Signal.ACCEPT and self._setting.pause:
            wish.paused, wish.paused_until_ns = True, now_ns + PAUSE_NS
        elif signal is Signal.NEXT:
            wish.paused, wish.paused_until_ns = False, 0
        self._advance(now_ns)

    # --- what comes in -------------------------------------------------------------------------------------------

    def _hear(self, one: Packet | Garbled, out: list[Framed]) -> None:
        if isinstance(one, Garbled):
            self._noise = True
            out.append(one)
            return
        self._heard_ns = one.last_ns
        match one.op:
            case Op.DECODE_DATA:
                if self.ready:
                    self._output += encode(Op.CMD_ACK)
                    self._decoded(one, out)
            case Op.CMD_ACK | Op.CMD_NAK | Op.REPLY_REVISION:
                self._answered(one)
            case op if op in _ACKNOWLEDGED:
                self._output += encode(Op.CMD_ACK)

    def _answered(self, packet: Packet) -> None:
        sent = self._sent
        if sent is None:
            return
        if packet.op == Op.CMD_NAK and packet.data[:1] == bytes([Nak.RESEND]) and sent.tries < TRIES:
            self._send_again(sent, packet.last_ns)
            return
        if packet.op == Op.REPLY_REVISION:
            text = packet.data.decode("ascii", "replace")
            self.name = "".join(one for one in text if " " <= one <= "~").strip()[:REVISION_CHARS_MAX]
        # A revision is answered by itself; what acknowledges it is not the answer yet.
        answers = Op.REPLY_REVISION if sent.op is Op.REQUEST_REVISION else Op.CMD_ACK
        if packet.op in {answers, Op.CMD_NAK}:
            # Refused for good is an answer too: it stands as it is set at the scanner.
            self._sent = None
            if self._opening:
                self._opening.popleft()
            self._advance(packet.last_ns)

    def _decoded(self, packet: Packet, out: list[Framed]) -> None:
        sent_again = bool(packet.status & Status.RETRANSMIT)
        # After a code that was given up: its rest, which the scanner says again once its own time-out is over.
        is_rest = sent_again and self._was_cut
        heard = packet.data == self._last and packet.last_ns - self._last_ns < RESENT_WITHIN_NS
        if sent_again and heard and not is_rest:
            self._answer_part(packet.last_ns)  # of a code in parts the next one follows now
            return
        self._last, self._last_ns = packet.data, packet.last_ns
        self._was_cut = False
        if packet.data in {b"", _NO_READ}:
            return
        if is_rest:
            self._frame.lose(CUT, packet.last_ns, [])  # it was told as cut
        if self._frame_type < 0:
            self._frame_type = packet.data[0]
        elif packet.data[0] != self._frame_type or not self._follows(packet, sent_again=sent_again):
            # It belongs to another code, or nobody can tell: neither is whole.
            self._frame.lose(UNLIKE, packet.last_ns, out)
        continued = bool(packet.status & Status.CONTINUED)
        self._answer_part(packet.last_ns)
        self._frame.add(packet.data[1:], packet.first_ns, out)
        if not continued:
            self._end(packet.last_ns, out)

    def _answer_part(self, now_ns: int) -> None:
        self._part_ns, self._unbroken_ns, self._asked = now_ns, now_ns + UNBROKEN_NS, 0

    def _follows(self, packet: Packet, *, sent_again: bool) -> bool:
        """Whether this is what the scanner sends after the part before.

        Packets have no numbers. One that comes at once is the next; one that was garbled comes again at once when we ask, and
        says so. After a silence it may as well be the next code's, the rest of this one having got lost as often as it is sent.
        """
        as_asked = sent_again and self._asked < TRIES if self._asked else not sent_again
        return as_asked and packet.first_ns <= self._unbroken_ns

    def _end(self, last_ns: int, out: list[Framed]) -> None:
        ended: list[Framed] = []
        self._frame.end(last_ns, ended)
        self._frame_type = -1
        kept = ended if self._setting.binary else [trimmed(one) for one in ended]
        out += [one for one in kept if one is not None]

    # --- what goes out -------------------------------------------------------------------------------------------

    def _settle(self, now_ns: int, out: list[Framed]) -> None:
        """Do what the time has come for."""
        wish = self._wish
        if self._frame_type >= 0 and now_ns >= self._part_ns + CONTINUED_NS:
            self._frame.lose(CUT, now_ns, out)
            self._end(now_ns, out)
            self._was_cut = True
        if wish.light_until_ns and now_ns >= wish.light_until_ns:
            wish.light, wish.light_until_ns = 0, 0
        if wish.paused_until_ns and now_ns >= wish.paused_until_ns:
            wish.paused, wish.paused_until_ns = False, 0
        sent = self._sent
        if sent is not None and now_ns >= sent.until_ns:
            if sent.tries >= TRIES:
                raise self._no_answer()
            self._send_again(sent, now_ns)
        self._advance(now_ns)

    def _no_answer(self) -> DriverError:
        if self._noise and not self.ready:
            return DeviceMisbehaved("the scanner answers, but not by SSI", _STRANGE_HINT)
        return DeviceGone("the scanner does not answer", _SILENT_HINT)

    def _send_again(self, sent: _Sent, now_ns: int) -> None:
        sent.tries += 1
        sent.until_ns = now_ns + self._setting.answer_ns
        self._output += encode(sent.op, sent.data, Status.RETRANSMIT)

    def _advance(self, now_ns: int) -> None:
        """Send the next command, if none is under way."""
        if self._sent is not None:
            return
        command = self._opening[0] if self._opening else self._next(now_ns)
        if command is not None:
            op, data = command
            self._sent = _Sent(op, data, now_ns + self._setting.answer_ns)
            self._output += encode(op, data)

    def _next(self, now_ns: int) -> tuple[Op, bytes] | None:
        wish = self._wish
        if wish.beep is not None:
            beep, wish.beep = wish.beep, None
            return Op.BEEP, bytes([beep])
        if wish.light_told & ~wish.light:
            gone = wish.light_told & ~wish.light
            wish.light_told &= wish.light
            return Op.LED_OFF, bytes([gone])
        if wish.light & ~wish.light_told:
            wish.light_told = wish.light
            return Op.LED_ON, bytes([wish.light])
        if wish.paused is not wish.paused_told:
            wish.paused_told = wish.paused
            return (Op.SCAN_DISABLE if wish.paused else Op.SCAN_ENABLE), b""
        if now_ns >= self._heard_ns + PING_NS:
            return Op.REQUEST_REVISION, b""
        return None
