"""The gate's TOML: settings as they were meant, or every error at once with its key, line and what is allowed."""

import copy
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from edge import config, config_rules
from edge.barrier_kinds import DEFAULTS
from edge.compose import guard_settings_of
from edge.config import CONFIG_BYTES_MAX, ERRORS_MAX, ConfigErrors, default_path, load, relays
from edge.config_lines import KeyPath, key_lines
from edge.settings import GpioRelay, LaneSettings, LcusRelay, SerialReader, Settings, Way
from tests.house import ROOT

LANE = """[[lanes]]
id = 1
name = "Lane"
[[lanes.readers]]
id = 1
way = "entry"
driver = "serial"
port = "/dev/a"
"""
BARRIER = """[[relays]]
id = "arm"
driver = "lcus"
port = "/dev/r"
lines = 2
[[inputs]]
id = "contacts"
driver = "modbus"
port = "/dev/i"
[[lanes]]
id = 1
name = "Lane"
relay = "arm"
entry_line = 0
exit_line = 1
inputs = "contacts"
entry_contact = 0
fire_contact = 7
[[lanes.readers]]
id = 1
way = "both"
driver = "serial"
port = "/dev/a"
"""
SECOND = """[[lanes]]
id = 2
name = "Other"
[[lanes.readers]]
id = 2
way = "entry"
driver = "serial"
port = "/dev/b"
"""


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(text, {})
    return [str(error) for error in caught.value.errors]


def test_what_is_not_said_has_its_default() -> None:
    made = load(LANE, {})
    assert made.lanes[0].readers == (SerialReader(id=1, way=Way.ENTRY, port="/dev/a"),)
    assert (made.gate.data, made.page.port, made.lanes[0].hold_ms) == ("/var/lib/gatehouse", 8443, 5000)


def test_systemd_says_where_things_are() -> None:
    folders = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two", "CONFIGURATION_DIRECTORY": "/etc/x:/etc/y"}
    assert load(LANE, folders).gate.data == "/var/lib/one"
    assert load('[gate]\ndata = "/srv/gate"\n' + LANE, folders).gate.data == "/srv/gate"
    assert default_path(folders) == Path("/etc/x/gate.toml")
    assert default_path({}) == Path("/etc/gatehouse/gate.toml")


def test_all_errors_come_at_once_in_the_order_of_the_file() -> None:
    text = """[gate]
nmae = "North"
language = "DE"
[page]
port = 70000
tls = "yes"
hold_ms = 1
[lgo]
[[relays]]
id = "arm"
driver = "relay"
[[lanes]]
id = 0
name = ""
relay = "amr"
entry_line = -1
[[lanes.readers]]
id = 1
way = "in"
prot = "/dev/a"
drivr = "serial"
[[lanes.readers]]
id = 1
way = "entry"
driver = "serial"
baud = 9600.0
accept_bytes = "7"
"""
    assert errors(text) == [
        "line 2: gate.nmae: there is no such key; did you mean name?",
        'line 3: gate.language: \'DE\' is not allowed; did you mean de? (allowed: "de", "fr", "it", "en")',
        "line 5: page.port: 70000 is not allowed (allowed: a whole number from 0 to 65535)",
        "line 6: page.tls: 'yes' is not allowed (allowed: true or false)",
        "line 7: page.hold_ms: there is no such key (allowed: hold_ms belongs to [[lanes]])",
        "line 8: lgo: there is no such key; did you mean log?",
        (
            'line 11: relays[0].driver: \'relay\' is not allowed (allowed: "lcus", "gpio", "modbus", '
            '"kmtronic", "numato", "hid", "adalight", "ws2812")'
        ),
        "line 13: lanes[0].id: 0 is not allowed (allowed: a whole number from 1 to 65535)",
        "line 14: lanes[0].name: '' is not allowed (allowed: a text of 1 to 64 characters)",
        "line 15: lanes[0].relay: no relay is called 'amr'; did you mean arm? (allowed: \"arm\")",
        "line 16: lanes[0].entry_line: -1 is not allowed (allowed: a whole number from 0 to 63)",
        (
            "line 17: lanes[0].readers[0].driver: is missing; did you mean driver where it says drivr? "
            '(allowed: "serial", "wedge", "ssi", "tcp", "batch", "hidpos", "pn532", "twn4", "pcsc", "osdp", "wiegand")'
        ),
        "line 22: lanes[0].readers[1].port: is missing (allowed: a text of 1 to 4096 characters)",
        "line 23: lanes[0].readers[1].id: another reader has the id 1 already (allowed: an id of its own)",
        "line 26: lanes[0].readers[1].baud: 9600.0 is not allowed (allowed: a whole number from 300 to 4000000)",
        (
            "line 27: lanes[0].readers[1].accept_bytes: '7' is not allowed "
            "(allowed: up to 32 bytes in hexadecimal, such as 07)"
        ),
    ]


