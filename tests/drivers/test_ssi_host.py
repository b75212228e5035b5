"""The host's end of SSI on a clock of one's own: what is acknowledged, repeated, given up, and what a scanner is told."""

import pytest

from drivers.base import SCAN_BYTES_MAX, DeviceGone, DeviceMisbehaved, Garbled, Medium, Scan, Signal
from drivers.framing.frame import Framed
from drivers.framing.ssi import DECODER, HOST, Nak, Op, Packet, Packets, Status, encode
from drivers.framing.ssi_host import (
    CONTINUED_NS,
    LIT_NS,
    PAUSE_NS,
    PING_NS,
    RESENT_WITHIN_NS,
    UNBROKEN_NS,
    SsiHost,
    SsiSetting,
)

S = 1_000_000_000
ACK = encode(Op.CMD_ACK)
QR = b"\x1c"


class Bench:
    """A host and its clock; what it sends is read as the scanner would read it."""

    def __init__(self, setting: SsiSetting | None = None) -> None:
        self.now = S
        self.host = SsiHost(setting or SsiSetting(), self.now)
        self.heard: list[Framed] = []

    def sent(self) -> list[tuple[int, bytes, int]]:
        packets = Packets(gap_ns=1, source=HOST).feed(self.host.take_output(), 0)
        assert all(isinstance(one, Packet) for one in packets)
        return [(one.op, one.data, one.status) for one in packets if isinstance(one, Packet)]

    def get(self, op: int, data: bytes = b"", status: int = 0) -> None:
        self.heard += self.host.feed(encode(op, data, status, DECODER), self.now)

    def wait(self, ns: int) -> None:
        self.now += ns
        self.heard += self.host.quiet(self.now)

    def open(self) -> "Bench":
        while not self.host.ready:
            ((op, _, _),) = self.sent()
            self.get(Op.REPLY_REVISION if op == Op.REQUEST_REVISION else Op.CMD_ACK, b"R1")
        self.sent()
        return self


def codes(heard: list[Framed]) -> list[bytes | str]:
    return [one.data if isinstance(one, Scan) else one.why for one in heard]


def test_opening_asks_sets_flushes_and_enables() -> None:
    bench = Bench()
    assert bench.sent() == [(Op.REQUEST_REVISION, b"", 0)]
    bench.get(Op.CMD_ACK)  # only says that it was heard
    assert bench.sent() == []
    bench.get(Op.REPLY_REVISION, b"PAABCS00 \x07R00")
    assert bench.host.name == "PAABCS00 R00"
    # Packets, ACK and NAK, a response time-out of 2 s, no parameters by programming codes; temporary, since the scanner's memory takes few writes.
    assert bench.sent() == [(Op.PARAM_SEND, bytes.fromhex("ff ee01 9f01 9b14 ec00"), 0)]
    bench.get(Op.CMD_NAK, bytes([Nak.DENIED]))
    assert bench.sent() == [(Op.FLUSH_QUEUE, b"", 0)]
    bench.get(Op.CMD_ACK)
    assert bench.sent() == [(Op.SCAN_ENABLE, b"", 0)]
    bench.get(Op.CMD_ACK)
    assert bench.host.ready
    assert bench.sent() == []


def test_without_set_up_no_parameter_is_touched() -> None:
    bench = Bench(SsiSetting(set_up=False))
    bench.sent()
    bench.get(Op.REPLY_REVISION)
    assert bench.sent() == [(Op.FLUSH_QUEUE, b"", 0)]


def test_a_code_before_opening_is_neither_acknowledged_nor_scanned() -> None:
    bench = Bench()
    bench.sent()
    bench.get(Op.DECODE_DATA, QR + b"EARLY")
    assert bench.sent() == []
    assert bench.heard == []


def test_the_rest_of_a_code_whose_beginning_nobody_heard_is_none() -> None:
    """Whoever had the port before us acknowledged it; what the scanner waits for is not flushed by each model."""
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"BBB", Status.CONTINUED | Status.RETRANSMIT)
    bench.get(Op.DECODE_DATA, QR + b"CCC")
    bench.get(Op.DECODE_DATA, QR + b"D")
    assert codes(bench.heard) == [b"D"]


def test_a_code_is_acknowledged_at_once() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"]Q1TK1ABC\r\n")
    assert bench.heard == [Scan(b"TK1ABC", Medium.BARCODE, "Q1", S, S)]
    assert bench.host.take_output() == ACK


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (QR + b"\x02ABC\x03", [b"ABC"]),
        (QR + b"A\rB", [b"A\rB"]),  # a packet says where a code ends
        (QR + b"\r\n", []),
        (QR, []),
        (b"", []),
        (b"\x01NR", []),
        (b"\x01NR2", [b"NR2"]),
        (b"\xf1" + bytes(range(0x20, 0xFA)), [bytes(range(0x20, 0xFA))]),
    ],
)
def test_what_is_in_a_packet(data: bytes, code: list[bytes]) -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, data)
    assert codes(bench.heard) == code
    assert bench.host.take_output() == ACK


