"""Accounts over real HTTP: who may ask, what a token does, and what is refused."""

from collections.abc import AsyncIterator

import pytest

from sync.accounts.principal import Role
from tests.sync.people import OURS, Caller, other_organization, person, token_of
from tests.sync.requests import NOW_S
from tests.sync.venue import Venue, query


@pytest.fixture
async def owner(venue: Venue) -> AsyncIterator[Caller]:
    async with Caller(venue.url, token_of(venue.centre.database, Role.OWNER)) as caller:
        yield caller


async def test_a_token_says_who_it_is(venue: Venue, owner: Caller) -> None:
    said = await owner.ask("GET", "/api/v1/me")
    assert said.status == 200
    assert said.json == {
        "organization": OURS, "role": "owner", "event": 0,
        "actor": {"kind": "token", "id": 1, "name": "owner program"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ght_", "Bearer ght_" + "A" * 43, "Basic b3duZXI6", "Bearer " + "x" * 3000]
)
async def test_who_has_no_token_is_told_to_bring_one(venue: Venue, sent: str) -> None:
    async with Caller(venue.url) as stranger:
        said = await stranger.ask("GET", "/api/v1/me", **({"Authorization": sent} if sent else {}))
    assert (said.status, said.code) == (401, "not_signed_in")
    assert said.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_ends_by_its_time_and_at_once_when_revoked(venue: Venue, owner: Caller) -> None:
    made = await owner.ask(
        "POST", "/api/v1/tokens", {"name": "till", "role": "box_office", "expires_s": NOW_S + 100}
    )
    assert made.status == 201
    number, secret = made.json["token"]["id"], made.json["secret"]
    assert secret.startswith("ght_")
    assert secret.encode() not in bytes(str(query(venue, "SELECT * FROM api_token")), "utf-8")
    async with Caller(venue.url, secret) as till:
        assert (await till.ask("GET", "/api/v1/me")).json["role"] == "box_office"
        venue.now_s = NOW_S + 99
        assert (await till.ask("GET", "/api/v1/me")).status == 200
        venue.now_s = NOW_S + 100
        assert (await till.ask("GET", "/api/v1/me")).status == 401
        venue.now_s = NOW_S
        assert (await till.ask("GET", "/api/v1/me")).status == 200
        assert (await owner.ask("DELETE", f"/api/v1/tokens/{number}")).status == 204
        assert (await till.ask("GET", "/api/v1/me")).status == 401
    assert (await owner.ask("GET", f"/api/v1/tokens/{number}")).json["revoked_s"] == NOW_S
    told = (await owner.ask("GET", "/api/v1/audit")).json["items"]
    assert [one["what"] for one in told] == ["token.revoke", "token.add"]
    assert secret not in str(told)


async def test_the_last_use_is_noted_once_a_minute(venue: Venue, owner: Caller) -> None:
    for now_s in (NOW_S, NOW_S + 59, NOW_S + 60):
        venue.now_s = now_s
        await owner.ask("GET", "/api/v1/me")
        used = (await owner.ask("GET", "/api/v1/tokens/1")).json["used_s"]
        assert used == (NOW_S + 60 if now_s == NOW_S + 60 else NOW_S)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "x", "role": "owner", "expires_s": NOW_S}, 422, "bad_expiry"),
        ({"name": "x", "role": "owner", "expires_s": NOW_S + 10**9}, 422, "bad_expiry"),
        ({"name": "x", "role": "owner", "expires_s": NOW_S + 9, "event": 999}, 422, "no_event"),
        ({"name": "x", "role": "king", "expires_s": NOW_S + 9}, 422, "bad_body"),
        ({"name": "", "role": "owner", "expires_s": NOW_S + 9}, 422, "bad_body"),
        ({"name": "x", "role": "owner", "expires_s": NOW_S + 9, "organization": 2}, 422, "bad_body"),
        ({"name": "x\0", "role": "owner", "expires_s": NOW_S + 9}, 422, "bad_body"),
        (b'{"name": "x", "role"', 400, "bad_json"),
        (b"\xff\xfe", 400, "bad_json"),
        (b"[" * 100_000, 422, "bad_body"),
        (b" " * 300_000, 413, "too_large"),
        (b"", 400, "bad_json"),
    ],
)  # fmt: skip
async def test_a_body_that_does_not_fit_is_refused_and_changes_nothing(
    venue: Venue, owner: Caller, body: object, status: int, code: str
) -> None:
    said = await owner.ask("POST", "/api/v1/tokens", body)
    assert (said.status, said.code) == (status, code)
    assert query(venue, "SELECT count(*) FROM api_token") == [(1,)]