def test_the_errors_read_as_a_block(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("[gate]\nnmae = 1\n")
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 2 errors",
        "  lanes: is missing (allowed: tables)",
        "  line 2: gate.nmae: there is no such key; did you mean name?",
    ]
    assert caught.value.exit_code == 78
    assert "gatehouse-edge check" in caught.value.hint


def test_a_gate_that_contradicts_nothing_loads() -> None:
    made = load(BARRIER, {})
    assert made.lanes[0].fire_contact == 7


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "exit_line = 1",
            "exit_line = 2",
            "exit_line: the board has no line 2 (allowed: 0 to 1: lines count",
        ),
        ("fire_contact = 7", "fire_contact = 8", "fire_contact: the board has no line 8"),
        (
            "fire_contact = 7",
            "fire_contact = 0",
            "fire_contact: this input is entry_contact of lanes[0] already",
        ),
        (
            "exit_line = 1\n",
            "",
            "readers[0].way: this reader lets people out, but the lane's barrier has no line",
        ),
        ("entry_line = 0\n", "", "readers[0].way: this reader lets people in, but"),
        ("entry_line = 0\nexit_line = 1\n", "", "relay: no line of this relay is used"),
        ("entry_contact = 0\nfire_contact = 7\n", "", "inputs: no line of this board is used"),
        (
            'inputs = "contacts"',
            'inputs = "contact"',
            "no input board is called 'contact'; did you mean contacts?",
        ),
        (
            "lines = 2",
            "lines = 3",
            "relays[0].lines: there is no LCUS board with 3 relays (allowed: 1, 2, 4 or 8)",
        ),
        ("lines = 2\n", "", "exit_line: the board has no line 1 (allowed: 0, its only line)"),
        ("lines = 2", "lines = 2\npulse_max_ms = 200", "relay: pulses of 300 ms are longer than the relay's"),
        ("/dev/a", "/dev/r", "readers[0].port: this port is used by relays 'arm' already"),
        ("/dev/i", "/dev/r", "inputs[0].port: this port is used by relays 'arm' already"),
        ("/dev/a", "ttyUSB0", "readers[0].port: 'ttyUSB0' is no device path"),
        (
            'port = "/dev/i"',
            'port = "/dev/i"\nactive_low = [8]',
            "inputs[0].active_low[0]: this board has no line 8",
        ),
        ("[[relays]]", '[gate]\ndata = "data"\n[[relays]]', "gate.data: this path depends on where"),
        ("[[relays]]", '[page]\nlisten = "here"\n[[relays]]', "page.listen: this is no address"),
        ("[[relays]]", "[centre]\npoll_s = nan\n[[relays]]", "centre.poll_s: nan is not allowed"),
        ("[[relays]]", "[centre]\npoll_s = inf\n[[relays]]", "centre.poll_s: inf is not allowed"),
        ("id = 1\nway", "id = true\nway", "readers[0].id: true is not allowed"),
        ("id = 1\nway", "id = 1979-05-27\nway", "readers[0].id: 1979-05-27 is not allowed"),
        ("/dev/a", r"/dev/a\u0000b", r"readers[0].port: '/dev/a\x00b' is not allowed"),
    ],
)
def test_one_wrong_thing_is_one_error(old: str, new: str, expected: str) -> None:
    assert BARRIER.count(old) == 1
    (found,) = errors(BARRIER.replace(old, new))
    assert expected in found
    assert found.startswith("line ")


