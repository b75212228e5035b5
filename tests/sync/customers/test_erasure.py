"""What is held of a customer goes out whole, and goes away whole; what the accounts need stays."""

import json

import msgspec
import pytest
from sqlalchemy import insert, select, update

from admission.credentials import Medium
from admission.digests import CredentialKind, digest
from admission.reasons import Reason
from sync.accounts import idempotency
from sync.accounts.tables import audit_log, idempotency_key
from sync.customers import erasure, handlers, holding, tables, tags
from sync.events import tables as programme
from sync.imports import export as tables_out
from sync.imports import jobs
from sync.imports import tables as chunks
from sync.imports.chunks import Ahead
from sync.keys import new_keys
from sync.orders import passes
from sync.orders import tables as orders
from sync.orders.sale import Wanted
from sync.store.database import Database
from sync.store.schema import METADATA
from sync.tickets import minting
from sync.tickets import tables as sold
from sync.tickets.ruling import Act
from tests.sync.customers.test_tags import ADA
from tests.sync.imports.house import ACTOR, EVENT, KEY, NOW_S, check, furnish, run
from tests.sync.orders.box_office import DAY, FIRST, SECOND, TICKETING, UID, BoxOffice, ref

NAMES = ("Zo", "Quillfeather", "zoe@quill.example", "555-0199", "WRIST-1", "04A1B2C3D4E580")
LIST = (
    b"code;uid;product;first name;last name;email;phone\n"
    b"WRIST-1;04A1B2C3D4E580;VIP;Zo;Quillfeather;zoe@quill.example;555-0199\n"
    b"OTHER-1;;VIP;Al;Other;al@other.example;\n"
)


def sold_to_two(database: Database) -> int:
    """Two customers with a ticket each; returns the first. She has an order and a tag besides."""
    furnish(database)
    run(database, check(database, LIST, keeps_text=True))
    with database.writing() as connection:
        c = tables.customer.c
        number = int(connection.execute(select(c.id).where(c.last_name == "Quillfeather")).scalar_one())
        connection.execute(
            insert(programme.ticketing).values(id=1, organization_id=1, name="Box", currency="CHF")
        )
        connection.execute(
            insert(orders.order).values(
                id=1,
                organization_id=1,
                ticketing_id=1,
                number="N-1",
                customer_id=number,
                state="paid",
                payment="cash",
                currency="CHF",
                expires_s=0,
                created_s=NOW_S,
                paid_s=NOW_S,
            )
        )
        connection.execute(
            insert(tables.tag).values(
                id=1, organization_id=1, customer_id=number, event_id=EVENT, uid="04A1B2C3D4E580",
                digest=digest(CredentialKind.UID, bytes.fromhex("04A1B2C3D4E580"), KEY), product=0, ticket=0,
                active=True, banned=False, created_s=NOW_S,
            )
        )  # fmt: skip
    return number


def everything(database: Database) -> str:
    """Every row of every table, as text."""
    with database.reading() as connection:
        return "\n".join(
            repr(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table))
        )


def test_all_that_is_held_goes_out(database: Database) -> None:
    number = sold_to_two(database)
    with database.reading() as connection:
        found = erasure.export(connection, 1, number)
        assert erasure.export(connection, 2, number) is None, "another organization's"
    assert found is not None
    said = json.loads(found)
    assert all(name in found.decode() for name in NAMES)
    assert "Other" not in found.decode()
    assert (said["orders"][0]["number"], said["tags"][0]["uid"]) == ("N-1", "04A1B2C3D4E580")
    assert said["tickets"][0]["codes"] == ["04A1B2C3D4E580", "WRIST-1"]


