"""The bytes of relay boards without a specification of their own, held to their makers' published examples."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.framing import hid_relay, kmtronic, numato
from drivers.relays.serial_board import ANSWER_BYTES_MAX

MAX = ANSWER_BYTES_MAX


def feeds(data: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, and cut at random."""
    rng = random.Random(1)
    cuts = [sorted(rng.sample(range(1, len(data)), 2)) for _ in range(10)] if len(data) > 3 else []
    parts = [[data[a:b] for a, b in zip([0, *cut], [*cut, len(data)], strict=True)] for cut in cuts]
    return [[data], [data[i : i + 1] for i in range(len(data))], *parts]


# KMTronic's list of commands, "KMTronic USB Relay Test software".
@pytest.mark.parametrize(
    ("line", "on", "data"),
    [(0, False, "FF 01 00"), (0, True, "FF 01 01"), (1, True, "FF 02 01"), (7, True, "FF 08 01")],
)
def test_kmtronic_commands(line: int, on: bool, data: str) -> None:
    assert kmtronic.command(line, on=on) == bytes.fromhex(data)
    board = kmtronic.Commands(8)
    assert board.feed(bytes.fromhex(data)) == [kmtronic.Command(line, on)]


@pytest.mark.parametrize(
    ("lines", "asked", "reply", "levels"),
    [
        (1, "FF 01 03", "FF 01 01", (True,)),
        (2, "FF 01 03 FF 02 03", "FF 01 00 FF 02 01", (False, True)),
        (4, "FF 09 00", "01 00 00 01", (True, False, False, True)),
        (8, "FF 09 00", "00 01 00 00 00 00 00 01", (False, True, *[False] * 5, True)),
    ],
)
def test_kmtronic_status(lines: int, asked: str, reply: str, levels: tuple[bool, ...]) -> None:
    assert kmtronic.status_request(lines) == bytes.fromhex(asked)
    assert kmtronic.status_reply(levels) == bytes.fromhex(reply)
    noise = b"\xff\x37>"
    for parts in [*feeds(bytes.fromhex(reply)), *feeds(noise + bytes.fromhex(reply))]:
        status = kmtronic.Status(lines, MAX)
        answers = [status.feed(part) for part in parts]
        assert all(answer is None for answer in answers[:-1])
        assert answers[-1] == levels


def test_kmtronic_the_board_hears_commands_between_noise() -> None:
    stream = bytes.fromhex("00 FF FF 02 01 13 FF 09 00 FF 03 01 FF 01 02")
    for parts in feeds(stream):
        board = kmtronic.Commands(2)
        assert [one for part in parts for one in board.feed(part)] == [kmtronic.Command(1, True)]


# Numato's sample code and manuals: the echo ends in LF CR, the prompt follows.
@pytest.mark.parametrize(
    ("command", "values", "said", "value"),
    [
        (numato.switch(0, on=True), "", "relay on 0\n\r>", ""),
        (numato.switch(10, on=False), "", "relay off A\n\r>", ""),
        (numato.read_relay(0), "on|off", "relay read 0\n\ron\n\r>", "on"),
        (numato.read_relay(31), "on|off", "relay read V\n\roff\n\r>", "off"),
        (numato.read_input(3), "[01]", "gpio read 3\n\r1\n\r>", "1"),
    ],
)
def test_numato_commands_and_their_answers(command: str, values: str, said: str, value: str) -> None:
    assert numato.to_bytes(command) == command.encode() + b"\r"
    for parts in [*feeds(said.encode()), *feeds(b"\x00>\r\n" + said.encode())]:
        reply = numato.Reply(command, values, MAX)
        answers = [reply.feed(part) for part in parts]
        assert all(answer is None for answer in answers[:-1])
        assert answers[-1] == value


@pytest.mark.parametrize(
    "said", ["relay on 1\n\r>", "relay on 0\n\r", ">", "relay on 0>", "relay on 0\n\roff\n\r>"]
)
def test_numato_what_is_no_answer_to_it(said: str) -> None:
    assert numato.Reply("relay on 0", "", MAX).feed(said.encode()) is None


def test_numato_the_module_hears_lines() -> None:
    for parts in feeds(b"relay on 0\rgpio read 1\r\rrelay"):
        module = numato.Lines()
        assert [line for part in parts for line in module.feed(part)] == ["relay on 0", "gpio read 1", ""]


@given(st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=100)
def test_noise_is_never_an_error_and_in_a_flood_nothing_is_found(parts: list[bytes]) -> None:
    status, reply = kmtronic.Status(1, MAX), numato.Reply("relay on 0", "", MAX)
    for part in parts:
        status.feed(part)
        reply.feed(part)
        kmtronic.Commands(4).feed(part)
        numato.Lines().feed(part)
    assert status.feed(bytes(MAX + 1) + b"\xff\x01\x01") is None
    assert reply.feed(bytes(MAX + 1) + b"relay on 0\n\r>") is None


# The firmwares of such boards: eight bytes; the name first, the relays in the last.
@pytest.mark.parametrize(
    ("report", "data"),
    [
        (hid_relay.switch(0, on=True), "FF 01 00 00 00 00 00 00"),
        (hid_relay.switch(7, on=False), "FD 08 00 00 00 00 00 00"),
        (hid_relay.all_off(), "FC 00 00 00 00 00 00 00"),
        (hid_relay.state_report(hid_relay.State("BITFT", 3)), "42 49 54 46 54 00 00 03"),
    ],
)
def test_hid_reports(report: bytes, data: str) -> None:
    assert report == bytes.fromhex(data)


@pytest.mark.parametrize(
    "said", ["", "42 49 54 46 54 00 00", "00 49 54 46 54 00 00 01", "42 49 54 46 FF 00 00 01"]
)
def test_hid_what_is_no_state(said: str) -> None:
    assert hid_relay.state_of(bytes.fromhex(said)) is None
    assert hid_relay.state_of(bytes.fromhex("42 49 54 46 54 00 00 81")) == hid_relay.State("BITFT", 0x81)
