"""Customers and tags on both engines: who holds what, which tag is the active one, and how far a ban reaches."""

import csv
import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from admission.credentials import Medium, tag_data
from admission.entitlements import Standing
from admission.ids import ProductId
from admission.reasons import Reason
from sync.customers import holding, profiles, search, tables, tags
from sync.customers.profiles import Profile
from sync.orders.sale import Wanted
from sync.orders.tables import order as order_table
from sync.tickets import exchange, minting, ruling
from sync.tickets import tables as tickets
from sync.tickets.standing import Verb, apply
from sync.web.api import Refused
from tests.admission.tags import sun_tap
from tests.sync.orders.box_office import (
    DAY,
    FIRST,
    OTHER_UID,
    SECOND,
    THIRD_UID,
    UID,
    VIP,
    BoxOffice,
    query,
    ref,
)

ADA = Profile(email="Ada@Example.org", first_name="Ada", last_name="Müller-Byron", city="Zürich")
NONE = ProductId(0)


def refused(office: BoxOffice, code: str, work: object, *arguments: object, **named: object) -> None:
    before = office.versions()
    with pytest.raises(Refused) as found, office.act() as act:
        work(act, *arguments, **named)  # type: ignore[operator]  # one of the rules
    assert found.value.code == code
    assert office.versions() == before


def ada(office: BoxOffice, *tickets: int) -> int:
    with office.act() as act:
        return holding.claim(act, ADA, [ref(one) for one in tickets])


def tag_says(office: BoxOffice, uid: str) -> Reason:
    return office.gate(uid, Medium.UID)[1]


def test_a_claim_makes_a_customer_who_holds_the_tickets(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    number = ada(office, 1, 2)
    (row,) = query(office.database, tables.customer)
    assert number >= profiles.FIRST_ID
    assert (row.email, row.last_name, row.origin, row.anonymous) == (ADA.email, ADA.last_name, "claim", False)
    assert (row.email_key, row.first_key, row.last_key) == (
        "ada@example.org", "ada muller-byron", "muller-byron ada",
    )  # fmt: skip
    refused(office, "already_theirs", holding.assign_tickets, number, [ref(1)])
    with office.act() as act:
        holding.unassign_ticket(act, number, ref(1))
    refused(office, "not_theirs", holding.unassign_ticket, number, ref(1))
    with office.act() as act:
        other = holding.claim(act, Profile(), [ref(1)])
    refused(office, "ticket_taken", holding.assign_tickets, number, [ref(1)])
    refused(office, "not_found", holding.assign_tickets, other, [ref(9)])
    assert office.versions()[FIRST] == 4


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        (Profile(first_name="Ada"), "last_name_missing"),
        (Profile(last_name="B", email="nobody"), "bad_email"),
        (Profile(last_name="B" * 201), "bad_field"),
        (Profile(last_name="B\0"), "bad_field"),
    ],
)
def test_fields_that_cannot_be(profile: Profile, code: str) -> None:
    with pytest.raises(Refused) as found:
        profiles.checked(profile)
    assert found.value.code == code


def test_the_newest_tag_is_the_active_one_and_any_other_may_become_it(office: BoxOffice) -> None:
    office.buy()
    number = ada(office, 1)
    made = []
    for uid in (UID, OTHER_UID, THIRD_UID):
        with office.act() as act:
            made.append(tags.assign(act, number, FIRST, uid))
    assert [tag_says(office, one) for one in (UID, OTHER_UID, THIRD_UID)] == [
        Reason.INACTIVE_TAG, Reason.INACTIVE_TAG, Reason.NONE,
    ]  # fmt: skip
    before = office.versions()[FIRST]
    with office.act() as act:
        tags.make_active(act, made[0])
    assert office.versions()[FIRST] == before + 1
    assert [tag_says(office, one) for one in (UID, OTHER_UID, THIRD_UID)] == [
        Reason.NONE, Reason.INACTIVE_TAG, Reason.INACTIVE_TAG,
    ]  # fmt: skip
    refused(office, "already_active", tags.make_active, made[0])
    with office.act() as act:
        tags.ban(act, made[0], banned=True)
    assert tag_says(office, UID) is Reason.BANNED_TAG
    refused(office, "already_banned", tags.ban, made[0], banned=True)
    with office.act() as act:
        tags.make_active(act, made[1])
    refused(office, "tag_banned", tags.make_active, made[0])
    with office.act() as act:
        tags.ban(act, made[0], banned=False)
    refused(office, "not_banned", tags.ban, made[0], banned=False)
    assert (tag_says(office, UID), tag_says(office, OTHER_UID)) == (Reason.INACTIVE_TAG, Reason.NONE)


