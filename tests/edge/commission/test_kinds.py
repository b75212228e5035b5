"""A barrier that is chosen on the page brings its contacts and the trade's lengths; one of the file before keeps its own."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge import config
from edge.barrier_kinds import DEFAULTS
from edge.commission.contacts import Contact, Wired
from edge.commission.kept import kept
from edge.commission.kinds import Kind
from edge.commission.made import settings_of
from edge.commission.session import Chosen, Commissioning, Lane, Seat
from edge.commission.toml_text import toml_of
from edge.settings import (
    Barrier,
    LcusRelay,
    MediumSetting,
    ModbusInputs,
    SerialReader,
    Settings,
    Way,
)
from tests.edge.commission.test_pins import page
from tests.house import ROOT

BARE = Settings(lanes=())


def session(lane: Lane) -> Commissioning:
    """A lane whose readers were shown, with a relay board of four lines."""
    made = Commissioning(lambda count: "B" * count)
    made.plan({1: lane}, "North")
    for way in lane.ways:
        reader = SerialReader(id=1, way=way, port=f"/dev/{way.value}")
        made.chosen[Seat(1, way, MediumSetting.BARCODE)] = Chosen(way.value, way.value, reader)
    made.boards["relays"] = LcusRelay(id="relays", port="/dev/relays", lines=4)
    made.inputs["contacts"] = ModbusInputs(id="contacts", port="/dev/contacts")
    return made


def wire(made: Commissioning, *contacts: Contact) -> None:
    made.lanes[1].contacts = {
        one: Wired("contacts", line, active_low=False) for line, one in enumerate(contacts)
    }


def written(made: Commissioning, base: Settings = BARE) -> Settings:
    """What a gate reads that was written so."""
    assert (made.missing(), made.relay_less()) == ((), ())
    settings = settings_of(made, base)
    assert config.load(toml_of(settings), {}) == settings
    return settings


@pytest.mark.parametrize("kind", Kind)
def test_a_chosen_barrier_has_the_lengths_of_the_trade_and_asks_for_its_contacts(kind: Kind) -> None:
    made = session(Lane("A", kind=kind))
    made.assign("relays", 0, 1, Way.ENTRY)
    asked = made.lanes[1].takes
    wire(made, *asked)
    settings = written(made)
    (lane,) = settings.lanes
    lengths = DEFAULTS[lane.barrier]
    assert lane.barrier.value == ("tripod" if kind is Kind.NO_SENSOR else kind.value)
    assert {key: getattr(lane, key) for key in lengths} == lengths
    assert "hold_ms" not in toml_of(settings)  # the kind says it
    assert settings.relays[0].pulse_max_ms >= lane.pulse_ms
    assert {one for one in Contact if getattr(lane, one.value) is not None} == set(asked)
    assert (Contact.ENTRY in asked) is (kind not in {Kind.DOOR, Kind.NO_SENSOR})
    assert Contact.EXIT not in asked
    assert lane.companions == (kind is Kind.SWING_GATE)
    assert kept(settings, lambda count: "B" * count).lanes[1].kind is kind


def test_one_strike_opens_a_door_both_ways_and_for_its_button() -> None:
    made = session(Lane("A", kind=Kind.DOOR))
    assert made.lanes[1].opened == (Way.ENTRY,)
    wire(made, Contact.DOOR, Contact.BUTTON)
    assert made.relay_less() == ((1, Way.ENTRY),)  # the button would open nothing
    made.assign("relays", 2, 1, Way.ENTRY)
    (lane,) = written(made).lanes
    assert (lane.entry_line, lane.exit_line, lane.door_contact, lane.exit_button) == (2, 2, 0, 1)
    made.lanes[1].contacts.clear()
    assert written(made).lanes[0].exit_line is None
    # The other way too, by readers on both sides.
    both = session(Lane("A", two_way=True, kind=Kind.DOOR))
    both.assign("relays", 1, 1, Way.ENTRY)
    settings = written(both)
    assert (settings.lanes[0].entry_line, settings.lanes[0].exit_line) == (1, 1)
    again = kept(settings, lambda count: "B" * count)
    assert again.lanes[1].opened == (Way.ENTRY,)
    again.assign("away:relay relays", 3, 1, Way.ENTRY)
    (lane,) = written(again, settings).lanes
    assert (lane.entry_line, lane.exit_line) == (3, 3)


def test_a_barrier_of_the_file_keeps_its_lengths_until_another_stands_there() -> None:
    before = config.load(ROOT / "config/gate-speedgate.toml", {})
    own = replace(before.lanes[1], hold_ms=5000)  # a tripod's, set by hand for a swing gate
    before = replace(before, lanes=(before.lanes[0], own))
    assert config.load(toml_of(before), {}) == before
    made = kept(before, lambda count: "B" * count)
    plan = {number: Lane(one.name, one.two_way, kind=one.kind) for number, one in made.lanes.items()}
    made.plan(plan, made.name)
    assert written(made, before) == before
    made.plan({**plan, 2: Lane("Wheelchairs", kind=Kind.TRIPOD)}, made.name)
    lane = written(made, before).lanes[1]
    changed = {"barrier": Barrier.TRIPOD, "companions": 0, **DEFAULTS[Barrier.TRIPOD]}
    assert lane == replace(own, **changed)
    # What counted companions is taken away: nobody walks along unseen.
    alone = kept(before, lambda count: "B" * count)
    alone.unwire(2, Contact.ENTRY)
    assert written(alone, before).lanes[1].companions == 0


def test_contacts_stay_with_a_lane_whose_barrier_changes_but_for_those_that_a_kind_has_not() -> None:
    made = session(Lane("A", two_way=True, kind=Kind.SPEED_GATE))
    wire(made, *made.lanes[1].takes)
    wired = made.lanes[1].contacts
    made.plan({1: Lane("A", two_way=True, kind=Kind.TRIPOD)})
    assert made.lanes[1].contacts == wired
    assert made.lanes[1].more == (Contact.FAULT, Contact.DETECTOR)
    made.plan({1: Lane("A", two_way=True, kind=Kind.NO_SENSOR)})
    assert not {Contact.ENTRY, Contact.EXIT} & made.lanes[1].contacts.keys()
    assert Contact.READY in made.lanes[1].contacts


@pytest.mark.parametrize(("kind", "code"), [("door", ""), ("portcullis", "page.bad_request")])
async def test_the_page_takes_a_barrier_that_there_is(tmp_path: Path, kind: str, code: str) -> None:
    async with page(tmp_path) as rig:
        lanes: list[Mapping[str, object]] = [{"name": "A", "kind": kind}]
        await rig.do("commission/plan", {"name": "North", "lanes": lanes}, code)
        if code:
            return
        (lane,) = (await rig.state())["lanes"]
        assert (lane["kind"], [one["label"] for one in lane["outputs"]]) == ("door", ["A: opens"])
        assert [one["contact"] for one in lane["contacts"]] == ["door_contact", "exit_button", "fire_contact"]