def test_binary_codes_keep_their_ends() -> None:
    bench = Bench(SsiSetting(binary=True, aim=False)).open()
    bench.get(Op.DECODE_DATA, QR + b"\x02\xd2\x84\r\n")
    assert codes(bench.heard) == [b"\x02\xd2\x84\r\n"]


def test_what_is_sent_again_is_scanned_once() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"A")
    bench.now += 2 * S
    bench.get(Op.DECODE_DATA, QR + b"A", Status.RETRANSMIT)
    assert codes(bench.heard) == [b"A"]
    assert bench.host.take_output() == ACK + ACK


def test_what_is_sent_again_and_was_never_heard_is_scanned() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"A")
    bench.get(Op.DECODE_DATA, QR + b"B", Status.RETRANSMIT)
    bench.now += RESENT_WITHIN_NS
    bench.get(
        Op.DECODE_DATA, QR + b"B", Status.RETRANSMIT
    )  # another visitor with the same code, its first packet lost
    assert codes(bench.heard) == [b"A", b"B", b"B"]


def test_the_same_code_shown_again_is_another_scan() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"A")
    bench.get(Op.DECODE_DATA, QR + b"A")
    assert codes(bench.heard) == [b"A", b"A"]


def test_a_code_in_parts() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"]Q1AAA", Status.CONTINUED)
    assert bench.host.take_output() == ACK
    bench.get(Op.DECODE_DATA, QR + b"]Q1AAA", Status.CONTINUED | Status.RETRANSMIT)  # our ACK was lost
    bench.now += UNBROKEN_NS
    bench.get(Op.DECODE_DATA, QR + b"BBB", Status.CONTINUED)
    bench.get(Op.DECODE_DATA, QR + b"C")
    assert bench.heard == [Scan(b"AAABBBC", Medium.BARCODE, "Q1", S, bench.now)]


def test_a_code_whose_rest_never_comes_is_no_scan() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    assert bench.host.deadline_ns == bench.now + CONTINUED_NS
    bench.wait(CONTINUED_NS)
    assert codes(bench.heard) == ["cut"]
    bench.get(Op.DECODE_DATA, QR + b"B")
    assert codes(bench.heard) == ["cut", b"B"]


@pytest.mark.parametrize("response_s", [2, 9.9])
def test_the_rest_of_a_code_that_was_given_up_is_no_code(response_s: float) -> None:
    """The scanner sends again what it got no ACK for after its own time-out, which is longer than we wait for a part."""
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    bench.wait(CONTINUED_NS)
    bench.now += int(response_s * S) - CONTINUED_NS
    bench.get(Op.DECODE_DATA, QR + b"BBB", Status.RETRANSMIT)  # lost the first time
    bench.get(Op.DECODE_DATA, QR + b"BBB", Status.RETRANSMIT)  # our ACK was lost
    bench.get(Op.DECODE_DATA, QR + b"C", Status.RETRANSMIT)  # another one, which the line lost once as well
    assert codes(bench.heard) == ["cut", b"C"]


def test_a_code_whose_first_part_comes_again_too_late_is_no_code() -> None:
    """Our ACK was lost: the scanner says the part again, and then goes on with the next one as if nothing had been."""
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    bench.wait(CONTINUED_NS)
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED | Status.RETRANSMIT)
    bench.get(Op.DECODE_DATA, QR + b"BBB", Status.CONTINUED)
    bench.get(Op.DECODE_DATA, QR + b"CCC")
    bench.get(Op.DECODE_DATA, QR + b"D")
    assert codes(bench.heard) == ["cut", b"D"]


@pytest.mark.parametrize("parts", [(b"AAA",), (b"AAA", b"BBB")])
def test_what_is_sent_again_for_the_second_time_is_the_same_scan(parts: tuple[bytes, ...]) -> None:
    """Two response time-outs of 9.9 s later: of a code in parts it was a code of its own, else a second presentation."""
    bench = Bench().open()
    for at, part in enumerate(parts):
        bench.get(Op.DECODE_DATA, QR + part, Status.CONTINUED if at < len(parts) - 1 else 0)
    bench.now += int(2 * 9.9 * S)
    bench.get(Op.DECODE_DATA, QR + parts[-1], Status.RETRANSMIT)
    assert codes(bench.heard) == [b"".join(parts)]


def test_a_code_after_one_that_the_scanner_gave_up_is_not_joined_to_it() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    bench.now += UNBROKEN_NS + 1  # the second part got lost three times
    bench.get(Op.DECODE_DATA, QR + b"BBB")
    bench.get(Op.DECODE_DATA, QR + b"BBB")  # shown again
    assert codes(bench.heard) == ["unlike", b"BBB"]


