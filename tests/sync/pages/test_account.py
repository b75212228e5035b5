"""One's own account, as a browser without a screen uses it: each change asks for the password, and tries are counted."""

import html
import re

import aiohttp
import pyotp
import pytest

from sync.accounts import users
from sync.accounts.principal import Role
from tests.sync.pages.seat import EMAIL, PASSWORD, client
from tests.sync.people import other_organization, person
from tests.sync.venue import Venue, query

NEW = "seven green boats 44"


async def posted(browser: aiohttp.ClientSession, path: str, **form: str) -> tuple[int, str]:
    async with browser.post(path, data=form) as answer:
        return answer.status, html.unescape(await answer.text())


async def signs_in(venue: Venue, **form: str) -> bool:
    async with (
        client(venue, signed_in=False) as browser,
        browser.post("/sign-in", data={"email": EMAIL, **form}) as answer,
    ):
        return answer.url.path == "/"


async def begun(browser: aiohttp.ClientSession) -> tuple[pyotp.TOTP, str]:
    """Begin to set codes up; return the app's machine and what the page sends back."""
    status, page = await posted(browser, "/account/totp", password=PASSWORD)
    assert status == 200
    assert "<svg" in page
    secret = re.search(r'class="secret small">([A-Z2-7 ]+)<', page)
    sealed = re.search(r'name="sealed" value="([^"]+)"', page)
    assert secret
    assert sealed
    return pyotp.TOTP(secret[1].replace(" ", "")), sealed[1]


async def test_a_new_password_ends_every_other_session(venue: Venue, ada: aiohttp.ClientSession) -> None:
    async with client(venue) as elsewhere:
        status, page = await posted(ada, "/account/password", password=PASSWORD, new_password=NEW, again=NEW)
        assert status == 200
        assert "Your password is changed." in page
        async with elsewhere.get("/account", allow_redirects=False) as answer:
            assert answer.status == 303
    assert not await signs_in(venue, password=PASSWORD)
    assert await signs_in(venue, password=NEW)
    assert query(venue, "SELECT what FROM audit_log WHERE what LIKE 'user.p%'") == [("user.password",)]


async def test_an_account_without_a_name_of_its_own_is_named_once(ada: aiohttp.ClientSession) -> None:
    async with ada.get("/account") as answer:
        page = await answer.text()
    (said,) = re.findall(r'<p class="quiet">([^<]*@[^<]*)</p>', page)
    parts = said.split(" · ")
    assert len(set(parts)) == len(parts)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"password": "wrong"}, "This is not your password."),
        ({"again": "something else 1"}, "This is not the same as above."),
        ({"new_password": "short", "again": "short"}, "This password is too short or guessed first."),
        ({"new_password": EMAIL, "again": EMAIL}, "This password is too short or guessed first."),
    ],
)
async def test_a_password_is_changed_by_its_owner_to_a_good_one(
    venue: Venue, ada: aiohttp.ClientSession, form: dict[str, str], said: str
) -> None:
    status, page = await posted(
        ada, "/account/password", **{"password": PASSWORD, "new_password": NEW, "again": NEW, **form}
    )
    assert status == 422
    assert page.count(said) == 2  # on top, and at the field
    assert await signs_in(venue, password=PASSWORD)


