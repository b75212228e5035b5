"""A gate that is commissioned once more keeps all that nobody touched."""

import pytest
from msgspec.structs import replace

from edge import config
from edge.commission.candidates import candidates
from edge.commission.contacts import Contact, Wired
from edge.commission.inventory import Inventory, Node, NodeKind, Plugged
from edge.commission.kept import away, bind, kept
from edge.commission.made import settings_of
from edge.commission.remarks import LOST, with_remarks
from edge.commission.session import Chosen, Heard, Lane, Seat
from edge.commission.toml_text import HEAD, toml_of
from edge.settings import LcusRelay, MediumSetting, ModbusRelay, RelayInputs, SerialReader, Settings, Way
from tests.house import ROOT

EXAMPLES = sorted(path.name for path in (ROOT / "config").glob("gate-*.toml"))


def letters(count: int) -> str:
    return "B" * count


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_gate_that_nobody_touches_stays_as_it_was(name: str) -> None:
    before = config.load(ROOT / "config" / name, {})
    again = settings_of(kept(before, letters), before)
    assert again == before
    assert config.load(toml_of(again), {}) == before


@pytest.mark.parametrize("name", EXAMPLES)
def test_comments_stay_where_they_stood_and_none_is_lost(name: str) -> None:
    text = (ROOT / "config" / name).read_text()
    before = config.load(text, {})
    remarks = [line.strip() for line in text.splitlines() if line.startswith("#")]
    for _ in range(2):
        text = with_remarks(toml_of(before), text)
        assert config.load(text, {}) == before
        assert [one for one in remarks if one not in text] == []


def test_a_comment_stays_beside_its_key_and_one_without_a_place_goes_to_the_head() -> None:
    before = (
        '# North\n[gate]\nname = "N # 1"  # over the door\n[[lanes]]\nid = 2\nname = "B"\n# PERCo\nhold_ms = 6000\n'
        '[[lanes]]\nid = 1\nname = "A"\n# the old one\nhold_ms = 4000\n# the end\n'
    )
    text = HEAD + '[gate]\nname = "N # 1"\n\n[[lanes]]\nid = 2\nname = "B"\nhold_ms = 7000\n'
    assert with_remarks(text, before) == (
        HEAD
        + f'{LOST}# the old one\n# North\n[gate]\nname = "N # 1"  # over the door\n\n[[lanes]]\nid = 2\nname = "B"\n'
        "# PERCo\nhold_ms = 7000\n# the end\n"
    )


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\u2029"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_name_or_comment_that_was_pasted_with_a_line_end_of_its_own_stays_whole(
    end: str, line_end: str
) -> None:
    """A word processor's, which TOML lets stand: the rest would be read as a table."""
    pasted = f"Nord{end}[page]{end}tls = false"
    read = config.load((ROOT / "config" / EXAMPLES[0]).read_text(), {})
    lanes = tuple(replace(one, name=pasted) for one in read.lanes)
    made = replace(read, gate=replace(read.gate, name=pasted), lanes=lanes)
    text = toml_of(made)
    before = f"# said by {pasted}\n{text}".replace("\n", line_end)
    again = with_remarks(text, before)
    assert config.load(again, {}) == made
    assert f"# said by {pasted}\n" in again


def test_comments_within_a_list_stand_above_it_with_their_values() -> None:
    before = (
        '[[relays]]\nid = "hat"\n# the HAT\noffsets = [  # BCM\n    26,  # North # 1\n    # free: 21\n    20, 16,  # South\n]  # 3 of 8\n'
        'driver = "gpio"\n[[lanes]]\nid = 1\nsources = [\n    "a # [b",  # a handheld\n    "c = d",\n]\nname = "A"  # the last\n'
    )
    text = (
        '[[relays]]\ndriver = "gpio"\nid = "hat"\noffsets = [26, 20]\n\n'
        '[[lanes]]\nid = 1\nname = "A"\nsources = ["a # [b"]\n'
    )
    once = with_remarks(text, before)
    assert once == (
        '[[relays]]\ndriver = "gpio"\nid = "hat"\n# the HAT\n# 26: North # 1\n# free: 21\n# 20, 16: South\n# 3 of 8\n'
        "offsets = [26, 20]  # BCM\n\n"
        '[[lanes]]\nid = 1\nname = "A"  # the last\n# "a # [b": a handheld\nsources = ["a # [b"]\n'
    )
    assert with_remarks(text, once) == once