@pytest.mark.parametrize(
    ("board", "keys"),
    [
        ("relay", ["entry_line: there is no relay", "exit_line: there is no relay"]),
        ("inputs", ["entry_contact: there is no input board", "fire_contact: there is no input board"]),
    ],
)
def test_a_line_needs_its_board(board: str, keys: list[str]) -> None:
    text = "\n".join(line for line in BARRIER.splitlines() if not line.startswith(f"{board} ="))
    assert [error.split("lanes[0].")[1].split(" for")[0] for error in errors(text)] == keys


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (SECOND.replace("id = 2\nname", "id = 1\nname"), "lanes[1].id: another lane has the id 1 already"),
        (SECOND.replace("id = 2\nway", "id = 1\nway"), "lanes[1].readers[0].id: another reader has the id 1"),
        (
            SECOND.replace("/dev/b", "/dev/a"),
            "lanes[1].readers[0].port: this port is used by readers 1 already",
        ),
        (
            SECOND.replace('"Other"', '"Other"\nrelay = "arm"\nentry_line = 1'),
            "lanes[1].entry_line: another lane uses this output line",
        ),
        (
            SECOND.replace('"Other"', '"Other"\ninputs = "contacts"\nready_contact = 7'),
            "lanes[1].ready_contact: this input is fire_contact of lanes[0] already",
        ),
        (
            SECOND.replace("serial", "wedge").replace('port = "/dev/b"\n', ""),
            "lanes[1].readers[0]: nothing says which keyboard this reader is",
        ),
    ],
)
def test_what_two_lanes_may_not_share(second: str, expected: str) -> None:
    (found,) = errors(BARRIER + second)
    assert expected in found


def test_what_two_lanes_may_share() -> None:
    shared = SECOND.replace('"Other"', '"Other"\ninputs = "contacts"\nfire_contact = 7')
    assert len(load(BARRIER + shared, {}).lanes) == 2
    strike = BARRIER.replace("exit_line = 1", "exit_line = 0")
    assert load(strike, {}).lanes[0].exit_line == 0


def test_two_scanners_of_a_kind_need_their_sockets() -> None:
    wedge = SECOND.replace("serial", "wedge").replace('port = "/dev/b"', 'usb = "05e0:1200"')
    third = wedge.replace("id = 2", "id = 3").replace("1200", "1200")
    (found,) = errors(BARRIER + wedge + third)
    assert "lanes[2].readers[0].usb: what this reader is found by (usb_port tells two" in found
    told_apart = third.replace('"05e0:1200"', '"05e0:1200"\nusb_port = "usb-1/input0"')
    assert len(load(BARRIER + wedge + told_apart, {}).lanes) == 3


def test_lines_of_one_chip_have_one_owner() -> None:
    gpio = """[[relays]]
id = "a"
driver = "gpio"
chip = "c"
offsets = [4, 4, 5]
[[inputs]]
id = "b"
driver = "gpio"
chip = "c"
offsets = [5]
"""
    assert errors(gpio + LANE) == [
        "line 5: relays[0].offsets[1]: this line is named twice (allowed: each line of the chip once, as gpioinfo shows it)",
        "line 5: relays[0].offsets[1]: this line is used by relays 'a' already (allowed: one of its own)",
        "line 10: inputs[0].offsets[0]: this line is used by relays 'a' already (allowed: one of its own)",
    ]


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("a = 1\nb =\n", 2, "invalid value"),
        ("a = 1\na = 2\n", 2, "cannot overwrite a value"),
        ('a = 1\nb = "x', 2, "unterminated string"),
        ("a = " + "9" * 5000, 0, "a value cannot be read"),
        ("a = " + "[" * 20_000, 0, "nested too deeply"),
    ],
)
def test_what_is_no_toml_says_where(text: str, line: int, wrong: str) -> None:
    (found,) = errors(text)
    assert wrong in found
    assert found.startswith(f"line {line}: ") or line == 0


@pytest.mark.parametrize("content", [b"a = \xff\n", b"# " + b"x" * CONFIG_BYTES_MAX, None])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "gate.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    assert len(caught.value.errors) == 1
    assert str(path) in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load(tmp_path)


def test_a_flood_of_errors_is_cut() -> None:
    text = "".join(f"key{number} = 1\n" for number in range(1000)) + LANE
    with pytest.raises(ConfigErrors) as caught:
        load(text, {})
    assert len(caught.value.errors) == ERRORS_MAX
    assert str(caught.value).endswith(f"and {1000 - ERRORS_MAX} more")


def test_a_wrong_value_is_repeated_shortened_and_harmless() -> None:
    (found,) = errors(LANE.replace('"entry"', '"\\u001b[31m' + "x" * 1000 + '"'))
    assert "\x1b" not in found
    assert len(found) < 200


