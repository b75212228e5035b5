"""Names at the gate on both engines: only of who asked, only at their events' gates, and in no list."""

import io

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from sync.customers import erasure, holding, shown_names, tables
from sync.events.tables import event
from sync.gates import lists
from sync.gates import shown_names as told
from sync.gates.group_settings import settings_of
from sync.orders.sale import Wanted
from sync.web.api import Refused
from sync.wire.shown_names import NamesTold
from tests.sync.customers.test_tags import ada, refused
from tests.sync.imports.house import ACTOR, NOW_S
from tests.sync.orders.box_office import DAY, FIRST, SECOND, BoxOffice, ref

NAME = "Ada B."


def shown(office: BoxOffice, of: int = FIRST) -> NamesTold:
    with office.database.reading() as connection:
        group = connection.execute(select(event.c.group_id).where(event.c.id == of)).scalar_one()
        found = told.names(connection, group)
        head = settings_of(connection, group)
        assert (head.names or b"") == found.mark, "the settings say which names are in force"
        return found


def written(office: BoxOffice) -> bytes:
    """The list's file."""
    file = io.BytesIO()
    with office.database.reading() as connection:
        group = connection.execute(select(event.c.group_id).where(event.c.id == FIRST)).scalar_one()
        lists.write_list(connection, group, file, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    return file.getvalue()


def put(office: BoxOffice, number: int, name: str) -> None:
    with office.act() as act:
        shown_names.put(act, number, name)


def test_a_name_is_shown_to_who_asked_until_it_is_taken_back(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    number = ada(office, 1)
    before, file = office.versions(), written(office)
    assert shown(office) == NamesTold(), "nobody has one by itself"
    assert b"names" not in file
    put(office, number, f"  {NAME} ")
    first = shown(office)
    assert first.names == {number: NAME}
    after = office.versions()
    assert {one for one in after if after[one] != before[one]} == {FIRST}, "its gates are told"
    listed = written(office)
    assert NAME.encode() not in listed
    assert first.mark in listed
    put(office, number, NAME)
    assert (shown(office), office.versions()) == (first, after), "the same again is no change"
    put(office, number, "Lady Lovelace")
    second = shown(office)
    assert (second.names, second.mark != first.mark) == ({number: "Lady Lovelace"}, True)
    put(office, number, "")
    assert shown(office) == NamesTold()
    with office.database.reading() as connection:
        assert connection.execute(select(tables.shown_name)).all() == []


def test_a_list_where_nobody_has_a_name_is_byte_for_byte_as_before(office: BoxOffice) -> None:
    """Whoever reads the settings of before finds all of it: a name adds one field, and none where there is none."""
    office.buy(Wanted(FIRST, DAY))
    number = ada(office, 1)
    with office.database.reading() as connection:
        head = settings_of(connection, 1)
    assert "names" not in msgspec.msgpack.decode(msgspec.msgpack.encode(head))
    put(office, number, NAME)
    with office.database.reading() as connection:
        named = settings_of(connection, 1)
    grown = len(msgspec.msgpack.encode(named)) - len(msgspec.msgpack.encode(head))
    assert grown < 32, "a mark, whatever the names are"
    put(office, number, "")
    with office.database.reading() as connection:
        assert msgspec.msgpack.encode(settings_of(connection, 1)) == msgspec.msgpack.encode(head)


def test_a_name_follows_its_tickets(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(SECOND, DAY))
    number = ada(office, 1)
    put(office, number, NAME)
    marks = {shown(office).mark}
    with office.act() as act:
        holding.unassign_ticket(act, number, ref(1))
    assert shown(office) == NamesTold(), "a gate knows no names of people who do not come"
    with office.act() as act:
        holding.assign_tickets(act, number, [ref(1)])
    assert shown(office).mark in marks


def test_who_is_erased_has_no_name_left(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY))
    number = ada(office, 1)
    put(office, number, NAME)
    with office.database.reading() as connection:
        exported = erasure.export(connection, 1, number)
    assert exported is not None
    assert NAME in exported.decode(), "and what is held goes out whole"
    before = office.versions()
    assert office.database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    assert office.versions()[FIRST] == before[FIRST] + 1
    assert shown(office) == NamesTold()
    refused(office, "customer_anonymous", shown_names.put, number, NAME)


@pytest.mark.parametrize("name", ["x" * 25, "A\x07da", "Ada\u202eB", "\ud800"])
def test_what_is_no_name_is_refused(office: BoxOffice, name: str) -> None:
    office.buy(Wanted(FIRST, DAY))
    refused(office, "bad_shown_name", shown_names.put, ada(office, 1), name)


def test_nobody_elses_customer_gets_a_name(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY))
    number = ada(office, 1)
    with pytest.raises(Refused), office.act(2) as act:
        shown_names.put(act, number, NAME)