def tripod() -> Settings:
    """A gate with things that only a file says: feedback of a scanner, lamps, a fault contact, a relay board's speed."""
    return config.load(
        """
        [gate]
        name = "North"
        [[relays]]
        id = "box"
        driver = "modbus"
        port = "/dev/relays"
        lines = 8
        baud = 19200
        [[inputs]]
        id = "side"
        driver = "modbus"
        port = "/dev/contacts"
        active_low = [5]
        [[lanes]]
        id = 4
        name = "Tripod"
        relay = "box"
        entry_line = 2
        green_line = 6
        inputs = "side"
        entry_contact = 0
        fault_contact = 5
        hold_ms = 7000
        [[lanes.readers]]
        id = 9
        way = "entry"
        driver = "serial"
        port = "/dev/scanner"
        baud = 115200
        accept_bytes = "07"
        """,
        {},
    )


def plugged(place: str, port: str) -> Plugged:
    return Plugged(place, "1a86:7523", nodes=(Node(NodeKind.SERIAL, port),))


def test_a_reader_that_is_shown_again_keeps_its_number_and_what_only_the_file_says() -> None:
    before = tripod()
    session = kept(before, letters)
    found = Inventory((plugged("1-1", "/dev/scanner"), plugged("1-2", "/dev/relays")))
    bind(session, found)
    assert away(session) == ("modbus · /dev/contacts",)
    (scanner, _) = (session.as_before(one) for one in candidates(found))
    seat = Seat(4, Way.ENTRY, MediumSetting.BARCODE)
    assert session.chosen[seat].key == "1-1"
    assert session.heard(scanner, session.ask(seat).code.encode()) is Heard.CHOSEN
    assert settings_of(session, before) == before
    # Another one in its place: its number is the seat's, the rest its own.
    (other,) = candidates(Inventory((plugged("1-3", "/dev/other"),)))
    assert session.heard(other, session.ask(seat).code.encode()) is Heard.CHOSEN
    (reader,) = settings_of(session, before).lanes[0].readers
    assert reader == SerialReader(id=9, way=Way.ENTRY, port="/dev/other")


def test_a_board_that_is_swapped_takes_the_barrier_with_it_and_leaves_the_lamps_where_they_hang() -> None:
    before = tripod()
    session = kept(before, letters)
    bind(session, Inventory((plugged("1-2", "/dev/relays"),)))
    # What the page was told of a board that it knows does not undo what the file says of it.
    session.use_board("1-2", ModbusRelay(id="relays", port="/dev/relays", lines=4))
    assert settings_of(session, before).relays[0] == replace(
        before.relays[0], lines=7
    )  # a lamp is on the seventh
    session.use_board("1-9", LcusRelay(id="relays", port="/dev/new", lines=2))
    session.assign("1-9", 1, 4, Way.ENTRY)
    after = settings_of(session, before)
    assert config.load(toml_of(after), {}) == after
    (lane,) = after.lanes
    assert (lane.relay, lane.entry_line, lane.lamp_relay, lane.green_line) == ("relays", 1, "box", 6)
    assert lane == replace(before.lanes[0], relay="relays", entry_line=1, lamp_relay="box")
    assert [one.id for one in after.relays] == ["box", "relays"]


def test_several_boards_on_one_bus_stay_as_the_file_has_them() -> None:
    before = tripod()
    bus = ModbusRelay(id="box", port="/dev/relays", units=(1, 2), lines=4, inputs=4)
    before = replace(before, relays=(bus,))
    session = kept(before, letters)
    bind(session, Inventory((plugged("1-2", "/dev/relays"),)))
    session.use_board("1-2", ModbusRelay(id="relays", port="/dev/relays", lines=8))
    session.watch("1-2", RelayInputs(id="contacts", relay="box"), 8)
    after = settings_of(session, before)
    assert config.load(toml_of(after), {}) == after
    assert after.relays == (bus,)


def test_a_lane_that_is_added_or_a_contact_that_is_moved_leaves_the_others_alone() -> None:
    before = tripod()
    session = kept(before, letters)
    session.plan({4: Lane("Tripod"), 1: Lane("Door")}, "North")
    reader = SerialReader(id=1, way=Way.ENTRY, port="/dev/door")
    session.chosen[Seat(1, Way.ENTRY, MediumSetting.BARCODE)] = Chosen("1-8", "x", reader)
    session.lanes[4].contacts[Contact.READY] = Wired("away:contacts side", 3, active_low=False)
    after = settings_of(session, before)
    assert after.lanes[0] == replace(before.lanes[0], ready_contact=3)
    assert (after.relays, after.inputs) == (before.relays, before.inputs)
    assert [one.id for one in after.lanes[1].readers] == [1]