ONE_BOARD = BARRIER.replace('"lcus"', '"modbus"').replace("lines = 2", "lines = 2\ninputs = 8")
ONE_BOARD = ONE_BOARD.replace('driver = "modbus"\nport = "/dev/i"', 'driver = "relay"\nrelay = "arm"')


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "inputs = 8\n",
            "",
            "inputs[0].relay: no inputs of the relay 'arm' are read (allowed: say at the relay",
        ),
        (
            'relay = "arm"\n[[lanes]]',
            'relay = "am"\n[[lanes]]',
            "inputs[0].relay: no relay is called 'am'; did you",
        ),
        (
            "fire_contact = 7",
            "fire_contact = 8",
            "lanes[0].fire_contact: the board has no line 8 (allowed: 0 to 7",
        ),
        (
            'relay = "arm"\n[[lanes]]',
            'relay = "arm"\nactive_low = [8]\n[[lanes]]',
            "inputs[0].active_low[0]: this board has no line 8",
        ),
        (
            "[[lanes]]\nid",
            '[[inputs]]\nid = "more"\ndriver = "relay"\nrelay = "arm"\n[[lanes]]\nid',
            "inputs[1].relay: another input board reads this relay's inputs",
        ),
    ],
)
def test_the_inputs_of_a_relay_board(old: str, new: str, expected: str) -> None:
    assert load(ONE_BOARD, {}).lanes
    assert ONE_BOARD.count(old) == 1
    (found,) = errors(ONE_BOARD.replace(old, new))
    assert expected in found


BUS = ONE_BOARD.replace("inputs = 8\n", "inputs = 8\nunits = [1, 2]\n")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "units = [1, 2]",
            "units = [1, 2, 1]",
            "relays[0].units[2]: unit 1 is named twice (allowed: each board",
        ),
        (
            "units = [1, 2]",
            "units = [1, 2]\nunit = 1",
            "relays[0].unit: units names the boards on this bus already",
        ),
        (
            "units = [1, 2]",
            "units = [1, 248]",
            "relays[0].units[1]: 248 is not allowed (allowed: a whole number",
        ),
        (
            "units = [1, 2]",
            "units = 2",
            "relays[0].units: 2 is not allowed (allowed: a list, each entry a whole",
        ),
        ("units = [1, 2]", "units = [1, 2, 3, 4, 5]", "relays[0].units: 5 entries are not allowed"),
        ("units = [1, 2]", "units = []", "relays[0].units: 0 entries are not allowed"),
        (
            "units = [1, 2]",
            "units = [1, 2]\nflash = false",
            "relays[0].flash: boards that share a bus have to end",
        ),
        ("lines = 2\n", "lines = 32\npoll_ms = 10\n", ""),
        ("units = [1, 2]", "units = [1, 2, 3]", ""),
        (
            "inputs = 8\nunits = [1, 2]",
            "inputs = 30\nunits = [1, 2, 3]",
            "relays[0].inputs: 3 boards with 30 each are 90",
        ),
        ("exit_line = 1", "exit_line = 3", ""),
        ("exit_line = 1", "exit_line = 4", "lanes[0].exit_line: the board has no line 4 (allowed: 0 to 3"),
        ("fire_contact = 7", "fire_contact = 15", ""),
        (
            "fire_contact = 7",
            "fire_contact = 16",
            "lanes[0].fire_contact: the board has no line 16 (allowed: 0 to 15",
        ),
    ],
)
def test_several_boards_on_one_bus(old: str, new: str, expected: str) -> None:
    assert load(BUS, {}).lanes
    assert BUS.count(old) == 1
    text = BUS.replace(old, new)
    if not expected:
        assert load(text, {}).lanes
        return
    (found,) = errors(text)
    assert expected in found


