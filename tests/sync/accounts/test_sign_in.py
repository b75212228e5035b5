"""Signing in: what is counted, what is said, and what a second factor adds. On both engines."""

from collections.abc import Iterator

import pyotp
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sync.accounts import audit, lockout, sessions, totp, users
from sync.accounts.principal import SYSTEM, Role
from sync.accounts.sign_in import SignIn, Tried
from sync.events import houses
from sync.keys import VenueKeys, new_keys
from sync.store.database import Database
from sync.web.api import Refused
from tests.sync.people import OURS, PASSWORD, person
from tests.sync.requests import NOW_S

EMAIL = "boss@venue.test"


class Desk:
    """A sign-in whose time a test moves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys: VenueKeys = new_keys()
        self.now_s = NOW_S
        self.sign_in = SignIn(database, self.keys, lambda: self.now_s)

    async def tries(
        self, password: str, code: str = "", email: str = EMAIL, address: str = "192.0.2.1"
    ) -> str:
        """The problem's word, or "in"."""
        tried = Tried(email=email, password=password, code=code, address=address)
        try:
            self.token = await self.sign_in.sign_in(tried)
        except Refused as refused:
            self.more = refused.more
            return refused.code
        return "in"

    def who(self) -> str:
        with self.database.reading() as connection:
            found = sessions.principal(connection, self.token, self.now_s)
        return "" if found is None else f"{found.organization} {found.role.value} {found.actor.name}"


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    with database.writing() as connection:
        assert houses.add_organization(connection, houses.NewOrganization(name="Ours"), NOW_S) == OURS
    person(database, EMAIL, Role.OWNER)
    made = Desk(database)
    yield made
    made.sign_in.close()


async def test_a_password_signs_in_and_a_wrong_one_or_a_stranger_does_not(desk: Desk) -> None:
    assert await desk.tries(PASSWORD, email=" Boss@Venue.test ") == "in"
    assert desk.who() == f"{OURS} owner boss"
    assert await desk.tries(PASSWORD + "x") == "wrong_sign_in"
    assert await desk.tries(PASSWORD, email="who@venue.test") == "wrong_sign_in"
    assert await desk.tries(PASSWORD, email="\0") == "wrong_sign_in"


async def test_a_session_is_replaced_at_sign_in_ends_when_idle_and_after_a_day(desk: Desk) -> None:
    assert await desk.tries(PASSWORD) == "in"
    old = desk.token
    desk.token = await desk.sign_in.sign_in(Tried(email=EMAIL, password=PASSWORD, old=old))
    assert desk.token != old
    with desk.database.reading() as connection:
        assert sessions.principal(connection, old, NOW_S) is None
        assert old.encode() not in str(connection.execute(text("SELECT * FROM signed_in")).all()).encode()
    desk.now_s = NOW_S + sessions.IDLE_S
    assert desk.who()
    desk.now_s += 1
    assert not desk.who()
    for hour in range(1, 17):
        desk.now_s = NOW_S + hour * 3600
        with desk.database.writing() as connection:
            sessions.used(connection, desk.token, desk.now_s)
        assert desk.who()
    desk.now_s += 1
    assert not desk.who()


async def test_who_is_disabled_or_gets_a_new_password_is_out_at_once(desk: Desk) -> None:
    second = person(desk.database, "second@venue.test", Role.OWNER)
    assert await desk.tries(PASSWORD, email="second@venue.test") == "in"
    with desk.database.writing() as connection:
        users.set_disabled(connection, OURS, second, disabled=True)
    assert not desk.who()
    assert await desk.tries(PASSWORD, email="second@venue.test") == "wrong_sign_in"
    assert await desk.tries(PASSWORD) == "in"
    with desk.database.writing() as connection:
        users.set_password(connection, 1, "$argon2id$nonsense")
    assert not desk.who()
    assert await desk.tries(PASSWORD) == "wrong_sign_in"


async def test_guessing_at_one_account_waits_longer_and_longer_and_then_the_right_one_still_enters(
    desk: Desk,
) -> None:
    said = [await desk.tries("wrong", address=f"192.0.2.{n}") for n in range(6)]
    assert said == ["wrong_sign_in"] * 5 + ["wait"]
    assert await desk.tries(PASSWORD) == "wait"  # not even the right one
    waits = []
    for _ in range(10):
        desk.now_s += int(str(desk.more["retry_after_s"]))
        assert await desk.tries("wrong", address="") == "wrong_sign_in"
        assert await desk.tries("wrong", address="") == "wait"
        waits.append(desk.more["retry_after_s"])
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    desk.now_s += 300
    assert await desk.tries(PASSWORD) == "in"
    assert await desk.tries("wrong") == "wrong_sign_in"  # and the count began anew


