"""What people did here to tickets that a list brought stays, whatever the list says next; on both engines."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import Connection, func, insert, select, update

from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding, Standing
from admission.ids import ProductId, TicketId
from sync.customers import holding, tags
from sync.customers.bound import settle_due
from sync.gates import tables as gates
from sync.imports import jobs
from sync.keys import new_keys
from sync.orders import cancelling
from sync.orders.cancelling import Method, Refund
from sync.store.database import Database
from sync.tickets import exchange
from sync.tickets import standing as rules
from sync.tickets import tables as sold
from sync.tickets.ruling import Act
from tests.sync.imports.house import ACTOR, EVENT, KEY, NOW_S, check, furnish, run

HEADING = b"ticket id;code;product;status;name;email\n"
SOLD = HEADING + b"1;A-1;Tageskarte;paid;Zoe Quill;zoe@example.org\n"
RENAMED = HEADING + b"1;A-1;Tageskarte;paid;Zoe Quil;zoe@example.org\n"
KEYS = new_keys()
LEAD_S = 0.5
"""In which a ban that waits for nobody is done."""
REF = (EVENT, TicketId(1))
ACTIVE, REPLACED = int(CredentialStanding.ACTIVE), int(CredentialStanding.REPLACED)


@pytest.fixture
def house(database: Database) -> Database:
    furnish(database)
    run(database, check(database, SOLD))
    return database


def act_on(connection: Connection) -> Act:
    return Act(connection, 1, ACTOR, NOW_S, KEYS)


def codes(database: Database) -> list[tuple[int, str, int]]:
    c = sold.credential.c
    with database.reading() as connection:
        return sorted(tuple(row) for row in connection.execute(select(c.ticket, c.kind, c.standing)))


def standings(database: Database) -> list[int]:
    t = sold.ticket.c
    with database.reading() as connection:
        return list(connection.execute(select(t.standing).order_by(t.id)).scalars())


def test_a_code_that_was_reissued_here_stays_replaced_and_the_new_one_opens(house: Database) -> None:
    with house.writing() as connection:
        assert exchange.reissue(act_on(connection), REF) == REF
    before = codes(house)
    assert before == [(1, "opaque", REPLACED), (1, CredentialKind.TK1.value, ACTIVE)]
    assert run(house, check(house, RENAMED)).rows_changed == 1
    assert codes(house) == before


def test_a_wristband_that_was_given_here_goes_on_to_open(house: Database) -> None:
    with house.writing() as connection:
        holder = connection.execute(select(func.max(sold.ticket.c.holder))).scalar_one()
        tags.assign(act_on(connection), holder, EVENT, "04A1B2C3D4E580")
    before = codes(house)
    assert run(house, check(house, RENAMED)).rows_changed == 1
    assert codes(house) == before == [(1, "opaque", ACTIVE), (1, "uid", ACTIVE)]


def test_a_ticket_that_was_cancelled_here_stays_cancelled(house: Database) -> None:
    with house.writing() as connection:
        cancelling.cancel_ticket(act_on(connection), REF, Refund(Method.NONE, "paid back at the desk"))
    run(house, check(house, RENAMED))
    assert standings(house) == [int(Standing.CANCELLED)]


def test_a_ticket_that_was_exchanged_here_stays_replaced(house: Database) -> None:
    with house.writing() as connection:
        exchange.exchange(act_on(connection), REF, EVENT, ProductId(2))
    run(house, check(house, RENAMED))
    assert standings(house) == [int(Standing.REPLACED), 0]


def test_a_cancel_of_the_shop_after_one_of_ours_takes_ours_not_back(house: Database) -> None:
    with house.writing() as connection:
        cancelling.cancel_ticket(act_on(connection), REF, Refund(Method.NONE, "paid back at the desk"))
    for said in (RENAMED.replace(b"paid", b"cancelled"), RENAMED.replace(b"paid", b"unpaid"), SOLD):
        run(house, check(house, said))
    assert standings(house) == [int(Standing.CANCELLED)]


def test_a_code_that_a_wristband_replaced_at_a_check_in_stays_replaced(house: Database) -> None:
    code, uid = digest(CredentialKind.OPAQUE, b"A-1", KEY), "04A1B2C3D4E580"
    worn = digest(CredentialKind.UID, bytes.fromhex(uid), KEY)
    with house.writing() as connection:
        connection.execute(insert(gates.gate).values(id=1, group_id=1, name="Desk", zones="[1]"))
        connection.execute(
            insert(gates.bind).values(
                gate_id=1, epoch=1, seq=1, event_id=EVENT, ticket=1, uid=uid, tag=worn, code=code, time_us=1, state=0
            )
        )  # fmt: skip
    assert settle_due(house, KEYS, NOW_S) == 1
    before = codes(house)
    assert before == [(1, "opaque", REPLACED), (1, "uid", ACTIVE)]
    run(house, check(house, RENAMED))
    assert codes(house) == before


def test_what_a_list_brings_for_a_banned_customer_is_banned_as_long_as_they_are(house: Database) -> None:
    with house.writing() as connection:
        holder = connection.execute(select(func.max(sold.ticket.c.holder))).scalar_one()
        holding.ban(act_on(connection), holder)
    more = b"2;A-2;Tageskarte;paid;Zoe Quill;zoe@example.org\n3;A-3;Tageskarte;paid;Al Other;al@example.org\n"
    run(house, check(house, SOLD + more))
    banned = int(Standing.BANNED)
    assert standings(house) == [banned, banned, 0]
    with house.writing() as connection:
        rules.apply(act_on(connection), (EVENT, TicketId(3)), rules.Verb.BAN)
    run(house, check(house, SOLD + more.replace(b"al@example.org", b"zoe@example.org")))
    with house.writing() as connection:
        holding.unban(act_on(connection), holder)
    assert standings(house) == [0, 0, banned], "the third was banned by itself"


def test_who_is_banned_while_a_list_brings_them_a_ticket_is_banned_with_it(house: Database) -> None:
    """The ticket is not there yet for whoever bans, and the ban not for the list: one waits for the other."""
    with house.writing() as connection:
        holder = connection.execute(select(func.max(sold.ticket.c.holder))).scalar_one()
        connection.execute(update(sold.ticket).values(holder=0))
    job = check(house, SOLD + b"2;A-2;Tageskarte;paid;Zoe Quill;zoe@example.org\n")
    house.transact(lambda c: jobs.start(c, job.id, ACTOR, NOW_S, keeps_good=False))

    def ban(connection: Connection) -> None:
        holding.ban(act_on(connection), holder)

    with ThreadPoolExecutor(1) as threads:
        with house.writing() as connection:
            jobs.advance(connection, job.id, NOW_S)
            banning = threads.submit(house.transact, ban)
            wait([banning], timeout=LEAD_S)
        banning.result()
    assert standings(house) == [0, int(Standing.BANNED)]
