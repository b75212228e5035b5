"""Orders on both engines: what each rule does to quota, lines, versions, and at a gate."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from admission.ids import EventId
from admission.reasons import Reason
from sync.accounts.tables import audit_log
from sync.orders import cancelling, quota, sale, tables
from sync.orders.cancelling import Method, Refund, cancel, cancel_ticket, expire_due
from sync.orders.sale import Sale, Wanted, place
from sync.orders.states import Payment, State
from sync.tickets.ruling import Act
from sync.web.api import Refused
from tests.sync.orders.box_office import (
    CLERK,
    DAY,
    DAY_PRICE,
    FIRST,
    KEYS,
    NOW_S,
    QUOTA,
    SECOND,
    TICKETING,
    VIP,
    BoxOffice,
    query,
    ref,
)

WHY = Refund(Method.CARD, "ill")
DAY_TICKET = Wanted(FIRST, DAY)


def sold(office: BoxOffice, event: EventId = FIRST) -> int:
    with office.database.reading() as connection:
        return quota.sold(connection, event, DAY)


def state(office: BoxOffice, order: int) -> State:
    (row,) = query(office.database, tables.order, tables.order.c.id == order)
    return State(row.state)


def refused(office: BoxOffice, code: str, work: object, *arguments: object) -> None:
    before = office.versions()
    with pytest.raises(Refused) as found, office.act() as act:
        work(act, *arguments)  # type: ignore[operator]  # one of the rules
    assert found.value.code == code
    assert office.versions() == before, "what is refused leaves no trace"


def test_a_sale_is_dense_in_numbers_one_version_an_event_and_let_in(office: BoxOffice) -> None:
    order = office.buy(DAY_TICKET, Wanted(SECOND, VIP), DAY_TICKET)
    assert office.versions() == {FIRST: 1, SECOND: 1}
    found = query(office.database, tables.order_line)
    assert [(row.line, row.event_id, row.ticket, row.price_minor) for row in found] == [
        (1, FIRST, 1, DAY_PRICE), (2, SECOND, 1, 9_000), (3, FIRST, 2, DAY_PRICE),
    ]  # fmt: skip
    assert state(office, order) is State.PAID
    assert sold(office) == 2
    for one in (ref(1), ref(2), ref(1, SECOND)):
        assert office.says(one) is Reason.NONE
    assert [row.what for row in query(office.database, audit_log)] == ["order.place"]


@pytest.mark.parametrize(
    ("payment", "began", "reason"),
    [
        (Payment.ON_SITE, State.RESERVATION, Reason.UNPAID),
        (Payment.INVOICE, State.AWAITING_PAYMENT, Reason.UNPAID),
        (Payment.ONLINE, State.AWAITING_PAYMENT, Reason.UNPAID),
        (Payment.FREE, State.PAID, Reason.NONE),
        (Payment.STOCK, State.PAID, Reason.NONE),
    ],
)
def test_how_it_is_paid_says_whether_the_gates_let_it_in(
    office: BoxOffice, payment: Payment, began: State, reason: Reason
) -> None:
    order = office.buy(payment=payment)
    assert (state(office, order), office.says(ref(1))) == (began, reason)
    (line,) = query(office.database, tables.order_line)
    assert line.price_minor == (0 if payment is Payment.FREE else DAY_PRICE)
    if began is State.PAID:
        refused(office, "order_paid", sale.pay, order, Payment.CASH)
        return
    with office.act() as act:
        sale.pay(act, order, Payment.CASH)
    assert (state(office, order), office.says(ref(1))) == (State.PAID, Reason.NONE)
    assert office.versions()[FIRST] == 2


def test_a_reservation_says_how_it_is_paid_in_the_end(office: BoxOffice) -> None:
    order = office.buy(payment=Payment.ON_SITE)
    refused(office, "payment_missing", sale.pay, order, None)
    refused(office, "not_a_payment", sale.pay, order, Payment.STOCK)
    with office.act() as act:
        sale.invoice(act, order)
    assert state(office, order) is State.AWAITING_PAYMENT
    refused(office, "invoice_whole", cancel, order, WHY, [1])


def test_what_is_free_in_the_end_owes_nothing_and_gives_nothing_back(office: BoxOffice) -> None:
    order = office.buy(payment=Payment.ON_SITE)
    with office.act() as act:
        sale.pay(act, order, Payment.FREE)
    (line,) = query(office.database, tables.order_line)
    assert line.price_minor == 0
    with office.act() as act:
        cancel(act, order, WHY)
    (note,) = query(office.database, tables.refund)
    assert note.amount_minor == 0


def test_nothing_is_sold_beyond_the_quota(office: BoxOffice) -> None:
    office.buy(*[DAY_TICKET] * (QUOTA - 1), payment=Payment.ON_SITE)
    with pytest.raises(Refused) as found:
        office.buy(DAY_TICKET, DAY_TICKET)
    assert (found.value.code, found.value.more["left"]) == ("sold_out", 1)
    assert sold(office) == QUOTA - 1
    office.buy()
    with pytest.raises(Refused):
        office.buy()
    assert len(query(office.database, tables.order)) == 2


def test_clerks_at_once_sell_exactly_the_quota(office: BoxOffice) -> None:
    said: set[str] = set()

    def one(_number: int) -> bool:
        def work(connection: Connection) -> bool:
            act = Act(connection, 1, CLERK, NOW_S, KEYS)
            place(act, Sale(TICKETING, [DAY_TICKET], Payment.CASH))
            return True

        try:
            return office.database.transact(work)
        except Refused as no:
            said.add(no.code)
            return False

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(one, range(QUOTA + 4)))
    assert said == {"sold_out"}
    assert sum(done) == QUOTA == sold(office)
    assert office.versions()[FIRST] == QUOTA, "one version for each sale"
    assert sorted(row.ticket for row in query(office.database, tables.order_line)) == list(
        range(1, QUOTA + 1)
    )


def test_a_cancelled_order_is_refused_at_the_gates_and_free_again(office: BoxOffice) -> None:
    order = office.buy(*[DAY_TICKET] * QUOTA)
    refused(office, "reason_missing", cancel, order, Refund(Method.CASH, " "))
    with office.act() as act:
        assert cancel(act, order, WHY) == 1
    assert (state(office, order), sold(office)) == (State.CANCELLED, 0)
    assert office.versions()[FIRST] == 2
    assert {office.says(ref(number)) for number in range(1, QUOTA + 1)} == {Reason.CANCELLED}
    (note,) = query(office.database, tables.refund)
    assert (note.method, note.reason, note.amount_minor) == ("card", "ill", QUOTA * DAY_PRICE)
    refused(office, "order_cancelled", cancel, order, WHY)
    office.buy(*[DAY_TICKET] * QUOTA)


def test_single_tickets_are_cancelled_and_the_last_one_ends_the_order(office: BoxOffice) -> None:
    order = office.buy(DAY_TICKET, DAY_TICKET, DAY_TICKET)
    with office.act() as act:
        cancel(act, order, WHY, [2])
    assert (state(office, order), sold(office)) == (State.PAID, 2)
    assert [office.says(ref(n)) for n in (1, 2, 3)] == [Reason.NONE, Reason.CANCELLED, Reason.NONE]
    refused(office, "line_cancelled", cancel, order, WHY, [1, 2])
    refused(office, "no_such_line", cancel, order, WHY, [4])
    refused(office, "no_lines", cancel, order, WHY, [])
    refused(office, "line_cancelled", cancel_ticket, ref(2), WHY)
    with office.act() as act:
        cancel_ticket(act, ref(1), WHY)
    with office.act() as act:
        cancel(act, order, WHY, [3])
    assert (state(office, order), sold(office)) == (State.CANCELLED, 0)
    assert office.versions()[FIRST] == 4


@pytest.mark.parametrize("paid", [False, True])
def test_an_order_by_invoice_is_cancelled_only_as_a_whole(office: BoxOffice, paid: bool) -> None:
    order = office.buy(DAY_TICKET, DAY_TICKET, payment=Payment.INVOICE)
    if paid:
        with office.act() as act:
            sale.pay(act, order, Payment.TRANSFER)
    refused(office, "invoice_whole", cancel, order, WHY, [1])
    refused(office, "invoice_whole", cancel_ticket, ref(1), WHY)
    with office.act() as act:
        cancel(act, order, WHY)
    assert sold(office) == 0


def test_a_split_moves_lines_and_changes_nothing_at_the_gates(office: BoxOffice) -> None:
    order = office.buy(DAY_TICKET, DAY_TICKET, DAY_TICKET, payment=Payment.ON_SITE)
    refused(office, "nothing_left", sale.split, order, [1, 2, 3])
    with office.act() as act:
        new = sale.split(act, order, [1, 3])
    assert (office.versions()[FIRST], sold(office)) == (1, 3)
    rows = query(office.database, tables.order_line)
    assert sorted((row.order_id, row.line, row.ticket) for row in rows) == [
        (order, 2, 2), (new, 1, 1), (new, 2, 3),
    ]  # fmt: skip
    with office.act() as act:
        sale.pay(act, new, Payment.CASH)
    assert [office.says(ref(n)) for n in (1, 2, 3)] == [Reason.NONE, Reason.UNPAID, Reason.NONE]
    refused(office, "order_paid", sale.split, new, [1])
    with office.act() as act:
        cancel(act, order, WHY)
    assert sold(office) == 2


def test_reservations_run_out(office: BoxOffice) -> None:
    late = office.buy(payment=Payment.ON_SITE)
    with office.act() as act:
        held = place(act, Sale(TICKETING, [DAY_TICKET], Payment.ON_SITE, expires_s=NOW_S + 30 * 86_400))
    assert expire_due(office.database, KEYS, NOW_S + sale.RESERVED_S - 1) == 0
    assert expire_due(office.database, KEYS, NOW_S + sale.RESERVED_S) == 1
    assert (state(office, late), state(office, held)) == (State.CANCELLED, State.RESERVATION)
    assert (office.says(ref(1)), sold(office)) == (Reason.CANCELLED, 1)
    refused(office, "not_expired", cancelling.expire, held)


def test_another_organization_finds_and_sells_nothing_of_ours(office: BoxOffice) -> None:
    order = office.buy()
    with pytest.raises(Refused) as found, office.act(2) as act:
        cancel(act, order, WHY)
    assert found.value.status == 404
    for ticketing in (1, 2):
        with pytest.raises(Refused) as found, office.act(2) as act:
            place(act, Sale(ticketing, [DAY_TICKET], Payment.CASH))
        assert found.value.code == "not_found"
    with pytest.raises(Refused) as found, office.act(2) as act:
        cancel_ticket(act, ref(1), WHY)
    assert found.value.code == "not_found"
