"""The box office over real HTTP: an evening of orders, tickets, customers and tags, and what is refused on the way."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, update

from sync.accounts.principal import Role
from sync.demo import DAY, EVENT, SEASON
from sync.events import tables as programme
from tests.sync.people import Caller, token_of
from tests.sync.venue import Venue, query

UID = "04AABBCCDDEE80"


@pytest.fixture
async def clerk(venue: Venue) -> AsyncIterator[Caller]:
    database = venue.centre.database
    with database.writing() as connection:
        connection.execute(
            insert(programme.ticketing).values(id=9, organization_id=1, name="Box office", currency="CHF")
        )
        connection.execute(
            update(programme.event).where(programme.event.c.id == EVENT).values(ticketing_id=9)
        )
        connection.execute(
            update(programme.product)
            .where(programme.product.c.event_id == EVENT, programme.product.c.id == DAY)
            .values(quota=3, price_minor=2_000)
        )
    async with Caller(venue.url, token_of(database, Role.BOX_OFFICE)) as caller:
        yield caller


async def buy(clerk: Caller, payment: str, count: int = 1, **headers: str) -> Any:
    line = {"event": EVENT, "product": DAY, "count": count}
    said = await clerk.ask(
        "POST", "/api/v1/orders", {"ticketing": 9, "payment": payment, "lines": [line]}, **headers
    )
    return said.json if said.status == 201 else said.code


def version(venue: Venue) -> object:
    return query(venue, f"SELECT version FROM event WHERE id = {EVENT}")[0][0]


async def test_a_sale_a_split_a_payment_and_a_cancellation(venue: Venue, clerk: Caller) -> None:
    before = version(venue)
    order = await buy(clerk, "on_site", 3, Idempotency_Key="one")
    assert await buy(clerk, "on_site", 3, Idempotency_Key="one") == order
    assert (order["state"], order["total_minor"], version(venue)) == ("reservation", 6_000, before + 1)  # type: ignore[operator]  # a number
    assert await buy(clerk, "cash") == "sold_out"
    path = f"/api/v1/orders/{order['id']}"
    new = (await clerk.ask("POST", f"{path}/split", {"lines": [2]})).json
    assert (new["split_from"], len(new["lines"])) == (order["id"], 1)
    paid = (await clerk.ask("POST", f"/api/v1/orders/{new['id']}/pay", {"payment": "cash"})).json
    assert (paid["state"], paid["payment"]) == ("paid", "cash")
    ticket = f"/api/v1/events/{EVENT}/tickets/{paid['lines'][0]['ticket']}"
    text = (await clerk.ask("POST", f"{ticket}/text")).json["text"]
    assert text.startswith("TK1")
    assert (await clerk.ask("POST", "/api/v1/unsold", {"code": text})).code == "sold"
    banned = await clerk.ask("POST", f"{ticket}/standing", {"verb": "ban", "reason": "fight"})
    assert banned.json["standing"] == ["banned"]
    assert (await clerk.ask("POST", f"{ticket}/standing", {"verb": "ban"})).code == "already_banned"
    assert (await clerk.ask("POST", f"{ticket}/standing", {"verb": "burn"})).status in {400, 422}
    gone = await clerk.ask("POST", f"{path}/cancel", {"reason": "rain", "method": "voucher"})
    assert (gone.json["state"], gone.json["total_minor"]) == ("cancelled", 0)
    assert (await clerk.ask("POST", f"{path}/cancel", {"reason": "rain"})).code == "order_cancelled"
    assert (await buy(clerk, "stock", 2))["state"] == "paid"
    listed = (await clerk.ask("GET", "/api/v1/orders?state=paid&limit=1")).json
    assert len(listed["items"]) == 1
    assert listed["next"]
    assert (await clerk.ask("GET", "/api/v1/orders?state=lost")).code == "bad_filter"


async def test_unsold_tickets_exchanges_and_reissues(clerk: Caller) -> None:
    order = await buy(clerk, "stock", 2)
    at = [f"/api/v1/events/{EVENT}/tickets/{line['ticket']}" for line in order["lines"]]
    text = (await clerk.ask("POST", f"{at[0]}/text")).json["text"]
    assert (await clerk.ask("POST", "/api/v1/unsold", {"code": text})).json["standing"] == ["cancelled"]
    assert (await clerk.ask("POST", "/api/v1/unsold", {"code": text})).code == "line_cancelled"
    new = await clerk.ask("POST", f"{at[1]}/exchange", {"product": SEASON})
    assert (new.status, new.json["product"], new.json["order"]) == (201, SEASON, order["id"])
    assert (await clerk.ask("POST", f"{at[1]}/reissue")).code == "replaced"
    assert (await clerk.ask("POST", f"{at[1]}/text")).code == "replaced"
    again = await clerk.ask("POST", f"/api/v1/events/{EVENT}/tickets/{new.json['ticket']}/reissue")
    assert (again.status, again.json["product"]) == (201, SEASON)


async def test_a_customer_with_tags_is_found_banned_and_downloaded(clerk: Caller) -> None:
    order = await buy(clerk, "cash")
    ticket = {"event": EVENT, "ticket": order["lines"][0]["ticket"]}
    fields = {"email": "ada@example.org", "first_name": "Ada", "last_name": "=Byron", "gender": "f"}
    claimed = await clerk.ask("POST", "/api/v1/claims", {"customer": fields, "tickets": [ticket]})
    assert (claimed.status, claimed.json["origin"], len(claimed.json["tickets"])) == (201, "claim", 1)
    path = f"/api/v1/customers/{claimed.json['id']}"
    for uid in (UID, "04AABBCCDDEE81"):
        tagged = await clerk.ask("POST", f"{path}/tags", {"event": EVENT, "uid": uid})
        assert tagged.status == 201
    first, second = tagged.json["tags"]
    assert (first["active"], second["active"]) == (False, True)
    assert (await clerk.ask("POST", f"/api/v1/tags/{first['id']}/activate")).json["active"]
    assert first["proof"] == "uid"
    worn = {"event": EVENT, "uid": "04A1B2C3D4E599", "proof": "band"}
    band = (await clerk.ask("POST", f"{path}/tags", worn)).json["tags"][-1]
    signed = (await clerk.ask("POST", f"/api/v1/tags/{band['id']}/band")).json
    assert (signed["uid"], bytes.fromhex(signed["message"])[3:14]) == (band["uid"], b"gatehouse:1")
    assert (await clerk.ask("POST", f"/api/v1/tags/{first['id']}/activate")).json["active"]
    assert (await clerk.ask("POST", f"/api/v1/tags/{first['id']}/ban", {})).json["banned"]
    assert (await clerk.ask("POST", f"/api/v1/tags/{first['id']}/unban", {})).json["banned"] is False
    for text in ("byr", "=byr", "ada@", order["number"], UID[:6], str(ticket["ticket"])):
        found = (await clerk.ask("GET", f"/api/v1/search?q={text}")).json["items"]
        assert bool(found) == (text != "byr"), text
    assert (await clerk.ask("POST", f"{path}/ban", {"reason": "fight"})).json["banned"]
    assert (await clerk.ask("GET", path)).json["tickets"][0]["standing"] == ["banned"]
    assert not (await clerk.ask("POST", f"{path}/unban", {})).json["banned"]
    edited = await clerk.ask("PUT", path, {**fields, "last_name": "Lovelace"})
    assert edited.json["last_name"] == "Lovelace"
    assert (await clerk.ask("PUT", path, {"first_name": "Ada"})).code == "last_name_missing"
    assert (await clerk.ask("PUT", path, {**fields, "name": "Ada"})).status in {400, 422}
    csv = await clerk.ask("GET", f"{path}/csv")
    assert csv.headers["Content-Type"].startswith("text/csv")
    assert b"Lovelace" in csv.body
    off = await clerk.ask("DELETE", f"{path}/tickets/{EVENT}/{ticket['ticket']}")
    assert off.json["tickets"] == []
    activation = {"event": EVENT, "uid": "04AABBCCDDEE82", "product": SEASON}
    nobody = await clerk.ask("POST", "/api/v1/activations", activation)
    assert (nobody.status, nobody.json["anonymous"]) == (201, True)
    assert (await clerk.ask("POST", "/api/v1/activations", activation)).code == "tag_taken"
