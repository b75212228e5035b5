"""What the demo venue has sold: full pages, and not one verdict of the demo's tickets changed by it."""

from collections.abc import Iterator

import pytest

from admission.credentials import Medium
from admission.records import Outcome
from sync import compose, demo, demo_sales
from sync.compose import Centre
from sync.events.rows import GROUP
from sync.gates.lists import content
from sync.orders.states import State
from tests.sync.test_demo import Door
from tests.sync.venue import NOW_S


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    centre = compose.open_centre(tmp_path_factory.mktemp("centre"))
    try:
        demo.make_demo(centre.database, centre.keys, centre.data, NOW_S)
        demo_sales.make_sales(centre.database, centre.keys, NOW_S)
        yield centre
    finally:
        centre.close()


def found(centre: Centre, sql: str) -> list[tuple[object, ...]]:
    with centre.database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def test_every_demo_ticket_still_gets_its_verdict(sold: Centre) -> None:
    with sold.database.reading() as connection:
        head, rows = content(connection, GROUP)
    door = Door(head, rows)
    for ticket in demo.demo_tickets(sold.data):
        verdict = door.judge(ticket, 1)
        assert (verdict.outcome, verdict.reason) == (ticket.outcome, ticket.reason), ticket.key


def test_there_are_orders_in_every_state_and_people_of_every_kind(sold: Centre) -> None:
    states = {row[0] for row in found(sold, 'SELECT state FROM "order"')}
    assert states == {state.value for state in State}
    people = found(
        sold, "SELECT anonymous, banned, COUNT(*) FROM customer GROUP BY anonymous, banned ORDER BY 1, 2"
    )
    assert people == [(0, 0, 4), (0, 1, 1), (1, 0, 1)]
    tags = found(sold, "SELECT SUM(active), COUNT(*) FROM tag GROUP BY customer_id ORDER BY customer_id")
    assert tags[0] == (1, 2)
    assert len(tags) == 5


def test_products_have_prices_of_the_ticketing_and_what_is_sold_counts(sold: Centre) -> None:
    assert found(sold, "SELECT currency FROM ticketing") == [("CHF",)]
    assert found(sold, "SELECT COUNT(*) FROM product WHERE price_minor = 0") == [(1,)]  # the staff's
    assert found(sold, "SELECT DISTINCT currency FROM product") == [("CHF",)]
    day = found(sold, f"SELECT sold FROM stock WHERE event_id = {demo.EVENT} AND product = {demo.DAY}")
    assert day == [(5,)]  # of six one was given back
    assert found(sold, "SELECT MIN(id) FROM ticket WHERE event_id = 1 AND id > 28") == [
        (demo_sales.FIRST_SOLD,)
    ]


def test_the_gates_are_told_what_was_sold(sold: Centre) -> None:
    with sold.database.reading() as connection:
        head, rows = content(connection, GROUP)
    door = Door(head, rows)
    code = demo.DemoTicket(
        key="", data="DEMO-1000", medium=Medium.BARCODE, label_en="", label_de="", outcome=Outcome.GRANT
    )
    assert door.judge(code, 1).outcome is Outcome.GRANT
    tags = {"04D1B2C3D4E501": Outcome.DENY, "04D1B2C3D4E502": Outcome.GRANT, "04D1B2C3D4E505": Outcome.DENY}
    for uid, outcome in tags.items():
        shown = demo.DemoTicket(
            key="", data=uid, medium=Medium.UID, label_en="", label_de="", outcome=outcome
        )
        assert door.judge(shown, 1).outcome is outcome, uid
