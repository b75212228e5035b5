"""Entries become tickets and credentials: what is new is added, what changed is changed, all else is left alone.

A list says what its shop knows. What people did here stays: a ban or a redeem is never undone by a list, and a
ticket that a list does not name any more is not touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from admission.entitlements import Attention, CredentialStanding, Standing
from admission.ids import EventId
from sync.imports import holders, slabs, tables
from sync.imports.entries import Entry
from sync.tickets import changes
from sync.tickets import tables as sold

SHOPS = Standing.CANCELLED | Standing.REPLACED | Standing.UNPAID | Standing.UNAPPROVED
"""The parts of a standing that a list may set and clear; the rest is said by people here."""


class Compared(NamedTuple):
    """How entries compare with what is there. `new`, `changed`: to be written; `taken`: rows whose code is another's.

    `changed` is with the ticket's number, as the tables hold it.
    """

    new: list[Entry]
    changed: list[tuple[Entry, int]]
    same: int
    taken: frozenset[int]


class Written(NamedTuple):
    """How many entries did what. `new_at`: as given to `write`, for the chunks behind."""

    new: int
    changed: int
    same: int
    taken: int
    new_at: int | None


def compare(connection: Connection, event: int, shop: str, entries: Sequence[Entry]) -> Compared:
    """Compare entries of one shop, a chunk at most, with the event's tickets."""
    s, c = tables.import_source.c, sold.credential.c
    keys = [one.key for one in entries]
    known_rows = slabs.find(connection, (s.key, s.ticket, s.print), s.key, keys, event_id=event, shop=shop)
    sources = {row.key: row for row in known_rows}
    digests = [code.digest for one in entries for code in one.codes]
    found = slabs.find(connection, (c.digest, c.ticket), c.digest, digests, event_id=event)
    owners = {row.digest: row.ticket for row in found}
    new: list[Entry] = []
    changed: list[tuple[Entry, int]] = []
    taken: set[int] = set()
    same = 0
    for one in entries:
        known = sources.get(one.key)
        if owners and any(
            known is None or owners[code.digest] != known.ticket
            for code in one.codes
            if code.digest in owners
        ):
            taken.add(one.row)
        elif known is None:
            new.append(one)
        elif known.print != one.print:
            changed.append((one, known.ticket))
        else:
            same += 1
    return Compared(new, changed, same, frozenset(taken))


def write(
    connection: Connection,
    event: int,
    shop: str,
    organization: int,
    entries: Sequence[Entry],
    new_at: int | None,
    now_s: int,
) -> Written:
    """Write a chunk. The caller raises the list's version where something is new or changed.

    `new_at`: the version of the list at which all of it was new. Whoever adds a ticket or a code raises the version,
    so that it need not be looked for again while it is the same.
    """
    # Customers' ids first and the event after them, as whoever makes a customer and sells to him; then nobody else
    # writes what is looked at here.
    first = holders.first_of(connection, entries)
    changes.take(connection, (EventId(event),))
    version = changes.coming(connection, EventId(event))
    if version - 1 == new_at:
        found = Compared(list(entries), [], 0, frozenset())
        new_at = version  # ours alone, as codes of one file are told apart
    else:
        found = compare(connection, event, shop, entries)
        new_at = None
    before = _before(connection, event, [number for _, number in found.changed])
    changed = [(one, before[number].holder) for one, number in found.changed]
    people = holders.find_or_make(connection, organization, found.new, changed, first, now_s)
    _add(connection, event, shop, found.new, people, version)
    _change(connection, event, shop, found.changed, people, before)
    return Written(len(found.new), len(found.changed), found.same, len(found.taken), new_at)


def _add(
    connection: Connection,
    event: int,
    shop: str,
    entries: Sequence[Entry],
    people: holders.Holders,
    version: int,
) -> None:
    if not entries:
        return
    t = sold.ticket.c
    last = connection.execute(select(func.max(t.id)).where(t.event_id == event)).scalar() or 0
    numbered = list(enumerate(entries, start=last + 1))
    # The event is ours to the end of the transaction, so its next version is known: written now, the rows need not
    # be written once more to be stamped.
    slabs.add(
        connection, sold.ticket, _TICKET,
        [
            (event, number, one.product, people.get(one.row, 0), one.zones, one.session, max(one.standing, 0),
             one.valid_from, one.valid_until, one.admits, 0, _NO_ATTENTION, version)
            for number, one in numbered
        ],
    )  # fmt: skip
    # In the order of their keys, which are digests: neighbours share the table's pages.
    slabs.add(connection, sold.credential, _CREDENTIAL, sorted(_credentials(event, version, numbered)))
    slabs.add(
        connection, tables.import_source, ("event_id", "key", "shop", "ticket", "print", "reference"),
        sorted([(event, bytearray(one.key), shop, number, bytearray(one.print), one.order) for number, one in numbered]),
    )  # fmt: skip