def test_nothing_that_names_a_person_stays_anywhere(database: Database) -> None:
    number = sold_to_two(database)
    with database.reading() as connection:
        before = connection.execute(
            select(sold.credential.c.digest, sold.credential.c.standing).order_by(sold.credential.c.digest)
        ).all()
    assert not database.transact(lambda c: erasure.erase(c, 2, number, ACTOR, NOW_S))
    assert database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    left = everything(database).casefold()
    assert [name for name in NAMES[1:] if name.casefold() in left] == []
    assert "al@other.example" in left
    with database.reading() as connection:
        t = sold.ticket.c
        rows = connection.execute(select(t.holder, t.version).order_by(t.id)).all()
        version = connection.execute(select(programme.event.c.version)).scalar_one()
    assert (tuple(rows[0]), rows[1].version) == ((0, version), version - 1), (
        "one version, of her ticket alone"
    )
    with database.reading() as connection:
        assert (
            connection.execute(
                select(sold.credential.c.digest, sold.credential.c.standing).order_by(
                    sold.credential.c.digest
                )
            ).all()
            == before
        )
        assert connection.execute(select(orders.order.c.number, orders.order.c.customer_id)).all() == [
            ("N-1", number)
        ]
        (noted,) = connection.execute(select(audit_log).where(audit_log.c.what == "customer.erase")).all()
        lines = "".join(tables_out.tickets(connection, EVENT)).splitlines()
    assert (noted.subject, noted.detail, noted.actor_name) == (f"customer {number}", "", "Ada")
    assert lines[1].startswith("1,VIP")


AGAIN = LIST.replace(b"555-0199", b"555-0198")
BY_NAME = AGAIN.replace(b"zoe@quill.example", b"")
SHE_TOO = AGAIN + b"NEW-1;;VIP;Zo;Quillfeather;Zoe@Quill.example;\n"


@pytest.mark.parametrize(
    "checked", [AGAIN, BY_NAME, SHE_TOO], ids=["changed", "name alone", "another ticket"]
)
@pytest.mark.parametrize("by_itself", [False, True], ids=["by hand", "after a while"])
def test_a_list_that_was_checked_before_brings_nobody_back(
    database: Database, checked: bytes, *, by_itself: bool
) -> None:
    number = sold_to_two(database)
    job = check(database, checked, keeps_text=True)
    if by_itself:
        with database.writing() as connection:
            c, e = tables.customer.c, programme.event
            connection.execute(update(e).values(ends_s=NOW_S - 9 * 86_400))
            connection.execute(update(tables.customer).where(c.id == number).values(created_s=0))
            assert erasure.retain(connection, 1, 7, NOW_S) == 1
    else:
        assert database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    assert run(database, job).rows_good == checked.count(b"VIP"), "her tickets stay good"
    left = everything(database).casefold()
    assert [name for name in (*NAMES[1:], "555-0198", "new-1") if name.casefold() in left] == []
    assert "al@other.example" in left
    with database.reading() as connection:
        holders = connection.execute(select(sold.ticket.c.holder).order_by(sold.ticket.c.id)).scalars().all()
    assert [bool(one) for one in holders] == [False, True, False][: len(holders)]


def test_what_was_readied_of_a_list_is_readied_anew_where_somebody_was_erased(database: Database) -> None:
    number = sold_to_two(database)
    job = check(database, SHE_TOO)
    ahead = Ahead()
    with database.reading() as connection:
        c = chunks.import_chunk.c
        kept = connection.execute(select(c.number, c.entries).where(c.job_id == job.id)).one()
    ahead.ready(job.id, kept.number, kept.entries)
    assert database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    database.transact(lambda c: jobs.start(c, job.id, ACTOR, NOW_S, keeps_good=False))
    database.transact(lambda c: jobs.advance(c, job.id, NOW_S, ahead))
    assert "quill.example" not in everything(database).casefold()


