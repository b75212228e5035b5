"""What is shown decides which reader is which; whatever else is scanned changes nothing; the TOML says what was chosen."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import ReaderEvent, Scan
from drivers.framing.layouts import LAYOUTS
from drivers.framing.uid import ByteOrder, UidForm, parse_uid
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from edge import config
from edge.commission.candidates import Candidate, candidates
from edge.commission.inventory import inventory
from edge.commission.made import settings_of
from edge.commission.placing import place
from edge.commission.session import CODE_CHARS, Commissioning, Heard, Lane, Seat
from edge.commission.toml_text import toml_of
from edge.commission.uid_form import forms, known_uid
from edge.compose import reader_of
from edge.settings import LayoutSetting, LcusRelay, MediumSetting, SerialReader, Settings, Way, WedgeReader
from tests.edge.commission.box import Box
from tests.house import ROOT

ENTRY = Seat(1, Way.ENTRY, MediumSetting.BARCODE)
TAGS = Seat(1, Way.ENTRY, MediumSetting.UID)
CARD = bytes.fromhex("04A1B2C3")
PROGRAMMING = (b"TRMUSB130.", b"$P,HA47,P\r", b"@SETUPE1")
ENROLMENT = b"https://centre.example#0123456789abcdef ABCD-EFGH"


def session() -> Commissioning:
    found = Commissioning(lambda count: "BCDEFGHIJKLNOPRSTUVX"[:count])
    found.plan({1: Lane("North")})
    return found


def two_scanners(tmp_path: Path) -> tuple[Candidate, Candidate]:
    box = Box(tmp_path)
    for at in (1, 2):
        box.usb(f"1-{at}", "1eab:1306", "NLS-FM430")
        box.serial(f"1-{at}", f"ttyACM{at}")
    first, second = candidates(inventory(tmp_path), simulated=True)
    return first, second


def test_the_reader_that_shows_the_code_gets_the_seat_and_can_move(tmp_path: Path) -> None:
    first, second = two_scanners(tmp_path)
    one = session()
    code = one.ask(ENTRY).code
    assert len(code) == CODE_CHARS + 9
    assert one.heard(second, code.encode()) is Heard.CHOSEN
    assert one.chosen[ENTRY].reader == second.reader
    # The same code again is good for nothing.
    assert one.heard(first, code.encode()) is Heard.OTHER
    assert one.heard(first, one.ask(ENTRY).code.encode()) is Heard.CHOSEN
    assert [chosen.key for chosen in one.chosen.values()] == [first.key]


@pytest.mark.parametrize("shown", [*PROGRAMMING, ENROLMENT, b"", b"GATEZYAQW", bytes(4096)])
def test_whatever_else_is_shown_changes_nothing(tmp_path: Path, shown: bytes) -> None:
    first, _ = two_scanners(tmp_path)
    one = session()
    assert one.heard(first, shown) is Heard.OTHER
    asked = one.ask(ENTRY)
    assert one.heard(first, shown) is Heard.OTHER
    assert (one.chosen, one.asked, one.boards) == ({}, asked, {})
    one.ask(TAGS, CARD)
    assert one.heard(first, shown) is Heard.OTHER
    assert one.chosen == {}


@pytest.mark.parametrize("layout", list(LayoutSetting))
async def test_the_country_of_a_scanner_that_types_is_learned(tmp_path: Path, layout: LayoutSetting) -> None:
    setting = KeyboardSetting(layout=LAYOUTS[layout.value])
    scanner = KeyboardScanner(tmp_path / "typing", setting)
    scanner.port.plug()
    box = Box(tmp_path / "box")
    box.usb("1-1", "05e0:1200", "Symbol Bar Code Scanner")
    box.keyboard("1-1", 3, "Symbol Bar Code Scanner", scanner.port.link)
    (candidate,) = candidates(inventory(tmp_path / "box"), simulated=True)
    events: asyncio.Queue[ReaderEvent] = asyncio.Queue()
    running = asyncio.ensure_future(reader_of(candidate.reader).run(events.put_nowait))
    await events.get()
    one = session()
    await scanner.scan(one.ask(ENTRY).code)
    scan = await events.get()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    scanner.port.unplug()
    assert isinstance(scan, Scan)
    assert one.heard(candidate, scan.data) is Heard.CHOSEN
    reader = one.chosen[ENTRY].reader
    assert isinstance(reader, WedgeReader)
    assert reader.layout is layout


WRITTEN = ("04A1B2C3", "04:a1:b2:c3", "c3b2a104", "77705923", "0077705923", "3283263748", "01185,45763")


@pytest.mark.parametrize("text", WRITTEN)
def test_a_form_that_was_learned_is_read_by_the_driver_as_this_card(text: str) -> None:
    ((form, order),) = forms(text, CARD)
    assert parse_uid(text.encode(), ByteOrder(order.value), UidForm(form.value)) == CARD


@settings(max_examples=50)
@given(
    st.sampled_from((4, 7, 8)).flatmap(lambda size: st.binary(min_size=size, max_size=size)), st.booleans()
)
def test_what_a_reader_types_of_any_card_teaches_only_what_the_driver_reads_as_this_card(
    uid: bytes, turned: bool
) -> None:
    written = uid[::-1] if turned else uid
    for text in (written.hex(), written.hex(":").upper(), f"{int.from_bytes(written):020}"):
        found = forms(text, uid)
        assert found
        for form, order in found:
            assert parse_uid(text.encode(), ByteOrder(order.value), UidForm(form.value)) == uid


def test_one_card_teaches_how_a_reader_types_and_one_that_reads_alike_both_ways_nothing(
    tmp_path: Path,
) -> None:
    first, _ = two_scanners(tmp_path)
    one = session()
    one.ask(TAGS, bytes.fromhex("04A1A104"))
    assert one.heard(first, b"04A1A104") is Heard.UNCLEAR
    assert one.chosen == {}
    one.ask(TAGS, CARD)
    assert one.heard(first, b"3283263748") is Heard.CHOSEN
    reader = one.chosen[TAGS].reader
    assert isinstance(reader, SerialReader)
    assert (reader.uid_form.value, reader.uid_order.value) == ("dec4", "little")


@pytest.mark.parametrize("text", ["", "08010203", "04A1", "04A1B2C", "hello", "1234567890"])
def test_what_is_no_card_number_is_said(text: str) -> None:
    assert known_uid(text) is None


@pytest.mark.parametrize("name", ["gate-gpio.toml", "gate-readers.toml", "gate-tripod.toml"])
def test_every_example_reads_back_as_the_same_gate(name: str) -> None:
    whole = config.load(ROOT / "config" / name, {})
    assert config.load(toml_of(whole), {}) == whole


def test_a_whole_gate_is_written_whole_and_the_file_before_is_kept(tmp_path: Path) -> None:
    first, second = two_scanners(tmp_path / "box")
    one = session()
    one.plan({1: Lane('Nord "A"\n\x7f', two_way=True)})
    one.heard(first, one.ask(ENTRY).code.encode())
    assert [seat.way for seat in one.missing()] == [Way.EXIT]
    one.heard(second, one.ask(Seat(1, Way.EXIT, MediumSetting.BARCODE)).code.encode())
    one.boards["1-3"] = LcusRelay(id="relays", port="/dev/serial/by-path/relay", lines=2)
    one.assign("1-3", 0, 1, Way.ENTRY)
    assert one.relay_less() == ((1, Way.EXIT),)
    one.assign("1-3", 1, 1, Way.EXIT)
    assert (one.missing(), one.relay_less()) == ((), ())
    made = settings_of(one, Settings(lanes=()))
    path = tmp_path / "gate.toml"
    place(path, toml_of(made))
    assert config.load(path, {}) == made
    assert [reader.way for reader in made.lanes[0].readers] == [Way.ENTRY, Way.EXIT]
    place(path, toml_of(made).replace("exit_line = 1", "exit_line = 1\nhold_ms = 6000"))
    assert config.load(tmp_path / "gate.toml.bak", {}) == made
    with pytest.raises(config.ConfigErrors):
        place(path, toml_of(made).replace("exit_line = 1", "exit_line = 7"))
    assert config.load(path, {}).lanes[0].hold_ms == 6000
    # A second commissioning keeps what the page does not ask for.
    assert settings_of(one, config.load(path, {})).lanes[0].hold_ms == 6000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["box", "gate.toml", "gate.toml.bak"]
