"""Whom a list's tickets belong to: customers found by their e-mail address, or made.

Within one organization an address is one customer. A row with a name and no address makes a customer of its own:
two people may have one name. A row with neither belongs to nobody.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, update

from sync.customers.profiles import FIRST_ID
from sync.customers.search import key_of
from sync.customers.tables import customer
from sync.imports import slabs
from sync.imports.entries import Entry
from sync.store.schema import next_id

ORIGIN = "import"


Holders = Mapping[int, int]
"""Whose the ticket of a row is, by the row's number; who is not named belongs to nobody."""


class Found(NamedTuple):
    """Whose tickets are whose. `new`: customers to be added, as `add` takes them; `renamed`: as `rename` does."""

    holders: Holders
    new: list[tuple[str, Entry]]
    renamed: list[tuple[Entry, int]]


def first_of(connection: Connection, entries: Sequence[Entry]) -> int:
    """Return the id of the first customer that these entries make, if they do; none is made by others meanwhile."""
    if not any(one.email or _is_named(one) for one in entries):
        return 0
    return max(next_id(connection, customer.c.id), FIRST_ID)


def find(
    connection: Connection,
    organization: int,
    new: Sequence[Entry],
    changed: Sequence[tuple[Entry, int]],
    first: int,
) -> Found:
    """Return the customers of these entries. `changed`: with the customer that each ticket has now, who is kept
    where the row names no address, and renamed where nobody else knows that customer. `first`: of `first_of`."""
    holders = {one.row: holder for one, holder in changed if not one.email and holder}
    kept = [(one, holder) for one, holder in changed if one.row in holders]
    keys: list[tuple[int, str]] = []
    speaking: dict[str, Entry] = {}
    """By address, the first row that has a name."""
    alone: list[Entry] = []
    for one in (*new, *[one for one, _ in changed]):
        if one.email:
            key = key_of(one.email)
            keys.append((one.row, key))
            said = speaking.get(key)
            if said is None or (not said.last_name and one.last_name):
                speaking[key] = one
        elif one.row not in holders and _is_named(one):
            alone.append(one)
    found = _known(connection, organization, list(speaking))
    missing = [(key, one) for key, one in speaking.items() if key not in found]
    people = [*missing, *[("", one) for one in alone]]
    found.update((key, number) for number, (key, _) in enumerate(missing, start=first))
    holders.update((row, found[key]) for row, key in keys)
    holders.update((one.row, number) for number, one in enumerate(alone, start=first + len(missing)))
    return Found(holders, people, kept)


def add(adding: slabs.Adding, organization: int, found: Found, first: int, now_s: int) -> None:
    """Add the customers that are new."""
    people = [one for _, one in found.new]
    empty, no = slabs.Same(""), slabs.Same(False)
    columns: dict[str, slabs.Values] = {
        "id": range(first, first + len(people)), "organization_id": slabs.Same(organization),
        "email": [one.email for one in people], "first_name": [one.first_name for one in people],
        "last_name": [one.last_name for one in people], "phone": [one.phone for one in people],
        "postcode": empty, "address": empty, "city": empty, "country": empty, "gender": empty,
        "anonymous": no, "banned": no, "origin": slabs.Same(ORIGIN), "created_s": slabs.Same(now_s),
        "email_key": [key for key, _ in found.new],
        "first_key": [key_of(f"{one.first_name} {one.last_name}") for one in people],
        "last_key": [key_of(f"{one.last_name} {one.first_name}") for one in people],
    }  # fmt: skip
    adding.add(customer, columns, len(people))


def _is_named(one: Entry) -> bool:
    return bool(one.first_name or one.last_name or one.phone)


def _known(connection: Connection, organization: int, keys: Sequence[str]) -> dict[str, int]:
    """Return the customers of these addresses; of several with one address, the oldest."""
    t = customer.c
    rows = slabs.find(connection, (t.email_key, t.id), t.email_key, keys, organization_id=organization)
    return {row.email_key: row.id for row in sorted(rows, key=lambda row: row.id, reverse=True)}


def rename(connection: Connection, entries: Sequence[tuple[Entry, int]]) -> None:
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
