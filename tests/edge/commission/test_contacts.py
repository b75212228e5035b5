"""A contact is learned by moving it once: which input it is, and which of its levels means something."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Inputs
from drivers.inputs.gpio import GpioInputs as Gpio
from drivers.sims.gpio_chip import SimChip, SimChips
from drivers.sims.numato_module import NumatoModule
from drivers.transport.gpiochip import Bias, InputLine
from edge import config
from edge.__main__ import _devices
from edge.commission.candidates import header_lines
from edge.commission.contacts import Contact, Learning, Wired
from edge.commission.made import settings_of
from edge.commission.session import Chosen, Commissioning, Lane
from edge.commission.shell import Shell
from edge.commission.toml_text import toml_of
from edge.devices import Devices
from edge.settings import (
    GpioInputs,
    InputSettings,
    ModbusInputs,
    NumatoRelay,
    RelayInputs,
    SerialReader,
    Settings,
    Way,
)
from tests.edge.commission.box import Box

PI = "pinctrl-rp1"


@given(
    st.sampled_from(Contact),
    st.lists(st.booleans(), min_size=1, max_size=8).flatmap(
        lambda levels: st.tuples(st.just(levels), st.integers(0, len(levels) - 1))
    ),
)
def test_the_input_that_moves_is_the_contact_whatever_its_rest(
    contact: Contact, box: tuple[list[bool], int]
) -> None:
    levels, line = box
    one = Learning(1, contact, {("board", at): level for at, level in enumerate(levels)})
    assert one.changed("board", line, active=not levels[line]) is None
    found = one.changed("board", line, active=levels[line])
    assert found is not None
    assert (found.key, found.line) == ("board", line)
    # At rest a turnstile is ready, and tells of no passage and no fire.
    means = levels[line] is not found.active_low
    assert means is (contact is Contact.READY)


def test_two_that_move_teach_nothing_and_one_alone_does_afterwards() -> None:
    one = Learning(1, Contact.ENTRY, {("board", line): False for line in range(4)})
    for active in (True, False):
        for line in (0, 3):
            assert one.changed("board", line, active=active) is None
    unclear = [one.is_unclear]
    assert one.changed("board", 2, active=True) is None
    assert [*unclear, one.is_unclear] == [True, False]
    assert one.changed("board", 2, active=False) == Wired("board", 2, active_low=False)


def lanes() -> Commissioning:
    session = Commissioning(lambda count: "B" * count)
    session.plan({1: Lane("North"), 2: Lane("South")})
    for at, lane in enumerate(session.lanes, 1):
        seat = session.missing()[0]
        reader = SerialReader(id=at, way=Way.ENTRY, port=f"/dev/scanner{lane}")
        session.chosen[seat] = Chosen(reader.port, reader.port, reader)
    return session


def move(session: Commissioning, key: str, line: int, *, rest: bool = False) -> None:
    for active in (rest, not rest, rest):
        session.changed(key, line, active=active)


def test_lanes_share_the_fire_contact_and_nothing_else() -> None:
    session = lanes()
    session.watch("board", ModbusInputs(id="x", port="/dev/contacts"), 8)
    for lane in (1, 2):
        session.move(lane, Contact.FIRE)
        move(session, "board", 7, rest=True)
    session.move(1, Contact.ENTRY)
    move(session, "board", 0)
    session.move(2, Contact.ENTRY)
    move(session, "board", 0)  # that is the other lane's
    assert session.moving is not None
    move(session, "board", 1)
    made = settings_of(session, Settings(lanes=()))
    assert config.load(toml_of(made), {}) == made
    assert [(one.fire_contact, one.entry_contact) for one in made.lanes] == [(7, 0), (7, 1)]
    assert made.inputs == (ModbusInputs(id="contacts", port="/dev/contacts", active_low=(7,)),)


def test_of_the_header_only_the_lines_in_use_are_written() -> None:
    session = lanes()
    session.watch(f"gpio:{PI}", GpioInputs(id="x", chip=PI, offsets=tuple(range(2, 28))), 26)
    for contact, line in ((Contact.ENTRY, 22), (Contact.READY, 17)):
        session.move(1, contact)
        move(session, f"gpio:{PI}", line, rest=contact is Contact.READY)
    made = settings_of(session, Settings(lanes=()))
    assert config.load(toml_of(made), {}) == made
    assert made.inputs == (GpioInputs(id="contacts", chip=PI, offsets=(17, 22)),)
    assert (made.lanes[0].ready_contact, made.lanes[0].entry_contact) == (0, 1)


@pytest.mark.parametrize(
    ("label", "free", "lines"),
    [
        (PI, (0, 2, 14, 27, 28, 40), (2, 14, 27)),
        ("raspberrypi-exp-gpio", (0, 1, 2), ()),
        ("mcp23017", (0, 15), (0, 15)),
    ],
)
def test_only_pins_for_others_are_read(label: str, free: tuple[int, ...], lines: tuple[int, ...]) -> None:
    assert header_lines(label, free) == lines


def _simulated(folder: Path) -> Devices:
    """The devices of a real box, with GPIO chips of a folder."""
    chips, real = SimChips(str(folder)), _devices()

    def inputs(settings: InputSettings) -> Inputs:
        if not isinstance(settings, GpioInputs):
            return real.inputs(settings)
        lines = [InputLine(one, False, Bias.PULL_UP, 10) for one in settings.offsets]
        return Gpio(chips, settings.chip, lines)

    def free() -> dict[str, tuple[int, ...]]:
        return {label: chips.free(path) for label, path in chips.labels().items()}

    return replace(real, inputs=inputs, free_gpio=free)


async def test_contacts_of_the_header_and_of_a_relay_board_are_learned_from_the_devices(
    tmp_path: Path,
) -> None:
    chip = SimChip(str(tmp_path / "chips"), PI, 30, pulled_high=range(30))
    module = NumatoModule(2, tmp_path / "numato")
    module.attach(asyncio.get_running_loop())
    box = Box(tmp_path / "box")
    box.usb("1-1", "2a19:0c02", "Numato")
    box.serial("1-1", "ttyACM0", tmp_path / "numato")
    (tmp_path / "box/dev/gpiochip0").touch()
    shell = Shell(tmp_path / "box", _simulated(tmp_path / "chips"))
    session = shell.session
    session.plan({1: Lane("North")})
    looking = asyncio.ensure_future(shell.run())

    async def until(key: str, line: int, *, active: bool) -> None:
        async with asyncio.timeout(10):
            while session.levels.get((key, line)) is not active:
                await asyncio.sleep(0.005)

    await shell.look()
    lines = header_lines(PI, shell.free[PI])
    assert lines == tuple(range(2, 28))
    header = f"gpio:{PI}"
    session.watch(header, GpioInputs(id="x", chip=PI, offsets=lines), len(lines))
    await shell.look()
    await until(header, 17, active=True)
    session.move(1, Contact.ENTRY)
    for high in (False, True):  # a contact to ground
        chip.drive(17, high=high)
        await until(header, 17, active=high)
    assert session.lanes[1].contacts[Contact.ENTRY] == Wired(header, 17, active_low=True)

    session.boards["1-1"] = NumatoRelay(id="relays", port=str(tmp_path / "numato"), lines=2)
    session.watch("1-1", RelayInputs(id="x", relay="relays"), 4)
    await shell.look()
    await until("1-1", 3, active=False)
    session.unwire(1, Contact.ENTRY)
    session.move(1, Contact.READY)
    for active in (True, False):
        module.drive(3, active=active)
        await until("1-1", 3, active=active)
    assert session.lanes[1].contacts[Contact.READY] == Wired("1-1", 3, active_low=True)
    made = settings_of(session, Settings(lanes=()))
    assert (made.relays[0].id, made.inputs[0]) == (
        "relays",
        RelayInputs(id="contacts", relay="relays", active_low=(3,)),
    )
    # A pulse takes the board for a moment; then its contacts are heard again.
    await shell.pulse("1-1", session.boards["1-1"], 0)
    await shell.look()
    await until("1-1", 3, active=False)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert 17 in shell.devices.free_gpio()[PI]  # given back
    module.close()
    chip.close()