def garble(bench: Bench) -> None:
    bench.heard += bench.host.feed(encode(Op.DECODE_DATA, QR + b"BBB", source=DECODER)[:-1], bench.now)
    bench.wait(60_000_000)
    assert bench.host.take_output().endswith(encode(Op.CMD_NAK, bytes([Nak.RESEND])))


@pytest.mark.parametrize("times", [1, 2])
def test_a_part_that_was_garbled_comes_again_when_asked_for(times: int) -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    for _ in range(times):
        bench.now += UNBROKEN_NS
        garble(bench)
    bench.now += UNBROKEN_NS
    bench.get(Op.DECODE_DATA, QR + b"BBB", Status.RETRANSMIT)
    assert codes(bench.heard) == ["no_packet"] * times + [b"AAABBB"]


@pytest.mark.parametrize("again", [Status.NONE, Status.RETRANSMIT])
def test_a_code_after_one_that_was_garbled_as_often_as_it_is_sent_is_not_joined_to_it(again: Status) -> None:
    """The scanner gave up at the third NAK, and the next code's packet comes as soon as any: at once, or garbled once, too."""
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    for _ in range(4 if again else 3):
        garble(bench)
    bench.get(Op.DECODE_DATA, QR + b"CCC", again)
    bench.get(Op.DECODE_DATA, QR + b"CCC")  # shown again
    assert codes(bench.heard)[-2:] == ["unlike", b"CCC"]


def test_a_packet_that_got_lost_once_is_not_joined_to_the_code_before() -> None:
    """None of our ACKs for a part came through; the next code's packet got lost, and its second one is the first to be heard."""
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    for _ in range(2):
        bench.now += S // 2
        bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED | Status.RETRANSMIT)
    bench.now += S
    bench.get(Op.DECODE_DATA, QR + b"CCC", Status.RETRANSMIT)
    bench.get(Op.DECODE_DATA, QR + b"CCC")  # shown again
    assert codes(bench.heard) == ["unlike", b"CCC"]


def test_parts_of_two_codes_make_none() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"AAA", Status.CONTINUED)
    bench.get(Op.DECODE_DATA, b"\x03BBB")
    bench.get(Op.DECODE_DATA, QR + b"C")
    assert codes(bench.heard) == ["unlike", b"C"]


