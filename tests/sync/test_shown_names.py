"""A name on its whole way: from the centre's office to a gate's memory, and out of it when it is taken back."""

from pathlib import Path

from sqlalchemy import insert, update

from sync import demo
from sync.customers import tables
from sync.events.tables import event
from sync.store.schema import signed
from sync.tickets import changes
from sync.tickets.tables import ticket
from tests.sync.connected import connected
from tests.sync.test_deltas import NUMBERS
from tests.sync.venue import NOW_S, Venue

HOLDER = 2**32 + 77
NAME = "Anna M."


async def test_a_name_comes_to_a_gate_by_a_change_and_leaves_it_by_one_and_is_on_no_disk(
    venue: Venue, tmp_path: Path
) -> None:
    database = venue.centre.database
    async with connected(venue, tmp_path) as one:
        assert one.gate.daemon.lists.names == b""
        with changes.change(database, [demo.EVENT], NOW_S + 1) as connection:
            organization = connection.execute(tables.customer.select().limit(1)).first()
            number = 1 if organization is None else organization.organization_id
            connection.execute(
                insert(tables.customer).values(
                    id=HOLDER, organization_id=number, banned=False, origin="claim", created_s=NOW_S,
                    anonymous=False, last_name="Muster", email_key="", first_key="", last_key="",
                    **dict.fromkeys(
                        ("email", "first_name", "phone", "postcode", "address", "city", "country", "gender"), ""
                    ),
                )
            )  # fmt: skip
            connection.execute(
                insert(tables.shown_name).values(
                    customer_id=HOLDER, organization_id=number, name=NAME, mark=4711
                )
            )
            held = (ticket.c.event_id == demo.EVENT, ticket.c.id == NUMBERS["day"])
            connection.execute(update(ticket).where(*held).values(holder=signed(HOLDER), version=None))
        await one.until(lambda: one.names.of(HOLDER) == NAME, "the gate can greet her")
        assert one.gate.daemon.lists.names
        on_disk = b"".join(file.read_bytes() for file in one.gate.data.rglob("*") if file.is_file())
        assert NAME.encode() not in on_disk
        with changes.change(database, [demo.EVENT], NOW_S + 2) as connection:
            connection.execute(tables.shown_name.delete())
        await one.until(lambda: one.names.of(HOLDER) == "", "it was taken back")
        assert one.gate.daemon.lists.names == b""
    with database.reading() as connection:
        assert connection.execute(event.select()).first() is not None