async def test_guessing_at_many_accounts_from_one_address_waits_too(desk: Desk) -> None:
    said = [await desk.tries("wrong", email=f"p{n}@x.test") for n in range(21)]
    assert said == ["wrong_sign_in"] * 20 + ["wait"]
    assert await desk.tries("wrong", email="other@x.test", address="192.0.2.2") == "wrong_sign_in"


async def test_a_code_is_asked_for_counts_once_and_is_not_guessed_either(desk: Desk) -> None:
    secret = totp.new_secret()
    with desk.database.writing() as connection:
        users.set_totp(connection, desk.keys, 1, secret)
        assert secret not in str(connection.execute(text("SELECT * FROM user_account")).all())
    code = pyotp.TOTP(secret).at(NOW_S)
    assert await desk.tries("wrong", code) == "wrong_sign_in"
    assert await desk.tries(PASSWORD) == "code_needed"
    assert await desk.tries(PASSWORD, code) == "in"
    assert await desk.tries(PASSWORD, code) == "wrong_sign_in"  # seen over a shoulder
    assert await desk.tries(PASSWORD, pyotp.TOTP(secret).at(NOW_S - 30)) == "wrong_sign_in"
    desk.now_s += 90
    assert await desk.tries(PASSWORD, pyotp.TOTP(secret).at(desk.now_s - 30)) == "in"
    said = []
    for _ in range(6):  # whoever has the password takes no tries back by asking for the code's field
        said.append(await desk.tries(PASSWORD, "000000"))
        said.append(await desk.tries(PASSWORD))
    assert said[-2:] == ["wait", "wait"]


@pytest.mark.parametrize("off", [-31, -30, 0, 30, 61])
def test_a_phone_may_be_half_a_minute_off(off: int) -> None:
    secret, now_s = "JBSWY3DPEHPK3PXP" * 2, NOW_S - NOW_S % 30
    step = totp.step_of(secret, pyotp.TOTP(secret).at(now_s + off), 0, now_s)
    assert (step is not None) == (-30 <= off <= 30)


def test_a_secret_is_of_its_user_and_venue() -> None:
    keys = new_keys()
    stored = totp.sealed("SECRET", keys, 1)
    assert totp.opened(stored, keys, 1) == "SECRET"
    assert totp.opened(stored, keys, 2) is None
    assert totp.opened(stored, new_keys(), 1) is None


def test_a_user_has_so_many_sessions_and_the_oldest_goes(desk: Desk) -> None:
    tokens = []
    for number in range(sessions.PER_USER_MAX + 1):
        with desk.database.writing() as connection:
            tokens.append(sessions.begin(connection, 1, NOW_S + number))
    with desk.database.reading() as connection:
        alive = [sessions.principal(connection, one, NOW_S + 30) is not None for one in tokens]
    assert alive == [False] + [True] * sessions.PER_USER_MAX


@pytest.mark.parametrize("sql", ["UPDATE audit_log SET what = 'x'", "DELETE FROM audit_log"])
def test_the_audit_log_only_grows(desk: Desk, sql: str) -> None:
    with desk.database.writing() as connection:
        audit.note(connection, SYSTEM, OURS, "event.add", "1", {"name": "x"}, NOW_S)
    with pytest.raises(DBAPIError, match="only grows"), desk.database.writing() as connection:
        connection.execute(text(sql))
    with desk.database.reading() as connection:
        assert [one.what for one in audit.entries(connection, OURS, None, 9)] == ["event.add"]


def test_old_failures_are_forgotten(desk: Desk) -> None:
    with desk.database.writing() as connection:
        for number in range(30):
            lockout.attempt(connection, f"{number}@x", "", NOW_S)
        lockout.attempt(connection, EMAIL, "", NOW_S + lockout.FORGOTTEN_S + 1)
        assert connection.execute(text("SELECT count(*) FROM sign_in_failure")).scalar() == 1


def test_a_step_that_was_used_is_refused() -> None:
    secret = "JBSWY3DPEHPK3PXP" * 2
    step = NOW_S // 30
    assert totp.step_of(secret, pyotp.TOTP(secret).at(NOW_S), step - 1, NOW_S) == step
    assert totp.step_of(secret, pyotp.TOTP(secret).at(NOW_S), step, NOW_S) is None