def test_what_a_till_was_answered_of_a_customer_is_not_kept_for_it(database: Database) -> None:
    number = sold_to_two(database)
    scopes = [
        ("token:1:1", "POST /api/v1/claims", "hers"),
        ("user:2:1", "PUT /api/v1/customers/{customer}", "hers too"),
        ("token:1:1", "POST /api/v1/claims", "his"),
    ]
    with database.writing() as connection:
        for scope, one in zip(scopes, (number, number, number + 1), strict=True):
            shown = handlers.read(Act(connection, 1, ACTOR, NOW_S, new_keys()), one)
            idempotency.keep(connection, scope, bytes(32), 201, msgspec.json.encode(shown), NOW_S)
    assert database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    with database.reading() as connection:
        assert connection.execute(select(idempotency_key.c.key)).scalars().all() == ["his"]
    assert idempotency.forget_due(database, NOW_S + idempotency.KEPT_S) == 0
    assert idempotency.forget_due(database, NOW_S + idempotency.KEPT_S + 1) == 1
    with database.reading() as connection:
        assert connection.execute(select(idempotency_key)).all() == []


def test_a_list_that_comes_again_brings_no_erased_person_back(database: Database) -> None:
    number = sold_to_two(database)
    database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    run(database, check(database, LIST, keeps_text=True))
    assert "quillfeather" not in everything(database).casefold()


def test_who_was_erased_can_be_looked_at_with_the_tags_they_wore(database: Database) -> None:
    number = sold_to_two(database)
    database.transact(lambda c: erasure.erase(c, 1, number, ACTOR, NOW_S))
    with database.reading() as connection:
        shown = handlers.read(Act(connection, 1, ACTOR, NOW_S, new_keys()), number)
    assert shown.anonymous
    assert [(one.uid, one.active) for one in shown.tags] == [("", True)]


@pytest.mark.parametrize(
    ("ends_days_ago", "days", "gone"), [(31, 30, 2), (29, 30, 0), (None, 1, 0), (1000, 30, 2)]
)
def test_people_are_forgotten_after_their_events(
    database: Database, ends_days_ago: int | None, days: int, gone: int
) -> None:
    sold_to_two(database)
    later = NOW_S + 2000 * erasure.DAY_S
    with database.writing() as connection:
        ends = 0 if ends_days_ago is None else later - ends_days_ago * erasure.DAY_S
        connection.execute(update(programme.event).values(ends_s=ends))
    assert database.transact(lambda c: erasure.retain(c, 1, days, later)) == gone
    assert ("quillfeather" in everything(database).casefold()) == (gone == 0)
    assert database.transact(lambda c: erasure.retain(c, 1, days, later)) == 0


@pytest.mark.parametrize("code", ["tag", "pass"])
def test_one_code_for_several_tickets_opens_when_whoever_held_them_is_erased(
    office: BoxOffice, code: str
) -> None:
    contents = (passes.Content(FIRST, DAY), passes.Content(SECOND, DAY))
    with office.act() as act:
        kind = passes.add_kind(act, passes.NewKind(TICKETING, "Weekend", 1, None, True, False, contents))
    sold_as = [Wanted(FIRST, DAY), Wanted(FIRST, DAY)] if code == "tag" else [Wanted(kind=kind)]
    office.buy(*sold_as)
    with office.act() as act:
        refs = [ref(1), ref(2)] if code == "tag" else [ref(1), ref(1, SECOND)]
        number = holding.claim(act, ADA, refs)
        text = minting.text_of(act, ref(1))
    if code == "tag":
        with office.act() as act:
            tags.assign(act, number, FIRST, UID)
    shown = (UID, Medium.UID) if code == "tag" else (text, Medium.BARCODE)
    assert office.gate(*shown)[1] is Reason.NONE
    with office.database.writing() as connection:
        assert erasure.erase(connection, 1, number, ACTOR, NOW_S)
    assert office.gate(*shown)[1] is Reason.NONE
    with office.database.reading() as connection:
        holders = set(connection.execute(select(sold.ticket.c.holder)).scalars())
    assert number not in holders


def test_nothing_is_forgotten_at_once(database: Database) -> None:
    with database.writing() as connection, pytest.raises(ValueError, match="1 day"):
        erasure.retain(connection, 1, 0, NOW_S)