async def test_a_list_comes_in_pages_and_no_other_cursor_is_taken(venue: Venue, owner: Caller) -> None:
    for number in range(5):
        person(venue.centre.database, f"p{number}@venue.test", Role.VIEWER)
    got, cursor = [], ""
    while True:
        said = (await owner.ask("GET", f"/api/v1/users?limit=2&cursor={cursor}")).json
        got += [one["email"] for one in said["items"]]
        if said["next"] is None:
            break
        cursor = said["next"]
    assert got == [f"p{number}@venue.test" for number in range(5)]
    for bad in ("cursor=%00", "cursor=WyJ4Il0", "cursor=WzEsMl0", "cursor=!!", "limit=0", "limit=201", "limit=x", "sort=1",
                "limit=1&limit=2", "cursor=WzFlNDAwXQ", "cursor=" + "A" * 600):  # fmt: skip
        said = await owner.ask("GET", f"/api/v1/users?{bad}")
        assert said.status == 400, bad


async def test_an_organization_keeps_an_owner(venue: Venue, owner: Caller) -> None:
    boss = person(venue.centre.database, "boss@venue.test", Role.OWNER)
    for change in ({"role": "viewer"}, {"disabled": True}):
        said = await owner.ask("PATCH", f"/api/v1/users/{boss}", change)
        assert (said.status, said.code) == (409, "last_owner")
    made = await owner.ask(
        "POST", "/api/v1/users",
        {"email": "Second@Venue.test ", "name": "Second", "role": "owner", "password": "quite long enough"},
    )  # fmt: skip
    assert made.status == 201
    assert made.json["email"] == "second@venue.test"
    said = await owner.ask("PATCH", f"/api/v1/users/{boss}", {"role": "viewer"})
    assert (said.status, said.json["role"]) == (200, "viewer")


@pytest.mark.parametrize(
    ("email", "role", "password", "code"),
    [
        ("boss@venue.test", "viewer", "quite long enough", "email_taken"),
        ("BOSS@venue.test", "viewer", "quite long enough", "email_taken"),
        ("no mail", "viewer", "quite long enough", "bad_email"),
        ("a@b", "device", "quite long enough", "bad_role"),
        ("a@b", "viewer", "aaaaaaaaaaaaaa", "weak_password"),
    ],
)
async def test_a_user_that_cannot_be_is_refused(
    venue: Venue, owner: Caller, email: str, role: str, password: str, code: str
) -> None:
    person(venue.centre.database, "boss@venue.test", Role.OWNER)
    said = await owner.ask(
        "POST", "/api/v1/users", {"email": email, "name": "x", "role": role, "password": password}
    )
    assert said.code == code
    assert query(venue, "SELECT count(*) FROM user_account") == [(1,)]


async def test_another_organization_sees_nobody_of_ours(venue: Venue, owner: Caller) -> None:
    boss = person(venue.centre.database, "boss@venue.test", Role.OWNER)
    await owner.ask("PATCH", f"/api/v1/users/{boss}", {"role": "owner"})
    rival = other_organization(venue.centre.database)
    async with Caller(venue.url, token_of(venue.centre.database, Role.OWNER, rival)) as theirs:
        assert (await theirs.ask("GET", "/api/v1/users")).json["items"] == []
        assert (await theirs.ask("GET", "/api/v1/audit")).json["items"] == []
        assert [one["id"] for one in (await theirs.ask("GET", "/api/v1/tokens")).json["items"]] == [2]
        for method, path in (
            ("GET", f"/api/v1/users/{boss}"), ("GET", "/api/v1/tokens/1"), ("DELETE", "/api/v1/tokens/1"),
        ):  # fmt: skip
            assert (await theirs.ask(method, path)).code == "not_found"
        said = await theirs.ask("PATCH", f"/api/v1/users/{boss}", {"disabled": True})
        assert said.code == "not_found"
    assert (await owner.ask("GET", "/api/v1/tokens/1")).json["revoked_s"] is None


async def test_the_same_key_is_done_once_and_another_body_under_it_is_refused(
    venue: Venue, owner: Caller
) -> None:
    body = {"email": "a@venue.test", "name": "A", "role": "viewer", "password": "quite long enough"}
    first = await owner.ask("POST", "/api/v1/users", body, Idempotency_Key="k1")
    again = await owner.ask("POST", "/api/v1/users", body, Idempotency_Key="k1")
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    other = await owner.ask("POST", "/api/v1/users", {**body, "name": "B"}, Idempotency_Key="k1")
    assert (other.status, other.code) == (422, "key_reused")
    fresh = await owner.ask("POST", "/api/v1/users", body, Idempotency_Key="k2")
    assert fresh.code == "email_taken"  # a refusal is not kept: the key is free
    fixed = await owner.ask("POST", "/api/v1/users", {**body, "email": "b@venue.test"}, Idempotency_Key="k2")
    assert fixed.status == 201
    async with Caller(venue.url, token_of(venue.centre.database, Role.OWNER)) as another:
        said = await another.ask("POST", "/api/v1/users", {**body, "name": "C"}, Idempotency_Key="k1")
        assert said.code == "email_taken"  # another's key is another's
    venue.now_s += 48 * 3600 + 1
    long = token_of(venue.centre.database, Role.OWNER, life_s=10**6)
    async with Caller(venue.url, long) as later:
        assert (
            await later.ask("POST", "/api/v1/users", {**body, "email": "c@d"}, Idempotency_Key="k9")
        ).status == 201
    assert query(venue, "SELECT key FROM idempotency_key") == [("k9",)]
