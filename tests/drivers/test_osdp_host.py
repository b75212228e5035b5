"""The host's end of OSDP in virtual time: against the simulated reader over a wire that loses and damages, and against libosdp's reader."""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from drivers.base import DeviceGone, DeviceMisbehaved, Garbled, Medium, ReaderEvent, Scan, Signal
from drivers.framing.osdp import Answer, Carries, Command, Replies, decode, encode
from drivers.framing.osdp_channel import SCBK_D, Channel, Session
from drivers.framing.osdp_host import _LIGHTS, MISSES_MIN, OPEN_NS, SILENT_NS, OsdpHost, OsdpSetting
from drivers.sims.osdp_reader import BUZ, CHLNG, LED, OsdpDevice, crc, ecb, session_keys

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
OTHER_KEY = bytes(reversed(KEY))
WIRE_NS = 20_000_000
"""A short message at 9600 baud, and as long for the answer."""


class Wire:
    """Two ends and the time between them. `answer`: gives a reader's answer to a message without its mark. `noise`: other bytes come."""

    def __init__(self, setting: OsdpSetting, answer: Callable[[bytes], bytes]) -> None:
        self.now_ns = 1
        self.host = OsdpHost(setting, lambda: os.urandom(8), self.now_ns)
        self.answer = answer
        self.lost: Callable[[], bool] = lambda: False
        self.noise = False
        self.seen: list[ReaderEvent] = []

    def turn(self) -> None:
        """One message, and what comes of it."""
        self.now_ns = max(self.now_ns, self.host.due_ns)
        message = self.host.ask(self.now_ns)
        answer = b"" if self.lost() else self.answer(message[1:])
        self.now_ns += 2 * WIRE_NS
        if answer and not self.lost():
            self.hear(answer)
        if self.host.waits:
            self.now_ns += self.host.answer_ns
            self.host.missed(self.now_ns, noise=self.noise)
            if self.host.tries >= MISSES_MIN:
                self.host.look(self.now_ns)

    def hear(self, data: bytes) -> None:
        for reply in Replies().feed(data):
            self.seen += self.host.hear(reply, self.now_ns)

    def until(self, done: Callable[[], bool], turns: int = 500) -> None:
        for _ in range(turns):
            if done():
                return
            self.turn()
        raise AssertionError("it did not come to that")

    def opened(self) -> "Wire":
        self.until(lambda: self.host.ready)
        return self


def card(number: int) -> str:
    return f"{0x04000000 + number:032b}"


def uid(number: int) -> bytes:
    return (0x04000000 + number).to_bytes(4, "big")


def setting(key: bytes = KEY, **rest: Any) -> OsdpSetting:
    return OsdpSetting(1, key, carries=Carries.UID, **rest)


def wired(device: OsdpDevice, **rest: Any) -> Wire:
    return Wire(setting(**rest), device.answer)


def codes(wire: Wire) -> list[bytes]:
    return [one.data for one in wire.seen if isinstance(one, Scan)]


def test_the_hosts_channel_is_that_of_annex_e() -> None:
    """SIA OSDP specification, Annex E: random numbers B0… and A0…, SCBK-D."""
    host_random, reader_random = bytes.fromhex("B0B1B2B3B4B5B6B7"), bytes.fromhex("A0A1A2A3A4A5A6A7")
    session = Session.of(SCBK_D, host_random)
    assert session.enc == bytes.fromhex("BF8DC2A8329ACB8C67C6D0CD9A451682")
    assert session.mac_1 == bytes.fromhex("5E86C676603BDEE2D8BEAFE178637332")
    assert session.mac_2 == bytes.fromhex("6FDA86E857777E81132035758239172E")
    proofs = session.reader_proof(host_random, reader_random), session.host_proof(host_random, reader_random)
    assert proofs == (
        bytes.fromhex("FDE5D2F428EC16312471EA3C02BD7796"),
        bytes.fromhex("26D3356E07762D262801FC8E6665A891"),
    )
    assert encode(0, 0, Command.ID, b"\0") == b"\xff" + bytes.fromhex("53000900046100C066")


def test_a_card_is_read_once_and_its_reader_is_named() -> None:
    device = OsdpDevice(1, KEY)
    wire = wired(device).opened()
    assert wire.host.name == "vendor CAFE00, serial 12345678"
    device.card(card(7), kind=0)
    wire.until(lambda: device.taken == 1)
    assert wire.seen == [Scan(uid(7), Medium.UID, "", wire.seen[0].last_ns, wire.seen[0].last_ns)]  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(5))