def test_a_tag_that_must_prove_itself_opens_nothing_by_its_uid(office: BoxOffice) -> None:
    office.buy()
    number = ada(office, 1)
    with office.act() as act:
        key = minting.digest_key_of(act.connection, FIRST)
        chip = tags.assign(act, number, FIRST, UID, proof=tags.Proof.SUN)
        assert tags.proof_of(act, tags.tag_of(act, chip)) is tags.Proof.SUN
    uid = bytes.fromhex(UID)
    assert (tag_says(office, UID), office.gate(sun_tap(1, key, uid).hex(), Medium.TAG)[1]) == (
        Reason.UNKNOWN, Reason.NONE,
    )  # fmt: skip
    refused(office, "tag_taken", tags.assign, number, FIRST, UID)
    refused(office, "bad_uid", tags.assign, number, FIRST, "04A1B2C3", proof=tags.Proof.SUN)
    refused(office, "not_a_band", tags.band_of, chip)
    with office.act() as act:
        tags.ban(act, chip, banned=True)
    assert office.gate(sun_tap(2, key, uid).hex(), Medium.TAG)[1] is Reason.BANNED_TAG


def test_a_band_is_signed_for_its_tag_while_its_ticket_would_be_let_in(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    number = ada(office, 1, 2)
    with office.act() as act:
        band = tags.assign(act, number, FIRST, UID, proof=tags.Proof.BAND)
        message = tags.band_of(act, band)
    assert len(message) <= 141, "an NTAG213 holds it"
    tag = tag_data(bytes.fromhex(UID), message).hex()
    assert (tag_says(office, UID), office.gate(tag, Medium.TAG)[1]) == (Reason.UNKNOWN, Reason.NONE)
    with office.act() as act, act.changing([FIRST]):
        for one in (1, 2):
            ruling.set_ticket(act.connection, ref(one), standing=int(Standing.CANCELLED))
    assert office.gate(tag, Medium.TAG)[1] is Reason.CANCELLED
    refused(office, "cancelled", tags.band_of, band)
    with office.act() as act:
        tags.ban(act, band, banned=True)
    refused(office, "tag_banned", tags.band_of, band)


def test_the_database_itself_holds_one_active_tag(office: BoxOffice) -> None:
    office.buy()
    number = ada(office, 1)
    for uid in (UID, OTHER_UID):
        with office.act() as act:
            tags.assign(act, number, FIRST, uid)
    with pytest.raises(IntegrityError), office.database.writing() as connection:
        connection.execute(update(tables.tag).values(active=True))


def test_a_tag_with_a_ticket_type_stands_for_a_ticket_of_its_own(office: BoxOffice) -> None:
    with office.act() as act:
        number, tag = holding.activate(act, Profile(), FIRST, "04:a1:b2:c3:d4:e5:80", VIP)
    (row,) = query(office.database, tables.tag)
    assert (row.id, row.uid, row.product, row.ticket, len(row.digest)) == (tag, UID, VIP, 1, 16)
    assert office.versions()[FIRST] == 1
    assert (tag_says(office, UID), query(office.database, tables.customer)[0].anonymous) == (
        Reason.NONE,
        True,
    )
    refused(office, "tag_taken", holding.activate, Profile(), FIRST, UID, VIP)
    refused(office, "no_ticket", tags.assign, number, SECOND, UID)
    refused(office, "no_ticket", tags.assign, number, FIRST, OTHER_UID)
    refused(office, "bad_uid", tags.assign, number, FIRST, "no hex")
    refused(office, "bad_uid", tags.assign, number, FIRST, "08A1B2C3")
    refused(office, "tags_own", holding.unassign_ticket, number, ref(1))


def test_a_tag_stands_for_tickets_bought_later_and_not_for_those_taken_off(office: BoxOffice) -> None:
    office.buy()
    number = ada(office, 1)
    with office.act() as act:
        tags.assign(act, number, FIRST, UID)
    office.buy(customer=number)
    with office.act() as act:
        holding.unassign_ticket(act, number, ref(1))
    assert tag_says(office, UID) is Reason.NONE
    with office.act() as act:
        apply(act, ref(2), Verb.BAN)
    assert tag_says(office, UID) in {Reason.BANNED, Reason.REPLACED}
    with office.act() as act:
        tags.make_active(act, tags.assign(act, number, FIRST, OTHER_UID) - 1)


def test_a_ticket_that_was_taken_off_by_mistake_is_given_back_and_the_tag_stands_for_it(
    office: BoxOffice,
) -> None:
    office.buy()
    number = ada(office, 1)
    with office.act() as act:
        tags.assign(act, number, FIRST, UID)
    with office.act() as act:
        holding.unassign_ticket(act, number, ref(1))
    assert tag_says(office, UID) is Reason.REPLACED
    with office.act() as act:
        holding.assign_tickets(act, number, [ref(1)])
    assert tag_says(office, UID) is Reason.NONE


def test_a_tag_stands_for_a_ticket_that_came_by_an_exchange_from_another_event(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(SECOND, DAY))
    number = ada(office, 1)
    with office.act() as act:
        holding.assign_tickets(act, number, [ref(1, SECOND)])
    with office.act() as act:
        tags.assign(act, number, SECOND, UID)
    with office.act() as act:
        new = exchange.exchange(act, ref(1), SECOND, VIP)
    with office.act() as act:
        apply(act, ref(1, SECOND), Verb.REDEEM)
    assert new == ref(2, SECOND)
    assert tag_says(office, UID) is Reason.NONE


def test_an_exchanged_ticket_of_a_tag_s_own_stays_that_tag_s_alone(office: BoxOffice) -> None:
    office.buy()
    number = ada(office, 1)
    with office.act() as act:
        tags.assign(act, number, FIRST, UID)
    with office.act() as act:
        own = tags.assign(act, number, FIRST, OTHER_UID, VIP)
    (ticket,) = [row.ticket for row in query(office.database, tables.tag) if row.id == own]
    with office.act() as act:
        new = exchange.exchange(act, ref(ticket), FIRST, DAY)
    (row,) = [row for row in query(office.database, tables.tag) if row.id == own]
    assert (row.ticket, row.product) == (new[1], DAY)
    assert tag_says(office, OTHER_UID) is Reason.NONE
    with office.act() as act:
        tags.assign(act, number, FIRST, THIRD_UID)  # stands for the customer's other ticket
    opens = {row.digest for row in query(office.database, tickets.credential) if row.ticket == new[1]}
    assert [row.id for row in query(office.database, tables.tag) if row.digest in opens] == [own]


def test_a_customers_ban_reaches_all_and_leaves_what_was_banned_by_itself(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY), Wanted(SECOND, DAY))
    number = ada(office, 1, 2)
    with office.act() as act:
        holding.assign_tickets(act, number, [ref(1, SECOND)])
        tag = tags.assign(act, number, FIRST, UID)
    with office.act() as act:
        apply(act, ref(1), Verb.BAN)
    before = office.versions()
    with office.act() as act:
        holding.ban(act, number, "fight")
    assert office.versions() == {event: version + 1 for event, version in before.items()}
    for one in (ref(1), ref(2), ref(1, SECOND)):
        assert office.says(one) is Reason.BANNED
    assert tag_says(office, UID) is Reason.BANNED_TAG
    refused(office, "already_banned", holding.ban, number)
    refused(office, "customer_banned", tags.assign, number, FIRST, OTHER_UID)
    refused(office, "customer_banned", holding.assign_tickets, number, [ref(2)])
    refused(office, "customer_banned", apply, ref(2), Verb.UNBAN)
    with pytest.raises(Refused) as found:
        office.buy(customer=number)
    assert found.value.code == "customer_banned"
    with office.act() as act:
        tags.ban(act, tag, banned=True)
    with office.act() as act:
        apply(act, ref(1, SECOND), Verb.BAN)
    with office.act() as act:
        apply(act, ref(1), Verb.UNBAN)
    assert office.says(ref(1)) is Reason.BANNED
    with office.act() as act:
        holding.unban(act, number)
    said = [office.says(one) for one in (ref(1), ref(2), ref(1, SECOND))]
    assert said == [Reason.NONE, Reason.NONE, Reason.BANNED]
    assert tag_says(office, UID) is Reason.BANNED_TAG
    refused(office, "not_banned", holding.unban, number)