async def test_guessing_the_password_on_the_page_is_paced_as_at_signing_in(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    for _ in range(5):
        status, page = await posted(ada, "/account/totp", password="guess")
        assert status == 422
    assert "This is not your password." in page
    status, page = await posted(ada, "/account/totp", password=PASSWORD)
    assert status == 422
    assert re.search(r"Too many wrong tries. Wait \d+ seconds", page)
    venue.now_s += 600
    await begun(ada)


async def test_codes_are_on_only_after_the_first_one_and_off_only_with_password_and_code(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    app, sealed = await begun(ada)
    assert await signs_in(venue, password=PASSWORD)  # not on yet
    status, page = await posted(ada, "/account/totp/confirm", sealed=sealed, code="000000")
    assert status == 422
    assert "This code is wrong" in page
    assert app.secret in page.replace(" ", "")  # the same picture stays, for another try
    assert await signs_in(venue, password=PASSWORD)
    status, page = await posted(ada, "/account/totp/confirm", sealed=sealed, code=app.at(venue.now_s))
    assert (status, "From now on signing in asks for a code." in page) == (200, True)
    async with ada.get("/account") as answer:
        assert app.secret not in (await answer.text()).replace(" ", "")

    assert not await signs_in(venue, password=PASSWORD)
    assert not await signs_in(venue, password=PASSWORD, code=app.at(venue.now_s))  # that one was taken
    venue.now_s += 60
    assert await signs_in(venue, password=PASSWORD, code=app.at(venue.now_s))

    status, page = await posted(ada, "/account/totp", password=PASSWORD)
    assert (status, "Codes are asked for already." in page) == (422, True)
    venue.now_s += 60
    for form in ({"password": PASSWORD, "code": "123"}, {"password": "x", "code": app.at(venue.now_s)}):
        assert (await posted(ada, "/account/totp/off", **form))[0] == 422
    assert not await signs_in(venue, password=PASSWORD)
    status, page = await posted(ada, "/account/totp/off", password=PASSWORD, code=app.at(venue.now_s))
    assert (status, "asks for no code any more" in page) == (200, True)
    assert await signs_in(venue, password=PASSWORD)
    status, _ = await posted(ada, "/account/totp/off", password=PASSWORD, code=app.at(venue.now_s))
    assert status == 422
    noted = query(venue, "SELECT what, detail FROM audit_log WHERE what LIKE 'user.totp%' ORDER BY id")
    assert noted == [("user.totp_on", ""), ("user.totp_off", "")]


async def test_a_picture_is_for_its_user_and_for_a_quarter_of_an_hour(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    app, sealed = await begun(ada)
    with venue.centre.database.writing() as connection:
        users.add(connection, 1, "bob@arena.example", "Bob", Role.VIEWER, PASSWORD, venue.now_s)
    async with client(venue, signed_in=False) as bob:
        await bob.post("/sign-in", data={"email": "bob@arena.example", "password": PASSWORD})
        status, page = await posted(bob, "/account/totp/confirm", sealed=sealed, code=app.at(venue.now_s))
        assert (status, "This QR code is too old." in page) == (422, True)
    for wrong in ("", "AAAA", sealed[:-8] + "AAAAAAA=", "é" * 40):
        status, _ = await posted(ada, "/account/totp/confirm", sealed=wrong, code=app.at(venue.now_s))
        assert status == 422
    venue.now_s += 901
    status, _ = await posted(ada, "/account/totp/confirm", sealed=sealed, code=app.at(venue.now_s))
    assert status == 422
    assert query(venue, "SELECT COUNT(*) FROM user_account WHERE totp_secret IS NOT NULL") == [(0,)]


async def test_other_sessions_end_and_this_one_stays(venue: Venue, ada: aiohttp.ClientSession) -> None:
    async with client(venue) as elsewhere:
        async with ada.get("/account") as answer:
            assert (await answer.text()).count("<time") == 4
        status, page = await posted(ada, "/account/sessions")
        assert (status, "Everywhere else you are signed out." in page) == (200, True)
        assert page.count("<time") == 2
        async with elsewhere.get("/account", allow_redirects=False) as answer:
            assert answer.status == 303
    assert query(venue, "SELECT detail FROM audit_log WHERE what = 'user.sign_out_others'") == [
        ('{"sessions":1}',)
    ]


async def test_somebody_in_two_organizations_works_for_one_at_a_time(
    venue: Venue, ada: aiohttp.ClientSession
) -> None:
    rival = other_organization(venue.centre.database)
    person(venue.centre.database, "boss@rival.test", Role.OWNER, rival)
    with venue.centre.database.writing() as connection:
        connection.exec_driver_sql(f"INSERT INTO membership VALUES (1, {rival}, 'steward')")
    async with ada.get("/account") as answer:
        page = await answer.text()
    assert "The rival" in page
    assert "Demo festival" in (await posted(ada, "/language", language="en"))[1]
    status, page = await posted(ada, "/organization", organization=str(rival))
    assert status == 200
    assert "Demo festival" not in page
    assert "Steward" in page
    async with ada.get("/events/new") as answer:
        assert answer.status == 403  # a steward there, though an owner here
    assert "Demo festival" in (await posted(ada, "/organization", organization="1"))[1]
    assert (await posted(ada, "/organization", organization="77"))[0] == 404