def test_with_a_fifth_lost_either_way_each_card_is_read_once_and_the_channel_holds(seed: int) -> None:
    chance = random.Random(seed)
    device = OsdpDevice(1, KEY)
    wire = wired(device, silent_ns=10_000_000_000)
    wire.lost = lambda: chance.random() < 0.2
    wire.opened()
    for number in range(100):
        device.card(card(number), kind=0)
        if number % 10 == 0:
            wire.host.show(Signal.REJECT, wire.now_ns)
        wire.until(lambda: device.taken > number)  # noqa: B023 - called at once
    assert codes(wire) == [uid(number) for number in range(100)]
    heard = [command for command, _ in device.heard]
    assert heard.count(CHLNG) <= 1


def test_an_answer_that_is_late_counts_and_its_double_does_not() -> None:
    """It comes when the message was said again already; the answer to that one comes while the next is asked."""
    device = OsdpDevice(1, KEY)
    wire = wired(device).opened()
    held: list[bytes] = []

    def late(message: bytes) -> bytes:
        held.append(device.answer(message))
        return held[-2] if len(held) > 1 else b""

    device.card(card(1), kind=0)
    device.card(card(2), kind=0)
    wire.answer = late
    wire.until(lambda: device.taken == 2)
    assert codes(wire) == [uid(1), uid(2)]


