"""An organization keeps an owner, whoever takes the role from whom at the same moment; on both engines."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy import Connection, insert

from sync.accounts import users
from sync.accounts.principal import Role
from sync.events import tables as events
from sync.store.database import Database
from sync.web.api import Refused
from tests.sync.people import PASSWORD, stored
from tests.sync.requests import NOW_S

ROUNDS = 10


def test_two_owners_who_shut_each_other_out_at_once_leave_one(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(events.organization).values(id=1, name="House", language="de", created_s=0))
        known = stored(PASSWORD)
        people = [
            users.add_hashed(connection, 1, f"{name}@house.test", name, Role.OWNER, known, NOW_S)
            for name in ("ada", "bob")
        ]

    def demote(number: int) -> bool:
        def work(connection: Connection) -> bool:
            users.set_role(connection, 1, number, Role.VIEWER)
            return True

        try:
            return database.transact(work)
        except Refused as refused:
            assert refused.code == "last_owner"  # noqa: PT017 - either may be the one
            return False

    for _ in range(ROUNDS):
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(demote, people))
        assert sorted(done) == [False, True]
        for number in people:
            database.transact(partial(users.set_role, organization=1, number=number, role=Role.OWNER))
