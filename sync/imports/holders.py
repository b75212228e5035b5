"""Whom a list's tickets belong to: customers found by their e-mail address, or made.

Within one organization an address is one customer. A row with a name and no address makes a customer of its own:
two people may have one name. A row with neither belongs to nobody.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from sync.customers.profiles import FIRST_ID
from sync.customers.search import key_of
from sync.customers.tables import customer
from sync.imports.entries import Entry
from sync.store.schema import next_id

ORIGIN = "import"


class Holders(NamedTuple):
    """Customers by e-mail key, and by row where a name is all there is."""

    by_email: Mapping[str, int]
    by_row: Mapping[int, int]

    def of(self, entry: Entry) -> int:
        """Return whose a ticket is; 0 for nobody."""
        return self.by_email[key_of(entry.email)] if entry.email else self.by_row.get(entry.row, 0)


def find_or_make(
    connection: Connection,
    organization: int,
    new: Sequence[Entry],
    changed: Sequence[tuple[Entry, int]],
    now_s: int,
) -> Holders:
    """Return the customers of these entries. `changed`: with the customer that each ticket has now, who is kept
    where the row names no address, and renamed where nobody else knows that customer."""
    emails: dict[str, Entry] = {}
    for one in (*new, *(one for one, _ in changed)):
        said = emails.get(key_of(one.email))
        if one.email and (said is None or (not said.last_name and one.last_name)):
            emails[key_of(one.email)] = one  # the first row with a name speaks for its address
    found: dict[str, int] = {}
    if emails:
        t = customer.c
        known = connection.execute(
            select(t.email_key, t.id)
            .where(t.organization_id == organization, t.email_key.in_(list(emails)))
            .order_by(t.id.desc())  # of several with one address, the oldest
        )
        found = {row.email_key: row.id for row in known}
    named = {one.row: one for one in new if not one.email and (one.first_name or one.last_name or one.phone)}
    kept = {one.row: holder for one, holder in changed if not one.email and holder}
    named |= {
        one.row: one for one, holder in changed
        if not one.email and not holder and (one.first_name or one.last_name or one.phone)
    }  # fmt: skip
    missing = [one for key, one in emails.items() if key not in found]
    if not missing and not named:
        _rename(connection, [(one, holder) for one, holder in changed if one.row in kept])
        return Holders(found, kept)
    first = max(next_id(connection, customer.c.id), FIRST_ID)
    if missing and connection.dialect.name != "sqlite":
        # In the queue of ids now: whoever made one of these meanwhile has ended.
        again = connection.execute(
            select(customer.c.email_key, customer.c.id).where(
                customer.c.organization_id == organization,
                customer.c.email_key.in_([key_of(one.email) for one in missing]),
            )
        )
        found |= {row.email_key: row.id for row in again}
        missing = [one for one in missing if key_of(one.email) not in found]
    people = [*missing, *named.values()]
    if people:
        connection.execute(
            insert(customer),
            [_values(organization, number, one, now_s) for number, one in enumerate(people, start=first)],
        )
    for number, one in enumerate(people, start=first):
        if one.email:
            found[key_of(one.email)] = number
        else:
            kept[one.row] = number
    _rename(connection, [(one, holder) for one, holder in changed if kept.get(one.row) == holder])
    return Holders(found, kept)


def _rename(connection: Connection, entries: Sequence[tuple[Entry, int]]) -> None:
    """Give customers that a list made, and that have no address, the names it says now."""
    if not entries:
        return
    names = ("first_name", "last_name", "phone", "first_key", "last_key")
    connection.execute(
        update(customer)
        .where(customer.c.id == bindparam("of"), customer.c.email == "", customer.c.origin == ORIGIN)
        .values({name: bindparam(f"new_{name}") for name in names}),
        [
            {"of": holder, **{f"new_{name}": value for name, value in _names(one).items()}}
            for one, holder in entries
        ],
    )


def _names(one: Entry) -> dict[str, str]:
    return {
        "first_name": one.first_name,
        "last_name": one.last_name,
        "phone": one.phone,
        "first_key": key_of(f"{one.first_name} {one.last_name}"),
        "last_key": key_of(f"{one.last_name} {one.first_name}"),
    }


def _values(organization: int, number: int, one: Entry, now_s: int) -> dict[str, object]:
    return {
        "id": number,
        "organization_id": organization,
        "email": one.email,
        "email_key": key_of(one.email),
        "postcode": "",
        "address": "",
        "city": "",
        "country": "",
        "gender": "",
        "anonymous": False,
        "banned": False,
        "origin": ORIGIN,
        "created_s": now_s,
        **_names(one),
    }