def test_a_reader_that_falls_silent_is_gone_within_a_second_and_not_before_it_was_asked_thrice() -> None:
    wire = wired(OsdpDevice(1, KEY)).opened()
    since_ns, asked = wire.now_ns, 0

    def nothing(_message: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return b""

    wire.answer = nothing
    with pytest.raises(DeviceGone, match="no OSDP reader answers at address 1") as gone:
        wire.until(lambda: False)
    assert SILENT_NS <= wire.now_ns - since_ns < 1_000_000_000
    assert asked >= 3
    assert "baud" in gone.value.hint


def test_who_sends_what_is_no_reply_is_told_apart_from_who_is_silent() -> None:
    wire = wired(OsdpDevice(1, KEY)).opened()
    wire.answer, wire.noise = lambda _message: b"", True
    with pytest.raises(DeviceMisbehaved, match="no reply") as wrong:
        wire.until(lambda: False)
    assert "baud" in wrong.value.hint


def test_what_is_said_without_the_key_is_of_nobody() -> None:
    """A card in the clear, and one with another's MAC; the number of the message is right in both."""
    device = OsdpDevice(1, KEY)
    wire = wired(device).opened()
    wire.turn()
    message = wire.host.ask(wire.now_ns)
    sequence = message[5] & 3
    data = bytes((0, 0, 32, 0)) + uid(9)
    head = bytes((0x53, 0x81)) + (5 + 1 + len(data) + 2).to_bytes(2, "little") + bytes((sequence | 4,))
    clear = head + bytes((Answer.RAW,)) + data
    wire.hear(clear + crc(clear))
    assert (wire.seen, wire.host.waits) == ([], True)  # and is still asked
    wire.hear(device.answer(message[1:]))
    assert (wire.seen, wire.host.waits) == ([], False)
    forged = device.answer(wire.host.ask(wire.now_ns)[1:])[:-6] + bytes(4)
    with pytest.raises(DeviceMisbehaved, match="lost its secure channel"):
        wire.hear(forged + crc(forged))


def test_a_recorded_reply_opens_nothing() -> None:
    """What a reader said in one session is said again in the next."""
    device = OsdpDevice(1, KEY)
    wire = wired(device)
    said: list[bytes] = []

    def recorded(message: bytes) -> bytes:
        said.append(device.answer(message))
        return said[-1]

    wire.answer = recorded
    wire.opened()
    replayed = iter(said)
    again = Wire(setting(), lambda _message: next(replayed))
    with pytest.raises(DeviceMisbehaved, match="no secure channel"):
        again.opened()


def test_a_reply_counts_for_its_own_message_only() -> None:
    """Annex D: each MAC begins where the other side's ended."""
    host_random = bytes(range(8))
    session = Session.of(KEY, host_random)
    enc, *macs = session_keys(KEY, host_random)
    assert (session.enc, session.mac_1, session.mac_2) == (enc, *macs)
    first = ecb(macs[1], ecb(macs[0], session.host_proof(host_random, bytes(8))))
    device = OsdpDevice(1, KEY, random=lambda: bytes(8))
    device.answer(encode(1, 0, Command.CHLNG, host_random, bytes((3, 0x11, 1)))[1:])
    device.answer(
        encode(1, 1, Command.SCRYPT, session.host_proof(host_random, bytes(8)), bytes((3, 0x13, 1)))[1:]
    )
    channel = Channel(session, first)
    replies = []
    for sequence in (2, 3):
        sealed = channel.seal(1, sequence, Command.POLL, b"")
        reply = decode(device.answer(sealed[1:]))
        assert reply is not None
        replies.append(reply)
        assert channel.open(reply) == b""
    assert channel.open(replies[0]) is None


def test_a_reader_without_power_for_a_blink_opens_its_channel_again() -> None:
    device = OsdpDevice(1, KEY)
    wire = wired(device).opened()
    wire.until(lambda: wire.now_ns > 6_000_000_000)
    device.answer(encode(1, 0, Command.ID, b"\0")[1:])  # as one that has just started: it knows no channel
    assert not device.secured
    device.card(card(3), kind=0)
    wire.until(lambda: device.taken == 1)
    assert codes(wire) == [uid(3)]


def test_one_that_loses_its_channel_at_once_misbehaves() -> None:
    device = OsdpDevice(1, KEY)
    wire = wired(device).opened()
    device.answer(encode(1, 0, Command.ID, b"\0")[1:])
    with pytest.raises(DeviceMisbehaved, match="lost its secure channel") as broke:
        wire.until(lambda: False)
    assert "supply" in broke.value.hint


@pytest.mark.parametrize("key", [SCBK_D, OTHER_KEY])
def test_another_key_opens_nothing(key: bytes) -> None:
    with pytest.raises(DeviceMisbehaved, match="no secure channel") as refused:
        wired(OsdpDevice(1, key)).opened()
    assert "key" in refused.value.hint


def answering(code: int, data: bytes) -> Callable[[bytes], bytes]:
    def answer(message: bytes) -> bytes:
        size = 5 + 1 + len(data) + 2
        frame = bytes((0x53, 0x81)) + size.to_bytes(2, "little") + bytes((message[4] & 3 | 4, code)) + data
        return frame + crc(frame)

    return answer


def test_a_reader_without_a_secure_channel_is_told_so() -> None:
    wire = Wire(setting(), answering(Answer.PDCAP, bytes.fromhex("030101 040401 090000")))
    with pytest.raises(DeviceMisbehaved, match="knows no secure channel"):
        wire.opened()


def test_one_that_is_always_busy_is_told_so() -> None:
    wire = Wire(setting(), answering(Answer.BUSY, b""))
    with pytest.raises(DeviceMisbehaved, match="does not open"):
        wire.opened()
    assert wire.now_ns < OPEN_NS + 1_000_000_000


def test_a_card_that_does_not_fit_its_own_length_is_none() -> None:
    device = OsdpDevice(1, KEY)
    wire = wired(device).opened()
    device.cards += [b"\x00", bytes.fromhex("00004000 04A1B2C3"), bytes.fromhex("0000")]
    wire.until(lambda: device.taken == 3)
    assert [type(one) for one in wire.seen] == [Garbled] * 3


# --- what is shown --------------------------------------------------------------------------------------------------


def shown(device: OsdpDevice) -> list[tuple[int, bytes]]:
    return [(command, data) for command, data in device.heard if command in {LED, BUZ}]


def test_a_verdict_is_seen_and_heard_and_only_the_last_one() -> None:
    device = OsdpDevice(1, KEY)
    wire = wired(device)
    wire.host.show(Signal.REJECT, wire.now_ns)  # not open: it would be seen when it is no longer so
    wire.opened()
    for signal in (Signal.REJECT, Signal.WAIT, Signal.ACCEPT):
        wire.host.show(signal, wire.now_ns)
    for _ in range(4):
        wire.turn()
    assert shown(device) == [
        (BUZ, bytes((0, 2, 1, 1, 1))),
        (LED, bytes((0, 0, 2, 10, 0, 2, 2, 50, 0, 0, 0, 0, 0, 0))),
    ]
    wire.host.show(Signal.NEXT, wire.now_ns)
    wire.turn()
    assert shown(device)[2:] == [(LED, bytes((0, 0, 1)) + bytes(11))]


def test_without_sound_it_is_seen() -> None:
    device = OsdpDevice(1, KEY)
    wire = wired(device, beep=False).opened()
    wire.host.show(Signal.REJECT, wire.now_ns)
    for _ in range(3):
        wire.turn()
    assert [command for command, _ in shown(device)] == [LED]


def test_no_light_flashes_faster_than_three_times_a_second() -> None:
    assert set(_LIGHTS) == set(Signal)
    for light in _LIGHTS.values():
        assert len(light) == 14
        on, off = light[3], light[4]
        assert off == 0 or 10 / (on + off) <= 3


# --- a new key -----------------------------------------------------------------------------------------------------


def test_a_new_reader_is_given_a_key_and_proves_it() -> None:
    device = OsdpDevice(1, SCBK_D)
    wired(device, key=SCBK_D, fresh=KEY).opened()
    assert device.scbk == KEY
    assert [command for command, _ in device.heard].count(CHLNG) == 2
    wired(device).opened()


def test_a_reader_that_has_a_key_takes_no_other() -> None:
    device = OsdpDevice(1, OTHER_KEY)
    with pytest.raises(DeviceMisbehaved, match="does not take the key of a new reader") as refused:
        wired(device, key=SCBK_D, fresh=KEY).opened()
    assert "install mode" in refused.value.hint
    assert device.scbk == OTHER_KEY


# --- a reader of another make ----------------------------------------------------------------------------------------

ABILITIES = ((3, 1, 1), (4, 4, 1), (5, 2, 1), (8, 1, 0), (9, 1, 1), (16, 1, 0))


class LibraryReader:
    """libosdp's reader, turned over by hand."""

    id = 0

    def __init__(self, key: bytes | None) -> None:
        library = pytest.importorskip("osdp_sys", reason="libosdp is not installed: make test")
        library.set_loglevel(0)
        self.shown: list[dict[str, object]] = []
        self._in, self._out = bytearray(), bytearray()
        self._library = library
        info = {"name": "PD", "address": 1, "channel": self, "flags": 0 if key else library.FLAG_INSTALL_MODE}
        info |= {"version": 1, "model": 2, "vendor_code": 1, "serial_number": 3, "firmware_version": 4}
        names = ("function_code", "compliance_level", "num_items")
        abilities = [dict(zip(names, one, strict=True)) for one in ABILITIES]
        self._reader = library.PeripheralDevice(info | ({"scbk": key} if key else {}), capabilities=abilities)
        self._reader.set_command_callback(self._told)

    def _told(self, command: dict[str, object]) -> tuple[int, None]:
        self.shown.append(command)
        return 0, None

    def read(self, bytes_max: int) -> bytes:
        data = bytes(self._in[:bytes_max])
        del self._in[:bytes_max]
        return data

    def write(self, data: bytes) -> int:
        self._out += data
        return len(data)

    def flush(self) -> None:
        return

    def answer(self, message: bytes) -> bytes:
        self._in += message
        for _ in range(4):
            self._reader.refresh()
        data = bytes(self._out)
        self._out.clear()
        return data

    def card(self, uid: bytes) -> None:
        event = {"event": self._library.EVENT_CARDREAD, "reader_no": 0, "format": 0, "direction": 0}
        self._reader.submit_event(event | {"length": 8 * len(uid), "data": uid})


def test_a_reader_of_libosdp_is_read_and_shows_verdicts() -> None:
    reader = LibraryReader(KEY)
    wire = Wire(setting(), reader.answer).opened()
    for number in range(20):
        reader.card(uid(number))
        wire.turn()
    wire.until(lambda: len(wire.seen) == 20)
    assert codes(wire) == [uid(number) for number in range(20)]
    wire.host.show(Signal.REJECT, wire.now_ns)
    for _ in range(3):
        wire.turn()
    sound, light = reader.shown
    assert (sound["on_count"], sound["rep_count"]) == (6, 1)
    assert (light["temporary"], light["on_color"], light["on_count"], light["timer_count"]) == (
        True,
        1,
        3,
        30,
    )


def test_a_reader_of_libosdp_in_install_mode_takes_a_key() -> None:
    reader = LibraryReader(None)
    Wire(setting(SCBK_D, fresh=KEY), reader.answer).opened()
    assert [one["data"] for one in reader.shown] == [KEY]
    Wire(setting(), reader.answer).opened()


def test_a_reader_of_libosdp_with_another_key_is_refused() -> None:
    reader = LibraryReader(OTHER_KEY)
    with pytest.raises(DeviceMisbehaved, match="no secure channel"):
        Wire(setting(), reader.answer).opened()
    assert reader.shown == []