def test_a_customer_as_csv_holds_no_formula(office: BoxOffice) -> None:
    office.buy()
    with office.act() as act:
        number = holding.claim(act, Profile(last_name="=1+1", phone="+41 44 1", address='a,"b'), [ref(1)])
        tags.assign(act, number, FIRST, UID)
        row = profiles.held(act, number)
        found = list(csv.reader(io.StringIO(profiles.as_csv(act.connection, row).decode())))
    known = dict(zip(found[0], found[1], strict=True))
    assert (known["last_name"], known["phone"], known["address"]) == ("'=1+1", "'+41 44 1", 'a,"b')
    assert set(profiles.FIELDS) < set(known)
    assert ["1", "1", "1", "1", "valid"] in found
    assert ["1", UID, "0", "1", "0"] in found


def test_everything_is_found_by_its_beginning_and_nothing_of_others(office: BoxOffice) -> None:
    order = office.buy()
    number = ada(office, 1)
    with office.act() as act:
        tags.assign(act, number, FIRST, UID)
    (bought,) = [row.number for row in query(office.database, order_table)]

    def found(text: str, organization: int = 1) -> set[tuple[str, int]]:
        with office.database.reading() as connection:
            return {(hit.kind, hit.id) for hit in search.search(connection, organization, text)}

    customer = ("customer", number)
    for text in ("ada@ex", "ADA@EXAMPLE.ORG", "muller", "Müller-B", "ada  mü", "müller-byron a"):
        assert customer in found(text), text
        assert not found(text, 2)
    assert ("order", order) in found(bought[:4].lower())
    assert ("tag", 1) in found("04a1:b2")
    assert found("1/1") == {("ticket", 1)}
    assert found("1") == {("ticket", 1)}, (
        "one digit is a whole number; one letter is the beginning of too many names"
    )
    assert not found("2/1")
    assert not found("x' OR 1=1 --")
    assert not found("%da")
    assert not found("a")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60), st.text(max_size=60))
@example("\N{MATHEMATICAL SANS-SERIF BOLD ITALIC CAPITAL ALPHA}", "")
def test_a_key_is_a_key_whatever_is_typed(one: str, other: str) -> None:
    assert search.key_of(search.key_of(one)) == search.key_of(one)
    assert search.key_of(one.upper()) == search.key_of(one.upper().lower())
    key = search.key_of(f"{one} {other}")
    assert key < key + "\U0010ffff"
