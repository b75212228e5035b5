"""Passes on both engines: packs, passes with one code of their own, and their approval."""

import pytest
from sqlalchemy import insert, update

from admission.ids import SessionId
from admission.reasons import Reason
from sync.customers import holding
from sync.customers.profiles import Profile
from sync.events.tables import event, ticketing
from sync.orders import passes, quota, sale, tables
from sync.orders.cancelling import Method, Refund, cancel, cancel_ticket
from sync.orders.passes import Content, Decision, NewKind, Validity
from sync.orders.sale import Wanted
from sync.orders.states import Payment
from sync.tickets import exchange, minting
from sync.web.api import Refused
from tests.sync.orders.box_office import DAY, EVENING, FIRST, QUOTA, SECOND, TICKETING, BoxOffice, query, ref
from tests.sync.orders.test_orders import refused


def kind(office: BoxOffice, *, own: bool = False, approve: bool = False, most: int | None = None) -> int:
    contents = (Content(FIRST, DAY), Content(SECOND, DAY))
    with office.act() as act:
        return passes.add_kind(act, NewKind(TICKETING, "Weekend", 4_000, most, own, approve, contents))


def sold(office: BoxOffice) -> list[int]:
    with office.database.reading() as connection:
        return [quota.sold(connection, event, DAY) for event in (FIRST, SECOND)]


def test_a_pack_is_one_ticket_an_event_each_with_its_code(office: BoxOffice) -> None:
    order = office.buy(Wanted(kind=kind(office, most=2)))
    assert (sold(office), office.versions()) == ([1, 1], {FIRST: 1, SECOND: 1})
    with office.act() as act:
        texts = [minting.text_of(act, passes.home_of(act, one)) for one in (ref(1), ref(1, SECOND))]
    assert texts[0] != texts[1]
    assert [office.gate(text)[1] for text in texts] == [Reason.NONE, Reason.NONE]
    refused(office, "part_of_pass", cancel_ticket, ref(1), Refund(Method.NONE, "why"))
    refused(office, "part_of_pass", exchange.reissue, ref(1))
    with office.act() as act:
        cancel(act, order, Refund(Method.CASH, "why"), [1])
    assert {office.says(one) for one in (ref(1), ref(1, SECOND))} == {Reason.CANCELLED}
    assert (sold(office), query(office.database, tables.pass_kind)[0].sold) == ([0, 0], 0)
    refused(office, "cancelled", passes.decide, 1, Decision.WITHDRAW, "why")


def test_a_pass_of_its_own_opens_every_event_by_one_code(office: BoxOffice) -> None:
    order = office.buy(Wanted(kind=kind(office, own=True)))
    with office.act() as act:
        homes = [passes.home_of(act, one) for one in (ref(1), ref(1, SECOND))]
        text = minting.text_of(act, homes[0])
    assert homes == [ref(1), ref(1)]
    assert office.gate(text)[1] is Reason.NONE
    with office.act() as act:
        customer = holding.claim(act, Profile(), [ref(1), ref(1, SECOND)])
    refused(office, "already_theirs", holding.assign_tickets, customer, [ref(1), ref(1, SECOND)])
    refused(office, "part_of_pass", holding.assign_tickets, customer, [ref(1)])
    assert office.gate(text)[1] is Reason.NONE
    with office.act() as act:
        holding.unassign_ticket(act, customer, ref(1, SECOND))
    assert office.gate(text)[1] is Reason.NONE
    found = office.candidates(text)
    assert {one.ticket.event for one in found} == {FIRST, SECOND}
    with office.act() as act:
        cancel(act, order, Refund(Method.CASH, "why"))
    assert office.gate(text)[1] is Reason.CANCELLED


def test_a_pass_holds_what_is_there_and_on_sale_where_it_is(office: BoxOffice) -> None:
    def made(*contents: Content) -> NewKind:
        return NewKind(TICKETING, "Weekend", 4_000, None, False, False, contents)

    refused(office, "not_found", passes.add_kind, made(Content(FIRST, DAY, SessionId(9))))
    with office.database.writing() as connection:
        connection.execute(insert(ticketing).values(id=3, organization_id=1, name="Abroad", currency="EUR"))
        connection.execute(update(event).where(event.c.id == SECOND).values(ticketing_id=3))
    refused(office, "other_ticketing", passes.add_kind, made(Content(FIRST, DAY), Content(SECOND, DAY)))
    with office.act() as act:
        assert passes.add_kind(act, made(Content(FIRST, DAY, EVENING)))


def test_a_pass_is_sold_as_long_as_one_of_its_events_is_open(office: BoxOffice) -> None:
    weekend = kind(office)

    def close(number: int) -> None:
        with office.database.writing() as connection:
            connection.execute(update(event).where(event.c.id == number).values(state="closed"))

    close(FIRST)
    office.buy(Wanted(kind=weekend))
    close(SECOND)
    with pytest.raises(Refused) as found:
        office.buy(Wanted(kind=weekend))
    assert found.value.code == "event_closed"
    assert (sold(office), query(office.database, tables.pass_kind)[0].sold) == ([1, 1], 1)


def test_no_more_passes_than_their_quota_nor_than_their_events_have(office: BoxOffice) -> None:
    few, many = kind(office, most=1), kind(office)
    office.buy(Wanted(kind=few))
    with pytest.raises(Refused) as found:
        office.buy(Wanted(kind=few))
    assert found.value.code == "sold_out"
    office.buy(*[Wanted(SECOND, DAY)] * (QUOTA - 1))
    with pytest.raises(Refused) as found:
        office.buy(Wanted(kind=many))
    assert found.value.code == "sold_out"
    assert sold(office) == [1, QUOTA]


def test_a_pass_waits_for_its_approval_and_may_be_taken_back(office: BoxOffice) -> None:
    office.buy(Wanted(kind=kind(office, approve=True)), payment=Payment.ON_SITE)

    def decide(decision: Decision, reason: str = "") -> Reason:
        with office.act() as act:
            passes.decide(act, 1, decision, reason)
        return office.says(ref(1))

    assert office.says(ref(1)) is Reason.UNPAID
    refused(office, "pass_to_approve", passes.decide, 1, Decision.WITHDRAW, "why")
    refused(office, "reason_missing", passes.decide, 1, Decision.REFUSE, " ")
    assert decide(Decision.REFUSE, "no photo") is Reason.UNPAID
    (row,) = query(office.database, tables.pass_)
    assert (Validity(row.validity), row.reason) == (Validity.REFUSED, "no photo")
    with office.act() as act:
        sale.pay(act, 1, Payment.CASH)
    assert office.says(ref(1)) is Reason.UNAPPROVED
    assert decide(Decision.APPROVE) is Reason.NONE
    before = office.versions()
    assert decide(Decision.WITHDRAW, "resold") is Reason.UNAPPROVED
    assert office.versions() == {event: version + 1 for event, version in before.items()}
    assert decide(Decision.APPROVE) is Reason.NONE