def test_a_bus_is_one_guard_with_every_board_and_a_single_unit_is_what_it_was() -> None:
    def options(text: str) -> Mapping[str, object]:
        return guard_settings_of(load(text, {}).relays[0]).options

    assert options(BUS)["units"] == [1, 2]
    alone = options(BUS.replace("[1, 2]", "[5]"))
    assert (alone["unit"], "units" in alone) == (5, False)
    assert options(ONE_BOARD)["unit"] == 1


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("exit_button = 6\n", ""),
        ("companions = 1\n", "companions: this kind of barrier lets one person through an opening"),
        ('companions = 1\nbarrier = "swing_gate"\n', ""),
        ("door_contact = 0\n", "door_contact: this input is entry_contact of lanes[0] already"),
        ("fault_contact = 8\n", "fault_contact: the board has no line 8"),
        ("contacts_show_power = true\n", "contacts_show_power: one passage contact alone says nothing"),
        ('barrier = "turnstile"\n', 'barrier: \'turnstile\' is not allowed (allowed: "tripod", "speed_gate"'),
        (
            'barrier = "door"\n',
            "relay: pulses of 5000 ms are longer than the relay's pulse_max_ms (allowed: up to 1000",
        ),
        ('barrier = "door"\npulse_ms = 500\n', ""),
    ],
)
def test_a_kind_of_barrier(key: str, expected: str) -> None:
    text = BARRIER.replace("fire_contact", f"{key}fire_contact")
    if not expected:
        assert load(text, {}).lanes
        return
    (found,) = errors(text)
    assert expected in found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "entry_contact = 0\n",
            'companions = 1\nbarrier = "swing_gate"\n',
            "companions: nothing sees how many people walk through",
        ),
        (
            'relay = "arm"\nentry_line = 0\nexit_line = 1\n',
            "exit_button = 1\n",
            "exit_button: nothing opens when this",
        ),
    ],
)
def test_a_barrier_that_lacks_something(old: str, new: str, expected: str) -> None:
    assert BARRIER.count(old) == 1
    (found,) = errors(BARRIER.replace(old, new))
    assert expected in found


def test_each_kind_of_barrier_has_lengths_of_its_own_where_none_are_set() -> None:
    for kind, lengths in DEFAULTS.items():
        text = LANE.replace('name = "Lane"', f'name = "Lane"\nbarrier = "{kind}"')
        (lane,) = load(text, {}).lanes
        assert {key: getattr(lane, key) for key in lengths} == dict(lengths)
        (lane,) = load(text.replace("barrier", "hold_ms = 7000\nbarrier"), {}).lanes
        assert lane.hold_ms == 7000
    plain = LaneSettings(id=1, name="Lane", readers=load(LANE, {}).lanes[0].readers)
    assert load(LANE, {}).lanes == (plain,), "a lane that says no kind is a tripod"


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        (
            'driver = "kmtronic"\nport = "/dev/r"\nlines = 3',
            "there is no KMTronic board with 3 relays (allowed: 1, 2, 4 or 8)",
        ),
        (
            'driver = "numato"\nport = "/dev/r"\nlines = 3',
            "there is no Numato module with 3 relays (allowed: 1, 2, 4, 8, 16 or 32)",
        ),
        ('driver = "hid"\nlines = 3', "there is no HID relay board with 3 relays"),
        (
            'driver = "hid"\nlines = 2\nname = "TOOLONG"',
            "name: 'TOOLONG' is not allowed (allowed: the five characters",
        ),
        ('driver = "hid"\nlines = 2\ndevice = "hidraw0"', "device: 'hidraw0' is no device path"),
        (
            'driver = "hid"\nlines = 2\n[[relays]]\nid = "two"\ndriver = "hid"',
            "what this board is found by (usb_port or name tells two of a kind apart) is used by relays 'arm' already",
        ),
    ],
)
def test_the_other_relay_boards(board: str, expected: str) -> None:
    (found,) = errors(BARRIER.replace('driver = "lcus"\nport = "/dev/r"\nlines = 2', board))
    assert expected in found


def test_relays_are_found_whatever_else_is_wrong() -> None:
    text = """
hold = 1
[[relays]]
id = "a"
driver = "lcus"
port = "/dev/r"
[[relays]]
id = "b"
driver = "lcus"
[[relays]]
id = "c"
driver = "gpio"
chip = "x"
offsets = [1]
"""
    assert relays(text) == (LcusRelay(id="a", port="/dev/r"), GpioRelay(id="c", chip="x", offsets=(1,)))
    assert relays("relays = 3") == ()


# --- laws --------------------------------------------------------------------------------------------------------------

EXAMPLES = [tomllib.loads(path.read_text()) for path in sorted((ROOT / "config").glob("*.toml"))]
VALUES = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-1, 70),
    st.sampled_from([300, 1000, 65_535, 65_536, 600_000, 600_001, "", "entry", "uid", "07", "lcus", "gpio"]),
    st.floats(),
    st.booleans(),
    st.text(max_size=70),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-1, 70), max_size=3),
)