def test_too_long_is_told_once() -> None:
    bench = Bench().open()
    for number in range(SCAN_BYTES_MAX // 200 + 5):
        bench.get(Op.DECODE_DATA, QR + bytes([65 + number % 20]) * 200, Status.CONTINUED)
    bench.get(Op.DECODE_DATA, QR + b"end")
    bench.get(Op.DECODE_DATA, QR + b"B")
    assert bench.heard == [
        Garbled("too_long", SCAN_BYTES_MAX + 1, S),
        Scan(b"B", Medium.BARCODE, "", S, S),
    ]


@pytest.mark.parametrize("op", [Op.EVENT, Op.PARAM_SEND, Op.SSI_MGMT])
def test_other_packets_are_acknowledged_and_no_scan(op: Op) -> None:
    bench = Bench().open()
    bench.get(op, b"\x01")
    assert bench.host.take_output() == ACK
    assert bench.heard == []


def test_noise_is_asked_for_again_once_it_is_quiet() -> None:
    bench = Bench().open()
    bench.get(Op.DECODE_DATA, QR + b"0")
    bench.sent()
    bench.heard += bench.host.feed(
        encode(Op.DECODE_DATA, QR + b"A", source=DECODER)[:-1] + b"\x00", bench.now
    )
    assert bench.sent() == []
    bench.wait(60_000_000)
    assert codes(bench.heard) == [b"0", "no_packet"]
    assert bench.sent() == [(Op.CMD_NAK, bytes([Nak.RESEND]), 0)]
    bench.get(Op.DECODE_DATA, QR + b"A", Status.RETRANSMIT)
    assert codes(bench.heard) == [b"0", "no_packet", b"A"]


def test_a_scanner_that_never_answers_is_gone() -> None:
    bench = Bench()
    assert bench.sent() == [(Op.REQUEST_REVISION, b"", 0)]
    for _ in range(2):
        bench.wait(S)
        assert bench.sent() == [(Op.REQUEST_REVISION, b"", Status.RETRANSMIT)]
    with pytest.raises(DeviceGone) as gone:
        bench.wait(S)
    assert "SSI" in gone.value.hint


def test_a_scanner_that_answers_something_else_is_told_so() -> None:
    bench = Bench()
    for _ in range(2):
        bench.heard += bench.host.feed(b"ABC123\r\n", bench.now)
        bench.wait(S)
    with pytest.raises(DeviceMisbehaved) as other:
        bench.wait(S)
    assert "baud" in other.value.hint


def test_an_idle_scanner_is_asked_whether_it_is_there() -> None:
    bench = Bench().open()
    assert bench.host.deadline_ns == bench.now + PING_NS
    bench.wait(PING_NS)
    assert bench.sent() == [(Op.REQUEST_REVISION, b"", 0)]
    bench.wait(S)
    bench.wait(S)
    with pytest.raises(DeviceGone):
        bench.wait(S)


def test_a_refused_or_garbled_command_is_sent_again_as_often_as_it_may() -> None:
    bench = Bench(SsiSetting(beeps={Signal.ACCEPT: 1})).open()
    bench.host.show(Signal.ACCEPT, bench.now)
    assert bench.sent() == [(Op.BEEP, b"\x01", 0)]
    bench.get(Op.CMD_NAK, bytes([Nak.RESEND]))
    assert bench.sent() == [(Op.BEEP, b"\x01", Status.RETRANSMIT)]
    bench.get(Op.CMD_NAK, bytes([Nak.DENIED]))  # it has no beeper: nothing to be done about
    assert bench.sent() == []
    bench.wait(S)
    assert bench.sent() == []


def test_a_slow_scanner_gets_the_latest_signal_and_no_queue() -> None:
    bench = Bench(SsiSetting(beeps={Signal.ACCEPT: 1, Signal.REJECT: 15})).open()
    for _ in range(50):
        bench.host.show(Signal.ACCEPT, bench.now)
        bench.host.show(Signal.REJECT, bench.now)
    assert bench.sent() == [(Op.BEEP, b"\x01", 0)]
    bench.get(Op.CMD_ACK)
    assert bench.sent() == [(Op.BEEP, b"\x0f", 0)]
    bench.get(Op.CMD_ACK)
    assert bench.sent() == []


def test_a_light_goes_out_with_the_passage_or_by_itself() -> None:
    bench = Bench(SsiSetting(lights={Signal.ACCEPT: 1, Signal.REJECT: 2})).open()
    bench.host.show(Signal.ACCEPT, bench.now)
    assert bench.sent() == [(Op.LED_ON, b"\x01", 0)]
    bench.get(Op.CMD_ACK)
    bench.host.show(Signal.NEXT, bench.now)
    assert bench.sent() == [(Op.LED_OFF, b"\x01", 0)]
    bench.get(Op.CMD_ACK)
    bench.host.show(Signal.NEXT, bench.now)
    assert bench.sent() == []
    bench.host.show(Signal.ACCEPT, bench.now)
    bench.sent()
    bench.get(Op.CMD_ACK)
    bench.host.show(Signal.REJECT, bench.now)
    assert bench.sent() == [(Op.LED_OFF, b"\x01", 0)]
    bench.get(Op.CMD_ACK)
    assert bench.sent() == [(Op.LED_ON, b"\x02", 0)]
    bench.get(Op.CMD_ACK)
    bench.wait(LIT_NS)
    assert bench.sent() == [(Op.LED_OFF, b"\x02", 0)]


@pytest.mark.parametrize("after", [Signal.REJECT, Signal.WAIT])
def test_a_grants_light_is_out_beside_the_next_visitors_refusal(after: Signal) -> None:
    bench = Bench(SsiSetting(lights={Signal.ACCEPT: 1})).open()
    bench.host.show(Signal.ACCEPT, bench.now)
    assert bench.sent() == [(Op.LED_ON, b"\x01", 0)]
    bench.get(Op.CMD_ACK)
    bench.host.show(after, bench.now)
    assert bench.sent() == [(Op.LED_OFF, b"\x01", 0)]


def test_a_scanner_pauses_from_the_grant_to_the_passage() -> None:
    bench = Bench(SsiSetting(pause=True)).open()
    bench.host.show(Signal.REJECT, bench.now)
    assert bench.sent() == []
    bench.host.show(Signal.ACCEPT, bench.now)
    assert bench.sent() == [(Op.SCAN_DISABLE, b"", 0)]
    bench.get(Op.CMD_ACK)
    bench.host.show(Signal.NEXT, bench.now)
    assert bench.sent() == [(Op.SCAN_ENABLE, b"", 0)]


def test_a_paused_scanner_reads_again_whatever_happens() -> None:
    bench = Bench(SsiSetting(pause=True)).open()
    bench.host.show(Signal.ACCEPT, bench.now)
    bench.sent()
    bench.get(Op.CMD_ACK)
    # It never stops sending, so that the line is never quiet: the time is looked at with each read too.
    for second in range(PAUSE_NS // S):
        bench.now += S
        bench.get(Op.EVENT, b"\x01")
        enabled = (Op.SCAN_ENABLE, b"", 0) in bench.sent()
        assert enabled is (second + 1 == PAUSE_NS // S)
