"""What is done to single tickets: every standing with every verb, and what a gate says afterwards, on both engines."""

import itertools

import pytest
from sqlalchemy import insert

from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding, Standing, Ticket
from admission.ids import EventId
from admission.observed import Role as PresenceRole
from admission.observed import State as PresenceState
from admission.reasons import Reason
from sync.gates.tables import presence
from sync.orders import quota
from sync.orders import tables as order_tables
from sync.orders.cancelling import Method, Refund, cancel
from sync.orders.sale import Wanted
from sync.orders.states import Payment
from sync.tickets import exchange, minting, rows, standing, tables, unsold
from sync.tickets.changes import change
from sync.tickets.standing import Verb, after, apply
from sync.web.api import Refused
from tests.sync.orders.box_office import (
    DAY,
    DIGEST_KEY,
    EVENING,
    FIRST,
    MATINEE,
    NOW_S,
    SECOND,
    VIP,
    BoxOffice,
    query,
    ref,
)

C, X, B, R, U, W = (
    Standing.CANCELLED,
    Standing.REPLACED,
    Standing.BANNED,
    Standing.REDEEMED,
    Standing.UNPAID,
    Standing.UNAPPROVED,
)
CODES = {
    Verb.BAN: ((C, "cancelled"), (X, "replaced"), (B, "already_banned")),
    Verb.UNBAN: ((C, "cancelled"), (X, "replaced"), (~B, "not_banned")),
    Verb.REDEEM: ((C, "cancelled"), (X, "replaced"), (B, "banned"), (R, "already_redeemed"), (U, "unpaid"), (W, "unapproved")),
    Verb.UNREDEEM: ((C, "cancelled"), (X, "replaced"), (~R, "not_redeemed")),
}  # fmt: skip
SETS = {Verb.BAN: B, Verb.REDEEM: R}
CLEARS = {Verb.UNBAN: B, Verb.UNREDEEM: R}


def code_of(verb: Verb, now: Standing) -> str:
    """By the table above, read as a person would: the first that holds; `~bit` holds where the bit does not."""
    for bit, code in CODES[verb]:
        holds = not now & ~bit if int(bit) < 0 or bit not in {C, X, B, R, U, W} else bool(now & bit)
        if holds:
            return code
    return ""


@pytest.mark.parametrize("verb", list(Verb))
def test_every_standing_with_every_verb(verb: Verb) -> None:
    for parts in itertools.product((0, 1), repeat=6):
        now = Standing(sum(bit for bit, on in zip((C, X, B, R, U, W), parts, strict=True) if on))
        code = code_of(verb, now)
        if code:
            with pytest.raises(Refused) as found:
                after(verb, now)
            assert (found.value.status, found.value.code) == (409, code)
            assert standing.WHY[code] == found.value.detail
        else:
            assert after(verb, now) == (now | SETS[verb] if verb in SETS else now & ~CLEARS[verb])


def test_bans_and_redeems_reach_the_gates_as_one_version_each(office: BoxOffice) -> None:
    office.buy(Wanted(FIRST, DAY), Wanted(FIRST, DAY))
    said = []
    for number, verb in enumerate((Verb.BAN, Verb.UNBAN, Verb.REDEEM, Verb.UNREDEEM), start=2):
        with office.act() as act:
            apply(act, ref(1), verb, "why")
        assert office.versions() == {FIRST: number, SECOND: 0}
        said.append(office.says(ref(1)))
        assert office.says(ref(2)) is Reason.NONE
        (row,) = query(office.database, tables.ticket, tables.ticket.c.id == 1)
        assert row.version == number
    assert said == [Reason.BANNED, Reason.NONE, Reason.REDEEMED, Reason.NONE]


def sold(office: BoxOffice, event: EventId, product: int = DAY) -> int:
    with office.database.reading() as connection:
        return quota.sold(connection, event, product)  # type: ignore[arg-type]  # numbers of products


def refused(office: BoxOffice, code: str, work: object, *arguments: object) -> None:
    before = office.versions()
    with pytest.raises(Refused) as found, office.act() as act:
        work(act, *arguments)  # type: ignore[operator]  # one of the rules
    assert found.value.code == code
    assert office.versions() == before


def test_an_exchange_moves_the_quota_the_line_and_the_right_to_enter(office: BoxOffice) -> None:
    order = office.buy()
    with office.act() as act:
        new = exchange.exchange(act, ref(1), SECOND, VIP)
    assert new == ref(1, SECOND)
    assert office.versions() == {FIRST: 2, SECOND: 1}
    assert (office.says(ref(1)), office.says(new)) == (Reason.REPLACED, Reason.NONE)
    assert (sold(office, FIRST), sold(office, SECOND, VIP)) == (0, 1)
    with office.act() as act:
        later = exchange.exchange(act, new, SECOND, VIP, MATINEE)
    (row,) = query(
        office.database, tables.ticket, tables.ticket.c.event_id == SECOND, tables.ticket.c.id == 2
    )
    assert (later, row.session, sold(office, SECOND, VIP)) == (ref(2, SECOND), MATINEE, 1)
    refused(office, "same_ticket", exchange.exchange, later, SECOND, VIP, MATINEE)
    refused(office, "replaced", exchange.exchange, ref(1), FIRST, VIP)
    with office.act() as act:
        cancel(act, order, Refund(Method.CASH, "rain"))
    assert (office.says(later), sold(office, SECOND, VIP)) == (Reason.CANCELLED, 0)