def places(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


@st.composite
def altered(draw: st.DrawFn) -> dict[str, object]:
    """An example with a few values changed, keys removed and keys added."""
    table: dict[str, object] = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    owner: Any
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(sorted(places(table), key=repr)))
        owner = table
        for key in path[:-1]:
            owner = owner[key]
        what = draw(st.integers(0, 9))
        if what == 0 and isinstance(owner, dict):
            del owner[path[-1]]
        elif what == 1 and isinstance(owner, dict):
            owner[draw(st.text(max_size=10))] = draw(VALUES)
        else:
            owner[path[-1]] = draw(VALUES)
    return table


@settings(max_examples=200)
@given(altered())
def test_what_passes_is_what_msgspec_takes(table: dict[str, object]) -> None:
    """The walk that names all errors and the types themselves never disagree, but for `nan` and NUL."""
    found = list(config._Shape().errors(inspect.type_info(Settings), copy.deepcopy(table), ()))
    try:
        msgspec.convert(table, Settings)
    except msgspec.ValidationError:
        assert found
    else:
        assert [one for one in found if "nan" not in one.wrong and "\\x00" not in one.wrong] == []


@settings(max_examples=200)
@given(altered())
@example({"lanes": [{"readers": [{"driver": ["serial"], "id": {}}]}], "relays": [{"id": [1], "driver": {}}]})
@example({"gate": 1, "page": [], "lanes": {"id": 1}, "relays": [1], "inputs": [{"offsets": {"a": 1}}]})
def test_the_rules_take_any_table(table: dict[str, object]) -> None:
    for path, wrong, _ in config_rules.problems(table):
        assert wrong
        assert isinstance(path, tuple)


TRICKY = '''# [no] table
top = 1 # "
"quoted \\u0041 key" = [ # ]
  1, "]", # ,
  [2, 3],
  { a = 1, b.c = """two
lines, } ] """ },
]

[ a . "b.c" ] # comment
x.y . z = \'\'\'raw \\
""" }
\'\'\'
t = 1979-05-27T07:32:00Z
[[list]]
[[list.inner]]
k = 1
[[list.inner]]
k = 2
[list.table]
k = """a""\\""""
[[list]]
[[list.inner]]
k = 3
'''


def test_every_key_of_a_tricky_text_has_its_line() -> None:
    lines = key_lines(TRICKY)
    wanted: dict[KeyPath, int] = {
        ("top",): 2,
        ("quoted A key",): 3,
        ("quoted A key", 0): 4,
        ("quoted A key", 1): 4,
        ("quoted A key", 2): 5,
        ("quoted A key", 3, "b", "c"): 6,
        ("a", "b.c"): 10,
        ("a", "b.c", "x", "y", "z"): 11,
        ("a", "b.c", "t"): 14,
        ("list", 0): 15,
        ("list", 0, "inner", 0, "k"): 17,
        ("list", 0, "inner", 1, "k"): 19,
        ("list", 0, "table", "k"): 21,
        ("list", 1): 22,
        ("list", 1, "inner", 0, "k"): 24,
    }
    assert {path: lines.get(path) for path in wanted} == wanted
    assert set(places(tomllib.loads(TRICKY))) <= set(lines)


KEYS = st.sampled_from(["a", "b-1", '"q.\\"# \\\\"', "'l i'", "a.b", '" ".c', "3"])
SCALARS = st.sampled_from(
    [
        "1",
        "-1.5e3",
        "true",
        '"#"',
        "''",
        '"""\n]"""',
        "''''x'''",
        "[]",
        "[1,\n 2,]",
        "{}",
        "{ x = [1], y.z = '}' }",
    ]
)
STATEMENTS = st.one_of(
    st.tuples(KEYS, SCALARS, st.sampled_from(["", " # [c]"])).map(lambda t: f"{t[0]} = {t[1]}{t[2]}"),
    KEYS.map(lambda key: f"[{key}]"),
    KEYS.map(lambda key: f"  [[ {key} ]] # ]"),
    st.just(""),
)


@settings(max_examples=200)
@given(st.lists(STATEMENTS, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_value_that_tomllib_reads_has_a_line(statements: list[str], end: str) -> None:
    text = end.join(statements)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)
    assert set(places(table)) <= set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@settings(max_examples=100)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda b: b.decode(errors="replace"))))
def test_any_text_is_settings_or_errors(text: str) -> None:
    with pytest.raises(ConfigErrors):
        load(text, {})
