"""Whom a list's tickets belong to: customers found by their e-mail address, or made.

Within one organization an address is one customer. A row with a name and no address makes a customer of its own:
two people may have one name. A row with neither belongs to nobody.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, update

from sync.customers.profiles import FIRST_ID
from sync.customers.search import key_of
from sync.customers.tables import customer
from sync.imports import slabs
from sync.imports.entries import Entry
from sync.store.schema import numbering
from sync.store.together import Round, Statement

ORIGIN = "import"
_LAST = Statement("SELECT max(id) FROM customer", "id")


Holders = Mapping[int, int]
"""Whose the ticket of a row is, by the row's number; who is not named belongs to nobody."""


class Said(NamedTuple):
    """Whom entries name, as far as nobody has to be asked. `keys`: rows with their address, as it is looked for."""

    keys: list[tuple[int, str]]
    speaking: dict[str, Entry]
    """By address, the first row that has a name."""
    alone: list[Entry]
    """Those with a name and no address."""

    @property
    def is_nobody(self) -> bool:
        """Whether no customer can come of them."""
        return not self.speaking and not self.alone


class Found(NamedTuple):
    """Whose tickets are whose. `new`: customers to be added, as `add` takes them; `renamed`: as `rename` does.

    `banned`: of the customers who were there, those who are banned.
    """

    holders: Holders
    new: list[tuple[str, Entry]]
    renamed: list[tuple[Entry, int]]
    banned: frozenset[int]


def said(entries: Iterable[Entry]) -> Said:
    """Return whom these entries name."""
    keys: list[tuple[int, str]] = []
    speaking: dict[str, Entry] = {}
    alone: list[Entry] = []
    for one in entries:
        if one.email:
            key = key_of(one.email)
            keys.append((one.row, key))
            before = speaking.get(key)
            if before is None or (not before.last_name and one.last_name):
                speaking[key] = one
        elif _is_named(one):
            alone.append(one)
    return Said(keys, speaking, alone)


def ask_first(round_: Round, take: Callable[[int], None]) -> None:
    """Ask for the id of the first customer that is made; none is made by others to the end of the transaction."""
    round_.add(numbering(customer.name))
    round_.add(_LAST.ask(), lambda rows: take(max((rows[0].id or 0) + 1, FIRST_ID)))


def kept_of(changed: Sequence[tuple[Entry, int]]) -> list[tuple[Entry, int]]:
    """Return those of changed entries, each with the customer its ticket has now, that go on being that one's."""
    return [(one, holder) for one, holder in changed if not one.email and holder]


def find(
    connection: Connection, organization: int, new: Said, kept: Sequence[tuple[Entry, int]], first: int
) -> Found:
    """Return the customers of entries. `kept`: of `kept_of`, who are renamed where nobody else knows that customer.

    `first`: the id that the first customer gets who is made; none is made by others meanwhile.
    """
    holders = {one.row: holder for one, holder in kept}
    known = _known(connection, organization, list(new.speaking))
    found = {key: number for key, number, _ in known}
    missing = [(key, one) for key, one in new.speaking.items() if key not in found]
    people = [*missing, *[("", one) for one in new.alone]]
    found.update((key, number) for number, (key, _) in enumerate(missing, start=first))
    holders.update((row, found[key]) for row, key in new.keys)
    holders.update((one.row, number) for number, one in enumerate(new.alone, start=first + len(missing)))
    banned = frozenset(number for _, number, is_banned in known if is_banned)
    return Found(holders, people, list(kept), banned)


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


def _known(connection: Connection, organization: int, keys: Sequence[str]) -> list[tuple[str, int, bool]]:
    """Return the customers of these addresses, and whether they are banned; of several with one address, the oldest comes last."""
    t = customer.c
    wanted = (t.email_key, t.id, t.banned)
    rows = slabs.find(connection, wanted, t.email_key, keys, organization_id=organization)
    return sorted(rows, key=itemgetter(1), reverse=True)


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
