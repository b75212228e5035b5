"""An event of pretix as its REST API documents it; the sig1 strings are those published with libpretixsync's tests."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select, update

from admission.credentials import Known, Medium, identify
from admission.entitlements import Mode, Standing
from admission.keys import IssuerKey, KeyFormat, KeyRing, kid_of
from sync.events import rows
from sync.events import tables as events
from sync.imports import jobs, pretix
from sync.imports.catalogue import group_of
from sync.imports.faults import CellFault
from sync.imports.files import Reading
from sync.store.database import CentreFault, Database
from sync.tickets import changes
from sync.tickets import tables as sold
from tests.sync.imports.house import EVENT, KEY, NOW_S, furnish, kept, known, run

K0 = "MCowBQYDK2VwAyEA7AD7/vFA33EsY4z2PHr7iZPsZ8n5dh0ajP8gyzNmmIs="
K1_PEM = (
    "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUNvd0JRWURLMlZ3QXlFQVlNSnNPbkxwNUFXR3BKK2RGSkUycjlET1hlUUlaZ1ZyQ3Q5M0xB"
    "bDVCTjg9Ci0tLS0tRU5EIFBVQkxJQyBLRVktLS0tLQo="
)
"""The second key, as `valid_keys` gives it: base64 of its PEM."""
V1 = "E4BibyTSylQOgeKjuMPiTDxi5HXPuTVsx1qCli3IL0143gj0EZXOB9iQInANxRFJTt4Pf9nXnHdB91Qk/RN0L5AIBABSxw2TKFnSUNUCKAEAPAQA"
V2 = "==QCiFO1apLFypH1BXorPlbn4efNA0aCAsO1Z2hsmY/hKTI3/UVSlON/Vw8WSYof/1tz5tepBltUAg4GnzpOBSSlqARYhFWYhFWYhFWCKAEANAQA"
V3 = "Ok4EsqDRCr2cL6yDRtqeP7j5Usr1Vj1Db7J0izOuRGx6Qn0BS1ISW2nxlW8PXkYRk7PJhIBmsK1V1ucq5obBoBAMG4p9jCPKBAheRdFV0REVDZUCKAEAVAQA"


def position(number: int, secret: str, **more: object) -> dict[str, object]:
    return {
        "id": number, "order": "ABC12", "positionid": 1, "canceled": False, "item": 1, "variation": None,
        "price": "23.00", "attendee_name": "Peter Müller", "attendee_name_parts": {"full_name": "Peter Müller"},
        "attendee_email": None, "secret": secret, "addon_to": None, "subevent": 14, "valid_from": None,
        "valid_until": None, "blocked": None, "checkins": [], "answers": [], **more,
    }  # fmt: skip


def order(code: str, status: str, *positions: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "code": code, "event": "democon", "status": status, "testmode": False, "secret": "k24fiuwvu8kxz3y1",
        "email": "tester@example.org", "phone": "+491234567", "locale": "en", "datetime": "2026-11-01T10:00:00Z",
        "total": "23.00", "require_approval": False, "valid_if_pending": False, "positions": list(positions), **more,
    }  # fmt: skip


DUMP = {
    "event": {"slug": "democon", "name": {"en": "Sample"}, "valid_keys": {"pretix_sig1": [K0, K1_PEM]}},
    "items": [
        {
            "count": 3, "next": None, "previous": None,
            "results": [
                {"id": 1, "name": {"en": "Standard ticket"}, "admission": True, "variations": []},
                {"id": 42, "name": {"en": "VIP lounge", "de": "Loge"}, "admission": True},
                {"id": 900_001, "name": {"en": "Late night"}, "admission": True},
                {"id": 77, "name": {"en": "T-shirt"}, "admission": False},
            ],
        }
    ],
    "subevents": {
        "results": [{"id": 14, "name": {"en": "Show"}, "date_from": "2026-11-29T19:00:00+01:00", "active": True}]
    },
    "checkinlists": {
        "results": [
            {"id": 1, "name": "All", "all_products": True, "limit_products": [], "include_pending": False,
             "allow_multiple_entries": False, "allow_entry_after_exit": False},
            {"id": 2, "name": "VIP", "all_products": False, "limit_products": [42], "include_pending": False,
             "allow_multiple_entries": False, "allow_entry_after_exit": True},
        ]
    },
    "orders": [
        order("PAID1", "p", position(1, V1), position(2, V2, item=42, subevent=None),
              position(3, "shirt", item=77), position(4, "plain-secret", canceled=True)),
        order("PEND1", "n", position(5, "pending-secret")),
        order("PEND2", "n", position(6, "ok-though-pending"), valid_if_pending=True),
        order("PEND3", "n", position(7, "to-approve"), require_approval=True),
        order("GONE1", "c", position(8, "cancelled-order")),
        order("LATE1", "p", position(9, "blocked-one", blocked=["admin"]), position(10, "blocked-two"),
              position(11, "night", item=900_001, valid_from="2026-11-29T22:00:00Z", valid_until="2026-11-30T04:00:00Z")),
        order("TEST1", "p", position(12, "test-secret"), testmode=True),
    ],
    "revokedsecrets": {"results": [{"id": 1, "secret": V3, "created": "2026-11-02T10:00:00Z"}]},
    "blockedsecrets": {"results": [{"id": 1, "secret": "blocked-two", "updated": "2026-11-02T10:00:00Z", "blocked": True}]},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "democon"
    found.mkdir()
    for name, content in DUMP.items():
        (found / f"{name}.json").write_text(json.dumps(content))
    return found


def read(database: Database, folder: Path) -> tuple[pretix.Plan, Reading]:
    dump, catalogue = pretix.read_dump(folder), known(database)
    planned = pretix.plan(dump, catalogue, (1,))
    with database.reading() as connection:
        held = pretix.held(connection, dump, catalogue)
    return planned, pretix.read_tickets(dump, catalogue, planned, held, keeps_text=True)


def take(database: Database, folder: Path) -> jobs.Job:
    catalogue = known(database)
    planned, reading = read(database, folder)
    with changes.change(database, (EVENT,), NOW_S) as connection:
        pretix.write_plan(connection, planned, group_of(connection, EVENT))
    came = jobs.Source("pretix", "democon", b"")
    return run(database, kept(database, reading, came, catalogue))


STANDINGS = {
    V1: Standing.VALID,
    V2: Standing.VALID,
    V3: Standing.REPLACED,
    "plain-secret": Standing.CANCELLED,
    "pending-secret": Standing.UNPAID,
    "ok-though-pending": Standing.VALID,
    "to-approve": Standing.UNAPPROVED,
    "cancelled-order": Standing.CANCELLED,
    "blocked-one": Standing.UNAPPROVED,
    "blocked-two": Standing.UNAPPROVED,
    "night": Standing.VALID,
}


def test_an_event_of_pretix_becomes_products_dates_keys_and_tickets(database: Database, folder: Path) -> None:
    furnish(database, {5: "Other"})
    done = take(database, folder)
    assert (done.rows_bad, done.rows_new) == (0, len(STANDINGS))
    with database.reading() as connection:
        t, c, p = sold.ticket.c, sold.credential.c, events.product.c
        rows = connection.execute(
            select(sold.ticket, c.text, c.digest).join(
                sold.credential, (c.event_id == t.event_id) & (c.ticket == t.id)
            )
        ).all()
        products = {
            row.id: row for row in connection.execute(select(events.product).where(p.event_id == EVENT))
        }
        sessions = connection.execute(
            select(events.session.c.id, events.session.c.name, events.session.c.day)
        ).all()
        keys = connection.execute(select(sold.ticket_key)).all()
    assert {row.text: Standing(row.standing) for row in rows} == STANDINGS
    by_text = {row.text: row for row in rows}
    assert (by_text[V1].product, by_text[V1].session, by_text[V2].product, by_text[V2].session) == (
        1,
        14,
        42,
        0,
    )
    assert {number: row.name for number, row in products.items()} == {
        1: "Standard ticket", 2: "Late night", 5: "Other", 42: "Loge",
    }  # fmt: skip
    assert (products[1].mode, products[42].mode) == (Mode.NORMAL, Mode.ENTRY_EXIT)
    assert (14, "Show 2026-11-29 19:00", 20261129) in [tuple(row) for row in sessions]
    assert (by_text["night"].not_before, by_text["night"].not_after) == (1795989600, 1796011200)
    ring = KeyRing([IssuerKey(kid_of(row.public), row.public, KeyFormat.SIG1, row.event_id) for row in keys])
    for text in (V1, V2, V3):
        found = identify(text.encode(), Medium.BARCODE, ring, KEY)
        assert isinstance(found, Known), "the gate's own judgement of the published strings"
        assert found.digest == by_text[text].digest


def test_the_same_dump_twice_changes_nothing_and_a_new_secret_replaces_the_old(
    database: Database, folder: Path
) -> None:
    furnish(database, {5: "Other"})
    take(database, folder)
    again = take(database, folder)
    assert (again.rows_new, again.rows_changed, again.rows_bad) == (0, 0, 0)
    orders = json.loads((folder / "orders.json").read_text())
    orders[1]["positions"][0]["secret"] = "regenerated"
    orders[1]["status"] = "p"
    (folder / "orders.json").write_text(json.dumps(orders))
    revoked = {"results": [{"id": 1, "secret": V3}, {"id": 2, "secret": "pending-secret"}]}
    (folder / "revokedsecrets.json").write_text(json.dumps(revoked))
    (folder / "blockedsecrets.json").write_text('{"results": []}')
    done = take(database, folder)
    assert (done.rows_new, done.rows_changed, done.rows_bad) == (0, 2, 0)
    with database.reading() as connection:
        t, c = sold.ticket.c, sold.credential.c
        rows = connection.execute(
            select(c.text, c.standing, t.standing).join(
                sold.ticket, (c.event_id == t.event_id) & (c.ticket == t.id)
            )
        ).all()
    found = {text: (code, ticket) for text, code, ticket in rows}
    assert found["pending-secret"] == (4, 0)
    assert found["regenerated"] == (0, 0)
    assert found["blocked-two"] == (0, 0), "unblocked"


def test_an_events_keys_are_told_to_the_gates_of_its_own_group(database: Database, folder: Path) -> None:
    """Also where another group had them before, of an event that was imported into the wrong one."""
    furnish(database)
    take(database, folder)
    planned = pretix.plan(pretix.read_dump(folder), known(database), (1,))
    with database.writing() as connection:
        rows.add_group(connection, "Other venue", KEY, 2)
        connection.execute(update(events.event).values(group_id=2))
        pretix.write_plan(connection, planned, group_of(connection, EVENT))
        k = sold.ticket_key.c
        told = connection.execute(select(k.public).where(k.group_id == 2, k.format == "sig1")).scalars().all()
    assert len(told) == 2


def test_bad_positions_are_named_by_their_order(database: Database, folder: Path) -> None:
    furnish(database)
    bad = [order("BAD01", "p", position(1, "x", item=5), position(2, "y", subevent=99), position(3, "a\x00b"),
                 position(4, "dup"), position(5, "dup"))]  # fmt: skip
    (folder / "orders.json").write_text(json.dumps(bad))
    (slab,) = read(database, folder)[1].slabs
    assert [(one.row, one.column, one.value, one.fault) for one in slab.bad] == [
        (1, "BAD01", "5", CellFault.ITEM_UNKNOWN), (2, "BAD01", "99", CellFault.DATE_UNKNOWN),
        (3, "BAD01", "a\ufffdb", CellFault.BAD_SECRET), (5, "BAD01", "dup", CellFault.SECRET_TWICE),
    ]  # fmt: skip
    assert [one.row for one in slab.entries] == [4, 6]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("orders", None), ("orders", "{"), ("orders", '{"detail": "Authentication failed"}'), ("items", '[{"id": "x"}]'),
        ("event", '{"valid_keys": {"pretix_sig1": ["AAAA"]}}'), ("event", "[]"),
    ],
)  # fmt: skip
def test_a_dump_that_is_none_is_refused(
    database: Database, folder: Path, name: str, content: str | None
) -> None:
    furnish(database)
    if content is None:
        (folder / f"{name}.json").unlink()
    else:
        (folder / f"{name}.json").write_text(content)
    with pytest.raises(CentreFault) as fault:
        read(database, folder)
    assert fault.value.hint