_TICKET = (
    "event_id", "id", "product", "holder", "zones", "session", "standing", "not_before", "not_after", "admits",
    "home_gate", "attention", "version",
)  # fmt: skip
_CREDENTIAL = ("event_id", "digest", "ticket", "kind", "text", "standing", "version")
_NO_ATTENTION, _ACTIVE = int(Attention.NONE), int(CredentialStanding.ACTIVE)


def _credentials(
    event: int, version: int | None, numbered: Iterable[tuple[int, Entry]]
) -> list[tuple[int, bytearray, int, str, str | None, int, int | None]]:
    # SQLite's driver takes a bytearray as it is; for bytes it looks for an adapter first, which costs as much again.
    return [
        (event, bytearray(code.digest), number, code.kind, code.text, _ACTIVE, version)
        for number, one in numbered
        for code in one.codes
    ]


class _Before(NamedTuple):
    """What a ticket is before it changes."""

    standing: int
    holder: int


def _before(connection: Connection, event: int, numbers: Sequence[int]) -> dict[int, _Before]:
    t = sold.ticket.c
    found = slabs.find(connection, (t.id, t.standing, t.holder), t.id, numbers, event_id=event)
    return {row.id: _Before(row.standing, row.holder) for row in found}


def _change(
    connection: Connection,
    event: int,
    shop: str,
    entries: Sequence[tuple[Entry, int]],
    people: holders.Holders,
    before: Mapping[int, _Before],
) -> None:
    if not entries:
        return
    t, c, s = sold.ticket, sold.credential, tables.import_source
    numbers = [number for _, number in entries]
    connection.execute(
        update(t)
        .where(t.c.event_id == event, t.c.id == bindparam("of"))
        .values(
            {
                name: bindparam(f"new_{name}")
                for name in ("product", "holder", "zones", "session", "standing", "not_before", "not_after", "admits")
            }
            | {"version": None}
        ),
        [
            {
                "of": number, "new_product": one.product, "new_holder": people.get(one.row, 0), "new_zones": one.zones,
                "new_session": one.session, "new_standing": _standing(before[number].standing, one.standing),
                "new_not_before": one.valid_from, "new_not_after": one.valid_until, "new_admits": one.admits,
            }
            for one, number in entries
        ],
    )  # fmt: skip
    held: dict[int, dict[bytes, int]] = {number: {} for number in numbers}
    wanted = (c.c.ticket, c.c.digest, c.c.standing)
    for row in slabs.find(connection, wanted, c.c.ticket, numbers, event_id=event):
        held[row.ticket][row.digest] = row.standing
    added = _credentials(event, None, ((number, one) for one, number in entries))
    slabs.add(connection, c, _CREDENTIAL, [row for row in added if bytes(row[1]) not in held[row[2]]])
    moved = [
        {"of": number, "digest_": digest, "new_standing": after}
        for one, number in entries
        for digest, was in held[number].items()
        if (after := _code_standing(was, any(code.digest == digest for code in one.codes))) != was
    ]
    if moved:
        connection.execute(
            update(c)
            .where(c.c.event_id == event, c.c.digest == bindparam("digest_"), c.c.ticket == bindparam("of"))
            .values(standing=bindparam("new_standing"), version=None),
            moved,
        )
    connection.execute(
        update(s)
        .where(s.c.event_id == event, s.c.shop == shop, s.c.key == bindparam("key_"))
        .values(print=bindparam("print_"), reference=bindparam("reference_")),
        [{"key_": one.key, "print_": one.print, "reference_": one.order} for one, _ in entries],
    )


def _standing(before: int, said: int) -> int:
    return before if said < 0 else before & ~int(SHOPS) | said & int(SHOPS)


def _code_standing(before: int, named: bool) -> int:
    replaced = int(CredentialStanding.REPLACED)
    return before & ~replaced if named else before | replaced