def test_who_has_a_ticket_of_a_sold_out_product_may_change_its_date(office: BoxOffice) -> None:
    office.buy(*[Wanted(FIRST, DAY)] * 5)
    with office.act() as act:
        new = exchange.exchange(act, ref(1), FIRST, DAY, MATINEE)
    assert (office.says(ref(1)), office.says(new)) == (Reason.REPLACED, Reason.NONE)
    assert sold(office, FIRST) == 5
    office.buy(*[Wanted(SECOND, DAY)] * 5)
    refused(office, "sold_out", exchange.exchange, ref(2), SECOND, DAY)
    assert (sold(office, FIRST), sold(office, SECOND)) == (5, 5), "what is refused gives nothing back"


def test_what_may_not_be_exchanged(office: BoxOffice) -> None:
    office.buy(*[Wanted(SECOND, DAY)] * 5)
    office.buy(Wanted(FIRST, DAY), payment=Payment.INVOICE)
    office.buy(Wanted(FIRST, VIP))
    refused(office, "invoice_whole", exchange.exchange, ref(1), FIRST, VIP)
    refused(office, "sold_out", exchange.exchange, ref(2), SECOND, DAY)
    with office.act() as act:
        apply(act, ref(2), Verb.BAN)
    refused(office, "banned", exchange.exchange, ref(2), FIRST, DAY)
    refused(office, "banned", exchange.reissue, ref(2))
    refused(office, "not_found", exchange.reissue, ref(99))


def test_a_reissue_of_our_own_code_is_another_ticket(office: BoxOffice) -> None:
    office.buy(payment=Payment.ON_SITE)
    with office.act() as act:
        new = exchange.reissue(act, ref(1))
    assert (office.says(ref(1)), office.says(new)) == (Reason.REPLACED, Reason.UNPAID)
    assert sold(office, FIRST) == 1
    refused(office, "replaced", minting.text_of, ref(1))
    refused(office, "unpaid", minting.text_of, new)


def test_a_used_ticket_gets_no_second_one_until_the_use_is_annulled(office: BoxOffice) -> None:
    order = office.buy(payment=Payment.STOCK)
    entry = {
        "event": FIRST, "ticket": 1, "gate": 3, "epoch": 9, "seq": 5, "role": PresenceRole.ENTRY, "time_us": 0,
        "state": PresenceState.RESERVED, "way": 1, "zone": 1, "session": 1, "lane": 1, "mode": 0, "flags": 0,
        "names": b"",
    }  # fmt: skip
    with office.database.writing() as connection:
        connection.execute(insert(presence).values(**entry))
    refused(office, "used", exchange.reissue, ref(1))
    refused(office, "used", exchange.exchange, ref(1), FIRST, VIP)
    with office.act() as act:
        text = minting.text_of(act, ref(1))
    refused(office, "used", unsold.take_back, text)
    names = bytes.fromhex("00000003000000000000000900000005")
    annulled = {
        **entry,
        "seq": 6,
        "role": PresenceRole.ANNUL,
        "state": PresenceState.ANNULLED,
        "names": names,
    }
    with office.database.writing() as connection:
        connection.execute(insert(presence).values(**annulled))
    with office.act() as act:
        assert exchange.reissue(act, ref(1)) == ref(2)
    assert order


def test_a_reissue_of_a_foreign_code_keeps_the_ticket(office: BoxOffice) -> None:
    code = "SHOP-4711"
    with change(office.database, [FIRST], NOW_S) as connection:
        given = digest(CredentialKind.OPAQUE, code.encode(), DIGEST_KEY)
        rows.add_tickets(
            connection,
            FIRST,
            [Ticket(ref(7)[1], FIRST, DAY, session=EVENING)],
            [rows.NewCredential(ref(7)[1], given, CredentialKind.OPAQUE, code)],
        )
    refused(office, "no_text", minting.text_of, ref(7))
    with office.act() as act:
        assert exchange.reissue(act, ref(7)) == ref(7)
    assert (office.gate(code)[1], office.says(ref(7))) == (Reason.REPLACED, Reason.NONE)
    (row,) = query(office.database, tables.credential, tables.credential.c.digest == given)
    assert row.standing == CredentialStanding.REPLACED
    with office.act() as act:
        assert exchange.reissue(act, ref(7)) == ref(8)
    assert (office.says(ref(7)), office.says(ref(8))) == (Reason.REPLACED, Reason.NONE)


def test_unsold_tickets_are_scanned_back_on_sale(office: BoxOffice) -> None:
    office.buy(*[Wanted(FIRST, DAY)] * 4, payment=Payment.STOCK)
    office.buy(Wanted(FIRST, DAY))
    with office.act() as act:
        texts = [minting.text_of(act, ref(number)) for number in range(1, 6)]
    assert {office.gate(text)[1] for text in texts} == {Reason.NONE}
    with office.act() as act:
        assert unsold.take_back(act, texts[1]) == ref(2)
    assert (office.says(ref(2)), sold(office, FIRST), office.versions()[FIRST]) == (Reason.CANCELLED, 4, 3)
    (note,) = query(office.database, order_tables.refund)
    assert note.amount_minor == 0, "nobody had paid for it"
    refused(office, "line_cancelled", unsold.take_back, texts[1])
    refused(office, "sold", unsold.take_back, texts[4])
    refused(office, "not_found", unsold.take_back, "SHOP-4711")
    refused(
        office,
        "forged",
        unsold.take_back,
        texts[0][:-9] + ("A" if texts[0][-9] != "A" else "B") + texts[0][-8:],
    )
    refused(office, "malformed", unsold.take_back, "\x01")
    office.buy(Wanted(FIRST, DAY))
